// SPDX-License-Identifier: GPL-2.0-only
/* What a user learns of an error that the platform told of: it takes QEMU's monitor. */
#include <stdio.h>
#include <string.h>

#include "vfio_pci_irq.h"
#include "vfio_gate.h"

#define VIRTIO_NET	"1af4:1041"
#define FEATURE		VFIO_DEVICE_FEATURE_PCI_ERROR
#define GET		VFIO_DEVICE_FEATURE_GET
#define ROUNDS		3

FIXTURE(error)
{
	struct vfio_dev d;
	char id[64];		/* what QEMU calls it */
	int efd;
};

FIXTURE_SETUP(error)
{
	if (!vfio_monitor_is_there())
		SKIP(_exit(KSFT_SKIP), "no monitor");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VIRTIO_NET, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_monitor_id(self->d.bdf, self->id, sizeof(self->id)));
	self->efd = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, ERR, 0, self->efd));
}

FIXTURE_TEARDOWN(error)
{
	vfio_dev_close(&self->d);
	close(self->efd);
}

struct error_call {
	struct vfio_device_feature head;
	struct vfio_device_feature_pci_error error;
};

static int inject(const char *options, const char *id, const char *what)
{
	char command[160];

	snprintf(command, sizeof(command), "pcie_aer_inject_error %s%s %s", options, id,
		 what);
	return vfio_monitor(command, NULL, 0);
}

TEST_F(error, none_so_far)
{
	struct vfio_device_feature_pci_error error, none = {};

	ASSERT_EQ(0, vfio_pci_last_error(&self->d, &error));
	EXPECT_EQ(0, memcmp(&none, &error, sizeof(error)));

	/* One that was corrected is nobody's business. */
	ASSERT_EQ(0, inject("-c ", self->id, "RCVR"));
	EXPECT_SILENT(self->efd);
	ASSERT_EQ(0, vfio_pci_last_error(&self->d, &error));
	EXPECT_EQ(0, memcmp(&none, &error, sizeof(error)));
}

TEST_F(error, nonfatal)
{
	struct vfio_device_feature_pci_error error;
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		ASSERT_EQ(0, inject("", self->id, "POISON_TLP 1 0x22 0x333 0x4444"));
		EXPECT_EVENT(self->efd);
		ASSERT_EQ(0, vfio_pci_last_error(&self->d, &error));
		EXPECT_EQ(i, error.count);
		EXPECT_EQ(VFIO_PCI_ERROR_NONFATAL, error.severity);
		EXPECT_EQ(VFIO_PCI_ERROR_FLAG_LOG, error.flags);
		EXPECT_EQ(PCI_ERR_UNC_POISON_TLP, error.uncor_status);
		EXPECT_EQ(0, error.uncor_mask & PCI_ERR_UNC_POISON_TLP);
		EXPECT_EQ(0, error.uncor_severity & PCI_ERR_UNC_POISON_TLP);
		EXPECT_EQ(12, PCI_ERR_CAP_FEP(error.control));
		/* Headers are big-endian, as on the link. */
		EXPECT_EQ(0x01000000, error.header_log[0]);
		EXPECT_EQ(0x22000000, error.header_log[1]);
		EXPECT_EQ(0x33030000, error.header_log[2]);
		EXPECT_EQ(0x44440000, error.header_log[3]);
		EXPECT_EQ(0, error.reserved);
		/* The kernel clears the registers, and that is soon. */
		usleep(100000);
	}

	/* It is not the next user's. */
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_dev_open(&self->d, VIRTIO_NET, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_pci_last_error(&self->d, &error));
	EXPECT_EQ(0, error.count);
	EXPECT_EQ(VFIO_PCI_ERROR_NONE, error.severity);
	EXPECT_EQ(0, error.uncor_status);
}

/* The log of one that cut the device off comes when the link was reset. */
TEST_F(error, fatal)
{
	struct vfio_device_feature_pci_error error;
	int tries;

	ASSERT_EQ(0, inject("", self->id, "DLP"));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, vfio_pci_last_error(&self->d, &error));
	EXPECT_EQ(1, error.count);
	EXPECT_EQ(VFIO_PCI_ERROR_FATAL, error.severity);
	for (tries = 0; tries < 100 && !(error.flags & VFIO_PCI_ERROR_FLAG_LOG);
	     tries++) {
		usleep(100000);
		ASSERT_EQ(0, vfio_pci_last_error(&self->d, &error));
	}
	EXPECT_EQ(VFIO_PCI_ERROR_FLAG_LOG, error.flags);
	EXPECT_EQ(1, error.count);
	EXPECT_EQ(VFIO_PCI_ERROR_FATAL, error.severity);
	EXPECT_TRUE(error.uncor_severity & PCI_ERR_UNC_DLP);
	/* QEMU's registers do not outlive the reset, as they should. */
	EXPECT_EQ(0, error.uncor_status & ~PCI_ERR_UNC_DLP);
	EXPECT_EQ(0, vfio_eventfd_drain(self->efd));
}

TEST_F(error, bad_arguments)
{
	struct error_call call = { .head.argsz = sizeof(call) };
	int fd = self->d.device;

	call.head.flags = VFIO_DEVICE_FEATURE_PROBE | GET | FEATURE;
	EXPECT_EQ(0, vfio_ioctl(fd, VFIO_DEVICE_FEATURE, &call));
	call.head.flags = VFIO_DEVICE_FEATURE_SET | FEATURE;
	EXPECT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_FEATURE, &call));
	call.head.flags = VFIO_DEVICE_FEATURE_SET | GET | FEATURE;
	EXPECT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_FEATURE, &call));
	call.head.flags = FEATURE;
	EXPECT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_FEATURE, &call));
	call.head.flags = GET | FEATURE;
	call.head.argsz = sizeof(call) - 1;
	EXPECT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_FEATURE, &call));
	call.head.argsz = sizeof(call.head);
	EXPECT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_FEATURE, &call));
}

TEST_HARNESS_MAIN
