// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory as dma-bufs: parts of a BAR for other drivers' devices.
 *
 * Objects and owners. VFIO_DEVICE_FEATURE_DMA_BUF makes a struct
 * vfio_pci_dmabuf, the exporter's side of a struct dma_buf. The latter has a
 * reference to it until its release, which belongs to the dentry: that outlives
 * the file where a user keeps it with O_PATH, so nothing leads from us to the
 * dma-buf or its file but an attachment. An attachment's importer has the file
 * until it has detached, and we have the attachment on d->links until then. The
 * export keeps this module, by way of the dma-buf, and the struct pci_dev, and
 * neither the device's file nor its driver. While the device is open the export
 * is on vdev->dmabufs, where the gate finds it and takes references. It gets there
 * with memory_lock held for read, so who closes the gate and finds none has nobody
 * to stop (vfio_pci_gate_lock()). The last close takes it off for good: then nothing
 * leads from it to the vfio device any more, and what is left to its holders is to
 * detach and to close.
 *
 * Revocation. Importers may have mappings while the gate admits them and nobody
 * has stopped them. Who closes the gate of a device that exported something does it in
 * two steps (dmabuf_revoke.c).
 *
 * Stopping takes a moment and waits for no importer. It counts up
 * vdev->dmabuf_stops, marks every export as revoked, so that no mapping is made
 * any more, and has a worker call the importers' move_notify: that needs the
 * dma_resv, and may take the importer as long as it likes. So each device has
 * a workqueue of its own (vfio_pci_dmabuf_queue_get()). A stop ends with
 * vfio_pci_dmabufs_go(), after which the worker calls move_notify once more, for
 * those who wait to map again.
 *
 * Draining waits until the importers have been told, each mapping is undone and
 * each fence that is theirs has signalled. It holds neither memory_lock nor
 * dma_resv, so the memory goes on to be there for everybody else. What counts is
 * the mapping: by the rules of the DMA API it is not undone before the
 * importer's DMA has ended. Fences are waited for where only drivers can leave
 * them, with the usages KERNEL and BOOKKEEP. Those to READ and WRITE are what
 * DMA_BUF_IOCTL_IMPORT_SYNC_FILE makes of any fence of a user's. By the same ioctl
 * who has a later fence of the same context turns BOOKKEEP into one of these, so
 * a fence is no substitute for a mapping.
 *
 * Who waits, and how long:
 *   - a user, who writes to a register, resets, or enters low power: until he is
 *     killed. Then nothing happens to the device and importers may map again. A
 *     hot reset has a lock of the set and is refused (-EBUSY) after ten seconds;
 *   - the last close: ten seconds. It cannot be refused;
 *   - system sleep, and the last close of a device that is being removed: two,
 *     since the importer may let go only in its own suspension or removal; the
 *     same where somebody else resets the device, who has its locks;
 *   - error recovery, and whoever finds the device frozen or gone: not at all.
 *
 * When the time is over the memory goes without the importer: its translation
 * is removed in the IOMMU (dmabuf_map.c), so the device's next user has it for
 * himself. A mapping that was taken stays dead when the memory comes back. Only
 * an error takes none: the memory is frozen, and comes back where it was.
 *
 * Importers. Who cannot be told, or could not handle addresses without pages,
 * cannot attach: it takes dma_buf_dynamic_attach() with allow_peer2peer. Nor
 * can one that pins, because a pin is the promise not to move, and device
 * memory moves whenever its user says so. A kernel without DMABUF_MOVE_NOTIFY
 * hides this: dma_buf_map_attachment() pins by itself before each mapping and
 * unpins after it. move_notify is called there all the same, and importers
 * heed it; the configuration only says whether the dma-buf core trusts them to.
 * So there, ->pin lets exactly one through for an attachment without a mapping,
 * which is what the core needs for the next mapping. An importer that pins for
 * itself is found out at its mapping, whose pin is the second one, or right
 * away where it has mapped before: no mapping ever rests on a promise. For the
 * same reason, and on all kernels, an attachment has one mapping at a time.
 *
 * Addresses are made from the physical ranges, without struct pages; which
 * ones an importer gets is decided in dmabuf_route.c, when it attaches.
 *
 * Locks:
 *   dma_resv		of each export: all calls from importers but attach, detach
 *			and the release have it
 *   vfio_pci_dmabuf.lock	what is attached and mapped, and revoked; held for
 *			moments, and never while an importer is called
 *   vfio_pci_dmabufs_lock	which exports are on which list, and the devices'
 *			stops; a spinlock
 *
 * They nest in this order. Who closes the gate takes the latter two, and not
 * inside memory_lock but where he waits for nobody; so importers can do what they
 * like with dma_resv held. The spinlock is taken inside memory_lock, too, by who adds
 * an export.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "dmabuf.h"
