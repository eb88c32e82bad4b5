// SPDX-License-Identifier: GPL-2.0-only
/*
 * A type1 container while one of its mappings takes long: everything that is
 * not about that mapping goes on, what is about it waits, and who waits can be
 * killed. Memory that a userfaultfd stands for makes things take as long as a
 * test wants. Some of it needs test_vfio_emulated.ko.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_emulated.h"
#include "vfio_gate.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define MiB 0x100000ULL

/* Long enough for what goes on, short enough for what waits. */
#define SOON_MS 20000
#define MEANWHILE_MS 300

/* How often a mapping is made larger: to 4 GiB. */
#define TURNS_ROUNDS 5

/* A call in a thread of its own. */
struct call {
	int (*fn)(struct call *call);
	int fd;
	void *mem;
	uint64_t iova;
	uint64_t size;
	uint64_t *bits;
	const struct vfio_dev *d;
	int32_t group;

	pthread_t thread;
	int ret;
	uint64_t us;			/* how long it took */
	bool over;
};

static void *call_run(void *arg)
{
	struct call *call = arg;
	uint64_t start = vfio_now_us();

	call->ret = call->fn(call);
	call->us = vfio_now_us() - start;
	__atomic_store_n(&call->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void call_start(struct call *call)
{
	call->over = false;
	pthread_create(&call->thread, NULL, call_run, call);
}

static bool call_over(struct call *call, int ms)
{
	uint64_t until = vfio_now_ms() + ms;

	while (!__atomic_load_n(&call->over, __ATOMIC_ACQUIRE)) {
		if (vfio_now_ms() > until)
			return false;
		usleep(1000);
	}
	pthread_join(call->thread, NULL);
	return true;
}

static int do_map(struct call *c)
{
	return vfio_dma_map(c->fd, c->mem, c->iova, c->size);
}

static int do_unmap(struct call *c)
{
	return vfio_dma_unmap(c->fd, c->iova, c->size);
}

static int do_unmap_all(struct call *c)
{
	return vfio_dma_unmap_flags(c->fd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, NULL);
}

static int do_unmap_dirty(struct call *c)
{
	return vfio_dirty_unmap(c->fd, c->iova, c->size, c->bits, NULL);
}

static int do_query(struct call *c)
{
	return vfio_dirty_get(c->fd, c->iova, c->size, c->bits);
}

static int do_attach(struct call *c)
{
	return vfio_ioctl(c->group, VFIO_GROUP_SET_CONTAINER, &c->fd);
}

static int do_set_iommu(struct call *c)
{
	prctl(PR_SET_NAME, "setter");
	return vfio_ioctl(c->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
}

static int do_pin(struct call *c)
{
	return emu_pin(c->d, c->iova, c->size / PAGE, 3, NULL);
}

static int do_rw(struct call *c)
{
	uint32_t word = 0;

	return emu_rw(c->d, c->iova, &word, sizeof(word), true);
}

static int do_close(struct call *c)
{
	return close(c->fd) ? -errno : 0;
}

static int do_others(struct call *c)
{
	struct vfio_iommu_type1_info *info;
	uint64_t bits = 0, *mem = c->mem;
	int ret, i;

	for (i = 0; i < 20; i++) {
		ret = vfio_dma_map(c->fd, mem, c->iova, PAGE);
		if (!ret)
			ret = vfio_dirty_get(c->fd, c->iova, PAGE, &bits);
		if (!ret && bits != 1)
			ret = -EBADMSG;
		if (!ret)
			ret = vfio_dma_unmap(c->fd, c->iova, PAGE);
		if (ret)
			return ret;
		info = vfio_iommu_info(c->fd);
		if (!info)
			return -ENODATA;
		free(info);
		if (vfio_ioctl(c->fd, VFIO_CHECK_EXTENSION,
			       VFIO_DMA_CC_IOMMU) < 0)
			return -EBADF;
	}
	return 0;
}

FIXTURE(busy)
{
	struct vfio_dev d;
	int c;
	void *mem;
	struct vfio_slow slow;
	int64_t pinned;
	int64_t locked;
};

FIXTURE_SETUP(busy)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	self->c = self->d.container;
	self->mem = vfio_alloc_pages(4 * MiB);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, vfio_slow_alloc(&self->slow, 4 * MiB));
	ASSERT_EQ(0, vfio_dirty_tracking(self->c, true));
	self->pinned = vfio_pinned_pages();
	self->locked = vfio_locked_kb();
}

FIXTURE_TEARDOWN(busy)
{
	vfio_slow_allow(&self->slow);
	vfio_dev_close(&self->d);
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(self->locked, vfio_locked_kb());
}

/* All that is not about [16 MiB, 32 MiB) goes on. */
#define EXPECT_OTHERS_GO_ON() do {					\
	struct call others = {						\
		.fn = do_others, .fd = self->c,				\
		.mem = self->mem, .iova = 64 * MiB,			\
	};								\
									\
	call_start(&others);						\
	ASSERT_TRUE(call_over(&others, SOON_MS));			\
	EXPECT_EQ(0, others.ret);					\
} while (0)

