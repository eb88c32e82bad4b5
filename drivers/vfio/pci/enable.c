// SPDX-License-Identifier: GPL-2.0-only
/*
 * First open and last close: making a function usable, and leaving nothing of
 * its user behind. Both run under dev_set->lock, and step aside where they wait
 * for this function alone: it wakes up, it is reset.
 */
#include <linux/eventfd.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vgaarb.h>

#include "vfio_pci_priv.h"

static bool nointxmask;
static bool disable_vga;
static bool disable_idle_d3;

/**
 * vfio_pci_core_set_params - module parameters of vfio-pci that the core obeys
 * @is_nointxmask: do not use INTx disable (PCI 2.3), mask at the host's
 *	interrupt controller
 * @is_disable_vga: do not offer the legacy VGA ranges
 * @is_disable_idle_d3: leave devices that nobody has open in D0
 *
 * Devices that are made from now on obey.
 *
 * Context: any.
 */
void vfio_pci_core_set_params(bool is_nointxmask, bool is_disable_vga,
			      bool is_disable_idle_d3)
{
	WRITE_ONCE(nointxmask, is_nointxmask);
	WRITE_ONCE(disable_vga, is_disable_vga);
	WRITE_ONCE(disable_idle_d3, is_disable_idle_d3);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_set_params);

bool vfio_pci_vga_disabled(void)
{
	return IS_ENABLED(CONFIG_VFIO_PCI_VGA) ? READ_ONCE(disable_vga) : true;
}

/* For as long as the device lives: what is got because of it is put because of it. */
void vfio_pci_latch_params(struct vfio_pci_core_device *vdev)
{
	vdev->nointxmask = READ_ONCE(nointxmask);
	vdev->disable_idle_d3 = READ_ONCE(disable_idle_d3);
}

/*
 * Intel's X710 family and X550 report INTx they cannot signal or mask: their
 * users get MSI-X only.
 */
static bool vfio_pci_has_broken_intx(struct pci_dev *pdev)
{
	static const struct {
		u16 first, last;
	} intel[] = {
		{ 0x1563, 0x1563 },
		{ 0x1572, 0x1572 },
		{ 0x1574, 0x1574 },
		{ 0x1580, 0x1581 },
		{ 0x1583, 0x158b },
		{ 0x37d0, 0x37d2 },
	};
	int i;

	if (pdev->vendor != PCI_VENDOR_ID_INTEL)
		return false;

	for (i = 0; i < ARRAY_SIZE(intel); i++)
		if (pdev->device >= intel[i].first &&
		    pdev->device <= intel[i].last)
			return true;
	return false;
}

/* How INTx is to be masked. Nobody listens to it so far, and it is off. */
static void vfio_pci_probe_intx(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	vdev->virq_disabled = false;
	if (vdev->nointxmask)
		return;

	if (vfio_pci_has_broken_intx(pdev)) {
		pci_info(pdev, "Masking broken INTx support\n");
		vdev->nointx = true;
	} else {
		vdev->pci_2_3 = pci_intx_mask_supported(pdev);
	}
}

/* Where the MSI-X table is (PCIe r6.0, 7.7.2): the user must not write it. */
static void vfio_pci_probe_msix(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 table;
	u16 flags;

	vdev->msix_bar = 0xff;
	vdev->has_dyn_msix = false;
	if (!pdev->msix_cap)
		return;

	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	vdev->msix_bar = table & PCI_MSIX_TABLE_BIR;
	vdev->msix_offset = table & PCI_MSIX_TABLE_OFFSET;
	vdev->msix_size = ((flags & PCI_MSIX_FLAGS_QSIZE) + 1) *
			  PCI_MSIX_ENTRY_SIZE;
	vdev->has_dyn_msix = pci_msix_can_alloc_dyn(pdev);
}

