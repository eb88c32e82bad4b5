// SPDX-License-Identifier: GPL-2.0-only
/* Physical functions, their VFs, and devices that are opened with a token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_sriov.h"

/* Long enough for a UUID and what introduces it, too. */
#define NAME_LEN (VFIO_BDF_LEN + 128)

/* An NVMe controller that can have two VFs; -ENXIO when none is here. */
int vfio_sriov_find(char *bdf)
{
	char total[16];
	int i;

	for (i = 0; !vfio_pci_find(0x1b36, 0x0010, i, bdf); i++)
		if (!vfio_pci_attr_read(bdf, "sriov_totalvfs", total,
					sizeof(total)) && atoi(total) == 2)
			return 0;
	return -ENXIO;
}

int vfio_sriov_set(const char *pf, int n)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", n);
	return vfio_pci_attr_write(pf, "sriov_numvfs", value);
}

int vfio_sriov_get(const char *pf)
{
	char value[16];
	int ret = vfio_pci_attr_read(pf, "sriov_numvfs", value, sizeof(value));

	return ret ? ret : atoi(value);
}

int vfio_sriov_make(const char *pf, char vf[][VFIO_BDF_LEN])
{
	int ret = vfio_sriov_set(pf, 2);

	if (!ret)
		ret = vfio_pci_link(pf, "virtfn0", vf[0], VFIO_BDF_LEN);
	return ret ? ret : vfio_pci_link(pf, "virtfn1", vf[1],
					       VFIO_BDF_LEN);
}

/* Group and container of @bdf, without its device. */
int vfio_token_open_group(struct vfio_dev *d, const char *bdf)
{
	int ret = vfio_dev_open_group(d, bdf);

	if (ret)
		return ret;
	d->container = vfio_open_container();
	if (d->container < 0)
		return d->container;
	ret = vfio_ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container);
	if (ret)
		return ret;
	return vfio_ioctl(d->container, VFIO_SET_IOMMU,
			  (unsigned long)VFIO_TYPE1v2_IOMMU);
}

/* A file of the device whose group is open. */
int vfio_token_fd(const struct vfio_dev *d, const char *token)
{
	char name[NAME_LEN];

	snprintf(name, sizeof(name), "%s%s%s", d->bdf,
		 token ? " vf_token=" : "", token ? token : "");
	return vfio_get_device_fd(d->group, name);
}

/* Can it be had? 0, or why not. */
int vfio_token_try(const struct vfio_dev *d, const char *token)
{
	int fd = vfio_token_fd(d, token);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int vfio_token_open(struct vfio_dev *d, const char *bdf, const char *token)
{
	int ret = vfio_token_open_group(d, bdf);

	if (!ret) {
		d->device = vfio_token_fd(d, token);
		ret = d->device < 0 ? d->device : 0;
	}
	if (ret)
		vfio_dev_close(d);
	return ret;
}

/* @op is VFIO_DEVICE_FEATURE_GET, _SET, _PROBE; @len of the 16 bytes count. */
int vfio_token_feature(int device, uint32_t op, const void *token,
		       uint32_t len)
{
	struct {
		struct vfio_device_feature header;
		uint8_t token[16];
	} arg = {
		.header.argsz = sizeof(arg.header) + len,
		.header.flags = op | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
	};

	if (token)
		memcpy(arg.token, token, sizeof(arg.token));
	return vfio_ioctl(device, VFIO_DEVICE_FEATURE, &arg);
}

int vfio_token_set(int device, const void *token)
{
	return vfio_token_feature(device, VFIO_DEVICE_FEATURE_SET, token, 16);
}
