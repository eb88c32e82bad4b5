// SPDX-License-Identifier: GPL-2.0-only
/*
 * A type1 container that several processes share, one of which has memory that nobody
 * gets at: a page that does not come (a userfaultfd stands for it), or an mm whose
 * mmap_lock is held for as long as a fault handler takes. Who closes, unmaps or unpins
 * does not wait for it, and nobody who has to wait keeps others from the container. It
 * needs test_vfio_emulated.ko, whose device's memory holds the lock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_emulated.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define MiB 0x100000ULL

/* Long enough for what goes on, short enough for what waits. */
#define SOON_MS 20000
#define MEANWHILE_MS 300

/* A call in a thread of its own. */
struct call {
	int (*fn)(struct call *call);
	int fd;
	void *mem;
	uint64_t iova;
	uint64_t size;
	const struct vfio_dev *d;

	pthread_t thread;
	int ret;
	bool over;
};

static void *call_run(void *arg)
{
	struct call *call = arg;

	call->ret = call->fn(call);
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

/* It returns, whatever others wait for. */
static int soon(struct call call)
{
	struct call *copy = malloc(sizeof(*copy));

	*copy = call;
	call_start(copy);
	return call_over(copy, SOON_MS) ? copy->ret : -ETIMEDOUT;
}

static int do_unmap(struct call *c)
{
	return vfio_dma_unmap(c->fd, c->iova, c->size);
}

static int do_pin(struct call *c)
{
	return emu_pin(c->d, c->iova, c->size / PAGE, 3, NULL);
}

static int do_unpin(struct call *c)
{
	return emu_unpin(c->d, c->iova, c->size / PAGE);
}

static int do_close(struct call *c)
{
	return close(c->fd) ? -errno : 0;
}

static int do_attach(struct call *c)
{
	return vfio_ioctl(c->d->group, VFIO_GROUP_SET_CONTAINER, &c->fd);
}

static int do_detach(struct call *c)
{
	return vfio_ioctl(c->d->group, VFIO_GROUP_UNSET_CONTAINER);
}

static int do_vaddr(struct call *c)
{
	return vfio_dma_map_flags(c->fd, c->mem, c->iova, c->size,
				  VFIO_DMA_MAP_FLAG_VADDR);
}

/* What is not about the memory in question goes on. */
static int do_others(struct call *c)
{
	int ret = 0, i;

	for (i = 0; i < 20 && !ret; i++) {
		ret = vfio_dma_map(c->fd, c->mem, c->iova, PAGE);
		if (!ret)
			ret = vfio_dma_unmap(c->fd, c->iova, PAGE);
	}
	return ret;
}

#define EXPECT_OTHERS_GO_ON()						\
	ASSERT_EQ(0, soon((struct call){				\
		.fn = do_others, .fd = self->c, .mem = self->mem,	\
		.iova = 64 * MiB }))

FIXTURE(wait)
{
	struct vfio_dev d;
	struct vfio_dev phys;
	struct vfio_dev holder;
	int c;
	void *mem;
	void *held;		/* memory of the holder */
	pid_t other;		/* another process, its commands and answers */
	int to, from;
	struct call hold;
	int64_t pinned;
};

FIXTURE_SETUP(wait)
{
	int ret;

	ret = emu_open(&self->d, 0, VFIO_TYPE1v2_IOMMU, NULL);
	if (ret == -ENXIO)
		SKIP(return, "test_vfio_emulated.ko is not loaded");
	ASSERT_EQ(0, ret);
	self->c = self->d.container;
	vfio_dev_init(&self->phys);
	ASSERT_EQ(0, emu_open(&self->holder, 1, VFIO_TYPE1v2_IOMMU, NULL));
	self->mem = vfio_alloc_pages(MiB);
	ASSERT_NE(NULL, self->mem);
	self->held = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  self->holder.device, PAGE);
	ASSERT_NE(MAP_FAILED, self->held);
	self->pinned = vfio_pinned_pages();
}

static void let_go(struct __test_metadata *_metadata, FIXTURE_DATA(wait) *self)
{
	ASSERT_LE(0, ioctl(self->holder.device, TEST_VFIO_HOLD, 0));
	if (!self->hold.fn)
		return;
	EXPECT_TRUE(call_over(&self->hold, SOON_MS));
	self->hold.fn = NULL;
}

