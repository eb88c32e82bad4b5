// SPDX-License-Identifier: GPL-2.0-only
/*
 * read() and write() of a device's BARs, its ROM and the legacy VGA ranges.
 */
#include <linux/io.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/vgaarb.h>

#include "vfio_pci_priv.h"

/*
 * Bytes of the ROM region: the ROM BAR's, or the size of the copy that the
 * firmware left of a primary VGA device's ROM at 0xc0000.
 */
resource_size_t vfio_pci_rom_size(struct vfio_pci_core_device *vdev)
{
	struct resource *rom = &vdev->pdev->resource[PCI_ROM_RESOURCE];

	if (pci_resource_start(vdev->pdev, PCI_ROM_RESOURCE))
		return resource_size(rom);
	if (rom->flags & IORESOURCE_ROM_SHADOW)
		return SZ_128K;
	return 0;
}

/*
 * The image may be shorter than its BAR: what is behind it reads as ones and
 * is not touched.
 */
static ssize_t vfio_pci_rom_read(struct vfio_pci_core_device *vdev,
				 char __user *buf, loff_t pos, size_t count,
				 size_t end)
{
	struct pci_dev *pdev = vdev->pdev;
	void __iomem *io;
	size_t size;
	ssize_t ret;

	io = pci_map_rom(pdev, &size);
	if (!io)
		return -ENOMEM;

	ret = vfio_pci_core_do_io_rw(vdev, true, io, buf, pos, count, size, end,
				     false, VFIO_PCI_IO_WIDTH_8);
	pci_unmap_rom(pdev, io);
	return ret;
}

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
		ret = vfio_pci_rom_read(vdev, buf, pos, count, end);
	} else {
		ret = vfio_pci_bar_setup(vdev, bar);
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
 * has no such range at @ppos, -ENOMEM, what vga_get_interruptible() or
 * vfio_pci_core_do_io_rw() returns.
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

	ret = vga_get_interruptible(vdev->pdev, range->vga_rsrc);
	if (ret)
		goto unmap;

	/* The ranges are not a BAR: no gate, and ones where nothing decodes. */
	ret = vfio_pci_core_do_io_rw(vdev, false, io, buf, pos - range->first,
				     count, 0, 0, iswrite, VFIO_PCI_IO_WIDTH_4);
	vga_put(vdev->pdev, range->vga_rsrc);
	if (ret >= 0)
		*ppos += ret;
unmap:
	if (range->ports)
		ioport_unmap(io);
	else
		iounmap(io);
	return ret;
}
