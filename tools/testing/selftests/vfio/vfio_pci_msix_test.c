// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI-X: the interrupts of e1000e, and those of NVMe, which has many, by
 * loopback. And the error eventfd, which takes a PCIe device.
 */
#include <dirent.h>
#include <stdio.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "vfio_pci_e1000e.h"
#include "vfio_gate.h"
#include "vfio_pci_overlay.h"

FIXTURE(e1000e) {
	struct vfio_dev d;
	int32_t efd[E1000E_VECTORS];
};

#define VFIO_FIXTURE e1000e
#include "vfio_each_mode.h"

FIXTURE_SETUP(e1000e)
{
	int i;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, E1000E, variant->mode);
	ASSERT_EQ(0, e1000e_route(&self->d));
	for (i = 0; i < E1000E_VECTORS; i++) {
		self->efd[i] = vfio_eventfd();
		ASSERT_LE(0, self->efd[i]);
	}
}

FIXTURE_TEARDOWN(e1000e)
{
	int i;

	e1000e_settle();
	vfio_dev_close(&self->d);
	for (i = 0; i < E1000E_VECTORS; i++)
		close(self->efd[i]);
}

TEST_F(e1000e, each_vector)
{
	int i, j;

	ASSERT_EQ(E1000E_VECTORS, vfio_irq_count(&self->d, MSIX));
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, E1000E_VECTORS,
				       self->efd));
	for (i = 0; i < E1000E_VECTORS; i++) {
		ASSERT_EQ(0, e1000e_raise(&self->d, i));
		EXPECT_EVENT(self->efd[i]) {
			TH_LOG("vector %d", i);
		}
		/* The device may send the same one again. */
		e1000e_settle();
		vfio_eventfd_drain(self->efd[i]);
		for (j = 0; j < E1000E_VECTORS; j++) {
			EXPECT_EQ(0, vfio_eventfd_drain(self->efd[j])) {
				TH_LOG("vector %d for %d", j, i);
			}
		}
	}
}

TEST_F(e1000e, disarm_and_rearm)
{
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 3, self->efd));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 1, -1));
	ASSERT_EQ(0, e1000e_raise(&self->d, 1));
	EXPECT_SILENT(self->efd[1]);
	ASSERT_EQ(0, e1000e_raise(&self->d, 0));
	EXPECT_EVENT(self->efd[0]);
	ASSERT_EQ(0, e1000e_raise(&self->d, 2));
	EXPECT_EVENT(self->efd[2]);

	/* The table entry was masked: what came meanwhile is pending there. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 1, self->efd[1]));
	EXPECT_EVENT(self->efd[1]);
	ASSERT_EQ(0, e1000e_raise(&self->d, 1));
	EXPECT_EVENT(self->efd[1]);
}

/* The MSI-X table is programmed though the user has switched memory off. */
TEST_F(e1000e, memory_off)
{
	uint32_t value;

	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 2, self->efd));
	EXPECT_FALSE(vfio_cfg_read16(&self->d, PCI_COMMAND) &
		     PCI_COMMAND_MEMORY);
	EXPECT_EQ(-EIO, vfio_region_read(&self->d, 0, 0, &value, 4));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, e1000e_raise(&self->d, 1));
	EXPECT_EVENT(self->efd[1]);

	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[4]));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 1, -1));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, e1000e_raise(&self->d, 0));
	EXPECT_EVENT(self->efd[4]);
	e1000e_settle();
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));
	EXPECT_FALSE(vfio_cfg_read16(&self->d, PCI_COMMAND) &
		     PCI_COMMAND_MEMORY);
}

TEST_F(e1000e, reset)
{
	int i;

	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, E1000E_VECTORS,
				       self->efd));
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
	ASSERT_EQ(0, e1000e_route(&self->d));
	for (i = 0; i < E1000E_VECTORS; i++) {
		ASSERT_EQ(0, e1000e_raise(&self->d, i));
		EXPECT_EVENT(self->efd[i]);
	}
}

struct churn {
	const struct vfio_dev *d;
	int fds[2];
	atomic_bool stop;
	int error;
};

/* Swap the eventfds of a vector that keeps firing: each event goes to one. */
static void *churn_msix(void *arg)
{
	struct churn *c = arg;
	unsigned int i;
	int ret;

	for (i = 0; !c->stop; i++) {
		ret = vfio_irq_eventfd(c->d, MSIX, 0, c->fds[i & 1]);
		if (ret)
			c->error = ret;
	}
	return NULL;
}

