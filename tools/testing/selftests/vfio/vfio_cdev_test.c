// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device files of their own, /dev/vfio/devices/vfioN: what they do unbound,
 * binding, attaching, who else may have the device, and hot resets.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_sriov.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE	VFIO_PAGE
#define IOVA	0x4000000

/* Where token_uuid_ptr, which came later, begins. */
#define BIND_OLD_SIZE	16

FIXTURE(cdev)
{
	struct vfio_dev d;	/* d.device: open, not bound */
	int iommufd;
};

FIXTURE_SETUP(cdev)
{
	char bdf[VFIO_BDF_LEN];

	vfio_dev_init(&self->d);
	VFIO_IOMMUFD_OPEN_OR_SKIP(self->iommufd);
	VFIO_PCI_BIND_OR_SKIP(VFIO_NVME, bdf);
	VFIO_CDEV_OPEN_OR_SKIP(bdf, self->d.device);
	memcpy(self->d.bdf, bdf, sizeof(bdf));
	self->d.group_id = vfio_pci_group(bdf);
}

FIXTURE_TEARDOWN(cdev)
{
	vfio_dev_close(&self->d);
	close(self->iommufd);
}

static int bind_raw(int device, uint32_t argsz, uint32_t flags, int iommufd)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = argsz,
		.flags = flags,
		.iommufd = iommufd,
	};

	return vfio_ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

static int attach_raw(int device, uint32_t argsz, uint32_t flags, uint32_t pt)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = argsz,
		.flags = flags,
		.pt_id = pt,
	};

	return vfio_ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

static int detach_raw(int device, uint32_t argsz, uint32_t flags)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = argsz,
		.flags = flags,
	};

	return vfio_ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
}

/* @arg where it can be read, not written. */
static void *read_only(const void *arg, size_t len)
{
	void *p = vfio_alloc_pages(PAGE);

	if (!p)
		return NULL;
	memcpy(p, arg, len);
	return mprotect(p, PAGE, PROT_READ) ? NULL : p;
}

TEST_F(cdev, does_nothing_unbound)
{
	struct vfio_device_feature feature = {
		.argsz = sizeof(feature),
		.flags = VFIO_DEVICE_FEATURE_PROBE |
			 VFIO_DEVICE_FEATURE_MIGRATION,
	};
	struct vfio_device_info info;
	int fd = self->d.device;
	uint32_t value, pt = 1;
	void *p;

	ASSERT_EQ(-EINVAL, vfio_dev_info(&self->d, &info));
	ASSERT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_RESET));
	ASSERT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_FEATURE, &feature));
	ASSERT_EQ(-EINVAL, vfio_ioctl(fd, _IO(VFIO_TYPE, 255)));
	ASSERT_EQ(-EINVAL, vfio_cdev_attach(fd, &pt));
	ASSERT_EQ(-EINVAL, vfio_cdev_detach(fd));
	ASSERT_EQ(-EINVAL, vfio_pread(fd, &value, 4, 7ULL << 40));
	ASSERT_EQ(-EINVAL, vfio_pwrite(fd, &value, 4, 7ULL << 40));
	ASSERT_EQ(-EINVAL, vfio_mmap(fd, PAGE, PROT_READ, MAP_SHARED, 0, &p));
}

