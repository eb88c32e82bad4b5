// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two users who have nothing to do with each other. One of them does his worst: his
 * device is reset again and again, or does not come back from a reset, he is parked in
 * calls by memory that does not come, and maps his BAR for DMA in a loop; or he gives it
 * to an importer that never lets go, and takes it away. How long what the other one does
 * takes then, against the time it takes without him, in the median.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

#define NVME		"1b36:0010"
#define EDU		"1234:11e8"
#define CARD		VFIO_E1000E	/* nobody's, in a slot of its own */
#define PAGE		VFIO_PAGE
#define MIB		(1ul << 20)
#define ROUNDS		15
#define SOON_MS		20000
/*
 * The emulator runs one CPU at a time: what the first user works takes from the time
 * of the other one, besides what he makes wait. A reset takes 100 ms, and one of
 * a device that does not answer a minute.
 */
#define NOISE_MS	25

enum op {
	OPEN, MAP, UNMAP, SET_IRQS, MMAP, CLOSE, UNBIND, BIND, RESCAN, TAKE_OUT, PUT_IN,
	NR_OPS
};

static const char *const op_names[] = {
	"open", "map for DMA", "unmap", "set interrupts", "map a BAR", "close",
	"unbind", "bind", "rescan", "take a card out", "put it in",
};

FIXTURE(neighbour)
{
	char bdf[VFIO_BDF_LEN];		/* of the other one's device */
	char worst[VFIO_BDF_LEN];
	char card[VFIO_BDF_LEN];
	char edu[VFIO_BDF_LEN];		/* of his importer */
	int importer;
	void *mem;
	int ready[2];
	pid_t pid;
	bool overlay;
	int64_t idle[NR_OPS];		/* us */
	int64_t busy[NR_OPS];
};

FIXTURE_VARIANT(neighbour)
{
	int mode;
	bool silent;	/* his device does not come back from its reset */
	bool holds;	/* an importer has his device's memory, and is stuck */
};

FIXTURE_VARIANT_ADD(neighbour, resets) { VFIO_TYPE1v2_IOMMU };
FIXTURE_VARIANT_ADD(neighbour, silent) { VFIO_TYPE1v2_IOMMU, .silent = true };
FIXTURE_VARIANT_ADD(neighbour, holds) { VFIO_TYPE1v2_IOMMU, .holds = true };
FIXTURE_VARIANT_ADD(neighbour, resets_compat) { VFIO_MODE_COMPAT };
FIXTURE_VARIANT_ADD(neighbour, resets_iommufd) { VFIO_MODE_IOMMUFD };
FIXTURE_VARIANT_ADD(neighbour, holds_iommufd) { VFIO_MODE_IOMMUFD, .holds = true };

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

/* ---- The one who does his worst, in a process of his own ---- */

static struct vfio_dev his;

static void *resets(void *arg)
{
	for (;;)
		if (vfio_ioctl(his.device, VFIO_DEVICE_RESET))
			usleep(1000);
	return arg;
}

static void *sits_in_info(void *arg)
{
	struct vfio_slow slow;

	if (!vfio_slow_alloc(&slow, PAGE))
		vfio_ioctl(his.device, VFIO_DEVICE_GET_INFO, slow.mem);
	return arg;
}

static void *sits_in_write(void *arg)
{
	struct vfio_slow slow;

	if (!vfio_slow_alloc(&slow, PAGE))
		vfio_region_write(&his, VFIO_PCI_CONFIG_REGION_INDEX,
				  PCI_COMMAND, slow.mem, 2);
	return arg;
}

static void *sits_in_irqs(void *arg)
{
	struct vfio_slow slow;

	if (!vfio_slow_alloc(&slow, PAGE))
		vfio_ioctl(his.device, VFIO_DEVICE_SET_IRQS, slow.mem);
	return arg;
}

static void *sits_in_map(void *arg)
{
	struct vfio_slow slow;

	if (!vfio_slow_alloc(&slow, PAGE))
		vfio_dma_map(his.container, slow.mem, 64 * MIB, PAGE);
	return arg;
}

static void *maps_bar(void *arg)
{
	void *bar;

	if (vfio_region_mmap(&his, 0, 0, PAGE, &bar))
		return arg;
	for (;;) {
		if (vfio_dma_map(his.container, bar, 32 * MIB, PAGE))
			usleep(1000);
		else
			vfio_dma_unmap(his.container, 32 * MIB, PAGE);
	}
}

