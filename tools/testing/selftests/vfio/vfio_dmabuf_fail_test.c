// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exporting, attaching and mapping device memory with every allocation on the
 * way failing once: each is refused then, leaves nothing behind, and works when
 * tried again. Taking the memory away does not fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define PAGE	VFIO_PAGE
#define BAR	VFIO_PCI_BAR2_REGION_INDEX
#define MANY	2000

FIXTURE(fail)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	int nth, dmabuf, importer;
	int klog;
};

static const struct vfio_region_dma_range ranges[] = {
	{ 0, 0x40000 }, { 0x100000, 0x300000 }, { 0x10000, 0x10000 },
};

static int export(struct vfio_dev *d)
{
	return vfio_dmabuf_ranges(d, BAR, 0, ranges, ARRAY_SIZE(ranges));
}

FIXTURE_SETUP(fail)
{
	self->nth = vfio_fail_open();
	if (self->nth < 0)
		SKIP(_exit(KSFT_SKIP), "the kernel has no fault injection");
	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(fail)
{
	close(self->importer);
	/* What failed half way does not stand in the gate. */
	EXPECT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_EQ(0, vfio_cfg_memory(&self->d, true));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

/* As many steps as there are, each failing once; @undo what succeeded. */
#define FAIL_SWEEP(op, undo) do {					\
	int n, ret, refused = 0;					\
	bool happened = true;						\
									\
	for (n = 1; happened && n < MANY; n++) {			\
		vfio_fail_arm(self->nth, n);				\
		ret = op;						\
		happened = vfio_fail_happened(self->nth);		\
		if (ret < 0) {						\
			ASSERT_TRUE(happened);				\
			ASSERT_TRUE(ret == -ENOMEM || ret == -EFAULT)	\
				TH_LOG("%d", ret);			\
			refused++;					\
		} else {						\
			undo;						\
		}							\
	}								\
	EXPECT_LT(n, MANY);						\
	EXPECT_LT(0, refused);						\
	TH_LOG("%d of %d failures refused it", refused, n - 2);		\
} while (0)

/* The first time, which claims the BAR, is among them. */
TEST_F(fail, export)
{
	FAIL_SWEEP(self->dmabuf = export(&self->d), close(self->dmabuf));
}

TEST_F(fail, attach)
{
	self->dmabuf = export(&self->d);
	ASSERT_LE(0, self->dmabuf);
	FAIL_SWEEP(importer_attach(self->importer, self->dmabuf, 0, 0, 0),
		   ASSERT_EQ(0, importer_detach(self->importer)));
}

TEST_F(fail, map)
{
	self->dmabuf = export(&self->d);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0, 0, 0));
	FAIL_SWEEP(importer_map(self->importer),
		   ASSERT_EQ(0, importer_unmap(self->importer)));
}

/* A write of the command register may fail, but then nothing was closed. */
static int let_go(FIXTURE_DATA(fail) *self)
{
	struct test_dmabuf_state state = {};
	int ret = vfio_cfg_memory(&self->d, false);

	vfio_fail_arm(self->nth, 0);
	importer_state(self->importer, &state);
	if (ret)
		return state.mapped ? ret : -EPROTO;
	return state.mapped ? -EPROTO : 0;
}

TEST_F(fail, revoke)
{
	int n;

	self->dmabuf = export(&self->d);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_LATER, 1));
	for (n = 1; n < 40; n++) {
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		importer_unmap(self->importer);
		ASSERT_EQ(0, importer_map(self->importer));
		vfio_fail_arm(self->nth, n);
		EXPECT_NE(-EPROTO, let_go(self));
	}
}

TEST_HARNESS_MAIN