TEST_F(cdev, bind_arguments)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = BIND_OLD_SIZE,
		.iommufd = self->iommufd,
	};
	struct {
		struct vfio_device_bind_iommufd bind;
		uint8_t more[32];
	} grown;
	int fd = self->d.device;
	uint32_t argsz;
	void *p;
	int i;

	for (argsz = 0; argsz < BIND_OLD_SIZE; argsz++)
		ASSERT_EQ(-EINVAL, bind_raw(fd, argsz, 0, self->iommufd));
	for (i = 1; i < 32; i++)
		ASSERT_EQ(-EINVAL, bind_raw(fd, 64, 1u << i, self->iommufd));
	ASSERT_EQ(-EINVAL, bind_raw(fd, 64, 0, -1));
	ASSERT_EQ(-EBADF, bind_raw(fd, 64, 0, 1000));
	ASSERT_EQ(-EBADFD, bind_raw(fd, 64, 0, fd));
	ASSERT_EQ(-EFAULT, vfio_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, NULL));

	ASSERT_EQ(-EFAULT, vfio_cdev_bind_token(fd, self->iommufd, NULL));
	for (argsz = BIND_OLD_SIZE; argsz < sizeof(bind); argsz++)
		ASSERT_EQ(-EINVAL, bind_raw(fd, argsz,
					    VFIO_DEVICE_BIND_FLAG_TOKEN,
					    self->iommufd));

	/* Bound, but nobody learns as what: it is not. */
	p = read_only(&bind, sizeof(bind));
	ASSERT_NE(NULL, p);
	ASSERT_EQ(-EFAULT, vfio_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, p));
	ASSERT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_RESET));

	/* As in 6.12, what follows in the user's memory is not looked at. */
	memset(&grown, 0xff, sizeof(grown));
	grown.bind = bind;
	grown.bind.argsz = sizeof(grown);
	ASSERT_EQ(0, vfio_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &grown));
	ASSERT_LT(0, grown.bind.out_devid);
	ASSERT_EQ(-EINVAL, vfio_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
}

/* All that is no iommufd, and nothing that is one. */
TEST_F(cdev, bind_to_other_files)
{
	int fd = self->d.device, pipes[2];
	struct {
		int fd;
		int error;
	} files[] = {
		{ open("/dev/null", O_RDWR), -EBADFD },
		{ open("/dev", O_RDONLY | O_DIRECTORY), -EBADFD },
		{ open("/dev/iommu", O_PATH), -EBADF },
		{ vfio_eventfd(), -EBADFD },
		{ vfio_open_container(), -EBADFD },
		{ vfio_cdev_open(self->d.bdf), -EBADFD },
		{ dup(fd), -EBADFD },
	};
	size_t i;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(-EBADFD, vfio_cdev_bind(fd, pipes[0], NULL));
	ASSERT_EQ(-EBADFD, vfio_cdev_bind(fd, pipes[1], NULL));
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (files[i].fd < 0)	/* a container need not be there */
			continue;
		ASSERT_EQ(files[i].error,
			  vfio_cdev_bind(fd, files[i].fd, NULL)) {
			TH_LOG("file %zu", i);
		}
		close(files[i].fd);
	}
	ASSERT_EQ(0, vfio_cdev_bind(fd, self->iommufd, NULL));
}

/* Which reason is told where there are several. */
TEST_F(cdev, order_of_reasons)
{
	int fd = self->d.device, other, group;

	group = vfio_open_group(self->d.group_id);
	if (group >= 0) {
		ASSERT_EQ(-EBUSY, bind_raw(fd, 64, 0, 1000));
		ASSERT_EQ(-EINVAL, bind_raw(fd, 64, 0, -1));
		ASSERT_EQ(-EINVAL, bind_raw(fd, 8, 0, self->iommufd));
		close(group);
	}
	other = vfio_cdev_open(self->d.bdf);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, vfio_cdev_bind(fd, self->iommufd, NULL));
	ASSERT_EQ(-EINVAL, bind_raw(fd, 64, 0, 1000));
	ASSERT_EQ(-EBADF, bind_raw(other, 64, 0, 1000));
	ASSERT_EQ(-EINVAL, bind_raw(other, 64, 0, self->iommufd));
	close(other);
}

/* It is the file that is bound, by whatever number. */
TEST_F(cdev, duplicates)
{
	int second = dup(self->d.device), iommufd = dup(self->iommufd);
	struct vfio_device_info info;

	ASSERT_LE(0, second);
	ASSERT_EQ(0, vfio_cdev_bind(second, iommufd, NULL));
	close(iommufd);
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(self->d.device, self->iommufd,
					  NULL));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	close(self->d.device);
	self->d.device = second;
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	ASSERT_EQ(0, vfio_cdev_detach(second));
}

