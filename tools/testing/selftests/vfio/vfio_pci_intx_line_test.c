// SPDX-License-Identifier: GPL-2.0-only
/*
 * A user's device on an interrupt line that it shares with a card of the host.
 *
 * Whatever the user does to it, interrupts of that card go on arriving, and the
 * line does not fire without end: after 100,000 interrupts that nobody wants the
 * kernel switches it off for all. Devices in slots whose numbers differ by a
 * multiple of four share one.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "vfio_pci_irq.h"
#include "vfio_gate.h"

#define NEIGHBOUR	"test_pci_neighbour"
#define LEVEL_HANDLER	"handle_fasteoi_irq"
#define STRETCH_US	500000
/* A line that fires without end does so more often in the time of watching. */
#define STORM		2000
#define WATCH_MS	300

#define E1000E_ICR	0xc0
#define E1000E_ICS	0xc8
#define E1000E_IMS	0xd0
#define E1000E_IMC	0xd8
#define E1000E_LSC	0x04

FIXTURE(line)
{
	struct vfio_dev d;
	char neighbour[VFIO_BDF_LEN];
	int irq;
	int efd;
	int config;
	bool pm;
};

FIXTURE_VARIANT(line)
{
	const char *id;
};

/* One has no power management and no reset, the other has both. */
FIXTURE_VARIANT_ADD(line, edu) { EDU };
FIXTURE_VARIANT_ADD(line, e1000e) { E1000E };

#define SELF FIXTURE_DATA(line)

static int irq_of(const char *bdf)
{
	char text[16];

	return vfio_pci_attr_read(bdf, "irq", text, sizeof(text)) < 0 ?
	       -1 : atoi(text);
}

/* What the wires of the root bus depend on; -1 for a device elsewhere. */
static int wire_of(const char *bdf)
{
	unsigned int bus, slot;

	if (sscanf(bdf, "%*x:%x:%x", &bus, &slot) != 2 || bus)
		return -1;
	return slot % 4;
}

/* The host's card, an edu, and a user's device @id on the same line, as @bdf. */
static int find_pair(char *card, const char *id, char *bdf)
{
	char name[32];
	int i, j;

	for (i = 0; ; i++) {
		snprintf(name, sizeof(name), EDU "#%d", i);
		if (vfio_pci_resolve(name, card))
			return -ENXIO;
		for (j = 0; wire_of(card) >= 0; j++) {
			snprintf(name, sizeof(name), "%s#%d", id, j);
			if (vfio_pci_resolve(name, bdf))
				break;
			if (strcmp(bdf, card) && wire_of(bdf) == wire_of(card))
				return 0;
		}
	}
}

static int assert_line(const SELF *self)
{
	struct vfio_dev *d = (void *)&self->d;

	if (!self->pm)
		return edu_raise(d);
	return reg_write(d, 0, E1000E_IMS, E1000E_LSC) ?:
	       reg_write(d, 0, E1000E_ICS, E1000E_LSC);
}

static int drop_line(const SELF *self)
{
	struct vfio_dev *d = (void *)&self->d;

	if (!self->pm)
		return edu_ack(d);
	return reg_write(d, 0, E1000E_IMC, ~0u) ?:
	       reg_write(d, 0, E1000E_ICR, ~0u);
}

/* How often the line has fired. */
static long fired(const SELF *self)
{
	char path[64], text[256], *p;
	long n = 0;

	snprintf(path, sizeof(path), "/sys/kernel/irq/%d/per_cpu_count",
		 self->irq);
	if (vfio_sysfs_read(path, text, sizeof(text)) < 0)
		return -1;
	for (p = strtok(text, ",\n"); p; p = strtok(NULL, ",\n"))
		n += atol(p);
	return n;
}

static int neighbour_count(const SELF *self)
{
	char text[16];

	return vfio_pci_attr_read(self->neighbour, "interrupts", text,
				  sizeof(text)) < 0 ? -1 : atoi(text);
}

