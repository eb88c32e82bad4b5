// SPDX-License-Identifier: GPL-2.0-only
/*
 * A type1 container against a model of it. Random steps - map, unmap in all its
 * forms, pins of drivers, their reads and writes, dirty tracking, groups that
 * come and go - are done to both, and each result, the bitmaps, the number of
 * mappings that are left, the memory that is charged and the pages that are
 * pinned have to be the same. The steps are the same in each run;
 * VFIO_TEST_SEED in the environment chooses others, VFIO_TEST_STEPS makes them
 * more. It needs test_vfio_emulated.ko for more than half of that.
 *
 * 6.12 agrees, but for one thing: after a query it takes the page behind a
 * mapping for dirty, which may be the first of the next. Whether the first
 * pages of a pin that fails are dirty afterwards is nobody's promise: nothing
 * wrote to them, yet to report a page too many does no harm.
 *
 * The model is an array of pages: what a small address space would be if nobody
 * cared about speed.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_emulated.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define READ 1
#define WRITE 2

/* The address space: so many pages from BASE on. Mappings lie in it. */
#define SPACE 4096
#define BASE (VFIO_IOVA_BASE + 0x4000000)
#define MAX_MAPPINGS 512
#define LIMIT 40

/*
 * User memory, by page. The first half may be huge pages; some of it can only
 * be read, some is not there.
 */
#define MEMORY 4096
#define READONLY_FROM 3600
#define READONLY_TO 3700
#define HOLE_FROM 3900
#define HOLE_TO 3904

enum { EMU0, EMU1, EDU, TESTDEV, GROUPS };

struct mapping {
	bool used;
	int first;		/* page of the space */
	int npages;
	int vpage;		/* page of the memory */
	int prot;
	bool vaddr_invalid;
};

struct model {
	struct mapping map[MAX_MAPPINGS];
	int nr;
	bool tracking;
	bool attached[GROUPS];
	bool scoped[GROUPS];
	/* By page of the space. */
	int at[SPACE];			/* index of the mapping, or -1 */
	bool dirty[SPACE];
	bool may_be_dirty[SPACE];
	unsigned char pins[2][SPACE];	/* by emulated device */
};

FIXTURE(model)
{
	struct vfio_dev dev[GROUPS];
	bool there[GROUPS];
	int c;
	bool iommu;		/* of a group was there when it began */
	char *mem;
	struct model *m;
	unsigned int seed;
	unsigned int random;
	int64_t pinned;
	int64_t locked;
	unsigned int done;	/* calls of the container or a driver */
	unsigned int refused;
};

FIXTURE_VARIANT(model)
{
	int first;		/* the group the container begins with */
};

FIXTURE_VARIANT_ADD(model, emulated) { .first = EMU0 };
FIXTURE_VARIANT_ADD(model, iommu) { .first = EDU };

static unsigned int seed_of_run = 1;
static int steps_of_run = 4000;

static __attribute__((constructor)) void choose_seed(void)
{
	const char *seed = getenv("VFIO_TEST_SEED");
	const char *steps = getenv("VFIO_TEST_STEPS");

	if (seed)
		seed_of_run = strtoul(seed, NULL, 0);
	if (steps)
		steps_of_run = atoi(steps);
}

static unsigned int rnd(struct _test_data_model *t, unsigned int below)
{
	t->random = t->random * 1103515245 + 12345;
	return (t->random >> 8) % below;
}

static bool has_domain(const struct model *m)
{
	return m->attached[EDU] || m->attached[TESTDEV];
}

static bool has_emulated(const struct model *m)
{
	return m->attached[EMU0] || m->attached[EMU1];
}

static bool unscoped(const struct model *m)
{
	int i;

	for (i = 0; i < GROUPS; i++)
		if (m->attached[i] && !m->scoped[i])
			return true;
	return false;
}

static bool any_invalid(const struct model *m)
{
	int i;

	for (i = 0; i < MAX_MAPPINGS; i++)
		if (m->map[i].used && m->map[i].vaddr_invalid)
			return true;
	return false;
}

static bool page_is_pinned(const struct model *m, int page)
{
	return m->pins[0][page] || m->pins[1][page];
}

