// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vfio/devices/vfioN: a device, without its group and without a container.
 *
 * The file can be opened as often as its permissions allow, and does nothing.
 * VFIO_DEVICE_BIND_IOMMUFD makes one file of the device work, and with it opens
 * the device: the caller shows an iommufd, which owns the DMA of the device
 * thereafter and has the address spaces that the device can be attached to. The
 * file stays bound until it is released. Others of the same device can be bound
 * after that, not before: nothing says that who has them may share the device.
 *
 * What groups are for does not get lost. The DMA of all devices in an IOMMU
 * group has one owner, so all of them are bound to one iommufd or to none. And
 * while one is bound the VFIO group cannot be opened, nor can one be bound while
 * it is.
 *
 * Order: keep the group closed (group->lock, released again), dev_set->lock,
 * iommufd. See device_file.c.
 */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uuid.h>

#include "vfio.h"

static dev_t vfio_cdev_devt;

/*
 * May the device be opened by somebody who names @token, NULL for none? A driver
 * that knows tokens only as a part of the name of a device, as the user of a
 * group says it, is asked in that way: who has none must not get by here.
 */
static int vfio_cdev_check_token(struct vfio_device *device,
				 const uuid_t *token)
{
	const struct vfio_device_ops *ops = device->ops;
	int ret = 0;
	char *name;

	if (ops->match_token_uuid)
		return ops->match_token_uuid(device, token);

	if (ops->match) {
		if (token)
			name = kasprintf(GFP_KERNEL, "%s vf_token=%pUb",
					 dev_name(device->dev), token);
		else
			name = kstrdup(dev_name(device->dev), GFP_KERNEL);
		if (!name)
			return -ENOMEM;
		ret = ops->match(device, name);
		kfree(name);
	}
	if (ret > 0)
		return 0;
	return ret ?: token ? -EINVAL : 0;
}

/* Open the device for @df. */
static int vfio_cdev_start(struct vfio_device_file *df,
			   struct iommufd_ctx *ictx, const uuid_t *token)
{
	struct vfio_device *device = df->device;
	int ret;

	/* By another file. */
	if (device->open_count)
		return -EINVAL;

	ret = vfio_cdev_check_token(device, token);
	if (ret)
		return ret;

	ret = vfio_device_file_start(df, ictx);
	if (!ret)
		device->cdev_opened = true;
	return ret;
}

/* The device's group is kept closed. */
static int vfio_cdev_bind_to(struct vfio_device_file *df, int iommufd,
			     const uuid_t *token)
{
	struct iommufd_ctx *ictx;
	int ret;

	lockdep_assert_held(&df->device->dev_set->lock);

	if (df->opened)
		return -EINVAL;

	ictx = iommufd_ctx_from_fd(iommufd);
	if (IS_ERR(ictx))
		return PTR_ERR(ictx);

	ret = vfio_cdev_start(df, ictx, token);

	/* The device has a reference of its own now, if it is bound. */
	iommufd_ctx_put(ictx);
	return ret;
}

static void vfio_cdev_unbind(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;

	vfio_device_lock_set(device);
	vfio_device_stop_files(device, 1);
	device->cdev_opened = false;
	mutex_unlock(&device->dev_set->lock);

	vfio_group_let_open(device);
}

/* Open the device by binding @df to @iommufd, as a call. */
static int vfio_cdev_open_by(struct vfio_device_file *df, int iommufd,
			     const uuid_t *token)
{
	struct vfio_device *device = df->device;
	int ret;

	ret = vfio_group_keep_closed(device);
	if (ret)
		return ret;

	vfio_device_lock_set(device);
	ret = vfio_cdev_bind_to(df, iommufd, token);
	mutex_unlock(&device->dev_set->lock);
	if (ret) {
		vfio_group_let_open(device);
		return ret;
	}

	if (!vfio_device_file_set_opened(df)) {
		vfio_cdev_unbind(df);
		return -ENODEV;
	}
	return 0;
}

