// SPDX-License-Identifier: GPL-2.0-only
/*
 * A type1 container on IOMMUs that no machine here has: with other page sizes, with an
 * end of their addresses, and failing at any page, telling or not telling how far they
 * came. It needs test_iommu.ko.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_emulated.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define KiB 0x400ULL
#define MiB 0x100000ULL
#define GiB 0x40000000ULL
#define HUGEPAGES "/proc/sys/vm/nr_hugepages"
#define PARAMETERS "/sys/module/vfio_iommu_type1/parameters/"
#define UNSAFE PARAMETERS "allow_unsafe_interrupts"
#define NOHUGE PARAMETERS "disable_hugepages"

/* Huge pages; and pages no two of which follow each other. */
#define HUGE_SIZE (8 * MiB)
#define SMALL_SIZE (256 * KiB)

FIXTURE(mock)
{
	struct vfio_dev d, second;
	int c;
	char *huge, *small;
	int64_t pinned;
	int64_t locked;
	char unsafe[16], nohuge[16], hugepages[16];
};

FIXTURE_VARIANT(mock)
{
	uint64_t pgsizes;
};

FIXTURE_VARIANT_ADD(mock, usual) { .pgsizes = 4 * KiB | 2 * MiB | GiB };
FIXTURE_VARIANT_ADD(mock, small) { .pgsizes = 4 * KiB };
FIXTURE_VARIANT_ADD(mock, powers_of_two) { .pgsizes = -4 * KiB };
FIXTURE_VARIANT_ADD(mock, contiguous) {
	.pgsizes = 4 * KiB | 64 * KiB | 2 * MiB | 32 * MiB,
};

/* Pages larger than the CPU's, and smaller. */
FIXTURE_VARIANT_ADD(mock, large) { .pgsizes = 64 * KiB | 2 * MiB };
FIXTURE_VARIANT_ADD(mock, tiny) { .pgsizes = 1 * KiB | 4 * KiB };

/* Each page begins with a number. */
static void fill(char *mem, uint64_t size, uint64_t first)
{
	uint64_t i;

	for (i = 0; i < size; i += PAGE)
		*(uint64_t *)(mem + i) = first + i;
}

static char *scattered(uint64_t size)
{
	int fd = memfd_create("scattered", MFD_CLOEXEC);
	char *mem = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	uint64_t i;

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

FIXTURE_SETUP(mock)
{
	if (mock_reset(variant->pgsizes))
		SKIP(return, "test_iommu.ko is not here");
	vfio_dev_init(&self->second);
	ASSERT_EQ(0, vfio_sysfs_read(UNSAFE, self->unsafe, 16));
	ASSERT_EQ(0, vfio_sysfs_read(NOHUGE, self->nohuge, 16));
	ASSERT_EQ(0, vfio_sysfs_read(HUGEPAGES, self->hugepages, 16));
	ASSERT_EQ(0, vfio_sysfs_write(UNSAFE, "1"));
	ASSERT_EQ(0, vfio_sysfs_write(HUGEPAGES, "8"));
	self->huge = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (self->huge == MAP_FAILED)
		SKIP(return, "no huge pages to be had");
	fill(self->huge, HUGE_SIZE, 0xb000000000);
	self->small = scattered(SMALL_SIZE);
	ASSERT_NE(NULL, self->small);
	fill(self->small, SMALL_SIZE, 0xa000000000);
	ASSERT_EQ(0, mock_open(&self->d, 0, VFIO_TYPE1v2_IOMMU, NULL));
	self->c = self->d.container;
	self->pinned = vfio_pinned_pages();
	self->locked = vfio_locked_kb();
}

FIXTURE_TEARDOWN(mock)
{
	vfio_dev_close(&self->second);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, mock_get(0, "wrongs"));
	EXPECT_EQ(0, mock_get(1, "wrongs"));
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(self->locked, vfio_locked_kb());
	munmap(self->huge, HUGE_SIZE);
	vfio_sysfs_write(UNSAFE, self->unsafe);
	vfio_sysfs_write(NOHUGE, self->nohuge);
	vfio_sysfs_write(HUGEPAGES, self->hugepages);
	mock_reset(variant->pgsizes);
}