TEST_F(cdev, binds_once)
{
	int other = vfio_cdev_open(self->d.bdf);
	int iommufd = vfio_iommufd_open();
	struct vfio_device_info info;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(self->d.device, iommufd, NULL));
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(other, self->iommufd, NULL));
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(other, iommufd, NULL));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));

	close(self->d.device);
	self->d.device = other;
	ASSERT_EQ(-EINVAL, vfio_dev_info(&self->d, &info));
	ASSERT_EQ(0, vfio_cdev_bind(other, iommufd, NULL));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	close(iommufd);
}

/* The iommufd lives as long as something is bound to it. */
TEST_F(cdev, outlives_the_file_of_the_iommufd)
{
	struct vfio_device_info info;
	uint32_t ioas;

	ASSERT_EQ(0, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	ASSERT_EQ(0, vfio_ioas_alloc(self->iommufd, &ioas));
	ASSERT_EQ(0, vfio_cdev_attach(self->d.device, &ioas));
	close(self->iommufd);
	self->iommufd = -1;
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
}

TEST_F(cdev, works_when_bound)
{
	struct vfio_device_info info;
	uint32_t value;
	void *p;

	ASSERT_EQ(0, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	ASSERT_TRUE(info.flags & VFIO_DEVICE_FLAGS_PCI);
	ASSERT_EQ(0x00101b36, vfio_cfg_read32(&self->d, PCI_VENDOR_ID));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, 0, 0, PAGE, &p));
	ASSERT_EQ(0, vfio_try_load32(p, &value));
	ASSERT_NE(~0u, value);

	/* The gate finds mappings of this kind of file, too. */
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_NE(0, vfio_try_load32(p, &value));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, vfio_try_load32(p, &value));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.device, _IO(VFIO_TYPE, 255)));
}

TEST_F(cdev, keeps_the_group_out)
{
	int group;

	group = vfio_open_group(self->d.group_id);
	if (group == -ENOENT)
		SKIP(return, "the kernel has no groups");
	ASSERT_LE(0, group);
	ASSERT_EQ(-EBUSY, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	close(group);

	ASSERT_EQ(0, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	ASSERT_EQ(-EBUSY, vfio_open_group(self->d.group_id));
	/* What fails changes nothing. */
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	ASSERT_EQ(-EBUSY, vfio_open_group(self->d.group_id));

	close(self->d.device);
	self->d.device = -1;
	group = vfio_open_group(self->d.group_id);
	ASSERT_LE(0, group);
	close(group);
}

TEST_F(cdev, files_of_groups_are_not_bound)
{
	uint32_t pt = 1;
	struct vfio_dev d;
	int ret;

	ret = vfio_dev_open(&d, self->d.bdf, VFIO_TYPE1v2_IOMMU);
	if (ret == -ENOENT)
		SKIP(return, "the kernel has no groups");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(-EINVAL, vfio_cdev_bind(d.device, self->iommufd, NULL));
	ASSERT_EQ(-ENOTTY, vfio_cdev_attach(d.device, &pt));
	ASSERT_EQ(-ENOTTY, vfio_cdev_detach(d.device));
	ASSERT_EQ(-EBUSY, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	vfio_dev_close(&d);
	ASSERT_EQ(0, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
}

TEST_F(cdev, attach_arguments)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	int fd = self->d.device;
	uint32_t devid, argsz;
	void *p;
	int i;

	ASSERT_EQ(0, vfio_cdev_bind(fd, self->iommufd, &devid));
	ASSERT_EQ(0, vfio_ioas_alloc(self->iommufd, &attach.pt_id));
	for (argsz = 0; argsz < sizeof(attach); argsz++)
		ASSERT_EQ(-EINVAL, attach_raw(fd, argsz, 0, attach.pt_id));
	for (argsz = 0; argsz < 8; argsz++)
		ASSERT_EQ(-EINVAL, detach_raw(fd, argsz, 0));
	for (i = 0; i < 32; i++) {
		ASSERT_EQ(-EINVAL, attach_raw(fd, 64, 1u << i, attach.pt_id));
		ASSERT_EQ(-EINVAL, detach_raw(fd, 64, 1u << i));
	}
	ASSERT_EQ(-EFAULT, vfio_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, NULL));
	ASSERT_EQ(-EFAULT, vfio_ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, NULL));
	ASSERT_EQ(-ENOENT, attach_raw(fd, 64, 0, 12345));
	ASSERT_EQ(-EINVAL, attach_raw(fd, 64, 0, devid));

	/* What cannot be reported is undone: nothing uses it. */
	p = read_only(&attach, sizeof(attach));
	ASSERT_NE(NULL, p);
	ASSERT_EQ(-EFAULT, vfio_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, p));
	ASSERT_EQ(0, vfio_iommufd_destroy(self->iommufd, attach.pt_id));
}

