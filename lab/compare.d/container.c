// SPDX-License-Identifier: GPL-2.0-only
/* Containers and groups: type1's answers and errors, and how files come together. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"

#define KIB	1024ul
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)
#define MEMORY	(4 * MIB)

#define RW	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static char *memory;

int map(int container, uint64_t iova, uint64_t size, uintptr_t vaddr, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m), .flags = flags, .vaddr = vaddr, .iova = iova,
		.size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &m);
}

const char *unmap(int container, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u), .flags = flags, .iova = iova, .size = size,
	};
	const char *result = outcome(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u));

	return text("%s, %#llx", result, (unsigned long long)u.size);
}

static void unmap_all(int container)
{
	unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
}

static void record_information(int container, const char *when)
{
	static const uint32_t sizes[] = {
		0, 8, 15, 16, 17, 19, 20, 23, 24, 32, 64, 100, 200, 4096
	};
	unsigned char buffer[4096];
	unsigned int i;
	size_t end;

	for (i = 0; i < COUNT(sizes); i++) {
		const char *result;

		memset(buffer, 0xaa, sizeof(buffer));
		memcpy(buffer, &sizes[i], 4);
		result = outcome(ioctl(container, VFIO_IOMMU_GET_INFO, buffer));
		for (end = sizeof(buffer); end && buffer[end - 1] == 0xaa; end--)
			;
		record(text("%s: %s", result, bytes(buffer, end)), "info/%s/argsz %u",
		       when, sizes[i]);
	}
	for (i = 0; i <= 13; i++)
		record(outcome(ioctl(container, VFIO_CHECK_EXTENSION, i)),
		       "extension/%s/%u", when, i);
	record(outcome(ioctl(container, VFIO_GET_API_VERSION)), "version/%s", when);
}

/* One address, size, memory, flags at a time, each on an empty container. */
static void record_maps(int container)
{
	static const uint64_t iovas[] = {
		0, 1, 4096, 0x800, 2 * MIB, 0xfee00000, 0xfedff000, 0xfeefffff,
		4 * GIB - 4096, 1ull << 38, 1ull << 39, 1ull << 47, 1ull << 48,
		1ull << 63, ~0ull - 4095, ~0ull,
	};
	static const uint64_t sizes[] = {
		0, 1, 0x800, 4096, 4097, 8192, 2 * MIB, 1 * GIB, 1ull << 40, 1ull << 63,
		~0ull - 4095, ~0ull,
	};
	static const uint32_t flags[] = { 0, 1, 2, 3, 4, 5, 7, 8, 0x80000000 };
	static const struct {
		const char *name;
		intptr_t offset;
		int absolute;
	} places[] = {
		{ "memory", 0, 0 }, { "odd", 1, 0 }, { "end", MEMORY, 0 },
		{ "NULL", 0, 1 }, { "kernel", (intptr_t)0xffff888000000000, 1 },
		{ "top", -4096, 1 },
	};
	unsigned int i, j, k;

	for (i = 0; i < COUNT(iovas); i++)
		for (j = 0; j < COUNT(sizes); j++) {
			const char *result = outcome(map(container, iovas[i], sizes[j],
							 (uintptr_t)memory, RW));

			record(text("%s; unmap %s", result,
				    unmap(container, iovas[i], sizes[j], 0)),
			       "map/iova %#llx/size %#llx",
			       (unsigned long long)iovas[i],
			       (unsigned long long)sizes[j]);
			unmap_all(container);
		}
	for (i = 0; i < COUNT(places); i++)
		for (j = 0; j < COUNT(sizes); j++)
			for (k = 0; k < COUNT(flags); k++) {
				uintptr_t at = places[i].offset +
					(places[i].absolute ? 0 : (uintptr_t)memory);

				record(outcome(map(container, MIB, sizes[j], at,
						   flags[k])),
				       "map/%s/size %#llx/flags %#x", places[i].name,
				       (unsigned long long)sizes[j], flags[k]);
				unmap_all(container);
			}
}

static void three(int container)
{
	unmap_all(container);
	map(container, 1 * MIB, MIB, (uintptr_t)memory, RW);
	map(container, 2 * MIB, MIB, (uintptr_t)memory + MIB, RW);
	map(container, 4 * MIB, MIB, (uintptr_t)memory + 2 * MIB, 1);
}

