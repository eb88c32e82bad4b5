// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long capabilities are. Most of them are read-only to the user, and what
 * belongs to none is the user's: the last byte of a capability keeps its value,
 * the byte behind it takes another. test_pci_overlay.ko gives an NVMe
 * controller capabilities that it lacks, and memory in place of the registers
 * at their end.
 */
#include <stdio.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_pci_overlay.h"
#include "vfio_util.h"
#include "vfio_variants.h"

/* Free in QEMU's controller, as is everything behind the header at EXT. */
#define STD	0xc0
#define EXT	PCI_CFG_SPACE_SIZE

struct reg {
	unsigned int offset;		/* of the capability */
	uint32_t value;
};

FIXTURE(caps)
{
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
};

FIXTURE_VARIANT(caps)
{
	unsigned int at;
	unsigned int id;
	struct reg reg[3];		/* those that tell the length */
	unsigned int len;		/* bytes */
	bool raw;			/* all of it is the user's */
};

#define STD_CAP(_name, _id, _len, ...)					\
	FIXTURE_VARIANT_ADD(caps, _name) {				\
		.at = STD, .id = (_id), .len = (_len), __VA_ARGS__	\
	}
#define EXT_CAP(_name, _id, _len, ...)					\
	FIXTURE_VARIANT_ADD(caps, _name) {				\
		.at = EXT, .id = (_id), .len = (_len), __VA_ARGS__	\
	}
#define REGS(...)	.reg = { __VA_ARGS__ }
#define FLAGS(f)	REGS({ 0, (uint32_t)(f) << 16 })

STD_CAP(agp, PCI_CAP_ID_AGP, 12);
STD_CAP(ht_slave, PCI_CAP_ID_HT, 28, FLAGS(HT_CAPTYPE_SLAVE << 8));
STD_CAP(ht_other, PCI_CAP_ID_HT, 24, FLAGS(0x8000));
STD_CAP(sata_bar, PCI_CAP_ID_SATA, 8, REGS({ 4, 4 }));
STD_CAP(sata_inline, PCI_CAP_ID_SATA, 16, REGS({ 4, 0xf }));
STD_CAP(vendor, PCI_CAP_ID_VNDR, 20, FLAGS(20), .raw = true);

EXT_CAP(serial_number, PCI_EXT_CAP_ID_DSN, 12);
EXT_CAP(ari, PCI_EXT_CAP_ID_ARI, 8);
EXT_CAP(ats, PCI_EXT_CAP_ID_ATS, 8);
EXT_CAP(sriov, PCI_EXT_CAP_ID_SRIOV, 64);
EXT_CAP(multicast, PCI_EXT_CAP_ID_MCAST, 40);
EXT_CAP(page_request, PCI_EXT_CAP_ID_PRI, 16);
EXT_CAP(ltr, PCI_EXT_CAP_ID_LTR, 8);
/* One channel; three; and their arbitration table, four bits a phase. */
EXT_CAP(vc_one, PCI_EXT_CAP_ID_VC, 28);
EXT_CAP(vc_three, PCI_EXT_CAP_ID_VC, 52, REGS({ 4, 2 }));
EXT_CAP(vc_32, PCI_EXT_CAP_ID_VC, 80,
	REGS({ 4, 2 }, { 8, PCI_VC_CAP2_32_PHASE }));
EXT_CAP(vc_64, PCI_EXT_CAP_ID_VC, 96,
	REGS({ 4, 2 }, { 8, PCI_VC_CAP2_64_PHASE }));
EXT_CAP(vc_128, PCI_EXT_CAP_ID_VC, 128,
	REGS({ 4, 2 }, { 8, PCI_VC_CAP2_128_PHASE }));
EXT_CAP(vc_beside_mfvc, PCI_EXT_CAP_ID_VC9, 28);
EXT_CAP(mfvc, PCI_EXT_CAP_ID_MFVC, 40, REGS({ 4, 1 }));
EXT_CAP(acs, PCI_EXT_CAP_ID_ACS, 8);
EXT_CAP(acs_egress, PCI_EXT_CAP_ID_ACS, 16,
	REGS({ 4, PCI_ACS_EC | 40 << 8 }));
