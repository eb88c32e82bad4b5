// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE_DMA_BUF: what can be exported, who may import it, and that
 * another device's DMA really gets there. How it is taken away again is in
 * vfio_dmabuf_revoke_test.c.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define PAGE	VFIO_PAGE
#define BAR	VFIO_PCI_BAR2_REGION_INDEX	/* ivshmem's memory */
#define HEADER	(sizeof(struct vfio_device_feature) + \
		 sizeof(struct vfio_device_feature_dma_buf))
#define RANGE	sizeof(struct vfio_region_dma_range)

FIXTURE(request)
{
	struct vfio_dev d;
	uint64_t size;
	int klog;
	union {
		struct vfio_device_feature_dma_buf req;
		char room[sizeof(struct vfio_device_feature_dma_buf) +
			  4 * RANGE];
	};
};

FIXTURE_SETUP(request)
{
	struct vfio_device_feature_dma_buf *req = &self->req;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->size = vfio_region_size(&self->d, BAR);
	ASSERT_LT(16 * PAGE, self->size);
	self->klog = vfio_klog_open();

	/* A good request, of which each test spoils something. */
	req->region_index = BAR;
	req->open_flags = O_RDWR | O_CLOEXEC;
	req->nr_ranges = 1;
	req->dma_ranges[0].length = self->size;
}

FIXTURE_TEARDOWN(request)
{
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
	vfio_dev_close(&self->d);
}

static int get(FIXTURE_DATA(request) *self)
{
	return vfio_dmabuf_request(&self->d, 0, VFIO_DEVICE_FEATURE_GET,
				   &self->req);
}

TEST_F(request, probe)
{
	struct vfio_device_feature arg = { .argsz = sizeof(arg) };
	const uint32_t get = VFIO_DEVICE_FEATURE_GET;
	const uint32_t set = VFIO_DEVICE_FEATURE_SET;

	arg.flags = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_PROBE;
	EXPECT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE, &arg));
	arg.flags |= get;
	EXPECT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE, &arg));
	arg.flags |= set;
	EXPECT_EQ(-EINVAL,
		  vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE, &arg));
	arg.flags &= ~get;
	EXPECT_EQ(-EINVAL,
		  vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE, &arg));
	EXPECT_EQ(-EINVAL, vfio_dmabuf_request(&self->d, 0, set, &self->req));
	EXPECT_EQ(-EINVAL, vfio_dmabuf_request(&self->d, 0, 0, &self->req));
}

TEST_F(request, file)
{
	int dmabuf = get(self);

	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(FD_CLOEXEC, fcntl(dmabuf, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(dmabuf, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(self->size, lseek(dmabuf, 0, SEEK_END));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dmabuf,
				   0));
	close(dmabuf);

	self->req.open_flags = O_RDONLY;
	self->req.dma_ranges[0].length = PAGE;
	dmabuf = get(self);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(0, fcntl(dmabuf, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(dmabuf, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(PAGE, lseek(dmabuf, 0, SEEK_END));
	close(dmabuf);
}

TEST_F(request, open_flags)
{
	const uint32_t bad[] = { O_NONBLOCK, O_ACCMODE, O_APPEND, O_CREAT,
				 O_DIRECT, O_PATH, 1u << 31 };
	const uint32_t good[] = { O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY |
				  O_CLOEXEC };
	int i, dmabuf;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->req.open_flags = bad[i];
		EXPECT_EQ(-EINVAL, get(self)) TH_LOG("%#o", bad[i]);
	}
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		self->req.open_flags = good[i];
		dmabuf = get(self);
		EXPECT_LE(0, dmabuf);
		close(dmabuf);
	}
}

TEST_F(request, flags)
{
	self->req.flags = 1;
	EXPECT_EQ(-EINVAL, get(self));
	self->req.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, get(self));
}

TEST_F(request, argsz)
{
	const uint32_t op = VFIO_DEVICE_FEATURE_GET;
	uint32_t argsz;

	for (argsz = 8; argsz < HEADER + RANGE; argsz += 4)
		EXPECT_EQ(-EINVAL,
			  vfio_dmabuf_request(&self->d, argsz, op, &self->req));
	/* More than it needs is fine. */
	EXPECT_LE(0, vfio_dmabuf_request(&self->d, HEADER + 4 * RANGE, op,
					 &self->req));
}

TEST_F(request, region)
{
	const uint32_t no_bar[] = { VFIO_PCI_ROM_REGION_INDEX,
				    VFIO_PCI_CONFIG_REGION_INDEX,
				    VFIO_PCI_VGA_REGION_INDEX,
				    VFIO_PCI_NUM_REGIONS, 0x7fffffff, ~0u };
	int i;

	for (i = 0; i < ARRAY_SIZE(no_bar); i++) {
		self->req.region_index = no_bar[i];
		EXPECT_EQ(-ENODEV, get(self));
	}
	/* The upper half of a 64-bit BAR. */
	self->req.region_index = BAR + 1;
	EXPECT_EQ(-EINVAL, get(self));
	/* A BAR of 256 bytes has no whole page. */
	self->req.region_index = VFIO_PCI_BAR0_REGION_INDEX;
	self->req.dma_ranges[0].length = PAGE;
	EXPECT_EQ(-EINVAL, get(self));
	self->req.dma_ranges[0].length = 256;
	EXPECT_EQ(-EINVAL, get(self));
}

TEST(io_ports)
{
	struct vfio_region_info bar;
	struct vfio_dev d;
	uint32_t i;
	int ret;

	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_TESTDEV, VFIO_TYPE1v2_IOMMU);
	for (i = 0; i < VFIO_PCI_ROM_REGION_INDEX; i++) {
		ASSERT_EQ(0, vfio_region_info(&d, i, &bar));
		ret = vfio_dmabuf_export(&d, i, 0, PAGE);
		EXPECT_EQ(bar.flags & VFIO_REGION_INFO_FLAG_MMAP ? 0 : -EINVAL,
			  ret < 0 ? ret : 0);
	}
	vfio_dev_close(&d);
}

