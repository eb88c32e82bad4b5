// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device sets: devices that share something, a bus reset for instance, share a
 * struct vfio_device_set and its lock. Every device is in one, if need be alone.
 *
 * sets_lock	covers @sets and every device_count; the life of a set hangs on
 *		it. Innermost: a set's lock may be held for long, which is no affair
 *		of other sets.
 * set->lock	covers device_list and the open_count of each device in it. The
 *		core holds it around open_device() and close_device(), so a
 *		driver that takes it sees no device of the set being opened or
 *		closed.
 *
 * A reset may take 100 ms, and an iommufd that a device is attached to waits for
 * memory of the user. So who has to wait for one device alone, in open_device(),
 * close_device() or the operations of iommufd, steps aside: it drops the lock, and
 * takes it again when it steps back. Meanwhile the device counts as open. Whoever
 * opens, closes or attaches this device waits for it to be back; others do not. Who
 * does something to all devices of the set at once finds aside_count not 0, and may
 * wait for that where he has the right to them.
 */
#include <linux/slab.h>
#include <linux/xarray.h>

#include "vfio.h"

static DEFINE_MUTEX(sets_lock);
static DEFINE_XARRAY(sets);	/* by set_id */

static struct vfio_device_set *vfio_set_create(void *set_id)
{
	struct vfio_device_set *set;
	int ret;

	set = kzalloc(sizeof(*set), GFP_KERNEL);
	if (!set)
		return ERR_PTR(-ENOMEM);

	mutex_init(&set->lock);
	init_waitqueue_head(&set->back);
	INIT_LIST_HEAD(&set->device_list);
	set->set_id = set_id;

	ret = xa_err(xa_store(&sets, (unsigned long)set_id, set, GFP_KERNEL));
	if (ret) {
		kfree(set);
		return ERR_PTR(ret);
	}
	return set;
}

/**
 * vfio_assign_device_set() - put a device into a set
 * @device: the device, allocated but not registered, in no set yet
 * @set_id: identifies the set; any pointer that all members agree upon
 *
 * The device leaves the set when it is freed. A driver that does not call this
 * gets a set with this one device at registration.
 *
 * Context: may sleep; takes the lock of the set.
 * Return: 0, -EINVAL for a NULL @set_id, -ENOMEM.
 */
int vfio_assign_device_set(struct vfio_device *device, void *set_id)
{
	struct vfio_device_set *set;

	if (WARN_ON(!set_id))
		return -EINVAL;

	mutex_lock(&sets_lock);
	set = xa_load(&sets, (unsigned long)set_id);
	if (!set)
		set = vfio_set_create(set_id);
	if (!IS_ERR(set))
		set->device_count++;
	mutex_unlock(&sets_lock);
	if (IS_ERR(set))
		return PTR_ERR(set);

	mutex_lock(&set->lock);
	device->dev_set = set;
	list_add_tail(&device->dev_set_list, &set->device_list);
	mutex_unlock(&set->lock);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_assign_device_set);

/* Undo vfio_assign_device_set(), if it was called. */
void vfio_device_leave_set(struct vfio_device *device)
{
	struct vfio_device_set *set = device->dev_set;
	bool last;

	if (!set)
		return;

	mutex_lock(&set->lock);
	list_del(&device->dev_set_list);
	mutex_unlock(&set->lock);
	device->dev_set = NULL;

	mutex_lock(&sets_lock);
	last = !--set->device_count;
	if (last)
		xa_erase(&sets, (unsigned long)set->set_id);
	mutex_unlock(&sets_lock);
	if (!last)
		return;
	mutex_destroy(&set->lock);
	kfree(set);
}

/**
 * vfio_device_set_open_count() - how many times the devices of a set are open
 * @dev_set: the set
 *
 * A device that is being opened or closed right now, by the caller for
 * instance, counts as open.
 *
 * Context: the caller holds dev_set->lock.
 * Return: the sum of the open counts.
 */
unsigned int vfio_device_set_open_count(struct vfio_device_set *dev_set)
{
	struct vfio_device *device;
	unsigned int count = 0;

	lockdep_assert_held(&dev_set->lock);

	list_for_each_entry(device, &dev_set->device_list, dev_set_list)
		count += device->open_count;
	return count;
}
EXPORT_SYMBOL_GPL(vfio_device_set_open_count);

/**
 * vfio_device_step_aside() - let other devices of the set be opened and closed
 * @device: the device, whose open_device(), close_device() or operation of
 *	iommufd this is
 *
 * For the time that something to this device alone takes long. The driver holds
 * no lock that is taken inside dev_set->lock.
 *
 * Context: dev_set->lock is held and dropped.
 */
void vfio_device_step_aside(struct vfio_device *device)
{
	struct vfio_device_set *set = device->dev_set;

	lockdep_assert_held(&set->lock);

	/* Who waits for the device looks without the lock. */
	WRITE_ONCE(device->aside, true);
	set->aside_count++;
	mutex_unlock(&set->lock);
}
EXPORT_SYMBOL_GPL(vfio_device_step_aside);

/**
 * vfio_device_step_back() - undo vfio_device_step_aside()
 * @device: the device
 *
 * Context: may sleep; takes dev_set->lock and returns with it held.
 */
void vfio_device_step_back(struct vfio_device *device)
{
	struct vfio_device_set *set = device->dev_set;

	mutex_lock(&set->lock);
	WRITE_ONCE(device->aside, false);
	set->aside_count--;
	wake_up_all(&set->back);
}
EXPORT_SYMBOL_GPL(vfio_device_step_back);

/**
 * vfio_device_lock_set() - take the lock of a set for something to one device
 * @device: the device, which is not aside then
 *
 * Context: may sleep; takes dev_set->lock and returns with it held.
 */
void vfio_device_lock_set(struct vfio_device *device)
{
	struct vfio_device_set *set = device->dev_set;

	mutex_lock(&set->lock);
	while (device->aside) {
		mutex_unlock(&set->lock);
		wait_event(set->back, !READ_ONCE(device->aside));
		mutex_lock(&set->lock);
	}
}

/**
 * vfio_find_device_in_devset() - look up a member of a set
 * @dev_set: the set
 * @dev: the device behind the member
 *
 * Context: the caller holds dev_set->lock; the result is good for that long.
 * Return: the member, or NULL if @dev is not behind one.
 */
struct vfio_device *vfio_find_device_in_devset(struct vfio_device_set *dev_set,
					       struct device *dev)
{
	struct vfio_device *device;

	lockdep_assert_held(&dev_set->lock);

	list_for_each_entry(device, &dev_set->device_list, dev_set_list)
		if (device->dev == dev)
			return device;
	return NULL;
}
EXPORT_SYMBOL_GPL(vfio_find_device_in_devset);

void vfio_device_set_exit(void)
{
	xa_destroy(&sets);
}
