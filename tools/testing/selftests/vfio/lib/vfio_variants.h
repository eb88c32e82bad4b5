/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices that tests run over, as QEMU has them. Each is there for a
 * shape that the others lack.
 */
#ifndef VFIO_VARIANTS_H
#define VFIO_VARIANTS_H

#define VFIO_NVME	"1b36:0010"	/* PCIe, MSI-X, function-level reset */
#define VFIO_EDU	"1234:11e8"	/* INTx and MSI, a DMA engine */
#define VFIO_TESTDEV	"1b36:0005"	/* no interrupt, no reset, I/O BAR */
#define VFIO_E1000	"8086:100e"	/* conventional, ROM, I/O BAR */
#define VFIO_RTL8139	"10ec:8139"	/* BARs smaller than a page */
#define VFIO_E1000E	"8086:10d3"	/* two functions in one group, AER */
#define VFIO_IVSHMEM	"1af4:1110"	/* a large BAR backed by memory */

/* Two in groups of their own, for tests to which it does not matter which. */
#define VFIO_ANY	(VFIO_ZPCI ? VFIO_E1000E : VFIO_EDU)
#define VFIO_ANOTHER	(VFIO_ZPCI ? VFIO_NVME : VFIO_TESTDEV)

/*
 * A variant of each mode but the usual one. The variant of @fixture has to have a
 * mode; the rest are the other members. The names say the mode, as they do for
 * fixtures with vfio_each_mode.h.
 */
#define VFIO_OTHER_MODES(fixture, name, ...)				\
FIXTURE_VARIANT_ADD(fixture, name##_type1) {				\
	__VA_ARGS__, .mode = VFIO_TYPE1_IOMMU				\
};									\
FIXTURE_VARIANT_ADD(fixture, name##_compat) {				\
	__VA_ARGS__, .mode = VFIO_MODE_COMPAT				\
};									\
FIXTURE_VARIANT_ADD(fixture, name##_iommufd) {				\
	__VA_ARGS__, .mode = VFIO_MODE_IOMMUFD				\
}

#endif
