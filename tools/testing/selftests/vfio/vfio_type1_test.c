// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of a type1 container: what they answer and what they refuse. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define BASE VFIO_IOVA_BASE
#define AT (BASE + MiB)
#define MiB 0x100000ULL
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define BITMAP VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP
#define UNSAFE "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
#define DMA_ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"

FIXTURE(type1)
{
	struct vfio_dev d;
	int c;
	char *mem;
	size_t size;
};

FIXTURE_VARIANT(type1)
{
	int type;
	bool v2;
};

FIXTURE_VARIANT_ADD(type1, v1) { .type = VFIO_TYPE1_IOMMU };
FIXTURE_VARIANT_ADD(type1, v2) { .type = VFIO_TYPE1v2_IOMMU, .v2 = true };

FIXTURE_SETUP(type1)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_ANY, variant->type);
	self->c = self->d.container;
	self->size = MiB;
	self->mem = vfio_alloc_pages(self->size);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(type1)
{
	vfio_dev_close(&self->d);
}

static int unmap_size(int c, uint64_t iova, uint64_t size, uint64_t *done)
{
	return vfio_dma_unmap_flags(c, iova, size, 0, done);
}

static int unmap_all(int c, uint64_t *done)
{
	return vfio_dma_unmap_flags(c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, done);
}

TEST_F(type1, extensions)
{
	static const struct {
		unsigned long ext;
		int answer;
	} list[] = {
		{ VFIO_TYPE1_IOMMU, 1 }, { VFIO_TYPE1v2_IOMMU, 1 },
		{ VFIO_TYPE1_NESTING_IOMMU, 1 }, { VFIO_UNMAP_ALL, 1 },
		{ VFIO_UPDATE_VADDR, 1 }, { VFIO_SPAPR_TCE_IOMMU, 0 },
		{ VFIO_SPAPR_TCE_v2_IOMMU, 0 }, { VFIO_EEH, 0 }, { 0, 0 },
		{ 4711, 0 },
	};
	int i, cc;

	for (i = 0; i < ARRAY_SIZE(list); i++)
		EXPECT_EQ(list[i].answer,
			  vfio_ioctl(self->c, VFIO_CHECK_EXTENSION,
				     list[i].ext));
	cc = vfio_ioctl(self->c, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
	EXPECT_TRUE(cc == 0 || cc == 1);
}

TEST_F(type1, extensions_without_back_end)
{
	static const struct {
		unsigned long ext;
		int answer;
	} list[] = {
		{ VFIO_TYPE1_IOMMU, 1 }, { VFIO_TYPE1v2_IOMMU, 1 },
		{ VFIO_TYPE1_NESTING_IOMMU, 1 }, { VFIO_UNMAP_ALL, 1 },
		{ VFIO_UPDATE_VADDR, 0 }, { VFIO_DMA_CC_IOMMU, 0 },
	};
	int c = vfio_open_container(), i;

	ASSERT_LE(0, c);
	for (i = 0; i < ARRAY_SIZE(list); i++)
		EXPECT_EQ(list[i].answer, vfio_ioctl(c, VFIO_CHECK_EXTENSION,
						     list[i].ext));
	close(c);
}

TEST_F(type1, unknown_ioctls)
{
	EXPECT_EQ(-ENOTTY, vfio_ioctl(self->c, VFIO_IOMMU_ENABLE));
	EXPECT_EQ(-ENOTTY, vfio_ioctl(self->c, VFIO_IOMMU_DISABLE));
	EXPECT_EQ(-ENOTTY, vfio_ioctl(self->c, _IO(VFIO_TYPE, 250)));
}

TEST_F(type1, info_argsz)
{
	struct {
		struct vfio_iommu_type1_info info;
		uint8_t rest[1024];
	} buf;
	struct vfio_iommu_type1_info *info = &buf.info;
	size_t min = offsetof(struct vfio_iommu_type1_info, cap_offset);
	uint32_t need;

	EXPECT_EQ(-EFAULT, vfio_ioctl(self->c, VFIO_IOMMU_GET_INFO, NULL));
	memset(&buf, 0xff, sizeof(buf));
	info->argsz = min - 1;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->c, VFIO_IOMMU_GET_INFO, info));

	/* Nothing behind the size that the caller knows is touched. */
	info->argsz = min;
	ASSERT_EQ(0, vfio_ioctl(self->c, VFIO_IOMMU_GET_INFO, info));
	need = info->argsz;
	EXPECT_GT(need, sizeof(*info));
	EXPECT_EQ(VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, info->flags);
	EXPECT_TRUE(info->iova_pgsizes & PAGE);
	EXPECT_EQ(0, info->iova_pgsizes & (PAGE - 1));
	EXPECT_EQ(UINT32_MAX, info->cap_offset);

	info->argsz = need - 1;
	ASSERT_EQ(0, vfio_ioctl(self->c, VFIO_IOMMU_GET_INFO, info));
	EXPECT_EQ(need, info->argsz);
	EXPECT_EQ(0, info->cap_offset);
	EXPECT_EQ(0xff, buf.rest[0]);

	info->argsz = sizeof(buf);
	ASSERT_EQ(0, vfio_ioctl(self->c, VFIO_IOMMU_GET_INFO, info));
	EXPECT_EQ(sizeof(buf), info->argsz);
	EXPECT_EQ(sizeof(*info), info->cap_offset);
	EXPECT_EQ(0xff, buf.rest[need - sizeof(*info)]);
}

