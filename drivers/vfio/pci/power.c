// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power states.
 *
 * A user moves the function between D0 and D3hot through the PM capability and
 * may let the platform suspend it while there is nothing to do (the low power
 * features). A device that nobody has open is suspended at run time, too,
 * unless the module parameter disable_idle_d3 forbids it.
 *
 * Runtime PM's count: registration drops the one that the PCI core took for
 * the driver, first open takes it back, last close drops it again. The low
 * power entry drops one that the exit takes back, so while it is in force only
 * read(), write() and ioctl(), which take one each, keep the device awake.
 *
 * vdev->pm_runtime_engaged, which keeps mappings cut off, and
 * pm_wake_eventfd_ctx change together, between gate close and open. The gate
 * itself is held closed only while the device does sleep.
 *
 * Coming back from D3hot takes 10 ms, so a device that was just closed stays
 * awake for power/autosuspend_delay_ms, in case that it is opened again. One
 * in low power is suspended at once: its user said so.
 */
#include <linux/delay.h>
#include <linux/eventfd.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfio_pci_priv.h"

#define VFIO_PCI_AUTOSUSPEND_MS	1000

/* Does the function forget itself in D3hot (PCI PM 1.2, No_Soft_Reset)? */
void vfio_pci_probe_power(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u16 pmcsr;

	vdev->needs_pm_restore = false;
	if (!pdev->pm_cap)
		return;

	pci_read_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, &pmcsr);
	vdev->needs_pm_restore = !(pmcsr & PCI_PM_CTRL_NO_SOFT_RESET);
}

static bool vfio_pci_is_d3(pci_power_t state)
{
	return state == PCI_D3hot || state == PCI_D3cold;
}

/**
 * vfio_pci_set_power_state - change a function's power state
 * @vdev: the device
 * @state: where to
 *
 * What the function forgets on its way back from D3hot is saved before and
 * restored after.
 *
 * Return: what pci_set_power_state() returns, -EBUSY for a PF with VFs, which
 * has to stay in D0.
 * Context: may sleep; the gate is closed, memory_lock held for write, or
 * nobody has the device open.
 */
int vfio_pci_set_power_state(struct vfio_pci_core_device *vdev,
			     pci_power_t state)
{
	struct pci_dev *pdev = vdev->pdev;
	bool leaves, returns;
	int ret;

	if (vdev->sriov_active && state != PCI_D0)
		return -EBUSY;

	leaves = vdev->needs_pm_restore &&
		 !vfio_pci_is_d3(pdev->current_state) && vfio_pci_is_d3(state);
	/* Without it there is nothing to restore, nor to take from the PCI core. */
	returns = vdev->pm_save &&
		  vfio_pci_is_d3(pdev->current_state) && !vfio_pci_is_d3(state);

	if (state != PCI_D0)
		vfio_pci_intx_freeze(vdev);
	if (leaves)
		pci_save_state(pdev);

	ret = pci_set_power_state(pdev, state);
	if (ret)
		return ret;

	if (leaves && vfio_pci_is_d3(pdev->current_state)) {
		/* The D3 state may be left by a reset that saves anew. */
		kfree(vdev->pm_save);
		vdev->pm_save = pci_store_saved_state(pdev);
	} else if (returns) {
		pci_load_and_free_saved_state(pdev, &vdev->pm_save);
		pci_restore_state(pdev);
	}
	return 0;
}

/* The gate is closed and stays so for the caller to open. */
static void vfio_pci_low_power_end(struct vfio_pci_core_device *vdev)
{
	if (!vdev->pm_runtime_engaged)
		return;

	/*
	 * vfio_pci_runtime_idle() and vfio_pci_begin() look without the lock. Who
	 * woke the device for this has a count meanwhile.
	 */
	pm_runtime_get_noresume(&vdev->pdev->dev);
	WRITE_ONCE(vdev->pm_runtime_engaged, false);
	if (vdev->pm_wake_eventfd_ctx) {
		eventfd_ctx_put(vdev->pm_wake_eventfd_ctx);
		vdev->pm_wake_eventfd_ctx = NULL;
	}
}

