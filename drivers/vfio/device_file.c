// SPDX-License-Identifier: GPL-2.0-only
/*
 * The open files of a device: the first one opens the device, the last one
 * closes it, and what is done to a file goes to the driver.
 *
 * There are two kinds of file. The user of a group asks the group for a file,
 * and gets one that works (group.c). A file of /dev/vfio/devices is opened like
 * any other and works once it is bound to an iommufd (cdev.c). Both come to work
 * by vfio_device_file_start(), whatever that takes for the device, and stay so
 * until vfio_device_stop_files() at their release. Until df->working is set
 * nothing that is done to the file gets past this file.
 *
 * device->open_count, under dev_set->lock, is the number of files that work. It
 * is 1 while the driver's open_device() and close_device() run: there the device
 * counts as open, for vfio_pin_pages() as for the other devices of the set.
 *
 * What an open file holds: a registration of the device. What an open device
 * holds: its driver's module, the virtual machine of the file or its group, and
 * the IOMMU. With a group that means a use of what the group is attached to, and
 * the group's own file: the group cannot leave its container, and no other
 * process can have the group, before the last file of its last device is closed.
 * Without, it means that the device is bound to an iommufd, and that the group
 * cannot be opened.
 *
 * The files of a device that was revoked have nothing of that any more: whatever
 * is done to them is -ENODEV. What the core itself does for others runs as a call
 * of the device (revoke.c), outside of which nothing of it is touched.
 *
 * Lock order, from the outside: group->lock, which keeps what the group is
 * attached to; dev_set->lock; the container's group lock and whatever iommufd
 * takes.
 */
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/pm_runtime.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "vfio.h"

/* A file of @device, with @group if it is opened through that. */
struct vfio_device_file *vfio_device_file_alloc(struct vfio_device *device,
						struct vfio_group *group)
{
	struct vfio_device_file *df;

	df = kzalloc(sizeof(*df), GFP_KERNEL_ACCOUNT);
	if (!df)
		return NULL;

	df->device = device;
	df->group = group;
	INIT_LIST_HEAD(&df->next);
	vfio_kvm_slot_init(&df->kvm);
	return df;
}

static int vfio_device_first_open(struct vfio_device_file *df,
				  struct iommufd_ctx *ictx)
{
	struct vfio_device *device = df->device;
	struct module *owner = device->dev->driver->owner;
	int ret;

	if (!try_module_get(owner))
		return -ENODEV;

	vfio_device_get_kvm(device, df->group ? &df->group->kvm : &df->kvm);

	if (df->group)
		ret = vfio_group_use_iommu(device);
	else
		ret = vfio_iommufd_bind(device, ictx, &df->devid);
	if (ret)
		goto err_kvm;

	if (device->ops->open_device) {
		ret = device->ops->open_device(device);
		if (ret)
			goto err_iommu;
	}
	return 0;

err_iommu:
	if (df->group)
		vfio_group_unuse_iommu(device);
	else
		vfio_iommufd_unbind(device);
err_kvm:
	vfio_device_put_kvm(device);
	module_put(owner);
	return ret;
}

static void vfio_device_last_close(struct vfio_device *device)
{
	lockdep_assert_held(&device->dev_set->lock);

	vfio_peers_close(device);
	if (device->ops->close_device)
		device->ops->close_device(device);
	if (device->cdev_opened)
		vfio_iommufd_unbind(device);
	else
		vfio_group_unuse_iommu(device);
	vfio_device_put_kvm(device);
	module_put(device->dev->driver->owner);
}

/* A driver that pins pages looks at it without the lock: vfio_device_is_open(). */
static void vfio_device_count_open(struct vfio_device *device, int change)
{
	WRITE_ONCE(device->open_count, device->open_count + change);
}

/* Open the device for @df, which has no group if it comes with an iommufd. */
int vfio_device_file_start(struct vfio_device_file *df,
			   struct iommufd_ctx *ictx)
{
	struct vfio_device *device = df->device;
	int ret = 0;

	lockdep_assert_held(&device->dev_set->lock);

	vfio_device_count_open(device, 1);
	if (device->open_count == 1) {
		ret = vfio_device_first_open(df, ictx);
		if (ret)
			vfio_device_count_open(device, -1);
	}
	return ret;
}

