// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the core does for a driver whose device is emulated, in every mode: its
 * pins and accesses of user memory, and what the mm asks of mappings of its own
 * memory. It needs test_vfio_emulated.ko; type1 itself has a test of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_emulated.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define BASE 0x1000000ULL
#define NPAGES 16
#define READ 1
#define WRITE 2

FIXTURE(driver)
{
	struct vfio_dev d;
	char *mem;
	uint32_t unmaps;
};

#define VFIO_FIXTURE driver
#include "vfio_each_mode.h"

FIXTURE_SETUP(driver)
{
	int ret = emu_open(&self->d, 0, variant->mode, NULL), i;

	if (ret == -ENXIO)
		SKIP(return, "test_vfio_emulated.ko is not loaded");
	if (ret == -ENOENT && variant->mode & VFIO_MODE_IOMMUFDS)
		SKIP(return, "the kernel has no iommufd");
	ASSERT_EQ(0, ret);
	self->mem = vfio_alloc_pages(NPAGES * PAGE);
	ASSERT_NE(NULL, self->mem);
	for (i = 0; i < NPAGES; i++)
		*(uint64_t *)(self->mem + i * PAGE) = 0xabc000 + i;
	ASSERT_EQ(0, vfio_dma_map(self->d.container, self->mem, BASE,
				  NPAGES * PAGE));
}

FIXTURE_TEARDOWN(driver)
{
	vfio_dev_close(&self->d);
}

TEST_F(driver, access)
{
	struct vfio_dev *d = &self->d;
	char buf[2 * PAGE];

	ASSERT_EQ(0, emu_rw(d, BASE + PAGE, buf, sizeof(buf), false));
	EXPECT_EQ(0xabc001, *(uint64_t *)buf);
	EXPECT_EQ(0xabc002, *(uint64_t *)(buf + PAGE));
	memset(buf, 'Z', sizeof(buf));
	ASSERT_EQ(0, emu_rw(d, BASE + 4 * PAGE - 3, buf, 6, true));
	EXPECT_EQ(0, memcmp(self->mem + 4 * PAGE - 3, "ZZZZZZ", 6));
	EXPECT_GT(0, emu_rw(d, BASE - PAGE, buf, 8, false));
	EXPECT_GT(0, emu_rw(d, BASE + NPAGES * PAGE - 4, buf, 8, true));
}

/* Only type1v2 tells drivers of unmaps, so the first type1 has no pins. */
TEST_F(driver, pins)
{
	struct vfio_dev *d = &self->d;
	struct test_vfio_unmaps unmaps;
	uint64_t seen[4] = {};

	if (variant->mode == VFIO_TYPE1_IOMMU) {
		EXPECT_GT(0, emu_pin(d, BASE, 4, READ, seen));
		return;
	}
	EXPECT_EQ(4, emu_pin(d, BASE + 2 * PAGE, 4, READ | WRITE, seen));
	EXPECT_EQ(0xabc002, seen[0]);
	EXPECT_EQ(0xabc005, seen[3]);
	EXPECT_EQ(1, emu_pin(d, BASE + 8 * PAGE, 1, READ, seen));
	EXPECT_GT(0, emu_pin(d, BASE + (NPAGES - 1) * PAGE, 2, READ, seen));
	EXPECT_EQ(0, emu_unpin(d, BASE + 8 * PAGE, 1));

	/* What the driver is told of, it lets go. */
	emu_unmaps(d, 0);
	EXPECT_EQ(0, vfio_dma_unmap(d->container, BASE, NPAGES * PAGE));
	unmaps = emu_unmaps(d, 0);
	EXPECT_LE(1, unmaps.calls);
	EXPECT_GE(BASE + 2 * PAGE, unmaps.iova);
	EXPECT_LE(BASE + 6 * PAGE, unmaps.iova + unmaps.length);
	EXPECT_GT(0, emu_rw(d, BASE + 2 * PAGE, seen, 8, false));
}

static struct test_vfio_vma_calls vma_calls(const struct vfio_dev *d)
{
	struct test_vfio_vma_calls calls = {};

	vfio_ioctl(d->device, TEST_VFIO_VMA_CALLS, &calls);
	return calls;
}

#define EXPECT_CALLS(n, name) \
	EXPECT_EQ(n, calls.op[TEST_VFIO_VMA_##name])

TEST_F(driver, mappings_of_pages)
{
	struct test_vfio_vma_calls calls;
	volatile char *map, *moved;
	char before;
	pid_t pid;

	map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   self->d.device, 0);
	ASSERT_NE(MAP_FAILED, map);
	calls = vma_calls(&self->d);
	EXPECT_CALLS(0, OPEN);

	/* The mm asks for what is there already before it asks for a page. */
	before = map[PAGE];
	calls = vma_calls(&self->d);
	EXPECT_CALLS(1, MAP_PAGES);
	EXPECT_CALLS(1, FAULT);
	EXPECT_CALLS(0, PAGE_MKWRITE);
	map[2 * PAGE] = before + 5;
	EXPECT_EQ((char)(before + 5), map[PAGE]);
	calls = vma_calls(&self->d);
	EXPECT_CALLS(1, FAULT);
	EXPECT_CALLS(1, PAGE_MKWRITE);

	/* It is split, and both parts are in use. */
	ASSERT_EQ(0, mprotect((void *)map, 4 * PAGE, PROT_READ));
	calls = vma_calls(&self->d);
	EXPECT_CALLS(1, MPROTECT);
	EXPECT_CALLS(1, MAY_SPLIT);
	EXPECT_CALLS(1, OPEN);
	EXPECT_CALLS(0, CLOSE);
	moved = mremap((void *)map, 4 * PAGE, 4 * PAGE,
		       MREMAP_MAYMOVE | MREMAP_FIXED, self->mem);
	ASSERT_NE(MAP_FAILED, moved);
	EXPECT_EQ((char)(before + 5), moved[0]);
	calls = vma_calls(&self->d);
	EXPECT_CALLS(1, MREMAP);
	EXPECT_CALLS(calls.op[TEST_VFIO_VMA_CLOSE], OPEN);

	pid = fork();
	if (!pid)
		_exit(0);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	calls = vma_calls(&self->d);
	EXPECT_CALLS(2, OPEN);
	EXPECT_CALLS(2, CLOSE);
	munmap((void *)map, 8 * PAGE);
	munmap((void *)moved, 4 * PAGE);
	calls = vma_calls(&self->d);
	EXPECT_CALLS(2, CLOSE);
}

TEST_F(driver, mappings_of_pfns)
{
	struct test_vfio_vma_calls calls;
	volatile char *map;
	char byte = 7, before;
	int fd;

	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   self->d.device, PAGE);
	ASSERT_NE(MAP_FAILED, map);
	before = map[0];
	map[0] = before + 6;
	calls = vma_calls(&self->d);
	EXPECT_LE(1, calls.op[TEST_VFIO_VMA_FAULT]);
	EXPECT_CALLS(1, PFN_MKWRITE);
	EXPECT_CALLS(0, PAGE_MKWRITE);

	/* A debugger gets there through the driver. */
	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, &byte, 1, (uintptr_t)map + 1));
	EXPECT_EQ(7, map[1]);
	ASSERT_EQ(1, pread(fd, &byte, 1, (uintptr_t)map));
	EXPECT_EQ((char)(before + 6), byte);
	close(fd);
	calls = vma_calls(&self->d);
	EXPECT_CALLS(2, ACCESS);
	munmap((void *)map, PAGE);
}

TEST_HARNESS_MAIN
