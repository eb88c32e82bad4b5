// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reset that a first open does without: only where nothing touched the
 * function since its last close, whatever the touch; and nothing of the last
 * user is left. The tracepoints tell what the driver saw and what it did.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_pci_overlay.h"
#include "vfio_sriov.h"
#include "vfio_variants.h"

#define VFIO_VIRTIO_NET	"1af4:1041"
#define VFIO_VGA	"1234:1111"

#define SLEEP_MODULE	"test_vfio_pci_sleep"
#define SLEEP_PARAM	"/sys/module/" SLEEP_MODULE "/parameters/%s"

/* The status of a virtio device: zero after a reset, and one can be written. */
#define STATUS_BAR	4
#define STATUS		0x14
#define SOON_MS		10000
#define DECODE		(PCI_COMMAND_MEMORY | PCI_COMMAND_IO)

FIXTURE(clean)
{
	struct vfio_dev d;
	struct vfio_trace t;
	uint16_t command;	/* as the user of the first open saw it */
};

FIXTURE_VARIANT(clean)
{
	const char *id;
	int mode;
};

FIXTURE_VARIANT_ADD(clean, nvme) { VFIO_NVME };
FIXTURE_VARIANT_ADD(clean, virtio_net) { VFIO_VIRTIO_NET };
FIXTURE_VARIANT_ADD(clean, e1000e) { VFIO_E1000E };

VFIO_OTHER_MODES(clean, nvme, VFIO_NVME);

#define SELF FIXTURE_DATA(clean)
#define VARIANT FIXTURE_VARIANT(clean)

/* System errors are the host's to report, and a reset by hand stops that. */
static uint16_t command(const SELF *self)
{
	return vfio_cfg_read16(&self->d, PCI_COMMAND) & ~PCI_COMMAND_SERR;
}

/* The device is closed, and clean. */
FIXTURE_SETUP(clean)
{
	if (vfio_trace_start(&self->t))
		SKIP(_exit(KSFT_SKIP), "no tracing of vfio_pci here");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	self->command = command(self);
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_trace_enable(&self->t, true));
	ASSERT_EQ(0, vfio_trace_clear(&self->t));
}

FIXTURE_TEARDOWN(clean)
{
	vfio_dev_close(&self->d);
	vfio_pci_attr_write(self->d.bdf, "reset_on_open", "touched");
	vfio_pci_attr_write(self->d.bdf, "power/autosuspend_delay_ms", "1000");
	vfio_trace_stop(&self->t);
}

/*
 * Opens the device. Returns whether the trace tells that it was reset; @why
 * gets what it says was the cause. -1 for a trace that makes no sense.
 */
static int open_traced(SELF *self, const VARIANT *variant, char *why,
		       size_t len)
{
	char *text, *rest, *line, *at;
	int told = 0, reset = 0;

	why[0] = '\0';
	vfio_trace_clear(&self->t);
	if (vfio_dev_open(&self->d, self->d.bdf, variant->mode))
		return -1;
	text = vfio_trace_read(&self->t);
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		if (!strstr(line, self->d.bdf))
			continue;
		at = strstr(line, "touched=");
		if (strstr(line, "vfio_pci_clean:") && at) {
			snprintf(why, len, "%s", at + strlen("touched="));
			told++;
		}
		if (strstr(line, "vfio_pci_reset:") &&
		    strstr(line, "cause=enable"))
			reset++;
	}
	free(text);
	return told == 1 && reset <= 1 && reset == !!why[0] ? reset : -1;
}

#define EXPECT_OPEN(want) do {						\
	char why[128];							\
	int reset = open_traced(self, variant, why, sizeof(why));	\
									\
	ASSERT_NE(-1, reset) TH_LOG("%s", why);				\
	EXPECT_STREQ(want, why);					\
	EXPECT_EQ(self->command, command(self));			\
	vfio_dev_close(&self->d);					\
} while (0)

#define EXPECT_CLEAN()	EXPECT_OPEN("")

/* One kind is told as itself; what comes along is not our business. */
#define EXPECT_TOUCHED(want) do {					\
	char why[128];							\
	int reset = open_traced(self, variant, why, sizeof(why));	\
									\
	EXPECT_EQ(1, reset);						\
	EXPECT_NE(NULL, strstr(why, want)) TH_LOG("%s", why);		\
	EXPECT_EQ(self->command, command(self));			\
	vfio_dev_close(&self->d);					\
	/* And once only. */						\
	EXPECT_CLEAN();							\
} while (0)

