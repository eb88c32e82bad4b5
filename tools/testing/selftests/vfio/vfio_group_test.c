// SPDX-License-Identifier: GPL-2.0-only
/* The group file: status, viability, and device files by name. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"

#define DEVICE "1b36:0010"
/* Two functions that QEMU puts in one slot, hence in one group. */
#define MULTI_FUNCTION "8086:10d3"

FIXTURE(group)
{
	struct vfio_dev d;
};

FIXTURE_SETUP(group)
{
	int ret = vfio_dev_open_group(&self->d, DEVICE);

	if (ret == -ENXIO)
		SKIP(return, "no device %s here", DEVICE);
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(group)
{
	vfio_dev_close(&self->d);
}

static int set_container(int group, int container)
{
	return vfio_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
}

static int attach(struct vfio_dev *d)
{
	int ret;

	d->container = vfio_open_container();
	ret = set_container(d->group, d->container);
	return ret ? ret : vfio_ioctl(d->container, VFIO_SET_IOMMU,
				      VFIO_TYPE1v2_IOMMU);
}

TEST_F(group, status_sizes)
{
	struct {
		struct vfio_group_status status;
		uint64_t guard;
	} u;
	uint32_t argsz;

	for (argsz = 0; argsz < 8; argsz++) {
		u.status.argsz = argsz;
		u.status.flags = 0x55;
		ASSERT_EQ(-EINVAL, vfio_ioctl(self->d.group,
					      VFIO_GROUP_GET_STATUS, &u));
		ASSERT_EQ(0x55, u.status.flags);
	}
	for (argsz = 8; argsz; argsz <<= 1) {
		u.status.argsz = argsz;
		u.status.flags = ~0u;
		u.guard = 0x1122334455667788;
		ASSERT_EQ(0, vfio_ioctl(self->d.group, VFIO_GROUP_GET_STATUS,
					&u));
		ASSERT_EQ(argsz, u.status.argsz);
		ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, u.status.flags);
		ASSERT_EQ(0x1122334455667788, u.guard);
	}
	ASSERT_EQ(-EFAULT, vfio_ioctl(self->d.group, VFIO_GROUP_GET_STATUS,
				      NULL));
}

TEST_F(group, opens_once)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", self->d.group_id);
	ASSERT_EQ(-EBUSY, vfio_open_group(self->d.group_id));
	ASSERT_EQ(-1, open(path, O_RDONLY));
	ASSERT_EQ(EBUSY, errno);

	/* A duplicate keeps it open. */
	fd = dup(self->d.group);
	ASSERT_LE(0, fd);
	close(self->d.group);
	self->d.group = fd;
	ASSERT_EQ(-EBUSY, vfio_open_group(self->d.group_id));

	close(self->d.group);
	self->d.group = vfio_open_group(self->d.group_id);
	ASSERT_LE(0, self->d.group);
}

TEST_F(group, unknown_ioctls)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.group, VFIO_GET_API_VERSION));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.group, VFIO_SET_IOMMU, 1L));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.group, VFIO_DEVICE_GET_INFO,
				      &info));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.group, VFIO_IOMMU_MAP_DMA,
				      &info));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.group, _IO(VFIO_TYPE, 99)));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.group, _IO(VFIO_TYPE, 255)));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.group, _IO('x', VFIO_BASE + 3)));
}

TEST_F(group, no_file_io)
{
	char byte;
	void *p;

	ASSERT_EQ(-EINVAL, vfio_pread(self->d.group, &byte, 1, 0));
	ASSERT_EQ(-EINVAL, vfio_pwrite(self->d.group, &byte, 1, 0));
	ASSERT_EQ(-ENODEV, vfio_mmap(self->d.group, 4096, PROT_READ,
				     MAP_SHARED, 0, &p));
}

TEST_F(group, device_names)
{
	static const char *const wrong[] = {
		"", "x", "0000:ff:1f.7", "0", "vfio", "..", "/",
	};
	char name[256];
	size_t i;

	ASSERT_EQ(0, attach(&self->d));
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group,
						      wrong[i]));

	snprintf(name, sizeof(name), "%sx", self->d.bdf);
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, name));
	snprintf(name, sizeof(name), " %s", self->d.bdf);
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, name));
	/* Without the domain. */
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, self->d.bdf + 5));
	/* Cut short. */
	snprintf(name, sizeof(name), "%.11s", self->d.bdf);
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, name));

	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);
}

