// SPDX-License-Identifier: GPL-2.0-only
/* ioeventfds: writes to a BAR that the kernel makes when told by an eventfd. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_pci_irq.h"

#define IOEVENTFDS_MAX	1000
#define PAGE		4096

/* Device memory takes an unaligned access on few machines. */
#ifdef __x86_64__
#define UNALIGNED	0
#else
#define UNALIGNED	(-EINVAL)
#endif

static int ioeventfd(const struct vfio_dev *d, uint32_t flags,
		     uint64_t offset, uint64_t data, int fd)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.offset = offset,
		.data = data,
		.fd = fd,
	};

	return vfio_ioctl(d->device, VFIO_DEVICE_IOEVENTFD, &arg);
}

static uint64_t region_offset(const struct vfio_dev *d, uint32_t index)
{
	struct vfio_region_info info;

	return vfio_region_info(d, index, &info) ? ~0ull : info.offset;
}

/* The write may be left to a worker, so it takes a while. */
static bool reads_soon(const struct vfio_dev *d, uint32_t index, uint64_t reg,
		       uint32_t want)
{
	uint64_t end = vfio_now_ms() + SOON_MS;

	do {
		if (reg_read(d, index, reg) == want)
			return true;
		usleep(1000);
	} while (vfio_now_ms() < end);
	return false;
}

FIXTURE(edu) {
	struct vfio_dev d;
	int efd;
	int efd2;
};

#define VFIO_FIXTURE edu
#include "vfio_each_mode.h"

FIXTURE_SETUP(edu)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, EDU, variant->mode);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	self->efd = vfio_eventfd();
	self->efd2 = vfio_eventfd();
	ASSERT_LE(0, self->efd);
	ASSERT_LE(0, self->efd2);
}

FIXTURE_TEARDOWN(edu)
{
	vfio_dev_close(&self->d);
	close(self->efd);
	close(self->efd2);
}

TEST_F(edu, write)
{
	uint64_t live = region_offset(&self->d, 0) + EDU_LIVE;
	uint32_t flags = VFIO_DEVICE_IOEVENTFD_32;
	int klog = vfio_klog_open();

	ASSERT_LE(0, klog);
	ASSERT_EQ(0, reg_write(&self->d, 0, EDU_LIVE, 0));
	ASSERT_EQ(0, ioeventfd(&self->d, flags, live, 0x1234567, self->efd));
	EXPECT_EQ(~0u, reg_read(&self->d, 0, EDU_LIVE));
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd));
	EXPECT_TRUE(reads_soon(&self->d, 0, EDU_LIVE, ~0x1234567u));
	EXPECT_EQ(0, vfio_eventfd_drain(self->efd));

	/* The same place, another value and another eventfd. */
	ASSERT_EQ(0, ioeventfd(&self->d, flags, live, 0x55, self->efd2));
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd2));
	EXPECT_TRUE(reads_soon(&self->d, 0, EDU_LIVE, ~0x55u));
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd));
	EXPECT_TRUE(reads_soon(&self->d, 0, EDU_LIVE, ~0x1234567u));

	EXPECT_EQ(-EEXIST, ioeventfd(&self->d, flags, live, 0x55, self->efd2));
	EXPECT_EQ(-EEXIST, ioeventfd(&self->d, flags, live, 0x55, self->efd));

	/* Memory is off: the write is dropped, and not made up for later. */
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd2));
	usleep(NEVER_MS * 1000);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	EXPECT_EQ(~0x1234567u, reg_read(&self->d, 0, EDU_LIVE));
	/* A guest may do that as often as it likes; nobody is told. */
	EXPECT_EQ(0, vfio_klog_count(klog, self->d.bdf));
	close(klog);

	/* Undone, the eventfd is an ordinary one again. */
	ASSERT_EQ(0, ioeventfd(&self->d, flags, live, 0x55, -1));
	EXPECT_EQ(-ENODEV, ioeventfd(&self->d, flags, live, 0x55, -1));
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd2));
	usleep(NEVER_MS * 1000);
	EXPECT_EQ(~0x1234567u, reg_read(&self->d, 0, EDU_LIVE));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd2));

	/* Closing the eventfd does not undo it. */
	close(self->efd);
	usleep(NEVER_MS * 1000);
	self->efd = vfio_eventfd();
	EXPECT_EQ(-EEXIST, ioeventfd(&self->d, flags, live, 0x1234567,
				     self->efd));
	ASSERT_EQ(0, ioeventfd(&self->d, flags, live, 0x1234567, -1));
	ASSERT_EQ(0, ioeventfd(&self->d, flags, live, 0x1234567, self->efd));
}

