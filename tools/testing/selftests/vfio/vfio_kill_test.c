// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process is killed in the middle of work, again and again. Whatever it was
 * doing, nothing of it may stay: no pinned page, no mapping, no interrupt, no
 * reference. VFIO_KILL_SEED in the environment repeats the delays of a run.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define ROUNDS 12
#define MAX_DELAY_US 60000
#define DMA_SIZE (4 << 20)

static unsigned int seed;

static __attribute__((constructor)) void choose_seed(void)
{
	const char *given = getenv("VFIO_KILL_SEED");

	seed = given ? strtoul(given, NULL, 0) : (unsigned int)time(NULL);
}

static unsigned int next_random(unsigned int *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8;
}

/* The kinds of work; each runs until it is killed. */

static void work_dma(struct vfio_dev *d)
{
	uint8_t *mem = vfio_alloc_pages(DMA_SIZE);
	unsigned int i;

	for (i = 0;; i++) {
		uint64_t iova = VFIO_IOVA_BASE + (i % 16) * DMA_SIZE;

		vfio_dma_map(d->container, mem, iova, DMA_SIZE);
		if (i % 16 == 15)
			vfio_dma_unmap(d->container, VFIO_IOVA_BASE,
				       16ull * DMA_SIZE);
	}
}

static void work_mmap(struct vfio_dev *d)
{
	uint64_t size = vfio_region_size(d, 0);
	void *p;

	for (;;) {
		if (vfio_region_mmap(d, 0, 0, size, &p) && !VFIO_ZPCI)
			_exit(1);
		vfio_try_touch(p, size, 4096);
		vfio_cfg_command(d, 0, PCI_COMMAND_MEMORY);
		vfio_try_touch(p, size, 4096);
		vfio_cfg_command(d, PCI_COMMAND_MEMORY, 0);
		vfio_try_touch(p, size, 4096);
		if (p)
			munmap(p, size);
	}
}

static void work_irqs(struct vfio_dev *d)
{
	int indexes[] = {
		VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX,
		VFIO_PCI_INTX_IRQ_INDEX,
	};
	int32_t fds[64];
	unsigned int i;
	int n;

	for (i = 0; i < 64; i++)
		fds[i] = vfio_eventfd();
	for (i = 0;; i++) {
		int index = indexes[i % 3];

		n = vfio_irq_count(d, index);
		if (n < 1)
			continue;
		if (n > 64)
			n = 64;
		vfio_irq_eventfds(d, index, 0, n, fds);
		vfio_irq_eventfd(d, VFIO_PCI_REQ_IRQ_INDEX, 0, fds[0]);
		vfio_irq_trigger(d, index, 0, n);
		if (index == VFIO_PCI_INTX_IRQ_INDEX) {
			vfio_irq_set(d, VFIO_IRQ_SET_DATA_EVENTFD |
				     VFIO_IRQ_SET_ACTION_UNMASK, index, 0, 1,
				     &fds[1], sizeof(fds[1]));
			vfio_eventfd_signal(fds[1]);
		}
		if (i & 4)
			vfio_irq_disable(d, index);
	}
}

static void work_reset(struct vfio_dev *d)
{
	void *p;

	vfio_region_mmap(d, 0, 0, 4096, &p);
	for (;;) {
		vfio_ioctl(d->device, VFIO_DEVICE_RESET);
		vfio_try_touch(p, 4096, 4096);
	}
}

static void work_open(struct vfio_dev *d)
{
	void *mem = vfio_alloc_pages(1 << 20);
	int mode = d->mode;

	for (;;) {
		vfio_dev_close(d);
		vfio_dev_open(d, d->bdf, mode);
		vfio_dma_map(d->container, mem, VFIO_IOVA_BASE, 1 << 20);
	}
}

static void work_rw(struct vfio_dev *d)
{
	uint64_t size = vfio_region_size(d, 0);
	void *buf;

	if (size > 1 << 16)
		size = 1 << 16;
	buf = malloc(size);
	for (;;) {
		vfio_region_read(d, 0, 0, buf, size);
		vfio_region_read(d, VFIO_PCI_CONFIG_REGION_INDEX, 0, buf, 256);
	}
}

static void *thread_dma(void *d)
{
	work_dma(d);
	return NULL;
}

static void *thread_irqs(void *d)
{
	work_irqs(d);
	return NULL;
}

static void *thread_rw(void *d)
{
	work_rw(d);
	return NULL;
}

/* All at once on one device, where only one may handle signals. */
static void work_threads(struct vfio_dev *d)
{
	void *(*const fns[])(void *) = { thread_dma, thread_irqs, thread_rw };
	pthread_t t;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fns); i++)
		pthread_create(&t, NULL, fns[i], d);
	work_mmap(d);
}

