// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate in front of device memory: while each of its closers runs, nobody
 * may see what is not the device's memory, and afterwards everyone sees it
 * again through the mappings they have.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

#define VFIO_VIRTIO_NET	"1af4:1041"
#define PATTERN		0x5aa51234

#define ROUNDS		4
#define SOON_MS		20000

/* Where a device has a register to read and one to write. */
struct target {
	const char *id;
	uint32_t bar;
	uint32_t off;		/* keeps its value over any reset */
	uint32_t woff;
	uint32_t wvalue;
};

/* A memory that is as fast as the kernel lets it be. */
static const struct target ivshmem = {
	VFIO_IVSHMEM, 2, 0x1000, 0x2000, 0x1234567
};

/* The version, and the admin queue's sizes. */
static const struct target nvme = { VFIO_NVME, 0, 8, 0x24, 0x1f001f };

/* The station's address, and a word of the multicast table. */
static const struct target e1000e = {
	VFIO_E1000E, 0, 0x5400, 0x5200, 0x1234567
};

/* The identification, and the one that reads as its complement. */
static const struct target edu = { VFIO_EDU, 0, 0, 8, 1 };

/* The vector of configuration changes, and a selector. */
static const struct target virtio_net = { VFIO_VIRTIO_NET, 4, 0x10, 8, 1 };

FIXTURE(gate)
{
	struct vfio_dev d;
	struct vfio_readers *readers;
	int efd;
};

/*
 * close() begins it and open() ends it; a closer that has no open() has done
 * both when it returns.
 */
FIXTURE_VARIANT(gate)
{
	const struct target *on;
	int (*close)(const struct vfio_dev *d, int efd);
	int (*open)(const struct vfio_dev *d, int efd);
	unsigned int refused;	/* which readers are, in between */
	const char *module;	/* that it needs */
	bool alias;		/* readers use an alias of the BAR */
	int mode;
};

static int do_reset(const struct vfio_dev *d, int efd)
{
	return vfio_reset(d);
}

/* The administrator's: the driver is only told. */
static int do_sysfs_reset(const struct vfio_dev *d, int efd)
{
	return vfio_pci_attr_write(d->bdf, "reset", "1");
}

static int do_flr(const struct vfio_dev *d, int efd)
{
	return vfio_cfg_flr(d);
}

static int do_memory_off(const struct vfio_dev *d, int efd)
{
	return vfio_cfg_memory(d, false);
}

static int do_memory_on(const struct vfio_dev *d, int efd)
{
	return vfio_cfg_memory(d, true);
}

static int do_d3(const struct vfio_dev *d, int efd)
{
	return vfio_cfg_power(d, 3);
}

static int do_d0(const struct vfio_dev *d, int efd)
{
	return vfio_cfg_power(d, 0) ?: vfio_cfg_memory(d, true);
}

static int do_low_power(const struct vfio_dev *d, int efd)
{
	return vfio_low_power(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1);
}

static int do_low_power_wakeup(const struct vfio_dev *d, int efd)
{
	return vfio_low_power(d,
			      VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
			      efd);
}

static int do_low_power_exit(const struct vfio_dev *d, int efd)
{
	return vfio_low_power(d, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1);
}

static int do_hot_reset(const struct vfio_dev *d, int efd)
{
	return vfio_dev_hot_reset(d);
}

#define SLEEP_MODULE	"test_vfio_pci_sleep"
#define SLEEP_PARAMETER	"/sys/module/" SLEEP_MODULE "/parameters/"

static int do_suspend(const struct vfio_dev *d, int efd)
{
	return vfio_sysfs_write(SLEEP_PARAMETER "suspend", d->bdf);
}

static int do_resume(const struct vfio_dev *d, int efd)
{
	return vfio_sysfs_write(SLEEP_PARAMETER "resume", d->bdf);
}

#define EVERYONE	(VFIO_READERS_MAP | VFIO_READERS_PREAD)

/* A system call wakes a device that sleeps, a mapping does not. */
#define MEMORY		.close = do_memory_off, .open = do_memory_on,	\
			.refused = EVERYONE
#define POWER		.close = do_d3, .open = do_d0, .refused = EVERYONE
#define LOW_POWER	.close = do_low_power, .open = do_low_power_exit, \
			.refused = VFIO_READERS_MAP
