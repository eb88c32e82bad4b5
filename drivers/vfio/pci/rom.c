// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's expansion ROM (PCI Firmware Specification 3.3, chapter 5).
 *
 * pci_map_rom() looks at the images, too, and tells the log each time what is wrong
 * with them. Here it is a user who has a ROM looked at, as often as he likes, so this
 * file does it without a word.
 */
#include <linux/align.h>
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>

#include "vfio_pci_priv.h"

/* Each image begins with a header, which says where its data structure is. */
#define ROM_SIGNATURE		0xaa55
#define ROM_HEADER_DATA		0x18
#define ROM_HEADER_SIZE		0x1a
#define ROM_DATA_SIGNATURE	0x52494350	/* "PCIR" */
#define ROM_DATA_LENGTH		0x10		/* of the image, in sectors */
#define ROM_DATA_LAST		0x15
#define ROM_DATA_LAST_BIT	BIT(7)
#define ROM_DATA_SIZE		0x18

/* How much of a ROM is read while nobody else may touch the device. */
#define ROM_PIECE	SZ_4K

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
 * How many bytes of @size the images take. What their headers say is the device's
 * word, and nothing is read behind @size.
 */
static size_t vfio_pci_rom_images(void __iomem *io, size_t size)
{
	size_t at = 0, data, length;

	while (at <= size && size - at >= ROM_HEADER_SIZE &&
	       ioread16(io + at) == ROM_SIGNATURE) {
		data = at + ioread16(io + at + ROM_HEADER_DATA);
		if (!IS_ALIGNED(data, 4) || data > size ||
		    size - data < ROM_DATA_SIZE ||
		    ioread32(io + data) != ROM_DATA_SIGNATURE)
			break;
		length = ioread16(io + data + ROM_DATA_LENGTH) * SZ_512;
		at += length;
		if (!length || ioread8(io + data + ROM_DATA_LAST) &
			       ROM_DATA_LAST_BIT)
			break;
	}
	return min(at, size);
}

/*
 * As pci_map_rom(). An address is looked for once: the PCI core tells the log if
 * there is none, and remembers it.
 */
static void __iomem *vfio_pci_rom_map(struct pci_dev *pdev, size_t *size)
{
	struct resource *rom = &pdev->resource[PCI_ROM_RESOURCE];
	void __iomem *io;

	if (!rom->parent && (rom->flags & IORESOURCE_UNSET ||
			     pci_assign_resource(pdev, PCI_ROM_RESOURCE)))
		return NULL;

	*size = resource_size(rom);
	if (!*size || pci_enable_rom(pdev))
		return NULL;

	io = ioremap(rom->start, *size);
	if (io) {
		*size = vfio_pci_rom_images(io, *size);
		if (*size)
			return io;
		pci_unmap_rom(pdev, io);
	} else if (!(rom->flags & IORESOURCE_ROM_ENABLE)) {
		pci_disable_rom(pdev);
	}
	return NULL;
}

/*
 * The image may be shorter than its BAR: what is behind it reads as ones and
 * is not touched. The lock is held for write: to map a ROM makes it decode, and to
 * unmap it ends that for whoever else reads it.
 */
static int vfio_pci_rom_piece(struct vfio_pci_core_device *vdev, u8 *piece,
			      loff_t pos, size_t count)
{
	void __iomem *io;
	size_t size, i = 0;
	int ret = -EIO;

	memset(piece, 0xff, count);
	down_write(&vdev->memory_lock);
	if (!vfio_pci_gate_is_open(vdev))
		goto unlock;

	ret = -ENOMEM;
	io = vfio_pci_rom_map(vdev->pdev, &size);
	if (!io)
		goto unlock;
	/* Some devices answer to 8 bytes at once with a fatal error. */
	while (i < count && pos + i < size) {
		if (IS_ALIGNED(pos + i, 4) && count - i >= 4 &&
		    size - (pos + i) >= 4) {
			put_unaligned_le32(ioread32(io + pos + i), piece + i);
			i += 4;
		} else {
			piece[i] = ioread8(io + pos + i);
			i++;
		}
	}
	pci_unmap_rom(vdev->pdev, io);
	ret = 0;
unlock:
	up_write(&vdev->memory_lock);
	return ret;
}

/**
 * vfio_pci_rom_read - read the ROM
 * @vdev: the device
 * @buf: the user's buffer
 * @pos: offset in the ROM
 * @count: bytes wanted, no more than there are behind @pos
 *
 * Return: @count; -EIO where the gate is closed; -ENOMEM, also where there is no
 * image; -EFAULT; what vfio_pci_begin() returns.
 * Context: may sleep and fault.
 */
ssize_t vfio_pci_rom_read(struct vfio_pci_core_device *vdev, char __user *buf,
			  loff_t pos, size_t count)
{
	size_t done, part;
	u8 *piece;
	int ret = 0;

	piece = kmalloc(ROM_PIECE, GFP_KERNEL);
	if (!piece)
		return -ENOMEM;

	for (done = 0; done < count; done += part) {
		part = min(count - done,
			   ROM_PIECE - ((pos + done) & (ROM_PIECE - 1)));
		ret = vfio_pci_begin(vdev);
		if (ret)
			break;
		ret = vfio_pci_rom_piece(vdev, piece, pos + done, part);
		vfio_pci_end(vdev);
		if (ret)
			break;
		if (copy_to_user(buf + done, piece, part)) {
			ret = -EFAULT;
			break;
		}
	}

	kfree(piece);
	return ret ?: done;
}

/**
 * vfio_pci_rom_is_there - does the ROM BAR have a ROM behind it?
 * @vdev: the device, in use between vfio_pci_begin() and vfio_pci_end()
 *
 * Only looking there tells.
 *
 * Return: true if there is an image.
 * Context: may sleep; takes memory_lock.
 */
bool vfio_pci_rom_is_there(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_gate_forced was;
	void __iomem *io;
	size_t size;

	vfio_pci_gate_force_decode(vdev, &was);
	io = vfio_pci_rom_map(vdev->pdev, &size);
	if (io)
		pci_unmap_rom(vdev->pdev, io);
	vfio_pci_gate_restore_decode(vdev, &was);
	return io;
}
