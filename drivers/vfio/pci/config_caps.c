// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of configuration space: who owns which bits.
 *
 * A layout is a row of the table at the end, a field is a row of the array it
 * points to. Bits that are "virt" live in vconfig, the others in hardware;
 * bits that are "write" may be changed by the user, the others read as they
 * are and ignore writes. A field without a row is hardware's and read-only, so
 * only what departs from that is listed.
 *
 * A capability that is hidden, or has no row, is taken out of its chain. Its
 * registers can still be read, and not be written. A row for a hidden one says
 * where it ends: without, that is where the next one begins, and what a device
 * has there of its own cannot be written.
 *
 * The numbers behind the fields are sections of PCI Express Base 5.0 unless
 * another specification is named.
 */
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/pci.h>

#include "config.h"

#define ALL	(~0U)

/* Offset, virtual bits, writable bits. */
#define FIELD(o, n, v, w) \
	{ .offset = (o), .width = (n), .virt = (v), .write = (w) }
#define FIELD8(o, v, w)		FIELD(o, 1, v, w)
#define FIELD16(o, v, w)	FIELD(o, 2, v, w)
#define FIELD32(o, v, w)	FIELD(o, 4, v, w)

#define FIELDS(f)	.fields = (f), .nr_fields = ARRAY_SIZE(f)
#define MORE_FIELDS(f)	.more = (f), .nr_more = ARRAY_SIZE(f)

/*
 * Headers. The chains are edited, so what links them is virtual: 7.5.3.1 and
 * its like for the capabilities, 7.6.3 for the extended ones.
 */
#define CAP_HEADER	FIELD16(PCI_CAP_LIST_ID, ALL, 0)
#define EXT_CAP_HEADER	FIELD32(0, ALL, 0)

static const struct vfio_pci_config_field cap_fields[] = { CAP_HEADER };
static const struct vfio_pci_config_field ext_cap_fields[] = { EXT_CAP_HEADER };
static const struct vfio_pci_config_field virtual_fields[] = {
	FIELD32(0, ALL, ALL),
};

/*
 * Memory and I/O enable are hardware's: the write handler keeps in vconfig
 * what the user believes, to notice a reset behind its back. A VF has no bit
 * for memory enable, so it is given one.
 */
static const struct vfio_pci_config_field header_fields[] = {
	FIELD16(PCI_VENDOR_ID, ALL, 0),			/* 7.5.1.1.1 */
	FIELD16(PCI_DEVICE_ID, ALL, 0),			/* 7.5.1.1.2 */
	FIELD16(PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, ALL), /* 7.5.1.1.3 */
	FIELD16(PCI_STATUS, PCI_STATUS_CAP_LIST, 0),	/* 7.5.1.1.4 */
	FIELD8(PCI_CACHE_LINE_SIZE, 0, ALL),		/* 7.5.1.1.7 */
	FIELD8(PCI_LATENCY_TIMER, 0, ALL),		/* 7.5.1.1.8 */
	FIELD8(PCI_BIST, 0, ALL),			/* 7.5.1.1.10 */
	FIELD32(PCI_BASE_ADDRESS_0, ALL, ALL),		/* 7.5.1.2.1 */
	FIELD32(PCI_BASE_ADDRESS_1, ALL, ALL),
	FIELD32(PCI_BASE_ADDRESS_2, ALL, ALL),
	FIELD32(PCI_BASE_ADDRESS_3, ALL, ALL),
	FIELD32(PCI_BASE_ADDRESS_4, ALL, ALL),
	FIELD32(PCI_BASE_ADDRESS_5, ALL, ALL),
	FIELD32(PCI_ROM_ADDRESS, ALL, ALL),		/* 7.5.1.2.4 */
	FIELD8(PCI_CAPABILITY_LIST, ALL, 0),		/* 7.5.1.1.11 */
	FIELD8(PCI_INTERRUPT_LINE, ALL, ALL),		/* 7.5.1.1.12 */
	FIELD8(PCI_INTERRUPT_PIN, ALL, 0),		/* 7.5.1.1.13 */
};

static const struct vfio_pci_config_field header_vf_fields[] = {
	FIELD16(PCI_COMMAND,				/* 9.3.4.1.3 */
		PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_MEMORY, ALL),
};

/*
 * A power state is changed by the handler and read from hardware. PME belongs
 * to the host: the user could not receive it.
 */
#define PM_PME	(PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS)

