// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page hinting as a VMM does it: the guest's memory is mapped in chunks; one
 * that the guest gives back is unmapped and its memory freed, one that it wants
 * again is mapped. See Documentation/driver-api/vfio-page-hinting.rst. What the
 * device does to other chunks meanwhile is not disturbed.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define KiB 1024ULL
#define MiB 0x100000ULL
#define CHUNKS 32
#define IOVA (32 * MiB)

FIXTURE(hinting)
{
	struct vfio_dev d;
	int c;
	char *ram;
	uint64_t chunk;
	bool mapped[CHUNKS];
	int64_t pinned;
	int64_t locked;
	int klog;
};

FIXTURE_VARIANT(hinting)
{
	uint64_t chunk;
	int rounds;
};

FIXTURE_VARIANT_ADD(hinting, chunks_of_4k) {
	.chunk = 4 * KiB, .rounds = 400,
};

FIXTURE_VARIANT_ADD(hinting, chunks_of_64k) {
	.chunk = 64 * KiB, .rounds = 400,
};

FIXTURE_VARIANT_ADD(hinting, chunks_of_2m) {
	.chunk = 2 * MiB, .rounds = 200,
};

static void *huge_alloc(uint64_t size)
{
	char *room = mmap(NULL, size + 2 * MiB, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *mem = (char *)(((uintptr_t)room + 2 * MiB - 1) & -(2 * MiB));

	if (room == MAP_FAILED || mprotect(mem, size, PROT_READ | PROT_WRITE))
		return NULL;
	madvise(mem, size, MADV_HUGEPAGE);
	return mem;
}

/* The device's view of a chunk, and the VMM's. */
static uint64_t chunk_iova(uint64_t chunk, int i)
{
	return IOVA + i * chunk;
}

/* The guest wants a chunk: it has to be mapped before the guest may use it. */
static int chunk_take(struct _test_data_hinting *self, int i)
{
	int ret = vfio_dma_map(self->c, self->ram + i * self->chunk,
			       chunk_iova(self->chunk, i), self->chunk);

	if (!ret)
		self->mapped[i] = true;
	return ret;
}

/* The guest gave @n chunks back: the device first, then the memory. */
static int chunk_give(struct _test_data_hinting *self, int i, int n)
{
	uint64_t size = n * self->chunk;
	int ret = vfio_dma_unmap(self->c, chunk_iova(self->chunk, i), size);

	if (!ret && madvise(self->ram + i * self->chunk, size, MADV_DONTNEED))
		ret = -errno;
	if (!ret)
		memset(self->mapped + i, 0, n);
	return ret;
}

static int64_t chunks_kb(struct _test_data_hinting *self)
{
	int i, n = 0;

	for (i = 0; i < CHUNKS; i++)
		n += self->mapped[i];
	return n * self->chunk / KiB;
}

FIXTURE_SETUP(hinting)
{
	int i;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	self->c = self->d.container;
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 6, 0));
	self->pinned = vfio_pinned_pages();
	self->locked = vfio_locked_kb();
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
	self->chunk = variant->chunk;
	self->ram = huge_alloc(CHUNKS * self->chunk);
	ASSERT_NE(NULL, self->ram);
	for (i = 0; i < CHUNKS; i++)
		ASSERT_EQ(0, chunk_take(self, i));
}

FIXTURE_TEARDOWN(hinting)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(self->locked, vfio_locked_kb());
	close(self->klog);
}