/* 0, or what is wrong with the line. */
static const char *line_trouble(const SELF *self)
{
	long before = fired(self);
	int i, n, count;

	usleep(WATCH_MS * 1000);
	for (i = 0; i < 3; i++) {
		count = neighbour_count(self);
		if (vfio_pci_attr_write(self->neighbour, "raise", "1"))
			return "the neighbour is gone";
		for (n = 0; n < 200 && neighbour_count(self) == count; n++)
			usleep(5000);
		if (neighbour_count(self) == count)
			return "the neighbour is not heard";
	}
	return fired(self) - before > STORM ? "the line fires without end" :
					      "";
}

#define LINE_IS_QUIET() EXPECT_STREQ("", line_trouble(self))

static bool line_is_off(const SELF *self)
{
	uint16_t cmd = 0;

	pread(self->config, &cmd, 2, PCI_COMMAND);
	return cmd & PCI_COMMAND_INTX_DISABLE;
}

static int open_user(SELF *self, const char *bdf)
{
	int ret = vfio_dev_open(&self->d, bdf, 0);

	if (ret)
		return ret;
	return vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE);
}

FIXTURE_SETUP(line)
{
	char bdf[VFIO_BDF_LEN];

	vfio_dev_init(&self->d);
	if (vfio_modprobe(NEIGHBOUR))
		SKIP(_exit(KSFT_SKIP), "no module " NEIGHBOUR);
	if (find_pair(self->neighbour, variant->id, bdf))
		SKIP(_exit(KSFT_SKIP), "no devices that share a line");

	ASSERT_EQ(0, vfio_pci_bind_to(self->neighbour, NEIGHBOUR));
	ASSERT_EQ(0, open_user(self, bdf));
	ASSERT_EQ(irq_of(self->neighbour), irq_of(bdf));
	self->pm = vfio_cfg_cap(&self->d, PCI_CAP_ID_PM) > 0;
	self->irq = irq_of(bdf);
	self->config = vfio_pci_config_open(bdf);
	ASSERT_LE(0, self->config);
	self->efd = vfio_eventfd();
	ASSERT_LE(0, self->efd);
	ASSERT_EQ(0, drop_line(self));
	LINE_IS_QUIET();
}

FIXTURE_TEARDOWN(line)
{
	drop_line(self);
	vfio_dev_close(&self->d);
	close(self->efd);
	close(self->config);
	vfio_stretch_end();
	vfio_pci_restore(self->neighbour);
	vfio_module_remove(NEIGHBOUR);
}

#define ARM() ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd))
#define MASK_IT() ASSERT_EQ(0, vfio_irq_mask(&self->d, INTX, 0, 1))
#define UNMASK_IT() ASSERT_EQ(0, vfio_irq_unmask(&self->d, INTX, 0, 1))
#define POWER(state) ASSERT_EQ(0, vfio_cfg_power(&self->d, state))

/* An interrupt arrives once, and once more after it was dropped and raised. */
#define LINE_WORKS() do {						\
	ASSERT_EQ(0, assert_line(self));				\
	EXPECT_EVENT(self->efd);					\
	ASSERT_EQ(0, drop_line(self));					\
	UNMASK_IT();							\
	EXPECT_SILENT(self->efd);					\
	ASSERT_EQ(0, assert_line(self));				\
	EXPECT_EVENT(self->efd);					\
	LINE_IS_QUIET();						\
} while (0)

TEST_F(line, works)
{
	ARM();
	LINE_WORKS();
}

TEST_F(line, nobody_listens)
{
	EXPECT_EQ(0, vfio_cfg_read16(&self->d, PCI_COMMAND) &
		     PCI_COMMAND_INTX_DISABLE);
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();

	/* It is heard once somebody does. */
	ARM();
	EXPECT_EVENT(self->efd);
	LINE_IS_QUIET();

	/* Nor does anybody afterwards, whatever the user's register says. */
	ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));
	LINE_IS_QUIET();
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_INTX_DISABLE, 0));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_INTX_DISABLE));
	LINE_IS_QUIET();
}

