// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tracepoints tell of device memory, and by their means: how much one
 * fault makes visible, and where the kernel places mappings for that.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define PAGE		VFIO_PAGE
#define MIB		(1ul << 20)
#define GIB		(1ul << 30)
#define PMD		vfio_huge_page()
#define NOPAGE		0x100	/* VM_FAULT_NOPAGE: an entry is there */
#define SIGBUS_FAULT	0x2	/* VM_FAULT_SIGBUS */

FIXTURE(trace)
{
	struct vfio_dev d;
	struct vfio_region_info bar;
	struct vfio_trace t;
	uint8_t *reserved;	/* room for mappings, its PMDs aligned */
	size_t room;
	uint64_t huge;		/* the largest entry */
};

FIXTURE_VARIANT(trace)
{
	const char *id;
	uint32_t bar;
	uint64_t size;		/* at least */
};

FIXTURE_VARIANT_ADD(trace, ivshmem) { VFIO_IVSHMEM, 2, 64 * MIB };
FIXTURE_VARIANT_ADD(trace, testdev_4g) { VFIO_TESTDEV, 2, 4 * GIB };

/* Only x86 has entries of 1 GiB for what is not memory. */
#ifdef __x86_64__
#define PUD_ENTRIES	true
#else
#define PUD_ENTRIES	false
#endif

FIXTURE_SETUP(trace)
{
	uintptr_t p;

	if (vfio_trace_start(&self->t))
		SKIP(_exit(KSFT_SKIP), "no tracing of vfio_pci here");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_region_info(&self->d, variant->bar, &self->bar));
	if (self->bar.size < variant->size)
		SKIP(_exit(KSFT_SKIP), "the BAR is too small");
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->huge = PUD_ENTRIES && variant->size >= GIB ? GIB : PMD;
	self->room = variant->size + 2 * self->huge;
	self->reserved = mmap(NULL, self->room, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			      0);
	ASSERT_NE(MAP_FAILED, self->reserved);
	p = (uintptr_t)self->reserved + self->huge;
	self->reserved = (void *)(p & ~(self->huge - 1));
	ASSERT_EQ(0, vfio_trace_enable(&self->t, true));
}

FIXTURE_TEARDOWN(trace)
{
	vfio_trace_stop(&self->t);
	vfio_dev_close(&self->d);
}

#define SELF FIXTURE_DATA(trace)

static uint8_t *map(const SELF *self, uint8_t *at, size_t len,
		    uint64_t offset)
{
	return mmap(at, len, PROT_READ | PROT_WRITE,
		    MAP_SHARED | (at ? MAP_FIXED : 0), self->d.device,
		    self->bar.offset + offset);
}

struct faults {
	uint64_t count;
	uint64_t pages;
	uint64_t most;		/* pages of one fault */
	uint64_t least;
	uint64_t order;		/* the highest */
	uint64_t failed;
	uint64_t strange;	/* not this device, or outside its BAR */
};

/* What was recorded since the last time. */
static struct faults take_faults(SELF *self)
{
	struct faults f = { .least = ~0ull };
	char *text = vfio_trace_read(&self->t);
	char *rest = text, *line;

	while ((line = vfio_trace_next(&rest, "vfio_pci_fault:"))) {
		uint64_t pages = vfio_trace_field(line, "pages");
		uint64_t order = vfio_trace_field(line, "order");
		uint64_t ret = vfio_trace_field(line, "ret");

		f.strange += !strstr(line, self->d.bdf);
		if (ret != NOPAGE) {
			f.failed++;
			continue;
		}
		f.count++;
		f.pages += pages;
		if (pages > f.most)
			f.most = pages;
		if (pages < f.least)
			f.least = pages;
		if (order > f.order)
			f.order = order;
	}
	free(text);
	vfio_trace_clear(&self->t);
	return f;
}

static int touch(const void *p, size_t len, unsigned long step)
{
	return vfio_try_touch(p, len, step);
}