TEST_F(type1, info_caps)
{
	const struct vfio_iommu_type1_info_cap_migration *mig;
	const struct vfio_iommu_type1_info_cap_iova_range *cap;
	struct vfio_iommu_type1_info *info = vfio_iommu_info(self->c);
	const struct vfio_info_cap_header *h;
	uint64_t next = 0;
	uint32_t i;

	ASSERT_NE(NULL, info);
	mig = vfio_info_cap(info, info->cap_offset,
			    VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
	ASSERT_NE(NULL, mig);
	EXPECT_EQ(1, mig->header.version);
	EXPECT_EQ(0, mig->flags);
	EXPECT_EQ(PAGE, mig->pgsize_bitmap);
	EXPECT_EQ(256 * MiB, mig->max_dirty_bitmap_size);

	/* The order is not promised, but it is what all drivers gave so far. */
	h = (void *)info + info->cap_offset;
	EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, h->id);
	h = (void *)info + h->next;
	EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, h->id);
	h = (void *)info + h->next;
	EXPECT_EQ(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, h->id);
	EXPECT_EQ(0, h->next);
	EXPECT_EQ(1, h->version);

	cap = (void *)h;
	ASSERT_GT(cap->nr_iovas, 0);
	EXPECT_EQ(0, cap->reserved);
	for (i = 0; i < cap->nr_iovas; i++) {
		EXPECT_LE(next, cap->iova_ranges[i].start);
		EXPECT_LT(cap->iova_ranges[i].start, cap->iova_ranges[i].end);
		next = cap->iova_ranges[i].end + 1;
	}
	free(info);
}

