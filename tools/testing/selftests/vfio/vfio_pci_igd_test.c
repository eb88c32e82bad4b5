// SPDX-License-Identifier: GPL-2.0-only
/* The regions of Intel integrated graphics, over a device made to look so. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

#define ASLS		0xfc
#define TABLE_LEN	8192
#define MEM_LEN		(TABLE_LEN + 8192)

#define INTEL_TYPE	(VFIO_REGION_TYPE_PCI_VENDOR_TYPE | 0x8086)

/* What the firmware would leave in memory. */
static uint8_t mem[MEM_LEN];

FIXTURE(igd)
{
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
	uint32_t addr;		/* of the OpRegion in the machine's memory */
	int klog;
};

static void put(unsigned int offset, uint64_t value, unsigned int len)
{
	value = htole64(value);
	memcpy(mem + offset, &value, len);
}

static void make_table(uint16_t version, uint64_t rvda, uint32_t rvds)
{
	int i;

	for (i = 0; i < MEM_LEN; i++)
		mem[i] = i * 37 + i / 256;
	memcpy(mem, "IntelGraphicsMem", 16);
	put(0x10, TABLE_LEN / 1024, 4);
	put(0x16, version, 2);
	put(0x3ba, rvda, 8);
	put(0x3c2, rvds, 4);
}

static int open_igd(struct vfio_dev *d, const char *bdf)
{
	int ret = vfio_overlay_ram(mem, sizeof(mem));

	return ret ? ret : vfio_dev_open(d, bdf, VFIO_TYPE1v2_IOMMU);
}

/* A VGA device of Intel's, with an address in ASLS. */
static int disguise(const char *bdf, const char *asls)
{
	char set[256];

	snprintf(set, sizeof(set), "set=%s+0=%s,%s+8=%s,%s+%x=%s",
		 bdf, "12348086", bdf, "03000000", bdf, ASLS, asls);
	return vfio_overlay_load(set, bdf);
}

FIXTURE_SETUP(igd)
{
	if (vfio_pci_resolve(VFIO_EDU, self->bdf))
		SKIP(_exit(KSFT_SKIP), "no device to disguise");
	vfio_dev_init(&self->d);
	self->klog = vfio_klog_open();
	if (disguise(self->bdf, "ram"))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
	make_table(0x0100, 0, 0);
	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	self->addr = vfio_cfg_read32(&self->d, ASLS);
	vfio_dev_close(&self->d);
	/* No VFIO here that knows of IGD: there is nothing to look at. */
	ASSERT_NE(0, self->addr);
}

FIXTURE_TEARDOWN(igd)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_overlay_unload(self->bdf));
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

/* The index of the region of this subtype; its size in @size. */
static int find_region(const struct vfio_dev *d, uint32_t subtype,
		       uint64_t *size)
{
	const struct vfio_region_info_cap_type *type;
	struct vfio_region_info *region;
	struct vfio_device_info info;
	int i, found = -ENOENT;

	if (vfio_dev_info(d, &info))
		return -EIO;
	for (i = VFIO_PCI_NUM_REGIONS; i < info.num_regions; i++) {
		region = vfio_region_info_caps(d, i);
		if (!region)
			return -EIO;
		type = vfio_info_cap(region, region->cap_offset,
				     VFIO_REGION_INFO_CAP_TYPE);
		if (type && type->type == INTEL_TYPE &&
		    type->subtype == subtype) {
			found = i;
			*size = region->size;
			if ((region->flags & ~VFIO_REGION_INFO_FLAG_CAPS) !=
			    VFIO_REGION_INFO_FLAG_READ)
				found = -EPERM;
		}
		free(region);
	}
	return found;
}

/* All ways to read it agree with @want, and none reads more. */
static void check_region(struct __test_metadata *_metadata,
			 const struct vfio_dev *d, int index,
			 const uint8_t *want, uint64_t size)
{
	uint8_t *got = malloc(size + 16);
	static const uint8_t lens[] = { 1, 2, 3, 4, 5, 7, 8, 13, 64 };
	uint64_t pos;
	int i;

	ASSERT_EQ(size, vfio_region_read(d, index, 0, got, size));
	EXPECT_EQ(0, memcmp(want, got, size));
	for (i = 0; i < sizeof(lens); i++) {
		for (pos = i; pos + lens[i] <= size && pos < 1100;
		     pos += 61 + i) {
			memset(got, 0x5a, 80);
			ASSERT_EQ(lens[i], vfio_region_read(d, index, pos, got,
							    lens[i]));
			EXPECT_EQ(0, memcmp(want + pos, got, lens[i]));
			EXPECT_EQ(0x5a, got[lens[i]]);
		}
	}
	/* It ends, and is not to be written. */
	EXPECT_EQ(3, vfio_region_read(d, index, size - 3, got, 16));
	EXPECT_EQ(0, memcmp(want + size - 3, got, 3));
	EXPECT_EQ(-EINVAL, vfio_region_read(d, index, size, got, 1));
	EXPECT_EQ(-EINVAL, vfio_region_write(d, index, 0, got, 4));
	free(got);
}

TEST_F(igd, opregion)
{
	struct vfio_device_info info;
	uint64_t size = 0;
	int index;

	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	EXPECT_EQ(VFIO_PCI_NUM_REGIONS + 3, info.num_regions);
	index = find_region(&self->d, VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
			    &size);
	ASSERT_LE(0, index);
	ASSERT_EQ(TABLE_LEN, size);
	check_region(_metadata, &self->d, index, mem, size);
}

