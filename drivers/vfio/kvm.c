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
 * group belongs to the virtual machine of the group, another one to that of the
 * file it is bound through.
 */
#include <linux/fs.h>
#include <linux/iommu.h>
#if IS_ENABLED(CONFIG_KVM)
#include <linux/kvm_host.h>
#endif

#include "vfio.h"

/**
 * vfio_file_is_valid() - can the other functions here be used on this file?
 * @file: any file
 *
 * Context: any.
 * Return: true if @file is a group or a device, be it bound or not.
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
	bool ret = true;

	if (group)
		return vfio_group_enforced_coherent(group);
	if (device && vfio_device_enter(device)) {
		ret = device_iommu_capable(device->dev,
					   IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
		vfio_device_leave(device);
	}
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_file_enforced_coherent);

void vfio_kvm_slot_init(struct vfio_kvm_slot *slot)
{
	spin_lock_init(&slot->lock);
	slot->kvm = NULL;
}

/**
 * vfio_file_set_kvm() - tell a file which virtual machine it belongs to
 * @file: any file
 * @kvm: the virtual machine, or NULL before it goes away
 *
 * Counts for devices that are opened through the group, or bound through the
 * file of the device, from now on. On any other file there is nothing to do.
 *
 * Context: any but an interrupt; takes a spinlock.
 */
void vfio_file_set_kvm(struct file *file, struct kvm *kvm)
{
	struct vfio_group *group = vfio_group_from_file(file);
	struct vfio_device_file *df = vfio_device_file_from_file(file);
	struct vfio_kvm_slot *slot;

	if (group)
		slot = &group->kvm;
	else if (df)
		slot = &df->kvm;
	else
		return;

	spin_lock(&slot->lock);
	slot->kvm = kvm;
	spin_unlock(&slot->lock);
}
EXPORT_SYMBOL_GPL(vfio_file_set_kvm);

#if IS_ENABLED(CONFIG_KVM)
/*
 * The symbol of kvm_put_kvm is held as long as the reference, so that KVM's
 * module is there to drop it.
 */
void vfio_device_get_kvm(struct vfio_device *device, struct vfio_kvm_slot *slot)
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

	spin_lock(&slot->lock);
	kvm = slot->kvm;
	if (kvm && !get(kvm))
		kvm = NULL;
	spin_unlock(&slot->lock);

	symbol_put(kvm_get_kvm_safe);
	if (kvm) {
		device->put_kvm = put;
		device->kvm = kvm;
		return;
	}
out_put:
	symbol_put(kvm_put_kvm);
}

/*
 * When a virtual machine ends, its device is often what has it last: then all of it
 * is torn down here, which is no affair of other devices of the set.
 */
void vfio_device_put_kvm(struct vfio_device *device)
{
	lockdep_assert_held(&device->dev_set->lock);

	if (!device->kvm)
		return;

	vfio_device_step_aside(device);
	device->put_kvm(device->kvm);
	vfio_device_step_back(device);
	device->put_kvm = NULL;
	device->kvm = NULL;
	symbol_put(kvm_put_kvm);
}
#else
void vfio_device_get_kvm(struct vfio_device *device, struct vfio_kvm_slot *slot)
{
}

void vfio_device_put_kvm(struct vfio_device *device)
{
}
#endif