/* To enable a device lets INTx through. Who resets it just now restores what was. */
static void vfio_pci_quiet_intx(struct vfio_pci_core_device *vdev)
{
	down_write(&vdev->memory_lock);
	if (!(vdev->gate_holds & VFIO_PCI_HOLD_RESET))
		vfio_pci_intx_restore(vdev);
	up_write(&vdev->memory_lock);
}

/**
 * vfio_pci_is_silent - does nothing answer where the function was?
 * @pdev: the function
 *
 * Everything reads as ones then. A function that says "not yet" answers: its reset
 * waits for it. The ID of a VF is ones; no COMMAND ever is.
 *
 * Context: any; the function is not in D3cold.
 * Return: true if so.
 */
bool vfio_pci_is_silent(struct pci_dev *pdev)
{
	u32 val;

	pci_read_config_dword(pdev, pdev->is_virtfn ? PCI_COMMAND : PCI_VENDOR_ID,
			      &val);
	return PCI_POSSIBLE_ERROR(val);
}

static int vfio_pci_refuse_silent(struct pci_dev *pdev)
{
	pci_notice_ratelimited(pdev, "does not answer: not opened\n");
	return -EIO;
}

/*
 * An error that comes only now keeps the reset from ending it, and the user would have a
 * gate that does not open: then the platform goes first, and we once more.
 */
static int vfio_pci_reset_for_open(struct vfio_pci_core_device *vdev)
{
	int ret;

	do {
		vfio_pci_gate_wait_recovery(vdev);
		vfio_pci_vfs_hold(vdev);
		ret = vfio_pci_try_reset(vdev, VFIO_PCI_GATE_ENABLE);
		vfio_pci_vfs_let_go(vdev);
	} while (!ret && vfio_pci_gate_recovers(vdev) &&
		 !fatal_signal_pending(current));
	return ret;
}

/**
 * vfio_pci_keep_state - remember configuration space as it is to be
 * @vdev: the device, awake
 *
 * Without memory for that the one that was kept before has to do.
 *
 * Context: may sleep; the device is registered, or opened first.
 */
void vfio_pci_keep_state(struct vfio_pci_core_device *vdev)
{
	struct pci_saved_state *state;

	pci_save_state(vdev->pdev);
	state = pci_store_saved_state(vdev->pdev);
	if (!state) {
		pci_dbg(vdev->pdev, "no memory to save the initial state\n");
		return;
	}
	kfree(vdev->pci_saved_state);
	vdev->pci_saved_state = state;
}

static int vfio_pci_load_kept_state(struct vfio_pci_core_device *vdev)
{
	return vdev->pci_saved_state ?
	       pci_load_saved_state(vdev->pdev, vdev->pci_saved_state) : -ENOENT;
}

/**
 * vfio_pci_restore_lost - restore what a reset behind our back has taken
 * @vdev: the device, awake
 *
 * While nobody has the device open, nobody restores it after the platform has reset the
 * link for an error, or after it was not there for a moment. It would decode its memory
 * where nobody looks for it, and the gate would open before that.
 *
 * Context: may sleep; the device is being opened, or is unregistered.
 */
void vfio_pci_restore_lost(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	if (pdev->is_virtfn || vfio_pci_is_silent(pdev) ||
	    !vfio_pci_config_bars_are_lost(vdev, VFIO_PCI_DECODE) ||
	    vfio_pci_load_kept_state(vdev))
		return;
	pci_info_ratelimited(pdev, "reset while nobody had it open, restoring it\n");
	vfio_pci_vfs_hold(vdev);
	pci_restore_state(pdev);
	vfio_pci_vfs_let_go(vdev);
}

