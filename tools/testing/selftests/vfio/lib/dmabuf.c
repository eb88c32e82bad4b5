// SPDX-License-Identifier: GPL-2.0-only
/* Device memory as a dma-buf, and importers of it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/dma-buf.h>

#include "dmabuf.h"
#include "vfio_variants.h"

/* The request as it is: with an argsz and an operation of the caller's. */
int vfio_dmabuf_request(const struct vfio_dev *d, uint32_t argsz,
			uint32_t op, const struct vfio_device_feature_dma_buf *req)
{
	size_t len = sizeof(*req) + req->nr_ranges * sizeof(req->dma_ranges[0]);
	struct vfio_device_feature *arg = malloc(sizeof(*arg) + len);
	int ret;

	if (!arg)
		return -ENOMEM;
	arg->argsz = argsz ?: sizeof(*arg) + len;
	arg->flags = op | VFIO_DEVICE_FEATURE_DMA_BUF;
	memcpy(arg->data, req, len);
	ret = vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, arg);
	free(arg);
	return ret;
}

/* Returns the dma-buf's file. */
int vfio_dmabuf_ranges(const struct vfio_dev *d, uint32_t bar,
		       uint32_t open_flags,
		       const struct vfio_region_dma_range *ranges, uint32_t nr)
{
	struct vfio_device_feature_dma_buf *req;
	int ret;

	req = calloc(1, sizeof(*req) + nr * sizeof(*ranges));
	if (!req)
		return -ENOMEM;
	req->region_index = bar;
	req->open_flags = open_flags;
	req->nr_ranges = nr;
	memcpy(req->dma_ranges, ranges, nr * sizeof(*ranges));
	ret = vfio_dmabuf_request(d, 0, VFIO_DEVICE_FEATURE_GET, req);
	free(req);
	return ret;
}

int vfio_dmabuf_export(const struct vfio_dev *d, uint32_t bar, uint64_t offset,
		       uint64_t length)
{
	const struct vfio_region_dma_range range = { offset, length };

	return vfio_dmabuf_ranges(d, bar, O_RDWR | O_CLOEXEC, &range, 1);
}

/* What any user of the dma-buf may do: a fence that drivers wait for. */
int vfio_dmabuf_import_fence(int dmabuf, int sync_file, bool write)
{
	struct dma_buf_import_sync_file arg = {
		.flags = write ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ,
		.fd = sync_file,
	};

	return vfio_ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg);
}

/* -ENOPKG where there is no module, -ENXIO where there is no device. */
int importer_bind(char *bdf, unsigned int nth)
{
	char id[32];
	int ret;

	snprintf(id, sizeof(id), "%s#%u", VFIO_EDU, nth);
	ret = vfio_pci_resolve(id, bdf);
	if (ret)
		return -ENXIO;
	if (vfio_modprobe(TEST_DMABUF_DRIVER))
		return -ENOPKG;
	return vfio_pci_bind_to(bdf, TEST_DMABUF_DRIVER);
}

/* The file of a new importer, which does its DMA with the device at @bdf. */
int importer_open(const char *bdf)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/test_dmabuf.%s", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int importer_attach(int importer, int dmabuf, uint32_t kind,
		    uint32_t on_notify, uint32_t delay_ms)
{
	struct test_dmabuf_attach arg = {
		.fd = dmabuf,
		.kind = kind,
		.on_notify = on_notify,
		.delay_ms = delay_ms,
	};

	return vfio_ioctl(importer, TEST_DMABUF_ATTACH, &arg);
}

int importer_state(int importer, struct test_dmabuf_state *state)
{
	return vfio_ioctl(importer, TEST_DMABUF_STATE, state);
}

static int transfer(int importer, uint64_t offset, const void *buf,
		    uint32_t len, bool write, bool fence)
{
	struct test_dmabuf_dma arg = {
		.offset = offset,
		.user = (uintptr_t)buf,
		.len = len,
		.write = write,
		.fence = fence,
	};

	return vfio_ioctl(importer, TEST_DMABUF_DMA, &arg);
}

int importer_read(int importer, uint64_t offset, void *buf, uint32_t len)
{
	return transfer(importer, offset, buf, len, false, false);
}

int importer_write(int importer, uint64_t offset, const void *buf,
		   uint32_t len)
{
	return transfer(importer, offset, buf, len, true, false);
}

int importer_write_fenced(int importer, uint64_t offset, const void *buf,
			  uint32_t len)
{
	return transfer(importer, offset, buf, len, true, true);
}

int importer_fence(int importer, uint32_t usage, uint32_t delay_ms)
{
	struct test_dmabuf_fence arg = { usage, delay_ms };

	return vfio_ioctl(importer, TEST_DMABUF_FENCE, &arg);
}
