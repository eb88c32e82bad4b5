// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers: an open /dev/vfio/vfio is one address space for the DMA of the
 * groups that are attached to it.
 *
 * By itself it can do nothing, so anybody may open it. Attaching a group brings
 * the privilege, and with the first group a back end can be chosen, which then
 * serves every ioctl that is not understood here. Detaching the last group
 * closes the back end and leaves the container as it was when it was opened.
 *
 * A group's file that is attached keeps the container alive when its own file
 * is closed: the mappings stay while there is a group to use them.
 *
 * An ioctl takes as long as the user's memory that it looks at, and a group must
 * be able to leave all the same, for its device may be revoked (revoke.c). So
 * whoever detaches waits for no ioctl: each has a reference of the back end's
 * state, and the last one releases it.
 *
 * Locks, from the outside:
 *
 * container->ioctl_lock  keeps ioctls and new groups apart. Held for read around
 *			each ioctl, for write to attach and to choose a back end;
 *			not to detach.
 * group->lock		(group.c) group->container. Held by whoever attaches,
 *			detaches, opens and closes.
 * dev_set->lock	(device_set.c) held while a device is opened and closed.
 * container->group_lock  the list of groups and which back end it is. Held to
 *			attach, detach and choose a back end.
 * backends_lock	the list of back ends. Held while one is tried, so that
 *			its module cannot leave in between.
 *
 * An open device needs none of these: its group cannot be detached, so neither
 * group->container nor the back end changes.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/slab.h>

#include "vfio.h"

/**
 * struct vfio_container_iommu - a back end at work for a container
 * @refs: the container, while a group is attached, and each ioctl
 * @ops: the back end, whose module is held
 * @data: its state
 */
struct vfio_container_iommu {
	refcount_t refs;
	const struct vfio_iommu_driver_ops *ops;
	void *data;
};

/**
 * struct vfio_container - one address space
 * @refs: the file, and each attached group
 * @ioctl_lock: see above
 * @group_lock: covers the rest
 * @groups: the attached groups
 * @noiommu: whether they are without an IOMMU; with and without do not mix
 * @iommu: the back end, or NULL
 * @attaching: the back end that waits for a group, or NULL; under ioctl_lock
 */
struct vfio_container {
	refcount_t refs;
	struct rw_semaphore ioctl_lock;
	struct mutex group_lock;	/* what follows */
	struct list_head groups;
	bool noiommu;
	struct vfio_container_iommu *iommu;
	struct vfio_container_iommu *attaching;
};

struct vfio_backend {
	struct list_head next;
	const struct vfio_iommu_driver_ops *ops;
};

static DEFINE_MUTEX(backends_lock);
static LIST_HEAD(backends);

/**
 * vfio_register_iommu_driver() - offer a back end to containers
 * @ops: the back end
 *
 * Context: may sleep.
 * Return: 0, -EINVAL if it was registered before or its device callbacks are
 * not a pair, -ENOMEM.
 */
int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops)
{
	struct vfio_backend *backend, *other;

	if (WARN_ON(!ops->register_device != !ops->unregister_device))
		return -EINVAL;

	backend = kzalloc(sizeof(*backend), GFP_KERNEL);
	if (!backend)
		return -ENOMEM;
	backend->ops = ops;

	mutex_lock(&backends_lock);
	list_for_each_entry(other, &backends, next) {
		if (other->ops == ops) {
			mutex_unlock(&backends_lock);
			kfree(backend);
			return -EINVAL;
		}
	}
	list_add(&backend->next, &backends);
	mutex_unlock(&backends_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_register_iommu_driver);

/**
 * vfio_unregister_iommu_driver() - withdraw a back end
 * @ops: a registered back end
 *
 * Called on module unload: no container uses it, or the module were held.
 *
 * Context: may sleep.
 */
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops)
{
	struct vfio_backend *backend, *tmp;

	mutex_lock(&backends_lock);
	list_for_each_entry_safe(backend, tmp, &backends, next) {
		if (backend->ops == ops) {
			list_del(&backend->next);
			kfree(backend);
			break;
		}
	}
	mutex_unlock(&backends_lock);
}
EXPORT_SYMBOL_GPL(vfio_unregister_iommu_driver);

