// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory that was exported as a dma-buf and goes away: whoever takes it,
 * importers have let go before, and can have it again when it is back.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define VFIO_VIRTIO_NET	"1af4:1041"
#define PATTERN		0x5aa51234
#define PAGE		VFIO_PAGE
#define SLOW_MS		300	/* what a slow importer takes */
#define SOON_MS		30000

/* enum dma_resv_usage */
#define USAGE_KERNEL	0
#define USAGE_WRITE	1
#define USAGE_READ	2
#define USAGE_BOOKKEEP	3

/* Memory whose value at @off stays over all that happens to the device. */
struct target {
	const char *id;
	uint32_t bar;
	uint32_t off;
	bool writable;
};

static const struct target ivshmem = { VFIO_IVSHMEM, 2, 0x1000, true };
static const struct target nvme = { VFIO_NVME, 0, 8 };
static const struct target virtio_net = { VFIO_VIRTIO_NET, 4, 0x10 };

static int do_reset(struct vfio_dev *d)
{
	return vfio_reset(d);
}

static int do_flr(struct vfio_dev *d)
{
	return vfio_cfg_flr(d);
}

static int do_memory_off(struct vfio_dev *d)
{
	return vfio_cfg_memory(d, false);
}

static int do_memory_on(struct vfio_dev *d)
{
	return vfio_cfg_memory(d, true);
}

static int do_d3(struct vfio_dev *d)
{
	return vfio_cfg_power(d, 3);
}

static int do_d0(struct vfio_dev *d)
{
	return vfio_cfg_power(d, 0) ?: vfio_cfg_memory(d, true);
}

static int do_low_power(struct vfio_dev *d)
{
	return vfio_low_power(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1) ?:
	       vfio_runtime_status(d->bdf, "suspended", SOON_MS);
}

static int do_low_power_exit(struct vfio_dev *d)
{
	return vfio_low_power(d, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1);
}

static int do_hot_reset(struct vfio_dev *d)
{
	return vfio_hot_reset(d->device, &d->group, 1);
}

#define SLEEP_MODULE	"test_vfio_pci_sleep"
#define SLEEP_PARAMETER	"/sys/module/" SLEEP_MODULE "/parameters/"

static int do_suspend(struct vfio_dev *d)
{
	return vfio_sysfs_write(SLEEP_PARAMETER "suspend", d->bdf);
}

static int do_resume(struct vfio_dev *d)
{
	return vfio_sysfs_write(SLEEP_PARAMETER "resume", d->bdf);
}

/* An error that takes the device away and has it reset. */
static int do_error(struct vfio_dev *d)
{
	char id[32];

	if (vfio_monitor_id(d->bdf, id, sizeof(id)))
		return -ENXIO;
	return vfio_monitor_fatal_error(id) ?: (sleep(2), 0);
}

static int do_recover(struct vfio_dev *d)
{
	uint64_t end = vfio_now_ms() + SOON_MS;

	do {
		vfio_cfg_memory(d, true);
		usleep(100000);
	} while (!(vfio_cfg_read16(d, PCI_COMMAND) & PCI_COMMAND_MEMORY) &&
		 vfio_now_ms() < end);
	return 0;
}

FIXTURE(closer)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	int dmabuf, importer;
	uint32_t value;
	int klog;
};

/* One without open() has done both when it returns. */
FIXTURE_VARIANT(closer)
{
	const struct target *on;
	int (*close)(struct vfio_dev *d);
	int (*open)(struct vfio_dev *d);
	const char *module;
	bool monitor;
};

FIXTURE_VARIANT_ADD(closer, memory)
{
	.on = &ivshmem, .close = do_memory_off, .open = do_memory_on,
};

FIXTURE_VARIANT_ADD(closer, nvme_memory)
{
	.on = &nvme, .close = do_memory_off, .open = do_memory_on,
};

FIXTURE_VARIANT_ADD(closer, reset) { .on = &nvme, .close = do_reset };
FIXTURE_VARIANT_ADD(closer, flr) { .on = &nvme, .close = do_flr };
FIXTURE_VARIANT_ADD(closer, hot_reset) { .on = &nvme, .close = do_hot_reset };

