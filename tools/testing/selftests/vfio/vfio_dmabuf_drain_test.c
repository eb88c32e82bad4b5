// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who waits for importers that do not let go of device memory, and how long: not
 * for what a user makes up, not beyond a signal that kills, and not where the
 * system has to go on. What is left to such an importer then is no access.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define VFIO_VIRTIO_NET	"1af4:1041"
#define PAGE		4096ULL
#define PATTERN		0x5aa51234
#define SECRET		0x0ddba115
#define SOON_MS		3000	/* nobody was waited for */
#define LATE_MS		30000	/* somebody was, for a while */

#define SLEEP_MODULE	"test_vfio_pci_sleep"
#define SLEEP_PARAMETER	"/sys/module/" SLEEP_MODULE "/parameters/"

/* How an importer does not let go: as it likes, or as it cannot. */
FIXTURE(drain)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	int dmabuf, importer;
	int klog;
};

FIXTURE_VARIANT(drain)
{
	uint32_t on_notify;
};

FIXTURE_VARIANT_ADD(drain, never) { .on_notify = TEST_DMABUF_NEVER };
FIXTURE_VARIANT_ADD(drain, stuck) { .on_notify = TEST_DMABUF_STUCK };

static int write_word(struct vfio_dev *d, uint32_t value)
{
	return vfio_region_write(d, VFIO_PCI_BAR2_REGION_INDEX, 0, &value, 4);
}

static uint32_t read_word(struct vfio_dev *d)
{
	uint32_t value = 0;

	vfio_region_read(d, VFIO_PCI_BAR2_REGION_INDEX, 0, &value, 4);
	return value;
}

static int export(struct vfio_dev *d)
{
	return vfio_dmabuf_export(d, VFIO_PCI_BAR2_REGION_INDEX, 0, 16 * PAGE);
}

FIXTURE_SETUP(drain)
{
	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, write_word(&self->d, PATTERN));
	self->dmabuf = export(&self->d);
	ASSERT_LE(0, self->dmabuf);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(drain)
{
	close(self->importer);
	close(self->dmabuf);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

#define ATTACH_AND_MAP(self) do {					\
	ASSERT_EQ(0, importer_attach((self)->importer, (self)->dmabuf, 0, \
				     variant->on_notify, 0));		\
	ASSERT_EQ(0, importer_map((self)->importer));			\
} while (0)

#define EXPECT_SEES(importer, value) do {				\
	uint32_t __there = 0;						\
									\
	EXPECT_EQ(0, importer_read(importer, 0, &__there, 4));		\
	EXPECT_EQ(value, __there);					\
} while (0)

/* Whatever its device reads, it is not this. */
#define EXPECT_DOES_NOT_SEE(importer, value) do {			\
	uint32_t __there = 0;						\
									\
	importer_read(importer, 0, &__there, 4);			\
	EXPECT_NE(value, __there);					\
} while (0)

#define EXPECT_WITHIN(ms, what) do {					\
	uint64_t __began = vfio_now_ms();				\
									\
	ASSERT_EQ(0, what);						\
	EXPECT_GT(ms, vfio_now_ms() - __began);				\
} while (0)

/* It comes to its senses: lets go, and can start anew. */
#define RECOVER(self) do {						\
	ASSERT_EQ(0, importer_recover((self)->importer));		\
	ASSERT_EQ(0, importer_unmap((self)->importer));			\
} while (0)

/* A process that takes the memory away and would bring it back. */
static pid_t start_closing(FIXTURE_DATA(drain) *self)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	vfio_cfg_memory(&self->d, false);
	vfio_cfg_memory(&self->d, true);
	_exit(0);
}

/* The user who waits can be killed, and then nothing has happened. */
TEST_F(drain, closer_killed)
{
	int status;
	pid_t pid;

	ATTACH_AND_MAP(self);
	pid = start_closing(self);
	ASSERT_LE(0, pid);
	usleep(500000);
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_WITHIN(SOON_MS, waitpid(pid, &status, 0) == pid ? 0 : -1);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(PATTERN, read_word(&self->d));
	EXPECT_EQ(PCI_COMMAND_MEMORY, vfio_cfg_read16(&self->d, PCI_COMMAND) &
				      PCI_COMMAND_MEMORY);
	RECOVER(self);
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_SEES(self->importer, PATTERN);
	RECOVER(self);
	EXPECT_WITHIN(SOON_MS, vfio_cfg_memory(&self->d, false));
}

