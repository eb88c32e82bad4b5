// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices of the machine. Some emulations end the whole machine when their
 * registers are abused, so registers are written only where that is known to be
 * harmless; the interface under test does not look at what is written there.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../kselftest.h"
#include "fuzz.h"
#include "vfio_emulated.h"
#include "vfio_variants.h"

#define UUID		"2ab5d2a6-52b5-45f2-a4a8-4d2c0b1e00ff"
#define EMULATED	"test_vfio_emulated.0"

/* Their numbers are part of the corpus. */
static const char *const ids[FUZZ_DEVICES] = {
	VFIO_NVME, VFIO_EDU, VFIO_IVSHMEM, VFIO_E1000E "#0", VFIO_E1000E "#1",
	VFIO_TESTDEV, VFIO_E1000, VFIO_RTL8139, UUID, EMULATED,
};

enum { NVME, EDU, IVSHMEM, TESTDEV = 5, MTTY = 8 };

/* Where registers, or what is memory, can be written. */
static const struct window {
	unsigned int name, region;
	uint64_t start, end;
} windows[] = {
	{ NVME, 0, 0x0c, 0x14 },	/* the interrupt mask */
	{ EDU, 0, 0, 0x80 },		/* not the DMA engine's */
	{ IVSHMEM, 2, 0, 64ull << 20 },
	{ TESTDEV, 2, 0, 1ull << 20 },
	{ MTTY, 0, 0, 8 },
	{ MTTY, 1, 0, 8 },
	{ MTTY, VFIO_PCI_CONFIG_REGION_INDEX, 0, 256 },
};

static char names[FUZZ_DEVICES][VFIO_BDF_LEN];
static int groups[FUZZ_DEVICES];

static int prepare_mtty(void)
{
	if (vfio_mtty_load())
		return -ENXIO;
	vfio_mtty_destroy(UUID);
	return vfio_mtty_create("mtty-1", UUID) ?: vfio_mtty_group(UUID);
}

static int prepare_emulated(void)
{
	struct vfio_dev d;
	int ret = emu_open(&d, 0, 0, NULL);

	if (ret)
		return ret;
	vfio_dev_close(&d);
	return d.group_id;
}

static int prepare_pci(unsigned int i)
{
	if (vfio_pci_resolve(ids[i], names[i]))
		return -ENXIO;
	return vfio_pci_bind_group(names[i]) ?: vfio_pci_group(names[i]);
}

/* Bind all that are there; how many. */
int fuzz_devices_prepare(void)
{
	unsigned int i;
	int nr = 0;

	for (i = 0; i < FUZZ_DEVICES; i++) {
		if (!strcmp(ids[i], UUID))
			groups[i] = prepare_mtty();
		else if (!strcmp(ids[i], EMULATED))
			groups[i] = prepare_emulated();
		else
			groups[i] = prepare_pci(i);
		if (!names[i][0])
			snprintf(names[i], sizeof(names[i]), "%s", ids[i]);
		nr += groups[i] >= 0;
	}
	return nr;
}

void fuzz_devices_done(void)
{
	vfio_mtty_destroy(UUID);
}

const char *fuzz_device_name(unsigned int name)
{
	return name < FUZZ_DEVICES ? names[name] : "no such device";
}

int fuzz_device_group(unsigned int name)
{
	return name < FUZZ_DEVICES ? groups[name] : -ENXIO;
}

/* In a container of its own or in that of @other. */
int fuzz_device_open(struct vfio_dev *d, unsigned int name, int mode,
		     const struct vfio_dev *other)
{
	if (fuzz_device_group(name) < 0)
		return -ENXIO;
	return vfio_dev_open_named(d, names[name], groups[name], mode, other);
}

static bool in_window(unsigned int name, uint64_t pos, uint64_t len)
{
	uint64_t region = pos >> FUZZ_REGION_BITS;
	uint64_t start = pos & ((1ull << FUZZ_REGION_BITS) - 1);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(windows); i++) {
		const struct window *w = &windows[i];

		if (w->name == name && w->region == region &&
		    start >= w->start && start < w->end &&
		    len <= w->end - start)
			return true;
	}
	return false;
}

/* At @pos of the device's file. */
bool fuzz_device_may_write(unsigned int name, uint64_t pos, uint64_t len)
{
	/* Only memory has aliases. */
	if (pos >> FUZZ_REGION_BITS >= VFIO_PCI_ROM_REGION_INDEX)
		return fuzz_device_may_read(name, pos, len);
	return in_window(name, pos, len);
}

/* The sample driver does not look at where the end of a region is. */
bool fuzz_device_may_read(unsigned int name, uint64_t pos, uint64_t len)
{
	return name != MTTY || in_window(name, pos, len);
}

bool fuzz_device_is_edu(unsigned int name)
{
	return name == EDU;
}

bool fuzz_device_is_mtty(unsigned int name)
{
	return name == MTTY;
}
