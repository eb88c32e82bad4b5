// SPDX-License-Identifier: GPL-2.0-only
/* How much the kernel has of everything, to see whether it grows. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "levels.h"

#define SLAB "/sys/kernel/slab"

/* What waits to be freed goes, and what is kept because it may be wanted again. */
static void empty_caches(void)
{
	int i;

	sync();
	/* What was used lately survives the first time. */
	for (i = 0; i < 5; i++) {
		usleep(100000);
		vfio_sysfs_write("/proc/sys/vm/drop_caches", "3");
	}
}

/* The same for caches of objects, and for KASAN's quarantine. */
static void shrink_slabs(void)
{
	char path[512];
	struct dirent *entry;
	DIR *d;

	d = opendir(SLAB);
	if (!d)
		return;
	while ((entry = readdir(d))) {
		/* The others are second names. */
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), SLAB "/%s/shrink", entry->d_name);
		vfio_sysfs_write(path, "1");
	}
	closedir(d);
}

/* Of several numbers the lowest. */
static void add(struct vfio_levels *l, const char *name, int64_t value,
		int64_t noise)
{
	struct vfio_level *level = l->level;

	while (level < l->level + l->nr && strcmp(level->name, name))
		level++;
	if (level == l->level + VFIO_LEVELS || value < 0)
		return;
	if (level == l->level + l->nr) {
		snprintf(level->name, sizeof(level->name), "%s", name);
		level->value = value;
		level->noise = noise;
		l->nr++;
	} else if (value < level->value) {
		level->value = value;
	}
}

/* Those without @but. */
static int64_t count_lines(const char *path, const char *but)
{
	int64_t count = 0;
	char line[4096];
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		count += !strstr(line, but);
	fclose(f);
	return count;
}

/* The word with this number, from 0, of the line that begins with @key. */
static int64_t number(const char *path, const char *key, int word)
{
	int64_t value = -1;
	char line[512];
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f)) {
		char *at = line;

		if (strncmp(line, key, strlen(key)))
			continue;
		while (word--) {
			at += strcspn(at, " \t");
			at += strspn(at, " \t");
		}
		value = strtoll(at, NULL, 10);
	}
	fclose(f);
	return value;
}

/*
 * A cache of the slab allocator per line: its name, objects in use, all of them,
 * their size, how many a slab has. All objects of the slab that a CPU allocates
 * from are in use, as far as this tells.
 */
static void add_caches(struct vfio_levels *l)
{
	char line[512], name[64];
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	long long used, objects;
	FILE *f;

	f = fopen("/proc/slabinfo", "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		/* Whose objects are kept in stock. */
		if (!strncmp(line, "vmap_area ", 10) ||
		    !strncmp(line, "debug_objects_cache ", 20))
			continue;
		if (line[0] != '#' &&
		    sscanf(line, "%63s %lld %*d %*d %lld", name, &used,
			   &objects) == 3)
			add(l, name, used, cpus * objects);
	}
	fclose(f);
}

/* Free memory, and what is counted: of the caches the lowest of a few counts. */
void vfio_levels_read(struct vfio_levels *l)
{
	int i;

	l->nr = 0;
	empty_caches();
	for (i = 0; i < 4; i++) {
		shrink_slabs();
		/* Each file of sysfs that was open leaves something for RCU to free. */
		vfio_sysfs_write("/proc/sys/vm/drop_caches", "2");
		usleep(100000);
		add_caches(l);
	}
	l->available_kb = number("/proc/meminfo", "MemAvailable:", 1);
	/* Addresses are kept for a while when the memory is gone. */
	add(l, "areas of vmalloc", count_lines("/proc/vmallocinfo", "unpurged"), 0);
	add(l, "resources", count_lines("/proc/iomem", "?"), 0);
	add(l, "interrupts", count_lines("/proc/interrupts", "?"), 0);
	add(l, "pages of IOMMUs", number("/proc/vmstat", "nr_iommu_pages", 1), 0);
}

/* 0 for what is not known. */
int64_t vfio_level(const struct vfio_levels *l, const char *name)
{
	unsigned int i;

	for (i = 0; i < l->nr; i++) {
		if (!strcmp(l->level[i].name, name))
			return l->level[i].value;
	}
	return 0;
}
