// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is behind the mappings of a type1 container: that a device finds the
 * right pages there, that they are charged to the right process, and that
 * nothing stays pinned.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define KiB 1024ULL
#define MiB 0x100000ULL
#define PARAMETERS "/sys/module/vfio_iommu_type1/parameters/"
#define HUGEPAGES "/proc/sys/vm/nr_hugepages"

FIXTURE(edu)
{
	struct vfio_dev d;
	int c;
	int64_t pinned;
	int64_t locked;
};

FIXTURE_SETUP(edu)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	self->c = self->d.container;
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 6, 0));
	self->pinned = vfio_pinned_pages();
	self->locked = vfio_locked_kb();
}

FIXTURE_TEARDOWN(edu)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(self->locked, vfio_locked_kb());
}

#define EXPECT_LOCKED(bytes) \
	EXPECT_EQ(self->locked + (int64_t)((bytes) / KiB), vfio_locked_kb())

static void stamp(void *mem, uint64_t size)
{
	uint64_t i;

	for (i = 0; i < size / PAGE; i++)
		*(uint64_t *)(mem + i * PAGE) = 0x5eed000000000000 | (i + 1);
}

/* Is page @i of @mem, mapped at @iova, what the device sees? */
static void check_page(struct __test_metadata *_metadata, struct vfio_dev *d,
		       void *mem, uint64_t iova, uint64_t i, void *result,
		       uint64_t result_iova)
{
	memset(result, 0, PAGE);
	EXPECT_EQ(0, edu_copy(d, iova + i * PAGE, result_iova));
	EXPECT_EQ(*(uint64_t *)(mem + i * PAGE), *(uint64_t *)result) {
		TH_LOG("page %llu", (unsigned long long)i);
	}
}

/*
 * Memory of all kinds in one mapping: 4 MiB that may be huge pages, 64 pages
 * of a file in reverse order, ordinary pages; it starts off any alignment.
 */
static void *motley(uint64_t *size)
{
	uint64_t huge = 4 * MiB, file = 64 * PAGE, rest = 37 * PAGE, i;
	void *area, *mem;
	int fd;

	area = mmap(NULL, 12 * MiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	mem = (void *)(((uintptr_t)area + 4 * MiB) & -(2 * MiB)) - rest;
	*size = rest + huge + file + rest;
	if (mmap(mem, *size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != mem)
		return NULL;
	madvise(mem + rest, huge, MADV_HUGEPAGE);
	fd = memfd_create("type1", 0);
	if (fd < 0 || ftruncate(fd, file))
		return NULL;
	for (i = 0; i < file / PAGE; i++)
		if (mmap(mem + rest + huge + i * PAGE, PAGE,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 file - (i + 1) * PAGE) == MAP_FAILED)
			return NULL;
	close(fd);
	stamp(mem, *size);
	return mem;
}

TEST_F(edu, every_kind_of_memory)
{
	const unsigned int huge = 4 * MiB / PAGE, pages[] = {
		0, 36, 37, 38, 37 + huge / 2, 36 + huge, 37 + huge, 38 + huge,
		100 + huge, 101 + huge, 137 + huge,
	};
	void *result = vfio_alloc_pages(PAGE);
	uint64_t size, iova = 16 * MiB;
	void *mem = motley(&size);
	int i;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_dma_map(self->c, result, 0, PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->c, mem, iova, size));
	EXPECT_LOCKED(size + PAGE);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		check_page(_metadata, &self->d, mem, iova, pages[i], result, 0);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, iova, size));
	EXPECT_LOCKED(PAGE);
}

TEST_F(edu, without_huge_pages)
{
	void *result = vfio_alloc_pages(PAGE);
	uint64_t size, iova = 16 * MiB;
	void *mem = motley(&size);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_sysfs_write(PARAMETERS "disable_hugepages", "1"));
	EXPECT_EQ(0, vfio_dma_map(self->c, result, 0, PAGE));
	EXPECT_EQ(0, vfio_dma_map(self->c, mem, iova, size));
	ASSERT_EQ(0, vfio_sysfs_write(PARAMETERS "disable_hugepages", "0"));
	EXPECT_LOCKED(size + PAGE);
	check_page(_metadata, &self->d, mem, iova, 3 * MiB / PAGE, result, 0);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, iova, size));
}