/* What is between the ranges cannot be mapped, nor what is behind them. */
TEST_F(type1, ranges_are_limits)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap;
	struct vfio_iommu_type1_info *info = vfio_iommu_info(self->c);
	uint64_t start, last = 0;
	uint32_t i;

	cap = vfio_info_cap(info, info->cap_offset,
			    VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	ASSERT_NE(NULL, cap);
	for (i = 0; i < cap->nr_iovas; i++) {
		start = cap->iova_ranges[i].start;
		last = cap->iova_ranges[i].end + 1 - PAGE;
		EXPECT_EQ(0, vfio_dma_map(self->c, self->mem, start, PAGE));
		EXPECT_EQ(0, vfio_dma_map(self->c, self->mem, last, PAGE));
		/* Behind the last of all addresses there is nothing to map. */
		if (last != -PAGE)
			EXPECT_EQ(-EINVAL, vfio_dma_map(self->c, self->mem,
							last + PAGE, PAGE));
		EXPECT_EQ(0, vfio_dma_unmap(self->c, last, PAGE));
		EXPECT_EQ(-EINVAL, vfio_dma_map(self->c, self->mem, last,
						2 * PAGE));
		if (start)
			EXPECT_EQ(-EINVAL, vfio_dma_map(self->c, self->mem,
							start - PAGE, PAGE));
		EXPECT_EQ(0, vfio_dma_unmap(self->c, start, PAGE));
	}
	if (last != -PAGE)
		EXPECT_EQ(-EINVAL, vfio_dma_map(self->c, self->mem, -PAGE,
						PAGE));
	free(info);
}

TEST_F(type1, map_arguments)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map) - 1, .flags = RW,
		.vaddr = (uintptr_t)self->mem, .iova = BASE, .size = PAGE,
	};
	char *m = self->mem;
	int c = self->c;

	EXPECT_EQ(-EFAULT, vfio_ioctl(c, VFIO_IOMMU_MAP_DMA, NULL));
	EXPECT_EQ(-EINVAL, vfio_ioctl(c, VFIO_IOMMU_MAP_DMA, &map));
	map.argsz = UINT32_MAX;
	EXPECT_EQ(0, vfio_ioctl(c, VFIO_IOMMU_MAP_DMA, &map));
	EXPECT_EQ(-EEXIST, vfio_ioctl(c, VFIO_IOMMU_MAP_DMA, &map));

	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT, PAGE, 0));
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT, PAGE, 8 | RW));
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT, PAGE,
					      VFIO_DMA_MAP_FLAG_VADDR | RW));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, m, AT, 0));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, m, AT, PAGE - 1));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, m, AT, 512));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, m, AT + 512, PAGE));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, m + 512, AT, PAGE));
	/* Over the top of either address space. */
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, m, -PAGE, 2 * PAGE));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, (void *)-PAGE, AT, 2 * PAGE));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, m, AT, -PAGE));
	EXPECT_EQ(-EFAULT, vfio_dma_map(c, (void *)-PAGE, AT, PAGE));
	/* Overlaps: at the end, the start, around, within. */
	EXPECT_EQ(0, vfio_dma_map(c, m, AT, 4 * PAGE));
	EXPECT_EQ(-EEXIST, vfio_dma_map(c, m, AT - PAGE, 2 * PAGE));
	EXPECT_EQ(-EEXIST, vfio_dma_map(c, m, AT + 3 * PAGE, 2 * PAGE));
	EXPECT_EQ(-EEXIST, vfio_dma_map(c, m, AT - PAGE, 8 * PAGE));
	EXPECT_EQ(-EEXIST, vfio_dma_map(c, m, AT + PAGE, PAGE));
	EXPECT_EQ(0, vfio_dma_map(c, m, AT - PAGE, PAGE));
	EXPECT_EQ(0, vfio_dma_map(c, m, AT + 4 * PAGE, PAGE));
}

