// SPDX-License-Identifier: GPL-2.0-only
/* Stopping and draining exports of device memory; dmabuf.c has the theory. */
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string_choices.h>

#include "dmabuf.h"
#include "trace.h"
#include "vfio_pci_priv.h"

#define COMPLAIN_PERIOD	(10 * HZ)
#define LOOK_PERIOD	(HZ / 10)

/* How many importers of one device can be stuck at a time, with a thread for each. */
#define TOLD_AT_ONCE	16

/* Which exports are on which list, and the devices' counts of stops. */
static DEFINE_SPINLOCK(vfio_pci_dmabufs_lock);

/* ---- The workqueue ---- */

static void vfio_pci_dmabuf_queue_put(struct vfio_pci_dmabuf_queue *queue)
{
	if (!refcount_dec_and_test(&queue->refs))
		return;
	destroy_workqueue(queue->wq);
	kfree(queue);
}

/**
 * vfio_pci_dmabuf_queue_get - the workqueue for the importers of a device's exports
 * @vdev: the device
 *
 * Each device has its own: in one that is shared, whose importers are stuck would stall
 * the others. The first export makes it. Exports outlive the device.
 *
 * Context: may sleep.
 * Return: the queue, with a reference; NULL without memory.
 */
struct vfio_pci_dmabuf_queue *
vfio_pci_dmabuf_queue_get(struct vfio_pci_core_device *vdev)
{
	/* Pairs with what makes it known. */
	struct vfio_pci_dmabuf_queue *queue = smp_load_acquire(&vdev->dmabuf_queue);
	struct vfio_pci_dmabuf_queue *other;

	if (!queue) {
		queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
		if (!queue)
			return NULL;
		refcount_set(&queue->refs, 1);
		queue->wq = alloc_workqueue("vfio-dmabuf/%s", WQ_UNBOUND,
					    TOLD_AT_ONCE, pci_name(vdev->pdev));
		if (!queue->wq) {
			kfree(queue);
			return NULL;
		}
		/* A full barrier: who finds it finds it complete. */
		other = cmpxchg(&vdev->dmabuf_queue, NULL, queue);
		if (other) {
			vfio_pci_dmabuf_queue_put(queue);
			queue = other;
		}
	}
	refcount_inc(&queue->refs);
	return queue;
}

/* The device's object goes. */
void vfio_pci_dmabufs_exit(struct vfio_pci_core_device *vdev)
{
	if (vdev->dmabuf_queue)
		vfio_pci_dmabuf_queue_put(vdev->dmabuf_queue);
}

/* ---- The list ---- */

/**
 * vfio_pci_dmabuf_put - drop a reference to an export
 * @d: the export
 *
 * Context: may sleep; none of the export's locks is held.
 */
void vfio_pci_dmabuf_put(struct vfio_pci_dmabuf *d)
{
	bool last;

	/* Who walks the list takes references under the lock. */
	spin_lock(&vfio_pci_dmabufs_lock);
	last = refcount_dec_and_test(&d->refs);
	if (last)
		list_del(&d->node);
	spin_unlock(&vfio_pci_dmabufs_lock);
	if (!last)
		return;

	dma_resv_fini(&d->resv);
	mutex_destroy(&d->lock);
	vfio_pci_dmabuf_queue_put(d->queue);
	pci_dev_put(d->pdev);
	kvfree(d);
}

/*
 * The export after @prev, or the first one, with a reference; the one to @prev,
 * which kept that on the list, is dropped.
 */
static struct vfio_pci_dmabuf *
vfio_pci_dmabuf_next(struct vfio_pci_core_device *vdev,
		     struct vfio_pci_dmabuf *prev)
{
	struct vfio_pci_dmabuf *d, *next = NULL;

