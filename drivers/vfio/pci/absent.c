// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mapping of a BAR shows while the memory is not there.
 *
 * By default a fault that finds the gate closed is SIGBUS, which no virtual machine
 * survives. Hardware answers such an access with all ones and drops writes. Mappings
 * do that, too, once the device is gone for good, and before that where the device's
 * user (VFIO_DEVICE_FEATURE_PCI_ABSENT) or its administrator (absent_memory in sysfs)
 * wants it.
 *
 * The page that is mapped then, vdev->absent_page, is memory of the kernel, full of
 * ones. A user can write to it, so it is taken from the mappings and filled again a
 * moment after it went in: what is written is read back for so long, and no longer.
 *
 * memory_lock decides what a mapping shows: the page goes in with the lock held for
 * read and the gate found closed; it goes out with it held for write, before anything
 * of the device can come in (vfio_pci_gate_open()).
 *
 * The page lives as long as the device's object, and so longer than any file or
 * mapping of the device. Only its user sees it: no mapping is left at the last close,
 * where it is filled for the next user. Nobody can take it for device memory: what
 * maps a BAR for DMA asks the gate, and not the page table.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "vfio_pci_priv.h"

/* How long may a write be seen? Each refill costs who still looks a fault. */
#define VFIO_PCI_ABSENT_REFILL	msecs_to_jiffies(20)

static const char * const vfio_pci_absent_names[] = {
	[VFIO_PCI_ABSENT_SIGBUS] = "sigbus",
	[VFIO_PCI_ABSENT_ONES] = "ones",
};

/* memory_lock is held: is a fault to be answered although the gate is closed? */
bool vfio_pci_absent_is_mapped(struct vfio_pci_core_device *vdev)
{
	return vdev->absent == VFIO_PCI_ABSENT_ONES ||
	       vfio_device_is_gone(&vdev->vdev);
}

static struct page *vfio_pci_absent_page(struct vfio_pci_core_device *vdev)
{
	struct page *page = READ_ONCE(vdev->absent_page), *other;

	if (page)
		return page;

	page = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!page)
		return NULL;
	memset(page_address(page), 0xff, PAGE_SIZE);
	/* Faults come side by side. */
	other = cmpxchg(&vdev->absent_page, NULL, page);
	if (!other)
		return page;
	__free_page(page);
	return other;
}

/**
 * vfio_pci_absent_fault - map ones where memory is not there
 * @vdev: the device
 * @vmf: the fault
 *
 * The page is ordinary memory and mapped as such: with the cache attributes of the
 * BAR it would show what the caches have not written back.
 *
 * Context: memory_lock is held, the gate is closed.
 * Return: VM_FAULT_NOPAGE or an error.
 */
vm_fault_t vfio_pci_absent_fault(struct vfio_pci_core_device *vdev,
				 struct vm_fault *vmf)
{
	struct page *page = vfio_pci_absent_page(vdev);
	vm_fault_t ret;

	lockdep_assert_held(&vdev->memory_lock);
	if (!page)
		return VM_FAULT_OOM;

	ret = vmf_insert_pfn_prot(vmf->vma, vmf->address, page_to_pfn(page),
				  vm_get_page_prot(vmf->vma->vm_flags));
	if (ret == VM_FAULT_NOPAGE) {
		WRITE_ONCE(vdev->absent_shown, true);
		queue_delayed_work(system_unbound_wq, &vdev->absent_refill,
				   VFIO_PCI_ABSENT_REFILL);
	}
	return ret;
}

/**
 * vfio_pci_absent_mprotect - the rights of a mapping are going to change
 * @vma: the mapping
 * @start: first address
 * @end: behind the last one
 * @newflags: the rights
 *
 * On some architectures, arm64 for one, entries get the memory type of the VMA along
 * with the rights: that of the BAR, which shows of ordinary memory what the caches have
 * not written back, so perhaps what somebody else had there. They go, and come back by
 * faults.
 *
 * Context: mmap_lock is held for write, so no fault puts the page in meanwhile.
 * Return: 0.
 */
int vfio_pci_absent_mprotect(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end, unsigned long newflags)
{
	struct vfio_pci_core_device *vdev = vma->vm_private_data;

	if (READ_ONCE(vdev->absent_shown))
		zap_vma_ptes(vma, start, end - start);
	return 0;
}

