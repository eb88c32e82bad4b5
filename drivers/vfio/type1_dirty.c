// SPDX-License-Identifier: GPL-2.0-only
/* Dirty tracking: the bitmaps of mappings, and their way to user space. */
#include <linux/bitmap.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "type1.h"

/* A bitmap is indexed by int in places. */
#define TYPE1_BITMAP_MAX_BITS	((u64)INT_MAX)

static u64 type1_bitmap_bytes(u64 nbits)
{
	return ALIGN(nbits, BITS_PER_TYPE(u64)) / BITS_PER_BYTE;
}

u64 type1_bitmap_max_bytes(void)
{
	return type1_bitmap_bytes(TYPE1_BITMAP_MAX_BITS);
}

/* Does the user's @bitmap fit a range of @size bytes? Else -EINVAL. */
int type1_bitmap_check(const struct vfio_bitmap *bitmap, u64 size)
{
	u64 nbits;

	if (!bitmap->pgsize || !access_ok(bitmap->data, bitmap->size))
		return -EINVAL;
	nbits = size >> __ffs64(bitmap->pgsize);
	if (!nbits || bitmap->size > type1_bitmap_max_bytes() ||
	    nbits > TYPE1_BITMAP_MAX_BITS ||
	    bitmap->size < type1_bitmap_bytes(nbits))
		return -EINVAL;
	return 0;
}

/*
 * Give @dma a bitmap if dirty tracking is on. -EINVAL if it is too large for
 * one, -ENOMEM.
 */
int type1_dirty_alloc(struct type1_iommu *iommu, struct type1_dma *dma)
{
	unsigned long npages = type1_dma_npages(dma);

	if (!iommu->tracking)
		return 0;
	if (npages > TYPE1_BITMAP_MAX_BITS)
		return -EINVAL;
	dma->dirty = kvzalloc(type1_bitmap_bytes(npages), GFP_KERNEL_ACCOUNT);
	return dma->dirty ? 0 : -ENOMEM;
}

/* Note that the IOVAs @first to @last of @dma were written. */
void type1_dirty_set(struct type1_dma *dma, unsigned long first,
		     unsigned long last)
{
	unsigned long bit = (first - dma->iova) >> PAGE_SHIFT;
	unsigned long end = (last - dma->iova) >> PAGE_SHIFT;

	if (dma->dirty)
		bitmap_set(dma->dirty, bit, end - bit + 1);
}

void type1_dirty_set_all(struct type1_iommu *iommu)
{
	struct type1_dma *dma = NULL;

	while ((dma = type1_dma_each(iommu, dma, 0, ULONG_MAX)))
		type1_dirty_set(dma, dma->iova, dma->last);
}

/*
 * A report goes to the user through a window of the user's bitmap. Of it, the
 * 64-bit words that a mapping has a bit in are written, others are not.
 *
 * The lock is held for one window at a time: to fill it, copy it out, and, for
 * a query, clear what it reported. Between two windows anything may happen to
 * the container, so each looks its mappings up anew. Memory of the user is not
 * faulted in with the lock held: where the copy finds none it is tried without,
 * and the window begun again.
 */
#define TYPE1_WINDOW_BITS	(PAGE_SIZE * BITS_PER_BYTE)

/**
 * struct type1_report - a report on its way
 * @user: the user's bitmap
 * @base: IOVA of its first bit
 * @pgshift: of the size that a bit stands for
 * @clear: what is reported is clean from then on
 * @window: a part of the bitmap
 * @first: IOVA of the first bit of the window
 * @last: the last IOVA of it that is asked for
 * @start: first byte of the window to copy out
 * @end: the byte after the last
 */
struct type1_report {
	u8 __user *user;
	unsigned long base;
	unsigned int pgshift;
	bool clear;

	unsigned long *window;
	unsigned long first;
	unsigned long last;
	unsigned int start;
	unsigned int end;
};

/* Turn to the window of @iova, of which nothing behind @last is asked for. */
static void type1_report_seek(struct type1_report *r, unsigned long iova,
			      unsigned long last)
{
	unsigned long index = ((iova - r->base) >> r->pgshift) /
			      TYPE1_WINDOW_BITS;
	unsigned long span = TYPE1_WINDOW_BITS << r->pgshift;

	r->first = r->base + index * span;
	r->last = last - r->first < span ? last : r->first + (span - 1);
}

