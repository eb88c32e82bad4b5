// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups: /dev/vfio/N.
 *
 * An IOMMU can tell some devices apart and others not; those that it cannot
 * make an iommu_group, and only as a whole can they be given to a user. There is
 * one vfio_group for each iommu_group with a device registered here. A device
 * without an IOMMU, and one whose driver does the DMA (mdev), gets a fake
 * iommu_group of its own, so that users see one interface.
 *
 * A group may be used once every device in it is either bound to a driver that
 * keeps its hands off DMA or to none; the IOMMU core knows that as the DMA
 * ownership of the group, which is claimed on attaching it to a container.
 *
 * In place of a container, VFIO_GROUP_SET_CONTAINER takes an iommufd, which
 * offers its users the ioctls of a container on one of its address spaces. Then
 * DMA ownership is claimed when the first device of the group is opened: that
 * binds the device and attaches it to the address space.
 *
 * A user of /dev/vfio/devices (cdev.c) does without the group. Each keeps the
 * other out: group->file is set while the group is open, group->nr_bound is not
 * 0 while a device of it is bound.
 *
 * Lifetime. A device that joins a group keeps it alive; when the last one has
 * left, the group is unlisted, its character device removed, it is taken out of
 * its container, and group->iommu_group is cleared. Files of the group may still
 * be open then: they see -ENODEV from every operation. They hold the memory of
 * the group, through the cdev. A device comes back into a new group, even under
 * the same number.
 *
 * Locks, from the outside:
 *
 * groups_lock		the list of groups, nr_devices, and the creation and
 *			removal of their devices in sysfs, whose names must not
 *			collide. Nobody's device or memory is waited for in it
 * group->lock		the state of one group: what it is attached to, its file,
 *			whether it is still there. Outer to dev_set->lock, since
 *			opening a device needs an attached group, and to the
 *			container's group lock; inner to its ioctl lock.
 *			Binding a device of /dev/vfio/devices takes it before
 *			dev_set->lock, not around.
 * group->device_lock	the devices that can be opened by name. Outer to what
 *			ops->match() takes; nothing of the core inside.
 * group->kvm.lock	a spinlock; innermost
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "vfio.h"

static DEFINE_MUTEX(groups_lock);
static LIST_HEAD(groups);
static DEFINE_IDA(group_minors);
static dev_t group_devt;
static struct class *group_class;

static const struct file_operations vfio_group_fops;

/* The last reference is gone, be it that of a file. */
static void vfio_group_release(struct device *dev)
{
	struct vfio_group *group = container_of(dev, struct vfio_group, dev);

	ida_free(&group_minors, MINOR(dev->devt));
	mutex_destroy(&group->lock);
	mutex_destroy(&group->device_lock);
	kfree(group);
}

/* The group of @iommu_group, if there is one. Under groups_lock. */
static struct vfio_group *vfio_group_find(struct iommu_group *iommu_group)
{
	struct vfio_group *group;

	list_for_each_entry(group, &groups, next)
		if (group->iommu_group == iommu_group)
			return group;
	return NULL;
}

static struct vfio_group *vfio_group_create(struct iommu_group *iommu_group,
					    enum vfio_group_type type)
{
	struct vfio_group *group;
	int minor, ret;

	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return ERR_PTR(-ENOMEM);

	minor = ida_alloc_max(&group_minors, MINORMASK, GFP_KERNEL);
	if (minor < 0) {
		kfree(group);
		return ERR_PTR(minor);
	}

	group->type = type;
	mutex_init(&group->device_lock);
	INIT_LIST_HEAD(&group->device_list);
	mutex_init(&group->lock);
	vfio_kvm_slot_init(&group->kvm);

	device_initialize(&group->dev);
	group->dev.devt = MKDEV(MAJOR(group_devt), minor);
	group->dev.class = group_class;
	group->dev.release = vfio_group_release;
	cdev_init(&group->cdev, &vfio_group_fops);
	group->cdev.owner = THIS_MODULE;

	ret = dev_set_name(&group->dev, "%s%d",
			   type == VFIO_NO_IOMMU ? "noiommu-" : "",
			   iommu_group_id(iommu_group));
	if (ret)
		goto err_put;