TEST_F(busy, map)
{
	struct call map = {
		.fn = do_map, .fd = self->c, .mem = self->slow.mem,
		.iova = 16 * MiB, .size = 4 * MiB,
	};
	struct call over = map, unmap = map, all = map, second;
	struct vfio_slow slow;

	ASSERT_EQ(0, vfio_slow_alloc(&slow, 4 * MiB));
	call_start(&map);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	EXPECT_OTHERS_GO_ON();

	/* Another one that takes long, too. */
	second = map;
	second.mem = slow.mem;
	second.iova = 20 * MiB;
	call_start(&second);
	EXPECT_EQ(0, vfio_slow_wait(&slow));
	EXPECT_OTHERS_GO_ON();

	over.mem = self->mem;
	over.iova = 18 * MiB;
	call_start(&over);
	EXPECT_FALSE(call_over(&over, MEANWHILE_MS));
	EXPECT_FALSE(call_over(&map, 0));
	vfio_slow_allow(&slow);
	EXPECT_TRUE(call_over(&second, SOON_MS));
	EXPECT_EQ(0, second.ret);
	EXPECT_FALSE(call_over(&over, MEANWHILE_MS));

	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&map, SOON_MS));
	EXPECT_EQ(0, map.ret);
	EXPECT_TRUE(call_over(&over, SOON_MS));
	EXPECT_EQ(-EEXIST, over.ret);
	EXPECT_EQ(self->locked + 8192, vfio_locked_kb());

	unmap.fn = do_unmap;
	EXPECT_EQ(0, do_unmap(&unmap));
	EXPECT_EQ(0, do_unmap_all(&all));
	EXPECT_EQ(self->locked, vfio_locked_kb());
}

/* Who unmaps what is not yet mapped waits for it, and unmaps it. */
TEST_F(busy, map_and_unmap)
{
	struct call map = {
		.fn = do_map, .fd = self->c, .mem = self->slow.mem,
		.iova = 16 * MiB, .size = 4 * MiB,
	};
	struct call unmap = map, all = map;

	call_start(&map);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	unmap.fn = do_unmap;
	unmap.iova = 8 * MiB;
	unmap.size = 16 * MiB;
	call_start(&unmap);
	all.fn = do_unmap_all;
	call_start(&all);
	EXPECT_FALSE(call_over(&unmap, MEANWHILE_MS));
	EXPECT_FALSE(call_over(&all, 0));
	EXPECT_OTHERS_GO_ON();
	/* No wait for what makes no sense. */
	EXPECT_EQ(-EINVAL, vfio_dma_unmap(self->c, 16 * MiB + 1, MiB));
	EXPECT_EQ(-EINVAL, vfio_dma_map(self->c, self->mem, 16 * MiB, 1));

	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&map, SOON_MS));
	EXPECT_EQ(0, map.ret);
	EXPECT_TRUE(call_over(&unmap, SOON_MS));
	EXPECT_TRUE(call_over(&all, SOON_MS));
	EXPECT_EQ(0, unmap.ret);
	EXPECT_EQ(0, all.ret);
	EXPECT_EQ(self->locked, vfio_locked_kb());
}

