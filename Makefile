# SPDX-License-Identifier: GPL-2.0-only
# The project's commands. `make` alone tells them.
.DEFAULT_GOAL := help
# Each command uses all CPUs, whatever -j says.
.NOTPARALLEL:
unexport MAKEFLAGS
.PHONY: help setup source modules intree selftests test-modules debug run test quick test-iommu test-threads test-kcsan arm64 test-arm64 s390x test-s390x compare bench clients absent-guest \
	coverage fuzz soak check check-series check-style check-variants check-configs \
	check-debian12 check-debian13 series deb check-deb dkms clean

help:
	@echo 'make run          an NVMe controller driven from user space through our modules'
	@echo 'make test         all tests, in virtual machines: on Debian'\''s kernel, and on one'
	@echo '                  that looks for mistakes; SUITES="a b" runs only those'
	@echo 'make quick        the former only, a few minutes'
	@echo 'make test-iommu   what depends on the IOMMU, on each one: VT-d with 48 address bits and'
	@echo '                  with ATS, AMD-Vi, virtio-iommu; make test does that, too'
	@echo 'make test-threads  what races, on Debian'\''s kernel, with a thread for each CPU'
	@echo 'make test-kcsan   the tests that do several things at once, on a kernel that looks for'
	@echo '                  data races'
	@echo 'make test-arm64   a part of them on arm64: Debian'\''s kernels for 4 and 16 KiB pages'
	@echo 'make test-s390x   what of them needs no mapping of a BAR on s390x, which is big-endian'
	@echo 'make compare      what devices show through the stock modules and through ours'
	@echo 'make clients      a virtual machine in the virtual machine, and DPDK: stock and ours'
	@echo 'make absent-guest  the same lives on when the memory of its devices goes'
	@echo 'make bench        what operations cost, stock and ours, in instructions'
	@echo 'make fuzz         random use of the interface, on the kernel that looks for mistakes,'
	@echo '                  for SECONDS=600; what reaches something new goes to the corpus'
	@echo 'make soak         CYCLES=5000 processes take devices, use them and go: nothing may grow'
	@echo 'make coverage     how much of drivers/vfio the tests execute; SUITES="a b" adds those'
	@echo
	@echo 'make setup        installs what is missing (as root); the others do it themselves'
	@echo 'make modules      builds the modules against the packaged headers: build/modules'
	@echo 'make intree       compiles drivers/vfio in the base kernel tree: build/intree'
	@echo 'make selftests    builds tools/testing/selftests/vfio: build/selftests'
	@echo 'make test-modules builds the modules that tests load: build/test-modules'
	@echo 'make debug        builds the kernel that looks for mistakes: build/debug'
	@echo 'make check        the kernel'\''s own tools on our files: checkpatch, sparse, coccicheck, ...'
	@echo 'make check-style  the quick part of that: checkpatch and sparse'
	@echo 'make check-variants  compiles the base kernel'\''s users of our headers and ours, on six architectures'
	@echo 'make check-configs  compiles drivers/vfio with options left out, and runs what is left of'
	@echo '                  it without groups, and with the container of iommufd'
	@echo 'make check-debian12, make check-debian13  makes a fresh machine of that release, for'
	@echo '                  chroot, and runs, builds and tests there'
	@echo 'make series       our files as patches on the base kernel: build/series'
	@echo 'make check-series builds after each of them, and checkpatch on them'
	@echo 'make deb          Debian packages: the modules with DKMS, lsvfio: build/*.deb'
	@echo 'make check-deb    installs, uses and removes them in a virtual machine'
	@echo 'make dkms         installs the modules for this machine with DKMS'
	@echo 'make clean        removes build/'
	@echo
	@echo 'lab/vm --help     runs any command in a virtual machine'

setup:
	@lab/setup

source:
	@lab/setup source

modules: setup
	@lab/build-modules

intree: source
	@lab/build-intree

selftests: source
	@lab/build-selftests

test-modules: source modules
	@lab/build-test-modules

debug: source
	@lab/build-debug

build/demo: lab/demo.c include/uapi/linux/vfio.h | setup
	@$(CC) -O2 -Wall -Wextra -Werror -isystem include/uapi -o $@ $<

run: modules build/demo
	@lab/vm --device nvme -- lab/run-demo build/demo

test: modules selftests test-modules build/demo debug
	@lab/fetch-qemu
	@lab/test --part usual --part iommu --part threads $(SUITES)

quick: modules selftests test-modules build/demo
	@lab/test --part debian $(SUITES)

test-iommu: modules selftests test-modules
	@lab/test --part iommu $(SUITES)

test-threads: modules selftests test-modules
	@lab/fetch-qemu
	@lab/test --part threads $(SUITES)

test-kcsan: source selftests
	@lab/fetch-qemu
	@lab/build-debug kcsan
	@lab/test --part kcsan $(SUITES)

arm64: source
	@lab/setup arm64
	@lab/build-selftests arm64
	@for kernel in arm64 arm64-16k; do \
		lab/build-modules $$kernel && lab/build-test-modules $$kernel || exit 1; \
	done

test-arm64: arm64
	@lab/test --part arm64 --part arm64-16k $(SUITES)

s390x: source
	@lab/setup s390x
	@lab/build-selftests s390x
	@lab/build-modules s390x
	@lab/build-test-modules s390x

test-s390x: s390x
	@lab/test --part s390x $(SUITES)

compare: modules
	@lab/compare

bench: modules selftests
	@lab/setup bench
	@lab/bench

SECONDS := 600
fuzz: selftests debug
	@lab/fuzz --seconds $(SECONDS)

CYCLES := 5000
soak: modules selftests
	@lab/soak $(CYCLES)

coverage: source selftests build/demo
	@lab/build-debug coverage
	@lab/coverage $(SUITES)

clients: modules
	@lab/setup clients
	@lab/clients

build/looks-away: lab/guest/looks-away.c | setup
	@$(CC) -static -O2 -Wall -Wextra -Werror -o $@ $<

absent-guest: modules build/looks-away
	@lab/absent build/looks-away

check-variants:
	@lab/setup variants
	@lab/check-variants

check:
	@lab/setup check
	@lab/check

series:
	@lab/setup series
	@lab/series

check-series:
	@lab/setup series
	@lab/series --check

check-configs: selftests debug
	@lab/check-configs
	@lab/build-debug nogroup
	@lab/build-debug nocontainer
	@lab/test --part nogroup --part nocontainer

check-style: source
	@lab/check-style

check-debian12 check-debian13:
	@lab/setup debian
	@lab/check-debian $(if $(filter %12,$@),bookworm,trixie)

deb:
	@lab/setup deb
	@packaging/debian/build

check-deb: deb build/demo
	@lab/setup package
	@lab/check-deb build

dkms:
	@packaging/dkms/install

clean:
	rm -rf build