FIXTURE_VARIANT_ADD(closer, power)
{
	.on = &nvme, .close = do_d3, .open = do_d0,
};

FIXTURE_VARIANT_ADD(closer, low_power)
{
	.on = &nvme, .close = do_low_power, .open = do_low_power_exit,
};

FIXTURE_VARIANT_ADD(closer, suspend)
{
	.on = &nvme, .close = do_suspend, .open = do_resume,
	.module = SLEEP_MODULE,
};

FIXTURE_VARIANT_ADD(closer, error)
{
	.on = &virtio_net, .close = do_error, .open = do_recover,
	.monitor = true,
};

static int export(struct vfio_dev *d, const struct target *t)
{
	return vfio_dmabuf_export(d, t->bar, 0, vfio_region_size(d, t->bar));
}

FIXTURE_SETUP(closer)
{
	const struct target *t = variant->on;
	uint32_t pattern = PATTERN;

	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	if (variant->module && vfio_modprobe(variant->module))
		SKIP(_exit(KSFT_SKIP), "no module %s", variant->module);
	if (variant->monitor && !vfio_monitor_is_there())
		SKIP(_exit(KSFT_SKIP), "no monitor");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, t->id, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	if (t->writable) {
		ASSERT_EQ(4, vfio_region_write(&self->d, t->bar, t->off,
					       &pattern, 4));
	}
	ASSERT_EQ(4, vfio_region_read(&self->d, t->bar, t->off, &self->value,
				      4));
	ASSERT_NE(0, self->value);
	ASSERT_NE(~0u, self->value);
	self->dmabuf = export(&self->d, t);
	ASSERT_LE(0, self->dmabuf);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(closer)
{
	close(self->importer);
	close(self->dmabuf);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

static int attach(FIXTURE_DATA(closer) *self, uint32_t on_notify,
		  uint32_t delay_ms)
{
	return importer_attach(self->importer, self->dmabuf, 0, on_notify,
			       delay_ms);
}

#define EXPECT_REACHED(importer, off, value) do {			\
	uint32_t there = 0;						\
									\
	EXPECT_EQ(0, importer_read(importer, off, &there, 4));		\
	EXPECT_EQ(value, there);					\
} while (0)

#define EXPECT_LET_GO(importer) do {					\
	struct test_dmabuf_state __state;				\
									\
	ASSERT_EQ(0, importer_state(importer, &__state));		\
	EXPECT_EQ(0, __state.mapped);					\
} while (0)

TEST_F(closer, attached)
{
	uint64_t end = vfio_now_ms() + SOON_MS;
	struct test_dmabuf_state state;

	ASSERT_EQ(0, attach(self, TEST_DMABUF_AT_ONCE, 0));
	ASSERT_EQ(0, variant->close(&self->d));
	if (variant->open) {
		EXPECT_EQ(-ENODEV, importer_map(self->importer));
		ASSERT_EQ(0, variant->open(&self->d));
	}
	/* Told that it goes, and that it is back; the latter a little later. */
	do {
		ASSERT_EQ(0, importer_state(self->importer, &state));
	} while (state.notified < 2 && vfio_now_ms() < end);
	EXPECT_LE(2, state.notified);
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, variant->on->off, self->value);
}

TEST_F(closer, mapped)
{
	uint64_t began;

	ASSERT_EQ(0, attach(self, TEST_DMABUF_LATER, SLOW_MS));
	ASSERT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, variant->on->off, self->value);

	began = vfio_now_ms();
	ASSERT_EQ(0, variant->close(&self->d));
	EXPECT_LE(SLOW_MS - 10, vfio_now_ms() - began);
	EXPECT_LET_GO(self->importer);
	if (variant->open) {
		EXPECT_EQ(-ENODEV, importer_map(self->importer));
		ASSERT_EQ(0, variant->open(&self->d));
	}
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, variant->on->off, self->value);
}

/* Reads that go on all the time, and see the value or are told that they can't. */
struct reader {
	int importer;
	uint32_t off, value;
	bool stop;
	int good, refused, bad;
};

