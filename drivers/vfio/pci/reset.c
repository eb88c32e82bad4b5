// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets: of one function, and of everything behind a slot or on a bus.
 *
 * A hot reset hits every device of a device set at once, so it needs all of
 * them: each affected function bound to a vfio driver, each owned by the
 * caller, each one's gate closed. Who opened the device through a group shows
 * the files of groups for that; who bound it to an iommufd has what is bound
 * there, with the groups of these devices. dev_set->lock, with no device aside,
 * keeps the set as it is and its devices from being opened and closed; under it
 * the gates are closed,
 * the first one waiting, the others only trying, because their holders may wait
 * for the first. Either all are held or nothing is reset.
 */
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "trace.h"
#include "vfio_pci_priv.h"

/**
 * vfio_pci_reset_trylock - lock a function to reset it
 * @pdev: the function
 * @bridge: set to what vfio_pci_reset_unlock() needs
 *
 * Where the function is alone on its bus the PCI core may reset the bus for it, and
 * wants the bridge above locked (its configuration space, too) while its secondary
 * side is in reset. Others on the bus rule that way out (a slot with VFs apart), and
 * their users' resets must not meet at the bridge. Who comes to the bus or leaves it
 * just now changes only whether the bridge is locked.
 *
 * Return: false, with nothing locked, where one of the locks is contended.
 * Context: may sleep. Locks are tried: a removal holds them and waits for a close.
 */
bool vfio_pci_reset_trylock(struct pci_dev *pdev, struct pci_dev **bridge)
{
	*bridge = list_is_singular(&pdev->bus->devices) ? pdev->bus->self : NULL;
	if (*bridge && !pci_dev_trylock(*bridge))
		return false;
	if (pci_dev_trylock(pdev))
		return true;
	if (*bridge)
		pci_dev_unlock(*bridge);
	return false;
}

/**
 * vfio_pci_reset_unlock - undo vfio_pci_reset_trylock()
 * @pdev: the function
 * @bridge: the bridge
 */
void vfio_pci_reset_unlock(struct pci_dev *pdev, struct pci_dev *bridge)
{
	pci_dev_unlock(pdev);
	if (bridge)
		pci_dev_unlock(bridge);
}

static int vfio_pci_lock_and_reset(struct pci_dev *pdev)
{
	struct pci_dev *bridge;
	int ret;

	if (!pdev->reset_methods[0])
		return -ENOTTY;
	if (!vfio_pci_reset_trylock(pdev, &bridge))
		return -EAGAIN;
	ret = pci_reset_function_locked(pdev);
	vfio_pci_reset_unlock(pdev, bridge);
	return ret;
}

/**
 * vfio_pci_try_reset - reset one function, and keep its configuration
 * @vdev: the device
 * @cause: who wants it
 *
 * Return: 0, -EAGAIN where a lock is contended, or what the reset method returns.
 * Context: may sleep, 100 ms and more; as vfio_pci_gate_reset_begin().
 */
int vfio_pci_try_reset(struct vfio_pci_core_device *vdev,
		       enum vfio_pci_gate_cause cause)
{
	int ret;

	vfio_pci_gate_reset_begin(vdev);
	ret = vfio_pci_lock_and_reset(vdev->pdev);
	vfio_pci_gate_reset_end(vdev, ret);
	trace_vfio_pci_reset(vdev->pdev, cause, ret);
	return ret;
}

/**
 * vfio_pci_reset_function - reset one function
 * @vdev: the device
 * @cause: who wants it
 *
 * Return: 0, -EAGAIN where the device's lock is contended, -EINTR where the
 * caller was killed, or what the reset method returns.
 * Context: may sleep, 100 ms and more; memory_lock is not held.
 */
int vfio_pci_reset_function(struct vfio_pci_core_device *vdev,
			    enum vfio_pci_gate_cause cause)
{
	int ret;

