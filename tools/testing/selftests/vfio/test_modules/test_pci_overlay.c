// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes PCI devices look like others: dwords of their configuration space read
 * as what the parameter says. Writes reach the devices as ever, but for dwords
 * that are "memory": these begin as zero and keep what is written.
 *
 *   modprobe test_pci_overlay set=0000:00:10.0+0=0x12348086,0000:00:10.0+fc=ram
 *
 * "ram" is the physical address of some memory that /dev/test_pci_overlay reads
 * and writes. "space" is all that memory from the same offset on, in place of
 * configuration space from there to its end. "silent" from an offset on is a device
 * that does not answer: it reads as ones, and what is written is lost. One that
 * "leaves" answers as long as the first byte of that memory is 0. "vpd40" is a
 * capability for vital product data, which are that memory's, before the capability at
 * 0x40. "without1" is the device's own dword, in which bits of 1 read as zero.
 * "forgets" is the one with the power state, and COMMAND is zero when the device is
 * back in D0. A device that exists already has to be removed and found again to be
 * taken for what it looks like.
 */
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MAX_DWORDS	20
#define RAM_SIZE	SZ_64K

static char *set[MAX_DWORDS];
static int nr_set;
module_param_array(set, charp, &nr_set, 0400);
MODULE_PARM_DESC(set, "DOMAIN:BUS:SLOT.FUNCTION+OFFSET=VALUE, all hexadecimal");

static struct overlay_dword {
	struct pci_bus	*bus;
	struct pci_ops	*ops;		/* the bus's own */
	unsigned int	devfn;
	int		where;
	u32		value;
	bool		memory;
	bool		space;		/* and all that follow: in ram */
	bool		silent;		/* and all that follow */
	bool		leaves;		/* silent only while ram says so */
	bool		vpd;		/* its data are the next dword */
	bool		without;	/* the device's, but for these bits */
	bool		forgets;	/* the device's; D0 after D3 clears COMMAND */
} dwords[MAX_DWORDS];
static int nr_dwords;

static void *ram;

/* The first dword of a bus was there before its operations were changed. */
static struct pci_ops *overlay_real_ops(struct pci_bus *bus)
{
	int i;

	for (i = 0; i < nr_dwords; i++)
		if (dwords[i].bus == bus)
			return dwords[i].ops;
	return NULL;
}

/* What the parameter says of a dword first counts. */
static struct overlay_dword *overlay_find(struct pci_bus *bus,
					  unsigned int devfn, int where)
{
	int i;

	for (i = 0; i < nr_dwords; i++)
		if (dwords[i].bus == bus && dwords[i].devfn == devfn &&
		    (dwords[i].where == (where & ~3) ||
		     ((dwords[i].space || dwords[i].silent) &&
		      dwords[i].where <= where)) &&
		    !(dwords[i].leaves && !READ_ONCE(*(u8 *)ram)))
			return &dwords[i];
	return NULL;
}

static u32 *overlay_value(struct overlay_dword *dword, int where)
{
	return dword->space ? ram + (where & ~3) : &dword->value;
}

static u32 overlay_mask(int where, int size)
{
	return GENMASK(size * 8 - 1, 0) << (where & 3) * 8;
}

static int overlay_read(struct pci_bus *bus, unsigned int devfn, int where,
			int size, u32 *val)
{
	int ret = overlay_real_ops(bus)->read(bus, devfn, where, size, val);
	struct overlay_dword *dword = overlay_find(bus, devfn, where);

	if (ret || !dword || dword->forgets)
		return ret;
	if (dword->silent)
		PCI_SET_ERROR_RESPONSE(val);
	else if (dword->without)
		*val &= ~((dword->value & overlay_mask(where, size)) >>
			  (where & 3) * 8);
	else
		*val = (*overlay_value(dword, where) &
			overlay_mask(where, size)) >> (where & 3) * 8;
	return ret;
}

/* PCIe r6.0, 7.9.18: the flag says who has to do something. */
static void overlay_vpd(struct overlay_dword *dword)
{
	u32 addr = dword->value >> 16 & PCI_VPD_ADDR_MASK;
	u32 flag = PCI_VPD_ADDR_F << 16;
	u32 *data = &dword[1].value;

	if (dword->value & flag)
		memcpy(ram + addr, data, sizeof(*data));
	else
		memcpy(data, ram + addr, sizeof(*data));
	dword->value ^= flag;
}

/* PCI PM 1.2, 5.4.1, as far as a test wants to know. */
static int overlay_power(struct pci_bus *bus, unsigned int devfn, int where,
			 int size, u32 val)
{
	struct pci_ops *ops = overlay_real_ops(bus);
	u32 old;
	int ret;

	ret = ops->read(bus, devfn, where & ~3, 4, &old) ?:
	      ops->write(bus, devfn, where, size, val);
	if (!ret && !(where & 3) && (old & PCI_PM_CTRL_STATE_MASK) == 3 &&
	    !(val & PCI_PM_CTRL_STATE_MASK))
		ret = ops->write(bus, devfn, PCI_COMMAND, 2, 0);
	return ret;
}