/* The interrupt core gives the line back with MSI, or when there is none. */
TEST_F(line, nobody_listens_after_msi)
{
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSI));
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();
	ARM();
	EXPECT_EVENT(self->efd);
}

/* Without a reset it still asserts the line when its user has gone. */
TEST_F(line, user_goes)
{
	char bdf[VFIO_BDF_LEN];

	snprintf(bdf, sizeof(bdf), "%s", self->d.bdf);
	ASSERT_EQ(0, assert_line(self));
	vfio_dev_close(&self->d);
	LINE_IS_QUIET();
	ASSERT_EQ(0, open_user(self, bdf));
	LINE_IS_QUIET();
}

/* What the last user wrote to DisINTx is not the next one's. */
TEST_F(line, next_user)
{
	char bdf[VFIO_BDF_LEN];
	uint8_t low = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	snprintf(bdf, sizeof(bdf), "%s", self->d.bdf);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_INTX_DISABLE, 0));
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_dev_open(&self->d, bdf, 0));
	ASSERT_EQ(0, vfio_cfg_write8(&self->d, PCI_COMMAND, low));
	EXPECT_EQ(0, vfio_cfg_read16(&self->d, PCI_COMMAND) &
		     PCI_COMMAND_INTX_DISABLE);
	ARM();
	LINE_WORKS();
}

/* Who must not be masked by its own bit has the line for itself, or not at all. */
TEST_F(line, nointxmask)
{
	const char *parameter = "/sys/module/vfio_pci/parameters/nointxmask";
	char bdf[VFIO_BDF_LEN];

	snprintf(bdf, sizeof(bdf), "%s", self->d.bdf);
	ASSERT_EQ(0, vfio_sysfs_write(parameter, "Y"));
	/* This one was bound before. */
	EXPECT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_pci_unbind(bdf));
	EXPECT_EQ(0, open_user(self, bdf));
	EXPECT_EQ(-EBUSY, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	EXPECT_EQ(0, vfio_sysfs_write(parameter, "N"));
	EXPECT_EQ(-EBUSY, vfio_irq_eventfd(&self->d, INTX, 0, self->efd));
	LINE_IS_QUIET();
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_pci_unbind(bdf));
	ASSERT_EQ(0, open_user(self, bdf));
	ARM();
	LINE_WORKS();
}

TEST_F(line, masked_in_d3)
{
	if (!self->pm)
		SKIP(return, "no power management");
	ARM();
	POWER(3);
	MASK_IT();
	POWER(0);
	EXPECT_TRUE(line_is_off(self));
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();
	EXPECT_SILENT(self->efd);
	UNMASK_IT();
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, drop_line(self));
	UNMASK_IT();
	LINE_WORKS();
}

TEST_F(line, unmasked_in_d3)
{
	if (!self->pm)
		SKIP(return, "no power management");
	ARM();
	MASK_IT();
	POWER(3);
	UNMASK_IT();
	POWER(0);
	EXPECT_FALSE(line_is_off(self));
	LINE_WORKS();
}

TEST_F(line, armed_and_disarmed_in_d3)
{
	if (!self->pm)
		SKIP(return, "no power management");
	POWER(3);
	ARM();
	POWER(0);
	LINE_WORKS();
	ASSERT_EQ(0, drop_line(self));
	UNMASK_IT();
	POWER(3);
	ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));
	POWER(0);
	EXPECT_TRUE(line_is_off(self));
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();
}

/* Neither the reset nor what is restored after it asks what was masked since. */
static void *reset_thread(void *arg)
{
	const struct vfio_dev *d = arg;

	prctl(PR_SET_NAME, "intx_other");
	return (void *)(long)vfio_ioctl(d->device, VFIO_DEVICE_RESET);
}

static bool hits(const char *function)
{
	int i;

	for (i = 0; i < 1000 && !vfio_stretch_hits(function); i++)
		usleep(1000);
	return vfio_stretch_hits(function) > 0;
}