TEST_F(cdev, attach_replace_detach)
{
	int fd = self->d.device;
	uint32_t ioas[2], pt;
	int i;

	ASSERT_EQ(0, vfio_cdev_bind(fd, self->iommufd, NULL));
	ASSERT_EQ(0, vfio_cdev_detach(fd));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_ioas_alloc(self->iommufd, &ioas[i]));
	for (i = 0; i < 4; i++) {
		pt = ioas[i & 1];
		ASSERT_EQ(0, vfio_cdev_attach(fd, &pt));
		ASSERT_NE(ioas[i & 1], pt);
		ASSERT_EQ(-EBUSY, vfio_iommufd_destroy(self->iommufd,
						       ioas[i & 1]));
	}
	/* What fails changes nothing. */
	pt = 12345;
	ASSERT_EQ(-ENOENT, vfio_cdev_attach(fd, &pt));
	ASSERT_EQ(-EBUSY, vfio_iommufd_destroy(self->iommufd, ioas[1]));
	ASSERT_EQ(0, vfio_iommufd_destroy(self->iommufd, ioas[0]));

	ASSERT_EQ(0, vfio_cdev_detach(fd));
	ASSERT_EQ(0, vfio_cdev_detach(fd));
	ASSERT_EQ(0, vfio_iommufd_destroy(self->iommufd, ioas[1]));
}

/* Closing unbinds, and that detaches. */
TEST_F(cdev, close_detaches)
{
	uint32_t devid, ioas, pt;

	ASSERT_EQ(0, vfio_cdev_bind(self->d.device, self->iommufd, &devid));
	ASSERT_EQ(0, vfio_ioas_alloc(self->iommufd, &ioas));
	pt = ioas;
	ASSERT_EQ(0, vfio_cdev_attach(self->d.device, &pt));
	ASSERT_EQ(-EBUSY, vfio_iommufd_destroy(self->iommufd, devid));
	close(self->d.device);
	self->d.device = -1;
	ASSERT_EQ(0, vfio_iommufd_destroy(self->iommufd, ioas));
	ASSERT_EQ(-ENOENT, vfio_iommufd_destroy(self->iommufd, devid));
}

/* ---- All at once ---- */

struct racing {
	const char *bdf;
	int group_id;
	int device;		/* one file for all */
	int iommufd;
	uint32_t ioas;
	unsigned int seed;
	bool stop;
	unsigned int bound;
	unsigned int bad;
};

/* What a bind may say to who is not the first. */
static bool refusal(int ret)
{
	return ret == -EINVAL || ret == -EBUSY;
}

static void *bind_once(void *arg)
{
	struct racing *r = arg;
	int ret = vfio_cdev_bind(r->device, r->iommufd, NULL);

	if (!ret)
		__atomic_add_fetch(&r->bound, 1, __ATOMIC_RELAXED);
	else if (!refusal(ret))
		__atomic_add_fetch(&r->bad, 1, __ATOMIC_RELAXED);
	return NULL;
}

TEST_F(cdev, bind_twice_at_once)
{
	pthread_t threads[2];
	int i, k;

	for (i = 0; i < 20; i++) {
		struct racing r = {
			.device = self->d.device,
			.iommufd = self->iommufd,
		};

		for (k = 0; k < 2; k++)
			ASSERT_EQ(0, pthread_create(&threads[k], NULL,
						    bind_once, &r));
		for (k = 0; k < 2; k++)
			pthread_join(threads[k], NULL);
		ASSERT_EQ(1, r.bound);
		ASSERT_EQ(0, r.bad);
		close(self->d.device);
		self->d.device = vfio_cdev_open(self->d.bdf);
		ASSERT_LE(0, self->d.device);
	}
}

