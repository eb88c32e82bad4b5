// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets: of one function, and of everything behind a slot or on a bus.
 *
 * A hot reset hits every device of a device set at once, so it needs all of
 * them: each affected function bound to a vfio driver, each owned by the
 * caller, each one's gate closed. dev_set->lock keeps the set as it is and its
 * devices from being opened and closed; under it the gates are closed, the
 * first one waiting, the others only trying, because their holders may wait
 * for the first. Either all are held or nothing is reset.
 */
#include <linux/file.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "trace.h"
#include "vfio_pci_priv.h"

/**
 * vfio_pci_reset_function - reset one function
 * @vdev: the device
 * @cause: who wants it
 *
 * Return: 0, -EAGAIN where the device's lock is contended, or what the reset
 * method returns.
 * Context: may sleep, 100 ms and more; memory_lock is not held.
 */
int vfio_pci_reset_function(struct vfio_pci_core_device *vdev,
			    enum vfio_pci_gate_cause cause)
{
	int ret;

	vfio_pci_gate_close(vdev, cause);
	/* A reset from D3hot may leave the function there. */
	vfio_pci_set_power_state(vdev, PCI_D0);
	ret = pci_try_reset_function(vdev->pdev);
	trace_vfio_pci_reset(vdev->pdev, cause, ret);
	vfio_pci_gate_open(vdev);

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
	struct vfio_pci_dependent_device *devices;
	u32 count;
};

static int vfio_pci_note_affected(struct pci_dev *pdev, void *data)
{
	struct vfio_pci_affected *all = data;
	struct vfio_pci_dependent_device *devices;
	struct iommu_group *group;

	devices = krealloc_array(all->devices, all->count + 1,
				 sizeof(*devices), GFP_KERNEL);
	if (!devices)
		return -ENOMEM;
	all->devices = devices;

	/* Nobody can prove that he owns what is in no group. */
	group = iommu_group_get(&pdev->dev);
	if (!group)
		return -EPERM;

	devices[all->count++] = (struct vfio_pci_dependent_device) {
		.group_id = iommu_group_id(group),
		.segment = pci_domain_nr(pdev->bus),
		.bus = pdev->bus->number,
		.devfn = pdev->devfn,
	};
	iommu_group_put(group);
	return 0;
}

/* VFIO_DEVICE_GET_PCI_HOT_RESET_INFO */
long vfio_pci_get_hot_reset_info(struct vfio_pci_core_device *vdev,
				 void __user *arg)
{
	struct vfio_pci_hot_reset_info __user *uinfo = arg;
	const size_t minsz = offsetofend(struct vfio_pci_hot_reset_info, count);
	struct vfio_pci_hot_reset_info hdr;
	struct vfio_pci_affected all = {};
	size_t room;
	int ret;

	if (copy_from_user(&hdr, uinfo, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz)
		return -EINVAL;
	room = (hdr.argsz - minsz) / sizeof(*all.devices);

	ret = vfio_pci_for_each_affected(vdev->pdev, vfio_pci_note_affected,
					 &all);
	if (ret)
		goto free;

	hdr.flags = 0;
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

	ret = vfio_pci_set_close_gates(dev_set);
	if (ret)
		goto put_power;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		vfio_pci_set_power_state(vdev, PCI_D0);
	ret = pci_reset_bus(pdev);
	trace_vfio_pci_reset(pdev, VFIO_PCI_GATE_HOT_RESET, ret);
	vfio_pci_set_open_gates(dev_set, NULL);
put_power:
	vfio_pci_set_put_power(dev_set, NULL);
	return ret;
}

static void vfio_pci_put_files(struct file **files, u32 count)
{
	while (count--)
		fput(files[count]);
	kfree(files);
}

/* The groups whose files prove that the caller owns their devices. */
static struct file **vfio_pci_get_group_files(const s32 __user *ufds, u32 count)
{
	struct file **files;
	int ret = 0;
	s32 *fds;
	u32 i;

	fds = memdup_array_user(ufds, count, sizeof(*fds));
	if (IS_ERR(fds))
		return ERR_CAST(fds);

	files = kcalloc(count, sizeof(*files), GFP_KERNEL_ACCOUNT);
	if (!files) {
		kfree(fds);
		return ERR_PTR(-ENOMEM);
	}

	for (i = 0; i < count && !ret; i++) {
		files[i] = fget(fds[i]);
		if (!files[i]) {
			ret = -EBADF;
			break;
		}
		if (!vfio_file_is_group(files[i]))
			ret = -EINVAL;
	}
	kfree(fds);
	if (!ret)
		return files;

	vfio_pci_put_files(files, i);
	return ERR_PTR(ret);
}

static bool vfio_pci_set_is_owned(struct vfio_device_set *dev_set,
				  struct file **files, u32 count)
{
	struct vfio_device *device;
	u32 i;

	list_for_each_entry(device, &dev_set->device_list, dev_set_list) {
		for (i = 0; i < count; i++)
			if (vfio_file_has_dev(files[i], device))
				break;
		if (i == count)
			return false;
	}
	return true;
}

/* VFIO_DEVICE_PCI_HOT_RESET */
long vfio_pci_hot_reset(struct vfio_pci_core_device *vdev, void __user *arg)
{
	struct vfio_device_set *dev_set = vdev->vdev.dev_set;
	struct vfio_pci_hot_reset __user *ureset = arg;
	const size_t minsz = offsetofend(struct vfio_pci_hot_reset, count);
	struct vfio_pci_hot_reset hdr;
	struct file **files;
	u32 affected = 0;
	int ret;

	if (copy_from_user(&hdr, ureset, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz || hdr.flags || !hdr.count)
		return -EINVAL;

	ret = vfio_pci_for_each_affected(vdev->pdev, vfio_pci_count_affected,
					 &affected);
	if (ret)
		return ret;
	/* More groups than functions is nonsense, and bounds the array. */
	if (hdr.count > affected)
		return -EINVAL;

	files = vfio_pci_get_group_files(ureset->group_fds, hdr.count);
	if (IS_ERR(files))
		return PTR_ERR(files);

	mutex_lock(&dev_set->lock);
	if (vfio_pci_set_is_owned(dev_set, files, hdr.count))
		ret = vfio_pci_reset_set(dev_set, vdev->pdev);
	else
		ret = -EINVAL;
	mutex_unlock(&dev_set->lock);

	vfio_pci_put_files(files, hdr.count);
	return ret;
}

/**
 * vfio_pci_reset_unused_set - reset what its last user left as it was
 * @dev_set: the set
 *
 * A function that could not be reset alone at its last close is reset with its
 * bus or slot once no device of the set is open.
 *
 * Context: may sleep; dev_set->lock is held.
 */
void vfio_pci_reset_unused_set(struct vfio_device_set *dev_set)
{
	struct vfio_pci_core_device *vdev;
	struct pci_dev *pdev = NULL;

	/* The one that is being closed still counts. */
	if (vfio_device_set_open_count(dev_set) > 1)
		return;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		if (vdev->needs_reset)
			pdev = vdev->pdev;
	if (!pdev || vfio_pci_reset_set(dev_set, pdev))
		return;

	list_for_each_entry(vdev, &dev_set->device_list, vdev.dev_set_list)
		vdev->needs_reset = false;
}
