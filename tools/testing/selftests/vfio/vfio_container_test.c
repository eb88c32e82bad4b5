// SPDX-License-Identifier: GPL-2.0-only
/* The container file, and how groups come to it and leave it. */
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"

#define FIRST_DEVICE "1b36:0010"
#define SECOND_DEVICE "1234:11e8"

static int set_iommu(int container, long type)
{
	return vfio_ioctl(container, VFIO_SET_IOMMU, type);
}

static int check_extension(int container, unsigned long ext)
{
	return vfio_ioctl(container, VFIO_CHECK_EXTENSION, ext);
}

static int set_container(int group, int container)
{
	return vfio_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
}

static int unset_container(int group)
{
	return vfio_ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
}

/* A container that has no group: almost nothing can be done with it. */
FIXTURE(container)
{
	int fd;
};

FIXTURE_SETUP(container)
{
	self->fd = vfio_open_container();
	if (self->fd == -ENOENT) {
		ASSERT_EQ(0, vfio_modprobe("vfio"));
		self->fd = vfio_open_container();
	}
	ASSERT_LE(0, self->fd);
	vfio_modprobe("vfio_iommu_type1");
}

FIXTURE_TEARDOWN(container)
{
	close(self->fd);
}

TEST_F(container, api_version)
{
	ASSERT_EQ(VFIO_API_VERSION,
		  vfio_ioctl(self->fd, VFIO_GET_API_VERSION));
	/* An argument is ignored. */
	ASSERT_EQ(VFIO_API_VERSION,
		  vfio_ioctl(self->fd, VFIO_GET_API_VERSION, -1L));
}