/* Everything that changes who has the device, in no order. */
static void *anything(void *arg)
{
	struct racing *r = arg;
	unsigned int seed = __atomic_fetch_add(&r->seed, 1, __ATOMIC_RELAXED);
	uint32_t pt, head[3] = { sizeof(head) };
	int fd, iommufd;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		pt = r->ioas;
		switch (rand_r(&seed) % 8) {
		case 0:
			vfio_cdev_bind(r->device, r->iommufd, NULL);
			break;
		case 1:
			vfio_cdev_attach(r->device, &pt);
			break;
		case 2:
			vfio_cdev_detach(r->device);
			break;
		case 3:
			close(vfio_open_group(r->group_id));
			break;
		case 4:
			fd = vfio_cdev_open(r->bdf);
			vfio_cdev_bind(fd, r->iommufd, NULL);
			vfio_cdev_attach(fd, &pt);
			close(fd);
			break;
		case 5:
			fd = vfio_cdev_open(r->bdf);
			iommufd = vfio_iommufd_open();
			vfio_cdev_bind(fd, iommufd, NULL);
			close(iommufd);
			vfio_cdev_attach(fd, &pt);
			close(fd);
			break;
		case 6:
			/* In the place of the one that others are using. */
			fd = vfio_cdev_open(r->bdf);
			dup2(fd, r->device);
			close(fd);
			break;
		case 7:
			vfio_ioctl(r->device, VFIO_DEVICE_PCI_HOT_RESET, head);
			break;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(cdev, anything_at_once, 120)
{
	struct racing r = {
		.bdf = self->d.bdf,
		.group_id = self->d.group_id,
		.device = self->d.device,
		.iommufd = self->iommufd,
		.seed = getpid(),
	};
	int klog = vfio_klog_open(), i;
	pthread_t threads[4];

	TH_LOG("seed %u", r.seed);
	ASSERT_EQ(0, vfio_ioas_alloc(self->iommufd, &r.ioas));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, anything, &r));
	sleep(10);
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);

	/* Nobody is left who has it. */
	close(self->d.device);
	self->d.device = vfio_cdev_open(self->d.bdf);
	ASSERT_EQ(0, vfio_cdev_bind(self->d.device, self->iommufd, NULL));
	ASSERT_EQ(0, vfio_iommufd_destroy(self->iommufd, r.ioas));
	ASSERT_EQ(0, vfio_klog_splats(klog));
	close(klog);
}

/* A file that does nothing still keeps the driver. */
TEST_F(cdev, unbinding_the_driver_waits)
{
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->d.device);
		_exit(vfio_pci_unbind(self->d.bdf) ? 1 : 0);
	}
	usleep(300000);
	ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
	/* It is not found any more. */
	ASSERT_EQ(-ENOENT, vfio_cdev_open(self->d.bdf));
	close(self->d.device);
	self->d.device = -1;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
}

/* ---- Two functions of one group, which a reset hits together ---- */

FIXTURE(pair)
{
	char bdf[2][VFIO_BDF_LEN];
	int fd[2];
	int iommufd;
};

FIXTURE_SETUP(pair)
{
	int i;

	VFIO_IOMMUFD_OPEN_OR_SKIP(self->iommufd);
	VFIO_PCI_BIND_OR_SKIP(VFIO_E1000E "#0", self->bdf[0]);
	ASSERT_EQ(0, vfio_pci_resolve(VFIO_E1000E "#1", self->bdf[1]));
	for (i = 0; i < 2; i++)
		VFIO_CDEV_OPEN_OR_SKIP(self->bdf[i], self->fd[i]);
}

FIXTURE_TEARDOWN(pair)
{
	int i;

	for (i = 0; i < 2; i++)
		if (self->fd[i] >= 0)
			close(self->fd[i]);
	close(self->iommufd);
	vfio_pci_bind_group(self->bdf[0]);
}

struct reset_info {
	struct vfio_pci_hot_reset_info h;
	struct vfio_pci_dependent_device devices[8];
};

static int reset_info(int device, struct reset_info *info)
{
	memset(info, 0x55, sizeof(*info));
	info->h.argsz = sizeof(*info);
	return vfio_ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
}

