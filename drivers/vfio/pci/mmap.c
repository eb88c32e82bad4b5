// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping BARs into processes.
 *
 * mmap() of the device file only remembers; the fault handler is the one place
 * that makes page table entries, with memory_lock held for read and the gate
 * found open. An entry made anywhere else could be made after the zap of a
 * closing gate looked and before the VMA is where the zap looks.
 *
 * vm_pgoff stays the offset in the device file: region index above, offset in
 * the region below. The zap finds VMAs by it, and the fault computes the pfn
 * from it. A region that aliases a part of a BAR (wc.c) begins at that part's
 * offset in the BAR, so the lower half says where in a BAR something is,
 * whichever of the two was mapped.
 */
#include <linux/align.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/pfn_t.h>
#include <linux/slab.h>

#include "trace.h"
#include "vfio_pci_priv.h"

#define REGION_PGOFF_BITS	(VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT)
#define REGION_PGOFF_MASK	((1UL << REGION_PGOFF_BITS) - 1)

/*
 * What fills the rest of a page that a small BAR starts. While it is reserved
 * no other device's BAR can be placed there and come into view.
 */
struct vfio_pci_page_filler {
	struct resource res;
	struct list_head node;
};

static bool vfio_pci_claim_rest_of_page(struct vfio_pci_core_device *vdev,
					struct resource *bar)
{
	struct vfio_pci_page_filler *filler;

	if (!PAGE_ALIGNED(bar->start))
		return false;

	filler = kzalloc(sizeof(*filler), GFP_KERNEL_ACCOUNT);
	if (!filler)
		return false;

	filler->res.name = "vfio sub-page reserved";
	filler->res.start = bar->end + 1;
	filler->res.end = bar->start + PAGE_SIZE - 1;
	filler->res.flags = bar->flags;
	if (request_resource(bar->parent, &filler->res)) {
		kfree(filler);
		return false;
	}

	list_add(&filler->node, &vdev->dummy_resources_list);
	return true;
}

static bool vfio_pci_bar_can_mmap(struct vfio_pci_core_device *vdev, int bar)
{
	struct resource *res = &vdev->pdev->resource[bar];

	if (!IS_ENABLED(CONFIG_VFIO_PCI_MMAP))
		return false;
	if (!(res->flags & IORESOURCE_MEM) || !resource_size(res))
		return false;
	if (resource_size(res) >= PAGE_SIZE)
		return true;

	return vfio_pci_claim_rest_of_page(vdev, res);
}

/* Called at first open: find out which BARs may be mapped. */
void vfio_pci_mmap_probe(struct vfio_pci_core_device *vdev)
{
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		vdev->bar_mmap_supported[bar] = vfio_pci_bar_can_mmap(vdev, bar);
}

/* Called at last close. */
void vfio_pci_mmap_release(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_page_filler *filler, *next;

	list_for_each_entry_safe(filler, next, &vdev->dummy_resources_list,
				 node) {
		list_del(&filler->node);
		release_resource(&filler->res);
		kfree(filler);
	}
}

/*
 * Only BARs are device memory: a device-specific region behind them has its
 * own mmap, and nothing of what closes the gate changes what it shows.
 */
void vfio_pci_zap_bars(struct vfio_pci_core_device *vdev)
{
	loff_t start = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_BAR0_REGION_INDEX);
	loff_t end = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_ROM_REGION_INDEX);

	lockdep_assert_held_write(&vdev->memory_lock);
	vfio_device_unmap_mapping_range(&vdev->vdev, start, end - start);
	trace_vfio_pci_revoke(vdev->pdev, start, end - start);
	vfio_pci_zap_aliases(vdev);
}

static unsigned int vfio_pci_vma_bar(struct vm_area_struct *vma)
{
	return vfio_pci_bar_of_region(vma->vm_private_data,
				      vma->vm_pgoff >> REGION_PGOFF_BITS);
}

