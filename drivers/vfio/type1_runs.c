// SPDX-License-Identifier: GPL-2.0-only
/* The pages of a mapping as runs, and runs in domains. */
#include <linux/pfn.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/unroll.h>

#include "type1.h"

/*
 * A mapping of one run, most often a large page, stays small, and one of a few
 * does not become much larger.
 */
static size_t type1_next_chunk_bytes(const struct type1_dma *dma)
{
	if (list_empty(&dma->chunks))
		return offsetof(struct type1_chunk, runs[1]);
	return list_is_singular(&dma->chunks) ? 256 : PAGE_SIZE;
}

static struct type1_chunk *type1_chunk_add(struct type1_dma *dma)
{
	size_t bytes = type1_next_chunk_bytes(dma);
	struct type1_chunk *chunk;

	chunk = kmalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	chunk->used = 0;
	chunk->size = (bytes - offsetof(struct type1_chunk, runs)) /
		      sizeof(chunk->runs[0]);
	list_add_tail(&chunk->next, &dma->chunks);
	return chunk;
}

/* Append consecutive pages of one kind to the runs of @dma. */
static int type1_runs_add(struct type1_dma *dma, unsigned long pfn,
			  unsigned long npages, u64 kind)
{
	struct type1_chunk *chunk = NULL;
	unsigned long nr, len;
	u64 run;

	if (!list_empty(&dma->chunks))
		chunk = list_last_entry(&dma->chunks, struct type1_chunk, next);

	for (; npages; pfn += nr, npages -= nr) {
		nr = min(npages, TYPE1_RUN_PAGES - pfn % TYPE1_RUN_PAGES);

		if (chunk && chunk->used && pfn % TYPE1_RUN_PAGES) {
			run = chunk->runs[chunk->used - 1];
			len = type1_run_npages(run);
			if (type1_run_pfn(run) + len == pfn &&
			    (run & TYPE1_RUN_KIND) == kind) {
				chunk->runs[chunk->used - 1] =
					type1_run(pfn - len, len + nr, kind);
				continue;
			}
		}

		if (!chunk || chunk->used == chunk->size) {
			chunk = type1_chunk_add(dma);
			if (!chunk)
				return -ENOMEM;
		}
		chunk->runs[chunk->used++] = type1_run(pfn, nr, kind);
	}
	return 0;
}

#define TYPE1_DIFFERS(n, pages, page, nr)				\
	((unsigned long)(pages)[(nr) + (n)] ^				\
	 (unsigned long)nth_page(page, (nr) + (n))) |

/* How many of up to @max pages follow each other in memory? */
static unsigned long type1_in_a_row(struct page **pages, unsigned long max)
{
	struct page *page = pages[0];
	unsigned long nr = 1;

	/* For a huge page this is most of the work, so by eights. */
	while (nr + 8 <= max &&
	       !(UNROLL(8, TYPE1_DIFFERS, pages, page, nr) 0))
		nr += 8;
	while (nr < max && pages[nr] == nth_page(page, nr))
		nr++;
	return nr;
}

/* For how many of @npages that follow each other has somebody to be charged? */
static unsigned long type1_count_managed(struct page *page,
					 unsigned long npages)
{
	unsigned long i, nr, managed = 0;
	struct folio *folio;
	struct page *part;

	for (i = 0; i < npages; i += nr) {
		part = nth_page(page, i);
		folio = page_folio(part);
		nr = 1;
		if (folio_test_large(folio))
			nr = min_t(unsigned long, npages - i,
				   folio_nr_pages(folio) -
				   folio_page_idx(folio, part));
		/* A reserved page is a folio of one. */
		if (!folio_test_reserved(folio))
			managed += nr;
	}
	return managed;
}

/*
 * Move a batch into the runs of @dma, at @iova. *@managed counts the pages for which
 * somebody has to be charged. On failure the pages that found no place are let go.
 */