static bool takes_pages(const FIXTURE_VARIANT(mock) *variant)
{
	return variant->pgsizes & (2 * PAGE - 1);
}

/* Does the device find at @iova what is in @mem, and nothing around it? */
static int dma(const struct vfio_dev *d, const char *mem, uint64_t iova,
	       uint64_t size)
{
	uint64_t i, seen;

	for (i = 0; i < size; i += PAGE) {
		if (pread(d->device, &seen, 8, iova + i) != 8)
			return -EFAULT;
		if (seen != *(uint64_t *)(mem + i))
			return -EBADMSG;
	}
	if (pread(d->device, &seen, 8, iova - 8) == 8 ||
	    pread(d->device, &seen, 8, iova + size) == 8)
		return -EEXIST;
	return 0;
}

#define EXPECT_DMA(mem, iova, size)					\
	EXPECT_EQ(0, dma(&self->d, mem, iova, size))

TEST_F(mock, memory)
{
	static const uint64_t at[] = {
		16 * MiB, 16 * MiB + 64 * KiB, GiB - 2 * MiB, GiB - 64 * KiB,
		4 * GiB + 6 * MiB,
	};
	uint64_t offset, size;
	int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		for (offset = 0; offset < 4 * MiB; offset += 1984 * KiB) {
			size = HUGE_SIZE - 2 * offset;
			ASSERT_EQ(0, vfio_dma_map(self->c, self->huge + offset,
						  at[i], size));
			EXPECT_EQ(size, mock_get(0, "mapped"));
			EXPECT_DMA(self->huge + offset, at[i], size);
			ASSERT_EQ(0, vfio_dma_unmap(self->c, at[i], size));
			EXPECT_EQ(0, mock_get(0, "mapped"));
		}
		if (takes_pages(variant)) {
			ASSERT_EQ(0, vfio_dma_map(self->c, self->small, at[i],
						  SMALL_SIZE));
			EXPECT_DMA(self->small, at[i], SMALL_SIZE);
			ASSERT_EQ(0, vfio_dma_unmap(self->c, at[i],
						    SMALL_SIZE));
		} else {
			EXPECT_EQ(-EINVAL, vfio_dma_map(self->c, self->small,
							at[i], SMALL_SIZE));
		}
		EXPECT_EQ(0, mock_get(0, "mapped"));
		EXPECT_EQ(self->locked, vfio_locked_kb());
	}
}

/* The parameter decides for each mapping; the memory behind it is nobody's. */
TEST_F(mock, without_huge_pages)
{
	uint64_t size = HUGE_SIZE - 64 * KiB;
	int i;

	for (i = 1; i >= 0; i--) {
		ASSERT_EQ(0, vfio_sysfs_write(NOHUGE, i ? "1" : "0"));
		ASSERT_EQ(0, vfio_dma_map(self->c, self->huge, 16 * MiB, size));
		EXPECT_EQ(size, mock_get(0, "mapped"));
		EXPECT_DMA(self->huge, 16 * MiB, size);
		if (!takes_pages(variant))
			EXPECT_EQ(-EINVAL, vfio_dma_map(self->c, self->small,
							64 * MiB, SMALL_SIZE));
		EXPECT_EQ(size, mock_get(0, "mapped"));
		ASSERT_EQ(0, vfio_dma_unmap(self->c, 16 * MiB, size));
	}
}

static int query(int c, uint64_t iova, uint64_t size, uint64_t pgsize,
		 uint64_t *bits)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap d;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} q = {
		.d.argsz = sizeof(q),
		.d.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		.get = { iova, size, { pgsize, 256, (__u64 *)bits } },
	};

	return vfio_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, &q);
}