#include "vfio_pci_priv.h"

MODULE_IMPORT_NS(DMA_BUF);

/* ---- What importers call ---- */

static int vfio_pci_dmabuf_attach(struct dma_buf *dmabuf,
				  struct dma_buf_attachment *attachment)
{
	struct vfio_pci_dmabuf *d = dmabuf->priv;
	struct vfio_pci_dmabuf_link *link;
	const char *problem;
	bool direct;

	if (!attachment->peer2peer) {
		dev_warn_ratelimited(&d->pdev->dev,
				     "dma-buf: %s cannot have device memory, or have it taken away again\n",
				     dev_name(attachment->dev));
		return -EOPNOTSUPP;
	}
	if (vfio_pci_dmabuf_ended(d))
		return -ENODEV;

	problem = vfio_pci_dmabuf_route(d, attachment->dev, &direct);
	if (problem) {
		dev_warn_ratelimited(&d->pdev->dev,
				     "dma-buf: %s cannot reach BAR %u: it %s\n",
				     dev_name(attachment->dev), d->bar,
				     problem);
		return -EHOSTUNREACH;
	}

	link = kvzalloc(struct_size(link, addr, d->nr_ranges),
			GFP_KERNEL_ACCOUNT);
	if (!link)
		return -ENOMEM;
	link->attachment = attachment;
	link->direct = direct;
	attachment->priv = link;

	dma_resv_lock(dmabuf->resv, NULL);
	mutex_lock(&d->lock);
	list_add_tail(&link->node, &d->links);
	mutex_unlock(&d->lock);
	dma_resv_unlock(dmabuf->resv);
	return 0;
}

static int vfio_pci_dmabuf_pin(struct dma_buf_attachment *attachment)
{
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;
	struct vfio_pci_dmabuf_link *link = attachment->priv;

	dma_resv_assert_held(attachment->dmabuf->resv);
	if (link->sgt)
		return -EBUSY;
	if (IS_ENABLED(CONFIG_DMABUF_MOVE_NOTIFY) || link->pinned) {
		dev_warn_ratelimited(&d->pdev->dev,
				     "dma-buf: %s wants to pin device memory, which cannot be\n",
				     dev_name(attachment->dev));
		return -EOPNOTSUPP;
	}
	link->pinned = true;
	return 0;
}

static void vfio_pci_dmabuf_unpin(struct dma_buf_attachment *attachment)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;

	dma_resv_assert_held(attachment->dmabuf->resv);
	link->pinned = false;
}

static struct sg_table *
vfio_pci_dmabuf_map(struct dma_buf_attachment *attachment,
		    enum dma_data_direction dir)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;
	struct sg_table *sgt;
	bool revoked;

	dma_resv_assert_held(attachment->dmabuf->resv);
	if (READ_ONCE(d->revoked))
		return ERR_PTR(-ENODEV);
	if (link->sgt)
		return ERR_PTR(-EBUSY);

	sgt = vfio_pci_dmabuf_map_sgt(d, link, dir);
	if (IS_ERR(sgt))
		return sgt;

	/* The importer does not know it yet: who revokes need not wait. */
	mutex_lock(&d->lock);
	revoked = d->revoked;
	if (!revoked) {
		link->sgt = sgt;
		/* Nor has it to be told any more that it may. */
		link->tell = false;
		WRITE_ONCE(d->maps, d->maps + 1);
	}
	mutex_unlock(&d->lock);
	if (revoked) {
		vfio_pci_dmabuf_unmap_sgt(d, link, sgt);
		return ERR_PTR(-ENODEV);
	}
	return sgt;
}

