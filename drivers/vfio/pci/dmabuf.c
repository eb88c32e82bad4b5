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
 * Addresses are made from the physical ranges, without struct pages: where
 * importer and exporter share a bridge that passes requests on between them,
 * and no IOMMU translates the importer's, they are the BAR's own bus addresses;
 * else the DMA API makes a resource mapping. See vfio_pci_dmabuf_route().
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
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/pci-p2pdma.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait_bit.h>

#include "trace.h"
#include "vfio_pci_priv.h"

MODULE_IMPORT_NS(DMA_BUF);

#define PATIENCE_SECONDS	10

/**
 * struct vfio_pci_dmabuf - parts of a BAR that were exported
 * @dmabuf: the other half
 * @node: in vdev->dmabufs, until the last close
 * @pdev: whose BAR, referenced
 * @bar: which one
 * @bar_start: its physical address
 * @bus_offset: from physical addresses of the BAR to those on its bus
 * @revoked: the gate admits no mappings, or the device is closed
 * @maps: mappings that importers have; what the closing gate waits on
 * @nr_ranges: entries of @ranges
 * @ranges: what was exported, in order
 */
struct vfio_pci_dmabuf {
	struct dma_buf			*dmabuf;
	struct list_head		node;
	struct pci_dev			*pdev;
	unsigned int			bar;
	phys_addr_t			bar_start;
	u64				bus_offset;
	bool				revoked;
	atomic_t			maps;
	u32				nr_ranges;
	struct vfio_region_dma_range	ranges[] __counted_by(nr_ranges);
};

/**
 * struct vfio_pci_dmabuf_link - what we know of an attachment
 * @direct: it uses bus addresses
 * @pinned: see above
 * @sgt: its mapping
 * @dir: the direction of that
 */
struct vfio_pci_dmabuf_link {
	bool			direct;
	bool			pinned;
	struct sg_table		*sgt;
	enum dma_data_direction	dir;
};

static DEFINE_SPINLOCK(vfio_pci_dmabufs_lock);

#define for_each_range(d, range) \
	for ((range) = (d)->ranges; \
	     (range) < (d)->ranges + (d)->nr_ranges; (range)++)

static phys_addr_t range_phys(const struct vfio_pci_dmabuf *d,
			      const struct vfio_region_dma_range *range)
{
	return d->bar_start + range->offset;
}

/* ---- Can an importer reach the memory, and how? ---- */

/* Does a port send what comes from below to the root complex in any case? */
static bool vfio_pci_port_redirects(struct pci_dev *port)
{
	u16 ctrl;

	if (!port->acs_cap)
		return false;
	pci_read_config_word(port, port->acs_cap + PCI_ACS_CTRL, &ctrl);
	return ctrl & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
}

static bool vfio_pci_is_below(struct pci_dev *pdev, struct pci_dev *bridge)
{
	while (pdev && pdev != bridge)
		pdev = pci_upstream_bridge(pdev);
	return pdev;
}

static bool vfio_pci_passes_up_to(struct pci_dev *pdev, struct pci_dev *bridge)
{
	for (; pdev != bridge; pdev = pci_upstream_bridge(pdev))
		if (vfio_pci_port_redirects(pdev))
			return false;
	return true;
}

/* Requests between the two turn round at a bridge below the root complex. */
static bool vfio_pci_shares_bridge(struct pci_dev *a, struct pci_dev *b)
{
	struct pci_dev *bridge = a;

	while (bridge && !vfio_pci_is_below(b, bridge))
		bridge = pci_upstream_bridge(bridge);

	return bridge && vfio_pci_passes_up_to(a, bridge) &&
	       vfio_pci_passes_up_to(b, bridge);
}

/*
 * A root complex need not pass requests on between its ports (PCIe r6.0,
 * 1.3.1). PCI_P2PDMA has the list of those that do. A kernel without it knows
 * nothing; there, the requests may go where those of a BAR that a user mapped
 * for DMA go, but not from one host bridge to another.
 */
static bool vfio_pci_root_passes(struct pci_dev *from, struct pci_dev *importer)
{
	if (IS_ENABLED(CONFIG_PCI_P2PDMA))
		return pci_p2pdma_distance(from, &importer->dev, false) >= 0;

	return pci_find_host_bridge(from->bus) ==
	       pci_find_host_bridge(importer->bus);
}

static struct pci_dev *vfio_pci_function_of(struct device *dev)
{
	while (dev && !dev_is_pci(dev))
		dev = dev->parent;
	return dev ? to_pci_dev(dev) : NULL;
}

static bool vfio_pci_within_mask(const struct vfio_pci_dmabuf *d,
				 struct device *dev, bool direct)
{
	u64 limit = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
	const struct vfio_region_dma_range *range;
	u64 last;

	for_each_range(d, range) {
		last = range_phys(d, range) + range->length - 1;
		if (direct)
			last += d->bus_offset;
		if (last > limit)
			return false;
	}
	return true;
}

/* Says how @dev reaches the memory, or why it does not. */
static const char *vfio_pci_dmabuf_route(const struct vfio_pci_dmabuf *d,
					 struct device *dev, bool *direct)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct pci_dev *importer = vfio_pci_function_of(dev);
	bool translated = domain && iommu_is_dma_domain(domain);
	bool shares;

	if (!importer)
		return "is not a PCI device";
	if (!dev->dma_mask)
		return "does no DMA";
	/* It has an address space that is not the DMA API's to map in. */
	if (domain && !translated && domain->type != IOMMU_DOMAIN_IDENTITY)
		return "has an IOMMU domain of its own";

	shares = vfio_pci_shares_bridge(d->pdev, importer);
	if (!shares && !vfio_pci_root_passes(d->pdev, importer))
		return "is behind a root complex that may not pass requests on";

	*direct = shares && !translated;
	if (!translated && !vfio_pci_within_mask(d, dev, *direct))
		return "cannot drive that many address bits";
	return NULL;
}

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

/* ---- What the gate calls ---- */

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
		d->revoked = revoked;
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
			   d->nr_ranges, READ_ONCE(d->revoked) ? "yes" : "no",
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

	/* The region has to be ours before anyone sees it. */
	ret = vfio_pci_bar_setup(vdev, bar);
	if (ret) {
		vfio_pci_dmabuf_free(d);
		return ret;
	}
	return vfio_pci_dmabuf_export(vdev, d, size, req.open_flags);
}