static void *looks(void *arg)
{
	volatile uint32_t *bar;
	uint32_t value;

	if (vfio_region_mmap(&his, 0, 0, PAGE, (void **)&bar))
		return arg;
	for (;;) {
		vfio_try_load32((void *)bar, &value);
		usleep(500);
	}
}

static void *switches_off(void *arg)
{
	for (;;)
		if (vfio_cfg_memory(&his, false) || vfio_cfg_memory(&his, true))
			usleep(1000);
	return arg;
}

/* Until he is killed; returns only if that cannot be. */
static int goes_on(void *(*const all[])(void *), int nr, int ready)
{
	pthread_t thread;
	int i;

	for (i = 0; i < nr; i++)
		if (pthread_create(&thread, NULL, all[i], NULL))
			return 3;
	if (write(ready, "r", 1) != 1)
		return 4;
	for (;;)
		pause();
}

/* The memory cannot go: a thread is stuck in what switches it off. */
static int holds(const char *bdf, int mode, int importer, int ready)
{
	void *(*const all[])(void *) = {
		switches_off, sits_in_info, sits_in_write, sits_in_irqs, looks,
	};
	int dmabuf;

	if (vfio_dev_open(&his, bdf, mode) || vfio_cfg_memory(&his, true))
		return 1;
	dmabuf = vfio_dmabuf_export(&his, VFIO_PCI_BAR2_REGION_INDEX, 0, 16 * PAGE);
	if (dmabuf < 0 ||
	    importer_attach(importer, dmabuf, 0, TEST_DMABUF_STUCK, 0) ||
	    importer_map(importer))
		return 2;
	return goes_on(all, ARRAY_SIZE(all), ready);
}

static int does_his_worst(const char *bdf, int mode, int ready)
{
	void *(*const all[])(void *) = {
		resets, sits_in_info, sits_in_write, sits_in_irqs, looks,
		/* With iommufd, these are its own locks. */
		sits_in_map, maps_bar,
	};
	bool type1 = mode == VFIO_TYPE1v2_IOMMU;

	if (vfio_dev_open(&his, bdf, mode) || vfio_cfg_memory(&his, true))
		return 1;
	return goes_on(all, ARRAY_SIZE(all) - (type1 ? 0 : 2), ready);
}

/* ---- The other one ---- */

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int take_out(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);
	return vfio_sysfs_write(path, "1");
}

/* Only its bus is looked at, as by a driver of slots. */
static int put_in(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/pci_bus/%.7s/rescan", bdf);
	return vfio_sysfs_write(path, "1");
}

/* Does nothing once something has failed; the failure tells what that was. */
#define TIMED(op, call) do {						\
	int64_t __start = now_us();					\
	int __err = ret ? 0 : call;					\
									\
	us[op][round] = now_us() - __start;				\
	if (__err)							\
		ret = -1000 * (op) + __err;				\
} while (0)

static int one_round(FIXTURE_DATA(neighbour) *self, int mode,
		     int64_t us[NR_OPS][ROUNDS], int round)
{
	bool dma = mode == VFIO_TYPE1v2_IOMMU || mode == VFIO_MODE_COMPAT;
	struct vfio_dev d;
	void *bar = NULL;
	int efd, ret = 0;

	TIMED(OPEN, vfio_dev_open(&d, self->bdf, mode));
	if (ret)
		return ret;
	efd = vfio_eventfd();
	if (dma) {
		TIMED(MAP, vfio_dma_map(d.container, self->mem, 0, MIB));
		TIMED(UNMAP, vfio_dma_unmap(d.container, 0, MIB));
	}
	TIMED(SET_IRQS, vfio_irq_eventfd(&d, VFIO_PCI_MSI_IRQ_INDEX, 0, efd));
	TIMED(MMAP, vfio_region_mmap(&d, 0, 0, PAGE, &bar));
	if (bar)
		munmap(bar, PAGE);
	TIMED(CLOSE, (vfio_dev_close(&d), 0));
	close(efd);
	TIMED(UNBIND, vfio_pci_unbind(self->bdf));
	TIMED(BIND, vfio_pci_bind(self->bdf));
	TIMED(RESCAN, vfio_pci_rescan());
	TIMED(TAKE_OUT, take_out(self->card));
	TIMED(PUT_IN, put_in(self->card));
	if (!ret && !vfio_pci_is_there(self->card))
		return -ENODEV;
	return ret;
}

