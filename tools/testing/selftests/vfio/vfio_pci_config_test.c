// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtualised configuration space: what a user reads, what a write does to
 * the user's view, and what it does to the hardware, which sysfs shows.
 */
#include <endian.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define CFG_OFFSET	((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40)
#define ALL_ONES	0xffffffffu
#define NR_BARS		6

static const uint32_t patterns[] = { ALL_ONES, 0, 0xa5a5a5a5, 0x5a5a5a5a };

struct cfg {
	struct vfio_dev d;
	unsigned int size;
	int hw;				/* the real one */
	int pm, msi, msix, exp;		/* where they are, or 0 */
};

static uint32_t hw_read32(const struct cfg *c, unsigned int pos)
{
	uint32_t value = 0;

	return pread(c->hw, &value, 4, pos) == 4 ? le32toh(value) : ALL_ONES;
}

static uint16_t hw_read16(const struct cfg *c, unsigned int pos)
{
	return hw_read32(c, pos & ~3) >> (pos & 2) * 8;
}

static int hw_write32(const struct cfg *c, unsigned int pos, uint32_t value)
{
	value = htole32(value);
	return pwrite(c->hw, &value, 4, pos) == 4 ? 0 : -errno;
}

static int64_t bar_read(const struct cfg *c, int bar)
{
	uint32_t value;

	return vfio_region_read(&c->d, bar, 0, &value, 4);
}

/* The first BAR in memory space, or -1. */
static int memory_bar(const struct cfg *c)
{
	int bar;

	for (bar = 0; bar < NR_BARS; bar++)
		if (vfio_region_size(&c->d, bar) &&
		    !(vfio_cfg_read32(&c->d, PCI_BASE_ADDRESS_0 + 4 * bar) &
		      PCI_BASE_ADDRESS_SPACE_IO))
			return bar;
	return -1;
}

static void cfg_probe(struct cfg *c)
{
	c->size = vfio_region_size(&c->d, VFIO_PCI_CONFIG_REGION_INDEX);
	c->hw = vfio_pci_config_open(c->d.bdf);
	c->pm = vfio_cfg_cap(&c->d, PCI_CAP_ID_PM);
	c->msi = vfio_cfg_cap(&c->d, PCI_CAP_ID_MSI);
	c->msix = vfio_cfg_cap(&c->d, PCI_CAP_ID_MSIX);
	c->exp = vfio_cfg_cap(&c->d, PCI_CAP_ID_EXP);
}

FIXTURE(config)
{
	struct cfg c;
};

#define VFIO_FIXTURE config
#include "vfio_each_device.h"

FIXTURE_SETUP(config)
{
	self->c.hw = -1;
	VFIO_DEV_OPEN_OR_SKIP(&self->c.d, variant->id, variant->mode);
	cfg_probe(&self->c);
	ASSERT_LE(0, self->c.hw);
}

FIXTURE_TEARDOWN(config)
{
	vfio_dev_close(&self->c.d);
	if (self->c.hw >= 0)
		close(self->c.hw);
}

TEST_F(config, size)
{
	struct cfg *c = &self->c;

	ASSERT_EQ(vfio_pci_config_size(c->d.bdf), c->size);
}

/* However it is read, it is the same. */
TEST_F(config, reads_agree)
{
	struct cfg *c = &self->c;
	uint8_t whole[PCI_CFG_SPACE_EXP_SIZE], part[9];
	unsigned int pos, len;

	ASSERT_EQ(c->size, vfio_pread(c->d.device, whole, c->size,
				      CFG_OFFSET));
	for (pos = 0; pos < c->size; pos++)
		for (len = 1; len <= sizeof(part) && pos + len <= c->size;
		     len++) {
			ASSERT_EQ(len, vfio_pread(c->d.device, part, len,
						  CFG_OFFSET + pos));
			ASSERT_EQ(0, memcmp(part, whole + pos, len));
		}
}