/* An interrupt that rings a doorbell of the device, without the user. */
TEST_F(edu, on_interrupt)
{
	uint64_t bar = region_offset(&self->d, 0);

	ASSERT_EQ(0, reg_write(&self->d, 0, EDU_LIVE, 0));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd));
	ASSERT_EQ(0, ioeventfd(&self->d, VFIO_DEVICE_IOEVENTFD_32,
			       bar + EDU_LIVE, 0xabc, self->efd));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_TRUE(reads_soon(&self->d, 0, EDU_LIVE, ~0xabcu));
	ASSERT_EQ(0, edu_ack(&self->d));
}

TEST_F(edu, bad_arguments)
{
	uint64_t bar = region_offset(&self->d, 0);
	uint64_t end = bar + vfio_region_size(&self->d, 0);
	uint64_t cfg = region_offset(&self->d, VFIO_PCI_CONFIG_REGION_INDEX);
	uint64_t rom = region_offset(&self->d, VFIO_PCI_ROM_REGION_INDEX);
	struct vfio_device_ioeventfd arg = {
		.flags = VFIO_DEVICE_IOEVENTFD_32, .offset = bar, .fd = -1,
	};
	const struct {
		uint32_t flags;
		uint64_t offset;
		int fd;
		int want;
	} calls[] = {
		{ 0, bar, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_8 | VFIO_DEVICE_IOEVENTFD_16, bar,
		  self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_SIZE_MASK, bar, self->efd, -EINVAL },
		{ 1u << 4, bar, self->efd, -EINVAL },
		{ 1u << 31 | VFIO_DEVICE_IOEVENTFD_32, bar, self->efd,
		  -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, cfg, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, rom, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, 1ull << 40, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, 1ull << 62, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, end, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, end - 2, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_16, end - 1, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_64, end - 4, self->efd, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, bar, -2, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, bar, -1, -ENODEV },
		{ VFIO_DEVICE_IOEVENTFD_32, bar, CLOSED_FD, -EBADF },
		{ VFIO_DEVICE_IOEVENTFD_32, bar, self->d.device, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, end - 4, self->efd, 0 },
		{ VFIO_DEVICE_IOEVENTFD_8, end - 1, self->efd, 0 },
		/* From one page to the next. */
		{ VFIO_DEVICE_IOEVENTFD_16, bar + PAGE - 1, self->efd,
		  -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, bar + PAGE - 1, self->efd,
		  -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, bar + PAGE - 2, self->efd,
		  -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_64, bar + PAGE - 4, self->efd,
		  -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_64, bar + PAGE - 4, -1, -EINVAL },
		{ VFIO_DEVICE_IOEVENTFD_32, bar + PAGE - 4, self->efd, 0 },
		{ VFIO_DEVICE_IOEVENTFD_16, bar + 1, self->efd, UNALIGNED },
		{ VFIO_DEVICE_IOEVENTFD_32, bar + 2, self->efd, UNALIGNED },
		{ VFIO_DEVICE_IOEVENTFD_64, bar + PAGE - 12, self->efd,
		  UNALIGNED },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(calls[i].want,
			  ioeventfd(&self->d, calls[i].flags, calls[i].offset,
				    0, calls[i].fd)) {
			TH_LOG("call %u", i);
		}
	}

	for (i = 0; i < offsetof(struct vfio_device_ioeventfd, fd) + 4; i++) {
		arg.argsz = i;
		EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device,
					      VFIO_DEVICE_IOEVENTFD, &arg));
	}
	arg.argsz = i;
	EXPECT_EQ(-ENODEV, vfio_ioctl(self->d.device, VFIO_DEVICE_IOEVENTFD,
				      &arg));
	EXPECT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_IOEVENTFD,
				      NULL));
}