TEST_F(e1000e, swap_live)
{
	struct churn c = {
		.d = &self->d,
		.fds = { self->efd[0], self->efd[1] },
	};
	struct pollfd pfd[2] = {
		{ .fd = self->efd[0], .events = POLLIN },
		{ .fd = self->efd[1], .events = POLLIN },
	};
	uint64_t end = vfio_now_ms() + 1500;
	pthread_t thread;
	int lost = 0;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_msix, &c));
	while (vfio_now_ms() < end && !lost) {
		e1000e_raise(&self->d, 0);
		if (poll(pfd, 2, SOON_MS) <= 0)
			lost++;
		vfio_eventfd_drain(self->efd[0]);
		vfio_eventfd_drain(self->efd[1]);
	}
	c.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.error);
	EXPECT_EQ(0, lost);
}

TEST_F(e1000e, error_eventfd)
{
	const uint8_t yes = 1;

	ASSERT_EQ(1, vfio_irq_count(&self->d, ERR));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, ERR, 0, 1));
	EXPECT_EQ(-EINVAL, vfio_irq_disable(&self->d, ERR));
	EXPECT_EQ(-ENOTTY, vfio_irq_mask(&self->d, ERR, 0, 1));
	EXPECT_EQ(-EBADF, vfio_irq_eventfd(&self->d, ERR, 0, CLOSED_FD));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, ERR, 0, self->efd[0]));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, ERR, 0, 1));
	EXPECT_EVENT(self->efd[0]);
	ASSERT_EQ(0, set_bools(&self->d, TRIGGER, ERR, 0, 1, &yes));
	EXPECT_EVENT(self->efd[0]);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, ERR, 0, -1));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, ERR, 0, 1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, ERR, 0, self->efd[0]));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, ERR));
}

/* nvme: a large MSI-X table, by loopback */

#define NVME_FDS	16

FIXTURE(nvme) {
	struct vfio_dev d;
	int total;
	bool grows;
	int32_t efd[NVME_FDS];
};

FIXTURE_SETUP(nvme)
{
	struct vfio_irq_info info;
	int i;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, NVME, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_irq_info(&self->d, MSIX, &info));
	self->total = info.count;
	self->grows = !(info.flags & VFIO_IRQ_INFO_NORESIZE);
	ASSERT_LE(NVME_FDS, self->total);
	for (i = 0; i < NVME_FDS; i++) {
		self->efd[i] = vfio_eventfd();
		ASSERT_LE(0, self->efd[i]);
	}
}

FIXTURE_TEARDOWN(nvme)
{
	int i;

	vfio_dev_close(&self->d);
	for (i = 0; i < NVME_FDS; i++)
		close(self->efd[i]);
}

TEST_F(nvme, ranges)
{
	int32_t fds[4] = { self->efd[0], -1, self->efd[2], self->efd[3] };
	const uint8_t bools[4] = { 1, 1, 0, 7 };
	int i;

	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 4, fds));
	EXPECT_EQ(1, has_line(&self->d, "vfio-msix[0]"));
	EXPECT_EQ(0, has_line(&self->d, "vfio-msix[1]"));
	EXPECT_EQ(1, has_line(&self->d, "vfio-msix[3]"));

	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 4));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(i != 1, vfio_eventfd_drain(self->efd[i]));

	ASSERT_EQ(0, set_bools(&self->d, TRIGGER, MSIX, 0, 4, bools));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(i == 0 || i == 3, vfio_eventfd_drain(self->efd[i]));

	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 2, 1));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(i == 2, vfio_eventfd_drain(self->efd[i]));

	/* A hole is filled; the rest does not notice. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 1, self->efd[1]));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 4));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(1, vfio_eventfd_drain(self->efd[i]));

	/* Replace, keep and disarm in one call. */
	fds[0] = self->efd[8];
	fds[1] = -1;
	fds[2] = self->efd[2];
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 3, fds));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 4));
	EXPECT_EQ(0, vfio_eventfd_drain(self->efd[0]));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[8]));
	EXPECT_EQ(0, vfio_eventfd_drain(self->efd[1]));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[2]));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[3]));

	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));
	EXPECT_EQ(0, vfio_interrupt_lines(self->d.bdf));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, MSIX, 0, 4));
}