FIXTURE(kill)
{
	struct vfio_counters before;
	char bdf[VFIO_BDF_LEN];
	int klog;
};

FIXTURE_VARIANT(kill)
{
	const char *id;
	void (*work)(struct vfio_dev *d);
	int mode;
};

FIXTURE_VARIANT_ADD(kill, nvme_dma)
{
	.id = VFIO_NVME,
	.work = work_dma,
};

FIXTURE_VARIANT_ADD(kill, nvme_mmap)
{
	.id = VFIO_NVME,
	.work = work_mmap,
};

FIXTURE_VARIANT_ADD(kill, nvme_irqs)
{
	.id = VFIO_NVME,
	.work = work_irqs,
};

FIXTURE_VARIANT_ADD(kill, nvme_reset)
{
	.id = VFIO_NVME,
	.work = work_reset,
};

FIXTURE_VARIANT_ADD(kill, nvme_open)
{
	.id = VFIO_NVME,
	.work = work_open,
};

FIXTURE_VARIANT_ADD(kill, nvme_rw)
{
	.id = VFIO_NVME,
	.work = work_rw,
};

FIXTURE_VARIANT_ADD(kill, nvme_threads)
{
	.id = VFIO_NVME,
	.work = work_threads,
};

FIXTURE_VARIANT_ADD(kill, edu_mmap)
{
	.id = VFIO_EDU,
	.work = work_mmap,
};

FIXTURE_VARIANT_ADD(kill, edu_irqs)
{
	.id = VFIO_EDU,
	.work = work_irqs,
};

FIXTURE_VARIANT_ADD(kill, edu_open)
{
	.id = VFIO_EDU,
	.work = work_open,
};

FIXTURE_VARIANT_ADD(kill, edu_threads)
{
	.id = VFIO_EDU,
	.work = work_threads,
};

FIXTURE_VARIANT_ADD(kill, e1000_irqs)
{
	.id = VFIO_E1000,
	.work = work_irqs,
};

FIXTURE_VARIANT_ADD(kill, e1000_mmap)
{
	.id = VFIO_E1000,
	.work = work_mmap,
};

FIXTURE_VARIANT_ADD(kill, e1000e_threads)
{
	.id = VFIO_E1000E,
	.work = work_threads,
};

VFIO_OTHER_MODES(kill, nvme_dma, .id = VFIO_NVME, .work = work_dma);
VFIO_OTHER_MODES(kill, nvme_open, .id = VFIO_NVME, .work = work_open);
VFIO_OTHER_MODES(kill, nvme_threads, .id = VFIO_NVME, .work = work_threads);

FIXTURE_SETUP(kill)
{
	struct vfio_dev d;

	VFIO_DEV_OPEN_OR_SKIP(&d, variant->id, variant->mode);
	memcpy(self->bdf, d.bdf, sizeof(self->bdf));
	vfio_dev_close(&d);
	vfio_counters_read(&self->before);
	ASSERT_EQ(0, self->before.interrupts);
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
}

FIXTURE_TEARDOWN(kill)
{
	close(self->klog);
}

static pid_t start(const char *bdf, int mode,
		   void (*work)(struct vfio_dev *d), int ready)
{
	struct vfio_dev d;
	pid_t pid;

	pid = fork();
	if (pid)
		return pid;
	if (vfio_dev_open(&d, bdf, mode))
		_exit(1);
	if (write(ready, "r", 1) != 1)
		_exit(1);
	work(&d);
	_exit(1);
}

TEST_F_TIMEOUT(kill, nothing_stays, 120)
{
	unsigned int state = seed;
	struct vfio_counters now;
	struct vfio_dev d;
	int ready[2];
	int status, i;
	char byte;
	pid_t pid;

	TH_LOG("seed %#x", seed);
	ASSERT_EQ(0, pipe(ready));
	for (i = 0; i < ROUNDS; i++) {
		pid = start(self->bdf, variant->mode, variant->work,
			    ready[1]);
		ASSERT_LE(0, pid);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		usleep(next_random(&state) % MAX_DELAY_US);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));

		/* The device is free as soon as the process is gone. */
		ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, variant->mode)) {
			TH_LOG("round %d", i);
		}
		ASSERT_NE(~0u, vfio_cfg_read32(&d, 0));
		vfio_dev_close(&d);
	}
	if (!vfio_counters_settled(&self->before, &now)) {
		vfio_counters_print(&self->before, &now);
		ASSERT_TRUE(false);
	}
	ASSERT_EQ(0, vfio_klog_splats(self->klog));
}

/*
 * The container is the parent's, and only a mapping in it was made by the
 * process that died: pages and accounting go with the unmap, not before.
 */