static int hot_reset(int device, uint32_t count, int32_t fd)
{
	uint32_t args[4] = { sizeof(args), 0, count, fd };

	return vfio_ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, args);
}

#define DEV_ID		VFIO_PCI_HOT_RESET_FLAG_DEV_ID
#define DEV_ID_OWNED	VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED

TEST_F(pair, have_one_owner)
{
	int iommufd = vfio_iommufd_open();
	int group;

	ASSERT_LE(0, iommufd);
	ASSERT_EQ(0, vfio_cdev_bind(self->fd[0], self->iommufd, NULL));
	ASSERT_EQ(-EPERM, vfio_cdev_bind(self->fd[1], iommufd, NULL));
	ASSERT_EQ(0, vfio_cdev_bind(self->fd[1], self->iommufd, NULL));
	close(self->fd[0]);
	self->fd[0] = -1;
	close(iommufd);

	group = vfio_open_group(vfio_pci_group(self->bdf[0]));
	if (group == -ENOENT)
		SKIP(return, "the kernel has no groups");
	ASSERT_EQ(-EBUSY, group);
}

TEST_F(pair, hot_reset_by_devid)
{
	struct reset_info info;
	uint32_t devid[2];

	ASSERT_EQ(0, vfio_cdev_bind(self->fd[0], self->iommufd, &devid[0]));

	/* The other one is in no use, and in the group of one that is. */
	ASSERT_EQ(0, reset_info(self->fd[0], &info));
	ASSERT_EQ(DEV_ID | DEV_ID_OWNED, info.h.flags);
	ASSERT_EQ(2, info.h.count);
	ASSERT_EQ(devid[0], info.devices[0].devid);
	ASSERT_EQ(0, info.devices[0].devfn & 7);
	ASSERT_EQ(VFIO_PCI_DEVID_OWNED, info.devices[1].devid);
	ASSERT_EQ(1, info.devices[1].devfn & 7);
	ASSERT_EQ(0, hot_reset(self->fd[0], 0, -1));

	ASSERT_EQ(0, vfio_cdev_bind(self->fd[1], self->iommufd, &devid[1]));
	ASSERT_NE(devid[0], devid[1]);
	ASSERT_EQ(0, reset_info(self->fd[1], &info));
	ASSERT_EQ(DEV_ID | DEV_ID_OWNED, info.h.flags);
	ASSERT_EQ(devid[0], info.devices[0].devid);
	ASSERT_EQ(devid[1], info.devices[1].devid);
	ASSERT_EQ(0, hot_reset(self->fd[1], 0, -1));

	/* The count is told whether or not there is room, and nothing else. */
	info.h.argsz = sizeof(info.h);
	info.h.count = 0;
	ASSERT_EQ(-ENOSPC, vfio_ioctl(self->fd[1],
				      VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				      &info));
	ASSERT_EQ(2, info.h.count);
	ASSERT_EQ(0, info.h.flags);
}

TEST_F(pair, hot_reset_not_owned)
{
	struct reset_info info;
	uint32_t devid;

	ASSERT_EQ(0, vfio_cdev_bind(self->fd[0], self->iommufd, &devid));
	close(self->fd[1]);
	self->fd[1] = -1;
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf[1]));

	ASSERT_EQ(0, reset_info(self->fd[0], &info));
	ASSERT_EQ(DEV_ID, info.h.flags);
	ASSERT_EQ(2, info.h.count);
	ASSERT_EQ(devid, info.devices[0].devid);
	ASSERT_EQ(VFIO_PCI_DEVID_NOT_OWNED, info.devices[1].devid);
	ASSERT_EQ(-EINVAL, hot_reset(self->fd[0], 0, -1));
}