	spin_lock(&vfio_pci_dmabufs_lock);
	d = list_prepare_entry(prev, &vdev->dmabufs, node);
	/* Who ends one of them ends all, and has stopped them before. */
	if (!list_empty(&d->node) && !list_is_last(&d->node, &vdev->dmabufs)) {
		next = list_next_entry(d, node);
		refcount_inc(&next->refs);
	}
	spin_unlock(&vfio_pci_dmabufs_lock);

	if (prev)
		vfio_pci_dmabuf_put(prev);
	return next;
}

#define for_each_dmabuf(vdev, d) \
	for ((d) = NULL; ((d) = vfio_pci_dmabuf_next(vdev, d)); )

/* For good: the device was closed since. */
bool vfio_pci_dmabuf_ended(struct vfio_pci_dmabuf *d)
{
	bool ended;

	spin_lock(&vfio_pci_dmabufs_lock);
	ended = list_empty(&d->node);
	spin_unlock(&vfio_pci_dmabufs_lock);
	return ended;
}

/* ---- Stopping ---- */

/*
 * What the gate admits changes only between a stop and its go. Who looks while
 * there is none sees it as it is.
 */
static bool vfio_pci_dmabuf_admitted(struct vfio_pci_core_device *vdev,
				     struct vfio_pci_dmabuf *d)
{
	bool admitted;

	spin_lock(&vfio_pci_dmabufs_lock);
	admitted = !vdev->dmabuf_stops && READ_ONCE(vdev->gate_open) &&
		   !READ_ONCE(vdev->pm_runtime_engaged) &&
		   !list_empty(&d->node);
	spin_unlock(&vfio_pci_dmabufs_lock);
	return admitted;
}

static void vfio_pci_dmabuf_trace(struct vfio_pci_dmabuf *d)
{
	const struct vfio_region_dma_range *range;

	if (!trace_vfio_pci_revoke_enabled())
		return;
	for_each_range(d, range)
		trace_vfio_pci_revoke(d->pdev,
				      VFIO_PCI_INDEX_TO_OFFSET(d->bar) +
				      range->offset, range->length);
}

static void vfio_pci_dmabuf_tell_all(struct vfio_pci_dmabuf *d)
{
	struct vfio_pci_dmabuf_link *link;

	if (list_empty(&d->links))
		return;

	list_for_each_entry(link, &d->links, node)
		link->tell = true;
	WRITE_ONCE(d->changes, d->changes + 1);
	queue_work(d->queue->wq, &d->tell);
}

/* Under @d->lock the last one to come sees the newest state. */
static void vfio_pci_dmabuf_update(struct vfio_pci_core_device *vdev,
				   struct vfio_pci_dmabuf *d)
{
	bool revoked;

	mutex_lock(&d->lock);
	revoked = !vfio_pci_dmabuf_admitted(vdev, d);
	if (d->revoked != revoked) {
		WRITE_ONCE(d->revoked, revoked);
		if (revoked)
			vfio_pci_dmabuf_trace(d);
		vfio_pci_dmabuf_tell_all(d);
	}
	mutex_unlock(&d->lock);
}

static void vfio_pci_dmabufs_update(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_dmabuf *d;

	for_each_dmabuf(vdev, d)
		vfio_pci_dmabuf_update(vdev, d);
}

static bool vfio_pci_dmabuf_has_to_tell(struct vfio_pci_dmabuf *d,
					struct vfio_pci_dmabuf_link *link)
{
	bool tell;

	mutex_lock(&d->lock);
	tell = link->tell;
	link->tell = false;
	mutex_unlock(&d->lock);
	return tell;
}

/**
 * vfio_pci_dmabuf_tell - tell the importers of an export that it came or went
 * @work: the export's
 *
 * This is dma_buf_move_notify(), but for those who were quicker than we and have
 * mapped already what is back.
 */