	vfio_pci_gate_wait_recovery(vdev);
	vfio_pci_vfs_hold(vdev);
	ret = vfio_pci_gate_close_killable(vdev, cause);
	if (ret)
		goto let_go;
	/* A reset from D3hot may leave the function there. */
	vfio_pci_set_power_state(vdev, PCI_D0);
	ret = vfio_pci_try_reset(vdev, cause);
	vfio_pci_gate_open(vdev);
let_go:
	vfio_pci_vfs_let_go(vdev);
	return ret;
}

/* Who is hit by a reset of @pdev's slot or, where that cannot be, its bus. */
struct vfio_pci_reset_scope {
	struct pci_dev *pdev;
	bool slot;
	int (*fn)(struct pci_dev *pdev, void *data);
	void *data;
	int ret;
};

static bool vfio_pci_is_below_slot(struct pci_dev *pdev, struct pci_slot *slot)
{
	while (pdev && pdev->bus != slot->bus)
		pdev = pdev->bus->self;

	return pdev && pdev->slot == slot;
}

static int vfio_pci_reset_scope_visit(struct pci_dev *pdev, void *data)
{
	struct vfio_pci_reset_scope *scope = data;

	if (!scope->slot || vfio_pci_is_below_slot(pdev, scope->pdev->slot))
		scope->ret = scope->fn(pdev, scope->data);
	return scope->ret;
}

/*
 * Returns -ENODEV where neither slot nor bus can be reset, else what @fn
 * returned last; other than 0 that ends the walk.
 */
static int vfio_pci_for_each_affected(struct pci_dev *pdev,
				      int (*fn)(struct pci_dev *, void *),
				      void *data)
{
	struct vfio_pci_reset_scope scope = {
		.pdev = pdev,
		.fn = fn,
		.data = data,
	};

	if (!pci_probe_reset_slot(pdev->slot))
		scope.slot = true;
	else if (pci_probe_reset_bus(pdev->bus))
		return -ENODEV;

	pci_walk_bus(pdev->bus, vfio_pci_reset_scope_visit, &scope);
	return scope.ret;
}

struct vfio_pci_affected {
	struct vfio_pci_core_device *vdev;	/* the device that asks */
	struct vfio_pci_dependent_device *devices;
	u32 count;
	u32 flags;
};

/* What @pdev is to the user of the iommufd that @vdev is bound to. */
static u32 vfio_pci_affected_devid(struct vfio_pci_core_device *vdev,
				   struct pci_dev *pdev)
{
	struct vfio_device *device;
	int id;

	device = vfio_find_device_in_devset(vdev->vdev.dev_set, &pdev->dev);
	if (!device)
		return VFIO_PCI_DEVID_NOT_OWNED;

	id = vfio_iommufd_get_dev_id(device,
				     vfio_iommufd_device_ictx(&vdev->vdev));
	if (id > 0)
		return id;
	return id == -ENOENT ? VFIO_PCI_DEVID_OWNED : VFIO_PCI_DEVID_NOT_OWNED;
}

static int vfio_pci_note_affected(struct pci_dev *pdev, void *data)
{
	struct vfio_pci_affected *all = data;
	struct vfio_pci_dependent_device *devices, *new;
	struct iommu_group *group;

	devices = krealloc_array(all->devices, all->count + 1,
				 sizeof(*devices), GFP_KERNEL);
	if (!devices)
		return -ENOMEM;
	all->devices = devices;

	new = &devices[all->count];
	new->segment = pci_domain_nr(pdev->bus);
	new->bus = pdev->bus->number;
	new->devfn = pdev->devfn;

	if (all->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID) {
		new->devid = vfio_pci_affected_devid(all->vdev, pdev);
		if (new->devid == VFIO_PCI_DEVID_NOT_OWNED)
			all->flags &= ~VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	} else {
		/* Nobody can prove that he owns what is in no group. */
		group = iommu_group_get(&pdev->dev);
		if (!group)
			return -EPERM;
		new->group_id = iommu_group_id(group);
		iommu_group_put(group);
	}
	all->count++;
	return 0;
}

