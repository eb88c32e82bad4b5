// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that no IOMMU confines, by their own files and on groups with an
 * iommufd: who may use them, and that nothing pretends to translate their DMA.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define ALLOW	"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define NOBODY	65534

FIXTURE(noiommu)
{
	struct vfio_dev d;	/* d.container is an iommufd */
	char group_node[64];
};

FIXTURE_SETUP(noiommu)
{
	struct vfio_dev *d = &self->d;
	char bdf[VFIO_BDF_LEN];
	int iommufd;

	VFIO_IOMMUFD_OPEN_OR_SKIP(iommufd);
	if (access(ALLOW, F_OK))
		SKIP(_exit(KSFT_SKIP), "the kernel has no VFIO_NOIOMMU");
	if (vfio_pci_resolve(VFIO_NVME, bdf))
		SKIP(_exit(KSFT_SKIP), "no device %s here", VFIO_NVME);
	ASSERT_EQ(0, vfio_pci_unbind(bdf));
	if (vfio_pci_group(bdf) != -ENOENT)
		SKIP(_exit(KSFT_SKIP), "there is an IOMMU");

	vfio_dev_init(d);
	d->container = iommufd;
	memcpy(d->bdf, bdf, sizeof(bdf));
	ASSERT_EQ(0, vfio_sysfs_write(ALLOW, "Y"));
	ASSERT_EQ(0, vfio_pci_bind(bdf));
	d->group_id = vfio_pci_group(bdf);
	ASSERT_LE(0, d->group_id);
	snprintf(self->group_node, sizeof(self->group_node),
		 "/dev/vfio/noiommu-%d", d->group_id);
}

FIXTURE_TEARDOWN(noiommu)
{
	vfio_dev_close(&self->d);
	vfio_pci_unbind(self->d.bdf);
	vfio_sysfs_write(ALLOW, "N");
}

TEST_F(noiommu, device_file)
{
	struct vfio_dev *d = &self->d;
	struct vfio_device_info info;
	uint32_t devid, ioas, pt;
	char node[128];
	int ret, status;
	pid_t pid;

	ret = vfio_cdev_node(d->bdf, node, sizeof(node));
	if (ret == -ENOENT)
		SKIP(return, "the kernel has no device files");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, strncmp(node, "/dev/vfio/devices/noiommu-vfio", 30));

	d->device = vfio_cdev_open(d->bdf);
	ASSERT_LE(0, d->device);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setuid(NOBODY))
			_exit(1);
		ret = vfio_cdev_bind(d->device, d->container, NULL);
		_exit(ret == -EPERM ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);

	ASSERT_EQ(0, vfio_cdev_bind(d->device, d->container, &devid));
	ASSERT_LT(0, devid);
	ASSERT_EQ(0, vfio_dev_info(d, &info));
	ASSERT_EQ(0x00101b36, vfio_cfg_read32(d, PCI_VENDOR_ID));
	ASSERT_EQ(0, vfio_ioctl(d->device, VFIO_DEVICE_RESET));
	ASSERT_EQ(-1, open(self->group_node, O_RDWR));
	ASSERT_EQ(EBUSY, errno);

	/* It has no page table. */
	ASSERT_EQ(0, vfio_ioas_alloc(d->container, &ioas));
	pt = ioas;
	ASSERT_EQ(-EINVAL, vfio_cdev_attach(d->device, &pt));
	ASSERT_EQ(0, vfio_cdev_detach(d->device));
	ASSERT_EQ(0, vfio_iommufd_destroy(d->container, ioas));
}

TEST_F(noiommu, hot_reset_by_devid)
{
	struct {
		struct vfio_pci_hot_reset_info h;
		struct vfio_pci_dependent_device devices[8];
	} info = { .h.argsz = sizeof(info) };
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };
	struct vfio_dev *d = &self->d;
	uint32_t devid;

	VFIO_CDEV_OPEN_OR_SKIP(d->bdf, d->device);
	ASSERT_EQ(0, vfio_cdev_bind(d->device, d->container, &devid));
	ASSERT_EQ(0, vfio_ioctl(d->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				&info));
	ASSERT_EQ(VFIO_PCI_HOT_RESET_FLAG_DEV_ID |
		  VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED, info.h.flags);
	ASSERT_EQ(1, info.h.count);
	ASSERT_EQ(devid, info.devices[0].devid);
	ASSERT_EQ(0, vfio_ioctl(d->device, VFIO_DEVICE_PCI_HOT_RESET, &reset));
}

TEST_F(noiommu, group)
{
	struct vfio_dev *d = &self->d;
	struct vfio_device_info info;
	uint32_t ioas;

	d->group = open(self->group_node, O_RDWR);
	if (d->group < 0 && errno == ENOENT)
		SKIP(return, "the kernel has no groups");
	ASSERT_LE(0, d->group);

	/* An address space would be a lie, and the two kinds do not mix. */
	ASSERT_EQ(0, vfio_ioctl(d->group, VFIO_GROUP_SET_CONTAINER,
				&d->container));
	ASSERT_EQ(-ENODEV, vfio_ioas_compat(d->container, &ioas));
	ASSERT_EQ(0, vfio_ioctl(d->container, VFIO_SET_IOMMU,
				VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(-EINVAL, vfio_ioctl(d->container, VFIO_SET_IOMMU,
				      VFIO_TYPE1_IOMMU));
	d->device = vfio_get_device_fd(d->group, d->bdf);
	ASSERT_LE(0, d->device);
	ASSERT_EQ(0, vfio_dev_info(d, &info));
	ASSERT_EQ(0x00101b36, vfio_cfg_read32(d, PCI_VENDOR_ID));
}

TEST_HARNESS_MAIN
