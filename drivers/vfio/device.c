// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a vfio_device.
 *
 * Two counts, for two questions:
 *
 * device->device (a struct device) is the object. It is made by
 * vfio_alloc_device() with one reference for the driver and freed with the last
 * one; its inode, its index and its place in a device set live as long.
 *
 * device->refcount says whether the driver is still there. It is 1 after
 * registration, and each open file of the device adds one, as does whoever
 * looks the device up to open it. vfio_unregister_group_dev() takes the first
 * one away and waits for the rest: when it returns, no file of the device leads
 * to it and none can be opened, so the driver may go.
 *
 * Not being found comes before waiting: the device leaves the list of its group
 * and /dev/vfio/devices first, so the count can only fall. While waiting, the
 * driver is asked every ten seconds to ask its user to let go. A device may also
 * be taken from its users: see revoke.c.
 */
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vfio.h"

DEFINE_IDA(vfio_device_ida);
struct class *vfio_device_class;

static void vfio_device_release(struct device *dev)
{
	struct vfio_device *device =
			container_of(dev, struct vfio_device, device);
	struct device *parent = device->revoked ? device->dev : NULL;

	vfio_device_leave_set(device);
	ida_free(&vfio_device_ida, device->index);
	if (device->ops->release)
		device->ops->release(device);
	vfio_device_users_free(device);
	vfio_device_inode_put(device);
	kvfree(device);

	put_device(parent);
}

static int vfio_device_init(struct vfio_device *device, struct device *dev,
			    const struct vfio_device_ops *ops)
{
	int ret;

	ret = ida_alloc_max(&vfio_device_ida, MINORMASK, GFP_KERNEL);
	if (ret < 0)
		return ret;

	device->index = ret;
	device->dev = dev;
	device->ops = ops;
	init_completion(&device->comp);

	ret = vfio_device_inode_get(device);
	if (ret)
		goto err_index;
	ret = vfio_device_users_alloc(device);
	if (ret)
		goto err_inode;

	if (ops->init) {
		ret = ops->init(device);
		if (ret)
			goto err_users;
	}

	device_initialize(&device->device);
	device->device.release = vfio_device_release;
	device->device.class = vfio_device_class;
	device->device.parent = dev;
	return 0;

err_users:
	vfio_device_leave_set(device);
	vfio_device_users_free(device);
err_inode:
	vfio_device_inode_put(device);
err_index:
	ida_free(&vfio_device_ida, device->index);
	return ret;
}

/**
 * _vfio_alloc_device() - allocate a device inside a driver's own structure
 * @size: size of the driver's structure, whose first member the device is
 * @dev: the device behind it
 * @ops: the driver's callbacks
 *
 * Calls ops->init(). Use the macro vfio_alloc_device(). The result is freed by
 * vfio_put_device(), which calls ops->release().
 *
 * Context: may sleep.
 * Return: the device, or an ERR_PTR(): -EINVAL for a @size that cannot be,
 * -ENOMEM, -ENOSPC when there are no indexes left, or what ops->init() said.
 */
struct vfio_device *_vfio_alloc_device(size_t size, struct device *dev,
				       const struct vfio_device_ops *ops)
{
	struct vfio_device *device;
	int ret;

	if (WARN_ON(size < sizeof(*device)))
		return ERR_PTR(-EINVAL);

	device = kvzalloc(size, GFP_KERNEL);
	if (!device)
		return ERR_PTR(-ENOMEM);

	ret = vfio_device_init(device, dev, ops);
	if (ret) {
		kvfree(device);
		return ERR_PTR(ret);
	}
	return device;
}
EXPORT_SYMBOL_GPL(_vfio_alloc_device);

/* Keep @device registered. Fails once its driver wants it back. */
bool vfio_device_try_get_registration(struct vfio_device *device)
{
	return refcount_inc_not_zero(&device->refcount);
}

void vfio_device_put_registration(struct vfio_device *device)
{
	if (refcount_dec_and_test(&device->refcount))
		complete(&device->comp);
}

static int vfio_device_register(struct vfio_device *device,
				enum vfio_group_type type)
{
	int ret;

	if (WARN_ON(!vfio_iommufd_has_ops(device->ops)))
		return -EINVAL;

