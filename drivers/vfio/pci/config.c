// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtualised configuration space of a device.
 *
 * A user may not have the real one. BARs hold host addresses and decide what
 * the device answers to; MSI tells it where to write; a reset or a power state
 * takes its memory away under everyone's feet; some capabilities are the
 * host's business. So a user sees a mixture, bit by bit:
 *
 *   virtual bits live in vdev->vconfig, a little endian image of configuration
 *   space that is filled from hardware at first open;
 *   the others live in hardware, and only there.
 *
 * Both kinds come as writable or not. Which bit is what, for the header and
 * each capability, is in the tables of config_caps.c, a layout for each; the
 * few registers where a write does more than store a value have a function in
 * config_write.c.
 *
 * vdev->pci_config_map has a byte for each byte of configuration space: the
 * index of the layout it belongs to, and MAP_START at a structure's first
 * byte, a multiple of 4. What is in no structure is passed through unchanged in
 * both directions: drivers need their device's private registers, which no list
 * tells. What is in one is read-only unless a row grants more, and so is the
 * whole of a capability that is hidden.
 *
 * The map is made in two steps, because a device may lie about the length of a
 * capability or where the next one is. First the chains are followed, to mark
 * where structures begin; then each is given its bytes, up to the next mark.
 *
 * The field tables are merged once, at module load, into masks by dword. An
 * access is split into naturally aligned pieces of at most four bytes, so each
 * lies in one dword and is four lines of arithmetic. To hardware a piece is
 * written no wider than the bits that the user owns: the neighbours may be
 * status bits that a write of their own value clears.
 *
 * Accesses are not serialised, except by a handler that says so: vconfig is
 * one user's, and who writes two values at a time gets one of them. The map and
 * the masks do not change while the device is open. Memory decoding, power and
 * resets go through the gate (gate.c).
 */
#include <linux/align.h>
#include <linux/bits.h>
#include <linux/interrupt.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "config.h"

#define MAP_START	0x80

/* What tells the length of a capability is in its first bytes. */
#define CONFIG_LEN_REGS	(PCI_REBAR_CTRL + 4)

/* One for each layout. */
static struct vfio_pci_config_masks *config_masks;

/* Who has configuration space @locked need not wait for himself. */
static int config_read(struct pci_dev *pdev, unsigned int pos,
		       unsigned int width, u32 *val, bool locked)
{
	struct pci_bus *bus = pdev->bus;
	unsigned int devfn = pdev->devfn;
	u16 word;
	u8 byte;
	int ret;

	switch (width) {
	case 4:
		ret = locked ? pci_bus_read_config_dword(bus, devfn, pos, val) :
			       pci_user_read_config_dword(pdev, pos, val);
		break;
	case 2:
		ret = locked ? pci_bus_read_config_word(bus, devfn, pos, &word) :
			       pci_user_read_config_word(pdev, pos, &word);
		*val = word;
		break;
	default:
		ret = locked ? pci_bus_read_config_byte(bus, devfn, pos, &byte) :
			       pci_user_read_config_byte(pdev, pos, &byte);
		*val = byte;
	}
	return locked ? pcibios_err_to_errno(ret) : ret;
}

int vfio_pci_config_hw_read(struct pci_dev *pdev, unsigned int pos,
			    unsigned int width, u32 *val)
{
	return config_read(pdev, pos, width, val, false);
}

static int config_write(struct pci_dev *pdev, unsigned int pos,
			unsigned int width, u32 val, bool locked)
{
	struct pci_bus *bus = pdev->bus;
	unsigned int devfn = pdev->devfn;
	int ret;

	switch (width) {
	case 4:
		ret = locked ? pci_bus_write_config_dword(bus, devfn, pos, val) :
			       pci_user_write_config_dword(pdev, pos, val);
		break;
	case 2:
		ret = locked ? pci_bus_write_config_word(bus, devfn, pos, val) :
			       pci_user_write_config_word(pdev, pos, val);
		break;
	default:
		ret = locked ? pci_bus_write_config_byte(bus, devfn, pos, val) :
			       pci_user_write_config_byte(pdev, pos, val);
	}
	return locked ? pcibios_err_to_errno(ret) : ret;
}

