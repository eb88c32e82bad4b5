// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices and iommufd.
 *
 * To iommufd a device that does DMA is an iommufd_device, and one whose driver
 * does it is an iommufd_access. Making one of them binds the device: the object
 * gets an ID in that iommufd, holds a reference of it and, if there is a device
 * that does DMA, owns the DMA of the device's group. Then it can be attached: to
 * a page table, or to an address space for which iommufd finds one.
 *
 * The driver says by its operations which of the two it is, and most take them
 * from here. For a device without an IOMMU they are not asked: there is nothing
 * that iommufd could own or program. It is bound as an iommufd_access that is
 * attached to nothing, which gives it an ID. An iommufd_access does not tell its
 * iommufd, which shows who owns the device in a hot reset, so that is noted in
 * the group, where there is no other device.
 *
 * Binding and attaching are covered by dev_set->lock; what has to do with page
 * tables may take long, and steps aside for that. What emulated devices do
 * to memory takes no lock here: they do it while they are open, and are bound
 * for longer than that. iommufd calls back into vfio_emulated_unmap() without a
 * lock of its own held that pinning or unpinning needs, but under dev_set->lock
 * if the cause is that the device is detached.
 */
#include <linux/align.h>
#include <linux/capability.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>

#include "vfio.h"

MODULE_IMPORT_NS(IOMMUFD_VFIO);

/* A driver without these would leave its users on iommufd without a device. */
bool vfio_iommufd_has_ops(const struct vfio_device_ops *ops)
{
	return ops->bind_iommufd && ops->unbind_iommufd && ops->attach_ioas &&
	       ops->detach_ioas;
}

/*
 * Bind @device, which is being opened, to @ictx, as @id. Returns -EPERM without the
 * privilege for a device that has no IOMMU, or what iommufd says: -EPERM again
 * where somebody else owns the DMA of the group.
 */
int vfio_iommufd_bind(struct vfio_device *device, struct iommufd_ctx *ictx,
		      u32 *id)
{
	struct vfio_group *noiommu = vfio_device_noiommu_group(device);
	int ret;

	lockdep_assert_held(&device->dev_set->lock);

	if (!noiommu)
		ret = device->ops->bind_iommufd(device, ictx, id);
	else if (capable(CAP_SYS_RAWIO))
		ret = vfio_iommufd_emulated_bind(device, ictx, id);
	else
		ret = -EPERM;
	if (ret) {
		dev_info_ratelimited(device->dev,
				     "vfio: cannot be bound to an iommufd: %d\n",
				     ret);
		return ret;
	}

	if (noiommu) {
		noiommu->noiommu_ictx = ictx;
		noiommu->noiommu_id = *id;
	}
	return 0;
}

/*
 * The same for a device of a group that is attached to @ictx, and attach it to
 * the address space that the ioctls of a container work on.
 */
int vfio_iommufd_bind_compat(struct vfio_device *device,
			     struct iommufd_ctx *ictx)
{
	u32 ioas, id;
	int ret;

	ret = iommufd_vfio_compat_ioas_get_id(ictx, &ioas);
	if (vfio_device_is_noiommu(device)) {
		/* Who made one believes that DMA is translated. */
		if (!ret)
			return -EPERM;
		return vfio_iommufd_bind(device, ictx, &id);
	}
	if (ret)
		return ret;

	ret = vfio_iommufd_bind(device, ictx, &id);
	if (ret)
		return ret;

	ret = vfio_iommufd_attach(device, &ioas);
	if (ret)
		vfio_iommufd_unbind(device);
	return ret;
}

/* Undo vfio_iommufd_bind() or vfio_iommufd_bind_compat(). */
void vfio_iommufd_unbind(struct vfio_device *device)
{
	struct vfio_group *noiommu = vfio_device_noiommu_group(device);

	lockdep_assert_held(&device->dev_set->lock);

	if (noiommu) {
		noiommu->noiommu_ictx = NULL;
		vfio_iommufd_emulated_unbind(device);
	} else {
		device->ops->unbind_iommufd(device);
	}
}