/* In between it is in the window that was stretched. */
#define START_RESET() do {						\
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_thread,	\
				    &self->d));				\
	ASSERT_TRUE(hits("pci_save_state"));				\
} while (0)

#define END_RESET() do {						\
	ASSERT_EQ(0, pthread_join(thread, &ret));			\
	ASSERT_EQ(NULL, ret);						\
} while (0)

TEST_F(line, masked_in_a_reset)
{
	pthread_t thread;
	void *ret;

	if (!self->pm)
		SKIP(return, "no reset");
	if (vfio_stretch("pci_save_state", STRETCH_US, "after", "intx_other"))
		SKIP(return, "no module test_stretch");
	ARM();
	START_RESET();
	MASK_IT();
	END_RESET();
	EXPECT_TRUE(line_is_off(self));
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();
	UNMASK_IT();
	EXPECT_EVENT(self->efd);
}

TEST_F(line, unmasked_in_a_reset)
{
	pthread_t thread;
	void *ret;

	if (!self->pm)
		SKIP(return, "no reset");
	if (vfio_stretch("pci_save_state", STRETCH_US, "after", "intx_other"))
		SKIP(return, "no module test_stretch");
	ARM();
	MASK_IT();
	START_RESET();
	UNMASK_IT();
	END_RESET();
	LINE_WORKS();
}

/*
 * The device's cable is pulled when the reset has begun. What it signals then is
 * heard when that is over. The neighbour interrupts during all of it.
 */
TEST_F(line, asserted_in_a_reset)
{
	char id[64], hmp[96];
	pthread_t thread;
	void *ret;

	if (!self->pm)
		SKIP(return, "no reset");
	if (!vfio_monitor_is_there())
		SKIP(return, "needs VFIO_TEST_MONITOR");
	ASSERT_EQ(0, vfio_monitor_id(self->d.bdf, id, sizeof(id)));
	if (vfio_stretch("pci_save_state", STRETCH_US, "after", "intx_other"))
		SKIP(return, "no module test_stretch");
	ASSERT_EQ(0, reg_write(&self->d, 0, E1000E_IMS, E1000E_LSC));
	ARM();
	START_RESET();
	snprintf(hmp, sizeof(hmp), "set_link %s off", id);
	ASSERT_EQ(0, vfio_monitor(hmp, NULL, 0));
	LINE_IS_QUIET();
	END_RESET();
	/* QEMU's resets of it are no more than a visit to D3hot. */
	LINE_IS_QUIET();
	EXPECT_EVENT(self->efd);
	EXPECT_TRUE(line_is_off(self));
	ASSERT_EQ(0, drop_line(self));
	UNMASK_IT();
	snprintf(hmp, sizeof(hmp), "set_link %s on", id);
	ASSERT_EQ(0, vfio_monitor(hmp, NULL, 0));
	LINE_WORKS();
}

static void *sysfs_reset_thread(void *arg)
{
	const struct vfio_dev *d = arg;

	prctl(PR_SET_NAME, "intx_other");
	return (void *)(long)vfio_pci_attr_write(d->bdf, "reset", "1");
}

/* Somebody else's reset, which does not ask what was masked since either. */
TEST_F(line, reset_by_sysfs)
{
	pthread_t thread;
	void *ret;

	if (!self->pm)
		SKIP(return, "no reset");
	if (vfio_stretch("pci_save_state", STRETCH_US, "after", "intx_other"))
		SKIP(return, "no module test_stretch");
	ARM();
	ASSERT_EQ(0, pthread_create(&thread, NULL, sysfs_reset_thread,
				    &self->d));
	ASSERT_TRUE(hits("pci_save_state"));
	MASK_IT();
	END_RESET();
	EXPECT_TRUE(line_is_off(self));
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();
	UNMASK_IT();
	EXPECT_EVENT(self->efd);
}

