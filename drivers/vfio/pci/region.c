// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions that one device or driver adds behind the fixed ones: firmware
 * tables, a bridge's config space, a variant driver's memory. They live from
 * the driver's open_device to the last close.
 */
#include <linux/nospec.h>
#include <linux/slab.h>

#include "vfio_pci_priv.h"

/**
 * vfio_pci_core_register_dev_region - add a device-specific region
 * @vdev: the device
 * @type: VFIO_REGION_TYPE_*
 * @subtype: meaning within @type
 * @ops: how it is reached; rw is required
 * @size: bytes
 * @flags: VFIO_REGION_INFO_FLAG_* to report
 * @data: the caller's, in the region's data
 *
 * Return: 0 or -ENOMEM.
 * Context: may sleep; in open_device, before vfio_pci_core_finish_enable().
 */
int vfio_pci_core_register_dev_region(struct vfio_pci_core_device *vdev,
				      unsigned int type, unsigned int subtype,
				      const struct vfio_pci_regops *ops,
				      size_t size, u32 flags, void *data)
{
	struct vfio_pci_region *all;

	all = krealloc_array(vdev->region, vdev->num_regions + 1, sizeof(*all),
			     GFP_KERNEL_ACCOUNT);
	if (!all)
		return -ENOMEM;

	all[vdev->num_regions] = (struct vfio_pci_region) {
		.type = type,
		.subtype = subtype,
		.ops = ops,
		.size = size,
		.flags = flags,
		.data = data,
	};
	vdev->region = all;
	vdev->num_regions++;
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_register_dev_region);

/* @index counts the fixed regions, too; NULL where there is none. */
struct vfio_pci_region *
vfio_pci_find_region(struct vfio_pci_core_device *vdev, unsigned long index)
{
	unsigned long i = index - VFIO_PCI_NUM_REGIONS;

	if (index < VFIO_PCI_NUM_REGIONS || i >= vdev->num_regions)
		return NULL;

	return &vdev->region[array_index_nospec(i, vdev->num_regions)];
}

/* Last close. */
void vfio_pci_regions_release(struct vfio_pci_core_device *vdev)
{
	int i;

	for (i = 0; i < vdev->num_regions; i++)
		if (vdev->region[i].ops->release)
			vdev->region[i].ops->release(vdev, &vdev->region[i]);
	kfree(vdev->region);
	vdev->region = NULL;
	vdev->num_regions = 0;
}