TEST_F(request, ranges)
{
	const uint64_t end = self->size;
	const struct vfio_region_dma_range bad[] = {
		{ 0, 0 }, { PAGE, 0 }, { 0, 1 }, { 0, PAGE - 1 },
		{ 0, PAGE + 1 }, { 1, PAGE }, { PAGE / 2, PAGE },
		{ PAGE / 2, PAGE / 2 }, { 0, end + PAGE }, { end, PAGE },
		{ end - PAGE, 2 * PAGE }, { end + PAGE, PAGE },
		{ PAGE, -PAGE }, { PAGE, end }, { -PAGE, PAGE },
		{ -PAGE, 2 * PAGE }, { 0, -PAGE }, { 1ULL << 40, PAGE },
		{ -PAGE, -PAGE }, { ~0ULL, ~0ULL },
	};
	int i, dmabuf;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->req.nr_ranges = 1;
		self->req.dma_ranges[0] = bad[i];
		EXPECT_EQ(-EINVAL, get(self)) TH_LOG("entry %d", i);
		/* Among good ones, too. */
		self->req.nr_ranges = 3;
		self->req.dma_ranges[0] = (typeof(bad[0])) { 0, PAGE };
		self->req.dma_ranges[1] = bad[i];
		self->req.dma_ranges[2] = (typeof(bad[0])) { 0, PAGE };
		EXPECT_EQ(-EINVAL, get(self)) TH_LOG("entry %d", i);
	}

	self->req.nr_ranges = 0;
	EXPECT_EQ(-EINVAL, get(self));

	/* In any order, and over each other. */
	self->req.nr_ranges = 4;
	self->req.dma_ranges[0] = (typeof(bad[0])) { end - PAGE, PAGE };
	self->req.dma_ranges[1] = (typeof(bad[0])) { 0, end };
	self->req.dma_ranges[2] = (typeof(bad[0])) { PAGE, PAGE };
	self->req.dma_ranges[3] = (typeof(bad[0])) { PAGE, PAGE };
	dmabuf = get(self);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(end + 3 * PAGE, lseek(dmabuf, 0, SEEK_END));
	close(dmabuf);
}

/* So many that they do not fit anywhere, and some that nobody can read. */
TEST_F(request, many_ranges)
{
	struct vfio_device_feature *arg;
	struct vfio_device_feature_dma_buf *req;
	const uint32_t many = 10000;
	size_t len = HEADER + many * RANGE;
	uint32_t i;
	int dmabuf;

	arg = mmap(NULL, len + PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, arg);
	req = (void *)arg->data;
	*req = self->req;
	arg->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	for (i = 0; i < many; i++)
		req->dma_ranges[i] = (struct vfio_region_dma_range) {
			i % 16 * PAGE, PAGE
		};
	arg->argsz = len;
	req->nr_ranges = many;
	dmabuf = vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE, arg);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(many * PAGE, lseek(dmabuf, 0, SEEK_END));
	close(dmabuf);

	/* The numbers do not agree. */
	req->nr_ranges = ~0u;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      arg));
	/* They do, but there is no such memory. */
	arg->argsz = ~0u;
	req->nr_ranges = (arg->argsz - HEADER) / RANGE;
	EXPECT_EQ(-ENOMEM, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      arg));
	ASSERT_EQ(0, munmap((void *)arg + (len & -PAGE),
			    len + PAGE - (len & -PAGE)));
	arg->argsz = len;
	req->nr_ranges = many;
	EXPECT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      arg));
}