TEST_F(edu, limit)
{
	uint64_t bar = region_offset(&self->d, 0);
	uint32_t flags = VFIO_DEVICE_IOEVENTFD_32;
	int i;

	for (i = 0; i < IOEVENTFDS_MAX; i++)
		ASSERT_EQ(0, ioeventfd(&self->d, flags, bar + EDU_LIVE, i,
				       self->efd));
	EXPECT_EQ(-ENOSPC, ioeventfd(&self->d, flags, bar + EDU_LIVE, i,
				     self->efd));
	EXPECT_EQ(-EEXIST, ioeventfd(&self->d, flags, bar + EDU_LIVE, 7,
				     self->efd));
	ASSERT_EQ(0, ioeventfd(&self->d, flags, bar + EDU_LIVE, 7, -1));
	ASSERT_EQ(0, ioeventfd(&self->d, flags, bar + EDU_LIVE, i, self->efd));

	/* The last close gets rid of them. */
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	EXPECT_EQ(0, ioeventfd(&self->d, flags, bar + EDU_LIVE, 0, self->efd));
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd));
}

/* Closes what it is given. */
struct closer {
	atomic_int fd;		/* -1: the last one is closed */
	atomic_bool stop;
};

static void *close_eventfds(void *arg)
{
	struct closer *c = arg;
	int fd;

	while (!c->stop) {
		fd = c->fd;
		if (fd < 0)
			continue;
		close(fd);
		c->fd = -1;
	}
	return NULL;
}

/* An eventfd is closed while its ioeventfd writes, and is undone. */
TEST_F(edu, closed_and_undone)
{
	uint64_t live = region_offset(&self->d, 0) + EDU_LIVE;
	uint32_t flags = VFIO_DEVICE_IOEVENTFD_32;
	uint64_t end = vfio_now_ms() + 1500;
	struct closer c = { .fd = -1 };
	pthread_t thread;
	int i, fd;

	ASSERT_EQ(0, pthread_create(&thread, NULL, close_eventfds, &c));
	for (i = 0; vfio_now_ms() < end; i++) {
		fd = vfio_eventfd();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ioeventfd(&self->d, flags, live, i, fd));
		ASSERT_EQ(0, vfio_eventfd_signal(fd));
		c.fd = fd;
		if (i % 4)
			sched_yield();
		ASSERT_EQ(0, ioeventfd(&self->d, flags, live, i, -1));
		while (c.fd >= 0)
			;
	}
	c.stop = true;
	pthread_join(thread, NULL);
	ASSERT_EQ(0, reg_write(&self->d, 0, EDU_LIVE, 5));
	EXPECT_EQ(~5u, reg_read(&self->d, 0, EDU_LIVE));
}

TEST(widths)
{
	static const uint32_t widths[] = { 1, 2, 4, 8 };
	const uint64_t data = 0x8877665544332211ull;
	uint64_t value, ones = ~0ull, bar, want;
	struct vfio_dev d;
	unsigned int i;
	int efd;

	VFIO_DEV_OPEN_OR_SKIP(&d, IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_command(&d, PCI_COMMAND_MEMORY, 0));
	bar = region_offset(&d, 2);
	efd = vfio_eventfd();
	for (i = 0; i < ARRAY_SIZE(widths); i++) {
		ASSERT_EQ(8, vfio_region_write(&d, 2, 4096 * i, &ones, 8));
		/* The width's flag is its size in bytes. */
		ASSERT_EQ(0, ioeventfd(&d, widths[i], bar + 4096 * i, data,
				       efd));
	}
	ASSERT_EQ(0, vfio_eventfd_signal(efd));
	usleep(NEVER_MS * 1000);
	for (i = 0; i < ARRAY_SIZE(widths); i++) {
		want = ones;
		memcpy(&want, &data, widths[i]);
		ASSERT_EQ(8, vfio_region_read(&d, 2, 4096 * i, &value, 8));
		EXPECT_EQ(want, value);
	}
	close(efd);
	vfio_dev_close(&d);
}