#define WAKEUP		.close = do_low_power_wakeup,			\
			.open = do_low_power_exit
/* What the driver does when the system sleeps, while the processes go on. */
#define SUSPEND		.close = do_suspend, .open = do_resume,		\
			.refused = EVERYONE, .module = SLEEP_MODULE

FIXTURE_VARIANT_ADD(gate, ivshmem_memory) { .on = &ivshmem, MEMORY };
FIXTURE_VARIANT_ADD(gate, ivshmem_suspend) { .on = &ivshmem, SUSPEND };
FIXTURE_VARIANT_ADD(gate, ivshmem_low_power) { .on = &ivshmem, LOW_POWER };
FIXTURE_VARIANT_ADD(gate, ivshmem_low_power_wakeup) { .on = &ivshmem, WAKEUP };
FIXTURE_VARIANT_ADD(gate, edu_memory) { .on = &edu, MEMORY };
FIXTURE_VARIANT_ADD(gate, edu_low_power) { .on = &edu, LOW_POWER };
FIXTURE_VARIANT_ADD(gate, nvme_memory) { .on = &nvme, MEMORY };
FIXTURE_VARIANT_ADD(gate, nvme_suspend) { .on = &nvme, SUSPEND };
FIXTURE_VARIANT_ADD(gate, nvme_power) { .on = &nvme, POWER };
FIXTURE_VARIANT_ADD(gate, nvme_low_power) { .on = &nvme, LOW_POWER };
FIXTURE_VARIANT_ADD(gate, nvme_low_power_wakeup) { .on = &nvme, WAKEUP };
FIXTURE_VARIANT_ADD(gate, nvme_reset) { .on = &nvme, .close = do_reset };
FIXTURE_VARIANT_ADD(gate, nvme_flr) { .on = &nvme, .close = do_flr };

FIXTURE_VARIANT_ADD(gate, nvme_sysfs_reset)
{
	.on = &nvme,
	.close = do_sysfs_reset,
};

FIXTURE_VARIANT_ADD(gate, nvme_hot_reset)
{
	.on = &nvme,
	.close = do_hot_reset,
};

FIXTURE_VARIANT_ADD(gate, e1000e_memory) { .on = &e1000e, MEMORY };
FIXTURE_VARIANT_ADD(gate, e1000e_power) { .on = &e1000e, POWER };
FIXTURE_VARIANT_ADD(gate, e1000e_low_power) { .on = &e1000e, LOW_POWER };
FIXTURE_VARIANT_ADD(gate, e1000e_low_power_wakeup) { .on = &e1000e, WAKEUP };
FIXTURE_VARIANT_ADD(gate, e1000e_reset) { .on = &e1000e, .close = do_reset };

FIXTURE_VARIANT_ADD(gate, e1000e_sysfs_reset)
{
	.on = &e1000e,
	.close = do_sysfs_reset,
};

FIXTURE_VARIANT_ADD(gate, e1000e_hot_reset)
{
	.on = &e1000e,
	.close = do_hot_reset,
};

FIXTURE_VARIANT_ADD(gate, virtio_net_memory) { .on = &virtio_net, MEMORY };
FIXTURE_VARIANT_ADD(gate, virtio_net_power) { .on = &virtio_net, POWER };

FIXTURE_VARIANT_ADD(gate, virtio_net_reset)
{
	.on = &virtio_net,
	.close = do_reset,
};

FIXTURE_VARIANT_ADD(gate, virtio_net_flr)
{
	.on = &virtio_net,
	.close = do_flr,
};

FIXTURE_VARIANT_ADD(gate, virtio_net_hot_reset)
{
	.on = &virtio_net,
	.close = do_hot_reset,
};

/* An alias of a BAR is behind the same gate. */
#define ALIAS(device)		.on = &(device), .alias = true

FIXTURE_VARIANT_ADD(gate, alias_memory) { ALIAS(ivshmem), MEMORY };
FIXTURE_VARIANT_ADD(gate, alias_suspend) { ALIAS(ivshmem), SUSPEND };
FIXTURE_VARIANT_ADD(gate, alias_low_power) { ALIAS(ivshmem), LOW_POWER };
FIXTURE_VARIANT_ADD(gate, alias_power) { ALIAS(virtio_net), POWER };
FIXTURE_VARIANT_ADD(gate, alias_reset) { ALIAS(virtio_net), .close = do_reset };
FIXTURE_VARIANT_ADD(gate, alias_flr) { ALIAS(virtio_net), .close = do_flr };