FIXTURE_TEARDOWN(wait)
{
	int status;

	let_go(_metadata, self);
	if (self->other) {
		kill(self->other, SIGKILL);
		ASSERT_EQ(self->other, waitpid(self->other, &status, 0));
	}
	munmap(self->held, PAGE);
	vfio_dev_close(&self->holder);
	vfio_dev_close(&self->phys);
	vfio_dev_close(&self->d);
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(0, vfio_locked_kb());
}

/*
 * Another process has mapped its memory at 1 MiB, and is told to do more: 'v', to bring
 * a new address for what is at 2 MiB.
 */
static void other_start(struct __test_metadata *_metadata,
			FIXTURE_DATA(wait) *self)
{
	int to[2], from[2], ret = -1;
	char byte;

	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	self->other = fork();
	ASSERT_LE(0, self->other);
	if (self->other) {
		self->to = to[1];
		self->from = from[0];
		ASSERT_EQ(sizeof(ret), read(self->from, &ret, sizeof(ret)));
		ASSERT_EQ(0, ret);
		return;
	}
	ret = vfio_dma_map(self->c, self->mem, MiB, MiB);
	while (write(from[1], &ret, sizeof(ret)) == sizeof(ret) &&
	       read(to[0], &byte, 1) == 1)
		ret = vfio_dma_map_flags(self->c, self->mem, 2 * MiB, MiB,
					 VFIO_DMA_MAP_FLAG_VADDR);
	_exit(0);
}

static int do_hold(struct call *c)
{
	char path[64], byte;
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)c->size);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = pread(fd, &byte, 1, (uintptr_t)c->mem);
	close(fd);
	return ret;
}

/* From now on the other process's mmap_lock is held for read, until let_go(). */
static void hold(struct __test_metadata *_metadata, FIXTURE_DATA(wait) *self)
{
	ASSERT_EQ(0, ioctl(self->holder.device, TEST_VFIO_HOLD, 1));
	self->hold = (struct call){
		.fn = do_hold, .mem = self->held, .size = self->other,
	};
	call_start(&self->hold);
	while (ioctl(self->holder.device, TEST_VFIO_HOLD, 1) != 1) {
		ASSERT_FALSE(call_over(&self->hold, 0));
		usleep(1000);
	}
}

/* What the other process is charged. */
static int64_t others_kb(FIXTURE_DATA(wait) *self, int64_t want)
{
	uint64_t until = vfio_now_ms() + SOON_MS;
	int64_t kb;

	do {
		kb = vfio_proc_status_kb(self->other, "VmLck");
	} while (kb != want && vfio_now_ms() < until && !usleep(1000));
	return kb;
}

TEST_F(wait, unpin)
{
	other_start(_metadata, self);
	EXPECT_EQ(4, emu_pin(&self->d, MiB, 4, 3, NULL));
	EXPECT_EQ(4 * PAGE / 1024, others_kb(self, 4 * PAGE / 1024));
	hold(_metadata, self);
	EXPECT_EQ(0, soon((struct call){
		.fn = do_unpin, .d = &self->d, .iova = MiB, .size = 2 * PAGE }));
	EXPECT_OTHERS_GO_ON();
	let_go(_metadata, self);
	EXPECT_EQ(2 * PAGE / 1024, others_kb(self, 2 * PAGE / 1024));
	/* The unmap makes the driver unpin. */
	hold(_metadata, self);
	EXPECT_EQ(0, soon((struct call){
		.fn = do_unmap, .fd = self->c, .iova = MiB, .size = MiB }));
	let_go(_metadata, self);
	EXPECT_EQ(0, others_kb(self, 0));
}

TEST_F(wait, close)
{
	other_start(_metadata, self);
	EXPECT_EQ(4, emu_pin(&self->d, MiB, 4, 3, NULL));
	hold(_metadata, self);
	/* The other process has it open, too. */
	EXPECT_EQ(0, soon((struct call){
		.fn = do_unpin, .d = &self->d, .iova = MiB, .size = 4 * PAGE }));
	EXPECT_EQ(0, soon((struct call){
		.fn = do_close, .fd = self->d.device }));
	self->d.device = -1;
	let_go(_metadata, self);
	EXPECT_EQ(0, others_kb(self, 0));
}

