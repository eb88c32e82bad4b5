// SPDX-License-Identifier: GPL-2.0-only
/* Devices of test_vfio_emulated.ko. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_emulated.h"

int emu_open(struct vfio_dev *d, int nr, int type,
	     const struct vfio_dev *other)
{
	char path[128], link[128], name[32];
	ssize_t len;

	vfio_dev_init(d);
	snprintf(name, sizeof(name), "test_vfio_emulated.%d", nr);
	/* If it is not there already, perhaps it is installed. */
	if (access("/sys/bus/platform/devices/test_vfio_emulated.0", F_OK))
		vfio_modprobe("test_vfio_emulated");
	snprintf(path, sizeof(path), "/sys/bus/platform/devices/%s/iommu_group",
		 name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return -ENXIO;
	link[len] = 0;

	return vfio_dev_open_named(d, name, atoi(strrchr(link, '/') + 1), type,
				   other);
}

int emu_pin(const struct vfio_dev *d, uint64_t iova, int npages, int prot,
	    uint64_t *seen)
{
	struct test_vfio_dma dma = {
		.iova = iova, .npages = npages, .prot = prot,
		.user = (uintptr_t)seen,
	};

	return vfio_ioctl(d->device, TEST_VFIO_PIN, &dma);
}

int emu_unpin(const struct vfio_dev *d, uint64_t iova, int npages)
{
	struct test_vfio_dma dma = { .iova = iova, .npages = npages };

	return vfio_ioctl(d->device, TEST_VFIO_UNPIN, &dma);
}

int emu_rw(const struct vfio_dev *d, uint64_t iova, void *buf, int size,
	   bool write)
{
	struct test_vfio_dma dma = {
		.iova = iova, .size = size, .write = write,
		.user = (uintptr_t)buf,
	};

	return vfio_ioctl(d->device, TEST_VFIO_RW, &dma);
}

struct test_vfio_unmaps emu_unmaps(const struct vfio_dev *d, int delay_ms)
{
	struct test_vfio_unmaps u = { .delay_ms = delay_ms };

	vfio_ioctl(d->device, TEST_VFIO_UNMAPS, &u);
	return u;
}
