// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking a device from users who do not give it back.
 *
 * vfio_unregister_group_dev() must not return while anything of the device's
 * users can still reach its driver. Two ways lead there. The users close their
 * files; the core asks them to and waits, for good. Or the core revokes the
 * device: it closes it, and leaves the users with files that can do nothing. It
 * waits for nobody when the hardware is gone, and by the administrator's policy
 * (revoke_after) when it is not.
 *
 * That takes a driver that is made for it and says so (vfio_device_set_revocable(),
 * vfio-pci). Devices of others are waited for, and cost nothing of what follows.
 *
 * Calls. A driver of revocable devices uses the hardware for a user between
 * vfio_device_enter() and vfio_device_leave(), which are users->calls, a
 * percpu_ref: taking it fails once it was killed. What waits for something that a
 * user can hold up, the user's memory in the first place, is outside of that: a
 * call begins when its arguments are there, and its answer is copied when it has
 * ended. So a user who is parked in a system call delays nobody. The exception is
 * iommufd: to attach a device pins memory, and to open, attach, detach or close one
 * waits for the address space, which IOMMU_IOAS_MAP may hold for as long as the
 * memory takes to come.
 *
 * Files. users->lock decides what becomes of a file: its release takes it off
 * users->files and closes it, as always; or revoking finds it there. Never both,
 * and revoking takes the references that the file needs from then on before it
 * lets go of the lock:
 *
 *   registration (device->refcount)	has the file until it is released or the
 *	device revoked. Unregistering waits for all of them in either case, so a
 *	release that has begun is over, and so is who is about to open a file.
 *   the device object, device->dev, the module with ops->release	has the
 *	file of a revoked device until it is released, and its character device,
 *	which a file keeps for a moment longer. Of a device that is not revoked
 *	unregistering waits for that, too.
 *
 * A file that is being opened, or bound, becomes "opened" under users->lock, and
 * fails there if the device was revoked. That is in the call that has opened the
 * device, so revoking finds either the file or, having waited for the call, a
 * device that is not open through it.
 *
 * In this order: revoked is set and the files are taken, under users->lock;
 * calls are killed and drained, so that no operation of the driver runs and none
 * will; the device is closed, under the locks that a release takes.
 *
 * What is left. Mappings stay; a driver of revocable devices answers their faults
 * from what is its own (vfio-pci: a closed gate). The device has left its set at
 * that time, so a reset or an open of what comes into its place does not meet it,
 * and its group: there the next device gets a new one, as groups end with their
 * last device (group.c).
 *
 * revoke.pml is a model of this, which lab/check searches.
 */
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/percpu-refcount.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "vfio.h"

#define REQUEST_PERIOD	(10 * HZ)
#define LOOK_PERIOD	HZ

#define FOLLOW_PARAM	INT_MIN

static int revoke_after = -1;
module_param(revoke_after, int, 0644);
MODULE_PARM_DESC(revoke_after, "Seconds after which a device that is to be unbound is taken from a user who does not close it; negative (default): never");

/* ---- Calls ---- */

static void vfio_device_drained(struct percpu_ref *calls)
{
	complete(&container_of(calls, struct vfio_device_users,
			       calls)->drained);
}

/**
 * vfio_device_enter() - begin to use the hardware for a user
 * @device: the device, of which the caller has a file
 *
 * A driver of revocable devices (see vfio_device_set_revocable()) does this in
 * each of its operations but open_device and close_device and those of
 * iommufd. Until vfio_device_leave() the device is not taken away, so nothing
 * that a user can hold up is waited for: no user memory is touched. Calls may
 * nest; the inner one may fail then.
 *
 * Context: any.
 * Return: false if the device was revoked: the hardware is not the driver's any
 * more. Always true for devices that are not revocable.
 */
bool vfio_device_enter(struct vfio_device *device)
{
	return !device->revocable ||
	       percpu_ref_tryget_live(&vfio_device_users(device)->calls);
}
EXPORT_SYMBOL_GPL(vfio_device_enter);

/**
 * vfio_device_leave() - undo vfio_device_enter()
 * @device: the device
 *
 * Context: any.
 */
void vfio_device_leave(struct vfio_device *device)
{
	if (device->revocable)
		percpu_ref_put(&vfio_device_users(device)->calls);
}
EXPORT_SYMBOL_GPL(vfio_device_leave);

/**
 * vfio_device_set_revocable() - let a device be taken from its users
 * @device: the device, not registered yet
 *
 * For a driver that keeps to this: its operations use the hardware, and what
 * belongs to who is bound to it, only between vfio_device_enter() and
 * vfio_device_leave(), and wake it up there, which the core does not do for them;
 * page faults of its mappings find out by themselves that close_device() has run,
 * and its mmap operation fills no page tables. vm_operations_struct.open and
 * close may be called after that.
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM.
 */
int vfio_device_set_revocable(struct vfio_device *device)
{
	int ret;

	ret = percpu_ref_init(&vfio_device_users(device)->calls,
			      vfio_device_drained, 0, GFP_KERNEL_ACCOUNT);
	if (!ret)
		device->revocable = true;
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_device_set_revocable);

/* ---- Revoking ---- */

/* Take the files from their users: through how many of them the device is open. */
static unsigned int vfio_device_take_files(struct vfio_device *device)
{
	struct vfio_device_users *users = vfio_device_users(device);
	unsigned int files = 0, opened = 0;
	struct vfio_device_file *df;

	spin_lock(&users->lock);
	WRITE_ONCE(device->revoked, true);
	list_for_each_entry(df, &users->files, next) {
		/* The file's, until its release. */
		get_device(&device->device);
		opened += df->opened;
		files++;
	}
	/* Its own, until vfio_cdev_release(). */
	if (users->has_cdev)
		get_device(&device->device);
	spin_unlock(&users->lock);

	/* Theirs; our own is gone already, so these may be the last. */
	if (files && refcount_sub_and_test(files, &device->refcount))
		complete(&device->comp);
	return opened;
}