void vfio_pci_dmabuf_tell(struct work_struct *work)
{
	struct vfio_pci_dmabuf *d = container_of(work, struct vfio_pci_dmabuf,
						 tell);
	struct dma_buf_attachment *attachment;
	struct vfio_pci_dmabuf_link *link;
	struct dma_buf *dmabuf;
	unsigned int changes;

	dma_resv_lock(&d->resv, NULL);
	changes = READ_ONCE(d->changes);
	/* Who is attached has the dma-buf, until we have taken it off links. */
	link = list_first_entry_or_null(&d->links, struct vfio_pci_dmabuf_link,
					node);
	if (link) {
		dmabuf = link->attachment->dmabuf;
		list_for_each_entry(attachment, &dmabuf->attachments, node)
			if (vfio_pci_dmabuf_has_to_tell(d, attachment->priv))
				attachment->importer_ops->move_notify(attachment);
	}
	dma_resv_unlock(&d->resv);

	WRITE_ONCE(d->told, changes);
	wake_up(&d->drained);
}

/**
 * vfio_pci_dmabuf_add - a new export is there for the gate
 * @vdev: the device
 * @d: the export, which is revoked so far
 *
 * Who closes the gate and finds no export stops none, and waits for no importer. So
 * there must not be one until the gate is open again (vfio_pci_gate_lock()).
 *
 * Context: may sleep; takes memory_lock for read.
 */
void vfio_pci_dmabuf_add(struct vfio_pci_core_device *vdev,
			 struct vfio_pci_dmabuf *d)
{
	down_read(&vdev->memory_lock);
	spin_lock(&vfio_pci_dmabufs_lock);
	list_add_tail(&d->node, &vdev->dmabufs);
	spin_unlock(&vfio_pci_dmabufs_lock);
	up_read(&vdev->memory_lock);

	vfio_pci_dmabuf_update(vdev, d);
}

/**
 * vfio_pci_dmabufs_stop - from now on importers map nothing
 * @vdev: the device
 *
 * They are being told when this returns. Stops count; each has its
 * vfio_pci_dmabufs_go().
 *
 * Context: may sleep, but waits for no importer.
 */
void vfio_pci_dmabufs_stop(struct vfio_pci_core_device *vdev)
{
	spin_lock(&vfio_pci_dmabufs_lock);
	vdev->dmabuf_stops++;
	spin_unlock(&vfio_pci_dmabufs_lock);

	vfio_pci_dmabufs_update(vdev);
}

/**
 * vfio_pci_dmabufs_go - undo vfio_pci_dmabufs_stop()
 * @vdev: the device
 *
 * Importers may map again if it was the last stop, and the gate admits it.
 *
 * Context: may sleep, but waits for no importer.
 */
void vfio_pci_dmabufs_go(struct vfio_pci_core_device *vdev)
{
	spin_lock(&vfio_pci_dmabufs_lock);
	vdev->dmabuf_stops--;
	spin_unlock(&vfio_pci_dmabufs_lock);

	vfio_pci_dmabufs_update(vdev);
}

/* ---- Draining ---- */

/*
 * A fence that an importer left and that has not signalled, with a reference.
 * Those to READ and to WRITE anybody can import who has the dma-buf's file.
 */
static struct dma_fence *vfio_pci_dmabuf_fence(struct vfio_pci_dmabuf *d)
{
	struct dma_fence *fence, *found = NULL;
	struct dma_resv_iter cursor;
	enum dma_resv_usage usage;

	dma_resv_iter_begin(&cursor, &d->resv, DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		usage = dma_resv_iter_usage(&cursor);
		if (usage == DMA_RESV_USAGE_KERNEL ||
		    usage == DMA_RESV_USAGE_BOOKKEEP) {
			found = dma_fence_get(fence);
			break;
		}
	}
	dma_resv_iter_end(&cursor);
	return found;
}

static bool vfio_pci_dmabuf_is_told(struct vfio_pci_dmabuf *d)
{
	return READ_ONCE(d->told) == READ_ONCE(d->changes);
}

