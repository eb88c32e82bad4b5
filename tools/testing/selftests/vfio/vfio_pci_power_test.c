// SPDX-License-Identifier: GPL-2.0-only
/* Low power, asked for by the user or because nobody uses the device. */
#include <sys/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

#define ENTRY	VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY
#define WAKEUP	VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP
#define EXIT	VFIO_DEVICE_FEATURE_LOW_POWER_EXIT

#define SOON_MS		10000
#define NEVER_MS	100
#define CLOSED_FD	(1 << 20)

FIXTURE(power)
{
	struct vfio_dev d;
	struct vfio_region_info bar;
	uint8_t *map;
	uint32_t value;
	int efd;
};

FIXTURE_VARIANT(power)
{
	const char *id;
	uint32_t bar;
	uint32_t off;		/* keeps its value */
	uint32_t woff;		/* can be written */
	int mode;
};

FIXTURE_VARIANT_ADD(power, nvme) { VFIO_NVME, 0, 8, 0x24 };
FIXTURE_VARIANT_ADD(power, e1000e) { VFIO_E1000E, 0, 0x5400, 0x5200 };
/* It cannot be put into D3, but is suspended all the same. */
FIXTURE_VARIANT_ADD(power, ivshmem) { VFIO_IVSHMEM, 2, 0x1000, 0x2000 };

VFIO_OTHER_MODES(power, nvme, VFIO_NVME, 0, 8, 0x24);

FIXTURE_SETUP(power)
{
	uint32_t pattern = 0x5aa51234;
	void *p;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, vfio_region_info(&self->d, variant->bar, &self->bar));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, variant->bar, 0,
				      self->bar.size, &p));
	self->map = p;
	if (!strcmp(variant->id, VFIO_IVSHMEM)) {
		ASSERT_EQ(4, vfio_region_write(&self->d, variant->bar,
					       variant->off, &pattern, 4));
	}
	ASSERT_EQ(4, vfio_region_read(&self->d, variant->bar, variant->off,
				      &self->value, 4));
	self->efd = vfio_eventfd();
	ASSERT_LE(0, self->efd);
}

FIXTURE_TEARDOWN(power)
{
	vfio_dev_close(&self->d);
	close(self->efd);
}

#define SELF FIXTURE_DATA(power)
#define VARIANT FIXTURE_VARIANT(power)

/* What the mapping shows: 0, a signal, or -1 for something else. */
static int through_map(const SELF *self,
		       const VARIANT *variant)
{
	uint32_t value = 0;
	int sig = vfio_try_load32(self->map + variant->off, &value);

	return sig ? sig : value == self->value ? 0 : -1;
}

static int through_pread(const SELF *self,
			 const VARIANT *variant)
{
	uint32_t value = 0;
	int n = vfio_pread(self->d.device, &value, 4,
			   self->bar.offset + variant->off);

	return n < 0 ? n : n == 4 && value == self->value ? 0 : -1;
}

#define SUSPENDED() \
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", SOON_MS))
#define THROUGH_MAP(what) ASSERT_EQ(what, through_map(self, variant))
#define THROUGH_PREAD(what) ASSERT_EQ(what, through_pread(self, variant))

TEST_F(power, arguments)
{
	struct {
		struct vfio_device_feature header;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} arg = {
		.header.argsz = sizeof(arg),
		.header.flags = VFIO_DEVICE_FEATURE_SET | WAKEUP,
		.entry.wakeup_eventfd = self->efd,
	};

	EXPECT_EQ(-EINVAL, vfio_low_power(&self->d, WAKEUP, -1));
	EXPECT_EQ(-EBADF, vfio_low_power(&self->d, WAKEUP, CLOSED_FD));
	EXPECT_EQ(-EINVAL, vfio_low_power(&self->d, WAKEUP, self->d.device));
	arg.header.argsz = sizeof(arg) - 1;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      &arg));
	arg.header.argsz = sizeof(arg);
	arg.header.flags = VFIO_DEVICE_FEATURE_GET | ENTRY;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      &arg));
	THROUGH_MAP(0);

	/* Leaving what was not entered is fine, entering twice is not. */
	EXPECT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
	EXPECT_EQ(0, vfio_low_power(&self->d, ENTRY, -1));
	EXPECT_EQ(-EINVAL, vfio_low_power(&self->d, ENTRY, -1));
	EXPECT_EQ(-EINVAL, vfio_low_power(&self->d, WAKEUP, self->efd));
	EXPECT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
	EXPECT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
	THROUGH_MAP(0);
}