	/* Before the group can be opened. */
	group->iommu_group = iommu_group_ref_get(iommu_group);

	ret = cdev_device_add(&group->cdev, &group->dev);
	if (ret)
		goto err_iommu_group;

	list_add(&group->next, &groups);
	return group;

err_iommu_group:
	iommu_group_put(group->iommu_group);
err_put:
	put_device(&group->dev);
	return ERR_PTR(ret);
}

static bool vfio_group_is_attached(struct vfio_group *group)
{
	return group->container || group->iommufd;
}

/* @group is attached to nothing. -EBADFD: @file is not what it can be. */
static int vfio_group_attach(struct vfio_group *group, struct file *file)
{
	if (vfio_file_is_container(file))
		return vfio_container_attach_group(file, group);
	return vfio_iommufd_attach_group(file, group);
}

/* No device of @group is open through it. */
static void vfio_group_detach(struct vfio_group *group)
{
	if (group->container)
		vfio_container_detach_group(group);
	else if (group->iommufd)
		vfio_iommufd_detach_group(group);
}

/* The last device has left: nobody finds the group any more. Under groups_lock. */
static void vfio_group_hide(struct vfio_group *group)
{
	list_del(&group->next);
	cdev_device_del(&group->cdev, &group->dev);
}

/*
 * Undo vfio_group_create(). To leave a container may mean to unpin all of its
 * memory, which nobody else waits for. A device of the same iommu_group that
 * arrives meanwhile gets a new group, which cannot be attached until this is over.
 */
static void vfio_group_remove(struct vfio_group *group)
{
	struct iommu_group *iommu_group;

	mutex_lock(&group->lock);
	vfio_group_detach(group);
	iommu_group = group->iommu_group;
	group->iommu_group = NULL;
	mutex_unlock(&group->lock);

	iommu_group_put(iommu_group);
	put_device(&group->dev);
}

/* A new iommu_group with @dev in it, which the caller has a reference of. */
static struct iommu_group *vfio_fake_iommu_group(struct device *dev)
{
	struct iommu_group *iommu_group;
	int ret;

	iommu_group = iommu_group_alloc();
	if (IS_ERR(iommu_group))
		return iommu_group;

	ret = iommu_group_set_name(iommu_group, "vfio-noiommu");
	if (!ret)
		ret = iommu_group_add_device(iommu_group, dev);
	if (ret) {
		iommu_group_put(iommu_group);
		return ERR_PTR(ret);
	}
	return iommu_group;
}

/*
 * Give @device its group. With VFIO_IOMMU the group may come out as
 * VFIO_NO_IOMMU, if there is no IOMMU and the administrator allows that.
 */
int vfio_device_join_group(struct vfio_device *device,
			   enum vfio_group_type type)
{
	struct iommu_group *iommu_group = NULL;
	struct device *dev = device->dev;
	struct vfio_group *group;

	if (type == VFIO_IOMMU) {
		iommu_group = iommu_group_get(dev);
		if (!iommu_group && !vfio_noiommu_enabled) {
			dev_warn(dev, "vfio: no IOMMU confines this device\n");
			return -EINVAL;
		}
		if (!iommu_group)
			type = VFIO_NO_IOMMU;
	}

	if (type != VFIO_IOMMU) {
		iommu_group = vfio_fake_iommu_group(dev);
		if (IS_ERR(iommu_group))
			return PTR_ERR(iommu_group);
	}

	mutex_lock(&groups_lock);
	group = vfio_group_find(iommu_group);
	if (!group)
		group = vfio_group_create(iommu_group, type);
	if (!IS_ERR(group))
		group->nr_devices++;
	mutex_unlock(&groups_lock);

	iommu_group_put(iommu_group);
	if (IS_ERR(group)) {
		if (type != VFIO_IOMMU)
			iommu_group_remove_device(dev);
		return PTR_ERR(group);
	}

	if (type == VFIO_NO_IOMMU) {
		add_taint(TAINT_USER, LOCKDEP_STILL_OK);
		dev_warn(dev, "vfio: kernel tainted, users can have this device without an IOMMU\n");
	}

	device->group = group;
	return 0;
}

