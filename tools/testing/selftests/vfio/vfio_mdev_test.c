// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device without hardware: the mtty sample, a serial port that hears itself.
 * It brings the parts of the core that vfio-pci does not use: emulated IOMMU,
 * names and removal without a bus of their own. Its migration has a test of its
 * own.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/serial_reg.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define UUID "2ab5d2a6-52b5-45f2-a4a8-4d2c0b1e0001"
#define UUID2 "2ab5d2a6-52b5-45f2-a4a8-4d2c0b1e0002"

FIXTURE(mdev)
{
	struct vfio_dev d;
	int available;
	int group_id;
};

FIXTURE_VARIANT(mdev)
{
	const char *type;
	int ports;
	int mode;
};

FIXTURE_VARIANT_ADD(mdev, one_port) { .type = "mtty-1", .ports = 1 };
FIXTURE_VARIANT_ADD(mdev, two_ports) { .type = "mtty-2", .ports = 2 };

VFIO_OTHER_MODES(mdev, one_port, .type = "mtty-1", .ports = 1);

FIXTURE_SETUP(mdev)
{
	int ret;

	vfio_dev_init(&self->d);
	if (vfio_mtty_load())
		SKIP(return, "the mtty sample is not here");
	vfio_mtty_destroy(UUID);
	self->available = vfio_mtty_available(variant->type);
	ASSERT_LT(0, self->available);
	ASSERT_EQ(0, vfio_mtty_create(variant->type, UUID));
	self->group_id = vfio_mtty_group(UUID);
	ASSERT_LE(0, self->group_id);
	ret = vfio_dev_open_named(&self->d, UUID, self->group_id, variant->mode,
				  NULL);
	VFIO_SKIP_WITHOUT_MODE(variant->mode, ret);
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(mdev)
{
	vfio_dev_close(&self->d);
	vfio_mtty_destroy(UUID);
}

static uint8_t uart_read(const struct vfio_dev *d, int port, int reg)
{
	uint8_t value = 0xff;

	vfio_region_read(d, port, reg, &value, 1);
	return value;
}

static void uart_write(const struct vfio_dev *d, int port, int reg,
		       uint8_t value)
{
	vfio_region_write(d, port, reg, &value, 1);
}

TEST_F(mdev, info)
{
	struct vfio_device_info info;
	struct vfio_region_info region;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	ASSERT_EQ(VFIO_DEVICE_FLAGS_PCI, info.flags);
	ASSERT_EQ(VFIO_PCI_NUM_REGIONS, info.num_regions);
	ASSERT_EQ(VFIO_PCI_NUM_IRQS, info.num_irqs);
	ASSERT_EQ(0, vfio_region_info(&self->d, 0, &region));
	ASSERT_EQ(8, region.size);
	ASSERT_EQ(0, vfio_region_info(&self->d, 1, &region));
	ASSERT_EQ(variant->ports == 2 ? 8 : 0, region.size);
	ASSERT_EQ(-EINVAL, vfio_region_info(&self->d, 9, &region));
	ASSERT_EQ(0x32534348, vfio_cfg_read32(&self->d, 0));
	ASSERT_EQ(0x07, vfio_cfg_read8(&self->d, 0x0b));
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.device, _IO(VFIO_TYPE, 200)));
}

TEST_F(mdev, no_mmap)
{
	void *p;

	ASSERT_EQ(-EINVAL, vfio_mmap(self->d.device, 4096, PROT_READ,
				     MAP_SHARED, 0, &p));
}

TEST_F(mdev, loopback)
{
	static const char text[] = "to be or not";
	int port;
	size_t i;

	for (port = 0; port < variant->ports; port++) {
		ASSERT_FALSE(uart_read(&self->d, port, UART_LSR) &
			     UART_LSR_DR);
		for (i = 0; i < sizeof(text); i++)
			uart_write(&self->d, port, UART_TX, text[i]);
		for (i = 0; i < sizeof(text); i++) {
			ASSERT_TRUE(uart_read(&self->d, port, UART_LSR) &
				    UART_LSR_DR);
			ASSERT_EQ(text[i], uart_read(&self->d, port, UART_RX));
		}
		ASSERT_FALSE(uart_read(&self->d, port, UART_LSR) &
			     UART_LSR_DR);
	}
}