TEST_F(config, ends)
{
	struct cfg *c = &self->c;
	uint8_t buf[PCI_CFG_SPACE_EXP_SIZE + 8] = {};
	int fd = c->d.device;

	ASSERT_EQ(0, vfio_pread(fd, buf, 0, CFG_OFFSET + c->size));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, buf, c->size + 1, CFG_OFFSET));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, buf, c->size, CFG_OFFSET + 1));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, buf, 2, CFG_OFFSET + c->size - 1));
	ASSERT_EQ(-EFAULT, vfio_pwrite(fd, buf, 2, CFG_OFFSET + c->size - 1));
	ASSERT_EQ(1, vfio_pread(fd, buf, 1, CFG_OFFSET + c->size - 1));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, buf, 1, CFG_OFFSET + (1ull << 40) -
				      1));
}

TEST_F(config, identity)
{
	static const unsigned int read_only[] = {
		PCI_VENDOR_ID, PCI_CLASS_REVISION, PCI_SUBSYSTEM_VENDOR_ID,
		PCI_CAPABILITY_LIST, PCI_CARDBUS_CIS,
	};
	struct cfg *c = &self->c;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(read_only); i++) {
		uint32_t hw = hw_read32(c, read_only[i]);

		ASSERT_EQ(hw, vfio_cfg_read32(&c->d, read_only[i]));
		for (k = 0; k < ARRAY_SIZE(patterns); k++) {
			ASSERT_EQ(0, vfio_cfg_write32(&c->d, read_only[i],
						      patterns[k]));
			ASSERT_EQ(hw, vfio_cfg_read32(&c->d, read_only[i]));
			ASSERT_EQ(hw, hw_read32(c, read_only[i]));
		}
	}
}

/* The line is a note that the user makes for itself. */
TEST_F(config, interrupt_line_and_pin)
{
	struct cfg *c = &self->c;
	uint32_t hw = hw_read32(c, PCI_INTERRUPT_LINE);
	uint8_t pin = vfio_cfg_read8(&c->d, PCI_INTERRUPT_PIN);
	unsigned int k;

	ASSERT_EQ(!!pin, vfio_irq_count(&c->d, VFIO_PCI_INTX_IRQ_INDEX));
	for (k = 0; k < ARRAY_SIZE(patterns); k++) {
		ASSERT_EQ(0, vfio_cfg_write32(&c->d, PCI_INTERRUPT_LINE,
					      patterns[k]));
		ASSERT_EQ(patterns[k] & 0xff,
			  vfio_cfg_read8(&c->d, PCI_INTERRUPT_LINE));
		ASSERT_EQ(pin, vfio_cfg_read8(&c->d, PCI_INTERRUPT_PIN));
		ASSERT_EQ(hw, hw_read32(c, PCI_INTERRUPT_LINE));
	}
}

TEST_F(config, chain)
{
	struct cfg *c = &self->c;
	unsigned int pos, next, limit = 48;
	uint32_t header;

	if (!(vfio_cfg_read16(&c->d, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		SKIP(return, "no capabilities");

	for (pos = vfio_cfg_read8(&c->d, PCI_CAPABILITY_LIST); pos;
	     pos = next) {
		ASSERT_NE(0, limit--);
		ASSERT_LE(PCI_STD_HEADER_SIZEOF, pos);
		ASSERT_EQ(0, pos & 3);
		header = vfio_cfg_read32(&c->d, pos);
		next = header >> 8 & 0xff;

		ASSERT_EQ(0, vfio_cfg_write8(&c->d, pos, ~header));
		ASSERT_EQ(0, vfio_cfg_write8(&c->d, pos + 1, ~next));
		ASSERT_EQ(header & 0xffff, vfio_cfg_read16(&c->d, pos));
	}
}

TEST_F(config, extended_chain)
{
	struct cfg *c = &self->c;
	unsigned int pos, limit = 960;
	uint32_t header;

	if (c->size == PCI_CFG_SPACE_SIZE)
		SKIP(return, "conventional");

	for (pos = PCI_CFG_SPACE_SIZE; pos; pos = PCI_EXT_CAP_NEXT(header)) {
		ASSERT_NE(0, limit--);
		ASSERT_LE(PCI_CFG_SPACE_SIZE, pos);
		header = vfio_cfg_read32(&c->d, pos);
		if (!header)
			break;
		ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos, ~header));
		ASSERT_EQ(header, vfio_cfg_read32(&c->d, pos));
	}
}

/* All ones tells the size, and the device stays where the host put it. */
TEST_F(config, bar_sizes)
{
	struct cfg *c = &self->c;
	int bar;

	for (bar = 0; bar < NR_BARS; bar++) {
		unsigned int pos = PCI_BASE_ADDRESS_0 + 4 * bar;
		uint64_t size = vfio_region_size(&c->d, bar);
		uint32_t hw = hw_read32(c, pos), low = 0xf, value;
		uint64_t mask;

		ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos, ALL_ONES));
		value = vfio_cfg_read32(&c->d, pos);
		ASSERT_EQ(hw, hw_read32(c, pos));
		if (!size) {
			ASSERT_EQ(0, value);
			continue;
		}

		if (value & PCI_BASE_ADDRESS_SPACE_IO)
			low = 0x3;
		mask = 0xffffffff00000000ull | (value & ~low);
		ASSERT_EQ(hw & low, value & low);
		if (!(value & PCI_BASE_ADDRESS_SPACE_IO) &&
		    (value & PCI_BASE_ADDRESS_MEM_TYPE_64)) {
			hw = hw_read32(c, pos + 4);
			ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos + 4,
						      ALL_ONES));
			value = vfio_cfg_read32(&c->d, pos + 4);
			ASSERT_EQ(hw, hw_read32(c, pos + 4));
			mask = (uint64_t)value << 32 | (uint32_t)mask;
			bar++;
		}
		ASSERT_EQ(size, ~mask + 1);
	}
}

