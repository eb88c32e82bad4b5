// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration: the state machine of enum vfio_device_mig_state, and the features
 * that drive a device through it.
 *
 * The machine is a graph. A user may ask for any state from any other; drivers
 * implement the arcs, and vfio_mig_get_next_state() says which arc comes next on
 * the way. The rules are those of the user interface:
 *
 * - The shortest path wins.
 * - PRE_COPY, PRE_COPY_P2P and STOP_COPY share one data transfer session, the
 *   "saving group". A path that starts and ends in it stays in it, or the
 *   session would end on the way; any other path has no inner state in it, or a
 *   session would begin for nothing.
 * - ERROR is on no arc.
 *
 * No two shortest paths remain under these rules, so the path is a function of
 * its ends. States that a device does not support are passed over: the driver
 * sees one arc from the state before to the state after.
 */
#include <linux/anon_inodes.h>
#include <linux/bitops.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "vfio.h"

#define S(state)	BIT(VFIO_DEVICE_STATE_##state)

#define SAVING_GROUP	(S(PRE_COPY) | S(PRE_COPY_P2P) | S(STOP_COPY))

/* Where the arcs of each state lead. */
static const unsigned long mig_arcs[VFIO_DEVICE_STATE_NR] = {
	[VFIO_DEVICE_STATE_STOP]	 = S(RUNNING_P2P) | S(STOP_COPY) |
					   S(RESUMING),
	[VFIO_DEVICE_STATE_RUNNING]	 = S(RUNNING_P2P) | S(PRE_COPY),
	[VFIO_DEVICE_STATE_STOP_COPY]	 = S(STOP),
	[VFIO_DEVICE_STATE_RESUMING]	 = S(STOP),
	[VFIO_DEVICE_STATE_RUNNING_P2P]	 = S(STOP) | S(RUNNING) |
					   S(PRE_COPY_P2P),
	[VFIO_DEVICE_STATE_PRE_COPY]	 = S(RUNNING) | S(PRE_COPY_P2P),
	[VFIO_DEVICE_STATE_PRE_COPY_P2P] = S(RUNNING_P2P) | S(PRE_COPY) |
					   S(STOP_COPY),
};

static bool mig_state_supported(const struct vfio_device *device, u32 state)
{
	unsigned int need = VFIO_MIGRATION_STOP_COPY;

	if (state == VFIO_DEVICE_STATE_ERROR || state >= VFIO_DEVICE_STATE_NR)
		return false;
	if (BIT(state) & (S(RUNNING_P2P) | S(PRE_COPY_P2P)))
		need |= VFIO_MIGRATION_P2P;
	if (BIT(state) & (S(PRE_COPY) | S(PRE_COPY_P2P)))
		need |= VFIO_MIGRATION_PRE_COPY;

	return (device->migration_flags & need) == need;
}

/*
 * The first state after @from on the way to @to, or ERROR if there is no way.
 * @near is the set of states from which @to is known to be in reach; it grows
 * by one arc each time around, so that the first arc from @from that hits it is
 * on a shortest path.
 */
static u32 mig_step(u32 from, u32 to)
{
	bool in_session = (SAVING_GROUP & BIT(from)) && (SAVING_GROUP & BIT(to));
	unsigned long inner = in_session ? SAVING_GROUP : ~SAVING_GROUP;
	unsigned long near = BIT(to);
	unsigned long grown;
	u32 state;

	if (from == to)
		return to;

	while (!(mig_arcs[from] & near)) {
		grown = near;
		for (state = 0; state < VFIO_DEVICE_STATE_NR; state++)
			if ((inner & BIT(state)) && (mig_arcs[state] & near))
				grown |= BIT(state);
		if (grown == near)
			return VFIO_DEVICE_STATE_ERROR;
		near = grown;
	}
	return __ffs(mig_arcs[from] & near);
}