FIXTURE_VARIANT_ADD(gate, alias_hot_reset)
{
	ALIAS(virtio_net),
	.close = do_hot_reset,
};

VFIO_OTHER_MODES(gate, alias_hot_reset, ALIAS(virtio_net),
		 .close = do_hot_reset);

/* The ways that differ most in where they come from. */
VFIO_OTHER_MODES(gate, e1000e_memory, .on = &e1000e, MEMORY);
VFIO_OTHER_MODES(gate, e1000e_hot_reset, .on = &e1000e, .close = do_hot_reset);
VFIO_OTHER_MODES(gate, nvme_reset, .on = &nvme, .close = do_reset);
VFIO_OTHER_MODES(gate, nvme_low_power, .on = &nvme, LOW_POWER);

FIXTURE_SETUP(gate)
{
	const struct target *t = variant->on;
	struct vfio_readers params = {
		.d = &self->d,
		.bar = t->bar,
		.off = t->off,
		.woff = t->woff,
		.wvalue = t->wvalue,
	};
	uint32_t pattern = PATTERN;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, t->id, variant->mode);
	if (variant->module && vfio_modprobe(variant->module))
		SKIP(_exit(KSFT_SKIP), "no module %s", variant->module);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	if (t == &ivshmem) {
		ASSERT_EQ(4, vfio_region_write(&self->d, t->bar, t->off,
					       &pattern, 4));
	}
	if (variant->alias) {
		int index = vfio_alias(&self->d, t->bar, 0,
				       vfio_region_size(&self->d, t->bar));

		ASSERT_LE(VFIO_PCI_NUM_REGIONS, index);
		params.bar = index;
	}
	self->efd = vfio_eventfd();
	ASSERT_LE(0, self->efd);
	self->readers = vfio_readers_start(&params);
	ASSERT_NE(NULL, self->readers);
	ASSERT_EQ(0, vfio_readers_see(self->readers, EVERYONE, true));
}

FIXTURE_TEARDOWN(gate)
{
	EXPECT_EQ(0, vfio_readers_stop(self->readers));
	vfio_dev_close(&self->d);
	close(self->efd);
}

TEST_F_TIMEOUT(gate, readers, 120)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, variant->close(&self->d, self->efd));
		if (variant->open) {
			ASSERT_EQ(0, vfio_readers_see(self->readers,
						      variant->refused, false));
			ASSERT_EQ(0, variant->open(&self->d, self->efd));
		}
		ASSERT_EQ(0, vfio_readers_see(self->readers, EVERYONE, true));
		if (variant->on != &edu) {
			ASSERT_EQ(0,
				  vfio_readers_ioeventfd_works(self->readers));
		}
	}
}

/* As fast as they come, with nobody waiting for the readers. */
TEST_F_TIMEOUT(gate, readers_in_a_hurry, 120)
{
	int i;

	for (i = 0; i < 2 * ROUNDS; i++) {
		ASSERT_EQ(0, variant->close(&self->d, self->efd));
		if (variant->open)
			ASSERT_EQ(0, variant->open(&self->d, self->efd));
	}
	ASSERT_EQ(0, vfio_readers_see(self->readers, EVERYONE, true));
}

/*
 * A conventional device whose Advanced Features capability resets it: an edu
 * that is made to look like one. What it does with the reset is not looked at.
 */
#define AF_CAP		0xe0

FIXTURE(advanced_features)
{
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
	struct vfio_readers *readers;
	struct vfio_trace t;
};

FIXTURE_VARIANT(advanced_features)
{
	uint8_t cap;
	int resets;
};

FIXTURE_VARIANT_ADD(advanced_features, resets)
{
	PCI_AF_CAP_TP | PCI_AF_CAP_FLR, 1
};

FIXTURE_VARIANT_ADD(advanced_features, cannot_reset) { PCI_AF_CAP_TP, 0 };