/* What the releases of @opened files would have done. */
static void vfio_device_close_files(struct vfio_device *device,
				    unsigned int opened)
{
	/* One of these files is bound, so nobody else changes that. */
	bool bound = device->cdev_opened;

	if (!opened)
		return;

	if (!bound)
		vfio_group_lock(device);
	vfio_device_lock_set(device);
	vfio_device_stop_files(device, opened);
	if (bound)
		device->cdev_opened = false;
	mutex_unlock(&device->dev_set->lock);
	if (bound)
		vfio_group_let_open(device);
	else
		vfio_group_unlock(device);
}

/*
 * Take @device from everybody. It cannot be found any longer. The driver's
 * module is held.
 */
static void vfio_device_revoke(struct vfio_device *device)
{
	struct vfio_device_users *users = vfio_device_users(device);
	unsigned int opened;

	/* vfio_device_release() drops them. */
	get_device(device->dev);
	users->keeps_module = device->dev->driver->owner;

	opened = vfio_device_take_files(device);
	percpu_ref_kill(&users->calls);
	wait_for_completion(&users->drained);
	vfio_device_close_files(device, opened);
	dev_warn(device->dev, "vfio: revoked, files in use: %u\n", opened);
}

/* ---- Whether to ---- */

/**
 * vfio_device_set_gone() - the hardware is not there any more
 * @device: a device that is registered
 *
 * For drivers that know: unregistering it does not wait for its users then, if
 * it is revocable. Of a PCI device that was unplugged the core knows by itself.
 *
 * Context: any.
 */
void vfio_device_set_gone(struct vfio_device *device)
{
	WRITE_ONCE(device->gone, true);
}
EXPORT_SYMBOL_GPL(vfio_device_set_gone);

/**
 * vfio_device_is_gone() - is the hardware not its users' any more, for good?
 * @device: the device, allocated
 *
 * It was revoked, its driver has said so (vfio_device_set_gone()), or it was
 * unplugged.
 *
 * Context: any.
 * Return: true if it is.
 */
bool vfio_device_is_gone(struct vfio_device *device)
{
	if (READ_ONCE(device->revoked) || READ_ONCE(device->gone))
		return true;
	return dev_is_pci(device->dev) &&
	       READ_ONCE(to_pci_dev(device->dev)->error_state) ==
	       pci_channel_io_perm_failure;
}
EXPORT_SYMBOL_GPL(vfio_device_is_gone);

/* Has the administrator's patience with who has it open since @start ended? */
static bool vfio_device_is_due(struct vfio_device *device, unsigned long start)
{
	int after = READ_ONCE(vfio_device_users(device)->revoke_after);

	if (after == FOLLOW_PARAM)
		after = READ_ONCE(revoke_after);
	return after >= 0 && (jiffies - start) / HZ >= after;
}

/* Can the administrator still decide, now that the device's attribute is gone? */
bool vfio_device_heeds_param(struct vfio_device *device)
{
	return device->revocable &&
	       READ_ONCE(vfio_device_users(device)->revoke_after) == FOLLOW_PARAM;
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
	bool interrupted = false, stuck = false;
	unsigned int asked = 0;
	long ret;

	while (!try_wait_for_completion(over)) {
		if (time_after_eq(jiffies, ask)) {
			if (device->ops->request)
				device->ops->request(device, asked);
			if (asked++ == 1)
				vfio_device_name_holders(device);
			/*
			 * Who waits for the lock that this removal holds
			 * cannot let go. Another thread of his may, and has
			 * had the time for it.
			 */
			stuck = device->revocable &&
				time_after_eq(jiffies, start + REQUEST_PERIOD) &&
				vfio_device_holder_waits_for(device);
			ask = jiffies + REQUEST_PERIOD;
		}

		if (device->revocable &&
		    (stuck || vfio_device_is_gone(device) ||
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
	int after = READ_ONCE(vfio_device_users(device)->revoke_after);

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

	WRITE_ONCE(vfio_device_users(device)->revoke_after, after);
	return count;
}
static DEVICE_ATTR_RW(revoke_after);

static struct attribute *vfio_device_attrs[] = {
	&dev_attr_revoke_after.attr,
	NULL
};

static umode_t vfio_device_attr_is_visible(struct kobject *kobj,
					   struct attribute *attr, int n)
{
	struct vfio_device *device = container_of(kobj_to_dev(kobj),
						  struct vfio_device, device);

	return device->revocable ? attr->mode : 0;
}

static const struct attribute_group vfio_device_group = {
	.attrs = vfio_device_attrs,
	.is_visible = vfio_device_attr_is_visible,
};
__ATTRIBUTE_GROUPS(vfio_device);

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

	users->device = device;
	spin_lock_init(&users->lock);
	INIT_LIST_HEAD(&users->files);
	init_completion(&users->drained);
	init_completion(&users->cdev_over);
	device->inode->i_private = users;
	users->revoke_after = FOLLOW_PARAM;
	return 0;
}

void vfio_device_users_free(struct vfio_device *device)
{
	struct vfio_device_users *users = vfio_device_users(device);

	if (device->revocable)
		percpu_ref_exit(&users->calls);
	vfio_peers_put(users->peers);
	module_put(users->keeps_module);
	kfree(users);
}
