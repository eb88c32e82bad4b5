// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver that registers PCI devices as none should. Its parameter "mistake" says how:
 * "nameless" for operations without a name, "twice" for a device that is registered two
 * times. What the registration says is what binding the device to the driver returns.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>

static char mistake[16];
module_param_string(mistake, mistake, sizeof(mistake), 0644);
MODULE_PARM_DESC(mistake, "nameless or twice");

static const struct vfio_device_ops nameless_ops = {
	.init		= vfio_pci_core_init_dev,
	.release	= vfio_pci_core_release_dev,
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
};

static const struct vfio_device_ops plain_ops = {
	.name		= "test_vfio_mistakes",
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
};

static int probe_nameless(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core;
	int ret;

	core = vfio_alloc_device(vfio_pci_core_device, vdev, &pdev->dev, &nameless_ops);
	if (IS_ERR(core))
		return PTR_ERR(core);

	dev_set_drvdata(&pdev->dev, core);
	ret = vfio_pci_core_register_device(core);
	if (!ret) {
		vfio_pci_core_unregister_device(core);
		ret = -EEXIST;
	}
	vfio_put_device(&core->vdev);
	return ret;
}

static struct vfio_device *register_plain(struct pci_dev *pdev)
{
	struct vfio_device *device;
	int ret;

	device = _vfio_alloc_device(sizeof(*device), &pdev->dev, &plain_ops);
	if (IS_ERR(device))
		return device;
	ret = vfio_register_group_dev(device);
	if (!ret)
		return device;
	vfio_put_device(device);
	return ERR_PTR(ret);
}

static void unregister_plain(struct vfio_device *device)
{
	vfio_unregister_group_dev(device);
	vfio_put_device(device);
}

static int probe_twice(struct pci_dev *pdev)
{
	struct vfio_device *first, *second;

	first = register_plain(pdev);
	if (IS_ERR(first))
		return -ENXIO;
	second = register_plain(pdev);
	if (!IS_ERR(second))
		unregister_plain(second);
	unregister_plain(first);
	return IS_ERR(second) ? PTR_ERR(second) : -EEXIST;
}

static int mistakes_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	if (sysfs_streq(mistake, "nameless"))
		return probe_nameless(pdev);
	if (sysfs_streq(mistake, "twice"))
		return probe_twice(pdev);
	return -ENODEV;
}

/* Only where driver_override asks for it */
static const struct pci_device_id mistakes_ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, mistakes_ids);

static struct pci_driver mistakes_driver = {
	.name			= "test_vfio_mistakes",
	.id_table		= mistakes_ids,
	.probe			= mistakes_probe,
	.driver_managed_dma	= true,
};
module_pci_driver(mistakes_driver);

MODULE_DESCRIPTION("A driver that registers devices as none should, for tests");
MODULE_LICENSE("GPL");
