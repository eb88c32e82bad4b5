// SPDX-License-Identifier: GPL-2.0-only
#include <unistd.h>

#include "edu.h"

int edu_dma_at(const struct vfio_dev *d, uint64_t iova, uint64_t at,
	       uint64_t len, bool to_memory)
{
	uint64_t source = to_memory ? EDU_BUF + at : iova;
	uint64_t target = to_memory ? iova : EDU_BUF + at;
	uint64_t cmd = EDU_CMD_START | (to_memory ? EDU_CMD_TO_RAM : 0);
	uint64_t until = vfio_now_ms() + 5000;

	if (vfio_region_write(d, 0, EDU_DMA_SRC, &source, 8) != 8 ||
	    vfio_region_write(d, 0, EDU_DMA_DST, &target, 8) != 8 ||
	    vfio_region_write(d, 0, EDU_DMA_COUNT, &len, 8) != 8 ||
	    vfio_region_write(d, 0, EDU_DMA_CMD, &cmd, 8) != 8)
		return -EIO;
	do {
		usleep(1000);
		if (vfio_region_read(d, 0, EDU_DMA_CMD, &cmd, 8) != 8)
			return -EIO;
	} while (cmd & EDU_CMD_START && vfio_now_ms() < until);
	return cmd & EDU_CMD_START ? -ETIMEDOUT : 0;
}

int edu_dma(const struct vfio_dev *d, uint64_t iova, uint64_t len,
	    bool to_memory)
{
	return edu_dma_at(d, iova, 0, len, to_memory);
}

int edu_dma_mapped(void *regs, uint64_t iova, uint64_t len, bool to_memory)
{
	int i;

	vfio_mmio_write64(regs + EDU_DMA_SRC, to_memory ? EDU_BUF : iova);
	vfio_mmio_write64(regs + EDU_DMA_DST, to_memory ? iova : EDU_BUF);
	vfio_mmio_write64(regs + EDU_DMA_COUNT, len);
	vfio_mmio_write64(regs + EDU_DMA_CMD, EDU_CMD_START |
			  (to_memory ? EDU_CMD_TO_RAM : 0));
	for (i = 0; i < 500; i++) {
		if (!(vfio_mmio_read32(regs + EDU_DMA_CMD) & EDU_CMD_START))
			return 0;
		usleep(5000);
	}
	return -ETIMEDOUT;
}

int edu_copy(const struct vfio_dev *d, uint64_t from, uint64_t to)
{
	int ret = edu_dma(d, from, 64, false);

	return ret ?: edu_dma(d, to, 64, true);
}

/*
 * Whether the kernel log tells that the IOMMU stops DMA to @iova. The interrupt
 * may take a while, and where there were many it tells of no more for five seconds.
 */
bool edu_fault_told(const struct vfio_dev *d, uint64_t iova, int klog)
{
	uint64_t until = vfio_now_ms() + 15000;

	while (!vfio_klog_dma_faults_at(klog, iova)) {
		if (vfio_now_ms() > until)
			return false;
		usleep(100000);
		edu_dma(d, iova, 64, true);
	}
	return true;
}
