// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-combined mappings: how to get them, and what the kernel's own records say
 * of a mapping: its page table, and x86's list of memory types.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio_util.h"

#define LOOK		"/sys/module/test_vfio_memtype/parameters/look"
#define PAT_LIST	VFIO_DEBUGFS "/x86/pat_memtype_list"

/* Make a write-combined alias of a part of a BAR: its region's index. */
int vfio_alias(const struct vfio_dev *d, uint32_t bar, uint64_t offset,
	       uint64_t size)
{
	struct {
		struct vfio_device_feature header;
		struct vfio_device_feature_pci_alias alias;
	} get = {
		.header.argsz = sizeof(get),
		.header.flags = VFIO_DEVICE_FEATURE_GET |
				VFIO_DEVICE_FEATURE_PCI_ALIAS,
		.alias.region_index = bar,
		.alias.memory_type = VFIO_PCI_ALIAS_WRITE_COMBINE,
		.alias.offset = offset,
		.alias.size = size,
	};
	int ret;

	ret = vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, &get);
	return ret ? ret : (int)get.alias.index;
}

/* -ENOENT where there is nothing that could say how a page is mapped. */
int vfio_memtype_load(void)
{
	return access(LOOK, F_OK) && vfio_modprobe("test_vfio_memtype") ?
	       -ENOENT : 0;
}

/*
 * How the page at @p is mapped, which was touched before: "uncached",
 * "write-combined", "either" if they are the same to the machine, "cached",
 * "none". @phys is set to where it is.
 */
const char *vfio_memtype(const void *p, uint64_t *phys)
{
	static const char *const types[] = {
		"uncached", "write-combined", "either", "cached", "none", NULL
	};
	unsigned long long pfn;
	char text[64], type[32];
	unsigned int i;

	snprintf(text, sizeof(text), "%p", p);
	if (vfio_sysfs_write(LOOK, text) ||
	    vfio_sysfs_read(LOOK, text, sizeof(text)) < 0 ||
	    sscanf(text, "%llx %31s", &pfn, type) != 2)
		return "unknown";
	if (phys)
		*phys = pfn * sysconf(_SC_PAGESIZE);
	for (i = 0; types[i]; i++)
		if (!strcmp(type, types[i]))
			return types[i];
	return "unknown";
}

/* Where a BAR is in physical memory. */
uint64_t vfio_pci_bar_phys(const char *bdf, int bar)
{
	char text[1024], *line = text;
	unsigned long long start = 0;

	if (vfio_pci_attr_read(bdf, "resource", text, sizeof(text)) < 0)
		return 0;
	while (bar-- && line)
		line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
	if (line)
		sscanf(line, "%llx", &start);
	return start;
}

/*
 * What x86's list says of a range: how many entries overlap it that are of
 * @type; -ENOENT where there is no such list.
 */
int vfio_pat_count(uint64_t start, uint64_t size, const char *type)
{
	unsigned long long first, end;
	char line[256], found[64];
	int count = 0;
	FILE *f;

	vfio_debugfs_need(VFIO_DEBUGFS "/x86");
	f = fopen(PAT_LIST, "re");
	if (!f)
		return -ENOENT;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "PAT: [mem %llx-%llx] %63s", &first, &end,
			   found) != 3)
			continue;
		count += first < start + size && end > start &&
			 !strcmp(found, type);
	}
	fclose(f);
	return count;
}
