// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors that the platform tells of, before, between and after a device's users. Some
 * are made by test_vfio_pci_error.ko, which calls the driver as the platform does at
 * the moment that the test wants; others by QEMU, with the reset of the link.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_pci_overlay.h"
#include "vfio_sriov.h"
#include "vfio_variants.h"

#define VFIO_VIRTIO_NET	"1af4:1041"

#define SOON_MS		20000
#define FREEZER		"/tmp/vfio_freezer"
/* What the driver gives the platform before it resets the device itself. */
#define MOMENT_MS	1000

/* A register that keeps its value over any reset. */
struct target {
	const char *id;
	uint32_t bar;
	uint32_t off;
};

static const struct target nvme = { VFIO_NVME, 0, 8 };
static const struct target e1000e = { VFIO_E1000E, 0, 0x5400 };
static const struct target virtio_net = { VFIO_VIRTIO_NET, 4, 0x10 };

FIXTURE(error)
{
	struct vfio_dev d;
	uint32_t value;
	int klog;
};

FIXTURE_VARIANT(error)
{
	const struct target *on;
	int mode;
};

FIXTURE_VARIANT_ADD(error, nvme) { &nvme };
FIXTURE_VARIANT_ADD(error, e1000e) { &e1000e };
FIXTURE_VARIANT_ADD(error, virtio_net) { &virtio_net };

VFIO_OTHER_MODES(error, virtio_net, &virtio_net);

#define SELF FIXTURE_DATA(error)
#define VARIANT FIXTURE_VARIANT(error)

static int reads(const SELF *self, const VARIANT *variant, uint32_t *value)
{
	const struct target *t = variant->on;
	int ret = vfio_region_read(&self->d, t->bar, t->off, value, 4);

	return ret == 4 ? 0 : ret < 0 ? ret : -EIO;
}

#define EXPECT_MEMORY() do {						\
	uint32_t __value = 0;						\
									\
	EXPECT_EQ(0, vfio_cfg_memory(&self->d, true));			\
	EXPECT_EQ(0, reads(self, variant, &__value));			\
	EXPECT_EQ(self->value, __value);				\
} while (0)

#define OPEN()	vfio_dev_open(&self->d, self->d.bdf, variant->mode)

FIXTURE_SETUP(error)
{
	if (vfio_modprobe("test_vfio_pci_error"))
		SKIP(_exit(KSFT_SKIP), "no test_vfio_pci_error.ko here");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->on->id, variant->mode);
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, reads(self, variant, &self->value));
	ASSERT_NE(~0u, self->value);
}

FIXTURE_TEARDOWN(error)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
	EXPECT_EQ(0, vfio_stretch_end());
}

/* The reset of the close comes too early to end the error, and recovery fails. */
TEST_F(error, before_last_close)
{
	uint32_t value;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_pci_error(self->d.bdf, "frozen"));
		EXPECT_EQ(-EIO, reads(self, variant, &value));
		vfio_dev_close(&self->d);
		/* The next user comes at once, or when it is long over. */
		if (i)
			usleep(2 * MOMENT_MS * 1000);
		ASSERT_EQ(0, OPEN());
		EXPECT_MEMORY();
	}
}

static void *open_it(void *arg)
{
	struct vfio_dev *d = arg;

	return (void *)(intptr_t)vfio_dev_open(d, d->bdf, d->mode);
}

/* The error comes when the open has looked for one. */
TEST_F(error, in_first_open)
{
	pthread_t thread;
	void *ret;
	int i;

	for (i = 0; i < 2; i++) {
		vfio_dev_close(&self->d);
		self->d.mode = variant->mode;
		/* With and without a reset that has to be. */
		if (i)
			ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset", "1"));
		if (vfio_stretch("vfio_pci_clean_wake", 400000, "after", NULL))
			SKIP(return, "no window can be stretched");
		ASSERT_EQ(0, pthread_create(&thread, NULL, open_it, &self->d));
		usleep(200000);
		ASSERT_EQ(0, vfio_pci_error(self->d.bdf, "frozen"));
		ASSERT_EQ(0, pthread_join(thread, &ret));
		ASSERT_EQ(NULL, ret);
		EXPECT_EQ(1, vfio_stretch_hits("vfio_pci_clean_wake"));
		ASSERT_EQ(0, vfio_stretch_end());
		EXPECT_MEMORY();
	}
}

/*
 * The link is reset while nobody has the device open, and nobody restores what it
 * forgets. The next user has it as it was.
 */
TEST_F_TIMEOUT(error, while_closed, 120)
{
	char port[32];
	uint64_t end;
	int i;

	if (!vfio_monitor_is_there())
		SKIP(return, "no monitor");
	if (vfio_monitor_port_id(self->d.bdf, port, sizeof(port)))
		SKIP(return, "not below a port");
	/* Awake, and asleep. */
	for (i = 0; i < 2; i++) {
		vfio_dev_close(&self->d);
		if (i)
			ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended",
							 SOON_MS));
		vfio_klog_count(self->klog, "");
		ASSERT_EQ(0, vfio_monitor_fatal_error(port));
		end = vfio_now_ms() + SOON_MS;
		while (!vfio_klog_count(self->klog, "device recovery") &&
		       vfio_now_ms() < end)
			usleep(10000);
		ASSERT_GT(end, vfio_now_ms());
		ASSERT_EQ(0, OPEN());
		EXPECT_MEMORY();
	}
}

