// SPDX-License-Identifier: GPL-2.0-only
/* Which AtomicOps a device can send to memory: VFIO_DEVICE_INFO_CAP. */
#include <stdlib.h>
#include <string.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

/* -1 where the capability is absent. */
static int64_t atomic_flags(const struct vfio_dev *d)
{
	const struct vfio_device_info_cap_pci_atomic_comp *cap;
	struct {
		struct vfio_device_info info;
		uint8_t caps[256];
	} arg = { .info.argsz = sizeof(arg) };

	if (vfio_ioctl(d->device, VFIO_DEVICE_GET_INFO, &arg))
		return -EIO;
	if (!(arg.info.flags & VFIO_DEVICE_FLAGS_CAPS))
		return -1;
	cap = vfio_info_cap(&arg, arg.info.cap_offset,
			    VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP);
	if (!cap)
		return -1;
	return cap->header.version == 1 && !cap->reserved ? cap->flags : -EPROTO;
}

/* QEMU's ports complete none. */
TEST(absent)
{
	static const char *const ids[] = {
		VFIO_NVME, VFIO_E1000E, VFIO_EDU, VFIO_E1000,
	};
	struct vfio_device_info info;
	struct vfio_dev d;
	int i;

	for (i = 0; i < 4; i++) {
		char bdf[VFIO_BDF_LEN];

		if (vfio_pci_resolve(ids[i], bdf))
			continue;
		ASSERT_EQ(0, vfio_dev_open(&d, bdf, VFIO_TYPE1v2_IOMMU));
		EXPECT_EQ(-1, atomic_flags(&d));
		ASSERT_EQ(0, vfio_dev_info(&d, &info));
		EXPECT_EQ(0, info.cap_offset);
		vfio_dev_close(&d);
	}
}

/* Config space as the host has it; the capability's place, or 0. */
static int exp_cap(const char *bdf, uint8_t *config, size_t len)
{
	int fd = vfio_pci_config_open(bdf), pos;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, config, len);
	close(fd);
	if (n < (ssize_t)len)
		return 0;
	for (pos = config[PCI_CAPABILITY_LIST]; pos; pos = config[pos + 1])
		if (config[pos] == PCI_CAP_ID_EXP)
			return pos;
	return 0;
}

/* The bridge right above a device. */
static int parent_of(const char *bdf, char *parent)
{
	char path[128], *real, *slash;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/..", bdf);
	real = realpath(path, NULL);
	if (!real)
		return -errno;
	slash = strrchr(real, '/');
	snprintf(parent, VFIO_BDF_LEN, "%.39s", slash + 1);
	free(real);
	return 0;
}

/* "BDF+OFFSET=VALUE" for DEVCAP2 with other bits for AtomicOps. */
static int overlay_devcap2(char *text, size_t len, const char *bdf,
			   uint32_t bits)
{
	const uint32_t mask = PCI_EXP_DEVCAP2_ATOMIC_ROUTE |
			      PCI_EXP_DEVCAP2_ATOMIC_COMP32 |
			      PCI_EXP_DEVCAP2_ATOMIC_COMP64 |
			      PCI_EXP_DEVCAP2_ATOMIC_COMP128;
	uint8_t config[256];
	int cap = exp_cap(bdf, config, sizeof(config)) + PCI_EXP_DEVCAP2;
	uint32_t old;

	memcpy(&old, config + cap, 4);
	snprintf(text, len, "%s+%x=%x", bdf, cap, (old & ~mask) | bits);
	return cap == PCI_EXP_DEVCAP2 ? -ENOENT : 0;
}

FIXTURE(completer)
{
	char bdf[VFIO_BDF_LEN];
	char port[VFIO_BDF_LEN];
};

FIXTURE_VARIANT(completer)
{
	uint32_t port;
	uint32_t device;
	int64_t flags;
};

#define COMP32	PCI_EXP_DEVCAP2_ATOMIC_COMP32
#define COMP64	PCI_EXP_DEVCAP2_ATOMIC_COMP64
#define COMP128	PCI_EXP_DEVCAP2_ATOMIC_COMP128

FIXTURE_VARIANT_ADD(completer, none) {
	.device = COMP32 | COMP64 | COMP128,
	.flags = -1,
};

FIXTURE_VARIANT_ADD(completer, all) {
	.port = COMP32 | COMP64 | COMP128,
	.device = COMP32 | COMP64 | COMP128,
	.flags = VFIO_PCI_ATOMIC_COMP32 | VFIO_PCI_ATOMIC_COMP64 |
		 VFIO_PCI_ATOMIC_COMP128,
};

FIXTURE_VARIANT_ADD(completer, some) {
	.port = COMP32 | COMP64,
	.device = COMP32 | COMP64 | COMP128,
	.flags = VFIO_PCI_ATOMIC_COMP32 | VFIO_PCI_ATOMIC_COMP64,
};

FIXTURE_VARIANT_ADD(completer, one) {
	.port = COMP128,
	.device = COMP32 | COMP64 | COMP128,
	.flags = VFIO_PCI_ATOMIC_COMP128,
};

FIXTURE_VARIANT_ADD(completer, device_knows_one) {
	.port = COMP32 | COMP64 | COMP128,
	.device = COMP64,
	.flags = VFIO_PCI_ATOMIC_COMP64,
};

FIXTURE_SETUP(completer)
{
	char port[64], device[64], set[160];

	if (vfio_pci_resolve(VFIO_NVME, self->bdf) ||
	    parent_of(self->bdf, self->port) ||
	    overlay_devcap2(port, sizeof(port), self->port, variant->port) ||
	    overlay_devcap2(device, sizeof(device), self->bdf,
			    variant->device))
		SKIP(_exit(KSFT_SKIP), "no device behind a root port");
	snprintf(set, sizeof(set), "set=%s,%s", port, device);
	if (vfio_overlay_load(set, NULL))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
}

FIXTURE_TEARDOWN(completer)
{
	EXPECT_EQ(0, vfio_overlay_unload(NULL));
}

TEST_F(completer, flags)
{
	struct vfio_dev d;

	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(variant->flags, atomic_flags(&d));
	vfio_dev_close(&d);
}

TEST_HARNESS_MAIN
