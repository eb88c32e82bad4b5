// SPDX-License-Identifier: GPL-2.0-only
/* How a device comes to vfio-pci, and how it leaves while somebody has it. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define DRIVER "/sys/bus/pci/drivers/vfio-pci"

FIXTURE(bind)
{
	char bdf[VFIO_BDF_LEN];
	char ids[32];
	int klog;
};

FIXTURE_VARIANT(bind)
{
	const char *id;
};

FIXTURE_VARIANT_ADD(bind, nvme) { .id = VFIO_NVME };
FIXTURE_VARIANT_ADD(bind, edu) { .id = VFIO_EDU };
FIXTURE_VARIANT_ADD(bind, rtl8139) { .id = VFIO_RTL8139 };

FIXTURE_SETUP(bind)
{
	VFIO_PCI_BIND_OR_SKIP(variant->id, self->bdf);
	ASSERT_EQ(0, vfio_pci_override(self->bdf, ""));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf));
	snprintf(self->ids, sizeof(self->ids), "%.4s %.4s", variant->id,
		 variant->id + 5);
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
}

FIXTURE_TEARDOWN(bind)
{
	vfio_sysfs_write(DRIVER "/remove_id", self->ids);
	vfio_pci_override(self->bdf, "");
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

static int bind_directly(const char *bdf)
{
	return vfio_sysfs_write(DRIVER "/bind", bdf);
}

static bool has_group_node(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%d", vfio_pci_group(bdf));
	return !access(path, F_OK);
}

TEST_F(bind, driver_override)
{
	/* vfio-pci has no ids of its own: it never takes a device unasked. */
	ASSERT_EQ(0, vfio_sysfs_write("/sys/bus/pci/drivers_probe",
				      self->bdf));
	ASSERT_FALSE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	/* The driver that is made for it may have taken it. */
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf));
	ASSERT_EQ(-ENODEV, bind_directly(self->bdf));

	ASSERT_EQ(0, vfio_pci_override(self->bdf, "vfio-pci"));
	ASSERT_FALSE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	ASSERT_EQ(0, vfio_sysfs_write("/sys/bus/pci/drivers_probe",
				      self->bdf));
	ASSERT_TRUE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	ASSERT_TRUE(has_group_node(self->bdf));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf));
	ASSERT_FALSE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	ASSERT_EQ(0, bind_directly(self->bdf));
	ASSERT_TRUE(vfio_pci_is_bound(self->bdf, "vfio-pci"));

	/* Clearing it leaves the device where it is. */
	ASSERT_EQ(0, vfio_pci_override(self->bdf, ""));
	ASSERT_TRUE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
}

TEST_F(bind, new_id)
{
	struct vfio_dev d;

	ASSERT_EQ(0, vfio_sysfs_write(DRIVER "/new_id", self->ids));
	ASSERT_EQ(-EEXIST, vfio_sysfs_write(DRIVER "/new_id", self->ids));
	ASSERT_EQ(-EINVAL, vfio_sysfs_write(DRIVER "/new_id", "zzzz"));
	ASSERT_TRUE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	vfio_dev_close(&d);

	ASSERT_EQ(0, vfio_sysfs_write(DRIVER "/remove_id", self->ids));
	ASSERT_EQ(-ENODEV, vfio_sysfs_write(DRIVER "/remove_id", self->ids));
	/* What is bound stays bound. */
	ASSERT_TRUE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf));
	ASSERT_EQ(-ENODEV, bind_directly(self->bdf));
}

TEST_F(bind, rebind_many)
{
	struct vfio_dev d;
	int i;

	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, vfio_pci_bind(self->bdf));
		ASSERT_TRUE(has_group_node(self->bdf));
		if (i & 1) {
			ASSERT_EQ(0, vfio_dev_open(&d, self->bdf,
						   VFIO_TYPE1v2_IOMMU));
			vfio_dev_close(&d);
		}
		ASSERT_EQ(0, vfio_pci_unbind(self->bdf));
	}
}

/* An open group file of a group whose last device went. */
TEST_F(bind, group_file_outlives_device)
{
	struct vfio_dev d;
	uint32_t flags;
	int container;

	ASSERT_EQ(0, vfio_dev_open_group(&d, self->bdf));
	ASSERT_EQ(0, vfio_pci_override(self->bdf, ""));
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf));
	ASSERT_FALSE(has_group_node(self->bdf));
	ASSERT_EQ(-ENODEV, vfio_group_status(d.group, &flags));
	container = vfio_open_container();
	ASSERT_LE(0, container);
	ASSERT_EQ(-ENODEV, vfio_ioctl(d.group, VFIO_GROUP_SET_CONTAINER,
				      &container));
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(d.group, self->bdf));
	close(container);

	/* A new life does not meet the old file. */
	ASSERT_EQ(0, vfio_pci_bind(self->bdf));
	vfio_dev_close(&d);
	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	vfio_dev_close(&d);
}

