// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that looks at device memory against everything that takes it
 * away: threads that fault, map, move, fork, read, write, open, set up
 * interrupts and DMA while others close the gate in all ways, and while the
 * device is removed. Nothing may hang, and the kernel has nothing to complain
 * about. What the calls return is left to other tests.
 *
 * VFIO_TEST_SEED repeats what a run has printed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define ROUNDS		3
#define CLOSES		12	/* per closer and round */
#define IOVA		0x10000000ull
#define SOON_MS		60000

struct race {
	struct vfio_dev d;
	uint32_t bar;
	uint64_t offset;
	uint64_t size;
	uint8_t *map;		/* all threads look at it, nobody moves it */
	bool resets;
	bool removed;		/* who removes it has its lock, and waits for us */
	bool any_width;
	bool stop;
	uint64_t ops;
};

struct racer {
	struct race *race;
	unsigned int seed;
	pthread_t thread;
	/* Once; what is called again and again has no count. */
	void (*op)(struct racer *r);
	int count;
};

static unsigned int pick(struct racer *r, unsigned int below)
{
	return rand_r(&r->seed) % below;
}

/* A page of the BAR. */
static uint64_t pick_page(struct racer *r)
{
	return (uint64_t)pick(r, r->race->size / 4096) * 4096;
}

static void op_touch(struct racer *r)
{
	uint32_t value;

	vfio_try_load32(r->race->map + pick_page(r), &value);
}

static void op_sweep(struct racer *r)
{
	vfio_try_touch(r->race->map, r->race->size, 4096);
}

/* Mappings come, are touched, moved, cut, protected, and go. */
static void op_map(struct racer *r)
{
	uint64_t at = pick_page(r);
	uint64_t len = r->race->size - at;
	uint8_t *p, *to;

	if (pick(r, 2) && len > 65536)
		len = 65536;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
		 r->race->d.device, r->race->offset + at);
	if (p == MAP_FAILED)
		return;
	vfio_try_touch(p, len, 4096);
	switch (pick(r, 4)) {
	case 0:
		to = mmap(NULL, len + 4096, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		p = mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			   to + 4096);
		vfio_try_touch(p, len, 65536);
		munmap(to, 4096);
		break;
	case 1:
		/* A hole would be taken by others, and freed by us. */
		mmap(p + len / 8192 * 4096, 4096, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		vfio_try_touch(p, len / 2, 4096);
		break;
	case 2:
		mprotect(p, len, PROT_READ);
		vfio_try_touch(p, len, 4096);
		break;
	}
	munmap(p, len);
}

static void op_fork(struct racer *r)
{
	uint32_t value;
	pid_t pid;
	int i;

	pid = fork();
	if (!pid) {
		for (i = 0; i < 16; i++)
			vfio_try_load32(r->race->map + pick_page(r), &value);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void op_read(struct racer *r)
{
	char buf[16384];
	uint64_t at = pick_page(r);
	uint64_t len = 1 + pick(r, sizeof(buf));

	if (!r->race->any_width)
		len = (len + 3) & ~3ULL;
	if (len > r->race->size - at)
		len = r->race->size - at;
	vfio_pread(r->race->d.device, buf, len, r->race->offset + at);
}

/* From a page of the BAR into the device file and the other way round. */
static void op_read_into_map(struct racer *r)
{
	uint8_t *p = r->race->map + pick_page(r);

	if (!r->race->any_width)
		return;
	vfio_pread(r->race->d.device, p, 64, r->race->offset + pick_page(r));
}

static void op_ioeventfd(struct racer *r)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
		.offset = r->race->offset + 8,
		.data = pick(r, 4),
		.fd = vfio_eventfd(),
	};
	int efd = arg.fd;
	int i;

	vfio_ioctl(r->race->d.device, VFIO_DEVICE_IOEVENTFD, &arg);
	for (i = 0; i < 8; i++)
		vfio_eventfd_signal(efd);
	if (pick(r, 2)) {
		arg.fd = -1;
		vfio_ioctl(r->race->d.device, VFIO_DEVICE_IOEVENTFD, &arg);
	}
	close(efd);
}