void vfio_device_leave_group(struct vfio_device *device)
{
	struct vfio_group *group = device->group;
	bool fake = group->type != VFIO_IOMMU;
	bool last;

	mutex_lock(&groups_lock);
	last = !--group->nr_devices;
	if (last)
		vfio_group_hide(group);
	mutex_unlock(&groups_lock);
	if (last)
		vfio_group_remove(group);

	if (fake)
		iommu_group_remove_device(device->dev);
}

/* Is what @device stands for offered to users already? Its driver's probe is alone. */
bool vfio_group_has_twin(struct vfio_device *device)
{
	struct vfio_device *other;
	bool found = false;

	mutex_lock(&device->group->device_lock);
	list_for_each_entry(other, &device->group->device_list, group_next)
		if (other->dev == device->dev)
			found = true;
	mutex_unlock(&device->group->device_lock);
	return found;
}

/* Let @device be opened by its name. */
void vfio_group_publish_device(struct vfio_device *device)
{
	mutex_lock(&device->group->device_lock);
	list_add(&device->group_next, &device->group->device_list);
	mutex_unlock(&device->group->device_lock);
}

void vfio_group_hide_device(struct vfio_device *device)
{
	mutex_lock(&device->group->device_lock);
	list_del(&device->group_next);
	mutex_unlock(&device->group->device_lock);
}

/*
 * The device of @group that a user calls @name, with a registration, or an
 * ERR_PTR(). A driver may want more than a name, a password for instance.
 */
static struct vfio_device *vfio_group_find_device(struct vfio_group *group,
						  char *name)
{
	struct vfio_device *device, *found = ERR_PTR(-ENODEV);
	int match;

	mutex_lock(&group->device_lock);
	list_for_each_entry(device, &group->device_list, group_next) {
		if (device->ops->match)
			match = device->ops->match(device, name);
		else
			match = !strcmp(dev_name(device->dev), name);

		if (match < 0) {
			found = ERR_PTR(match);
			break;
		}
		if (match && vfio_device_try_get_registration(device)) {
			found = device;
			break;
		}
	}
	mutex_unlock(&group->device_lock);
	return found;
}

/*
 * The first file of a device of @device's group: hold what the group is attached
 * to, and the group's file. Under dev_set->lock, too. Returns -EINVAL where the
 * group is attached to nothing, or what keeps the device from being used.
 */
int vfio_group_use_iommu(struct vfio_device *device)
{
	struct vfio_group *group = device->group;
	int ret;

	lockdep_assert_held(&group->lock);

	if (group->container)
		ret = vfio_container_use(device);
	else if (group->iommufd)
		ret = vfio_iommufd_bind_compat(device, group->iommufd);
	else
		ret = -EINVAL;
	if (ret)
		return ret;

	get_file(group->file);
	group->nr_open++;
	return 0;
}

/* Undo vfio_group_use_iommu(). */
void vfio_group_unuse_iommu(struct vfio_device *device)
{
	struct vfio_group *group = device->group;

	lockdep_assert_held(&group->lock);

	group->nr_open--;
	fput(group->file);

	if (group->container)
		vfio_container_unuse(device);
	else
		vfio_iommufd_unbind(device);
}

static int vfio_group_open_device(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;
	int ret;

	mutex_lock(&df->group->lock);
	vfio_device_lock_set(device);
	ret = vfio_device_file_start(df, NULL);
	mutex_unlock(&device->dev_set->lock);
	mutex_unlock(&df->group->lock);
	return ret;
}

/* What the files of @device that were opened through its group are closed under. */
void vfio_group_lock(struct vfio_device *device)
{
	mutex_lock(&device->group->lock);
}

void vfio_group_unlock(struct vfio_device *device)
{
	mutex_unlock(&device->group->lock);
}

/* The device's file is released. */
void vfio_group_close_device(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;

	mutex_lock(&df->group->lock);
	vfio_device_lock_set(device);
	vfio_device_stop_files(device, 1);
	mutex_unlock(&device->dev_set->lock);
	mutex_unlock(&df->group->lock);
}

/*
 * A file of @device that works. The caller has a registration of the device,
 * which the file takes over on success.
 */
static struct file *vfio_group_device_file(struct vfio_device *device)
{
	struct vfio_device_file *df;
	struct file *file;
	int ret;

	if (!vfio_device_enter(device))
		return ERR_PTR(-ENODEV);

