// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_FEATURE: features that the core implements with the help of a
 * driver's mig_ops and log_ops; the others are the driver's own.
 */
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "vfio.h"

#define GET	VFIO_DEVICE_FEATURE_GET
#define SET	VFIO_DEVICE_FEATURE_SET

/**
 * struct vfio_core_feature - a feature that the core implements
 * @fn: carry out a get or a set that was found to be in order
 * @supported: whether the driver has what @fn needs
 * @ops: which of get and set there is
 * @size: how much data it takes
 */
struct vfio_core_feature {
	int (*fn)(struct vfio_device *device, u32 flags, void __user *arg);
	bool (*supported)(const struct vfio_device *device);
	u32 ops;
	size_t size;
};

static bool has_mig_ops(const struct vfio_device *device)
{
	return device->mig_ops;
}

static bool has_log_ops(const struct vfio_device *device)
{
	return device->log_ops;
}

static const struct vfio_core_feature core_features[] = {
	[VFIO_DEVICE_FEATURE_MIGRATION] = {
		vfio_feature_migration, has_mig_ops, GET,
		sizeof(struct vfio_device_feature_migration),
	},
	[VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE] = {
		vfio_feature_mig_state, has_mig_ops, GET | SET,
		sizeof(struct vfio_device_feature_mig_state),
	},
	[VFIO_DEVICE_FEATURE_MIG_DATA_SIZE] = {
		vfio_feature_mig_data_size, has_mig_ops, GET,
		sizeof(struct vfio_device_feature_mig_data_size),
	},
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_START] = {
		vfio_feature_dma_logging_start, has_log_ops, SET,
		sizeof(struct vfio_device_feature_dma_logging_control),
	},
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP] = {
		vfio_feature_dma_logging_stop, has_log_ops, SET, 0,
	},
	[VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT] = {
		vfio_feature_dma_logging_report, has_log_ops, GET,
		sizeof(struct vfio_device_feature_dma_logging_report),
	},
};

static const struct vfio_core_feature *vfio_core_feature_find(u32 nr)
{
	if (nr >= ARRAY_SIZE(core_features))
		return NULL;
	nr = array_index_nospec(nr, ARRAY_SIZE(core_features));
	return core_features[nr].fn ? &core_features[nr] : NULL;
}

static int vfio_core_feature(struct vfio_device *device,
			     const struct vfio_core_feature *feature,
			     u32 flags, void __user *arg, size_t argsz)
{
	int ret;

	if (!feature->supported(device))
		return -ENOTTY;

	ret = vfio_check_feature(flags, argsz, feature->ops, feature->size);
	return ret == 1 ? feature->fn(device, flags, arg) : ret;
}

int vfio_device_ioctl_feature(struct vfio_device *device,
			      struct vfio_device_feature __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_feature, flags);
	const struct vfio_core_feature *core;
	struct vfio_device_feature feature;

	if (copy_from_user(&feature, arg, minsz))
		return -EFAULT;

	if (feature.argsz < minsz)
		return -EINVAL;

	if (feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | GET | SET |
			      VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;

	/* Both at once is a question that only a probe can ask. */
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) &&
	    (feature.flags & GET) && (feature.flags & SET))
		return -EINVAL;

	core = vfio_core_feature_find(feature.flags & VFIO_DEVICE_FEATURE_MASK);
	if (core)
		return vfio_core_feature(device, core, feature.flags, arg->data,
					 feature.argsz - minsz);

	if (!device->ops->device_feature)
		return -ENOTTY;
	return device->ops->device_feature(device, feature.flags, arg->data,
					   feature.argsz - minsz);
}