static void vfio_pci_dmabuf_unmap(struct dma_buf_attachment *attachment,
				  struct sg_table *sgt,
				  enum dma_data_direction dir)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;

	dma_resv_assert_held(attachment->dmabuf->resv);
	mutex_lock(&d->lock);
	vfio_pci_dmabuf_unmap_sgt(d, link, sgt);
	link->sgt = NULL;
	if (!link->cut)
		WRITE_ONCE(d->maps, d->maps - 1);
	mutex_unlock(&d->lock);
	wake_up(&d->drained);
}

static void vfio_pci_dmabuf_detach(struct dma_buf *dmabuf,
				   struct dma_buf_attachment *attachment)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;
	struct vfio_pci_dmabuf *d = dmabuf->priv;

	/* Who is gone has let go, and nobody waits for what it forgot. */
	dma_resv_lock(dmabuf->resv, NULL);
	if (WARN_ON_ONCE(link->sgt))
		vfio_pci_dmabuf_unmap(attachment, link->sgt, link->dir);
	mutex_lock(&d->lock);
	list_del(&link->node);
	mutex_unlock(&d->lock);
	dma_resv_unlock(dmabuf->resv);
	kvfree(link);
}

/* Nobody is attached, nor will be: there is nobody to tell any more. */
static void vfio_pci_dmabuf_release(struct dma_buf *dmabuf)
{
	struct vfio_pci_dmabuf *d = dmabuf->priv;

	/* It runs code of the module that the dma-buf keeps. */
	cancel_work_sync(&d->tell);
	WRITE_ONCE(d->told, d->changes);
	wake_up(&d->drained);
	vfio_pci_dmabuf_put(d);
}

static const struct dma_buf_ops vfio_pci_dmabuf_ops = {
	.attach = vfio_pci_dmabuf_attach,
	.detach = vfio_pci_dmabuf_detach,
	.pin = vfio_pci_dmabuf_pin,
	.unpin = vfio_pci_dmabuf_unpin,
	.map_dma_buf = vfio_pci_dmabuf_map,
	.unmap_dma_buf = vfio_pci_dmabuf_unmap,
	.release = vfio_pci_dmabuf_release,
};

/* ---- What the user calls ---- */

static int vfio_pci_dmabuf_check_ranges(const struct vfio_pci_dmabuf *d,
					u64 bar_size, size_t *size)
{
	const struct vfio_region_dma_range *range;
	ssize_t total = 0;

	for_each_range(d, range) {
		if (!range->length || !PAGE_ALIGNED(range->offset) ||
		    !PAGE_ALIGNED(range->length))
			return -EINVAL;
		if (range->offset > bar_size ||
		    range->length > bar_size - range->offset)
			return -EINVAL;
		if (check_add_overflow(total, range->length, &total))
			return -EINVAL;
	}
	*size = total;
	return 0;
}

/*
 * Any number of ranges: what the user asks for is charged to him, and he gets
 * an error and not the kernel's attention where it is too much.
 */