/* What may follow the address: a token, of which only a VF or a PF has use. */
TEST_F(group, device_options)
{
	static const char *const wrong[] = {
		"vf_token=", "vf_token=x", "vf_token",
		"vf_token=00112233-4455-6677-8899-aabbccddeef",
		"vf_token=00112233-4455-6677-8899-aabbccddeefg",
		"token=00112233-4455-6677-8899-aabbccddeeff",
		"vf_token=00112233-4455-6677-8899-aabbccddeeff",
		"x",
	};
	char name[256];
	size_t i;

	ASSERT_EQ(0, attach(&self->d));
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(name, sizeof(name), "%s %s", self->d.bdf, wrong[i]);
		ASSERT_EQ(-EINVAL, vfio_get_device_fd(self->d.group, name)) {
			TH_LOG("name '%s'", name);
		}
	}
	/* No option is a valid list of options. */
	snprintf(name, sizeof(name), "%s ", self->d.bdf);
	self->d.device = vfio_get_device_fd(self->d.group, name);
	ASSERT_LE(0, self->d.device);
}

TEST_F(group, device_name_memory)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t len = strlen(self->d.bdf);
	char *mem;

	ASSERT_EQ(0, attach(&self->d));
	mem = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, mprotect(mem + 2 * page, page, PROT_NONE));

	/* Not terminated before memory ends. */
	memcpy(mem + 2 * page - len, self->d.bdf, len);
	ASSERT_EQ(-EFAULT, vfio_get_device_fd(self->d.group,
					      mem + 2 * page - len));
	/* Not terminated within a page. */
	memset(mem, 'a', 2 * page);
	ASSERT_EQ(-EINVAL, vfio_get_device_fd(self->d.group, mem));
	/* The longest name there may be. */
	mem[page - 1] = '\0';
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, mem));
	ASSERT_EQ(-EFAULT, vfio_get_device_fd(self->d.group, NULL));
	/* Terminated at the very end of memory. */
	memcpy(mem + 2 * page - len - 1, self->d.bdf, len);
	mem[2 * page - 1] = '\0';
	self->d.device = vfio_get_device_fd(self->d.group,
					    mem + 2 * page - len - 1);
	ASSERT_LE(0, self->d.device);
}

TEST_F(group, device_file_flags)
{
	int second;

	ASSERT_EQ(0, attach(&self->d));
	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);
	ASSERT_EQ(FD_CLOEXEC, fcntl(self->d.device, F_GETFD));
	ASSERT_EQ(O_RDWR, fcntl(self->d.device, F_GETFL) & O_ACCMODE);

	/* Every call makes a file of its own. */
	second = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, second);
	ASSERT_NE(second, self->d.device);
	close(second);
}

TEST_F(group, device_fd_limit)
{
	int fds[1100];
	int i, n = 0;
	int ret;

	ASSERT_EQ(0, attach(&self->d));
	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);
	while ((ret = vfio_get_device_fd(self->d.group, self->d.bdf)) >= 0 &&
	       n < 1100)
		fds[n++] = ret;
	ASSERT_EQ(-EMFILE, ret);
	for (i = 0; i < n; i++)
		close(fds[i]);
	close(self->d.device);
	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);
}

/*
 * Two functions in one group: one bound to vfio-pci, the other to whatever
 * the variant says.
 */
FIXTURE(viable)
{
	char bdf[2][VFIO_BDF_LEN];
	int group_id;
	int group;
	int container;
};

FIXTURE_SETUP(viable)
{
	char peers[4][VFIO_BDF_LEN];

	if (vfio_pci_find(0x8086, 0x10d3, 0, self->bdf[0]))
		SKIP(return, "no device %s here", MULTI_FUNCTION);
	if (vfio_pci_group_peers(self->bdf[0], peers, 4) != 2)
		SKIP(return, "%s has no group of two", MULTI_FUNCTION);
	memcpy(self->bdf, peers, sizeof(self->bdf));
	ASSERT_EQ(0, vfio_pci_bind_group(self->bdf[0]));
	self->group_id = vfio_pci_group(self->bdf[0]);
	self->group = -1;
	self->container = vfio_open_container();
	ASSERT_LE(0, self->container);
}