	ret = -ENOMEM;
	df = vfio_device_file_alloc(device, device->group);
	if (!df)
		goto err_leave;

	ret = vfio_group_open_device(df);
	if (ret)
		goto err_free;

	file = anon_inode_getfile_fmode("[vfio-device]", &vfio_device_fops, df,
					O_RDWR, FMODE_PREAD | FMODE_PWRITE);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_close;
	}
	file->f_mapping = device->inode->i_mapping;
	if (!vfio_device_file_set_opened(df))
		goto revoked;
	vfio_device_file_set_working(df);
	vfio_device_leave(device);
	return file;

revoked:
	/* The file has what revoking gives to others, and is released as such. */
	get_device(&device->device);
	vfio_group_close_device(df);
	vfio_device_leave(device);
	fput(file);
	return ERR_PTR(-ENODEV);

err_close:
	vfio_group_close_device(df);
err_free:
	kfree(df);
err_leave:
	vfio_device_leave(device);
	return ERR_PTR(ret);
}

static int vfio_group_get_device_fd(struct vfio_group *group,
				    const char __user *arg)
{
	struct vfio_device *device;
	struct file *file;
	char *name;
	int fd;

	name = strndup_user(arg, PAGE_SIZE);
	if (IS_ERR(name))
		return PTR_ERR(name);

	device = vfio_group_find_device(group, name);
	kfree(name);
	if (IS_ERR(device))
		return PTR_ERR(device);

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto out_put;

	file = vfio_group_device_file(device);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto out_put;
	}

	fd_install(fd, file);
	return fd;

out_put:
	vfio_device_put_registration(device);
	return fd;
}

/* VFIO_GROUP_FLAGS_* or an errno */
static int vfio_group_flags(struct vfio_group *group)
{
	int flags = 0;

	/*
	 * A group in a container owns its DMA, so it was found viable then. With
	 * an iommufd that comes later, and is reported in the same way.
	 */
	mutex_lock(&group->lock);
	if (!group->iommu_group)
		flags = -ENODEV;
	else if (vfio_group_is_attached(group))
		flags = VFIO_GROUP_FLAGS_CONTAINER_SET |
			VFIO_GROUP_FLAGS_VIABLE;
	else if (!iommu_group_dma_owner_claimed(group->iommu_group))
		flags = VFIO_GROUP_FLAGS_VIABLE;
	mutex_unlock(&group->lock);
	return flags;
}

static int vfio_group_get_status(struct vfio_group *group,
				 struct vfio_group_status __user *arg)
{
	struct vfio_group_status status;
	int flags;

	if (copy_from_user(&status, arg, sizeof(status)))
		return -EFAULT;
	if (status.argsz < sizeof(status))
		return -EINVAL;

	flags = vfio_group_flags(group);
	if (flags < 0)
		return flags;

	status.flags = flags;
	return copy_to_user(arg, &status, sizeof(status)) ? -EFAULT : 0;
}

static int vfio_group_set_container(struct vfio_group *group, int __user *arg)
{
	struct file *file;
	int fd, ret;

	if (get_user(fd, arg))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;

	ret = vfio_container_begin_attach(file, group->type);
	if (ret)
		goto out_put;

	mutex_lock(&group->lock);
	if (vfio_group_is_attached(group))
		ret = -EINVAL;
	else if (!group->iommu_group)
		ret = -ENODEV;
	else
		ret = vfio_group_attach(group, file);
	mutex_unlock(&group->lock);

	vfio_container_end_attach(file);
out_put:
	fput(file);
	return ret;
}

static int vfio_group_unset_container(struct vfio_group *group)
{
	int ret = 0;

	mutex_lock(&group->lock);
	if (!vfio_group_is_attached(group))
		ret = -EINVAL;
	else if (group->nr_open)
		ret = -EBUSY;
	else
		vfio_group_detach(group);
	mutex_unlock(&group->lock);
	return ret;
}