/* The MSI-X table is not for the user to write, I/O ports are. */
TEST(table_and_ports)
{
	uint32_t flags = VFIO_DEVICE_IOEVENTFD_32;
	uint32_t table, size;
	uint64_t bar, io;
	struct vfio_dev d;
	int cap, efd;

	VFIO_DEV_OPEN_OR_SKIP(&d, E1000E, VFIO_TYPE1v2_IOMMU);
	efd = vfio_eventfd();
	cap = vfio_cfg_cap(&d, PCI_CAP_ID_MSIX);
	ASSERT_NE(0, cap);
	table = vfio_cfg_read32(&d, cap + PCI_MSIX_TABLE);
	size = E1000E_VECTORS * PCI_MSIX_ENTRY_SIZE;
	bar = region_offset(&d, table & PCI_MSIX_TABLE_BIR);
	table &= PCI_MSIX_TABLE_OFFSET;
	EXPECT_EQ(-EINVAL, ioeventfd(&d, flags, bar + table, 0,
				     efd));
	EXPECT_EQ(-EINVAL, ioeventfd(&d, flags, bar + table + size - 4,
				     0, efd));
	EXPECT_EQ(-EINVAL, ioeventfd(&d, flags, bar + table + size - 2,
				     0, efd));
	EXPECT_EQ(0, ioeventfd(&d, flags, bar + table + size, 0,
			       efd));

	io = region_offset(&d, 2);
	ASSERT_EQ(0, vfio_cfg_command(&d, PCI_COMMAND_IO, 0));
	ASSERT_EQ(0, reg_write(&d, 2, 0, 0));
	ASSERT_EQ(0, ioeventfd(&d, flags, io, 0x8, efd));
	ASSERT_EQ(0, vfio_eventfd_signal(efd));
	EXPECT_TRUE(reads_soon(&d, 2, 0, 0x8));
	close(efd);
	vfio_dev_close(&d);
}

/*
 * Two users who have nothing to do with each other. One of them resets its
 * device again and again, which takes 100 ms, and rings its doorbells meanwhile.
 */
#define ROUNDS		21
#define NOTICED_MS	25

FIXTURE(neighbour) {
	struct vfio_dev resets;
	struct vfio_dev d;
	int rings;
	int efd;
	int unmask;
	atomic_bool stop;
	pthread_t reset_thread;
};

FIXTURE_SETUP(neighbour)
{
	cpu_set_t one;

	/* A workqueue that has a queue for each CPU has one for both users. */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));

	VFIO_DEV_OPEN_OR_SKIP(&self->resets, NVME, VFIO_TYPE1v2_IOMMU);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, EDU, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_command(&self->resets, PCI_COMMAND_MEMORY,
				      0));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER,
				      PCI_COMMAND_INTX_DISABLE));
	self->rings = vfio_eventfd();
	self->efd = vfio_eventfd();
	self->unmask = vfio_eventfd();
	ASSERT_LE(0, self->rings);
	ASSERT_LE(0, self->efd);
	ASSERT_LE(0, self->unmask);
	ASSERT_EQ(0, edu_ack(&self->d));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
}

FIXTURE_TEARDOWN(neighbour)
{
	vfio_dev_close(&self->resets);
	vfio_dev_close(&self->d);
	close(self->rings);
	close(self->efd);
	close(self->unmask);
}

#define NEIGHBOUR FIXTURE_DATA(neighbour)

static void *reset_again_and_again(void *arg)
{
	NEIGHBOUR *self = arg;

	while (!self->stop)
		if (vfio_ioctl(self->resets.device, VFIO_DEVICE_RESET, NULL))
			return (void *)1;
	return NULL;
}