static struct vfio_pci_dmabuf *
vfio_pci_dmabuf_alloc(struct vfio_pci_core_device *vdev, unsigned int bar,
		      const struct vfio_region_dma_range __user *ranges, u32 nr,
		      size_t *size)
{
	struct pci_dev *pdev = vdev->pdev;
	struct vfio_pci_dmabuf_queue *queue;
	struct vfio_pci_dmabuf *d;
	int ret;

	d = kvmalloc(struct_size(d, ranges, nr), GFP_KERNEL_ACCOUNT |
		     __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	if (!d)
		return ERR_PTR(-ENOMEM);
	queue = vfio_pci_dmabuf_queue_get(vdev);
	if (!queue) {
		kvfree(d);
		return ERR_PTR(-ENOMEM);
	}

	*d = (struct vfio_pci_dmabuf) {
		.pdev = pci_dev_get(pdev),
		.queue = queue,
		.bar = bar,
		.bar_start = pci_resource_start(pdev, bar),
		.bus_offset = pci_bus_address(pdev, bar) -
			      pci_resource_start(pdev, bar),
		.revoked = true,
		.nr_ranges = nr,
	};
	refcount_set(&d->refs, 1);
	INIT_LIST_HEAD(&d->node);
	dma_resv_init(&d->resv);
	mutex_init(&d->lock);
	INIT_LIST_HEAD(&d->links);
	init_waitqueue_head(&d->drained);
	INIT_WORK(&d->tell, vfio_pci_dmabuf_tell);

	ret = -EFAULT;
	if (!copy_from_user(d->ranges, ranges,
			    array_size(nr, sizeof(*ranges))))
		ret = vfio_pci_dmabuf_check_ranges(d, pci_resource_len(pdev, bar),
						   size);
	if (!ret)
		return d;

	vfio_pci_dmabuf_put(d);
	return ERR_PTR(ret);
}

static int vfio_pci_dmabuf_export(struct vfio_pci_core_device *vdev,
				  struct vfio_pci_dmabuf *d, size_t size,
				  u32 open_flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	int fd;

	info.ops = &vfio_pci_dmabuf_ops;
	info.size = size;
	info.flags = open_flags;
	info.resv = &d->resv;
	info.priv = d;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		vfio_pci_dmabuf_put(d);
		return PTR_ERR(dmabuf);
	}

	vfio_pci_dmabuf_add(vdev, d);
	fd = dma_buf_fd(dmabuf, open_flags);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

static bool vfio_pci_dmabuf_open_flags_ok(u32 flags)
{
	return !(flags & ~(O_ACCMODE | O_CLOEXEC)) &&
	       (flags & O_ACCMODE) != O_ACCMODE;
}

/* VFIO_DEVICE_FEATURE_DMA_BUF */
int vfio_pci_feature_dma_buf(struct vfio_pci_core_device *vdev, u32 flags,
			     struct vfio_device_feature_dma_buf __user *arg,
			     size_t argsz)
{
	struct vfio_device_feature_dma_buf req;
	struct vfio_pci_dmabuf *d;
	unsigned int bar;
	size_t size;
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
	if (req.flags || !req.nr_ranges ||
	    !vfio_pci_dmabuf_open_flags_ok(req.open_flags))
		return -EINVAL;
	if (req.nr_ranges > (argsz - sizeof(req)) / sizeof(arg->dma_ranges[0]))
		return -EINVAL;
	if (req.region_index >= VFIO_PCI_ROM_REGION_INDEX)
		return -ENODEV;

	/* What cannot be mapped is no memory, or shares a page with others. */
	bar = array_index_nospec(req.region_index, PCI_STD_NUM_BARS);
	if (!vdev->bar_mmap_supported[bar])
		return -EINVAL;

	d = vfio_pci_dmabuf_alloc(vdev, bar, arg->dma_ranges, req.nr_ranges,
				  &size);
	if (IS_ERR(d))
		return PTR_ERR(d);

	ret = vfio_pci_begin(vdev);
	if (ret)
		goto free;
	/* The region has to be ours before anyone sees it. */
	ret = vfio_pci_bar_setup(vdev, bar);
	if (ret) {
		vfio_pci_end(vdev);
		goto free;
	}
	ret = vfio_pci_dmabuf_export(vdev, d, size, req.open_flags);
	vfio_pci_end(vdev);
	return ret;

free:
	vfio_pci_dmabuf_put(d);
	return ret;
}