TEST_F(pair, hot_reset_ways_do_not_mix)
{
	struct reset_info info;
	struct vfio_dev d;
	int ret;

	ASSERT_EQ(0, vfio_cdev_bind(self->fd[0], self->iommufd, NULL));
	ASSERT_EQ(-EINVAL, hot_reset(self->fd[0], 1, self->iommufd));
	ASSERT_EQ(-EINVAL, hot_reset(self->fd[0], 1, self->fd[0]));
	close(self->fd[0]);
	self->fd[0] = -1;

	ret = vfio_dev_open(&d, self->bdf[0], VFIO_TYPE1v2_IOMMU);
	if (ret == -ENOENT)
		SKIP(return, "the kernel has no groups");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, reset_info(d.device, &info));
	ASSERT_EQ(0, info.h.flags);
	ASSERT_EQ(d.group_id, info.devices[0].group_id);
	ASSERT_EQ(d.group_id, info.devices[1].group_id);
	ASSERT_EQ(-EINVAL, hot_reset(d.device, 0, -1));
	ASSERT_EQ(-EINVAL, hot_reset(d.device, 1, self->fd[1]));
	ASSERT_EQ(0, hot_reset(d.device, 1, d.group));
	vfio_dev_close(&d);
}

/* ---- Tokens ---- */

static const uint8_t right[16] = { 1, 2, 3, 4 };
static const uint8_t wrong[16] = { 1, 2, 3, 5 };

FIXTURE(token)
{
	char pf[VFIO_BDF_LEN];
	char vf[2][VFIO_BDF_LEN];
	int iommufd;
};

FIXTURE_SETUP(token)
{
	int fd;

	VFIO_IOMMUFD_OPEN_OR_SKIP(self->iommufd);
	if (vfio_sriov_find(self->pf))
		SKIP(_exit(KSFT_SKIP), "no NVMe with VFs here");
	ASSERT_EQ(0, vfio_pci_bind_group(self->pf));
	VFIO_CDEV_OPEN_OR_SKIP(self->pf, fd);
	close(fd);
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y"));
}

FIXTURE_TEARDOWN(token)
{
	close(self->iommufd);
	vfio_sriov_set(self->pf, 0);
	vfio_sysfs_write(VFIO_SRIOV_PARAM, "N");
}

/* Make VFs and open one. Opening the PF resets it, and its VFs suffer. */
static int make_vf(const char *pf, char vf[][VFIO_BDF_LEN])
{
	int ret;

	ret = vfio_sriov_make(pf, vf);
	if (!ret)
		ret = vfio_pci_bind(vf[0]);
	return ret ? ret : vfio_cdev_open(vf[0]);
}

TEST_F(token, on_bind)
{
	int pf, vf, other;

	/* Random as yet: nobody can know it. */
	vf = make_vf(self->pf, self->vf);
	ASSERT_LE(0, vf);
	EXPECT_EQ(-EACCES, vfio_cdev_bind(vf, self->iommufd, NULL));
	EXPECT_EQ(-EACCES, vfio_cdev_bind_token(vf, self->iommufd, right));
	close(vf);
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));

	/* With no VF in use the PF's user chooses it. */
	pf = vfio_cdev_open(self->pf);
	ASSERT_LE(0, pf);
	ASSERT_EQ(0, vfio_cdev_bind_token(pf, self->iommufd, right));
	vf = make_vf(self->pf, self->vf);
	ASSERT_LE(0, vf);
	EXPECT_EQ(-EACCES, vfio_cdev_bind(vf, self->iommufd, NULL));
	EXPECT_EQ(-EACCES, vfio_cdev_bind_token(vf, self->iommufd, wrong));
	EXPECT_EQ(-EFAULT, vfio_cdev_bind_token(vf, self->iommufd, NULL));

	/* A bind that fails for another reason does not change it. */
	other = vfio_cdev_open(self->pf);
	ASSERT_LE(0, other);
	EXPECT_EQ(-EINVAL, vfio_cdev_bind_token(other, self->iommufd, wrong));
	close(other);
	EXPECT_EQ(0, vfio_cdev_bind_token(vf, self->iommufd, right));

	close(vf);
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	close(pf);
}

TEST(token_for_neither_pf_nor_vf)
{
	char bdf[VFIO_BDF_LEN];
	int iommufd, fd;

	VFIO_IOMMUFD_OPEN_OR_SKIP(iommufd);
	VFIO_PCI_BIND_OR_SKIP(VFIO_EDU, bdf);
	VFIO_CDEV_OPEN_OR_SKIP(bdf, fd);
	ASSERT_EQ(-EINVAL, vfio_cdev_bind_token(fd, iommufd, right));
	ASSERT_EQ(0, vfio_cdev_bind(fd, iommufd, NULL));
	close(fd);
	close(iommufd);
}

