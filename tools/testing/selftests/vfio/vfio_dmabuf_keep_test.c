// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything by which a user keeps an export, or only what is left of its file.
 * Whatever it is, the gate moves over it, and who has the file can have it
 * imported. A kernel that looks for uses after free finds what is not kept.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/io_uring.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define BAR	VFIO_PCI_BAR2_REGION_INDEX	/* ivshmem's memory */
#define PAGE	4096ULL
#define PATTERN	0x5aa51234
#define MANY	200

FIXTURE(keep)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	int dmabuf, importer;
	int klog;
};

FIXTURE_SETUP(keep)
{
	const uint32_t pattern = PATTERN;

	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, vfio_region_write(&self->d, BAR, 0, &pattern, 4));
	self->dmabuf = vfio_dmabuf_export(&self->d, BAR, 0, PAGE);
	ASSERT_LE(0, self->dmabuf);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(keep)
{
	close(self->importer);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

/* Other files come where a freed one was, once it really is. */
static void reuse_files(void)
{
	int fds[MANY], i;

	usleep(100000);
	for (i = 0; i < MANY; i++)
		fds[i] = open("/dev/null", O_RDONLY);
	for (i = 0; i < MANY; i++)
		close(fds[i]);
}

/* The gate closes and opens over every export. */
#define MOVE_GATE(self) do {						\
	int __round;							\
									\
	for (__round = 0; __round < 3; __round++) {			\
		reuse_files();						\
		ASSERT_EQ(0, vfio_cfg_memory(&(self)->d, false));	\
		ASSERT_EQ(0, vfio_cfg_memory(&(self)->d, true));	\
	}								\
} while (0)

#define EXPECT_IMPORTS(self) do {					\
	uint32_t __there = 0;						\
									\
	ASSERT_EQ(0, importer_attach((self)->importer, (self)->dmabuf, 0, \
				     TEST_DMABUF_AT_ONCE, 0));		\
	EXPECT_EQ(0, importer_map((self)->importer));			\
	EXPECT_EQ(0, importer_read((self)->importer, 0, &__there, 4));	\
	EXPECT_EQ(PATTERN, __there);					\
	ASSERT_EQ(0, importer_detach((self)->importer));		\
} while (0)

/* The dentry of a file, without the file. */
static int open_path(pid_t pid, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return open(path, O_PATH | O_CLOEXEC);
}

TEST_F(keep, path)
{
	char link[64];
	int path;

	path = open_path(getpid(), self->dmabuf);
	ASSERT_LE(0, path);
	MOVE_GATE(self);
	close(self->dmabuf);
	MOVE_GATE(self);

	/* No file comes of it again. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
	EXPECT_EQ(-1, open(link, O_RDWR));
	EXPECT_NE(0, importer_attach(self->importer, path, 0, 0, 0));
	MOVE_GATE(self);
	close(path);
	MOVE_GATE(self);
}

/* Others on the list, before and after it, are still found. */
TEST_F(keep, path_among_others)
{
	int first[8], path[8], i;

	close(self->dmabuf);
	for (i = 0; i < 8; i++) {
		first[i] = vfio_dmabuf_export(&self->d, BAR, 0, PAGE);
		ASSERT_LE(0, first[i]);
		path[i] = open_path(getpid(), first[i]);
		ASSERT_LE(0, path[i]);
	}
	for (i = 0; i < 8; i += 2)
		close(first[i]);
	ASSERT_EQ(0, importer_attach(self->importer, first[5], 0,
				     TEST_DMABUF_AT_ONCE, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	MOVE_GATE(self);
	for (i = 0; i < 8; i++)
		close(path[i]);
	MOVE_GATE(self);
	EXPECT_EQ(0, importer_map(self->importer));
	for (i = 1; i < 8; i += 2)
		close(first[i]);
	MOVE_GATE(self);
	EXPECT_EQ(0, importer_map(self->importer));
}

TEST_F(keep, path_after_the_importer)
{
	int path = open_path(getpid(), self->dmabuf);

	ASSERT_LE(0, path);
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	close(self->dmabuf);
	MOVE_GATE(self);
	EXPECT_EQ(0, importer_map(self->importer));
	ASSERT_EQ(0, importer_detach(self->importer));
	MOVE_GATE(self);
	close(path);
	MOVE_GATE(self);
}

/* Longer than the device is open, and than the next one has it. */
TEST_F(keep, path_after_the_device)
{
	int path = open_path(getpid(), self->dmabuf), next;

	ASSERT_LE(0, path);
	close(self->dmabuf);
	close(self->d.device);
	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);
	next = vfio_dmabuf_export(&self->d, BAR, 0, PAGE);
	ASSERT_LE(0, next);
	MOVE_GATE(self);
	close(path);
	MOVE_GATE(self);
	close(next);
	MOVE_GATE(self);
}

TEST_F(keep, path_of_another_process)
{
	int ready[2], path;
	char c;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	path = open_path(pid, self->dmabuf);
	ASSERT_LE(0, path);
	close(self->dmabuf);
	MOVE_GATE(self);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	MOVE_GATE(self);
	close(path);
	MOVE_GATE(self);
}

TEST_F(keep, fork)
{
	int go[2];
	char c;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1));
	}
	close(self->dmabuf);
	MOVE_GATE(self);
	close(go[1]);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	MOVE_GATE(self);
}

