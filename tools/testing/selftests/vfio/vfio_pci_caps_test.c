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
	unsigned int len;		/* bytes */
	struct reg reg[3];		/* those that tell it */
	bool raw;			/* all of it is the user's */
	bool hidden;			/* it is in no chain */
};

FIXTURE_VARIANT_ADD(caps, agp) { STD, PCI_CAP_ID_AGP, 12 };

FIXTURE_VARIANT_ADD(caps, ht_slave) {
	STD, PCI_CAP_ID_HT, 28, { { 0, HT_CAPTYPE_SLAVE << 24 } },
};

FIXTURE_VARIANT_ADD(caps, ht_other) {
	STD, PCI_CAP_ID_HT, 24, { { 0, 0x80000000 } },
};

FIXTURE_VARIANT_ADD(caps, sata_bar) { STD, PCI_CAP_ID_SATA, 8, { { 4, 4 } } };

FIXTURE_VARIANT_ADD(caps, sata_inline) {
	STD, PCI_CAP_ID_SATA, 16, { { 4, 0xf } },
};

FIXTURE_VARIANT_ADD(caps, vendor) {
	STD, PCI_CAP_ID_VNDR, 20, { { 0, 20 << 16 } }, true,
};

FIXTURE_VARIANT_ADD(caps, serial_number) { EXT, PCI_EXT_CAP_ID_DSN, 12 };
FIXTURE_VARIANT_ADD(caps, ari) { EXT, PCI_EXT_CAP_ID_ARI, 8 };
FIXTURE_VARIANT_ADD(caps, ats) { EXT, PCI_EXT_CAP_ID_ATS, 8 };
FIXTURE_VARIANT_ADD(caps, sriov) { EXT, PCI_EXT_CAP_ID_SRIOV, 64 };
FIXTURE_VARIANT_ADD(caps, multicast) { EXT, PCI_EXT_CAP_ID_MCAST, 40 };
FIXTURE_VARIANT_ADD(caps, page_request) { EXT, PCI_EXT_CAP_ID_PRI, 16 };
FIXTURE_VARIANT_ADD(caps, ltr) { EXT, PCI_EXT_CAP_ID_LTR, 8 };
/* One channel; three; and their arbitration table, four bits a phase. */
FIXTURE_VARIANT_ADD(caps, vc_one) { EXT, PCI_EXT_CAP_ID_VC, 28 };

FIXTURE_VARIANT_ADD(caps, vc_three) {
	EXT, PCI_EXT_CAP_ID_VC, 52, { { 4, 2 } },
};

FIXTURE_VARIANT_ADD(caps, vc_32) {
	EXT, PCI_EXT_CAP_ID_VC, 80, { { 4, 2 }, { 8, PCI_VC_CAP2_32_PHASE } },
};

FIXTURE_VARIANT_ADD(caps, vc_64) {
	EXT, PCI_EXT_CAP_ID_VC, 96, { { 4, 2 }, { 8, PCI_VC_CAP2_64_PHASE } },
};

FIXTURE_VARIANT_ADD(caps, vc_128) {
	EXT, PCI_EXT_CAP_ID_VC, 128, { { 4, 2 }, { 8, PCI_VC_CAP2_128_PHASE } },
};

FIXTURE_VARIANT_ADD(caps, vc_beside_mfvc) { EXT, PCI_EXT_CAP_ID_VC9, 28 };
FIXTURE_VARIANT_ADD(caps, mfvc) { EXT, PCI_EXT_CAP_ID_MFVC, 40, { { 4, 1 } } };
FIXTURE_VARIANT_ADD(caps, acs) { EXT, PCI_EXT_CAP_ID_ACS, 8 };

FIXTURE_VARIANT_ADD(caps, acs_egress) {
	EXT, PCI_EXT_CAP_ID_ACS, 16, { { 4, PCI_ACS_EC | 40 << 8 } },
};

FIXTURE_VARIANT_ADD(caps, acs_egress_256) {
	EXT, PCI_EXT_CAP_ID_ACS, 40, { { 4, PCI_ACS_EC } },
};

FIXTURE_VARIANT_ADD(caps, rebar) {
	EXT, PCI_EXT_CAP_ID_REBAR, 28, { { 8, 3 << PCI_REBAR_CTRL_NBAR_SHIFT } },
};

FIXTURE_VARIANT_ADD(caps, dpa) { EXT, PCI_EXT_CAP_ID_DPA, 20, { { 4, 3 } } };
FIXTURE_VARIANT_ADD(caps, tph) { EXT, PCI_EXT_CAP_ID_TPH, 12 };

FIXTURE_VARIANT_ADD(caps, tph_table) {
	EXT, PCI_EXT_CAP_ID_TPH, 20,
	{ { 4, PCI_TPH_LOC_CAP | 3 << PCI_TPH_CAP_ST_SHIFT } },
};

FIXTURE_VARIANT_ADD(caps, vendor_extended) {
	EXT, PCI_EXT_CAP_ID_VNDR, 24, { { 4, 24 << 20 } }, true,
};

FIXTURE_VARIANT_ADD(caps, designated_vendor) {
	EXT, PCI_EXT_CAP_ID_DVSEC, 24, { { 4, 24 << 20 } }, true,
};

/* Not in the chain, and the host's all the same. */
FIXTURE_VARIANT_ADD(caps, subsystem_id) {
	STD, PCI_CAP_ID_SSVID, 8, .hidden = true,
};

FIXTURE_VARIANT_ADD(caps, pasid) { EXT, PCI_EXT_CAP_ID_PASID, 8, .hidden = true };
FIXTURE_VARIANT_ADD(caps, l1ss) { EXT, PCI_EXT_CAP_ID_L1SS, 16, .hidden = true };
FIXTURE_VARIANT_ADD(caps, ptm) { EXT, PCI_EXT_CAP_ID_PTM, 12, .hidden = true };
FIXTURE_VARIANT_ADD(caps, doe) { EXT, PCI_EXT_CAP_ID_DOE, 24, .hidden = true };

FIXTURE_VARIANT_ADD(caps, vf_rebar) {
	EXT, 0x24, 28, { { 8, 3 << PCI_REBAR_CTRL_NBAR_SHIFT } }, .hidden = true,
};

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

	ASSERT_EQ(variant->hidden ? 0 : variant->at, variant->at == STD ?
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