/* Can the memory be pinned with these rights? */
static bool memory_is_there(int vpage, int npages, int prot)
{
	if (vpage < HOLE_TO && vpage + npages > HOLE_FROM)
		return false;
	return !(prot & WRITE) || vpage >= READONLY_TO ||
	       vpage + npages <= READONLY_FROM;
}

/* What the process is charged for, in pages. */
static int64_t model_charge(const struct model *m)
{
	int64_t n = 0;
	int i;

	for (i = 0; i < SPACE; i++)
		if (m->at[i] >= 0)
			n += has_domain(m) || page_is_pinned(m, i);
	return n;
}

/* How many pins there are: a driver's is one more than the container's. */
static int64_t model_pins(const struct model *m)
{
	int64_t n = 0;
	int i;

	for (i = 0; i < SPACE; i++)
		if (m->at[i] >= 0)
			n += has_domain(m) + page_is_pinned(m, i);
	return n;
}

/* From now on the page is known to be dirty, or not to be. */
static void model_settle(struct model *m, int page, bool dirty)
{
	m->dirty[page] = dirty;
	m->may_be_dirty[page] = false;
}

static void model_remove(struct model *m, int i)
{
	struct mapping *map = &m->map[i];
	int page;

	for (page = map->first; page < map->first + map->npages; page++) {
		m->at[page] = -1;
		model_settle(m, page, false);
		m->pins[0][page] = 0;
		m->pins[1][page] = 0;
	}
	map->used = false;
	m->nr--;
}

/* A page in the space, and a length; small ones and large ones. */
static int random_length(struct _test_data_model *t)
{
	switch (rnd(t, 6)) {
	case 0:
		return 1;
	case 1:
		return 512;
	case 2:
		return 1 + rnd(t, 1500);
	default:
		return 1 + rnd(t, 64);
	}
}

static void random_range(struct _test_data_model *t, int *first, int *npages)
{
	const struct model *m = t->m;
	int i = rnd(t, MAX_MAPPINGS), page = rnd(t, SPACE);

	/* Mostly exactly what is there, or around. */
	if (m->at[page] >= 0 && rnd(t, 4)) {
		i = m->at[page];
		*first = m->map[i].first;
		*npages = m->map[i].npages;
		if (!rnd(t, 4) && *first >= 8) {
			*first -= 8;
			*npages += 16;
		}
		if (!rnd(t, 8))
			*npages += 1;
		if (!rnd(t, 8))
			*npages -= *npages > 1;
	} else {
		*first = rnd(t, 2) ? page & ~511 : page;
		*npages = random_length(t);
	}
	if (*first + *npages > SPACE)
		*npages = SPACE - *first;
}

/* Does a mapping reach across an end of the range? */
static bool model_cut(const struct model *m, int first, int npages)
{
	int end = first + npages;
	int i = m->at[first];

	if (i >= 0 && m->map[i].first != first)
		return true;
	i = m->at[end - 1];
	return i >= 0 && m->map[i].first + m->map[i].npages != end;
}

static bool model_hits(const struct model *m, int first, int npages)
{
	int page;

	for (page = first; page < first + npages; page++)
		if (m->at[page] >= 0)
			return true;
	return false;
}

#define SAME(expected, call) do {					\
	long long __want = (expected), __got = (call);			\
									\
	ASSERT_EQ(__want, __got) {					\
		TH_LOG("seed %#x, step %d", self->seed, step);		\
	}								\
} while (0)

/* The same for what a step is about. */
#define DOES(expected, call) do {					\
	long long __does = (expected);					\
									\
	SAME(__does, call);						\
	if (__does < 0)							\
		self->refused++;					\
	else								\
		self->done++;						\
} while (0)

#define STEP(name)							\
	static void step_##name(struct __test_metadata *_metadata,	\
				struct _test_data_model *self, int step)