/* What user space is told of the page sizes, and held to. */
TEST_F(mock, page_sizes)
{
	uint64_t sizes = variant->pgsizes & -PAGE, unit, bits[32] = {};
	struct vfio_iommu_type1_info *info = vfio_iommu_info(self->c);
	int c = self->c;

	if (variant->pgsizes & (PAGE - 1))
		sizes |= PAGE;
	unit = sizes & -sizes;
	ASSERT_NE(NULL, info);
	EXPECT_EQ(sizes, info->iova_pgsizes);
	free(info);

	EXPECT_EQ(-EINVAL, vfio_dma_map(c, self->huge, 16 * MiB + unit / 2,
					unit));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, self->huge + unit / 2, 16 * MiB,
					unit));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, self->huge, 16 * MiB, unit / 2));
	ASSERT_EQ(0, vfio_dma_map(c, self->huge, 16 * MiB, 4 * unit));
	EXPECT_EQ(-EINVAL, vfio_dma_unmap(c, 16 * MiB + unit / 2, 4 * unit));
	EXPECT_EQ(-EINVAL, vfio_dma_unmap(c, 16 * MiB, 4 * unit + unit / 2));

	ASSERT_EQ(0, vfio_dirty_tracking(c, true));
	EXPECT_EQ(-EINVAL, query(c, 16 * MiB, 4 * unit, unit / 2, bits));
	EXPECT_EQ(-EINVAL, query(c, 16 * MiB, 4 * unit, unit * 2, bits));
	EXPECT_EQ(0, query(c, 16 * MiB, 4 * unit, unit, bits));
	EXPECT_EQ(15, bits[0]);
	EXPECT_EQ(0, vfio_dma_unmap(c, 16 * MiB, 4 * unit));
}

/*
 * The IOMMU fails at page after page: of the mapping nothing is left, and not of what
 * was pinned for it.
 */
