// SPDX-License-Identifier: GPL-2.0-only
/*
 * An example: a PCI device by its own file and an iommufd, for
 * vfio_cdev_example ADDRESS
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "vfio_example.h"

/* The name of the device's file is that of the only entry of vfio-dev. */
static int open_device(const char *address)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int device;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev",
		 address);
	dir = opendir(path);
	if (!dir)
		err(1, "%s", path);
	do
		entry = readdir(dir);
	while (entry && entry->d_name[0] == '.');
	if (!entry)
		errx(1, "%s: empty", path);

	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
	closedir(dir);
	device = open(path, O_RDWR | O_CLOEXEC);
	if (device < 0)
		err(1, "%s", path);
	return device;
}

static void bind_device(int device, int iommufd)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};

	if (ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		err(1, "VFIO_DEVICE_BIND_IOMMUFD");
}

static uint32_t make_address_space(int iommufd)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc))
		err(1, "IOMMU_IOAS_ALLOC");
	return alloc.out_ioas_id;
}

static void attach_device(int device, uint32_t address_space)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = address_space,
	};

	if (ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		err(1, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
}

static void map(int iommufd, uint32_t address_space, void *buffer)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_FIXED_IOVA,
		.ioas_id = address_space,
		.user_va = (uintptr_t)buffer,
		.iova = BUFFER_IOVA,
		.length = BUFFER_SIZE,
	};

	if (ioctl(iommufd, IOMMU_IOAS_MAP, &map))
		err(1, "IOMMU_IOAS_MAP");
}

int main(int argc, char **argv)
{
	uint32_t address_space;
	int iommufd, device;
	void *buffer;

	if (argc < 2)
		errx(2, "usage: vfio_cdev_example ADDRESS");

	/* A device whose DMA is ours, and goes nowhere yet */
	device = open_device(argv[1]);
	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (iommufd < 0)
		err(1, "/dev/iommu");
	bind_device(device, iommufd);

	/* An address space for it, and memory in that */
	address_space = make_address_space(iommufd);
	attach_device(device, address_space);
	buffer = get_buffer();
	map(iommufd, address_space, buffer);

	use_device(device, buffer, BUFFER_IOVA);
	return 0;
}
