// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE: features that the core implements with the help of a
 * driver's mig_ops and log_ops; the others are the driver's own.
 */
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "vfio.h"

typedef int (*vfio_feature_fn)(struct vfio_device *device, u32 flags,
			       void __user *arg, size_t argsz);

static const vfio_feature_fn core_features[] = {
	[VFIO_DEVICE_FEATURE_MIGRATION]		 = vfio_feature_migration,
	[VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE]	 = vfio_feature_mig_state,
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_START]	 = vfio_feature_dma_logging_start,
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP]	 = vfio_feature_dma_logging_stop,
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT] = vfio_feature_dma_logging_report,
	[VFIO_DEVICE_FEATURE_MIG_DATA_SIZE]	 = vfio_feature_mig_data_size,
};

static vfio_feature_fn vfio_feature_lookup(struct vfio_device *device, u32 nr)
{
	if (nr < ARRAY_SIZE(core_features)) {
		nr = array_index_nospec(nr, ARRAY_SIZE(core_features));
		if (core_features[nr])
			return core_features[nr];
	}
	return device->ops->device_feature;
}

int vfio_device_ioctl_feature(struct vfio_device *device,
			      struct vfio_device_feature __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_feature, flags);
	const u32 get_set = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
	struct vfio_device_feature feature;
	vfio_feature_fn fn;

	if (copy_from_user(&feature, arg, minsz))
		return -EFAULT;

	if (feature.argsz < minsz)
		return -EINVAL;

	if (feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | get_set |
			      VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;

	/* Both at once is a question that only a probe can ask. */
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) &&
	    (feature.flags & get_set) == get_set)
		return -EINVAL;

	fn = vfio_feature_lookup(device,
				 feature.flags & VFIO_DEVICE_FEATURE_MASK);
	if (!fn)
		return -ENOTTY;
	return fn(device, feature.flags, arg->data, feature.argsz - minsz);
}
