// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pseudo file system that gives every device an inode. All open files of a
 * device share the address space of that inode, whichever way and in whichever
 * process they were opened, so every mapping of the device is found there.
 *
 * The file system is mounted while there is a device.
 */
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "vfio.h"

#define VFIO_FS_MAGIC	0x5646494f	/* "VFIO" */

static struct vfsmount *vfio_fs_mount;
static int vfio_fs_users;

static int vfio_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, VFIO_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type vfio_fs_type = {
	.name			= "vfio",
	.owner			= THIS_MODULE,
	.init_fs_context	= vfio_fs_init_context,
	.kill_sb		= kill_anon_super,
};

/* Give @device its inode, for as long as the device object lives. */
int vfio_device_inode_get(struct vfio_device *device)
{
	struct inode *inode;
	int ret;

	ret = simple_pin_fs(&vfio_fs_type, &vfio_fs_mount, &vfio_fs_users);
	if (ret)
		return ret;

	inode = alloc_anon_inode(vfio_fs_mount->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&vfio_fs_mount, &vfio_fs_users);
		return PTR_ERR(inode);
	}

	device->inode = inode;
	return 0;
}

void vfio_device_inode_put(struct vfio_device *device)
{
	iput(device->inode);
	simple_release_fs(&vfio_fs_mount, &vfio_fs_users);
}

/**
 * vfio_device_unmap_mapping_range() - take mapped device memory from its users
 * @device: the device, allocated
 * @start: offset in the device file at which to start, page-aligned
 * @len: number of bytes; 0 means up to the end of the file
 *
 * Removes every page-table entry of every process that maps that part of the
 * device file, however it was opened. The mappings stay: the next access takes
 * a fault. The caller must make sure that the fault handler refuses from
 * before this call on, or what is removed may come back at once.
 *
 * Context: may sleep; takes the i_mmap lock and page-table locks inside.
 */
void vfio_device_unmap_mapping_range(struct vfio_device *device, loff_t start,
				     loff_t len)
{
	unmap_mapping_range(device->inode->i_mapping, start, len, true);
}
EXPORT_SYMBOL_GPL(vfio_device_unmap_mapping_range);