static int type1_runs_add_batch(struct type1_iommu *iommu,
				struct type1_dma *dma, unsigned long iova,
				struct type1_batch *batch,
				unsigned long *managed)
{
	unsigned long i, nr;
	struct page *page;
	int ret;

	switch (batch->kind) {
	case TYPE1_PEER:
		/* Runs of no frames, as long as the peer. */
		ret = type1_peer_add(iommu, dma, iova, batch);
		return ret ?: type1_runs_add(dma, 0, batch->npages,
					     TYPE1_RUN_PEER);
	case TYPE1_FRAMES:
		return type1_runs_add(dma, batch->pfn, batch->npages, 0);
	case TYPE1_PAGES:
		break;
	}

	for (i = 0; i < batch->npages; i += nr) {
		page = batch->pages[i];
		nr = type1_in_a_row(batch->pages + i, batch->npages - i);

		ret = type1_runs_add(dma, page_to_pfn(page), nr,
				     TYPE1_RUN_PINNED);
		if (ret) {
			unpin_user_pages(batch->pages + i, batch->npages - i);
			return ret;
		}
		*managed += type1_count_managed(page, nr);
	}
	return 0;
}

/* A walk over the runs of a mapping. */
struct type1_cursor {
	struct type1_chunk *chunk;
	unsigned int next;
};

/*
 * The next run, false at the end. With @keep_last the last run counts as the
 * end: it may still grow. Runs may be appended while the cursor stands there.
 */
static bool type1_cursor_next(struct type1_dma *dma, struct type1_cursor *cur,
			      bool keep_last, u64 *run)
{
	bool last;

	if (list_empty(&dma->chunks))
		return false;
	if (!cur->chunk)
		cur->chunk = list_first_entry(&dma->chunks, struct type1_chunk,
					      next);
	last = list_is_last(&cur->chunk->next, &dma->chunks);
	if (cur->next == cur->chunk->used) {
		if (last)
			return false;
		cur->chunk = list_next_entry(cur->chunk, next);
		cur->next = 0;
		last = list_is_last(&cur->chunk->next, &dma->chunks);
	}
	if (keep_last && last && cur->next + 1 == cur->chunk->used)
		return false;
	*run = cur->chunk->runs[cur->next++];
	return true;
}

/*
 * Unmap a part of @dma that begins and ends where something was mapped. What the
 * IOMMU does not let go of is lost: it must not become anybody else's memory.
 */
static void type1_domain_unmap(struct type1_domain *domain,
			       struct type1_dma *dma, unsigned long iova,
			       unsigned long size)
{
	if (size && WARN_ON(iommu_unmap(domain->domain, iova, size) != size))
		dma->lost = true;
	cond_resched();
}

/*
 * iommu_map() failed, and there are IOMMUs that do not tell how far they came. Unmap
 * what is there, and only that: asked for what is not there an IOMMU may unmap more
 * than it was asked for.
 */
void type1_domain_undo(struct type1_domain *domain, struct type1_dma *dma,
		       unsigned long iova, unsigned long size)
{
	unsigned long step = BIT(__ffs(domain->domain->pgsize_bitmap));
	unsigned long start = 0, done;

	for (done = 0; done < size; done += step) {
		if (iommu_iova_to_phys(domain->domain, iova + done))
			continue;
		type1_domain_unmap(domain, dma, iova + start, done - start);
		start = done + step;
	}
	type1_domain_unmap(domain, dma, iova + start, done - start);
}

