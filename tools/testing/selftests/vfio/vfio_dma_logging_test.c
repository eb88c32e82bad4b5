// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA logging, with the devices of test_vfio_emulated.ko: they log the page of
 * each write, in no more than TEST_VFIO_LOG_RANGES ranges.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_emulated.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define BASE 0x1000000ULL
#define NPAGES 256
#define MAX_RANGES \
	(PAGE / sizeof(struct vfio_device_feature_dma_logging_range))

#define START	VFIO_DEVICE_FEATURE_DMA_LOGGING_START
#define STOP	VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP
#define REPORT	VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT
#define GET	VFIO_DEVICE_FEATURE_GET
#define SET	VFIO_DEVICE_FEATURE_SET
#define PROBE	VFIO_DEVICE_FEATURE_PROBE

/* The largest of what the three take. */
struct request {
	struct vfio_device_feature header;
	union {
		struct vfio_device_feature_dma_logging_control control;
		struct vfio_device_feature_dma_logging_report report;
	};
};

FIXTURE(logging)
{
	struct vfio_dev d;
	char *mem;
};

FIXTURE_SETUP(logging)
{
	int ret = emu_open(&self->d, 0, VFIO_TYPE1v2_IOMMU, NULL);

	if (ret == -ENXIO)
		SKIP(return, "test_vfio_emulated.ko is not loaded");
	ASSERT_EQ(0, ret);
	self->mem = vfio_alloc_pages(NPAGES * PAGE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, vfio_dma_map(self->d.container, self->mem, BASE,
				  NPAGES * PAGE));
}

FIXTURE_TEARDOWN(logging)
{
	vfio_dev_close(&self->d);
	munmap(self->mem, NPAGES * PAGE);
}

static int feature(const struct vfio_dev *d, uint32_t flags,
		   struct request *request)
{
	request->header.argsz = sizeof(*request);
	request->header.flags = flags;
	return vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, request);
}

/* The device may log in pages of another size: *@page_size. */
static int start(const struct vfio_dev *d,
		 const struct vfio_device_feature_dma_logging_range *ranges,
		 uint32_t nr, uint64_t *page_size)
{
	struct request request = {
		.control = { *page_size, nr, 0, (uintptr_t)ranges },
	};
	int ret = feature(d, START | SET, &request);

	*page_size = request.control.page_size;
	return ret;
}

static int start_one(const struct vfio_dev *d, uint64_t iova, uint64_t length)
{
	struct vfio_device_feature_dma_logging_range range = { iova, length };
	uint64_t page_size = PAGE;

	return start(d, &range, 1, &page_size);
}

static int stop(const struct vfio_dev *d)
{
	struct request request = {};

	return feature(d, STOP | SET, &request);
}

static int report(const struct vfio_dev *d, uint64_t iova, uint64_t length,
		  uint64_t page_size, void *bits)
{
	struct request request = {
		.report = { iova, length, page_size, (uintptr_t)bits },
	};

	return feature(d, REPORT | GET, &request);
}

/* The device writes to a page, counted from BASE. */
static int dirty(const struct vfio_dev *d, int page)
{
	uint64_t value = page;

	return emu_rw(d, BASE + page * PAGE, &value, sizeof(value), true);
}

TEST_F(logging, probe)
{
	struct request request = {};

	EXPECT_EQ(0, feature(&self->d, START | SET | PROBE, &request));
	EXPECT_EQ(0, feature(&self->d, STOP | SET | PROBE, &request));
	EXPECT_EQ(0, feature(&self->d, REPORT | GET | PROBE, &request));
	EXPECT_EQ(-EINVAL, feature(&self->d, START | GET, &request));
	EXPECT_EQ(-EINVAL, feature(&self->d, STOP | GET, &request));
	EXPECT_EQ(-EINVAL, feature(&self->d, REPORT | SET, &request));
	request.header.argsz = sizeof(request.header);
	request.header.flags = START | SET;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      &request));
	request.header.flags = REPORT | GET;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      &request));
}

TEST_F(logging, what_is_written)
{
	uint64_t bits[NPAGES / 64];
	int ret;

	ASSERT_EQ(0, start_one(&self->d, BASE, 128 * PAGE));
	EXPECT_EQ(-EBUSY, start_one(&self->d, BASE, 128 * PAGE));
	ASSERT_EQ(0, dirty(&self->d, 3));
	ASSERT_EQ(0, dirty(&self->d, 3));
	ASSERT_EQ(0, dirty(&self->d, 64));
	ASSERT_EQ(0, dirty(&self->d, 127));
	ASSERT_EQ(0, dirty(&self->d, 128));

	/* A part, then all; what was reported is clean. */
	memset(bits, 0, sizeof(bits));
	ret = report(&self->d, BASE, 64 * PAGE, PAGE, bits);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "the kernel has no bitmaps of I/O addresses");
	ASSERT_EQ(0, ret);
	EXPECT_EQ(1ULL << 3, bits[0]);
	EXPECT_EQ(0, bits[1]);
	memset(bits, 0, sizeof(bits));
	ASSERT_EQ(0, report(&self->d, BASE, NPAGES * PAGE, PAGE, bits));
	EXPECT_EQ(0, bits[0]);
	EXPECT_EQ(1 | 1ULL << 63, bits[1]);
	EXPECT_EQ(0, bits[2]);
	memset(bits, 0, sizeof(bits));
	ASSERT_EQ(0, report(&self->d, BASE, NPAGES * PAGE, PAGE, bits));
	EXPECT_EQ(0, bits[0] | bits[1] | bits[2] | bits[3]);

	/* A bit for several pages; bits that are set stay. */
	ASSERT_EQ(0, dirty(&self->d, 5));
	ASSERT_EQ(0, dirty(&self->d, 100));
	bits[0] = 1ULL << 20;
	ASSERT_EQ(0, report(&self->d, BASE, NPAGES * PAGE, 4 * PAGE, bits));
	EXPECT_EQ(1ULL << 1 | 1ULL << 20 | 1ULL << 25, bits[0]);

	ASSERT_EQ(0, stop(&self->d));
	ASSERT_EQ(0, dirty(&self->d, 5));
	/* The driver says so. */
	EXPECT_EQ(-EINVAL, report(&self->d, BASE, PAGE, PAGE, bits));
	ASSERT_EQ(0, start_one(&self->d, BASE, 128 * PAGE));
	memset(bits, 0, sizeof(bits));
	ASSERT_EQ(0, report(&self->d, BASE, 64 * PAGE, PAGE, bits));
	EXPECT_EQ(0, bits[0]);
}