/* The part of a first open that may take long. */
static int vfio_pci_wake_and_reset(struct vfio_pci_core_device *vdev)
{
	bool never = READ_ONCE(vdev->reset_on_open) == VFIO_PCI_RESET_NEVER;
	struct pci_dev *pdev = vdev->pdev;
	bool clean;
	int ret;

	vfio_pci_gate_wait_recovery(vdev);
	ret = vfio_pci_clean_wake(vdev, &clean);
	if (ret)
		return ret;

	/* To wait for it takes a minute, and whatever is written is lost. */
	if (vfio_pci_is_silent(pdev)) {
		ret = vfio_pci_refuse_silent(pdev);
		goto put_power;
	}
	vfio_pci_restore_lost(vdev);
	vfio_pci_clean_unseal(vdev);

	/* No DMA before the user turns it on. */
	pci_clear_master(pdev);
	ret = pci_enable_device(pdev);
	if (ret)
		goto put_power;
	vfio_pci_quiet_intx(vdev);

	if (!never && (!clean || vfio_pci_gate_recovers(vdev))) {
		ret = vfio_pci_reset_for_open(vdev);
		if (ret == -EAGAIN)
			goto disable;
		vdev->reset_works = !ret;
		/* It has not come back from the reset. */
		if (ret && !pci_device_is_present(pdev)) {
			ret = vfio_pci_refuse_silent(pdev);
			goto disable;
		}
		/* The PCI core restores COMMAND, with STATUS, only if it differs. */
		pci_status_get_and_clear_errors(pdev);
	} else {
		vdev->reset_works = pdev->reset_methods[0];
	}
	return 0;

disable:
	pci_disable_device(pdev);
put_power:
	if (!vdev->disable_idle_d3)
		pm_runtime_put(&pdev->dev);
	return ret;
}

/**
 * vfio_pci_core_enable - first open: make the function usable
 * @vdev: the device
 *
 * The function is awake, enabled, reset where it can be and is not clean, and
 * its configuration space is ready to be read by the user; a driver that has
 * more to do does it now and calls vfio_pci_core_finish_enable().
 *
 * Return: 0; -EAGAIN where the device's lock is contended, as a removal in
 * progress does; -EIO where the function does not answer; or what waking, enabling
 * or allocating returns.
 * Context: may sleep; dev_set->lock is held, dropped and taken again. No lock
 * that is taken inside it is held.
 */
int vfio_pci_core_enable(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	int ret;

	/* Before others of the set can come: no bus is reset below us. */
	vdev->in_use = true;
	vdev->reset_left = false;
	vfio_pci_error_forget(vdev);
	vfio_device_step_aside(&vdev->vdev);
	ret = vfio_pci_wake_and_reset(vdev);
	vfio_device_step_back(&vdev->vdev);
	if (ret)
		goto unused;

	vfio_pci_keep_state(vdev);
	vfio_pci_probe_intx(vdev);
	vfio_pci_probe_msix(vdev);
	vdev->has_vga = vfio_pci_is_vga(pdev) && !vfio_pci_vga_disabled();

	ret = vfio_pci_zdev_open_device(vdev);
	if (ret)
		goto disable;

	ret = vfio_pci_config_init(vdev);
	if (ret)
		goto close_zdev;

	return 0;

close_zdev:
	vfio_pci_zdev_close_device(vdev);
disable:
	pci_disable_device(pdev);
	if (!vdev->disable_idle_d3)
		pm_runtime_put(&pdev->dev);
unused:
	vdev->in_use = false;
	/* Who closed another of the set meanwhile could not reset the bus below us. */
	if (vdev->reset_left)
		vfio_pci_reset_unused_set(vdev->vdev.dev_set);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_enable);

/**
 * vfio_pci_core_finish_enable - first open: let the user in
 * @vdev: the device
 *
 * Context: may sleep; dev_set->lock is held; last step of open_device, which
 * cannot fail any more.
 */
void vfio_pci_core_finish_enable(struct vfio_pci_core_device *vdev)
{
	vfio_pci_mmap_probe(vdev);
	vfio_pci_wc_probe(vdev);
	vfio_pci_absent_open(vdev);
	vfio_pci_vf_token_use(vdev);
	vfio_pci_eeh_open(vdev);

	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_ENABLE);
	vdev->gate_holds &= ~VFIO_PCI_HOLD_NOT_OPEN;
	vfio_pci_gate_open(vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_finish_enable);

