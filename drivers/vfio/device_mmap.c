// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of device files.
 *
 * A mapping lives until its process removes it, a device may be revoked before
 * that (revoke.c). So the mm does not call the driver that made the mapping, it
 * calls the core, and each operation is a call that begins with
 * vfio_device_file_enter(). After that fails, the mapping belongs to nobody: faults
 * are SIGBUS.
 *
 * The core's operations are a copy of the driver's with the driver's functions
 * replaced, so that what the mm infers from a missing one stays true. There is
 * one copy for each vm_operations_struct that is in use on a device, on
 * users->vm_ops; it stays until the device is freed, which files, and thereby
 * mappings, outlive in no case.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "vfio.h"

/**
 * struct vfio_vm_ops - the core's operations of a mapping
 * @ops: what the mm sees
 * @driver: what they stand for
 * @next: in users->vm_ops, under users->lock
 */
struct vfio_vm_ops {
	struct vm_operations_struct ops;
	const struct vm_operations_struct *driver;
	struct list_head next;
};

static struct vfio_device_file *vma_df(struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

/*
 * The operations that the driver gave to a mapping of a device file, NULL if it
 * gave none.
 */
const struct vm_operations_struct *
vfio_device_vma_ops(struct vm_area_struct *vma)
{
	if (!vma->vm_ops)
		return NULL;
	return container_of(vma->vm_ops, struct vfio_vm_ops, ops)->driver;
}

static void vfio_vma_open(struct vm_area_struct *vma)
{
	struct vfio_device_file *df = vma_df(vma);
	struct vfio_device_call call;

	if (!vfio_device_file_enter(df, &call))
		return;
	vfio_device_vma_ops(vma)->open(vma);
	vfio_device_file_leave(df, &call);
}

static void vfio_vma_close(struct vm_area_struct *vma)
{
	struct vfio_device_file *df = vma_df(vma);
	struct vfio_device_call call;

	if (!vfio_device_file_enter(df, &call))
		return;
	vfio_device_vma_ops(vma)->close(vma);
	vfio_device_file_leave(df, &call);
}

static int vfio_vma_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	struct vfio_device_file *df = vma_df(vma);
	struct vfio_device_call call;
	int ret;

	if (!vfio_device_file_enter(df, &call))
		return 0;
	ret = vfio_device_vma_ops(vma)->may_split(vma, addr);
	vfio_device_file_leave(df, &call);
	return ret;
}

static int vfio_vma_mremap(struct vm_area_struct *vma)
{
	struct vfio_device_file *df = vma_df(vma);
	struct vfio_device_call call;
	int ret;

	if (!vfio_device_file_enter(df, &call))
		return 0;
	ret = vfio_device_vma_ops(vma)->mremap(vma);
	vfio_device_file_leave(df, &call);
	return ret;
}

static int vfio_vma_mprotect(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end, unsigned long newflags)
{
	struct vfio_device_file *df = vma_df(vma);
	struct vfio_device_call call;
	int ret;

	if (!vfio_device_file_enter(df, &call))
		return -ENODEV;
	ret = vfio_device_vma_ops(vma)->mprotect(vma, start, end, newflags);
	vfio_device_file_leave(df, &call);
	return ret;
}

static int vfio_vma_access(struct vm_area_struct *vma, unsigned long addr,
			   void *buf, int len, int write)
{
	struct vfio_device_file *df = vma_df(vma);
	struct vfio_device_call call;
	int ret;

	if (!vfio_device_file_enter(df, &call))
		return -ENODEV;
	ret = vfio_device_vma_ops(vma)->access(vma, addr, buf, len, write);
	vfio_device_file_leave(df, &call);
	return ret;
}

/*
 * A driver that drops mmap_lock may lose the VMA, so that is looked at first. The
 * file is what such a driver holds.
 */
static vm_fault_t vfio_vma_fault(struct vm_fault *vmf)
{
	struct vfio_device_file *df = vma_df(vmf->vma);
	struct vfio_device_call call;
	vm_fault_t ret;

	if (!vfio_device_file_enter(df, &call))
		return VM_FAULT_SIGBUS;
	ret = vfio_device_vma_ops(vmf->vma)->fault(vmf);
	vfio_device_file_leave(df, &call);
	return ret;
}