TEST_F(keep, in_flight)
{
	int socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(0, vfio_send_fd(socks[0], self->dmabuf));
	close(self->dmabuf);
	MOVE_GATE(self);
	self->dmabuf = vfio_recv_fd(socks[1]);
	ASSERT_LE(0, self->dmabuf);
	EXPECT_IMPORTS(self);

	/* Nobody takes it. */
	ASSERT_EQ(0, vfio_send_fd(socks[0], self->dmabuf));
	close(self->dmabuf);
	MOVE_GATE(self);
	close(socks[0]);
	close(socks[1]);
	MOVE_GATE(self);
}

/* Kept by a queue that keeps itself, until the kernel finds that out. */
TEST_F(keep, in_flight_for_ever)
{
	int socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(0, vfio_send_fd(socks[0], self->dmabuf));
	ASSERT_EQ(0, vfio_send_fd(socks[0], socks[1]));
	ASSERT_EQ(0, vfio_send_fd(socks[1], socks[0]));
	close(self->dmabuf);
	MOVE_GATE(self);
	close(socks[0]);
	close(socks[1]);
	MOVE_GATE(self);
	/* It looks when a socket is closed. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	close(socks[0]);
	close(socks[1]);
	MOVE_GATE(self);
}

/* Who polls keeps the file by the fence that it waits for. */
TEST_F(keep, epoll)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	int epoll, fence;

	fence = importer_sync_file(self->importer);
	ASSERT_LE(0, fence);
	ASSERT_EQ(0, vfio_dmabuf_import_fence(self->dmabuf, fence, true));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, epoll);
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->dmabuf, &event));
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	close(self->dmabuf);
	MOVE_GATE(self);
	ASSERT_EQ(0, importer_signal(self->importer));
	MOVE_GATE(self);
	close(fence);
	close(epoll);
	MOVE_GATE(self);
}

TEST_F(keep, io_uring)
{
	struct io_uring_params params = {};
	int ring;

	ring = syscall(__NR_io_uring_setup, 4, &params);
	if (ring < 0)
		SKIP(return, "the kernel has no io_uring");
	ASSERT_EQ(0, syscall(__NR_io_uring_register, ring,
			     IORING_REGISTER_FILES, &self->dmabuf, 1));
	close(self->dmabuf);
	MOVE_GATE(self);
	ASSERT_EQ(0, syscall(__NR_io_uring_register, ring,
			     IORING_UNREGISTER_FILES, NULL, 0));
	MOVE_GATE(self);

	self->dmabuf = vfio_dmabuf_export(&self->d, BAR, 0, PAGE);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, syscall(__NR_io_uring_register, ring,
			     IORING_REGISTER_FILES, &self->dmabuf, 1));
	close(self->dmabuf);
	/* What it has goes a little later. */
	close(ring);
	MOVE_GATE(self);
	usleep(100000);
	MOVE_GATE(self);
}

TEST_F(keep, importer)
{
	uint32_t there = 0;

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	close(self->dmabuf);
	ASSERT_EQ(0, importer_map(self->importer));
	MOVE_GATE(self);
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_EQ(0, importer_read(self->importer, 0, &there, 4));
	EXPECT_EQ(PATTERN, there);
	ASSERT_EQ(0, importer_detach(self->importer));
	MOVE_GATE(self);
}

/* Exports come and go, with and without files, while the gate moves. */
struct traffic {
	struct vfio_dev *d;
	const char *edu;
	bool stop;
};

static void *come_and_go(void *arg)
{
	struct traffic *t = arg;
	int importer = importer_open(t->edu), path = -1, i, dmabuf;

	for (i = 0; !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE); i++) {
		dmabuf = vfio_dmabuf_export(t->d, BAR, 0, PAGE);
		if (i % 3)
			importer_attach(importer, dmabuf, 0,
					TEST_DMABUF_AT_ONCE, 0);
		importer_map(importer);
		close(path);
		path = open_path(getpid(), dmabuf);
		close(dmabuf);
		importer_detach(importer);
	}
	close(path);
	close(importer);
	return NULL;
}

TEST_F_TIMEOUT(keep, races, 120)
{
	struct traffic t = { .d = &self->d, .edu = self->edu };
	uint64_t end = vfio_now_ms() + 5000;
	pthread_t threads[3];
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, come_and_go,
					    &t));
	while (vfio_now_ms() < end) {
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	close(self->dmabuf);
}

TEST_HARNESS_MAIN