/*
 * A reset of the bus waits for the platform to go first. Meanwhile the system can go to
 * sleep, which takes that its processes freeze.
 */
TEST_F(error, hot_reset_freezes)
{
	char pid[16], state[16] = "";
	uint64_t end;
	pid_t reset;
	int status;

	if (variant->on != &e1000e)
		SKIP(return, "once is enough");
	mkdir(FREEZER, 0700);
	if (mount("none", FREEZER, "cgroup", 0, "freezer"))
		SKIP(return, "no freezer");
	ASSERT_EQ(0, mkdir(FREEZER "/test", 0700));

	ASSERT_EQ(0, vfio_pci_error(self->d.bdf, "frozen"));
	reset = fork();
	if (!reset)
		_exit(vfio_dev_hot_reset(&self->d) ? 1 : 0);
	snprintf(pid, sizeof(pid), "%d", reset);
	EXPECT_EQ(0, vfio_sysfs_write(FREEZER "/test/tasks", pid));
	usleep(MOMENT_MS * 1000 / 4);
	EXPECT_EQ(0, vfio_sysfs_write(FREEZER "/test/freezer.state", "FROZEN"));
	end = vfio_now_ms() + SOON_MS / 2;
	do {
		/* It begins anew with each error, so that he waits on. */
		ASSERT_EQ(0, vfio_pci_error(self->d.bdf, "frozen"));
		usleep(MOMENT_MS * 1000 / 10);
		EXPECT_EQ(0, vfio_sysfs_read(FREEZER "/test/freezer.state", state,
					     sizeof(state)));
	} while (strcmp(state, "FROZEN") && vfio_now_ms() < end);
	EXPECT_STREQ("FROZEN", state);
	EXPECT_EQ(0, vfio_sysfs_write(FREEZER "/test/freezer.state", "THAWED"));
	EXPECT_EQ(reset, waitpid(reset, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, rmdir(FREEZER "/test"));
	EXPECT_EQ(0, umount(FREEZER));
	EXPECT_MEMORY();
}

/*
 * The link above a PF and its VFs is reset for an error. Nobody brings the VFs back before
 * the PF is restored, and so they have no memory, although the platform resumes them.
 */
static const char token[] = "01234567-89ab-cdef-0123-456789abcdef";

FIXTURE(vfs)
{
	struct vfio_dev pf;
	struct vfio_dev vf[2];
	int klog;
};

FIXTURE_SETUP(vfs)
{
	char pf[VFIO_BDF_LEN], vf[2][VFIO_BDF_LEN];
	int i;

	if (vfio_modprobe("test_vfio_pci_error") ||
	    vfio_modprobe("test_pci_overlay") || vfio_sriov_find(pf))
		SKIP(_exit(KSFT_SKIP), "no PF, or no modules");
	vfio_overlay_unload(NULL);
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
	ASSERT_EQ(0, vfio_pci_bind(pf));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y"));
	ASSERT_EQ(0, vfio_token_open(&self->pf, pf, token));
	ASSERT_EQ(0, vfio_sriov_make(pf, vf));
	for (i = 0; i < 2; i++) {
		/* In QEMU they do not come back, and resets would wait for them. */
		ASSERT_EQ(0, vfio_pci_attr_write(vf[i], "reset_method", "\n"));
		ASSERT_EQ(0, vfio_token_open(&self->vf[i], vf[i], token));
	}
}

FIXTURE_TEARDOWN(vfs)
{
	vfio_dev_close(&self->vf[1]);
	vfio_dev_close(&self->vf[0]);
	EXPECT_EQ(0, vfio_sriov_set(self->pf.bdf, 0));
	vfio_dev_close(&self->pf);
	EXPECT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "N"));
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

/* Where the PF's SR-IOV capability is: QEMU leaves it as it is when the link is reset. */
static unsigned int sriov_cap(const char *bdf)
{
	int fd = vfio_pci_config_open(bdf);
	unsigned int pos = PCI_CFG_SPACE_SIZE;
	uint32_t head = 0;

	while (pos && pread(fd, &head, 4, pos) == 4 &&
	       PCI_EXT_CAP_ID(head) != PCI_EXT_CAP_ID_SRIOV)
		pos = PCI_EXT_CAP_NEXT(head);
	close(fd);
	return pos;
}

TEST_F(vfs, wait_for_their_pf)
{
	uint32_t value;
	char set[64];
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_pci_error(self->vf[i].bdf, "frozen"));
		EXPECT_EQ(-EIO, vfio_region_read(&self->vf[i], 0, NVME_CSTS,
						 &value, 4));
	}
	snprintf(set, sizeof(set), "set=%s+%x=without%x", self->pf.bdf,
		 sriov_cap(self->pf.bdf) + PCI_SRIOV_CTRL,
		 PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
	ASSERT_EQ(0, vfio_overlay_load(set, NULL));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, vfio_pci_error(self->vf[i].bdf, "resumed"));
		usleep(200000);
		EXPECT_EQ(-EIO, vfio_region_read(&self->vf[i], 0, NVME_CSTS,
						 &value, 4));
	}

	/* Who restores the PF opens their gates. */
	ASSERT_EQ(0, vfio_overlay_unload(NULL));
	ASSERT_EQ(0, vfio_reset(&self->pf));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(4, vfio_region_read(&self->vf[i], 0, NVME_CSTS,
					      &value, 4));
}

TEST_HARNESS_MAIN