FIXTURE_SETUP(advanced_features)
{
	struct vfio_readers params = {
		.d = &self->d,
		.bar = edu.bar,
		.off = edu.off,
		.woff = edu.woff,
		.wvalue = edu.wvalue,
	};
	uint32_t msi = PCI_CAP_ID_MSI | AF_CAP << 8;
	uint32_t af = PCI_CAP_ID_AF | PCI_CAP_AF_SIZEOF << 16 |
		      variant->cap << 24;
	char set[160];

	if (vfio_pci_resolve(VFIO_EDU, self->bdf) ||
	    vfio_trace_start(&self->t))
		SKIP(_exit(KSFT_SKIP), "no edu, or no tracing of vfio_pci");
	snprintf(set, sizeof(set), "set=%s+40=%x,%s+%x=%x,%s+%x=0", self->bdf,
		 msi, self->bdf, AF_CAP, af, self->bdf, AF_CAP + PCI_AF_CTRL);
	if (vfio_overlay_load(set, self->bdf))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->bdf, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(AF_CAP, vfio_cfg_cap(&self->d, PCI_CAP_ID_AF));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->readers = vfio_readers_start(&params);
	ASSERT_NE(NULL, self->readers);
	ASSERT_EQ(0, vfio_readers_see(self->readers, EVERYONE, true));
}

FIXTURE_TEARDOWN(advanced_features)
{
	EXPECT_EQ(0, vfio_readers_stop(self->readers));
	vfio_dev_close(&self->d);
	vfio_trace_stop(&self->t);
	EXPECT_EQ(0, vfio_overlay_unload(self->bdf));
}

TEST_F_TIMEOUT(advanced_features, readers, 120)
{
	int i, closed, opened, resets = ROUNDS * variant->resets;
	char *text, *rest, *line;

	ASSERT_EQ(0, vfio_trace_enable(&self->t, true));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, vfio_cfg_write8(&self->d, AF_CAP + PCI_AF_CTRL,
					     PCI_AF_CTRL_FLR));
		EXPECT_EQ(0, vfio_cfg_read8(&self->d, AF_CAP + PCI_AF_CTRL));
		ASSERT_EQ(0, vfio_readers_see(self->readers, EVERYONE, true));
	}
	ASSERT_EQ(0, vfio_trace_enable(&self->t, false));

	text = vfio_trace_read(&self->t);
	for (rest = text, closed = 0;
	     (line = vfio_trace_next(&rest, "vfio_pci_gate_close:"));)
		closed += !!strstr(line, "cause=flr");
	EXPECT_EQ(resets, closed);
	free(text);
	text = vfio_trace_read(&self->t);
	for (rest = text, opened = 0;
	     (line = vfio_trace_next(&rest, "vfio_pci_gate_open:"));)
		opened += !!strstr(line, "cause=flr");
	EXPECT_EQ(resets, opened);
	free(text);
}

/* An error that the platform finds: the device may be cut off and reset. */
FIXTURE(error)
{
	struct vfio_dev d;
	struct vfio_readers *readers;
	char id[32];
	int efd;
};

FIXTURE_VARIANT(error)
{
	const char *what;
	bool tell;		/* is the user told? */
	bool reset;		/* is the device reset? */
};

FIXTURE_VARIANT_ADD(error, correctable) { "-c %s RCVR" };
FIXTURE_VARIANT_ADD(error, nonfatal) { "%s POISON_TLP", true };
FIXTURE_VARIANT_ADD(error, fatal) { "%s DLP", true, true };

FIXTURE_SETUP(error)
{
	const struct vfio_readers params = {
		.d = &self->d,
		.bar = virtio_net.bar,
		.off = virtio_net.off,
		.woff = virtio_net.woff,
		.wvalue = virtio_net.wvalue,
	};

	if (!vfio_monitor_is_there())
		SKIP(_exit(KSFT_SKIP), "no monitor");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, virtio_net.id, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_monitor_id(self->d.bdf, self->id, sizeof(self->id)));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->efd = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_ERR_IRQ_INDEX, 0,
				      self->efd));
	self->readers = vfio_readers_start(&params);
	ASSERT_NE(NULL, self->readers);
	ASSERT_EQ(0, vfio_readers_see(self->readers, EVERYONE, true));
}

FIXTURE_TEARDOWN(error)
{
	EXPECT_EQ(0, vfio_readers_stop(self->readers));
	vfio_dev_close(&self->d);
	close(self->efd);
}