static int type1_domain_map(struct type1_domain *domain, struct type1_dma *dma,
			    unsigned long iova, u64 run)
{
	unsigned long size = type1_run_npages(run) << PAGE_SHIFT;
	phys_addr_t phys = PFN_PHYS(type1_run_pfn(run));
	unsigned long step = size, done;
	int ret;

	if (READ_ONCE(type1_disable_hugepages))
		step = max(BIT(__ffs(domain->domain->pgsize_bitmap)),
			   PAGE_SIZE);

	for (done = 0; done < size; done += step) {
		step = min(step, size - done);
		ret = iommu_map(domain->domain, iova + done, phys + done, step,
				dma->prot | IOMMU_CACHE, GFP_KERNEL_ACCOUNT);
		if (ret) {
			type1_domain_undo(domain, dma, iova, done + step);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/*
 * Map the runs of @dma that are not mapped yet into all domains; all but the
 * last run if that one may still grow.
 */
static int type1_map_runs(struct type1_iommu *iommu, struct type1_dma *dma,
			  struct type1_cursor *cur, bool keep_last)
{
	struct type1_domain *domain;
	unsigned long iova;
	u64 run;
	int ret;

	while (type1_cursor_next(dma, cur, keep_last, &run)) {
		iova = dma->iova + dma->mapped;
		dma->mapped += type1_run_npages(run) << PAGE_SHIFT;
		if (run & TYPE1_RUN_PEER)
			continue;
		list_for_each_entry(domain, &iommu->domains, next) {
			ret = type1_domain_map(domain, dma, iova, run);
			if (ret)
				goto undo;
		}
	}
	return 0;

undo:
	dma->mapped = iova - dma->iova;
	list_for_each_entry_continue_reverse(domain, &iommu->domains, next)
		type1_domain_unmap(domain, dma, iova,
				   type1_run_npages(run) << PAGE_SHIFT);
	return ret;
}

/* How much is unmapped at a time, or little more than twice of it. */
#define TYPE1_UNMAP_BYTES	(TYPE1_RUN_PAGES << PAGE_SHIFT)

/*
 * Unmap the runs of @dma that are mapped, without stopping the CPU for long. There are
 * IOMMUs that cannot unmap a part of what was mapped in one piece, so this cuts only
 * where runs meet.
 */
static void type1_domain_unmap_runs(struct type1_domain *domain,
				    struct type1_dma *dma)
{
	unsigned long iova = dma->iova, done = 0, size = 0, bytes;
	struct type1_cursor cur = {};
	u64 run;

	if (dma->mapped <= TYPE1_UNMAP_BYTES && hlist_empty(&dma->peers)) {
		type1_domain_unmap(domain, dma, iova, dma->mapped);
		return;
	}

	while (done + size < dma->mapped &&
	       type1_cursor_next(dma, &cur, false, &run)) {
		bytes = type1_run_npages(run) << PAGE_SHIFT;
		if (!(run & TYPE1_RUN_PEER))
			size += bytes;
		if (run & TYPE1_RUN_PEER || size >= TYPE1_UNMAP_BYTES) {
			type1_domain_unmap(domain, dma, iova + done, size);
			done += size;
			size = 0;
		}
		if (run & TYPE1_RUN_PEER)
			done += bytes;
	}
	type1_domain_unmap(domain, dma, iova + done, size);
}

/* Give back what is pinned in the runs of @dma and forget the runs. */
static void type1_runs_release(struct type1_dma *dma)
{
	const u64 unpin = dma->lost ? 0 : TYPE1_RUN_PINNED;
	bool dirty = dma->prot & IOMMU_WRITE;
	struct type1_chunk *chunk, *tmp;
	struct page *page;
	unsigned int i;
	u64 run;

	list_for_each_entry_safe(chunk, tmp, &dma->chunks, next) {
		for (i = 0; i < chunk->used; i++) {
			run = chunk->runs[i];
			if (!(run & unpin))
				continue;
			page = pfn_to_page(type1_run_pfn(run));
			unpin_user_page_range_dirty_lock(page,
							 type1_run_npages(run),
							 dirty);
			cond_resched();
		}
		list_del(&chunk->next);
		kfree(chunk);
	}
}

/* See type1_dma_depopulate(), the lock aside. */
static void type1_dma_unmap_and_unpin(struct type1_iommu *iommu,
				      struct type1_dma *dma)
{
	struct type1_domain *domain;

	list_for_each_entry(domain, &iommu->domains, next)
		type1_domain_unmap_runs(domain, dma);
	dma->mapped = 0;
	type1_peers_remove(iommu, dma);
	type1_runs_release(dma);
	type1_charge_exactly(dma, type1_pins_managed(dma, dma->iova,
						     dma->last));
}

/*
 * Take @dma, EMPTYING, out of all domains, unpin its pages and end their
 * charge, except for what drivers have pinned themselves. Drops the lock
 * meanwhile.
 */
void type1_dma_depopulate(struct type1_iommu *iommu, struct type1_dma *dma)
{
	mutex_unlock(&iommu->lock);
	type1_assert_own(dma, TYPE1_EMPTYING);
	type1_dma_unmap_and_unpin(iommu, dma);
	mutex_lock(&iommu->lock);
}

static int type1_dma_pin_and_map(struct type1_iommu *iommu,
				 struct type1_dma *dma,
				 struct type1_batch *batch)
{
	unsigned long left = type1_dma_npages(dma);
	unsigned long iova = dma->iova, vaddr = dma->vaddr;
	unsigned long bytes, managed, charged;
	struct type1_cursor cur = {};
	long nr;
	int ret;

	while (left) {
		if (fatal_signal_pending(current))
			return -EINTR;
		nr = type1_batch_fill(batch, vaddr, left);
		if (nr < 0)
			return nr;

		managed = 0;
		ret = type1_runs_add_batch(iommu, dma, iova, batch, &managed);
		if (ret)
			return ret;

		/* What a driver has pinned is charged already. */
		bytes = nr << PAGE_SHIFT;
		charged = type1_pins_managed(dma, iova, iova + bytes - 1);
		ret = type1_charge(dma, managed - min(managed, charged));
		if (ret)
			return ret;

		left -= nr;
		iova += bytes;
		vaddr += bytes;
		ret = type1_map_runs(iommu, dma, &cur, left);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/*
 * Pin the memory of @dma, FILLING, charge it and map it into all domains;
 * nothing of it remains on failure. -ENODEV if the process it belongs to is
 * gone, else what type1_batch_fill(), type1_charge() and iommu_map() return.
 * Drops the lock meanwhile.
 */
int type1_dma_populate(struct type1_iommu *iommu, struct type1_dma *dma)
{
	struct type1_batch batch = {
		.mm = dma->mm,
		.prot = dma->prot,
		.pages = iommu->pages,
	};
	int ret;

	iommu->pages = NULL;
	mutex_unlock(&iommu->lock);
	type1_assert_own(dma, TYPE1_FILLING);

	if (!batch.pages)
		batch.pages = type1_batch_alloc();
	if (!batch.pages) {
		ret = -ENOMEM;
	} else if (mmget_not_zero(dma->mm)) {
		ret = type1_dma_pin_and_map(iommu, dma, &batch);
		mmput_async(dma->mm);
	} else {
		ret = -ENODEV;
	}
	if (ret)
		type1_dma_unmap_and_unpin(iommu, dma);

	mutex_lock(&iommu->lock);
	if (iommu->pages)
		kfree(batch.pages);
	else
		iommu->pages = batch.pages;
	return ret;
}

/*
 * Put the runs of @dma, FILLING, into one domain; its peers are there (see
 * type1_domain_list()). On failure some are.
 */
int type1_domain_fill_one(struct type1_domain *domain, struct type1_dma *dma)
{
	unsigned long iova = dma->iova;
	struct type1_cursor cur = {};
	int ret = 0;
	u64 run;

	type1_assert_own(dma, TYPE1_FILLING);
	while (!ret && type1_cursor_next(dma, &cur, false, &run)) {
		if (fatal_signal_pending(current))
			ret = -EINTR;
		else if (!(run & TYPE1_RUN_PEER))
			ret = type1_domain_map(domain, dma, iova, run);
		iova += type1_run_npages(run) << PAGE_SHIFT;
	}
	return ret;
}
