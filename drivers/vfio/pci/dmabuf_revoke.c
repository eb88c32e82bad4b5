// SPDX-License-Identifier: GPL-2.0-only
/* What the gate does to exports of device memory; dmabuf.c has the theory. */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/string_choices.h>
#include <linux/wait_bit.h>

#include "dmabuf.h"
#include "trace.h"
#include "vfio_pci_priv.h"

#define PATIENCE_SECONDS	10

/*
 * The export after @prev, or the first one, with a reference to its file; the
 * one to @prev, which kept that on the list, is dropped.
 */
static struct vfio_pci_dmabuf *
vfio_pci_dmabuf_next(struct vfio_pci_core_device *vdev,
		     struct vfio_pci_dmabuf *prev)
{
	struct vfio_pci_dmabuf *d, *next = NULL;

	lockdep_assert_held_write(&vdev->memory_lock);

	spin_lock(&vfio_pci_dmabufs_lock);
	d = list_prepare_entry(prev, &vdev->dmabufs, node);
	list_for_each_entry_continue(d, &vdev->dmabufs, node) {
		if (get_file_active(&d->dmabuf->file)) {
			next = d;
			break;
		}
	}
	spin_unlock(&vfio_pci_dmabufs_lock);

	if (prev)
		dma_buf_put(prev->dmabuf);
	return next;
}

#define for_each_dmabuf(vdev, d) \
	for ((d) = NULL; ((d) = vfio_pci_dmabuf_next(vdev, d)); )

static void vfio_pci_dmabuf_set_revoked(struct vfio_pci_dmabuf *d, bool revoked)
{
	dma_resv_lock(d->dmabuf->resv, NULL);
	if (d->revoked != revoked) {
		/* vfio_pci_dmabufs_show() looks without the lock. */
		WRITE_ONCE(d->revoked, revoked);
		dma_buf_move_notify(d->dmabuf);
	}
	dma_resv_unlock(d->dmabuf->resv);
}

static void vfio_pci_dmabuf_complain(struct vfio_pci_dmabuf *d)
{
	struct dma_buf_attachment *attachment;
	struct vfio_pci_dmabuf_link *link;

	/* Whoever has the lock may be the one. */
	if (!dma_resv_trylock(d->dmabuf->resv)) {
		pci_warn(d->pdev, "dma-buf: an importer keeps it locked, and device memory from going\n");
		return;
	}
	list_for_each_entry(attachment, &d->dmabuf->attachments, node) {
		link = attachment->priv;
		if (link->sgt)
			pci_warn(d->pdev, "dma-buf: %s does not let go of device memory, which cannot go\n",
				 dev_name(attachment->dev));
	}
	dma_resv_unlock(d->dmabuf->resv);
}

/* No mapping can come, and who undoes one may leave a fence. */
static void vfio_pci_dmabuf_wait(struct vfio_pci_dmabuf *d)
{
	unsigned long patience = PATIENCE_SECONDS * HZ;
	long left;

	while (!wait_var_event_timeout(&d->maps, !atomic_read(&d->maps),
				       patience))
		vfio_pci_dmabuf_complain(d);

	for (;;) {
		dma_resv_lock(d->dmabuf->resv, NULL);
		left = dma_resv_wait_timeout(d->dmabuf->resv,
					     DMA_RESV_USAGE_BOOKKEEP, false,
					     patience);
		dma_resv_unlock(d->dmabuf->resv);
		if (left)
			break;
		pci_warn(d->pdev, "dma-buf: a fence does not signal, device memory cannot go\n");
	}
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

/**
 * vfio_pci_dmabufs_revoke - the gate closes: no importer reaches the memory
 * @vdev: the device
 *
 * Context: may sleep for as long as importers need; memory_lock is held for
 * write.
 */
void vfio_pci_dmabufs_revoke(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_dmabuf *d;

	/* All are told before one is waited for. */
	for_each_dmabuf(vdev, d)
		vfio_pci_dmabuf_set_revoked(d, true);

	for_each_dmabuf(vdev, d) {
		vfio_pci_dmabuf_wait(d);
		vfio_pci_dmabuf_trace(d);
	}
}

/**
 * vfio_pci_dmabufs_restore - the gate opens: importers may map again
 * @vdev: the device
 *
 * Context: may sleep; memory_lock is held for write.
 */
void vfio_pci_dmabufs_restore(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_dmabuf *d;

	for_each_dmabuf(vdev, d)
		vfio_pci_dmabuf_set_revoked(d, false);
}

/**
 * vfio_pci_dmabufs_show - list what is exported, for debugfs
 * @vdev: the device
 * @seq: where to
 *
 * Context: any.
 */
void vfio_pci_dmabufs_show(struct vfio_pci_core_device *vdev,
			   struct seq_file *seq)
{
	const struct vfio_region_dma_range *range;
	struct vfio_pci_dmabuf *d;
	u64 size;

	spin_lock(&vfio_pci_dmabufs_lock);
	list_for_each_entry(d, &vdev->dmabufs, node) {
		size = 0;
		for_each_range(d, range)
			size += range->length;
		seq_printf(seq, "%u %#llx %u %s %d\n", d->bar, size,
			   d->nr_ranges, str_yes_no(READ_ONCE(d->revoked)),
			   atomic_read(&d->maps));
	}
	spin_unlock(&vfio_pci_dmabufs_lock);
}

/**
 * vfio_pci_dmabufs_end - last close: what was exported never comes back
 * @vdev: the device
 *
 * Context: the gate is closed, memory_lock is held for write.
 */
void vfio_pci_dmabufs_end(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_dmabuf *d, *next;

	lockdep_assert_held_write(&vdev->memory_lock);

	spin_lock(&vfio_pci_dmabufs_lock);
	list_for_each_entry_safe(d, next, &vdev->dmabufs, node)
		list_del_init(&d->node);
	spin_unlock(&vfio_pci_dmabufs_lock);
}