/* 2.0: a VBT anywhere in memory. The user sees it as 2.1 has it. */
TEST_F(igd, vbt_by_address)
{
	uint64_t size = 0;
	int index;

	make_table(0x0200, self->addr + TABLE_LEN, 3000);
	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	index = find_region(&self->d, VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
			    &size);
	ASSERT_LE(0, index);
	ASSERT_EQ(TABLE_LEN + 3000, size);
	put(0x16, 0x0201, 2);
	put(0x3ba, TABLE_LEN, 8);
	check_region(_metadata, &self->d, index, mem, size);
}

TEST_F(igd, vbt_by_distance)
{
	uint64_t size = 0;
	int index;

	make_table(0x0201, TABLE_LEN, 4096);
	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	index = find_region(&self->d, VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
			    &size);
	ASSERT_LE(0, index);
	ASSERT_EQ(TABLE_LEN + 4096, size);
	check_region(_metadata, &self->d, index, mem, size);
	vfio_dev_close(&self->d);

	/* With a gap in between, which the user does not see. */
	make_table(0x0202, TABLE_LEN + 4096, 1000);
	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	index = find_region(&self->d, VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
			    &size);
	ASSERT_LE(0, index);
	ASSERT_EQ(TABLE_LEN + 1000, size);
	put(0x3ba, TABLE_LEN, 8);
	memmove(mem + TABLE_LEN, mem + TABLE_LEN + 4096, 1000);
	check_region(_metadata, &self->d, index, mem, size);
	vfio_dev_close(&self->d);

	/* 2.x without one. */
	make_table(0x0201, 0, 0);
	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	ASSERT_LE(0, find_region(&self->d,
				 VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
				 &size));
	EXPECT_EQ(TABLE_LEN, size);
}

/* What is no OpRegion keeps the device closed, and the next try may work. */
TEST_F(igd, malformed)
{
	make_table(0x0100, 0, 0);
	mem[3] ^= 1;
	EXPECT_EQ(-EINVAL, open_igd(&self->d, self->bdf));
	make_table(0x0100, 0, 0);
	put(0x10, 0, 4);
	EXPECT_EQ(-EINVAL, open_igd(&self->d, self->bdf));
	make_table(0x0100, 0, 0);
	EXPECT_EQ(0, open_igd(&self->d, self->bdf));
}

TEST_F(igd, bridges)
{
	static const struct {
		uint32_t subtype;
		const char *config;
	} bridges[] = {
		{ VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG,
		  "/sys/bus/pci/devices/0000:00:00.0/config" },
		{ VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG,
		  "/sys/bus/pci/devices/0000:00:1f.0/config" },
	};
	static uint8_t want[4096];
	uint64_t size = 0;
	ssize_t n;
	int i, index, fd;

	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	for (i = 0; i < 2; i++) {
		index = find_region(&self->d, bridges[i].subtype, &size);
		ASSERT_LE(0, index);
		fd = open(bridges[i].config, O_RDONLY);
		ASSERT_LE(0, fd);
		n = read(fd, want, sizeof(want));
		close(fd);
		ASSERT_EQ(n, size);
		check_region(_metadata, &self->d, index, want, size);
	}
}

/* ASLS is the user's, and the device's address is still there afterwards. */
TEST_F(igd, asls)
{
	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	EXPECT_EQ(self->addr, vfio_cfg_read32(&self->d, ASLS));
	ASSERT_EQ(0, vfio_cfg_write32(&self->d, ASLS, 0x12345678));
	EXPECT_EQ(0x12345678, vfio_cfg_read32(&self->d, ASLS));
	ASSERT_EQ(0, vfio_cfg_write8(&self->d, ASLS + 1, 0xff));
	ASSERT_EQ(0, vfio_cfg_write16(&self->d, ASLS + 2, 0xabcd));
	EXPECT_EQ(0xabcdff78, vfio_cfg_read32(&self->d, ASLS));
	EXPECT_EQ(0xcdff, vfio_cfg_read8(&self->d, ASLS + 1) |
			  vfio_cfg_read8(&self->d, ASLS + 2) << 8);
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, open_igd(&self->d, self->bdf));
	EXPECT_EQ(self->addr, vfio_cfg_read32(&self->d, ASLS));
}

/* A card in a slot has no OpRegion, and loses nothing by it. */
TEST(no_opregion)
{
	static const char *const values[] = { "0", "ffffffff" };
	struct vfio_device_info info;
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
	int i;

	if (vfio_pci_resolve(VFIO_EDU, bdf))
		SKIP(return, "no device to disguise");
	for (i = 0; i < 2; i++) {
		if (disguise(bdf, values[i]))
			SKIP(return, "no test_pci_overlay");
		EXPECT_EQ(0, vfio_dev_open(&d, bdf, VFIO_TYPE1v2_IOMMU));
		EXPECT_EQ(0, vfio_dev_info(&d, &info));
		EXPECT_EQ(VFIO_PCI_NUM_REGIONS, info.num_regions);
		vfio_dev_close(&d);
		EXPECT_EQ(0, vfio_overlay_unload(bdf));
	}
}

TEST_HARNESS_MAIN
