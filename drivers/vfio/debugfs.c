// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio/<device>/ in debugfs. Variant drivers add files of their own below
 * device->debug_root.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "vfio.h"

static struct dentry *vfio_debugfs_root;

static const char * const mig_state_names[VFIO_DEVICE_STATE_NR] = {
	[VFIO_DEVICE_STATE_ERROR]	 = "ERROR",
	[VFIO_DEVICE_STATE_STOP]	 = "STOP",
	[VFIO_DEVICE_STATE_RUNNING]	 = "RUNNING",
	[VFIO_DEVICE_STATE_STOP_COPY]	 = "STOP_COPY",
	[VFIO_DEVICE_STATE_RESUMING]	 = "RESUMING",
	[VFIO_DEVICE_STATE_RUNNING_P2P]	 = "RUNNING_P2P",
	[VFIO_DEVICE_STATE_PRE_COPY]	 = "PRE_COPY",
	[VFIO_DEVICE_STATE_PRE_COPY_P2P] = "PRE_COPY_P2P",
};

static int state_show(struct seq_file *seq, void *unused)
{
	struct vfio_device *device = seq->private;
	enum vfio_device_mig_state state;
	int ret;

	ret = device->mig_ops->migration_get_state(device, &state);
	if (ret)
		return ret;

	if (state < VFIO_DEVICE_STATE_NR)
		seq_printf(seq, "%s\n", mig_state_names[state]);
	else
		seq_puts(seq, "Invalid\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

void vfio_device_debugfs_add(struct vfio_device *device)
{
	struct dentry *dir;

	device->debug_root = debugfs_create_dir(dev_name(device->dev),
						vfio_debugfs_root);
	if (!device->mig_ops)
		return;

	dir = debugfs_create_dir("migration", device->debug_root);
	debugfs_create_file("state", 0444, dir, device, &state_fops);
}

/* Waits for readers. */
void vfio_device_debugfs_remove(struct vfio_device *device)
{
	debugfs_remove_recursive(device->debug_root);
}

void __init vfio_debugfs_init(void)
{
	vfio_debugfs_root = debugfs_create_dir("vfio", NULL);
}

void vfio_debugfs_exit(void)
{
	debugfs_remove_recursive(vfio_debugfs_root);
}
