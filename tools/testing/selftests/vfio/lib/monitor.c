// SPDX-License-Identifier: GPL-2.0-only
/* QEMU's human monitor, through the program that the environment names. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_gate.h"

static const char *program(void)
{
	return getenv("VFIO_TEST_MONITOR");
}

bool vfio_monitor_is_there(void)
{
	return program();
}

/* Give a command; @answer may be NULL. */
int vfio_monitor(const char *command, char *answer, size_t len)
{
	char line[512], rest[256];
	size_t n = 0;
	FILE *f;

	if (!program())
		return -ENXIO;
	snprintf(line, sizeof(line), "%s '%s'", program(), command);
	f = popen(line, "re");
	if (!f)
		return -errno;
	if (answer) {
		n = fread(answer, 1, len - 1, f);
		answer[n] = '\0';
	}
	while (fread(rest, 1, sizeof(rest), f))
		;
	return pclose(f) ? -EIO : 0;
}

/* What QEMU calls the device at this address. */
int vfio_monitor_id(const char *bdf, char *id, size_t len)
{
	unsigned int bus, slot, fn, b, s, f;
	char *all, *line, *rest;
	bool found = false;
	int ret = -ENOENT;

	if (sscanf(bdf, "%*x:%x:%x.%x", &bus, &slot, &fn) != 3)
		return -EINVAL;
	all = calloc(1, 65536);
	if (!all)
		return -ENOMEM;
	if (vfio_monitor("info pci", all, 65536))
		goto free;
	for (line = strtok_r(all, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char name[64];

		if (sscanf(line, " Bus %u, device %u, function %u", &b, &s,
			   &f) == 3) {
			found = b == bus && s == slot && f == fn;
		} else if (found &&
			   sscanf(line, " id \"%63[^\"]\"", name) == 1) {
			snprintf(id, len, "%s", name);
			ret = 0;
			break;
		}
	}
free:
	free(all);
	return ret;
}

/* What it calls the port above, or -ENODEV where there is nothing above. */
int vfio_monitor_port_id(const char *bdf, char *id, size_t len)
{
	char path[PATH_MAX], up[96];

	snprintf(up, sizeof(up), "/sys/bus/pci/devices/%s/..", bdf);
	if (!realpath(up, path))
		return -ENODEV;
	return vfio_monitor_id(strrchr(path, '/') + 1, id, len);
}

/* An error of the link that has the platform reset it; @id is what QEMU calls the device. */
int vfio_monitor_fatal_error(const char *id)
{
	char command[128];

	snprintf(command, sizeof(command), "pcie_aer_inject_error %s DLP", id);
	return vfio_monitor(command, NULL, 0);
}