static const struct vfio_pci_config_field pm_fields[] = {
	CAP_HEADER,					/* 7.5.2 */
	FIELD16(PCI_PM_PMC, PCI_PM_CAP_PME_MASK, 0),	/* 7.5.2.1 */
	FIELD16(PCI_PM_CTRL, PM_PME,			/* 7.5.2.2 */
		~(PM_PME | PCI_PM_CTRL_STATE_MASK)),
	FIELD8(PCI_PM_PPB_EXTENSIONS, 0, ALL),
	FIELD8(PCI_PM_DATA_REGISTER, 0, ALL),		/* 7.5.2.3 */
};

/* Both are the handler's, which asks the PCI core for the data. */
static const struct vfio_pci_config_field vpd_fields[] = {
	CAP_HEADER,					/* 7.9.18 */
	FIELD16(PCI_VPD_ADDR, ALL, ALL),		/* 7.9.18.1 */
	FIELD32(PCI_VPD_DATA, ALL, ALL),		/* 7.9.18.2 */
};

/*
 * The host chooses address and data; the user's are decoration. Vectors are
 * masked in hardware. The upper byte of the control word is read-only.
 */
static const struct vfio_pci_config_field msi_fields[] = {
	CAP_HEADER,					/* 7.7.1.1 */
	FIELD8(PCI_MSI_FLAGS, ALL, ALL),		/* 7.7.1.2 */
	FIELD32(PCI_MSI_ADDRESS_LO, ALL, ALL),		/* 7.7.1.3 */
};

static const struct vfio_pci_config_field msi_32_fields[] = {
	FIELD16(PCI_MSI_DATA_32, ALL, ALL),		/* 7.7.1.5 */
};

static const struct vfio_pci_config_field msi_32_mask_fields[] = {
	FIELD16(PCI_MSI_DATA_32, ALL, ALL),		/* 7.7.1.5 */
	FIELD32(PCI_MSI_MASK_32, 0, ALL),		/* 7.7.1.7 */
	FIELD32(PCI_MSI_PENDING_32, 0, ALL),		/* 7.7.1.8 */
};

static const struct vfio_pci_config_field msi_64_fields[] = {
	FIELD32(PCI_MSI_ADDRESS_HI, ALL, ALL),		/* 7.7.1.4 */
	FIELD16(PCI_MSI_DATA_64, ALL, ALL),		/* 7.7.1.5 */
};

static const struct vfio_pci_config_field msi_64_mask_fields[] = {
	FIELD32(PCI_MSI_ADDRESS_HI, ALL, ALL),		/* 7.7.1.4 */
	FIELD16(PCI_MSI_DATA_64, ALL, ALL),		/* 7.7.1.5 */
	FIELD32(PCI_MSI_MASK_64, 0, ALL),		/* 7.7.1.7 */
	FIELD32(PCI_MSI_PENDING_64, 0, ALL),		/* 7.7.1.8 */
};

/* PCI-X Protocol Addendum 2.0, 7.2 */
static const struct vfio_pci_config_field pcix_fields[] = {
	CAP_HEADER,
	FIELD16(PCI_X_CMD, 0, ALL),			/* 7.2.3 */
	FIELD32(PCI_X_ECC_CSR, 0, ALL),			/* 7.2.5 */
};

/*
 * Device Control is the user's but for three things. Phantom functions send
 * with requester IDs that the IOMMU does not know. The payload size has to fit
 * the whole path to memory, so it is a wish. FLR and the read request size are
 * carried out by the handler. ARI forwarding was set up when the bus was
 * scanned.
 */
static const struct vfio_pci_config_field exp_fields[] = {
	CAP_HEADER,					/* 7.5.3.1 */
	FIELD16(PCI_EXP_DEVCTL,				/* 7.5.3.4 */
		PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD |
		PCI_EXP_DEVCTL_READRQ,
		~PCI_EXP_DEVCTL_PHANTOM),
};

static const struct vfio_pci_config_field exp_v2_fields[] = {
	FIELD16(PCI_EXP_DEVCTL2, 0,			/* 7.5.3.16 */
		~PCI_EXP_DEVCTL2_ARI),
};

static const struct vfio_pci_config_field af_fields[] = {
	CAP_HEADER,					/* 7.9.21 */
	FIELD8(PCI_AF_CTRL, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR),
};

