// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-pci: the driver for any PCI device that an administrator gives to user
 * space, by driver_override, by ids= or by new_id.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "vfio_pci_priv.h"

static char ids[1024] __initdata;
module_param_string(ids, ids, sizeof(ids), 0);
MODULE_PARM_DESC(ids, "Devices to take at load: vendor:device[:subvendor[:subdevice[:class[:class_mask]]]], hexadecimal, separated by commas");

static bool nointxmask;
static bool disable_idle_d3;

#ifdef CONFIG_VFIO_PCI_VGA
static bool disable_vga;
module_param(disable_vga, bool, 0444);
MODULE_PARM_DESC(disable_vga, "Do not give the legacy VGA ranges to users");
#else
#define disable_vga true
#endif

/* The lock of the module's parameters is held. */
static int vfio_pci_core_param_set(const char *val,
				   const struct kernel_param *kp)
{
	int ret = param_set_bool(val, kp);

	if (!ret)
		vfio_pci_core_set_params(nointxmask, disable_vga,
					 disable_idle_d3);
	return ret;
}

/* What the core obeys: it is told when one changes. */
static const struct kernel_param_ops vfio_pci_core_param_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = vfio_pci_core_param_set,
	.get = param_get_bool,
};

module_param_cb(nointxmask, &vfio_pci_core_param_ops, &nointxmask, 0644);
__MODULE_PARM_TYPE(nointxmask, "bool");
MODULE_PARM_DESC(nointxmask, "Mask INTx at the interrupt controller, not with the device's INTx disable bit, which works on few devices as it should not");
module_param_cb(disable_idle_d3, &vfio_pci_core_param_ops, &disable_idle_d3,
		0644);
__MODULE_PARM_TYPE(disable_idle_d3, "bool");
MODULE_PARM_DESC(disable_idle_d3, "Keep devices that nobody uses in D0");

static bool enable_sriov;
#ifdef CONFIG_PCI_IOV
module_param(enable_sriov, bool, 0644);
MODULE_PARM_DESC(enable_sriov, "Let sriov_numvfs of a PF bound here enable VFs; the PF's driver in user space has to support them");
#endif

static bool write_combine;
module_param(write_combine, bool, 0444);
MODULE_PARM_DESC(write_combine, "Map prefetchable BARs write-combined; the devices' write_combine attributes start with this");

static const char * const vfio_pci_reset_on_open_names[] = {
	[VFIO_PCI_RESET_ALWAYS] = "always",
	[VFIO_PCI_RESET_TOUCHED] = "touched",
	[VFIO_PCI_RESET_NEVER] = "never",
};

static u8 reset_on_open = VFIO_PCI_RESET_TOUCHED;

static int vfio_pci_reset_on_open_set(const char *val,
				      const struct kernel_param *kp)
{
	int policy = sysfs_match_string(vfio_pci_reset_on_open_names, val);

	if (policy < 0)
		return policy;
	/* Who says so of a device knows who opens it. */
	if (policy == VFIO_PCI_RESET_NEVER)
		return -EINVAL;
	WRITE_ONCE(reset_on_open, policy);
	return 0;
}

static int vfio_pci_reset_on_open_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n",
			  vfio_pci_reset_on_open_names[READ_ONCE(reset_on_open)]);
}

static const struct kernel_param_ops vfio_pci_reset_on_open_ops = {
	.set = vfio_pci_reset_on_open_set,
	.get = vfio_pci_reset_on_open_get,
};
module_param_cb(reset_on_open, &vfio_pci_reset_on_open_ops, NULL, 0644);
MODULE_PARM_DESC(reset_on_open, "Which opens reset devices bound from now on: \"always\" all, \"touched\" (default) not those of a device that nothing can have changed since the reset at its last close");

static bool disable_denylist;
module_param(disable_denylist, bool, 0444);
MODULE_PARM_DESC(disable_denylist, "Bind even devices whose known errata let an untrusted user harm the system");

