// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-combined mappings of prefetchable BARs.
 *
 * There are two ways to one. VFIO_DEVICE_FEATURE_PCI_ALIAS makes an alias: a
 * region, behind the device-specific ones, that shows a part of a BAR and whose
 * mappings are write-combined. For programs that cannot ask, an administrator
 * turns on write_combine, of the device or as a parameter of vfio-pci, and
 * mappings of whole BARs are. Either way it comes down to what barmap.c is told
 * about a BAR's memory types; faults, the zap, read() and write(), peers' DMA see
 * an alias as the part of the BAR that it is.
 *
 * Like interrupts and device-specific regions, an alias belongs to the open
 * device and not to one of its files: all files of an open device are one user's.
 * Every one of them sees it. It is there until the last close, and its memory as
 * long as the device's, so who has found one needs no lock to use it. alias_lock
 * is for who makes them; while it is held, user memory is touched, so it is
 * outside mmap_lock. An alias is filled in before it is counted in nr_aliases.
 *
 * A write-combined BAR has to be prefetchable: the CPU may read it without being
 * told to, and merge writes to it. The page of the MSI-X table never is
 * write-combined, whatever its BAR says: it is the kernel that writes to the
 * table, and it has to be sure that vectors change in the order in which it
 * changes them.
 */
#include <linux/device.h>
#include <linux/io.h>
#include <linux/kstrtox.h>
#include <linux/math.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>

#include "trace.h"
#include "vfio_pci_priv.h"

/* Each is looked at in some faults. */
#define VFIO_PCI_ALIASES_MAX	64

static unsigned int vfio_pci_first_alias(struct vfio_pci_core_device *vdev)
{
	return VFIO_PCI_NUM_REGIONS + vdev->num_regions;
}

/* Regions that there are, of whatever kind; the last is the latest alias. */
unsigned int vfio_pci_nr_regions(struct vfio_pci_core_device *vdev)
{
	/* Pairs with the release in vfio_pci_alias_make(). */
	return vfio_pci_first_alias(vdev) + smp_load_acquire(&vdev->nr_aliases);
}

/* @index counts all regions; NULL where there is no alias. */
const struct vfio_pci_alias *
vfio_pci_find_alias(struct vfio_pci_core_device *vdev, unsigned long index)
{
	unsigned long i = index - vfio_pci_first_alias(vdev);
	/* Pairs with the release in vfio_pci_alias_make(). */
	unsigned int nr = smp_load_acquire(&vdev->nr_aliases);

	if (index < vfio_pci_first_alias(vdev) || i >= nr)
		return NULL;

	return &vdev->aliases[array_index_nospec(i, nr)];
}

/* Of which BAR does region @index, a BAR or an alias, show something? */
unsigned int vfio_pci_bar_of_region(struct vfio_pci_core_device *vdev,
				    unsigned long index)
{
	if (index < PCI_STD_NUM_BARS)
		return index;

	return vfio_pci_find_alias(vdev, index)->bar;
}

/* They follow each other in the device file. */
void vfio_pci_zap_aliases(struct vfio_pci_core_device *vdev)
{
	loff_t start = VFIO_PCI_INDEX_TO_OFFSET(vfio_pci_first_alias(vdev));
	loff_t len;

	lockdep_assert_held_write(&vdev->memory_lock);
	len = VFIO_PCI_INDEX_TO_OFFSET(READ_ONCE(vdev->nr_aliases));
	if (!len)
		return;

	vfio_device_unmap_mapping_range(&vdev->vdev, start, len);
	trace_vfio_pci_revoke(vdev->pdev, start, len);
}

/* Last close. */
void vfio_pci_aliases_release(struct vfio_pci_core_device *vdev)
{
	vdev->nr_aliases = 0;
	vdev->bars_wc = 0;
}

/*
 * Where a BAR is cut because of an alias's edge. The kernel's mapping of a part
 * is of large pages only if it begins where one may, so what lies between the
 * edge and that is cut off.
 */
#define CUTS_PER_EDGE	5