/* ---- DMA ---- */

#define LEN		2048

TEST(dma_goes_where_it_is_attached)
{
	uint8_t *mem[2], *regs, buf[LEN];
	uint32_t ioas[2], pt;
	struct vfio_dev d;
	int iommufd, i;
	void *p;

	vfio_dev_init(&d);
	VFIO_IOMMUFD_OPEN_OR_SKIP(iommufd);
	VFIO_PCI_BIND_OR_SKIP(VFIO_EDU, d.bdf);
	VFIO_CDEV_OPEN_OR_SKIP(d.bdf, d.device);
	ASSERT_EQ(0, vfio_cdev_bind(d.device, iommufd, NULL));
	ASSERT_EQ(0, vfio_cfg_command(&d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, vfio_region_mmap(&d, 0, 0, PAGE, &p));
	regs = p;

	/* One address in two address spaces. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_ioas_alloc(iommufd, &ioas[i]));
		mem[i] = vfio_alloc_pages(PAGE);
		ASSERT_NE(NULL, mem[i]);
		ASSERT_EQ(0, vfio_ioas_map(iommufd, ioas[i], mem[i], IOVA,
					   PAGE));
	}
	memset(mem[0], 0xa5, LEN);
	memset(buf, 0xa5, LEN);

	pt = ioas[0];
	ASSERT_EQ(0, vfio_cdev_attach(d.device, &pt));
	ASSERT_EQ(0, edu_dma_mapped(regs, IOVA, LEN, false));
	pt = ioas[1];
	ASSERT_EQ(0, vfio_cdev_attach(d.device, &pt));
	ASSERT_EQ(0, edu_dma_mapped(regs, IOVA, LEN, true));
	ASSERT_EQ(0, memcmp(mem[1], buf, LEN));

	/* Detached, it reaches nothing. */
	memset(mem[0], 0, LEN);
	memset(mem[1], 0, LEN);
	memset(buf, 0, LEN);
	ASSERT_EQ(0, vfio_cdev_detach(d.device));
	ASSERT_EQ(0, edu_dma_mapped(regs, IOVA, LEN, true));
	ASSERT_EQ(0, memcmp(mem[0], buf, LEN));
	ASSERT_EQ(0, memcmp(mem[1], buf, LEN));
	vfio_dev_close(&d);
	close(iommufd);
}

/*
 * Device memory has no pages to pin, so no device reaches it by way of an iommufd,
 * and the gate in front of it has nothing there to cut off.
 */
TEST(no_translation_of_device_memory)
{
	uint32_t ioas, pt;
	struct vfio_dev d;
	int iommufd;
	void *bar;

	vfio_dev_init(&d);
	VFIO_IOMMUFD_OPEN_OR_SKIP(iommufd);
	VFIO_PCI_BIND_OR_SKIP(VFIO_EDU, d.bdf);
	VFIO_CDEV_OPEN_OR_SKIP(d.bdf, d.device);
	ASSERT_EQ(0, vfio_cdev_bind(d.device, iommufd, NULL));
	ASSERT_EQ(0, vfio_cfg_command(&d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, vfio_region_mmap(&d, 0, 0, PAGE, &bar));

	/* Nothing is pinned as long as there is no page table. */
	ASSERT_EQ(0, vfio_ioas_alloc(iommufd, &ioas));
	ASSERT_EQ(0, vfio_ioas_map(iommufd, ioas, bar, IOVA, PAGE));
	pt = ioas;
	ASSERT_EQ(-EFAULT, vfio_cdev_attach(d.device, &pt));
	ASSERT_EQ(0, vfio_ioas_unmap(iommufd, ioas, IOVA, PAGE));

	pt = ioas;
	ASSERT_EQ(0, vfio_cdev_attach(d.device, &pt));
	ASSERT_EQ(-EFAULT, vfio_ioas_map(iommufd, ioas, bar, IOVA, PAGE));
	vfio_dev_close(&d);
	close(iommufd);
}

TEST_HARNESS_MAIN