/* How many huge pages there were is @saved, for who gives them back. */
static int reserve_huge(uint64_t size, char *saved, size_t len)
{
	int ret = vfio_sysfs_read(HUGEPAGES, saved, len);
	char wanted[32];

	snprintf(wanted, sizeof(wanted), "%d", (int)(size / vfio_huge_page()));
	return ret ?: vfio_sysfs_write(HUGEPAGES, wanted);
}

static void *map_huge(uint64_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

TEST_F(edu, hugetlb)
{
	void *result = vfio_alloc_pages(PAGE);
	const uint64_t huge = vfio_huge_page(), size = MAX(8 * MiB, 2 * huge);
	char saved[32];
	uint64_t i;
	void *mem;

	ASSERT_EQ(0, reserve_huge(size, saved, sizeof(saved)));
	mem = map_huge(size);
	if (mem == MAP_FAILED)
		SKIP(return, "no huge pages to be had");
	stamp(mem, size);
	ASSERT_EQ(0, vfio_dma_map(self->c, result, 0, PAGE));
	/* A part of the first, then the rest. */
	ASSERT_EQ(0, vfio_dma_map(self->c, mem, 16 * MiB, 7 * PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->c, mem + 7 * PAGE,
				  16 * MiB + 7 * PAGE, size - 7 * PAGE));
	EXPECT_LOCKED(size + PAGE);
	for (i = 6; i < size / PAGE; i += 509)
		check_page(_metadata, &self->d, mem, 16 * MiB, i, result, 0);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 16 * MiB, size));
	EXPECT_LOCKED(PAGE);
	munmap(mem, size);
	vfio_sysfs_write(HUGEPAGES, saved);
}

/*
 * Some IOMMUs take back only whole what was mapped in one piece, and every border
 * that could be cut at is in the middle of such a piece here.
 */
TEST_F(edu, not_cut)
{
	const uint64_t huge = vfio_huge_page(), size = 2 * huge;
	const uint64_t start = 1024 * MiB - huge / 2;
	char saved[32];
	int log = vfio_klog_open();
	void *mem, *other;
	uint64_t unmapped;

	ASSERT_LE(0, log);
	ASSERT_EQ(0, reserve_huge(size, saved, sizeof(saved)));
	mem = map_huge(size);
	if (mem == MAP_FAILED)
		SKIP(return, "no huge pages to be had");
	other = vfio_alloc_pages(PAGE);
	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, vfio_dma_map(self->c, mem, start, size));
	ASSERT_EQ(0, vfio_dma_map(self->c, other, start - PAGE, PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->c, other, start + size, PAGE));
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, start, size, 0, &unmapped));
	EXPECT_EQ(size, unmapped);
	/* Nothing is there any more, and the neighbours are. */
	EXPECT_EQ(0, vfio_dma_map(self->c, mem, start, size));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, start - PAGE, size + 2 * PAGE));
	EXPECT_EQ(0, vfio_klog_splats(log));
	munmap(mem, size);
	vfio_sysfs_write(HUGEPAGES, saved);
	close(log);
}

