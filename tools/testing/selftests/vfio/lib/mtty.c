// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instances of the mtty sample, the mediated device that needs no hardware.
 * VFIO_TEST_MTTY names the module's file when modprobe does not find it.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_util.h"

#define TYPES "/sys/devices/virtual/mtty/mtty/mdev_supported_types"
#define MDEVS "/sys/bus/mdev/devices"

int vfio_mtty_load(void)
{
	const char *file = getenv("VFIO_TEST_MTTY");
	const char *const insmod[] = { "insmod", file, NULL };

	if (!access(TYPES, F_OK))
		return 0;
	if (!file)
		return vfio_modprobe("mtty");
	if (vfio_modprobe("mdev"))
		return -ENODEV;
	return vfio_run(insmod);
}

/* @type is "mtty-1" or "mtty-2", for one port or two. */
int vfio_mtty_create(const char *type, const char *uuid)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), TYPES "/%s/create", type);
	return vfio_sysfs_write(path, uuid);
}

int vfio_mtty_destroy(const char *uuid)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), MDEVS "/%s/remove", uuid);
	return vfio_sysfs_write(path, "1");
}

int vfio_mtty_group(const char *uuid)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), MDEVS "/%s/iommu_group", uuid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return atoi(strrchr(target, '/') + 1);
}

int vfio_mtty_available(const char *type)
{
	char path[PATH_MAX], buf[32];
	int ret;

	snprintf(path, sizeof(path), TYPES "/%s/available_instances", type);
	ret = vfio_sysfs_read(path, buf, sizeof(buf));
	return ret ? ret : atoi(buf);
}
