// SPDX-License-Identifier: GPL-2.0-only
/* Registers, regions and interrupts: what several chapters use. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "record.h"

/* Values are little-endian, as the machine is. */
static uint32_t get(int fd, off_t at, int width)
{
	uint32_t value = 0;

	if (pread(fd, &value, width, at) != width) {
		fprintf(stderr, "record: read of %d bytes at %#llx: %s\n", width,
			(unsigned long long)at, strerror(errno));
		exit(1);
	}
	return value;
}

static void put(int fd, off_t at, int width, uint32_t value)
{
	if (pwrite(fd, &value, width, at) != width) {
		fprintf(stderr, "record: write of %d bytes at %#llx: %s\n", width,
			(unsigned long long)at, strerror(errno));
		exit(1);
	}
}

uint32_t config_read(const struct device *d, unsigned int pos, int width)
{
	return get(d->fd, d->config + pos, width);
}

void config_write(const struct device *d, unsigned int pos, int width,
		  uint32_t value)
{
	put(d->fd, d->config + pos, width, value);
}

uint32_t hardware_read(const struct device *d, unsigned int pos, int width)
{
	return get(d->hardware, pos, width);
}

void hardware_write(const struct device *d, unsigned int pos, int width,
		    uint32_t value)
{
	put(d->hardware, pos, width, value);
}

unsigned int find_capability(const struct device *d, int id)
{
	unsigned int pos = config_read(d, PCI_CAPABILITY_LIST, 1);
	int left = 48;

	while (pos >= 0x40 && left--) {
		if ((int)config_read(d, pos, 1) == id)
			return pos;
		pos = config_read(d, pos + 1, 1);
	}
	return 0;
}

static const char *const standard[] = {
	[1] = "pm", "agp", "vpd", "slotid", "msi", "chswp", "pcix", "ht",
	"vendor", "debug", "ccrc", "shpc", "ssvid", "agp3", "secure", "exp",
	"msix", "sata", "af", "ea",
};

static const char *const extended[] = {
	[1] = "aer", "vc", "serial", "power", "rclink", "rcilink", "rcec",
	"mfvc", "vc9", "rcrb", "vsec", "cac", "acs", "ari", "ats", "sriov",
	"mriov", "multicast", "pri", "amd", "rebar", "dpa", "tph", "ltr",
	"secpci", "pmux", "pasid", "lnr", "dpc", "l1ss", "ptm",
};

/* The capability's name, numbered from its second appearance on. */
static const char *name_of(const char *const *table, size_t size, unsigned int id,
			   unsigned int *seen)
{
	const char *name = id < size && table[id] ? table[id] :
			   text("%s%x", table == standard ? "id" : "ext", id);

	return strdup(seen[id & 0xff]++ ? text("%s %u", name, seen[id & 0xff]) : name);
}

/*
 * Names come from the hardware's chains, where stock and ours cannot differ. What
 * lies behind a capability up to the next one counts as part of it.
 */
static void find_names(const struct device *d, char names[][24])
{
	unsigned int seen_standard[256] = { 0 }, seen_extended[256] = { 0 };
	const char *starts[4096] = { 0 };
	unsigned int pos, base = 0, left;
	uint32_t head;

	pos = hardware_read(d, PCI_CAPABILITY_LIST, 1);
	for (left = 48; pos >= 0x40 && left; left--) {
		starts[pos] = name_of(standard, COUNT(standard),
				      hardware_read(d, pos, 1), seen_standard);
		pos = hardware_read(d, pos + 1, 1);
	}
	pos = d->config_size > 256 ? 256 : 0;
	for (left = 480; pos >= 256 && left; left--) {
		head = hardware_read(d, pos, 4);
		if (!head || head == ~0u)
			break;
		starts[pos] = name_of(extended, COUNT(extended), head & 0xffff,
				      seen_extended);
		pos = head >> 20 & 0xffc;
	}
	for (pos = 0; pos < d->config_size; pos++) {
		if (starts[pos] || pos == 256)
			base = pos;
		if (starts[base])
			snprintf(names[pos], sizeof(names[pos]), "%s+%u",
				 starts[base], pos - base);
		else
			snprintf(names[pos], sizeof(names[pos]), "0x%03x", pos);
	}
}

const char *register_name(const struct device *d, unsigned int pos)
{
	static char names[4096][24];

	if (!names[0][0])
		find_names(d, names);
	return names[pos];
}

struct vfio_region_info region(const struct device *d, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

uint32_t irq_count(const struct device *d, uint32_t index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	return ioctl(d->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) ? 0 : info.count;
}

int set_irqs(const struct device *d, uint32_t flags, uint32_t index,
	     uint32_t start, uint32_t count, const void *data, size_t size)
{
	static char buffer[65536];
	struct vfio_irq_set *set = (void *)buffer;

	*set = (struct vfio_irq_set) {
		.argsz = sizeof(*set) + size, .flags = flags, .index = index,
		.start = start, .count = count,
	};
	if (size)
		memcpy(set->data, data, size);
	return ioctl(d->fd, VFIO_DEVICE_SET_IRQS, set);
}

long signals(int eventfd)
{
	uint64_t count = 0;

	/* Nothing to read leaves 0. */
	if (read(eventfd, &count, sizeof(count)) < 0)
		return 0;
	return count;
}