/* System calls wake the device for as long as they last; mappings wait. */
TEST_F(power, entry_and_exit)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vfio_low_power(&self->d, ENTRY, -1));
		THROUGH_MAP(SIGBUS);
		SUSPENDED();
		THROUGH_MAP(SIGBUS);
		THROUGH_PREAD(0);
		THROUGH_MAP(SIGBUS);
		SUSPENDED();
		ASSERT_NE(~0u, vfio_cfg_read32(&self->d, 0));
		SUSPENDED();
		THROUGH_MAP(SIGBUS);
		ASSERT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
		THROUGH_MAP(0);
		THROUGH_PREAD(0);
	}
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "active", 0));
}

/* However soon it is woken after it went to sleep, it sleeps again. */
TEST_F(power, asleep_each_time)
{
	uint64_t end;
	char now[32];
	int i;

	ASSERT_EQ(0, vfio_low_power(&self->d, ENTRY, -1));
	for (i = 0; i < 100; i++) {
		end = vfio_now_ms() + SOON_MS;
		do {
			ASSERT_EQ(0, vfio_pci_attr_read(self->d.bdf,
							"power/runtime_status",
							now, sizeof(now)));
		} while (strcmp(now, "suspended") && vfio_now_ms() < end);
		ASSERT_STREQ("suspended", now) {
			TH_LOG("round %d", i);
		}
		ASSERT_NE(~0u, vfio_cfg_read32(&self->d, 0));
	}
	ASSERT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
}

/* The first to wake the device ends low power, and the user is told. */
TEST_F(power, wakeup)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vfio_low_power(&self->d, WAKEUP, self->efd));
		THROUGH_MAP(SIGBUS);
		SUSPENDED();
		ASSERT_EQ(-ETIMEDOUT, vfio_eventfd_wait(self->efd, NEVER_MS,
							NULL));
		/* The host wants it awake, or the user does. */
		if (i & 1) {
			ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,
							 "power/control",
							 "on"));
			ASSERT_EQ(0, vfio_pci_attr_write(self->d.bdf,
							 "power/control",
							 "auto"));
		} else {
			THROUGH_PREAD(0);
		}
		ASSERT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, NULL));
		THROUGH_MAP(0);
		THROUGH_PREAD(0);
		ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "active", 0));
	}
	/* Ended by the user, there is nothing to tell. */
	ASSERT_EQ(0, vfio_low_power(&self->d, WAKEUP, self->efd));
	ASSERT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
	THROUGH_MAP(0);
}

struct reader {
	const struct vfio_dev *d;
	uint64_t place;
	const char *name;
	int ret;
};

static void *read_once(void *arg)
{
	struct reader *reader = arg;
	uint32_t value;

	prctl(PR_SET_NAME, reader->name);
	reader->ret = vfio_pread(reader->d->device, &value, 4, reader->place);
	return NULL;
}

/* The one finds it asleep, and the other wakes it before the one gets to that. */
TEST_F(power, two_wake_it)
{
	struct reader readers[2] = {
		{ &self->d, self->bar.offset + variant->off, "slow" },
		{ &self->d, self->bar.offset + variant->off, "quick" },
	};
	pthread_t threads[2];
	int i;

	ASSERT_EQ(0, vfio_low_power(&self->d, WAKEUP, self->efd));
	SUSPENDED();
	if (vfio_stretch("up_read", 200000, "after", "slow"))
		SKIP(return, "test_stretch.ko is not here");
	for (i = 0; i < 2; i++) {
		pthread_create(&threads[i], NULL, read_once, &readers[i]);
		usleep(50000);
	}
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(4, readers[i].ret);
	}
	EXPECT_EQ(0, vfio_stretch_end());
}

