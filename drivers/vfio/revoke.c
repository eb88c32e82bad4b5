// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a device from users who do not give it back.
 *
 * vfio_unregister_group_dev() must not return while anything of the device's
 * users can still reach its driver. Two ways lead there. The users close their
 * files; the core asks them to and waits, for good. Or the core revokes the
 * device: it does to every file what the file's release would have done, and
 * leaves an empty shell to its user. It waits for nobody when the hardware is
 * gone, and by the administrator's policy (revoke_after) when it is not.
 *
 * Calls. Whatever a user does to a file runs as a call: read, write, ioctl, mmap,
 * faults of the mappings (device_mmap.c), opening, KVM's questions, an IOMMU back
 * end that maps a BAR. vfio_device_enter() puts it on users->calls and fails
 * once device->revoked is set, which makes it -ENODEV or SIGBUS for the user;
 * vfio_device_leave() takes it off. Both fields change under users->lock. That is
 * too slow for the many calls by which one thread uses one file: the first in a
 * file is its df->caller instead (vfio_device_file_enter()). Revoking sets the
 * flag, looks until the list is empty and no file has a caller, and then has the
 * device for itself: no operation of the driver runs, and none will but
 * close_device. Calls may nest, a read into a mapping of the same device for
 * instance: the inner one then fails and so the outer one ends.
 *
 * Calls that do not end. A driver's operation is code that the core cannot
 * interrupt, and is short, but for the memory of the user: a fault in it takes as
 * long as the user likes (userfaultfd, FUSE). So what a call reads of it is
 * touched once before the call begins, where being parked holds up nobody. Who
 * is parked in a call all the same, because the operation writes there, or looks
 * behind a pointer, or because somebody takes the page away again, is killed
 * after a while; such faults end then. The other locks that revoking takes
 * (group->lock, dev_set->lock, the container's group_lock and those of type1) are
 * never held across user memory, nor by who waits for somebody who is parked. An
 * iommufd has locks of its own: the last device leaves an address space when
 * nobody is parked who maps there; its DMA has ended by then.
 *
 * Closing. A file is closed towards the device once, by its release or here:
 * df->closed tells who does it. So each file leaves its group, container or
 * iommufd as always, close_device runs with the last one, and it is over before
 * unregistering returns, be it the release that does it: each file has a
 * registration, and revoking ends with the last of them.
 *
 * What is left. The file of a revoked device holds the device's memory, which is
 * the driver's structure, and what that needs: the parent's struct device, whose
 * driver may be another one by then, and the module with ops->release. Its
 * mappings stay and have no page table entries. A mapping's file holds all that,
 * too. The device has left its set at that time, so a reset or an open of what
 * comes into its place does not meet it, and its group: there the next device
 * gets a new one, as groups end with their last device (group.c).
 *
 * The driver's vm_operations_struct.close is not called for a mapping that
 * outlives the device: there is nothing left that it could give back. And a
 * driver whose mmap operation fills page tables itself, before the mm knows of
 * the mapping, must not be revoked while it does that; all that fault do better.
 */
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "vfio.h"

#define REQUEST_PERIOD	(10 * HZ)
#define LOOK_PERIOD	HZ
#define CALL_PATIENCE	(10 * HZ)

#define FOLLOW_PARAM	INT_MIN

static int revoke_after = -1;
module_param(revoke_after, int, 0644);
MODULE_PARM_DESC(revoke_after, "Seconds after which a device that is to be unbound is taken from a user who does not close it; negative (default): never");

/* ---- Calls ---- */

/**
 * vfio_device_enter() - begin something that may use the device's driver
 * @device: the device; the caller has a file of it, or a registration
 * @call: filled in, until vfio_device_leave()
 *
 * Context: any but an interrupt; in the context of the user's task.
 * Return: false if the device was revoked: it must not be used.
 */
bool vfio_device_enter(struct vfio_device *device,
		       struct vfio_device_call *call)
{
	bool entered;

	call->task = current;
	spin_lock(&vfio_device_users(device)->lock);
	entered = !device->revoked;
	if (entered)
		list_add(&call->next, &vfio_device_users(device)->calls);
	spin_unlock(&vfio_device_users(device)->lock);
	return entered;
}

void vfio_device_leave(struct vfio_device *device,
		       struct vfio_device_call *call)
{
	spin_lock(&vfio_device_users(device)->lock);
	list_del(&call->next);
	spin_unlock(&vfio_device_users(device)->lock);
}

static bool vfio_device_is_idle(struct vfio_device *device)
{
	struct vfio_device_file *df;
	bool idle;

	spin_lock(&vfio_device_users(device)->lock);
	idle = list_empty(&vfio_device_users(device)->calls);
	list_for_each_entry(df, &vfio_device_users(device)->files, next) {
		/* Pairs with vfio_device_file_leave_alone(). */
		if (smp_load_acquire(&df->caller))
			idle = false;
	}
	spin_unlock(&vfio_device_users(device)->lock);
	return idle;
}

static void vfio_device_kill(struct vfio_device *device,
			     struct task_struct *task)
{
	if (!task || task->flags & PF_KTHREAD)
		return;

	dev_warn(device->dev,
		 "vfio: \"%s\" (%d) does not return from a call, which keeps the device from going: killed\n",
		 task->comm, task_pid_nr(task));
	send_sig(SIGKILL, task, 1);
}

static void vfio_device_kill_callers(struct vfio_device *device)
{
	struct vfio_device_call *call;
	struct vfio_device_file *df;

	/* A file's caller may leave, and end, at any time. */
	rcu_read_lock();
	spin_lock(&vfio_device_users(device)->lock);
	list_for_each_entry(call, &vfio_device_users(device)->calls, next)
		vfio_device_kill(device, call->task);
	list_for_each_entry(df, &vfio_device_users(device)->files, next)
		vfio_device_kill(device, READ_ONCE(df->caller));
	spin_unlock(&vfio_device_users(device)->lock);
	rcu_read_unlock();
}

/* No call is under way afterwards, and none comes. */
static void vfio_device_end_calls(struct vfio_device *device)
{
	unsigned long patience = jiffies + CALL_PATIENCE;

	spin_lock(&vfio_device_users(device)->lock);
	WRITE_ONCE(device->revoked, true);
	spin_unlock(&vfio_device_users(device)->lock);

	/* Pairs with the cmpxchg() of vfio_device_file_enter_alone(). */
	smp_mb();
	while (!vfio_device_is_idle(device)) {
		if (time_after(jiffies, patience)) {
			vfio_device_kill_callers(device);
			patience = jiffies + CALL_PATIENCE;
		}
		schedule_timeout_uninterruptible(1);
	}
}

/* ---- Files ---- */

/* A file that nobody else closes, or NULL; it has a reference for the caller. */
static struct vfio_device_file *vfio_device_claim_file(struct vfio_device *device)
{
	struct vfio_device_file *df, *found = NULL;

	spin_lock(&vfio_device_users(device)->lock);
	list_for_each_entry(df, &vfio_device_users(device)->files, next) {
		if (vfio_device_file_claim(df)) {
			/* The file's, until its release. */
			get_device(&device->device);
			refcount_inc(&df->refs);
			found = df;
			break;
		}
	}
	spin_unlock(&vfio_device_users(device)->lock);
	return found;
}

/*
 * Take @device from everybody. Its users are hidden from no more: it cannot be
 * found any longer.
 */
static void vfio_device_revoke(struct vfio_device *device)
{
	struct vfio_device_file *df;
	unsigned int files = 0;

	/* vfio_device_release() drops them. */
	get_device(device->dev);
	vfio_device_users(device)->keeps_module = device->dev->driver->owner;

	vfio_device_end_calls(device);
	vfio_device_unmap_mapping_range(device, 0, 0);

	while ((df = vfio_device_claim_file(device))) {
		vfio_device_file_close(df);
		vfio_device_file_put(df);
		files++;
	}
	dev_warn(device->dev, "vfio: revoked, files open: %u\n", files);
}

/* ---- Whether to ---- */

/**
 * vfio_device_set_gone() - the hardware is not there any more
 * @device: a device that is registered
 *
 * For drivers that know: unregistering it does not wait for its users then. Of
 * a PCI device that was unplugged the core knows by itself.
 *
 * Context: any.
 */
void vfio_device_set_gone(struct vfio_device *device)
{
	WRITE_ONCE(device->gone, true);
}
EXPORT_SYMBOL_GPL(vfio_device_set_gone);

static bool vfio_device_is_gone(struct vfio_device *device)
{
	if (READ_ONCE(device->gone))
		return true;
	return dev_is_pci(device->dev) &&
	       READ_ONCE(to_pci_dev(device->dev)->error_state) ==
	       pci_channel_io_perm_failure;
}

/* Has the administrator's patience with who has it open since @start ended? */
static bool vfio_device_is_due(struct vfio_device *device, unsigned long start)
{
	int after = READ_ONCE(device->revoke_after);

	if (after == FOLLOW_PARAM)
		after = READ_ONCE(revoke_after);
	return after >= 0 && (jiffies - start) / HZ >= after;
}

/*
 * The caller's registration is dropped. Returns when no other one is left.
 *
 * A signal ends the interruptible wait, not the waiting: the driver is going
 * away and has nowhere to return an error to. Nor can a device be revoked whose
 * module is being unloaded: with it goes ops->release. Nobody has that open, at
 * worst there are files that are not bound.
 */
void vfio_device_end_users(struct vfio_device *device)
{
	struct completion *over = &device->comp;
	unsigned long start = jiffies, ask = start;
	bool interrupted = false;
	unsigned int asked = 0;
	long ret;

	while (!try_wait_for_completion(over)) {
		if (time_after_eq(jiffies, ask)) {
			if (device->ops->request)
				device->ops->request(device, asked++);
			ask = jiffies + REQUEST_PERIOD;
		}

		if (!device->revoked && (vfio_device_is_gone(device) ||
					 vfio_device_is_due(device, start)) &&
		    try_module_get(device->dev->driver->owner)) {
			vfio_device_revoke(device);
			wait_for_completion(over);
			return;
		}

		ret = interrupted ?
		      wait_for_completion_timeout(over, LOOK_PERIOD) :
		      wait_for_completion_interruptible_timeout(over,
								LOOK_PERIOD);
		if (ret > 0)
			return;
		if (ret < 0) {
			interrupted = true;
			ask = jiffies;
			dev_warn(device->dev,
				 "vfio: device is in use, \"%s\" (%d) is blocked until its user closes it\n",
				 current->comm, task_pid_nr(current));
		}
	}
}

/* ---- /sys/class/vfio-dev/vfioX/revoke_after ---- */

static ssize_t revoke_after_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct vfio_device *device =
			container_of(dev, struct vfio_device, device);
	int after = READ_ONCE(device->revoke_after);

	if (after == FOLLOW_PARAM)
		return sysfs_emit(buf, "default\n");
	return sysfs_emit(buf, "%d\n", after);
}

