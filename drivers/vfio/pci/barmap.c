// SPDX-License-Identifier: GPL-2.0-only
/*
 * BARs in the hands of this driver: claimed, mapped for the kernel's own
 * accesses, and divided into parts of different memory types.
 *
 * A BAR is uncached and in one piece unless its user or an administrator has
 * asked for something else (wc.c). Then bar_parts[] has its division: parts that
 * follow each other from its start to its end, each with a mapping for the
 * kernel. Whoever makes a mapping of any kind looks at the division first,
 * because of architectures that know one memory type for each physical page. On
 * x86 the kernel keeps the list (arch/x86/mm/pat/memtype.c): the type of a page
 * is that of the first reservation that covers it, an uncached mapping of the
 * kernel's own is one, and what asks for uncached or write-combined gets what
 * the list says. So
 * - where a part is to be write-combined, no mapping of the kernel may cover it
 *   when it is reserved: the division is changed with nothing mapped;
 * - mappings of the kernel never cross from one part to another. So that they
 *   can be of large pages, parts of one type are also cut where these begin;
 * - no page table entry, and no run of them that is made after the likeness of
 *   its first, crosses either (mmap.c);
 * - a mapping of the BAR itself shows a write-combined part write-combined, as
 *   long as it is one.
 * Architectures where mappings of one page may differ (arm64: Device and
 * Normal-NC, which lose to each other no more than their order) get the same
 * division and need none of it.
 *
 * A driver may ask for the address at which the kernel has a BAR
 * (vfio_pci_core_setup_barmap()). From then on the BAR is lent to it and stays
 * as it is.
 *
 * Locks: barmap_lock covers what is claimed and lent, and all changes. What is
 * there, division or mapping, changes under memory_lock held for write besides,
 * and is used under it held for read: rw.c and ioeventfd.c look each access's
 * address up. BARs of I/O ports are never divided, so theirs stay where they
 * are. The order is mmap_lock, barmap_lock, memory_lock.
 */
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "vfio_pci_priv.h"

/* With nobody looking: memory_lock is held for write, or nobody can. */
static void vfio_pci_part_unmap(struct vfio_pci_core_device *vdev, int bar,
				struct vfio_pci_bar_part *part)
{
	if (!part->io)
		return;

	pci_iounmap(vdev->pdev, part->io);
	part->io = NULL;
	if (part->wc)
		arch_io_free_memtype_wc(pci_resource_start(vdev->pdev, bar) +
					part->start, part->end - part->start);
}

static int vfio_pci_part_map(struct vfio_pci_core_device *vdev, int bar,
			     struct vfio_pci_bar_part *part)
{
	resource_size_t at = pci_resource_start(vdev->pdev, bar) + part->start;
	u64 len = part->end - part->start;
	int ret;

	if (part->wc) {
		ret = arch_io_reserve_memtype_wc(at, len);
		if (ret)
			return ret;
	}

	/* Not asked to be write-combined: it is what the architecture needs. */
	part->io = pci_iomap_range(vdev->pdev, bar, part->start, len);
	if (part->io)
		return 0;

	if (part->wc)
		arch_io_free_memtype_wc(at, len);
	return -ENOMEM;
}

static void vfio_pci_bar_unmap(struct vfio_pci_core_device *vdev, int bar)
{
	struct vfio_pci_bar_parts *parts = vdev->bar_parts[bar];
	unsigned int i;

	if (parts)
		for (i = 0; i < parts->nr; i++)
			vfio_pci_part_unmap(vdev, bar, &parts->part[i]);
	else if (vdev->barmap[bar])
		pci_iounmap(vdev->pdev, vdev->barmap[bar]);
	WRITE_ONCE(vdev->barmap[bar], NULL);
}

/* As it is divided; whole where it is not. Nothing of it is mapped. */
static int vfio_pci_bar_map(struct vfio_pci_core_device *vdev, int bar)
{
	struct vfio_pci_bar_parts *parts = vdev->bar_parts[bar];
	void __iomem *io = NULL;
	unsigned int i;
	int ret;

	if (!parts) {
		io = pci_iomap(vdev->pdev, bar, 0);
		if (!io)
			return -ENOMEM;
	}

	for (i = 0; parts && i < parts->nr; i++) {
		ret = vfio_pci_part_map(vdev, bar, &parts->part[i]);
		if (ret) {
			vfio_pci_bar_unmap(vdev, bar);
			return ret;
		}
	}

	if (parts && parts->nr == 1)
		io = parts->part[0].io;
	/* Pairs with vfio_pci_bar_is_set_up(): who sees it has the region, too. */
	smp_store_release(&vdev->barmap[bar], io);
	return 0;
}

