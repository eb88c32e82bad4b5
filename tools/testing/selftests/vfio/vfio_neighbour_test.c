// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two users who have nothing to do with each other. One of them does his worst: his
 * device is reset again and again, or does not come back from a reset, he is parked in
 * calls by memory that does not come, and maps his BAR for DMA in a loop. How long what
 * the other one does takes then, against the time it takes without him, in the median.
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
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

#define NVME		"1b36:0010"
#define EDU		"1234:11e8"
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
	OPEN, MAP, UNMAP, SET_IRQS, MMAP, CLOSE, UNBIND, BIND, RESCAN, NR_OPS
};

static const char *const op_names[] = {
	"open", "map for DMA", "unmap", "set interrupts", "map a BAR", "close",
	"unbind", "bind", "rescan",
};

FIXTURE(neighbour)
{
	char bdf[VFIO_BDF_LEN];		/* of the other one's device */
	char worst[VFIO_BDF_LEN];
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
};

FIXTURE_VARIANT_ADD(neighbour, resets) { VFIO_TYPE1v2_IOMMU };
FIXTURE_VARIANT_ADD(neighbour, silent) { VFIO_TYPE1v2_IOMMU, .silent = true };
FIXTURE_VARIANT_ADD(neighbour, resets_compat) { VFIO_MODE_COMPAT };
FIXTURE_VARIANT_ADD(neighbour, resets_iommufd) { VFIO_MODE_IOMMUFD };

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

static int does_his_worst(const char *bdf, int mode, int ready)
{
	void *(*const all[])(void *) = {
		resets, sits_in_info, sits_in_write, sits_in_irqs, looks,
		/* With iommufd, these are its own locks. */
		sits_in_map, maps_bar,
	};
	bool type1 = mode == VFIO_TYPE1v2_IOMMU;
	int i, nr = type1 ? ARRAY_SIZE(all) : ARRAY_SIZE(all) - 2;
	pthread_t thread;

	if (vfio_dev_open(&his, bdf, mode) || vfio_cfg_memory(&his, true))
		return 1;
	for (i = 0; i < nr; i++)
		if (pthread_create(&thread, NULL, all[i], NULL))
			return 2;
	if (write(ready, "r", 1) != 1)
		return 3;
	for (;;)
		pause();
}

/* ---- The other one ---- */

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
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

/* Does one of his threads wait in a reset for the device to come back? */
static bool waits_for_device(pid_t pid)
{
	char command[96];

	snprintf(command, sizeof(command),
		 "grep -qs pci_dev_wait /proc/%d/task/*/stack", pid);
	return !system(command);
}

FIXTURE_SETUP(neighbour)
{
	char set[128], byte;
	struct vfio_dev d;

	VFIO_DEV_OPEN_OR_SKIP(&d, EDU, variant->mode);
	memcpy(self->bdf, d.bdf, sizeof(self->bdf));
	vfio_dev_close(&d);
	VFIO_PCI_BIND_OR_SKIP(NVME, self->worst);
	self->mem = vfio_alloc_pages(MIB);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, pipe2(self->ready, O_CLOEXEC));
	ASSERT_EQ(0, measure(self, variant->mode, self->idle));

	self->pid = fork();
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
	if (variant->silent)
		ASSERT_TRUE(waits_for_device(self->pid));
}

FIXTURE_TEARDOWN(neighbour)
{
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