static void op_irqs(struct racer *r)
{
	const struct vfio_dev *d = &r->race->d;
	uint32_t index = pick(r, 3);
	int efd = vfio_eventfd();

	vfio_irq_eventfd(d, index, 0, efd);
	vfio_irq_trigger(d, index, 0, 1);
	if (pick(r, 2))
		vfio_irq_disable(d, index);
	close(efd);
}

static void op_dma(struct racer *r)
{
	uint64_t len = r->race->size < 0x100000 ? r->race->size : 0x100000;

	vfio_dma_map(r->race->d.container, r->race->map, IOVA, len);
	vfio_dma_unmap(r->race->d.container, IOVA, len);
}

static void op_open(struct racer *r)
{
	int fd = vfio_dev_get_device(&r->race->d, r->race->d.bdf);

	if (fd >= 0)
		close(fd);
}

static void op_command(struct racer *r)
{
	vfio_cfg_memory(&r->race->d, pick(r, 3));
	usleep(pick(r, 2000));
}

static void op_power(struct racer *r)
{
	const struct vfio_dev *d = &r->race->d;

	switch (pick(r, 4)) {
	case 0:
		vfio_cfg_power(d, 3);
		break;
	case 1:
		vfio_cfg_power(d, 0);
		break;
	case 2:
		vfio_low_power(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1);
		break;
	case 3:
		vfio_low_power(d, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1);
		break;
	}
	usleep(pick(r, 20000));
}

static void op_reset(struct racer *r)
{
	const struct vfio_dev *d = &r->race->d;

	if (!r->race->resets)
		return;
	switch (pick(r, r->race->removed ? 3 : 4)) {
	case 0:
		vfio_reset(d);
		break;
	case 1:
		vfio_cfg_flr(d);
		break;
	case 2:
		vfio_dev_hot_reset(d);
		break;
	case 3:
		vfio_pci_attr_write(d->bdf, "reset", "1");
		break;
	}
}