TEST_F(nvme, shared_eventfd)
{
	int32_t fds[4];
	int i;

	for (i = 0; i < 4; i++)
		fds[i] = self->efd[0];
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 4, fds));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 4));
	EXPECT_EQ(4, vfio_eventfd_drain(self->efd[0]));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 1, -1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 2, self->efd[2]));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 4));
	EXPECT_EQ(2, vfio_eventfd_drain(self->efd[0]));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[2]));
}

static unsigned int msix_cap(const struct vfio_dev *d)
{
	unsigned int pos = vfio_cfg_read16(d, PCI_CAPABILITY_LIST) & 0xff;

	while (pos && (vfio_cfg_read16(d, pos) & 0xff) != PCI_CAP_ID_MSIX)
		pos = vfio_cfg_read16(d, pos) >> 8;
	return pos;
}

/*
 * A table that has shrunk since it was set up: what was armed is disarmed all the same.
 * KVM's bypass would find a vector that is left when the same eventfd is armed again.
 */
TEST_F(nvme, table_shrinks)
{
	unsigned int pos = msix_cap(&self->d), control;
	int log = vfio_klog_open();
	char set[64];

	ASSERT_NE(0, pos);
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 8, self->efd));
	control = (vfio_cfg_read16(&self->d, pos + PCI_MSIX_FLAGS) |
		   PCI_MSIX_FLAGS_ENABLE) & ~PCI_MSIX_FLAGS_QSIZE;
	snprintf(set, sizeof(set), "set=%s+%x=%x", self->d.bdf, pos,
		 control << 16 | vfio_cfg_read16(&self->d, pos));
	if (vfio_overlay_load(set, NULL))
		SKIP(return, "test_pci_overlay.ko is not here");
	EXPECT_EQ(0, vfio_irq_disable(&self->d, MSIX));
	EXPECT_EQ(0, vfio_interrupt_lines(self->d.bdf));
	ASSERT_EQ(0, vfio_overlay_unload(NULL));

	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_dev_open(&self->d, NVME, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 8, self->efd));
	EXPECT_EQ(0, vfio_klog_count(log, "interrupt bypass unavailable"));
	close(log);
}