/* All bits of an access of this width. */
static u32 config_width_mask(unsigned int width)
{
	return GENMASK(width * 8 - 1, 0);
}

/* Change some bits of a hardware register and as little else as can be. */
static int config_hw_update(const struct vfio_pci_config_access *acc, u32 mask)
{
	struct pci_dev *pdev = acc->vdev->pdev;
	unsigned int width = acc->width, pos = acc->pos;
	u32 val = acc->val, old = acc->old, w1c = acc->w1c;
	int ret;

	while (width > 1) {
		unsigned int half = width / 2;
		u32 low = config_width_mask(half);

		if (!(mask & ~low)) {
			width = half;
		} else if (!(mask & low)) {
			width = half;
			pos += half;
			mask >>= half * 8;
			val >>= half * 8;
			old >>= half * 8;
			w1c >>= half * 8;
		} else {
			break;
		}
	}

	if (mask != config_width_mask(width)) {
		ret = acc->known ? 0 :
		      config_read(pdev, pos, width, &old, acc->locked);
		if (ret)
			return ret;
		val = (old & ~mask & ~w1c) | (val & mask);
	}
	return config_write(pdev, pos, width, val, acc->locked);
}

static u32 config_vconfig_get(struct vfio_pci_core_device *vdev,
			      unsigned int pos, unsigned int width)
{
	u8 *p = vdev->vconfig + pos;

	return width == 4 ? get_unaligned_le32(p) :
	       width == 2 ? get_unaligned_le16(p) : *p;
}

static void config_vconfig_update(struct vfio_pci_core_device *vdev,
				  unsigned int pos, unsigned int width,
				  u32 mask, u32 val)
{
	u8 *p = vdev->vconfig + pos;

	val = (config_vconfig_get(vdev, pos, width) & ~mask) | (val & mask);
	if (width == 4)
		put_unaligned_le32(val, p);
	else if (width == 2)
		put_unaligned_le16(val, p);
	else
		*p = val;
}

/**
 * vfio_pci_config_store - write the bits that the user may write
 * @acc: the access
 *
 * Return: 0 or what the hardware access returned.
 * Context: may sleep.
 */
int vfio_pci_config_store(struct vfio_pci_config_access *acc)
{
	u32 virt = acc->write & acc->virt;
	u32 phys = acc->write & ~acc->virt;

	if (virt)
		config_vconfig_update(acc->vdev, acc->pos, acc->width, virt,
				      acc->val);
	if (!phys)
		return 0;
	return config_hw_update(acc, phys);
}

static int config_load(struct vfio_pci_config_access *acc)
{
	u32 all = config_width_mask(acc->width);
	u32 phys = 0;
	int ret;

	if (acc->virt != all) {
		ret = vfio_pci_config_hw_read(acc->vdev->pdev, acc->pos,
					      acc->width, &phys);
		if (ret)
			return ret;
	}

	acc->val = phys & ~acc->virt;
	if (acc->virt)
		acc->val |= config_vconfig_get(acc->vdev, acc->pos,
					       acc->width) & acc->virt;
	return 0;
}

/* Find out whose registers are accessed and what may be done with them. */
static const struct vfio_pci_config_layout *
config_resolve(struct vfio_pci_config_access *acc)
{
	const u8 *map = acc->vdev->pci_config_map;
	unsigned int id = map[acc->pos] & ~MAP_START;
	const struct vfio_pci_config_layout *layout;
	unsigned int dword, shift;
	u32 all;

	layout = &vfio_pci_config_layouts[id];
	all = config_width_mask(acc->width);
	acc->start = acc->pos;
	acc->virt = 0;
	acc->write = layout->raw ? all : 0;
	if (id == VFIO_PCI_CONFIG_UNASSIGNED)
		return layout;

	acc->start = acc->pos & ~3;
	while (!(map[acc->start] & MAP_START))
		acc->start -= 4;

	dword = (acc->pos - acc->start) / 4;
	if (dword < VFIO_PCI_CONFIG_DWORDS) {
		shift = acc->pos % 4 * 8;
		acc->virt = config_masks[id].virt[dword] >> shift & all;
		acc->write = config_masks[id].write[dword] >> shift & all;
	}
	return layout;
}

