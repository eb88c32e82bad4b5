// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups with an iommufd in the place of a container, and emulated devices on
 * an iommufd in either way.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "test_modules/test_vfio_emulated.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE	VFIO_PAGE
#define IOVA	0x4000000ULL

#define EMULATED "test_vfio_emulated.0"
#define EMULATED_SYSFS "/sys/bus/platform/devices/" EMULATED

static int set_container(int group, int fd)
{
	return vfio_ioctl(group, VFIO_GROUP_SET_CONTAINER, &fd);
}

static int unset_container(int group)
{
	return vfio_ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
}

/* d.container is an iommufd, d.group is not attached to it. */
FIXTURE(compat)
{
	struct vfio_dev d;
};

FIXTURE_SETUP(compat)
{
	int iommufd, ret;

	VFIO_IOMMUFD_OPEN_OR_SKIP(iommufd);
	ret = vfio_dev_open_group(&self->d, VFIO_NVME);
	if (ret == -ENXIO)
		SKIP(return, "no device %s here", VFIO_NVME);
	if (ret == -ENOENT)
		SKIP(return, "the kernel has no groups");
	ASSERT_EQ(0, ret);
	self->d.container = iommufd;
}

FIXTURE_TEARDOWN(compat)
{
	vfio_dev_close(&self->d);
}

TEST_F(compat, attach)
{
	const uint32_t attached = VFIO_GROUP_FLAGS_VIABLE |
				  VFIO_GROUP_FLAGS_CONTAINER_SET;
	struct vfio_dev *d = &self->d;
	uint32_t flags, ioas;
	int null;

	null = open("/dev/null", O_RDWR);
	ASSERT_LE(0, null);
	ASSERT_EQ(-EBADFD, set_container(d->group, null));
	close(null);
	ASSERT_EQ(-EBADFD, set_container(d->group, d->group));
	ASSERT_EQ(-EINVAL, unset_container(d->group));
	ASSERT_EQ(-ENODEV, vfio_ioas_compat(d->container, &ioas));
	ASSERT_EQ(-EINVAL, vfio_get_device_fd(d->group, d->bdf));

	ASSERT_EQ(0, set_container(d->group, d->container));
	ASSERT_EQ(0, vfio_group_status(d->group, &flags));
	ASSERT_EQ(attached, flags);
	ASSERT_EQ(-EINVAL, set_container(d->group, d->container));
	ASSERT_EQ(0, vfio_ioas_compat(d->container, &ioas));

	ASSERT_EQ(0, unset_container(d->group));
	ASSERT_EQ(-EINVAL, unset_container(d->group));
	ASSERT_EQ(0, vfio_group_status(d->group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, flags);
	ASSERT_EQ(0, set_container(d->group, d->container));
}

TEST_F(compat, device)
{
	struct vfio_dev *d = &self->d;
	struct vfio_device_info info;
	uint32_t ioas;
	int second;

	ASSERT_EQ(0, set_container(d->group, d->container));
	ASSERT_EQ(0, vfio_ioctl(d->container, VFIO_SET_IOMMU,
				VFIO_TYPE1v2_IOMMU));
	d->device = vfio_get_device_fd(d->group, d->bdf);
	ASSERT_LE(0, d->device);
	ASSERT_EQ(0, vfio_dev_info(d, &info));
	ASSERT_EQ(0x00101b36, vfio_cfg_read32(d, PCI_VENDOR_ID));

	/* As with a container: any number of files, and all stay put. */
	second = vfio_get_device_fd(d->group, d->bdf);
	ASSERT_LE(0, second);
	ASSERT_EQ(-EBUSY, unset_container(d->group));
	ASSERT_EQ(0, vfio_ioas_compat(d->container, &ioas));
	ASSERT_EQ(-EBUSY, vfio_iommufd_destroy(d->container, ioas));
	close(d->device);
	d->device = second;
	ASSERT_EQ(0, vfio_dev_info(d, &info));
	ASSERT_EQ(-EBUSY, unset_container(d->group));

	/* The device holds its group. */
	close(d->group);
	d->group = -1;
	ASSERT_EQ(-EBUSY, vfio_open_group(d->group_id));
	ASSERT_EQ(0, vfio_dev_info(d, &info));
	close(d->device);
	d->device = -1;
	d->group = vfio_open_group(d->group_id);
	ASSERT_LE(0, d->group);
	ASSERT_EQ(0, vfio_iommufd_destroy(d->container, ioas));
}

/* Without the address space there is nothing to attach the device to. */
TEST_F(compat, address_space_gone)
{
	struct vfio_dev *d = &self->d;
	uint32_t ioas;

	ASSERT_EQ(0, set_container(d->group, d->container));
	ASSERT_EQ(0, vfio_ioas_compat(d->container, &ioas));
	ASSERT_EQ(0, vfio_iommufd_destroy(d->container, ioas));
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(d->group, d->bdf));
	ASSERT_EQ(0, unset_container(d->group));
	ASSERT_EQ(0, set_container(d->group, d->container));
	d->device = vfio_get_device_fd(d->group, d->bdf);
	ASSERT_LE(0, d->device);
}

