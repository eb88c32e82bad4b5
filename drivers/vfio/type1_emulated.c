// SPDX-License-Identifier: GPL-2.0-only
/* Drivers that do their device's DMA themselves, and pin pages for it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "type1.h"

/*
 * A page of a mapping that drivers have pinned. Pinned again, it is the same
 * page whatever the user has put at the address since.
 */
struct type1_pin {
	struct rb_node node;		/* in type1_dma::pins */
	unsigned long iova;
	struct page *page;
	unsigned int refs;
	bool pinned;			/* we hold a reference on the page */
	bool managed;			/* somebody has to pay for it */
};

static struct type1_pin *type1_pin_entry(struct rb_node *node)
{
	return rb_entry_safe(node, struct type1_pin, node);
}

/* The first pin at @iova or above, or NULL. */
static struct type1_pin *type1_pin_at(struct type1_dma *dma,
				      unsigned long iova)
{
	struct rb_node *node = dma->pins.rb_node;
	struct type1_pin *found = NULL, *pin;

	while (node) {
		pin = type1_pin_entry(node);
		if (pin->iova < iova) {
			node = node->rb_right;
		} else {
			found = pin;
			node = node->rb_left;
		}
	}
	return found;
}

static struct type1_pin *type1_pin_next(struct type1_pin *pin)
{
	return type1_pin_entry(rb_next(&pin->node));
}

static void type1_pin_insert(struct type1_dma *dma, struct type1_pin *new)
{
	struct rb_node **link = &dma->pins.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (new->iova < type1_pin_entry(parent)->iova)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &dma->pins);
}

/* How many pages from @first to @last that are paid for have drivers pinned? */
unsigned long type1_pins_managed(struct type1_dma *dma, unsigned long first,
				 unsigned long last)
{
	struct type1_pin *pin;
	unsigned long nr = 0;

	for (pin = type1_pin_at(dma, first); pin && pin->iova <= last;
	     pin = type1_pin_next(pin))
		nr += pin->managed;
	return nr;
}

void type1_pins_mark_dirty(struct type1_dma *dma, unsigned long first,
			   unsigned long last)
{
	struct type1_pin *pin;

	for (pin = type1_pin_at(dma, first); pin && pin->iova <= last;
	     pin = type1_pin_next(pin))
		type1_dirty_set(dma, pin->iova, pin->iova);
}

/*
 * Is the page at @iova in @dma, which has no owner, pinned and paid for already? Not
 * one of another device's, which is no page, should it be a page by now.
 */
static bool type1_is_paid(const struct type1_dma *dma, unsigned long iova)
{
	return dma->state == TYPE1_FULL && !type1_is_peer(dma, iova);
}

static void type1_pin_drop(struct type1_dma *dma, struct type1_pin *pin)
{
	rb_erase(&pin->node, &dma->pins);
	if (pin->pinned)
		unpin_user_pages_dirty_lock(&pin->page, 1,
					    dma->prot & IOMMU_WRITE);
	kfree(pin);
}

/* The mapping goes. There is a pin only if its driver forgot about it. */
void type1_pins_drop(struct type1_dma *dma)
{
	struct type1_pin *pin;

	WARN_ON(!RB_EMPTY_ROOT(&dma->pins));
	while ((pin = type1_pin_entry(rb_first(&dma->pins))))
		type1_pin_drop(dma, pin);
}

static bool type1_unpin_one(struct type1_iommu *iommu, unsigned long iova)
{
	struct type1_dma *dma;
	struct type1_pin *pin;

	dma = type1_dma_first(iommu, iova, iova);
	if (!dma)
		return false;
	pin = type1_pin_at(dma, iova);
	if (!pin || pin->iova != iova)
		return false;
	if (--pin->refs)
		return true;

	if (pin->managed && !type1_is_paid(dma, iova))
		type1_uncharge(dma, 1);
	type1_pin_drop(dma, pin);
	return true;
}

/* From now on a group dirties only what its driver pins. */
static void type1_group_scope(struct type1_iommu *iommu,
			      struct iommu_group *iommu_group)
{
	struct type1_domain *domain;
	struct type1_group *group;

	group = type1_find_group(iommu, iommu_group, &domain);
	if (WARN_ON(!group) || group->scoped)
		return;
	group->scoped = true;
	iommu->unscoped--;
	type1_dirty_set_all(iommu);
}

/* Emulated groups keep this from being so, but others may pin as well. */
static bool type1_vaddr_invalid(struct type1_iommu *iommu)
{
	if (iommu->vaddr_invalid)
		pr_warn_ratelimited("memory is asked for while its user addresses are invalid\n");
	return iommu->vaddr_invalid;
}