/* Where the kernel chooses, one fault per huge entry. */
TEST_F(trace, kernel_chooses)
{
	size_t size = variant->size;
	struct faults f;
	uint8_t *p;

	p = map(self, NULL, size, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, (uintptr_t)p % self->huge);
	take_faults(self);
	ASSERT_EQ(0, touch(p, size, PMD));
	f = take_faults(self);
	EXPECT_EQ(size / self->huge, f.count);
	EXPECT_EQ(size / PAGE, f.pages);
	EXPECT_EQ(self->huge, PAGE << f.order);
	EXPECT_EQ(0, f.strange);

	/* What is there causes no fault. */
	ASSERT_EQ(0, touch(p, size, PMD));
	f = take_faults(self);
	EXPECT_EQ(0, f.count);

	/* Gone, and back, as large as before. */
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(SIGBUS, touch(p, PAGE, PAGE));
	f = take_faults(self);
	EXPECT_EQ(0, f.count);
	EXPECT_EQ(1, f.failed);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, touch(p, size, PMD));
	f = take_faults(self);
	EXPECT_EQ(size / self->huge, f.count);
	munmap(p, size);
}

/* Off by a page no huge entry fits: a fault fills its window's page table. */
TEST_F(trace, off_by_a_page)
{
	size_t size = 2 * PMD, at;
	struct faults f;
	uint8_t *p;

	for (at = PAGE; at < 4 * PAGE; at += PAGE) {
		p = map(self, self->reserved + at, size, 0);
		ASSERT_EQ(self->reserved + at, p);
		take_faults(self);
		ASSERT_EQ(0, touch(p, size, PAGE));
		f = take_faults(self);
		EXPECT_EQ(size / PMD + 1, f.count);
		EXPECT_EQ(size / PAGE, f.pages);
		EXPECT_EQ(PMD / PAGE, f.most);
		EXPECT_EQ(at / PAGE, f.least);
		EXPECT_EQ(0, f.order);
		EXPECT_EQ(0, f.strange);
		ASSERT_EQ(0, munmap(p, size));
	}
}

/* A fault fills nothing outside its VMA. */
TEST_F(trace, small_mappings)
{
	const size_t n = PMD / PAGE, pages[] = { 1, 2, 7, n - 1, n, n + 1 };
	struct faults f;
	unsigned int i;
	uint8_t *p;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		size_t size = pages[i] * PAGE;

		p = map(self, self->reserved + PAGE, size, 2 * PAGE);
		ASSERT_EQ(self->reserved + PAGE, p);
		take_faults(self);
		/* From the end, so that the window is filled backwards. */
		ASSERT_EQ(0, touch(p + size - PAGE, PAGE, PAGE));
		ASSERT_EQ(0, touch(p, size, PAGE));
		f = take_faults(self);
		EXPECT_EQ(pages[i] > n - 1 ? 2 : 1, f.count);
		EXPECT_EQ(pages[i], f.pages);
		ASSERT_EQ(0, munmap(p, size));
	}
}

/* Pages that are there already are left alone and not counted. */
TEST_F(trace, partly_there)
{
	struct faults f;
	uint8_t *p;

	p = map(self, self->reserved + PAGE, PMD, 0);
	ASSERT_EQ(self->reserved + PAGE, p);
	ASSERT_EQ(0, touch(p, PMD, PAGE));
	/* Moved, the entries go along; those of the rest are made anew. */
	ASSERT_EQ(p, mmap(p, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			  MAP_FIXED, -1, 0));
	ASSERT_EQ(p, map(self, p, PAGE, 0));
	take_faults(self);
	ASSERT_EQ(0, touch(p, PMD, PAGE));
	f = take_faults(self);
	EXPECT_EQ(1, f.count);
	EXPECT_EQ(1, f.pages);
	munmap(p, PMD);
}