STEP(map)
{
	struct model *m = self->m;
	int first, npages, vpage, prot, i, want = 0, page;

	first = rnd(self, 2) ? rnd(self, SPACE) & ~511 : rnd(self, SPACE);
	npages = random_length(self);
	if (first + npages > SPACE)
		npages = SPACE - first;
	/* Memory of the same alignment, or of any. */
	vpage = rnd(self, 2) ? first : rnd(self, MEMORY);
	if (vpage + npages > MEMORY)
		vpage = MEMORY - npages;
	prot = 1 + rnd(self, 5);
	if (prot > 3)
		prot = 3;

	if (model_hits(m, first, npages))
		want = -EEXIST;
	else if (m->nr == LIMIT)
		want = -ENOSPC;
	else if (has_domain(m) && !memory_is_there(vpage, npages, prot))
		want = -EFAULT;

	DOES(want, vfio_dma_map_flags(self->c, self->mem + vpage * PAGE,
				      BASE + first * PAGE, npages * PAGE,
				      prot));
	if (want)
		return;
	for (i = 0; m->map[i].used; i++)
		;
	m->map[i] = (struct mapping){ true, first, npages, vpage, prot, false };
	for (page = first; page < first + npages; page++)
		m->at[page] = i;
	m->nr++;
}

/* Remove what is in the range; how much that is. */
static int64_t model_unmap(struct model *m, int first, int npages)
{
	int64_t done = 0;
	int page;

	for (page = first; page < first + npages; page++) {
		if (m->at[page] < 0)
			continue;
		done += m->map[m->at[page]].npages;
		model_remove(m, m->at[page]);
	}
	return done;
}

STEP(unmap)
{
	struct model *m = self->m;
	int first, npages, want;
	uint64_t done = 0;

	random_range(self, &first, &npages);
	want = model_cut(m, first, npages) ? -EINVAL : 0;
	DOES(want, vfio_dma_unmap_flags(self->c, BASE + first * PAGE,
					npages * PAGE, 0, &done));
	if (!want)
		SAME(model_unmap(m, first, npages) * PAGE, done);
}

STEP(unmap_all)
{
	uint64_t done = 0;

	if (rnd(self, 20))
		return;
	DOES(0, vfio_dma_unmap_flags(self->c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL,
				     &done));
	SAME(model_unmap(self->m, 0, SPACE) * PAGE, done);
}

/* Are the bits of mappings as the model has them? Others may be anything. */
static void check_bits(struct __test_metadata *_metadata,
		       struct _test_data_model *self, int step,
		       int first, int npages, const uint64_t *bits)
{
	struct model *m = self->m;
	int i, page;

	for (i = 0; i < npages; i++) {
		page = first + i;
		if (m->at[page] < 0)
			continue;
		if (unscoped(m) || m->dirty[page] || !m->may_be_dirty[page])
			SAME(unscoped(m) || m->dirty[page],
			     bits[i / 64] >> i % 64 & 1);
	}
}

STEP(unmap_dirty)
{
	uint64_t bits[SPACE / 64] = {}, done = 0;
	struct model *m = self->m;
	int first, npages, want;

	random_range(self, &first, &npages);
	want = !m->tracking || model_cut(m, first, npages) ? -EINVAL : 0;
	DOES(want, vfio_dirty_unmap(self->c, BASE + first * PAGE,
				    npages * PAGE, bits, &done));
	if (want)
		return;
	check_bits(_metadata, self, step, first, npages, bits);
	SAME(model_unmap(m, first, npages) * PAGE, done);
}

STEP(query)
{
	uint64_t bits[SPACE / 64] = {};
	struct model *m = self->m;
	int first, npages, want, page;

	random_range(self, &first, &npages);
	want = !m->tracking || model_cut(m, first, npages) ? -EINVAL : 0;
	DOES(want, vfio_dirty_get(self->c, BASE + first * PAGE, npages * PAGE,
				  bits));
	if (want)
		return;
	check_bits(_metadata, self, step, first, npages, bits);
	for (page = first; page < first + npages; page++)
		model_settle(m, page, page_is_pinned(m, page));
}

STEP(tracking)
{
	bool on = rnd(self, 4);
	struct model *m = self->m;
	int page;

	if (rnd(self, 4))
		return;
	DOES(0, vfio_dirty_tracking(self->c, on));
	if (on != m->tracking)
		for (page = 0; page < SPACE; page++)
			model_settle(m, page, on && page_is_pinned(m, page));
	m->tracking = on;
}

