// SPDX-License-Identifier: GPL-2.0-only
/* What the numbers of a program stand for, and which ones are worth trying. */
#include <errno.h>
#include <string.h>
#include <linux/pci_regs.h>

#include "../../kselftest.h"
#include "fuzz.h"

#define PAGE	4096

static uint64_t state = 1;

void fuzz_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ull | 1;
}

uint64_t fuzz_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull;
}

uint64_t fuzz_below(uint64_t n)
{
	return n ? (fuzz_random() >> 16) % n : 0;
}

static uint64_t one_of(const uint64_t *values, size_t nr)
{
	return values[fuzz_below(nr)];
}

#define ONE_OF(...) ({							\
	static const uint64_t __values[] = { __VA_ARGS__ };		\
	one_of(__values, ARRAY_SIZE(__values));				\
})

/* Numbers at which something changes. */
uint64_t fuzz_interesting(void)
{
	switch (fuzz_below(4)) {
	case 0:
		return fuzz_below(64);
	case 1:
		return (1ull << fuzz_below(64)) - fuzz_below(2);
	case 2:
		return -(1ull << fuzz_below(64));
	default:
		return ONE_OF(0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
			      INT64_MAX, 1ull << 63, UINT64_MAX, 0xfff, 0x1001,
			      0xffff, 0xff);
	}
}

static uint64_t random_flags(uint64_t of)
{
	switch (fuzz_below(4)) {
	case 0:
		return of;
	case 1:
		return 0;
	default:
		return of & fuzz_random();
	}
}

static uint64_t random_offset(void)
{
	if (fuzz_below(2))
		return fuzz_below(0x40) * 4;
	return ONE_OF(0, 1, 2, 4, 0x60, 0x64, 0xff, 0xffe, PAGE, 2 * PAGE,
		      0x4000, 0x100000, 0x200000, 0x3fff000, 0x4000000);
}

/* Mostly one that makes sense. */
uint64_t fuzz_value_random(const struct fuzz_arg *arg)
{
	if (!fuzz_below(24))
		return fuzz_interesting();

	switch (arg->kind) {
	case FUZZ_CONTAINER ... FUZZ_OTHER:
	case FUZZ_MAPPING:
		return fuzz_below(6) ? 0 : fuzz_below(8);
	case FUZZ_NAME:
		return fuzz_below(FUZZ_DEVICES);
	case FUZZ_CHOICE:
		return fuzz_below(arg->of);
	case FUZZ_FLAGS:
		return random_flags(arg->of);
	case FUZZ_PAIR:
		return 1 << fuzz_below(3) | 8 << fuzz_below(3);
	case FUZZ_PRESET:
		return 0;
	case FUZZ_CAPABILITY:
		return ONE_OF(PCI_CAP_ID_PM, PCI_CAP_ID_VPD, PCI_CAP_ID_MSI,
			      PCI_CAP_ID_VNDR, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX,
			      PCI_CAP_ID_AF, 0x100 + PCI_EXT_CAP_ID_ERR,
			      0x100 + PCI_EXT_CAP_ID_DSN,
			      0x100 + PCI_EXT_CAP_ID_ATS,
			      0x100 + PCI_EXT_CAP_ID_SRIOV);
	case FUZZ_FEATURE:
		return fuzz_below(8) ? 1 + fuzz_below(2) : fuzz_below(8);
	case FUZZ_SIZE:
		return ONE_OF(0, 1, 2, 3, 4, 8, 0x10, 0x40, 0xfff, PAGE, PAGE,
			      PAGE, PAGE + 1, 2 * PAGE, 0x10000, 0x200000,
			      0x200000, 0x3ff000);
	case FUZZ_IOVA:
		return ONE_OF(0, 0, 0, PAGE, 0x1234, 2 * PAGE, 0x200000, 0x201000,
			      0x10000000, 0xfee00000, 0xffffffff000,
			      0x7ffffffff000, -PAGE);
	case FUZZ_OFFSET:
		return random_offset();
	case FUZZ_POSITION:
		return fuzz_below(9) << FUZZ_REGION_BITS | random_offset();
	case FUZZ_MEMORY:
		return fuzz_below(3) ? 0 : fuzz_below(16);
	case FUZZ_WHERE:
		return fuzz_below(12) ? 0 : fuzz_below(8);
	case FUZZ_ARGSZ:
		return fuzz_below(10) ? 0 : fuzz_below(64);
	case FUZZ_COUNT:
		return fuzz_below(8) ? 0 : fuzz_below(32);
	case FUZZ_BYTES ... FUZZ_RANGES:
		return fuzz_random() << 8 >> 40 << 8 | fuzz_below(5);
	default:
		return fuzz_interesting();
	}
}

int fuzz_file(struct fuzz_thread *t, unsigned int kind, uint64_t v)
{
	if (v < FUZZ_SLOTS)
		return t->s->files[kind][v];
	switch (v) {
	case 4:
		return -1;
	case 5:
		return 0x7fff;
	case 6:
		return t->s->null;
	case 7:
		return t->s->memfd;
	}
	return v;
}

