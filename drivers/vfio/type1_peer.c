// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of mappings that are another device's memory: they hold no pages, and their
 * translations come and go with the memory (drivers/vfio/peer.c).
 *
 * The device's driver calls back with its memory_lock held, under which nobody
 * may take type1_iommu::lock. So what the callbacks look at is covered by
 * peer_lock, the innermost one: the list of domains, as far as it changes, and
 * whether a peer is mapped.
 */
#include <linux/file.h>
#include <linux/slab.h>

#include "type1.h"

/**
 * struct type1_peer - a part of a mapping that is in one VMA of a device file
 * @peer: the core's view of it
 * @next: in type1_dma::peers
 * @iommu: whose domains it is in
 * @dma: the mapping
 * @iova: where in it
 * @phys: what is there, while @mapped
 * @mapped: it is in all domains; under peer_lock
 */
struct type1_peer {
	struct vfio_peer peer;
	struct hlist_node next;
	struct type1_iommu *iommu;
	struct type1_dma *dma;
	unsigned long iova;
	phys_addr_t phys;
	bool mapped;
};

/*
 * How much is mapped at a time: what a failure half way leaves is looked for page by
 * page, with the device's lock held. No large page is cut by this.
 */
#define TYPE1_PEER_STEP		(TYPE1_RUN_PAGES << PAGE_SHIFT)

/* Unmap the first @size bytes. */
static void type1_peer_unmap_domain(struct type1_peer *p,
				    struct type1_domain *domain,
				    unsigned long size)
{
	WARN_ON(iommu_unmap(domain->domain, p->iova, size) != size);
}

static int type1_peer_map_domain(struct type1_peer *p,
				 struct type1_domain *domain)
{
	unsigned long size = p->peer.size, done, step, iova;
	int ret;

	for (done = 0; done < size; done += step) {
		iova = p->iova + done;
		step = TYPE1_PEER_STEP - iova % TYPE1_PEER_STEP;
		step = min(step, size - done);
		ret = iommu_map(domain->domain, iova, p->phys + done, step,
				p->dma->prot | IOMMU_CACHE, GFP_KERNEL_ACCOUNT);
		if (ret) {
			type1_domain_undo(domain, p->dma, iova, step);
			if (done)
				type1_peer_unmap_domain(p, domain, done);
			return ret;
		}
	}
	return 0;
}

static int type1_peer_map(struct vfio_peer *peer, phys_addr_t phys)
{
	struct type1_peer *p = container_of(peer, struct type1_peer, peer);
	struct type1_iommu *iommu = p->iommu;
	struct type1_domain *domain;
	int ret = 0;

	mutex_lock(&iommu->peer_lock);
	p->phys = phys;
	list_for_each_entry(domain, &iommu->domains, next) {
		ret = type1_peer_map_domain(p, domain);
		if (ret)
			break;
	}
	p->mapped = !ret;
	if (ret)
		list_for_each_entry_continue_reverse(domain, &iommu->domains,
						     next)
			type1_peer_unmap_domain(p, domain, p->peer.size);
	mutex_unlock(&iommu->peer_lock);
	return ret;
}

static void type1_peer_unmap(struct vfio_peer *peer)
{
	struct type1_peer *p = container_of(peer, struct type1_peer, peer);
	struct type1_iommu *iommu = p->iommu;
	struct type1_domain *domain;

	mutex_lock(&iommu->peer_lock);
	if (p->mapped)
		list_for_each_entry(domain, &iommu->domains, next)
			type1_peer_unmap_domain(p, domain, p->peer.size);
	p->mapped = false;
	mutex_unlock(&iommu->peer_lock);
}

static const struct vfio_peer_ops type1_peer_ops = {
	.map = type1_peer_map,
	.unmap = type1_peer_unmap,
};

/*
 * The first peer of a mapping is counted with it. Each further one counts as one more
 * mapping, or there were as many as a user has VMAs, for every mapping.
 */
static bool type1_peer_reserve(struct type1_iommu *iommu, struct type1_dma *dma)
{
	bool ok = true;

	if (hlist_empty(&dma->peers))
		return true;
	mutex_lock(&iommu->lock);
	if (iommu->avail)
		iommu->avail--;
	else
		ok = false;
	mutex_unlock(&iommu->lock);
	return ok;
}

static void type1_peer_unreserve(struct type1_iommu *iommu, unsigned int nr)
{
	if (!nr)
		return;
	mutex_lock(&iommu->lock);
	iommu->avail += nr;
	mutex_unlock(&iommu->lock);
}

/*
 * Map what @batch found, a part of a device's memory, into all domains at @iova. Lets
 * the file go. -EFAULT: the memory is not there. -ENOSPC: there are too many mappings.
 * -ENOMEM, and others from iommu_map(). The caller calls type1_peers_remove() in the end.
 */
int type1_peer_add(struct type1_iommu *iommu, struct type1_dma *dma,
		   unsigned long iova, struct type1_batch *batch)
{
	struct type1_peer *p;
	int ret = -ENOSPC;

	if (!type1_peer_reserve(iommu, dma))
		goto out_put;
	ret = -ENOMEM;
	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		goto out_unreserve;
	p->peer = batch->peer;
	p->peer.ops = &type1_peer_ops;
	p->iommu = iommu;
	p->dma = dma;
	p->iova = iova;

	ret = vfio_peer_attach(&p->peer, batch->file);
	if (!ret) {
		hlist_add_head(&p->next, &dma->peers);
		goto out_put;
	}
	kfree(p);
out_unreserve:
	type1_peer_unreserve(iommu, !hlist_empty(&dma->peers));
out_put:
	fput(batch->file);
	return ret;
}

/* Is there a device's memory at @iova in @dma, which has no owner? */
bool type1_is_peer(const struct type1_dma *dma, unsigned long iova)
{
	const struct type1_peer *p;

	hlist_for_each_entry(p, &dma->peers, next)
		if (iova >= p->iova && iova - p->iova < p->peer.size)
			return true;
	return false;
}

void type1_peers_remove(struct type1_iommu *iommu, struct type1_dma *dma)
{
	struct hlist_node *next;
	struct type1_peer *p;
	unsigned int nr = 0;

	if (hlist_empty(&dma->peers))
		return;
	hlist_for_each_entry_safe(p, next, &dma->peers, next) {
		vfio_peer_detach(&p->peer);
		hlist_del(&p->next);
		kfree(p);
		nr++;
		cond_resched();
	}
	type1_peer_unreserve(iommu, nr - 1);
}

/*
 * Put @domain on the list of domains, with every peer in it whose memory is
 * there. On failure it is not on the list, and is good for nothing.
 */
int type1_domain_list(struct type1_iommu *iommu, struct type1_domain *domain)
{
	struct type1_dma *dma = NULL;
	struct type1_peer *p;
	int ret = 0;

	mutex_lock(&iommu->peer_lock);
	while (!ret && (dma = type1_dma_each(iommu, dma, 0, ULONG_MAX))) {
		hlist_for_each_entry(p, &dma->peers, next) {
			if (p->mapped)
				ret = type1_peer_map_domain(p, domain);
			if (ret)
				break;
		}
	}
	if (!ret)
		list_add(&domain->next, &iommu->domains);
	mutex_unlock(&iommu->peer_lock);
	return ret;
}

void type1_domain_unlist(struct type1_iommu *iommu, struct type1_domain *domain)
{
	mutex_lock(&iommu->peer_lock);
	list_del(&domain->next);
	mutex_unlock(&iommu->peer_lock);
}