static void dirty_all(struct model *m)
{
	int page;

	for (page = 0; m->tracking && page < SPACE; page++)
		m->dirty[page] = m->at[page] >= 0;
}

STEP(invalidate)
{
	struct model *m = self->m;
	int first, npages, want = 0, page;
	int64_t total = 0;
	uint64_t done = 0;

	random_range(self, &first, &npages);
	if (has_emulated(m))
		want = -EBUSY;
	else if (model_cut(m, first, npages))
		want = -EINVAL;
	for (page = first; page < first + npages && !want; page++)
		if (m->at[page] >= 0 && m->map[m->at[page]].vaddr_invalid)
			want = -EINVAL;

	DOES(want, vfio_dma_unmap_flags(self->c, BASE + first * PAGE,
					npages * PAGE,
					VFIO_DMA_UNMAP_FLAG_VADDR, &done));
	if (want)
		return;
	for (page = first; page < first + npages; page++) {
		if (m->at[page] < 0)
			continue;
		total++;
		m->map[m->at[page]].vaddr_invalid = true;
	}
	SAME(total * PAGE, done);
}

STEP(revalidate)
{
	struct model *m = self->m;
	int i, n = rnd(self, MAX_MAPPINGS), extra = !rnd(self, 6);
	struct mapping *map = NULL;
	int want;

	for (i = 0; i < MAX_MAPPINGS; i++) {
		map = &m->map[(i + n) % MAX_MAPPINGS];
		if (map->used && (map->vaddr_invalid || !any_invalid(m)))
			break;
	}
	if (i == MAX_MAPPINGS || map->first + map->npages + extra > SPACE)
		return;
	want = extra || !map->vaddr_invalid ? -EINVAL : 0;
	DOES(want, vfio_dma_map_flags(self->c, self->mem + map->vpage * PAGE,
				      BASE + map->first * PAGE,
				      (map->npages + extra) * PAGE,
				      VFIO_DMA_MAP_FLAG_VADDR));
	if (!want)
		map->vaddr_invalid = false;
}

/* The emulated device that the step is about; -1 if it is not attached. */
static int random_emulated(struct _test_data_model *t)
{
	int e = rnd(t, 2);

	return t->m->attached[e] ? e : -1;
}

STEP(pin)
{
	int e = random_emulated(self), first, npages, prot, page, want;
	uint64_t seen[64];
	struct model *m = self->m;
	const struct mapping *map;

	if (e < 0)
		return;
	first = rnd(self, SPACE);
	npages = 1 + rnd(self, rnd(self, 2) ? 8 : 64);
	if (first + npages > SPACE)
		npages = SPACE - first;
	prot = 1 + rnd(self, 3);

	want = npages;
	for (page = first; page < first + npages && want > 0; page++) {
		map = m->at[page] >= 0 ? &m->map[m->at[page]] : NULL;
		if (!map)
			want = -EINVAL;
		else if ((map->prot & prot) != prot)
			want = -EPERM;
		else if (!page_is_pinned(m, page) &&
			 !memory_is_there(map->vpage + page - map->first, 1,
					  map->prot))
			want = -EFAULT;
		if (want > 0 && m->tracking)
			m->may_be_dirty[page] = true;
	}
	DOES(want, emu_pin(&self->dev[e], BASE + first * PAGE, npages, prot,
			   seen));
	if (want < 0)
		return;
	for (page = first; page < first + npages; page++) {
		m->pins[e][page]++;
		m->dirty[page] = m->tracking;
		map = &m->map[m->at[page]];
		SAME(*(uint64_t *)(self->mem +
				   (map->vpage + page - map->first) * PAGE),
		     seen[page - first]);
	}
	m->scoped[e] = true;
}

STEP(unpin)
{
	int e = random_emulated(self), first, npages, page;
	struct model *m = self->m;

	if (e < 0)
		return;
	first = rnd(self, SPACE);
	npages = 1 + rnd(self, 64);
	if (first + npages > SPACE)
		npages = SPACE - first;
	/* The driver lets go of all its pins there. */
	DOES(0, emu_unpin(&self->dev[e], BASE + first * PAGE, npages));
	for (page = first; page < first + npages; page++)
		m->pins[e][page] = 0;
}

