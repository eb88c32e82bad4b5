// SPDX-License-Identifier: GPL-2.0-only
/* Device files: shared, passed on, reset, closed last. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

FIXTURE(file)
{
	struct vfio_dev d;
	bool can_reset;
};

#define VFIO_FIXTURE file
#include "vfio_each_device.h"

FIXTURE_SETUP(file)
{
	struct vfio_device_info info;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	self->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
}

FIXTURE_TEARDOWN(file)
{
	vfio_dev_close(&self->d);
}

/* Memory and I/O are as the driver found or made them, DMA is off. */
TEST_F(file, command_after_open)
{
	uint16_t command = vfio_cfg_read16(&self->d, PCI_COMMAND);

	ASSERT_EQ(0, command & PCI_COMMAND_MASTER);
	ASSERT_TRUE(command & PCI_COMMAND_MEMORY);
}

/* The next user finds nothing of what this one left. */
TEST_F(file, state_does_not_leak)
{
	uint16_t command, first;
	int msi;

	first = vfio_cfg_read16(&self->d, PCI_COMMAND);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MASTER |
				      PCI_COMMAND_INTX_DISABLE,
				      PCI_COMMAND_MEMORY));
	msi = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSI);
	if (msi) {
		ASSERT_EQ(0, vfio_cfg_write32(&self->d,
					      msi + PCI_MSI_ADDRESS_LO,
					      0xfee00000));
	}
	ASSERT_EQ(0, vfio_cfg_write32(&self->d, PCI_BASE_ADDRESS_0,
				      0xdead0000));
	vfio_dev_close(&self->d);

	ASSERT_EQ(0, vfio_dev_open(&self->d, variant->id, variant->mode));
	command = vfio_cfg_read16(&self->d, PCI_COMMAND);
	ASSERT_EQ(first, command);
	if (msi) {
		ASSERT_EQ(0, vfio_cfg_read32(&self->d,
					     msi + PCI_MSI_ADDRESS_LO));
	}
	ASSERT_NE(0xdead0000, vfio_cfg_read32(&self->d, PCI_BASE_ADDRESS_0) &
			      0xffff0000);
}

TEST_F(file, reset_keeps_config)
{
	uint16_t command;
	uint32_t bars[6];
	int i;

	if (!self->can_reset)
		SKIP(return, "the device has no reset");
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MASTER |
				      PCI_COMMAND_MEMORY, 0));
	command = vfio_cfg_read16(&self->d, PCI_COMMAND);
	for (i = 0; i < 6; i++) {
		bars[i] = vfio_cfg_read32(&self->d,
					  PCI_BASE_ADDRESS_0 + 4 * i);
	}
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
	/* An argument is ignored. */
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET, -1L));
	ASSERT_EQ(command, vfio_cfg_read16(&self->d, PCI_COMMAND));
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(bars[i], vfio_cfg_read32(&self->d,
						   PCI_BASE_ADDRESS_0 + 4 * i));
	}
}

TEST_F(file, many_opens)
{
	int i;

	for (i = 0; i < 5; i++) {
		close(self->d.device);
		self->d.device = vfio_dev_get_device(&self->d, self->d.bdf);
		ASSERT_LE(0, self->d.device);
		ASSERT_NE(~0u, vfio_cfg_read32(&self->d, 0));
	}
}

/* A device file works in a process that has nothing else of VFIO. */
TEST_F(file, passed_on)
{
	int sock[2], status;
	uint32_t id = vfio_cfg_read32(&self->d, 0);
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = fork();
	if (!pid) {
		struct vfio_device_info info;
		struct vfio_dev d;
		char byte;

		close(self->d.device);
		close(self->d.group);
		close(self->d.container);
		close(sock[0]);
		vfio_dev_init(&d);
		d.device = vfio_recv_fd(sock[1]);
		if (d.device < 0)
			_exit(1);
		/* By now the parent has closed all of its own. */
		if (read(sock[1], &byte, 1) != 1)
			_exit(2);
		if (vfio_dev_info(&d, &info))
			_exit(3);
		if (vfio_cfg_read32(&d, 0) != id)
			_exit(4);
		if (vfio_open_group(self->d.group_id) != -EBUSY)
			_exit(5);
		_exit(0);
	}
	close(sock[1]);
	ASSERT_EQ(0, vfio_send_fd(sock[0], self->d.device));
	vfio_dev_close(&self->d);
	ASSERT_EQ(1, write(sock[0], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_EQ(0, WEXITSTATUS(status));
	ASSERT_EQ(0, vfio_dev_open(&self->d, variant->id, variant->mode));
}

/* A file in flight keeps the device open; when the socket dies, it goes. */
TEST_F(file, lost_in_flight)
{
	int sock[2];
	int i, ret;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(0, vfio_send_fd(sock[0], self->d.device));
	vfio_dev_close(&self->d);
	ASSERT_EQ(-EBUSY, vfio_open_group(self->d.group_id));
	close(sock[0]);
	close(sock[1]);
	for (i = 0; i < 50; i++) {
		ret = vfio_dev_open(&self->d, variant->id, variant->mode);
		if (!ret)
			break;
		usleep(20000);
	}
	ASSERT_EQ(0, ret);
}

/* Both processes use the device, and it closes with the last. */
TEST_F(file, forked)
{
	uint32_t id = vfio_cfg_read32(&self->d, 0);
	int status, i;
	pid_t pid;

	pid = fork();
	if (!pid) {
		for (i = 0; i < 100; i++) {
			if (vfio_cfg_read32(&self->d, 0) != id)
				_exit(1);
		}
		_exit(0);
	}
	for (i = 0; i < 100; i++)
		ASSERT_EQ(id, vfio_cfg_read32(&self->d, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(id, vfio_cfg_read32(&self->d, 0));
}

TEST_HARNESS_MAIN