/* Vectors beyond those that the first call reached. */
TEST_F(nvme, grow)
{
	int ret = self->grows ? 0 : -EINVAL;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	EXPECT_EQ(ret, vfio_irq_eventfd(&self->d, MSIX, 9, self->efd[9]));
	EXPECT_EQ(ret, vfio_irq_eventfds(&self->d, MSIX, 4, 2,
					 &self->efd[4]));
	EXPECT_EQ(ret, vfio_irq_eventfd(&self->d, MSIX, self->total - 1,
					self->efd[1]));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, self->total));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[0]));
	EXPECT_EQ(self->grows, vfio_eventfd_drain(self->efd[9]));
	EXPECT_EQ(self->grows, vfio_eventfd_drain(self->efd[4]));
	EXPECT_EQ(self->grows, vfio_eventfd_drain(self->efd[5]));
	EXPECT_EQ(self->grows, vfio_eventfd_drain(self->efd[1]));

	/* To disarm what never was is no error. */
	EXPECT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 7, -1));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));

	/* The first call may begin anywhere. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 5, self->efd[5]));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 2, self->efd[2]));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 6));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[5]));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[2]));
	EXPECT_EQ(0, vfio_eventfd_drain(self->efd[0]));
}

TEST_F(nvme, all_vectors)
{
	int32_t fds[2048];
	int i, round;

	for (i = 0; i < self->total; i++)
		fds[i] = self->efd[i % NVME_FDS];
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, self->total,
					       fds));
		ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, self->total,
					       fds));
		ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, self->total));
		EXPECT_LE(self->total / NVME_FDS,
			  vfio_eventfd_drain(self->efd[0]));
		EXPECT_EQ(self->total, vfio_interrupt_lines(self->d.bdf));
		ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));
		EXPECT_EQ(0, vfio_interrupt_lines(self->d.bdf));
	}
}

/* How many interrupts of the host the device has. */
static int host_interrupts(const struct vfio_dev *d)
{
	struct dirent *entry;
	char path[96];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/msi_irqs", d->bdf);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Where vectors can be added the host spends an interrupt on each that had an eventfd. */
TEST_F(nvme, interrupts_of_the_host)
{
	int32_t fds[6] = { -1, self->efd[1], -1, self->efd[3], -1, -1 };
	bool grows = self->grows;

	EXPECT_EQ(0, host_interrupts(&self->d));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, self->total - 1, self->efd[0]));
	EXPECT_EQ(grows ? 1 : self->total, host_interrupts(&self->d));
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 6, fds));
	EXPECT_EQ(grows ? 3 : self->total, host_interrupts(&self->d));
	/* To arm it again cannot fail for want of one. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 3, -1));
	EXPECT_EQ(grows ? 3 : self->total, host_interrupts(&self->d));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, self->total));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[0]));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[1]));
	EXPECT_EQ(0, vfio_eventfd_drain(self->efd[3]));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));
	EXPECT_EQ(0, host_interrupts(&self->d));

	/* A call that reaches far and arms little. */
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 6, fds));
	EXPECT_EQ(grows ? 2 : 6, host_interrupts(&self->d));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));

	/* MSI-X is enabled without any: the kernel needs one. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, -1));
	EXPECT_EQ(1, host_interrupts(&self->d));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	EXPECT_EQ(1, host_interrupts(&self->d));
}

/* More vectors than the host's CPUs have for all devices together. */
TEST(more_than_there_are)
{
	struct vfio_irq_info info;
	int32_t fds[2048];
	struct vfio_dev d;
	int efd, i, ret;

	VFIO_DEV_OPEN_OR_SKIP(&d, NVME, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_irq_info(&d, MSIX, &info));
	if (info.count != 2048) {
		vfio_dev_close(&d);
		VFIO_DEV_OPEN_OR_SKIP(&d, NVME "#1", VFIO_TYPE1v2_IOMMU);
		ASSERT_EQ(0, vfio_irq_info(&d, MSIX, &info));
	}
	if (info.count != 2048)
		SKIP(return, "no table of 2048 vectors");
	efd = vfio_eventfd();
	for (i = 0; i < 2048; i++)
		fds[i] = efd;

	ASSERT_EQ(0, vfio_irq_eventfd(&d, MSIX, 2047, efd));
	TH_LOG("one of 2048 takes %d interrupts of the host", host_interrupts(&d));
	EXPECT_EQ(info.flags & VFIO_IRQ_INFO_NORESIZE ? 2048 : 1, host_interrupts(&d));
	ASSERT_EQ(0, vfio_irq_disable(&d, MSIX));

	ret = vfio_irq_eventfds(&d, MSIX, 0, 2048, fds);
	TH_LOG("all of 2048: %d", ret);
	ASSERT_LE(0, ret);
	if (ret) {
		/* So many can be had. */
		EXPECT_EQ(0, host_interrupts(&d));
		EXPECT_EQ(-EINVAL, vfio_irq_trigger(&d, MSIX, 0, 1));
		ASSERT_EQ(0, vfio_irq_eventfds(&d, MSIX, 0, ret, fds));
		EXPECT_EQ(ret, vfio_interrupt_lines(d.bdf));
		/* One more is an error as for a range that is enabled already. */
		EXPECT_EQ(-ENOSPC, vfio_irq_eventfds(&d, MSIX, ret, 2048 - ret, fds));
		EXPECT_EQ(ret, vfio_interrupt_lines(d.bdf));
	}
	vfio_dev_close(&d);
	close(efd);
}

/* The kernel's functions by which handlers come and go, probed. */
static int tracing_open(const char *file, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", vfio_tracefs(), file);
	return open(path, flags | O_CLOEXEC);
}

