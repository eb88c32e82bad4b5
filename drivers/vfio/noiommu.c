// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices without an IOMMU, for users that are trusted with all memory. Their
 * containers use this back end and no other: nothing can be mapped.
 */
#include <linux/capability.h>
#include <linux/moduleparam.h>

#include "vfio.h"

bool vfio_noiommu_enabled __read_mostly;
module_param_named(enable_unsafe_noiommu_mode, vfio_noiommu_enabled, bool,
		   0644);
MODULE_PARM_DESC(enable_unsafe_noiommu_mode,
		 "Let users with CAP_SYS_RAWIO have devices that no IOMMU confines. Such a device can read and write all memory; its use taints the kernel.");

static void *vfio_noiommu_open(unsigned long arg)
{
	/* There is no state to return. The type was asked for before. */
	return capable(CAP_SYS_RAWIO) ? NULL : ERR_PTR(-EPERM);
}

static void vfio_noiommu_release(void *iommu_data)
{
}

static long vfio_noiommu_ioctl(void *iommu_data, unsigned int cmd,
			       unsigned long arg)
{
	if (cmd != VFIO_CHECK_EXTENSION)
		return -ENOTTY;
	return vfio_noiommu_enabled && arg == VFIO_NOIOMMU_IOMMU;
}

static int vfio_noiommu_attach(void *iommu_data, struct iommu_group *group,
			       enum vfio_group_type type)
{
	return 0;
}

static void vfio_noiommu_detach(void *iommu_data, struct iommu_group *group)
{
}

const struct vfio_iommu_driver_ops vfio_noiommu_ops = {
	.owner		= THIS_MODULE,
	.name		= "vfio-noiommu",
	.ioctl		= vfio_noiommu_ioctl,
	.open		= vfio_noiommu_open,
	.attach_group	= vfio_noiommu_attach,
	.detach_group	= vfio_noiommu_detach,
	.release	= vfio_noiommu_release,
};

int __init vfio_noiommu_init(void)
{
	return vfio_register_iommu_driver(&vfio_noiommu_ops);
}

void vfio_noiommu_exit(void)
{
	vfio_unregister_iommu_driver(&vfio_noiommu_ops);
}