static void record_unmaps(int container)
{
	static const uint64_t at[] = {
		0, 4096, MIB - 4096, MIB, MIB + 4096, 2 * MIB, 3 * MIB, 4 * MIB, 5 * MIB,
		MIB + 1, ~0ull - 4095,
	};
	static const uint64_t sizes[] = {
		0, 1, 4096, MIB, 2 * MIB, 3 * MIB, 4 * MIB, 5 * MIB, 8 * MIB, ~0ull - 4095,
		~0ull,
	};
	static const uint32_t flags[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x80000000 };
	unsigned int i, j, k;

	for (i = 0; i < COUNT(at); i++)
		for (j = 0; j < COUNT(sizes); j++) {
			for (k = 0; k < COUNT(flags); k++) {
				three(container);
				record(unmap(container, at[i], sizes[j], flags[k]),
				       "unmap/%#llx/size %#llx/flags %#x",
				       (unsigned long long)at[i],
				       (unsigned long long)sizes[j], flags[k]);
			}
			three(container);
			record(outcome(map(container, at[i], sizes[j],
					   (uintptr_t)memory, RW)),
			       "over/%#llx/size %#llx", (unsigned long long)at[i],
			       (unsigned long long)sizes[j]);
		}
	/* To the very end of the address space. */
	for (i = 0; i < COUNT(at); i++) {
		three(container);
		record(unmap(container, at[i], -at[i], 0), "unmap/%#llx/to the end",
		       (unsigned long long)at[i]);
	}
	unmap_all(container);
}

static const char *dirty(int container, uint32_t argsz, uint32_t flags, uint64_t iova,
			 uint64_t size, uint64_t pgsize, uint64_t bitmap_size)
{
	static uint64_t bitmap[64];
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} d = {
		.head = { .argsz = argsz, .flags = flags },
		.get = { .iova = iova, .size = size, .bitmap = {
			.pgsize = pgsize, .size = bitmap_size, .data = (void *)bitmap,
		} },
	};
	const char *result;

	memset(bitmap, 0, sizeof(bitmap));
	result = outcome(ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &d));
	return text("%s: %s", result, bytes(bitmap, sizeof(bitmap)));
}

/* One range with every page size and size of bitmap. */
static void record_bitmaps(int container, uint64_t at, uint64_t size, const char *when)
{
	static const uint64_t pages[] = { 0, 1, 3, 4096, 8192, 2 * MIB };
	static const uint64_t rooms[] = { 0, 4, 8, 32, 64, 512, 1ull << 40 };
	unsigned int i, j;

	for (i = 0; i < COUNT(pages); i++)
		for (j = 0; j < COUNT(rooms); j++)
			record(dirty(container, 48, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
				     at, size, pages[i], rooms[j]),
			       "dirty/%s/%#llx/size %#llx/page %#llx/bitmap %llu", when,
			       (unsigned long long)at, (unsigned long long)size,
			       (unsigned long long)pages[i], (unsigned long long)rooms[j]);
}

static void record_dirty(int container, const char *when)
{
	static const uint64_t at[] = { 0, MIB, MIB + 4096, MIB + 1, 2 * MIB, 3 * MIB };
	static const uint64_t sizes[] = { 0, 4096, MIB, 2 * MIB, 4 * MIB, ~0ull - 4095 };
	unsigned int i, j;

	for (i = 0; i < COUNT(at); i++)
		for (j = 0; j < COUNT(sizes); j++)
			record_bitmaps(container, at[i], sizes[j], when);
	for (i = 0; i < 16; i++)
		for (j = 0; j <= 48; j += 4)
			if ((i != 1 && i != 2) || j < 8)
				record(dirty(container, j, i, MIB, MIB, 4096, 32),
				       "dirty/%s/argsz %u/flags %#x", when, j, i);
}

static void record_logging(int container)
{
	three(container);
	record_dirty(container, "off");
	record(dirty(container, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, 0, 0, 0, 0),
	       "dirty/stop before start");
	record(dirty(container, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START, 0, 0, 0, 0),
	       "dirty/start");
	record(dirty(container, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_START, 0, 0, 0, 0),
	       "dirty/start again");
	record_dirty(container, "on");
	record_information(container, "logging");
	record(dirty(container, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, 0, 0, 0, 0),
	       "dirty/stop");
	record(dirty(container, 8, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, 0, 0, 0, 0),
	       "dirty/stop again");
	unmap_all(container);
}