/* What is written to one that sleeps is undone as it wakes. */
#define STAYS_AWAKE()							\
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,			\
					 "power/autosuspend_delay_ms", "60000"))

static uint32_t cfg_get(const char *bdf, unsigned int pos, unsigned int width)
{
	uint32_t val = 0;
	int fd = vfio_pci_config_open(bdf);

	if (fd < 0 || pread(fd, &val, width, pos) != (ssize_t)width)
		val = ~0;
	close(fd);
	return val;
}

static int cfg_put(const char *bdf, unsigned int pos, unsigned int width,
		   uint32_t val)
{
	int fd = vfio_pci_config_open(bdf);
	int ret = pwrite(fd, &val, width, pos) == (ssize_t)width ? 0 : -errno;

	close(fd);
	return ret;
}

static unsigned int cfg_cap(const char *bdf, unsigned int id)
{
	unsigned int pos = cfg_get(bdf, PCI_CAPABILITY_LIST, 1);

	while (pos && cfg_get(bdf, pos, 1) != id)
		pos = cfg_get(bdf, pos + 1, 1);
	return pos;
}

/* Again and again, soon and late. */
TEST_F(clean, untouched)
{
	int i;

	for (i = 0; i < 5; i++)
		EXPECT_CLEAN();
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended",
						 SOON_MS));
		EXPECT_CLEAN();
	}
}

/* Looking at a device is not to touch it. */
TEST_F(clean, looked_at)
{
	char buf[4096];
	int fd = vfio_pci_config_open(self->d.bdf);

	ASSERT_LT(0, pread(fd, buf, sizeof(buf), 0));
	close(fd);
	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "resource", buf,
					sizeof(buf)));
	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "reset_on_open", buf,
					sizeof(buf)));
	EXPECT_STREQ("touched", buf);
	EXPECT_CLEAN();
}

/* The last close resets, always. */
TEST_F(clean, close_resets)
{
	char why[128], *text;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(i, open_traced(self, variant, why, sizeof(why)));
		vfio_trace_clear(&self->t);
		vfio_dev_close(&self->d);
		text = vfio_trace_read(&self->t);
		EXPECT_NE(NULL, strstr(text, "cause=disable ret=0"));
		free(text);
		ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset_on_open",
						 "always"));
	}
}

/* What one user writes no other finds. */
TEST_F(clean, nothing_is_left)
{
	uint8_t mine = 1, left;
	char why[128];
	int i;

	if (strcmp(variant->id, VFIO_VIRTIO_NET))
		SKIP(return, "no register to write");
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, open_traced(self, variant, why, sizeof(why)));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		ASSERT_EQ(1, vfio_region_read(&self->d, STATUS_BAR, STATUS,
					      &left, 1));
		EXPECT_EQ(0, left);
		ASSERT_EQ(1, vfio_region_write(&self->d, STATUS_BAR, STATUS,
					       &mine, 1));
		ASSERT_EQ(1, vfio_region_read(&self->d, STATUS_BAR, STATUS,
					      &left, 1));
		EXPECT_EQ(mine, left);
		ASSERT_EQ(0, vfio_cfg_write8(&self->d, PCI_CACHE_LINE_SIZE,
					     8 * i));
		ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MASTER |
					      PCI_COMMAND_INTX_DISABLE, 0));
		if (i & 1)
			ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
		vfio_dev_close(&self->d);
	}
}