/**
 * vfio_mig_get_next_state() - the next arc on the way to a migration state
 * @device: the device; its migration_flags say which states it has
 * @cur_fsm: the state it is in
 * @new_fsm: the state it shall go to
 * @next_fsm: set to the state that the next arc leads to
 *
 * A driver calls this, executes the arc, and repeats until it is in @new_fsm.
 *
 * Context: any; takes no lock.
 * Return: 0, or -EINVAL if the device has no such states or no way leads there.
 */
int vfio_mig_get_next_state(struct vfio_device *device,
			    enum vfio_device_mig_state cur_fsm,
			    enum vfio_device_mig_state new_fsm,
			    enum vfio_device_mig_state *next_fsm)
{
	u32 next = cur_fsm;

	if (!mig_state_supported(device, cur_fsm) ||
	    !mig_state_supported(device, new_fsm))
		return -EINVAL;

	do {
		next = mig_step(next, new_fsm);
		if (next == VFIO_DEVICE_STATE_ERROR)
			return -EINVAL;
	} while (!mig_state_supported(device, next));

	*next_fsm = next;
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_mig_get_next_state);

/* VFIO_DEVICE_FEATURE_MIGRATION */
int vfio_feature_migration(struct vfio_device *device, u32 flags,
			   void __user *arg)
{
	struct vfio_device_feature_migration mig = {
		.flags = device->migration_flags,
	};

	return copy_to_user(arg, &mig, sizeof(mig)) ? -EFAULT : 0;
}

static int vfio_mig_get(struct vfio_device *device,
			struct vfio_device_feature_mig_state __user *arg)
{
	struct vfio_device_feature_mig_state mig = { .data_fd = -1 };
	enum vfio_device_mig_state state;
	int ret;

	ret = device->mig_ops->migration_get_state(device, &state);
	if (ret)
		return ret;

	mig.device_state = state;
	return copy_to_user(arg, &mig, sizeof(mig)) ? -EFAULT : 0;
}

/* Hand the file of a new data transfer session to the user; uses up @file. */
static int vfio_mig_return_file(struct file *file,
				struct vfio_device_feature_mig_state *mig,
				struct vfio_device_feature_mig_state __user *arg)
{
	int fd, ret;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto err_file;
	}

	mig->data_fd = fd;
	if (copy_to_user(arg, mig, sizeof(*mig))) {
		ret = -EFAULT;
		goto err_fd;
	}

	fd_install(fd, file);
	return 0;

err_fd:
	put_unused_fd(fd);
err_file:
	fput(file);
	return ret;
}

static int vfio_mig_set(struct vfio_device *device,
			struct vfio_device_feature_mig_state *mig,
			struct vfio_device_feature_mig_state __user *arg)
{
	struct file *file;

	file = device->mig_ops->migration_set_state(device, mig->device_state);
	if (!IS_ERR_OR_NULL(file))
		return vfio_mig_return_file(file, mig, arg);

	/* No session began, which the user is told even if the arc failed. */
	mig->data_fd = -1;
	if (copy_to_user(arg, mig, sizeof(*mig)))
		return -EFAULT;
	return PTR_ERR_OR_ZERO(file);
}

/* VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE */
int vfio_feature_mig_state(struct vfio_device *device, u32 flags,
			   void __user *arg)
{
	struct vfio_device_feature_mig_state mig;

	if (copy_from_user(&mig, arg, sizeof(mig)))
		return -EFAULT;

	if (flags & VFIO_DEVICE_FEATURE_GET)
		return vfio_mig_get(device, arg);
	return vfio_mig_set(device, &mig, arg);
}

/* VFIO_DEVICE_FEATURE_MIG_DATA_SIZE */
int vfio_feature_mig_data_size(struct vfio_device *device, u32 flags,
			       void __user *arg)
{
	struct vfio_device_feature_mig_data_size size = {};
	unsigned long stop_copy_length;
	int ret;

	ret = device->mig_ops->migration_get_data_size(device,
						       &stop_copy_length);
	if (ret)
		return ret;

	size.stop_copy_length = stop_copy_length;
	return copy_to_user(arg, &size, sizeof(size)) ? -EFAULT : 0;
}