TEST_F(config, bar_bytes)
{
	struct cfg *c = &self->c;
	int bar = memory_bar(c);
	unsigned int pos = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t ones, value;
	int i;

	ASSERT_LE(0, bar);
	ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos, ALL_ONES));
	ones = vfio_cfg_read32(&c->d, pos);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos, 0));
		value = vfio_cfg_read32(&c->d, pos);
		ASSERT_EQ(ones & 0xf, value);
		ASSERT_EQ(0, vfio_cfg_write8(&c->d, pos + i, 0xff));
		ASSERT_EQ((ones & 0xffu << 8 * i) | value,
			  vfio_cfg_read32(&c->d, pos));
	}
	/* The BAR is as good as before. */
	ASSERT_EQ(4, bar_read(c, bar));
}

TEST_F(config, rom_size)
{
	struct cfg *c = &self->c;
	uint32_t hw = hw_read32(c, PCI_ROM_ADDRESS), value;
	uint64_t size;

	ASSERT_EQ(0, vfio_cfg_write32(&c->d, PCI_ROM_ADDRESS, ALL_ONES));
	value = vfio_cfg_read32(&c->d, PCI_ROM_ADDRESS);
	ASSERT_EQ(hw, hw_read32(c, PCI_ROM_ADDRESS));

	size = vfio_region_size(&c->d, VFIO_PCI_ROM_REGION_INDEX);
	if (size)
		ASSERT_EQ(size, ~(value & ~PCI_ROM_ADDRESS_ENABLE) + 1);
	ASSERT_EQ(0, vfio_cfg_write32(&c->d, PCI_ROM_ADDRESS, 0));
	ASSERT_EQ(0, vfio_cfg_read32(&c->d, PCI_ROM_ADDRESS));
}

TEST_F(config, memory_enable)
{
	struct cfg *c = &self->c;
	int bar = memory_bar(c);
	unsigned int width;

	ASSERT_LE(0, bar);
	for (width = 1; width <= 4; width *= 2) {
		uint32_t cmd = vfio_cfg_read32(&c->d, PCI_COMMAND) |
			       PCI_COMMAND_MEMORY;
		uint32_t on = htole32(cmd);
		uint32_t off = htole32(cmd & ~PCI_COMMAND_MEMORY);

		ASSERT_EQ(width, vfio_region_write(&c->d,
						   VFIO_PCI_CONFIG_REGION_INDEX,
						   PCI_COMMAND, &off, width));
		ASSERT_EQ(0, hw_read16(c, PCI_COMMAND) & PCI_COMMAND_MEMORY);
		ASSERT_EQ(0, vfio_cfg_read16(&c->d, PCI_COMMAND) &
			     PCI_COMMAND_MEMORY);
		ASSERT_EQ(-EIO, bar_read(c, bar));

		ASSERT_EQ(width, vfio_region_write(&c->d,
						   VFIO_PCI_CONFIG_REGION_INDEX,
						   PCI_COMMAND, &on, width));
		ASSERT_EQ(PCI_COMMAND_MEMORY,
			  hw_read16(c, PCI_COMMAND) & PCI_COMMAND_MEMORY);
		ASSERT_EQ(4, bar_read(c, bar));
	}
}