TEST_F(type1, map_memory)
{
	int64_t locked = vfio_proc_status_kb(getpid(), "VmLck");
	uint32_t avail = vfio_dma_avail(self->c);
	char *m = self->mem;
	int c = self->c;

	/* Not there, not there in part, not with these rights. */
	EXPECT_EQ(-EFAULT, vfio_dma_map(c, NULL, AT, PAGE));
	ASSERT_EQ(0, munmap(m + self->size / 4, PAGE));
	EXPECT_EQ(-EFAULT, vfio_dma_map(c, m, AT, self->size));
	ASSERT_EQ(0, mprotect(m, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, vfio_dma_map(c, m, AT, PAGE));
	EXPECT_EQ(-EFAULT, vfio_dma_map_flags(c, m, AT, PAGE,
					      VFIO_DMA_MAP_FLAG_WRITE));
	EXPECT_EQ(0, vfio_dma_map_flags(c, m, AT, PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	EXPECT_EQ(0, vfio_dma_unmap(c, AT, PAGE));
	ASSERT_EQ(0, mprotect(m, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, vfio_dma_map_flags(c, m, AT, PAGE,
					      VFIO_DMA_MAP_FLAG_READ));

	EXPECT_EQ(avail, vfio_dma_avail(c));
	EXPECT_EQ(locked, vfio_proc_status_kb(getpid(), "VmLck"));
}

TEST_F(type1, unmap_arguments)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap) - 1, .size = PAGE,
	};
	uint64_t done;
	int c = self->c;

	ASSERT_EQ(0, vfio_dma_map(c, self->mem, BASE, 4 * PAGE));
	EXPECT_EQ(-EFAULT, vfio_ioctl(c, VFIO_IOMMU_UNMAP_DMA, NULL));
	EXPECT_EQ(-EINVAL, vfio_ioctl(c, VFIO_IOMMU_UNMAP_DMA, &unmap));
	EXPECT_EQ(-EINVAL, vfio_dma_unmap_flags(c, BASE, PAGE, 8, NULL));
	EXPECT_EQ(-EINVAL, unmap_size(c, 0, 0, &done));
	EXPECT_EQ(-EINVAL, unmap_size(c, BASE, 512, &done));
	EXPECT_EQ(-EINVAL, unmap_size(c, BASE + 512, PAGE, &done));
	EXPECT_EQ(-EINVAL, unmap_size(c, 2 * PAGE, -PAGE, &done));
	EXPECT_EQ(-EINVAL, vfio_dma_unmap_flags(c, BASE + PAGE, 0,
						VFIO_DMA_UNMAP_FLAG_ALL, NULL));
	EXPECT_EQ(-EINVAL, vfio_dma_unmap_flags(c, BASE, PAGE,
						VFIO_DMA_UNMAP_FLAG_ALL, NULL));
	/* A bitmap is asked for, but none is given. */
	EXPECT_EQ(-EINVAL, vfio_dma_unmap_flags(c, BASE, PAGE, BITMAP, NULL));
	/* It is no error to unmap nothing. */
	EXPECT_EQ(0, unmap_size(c, AT, PAGE, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(0, unmap_all(c, &done));
	EXPECT_EQ(4 * PAGE, done);
	EXPECT_EQ(0, unmap_all(c, &done));
	EXPECT_EQ(0, done);
}

/* A range that ends or begins within a mapping. */
TEST_F(type1, unmap_part)
{
	uint64_t done = 0;
	int c = self->c;

	ASSERT_EQ(0, vfio_dma_map(c, self->mem, AT, 4 * PAGE));
	if (variant->v2) {
		EXPECT_EQ(-EINVAL, unmap_size(c, AT, PAGE, &done));
		EXPECT_EQ(-EINVAL, unmap_size(c, AT + PAGE, PAGE, &done));
		EXPECT_EQ(-EINVAL, unmap_size(c, AT + PAGE, MiB, &done));
		EXPECT_EQ(-EINVAL, unmap_size(c, BASE, MiB + PAGE, &done));
		EXPECT_EQ(0, unmap_size(c, BASE, 2 * MiB, &done));
		EXPECT_EQ(4 * PAGE, done);
		return;
	}
	/* From the middle on: nothing. From the start on: everything. */
	EXPECT_EQ(0, unmap_size(c, AT + PAGE, PAGE, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(0, unmap_size(c, AT + PAGE, MiB, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(0, unmap_size(c, AT, PAGE, &done));
	EXPECT_EQ(4 * PAGE, done);
	ASSERT_EQ(0, vfio_dma_map(c, self->mem, AT, 4 * PAGE));
	EXPECT_EQ(0, unmap_size(c, BASE, MiB + PAGE, &done));
	EXPECT_EQ(4 * PAGE, done);
}

TEST_F(type1, unmap_several)
{
	uint64_t done;
	int i, c = self->c;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, vfio_dma_map(c, self->mem + i * PAGE,
					  AT + i * 2 * PAGE, PAGE));
	EXPECT_EQ(0, unmap_size(c, AT + PAGE, 4 * PAGE, &done));
	EXPECT_EQ(2 * PAGE, done);
	EXPECT_EQ(0, unmap_size(c, BASE, (1ULL << 38), &done));
	EXPECT_EQ(6 * PAGE, done);
}

/* A range that ends with the address space. 6.12 finds nothing in it. */
TEST_F(type1, unmap_to_the_top)
{
	uint64_t iova = AT, done;

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, iova, PAGE));
	EXPECT_EQ(0, unmap_size(self->c, iova, -iova, &done));
	EXPECT_EQ(PAGE, done);
	EXPECT_EQ(-EINVAL, unmap_size(self->c, iova, -iova + PAGE, &done));
}

TEST_F(type1, entry_limit)
{
	char saved[16], want[16];
	struct vfio_dev d;
	int i;

	EXPECT_EQ(65535, vfio_dma_avail(self->c));
	ASSERT_EQ(0, vfio_sysfs_read(DMA_ENTRY_LIMIT, saved, sizeof(saved)));
	snprintf(want, sizeof(want), "3");
	ASSERT_EQ(0, vfio_sysfs_write(DMA_ENTRY_LIMIT, want));
	/* It is the limit of containers to come. */
	EXPECT_EQ(65535, vfio_dma_avail(self->c));
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_dev_open(&d, VFIO_ANY, variant->type));
	ASSERT_EQ(0, vfio_sysfs_write(DMA_ENTRY_LIMIT, saved));

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(3 - i, vfio_dma_avail(d.container));
		ASSERT_EQ(0, vfio_dma_map(d.container, self->mem,
					  BASE + i * PAGE, PAGE));
	}
	EXPECT_EQ(-ENOSPC, vfio_dma_map(d.container, self->mem, AT, PAGE));
	EXPECT_EQ(-EEXIST, vfio_dma_map(d.container, self->mem, BASE, PAGE));
	EXPECT_EQ(-EINVAL, vfio_dma_map(d.container, self->mem, BASE + 1, PAGE));
	EXPECT_EQ(-ENOSPC, vfio_dma_map(d.container, self->mem, -PAGE, PAGE));
	EXPECT_EQ(0, vfio_dma_unmap(d.container, BASE, PAGE));
	EXPECT_EQ(1, vfio_dma_avail(d.container));
	EXPECT_EQ(0, vfio_dma_map(d.container, self->mem, AT, PAGE));
	vfio_dev_close(&d);
}

/*
 * Where nothing keeps a device from raising others' interrupts, the administrator has
 * to say so. An IOMMU on x86 remaps them, Arm's ITS and zPCI know whose they
 * are.
 */
TEST_F(type1, unsafe_interrupts)
{
	bool remapped = vfio_interrupt_lines("IR-") > 0 ||
			vfio_interrupt_lines("ITS-") > 0 || VFIO_ZPCI;
	char saved[16];
	int ret;

	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_sysfs_read(UNSAFE, saved, sizeof(saved)));
	ASSERT_EQ(0, vfio_sysfs_write(UNSAFE, "N"));
	ret = vfio_dev_open(&self->d, VFIO_ANY, variant->type);
	EXPECT_EQ(remapped ? 0 : -EPERM, ret);
	ASSERT_EQ(0, vfio_sysfs_write(UNSAFE, "Y"));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_dev_open(&self->d, VFIO_ANY, variant->type));
	ASSERT_EQ(0, vfio_sysfs_write(UNSAFE, saved));
}

