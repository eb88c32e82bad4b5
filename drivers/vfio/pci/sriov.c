// SPDX-License-Identifier: GPL-2.0-only
/*
 * SR-IOV: physical functions with user-space drivers, and their VFs.
 *
 * A user who has a PF can do to its VFs what he likes: read their data, stop
 * them. So the PF and its VFs are used only by people who trust each other,
 * and prove it with a token, a UUID that both give when they open a device. It
 * is random until the PF's user sets it, by feature or by opening the PF with
 * one while no VF is in use.
 *
 * The token belongs to the PF's device. A VF finds its PF in sriov_pfs, where
 * every PF stands that may have VFs; VFs are removed before their PF's driver
 * lets go, so the pointer a VF holds is good until it is unregistered.
 *
 * A reset of a PF takes its VFs' memory away: theirs decodes by the PF's SR-IOV
 * capability, which the PCI core restores after the reset, and tells the VFs' driver
 * nothing. So who resets a PF, or learns that somebody does, has the gates of its VFs
 * held closed meanwhile (vfio_pci_vfs_hold()). A VF that comes in between is held, too.
 * SR-IOV is switched off when the VFs are gone.
 *
 * A VF's gate is held while vf_token->holds is not 0. Who changes that goes through the
 * VFs and has each look at it, with its gate closed, so that the last to look is right;
 * who is done with holding them has waited for every one. A VF that its own user resets,
 * or whose importers of dma-bufs take their time, is waited for with a reference to it:
 * the others come and go meanwhile.
 *
 * Locks: sriov_pfs_lock covers the list; vf_token->lock the UUID and the number
 * of VFs in use; vf_token->vfs_lock the VFs, for moments. None is held while another is
 * taken, nor any memory_lock while a VF's gate is closed.
 */
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uuid.h>
#include <linux/wait_bit.h>

#include "vfio_pci_priv.h"

struct vfio_pci_vf_token {
	struct mutex lock;	/* covers the rest */
	uuid_t uuid;
	int users;		/* open VFs */

	struct mutex vfs_lock;	/* covers the list, and is held to change the next */
	struct list_head vfs;
	unsigned int holds;	/* resets of the PF that are under way */

	int cap;		/* the PF's SR-IOV capability */
};

static DEFINE_MUTEX(sriov_pfs_lock);
static LIST_HEAD(sriov_pfs);

/* A VF that appears while its PF has a user belongs to no host driver. */
static int vfio_pci_bus_notify(struct notifier_block *nb, unsigned long action,
			       void *data)
{
	struct vfio_pci_core_device *vdev =
		container_of(nb, struct vfio_pci_core_device, nb);
	struct pci_dev *pdev = to_pci_dev((struct device *)data);
	struct pci_driver *drv;

	if (!pdev->is_virtfn || pci_physfn(pdev) != vdev->pdev)
		return NOTIFY_DONE;

	if (action == BUS_NOTIFY_ADD_DEVICE) {
		pci_info(vdev->pdev, "Captured SR-IOV VF %s driver_override\n",
			 pci_name(pdev));
		if (device_set_driver_override(&pdev->dev,
					       vdev->vdev.ops->name))
			pci_warn(pdev, "a host driver may take this VF of a PF in user space\n");
	} else if (action == BUS_NOTIFY_BOUND_DRIVER) {
		drv = pci_dev_driver(pdev);
		if (drv && drv != pci_dev_driver(vdev->pdev))
			pci_warn(vdev->pdev,
				 "VF %s bound to driver %s while PF bound to driver %s\n",
				 pci_name(pdev), drv->name,
				 pci_dev_driver(vdev->pdev)->name);
	}
	return NOTIFY_DONE;
}

static int vfio_pci_pf_init(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_vf_token *token;
	int ret;

	token = kzalloc(sizeof(*token), GFP_KERNEL);
	if (!token)
		return -ENOMEM;
	mutex_init(&token->lock);
	mutex_init(&token->vfs_lock);
	INIT_LIST_HEAD(&token->vfs);
	uuid_gen(&token->uuid);
	token->cap = pci_find_ext_capability(vdev->pdev, PCI_EXT_CAP_ID_SRIOV);

	vdev->nb.notifier_call = vfio_pci_bus_notify;
	ret = bus_register_notifier(&pci_bus_type, &vdev->nb);
	if (ret) {
		kfree(token);
		return ret;
	}
	vdev->vf_token = token;
	return 0;
}