/* A map fails in the end; who waited for its place gets it. */
TEST_F(busy, map_fails)
{
	void *mem = vfio_slow_room(12 * MiB);
	struct call map = {
		.fn = do_map, .fd = self->c, .mem = mem,
		.iova = 16 * MiB, .size = 12 * MiB,
	};
	struct call over = {
		.fn = do_map, .fd = self->c, .mem = self->mem,
		.iova = 18 * MiB, .size = 4 * MiB,
	};
	struct vfio_slow slow;
	uint64_t done;

	/* Ordinary memory, slow memory, none. */
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, munmap(mem + 8 * MiB, 4 * MiB));
	ASSERT_EQ(0, vfio_slow_register(&slow, mem + 4 * MiB, 4 * MiB));
	call_start(&map);
	ASSERT_EQ(0, vfio_slow_wait(&slow));
	call_start(&over);
	EXPECT_FALSE(call_over(&over, MEANWHILE_MS));
	vfio_slow_allow(&slow);
	EXPECT_TRUE(call_over(&map, SOON_MS));
	EXPECT_EQ(-EFAULT, map.ret);
	EXPECT_TRUE(call_over(&over, SOON_MS));
	EXPECT_EQ(0, over.ret);
	EXPECT_EQ(self->locked + 4096, vfio_locked_kb());
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, 0, 0,
					  VFIO_DMA_UNMAP_FLAG_ALL, &done));
	EXPECT_EQ(4 * MiB, done);
}

/* The bitmap of an unmap is slow memory. */
TEST_F(busy, unmap)
{
	struct call unmap = {
		.fn = do_unmap_dirty, .fd = self->c, .bits = self->slow.mem,
		.iova = 16 * MiB, .size = 4 * MiB,
	};
	struct call over = unmap, query = unmap;
	uint64_t bits[16] = {};

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, 16 * MiB, 4 * MiB));
	call_start(&unmap);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	EXPECT_OTHERS_GO_ON();
	over.fn = do_map;
	over.mem = self->mem;
	call_start(&over);
	EXPECT_FALSE(call_over(&over, MEANWHILE_MS));
	/* What is dirty can be told at any time. */
	query.fn = do_query;
	query.bits = bits;
	call_start(&query);
	EXPECT_TRUE(call_over(&query, SOON_MS));
	EXPECT_EQ(0, query.ret);
	EXPECT_EQ(-1ULL, bits[query.size / PAGE / 64 - 1]);

	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&unmap, SOON_MS));
	EXPECT_EQ(0, unmap.ret);
	EXPECT_EQ(-1ULL, *(uint64_t *)self->slow.mem);
	EXPECT_TRUE(call_over(&over, SOON_MS));
	EXPECT_EQ(0, over.ret);
	EXPECT_EQ(self->locked + 4096, vfio_locked_kb());
}

/* So is that of a query. It does not even keep the mapping. */
TEST_F(busy, query)
{
	struct call query = {
		.fn = do_query, .fd = self->c, .bits = self->slow.mem,
		.iova = 16 * MiB, .size = 4 * MiB,
	};
	struct call unmap = query;

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, 16 * MiB, 4 * MiB));
	call_start(&query);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	EXPECT_OTHERS_GO_ON();
	unmap.fn = do_unmap;
	call_start(&unmap);
	EXPECT_TRUE(call_over(&unmap, SOON_MS));
	EXPECT_EQ(0, unmap.ret);
	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&query, SOON_MS));
	EXPECT_EQ(0, query.ret);
}

static int killed(pid_t pid)
{
	uint64_t until = vfio_now_ms() + SOON_MS;
	int status;

	kill(pid, SIGKILL);
	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (vfio_now_ms() > until)
			return -ETIMEDOUT;
		usleep(1000);
	}
	return WIFSIGNALED(status) ? 0 : -ECHILD;
}