TEST_F(type1, update_vaddr)
{
	const uint32_t inval = VFIO_DMA_UNMAP_FLAG_VADDR;
	const uint32_t vaddr = VFIO_DMA_MAP_FLAG_VADDR;
	char *m = self->mem;
	struct vfio_dev d2;
	uint64_t done;
	int c = self->c;

	ASSERT_EQ(0, vfio_dma_map(c, m, AT, 2 * PAGE));
	ASSERT_EQ(0, vfio_dma_map(c, m + 2 * PAGE, BASE + 2 * MiB, PAGE));
	/* Nothing was taken away. */
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT, 2 * PAGE, vaddr));
	EXPECT_EQ(-ENOENT, vfio_dma_map_flags(c, m, BASE, PAGE, vaddr));

	EXPECT_EQ(0, vfio_dma_unmap_flags(c, AT, 2 * PAGE, inval, &done));
	EXPECT_EQ(2 * PAGE, done);
	/* Twice is an error, and none of the others is taken then. */
	EXPECT_EQ(-EINVAL, vfio_dma_unmap_flags(c, BASE, 4 * MiB, inval, &done));
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT + MiB, PAGE, vaddr));

	EXPECT_EQ(-EEXIST, vfio_dma_map(c, m, AT, 2 * PAGE));
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT, PAGE, vaddr));
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT, 3 * PAGE, vaddr));
	EXPECT_EQ(-EBUSY, vfio_dev_open_with(&d2, VFIO_ANOTHER, &self->d));
	/* Another mapping is not in the way of anything. */
	EXPECT_EQ(0, vfio_dma_map(c, m, BASE + 3 * MiB, PAGE));
	EXPECT_EQ(0, vfio_dma_map_flags(c, m, AT, 2 * PAGE, vaddr));
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(c, m, AT, 2 * PAGE, vaddr));
	EXPECT_EQ(0, vfio_dev_open_with(&d2, VFIO_ANOTHER, &self->d));
	vfio_dev_close(&d2);

	EXPECT_EQ(0, vfio_dma_unmap_flags(c, 0, 0, inval |
					  VFIO_DMA_UNMAP_FLAG_ALL, &done));
	EXPECT_EQ(4 * PAGE, done);
	EXPECT_EQ(-EINVAL, vfio_dma_unmap_flags(c, 0, 0, inval | BITMAP,
						&done));
	/* To unmap makes up for it. */
	EXPECT_EQ(0, unmap_all(c, &done));
	EXPECT_EQ(4 * PAGE, done);
	EXPECT_EQ(0, vfio_dev_open_with(&d2, VFIO_ANOTHER, &self->d));
	vfio_dev_close(&d2);
}