/* What is charged, what is pinned and what the device sees follow each step. */
TEST_F(hinting, balloon)
{
	uint64_t *page, *scratch = (uint64_t *)self->ram;
	int i, round;

	srand(1);
	for (round = 0; round < variant->rounds; round++) {
		i = 1 + rand() % (CHUNKS - 1);
		page = (uint64_t *)(self->ram + i * self->chunk +
				    rand() % (self->chunk / PAGE) * PAGE);
		if (self->mapped[i]) {
			*page = 1;
			ASSERT_EQ(0, chunk_give(self, i, 1));
			ASSERT_EQ(self->locked + chunks_kb(self),
				  vfio_locked_kb());
			/* It was freed: the guest finds it empty. */
			ASSERT_EQ(0, *page);
			continue;
		}
		ASSERT_EQ(0, chunk_take(self, i));
		ASSERT_EQ(self->locked + chunks_kb(self), vfio_locked_kb());
		if (round % 4)
			continue;
		*page = 0x600d0000 + round;
		*scratch = 0;
		ASSERT_EQ(0, edu_copy(&self->d,
				      IOVA + ((char *)page - self->ram), IOVA));
		ASSERT_EQ(*page, *scratch);
	}
}

/* A device that touches what was given back finds nothing. */
TEST_F(hinting, given_back)
{
	uint64_t *chunk = (uint64_t *)(self->ram + 5 * self->chunk);
	uint64_t iova = chunk_iova(self->chunk, 5);

	*(uint64_t *)self->ram = 0xbad;
	ASSERT_EQ(0, edu_copy(&self->d, IOVA, iova));
	EXPECT_EQ(0xbad, *chunk);
	EXPECT_EQ(0, vfio_klog_dma_faults(self->klog));
	/* As long as the VMM keeps the memory, it would show what comes there. */
	ASSERT_EQ(0, vfio_dma_unmap(self->c, iova, self->chunk));
	*chunk = 0x600d;
	EXPECT_EQ(0, edu_dma(&self->d, iova, 64, true));
	EXPECT_EQ(0x600d, *chunk);
	if (vfio_dma_faults_told())
		EXPECT_TRUE(edu_fault_told(&self->d, iova, self->klog));
	ASSERT_EQ(0, chunk_take(self, 5));
	ASSERT_EQ(0, chunk_give(self, 5, 1));
	EXPECT_EQ(0, *chunk);
	EXPECT_EQ(0, edu_dma(&self->d, iova, 64, true));
	EXPECT_EQ(0, *chunk);
	if (vfio_dma_faults_told())
		EXPECT_TRUE(edu_fault_told(&self->d, iova, self->klog));
	ASSERT_EQ(0, chunk_take(self, 5));
	EXPECT_EQ(0, edu_dma(&self->d, iova, 64, true));
	EXPECT_EQ(0xbad, *chunk);
}

/* DMA within one chunk, all the time. */
struct worker {
	pthread_t thread;
	const struct vfio_dev *d;
	char *mem;
	uint64_t iova;
	uint64_t copies;
	uint64_t bad;
	bool stop;
};

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	uint64_t i, n = 512 / 8, *from = (uint64_t *)w->mem;
	uint64_t *to = (uint64_t *)(w->mem + 2048);

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < n; i++)
			from[i] = w->copies * n + i;
		memset(to, 0, 512);
		if (edu_dma(w->d, w->iova, 512, false) ||
		    edu_dma(w->d, w->iova + 2048, 512, true) ||
		    memcmp(from, to, 512))
			w->bad++;
		__atomic_store_n(&w->copies, w->copies + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

TEST_F(hinting, neighbours)
{
	const int at = CHUNKS / 2;
	struct worker w = {
		.d = &self->d,
		.mem = self->ram + at * self->chunk,
		.iova = chunk_iova(self->chunk, at),
	};
	uint64_t until = vfio_now_ms() + 60000;
	int i, n, round;

	srand(2);
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, worker_run, &w));
	for (round = 0; round < variant->rounds ||
	     (__atomic_load_n(&w.copies, __ATOMIC_ACQUIRE) < 30 &&
	      vfio_now_ms() < until); round++) {
		/* Next to it, on either side or anywhere, one or several. */
		switch (rand() % 4) {
		case 0:
			i = at - 1;
			n = 1;
			break;
		case 1:
			i = at + 1;
			n = 1;
			break;
		case 2:
			i = 0;
			n = at;
			break;
		default:
			i = at + 1;
			n = CHUNKS - i;
		}
		if (self->mapped[i]) {
			EXPECT_EQ(0, chunk_give(self, i, n));
			continue;
		}
		for (; n--; i++)
			if (!self->mapped[i])
				EXPECT_EQ(0, chunk_take(self, i));
		/* With one CPU the device's thread comes to nothing else. */
		usleep(1000);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	pthread_join(w.thread, NULL);
	TH_LOG("%llu copies while neighbours came and went %d times",
	       (unsigned long long)w.copies, round);
	EXPECT_LE(30, w.copies);
	EXPECT_EQ(0, w.bad);
	usleep(50000);
	EXPECT_EQ(0, vfio_klog_dma_faults(self->klog));
}

