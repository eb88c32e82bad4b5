/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices of test_vfio_emulated.ko, whose driver pins and accesses memory
 * as it is told.
 */
#ifndef VFIO_EMULATED_H
#define VFIO_EMULATED_H

#include "../test_modules/test_vfio_emulated.h"
#include "vfio_util.h"

/*
 * Open device @nr in a container of @type, or in that of @other; -ENXIO if
 * there is no such module.
 */
int emu_open(struct vfio_dev *d, int nr, int type,
	     const struct vfio_dev *other);

/* The driver's side: what vfio_pin_pages() and its like return. */
int emu_pin(const struct vfio_dev *d, uint64_t iova, int npages, int prot,
	    uint64_t *seen);
int emu_unpin(const struct vfio_dev *d, uint64_t iova, int npages);
int emu_rw(const struct vfio_dev *d, uint64_t iova, void *buf, int size,
	   bool write);

/* What dma_unmap() was told; from now on it takes @delay_ms. */
struct test_vfio_unmaps emu_unmaps(const struct vfio_dev *d, int delay_ms);

#endif