/* VFIO_DEVICE_GET_PCI_HOT_RESET_INFO */
long vfio_pci_get_hot_reset_info(struct vfio_pci_core_device *vdev,
				 void __user *arg)
{
	struct vfio_pci_hot_reset_info __user *uinfo = arg;
	const size_t minsz = offsetofend(struct vfio_pci_hot_reset_info, count);
	struct vfio_pci_hot_reset_info hdr;
	struct vfio_pci_affected all = { .vdev = vdev };
	struct vfio_device_set *dev_set;
	size_t room;
	int ret;

	if (copy_from_user(&hdr, uinfo, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz)
		return -EINVAL;
	room = (hdr.argsz - minsz) / sizeof(*all.devices);

	if (vfio_device_cdev_opened(&vdev->vdev))
		all.flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID |
			    VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	dev_set = vdev->vdev.dev_set;
	mutex_lock(&dev_set->lock);
	ret = vfio_pci_for_each_affected(vdev->pdev, vfio_pci_note_affected,
					 &all);
	mutex_unlock(&dev_set->lock);
	vfio_pci_end(vdev);
	if (ret)
		goto free;

	/* Who only asks for the count gets only that. */
	hdr.flags = room < all.count ? 0 : all.flags;
	hdr.count = all.count;
	if (copy_to_user(uinfo, &hdr, minsz))
		ret = -EFAULT;
	else if (room < all.count)
		ret = -ENOSPC;
	else if (copy_to_user(uinfo->devices, all.devices,
			      array_size(all.count, sizeof(*all.devices))))
		ret = -EFAULT;
free:
	kfree(all.devices);
	return ret;
}

static int vfio_pci_count_affected(struct pci_dev *pdev, void *data)
{
	(*(u32 *)data)++;
	return 0;
}

static int vfio_pci_check_in_set(struct pci_dev *pdev, void *data)
{
	struct vfio_device_set *dev_set = data;

	return vfio_find_device_in_devset(dev_set, &pdev->dev) ? 0 : -EINVAL;
}

static struct vfio_pci_core_device *
vfio_pci_first_in_set(struct vfio_device_set *dev_set)
{
	return list_first_entry_or_null(&dev_set->device_list,
					struct vfio_pci_core_device,
					vdev.dev_set_list);
}

static void vfio_pci_set_put_power(struct vfio_device_set *dev_set,
				   struct vfio_pci_core_device *until)
{
	struct vfio_pci_core_device *vdev;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		if (vdev == until)
			break;
		pm_runtime_put(&vdev->pdev->dev);
	}
}

/* A bus reset of a function that sleeps is lost on it. */
static int vfio_pci_set_get_power(struct vfio_device_set *dev_set)
{
	struct vfio_pci_core_device *vdev;
	int ret;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		ret = pm_runtime_resume_and_get(&vdev->pdev->dev);
		if (ret) {
			vfio_pci_set_put_power(dev_set, vdev);
			return ret;
		}
	}
	return 0;
}

static void vfio_pci_set_open_gates(struct vfio_device_set *dev_set,
				    struct vfio_pci_core_device *until)
{
	struct vfio_pci_core_device *vdev;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		if (vdev == until)
			break;
		vfio_pci_gate_open(vdev);
	}
}

static void vfio_pci_set_go(struct vfio_device_set *dev_set)
{
	struct vfio_pci_core_device *vdev;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		vfio_pci_dmabufs_go(vdev);
		vfio_pci_vfs_let_go(vdev);
	}
}

/* Others want dev_set->lock, so importers are not waited for without end. */
static int vfio_pci_set_stop(struct vfio_device_set *dev_set)
{
	unsigned long deadline = jiffies + 10 * HZ;
	struct vfio_pci_core_device *vdev;
	int ret;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		vfio_pci_vfs_hold(vdev);
		vfio_pci_dmabufs_stop(vdev);
	}
	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		ret = vfio_pci_dmabufs_drain(vdev, &deadline);
		if (ret) {
			vfio_pci_set_go(dev_set);
			return ret;
		}
	}
	return 0;
}

