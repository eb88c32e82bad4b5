// SPDX-License-Identifier: GPL-2.0-only
/* Opens a device once for every chapter and writes down what the chapter finds. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "record.h"

/* How much is recorded: a configuration space, a device, all there is. */
enum scope {
	SPACE,
	DEVICE,
	ALL,
};

static const char *const scopes[] = { "space", "device", "all" };

static const struct chapter {
	const char *name;
	void (*record)(struct device *d);
	enum scope scope;
} chapters[] = {
	{ "info", record_info, SPACE },
	{ "features", record_features, DEVICE },
	{ "config", record_config_reads, SPACE },
	{ "pattern", record_config_patterns, SPACE },
	{ "edge", record_config_edges, SPACE },
	{ "command", record_command, SPACE },
	{ "power", record_power, SPACE },
	{ "express", record_express, SPACE },
	{ "vpd", record_vpd, SPACE },
	{ "irq", record_irq_calls, DEVICE },
	{ "delivery", record_irq_delivery, DEVICE },
	{ "region", record_regions, DEVICE },
	{ "map", record_mappings, DEVICE },
	{ "ioeventfd", record_ioeventfd, DEVICE },
	{ "reset", record_reset, DEVICE },
	{ "call", record_calls, DEVICE },
	{ "container", record_container, ALL },
	{ "group", record_groups, ALL },
};

static const char *chapter_name;
static unsigned long recorded;

void record(const char *value, const char *key, ...)
{
	va_list args;

	printf("%s/", chapter_name);
	va_start(args, key);
	vprintf(key, args);
	va_end(args);
	printf(" = %s\n", value);
	recorded++;
}

const char *text(const char *format, ...)
{
	static char ring[8][512];
	static unsigned int next;
	char *at = ring[next++ % COUNT(ring)];
	va_list args;

	va_start(args, format);
	vsnprintf(at, sizeof(ring[0]), format, args);
	va_end(args);
	return at;
}

const char *outcome(long result)
{
	return result < 0 ? strerrorname_np(errno) : text("%ld", result);
}

const char *bytes(const void *data, size_t size)
{
	const unsigned char *byte = data;
	uint64_t hash = 0xcbf29ce484222325;
	char digits[401] = "";
	size_t i;

	if (size <= 200) {
		for (i = 0; i < size; i++)
			sprintf(digits + 2 * i, "%02x", byte[i]);
		return text("%s", digits);
	}
	for (i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3;
	return text("%zu long, hash %016llx", size, (unsigned long long)hash);
}

static void die(const char *what)
{
	fprintf(stderr, "record: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_path(int flags, const char *format, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), format, name);
	fd = open(path, flags);
	if (fd < 0)
		die(path);
	return fd;
}

int group_of(const char *name)
{
	char link[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", name);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		die(link);
	target[len] = '\0';
	return atoi(strrchr(target, '/') + 1);
}

static void open_device(struct device *d, const char *name)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX
	};

	d->name = name;
	d->group_id = group_of(name);
	d->container = open_path(O_RDWR, "%s", "/dev/vfio/vfio");
	d->group = open_path(O_RDWR, "/dev/vfio/%s", text("%d", d->group_id));
	d->hardware = open_path(O_RDWR, "/sys/bus/pci/devices/%s/config", name);
	if (ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) ||
	    ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("attach the group to the container");
	d->fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (d->fd < 0)
		die(name);
	if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		die("where is the configuration space");
	d->config = info.offset;
	d->config_size = info.size;
}

static void close_device(struct device *d)
{
	close(d->fd);
	close(d->group);
	close(d->container);
	close(d->hardware);
}

static const char *attribute(const char *device, const char *name)
{
	char value[64] = "";
	int fd = open_path(O_RDONLY, "/sys/bus/pci/devices/%s",
			   text("%s/%s", device, name));

	if (read(fd, value, sizeof(value) - 1) < 0)
		snprintf(value, sizeof(value), "%s", strerrorname_np(errno));
	close(fd);
	value[strcspn(value, "\n")] = '\0';
	return text("%s", value);
}

/* A device that nobody has open, as sysfs shows it to anybody: at rest. */
static void record_idle(const char *device, const char *when)
{
	struct device d = {
		.hardware = open_path(O_RDONLY, "/sys/bus/pci/devices/%s/config",
				      device),
	};
	off_t size = lseek(d.hardware, 0, SEEK_END);
	unsigned int pos, tries;

	chapter_name = when;
	for (tries = 0; tries < 50; tries++) {
		if (!strcmp(attribute(device, "power/runtime_status"), "suspended"))
			break;
		usleep(100000);
	}
	record(attribute(device, "power/runtime_status"), "runtime_status");
	record(attribute(device, "power/autosuspend_delay_ms"), "autosuspend_delay_ms");
	record(attribute(device, "power/control"), "control");
	record(attribute(device, "power_state"), "power_state");
	record(attribute(device, "enable"), "enable");
	for (pos = 0; pos < size; pos += 4)
		record(text("%08x", hardware_read(&d, pos, 4)), "%#x", pos);
	close(d.hardware);
}

/* usage: record SCOPE DEVICE, or record together DEVICE DEVICE DEVICE */
int main(int argc, char **argv)
{
	const struct chapter *c;
	unsigned int scope = 0;

	if (argc == 5 && !strcmp(argv[1], "together")) {
		chapter_name = argv[1];
		record_together((const char *const *)argv + 2);
		printf("end = %lu\n", recorded);
		return 0;
	}
	while (argc == 3 && scope < COUNT(scopes) && strcmp(argv[1], scopes[scope]))
		scope++;
	if (argc != 3 || scope == COUNT(scopes)) {
		fprintf(stderr, "usage: record space|device|all DEVICE\n"
			"       record together DEVICE DEVICE DEVICE\n");
		return 2;
	}
	record_idle(argv[2], "bound");
	for (c = chapters; c < chapters + COUNT(chapters); c++) {
		struct device d = { 0 };

		if (c->scope > scope)
			continue;
		chapter_name = c->name;
		open_device(&d, argv[2]);
		c->record(&d);
		close_device(&d);
	}
	record_idle(argv[2], "closed");
	/* A recording without this line is not complete. */
	printf("end = %lu\n", recorded);
	return 0;
}