#define ERR_UNCOR							\
	(PCI_ERR_UNC_UND | PCI_ERR_UNC_DLP | PCI_ERR_UNC_SURPDN |	\
	 PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_FCP |			\
	 PCI_ERR_UNC_COMP_TIME | PCI_ERR_UNC_COMP_ABORT |		\
	 PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_RX_OVER |			\
	 PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_ECRC | PCI_ERR_UNC_UNSUP |	\
	 PCI_ERR_UNC_ACSV | PCI_ERR_UNC_INTN | PCI_ERR_UNC_MCBTLP |	\
	 PCI_ERR_UNC_ATOMEG | PCI_ERR_UNC_TLPPRE)

#define ERR_COR								\
	(PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP |			\
	 PCI_ERR_COR_BAD_DLLP | PCI_ERR_COR_REP_ROLL |			\
	 PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT |			\
	 PCI_ERR_COR_INTERNAL | PCI_ERR_COR_LOG_OVER)

static const struct vfio_pci_config_field err_fields[] = {
	EXT_CAP_HEADER,					/* 7.8.4.1 */
	FIELD32(PCI_ERR_UNCOR_STATUS, 0, ERR_UNCOR),	/* 7.8.4.2 */
	FIELD32(PCI_ERR_UNCOR_MASK, 0, ERR_UNCOR),	/* 7.8.4.3 */
	FIELD32(PCI_ERR_UNCOR_SEVER, 0, ERR_UNCOR),	/* 7.8.4.4 */
	FIELD32(PCI_ERR_COR_STATUS, 0, ERR_COR),	/* 7.8.4.5 */
	FIELD32(PCI_ERR_COR_MASK, 0, ERR_COR),		/* 7.8.4.6 */
	FIELD32(PCI_ERR_CAP, 0,				/* 7.8.4.7 */
		PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE),
};

static const struct vfio_pci_config_field pwr_fields[] = {
	EXT_CAP_HEADER,					/* 7.8.1.1 */
	FIELD8(PCI_PWR_DSR, 0, ALL),			/* 7.8.1.2 */
};

/* Lengths that a register tells. */

static int find_len_vndr(struct pci_dev *pdev, unsigned int pos,
			 unsigned int *len)
{
	return vfio_pci_config_hw_read(pdev, pos + PCI_CAP_FLAGS, 1, len);
}

static int find_len_sata(struct pci_dev *pdev, unsigned int pos,
			 unsigned int *len)
{
	u32 regs;
	int ret;

	ret = vfio_pci_config_hw_read(pdev, pos + PCI_SATA_REGS, 1, &regs);
	if (ret)
		return ret;

	*len = (regs & PCI_SATA_REGS_MASK) == PCI_SATA_REGS_INLINE ?
	       PCI_SATA_SIZEOF_LONG : PCI_SATA_SIZEOF_SHORT;
	return 0;
}

/*
 * Port arbitration tables are for switches and root ports only; the VC
 * arbitration table follows the per-VC registers at a multiple of 16.
 */
static int find_len_vc(struct pci_dev *pdev, unsigned int pos,
		       unsigned int *len)
{
	unsigned int phases = 0;
	u32 cap1, cap2;
	int ret;

	ret = vfio_pci_config_hw_read(pdev, pos + PCI_VC_PORT_CAP1, 4, &cap1);
	if (ret)
		return ret;
	ret = vfio_pci_config_hw_read(pdev, pos + PCI_VC_PORT_CAP2, 4, &cap2);
	if (ret)
		return ret;

	if (cap2 & PCI_VC_CAP2_128_PHASE)
		phases = 128;
	else if (cap2 & PCI_VC_CAP2_64_PHASE)
		phases = 64;
	else if (cap2 & PCI_VC_CAP2_32_PHASE)
		phases = 32;

	/* VC0 does not count as an extended one. */
	*len = PCI_CAP_VC_BASE_SIZEOF +
	       (1 + (cap1 & PCI_VC_CAP1_EVCC)) * PCI_CAP_VC_PER_VC_SIZEOF;
	if (phases)	/* four bits each */
		*len = round_up(*len, 16) + phases / 2;
	return 0;
}

static int find_len_vsec(struct pci_dev *pdev, unsigned int pos,
			 unsigned int *len)
{
	u32 header;
	int ret;

	ret = vfio_pci_config_hw_read(pdev, pos + PCI_VNDR_HEADER, 4, &header);
	if (ret)
		return ret;

	*len = PCI_VNDR_HEADER_LEN(header);
	return 0;
}