static void *race(void *arg)
{
	struct racer *r = arg;
	int i;

	for (i = 0; r->count ? i < r->count :
	     !__atomic_load_n(&r->race->stop, __ATOMIC_ACQUIRE); i++) {
		r->op(r);
		__atomic_fetch_add(&r->race->ops, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

#define RACERS	15

static int start_race(struct race *what, struct racer *racers,
		      unsigned int seed)
{
	static const struct {
		void (*op)(struct racer *r);
		int count;
	} all[RACERS] = {
		{ op_command, CLOSES }, { op_power, CLOSES },
		{ op_reset, CLOSES }, { op_touch }, { op_touch }, { op_sweep },
		{ op_map }, { op_map }, { op_fork }, { op_read },
		{ op_read_into_map }, { op_ioeventfd }, { op_irqs },
		{ op_dma }, { op_open },
	};
	unsigned int i;
	int ret = 0;

	what->stop = false;
	for (i = 0; i < RACERS && !ret; i++) {
		racers[i] = (struct racer) {
			.race = what,
			.seed = seed * RACERS + i,
			.op = all[i].op,
			.count = all[i].count,
		};
		ret = pthread_create(&racers[i].thread, NULL, race,
				     &racers[i]);
	}
	return -ret;
}

/* Those that count end by themselves, then the others are told. */
static void end_race(struct race *what, struct racer *racers)
{
	unsigned int i;

	for (i = 0; i < RACERS; i++)
		if (racers[i].count)
			pthread_join(racers[i].thread, NULL);
	__atomic_store_n(&what->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < RACERS; i++)
		if (!racers[i].count)
			pthread_join(racers[i].thread, NULL);
}

FIXTURE(race)
{
	struct race r;
	unsigned int seed;
	int klog;
};

FIXTURE_VARIANT(race)
{
	const char *id;
	uint32_t bar;
	uint32_t off;		/* nobody but the race changes it */
	bool resets;
	int mode;
};

FIXTURE_VARIANT_ADD(race, ivshmem) { VFIO_IVSHMEM, 2, 0x1000 };
FIXTURE_VARIANT_ADD(race, nvme) { VFIO_NVME, 0, 8, true };
FIXTURE_VARIANT_ADD(race, e1000e) { VFIO_E1000E, 0, 0x5400, true };
VFIO_OTHER_MODES(race, e1000e, VFIO_E1000E, 0, 0x5400, true);

/*
 * A device that does not take an access of this width ends it with an abort on
 * arm64, and the kernel with it, if the access was the kernel's. It copies single
 * bytes to user memory that went away for a moment.
 */
static bool takes_any_width(const char *id)
{
#ifdef __aarch64__
	return !strcmp(id, VFIO_IVSHMEM);
#else
	return true;
#endif
}

static int open_device(struct race *r, const char *id, int mode)
{
	struct vfio_region_info bar;
	void *p;
	int ret;

	ret = vfio_dev_open(&r->d, id, mode);
	if (!ret)
		ret = vfio_cfg_memory(&r->d, true);
	if (!ret)
		ret = vfio_region_info(&r->d, r->bar, &bar);
	if (!ret)
		ret = vfio_region_mmap(&r->d, r->bar, 0, bar.size, &p);
	if (ret)
		return ret;
	r->map = p;
	r->offset = bar.offset;
	r->size = bar.size;
	r->any_width = takes_any_width(id);
	return 0;
}

static void close_device(struct race *r)
{
	munmap(r->map, r->size);
	vfio_dev_close(&r->d);
}

FIXTURE_SETUP(race)
{
	const char *seed = getenv("VFIO_TEST_SEED");
	char bdf[VFIO_BDF_LEN];
	int ret;

	VFIO_PCI_BIND_OR_SKIP(variant->id, bdf);
	self->klog = vfio_klog_open();
	self->seed = seed ? strtoul(seed, NULL, 0) : time(NULL) ^ getpid();
	self->r.bar = variant->bar;
	self->r.resets = variant->resets;
	ret = open_device(&self->r, bdf, variant->mode);
	VFIO_SKIP_WITHOUT_MODE(variant->mode, ret);
	ASSERT_EQ(0, ret);
	TH_LOG("VFIO_TEST_SEED=%u", self->seed);
}

FIXTURE_TEARDOWN(race)
{
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

/* Nothing that was done is left behind in the device. */
#define EXPECT_SOUND() do {						\
	uint32_t ids = 0, seen, read;					\
									\
	ASSERT_EQ(0, vfio_low_power(&self->r.d,				\
				    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1)); \
	vfio_cfg_power(&self->r.d, 0);					\
	ASSERT_EQ(0, vfio_cfg_memory(&self->r.d, true));		\
	ids = vfio_cfg_read32(&self->r.d, PCI_VENDOR_ID);		\
	ASSERT_NE(~0u, ids);						\
	ASSERT_EQ(0, vfio_try_load32(self->r.map + variant->off, &seen));	\
	ASSERT_EQ(4, vfio_pread(self->r.d.device, &read, 4,		\
				self->r.offset + variant->off));	\
	ASSERT_EQ(seen, read);						\
} while (0)

TEST_F_TIMEOUT(race, one_device, 300)
{
	struct racer racers[RACERS];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, start_race(&self->r, racers, self->seed + i));
		end_race(&self->r, racers);
		EXPECT_SOUND();
	}
	EXPECT_NE(0, self->r.ops);
	close_device(&self->r);
}

/* The device goes away in the middle of it, and comes back. */
TEST_F_TIMEOUT(race, removed, 300)
{
	struct racer racers[RACERS];
	char bdf[VFIO_BDF_LEN];
	int i, request;
	pid_t remover;

	memcpy(bdf, self->r.d.bdf, sizeof(bdf));
	request = vfio_eventfd();
	self->r.removed = true;
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, vfio_irq_eventfd(&self->r.d,
					      VFIO_PCI_REQ_IRQ_INDEX, 0,
					      request));
		ASSERT_EQ(0, start_race(&self->r, racers,
					self->seed + 100 + i));
		remover = vfio_remover_start(bdf, i & 1 ? "driver/unbind" :
					     "remove");
		ASSERT_LT(0, remover);
		ASSERT_EQ(0, vfio_eventfd_wait(request, SOON_MS, NULL));
		end_race(&self->r, racers);
		EXPECT_SOUND();
		close_device(&self->r);
		ASSERT_EQ(0, vfio_remover_wait(remover, SOON_MS));
		ASSERT_EQ(0, vfio_pci_rescan());
		ASSERT_EQ(0, open_device(&self->r, bdf, variant->mode));
		EXPECT_SOUND();
	}
	close_device(&self->r);
	close(request);
}

TEST_HARNESS_MAIN