/* Constant sizes spare a look at what kind of memory @le is, here and below. */
static int config_copy_in(__le32 *le, const char __user *buf, size_t count)
{
	unsigned long left;

	switch (count) {
	case 1:
		left = copy_from_user(le, buf, 1);
		break;
	case 2:
		left = copy_from_user(le, buf, 2);
		break;
	case 3:
		left = copy_from_user(le, buf, 3);
		break;
	default:
		left = copy_from_user(le, buf, 4);
	}
	return left ? -EFAULT : 0;
}

static int config_copy_out(char __user *buf, const __le32 *le,
			   unsigned int width)
{
	switch (width) {
	case 4:
		return copy_to_user(buf, le, 4) ? -EFAULT : 0;
	case 2:
		return copy_to_user(buf, le, 2) ? -EFAULT : 0;
	default:
		return copy_to_user(buf, le, 1) ? -EFAULT : 0;
	}
}

/* The widest naturally aligned access that is left and does not change owner. */
static unsigned int config_piece_width(const u8 *map, size_t count,
				       unsigned int pos)
{
	unsigned int width;

	for (width = 4; width > 1; width /= 2) {
		if (count >= width && IS_ALIGNED(pos, width) &&
		    !((map[pos] ^ map[pos + width - 1]) & ~MAP_START))
			break;
	}
	return width;
}

/* One access of @count bytes at most, as a call; @acc says how many it was. */
static int config_read_piece(struct vfio_pci_config_access *acc, size_t count,
			     char __user *buf)
{
	__le32 le;
	int ret;

	ret = vfio_pci_begin(acc->vdev);
	if (ret)
		return ret;
	acc->width = config_piece_width(acc->vdev->pci_config_map, count,
					acc->pos);
	config_resolve(acc);
	ret = config_load(acc);
	vfio_pci_end(acc->vdev);
	if (ret)
		return ret;

	le = cpu_to_le32(acc->val);
	return config_copy_out(buf, &le, acc->width);
}

static int config_write_piece(struct vfio_pci_config_access *acc, size_t count,
			      const char __user *buf)
{
	const struct vfio_pci_config_layout *layout;
	__le32 le = 0;
	int ret;

	/* Before the call; how wide it is going to be is known in there. */
	ret = config_copy_in(&le, buf, count);
	if (ret)
		return ret;

	ret = vfio_pci_begin(acc->vdev);
	if (ret)
		return ret;
	acc->width = config_piece_width(acc->vdev->pci_config_map, count,
					acc->pos);
	layout = config_resolve(acc);
	acc->locked = false;
	acc->known = false;
	acc->w1c = 0;
	acc->val = le32_to_cpu(le) & config_width_mask(acc->width);
	ret = layout->write ? layout->write(acc) : vfio_pci_config_store(acc);
	vfio_pci_end(acc->vdev);
	return ret;
}

/**
 * vfio_pci_config_rw - read or write the configuration space region
 * @vdev: the device
 * @buf: the user's buffer
 * @count: how many bytes
 * @ppos: file position, moved forward on success
 * @iswrite: true to write
 *
 * Return: @count, or -EFAULT where the range leaves configuration space or the
 * buffer cannot be reached, or what a hardware access returned.
 * Context: may sleep; takes memory_lock for some registers.
 */
ssize_t vfio_pci_config_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			   size_t count, loff_t *ppos, bool iswrite)
{
	struct vfio_pci_config_access acc = { .vdev = vdev };
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done;
	int ret;

	if (!count)
		return 0;
	if (pos >= vdev->pdev->cfg_size || count > vdev->pdev->cfg_size - pos)
		return -EFAULT;

	for (done = 0; done < count; done += acc.width) {
		acc.pos = pos + done;
		ret = iswrite ?
		      config_write_piece(&acc, count - done, buf + done) :
		      config_read_piece(&acc, count - done, buf + done);
		if (ret)
			return ret;
	}

	*ppos += count;
	return count;
}

