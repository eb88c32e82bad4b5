// SPDX-License-Identifier: GPL-2.0-only
/* Mappings of a type1 container. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* How many more mappings the container takes; UINT32_MAX if it does not tell. */
uint32_t vfio_dma_avail(int container)
{
	const struct vfio_iommu_type1_info_dma_avail *cap;
	struct vfio_iommu_type1_info *info = vfio_iommu_info(container);
	uint32_t avail = UINT32_MAX;

	cap = vfio_info_cap(info, info->cap_offset,
			    VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	if (cap)
		avail = cap->avail;
	free(info);
	return avail;
}

int vfio_dirty_tracking(int container, bool on)
{
	struct vfio_iommu_type1_dirty_bitmap dirty = {
		.argsz = sizeof(dirty),
		.flags = on ? VFIO_IOMMU_DIRTY_PAGES_FLAG_START :
			      VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
	};

	return vfio_ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
}

/* Bits that stand for a page each, in as many words as that takes. */
static struct vfio_bitmap dirty_bitmap(uint64_t size, uint64_t *bits)
{
	struct vfio_bitmap bitmap = {
		.pgsize = VFIO_PAGE,
		.size = (size / VFIO_PAGE + 63) / 64 * 8,
		.data = (__u64 *)bits,
	};

	return bitmap;
}

int vfio_dirty_get(int container, uint64_t iova, uint64_t size, uint64_t *bits)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} query = {
		.dirty = {
			.argsz = sizeof(query),
			.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		},
		.get = {
			.iova = iova,
			.size = size,
			.bitmap = dirty_bitmap(size, bits),
		},
	};

	return vfio_ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &query);
}

int vfio_dirty_unmap(int container, uint64_t iova, uint64_t size,
		     uint64_t *bits, uint64_t *unmapped)
{
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} query = {
		.unmap = {
			.argsz = sizeof(query),
			.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
			.iova = iova,
			.size = size,
		},
		.bitmap = dirty_bitmap(size, bits),
	};
	int ret = vfio_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &query);

	if (unmapped)
		*unmapped = query.unmap.size;
	return ret;
}

/* What this process is charged for. */
int64_t vfio_locked_kb(void)
{
	return vfio_proc_status_kb(getpid(), "VmLck");
}

/* Pinned pages are counted per CPU, and summed up now and then. */
int64_t vfio_wait_pinned(int64_t want)
{
	uint64_t until = vfio_now_ms() + 5000;
	int64_t pinned;

	while ((pinned = vfio_pinned_pages()) != want && vfio_now_ms() < until)
		usleep(20000);
	return pinned;
}

/* Anonymous memory that is there already; NULL when it cannot be had. */
void *vfio_alloc_pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}