/* Undo that, if nobody else has. */
static void vfio_cdev_cancel(struct vfio_device_file *df)
{
	struct vfio_device *device = df->device;

	if (!vfio_device_enter(device))
		return;
	if (vfio_device_file_unset_opened(df))
		vfio_cdev_unbind(df);
	vfio_device_leave(device);
}

/* VFIO_DEVICE_BIND_IOMMUFD */
long vfio_cdev_bind(struct vfio_device_file *df,
		    struct vfio_device_bind_iommufd __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_bind_iommufd,
					 out_devid);
	struct vfio_device *device = df->device;
	struct vfio_device_bind_iommufd bind;
	uuid_t uuid, *token = NULL;
	int ret;

	if (copy_from_user(&bind, arg, minsz))
		return -EFAULT;
	if (bind.argsz < minsz || bind.iommufd < 0 ||
	    bind.flags & ~VFIO_DEVICE_BIND_FLAG_TOKEN)
		return -EINVAL;

	if (bind.flags & VFIO_DEVICE_BIND_FLAG_TOKEN) {
		if (bind.argsz < sizeof(bind))
			return -EINVAL;
		if (copy_from_user(&bind.token_uuid_ptr, &arg->token_uuid_ptr,
				   sizeof(bind.token_uuid_ptr)) ||
		    copy_from_user(&uuid, u64_to_user_ptr(bind.token_uuid_ptr),
				   sizeof(uuid)))
			return -EFAULT;
		token = &uuid;
	}

	if (df->group)
		return -EINVAL;

	if (!vfio_device_enter(device))
		return -ENODEV;
	ret = vfio_cdev_open_by(df, bind.iommufd, token);
	vfio_device_leave(device);
	if (ret)
		return ret;

	/* In no call and without a lock: nobody waits for the user's memory. */
	if (put_user(df->devid, &arg->out_devid)) {
		vfio_cdev_cancel(df);
		return -EFAULT;
	}
	vfio_device_file_set_working(df);
	return 0;
}

/* What begins with argsz and flags, of which none is defined. */
static int vfio_cdev_copy_in(void *to, const void __user *from, size_t size)
{
	const u32 *head = to;

	if (copy_from_user(to, from, size))
		return -EFAULT;
	return head[0] < size || head[1] ? -EINVAL : 0;
}

static int vfio_cdev_end_attach(struct vfio_device *device)
{
	if (!vfio_device_enter(device))
		return -ENODEV;
	vfio_device_lock_set(device);
	vfio_iommufd_detach(device);
	mutex_unlock(&device->dev_set->lock);
	vfio_device_leave(device);
	return 0;
}

static long vfio_cdev_attach(struct vfio_device_file *df,
			     struct vfio_device_attach_iommufd_pt __user *arg)
{
	struct vfio_device_attach_iommufd_pt attach;
	int ret;

	ret = vfio_cdev_copy_in(&attach, arg, sizeof(attach));
	if (ret)
		return ret;

	if (!vfio_device_enter(df->device))
		return -ENODEV;
	vfio_device_lock_set(df->device);
	ret = vfio_iommufd_attach(df->device, &attach.pt_id);
	mutex_unlock(&df->device->dev_set->lock);
	vfio_device_leave(df->device);

	if (!ret && put_user(attach.pt_id, &arg->pt_id)) {
		/* Attached to what the user cannot know. */
		vfio_cdev_end_attach(df->device);
		ret = -EFAULT;
	}
	return ret;
}

static long vfio_cdev_detach(struct vfio_device_file *df,
			     struct vfio_device_detach_iommufd_pt __user *arg)
{
	struct vfio_device_detach_iommufd_pt detach;
	int ret;

	ret = vfio_cdev_copy_in(&detach, arg, sizeof(detach));
	if (ret)
		return ret;

	return vfio_cdev_end_attach(df->device);
}

