// SPDX-License-Identifier: GPL-2.0-only
/* ioeventfds: writes to a BAR that the kernel makes when told by an eventfd. */
#include <string.h>

#include "vfio_pci_irq.h"

#define IOEVENTFDS_MAX	1000

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

TEST_HARNESS_MAIN
