// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who has files of a device: what an administrator wants to know whose removal of
 * the device waits, and what tells that it waits for itself.
 *
 * Processes are searched by their file descriptors, like lsof does, since a file
 * may have been passed on by who opened it. A file that is only mapped, or on its
 * way through a socket, is not found.
 */
#include <linux/device.h>
#include <linux/fdtable.h>
#include <linux/idr.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/stacktrace.h>

#include "vfio.h"

#define NAMED_AT_MOST	8
#define WAITERS_AT_MOST	32
/* The removal waits for the search, and anybody may have many files to look through. */
#define SEARCH_AT_MOST	HZ
#define HOW_TO_TAKE_IT \
	"; to take it from them, write 0 to /sys/module/vfio/parameters/revoke_after"

static int vfio_is_file_of(const void *device, struct file *file,
			   unsigned int fd)
{
	return vfio_device_from_file(file) == device;
}

/* Its first thread may have ended; the others have the same files. */
static bool vfio_device_is_held_by(struct vfio_device *device,
				   struct task_struct *process)
{
	struct task_struct *thread;
	bool alive = false, held = false;

	rcu_read_lock();
	for_each_thread(process, thread) {
		task_lock(thread);
		alive = thread->files;
		held = alive && iterate_fd(thread->files, 0, vfio_is_file_of,
					   device);
		task_unlock(thread);
		if (alive)
			break;
	}
	rcu_read_unlock();
	return held;
}

/*
 * The first process from @nr on, which becomes its number, with a reference: there
 * may be thousands of them, with millions of files, through all of which nobody can
 * go in one RCU section.
 */
static struct task_struct *vfio_next_process(int *nr)
{
	struct task_struct *process = NULL;
	struct pid *pid;

	rcu_read_lock();
	for (; (pid = idr_get_next(&init_pid_ns.idr, nr)); (*nr)++) {
		process = pid_task(pid, PIDTYPE_TGID);
		if (process) {
			get_task_struct(process);
			break;
		}
	}
	rcu_read_unlock();
	return process;
}

/* What a sleeping task waits in, innermost first, without the scheduler. */
static void vfio_device_name_holder(struct vfio_device *device,
				    struct task_struct *process)
{
	unsigned long frames[3] = {};
	unsigned int nr = 0;

#ifdef CONFIG_STACKTRACE
	nr = stack_trace_save_tsk(process, frames, ARRAY_SIZE(frames), 2);
#endif
	if (nr == ARRAY_SIZE(frames))
		dev_warn(device->dev,
			 "vfio: it is open in \"%s\" (%d), which is in %ps, %ps, %ps\n",
			 process->comm, task_tgid_nr(process), (void *)frames[0],
			 (void *)frames[1], (void *)frames[2]);
	else
		dev_warn(device->dev, "vfio: it is open in \"%s\" (%d)\n",
			 process->comm, task_tgid_nr(process));
}

/* Tell who keeps @device from going, and what can be done. */
void vfio_device_name_holders(struct vfio_device *device)
{
	struct task_struct *process;
	unsigned long end = jiffies + SEARCH_AT_MOST;
	unsigned int named = 0;
	int nr;

	dev_warn(device->dev, "vfio: removal waits for the users of the device%s\n",
		 vfio_device_heeds_param(device) ? HOW_TO_TAKE_IT : "");
	for (nr = 1; named < NAMED_AT_MOST; nr++) {
		process = vfio_next_process(&nr);
		if (!process)
			break;
		if (vfio_device_is_held_by(device, process)) {
			vfio_device_name_holder(device, process);
			named++;
		}
		put_task_struct(process);
		cond_resched();
		if (time_after(jiffies, end)) {
			dev_warn(device->dev, "vfio: others may have it open, too: there are too many processes and files to look through\n");
			return;
		}
	}
	if (!named)
		dev_warn(device->dev, "vfio: no process has it open: it is mapped, or on its way to another process\n");
}

#ifndef CONFIG_PREEMPT_RT
/*
 * Places on the stacks of those who wait for @lock: each has put an entry of the
 * queue there. No more than there is room for: others spin for the queue meanwhile.
 */
static unsigned int vfio_lock_waiters(struct mutex *lock, void **places,
				      unsigned int room)
{
	struct list_head *entry;
	unsigned int nr = 0;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock->wait_lock, flags);
	list_for_each(entry, &lock->wait_list) {
		if (nr == room)
			break;
		places[nr++] = entry;
	}
	raw_spin_unlock_irqrestore(&lock->wait_lock, flags);
	return nr;
}
#else
static unsigned int vfio_lock_waiters(struct mutex *lock, void **places,
				      unsigned int room)
{
	return 0;
}
#endif

static bool vfio_has_on_stack(struct task_struct *thread, void **places,
			      unsigned int nr)
{
	void *stack = task_stack_page(thread);

	while (nr--)
		if (places[nr] >= stack && places[nr] < stack + THREAD_SIZE)
			return true;
	return false;
}

/*
 * Does somebody who has @device open wait for the lock of the device, which who
 * removes it holds, say by a read of an attribute in sysfs?
 */
bool vfio_device_holder_waits_for(struct vfio_device *device)
{
	struct task_struct *process, *thread;
	void *places[WAITERS_AT_MOST];
	bool found = false;
	unsigned int nr;

	nr = vfio_lock_waiters(&device->dev->mutex, places,
			       ARRAY_SIZE(places));
	if (!nr)
		return false;

	rcu_read_lock();
	for_each_process_thread(process, thread) {
		found = vfio_has_on_stack(thread, places, nr) &&
			vfio_device_is_held_by(device, process);
		if (found)
			goto unlock;
	}
unlock:
	rcu_read_unlock();
	return found;
}