static bool vfio_pci_dmabuf_is_unmapped(struct vfio_pci_dmabuf *d)
{
	return vfio_pci_dmabuf_is_told(d) && !READ_ONCE(d->maps);
}

/* Waits for at most @time; returns true if nothing is left of it. */
static bool vfio_pci_dmabuf_look(struct vfio_pci_dmabuf *d, bool killable,
				 unsigned long time)
{
	struct dma_fence *fence;

	if (killable)
		wait_event_killable_timeout(d->drained,
					    vfio_pci_dmabuf_is_unmapped(d),
					    time);
	else
		wait_event_timeout(d->drained, vfio_pci_dmabuf_is_unmapped(d),
				   time);
	if (!vfio_pci_dmabuf_is_unmapped(d))
		return false;

	fence = vfio_pci_dmabuf_fence(d);
	if (!fence)
		return true;
	dma_fence_wait_timeout(fence, false, time);
	dma_fence_put(fence);
	return false;
}

static void vfio_pci_dmabuf_complain(struct vfio_pci_dmabuf *d)
{
	struct vfio_pci_dmabuf_link *link;

	mutex_lock(&d->lock);
	list_for_each_entry(link, &d->links, node)
		if (link->sgt && !link->cut)
			pci_warn(d->pdev, "dma-buf: %s does not let go of device memory, which cannot go\n",
				 dev_name(link->attachment->dev));
	mutex_unlock(&d->lock);

	if (!vfio_pci_dmabuf_is_told(d))
		pci_warn(d->pdev, "dma-buf: an importer keeps it locked, and device memory from going\n");
	else if (vfio_pci_dmabuf_is_unmapped(d))
		pci_warn(d->pdev, "dma-buf: a fence does not signal, device memory cannot go\n");
}

/*
 * See vfio_pci_dmabufs_drain(). A user's call, with @vdev, ends when he is killed or
 * the device taken from him.
 */
static int vfio_pci_dmabuf_drain(struct vfio_pci_dmabuf *d,
				 struct vfio_pci_core_device *vdev,
				 const unsigned long *deadline)
{
	unsigned long complain = jiffies + COMPLAIN_PERIOD;
	bool late = deadline && time_after_eq(jiffies, *deadline);

	while (!vfio_pci_dmabuf_look(d, vdev, late ? 0 : LOOK_PERIOD)) {
		if (vdev && fatal_signal_pending(current))
			return -EINTR;
		if (vdev && READ_ONCE(vdev->vdev.revoked))
			return -ENODEV;
		if (late)
			return -EBUSY;
		late = deadline && time_after_eq(jiffies, *deadline);
		if (time_after_eq(jiffies, complain)) {
			vfio_pci_dmabuf_complain(d);
			complain = jiffies + COMPLAIN_PERIOD;
		}
	}
	return 0;
}

/**
 * vfio_pci_dmabufs_drain - wait until importers have let go
 * @vdev: the device, which is stopped
 * @deadline: in jiffies; NULL for as long as it takes
 *
 * Return: 0, -EINTR if the caller was killed, -ENODEV if the device was revoked,
 * or -EBUSY at the deadline.
 * Context: may sleep; memory_lock is not held.
 */
int vfio_pci_dmabufs_drain(struct vfio_pci_core_device *vdev,
			   const unsigned long *deadline)
{
	struct vfio_pci_dmabuf *d;
	int ret;

	for_each_dmabuf(vdev, d) {
		ret = vfio_pci_dmabuf_drain(d, vdev, deadline);
		if (ret) {
			vfio_pci_dmabuf_put(d);
			return ret;
		}
	}
	return 0;
}

