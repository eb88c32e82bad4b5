// SPDX-License-Identifier: GPL-2.0-only
/* Groups come to a container and leave it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/slab.h>

#include "type1.h"

/* Have all groups left it? */
bool type1_domain_abandoned(const struct type1_domain *domain)
{
	return list_empty(&domain->groups);
}

/* Is there a domain whose devices reach the mappings? */
bool type1_has_domain(const struct type1_iommu *iommu)
{
	struct type1_domain *domain;

	list_for_each_entry(domain, &iommu->domains, next)
		if (!type1_domain_abandoned(domain))
			return true;
	return false;
}

/* @domain is set to where the group is attached, NULL if it is emulated. */
struct type1_group *type1_find_group(struct type1_iommu *iommu,
				     struct iommu_group *iommu_group,
				     struct type1_domain **domain)
{
	struct type1_group *group;
	struct type1_domain *d;

	list_for_each_entry(d, &iommu->domains, next) {
		list_for_each_entry(group, &d->groups, next) {
			if (group->group == iommu_group) {
				*domain = d;
				return group;
			}
		}
	}
	*domain = NULL;
	list_for_each_entry(group, &iommu->emulated, next)
		if (group->group == iommu_group)
			return group;
	return NULL;
}

/* What all domains can do, in the sizes that the CPU's pages allow. */
static unsigned long type1_common_pgsizes(struct type1_iommu *iommu)
{
	struct type1_domain *domain;
	unsigned long sizes = ULONG_MAX;

	list_for_each_entry(domain, &iommu->domains, next)
		if (!type1_domain_abandoned(domain))
			sizes &= domain->domain->pgsize_bitmap;
	/* Smaller IOMMU pages add up to ours. */
	if (sizes & ~PAGE_MASK)
		sizes = (sizes & PAGE_MASK) | PAGE_SIZE;
	return sizes;
}

/*
 * The group's devices stay only as long as its mutex is held, which is around this:
 * one without a driver may be removed at any time.
 */
static int type1_alloc_for_device(struct device *dev, void *data)
{
	struct iommu_domain **domain = data;

	*domain = iommu_paging_domain_alloc(dev);
	return 1;
}

static void type1_domain_free(struct type1_domain *domain)
{
	iommu_domain_free(domain->domain);
	kfree(domain);
}

/* A new domain with @group attached to it and on its list. */
static struct type1_domain *type1_domain_make(struct type1_iommu *iommu,
					      struct type1_group *group)
{
	const struct iommu_domain_ops *ops;
	struct type1_domain *domain;
	int ret;

	domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&domain->groups);
	INIT_LIST_HEAD(&domain->next);

	/* For the first device. */
	domain->domain = ERR_PTR(-ENODEV);
	iommu_group_for_each_dev(group->group, &domain->domain,
				 type1_alloc_for_device);
	if (IS_ERR(domain->domain)) {
		ret = PTR_ERR(domain->domain);
		kfree(domain);
		return ERR_PTR(ret);
	}

	if (iommu->nesting) {
		ret = iommu_enable_nesting(domain->domain);
		if (ret)
			goto err_free;
	}
	ret = iommu_attach_group(domain->domain, group->group);
	if (ret)
		goto err_free;

	/*
	 * Drop the no-snoop attribute of DMA wherever the hardware can: KVM
	 * then need not let the guest flush caches. This asks about what is
	 * attached, hence not before.
	 */
	ops = domain->domain->ops;
	if (ops->enforce_cache_coherency)
		domain->coherent = ops->enforce_cache_coherency(domain->domain);

	list_add(&group->next, &domain->groups);
	return domain;

err_free:
	type1_domain_free(domain);
	return ERR_PTR(ret);
}

/*
 * Move @group, the only one on the new domain *@domain, to an older domain
 * that can do the same, if one takes it. *@domain is that one then.
 */
static int type1_domain_share(struct type1_iommu *iommu,
			      struct type1_group *group,
			      struct type1_domain **domain)
{
	struct type1_domain *own = *domain, *other;
	int ret;

	list_for_each_entry(other, &iommu->domains, next) {
		if (other->domain->ops != own->domain->ops ||
		    other->coherent != own->coherent)
			continue;

		iommu_detach_group(own->domain, group->group);
		if (!iommu_attach_group(other->domain, group->group)) {
			list_move(&group->next, &other->groups);
			type1_domain_free(own);
			*domain = other;
			return 0;
		}
		ret = iommu_attach_group(own->domain, group->group);
		if (ret) {
			list_del(&group->next);
			type1_domain_free(own);
			return ret;
		}
	}
	return 0;
}

/*
 * Take @group off @domain, and free the domain if that was the last group;
 * what is mapped there must not be the only trace of it.
 */
static void type1_domain_leave(struct type1_iommu *iommu,
			       struct type1_domain *domain,
			       struct type1_group *group)
{
	iommu_detach_group(domain->domain, group->group);
	list_del(&group->next);
	if (type1_domain_abandoned(domain)) {
		type1_domain_unlist(iommu, domain);
		type1_domain_free(domain);
	}
}