/* Bus mastering is in hardware, DisINTx is in the user's view. */
TEST_F(config, command_bits)
{
	struct cfg *c = &self->c;

	ASSERT_EQ(0, vfio_cfg_command(&c->d, PCI_COMMAND_MASTER |
				      PCI_COMMAND_INTX_DISABLE, 0));
	ASSERT_EQ(PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE,
		  vfio_cfg_read16(&c->d, PCI_COMMAND) &
		  (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE));
	ASSERT_EQ(PCI_COMMAND_MASTER,
		  hw_read16(c, PCI_COMMAND) & PCI_COMMAND_MASTER);

	ASSERT_EQ(0, vfio_cfg_write8(&c->d, PCI_COMMAND + 1, 0));
	ASSERT_EQ(0, vfio_cfg_command(&c->d, 0, PCI_COMMAND_MASTER));
	ASSERT_EQ(0, vfio_cfg_read16(&c->d, PCI_COMMAND) &
		     (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE));
	ASSERT_EQ(0, hw_read16(c, PCI_COMMAND) & PCI_COMMAND_MASTER);
}

/* DisINTx masks the line in hardware while the user has INTx. */
TEST_F(config, intx_disable)
{
	struct cfg *c = &self->c;
	int fd = vfio_eventfd();

	if (!vfio_irq_count(&c->d, VFIO_PCI_INTX_IRQ_INDEX))
		SKIP(return, "no INTx");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_irq_eventfd(&c->d, VFIO_PCI_INTX_IRQ_INDEX, 0, fd));
	ASSERT_EQ(0, hw_read16(c, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
	ASSERT_EQ(0, vfio_cfg_command(&c->d, PCI_COMMAND_INTX_DISABLE, 0));
	ASSERT_EQ(PCI_COMMAND_INTX_DISABLE,
		  hw_read16(c, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
	ASSERT_EQ(0, vfio_cfg_command(&c->d, 0, PCI_COMMAND_INTX_DISABLE));
	ASSERT_EQ(0, hw_read16(c, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
	close(fd);
}

/* As after a reset that nobody announced: BARs and COMMAND are empty. */
TEST_F(config, lost_bars_come_back)
{
	struct cfg *c = &self->c;
	int bar = memory_bar(c);
	unsigned int pos = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint16_t cmd = vfio_cfg_read16(&c->d, PCI_COMMAND);
	uint32_t addr = hw_read32(c, pos);

	ASSERT_LE(0, bar);
	ASSERT_EQ(0, hw_write32(c, PCI_COMMAND, 0));
	ASSERT_EQ(0, hw_write32(c, pos, 0));
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, cmd));
	ASSERT_EQ(addr, hw_read32(c, pos));
	/* Nobody listens to INTx, so that is disabled again, too. */
	ASSERT_EQ(cmd | PCI_COMMAND_INTX_DISABLE, hw_read16(c, PCI_COMMAND));
	ASSERT_EQ(4, bar_read(c, bar));
}

static int port_bar(const struct cfg *c)
{
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (hw_read32(c, PCI_BASE_ADDRESS_0 + 4 * bar) &
		    PCI_BASE_ADDRESS_SPACE_IO &&
		    vfio_region_size(&c->d, bar))
			return bar;
	return -1;
}

/*
 * The user turns only memory off. Ports answer on, and never where a BAR that was lost
 * would have them.
 */
TEST_F(config, lost_ports_come_back)
{
	struct cfg *c = &self->c;
	int bar = port_bar(c);
	unsigned int pos = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t addr;

	if (bar < 0)
		SKIP(return, "no I/O ports");

	addr = hw_read32(c, pos);
	ASSERT_EQ(0, vfio_cfg_command(&c->d, PCI_COMMAND_IO |
				      PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(0, hw_write32(c, PCI_COMMAND, 0));
	ASSERT_EQ(0, hw_write32(c, pos, 0));
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, PCI_COMMAND_IO));
	ASSERT_EQ(addr, hw_read32(c, pos));
	ASSERT_EQ(PCI_COMMAND_IO | PCI_COMMAND_INTX_DISABLE,
		  hw_read16(c, PCI_COMMAND));

	/* With nothing on nobody answers; they come on where they were. */
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, PCI_COMMAND_IO |
				      PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, hw_write32(c, PCI_COMMAND, 0));
	ASSERT_EQ(0, hw_write32(c, pos, 0));
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, 0));
	ASSERT_EQ(PCI_COMMAND_INTX_DISABLE, hw_read16(c, PCI_COMMAND));
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, PCI_COMMAND_IO));
	ASSERT_EQ(addr, hw_read32(c, pos));
	ASSERT_EQ(PCI_COMMAND_IO | PCI_COMMAND_INTX_DISABLE,
		  hw_read16(c, PCI_COMMAND));
}