/* A device file of its own is not bound, whoever the iommufd belongs to. */
TEST_F(compat, keeps_device_files_out)
{
	struct vfio_dev *d = &self->d;
	int cdev;

	VFIO_CDEV_OPEN_OR_SKIP(d->bdf, cdev);
	ASSERT_EQ(0, set_container(d->group, d->container));
	d->device = vfio_get_device_fd(d->group, d->bdf);
	ASSERT_LE(0, d->device);
	ASSERT_EQ(-EBUSY, vfio_cdev_bind(cdev, d->container, NULL));
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(d->device, d->container, NULL));
	close(cdev);
}

TEST_F(compat, mappings)
{
	struct vfio_dev *d = &self->d;
	uint64_t unmapped;
	void *mem;

	mem = vfio_alloc_pages(4 * PAGE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, set_container(d->group, d->container));
	d->device = vfio_get_device_fd(d->group, d->bdf);
	ASSERT_LE(0, d->device);
	ASSERT_EQ(0, vfio_dma_map(d->container, mem, IOVA, 4 * PAGE));
	ASSERT_EQ(-EEXIST, vfio_dma_map(d->container, mem, IOVA, PAGE));
	ASSERT_EQ(0, vfio_dma_unmap_flags(d->container, IOVA, 4 * PAGE, 0,
					  &unmapped));
	ASSERT_EQ(4 * PAGE, unmapped);
}

/* ---- Emulated devices ---- */

FIXTURE(emulated)
{
	struct vfio_dev d;
	int iommufd;
	uint32_t ioas;
	uint64_t *mem;		/* two pages, mapped at IOVA */
};

FIXTURE_VARIANT(emulated)
{
	bool group;
};

FIXTURE_VARIANT_ADD(emulated, group) { .group = true };
FIXTURE_VARIANT_ADD(emulated, cdev) { .group = false };

