// SPDX-License-Identifier: GPL-2.0-only
/* Calls of kernel functions that take longer: test_modules/test_stretch.c. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vfio_util.h"

#define MODULE	"test_stretch"
#define WINDOWS	VFIO_DEBUGFS "/" MODULE "/windows"

/*
 * Every call of @function waits @usecs, "before" it or "after" it has returned,
 * if the task is called @comm or that is NULL. -ENXIO without the module; the
 * test's end has to call vfio_stretch_end().
 */
int vfio_stretch(const char *function, unsigned int usecs, const char *where,
		 const char *comm)
{
	char text[256];

	if (vfio_module_refs(MODULE) < 0 && vfio_modprobe(MODULE))
		return -ENXIO;
	if (vfio_debugfs_need(WINDOWS))
		return -ENXIO;
	snprintf(text, sizeof(text), "%s %u %s %s", function, usecs, where,
		 comm ?: "");
	return vfio_sysfs_write(WINDOWS, text);
}

/* How often somebody waited there; -ENOENT if it is not stretched. */
int vfio_stretch_hits(const char *function)
{
	char line[256], name[128];
	int hits = -ENOENT, n;
	FILE *f;

	f = fopen(WINDOWS, "re");
	if (!f)
		return -errno;
	while (hits < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%127s %*u %*s %*s hits %d", name, &n) == 2 &&
		    !strcmp(name, function))
			hits = n;
	fclose(f);
	return hits;
}

/* As it was; nobody waits any more. */
int vfio_stretch_end(void)
{
	return vfio_module_refs(MODULE) < 0 ? 0 : vfio_module_remove(MODULE);
}