/* An empty container could become either kind, so it asks all back ends. */
static bool vfio_backend_suits(struct vfio_container *container,
			       const struct vfio_iommu_driver_ops *ops)
{
	return list_empty(&container->groups) ||
	       container->noiommu == vfio_backend_is_noiommu(ops);
}

/* What the back ends that could still be chosen say: the first yes counts. */
static long vfio_backends_check_extension(struct vfio_container *container,
					  unsigned long arg)
{
	struct vfio_backend *backend;
	long ret = 0;

	mutex_lock(&backends_lock);
	list_for_each_entry(backend, &backends, next) {
		const struct vfio_iommu_driver_ops *ops = backend->ops;

		if (!vfio_backend_suits(container, ops) ||
		    !try_module_get(ops->owner))
			continue;
		ret = ops->ioctl(NULL, VFIO_CHECK_EXTENSION, arg);
		module_put(ops->owner);
		if (ret > 0)
			break;
	}
	mutex_unlock(&backends_lock);
	return ret;
}

/* Attach what is in the container to a new back end state: all or nothing. */
static int vfio_container_attach_all(struct vfio_container *container,
				     const struct vfio_iommu_driver_ops *ops,
				     void *data)
{
	struct vfio_group *group;
	int ret;

	list_for_each_entry(group, &container->groups, container_next) {
		ret = ops->attach_group(data, group->iommu_group, group->type);
		if (ret)
			goto err_detach;
	}
	return 0;

err_detach:
	list_for_each_entry_continue_reverse(group, &container->groups,
					     container_next)
		ops->detach_group(data, group->iommu_group);
	return ret;
}

/* On success the back end's module is held. -ENODEV: it does not know @type. */
static int vfio_container_try_backend(struct vfio_container *container,
				      const struct vfio_iommu_driver_ops *ops,
				      unsigned long type)
{
	struct vfio_container_iommu *iommu;
	int ret;

	if (!vfio_backend_suits(container, ops) || !try_module_get(ops->owner))
		return -ENODEV;

	ret = -ENODEV;
	if (ops->ioctl(NULL, VFIO_CHECK_EXTENSION, type) <= 0)
		goto err_module;

	ret = -ENOMEM;
	iommu = kzalloc(sizeof(*iommu), GFP_KERNEL_ACCOUNT);
	if (!iommu)
		goto err_module;
	refcount_set(&iommu->refs, 1);
	iommu->ops = ops;

	iommu->data = ops->open(type);
	if (IS_ERR(iommu->data)) {
		ret = PTR_ERR(iommu->data);
		goto err_free;
	}

	ret = vfio_container_attach_all(container, ops, iommu->data);
	if (ret)
		goto err_release;

	container->iommu = iommu;
	return 0;

err_release:
	ops->release(iommu->data);
err_free:
	kfree(iommu);
err_module:
	module_put(ops->owner);
	return ret;
}

static void vfio_container_iommu_put(struct vfio_container_iommu *iommu)
{
	if (!refcount_dec_and_test(&iommu->refs))
		return;

	iommu->ops->release(iommu->data);
	module_put(iommu->ops->owner);
	kfree(iommu);
}

static long vfio_container_set_iommu(struct vfio_container *container,
				     unsigned long type)
{
	struct vfio_backend *backend;
	long ret = -ENODEV;
	int err;

	/* A long ioctl may be at work. */
	if (down_write_killable(&container->ioctl_lock))
		return -EINTR;
	mutex_lock(&container->group_lock);
	if (list_empty(&container->groups) || container->iommu) {
		ret = -EINVAL;
		goto out;
	}

	mutex_lock(&backends_lock);
	list_for_each_entry(backend, &backends, next) {
		err = vfio_container_try_backend(container, backend->ops, type);
		if (err == -ENODEV)
			continue;
		ret = err;
		if (!ret)
			break;
	}
	mutex_unlock(&backends_lock);
out:
	mutex_unlock(&container->group_lock);
	up_write(&container->ioctl_lock);
	return ret;
}

static struct vfio_container_iommu *
vfio_container_iommu_get(struct vfio_container *container)
{
	if (container->iommu)
		refcount_inc(&container->iommu->refs);
	return container->iommu;
}