/* DisINTx is the host's in each write, whatever was lost. */
TEST_F(config, lost_intx_disable_comes_back)
{
	struct cfg *c = &self->c;
	uint16_t cmd = vfio_cfg_read16(&c->d, PCI_COMMAND) | PCI_COMMAND_MEMORY;

	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, cmd));
	ASSERT_EQ(0, hw_write32(c, PCI_COMMAND, cmd));
	cmd &= ~PCI_COMMAND_MEMORY;
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, cmd));
	ASSERT_EQ(cmd | PCI_COMMAND_INTX_DISABLE, hw_read16(c, PCI_COMMAND));
	ASSERT_EQ(0, hw_write32(c, PCI_COMMAND, cmd));
	cmd |= PCI_COMMAND_MEMORY;
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, PCI_COMMAND, cmd));
	ASSERT_EQ(cmd | PCI_COMMAND_INTX_DISABLE, hw_read16(c, PCI_COMMAND));
}

TEST_F(config, power)
{
	struct cfg *c = &self->c;
	int bar = memory_bar(c);
	uint16_t ctrl;

	if (!c->pm)
		SKIP(return, "no power management");

	/* PME is the host's. */
	ASSERT_EQ(0, vfio_cfg_read16(&c->d, c->pm + PCI_PM_PMC) &
		     PCI_PM_CAP_PME_MASK);
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, c->pm + PCI_PM_CTRL,
				      PCI_PM_CTRL_PME_ENABLE));
	ctrl = vfio_cfg_read16(&c->d, c->pm + PCI_PM_CTRL);
	ASSERT_EQ(0, ctrl & (PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS));

	ASSERT_EQ(0, vfio_cfg_power(&c->d, 3));
	ASSERT_EQ(3, vfio_cfg_read16(&c->d, c->pm + PCI_PM_CTRL) &
		     PCI_PM_CTRL_STATE_MASK);
	ASSERT_EQ(-EIO, bar_read(c, bar));
	ASSERT_EQ(0, vfio_cfg_power(&c->d, 0));
	ASSERT_EQ(0, vfio_cfg_read16(&c->d, c->pm + PCI_PM_CTRL) &
		     PCI_PM_CTRL_STATE_MASK);
	ASSERT_EQ(4, bar_read(c, bar));
}

/* Address and data are the host's; enabling is for VFIO_DEVICE_SET_IRQS. */
TEST_F(config, msi_before_set_irqs)
{
	struct cfg *c = &self->c;
	unsigned int flags = c->msi + PCI_MSI_FLAGS;
	uint32_t addr;
	uint16_t hw;

	if (!c->msi)
		SKIP(return, "no MSI");

	hw = hw_read16(c, flags);
	ASSERT_EQ(0, hw & PCI_MSI_FLAGS_ENABLE);
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, flags, hw | PCI_MSI_FLAGS_ENABLE |
				      PCI_MSI_FLAGS_QSIZE));
	ASSERT_EQ(0, vfio_cfg_read16(&c->d, flags) & (PCI_MSI_FLAGS_ENABLE |
						      PCI_MSI_FLAGS_QSIZE));
	ASSERT_EQ(hw, hw_read16(c, flags));

	addr = hw_read32(c, c->msi + PCI_MSI_ADDRESS_LO);
	ASSERT_EQ(0, vfio_cfg_write32(&c->d, c->msi + PCI_MSI_ADDRESS_LO,
				      0xfee12340));
	ASSERT_EQ(0xfee12340, vfio_cfg_read32(&c->d, c->msi +
					      PCI_MSI_ADDRESS_LO));
	ASSERT_EQ(addr, hw_read32(c, c->msi + PCI_MSI_ADDRESS_LO));
}