/*
 * Give back the state that the function had before its user. Where the
 * function can be reset alone and its lock is free, it is reset here; else
 * needs_reset stays set for vfio_pci_reset_unused_set(). The lock is only
 * tried: a removal holds it and waits for this close.
 */
static void vfio_pci_restore_function(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	struct pci_dev *bridge;
	bool initial = true;

	vdev->needs_reset = true;
	if (vfio_pci_load_kept_state(vdev)) {
		pci_info(pdev, "Couldn't reload saved state\n");
		if (!vdev->reset_works)
			return;
		pci_save_state(pdev);
		initial = false;
	}

	/* Quiet: no DMA, no decoding, no interrupt while it is reset. */
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);

	if (vdev->reset_works && vfio_pci_reset_trylock(pdev, &bridge)) {
		vfio_pci_vfs_hold(vdev);
		vdev->needs_reset = vfio_pci_clean_reset(vdev, initial);
		vfio_pci_vfs_let_go(vdev);
		vfio_pci_reset_unlock(pdev, bridge);
	} else {
		pci_restore_state(pdev);
	}
}

/* Importers may take their time, which is not that of the set's others. */
static void vfio_pci_end_exports(struct vfio_pci_core_device *vdev)
{
	if (list_empty(&vdev->dmabufs))
		return;

	vfio_device_step_aside(&vdev->vdev);
	vfio_pci_dmabufs_end(vdev);
	vfio_device_step_back(&vdev->vdev);
}

/**
 * vfio_pci_core_disable - last close: undo vfio_pci_core_enable()
 * @vdev: the device
 *
 * Context: may sleep; dev_set->lock is held, dropped and taken again; no file
 * and no mapping of the device is left. Drivers whose open_device failed after
 * vfio_pci_core_enable() call it, too.
 */
void vfio_pci_core_disable(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;

	lockdep_assert_held(&vdev->vdev.dev_set->lock);

	vfio_peers_detach(&vdev->vdev, &vdev->peers);
	vfio_pci_end_exports(vdev);

	/* Low power ends first: what follows needs the function awake. */
	vfio_pci_low_power_leave(vdev);
	pm_runtime_resume(&pdev->dev);

	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_DISABLE);
	vdev->gate_holds |= VFIO_PCI_HOLD_NOT_OPEN;
	vfio_pci_set_power_state(vdev, PCI_D0);
	vfio_pci_gate_open(vdev);

	pci_clear_master(pdev);
	/* Who resets it just now is waited for. */
	vfio_device_step_aside(&vdev->vdev);
	vfio_pci_irqs_release(vdev);
	vfio_device_step_back(&vdev->vdev);
	vfio_pci_ioeventfds_release(vdev);
	vfio_pci_absent_close(vdev);
	vfio_pci_aliases_release(vdev);
	vfio_pci_regions_release(vdev);
	vfio_pci_config_free(vdev);
	vfio_pci_barmaps_release(vdev);
	vfio_pci_mmap_release(vdev);
	vfio_pci_zdev_close_device(vdev);

	vfio_device_step_aside(&vdev->vdev);
	vfio_pci_restore_function(vdev);
	pci_disable_device(pdev);
	vfio_device_step_back(&vdev->vdev);

	vdev->in_use = false;
	vfio_pci_reset_unused_set(vdev->vdev.dev_set);

	pm_runtime_mark_last_busy(&pdev->dev);
	if (!vdev->disable_idle_d3)
		pm_runtime_put_autosuspend(&pdev->dev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_disable);

/**
 * vfio_pci_core_close_device - &vfio_device_ops.close_device of vfio-pci
 * @core_vdev: the device
 *
 * Context: may sleep; dev_set->lock is held.
 */
void vfio_pci_core_close_device(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev =
		container_of(core_vdev, struct vfio_pci_core_device, vdev);

	vfio_pci_vf_token_unuse(vdev);
	vfio_pci_eeh_release(vdev);
	vfio_pci_core_disable(vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_close_device);