/* With a back end, everything else is for it. */
static long vfio_container_do_ioctl(struct vfio_container *container,
				    unsigned int cmd, unsigned long arg)
{
	struct vfio_container_iommu *iommu;
	long ret = -EINVAL;

	/* So may whoever detaches one. */
	if (mutex_lock_killable(&container->group_lock))
		return -EINTR;
	iommu = vfio_container_iommu_get(container);
	if (!iommu && cmd == VFIO_CHECK_EXTENSION)
		ret = vfio_backends_check_extension(container, arg);
	mutex_unlock(&container->group_lock);

	if (iommu) {
		ret = iommu->ops->ioctl(iommu->data, cmd, arg);
		vfio_container_iommu_put(iommu);
	}
	return ret;
}

static long vfio_container_backend_ioctl(struct vfio_container *container,
					 unsigned int cmd, unsigned long arg)
{
	long ret;

	/* Whoever attaches a group may be at it for long. */
	if (down_read_killable(&container->ioctl_lock))
		return -EINTR;
	ret = vfio_container_do_ioctl(container, cmd, arg);
	up_read(&container->ioctl_lock);
	return ret;
}

static long vfio_container_fops_ioctl(struct file *file, unsigned int cmd,
				      unsigned long arg)
{
	struct vfio_container *container = file->private_data;

	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_SET_IOMMU:
		return vfio_container_set_iommu(container, arg);
	default:
		return vfio_container_backend_ioctl(container, cmd, arg);
	}
}

static int vfio_container_fops_open(struct inode *inode, struct file *file)
{
	struct vfio_container *container;

	container = kzalloc(sizeof(*container), GFP_KERNEL_ACCOUNT);
	if (!container)
		return -ENOMEM;

	refcount_set(&container->refs, 1);
	init_rwsem(&container->ioctl_lock);
	mutex_init(&container->group_lock);
	INIT_LIST_HEAD(&container->groups);
	file->private_data = container;
	return 0;
}

static void vfio_container_put(struct vfio_container *container)
{
	if (!refcount_dec_and_test(&container->refs))
		return;

	mutex_destroy(&container->group_lock);
	kfree(container);
}

static int vfio_container_fops_release(struct inode *inode, struct file *file)
{
	vfio_container_put(file->private_data);
	return 0;
}

