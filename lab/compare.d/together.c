// SPDX-License-Identifier: GPL-2.0-only
/* One container and several groups: what type1 allows, tells and refuses. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"

#define MIB	0x100000ul
#define MEMORY	(8 * MIB)
#define RW	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

#define GROUPS	3

struct member {
	const char *name;
	int group;
	int fd;
};

static struct member members[GROUPS];
static int container;
static char *memory;
static char when[32];		/* which kind of container */

static long locked(void)
{
	char line[128];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static void *information(void)
{
	struct vfio_iommu_type1_info small = { .argsz = sizeof(small) }, *info;

	if (ioctl(container, VFIO_IOMMU_GET_INFO, &small) < 0)
		return NULL;
	info = calloc(1, small.argsz);
	info->argsz = small.argsz;
	if (ioctl(container, VFIO_IOMMU_GET_INFO, info) < 0) {
		free(info);
		return NULL;
	}
	return info;
}

static const void *capability(const void *info, uint16_t id)
{
	const struct vfio_iommu_type1_info *head = info;
	const struct vfio_info_cap_header *cap;
	uint32_t at = head->cap_offset;

	for (; at; at = cap->next) {
		cap = info + at;
		if (cap->id == id)
			return cap;
	}
	return NULL;
}

/* Each capability by what it says, and the memory that is charged. */
static void state(const char *step_text)
{
	const struct vfio_iommu_type1_info_cap_iova_range *ranges;
	const struct vfio_iommu_type1_info_cap_migration *migration;
	const struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_iommu_type1_info *info = information();
	char step[64];
	unsigned int i;

	/* text() is short-lived. */
	snprintf(step, sizeof(step), "%s", step_text);
	record(text("%ld kB", locked()), "%s/%s/locked", when, step);
	if (!info) {
		record(strerrorname_np(errno), "%s/%s/information", when, step);
		return;
	}
	record(text("flags %#x, page sizes %#llx", info->flags,
		    (unsigned long long)info->iova_pgsizes),
	       "%s/%s/information", when, step);
	ranges = capability(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	for (i = 0; ranges && i < ranges->nr_iovas; i++)
		record(text("%#llx to %#llx",
			    (unsigned long long)ranges->iova_ranges[i].start,
			    (unsigned long long)ranges->iova_ranges[i].end),
		       "%s/%s/range %u", when, step, i);
	migration = capability(info, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
	if (migration)
		record(text("flags %#x, pages %#llx, bitmap %#llx", migration->flags,
			    (unsigned long long)migration->pgsize_bitmap,
			    (unsigned long long)migration->max_dirty_bitmap_size),
		       "%s/%s/migration", when, step);
	avail = capability(info, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	if (avail)
		record(text("%u", avail->avail), "%s/%s/available", when, step);
	free(info);
}

static void join(int i, const char *step)
{
	record(outcome(ioctl(members[i].group, VFIO_GROUP_SET_CONTAINER, &container)),
	       "%s/%s/group %d joins", when, step, i);
}

static void leave(int i, const char *step)
{
	record(outcome(ioctl(members[i].group, VFIO_GROUP_UNSET_CONTAINER)),
	       "%s/%s/group %d leaves", when, step, i);
}

static void opens(int i, const char *step)
{
	int fd = ioctl(members[i].group, VFIO_GROUP_GET_DEVICE_FD, members[i].name);

	record(fd < 0 ? outcome(fd) : "opened", "%s/%s/device %d", when, step, i);
	members[i].fd = fd;
}

static void maps(uint64_t iova, uint64_t size, const void *at, uint32_t flags,
		 const char *step)
{
	record(outcome(map(container, iova, size, (uintptr_t)at, flags)),
	       "%s/%s/map %#llx+%#llx flags %u", when, step, (unsigned long long)iova,
	       (unsigned long long)size, flags);
}

static void unmaps(uint64_t iova, uint64_t size, uint32_t flags, const char *step)
{
	record(unmap(container, iova, size, flags), "%s/%s/unmap %#llx+%#llx flags %u",
	       when, step, (unsigned long long)iova, (unsigned long long)size, flags);
}

/* Around both ends of each range that may be used. */
static void record_range_ends(void)
{
	static const int64_t shifts[] = { -8192, -4096, -1, 0, 1, 4096 };
	static const uint64_t sizes[] = { 1, 4096, 8192, 2 * MIB };
	const struct vfio_iommu_type1_info_cap_iova_range *ranges;
	void *info = information();
	unsigned int i, j, k, end;

	ranges = info ? capability(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) : NULL;
	for (i = 0; ranges && i < ranges->nr_iovas; i++)
		for (end = 0; end < 2; end++)
			for (j = 0; j < COUNT(shifts); j++)
				for (k = 0; k < COUNT(sizes); k++) {
					uint64_t at = shifts[j] +
						(end ? ranges->iova_ranges[i].end + 1 :
						 ranges->iova_ranges[i].start);

					maps(at, sizes[k], memory, RW,
					     text("range %u/end %u", i, end));
					unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
				}
	free(info);
}

/* Structures that are too short, and longer than they need to be. */
static void record_sizes(void)
{
	struct vfio_iommu_type1_dma_map m = {
		.flags = RW, .vaddr = (uintptr_t)memory, .iova = 64 * MIB, .size = MIB,
	};
	struct {
		struct vfio_iommu_type1_dma_unmap u;
		struct vfio_bitmap b;
	} u;
	uint32_t argsz, flags;

	for (argsz = 0; argsz <= 64; argsz += 4) {
		m.argsz = argsz;
		record(outcome(ioctl(container, VFIO_IOMMU_MAP_DMA, &m)),
		       "%s/argsz %u/map", when, argsz);
		for (flags = 0; flags < 8; flags++) {
			memset(&u, 0, sizeof(u));
			u.u.argsz = argsz;
			u.u.flags = flags;
			u.u.iova = 128 * MIB;
			u.u.size = MIB;
			u.b.pgsize = 4096;
			record(outcome(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u)),
			       "%s/argsz %u/unmap, flags %u", when, argsz, flags);
		}
		unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	}
}

/* Unmap with a bitmap. */
static void record_unmap_bitmaps(const char *step)
{
	static const uint64_t pages[] = { 0, 1, 4096, 8192, 2 * MIB };
	static const uint64_t rooms[] = { 0, 7, 8, 32, 64, 1ull << 28, (1ull << 28) + 8 };
	static const uint64_t sizes[] = { 0, 4096, MIB, 2 * MIB };
	static uint64_t bitmap[64];
	struct {
		struct vfio_iommu_type1_dma_unmap u;
		struct vfio_bitmap b;
	} u;
	unsigned int i, j, k;
	const char *result;

	for (i = 0; i < COUNT(pages); i++)
		for (j = 0; j < COUNT(rooms); j++)
			for (k = 0; k < COUNT(sizes); k++) {
				map(container, 64 * MIB, MIB, (uintptr_t)memory, RW);
				memset(bitmap, 0, sizeof(bitmap));
				memset(&u, 0, sizeof(u));
				u.u.argsz = sizeof(u);
				u.u.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
				u.u.iova = 64 * MIB;
				u.u.size = sizes[k];
				u.b.pgsize = pages[i];
				u.b.size = rooms[j];
				u.b.data = (void *)bitmap;
				result = outcome(ioctl(container, VFIO_IOMMU_UNMAP_DMA,
						       &u));
				record(text("%s, %#llx: %s", result,
					    (unsigned long long)u.u.size,
					    bytes(bitmap, 32)),
				       "%s/%s/bitmap of %llu/page %#llx/size %#llx", when,
				       step, (unsigned long long)rooms[j],
				       (unsigned long long)pages[i],
				       (unsigned long long)sizes[k]);
				unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
			}
}

static int log_dirty(uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap d = { .argsz = sizeof(d), .flags = flags };

	return ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &d);
}

/* Kinds of memory that is not just there. */
static void record_memory(void)
{
	static const uint32_t rights[] = { 1, 2, 3 };
	static const int protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	char *area = memory + 4 * MIB;
	int zero = open("/dev/zero", O_RDWR), file = memfd_create("together", 0);
	unsigned int i, j;

	ftruncate(file, MIB);
	for (i = 0; i < COUNT(protections); i++)
		for (j = 0; j < COUNT(rights); j++) {
			mprotect(area, MIB, protections[i]);
			maps(64 * MIB, MIB, area, rights[j], text("protection %u", i));
			state(text("protection %u, rights %u", i, j));
			unmaps(64 * MIB, MIB, 0, text("protection %u/%u", i, j));

			mmap(area + MIB, MIB, protections[i], MAP_SHARED | MAP_FIXED,
			     file, 0);
			maps(64 * MIB, MIB, area + MIB, rights[j], text("file %u", i));
			unmaps(64 * MIB, MIB, 0, text("file %u/%u", i, j));
			/* Half of it behind the end of the file. */
			mmap(area + MIB, MIB, protections[i], MAP_SHARED | MAP_FIXED,
			     file, MIB / 2);
			maps(64 * MIB, MIB, area + MIB, rights[j],
			     text("half a file %u", i));
			unmaps(64 * MIB, MIB, 0, text("half a file %u/%u", i, j));

			mmap(area + MIB, MIB, protections[i], MAP_PRIVATE | MAP_FIXED,
			     zero, 0);
			maps(64 * MIB, MIB, area + MIB, rights[j], text("zeros %u", i));
			state(text("zeros %u/%u", i, j));
			unmaps(64 * MIB, MIB, 0, text("zeros %u/%u", i, j));
		}
	mmap(area, 2 * MIB, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	close(zero);
	close(file);
}

/* User addresses that are taken away and come back. */
static void record_vaddr(void)
{
	const uint32_t gone = VFIO_DMA_UNMAP_FLAG_VADDR, back = VFIO_DMA_MAP_FLAG_VADDR;

	maps(64 * MIB, MIB, memory, RW, "vaddr");
	maps(66 * MIB, MIB, memory + MIB, RW, "vaddr");
	maps(64 * MIB, MIB, memory, back, "vaddr, not gone");
	unmaps(64 * MIB, 4096, gone, "vaddr, in part");
	unmaps(64 * MIB, MIB, gone, "vaddr");
	unmaps(64 * MIB, 3 * MIB, gone, "vaddr, one of them twice");
	unmaps(0, 0, gone | VFIO_DMA_UNMAP_FLAG_ALL, "vaddr, one of them twice");
	state("vaddr gone");
	join(2, "vaddr gone");
	leave(2, "vaddr gone");
	maps(64 * MIB, MIB, memory, RW, "vaddr, new");
	maps(64 * MIB, 2 * MIB, memory, back, "vaddr, too much");
	maps(64 * MIB, 4096, memory, back, "vaddr, too little");
	maps(65 * MIB, MIB, memory, back, "vaddr, nothing there");
	maps(66 * MIB, MIB, memory, back, "vaddr, not this one");
	maps(64 * MIB, MIB, memory + MIB, back | RW, "vaddr with rights");
	maps(64 * MIB, MIB, memory + 1, back, "vaddr, odd");
	maps(64 * MIB, MIB, memory + MIB, back, "vaddr back");
	join(2, "vaddr back");
	leave(2, "vaddr back");
	unmaps(0, 0, gone | VFIO_DMA_UNMAP_FLAG_ALL, "vaddr, all");
	unmaps(64 * MIB, MIB, 0, "vaddr gone");
	unmaps(0, 0, VFIO_DMA_UNMAP_FLAG_ALL, "vaddr gone");
	state("vaddr, nothing left");
}

/* BARs are memory for the DMA of others. */
static void record_bars(void)
{
	unsigned int i, index;
	char step[64];

	for (i = 0; i < GROUPS; i++)
		for (index = 0; index < 6; index++) {
			struct vfio_region_info info = {
				.argsz = sizeof(info), .index = index
			};
			void *bar;

			ioctl(members[i].fd, VFIO_DEVICE_GET_REGION_INFO, &info);
			if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) ||
			    info.size < 4096)
				continue;
			bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED,
				   members[i].fd, info.offset);
			if (bar == MAP_FAILED)
				continue;
			snprintf(step, sizeof(step), "device %u/BAR %u", i, index);
			pwrite(members[i].fd, "\0\0", 2, (7ull << 40) + 4);
			maps(1024 * MIB, info.size, bar, RW, text("%s/off", step));
			pwrite(members[i].fd, "\2\0", 2, (7ull << 40) + 4);
			maps(1024 * MIB, info.size, bar, RW, step);
			maps(1024 * MIB, info.size, bar, RW, text("%s/twice", step));
			state(step);
			unmaps(1024 * MIB, info.size, 0, step);
			maps(1024 * MIB, 4096, bar + info.size - 4096, 1,
			     text("%s/its end", step));
			unmaps(1024 * MIB, 4096, 0, text("%s/its end", step));
			mprotect(bar, info.size, PROT_READ);
			maps(1024 * MIB, 4096, bar, 3, text("%s/read only", step));
			maps(1024 * MIB, 4096, bar, 1, text("%s/read only", step));
			unmaps(0, 0, VFIO_DMA_UNMAP_FLAG_ALL, step);
			munmap(bar, info.size);
		}
}

