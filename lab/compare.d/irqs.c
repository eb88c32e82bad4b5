// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts: what SET_IRQS takes and refuses, and what its eventfds then say. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "record.h"

#define MAX_VECTORS	64

static const struct kind {
	const char *name;
	uint32_t flags;
} data_kinds[] = {
	{ "no data", 0 },
	{ "none", VFIO_IRQ_SET_DATA_NONE },
	{ "bool", VFIO_IRQ_SET_DATA_BOOL },
	{ "eventfd", VFIO_IRQ_SET_DATA_EVENTFD },
	{ "two data", VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_EVENTFD },
	{ "bit 6", VFIO_IRQ_SET_DATA_EVENTFD | 1 << 6 },
}, actions[] = {
	{ "no action", 0 },
	{ "mask", VFIO_IRQ_SET_ACTION_MASK },
	{ "unmask", VFIO_IRQ_SET_ACTION_UNMASK },
	{ "trigger", VFIO_IRQ_SET_ACTION_TRIGGER },
	{ "two actions", VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK },
};

#define TRIGGER_EVENTFD	(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD)
#define TRIGGER_NONE	(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE)
#define TRIGGER_BOOL	(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_BOOL)

static void disable(const struct device *d, uint32_t index)
{
	set_irqs(d, TRIGGER_NONE, index, 0, 0, NULL, 0);
}

/* What the interrupt registers show, to the user and on the device. */
static void record_registers(const struct device *d, uint32_t index, const char *when)
{
	unsigned int msi = find_capability(d, PCI_CAP_ID_MSI);
	unsigned int msix = find_capability(d, PCI_CAP_ID_MSIX);

	record(text("%04x, device %04x; MSI %04x, device %04x; MSI-X %04x, device %04x",
		    config_read(d, PCI_COMMAND, 2), hardware_read(d, PCI_COMMAND, 2),
		    msi ? config_read(d, msi + 2, 2) : 0,
		    msi ? hardware_read(d, msi + 2, 2) : 0,
		    msix ? config_read(d, msix + 2, 2) : 0,
		    msix ? hardware_read(d, msix + 2, 2) : 0),
	       "%u/%s/registers", index, when);
}

static void record_argsz(const struct device *d, uint32_t index, int fd)
{
	static const uint32_t sizes[] = {
		0, 12, 19, 20, 21, 23, 24, 28, 32, 4096, ~0u
	};
	struct {
		struct vfio_irq_set head;
		int fds[8];
	} set;
	unsigned int i, count, kind;

	for (i = 0; i < COUNT(sizes); i++)
		for (count = 0; count <= 2; count++)
			for (kind = 1; kind <= 3; kind++) {
				memset(&set, 0xff, sizeof(set));
				set.head.argsz = sizes[i];
				set.head.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
						 data_kinds[kind].flags;
				set.head.index = index;
				set.head.start = 0;
				set.head.count = count;
				set.fds[0] = fd;
				record(outcome(ioctl(d->fd, VFIO_DEVICE_SET_IRQS, &set)),
				       "%u/argsz %u/%s/count %u", index, sizes[i],
				       data_kinds[kind].name, count);
				disable(d, index);
			}
}

/* One range of vectors with every kind of data and action. */
static void record_kinds(const struct device *d, uint32_t index, const int *fds, int armed,
			 uint32_t start, uint32_t count, const char *range)
{
	uint32_t n = count > MAX_VECTORS ? MAX_VECTORS : count;
	const struct kind *k, *a;

	for (k = data_kinds; k < data_kinds + COUNT(data_kinds); k++) {
		int none = !k->flags || k->flags & VFIO_IRQ_SET_DATA_NONE;
		int boolean = k->flags & VFIO_IRQ_SET_DATA_BOOL;

		for (a = actions; a < actions + COUNT(actions); a++) {
			if (armed)
				set_irqs(d, TRIGGER_EVENTFD, index, 0, 1, fds, 4);
			record(outcome(set_irqs(d, k->flags | a->flags, index, start,
						count, none ? NULL : fds,
						none ? 0 : boolean ? n : 4 * n)),
			       "%u/%s/%s/%s/%s", index, armed ? "armed" : "idle",
			       range, k->name, a->name);
			disable(d, index);
		}
	}
}