TEST_F(config, msi_after_set_irqs)
{
	struct cfg *c = &self->c;
	unsigned int flags = c->msi + PCI_MSI_FLAGS;
	int fd = vfio_eventfd();
	uint16_t hw;

	if (!c->msi)
		SKIP(return, "no MSI");

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_irq_eventfd(&c->d, VFIO_PCI_MSI_IRQ_INDEX, 0, fd));
	hw = hw_read16(c, flags);
	ASSERT_EQ(PCI_MSI_FLAGS_ENABLE, hw & PCI_MSI_FLAGS_ENABLE);

	ASSERT_EQ(0, vfio_cfg_write16(&c->d, flags,
				      hw & ~PCI_MSI_FLAGS_ENABLE));
	ASSERT_EQ(0, hw_read16(c, flags) & PCI_MSI_FLAGS_ENABLE);
	/* No more vectors than were asked for. */
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, flags, hw | PCI_MSI_FLAGS_QSIZE));
	ASSERT_EQ(hw, hw_read16(c, flags));
	ASSERT_EQ(hw, vfio_cfg_read16(&c->d, flags));

	ASSERT_EQ(0, vfio_irq_disable(&c->d, VFIO_PCI_MSI_IRQ_INDEX));
	ASSERT_EQ(0, hw_read16(c, flags) & PCI_MSI_FLAGS_ENABLE);
	close(fd);
}

TEST_F(config, msix)
{
	struct cfg *c = &self->c;
	unsigned int i, k;
	uint32_t hw;

	if (!c->msix)
		SKIP(return, "no MSI-X");

	for (i = 0; i < PCI_CAP_MSIX_SIZEOF; i += 4) {
		hw = hw_read32(c, c->msix + i);
		for (k = 0; k < ARRAY_SIZE(patterns); k++) {
			ASSERT_EQ(0, vfio_cfg_write32(&c->d, c->msix + i,
						      patterns[k]));
			ASSERT_EQ(hw, hw_read32(c, c->msix + i));
		}
	}
}

TEST_F(config, pci_express)
{
	static const uint16_t virt = PCI_EXP_DEVCTL_PAYLOAD |
				     PCI_EXP_DEVCTL_READRQ;
	static const uint16_t errors = PCI_EXP_DEVCTL_CERE |
				       PCI_EXP_DEVCTL_NFERE |
				       PCI_EXP_DEVCTL_FERE |
				       PCI_EXP_DEVCTL_URRE;
	struct cfg *c = &self->c;
	unsigned int ctl = c->exp + PCI_EXP_DEVCTL;
	uint16_t hw;
	int size;

	if (!c->exp)
		SKIP(return, "no PCI Express");

	hw = hw_read16(c, ctl);
	for (size = 0; size < 6; size++) {
		uint16_t want = (size << 5) | (size << 12);

		ASSERT_EQ(0, vfio_cfg_write16(&c->d, ctl, want));
		ASSERT_EQ(want, vfio_cfg_read16(&c->d, ctl) & virt);
		ASSERT_EQ(hw & PCI_EXP_DEVCTL_PAYLOAD,
			  hw_read16(c, ctl) & PCI_EXP_DEVCTL_PAYLOAD);
	}

	/* Not every device has them. */
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, ctl, errors));
	ASSERT_EQ(hw_read16(c, ctl) & errors,
		  vfio_cfg_read16(&c->d, ctl) & errors);
	ASSERT_EQ(0, vfio_cfg_write16(&c->d, ctl, 0));
	ASSERT_EQ(0, hw_read16(c, ctl) & errors);
	ASSERT_EQ(0, vfio_cfg_read16(&c->d, ctl) & errors);
}

