// SPDX-License-Identifier: GPL-2.0-only
/* Information requests at every interesting argsz, and features. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "record.h"

static const uint32_t sizes[] = {
	0, 4, 8, 11, 12, 15, 16, 17, 20, 23, 24, 25, 31, 32, 33, 40, 47, 48, 56, 64,
	80, 512, 4096,
};

/* Everything the kernel wrote into the buffer, which is bigger than it is told. */
static void record_request(const struct device *d, const char *what,
			   unsigned long request, uint32_t index, size_t index_at,
			   uint32_t argsz)
{
	unsigned char buffer[8192];
	const char *result;
	size_t end;

	memset(buffer, 0xaa, sizeof(buffer));
	memcpy(buffer, &argsz, sizeof(argsz));
	if (index_at)
		memcpy(buffer + index_at, &index, sizeof(index));
	result = outcome(ioctl(d->fd, request, buffer));
	for (end = sizeof(buffer); end && buffer[end - 1] == 0xaa; end--)
		;
	record(text("%s: %s", result, bytes(buffer, end)), "%s/argsz %u", what, argsz);
}

void record_info(struct device *d)
{
	static const uint32_t strange[] = { 9, 10, 32, 0x7fffffff, ~0u };
	uint32_t i, j;

	for (j = 0; j < COUNT(sizes); j++)
		record_request(d, "device", VFIO_DEVICE_GET_INFO, 0, 0, sizes[j]);
	record_request(d, "device", VFIO_DEVICE_GET_INFO, 0, 0, ~0u);
	for (i = 0; i < VFIO_PCI_NUM_REGIONS + COUNT(strange); i++) {
		uint32_t index = i < VFIO_PCI_NUM_REGIONS ? i :
				 strange[i - VFIO_PCI_NUM_REGIONS];

		for (j = 0; j < COUNT(sizes); j++) {
			record_request(d, text("region %u", index),
				       VFIO_DEVICE_GET_REGION_INFO, index, 8,
				       sizes[j]);
			record_request(d, text("interrupt %u", index),
				       VFIO_DEVICE_GET_IRQ_INFO, index, 8,
				       sizes[j]);
		}
	}
	for (j = 0; j < COUNT(sizes); j++)
		record_request(d, "hot reset", VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
			       0, 0, sizes[j]);
}

static const char *feature(const struct device *d, uint32_t flags, uint32_t argsz,
			   const void *data, size_t size)
{
	struct {
		struct vfio_device_feature head;
		unsigned char data[256];
	} f = { .head = { .argsz = argsz, .flags = flags } };
	const char *result;

	if (size)
		memcpy(f.data, data, size);
	result = outcome(ioctl(d->fd, VFIO_DEVICE_FEATURE, &f));
	return text("%s: %s", result, bytes(f.data, 32));
}

/* Waits for the device to fall asleep, which it does a moment later if ever. */
static const char *suspends(const struct device *d)
{
	char path[128], status[32] = "";
	int tries, fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status",
		 d->name);
	for (tries = 0; tries < 200 && strcmp(status, "suspended\n"); tries++) {
		memset(status, 0, sizeof(status));
		fd = open(path, O_RDONLY);
		if (fd < 0 || read(fd, status, sizeof(status) - 1) < 0)
			return "unknown";
		close(fd);
		usleep(10000);
	}
	return text("%.*s", (int)strcspn(status, "\n"), status);
}

void record_features(struct device *d)
{
	static const uint32_t numbers[] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, 0x8000, 0xf001, 0xffff,
	};
	static const struct {
		const char *name;
		uint32_t flags;
	} kinds[] = {
		{ "none", 0 },
		{ "probe", VFIO_DEVICE_FEATURE_PROBE },
		{ "probe get", VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET },
		{ "probe set", VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET },
		{ "probe both", VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
				VFIO_DEVICE_FEATURE_SET },
		{ "get", VFIO_DEVICE_FEATURE_GET },
		{ "set", VFIO_DEVICE_FEATURE_SET },
		{ "both", VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET },
		{ "bit 19", 1 << 19 },
		{ "get, bit 31", VFIO_DEVICE_FEATURE_GET | 1u << 31 },
	};
	static const uint32_t argszs[] = { 0, 7, 8, 9, 12, 15, 16, 24, 64, ~0u };
	struct vfio_device_low_power_entry_with_wakeup wakeup = { .wakeup_eventfd = -1 };
	unsigned int i, j, k;

	for (i = 0; i < COUNT(numbers); i++)
		for (j = 0; j < COUNT(kinds); j++)
			for (k = 0; k < COUNT(argszs); k++)
				record(feature(d, numbers[i] | kinds[j].flags,
					       argszs[k], NULL, 0),
				       "%u/%s/argsz %u", numbers[i], kinds[j].name,
				       argszs[k]);

	/* Low power with a wake-up that is none, that is one, and too much of it. */
	record(feature(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP |
		       VFIO_DEVICE_FEATURE_SET, 16, &wakeup, sizeof(wakeup)),
	       "wake-up/fd -1");
	wakeup.wakeup_eventfd = d->group;
	record(feature(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP |
		       VFIO_DEVICE_FEATURE_SET, 16, &wakeup, sizeof(wakeup)),
	       "wake-up/not an eventfd");
	wakeup.wakeup_eventfd = eventfd(0, EFD_NONBLOCK);
	wakeup.reserved = 1;
	record(feature(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP |
		       VFIO_DEVICE_FEATURE_SET, 16, &wakeup, sizeof(wakeup)),
	       "wake-up/reserved");
	record(suspends(d), "wake-up/reserved/runtime status");
	wakeup.reserved = 0;
	record(feature(d, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | VFIO_DEVICE_FEATURE_SET,
		       8, NULL, 0), "wake-up/first exit");
	record(feature(d, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP |
		       VFIO_DEVICE_FEATURE_SET, 16, &wakeup, sizeof(wakeup)),
	       "wake-up/entry");
	record(suspends(d), "wake-up/runtime status");
	/* The first access wakes the device, and its user by the eventfd. */
	record(text("%08x", config_read(d, PCI_COMMAND, 4)), "wake-up/COMMAND");
	record(text("%ld", signals(wakeup.wakeup_eventfd)), "wake-up/signals");
	for (i = 0; i < 2; i++)
		record(feature(d, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT |
			       VFIO_DEVICE_FEATURE_SET, 8, NULL, 0),
		       "wake-up/exit %u", i);
	close(wakeup.wakeup_eventfd);
}