static int type1_wait_for(struct type1_iommu *iommu, unsigned long first,
			  unsigned long last)
{
	int ret = 0;

	while (!ret && type1_is_busy(iommu, first, last))
		ret = type1_wait(iommu, TASK_KILLABLE);
	return ret;
}

/**
 * struct type1_pinning - a call of vfio_pin_pages()
 * @iommu: the container
 * @iova: of the first page
 * @npage: how many pages
 * @prot: what the driver wants to do with them
 * @pages: the result; what is in @made is there, too
 * @made: pins that are not in a mapping yet, by page, or NULL
 * @epoch: the container's when they were made
 */
struct type1_pinning {
	struct type1_iommu *iommu;
	unsigned long iova;
	int npage;
	int prot;
	struct page **pages;
	struct type1_pin **made;
	unsigned long epoch;
};

/* Let go of what was made in vain. */
static void type1_pinning_discard(struct type1_pinning *p)
{
	int i;

	for (i = 0; i < p->npage; i++) {
		if (!p->made[i])
			continue;
		if (p->made[i]->pinned)
			unpin_user_page(p->made[i]->page);
		kfree(p->made[i]);
		p->made[i] = NULL;
	}
}

/* Make a pin of page @i, the @nr-th of @batch. */
static int type1_pinning_make(struct type1_pinning *p, int i,
			      const struct type1_batch *batch, long nr)
{
	bool pinned = batch->kind == TYPE1_PAGES;
	struct type1_pin *pin;

	/* A driver gets pages, so a BAR is of no use to it. */
	if (!pinned && !pfn_valid(batch->pfn + nr))
		return -EINVAL;

	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return -ENOMEM;
	pin->iova = p->iova + i * PAGE_SIZE;
	pin->page = pinned ? batch->pages[nr] : pfn_to_page(batch->pfn + nr);
	pin->pinned = pinned;
	pin->managed = !PageReserved(pin->page);
	pin->refs = 1;
	p->made[i] = pin;
	return 0;
}

/*
 * Make pins of page @i, which is in @dma, and of those behind it that need some.
 * Drops the lock: -EAGAIN if all is well.
 */
static int type1_pinning_fetch(struct type1_pinning *p, struct type1_dma *dma,
			       int i)
{
	struct type1_batch batch = {
		.mm = dma->mm,
		.prot = dma->prot,
		.pages = p->pages + i,
	};
	unsigned long iova = p->iova + i * PAGE_SIZE;
	unsigned long vaddr = dma->vaddr + (iova - dma->iova);
	unsigned long npages = ((dma->last - iova) >> PAGE_SHIFT) + 1;
	struct type1_pin *next = type1_pin_at(dma, iova);
	int ret = -EAGAIN, err;
	long nr, done;

	npages = min_t(unsigned long, npages, p->npage - i);
	if (next)
		npages = min(npages, (next->iova - iova) >> PAGE_SHIFT);
	for (nr = 1; nr < npages; nr++)
		if (p->made[i + nr])
			npages = nr;

	if (!mmget_not_zero(batch.mm))
		return -ENODEV;
	mutex_unlock(&p->iommu->lock);

	nr = type1_batch_fill(&batch, vaddr, npages);
	if (nr > 0 && batch.kind == TYPE1_PEER) {
		fput(batch.file);
		nr = -EINVAL;
	}
	if (nr < 0)
		ret = nr;
	for (done = 0; done < nr; done++) {
		err = type1_pinning_make(p, i + done, &batch, done);
		if (err) {
			ret = err;
			if (batch.kind == TYPE1_PAGES)
				unpin_user_pages(batch.pages + done, nr - done);
			break;
		}
	}

	mmput_async(batch.mm);
	mutex_lock(&p->iommu->lock);
	return ret;
}

/*
 * Can all pages be pinned with what there is? -EAGAIN if there is more now, and
 * the lock was dropped.
 */
static int type1_pinning_prepare(struct type1_pinning *p)
{
	struct type1_iommu *iommu = p->iommu;
	unsigned long iova = p->iova;
	struct type1_dma *dma;
	struct type1_pin *pin;
	int i, ret;

	ret = type1_wait_for(iommu, iova, iova + p->npage * PAGE_SIZE - 1);
	if (ret)
		return ret;
	if (type1_vaddr_invalid(iommu))
		return -EBUSY;
	if (list_empty(&iommu->devices))
		return -EINVAL;

	if (p->epoch != iommu->epoch) {
		type1_pinning_discard(p);
		p->epoch = iommu->epoch;
	}

	for (i = 0; i < p->npage; i++, iova += PAGE_SIZE) {
		dma = type1_dma_first(iommu, iova, iova);
		if (!dma || dma->leaving)
			return -EINVAL;
		if ((dma->prot & p->prot) != p->prot)
			return -EPERM;
		pin = type1_pin_at(dma, iova);
		if (!p->made[i] && !(pin && pin->iova == iova))
			return fatal_signal_pending(current) ? -EINTR :
			       type1_pinning_fetch(p, dma, i);
	}
	return 0;
}