static const struct file_operations vfio_container_fops = {
	.owner		= THIS_MODULE,
	.open		= vfio_container_fops_open,
	.release	= vfio_container_fops_release,
	.unlocked_ioctl	= vfio_container_fops_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

bool vfio_file_is_container(struct file *file)
{
	return file->f_op == &vfio_container_fops;
}

static int vfio_container_claim_dma(struct vfio_group *group)
{
	int ret;

	if (group->type != VFIO_IOMMU)
		return 0;

	ret = iommu_group_claim_dma_owner(group->iommu_group, group);
	if (ret)
		dev_info_ratelimited(&group->dev,
				     "vfio: group is not viable (%d): a device in it belongs to a host driver\n",
				     ret);
	return ret;
}

static void vfio_container_release_dma(struct vfio_group *group)
{
	if (group->type == VFIO_IOMMU)
		iommu_group_release_dma_owner(group->iommu_group);
}

/*
 * A group of @type is about to be attached to what @file is: if that is a
 * container, none of its ioctls runs until vfio_container_end_attach(), and its
 * back end is ready. Returns -EINTR if killed before that.
 */
int vfio_container_begin_attach(struct file *file, enum vfio_group_type type)
{
	struct vfio_container *container = file->private_data;
	struct vfio_container_iommu *iommu;

	if (!vfio_file_is_container(file))
		return 0;
	if (down_write_killable(&container->ioctl_lock))
		return -EINTR;

	mutex_lock(&container->group_lock);
	iommu = vfio_container_iommu_get(container);
	mutex_unlock(&container->group_lock);

	if (iommu && iommu->ops->begin_attach)
		iommu->ops->begin_attach(iommu->data, type);
	container->attaching = iommu;
	return 0;
}

void vfio_container_end_attach(struct file *file)
{
	struct vfio_container *container = file->private_data;
	struct vfio_container_iommu *iommu;

	if (!vfio_file_is_container(file))
		return;

	iommu = container->attaching;
	container->attaching = NULL;
	if (iommu) {
		if (iommu->ops->end_attach)
			iommu->ops->end_attach(iommu->data);
		vfio_container_iommu_put(iommu);
	}
	up_write(&container->ioctl_lock);
}

/*
 * Attach @group, which is attached to nothing, to the container that @file is.
 * Returns -EPERM without the privilege for a group that has no IOMMU, for mixing
 * it with one that has, or for a group that is not viable; or what the back end
 * says.
 */
int vfio_container_attach_group(struct file *file, struct vfio_group *group)
{
	struct vfio_container *container = file->private_data;
	bool noiommu = group->type == VFIO_NO_IOMMU;
	struct vfio_container_iommu *iommu;
	int ret;

	lockdep_assert_held_write(&container->ioctl_lock);
	lockdep_assert_held(&group->lock);

	if (noiommu && !capable(CAP_SYS_RAWIO))
		return -EPERM;

	mutex_lock(&container->group_lock);
	if (!list_empty(&container->groups) && container->noiommu != noiommu) {
		ret = -EPERM;
		goto out;
	}

	ret = vfio_container_claim_dma(group);
	if (ret)
		goto out;

	iommu = container->iommu;
	if (iommu) {
		ret = iommu->ops->attach_group(iommu->data, group->iommu_group,
					       group->type);
		if (ret) {
			vfio_container_release_dma(group);
			goto out;
		}
	}

	refcount_inc(&container->refs);
	container->noiommu = noiommu;
	list_add(&group->container_next, &container->groups);
	group->container = container;
out:
	mutex_unlock(&container->group_lock);
	return ret;
}

/*
 * Undo vfio_container_attach_group(). No device of the group is open. Does not
 * wait for users, but what they began may end later.
 */
void vfio_container_detach_group(struct vfio_group *group)
{
	struct vfio_container *container = group->container;
	struct vfio_container_iommu *iommu;

	lockdep_assert_held(&group->lock);

	mutex_lock(&container->group_lock);
	iommu = container->iommu;
	if (iommu)
		iommu->ops->detach_group(iommu->data, group->iommu_group);
	vfio_container_release_dma(group);

	list_del(&group->container_next);
	group->container = NULL;

	if (list_empty(&container->groups))
		container->iommu = NULL;
	else
		iommu = NULL;
	mutex_unlock(&container->group_lock);

	if (iommu)
		vfio_container_iommu_put(iommu);
	vfio_container_put(container);
}

/*
 * A device of an attached group is being opened. Returns -EINVAL before a back
 * end is chosen, -EPERM without the privilege for a device that has no IOMMU.
 */
int vfio_container_use(struct vfio_device *device)
{
	struct vfio_group *group = device->group;
	struct vfio_container *container = group->container;
	struct vfio_container_iommu *iommu;

	lockdep_assert_held(&group->lock);

	mutex_lock(&container->group_lock);
	iommu = container->iommu;
	mutex_unlock(&container->group_lock);

	if (!iommu)
		return -EINVAL;
	if (group->type == VFIO_NO_IOMMU && !capable(CAP_SYS_RAWIO))
		return -EPERM;

	if (iommu->ops->register_device && device->ops->dma_unmap)
		iommu->ops->register_device(iommu->data, device);
	return 0;
}

/* Undo vfio_container_use(). */
void vfio_container_unuse(struct vfio_device *device)
{
	const struct vfio_iommu_driver_ops *ops;
	void *data;

	lockdep_assert_held(&device->group->lock);

	ops = vfio_container_backend(device, &data);
	if (ops->unregister_device && device->ops->dma_unmap)
		ops->unregister_device(data, device);
}

/*
 * The back end of an open device, and its state for the container. NULL if the
 * device is not in a container.
 */
const struct vfio_iommu_driver_ops *
vfio_container_backend(struct vfio_device *device, void **iommu_data)
{
	struct vfio_container *container = device->group->container;

	if (!container)
		return NULL;

	*iommu_data = container->iommu->data;
	return container->iommu->ops;
}

static struct miscdevice vfio_container_misc = {
	.minor		= VFIO_MINOR,
	.name		= "vfio",
	.nodename	= "vfio/vfio",
	.mode		= 0666,
	.fops		= &vfio_container_fops,
};

int __init vfio_container_init(void)
{
	int ret;

	ret = misc_register(&vfio_container_misc);
	if (ret)
		pr_err("vfio: cannot register /dev/vfio/vfio: %d\n", ret);
	return ret;
}

void vfio_container_exit(void)
{
	misc_deregister(&vfio_container_misc);
}

MODULE_ALIAS_MISCDEV(VFIO_MINOR);
MODULE_ALIAS("devname:vfio/vfio");
