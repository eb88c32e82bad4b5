// SPDX-License-Identifier: GPL-2.0-only
/* Drivers that do their device's DMA themselves, and pin pages for it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kthread.h>
#include <linux/overflow.h>
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

/* Is every page of @dma, which is not busy, pinned and paid for already? */
static bool type1_populated(struct type1_dma *dma)
{
	return !list_empty(&dma->chunks);
}

static int type1_pin_make(struct type1_dma *dma, unsigned long iova,
			  struct type1_pin **made)
{
	struct page *page = NULL;
	struct type1_batch batch = { .pages = &page };
	struct type1_pin *pin;
	long ret;

	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return -ENOMEM;

	if (!mmget_not_zero(dma->mm)) {
		ret = -ENODEV;
		goto err_free;
	}
	ret = type1_batch_fill(&batch, dma, dma->vaddr + (iova - dma->iova), 1);
	if (ret < 0)
		goto err_mmput;

	/* A driver gets pages, so a BAR is of no use to it. */
	if (!batch.pinned && !pfn_valid(batch.pfn)) {
		ret = -EINVAL;
		goto err_mmput;
	}
	pin->iova = iova;
	pin->page = batch.pinned ? page : pfn_to_page(batch.pfn);
	pin->pinned = batch.pinned;
	pin->managed = !PageReserved(pin->page);
	pin->refs = 1;

	if (pin->managed && !type1_populated(dma)) {
		ret = type1_charge(dma, 1);
		if (ret)
			goto err_unpin;
	}
	mmput_async(dma->mm);
	type1_pin_insert(dma, pin);
	*made = pin;
	return 0;

err_unpin:
	if (pin->pinned)
		unpin_user_page(pin->page);
err_mmput:
	mmput_async(dma->mm);
err_free:
	kfree(pin);
	return ret;
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

/* Pin the page at @iova, or pin it once more. */
static int type1_pin_one(struct type1_iommu *iommu, unsigned long iova,
			 int prot, struct page **page)
{
	struct type1_dma *dma;
	struct type1_pin *pin;
	int ret;

	dma = type1_dma_first(iommu, iova, iova);
	if (!dma || dma->leaving)
		return -EINVAL;
	if ((dma->prot & prot) != prot)
		return -EPERM;

	pin = type1_pin_at(dma, iova);
	if (pin && pin->iova == iova) {
		pin->refs++;
	} else {
		ret = type1_pin_make(dma, iova, &pin);
		if (ret)
			return ret;
	}
	type1_dirty_set(dma, iova, iova);
	*page = pin->page;
	return 0;
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

	if (pin->managed && !type1_populated(dma))
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

/*
 * See vfio_pin_pages(). All pages or none:
 * -EINVAL: not mapped, not memory, or no driver has registered for dma_unmap
 * -EACCES: the container is of the first version
 * -EBUSY: user addresses are invalid
 * -EINTR: killed while a mapping is busy
 * -EPERM: the mapping does not give these rights
 * others from type1_batch_fill() and type1_charge()
 */
int type1_pin_pages(void *data, struct iommu_group *group, dma_addr_t user_iova,
		    int npage, int prot, struct page **pages)
{
	unsigned long iova = user_iova & PAGE_MASK, last;
	struct type1_iommu *iommu = data;
	int i, ret = 0;

	if (!iommu || !pages || npage <= 0 ||
	    check_add_overflow(iova, npage * PAGE_SIZE - 1, &last))
		return -EINVAL;
	if (!iommu->v2)
		return -EACCES;

	mutex_lock(&iommu->lock);
	ret = type1_wait_for(iommu, iova, last);
	if (ret)
		goto out_unlock;
	if (type1_vaddr_invalid(iommu)) {
		ret = -EBUSY;
		goto out_unlock;
	}
	if (list_empty(&iommu->devices)) {
		ret = -EINVAL;
		goto out_unlock;
	}

	for (i = 0; i < npage; i++) {
		ret = type1_pin_one(iommu, iova + i * PAGE_SIZE, prot,
				    &pages[i]);
		if (ret)
			goto undo;
	}
	type1_group_scope(iommu, group);
	ret = npage;
out_unlock:
	mutex_unlock(&iommu->lock);
	return ret;

undo:
	while (i--) {
		type1_unpin_one(iommu, iova + i * PAGE_SIZE);
		pages[i] = NULL;
	}
	goto out_unlock;
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

/* Copy as much as lies in the mapping of @iova; *@count is set to that. */
static int type1_rw_dma(struct type1_iommu *iommu, unsigned long iova,
			void *buf, size_t *count, bool write)
{
	bool kthread = !current->mm;
	struct type1_dma *dma;
	unsigned long left;
	void __user *user;

	dma = type1_dma_first(iommu, iova, iova);
	if (!dma)
		return -EINVAL;
	if (!(dma->prot & IOMMU_READ) || (write && !(dma->prot & IOMMU_WRITE)))
		return -EPERM;
	if (!mmget_not_zero(dma->mm))
		return -EPERM;

	*count = min(*count - 1, dma->last - iova) + 1;
	user = (void __user *)(dma->vaddr + (iova - dma->iova));

	if (kthread)
		kthread_use_mm(dma->mm);
	if (current->mm != dma->mm)
		left = *count;
	else if (write)
		left = copy_to_user(user, buf, *count);
	else
		left = copy_from_user(buf, user, *count);
	if (kthread)
		kthread_unuse_mm(dma->mm);
	mmput_async(dma->mm);

	if (write && left < *count)
		type1_dirty_set(dma, iova, iova + *count - 1);
	return left ? -EFAULT : 0;
}

/*
 * See vfio_dma_rw().
 * -EINVAL: not mapped
 * -EBUSY: user addresses are invalid
 * -EINTR: killed while a mapping is busy
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
	ret = type1_wait_for(iommu, iova, last);
	if (!ret && type1_vaddr_invalid(iommu))
		ret = -EBUSY;

	while (!ret && count) {
		nr = count;
		ret = type1_rw_dma(iommu, iova, buf, &nr, write);
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