/* Take back what low power entry gave; without one, nothing happens. */
void vfio_pci_low_power_leave(struct vfio_pci_core_device *vdev)
{
	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_LOW_POWER);
	vfio_pci_low_power_end(vdev);
	vfio_pci_gate_open(vdev);
}

static int vfio_pci_low_power_enter(struct vfio_pci_core_device *vdev,
				    struct eventfd_ctx *wake)
{
	int ret;

	ret = vfio_pci_gate_close_killable(vdev, VFIO_PCI_GATE_LOW_POWER);
	if (ret)
		return ret;
	ret = -EINVAL;
	if (!vdev->pm_runtime_engaged) {
		WRITE_ONCE(vdev->pm_runtime_engaged, true);
		vdev->pm_wake_eventfd_ctx = wake;
		/* The flag is seen before the count goes, see vfio_pci_begin(). */
		smp_mb__before_atomic();
		/* The call holds one, too: the device sleeps once that ends. */
		pm_runtime_put_noidle(&vdev->pdev->dev);
		ret = 0;
	}
	vfio_pci_gate_open(vdev);
	return ret;
}

static int vfio_pci_low_power_call(struct vfio_pci_core_device *vdev,
				   struct eventfd_ctx *wake)
{
	int ret = vfio_pci_begin(vdev);

	if (ret)
		return ret;
	ret = vfio_pci_low_power_enter(vdev, wake);
	vfio_pci_end(vdev);
	return ret;
}

static int vfio_pci_low_power_enter_wake(struct vfio_pci_core_device *vdev,
					 void __user *arg)
{
	struct vfio_device_low_power_entry_with_wakeup entry;
	struct eventfd_ctx *wake;
	int ret;

	if (copy_from_user(&entry, arg, sizeof(entry)))
		return -EFAULT;
	if (entry.wakeup_eventfd < 0)
		return -EINVAL;

	wake = eventfd_ctx_fdget(entry.wakeup_eventfd);
	if (IS_ERR(wake))
		return PTR_ERR(wake);

	ret = vfio_pci_low_power_call(vdev, wake);
	if (ret)
		eventfd_ctx_put(wake);
	return ret;
}

static int vfio_pci_low_power_exit(struct vfio_pci_core_device *vdev)
{
	int ret = vfio_pci_begin(vdev);

	if (ret)
		return ret;
	ret = vfio_pci_gate_close_killable(vdev, VFIO_PCI_GATE_LOW_POWER);
	if (!ret) {
		vfio_pci_low_power_end(vdev);
		vfio_pci_gate_open(vdev);
	}
	vfio_pci_end(vdev);
	return ret;
}

/* VFIO_DEVICE_FEATURE_LOW_POWER_* */
int vfio_pci_feature_low_power(struct vfio_pci_core_device *vdev, u32 feature,
			       u32 flags, void __user *arg, size_t argsz)
{
	size_t minsz = 0;
	int ret;

	if (feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP)
		minsz = sizeof(struct vfio_device_low_power_entry_with_wakeup);

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, minsz);
	if (ret != 1)
		return ret;

	switch (feature) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		return vfio_pci_low_power_call(vdev, NULL);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		return vfio_pci_low_power_enter_wake(vdev, arg);
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return vfio_pci_low_power_exit(vdev);
	default:
		return -ENOTTY;
	}
}

static int vfio_pci_runtime_suspend(struct device *dev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);

	/* The PCI core would save ones, and write them when the function is back. */
	if (vfio_pci_is_silent(vdev->pdev)) {
		/* So it is tried again, whatever the delay is. */
		pm_schedule_suspend(dev, VFIO_PCI_AUTOSUSPEND_MS);
		return -EBUSY;
	}

	/*
	 * The user may have left the function in D3hot; the PCI core saves
	 * its state itself before it suspends it, and wants it awake for that.
	 */
	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_LOW_POWER);
	vfio_pci_set_power_state(vdev, PCI_D0);
	vfio_pci_intx_freeze(vdev);
	vdev->gate_holds |= VFIO_PCI_HOLD_ASLEEP;
	vfio_pci_gate_open(vdev);
	return 0;
}