static int vfio_pci_set_close_gates(struct vfio_device_set *dev_set)
{
	struct vfio_pci_core_device *vdev;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		if (vdev == vfio_pci_first_in_set(dev_set)) {
			vfio_pci_gate_close(vdev, VFIO_PCI_GATE_HOT_RESET);
		} else if (!vfio_pci_gate_try_close(vdev,
						    VFIO_PCI_GATE_HOT_RESET)) {
			vfio_pci_set_open_gates(dev_set, vdev);
			return -EBUSY;
		}
	}
	return 0;
}

/* dev_set->lock is held; the caller has the right to do this. */
static int vfio_pci_reset_set(struct vfio_device_set *dev_set,
			      struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev;
	int ret;

	lockdep_assert_held(&dev_set->lock);

	ret = vfio_pci_for_each_affected(pdev, vfio_pci_check_in_set, dev_set);
	if (ret)
		return ret;

	ret = vfio_pci_set_get_power(dev_set);
	if (ret)
		return ret;

	ret = vfio_pci_set_stop(dev_set);
	if (ret)
		goto put_power;

	ret = vfio_pci_set_close_gates(dev_set);
	if (ret)
		goto go;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		vfio_pci_set_power_state(vdev, PCI_D0);
		vfio_pci_gate_reset_begin(vdev);
	}
	ret = pci_reset_bus(pdev);
	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		vfio_pci_gate_reset_end(vdev, ret);
	trace_vfio_pci_reset(pdev, VFIO_PCI_GATE_HOT_RESET, ret);
	vfio_pci_set_open_gates(dev_set, NULL);
go:
	vfio_pci_set_go(dev_set);
put_power:
	vfio_pci_set_put_power(dev_set, NULL);
	return ret;
}

/* What shows that the caller owns the devices of a set: one or the other. */
struct vfio_pci_proof {
	struct file **groups;
	u32 count;
	struct iommufd_ctx *ictx;
};

static void vfio_pci_put_proof(struct vfio_pci_proof *proof)
{
	while (proof->count)
		fput(proof->groups[--proof->count]);
	kfree(proof->groups);
}

/* Groups by their files. On failure there may be some in @proof. */
static int vfio_pci_get_groups(struct vfio_pci_proof *proof,
			       const s32 __user *ufds, u32 count)
{
	struct file *file;
	int ret = 0;
	s32 *fds;
	u32 i;

	fds = memdup_array_user(ufds, count, sizeof(*fds));
	if (IS_ERR(fds))
		return PTR_ERR(fds);

	proof->groups = kcalloc(count, sizeof(*proof->groups),
				GFP_KERNEL_ACCOUNT);
	if (!proof->groups)
		ret = -ENOMEM;

	for (i = 0; i < count && !ret; i++) {
		file = fget(fds[i]);
		if (!file) {
			ret = -EBADF;
			break;
		}
		proof->groups[proof->count++] = file;
		if (!vfio_file_is_group(file))
			ret = -EINVAL;
	}
	kfree(fds);
	return ret;
}

static bool vfio_pci_proves(const struct vfio_pci_proof *proof,
			    struct vfio_device *device)
{
	int id;
	u32 i;

	if (proof->ictx) {
		id = vfio_iommufd_get_dev_id(device, proof->ictx);
		return id > 0 || id == -ENOENT;
	}

	for (i = 0; i < proof->count; i++)
		if (vfio_file_has_dev(proof->groups[i], device))
			return true;
	return false;
}

static bool vfio_pci_set_is_owned(struct vfio_device_set *dev_set,
				  const struct vfio_pci_proof *proof)
{
	struct vfio_device *device;

	list_for_each_entry(device, &dev_set->device_list, dev_set_list)
		if (!vfio_pci_proves(proof, device))
			return false;
	return true;
}

/* One of them had an error, and the platform is to go first. */
static bool vfio_pci_set_recovers(struct vfio_device_set *dev_set)
{
	struct vfio_pci_core_device *vdev;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		if (vfio_pci_gate_recovers(vdev))
			return true;
	return false;
}