static u64 vfio_pci_vma_pos(struct vm_area_struct *vma, unsigned long addr)
{
	return (u64)(linear_page_index(vma, addr) & REGION_PGOFF_MASK) <<
	       PAGE_SHIFT;
}

static unsigned long vfio_pci_vma_pfn(struct vm_area_struct *vma,
				      unsigned long addr)
{
	struct vfio_pci_core_device *vdev = vma->vm_private_data;
	resource_size_t bar_start =
		pci_resource_start(vdev->pdev, vfio_pci_vma_bar(vma));

	return PHYS_PFN(bar_start + vfio_pci_vma_pos(vma, addr));
}

/*
 * Addresses around @addr, from *@first to *@last, at which @vma shows memory of
 * one type: as far as both are in the same part of the BAR.
 */
static void vfio_pci_vma_extent(struct vm_area_struct *vma, unsigned long addr,
				unsigned long *first, unsigned long *last)
{
	u64 pos = vfio_pci_vma_pos(vma, addr), start, end;

	vfio_pci_bar_extent(vma->vm_private_data, vfio_pci_vma_bar(vma), pos,
			    &start, &end);
	if (pos - start < addr - *first)
		*first = addr - (pos - start);
	if (end - pos <= *last - addr)
		*last = addr + (end - pos) - 1;
}

/* set_ptes() of these architectures is a function, and not for modules. */
#define VFIO_PCI_SETS_PTES \
	(!IS_ENABLED(CONFIG_ARM) && !IS_ENABLED(CONFIG_PPC))

/* Page table entries in a row, in one page table, that one fault fills. */
struct vfio_pci_pte_run {
	struct mm_struct *mm;
	pte_t entry;
	unsigned long filled;
};

/* The page table's lock is held, here and below. */
static int vfio_pci_get_pte(pte_t *pte, unsigned long addr, void *data)
{
	struct vfio_pci_pte_run *run = data;

	run->entry = ptep_get(pte);
	/* Who takes it away holds mmap_lock or memory_lock for write; but look. */
	return pte_present(run->entry) ? 0 : -EAGAIN;
}

static int vfio_pci_fill_pte(pte_t *pte, unsigned long addr, void *data)
{
	struct vfio_pci_pte_run *run = data;

	run->entry = pte_next_pfn(run->entry);
	if (!pte_none(ptep_get(pte)))
		return 0;

	/*
	 * A pfn's entry is special. Where the compiler sees it, too, set_ptes() of
	 * arm64 needs nothing that modules do not have.
	 */
	set_pte_at(run->mm, addr, pte, pte_mkspecial(run->entry));
	run->filled++;
	return 0;
}

/*
 * Whoever touches one page of a BAR touches the next ones: a fault that cannot
 * have a huge entry fills the page table that its entry is in, as far as the
 * VMA goes.
 *
 * The first entry is made by the mm, which knows the cache attributes the
 * architecture wants for the pfn; the others are made after its likeness. That
 * the mm put one in also means that there is a page table, which nobody
 * replaces by a huge entry or takes away while we are in a fault.
 */
static vm_fault_t vfio_pci_insert_ptes(struct vm_fault *vmf,
				       unsigned long *pages)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = ALIGN_DOWN(vmf->address, PAGE_SIZE);
	unsigned long window = ALIGN_DOWN(vmf->address, PMD_SIZE);
	unsigned long start = max(window, vma->vm_start);
	unsigned long last = min(window + PMD_SIZE - 1, vma->vm_end - 1);
	struct vfio_pci_pte_run run = {
		.mm = vma->vm_mm,
		.filled = 1,
	};
	unsigned long first;
	vm_fault_t ret;

	if (!VFIO_PCI_SETS_PTES)
		return vmf_insert_pfn(vma, addr, vfio_pci_vma_pfn(vma, addr));

	vfio_pci_vma_extent(vma, addr, &start, &last);
	ret = vmf_insert_pfn(vma, start, vfio_pci_vma_pfn(vma, start));
	if (ret != VM_FAULT_NOPAGE)
		return ret;

	/* This needs no memory. An entry that is not filled faults again. */
	first = start + PAGE_SIZE;
	if (!apply_to_page_range(run.mm, start, PAGE_SIZE, vfio_pci_get_pte,
				 &run) && first <= last)
		apply_to_page_range(run.mm, first, last + 1 - first,
				    vfio_pci_fill_pte, &run);
	*pages = run.filled;
	return VM_FAULT_NOPAGE;
}