/*
 * Intel QuickAssist functions from which an untrusted user can hang or crash
 * the platform; their host driver works around it.
 */
static const struct pci_device_id vfio_pci_denylist[] = {
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C3XXX) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C3XXX_VF) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C62X) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_C62X_VF) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_DH895XCC) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_QAT_DH895XCC_VF) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_DSA_SPR0) },
	{ PCI_VDEVICE(INTEL, PCI_DEVICE_ID_INTEL_IAX_SPR0) },
	{ }
};

static bool vfio_pci_is_denied(struct pci_dev *pdev)
{
	if (!pci_match_id(vfio_pci_denylist, pdev))
		return false;

	if (disable_denylist) {
		pci_warn(pdev,
			 "device denylist disabled - allowing device %04x:%04x.\n",
			 pdev->vendor, pdev->device);
		return false;
	}

	pci_warn(pdev, "%04x:%04x exists in vfio-pci device denylist, driver probing disallowed.\n",
		 pdev->vendor, pdev->device);
	return true;
}

/* Such a device may get regions of its own, see igd.c. */
static bool vfio_pci_is_igd(struct pci_dev *pdev)
{
	return vfio_pci_is_vga(pdev) && pdev->vendor == PCI_VENDOR_ID_INTEL;
}

static int vfio_pci_open_device(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev =
		container_of(core_vdev, struct vfio_pci_core_device, vdev);
	int ret;

	ret = vfio_pci_core_enable(vdev);
	if (ret)
		return ret;

	if (vfio_pci_is_igd(vdev->pdev)) {
		ret = vfio_pci_igd_open(vdev);
		/* Cards in a slot have no OpRegion. */
		if (ret && ret != -ENODEV) {
			pci_warn(vdev->pdev, "no regions for Intel graphics: %d\n",
				 ret);
			vfio_pci_core_disable(vdev);
			return ret;
		}
	}

	vfio_pci_core_finish_enable(vdev);
	return 0;
}

static const struct vfio_device_ops vfio_pci_ops = {
	.name = "vfio-pci",

	/* the object */
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.match = vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
	.request = vfio_pci_core_request,

	/* its files */
	.open_device = vfio_pci_open_device,
	.close_device = vfio_pci_core_close_device,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.ioctl = vfio_pci_core_ioctl,
	.device_feature = vfio_pci_core_ioctl_feature,

	/* its DMA, with iommufd */
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
};

static int vfio_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vfio_pci_core_device *vdev;
	int ret;

	if (vfio_pci_is_denied(pdev))
		return -EINVAL;

	vdev = vfio_alloc_device(vfio_pci_core_device, vdev, &pdev->dev,
				 &vfio_pci_ops);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);

	vdev->write_combine = write_combine;
	vdev->reset_on_open = READ_ONCE(reset_on_open);
	pci_set_drvdata(pdev, vdev);

	/* Reads of the regions of Intel graphics are not made for it (igd.c). */
	if (!vfio_pci_is_igd(pdev)) {
		ret = vfio_device_set_revocable(&vdev->vdev);
		if (ret)
			goto put;
	}

	ret = vfio_pci_core_register_device(vdev);
	if (ret)
		goto put;
	return 0;

put:
	vfio_put_device(&vdev->vdev);
	return ret;
}

static void vfio_pci_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = pci_get_drvdata(pdev);

	vfio_pci_core_unregister_device(vdev);
	vfio_put_device(&vdev->vdev);
}

static ssize_t reset_on_open_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);
	u8 policy = READ_ONCE(vdev->reset_on_open);

	return sysfs_emit(buf, "%s\n", vfio_pci_reset_on_open_names[policy]);
}

static ssize_t reset_on_open_store(struct device *dev,
				   struct device_attribute *attr,
				   const char *buf, size_t count)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);
	int policy = sysfs_match_string(vfio_pci_reset_on_open_names, buf);

	if (policy < 0)
		return policy;
	WRITE_ONCE(vdev->reset_on_open, policy);
	return count;
}
static DEVICE_ATTR_RW(reset_on_open);

