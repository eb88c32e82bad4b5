// SPDX-License-Identifier: GPL-2.0-only
/* Devices of test_vfio_emulated.ko and test_iommu.ko. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_emulated.h"

int vfio_dev_open_platform(struct vfio_dev *d, const char *module, int nr,
			   int type, const struct vfio_dev *other)
{
	char path[128], link[128], name[32];
	ssize_t len;

	vfio_dev_init(d);
	snprintf(name, sizeof(name), "%s.%d", module, nr);
	snprintf(path, sizeof(path), "/sys/bus/platform/devices/%s/iommu_group",
		 name);
	/* If it is not there already, perhaps it is installed. */
	if (access(path, F_OK))
		vfio_modprobe(module);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return -ENXIO;
	link[len] = 0;

	return vfio_dev_open_named(d, name, atoi(strrchr(link, '/') + 1), type,
				   other);
}

int emu_open(struct vfio_dev *d, int nr, int type, const struct vfio_dev *other)
{
	return vfio_dev_open_platform(d, "test_vfio_emulated", nr, type, other);
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

int mock_open(struct vfio_dev *d, int nr, int type,
	      const struct vfio_dev *other)
{
	return vfio_dev_open_platform(d, "test_iommu", nr, type, other);
}

static void mock_path(char *path, size_t size, int nr, const char *attr)
{
	snprintf(path, size, "/sys/bus/platform/devices/test_iommu.%d/%s", nr,
		 attr);
}

int mock_set(int nr, const char *attr, uint64_t value)
{
	char path[128], text[32];

	mock_path(path, sizeof(path), nr, attr);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return vfio_sysfs_write(path, text);
}

uint64_t mock_get(int nr, const char *attr)
{
	char path[128], text[32];

	mock_path(path, sizeof(path), nr, attr);
	if (vfio_sysfs_read(path, text, sizeof(text)))
		return -1;
	return strtoull(text, NULL, 0);
}

/* As if it had just been loaded, but for the page sizes; -ENXIO: there is none. */
int mock_reset(uint64_t pgsizes)
{
	int nr, ret;

	for (nr = 0; nr < 2; nr++) {
		ret = mock_set(nr, "pgsizes", pgsizes);
		if (ret && !vfio_modprobe("test_iommu"))
			ret = mock_set(nr, "pgsizes", pgsizes);
		if (ret)
			return -ENXIO;
		mock_set(nr, "last", MOCK_LAST);
		mock_set(nr, "fail_map", 0);
		mock_set(nr, "quiet", 0);
		mock_set(nr, "wrongs", 0);
	}
	return 0;
}
