// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that no IOMMU confines, on a machine that has none: who may use them,
 * and that they are whole. Type1 has no part in it, and nothing is mapped: the
 * device reaches all memory by its physical address.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_util.h"

#define EDU	"1234:11e8"
#define NVME	"1b36:0010"
#define E1000E	"8086:10d3"

#define UUID	"2ab5d2a6-52b5-45f2-a4a8-4d2c0b1e0005"
#define ALLOW	"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define NOBODY	65534
#define PAGE	VFIO_PAGE

/* What taints the kernel when user space may have asked for trouble. */
#define TAINT_USER	(1 << 6)

/*
 * A device as vfio_dev has it, with the name of its group, which is not just a
 * number.
 */
struct device {
	struct vfio_dev d;
	char node[64];
};

static int group_node(const char *bdf, char *node)
{
	int id = vfio_pci_group(bdf);

	snprintf(node, 64, "/dev/vfio/noiommu-%d", id);
	return id < 0 ? id : 0;
}

static int open_node(const char *node)
{
	int fd = open(node, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Bind the device and open its group and a container, not yet joined. */
static int prepare(struct device *dev, const char *bdf)
{
	int ret;

	vfio_dev_init(&dev->d);
	snprintf(dev->d.bdf, sizeof(dev->d.bdf), "%s", bdf);
	ret = vfio_pci_bind(bdf);
	if (!ret)
		ret = group_node(bdf, dev->node);
	if (ret)
		return ret;
	dev->d.container = vfio_open_container();
	dev->d.group = open_node(dev->node);
	return dev->d.group < 0 ? dev->d.group : 0;
}

static int set_container(const struct vfio_dev *d)
{
	return vfio_ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container);
}

static int set_iommu(const struct vfio_dev *d, unsigned long type)
{
	return vfio_ioctl(d->container, VFIO_SET_IOMMU, type);
}

/* All the way to the device's file. */
static int open_device(struct device *dev)
{
	int ret;

	ret = set_container(&dev->d);
	if (!ret)
		ret = set_iommu(&dev->d, VFIO_NOIOMMU_IOMMU);
	if (ret)
		return ret;
	dev->d.device = vfio_get_device_fd(dev->d.group, dev->d.bdf);
	return dev->d.device < 0 ? dev->d.device : 0;
}

static int check(const struct vfio_dev *d, unsigned long type)
{
	return vfio_ioctl(d->container, VFIO_CHECK_EXTENSION, type);
}

static int allow(bool yes)
{
	return vfio_sysfs_write(ALLOW, yes ? "Y" : "N");
}

/* A machine of the right kind, and the device in it, unbound. */
#define FIND_OR_SKIP(id, bdf) do {					\
	const char *__find_id = id;					\
									\
	if (access(ALLOW, F_OK))					\
		SKIP(_exit(KSFT_SKIP), "the kernel has no VFIO_NOIOMMU"); \
	if (vfio_pci_resolve(__find_id, bdf))				\
		SKIP(_exit(KSFT_SKIP), "no device %s here", __find_id);	\
	ASSERT_EQ(0, vfio_pci_unbind(bdf));				\
	if (vfio_pci_group(bdf) != -ENOENT)				\
		SKIP(_exit(KSFT_SKIP), "there is an IOMMU");		\
} while (0)

FIXTURE(noiommu)
{
	struct device nvme;
};

FIXTURE_SETUP(noiommu)
{
	char bdf[VFIO_BDF_LEN];

	FIND_OR_SKIP(NVME, bdf);
	ASSERT_EQ(0, allow(true));
	ASSERT_EQ(0, prepare(&self->nvme, bdf));
}

FIXTURE_TEARDOWN(noiommu)
{
	vfio_dev_close(&self->nvme.d);
	vfio_pci_unbind(self->nvme.d.bdf);
	allow(false);
}

/* Unless the administrator says so there is no such group. */
TEST(must_be_allowed)
{
	char bdf[VFIO_BDF_LEN];

	FIND_OR_SKIP(NVME, bdf);
	ASSERT_EQ(0, allow(false));
	ASSERT_NE(0, vfio_pci_bind(bdf));
	ASSERT_EQ(-ENOENT, vfio_pci_group(bdf));
	ASSERT_EQ(0, allow(true));
	ASSERT_EQ(0, vfio_pci_bind(bdf));
	ASSERT_LE(0, vfio_pci_group(bdf));
	ASSERT_EQ(0, vfio_pci_unbind(bdf));
	ASSERT_EQ(-ENOENT, vfio_pci_group(bdf));
	ASSERT_EQ(0, allow(false));
}