/* A read of memory never written, and the limits of a mapping's rights. */
TEST_F(edu, rights)
{
	uint64_t *mem = vfio_alloc_pages(4 * PAGE), seen;
	void *zero = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	ASSERT_NE(NULL, mem);
	mem[0] = 0x1234;
	EXPECT_EQ(0, vfio_try_load64(zero, &seen));
	ASSERT_EQ(0, vfio_dma_map_flags(self->c, zero, 8 * PAGE, PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	ASSERT_EQ(0, vfio_dma_map_flags(self->c, mem, 0, PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	ASSERT_EQ(0, vfio_dma_map(self->c, (void *)mem + PAGE, PAGE, PAGE));
	EXPECT_LOCKED(3 * PAGE);
	mem[PAGE / 8] = 0x77;
	EXPECT_EQ(0, edu_copy(&self->d, 8 * PAGE, PAGE));
	EXPECT_EQ(0, mem[PAGE / 8]);
	EXPECT_EQ(0, edu_copy(&self->d, 0, PAGE));
	EXPECT_EQ(0x1234, mem[PAGE / 8]);
	mem[PAGE / 8] = 0x5678;
	EXPECT_EQ(0, edu_copy(&self->d, PAGE, 0));
	EXPECT_EQ(0x1234, mem[0]);
	/* What is unmapped is out of reach. */
	EXPECT_EQ(0, vfio_dma_unmap(self->c, PAGE, PAGE));
	EXPECT_EQ(0, edu_dma(&self->d, PAGE, 64, true));
	seen = mem[PAGE / 8];
	EXPECT_EQ(0x5678, seen);
}

/* The group that comes second reaches what was mapped before. */
TEST_F(edu, replay)
{
	void *result = vfio_alloc_pages(PAGE);
	uint64_t size, iova = 16 * MiB;
	void *mem = motley(&size);
	struct vfio_dev first;
	uint64_t locked;

	ASSERT_NE(NULL, mem);
	vfio_dev_close(&self->d);
	VFIO_DEV_OPEN_OR_SKIP(&first, VFIO_TESTDEV, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_dma_map(first.container, result, 0, PAGE));
	ASSERT_EQ(0, vfio_dma_map(first.container, mem, iova, size));
	locked = size + PAGE;
	EXPECT_LOCKED(locked);

	ASSERT_EQ(0, vfio_dev_open_with(&self->d, VFIO_EDU, &first));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 6, 0));
	EXPECT_LOCKED(locked);
	check_page(_metadata, &self->d, mem, iova, 76 + 4 * MiB / PAGE, result,
		   0);

	/* And keeps it when the first leaves. */
	close(first.device);
	first.device = -1;
	ASSERT_EQ(0, vfio_ioctl(first.group, VFIO_GROUP_UNSET_CONTAINER));
	EXPECT_LOCKED(locked);
	check_page(_metadata, &self->d, mem, iova, 40, result, 0);
	EXPECT_EQ(0, vfio_dma_unmap(first.container, iova, size));
	EXPECT_LOCKED(PAGE);
	self->d.shared = false;
	first.shared = true;
	vfio_dev_close(&first);
}

/* Each mapping is charged for itself. */
TEST_F(edu, charge_adds_up)
{
	void *mem = vfio_alloc_pages(MiB);
	int i;

	ASSERT_NE(NULL, mem);
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, vfio_dma_map(self->c, mem, i * MiB, MiB));
		EXPECT_LOCKED((i + 1) * MiB);
	}
	EXPECT_EQ(-EEXIST, vfio_dma_map(self->c, mem, 0, MiB));
	EXPECT_LOCKED(16 * MiB);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 3 * MiB, 4 * MiB));
	EXPECT_LOCKED(12 * MiB);
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, 0, 0,
					  VFIO_DMA_UNMAP_FLAG_ALL, NULL));
	EXPECT_LOCKED(0);
}

static int drop_capability(int cap)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &h, data))
		return -errno;
	data[cap / 32].effective &= ~(1U << cap % 32);
	return syscall(SYS_capset, &h, data) ? -errno : 0;
}