TEST_F(container, extensions)
{
	ASSERT_EQ(1, check_extension(self->fd, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(1, check_extension(self->fd, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(1, check_extension(self->fd, VFIO_UNMAP_ALL));
	ASSERT_EQ(1, check_extension(self->fd, VFIO_TYPE1_NESTING_IOMMU));
	/* Known only once there is an IOMMU. */
	ASSERT_EQ(0, check_extension(self->fd, VFIO_UPDATE_VADDR));
	ASSERT_EQ(0, check_extension(self->fd, VFIO_DMA_CC_IOMMU));
	ASSERT_EQ(0, check_extension(self->fd, VFIO_SPAPR_TCE_IOMMU));
	ASSERT_EQ(0, check_extension(self->fd, VFIO_SPAPR_TCE_v2_IOMMU));
	ASSERT_EQ(0, check_extension(self->fd, VFIO_EEH));
	ASSERT_EQ(0, check_extension(self->fd, 0));
	ASSERT_EQ(0, check_extension(self->fd, 11));
	ASSERT_EQ(0, check_extension(self->fd, -1));
	ASSERT_EQ(0, check_extension(self->fd, LONG_MAX));
}

TEST_F(container, no_iommu_without_group)
{
	long type;

	for (type = -1; type < 12; type++)
		ASSERT_EQ(-EINVAL, set_iommu(self->fd, type));
}

TEST_F(container, no_dma_without_iommu)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	void *page = vfio_alloc_pages(VFIO_PAGE);

	ASSERT_NE(NULL, page);
	ASSERT_EQ(-EINVAL, vfio_ioctl(self->fd, VFIO_IOMMU_GET_INFO, &info));
	ASSERT_EQ(-EINVAL, vfio_dma_map(self->fd, page, 0, VFIO_PAGE));
	ASSERT_EQ(-EINVAL, vfio_dma_unmap(self->fd, 0, VFIO_PAGE));
	ASSERT_EQ(-EINVAL, vfio_ioctl(self->fd, VFIO_IOMMU_DIRTY_PAGES, page));
}

TEST_F(container, unknown_ioctls)
{
	ASSERT_EQ(-EINVAL, vfio_ioctl(self->fd, VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_EQ(-EINVAL, vfio_ioctl(self->fd, VFIO_DEVICE_RESET));
	ASSERT_EQ(-EINVAL, vfio_ioctl(self->fd, _IO(VFIO_TYPE, 200)));
	ASSERT_EQ(-EINVAL, vfio_ioctl(self->fd, _IO('x', VFIO_BASE)));
}

TEST_F(container, no_file_io)
{
	char byte;
	void *p;

	ASSERT_EQ(-EINVAL, vfio_pread(self->fd, &byte, 1, 0));
	ASSERT_EQ(-EINVAL, vfio_pwrite(self->fd, &byte, 1, 0));
	ASSERT_EQ(-1, read(self->fd, &byte, 1));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(-ENODEV, vfio_mmap(self->fd, 4096, PROT_READ, MAP_SHARED, 0,
				     &p));
}

TEST_F(container, many)
{
	int fds[64];
	int i;

	for (i = 0; i < 64; i++) {
		fds[i] = vfio_open_container();
		ASSERT_LE(0, fds[i]);
	}
	for (i = 0; i < 64; i++)
		ASSERT_EQ(0, close(fds[i]));
}

/* One or two open groups, and a container they have not met. */
FIXTURE(attach)
{
	struct vfio_dev a;
	struct vfio_dev b;
	int container;
};

FIXTURE_SETUP(attach)
{
	int ret;

	vfio_dev_init(&self->b);
	ret = vfio_dev_open_group(&self->a, FIRST_DEVICE);
	if (ret == -ENXIO)
		SKIP(return, "no device %s here", FIRST_DEVICE);
	ASSERT_EQ(0, ret);
	self->container = vfio_open_container();
	ASSERT_LE(0, self->container);
}

FIXTURE_TEARDOWN(attach)
{
	vfio_dev_close(&self->b);
	vfio_dev_close(&self->a);
	close(self->container);
}

#define OPEN_SECOND_OR_SKIP(self) do {					\
	int __second = vfio_dev_open_group(&(self)->b, SECOND_DEVICE);	\
									\
	if (__second == -ENXIO)						\
		SKIP(_exit(KSFT_SKIP), "no device %s here",		\
		     SECOND_DEVICE);					\
	ASSERT_EQ(0, __second);						\
} while (0)

TEST_F(attach, bad_containers)
{
	int pipes[2];
	int null;

	ASSERT_EQ(-EFAULT, vfio_ioctl(self->a.group, VFIO_GROUP_SET_CONTAINER,
				      NULL));
	ASSERT_EQ(-EBADF, set_container(self->a.group, -1));
	ASSERT_EQ(-EBADF, set_container(self->a.group, INT_MIN));
	ASSERT_EQ(-EBADF, set_container(self->a.group, 1000));
	ASSERT_EQ(-EBADF, set_container(self->a.group, INT_MAX));

	ASSERT_EQ(0, pipe(pipes));
	null = open("/dev/null", O_RDWR);
	ASSERT_LE(0, null);
	ASSERT_EQ(-EBADFD, set_container(self->a.group, pipes[0]));
	ASSERT_EQ(-EBADFD, set_container(self->a.group, null));
	ASSERT_EQ(-EBADFD, set_container(self->a.group, self->a.group));

	close(null);
	ASSERT_EQ(-EBADF, set_container(self->a.group, null));

	/* None of these left a trace. */
	ASSERT_EQ(-EINVAL, unset_container(self->a.group));
	ASSERT_EQ(0, set_container(self->a.group, self->container));
}

TEST_F(attach, set_and_unset)
{
	uint32_t flags;
	int other;

	ASSERT_EQ(-EINVAL, unset_container(self->a.group));
	ASSERT_EQ(0, vfio_group_status(self->a.group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, flags);

	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(0, vfio_group_status(self->a.group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET,
		  flags);

	other = vfio_open_container();
	ASSERT_LE(0, other);
	ASSERT_EQ(-EINVAL, set_container(self->a.group, self->container));
	ASSERT_EQ(-EINVAL, set_container(self->a.group, other));

	ASSERT_EQ(0, unset_container(self->a.group));
	ASSERT_EQ(-EINVAL, unset_container(self->a.group));
	ASSERT_EQ(0, set_container(self->a.group, other));
	ASSERT_EQ(0, unset_container(self->a.group));
	close(other);
}

TEST_F(attach, iommu_types)
{
	static const long wrong[] = {
		0, -1, 99, LONG_MAX, VFIO_SPAPR_TCE_IOMMU,
		VFIO_SPAPR_TCE_v2_IOMMU, VFIO_NOIOMMU_IOMMU, VFIO_EEH,
	};
	size_t i;

	ASSERT_EQ(0, set_container(self->a.group, self->container));
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		ASSERT_EQ(-ENODEV, set_iommu(self->container, wrong[i]));

	/* Extensions that are no types. */
	ASSERT_EQ(-EINVAL, set_iommu(self->container, VFIO_UNMAP_ALL));
	ASSERT_EQ(-ENODEV, set_iommu(self->container, VFIO_UPDATE_VADDR));
	ASSERT_EQ(-ENODEV, set_iommu(self->container, VFIO_DMA_CC_IOMMU));

	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(-EINVAL, set_iommu(self->container, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(-EINVAL, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(-EINVAL, set_iommu(self->container, 99));

	/* The last group takes the IOMMU with it. */
	ASSERT_EQ(0, unset_container(self->a.group));
	ASSERT_EQ(-EINVAL, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
}

TEST_F(attach, extensions)
{
	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(1, check_extension(self->container, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(0, check_extension(self->container, VFIO_NOIOMMU_IOMMU));

	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(1, check_extension(self->container, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(1, check_extension(self->container, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(1, check_extension(self->container, VFIO_UPDATE_VADDR));
	ASSERT_EQ(1, check_extension(self->container, VFIO_UNMAP_ALL));
	ASSERT_LE(0, check_extension(self->container, VFIO_DMA_CC_IOMMU));
	ASSERT_EQ(0, check_extension(self->container, 0));
	ASSERT_EQ(0, check_extension(self->container, 77));
}

TEST_F(attach, unknown_ioctls)
{
	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(-EINVAL, vfio_ioctl(self->container, _IO(VFIO_TYPE, 200)));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1_IOMMU));
	/* Now the IOMMU back end is asked. */
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->container, _IO(VFIO_TYPE, 200)));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->container, VFIO_IOMMU_ENABLE));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->container, _IO('x', VFIO_BASE)));
	ASSERT_EQ(VFIO_API_VERSION,
		  vfio_ioctl(self->container, VFIO_GET_API_VERSION));
}

TEST_F(attach, device_needs_iommu)
{
	ASSERT_EQ(-EINVAL, vfio_get_device_fd(self->a.group, self->a.bdf));
	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(-EINVAL, vfio_get_device_fd(self->a.group, self->a.bdf));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	self->a.device = vfio_get_device_fd(self->a.group, self->a.bdf);
	ASSERT_LE(0, self->a.device);
}

TEST_F(attach, unset_while_device_open)
{
	int second;

	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	self->a.device = vfio_get_device_fd(self->a.group, self->a.bdf);
	ASSERT_LE(0, self->a.device);
	ASSERT_EQ(-EBUSY, unset_container(self->a.group));

	second = vfio_get_device_fd(self->a.group, self->a.bdf);
	ASSERT_LE(0, second);
	close(self->a.device);
	self->a.device = second;
	ASSERT_EQ(-EBUSY, unset_container(self->a.group));

	close(self->a.device);
	self->a.device = -1;
	ASSERT_EQ(0, unset_container(self->a.group));
}

/* A device file is no container either. */
TEST_F(attach, device_as_container)
{
	OPEN_SECOND_OR_SKIP(self);
	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	self->a.device = vfio_get_device_fd(self->a.group, self->a.bdf);
	ASSERT_LE(0, self->a.device);
	ASSERT_EQ(-EBADFD, set_container(self->b.group, self->a.device));
	ASSERT_EQ(-EBADFD, set_container(self->b.group, self->a.group));
}

TEST_F(attach, two_groups)
{
	void *page = vfio_alloc_pages(VFIO_PAGE);
	uint32_t flags;

	OPEN_SECOND_OR_SKIP(self);
	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(0, set_container(self->b.group, self->container));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_dma_map(self->container, page, 0x10000, VFIO_PAGE));
	self->a.device = vfio_get_device_fd(self->a.group, self->a.bdf);
	ASSERT_LE(0, self->a.device);
	self->b.device = vfio_get_device_fd(self->b.group, self->b.bdf);
	ASSERT_LE(0, self->b.device);

	/* Each group gives its own devices only. */
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(self->a.group, self->b.bdf));

	close(self->b.device);
	self->b.device = -1;
	ASSERT_EQ(0, unset_container(self->b.group));
	ASSERT_EQ(-EBUSY, unset_container(self->a.group));
	ASSERT_EQ(0, vfio_group_status(self->b.group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, flags);

	/* The first group's mappings stayed; the second one joins them. */
	ASSERT_EQ(0, set_container(self->b.group, self->container));
	self->b.device = vfio_get_device_fd(self->b.group, self->b.bdf);
	ASSERT_LE(0, self->b.device);
	ASSERT_EQ(-EEXIST, vfio_dma_map(self->container, page, 0x10000, VFIO_PAGE));
	ASSERT_EQ(0, vfio_dma_unmap(self->container, 0x10000, VFIO_PAGE));
}

TEST_F(attach, two_containers)
{
	int other = vfio_open_container();

	OPEN_SECOND_OR_SKIP(self);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(0, set_container(self->b.group, other));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(0, set_iommu(other, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(-EINVAL, set_container(self->b.group, self->container));
	ASSERT_EQ(0, unset_container(self->b.group));
	ASSERT_EQ(0, set_container(self->b.group, self->container));
	ASSERT_EQ(-EINVAL, set_iommu(other, VFIO_TYPE1v2_IOMMU));
	close(other);
}

/* The group keeps the container, whose own file may be long gone. */
TEST_F(attach, container_closed_first)
{
	uint32_t flags;

	ASSERT_EQ(0, set_container(self->a.group, self->container));
	ASSERT_EQ(0, set_iommu(self->container, VFIO_TYPE1v2_IOMMU));
	close(self->container);
	self->container = -1;
	self->a.device = vfio_get_device_fd(self->a.group, self->a.bdf);
	ASSERT_LE(0, self->a.device);
	close(self->a.device);
	self->a.device = -1;
	ASSERT_EQ(0, unset_container(self->a.group));
	ASSERT_EQ(0, vfio_group_status(self->a.group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, flags);
	self->container = vfio_open_container();
	ASSERT_EQ(0, set_container(self->a.group, self->container));
}

/* Container, group and device closed in every order. */
FIXTURE(close_order)
{
	struct vfio_dev d;
};

FIXTURE_VARIANT(close_order)
{
	int order[3];
};

enum { CONTAINER, GROUP, DEVICE };

FIXTURE_VARIANT_ADD(close_order, cgd)
{
	.order = { CONTAINER, GROUP, DEVICE },
};

FIXTURE_VARIANT_ADD(close_order, cdg)
{
	.order = { CONTAINER, DEVICE, GROUP },
};

FIXTURE_VARIANT_ADD(close_order, gcd)
{
	.order = { GROUP, CONTAINER, DEVICE },
};

FIXTURE_VARIANT_ADD(close_order, gdc)
{
	.order = { GROUP, DEVICE, CONTAINER },
};

FIXTURE_VARIANT_ADD(close_order, dcg)
{
	.order = { DEVICE, CONTAINER, GROUP },
};

FIXTURE_VARIANT_ADD(close_order, dgc)
{
	.order = { DEVICE, GROUP, CONTAINER },
};

FIXTURE_SETUP(close_order)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, FIRST_DEVICE, VFIO_TYPE1v2_IOMMU);
}

FIXTURE_TEARDOWN(close_order)
{
	vfio_dev_close(&self->d);
}

TEST_F(close_order, group_is_free_at_the_end)
{
	void *page = vfio_alloc_pages(VFIO_PAGE);
	int64_t pinned = vfio_pinned_pages();
	int *fds[] = { &self->d.container, &self->d.group, &self->d.device };
	struct vfio_device_info info;
	bool group_open = true;
	bool device_open = true;
	int i, fd;

	ASSERT_EQ(0, vfio_dma_map(self->d.container, page, VFIO_IOVA_BASE,
				  VFIO_PAGE));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, close(*fds[variant->order[i]]));
		*fds[variant->order[i]] = -1;
		if (variant->order[i] == GROUP)
			group_open = false;
		if (variant->order[i] == DEVICE)
			device_open = false;

		if (device_open)
			ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
		fd = vfio_open_group(self->d.group_id);
		if (group_open || device_open) {
			ASSERT_EQ(-EBUSY, fd);
		} else {
			ASSERT_LE(0, fd);
			close(fd);
		}
	}
	for (i = 0; i < 50 && vfio_pinned_pages() != pinned; i++)
		usleep(20000);
	ASSERT_EQ(pinned, vfio_pinned_pages());
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, VFIO_TYPE1_IOMMU));
}

TEST_HARNESS_MAIN