static int probe(const char *event, bool on)
{
	char file[64];
	int fd, ret;

	snprintf(file, sizeof(file), "events/kprobes/%s/enable", event);
	fd = tracing_open(file, O_WRONLY);
	ret = dprintf(fd, "%d", on) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int probes_start(void)
{
	int fd = tracing_open("kprobe_events", O_WRONLY | O_APPEND);
	static const char both[] = "p:vfio_test_get request_threaded_irq\n"
				   "p:vfio_test_put free_irq\n";
	int ret = write(fd, both, sizeof(both) - 1) < 0 ? -errno : 0;

	close(fd);
	close(tracing_open("trace", O_WRONLY | O_TRUNC));
	return ret ?: probe("vfio_test_get", true) ?:
	       probe("vfio_test_put", true);
}

static int probes_hit(const char *event)
{
	char line[512];
	int hits = 0;
	FILE *f = fdopen(tracing_open("trace", O_RDONLY), "r");

	while (f && fgets(line, sizeof(line), f))
		hits += line[0] != '#' && strstr(line, event);
	if (f)
		fclose(f);
	return hits;
}

static void probes_stop(void)
{
	int fd;

	probe("vfio_test_get", false);
	probe("vfio_test_put", false);
	fd = tracing_open("kprobe_events", O_WRONLY | O_APPEND);
	dprintf(fd, "-:vfio_test_get\n-:vfio_test_put\n");
	close(fd);
}

/* A handler stays where it is, whatever its vector signals next. */
TEST_F(nvme, arming_again_requests_nothing)
{
	int32_t fds[NVME_FDS];
	int i;

	if (probes_start())
		SKIP(return, "no probes in this kernel");
	EXPECT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, NVME_FDS / 2,
				       self->efd));
	EXPECT_EQ(NVME_FDS / 2, probes_hit("vfio_test_get"));
	EXPECT_EQ(0, probes_hit("vfio_test_put"));

	/* Others, the same again, and each somebody else's. */
	EXPECT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, NVME_FDS / 2,
				       self->efd + NVME_FDS / 2));
	EXPECT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, NVME_FDS / 2,
				       self->efd + NVME_FDS / 2));
	for (i = 0; i < NVME_FDS / 2; i++)
		fds[i] = self->efd[NVME_FDS - 1 - i];
	EXPECT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, NVME_FDS / 2, fds));
	EXPECT_EQ(NVME_FDS / 2, probes_hit("vfio_test_get"));
	EXPECT_EQ(0, probes_hit("vfio_test_put"));

	EXPECT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 1));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[NVME_FDS - 1]));
	for (i = 0; i < NVME_FDS - 1; i++)
		EXPECT_EQ(0, vfio_eventfd_drain(self->efd[i]));

	EXPECT_EQ(0, vfio_irq_disable(&self->d, MSIX));
	EXPECT_EQ(NVME_FDS / 2, probes_hit("vfio_test_put"));
	probes_stop();
}

TEST_F(nvme, bad_arguments)
{
	int32_t fds[3] = { self->efd[0], CLOSED_FD, self->efd[2] };

	EXPECT_EQ(-EINVAL, vfio_irq_eventfd(&self->d, MSIX, self->total,
					    self->efd[0]));
	EXPECT_EQ(-EINVAL, vfio_irq_eventfds(&self->d, MSIX, self->total - 1, 2,
					     self->efd));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, MSIX, 0, 1));
	EXPECT_EQ(-EINVAL, vfio_irq_disable(&self->d, MSIX));
	EXPECT_EQ(-ENOTTY, vfio_irq_mask(&self->d, MSIX, 0, 1));
	EXPECT_EQ(-ENOTTY, vfio_irq_unmask(&self->d, MSIX, 0, 1));
	EXPECT_EQ(-ERANGE, vfio_irq_set(&self->d, EVENTFD | TRIGGER, MSIX, 0,
					0, NULL, 0));

	/* A bad descriptor anywhere in the range sets nothing up. */
	EXPECT_EQ(-EBADF, vfio_irq_eventfds(&self->d, MSIX, 0, 3, fds));
	EXPECT_EQ(0, vfio_interrupt_lines(self->d.bdf));
	EXPECT_EQ(-EINVAL, vfio_irq_trigger(&self->d, MSIX, 0, 1));
	fds[1] = self->d.device;
	EXPECT_EQ(-EINVAL, vfio_irq_eventfds(&self->d, MSIX, 0, 3, fds));
	EXPECT_EQ(0, vfio_interrupt_lines(self->d.bdf));

	/* An empty range that reaches somewhere sets up what is before it. */
	ASSERT_EQ(0, vfio_irq_set(&self->d, EVENTFD | TRIGGER, MSIX, 2, 0,
				  NULL, 0));
	EXPECT_EQ(0, vfio_interrupt_lines(self->d.bdf));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 2));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 1, self->efd[1]));

	/* One in a later call leaves what is outside its range alone. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	fds[0] = CLOSED_FD;
	EXPECT_EQ(-EBADF, vfio_irq_eventfds(&self->d, MSIX, 1, 1, fds));
	ASSERT_EQ(0, vfio_irq_trigger(&self->d, MSIX, 0, 1));
	EXPECT_EQ(1, vfio_eventfd_drain(self->efd[0]));
	EXPECT_EQ(-EINVAL, vfio_irq_eventfd(&self->d, INTX, 0, self->efd[3]));
}

TEST_HARNESS_MAIN