/* Attach a bound device, or replace what it is attached to. */
int vfio_iommufd_attach(struct vfio_device *device, u32 *pt_id)
{
	lockdep_assert_held(&device->dev_set->lock);

	/* No page table makes a difference to it. */
	if (vfio_device_is_noiommu(device))
		return -EINVAL;
	return device->ops->attach_ioas(device, pt_id);
}

/* Detach a bound device, if it is attached. */
void vfio_iommufd_detach(struct vfio_device *device)
{
	lockdep_assert_held(&device->dev_set->lock);

	if (!vfio_device_is_noiommu(device))
		device->ops->detach_ioas(device);
}

/*
 * Attach @group to the iommufd that @file is, in place of a container. Returns
 * -EBADFD if it is none; -EINVAL where devices with and without an IOMMU would
 * mix; -EPERM without the privilege for the latter; -ENOMEM.
 */
int vfio_iommufd_attach_group(struct file *file, struct vfio_group *group)
{
	struct iommufd_ctx *ictx;
	int ret;

	lockdep_assert_held(&group->lock);

	ictx = iommufd_ctx_from_file(file);
	if (IS_ERR(ictx))
		return PTR_ERR(ictx);

	if (group->type != VFIO_NO_IOMMU)
		ret = iommufd_vfio_compat_ioas_create(ictx);
	else if (capable(CAP_SYS_RAWIO))
		ret = iommufd_vfio_compat_set_no_iommu(ictx);
	else
		ret = -EPERM;
	if (ret) {
		iommufd_ctx_put(ictx);
		return ret;
	}

	group->iommufd = ictx;
	return 0;
}

/* Undo vfio_iommufd_attach_group(). */
void vfio_iommufd_detach_group(struct vfio_group *group)
{
	lockdep_assert_held(&group->lock);

	iommufd_ctx_put(group->iommufd);
	group->iommufd = NULL;
}

/**
 * vfio_iommufd_device_ictx() - the iommufd that a device is bound to
 * @vdev: the device
 *
 * Context: any, with the device open or dev_set->lock held.
 * Return: the iommufd, which stays as long as the device is open, or NULL; NULL
 * for emulated devices, too.
 */
struct iommufd_ctx *vfio_iommufd_device_ictx(struct vfio_device *vdev)
{
	struct vfio_group *noiommu = vfio_device_noiommu_group(vdev);

	if (noiommu)
		return noiommu->noiommu_ictx;
	if (vdev->iommufd_device)
		return iommufd_device_to_ictx(vdev->iommufd_device);
	return NULL;
}
EXPORT_SYMBOL_GPL(vfio_iommufd_device_ictx);

/**
 * vfio_iommufd_get_dev_id() - what a device is to the user of an iommufd
 * @vdev: the device
 * @ictx: the iommufd, or NULL
 *
 * Context: the caller holds dev_set->lock. May sleep.
 * Return: the ID of @vdev if it is bound to @ictx. Otherwise, -ENOENT if another
 * device of its group is bound there, and so nobody else can have it, or
 * -ENODEV.
 */
int vfio_iommufd_get_dev_id(struct vfio_device *vdev, struct iommufd_ctx *ictx)
{
	struct vfio_group *noiommu = vfio_device_noiommu_group(vdev);
	struct iommu_group *group;
	bool owned;

	if (!ictx)
		return -ENODEV;
	if (vfio_iommufd_device_ictx(vdev) == ictx)
		return noiommu ? noiommu->noiommu_id :
				 iommufd_device_to_id(vdev->iommufd_device);

	group = iommu_group_get(vdev->dev);
	if (!group)
		return -ENODEV;
	owned = iommufd_ctx_has_group(ictx, group);
	iommu_group_put(group);
	return owned ? -ENOENT : -ENODEV;
}
EXPORT_SYMBOL_GPL(vfio_iommufd_get_dev_id);

/**
 * vfio_iommufd_physical_bind() - bind_iommufd of a device that does DMA
 * @vdev: the device
 * @ictx: the iommufd
 * @out_device_id: where to store the ID of the device there
 *
 * Context: dev_set->lock is held. May sleep.
 * Return: 0, -EPERM if the DMA of the group has another owner or interrupts
 * cannot be confined, or another errno of iommufd.
 */
int vfio_iommufd_physical_bind(struct vfio_device *vdev,
			       struct iommufd_ctx *ictx, u32 *out_device_id)
{
	struct iommufd_device *idev;

