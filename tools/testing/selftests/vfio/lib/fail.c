// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures on demand: the nth allocation, or copy of user data, that the calling
 * thread makes. The kernel needs CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and
 * CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_util.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define SLAB		VFIO_DEBUGFS "/failslab/"
#define PAGES		VFIO_DEBUGFS "/fail_page_alloc/"
#define USERCOPY	VFIO_DEBUGFS "/fail_usercopy/"

/* The log of each failure, and of all of them, however many. */
static void be_verbose(const char *level)
{
	vfio_sysfs_write(SLAB "verbose", level);
	vfio_sysfs_write(SLAB "verbose_ratelimit_interval_ms", "0");
	vfio_sysfs_write(PAGES "verbose", level);
	vfio_sysfs_write(PAGES "verbose_ratelimit_interval_ms", "0");
	vfio_sysfs_write(USERCOPY "verbose", level);
	vfio_sysfs_write(USERCOPY "verbose_ratelimit_interval_ms", "0");
}

/*
 * Let allocations that may sleep fail, too. Returns a file for the others.
 * VFIO_FAIL_VERBOSE=2 in the environment has the kernel log where each was.
 */
int vfio_fail_open(void)
{
	int fd, ret;

	if (access(FAIL_NTH, F_OK))
		return -ENOENT;
	ret = vfio_debugfs_need(SLAB);
	if (ret)
		return ret;
	ret = vfio_sysfs_write(SLAB "ignore-gfp-wait", "N") ?:
	      vfio_sysfs_write(PAGES "ignore-gfp-wait", "N");
	if (ret)
		return ret;
	vfio_sysfs_write(PAGES "min-order", "0");
	be_verbose(getenv("VFIO_FAIL_VERBOSE") ?: "0");

	fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Where @function and the next one start; symbols are in that order. */
static int find_function(const char *function, uint64_t *start, uint64_t *end)
{
	unsigned long long at;
	char line[256], name[128];
	FILE *f;

	*start = 0;
	*end = 0;
	f = fopen("/proc/kallsyms", "re");
	if (!f)
		return -errno;
	while (!*end && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %*c %127s", &at, name) != 2)
			continue;
		if (!strcmp(name, function))
			*start = at;
		else if (*start && at > *start)
			*end = at;
	}
	fclose(f);
	return *end ? 0 : -ENOENT;
}

static int spare(const char *start, const char *end, uint64_t from, uint64_t to)
{
	char value[32];
	int ret;

	snprintf(value, sizeof(value), "%llu", (unsigned long long)from);
	ret = vfio_sysfs_write(start, value);
	if (ret)
		return ret;
	snprintf(value, sizeof(value), "%llu", (unsigned long long)to);
	return vfio_sysfs_write(end, value);
}

/*
 * Nothing fails, or is counted, that @function calls for. There is one such
 * function at a time. It takes CONFIG_FAULT_INJECTION_STACKTRACE_FILTER.
 */
int vfio_fail_spare(const char *function)
{
	uint64_t from, to;
	int ret;

	ret = find_function(function, &from, &to);
	if (!ret)
		ret = spare(SLAB "reject-start", SLAB "reject-end", from, to);
	if (!ret)
		ret = spare(PAGES "reject-start", PAGES "reject-end", from,
			    to);
	return ret;
}

/* Arming and disarming may be what fails, once, if copies of users' data can. */
void vfio_fail_arm(int fd, int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", n);

	if (pwrite(fd, buf, len, 0) != len && pwrite(fd, buf, len, 0) != len)
		abort();
}

/* Disarm. Did it come to the failure that was asked for? */
bool vfio_fail_happened(int fd)
{
	char buf[16] = {};

	if (pread(fd, buf, sizeof(buf) - 1, 0) <= 0 &&
	    pread(fd, buf, sizeof(buf) - 1, 0) <= 0)
		abort();
	vfio_fail_arm(fd, 0);
	return !atoi(buf);
}