/* A second group finds the mappings; the last one takes them along. */
TEST_F(type1, groups_come_and_go)
{
	uint32_t avail = vfio_dma_avail(self->c);
	struct vfio_dev d2;
	uint64_t done;
	int c = self->c;
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, vfio_dma_map(c, self->mem, AT, MiB));
		ASSERT_EQ(0, vfio_dev_open_with(&d2, VFIO_ANOTHER, &self->d));
		ASSERT_EQ(0, vfio_dma_map(c, self->mem, BASE + 2 * MiB, MiB));
		EXPECT_EQ(0, unmap_size(c, AT, MiB, &done));
		EXPECT_EQ(MiB, done);
		vfio_dev_close(&d2);
		EXPECT_EQ(avail - 1, vfio_dma_avail(c));
		EXPECT_EQ(0, unmap_size(c, BASE + 2 * MiB, MiB, &done));
		EXPECT_EQ(MiB, done);
	}
}

TEST_F(type1, nesting)
{
	struct vfio_dev d;

	vfio_dev_close(&self->d);
	/* As the IOMMU likes; but then it must work like the second version. */
	if (vfio_dev_open(&d, VFIO_ANY, VFIO_TYPE1_NESTING_IOMMU))
		SKIP(return, "no nesting here");
	ASSERT_EQ(0, vfio_dma_map(d.container, self->mem, AT, 4 * PAGE));
	EXPECT_EQ(-EINVAL, unmap_size(d.container, AT, PAGE, NULL));
	EXPECT_EQ(0, unmap_size(d.container, AT, 4 * PAGE, NULL));
	vfio_dev_close(&d);
}