/* Undo vfio_device_file_start() for @nr files of @device. */
void vfio_device_stop_files(struct vfio_device *device, unsigned int nr)
{
	lockdep_assert_held(&device->dev_set->lock);

	if (device->open_count == nr)
		vfio_device_last_close(device);
	vfio_device_count_open(device, -nr);
}

/*
 * Let a file be found by who revokes its device, and @opened say whether the
 * device is open through it. False if the device was revoked; then the file
 * stays what it was.
 */
static bool vfio_device_file_list(struct vfio_device_file *df, bool opened)
{
	struct vfio_device *device = df->device;
	struct vfio_device_users *users = vfio_device_users(device);
	bool listed = false;

	spin_lock(&users->lock);
	if (!device->revoked) {
		if (list_empty(&df->next))
			list_add(&df->next, &users->files);
		df->opened = opened;
		listed = true;
	}
	spin_unlock(&users->lock);
	return listed;
}

/* A new file that the device is not open through. */
bool vfio_device_file_add(struct vfio_device_file *df)
{
	return vfio_device_file_list(df, false);
}

/* The device is open through it: vfio_device_file_start(), in the same call. */
bool vfio_device_file_set_opened(struct vfio_device_file *df)
{
	if (!vfio_device_file_list(df, true))
		return false;

	if (vfio_device_is_noiommu(df->device))
		dev_warn(df->device->dev,
			 "vfio: opened without an IOMMU by \"%s\" (%d)\n",
			 current->comm, task_pid_nr(current));
	return true;
}

/* Who is told true stops the file, in the same call. */
bool vfio_device_file_unset_opened(struct vfio_device_file *df)
{
	return vfio_device_file_list(df, false);
}

/*
 * Opened, and nothing can fail any more: from here on requests come in. Not always
 * in a call: the device may have been revoked since, and its group be gone.
 */
void vfio_device_file_set_working(struct vfio_device_file *df)
{
	/* Whoever sees this set sees the device open. */
	smp_store_release(&df->working, true);
}

static bool vfio_device_file_works(struct vfio_device_file *df)
{
	/* Pairs with vfio_device_file_set_working(). */
	return smp_load_acquire(&df->working);
}

/* Nobody revokes the device in the meantime: it waits for the registration. */
static void vfio_device_file_close(struct vfio_device_file *df)
{
	if (df->group)
		vfio_group_close_device(df);
	else
		vfio_cdev_close(df);
	vfio_device_put_registration(df->device);
}

static int vfio_device_fops_release(struct inode *inode, struct file *file)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device_users *users = vfio_device_users(df->device);
	bool revoked;

	spin_lock(&users->lock);
	list_del(&df->next);
	revoked = df->device->revoked;
	spin_unlock(&users->lock);

	if (revoked)
		put_device(&df->device->device);
	else
		vfio_device_file_close(df);
	kfree(df);
	return 0;
}

/* What @file is to its device, or NULL if it is not a device's file. */
struct vfio_device_file *vfio_device_file_from_file(struct file *file)
{
	return file->f_op == &vfio_device_fops ? file->private_data : NULL;
}

struct vfio_device *vfio_device_from_file(struct file *file)
{
	struct vfio_device_file *df = vfio_device_file_from_file(file);

	return df ? df->device : NULL;
}

/*
 * Only buses whose drivers use runtime power management are asked to wake. The
 * drivers of revocable devices do that themselves, in their calls.
 */
static int vfio_device_wake(struct vfio_device *device)
{
	struct device *dev = device->dev;
	int ret;

	if (device->revocable || !dev->driver->pm)
		return 0;

	ret = pm_runtime_resume_and_get(dev);
	if (ret) {
		dev_info_ratelimited(dev, "vfio: cannot resume: %d\n", ret);
		return -EIO;
	}
	return 0;
}

static void vfio_device_let_sleep(struct vfio_device *device)
{
	if (!device->revocable && device->dev->driver->pm)
		pm_runtime_put(device->dev);
}