/* Let vconfig begin as the hardware is. */
static int config_fill(struct vfio_pci_core_device *vdev, unsigned int pos,
		       unsigned int end)
{
	u32 val;
	int ret;

	for (; pos < end; pos += 4) {
		ret = vfio_pci_config_hw_read(vdev->pdev, pos, 4, &val);
		if (ret)
			return ret;
		vfio_pci_vconfig_set32(vdev, pos, val);
	}
	return 0;
}

static void config_claim(struct vfio_pci_core_device *vdev, unsigned int id,
			 unsigned int pos, unsigned int len)
{
	memset(vdev->pci_config_map + pos, id, len);
	vdev->pci_config_map[pos] |= MAP_START;
}

/* The row of a capability, VFIO_PCI_CONFIG_DENIED for one that has none. */
static unsigned int config_find(u16 cap, bool ext, u16 flags)
{
	const struct vfio_pci_config_layout *layout;
	unsigned int i;

	for (i = VFIO_PCI_CONFIG_NR_FIXED; i < vfio_pci_config_nr_layouts; i++) {
		layout = &vfio_pci_config_layouts[i];
		if (layout->id == cap && layout->ext == ext &&
		    (flags & layout->flags_mask) == layout->flags)
			return i;
	}
	return VFIO_PCI_CONFIG_DENIED;
}

/* How long it is, as if there were nothing behind it; 0 is not exposed. */
static int config_len(struct pci_dev *pdev, unsigned int id, unsigned int pos,
		      unsigned int *len)
{
	const struct vfio_pci_config_layout *layout =
		&vfio_pci_config_layouts[id];
	unsigned int end = pos < PCI_CFG_SPACE_SIZE ? PCI_CFG_SPACE_SIZE :
						      pdev->cfg_size;

	*len = layout->len;
	if (!layout->find_len)
		return 0;
	if (pos + CONFIG_LEN_REGS <= end)
		return layout->find_len(pdev, pos, len);
	*len = end - pos;
	return 0;
}

static void config_mark(struct vfio_pci_core_device *vdev, unsigned int id,
			unsigned int pos, u32 header)
{
	vdev->pci_config_map[pos] = id | MAP_START;
	vfio_pci_vconfig_set32(vdev, pos, header);
}

/*
 * A link of a chain: mark where the structure begins, and give vconfig its
 * header. @seen says whether the user sees it.
 */
static int config_note_cap(struct vfio_pci_core_device *vdev, unsigned int pos,
			   u16 cap, bool ext, u32 header, bool *seen)
{
	unsigned int id = config_find(cap, ext, header >> 16);
	unsigned int len;
	int ret;

	ret = config_len(vdev->pdev, id, pos, &len);
	if (ret)
		return ret;

	*seen = len && !vfio_pci_config_layouts[id].hidden;
	if (!*seen)
		pci_dbg(vdev->pdev, "hiding %scapability %#x at %#x\n",
			ext ? "extended " : "", cap, pos);
	config_mark(vdev, id, pos, header);
	return 0;
}

/*
 * PCI 3.0, 6.7: a chain of bytes. A capability that is hidden is skipped by
 * linking its predecessor, or the header, to its successor. @cut: it ends
 * where the hardware does not answer, and more may follow.
 */
