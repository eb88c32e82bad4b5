/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device memory as a dma-buf, and test_dmabuf_importer.ko, which lets the DMA
 * engine of an edu device work on it.
 */
#ifndef VFIO_DMABUF_H
#define VFIO_DMABUF_H

#include "vfio_util.h"
#include "../test_modules/test_dmabuf_importer.h"

int vfio_dmabuf_request(const struct vfio_dev *d, uint32_t argsz,
			uint32_t op, const struct vfio_device_feature_dma_buf *req);
int vfio_dmabuf_ranges(const struct vfio_dev *d, uint32_t bar,
		       uint32_t open_flags,
		       const struct vfio_region_dma_range *ranges, uint32_t nr);
int vfio_dmabuf_export(const struct vfio_dev *d, uint32_t bar, uint64_t offset,
		       uint64_t length);
int vfio_dmabuf_import_fence(int dmabuf, int sync_file, bool write);

/* Files of importers; 0 or a negative errno unless it says more. */
int importer_bind(char *bdf, unsigned int nth);
int importer_open(const char *bdf);
int importer_attach(int importer, int dmabuf, uint32_t kind,
		    uint32_t on_notify, uint32_t delay_ms);
int importer_state(int importer, struct test_dmabuf_state *state);
int importer_read(int importer, uint64_t offset, void *buf, uint32_t len);
int importer_write(int importer, uint64_t offset, const void *buf,
		   uint32_t len);
int importer_write_fenced(int importer, uint64_t offset, const void *buf,
			  uint32_t len);
int importer_fence(int importer, uint32_t usage, uint32_t delay_ms);

static inline int importer_map(int importer)
{
	return vfio_ioctl(importer, TEST_DMABUF_MAP);
}

static inline int importer_unmap(int importer)
{
	return vfio_ioctl(importer, TEST_DMABUF_UNMAP);
}

static inline int importer_detach(int importer)
{
	return vfio_ioctl(importer, TEST_DMABUF_DETACH);
}

/* What was stuck in its callback is not any more, and lets go of nothing. */
static inline int importer_recover(int importer)
{
	return vfio_ioctl(importer, TEST_DMABUF_RECOVER);
}

/* A user's fence: a file that signals when importer_signal() is called. */
static inline int importer_sync_file(int importer)
{
	return vfio_ioctl(importer, TEST_DMABUF_SYNC_FILE);
}

static inline int importer_signal(int importer)
{
	return vfio_ioctl(importer, TEST_DMABUF_SIGNAL);
}

/* Bind the @nth edu device and put its address in @bdf, or skip the test. */
#define IMPORTER_BIND_OR_SKIP(bdf, nth) do {				\
	int __bind_ret = importer_bind(bdf, nth);			\
									\
	if (__bind_ret == -ENXIO)					\
		SKIP(_exit(KSFT_SKIP), "no edu device here");		\
	if (__bind_ret == -ENOPKG)					\
		SKIP(_exit(KSFT_SKIP), "no module %s", TEST_DMABUF_DRIVER); \
	ASSERT_EQ(0, __bind_ret);					\
} while (0)

#endif
