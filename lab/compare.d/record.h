/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records what a VFIO device shows to its user, one observation per line:
 *
 *	key = value
 *
 * A key says what was asked, a value what came back; neither holds an address,
 * a file descriptor or anything else that may differ from run to run.
 */
#ifndef RECORD_H
#define RECORD_H

#include <linux/vfio.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* One device, its group and a container of its own, all freshly opened. */
struct device {
	const char *name;
	int group_id;
	int container;
	int group;
	int fd;
	/* The kernel's own view, through sysfs. */
	int hardware;
	off_t config;
	unsigned int config_size;
};

/* Adds one observation. */
void record(const char *value, const char *key, ...)
	__attribute__((format(printf, 2, 3)));
/* A short-lived string. */
const char *text(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* What a system call returned: the number, or the name of errno. */
const char *outcome(long result);
/* Bytes as hexadecimal digits; many of them as a hash. */
const char *bytes(const void *data, size_t size);

/* The IOMMU group of a device. */
int group_of(const char *name);
/* Register accesses that must work. */
uint32_t config_read(const struct device *d, unsigned int pos, int width);
void config_write(const struct device *d, unsigned int pos, int width,
		  uint32_t value);
uint32_t hardware_read(const struct device *d, unsigned int pos, int width);
void hardware_write(const struct device *d, unsigned int pos, int width,
		    uint32_t value);
/* Position of a capability, 0 if the device has none. */
unsigned int find_capability(const struct device *d, int id);
/* "msi+4" for what is inside a capability, else "0x3c". */
const char *register_name(const struct device *d, unsigned int pos);

/* Region @index, size 0 if there is none. */
struct vfio_region_info region(const struct device *d, uint32_t index);
uint32_t irq_count(const struct device *d, uint32_t index);
/* SET_IRQS with @size bytes of @data. */
int set_irqs(const struct device *d, uint32_t flags, uint32_t index,
	     uint32_t start, uint32_t count, const void *data, size_t size);
/* What an eventfd counted since it was last asked. */
long signals(int eventfd);

/* MAP_DMA, and UNMAP_DMA: "result, how much" */
int map(int container, uint64_t iova, uint64_t size, uintptr_t vaddr, uint32_t flags);
const char *unmap(int container, uint64_t iova, uint64_t size, uint32_t flags);

/* The chapters of a recording. Each starts with a device just opened. */
void record_config_reads(struct device *d);
void record_config_patterns(struct device *d);
void record_config_edges(struct device *d);
void record_command(struct device *d);
void record_power(struct device *d);
void record_express(struct device *d);
void record_vpd(struct device *d);
void record_info(struct device *d);
void record_features(struct device *d);
void record_irq_calls(struct device *d);
void record_irq_delivery(struct device *d);
void record_regions(struct device *d);
void record_mappings(struct device *d);
void record_ioeventfd(struct device *d);
void record_reset(struct device *d);
void record_calls(struct device *d);
void record_container(struct device *d);
void record_groups(struct device *d);
/* Devices in groups of their own, which nobody has opened. */
void record_together(const char *const names[3]);

#endif