/* The first cut behind @pos that is before @next, or @next. */
static u64 vfio_pci_wc_next_cut(u64 edge, u64 pos, u64 next)
{
	const u64 cuts[CUTS_PER_EDGE] = {
		edge,
		round_down(edge, PMD_SIZE), round_up(edge, PMD_SIZE),
		round_down(edge, PUD_SIZE), round_up(edge, PUD_SIZE),
	};
	int i;

	for (i = 0; i < CUTS_PER_EDGE; i++)
		if (cuts[i] > pos)
			next = min(next, cuts[i]);
	return next;
}

/* What BAR @bar is, with @nr of the aliases. NULL for no memory. */
static struct vfio_pci_bar_parts *
vfio_pci_wc_parts(struct vfio_pci_core_device *vdev, unsigned int bar,
		  unsigned int nr)
{
	u64 pos, next, end = PAGE_ALIGN(pci_resource_len(vdev->pdev, bar));
	const struct vfio_pci_alias *alias;
	struct vfio_pci_bar_parts *parts;
	struct vfio_pci_bar_part *part;

	parts = kvzalloc(struct_size(parts, part, 2 * CUTS_PER_EDGE * nr + 1),
			 GFP_KERNEL_ACCOUNT);
	if (!parts)
		return NULL;

	for (pos = 0; pos < end; pos = next) {
		parts->nr++;
		part = &parts->part[parts->nr - 1];
		part->start = pos;
		part->wc = vdev->bars_wc & BIT(bar);
		next = end;
		for (alias = vdev->aliases; alias < vdev->aliases + nr;
		     alias++) {
			if (alias->bar != bar || vdev->bars_wc & BIT(bar))
				continue;
			next = vfio_pci_wc_next_cut(alias->start, pos, next);
			next = vfio_pci_wc_next_cut(alias->end, pos, next);
			if (alias->start <= pos && alias->end > pos)
				part->wc = true;
		}
		part->end = next;
	}
	return parts;
}

static int vfio_pci_wc_divide(struct vfio_pci_core_device *vdev,
			      unsigned int bar, unsigned int nr)
{
	struct vfio_pci_bar_parts *parts = vfio_pci_wc_parts(vdev, bar, nr);

	return parts ? vfio_pci_bar_divide(vdev, bar, parts) : -ENOMEM;
}

/* ---- The administrator's way ---- */

static bool vfio_pci_bar_is_prefetchable(struct pci_dev *pdev, int bar)
{
	unsigned long flags = pci_resource_flags(pdev, bar);

	return (flags & IORESOURCE_MEM) && (flags & IORESOURCE_PREFETCH);
}

/*
 * First open, when it is known which BARs can be mapped. One that cannot be made
 * write-combined works as ever.
 */
void vfio_pci_wc_probe(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	int bar, ret;

	if (!READ_ONCE(vdev->write_combine))
		return;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		if (!vdev->bar_mmap_supported[bar] ||
		    !vfio_pci_bar_is_prefetchable(pdev, bar))
			continue;
		if (bar == vdev->msix_bar) {
			pci_info_ratelimited(pdev, "BAR %d is not write-combined: it has the MSI-X table\n",
					     bar);
			continue;
		}
		vdev->bars_wc |= BIT(bar);
		ret = vfio_pci_wc_divide(vdev, bar, 0);
		if (!ret)
			continue;
		vdev->bars_wc &= ~BIT(bar);
		pci_info_ratelimited(pdev, "BAR %d is not write-combined: %d\n",
				     bar, ret);
	}
}

static ssize_t write_combine_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	struct vfio_pci_core_device *vdev = vfio_pci_of_class_device(dev);

	return sysfs_emit(buf, "%d\n", READ_ONCE(vdev->write_combine));
}

static ssize_t write_combine_store(struct device *dev,
				   struct device_attribute *attr,
				   const char *buf, size_t count)
{
	struct vfio_pci_core_device *vdev = vfio_pci_of_class_device(dev);
	bool on, can = false;
	int bar, ret;

	ret = kstrtobool(buf, &on);
	if (ret)
		return ret;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		can |= vfio_pci_bar_is_prefetchable(vdev->pdev, bar);
	if (on && !can) {
		pci_info_ratelimited(vdev->pdev,
				     "no write-combining: no BAR is prefetchable\n");
		return -EOPNOTSUPP;
	}

	WRITE_ONCE(vdev->write_combine, on);
	return count;
}