static int dirty(int c, uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap d = {
		.argsz = sizeof(d), .flags = flags,
	};

	return vfio_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, &d);
}

/* A bitmap of @size bytes at @data for @len bytes from @iova on. */
static int dirty_get(int c, uint64_t iova, uint64_t len, uint64_t pgsize,
		     void *data, uint64_t size)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap d;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} q = {
		.d.argsz = sizeof(q),
		.d.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		.get = { iova, len, { pgsize, size, data } },
	};

	return vfio_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, &q);
}

static int dirty_unmap(int c, uint64_t iova, uint64_t len, uint64_t pgsize,
		       void *data, uint64_t size, uint64_t *done)
{
	struct {
		struct vfio_iommu_type1_dma_unmap u;
		struct vfio_bitmap b;
	} q = {
		.u = { sizeof(q), VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
		       iova, len },
		.b = { pgsize, size, data },
	};
	int ret = vfio_ioctl(c, VFIO_IOMMU_UNMAP_DMA, &q);

	*done = q.u.size;
	return ret;
}

#define START VFIO_IOMMU_DIRTY_PAGES_FLAG_START
#define STOP VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP
#define GET VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP

TEST_F(type1, dirty_arguments)
{
	struct vfio_iommu_type1_dirty_bitmap d = { .argsz = 7, .flags = START };
	uint64_t bits[8] = {}, done;
	int c = self->c;

	if (!variant->v2) {
		EXPECT_EQ(-EACCES, dirty(c, START));
		EXPECT_EQ(-EACCES, dirty(c, 0));
		return;
	}
	ASSERT_EQ(0, vfio_dma_map(c, self->mem, AT, 64 * PAGE));
	EXPECT_EQ(-EFAULT, vfio_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, NULL));
	EXPECT_EQ(-EINVAL, vfio_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, &d));
	EXPECT_EQ(-EINVAL, dirty(c, 0));
	EXPECT_EQ(-EINVAL, dirty(c, 8));
	EXPECT_EQ(-EINVAL, dirty(c, START | STOP));
	EXPECT_EQ(0, dirty(c, STOP));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 64 * PAGE, PAGE, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_unmap(c, AT, 64 * PAGE, PAGE, bits, 8,
				       &done));
	EXPECT_EQ(0, dirty(c, START));
	EXPECT_EQ(0, dirty(c, START));
	EXPECT_EQ(-EINVAL, dirty(c, GET));

	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 64 * PAGE, PAGE, bits, 4));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 64 * PAGE, PAGE, bits, 0));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 64 * PAGE, 2 * PAGE, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 64 * PAGE, 0, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 0, PAGE, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, PAGE / 2, PAGE, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT + 512, PAGE, PAGE, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 63 * PAGE, PAGE, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT + PAGE, 63 * PAGE, PAGE, bits, 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 64 * PAGE, PAGE, bits,
				     256 * MiB + 8));
	EXPECT_EQ(-EINVAL, dirty_get(c, 2 * PAGE, -PAGE, PAGE, bits,
				     256 * MiB));
	EXPECT_EQ(-EFAULT, dirty_get(c, AT, 64 * PAGE, PAGE, NULL, 8));
	/* Where users have the whole address space, nothing is there. */
	EXPECT_EQ(VFIO_ZPCI ? -EFAULT : -EINVAL,
		  dirty_get(c, AT, 64 * PAGE, PAGE, (void *)-PAGE, 8));
	EXPECT_EQ(-EFAULT, dirty_unmap(c, AT, 64 * PAGE, PAGE, NULL, 8,
				       &done));
	EXPECT_EQ(-EINVAL, dirty_unmap(c, AT, 64 * PAGE, 2 * PAGE, bits, 8,
				       &done));
	EXPECT_EQ(-EINVAL, dirty_unmap(c, AT, 64 * PAGE, PAGE, bits, 0,
				       &done));
	/* None of this unmapped anything. */
	EXPECT_EQ(0, dirty_unmap(c, AT, 64 * PAGE, PAGE, bits, 8, &done));
	EXPECT_EQ(64 * PAGE, done);
	EXPECT_EQ(-1ULL, bits[0]);
	EXPECT_EQ(0, bits[1]);
}

