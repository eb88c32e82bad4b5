// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA logging: the features by which a user has a device note what it writes.
 * The device does the work (log_ops); here the user's ranges are checked and
 * handed over as an interval tree, and the user's bitmap is made accessible.
 * The driver keeps track of whether logging is on.
 */
#include <linux/interval_tree.h>
#include <linux/iova_bitmap.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfio.h"

#define LOG_RANGES_MAX \
	(PAGE_SIZE / sizeof(struct vfio_device_feature_dma_logging_range))

/* Interval trees and bitmaps count in unsigned long, to the last byte. */
static bool vfio_log_range_fits(u64 iova, u64 length)
{
	u64 end;

	return !check_add_overflow(iova, length, &end) && end <= ULONG_MAX;
}

static int vfio_log_add_range(struct rb_root_cached *ranges,
			      struct interval_tree_node *node,
			      struct vfio_device_feature_dma_logging_range *range,
			      u64 page_size)
{
	if (!range->length || !IS_ALIGNED(range->iova, page_size) ||
	    !IS_ALIGNED(range->length, page_size))
		return -EINVAL;
	if (!vfio_log_range_fits(range->iova, range->length))
		return -EOVERFLOW;

	node->start = range->iova;
	node->last = range->iova + range->length - 1;
	if (interval_tree_iter_first(ranges, node->start, node->last))
		return -EINVAL;

	interval_tree_insert(node, ranges);
	return 0;
}

/* VFIO_DEVICE_FEATURE_DMA_LOGGING_START */
int vfio_feature_dma_logging_start(struct vfio_device *device, u32 flags,
				   void __user *arg)
{
	struct vfio_device_feature_dma_logging_range __user *uranges;
	struct vfio_device_feature_dma_logging_control control;
	struct vfio_device_feature_dma_logging_range range;
	struct rb_root_cached ranges = RB_ROOT_CACHED;
	struct interval_tree_node *nodes;
	u32 i;
	int ret;

	if (copy_from_user(&control, arg, sizeof(control)))
		return -EFAULT;

	if (!control.num_ranges)
		return -EINVAL;
	if (control.num_ranges > LOG_RANGES_MAX)
		return -E2BIG;

	nodes = kmalloc_array(control.num_ranges, sizeof(*nodes),
			      GFP_KERNEL_ACCOUNT);
	if (!nodes)
		return -ENOMEM;

	uranges = u64_to_user_ptr(control.ranges);
	for (i = 0; i < control.num_ranges; i++) {
		ret = -EFAULT;
		if (copy_from_user(&range, &uranges[i], sizeof(range)))
			goto out;
		ret = vfio_log_add_range(&ranges, &nodes[i], &range,
					 control.page_size);
		if (ret)
			goto out;
	}

	ret = device->log_ops->log_start(device, &ranges, control.num_ranges,
					 &control.page_size);
	if (ret)
		goto out;

	/* A user that does not learn the page size cannot use the log. */
	if (copy_to_user(arg, &control, sizeof(control))) {
		device->log_ops->log_stop(device);
		ret = -EFAULT;
	}
out:
	kfree(nodes);
	return ret;
}

/* VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP */
int vfio_feature_dma_logging_stop(struct vfio_device *device, u32 flags,
				  void __user *arg)
{
	return device->log_ops->log_stop(device);
}

static int vfio_log_report_range(struct iova_bitmap *bitmap,
				 unsigned long iova, size_t length,
				 void *opaque)
{
	struct vfio_device *device = opaque;

	return device->log_ops->log_read_and_clear(device, iova, length,
						   bitmap);
}

/* VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT */
int vfio_feature_dma_logging_report(struct vfio_device *device, u32 flags,
				    void __user *arg)
{
	struct vfio_device_feature_dma_logging_report report;
	struct iova_bitmap *bitmap;
	int ret;

	if (copy_from_user(&report, arg, sizeof(report)))
		return -EFAULT;

	if (!report.length || report.page_size < SZ_4K ||
	    !is_power_of_2(report.page_size))
		return -EINVAL;
	if (!vfio_log_range_fits(report.iova, report.length))
		return -EOVERFLOW;

	bitmap = iova_bitmap_alloc(report.iova, report.length,
				   report.page_size,
				   u64_to_user_ptr(report.bitmap));
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);

	ret = iova_bitmap_for_each(bitmap, device, vfio_log_report_range);
	iova_bitmap_free(bitmap);
	return ret;
}

/* Make one node of two neighbours and what lies between them. */
static void vfio_log_merge(struct rb_root_cached *root,
			   struct interval_tree_node *left,
			   struct interval_tree_node *right)
{
	interval_tree_remove(right, root);
	interval_tree_remove(left, root);
	left->last = right->last;
	interval_tree_insert(left, root);
}

/**
 * vfio_combine_iova_ranges() - make do with fewer ranges
 * @root: disjoint ranges; removed nodes remain the caller's
 * @cur_nodes: how many there are
 * @req_nodes: how many there may be, at least 1
 *
 * Merges neighbours, those with the smallest gap first, until @req_nodes are
 * left. For a device that can log fewer ranges than its user asked for.
 *
 * Context: any; the caller keeps others from the tree.
 */
void vfio_combine_iova_ranges(struct rb_root_cached *root, u32 cur_nodes,
			      u32 req_nodes)
{
	struct interval_tree_node *node, *next, *best;
	unsigned long gap, best_gap;

	for (; cur_nodes > req_nodes; cur_nodes--) {
		best = NULL;
		node = interval_tree_iter_first(root, 0, ULONG_MAX);
		while (node) {
			next = interval_tree_iter_next(node, 0, ULONG_MAX);
			if (!next)
				break;
			gap = next->start - node->last;
			if (!best || gap < best_gap) {
				best = node;
				best_gap = gap;
			}
			node = next;
		}

		/* One range, or none, is as few as there can be. */
		if (!best)
			return;
		vfio_log_merge(root, best,
			       interval_tree_iter_next(best, 0, ULONG_MAX));
	}
}
EXPORT_SYMBOL_GPL(vfio_combine_iova_ranges);