/* Closed, it decodes nothing; its memory cannot be written unseen. */
TEST_F(clean, sealed)
{
	uint8_t mine = 1, left;
	uint16_t cmd;
	char why[128];
	uint8_t *map;

	if (strcmp(variant->id, VFIO_VIRTIO_NET))
		SKIP(return, "no register to write");
	STAYS_AWAKE();
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "power/control", "on"));
	cmd = cfg_get(self->d.bdf, PCI_COMMAND, 2);
	EXPECT_EQ(0, cmd & DECODE);
	map = vfio_pci_resource_map(self->d.bdf, STATUS_BAR);
	ASSERT_NE(MAP_FAILED, map);
	*(volatile uint8_t *)(map + STATUS) = mine;
	EXPECT_NE(mine, *(volatile uint8_t *)(map + STATUS));
	munmap(map, 4096);
	ASSERT_EQ(0, open_traced(self, variant, why, sizeof(why)));
	EXPECT_STREQ("", why);
	ASSERT_EQ(1, vfio_region_read(&self->d, STATUS_BAR, STATUS, &left, 1));
	EXPECT_EQ(0, left);
	vfio_dev_close(&self->d);

	/* Who breaks the seal can write, and is seen. */
	map = vfio_pci_resource_map(self->d.bdf, STATUS_BAR);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, cfg_put(self->d.bdf, PCI_COMMAND, 2,
			     cmd | PCI_COMMAND_MEMORY));
	*(volatile uint8_t *)(map + STATUS) = mine;
	EXPECT_EQ(mine, *(volatile uint8_t *)(map + STATUS));
	munmap(map, 4096);
	ASSERT_EQ(1, open_traced(self, variant, why, sizeof(why)));
	EXPECT_STREQ("config", why);
	ASSERT_EQ(1, vfio_region_read(&self->d, STATUS_BAR, STATUS, &left, 1));
	EXPECT_EQ(0, left);
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "power/control", "auto"));
}

/* Without the policy the function is left as it always was. */
TEST_F(clean, policy)
{
	char buf[32];

	EXPECT_EQ(-EINVAL, vfio_pci_attr_write(self->d.bdf, "reset_on_open",
					       "sometimes"));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset_on_open",
					 "always\n"));
	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "reset_on_open", buf,
					sizeof(buf)));
	EXPECT_STREQ("always", buf);
	EXPECT_OPEN("policy");
	EXPECT_OPEN("user|policy");
	EXPECT_EQ(self->command & DECODE,
		  cfg_get(self->d.bdf, PCI_COMMAND, 2) & DECODE);
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset_on_open",
					 "touched\n"));
	EXPECT_TOUCHED("user");
}

/* Who resets the device himself gets it as it is, and can. */
TEST_F(clean, never)
{
	struct vfio_device_info info;
	char *text, buf[32];

	ASSERT_EQ(0, vfio_pci_unbind(self->d.bdf));
	ASSERT_EQ(0, vfio_pci_bind(self->d.bdf));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset_on_open", "never"));
	vfio_trace_clear(&self->t);
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	text = vfio_trace_read(&self->t);
	EXPECT_EQ(NULL, strstr(text, "vfio_pci_reset:"));
	free(text);
	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "reset_reasons", buf,
					sizeof(buf)));
	EXPECT_STREQ("user", buf);
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	EXPECT_NE(0, info.flags & VFIO_DEVICE_FLAGS_RESET);
	EXPECT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET, NULL));
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset_on_open",
					 "touched"));
	EXPECT_CLEAN();
	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "reset_reasons", buf,
					sizeof(buf)));
	EXPECT_STREQ("", buf);
}

/* What others can change is reset each time, and that is said. */
TEST_F(clean, shared)
{
	static const char *const ids[] = { VFIO_E1000E "#1", VFIO_VGA };
	char bdf[VFIO_BDF_LEN], buf[32];
	unsigned int i;

	if (strcmp(variant->id, VFIO_NVME))
		SKIP(return, "once is enough");
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		if (vfio_pci_resolve(ids[i], bdf) || vfio_pci_bind_group(bdf))
			SKIP(return, "no such device");
		memcpy(self->d.bdf, bdf, VFIO_BDF_LEN);
		/* As the last user left it, or anew. */
		EXPECT_EQ(1, open_traced(self, variant, buf, sizeof(buf)));
		vfio_dev_close(&self->d);
		EXPECT_EQ(1, open_traced(self, variant, buf, sizeof(buf)));
		EXPECT_STREQ("user|shared", buf);
		vfio_dev_close(&self->d);
		ASSERT_EQ(0, vfio_pci_attr_read(bdf, "reset_reasons", buf,
						sizeof(buf)));
		EXPECT_STREQ("user shared", buf);
	}
}