/*
 * Unbinding waits for the user. The user is asked through the request eventfd
 * and can do all that it could before until it closes the device.
 */
TEST_F_TIMEOUT(bind, unbind_while_open, 60)
{
	struct vfio_dev d;
	int status, fd, i;
	uint32_t id;
	pid_t pid;

	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	fd = vfio_eventfd();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_irq_eventfd(&d, VFIO_PCI_REQ_IRQ_INDEX, 0, fd));
	id = vfio_cfg_read32(&d, 0);
	ASSERT_EQ(-ETIMEDOUT, vfio_eventfd_wait(fd, 100, NULL));

	pid = fork();
	if (!pid) {
		/* Only the parent's files shall count. */
		close(d.device);
		close(d.group);
		close(d.container);
		_exit(vfio_pci_unbind(self->bdf) ? 1 : 0);
	}
	ASSERT_EQ(0, vfio_eventfd_wait(fd, 5000, NULL));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
		ASSERT_EQ(id, vfio_cfg_read32(&d, 0));
		usleep(20000);
	}
	/* It is asked again and again. */
	ASSERT_EQ(0, vfio_eventfd_wait(fd, 15000, NULL));
	/* No new user while the device is on its way out. */
	ASSERT_EQ(-ENODEV, vfio_get_device_fd(d.group, self->bdf));

	close(d.device);
	d.device = -1;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_EQ(0, WEXITSTATUS(status));
	ASSERT_FALSE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	ASSERT_FALSE(has_group_node(self->bdf));
	vfio_dev_close(&d);
	close(fd);
	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	vfio_dev_close(&d);
}

/* A mapping alone keeps the device just as a file does. */
TEST_F_TIMEOUT(bind, unbind_while_mapped, 60)
{
	struct vfio_region_info info;
	uint32_t seen, bar;
	struct vfio_dev d;
	int status, i;
	pid_t pid;
	void *p;

	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	for (bar = 0; bar < 6; bar++) {
		ASSERT_EQ(0, vfio_region_info(&d, bar, &info));
		if (info.flags & VFIO_REGION_INFO_FLAG_MMAP)
			break;
	}
	if (bar == 6) {
		vfio_dev_close(&d);
		SKIP(return, "no BAR can be mapped");
	}
	pid = fork();
	if (!pid) {
		usleep(200000);
		close(d.device);
		close(d.group);
		close(d.container);
		_exit(vfio_pci_unbind(self->bdf) ? 1 : 0);
	}
	ASSERT_EQ(0, vfio_region_mmap(&d, bar, 0, 4096, &p));
	vfio_dev_close(&d);
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
		ASSERT_EQ(0, vfio_try_load32(p, &seen));
		usleep(20000);
	}
	ASSERT_EQ(0, munmap(p, 4096));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_FALSE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
}

#define IDLE_D3	"/sys/module/vfio_pci/parameters/disable_idle_d3"

/* A parameter that is changed holds for what is bound from then on. */
TEST_F(bind, parameter_at_run_time)
{
	ASSERT_EQ(0, vfio_pci_bind(self->bdf));
	ASSERT_EQ(0, vfio_runtime_status(self->bdf, "suspended", 5000));
	ASSERT_EQ(-EINVAL, vfio_sysfs_write(IDLE_D3, "perhaps"));
	ASSERT_EQ(0, vfio_sysfs_write(IDLE_D3, "Y"));

	/* This one came before, and goes the same way. */
	EXPECT_EQ(0, vfio_runtime_status(self->bdf, "suspended", 0));
	EXPECT_EQ(0, vfio_pci_unbind(self->bdf));
	EXPECT_EQ(0, vfio_pci_bind(self->bdf));
	EXPECT_EQ(-ETIMEDOUT,
		  vfio_runtime_status(self->bdf, "suspended", 2500));
	EXPECT_EQ(0, vfio_sysfs_write(IDLE_D3, "N"));
	EXPECT_EQ(-ETIMEDOUT,
		  vfio_runtime_status(self->bdf, "suspended", 2500));

	EXPECT_EQ(0, vfio_pci_unbind(self->bdf));
	EXPECT_EQ(0, vfio_pci_bind(self->bdf));
	EXPECT_EQ(0, vfio_runtime_status(self->bdf, "suspended", 5000));
}