static void *keep_reading(void *arg)
{
	struct reader *r = arg;
	uint32_t seen;
	int ret;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		seen = 0;
		ret = importer_read(r->importer, r->off, &seen, 4);
		if (!ret && seen == r->value) {
			__atomic_fetch_add(&r->good, 1, __ATOMIC_RELEASE);
		} else if (ret == -ENOTCONN) {
			r->refused++;
			importer_map(r->importer);
			usleep(1000);
		} else {
			r->bad++;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(closer, in_the_middle_of_dma, 300)
{
	struct reader r = {
		.importer = self->importer,
		.off = variant->on->off,
		.value = self->value,
	};
	int i, good, rounds = variant->monitor ? 1 : 3;
	pthread_t thread;

	ASSERT_EQ(0, attach(self, TEST_DMABUF_AT_ONCE, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_reading, &r));
	for (i = 0; i < rounds; i++) {
		good = __atomic_load_n(&r.good, __ATOMIC_ACQUIRE);
		while (__atomic_load_n(&r.good, __ATOMIC_ACQUIRE) == good)
			usleep(1000);
		/* A transfer to the dma-buf takes 100 ms, and one back. */
		usleep(i * 37000);
		ASSERT_EQ(0, variant->close(&self->d));
		if (variant->open)
			ASSERT_EQ(0, variant->open(&self->d));
	}
	good = __atomic_load_n(&r.good, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&r.good, __ATOMIC_ACQUIRE) == good)
		usleep(1000);
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	/* Nobody waits for what is under way when the device fails. */
	EXPECT_GE(variant->monitor ? 1 : 0, r.bad);
	EXPECT_LE(rounds, r.refused);
}

/* ---- How importers may be ---- */

FIXTURE(importer)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	uint8_t *bar;
	uint64_t size;
	int dmabuf, importer;
	int klog;
};

