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
 * 64-bit words that a mapping has a bit in are written, others are not. The
 * window is what is copied at a time; neighbouring mappings may share a word.
 */
#define TYPE1_WINDOW_BITS	(PAGE_SIZE * BITS_PER_BYTE)

struct type1_report {
	u8 __user *user;
	unsigned long base;
	unsigned int pgshift;
	bool everything;

	unsigned long *window;
	unsigned long index;
	unsigned int first;
	unsigned int end;
};

/* Write the words of the window that were touched: bytes first to end. */
static int type1_report_flush(struct type1_report *r)
{
	unsigned int size = r->end - r->first;

	if (size && copy_to_user(r->user + r->index * PAGE_SIZE + r->first,
				 (u8 *)r->window + r->first, size))
		return -EFAULT;
	r->end = 0;
	r->first = 0;
	return 0;
}

/* Turn to where bits @bit to @last of the user's bitmap, in one window, are. */
static int type1_report_seek(struct type1_report *r, unsigned long bit,
			     unsigned long last)
{
	unsigned long index = bit / TYPE1_WINDOW_BITS;
	unsigned int start, end;
	int ret;

	if (index != r->index) {
		ret = type1_report_flush(r);
		if (ret)
			return ret;
		r->index = index;
	}

	start = round_down(bit % TYPE1_WINDOW_BITS, 64) / BITS_PER_BYTE;
	end = round_up(last % TYPE1_WINDOW_BITS + 1, 64) / BITS_PER_BYTE;
	/* Words in between belong to no mapping, and have to stay. */
	if (r->end && start > r->end) {
		ret = type1_report_flush(r);
		if (ret)
			return ret;
	}
	if (!r->end)
		r->first = start;
	start = max(start, r->end);
	if (end > start)
		memset((u8 *)r->window + start, 0, end - start);
	r->end = max(r->end, end);
	return 0;
}

/* Set in the window what of @dma falls on bits @bit to @last. */
static void type1_report_mark(struct type1_report *r, struct type1_dma *dma,
			      unsigned long bit, unsigned long last)
{
	unsigned long page, end, stop, iova, from, to;

	if (r->everything) {
		bitmap_set(r->window, bit % TYPE1_WINDOW_BITS, last - bit + 1);
		return;
	}

	iova = r->base + (bit << r->pgshift);
	page = (iova - dma->iova) >> PAGE_SHIFT;
	stop = page + ((last - bit + 1) << (r->pgshift - PAGE_SHIFT));
	for_each_set_bitrange_from(page, end, dma->dirty, stop) {
		iova = dma->iova - r->base;
		from = (iova + (page << PAGE_SHIFT)) >> r->pgshift;
		to = (iova + ((end - 1) << PAGE_SHIFT)) >> r->pgshift;
		bitmap_set(r->window, from % TYPE1_WINDOW_BITS, to - from + 1);
	}
}

static int type1_report_dma(struct type1_report *r, struct type1_dma *dma)
{
	unsigned long bit = (dma->iova - r->base) >> r->pgshift;
	unsigned long last = (dma->last - r->base) >> r->pgshift;
	unsigned long end;
	int ret;

	for (; bit <= last; bit = end + 1) {
		if (fatal_signal_pending(current))
			return -EINTR;
		end = min(last, bit | (TYPE1_WINDOW_BITS - 1));
		ret = type1_report_seek(r, bit, end);
		if (ret)
			return ret;
		type1_report_mark(r, dma, bit, end);
		cond_resched();
	}
	return 0;
}

/*
 * Write the dirty bits of the mappings from @first to @last, of which none
 * reaches across either end, to the user's @bitmap. Nothing is cleared.
 */
int type1_dirty_report(struct type1_iommu *iommu,
		       const struct vfio_bitmap *bitmap, unsigned long first,
		       unsigned long last)
{
	struct type1_report report = {
		.user = (u8 __user *)bitmap->data,
		.base = first,
		.pgshift = __ffs64(bitmap->pgsize),
		.everything = iommu->unscoped,
	};
	struct type1_dma *dma = NULL;
	int ret = 0;

	report.window = (unsigned long *)__get_free_page(GFP_KERNEL);
	if (!report.window)
		return -ENOMEM;

	while ((dma = type1_dma_each(iommu, dma, first, last))) {
		ret = type1_report_dma(&report, dma);
		if (ret)
			break;
	}
	if (!ret)
		ret = type1_report_flush(&report);
	free_page((unsigned long)report.window);
	return ret;
}

/* What was reported is clean, except what drivers still may write to. */
static void type1_dirty_clear(struct type1_iommu *iommu, unsigned long first,
			      unsigned long last)
{
	struct type1_dma *dma = NULL;

	while ((dma = type1_dma_each(iommu, dma, first, last))) {
		bitmap_zero(dma->dirty, type1_dma_npages(dma));
		type1_pins_mark_dirty(dma);
	}
}

static void type1_tracking_stop(struct type1_iommu *iommu)
{
	struct type1_dma *dma = NULL;

	iommu->tracking = false;
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

	iommu->tracking = true;
	while ((dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		ret = type1_dirty_alloc(iommu, dma);
		if (ret) {
			type1_tracking_stop(iommu);
			return ret;
		}
		type1_pins_mark_dirty(dma);
	}
	return 0;
}

static int type1_dirty_query(struct type1_iommu *iommu,
			     const struct vfio_iommu_type1_dirty_bitmap_get *get)
{
	unsigned long pgsize = type1_min_pgsize(iommu);
	unsigned long first = get->iova, last;
	int ret;

	if (!iommu->tracking || get->bitmap.pgsize != pgsize ||
	    first != get->iova || !get->size ||
	    (get->iova | get->size) & (pgsize - 1) ||
	    check_add_overflow(get->iova, get->size - 1, &last) ||
	    type1_dma_cut(iommu, first, last))
		return -EINVAL;

	ret = type1_dirty_report(iommu, &get->bitmap, first, last);
	if (!ret)
		type1_dirty_clear(iommu, first, last);
	return ret;
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