	idev = iommufd_device_bind(ictx, vdev->dev, out_device_id);
	if (!IS_ERR(idev))
		vdev->iommufd_device = idev;
	return PTR_ERR_OR_ZERO(idev);
}
EXPORT_SYMBOL_GPL(vfio_iommufd_physical_bind);

/**
 * vfio_iommufd_physical_unbind() - unbind_iommufd of a device that does DMA
 * @vdev: the device, bound
 *
 * Who asks iommufd about the device may be waiting for memory of the user.
 *
 * Context: dev_set->lock is held, dropped and taken again. May sleep.
 */
void vfio_iommufd_physical_unbind(struct vfio_device *vdev)
{
	struct iommufd_device *idev = vdev->iommufd_device;

	vfio_iommufd_physical_detach_ioas(vdev);
	/* Nobody who looks at the set sees it any more. */
	vdev->iommufd_device = NULL;
	vfio_device_step_aside(vdev);
	iommufd_device_unbind(idev);
	vfio_device_step_back(vdev);
}
EXPORT_SYMBOL_GPL(vfio_iommufd_physical_unbind);

/**
 * vfio_iommufd_physical_attach_ioas() - attach_ioas of a device that does DMA
 * @vdev: the device, bound
 * @pt_id: the address space or page table; what was attached is stored there
 *
 * iommufd pins the memory of the address space for its first device, and the
 * user's memory may take long: other devices of the set need not wait for that.
 *
 * Context: dev_set->lock is held, dropped and taken again. May sleep.
 * Return: 0, or an errno of iommufd; then what was attached still is.
 */
int vfio_iommufd_physical_attach_ioas(struct vfio_device *vdev, u32 *pt_id)
{
	int ret;

	lockdep_assert_held(&vdev->dev_set->lock);

	vfio_device_step_aside(vdev);
	if (vdev->iommufd_attached)
		ret = iommufd_device_replace(vdev->iommufd_device, pt_id);
	else
		ret = iommufd_device_attach(vdev->iommufd_device, pt_id);
	vfio_device_step_back(vdev);

	if (!ret)
		vdev->iommufd_attached = true;
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_iommufd_physical_attach_ioas);

/**
 * vfio_iommufd_physical_detach_ioas() - detach_ioas of a device that does DMA
 * @vdev: the device, bound; nothing happens if it is not attached
 *
 * iommufd waits for who maps into the address space, and he for his memory.
 *
 * Context: dev_set->lock is held, dropped and taken again. May sleep.
 */
void vfio_iommufd_physical_detach_ioas(struct vfio_device *vdev)
{
	lockdep_assert_held(&vdev->dev_set->lock);

	if (!vdev->iommufd_attached)
		return;

	vdev->iommufd_attached = false;
	vfio_device_step_aside(vdev);
	iommufd_device_detach(vdev->iommufd_device);
	vfio_device_step_back(vdev);
}
EXPORT_SYMBOL_GPL(vfio_iommufd_physical_detach_ioas);

static void vfio_emulated_unmap(void *data, unsigned long iova,
				unsigned long length)
{
	struct vfio_device *device = data;

	if (device->ops->dma_unmap)
		device->ops->dma_unmap(device, iova, length);
}

static const struct iommufd_access_ops vfio_access_ops = {
	.needs_pin_pages = 1,
	.unmap = vfio_emulated_unmap,
};

/**
 * vfio_iommufd_emulated_bind() - bind_iommufd of a device whose driver does DMA
 * @vdev: the device
 * @ictx: the iommufd
 * @out_device_id: where to store the ID of the device there
 *
 * Context: dev_set->lock is held. May sleep.
 * Return: 0, or -ENOMEM.
 */
int vfio_iommufd_emulated_bind(struct vfio_device *vdev,
			       struct iommufd_ctx *ictx, u32 *out_device_id)
{
	struct iommufd_access *access;

	access = iommufd_access_create(ictx, &vfio_access_ops, vdev,
				       out_device_id);
	if (!IS_ERR(access))
		vdev->iommufd_access = access;
	return PTR_ERR_OR_ZERO(access);
}
EXPORT_SYMBOL_GPL(vfio_iommufd_emulated_bind);