/* Groups come to mappings and leave them. */
static void record_members(unsigned long type)
{
	int i;

	container = open("/dev/vfio/vfio", O_RDWR);
	join(0, "first");
	record(outcome(ioctl(container, VFIO_SET_IOMMU, type)), "%s/type", when);
	state("one");
	maps(64 * MIB, 4 * MIB, memory, RW, "one");
	state("one with a mapping");
	join(1, "second");
	join(1, "second again");
	state("two");
	maps(64 * MIB, MIB, memory, RW, "two");
	opens(0, "two");
	opens(1, "two");
	opens(0, "two again");
	leave(0, "in use");
	close(members[0].fd);
	leave(0, "not in use");
	leave(0, "again");
	state("the first left");
	maps(64 * MIB, MIB, memory, RW, "the first left");
	unmaps(64 * MIB, 4 * MIB, 0, "the first left");
	maps(64 * MIB, 4 * MIB, memory, RW, "the first left");
	join(0, "it comes back");
	state("it is back");
	record_vaddr();
	record_sizes();
	record_memory();
	record_range_ends();
	record_unmap_bitmaps("off");
	record(outcome(log_dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START)), "%s/start", when);
	record_unmap_bitmaps("on");
	maps(64 * MIB, MIB, memory, RW, "logging");
	join(2, "logging");
	state("logging");
	record(outcome(log_dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP)), "%s/stop", when);
	unmaps(0, 0, VFIO_DMA_UNMAP_FLAG_ALL, "logging");
	opens(0, "three");
	opens(2, "three");
	record_bars();

	/* The last takes everything along. */
	maps(64 * MIB, MIB, memory, RW, "three");
	for (i = 0; i < GROUPS; i++) {
		close(members[i].fd);
		leave(i, "at the end");
		state(text("%d left", GROUPS - 1 - i));
	}
	maps(64 * MIB, MIB, memory, RW, "none");
	record(outcome(ioctl(container, VFIO_SET_IOMMU, type)), "%s/none/type", when);

	/* All of them first, then the type. */
	for (i = 0; i < GROUPS; i++)
		join(i, "before the type");
	record(outcome(ioctl(container, VFIO_SET_IOMMU, type)), "%s/three/type", when);
	state("three at once");
	for (i = GROUPS; i--;)
		leave(i, "before the end");
	close(container);
}

void record_together(const char *const names[GROUPS])
{
	static const unsigned long types[] = {
		VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_NESTING_IOMMU,
	};
	unsigned int i;

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	for (i = 0; i < GROUPS; i++) {
		members[i].name = names[i];
		members[i].group = open(text("/dev/vfio/%d", group_of(names[i])), O_RDWR);
		record(members[i].group < 0 ? outcome(-1) : "opened", "group %u", i);
	}
	for (i = 0; i < COUNT(types); i++) {
		snprintf(when, sizeof(when), "type %lu", types[i]);
		record_members(types[i]);
	}
}
