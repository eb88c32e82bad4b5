// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM asks about files, and the virtual machine it tells them about.
 *
 * KVM is handed the fd of a group or a device by the virtual machine monitor
 * and looks up the functions here by name, as we look up its own: neither module
 * needs the other. It says which virtual machine a file belongs to and takes
 * that back before the virtual machine goes, so a file only keeps the pointer.
 * An open device keeps a reference: its driver may use device->kvm from
 * open_device() to the end of close_device(). A device that is opened through a
 * group belongs to the virtual machine of the group.
 */
#include <linux/fs.h>
#include <linux/iommu.h>
#if IS_ENABLED(CONFIG_KVM)
#include <linux/kvm_host.h>
#endif

#include "vfio.h"

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
 * vfio_file_is_valid() - can the other functions here be used on this file?
 * @file: any file
 *
 * Context: any.
 * Return: true if @file is a group or a device.
 */
bool vfio_file_is_valid(struct file *file)
{
	return vfio_group_from_file(file) || vfio_device_from_file(file);
}
EXPORT_SYMBOL_GPL(vfio_file_is_valid);

/**
 * vfio_file_iommu_group() - the IOMMU group behind a group's file
 * @file: any file
 *
 * Context: may sleep; takes the lock of the group.
 * Return: the IOMMU group with a reference for the caller, or NULL if @file is
 * not a group or its devices are gone.
 */
struct iommu_group *vfio_file_iommu_group(struct file *file)
{
	struct vfio_group *group = vfio_group_from_file(file);
	struct iommu_group *iommu_group = NULL;

	if (!group)
		return NULL;

	mutex_lock(&group->lock);
	if (group->iommu_group)
		iommu_group = iommu_group_ref_get(group->iommu_group);
	mutex_unlock(&group->lock);
	return iommu_group;
}
EXPORT_SYMBOL_GPL(vfio_file_iommu_group);

/**
 * vfio_file_enforced_coherent() - is all DMA cache-coherent, whatever a device
 *	asks for?
 * @file: any file
 *
 * If a device may ask for DMA that does not snoop the caches, the guest has to
 * be able to flush them. Says what the domain that the device is or will be
 * attached to does.
 *
 * Context: may sleep.
 * Return: false if @file is a group or a device that can do DMA which is not;
 * true for any other file.
 */
bool vfio_file_enforced_coherent(struct file *file)
{
	struct vfio_group *group = vfio_group_from_file(file);
	struct vfio_device *device = vfio_device_from_file(file);

	if (group)
		return vfio_group_enforced_coherent(group);
	if (device)
		return device_iommu_capable(device->dev,
					    IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
	return true;
}
EXPORT_SYMBOL_GPL(vfio_file_enforced_coherent);

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

/**
 * vfio_file_set_kvm() - tell a group which virtual machine it belongs to
 * @file: any file
 * @kvm: the virtual machine, or NULL before it goes away
 *
 * Counts for devices that are opened from now on. On a file that is not a group
 * there is nothing to do.
 *
 * Context: any but an interrupt; takes a spinlock.
 */
void vfio_file_set_kvm(struct file *file, struct kvm *kvm)
{
	struct vfio_group *group = vfio_group_from_file(file);

	if (!group)
		return;

	spin_lock(&group->kvm_lock);
	group->kvm = kvm;
	spin_unlock(&group->kvm_lock);
}
EXPORT_SYMBOL_GPL(vfio_file_set_kvm);

#if IS_ENABLED(CONFIG_KVM)
/*
 * The symbol of kvm_put_kvm is held as long as the reference, so that KVM's
 * module is there to drop it.
 */
void vfio_device_get_kvm(struct vfio_device *device, struct vfio_group *group)
{
	bool (*get)(struct kvm *kvm);
	void (*put)(struct kvm *kvm);
	struct kvm *kvm;

	lockdep_assert_held(&device->dev_set->lock);

	put = symbol_get(kvm_put_kvm);
	if (!put)
		return;

	get = symbol_get(kvm_get_kvm_safe);
	if (!get)
		goto out_put;

	spin_lock(&group->kvm_lock);
	kvm = group->kvm;
	if (kvm && !get(kvm))
		kvm = NULL;
	spin_unlock(&group->kvm_lock);

	symbol_put(kvm_get_kvm_safe);
	if (kvm) {
		device->put_kvm = put;
		device->kvm = kvm;
		return;
	}
out_put:
	symbol_put(kvm_put_kvm);
}

void vfio_device_put_kvm(struct vfio_device *device)
{
	lockdep_assert_held(&device->dev_set->lock);

	if (!device->kvm)
		return;

	device->put_kvm(device->kvm);
	device->put_kvm = NULL;
	device->kvm = NULL;
	symbol_put(kvm_put_kvm);
}
#else
void vfio_device_get_kvm(struct vfio_device *device, struct vfio_group *group)
{
}

void vfio_device_put_kvm(struct vfio_device *device)
{
}
#endif