TEST_F_TIMEOUT(error, readers, 120)
{
	/* The reset that follows also turns the reporting of errors off. */
	int i, tries, rounds = variant->reset ? 1 : ROUNDS;
	char command[128], what[64];

	for (i = 0; i < rounds; i++) {
		snprintf(what, sizeof(what), variant->what, self->id);
		snprintf(command, sizeof(command), "pcie_aer_inject_error %s",
			 what);
		ASSERT_EQ(0, vfio_monitor(command, NULL, 0));
		EXPECT_EQ(variant->tell ? 0 : -ETIMEDOUT,
			  vfio_eventfd_wait(self->efd, variant->tell ?
					    SOON_MS : 200, NULL));
		/* The user turns on what a reset has turned off. */
		for (tries = 0; variant->reset && tries < 100; tries++) {
			ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
			usleep(100000);
			if (vfio_cfg_read16(&self->d, PCI_COMMAND) &
			    PCI_COMMAND_MEMORY &&
			    !vfio_readers_see(self->readers, EVERYONE, true))
				break;
		}
		ASSERT_EQ(0, vfio_readers_see(self->readers, EVERYONE, true));
	}
}

/*
 * A recovery that fails for the sake of a sibling without a driver, which cannot
 * be asked. The link was reset, and a reset of the user's, or the one between
 * two opens, gives the memory back.
 */
FIXTURE(unrecovered)
{
	struct vfio_dev d;
	char sibling[VFIO_BDF_LEN];
	uint8_t config[PCI_STD_HEADER_SIZEOF];	/* the sibling's */
	char port[32];		/* what QEMU calls it */
	uint32_t value;
	int klog;
	int efd;
};

FIXTURE_VARIANT(unrecovered)
{
	bool reopen;
};

FIXTURE_VARIANT_ADD(unrecovered, reset) { false };
FIXTURE_VARIANT_ADD(unrecovered, reopened) { true };

FIXTURE_SETUP(unrecovered)
{
	int fd;

	if (!vfio_monitor_is_there())
		SKIP(_exit(KSFT_SKIP), "no monitor");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, e1000e.id, VFIO_TYPE1v2_IOMMU);
	memcpy(self->sibling, self->d.bdf, sizeof(self->sibling));
	self->sibling[strlen(self->sibling) - 1] ^= 1;
	if (!vfio_pci_is_there(self->sibling))
		SKIP(_exit(KSFT_SKIP), "it has no sibling");
	ASSERT_EQ(0, vfio_monitor_port_id(self->d.bdf, self->port, sizeof(self->port)));
	ASSERT_EQ(0, vfio_pci_unbind(self->sibling));
	fd = vfio_pci_config_open(self->sibling);
	ASSERT_EQ(sizeof(self->config),
		  pread(fd, self->config, sizeof(self->config), 0));
	close(fd);
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
	self->efd = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_ERR_IRQ_INDEX, 0,
				      self->efd));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, vfio_region_read(&self->d, e1000e.bar, e1000e.off,
				      &self->value, 4));
}

FIXTURE_TEARDOWN(unrecovered)
{
	int fd = vfio_pci_config_open(self->sibling);

	vfio_dev_close(&self->d);
	close(self->klog);
	close(self->efd);
	/* The reset took its BARs, and without a driver nobody brings them back. */
	EXPECT_EQ(sizeof(self->config) - PCI_COMMAND,
		  pwrite(fd, self->config + PCI_COMMAND,
			 sizeof(self->config) - PCI_COMMAND, PCI_COMMAND));
	close(fd);
	EXPECT_EQ(0, vfio_pci_bind(self->sibling));
}

TEST_F_TIMEOUT(unrecovered, comes_back, 120)
{
	struct vfio_device_feature_pci_error error;
	uint64_t size = vfio_region_size(&self->d, e1000e.bar);
	uint64_t end = vfio_now_ms() + SOON_MS;
	uint32_t value;
	void *map;

	ASSERT_EQ(0, vfio_monitor_fatal_error(self->port));
	ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, NULL));
	while (!vfio_klog_count(self->klog, "device recovery failed") &&
	       vfio_now_ms() < end)
		usleep(10000);
	ASSERT_GT(end, vfio_now_ms());
	EXPECT_EQ(-EIO, vfio_region_read(&self->d, e1000e.bar, e1000e.off,
					 &value, 4));
	/* Of AER nobody hears that it gave up. */
	ASSERT_EQ(0, vfio_pci_last_error(&self->d, &error));
	EXPECT_EQ(VFIO_PCI_ERROR_FATAL, error.severity);

	if (variant->reopen) {
		close(self->d.device);
		self->d.device = vfio_dev_get_device(&self->d, self->d.bdf);
		ASSERT_LE(0, self->d.device);
	} else {
		ASSERT_EQ(0, vfio_reset(&self->d));
	}
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, vfio_region_read(&self->d, e1000e.bar, e1000e.off, &value,
				      4));
	EXPECT_EQ(self->value, value);
	ASSERT_EQ(0, vfio_region_mmap(&self->d, e1000e.bar, 0, size, &map));
	ASSERT_EQ(0, vfio_try_load32(map + e1000e.off, &value));
	EXPECT_EQ(self->value, value);
	munmap(map, size);
}