static void vfio_pci_vf_init(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *physfn = pci_physfn(vdev->pdev);
	struct vfio_pci_core_device *pf;
	bool held;

	mutex_lock(&sriov_pfs_lock);
	list_for_each_entry(pf, &sriov_pfs, sriov_pfs_item)
		if (pf->pdev == physfn)
			vdev->sriov_pf_core_dev = pf;
	mutex_unlock(&sriov_pfs_lock);

	pf = vdev->sriov_pf_core_dev;
	if (!pf)
		return;
	mutex_lock(&pf->vf_token->vfs_lock);
	list_add_tail(&vdev->sriov_vfs_item, &pf->vf_token->vfs);
	held = pf->vf_token->holds;
	mutex_unlock(&pf->vf_token->vfs_lock);
	/* Who begins to hold them from here on finds it. */
	if (held)
		vfio_pci_gate_hold_vf(vdev, &pf->vf_token->holds);
}

/* The driver lets go: who closes its gate just now is waited for, and nobody else. */
static void vfio_pci_vf_exit(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_core_device *pf = vdev->sriov_pf_core_dev;

	if (!pf)
		return;
	mutex_lock(&pf->vf_token->vfs_lock);
	vdev->sriov_leaves = true;
	while (vdev->sriov_refs) {
		mutex_unlock(&pf->vf_token->vfs_lock);
		wait_var_event(&vdev->sriov_refs, !READ_ONCE(vdev->sriov_refs));
		mutex_lock(&pf->vf_token->vfs_lock);
	}
	list_del(&vdev->sriov_vfs_item);
	mutex_unlock(&pf->vf_token->vfs_lock);
}

/*
 * The VF after @prev, or the first one, with a reference; the one to @prev, which kept
 * that on the list, is dropped. Those that leave are closed for good.
 */
static struct vfio_pci_core_device *
vfio_pci_next_vf(struct vfio_pci_vf_token *token,
		 struct vfio_pci_core_device *prev)
{
	struct vfio_pci_core_device *vf, *next = NULL;

	mutex_lock(&token->vfs_lock);
	vf = list_prepare_entry(prev, &token->vfs, sriov_vfs_item);
	list_for_each_entry_continue(vf, &token->vfs, sriov_vfs_item) {
		if (vf->sriov_leaves)
			continue;
		next = vf;
		vf->sriov_refs++;
		break;
	}
	/* Its driver may let go of it once the count is seen to be 0. */
	if (prev) {
		WRITE_ONCE(prev->sriov_refs, prev->sriov_refs - 1);
		wake_up_var(&prev->sriov_refs);
	}
	mutex_unlock(&token->vfs_lock);
	return next;
}

static void vfio_pci_vfs_count_holds(struct vfio_pci_core_device *vdev, int n)
{
	struct vfio_pci_vf_token *token = vdev->vf_token;
	struct vfio_pci_core_device *vf = NULL;

	if (!token)
		return;
	mutex_lock(&token->vfs_lock);
	WRITE_ONCE(token->holds, token->holds + n);
	mutex_unlock(&token->vfs_lock);

	while ((vf = vfio_pci_next_vf(token, vf)))
		vfio_pci_gate_hold_vf(vf, &token->holds);
}

/**
 * vfio_pci_vfs_hold - the function is about to be reset: nor have its VFs memory
 * @vdev: the device; nothing happens if it is no PF
 *
 * Context: may sleep, until the VFs' own resets are over; no memory_lock is held.
 */
void vfio_pci_vfs_hold(struct vfio_pci_core_device *vdev)
{
	vfio_pci_vfs_count_holds(vdev, 1);
}

/**
 * vfio_pci_vfs_let_go - undo vfio_pci_vfs_hold()
 * @vdev: the device
 *
 * Context: as vfio_pci_vfs_hold().
 */
void vfio_pci_vfs_let_go(struct vfio_pci_core_device *vdev)
{
	vfio_pci_vfs_count_holds(vdev, -1);
}

