// SPDX-License-Identifier: GPL-2.0-only
/*
 * read() and write() of a device's BARs and the legacy VGA ranges.
 */
#include <linux/io.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/vgaarb.h>

#include "vfio_pci_priv.h"

/**
 * vfio_pci_bar_rw - read or write a BAR, read the ROM
 * @vdev: the device
 * @index: region index of the BAR or ROM
 * @limit: offset in it from which on nothing is to be seen
 * @buf: the user's buffer
 * @count: bytes wanted
 * @ppos: place in the device file, advanced by what was done
 * @iswrite: direction; never set for the ROM
 *
 * Return: bytes done, cut at the region's end, or -EINVAL where the region
 * has no memory at @ppos, -EIO where the gate is closed, or what
 * vfio_pci_core_do_io_rw() returns.
 */
ssize_t vfio_pci_bar_rw(struct vfio_pci_core_device *vdev, unsigned int index,
			u64 limit, char __user *buf, size_t count, loff_t *ppos,
			bool iswrite)
{
	unsigned int bar = array_index_nospec(index, PCI_ROM_RESOURCE + 1);
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t x_start = 0, x_end = 0;
	resource_size_t end;
	ssize_t ret;

	if (bar == PCI_ROM_RESOURCE)
		end = vfio_pci_rom_size(vdev);
	else
		end = pci_resource_start(vdev->pdev, bar) ?
		      pci_resource_len(vdev->pdev, bar) : 0;
	end = min_t(u64, end, limit);
	if (pos >= end)
		return -EINVAL;
	count = min_t(u64, count, end - pos);

	if (bar == PCI_ROM_RESOURCE) {
		ret = vfio_pci_rom_read(vdev, buf, pos, count);
	} else {
		ret = vfio_pci_bar_setup_call(vdev, bar);
		if (ret)
			return ret;
		if (bar == vdev->msix_bar) {
			x_start = vdev->msix_offset;
			x_end = vdev->msix_offset + vdev->msix_size;
		}
		ret = vfio_pci_bar_io_rw(vdev, bar, buf, pos, count, x_start,
					 x_end, iswrite);
	}
	if (ret >= 0)
		*ppos += ret;
	return ret;
}

/* What a VGA device answers to wherever its BARs are. */
static const struct vfio_pci_vga_range {
	u32 first;
	u32 last;
	unsigned int vga_rsrc;
	bool ports;
} vga_ranges[] = {
	{ 0xa0000, 0xbffff, VGA_RSRC_LEGACY_MEM, false },
	{ 0x3b0, 0x3bb, VGA_RSRC_LEGACY_IO, true },
	{ 0x3c0, 0x3df, VGA_RSRC_LEGACY_IO, true },
};

/**
 * vfio_pci_vga_rw - read or write the legacy VGA memory and ports
 * @vdev: the device
 * @buf: the user's buffer
 * @count: bytes wanted
 * @ppos: place in the device file, advanced by what was done
 * @iswrite: direction
 *
 * Return: bytes done, cut at the end of the range, or -EINVAL where the device
 * has no such range at @ppos, -ENOMEM, what vfio_pci_vga_io_rw() returns.
 */
ssize_t vfio_pci_vga_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			size_t count, loff_t *ppos, bool iswrite)
{
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	const struct vfio_pci_vga_range *range = NULL;
	void __iomem *io;
	ssize_t ret;
	int i;

	if (!vdev->has_vga)
		return -EINVAL;

	for (i = 0; i < ARRAY_SIZE(vga_ranges); i++)
		if (pos >= vga_ranges[i].first && pos <= vga_ranges[i].last)
			range = &vga_ranges[i];
	if (!range)
		return -EINVAL;
	count = min_t(u64, count, range->last - pos + 1);

	io = range->ports ? ioport_map(range->first,
				       range->last - range->first + 1) :
			    ioremap(range->first,
				    range->last - range->first + 1);
	if (!io)
		return -ENOMEM;

	ret = vfio_pci_vga_io_rw(vdev, range->vga_rsrc, io, buf,
				 pos - range->first, count, iswrite);
	if (ret >= 0)
		*ppos += ret;
	if (range->ports)
		ioport_unmap(io);
	else
		iounmap(io);
	return ret;
}