static void limit_child(struct __test_metadata *_metadata, int c)
{
	struct rlimit limit = { 64 * PAGE, 64 * PAGE };
	void *mem = vfio_alloc_pages(2 * MiB);
	int64_t locked = vfio_locked_kb();

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	/* The privilege counts that a mapping was made with. */
	EXPECT_EQ(0, vfio_dma_map(c, mem, 0, 2 * MiB));
	EXPECT_EQ(0, vfio_dma_unmap(c, 0, 2 * MiB));
	ASSERT_EQ(0, drop_capability(CAP_IPC_LOCK));

	EXPECT_EQ(-ENOMEM, vfio_dma_map(c, mem, 0, 65 * PAGE));
	EXPECT_EQ(locked, vfio_locked_kb());
	EXPECT_EQ(0, vfio_dma_map(c, mem, 0, 64 * PAGE));
	EXPECT_EQ(-ENOMEM, vfio_dma_map(c, mem, 2 * MiB, PAGE));
	EXPECT_EQ(locked + 64 * PAGE / KiB, vfio_locked_kb());
	EXPECT_EQ(0, vfio_dma_unmap(c, 0, 64 * PAGE));
	EXPECT_EQ(0, vfio_dma_map(c, mem, 2 * MiB, PAGE));
	EXPECT_EQ(0, vfio_dma_unmap(c, 2 * MiB, PAGE));
	EXPECT_EQ(locked, vfio_locked_kb());
}

TEST_F(edu, charge_is_limited)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		limit_child(_metadata, self->c);
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* A process dies with mappings in a container that lives on. */
TEST_F(edu, charged_process_dies)
{
	void *mem = vfio_alloc_pages(MiB);
	uint64_t done;
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(vfio_dma_map(self->c, mem, 0, MiB) ||
		      vfio_locked_kb() != 1024);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LOCKED(0);
	EXPECT_EQ(0, vfio_dma_map(self->c, mem, MiB, MiB));
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, 0, 2 * MiB, 0, &done));
	EXPECT_EQ(2 * MiB, done);
	EXPECT_LOCKED(0);
}

/* A new process takes the mappings over, as after an update of the VMM. */
TEST_F(edu, vaddr_moves_the_charge)
{
	void *mem = mmap(NULL, MiB, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int status;
	pid_t pid;

	ASSERT_EQ(0, vfio_dma_map(self->c, mem, 0, MiB));
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, 0, MiB,
					  VFIO_DMA_UNMAP_FLAG_VADDR, NULL));
	EXPECT_LOCKED(MiB);
	pid = fork();
	if (!pid) {
		struct rlimit limit = { MiB - PAGE, MiB };
		int bad;

		setrlimit(RLIMIT_MEMLOCK, &limit);
		drop_capability(CAP_IPC_LOCK);
		bad = vfio_dma_map_flags(self->c, mem, 0, MiB,
					 VFIO_DMA_MAP_FLAG_VADDR) != -ENOMEM;
		limit.rlim_cur = MiB;
		setrlimit(RLIMIT_MEMLOCK, &limit);
		_exit(bad || vfio_locked_kb() ||
		      vfio_dma_map_flags(self->c, mem, 0, MiB,
					 VFIO_DMA_MAP_FLAG_VADDR) ||
		      vfio_locked_kb() != 1024);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LOCKED(0);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 0, MiB));
}

