// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration and DMA logging as the core presents them to a driver that has
 * them: the mtty sample, whose whole state is what its serial ports hold.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/serial_reg.h>
#include <sys/ioctl.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"

#define UUID "2ab5d2a6-52b5-45f2-a4a8-4d2c0b1e0003"

#define ERROR VFIO_DEVICE_STATE_ERROR
#define STOP VFIO_DEVICE_STATE_STOP
#define RUNNING VFIO_DEVICE_STATE_RUNNING
#define STOP_COPY VFIO_DEVICE_STATE_STOP_COPY
#define RESUMING VFIO_DEVICE_STATE_RESUMING
#define RUNNING_P2P VFIO_DEVICE_STATE_RUNNING_P2P
#define PRE_COPY VFIO_DEVICE_STATE_PRE_COPY
#define PRE_COPY_P2P VFIO_DEVICE_STATE_PRE_COPY_P2P

#define UNTOUCHED 0x55aa

FIXTURE(mig)
{
	struct vfio_dev d;
};

FIXTURE_SETUP(mig)
{
	vfio_dev_init(&self->d);
	if (vfio_mtty_load())
		SKIP(return, "the mtty sample is not here");
	vfio_mtty_destroy(UUID);
	ASSERT_EQ(0, vfio_mtty_create("mtty-1", UUID));
	ASSERT_EQ(0, vfio_dev_open_named(&self->d, UUID, vfio_mtty_group(UUID),
					 VFIO_TYPE1v2_IOMMU, NULL));
}

FIXTURE_TEARDOWN(mig)
{
	vfio_dev_close(&self->d);
	vfio_mtty_destroy(UUID);
}

static int feature(const struct vfio_dev *d, uint32_t flags, void *data,
		   size_t len)
{
	struct vfio_device_feature *f;
	int ret;

	f = calloc(1, sizeof(*f) + len);
	f->argsz = sizeof(*f) + len;
	f->flags = flags;
	memcpy(f->data, data, len);
	ret = vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, f);
	memcpy(data, f->data, len);
	free(f);
	return ret;
}

static int set_state(const struct vfio_dev *d, uint32_t state, int *fd)
{
	struct vfio_device_feature_mig_state s = {
		.device_state = state,
		.data_fd = UNTOUCHED,
	};
	int ret;

	ret = feature(d, VFIO_DEVICE_FEATURE_SET |
		      VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &s, sizeof(s));
	*fd = s.data_fd;
	return ret;
}

static int get_state(const struct vfio_dev *d)
{
	struct vfio_device_feature_mig_state s = { .data_fd = UNTOUCHED };
	int ret;

	ret = feature(d, VFIO_DEVICE_FEATURE_GET |
		      VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &s, sizeof(s));
	if (ret)
		return ret;
	return s.data_fd == -1 ? (int)s.device_state : -EBADFD;
}

TEST_F(mig, flags)
{
	const uint32_t id = VFIO_DEVICE_FEATURE_MIGRATION;
	const uint32_t probe = id | VFIO_DEVICE_FEATURE_PROBE;
	struct vfio_device_feature_migration mig = {};

	ASSERT_EQ(0, feature(&self->d, id | VFIO_DEVICE_FEATURE_GET, &mig,
			     sizeof(mig)));
	ASSERT_EQ(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P |
		  VFIO_MIGRATION_PRE_COPY, mig.flags);
	ASSERT_EQ(-EINVAL, feature(&self->d, id | VFIO_DEVICE_FEATURE_GET,
				   &mig, 4));
	ASSERT_EQ(-EINVAL, feature(&self->d, id | VFIO_DEVICE_FEATURE_SET,
				   &mig, sizeof(mig)));
	ASSERT_EQ(0, feature(&self->d, probe, &mig, 0));
	ASSERT_EQ(0, feature(&self->d, probe | VFIO_DEVICE_FEATURE_GET, &mig,
			     0));
	ASSERT_EQ(-EINVAL, feature(&self->d, probe | VFIO_DEVICE_FEATURE_SET,
				   &mig, 0));
}

