// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of another device's memory: they hold no pages, and their
 * translations come and go with the memory (drivers/vfio/peer.c).
 *
 * The device's driver calls back with its memory_lock held, under which nobody
 * may take type1_iommu::lock. So what the callbacks look at is covered by
 * peer_lock, the innermost one: the list of domains, as far as it changes, and
 * whether a peer is mapped.
 */
#include <linux/file.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "type1.h"

/**
 * struct type1_peer - a part of a mapping that is in one VMA of a device file
 * @peer: the core's view of it
 * @next: in type1_dma::peers
 * @iommu: whose domains it is in
 * @iova: where
 * @prot: IOMMU_READ, IOMMU_WRITE
 * @phys: what is there, while @mapped
 * @mapped: it is in all domains; under peer_lock
 */
struct type1_peer {
	struct vfio_peer peer;
	struct list_head next;
	struct type1_iommu *iommu;
	unsigned long iova;
	int prot;
	phys_addr_t phys;
	bool mapped;
};

static int type1_peer_map_domain(struct type1_peer *p,
				 struct type1_domain *domain)
{
	return iommu_map(domain->domain, p->iova, p->phys, p->peer.size,
			 p->prot | IOMMU_CACHE, GFP_KERNEL_ACCOUNT);
}

static void type1_peer_unmap_domain(struct type1_peer *p,
				    struct type1_domain *domain)
{
	WARN_ON(iommu_unmap(domain->domain, p->iova, p->peer.size) !=
		p->peer.size);
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
			type1_peer_unmap_domain(p, domain);
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
			type1_peer_unmap_domain(p, domain);
	p->mapped = false;
	mutex_unlock(&iommu->peer_lock);
}

static const struct vfio_peer_ops type1_peer_ops = {
	.map = type1_peer_map,
	.unmap = type1_peer_unmap,
};

/*
 * The VMA of a device's memory at @addr: its file, referenced, and what the
 * peer's range in it is, up to @max bytes. NULL where there is other memory.
 */
static struct file *type1_peer_lookup(struct type1_dma *dma, unsigned long addr,
				      unsigned long max, struct vfio_peer *peer)
{
	struct mm_struct *mm = dma->mm;
	struct vm_area_struct *vma;
	struct file *file = NULL;
	vm_flags_t need = 0;

	if (dma->prot & IOMMU_READ)
		need |= VM_READ;
	if (dma->prot & IOMMU_WRITE)
		need |= VM_WRITE;

	if (mmap_read_lock_killable(mm))
		return ERR_PTR(-EINTR);
	addr = untagged_addr_remote(mm, addr);
	vma = vma_lookup(mm, addr);
	if (!vma || !(vma->vm_flags & VM_PFNMAP) || !vfio_peer_vma(peer, vma))
		goto unlock;
	if ((vma->vm_flags & need) != need) {
		file = ERR_PTR(-EFAULT);
		goto unlock;
	}
	peer->offset = ((loff_t)vma->vm_pgoff << PAGE_SHIFT) +
		       (addr - vma->vm_start);
	peer->size = min(max, vma->vm_end - addr);
	file = get_file(vma->vm_file);
unlock:
	mmap_read_unlock(mm);
	return file;
}

static int type1_peer_add(struct type1_iommu *iommu, struct type1_dma *dma,
			  unsigned long done, struct file *file,
			  const struct vfio_peer *where)
{
	struct type1_peer *p;
	int ret;

	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	p->peer = *where;
	p->peer.ops = &type1_peer_ops;
	p->iommu = iommu;
	p->iova = dma->iova + done;
	p->prot = dma->prot;

	ret = vfio_peer_attach(&p->peer, file);
	if (ret) {
		kfree(p);
		return ret;
	}
	list_add_tail(&p->next, &dma->peers);
	return 0;
}

/*
 * If @dma begins in a device's memory, map it as such. Returns 1 if that was
 * done, 0 if it is other memory, or
 * -EFAULT: device memory that is not there or may not be accessed so, or
 *	followed by memory of another kind
 * -EINTR: being killed
 * -ENOMEM, and others from iommu_map()
 * On failure the caller calls type1_peers_remove().
 */
int type1_peers_add(struct type1_iommu *iommu, struct type1_dma *dma)
{
	unsigned long size = type1_dma_npages(dma) << PAGE_SHIFT;
	unsigned long done = 0;
	struct vfio_peer where = {};
	struct file *file;
	int ret;

	do {
		file = type1_peer_lookup(dma, dma->vaddr + done, size - done,
					 &where);
		if (!file)
			return done ? -EFAULT : 0;
		if (IS_ERR(file))
			return PTR_ERR(file);
		ret = type1_peer_add(iommu, dma, done, file, &where);
		fput(file);
		if (ret)
			return ret;
		done += where.size;
	} while (done != size);

	return 1;
}

void type1_peers_remove(struct type1_dma *dma)
{
	struct type1_peer *p, *next;

	list_for_each_entry_safe(p, next, &dma->peers, next) {
		vfio_peer_detach(&p->peer);
		list_del(&p->next);
		kfree(p);
	}
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
		list_for_each_entry(p, &dma->peers, next) {
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
