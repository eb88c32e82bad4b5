/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Adds one variant per mode to VFIO_FIXTURE, whose variant is nothing but a mode.
 * Included once per fixture, hence without a guard.
 */
#include "vfio_variants.h"

/* The name of the fixture has to be expanded before it is pasted. */
#ifndef VFIO_MODE_TYPE
#define VFIO_MODE_TYPE(fixture) FIXTURE_VARIANT(fixture)
#define VFIO_MODE(fixture, name) FIXTURE_VARIANT_ADD(fixture, name)
#endif

VFIO_MODE_TYPE(VFIO_FIXTURE)
{
	int mode;
};

VFIO_MODE(VFIO_FIXTURE, type1) { .mode = VFIO_TYPE1_IOMMU };
VFIO_MODE(VFIO_FIXTURE, type1v2) { .mode = VFIO_TYPE1v2_IOMMU };
VFIO_MODE(VFIO_FIXTURE, compat) { .mode = VFIO_MODE_COMPAT };
VFIO_MODE(VFIO_FIXTURE, iommufd) { .mode = VFIO_MODE_IOMMUFD };