/* The part of @dma that is in the window. */
static void type1_report_part(struct type1_report *r, struct type1_dma *dma,
			      unsigned long *first, unsigned long *last)
{
	*first = max(dma->iova, r->first);
	*last = min(dma->last, r->last);
}

/* Set in the window what is dirty of @dma from @first to @last. */
static void type1_report_mark(struct type1_report *r, struct type1_dma *dma,
			      unsigned long first, unsigned long last)
{
	unsigned long page = (first - dma->iova) >> PAGE_SHIFT;
	unsigned long stop = ((last - dma->iova) >> PAGE_SHIFT) + 1;
	unsigned long end, from, to;

	for_each_set_bitrange_from(page, end, dma->dirty, stop) {
		first = dma->iova + (page << PAGE_SHIFT) - r->first;
		last = dma->iova + ((end - 1) << PAGE_SHIFT) - r->first;
		from = first >> r->pgshift;
		to = last >> r->pgshift;
		bitmap_set(r->window, from, to - from + 1);
	}
}

static u8 __user *type1_report_user(struct type1_report *r)
{
	return r->user + ((r->first - r->base) >> r->pgshift) / BITS_PER_BYTE +
	       r->start;
}

/* -EAGAIN if the user's memory is not there. */
static int type1_report_copy(struct type1_report *r)
{
	if (r->start == r->end)
		return 0;
	return copy_to_user_nofault(type1_report_user(r),
				    (u8 *)r->window + r->start,
				    r->end - r->start) ? -EAGAIN : 0;
}

/*
 * Report what is in the window. Neighbouring mappings may share a word; words
 * between mappings have to stay. -EAGAIN as above.
 */
static int type1_report_window(struct type1_iommu *iommu,
			       struct type1_report *r)
{
	unsigned long first, last, from, to;
	struct type1_dma *dma = NULL;
	unsigned int start, end;
	int ret;

	r->start = 0;
	r->end = 0;
	while ((dma = type1_dma_each(iommu, dma, r->first, r->last))) {
		type1_report_part(r, dma, &first, &last);
		from = (first - r->first) >> r->pgshift;
		to = (last - r->first) >> r->pgshift;
		start = round_down(from, 64) / BITS_PER_BYTE;
		end = round_up(to + 1, 64) / BITS_PER_BYTE;

		if (start > r->end) {
			ret = type1_report_copy(r);
			if (ret)
				return ret;
			r->start = start;
			r->end = start;
		}
		memset((u8 *)r->window + r->end, 0, end - r->end);
		r->end = end;

		if (iommu->unscoped)
			bitmap_set(r->window, from, to - from + 1);
		else
			type1_report_mark(r, dma, first, last);
	}
	return type1_report_copy(r);
}

/* What was reported is clean, except what drivers still may write to. */
static void type1_report_clear(struct type1_iommu *iommu,
			       struct type1_report *r)
{
	struct type1_dma *dma = NULL;
	unsigned long first, last;

	while ((dma = type1_dma_each(iommu, dma, r->first, r->last))) {
		type1_report_part(r, dma, &first, &last);
		bitmap_clear(dma->dirty, (first - dma->iova) >> PAGE_SHIFT,
			     ((last - first) >> PAGE_SHIFT) + 1);
		type1_pins_mark_dirty(dma, first, last);
	}
}

/* One window. -EAGAIN to begin it again. Drops the lock. */
static int type1_report_step(struct type1_iommu *iommu, struct type1_report *r)
{
	int ret;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (!iommu->tracking)
		return -EINVAL;
	ret = type1_report_window(iommu, r);
	if (!ret && r->clear)
		type1_report_clear(iommu, r);

	mutex_unlock(&iommu->lock);
	if (ret && copy_to_user(type1_report_user(r),
				(u8 *)r->window + r->start, r->end - r->start))
		ret = -EFAULT;
	cond_resched();
	mutex_lock(&iommu->lock);
	return ret;
}

/*
 * What a query reported that failed then is dirty again; as what it was exactly
 * is known to nobody any more, all of it.
 */
static void type1_report_undo(struct type1_iommu *iommu, unsigned long first,
			      unsigned long end)
{
	struct type1_dma *dma = NULL;

	if (first == end)
		return;
	while ((dma = type1_dma_each(iommu, dma, first, end - 1)))
		type1_dirty_set(dma, max(dma->iova, first),
				min(dma->last, end - 1));
}

