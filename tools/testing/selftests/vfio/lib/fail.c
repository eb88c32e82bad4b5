// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures on demand: the nth allocation, or copy of user data, that the calling
 * thread makes. The kernel needs CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and
 * CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "vfio_util.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug"
#define SLAB		DEBUGFS "/failslab/"
#define PAGES		DEBUGFS "/fail_page_alloc/"

/* Let allocations that may sleep fail, too. Returns a file for the others. */
int vfio_fail_open(void)
{
	int fd, ret;

	if (access(FAIL_NTH, F_OK))
		return -ENOENT;
	if (access(SLAB, F_OK) &&
	    mount("debugfs", DEBUGFS, "debugfs", 0, NULL))
		return -errno;
	ret = vfio_sysfs_write(SLAB "ignore-gfp-wait", "N") ?:
	      vfio_sysfs_write(PAGES "ignore-gfp-wait", "N");
	if (ret)
		return ret;
	vfio_sysfs_write(PAGES "min-order", "0");
	vfio_sysfs_write(SLAB "verbose", "0");
	vfio_sysfs_write(PAGES "verbose", "0");

	fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
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