TEST_F(noiommu, taints)
{
	char text[32];

	ASSERT_EQ(0, vfio_sysfs_read("/proc/sys/kernel/tainted", text,
				     sizeof(text)));
	ASSERT_TRUE(atol(text) & TAINT_USER);
}

TEST_F(noiommu, group)
{
	struct vfio_dev *d = &self->nvme.d;
	char node[64], name[32];
	uint32_t flags;

	ASSERT_EQ(0, vfio_pci_attr_read(d->bdf, "iommu_group/name", name,
					sizeof(name)));
	ASSERT_STREQ("vfio-noiommu", name);
	snprintf(node, sizeof(node), "/dev/vfio/%d", vfio_pci_group(d->bdf));
	ASSERT_EQ(-ENOENT, open_node(node));
	ASSERT_EQ(-EBUSY, open_node(self->nvme.node));

	ASSERT_EQ(0, vfio_group_status(d->group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE, flags);
	ASSERT_EQ(-EINVAL, vfio_get_device_fd(d->group, d->bdf));
	ASSERT_EQ(0, set_container(d));
	ASSERT_EQ(-EINVAL, set_container(d));
	ASSERT_EQ(0, vfio_group_status(d->group, &flags));
	ASSERT_EQ(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET,
		  flags);
	ASSERT_EQ(-EINVAL, vfio_get_device_fd(d->group, d->bdf));
	ASSERT_EQ(0, set_iommu(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, vfio_ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_EQ(-EINVAL, vfio_ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER));
}

/* An empty container could become either kind, one with a group cannot. */
TEST_F(noiommu, extension)
{
	struct vfio_dev *d = &self->nvme.d;

	ASSERT_EQ(1, check(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(1, check(d, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, allow(false));
	ASSERT_EQ(0, check(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, allow(true));
	ASSERT_EQ(-EINVAL, set_iommu(d, VFIO_NOIOMMU_IOMMU));

	ASSERT_EQ(0, set_container(d));
	ASSERT_EQ(1, check(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, check(d, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(0, check(d, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(-ENODEV, set_iommu(d, VFIO_TYPE1_IOMMU));
	ASSERT_EQ(-ENODEV, set_iommu(d, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, allow(false));
	ASSERT_EQ(-ENODEV, set_iommu(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, allow(true));
	ASSERT_EQ(0, set_iommu(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(-EINVAL, set_iommu(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(1, check(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(0, check(d, VFIO_TYPE1v2_IOMMU));
}

TEST_F(noiommu, nothing_is_mapped)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct vfio_dev *d = &self->nvme.d;
	void *mem = vfio_alloc_pages(PAGE);

	ASSERT_EQ(0, open_device(&self->nvme));
	ASSERT_EQ(-ENOTTY, vfio_dma_map(d->container, mem, 0, PAGE));
	ASSERT_EQ(-ENOTTY, vfio_dma_unmap(d->container, 0, PAGE));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(d->container, VFIO_IOMMU_GET_INFO,
				      &info));
}

/* A step that needs the privilege, tried by an ordinary user. */
enum step { OPEN_GROUP, SET_CONTAINER, SET_IOMMU, OPEN_DEVICE, USE_DEVICE };

static int as_nobody(struct device *dev, enum step step)
{
	struct vfio_dev *d = &dev->d;

	if (setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -ESRCH;
	switch (step) {
	case OPEN_GROUP:
		return open_node(dev->node);
	case SET_CONTAINER:
		return set_container(d);
	case SET_IOMMU:
		return set_iommu(d, VFIO_NOIOMMU_IOMMU);
	case OPEN_DEVICE:
		return vfio_get_device_fd(d->group, d->bdf);
	case USE_DEVICE:
		return vfio_cfg_read32(d, 0) == ~0u ? -EIO : 0;
	}
	return -EINVAL;
}

static int try_as_nobody(struct device *dev, enum step step)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(-as_nobody(dev, step));
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* Not even files that came from a careless administrator are enough. */
TEST_F(noiommu, needs_privilege)
{
	struct vfio_dev *d = &self->nvme.d;

	ASSERT_EQ(0, chmod(self->nvme.node, 0666));
	ASSERT_EQ(-EPERM, try_as_nobody(&self->nvme, OPEN_GROUP));
	ASSERT_EQ(-EPERM, try_as_nobody(&self->nvme, SET_CONTAINER));
	ASSERT_EQ(0, set_container(d));
	ASSERT_EQ(-EPERM, try_as_nobody(&self->nvme, SET_IOMMU));
	ASSERT_EQ(0, set_iommu(d, VFIO_NOIOMMU_IOMMU));
	ASSERT_EQ(-EPERM, try_as_nobody(&self->nvme, OPEN_DEVICE));
	d->device = vfio_get_device_fd(d->group, d->bdf);
	ASSERT_LE(0, d->device);

	/* What is open works: who opened it was asked then. */
	ASSERT_EQ(0, try_as_nobody(&self->nvme, USE_DEVICE));
}

/* With and without an IOMMU do not share a container. */
TEST_F(noiommu, does_not_mix)
{
	struct vfio_dev *d = &self->nvme.d;
	struct vfio_dev mtty;

	if (vfio_mtty_load())
		SKIP(return, "the mtty sample is not here");
	vfio_mtty_destroy(UUID);
	ASSERT_EQ(0, vfio_mtty_create("mtty-1", UUID));
	ASSERT_EQ(0, vfio_dev_open_named(&mtty, UUID, vfio_mtty_group(UUID),
					 VFIO_TYPE1v2_IOMMU, NULL));

	EXPECT_EQ(-EPERM, vfio_ioctl(d->group, VFIO_GROUP_SET_CONTAINER,
				     &mtty.container));
	EXPECT_EQ(0, check(&mtty, VFIO_NOIOMMU_IOMMU));
	EXPECT_EQ(0, open_device(&self->nvme));
	close(mtty.device);
	mtty.device = -1;
	EXPECT_EQ(0, vfio_ioctl(mtty.group, VFIO_GROUP_UNSET_CONTAINER));
	EXPECT_EQ(-EPERM, vfio_ioctl(mtty.group, VFIO_GROUP_SET_CONTAINER,
				     &d->container));
	vfio_dev_close(&mtty);
	EXPECT_EQ(0, vfio_mtty_destroy(UUID));
}

TEST_F(noiommu, device)
{
	struct vfio_dev *d = &self->nvme.d;
	struct vfio_device_info info;
	uint32_t version;
	void *bar;

	ASSERT_EQ(0, open_device(&self->nvme));
	ASSERT_EQ(-EBUSY, vfio_ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_EQ(0, vfio_dev_info(d, &info));
	ASSERT_EQ(VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET, info.flags);
	ASSERT_EQ(0x00101b36, vfio_cfg_read32(d, 0));
	ASSERT_EQ(0, vfio_region_mmap(d, 0, 0, PAGE, &bar));
	ASSERT_EQ(4, vfio_region_read(d, 0, 8, &version, 4));
	ASSERT_NE(~0u, version);
	ASSERT_EQ(version, vfio_mmio_read32(bar + 8));
	ASSERT_EQ(0, vfio_ioctl(d->device, VFIO_DEVICE_RESET));
	ASSERT_EQ(version, vfio_mmio_read32(bar + 8));
	ASSERT_EQ(0, munmap(bar, PAGE));
}

TEST_F(noiommu, comes_and_goes)
{
	char bdf[VFIO_BDF_LEN];
	int i;

	memcpy(bdf, self->nvme.d.bdf, sizeof(bdf));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, open_device(&self->nvme));
		vfio_dev_close(&self->nvme.d);
		ASSERT_EQ(0, vfio_pci_unbind(bdf));
		ASSERT_EQ(-ENOENT, open_node(self->nvme.node));
		ASSERT_EQ(0, prepare(&self->nvme, bdf));
	}
}

/* A second device is in a group of its own and can join the container. */
TEST_F(noiommu, two_devices)
{
	char bdf[VFIO_BDF_LEN];
	struct device other;

	if (vfio_pci_resolve(E1000E, bdf))
		SKIP(return, "no device %s here", E1000E);
	ASSERT_EQ(0, open_device(&self->nvme));
	ASSERT_EQ(0, prepare(&other, bdf));
	ASSERT_NE(0, strcmp(other.node, self->nvme.node));
	ASSERT_EQ(0, vfio_ioctl(other.d.group, VFIO_GROUP_SET_CONTAINER,
				&self->nvme.d.container));
	other.d.device = vfio_get_device_fd(other.d.group, bdf);
	ASSERT_LE(0, other.d.device);
	EXPECT_EQ(0x10d38086, vfio_cfg_read32(&other.d, 0));
	vfio_dev_close(&other.d);
	EXPECT_EQ(0, vfio_pci_unbind(bdf));
}

/* The registers of e1000e that raise an MSI-X vector. */
#define E1000E_ICS	0xc8
#define E1000E_IMS	0xd0
#define E1000E_IVAR	0xe4
#define E1000E_OTHER	(1u << 24)

TEST(interrupt)
{
	const uint32_t ivar = 0x8 << 16, cause = E1000E_OTHER;
	struct device dev;
	char bdf[VFIO_BDF_LEN];
	int efd = vfio_eventfd();

	FIND_OR_SKIP(E1000E, bdf);
	ASSERT_EQ(0, allow(true));
	ASSERT_EQ(0, prepare(&dev, bdf));
	ASSERT_EQ(0, open_device(&dev));
	ASSERT_EQ(0, vfio_cfg_command(&dev.d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, vfio_irq_eventfd(&dev.d, VFIO_PCI_MSIX_IRQ_INDEX, 0,
				      efd));
	EXPECT_EQ(4, vfio_region_write(&dev.d, 0, E1000E_IVAR, &ivar, 4));
	EXPECT_EQ(4, vfio_region_write(&dev.d, 0, E1000E_IMS, &cause, 4));
	EXPECT_EQ(4, vfio_region_write(&dev.d, 0, E1000E_ICS, &cause, 4));
	EXPECT_EQ(0, vfio_eventfd_wait(efd, 2000, NULL));
	/* The emulated device still has a timer running for the vector. */
	usleep(20000);
	vfio_dev_close(&dev.d);
	EXPECT_EQ(0, vfio_pci_unbind(bdf));
	EXPECT_EQ(0, allow(false));
	close(efd);
}

/*
 * edu copies between memory and a buffer of its own. It must drive as many
 * address bits as there is memory (QEMU: dma_mask), or it hits another page.
 */
#define EDU_LEN		2048

/* Where in memory a page lies; 0 when the kernel does not tell. */
static uint64_t physical(const void *p)
{
	uint64_t entry = 0;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)p / PAGE *
		  sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return (entry & ((1ull << 55) - 1)) * PAGE;
}

TEST(reaches_all_memory)
{
	uint64_t source, target;
	char bdf[VFIO_BDF_LEN];
	struct device dev;
	char *mem;
	void *regs;

	FIND_OR_SKIP(EDU, bdf);
	mem = vfio_alloc_pages(2 * PAGE);
	ASSERT_EQ(0, mlock(mem, 2 * PAGE));
	memset(mem, 'x', EDU_LEN);
	source = physical(mem);
	target = physical(mem + PAGE);
	ASSERT_NE(0, source);
	ASSERT_NE(0, target);

	ASSERT_EQ(0, allow(true));
	ASSERT_EQ(0, prepare(&dev, bdf));
	ASSERT_EQ(0, open_device(&dev));
	ASSERT_EQ(0, vfio_cfg_command(&dev.d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, vfio_region_mmap(&dev.d, 0, 0, PAGE, &regs));
	EXPECT_EQ(0, edu_dma_mapped(regs, source, EDU_LEN, false));
	EXPECT_EQ(0, edu_dma_mapped(regs, target, EDU_LEN, true));
	EXPECT_EQ(0, memcmp(mem, mem + PAGE, EDU_LEN));
	EXPECT_EQ(0, munmap(regs, PAGE));
	vfio_dev_close(&dev.d);
	EXPECT_EQ(0, vfio_pci_unbind(bdf));
	EXPECT_EQ(0, allow(false));
}

TEST_HARNESS_MAIN