static long vfio_device_fops_ioctl(struct file *file, unsigned int cmd,
				   unsigned long arg)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;
	void __user *uarg = (void __user *)arg;
	long ret;

	if (READ_ONCE(device->revoked))
		return -ENODEV;
	if (cmd == VFIO_DEVICE_BIND_IOMMUFD)
		return vfio_cdev_bind(df, uarg);

	if (!vfio_device_file_works(df))
		return -EINVAL;

	ret = vfio_device_wake(device);
	if (ret)
		return ret;

	ret = df->group ? -ENOIOCTLCMD : vfio_cdev_ioctl(df, cmd, uarg);
	if (ret != -ENOIOCTLCMD)
		goto out;

	if (cmd == VFIO_DEVICE_FEATURE)
		ret = vfio_device_ioctl_feature(device, uarg);
	else if (device->ops->ioctl)
		ret = device->ops->ioctl(device, cmd, arg);
	else
		ret = -EINVAL;
out:
	vfio_device_let_sleep(device);
	return ret;
}

static ssize_t vfio_device_fops_read(struct file *file, char __user *buf,
				     size_t count, loff_t *ppos)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;

	if (READ_ONCE(device->revoked))
		return -ENODEV;
	if (!vfio_device_file_works(df) || !device->ops->read)
		return -EINVAL;
	return device->ops->read(device, buf, count, ppos);
}

static ssize_t vfio_device_fops_write(struct file *file,
				      const char __user *buf, size_t count,
				      loff_t *ppos)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;

	if (READ_ONCE(device->revoked))
		return -ENODEV;
	if (!vfio_device_file_works(df) || !device->ops->write)
		return -EINVAL;
	return device->ops->write(device, buf, count, ppos);
}

static int vfio_device_fops_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;

	if (READ_ONCE(device->revoked))
		return -ENODEV;
	if (!vfio_device_file_works(df) || !device->ops->mmap)
		return -EINVAL;
	return device->ops->mmap(device, vma);
}

/*
 * Huge page table entries need an address that agrees with the place in the
 * file: regions start where any huge page may, and so does what is behind a
 * large one. Fails where @size is too large for @len or for what is free.
 */
static unsigned long vfio_device_aligned_area(struct file *file,
					      unsigned long len,
					      unsigned long pgoff,
					      unsigned long flags,
					      unsigned long size)
{
	unsigned long offset = pgoff << PAGE_SHIFT;
	unsigned long addr;

	if (len < size || len + size < len)
		return -ENOMEM;

	addr = mm_get_unmapped_area(current->mm, file, 0, len + size, pgoff,
				    flags);
	if (IS_ERR_VALUE(addr))
		return addr;
	return addr + ((offset - addr) & (size - 1));
}

static unsigned long
vfio_device_fops_get_unmapped_area(struct file *file, unsigned long addr,
				   unsigned long len, unsigned long pgoff,
				   unsigned long flags)
{
	unsigned long area = -ENOMEM;

	if (!addr && !(flags & MAP_FIXED)) {
		if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP))
			area = vfio_device_aligned_area(file, len, pgoff, flags,
							PUD_SIZE);
		if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) &&
		    IS_ERR_VALUE(area))
			area = vfio_device_aligned_area(file, len, pgoff, flags,
							PMD_SIZE);
	}
	if (!IS_ERR_VALUE(area))
		return area;

	return mm_get_unmapped_area(current->mm, file, addr, len, pgoff, flags);
}

/* For /proc/PID/fdinfo: which device somebody has open. Later kernels say it thus. */
static void vfio_device_fops_show_fdinfo(struct seq_file *seq,
					 struct file *filep)
{
	struct vfio_device_file *df = filep->private_data;
	char *path;

	/* Of one that was revoked, what is above it in sysfs may be gone. */
	if (!vfio_device_enter(df->device))
		return;
	path = kobject_get_path(&df->device->dev->kobj, GFP_KERNEL);
	if (path)
		seq_printf(seq, "vfio-device-syspath: /sys%s\n", path);
	kfree(path);
	vfio_device_leave(df->device);
}

const struct file_operations vfio_device_fops = {
	.owner		= THIS_MODULE,
	.open		= vfio_cdev_open,
	.release	= vfio_device_fops_release,
	.read		= vfio_device_fops_read,
	.write		= vfio_device_fops_write,
	.unlocked_ioctl	= vfio_device_fops_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= vfio_device_fops_mmap,
	.get_unmapped_area = vfio_device_fops_get_unmapped_area,
	.show_fdinfo	= vfio_device_fops_show_fdinfo,
};
