// SPDX-License-Identifier: GPL-2.0-only
/* Counters, modules and the log of the machine under test. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vfio_util.h"

extern char **environ;

/* The number behind @key in a file of "key value" lines; -ENOENT if absent. */
static int64_t keyed_value(const char *path, const char *key)
{
	size_t len = strlen(key);
	int64_t value = -ENOENT;
	char line[256];
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, len) || !strchr(": \t", line[len]))
			continue;
		value = strtoll(line + len + 1, NULL, 10);
		break;
	}
	fclose(f);
	return value;
}

/* A line of /proc/PID/status, such as "VmLck" or "VmPin". */
int64_t vfio_proc_status_kb(pid_t pid, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return keyed_value(path, key);
}

/*
 * How many pins of user pages there are now. The counters are kept per CPU
 * and folded now and then; reading stat_refresh folds them at once.
 */
int64_t vfio_pinned_pages(void)
{
	int64_t acquired, released;
	char buf[16];

	vfio_sysfs_read("/proc/sys/vm/stat_refresh", buf, sizeof(buf));
	acquired = keyed_value("/proc/vmstat", "nr_foll_pin_acquired");
	released = keyed_value("/proc/vmstat", "nr_foll_pin_released");
	if (acquired < 0 || released < 0)
		return -ENOENT;
	return acquired - released;
}

/* How many lines of /proc/interrupts contain @needle. */
int vfio_interrupt_lines(const char *needle)
{
	char line[4096];
	int count = 0;
	FILE *f;

	f = fopen("/proc/interrupts", "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		count += !!strstr(line, needle);
	fclose(f);
	return count;
}

/* A module's reference count; -ENOENT when it is not loaded. */
int vfio_module_refs(const char *module)
{
	char path[128], buf[32];
	int ret;

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module);
	ret = vfio_sysfs_read(path, buf, sizeof(buf));
	return ret ? ret : atoi(buf);
}

/* Run a program and wait for it; its exit status, or a negative errno. */
int vfio_run(const char *const argv[])
{
	int status, ret;
	pid_t pid;

	ret = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv,
			   environ);
	if (ret)
		return -ret;
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* What one entry of the page tables' last level but one maps. */
uint64_t vfio_huge_page(void)
{
	/* A page table is a page of entries of eight bytes. */
	return VFIO_PAGE * (VFIO_PAGE / 8);
}

int vfio_modprobe(const char *module)
{
	const char *const argv[] = { "modprobe", module, NULL };

	return vfio_run(argv);
}

int vfio_module_remove(const char *module)
{
	const char *const argv[] = { "modprobe", "-r", module, NULL };

	return vfio_run(argv);
}

/* The kernel log from now on. */
int vfio_klog_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lseek(fd, 0, SEEK_END);
	return fd;
}

typedef bool klog_match(const char *record, const void *arg);

static int klog_count(int fd, klog_match *match, const void *arg)
{
	char record[8192];
	int count = 0;
	ssize_t n;

	/* One record per read; EPIPE says that some were overwritten. */
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		record[n] = '\0';
		count += match(record, arg);
	}
	return count;
}

static bool has_one_of(const char *record, const void *arg)
{
	const char *const *needle;

	for (needle = arg; *needle; needle++)
		if (strstr(record, *needle))
			return true;
	return false;
}

/* How many records since the last call contain @needle. */
int vfio_klog_count(int fd, const char *needle)
{
	const char *const needles[] = { needle, NULL };

	return klog_count(fd, has_one_of, needles);
}

/* Whose a data race is takes both stacks to tell, and is told by who runs the test. */
static bool is_splat(const char *record, const void *arg)
{
	return has_one_of(record, arg) && !strstr(record, "BUG: KCSAN");
}

/* How many records since the last call tell of a bug in the kernel. */
int vfio_klog_splats(int fd)
{
	static const char *const needles[] = {
		"WARNING:", "BUG:", "Oops", "general protection fault",
		"possible recursive locking", "circular locking",
		"suspicious RCU usage", "refcount_t:", "list_add corruption",
		"list_del corruption", "blocked for more than", NULL,
	};

	return klog_count(fd, is_splat, needles);
}

/* How IOMMUs tell of DMA that they stopped, and what is in front of its address. */
static const struct {
	const char *what;
	const char *address;
} dma_faults[] = {
	{ "DMAR: [DMA", "fault addr " },		/* Intel's VT-d */
	{ "IO_PAGE_FAULT", "address=" },		/* AMD-Vi */
	{ "fault from EP", " at " },			/* virtio-iommu */
	/* Arm's SMMUv3: a record for each word of an event, one of them the address */
	{ "arm-smmu-v3", "0x" },
};

/* At the address that @arg points to, or at any one. */
static bool tells_dma_fault(const char *record, const void *arg)
{
	const uint64_t *iova = arg;
	unsigned int i;

	for (i = 0; i < sizeof(dma_faults) / sizeof(*dma_faults); i++) {
		const char *at = strstr(record, dma_faults[i].what);

		if (!at)
			continue;
		if (!iova)
			return true;
		at = strstr(at, dma_faults[i].address);
		if (!at)
			return false;
		at += strlen(dma_faults[i].address);
		/* Some tell the page only. */
		return strtoull(at, NULL, 16) >> 12 == *iova >> 12;
	}
	return false;
}

/* How many records since the last call tell of DMA that the IOMMU stopped. */
int vfio_klog_dma_faults(int fd)
{
	return klog_count(fd, tells_dma_fault, NULL);
}

/* How many of them tell of DMA to @iova. */
int vfio_klog_dma_faults_at(int fd, uint64_t iova)
{
	return klog_count(fd, tells_dma_fault, &iova);
}

/*
 * Whether there will be such a record. QEMU's AMD-Vi (seen with 7.2) says nothing
 * of DMA to where no translation is.
 */
bool vfio_dma_faults_told(void)
{
	return access("/sys/class/iommu/ivhd0", F_OK);
}

/* Pass a file over a unix socket. */
int vfio_send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

int vfio_recv_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

uint64_t vfio_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

uint64_t vfio_now_ms(void)
{
	return vfio_now_us() / 1000;
}