/*
 * Write the dirty bits of the mappings from @first to @last to the user's
 * @bitmap, and clear them if @clear. Drops the lock.
 * -EFAULT: no such memory
 * -EINTR: being killed
 * -EINVAL: somebody turned dirty tracking off meanwhile
 * -ENOMEM
 */
int type1_dirty_report(struct type1_iommu *iommu,
		       const struct vfio_bitmap *bitmap, unsigned long first,
		       unsigned long last, bool clear)
{
	struct type1_report r = {
		.user = (u8 __user *)bitmap->data,
		.base = first,
		.pgshift = __ffs64(bitmap->pgsize),
		.clear = clear,
		.first = first,
	};
	unsigned long iova = first;
	struct type1_dma *dma;
	u64 bytes;
	int ret = 0;

	/* Most ask for little, and a page may cost more than all the rest. */
	bytes = type1_bitmap_bytes((u64)((last - first) >> r.pgshift) + 1);
	r.window = kmalloc(min_t(u64, bytes, PAGE_SIZE), GFP_KERNEL);
	if (!r.window)
		return -ENOMEM;

	while ((dma = type1_dma_first(iommu, iova, last))) {
		type1_report_seek(&r, max(dma->iova, iova), last);
		do {
			ret = type1_report_step(iommu, &r);
		} while (ret == -EAGAIN);
		if (ret || r.last == last)
			break;
		iova = r.last + 1;
	}
	if (ret && clear)
		type1_report_undo(iommu, first, r.first);
	kfree(r.window);
	return ret;
}

static void type1_tracking_stop(struct type1_iommu *iommu)
{
	struct type1_dma *dma = NULL;

	/* A query looks at it first without the lock. */
	WRITE_ONCE(iommu->tracking, false);
	while ((dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		kvfree(dma->dirty);
		dma->dirty = NULL;
	}
}

static int type1_tracking_start(struct type1_iommu *iommu)
{
	struct type1_dma *dma = NULL;
	int ret;

	if (iommu->tracking)
		return 0;

	WRITE_ONCE(iommu->tracking, true);
	while ((dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		ret = type1_dirty_alloc(iommu, dma);
		if (ret) {
			type1_tracking_stop(iommu);
			return ret;
		}
		type1_pins_mark_dirty(dma, dma->iova, dma->last);
	}
	return 0;
}

static int type1_dirty_query(struct type1_iommu *iommu,
			     const struct vfio_iommu_type1_dirty_bitmap_get *get)
{
	unsigned long pgsize = type1_min_pgsize(iommu);
	unsigned long first = get->iova, last;

	if (!iommu->tracking || get->bitmap.pgsize != pgsize ||
	    first != get->iova || !get->size ||
	    (get->iova | get->size) & (pgsize - 1) ||
	    check_add_overflow(get->iova, get->size - 1, &last) ||
	    type1_dma_cut(iommu, first, last))
		return -EINVAL;

	return type1_dirty_report(iommu, &get->bitmap, first, last, true);
}

int type1_ioctl_dirty(struct type1_iommu *iommu, void __user *arg)
{
	const u32 valid = VFIO_IOMMU_DIRTY_PAGES_FLAG_START |
			  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP |
			  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	const size_t minsz = offsetofend(struct vfio_iommu_type1_dirty_bitmap,
					 flags);
	struct vfio_iommu_type1_dirty_bitmap_get get;
	struct vfio_iommu_type1_dirty_bitmap dirty;
	int ret = 0;

	if (!iommu->v2)
		return -EACCES;
	if (copy_from_user(&dirty, arg, minsz))
		return -EFAULT;
	if (dirty.argsz < minsz || dirty.flags & ~valid ||
	    hweight32(dirty.flags) != 1)
		return -EINVAL;

	if (dirty.flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) {
		if (!READ_ONCE(iommu->tracking) ||
		    dirty.argsz < minsz + sizeof(get))
			return -EINVAL;
		if (copy_from_user(&get, arg + minsz, sizeof(get)))
			return -EFAULT;
		ret = type1_bitmap_check(&get.bitmap, get.size);
		if (ret)
			return ret;
	}

	if (mutex_lock_killable(&iommu->lock))
		return -EINTR;
	if (dirty.flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_START)
		ret = type1_tracking_start(iommu);
	else if (dirty.flags & VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP)
		type1_tracking_stop(iommu);
	else
		ret = type1_dirty_query(iommu, &get);
	mutex_unlock(&iommu->lock);
	return ret;
}
