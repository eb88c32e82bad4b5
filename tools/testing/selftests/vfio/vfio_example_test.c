// SPDX-License-Identifier: GPL-2.0-only
/*
 * The examples of Documentation/driver-api/vfio.rst and vfio-drivers.rst do what is
 * said there: the script that binds a device, the programs that use it, and the
 * driver, with which they do the same.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define EDU_DRIVER	"test_vfio_pci_edu"
#define EDU_ID		0x010000ed

#define NO_MODULE	"no module " EDU_DRIVER

static const char copied[] =
	"device: 0x10000ed\n"
	"copied: a text that went through the device\n";

/* The exit status of a program beside this one; @text is what it writes. */
static int run(const char *program, const char *arguments, char *text,
	       size_t len)
{
	char self[PATH_MAX] = {}, command[2 * PATH_MAX];
	size_t n;
	FILE *f;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return -errno;
	snprintf(command, sizeof(command), "%s/%s %s 2>&1", dirname(self),
		 program, arguments);
	f = popen(command, "r");
	if (!f)
		return -errno;
	n = fread(text, 1, len - 1, f);
	text[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

FIXTURE(example)
{
	char bdf[VFIO_BDF_LEN];
	char text[4096];
};

FIXTURE_VARIANT(example)
{
	const char *program;
	const char *container;
	const char *driver;
	int mode;
};

FIXTURE_VARIANT_ADD(example, type1v2) {
	"vfio_group_example", "", "vfio-pci", VFIO_TYPE1v2_IOMMU
};

FIXTURE_VARIANT_ADD(example, compat) {
	"vfio_group_example", "/dev/iommu", "vfio-pci", VFIO_MODE_COMPAT
};

FIXTURE_VARIANT_ADD(example, iommufd) {
	"vfio_cdev_example", "", "vfio-pci", VFIO_MODE_IOMMUFD
};

FIXTURE_VARIANT_ADD(example, driver_type1v2) {
	"vfio_group_example", "", EDU_DRIVER, VFIO_TYPE1v2_IOMMU
};

FIXTURE_VARIANT_ADD(example, driver_compat) {
	"vfio_group_example", "/dev/iommu", EDU_DRIVER, VFIO_MODE_COMPAT
};

FIXTURE_VARIANT_ADD(example, driver_iommufd) {
	"vfio_cdev_example", "", EDU_DRIVER, VFIO_MODE_IOMMUFD
};

FIXTURE_SETUP(example)
{
	struct vfio_dev d;

	/* Skips where there is no such device, or no such way to it. */
	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_EDU, variant->mode);
	memcpy(self->bdf, d.bdf, sizeof(self->bdf));
	vfio_dev_close(&d);

	if (vfio_modprobe(variant->driver))
		SKIP(_exit(KSFT_SKIP), NO_MODULE);
	ASSERT_EQ(0, vfio_pci_bind_to(self->bdf, variant->driver));
}

FIXTURE_TEARDOWN(example)
{
	vfio_pci_bind(self->bdf);
}

TEST_F(example, copies)
{
	char arguments[128];

	snprintf(arguments, sizeof(arguments), "%s %s", self->bdf,
		 variant->container);
	EXPECT_EQ(0, run(variant->program, arguments, self->text,
			 sizeof(self->text)));
	EXPECT_STREQ(copied, self->text);
}

/* Of a device that nobody gave to VFIO it says so. */
TEST_F(example, refused)
{
	char want[128];

	EXPECT_EQ(1, run(variant->program, "0000:ff:1f.7", self->text,
			 sizeof(self->text)));
	snprintf(want, sizeof(want),
		 "%s: /sys/bus/pci/devices/0000:ff:1f.7/", variant->program);
	EXPECT_EQ(0, strncmp(want, self->text, strlen(want)));
	EXPECT_NE(NULL, strstr(self->text, "No such file or directory"));
}

FIXTURE(bound)
{
	char bdf[VFIO_BDF_LEN];
	char text[4096];
};

FIXTURE_SETUP(bound)
{
	VFIO_PCI_BIND_OR_SKIP(VFIO_EDU, self->bdf);
}

FIXTURE_TEARDOWN(bound)
{
	vfio_pci_bind(self->bdf);
}

TEST_F(bound, script)
{
	char driver[64], node[64], want[256];
	int len;

	ASSERT_EQ(0, vfio_pci_restore(self->bdf));
	ASSERT_EQ(0, run("vfio_example_bind", self->bdf, self->text,
			 sizeof(self->text)));
	ASSERT_EQ(0, vfio_pci_driver(self->bdf, driver, sizeof(driver)));
	EXPECT_STREQ("vfio-pci", driver);

	len = snprintf(want, sizeof(want),
		       "group: /dev/vfio/%d\nwith it go: %s\n",
		       vfio_pci_group(self->bdf), self->bdf);
	EXPECT_EQ(0, strncmp(want, self->text, len));
	if (!vfio_cdev_node(self->bdf, node, sizeof(node))) {
		snprintf(want, sizeof(want), "device: %s\n", node);
		EXPECT_STREQ(want, self->text + len);
	}

	/* Again, with the device bound already */
	EXPECT_EQ(0, run("vfio_example_bind", self->bdf, self->text,
			 sizeof(self->text)));
}

/* The region that the driver adds is its device's memory, behind the gate. */
TEST_F(bound, region)
{
	const struct vfio_region_info_cap_type *type;
	struct vfio_region_info *info;
	struct vfio_device_info device;
	struct vfio_dev d;
	uint32_t id = 0;
	int index;

	if (vfio_modprobe(EDU_DRIVER))
		SKIP(return, NO_MODULE);
	ASSERT_EQ(0, vfio_pci_bind_to(self->bdf, EDU_DRIVER));
	vfio_dev_init(&d);
	ASSERT_EQ(0, vfio_dev_open_named(&d, self->bdf,
					 vfio_pci_group(self->bdf),
					 VFIO_TYPE1v2_IOMMU, NULL));

	ASSERT_EQ(0, vfio_dev_info(&d, &device));
	ASSERT_EQ(VFIO_PCI_NUM_REGIONS + 1, device.num_regions);
	index = VFIO_PCI_NUM_REGIONS;
	info = vfio_region_info_caps(&d, index);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(4, info->size);
	EXPECT_EQ(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_CAPS,
		  info->flags);
	type = vfio_info_cap(info, info->cap_offset,
			     VFIO_REGION_INFO_CAP_TYPE);
	ASSERT_NE(NULL, type);
	EXPECT_EQ(VFIO_REGION_TYPE_PCI_VENDOR_TYPE | 0x1234, type->type);
	EXPECT_EQ(1, type->subtype);

	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	EXPECT_EQ(4, vfio_region_read(&d, index, 0, &id, 4));
	EXPECT_EQ(EDU_ID, id);
	EXPECT_EQ(-EINVAL, vfio_region_read(&d, index, 0, &id, 2));
	EXPECT_EQ(-EINVAL, vfio_region_read(&d, index, 4, &id, 4));
	EXPECT_EQ(-EINVAL, vfio_region_write(&d, index, 0, &id, 4));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, VFIO_PAGE, PROT_READ, MAP_SHARED,
				   d.device, info->offset));
	EXPECT_EQ(EINVAL, errno);
	free(info);

	ASSERT_EQ(0, vfio_cfg_memory(&d, false));
	EXPECT_EQ(-EIO, vfio_region_read(&d, index, 0, &id, 4));
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	EXPECT_EQ(4, vfio_region_read(&d, index, 0, &id, 4));
	vfio_dev_close(&d);
}

TEST_HARNESS_MAIN