/* Whose BARs somebody else has can be opened; the log does not grow by each try. */
TEST_F(bind, bars_of_somebody_else)
{
	char arg[64];
	const char *const load[] = { "modprobe", "test_pci_claim", arg, NULL };
	struct vfio_dev d;
	uint8_t value;
	void *p;
	int i, bar = !strcmp(variant->id, VFIO_RTL8139);
	int klog = vfio_klog_open();

	snprintf(arg, sizeof(arg), "device=%s", self->bdf);
	if (vfio_run(load))
		SKIP(return, "no module test_pci_claim");
	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_cfg_command(&d, PCI_COMMAND_MEMORY, 0));
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(-EBUSY, vfio_region_read(&d, bar, 0, &value, 1));
		EXPECT_EQ(-EBUSY, vfio_region_mmap(&d, bar, 0, 4096, &p));
	}
	EXPECT_EQ(0, vfio_klog_count(klog, "can't reserve"));
	EXPECT_EQ(1, vfio_klog_count(self->klog, "is in use, see /proc/iomem"));
	close(klog);

	/* It can be had at once when they are free. */
	ASSERT_EQ(0, vfio_module_remove("test_pci_claim"));
	EXPECT_EQ(1, vfio_region_read(&d, bar, 0, &value, 1));
	vfio_dev_close(&d);
}

/* The module cannot go while a device is open, and takes ids when it comes. */
TEST_F_TIMEOUT(bind, module_ids, 60)
{
	char arg[64];
	const char *const load[] = { "modprobe", "vfio-pci", arg, NULL };
	struct vfio_dev d;

	if (vfio_module_refs("vfio_pci") < 0)
		SKIP(return, "vfio-pci is no module here");
	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	ASSERT_NE(0, vfio_module_remove("vfio_pci"));
	vfio_dev_close(&d);
	ASSERT_EQ(0, vfio_pci_override(self->bdf, ""));
	ASSERT_EQ(0, vfio_module_remove("vfio_pci"));
	ASSERT_FALSE(vfio_pci_is_bound(self->bdf, "vfio-pci"));

	snprintf(arg, sizeof(arg), "ids=ffff:ffff,%.9s", variant->id);
	ASSERT_EQ(0, vfio_run(load));
	ASSERT_TRUE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	vfio_dev_close(&d);

	/* Malformed ids are passed over, and those behind them still count. */
	ASSERT_EQ(0, vfio_module_remove("vfio_pci"));
	snprintf(arg, sizeof(arg), "ids=nonsense,,%.9s", variant->id);
	ASSERT_EQ(0, vfio_run(load));
	ASSERT_TRUE(vfio_pci_is_bound(self->bdf, "vfio-pci"));

	ASSERT_EQ(0, vfio_module_remove("vfio_pci"));
	ASSERT_EQ(0, vfio_modprobe("vfio-pci"));
	ASSERT_FALSE(vfio_pci_is_bound(self->bdf, "vfio-pci"));
}

#define MISTAKES	"test_vfio_mistakes"

static int bind_by_mistake(const char *bdf, const char *mistake)
{
	int ret;

	ret = vfio_sysfs_write("/sys/module/" MISTAKES "/parameters/mistake", mistake);
	return ret ?: vfio_sysfs_write("/sys/bus/pci/drivers/" MISTAKES "/bind", bdf);
}

/* Drivers that register what cannot be are told, and leave nothing behind. */
TEST_F(bind, driver_mistakes)
{
	struct vfio_dev d;

	if (vfio_modprobe(MISTAKES))
		SKIP(return, "no " MISTAKES ".ko here");
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf));
	ASSERT_EQ(0, vfio_pci_override(self->bdf, MISTAKES));
	EXPECT_EQ(-EINVAL, bind_by_mistake(self->bdf, "nameless"));
	EXPECT_EQ(-EINVAL, bind_by_mistake(self->bdf, "twice"));
	EXPECT_EQ(-ENODEV, bind_by_mistake(self->bdf, "none"));
	EXPECT_EQ(0, vfio_module_remove(MISTAKES));

	ASSERT_EQ(0, vfio_pci_bind(self->bdf));
	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	vfio_dev_close(&d);
}

TEST_HARNESS_MAIN
