// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel integrated graphics: what its drivers look at outside the device.
 *
 * The firmware leaves a table in memory, the OpRegion, and writes its address
 * to dword ASLS of the device's configuration space. In a virtual machine it is
 * firmware that places a copy and writes the copy's address there, so ASLS is
 * the user's. The copy's source is a region here, as are the configuration
 * spaces of the host bridge and of the LPC bridge, whose ids tell drivers what
 * platform they run on. All are read-only.
 *
 * The table ends with the mailboxes at 8 KiB; a video BIOS table (VBT) that
 * does not fit in one of them lies elsewhere, and header fields say where.
 * OpRegion 2.0 has its physical address, 2.1 its distance from the OpRegion.
 * A copy has no use for the first: users always see the table followed by that
 * VBT, and a header that is true for it.
 */
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>

#include "vfio_pci_priv.h"

#define IGD_ASLS		0xfc

#define OPREGION_SIGNATURE	"IntelGraphicsMem"
#define OPREGION_SIZE		0x10	/* u32, in KiB */
#define OPREGION_VERSION	0x16	/* u16, major and minor */
#define OPREGION_RVDA		0x3ba	/* u64, where the VBT is */
#define OPREGION_RVDS		0x3c2	/* u32, how long it is */

#define OPREGION_BASE_LEN	SZ_8K
#define OPREGION_MAX_VBT	SZ_1M	/* real ones have a few KiB */

/* The firmware's memory: the OpRegion, or a VBT of its own. */
struct igd_piece {
	void	*mem;
	size_t	len;
};

struct igd_opregion {
	struct igd_piece	table;
	struct igd_piece	vbt;	/* .mem is NULL where it is in the table */
	/* What users see in place of the header's fields. */
	__le16			version;
	__le64			rvda;
};

static int igd_map(struct igd_piece *piece, resource_size_t addr, size_t len)
{
	piece->mem = memremap(addr, len, MEMREMAP_WB);
	piece->len = len;
	return piece->mem ? 0 : -ENOMEM;
}

static void igd_unmap(struct igd_piece *piece)
{
	if (piece->mem)
		memunmap(piece->mem);
	piece->mem = NULL;
}

static void igd_opregion_free(struct igd_opregion *op)
{
	igd_unmap(&op->vbt);
	igd_unmap(&op->table);
	kfree(op);
}

static int igd_add_region(struct vfio_pci_core_device *vdev, u32 subtype,
			  const struct vfio_pci_regops *ops, size_t size,
			  void *data)
{
	u32 type = VFIO_REGION_TYPE_PCI_VENDOR_TYPE | PCI_VENDOR_ID_INTEL;

	return vfio_pci_core_register_dev_region(vdev, type, subtype, ops, size,
						 VFIO_REGION_INFO_FLAG_READ,
						 data);
}

/* Copy what a read of @count bytes at @pos finds in bytes [@start, @end). */
static int igd_copy(char __user *buf, size_t pos, size_t count, size_t start,
		    size_t end, const void *src)
{
	size_t first = max(pos, start), last = min(pos + count, end);

	if (first >= last)
		return 0;
	if (copy_to_user(buf + (first - pos), src + (first - start),
			 last - first))
		return -EFAULT;
	return 0;
}

static ssize_t igd_opregion_rw(struct vfio_pci_core_device *vdev,
			       char __user *buf, size_t count, loff_t *ppos,
			       bool iswrite)
{
	unsigned int i = VFIO_PCI_OFFSET_TO_INDEX(*ppos) -
			 VFIO_PCI_NUM_REGIONS;
	struct vfio_pci_region *region = &vdev->region[i];
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	struct igd_opregion *op = region->data;
	const struct {
		size_t start, len;
		const void *src;
	} parts[] = {
		{ 0, op->table.len, op->table.mem },
		{ op->table.len, op->vbt.len, op->vbt.mem },
		{ OPREGION_VERSION, sizeof(op->version), &op->version },
		{ OPREGION_RVDA, sizeof(op->rvda), &op->rvda },
	};
	int ret;

	if (iswrite || pos >= region->size)
		return -EINVAL;

	count = min_t(u64, count, region->size - pos);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		ret = igd_copy(buf, pos, count, parts[i].start,
			       parts[i].start + parts[i].len, parts[i].src);
		if (ret)
			return ret;
	}
	*ppos += count;
	return count;
}

static void igd_opregion_release(struct vfio_pci_core_device *vdev,
				 struct vfio_pci_region *region)
{
	igd_opregion_free(region->data);
}

static const struct vfio_pci_regops igd_opregion_ops = {
	.rw = igd_opregion_rw,
	.release = igd_opregion_release,
};

/* The VBT that is in no mailbox; the smallest table has the fields. */
static int igd_find_vbt(struct pci_dev *pdev, struct igd_opregion *op,
			resource_size_t addr)
{
	u16 version = get_unaligned_le16(op->table.mem + OPREGION_VERSION);
	u64 rvda = get_unaligned_le64(op->table.mem + OPREGION_RVDA);
	u32 rvds = get_unaligned_le32(op->table.mem + OPREGION_RVDS);

	op->version = cpu_to_le16(version);
	op->rvda = cpu_to_le64(rvda);
	if (version < 0x0200 || !rvda || !rvds)
		return 0;

	if (rvds > OPREGION_MAX_VBT) {
		pci_err(pdev, "OpRegion: a VBT of %u bytes?\n", rvds);
		return -EINVAL;
	}

	if (version == 0x0200)
		op->version = cpu_to_le16(0x0201);
	else
		rvda += addr;
	op->rvda = cpu_to_le64(op->table.len);
	return igd_map(&op->vbt, rvda, rvds);
}

