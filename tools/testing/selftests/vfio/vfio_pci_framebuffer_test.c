// SPDX-License-Identifier: GPL-2.0-only
/*
 * A graphics card whose memory the console draws into since the machine booted:
 * vga=0x314 on the command line. It leaves the card for its user, and stays on a
 * card that nobody else wants.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define DISPLAY	"1234:1111"
#define FB	"/sys/class/graphics/fb0"

/* Does a line of /proc/iomem end in @name? */
static bool memory_is_of(const char *name)
{
	char line[256];
	bool found = false;
	FILE *f = fopen("/proc/iomem", "r");

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strlen(line) > strlen(name) &&
			!strcmp(line + strlen(line) - strlen(name), name);
	}
	if (f)
		fclose(f);
	return found;
}

static int frame_buffer_is(const char *name)
{
	char now[64];

	if (vfio_sysfs_read(FB "/name", now, sizeof(now)) < 0)
		return -ENOENT;
	return !strncmp(now, name, strlen(name));
}

TEST(goes_to_its_user)
{
	char card[VFIO_BDF_LEN], other[VFIO_BDF_LEN];
	uint32_t value = 0x12345678, found = 0;
	int klog = vfio_klog_open();
	struct vfio_dev d;
	uint32_t *bar;

	if (vfio_pci_resolve(DISPLAY, card) || access(FB, F_OK))
		SKIP(return, "no frame buffer from the machine's start");
	ASSERT_EQ(1, frame_buffer_is("VESA"));
	ASSERT_TRUE(memory_is_of("vesafb"));

	/* Another device's user does not take it from the console. */
	ASSERT_EQ(0, vfio_pci_resolve(VFIO_NVME, other));
	ASSERT_EQ(0, vfio_pci_bind(other));
	EXPECT_EQ(1, frame_buffer_is("VESA"));

	ASSERT_EQ(0, vfio_pci_bind(card));
	EXPECT_EQ(-ENOENT, frame_buffer_is("VESA"));
	EXPECT_FALSE(memory_is_of("vesafb"));

	ASSERT_EQ(0, vfio_dev_open(&d, card, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_cfg_command(&d, PCI_COMMAND_MEMORY, 0));
	EXPECT_EQ(4, vfio_region_write(&d, 0, 4096, &value, 4));
	EXPECT_EQ(4, vfio_region_read(&d, 0, 4096, &found, 4));
	EXPECT_EQ(value, found);
	ASSERT_EQ(0, vfio_region_mmap(&d, 0, 0, 8192, (void **)&bar));
	EXPECT_EQ(value, vfio_mmio_read32(bar + 1024));
	munmap(bar, 8192);
	vfio_dev_close(&d);
	EXPECT_EQ(0, vfio_klog_splats(klog));
	EXPECT_EQ(0, vfio_klog_count(klog, "can't reserve"));
	close(klog);
}

/* The same where the card's own driver had come after the firmware's. */
TEST(goes_from_its_driver)
{
	char card[VFIO_BDF_LEN];
	struct vfio_dev d;

	if (vfio_pci_resolve(DISPLAY, card))
		SKIP(return, "no graphics card");
	if (vfio_modprobe("bochs"))
		SKIP(return, "no driver for the graphics card");
	ASSERT_EQ(0, vfio_pci_bind_to(card, "bochs-drm"));
	ASSERT_EQ(1, frame_buffer_is("bochs-drm"));
	ASSERT_EQ(0, vfio_dev_open(&d, card, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(-ENOENT, frame_buffer_is("bochs-drm"));
	vfio_dev_close(&d);
	EXPECT_EQ(0, vfio_pci_restore(card));
}

TEST_HARNESS_MAIN