/* To ask for the ROM's size has memory decode for a moment. */
static void *rom_thread(void *arg)
{
	struct vfio_region_info info;

	prctl(PR_SET_NAME, "intx_other");
	return (void *)(long)vfio_region_info(arg, VFIO_PCI_ROM_REGION_INDEX,
					      &info);
}

TEST_F(line, masked_while_the_rom_is_sized)
{
	pthread_t thread;
	void *ret;

	if (!vfio_region_size(&self->d, VFIO_PCI_ROM_REGION_INDEX))
		SKIP(return, "no ROM");
	/* Between the reading and the writing of the register. */
	if (vfio_stretch("pci_write_config_word", STRETCH_US, "before",
			 "intx_other"))
		SKIP(return, "no module test_stretch");
	ARM();
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, pthread_create(&thread, NULL, rom_thread, &self->d));
	usleep(STRETCH_US / 2);
	MASK_IT();
	ASSERT_EQ(0, pthread_join(thread, &ret));
	ASSERT_EQ(NULL, ret);
	EXPECT_TRUE(line_is_off(self));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();
}

/* Masked, and the register says otherwise: a reset that nobody told us of. */
TEST_F(line, unmasked_behind_our_back)
{
	uint16_t cmd = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	ARM();
	MASK_IT();
	ASSERT_EQ(2, pwrite(self->config, &cmd, 2, PCI_COMMAND));
	ASSERT_EQ(0, assert_line(self));
	LINE_IS_QUIET();
	EXPECT_SILENT(self->efd);
	UNMASK_IT();
	EXPECT_EVENT(self->efd);
}

/* A device that is suspended keeps quiet, and remembers what it was told. */
TEST_F(line, low_power)
{
	ARM();
	ASSERT_EQ(0, vfio_low_power(&self->d,
				    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1));
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", 10000));
	LINE_IS_QUIET();
	ASSERT_EQ(0, vfio_low_power(&self->d,
				    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	LINE_WORKS();
}

/*
 * A device that cannot mask itself has its line to itself, and that is switched
 * off at the controller and not when it fires the next time.
 */
TEST(exclusive_line_is_masked_at_once)
{
	const char *const load[] = { "modprobe", "vfio-pci", "nointxmask=1",
				     NULL };
	char bdf[VFIO_BDF_LEN];
	SELF self_ = {}, *self = &self_;
	int before, i;

	if (vfio_pci_resolve(EDU, bdf))
		SKIP(return, "no device " EDU);
	for (i = 0; i < 8; i++) {
		char other[VFIO_BDF_LEN], name[32];

		snprintf(name, sizeof(name), EDU "#%d", i);
		if (vfio_pci_resolve(name, other))
			break;
		vfio_pci_restore(other);
	}
	if (!vfio_pci_resolve(E1000E, bdf))
		vfio_pci_restore(bdf);
	ASSERT_EQ(0, vfio_pci_resolve(EDU, bdf));
	vfio_module_remove("vfio_pci");
	if (vfio_run(load))
		SKIP(return, "vfio-pci cannot be loaded again");

	ASSERT_EQ(0, open_user(self, bdf));
	self->efd = vfio_eventfd();
	ASSERT_EQ(0, edu_ack(&self->d));
	ARM();
	/* The second time the kernel does not count it, but it is called. */
	if (vfio_stretch(LEVEL_HANDLER, 0, "before", NULL))
		SKIP(return, "no module test_stretch");
	before = vfio_stretch_hits(LEVEL_HANDLER);
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	usleep(WATCH_MS * 1000);
	EXPECT_EQ(1, vfio_stretch_hits(LEVEL_HANDLER) - before);
	vfio_stretch_end();
	ASSERT_EQ(0, edu_ack(&self->d));
	UNMASK_IT();
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));

	vfio_dev_close(&self->d);
	close(self->efd);
	vfio_pci_restore(bdf);
	vfio_module_remove("vfio_pci");
	vfio_modprobe("vfio-pci");
}

TEST_HARNESS_MAIN
