# SPDX-License-Identifier: GPL-2.0-only
# The project's commands. `make` alone tells them.
.DEFAULT_GOAL := help
.PHONY: help setup modules intree selftests test-modules run test check-style clean

help:
	@echo 'make run          an NVMe controller driven from user space through our modules'
	@echo 'make test         all tests, in virtual machines; SUITES="a b" runs only those'
	@echo
	@echo 'make setup        installs what is missing (as root); the others do it themselves'
	@echo 'make modules      builds the modules against the packaged headers: build/modules'
	@echo 'make intree       compiles drivers/vfio in the base kernel tree: build/intree'
	@echo 'make selftests    builds tools/testing/selftests/vfio: build/selftests'
	@echo 'make test-modules builds the modules that tests load: build/test-modules'
	@echo 'make check-style  checkpatch and sparse'
	@echo 'make clean        removes build/'
	@echo
	@echo 'lab/vm --help     runs any command in a virtual machine'

setup:
	@lab/setup

modules: setup
	@lab/build-modules

intree: setup
	@lab/build-intree

selftests: setup
	@lab/build-selftests

test-modules: modules
	@lab/build-test-modules

build/demo: lab/demo.c include/uapi/linux/vfio.h | setup
	@$(CC) -O2 -Wall -Wextra -Werror -isystem include/uapi -o $@ $<

run: modules build/demo
	@lab/vm --device nvme --timeout 120 -- lab/run-demo build/demo

test: modules selftests test-modules build/demo
	@lab/test $(SUITES)

check-style: setup
	@lab/check-style

clean:
	rm -rf build