/* What an eventfd writes while the device sleeps gets lost. */
TEST_F(power, ioeventfd)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
		.offset = self->bar.offset + variant->woff,
		.data = 0x30003,
		.fd = self->efd,
	};
	uint32_t value = 0x10001;

	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_IOEVENTFD, &arg));
	ASSERT_EQ(4, vfio_region_write(&self->d, variant->bar, variant->woff,
				       &value, 4));
	if (vfio_cfg_cap(&self->d, PCI_CAP_ID_PM)) {
		ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
		ASSERT_EQ(0, vfio_eventfd_signal(self->efd));
		usleep(NEVER_MS * 1000);
		ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		ASSERT_EQ(0, vfio_try_load32(self->map + variant->woff,
					     &value));
		EXPECT_NE(0x30003, value);
	}
	ASSERT_EQ(0, vfio_eventfd_signal(self->efd));
	usleep(NEVER_MS * 1000);
	ASSERT_EQ(0, vfio_try_load32(self->map + variant->woff, &value));
	EXPECT_EQ(0x30003, value);
}

/* A device left in low power or in D3hot is as new for the next user. */
TEST_F(power, closed_asleep)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, munmap(self->map, self->bar.size));
		if (i != 1) {
			ASSERT_EQ(0, vfio_low_power(&self->d, i ? WAKEUP :
						    ENTRY, self->efd));
		}
		if (i && vfio_cfg_cap(&self->d, PCI_CAP_ID_PM))
			ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
		vfio_dev_close(&self->d);
		SUSPENDED();
		ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf,
					   variant->mode));
		ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "active", 0));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		ASSERT_EQ(0, vfio_region_mmap(&self->d, variant->bar, 0,
					      self->bar.size,
					      (void **)&self->map));
		THROUGH_MAP(0);
		THROUGH_PREAD(0);
	}
}

static void *slow_wakes(void *arg)
{
	unsigned int pm = vfio_cfg_cap(arg, PCI_CAP_ID_PM);

	prctl(PR_SET_NAME, "slow");
	return (void *)(long)vfio_cfg_write16(arg, pm + PCI_PM_CTRL, 0);
}

/*
 * Two write D0. The bits that the slower one found in the register, those of D3
 * among them, must not get back into it when the quicker one is done.
 */
TEST_F(power, two_leave_d3)
{
	unsigned int ctrl = vfio_cfg_cap(&self->d, PCI_CAP_ID_PM) + PCI_PM_CTRL;
	pthread_t thread;
	uint16_t state;
	void *ret;
	int hw;

	if (ctrl == PCI_PM_CTRL)
		SKIP(return, "no power management");
	/* The one or the other reads the register. */
	if (vfio_stretch("pci_user_read_config_word", 200000, "after", "slow"))
		SKIP(return, "no test_stretch.ko here");
	ASSERT_EQ(0, vfio_stretch("pci_bus_read_config_word", 200000, "after",
				  "slow"));
	hw = vfio_pci_config_open(self->d.bdf);
	ASSERT_LE(0, hw);
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));

	ASSERT_EQ(0, pthread_create(&thread, NULL, slow_wakes, &self->d));
	usleep(50000);
	EXPECT_EQ(0, vfio_cfg_power(&self->d, 0));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_LT(0, vfio_stretch_hits("pci_user_read_config_word") +
		     vfio_stretch_hits("pci_bus_read_config_word"));
	ASSERT_EQ(0, vfio_stretch_end());

	ASSERT_EQ(2, pread(hw, &state, 2, ctrl));
	EXPECT_EQ(0, state & PCI_PM_CTRL_STATE_MASK);
	close(hw);
}

/*
 * PME_Status is cleared by writing what it reads as. Who writes other bits of the register
 * leaves it alone: here the register is memory that keeps what is written.
 */
