// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory as dma-bufs: parts of a BAR for other drivers' devices.
 *
 * Objects and owners. VFIO_DEVICE_FEATURE_DMA_BUF makes a struct
 * vfio_pci_dmabuf, the exporter's side of a struct dma_buf. Its file and the
 * importers' attachments keep it; it keeps this module and the struct pci_dev,
 * and neither the device's file nor its driver. While the device is open the
 * export is on vdev->dmabufs, where the gate finds it. The last close takes it
 * off for good: then nothing leads from it to the vfio device any more, and
 * what is left to its holders is to detach and to close.
 *
 * Revocation. An export is revoked whenever the gate admits no mappings. The
 * gate, closing, (1) marks every export revoked, so that no mapping is made any
 * more, and calls the importers' move_notify; (2) waits until each mapping is
 * undone and each fence, of whatever usage, has signalled. Only then does the
 * memory go. The gate, opening, takes the mark away and calls move_notify once
 * more, for those who wait to map again.
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
 *   memory_lock	whether the gate admits mappings. Held for write by who walks
 *			vdev->dmabufs, for read by who adds to it
 *   dma_resv		of each export: revoked, its mappings, and each attachment's
 *			pin. All calls from importers but attach, detach and the
 *			release have it, and take no lock of ours inside
 *   vfio_pci_dmabufs_lock	which exports are on which list; innermost
 *
 * The order is mmap_lock > memory_lock > dma_resv > what importers take in
 * move_notify, and fences. Importers and fences never need memory_lock, so the
 * gate can wait for them with it. Releasing an export takes neither
 * memory_lock nor dma_resv: it may happen while the gate waits, maybe in the
 * very task that it waits for. The gate therefore takes a reference to the file
 * of each export that it visits, under vfio_pci_dmabufs_lock. That fails for
 * one whose file had its last fput() and is on the way to its release, which is
 * passed over: attachments hold the file, so it has none to be told or waited
 * for. While it waits for fences it holds dma_resv: nobody adds one meanwhile,
 * and none needs the lock to signal.
 *
 * An importer that does not let go holds up who closes the gate, who cannot be
 * interrupted, since the memory must not go under someone's DMA; the kernel log
 * names the importer every ten seconds. Importers are drivers, not users, and
 * letting go must not depend on what a user does.
 */
#include <linux/atomic.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait_bit.h>

#include "dmabuf.h"
#include "vfio_pci_priv.h"

MODULE_IMPORT_NS(DMA_BUF);

DEFINE_SPINLOCK(vfio_pci_dmabufs_lock);

/* ---- What importers call ---- */

static bool vfio_pci_dmabuf_ended(struct vfio_pci_dmabuf *d)
{
	bool ended;

	spin_lock(&vfio_pci_dmabufs_lock);
	ended = list_empty(&d->node);
	spin_unlock(&vfio_pci_dmabufs_lock);
	return ended;
}

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

	link = kzalloc(sizeof(*link), GFP_KERNEL_ACCOUNT);
	if (!link)
		return -ENOMEM;
	link->direct = direct;
	attachment->priv = link;
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

/* Undo the first @nr ranges of a mapping. */
static void vfio_pci_dmabuf_unmap_ranges(struct dma_buf_attachment *attachment,
					 struct sg_table *sgt, u32 nr)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;
	struct scatterlist *sg = sgt->sgl;
	struct iommu_domain *domain;
	u64 len;
	u32 i;

	if (link->direct)
		return;

	for (i = 0; i < nr; i++) {
		dma_unmap_resource(attachment->dev, sg_dma_address(sg),
				   d->ranges[i].length, link->dir, 0);
		for (len = d->ranges[i].length; len; sg = sg_next(sg))
			len -= sg_dma_len(sg);
	}

	/*
	 * An IOMMU that is told late of what is gone would let a device in that
	 * has not really stopped.
	 */
	domain = iommu_get_domain_for_dev(attachment->dev);
	if (domain && domain->type == IOMMU_DOMAIN_DMA_FQ)
		iommu_flush_iotlb_all(domain);
}

static dma_addr_t
vfio_pci_dmabuf_map_range(struct dma_buf_attachment *attachment,
			  const struct vfio_region_dma_range *range)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;

	if (link->direct)
		return range_phys(d, range) + d->bus_offset;

	return dma_map_resource(attachment->dev, range_phys(d, range),
				range->length, link->dir, 0);
}

/* How long an entry of an importer's table may be: whole pages. */
static size_t vfio_pci_dmabuf_segment(struct device *dev)
{
	return max(PAGE_ALIGN_DOWN(dma_get_max_seg_size(dev)), PAGE_SIZE);
}

static struct sg_table *
vfio_pci_dmabuf_alloc_sgt(struct dma_buf_attachment *attachment)
{
	size_t segment = vfio_pci_dmabuf_segment(attachment->dev);
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;
	const struct vfio_region_dma_range *range;
	struct sg_table *sgt;
	u64 entries = 0;
	int ret;

	for_each_range(d, range)
		entries += DIV_ROUND_UP_ULL(range->length, segment);
	if (entries > INT_MAX)
		return ERR_PTR(-EOVERFLOW);

	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL_ACCOUNT);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	ret = sg_alloc_table(sgt, entries, GFP_KERNEL_ACCOUNT);
	if (ret) {
		kfree(sgt);
		return ERR_PTR(ret);
	}
	return sgt;
}