/* What devices begin with. */
TEST_F(clean, policy_of_the_module)
{
	const char *parameter = "/sys/module/vfio_pci/parameters/reset_on_open";
	char buf[32];

	ASSERT_EQ(0, vfio_sysfs_read(parameter, buf, sizeof(buf)));
	EXPECT_STREQ("touched", buf);
	EXPECT_EQ(-EINVAL, vfio_sysfs_write(parameter, "never"));
	ASSERT_EQ(0, vfio_sysfs_write(parameter, "always"));
	ASSERT_EQ(0, vfio_pci_unbind(self->d.bdf));
	EXPECT_OPEN("user|policy");
	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "reset_on_open", buf,
					sizeof(buf)));
	EXPECT_STREQ("always", buf);
	ASSERT_EQ(0, vfio_sysfs_write(parameter, "touched"));
}

/* The next driver gets the function as it would from any other. */
TEST_F(clean, rebound)
{
	ASSERT_EQ(0, cfg_get(self->d.bdf, PCI_COMMAND, 2) & DECODE);
	ASSERT_EQ(0, vfio_pci_unbind(self->d.bdf));
	EXPECT_EQ(self->command & DECODE,
		  cfg_get(self->d.bdf, PCI_COMMAND, 2) & DECODE);
	EXPECT_TOUCHED("user");
}

TEST_F(clean, other_driver)
{
	if (strcmp(variant->id, VFIO_NVME) || vfio_modprobe("nvme"))
		SKIP(return, "no other driver");
	ASSERT_EQ(0, vfio_pci_bind_to(self->d.bdf, "nvme"));
	ASSERT_EQ(0, vfio_pci_bind(self->d.bdf));
	EXPECT_TOUCHED("user");
}

TEST_F(clean, config_write)
{
	uint8_t line = cfg_get(self->d.bdf, PCI_INTERRUPT_LINE, 1);
	uint16_t cmd = cfg_get(self->d.bdf, PCI_COMMAND, 2);
	unsigned int pos = PCI_BASE_ADDRESS_0;
	uint32_t bar;

	STAYS_AWAKE();
	ASSERT_EQ(0, cfg_put(self->d.bdf, PCI_INTERRUPT_LINE, 1, line ^ 1));
	EXPECT_TOUCHED("config");
	ASSERT_EQ(0, cfg_put(self->d.bdf, PCI_INTERRUPT_LINE, 1, line));
	EXPECT_TOUCHED("config");

	ASSERT_EQ(0, cfg_put(self->d.bdf, PCI_COMMAND, 2,
			     cmd | PCI_COMMAND_MASTER));
	EXPECT_TOUCHED("config");

	while (!(bar = cfg_get(self->d.bdf, pos, 4)))
		pos += 4;
	/* An address is put right by the open that finds it. */
	ASSERT_EQ(0, cfg_put(self->d.bdf, pos, 4, bar ^ 0x80000000));
	EXPECT_TOUCHED("config");
	EXPECT_EQ(bar, cfg_get(self->d.bdf, pos, 4));
}

/* What is written to one that sleeps is not lost from sight as it wakes. */
TEST_F(clean, config_write_asleep)
{
	uint8_t line = cfg_get(self->d.bdf, PCI_INTERRUPT_LINE, 1);
	unsigned int pm;
	uint16_t pmcsr;

	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS));
	ASSERT_EQ(0, cfg_put(self->d.bdf, PCI_INTERRUPT_LINE, 1, line ^ 1));
	EXPECT_TOUCHED("config");

	/* Woken behind the kernel's back, its memory could be written. */
	pm = cfg_cap(self->d.bdf, PCI_CAP_ID_PM);
	if (!pm)
		SKIP(return, "no power management");
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS));
	pmcsr = cfg_get(self->d.bdf, pm + PCI_PM_CTRL, 2);
	EXPECT_EQ(3, pmcsr & PCI_PM_CTRL_STATE_MASK);
	ASSERT_EQ(0, cfg_put(self->d.bdf, pm + PCI_PM_CTRL, 2,
			     pmcsr & ~PCI_PM_CTRL_STATE_MASK));
	EXPECT_TOUCHED("config");
}

/*
 * Resets by hand lose addresses and what errors are reported, which the next open puts
 * back.
 */
#define HEADER	(PCI_ROM_ADDRESS / 4)

struct kept {
	uint32_t header[HEADER];
	uint16_t ctl;
};