/* Put the pin that was made for page @i into its mapping. */
static int type1_pinning_insert(struct type1_pinning *p, int i,
				struct type1_dma *dma)
{
	struct type1_pin *pin = p->made[i];
	int ret;

	if (pin->managed && !type1_is_paid(dma, pin->iova)) {
		if (!mmget_not_zero(dma->mm))
			return -ENODEV;
		ret = type1_charge(dma, 1);
		mmput_async(dma->mm);
		if (ret)
			return ret;
	}
	type1_pin_insert(dma, pin);
	p->made[i] = NULL;
	return 0;
}

/* Pin all pages, or pin them once more. */
static int type1_pinning_finish(struct type1_pinning *p)
{
	unsigned long iova = p->iova;
	struct type1_dma *dma;
	struct type1_pin *pin;
	int i, ret;

	for (i = 0; i < p->npage; i++, iova += PAGE_SIZE) {
		dma = type1_dma_first(p->iommu, iova, iova);
		pin = type1_pin_at(dma, iova);
		if (pin && pin->iova == iova) {
			pin->refs++;
		} else {
			pin = p->made[i];
			ret = type1_pinning_insert(p, i, dma);
			if (ret)
				goto undo;
		}
		type1_dirty_set(dma, iova, iova);
		p->pages[i] = pin->page;
	}
	return 0;

undo:
	while (i--)
		type1_unpin_one(p->iommu, p->iova + i * PAGE_SIZE);
	return ret;
}

/*
 * See vfio_pin_pages(). All pages or none:
 * -EINVAL: not mapped, not memory, or no driver has registered for dma_unmap
 * -EACCES: the container is of the first version
 * -EBUSY: user addresses are invalid
 * -EINTR: killed while a mapping is busy, or its memory is waited for
 * -ENODEV: the mapping's process is gone
 * -EPERM: the mapping does not give these rights
 * others from type1_batch_fill() and type1_charge()
 */
int type1_pin_pages(void *data, struct iommu_group *group, dma_addr_t user_iova,
		    int npage, int prot, struct page **pages)
{
	unsigned long iova = user_iova & PAGE_MASK, last;
	struct type1_iommu *iommu = data;
	struct type1_pin *single = NULL;
	struct type1_pinning p = {
		.iommu = iommu,
		.iova = iova,
		.npage = npage,
		.prot = prot,
		.pages = pages,
		.made = &single,
	};
	int ret;

	if (!iommu || !pages || npage <= 0 ||
	    check_add_overflow(iova, npage * PAGE_SIZE - 1, &last))
		return -EINVAL;
	if (!iommu->v2)
		return -EACCES;

	if (npage > 1) {
		p.made = kcalloc(npage, sizeof(*p.made), GFP_KERNEL);
		if (!p.made)
			return -ENOMEM;
	}

	mutex_lock(&iommu->lock);
	p.epoch = iommu->epoch;
	do {
		ret = type1_pinning_prepare(&p);
	} while (ret == -EAGAIN);
	if (!ret)
		ret = type1_pinning_finish(&p);
	if (!ret) {
		type1_group_scope(iommu, group);
		ret = npage;
	}
	mutex_unlock(&iommu->lock);

	type1_pinning_discard(&p);
	if (p.made != &single)
		kfree(p.made);
	return ret;
}

/* See vfio_unpin_pages(). */
void type1_unpin_pages(void *data, dma_addr_t user_iova, int npage)
{
	unsigned long iova = user_iova & PAGE_MASK;
	struct type1_iommu *iommu = data;
	int i;

	if (WARN_ON(!iommu->v2))
		return;

	mutex_lock(&iommu->lock);
	while (type1_is_busy(iommu, iova, iova + npage * PAGE_SIZE - 1))
		type1_wait(iommu, TASK_UNINTERRUPTIBLE);
	for (i = 0; i < npage; i++)
		if (!type1_unpin_one(iommu, iova + i * PAGE_SIZE))
			break;
	mutex_unlock(&iommu->lock);
	WARN_ON(i < npage);
}

/*
 * Copy as much as lies in one page of the user; *@count is set to that. If that
 * is not there, have it there: -EAGAIN, and the lock was dropped.
 */
