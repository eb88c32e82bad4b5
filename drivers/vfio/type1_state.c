// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a mapping is at a time, and which mappings are pinned.
 *
 * To pin, map, unmap and unpin a mapping takes as long as the mapping is large, and
 * faults of user memory take as long as they like. So type1_iommu::lock is not held
 * meanwhile: the mapping is somebody's own (type1_dma::owner) from type1_take() to
 * type1_settle(). It stays in the tree, or is in it already. Everybody else who wants
 * to know or change something about its range waits (type1_wait()) and looks again;
 * the rest of the container goes on. Only a query of dirty pages, which reads what
 * the lock covers, does not wait.
 *
 * The states of a mapping (type1_dma::state):
 *
 *	EMPTY		nobody's. No run, no peer, nothing of it in any domain
 *	FILLING		its owner pins memory, and maps it into all domains; or brings
 *			what is pinned into one more
 *	FULL		nobody's. All of it is in runs, and in every domain
 *	EMPTYING	its owner unmaps it everywhere, and unpins; or makes up his mind
 *			about that, and nothing has happened yet
 *
 * Mappings are wanted FULL while a domain has a group, or while a group is being
 * attached (type1_iommu::attaching); else EMPTY. Who makes them what they should be:
 *
 *   VFIO_IOMMU_MAP_DMA		fills its own new mapping, if a domain has a group.
 *   VFIO_IOMMU_UNMAP_DMA	takes all of its range at once, empties each and frees
 *				it. What is left after a failure is what it was.
 *   type1_begin_attach()	says that they are wanted, waits for who is emptying
 *				one, and fills what is EMPTY.
 *   type1_attach_group()	finds all FULL, and fills the new domain.
 *   type1_tidy()		empties what is not wanted, one after the other, and asks
 *				before each whether that is still so. For who detaches the
 *				last group, ends attaching in vain, or settles the last
 *				mapping after one of these could not do it.
 *
 * What its owner does to a mapping reads the list of domains, which holds still while
 * a mapping has an owner. So a domain that the last group left stays on the list,
 * abandoned, and its DMA has ended all the same. type1_tidy() frees it when no
 * mapping has an owner.
 *
 * The core keeps some of this apart: attaching has the container's ioctl_lock for
 * write, so there are no ioctls from type1_begin_attach() to type1_end_attach();
 * type1_attach_group() and type1_detach_group() have its group_lock. But who detaches
 * does so beside type1_begin_attach(), type1_end_attach() and ioctls, and drivers
 * pin and unpin at any time.
 *
 * type1_state.pml is a model of this.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "type1.h"

/* From here on @dma is the caller's, with or without the lock. */
void type1_take(struct type1_iommu *iommu, struct type1_dma *dma,
		enum type1_state state)
{
	lockdep_assert_held(&iommu->lock);
	WARN_ON(dma->owner);
	dma->owner = current;
	dma->state = state;
	iommu->busy++;
}

/* The caller holds no lock: is it him who may do this to @dma? */
void type1_assert_own(const struct type1_dma *dma, enum type1_state state)
{
	WARN_ON_ONCE(dma->owner != current || dma->state != state);
}

/* What @dma is now is seen in it: what is FULL has a run. */
void type1_settle(struct type1_iommu *iommu, struct type1_dma *dma)
{
	lockdep_assert_held(&iommu->lock);
	WARN_ON(dma->owner != current);
	dma->owner = NULL;
	dma->state = list_empty(&dma->chunks) ? TYPE1_EMPTY : TYPE1_FULL;
	iommu->busy--;
	/* Whoever waits began to under the lock. */
	if (waitqueue_active(&iommu->settled))
		wake_up_all(&iommu->settled);
}

/* Has a mapping with an address in the range an owner? */
bool type1_is_busy(struct type1_iommu *iommu, unsigned long first,
		   unsigned long last)
{
	struct type1_dma *dma = NULL;

	lockdep_assert_held(&iommu->lock);
	if (!iommu->busy)
		return false;
	while ((dma = type1_dma_each(iommu, dma, first, last)))
		if (dma->owner)
			return true;
	return false;
}

/*
 * Wait until a mapping is settled. Drops the lock: what the caller knew of the
 * container is no longer so. With TASK_KILLABLE as @state -EINTR if killed, else 0.
 */