TEST_F(mig, bad_states)
{
	static const uint32_t bad[] = {
		ERROR, 8, 9, 255, 256, 0x7fffffff, 0x80000001, 0xffffffff,
	};
	const uint32_t id = VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
	struct vfio_device_feature_mig_state s = {};
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ(-EINVAL, set_state(&self->d, bad[i], &fd));
		ASSERT_EQ(RUNNING, get_state(&self->d));
	}
	for (i = 0; i < sizeof(s); i++) {
		ASSERT_EQ(-EINVAL, feature(&self->d, id |
					   VFIO_DEVICE_FEATURE_GET, &s, i));
		ASSERT_EQ(-EINVAL, feature(&self->d, id |
					   VFIO_DEVICE_FEATURE_SET, &s, i));
	}
}

/* Bring the device to @state from whatever it is in; a file may come of it. */
static int go_to(const struct vfio_dev *d, uint32_t state, int *fd)
{
	int unused;

	/* A half-resumed device can only be reset. */
	if (set_state(d, RUNNING, &unused))
		vfio_ioctl(d->device, VFIO_DEVICE_RESET);
	*fd = -1;
	return state == RUNNING ? 0 : set_state(d, state, fd);
}

/* Does a transfer start on the way to @to, and which way leads there? */
static bool gives_file(uint32_t from, uint32_t to)
{
	if (from == to)
		return false;
	if (to == STOP_COPY || to == RESUMING)
		return true;
	if (to == PRE_COPY || to == PRE_COPY_P2P)
		return from != PRE_COPY && from != PRE_COPY_P2P;
	return false;
}

static bool is_transfer(uint32_t state)
{
	return state == PRE_COPY || state == PRE_COPY_P2P;
}

/* Every pair of states, those that are several arcs apart included. */
TEST_F(mig, all_pairs)
{
	uint32_t from, to;
	int fd, fd2, ret;

	for (from = STOP; from <= PRE_COPY_P2P; from++) {
		/* Leaving it needs data; a test of its own has that. */
		if (from == RESUMING)
			continue;
		for (to = STOP; to <= PRE_COPY_P2P; to++) {
			ret = go_to(&self->d, from, &fd);
			ASSERT_EQ(0, ret);
			ASSERT_EQ(from, get_state(&self->d));
			ret = set_state(&self->d, to, &fd2);
			if (from == STOP_COPY && is_transfer(to)) {
				/* It has stopped: too late for pre-copy. */
				ASSERT_EQ(-EINVAL, ret);
				ASSERT_EQ(from, get_state(&self->d));
			} else {
				ASSERT_EQ(0, ret) {
					TH_LOG("from %u to %u", from, to);
				}
				ASSERT_EQ(to, get_state(&self->d));
			}
			if (!ret && gives_file(from, to) &&
			    !(is_transfer(from) && to == STOP_COPY)) {
				ASSERT_LE(0, fd2) {
					TH_LOG("from %u to %u", from, to);
				}
				ASSERT_NE(UNTOUCHED, fd2);
				close(fd2);
			} else {
				ASSERT_EQ(-1, fd2) {
					TH_LOG("from %u to %u", from, to);
				}
			}
			if (fd >= 0)
				close(fd);
		}
	}
}

static ssize_t read_all(int fd, uint8_t *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while ((n = read(fd, buf + done, len - done)) > 0)
		done += n;
	return n < 0 ? -errno : (ssize_t)done;
}

static void put_byte(const struct vfio_dev *d, uint8_t byte)
{
	vfio_region_write(d, 0, UART_TX, &byte, 1);
}

static int get_byte(const struct vfio_dev *d)
{
	uint8_t status = 0, byte = 0;

	vfio_region_read(d, 0, UART_LSR, &status, 1);
	if (!(status & UART_LSR_DR))
		return -1;
	vfio_region_read(d, 0, UART_RX, &byte, 1);
	return byte;
}