/* Until the importer has let go, the memory is there for everybody else. */
TEST_F(drain, others_go_on)
{
	int late = export(&self->d), importer = importer_open(self->edu);
	uint64_t size = vfio_region_size(&self->d, VFIO_PCI_BAR2_REGION_INDEX);
	uint32_t *bar;
	pid_t pid;

	ASSERT_LE(0, late);
	ASSERT_LE(0, importer);
	ATTACH_AND_MAP(self);
	pid = start_closing(self);
	ASSERT_LE(0, pid);
	usleep(500000);
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));
	EXPECT_EQ(4, write_word(&self->d, SECRET));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, VFIO_PCI_BAR2_REGION_INDEX, 0,
				      size, (void **)&bar));
	EXPECT_EQ(SECRET, *bar);
	/* Nothing is mapped anew. */
	ASSERT_EQ(0, importer_attach(importer, late, 0, TEST_DMABUF_AT_ONCE,
				     0));
	EXPECT_EQ(-ENODEV, importer_map(importer));
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));
	RECOVER(self);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(0, importer_map(importer));
	EXPECT_EQ(SECRET, *bar);
	munmap(bar, size);
	close(importer);
	close(late);
}

#define MANY	600		/* more jobs than a workqueue of the kernel's does at once */

/*
 * However many importers are stuck: the kernel's workers, and those of other devices,
 * are not. One of these takes a page of ones from a mapping, once it was written to.
 */
TEST_F_TIMEOUT(drain, many_are_stuck, 120)
{
	const struct rlimit limit = { 4 * MANY, 4 * MANY };
	int *importers, dmabuf, i;
	struct vfio_dev other;
	char knob[128];
	void *map;
	pid_t pid;

	if (variant->on_notify != TEST_DMABUF_STUCK)
		SKIP(return, "none of them is");
	VFIO_PCI_BIND_OR_SKIP(VFIO_NVME, other.bdf);
	ASSERT_EQ(0, vfio_dev_attr(other.bdf, "absent_memory", knob, sizeof(knob)));
	ASSERT_EQ(0, vfio_sysfs_write(knob, "ones"));
	ASSERT_EQ(0, vfio_dev_open(&other, VFIO_NVME, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_cfg_memory(&other, true));
	ASSERT_EQ(0, vfio_region_mmap(&other, 0, 0, PAGE, &map));

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	importers = calloc(MANY, sizeof(*importers));
	ASSERT_NE(NULL, importers);
	for (i = 0; i < MANY; i++) {
		dmabuf = vfio_dmabuf_export(&self->d, VFIO_PCI_BAR2_REGION_INDEX,
					    i * PAGE, PAGE);
		ASSERT_LE(0, dmabuf);
		importers[i] = importer_open(self->edu);
		ASSERT_LE(0, importers[i]);
		ASSERT_EQ(0, importer_attach(importers[i], dmabuf, 0,
					     variant->on_notify, 0));
		ASSERT_EQ(0, importer_map(importers[i]));
		close(dmabuf);
	}
	pid = start_closing(self);
	ASSERT_LE(0, pid);
	sleep(1);
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));

	ASSERT_EQ(0, vfio_cfg_memory(&other, false));
	ASSERT_EQ(0, vfio_try_store32(map, 0));
	EXPECT_EQ(0, vfio_reads_ones(map, SOON_MS));

	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(0, importer_recover(importers[i]));
		EXPECT_EQ(0, importer_unmap(importers[i]));
		close(importers[i]);
	}
	EXPECT_WITHIN(SOON_MS, waitpid(pid, NULL, 0) == pid ? 0 : -1);
	free(importers);
	munmap(map, PAGE);
	vfio_dev_close(&other);
	EXPECT_EQ(0, vfio_sysfs_write(knob, "sigbus"));
}

/* Two wait, and one gives up. */
TEST_F(drain, one_of_two_killed)
{
	pid_t pids[2];
	int i;

	ATTACH_AND_MAP(self);
	for (i = 0; i < 2; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i])
			_exit(vfio_cfg_memory(&self->d, false) ? 1 : 0);
	}
	usleep(500000);
	ASSERT_EQ(0, kill(pids[0], SIGKILL));
	ASSERT_EQ(pids[0], waitpid(pids[0], NULL, 0));
	ASSERT_EQ(0, waitpid(pids[1], NULL, WNOHANG));
	ASSERT_EQ(0, importer_recover(self->importer));
	ASSERT_EQ(0, importer_unmap(self->importer));
	EXPECT_NE(0, importer_map(self->importer));
	ASSERT_EQ(pids[1], waitpid(pids[1], NULL, 0));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, importer_map(self->importer));
}