/* Killed while mapping and unmapping; the fixture looks for what is left. */
TEST_F(edu, killed_at_work)
{
	uint64_t size = 256 * MiB, avail;
	int status, i, c = self->c;
	void *mem;
	pid_t pid;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, size, MADV_NOHUGEPAGE);
	for (i = 0; i < 12; i++) {
		pid = fork();
		if (!pid) {
			for (;;) {
				vfio_dma_map(c, mem, 0, size);
				vfio_dma_unmap(c, 0, size);
			}
		}
		usleep(13000 * i + 1000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_EQ(0, vfio_dma_unmap_flags(c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL,
					  &avail));
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
}

/* The memory of another device. It is nobody's, so nobody is charged. */
TEST_F(edu, peer_memory)
{
	uint64_t *mem = vfio_alloc_pages(PAGE), size, seen;
	struct vfio_dev peer;
	void *bar;

	if (vfio_dev_open_with(&peer, VFIO_IVSHMEM, &self->d))
		SKIP(return, "no device %s here", VFIO_IVSHMEM);
	ASSERT_EQ(0, vfio_cfg_command(&peer, 2, 0));
	size = vfio_region_size(&peer, 2);
	ASSERT_EQ(0, vfio_region_mmap(&peer, 2, 0, size, &bar));
	ASSERT_EQ(0, vfio_dma_map(self->c, mem, 0, PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->c, bar, 64 * MiB, size));
	EXPECT_LOCKED(PAGE);

	mem[0] = 0xfeedface;
	EXPECT_EQ(0, edu_copy(&self->d, 0, 64 * MiB + size - PAGE));
	EXPECT_EQ(0, vfio_try_load64(bar + size - PAGE, &seen));
	EXPECT_EQ(0xfeedface, seen);
	EXPECT_EQ(0, vfio_try_store64(bar + 5 * PAGE, 0xcafe));
	EXPECT_EQ(0, edu_copy(&self->d, 64 * MiB + 5 * PAGE, 0));
	EXPECT_EQ(0xcafe, mem[0]);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 64 * MiB, size));

	/* A part of it; a mapping that may not be written; no memory. */
	EXPECT_EQ(0, vfio_dma_map(self->c, bar + 3 * PAGE, 64 * MiB, 9 * PAGE));
	EXPECT_EQ(0, edu_copy(&self->d, 64 * MiB + 2 * PAGE, 0));
	EXPECT_EQ(0xcafe, mem[0]);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 64 * MiB, 9 * PAGE));
	ASSERT_EQ(0, mprotect(bar, size, PROT_READ));
	EXPECT_EQ(-EFAULT, vfio_dma_map(self->c, bar, 64 * MiB, size));
	EXPECT_EQ(0, vfio_dma_map_flags(self->c, bar, 64 * MiB, size,
					VFIO_DMA_MAP_FLAG_READ));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 64 * MiB, size));
	ASSERT_EQ(0, mprotect(bar, size, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, vfio_cfg_command(&peer, 0, 2));
	EXPECT_EQ(-EFAULT, vfio_dma_map(self->c, bar, 64 * MiB, size));
	ASSERT_EQ(0, vfio_cfg_command(&peer, 2, 0));
	EXPECT_EQ(0, vfio_dma_map(self->c, bar, 64 * MiB, size));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 64 * MiB, size));
	EXPECT_LOCKED(PAGE);
	munmap(bar, size);
	vfio_dev_close(&peer);
}

/* PFNs of memory that is nobody's pages, of a device without a driver. */
TEST_F(edu, memory_of_sysfs)
{
	char bdf[VFIO_BDF_LEN];
	uint64_t *mem;
	uint32_t seen;
	void *bar;

	if (vfio_pci_resolve(VFIO_TESTDEV, bdf))
		SKIP(return, "no device %s here", VFIO_TESTDEV);
	vfio_pci_unbind(bdf);
	ASSERT_EQ(0, vfio_pci_attr_write(bdf, "enable", "1"));
	bar = vfio_pci_resource_map(bdf, 0);
	ASSERT_NE(MAP_FAILED, bar);
	mem = vfio_alloc_pages(PAGE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_dma_map(self->c, mem, 0, PAGE));

	/* It is charged to nobody. */
	ASSERT_EQ(0, vfio_dma_map(self->c, bar, 64 * MiB, PAGE));
	EXPECT_LOCKED(PAGE);
	seen = *(volatile uint32_t *)bar;
	EXPECT_EQ(0, edu_copy(&self->d, 64 * MiB, 0));
	EXPECT_EQ(seen, (uint32_t)mem[0]);
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 64 * MiB, PAGE));

	ASSERT_EQ(0, mprotect(bar, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, vfio_dma_map(self->c, bar, 64 * MiB, PAGE));
	EXPECT_EQ(0, vfio_dma_map_flags(self->c, bar, 64 * MiB, PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	munmap(bar, PAGE);
	ASSERT_EQ(0, vfio_pci_attr_write(bdf, "enable", "0"));
}

TEST_HARNESS_MAIN
