// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver for one particular PCI device, QEMU's edu, on top of vfio-pci-core. It
 * is to be read more than to be used: all it adds to what vfio-pci does is a
 * region that shows the register with the device's identity and nothing else.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8
#define EDU_BAR		0
#define EDU_ID		0
#define EDU_ID_SIZE	4

struct edu_device {
	/* First, for vfio_alloc_device(), and the driver data of the PCI device */
	struct vfio_pci_core_device core;
	/* What the driver itself has to remember goes here. */
};

/*
 * edu's registers are read in one piece. The access is made behind the gate, or
 * fails with -EIO while the device's memory is not there.
 */
static ssize_t edu_id_rw(struct vfio_pci_core_device *core, char __user *buf,
			 size_t count, loff_t *ppos, bool iswrite)
{
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	ssize_t done;

	if (iswrite || pos || count < EDU_ID_SIZE)
		return -EINVAL;

	done = vfio_pci_core_do_io_rw(core, true, core->barmap[EDU_BAR], buf,
				      EDU_ID, EDU_ID_SIZE, 0, 0, false,
				      VFIO_PCI_IO_WIDTH_4);
	if (done > 0)
		*ppos += done;
	return done;
}

/* For tests: a region is mapped only if its flags offer that, and these do not. */
static int edu_id_mmap(struct vfio_pci_core_device *core,
		       struct vfio_pci_region *region,
		       struct vm_area_struct *vma)
{
	return 0;
}

static const struct vfio_pci_regops edu_id_ops = {
	.rw = edu_id_rw,
	.mmap = edu_id_mmap,
};

static int edu_open_device(struct vfio_device *vdev)
{
	struct edu_device *edu =
		container_of(vdev, struct edu_device, core.vdev);
	int ret;

	ret = vfio_pci_core_enable(&edu->core);
	if (ret)
		return ret;

	ret = vfio_pci_core_setup_barmap(&edu->core, EDU_BAR);
	if (ret)
		goto err_disable;

	ret = vfio_pci_core_register_dev_region(&edu->core,
						VFIO_REGION_TYPE_PCI_VENDOR_TYPE |
						EDU_VENDOR, 1, &edu_id_ops,
						EDU_ID_SIZE,
						VFIO_REGION_INFO_FLAG_READ,
						NULL);
	if (ret)
		goto err_disable;

	vfio_pci_core_finish_enable(&edu->core);
	return 0;

err_disable:
	vfio_pci_core_disable(&edu->core);
	return ret;
}

static const struct vfio_device_ops edu_ops = {
	.name		= "test_vfio_pci_edu",

	/* the device */
	.init		= vfio_pci_core_init_dev,
	.release	= vfio_pci_core_release_dev,
	.match		= vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
	.request	= vfio_pci_core_request,

	/* its files */
	.open_device	= edu_open_device,
	.close_device	= vfio_pci_core_close_device,
	.read		= vfio_pci_core_read,
	.write		= vfio_pci_core_write,
	.mmap		= vfio_pci_core_mmap,
	.ioctl		= vfio_pci_core_ioctl,
	.device_feature	= vfio_pci_core_ioctl_feature,

	/* its DMA, by an iommufd */
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
};

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu_device *edu;
	int ret;

	edu = vfio_alloc_device(edu_device, core.vdev, &pdev->dev, &edu_ops);
	if (IS_ERR(edu))
		return PTR_ERR(edu);

	/* vfio-pci-core expects its own structure there. */
	dev_set_drvdata(&pdev->dev, &edu->core);
	ret = vfio_pci_core_register_device(&edu->core);
	if (ret)
		vfio_put_device(&edu->core.vdev);
	return ret;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

/* Only where driver_override asks for it */
static const struct pci_device_id edu_ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(EDU_VENDOR, EDU_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name			= "test_vfio_pci_edu",
	.id_table		= edu_ids,
	.probe			= edu_probe,
	.remove			= edu_remove,
	.err_handler		= &vfio_pci_core_err_handlers,
	.driver_managed_dma	= true,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("An example of a driver on top of vfio-pci-core");
MODULE_LICENSE("GPL");
