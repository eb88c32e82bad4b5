// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is charged for locked memory.
 *
 * An mm's locked_vm changes with its mmap_lock held for write. The mm's user can keep
 * that from anybody for as long as he likes: a fault handler waits for a FUSE server
 * with mmap_lock held for read. So mmap_lock is waited for only to charge more, which
 * can be killed, by who holds no lock that others need. What is given back is given
 * back at once if mmap_lock can be had, else it is owed, and a worker does it: who
 * closes a device or unmaps memory never waits for another's mm.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "type1.h"

/* How long a process waits for what it is owed itself, and how often that is tried. */
#define TYPE1_OWED_TIMEOUT	(HZ / 10)
#define TYPE1_OWED_PERIOD	(HZ / 10)

/**
 * struct type1_owed - what an mm gets back as soon as its mmap_lock can be had
 * @next: in type1_owed_list; of each mm there is one
 * @mm: held by mmgrab()
 * @npages: pages; charged instead if negative
 */
struct type1_owed {
	struct list_head next;
	struct mm_struct *mm;
	long npages;
};

static void type1_owed_work(struct work_struct *work);

/* Inside mmap_lock; nothing is waited for under it. */
static DEFINE_MUTEX(type1_owed_lock);
static LIST_HEAD(type1_owed_list);
static unsigned long type1_owed_delay;
static DECLARE_DELAYED_WORK(type1_owed_worker, type1_owed_work);

static struct type1_owed *type1_owed_find(struct mm_struct *mm)
{
	struct type1_owed *owed;

	lockdep_assert_held(&type1_owed_lock);

	list_for_each_entry(owed, &type1_owed_list, next)
		if (owed->mm == mm)
			return owed;
	return NULL;
}

static void type1_account(struct mm_struct *mm, long npages)
{
	if (npages)
		__account_locked_vm(mm, abs(npages), npages < 0, current, true);
}

/* Give back @npages and what is owed besides, with mmap_lock held for write. */
static void type1_give_back(struct mm_struct *mm, long npages)
{
	struct type1_owed *owed;

	if (!list_empty(&type1_owed_list)) {
		mutex_lock(&type1_owed_lock);
		owed = type1_owed_find(mm);
		if (owed) {
			npages += owed->npages;
			owed->npages = 0;
		}
		mutex_unlock(&type1_owed_lock);
	}
	type1_account(mm, npages);
}

/* No VMA is written to, so the lock alone will do. */
static bool type1_lock_mm(struct mm_struct *mm)
{
	return down_write_trylock(&mm->mmap_lock);
}

static void type1_unlock_mm(struct mm_struct *mm)
{
	up_write(&mm->mmap_lock);
}

static void type1_owed_work(struct work_struct *work)
{
	struct type1_owed *owed, *next;

	mutex_lock(&type1_owed_lock);
	list_for_each_entry_safe(owed, next, &type1_owed_list, next) {
		if (!type1_lock_mm(owed->mm))
			continue;
		type1_account(owed->mm, owed->npages);
		type1_unlock_mm(owed->mm);
		list_del(&owed->next);
		mmdrop(owed->mm);
		kfree(owed);
		module_put(THIS_MODULE);
		cond_resched();
	}
	type1_owed_delay = min(2 * type1_owed_delay, TYPE1_OWED_PERIOD);
	if (!list_empty(&type1_owed_list))
		schedule_delayed_work(&type1_owed_worker, type1_owed_delay);
	mutex_unlock(&type1_owed_lock);
}

static void type1_owe(struct mm_struct *mm, long npages)
{
	struct type1_owed *owed;

	mutex_lock(&type1_owed_lock);
	owed = type1_owed_find(mm);
	if (!owed) {
		/* It must not be lost. */
		owed = kzalloc(sizeof(*owed), GFP_KERNEL | __GFP_NOFAIL);
		mmgrab(mm);
		owed->mm = mm;
		list_add(&owed->next, &type1_owed_list);
		__module_get(THIS_MODULE);
		type1_owed_delay = 1;
		mod_delayed_work(system_wq, &type1_owed_worker, 1);
	}
	owed->npages += npages;
	mutex_unlock(&type1_owed_lock);
}