FIXTURE_SETUP(importer)
{
	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, ivshmem.id, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->size = vfio_region_size(&self->d, ivshmem.bar);
	ASSERT_EQ(0, vfio_region_mmap(&self->d, ivshmem.bar, 0, self->size,
				      (void **)&self->bar));
	*(uint32_t *)self->bar = PATTERN;
	self->dmabuf = export(&self->d, &ivshmem);
	ASSERT_LE(0, self->dmabuf);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(importer)
{
	close(self->importer);
	close(self->dmabuf);
	if (self->bar)
		munmap(self->bar, self->size);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

struct background {
	pthread_t thread;
	const struct vfio_dev *d;
	bool on;
	bool done;
	int ret;
};

/* Off, if nothing else is said. */
static void *memory_off(void *arg)
{
	struct background *b = arg;

	b->ret = vfio_cfg_memory(b->d, b->on);
	__atomic_store_n(&b->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_done(struct background *b)
{
	return __atomic_load_n(&b->done, __ATOMIC_ACQUIRE);
}

/* Until it lets go the memory is there; the kernel names who is in the way. */
TEST_F_TIMEOUT(importer, hostile, 120)
{
	struct background b = { .d = &self->d };

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_NEVER, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	ASSERT_EQ(0, pthread_create(&b.thread, NULL, memory_off, &b));
	sleep(11);
	EXPECT_FALSE(is_done(&b));
	EXPECT_LE(1, vfio_klog_count(self->klog, "does not let go"));
	/* It can still map nothing new. */
	EXPECT_REACHED(self->importer, 0, PATTERN);
	ASSERT_EQ(0, importer_unmap(self->importer));
	EXPECT_EQ(-ENODEV, importer_map(self->importer));
	pthread_join(b.thread, NULL);
	EXPECT_EQ(0, b.ret);
	EXPECT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, 0, PATTERN);
}

/* Others are told before the slow one is waited for. */
TEST_F(importer, many_slow)
{
	int importers[8], dmabufs[8], i;
	uint64_t began;

	for (i = 0; i < 8; i++) {
		dmabufs[i] = vfio_dmabuf_export(&self->d, ivshmem.bar, 0,
						(i + 1) * PAGE);
		ASSERT_LE(0, dmabufs[i]);
		importers[i] = importer_open(self->edu);
		ASSERT_LE(0, importers[i]);
		ASSERT_EQ(0, importer_attach(importers[i], dmabufs[i], 0,
					     TEST_DMABUF_LATER, 1000));
		ASSERT_EQ(0, importer_map(importers[i]));
	}
	began = vfio_now_ms();
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_LE(990, vfio_now_ms() - began);
	EXPECT_GT(4000, vfio_now_ms() - began);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	for (i = 0; i < 8; i++) {
		close(importers[i]);
		close(dmabufs[i]);
	}
}

/* Those that only drivers can leave there; the others a user can. */
TEST_F(importer, fences)
{
	const bool waited_for[] = {
		[USAGE_KERNEL] = true,
		[USAGE_WRITE] = false,
		[USAGE_READ] = false,
		[USAGE_BOOKKEEP] = true,
	};
	const uint32_t ms = 3000;
	uint32_t usage;
	uint64_t began;

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	for (usage = USAGE_KERNEL; usage <= USAGE_BOOKKEEP; usage++) {
		ASSERT_EQ(0, importer_map(self->importer));
		/* Its time runs from within the call. */
		began = vfio_now_ms();
		ASSERT_EQ(0, importer_fence(self->importer, usage, ms));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
		EXPECT_EQ(waited_for[usage], ms - 10 <= vfio_now_ms() - began);
		EXPECT_LET_GO(self->importer);
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	}
}

/* A transfer that began while the memory was there ends there. */
struct writer {
	int importer;
	uint64_t off;
	uint32_t value;
	bool fence;
	int ret;
};

static void *write_once(void *arg)
{
	struct writer *w = arg;

	w->ret = w->fence ?
		 importer_write_fenced(w->importer, w->off, &w->value, 4) :
		 importer_write(w->importer, w->off, &w->value, 4);
	return NULL;
}

TEST_F(importer, transfer_is_waited_for)
{
	pthread_t thread;
	int i;

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	for (i = 0; i < 8; i++) {
		struct writer w = {
			.importer = self->importer,
			.off = i * PAGE,
			.value = 0xfeed0000 + i,
			.fence = i & 1,
		};

		ASSERT_EQ(0, importer_map(self->importer));
		ASSERT_EQ(0, pthread_create(&thread, NULL, write_once, &w));
		/* The first 100 ms go to the device's own buffer. */
		usleep(100000 + i * 12000);
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
		pthread_join(thread, NULL);
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		/* Too late is no harm, done and lost would be. */
		EXPECT_EQ(w.ret ? -ENOTCONN : 0, w.ret);
		EXPECT_EQ(!w.ret,
			  w.value == *(uint32_t *)(self->bar + w.off));
	}
}

/* Two devices have the same dma-buf. */
TEST_F(importer, two)
{
	char other[VFIO_BDF_LEN];
	int second;

	IMPORTER_BIND_OR_SKIP(other, 1);
	second = importer_open(other);
	ASSERT_LE(0, second);
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	ASSERT_EQ(0, importer_attach(second, self->dmabuf, 0,
				     TEST_DMABUF_LATER, 100));
	ASSERT_EQ(0, importer_map(self->importer));
	ASSERT_EQ(0, importer_map(second));
	EXPECT_REACHED(self->importer, 0, PATTERN);
	EXPECT_REACHED(second, 0, PATTERN);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_LET_GO(self->importer);
	EXPECT_LET_GO(second);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, importer_map(second));
	EXPECT_REACHED(second, 0, PATTERN);
	close(second);
}

/* The export begins while the memory is off. */
TEST_F(importer, exported_while_off)
{
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	close(self->dmabuf);
	self->dmabuf = export(&self->d, &ivshmem);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	EXPECT_EQ(-ENODEV, importer_map(self->importer));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, 0, PATTERN);
}

#define SWITCHER "switcher"

static void *memory_switch(void *arg)
{
	prctl(PR_SET_NAME, SWITCHER);
	return memory_off(arg);
}

/*
 * The first export begins while somebody who has found none closes the gate, or has
 * closed it: before he has the lock, or before he drops it.
 */
FIXTURE(beginner)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	int dmabuf, importer;
	int klog;
};