/**
 * vfio_pci_vf_decodes - does a VF's PF let it decode memory?
 * @vdev: the device
 *
 * The PF's SR-IOV capability turns the memory of all its VFs on (PCIe r6.0,
 * 9.3.3.3.1), and a reset of the link turns it off. Where VFIO has the PF as well, each
 * restoring of that has the VFs' gates look again. Another driver of the PF restores it
 * when it likes, and tells nobody, so there it is taken to be on.
 *
 * Context: memory_lock is held.
 * Return: false for a VF of a PF of ours that has lost its VFs.
 */
bool vfio_pci_vf_decodes(struct vfio_pci_core_device *vdev)
{
	const u16 on = PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE;
	struct vfio_pci_core_device *pf = vdev->sriov_pf_core_dev;
	u16 ctrl;

	if (!pf)
		return true;
	pci_read_config_word(pf->pdev, pf->vf_token->cap + PCI_SRIOV_CTRL, &ctrl);
	return !PCI_POSSIBLE_ERROR(ctrl) && (ctrl & on) == on;
}

int vfio_pci_sriov_init(struct vfio_pci_core_device *vdev)
{
	if (vdev->pdev->is_virtfn) {
		vfio_pci_vf_init(vdev);
		return 0;
	}
	if (!vdev->pdev->is_physfn)
		return 0;

	return vfio_pci_pf_init(vdev);
}

void vfio_pci_sriov_exit(struct vfio_pci_core_device *vdev)
{
	vfio_pci_vf_exit(vdev);
	if (!vdev->vf_token)
		return;

	bus_unregister_notifier(&pci_bus_type, &vdev->nb);
	mutex_destroy(&vdev->vf_token->lock);
	mutex_destroy(&vdev->vf_token->vfs_lock);
	kfree(vdev->vf_token);
	vdev->vf_token = NULL;
}

static void vfio_pci_vf_token_count(struct vfio_pci_core_device *vdev, int n)
{
	struct vfio_pci_core_device *pf = vdev->sriov_pf_core_dev;

	if (!pf)
		return;

	mutex_lock(&pf->vf_token->lock);
	pf->vf_token->users += n;
	mutex_unlock(&pf->vf_token->lock);
}

/* First open and last close of a VF. */
void vfio_pci_vf_token_use(struct vfio_pci_core_device *vdev)
{
	vfio_pci_vf_token_count(vdev, 1);
}

void vfio_pci_vf_token_unuse(struct vfio_pci_core_device *vdev)
{
	vfio_pci_vf_token_count(vdev, -1);
}

/* Does @uuid, NULL where none was given, match @pf's token? */
static bool vfio_pci_vf_token_matches(struct vfio_pci_core_device *pf,
				      struct pci_dev *pdev, const uuid_t *uuid)
{
	if (!uuid) {
		pci_info_ratelimited(pdev, "VF token required to access device\n");
		return false;
	}
	if (!uuid_equal(uuid, &pf->vf_token->uuid)) {
		pci_info_ratelimited(pdev, "Incorrect VF token provided for device\n");
		return false;
	}
	return true;
}

/**
 * vfio_pci_vf_token_check - may a user open the device?
 * @vdev: the device
 * @uuid: the token given, or NULL
 *
 * A token given for a PF with no VF in use becomes the token.
 *
 * Return: 0; -EACCES where the token is missing or wrong; -EINVAL where one is
 * given that means nothing: the device is no PF or VF, or the PF has another
 * driver.
 */
int vfio_pci_vf_token_check(struct vfio_pci_core_device *vdev,
			    const uuid_t *uuid)
{
	struct vfio_pci_core_device *pf = vdev->sriov_pf_core_dev;
	struct pci_dev *pdev = vdev->pdev;
	int ret = 0;

	if (pf) {
		mutex_lock(&pf->vf_token->lock);
		if (!vfio_pci_vf_token_matches(pf, pdev, uuid))
			ret = -EACCES;
		mutex_unlock(&pf->vf_token->lock);
		return ret;
	}

	if (vdev->vf_token) {
		mutex_lock(&vdev->vf_token->lock);
		if (!vdev->vf_token->users) {
			if (uuid)
				uuid_copy(&vdev->vf_token->uuid, uuid);
		} else if (!vfio_pci_vf_token_matches(vdev, pdev, uuid)) {
			ret = -EACCES;
		}
		mutex_unlock(&vdev->vf_token->lock);
		return ret;
	}

	if (!uuid)
		return 0;

	pci_info_ratelimited(pdev, "VF token incorrectly provided, %s\n",
			     pdev->is_virtfn ? "PF not bound to vfio-pci" :
					       "not a PF or VF");
	return -EINVAL;
}

