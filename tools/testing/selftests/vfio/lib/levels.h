/* SPDX-License-Identifier: GPL-2.0-only */
/* How much the kernel has of everything, to see whether it grows. */
#ifndef VFIO_LEVELS_H
#define VFIO_LEVELS_H

#include "vfio_util.h"

#define VFIO_LEVELS 400

/* @noise: by how much @value may be wrong */
struct vfio_level {
	char name[64];
	int64_t value, noise;
};

struct vfio_levels {
	int64_t available_kb;
	unsigned int nr;
	struct vfio_level level[VFIO_LEVELS];
};

void vfio_levels_read(struct vfio_levels *l);
int64_t vfio_level(const struct vfio_levels *l, const char *name);

#endif
