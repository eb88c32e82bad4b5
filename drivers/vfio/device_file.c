// SPDX-License-Identifier: GPL-2.0-only
/*
 * The open files of a device: the first one opens the device, the last one
 * closes it, and what is done to a file goes to the driver.
 *
 * device->open_count, under dev_set->lock, is the number of open files. It is 1
 * while the driver's open_device() and close_device() run: there the device
 * counts as open, for vfio_pin_pages() as for the other devices of the set.
 *
 * What an open file holds: a registration of the device. What an open device
 * holds: its driver's module, the virtual machine of the group, and a use of
 * the container, with which comes the group's own file. So a group cannot leave
 * its container, and no other process can have the group, before the last file
 * of its last device is closed.
 *
 * Lock order, from the outside: group->lock, which keeps the container where it
 * is; dev_set->lock; the container's group lock.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/pm_runtime.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vfio.h"

static const struct file_operations vfio_device_fops;

static int vfio_device_first_open(struct vfio_device *device,
				  struct vfio_group *group)
{
	struct module *owner = device->dev->driver->owner;
	int ret;

	if (!try_module_get(owner))
		return -ENODEV;

	vfio_device_get_kvm(device, group);

	ret = vfio_container_use(device);
	if (ret)
		goto err_kvm;

	if (device->ops->open_device) {
		ret = device->ops->open_device(device);
		if (ret)
			goto err_container;
	}
	return 0;

err_container:
	vfio_container_unuse(device);
err_kvm:
	vfio_device_put_kvm(device);
	module_put(owner);
	return ret;
}

static void vfio_device_last_close(struct vfio_device *device)
{
	if (device->ops->close_device)
		device->ops->close_device(device);
	vfio_container_unuse(device);
	vfio_device_put_kvm(device);
	module_put(device->dev->driver->owner);
}

static int vfio_device_open(struct vfio_device *device,
			    struct vfio_group *group)
{
	int ret = 0;

	mutex_lock(&group->lock);
	if (!group->container) {
		ret = -EINVAL;
		goto out_group;
	}

	mutex_lock(&device->dev_set->lock);
	if (device->open_count++ == 0) {
		ret = vfio_device_first_open(device, group);
		if (ret)
			device->open_count--;
	}
	mutex_unlock(&device->dev_set->lock);
out_group:
	mutex_unlock(&group->lock);
	return ret;
}

static void vfio_device_close(struct vfio_device *device,
			      struct vfio_group *group)
{
	mutex_lock(&group->lock);
	mutex_lock(&device->dev_set->lock);
	if (device->open_count == 1)
		vfio_device_last_close(device);
	device->open_count--;
	mutex_unlock(&device->dev_set->lock);
	mutex_unlock(&group->lock);
}

/*
 * Open a device through its group. The caller has a registration of the device,
 * which the file takes over on success.
 */
struct file *vfio_device_file_open(struct vfio_device *device)
{
	struct vfio_group *group = device->group;
	struct vfio_device_file *df;
	struct file *file;
	int ret;

	df = kzalloc(sizeof(*df), GFP_KERNEL_ACCOUNT);
	if (!df)
		return ERR_PTR(-ENOMEM);
	df->device = device;
	df->group = group;

	ret = vfio_device_open(device, group);
	if (ret)
		goto err_free;

	file = anon_inode_getfile_fmode("[vfio-device]", &vfio_device_fops, df,
					O_RDWR, FMODE_PREAD | FMODE_PWRITE);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_close;
	}
	file->f_mapping = device->inode->i_mapping;

	if (group->type == VFIO_NO_IOMMU)
		dev_warn(device->dev,
			 "vfio: opened without an IOMMU by \"%s\" (%d)\n",
			 current->comm, task_pid_nr(current));
	return file;

err_close:
	vfio_device_close(device, group);
err_free:
	kfree(df);
	return ERR_PTR(ret);
}

static int vfio_device_fops_release(struct inode *inode, struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	vfio_device_close(df->device, df->group);
	vfio_device_put_registration(df->device);
	kfree(df);
	return 0;
}

/* The device that @file belongs to, or NULL if it is not a device's file. */
struct vfio_device *vfio_device_from_file(struct file *file)
{
	struct vfio_device_file *df = file->private_data;

	return file->f_op == &vfio_device_fops ? df->device : NULL;
}

/* Only buses whose drivers use runtime power management are asked to wake. */
static int vfio_device_wake(struct device *dev)
{
	int ret;

	if (!dev->driver->pm)
		return 0;

	ret = pm_runtime_resume_and_get(dev);
	if (ret) {
		dev_info_ratelimited(dev, "vfio: cannot resume: %d\n", ret);
		return -EIO;
	}
	return 0;
}

static void vfio_device_let_sleep(struct device *dev)
{
	if (dev->driver->pm)
		pm_runtime_put(dev);
}

static long vfio_device_fops_ioctl(struct file *file, unsigned int cmd,
				   unsigned long arg)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;
	long ret;

	ret = vfio_device_wake(device->dev);
	if (ret)
		return ret;

	if (cmd == VFIO_DEVICE_FEATURE)
		ret = vfio_device_ioctl_feature(device, (void __user *)arg);
	else if (device->ops->ioctl)
		ret = device->ops->ioctl(device, cmd, arg);
	else
		ret = -EINVAL;

	vfio_device_let_sleep(device->dev);
	return ret;
}

static ssize_t vfio_device_fops_read(struct file *file, char __user *buf,
				     size_t count, loff_t *ppos)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;

	if (!device->ops->read)
		return -EINVAL;
	return device->ops->read(device, buf, count, ppos);
}

static ssize_t vfio_device_fops_write(struct file *file,
				      const char __user *buf, size_t count,
				      loff_t *ppos)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;

	if (!device->ops->write)
		return -EINVAL;
	return device->ops->write(device, buf, count, ppos);
}

static int vfio_device_fops_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vfio_device_file *df = file->private_data;
	struct vfio_device *device = df->device;

	if (!device->ops->mmap)
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

static const struct file_operations vfio_device_fops = {
	.owner		= THIS_MODULE,
	.release	= vfio_device_fops_release,
	.read		= vfio_device_fops_read,
	.write		= vfio_device_fops_write,
	.unlocked_ioctl	= vfio_device_fops_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= vfio_device_fops_mmap,
	.get_unmapped_area = vfio_device_fops_get_unmapped_area,
};
