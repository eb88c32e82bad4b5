// SPDX-License-Identifier: GPL-2.0-only
/* VFIO_DEVICE_RESET and hot reset: errors, and what is left of the device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "record.h"

static void record_space(const struct device *d, const char *when)
{
	unsigned int pos;

	for (pos = 0; pos < d->config_size; pos += 4)
		record(text("%08x, device %08x", config_read(d, pos, 4),
			    hardware_read(d, pos, 4)), "%s/%s", when,
		       register_name(d, pos));
}

static int hot_reset(const struct device *d, uint32_t argsz, uint32_t flags,
		     uint32_t count, int first, int second)
{
	struct {
		struct vfio_pci_hot_reset head;
		int fds[16];
	} reset = {
		.head = { .argsz = argsz, .flags = flags, .count = count },
		.fds = { first, second, -1 },
	};

	return ioctl(d->fd, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

void record_reset(struct device *d)
{
	static const uint32_t sizes[] = { 0, 8, 11, 12, 15, 16, 20, 76, ~0u };
	static const uint32_t counts[] = { 0, 1, 2, 3, 100, 0x40000000, ~0u };
	int null = open("/dev/null", O_RDWR), event = eventfd(0, EFD_NONBLOCK);
	const int files[] = { -1, 9999, null, event, d->container, d->fd };
	char when[32];
	unsigned int i, j;

	for (i = 0; i < 3; i++) {
		config_write(d, PCI_INTERRUPT_LINE, 1, 0x51);
		config_write(d, PCI_COMMAND, 2, i == 1 ? 0 : 7);
		record(outcome(ioctl(d->fd, VFIO_DEVICE_RESET)), "device/%u", i);
		snprintf(when, sizeof(when), "after device reset %u", i);
		record_space(d, when);
	}

	for (i = 0; i < COUNT(sizes); i++)
		for (j = 0; j < COUNT(counts); j++)
			record(outcome(hot_reset(d, sizes[i], 0, counts[j], -1, -1)),
			       "hot/argsz %u/count %u", sizes[i], counts[j]);
	for (i = 0; i < 32; i += 5)
		record(outcome(hot_reset(d, 16, 1u << i, 1, d->group, -1)),
		       "hot/flags bit %u", i);
	for (i = 0; i < COUNT(files); i++) {
		record(outcome(hot_reset(d, 16, 0, 1, files[i], -1)), "hot/file %u", i);
		record(outcome(hot_reset(d, 20, 0, 2, d->group, files[i])),
		       "hot/group and file %u", i);
	}
	record(outcome(hot_reset(d, 20, 0, 2, d->group, d->group)), "hot/group twice");
	config_write(d, PCI_COMMAND, 2, 7);
	record(outcome(hot_reset(d, 16, 0, 1, d->group, -1)), "hot/group");
	record_space(d, "after hot reset");
	record(outcome(hot_reset(d, 12, 0, 0, -1, -1)), "hot/no group");
	close(null);
	close(event);
}