static void keep(const char *bdf, struct kept *kept)
{
	int i;

	for (i = 0; i < HEADER; i++)
		kept->header[i] = cfg_get(bdf, 4 * i, 4);
	kept->ctl = cfg_get(bdf, cfg_cap(bdf, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2);
}

#define EXPECT_KEPT(want) do {						\
	struct kept now = {};						\
									\
	keep(self->d.bdf, &now);					\
	EXPECT_EQ(0, memcmp(want, &now, sizeof(now)));			\
} while (0)

TEST_F(clean, config_flr)
{
	unsigned int cap = cfg_cap(self->d.bdf, PCI_CAP_ID_EXP);
	struct kept kept = {};

	if (!(cfg_get(self->d.bdf, cap + PCI_EXP_DEVCAP, 4) &
	      PCI_EXP_DEVCAP_FLR))
		SKIP(return, "no function-level reset");
	STAYS_AWAKE();
	keep(self->d.bdf, &kept);
	ASSERT_EQ(0, cfg_put(self->d.bdf, cap + PCI_EXP_DEVCTL, 2,
			     kept.ctl | PCI_EXP_DEVCTL_BCR_FLR));
	usleep(200000);
	EXPECT_TOUCHED("config");
	EXPECT_KEPT(&kept);
}

/* A reset of the bus, by the bridge's own register. */
TEST_F(clean, bus_reset)
{
	char path[128], *target, bridge[VFIO_BDF_LEN];
	struct kept kept = {};
	uint16_t ctl;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s",
		 self->d.bdf);
	target = realpath(path, NULL);
	ASSERT_NE(NULL, target);
	*strrchr(target, '/') = '\0';
	snprintf(bridge, sizeof(bridge), "%.12s", strrchr(target, '/') + 1);
	free(target);
	STAYS_AWAKE();
	keep(self->d.bdf, &kept);
	ctl = cfg_get(bridge, PCI_BRIDGE_CONTROL, 2);
	ASSERT_EQ(0, cfg_put(bridge, PCI_BRIDGE_CONTROL, 2,
			     ctl | PCI_BRIDGE_CTL_BUS_RESET));
	usleep(2000);
	ASSERT_EQ(0, cfg_put(bridge, PCI_BRIDGE_CONTROL, 2, ctl));
	usleep(200000);
	EXPECT_TOUCHED("config");
	EXPECT_KEPT(&kept);
}

TEST_F(clean, sysfs_reset)
{
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset", "1"));
	EXPECT_TOUCHED("reset");
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset", "1"));
	EXPECT_TOUCHED("reset");
}

TEST_F(clean, reset_method)
{
	char was[64];

	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "reset_method", was,
					sizeof(was)));
	if (vfio_pci_attr_write(self->d.bdf, "reset_method", "bus"))
		SKIP(return, "no other method");
	EXPECT_TOUCHED("methods");
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset_method", was));
	EXPECT_TOUCHED("methods");
}

/* The kernel says so, once, of a bridge that is not locked meanwhile. */
TEST_F(clean, bridge_is_locked)
{
	char was[64];
	int klog;

	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf, "reset_method", was,
					sizeof(was)));
	if (vfio_pci_attr_write(self->d.bdf, "reset_method", "bus"))
		SKIP(return, "no reset by the bus");
	klog = vfio_klog_open();
	ASSERT_LE(0, klog);
	EXPECT_EQ(0, vfio_sysfs_write("/sys/kernel/debug/clear_warn_once", "1"));
	EXPECT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	EXPECT_EQ(0, vfio_klog_count(klog, "unlocked secondary bus reset"));
	EXPECT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET, NULL));
	EXPECT_EQ(0, vfio_klog_count(klog, "unlocked secondary bus reset"));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_count(klog, "unlocked secondary bus reset"));
	close(klog);
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "reset_method", was));
}

