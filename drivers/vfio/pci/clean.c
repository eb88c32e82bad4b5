// SPDX-License-Identifier: GPL-2.0-only
/*
 * A first open that need not reset.
 *
 * The last close resets the function, and so does the next first open. The
 * second reset costs 100 ms and more and, where nothing has touched the function
 * since the first, changes nothing. This file decides whether anything has. A
 * driver takes part by setting vdev->reset_on_open, and vfio-pci does;
 * VFIO_PCI_RESET_ALWAYS switches all of this off, and VFIO_PCI_RESET_NEVER is for who
 * resets the function himself, as some hypervisors do.
 *
 * Taken are functions that are alone in their package and no graphics card.
 *
 * Why no state leaks from one user to the next. What the first user left in the
 * function is wiped by the reset at their last close: files, mappings, dma-bufs
 * and translations of other devices are gone before it begins, and a function
 * whose reset fails is never clean. Then the function must not gain state before
 * the next user has it. There are four ways in, and they are shut or watched:
 *
 *  - Its memory and I/O space, from a CPU (sysfs resourceN, /dev/mem, ioperm)
 *    or from another device behind the same switch, which no IOMMU sees. No
 *    module can notice these, so they are shut: the COMMAND register comes out
 *    of the close without memory and I/O decoding (the seal) and gets them back
 *    at the next open or when the driver lets go. From before the reset until
 *    then the function decodes nothing, so an access ends as one to a function in
 *    D3hot would. A function whose decoding does not hang on COMMAND, a VF for
 *    one, cannot be sealed and is always reset.
 *  - Its configuration space, from user space (sysfs config, /proc/bus/pci) and
 *    from the kernel. All of it is read at the close, under the function's lock
 *    that keeps user space out of it from before the reset, and again at the
 *    open, under the same lock; before a function that sleeps is woken, for
 *    that restores it, and after. Any difference, be it a status bit, forces the
 *    reset. Breaking the seal is such a difference. Whoever may give a device to
 *    a user lets them read every byte of it, so reading harms no device that is
 *    fit for this.
 *  - The kernel: another driver, a reset, an error that the platform found,
 *    VFs switched on, the system's sleep, a wake-up for anything but the open.
 *    Each passes through a callback of ours and is noted in vdev->touches. To
 *    bind another driver ends this vdev, and a new one begins untrusted.
 *  - The list of reset methods: the administrator may change it, and then wants
 *    the new ones used. Compared.
 *
 * What is left is somebody with the right to write configuration space who
 * breaks the seal, writes to the device, and puts back every bit; or who writes
 * a register of it that does something and shows nothing. They are root, root
 * is no user of the device, and what they leave behind is not what its last user
 * left. Who does such things sets the policy to "always".
 *
 * touches: the low bit is set except from a successful reset at the last close
 * to the next open. The others may be set by callbacks at any time, and are
 * cleared only before that reset. All else here is the opener's or closer's, of
 * whom there is one at a time.
 */
#include <linux/bitops.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "trace.h"
#include "vfio_pci_priv.h"

/**
 * struct vfio_pci_clean - what a function looked like after the last close
 * @methods: how it could be reset
 * @config: configuration space
 */
struct vfio_pci_clean {
	u8 methods[PCI_NUM_RESET_METHODS];
	u32 config[];
};

/**
 * vfio_pci_clean_touch - note that a function may have gained state
 * @vdev: the device
 * @touch: how
 *
 * Context: any.
 */
void vfio_pci_clean_touch(struct vfio_pci_core_device *vdev,
			  enum vfio_pci_touch touch)
{
	set_bit(touch, &vdev->touches);
}

/**
 * vfio_pci_clean_unseal - let a function decode again
 * @vdev: the device, awake
 *
 * Context: may sleep; the device is being opened, or is unregistered.
 */
void vfio_pci_clean_unseal(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u16 cmd;

	if (!vdev->sealed)
		return;

	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	pci_write_config_word(pdev, PCI_COMMAND, cmd | vdev->sealed);
	vdev->sealed = 0;
}

static int vfio_pci_clean_get_power(struct vfio_pci_core_device *vdev)
{
	bool woken = test_bit(VFIO_PCI_TOUCH_WOKEN, &vdev->touches);
	int ret;

	if (vdev->disable_idle_d3)
		return 0;

	ret = pm_runtime_resume_and_get(&vdev->pdev->dev);
	/* Nobody has had the time to make use of this one. */
	if (!woken)
		clear_bit(VFIO_PCI_TOUCH_WOKEN, &vdev->touches);
	return ret;
}

/*
 * Asleep, it differs by that alone. Who wakes it behind the kernel's back shows
 * there, too.
 */
static u32 vfio_pci_clean_expected(struct vfio_pci_core_device *vdev,
				   unsigned int pos, u32 *val)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 was = vdev->clean->config[pos / sizeof(was)];

	if (pdev->current_state != PCI_D0 && pdev->pm_cap &&
	    pos == pdev->pm_cap + PCI_PM_CTRL) {
		was &= ~(PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE);
		was |= (__force u32)pdev->current_state;
		*val &= ~PCI_PM_CTRL_PME_ENABLE;
	}
	return was;
}

static void vfio_pci_clean_compare(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned int pos;
	u32 val;

	for (pos = 0; pos < pdev->cfg_size; pos += sizeof(val)) {
		if (pci_read_config_dword(pdev, pos, &val) ||
		    vfio_pci_clean_expected(vdev, pos, &val) != val) {
			vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_CONFIG);
			return;
		}
	}
}

