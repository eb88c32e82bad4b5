// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI functions that are only a configuration space, taken from a file: one behind the
 * first of three empty root ports, up to eight behind each of the others. The file is an
 * array of struct space. They have no BARs and do nothing, but their registers behave:
 * some bits are writable, some are cleared by writing 1, VPD is read and written.
 */
#include <linux/kernel_read_file.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/unaligned.h>

#define PORTS		3
#define FUNCTIONS	8

struct space {
	u8 value[4096];
	u8 writable[4096];
	u8 write_1_to_clear[4096];
	u8 vpd[1024];
	__le32 size;
	/* Where these capabilities are, 0 for none. */
	__le32 vpd_at, exp_at, af_at;
};

static char *image;
module_param(image, charp, 0400);
MODULE_PARM_DESC(image, "file with the configuration spaces");

static int bus;
module_param(bus, int, 0400);
MODULE_PARM_DESC(bus, "number of the bus behind the first port");

static struct space *spaces;
static size_t nr_spaces;

static struct space *space_of(struct pci_bus *on, unsigned int devfn)
{
	size_t index = PCI_FUNC(devfn);

	if (PCI_SLOT(devfn))
		return NULL;
	if (on->number > bus)
		index += 1 + (on->number - bus - 1) * FUNCTIONS;
	else if (index)
		return NULL;
	return index < nr_spaces ? &spaces[index] : NULL;
}

static int space_read(struct pci_bus *on, unsigned int devfn, int at, int size, u32 *value)
{
	struct space *s = space_of(on, devfn);
	int i;

	*value = ~0;
	if (!s)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (at + size > le32_to_cpu(s->size))
		return PCIBIOS_BAD_REGISTER_NUMBER;
	*value = 0;
	for (i = 0; i < size; i++)
		*value |= s->value[at + i] << (8 * i);
	return PCIBIOS_SUCCESSFUL;
}

static bool written(int at, int size, u32 capability, int reg)
{
	int byte = capability + reg;

	return capability && at <= byte && byte < at + size;
}

/* The flag in the address register turns round when the data has moved. */
static void move_vpd(struct space *s, u32 vpd)
{
	u16 address = get_unaligned_le16(s->value + vpd + PCI_VPD_ADDR);
	u16 at = address & PCI_VPD_ADDR_MASK;
	u8 *data = s->value + vpd + PCI_VPD_DATA;

	if (at > sizeof(s->vpd) - 4)
		return;
	if (address & PCI_VPD_ADDR_F)
		memcpy(s->vpd + at, data, 4);
	else
		memcpy(data, s->vpd + at, 4);
	put_unaligned_le16(address ^ PCI_VPD_ADDR_F, s->value + vpd + PCI_VPD_ADDR);
}

static int space_write(struct pci_bus *on, unsigned int devfn, int at, int size, u32 value)
{
	struct space *s = space_of(on, devfn);
	int i;

	if (!s)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (at + size > le32_to_cpu(s->size))
		return PCIBIOS_BAD_REGISTER_NUMBER;
	for (i = 0; i < size; i++) {
		u8 byte = value >> (8 * i), mask = s->writable[at + i];

		s->value[at + i] = (s->value[at + i] & ~mask) | (byte & mask);
		s->value[at + i] &= ~(byte & s->write_1_to_clear[at + i]);
	}
	/* Bits that start a reset read as 0. */
	if (written(at, size, le32_to_cpu(s->exp_at), PCI_EXP_DEVCTL + 1))
		s->value[le32_to_cpu(s->exp_at) + PCI_EXP_DEVCTL + 1] &= 0x7f;
	if (written(at, size, le32_to_cpu(s->af_at), PCI_AF_CTRL))
		s->value[le32_to_cpu(s->af_at) + PCI_AF_CTRL] &= ~PCI_AF_CTRL_FLR;
	if (written(at, size, le32_to_cpu(s->vpd_at), PCI_VPD_ADDR + 1))
		move_vpd(s, le32_to_cpu(s->vpd_at));
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops space_ops = { .read = space_read, .write = space_write };

/* There is no exit: the buses use this for good. */
static int __init spaces_init(void)
{
	void *data = NULL;
	ssize_t size;
	int port;

	for (port = 0; port < PORTS; port++)
		if (!pci_find_bus(0, bus + port))
			return -ENODEV;
	size = kernel_read_file_from_path(image, 0, &data, INT_MAX, NULL, READING_FIRMWARE);
	if (size < 0)
		return size;
	spaces = data;
	nr_spaces = size / sizeof(*spaces);

	pci_lock_rescan_remove();
	for (port = 0; port < PORTS; port++) {
		struct pci_bus *on = pci_find_bus(0, bus + port);

		pci_bus_set_ops(on, &space_ops);
		pci_scan_slot(on, 0);
		pci_bus_add_devices(on);
	}
	pci_unlock_rescan_remove();
	return 0;
}
module_init(spaces_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("PCI functions that are only a configuration space");