/*
 * Not by pci_request_region(), which complains each time: a user may try as often
 * as he likes, and fill the log.
 */
static int vfio_pci_bar_claim(struct vfio_pci_core_device *vdev, int bar)
{
	struct resource *res = &vdev->pdev->resource[bar], *claim;

	lockdep_assert_held(&vdev->barmap_lock);
	if (vdev->bars_claimed & BIT(bar))
		return 0;

	if (resource_type(res) == IORESOURCE_IO)
		claim = request_region(res->start, resource_size(res), "vfio");
	else
		claim = request_mem_region(res->start, resource_size(res),
					   "vfio");
	if (claim) {
		vdev->bars_claimed |= BIT(bar);
		return 0;
	}

	if (!(vdev->bars_refused & BIT(bar))) {
		vdev->bars_refused |= BIT(bar);
		pci_notice_ratelimited(vdev->pdev,
				       "BAR %d %pR is in use, see %s\n",
				       bar, res,
				       resource_type(res) == IORESOURCE_IO ?
				       "/proc/ioports" : "/proc/iomem");
	}
	return -EBUSY;
}

static int vfio_pci_bar_setup_locked(struct vfio_pci_core_device *vdev, int bar)
{
	int ret;

	ret = vfio_pci_bar_claim(vdev, bar);
	if (ret || vdev->bar_parts[bar] || vdev->barmap[bar])
		return ret;

	return vfio_pci_bar_map(vdev, bar);
}

/**
 * vfio_pci_bar_setup - claim a BAR and map it for the kernel
 * @vdev: the device
 * @bar: number of the BAR
 *
 * Done once, undone at last close. Accesses find it with vfio_pci_bar_io().
 *
 * Return: 0, -EBUSY where someone else has the BAR, -ENOMEM.
 * Context: may sleep, in a call; mmap_lock may be held, memory_lock is not.
 */
int vfio_pci_bar_setup(struct vfio_pci_core_device *vdev, int bar)
{
	int ret;

	if (vfio_pci_bar_is_set_up(vdev, bar))
		return 0;

	mutex_lock(&vdev->barmap_lock);
	ret = vfio_pci_bar_setup_locked(vdev, bar);
	mutex_unlock(&vdev->barmap_lock);
	return ret;
}

/**
 * vfio_pci_bar_setup_in_call - vfio_pci_bar_setup_call() for a BAR not set up
 * @vdev: the device
 * @bar: number of the BAR
 *
 * Return: as vfio_pci_bar_setup() or vfio_pci_begin().
 * Context: likewise.
 */
int vfio_pci_bar_setup_in_call(struct vfio_pci_core_device *vdev, int bar)
{
	int ret;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	ret = vfio_pci_bar_setup(vdev, bar);
	vfio_pci_end(vdev);
	return ret;
}

/**
 * vfio_pci_core_setup_barmap - claim a BAR and map it for the driver
 * @vdev: the device
 * @bar: number of the BAR
 *
 * For drivers that touch vdev->barmap[]; done once, undone at last close.
 *
 * Return: 0, -EBUSY where someone else has the BAR or a user has divided it
 * (VFIO_DEVICE_FEATURE_PCI_ALIAS), -ENOMEM.
 * Context: may sleep; mmap_lock may be held.
 */