/*
 * The platform tells of an error, and resets the link a moment later. Who resets the
 * device in between does not get the memory back for that moment.
 */
FIXTURE(recovery)
{
	struct vfio_dev d;
	char port[32];		/* what QEMU calls it */
	uint32_t value;
	int klog;
	int efd;
};

FIXTURE_SETUP(recovery)
{
	int ret;

	if (!vfio_monitor_is_there())
		SKIP(_exit(KSFT_SKIP), "no monitor");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, virtio_net.id, VFIO_TYPE1v2_IOMMU);
	ret = vfio_monitor_port_id(self->d.bdf, self->port, sizeof(self->port));
	ASSERT_NE(-ENODEV, ret);
	if (ret)
		SKIP(_exit(KSFT_SKIP), "not below a port");
	/* Before the reset of the link. */
	if (vfio_stretch("pci_bus_error_reset", 500000, "before", NULL))
		SKIP(_exit(KSFT_SKIP), "no window can be stretched");
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
	self->efd = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_ERR_IRQ_INDEX, 0,
				      self->efd));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, vfio_region_read(&self->d, virtio_net.bar, virtio_net.off,
				      &self->value, 4));
}

FIXTURE_TEARDOWN(recovery)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_stretch_end());
	close(self->klog);
	close(self->efd);
}

static int user_resets(const struct vfio_dev *d)
{
	uint64_t end = vfio_now_ms() + SOON_MS;
	int ret;

	do {
		ret = vfio_reset(d);
	} while (ret == -EAGAIN && vfio_now_ms() < end);
	return ret;
}

static int read_known(const struct vfio_dev *d, uint32_t known)
{
	uint32_t value;
	int ret = vfio_region_read(d, virtio_net.bar, virtio_net.off, &value, 4);

	if (ret != 4)
		return ret;
	return value == known ? 0 : 1;
}

/*
 * The memory, or an error, and never what a reset makes of it. When all is over its
 * user has to switch it on.
 */
#define EXPECT_NO_WRONG_READ() do {					\
	uint64_t end = vfio_now_ms() + SOON_MS;				\
	int ret, wrong = 0;						\
									\
	do {								\
		ret = read_known(&self->d, self->value);		\
		ASSERT_TRUE(ret >= 0 || ret == -EIO);			\
		wrong += ret == 1;					\
		usleep(10000);						\
	} while (!vfio_klog_count(self->klog, "device recovery") &&	\
		 vfio_now_ms() < end);					\
	EXPECT_LT(0, vfio_stretch_hits("pci_bus_error_reset"));		\
	do {								\
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));		\
		ret = read_known(&self->d, self->value);		\
		ASSERT_TRUE(ret >= 0 || ret == -EIO);			\
		wrong += ret == 1;					\
		usleep(10000);						\
	} while (ret && vfio_now_ms() < end);				\
	EXPECT_EQ(0, ret);						\
	EXPECT_EQ(0, wrong);						\
} while (0)

TEST_F_TIMEOUT(recovery, user_is_quicker, 120)
{
	ASSERT_EQ(0, vfio_monitor_fatal_error(self->port));
	ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, NULL));
	ASSERT_EQ(0, user_resets(&self->d));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_NO_WRONG_READ();
}

static void *reset_once(void *arg)
{
	return (void *)(intptr_t)user_resets(arg);
}

/* The error comes when the reset has looked for one, and has not begun. */
TEST_F_TIMEOUT(recovery, error_is_late, 120)
{
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, vfio_stretch("vfio_pci_gate_wait_recovery", 400000, "after",
				  NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_once, &self->d));
	usleep(100000);
	ASSERT_EQ(0, vfio_monitor_fatal_error(self->port));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	ASSERT_EQ(NULL, ret);
	EXPECT_LT(0, vfio_stretch_hits("vfio_pci_gate_wait_recovery"));
	EXPECT_NO_WRONG_READ();
}