FIXTURE_VARIANT(beginner)
{
	const char *function;
	bool on;
};

FIXTURE_VARIANT_ADD(beginner, closed_soon) { "down_write", false };
FIXTURE_VARIANT_ADD(beginner, closed_now) { "up_write", false };
FIXTURE_VARIANT_ADD(beginner, opened_soon) { "down_write", true };
FIXTURE_VARIANT_ADD(beginner, opened_now) { "up_write", true };

FIXTURE_SETUP(beginner)
{
	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, ivshmem.id, VFIO_TYPE1v2_IOMMU);
	if (vfio_stretch(variant->function, 500000, "before", SWITCHER))
		SKIP(_exit(KSFT_SKIP), "no window can be stretched");
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, vfio_region_write(&self->d, ivshmem.bar, 0,
				       &(uint32_t){ PATTERN }, 4));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, !variant->on));
	self->dmabuf = -1;
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(beginner)
{
	EXPECT_EQ(0, vfio_stretch_end());
	close(self->importer);
	if (self->dmabuf >= 0)
		close(self->dmabuf);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

TEST_F_TIMEOUT(beginner, exports, 60)
{
	struct background b = { .d = &self->d, .on = variant->on };
	uint64_t end = vfio_now_ms() + SOON_MS;
	int early;

	ASSERT_EQ(0, pthread_create(&b.thread, NULL, memory_switch, &b));
	while (vfio_stretch_hits(variant->function) < 1 && vfio_now_ms() < end)
		usleep(1000);
	self->dmabuf = export(&self->d, &ivshmem);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	early = importer_map(self->importer);
	TH_LOG("mapped early: %d", early);
	ASSERT_EQ(0, pthread_join(b.thread, NULL));
	ASSERT_EQ(0, b.ret);
	EXPECT_LE(1, vfio_stretch_hits(variant->function));
	ASSERT_EQ(0, vfio_stretch_end());

	/* What it did in time, it undid in time, and nothing else is left. */
	if (!variant->on) {
		if (!early)
			EXPECT_LET_GO(self->importer);
		EXPECT_EQ(-ENODEV, importer_map(self->importer));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		early = -ENODEV;
	}
	if (early)
		ASSERT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, 0, PATTERN);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_LET_GO(self->importer);
	EXPECT_EQ(-ENODEV, importer_map(self->importer));
}

TEST_F(importer, trace)
{
	struct vfio_region_info bar;
	bool found = false;
	struct vfio_trace t;
	char *text, *line;
	int dmabuf;

	if (vfio_trace_start(&t))
		SKIP(return, "no tracepoints");
	ASSERT_EQ(0, vfio_region_info(&self->d, ivshmem.bar, &bar));
	dmabuf = vfio_dmabuf_export(&self->d, ivshmem.bar, 7 * PAGE, 3 * PAGE);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, vfio_trace_enable(&t, true));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	text = vfio_trace_read(&t);
	ASSERT_NE(NULL, text);
	while ((line = vfio_trace_next(&text, "vfio_pci_revoke")))
		found |= vfio_trace_field(line, "start") ==
			 bar.offset + 7 * PAGE &&
			 vfio_trace_field(line, "len") == 3 * PAGE;
	EXPECT_TRUE(found);
	vfio_trace_stop(&t);
	close(dmabuf);
}

/* ---- Hundreds of rounds at once ---- */

struct crowd {
	const struct vfio_dev *d;
	const char *edu;
	bool stop;
	int rounds, maps, bad;
};