/* As many mappings as there may be; the same huge page is behind all. */
FIXTURE(limit)
{
	struct vfio_dev d;
	int c;
	void *mem;
	int64_t locked;
};

FIXTURE_SETUP(limit)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	self->c = self->d.container;
	self->locked = vfio_locked_kb();
	self->mem = huge_alloc(2 * MiB);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(limit)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(self->locked, vfio_locked_kb());
}

static uint64_t limit_iova(uint32_t i)
{
	return (4096 + 2ULL * i) * MiB;
}

static int64_t slab_bytes(void)
{
	char line[128];
	int64_t kb = -1;
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SUnreclaim: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb * KiB;
}

/* How long @n calls take that find a mapping; the shortest of some tries. */
static uint64_t lookups_ms(struct __test_metadata *_metadata,
			   struct _test_data_limit *self, uint32_t mappings,
			   int n)
{
	uint64_t start, took, best = UINT64_MAX;
	int try, i;

	for (try = 0; try < 4; try++) {
		start = vfio_now_ms();
		for (i = 0; i < n; i++)
			ASSERT_EQ(-EEXIST,
				  vfio_dma_map(self->c, self->mem,
					       limit_iova(i * 7919ULL %
							  mappings), 2 * MiB));
		took = vfio_now_ms() - start + 1;
		best = took < best ? took : best;
	}
	return best;
}

TEST_F(limit, of_mappings)
{
	uint32_t avail = vfio_dma_avail(self->c), i;
	int64_t slab = slab_bytes();
	uint64_t few, many, done;

	ASSERT_LT(1, avail);
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, limit_iova(0), 2 * MiB));
	few = lookups_ms(_metadata, self, 1, 4000);
	for (i = 1; i < avail; i++)
		ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, limit_iova(i),
					  2 * MiB));
	EXPECT_EQ(-ENOSPC, vfio_dma_map(self->c, self->mem, limit_iova(i),
					2 * MiB));
	EXPECT_EQ(0, vfio_dma_avail(self->c));
	EXPECT_EQ(self->locked + avail * 2048, vfio_locked_kb());
	many = lookups_ms(_metadata, self, avail, 4000);
	slab = slab_bytes() - slab;
	TH_LOG("%u mappings, %lld bytes of kernel memory each", avail,
	       (long long)slab / avail);
	TH_LOG("4000 lookups take %llu ms, with one mapping %llu ms",
	       (unsigned long long)many, (unsigned long long)few);
	EXPECT_LT(many, 4 * few + 10);
	EXPECT_LT(slab / avail, 1024);

	/* One comes back where another goes. */
	for (i = 0; i < avail; i += avail / 64 + 1) {
		ASSERT_EQ(0, vfio_dma_unmap(self->c, limit_iova(i), 2 * MiB));
		ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, limit_iova(i),
					  2 * MiB));
	}
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, 0, 0,
					  VFIO_DMA_UNMAP_FLAG_ALL, &done));
	EXPECT_EQ(avail * 2 * MiB, done);
	EXPECT_EQ(self->locked, vfio_locked_kb());
}

TEST_HARNESS_MAIN