FIXTURE_SETUP(emulated)
{
	struct vfio_dev *d = &self->d;
	char link[128];
	uint32_t pt;
	ssize_t len;
	int ret;

	vfio_dev_init(d);
	VFIO_IOMMUFD_OPEN_OR_SKIP(self->iommufd);
	vfio_modprobe("test_vfio_emulated");
	if (access(EMULATED_SYSFS, F_OK))
		SKIP(_exit(KSFT_SKIP), "test_vfio_emulated.ko is not there");

	if (variant->group) {
		len = readlink(EMULATED_SYSFS "/iommu_group", link,
			       sizeof(link) - 1);
		if (len < 0)
			SKIP(_exit(KSFT_SKIP), "the kernel has no groups");
		link[len] = '\0';
		d->group = vfio_open_group(atoi(strrchr(link, '/') + 1));
		ASSERT_LE(0, d->group);
		ASSERT_EQ(0, set_container(d->group, self->iommufd));
		ASSERT_EQ(0, vfio_ioas_compat(self->iommufd, &self->ioas));
		d->device = vfio_get_device_fd(d->group, EMULATED);
		ASSERT_LE(0, d->device);
	} else {
		d->device = vfio_cdev_open(EMULATED);
		if (d->device == -ENOENT)
			SKIP(_exit(KSFT_SKIP),
			     "the kernel has no device files");
		ASSERT_LE(0, d->device);
		ASSERT_EQ(0, vfio_cdev_bind(d->device, self->iommufd, NULL));
		ASSERT_EQ(0, vfio_ioas_alloc(self->iommufd, &self->ioas));
		pt = self->ioas;
		ASSERT_EQ(0, vfio_cdev_attach(d->device, &pt));
		/* There is no page table that the kernel could have made. */
		ASSERT_EQ(self->ioas, pt);
	}

	self->mem = vfio_alloc_pages(2 * PAGE);
	ASSERT_NE(NULL, self->mem);
	ret = vfio_ioas_map(self->iommufd, self->ioas, self->mem, IOVA,
			    2 * PAGE);
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(emulated)
{
	vfio_dev_close(&self->d);
	close(self->iommufd);
}

static int pin(const struct vfio_dev *d, uint64_t iova, int npages, int prot,
	       uint64_t *seen)
{
	struct test_vfio_dma dma = {
		.iova = iova,
		.npages = npages,
		.prot = prot,
		.user = (uintptr_t)seen,
	};

	return vfio_ioctl(d->device, TEST_VFIO_PIN, &dma);
}

static int rw(const struct vfio_dev *d, uint64_t iova, void *buf, int size,
	      bool write)
{
	struct test_vfio_dma dma = {
		.iova = iova,
		.size = size,
		.write = write,
		.user = (uintptr_t)buf,
	};

	return vfio_ioctl(d->device, TEST_VFIO_RW, &dma);
}

static struct test_vfio_unmaps unmaps(const struct vfio_dev *d)
{
	struct test_vfio_unmaps u = {};

	vfio_ioctl(d->device, TEST_VFIO_UNMAPS, &u);
	return u;
}

TEST_F(emulated, reads_and_writes)
{
	uint64_t out = 0x1122334455667788, in = 0;

	ASSERT_EQ(0, rw(&self->d, IOVA + 16, &out, 8, true));
	ASSERT_EQ(out, self->mem[2]);
	ASSERT_EQ(0, rw(&self->d, IOVA + 16, &in, 8, false));
	ASSERT_EQ(out, in);
	/* Across the border of the pages. */
	ASSERT_EQ(0, rw(&self->d, IOVA + PAGE - 4, &out, 8, true));
	ASSERT_EQ(0, rw(&self->d, IOVA + PAGE - 4, &in, 8, false));
	ASSERT_EQ(out, in);

	ASSERT_EQ(-ENOENT, rw(&self->d, IOVA + 2 * PAGE, &in, 8, false));
	ASSERT_EQ(-ENOENT, rw(&self->d, IOVA + 2 * PAGE - 4, &in, 8, false));
	ASSERT_EQ(-EOVERFLOW, rw(&self->d, -4ULL, &in, 8, false));
	ASSERT_EQ(-EINVAL, rw(&self->d, IOVA, &in, 0, false));
}

TEST_F(emulated, pins)
{
	uint64_t seen[2];

	self->mem[0] = 11;
	self->mem[PAGE / 8] = 22;
	ASSERT_EQ(2, pin(&self->d, IOVA, 2, 3, seen));
	ASSERT_EQ(11, seen[0]);
	ASSERT_EQ(22, seen[1]);
	/* The offset in the page does not count. */
	ASSERT_EQ(1, pin(&self->d, IOVA + PAGE + 8, 1, 1, seen));
	ASSERT_EQ(22, seen[0]);

	ASSERT_EQ(-ENOENT, pin(&self->d, IOVA + PAGE, 2, 1, seen));
	ASSERT_EQ(-EINVAL, pin(&self->d, IOVA, 0, 1, seen));

	/* Unmapping asks for them. */
	ASSERT_EQ(0, vfio_ioas_unmap(self->iommufd, self->ioas, IOVA,
				     2 * PAGE));
	ASSERT_LT(0, unmaps(&self->d).calls);
	ASSERT_EQ(-ENOENT, pin(&self->d, IOVA, 1, 1, seen));
}

/* Closing gives back what is pinned. */
TEST_F(emulated, close_while_pinned)
{
	uint64_t seen[2];

	ASSERT_EQ(2, pin(&self->d, IOVA, 2, 3, seen));
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_ioas_unmap(self->iommufd, self->ioas, IOVA,
				     2 * PAGE));
}

TEST_F(emulated, detach_and_replace_unpin)
{
	uint64_t seen[2];
	uint32_t other;

	if (variant->group)
		SKIP(return, "only for device files of their own");

	ASSERT_EQ(2, pin(&self->d, IOVA, 2, 3, seen));
	ASSERT_EQ(0, vfio_ioas_alloc(self->iommufd, &other));
	ASSERT_EQ(0, vfio_cdev_attach(self->d.device, &other));
	ASSERT_EQ(1, unmaps(&self->d).calls);
	ASSERT_EQ(-ENOENT, pin(&self->d, IOVA, 1, 1, seen));
	ASSERT_EQ(0, vfio_iommufd_destroy(self->iommufd, self->ioas));

	ASSERT_EQ(0, vfio_ioas_map(self->iommufd, other, self->mem, IOVA,
				   2 * PAGE));
	ASSERT_EQ(2, pin(&self->d, IOVA, 2, 3, seen));
	ASSERT_EQ(0, vfio_cdev_detach(self->d.device));
	ASSERT_EQ(-ENOENT, pin(&self->d, IOVA, 1, 1, seen));
	ASSERT_EQ(-ENOENT, rw(&self->d, IOVA, seen, 8, false));
	ASSERT_EQ(0, vfio_iommufd_destroy(self->iommufd, other));
}

TEST_HARNESS_MAIN
