// SPDX-License-Identifier: GPL-2.0-only
/* User memory to physical pages, and who is charged for them. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/pfn.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "type1.h"

/*
 * Is @pfn something the kernel does not hand out and take back: not memory, or
 * memory reserved for good? Only such frames can be mapped without a
 * reference, and nobody is charged for them.
 */
bool type1_pfn_unmanaged(unsigned long pfn)
{
	return !pfn_valid(pfn) || PageReserved(pfn_to_page(pfn));
}

static bool type1_pfns_unmanaged(unsigned long pfn, unsigned long npages)
{
	unsigned long end = pfn + npages;

	while (pfn < end) {
		if (!type1_pfn_unmanaged(pfn))
			return false;
#ifdef CONFIG_SPARSEMEM
		/* Whether there is a struct page is the same all over this. */
		if (!pfn_valid(pfn)) {
			pfn = SUBSECTION_ALIGN_UP(pfn + 1);
			continue;
		}
#endif
		pfn++;
	}
	return true;
}

/*
 * One step of a walk over a PFN mapping: the frame at @addr and how many more
 * follow it in the same leaf of the page table, up to the end of the VMA.
 */
static int type1_follow_leaf(struct vm_area_struct *vma, unsigned long addr,
			     bool write, unsigned long *pfn,
			     unsigned long *npages)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };
	unsigned long end = addr + PAGE_SIZE;
	int ret;

	ret = follow_pfnmap_start(&args);
	if (ret)
		return ret;

	/* No PTE: the leaf is a PMD or larger. */
	if (!args.ptep)
		end = min(ALIGN(end, PMD_SIZE), vma->vm_end);
	*pfn = args.pfn;
	*npages = (end - addr) >> PAGE_SHIFT;
	if (write && !args.writable)
		ret = -EACCES;
	follow_pfnmap_end(&args);
	return ret;
}

/* @npages of the device file that @vma maps, from @addr on. */
static long type1_batch_peer(struct type1_batch *batch,
			     struct vm_area_struct *vma, unsigned long addr,
			     unsigned long npages)
{
	batch->kind = TYPE1_PEER;
	batch->peer.offset = ((loff_t)vma->vm_pgoff << PAGE_SHIFT) +
			     (addr - vma->vm_start);
	batch->peer.size = npages << PAGE_SHIFT;
	batch->file = get_file(vma->vm_file);
	return npages;
}

/*
 * Up to @npages of the memory of a device whose driver says where it is, and when it
 * goes. So page tables do not matter, only the rights: -EFAULT without them.
 */
static long type1_find_peer(struct type1_batch *batch,
			    struct vm_area_struct *vma, unsigned long addr,
			    unsigned long npages)
{
	vm_flags_t need = 0;

	if (batch->prot & IOMMU_READ)
		need |= VM_READ;
	if (batch->prot & IOMMU_WRITE)
		need |= VM_WRITE;
	if ((vma->vm_flags & need) != need)
		return -EFAULT;

	npages = min(npages, (vma->vm_end - addr) >> PAGE_SHIFT);
	return type1_batch_peer(batch, vma, addr, npages);
}

/*
 * The frames at @addr in @vma, as far as they are consecutive, 1 GiB at most.
 * -EAGAIN if there is none that may be accessed so.
 */
static long type1_follow_pfns(struct type1_batch *batch,
			      struct vm_area_struct *vma, unsigned long addr,
			      unsigned long npages)
{
	bool write = batch->prot & IOMMU_WRITE;
	unsigned long pfn, nr, done = 0;

	if (type1_follow_leaf(vma, addr, write, &pfn, &nr))
		return -EAGAIN;

	batch->kind = TYPE1_FRAMES;
	batch->pfn = pfn;
	npages = min3(npages, (vma->vm_end - addr) >> PAGE_SHIFT,
		      TYPE1_RUN_PAGES);
	do {
		nr = min(nr, npages - done);
		if (!type1_pfns_unmanaged(pfn, nr))
			return done ?: -EFAULT;
		done += nr;
		cond_resched();
	} while (done < npages &&
		 !type1_follow_leaf(vma, addr + (done << PAGE_SHIFT), write,
				    &pfn, &nr) &&
		 pfn == batch->pfn + done);
	return done;
}

/*
 * What is at @addr in a VM_PFNMAP mapping. Called with the mmap lock held for read,
 * under which all of it is looked at: a device's memory is never taken for other
 * frames. May drop and retake the lock.
 */
static long type1_follow(struct type1_batch *batch, unsigned long addr,
			 unsigned long npages)
{
	unsigned int fault_flags = FAULT_FLAG_REMOTE;
	struct mm_struct *mm = batch->mm;
	struct vm_area_struct *vma;
	bool unlocked, faulted = false, device;
	long ret;

	if (batch->prot & IOMMU_WRITE)
		fault_flags |= FAULT_FLAG_WRITE;
	addr = untagged_addr_remote(mm, addr);

	for (;;) {
		vma = vma_lookup(mm, addr);
		if (!vma || !(vma->vm_flags & VM_PFNMAP))
			return -EFAULT;
		device = vfio_peer_vma(&batch->peer, vma);
		if (device && batch->peer.host)
			return type1_find_peer(batch, vma, addr, npages);
		ret = type1_follow_pfns(batch, vma, addr, npages);
		if (device && ret > 0) {
			batch->peer.phys = PFN_PHYS(batch->pfn);
			return type1_batch_peer(batch, vma, addr, ret);
		}
		if (ret != -EAGAIN)
			return ret;
		if (faulted)
			return -EFAULT;
		unlocked = false;
		ret = fixup_user_fault(mm, addr, fault_flags, &unlocked);
		if (ret)
			return ret;
		/* Else the VMA may have gone with the lock: the fault is moot. */
		faulted = !unlocked;
	}
}

