// SPDX-License-Identifier: GPL-2.0-only
/* The mappings of a container: their tree, VFIO_IOMMU_MAP_DMA and UNMAP_DMA. */
#include <linux/capability.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "type1.h"

static struct type1_dma *type1_dma_entry(struct rb_node *node)
{
	return rb_entry_safe(node, struct type1_dma, node);
}

/* The first mapping that has an address from @first to @last, or NULL. */
struct type1_dma *type1_dma_first(struct type1_iommu *iommu,
				  unsigned long first, unsigned long last)
{
	struct rb_node *node = iommu->dmas.rb_node;
	struct type1_dma *found = NULL;
	struct type1_dma *dma;

	lockdep_assert_held(&iommu->lock);

	while (node) {
		dma = type1_dma_entry(node);
		if (dma->last < first) {
			node = node->rb_right;
		} else {
			found = dma;
			node = node->rb_left;
		}
	}
	return found && found->iova <= last ? found : NULL;
}

static struct type1_dma *type1_dma_next(struct type1_dma *dma,
					unsigned long last)
{
	dma = type1_dma_entry(rb_next(&dma->node));
	return dma && dma->iova <= last ? dma : NULL;
}

/* To walk a range: the first mapping in it for NULL, else the one after @dma. */
struct type1_dma *type1_dma_each(struct type1_iommu *iommu,
				 struct type1_dma *dma, unsigned long first,
				 unsigned long last)
{
	return dma ? type1_dma_next(dma, last) :
		     type1_dma_first(iommu, first, last);
}

/* Does a mapping reach across an end of the range? */
bool type1_dma_cut(struct type1_iommu *iommu, unsigned long first,
		   unsigned long last)
{
	struct type1_dma *dma;

	dma = type1_dma_first(iommu, first, first);
	if (dma && dma->iova != first)
		return true;
	dma = type1_dma_first(iommu, last, last);
	return dma && dma->last != last;
}

static void type1_dma_insert(struct type1_iommu *iommu, struct type1_dma *new)
{
	struct rb_node **link = &iommu->dmas.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (new->iova < type1_dma_entry(parent)->iova)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &iommu->dmas);
}

/* There may be a hundred thousand, and kmalloc() would round up by a quarter. */
static struct kmem_cache *type1_dma_cache;

int __init type1_dma_init(void)
{
	type1_dma_cache = KMEM_CACHE(type1_dma, SLAB_ACCOUNT);
	return type1_dma_cache ? 0 : -ENOMEM;
}

void type1_dma_exit(void)
{
	kmem_cache_destroy(type1_dma_cache);
}

static struct type1_dma *type1_dma_alloc(unsigned long iova,
					 unsigned long last,
					 unsigned long vaddr, int prot)
{
	struct type1_dma *dma;

	dma = kmem_cache_zalloc(type1_dma_cache, GFP_KERNEL_ACCOUNT);
	if (!dma)
		return NULL;

	dma->iova = iova;
	dma->last = last;
	dma->vaddr = vaddr;
	dma->prot = prot;
	INIT_LIST_HEAD(&dma->chunks);
	INIT_HLIST_HEAD(&dma->peers);
	dma->pins = RB_ROOT;
	dma->lock_cap = capable(CAP_IPC_LOCK);
	dma->task = get_task_struct(current->group_leader);
	dma->mm = current->mm;
	mmgrab(dma->mm);
	return dma;
}

static void type1_dma_free(struct type1_dma *dma)
{
	mmdrop(dma->mm);
	put_task_struct(dma->task);
	kvfree(dma->dirty);
	kmem_cache_free(type1_dma_cache, dma);
}

/* The caller's own mapping, EMPTY, settles by not being there any more. */
static void type1_dma_erase(struct type1_iommu *iommu, struct type1_dma *dma)
{
	if (dma->vaddr_invalid)
		iommu->vaddr_invalid--;
	rb_erase(&dma->node, &iommu->dmas);
	iommu->epoch++;
	iommu->avail++;
	type1_settle(iommu, dma);
	type1_dma_free(dma);
}

/*
 * End a mapping, EMPTYING, whose drivers have let go of their pages. Drops the lock
 * meanwhile.
 */
static void type1_dma_remove(struct type1_iommu *iommu, struct type1_dma *dma)
{
	type1_pins_drop(dma);
	type1_dma_depopulate(iommu, dma);
	type1_dma_erase(iommu, dma);
}

void type1_dma_remove_all(struct type1_iommu *iommu)
{
	struct type1_dma *dma;

	while ((dma = type1_dma_entry(rb_first(&iommu->dmas)))) {
		type1_take(iommu, dma, TYPE1_EMPTYING);
		type1_dma_remove(iommu, dma);
	}
}

/* A mapping that lost its user address gets a new one. */
static int type1_set_vaddr(struct type1_dma *dma, unsigned long iova,
			   unsigned long last, unsigned long vaddr)
{
	int ret;

	if (!dma)
		return -ENOENT;
	if (!dma->vaddr_invalid || dma->iova != iova || dma->last != last)
		return -EINVAL;
	ret = type1_charge_move(dma);
	if (ret)
		return ret;
	dma->vaddr = vaddr;
	dma->vaddr_invalid = false;
	return 0;
}