/* Has the process come to where only being killed gets it out? */
static int blocked(pid_t pid)
{
	uint64_t until = vfio_now_ms() + SOON_MS;
	char path[64], buf[512], *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	while (vfio_now_ms() < until) {
		if (vfio_sysfs_read(path, buf, sizeof(buf)))
			return -ESRCH;
		state = strrchr(buf, ')');
		if (state && strchr("D", state[2]))
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

/* Who waits can be killed: for memory, for a mapping, for the container. */
TEST_F(busy, kill)
{
	struct call map = {
		.fn = do_map, .fd = self->c, .mem = self->slow.mem,
		.iova = 16 * MiB, .size = 4 * MiB,
	};
	pid_t over, unmap, all;
	int ready[2];
	char byte;
	pid_t pid;

	/* 32 MiB are pinned when it comes to what it does not get. */
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		void *mem = vfio_alloc_pages(36 * MiB);
		struct vfio_slow slow;

		madvise(mem + 32 * MiB, 4 * MiB, MADV_DONTNEED);
		if (vfio_slow_register(&slow, mem + 32 * MiB, 4 * MiB))
			_exit(1);
		if (fork()) {
			vfio_dma_map(self->c, mem, 16 * MiB, 36 * MiB);
			_exit(1);
		}
		byte = vfio_slow_wait(&slow) ? 'x' : 'r';
		_exit(write(ready[1], &byte, 1) != 1);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ('r', byte);
	EXPECT_EQ(32 << 10, vfio_proc_status_kb(pid, "VmLck"));
	EXPECT_OTHERS_GO_ON();
	EXPECT_EQ(0, killed(pid));
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(0, vfio_dma_map(self->c, self->mem, 16 * MiB, MiB));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 16 * MiB, MiB));

	call_start(&map);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	over = fork();
	if (!over) {
		vfio_dma_map(self->c, self->mem, 16 * MiB, PAGE);
		_exit(0);
	}
	unmap = fork();
	if (!unmap) {
		vfio_dma_unmap(self->c, 16 * MiB, 4 * MiB);
		_exit(0);
	}
	all = fork();
	if (!all) {
		vfio_dma_unmap_flags(self->c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL,
				     NULL);
		_exit(0);
	}
	EXPECT_EQ(0, blocked(over));
	EXPECT_EQ(0, blocked(unmap));
	EXPECT_EQ(0, blocked(all));
	EXPECT_EQ(0, killed(over));
	EXPECT_EQ(0, killed(unmap));
	EXPECT_EQ(0, killed(all));
	EXPECT_FALSE(call_over(&map, 0));
	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&map, SOON_MS));
	EXPECT_EQ(0, map.ret);
	EXPECT_EQ(self->locked + 4096, vfio_locked_kb());
}

/* @size bytes of memory, @times one after the other. */
static void *repeated(uint64_t size, int times)
{
	int fd = memfd_create("repeated", MFD_CLOEXEC), i;
	void *mem = mmap(NULL, size * times, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool ok = mem != MAP_FAILED && !ftruncate(fd, size);

	for (i = 0; ok && i < times; i++)
		ok = mmap(mem + i * size, size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
	close(fd);
	if (ok)
		memset(mem, 1, size);
	return ok ? mem : NULL;
}

/* The longest time in us that others wait for their turn during @call. */
static uint64_t longest_turn(struct __test_metadata *_metadata,
			     FIXTURE_DATA(busy) *self, struct call *call)
{
	uint64_t longest = 0, start = vfio_now_us(), now;

	call_start(call);
	while (!__atomic_load_n(&call->over, __ATOMIC_ACQUIRE)) {
		EXPECT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, PAGE));
		EXPECT_EQ(0, vfio_dma_unmap(self->c, MiB, PAGE));
		now = vfio_now_us();
		longest = MAX(longest, now - start);
		start = now;
	}
	EXPECT_TRUE(call_over(call, SOON_MS));
	EXPECT_EQ(0, call->ret);
	return longest;
}

/*
 * All of the work is the kernel's. Under a lock held throughout, one turn would take as
 * long as the call, however long that is. What else makes a turn long, a slow machine or
 * that we are not run, does not grow with the call.
 */
TEST_F_TIMEOUT(busy, turns, 300)
{
	const uint64_t size = 256 * MiB;
	struct call call = { .fd = self->c, .iova = 0x200000000 };
	bool mapping = false, unmapping = false;
	uint64_t longest;
	int round;

	call.mem = repeated(size, 1 << (TURNS_ROUNDS - 1));
	ASSERT_NE(NULL, call.mem);
	for (round = 0; round < 2 * TURNS_ROUNDS && !(mapping && unmapping);
	     round++) {
		call.size = size << round / 2;
		call.fn = do_map;
		longest = longest_turn(_metadata, self, &call);
		mapping |= longest <= call.us / 2;
		TH_LOG("map of %lu MiB: %lu of %lu us",
		       call.size >> 20, longest, call.us);
		call.fn = do_unmap;
		longest = longest_turn(_metadata, self, &call);
		unmapping |= longest <= call.us / 2;
		TH_LOG("unmap of %lu MiB: %lu of %lu us",
		       call.size >> 20, longest, call.us);
	}
	EXPECT_TRUE(mapping);
	EXPECT_TRUE(unmapping);
	munmap(call.mem, size << (TURNS_ROUNDS - 1));
}