static int type1_rw_page(struct type1_iommu *iommu, unsigned long iova,
			 void *buf, size_t *count, bool write)
{
	bool kthread = !current->mm;
	struct mm_struct *mm;
	struct type1_dma *dma;
	unsigned long vaddr;
	void __user *user;
	long ret;

	dma = type1_dma_first(iommu, iova, iova);
	if (!dma)
		return -EINVAL;
	if (!(dma->prot & IOMMU_READ) || (write && !(dma->prot & IOMMU_WRITE)))
		return -EPERM;
	mm = dma->mm;
	if (!mmget_not_zero(mm))
		return -EPERM;

	vaddr = dma->vaddr + (iova - dma->iova);
	user = (void __user *)vaddr;
	*count = min(*count - 1, dma->last - iova) + 1;
	*count = min(*count, PAGE_SIZE - offset_in_page(vaddr));

	if (kthread)
		kthread_use_mm(mm);
	ret = -EFAULT;
	if (current->mm != mm)
		goto out;

	if (write)
		ret = copy_to_user_nofault(user, buf, *count);
	else
		ret = copy_from_user_nofault(buf, user, *count);
	if (!ret && write)
		type1_dirty_set(dma, iova, iova + *count - 1);
	if (!ret)
		goto out;

	mutex_unlock(&iommu->lock);
	if (write)
		ret = fault_in_safe_writeable(user, *count);
	else
		ret = fault_in_readable(user, *count);
	mutex_lock(&iommu->lock);
	ret = ret ? -EFAULT : -EAGAIN;
out:
	if (kthread)
		kthread_unuse_mm(mm);
	mmput_async(mm);
	return ret;
}

static int type1_rw_allowed(struct type1_iommu *iommu, unsigned long first,
			    unsigned long last)
{
	int ret = type1_wait_for(iommu, first, last);

	return !ret && type1_vaddr_invalid(iommu) ? -EBUSY : ret;
}

/*
 * See vfio_dma_rw().
 * -EINVAL: not mapped
 * -EBUSY: user addresses are invalid
 * -EINTR: killed while a mapping is busy, or its memory is waited for
 * -EPERM: the mapping does not give these rights, or its process is gone
 * -EFAULT: not memory of the process that calls
 */
int type1_dma_rw(void *data, dma_addr_t user_iova, void *buf, size_t count,
		 bool write)
{
	struct type1_iommu *iommu = data;
	unsigned long iova = user_iova, last = iova;
	size_t nr;
	int ret;

	if (count && check_add_overflow(iova, count - 1, &last))
		return -EINVAL;

	mutex_lock(&iommu->lock);
	ret = type1_rw_allowed(iommu, iova, last);
	while (!ret && count) {
		nr = count;
		ret = type1_rw_page(iommu, iova, buf, &nr, write);
		if (ret == -EAGAIN) {
			ret = fatal_signal_pending(current) ? -EINTR :
			      type1_rw_allowed(iommu, iova, last);
			continue;
		}
		iova += nr;
		buf += nr;
		count -= nr;
	}
	mutex_unlock(&iommu->lock);
	return ret;
}

/*
 * Ask the drivers to let go of the pages of @dma. Drops the container's lock:
 * what the caller knew of the container is no longer so.
 */
void type1_notify(struct type1_iommu *iommu, struct type1_dma *dma)
{
	u64 length = dma->last - dma->iova + 1;
	unsigned long iova = dma->iova;
	struct vfio_device *vdev;

	mutex_unlock(&iommu->lock);
	mutex_lock(&iommu->notify_lock);
	list_for_each_entry(vdev, &iommu->devices, iommu_entry)
		vdev->ops->dma_unmap(vdev, iova, length);
	mutex_unlock(&iommu->notify_lock);
	mutex_lock(&iommu->lock);
}

/* The list is changed under both locks, so that either suffices to read it. */
void type1_register_device(void *data, struct vfio_device *vdev)
{
	struct type1_iommu *iommu = data;

	if (!vdev->ops->dma_unmap)
		return;

	mutex_lock(&iommu->notify_lock);
	mutex_lock(&iommu->lock);
	list_add(&vdev->iommu_entry, &iommu->devices);
	mutex_unlock(&iommu->lock);
	mutex_unlock(&iommu->notify_lock);
}

void type1_unregister_device(void *data, struct vfio_device *vdev)
{
	struct type1_iommu *iommu = data;

	if (!vdev->ops->dma_unmap)
		return;

	mutex_lock(&iommu->notify_lock);
	mutex_lock(&iommu->lock);
	list_del(&vdev->iommu_entry);
	mutex_unlock(&iommu->lock);
	mutex_unlock(&iommu->notify_lock);
}
