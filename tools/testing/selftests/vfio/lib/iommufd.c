// SPDX-License-Identifier: GPL-2.0-only
/* /dev/vfio/devices, and /dev/iommu with the address spaces for it. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/iommufd.h>

#include "../../kselftest.h"
#include "vfio_util.h"

/* The name in @dir that is not its own or its parent's; there is one. */
static int only_entry(const char *dir, char *name, size_t len)
{
	struct dirent *entry;
	int ret = -ENOENT;
	DIR *d;

	d = opendir(dir);
	if (!d)
		return -errno;
	while (ret && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, len, "%.*s", (int)len - 1, entry->d_name);
		ret = 0;
	}
	closedir(d);
	return ret;
}

/*
 * The file of the device that is called @name on its bus, -ENOENT if it has
 * none. What the file would be called is there in any case: dev says whether
 * there is one.
 */
int vfio_cdev_node(const char *name, char *node, size_t len)
{
	static const char *const buses[] = { "pci", "mdev", "platform" };
	char dir[256], path[384], file[64], dev[32];
	int ret = -ENOENT;
	size_t i;

	for (i = 0; ret && i < ARRAY_SIZE(buses); i++) {
		snprintf(dir, sizeof(dir), "/sys/bus/%s/devices/%s/vfio-dev",
			 buses[i], name);
		ret = only_entry(dir, file, sizeof(file));
	}
	if (ret)
		return ret;

	snprintf(path, sizeof(path), "%s/%s/dev", dir, file);
	ret = vfio_sysfs_read(path, dev, sizeof(dev));
	if (!ret)
		snprintf(node, len, "/dev/vfio/devices/%s", file);
	return ret;
}

int vfio_cdev_open(const char *name)
{
	char node[128];
	int fd, ret;

	ret = vfio_cdev_node(name, node, sizeof(node));
	if (ret)
		return ret;
	fd = open(node, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vfio_cdev_bind(int device, int iommufd, uint32_t *devid)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = offsetof(struct vfio_device_bind_iommufd,
				  token_uuid_ptr),
		.iommufd = iommufd,
	};
	int ret;

	ret = vfio_ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind);
	if (!ret && devid)
		*devid = bind.out_devid;
	return ret;
}

int vfio_cdev_bind_token(int device, int iommufd, const uint8_t uuid[16])
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.flags = VFIO_DEVICE_BIND_FLAG_TOKEN,
		.iommufd = iommufd,
		.token_uuid_ptr = (uintptr_t)uuid,
	};

	return vfio_ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

int vfio_cdev_attach(int device, uint32_t *pt_id)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = *pt_id,
	};
	int ret;

	ret = vfio_ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
	*pt_id = attach.pt_id;
	return ret;
}

int vfio_cdev_detach(int device)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};

	return vfio_ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
}

int vfio_iommufd_open(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vfio_iommufd_destroy(int iommufd, uint32_t id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	return vfio_ioctl(iommufd, IOMMU_DESTROY, &destroy);
}

int vfio_ioas_alloc(int iommufd, uint32_t *id)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret;

	ret = vfio_ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc);
	*id = alloc.out_ioas_id;
	return ret;
}

/* The address space that the ioctls of a container work on. */
int vfio_ioas_compat(int iommufd, uint32_t *id)
{
	struct iommu_vfio_ioas get = {
		.size = sizeof(get),
		.op = IOMMU_VFIO_IOAS_GET,
	};
	int ret;

	ret = vfio_ioctl(iommufd, IOMMU_VFIO_IOAS, &get);
	*id = get.ioas_id;
	return ret;
}

int vfio_ioas_set_compat(int iommufd, uint32_t id)
{
	struct iommu_vfio_ioas set = {
		.size = sizeof(set),
		.ioas_id = id,
		.op = IOMMU_VFIO_IOAS_SET,
	};

	return vfio_ioctl(iommufd, IOMMU_VFIO_IOAS, &set);
}

int vfio_ioas_map(int iommufd, uint32_t ioas, void *vaddr, uint64_t iova,
		  uint64_t size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)vaddr,
		.iova = iova,
		.length = size,
	};

	return vfio_ioctl(iommufd, IOMMU_IOAS_MAP, &map);
}

int vfio_ioas_unmap(int iommufd, uint32_t ioas, uint64_t iova, uint64_t size)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = ioas,
		.iova = iova,
		.length = size,
	};

	return vfio_ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap);
}
