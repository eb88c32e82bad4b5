// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM is told which VFIO files belong to a virtual machine, and holds the
 * machine for as long as their devices are open. Needs no guest.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

FIXTURE(kvm)
{
	struct vfio_dev d;
	int kvm;
	int vm;
	int dev;
};

FIXTURE_SETUP(kvm)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };

	vfio_dev_init(&self->d);
	self->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (self->kvm < 0 && !vfio_modprobe("kvm_amd"))
		self->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (self->kvm < 0)
		SKIP(return, "no KVM here");
	self->vm = vfio_ioctl(self->kvm, KVM_CREATE_VM, 0);
	ASSERT_LE(0, self->vm);
	ASSERT_EQ(0, vfio_ioctl(self->vm, KVM_CREATE_DEVICE, &create));
	self->dev = create.fd;
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, VFIO_TYPE1v2_IOMMU);
}

FIXTURE_TEARDOWN(kvm)
{
	vfio_dev_close(&self->d);
	close(self->dev);
	close(self->vm);
	close(self->kvm);
}

static int file_attr(int dev, uint64_t op, int32_t fd)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = op,
		.addr = (uint64_t)(uintptr_t)&fd,
	};

	return vfio_ioctl(dev, KVM_SET_DEVICE_ATTR, &attr);
}

TEST_F(kvm, group_files)
{
	ASSERT_EQ(0, file_attr(self->dev, KVM_DEV_VFIO_GROUP_ADD,
			       self->d.group));
	EXPECT_EQ(-EEXIST, file_attr(self->dev, KVM_DEV_VFIO_GROUP_ADD,
				     self->d.group));
	ASSERT_EQ(0, file_attr(self->dev, KVM_DEV_VFIO_GROUP_DEL,
			       self->d.group));
	EXPECT_EQ(-ENOENT, file_attr(self->dev, KVM_DEV_VFIO_GROUP_DEL,
				     self->d.group));
}

/* A container is no VFIO file in this sense, nor is anything else. */
TEST_F(kvm, other_files)
{
	EXPECT_EQ(-EINVAL, file_attr(self->dev, KVM_DEV_VFIO_GROUP_ADD,
				     self->d.container));
	EXPECT_EQ(-EINVAL, file_attr(self->dev, KVM_DEV_VFIO_GROUP_ADD,
				     self->kvm));
	EXPECT_EQ(-EBADF, file_attr(self->dev, KVM_DEV_VFIO_GROUP_ADD, -1));
}

/* Virtual machines that exist: each has a directory named after its maker. */
static int machines(void)
{
	DIR *dir = opendir("/sys/kernel/debug/kvm");
	struct dirent *entry;
	int count = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		count += isdigit(entry->d_name[0]) ? 1 : 0;
	closedir(dir);
	return count;
}

/* A device that is opened after its group was added holds the machine. */
TEST_F(kvm, device_holds_machine)
{
	if (machines() < 0)
		SKIP(return, "no debugfs");
	close(self->d.device);
	ASSERT_EQ(0, file_attr(self->dev, KVM_DEV_VFIO_GROUP_ADD,
			       self->d.group));
	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);

	close(self->dev);
	close(self->vm);
	self->dev = -1;
	self->vm = -1;
	EXPECT_EQ(1, machines());

	close(self->d.device);
	self->d.device = -1;
	EXPECT_EQ(0, machines());
}

/* A device that was open before knows nothing of the machine. */
TEST_F(kvm, open_device_does_not)
{
	if (machines() < 0)
		SKIP(return, "no debugfs");
	ASSERT_EQ(0, file_attr(self->dev, KVM_DEV_VFIO_GROUP_ADD,
			       self->d.group));
	close(self->dev);
	close(self->vm);
	self->dev = -1;
	self->vm = -1;
	EXPECT_EQ(0, machines());
}

TEST_HARNESS_MAIN
