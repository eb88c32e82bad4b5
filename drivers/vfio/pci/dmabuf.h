/* SPDX-License-Identifier: GPL-2.0-only */
/* Exports of device memory; dmabuf.c has the theory. */
#ifndef VFIO_PCI_DMABUF_H
#define VFIO_PCI_DMABUF_H

#include <linux/dma-direction.h>
#include <linux/dma-resv.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct dma_buf_attachment;
struct pci_dev;
struct sg_table;
struct vfio_pci_core_device;

/**
 * struct vfio_pci_dmabuf_queue - where the importers of a device's exports are told
 * @refs: the device's, once it has exported something, and those of the exports
 * @wq: the workqueue
 */
struct vfio_pci_dmabuf_queue {
	refcount_t			refs;
	struct workqueue_struct		*wq;
};

/**
 * struct vfio_pci_dmabuf - parts of a BAR that were exported
 * @refs: the dma-buf's, and those of who visits it on the list
 * @node: in vdev->dmabufs, until the last close
 * @pdev: whose BAR, referenced
 * @queue: of that device, referenced
 * @bar: which one
 * @bar_start: its physical address
 * @bus_offset: from physical addresses of the BAR to those on its bus
 * @resv: the dma-buf's; importers call with it held
 * @lock: all from here to @told
 * @links: attachments; changed with @resv held, too
 * @revoked: the gate admits no mappings, or the device is closed
 * @maps: mappings that importers have and could use
 * @changes: how often importers had to be told that @revoked changed
 * @told: up to which of these they have been
 * @drained: woken when @maps becomes 0, or @told @changes
 * @tell: tells them, in @queue
 * @nr_ranges: entries of @ranges
 * @ranges: what was exported, in order
 */
struct vfio_pci_dmabuf {
	refcount_t			refs;
	struct list_head		node;
	struct pci_dev			*pdev;
	struct vfio_pci_dmabuf_queue	*queue;
	unsigned int			bar;
	phys_addr_t			bar_start;
	u64				bus_offset;
	struct dma_resv			resv;
	struct mutex			lock;	/* see above */
	struct list_head		links;
	bool				revoked;
	unsigned int			maps;
	unsigned int			changes;
	unsigned int			told;
	wait_queue_head_t		drained;
	struct work_struct		tell;
	u32				nr_ranges;
	struct vfio_region_dma_range	ranges[] __counted_by(nr_ranges);
};

/**
 * struct vfio_pci_dmabuf_link - what we know of an attachment
 * @attachment: which
 * @node: in the export's links
 * @direct: it uses bus addresses
 * @pinned: ->pin let the next mapping through; see dmabuf.c
 * @tell: it has to be told that the export came or went
 * @cut: the mapping was taken from it: the IOMMU lets nothing through
 * @sgt: its mapping
 * @dir: the direction of that
 * @addr: where each range is mapped
 */
struct vfio_pci_dmabuf_link {
	struct dma_buf_attachment	*attachment;
	struct list_head		node;
	bool				direct;
	bool				pinned;
	bool				tell;
	bool				cut;
	struct sg_table			*sgt;
	enum dma_data_direction		dir;
	dma_addr_t			addr[];
};

#define for_each_range(d, range) \
	for ((range) = (d)->ranges; \
	     (range) < (d)->ranges + (d)->nr_ranges; (range)++)

static inline phys_addr_t range_phys(const struct vfio_pci_dmabuf *d,
				     const struct vfio_region_dma_range *range)
{
	return d->bar_start + range->offset;
}

/* dmabuf_map.c */
struct sg_table *vfio_pci_dmabuf_map_sgt(struct vfio_pci_dmabuf *d,
					 struct vfio_pci_dmabuf_link *link,
					 enum dma_data_direction dir);
void vfio_pci_dmabuf_unmap_sgt(struct vfio_pci_dmabuf *d,
			       struct vfio_pci_dmabuf_link *link,
			       struct sg_table *sgt);
bool vfio_pci_dmabuf_cut(struct vfio_pci_dmabuf *d,
			 struct vfio_pci_dmabuf_link *link);

/* dmabuf_revoke.c */
struct vfio_pci_dmabuf_queue *
vfio_pci_dmabuf_queue_get(struct vfio_pci_core_device *vdev);
void vfio_pci_dmabuf_put(struct vfio_pci_dmabuf *d);
void vfio_pci_dmabuf_add(struct vfio_pci_core_device *vdev,
			 struct vfio_pci_dmabuf *d);
bool vfio_pci_dmabuf_ended(struct vfio_pci_dmabuf *d);
void vfio_pci_dmabuf_tell(struct work_struct *work);

/* dmabuf_route.c */
const char *vfio_pci_dmabuf_route(const struct vfio_pci_dmabuf *d,
				  struct device *dev, bool *direct);

#endif