TEST_F(mock, map_fails)
{
	const uint64_t room = HUGE_SIZE + (takes_pages(variant) ? SMALL_SIZE : 0);
	char *mem = mmap(NULL, room + 2 * MiB, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int n, quiet, failed, ret;

	ASSERT_NE(MAP_FAILED, mem);
	mem = (char *)(((uintptr_t)mem + 2 * MiB - 1) & -(2 * MiB));
	ASSERT_EQ(mem, mremap(self->huge, HUGE_SIZE, HUGE_SIZE, MREMAP_MAYMOVE |
			      MREMAP_FIXED, mem));
	self->huge = mem;
	if (takes_pages(variant)) {
		char *small = scattered(SMALL_SIZE);
		uint64_t i;

		for (i = 0; i < SMALL_SIZE; i += PAGE)
			ASSERT_EQ(mem + HUGE_SIZE + i,
				  mremap(small + i, PAGE, PAGE, MREMAP_MAYMOVE |
					 MREMAP_FIXED, mem + HUGE_SIZE + i));
		fill(mem + HUGE_SIZE, SMALL_SIZE, 0xc000000000);
	}

	for (quiet = 0; quiet < 2; quiet++) {
		ASSERT_EQ(0, mock_set(0, "quiet", quiet));
		failed = 0;
		for (n = 1; ; n += n / 8 + 1) {
			ASSERT_EQ(0, mock_set(0, "fail_map", n));
			ret = vfio_dma_map(self->c, mem, GiB - 2 * MiB, room);
			if (!ret)
				break;
			failed++;
			ASSERT_EQ(-ENOMEM, ret);
			ASSERT_EQ(0, mock_get(0, "fail_map"));
			ASSERT_EQ(0, mock_get(0, "mapped"));
			ASSERT_EQ(self->locked, vfio_locked_kb());
			ASSERT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
		}
		ASSERT_EQ(0, mock_set(0, "fail_map", 0));
		EXPECT_LT(1, failed);
		EXPECT_DMA(mem, GiB - 2 * MiB, room);
		ASSERT_EQ(0, vfio_dma_unmap(self->c, GiB - 2 * MiB, room));
	}
}

/* The same with a second IOMMU, whose pages are others: the first goes on. */
TEST_F(mock, attach_fails)
{
	const uint64_t size = HUGE_SIZE;
	int n, quiet, failed = 0, ret;

	ASSERT_EQ(0, vfio_dma_map(self->c, self->huge, 16 * MiB, size));
	ASSERT_EQ(0, mock_set(1, "pgsizes", variant->pgsizes ^ 4 * MiB));
	for (quiet = 0; quiet < 2; quiet++) {
		ASSERT_EQ(0, mock_set(1, "quiet", quiet));
		for (n = 1; ; n += n / 8 + 1) {
			ASSERT_EQ(0, mock_set(1, "fail_map", n));
			ret = mock_open(&self->second, 1, VFIO_TYPE1v2_IOMMU,
					&self->d);
			if (!ret)
				break;
			failed++;
			ASSERT_EQ(-ENOMEM, ret);
			ASSERT_EQ(0, mock_get(1, "mapped"));
			ASSERT_EQ(size, mock_get(0, "mapped"));
		}
		ASSERT_EQ(0, mock_set(1, "fail_map", 0));
		EXPECT_EQ(size, mock_get(1, "mapped"));
		EXPECT_EQ(0, dma(&self->second, self->huge, 16 * MiB, size));
		/* Each mapping is in both, or in none. */
		ASSERT_EQ(0, mock_set(1, "fail_map", 2));
		EXPECT_EQ(-ENOMEM, vfio_dma_map(self->c, self->huge, 64 * MiB,
						size));
		EXPECT_EQ(size, mock_get(0, "mapped"));
		EXPECT_EQ(size, mock_get(1, "mapped"));
		vfio_dev_close(&self->second);
		EXPECT_DMA(self->huge, 16 * MiB, size);
	}
	EXPECT_LT(1, failed);
	EXPECT_EQ(self->locked + size / 1024, vfio_locked_kb());
	ASSERT_EQ(0, vfio_dma_unmap(self->c, 16 * MiB, size));
}

/* Two devices that can do the same share what is mapped. */
TEST_F(mock, shared)
{
	ASSERT_EQ(0, vfio_dma_map(self->c, self->huge, 16 * MiB, 2 * MiB));
	ASSERT_EQ(0, mock_open(&self->second, 1, VFIO_TYPE1v2_IOMMU, &self->d));
	EXPECT_EQ(0, dma(&self->second, self->huge, 16 * MiB, 2 * MiB));
	ASSERT_EQ(0, mock_set(0, "fail_map", 1));
	EXPECT_EQ(-ENOMEM, vfio_dma_map(self->c, self->huge, 64 * MiB, MiB));
	vfio_dev_close(&self->second);
	EXPECT_EQ(0, mock_get(1, "mapped"));
	EXPECT_DMA(self->huge, 16 * MiB, 2 * MiB);
	ASSERT_EQ(0, vfio_dma_unmap(self->c, 16 * MiB, 2 * MiB));
}

/* Where the addresses end, for one device and for both. */
TEST_F(mock, apertures)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap;
	struct vfio_iommu_type1_info *info;
	int c = self->c;

	EXPECT_EQ(-EINVAL, vfio_dma_map(c, self->huge, MOCK_LAST + 1, MiB));
	ASSERT_EQ(0, vfio_dma_map(c, self->huge, MOCK_LAST + 1 - MiB, MiB));
	ASSERT_EQ(0, mock_set(1, "last", 64 * MiB - 1));
	/* It could not reach what is mapped. */
	EXPECT_EQ(-EINVAL, mock_open(&self->second, 1, VFIO_TYPE1v2_IOMMU,
				     &self->d));
	ASSERT_EQ(0, vfio_dma_unmap(c, MOCK_LAST + 1 - MiB, MiB));
	ASSERT_EQ(0, mock_open(&self->second, 1, VFIO_TYPE1v2_IOMMU, &self->d));
	info = vfio_iommu_info(c);
	ASSERT_NE(NULL, info);
	cap = vfio_info_cap(info, info->cap_offset,
			    VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	ASSERT_NE(NULL, cap);
	EXPECT_EQ(1, cap->nr_iovas);
	EXPECT_EQ(0, cap->iova_ranges[0].start);
	EXPECT_EQ(64 * MiB - 1, cap->iova_ranges[0].end);
	free(info);
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, self->huge, 64 * MiB, MiB));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, self->huge, 63 * MiB, 2 * MiB));
	EXPECT_EQ(0, vfio_dma_map(c, self->huge, 63 * MiB, MiB));
	EXPECT_EQ(0, vfio_dma_unmap(c, 63 * MiB, MiB));
	vfio_dev_close(&self->second);
	EXPECT_EQ(0, vfio_dma_map(c, self->huge, 64 * MiB, MiB));
	EXPECT_EQ(0, vfio_dma_unmap(c, 64 * MiB, MiB));
}

TEST_HARNESS_MAIN