/* What was in the port when it was saved is in it after it was restored. */
TEST_F(mig, save_and_restore)
{
	struct vfio_device_feature_mig_data_size size = {};
	uint8_t state[4096];
	ssize_t len;
	int fd;

	put_byte(&self->d, 'a');
	put_byte(&self->d, 'b');
	ASSERT_EQ(0, feature(&self->d, VFIO_DEVICE_FEATURE_GET |
			     VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size,
			     sizeof(size)));
	ASSERT_EQ(0, set_state(&self->d, STOP_COPY, &fd));
	ASSERT_LE(0, fd);
	len = read_all(fd, state, sizeof(state));
	ASSERT_EQ(size.stop_copy_length, len);
	ASSERT_EQ(0, close(fd));

	ASSERT_EQ(0, set_state(&self->d, RUNNING, &fd));
	ASSERT_EQ(-1, fd);
	ASSERT_EQ('a', get_byte(&self->d));
	ASSERT_EQ('b', get_byte(&self->d));
	ASSERT_EQ(-1, get_byte(&self->d));
	ASSERT_EQ(0, set_state(&self->d, RESUMING, &fd));
	ASSERT_LE(0, fd);
	ASSERT_EQ(len, write(fd, state, len));
	ASSERT_EQ(0, close(fd));
	ASSERT_EQ(0, set_state(&self->d, RUNNING, &fd));
	ASSERT_EQ('a', get_byte(&self->d));
	ASSERT_EQ('b', get_byte(&self->d));
	ASSERT_EQ(-1, get_byte(&self->d));
}

/* Without all of the data it cannot run; a reset gets it out of there. */
TEST_F(mig, incomplete_restore)
{
	int fd;

	ASSERT_EQ(0, set_state(&self->d, RESUMING, &fd));
	close(fd);
	ASSERT_EQ(-EINVAL, set_state(&self->d, STOP, &fd));
	ASSERT_EQ(-1, fd);
	ASSERT_EQ(RESUMING, get_state(&self->d));
	ASSERT_EQ(-EINVAL, set_state(&self->d, STOP_COPY, &fd));
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
	ASSERT_EQ(RUNNING, get_state(&self->d));
}

/* A file that its session has left behind is dead but can be closed. */
TEST_F(mig, stale_file)
{
	uint8_t buf[64];
	int fd, next;

	ASSERT_EQ(0, set_state(&self->d, STOP_COPY, &fd));
	ASSERT_LT(0, read(fd, buf, 1));
	ASSERT_EQ(0, set_state(&self->d, RUNNING, &next));
	ASSERT_EQ(-1, read(fd, buf, 1));
	ASSERT_EQ(ENODEV, errno);
	/* It may even outlive the device file. */
	vfio_dev_close(&self->d);
	ASSERT_EQ(-1, read(fd, buf, 1));
	ASSERT_EQ(0, close(fd));
}

TEST_F(mig, precopy_info)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };
	int fd, next;

	ASSERT_EQ(0, set_state(&self->d, PRE_COPY, &fd));
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	ASSERT_LT(0, info.initial_bytes);
	info.argsz = 8;
	ASSERT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	ASSERT_EQ(0, set_state(&self->d, STOP_COPY, &next));
	ASSERT_EQ(-1, next);
	info.argsz = sizeof(info);
	ASSERT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	close(fd);
}

/* When no descriptor is left, the state may change but no file leaks. */
TEST_F(mig, no_descriptor_left)
{
	int fds[2048];
	int n = 0, fd, i;

	while (n < 2048 && (fds[n] = dup(0)) >= 0)
		n++;
	ASSERT_NE(0, set_state(&self->d, STOP_COPY, &fd));
	for (i = 0; i < n; i++)
		close(fds[i]);
	ASSERT_EQ(0, go_to(&self->d, STOP_COPY, &fd));
	close(fd);
}

static int log_start(const struct vfio_dev *d, uint64_t page_size,
		     struct vfio_device_feature_dma_logging_range *ranges,
		     uint32_t num)
{
	struct vfio_device_feature_dma_logging_control ctl = {
		.page_size = page_size,
		.num_ranges = num,
		.ranges = (uintptr_t)ranges,
	};

	return feature(d, VFIO_DEVICE_FEATURE_SET |
		       VFIO_DEVICE_FEATURE_DMA_LOGGING_START, &ctl,
		       sizeof(ctl));
}

