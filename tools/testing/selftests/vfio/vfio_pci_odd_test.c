// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that are odd: real ones, and what test_pci_overlay.ko makes of QEMU's.
 *
 * Some send no MSI while INTx is disabled; some have no I/O enable; some forget
 * in D3hot what they were told, and are reset by somebody else there; and where
 * the table of MSI-X is a device that does not answer says as wrongly as all else.
 */
#include <stdio.h>
#include <unistd.h>

#include "vfio_pci_irq.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

/* The PCI core knows that MSI of these needs DisINTx to be clear. */
#define ATTANSIC_L2	"10621969"

#define BITS	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

FIXTURE(odd)
{
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
	int config;
	int efd;
	int log;
	bool disguised;
	bool overlay;
};

#define SELF FIXTURE_DATA(odd)

FIXTURE_SETUP(odd)
{
	vfio_dev_init(&self->d);
	self->config = -1;
	self->efd = vfio_eventfd();
	self->log = vfio_klog_open();
	ASSERT_LE(0, self->efd);
	ASSERT_LE(0, self->log);
}

FIXTURE_TEARDOWN(odd)
{
	vfio_dev_close(&self->d);
	close(self->config);
	close(self->efd);
	EXPECT_EQ(0, vfio_klog_splats(self->log));
	close(self->log);
	if (self->overlay)
		EXPECT_EQ(0, vfio_overlay_unload(self->disguised ? self->bdf :
								   NULL));
}

static int overlay(SELF *self, unsigned int where, const char *what,
		   bool disguise)
{
	char set[96];
	int ret;

	snprintf(set, sizeof(set), "set=%s+%x=%s", self->bdf, where, what);
	ret = vfio_overlay_load(set, disguise ? self->bdf : NULL);
	self->overlay = !ret;
	self->disguised = !ret && disguise;
	return ret;
}

static int open_it(SELF *self)
{
	int ret = vfio_dev_open(&self->d, self->bdf, 0);

	if (ret)
		return ret;
	self->config = vfio_pci_config_open(self->bdf);
	return vfio_cfg_command(&self->d, BITS, 0);
}

static uint16_t physical(const SELF *self, unsigned int pos)
{
	uint16_t value = 0;

	pread(self->config, &value, 2, pos);
	return value;
}

static bool intx_is_off(const SELF *self)
{
	return physical(self, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
}

TEST_F(odd, msi_needs_intx_enabled)
{
	int flags;

	if (vfio_pci_resolve(EDU, self->bdf) ||
	    overlay(self, PCI_VENDOR_ID, ATTANSIC_L2, true))
		SKIP(return, "no device " EDU ", or no test_pci_overlay");
	ASSERT_EQ(0, open_it(self));
	EXPECT_TRUE(intx_is_off(self));

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd));
	EXPECT_FALSE(intx_is_off(self));
	EXPECT_EQ(0, vfio_cfg_read16(&self->d, PCI_COMMAND) &
		     PCI_COMMAND_INTX_DISABLE);
	/* What the user writes is his. */
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_INTX_DISABLE, 0));
	EXPECT_FALSE(intx_is_off(self));
	ASSERT_EQ(0, edu_raise(&self->d));
	EXPECT_EVENT(self->efd);
	ASSERT_EQ(0, edu_ack(&self->d));

	/* Nor can he have it signal INTx, to which nobody listens. */
	flags = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSI) + PCI_MSI_FLAGS;
	ASSERT_EQ(0, vfio_cfg_write16(&self->d, flags, 0));
	EXPECT_EQ(0, vfio_cfg_read16(&self->d, flags) & PCI_MSI_FLAGS_ENABLE);
	EXPECT_NE(0, physical(self, flags) & PCI_MSI_FLAGS_ENABLE);

	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSI));
	EXPECT_TRUE(intx_is_off(self));
}

/* The kernel maps the table where the register says: not where no memory is. */
TEST_F(odd, msix_table_moves)
{
	static const char *const where[] = {
		"00800000",	/* beyond the BAR */
		"00002004",	/* in another one */
		"ffffffff",
	};
	unsigned int i;
	int cap;

	if (vfio_pci_resolve(VFIO_NVME, self->bdf))
		SKIP(return, "no NVMe controller");
	ASSERT_EQ(0, open_it(self));
	cap = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSIX);
	ASSERT_LT(0, cap);

	for (i = 0; i < ARRAY_SIZE(where); i++) {
		if (overlay(self, cap + PCI_MSIX_TABLE, where[i], false))
			SKIP(return, "no test_pci_overlay");
		EXPECT_EQ(-EIO, vfio_irq_eventfd(&self->d, MSIX, 0,
						 self->efd)) {
			TH_LOG("at %s", where[i]);
		}
		vfio_irq_disable(&self->d, MSIX);
		self->overlay = false;
		ASSERT_EQ(0, vfio_overlay_unload(NULL));
	}
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd));
	EXPECT_EQ(0, vfio_irq_disable(&self->d, MSIX));
}

/* What cannot be turned on was not lost in a reset. */
TEST_F(odd, no_io_enable)
{
	const uint16_t all = BITS | PCI_COMMAND_IO;
	int i;

	if (vfio_pci_resolve(VFIO_NVME, self->bdf) ||
	    overlay(self, PCI_COMMAND, "without1", false))
		SKIP(return, "no NVMe controller, or no test_pci_overlay");
	ASSERT_EQ(0, open_it(self));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vfio_cfg_write16(&self->d, PCI_COMMAND, all));
		ASSERT_EQ(0, vfio_cfg_write32(&self->d, PCI_COMMAND, all));
		ASSERT_EQ(0, vfio_cfg_write8(&self->d, PCI_COMMAND, all));
	}
	EXPECT_EQ(BITS, vfio_cfg_read16(&self->d, PCI_COMMAND) & all);
	EXPECT_EQ(0, vfio_klog_count(self->log, "reset behind our back"));
}

/* It is in D0 afterwards, and all that it had before is there. */
TEST_F(odd, reset_of_who_forgets)
{
	int pm, i;

	if (vfio_pci_resolve(E1000E, self->bdf))
		SKIP(return, "no device " E1000E);
	ASSERT_EQ(0, open_it(self));
	pm = vfio_cfg_cap(&self->d, PCI_CAP_ID_PM);
	ASSERT_LT(0, pm);
	if (overlay(self, pm + PCI_PM_CTRL, "forgets", false))
		SKIP(return, "no test_pci_overlay");

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
		if (i)
			ASSERT_EQ(0, vfio_pci_attr_write(self->bdf, "reset",
							 "1"));
		ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
		EXPECT_EQ(BITS, physical(self, PCI_COMMAND) & BITS) {
			TH_LOG("round %d", i);
		}
	}
}

TEST_HARNESS_MAIN
