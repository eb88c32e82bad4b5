// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers of configuration space whose writes do more than store a value.
 *
 * A handler gets the access as the user made it: some bytes of a register,
 * perhaps with some of the next. It stores what the masks allow and then acts
 * on the registers that the access touched.
 */
#include <linux/bitfield.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/sizes.h>

#include "config.h"

/* The low bits of a BAR: what the address space is. */
static u32 bar_type(struct pci_dev *pdev, unsigned int bar)
{
	unsigned long flags = pci_resource_flags(pdev, bar);

	if (flags & IORESOURCE_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;

	return PCI_BASE_ADDRESS_SPACE_MEMORY |
	       (flags & IORESOURCE_MEM_64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
	       (flags & IORESOURCE_PREFETCH ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

/* Which bits of the ROM BAR can be set. */
static u32 rom_mask(struct pci_dev *pdev)
{
	resource_size_t size = pci_resource_len(pdev, PCI_ROM_RESOURCE);

	if (!pci_resource_start(pdev, PCI_ROM_RESOURCE)) {
		if (!(pci_resource_flags(pdev, PCI_ROM_RESOURCE) &
		      IORESOURCE_ROM_SHADOW))
			return 0;
		/* The legacy range that holds the copy. */
		size = SZ_128K;
	}
	return ~(size - 1) | PCI_ROM_ADDRESS_ENABLE;
}

/**
 * vfio_pci_config_size_bars - make the virtual BARs look like BARs
 * @vdev: the device
 *
 * After a write: the bits below a BAR's size read as its type, so a user who
 * writes all ones learns the size. A BAR that the host has not mapped is not
 * there. 7.5.1.2.1.
 */
void vfio_pci_config_size_bars(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned int bar, pos = PCI_BASE_ADDRESS_0;
	u32 type, val;
	u64 mask;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++, pos += 4) {
		if (!pci_resource_start(pdev, bar)) {
			vfio_pci_vconfig_set32(vdev, pos, 0);
			continue;
		}

		type = bar_type(pdev, bar);
		mask = ~((u64)pci_resource_len(pdev, bar) - 1);
		val = vfio_pci_vconfig_get32(vdev, pos);
		vfio_pci_vconfig_set32(vdev, pos, (val & (u32)mask) | type);

		if (type & PCI_BASE_ADDRESS_MEM_TYPE_64) {
			bar++;
			pos += 4;
			val = vfio_pci_vconfig_get32(vdev, pos);
			vfio_pci_vconfig_set32(vdev, pos,
					       val & upper_32_bits(mask));
		}
	}

	val = vfio_pci_vconfig_get32(vdev, PCI_ROM_ADDRESS);
	vfio_pci_vconfig_set32(vdev, PCI_ROM_ADDRESS, val & rom_mask(pdev));
}

/**
 * vfio_pci_config_bars_are_lost - are the host's addresses not in the hardware?
 * @vdev: the device, awake
 * @decode: COMMAND as it is to be: where no BAR is to answer it does not matter
 *
 * Context: may sleep.
 * Return: true if so.
 */
bool vfio_pci_config_bars_are_lost(struct vfio_pci_core_device *vdev, u16 decode)
{
	unsigned int i;
	u32 bar;

	if (!(decode & vdev->bars_decode))
		return false;

	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		if (!vdev->rbar[i])
			continue;
		pci_read_config_dword(vdev->pdev, PCI_BASE_ADDRESS_0 + 4 * i,
				      &bar);
		if (bar != vdev->rbar[i])
			return true;
	}
	return false;
}

/* After a reset that nobody here made: the device's own, or of its bus. */
static void bars_restore(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	unsigned int i;

	if (pdev->is_virtfn)
		return;

	pci_info_ratelimited(pdev, "reset behind our back, restoring BARs\n");
	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		pci_write_config_dword(pdev, PCI_BASE_ADDRESS_0 + 4 * i,
				       vdev->rbar[i]);
	pci_write_config_dword(pdev, PCI_ROM_ADDRESS, vdev->rbar[i]);
	/* It answers if it is awake; asleep it will be put right when it wakes. */
	if (pdev->current_state == PCI_D0)
		vfio_pci_intx_restore(vdev);
}

/* What is to stay on as far as the user knows. */
static u16 command_believed(struct vfio_pci_config_access *acc)
{
	return vfio_pci_vconfig_get16(acc->vdev, PCI_COMMAND) & acc->val &
	       VFIO_PCI_DECODE;
}

/*
 * Is something not on that the user turned on and wants to stay so, or is the function
 * to answer at addresses that are not its own?
 */
static bool was_reset(struct vfio_pci_config_access *acc, u16 phys)
{
	struct vfio_pci_core_device *vdev = acc->vdev;

	if (vdev->pdev->no_command_memory)
		phys |= PCI_COMMAND_MEMORY;
	return (command_believed(acc) & ~phys) ||
	       vfio_pci_config_bars_are_lost(vdev,
					     acc->val & VFIO_PCI_DECODE);
}

/* What of the register is not the user's is in @old, and configuration space locked. */
static void command_is(struct vfio_pci_config_access *acc, u16 old)
{
	acc->known = acc->pos == PCI_COMMAND && acc->width <= 2;
	acc->old = old;
}

/* Under igate nobody else changes the virtual register. */
static bool memory_toggles(struct vfio_pci_config_access *acc)
{
	return (vfio_pci_vconfig_get16(acc->vdev, PCI_COMMAND) ^ acc->val) &
	       PCI_COMMAND_MEMORY;
}

/* Would writing this leave memory decoding as everybody knows it? */
static bool memory_stays(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	u16 phys, want = acc->val;

	pci_read_config_word(vdev->pdev, PCI_COMMAND, &phys);
	if (was_reset(acc, phys))
		return false;
	command_is(acc, phys);
	return vdev->pdev->no_command_memory ||
	       !((phys ^ want) & PCI_COMMAND_MEMORY);
}

/*
 * Leaves in acc->old what the function decodes. If @look that is what it says now;
 * else it may be what it was told.
 */
static int command_store(struct vfio_pci_config_access *acc, bool look)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	u16 cmd = vfio_pci_vconfig_get16(vdev, PCI_COMMAND);
	u16 want = acc->val & VFIO_PCI_DECODE;
	u16 phys = want;
	int ret;

	/* A VF has no memory enable, but who emulates one may think so. */
	acc->virt &= ~PCI_COMMAND_MEMORY;
	ret = vfio_pci_config_store(acc);
	if (ret)
		return ret;

	/* What the function has no bit for was not turned on. */
	if (look || !acc->known || (want & ~cmd))
		pci_read_config_word(vdev->pdev, PCI_COMMAND, &phys);
	acc->old = phys;
	if (vdev->pdev->no_command_memory)
		phys |= PCI_COMMAND_MEMORY;

	cmd = vfio_pci_vconfig_get16(vdev, PCI_COMMAND);
	vfio_pci_vconfig_set16(vdev, PCI_COMMAND,
			       (cmd & ~VFIO_PCI_DECODE) | (want & phys));
	return 0;
}

/*
 * Memory comes or goes: the gate is closed, memory_lock held for write. Where it comes
 * the gate is going to open, so the function is asked what became of it.
 *
 * What is not the user's in the register, DisINTx, follows from what is recorded; if
 * that changes meanwhile vfio_pci_intx_follow_command() writes it again. So the function
 * is asked before only where something stays on that a reset would have turned off.
 */
static int command_change(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	u16 phys = command_believed(acc);

	acc->known = false;
	if (phys & vdev->bars_decode)
		pci_read_config_word(vdev->pdev, PCI_COMMAND, &phys);
	if (was_reset(acc, phys))
		bars_restore(vdev);
	else
		command_is(acc, vfio_pci_intx_command(vdev));
	return command_store(acc, acc->val & PCI_COMMAND_MEMORY);
}

/*
 * Who resets the function has configuration space locked and may be waiting for
 * memory_lock, so the former is only tried under the latter.
 */
static bool config_trylock(struct vfio_pci_config_access *acc)
{
	acc->locked = pci_cfg_access_trylock(acc->vdev->pdev);
	return acc->locked;
}

static void config_unlock(struct vfio_pci_config_access *acc)
{
	acc->locked = false;
	pci_cfg_access_unlock(acc->vdev->pdev);
}

/*
 * Bus mastering and its like are changed often and must not cost every mapping, so
 * the gate is closed only where memory comes or goes. Held for read, memory_lock
 * keeps that true until the register is written. Returns 1, with nothing done, where
 * memory comes or goes; -EAGAIN where somebody has configuration space locked.
 */
static int try_command_stays(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	int ret = -EAGAIN;

	down_read(&vdev->memory_lock);
	if (config_trylock(acc)) {
		ret = memory_stays(acc) ? command_store(acc, false) : 1;
		config_unlock(acc);
	}
	up_read(&vdev->memory_lock);
	return ret;
}

static int try_command_changes(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	int ret;

	ret = vfio_pci_gate_close_killable(vdev, VFIO_PCI_GATE_COMMAND);
	if (ret)
		return ret;

	ret = -EAGAIN;
	if (config_trylock(acc)) {
		ret = command_change(acc);
		config_unlock(acc);
	}
	if (ret)
		vfio_pci_gate_open(vdev);
	else
		vfio_pci_gate_open_command(vdev, acc->old);
	return ret;
}

/* Returns -EAGAIN, with nothing done, where somebody has configuration space locked. */
static int try_command_decode(struct vfio_pci_config_access *acc)
{
	int ret = memory_toggles(acc) ? 1 : try_command_stays(acc);

	return ret > 0 ? try_command_changes(acc) : ret;
}

/* Until nobody else has configuration space locked. */
static int config_retry(struct vfio_pci_config_access *acc,
			int (*try)(struct vfio_pci_config_access *acc))
{
	int ret;

	for (;;) {
		ret = try(acc);
		if (ret != -EAGAIN)
			return ret;
		pci_cfg_access_lock(acc->vdev->pdev);
		pci_cfg_access_unlock(acc->vdev->pdev);
	}
}

/* igate: one writer at a time, the virtual register and INTx as one. */
static int write_command(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	int ret;

	/* Who has it may wait for importers of a dma-buf, until it is killed. */
	if (mutex_lock_killable(&vdev->igate))
		return -EINTR;
	ret = vfio_pci_config_touches(acc, PCI_COMMAND) ?
	      config_retry(acc, try_command_decode) :
	      vfio_pci_config_store(acc);
	/* The disable bit is virtual: the host masks INTx its own way. */
	if (!ret && vfio_pci_config_touches(acc, PCI_COMMAND + 1))
		vfio_pci_intx_follow_command(vdev);
	mutex_unlock(&vdev->igate);

	return ret;
}

int vfio_pci_config_write_header(struct vfio_pci_config_access *acc)
{
	int ret;

	ret = vfio_pci_config_touches(acc, PCI_COMMAND) ||
	      vfio_pci_config_touches(acc, PCI_COMMAND + 1) ?
	      write_command(acc) : vfio_pci_config_store(acc);
	if (ret)
		return ret;

	if (acc->pos >= PCI_BASE_ADDRESS_0 && acc->pos < PCI_CAPABILITY_LIST)
		vfio_pci_config_size_bars(acc->vdev);
	return 0;
}

/* A user can neither be woken by PME nor see that someone was. */
void vfio_pci_config_init_pm(struct vfio_pci_core_device *vdev,
			     unsigned int pos)
{
	u16 val;

	val = vfio_pci_vconfig_get16(vdev, pos + PCI_PM_PMC);
	vfio_pci_vconfig_set16(vdev, pos + PCI_PM_PMC,
			       val & ~PCI_PM_CAP_PME_MASK);

	val = vfio_pci_vconfig_get16(vdev, pos + PCI_PM_CTRL);
	vfio_pci_vconfig_set16(vdev, pos + PCI_PM_CTRL,
			       val & ~(PCI_PM_CTRL_PME_ENABLE |
				       PCI_PM_CTRL_PME_STATUS));
}

/*
 * A function that others move to D0 meanwhile must not be sent back by the bits
 * that were read before, so the register is written with the gate closed. If the
 * state cannot be had the user reads the old one, as from hardware. Returns
 * -EAGAIN, with nothing done, where somebody has configuration space locked.
 */
static int try_power(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	int ret;

	ret = vfio_pci_gate_close_killable(vdev, VFIO_PCI_GATE_POWER);
	if (ret)
		return ret;
	ret = -EAGAIN;
	if (config_trylock(acc)) {
		ret = vfio_pci_config_store(acc);
		config_unlock(acc);
		if (!ret)
			vfio_pci_set_power_state(vdev, (__force pci_power_t)
						 (acc->val &
						  PCI_PM_CTRL_STATE_MASK));
	}
	vfio_pci_gate_open(vdev);
	return ret;
}

int vfio_pci_config_write_pm(struct vfio_pci_config_access *acc)
{
	unsigned int ctrl = acc->start + PCI_PM_CTRL;

	/* Who reads it and writes it back would clear it, and the host miss a wake-up. */
	if (acc->pos == ctrl)
		acc->w1c = PCI_PM_CTRL_PME_STATUS;
	else if (acc->pos == ctrl + 1)
		acc->w1c = PCI_PM_CTRL_PME_STATUS >> 8;

	return vfio_pci_config_touches(acc, PCI_PM_CTRL) ?
	       config_retry(acc, try_power) : vfio_pci_config_store(acc);
}

/*
 * 7.9.18: writing the upper byte of the address starts a transfer of four
 * bytes, to the device if the flag is set. The flag flips when it is done; it
 * does not if it fails, and the user times out. Data is bytes and has no
 * order to swap.
 */
int vfio_pci_config_write_vpd(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	u8 *data = vdev->vconfig + acc->start + PCI_VPD_DATA;
	u8 buf[4];
	u16 addr;
	int ret;

	ret = vfio_pci_config_store(acc);
	if (ret || !vfio_pci_config_touches(acc, PCI_VPD_ADDR + 1))
		return ret;

	addr = vfio_pci_vconfig_get16(vdev, acc->start + PCI_VPD_ADDR);
	if (addr & PCI_VPD_ADDR_F) {
		memcpy(buf, data, sizeof(buf));
		if (pci_write_vpd(vdev->pdev, addr & PCI_VPD_ADDR_MASK,
				  sizeof(buf), buf) != sizeof(buf))
			return 0;
	} else {
		memset(buf, 0, sizeof(buf));
		if (pci_read_vpd(vdev->pdev, addr, sizeof(buf), buf) < 0)
			return 0;
		memcpy(data, buf, sizeof(buf));
	}

	vfio_pci_vconfig_set16(vdev, acc->start + PCI_VPD_ADDR,
			       addr ^ PCI_VPD_ADDR_F);
	return 0;
}

/*
 * A user enables MSI for real by VFIO_DEVICE_SET_IRQS, after which the control
 * word follows what is written here, with no more vectors than were set up.
 * igate keeps the interrupts as they are meanwhile. A device whose INTx cannot be
 * off while MSI is set up would signal that instead, so its MSI stays enabled.
 */
int vfio_pci_config_write_msi(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	unsigned int pos = acc->start + PCI_MSI_FLAGS;
	u16 flags;
	int ret;

	if (mutex_lock_killable(&vdev->igate))
		return -EINTR;
	ret = vfio_pci_config_store(acc);
	if (ret || !vfio_pci_config_touches(acc, PCI_MSI_FLAGS))
		goto unlock;

	flags = vfio_pci_vconfig_get16(vdev, pos);
	if (vdev->irq_type != VFIO_PCI_MSI_IRQ_INDEX)
		flags &= ~PCI_MSI_FLAGS_ENABLE;
	if (FIELD_GET(PCI_MSI_FLAGS_QSIZE, flags) > vdev->msi_qmax) {
		flags &= ~PCI_MSI_FLAGS_QSIZE;
		flags |= FIELD_PREP(PCI_MSI_FLAGS_QSIZE, vdev->msi_qmax);
	}
	vfio_pci_vconfig_set16(vdev, pos, flags);
	if (vdev->irq_type == VFIO_PCI_MSI_IRQ_INDEX &&
	    (vdev->pdev->dev_flags & PCI_DEV_FLAGS_MSI_INTX_DISABLE_BUG))
		flags |= PCI_MSI_FLAGS_ENABLE;
	ret = pci_user_write_config_word(vdev->pdev, pos, flags);
unlock:
	mutex_unlock(&vdev->igate);
	return ret;
}

/*
 * The read request size goes to hardware, but not below the payload size, with
 * which the host has tuned the path. FLR is for functions that have it; it
 * reads as zero.
 */
int vfio_pci_config_write_exp(struct vfio_pci_config_access *acc)
{
	struct vfio_pci_core_device *vdev = acc->vdev;
	unsigned int pos = acc->start + PCI_EXP_DEVCTL;
	struct pci_dev *pdev = vdev->pdev;
	u16 old, ctl;
	u32 cap;
	int ret;

	old = vfio_pci_vconfig_get16(vdev, pos);
	ret = vfio_pci_config_store(acc);
	if (ret)
		return ret;

	ctl = vfio_pci_vconfig_get16(vdev, pos);
	if (ctl & PCI_EXP_DEVCTL_BCR_FLR) {
		vfio_pci_vconfig_set16(vdev, pos,
				       ctl & ~PCI_EXP_DEVCTL_BCR_FLR);
		if (!pci_user_read_config_dword(pdev,
						acc->start + PCI_EXP_DEVCAP,
						&cap) &&
		    (cap & PCI_EXP_DEVCAP_FLR))
			vfio_pci_reset_function(vdev, VFIO_PCI_GATE_FLR);
	}

	if ((old ^ ctl) & PCI_EXP_DEVCTL_READRQ) {
		/* In a reset the register reads as all ones, and is lost. */
		pci_cfg_access_lock(pdev);
		pcie_set_readrq(pdev,
				max(128 << FIELD_GET(PCI_EXP_DEVCTL_READRQ,
						     ctl),
				    pcie_get_mps(pdev)));
		pci_cfg_access_unlock(pdev);
	}
	return 0;
}

int vfio_pci_config_write_af(struct vfio_pci_config_access *acc)
{
	const u8 both = PCI_AF_CAP_FLR | PCI_AF_CAP_TP;
	struct vfio_pci_core_device *vdev = acc->vdev;
	u8 *ctl = vdev->vconfig + acc->start + PCI_AF_CTRL;
	u8 cap;
	int ret;

	ret = vfio_pci_config_store(acc);
	if (ret || !(*ctl & PCI_AF_CTRL_FLR))
		return ret;

	*ctl &= ~PCI_AF_CTRL_FLR;
	if (!pci_user_read_config_byte(vdev->pdev, acc->start + PCI_AF_CAP,
				       &cap) && (cap & both) == both)
		vfio_pci_reset_function(vdev, VFIO_PCI_GATE_FLR);
	return 0;
}