static int find_len_dvsec(struct pci_dev *pdev, unsigned int pos,
			  unsigned int *len)
{
	u32 header;
	int ret;

	ret = vfio_pci_config_hw_read(pdev, pos + PCI_DVSEC_HEADER1, 4,
				      &header);
	if (ret)
		return ret;

	*len = PCI_DVSEC_HEADER1_LEN(header);
	return 0;
}

/* With egress control there is a vector of one bit per port or function. */
static int find_len_acs(struct pci_dev *pdev, unsigned int pos,
			unsigned int *len)
{
	u32 cap, bits;
	int ret;

	*len = PCI_ACS_EGRESS_CTL_V;
	ret = vfio_pci_config_hw_read(pdev, pos + PCI_ACS_CAP, 1, &cap);
	if (ret || !(cap & PCI_ACS_EC))
		return ret;

	ret = vfio_pci_config_hw_read(pdev, pos + PCI_ACS_EGRESS_BITS, 1,
				      &bits);
	if (ret)
		return ret;

	*len += round_up(bits ?: 256, 32) / 8;
	return 0;
}

static int find_len_rebar(struct pci_dev *pdev, unsigned int pos,
			  unsigned int *len)
{
	u32 ctrl;
	int ret;

	ret = vfio_pci_config_hw_read(pdev, pos + PCI_REBAR_CTRL, 4, &ctrl);
	if (ret)
		return ret;

	/* A capability and a control register for each. */
	*len = PCI_REBAR_CAP +
	       8 * ((ctrl & PCI_REBAR_CTRL_NBAR_MASK) >>
		    PCI_REBAR_CTRL_NBAR_SHIFT);
	return 0;
}

static int find_len_dpa(struct pci_dev *pdev, unsigned int pos,
			unsigned int *len)
{
	u32 cap;
	int ret;

	ret = vfio_pci_config_hw_read(pdev, pos + PCI_DPA_CAP, 1, &cap);
	if (ret)
		return ret;

	*len = PCI_DPA_BASE_SIZEOF + (cap & PCI_DPA_CAP_SUBSTATE_MASK) + 1;
	return 0;
}

static int find_len_tph(struct pci_dev *pdev, unsigned int pos,
			unsigned int *len)
{
	u32 cap;
	int ret;

	*len = PCI_TPH_BASE_SIZEOF;
	ret = vfio_pci_config_hw_read(pdev, pos + PCI_TPH_CAP, 4, &cap);
	if (ret || (cap & PCI_TPH_CAP_LOC_MASK) != PCI_TPH_LOC_CAP)
		return ret;

	/* The register holds the number of the last entry. */
	*len += 2 * (((cap & PCI_TPH_CAP_ST_MASK) >> PCI_TPH_CAP_ST_SHIFT) + 1);
	return 0;
}

/* As wide as the link can be, whatever it is now. */
static unsigned int lanes(struct pci_dev *pdev)
{
	enum pcie_link_width width = pcie_get_width_cap(pdev);

	return width == PCIE_LNK_WIDTH_UNKNOWN ? 0 : width;
}

static int find_len_secpci(struct pci_dev *pdev, unsigned int pos,
			   unsigned int *len)
{
	*len = 0xc + 2 * lanes(pdev);
	return 0;
}

static int find_len_pl(struct pci_dev *pdev, unsigned int pos,
		       unsigned int *len)
{
	*len = 0x20 + lanes(pdev);
	return 0;
}

static int find_len_margining(struct pci_dev *pdev, unsigned int pos,
			      unsigned int *len)
{
	*len = 8 + 4 * lanes(pdev);
	return 0;
}

#define HIDDEN(_id, _len) \
	{ .name = "hidden", .id = (_id), .len = (_len), .hidden = true }
#define EXT_HIDDEN(_id, _len) \
	{ .name = "hidden", .id = (_id), .ext = true, .len = (_len), \
	  .hidden = true }
#define EXT_HIDDEN_FIND(_id, _find) \
	{ .name = "hidden", .id = (_id), .ext = true, .find_len = (_find), \
	  .hidden = true }

#define CAP(_id)	.id = (_id), FIELDS(cap_fields)
#define EXT_CAP(_id)	.id = (_id), .ext = true, FIELDS(ext_cap_fields)
#define MSI_KIND	(PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT)
#define EXP_RC_END	(PCI_EXP_TYPE_RC_END << 4)