static int overlay_write(struct pci_bus *bus, unsigned int devfn, int where,
			 int size, u32 val)
{
	struct overlay_dword *dword = overlay_find(bus, devfn, where);
	u32 mask = overlay_mask(where, size);
	u32 *value;

	if (dword && dword->silent)
		return PCIBIOS_SUCCESSFUL;
	if (dword && dword->forgets)
		return overlay_power(bus, devfn, where, size, val);
	if (!dword || !(dword->memory || dword->space))
		return overlay_real_ops(bus)->write(bus, devfn, where, size,
						    val);
	value = overlay_value(dword, where);
	*value &= ~mask;
	*value |= val << (where & 3) * 8 & mask;
	if (dword->vpd)
		overlay_vpd(dword);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops overlay_ops = {
	.read = overlay_read,
	.write = overlay_write,
};

static int overlay_parse(const char *text)
{
	struct overlay_dword *dword = &dwords[nr_dwords];
	unsigned int domain, bus, slot, fn;
	char value[16];

	if (sscanf(text, "%x:%x:%x.%x+%x=%15s", &domain, &bus, &slot, &fn,
		   &dword->where, value) != 6 || dword->where & 3)
		return -EINVAL;
	if (!strcmp(value, "ram"))
		dword->value = virt_to_phys(ram);
	else if (!strcmp(value, "memory"))
		dword->memory = true;
	else if (!strcmp(value, "space"))
		dword->space = true;
	else if (!strcmp(value, "silent") || !strcmp(value, "leaves"))
		dword->silent = true;
	else if (sscanf(value, "vpd%x", &dword->value) == 1)
		dword->vpd = true;
	else if (sscanf(value, "without%x", &dword->value) == 1)
		dword->without = true;
	else if (!strcmp(value, "forgets"))
		dword->forgets = true;
	else if (kstrtou32(value, 16, &dword->value))
		return -EINVAL;
	dword->leaves = !strcmp(value, "leaves");
	dword->devfn = PCI_DEVFN(slot, fn);
	dword->bus = pci_find_bus(domain, bus);
	if (!dword->bus)
		return -ENODEV;
	dword->ops = dword->bus->ops;
	/* Those of most host bridges use it; it is the same for all their buses. */
	overlay_ops.map_bus = dword->ops->map_bus;
	nr_dwords++;

	if (dword->vpd) {
		dword->value = PCI_CAP_ID_VPD | dword->value << 8;
		dword->memory = true;
		dword[1] = dword[0];
		dword[1].where += PCI_VPD_DATA;
		dword[1].vpd = false;
		nr_dwords++;
	}
	return 0;
}

static ssize_t overlay_ram_read(struct file *file, char __user *buf,
				size_t count, loff_t *ppos)
{
	return simple_read_from_buffer(buf, count, ppos, ram, RAM_SIZE);
}

static ssize_t overlay_ram_write(struct file *file, const char __user *buf,
				 size_t count, loff_t *ppos)
{
	return simple_write_to_buffer(ram, RAM_SIZE, ppos, buf, count);
}

static const struct file_operations overlay_fops = {
	.owner = THIS_MODULE,
	.read = overlay_ram_read,
	.write = overlay_ram_write,
	.llseek = default_llseek,
};

static struct miscdevice overlay_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &overlay_fops,
};

static int __init overlay_init(void)
{
	int i, ret;

	/* An address that a dword can hold. */
	ram = (void *)__get_free_pages(GFP_KERNEL | GFP_DMA32 | __GFP_ZERO,
				       get_order(RAM_SIZE));
	if (!ram)
		return -ENOMEM;

	for (i = 0; i < nr_set; i++) {
		ret = nr_dwords + 2 > MAX_DWORDS ? -E2BIG :
		      overlay_parse(set[i]);
		if (ret)
			goto free;
	}

	ret = misc_register(&overlay_misc);
	if (ret)
		goto free;

	for (i = 0; i < nr_dwords; i++)
		pci_bus_set_ops(dwords[i].bus, &overlay_ops);
	return 0;

free:
	free_pages((unsigned long)ram, get_order(RAM_SIZE));
	return ret;
}

static void __exit overlay_exit(void)
{
	int i;

	for (i = 0; i < nr_dwords; i++)
		pci_bus_set_ops(dwords[i].bus, dwords[i].ops);
	misc_deregister(&overlay_misc);
	free_pages((unsigned long)ram, get_order(RAM_SIZE));
}

module_init(overlay_init);
module_exit(overlay_exit);

MODULE_DESCRIPTION("PCI configuration space with other contents");
MODULE_LICENSE("GPL");