/*
 * Entries of this VMA are read-only for now, because the mm wants to hear of
 * writes (/proc/PID/clear_refs), and this is one. The mm makes small entries
 * writable by itself. That a large one becomes writable it would leave to us, and
 * warn where a page table has taken its place meanwhile.
 */
static bool vfio_pci_write_is_tracked(struct vm_fault *vmf, unsigned long pfn)
{
	return vmf->flags & FAULT_FLAG_WRITE &&
	       !pte_write(pfn_pte(pfn, vmf->vma->vm_page_prot));
}

static vm_fault_t vfio_pci_insert(struct vm_fault *vmf, unsigned long pfn,
				  unsigned int order, unsigned long *pages)
{
	unsigned long addr = ALIGN_DOWN(vmf->address, PAGE_SIZE << order);
	unsigned long first = addr, last = addr + (PAGE_SIZE << order) - 1;

	/*
	 * Nothing was mapped, so nothing faults. The compiler has to know, as on
	 * s390 set_ptes() needs what modules do not have.
	 */
	if (!IS_ENABLED(CONFIG_VFIO_PCI_MMAP))
		return VM_FAULT_SIGBUS;

	vfio_pci_vma_extent(vmf->vma, addr, &first, &last);
	if (last - addr < (PAGE_SIZE << order) - 1)
		return VM_FAULT_FALLBACK;
	if (order && vfio_pci_write_is_tracked(vmf, pfn))
		return VM_FAULT_FALLBACK;

	*pages = 1UL << order;
	switch (order) {
	case 0:
		return vfio_pci_insert_ptes(vmf, pages);
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	case PMD_ORDER:
		return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV),
					  false);
#endif
#ifdef CONFIG_ARCH_SUPPORTS_PUD_PFNMAP
	case PUD_ORDER:
		return vmf_insert_pfn_pud(vmf, __pfn_to_pfn_t(pfn, PFN_DEV),
					  false);
#endif
	default:
		return VM_FAULT_FALLBACK;
	}
}

/*
 * The mm comes with the largest order first and comes again with a smaller one
 * where it is told to fall back: where the naturally aligned block around the
 * address is not all inside the VMA (and so inside the BAR, as mmap checked) or
 * not all of one memory type, or virtual and physical addresses do not agree in
 * their low bits.
 */
static vm_fault_t vfio_pci_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vfio_pci_core_device *vdev = vma->vm_private_data;
	unsigned long size = PAGE_SIZE << order;
	unsigned long start = ALIGN_DOWN(vmf->address, size);
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long pfn = 0, pages = 0;

	if (start < vma->vm_start || size > vma->vm_end - start)
		return VM_FAULT_FALLBACK;

	/* What a mapping shows is known as long as the device is open. */
	down_read(&vdev->memory_lock);
	if (vfio_pci_gate_admits_maps(vdev)) {
		pfn = vfio_pci_vma_pfn(vma, start);
		ret = IS_ALIGNED(pfn, 1UL << order) ?
		      vfio_pci_insert(vmf, pfn, order, &pages) :
		      VM_FAULT_FALLBACK;
	} else if (vfio_pci_absent_is_mapped(vdev)) {
		ret = order ? VM_FAULT_FALLBACK :
			      vfio_pci_absent_fault(vdev, vmf);
	}
	up_read(&vdev->memory_lock);

	trace_vfio_pci_fault(vdev->pdev, vmf->address, pfn, order, pages, ret);
	return ret;
}