static long vfio_group_fops_ioctl(struct file *file, unsigned int cmd,
				  unsigned long arg)
{
	struct vfio_group *group = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case VFIO_GROUP_GET_STATUS:
		return vfio_group_get_status(group, uarg);
	case VFIO_GROUP_SET_CONTAINER:
		return vfio_group_set_container(group, uarg);
	case VFIO_GROUP_UNSET_CONTAINER:
		return vfio_group_unset_container(group);
	case VFIO_GROUP_GET_DEVICE_FD:
		return vfio_group_get_device_fd(group, uarg);
	default:
		return -ENOTTY;
	}
}

static int vfio_group_fops_open(struct inode *inode, struct file *file)
{
	struct vfio_group *group =
			container_of(inode->i_cdev, struct vfio_group, cdev);
	int ret = 0;

	mutex_lock(&group->lock);
	if (!group->iommu_group)
		ret = -ENODEV;
	else if (group->type == VFIO_NO_IOMMU && !capable(CAP_SYS_RAWIO))
		ret = -EPERM;
	else if (group->file || group->nr_bound)
		ret = -EBUSY;
	else
		group->file = file;
	mutex_unlock(&group->lock);

	file->private_data = group;
	return ret;
}

/* No device is open: each one holds the file. */
static int vfio_group_fops_release(struct inode *inode, struct file *file)
{
	struct vfio_group *group = file->private_data;

	mutex_lock(&group->lock);
	vfio_group_detach(group);
	group->file = NULL;
	mutex_unlock(&group->lock);
	return 0;
}

static const struct file_operations vfio_group_fops = {
	.owner		= THIS_MODULE,
	.open		= vfio_group_fops_open,
	.release	= vfio_group_fops_release,
	.unlocked_ioctl	= vfio_group_fops_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/* The group that @file belongs to, or NULL if it is not a group's file. */
struct vfio_group *vfio_group_from_file(struct file *file)
{
	return file->f_op == &vfio_group_fops ? file->private_data : NULL;
}

/*
 * @device is about to be bound without its group: -EBUSY if that is open, else
 * it cannot be opened until vfio_group_let_open(). No lock is held.
 */
int vfio_group_keep_closed(struct vfio_device *device)
{
	struct vfio_group *group = device->group;
	int ret = 0;

	mutex_lock(&group->lock);
	if (group->file)
		ret = -EBUSY;
	else
		group->nr_bound++;
	mutex_unlock(&group->lock);
	return ret;
}

void vfio_group_let_open(struct vfio_device *device)
{
	mutex_lock(&device->group->lock);
	device->group->nr_bound--;
	mutex_unlock(&device->group->lock);
}

/**
 * vfio_file_is_group() - is this a group?
 * @file: any file
 *
 * Context: any.
 * Return: true if @file is an open /dev/vfio/N.
 */
bool vfio_file_is_group(struct file *file)
{
	return vfio_group_from_file(file);
}
EXPORT_SYMBOL_GPL(vfio_file_is_group);

/**
 * vfio_file_has_dev() - does this group have that device?
 * @file: any file
 * @device: a registered device
 *
 * Context: any.
 * Return: true if @file is the group of @device.
 */
bool vfio_file_has_dev(struct file *file, struct vfio_device *device)
{
	struct vfio_group *group = vfio_group_from_file(file);

	return group && group == device->group;
}
EXPORT_SYMBOL_GPL(vfio_file_has_dev);

/* Does every device's IOMMU ignore requests not to snoop, if so asked? */
bool vfio_group_enforced_coherent(struct vfio_group *group)
{
	struct vfio_device *device;
	bool ret = true;

	mutex_lock(&group->device_lock);
	list_for_each_entry(device, &group->device_list, group_next)
		ret &= device_iommu_capable(device->dev,
					    IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
	mutex_unlock(&group->device_lock);
	return ret;
}

static char *vfio_group_devnode(const struct device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "vfio/%s", dev_name(dev));
}

int __init vfio_groups_init(void)
{
	int ret;

	group_class = class_create("vfio");
	if (IS_ERR(group_class))
		return PTR_ERR(group_class);
	group_class->devnode = vfio_group_devnode;

	ret = alloc_chrdev_region(&group_devt, 0, MINORMASK + 1, "vfio");
	if (ret)
		class_destroy(group_class);
	return ret;
}

void vfio_groups_exit(void)
{
	unregister_chrdev_region(group_devt, MINORMASK + 1);
	class_destroy(group_class);
	ida_destroy(&group_minors);
}