/* What only a bound file knows; -ENOIOCTLCMD for everything else. */
long vfio_cdev_ioctl(struct vfio_device_file *df, unsigned int cmd,
		     void __user *arg)
{
	switch (cmd) {
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return vfio_cdev_attach(df, arg);
	case VFIO_DEVICE_DETACH_IOMMUFD_PT:
		return vfio_cdev_detach(df, arg);
	default:
		return -ENOIOCTLCMD;
	}
}

/* The open of vfio_device_fops: files of a group are made, not opened. */
int vfio_cdev_open(struct inode *inode, struct file *file)
{
	struct vfio_device *device =
			container_of(inode->i_cdev, struct vfio_device, cdev);
	struct vfio_device_file *df;

	if (!vfio_device_try_get_registration(device))
		return -ENODEV;

	df = vfio_device_file_alloc(device, NULL);
	if (!df) {
		vfio_device_put_registration(device);
		return -ENOMEM;
	}
	if (!vfio_device_file_add(df)) {
		kfree(df);
		vfio_device_put_registration(device);
		return -ENODEV;
	}

	file->private_data = df;
	file->f_mapping = device->inode->i_mapping;
	return 0;
}

/* The file is released: if it is bound, that ends. */
void vfio_cdev_close(struct vfio_device_file *df)
{
	if (df->opened)
		vfio_cdev_unbind(df);
}

/*
 * Nobody has the character device any more. A file keeps it for longer than until
 * its release, and so does who fails to open one.
 */
static void vfio_cdev_release(struct kobject *parent)
{
	struct vfio_device_users *users =
			container_of(parent, struct vfio_device_users,
				     cdev_parent);
	struct vfio_device *device = users->device;
	bool revoked;

	spin_lock(&users->lock);
	revoked = device->revoked;
	if (!revoked)
		users->has_cdev = false;
	spin_unlock(&users->lock);

	if (revoked)
		put_device(&device->device);
	else
		complete(&users->cdev_over);
}

static const struct kobj_type vfio_cdev_parent_type = {
	.release = vfio_cdev_release,
};

/* Let users find @device; they cannot open it before it is registered. */
int vfio_cdev_add(struct vfio_device *device)
{
	struct vfio_device_users *users = vfio_device_users(device);
	int ret;

	users->has_cdev = true;
	kobject_init(&users->cdev_parent, &vfio_cdev_parent_type);

	device->device.devt = MKDEV(MAJOR(vfio_cdev_devt), device->index);
	cdev_init(&device->cdev, &vfio_device_fops);
	device->cdev.owner = THIS_MODULE;
	cdev_set_parent(&device->cdev, &users->cdev_parent);
	ret = cdev_add(&device->cdev, device->device.devt, 1);
	kobject_put(&users->cdev_parent);
	if (ret)
		return ret;

	ret = device_add(&device->device);
	if (ret) {
		cdev_del(&device->cdev);
		vfio_cdev_end(device);
	}
	return ret;
}

void vfio_cdev_del(struct vfio_device *device)
{
	device_del(&device->device);
	cdev_del(&device->cdev);
}

/*
 * The files are released, or revoked. With the character device would go the last
 * reference of the device, and ops->release be called when the driver may be gone:
 * wait for it. That of a revoked device has its own reference, and the module.
 */
void vfio_cdev_end(struct vfio_device *device)
{
	struct vfio_device_users *users = vfio_device_users(device);

	if (!device->revoked || !users->has_cdev)
		wait_for_completion(&users->cdev_over);
}

static char *vfio_cdev_devnode(const struct device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "vfio/devices/%s", dev_name(dev));
}

int __init vfio_cdev_init(struct class *class)
{
	class->devnode = vfio_cdev_devnode;
	return alloc_chrdev_region(&vfio_cdev_devt, 0, MINORMASK + 1,
				   "vfio-dev");
}

void vfio_cdev_exit(void)
{
	unregister_chrdev_region(vfio_cdev_devt, MINORMASK + 1);
}