static int type1_map(struct type1_iommu *iommu, unsigned long iova,
		     unsigned long last, unsigned long vaddr, int prot)
{
	struct type1_dma *dma;
	int ret;

	if (!iommu->avail)
		return -ENOSPC;
	if (!type1_ranges_hold(&iommu->ranges, iova, last))
		return -EINVAL;

	dma = type1_dma_alloc(iova, last, vaddr, prot);
	if (!dma)
		return -ENOMEM;

	ret = type1_dirty_alloc(iommu, dma);
	if (ret) {
		type1_dma_free(dma);
		return ret;
	}
	type1_dma_insert(iommu, dma);
	iommu->avail--;
	if (!type1_has_domain(iommu))
		return 0;

	type1_take(iommu, dma, TYPE1_FILLING);
	ret = type1_dma_populate(iommu, dma);
	if (ret)
		type1_dma_erase(iommu, dma);
	else
		type1_settle(iommu, dma);
	return ret;
}

int type1_ioctl_map(struct type1_iommu *iommu, void __user *arg)
{
	const u32 valid = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE |
			  VFIO_DMA_MAP_FLAG_VADDR;
	const size_t minsz = offsetofend(struct vfio_iommu_type1_dma_map, size);
	unsigned long iova, vaddr, last, vlast;
	struct vfio_iommu_type1_dma_map map;
	struct type1_dma *dma;
	int prot = 0;
	int ret;

	if (copy_from_user(&map, arg, minsz))
		return -EFAULT;
	if (map.argsz < minsz || map.flags & ~valid)
		return -EINVAL;

	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= IOMMU_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= IOMMU_WRITE;
	/* Either a new mapping with rights, or a new address for an old one. */
	if (!prot == !(map.flags & VFIO_DMA_MAP_FLAG_VADDR))
		return -EINVAL;

	iova = map.iova;
	vaddr = map.vaddr;
	if (iova != map.iova || vaddr != map.vaddr || !map.size ||
	    check_add_overflow(map.iova, map.size - 1, &last) ||
	    check_add_overflow(map.vaddr, map.size - 1, &vlast))
		return -EINVAL;

	if (mutex_lock_killable(&iommu->lock))
		return -EINTR;

	if ((map.iova | map.vaddr | map.size) & (type1_min_pgsize(iommu) - 1)) {
		ret = -EINVAL;
		goto out_unlock;
	}

	while (type1_is_busy(iommu, iova, last)) {
		ret = type1_wait(iommu, TASK_KILLABLE);
		if (ret)
			goto out_unlock;
	}

	dma = type1_dma_first(iommu, iova, last);
	if (map.flags & VFIO_DMA_MAP_FLAG_VADDR) {
		ret = type1_set_vaddr(dma, iova, last, vaddr);
		if (!ret) {
			iommu->vaddr_invalid--;
			iommu->epoch++;
		}
	} else if (dma) {
		ret = -EEXIST;
	} else {
		ret = type1_map(iommu, iova, last, vaddr, prot);
	}

out_unlock:
	type1_unlock(iommu);
	return ret;
}

/*
 * The mapping an unmap of the range begins with. The first version of the
 * interface stops at one that begins before the range, and unmaps whole one
 * that ends after it.
 */
static struct type1_dma *type1_unmap_first(struct type1_iommu *iommu,
					   unsigned long first,
					   unsigned long last)
{
	struct type1_dma *dma = type1_dma_first(iommu, first, last);

	return dma && dma->iova >= first ? dma : NULL;
}

/* Take the user addresses of the range away: of all mappings or of none. */
static int type1_invalidate_vaddr(struct type1_iommu *iommu,
				  unsigned long first, unsigned long last,
				  u64 *done)
{
	struct type1_dma *start = type1_unmap_first(iommu, first, last);
	struct type1_dma *dma;

	for (dma = start; dma; dma = type1_dma_next(dma, last))
		if (dma->vaddr_invalid)
			return -EINVAL;

	for (dma = start; dma; dma = type1_dma_next(dma, last)) {
		dma->vaddr_invalid = true;
		iommu->vaddr_invalid++;
		*done += dma->last - dma->iova + 1;
	}
	return 0;
}

/* A mapping in the range with pages that drivers have pinned, or NULL. */
static struct type1_dma *type1_unmap_pinned(struct type1_iommu *iommu,
					    unsigned long first,
					    unsigned long last)
{
	struct type1_dma *dma = type1_unmap_first(iommu, first, last);

	while (dma && RB_EMPTY_ROOT(&dma->pins))
		dma = type1_dma_next(dma, last);
	return dma;
}

/* Drivers may pin again: the mappings of the range stay after all. */
static void type1_unmap_cancel(struct type1_iommu *iommu, unsigned long first,
			       unsigned long last)
{
	struct type1_dma *dma = NULL;

	while ((dma = type1_dma_each(iommu, dma, first, last)))
		dma->leaving = false;
}

/* A driver that was told so often and has not let go never will. */
#define TYPE1_NOTIFY_MAX	10