	if (!device->dev_set) {
		ret = vfio_assign_device_set(device, device);
		if (ret)
			return ret;
	}

	ret = vfio_device_join_group(device, type);
	if (ret)
		return ret;

	/* One user each for what is one device to the IOMMU. */
	if (vfio_group_has_twin(device)) {
		ret = -EINVAL;
		goto err_group;
	}

	/* As with groups, the name tells that there is no safety. */
	ret = dev_set_name(&device->device, "%svfio%u",
			   vfio_device_is_noiommu(device) ? "noiommu-" : "",
			   device->index);
	if (ret)
		goto err_group;

	/*
	 * Users cannot flush CPU caches, so devices behind an IOMMU must snoop
	 * them. The group may have turned out to be one without an IOMMU.
	 */
	if (type == VFIO_IOMMU && !vfio_device_is_noiommu(device) &&
	    !device_iommu_capable(device->dev, IOMMU_CAP_CACHE_COHERENCY)) {
		dev_warn(device->dev,
			 "vfio: its IOMMU cannot make DMA cache-coherent\n");
		ret = -EINVAL;
		goto err_group;
	}

	ret = vfio_cdev_add(device);
	if (ret)
		goto err_group;

	refcount_set(&device->refcount, 1);
	vfio_device_debugfs_add(device);
	vfio_group_publish_device(device);
	return 0;

err_group:
	vfio_device_leave_group(device);
	return ret;
}

/**
 * vfio_register_group_dev() - let users open a device behind a physical IOMMU
 * @device: the device, allocated and ready to be opened
 *
 * Where there is no IOMMU and the administrator allows it, the device gets a
 * group of its own that needs CAP_SYS_RAWIO, and the kernel is tainted.
 *
 * Context: may sleep; called by a driver bound to device->dev.
 * Return: 0, -EINVAL if DMA of the device cannot be confined or is not cache
 * coherent, or if the kernel has iommufd and the driver has no operations for
 * it, -ENOMEM, or what adding the devices to sysfs returned.
 */
int vfio_register_group_dev(struct vfio_device *device)
{
	return vfio_device_register(device, VFIO_IOMMU);
}
EXPORT_SYMBOL_GPL(vfio_register_group_dev);

/**
 * vfio_register_emulated_iommu_dev() - let users open a device whose driver
 *	does the DMA
 * @device: the device, allocated and ready to be opened
 *
 * The device gets a group of its own. Its driver reaches the user's memory with
 * vfio_pin_pages() and vfio_dma_rw().
 *
 * Context: may sleep; called by a driver bound to device->dev.
 * Return: 0, -EINVAL if the kernel has iommufd and the driver has no operations
 * for it, -ENOMEM, or what adding the devices to sysfs returned.
 */
int vfio_register_emulated_iommu_dev(struct vfio_device *device)
{
	return vfio_device_register(device, VFIO_EMULATED_IOMMU);
}
EXPORT_SYMBOL_GPL(vfio_register_emulated_iommu_dev);

/**
 * vfio_unregister_group_dev() - take a device from its users
 * @device: a registered device
 *
 * Calls ops->request() now and then to have the files of the device closed, and
 * waits, uninterruptibly in the end, until all are. If the hardware is gone, or
 * the administrator's patience (revoke_after) ends, it closes those that are open
 * towards the device: when this returns, close_device() was called and no other
 * operation but release() will be. The caller still has its reference and drops
 * it with vfio_put_device(); files that were revoked have references, too.
 *
 * Context: may sleep for as long as users like; takes the group's locks and
 * dev_set->lock, so ops->request() and the users must not need the caller to
 * proceed.
 */
void vfio_unregister_group_dev(struct vfio_device *device)
{
	vfio_group_hide_device(device);
	vfio_cdev_del(device);

	vfio_device_put_registration(device);
	vfio_device_end_users(device);
	vfio_cdev_end(device);

	vfio_device_debugfs_remove(device);
	vfio_device_leave_group(device);
	/* Whatever comes into its place may be in the same set. */
	if (device->revoked)
		vfio_device_leave_set(device);
}
EXPORT_SYMBOL_GPL(vfio_unregister_group_dev);