TEST_F(wait, pin)
{
	struct call pin = {
		.fn = do_pin, .d = &self->d, .iova = MiB, .size = 4 * PAGE,
	};

	other_start(_metadata, self);
	hold(_metadata, self);
	call_start(&pin);
	EXPECT_FALSE(call_over(&pin, MEANWHILE_MS));
	EXPECT_OTHERS_GO_ON();
	let_go(_metadata, self);
	EXPECT_TRUE(call_over(&pin, SOON_MS));
	EXPECT_EQ(4, pin.ret);
	EXPECT_EQ(4 * PAGE / 1024, others_kb(self, 4 * PAGE / 1024));
}

/* The mapping goes while its process is waited for: nothing is charged in the end. */
TEST_F(wait, pin_in_vain)
{
	struct call pin = {
		.fn = do_pin, .d = &self->d, .iova = MiB, .size = 4 * PAGE,
	};

	other_start(_metadata, self);
	hold(_metadata, self);
	call_start(&pin);
	EXPECT_FALSE(call_over(&pin, MEANWHILE_MS));
	EXPECT_EQ(0, soon((struct call){
		.fn = do_unmap, .fd = self->c, .iova = MiB, .size = MiB }));
	let_go(_metadata, self);
	EXPECT_TRUE(call_over(&pin, SOON_MS));
	EXPECT_EQ(-EINVAL, pin.ret);
	EXPECT_EQ(0, others_kb(self, 0));
}

/* The last group behind an IOMMU leaves, and all is unpinned. */
TEST_F(wait, detach)
{
	if (vfio_dev_open_group(&self->phys, VFIO_EDU))
		SKIP(return, "no device %s here", VFIO_EDU);
	other_start(_metadata, self);
	ASSERT_EQ(0, soon((struct call){
		.fn = do_attach, .fd = self->c, .d = &self->phys }));
	EXPECT_EQ(2, emu_pin(&self->d, MiB, 2, 3, NULL));
	EXPECT_EQ(1024, others_kb(self, 1024));
	hold(_metadata, self);
	EXPECT_EQ(0, soon((struct call){ .fn = do_detach, .d = &self->phys }));
	EXPECT_OTHERS_GO_ON();
	EXPECT_EQ(0, soon((struct call){
		.fn = do_unpin, .d = &self->d, .iova = MiB, .size = PAGE }));
	let_go(_metadata, self);
	EXPECT_EQ(PAGE / 1024, others_kb(self, PAGE / 1024));
}

/* A process takes a mapping over from one whose mmap_lock is held, and the reverse. */
TEST_F(wait, vaddr)
{
	const uint32_t invalidate = VFIO_DMA_UNMAP_FLAG_VADDR;
	struct vfio_dev *d = &self->phys;
	int ret = -1;

	vfio_dev_close(&self->d);
	VFIO_DEV_OPEN_OR_SKIP(d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	self->c = d->container;
	other_start(_metadata, self);
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, 2 * MiB, MiB));
	ASSERT_EQ(0, vfio_dma_unmap_flags(self->c, MiB, MiB, invalidate, NULL));
	ASSERT_EQ(0, vfio_dma_unmap_flags(self->c, 2 * MiB, MiB, invalidate,
					  NULL));
	EXPECT_EQ(1024, others_kb(self, 1024));
	EXPECT_EQ(1024, vfio_locked_kb());

	hold(_metadata, self);
	/* It has to pay first. */
	ASSERT_EQ(1, write(self->to, "v", 1));
	usleep(MEANWHILE_MS * 1000);
	EXPECT_EQ(1024, vfio_locked_kb());
	EXPECT_OTHERS_GO_ON();
	EXPECT_EQ(0, soon((struct call){
		.fn = do_vaddr, .fd = self->c, .mem = self->mem, .iova = MiB,
		.size = MiB }));
	EXPECT_EQ(2048, vfio_locked_kb());
	let_go(_metadata, self);
	EXPECT_EQ(sizeof(ret), read(self->from, &ret, sizeof(ret)));
	EXPECT_EQ(0, ret);
	EXPECT_EQ(1024, vfio_locked_kb());
	EXPECT_EQ(1024, others_kb(self, 1024));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, MiB, MiB));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 2 * MiB, MiB));
	EXPECT_EQ(0, others_kb(self, 0));
}