static int log_stop(const struct vfio_dev *d)
{
	char none;

	return feature(d, VFIO_DEVICE_FEATURE_SET |
		       VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, &none, 0);
}

static int log_report(const struct vfio_dev *d, uint64_t iova, uint64_t length,
		      uint64_t page_size)
{
	uint64_t bitmap[64] = {};
	struct vfio_device_feature_dma_logging_report report = {
		.iova = iova,
		.length = length,
		.page_size = page_size,
		.bitmap = (uintptr_t)bitmap,
	};

	return feature(d, VFIO_DEVICE_FEATURE_GET |
		       VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, &report,
		       sizeof(report));
}

TEST_F(mig, logging_ranges)
{
	struct vfio_device_feature_dma_logging_range r[2] = {
		{ .iova = 0x100000, .length = 0x10000 },
		{ .iova = 0, .length = 0x1000 },
	};
	uint64_t pair[4] = {};

	ASSERT_EQ(0, log_start(&self->d, 4096, r, 2));
	ASSERT_EQ(0, log_stop(&self->d));
	ASSERT_EQ(0, log_start(&self->d, 4096, r, 1));
	ASSERT_EQ(0, log_stop(&self->d));

	ASSERT_EQ(-EINVAL, log_start(&self->d, 4096, r, 0));
	ASSERT_EQ(-EINVAL, log_start(&self->d, 0, r, 2));
	ASSERT_EQ(-EFAULT, log_start(&self->d, 4096, NULL, 2));
	ASSERT_EQ(-E2BIG, log_start(&self->d, 4096, r, 0x10000));
	ASSERT_EQ(-E2BIG, log_start(&self->d, 4096, r, ~0u));

	/* Not a whole number of pages. */
	r[0].iova = 0x100010;
	ASSERT_EQ(-EINVAL, log_start(&self->d, 4096, r, 2));
	r[0].iova = 0x100000;
	r[0].length = 0x10;
	ASSERT_EQ(-EINVAL, log_start(&self->d, 4096, r, 2));
	/* One inside the other. */
	r[0].length = 0x10000;
	r[1].iova = 0x108000;
	ASSERT_EQ(-EINVAL, log_start(&self->d, 4096, r, 2));
	/* Over the end. */
	r[1].iova = -4096ull;
	r[1].length = 0x2000;
	ASSERT_EQ(-EOVERFLOW, log_start(&self->d, 4096, r, 2));
	r[1].length = 0x1000;
	ASSERT_EQ(-EOVERFLOW, log_start(&self->d, 4096, r, 2));

	ASSERT_EQ(-EINVAL, feature(&self->d, VFIO_DEVICE_FEATURE_SET |
				   VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
				   pair, 8));
	ASSERT_EQ(-EINVAL, feature(&self->d, VFIO_DEVICE_FEATURE_GET |
				   VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
				   pair, sizeof(pair)));
}

TEST_F(mig, logging_report)
{
	struct vfio_device_feature_dma_logging_range r = {
		.iova = 0, .length = 0x10000,
	};
	uint64_t args[4] = {};

	ASSERT_EQ(0, log_start(&self->d, 4096, &r, 1));
	ASSERT_EQ(-EINVAL, log_report(&self->d, 0, 0x10000, 0));
	ASSERT_EQ(-EINVAL, log_report(&self->d, 0, 0x10000, 3000));
	ASSERT_EQ(-EINVAL, log_report(&self->d, 0, 0x10000, 2048));
	ASSERT_EQ(-EOVERFLOW, log_report(&self->d, -4096ull, 0x2000, 4096));
	ASSERT_EQ(-EINVAL, feature(&self->d, VFIO_DEVICE_FEATURE_SET |
				   VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
				   args, sizeof(args)));
	ASSERT_EQ(-EINVAL, feature(&self->d, VFIO_DEVICE_FEATURE_GET |
				   VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
				   args, 16));
	ASSERT_EQ(0, log_stop(&self->d));
}

TEST_HARNESS_MAIN