FIXTURE(orphan)
{
	struct vfio_counters before;
	struct vfio_dev d;
};

FIXTURE_SETUP(orphan)
{
	char bdf[VFIO_BDF_LEN];

	VFIO_PCI_BIND_OR_SKIP(VFIO_NVME, bdf);
	vfio_counters_read(&self->before);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, VFIO_TYPE1v2_IOMMU);
}

FIXTURE_TEARDOWN(orphan)
{
	vfio_dev_close(&self->d);
}

TEST_F(orphan, mapping_of_a_dead_process)
{
	struct vfio_counters now;
	int64_t locked = vfio_proc_status_kb(getpid(), "VmLck");
	int status, ready[2];
	uint64_t unmapped;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		void *mem = vfio_alloc_pages(DMA_SIZE);

		if (vfio_dma_map(self->d.container, mem, VFIO_IOVA_BASE,
				 DMA_SIZE) ||
		    write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(DMA_SIZE / 1024, vfio_proc_status_kb(pid, "VmLck"));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));

	ASSERT_LE(self->before.pinned + DMA_SIZE / VFIO_PAGE, vfio_pinned_pages());
	ASSERT_EQ(0, vfio_dma_unmap_flags(self->d.container, VFIO_IOVA_BASE,
					  DMA_SIZE, 0, &unmapped));
	ASSERT_EQ(DMA_SIZE, unmapped);
	ASSERT_EQ(locked, vfio_proc_status_kb(getpid(), "VmLck"));
	vfio_dev_close(&self->d);
	ASSERT_TRUE(vfio_counters_settled(&self->before, &now));
}

TEST_F(orphan, locked_memory_is_counted)
{
	int64_t locked = vfio_proc_status_kb(getpid(), "VmLck");
	void *mem = vfio_alloc_pages(DMA_SIZE);

	ASSERT_EQ(0, vfio_dma_map(self->d.container, mem, VFIO_IOVA_BASE,
				  DMA_SIZE));
	ASSERT_EQ(locked + DMA_SIZE / 1024,
		  vfio_proc_status_kb(getpid(), "VmLck"));
	/* The container takes its mappings along. */
	vfio_dev_close(&self->d);
	ASSERT_EQ(locked, vfio_proc_status_kb(getpid(), "VmLck"));
}

/* After all that, the modules can go and come back. */
TEST_F_TIMEOUT(orphan, modules_reload, 60)
{
	static const char *const devices[] = {
		VFIO_NVME, VFIO_EDU, VFIO_E1000, VFIO_E1000E, VFIO_E1000E "#1",
		VFIO_TESTDEV, VFIO_RTL8139, VFIO_IVSHMEM,
	};
	const char *const rmmod[] = { "rmmod", "mtty", NULL };
	char bdf[VFIO_BDF_LEN];
	size_t i;

	vfio_dev_close(&self->d);
	/* Another test may have brought these. */
	if (vfio_module_refs("mtty") >= 0)
		ASSERT_EQ(0, vfio_run(rmmod));
	if (vfio_module_refs("mdev") >= 0)
		ASSERT_EQ(0, vfio_module_remove("mdev"));
	if (vfio_module_refs("vfio") < 0)
		SKIP(return, "VFIO is no module here");
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		if (vfio_pci_resolve(devices[i], bdf) ||
		    !vfio_pci_is_bound(bdf, "vfio-pci"))
			continue;
		ASSERT_EQ(0, vfio_pci_unbind(bdf));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vfio_module_remove("vfio_pci"));
		ASSERT_EQ(0, vfio_module_remove("vfio_iommu_type1"));
		/* Nothing else holds it, so it went with the others. */
		vfio_module_remove("vfio");
		ASSERT_EQ(-ENOENT, vfio_module_refs("vfio_pci_core"));
		ASSERT_EQ(-ENOENT, vfio_module_refs("vfio_iommu_type1"));
		ASSERT_EQ(-ENOENT, vfio_module_refs("vfio"));
		ASSERT_EQ(-1, access("/dev/vfio/vfio", F_OK));
		ASSERT_EQ(0, vfio_modprobe("vfio_iommu_type1"));
		ASSERT_EQ(0, vfio_dev_open(&self->d, VFIO_NVME,
					   VFIO_TYPE1_IOMMU));
		ASSERT_NE(~0u, vfio_cfg_read32(&self->d, 0));
		vfio_dev_close(&self->d);
		ASSERT_EQ(0, vfio_pci_resolve(VFIO_NVME, bdf));
		ASSERT_EQ(0, vfio_pci_unbind(bdf));
	}
}

TEST_HARNESS_MAIN
