// SPDX-License-Identifier: GPL-2.0-only
/* Regions: read, written, mapped, signalled by ioeventfds. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"

#define OFFSET(index)	((off_t)(index) << 40)
#define SHOWN		32u

static const uint32_t indices[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100 };

/* Where no memory is; the compiler is not to know. */
static void *volatile nowhere = (void *)8;

static void decode(const struct device *d, int on)
{
	config_write(d, PCI_COMMAND, 2, on ? PCI_COMMAND_IO | PCI_COMMAND_MEMORY : 0);
}

static void record_region(const struct device *d, uint32_t index, const char *when)
{
	static const int sizes[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 64 };
	off_t base = OFFSET(index), size = region(d, index).size;
	off_t ends[] = { 0, 1, 2, 3, 4, 6, size - 8, size - 4, size - 1, size,
			 size + 1, size + 4096, OFFSET(1) - 8, OFFSET(1) - 1 };
	static const char *const names[] = {
		"0", "1", "2", "3", "4", "6", "end-8", "end-4", "end-1", "end",
		"end+1", "end+4096", "far-8", "far-1"
	};
	unsigned char data[64] = { 0 };
	unsigned int i, j;
	ssize_t got;

	for (i = 0; i < COUNT(ends); i++) {
		if (ends[i] < 0)
			continue;
		for (j = 0; j < COUNT(sizes); j++) {
			memset(data, 0, sizeof(data));
			got = pread(d->fd, data, sizes[j], base + ends[i]);
			/* What is there may be a clock; its start is not. */
			record(got > 0 && ends[i] < 8 && sizes[j] <= 8 ?
			       text("%zd: %s", got, bytes(data, got)) : outcome(got),
			       "%s/%u/read %d at %s", when, index, sizes[j], names[i]);
			if (ends[i] < size && sizes[j])
				continue;
			record(outcome(pwrite(d->fd, data, sizes[j], base + ends[i])),
			       "%s/%u/write %d at %s", when, index, sizes[j], names[i]);
		}
	}
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return;
	record(outcome(pread(d->fd, nowhere, 4, base)), "%s/%u/read to nowhere", when,
	       index);
	record(outcome(pwrite(d->fd, nowhere, 4, base)), "%s/%u/write from nowhere",
	       when, index);
}

static void record_start(const struct device *d, uint32_t index)
{
	struct vfio_region_info info = region(d, index);
	static const int widths[] = { 1, 2, 4, 8 };
	unsigned int i, at;

	for (i = 0; i < COUNT(widths); i++)
		for (at = 0; at < SHOWN && at + widths[i] <= info.size; at++) {
			uint64_t value = 0;
			ssize_t got = pread(d->fd, &value, widths[i], info.offset + at);

			record(text("%s: %llx", outcome(got), (unsigned long long)value),
			       "start/%u/%d at %#x", index, widths[i], at);
		}
}

static void record_rom(const struct device *d, int decoding, int enabled)
{
	struct vfio_region_info info = region(d, VFIO_PCI_ROM_REGION_INDEX);
	uint32_t rom = config_read(d, PCI_ROM_ADDRESS, 4);
	char *image = malloc(info.size + 4096);
	char when[32];
	ssize_t got;

	snprintf(when, sizeof(when), "ROM %s, memory %s", enabled ? "on" : "off",
		 decoding ? "on" : "off");
	config_write(d, PCI_ROM_ADDRESS, 4, enabled ? rom | PCI_ROM_ADDRESS_ENABLE :
		     rom & ~PCI_ROM_ADDRESS_ENABLE);
	memset(image, 0, info.size + 4096);
	got = pread(d->fd, image, info.size + 4096, info.offset);
	record(text("%s: %s", outcome(got), bytes(image, got > 0 ? got : 0)),
	       "%s/whole", when);
	got = pread(d->fd, image, 3, info.offset + 1);
	record(text("%s: %s", outcome(got), bytes(image, got > 0 ? got : 0)),
	       "%s/unaligned", when);
	record(outcome(pwrite(d->fd, image, 4, info.offset)), "%s/write", when);
	record(text("%08x, device %08x", config_read(d, PCI_ROM_ADDRESS, 4),
		    hardware_read(d, PCI_ROM_ADDRESS, 4)), "%s/BAR", when);
	config_write(d, PCI_ROM_ADDRESS, 4, rom);
	free(image);
}