/* As if the device had not been used for the autosuspend delay. */
static void vfio_pci_skip_autosuspend_delay(struct device *dev)
{
#ifdef CONFIG_PM
	u64 delay = max(READ_ONCE(dev->power.autosuspend_delay), 0);

	WRITE_ONCE(dev->power.last_busy,
		   ktime_get_mono_fast_ns() - delay * NSEC_PER_MSEC);
#endif
}

/*
 * The PM core suspends what is idle after the delay, which has passed for one
 * in low power. To suspend it here would lose a count that is dropped before
 * we return: the PM core heeds none while it is told of one.
 */
static int vfio_pci_runtime_idle(struct device *dev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);

	if (READ_ONCE(vdev->pm_runtime_engaged))
		vfio_pci_skip_autosuspend_delay(dev);
	return 0;
}

static int vfio_pci_runtime_resume(struct device *dev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);

	vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_WOKEN);
	/*
	 * The AER core wakes devices with pci_bus_sem held, so there is no
	 * waiting as for a closer that takes it. There is none: the lock of a
	 * device that sleeps is held for moments, for who resets it or changes
	 * its power state wakes it first.
	 */
	while (!vfio_pci_gate_try_close(vdev, VFIO_PCI_GATE_LOW_POWER))
		usleep_range(50, 200);

	/* With a wakeup eventfd the first resume ends low power. */
	vdev->gate_holds &= ~VFIO_PCI_HOLD_ASLEEP;
	if (vdev->pm_wake_eventfd_ctx) {
		eventfd_signal(vdev->pm_wake_eventfd_ctx);
		vfio_pci_low_power_end(vdev);
	}
	vfio_pci_gate_open(vdev);
	return 0;
}

/* No process runs while the system sleeps, but other devices' DMA may. */
static int vfio_pci_suspend(struct device *dev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);

	vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_SLEEP);
	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_SUSPEND);
	vfio_pci_intx_freeze(vdev);
	vdev->gate_holds |= VFIO_PCI_HOLD_SUSPEND;
	vfio_pci_gate_open(vdev);
	return 0;
}

static int vfio_pci_resume(struct device *dev)
{
	struct vfio_pci_core_device *vdev = dev_get_drvdata(dev);

	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_SUSPEND);
	vdev->gate_holds &= ~VFIO_PCI_HOLD_SUSPEND;
	vfio_pci_gate_open(vdev);
	return 0;
}

static const struct dev_pm_ops vfio_pci_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(vfio_pci_suspend, vfio_pci_resume)
	RUNTIME_PM_OPS(vfio_pci_runtime_suspend, vfio_pci_runtime_resume,
		       vfio_pci_runtime_idle)
};

/**
 * vfio_pci_power_register - a device that nobody has open may sleep
 * @vdev: the device, in D0
 *
 * Context: may sleep; in the PCI driver's probe.
 */
void vfio_pci_power_register(struct vfio_pci_core_device *vdev)
{
	struct device *dev = &vdev->pdev->dev;

	dev->driver->pm = &vfio_pci_pm_ops;
	pm_runtime_set_autosuspend_delay(dev, VFIO_PCI_AUTOSUSPEND_MS);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_allow(dev);
	if (!vdev->disable_idle_d3)
		pm_runtime_put(dev);
}

/**
 * vfio_pci_power_unregister - undo vfio_pci_power_register()
 * @vdev: the device
 *
 * Context: may sleep.
 */
void vfio_pci_power_unregister(struct vfio_pci_core_device *vdev)
{
	struct device *dev = &vdev->pdev->dev;

	if (!vdev->disable_idle_d3)
		pm_runtime_get_noresume(dev);
	pm_runtime_forbid(dev);
	pm_runtime_dont_use_autosuspend(dev);
}