/* Mappings that share words of the bitmap, with holes between them. */
static const struct {
	unsigned int page, npages;
} layout[] = { { 3, 5 }, { 8, 1 }, { 60, 10 }, { 200, 1 } };

static void dirty_layout(struct __test_metadata *_metadata, int c, void *mem)
{
	int i;

	EXPECT_EQ(0, dirty(c, START));
	for (i = 0; i < ARRAY_SIZE(layout); i++)
		ASSERT_EQ(0, vfio_dma_map(c, mem,
					  AT + layout[i].page * PAGE,
					  layout[i].npages * PAGE));
}

/* A device that cannot tell dirties all that it can reach, ever again. */
TEST_F(type1, dirty_everything)
{
	uint64_t bits[4], done;
	int c = self->c;
	int i;

	if (!variant->v2)
		SKIP(return, "the first version has no dirty tracking");
	dirty_layout(_metadata, self->c, self->mem);
	for (i = 0; i < 2; i++) {
		memset(bits, 0, sizeof(bits));
		EXPECT_EQ(0, dirty_get(c, AT, 256 * PAGE, PAGE, bits,
				       sizeof(bits)));
		EXPECT_EQ(0xf0000000000001f8ULL,
			  bits[0] & 0xf0000000000001f8ULL);
		EXPECT_EQ(0x3fULL, bits[1] & 0x3fULL);
		EXPECT_EQ(1ULL << 8, bits[3] & 1ULL << 8);
		EXPECT_EQ(0, bits[2]);
	}
	/* The bitmap of an unmap begins where the unmap does. */
	memset(bits, 0, sizeof(bits));
	EXPECT_EQ(0, dirty_unmap(c, AT + 60 * PAGE, 70 * PAGE, PAGE, bits, 16,
				 &done));
	EXPECT_EQ(10 * PAGE, done);
	EXPECT_EQ(0x3ffULL, bits[0] & 0x3ffULL);
	EXPECT_EQ(0, bits[1]);
	memset(bits, 0, sizeof(bits));
	EXPECT_EQ(0, dirty_get(c, AT, 256 * PAGE, PAGE, bits, sizeof(bits)));
	EXPECT_EQ(0xf8ULL, bits[0] & 0xf8);
	EXPECT_EQ(0, bits[1]);
	EXPECT_EQ(0, dirty(c, STOP));
	EXPECT_EQ(-EINVAL, dirty_get(c, AT, 256 * PAGE, PAGE, bits, 32));
}

/* 6.12 reports pages behind a mapping from the second query on. */
TEST_F(type1, dirty_holes_are_clean)
{
	uint64_t bits[4];
	int i;

	if (!variant->v2)
		SKIP(return, "the first version has no dirty tracking");
	dirty_layout(_metadata, self->c, self->mem);
	for (i = 0; i < 3; i++) {
		memset(bits, 0, sizeof(bits));
		EXPECT_EQ(0, dirty_get(self->c, AT, 256 * PAGE, PAGE, bits,
				       sizeof(bits)));
		EXPECT_EQ(0xf0000000000001f8ULL, bits[0]);
		EXPECT_EQ(0x3fULL, bits[1]);
		EXPECT_EQ(0, bits[2]);
		EXPECT_EQ(1ULL << 8, bits[3]);
	}
}

TEST_HARNESS_MAIN