#define VFIO_PCI_TOUCH_NAME(name, shown)	#shown,

static const char * const vfio_pci_touch_names[] = {
	VFIO_PCI_TOUCHES(VFIO_PCI_TOUCH_NAME, VFIO_PCI_TOUCH_NAME)
};

static ssize_t reset_reasons_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);
	unsigned long found = READ_ONCE(vdev->touches_found);
	const char *before = "";
	int i, len = 0;

	for_each_set_bit(i, &found, ARRAY_SIZE(vfio_pci_touch_names)) {
		len += sysfs_emit_at(buf, len, "%s%s", before,
				     vfio_pci_touch_names[i]);
		before = " ";
	}
	return len + sysfs_emit_at(buf, len, "\n");
}
static DEVICE_ATTR_RO(reset_reasons);

static struct attribute *vfio_pci_attrs[] = {
	&dev_attr_reset_on_open.attr,
	&dev_attr_reset_reasons.attr,
	NULL
};
ATTRIBUTE_GROUPS(vfio_pci);

static int vfio_pci_sriov_configure(struct pci_dev *pdev, int nr_virtfn)
{
	struct vfio_pci_core_device *vdev = pci_get_drvdata(pdev);

	if (!enable_sriov)
		return -ENOENT;

	return vfio_pci_core_sriov_configure(vdev, nr_virtfn);
}

static const struct pci_device_id vfio_pci_table[] = {
	/* Everything, but only where driver_override asks for it. */
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, vfio_pci_table);

static struct pci_driver vfio_pci_driver = {
	.name = "vfio-pci",
	.id_table = vfio_pci_table,
	.driver_managed_dma = true,
	.probe = vfio_pci_probe,
	.remove = vfio_pci_remove,
	.sriov_configure = vfio_pci_sriov_configure,
	.err_handler = &vfio_pci_core_err_handlers,
	.dev_groups = vfio_pci_groups,
};

/* One entry of ids=; anything wrong with it is reported and skipped. */
static void __init vfio_pci_add_id(char *id)
{
	unsigned int vendor, device;
	unsigned int subvendor = PCI_ANY_ID, subdevice = PCI_ANY_ID;
	unsigned int class = 0, class_mask = 0;
	int fields, ret;

	fields = sscanf(id, "%x:%x:%x:%x:%x:%x", &vendor, &device, &subvendor,
			&subdevice, &class, &class_mask);
	if (fields < 2) {
		pr_warn("invalid id string \"%s\"\n", id);
		return;
	}

	ret = pci_add_dynid(&vfio_pci_driver, vendor, device, subvendor,
			    subdevice, class, class_mask, 0);
	if (ret)
		pr_warn("failed to add dynamic id [%04x:%04x[%04x:%04x]] class %#08x/%08x (%d)\n",
			vendor, device, subvendor, subdevice, class,
			class_mask, ret);
	else
		pr_info("add [%04x:%04x[%04x:%04x]] class %#08x/%08x\n",
			vendor, device, subvendor, subdevice, class,
			class_mask);
}

static int __init vfio_pci_init(void)
{
	char *rest = ids, *id;
	int ret;

	vfio_pci_core_set_params(nointxmask, disable_vga, disable_idle_d3);

	ret = pci_register_driver(&vfio_pci_driver);
	if (ret)
		return ret;

	while ((id = strsep(&rest, ",")))
		if (*id)
			vfio_pci_add_id(id);

	if (disable_denylist)
		pr_warn("device denylist disabled.\n");
	return 0;
}

static void __exit vfio_pci_exit(void)
{
	pci_unregister_driver(&vfio_pci_driver);
}

module_init(vfio_pci_init);
module_exit(vfio_pci_exit);

MODULE_VERSION("0.4");
MODULE_DESCRIPTION("VFIO PCI - User Level meta-driver");
MODULE_AUTHOR("The VFIO stack project");
MODULE_LICENSE("GPL");