static int igd_map_opregion(struct pci_dev *pdev, struct igd_opregion *op,
			    resource_size_t addr)
{
	size_t len;
	int ret;

	ret = igd_map(&op->table, addr, OPREGION_BASE_LEN);
	if (ret)
		return ret;

	if (memcmp(op->table.mem, OPREGION_SIGNATURE,
		   strlen(OPREGION_SIGNATURE))) {
		pci_err(pdev, "OpRegion: no signature at %pa\n", &addr);
		return -EINVAL;
	}

	len = get_unaligned_le32(op->table.mem + OPREGION_SIZE);
	if (!len || len > OPREGION_MAX_VBT / SZ_1K) {
		pci_err(pdev, "OpRegion: a size of %zu KiB\n", len);
		return -EINVAL;
	}
	len *= SZ_1K;

	if (len != OPREGION_BASE_LEN) {
		igd_unmap(&op->table);
		ret = igd_map(&op->table, addr, len);
		if (ret)
			return ret;
	}
	return igd_find_vbt(pdev, op, addr);
}

static int igd_add_opregion(struct vfio_pci_core_device *vdev)
{
	struct igd_opregion *op;
	u32 asls;
	int ret;

	ret = pci_read_config_dword(vdev->pdev, IGD_ASLS, &asls);
	if (ret)
		return pcibios_err_to_errno(ret);
	if (!asls || asls == ~0u)
		return -ENODEV;

	op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT);
	if (!op)
		return -ENOMEM;

	ret = igd_map_opregion(vdev->pdev, op, asls);
	if (ret)
		goto free;

	ret = igd_add_region(vdev, VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
			     &igd_opregion_ops, op->table.len + op->vbt.len,
			     op);
	if (ret)
		goto free;

	return vfio_pci_core_virtualize_dword(vdev, IGD_ASLS);

free:
	igd_opregion_free(op);
	return ret;
}

static int igd_bridge_read(struct pci_dev *bridge, int pos, size_t width,
			   u32 *val)
{
	u16 word;
	u8 byte;
	int ret;

	if (width == 4)
		return pci_user_read_config_dword(bridge, pos, val);

	if (width == 2) {
		ret = pci_user_read_config_word(bridge, pos, &word);
		*val = word;
	} else {
		ret = pci_user_read_config_byte(bridge, pos, &byte);
		*val = byte;
	}
	return ret;
}

/* A bridge's configuration space, in naturally aligned accesses. */
static ssize_t igd_bridge_rw(struct vfio_pci_core_device *vdev,
			     char __user *buf, size_t count, loff_t *ppos,
			     bool iswrite)
{
	unsigned int i = VFIO_PCI_OFFSET_TO_INDEX(*ppos) -
			 VFIO_PCI_NUM_REGIONS;
	struct vfio_pci_region *region = &vdev->region[i];
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done, width;
	__le32 le;
	u32 val;
	int ret;

	if (iswrite || pos >= region->size)
		return -EINVAL;

	count = min_t(u64, count, region->size - pos);
	for (done = 0; done < count; done += width) {
		width = count - done;
		if (width >= 4 && !((pos + done) & 3))
			width = 4;
		else if (width >= 2 && !((pos + done) & 1))
			width = 2;
		else
			width = 1;

		ret = igd_bridge_read(region->data, pos + done, width, &val);
		if (ret)
			return ret;
		le = cpu_to_le32(val);
		if (copy_to_user(buf + done, &le, width))
			return -EFAULT;
	}
	*ppos += count;
	return count;
}

static void igd_bridge_release(struct vfio_pci_core_device *vdev,
			       struct vfio_pci_region *region)
{
	pci_dev_put(region->data);
}

static const struct vfio_pci_regops igd_bridge_ops = {
	.rw = igd_bridge_rw,
	.release = igd_bridge_release,
};

static int igd_add_bridge(struct vfio_pci_core_device *vdev,
			  unsigned int devfn, u32 class, u32 subtype)
{
	struct pci_dev *bridge;
	int ret;

	bridge = pci_get_domain_bus_and_slot(pci_domain_nr(vdev->pdev->bus), 0,
					     devfn);
	if (!bridge)
		return -ENODEV;

	if (bridge->vendor != PCI_VENDOR_ID_INTEL ||
	    bridge->class >> 8 != class) {
		ret = -EINVAL;
		goto put;
	}

	ret = igd_add_region(vdev, subtype, &igd_bridge_ops, bridge->cfg_size,
			     bridge);
	if (ret)
		goto put;
	return 0;

put:
	pci_dev_put(bridge);
	return ret;
}

/**
 * vfio_pci_igd_open - add the regions of an Intel graphics device
 * @vdev: the device, between vfio_pci_core_enable() and
 *	vfio_pci_core_finish_enable()
 *
 * What was added before an error is released by vfio_pci_core_disable().
 *
 * Return: 0; -ENODEV where the firmware left no OpRegion or a bridge is not
 * there; -EINVAL for an OpRegion or a bridge that is none; -ENOMEM.
 * Context: may sleep; dev_set->lock is held.
 */
int vfio_pci_igd_open(struct vfio_pci_core_device *vdev)
{
	return igd_add_opregion(vdev) ?:
	       igd_add_bridge(vdev, PCI_DEVFN(0, 0), PCI_CLASS_BRIDGE_HOST,
			      VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG) ?:
	       igd_add_bridge(vdev, PCI_DEVFN(0x1f, 0), PCI_CLASS_BRIDGE_ISA,
			      VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG);
}