void record_container(struct device *d)
{
	memory = mmap(NULL, MEMORY + 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(memory + MEMORY, 4096, PROT_NONE);
	record_information(d->container, "empty");
	record_maps(d->container);
	three(d->container);
	record_information(d->container, "three mappings");
	record_unmaps(d->container);
	record_logging(d->container);
	munmap(memory, MEMORY + 4096);
}

static int set_container(int group, int fd)
{
	return ioctl(group, VFIO_GROUP_SET_CONTAINER, &fd);
}

static void record_status(int group, const char *when)
{
	static const uint32_t sizes[] = { 0, 4, 7, 8, 12, ~0u };
	unsigned int i;

	for (i = 0; i < COUNT(sizes); i++) {
		struct vfio_group_status status = { .argsz = sizes[i] };
		const char *result = outcome(ioctl(group, VFIO_GROUP_GET_STATUS, &status));

		record(text("%s: flags %#x, argsz %u", result, status.flags,
			    status.argsz), "status/%s/argsz %u", when, sizes[i]);
	}
}

/* From nothing to a device and back, with a wrong turn at each step. */
void record_groups(struct device *d)
{
	static const char *const names[] = { "", "nonesuch", "0000:ff:1f.7", "0000:00:00.0" };
	int container = open("/dev/vfio/vfio", O_RDWR), other = open("/dev/vfio/vfio", O_RDWR);
	int null = open("/dev/null", O_RDWR), event = eventfd(0, 0), group, fd;
	const int files[] = { -1, 9999, null, event, d->fd, d->group };
	char path[32], when[32];
	unsigned int i;

	snprintf(path, sizeof(path), "/dev/vfio/%d", d->group_id);
	record(outcome(open(path, O_RDWR)), "open twice");
	record(outcome(open(path, O_RDONLY)), "open twice, read only");
	record_status(d->group, "in use");
	record(outcome(ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER)), "unset in use");
	record(outcome(set_container(d->group, other)), "set in use");
	record(outcome(ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU)), "type twice");
	close(d->fd);
	record(outcome(ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER)), "unset");
	record(outcome(ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER)), "unset twice");
	record_status(d->group, "unset");
	record_information(container, "no group");
	for (i = 0; i < COUNT(names); i++)
		record(outcome(ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, names[i])),
		       "device without a container/%s", names[i]);
	record(outcome(ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->name)),
	       "device without a container");
	for (i = 0; i < COUNT(files); i++)
		record(outcome(set_container(d->group, files[i])), "set/file %u", i);
	for (i = 0; i < 14; i++)
		record(outcome(ioctl(container, VFIO_SET_IOMMU, i)),
		       "type without a group/%u", i);
	record(outcome(set_container(d->group, container)), "set");
	record_status(d->group, "set");
	record(outcome(set_container(d->group, other)), "set twice");
	record(outcome(ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->name)),
	       "device without a type");
	record_information(container, "group");
	for (i = 0; i < 14; i++) {
		const char *result = outcome(ioctl(container, VFIO_SET_IOMMU, i));

		record(result, "type/%u", i);
		if (result[0] != '0')
			continue;
		snprintf(when, sizeof(when), "type %u", i);
		record_information(container, when);
		for (fd = 0; fd < (int)COUNT(names); fd++)
			record(outcome(ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD,
					     names[fd])), "type/%u/device/%s", i,
			       names[fd]);
		ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER);
		record(outcome(ioctl(container, VFIO_SET_IOMMU, i)),
		       "type/%u/after the group left", i);
		set_container(d->group, container);
	}
	ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
	fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->name);
	record(fd < 0 ? outcome(fd) : "opened", "device");
	close(d->group);
	record(outcome(open(path, O_RDWR)), "open while a device is");
	close(container);
	close(fd);
	group = open(path, O_RDWR);
	record(group < 0 ? outcome(group) : "opened", "open again");
	record_status(group, "again");
	close(group);
	close(other);
	close(null);
	close(event);
}