void record_regions(struct device *d)
{
	unsigned int i;
	int on;

	for (on = 0; on <= 1; on++) {
		decode(d, on);
		for (i = 0; i < COUNT(indices); i++)
			record_region(d, indices[i], on ? "on" : "off");
		record_rom(d, on, 0);
		record_rom(d, on, 1);
	}
	for (i = 0; i <= VFIO_PCI_BAR5_REGION_INDEX; i++)
		record_start(d, i);
}

static sigjmp_buf after_fault;

static void on_fault(int number)
{
	siglongjmp(after_fault, number);
}

/* Loads through a mapping: the value, or the signal. */
static const char *load(const volatile uint32_t *at)
{
	int number = sigsetjmp(after_fault, 1);

	if (number)
		return text("SIG%s", sigabbrev_np(number));
	return text("%08x", *at);
}

static void record_pages(const struct device *d, uint32_t index)
{
	struct vfio_region_info info = region(d, index);
	long page = sysconf(_SC_PAGESIZE);
	uint64_t at;

	/* All pages of a small region, the first and the last of a big one. */
	for (at = 0; at < info.size; at += page) {
		void *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
				 info.offset + at);
		const char *result = map == MAP_FAILED ? outcome(-1) : "mapped";

		record(result, "page/%u/%#llx", index, (unsigned long long)at);
		if (map != MAP_FAILED) {
			decode(d, 0);
			record(load(map), "page/%u/%#llx/off", index,
			       (unsigned long long)at);
			decode(d, 1);
			/* Behind the first page there are clocks. */
			result = load(map);
			record(at && result[0] != 'S' ? "loaded" : result,
			       "page/%u/%#llx/on", index, (unsigned long long)at);
			munmap(map, page);
		}
		if (at == 15ul * page && info.size > 32ul * page)
			at = info.size - 2 * page;
	}
}

/* One range of the file in every way to map it. */
static void record_kinds(const struct device *d, off_t at, size_t length, const char *key)
{
	static const struct {
		const char *name;
		int prot, flags;
	} kinds[] = {
		{ "shared rw", PROT_READ | PROT_WRITE, MAP_SHARED },
		{ "shared r", PROT_READ, MAP_SHARED },
		{ "shared w", PROT_WRITE, MAP_SHARED },
		{ "shared none", PROT_NONE, MAP_SHARED },
		{ "shared rx", PROT_READ | PROT_EXEC, MAP_SHARED },
		{ "private rw", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE },
		{ "private r", PROT_READ, MAP_PRIVATE },
		{ "validated", PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE },
		{ "populated", PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE },
		{ "huge", PROT_READ | PROT_WRITE, MAP_SHARED | MAP_HUGETLB },
	};
	unsigned int i;

	for (i = 0; i < COUNT(kinds); i++) {
		void *map = mmap(NULL, length, kinds[i].prot, kinds[i].flags, d->fd, at);

		record(map == MAP_FAILED ? outcome(-1) : "mapped", "%s/%s", key,
		       kinds[i].name);
		if (map != MAP_FAILED)
			munmap(map, length);
	}
}