/* One byte, with the receive interrupt on. */
static void send_one(const struct vfio_dev *d)
{
	uart_write(d, 0, UART_FCR, UART_FCR_ENABLE_FIFO |
		   UART_FCR_CLEAR_RCVR);
	uart_write(d, 0, UART_IER, UART_IER_RDI);
	uart_write(d, 0, UART_TX, 'x');
}

TEST_F(mdev, interrupts)
{
	int intx = vfio_eventfd(), msi = vfio_eventfd();
	struct vfio_device_info info;

	/* The sample knows its interrupts only after it was asked for this. */
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	ASSERT_LE(0, intx);
	ASSERT_LE(0, msi);
	ASSERT_EQ(1, vfio_irq_count(&self->d, VFIO_PCI_INTX_IRQ_INDEX));
	ASSERT_EQ(1, vfio_irq_count(&self->d, VFIO_PCI_MSI_IRQ_INDEX));
	ASSERT_EQ(-EINVAL, vfio_irq_count(&self->d, VFIO_PCI_MSIX_IRQ_INDEX));

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_INTX_IRQ_INDEX, 0,
				      intx));
	send_one(&self->d);
	ASSERT_EQ(0, vfio_eventfd_wait(intx, 1000, NULL));
	send_one(&self->d);
	ASSERT_EQ(-ETIMEDOUT, vfio_eventfd_wait(intx, 50, NULL));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, VFIO_PCI_INTX_IRQ_INDEX, 0, 1));
	send_one(&self->d);
	ASSERT_EQ(0, vfio_eventfd_wait(intx, 1000, NULL));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, VFIO_PCI_INTX_IRQ_INDEX));

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_MSI_IRQ_INDEX, 0,
				      msi));
	send_one(&self->d);
	ASSERT_EQ(0, vfio_eventfd_wait(msi, 1000, NULL));
	ASSERT_EQ(0, vfio_eventfd_drain(intx));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, VFIO_PCI_MSI_IRQ_INDEX, 0, 1));
	ASSERT_EQ(0, vfio_eventfd_wait(msi, 1000, NULL));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, VFIO_PCI_MSI_IRQ_INDEX));
	close(intx);
	close(msi);
}

/* The core checks what SET_IRQS is given before the driver sees it. */
TEST_F(mdev, irq_checks)
{
	const uint32_t none = VFIO_IRQ_SET_DATA_NONE;
	const uint32_t evt = VFIO_IRQ_SET_DATA_EVENTFD;
	const uint32_t trigger = VFIO_IRQ_SET_ACTION_TRIGGER;
	int32_t fd = -1;

	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, none | trigger, 5, 0, 0,
					NULL, 0));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, none | trigger, ~0u, 0, 0,
					NULL, 0));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, trigger, 0, 0, 1, NULL, 0));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, none, 0, 0, 1, NULL, 0));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, none | evt | trigger, 0, 0,
					1, &fd, 4));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, evt | trigger, 0, 0, 1,
					NULL, 0));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, evt | trigger, 0, 1, 1, &fd,
					4));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, evt | trigger, 0, ~0u, 2,
					&fd, 4));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, evt | trigger, 0, 0, ~0u,
					&fd, 4));
	ASSERT_EQ(-EINVAL, vfio_irq_set(&self->d, none | trigger | 1 << 6, 0,
					0, 0, NULL, 0));
}

