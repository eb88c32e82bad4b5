/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Adds one variant per device to VFIO_FIXTURE, whose variant is nothing but an
 * id and a mode, and for one device the other modes. Included once per fixture,
 * hence without a guard.
 */
#include "vfio_variants.h"

/* The name of the fixture has to be expanded before it is pasted. */
#ifndef VFIO_VARIANT_TYPE
#define VFIO_VARIANT_TYPE(fixture) FIXTURE_VARIANT(fixture)
#define VFIO_VARIANT(fixture, name) FIXTURE_VARIANT_ADD(fixture, name)
#define VFIO_VARIANT_MODES(fixture, ...) VFIO_OTHER_MODES(fixture, __VA_ARGS__)
#endif

VFIO_VARIANT_TYPE(VFIO_FIXTURE)
{
	const char *id;
	int mode;
};

VFIO_VARIANT(VFIO_FIXTURE, nvme) { .id = VFIO_NVME };
VFIO_VARIANT(VFIO_FIXTURE, edu) { .id = VFIO_EDU };
VFIO_VARIANT(VFIO_FIXTURE, testdev) { .id = VFIO_TESTDEV };
VFIO_VARIANT(VFIO_FIXTURE, e1000) { .id = VFIO_E1000 };
VFIO_VARIANT(VFIO_FIXTURE, rtl8139) { .id = VFIO_RTL8139 };
VFIO_VARIANT(VFIO_FIXTURE, e1000e) { .id = VFIO_E1000E };
VFIO_VARIANT(VFIO_FIXTURE, ivshmem) { .id = VFIO_IVSHMEM };
VFIO_VARIANT_MODES(VFIO_FIXTURE, nvme, .id = VFIO_NVME);