static int measure(FIXTURE_DATA(neighbour) *self, int mode, int64_t *median)
{
	int64_t us[NR_OPS][ROUNDS] = {};
	int i, ret;

	for (i = 0; i < ROUNDS; i++) {
		ret = one_round(self, mode, us, i);
		if (ret)
			return ret;
	}
	for (i = 0; i < NR_OPS; i++) {
		qsort(us[i], ROUNDS, sizeof(us[i][0]), compare);
		median[i] = us[i][ROUNDS / 2];
	}
	return 0;
}

/* Is one of his threads there? */
static bool waits_in(pid_t pid, const char *function)
{
	char command[96];

	snprintf(command, sizeof(command), "grep -qs %s /proc/%d/task/*/stack",
		 function, pid);
	return !system(command);
}

FIXTURE_SETUP(neighbour)
{
	char set[128], byte;
	struct vfio_dev d;

	VFIO_DEV_OPEN_OR_SKIP(&d, EDU, variant->mode);
	memcpy(self->bdf, d.bdf, sizeof(self->bdf));
	vfio_dev_close(&d);
	if (vfio_pci_resolve(CARD, self->card))
		SKIP(_exit(KSFT_SKIP), "no card %s here", CARD);
	self->importer = -1;
	if (variant->holds) {
		VFIO_PCI_BIND_OR_SKIP(VFIO_IVSHMEM, self->worst);
		IMPORTER_BIND_OR_SKIP(self->edu, 1);
		self->importer = importer_open(self->edu);
		ASSERT_LE(0, self->importer);
	} else {
		VFIO_PCI_BIND_OR_SKIP(NVME, self->worst);
	}
	self->mem = vfio_alloc_pages(MIB);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, pipe2(self->ready, O_CLOEXEC));
	ASSERT_EQ(0, measure(self, variant->mode, self->idle));

	self->pid = fork();
	if (!self->pid && variant->holds)
		_exit(holds(self->worst, variant->mode, self->importer,
			    self->ready[1]));
	if (!self->pid)
		_exit(does_his_worst(self->worst, variant->mode,
				     self->ready[1]));
	ASSERT_EQ(1, read(self->ready[0], &byte, 1));
	if (variant->silent) {
		/* A reset waits while these say "not yet", or nothing. */
		snprintf(set, sizeof(set), "set=%s+0=0xffff0001,%s+4=0xffffffff",
			 self->worst, self->worst);
		ASSERT_EQ(0, vfio_overlay_load(set, NULL));
		self->overlay = true;
	}
	usleep(300000);
	/* For the device to come back, or for the importer. */
	if (variant->silent)
		ASSERT_TRUE(waits_in(self->pid, "pci_dev_wait"));
	if (variant->holds)
		ASSERT_TRUE(waits_in(self->pid, "vfio_pci_dmabufs_drain"));
}

FIXTURE_TEARDOWN(neighbour)
{
	if (variant->holds) {
		EXPECT_TRUE(waits_in(self->pid, "vfio_pci_dmabufs_drain"));
		importer_recover(self->importer);
		importer_unmap(self->importer);
		close(self->importer);
	}
	/* He dies only when his reset is over. */
	if (self->overlay)
		EXPECT_EQ(0, vfio_overlay_unload(NULL));
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	munmap(self->mem, MIB);
}

TEST_F_TIMEOUT(neighbour, does_not_wait, 240)
{
	int i;

	ASSERT_EQ(0, measure(self, variant->mode, self->busy));
	for (i = 0; i < NR_OPS; i++) {
		TH_LOG("%-16s %7lld us, and %7lld us beside him", op_names[i],
		       (long long)self->idle[i], (long long)self->busy[i]);
		EXPECT_GE(2 * self->idle[i] + NOISE_MS * 1000, self->busy[i]);
	}
	EXPECT_EQ(0, waitpid(self->pid, NULL, WNOHANG));
}

TEST_HARNESS_MAIN