/* The next user's data is not the importer's. */
TEST_F_TIMEOUT(drain, last_close, 90)
{
	ATTACH_AND_MAP(self);
	EXPECT_WITHIN(LATE_MS, close(self->d.device));
	self->d.device = vfio_get_device_fd(self->d.group, self->d.bdf);
	ASSERT_LE(0, self->d.device);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, write_word(&self->d, SECRET));
	ASSERT_EQ(0, importer_recover(self->importer));
	EXPECT_DOES_NOT_SEE(self->importer, SECRET);
	EXPECT_EQ(1, vfio_klog_count(self->klog, "was taken"));

	/* What it had is given back in order, and is of no use any more. */
	ASSERT_EQ(0, importer_unmap(self->importer));
	EXPECT_EQ(-ENODEV, importer_map(self->importer));
	ASSERT_EQ(0, importer_detach(self->importer));
	close(self->dmabuf);
	self->dmabuf = export(&self->d);
	ASSERT_LE(0, self->dmabuf);
	ATTACH_AND_MAP(self);
	EXPECT_SEES(self->importer, SECRET);
	ASSERT_EQ(0, importer_detach(self->importer));
}

/* Device, dma-buf and a call that waits, with one signal. */
TEST_F_TIMEOUT(drain, killed_with_everything, 90)
{
	pid_t pid;

	ATTACH_AND_MAP(self);
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, importer_recover(self->importer));
	ASSERT_EQ(0, importer_detach(self->importer));
	close(self->dmabuf);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (vfio_dev_open(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU) ||
		    vfio_cfg_memory(&self->d, true))
			_exit(1);
		self->dmabuf = export(&self->d);
		if (self->dmabuf < 0 ||
		    importer_attach(self->importer, self->dmabuf, 0,
				    variant->on_notify, 0) ||
		    importer_map(self->importer))
			_exit(1);
		vfio_cfg_memory(&self->d, false);
		_exit(2);
	}
	sleep(1);
	ASSERT_EQ(0, waitpid(pid, NULL, WNOHANG));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_WITHIN(LATE_MS, waitpid(pid, NULL, 0) == pid ? 0 : -1);
	ASSERT_EQ(0, vfio_dev_open(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, importer_recover(self->importer));
	ASSERT_EQ(0, importer_detach(self->importer));
	self->dmabuf = -1;
}

/* Its driver's recovery may need what the removal holds. */
TEST_F_TIMEOUT(drain, removed, 120)
{
	static const char *const ways[] = { "driver/unbind", "remove" };
	char bdf[VFIO_BDF_LEN];
	pid_t remover;
	int i, request;

	memcpy(bdf, self->d.bdf, sizeof(bdf));
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		ATTACH_AND_MAP(self);
		request = vfio_eventfd();
		ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_REQ_IRQ_INDEX,
					      0, request));
		remover = vfio_remover_start(bdf, ways[i]);
		ASSERT_LT(0, remover);
		/* It comes to asking the user, who has it until he lets go. */
		ASSERT_EQ(0, vfio_eventfd_wait(request, SOON_MS, NULL));
		EXPECT_EQ(PATTERN, read_word(&self->d));
		vfio_dev_close(&self->d);
		EXPECT_EQ(0, vfio_remover_wait(remover, 8000));
		close(request);

		RECOVER(self);
		ASSERT_EQ(0, importer_detach(self->importer));
		ASSERT_EQ(0, vfio_pci_rescan());
		ASSERT_EQ(0, vfio_dev_open(&self->d, VFIO_IVSHMEM,
					   VFIO_TYPE1v2_IOMMU));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		ASSERT_EQ(4, write_word(&self->d, PATTERN));
		close(self->dmabuf);
		self->dmabuf = export(&self->d);
		ASSERT_LE(0, self->dmabuf);
	}
}

/* The importer's own suspension may come after ours. */
TEST_F_TIMEOUT(drain, suspended, 90)
{
	if (vfio_modprobe(SLEEP_MODULE))
		SKIP(return, "no module %s", SLEEP_MODULE);

	ATTACH_AND_MAP(self);
	EXPECT_WITHIN(8000, vfio_sysfs_write(SLEEP_PARAMETER "suspend",
					     self->d.bdf));
	ASSERT_EQ(0, importer_recover(self->importer));
	EXPECT_DOES_NOT_SEE(self->importer, PATTERN);
	EXPECT_WITHIN(SOON_MS, vfio_sysfs_write(SLEEP_PARAMETER "resume",
						self->d.bdf));
	/* For good: it has to map again. */
	EXPECT_DOES_NOT_SEE(self->importer, PATTERN);
	ASSERT_EQ(0, importer_unmap(self->importer));
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_SEES(self->importer, PATTERN);
}

