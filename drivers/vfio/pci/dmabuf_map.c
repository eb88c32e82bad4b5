// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer's mapping of device memory: made, undone, and taken from it.
 *
 * A mapping is taken by removing it from the IOMMU alone. The DMA API goes on
 * to think that it is there, so the addresses are nobody else's: whatever the
 * importer's device still does there is a fault in the IOMMU. When the importer
 * undoes its mapping, the translation is made again first, for the DMA API to
 * undo: by then the importer has said that its device is through with it.
 *
 * Where no IOMMU translates for the importer there is nothing to remove. Its
 * device is one that could reach all of memory, with a driver trusted with that.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "dmabuf.h"

/* Make again what was taken. To read is enough to be there. */
static bool vfio_pci_dmabuf_mend(struct vfio_pci_dmabuf *d,
				 struct vfio_pci_dmabuf_link *link, u32 i)
{
	struct device *dev = link->attachment->dev;

	if (!iommu_map(iommu_get_domain_for_dev(dev), link->addr[i],
		       range_phys(d, &d->ranges[i]), d->ranges[i].length,
		       IOMMU_READ | IOMMU_MMIO, GFP_ATOMIC))
		return true;

	pci_warn(d->pdev, "dma-buf: addresses of %s are lost\n", dev_name(dev));
	return false;
}

/* Undo the first @nr ranges of a mapping. */
static void vfio_pci_dmabuf_unmap_ranges(struct vfio_pci_dmabuf *d,
					 struct vfio_pci_dmabuf_link *link,
					 u32 nr)
{
	struct device *dev = link->attachment->dev;
	struct iommu_domain *domain;
	u32 i;

	if (link->direct)
		return;

	for (i = 0; i < nr; i++)
		if (!link->cut || vfio_pci_dmabuf_mend(d, link, i))
			dma_unmap_resource(dev, link->addr[i],
					   d->ranges[i].length, link->dir, 0);

	/*
	 * An IOMMU that is told late of what is gone would let a device in that
	 * has not really stopped.
	 */
	domain = iommu_get_domain_for_dev(dev);
	if (domain && domain->type == IOMMU_DOMAIN_DMA_FQ)
		iommu_flush_iotlb_all(domain);
}

static bool vfio_pci_dmabuf_map_ranges(struct vfio_pci_dmabuf *d,
				       struct vfio_pci_dmabuf_link *link)
{
	struct device *dev = link->attachment->dev;
	phys_addr_t phys;
	u32 i;

	for (i = 0; i < d->nr_ranges; i++) {
		phys = range_phys(d, &d->ranges[i]);
		if (link->direct) {
			link->addr[i] = phys + d->bus_offset;
			continue;
		}
		link->addr[i] = dma_map_resource(dev, phys,
						 d->ranges[i].length, link->dir,
						 0);
		if (dma_mapping_error(dev, link->addr[i])) {
			vfio_pci_dmabuf_unmap_ranges(d, link, i);
			return false;
		}
	}
	return true;
}

/* How long an entry of an importer's table may be: whole pages. */
static size_t vfio_pci_dmabuf_segment(struct device *dev)
{
	return max(PAGE_ALIGN_DOWN(dma_get_max_seg_size(dev)), PAGE_SIZE);
}

static struct sg_table *
vfio_pci_dmabuf_alloc_sgt(struct vfio_pci_dmabuf *d, size_t segment)
{
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

/**
 * vfio_pci_dmabuf_map_sgt - map all ranges for an importer
 * @d: the export
 * @link: the importer's, without a mapping
 * @dir: of its DMA
 *
 * Return: the table, or an ERR_PTR().
 * Context: may sleep; the dma-buf's reservation lock is held.
 */
struct sg_table *vfio_pci_dmabuf_map_sgt(struct vfio_pci_dmabuf *d,
					 struct vfio_pci_dmabuf_link *link,
					 enum dma_data_direction dir)
{
	size_t segment = vfio_pci_dmabuf_segment(link->attachment->dev);
	struct scatterlist *sg;
	struct sg_table *sgt;
	dma_addr_t addr;
	u64 len;
	u32 i;

	sgt = vfio_pci_dmabuf_alloc_sgt(d, segment);
	if (IS_ERR(sgt))
		return sgt;

	link->dir = dir;
	link->cut = false;
	if (!vfio_pci_dmabuf_map_ranges(d, link)) {
		vfio_pci_dmabuf_free_sgt(sgt);
		return ERR_PTR(-ENOMEM);
	}

	sg = sgt->sgl;
	for (i = 0; i < d->nr_ranges; i++) {
		addr = link->addr[i];
		for (len = d->ranges[i].length; len; sg = sg_next(sg)) {
			sg_dma_address(sg) = addr;
			sg_dma_len(sg) = min(len, segment);
			addr += sg_dma_len(sg);
			len -= sg_dma_len(sg);
		}
	}
	return sgt;
}

/**
 * vfio_pci_dmabuf_unmap_sgt - undo vfio_pci_dmabuf_map_sgt()
 * @d: the export
 * @link: the importer's
 * @sgt: its mapping, whether it was taken from it or not
 *
 * Context: may sleep; the dma-buf's reservation lock is held.
 */
void vfio_pci_dmabuf_unmap_sgt(struct vfio_pci_dmabuf *d,
			       struct vfio_pci_dmabuf_link *link,
			       struct sg_table *sgt)
{
	vfio_pci_dmabuf_unmap_ranges(d, link, d->nr_ranges);
	vfio_pci_dmabuf_free_sgt(sgt);
}

static bool vfio_pci_dmabuf_can_cut(struct vfio_pci_dmabuf *d,
				    struct vfio_pci_dmabuf_link *link,
				    struct iommu_domain *domain)
{
	u64 page;
	u32 i;

	if (link->direct || !domain || !iommu_is_dma_domain(domain))
		return false;

	page = 1ULL << __ffs(domain->pgsize_bitmap);
	for (i = 0; i < d->nr_ranges; i++)
		if (!IS_ALIGNED(link->addr[i] | d->ranges[i].length, page))
			return false;
	return true;
}

/**
 * vfio_pci_dmabuf_cut - take a mapping from an importer
 * @d: the export, whose lock is held
 * @link: the importer's, with a mapping
 *
 * Return: false where nothing can be done against it.
 * Context: may sleep, but waits for nobody.
 */
bool vfio_pci_dmabuf_cut(struct vfio_pci_dmabuf *d,
			 struct vfio_pci_dmabuf_link *link)
{
	struct iommu_domain *domain;
	u32 i;

	domain = iommu_get_domain_for_dev(link->attachment->dev);
	if (!vfio_pci_dmabuf_can_cut(d, link, domain))
		return false;

	for (i = 0; i < d->nr_ranges; i++)
		iommu_unmap(domain, link->addr[i], d->ranges[i].length);
	link->cut = true;
	return true;
}