/*
 * A group is being attached, and waits for the second half of a mapping. A driver lets
 * go of pages of the first half, and its device is closed.
 */
static void unpin_while_filling(struct __test_metadata *_metadata,
				FIXTURE_DATA(wait) *self, bool fails)
{
	struct vfio_dev *d = &self->d;
	struct call attach = {
		.fn = do_attach, .fd = self->c, .d = &self->phys,
	};
	struct vfio_slow slow;
	struct vfio_dev second;
	char *mem;

	if (vfio_dev_open_group(&self->phys, VFIO_EDU))
		SKIP(return, "no device %s here", VFIO_EDU);
	munmap(self->held, PAGE);
	vfio_dev_close(&self->holder);
	ASSERT_EQ(0, emu_open(&second, 1, VFIO_TYPE1v2_IOMMU, d));

	mem = vfio_slow_room(3 * MiB);
	ASSERT_NE(MAP_FAILED, mem);
	memset(mem, 1, MiB);
	memset(mem + 2 * MiB, 1, MiB);
	if (fails)
		ASSERT_EQ(0, munmap(mem + 2 * MiB, MiB));
	ASSERT_EQ(0, vfio_slow_register(&slow, mem + MiB, MiB));
	ASSERT_EQ(0, vfio_dma_map(self->c, mem, 16 * MiB, 3 * MiB));
	EXPECT_EQ(8, emu_pin(d, 16 * MiB, 8, 3, NULL));
	EXPECT_EQ(2, emu_pin(d, 16 * MiB, 2, 3, NULL));
	EXPECT_EQ(4, emu_pin(&second, 16 * MiB + 6 * PAGE, 4, 3, NULL));
	EXPECT_EQ(10 * PAGE / 1024, vfio_locked_kb());

	call_start(&attach);
	ASSERT_EQ(0, vfio_slow_wait(&slow));
	EXPECT_EQ(0, soon((struct call){
		.fn = do_unpin, .d = d, .iova = 16 * MiB, .size = 4 * PAGE }));
	EXPECT_EQ(0, soon((struct call){ .fn = do_close, .fd = second.device }));
	EXPECT_EQ(0, soon((struct call){ .fn = do_close, .fd = second.group }));
	second.device = -1;
	second.group = -1;
	vfio_dev_close(&second);
	EXPECT_FALSE(call_over(&attach, 0));

	vfio_slow_allow(&slow);
	EXPECT_TRUE(call_over(&attach, SOON_MS));
	if (fails) {
		EXPECT_EQ(-EFAULT, attach.ret);
	} else {
		EXPECT_EQ(0, attach.ret);
		EXPECT_EQ(3072, vfio_locked_kb());
		EXPECT_EQ(self->pinned + 3 * MiB / PAGE + 4,
			  vfio_wait_pinned(self->pinned + 3 * MiB / PAGE + 4));
		EXPECT_EQ(0, vfio_ioctl(self->phys.group,
					VFIO_GROUP_UNSET_CONTAINER));
	}
	EXPECT_EQ(4 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(self->pinned + 4, vfio_wait_pinned(self->pinned + 4));
	/* What nobody has pinned can be pinned anew. */
	EXPECT_EQ(8, emu_pin(d, 16 * MiB, 8, 3, NULL));
	EXPECT_EQ(8 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 16 * MiB, 3 * MiB));
	EXPECT_EQ(0, vfio_locked_kb());
	ASSERT_EQ(0, emu_open(&self->holder, 1, VFIO_TYPE1v2_IOMMU, NULL));
}

TEST_F(wait, unpin_while_filling)
{
	unpin_while_filling(_metadata, self, false);
}

TEST_F(wait, unpin_while_filling_fails)
{
	unpin_while_filling(_metadata, self, true);
}

TEST_HARNESS_MAIN