struct device_attribute vfio_pci_attr_write_combine = __ATTR_RW(write_combine);

/* ---- The user's way ---- */

static int vfio_pci_alias_check(struct vfio_pci_core_device *vdev,
				const struct vfio_pci_alias *alias)
{
	u64 end = PAGE_ALIGN(pci_resource_len(vdev->pdev, alias->bar));
	u64 table_end = PAGE_ALIGN((u64)vdev->msix_offset + vdev->msix_size);

	if (!PAGE_ALIGNED(alias->start) || !PAGE_ALIGNED(alias->end) ||
	    alias->start >= alias->end || alias->end > end)
		return -EINVAL;

	if (!vfio_pci_bar_is_prefetchable(vdev->pdev, alias->bar)) {
		pci_notice_ratelimited(vdev->pdev,
				       "no alias of BAR %u, which is not prefetchable\n",
				       alias->bar);
		return -EOPNOTSUPP;
	}

	if (alias->bar == vdev->msix_bar && alias->start < table_end &&
	    alias->end > PAGE_ALIGN_DOWN(vdev->msix_offset)) {
		pci_notice_ratelimited(vdev->pdev,
				       "no alias of BAR %u at %#llx, which has the MSI-X table\n",
				       alias->bar, alias->start);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int vfio_pci_alias_make(struct vfio_pci_core_device *vdev,
			       const struct vfio_pci_alias *alias,
			       unsigned int nr)
{
	int ret;

	lockdep_assert_held(&vdev->alias_lock);
	if (nr == VFIO_PCI_ALIASES_MAX) {
		pci_notice_ratelimited(vdev->pdev, "no more than %d aliases\n",
				       VFIO_PCI_ALIASES_MAX);
		return -ENOSPC;
	}

	if (!vdev->aliases)
		vdev->aliases = kcalloc(VFIO_PCI_ALIASES_MAX, sizeof(*alias),
					GFP_KERNEL_ACCOUNT);
	if (!vdev->aliases)
		return -ENOMEM;

	vdev->aliases[nr] = *alias;
	ret = vfio_pci_wc_divide(vdev, alias->bar, nr + 1);
	if (ret)
		return ret;

	/* Pairs with the acquire in vfio_pci_find_alias(). */
	smp_store_release(&vdev->nr_aliases, nr + 1);
	return 0;
}

/* VFIO_DEVICE_FEATURE_PCI_ALIAS */
int vfio_pci_feature_alias(struct vfio_pci_core_device *vdev, u32 flags,
			   struct vfio_device_feature_pci_alias __user *arg,
			   size_t argsz)
{
	struct vfio_device_feature_pci_alias req;
	struct vfio_pci_alias alias;
	unsigned int nr;
	int ret;

	/* A driver with an mmap of its own shows its user something else. */
	if (vdev->vdev.ops->mmap != vfio_pci_core_mmap)
		return -EOPNOTSUPP;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				 sizeof(req));
	if (ret != 1)
		return ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.flags || req.memory_type != VFIO_PCI_ALIAS_WRITE_COMBINE)
		return -EINVAL;
	if (req.region_index >= VFIO_PCI_ROM_REGION_INDEX)
		return -ENODEV;

	alias.bar = array_index_nospec(req.region_index, PCI_STD_NUM_BARS);
	if (!vdev->bar_mmap_supported[alias.bar])
		return -EINVAL;
	alias.start = req.offset;
	if (check_add_overflow(req.offset, req.size, &alias.end))
		return -EINVAL;
	ret = vfio_pci_alias_check(vdev, &alias);
	if (ret)
		return ret;

	mutex_lock(&vdev->alias_lock);
	nr = vdev->nr_aliases;
	/* He is told first: an alias that nobody knows could not be undone. */
	ret = put_user(vfio_pci_first_alias(vdev) + nr, &arg->index);
	if (!ret)
		ret = vfio_pci_begin(vdev);
	if (!ret) {
		ret = vfio_pci_alias_make(vdev, &alias, nr);
		vfio_pci_end(vdev);
	}
	mutex_unlock(&vdev->alias_lock);
	return ret;
}