/* A group behind an IOMMU joins emulated ones, and finds slow memory. */
FIXTURE(attach)
{
	struct vfio_dev d;
	struct vfio_dev phys;
	int c;
	void *mem;
	struct vfio_slow slow;
	int64_t pinned;
};

FIXTURE_SETUP(attach)
{
	int ret;

	ret = emu_open(&self->d, 0, VFIO_TYPE1v2_IOMMU, NULL);
	if (ret == -ENXIO)
		SKIP(return, "test_vfio_emulated.ko is not loaded");
	ASSERT_EQ(0, ret);
	self->c = self->d.container;
	self->mem = vfio_alloc_pages(MiB);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, vfio_slow_alloc(&self->slow, MiB));
	ret = vfio_dev_open_group(&self->phys, VFIO_EDU);
	if (ret == -ENXIO)
		SKIP(return, "no device %s here", VFIO_EDU);
	ASSERT_EQ(0, ret);
	self->pinned = vfio_pinned_pages();
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, MiB));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->slow.mem, 2 * MiB, MiB));
}

FIXTURE_TEARDOWN(attach)
{
	vfio_slow_allow(&self->slow);
	vfio_dev_close(&self->phys);
	vfio_dev_close(&self->d);
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(0, vfio_locked_kb());
}

TEST_F(attach, drivers_go_on)
{
	struct call attach = {
		.fn = do_attach, .fd = self->c, .group = self->phys.group,
	};
	struct call pin = {
		.fn = do_pin, .d = &self->d, .iova = MiB, .size = 4 * PAGE,
	};
	struct call slow_pin = pin;

	EXPECT_EQ(2, emu_pin(&self->d, MiB, 2, 3, NULL));
	EXPECT_EQ(2 * PAGE / 1024, vfio_locked_kb());
	call_start(&attach);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	/* The first mapping is pinned and charged by now. */
	call_start(&pin);
	EXPECT_TRUE(call_over(&pin, SOON_MS));
	EXPECT_EQ(4, pin.ret);
	EXPECT_EQ(0, emu_unpin(&self->d, MiB, 1));
	EXPECT_EQ(1024, vfio_locked_kb());
	slow_pin.iova = 2 * MiB;
	call_start(&slow_pin);
	EXPECT_FALSE(call_over(&slow_pin, MEANWHILE_MS));

	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&attach, SOON_MS));
	EXPECT_EQ(0, attach.ret);
	EXPECT_TRUE(call_over(&slow_pin, SOON_MS));
	EXPECT_EQ(4, slow_pin.ret);
	EXPECT_EQ(2048, vfio_locked_kb());

	/* What the drivers have pinned is charged to the end. */
	EXPECT_EQ(0, vfio_ioctl(self->phys.group, VFIO_GROUP_UNSET_CONTAINER));
	EXPECT_EQ(7 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, emu_unpin(&self->d, MiB, 64));
	EXPECT_EQ(0, emu_unpin(&self->d, 2 * MiB, 64));
	EXPECT_EQ(0, vfio_locked_kb());
}

TEST_F(attach, kill)
{
	struct call attach = {
		.fn = do_attach, .fd = self->c, .group = self->phys.group,
	};
	pid_t pid;

	call_start(&attach);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	pid = fork();
	if (!pid) {
		vfio_dma_map(self->c, self->mem, 16 * MiB, PAGE);
		_exit(0);
	}
	EXPECT_EQ(0, blocked(pid));
	EXPECT_EQ(0, killed(pid));
	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&attach, SOON_MS));
	EXPECT_EQ(0, attach.ret);
	EXPECT_EQ(2048, vfio_locked_kb());
	EXPECT_EQ(0, vfio_ioctl(self->phys.group, VFIO_GROUP_UNSET_CONTAINER));
}