int type1_wait(struct type1_iommu *iommu, unsigned int state)
{
	DEFINE_WAIT(wait);

	/* Whoever wakes us holds the lock. */
	prepare_to_wait(&iommu->settled, &wait, state);
	mutex_unlock(&iommu->lock);
	schedule();
	finish_wait(&iommu->settled, &wait);
	mutex_lock(&iommu->lock);
	return state == TASK_KILLABLE && fatal_signal_pending(current) ?
	       -EINTR : 0;
}

static bool type1_wanted(const struct type1_iommu *iommu)
{
	return iommu->attaching || type1_has_domain(iommu);
}

/*
 * Make all mappings FULL, for who attaches a group. Drops the lock. No mapping goes
 * meanwhile: that takes an ioctl. On failure some are FULL.
 */
static int type1_fill_all(struct type1_iommu *iommu)
{
	struct type1_dma *dma = NULL;
	int ret = 0;

	while (!ret && (dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		while (!ret && dma->owner)
			ret = type1_wait(iommu, TASK_KILLABLE);
		if (ret || dma->state == TYPE1_FULL)
			continue;
		type1_take(iommu, dma, TYPE1_FILLING);
		ret = type1_dma_populate(iommu, dma);
		type1_settle(iommu, dma);
	}
	return ret;
}

/*
 * Make mappings EMPTY as long as they are not wanted. Drops the lock. Returns whether
 * one had an owner, and so is left.
 */
static bool type1_empty_all(struct type1_iommu *iommu)
{
	struct type1_dma *dma = NULL;
	bool left = false;

	while (!type1_wanted(iommu) &&
	       (dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		if (dma->owner) {
			left = true;
		} else if (dma->state == TYPE1_FULL) {
			type1_take(iommu, dma, TYPE1_EMPTYING);
			type1_dma_depopulate(iommu, dma);
			type1_settle(iommu, dma);
		}
	}
	return left;
}

/*
 * Empty the mappings that are not wanted and free the abandoned domains, as far as
 * no mapping has an owner: who settles it comes here again. Drops the lock.
 */
static void type1_tidy(struct type1_iommu *iommu)
{
	bool left;

	do {
		left = type1_empty_all(iommu);
	} while (left && !iommu->busy);

	if (!iommu->busy)
		type1_free_abandoned(iommu);
}

/* Unlock a container of which a mapping may have settled, or a group gone. */
void type1_unlock(struct type1_iommu *iommu)
{
	if (unlikely(iommu->abandoned) && !iommu->busy)
		type1_tidy(iommu);
	mutex_unlock(&iommu->lock);
}

/*
 * A group is about to be attached. For the first domain all mappings have to be
 * pinned, and that is done here, with no lock that anybody needs who detaches.
 */
void type1_begin_attach(void *data, enum vfio_group_type type)
{
	struct type1_iommu *iommu = data;

	if (type != VFIO_IOMMU)
		return;

	mutex_lock(&iommu->lock);
	iommu->attaching = true;
	if (!type1_has_domain(iommu) && !iommu->vaddr_invalid)
		iommu->pin_error = type1_fill_all(iommu);
	type1_unlock(iommu);
}

void type1_end_attach(void *data)
{
	struct type1_iommu *iommu = data;

	mutex_lock(&iommu->lock);
	if (iommu->attaching) {
		iommu->attaching = false;
		iommu->pin_error = 0;
		type1_tidy(iommu);
	}
	mutex_unlock(&iommu->lock);
}

/*
 * Bring all mappings into @domain, which is on the list of domains already. Drops the
 * lock meanwhile. On failure some are in it.
 */
int type1_domain_fill(struct type1_iommu *iommu, struct type1_domain *domain)
{
	struct type1_dma *dma = NULL;
	int ret = iommu->pin_error;

	lockdep_assert_held(&iommu->lock);

	while (!ret && (dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		if (WARN_ON(dma->state != TYPE1_FULL))
			return -EBUSY;
		type1_take(iommu, dma, TYPE1_FILLING);
		mutex_unlock(&iommu->lock);
		ret = type1_domain_fill_one(domain, dma);
		mutex_lock(&iommu->lock);
		type1_settle(iommu, dma);
	}
	return ret;
}