/**
 * vfio_iommufd_emulated_unbind() - unbind_iommufd of a device whose driver does
 *	DMA
 * @vdev: the device, bound; no pages are pinned
 *
 * Context: dev_set->lock is held. May sleep; dma_unmap() is called.
 */
void vfio_iommufd_emulated_unbind(struct vfio_device *vdev)
{
	vfio_iommufd_emulated_detach_ioas(vdev);
	iommufd_access_destroy(vdev->iommufd_access);
	vdev->iommufd_access = NULL;
}
EXPORT_SYMBOL_GPL(vfio_iommufd_emulated_unbind);

/**
 * vfio_iommufd_emulated_attach_ioas() - attach_ioas of a device whose driver
 *	does DMA
 * @vdev: the device, bound
 * @pt_id: the address space; there are no page tables for such a device
 *
 * Context: dev_set->lock is held. May sleep; dma_unmap() is called if there is
 * an address space to be replaced.
 * Return: 0, or an errno of iommufd; then what was attached still is.
 */
int vfio_iommufd_emulated_attach_ioas(struct vfio_device *vdev, u32 *pt_id)
{
	int ret;

	lockdep_assert_held(&vdev->dev_set->lock);

	if (vdev->iommufd_attached)
		return iommufd_access_replace(vdev->iommufd_access, *pt_id);

	ret = iommufd_access_attach(vdev->iommufd_access, *pt_id);
	vdev->iommufd_attached = !ret;
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_iommufd_emulated_attach_ioas);

/**
 * vfio_iommufd_emulated_detach_ioas() - detach_ioas of a device whose driver
 *	does DMA
 * @vdev: the device, bound; nothing happens if it is not attached
 *
 * Context: dev_set->lock is held. May sleep; dma_unmap() is called.
 */
void vfio_iommufd_emulated_detach_ioas(struct vfio_device *vdev)
{
	lockdep_assert_held(&vdev->dev_set->lock);

	if (!vdev->iommufd_attached)
		return;

	iommufd_access_detach(vdev->iommufd_access);
	vdev->iommufd_attached = false;
}
EXPORT_SYMBOL_GPL(vfio_iommufd_emulated_detach_ioas);

/* An open device that is no emulated one has nothing here to reach memory by. */
static bool vfio_iommufd_can_access(struct vfio_device *device,
				    dma_addr_t iova)
{
	return device->iommufd_access && (unsigned long)iova == iova;
}

/* vfio_pin_pages() of a device that is bound. */
int vfio_iommufd_pin_pages(struct vfio_device *device, dma_addr_t iova,
			   int npage, int prot, struct page **pages)
{
	unsigned int flags = 0;
	int ret;

	if (!vfio_iommufd_can_access(device, iova))
		return -EINVAL;

	if (prot & IOMMU_WRITE)
		flags |= IOMMUFD_ACCESS_RW_WRITE;
	/* Drivers add the offset in the page themselves. */
	ret = iommufd_access_pin_pages(device->iommufd_access,
				       ALIGN_DOWN(iova, PAGE_SIZE),
				       npage * PAGE_SIZE, pages, flags);
	return ret ?: npage;
}

/* vfio_unpin_pages() of a device that is bound. */
void vfio_iommufd_unpin_pages(struct vfio_device *device, dma_addr_t iova,
			      int npage)
{
	if (WARN_ON(!vfio_iommufd_can_access(device, iova)))
		return;

	iommufd_access_unpin_pages(device->iommufd_access,
				   ALIGN_DOWN(iova, PAGE_SIZE),
				   npage * PAGE_SIZE);
}

/* vfio_dma_rw() of a device that is bound. */
int vfio_iommufd_dma_rw(struct vfio_device *device, dma_addr_t iova,
			void *data, size_t len, bool write)
{
	unsigned int flags = 0;

	if (!vfio_iommufd_can_access(device, iova))
		return -EINVAL;

	if (write)
		flags |= IOMMUFD_ACCESS_RW_WRITE;
	/* A kernel thread has no memory of its own; iommufd borrows the user's. */
	if (!current->mm)
		flags |= IOMMUFD_ACCESS_RW_KTHREAD;
	return iommufd_access_rw(device->iommufd_access, iova, data, len, flags);
}
