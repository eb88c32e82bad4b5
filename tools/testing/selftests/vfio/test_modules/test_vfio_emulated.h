/* SPDX-License-Identifier: GPL-2.0-only */
/* How the test and test_vfio_emulated.ko talk, through the device's file. */
#ifndef TEST_VFIO_EMULATED_H
#define TEST_VFIO_EMULATED_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TEST_VFIO_MAX_PAGES 64
/* More than these are combined. */
#define TEST_VFIO_LOG_RANGES 4

/**
 * struct test_vfio_dma - one call of the driver's side of the interface
 * @iova: where
 * @npages: how many pages, for PIN and UNPIN
 * @prot: 1 read, 2 write, for PIN
 * @size: how many bytes, for RW
 * @write: to user memory, for RW
 * @user: the caller's buffer, for RW, or for the first bytes of each page
 *	that was pinned, 8 per page
 */
struct test_vfio_dma {
	__u64 iova;
	__u32 npages;
	__u32 prot;
	__u32 size;
	__u32 write;
	__u64 user;
};

/**
 * struct test_vfio_unmaps - what dma_unmap() was told
 * @calls: how often
 * @iova: the last time
 * @length: the last time
 * @delay_ms: in: from now on, wait before letting go
 */
struct test_vfio_unmaps {
	__u32 calls;
	__u32 delay_ms;
	__u64 iova;
	__u64 length;
};

enum {
	TEST_VFIO_VMA_OPEN,
	TEST_VFIO_VMA_CLOSE,
	TEST_VFIO_VMA_MAY_SPLIT,
	TEST_VFIO_VMA_MREMAP,
	TEST_VFIO_VMA_MPROTECT,
	TEST_VFIO_VMA_ACCESS,
	TEST_VFIO_VMA_FAULT,
	TEST_VFIO_VMA_MAP_PAGES,
	TEST_VFIO_VMA_PAGE_MKWRITE,
	TEST_VFIO_VMA_PFN_MKWRITE,
	TEST_VFIO_VMA_OPS
};

/**
 * struct test_vfio_vma_calls - what the mm asked of mappings of the device
 * @op: how often, since that was read last
 */
struct test_vfio_vma_calls {
	__u32 op[TEST_VFIO_VMA_OPS];
};

#define TEST_VFIO_PIN		_IOW('T', 0, struct test_vfio_dma)
#define TEST_VFIO_UNPIN		_IOW('T', 1, struct test_vfio_dma)
#define TEST_VFIO_RW		_IOW('T', 2, struct test_vfio_dma)
#define TEST_VFIO_UNMAPS	_IOWR('T', 3, struct test_vfio_unmaps)
#define TEST_VFIO_VMA_CALLS	_IOR('T', 4, struct test_vfio_vma_calls)

#endif