static vm_fault_t vfio_pci_fault(struct vm_fault *vmf)
{
	return vfio_pci_huge_fault(vmf, 0);
}

const struct vm_operations_struct vfio_pci_mmap_ops = {
	.fault = vfio_pci_fault,
	.huge_fault = vfio_pci_huge_fault,
	.mprotect = vfio_pci_absent_mprotect,
};

/*
 * What @vma is to show, from @start to @end in the BAR: of the BAR itself, or of
 * an alias.
 */
static int vfio_pci_mmap_bar(struct vfio_pci_core_device *vdev,
			     unsigned int bar, u64 start, u64 end, bool wc,
			     struct vm_area_struct *vma)
{
	u64 pgoff = vma->vm_pgoff & REGION_PGOFF_MASK;
	pgprot_t prot = vma->vm_page_prot;
	int ret;

	if (pgoff < PHYS_PFN(start) || pgoff >= PHYS_PFN(end) ||
	    vma_pages(vma) > PHYS_PFN(end) - pgoff)
		return -EINVAL;

	/* The region has to be ours before anyone sees it. */
	ret = vfio_pci_bar_setup_call(vdev, bar);
	if (ret)
		return ret;

	prot = wc ? pgprot_writecombine(prot) : pgprot_noncached(prot);
	vma->vm_private_data = vdev;
	vma->vm_page_prot = pgprot_decrypted(prot);
	vma->vm_ops = &vfio_pci_mmap_ops;
	/*
	 * Where the architecture has a choice (arm64), a virtual machine may
	 * map a BAR with any uncached type: reads without side effects stay
	 * contained, and what a device does on a speculative read of its own
	 * prefetchable BAR is the device's affair. It is then the guest's choice
	 * whether writes are combined, whichever we chose here.
	 */
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED | VM_IO | VM_PFNMAP |
		     VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

static int vfio_pci_mmap_whole_bar(struct vfio_pci_core_device *vdev,
				   unsigned int bar,
				   struct vm_area_struct *vma)
{
	bar = array_index_nospec(bar, PCI_STD_NUM_BARS);
	if (!vdev->bar_mmap_supported[bar])
		return -EINVAL;

	return vfio_pci_mmap_bar(vdev, bar, 0,
				 PAGE_ALIGN(pci_resource_len(vdev->pdev, bar)),
				 vdev->bars_wc & BIT(bar), vma);
}

/**
 * vfio_pci_core_mmap - &vfio_device_ops.mmap of vfio-pci devices
 * @core_vdev: the device
 * @vma: what to map; its offset names region and place in it
 *
 * Return: 0, or -EINVAL for a private mapping, a region that cannot be mapped
 * or a range that is not inside it; what claiming the BAR returns.
 * Context: mmap_lock is held for write.
 */
int vfio_pci_core_mmap(struct vfio_device *core_vdev,
		       struct vm_area_struct *vma)
{
	struct vfio_pci_core_device *vdev =
		container_of(core_vdev, struct vfio_pci_core_device, vdev);
	unsigned long index = vma->vm_pgoff >> REGION_PGOFF_BITS;
	const struct vfio_pci_alias *alias;
	struct vfio_pci_region *region;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (index < VFIO_PCI_ROM_REGION_INDEX)
		return vfio_pci_mmap_whole_bar(vdev, index, vma);
	if (index < VFIO_PCI_NUM_REGIONS)
		return -EINVAL;

	alias = vfio_pci_find_alias(vdev, index);
	if (alias)
		return vfio_pci_mmap_bar(vdev, alias->bar, alias->start,
					 alias->end, true, vma);

	region = vfio_pci_find_region(vdev, index);
	if (!region || !(region->flags & VFIO_REGION_INFO_FLAG_MMAP) ||
	    !region->ops->mmap)
		return -EINVAL;

	return region->ops->mmap(vdev, region, vma);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_mmap);