STEP(rw)
{
	int e = random_emulated(self), first, page, off, want = 0, vpage;
	struct model *m = self->m;
	bool write = rnd(self, 2);
	const struct mapping *map;
	uint64_t buf = 0;

	if (e < 0)
		return;
	first = rnd(self, SPACE - 1);
	off = rnd(self, 2) ? PAGE - 4 : 8;
	for (page = first; page <= first + (off > 8) && !want; page++) {
		map = m->at[page] >= 0 ? &m->map[m->at[page]] : NULL;
		vpage = map ? map->vpage + page - map->first : 0;
		if (!map)
			want = -EINVAL;
		else if (!(map->prot & READ) || (write && !(map->prot & WRITE)))
			want = -EPERM;
		else if (!memory_is_there(vpage, 1, write ? WRITE : READ))
			want = -EFAULT;
		else if (write && m->tracking)
			m->dirty[page] = true;
	}
	/* The eight bytes behind the first are nobody's; see the setup. */
	DOES(want, emu_rw(&self->dev[e], BASE + first * PAGE + off, &buf, 8,
			  write));
}

static const char *const ids[GROUPS] = { NULL, NULL, VFIO_ANY, VFIO_ANOTHER };

static int group_open(struct _test_data_model *t, int g)
{
	const struct vfio_dev *other = NULL;
	int i;

	for (i = 0; i < GROUPS && !other; i++)
		if (t->m->attached[i])
			other = &t->dev[i];
	if (g <= EMU1)
		return emu_open(&t->dev[g], g, VFIO_TYPE1v2_IOMMU, other);
	return other ? vfio_dev_open_with(&t->dev[g], ids[g], other) :
		       vfio_dev_open(&t->dev[g], ids[g], VFIO_TYPE1v2_IOMMU);
}

STEP(attach)
{
	struct model *m = self->m;
	int g = rnd(self, GROUPS), want = 0, i;

	if (m->attached[g] || !self->there[g] || rnd(self, 4))
		return;
	if (any_invalid(m))
		want = -EBUSY;
	for (i = 0; i < MAX_MAPPINGS && g >= EDU && !has_domain(m) && !want;
	     i++)
		if (m->map[i].used && !memory_is_there(m->map[i].vpage,
						       m->map[i].npages,
						       m->map[i].prot))
			want = -EFAULT;
	DOES(want, group_open(self, g));
	if (want)
		return;
	self->dev[g].shared = true;
	m->attached[g] = true;
	/* An emulated device dirties what its driver says. */
	m->scoped[g] = g <= EMU1;
}

STEP(detach)
{
	struct model *m = self->m;
	int g = rnd(self, GROUPS), i, left = 0, page;

	for (i = 0; i < GROUPS; i++)
		left += m->attached[i];
	if (!m->attached[g] || left == 1 || rnd(self, 4))
		return;
	vfio_dev_close(&self->dev[g]);
	m->attached[g] = false;
	if (g <= EMU1)
		for (page = 0; page < SPACE; page++)
			m->pins[g][page] = 0;
	if (!m->scoped[g])
		dirty_all(m);
}

#define DMA_ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"

#define EMULATED "/sys/bus/platform/devices/test_vfio_emulated.0"