TEST_F(power, pme_status_stays)
{
	unsigned int pm = vfio_cfg_cap(&self->d, PCI_CAP_ID_PM), i;
	const uint16_t selects = 0x200, pme = PCI_PM_CTRL_PME_STATUS;
	uint16_t written;
	uint32_t none = 0;
	char set[64];
	int hw, ret;

	if (!pm)
		SKIP(return, "no power management");
	snprintf(set, sizeof(set), "set=%s+%x=memory", self->d.bdf,
		 pm + PCI_PM_CTRL);
	if (vfio_overlay_load(set, NULL))
		SKIP(return, "no test_pci_overlay.ko here");
	hw = vfio_pci_config_open(self->d.bdf);
	ASSERT_LE(0, hw);
	/* One byte, a word, a dword. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(2, pwrite(hw, &pme, 2, pm + PCI_PM_CTRL));
		ret = !i ? vfio_cfg_write8(&self->d, pm + PCI_PM_CTRL + 1,
					   selects >> 8) :
		      i == 1 ? vfio_cfg_write16(&self->d, pm + PCI_PM_CTRL, selects) :
			       vfio_cfg_write32(&self->d, pm + PCI_PM_CTRL, selects);
		ASSERT_EQ(0, ret);
		ASSERT_EQ(2, pread(hw, &written, 2, pm + PCI_PM_CTRL));
		EXPECT_EQ(selects, written);
	}
	ASSERT_EQ(4, pwrite(hw, &none, 4, pm + PCI_PM_CTRL));
	close(hw);
	ASSERT_EQ(0, vfio_overlay_unload(NULL));
}

/* Low power from D3hot: the device is in D0 when it was woken. */
TEST_F(power, low_power_from_d3)
{
	if (!vfio_cfg_cap(&self->d, PCI_CAP_ID_PM))
		SKIP(return, "no power management");
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
	THROUGH_MAP(SIGBUS);
	ASSERT_EQ(0, vfio_low_power(&self->d, ENTRY, -1));
	SUSPENDED();
	THROUGH_MAP(SIGBUS);
	ASSERT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	THROUGH_MAP(0);
	THROUGH_PREAD(0);
}

/* A reset during low power ends neither it nor the device. */
TEST_F(power, reset_in_low_power)
{
	struct vfio_device_info info;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	if (!(info.flags & VFIO_DEVICE_FLAGS_RESET))
		SKIP(return, "the device has no reset");
	ASSERT_EQ(0, vfio_low_power(&self->d, ENTRY, -1));
	SUSPENDED();
	ASSERT_EQ(0, vfio_reset(&self->d));
	THROUGH_MAP(SIGBUS);
	ASSERT_EQ(0, vfio_low_power(&self->d, EXIT, -1));
	THROUGH_MAP(0);
	THROUGH_PREAD(0);
}

/*
 * The MSI-X table is memory, which does not answer in D3hot: the kernel has the
 * function in D0 while it touches the table, and no longer.
 */
#define TABLE_COMM	"table"

struct table_call {
	const struct vfio_dev *d;
	int fd;
	int ret;
	bool done;
};

static void *touch_table(void *arg)
{
	struct table_call *c = arg;

	prctl(PR_SET_NAME, TABLE_COMM);
	c->ret = vfio_irq_eventfd(c->d, VFIO_PCI_MSIX_IRQ_INDEX, 0, c->fd);
	__atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_in(const struct vfio_dev *d, const char *state)
{
	char now[16];

	return vfio_pci_attr_read(d->bdf, "power_state", now,
				  sizeof(now)) >= 0 && !strcmp(now, state);
}

TEST_F(power, msix_table_in_d3)
{
	struct table_call c = { .d = &self->d, .fd = -1 };
	bool awake = false;
	pthread_t thread;
	int i;

	if (vfio_irq_count(&self->d, VFIO_PCI_MSIX_IRQ_INDEX) < 1 ||
	    !vfio_cfg_cap(&self->d, PCI_CAP_ID_PM))
		SKIP(return, "no MSI-X, or no power management");
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0,
				      self->efd));
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
	ASSERT_TRUE(is_in(&self->d, "D3hot"));

	for (i = 0; i < 2; i++) {
		awake = false;
		c.done = false;
		if (vfio_stretch(i ? "request_threaded_irq" : "free_irq",
				 300000, "after", TABLE_COMM))
			SKIP(return, "no test_stretch");
		ASSERT_EQ(0, pthread_create(&thread, NULL, touch_table, &c));
		while (!__atomic_load_n(&c.done, __ATOMIC_ACQUIRE)) {
			awake |= is_in(&self->d, "D0");
			usleep(1000);
		}
		pthread_join(thread, NULL);
		ASSERT_EQ(0, vfio_stretch_end());
		EXPECT_EQ(0, c.ret);
		EXPECT_TRUE(awake);
		EXPECT_TRUE(is_in(&self->d, "D3hot"));
		EXPECT_EQ(3, vfio_cfg_read16(&self->d,
					     vfio_cfg_cap(&self->d,
							  PCI_CAP_ID_PM) +
					     PCI_PM_CTRL) &
			     PCI_PM_CTRL_STATE_MASK);
		THROUGH_PREAD(-EIO);
		c.fd = self->efd;
	}
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	THROUGH_MAP(0);
}

TEST_HARNESS_MAIN