static long type1_gup(struct mm_struct *mm, unsigned long vaddr, int npages,
		      bool write, struct page **pages)
{
	unsigned int flags = FOLL_LONGTERM;
	int locked = 1;
	long ret;

	if (write)
		flags |= FOLL_WRITE;
	/*
	 * What is mapped already needs no lock, but only in our own memory, and
	 * only if the last byte of all is not asked for: where user addresses
	 * have no upper end (s390), access_ok() takes that. There the quick way
	 * also gives what is mapped without any right (PROT_NONE), unless it is
	 * to be writable.
	 */
	if (write && mm == current->mm && vaddr + npages * PAGE_SIZE &&
	    access_ok((void __user *)vaddr, npages * PAGE_SIZE))
		return pin_user_pages_fast(vaddr, npages, flags, pages);

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	/* It is dropped while memory is waited for: others need it. */
	ret = pin_user_pages_remote(mm, vaddr, npages, flags, pages, &locked);
	if (locked)
		mmap_read_unlock(mm);
	return ret;
}

/*
 * Take up to @npages pages of memory, from @vaddr on. Takes as long as the user
 * likes, so no lock is held. Returns how many there are, at least one, or an
 * error:
 * -EFAULT: no such memory, or not with these rights
 * -EINTR: being killed
 * others from pin_user_pages_remote()
 */
long type1_batch_fill(struct type1_batch *batch, unsigned long vaddr,
		      unsigned long npages)
{
	struct mm_struct *mm = batch->mm;
	long ret;

	batch->kind = TYPE1_PAGES;
	ret = type1_gup(mm, vaddr, min(npages, TYPE1_BATCH_PAGES),
			batch->prot & IOMMU_WRITE, batch->pages);
	if (!ret)
		ret = -EFAULT;
	if (ret == -EFAULT) {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		ret = type1_follow(batch, vaddr, npages);
		mmap_read_unlock(mm);
	}

	batch->npages = max(ret, 0);
	return ret;
}

static int type1_locked_vm(struct task_struct *task, struct mm_struct *mm,
			   unsigned long npages, bool bypass)
{
	int ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	ret = __account_locked_vm(mm, npages, true, task, bypass);
	mmap_write_unlock(mm);
	if (ret)
		pr_warn_ratelimited("%s[%d]: RLIMIT_MEMLOCK (%lu) exceeded\n",
				    task->comm, task_pid_nr(task),
				    task_rlimit(task, RLIMIT_MEMLOCK));
	return ret;
}

/*
 * Charge @npages more pages to the process behind @dma, of which the caller
 * holds a user. -ENOMEM if that is over its limit, -EINTR if killed.
 */
int type1_charge(struct type1_dma *dma, unsigned long npages)
{
	int ret;

	if (!npages)
		return 0;
	ret = type1_locked_vm(dma->task, dma->mm, npages, dma->lock_cap);
	if (!ret)
		dma->charged += npages;
	return ret;
}

void type1_uncharge(struct type1_dma *dma, unsigned long npages)
{
	if (!npages)
		return;
	dma->charged -= npages;
	/* A counter that no process has any more needs no correction. */
	if (!mmget_not_zero(dma->mm))
		return;
	mmap_write_lock(dma->mm);
	__account_locked_vm(dma->mm, npages, false, dma->task, true);
	mmap_write_unlock(dma->mm);
	mmput_async(dma->mm);
}

/*
 * Make the charge @npages whatever it was. For callers that cannot fail, so
 * the limit is not looked at.
 */
void type1_charge_exactly(struct type1_dma *dma, unsigned long npages)
{
	unsigned long more;

	if (npages <= dma->charged) {
		type1_uncharge(dma, dma->charged - npages);
		return;
	}
	more = npages - dma->charged;
	if (!mmget_not_zero(dma->mm))
		return;
	mmap_write_lock(dma->mm);
	__account_locked_vm(dma->mm, more, true, dma->task, true);
	mmap_write_unlock(dma->mm);
	mmput_async(dma->mm);
	dma->charged = npages;
}

/*
 * The current process takes over @dma: its charge, and from now on its memory.
 * -ENOMEM if the charge is over its limit, -EINTR if killed; nothing changes
 * then.
 */
int type1_charge_move(struct type1_dma *dma)
{
	struct task_struct *task = current->group_leader;
	unsigned long npages = dma->charged;
	struct mm_struct *mm = current->mm;
	bool lock_cap;
	int ret;

	if (mm == dma->mm)
		return 0;

	lock_cap = capable(CAP_IPC_LOCK);
	if (npages) {
		ret = type1_locked_vm(task, mm, npages, lock_cap);
		if (ret)
			return ret;
	}
	type1_uncharge(dma, npages);

	get_task_struct(task);
	put_task_struct(dma->task);
	dma->task = task;
	mmgrab(mm);
	mmdrop(dma->mm);
	dma->mm = mm;
	dma->lock_cap = lock_cap;
	dma->charged = npages;
	return 0;
}
