// SPDX-License-Identifier: GPL-2.0-only
/* Mappings of a type1 container. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vfio_util.h"

int vfio_dma_map_flags(int container, void *vaddr, uint64_t iova,
		       uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)vaddr,
		.iova = iova,
		.size = size,
	};

	return vfio_ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

/* Readable and writable by the device. */
int vfio_dma_map(int container, void *vaddr, uint64_t iova, uint64_t size)
{
	return vfio_dma_map_flags(container, vaddr, iova, size,
				  VFIO_DMA_MAP_FLAG_READ |
				  VFIO_DMA_MAP_FLAG_WRITE);
}

int vfio_dma_unmap_flags(int container, uint64_t iova, uint64_t size,
			 uint32_t flags, uint64_t *unmapped)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.iova = iova,
		.size = size,
	};
	int ret;

	ret = vfio_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
	if (unmapped)
		*unmapped = unmap.size;
	return ret;
}

int vfio_dma_unmap(int container, uint64_t iova, uint64_t size)
{
	return vfio_dma_unmap_flags(container, iova, size, 0, NULL);
}

/* The container's information with all capabilities; the caller frees it. */
struct vfio_iommu_type1_info *vfio_iommu_info(int container)
{
	struct vfio_iommu_type1_info small = { .argsz = sizeof(small) };
	struct vfio_iommu_type1_info *info;

	if (vfio_ioctl(container, VFIO_IOMMU_GET_INFO, &small))
		return NULL;
	info = calloc(1, small.argsz);
	if (!info)
		return NULL;
	info->argsz = small.argsz;
	if (vfio_ioctl(container, VFIO_IOMMU_GET_INFO, info)) {
		free(info);
		return NULL;
	}
	return info;
}

/* Anonymous memory that is there already; NULL when it cannot be had. */
void *vfio_alloc_pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}