/* No mapping has an owner, or he might be at work in one of them. */
void type1_free_abandoned(struct type1_iommu *iommu)
{
	struct type1_domain *domain, *next;

	lockdep_assert_held(&iommu->lock);
	WARN_ON(iommu->busy);

	list_for_each_entry_safe(domain, next, &iommu->domains, next) {
		if (!type1_domain_abandoned(domain))
			continue;
		type1_domain_unlist(iommu, domain);
		type1_domain_free(domain);
		iommu->abandoned--;
	}
}

static int type1_attach_iommu(struct type1_iommu *iommu,
			      struct type1_group *group)
{
	struct type1_domain *domain;
	phys_addr_t msi_base = 0;
	unsigned long pgsizes;
	LIST_HEAD(ranges);
	bool own;
	int ret;

	/* A device that can send any interrupt message can attack the host. */
	if (!READ_ONCE(type1_allow_unsafe_interrupts) &&
	    !iommu_group_has_isolated_msi(group->group)) {
		pr_warn_ratelimited("group %d: interrupts are not isolated on this platform; the module parameter allow_unsafe_interrupts lets VFIO use it all the same\n",
				    iommu_group_id(group->group));
		return -EPERM;
	}

	domain = type1_domain_make(iommu, group);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	ret = type1_domain_share(iommu, group, &domain);
	if (ret)
		return ret;
	own = list_is_singular(&domain->groups);
	if (own) {
		ret = type1_domain_list(iommu, domain);
		if (ret)
			goto err_leave;
	}

	pgsizes = type1_common_pgsizes(iommu);
	ret = pgsizes ? type1_ranges_build(iommu, &ranges) : -EINVAL;
	if (ret)
		goto err_leave;

	ret = type1_sw_msi_base(group->group, &msi_base);
	if (ret > 0) {
		ret = iommu_get_msi_cookie(domain->domain, msi_base);
		/* A shared domain has it; a kernel without needs none. */
		if (ret == -EEXIST || ret == -ENODEV)
			ret = 0;
	}
	if (ret)
		goto err_ranges;

	if (own) {
		ret = type1_domain_fill(iommu, domain);
		if (ret)
			goto err_ranges;
	}

	iommu->pgsizes = pgsizes;
	type1_ranges_free(&iommu->ranges);
	list_splice(&ranges, &iommu->ranges);
	iommu->unscoped++;
	return 0;

err_ranges:
	type1_ranges_free(&ranges);
err_leave:
	type1_domain_leave(iommu, domain, group);
	return ret;
}

/*
 * Neither an ioctl nor who detaches is at work, so no mapping has an owner and no
 * domain is abandoned (type1_state.c).
 *
 * -EBUSY while user addresses are invalid: memory may have to be pinned.
 * -EINVAL: the group is attached already, or it cannot reach a mapping
 * -EPERM: its interrupts are not isolated
 * others from the IOMMU, or from pinning the mappings
 */
int type1_attach_group(void *data, struct iommu_group *iommu_group,
		       enum vfio_group_type type)
{
	struct type1_iommu *iommu = data;
	struct type1_domain *domain;
	struct type1_group *group;
	int ret = 0;

	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return -ENOMEM;
	group->group = iommu_group;

	mutex_lock(&iommu->lock);
	WARN_ON(iommu->busy || iommu->abandoned);
	if (iommu->vaddr_invalid) {
		ret = -EBUSY;
	} else if (type1_find_group(iommu, iommu_group, &domain)) {
		ret = -EINVAL;
	} else if (type == VFIO_EMULATED_IOMMU) {
		group->scoped = true;
		list_add(&group->next, &iommu->emulated);
	} else {
		ret = type1_attach_iommu(iommu, group);
	}
	mutex_unlock(&iommu->lock);

	if (ret)
		kfree(group);
	return ret;
}

static void type1_detach_iommu(struct type1_iommu *iommu,
			       struct type1_domain *domain,
			       struct type1_group *group)
{
	LIST_HEAD(ranges);

	iommu_detach_group(domain->domain, group->group);
	list_del(&group->next);
	if (type1_domain_abandoned(domain))
		iommu->abandoned++;
	iommu->pgsizes = type1_common_pgsizes(iommu);

	/* Without memory for the new list the old one is not wrong. */
	if (!type1_ranges_build(iommu, &ranges)) {
		type1_ranges_free(&iommu->ranges);
		list_splice(&ranges, &iommu->ranges);
	}
}

/* The DMA of the group's devices ends here, whoever is at work. */
void type1_detach_group(void *data, struct iommu_group *iommu_group)
{
	struct type1_iommu *iommu = data;
	struct type1_domain *domain;
	struct type1_group *group;

	mutex_lock(&iommu->lock);
	group = type1_find_group(iommu, iommu_group, &domain);
	if (WARN_ON(!group))
		goto out_unlock;

	if (domain)
		type1_detach_iommu(iommu, domain, group);
	else
		list_del(&group->next);

	/* Whatever it dirtied so far is known to nobody but us. */
	if (!group->scoped) {
		iommu->unscoped--;
		type1_dirty_set_all(iommu);
	}
	kfree(group);
out_unlock:
	type1_unlock(iommu);
}