static void vfio_pci_dmabuf_free_sgt(struct sg_table *sgt)
{
	sg_free_table(sgt);
	kfree(sgt);
}

static struct sg_table *
vfio_pci_dmabuf_map(struct dma_buf_attachment *attachment,
		    enum dma_data_direction dir)
{
	size_t segment = vfio_pci_dmabuf_segment(attachment->dev);
	struct vfio_pci_dmabuf_link *link = attachment->priv;
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;
	const struct vfio_region_dma_range *range;
	struct scatterlist *sg;
	struct sg_table *sgt;
	dma_addr_t addr;
	u64 len;

	dma_resv_assert_held(attachment->dmabuf->resv);
	if (d->revoked)
		return ERR_PTR(-ENODEV);
	if (link->sgt)
		return ERR_PTR(-EBUSY);

	sgt = vfio_pci_dmabuf_alloc_sgt(attachment);
	if (IS_ERR(sgt))
		return sgt;

	sg = sgt->sgl;
	link->dir = dir;
	for_each_range(d, range) {
		addr = vfio_pci_dmabuf_map_range(attachment, range);
		if (!link->direct && dma_mapping_error(attachment->dev, addr)) {
			vfio_pci_dmabuf_unmap_ranges(attachment, sgt,
						     range - d->ranges);
			vfio_pci_dmabuf_free_sgt(sgt);
			return ERR_PTR(-ENOMEM);
		}
		for (len = range->length; len; sg = sg_next(sg)) {
			sg_dma_address(sg) = addr;
			sg_dma_len(sg) = min(len, segment);
			addr += sg_dma_len(sg);
			len -= sg_dma_len(sg);
		}
	}

	link->sgt = sgt;
	atomic_inc(&d->maps);
	return sgt;
}

static void vfio_pci_dmabuf_unmap(struct dma_buf_attachment *attachment,
				  struct sg_table *sgt,
				  enum dma_data_direction dir)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;
	struct vfio_pci_dmabuf *d = attachment->dmabuf->priv;

	dma_resv_assert_held(attachment->dmabuf->resv);
	vfio_pci_dmabuf_unmap_ranges(attachment, sgt, d->nr_ranges);
	vfio_pci_dmabuf_free_sgt(sgt);
	link->sgt = NULL;
	if (atomic_dec_and_test(&d->maps))
		wake_up_var(&d->maps);
}

static void vfio_pci_dmabuf_detach(struct dma_buf *dmabuf,
				   struct dma_buf_attachment *attachment)
{
	struct vfio_pci_dmabuf_link *link = attachment->priv;

	/* Who is gone has let go, and nobody waits for what it forgot. */
	dma_resv_lock(dmabuf->resv, NULL);
	if (WARN_ON_ONCE(link->sgt))
		vfio_pci_dmabuf_unmap(attachment, link->sgt, link->dir);
	dma_resv_unlock(dmabuf->resv);
	kfree(link);
}

static void vfio_pci_dmabuf_free(struct vfio_pci_dmabuf *d)
{
	pci_dev_put(d->pdev);
	kvfree(d);
}

static void vfio_pci_dmabuf_release(struct dma_buf *dmabuf)
{
	struct vfio_pci_dmabuf *d = dmabuf->priv;

	spin_lock(&vfio_pci_dmabufs_lock);
	list_del(&d->node);
	spin_unlock(&vfio_pci_dmabufs_lock);
	vfio_pci_dmabuf_free(d);
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
	struct vfio_pci_dmabuf *d;
	int ret;

	d = kvmalloc(struct_size(d, ranges, nr), GFP_KERNEL_ACCOUNT |
		     __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	if (!d)
		return ERR_PTR(-ENOMEM);

	*d = (struct vfio_pci_dmabuf) {
		.pdev = pci_dev_get(pdev),
		.bar = bar,
		.bar_start = pci_resource_start(pdev, bar),
		.bus_offset = pci_bus_address(pdev, bar) -
			      pci_resource_start(pdev, bar),
		.nr_ranges = nr,
	};
	INIT_LIST_HEAD(&d->node);

	ret = -EFAULT;
	if (!copy_from_user(d->ranges, ranges,
			    array_size(nr, sizeof(*ranges))))
		ret = vfio_pci_dmabuf_check_ranges(d, pci_resource_len(pdev, bar),
						   size);
	if (!ret)
		return d;

	vfio_pci_dmabuf_free(d);
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
	info.priv = d;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		vfio_pci_dmabuf_free(d);
		return PTR_ERR(dmabuf);
	}
	d->dmabuf = dmabuf;

	/* Nobody else knows it yet, so this needs no dma_resv. */
	down_read(&vdev->memory_lock);
	d->revoked = !vfio_pci_gate_admits_maps(vdev);
	spin_lock(&vfio_pci_dmabufs_lock);
	list_add_tail(&d->node, &vdev->dmabufs);
	spin_unlock(&vfio_pci_dmabufs_lock);
	up_read(&vdev->memory_lock);

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
	vfio_pci_dmabuf_free(d);
	return ret;
}