/**
 * vfio_pci_core_match_token_uuid - &vfio_device_ops.match_token_uuid of vfio-pci
 *	devices
 * @core_vdev: the device
 * @uuid: the token given, or NULL
 *
 * Return: what vfio_pci_vf_token_check() returns.
 * Context: may sleep.
 */
int vfio_pci_core_match_token_uuid(struct vfio_device *core_vdev,
				   const uuid_t *uuid)
{
	struct vfio_pci_core_device *vdev =
		container_of(core_vdev, struct vfio_pci_core_device, vdev);

	return vfio_pci_vf_token_check(vdev, uuid);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_match_token_uuid);

/* VFIO_DEVICE_FEATURE_PCI_VF_TOKEN: set only, a token is not given away. */
int vfio_pci_feature_vf_token(struct vfio_pci_core_device *vdev, u32 flags,
			      uuid_t __user *arg, size_t argsz)
{
	uuid_t uuid;
	int ret;

	if (!vdev->vf_token)
		return -ENOTTY;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET,
				 sizeof(uuid));
	if (ret != 1)
		return ret;

	if (copy_from_user(&uuid, arg, sizeof(uuid)))
		return -EFAULT;

	/* The token is as long there as the driver is. */
	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	mutex_lock(&vdev->vf_token->lock);
	uuid_copy(&vdev->vf_token->uuid, &uuid);
	mutex_unlock(&vdev->vf_token->lock);
	vfio_pci_end(vdev);
	return 0;
}

static int vfio_pci_sriov_enable(struct vfio_pci_core_device *vdev, int num_vfs)
{
	struct pci_dev *pdev = vdev->pdev;
	int ret;

	mutex_lock(&sriov_pfs_lock);
	/* VFs are probed in pci_enable_sriov() and look for their PF. */
	if (!list_empty(&vdev->sriov_pfs_item)) {
		mutex_unlock(&sriov_pfs_lock);
		return -EINVAL;
	}
	list_add_tail(&vdev->sriov_pfs_item, &sriov_pfs);
	mutex_unlock(&sriov_pfs_lock);

	/* VFs are there only while their PF is in D0: it may not leave now. */
	ret = pm_runtime_resume_and_get(&pdev->dev);
	if (ret)
		goto unlist;

	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_POWER);
	vdev->sriov_active = true;
	vfio_pci_set_power_state(vdev, PCI_D0);
	vfio_pci_gate_open(vdev);

	ret = pci_enable_sriov(pdev, num_vfs);
	if (ret)
		goto inactive;

	return num_vfs;

inactive:
	vdev->sriov_active = false;
	pm_runtime_put(&pdev->dev);
unlist:
	mutex_lock(&sriov_pfs_lock);
	list_del_init(&vdev->sriov_pfs_item);
	mutex_unlock(&sriov_pfs_lock);
	return ret;
}

static void vfio_pci_sriov_disable(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	/* Removes the VFs, and waits for who has one open. */
	if (pci_num_vf(pdev))
		pci_disable_sriov(pdev);

	mutex_lock(&sriov_pfs_lock);
	if (list_empty(&vdev->sriov_pfs_item)) {
		mutex_unlock(&sriov_pfs_lock);
		return;
	}
	list_del_init(&vdev->sriov_pfs_item);
	mutex_unlock(&sriov_pfs_lock);

	vdev->sriov_active = false;
	pm_runtime_put(&pdev->dev);
}

/**
 * vfio_pci_core_sriov_configure - &pci_driver.sriov_configure of vfio-pci
 * @vdev: the PF
 * @nr_virtfn: VFs to have, 0 for none
 *
 * Return: VFs enabled, -EINVAL where there are some already, or what
 * pci_enable_sriov() returns.
 * Context: may sleep; the PF's device lock is held.
 */
int vfio_pci_core_sriov_configure(struct vfio_pci_core_device *vdev,
				  int nr_virtfn)
{
	device_lock_assert(&vdev->pdev->dev);

	vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_SRIOV);
	if (nr_virtfn)
		return vfio_pci_sriov_enable(vdev, nr_virtfn);

	vfio_pci_sriov_disable(vdev);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_sriov_configure);