const struct vfio_pci_config_layout vfio_pci_config_layouts[] = {
	[VFIO_PCI_CONFIG_UNASSIGNED] = {
		.name = "unassigned",
		.raw = true,
	},
	/*
	 * What nobody may write. The header is virtual for that of a hidden one
	 * at the head of a chain, which holds its place.
	 */
	[VFIO_PCI_CONFIG_DENIED] = {
		.name = "hidden",
		FIELDS(ext_cap_fields),
	},
	[VFIO_PCI_CONFIG_HEADER] = {
		.name = "header",
		.len = PCI_STD_HEADER_SIZEOF,
		FIELDS(header_fields),
		.write = vfio_pci_config_write_header,
	},
	[VFIO_PCI_CONFIG_HEADER_VF] = {
		.name = "header of a VF",
		.len = PCI_STD_HEADER_SIZEOF,
		FIELDS(header_fields),
		MORE_FIELDS(header_vf_fields),
		.write = vfio_pci_config_write_header,
	},
	/* For vfio_pci_core_virtualize_dword() */
	[VFIO_PCI_CONFIG_VIRTUAL] = {
		.name = "virtual dword",
		.len = 4,
		FIELDS(virtual_fields),
	},

	/* Capabilities */
	{
		.name = "power management",
		.id = PCI_CAP_ID_PM,
		.len = PCI_PM_SIZEOF,
		FIELDS(pm_fields),
		.init = vfio_pci_config_init_pm,
		.write = vfio_pci_config_write_pm,
	},
	{ .name = "AGP", CAP(PCI_CAP_ID_AGP), .len = PCI_AGP_SIZEOF },
	{
		.name = "vital product data",
		.id = PCI_CAP_ID_VPD,
		.len = PCI_CAP_VPD_SIZEOF,
		FIELDS(vpd_fields),
		.write = vfio_pci_config_write_vpd,
	},
	{
		.name = "MSI",
		.id = PCI_CAP_ID_MSI,
		.flags_mask = MSI_KIND,
		.flags = 0,
		.len = PCI_MSI_DATA_32 + 2,
		FIELDS(msi_fields),
		MORE_FIELDS(msi_32_fields),
		.write = vfio_pci_config_write_msi,
	},
	{
		.name = "MSI, maskable",
		.id = PCI_CAP_ID_MSI,
		.flags_mask = MSI_KIND,
		.flags = PCI_MSI_FLAGS_MASKBIT,
		.len = PCI_MSI_PENDING_32 + 4,
		FIELDS(msi_fields),
		MORE_FIELDS(msi_32_mask_fields),
		.write = vfio_pci_config_write_msi,
	},
	{
		.name = "MSI, 64 bit",
		.id = PCI_CAP_ID_MSI,
		.flags_mask = MSI_KIND,
		.flags = PCI_MSI_FLAGS_64BIT,
		.len = PCI_MSI_DATA_64 + 2,
		FIELDS(msi_fields),
		MORE_FIELDS(msi_64_fields),
		.write = vfio_pci_config_write_msi,
	},
	{
		.name = "MSI, 64 bit, maskable",
		.id = PCI_CAP_ID_MSI,
		.flags_mask = MSI_KIND,
		.flags = MSI_KIND,
		.len = PCI_MSI_PENDING_64 + 4,
		FIELDS(msi_fields),
		MORE_FIELDS(msi_64_mask_fields),
		.write = vfio_pci_config_write_msi,
	},
	{
		.name = "PCI-X",
		.id = PCI_CAP_ID_PCIX,
		.flags_mask = 0x3000,	/* version */
		.flags = 0,
		.len = PCI_CAP_PCIX_SIZEOF_V0,
		FIELDS(pcix_fields),
	},
	{
		.name = "PCI-X 2",
		.id = PCI_CAP_ID_PCIX,
		.len = PCI_CAP_PCIX_SIZEOF_V2,
		FIELDS(pcix_fields),
	},
	{
		/* HyperTransport 3.1, 7 */
		.name = "HyperTransport slave",
		CAP(PCI_CAP_ID_HT),
		.flags_mask = HT_3BIT_CAP_MASK << 8,
		.flags = HT_CAPTYPE_SLAVE << 8,
		.len = HT_CAP_SIZEOF_LONG,
	},
	{
		.name = "HyperTransport",
		CAP(PCI_CAP_ID_HT),
		.len = HT_CAP_SIZEOF_SHORT,
	},
	{
		.name = "vendor",			/* 7.9.4 */
		CAP(PCI_CAP_ID_VNDR),
		.find_len = find_len_vndr,
		.raw = true,
	},
	{
		.name = "PCI Express 1, without a link",
		.id = PCI_CAP_ID_EXP,
		.flags_mask = PCI_EXP_FLAGS_VERS | PCI_EXP_FLAGS_TYPE,
		.flags = EXP_RC_END | 1,
		.len = PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V1,
		FIELDS(exp_fields),
		.write = vfio_pci_config_write_exp,
	},
	{
		.name = "PCI Express 1",
		.id = PCI_CAP_ID_EXP,
		.flags_mask = PCI_EXP_FLAGS_VERS,
		.flags = 1,
		.len = PCI_CAP_EXP_ENDPOINT_SIZEOF_V1,
		FIELDS(exp_fields),
		.write = vfio_pci_config_write_exp,
	},
	{
		.name = "PCI Express, without a link",
		.id = PCI_CAP_ID_EXP,
		.flags_mask = PCI_EXP_FLAGS_TYPE,
		.flags = EXP_RC_END,
		.len = PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V2,
		FIELDS(exp_fields),
		MORE_FIELDS(exp_v2_fields),
		.write = vfio_pci_config_write_exp,
	},
	{
		.name = "PCI Express",
		.id = PCI_CAP_ID_EXP,
		.len = PCI_CAP_EXP_ENDPOINT_SIZEOF_V2,
		FIELDS(exp_fields),
		MORE_FIELDS(exp_v2_fields),
		.write = vfio_pci_config_write_exp,
	},
	{							/* 7.7.2 */
		/* The host programs the table and enables it. */
		.name = "MSI-X",
		CAP(PCI_CAP_ID_MSIX),
		.len = PCI_CAP_MSIX_SIZEOF,
	},
	{
		/* Serial ATA AHCI 1.3, 2.4 */
		.name = "SATA",
		CAP(PCI_CAP_ID_SATA),
		.find_len = find_len_sata,
	},
	{
		.name = "advanced features",
		.id = PCI_CAP_ID_AF,
		.len = PCI_CAP_AF_SIZEOF,
		FIELDS(af_fields),
		.write = vfio_pci_config_write_af,
	},

	/* Bridges', and what firmware leaves of one that it took away. */
	HIDDEN(0, 4),
	HIDDEN(PCI_CAP_ID_SLOTID, 4),
	HIDDEN(PCI_CAP_ID_CHSWP, 4),
	HIDDEN(PCI_CAP_ID_DBG, 4),
	HIDDEN(PCI_CAP_ID_SHPC, 8),
	HIDDEN(PCI_CAP_ID_SSVID, 8),

	/* Extended capabilities */
	{
		/* Short of the registers that root ports alone have. */
		.name = "advanced error reporting",
		.id = PCI_EXT_CAP_ID_ERR,
		.ext = true,
		.len = PCI_ERR_ROOT_COMMAND,
		FIELDS(err_fields),
	},
	{							/* 7.9.1 */
		.name = "virtual channel",
		EXT_CAP(PCI_EXT_CAP_ID_VC),
		.find_len = find_len_vc,
	},
	{							/* 7.9.3 */
		.name = "serial number",
		EXT_CAP(PCI_EXT_CAP_ID_DSN),
		.len = PCI_EXT_CAP_DSN_SIZEOF,
	},
	{
		.name = "power budgeting",
		.id = PCI_EXT_CAP_ID_PWR,
		.ext = true,
		.len = PCI_EXT_CAP_PWR_SIZEOF,
		FIELDS(pwr_fields),
	},
	{							/* 7.9.2 */
		.name = "multi-function virtual channel",
		EXT_CAP(PCI_EXT_CAP_ID_MFVC),
		.find_len = find_len_vc,
	},
	{
		.name = "virtual channel beside MFVC",
		EXT_CAP(PCI_EXT_CAP_ID_VC9),
		.find_len = find_len_vc,
	},
	{							/* 7.9.5 */
		.name = "vendor, extended",
		EXT_CAP(PCI_EXT_CAP_ID_VNDR),
		.find_len = find_len_vsec,
		.raw = true,
	},
	{							/* 7.7.8 */
		.name = "access control",
		EXT_CAP(PCI_EXT_CAP_ID_ACS),
		.find_len = find_len_acs,
	},
	{							/* 7.8.8 */
		.name = "alternative routing ID",
		EXT_CAP(PCI_EXT_CAP_ID_ARI),
		.len = PCI_EXT_CAP_ARI_SIZEOF,
	},
	{							/* 10.5.1 */
		.name = "address translation",
		EXT_CAP(PCI_EXT_CAP_ID_ATS),
		.len = PCI_EXT_CAP_ATS_SIZEOF,
	},
	{							/* 9.3.3 */
		.name = "SR-IOV",
		EXT_CAP(PCI_EXT_CAP_ID_SRIOV),
		.len = PCI_EXT_CAP_SRIOV_SIZEOF,
	},
	{							/* 7.9.11 */
		.name = "multicast",
		EXT_CAP(PCI_EXT_CAP_ID_MCAST),
		.len = PCI_EXT_CAP_MCAST_ENDPOINT_SIZEOF,
	},
	{							/* 10.5.2 */
		.name = "page request",
		EXT_CAP(PCI_EXT_CAP_ID_PRI),
		.len = PCI_EXT_CAP_PRI_SIZEOF,
	},
	{							/* 7.8.6 */
		.name = "resizable BAR",
		EXT_CAP(PCI_EXT_CAP_ID_REBAR),
		.find_len = find_len_rebar,
	},
	{							/* 7.9.12 */
		.name = "dynamic power allocation",
		EXT_CAP(PCI_EXT_CAP_ID_DPA),
		.find_len = find_len_dpa,
	},
	{							/* 7.9.13 */
		.name = "TPH requester",
		EXT_CAP(PCI_EXT_CAP_ID_TPH),
		.find_len = find_len_tph,
	},
	{							/* 7.8.2 */
		.name = "latency tolerance",
		EXT_CAP(PCI_EXT_CAP_ID_LTR),
		.len = PCI_EXT_CAP_LTR_SIZEOF,
	},
	{							/* 7.9.6 */
		.name = "designated vendor",
		EXT_CAP(PCI_EXT_CAP_ID_DVSEC),
		.find_len = find_len_dvsec,
		.raw = true,
	},

	/* The host's: address spaces, the link, power, time. */
	EXT_HIDDEN(0, 4),		/* firmware took one away */
	EXT_HIDDEN(PCI_EXT_CAP_ID_RCILC, 12),
	EXT_HIDDEN(PCI_EXT_CAP_ID_RCEC, 12),
	EXT_HIDDEN(PCI_EXT_CAP_ID_RCRB, 20),
	EXT_HIDDEN(PCI_EXT_CAP_ID_CAC, 8),
	EXT_HIDDEN(PCI_EXT_CAP_ID_PASID, PCI_EXT_CAP_PASID_SIZEOF),
	EXT_HIDDEN(PCI_EXT_CAP_ID_L1SS, PCI_L1SS_CTL2 + 4),
	EXT_HIDDEN(PCI_EXT_CAP_ID_PTM, PCI_PTM_CTRL + 4),
	EXT_HIDDEN(0x21, 16),		/* queueing of FRS messages */
	EXT_HIDDEN(0x22, 12),		/* readiness time reporting */
	EXT_HIDDEN(PCI_EXT_CAP_ID_DLF, 12),
	EXT_HIDDEN(PCI_EXT_CAP_ID_NPEM, 16),
	EXT_HIDDEN(0x2b, 20),		/* alternate protocol */
	EXT_HIDDEN(0x2c, 20),		/* system firmware intermediary */
	EXT_HIDDEN(PCI_EXT_CAP_ID_DOE, PCI_DOE_CAP_SIZEOF),
	EXT_HIDDEN(0x2f, 12),		/* device 3 */
	EXT_HIDDEN_FIND(0x24, find_len_rebar),	/* of a VF */
	/* Something for each lane of the link */
	EXT_HIDDEN_FIND(PCI_EXT_CAP_ID_SECPCI, find_len_secpci),
	EXT_HIDDEN_FIND(PCI_EXT_CAP_ID_PL_16GT, find_len_pl),
	EXT_HIDDEN_FIND(PCI_EXT_CAP_ID_PL_32GT, find_len_pl),
	EXT_HIDDEN_FIND(0x31, find_len_pl),	/* 64 GT/s */
	EXT_HIDDEN_FIND(0x27, find_len_margining),
};

const unsigned int vfio_pci_config_nr_layouts =
	ARRAY_SIZE(vfio_pci_config_layouts);