/* Every range; @armed says whether the index is in use before. */
static void record_combinations(const struct device *d, uint32_t index,
				const int *fds, int armed)
{
	uint32_t count = irq_count(d, index);
	const uint32_t starts[] = { 0, 1, count - 1, count, ~0u };
	const uint32_t counts[] = { 0, 1, 2, count, count + 1, ~0u };
	static const char *const start_names[] = { "0", "1", "last", "end", "max" };
	static const char *const count_names[] = { "0", "1", "2", "all", "all+1", "max" };
	unsigned int s, c;
	char range[48];

	for (s = 0; s < COUNT(starts); s++) {
		for (c = 0; c < COUNT(counts); c++) {
			snprintf(range, sizeof(range), "start %s/count %s",
				 start_names[s], count_names[c]);
			record_kinds(d, index, fds, armed, starts[s], counts[c], range);
		}
	}
}

void record_irq_calls(struct device *d)
{
	static const uint32_t none[] = { 5, 6, 0x7fffffff, ~0u };
	int fds[MAX_VECTORS], bad[MAX_VECTORS];
	uint32_t index;
	unsigned int i;

	for (i = 0; i < MAX_VECTORS; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	for (index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
		record_argsz(d, index, fds[0]);
		record_combinations(d, index, fds, 0);
		if (irq_count(d, index))
			record_combinations(d, index, fds, 1);
		/* Files that are no eventfds. */
		for (i = 0; i < 4; i++) {
			memcpy(bad, fds, sizeof(bad));
			bad[0] = i == 0 ? -1 : i == 1 ? -2 : i == 2 ? d->group : 9999;
			record(outcome(set_irqs(d, TRIGGER_EVENTFD, index, 0, 1, bad, 4)),
			       "%u/bad file %u", index, i);
			record_registers(d, index, text("bad file %u", i));
			disable(d, index);
		}
		record(outcome(set_irqs(d, VFIO_IRQ_SET_ACTION_UNMASK |
					VFIO_IRQ_SET_DATA_EVENTFD, index, 0, 1,
					&d->group, 4)), "%u/unmask by no eventfd", index);
	}
	for (i = 0; i < COUNT(none); i++) {
		record(outcome(set_irqs(d, TRIGGER_NONE, none[i], 0, 0, NULL, 0)),
		       "no index %#x/disable", none[i]);
		record(outcome(set_irqs(d, TRIGGER_EVENTFD, none[i], 0, 1, fds, 4)),
		       "no index %#x/eventfd", none[i]);
	}
	for (i = 0; i < MAX_VECTORS; i++)
		close(fds[i]);
}

static const char *all_signals(const int *fds, uint32_t count)
{
	char list[MAX_VECTORS + 1];
	uint32_t i;

	for (i = 0; i < count; i++)
		list[i] = "0123456789"[signals(fds[i]) % 10];
	list[count] = '\0';
	return text("%s", list);
}

struct step {
	const char *name;
	uint32_t flags, start, count;
	/* Of the eventfds: each gives its own, -1, or a file that is none. */
	const char *data;
};

/*
 * One after the other on each index; after each one every vector is triggered and the
 * signals counted. In data, 'e' is a vector's eventfd, '-' none, 'x' a bad file, a
 * digit a byte. A count of 0xff is "all of them".
 */
static const struct step steps[] = {
	{ "trigger idle", TRIGGER_NONE, 0, 1, "" },
	{ "arm first", TRIGGER_EVENTFD, 0, 1, "e" },
	{ "arm first again", TRIGGER_EVENTFD, 0, 1, "e" },
	{ "none first", TRIGGER_EVENTFD, 0, 1, "-" },
	{ "arm third", TRIGGER_EVENTFD, 2, 1, "e" },
	{ "arm first three", TRIGGER_EVENTFD, 0, 3, "eee" },
	{ "drop second", TRIGGER_EVENTFD, 1, 1, "-" },
	{ "bad in the middle", TRIGGER_EVENTFD, 0, 3, "exe" },
	{ "bool", TRIGGER_BOOL, 0, 3, "101" },
	{ "bool second", TRIGGER_BOOL, 1, 1, "1" },
	{ "grow", TRIGGER_EVENTFD, 3, 2, "ee" },
	{ "trigger two", TRIGGER_NONE, 0, 2, "" },
	{ "disable part", TRIGGER_NONE, 1, 0, "" },
	{ "drop all", TRIGGER_EVENTFD, 0, 3, "---" },
	{ "disable", TRIGGER_NONE, 0, 0, "" },
	{ "arm from second", TRIGGER_EVENTFD, 1, 1, "e" },
	{ "bad only", TRIGGER_EVENTFD, 0, 1, "x" },
	{ "disable again", TRIGGER_NONE, 0, 0, "" },
	{ "arm all", TRIGGER_EVENTFD, 0, 0xff, "e" },
	{ "mask", VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE, 0, 1, "" },
	{ "mask again", VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE, 0, 1, "" },
	{ "unmask", VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE, 0, 1, "" },
	{ "mask bool 0", VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_BOOL, 0, 1, "0" },
	{ "mask bool 1", VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_BOOL, 0, 1, "1" },
	{ "unmask bool 0", VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_BOOL, 0, 1, "0" },
	{ "unmask bool 1", VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_BOOL, 0, 1, "1" },
	{ "mask by eventfd", VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_EVENTFD, 0, 1, "e" },
	{ "unmask by -1", VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_EVENTFD, 0, 1, "-" },
	{ "unmask by bad", VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_EVENTFD, 0, 1, "x" },
	{ "disable at last", TRIGGER_NONE, 0, 0, "" },
};

static void take_step(const struct device *d, uint32_t index, const struct step *s,
		      const int *fds, uint32_t vectors)
{
	uint32_t count = s->count == 0xff ? vectors : s->count, i;
	int wanted[MAX_VECTORS];
	uint8_t bools[MAX_VECTORS];
	const void *data = wanted;
	size_t size = 4 * count;

	for (i = 0; i < count; i++) {
		char c = s->data[s->count == 0xff || !s->data[0] ? 0 : i];
		uint32_t vector = s->start + i;

		wanted[i] = c == 'e' ? fds[vector % MAX_VECTORS] :
			    c == 'x' ? d->group : -1;
		bools[i] = c == '1';
	}
	if (s->flags & VFIO_IRQ_SET_DATA_NONE)
		size = 0;
	if (s->flags & VFIO_IRQ_SET_DATA_BOOL) {
		data = bools;
		size = count;
	}
	record(outcome(set_irqs(d, s->flags, index, s->start, count, data, size)),
	       "%u/%s", index, s->name);
	record_registers(d, index, s->name);
	record(all_signals(fds, vectors), "%u/%s/signals", index, s->name);
	for (i = 0; i < vectors; i++) {
		const char *result = outcome(set_irqs(d, TRIGGER_NONE, index, i, 1,
						      NULL, 0));

		record(text("%s: %s", result, all_signals(fds, vectors)),
		       "%u/%s/trigger %u", index, s->name, i);
	}
}

/* One index in use keeps others out. */
static void record_exclusion(const struct device *d, const int *fds)
{
	uint32_t first, second;

	for (first = 0; first < VFIO_PCI_NUM_IRQS; first++) {
		if (!irq_count(d, first))
			continue;
		for (second = 0; second < VFIO_PCI_NUM_IRQS; second++) {
			set_irqs(d, TRIGGER_EVENTFD, first, 0, 1, fds, 4);
			record(outcome(set_irqs(d, TRIGGER_EVENTFD, second, 0, 1,
						fds + 1, 4)),
			       "%u then %u", first, second);
			record_registers(d, first, text("then %u", second));
			record(outcome(set_irqs(d, TRIGGER_NONE, second, 0, 0, NULL, 0)),
			       "%u then %u/disable", first, second);
			disable(d, first);
		}
	}
}

void record_irq_delivery(struct device *d)
{
	int fds[MAX_VECTORS];
	uint32_t index, count;
	unsigned int i;

	for (i = 0; i < MAX_VECTORS; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	for (index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
		count = irq_count(d, index);
		if (!count)
			continue;
		record(text("%u", count), "%u/count", index);
		if (count > MAX_VECTORS)
			count = MAX_VECTORS;
		for (i = 0; i < COUNT(steps); i++)
			take_step(d, index, &steps[i], fds, count > 6 ? 6 : count);
		disable(d, index);
		/* Big ones at once, and one too many. */
		record(outcome(set_irqs(d, TRIGGER_EVENTFD, index, 0, count, fds,
					4 * count)), "%u/arm every vector", index);
		record_registers(d, index, "arm every vector");
		record(outcome(set_irqs(d, TRIGGER_NONE, index, 0, count, NULL, 0)),
		       "%u/trigger every vector", index);
		record(all_signals(fds, count), "%u/trigger every vector/signals", index);
		disable(d, index);
	}
	record_exclusion(d, fds);
	for (i = 0; i < MAX_VECTORS; i++)
		close(fds[i]);
}