/*
 * Memory of which @len bytes are going to be read or written, that of devices only
 * if it may be and without what is behind it; 0: to have DMA to.
 */
void *fuzz_memory(struct fuzz_thread *t, uint64_t v, uint64_t len)
{
	struct fuzz_state *s = t->s;

	switch (v) {
	case 0:
		return s->memory;
	case 1:
		return s->memory + 0x200000;
	case 2:
		return s->memory + 0x123;
	case 3:
		return s->memory + FUZZ_MEMORY_SIZE - PAGE;
	case 4:
		return NULL;
	case 5:
		return (void *)0xffff888000000000ul;
	case 6:
		return t->readonly;
	case 7:
		return s->memory + FUZZ_MEMORY_SIZE;
	case 8 ... 11:
		if (!len || (s->maps[v - 8].safe && len <= s->maps[v - 8].len))
			return s->maps[v - 8].p;
		return s->memory + PAGE;
	case 12 ... 15:
		return s->memory + v * PAGE;
	}
	/* Nothing of the fuzzer's own. */
	return (void *)(v | 0xffff000000000000ul);
}

static uint64_t resolve(struct fuzz_thread *t, const struct fuzz_arg *arg,
			uint64_t v, uint64_t size, uint64_t entries)
{
	switch (arg->kind) {
	case FUZZ_CONTAINER ... FUZZ_OTHER:
		return fuzz_file(t, arg->kind, v);
	case FUZZ_PRESET:
		return arg->of ^ v;
	case FUZZ_FEATURE:
		return arg->of | (v & ~7ull) | (v & 7) << 16;
	case FUZZ_MEMORY:
		return (uintptr_t)fuzz_memory(t, v, 0);
	case FUZZ_ARGSZ:
		return v ?: size;
	case FUZZ_COUNT:
		return v ?: entries;
	}
	return v;
}

/* What follows the structure: @v says how much, and what. */
static size_t put_entries(struct fuzz_thread *t, unsigned int kind, uint64_t v,
			  uint8_t *to)
{
	uint64_t nr = v & 0x1f, seed = v >> 8, range[2];
	size_t len = 0;
	int32_t file;

	for (; nr; nr--, seed = seed * 0x5851f42d4c957f2dull >> 1) {
		switch (kind) {
		case FUZZ_BYTES:
			to[len++] = seed;
			break;
		case FUZZ_EVENTFDS:
		case FUZZ_GROUPS:
			file = fuzz_file(t, kind == FUZZ_GROUPS ? FUZZ_GROUP :
					 FUZZ_EVENTFD, seed & 7);
			memcpy(to + len, &file, sizeof(file));
			len += sizeof(file);
			break;
		case FUZZ_RANGES:
			range[0] = (seed & 0xf) * PAGE;
			range[1] = (seed >> 4 & 3) * PAGE + (seed >> 6 & 1);
			memcpy(to + len, range, sizeof(range));
			len += sizeof(range);
			break;
		}
	}
	return len;
}

/* Where @len bytes at @page are seen by the kernel, or something else is. */
static void *place(struct fuzz_thread *t, uint64_t where, size_t len)
{
	uint8_t *end = t->page + PAGE;

	switch (where) {
	case 1:
		return NULL;
	case 2:
		return (void *)0xffff888000000000ul;
	case 3:
		/* Its end is not there. */
		return end - 4;
	case 4:
		return t->readonly + PAGE - len;
	case 5:
		return fuzz_memory(t, 8, len);
	case 6:
		return end - len - 1;
	}
	return end - len;
}

/* An ioctl with a structure, as its row of the table has it. */
int64_t fuzz_ioctl(struct fuzz_thread *t, const struct fuzz_op *op,
		   const uint64_t *v)
{
	uint64_t entries = 0;
	uint8_t buf[PAGE] = {};
	size_t len = op->size;
	void *where;
	int i;

	for (i = 2; i < FUZZ_ARGS; i++) {
		if (op->args[i].kind < FUZZ_BYTES)
			continue;
		entries = v[i] & 0x1f;
		len += put_entries(t, op->args[i].kind, v[i], buf + len);
	}
	for (i = 2; i < FUZZ_ARGS; i++) {
		const struct fuzz_arg *arg = &op->args[i];
		uint64_t value = resolve(t, arg, v[i], len, entries);

		memcpy(buf + arg->offset, &value, arg->width);
	}

	where = place(t, v[1], len);
	/* That of the page, whose other mapping cannot be written. */
	if (v[1] == 5) {
		if (vfio_try_store32(where, *(uint32_t *)buf))
			return -EFAULT;
	} else if (v[1] == 6) {
		memcpy(where, buf, len);
	} else {
		memcpy(t->page + PAGE - len, buf, len);
	}
	return vfio_ioctl(fuzz_file(t, op->args[0].kind, v[0]), op->request,
			  where);
}