EXT_CAP(acs_egress_256, PCI_EXT_CAP_ID_ACS, 40, REGS({ 4, PCI_ACS_EC }));
EXT_CAP(rebar, PCI_EXT_CAP_ID_REBAR, 28,
	REGS({ 8, 3 << PCI_REBAR_CTRL_NBAR_SHIFT }));
EXT_CAP(dpa, PCI_EXT_CAP_ID_DPA, 20, REGS({ 4, 3 }));
EXT_CAP(tph, PCI_EXT_CAP_ID_TPH, 12);
EXT_CAP(tph_table, PCI_EXT_CAP_ID_TPH, 20,
	REGS({ 4, PCI_TPH_LOC_CAP | 3 << PCI_TPH_CAP_ST_SHIFT }));
EXT_CAP(vendor_extended, PCI_EXT_CAP_ID_VNDR, 24, REGS({ 4, 24 << 20 }),
	.raw = true);
EXT_CAP(designated_vendor, PCI_EXT_CAP_ID_DVSEC, 24, REGS({ 4, 24 << 20 }),
	.raw = true);

static uint32_t header(unsigned int at, unsigned int id)
{
	/* Behind the standard one goes what was first. */
	return at == STD ? id | 0x40 << 8 : id | 1 << 16;
}

FIXTURE_SETUP(caps)
{
	unsigned int end = variant->at + variant->len, i;
	char set[512];
	int n;

	if (vfio_pci_resolve(VFIO_NVME, self->bdf))
		SKIP(_exit(KSFT_SKIP), "no NVMe controller");

	n = snprintf(set, sizeof(set), "set=%s+%x=%x", self->bdf, variant->at,
		     header(variant->at, variant->id) | variant->reg[0].value *
		     !variant->reg[0].offset);
	for (i = 0; i < 3; i++)
		if (variant->reg[i].offset)
			n += snprintf(set + n, sizeof(set) - n, ",%s+%x=%x",
				      self->bdf,
				      variant->at + variant->reg[i].offset,
				      variant->reg[i].value);
	if (variant->at == STD)
		n += snprintf(set + n, sizeof(set) - n, ",%s+%x=%x", self->bdf,
			      PCI_CAPABILITY_LIST, STD);
	/* The first that is told of a register counts. */
	n += snprintf(set + n, sizeof(set) - n, ",%s+%x=memory", self->bdf,
		      (end - 1) & ~3);
	snprintf(set + n, sizeof(set) - n, ",%s+%x=memory", self->bdf,
		 end & ~3);
	if (vfio_overlay_load(set, NULL))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->bdf, VFIO_TYPE1v2_IOMMU));
}

FIXTURE_TEARDOWN(caps)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_overlay_unload(NULL));
}

TEST_F(caps, end)
{
	unsigned int end = variant->at + variant->len;
	uint8_t last;

	ASSERT_EQ(variant->at, variant->at == STD ?
		  vfio_cfg_cap(&self->d, variant->id) :
		  vfio_cfg_ecap(&self->d, variant->id));

	last = vfio_cfg_read8(&self->d, end - 1);
	ASSERT_EQ(0, vfio_cfg_write8(&self->d, end - 1, last ^ 0x5a));
	EXPECT_EQ(variant->raw ? last ^ 0x5a : last,
		  vfio_cfg_read8(&self->d, end - 1));

	ASSERT_EQ(0, vfio_cfg_write8(&self->d, end, 0xa5));
	EXPECT_EQ(0xa5, vfio_cfg_read8(&self->d, end));
	ASSERT_EQ(0, vfio_cfg_write8(&self->d, end, 0x3c));
	EXPECT_EQ(0x3c, vfio_cfg_read8(&self->d, end));
}

TEST_HARNESS_MAIN