/* Nothing is pinned until a driver asks, and the device joins real ones. */
TEST_F(mdev, emulated_iommu)
{
	struct vfio_iommu_type1_info *info;
	int64_t pinned = vfio_pinned_pages();
	void *mem = vfio_alloc_pages(1 << 20);
	struct vfio_dev nvme;
	int ret;

	ASSERT_EQ(0, vfio_ioctl(self->d.container, VFIO_CHECK_EXTENSION,
				VFIO_UPDATE_VADDR));
	ASSERT_EQ(0, vfio_dma_map(self->d.container, mem, 0x100000, 1 << 20));
	ASSERT_EQ(pinned, vfio_pinned_pages());
	ASSERT_EQ(-EEXIST, vfio_dma_map(self->d.container, mem, 0x100000,
					4096));
	info = vfio_iommu_info(self->d.container);
	ASSERT_NE(NULL, info);
	ASSERT_TRUE(info->flags & VFIO_IOMMU_INFO_PGSIZES);
	free(info);

	ret = vfio_dev_open_with(&nvme, VFIO_NVME, &self->d);
	if (!ret) {
		ASSERT_EQ(pinned + 256, vfio_pinned_pages());
		vfio_dev_close(&nvme);
	} else {
		ASSERT_EQ(-ENXIO, ret);
	}
	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, 0x100000, 1 << 20));
	ASSERT_EQ(pinned, vfio_pinned_pages());
}

TEST_F(mdev, names)
{
	if (self->d.group >= 0) {
		ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, UUID2));
		ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, UUID " "));
		ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, ""));
	}
	ASSERT_EQ(-EEXIST, vfio_mtty_create(variant->type, UUID));
	ASSERT_EQ(-EINVAL, vfio_mtty_create(variant->type, "no-uuid"));
}

TEST_F(mdev, create_and_remove)
{
	int i;

	vfio_dev_close(&self->d);
	ASSERT_EQ(self->available - 1, vfio_mtty_available(variant->type));
	ASSERT_EQ(0, vfio_mtty_destroy(UUID));
	ASSERT_EQ(self->available, vfio_mtty_available(variant->type));
	ASSERT_EQ(-ENOENT, vfio_mtty_group(UUID));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, vfio_mtty_create(variant->type, UUID));
		ASSERT_EQ(0, vfio_mtty_create(variant->type, UUID2));
		ASSERT_NE(vfio_mtty_group(UUID), vfio_mtty_group(UUID2));
		ASSERT_EQ(0, vfio_dev_open_named(&self->d, UUID2,
						 vfio_mtty_group(UUID2),
						 variant->mode, NULL));
		vfio_dev_close(&self->d);
		ASSERT_EQ(0, vfio_mtty_destroy(UUID));
		ASSERT_EQ(0, vfio_mtty_destroy(UUID2));
	}
	ASSERT_EQ(self->available, vfio_mtty_available(variant->type));
}

/* Removal waits for the last user. */
TEST_F(mdev, remove_while_open)
{
	int status, i;
	pid_t pid;

	pid = fork();
	if (!pid) {
		vfio_dev_close(&self->d);
		_exit(vfio_mtty_destroy(UUID) ? 1 : 0);
	}
	for (i = 0; i < 10; i++) {
		usleep(20000);
		ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
		ASSERT_EQ(0x32534348, vfio_cfg_read32(&self->d, 0));
	}
	vfio_dev_close(&self->d);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(-ENOENT, vfio_mtty_group(UUID));
	ASSERT_EQ(self->available, vfio_mtty_available(variant->type));
}

/* A user that is killed leaves the device to the next one. */
TEST_F(mdev, killed_user)
{
	int ready[2], status, i;
	char byte;
	pid_t pid;

	for (i = 0; i < 5; i++) {
		vfio_dev_close(&self->d);
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		if (!pid) {
			int fd = vfio_eventfd();

			if (vfio_dev_open_named(&self->d, UUID,
						self->group_id,
						variant->mode, NULL))
				_exit(1);
			vfio_irq_eventfd(&self->d, VFIO_PCI_INTX_IRQ_INDEX, 0,
					 fd);
			if (write(ready[1], "r", 1) != 1)
				_exit(1);
			for (;;)
				send_one(&self->d);
		}
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		close(ready[0]);
		usleep(1000 * i);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, vfio_dev_open_named(&self->d, UUID,
						 self->group_id,
						 variant->mode, NULL));
	}
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_mtty_destroy(UUID));
	ASSERT_EQ(self->available, vfio_mtty_available(variant->type));
}

TEST_HARNESS_MAIN