/* What importers still have is not theirs any more. */
static void vfio_pci_dmabuf_take(struct vfio_pci_dmabuf *d)
{
	struct vfio_pci_dmabuf_link *link;
	struct device *dev;

	mutex_lock(&d->lock);
	list_for_each_entry(link, &d->links, node) {
		if (!link->sgt || link->cut)
			continue;
		dev = link->attachment->dev;
		if (vfio_pci_dmabuf_cut(d, link)) {
			WRITE_ONCE(d->maps, d->maps - 1);
			pci_warn(d->pdev, "dma-buf: device memory was taken from %s, which did not let go\n",
				 dev_name(dev));
		} else {
			pci_err(d->pdev, "dma-buf: %s does not let go of device memory, which goes without\n",
				dev_name(dev));
		}
	}
	mutex_unlock(&d->lock);
	wake_up(&d->drained);
}

/* How long the kernel can wait where it has to go on. */
static unsigned long vfio_pci_dmabufs_patience(struct vfio_pci_core_device *vdev,
					       enum vfio_pci_gate_cause cause)
{
	/* It is gone, or frozen: nobody reaches it. */
	if (vfio_pci_gate_has_error(vdev) || !pci_device_is_present(vdev->pdev))
		return 0;
	if (cause == VFIO_PCI_GATE_SUSPEND ||
	    cause == VFIO_PCI_GATE_OTHER_RESET ||
	    READ_ONCE(vdev->dmabufs_hurry))
		return 2 * HZ;
	return 10 * HZ;
}

/**
 * vfio_pci_dmabufs_evict - have importers let go, or take it from them
 * @vdev: the device, which is stopped
 * @cause: why
 *
 * For those who cannot be refused.
 *
 * Context: may sleep; memory_lock is not held.
 */
void vfio_pci_dmabufs_evict(struct vfio_pci_core_device *vdev,
			    enum vfio_pci_gate_cause cause)
{
	struct vfio_pci_dmabuf *d;
	unsigned long deadline;

	/*
	 * The removal does nothing to the memory; nor does who looks whether an error
	 * is over.
	 */
	if (cause == VFIO_PCI_GATE_REMOVE || cause == VFIO_PCI_GATE_AER ||
	    list_empty(&vdev->dmabufs))
		return;

	deadline = jiffies + vfio_pci_dmabufs_patience(vdev, cause);
	for_each_dmabuf(vdev, d)
		if (vfio_pci_dmabuf_drain(d, NULL, &deadline))
			vfio_pci_dmabuf_take(d);
}

/**
 * vfio_pci_dmabufs_end - last close: what was exported never comes back
 * @vdev: the device, which nobody has open
 *
 * Context: may sleep, for seconds if importers do not let go; memory_lock is not
 * held.
 */
void vfio_pci_dmabufs_end(struct vfio_pci_core_device *vdev)
{
	bool more;

	vfio_pci_dmabufs_stop(vdev);
	vfio_pci_dmabufs_evict(vdev, VFIO_PCI_GATE_DISABLE);

	/* A user can have any number of them, and all users share the lock. */
	do {
		spin_lock(&vfio_pci_dmabufs_lock);
		more = !list_empty(&vdev->dmabufs);
		if (more)
			list_del_init(vdev->dmabufs.next);
		spin_unlock(&vfio_pci_dmabufs_lock);
		cond_resched();
	} while (more);
	vfio_pci_dmabufs_go(vdev);
}

/**
 * vfio_pci_dmabufs_show - list what is exported, for debugfs
 * @vdev: the device
 * @seq: where to
 *
 * Context: may sleep.
 */
void vfio_pci_dmabufs_show(struct vfio_pci_core_device *vdev,
			   struct seq_file *seq)
{
	const struct vfio_region_dma_range *range;
	struct vfio_pci_dmabuf *d;
	u64 size;

	for_each_dmabuf(vdev, d) {
		size = 0;
		for_each_range(d, range)
			size += range->length;
		seq_printf(seq, "%u %#llx %u %s %u\n", d->bar, size,
			   d->nr_ranges, str_yes_no(READ_ONCE(d->revoked)),
			   READ_ONCE(d->maps));
	}
}