/* How many functions a reset of @vdev's slot or bus hits. */
static int vfio_pci_nr_affected(struct vfio_pci_core_device *vdev, u32 *nr)
{
	int ret = vfio_pci_begin(vdev);

	if (ret)
		return ret;
	ret = vfio_pci_for_each_affected(vdev->pdev, vfio_pci_count_affected,
					 nr);
	vfio_pci_end(vdev);
	return ret;
}

/*
 * With the groups in @proof, or the iommufd that @vdev is bound to. If it is to be tried
 * @later, nothing was done.
 */
static int vfio_pci_try_hot_reset(struct vfio_pci_core_device *vdev,
				  struct vfio_pci_proof *proof, bool *later)
{
	struct vfio_device_set *dev_set;
	int ret;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;

	dev_set = vdev->vdev.dev_set;
	mutex_lock(&dev_set->lock);
	*later = dev_set->aside_count || vfio_pci_set_recovers(dev_set);
	if (!proof->count)
		proof->ictx = vfio_iommufd_device_ictx(&vdev->vdev);
	if (!vfio_pci_set_is_owned(dev_set, proof))
		ret = -EINVAL;
	else if (!*later)
		ret = vfio_pci_reset_set(dev_set, vdev->pdev);
	mutex_unlock(&dev_set->lock);
	vfio_pci_end(vdev);
	return ret;
}

/*
 * Who is aside is the caller's own, and may be so for as long as he likes: that is
 * waited for in no call, and until he is killed. So is the platform.
 */
static int vfio_pci_hot_reset_with(struct vfio_pci_core_device *vdev,
				   struct vfio_pci_proof *proof)
{
	bool later = false;
	int ret;

	for (;;) {
		ret = vfio_pci_try_hot_reset(vdev, proof, &later);
		if (ret || !later)
			return ret;
		/* The system may go to sleep meanwhile. */
		__set_current_state(TASK_KILLABLE | TASK_FREEZABLE);
		schedule_timeout(1);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

/* VFIO_DEVICE_PCI_HOT_RESET */
long vfio_pci_hot_reset(struct vfio_pci_core_device *vdev, void __user *arg)
{
	struct vfio_pci_hot_reset __user *ureset = arg;
	const size_t minsz = offsetofend(struct vfio_pci_hot_reset, count);
	struct vfio_pci_proof proof = {};
	struct vfio_pci_hot_reset hdr;
	u32 affected = 0;
	int ret;

	if (copy_from_user(&hdr, ureset, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz || hdr.flags)
		return -EINVAL;
	/* Groups are for who opened the device through one. */
	if (!hdr.count != vfio_device_cdev_opened(&vdev->vdev))
		return -EINVAL;

	ret = vfio_pci_nr_affected(vdev, &affected);
	if (ret)
		return ret;
	/* More groups than functions is nonsense, and bounds the array. */
	if (hdr.count > affected)
		return -EINVAL;

	if (hdr.count)
		ret = vfio_pci_get_groups(&proof, ureset->group_fds, hdr.count);
	if (!ret)
		ret = vfio_pci_hot_reset_with(vdev, &proof);
	vfio_pci_put_proof(&proof);
	return ret;
}

/**
 * vfio_pci_reset_unused_set - reset what its last user left as it was
 * @dev_set: the set
 *
 * A function that could not be reset alone at its last close is reset with its
 * bus or slot once no device of the set is open. Who finds one in use leaves it to
 * that one's end.
 *
 * Context: may sleep; dev_set->lock is held.
 */
void vfio_pci_reset_unused_set(struct vfio_device_set *dev_set)
{
	struct vfio_pci_core_device *vdev;
	struct pci_dev *pdev = NULL;

	/*
	 * The last of them does it. Not by open_count: one that leaves its
	 * iommufd counts as open, for as long as its user likes.
	 */
	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list) {
		if (vdev->in_use) {
			vdev->reset_left = true;
			return;
		}
		if (vdev->needs_reset)
			pdev = vdev->pdev;
	}
	if (!pdev || vfio_pci_reset_set(dev_set, pdev))
		return;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		vdev->needs_reset = false;
}
