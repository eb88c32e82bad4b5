// SPDX-License-Identifier: GPL-2.0-only
/* Registers that do something: COMMAND, BARs, power, express, VPD. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "record.h"

/* Can regions be read now? */
static void record_access(const struct device *d, const char *when)
{
	uint32_t index, value;

	for (index = 0; index <= VFIO_PCI_ROM_REGION_INDEX; index++) {
		struct vfio_region_info info = region(d, index);

		if (info.size)
			record(outcome(pread(d->fd, &value, 4, info.offset)),
			       "%s/read of region %u", when, index);
	}
}

static void record_state(const struct device *d, const char *when)
{
	record(text("%08x, device %08x", config_read(d, PCI_COMMAND, 4),
		    hardware_read(d, PCI_COMMAND, 4)), "%s/COMMAND", when);
	record_access(d, when);
}

/* Resets leave BARs behind that only our side writes again. */
static const char *bars(const struct device *d, const uint32_t *expected)
{
	int i, lost = 0;

	for (i = 0; i < 6; i++)
		lost += hardware_read(d, PCI_BASE_ADDRESS_0 + 4 * i, 4) != expected[i];
	return lost ? text("%d lost", lost) : "kept";
}

void record_command(struct device *d)
{
	static const struct {
		const char *when;
		unsigned int pos;
		int width;
		uint32_t value;
	} steps[] = {
		{ "memory off", 4, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER },
		{ "memory on, by byte", 4, 1, 7 },
		{ "all off, by dword", 4, 4, 0 },
		{ "all on, by dword", 4, 4, 0xffff0007 },
		{ "INTx disabled, by byte", 5, 1, 4 },
		{ "parity and SERR", 4, 2, 0x0147 },
		{ "every bit", 4, 2, 0xffff },
		{ "high byte cleared", 5, 1, 0 },
		{ "I/O off", 4, 2, 6 },
		{ "on again", 4, 2, 7 },
	};
	uint32_t saved[6], command = config_read(d, PCI_COMMAND, 2);
	unsigned int i;

	for (i = 0; i < 6; i++)
		saved[i] = hardware_read(d, PCI_BASE_ADDRESS_0 + 4 * i, 4);
	record_state(d, "opened");
	for (i = 0; i < COUNT(steps); i++) {
		config_write(d, steps[i].pos, steps[i].width, steps[i].value);
		record_state(d, steps[i].when);
	}

	for (i = PCI_BASE_ADDRESS_0; i <= PCI_ROM_ADDRESS; i += 4) {
		uint32_t old = config_read(d, i, 4), first, second;

		config_write(d, i, 1, 0xff);
		first = config_read(d, i, 4);
		config_write(d, i + 2, 2, 0xffff);
		second = config_read(d, i, 4);
		config_write(d, i + 3, 1, 0);
		record(text("%08x %08x %08x, device %08x", first, second,
			    config_read(d, i, 4), hardware_read(d, i, 4)),
		       "parts of %#x", i);
		config_write(d, i, 4, old);
	}

	/* A reset nobody told us of: the BARs come back with memory decoding. */
	for (i = 0; i < 6; i++)
		hardware_write(d, PCI_BASE_ADDRESS_0 + 4 * i, 4, 0);
	hardware_write(d, PCI_COMMAND, 2, 0);
	record_state(d, "lost");
	config_write(d, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	record(bars(d, saved), "lost/BARs");
	record_state(d, "lost and found");
}

void record_power(struct device *d)
{
	unsigned int pm = find_capability(d, PCI_CAP_ID_PM), state, i;
	uint32_t saved[6];
	char when[40];

	if (!pm)
		return;
	for (i = 0; i < 6; i++)
		saved[i] = hardware_read(d, PCI_BASE_ADDRESS_0 + 4 * i, 4);
	config_write(d, PCI_COMMAND, 2, 7);
	for (state = 0; state < 16; state++) {
		static const char *const ways[] = {
			"by byte", "by word", "by dword", "after D3"
		};

		snprintf(when, sizeof(when), "D%u %s", state % 4, ways[state / 4]);
		if (state >= 12)
			config_write(d, pm + PCI_PM_CTRL, 2, 3);
		config_write(d, pm + PCI_PM_CTRL, state < 4 ? 1 : state < 8 ? 2 : 4,
			     state % 4);
		record(text("%08x, device %08x", config_read(d, pm + PCI_PM_CTRL, 4),
			    hardware_read(d, pm + PCI_PM_CTRL, 4)), "%s/PMCSR", when);
		record_state(d, when);
		/* What is configured while asleep is there when awake. */
		config_write(d, PCI_INTERRUPT_LINE, 1, 0x40 + state);
		config_write(d, pm + PCI_PM_CTRL, 4, 0xffffff00);
		record(text("%08x, device %08x", config_read(d, pm + PCI_PM_CTRL, 4),
			    hardware_read(d, pm + PCI_PM_CTRL, 4)), "%s/awake/PMCSR",
		       when);
		record(text("%02x", config_read(d, PCI_INTERRUPT_LINE, 1)),
		       "%s/awake/line", when);
		record(bars(d, saved), "%s/awake/BARs", when);
		strcat(when, "/awake");
		record_state(d, when);
	}
}

void record_express(struct device *d)
{
	unsigned int exp = find_capability(d, PCI_CAP_ID_EXP), i;
	unsigned int af = find_capability(d, PCI_CAP_ID_AF);
	unsigned int pm = find_capability(d, PCI_CAP_ID_PM);
	unsigned int devctl = exp + PCI_EXP_DEVCTL;

	if (af) {
		config_write(d, PCI_COMMAND, 2, 7);
		config_write(d, af + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR);
		record(text("%08x", config_read(d, af + PCI_AF_CTRL, 2)), "AF reset");
		record_state(d, "AF reset");
	}
	if (!exp)
		return;
	for (i = 0; i < 8; i++) {
		config_write(d, devctl, 2, i << 12 | i << 5 | 0x10);
		record(text("%04x, device %04x", config_read(d, devctl, 2),
			    hardware_read(d, devctl, 2)), "read and payload %u", i);
		config_write(d, devctl + 1, 1, i << 4);
		record(text("%04x, device %04x", config_read(d, devctl, 2),
			    hardware_read(d, devctl, 2)), "read %u by byte", i);
		config_write(d, devctl, 1, i << 5);
		record(text("%04x, device %04x", config_read(d, devctl, 2),
			    hardware_read(d, devctl, 2)), "payload %u by byte", i);
	}
	config_write(d, PCI_COMMAND, 2, 7);
	config_write(d, devctl, 2, PCI_EXP_DEVCTL_BCR_FLR | 0x2000);
	record(text("%04x", config_read(d, devctl, 2)), "reset by word");
	record_state(d, "reset by word");
	config_write(d, devctl + 1, 1, PCI_EXP_DEVCTL_BCR_FLR >> 8);
	record(text("%04x", config_read(d, devctl, 2)), "reset by byte");
	record_state(d, "reset by byte");
	config_write(d, devctl, 4, 0xffffffff);
	record(text("%08x, device %08x", config_read(d, devctl, 4),
		    hardware_read(d, devctl, 4)), "reset by dword");
	record_state(d, "reset by dword");
	if (!pm)
		return;
	config_write(d, PCI_COMMAND, 2, 7);
	config_write(d, pm + PCI_PM_CTRL, 2, 3);
	config_write(d, devctl, 2, PCI_EXP_DEVCTL_BCR_FLR);
	record(text("%04x", config_read(d, devctl, 2)), "reset in D3/DEVCTL");
	record(text("%04x", config_read(d, pm + PCI_PM_CTRL, 2)), "reset in D3/PMCSR");
	record_state(d, "reset in D3");
	config_write(d, pm + PCI_PM_CTRL, 2, 0);
	record_state(d, "reset in D3, awake");
}

void record_vpd(struct device *d)
{
	unsigned int vpd = find_capability(d, PCI_CAP_ID_VPD), address;

	if (!vpd)
		return;
	for (address = 0; address < 0x80; address += 4) {
		config_write(d, vpd + PCI_VPD_ADDR, 2, address);
		record(text("%04x %08x", config_read(d, vpd + PCI_VPD_ADDR, 2),
			    config_read(d, vpd + PCI_VPD_DATA, 4)), "%#x", address);
	}
	config_write(d, vpd + PCI_VPD_DATA, 4, 0x41424344);
	config_write(d, vpd + PCI_VPD_ADDR, 2, PCI_VPD_ADDR_F | 0x20);
	record(text("%04x", config_read(d, vpd + PCI_VPD_ADDR, 2)), "write");
	config_write(d, vpd + PCI_VPD_ADDR, 2, 0x20);
	record(text("%08x", config_read(d, vpd + PCI_VPD_DATA, 4)), "written");
	config_write(d, vpd + PCI_VPD_ADDR + 1, 1, 0);
	record(text("%04x", config_read(d, vpd + PCI_VPD_ADDR, 2)), "high byte");
	config_write(d, vpd + PCI_VPD_ADDR, 1, 8);
	record(text("%04x %08x", config_read(d, vpd + PCI_VPD_ADDR, 2),
		    config_read(d, vpd + PCI_VPD_DATA, 4)), "low byte");
	config_write(d, vpd, 4, 0x00040000);
	record(text("%08x %08x", config_read(d, vpd, 4),
		    config_read(d, vpd + PCI_VPD_DATA, 4)), "dword");
	config_write(d, vpd + PCI_VPD_ADDR, 2, 0x7ffc);
	record(text("%04x %08x", config_read(d, vpd + PCI_VPD_ADDR, 2),
		    config_read(d, vpd + PCI_VPD_DATA, 4)), "beyond the end");
	config_write(d, vpd + PCI_VPD_ADDR, 2, 3);
	record(text("%04x %08x", config_read(d, vpd + PCI_VPD_ADDR, 2),
		    config_read(d, vpd + PCI_VPD_DATA, 4)), "odd");
}