TEST_F(request, no_descriptor)
{
	struct vfio_region_dma_range range = { 0, PAGE };
	struct rlimit limit = { 64, 64 };
	int fds[64], i, ret = 0;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < 64 && ret >= 0; i++) {
		ret = vfio_dmabuf_ranges(&self->d, BAR, O_RDWR, &range, 1);
		fds[i] = ret;
	}
	EXPECT_EQ(-EMFILE, ret);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(-EMFILE, vfio_dmabuf_ranges(&self->d, BAR, O_RDWR,
						      &range, 1));
	/* With one that is free again it works, and the gate moves. */
	close(fds[0]);
	fds[0] = vfio_dmabuf_ranges(&self->d, BAR, O_RDWR, &range, 1);
	EXPECT_LE(0, fds[0]);
	EXPECT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_EQ(0, vfio_cfg_memory(&self->d, true));
}

/* ivshmem's memory, and edu, which imports it. */
FIXTURE(import)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	uint64_t size;
	uint8_t *bar;
	int dmabuf, importer;
	int klog;
};

FIXTURE_SETUP(import)
{
	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->size = vfio_region_size(&self->d, BAR);
	ASSERT_EQ(0, vfio_region_mmap(&self->d, BAR, 0, self->size,
				      (void **)&self->bar));
	self->dmabuf = vfio_dmabuf_export(&self->d, BAR, 0, self->size);
	ASSERT_LE(0, self->dmabuf);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(import)
{
	close(self->importer);
	close(self->dmabuf);
	munmap(self->bar, self->size);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

static int attach(FIXTURE_DATA(import) *self, uint32_t kind)
{
	return importer_attach(self->importer, self->dmabuf, kind,
			       TEST_DMABUF_AT_ONCE, 0);
}

static void fill(uint8_t *buf, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = rand_r(&seed);
}

TEST_F(import, dma_both_ways)
{
	const struct {
		uint64_t at;
		uint32_t len;
	} what[] = {
		{ 0, TEST_DMABUF_MAX_DMA }, { 0x123000, 1024 },
		{ 0x200000 - 64, 64 }, { 0x123457, 3 },
		{ self->size - TEST_DMABUF_MAX_DMA, TEST_DMABUF_MAX_DMA },
	};
	uint8_t sent[TEST_DMABUF_MAX_DMA], seen[TEST_DMABUF_MAX_DMA];
	struct test_dmabuf_state state;
	int i;

	ASSERT_EQ(0, attach(self, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	ASSERT_EQ(0, importer_state(self->importer, &state));
	EXPECT_EQ(1, state.mapped);
	EXPECT_EQ(self->size, state.bytes);
	EXPECT_EQ(0, state.pages);

	for (i = 0; i < ARRAY_SIZE(what); i++) {
		uint64_t at = what[i].at;
		uint32_t len = what[i].len;

		fill(sent, len, i);
		ASSERT_EQ(0, importer_write(self->importer, at, sent, len));
		EXPECT_EQ(0, memcmp(self->bar + at, sent, len));
		ASSERT_EQ(len, vfio_region_read(&self->d, BAR, at, seen, len));
		EXPECT_EQ(0, memcmp(seen, sent, len));

		fill(sent, len, i + 100);
		memcpy(self->bar + at, sent, len);
		memset(seen, 0, len);
		ASSERT_EQ(0, importer_read(self->importer, at, seen, len));
		EXPECT_EQ(0, memcmp(seen, sent, len));
	}
	EXPECT_EQ(0, importer_unmap(self->importer));
	EXPECT_EQ(-ENOTCONN, importer_read(self->importer, 0, seen, 64));
}

/* The dma-buf is the ranges, in their order. */
TEST_F(import, ranges)
{
	const struct vfio_region_dma_range ranges[] = {
		{ 0x300000, 2 * PAGE }, { PAGE, PAGE }, { 0x400000, 0x100000 },
		{ PAGE, 2 * PAGE }, { 0, PAGE },
	};
	struct test_dmabuf_state state;
	uint64_t at = 0, value;
	int i;

	close(self->dmabuf);
	self->dmabuf = vfio_dmabuf_ranges(&self->d, BAR, O_RDWR, ranges,
					  ARRAY_SIZE(ranges));
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, attach(self, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint64_t last = ranges[i].length - sizeof(value);

		value = 0x1111111111111111 * (i + 1);
		memcpy(self->bar + ranges[i].offset, &value, sizeof(value));
		EXPECT_EQ(0, importer_read(self->importer, at, &value,
					   sizeof(value)));
		EXPECT_EQ(0x1111111111111111 * (i + 1), value);

		value = ~value;
		EXPECT_EQ(0, importer_write(self->importer, at + last, &value,
					    sizeof(value)));
		EXPECT_EQ(value, *(uint64_t *)(self->bar + ranges[i].offset +
					       last));
		at += ranges[i].length;
	}
	ASSERT_EQ(0, importer_state(self->importer, &state));
	EXPECT_EQ(at, state.bytes);
	/* No entry is longer than the importer said it can have. */
	EXPECT_GE(65536, state.longest);
	EXPECT_EQ(-ERANGE, importer_read(self->importer, at, &value,
					 sizeof(value)));
}

/* The exports of one BAR know nothing of each other. */
TEST_F(import, overlapping)
{
	int dmabufs[32], importers[32], i;
	uint64_t value;

	for (i = 0; i < 32; i++) {
		dmabufs[i] = vfio_dmabuf_export(&self->d, BAR, i * PAGE,
						64 * PAGE);
		ASSERT_LE(0, dmabufs[i]);
		importers[i] = importer_open(self->edu);
		ASSERT_LE(0, importers[i]);
		ASSERT_EQ(0, importer_attach(importers[i], dmabufs[i], 0,
					     TEST_DMABUF_AT_ONCE, 0));
		ASSERT_EQ(0, importer_map(importers[i]));
	}
	*(uint64_t *)(self->bar + 33 * PAGE) = 0xabcdef;
	for (i = 0; i < 32; i += 5) {
		EXPECT_EQ(0, importer_read(importers[i], (33 - i) * PAGE,
					   &value, sizeof(value)));
		EXPECT_EQ(0xabcdef, value);
	}
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	for (i = 0; i < 32; i++) {
		EXPECT_EQ(-ENOTCONN, importer_read(importers[i], 0, &value, 8));
		EXPECT_EQ(-ENODEV, importer_map(importers[i]));
	}
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	for (i = 0; i < 32; i++) {
		EXPECT_EQ(0, importer_map(importers[i]));
		close(i % 2 ? importers[i] : dmabufs[i]);
	}
	EXPECT_EQ(0, importer_read(importers[0], 33 * PAGE, &value, 8));
	EXPECT_EQ(0xabcdef, value);
	for (i = 0; i < 32; i++)
		close(i % 2 ? dmabufs[i] : importers[i]);
}

/* Who cannot have the memory taken away, or cannot reach it. */
TEST_F(import, refused)
{
	EXPECT_EQ(-EOPNOTSUPP, attach(self, TEST_DMABUF_STATIC));
	EXPECT_EQ(1, vfio_klog_count(self->klog, "taken away"));
	EXPECT_EQ(-EOPNOTSUPP, attach(self, TEST_DMABUF_NO_P2P));
	vfio_klog_count(self->klog, "");
	EXPECT_EQ(-EHOSTUNREACH, attach(self, TEST_DMABUF_NOT_PCI));
	EXPECT_EQ(1, vfio_klog_count(self->klog, "is not a PCI device"));
	/* It says so once in a while, not every time. */
	while (attach(self, TEST_DMABUF_STATIC) == -EOPNOTSUPP &&
	       vfio_klog_count(self->klog, "taken away"))
		;
	EXPECT_EQ(0, attach(self, 0));
}

/* A promise that memory does not move is not to be had. */
TEST_F(import, pinned)
{
	int pinned;

	ASSERT_EQ(0, attach(self, 0));
	pinned = vfio_ioctl(self->importer, TEST_DMABUF_PIN);
	if (!pinned) {
		/* The kernel's own pin would look the same. */
		EXPECT_EQ(-EOPNOTSUPP, importer_map(self->importer));
		EXPECT_EQ(0, vfio_ioctl(self->importer, TEST_DMABUF_UNPIN));
	} else {
		EXPECT_EQ(-EOPNOTSUPP, pinned);
	}
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_EQ(-EBUSY, vfio_ioctl(self->importer, TEST_DMABUF_PIN));
	EXPECT_EQ(-EBUSY, importer_map(self->importer));
	EXPECT_EQ(0, importer_unmap(self->importer));
	EXPECT_EQ(0, importer_map(self->importer));
}

TEST_HARNESS_MAIN