/* A function that is gone by the time its memory would be there. */
FIXTURE(leaver)
{
	struct vfio_dev d;
	uint32_t value;
	int klog;
};

FIXTURE_SETUP(leaver)
{
	char set[64];

	VFIO_DEV_OPEN_OR_SKIP(&self->d, ivshmem.id, VFIO_TYPE1v2_IOMMU);
	snprintf(set, sizeof(set), "set=%s+0=leaves", self->d.bdf);
	if (vfio_overlay_load(set, NULL))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
	self->klog = vfio_klog_open();
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, vfio_region_read(&self->d, ivshmem.bar, ivshmem.off,
				      &self->value, 4));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
}

FIXTURE_TEARDOWN(leaver)
{
	EXPECT_EQ(0, vfio_stretch_end());
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_overlay_unload(NULL));
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

#define SWITCHER "switcher"

static void *switch_on(void *arg)
{
	prctl(PR_SET_NAME, SWITCHER);
	return (void *)(intptr_t)vfio_cfg_memory(arg, true);
}

static int overlay_gone(bool gone)
{
	uint8_t byte = gone;

	return vfio_overlay_ram(&byte, 1);
}

/* COMMAND was written, and the gate looks whether it may open. */
TEST_F_TIMEOUT(leaver, behind_the_write, 60)
{
	uint64_t end = vfio_now_ms() + SOON_MS;
	pthread_t thread;
	uint32_t value;
	void *ret;

	if (vfio_stretch("pci_bus_write_config_word", 1000000, "after",
			 SWITCHER))
		SKIP(return, "no window can be stretched");
	ASSERT_EQ(0, pthread_create(&thread, NULL, switch_on, &self->d));
	while (vfio_stretch_hits("pci_bus_write_config_word") < 1 &&
	       vfio_now_ms() < end)
		usleep(1000);
	ASSERT_EQ(0, overlay_gone(true));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ(1, vfio_stretch_hits("pci_bus_write_config_word"));

	EXPECT_EQ(-EIO, vfio_region_read(&self->d, ivshmem.bar, ivshmem.off,
					 &value, 4));

	/* It was not gone for long: who switches memory on has it. */
	ASSERT_EQ(0, overlay_gone(false));
	ASSERT_EQ(0, vfio_stretch_end());
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(4, vfio_region_read(&self->d, ivshmem.bar, ivshmem.off,
				      &value, 4));
	EXPECT_EQ(self->value, value);
}

/* Nor is a function asked in vain that was gone before. */
TEST_F(leaver, before_the_write)
{
	uint32_t value;

	ASSERT_EQ(0, overlay_gone(true));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(-EIO, vfio_region_read(&self->d, ivshmem.bar, ivshmem.off,
					 &value, 4));
	ASSERT_EQ(0, overlay_gone(false));
}

/* Who reads a lot does not keep the gate from closing. */
struct long_reads {
	const struct vfio_dev *d;
	uint64_t size;
	uint64_t whole;
	uint64_t bad;
	bool stop;
};

static void *read_long(void *arg)
{
	struct long_reads *l = arg;
	void *buf = vfio_alloc_pages(l->size);

	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
		int64_t n = vfio_region_read(l->d, 2, 0, buf, l->size);

		if (n == l->size)
			__atomic_fetch_add(&l->whole, 1, __ATOMIC_RELEASE);
		else if (n != -EIO)
			l->bad++;
	}
	munmap(buf, l->size);
	return NULL;
}

TEST(closer_among_long_reads)
{
	struct long_reads l = {};
	pthread_t thread;
	struct vfio_dev d;
	int i;

	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	l.d = &d;
	l.size = vfio_region_size(&d, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_long, &l));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, vfio_cfg_memory(&d, false));
		ASSERT_EQ(0, vfio_cfg_memory(&d, true));
		usleep(1000);
	}
	while (!__atomic_load_n(&l.whole, __ATOMIC_ACQUIRE))
		usleep(10000);
	__atomic_store_n(&l.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, l.bad);
	vfio_dev_close(&d);
}

TEST_HARNESS_MAIN