/* What it forgets meanwhile is not our business; what we made of it is. */
TEST_F(clean, silent)
{
	struct kept before = {}, after = {};
	uint64_t began;
	char set[64];

	STAYS_AWAKE();
	keep(self->d.bdf, &before);
	snprintf(set, sizeof(set), "set=%s+0=silent", self->d.bdf);
	if (vfio_overlay_load(set, NULL))
		SKIP(return, "no test_pci_overlay.ko here");
	began = vfio_now_ms();
	EXPECT_EQ(-EIO, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	EXPECT_GT(1000, vfio_now_ms() - began);
	/* It does not fall asleep: what would be saved is ones. */
	EXPECT_EQ(0, vfio_pci_attr_write(self->d.bdf,
					 "power/autosuspend_delay_ms", "0"));
	usleep(200000);
	began = vfio_now_ms();
	EXPECT_EQ(-EIO, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	EXPECT_GT(1000, vfio_now_ms() - began);
	usleep(200000);
	ASSERT_EQ(0, vfio_overlay_unload(NULL));
	keep(self->d.bdf, &after);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	EXPECT_EQ(self->command, command(self));
	EXPECT_EQ(0, vfio_cfg_memory(&self->d, true));
	vfio_dev_close(&self->d);
	STAYS_AWAKE();
	EXPECT_CLEAN();
}

/* One that did not answer when it was to fall asleep does when it answers. */
TEST_F(clean, silent_falls_asleep)
{
	static const char *const delays[] = { "200", "0" };
	char set[64];
	int i;

	if (variant->mode)
		SKIP(return, "as on the others");
	snprintf(set, sizeof(set), "set=%s+0=silent", self->d.bdf);
	for (i = 0; i < ARRAY_SIZE(delays); i++) {
		STAYS_AWAKE();
		ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "power/control", "on"));
		ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "power/control", "auto"));
		if (vfio_overlay_load(set, NULL))
			SKIP(return, "no test_pci_overlay.ko here");
		ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,
						 "power/autosuspend_delay_ms",
						 delays[i]));
		usleep(500000);
		EXPECT_EQ(0, vfio_runtime_status(self->d.bdf, "active", 0));
		ASSERT_EQ(0, vfio_overlay_unload(NULL));
		EXPECT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS));
	}
}

/* One that is not ready is waited for, and the PCI core gives up after a minute. */
TEST_F_TIMEOUT(clean, not_ready, 120)
{
	char set[128];

	if (strcmp(variant->id, VFIO_NVME) || variant->mode)
		SKIP(return, "once is enough");
	/* By the one or by the other the PCI core sees it. */
	snprintf(set, sizeof(set), "set=%s+0=ffff0001,%s+4=ffffffff",
		 self->d.bdf, self->d.bdf);
	if (vfio_overlay_load(set, NULL))
		SKIP(return, "no test_pci_overlay.ko here");
	EXPECT_EQ(-EIO, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	ASSERT_EQ(0, vfio_overlay_unload(NULL));
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, variant->mode));
	EXPECT_EQ(self->command, command(self));
	vfio_dev_close(&self->d);
	EXPECT_CLEAN();
}

TEST_F(clean, woken)
{
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "power/control", "on"));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "power/control", "auto"));
	EXPECT_TOUCHED("woken");
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "d3cold_allowed", "0"));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf, "d3cold_allowed", "1"));
	EXPECT_TOUCHED("woken");
}

TEST_F(clean, system_sleep)
{
	char path[128];

	if (vfio_modprobe(SLEEP_MODULE))
		SKIP(return, "no module " SLEEP_MODULE);
	snprintf(path, sizeof(path), SLEEP_PARAM, "suspend");
	ASSERT_EQ(0, vfio_sysfs_write(path, self->d.bdf));
	snprintf(path, sizeof(path), SLEEP_PARAM, "resume");
	ASSERT_EQ(0, vfio_sysfs_write(path, self->d.bdf));
	EXPECT_TOUCHED("sleep");
}

TEST_F(clean, platform_error)
{
	char id[64];

	if (!vfio_monitor_is_there())
		SKIP(return, "nobody injects errors");
	if (strcmp(variant->id, VFIO_VIRTIO_NET))
		SKIP(return, "no AER");
	ASSERT_EQ(0, vfio_monitor_id(self->d.bdf, id, sizeof(id)));
	ASSERT_EQ(0, vfio_monitor_fatal_error(id));
	sleep(2);
	EXPECT_TOUCHED("error");
}

