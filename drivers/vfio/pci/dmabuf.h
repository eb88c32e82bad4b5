/* SPDX-License-Identifier: GPL-2.0-only */
/* Exports of device memory; dmabuf.c has the theory. */
#ifndef VFIO_PCI_DMABUF_H
#define VFIO_PCI_DMABUF_H

#include <linux/atomic.h>
#include <linux/dma-direction.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/vfio.h>

struct dma_buf;
struct pci_dev;
struct sg_table;

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
 * @pinned: ->pin let the next mapping through; see dmabuf.c
 * @sgt: its mapping
 * @dir: the direction of that
 */
struct vfio_pci_dmabuf_link {
	bool			direct;
	bool			pinned;
	struct sg_table		*sgt;
	enum dma_data_direction	dir;
};

#define for_each_range(d, range) \
	for ((range) = (d)->ranges; \
	     (range) < (d)->ranges + (d)->nr_ranges; (range)++)

static inline phys_addr_t range_phys(const struct vfio_pci_dmabuf *d,
				     const struct vfio_region_dma_range *range)
{
	return d->bar_start + range->offset;
}

/* Which exports are on which list. */
extern spinlock_t vfio_pci_dmabufs_lock;

const char *vfio_pci_dmabuf_route(const struct vfio_pci_dmabuf *d,
				  struct device *dev, bool *direct);

#endif