/* Configuration space is locked: nobody can touch it meanwhile and not be seen. */
static int vfio_pci_clean_wake_locked(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	struct pci_dev *bridge = pci_upstream_bridge(pdev);
	bool slept;
	int ret;

	/* Behind a port that sleeps everything reads as ones. */
	if (bridge)
		pm_runtime_get_sync(&bridge->dev);
	/* If it falls asleep just now it does so first. */
	pm_runtime_get_noresume(&pdev->dev);
	pm_runtime_barrier(&pdev->dev);
	slept = pdev->current_state != PCI_D0;

	if (memcmp(vdev->clean->methods, pdev->reset_methods,
		   sizeof(vdev->clean->methods)))
		vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_METHODS);

	/* The PCI core restores much of it as it wakes the function. */
	vfio_pci_clean_compare(vdev);
	ret = vfio_pci_clean_get_power(vdev);
	if (!ret && slept)
		vfio_pci_clean_compare(vdev);
	pm_runtime_put_noidle(&pdev->dev);
	if (bridge)
		pm_runtime_put(&bridge->dev);
	return ret;
}

/**
 * vfio_pci_clean_wake - first open: wake the function and look at it
 * @vdev: the device, as the last close left it
 * @clean: set to whether the reset at the last close is as good as one now
 *
 * Keeps the function awake, unless it always is. It is clean once only; the seal
 * stays.
 *
 * Return: 0, or why it cannot be woken.
 * Context: may sleep; the device is being opened.
 */
int vfio_pci_clean_wake(struct vfio_pci_core_device *vdev, bool *clean)
{
	unsigned long touches;
	int ret;

	if (READ_ONCE(vdev->reset_on_open) == VFIO_PCI_RESET_ALWAYS)
		vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_POLICY);
	/* The reset at the last close may have come too early to end it. */
	if (vfio_pci_gate_has_error(vdev))
		vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_ERROR);

	if (READ_ONCE(vdev->touches)) {
		ret = vfio_pci_clean_get_power(vdev);
	} else if (pci_dev_trylock(vdev->pdev)) {
		ret = vfio_pci_clean_wake_locked(vdev);
		pci_dev_unlock(vdev->pdev);
	} else {
		/* Somebody resets it, or takes it away. */
		vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_RESET);
		ret = vfio_pci_clean_get_power(vdev);
	}
	if (ret)
		return ret;

	touches = READ_ONCE(vdev->touches);
	WRITE_ONCE(vdev->touches_found, touches);
	trace_vfio_pci_clean(vdev->pdev, touches);
	vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_USER);
	*clean = !touches;
	return 0;
}

/*
 * Can the function be sealed, and is that wanted? VFs of a PF in use are no
 * reason to switch off the memory of that. A function of several has state in
 * common with the others, whose users need not be the same (power, firmware,
 * memory of the card); a graphics card's decoding is the VGA arbiter's, too.
 */
static bool vfio_pci_clean_wanted(struct vfio_pci_core_device *vdev)
{
	if (READ_ONCE(vdev->reset_on_open) == VFIO_PCI_RESET_ALWAYS)
		return false;
	if (vdev->pdev->is_virtfn || vdev->pdev->no_command_memory ||
	    pci_num_vf(vdev->pdev)) {
		vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_EXPOSED);
		return false;
	}
	if (vdev->pdev->multifunction || vfio_pci_is_vga(vdev->pdev)) {
		vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_SHARED);
		return false;
	}
	return true;
}

static void vfio_pci_clean_note(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned int pos;

	memcpy(vdev->clean->methods, pdev->reset_methods,
	       sizeof(vdev->clean->methods));
	for (pos = 0; pos < pdev->cfg_size; pos += sizeof(u32))
		if (pci_read_config_dword(pdev, pos,
					  &vdev->clean->config[pos / 4]))
			return;
	clear_bit(VFIO_PCI_TOUCH_USER, &vdev->touches);
}

/**
 * vfio_pci_clean_reset - last close: reset the function and restore its state
 * @vdev: the device; the PCI core has a saved state of it
 * @initial: that is from before its user came
 *
 * Return: 0, or what the reset method says, and then the function is not clean.
 * Context: may sleep, 100 ms and more; the device is being closed, the PCI
 * device's lock is held.
 */
int vfio_pci_clean_reset(struct vfio_pci_core_device *vdev, bool initial)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 *saved_cmd = &pdev->saved_config_space[PCI_COMMAND / 4];
	bool clean;
	int ret;

	/* A bit set from here on stays. */
	WRITE_ONCE(vdev->touches, BIT(VFIO_PCI_TOUCH_USER));

	vfio_pci_gate_reset_begin(vdev);
	ret = __pci_reset_function_locked(pdev);
	vfio_pci_gate_reset_end(vdev, ret);
	trace_vfio_pci_reset(pdev, VFIO_PCI_GATE_DISABLE, ret);

	clean = !ret && initial && vfio_pci_clean_wanted(vdev);
	if (clean && !vdev->clean)
		vdev->clean = kzalloc(struct_size(vdev->clean, config,
						  pdev->cfg_size / 4),
				      GFP_KERNEL_ACCOUNT);
	if (!vdev->clean)
		clean = false;
	if (clean) {
		vdev->sealed = *saved_cmd & VFIO_PCI_DECODE;
		*saved_cmd &= ~VFIO_PCI_DECODE;
	}

	pci_restore_state(pdev);
	if (clean)
		vfio_pci_clean_note(vdev);
	return ret;
}

/**
 * vfio_pci_clean_init - a new device, of which nothing is known
 * @vdev: the device
 */
void vfio_pci_clean_init(struct vfio_pci_core_device *vdev)
{
	vdev->touches = BIT(VFIO_PCI_TOUCH_USER);
}

/**
 * vfio_pci_clean_free - the last reference to a device is gone
 * @vdev: the device
 */
void vfio_pci_clean_free(struct vfio_pci_core_device *vdev)
{
	kfree(vdev->clean);
}
