// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which IOVAs can be used: those that every domain translates and no attached
 * group reserves. The list is made anew whenever a group comes or goes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/slab.h>

#include "type1.h"

void type1_ranges_free(struct list_head *ranges)
{
	struct type1_range *range, *tmp;

	list_for_each_entry_safe(range, tmp, ranges, next) {
		list_del(&range->next);
		kfree(range);
	}
}

/* Add a range in front of @before. */
static int type1_ranges_add(struct list_head *before, unsigned long first,
			    unsigned long last)
{
	struct type1_range *range;

	range = kmalloc(sizeof(*range), GFP_KERNEL);
	if (!range)
		return -ENOMEM;
	range->first = first;
	range->last = last;
	list_add_tail(&range->next, before);
	return 0;
}

static int type1_ranges_exclude(struct list_head *ranges, unsigned long first,
				unsigned long last)
{
	struct type1_range *range, *tmp;
	int ret;

	list_for_each_entry_safe(range, tmp, ranges, next) {
		if (range->last < first || range->first > last)
			continue;
		if (range->first < first && range->last > last) {
			ret = type1_ranges_add(&range->next, range->first,
					       first - 1);
			if (ret)
				return ret;
			range->first = last + 1;
		} else if (range->first < first) {
			range->last = first - 1;
		} else if (range->last > last) {
			range->first = last + 1;
		} else {
			list_del(&range->next);
			kfree(range);
		}
	}
	return 0;
}

static int type1_ranges_exclude_group(struct list_head *ranges,
				      struct iommu_group *group)
{
	struct iommu_resv_region *region, *tmp;
	LIST_HEAD(regions);
	int ret;

	ret = iommu_get_group_resv_regions(group, &regions);

	list_for_each_entry_safe(region, tmp, &regions, list) {
		/*
		 * Relaxable: the firmware's identity maps of USB and graphics,
		 * without a meaning once the device is assigned.
		 */
		if (!ret && region->length &&
		    region->type != IOMMU_RESV_DIRECT_RELAXABLE)
			ret = type1_ranges_exclude(ranges, region->start,
						   region->start +
						   region->length - 1);
		list_del(&region->list);
		kfree(region);
	}
	return ret;
}

static int type1_ranges_restrict(struct list_head *ranges,
				 struct type1_domain *domain)
{
	struct iommu_domain_geometry *geo = &domain->domain->geometry;
	struct type1_group *group;
	int ret = 0;

	if (geo->aperture_start)
		ret = type1_ranges_exclude(ranges, 0, geo->aperture_start - 1);
	if (!ret && geo->aperture_end < ULONG_MAX)
		ret = type1_ranges_exclude(ranges, geo->aperture_end + 1,
					   ULONG_MAX);

	list_for_each_entry(group, &domain->groups, next) {
		if (ret)
			break;
		ret = type1_ranges_exclude_group(ranges, group->group);
	}
	return ret;
}

/*
 * Make the list for the domains as they are, in the empty list @ranges.
 * -EINVAL if nothing is left, or if a mapping is outside what is left; -ENOMEM.
 */
int type1_ranges_build(struct type1_iommu *iommu, struct list_head *ranges)
{
	struct type1_domain *domain;
	struct type1_dma *dma = NULL;
	int ret;

	if (!type1_has_domain(iommu))
		return 0;

	ret = type1_ranges_add(ranges, 0, ULONG_MAX);
	list_for_each_entry(domain, &iommu->domains, next) {
		if (ret)
			goto err_free;
		if (!type1_domain_abandoned(domain))
			ret = type1_ranges_restrict(ranges, domain);
	}
	if (!ret && list_empty(ranges))
		ret = -EINVAL;

	while ((dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		if (ret)
			goto err_free;
		if (!type1_ranges_hold(ranges, dma->iova, dma->last)) {
			pr_warn_ratelimited("the mapping %#lx-%#lx is out of reach of a group\n",
					    dma->iova, dma->last);
			ret = -EINVAL;
		}
	}
	if (!ret)
		return 0;

err_free:
	type1_ranges_free(ranges);
	return ret;
}

/* May a mapping be at @first to @last? */
bool type1_ranges_hold(struct list_head *ranges, unsigned long first,
		       unsigned long last)
{
	struct type1_range *range;

	list_for_each_entry(range, ranges, next)
		if (range->first <= first && last <= range->last)
			return true;
	return list_empty(ranges);
}

/*
 * Where do the doorbells of message-signalled interrupts go that software has
 * to map? Returns 1 with *@base set, 0 if the hardware takes care of them.
 */
int type1_sw_msi_base(struct iommu_group *group, phys_addr_t *base)
{
	struct iommu_resv_region *region, *tmp;
	bool sw = false, hw = false;
	LIST_HEAD(regions);
	int ret;

	ret = iommu_get_group_resv_regions(group, &regions);
	list_for_each_entry_safe(region, tmp, &regions, list) {
		if (region->type == IOMMU_RESV_MSI) {
			hw = true;
		} else if (region->type == IOMMU_RESV_SW_MSI) {
			*base = region->start;
			sw = true;
		}
		list_del(&region->list);
		kfree(region);
	}
	return ret ?: sw && !hw;
}