/* Another function of the slot resets the bus that both are on. */
TEST_F(clean, hot_reset)
{
	char peers[8][VFIO_BDF_LEN];
	struct vfio_dev other;
	char why[128];
	int i, n;

	if (strcmp(variant->id, VFIO_E1000E) ||
	    vfio_pci_resolve(VFIO_E1000E "#1", self->d.bdf))
		SKIP(return, "alone");
	n = vfio_pci_group_peers(self->d.bdf, peers, 8);
	ASSERT_LE(2, n);
	for (i = 0; !strcmp(peers[i], self->d.bdf); i++)
		;
	ASSERT_EQ(0, vfio_dev_open(&other, peers[i], variant->mode));
	ASSERT_EQ(0, vfio_dev_hot_reset(&other));
	vfio_dev_close(&other);
	EXPECT_EQ(1, open_traced(self, variant, why, sizeof(why)));
	EXPECT_NE(NULL, strstr(why, "reset")) TH_LOG("%s", why);
}

/* A device that was closed a moment ago is awake, for as long as one likes. */
TEST_F(clean, autosuspend)
{
	char buf[32];
	char why[128];

	ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf,
					"power/autosuspend_delay_ms", buf,
					sizeof(buf)));
	EXPECT_STREQ("1000", buf);
	EXPECT_CLEAN();
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "active", 0));
	usleep(100000);
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "active", 0));
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS));

	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,
					 "power/autosuspend_delay_ms", "0"));
	EXPECT_CLEAN();
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", 500));

	/* In low power nothing is waited for. */
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,
					 "power/autosuspend_delay_ms",
					 "60000"));
	ASSERT_EQ(0, open_traced(self, variant, why, sizeof(why)));
	ASSERT_EQ(0, vfio_low_power(&self->d,
				    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1));
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", 2000));
	ASSERT_NE(~0u, vfio_cfg_read32(&self->d, 0));
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", 2000));
	vfio_dev_close(&self->d);
	usleep(200000);
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "active", 0));
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,
					 "power/autosuspend_delay_ms",
					 "1000"));
	EXPECT_CLEAN();
}

/* One that is just falling asleep looks like neither. */
TEST_F(clean, falls_asleep)
{
	int ms;

	if (variant->mode || strcmp(variant->id, VFIO_NVME))
		SKIP(return, "as on the others");
	ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,
					 "power/autosuspend_delay_ms", "20"));
	for (ms = 0; ms < 40; ms++) {
		EXPECT_CLEAN();
		usleep(1000 * ms);
	}
}

/* A PF whose VFs come and go. */
TEST_F(clean, sriov)
{
	char pf[VFIO_BDF_LEN], vf[2][VFIO_BDF_LEN];

	if (strcmp(variant->id, VFIO_NVME) || vfio_sriov_find(pf))
		SKIP(return, "no VFs");
	memcpy(self->d.bdf, pf, VFIO_BDF_LEN);
	EXPECT_OPEN("user");
	EXPECT_CLEAN();
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "1"));
	ASSERT_EQ(0, vfio_sriov_make(pf, vf));
	ASSERT_EQ(0, vfio_sriov_set(pf, 0));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "0"));
	EXPECT_TOUCHED("sriov");
}

/* A VF, whose memory nothing shuts: each open resets it. */
TEST_F(clean, vf)
{
	char pf[VFIO_BDF_LEN], vf[2][VFIO_BDF_LEN];
	int i, reset;
	char why[128];

	if (strcmp(variant->id, VFIO_NVME) || vfio_sriov_find(pf) ||
	    vfio_modprobe("nvme"))
		SKIP(return, "no VFs");
	/* A user's PF would ask for a token. */
	ASSERT_EQ(0, vfio_pci_bind_to(pf, "nvme"));
	ASSERT_EQ(0, vfio_sriov_make(pf, vf));
	memcpy(self->d.bdf, vf[0], VFIO_BDF_LEN);
	for (i = 0; i < 3; i++) {
		reset = open_traced(self, variant, why, sizeof(why));
		EXPECT_EQ(1, reset);
		EXPECT_STREQ(i ? "user|exposed" : "user", why);
		vfio_dev_close(&self->d);
	}
	ASSERT_EQ(0, vfio_pci_unbind(vf[0]));
	ASSERT_EQ(0, vfio_sriov_set(pf, 0));
	ASSERT_EQ(0, vfio_pci_bind(pf));
}

TEST_HARNESS_MAIN
