/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the virtualised configuration space share; config.c
 * explains it.
 */
#ifndef DRIVERS_VFIO_PCI_CONFIG_H
#define DRIVERS_VFIO_PCI_CONFIG_H

#include <linux/unaligned.h>

#include "vfio_pci_priv.h"

/* The longest structure with a field table is the type 0 header. */
#define VFIO_PCI_CONFIG_DWORDS	(PCI_STD_HEADER_SIZEOF / 4)

/* Where a register's bits come from and where they go. */
struct vfio_pci_config_masks {
	u32	virt[VFIO_PCI_CONFIG_DWORDS];	/* live in vconfig */
	u32	write[VFIO_PCI_CONFIG_DWORDS];	/* the user may change */
};

/* One aligned access of 1, 2 or 4 bytes; values in the CPU's byte order. */
struct vfio_pci_config_access {
	struct vfio_pci_core_device	*vdev;
	unsigned int			pos;	/* in configuration space */
	unsigned int			start;	/* of the structure it hits */
	unsigned int			width;
	u32				virt;
	u32				write;
	u32				val;
	/* Configuration space is locked: who has that need not wait for himself. */
	bool				locked;
	/* What the register holds, in bits that are not written, under a lock that is held. */
	bool				known;
	u32				old;
	/* Bits of status that the value they are read as would clear. */
	u32				w1c;
};

/* One field: offset in its structure and width, in bytes. */
struct vfio_pci_config_field {
	u16	offset;
	u8	width;
	u32	virt;
	u32	write;
};

/* One layout of the header or of a capability. */
struct vfio_pci_config_layout {
	const char	*name;

	/* What it applies to; rows of the same id are tried in order. */
	u16		id;
	bool		ext;
	/* ... if these bits of the 16 at PCI_CAP_FLAGS are so. */
	u16		flags_mask;
	u16		flags;

	/* How long it is: a constant, or to be found out; 0 is not exposed. */
	u16		len;
	int		(*find_len)(struct pci_dev *pdev, unsigned int pos,
				    unsigned int *len);

	/* Bits that no field names are hardware's; may the user write them? */
	bool		raw;
	/* It is not in the user's chain, and only read. */
	bool		hidden;

	/* The second list, of what variants differ in, overrides the first. */
	const struct vfio_pci_config_field	*fields;
	const struct vfio_pci_config_field	*more;
	unsigned int				nr_fields;
	unsigned int				nr_more;

	/* Adapt vconfig, just read from hardware. */
	void		(*init)(struct vfio_pci_core_device *vdev,
				unsigned int pos);
	/* Instead of vfio_pci_config_store(). */
	int		(*write)(struct vfio_pci_config_access *acc);
};

/* Layouts that are not found by their id come first. */
enum vfio_pci_config_fixed {
	VFIO_PCI_CONFIG_UNASSIGNED,
	VFIO_PCI_CONFIG_DENIED,
	VFIO_PCI_CONFIG_HEADER,
	VFIO_PCI_CONFIG_HEADER_VF,
	VFIO_PCI_CONFIG_VIRTUAL,
	VFIO_PCI_CONFIG_NR_FIXED,
};

/* config_caps.c */
extern const struct vfio_pci_config_layout vfio_pci_config_layouts[];
extern const unsigned int vfio_pci_config_nr_layouts;

/* config.c */
int vfio_pci_config_hw_read(struct pci_dev *pdev, unsigned int pos,
			    unsigned int width, u32 *val);
int vfio_pci_config_store(struct vfio_pci_config_access *acc);

/* config_write.c: registers whose writes do more than store */
void vfio_pci_config_size_bars(struct vfio_pci_core_device *vdev);
int vfio_pci_config_write_header(struct vfio_pci_config_access *acc);
void vfio_pci_config_init_pm(struct vfio_pci_core_device *vdev,
			     unsigned int pos);
int vfio_pci_config_write_pm(struct vfio_pci_config_access *acc);
int vfio_pci_config_write_vpd(struct vfio_pci_config_access *acc);
int vfio_pci_config_write_msi(struct vfio_pci_config_access *acc);
int vfio_pci_config_write_exp(struct vfio_pci_config_access *acc);
int vfio_pci_config_write_af(struct vfio_pci_config_access *acc);

/* vconfig is little endian, like what it stands for. */
static inline u16 vfio_pci_vconfig_get16(struct vfio_pci_core_device *vdev,
					 unsigned int pos)
{
	return get_unaligned_le16(vdev->vconfig + pos);
}

static inline u32 vfio_pci_vconfig_get32(struct vfio_pci_core_device *vdev,
					 unsigned int pos)
{
	return get_unaligned_le32(vdev->vconfig + pos);
}

static inline void vfio_pci_vconfig_set16(struct vfio_pci_core_device *vdev,
					  unsigned int pos, u16 val)
{
	put_unaligned_le16(val, vdev->vconfig + pos);
}

static inline void vfio_pci_vconfig_set32(struct vfio_pci_core_device *vdev,
					  unsigned int pos, u32 val)
{
	put_unaligned_le32(val, vdev->vconfig + pos);
}

/* Does the access touch the byte at this offset of its structure? */
static inline bool
vfio_pci_config_touches(const struct vfio_pci_config_access *acc,
			unsigned int offset)
{
	unsigned int byte = acc->start + offset;

	return acc->pos <= byte && byte < acc->pos + acc->width;
}

#endif /* DRIVERS_VFIO_PCI_CONFIG_H */
