// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation along the way fails once: the operation is refused, nothing
 * of it is left, and it works when tried again. The kernel needs
 * CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define MiB 0x100000ULL
#define MANY 2000
#define HUGEPAGES "/proc/sys/vm/nr_hugepages"

FIXTURE(fail)
{
	struct vfio_dev d, second;
	struct vfio_iommu_type1_info *info;
	int c, nth;
	uint64_t tries;
	void *mem;
	uint64_t size;
	int64_t locked;
};

/* Neighbours that are not consecutive, so that there is a run per page. */
static void *scattered(uint64_t size)
{
	int fd = memfd_create("fail", 0);
	uint64_t i;
	void *mem;

	mem = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || mem == MAP_FAILED || ftruncate(fd, size))
		return NULL;
	for (i = 0; i < size; i += PAGE)
		if (mmap(mem + i, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED |
			 MAP_FIXED | MAP_POPULATE, fd, size - PAGE - i) ==
		    MAP_FAILED)
			return NULL;
	close(fd);
	return mem;
}

FIXTURE_SETUP(fail)
{
	self->nth = vfio_fail_open();
	if (self->nth < 0)
		SKIP(return, "the kernel has no fault injection");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	self->c = self->d.container;
	self->size = MiB;
	self->mem = scattered(self->size);
	ASSERT_NE(NULL, self->mem);
	self->locked = vfio_proc_status_kb(getpid(), "VmLck");
}

FIXTURE_TEARDOWN(fail)
{
	vfio_dev_close(&self->d);
}

/*
 * Do @op with the first, the second, ... allocation failing, until there is
 * none left. @undo takes back what @op did. Whatever happened, as much as
 * before is charged then.
 */
#define FAIL_SWEEP(op, undo) do {					\
	int __n, __ret, __refused = 0;					\
	bool __happened = true;						\
									\
	for (__n = 1; __happened && __n < MANY; __n++) {		\
		vfio_fail_arm(self->nth, __n);				\
		__ret = op;						\
		__happened = vfio_fail_happened(self->nth);		\
		if (__ret) {						\
			ASSERT_TRUE(__happened);			\
		} else {						\
			undo;						\
		}							\
		__refused += __ret == -ENOMEM;				\
		ASSERT_EQ(self->locked,					\
			  vfio_proc_status_kb(getpid(), "VmLck"));	\
	}								\
	EXPECT_LT(__n, MANY);						\
	EXPECT_LT(0, __refused);					\
} while (0)

TEST_F(fail, map)
{
	FAIL_SWEEP(vfio_dma_map(self->c, self->mem, MiB, self->size),
		   ASSERT_EQ(0, vfio_dma_unmap(self->c, MiB, self->size)));
}

static int tracking(int c, uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap d = {
		.argsz = sizeof(d), .flags = flags,
	};

	return vfio_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, &d);
}

TEST_F(fail, dirty)
{
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, (i + 1) * MiB,
					  MiB));
	self->locked += 4 * MiB / 1024;
	FAIL_SWEEP(tracking(self->c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START),
		   ASSERT_EQ(0, tracking(self->c,
					 VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP)));
}

TEST_F(fail, info)
{
	FAIL_SWEEP((self->info = vfio_iommu_info(self->c)) ? 0 : -errno,
		   free(self->info));
}

/* A group that brings a domain of its own: all is pinned for it. */
static int attach(struct vfio_dev *d, int container)
{
	return vfio_ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &container);
}

TEST_F(fail, attach)
{
	struct vfio_dev *d = &self->second;
	int c = self->c;

	ASSERT_EQ(0, vfio_dma_map(c, self->mem, MiB, self->size));
	self->locked += self->size / 1024;
	if (vfio_dev_open_group(d, VFIO_TESTDEV))
		SKIP(return, "no device %s here", VFIO_TESTDEV);
	FAIL_SWEEP(attach(d, c),
		   ASSERT_EQ(0, vfio_ioctl(d->group,
					   VFIO_GROUP_UNSET_CONTAINER)));
	close(d->group);
}

/*
 * Map and unmap, each time where the IOMMU has no table yet. Of the two that it
 * needs the second may fail: what is in the first must not stay, or it is in the
 * way of who maps there next.
 */
static int map_half(FIXTURE_DATA(fail) *self, void *mem, uint64_t size)
{
	uint64_t iova = ++self->tries * 1024 * MiB - size / 2;
	int ret, err;

	ret = vfio_dma_map(self->c, mem, iova, size);
	if (!ret)
		return vfio_dma_unmap(self->c, iova, size);
	err = vfio_dma_map(self->c, self->mem, iova, PAGE) ?:
	      vfio_dma_unmap(self->c, iova, PAGE);
	return err ? -EIO : ret;
}

TEST_F(fail, half)
{
	const uint64_t huge = vfio_huge_page();
	int log = vfio_klog_open();
	char saved[32];
	void *mem;

	ASSERT_EQ(0, vfio_sysfs_read(HUGEPAGES, saved, sizeof(saved)));
	ASSERT_EQ(0, vfio_sysfs_write(HUGEPAGES, "1"));
	mem = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		   MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (mem == MAP_FAILED)
		SKIP(return, "no huge pages to be had");
	FAIL_SWEEP(map_half(self, mem, huge), (void)0);
	EXPECT_EQ(0, vfio_klog_splats(log));
	munmap(mem, huge);
	vfio_sysfs_write(HUGEPAGES, saved);
	close(log);
}

/* The same with a device's memory. */
TEST_F(fail, half_of_a_peer)
{
	const uint64_t size = 2 * MiB;
	struct vfio_dev *d = &self->second;
	int log = vfio_klog_open();
	void *bar;

	if (vfio_dev_open_with(d, VFIO_IVSHMEM, &self->d))
		SKIP(return, "no device %s here", VFIO_IVSHMEM);
	ASSERT_EQ(0, vfio_cfg_command(d, 2, 0));
	ASSERT_EQ(0, vfio_region_mmap(d, 2, 0, size, &bar));
	FAIL_SWEEP(map_half(self, bar, size), (void)0);
	EXPECT_EQ(0, vfio_klog_splats(log));
	vfio_dev_close(d);
	close(log);
}

TEST_HARNESS_MAIN