/**
 * vfio_pci_absent_end - take the page from the mappings, and fill it
 * @vdev: the device
 *
 * Context: memory_lock is held for write.
 */
void vfio_pci_absent_end(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held_write(&vdev->memory_lock);
	if (!vdev->absent_shown)
		return;

	/* After the last close nobody knows any more which aliases there were. */
	if (vfio_device_is_gone(&vdev->vdev))
		vfio_device_unmap_mapping_range(&vdev->vdev, 0, 0);
	else
		vfio_pci_zap_bars(vdev);
	memset(page_address(vdev->absent_page), 0xff, PAGE_SIZE);
	WRITE_ONCE(vdev->absent_shown, false);
}

static void vfio_pci_absent_refill(struct work_struct *work)
{
	struct vfio_pci_core_device *vdev =
		container_of(to_delayed_work(work), struct vfio_pci_core_device,
			     absent_refill);

	down_write(&vdev->memory_lock);
	vfio_pci_absent_end(vdev);
	up_write(&vdev->memory_lock);
}

static void vfio_pci_absent_choose(struct vfio_pci_core_device *vdev, u8 absent)
{
	down_write(&vdev->memory_lock);
	vfio_pci_absent_end(vdev);
	/* Who asks what was chosen has no lock. */
	WRITE_ONCE(vdev->absent, absent);
	up_write(&vdev->memory_lock);
}

/* First open. */
void vfio_pci_absent_open(struct vfio_pci_core_device *vdev)
{
	vfio_pci_absent_choose(vdev, READ_ONCE(vdev->absent_default));
}

/* Last close. Of a device that was revoked there may be mappings. */
void vfio_pci_absent_close(struct vfio_pci_core_device *vdev)
{
	vfio_pci_absent_choose(vdev, VFIO_PCI_ABSENT_SIGBUS);
}

void vfio_pci_absent_init(struct vfio_pci_core_device *vdev)
{
	INIT_DELAYED_WORK(&vdev->absent_refill, vfio_pci_absent_refill);
}

/* No file and no mapping is left. */
void vfio_pci_absent_exit(struct vfio_pci_core_device *vdev)
{
	cancel_delayed_work_sync(&vdev->absent_refill);
	if (vdev->absent_page)
		__free_page(vdev->absent_page);
}

/* ---- The user's way ---- */

/* VFIO_DEVICE_FEATURE_PCI_ABSENT */
int vfio_pci_feature_absent(struct vfio_pci_core_device *vdev, u32 flags,
			    struct vfio_device_feature_pci_absent __user *arg,
			    size_t argsz)
{
	struct vfio_device_feature_pci_absent absent = {};
	int ret;

	/* A driver with an mmap of its own has faults of its own. */
	if (vdev->vdev.ops->mmap != vfio_pci_core_mmap)
		return -EOPNOTSUPP;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET |
				 VFIO_DEVICE_FEATURE_SET, sizeof(absent));
	if (ret != 1)
		return ret;

	if (flags & VFIO_DEVICE_FEATURE_GET) {
		absent.mappings = READ_ONCE(vdev->absent);
		return copy_to_user(arg, &absent, sizeof(absent)) ? -EFAULT : 0;
	}

	if (copy_from_user(&absent, arg, sizeof(absent)))
		return -EFAULT;
	if (absent.reserved ||
	    absent.mappings >= ARRAY_SIZE(vfio_pci_absent_names))
		return -EINVAL;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	vfio_pci_absent_choose(vdev, absent.mappings);
	vfio_pci_end(vdev);
	return 0;
}

/* ---- The administrator's way ---- */

static ssize_t absent_memory_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	struct vfio_pci_core_device *vdev = vfio_pci_of_class_device(dev);

	return sysfs_emit(buf, "%s\n",
			  vfio_pci_absent_names[READ_ONCE(vdev->absent_default)]);
}

static ssize_t absent_memory_store(struct device *dev,
				   struct device_attribute *attr,
				   const char *buf, size_t count)
{
	struct vfio_pci_core_device *vdev = vfio_pci_of_class_device(dev);
	int absent = sysfs_match_string(vfio_pci_absent_names, buf);

	if (absent < 0)
		return absent;
	WRITE_ONCE(vdev->absent_default, absent);
	return count;
}

struct device_attribute vfio_pci_attr_absent_memory = __ATTR_RW(absent_memory);