/*
 * Addresses agree with places in the BAR, from wherever in it is mapped, so
 * huge entries fit all of it that they can.
 */
TEST_F(trace, alignment)
{
	const uint64_t offsets[] = {
		0, PAGE, PMD / 2, PMD - PAGE, PMD, PMD + PAGE, PMD * 5 / 2,
	};
	uint64_t sizes[] = { PMD, PMD + PAGE, PMD * 3 / 2, 4 * PMD, 0, 0 };
	unsigned int i, j;
	uint8_t *p;

	if (variant->size > 2 * GIB) {
		sizes[4] = GIB;
		sizes[5] = 2 * GIB + PAGE;
	}
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		for (j = 0; j < ARRAY_SIZE(sizes) && sizes[j]; j++) {
			unsigned long align = sizes[j] < self->huge ? PMD :
								      self->huge;

			if (offsets[i] + sizes[j] > self->bar.size)
				continue;

			p = map(self, NULL, sizes[j], offsets[i]);
			ASSERT_NE(MAP_FAILED, p);
			EXPECT_EQ(offsets[i] % align, (uintptr_t)p % align) {
				TH_LOG("size %#lx at %#lx: %p",
				       (unsigned long)sizes[j],
				       (unsigned long)offsets[i], p);
			}
			ASSERT_EQ(0, munmap(p, sizes[j]));
		}
	}
	/* A hint is a hint, and too small is too small. */
	p = mmap(self->reserved, self->room, PROT_NONE, MAP_PRIVATE |
		 MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	p = map(self, NULL, PAGE, PAGE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p, PAGE));
}

struct pass {
	const char *cause;
	uint64_t closed;
	uint64_t opened;
	uint64_t is_open;	/* of the last */
};

static struct pass take_pass(SELF *self, const char *cause)
{
	struct pass pass = { .cause = cause, .is_open = ~0ull };
	char *text = vfio_trace_read(&self->t);
	char *rest = text, *line;
	char needle[32];

	snprintf(needle, sizeof(needle), "cause=%s ", cause);
	while ((line = strsep(&rest, "\n"))) {
		if (!strstr(line, needle))
			continue;
		if (strstr(line, "vfio_pci_gate_close:") &&
		    vfio_trace_field(line, "duration_ns") != ~0ull)
			pass.closed++;
		if (strstr(line, "vfio_pci_gate_open:") &&
		    vfio_trace_field(line, "duration_ns")) {
			pass.opened++;
			pass.is_open = vfio_trace_field(line, "is_open");
		}
	}
	free(text);
	vfio_trace_clear(&self->t);
	return pass;
}

#define EXPECT_PASS(name, open) do {					\
	struct pass pass = take_pass(self, name);			\
									\
	EXPECT_EQ(1, pass.closed);					\
	EXPECT_EQ(1, pass.opened);					\
	EXPECT_EQ(open, pass.is_open);					\
} while (0)

TEST_F(trace, gate_command)
{
	vfio_trace_clear(&self->t);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_PASS("command", 0);
	/* What leaves memory alone does not touch the gate. */
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, take_pass(self, "command").closed);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_PASS("command", 1);
}

TEST_F(trace, gate_low_power)
{
	vfio_trace_clear(&self->t);
	ASSERT_EQ(0, vfio_low_power(&self->d,
				    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1));
	ASSERT_EQ(0, vfio_runtime_status(self->d.bdf, "suspended", 10000));
	EXPECT_EQ(0, take_pass(self, "low_power").is_open);
	ASSERT_EQ(0, vfio_low_power(&self->d,
				    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1));
	EXPECT_EQ(1, take_pass(self, "low_power").is_open);
}

TEST_F(trace, gate_first_and_last)
{
	vfio_dev_close(&self->d);
	EXPECT_PASS("disable", 0);
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(1, take_pass(self, "enable").opened);
}