static vm_fault_t vfio_vma_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vfio_device_file *df = vma_df(vmf->vma);
	struct vfio_device_call call;
	vm_fault_t ret;

	if (!vfio_device_file_enter(df, &call))
		return VM_FAULT_SIGBUS;
	ret = vfio_device_vma_ops(vmf->vma)->huge_fault(vmf, order);
	vfio_device_file_leave(df, &call);
	return ret;
}

static vm_fault_t vfio_vma_map_pages(struct vm_fault *vmf, pgoff_t first,
				     pgoff_t last)
{
	struct vfio_device_file *df = vma_df(vmf->vma);
	struct vfio_device_call call;
	vm_fault_t ret;

	if (!vfio_device_file_enter(df, &call))
		return VM_FAULT_SIGBUS;
	ret = vfio_device_vma_ops(vmf->vma)->map_pages(vmf, first, last);
	vfio_device_file_leave(df, &call);
	return ret;
}

static vm_fault_t vfio_vma_page_mkwrite(struct vm_fault *vmf)
{
	struct vfio_device_file *df = vma_df(vmf->vma);
	struct vfio_device_call call;
	vm_fault_t ret;

	if (!vfio_device_file_enter(df, &call))
		return VM_FAULT_SIGBUS;
	ret = vfio_device_vma_ops(vmf->vma)->page_mkwrite(vmf);
	vfio_device_file_leave(df, &call);
	return ret;
}

static vm_fault_t vfio_vma_pfn_mkwrite(struct vm_fault *vmf)
{
	struct vfio_device_file *df = vma_df(vmf->vma);
	struct vfio_device_call call;
	vm_fault_t ret;

	if (!vfio_device_file_enter(df, &call))
		return VM_FAULT_SIGBUS;
	ret = vfio_device_vma_ops(vmf->vma)->pfn_mkwrite(vmf);
	vfio_device_file_leave(df, &call);
	return ret;
}

static void vfio_vm_ops_init(struct vfio_vm_ops *own,
			     const struct vm_operations_struct *driver)
{
	own->driver = driver;
	own->ops = (struct vm_operations_struct) {
		.open		= driver->open ? vfio_vma_open : NULL,
		.close		= driver->close ? vfio_vma_close : NULL,
		.may_split	= driver->may_split ? vfio_vma_may_split : NULL,
		.mremap		= driver->mremap ? vfio_vma_mremap : NULL,
		.mprotect	= driver->mprotect ? vfio_vma_mprotect : NULL,
		.access		= driver->access ? vfio_vma_access : NULL,
		.fault		= driver->fault ? vfio_vma_fault : NULL,
		.huge_fault	= driver->huge_fault ? vfio_vma_huge_fault : NULL,
		.map_pages	= driver->map_pages ? vfio_vma_map_pages : NULL,
		.page_mkwrite	= driver->page_mkwrite ?
				  vfio_vma_page_mkwrite : NULL,
		.pfn_mkwrite	= driver->pfn_mkwrite ?
				  vfio_vma_pfn_mkwrite : NULL,
	};
}

/* Put the core between the mm and the driver; uses up @spare, or frees it. */
static void vfio_device_own_vma(struct vfio_device *device,
				struct vm_area_struct *vma,
				struct vfio_vm_ops *spare)
{
	struct vfio_vm_ops *own;

	spin_lock(&vfio_device_users(device)->lock);
	list_for_each_entry(own, &vfio_device_users(device)->vm_ops, next)
		if (own->driver == vma->vm_ops)
			goto found;
	vfio_vm_ops_init(spare, vma->vm_ops);
	list_add(&spare->next, &vfio_device_users(device)->vm_ops);
	own = spare;
	spare = NULL;
found:
	spin_unlock(&vfio_device_users(device)->lock);
	kfree(spare);
	vma->vm_ops = &own->ops;
}

/* mmap() of a device file, as a call. */
int vfio_device_mmap(struct vfio_device *device, struct vm_area_struct *vma)
{
	struct vfio_vm_ops *spare;
	int ret;

	/* Before there is something to undo. */
	spare = kzalloc(sizeof(*spare), GFP_KERNEL_ACCOUNT);
	if (!spare)
		return -ENOMEM;

	ret = device->ops->mmap(device, vma);
	if (ret || !vma->vm_ops)
		kfree(spare);
	else
		vfio_device_own_vma(device, vma, spare);
	return ret;
}

/* The device is being freed. */
void vfio_device_free_vm_ops(struct vfio_device *device)
{
	struct vfio_vm_ops *own, *next;

	list_for_each_entry_safe(own, next, &vfio_device_users(device)->vm_ops, next)
		kfree(own);
}
