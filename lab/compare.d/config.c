// SPDX-License-Identifier: GPL-2.0-only
/* Configuration space: every byte of it, read and written in every width. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"

static const char *read_outcome(const struct device *d, off_t at, size_t size)
{
	unsigned char data[8192];
	ssize_t got;

	memset(data, 0xee, sizeof(data));
	got = pread(d->fd, data, size, d->config + at);
	if (got < 0)
		return outcome(got);
	return text("%zd: %s", got, bytes(data, got));
}

void record_config_reads(struct device *d)
{
	static const int widths[] = { 1, 2, 4, 3, 8 };
	unsigned int i, pos;

	/* Widths that the bus does not know are only tried where most happens. */
	for (i = 0; i < COUNT(widths); i++)
		for (pos = 0; pos + widths[i] <= d->config_size; pos++)
			if (i < 3 || pos < 0x140)
				record(read_outcome(d, pos, widths[i]), "read%d/%s",
				       widths[i], register_name(d, pos));
	record(read_outcome(d, 0, d->config_size), "all");
	for (pos = 0; pos < d->config_size; pos += 4)
		record(text("%08x", hardware_read(d, pos, 4)), "hardware/%s",
		       register_name(d, pos));
}

/* What the patterns leave alone; it is written on purpose elsewhere. */
static const struct skip {
	const char *reg;
	int width;
	const char *why;
} skips[] = {
	{ "exp+8", 4, "starts a function level reset: record_express()" },
	{ "exp+8", 2, "starts a function level reset: record_express()" },
	{ "exp+9", 1, "starts a function level reset: record_express()" },
};

static int skipped(const char *reg, int width)
{
	const struct skip *s;

	for (s = skips; s < skips + COUNT(skips); s++)
		if (!strcmp(s->reg, reg) && s->width == width)
			return 1;
	return 0;
}

/* Writes, reads back (through us, and what the device got), restores, reads. */
static void record_pattern(const struct device *d, unsigned int pos, int width,
			   uint32_t pattern)
{
	uint32_t before = config_read(d, pos, width), after, real;
	const char *wrote, *restored;

	wrote = outcome(pwrite(d->fd, &pattern, width, d->config + pos));
	after = config_read(d, pos & ~3u, 4);
	real = hardware_read(d, pos & ~3u, 4);
	restored = outcome(pwrite(d->fd, &before, width, d->config + pos));
	record(text("%s: %08x, device %08x; restored %s: %08x, device %08x", wrote,
		    after, real, restored, config_read(d, pos & ~3u, 4),
		    hardware_read(d, pos & ~3u, 4)),
	       "%0*x/%s", 2 * width, pattern, register_name(d, pos));
}

void record_config_patterns(struct device *d)
{
	static const struct {
		int width;
		uint32_t pattern;
	} table[] = {
		{ 4, 0xffffffff }, { 4, 0 }, { 4, 0xa5a5a5a5 }, { 4, 0x5a5a5a5a },
		{ 2, 0xffff }, { 2, 0 }, { 1, 0xff }, { 1, 0 },
	};
	unsigned int i, pos;

	for (i = 0; i < COUNT(table); i++)
		for (pos = 0; pos < d->config_size; pos += table[i].width)
			if (!skipped(register_name(d, pos), table[i].width))
				record_pattern(d, pos, table[i].width,
					       table[i].pattern);
}

/* Sizes and positions around the ends, unaligned writes, bad memory. */
void record_config_edges(struct device *d)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 8, 16, 255, 256, 257 };
	unsigned char ones[16], saved[16], now[16];
	const struct {
		const char *name;
		off_t at;
	} ends[] = {
		{ "0", 0 }, { "1", 1 }, { "2", 2 }, { "3", 3 }, { "line", 0x3c },
		{ "latency", 0x3f }, { "0xfc", 0xfc }, { "0xfd", 0xfd }, { "0xff", 0xff },
		{ "0x100", 0x100 }, { "0x101", 0x101 }, { "end-16", d->config_size - 16 },
		{ "end-8", d->config_size - 8 }, { "end-4", d->config_size - 4 },
		{ "end-1", d->config_size - 1 }, { "end", d->config_size },
		{ "end+1", d->config_size + 1 }, { "4096", 4096 }, { "1 MiB", 0x100000 },
		{ "far-4", (1ll << 40) - 4 }, { "far-1", (1ll << 40) - 1 },
	};
	long page = sysconf(_SC_PAGESIZE);
	unsigned int i, j, size;
	char *end;

	memset(ones, 0xff, sizeof(ones));
	for (i = 0; i < COUNT(ends); i++) {
		for (j = 0; j < COUNT(sizes); j++)
			record(read_outcome(d, ends[i].at, sizes[j]), "read/%s/%zu",
			       ends[i].name, sizes[j]);
		/* Zeros over what is not there, and none over what is. */
		memset(now, 0, sizeof(now));
		for (j = 0; j <= (ends[i].at < d->config_size ? 0 : sizeof(now)); j++)
			record(outcome(pwrite(d->fd, now, j, d->config + ends[i].at)),
			       "write/%s/%u", ends[i].name, j);
	}

	/* The header behind the status register and in front of capabilities. */
	for (size = 2; size <= 13; size++) {
		for (i = 0x0c; i + size <= 0x40; i++) {
			const char *wrote;

			pread(d->fd, saved, size, d->config + i);
			wrote = outcome(pwrite(d->fd, ones, size, d->config + i));
			pread(d->fd, now, size, d->config + i);
			pwrite(d->fd, saved, size, d->config + i);
			record(text("%s: %s", wrote, bytes(now, size)),
			       "ones/%#x/%u", i, size);
		}
	}

	/* Memory that is not there, not writable, or ends in the middle. */
	end = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(end + page, page, PROT_NONE);
	end += page;
	for (i = 0; i < d->config_size; i += 4) {
		record(outcome(pread(d->fd, end, 4, d->config + i)),
		       "read to nowhere/%s", register_name(d, i));
		record(outcome(pwrite(d->fd, end, 4, d->config + i)),
		       "write from nowhere/%s", register_name(d, i));
	}
	for (i = 1; i <= 12; i++) {
		const char *result;

		memset(end - i, 0, i);
		result = outcome(pread(d->fd, end - i, 12, d->config));
		record(text("%s: %s", result, bytes(end - i, i)), "read into a hole/%u", i);
		memset(end - i, 0, i);
		result = outcome(pwrite(d->fd, end - i, 12, d->config + 0x30));
		record(text("%s: %08x", result, config_read(d, PCI_INTERRUPT_LINE, 4)),
		       "write from a hole/%u", i);
	}
	munmap(end - page, 2 * page);
}