static void record_ranges(const struct device *d, uint32_t index)
{
	long page = sysconf(_SC_PAGESIZE);
	off_t base = OFFSET(index), size = region(d, index).size;
	const off_t starts[] = { 0, page, size - page, size, size + page,
				 OFFSET(1) - page };
	const size_t lengths[] = { 1, page, page + 1, size, size + page, OFFSET(1) };
	unsigned int i, j;
	char key[64];

	for (i = 0; i < COUNT(starts); i++) {
		off_t start = (starts[i] + page - 1) & -page;

		for (j = 0; starts[i] >= 0 && j < COUNT(lengths); j++) {
			snprintf(key, sizeof(key), "%u/start %u/length %u", index, i, j);
			record_kinds(d, base + start, lengths[j], key);
		}
	}
}

void record_mappings(struct device *d)
{
	unsigned int i;

	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	decode(d, 1);
	for (i = 0; i < COUNT(indices); i++) {
		record_ranges(d, indices[i]);
		if (indices[i] <= VFIO_PCI_BAR5_REGION_INDEX)
			record_pages(d, indices[i]);
	}
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
}

static const char *ioeventfd(const struct device *d, uint32_t argsz, uint32_t flags,
			     uint64_t offset, uint64_t data, int fd)
{
	struct vfio_device_ioeventfd io = {
		.argsz = argsz, .flags = flags, .offset = offset, .data = data, .fd = fd,
	};

	return outcome(ioctl(d->fd, VFIO_DEVICE_IOEVENTFD, &io));
}

/* One place with every width and file; an eventfd also twice, and another one. */
static void record_place(const struct device *d, off_t at, const int *events,
			 const char *key)
{
	static const uint32_t flags[] = { 0, 1, 2, 4, 8, 3, 12, 16, 0x80000000 };
	const int others[] = { -1, d->group, -2, 9999 };
	unsigned int i, j;

	for (i = 0; i < COUNT(flags); i++) {
		for (j = 0; j < COUNT(others); j++)
			record(ioeventfd(d, 32, flags[i], at, 0, others[j]),
			       "%s/flags %#x/file %u", key, flags[i], j);
		record(ioeventfd(d, 32, flags[i], at, 0, events[0]), "%s/flags %#x", key,
		       flags[i]);
		record(ioeventfd(d, 32, flags[i], at, 0, events[0]), "%s/flags %#x/again",
		       key, flags[i]);
		record(ioeventfd(d, 32, flags[i], at, 0, events[1]),
		       "%s/flags %#x/other file", key, flags[i]);
		record(ioeventfd(d, 32, flags[i], at, 0, -1), "%s/flags %#x/off", key,
		       flags[i]);
	}
}

void record_ioeventfd(struct device *d)
{
	static const uint32_t sizes[] = { 0, 31, 32, 40, ~0u };
	int events[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	const char *result;
	unsigned int i, j;
	char key[32];

	for (i = 0; i < COUNT(sizes); i++) {
		record(ioeventfd(d, sizes[i], 4, 0, 0, events[0]), "argsz %u", sizes[i]);
		ioeventfd(d, 32, 4, 0, 0, -1);
	}
	for (i = 0; i < COUNT(indices); i++) {
		off_t size = region(d, indices[i]).size;
		const off_t at[] = { 0, 1, 2, 4, 0x100, 0xfff, 0x2000, size - 8, size - 4,
				     size - 1, size, size + 4, OFFSET(1) - 4 };

		for (j = 0; j < COUNT(at); j++) {
			if (at[j] < 0)
				continue;
			snprintf(key, sizeof(key), "%u/at %u", indices[i], j);
			record_place(d, OFFSET(indices[i]) + at[j], events, key);
		}
	}
	/* Offsets of no region. */
	for (i = 0; i < 16; i++)
		record(ioeventfd(d, 32, 1 << i % 4, i < 8 ? ~0ull : ~3ull, 0,
				 i / 4 % 2 ? -1 : events[0]), "far %u", i);
	/* There is an end to how many a device takes. */
	for (i = 1; i <= 1010; i++) {
		result = ioeventfd(d, 32, 1, OFFSET(0), i, events[0]);
		if (i % 100 == 0 || i > 990)
			record(result, "many/%u", i);
	}
	close(events[0]);
	close(events[1]);
}