static ssize_t revoke_after_store(struct device *dev,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct vfio_device *device =
			container_of(dev, struct vfio_device, device);
	int after, ret;

	if (sysfs_streq(buf, "default")) {
		after = FOLLOW_PARAM;
	} else {
		ret = kstrtoint(buf, 0, &after);
		if (ret)
			return ret;
		if (after < -1)
			return -EINVAL;
	}

	WRITE_ONCE(device->revoke_after, after);
	return count;
}
static DEVICE_ATTR_RW(revoke_after);

static struct attribute *vfio_device_attrs[] = {
	&dev_attr_revoke_after.attr,
	NULL
};
ATTRIBUTE_GROUPS(vfio_device);

void __init vfio_revoke_init(struct class *class)
{
	class->dev_groups = vfio_device_groups;
}

/* A new device, which has an inode and no users. */
int vfio_device_users_alloc(struct vfio_device *device)
{
	struct vfio_device_users *users;

	users = kzalloc(sizeof(*users), GFP_KERNEL_ACCOUNT);
	if (!users)
		return -ENOMEM;

	spin_lock_init(&users->lock);
	INIT_LIST_HEAD(&users->calls);
	INIT_LIST_HEAD(&users->files);
	INIT_LIST_HEAD(&users->vm_ops);
	device->inode->i_private = users;
	device->revoke_after = FOLLOW_PARAM;
	return 0;
}

void vfio_device_users_free(struct vfio_device *device)
{
	struct vfio_device_users *users = vfio_device_users(device);

	vfio_device_free_vm_ops(device);
	module_put(users->keeps_module);
	kfree(users);
}
