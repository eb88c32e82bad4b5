// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device is made of: the information ioctls.
 *
 * Each answers in a structure whose size the user gives. Capabilities follow
 * the structure where they fit; where they do not, argsz says how much room
 * they need and the call succeeds without them.
 */
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfio_pci_priv.h"

/*
 * Copy the chain @caps out behind a structure of @size bytes. Sets *@argsz to
 * what is needed and *@cap_offset where the user got it. Frees the chain.
 */
static int vfio_pci_put_caps(struct vfio_info_cap *caps, void __user *arg,
			     size_t size, u32 *argsz, u32 *cap_offset)
{
	int ret = 0;

	if (*argsz < size + caps->size) {
		*argsz = size + caps->size;
	} else {
		vfio_info_cap_shift(caps, size);
		if (copy_to_user(arg + size, caps->buf, caps->size))
			ret = -EFAULT;
		*cap_offset = size;
	}
	kfree(caps->buf);
	return ret;
}

/*
 * PCIe r6.0, 6.15: AtomicOps that the device knows and its root port completes,
 * all switches on the way routing them. A VF has its PF's word for it. To ask
 * is to enable the device as a requester, which does no harm where it works.
 */
static int vfio_pci_add_atomic_comp(struct vfio_pci_core_device *vdev,
				    struct vfio_info_cap *caps)
{
	static const struct {
		u32 devcap2;
		u32 flag;
	} widths[] = {
		{ PCI_EXP_DEVCAP2_ATOMIC_COMP32, VFIO_PCI_ATOMIC_COMP32 },
		{ PCI_EXP_DEVCAP2_ATOMIC_COMP64, VFIO_PCI_ATOMIC_COMP64 },
		{ PCI_EXP_DEVCAP2_ATOMIC_COMP128, VFIO_PCI_ATOMIC_COMP128 },
	};
	struct vfio_device_info_cap_pci_atomic_comp cap = {
		.header.id = VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP,
		.header.version = 1,
	};
	struct pci_dev *pdev = pci_physfn(vdev->pdev);
	u32 devcap2;
	int i;

	pcie_capability_read_dword(pdev, PCI_EXP_DEVCAP2, &devcap2);
	for (i = 0; i < ARRAY_SIZE(widths); i++)
		if ((devcap2 & widths[i].devcap2) &&
		    !pci_enable_atomic_ops_to_root(pdev, widths[i].devcap2))
			cap.flags |= widths[i].flag;
	if (!cap.flags)
		return 0;

	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static int vfio_pci_device_info(struct vfio_pci_core_device *vdev,
				struct vfio_device_info *info,
				struct vfio_info_cap *caps)
{
	int ret;

	info->flags = VFIO_DEVICE_FLAGS_PCI;
	if (vdev->reset_works)
		info->flags |= VFIO_DEVICE_FLAGS_RESET;
	info->num_regions = vfio_pci_nr_regions(vdev);
	info->num_irqs = VFIO_PCI_NUM_IRQS;