/* A function level reset leaves the user's view, and the memory, as it was. */
TEST_F(config, function_level_reset)
{
	struct cfg *c = &self->c;
	int bar = memory_bar(c);
	unsigned int ctl = c->exp + PCI_EXP_DEVCTL;
	uint32_t hw[NR_BARS], command;
	int i;

	if (!c->exp || !(vfio_cfg_read32(&c->d, c->exp + PCI_EXP_DEVCAP) &
			 PCI_EXP_DEVCAP_FLR))
		SKIP(return, "no function level reset");

	ASSERT_EQ(0, vfio_cfg_command(&c->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	command = vfio_cfg_read32(&c->d, PCI_COMMAND);
	for (i = 0; i < NR_BARS; i++)
		hw[i] = hw_read32(c, PCI_BASE_ADDRESS_0 + 4 * i);

	ASSERT_EQ(0, vfio_cfg_write16(&c->d, ctl, PCI_EXP_DEVCTL_BCR_FLR));
	ASSERT_EQ(0, vfio_cfg_read16(&c->d, ctl) & PCI_EXP_DEVCTL_BCR_FLR);
	ASSERT_EQ(command, vfio_cfg_read32(&c->d, PCI_COMMAND));
	for (i = 0; i < NR_BARS; i++)
		ASSERT_EQ(hw[i], hw_read32(c, PCI_BASE_ADDRESS_0 + 4 * i));
	ASSERT_EQ(4, bar_read(c, bar));
}

TEST_F(config, error_reporting)
{
	struct cfg *c = &self->c;
	int aer = vfio_cfg_ecap(&c->d, PCI_EXT_CAP_ID_ERR);
	uint32_t mask;

	if (!aer)
		SKIP(return, "no AER");

	mask = hw_read32(c, aer + PCI_ERR_UNCOR_MASK);
	ASSERT_EQ(0, vfio_cfg_write32(&c->d, aer + PCI_ERR_UNCOR_SEVER, 0));
	ASSERT_EQ(hw_read32(c, aer + PCI_ERR_UNCOR_SEVER),
		  vfio_cfg_read32(&c->d, aer + PCI_ERR_UNCOR_SEVER));
	ASSERT_EQ(0, vfio_cfg_write32(&c->d, aer + PCI_ERR_UNCOR_MASK,
				      mask | PCI_ERR_UNC_COMP_TIME));
	ASSERT_EQ(hw_read32(c, aer + PCI_ERR_UNCOR_MASK),
		  vfio_cfg_read32(&c->d, aer + PCI_ERR_UNCOR_MASK));
	ASSERT_EQ(0, vfio_cfg_write32(&c->d, aer + PCI_ERR_HEADER_LOG,
				      ALL_ONES));
	ASSERT_EQ(hw_read32(c, aer + PCI_ERR_HEADER_LOG),
		  vfio_cfg_read32(&c->d, aer + PCI_ERR_HEADER_LOG));
}

/*
 * A write that spans registers reaches each of them, and nothing else: here
 * the pin, min_gnt and max_lat, which are read-only, follow the line.
 */
TEST_F(config, long_writes)
{
	struct cfg *c = &self->c;
	uint8_t before[11], after[11], ones[11];
	unsigned int pos = PCI_INTERRUPT_LINE - 7;

	memset(ones, 0xff, sizeof(ones));
	ASSERT_EQ(11, vfio_pread(c->d.device, before, 11, CFG_OFFSET + pos));
	ASSERT_EQ(11, vfio_pwrite(c->d.device, ones, 11, CFG_OFFSET + pos));
	ASSERT_EQ(11, vfio_pread(c->d.device, after, 11, CFG_OFFSET + pos));
	ASSERT_EQ(0xff, after[7]);
	after[7] = before[7];
	ASSERT_EQ(0, memcmp(before, after, sizeof(before)));
}

/* What comes before a bad page is written. */
TEST_F(config, bad_memory)
{
	struct cfg *c = &self->c;
	unsigned int pos = PCI_BASE_ADDRESS_0 + 4 * memory_bar(c);
	size_t page = sysconf(_SC_PAGESIZE);
	uint8_t *mem = vfio_alloc_pages(2 * page);
	uint32_t ones;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, munmap(mem + page, page));
	memset(mem + page - 4, 0xff, 4);

	ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos, ALL_ONES));
	ones = vfio_cfg_read32(&c->d, pos);
	ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos, 0));
	ASSERT_EQ(-EFAULT, vfio_pwrite(c->d.device, mem + page - 4, 8,
				       CFG_OFFSET + pos));
	ASSERT_EQ(ones, vfio_cfg_read32(&c->d, pos));
	ASSERT_EQ(-EFAULT, vfio_pread(c->d.device, mem + page - 2, 4,
				      CFG_OFFSET));
	ASSERT_EQ(0, munmap(mem, page));
}