int vfio_pci_core_setup_barmap(struct vfio_pci_core_device *vdev, int bar)
{
	int ret;

	mutex_lock(&vdev->barmap_lock);
	ret = vfio_pci_bar_setup_locked(vdev, bar);
	if (!ret && !vdev->barmap[bar])
		ret = -EBUSY;
	if (!ret)
		vdev->bars_lent |= BIT(bar);
	mutex_unlock(&vdev->barmap_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_setup_barmap);

/**
 * vfio_pci_bar_divide - change a BAR's memory types
 * @vdev: the device
 * @bar: number of the BAR, which is memory
 * @parts: the new division, nothing of it mapped; freed in any case but
 *	success
 *
 * Nobody's access is under way while the types change, and the mappings of
 * processes come back by faulting. The gate is not closed for it: the memory
 * stays where it is for those who are not CPUs.
 *
 * Return: 0; -EBUSY where someone else has the BAR, or the driver uses it; what
 * reserving the type returns; -ENOMEM. Nothing has changed then, unless not even
 * what was there before could be mapped again.
 * Context: may sleep; takes barmap_lock and memory_lock.
 */
int vfio_pci_bar_divide(struct vfio_pci_core_device *vdev, int bar,
			struct vfio_pci_bar_parts *parts)
{
	struct vfio_pci_bar_parts *old = parts;
	int ret;

	mutex_lock(&vdev->barmap_lock);
	ret = vdev->bars_lent & BIT(bar) ? -EBUSY :
	      vfio_pci_bar_claim(vdev, bar);
	if (ret)
		goto unlock;

	down_write(&vdev->memory_lock);
	vfio_pci_zap_bars(vdev);
	vfio_pci_bar_unmap(vdev, bar);
	old = vdev->bar_parts[bar];
	WRITE_ONCE(vdev->bar_parts[bar], parts);
	ret = vfio_pci_bar_map(vdev, bar);
	if (ret) {
		WRITE_ONCE(vdev->bar_parts[bar], old);
		old = parts;
		if (vfio_pci_bar_map(vdev, bar))
			dev_warn_ratelimited(&vdev->pdev->dev,
					     "BAR %d is not mapped: no memory\n",
					     bar);
	}
	up_write(&vdev->memory_lock);
unlock:
	mutex_unlock(&vdev->barmap_lock);
	kvfree(old);
	return ret;
}

static const struct vfio_pci_bar_part *
vfio_pci_bar_part(struct vfio_pci_core_device *vdev, int bar, u64 pos)
{
	struct vfio_pci_bar_parts *parts = vdev->bar_parts[bar];
	unsigned int first = 0, last, middle;

	if (!parts)
		return NULL;

	lockdep_assert_held(&vdev->memory_lock);
	for (last = parts->nr - 1; first < last;) {
		middle = (first + last) / 2;
		if (pos < parts->part[middle].end)
			last = middle;
		else
			first = middle + 1;
	}
	return &parts->part[first];
}

/**
 * vfio_pci_bar_part_io - vfio_pci_bar_io() for a BAR that is divided
 * @vdev: the device
 * @bar: number of the BAR
 * @pos: offset in it; the address is good up to the end of its page
 * @wc: set to whether what is written there may wait for more
 *
 * Context: any; memory_lock is held.
 * Return: the address, good while the lock is held, or NULL if the BAR could not
 * be mapped after its division had changed.
 */
void __iomem *vfio_pci_bar_part_io(struct vfio_pci_core_device *vdev, int bar,
				   u64 pos, bool *wc)
{
	const struct vfio_pci_bar_part *part = vfio_pci_bar_part(vdev, bar,
								 pos);

	*wc = part->wc;
	return part->io ? part->io + (pos - part->start) : NULL;
}

/**
 * vfio_pci_bar_extent - how far the memory type reaches
 * @vdev: the device
 * @bar: number of the BAR
 * @pos: offset in it
 * @start: set to where the part begins that has @pos in it
 * @end: set to where it ends
 *
 * Context: any; memory_lock is held.
 */
void vfio_pci_bar_extent(struct vfio_pci_core_device *vdev, int bar, u64 pos,
			 u64 *start, u64 *end)
{
	const struct vfio_pci_bar_part *part = vfio_pci_bar_part(vdev, bar,
								 pos);

	*start = part ? part->start : 0;
	*end = part ? part->end : U64_MAX;
}

/* Last close: nobody can be setting a BAR up, or using one. */
void vfio_pci_barmaps_release(struct vfio_pci_core_device *vdev)
{
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		if (!(vdev->bars_claimed & BIT(bar)))
			continue;
		vfio_pci_bar_unmap(vdev, bar);
		kvfree(vdev->bar_parts[bar]);
		vdev->bar_parts[bar] = NULL;
		pci_release_region(vdev->pdev, bar);
	}
	vdev->bars_claimed = 0;
	vdev->bars_refused = 0;
	vdev->bars_lent = 0;
}