/* The zap is told with what it covers, and only where there was something. */
TEST_F(trace, revoke)
{
	char *text, *rest, *line;

	vfio_trace_clear(&self->t);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	text = vfio_trace_read(&self->t);
	rest = text;
	line = vfio_trace_next(&rest, "vfio_pci_revoke:");
	ASSERT_NE(NULL, line);
	EXPECT_NE(NULL, strstr(line, self->d.bdf));
	EXPECT_EQ(0, vfio_trace_field(line, "start"));
	EXPECT_EQ(6ull << 40, vfio_trace_field(line, "len"));
	EXPECT_EQ(NULL, vfio_trace_next(&rest, "vfio_pci_revoke:"));
	free(text);

	vfio_trace_clear(&self->t);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	text = vfio_trace_read(&self->t);
	rest = text;
	EXPECT_EQ(NULL, vfio_trace_next(&rest, "vfio_pci_revoke:"));
	free(text);
}

/* Off, nothing is recorded. */
TEST_F(trace, disabled)
{
	char *text, *rest;
	uint8_t *p;

	ASSERT_EQ(0, vfio_trace_enable(&self->t, false));
	vfio_trace_clear(&self->t);
	p = map(self, NULL, 16 * MIB, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, touch(p, 16 * MIB, MIB));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	text = vfio_trace_read(&self->t);
	rest = text;
	EXPECT_EQ(NULL, vfio_trace_next(&rest, "vfio_pci_"));
	free(text);
	munmap(p, 16 * MIB);
}

/* Closed with the events off and opened with them on, it has no duration. */
TEST_F(trace, many_toggles)
{
	int i;

	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, vfio_trace_enable(&self->t, i & 1));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, i & 2));
	}
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
}

/* Resets, with who wanted them. */
FIXTURE(resets)
{
	struct vfio_dev d;
	struct vfio_trace t;
};

FIXTURE_SETUP(resets)
{
	if (vfio_trace_start(&self->t))
		SKIP(_exit(KSFT_SKIP), "no tracing of vfio_pci here");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, vfio_trace_enable(&self->t, true));
}

FIXTURE_TEARDOWN(resets)
{
	vfio_trace_stop(&self->t);
	vfio_dev_close(&self->d);
}

#define RESETS FIXTURE_DATA(resets)

/* One event of the reset, with its result, between close and open. */
static int one_reset(RESETS *self, const char *cause)
{
	char *text = vfio_trace_read(&self->t);
	char *rest = text, *line;
	char needle[32];
	int step = 0;

	snprintf(needle, sizeof(needle), "cause=%s ", cause);
	while ((line = strsep(&rest, "\n"))) {
		if (!strstr(line, self->d.bdf) || !strstr(line, needle))
			continue;
		if (step == 0 && strstr(line, "vfio_pci_gate_close:"))
			step = 1;
		else if (step == 1 && strstr(line, "vfio_pci_reset:") &&
			 !vfio_trace_field(line, "ret"))
			step = 2;
		else if (step == 2 && strstr(line, "vfio_pci_gate_open:"))
			step = 3;
		else
			step = 4;
	}
	free(text);
	vfio_trace_clear(&self->t);
	return step;
}

TEST_F(resets, all)
{
	vfio_trace_clear(&self->t);
	ASSERT_EQ(0, vfio_reset(&self->d));
	EXPECT_EQ(3, one_reset(self, "reset"));
	ASSERT_EQ(0, vfio_cfg_flr(&self->d));
	EXPECT_EQ(3, one_reset(self, "flr"));
	ASSERT_EQ(0, vfio_hot_reset(self->d.device, &self->d.group, 1));
	EXPECT_EQ(3, one_reset(self, "hot_reset"));
}

TEST_F(resets, power)
{
	char *text;

	vfio_trace_clear(&self->t);
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
	text = vfio_trace_read(&self->t);
	EXPECT_NE(NULL, strstr(text, "cause=power "));
	free(text);
}

TEST_HARNESS_MAIN
