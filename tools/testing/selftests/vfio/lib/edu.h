/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The DMA engine of QEMU's edu device: it copies between an I/O virtual address
 * of 28 bits and a buffer of its own.
 */
#ifndef VFIO_EDU_H
#define VFIO_EDU_H

#include <stdbool.h>
#include <stdint.h>

#include "vfio_util.h"

/*
 * It takes accesses of four bytes and more. What others do is the machine's affair: on
 * arm64 they end in an abort, which the kernel does not survive if it made the access.
 */
#ifdef __aarch64__
#define EDU_NARROWEST	4
#else
#define EDU_NARROWEST	1
#endif

/* Registers of BAR0. */
#define EDU_DMA_SRC	0x80
#define EDU_DMA_DST	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_CMD	0x98

#define EDU_CMD_START	1
#define EDU_CMD_TO_RAM	2
#define EDU_CMD_IRQ	4

/* The device's own buffer, in its own address space. */
#define EDU_BUF		0x40000
/* It drives 28 address bits. */
#define EDU_IOVA_END	0x10000000

/*
 * Copy @len bytes between @iova and the device's buffer and wait until that is
 * done. Returns 0, -EIO if the device does not answer, -ETIMEDOUT.
 */
int edu_dma(const struct vfio_dev *d, uint64_t iova, uint64_t len,
	    bool to_memory);

/* The same, @at so many bytes from the start of the buffer. */
int edu_dma_at(const struct vfio_dev *d, uint64_t iova, uint64_t at,
	       uint64_t len, bool to_memory);

/* The same by registers that are mapped, at @regs. */
int edu_dma_mapped(void *regs, uint64_t iova, uint64_t len, bool to_memory);

/* Carry 64 bytes at @from to @to through the device. */
int edu_copy(const struct vfio_dev *d, uint64_t from, uint64_t to);

/* Whether the IOMMU tells that DMA to @iova is stopped. */
bool edu_fault_told(const struct vfio_dev *d, uint64_t iova, int klog);

#endif
