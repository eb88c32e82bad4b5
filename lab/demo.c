// SPDX-License-Identifier: GPL-2.0-only
/*
 * Given an NVMe controller bound to vfio-pci: reads its capability register through
 * a mapping of BAR0 and through pread, then takes the memory away and gives it back
 * while the mapping stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The controller's capabilities; no two halves of it are equal. */
#define NVME_CAP	0

static sigjmp_buf after_fault;

static void on_sigbus(int signal)
{
	siglongjmp(after_fault, signal);
}

static void die(const char *what)
{
	fprintf(stderr, "demo: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Prints one step; a step that went wrong ends the program. */
static void step(int good, const char *text)
{
	printf("  %-6s %s\n", good ? "ok" : "FAILED", text);
	fflush(stdout);
	if (!good)
		exit(1);
}

static int open_group(const char *device)
{
	char link[PATH_MAX], target[PATH_MAX], path[PATH_MAX + 16];
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", device);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		die(link);
	target[len] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio%s", strrchr(target, '/'));
	return open(path, O_RDWR);
}

static int open_device(const char *name)
{
	int container = open("/dev/vfio/vfio", O_RDWR);
	int group = open_group(name);
	int device;

	if (container < 0 || group < 0)
		die("open the container and the group");
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("attach the group to the container");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (device < 0)
		die(name);
	return device;
}

static struct vfio_region_info region(int device, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		die("VFIO_DEVICE_GET_REGION_INFO");
	return info;
}

static void set_memory(int device, off_t config, int on)
{
	uint16_t command;

	if (pread(device, &command, 2, config + PCI_COMMAND) != 2)
		die("read the command register");
	command = on ? command | PCI_COMMAND_MEMORY :
		       command & ~PCI_COMMAND_MEMORY;
	if (pwrite(device, &command, 2, config + PCI_COMMAND) != 2)
		die("write the command register");
}

/* False when the access was answered with SIGBUS. */
static int load(const volatile uint32_t *reg, uint64_t *value)
{
	if (sigsetjmp(after_fault, 1))
		return 0;
	*value = reg[0] | (uint64_t)reg[1] << 32;
	return 1;
}

int main(int argc, char **argv)
{
	struct vfio_region_info bar, config;
	uint64_t mapped = 0, read = 0;
	volatile uint32_t *regs;
	char text[128];
	int device;

	if (argc != 2) {
		fprintf(stderr, "usage: demo DOMAIN:BUS:DEVICE.FUNCTION\n");
		return 2;
	}
	signal(SIGBUS, on_sigbus);
	device = open_device(argv[1]);
	bar = region(device, VFIO_PCI_BAR0_REGION_INDEX);
	config = region(device, VFIO_PCI_CONFIG_REGION_INDEX);
	regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		    bar.offset);
	if (regs == MAP_FAILED)
		die("map BAR0");
	snprintf(text, sizeof(text), "BAR0 mapped, %llu KiB", bar.size >> 10);
	step(1, text);

	set_memory(device, config.offset, 1);
	step(load(regs + NVME_CAP, &mapped) &&
	     pread(device, &read, sizeof(read), bar.offset + NVME_CAP) == sizeof(read),
	     "CAP register read through the mapping and through pread");
	snprintf(text, sizeof(text), "they agree: %#018llx and %#018llx",
		 (unsigned long long)mapped, (unsigned long long)read);
	step(mapped == read && ~mapped, text);

	set_memory(device, config.offset, 0);
	step(!load(regs + NVME_CAP, &mapped),
	     "memory enable cleared: the mapping answers with SIGBUS");
	step(pread(device, &read, sizeof(read), bar.offset) < 0 && errno == EIO,
	     "memory enable cleared: pread fails with EIO");

	set_memory(device, config.offset, 1);
	mapped = 0;
	step(load(regs + NVME_CAP, &mapped) && mapped == read,
	     "memory enable set: the same mapping reads CAP again");
	return 0;
}