/* The device goes whose group is being attached; it waits for nobody. */
TEST_F(attach, device_goes)
{
	struct call attach = {
		.fn = do_attach, .fd = self->c, .group = self->phys.group,
	};
	pid_t remover;

	call_start(&attach);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	remover = vfio_remover_start(self->phys.bdf, "driver/unbind");
	ASSERT_LT(0, remover);
	ASSERT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&attach, SOON_MS));
	EXPECT_EQ(-ENODEV, attach.ret);
	EXPECT_EQ(0, vfio_locked_kb());
	EXPECT_EQ(4, emu_pin(&self->d, MiB, 4, 3, NULL));
	EXPECT_EQ(4 * PAGE / 1024, vfio_locked_kb());
}

/* The others leave meanwhile, so it finds a container without a back end. */
TEST_F(attach, others_leave)
{
	struct call attach = {
		.fn = do_attach, .fd = dup(self->c), .group = self->phys.group,
	};
	int container = self->c;

	call_start(&attach);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	self->d.container = -1;
	vfio_dev_close(&self->d);
	vfio_slow_allow(&self->slow);
	EXPECT_TRUE(call_over(&attach, SOON_MS));
	EXPECT_EQ(0, attach.ret);
	EXPECT_EQ(0, vfio_locked_kb());
	EXPECT_EQ(-EINVAL, vfio_dma_map(container, self->mem, 0, MiB));
	EXPECT_EQ(0, vfio_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(0, vfio_dma_map(container, self->mem, 0, MiB));
	EXPECT_EQ(0, vfio_dma_unmap(container, 0, MiB));
	close(container);
	close(attach.fd);
}

static int do_detach(struct call *c)
{
	prctl(PR_SET_NAME, "detacher");
	return vfio_ioctl(c->group, VFIO_GROUP_UNSET_CONTAINER);
}

static int do_attach_named(struct call *c)
{
	prctl(PR_SET_NAME, "attacher");
	return do_attach(c);
}

/*
 * The last group behind an IOMMU leaves while another one is on its way: which of
 * the two has a mapping in hand is settled, and in the end all are pinned once.
 */
TEST_F_TIMEOUT(attach, beside_the_last_detach, 120)
{
	struct call attach = {
		.fn = do_attach_named, .fd = self->c, .group = self->phys.group,
	};
	struct call detach = { .fn = do_detach };
	int log = vfio_klog_open(), ms, ret;
	uint64_t *mem = self->mem;
	struct vfio_dev other;

	ASSERT_LE(0, log);
	if (vfio_dev_open_group(&other, VFIO_TESTDEV))
		SKIP(return, "no device %s here", VFIO_TESTDEV);
	vfio_slow_allow(&self->slow);
	detach.group = other.group;
	for (ms = 0; ms < 900; ms += 100) {
		ASSERT_EQ(0, vfio_ioctl(other.group, VFIO_GROUP_SET_CONTAINER,
					&self->c));
		EXPECT_EQ(2048, vfio_locked_kb());
		ret = vfio_stretch("type1_pins_managed", 400000, "after",
				   "detacher");
		if (ret == -ENXIO)
			SKIP(return, "test_stretch.ko is not here");
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, vfio_stretch("type1_begin_attach", ms * 1000,
					  "before", "attacher"));
		call_start(&attach);
		usleep(20000);
		call_start(&detach);
		ASSERT_TRUE(call_over(&detach, SOON_MS));
		ASSERT_TRUE(call_over(&attach, SOON_MS));
		ASSERT_EQ(0, vfio_stretch_end());
		EXPECT_EQ(0, detach.ret);
		EXPECT_EQ(0, attach.ret);
		EXPECT_EQ(2048, vfio_locked_kb());
		EXPECT_EQ(self->pinned + 512, vfio_wait_pinned(self->pinned +
							       512));
		ASSERT_EQ(0, vfio_ioctl(self->phys.group,
					VFIO_GROUP_UNSET_CONTAINER));
		EXPECT_EQ(0, vfio_locked_kb());
		EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
		ASSERT_EQ(0, vfio_klog_splats(log));
	}
	/* It is the same memory as ever. */
	mem[0] = 0x1122334455;
	EXPECT_EQ(1, emu_pin(&self->d, MiB, 1, 3, NULL));
	EXPECT_EQ(0, emu_unpin(&self->d, MiB, 1));
	vfio_dev_close(&other);
	close(log);
}

