// SPDX-License-Identifier: GPL-2.0-only
/*
 * An example: a PCI device by way of its group and a container, for
 * vfio_group_example ADDRESS [CONTAINER]
 */
#include <err.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/vfio.h>

#include "vfio_example.h"

/* A group has the number of the IOMMU group that the device is in. */
static int open_group(const char *address)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;
	int group;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 address);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		err(1, "%s", path);
	target[len] = '\0';

	snprintf(path, sizeof(path), "/dev/vfio/%s", basename(target));
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0)
		err(1, "%s", path);
	return group;
}

static int open_container(const char *path)
{
	int container = open(path, O_RDWR | O_CLOEXEC);

	if (container < 0)
		err(1, "%s", path);
	if (ioctl(container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		errx(1, "%s: not the interface that I know", path);
	if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
		errx(1, "%s: no type1v2", path);
	return container;
}

static void check_viable(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status))
		err(1, "VFIO_GROUP_GET_STATUS");
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		errx(1, "a device of the group has a driver that is not VFIO's");
}

static void map(int container, void *buffer)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)buffer,
		.iova = BUFFER_IOVA,
		.size = BUFFER_SIZE,
	};

	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		err(1, "VFIO_IOMMU_MAP_DMA");
}

int main(int argc, char **argv)
{
	const char *container_path = argc > 2 ? argv[2] : "/dev/vfio/vfio";
	int container, group, device;
	void *buffer;

	if (argc < 2)
		errx(2, "usage: vfio_group_example ADDRESS [CONTAINER]");

	/* An address space with one group in it */
	container = open_container(container_path);
	group = open_group(argv[1]);
	check_viable(group);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		err(1, "VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		err(1, "VFIO_SET_IOMMU");

	/* Memory in it */
	buffer = get_buffer();
	map(container, buffer);

	/* A device of the group */
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[1]);
	if (device < 0)
		err(1, "VFIO_GROUP_GET_DEVICE_FD");

	use_device(device, buffer, BUFFER_IOVA);
	return 0;
}