	ret = vfio_pci_info_zdev_add_caps(vdev, caps);
	if (ret && ret != -ENODEV) {
		dev_warn_ratelimited(&vdev->pdev->dev,
				     "no zPCI capabilities: %d\n", ret);
		return ret;
	}
	return vfio_pci_add_atomic_comp(vdev, caps);
}

/* VFIO_DEVICE_GET_INFO */
long vfio_pci_get_info(struct vfio_pci_core_device *vdev, void __user *arg)
{
	size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info = {};
	struct vfio_info_cap caps = {};
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	minsz = min_t(size_t, info.argsz, sizeof(info));

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	ret = vfio_pci_device_info(vdev, &info, &caps);
	vfio_pci_end(vdev);
	if (ret) {
		kfree(caps.buf);
		return ret;
	}

	if (caps.size) {
		info.flags |= VFIO_DEVICE_FLAGS_CAPS;
		ret = vfio_pci_put_caps(&caps, arg, sizeof(info), &info.argsz,
					&info.cap_offset);
		if (ret)
			return ret;
	}

	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

/* The table's page may be mapped: the kernel programs it all the same. */
static int vfio_pci_add_msix_mappable(struct vfio_info_cap *caps)
{
	struct vfio_info_cap_header header = {
		.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
		.version = 1,
	};

	return vfio_info_add_capability(caps, &header, sizeof(header));
}

static int vfio_pci_bar_info(struct vfio_pci_core_device *vdev,
			     struct vfio_region_info *info,
			     struct vfio_info_cap *caps)
{
	unsigned int bar = array_index_nospec(info->index, PCI_STD_NUM_BARS);

	info->size = pci_resource_len(vdev->pdev, bar);
	if (!info->size)
		return 0;

	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (!vdev->bar_mmap_supported[bar])
		return 0;

	info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	if (bar != vdev->msix_bar)
		return 0;

	return vfio_pci_add_msix_mappable(caps);
}

static int vfio_pci_rom_info(struct vfio_pci_core_device *vdev,
			     struct vfio_region_info *info)
{
	int ret;

	info->size = vfio_pci_rom_size(vdev);
	if (!info->size)
		return 0;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	if (vfio_pci_rom_is_there(vdev))
		info->flags = VFIO_REGION_INFO_FLAG_READ;
	else
		info->size = 0;
	vfio_pci_end(vdev);
	return 0;
}

static int vfio_pci_dev_region_info(struct vfio_pci_core_device *vdev,
				    struct vfio_region_info *info,
				    struct vfio_info_cap *caps)
{
	struct vfio_pci_region *region =
		vfio_pci_find_region(vdev, info->index);
	struct vfio_region_info_cap_type type = {
		.header.id = VFIO_REGION_INFO_CAP_TYPE,
		.header.version = 1,
	};
	int ret;

	if (!region)
		return -EINVAL;

	info->size = region->size;
	info->flags = region->flags;
	type.type = region->type;
	type.subtype = region->subtype;

	ret = vfio_info_add_capability(caps, &type.header, sizeof(type));
	if (ret || !region->ops->add_capability)
		return ret;

	return region->ops->add_capability(vdev, region, caps);
}

static int vfio_pci_alias_info(const struct vfio_pci_alias *alias,
			       struct vfio_region_info *info,
			       struct vfio_info_cap *caps)
{
	struct vfio_region_info_cap_pci_alias cap = {
		.header.id = VFIO_REGION_INFO_CAP_PCI_ALIAS,
		.header.version = 1,
		.region_index = alias->bar,
		.memory_type = VFIO_PCI_ALIAS_WRITE_COMBINE,
		.offset = alias->start,
	};

	info->size = alias->end - alias->start;
	info->offset += alias->start;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
		      VFIO_REGION_INFO_FLAG_MMAP;
	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static int vfio_pci_region_info(struct vfio_pci_core_device *vdev,
				struct vfio_region_info *info,
				struct vfio_info_cap *caps)
{
	const struct vfio_pci_alias *alias;

	info->flags = 0;
	info->size = 0;
	info->offset = VFIO_PCI_INDEX_TO_OFFSET(info->index);

	switch (info->index) {
	case VFIO_PCI_BAR0_REGION_INDEX ... VFIO_PCI_BAR5_REGION_INDEX:
		return vfio_pci_bar_info(vdev, info, caps);
	case VFIO_PCI_ROM_REGION_INDEX:
		return vfio_pci_rom_info(vdev, info);
	case VFIO_PCI_CONFIG_REGION_INDEX:
		info->size = vdev->pdev->cfg_size;
		break;
	case VFIO_PCI_VGA_REGION_INDEX:
		if (!vdev->has_vga)
			return -EINVAL;
		info->size = 0xc0000;
		break;
	default:
		alias = vfio_pci_find_alias(vdev, info->index);
		if (alias)
			return vfio_pci_alias_info(alias, info, caps);
		return vfio_pci_dev_region_info(vdev, info, caps);
	}

	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	return 0;
}

/* VFIO_DEVICE_GET_REGION_INFO */
long vfio_pci_get_region_info(struct vfio_pci_core_device *vdev,
			      void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;
	struct vfio_info_cap caps = {};
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;

	ret = vfio_pci_region_info(vdev, &info, &caps);
	if (ret) {
		kfree(caps.buf);
		return ret;
	}

	if (caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		info.cap_offset = 0;
		ret = vfio_pci_put_caps(&caps, arg, sizeof(info), &info.argsz,
					&info.cap_offset);
		if (ret)
			return ret;
	}

	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

/* VFIO_DEVICE_GET_IRQ_INFO */
long vfio_pci_get_irq_info(struct vfio_pci_core_device *vdev, void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	info.count = vfio_pci_irq_count(vdev, info.index);
	vfio_pci_end(vdev);

	info.flags = VFIO_IRQ_INFO_EVENTFD;
	if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
		info.flags |= VFIO_IRQ_INFO_MASKABLE |
			      VFIO_IRQ_INFO_AUTOMASKED;
	else if (info.index != VFIO_PCI_MSIX_IRQ_INDEX || !vdev->has_dyn_msix)
		info.flags |= VFIO_IRQ_INFO_NORESIZE;
	if (IS_ENABLED(CONFIG_SMP) && (info.index == VFIO_PCI_MSI_IRQ_INDEX ||
				       info.index == VFIO_PCI_MSIX_IRQ_INDEX))
		info.flags |= VFIO_IRQ_INFO_AFFINITY;

	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}