/* A driver that finds slow memory: no part of the container waits for it. */
static void driver_waits(struct __test_metadata *_metadata,
			 FIXTURE_DATA(attach) *self, int (*fn)(struct call *))
{
	uint64_t bits[4];
	struct vfio_dev second;
	struct call slow = {
		.fn = fn, .d = &self->d, .iova = 2 * MiB, .size = 4 * PAGE,
	};
	struct call pin = {
		.fn = do_pin, .d = &second, .iova = MiB, .size = 4 * PAGE,
	};
	struct call map = {
		.fn = do_map, .fd = self->c, .mem = self->mem, .iova = 64 * MiB,
		.size = MiB,
	};
	struct call query = {
		.fn = do_query, .fd = self->c, .iova = MiB, .size = MiB,
		.bits = bits,
	};
	struct call leave = { .fn = do_close };

	ASSERT_EQ(0, emu_open(&second, 1, VFIO_TYPE1v2_IOMMU, &self->d));
	ASSERT_EQ(0, vfio_dirty_tracking(self->c, true));
	call_start(&slow);
	ASSERT_EQ(0, vfio_slow_wait(&self->slow));
	call_start(&map);
	ASSERT_TRUE(call_over(&map, SOON_MS));
	EXPECT_EQ(0, map.ret);

	/* Another device is used as ever, and can go. */
	call_start(&pin);
	ASSERT_TRUE(call_over(&pin, SOON_MS));
	EXPECT_EQ(4, pin.ret);
	EXPECT_EQ(0, emu_unpin(&second, MiB, 4));
	call_start(&query);
	ASSERT_TRUE(call_over(&query, SOON_MS));
	EXPECT_EQ(0, query.ret);
	EXPECT_EQ(15, bits[0]);
	close(second.device);
	leave.fd = second.group;
	call_start(&leave);
	ASSERT_TRUE(call_over(&leave, SOON_MS));
	second.device = -1;
	second.group = -1;
	vfio_dev_close(&second);

	/* The mapping goes, and so there is nothing to be had. */
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 2 * MiB, MiB));
	vfio_slow_allow(&self->slow);
	ASSERT_TRUE(call_over(&slow, SOON_MS));
	EXPECT_EQ(-EINVAL, slow.ret);
	EXPECT_EQ(0, vfio_locked_kb());
}

TEST_F(attach, pin_waits)
{
	driver_waits(_metadata, self, do_pin);
}

TEST_F(attach, write_waits)
{
	driver_waits(_metadata, self, do_rw);
}

/*
 * A group is attached after the device that it has first, which nobody keeps: it
 * has no driver.
 */
TEST(first_device_goes)
{
	struct call set = { .fn = do_set_iommu };
	int log = vfio_klog_open(), ret;
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
	pid_t remover;

	ASSERT_LE(0, log);
	if (vfio_pci_resolve(VFIO_E1000E, bdf))
		SKIP(return, "no device %s here", VFIO_E1000E);
	ASSERT_EQ(0, vfio_pci_bind_group(bdf));
	vfio_pci_unbind(bdf);
	vfio_dev_init(&d);
	d.group = vfio_open_group(vfio_pci_group(bdf));
	ASSERT_LE(0, d.group);
	d.container = vfio_open_container();
	ASSERT_LE(0, d.container);
	ASSERT_EQ(0, vfio_ioctl(d.group, VFIO_GROUP_SET_CONTAINER,
				&d.container));
	ret = vfio_stretch("iommu_paging_domain_alloc", 900000, "before",
			   "setter");
	if (ret == -ENXIO)
		SKIP(return, "test_stretch.ko is not here");
	ASSERT_EQ(0, ret);
	set.fd = d.container;
	call_start(&set);
	while (!vfio_stretch_hits("iommu_paging_domain_alloc"))
		usleep(1000);
	remover = vfio_remover_start(bdf, "remove");
	ASSERT_LT(0, remover);
	EXPECT_TRUE(call_over(&set, SOON_MS));
	EXPECT_EQ(0, set.ret);
	EXPECT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	EXPECT_EQ(0, vfio_stretch_end());
	vfio_dev_close(&d);
	ASSERT_EQ(0, vfio_sysfs_write("/sys/bus/pci/rescan", "1"));
	ASSERT_EQ(0, vfio_pci_bind_group(bdf));
	EXPECT_EQ(0, vfio_klog_splats(log));
	close(log);
}

TEST_HARNESS_MAIN
