// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints of vfio-pci, in an instance of tracefs of the test's own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfio_gate.h"

static const char *const roots[] = {
	"/sys/kernel/tracing", "/sys/kernel/debug/tracing",
};

/* Where tracefs is mounted, NULL if it is not. */
const char *vfio_tracefs(void)
{
	char path[64];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/instances", roots[i]);
		if (!access(path, F_OK))
			return roots[i];
	}
	return NULL;
}

static int put(struct vfio_trace *t, const char *file, const char *value)
{
	char path[256];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", t->dir, file);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* -ENXIO where the kernel has no tracing; the events are off. */
int vfio_trace_start(struct vfio_trace *t)
{
	const char *root = vfio_tracefs();

	if (!root)
		return -ENXIO;
	snprintf(t->dir, sizeof(t->dir), "%s/instances/vfio_test", root);
	if (mkdir(t->dir, 0700) && errno != EEXIST)
		return -errno;
	return vfio_trace_enable(t, false) ?: vfio_trace_clear(t);
}

int vfio_trace_enable(struct vfio_trace *t, bool on)
{
	return put(t, "events/vfio_pci/enable", on ? "1" : "0");
}

int vfio_trace_clear(struct vfio_trace *t)
{
	return put(t, "trace", "");
}

/* What was recorded; the caller frees it. */
char *vfio_trace_read(struct vfio_trace *t)
{
	size_t len = 0, size = 1 << 20;
	char path[256], *text;
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", t->dir);
	f = fopen(path, "re");
	text = malloc(size);
	if (f && text) {
		len = fread(text, 1, size - 1, f);
		text[len] = '\0';
	}
	if (f)
		fclose(f);
	return text;
}

void vfio_trace_stop(struct vfio_trace *t)
{
	vfio_trace_enable(t, false);
	rmdir(t->dir);
}

/* The next line of @text with @event, which is cut out of it; NULL at the end. */
char *vfio_trace_next(char **text, const char *event)
{
	char *line;

	while ((line = strsep(text, "\n"))) {
		if (strstr(line, event))
			return line;
	}
	return NULL;
}

/* A number behind "name="; ~0 when there is none. */
uint64_t vfio_trace_field(const char *line, const char *name)
{
	char needle[32];
	const char *at;

	snprintf(needle, sizeof(needle), " %s=", name);
	at = strstr(line, needle);
	return at ? strtoull(at + strlen(needle), NULL, 0) : ~0ull;
}