static void *come_and_go(void *arg)
{
	static unsigned int turn;
	struct crowd *c = arg;
	unsigned int n = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED);
	int dmabuf, importer, i, ret;

	/* While somebody waits for the reader, they all can be over with no map. */
	for (i = 0; i < c->rounds ||
	     (!__atomic_load_n(&c->maps, __ATOMIC_RELAXED) &&
	      i < 100 * c->rounds); i++) {
		dmabuf = vfio_dmabuf_export(c->d, ivshmem.bar, (n + i) % 16 *
					    PAGE, (1 + i % 64) * PAGE);
		importer = importer_open(c->edu);
		ret = dmabuf < 0 ? dmabuf : importer < 0 ? importer :
		      importer_attach(importer, dmabuf, 0, i % 2, i % 5);
		if (!ret)
			ret = importer_map(importer);
		if (!ret) {
			__atomic_fetch_add(&c->maps, 1, __ATOMIC_RELAXED);
			if (i % 3)
				importer_unmap(importer);
			if (i % 5)
				ret = importer_detach(importer);
		}
		if (ret && ret != -ENODEV)
			__atomic_fetch_add(&c->bad, 1, __ATOMIC_RELAXED);
		close(i % 2 ? dmabuf : importer);
		close(i % 2 ? importer : dmabuf);
	}
	return NULL;
}

static void *flip_memory(void *arg)
{
	struct crowd *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
		vfio_cfg_memory(c->d, false);
		vfio_cfg_memory(c->d, true);
		usleep(500);
	}
	return NULL;
}

TEST_F_TIMEOUT(importer, crowd, 300)
{
	struct crowd c = { .d = &self->d, .edu = self->edu, .rounds = 150 };
	pthread_t threads[5], flipper;
	struct reader r = { .importer = self->importer, .value = PATTERN };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_reading, &r));
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, come_and_go,
					    &c));
	ASSERT_EQ(0, pthread_create(&flipper, NULL, flip_memory, &c));
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&c.stop, true, __ATOMIC_RELEASE);
	pthread_join(flipper, NULL);
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.bad);
	EXPECT_LT(0, c.maps);
	EXPECT_EQ(0, r.bad);
	TH_LOG("%d maps; DMA: %d good, %d refused", c.maps, r.good, r.refused);
}

/* ---- The end of the device's file, of processes, and of modules ---- */

#define EXPECT_OVER(self) do {						\
	EXPECT_LET_GO((self)->importer);				\
	EXPECT_EQ(-ENODEV, importer_map((self)->importer));		\
	EXPECT_EQ(0, importer_detach((self)->importer));		\
	EXPECT_EQ(-ENODEV, importer_attach((self)->importer,		\
					   (self)->dmabuf, 0, 0, 0));	\
} while (0)

static void forget_bar(FIXTURE_DATA(importer) *self)
{
	munmap(self->bar, self->size);
	self->bar = NULL;
}

/* For good: what opens the device next is somebody else. */
TEST_F(importer, last_close)
{
	int late;

	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_LATER, SLOW_MS));
	ASSERT_EQ(0, importer_map(self->importer));
	forget_bar(self);
	close(self->d.device);
	EXPECT_OVER(self);

	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(-ENODEV, importer_attach(self->importer, self->dmabuf, 0, 0,
					   0));
	late = export(&self->d, &ivshmem);
	ASSERT_LE(0, late);
	EXPECT_EQ(0, importer_attach(self->importer, late, 0, 0, 0));
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, 0, PATTERN);
	close(late);
	EXPECT_REACHED(self->importer, 0, PATTERN);
}

static int reopen(FIXTURE_DATA(importer) *self)
{
	uint64_t end = vfio_now_ms() + SOON_MS;
	int ret;

	do {
		ret = vfio_dev_open(&self->d, ivshmem.id, VFIO_TYPE1v2_IOMMU);
		if (ret == -EBUSY)
			usleep(20000);
	} while (ret == -EBUSY && vfio_now_ms() < end);
	return ret;
}

/* Open, export, hand the dma-buf over, and wait to be killed. */
static void export_until_killed(FIXTURE_DATA(importer) *self, int sock)
{
	int dmabuf;

	if (reopen(self) || vfio_cfg_memory(&self->d, true))
		_exit(1);
	dmabuf = export(&self->d, &ivshmem);
	if (dmabuf < 0 || vfio_send_fd(sock, dmabuf))
		_exit(1);
	for (;;) {
		vfio_cfg_memory(&self->d, false);
		vfio_cfg_memory(&self->d, true);
		usleep(5000);
	}
}

