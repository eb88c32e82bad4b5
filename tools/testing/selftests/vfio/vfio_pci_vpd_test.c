// SPDX-License-Identifier: GPL-2.0-only
/*
 * Vital product data. The host does each access, for registers that two would
 * use at once; the user sees the flag that tells when it is done.
 * test_pci_overlay.ko gives an NVMe controller the capability.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_pci_overlay.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define CAP	0xc0

/* A name, a read-only part number, a field to write to, the end. */
static const uint8_t vpd[48] = {
	0x82, 4, 0, 't', 'e', 's', 't',
	0x90, 7, 0, 'P', 'N', 4, '1', '2', '3', '4',
	0x91, 19, 0, 'R', 'W', 16, '0', '1', '2', '3', '4', '5', '6', '7',
	'8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
	0x78,
};

#define VPD_LEN	40

FIXTURE(vpd)
{
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
};

FIXTURE_SETUP(vpd)
{
	char set[128];

	if (vfio_pci_resolve(VFIO_NVME, self->bdf))
		SKIP(_exit(KSFT_SKIP), "no NVMe controller");
	snprintf(set, sizeof(set), "set=%s+%x=%x,%s+%x=vpd40", self->bdf,
		 PCI_CAPABILITY_LIST, CAP, self->bdf, CAP);
	if (vfio_overlay_load(set, self->bdf))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
	ASSERT_EQ(0, vfio_overlay_ram(vpd, sizeof(vpd)));
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->bdf, VFIO_TYPE1v2_IOMMU));
}

FIXTURE_TEARDOWN(vpd)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_overlay_unload(self->bdf));
}

static uint32_t at(const void *from, unsigned int pos)
{
	uint32_t value;

	memcpy(&value, (const char *)from + pos, 4);
	return le32toh(value);
}

static uint16_t address(const struct vfio_dev *d)
{
	return vfio_cfg_read16(d, CAP + PCI_VPD_ADDR);
}

TEST_F(vpd, read)
{
	unsigned int pos;

	ASSERT_EQ(CAP, vfio_cfg_cap(&self->d, PCI_CAP_ID_VPD));
	for (pos = 0; pos < VPD_LEN; pos += 4) {
		ASSERT_EQ(0, vfio_cfg_write16(&self->d, CAP + PCI_VPD_ADDR,
					      pos));
		EXPECT_EQ(pos | PCI_VPD_ADDR_F, address(&self->d));
		EXPECT_EQ(at(vpd, pos),
			  vfio_cfg_read32(&self->d, CAP + PCI_VPD_DATA));
	}

	/* There is nothing behind the end. */
	ASSERT_EQ(0, vfio_cfg_write16(&self->d, CAP + PCI_VPD_ADDR, 0x100));
	EXPECT_EQ(0x100 | PCI_VPD_ADDR_F, address(&self->d));
	EXPECT_EQ(0, vfio_cfg_read32(&self->d, CAP + PCI_VPD_DATA));
}

TEST_F(vpd, write)
{
	char now[sizeof(vpd)];
	int fd;

	ASSERT_EQ(0, vfio_cfg_write32(&self->d, CAP + PCI_VPD_DATA,
				      at("WXYZ", 0)));
	ASSERT_EQ(0, vfio_cfg_write16(&self->d, CAP + PCI_VPD_ADDR,
				      24 | PCI_VPD_ADDR_F));
	EXPECT_EQ(24, address(&self->d));

	/* Only half of the address: nothing happens until the other half. */
	ASSERT_EQ(0, vfio_cfg_write8(&self->d, CAP + PCI_VPD_ADDR, 28));
	EXPECT_EQ(28, address(&self->d));
	ASSERT_EQ(0, vfio_cfg_write8(&self->d, CAP + PCI_VPD_ADDR + 1, 0));
	EXPECT_EQ(28 | PCI_VPD_ADDR_F, address(&self->d));
	EXPECT_EQ(at(vpd, 28),
		  vfio_cfg_read32(&self->d, CAP + PCI_VPD_DATA));

	/* Behind the end it never gets done. */
	ASSERT_EQ(0, vfio_cfg_write16(&self->d, CAP + PCI_VPD_ADDR,
				      0x100 | PCI_VPD_ADDR_F));
	EXPECT_EQ(0x100 | PCI_VPD_ADDR_F, address(&self->d));

	fd = open("/dev/test_pci_overlay", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(now), read(fd, now, sizeof(now)));
	close(fd);
	EXPECT_EQ(0, memcmp(now, vpd, 24));
	EXPECT_EQ(0, memcmp(now + 24, "WXYZ", 4));
	EXPECT_EQ(0, memcmp(now + 28, vpd + 28, sizeof(vpd) - 28));
}

TEST_HARNESS_MAIN