/* A register of the controller that does nothing while it is off. */
static uint64_t nvme_aqa(const NEIGHBOUR *self)
{
	return region_offset(&self->resets, 0) + 0x24;
}

/* An ioeventfd that rings and ends, in either way. */
static void *ring_and_end(void *arg)
{
	NEIGHBOUR *self = arg;
	unsigned int i;
	int fd;

	for (i = 0; !self->stop; i++) {
		fd = vfio_eventfd();
		if (ioeventfd(&self->resets, VFIO_DEVICE_IOEVENTFD_32,
			      nvme_aqa(self), 0, fd))
			return (void *)1;
		vfio_eventfd_signal(fd);
		if (i % 2)
			close(fd);
		if (ioeventfd(&self->resets, VFIO_DEVICE_IOEVENTFD_32,
			      nvme_aqa(self), 0, -1))
			return (void *)1;
		if (!(i % 2))
			close(fd);
	}
	return NULL;
}

static int compare_times(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int usual_ms(int *ms)
{
	qsort(ms, ROUNDS, sizeof(*ms), compare_times);
	fprintf(stderr, "# least, median, most: %d %d %d ms\n", ms[0],
		ms[ROUNDS / 2], ms[ROUNDS - 1]);
	return ms[ROUNDS / 2];
}

static int set_unmask(const struct vfio_dev *d, int32_t fd)
{
	return vfio_irq_set(d, EVENTFD | UNMASK, INTX, 0, 1, &fd, sizeof(fd));
}

/* To unbind an eventfd waits for no other device. */
TEST_F(neighbour, unbinds)
{
	int ms[ROUNDS], i;
	pthread_t ringer;
	uint64_t start;
	void *failed;

	ASSERT_EQ(0, pthread_create(&self->reset_thread, NULL,
				    reset_again_and_again, self));
	ASSERT_EQ(0, pthread_create(&ringer, NULL, ring_and_end, self));
	for (i = 0; i < ROUNDS; i++) {
		usleep(10000);
		ASSERT_EQ(0, set_unmask(&self->d, self->unmask));
		start = vfio_now_ms();
		ASSERT_EQ(0, set_unmask(&self->d, -1));
		ms[i] = vfio_now_ms() - start;
	}
	self->stop = true;
	pthread_join(self->reset_thread, &failed);
	EXPECT_EQ(NULL, failed);
	pthread_join(ringer, &failed);
	EXPECT_EQ(NULL, failed);
	EXPECT_GT(NOTICED_MS, usual_ms(ms));
}

/* Nor does an interrupt that the kernel signals again. */
TEST_F(neighbour, is_interrupted)
{
	int ms[ROUNDS], i;
	uint64_t start;
	void *failed;

	for (i = 0; i < IOEVENTFDS_MAX; i++)
		ASSERT_EQ(0, ioeventfd(&self->resets, VFIO_DEVICE_IOEVENTFD_32,
				       nvme_aqa(self), i, self->rings));
	ASSERT_EQ(0, set_unmask(&self->d, self->unmask));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, pthread_create(&self->reset_thread, NULL,
				    reset_again_and_again, self));
	for (i = 0; i < ROUNDS; i++) {
		usleep(10000);
		ASSERT_EQ(0, vfio_eventfd_signal(self->rings));
		start = vfio_now_ms();
		ASSERT_EQ(0, vfio_eventfd_signal(self->unmask));
		ASSERT_EQ(0, vfio_eventfd_wait(self->efd, 10 * SOON_MS, NULL));
		ms[i] = vfio_now_ms() - start;
	}
	self->stop = true;
	pthread_join(self->reset_thread, &failed);
	EXPECT_EQ(NULL, failed);
	ASSERT_EQ(0, edu_ack(&self->d));
	EXPECT_GT(NOTICED_MS, usual_ms(ms));
}

TEST_HARNESS_MAIN