TEST_F(importer, exporter_killed)
{
	int socks[2], round;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	forget_bar(self);
	vfio_dev_close(&self->d);
	for (round = 0; round < 5; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			export_until_killed(self, socks[1]);
		close(self->dmabuf);
		self->dmabuf = vfio_recv_fd(socks[0]);
		ASSERT_LE(0, self->dmabuf);
		ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
					     round % 2, 10 * round));
		while (importer_map(self->importer))
			usleep(1000);
		usleep(20000 + 7000 * round);
		importer_map(self->importer);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		ASSERT_EQ(0, reopen(self));
		EXPECT_OVER(self);
		vfio_dev_close(&self->d);
	}
	ASSERT_EQ(0, reopen(self));
}

/* An importer that lets go of nothing dies while it is waited for. */
TEST_F(importer, importer_killed)
{
	struct background b = { .d = &self->d };
	int ready[2];
	char c;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	close(self->importer);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* More than one, which go in the order of their files. */
		int more = vfio_dmabuf_export(&self->d, ivshmem.bar, 0, PAGE);

		self->importer = importer_open(self->edu);
		if (more < 0 || self->importer < 0 ||
		    importer_attach(self->importer, self->dmabuf, 0,
				    TEST_DMABUF_NEVER, 0) ||
		    importer_map(self->importer) ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_EQ(0, pthread_create(&b.thread, NULL, memory_off, &b));
	usleep(300000);
	EXPECT_FALSE(is_done(&b));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	pthread_join(b.thread, NULL);
	EXPECT_EQ(0, b.ret);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0, 0, 0));
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_REACHED(self->importer, 0, PATTERN);
}

/* The driver is taken away from the device, then the device itself. */
TEST_F(importer, removed)
{
	static const char *const ways[] = { "driver/unbind", "remove" };
	char bdf[VFIO_BDF_LEN];
	int i, request;
	pid_t remover;

	memcpy(bdf, self->d.bdf, sizeof(bdf));
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
					     TEST_DMABUF_LATER, 20));
		ASSERT_EQ(0, importer_map(self->importer));
		request = vfio_eventfd();
		ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_REQ_IRQ_INDEX,
					      0, request));
		remover = vfio_remover_start(bdf, ways[i]);
		ASSERT_LT(0, remover);
		ASSERT_EQ(0, vfio_eventfd_wait(request, SOON_MS, NULL));
		/* It works until its user is gone. */
		while (importer_map(self->importer) == -ENODEV)
			usleep(1000);
		EXPECT_REACHED(self->importer, 0, PATTERN);
		if (self->bar)
			forget_bar(self);
		vfio_dev_close(&self->d);
		EXPECT_EQ(0, vfio_remover_wait(remover, SOON_MS));
		EXPECT_OVER(self);
		close(request);

		ASSERT_EQ(0, vfio_pci_rescan());
		ASSERT_EQ(0, reopen(self));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		close(self->dmabuf);
		self->dmabuf = export(&self->d, &ivshmem);
		ASSERT_LE(0, self->dmabuf);
		vfio_region_write(&self->d, ivshmem.bar, 0,
				  &(uint32_t) { PATTERN }, 4);
	}
}

/* What is left of an export needs the code that made it, and nothing else. */
TEST_F(importer, modules)
{
	if (access("/sys/module/vfio_pci/refcnt", F_OK))
		SKIP(return, "vfio-pci is part of the kernel");
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0, 0, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	forget_bar(self);
	vfio_dev_close(&self->d);
	vfio_module_remove("vfio-pci");
	EXPECT_NE(0, access("/sys/module/vfio_pci", F_OK));
	EXPECT_EQ(0, access("/sys/module/vfio_pci_core", F_OK));
	EXPECT_OVER(self);
	close(self->dmabuf);
	self->dmabuf = -1;
	/* The last reference is dropped a little later. */
	while (vfio_module_refs("vfio_pci_core") > 0)
		usleep(10000);
	EXPECT_EQ(0, vfio_module_remove("vfio-pci-core"));
	ASSERT_EQ(0, vfio_modprobe("vfio-pci"));
	ASSERT_EQ(0, reopen(self));
}

TEST_HARNESS_MAIN