/* It holds a lock that others want, so it is refused some time. */
TEST_F_TIMEOUT(drain, hot_reset, 90)
{
	uint64_t began;
	struct vfio_dev d;
	int dmabuf;

	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_NVME, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	dmabuf = vfio_dmabuf_export(&d, VFIO_PCI_BAR0_REGION_INDEX, 0, PAGE);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, importer_attach(self->importer, dmabuf, 0,
				     variant->on_notify, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	began = vfio_now_ms();
	EXPECT_EQ(-EBUSY, vfio_hot_reset(d.device, &d.group, 1));
	EXPECT_GT(LATE_MS, vfio_now_ms() - began);
	EXPECT_EQ(PCI_COMMAND_MEMORY, vfio_cfg_read16(&d, PCI_COMMAND) &
				      PCI_COMMAND_MEMORY);
	RECOVER(self);
	EXPECT_EQ(0, importer_map(self->importer));
	RECOVER(self);
	EXPECT_EQ(0, vfio_hot_reset(d.device, &d.group, 1));
	ASSERT_EQ(0, importer_detach(self->importer));
	close(dmabuf);
	vfio_dev_close(&d);
}

/* What is frozen needs no waiting. */
TEST_F_TIMEOUT(drain, error, 120)
{
	uint64_t end = vfio_now_ms() + LATE_MS;
	char id[32];
	int dmabuf, cmd = 0;
	struct vfio_dev d;

	if (!vfio_monitor_is_there())
		SKIP(return, "no monitor");
	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_VIRTIO_NET, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	dmabuf = vfio_dmabuf_export(&d, VFIO_PCI_BAR4_REGION_INDEX, 0,
				    PAGE);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, importer_attach(self->importer, dmabuf, 0,
				     variant->on_notify, 0));
	ASSERT_EQ(0, importer_map(self->importer));

	ASSERT_EQ(0, vfio_monitor_id(d.bdf, id, sizeof(id)));
	ASSERT_EQ(0, vfio_monitor_fatal_error(id));
	/* Only a reset of the device switches its memory off. */
	while (!cmd && vfio_now_ms() < end) {
		usleep(100000);
		cmd = !(vfio_cfg_read16(&d, PCI_COMMAND) & PCI_COMMAND_MEMORY);
	}
	EXPECT_GT(end, vfio_now_ms());
	RECOVER(self);
	do {
		usleep(100000);
		vfio_cfg_memory(&d, true);
	} while (importer_map(self->importer) && vfio_now_ms() < end);
	EXPECT_GT(end, vfio_now_ms());
	ASSERT_EQ(0, importer_detach(self->importer));
	close(dmabuf);
	vfio_dev_close(&d);
}

/* ---- What a user makes up ---- */

FIXTURE(fence)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	int dmabuf, importer, fence;
	int klog;
};

FIXTURE_SETUP(fence)
{
	IMPORTER_BIND_OR_SKIP(self->edu, 0);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, write_word(&self->d, PATTERN));
	self->dmabuf = export(&self->d);
	ASSERT_LE(0, self->dmabuf);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->fence = importer_sync_file(self->importer);
	ASSERT_LE(0, self->fence);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(fence)
{
	close(self->fence);
	close(self->importer);
	close(self->dmabuf);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

TEST_F(fence, of_a_user)
{
	int more[8], i;

	for (i = 0; i < 8; i++) {
		more[i] = export(&self->d);
		ASSERT_LE(0, more[i]);
		ASSERT_EQ(0, vfio_dmabuf_import_fence(more[i], self->fence,
						      i & 1));
	}
	ASSERT_EQ(0, vfio_dmabuf_import_fence(self->dmabuf, self->fence, true));
	EXPECT_WITHIN(SOON_MS, vfio_cfg_memory(&self->d, false));
	EXPECT_WITHIN(SOON_MS, vfio_cfg_memory(&self->d, true));
	EXPECT_WITHIN(SOON_MS, close(self->d.device));
	for (i = 0; i < 8; i++)
		close(more[i]);
	self->d.device = -1;
}

/* Nor does it matter to an importer that lets go. */
TEST_F(fence, of_a_user_with_an_importer)
{
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0,
				     TEST_DMABUF_AT_ONCE, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	ASSERT_EQ(0, vfio_dmabuf_import_fence(self->dmabuf, self->fence, true));
	ASSERT_EQ(0, vfio_dmabuf_import_fence(self->dmabuf, self->fence,
					      false));
	EXPECT_WITHIN(SOON_MS, vfio_cfg_memory(&self->d, false));
	EXPECT_EQ(-ENODEV, importer_map(self->importer));
	EXPECT_WITHIN(SOON_MS, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, importer_map(self->importer));
	EXPECT_SEES(self->importer, PATTERN);
}

TEST_HARNESS_MAIN