/* Those with the least between them become one. */
TEST_F(logging, ranges_are_combined)
{
	const struct vfio_device_feature_dma_logging_range ranges[] = {
		{ BASE + 200 * PAGE, 8 * PAGE },
		{ BASE, 8 * PAGE },
		{ BASE + 10 * PAGE, 8 * PAGE },
		{ BASE + 100 * PAGE, 8 * PAGE },
		{ BASE + 22 * PAGE, 8 * PAGE },
		{ BASE + 60 * PAGE, 8 * PAGE },
	};
	uint64_t bits[NPAGES / 64] = {}, page_size = 2 * PAGE;
	int i, ret;

	ASSERT_EQ(0, start(&self->d, ranges, 6, &page_size));
	EXPECT_EQ(PAGE, page_size);
	for (i = 0; i < 25; i++)
		ASSERT_EQ(0, dirty(&self->d, 10 * i));
	ret = report(&self->d, BASE, NPAGES * PAGE, PAGE, bits);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "the kernel has no bitmaps of I/O addresses");
	ASSERT_EQ(0, ret);
	/* 0 to 29, 60 to 67, 100 to 107, 200 to 207 */
	EXPECT_EQ(1 | 1ULL << 10 | 1ULL << 20 | 1ULL << 60, bits[0]);
	EXPECT_EQ(1ULL << (100 - 64), bits[1]);
	EXPECT_EQ(0, bits[2]);
	EXPECT_EQ(1ULL << (200 - 192), bits[3]);
}

TEST_F(logging, bad_ranges)
{
	struct vfio_device_feature_dma_logging_range ranges[MAX_RANGES + 1];
	struct request *request;
	uint64_t page_size = PAGE;
	unsigned int i;

	for (i = 0; i <= MAX_RANGES; i++)
		ranges[i] = (struct vfio_device_feature_dma_logging_range)
			{ BASE + 2 * i * PAGE, PAGE };
	EXPECT_EQ(-EINVAL, start(&self->d, ranges, 0, &page_size));
	EXPECT_EQ(-E2BIG, start(&self->d, ranges, MAX_RANGES + 1, &page_size));
	EXPECT_EQ(-EFAULT, start(&self->d, NULL, 1, &page_size));
	EXPECT_EQ(-EINVAL, start_one(&self->d, BASE + 1, PAGE));
	EXPECT_EQ(-EINVAL, start_one(&self->d, BASE, PAGE + 1));
	/* Without a last byte there is no range. */
	EXPECT_EQ(-EINVAL, start_one(&self->d, BASE, 0));
	EXPECT_EQ(-EINVAL, start_one(&self->d, 0, 0));
	EXPECT_EQ(-EOVERFLOW, start_one(&self->d, -PAGE, 2 * PAGE));
	ranges[1].iova = BASE;
	EXPECT_EQ(-EINVAL, start(&self->d, ranges, 2, &page_size));

	/* Whoever cannot be told the page size has no log. */
	request = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, request);
	request->header.argsz = sizeof(*request);
	request->header.flags = START | SET;
	request->control.page_size = PAGE;
	request->control.num_ranges = 1;
	request->control.ranges = (uintptr_t)ranges;
	ASSERT_EQ(0, mprotect(request, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      request));
	munmap(request, PAGE);

	ranges[1].iova = BASE + 2 * PAGE;
	EXPECT_EQ(0, start(&self->d, ranges, MAX_RANGES, &page_size));
}

TEST_F(logging, bad_reports)
{
	uint64_t bits[NPAGES / 64];

	ASSERT_EQ(0, start_one(&self->d, BASE, NPAGES * PAGE));
	EXPECT_EQ(-EINVAL, report(&self->d, BASE, PAGE, PAGE / 2, bits));
	EXPECT_EQ(-EINVAL, report(&self->d, BASE, PAGE, 3 * PAGE, bits));
	EXPECT_EQ(-EINVAL, report(&self->d, BASE, 0, PAGE, bits));
	EXPECT_EQ(-EINVAL, report(&self->d, 0, 0, PAGE, bits));
	EXPECT_EQ(-EOVERFLOW, report(&self->d, -PAGE, 2 * PAGE, PAGE, bits));
}

/* Closing the device ends its logging. */
TEST_F(logging, close)
{
	ASSERT_EQ(0, start_one(&self->d, BASE, PAGE));
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, emu_open(&self->d, 0, VFIO_TYPE1v2_IOMMU, NULL));
	EXPECT_EQ(0, start_one(&self->d, BASE, PAGE));
}

TEST_HARNESS_MAIN
