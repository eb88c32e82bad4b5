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
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/stacktrace.h>

#include "vfio.h"

#define NAMED_AT_MOST	8
#define HOW_TO_TAKE_IT \
	"; to take it from them, write 0 to /sys/module/vfio/parameters/revoke_after"

static int vfio_is_file_of(const void *device, struct file *file,
			   unsigned int fd)
{
	return vfio_device_from_file(file) == device;
}

static bool vfio_device_is_held_by(struct vfio_device *device,
				   struct task_struct *process)
{
	bool held;

	task_lock(process);
	held = process->files &&
	       iterate_fd(process->files, 0, vfio_is_file_of, device);
	task_unlock(process);
	return held;
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
	unsigned int named = 0;

	dev_warn(device->dev, "vfio: removal waits for the users of the device%s\n",
		 device->revocable ? HOW_TO_TAKE_IT : "");
	rcu_read_lock();
	for_each_process(process) {
		if (!vfio_device_is_held_by(device, process))
			continue;
		vfio_device_name_holder(device, process);
		if (++named == NAMED_AT_MOST)
			break;
	}
	rcu_read_unlock();
	if (!named)
		dev_warn(device->dev, "vfio: no process has it open: it is mapped, or on its way to another process\n");
}

#ifndef CONFIG_PREEMPT_RT
/*
 * Does a thread of @process wait for @lock? Who does has put an entry of the
 * queue on its stack.
 */
static bool vfio_process_waits_for(struct task_struct *process,
				   struct mutex *lock)
{
	struct task_struct *thread;
	struct list_head *entry;
	unsigned long flags;
	bool found = false;

	raw_spin_lock_irqsave(&lock->wait_lock, flags);
	list_for_each(entry, &lock->wait_list) {
		for_each_thread(process, thread) {
			void *stack = task_stack_page(thread);

			found |= (void *)entry >= stack &&
				 (void *)entry < stack + THREAD_SIZE;
		}
	}
	raw_spin_unlock_irqrestore(&lock->wait_lock, flags);
	return found;
}

static bool vfio_lock_has_waiters(struct mutex *lock)
{
	return !list_empty_careful(&lock->wait_list);
}
#else
static bool vfio_process_waits_for(struct task_struct *process,
				   struct mutex *lock)
{
	return false;
}

static bool vfio_lock_has_waiters(struct mutex *lock)
{
	return false;
}
#endif

/* Whose removal removes @device, too: the PF of a VF. */
static struct device *vfio_device_above(struct vfio_device *device)
{
	if (!dev_is_pci(device->dev))
		return device->dev;
	return &pci_physfn(to_pci_dev(device->dev))->dev;
}

static bool vfio_removal_has_waiters(struct vfio_device *device)
{
	return vfio_lock_has_waiters(&device->dev->mutex) ||
	       vfio_lock_has_waiters(&vfio_device_above(device)->mutex);
}

static bool vfio_process_waits_for_removal(struct vfio_device *device,
					   struct task_struct *process)
{
	return vfio_process_waits_for(process, &device->dev->mutex) ||
	       vfio_process_waits_for(process,
				      &vfio_device_above(device)->mutex);
}

/*
 * Does somebody who has @device open wait for a lock of the removal that waits
 * for him, say by a read of an attribute in sysfs?
 */
bool vfio_device_holder_waits_for(struct vfio_device *device)
{
	struct task_struct *process;
	bool found = false;

	/* Nearly always: nobody has to be searched. */
	if (!vfio_removal_has_waiters(device))
		return false;

	rcu_read_lock();
	for_each_process(process) {
		found = vfio_device_is_held_by(device, process) &&
			vfio_process_waits_for_removal(device, process);
		if (found)
			break;
	}
	rcu_read_unlock();
	return found;
}