static int config_note_caps(struct vfio_pci_core_device *vdev, bool *cut)
{
	u8 *link = &vdev->vconfig[PCI_CAPABILITY_LIST];
	bool seen, found = false;
	unsigned int pos;
	u32 header;
	int ret;

	if (!(vfio_pci_vconfig_get16(vdev, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;

	for (pos = *link & ~3; pos >= PCI_STD_HEADER_SIZEOF;
	     pos = header >> 8 & 0xfc) {
		/* Where a loop closes, the user's chain ends. */
		if (vdev->pci_config_map[pos]) {
			*link = 0;
			break;
		}
		ret = vfio_pci_config_hw_read(vdev->pdev, pos, 4, &header);
		if (ret)
			return ret;
		*cut = PCI_POSSIBLE_ERROR(header);
		if (*cut) {
			config_mark(vdev, VFIO_PCI_CONFIG_DENIED, pos, header);
			*link = 0;
			break;
		}
		ret = config_note_cap(vdev, pos, header & 0xff, false, header,
				      &seen);
		if (ret)
			return ret;
		if (!seen) {
			*link = header >> 8;
			continue;
		}
		link = &vdev->vconfig[pos + PCI_CAP_LIST_NEXT];
		found = true;
	}

	if (!found)
		vdev->vconfig[PCI_STATUS] &= ~PCI_STATUS_CAP_LIST;
	return 0;
}

/* The header at @link leads where @header does. */
static void config_link_ext(struct vfio_pci_core_device *vdev,
			    unsigned int link, u32 header)
{
	u32 old = vfio_pci_vconfig_get32(vdev, link);

	vfio_pci_vconfig_set32(vdev, link,
			       (old & 0xfffff) | (header & 0xffc00000));
}

/*
 * 7.6: the extended chain begins at 256, so the first one cannot be skipped:
 * if it is hidden, a header without an identity holds its place.
 */
static int config_note_ext_caps(struct vfio_pci_core_device *vdev, bool *cut)
{
	unsigned int pos = PCI_CFG_SPACE_SIZE, link = pos;
	struct pci_dev *pdev = vdev->pdev;
	bool seen, found = false;
	u32 header;
	int ret;

	if (pdev->cfg_size <= PCI_CFG_SPACE_SIZE)
		return 0;

	for (; pos >= PCI_CFG_SPACE_SIZE && pos < pdev->cfg_size;
	     pos = PCI_EXT_CAP_NEXT(header)) {
		if (vdev->pci_config_map[pos]) {
			config_link_ext(vdev, link, 0);
			break;
		}
		ret = vfio_pci_config_hw_read(pdev, pos, 4, &header);
		if (ret)
			return ret;
		*cut = PCI_POSSIBLE_ERROR(header);
		if (*cut) {
			config_mark(vdev, VFIO_PCI_CONFIG_DENIED, pos, header);
			config_link_ext(vdev, link, 0);
			break;
		}
		if (!header)
			break;

		vdev->extended_caps = true;
		ret = config_note_cap(vdev, pos, PCI_EXT_CAP_ID(header), true,
				      header, &seen);
		if (ret)
			return ret;
		if (seen) {
			link = pos;
			found = true;
		} else if (pos == link) {
			vfio_pci_vconfig_set32(vdev, pos, header & 0xffc00000);
		} else {
			config_link_ext(vdev, link, header);
		}
	}

	if (!found)
		vfio_pci_vconfig_set32(vdev, PCI_CFG_SPACE_SIZE, 0);
	return 0;
}

/*
 * Give the structures that begin at marks their bytes. Each ends at the next
 * mark, whatever it says. One that begins inside another is denied, for one of
 * the two is a lie and what it grants might be the other's. There is no inside
 * of what is the user's as a whole: whoever begins there keeps what is his.
 */
static int config_claim_caps(struct vfio_pci_core_device *vdev,
			     unsigned int pos, unsigned int end)
{
	u8 *map = vdev->pci_config_map;
	const struct vfio_pci_config_layout *layout;
	unsigned int id, len, next, strict = pos;
	bool inside;
	int ret;

	for (; pos < end; pos = next) {
		next = pos + 4;
		if (!map[pos])
			continue;
		while (next < end && !map[next])
			next += 4;

		id = map[pos] & ~MAP_START;
		ret = config_len(vdev->pdev, id, pos, &len);
		if (ret)
			return ret;
		layout = &vfio_pci_config_layouts[id];
		/* What has no row is as long as it can be. */
		if (id == VFIO_PCI_CONFIG_DENIED)
			len = next - pos;
		else if (layout->hidden || !len)
			id = VFIO_PCI_CONFIG_DENIED;
		/* Handlers use all that their row says is there. */
		else if (len > next - pos && !layout->find_len &&
			 (layout->init || layout->write))
			id = VFIO_PCI_CONFIG_DENIED;
		len = max_t(unsigned int, len, PCI_CAP_SIZEOF);

		inside = pos < strict;
		if (inside) {
			dev_warn_ratelimited(&vdev->pdev->dev,
					     "config space: %s at %#x begins inside another capability\n",
					     vfio_pci_config_layouts[id].name,
					     pos);
			id = VFIO_PCI_CONFIG_DENIED;
			len = max(len, strict - pos);
		}
		if (!vfio_pci_config_layouts[id].raw)
			strict = max(strict, pos + len);

		len = min(len, next - pos);
		config_claim(vdev, id, pos, len);
		ret = config_fill(vdev, pos + 4, pos + len);
		if (ret)
			return ret;
		if (vfio_pci_config_layouts[id].init)
			vfio_pci_config_layouts[id].init(vdev, pos);
	}
	return 0;
}

/* What is in no structure that was found may be in one that was not. */
static void config_deny_rest(struct vfio_pci_core_device *vdev,
			     unsigned int pos, unsigned int end)
{
	u8 *map = vdev->pci_config_map;

	for (; pos < end; pos++)
		if (!map[pos])
			map[pos] = VFIO_PCI_CONFIG_DENIED;
}

/* The chain of one of the two parts of configuration space. */
static int config_init_chain(struct vfio_pci_core_device *vdev,
			     int (*note)(struct vfio_pci_core_device *vdev,
					 bool *cut),
			     unsigned int pos, unsigned int end)
{
	bool cut = false;
	int ret;

	ret = note(vdev, &cut);
	if (ret)
		return ret;
	ret = config_claim_caps(vdev, pos, end);
	if (!ret && cut)
		config_deny_rest(vdev, pos, end);
	return ret;
}

static bool config_has_intx(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	/* 9.3.4.1.18: VFs have no INTx, though some claim to. */
	return IS_ENABLED(CONFIG_VFIO_PCI_INTX) && !vdev->nointx &&
	       !pdev->is_virtfn && pdev->irq && pdev->irq != IRQ_NOTCONNECTED;
}

/**
 * vfio_pci_config_keep_bars - remember what to write to the BARs if a reset loses them
 * @vdev: the device, awake
 *
 * Context: may sleep; the device is registered, or opened first.
 */
void vfio_pci_config_keep_bars(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned int i;

	vdev->bars_decode = PCI_COMMAND_MEMORY;
	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		pci_read_config_dword(pdev, PCI_BASE_ADDRESS_0 + 4 * i,
				      &vdev->rbar[i]);
		if (pci_resource_flags(pdev, i) & IORESOURCE_IO)
			vdev->bars_decode |= PCI_COMMAND_IO;
	}
	pci_read_config_dword(pdev, PCI_ROM_ADDRESS, &vdev->rbar[i]);
}

static int config_init_header(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned int id;
	u16 cmd;
	int ret;

	id = pdev->no_command_memory ? VFIO_PCI_CONFIG_HEADER_VF :
				       VFIO_PCI_CONFIG_HEADER;
	config_claim(vdev, id, 0, PCI_STD_HEADER_SIZEOF);
	ret = config_fill(vdev, 0, PCI_STD_HEADER_SIZEOF);
	if (ret)
		return ret;

	vfio_pci_config_keep_bars(vdev);
	vfio_pci_config_size_bars(vdev);

	/* 9.3.4.1.1: the registers of a VF read all ones. */
	if (pdev->is_virtfn) {
		vfio_pci_vconfig_set16(vdev, PCI_VENDOR_ID, pdev->vendor);
		vfio_pci_vconfig_set16(vdev, PCI_DEVICE_ID, pdev->device);
	}
	if (!config_has_intx(vdev))
		vdev->vconfig[PCI_INTERRUPT_PIN] = 0;

	/*
	 * The host disables INTx while nobody listens, and a user sees that only
	 * of a device that has none. The device is enabled: so is the memory of
	 * one without the bit.
	 */
	cmd = vfio_pci_vconfig_get16(vdev, PCI_COMMAND);
	if (!vdev->nointx)
		cmd &= ~PCI_COMMAND_INTX_DISABLE;
	if (pdev->no_command_memory)
		cmd |= PCI_COMMAND_MEMORY;
	vfio_pci_vconfig_set16(vdev, PCI_COMMAND, cmd);
	return 0;
}

/**
 * vfio_pci_config_init - build the virtual configuration space
 * @vdev: the device, enabled
 *
 * Return: 0, -ENOMEM, or what a hardware access returned.
 * Context: may sleep; first open.
 */
int vfio_pci_config_init(struct vfio_pci_core_device *vdev)
{
	int size = vdev->pdev->cfg_size;
	int ret = -ENOMEM;

	vdev->pci_config_map = kzalloc(size, GFP_KERNEL_ACCOUNT);
	vdev->vconfig = kzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!vdev->pci_config_map || !vdev->vconfig)
		goto free;

	vdev->msi_qmax = 0;
	vdev->extended_caps = false;
	ret = config_init_header(vdev) ?:
	      config_init_chain(vdev, config_note_caps, PCI_STD_HEADER_SIZEOF,
				PCI_CFG_SPACE_SIZE) ?:
	      config_init_chain(vdev, config_note_ext_caps, PCI_CFG_SPACE_SIZE,
				size);
	if (ret)
		goto free;
	return 0;

free:
	vfio_pci_config_free(vdev);
	return ret;
}

/**
 * vfio_pci_core_virtualize_dword - let a dword of config space be the user's
 * @vdev: the device
 * @pos: where, a multiple of 4
 *
 * What the user writes there he reads back, and the hardware never sees it. It
 * begins with the hardware's value.
 *
 * Return: 0 or what the hardware access returned.
 * Context: may sleep; in open_device, between vfio_pci_core_enable() and
 * vfio_pci_core_finish_enable().
 */
int vfio_pci_core_virtualize_dword(struct vfio_pci_core_device *vdev,
				   unsigned int pos)
{
	config_claim(vdev, VFIO_PCI_CONFIG_VIRTUAL, pos, 4);
	return config_fill(vdev, pos, pos + 4);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_virtualize_dword);

/**
 * vfio_pci_config_free - undo vfio_pci_config_init()
 * @vdev: the device
 */
void vfio_pci_config_free(struct vfio_pci_core_device *vdev)
{
	kfree(vdev->vconfig);
	vdev->vconfig = NULL;
	kfree(vdev->pci_config_map);
	vdev->pci_config_map = NULL;
}

static void config_merge_fields(struct vfio_pci_config_masks *masks,
				const struct vfio_pci_config_field *field,
				unsigned int nr_fields)
{
	unsigned int dword, shift;
	u32 bits;

	for (; nr_fields--; field++) {
		dword = field->offset / 4;
		shift = field->offset % 4 * 8;
		bits = config_width_mask(field->width);

		masks->virt[dword] &= ~(bits << shift);
		masks->virt[dword] |= (field->virt & bits) << shift;
		masks->write[dword] &= ~(bits << shift);
		masks->write[dword] |= (field->write & bits) << shift;
	}
}

/* Once, before there is a device. Returns 0 or -ENOMEM. */
int vfio_pci_config_module_init(void)
{
	const struct vfio_pci_config_layout *layout;
	struct vfio_pci_config_masks *masks;
	unsigned int i;

	config_masks = kcalloc(vfio_pci_config_nr_layouts,
			       sizeof(*config_masks), GFP_KERNEL);
	if (!config_masks)
		return -ENOMEM;

	for (i = 0; i < vfio_pci_config_nr_layouts; i++) {
		layout = &vfio_pci_config_layouts[i];
		masks = &config_masks[i];
		if (layout->raw)
			memset(masks->write, 0xff, sizeof(masks->write));
		/* An access may run out of it into unassigned bytes. */
		if (layout->len % 4)
			masks->write[layout->len / 4] =
				~config_width_mask(layout->len % 4);
		config_merge_fields(masks, layout->fields, layout->nr_fields);
		config_merge_fields(masks, layout->more, layout->nr_more);
	}
	return 0;
}

void vfio_pci_config_module_exit(void)
{
	kfree(config_masks);
}
