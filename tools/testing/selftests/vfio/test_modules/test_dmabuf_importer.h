/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How tests and test_dmabuf_importer.ko talk. The file /dev/test_dmabuf.ADDRESS of
 * an edu device bound to the driver is one importer, of one dma-buf at a time.
 */
#ifndef TEST_DMABUF_IMPORTER_H
#define TEST_DMABUF_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TEST_DMABUF_DRIVER	"test_dmabuf_importer"
#define TEST_DMABUF_MAX_DMA	2048

/* What kind of importer it is. */
#define TEST_DMABUF_STATIC	(1 << 0)	/* without move_notify */
#define TEST_DMABUF_NO_P2P	(1 << 1)	/* wants pages */
#define TEST_DMABUF_NOT_PCI	(1 << 2)	/* a platform device */

/* What it does when it is to let go. */
#define TEST_DMABUF_AT_ONCE	0	/* in the callback, if no DMA runs */
#define TEST_DMABUF_LATER	1	/* from a worker, after delay_ms */
#define TEST_DMABUF_NEVER	2	/* TEST_DMABUF_UNMAP does it */
#define TEST_DMABUF_STUCK	3	/* stays in the callback until RECOVER */

/**
 * struct test_dmabuf_attach - attach a dma-buf
 * @fd: which
 * @kind: TEST_DMABUF_STATIC and the like
 * @on_notify: TEST_DMABUF_AT_ONCE and the like
 * @delay_ms: for TEST_DMABUF_LATER
 */
struct test_dmabuf_attach {
	__s32 fd;
	__u32 kind;
	__u32 on_notify;
	__u32 delay_ms;
};

/**
 * struct test_dmabuf_dma - carry data through the device
 * @offset: in the dma-buf
 * @len: at most TEST_DMABUF_MAX_DMA, all in one entry of the mapping
 * @write: to the dma-buf
 * @user: the caller's buffer
 * @fence: whether the transfer has a fence
 * @reserved: 0
 */
struct test_dmabuf_dma {
	__u64 offset;
	__u64 user;
	__u32 len;
	__u32 write;
	__u32 fence;
	__u32 reserved;
};

/**
 * struct test_dmabuf_fence - leave a fence that no transfer has
 * @usage: enum dma_resv_usage
 * @delay_ms: when it signals
 */
struct test_dmabuf_fence {
	__u32 usage;
	__u32 delay_ms;
};

/**
 * struct test_dmabuf_state - what the importer has
 * @mapped: is there a mapping?
 * @notified: calls of move_notify
 * @entries: of the mapping
 * @pages: entries that have a struct page
 * @longest: entry, in bytes
 * @bytes: of all
 */
struct test_dmabuf_state {
	__u32 mapped;
	__u32 notified;
	__u32 entries;
	__u32 pages;
	__u64 longest;
	__u64 bytes;
};

#define TEST_DMABUF_ATTACH	_IOW('T', 0, struct test_dmabuf_attach)
#define TEST_DMABUF_DETACH	_IO('T', 1)
#define TEST_DMABUF_MAP		_IO('T', 2)
#define TEST_DMABUF_UNMAP	_IO('T', 3)
#define TEST_DMABUF_PIN		_IO('T', 4)
#define TEST_DMABUF_UNPIN	_IO('T', 5)
#define TEST_DMABUF_DMA		_IOW('T', 6, struct test_dmabuf_dma)
#define TEST_DMABUF_FENCE	_IOW('T', 7, struct test_dmabuf_fence)
#define TEST_DMABUF_STATE	_IOR('T', 8, struct test_dmabuf_state)
/* An importer that was stuck is not any more, and is like NEVER. */
#define TEST_DMABUF_RECOVER	_IO('T', 9)
/*
 * Returns a sync_file, as a user may have it of any driver. It signals with
 * TEST_DMABUF_SIGNAL, the next TEST_DMABUF_SYNC_FILE or the close of the importer.
 */
#define TEST_DMABUF_SYNC_FILE	_IO('T', 10)
#define TEST_DMABUF_SIGNAL	_IO('T', 11)

#endif