FIXTURE_TEARDOWN(viable)
{
	close(self->group);
	close(self->container);
	vfio_pci_bind_group(self->bdf[0]);
}

static int host_driver(const char *bdf)
{
	vfio_modprobe("e1000e");
	return vfio_pci_bind_to(bdf, "e1000e");
}

TEST_F(viable, unbound_peer)
{
	uint32_t flags;

	ASSERT_EQ(0, vfio_pci_override(self->bdf[1], ""));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf[1]));
	self->group = vfio_open_group(self->group_id);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(0, vfio_group_status(self->group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, flags);
	ASSERT_EQ(0, set_container(self->group, self->container));
	ASSERT_EQ(0, vfio_ioctl(self->container, VFIO_SET_IOMMU,
				VFIO_TYPE1v2_IOMMU));
	/* The peer is in the group but has no VFIO device. */
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->group, self->bdf[1]));
}

TEST_F(viable, peer_with_host_driver)
{
	uint32_t flags;

	if (host_driver(self->bdf[1]))
		SKIP(return, "no host driver for %s", self->bdf[1]);
	self->group = vfio_open_group(self->group_id);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(0, vfio_group_status(self->group, &flags));
	ASSERT_EQ(0, flags);
	ASSERT_EQ(-EPERM, set_container(self->group, self->container));
	ASSERT_EQ(0, vfio_group_status(self->group, &flags));
	ASSERT_EQ(0, flags);

	/* The host lets go of the peer: the open group becomes viable. */
	ASSERT_EQ(0, vfio_pci_override(self->bdf[1], ""));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf[1]));
	ASSERT_EQ(0, vfio_group_status(self->group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, flags);
	ASSERT_EQ(0, set_container(self->group, self->container));
}

/* While a user owns the group, the host gets no device of it. */
TEST_F(viable, host_driver_after_user)
{
	char driver[64];
	uint32_t flags;

	if (host_driver(self->bdf[1]))
		SKIP(return, "no host driver for %s", self->bdf[1]);
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf[1]));
	self->group = vfio_open_group(self->group_id);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(0, set_container(self->group, self->container));

	ASSERT_NE(0, host_driver(self->bdf[1]));
	ASSERT_EQ(-ENOENT, vfio_pci_driver(self->bdf[1], driver,
					   sizeof(driver)));
	ASSERT_EQ(0, vfio_group_status(self->group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET,
		  flags);

	ASSERT_EQ(0, vfio_ioctl(self->group, VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_EQ(0, host_driver(self->bdf[1]));
}

TEST_F(viable, both_functions)
{
	int fd[2], i;
	struct vfio_device_info info = { .argsz = sizeof(info) };

	self->group = vfio_open_group(self->group_id);
	ASSERT_LE(0, self->group);
	ASSERT_EQ(0, set_container(self->group, self->container));
	ASSERT_EQ(0, vfio_ioctl(self->container, VFIO_SET_IOMMU,
				VFIO_TYPE1v2_IOMMU));
	for (i = 0; i < 2; i++) {
		fd[i] = vfio_get_device_fd(self->group, self->bdf[i]);
		ASSERT_LE(0, fd[i]);
	}
	close(fd[0]);
	ASSERT_EQ(-EBUSY, vfio_ioctl(self->group, VFIO_GROUP_UNSET_CONTAINER));
	info.argsz = sizeof(info);
	ASSERT_EQ(0, vfio_ioctl(fd[1], VFIO_DEVICE_GET_INFO, &info));
	close(fd[1]);
	ASSERT_EQ(0, vfio_ioctl(self->group, VFIO_GROUP_UNSET_CONTAINER));
}

/* The node of a group lives as long as one device of it is bound. */
TEST_F(viable, node_goes_with_last_device)
{
	char path[64];
	int i;

	snprintf(path, sizeof(path), "/dev/vfio/%d", self->group_id);
	ASSERT_EQ(0, access(path, F_OK));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf[0]));
	ASSERT_EQ(0, access(path, F_OK));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf[1]));
	for (i = 0; i < 50 && !access(path, F_OK); i++)
		usleep(20000);
	ASSERT_EQ(-1, access(path, F_OK));
	ASSERT_EQ(0, vfio_pci_bind_group(self->bdf[0]));
	self->group = vfio_open_group(self->group_id);
	ASSERT_LE(0, self->group);
}

TEST_HARNESS_MAIN