static bool type1_is_owed(struct mm_struct *mm)
{
	bool is;

	mutex_lock(&type1_owed_lock);
	is = type1_owed_find(mm);
	mutex_unlock(&type1_owed_lock);
	return is;
}

/*
 * Give @npages back to @mm, or charge them regardless of the limit if negative. For
 * callers that cannot fail and may hold any lock but mmap_lock: it is not waited for.
 */
void type1_credit(struct mm_struct *mm, long npages)
{
	/* A counter that no process has any more needs no correction. */
	if (!npages || !mmget_not_zero(mm))
		return;
	if (type1_lock_mm(mm)) {
		type1_give_back(mm, npages);
		type1_unlock_mm(mm);
	} else {
		type1_owe(mm, npages);
	}
	mmput_async(mm);
}

/*
 * A call ends that may have given something back to the caller's mm, so the caller
 * expects to have it: wait a moment if it is owed. No lock is held that waits for the
 * caller's memory.
 */
void type1_wait_owed(void)
{
	unsigned long end = jiffies + TYPE1_OWED_TIMEOUT;
	struct mm_struct *mm = current->mm;

	if (!mm || list_empty(&type1_owed_list))
		return;
	while (type1_is_owed(mm) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
}

/*
 * Charge @npages to @mm, which @task is of and the caller holds a user of. Nobody waits
 * for a lock that the caller holds. -ENOMEM if that is over the limit, -EINTR if killed.
 */
static int type1_pay(struct task_struct *task, struct mm_struct *mm,
		     unsigned long npages, bool bypass)
{
	int ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	type1_give_back(mm, 0);
	ret = __account_locked_vm(mm, npages, true, task, bypass);
	mmap_write_unlock(mm);
	if (ret)
		pr_warn_ratelimited("%s[%d]: RLIMIT_MEMLOCK (%lu) exceeded\n",
				    task->comm, task_pid_nr(task),
				    task_rlimit(task, RLIMIT_MEMLOCK));
	return ret;
}

/*
 * Charge @npages more pages to the process behind @dma, the caller's own, of which he
 * holds a user. -ENOMEM if that is over its limit, -EINTR if killed.
 */
int type1_charge(struct type1_dma *dma, unsigned long npages)
{
	int ret;

	if (!npages)
		return 0;
	ret = type1_pay(dma->task, dma->mm, npages, dma->lock_cap);
	if (!ret)
		dma->charged += npages;
	return ret;
}

/*
 * Charge @npages to @mm, which @task is of, for what will be put into @iommu under its
 * lock. Drops the lock. As type1_charge(), and -ENODEV if the process is gone.
 */
int type1_prepay(struct type1_iommu *iommu, struct task_struct *task,
		 struct mm_struct *mm, unsigned long npages, bool bypass)
{
	int ret;

	if (!mmget_not_zero(mm))
		return -ENODEV;
	get_task_struct(task);
	mutex_unlock(&iommu->lock);
	ret = type1_pay(task, mm, npages, bypass);
	mutex_lock(&iommu->lock);
	put_task_struct(task);
	mmput_async(mm);
	return ret;
}

void type1_uncharge(struct type1_dma *dma, unsigned long npages)
{
	dma->charged -= npages;
	type1_credit(dma->mm, npages);
}

/*
 * Make the charge @npages whatever it was. For callers that cannot fail, so
 * the limit is not looked at.
 */
void type1_charge_exactly(struct type1_dma *dma, unsigned long npages)
{
	type1_credit(dma->mm, dma->charged - npages);
	dma->charged = npages;
}

/* The current process, which has paid for @dma, takes it over: its memory from now on. */
void type1_charge_move(struct type1_dma *dma, bool lock_cap)
{
	struct task_struct *task = current->group_leader;
	struct mm_struct *mm = current->mm;

	type1_credit(dma->mm, dma->charged);
	get_task_struct(task);
	put_task_struct(dma->task);
	dma->task = task;
	mmgrab(mm);
	mmdrop(dma->mm);
	dma->mm = mm;
	dma->lock_cap = lock_cap;
}

/* Nothing is owed any more, or the module would be in use. */
void type1_charge_exit(void)
{
	cancel_delayed_work_sync(&type1_owed_worker);
}