/*
 * Is the request sound as the container is now? If so, up to where? -EAGAIN if
 * that is not settled.
 */
static int type1_unmap_check(struct type1_iommu *iommu,
			     const struct vfio_iommu_type1_dma_unmap *unmap,
			     const struct vfio_bitmap *bitmap,
			     unsigned long *last)
{
	unsigned long pgsize = type1_min_pgsize(iommu);
	unsigned long first = unmap->iova;

	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_VADDR &&
	    !list_empty(&iommu->emulated))
		return -EBUSY;

	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		*last = ULONG_MAX;
		if (unmap->iova || unmap->size)
			return -EINVAL;
		return iommu->busy ? -EAGAIN : 0;
	}

	if (first != unmap->iova || !unmap->size ||
	    (unmap->iova | unmap->size) & (pgsize - 1) ||
	    check_add_overflow(unmap->iova, unmap->size - 1, last))
		return -EINVAL;
	if (bitmap && (!iommu->tracking || bitmap->pgsize != pgsize))
		return -EINVAL;
	if (type1_is_busy(iommu, first, *last))
		return -EAGAIN;
	if (iommu->v2 && type1_dma_cut(iommu, first, *last))
		return -EINVAL;
	return 0;
}

/*
 * Unmap the range, in which nobody has pinned anything. Once that has begun
 * only being killed ends it, between two mappings.
 */
static int type1_unmap_range(struct type1_iommu *iommu, unsigned long first,
			     unsigned long last,
			     const struct vfio_bitmap *bitmap, u64 *done)
{
	struct type1_dma *dma, *next;
	LIST_HEAD(going);
	int ret = 0;

	for (dma = type1_unmap_first(iommu, first, last); dma;
	     dma = type1_dma_next(dma, last)) {
		type1_take(iommu, dma, TYPE1_EMPTYING);
		list_add_tail(&dma->going, &going);
	}

	if (bitmap)
		ret = type1_dirty_report(iommu, bitmap, first, last, false);

	list_for_each_entry_safe(dma, next, &going, going) {
		if (!ret) {
			*done += dma->last - dma->iova + 1;
			type1_dma_remove(iommu, dma);
			if (fatal_signal_pending(current))
				ret = -EINTR;
		} else {
			dma->leaving = false;
			type1_settle(iommu, dma);
		}
	}
	return ret;
}

static int type1_unmap(struct type1_iommu *iommu,
		       const struct vfio_iommu_type1_dma_unmap *unmap,
		       const struct vfio_bitmap *bitmap, u64 *done)
{
	struct type1_dma *dma, *told = NULL;
	unsigned long first = unmap->iova, last;
	unsigned int tries = 0;
	int ret;

	for (;;) {
		ret = type1_unmap_check(iommu, unmap, bitmap, &last);
		if (ret == -EAGAIN) {
			ret = type1_wait(iommu, TASK_KILLABLE);
			if (!ret)
				continue;
		}
		if (ret)
			goto out_cancel;
		if (unmap->flags & VFIO_DMA_UNMAP_FLAG_VADDR)
			return type1_invalidate_vaddr(iommu, first, last, done);

		dma = type1_unmap_pinned(iommu, first, last);
		if (!dma)
			break;
		if (dma != told)
			tries = 0;
		told = dma;
		if (WARN_ON_ONCE(tries++ == TYPE1_NOTIFY_MAX)) {
			ret = -EBUSY;
			goto out_cancel;
		}
		/* Drops the lock, so nothing may have been done yet. */
		dma->leaving = true;
		type1_notify(iommu, dma);
	}

	return type1_unmap_range(iommu, first, last, bitmap, done);

out_cancel:
	if (told)
		type1_unmap_cancel(iommu, first, last);
	return ret;
}

int type1_ioctl_unmap(struct type1_iommu *iommu, void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_iommu_type1_dma_unmap,
					 size);
	const u32 bitmap_flag = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	const u32 other_flags = VFIO_DMA_UNMAP_FLAG_ALL |
				VFIO_DMA_UNMAP_FLAG_VADDR;
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_bitmap bitmap;
	u64 done = 0;
	int ret;

	if (copy_from_user(&unmap, arg, minsz))
		return -EFAULT;
	if (unmap.argsz < minsz || unmap.flags & ~(bitmap_flag | other_flags))
		return -EINVAL;

	if (unmap.flags & bitmap_flag) {
		if (unmap.flags & other_flags ||
		    unmap.argsz < minsz + sizeof(bitmap))
			return -EINVAL;
		if (copy_from_user(&bitmap, arg + minsz, sizeof(bitmap)))
			return -EFAULT;
		ret = type1_bitmap_check(&bitmap, unmap.size);
		if (ret)
			return ret;
	}

	if (mutex_lock_killable(&iommu->lock))
		return -EINTR;
	ret = type1_unmap(iommu, &unmap,
			  unmap.flags & bitmap_flag ? &bitmap : NULL, &done);
	type1_unlock(iommu);
	if (ret)
		return ret;

	unmap.size = done;
	return copy_to_user(arg, &unmap, minsz) ? -EFAULT : 0;
}