static void memory_make(struct __test_metadata *_metadata,
			struct _test_data_model *self)
{
	char *room = mmap(NULL, (MEMORY + 512) * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t i;

	ASSERT_NE(MAP_FAILED, room);
	self->mem = (char *)(((uintptr_t)room + 512 * PAGE - 1) &
			     -(512 * PAGE));
	ASSERT_EQ(0, mprotect(self->mem, MEMORY * PAGE,
			      PROT_READ | PROT_WRITE));
	madvise(self->mem, MEMORY / 2 * PAGE, MADV_HUGEPAGE);
	madvise(self->mem + MEMORY / 2 * PAGE, MEMORY / 2 * PAGE,
		MADV_NOHUGEPAGE);
	/* Drivers write behind the first eight bytes, which tell the page. */
	for (i = 0; i < MEMORY; i++)
		*(uint64_t *)(self->mem + i * PAGE) = 0x5eed0000 + i;
	ASSERT_EQ(0, mprotect(self->mem + READONLY_FROM * PAGE,
			      (READONLY_TO - READONLY_FROM) * PAGE, PROT_READ));
	ASSERT_EQ(0, munmap(self->mem + HOLE_FROM * PAGE,
			    (HOLE_TO - HOLE_FROM) * PAGE));
}

FIXTURE_SETUP(model)
{
	char saved[16], limit[16];
	char bdf[VFIO_BDF_LEN];
	int i, ret;

	self->m = calloc(1, sizeof(*self->m));
	ASSERT_NE(NULL, self->m);
	for (i = 0; i < SPACE; i++)
		self->m->at[i] = -1;
	for (i = 0; i < GROUPS; i++)
		vfio_dev_init(&self->dev[i]);
	memory_make(_metadata, self);
	self->seed = seed_of_run;
	self->random = self->seed;

	if (access(EMULATED, F_OK))
		vfio_modprobe("test_vfio_emulated");
	self->there[EDU] = !vfio_pci_resolve(VFIO_ANY, bdf);
	self->there[TESTDEV] = !vfio_pci_resolve(VFIO_ANOTHER, bdf);
	if (variant->first == EDU && !self->there[EDU])
		SKIP(return, "no device %s here", VFIO_ANY);

	self->pinned = vfio_pinned_pages();
	self->locked = vfio_locked_kb();
	ASSERT_EQ(0, vfio_sysfs_read(DMA_ENTRY_LIMIT, saved, sizeof(saved)));
	snprintf(limit, sizeof(limit), "%d", LIMIT);
	ASSERT_EQ(0, vfio_sysfs_write(DMA_ENTRY_LIMIT, limit));
	ret = group_open(self, variant->first);
	ASSERT_EQ(0, vfio_sysfs_write(DMA_ENTRY_LIMIT, saved));
	if (ret == -ENXIO)
		SKIP(return, "test_vfio_emulated.ko is not loaded");
	ASSERT_EQ(0, ret);
	/* It lives longer than who brought it. */
	self->c = self->dev[variant->first].container;
	self->dev[variant->first].shared = true;
	self->m->attached[variant->first] = true;
	self->m->scoped[variant->first] = variant->first <= EMU1;
	self->there[EMU0] = !access(EMULATED, F_OK);
	self->there[EMU1] = self->there[EMU0];
}

FIXTURE_TEARDOWN(model)
{
	int i;

	for (i = 0; i < GROUPS; i++)
		vfio_dev_close(&self->dev[i]);
	close(self->c);
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(self->locked, vfio_locked_kb());
}

TEST_F(model, agrees)
{
	static void (*const steps[])(struct __test_metadata *,
				     struct _test_data_model *, int) = {
		step_map, step_map, step_map, step_map, step_unmap,
		step_unmap_all, step_unmap_dirty, step_query, step_query,
		step_tracking, step_invalidate, step_revalidate,
		step_revalidate, step_pin, step_pin, step_pin, step_unpin,
		step_rw, step_rw, step_attach, step_detach,
	};
	const struct model *m = self->m;
	int step;

	TH_LOG("seed %#x, %d steps", self->seed, steps_of_run);
	for (step = 0; step < steps_of_run; step++) {
		steps[rnd(self, ARRAY_SIZE(steps))](_metadata, self, step);
		SAME(self->locked + model_charge(m) * PAGE / 1024, vfio_locked_kb());
		SAME(LIMIT - m->nr, vfio_dma_avail(self->c));
		if (step % 64 == 0)
			SAME(self->pinned + model_pins(m),
			     vfio_wait_pinned(self->pinned + model_pins(m)));
	}
	TH_LOG("%u calls succeeded, %u were refused", self->done,
	       self->refused);
	EXPECT_LT(steps_of_run / 8, self->done);
	EXPECT_LT(steps_of_run / 20, self->refused);
}

TEST_HARNESS_MAIN
