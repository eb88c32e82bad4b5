// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a driver reaches the memory of its user: the container's back end, or
 * the iommufd the device is bound to, translates and pins. For drivers whose
 * devices do not do DMA themselves, or do it with pages that the driver hands
 * to them.
 *
 * The device must be open, which is what keeps the container and the iommufd
 * in place; no lock is taken here. A driver that pins has dma_unmap(), which
 * is told when the user unmaps what it has pinned.
 */
#include "vfio.h"

static bool vfio_device_is_open(struct vfio_device *device)
{
	return !WARN_ON_ONCE(!READ_ONCE(device->open_count));
}

/**
 * vfio_pin_pages() - pin pages of the user's memory by their DMA addresses
 * @device: an open device with dma_unmap()
 * @iova: DMA address of the first page; the user mapped all of them
 * @npage: number of pages, at most VFIO_PIN_PAGES_MAX_ENTRIES
 * @prot: IOMMU_READ and IOMMU_WRITE as needed
 * @pages: filled with the pages
 *
 * The pages stay where they are until vfio_unpin_pages(). The driver has to call
 * that from dma_unmap() at the latest.
 *
 * Context: may sleep; takes the locks of the back end and mmap_lock, so the
 * driver holds no lock that dma_unmap() takes.
 * Return: the number of pages pinned, or -EINVAL for bad arguments and addresses
 * that are not mapped, -E2BIG for too many pages, -ENOTTY if the back end cannot
 * pin, or another errno of the back end or of iommufd, which has -ENOENT for
 * addresses that are not mapped.
 */
int vfio_pin_pages(struct vfio_device *device, dma_addr_t iova,
		   int npage, int prot, struct page **pages)
{
	const struct vfio_iommu_driver_ops *ops;
	void *data;

	if (!pages || !npage || !vfio_device_is_open(device))
		return -EINVAL;
	if (!device->ops->dma_unmap)
		return -EINVAL;
	if (npage > VFIO_PIN_PAGES_MAX_ENTRIES)
		return -E2BIG;

	ops = vfio_container_backend(device, &data);
	if (!ops)
		return vfio_iommufd_pin_pages(device, iova, npage, prot, pages);
	if (!ops->pin_pages)
		return -ENOTTY;
	return ops->pin_pages(data, vfio_device_iommu_group(device), iova,
			      npage, prot, pages);
}
EXPORT_SYMBOL(vfio_pin_pages);

/**
 * vfio_unpin_pages() - give up pinned pages
 * @device: the open device that pinned them
 * @iova: DMA address of the first page
 * @npage: number of pages
 *
 * A back end takes pages in any portions. An iommufd wants them in those in
 * which they were pinned, so a driver for both keeps to them.
 *
 * Context: may sleep; takes the locks of the back end. May be called from
 * dma_unmap().
 */
void vfio_unpin_pages(struct vfio_device *device, dma_addr_t iova, int npage)
{
	const struct vfio_iommu_driver_ops *ops;
	void *data;

	if (!vfio_device_is_open(device))
		return;
	if (WARN_ON(npage <= 0 || npage > VFIO_PIN_PAGES_MAX_ENTRIES) ||
	    WARN_ON(!device->ops->dma_unmap))
		return;

	ops = vfio_container_backend(device, &data);
	if (!ops)
		vfio_iommufd_unpin_pages(device, iova, npage);
	else if (!WARN_ON(!ops->unpin_pages))
		ops->unpin_pages(data, iova, npage);
}
EXPORT_SYMBOL(vfio_unpin_pages);

/**
 * vfio_dma_rw() - copy from or to the user's memory by DMA address
 * @device: an open device
 * @iova: DMA address; the user mapped the whole range, with permission
 * @data: kernel buffer
 * @len: number of bytes
 * @write: true to write to the user's memory
 *
 * Context: may sleep; takes the locks of the back end and mmap_lock. Works in a
 * kernel thread.
 * Return: 0, -EINVAL for bad arguments and addresses that are not mapped, -EPERM
 * for mappings that do not allow it, -ENOTTY if the back end cannot copy, or
 * another errno of the back end or of iommufd, as for vfio_pin_pages().
 */
int vfio_dma_rw(struct vfio_device *device, dma_addr_t iova, void *data,
		size_t len, bool write)
{
	const struct vfio_iommu_driver_ops *ops;
	void *iommu_data;

	if (!data || !len || !vfio_device_is_open(device))
		return -EINVAL;

	ops = vfio_container_backend(device, &iommu_data);
	if (!ops)
		return vfio_iommufd_dma_rw(device, iova, data, len, write);
	if (!ops->dma_rw)
		return -ENOTTY;
	return ops->dma_rw(iommu_data, iova, data, len, write);
}
EXPORT_SYMBOL(vfio_dma_rw);