/*
 * A VF lacks most of the header; the user sees a whole one. The PF goes to its
 * own driver for that and stays there.
 */
FIXTURE(vf_config)
{
	struct cfg c;
	char pf[VFIO_BDF_LEN];
};

static int vf_create(char *pf, char *vf)
{
	char path[256], target[256];
	glob_t found;
	ssize_t len;
	int ret = -ENXIO;

	if (glob("/sys/bus/pci/devices/*/sriov_totalvfs", 0, NULL, &found))
		return -ENXIO;
	snprintf(pf, VFIO_BDF_LEN, "%s", found.gl_pathv[0] +
		 strlen("/sys/bus/pci/devices/"));
	pf[strcspn(pf, "/")] = 0;
	globfree(&found);

	if (!vfio_pci_attr_read(pf, "modalias", target, sizeof(target)))
		vfio_modprobe(target);
	vfio_pci_attr_write(pf, "sriov_numvfs", "0");
	vfio_pci_restore(pf);
	if (vfio_pci_attr_write(pf, "sriov_numvfs", "1"))
		return -ENXIO;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/virtfn0", pf);
	len = readlink(path, target, sizeof(target) - 1);
	if (len > 0) {
		target[len] = 0;
		snprintf(vf, VFIO_BDF_LEN, "%s", strrchr(target, '/') + 1);
		ret = 0;
	}
	return ret;
}

FIXTURE_SETUP(vf_config)
{
	char vf[VFIO_BDF_LEN];

	self->c.hw = -1;
	vfio_dev_init(&self->c.d);
	if (vf_create(self->pf, vf))
		SKIP(return, "no device with virtual functions here");
	ASSERT_EQ(0, vfio_dev_open(&self->c.d, vf, VFIO_TYPE1v2_IOMMU));
	cfg_probe(&self->c);
	ASSERT_LE(0, self->c.hw);
}

FIXTURE_TEARDOWN(vf_config)
{
	vfio_dev_close(&self->c.d);
	if (self->c.hw >= 0)
		close(self->c.hw);
	if (self->pf[0])
		vfio_pci_attr_write(self->pf, "sriov_numvfs", "0");
}

TEST_F(vf_config, header)
{
	struct cfg *c = &self->c;
	char attr[32];
	int bar;

	ASSERT_LE(0, vfio_pci_attr_read(c->d.bdf, "vendor", attr,
					sizeof(attr)));
	ASSERT_EQ(strtoul(attr, NULL, 16),
		  vfio_cfg_read16(&c->d, PCI_VENDOR_ID));
	ASSERT_LE(0, vfio_pci_attr_read(c->d.bdf, "device", attr,
					sizeof(attr)));
	ASSERT_EQ(strtoul(attr, NULL, 16),
		  vfio_cfg_read16(&c->d, PCI_DEVICE_ID));

	ASSERT_EQ(0, vfio_cfg_read8(&c->d, PCI_INTERRUPT_PIN));
	ASSERT_EQ(0, vfio_irq_count(&c->d, VFIO_PCI_INTX_IRQ_INDEX));

	for (bar = 0; bar < NR_BARS; bar++) {
		unsigned int pos = PCI_BASE_ADDRESS_0 + 4 * bar;
		uint64_t size = vfio_region_size(&c->d, bar);

		if (!size)
			continue;
		ASSERT_EQ(0, vfio_cfg_write32(&c->d, pos, ALL_ONES));
		ASSERT_EQ((uint32_t)-size,
			  vfio_cfg_read32(&c->d, pos) & ~0xfu);
	}
}

TEST_F(vf_config, memory_enable)
{
	struct cfg *c = &self->c;

	ASSERT_EQ(PCI_COMMAND_MEMORY, vfio_cfg_read16(&c->d, PCI_COMMAND) &
				      PCI_COMMAND_MEMORY);
	ASSERT_EQ(0, vfio_cfg_command(&c->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_cfg_read16(&c->d, PCI_COMMAND) &
		     PCI_COMMAND_MEMORY);
	ASSERT_EQ(0, vfio_cfg_command(&c->d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(PCI_COMMAND_MEMORY, vfio_cfg_read16(&c->d, PCI_COMMAND) &
				      PCI_COMMAND_MEMORY);
}

TEST_HARNESS_MAIN
