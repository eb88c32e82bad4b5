// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vfio module: what exists once, and the order in which it comes and goes.
 */
#include <linux/idr.h>
#include <linux/init.h>

#include "vfio.h"

#define VFIO_VERSION	"0.4"
#define VFIO_DESC	"VFIO - User Level meta-driver"

static int __init vfio_init(void)
{
	int ret;

	vfio_device_class = class_create("vfio-dev");
	if (IS_ERR(vfio_device_class))
		return PTR_ERR(vfio_device_class);

	vfio_revoke_init(vfio_device_class);
	ret = vfio_cdev_init(vfio_device_class);
	if (ret)
		goto err_class;

	ret = vfio_virqfd_init();
	if (ret)
		goto err_cdev;

	ret = vfio_groups_init();
	if (ret)
		goto err_virqfd;

	ret = vfio_noiommu_init();
	if (ret)
		goto err_groups;

	vfio_debugfs_init();

	/* Last: from here on users come in. */
	ret = vfio_container_init();
	if (ret)
		goto err_noiommu;

	pr_info(VFIO_DESC " version: " VFIO_VERSION "\n");
	return 0;

err_noiommu:
	vfio_debugfs_exit();
	vfio_noiommu_exit();
err_groups:
	vfio_groups_exit();
err_virqfd:
	vfio_virqfd_exit();
err_cdev:
	vfio_cdev_exit();
err_class:
	class_destroy(vfio_device_class);
	return ret;
}

static void __exit vfio_exit(void)
{
	vfio_container_exit();
	vfio_debugfs_exit();
	vfio_noiommu_exit();
	vfio_groups_exit();
	vfio_virqfd_exit();
	vfio_cdev_exit();
	class_destroy(vfio_device_class);
	vfio_device_set_exit();
	ida_destroy(&vfio_device_ida);
}

module_init(vfio_init);
module_exit(vfio_exit);

MODULE_IMPORT_NS(IOMMUFD);
MODULE_VERSION(VFIO_VERSION);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The VFIO stack authors");
MODULE_DESCRIPTION(VFIO_DESC);
MODULE_SOFTDEP("post: vfio_iommu_type1 vfio_iommu_spapr_tce");
