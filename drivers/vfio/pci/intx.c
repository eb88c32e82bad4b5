// SPDX-License-Identifier: GPL-2.0-only
/*
 * INTx: one level-triggered line, masked as soon as it fires.
 *
 * The handler masks the line and signals the eventfd; the user makes the device
 * drop the line and unmasks. There are two ways to mask. A device with a
 * working DisINTx bit and interrupt status (pci_2_3) masks itself, and can
 * share the line. Any other has its line disabled at the interrupt controller
 * and must own it.
 *
 * There are two reasons to be masked. intx->masked is the state of the line, for
 * whatever reason. virq_disabled is the user's DisINTx in the virtual COMMAND
 * register: while it is set, unmasking does nothing. It changes together with the
 * line, under irqlock.
 *
 * Whether the line is off follows from what is recorded, and only
 * vfio_pci_intx_is_off() says it: it is off, too, while nobody has set INTx up,
 * so that a device that asserts it nonetheless does no harm to others' devices on
 * the line. But some devices send no MSI while DisINTx is set. While they have
 * MSI or MSI-X it is clear, and they signal no INTx because they have the other,
 * which the user cannot switch off (config_write.c).
 *
 * The physical register is made to agree under irqlock after
 * everything that may have changed it: the PCI core restores what it saved
 * before the user masked or unmasked, and clears DisINTx where it enables the
 * device or takes MSI down. What changes it unseen, a reset by the device
 * itself, is put right by the handler when the line fires.
 *
 * While the function sleeps or is reset its registers must not be written, nor
 * can be believed. Who is about to do that to it freezes INTx before: the line is
 * off, and the handler, masking and unmasking only keep what is recorded up to
 * date. The opening of the gate makes it good (vfio_pci_intx_thaw()). The
 * platform's errors freeze nothing: what the device can still be told it is told.
 *
 * Unmasking a line that is still asserted would interrupt at once. Where the
 * device can tell, it stays masked and the eventfd is signalled right away.
 *
 * Locks: see irqs.c.
 */
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "config.h"
#include "irqs.h"

/**
 * struct vfio_pci_intx - INTx while it is set up
 * @vdev: the device
 * @trigger: what the line signals; may be empty
 * @unmask: unmasks the line when its eventfd is signalled
 * @irq: number of the line
 * @masked: under irqlock
 * @line_off: the line is disabled at the controller; only without pci_2_3, under
 *	irqlock
 * @name: for /proc/interrupts
 */
struct vfio_pci_intx {
	struct vfio_pci_core_device *vdev;
	struct vfio_pci_eventfd __rcu *trigger;
	struct virqfd *unmask;
	unsigned int irq;
	bool masked;
	bool line_off;
	char *name;
};

/* Under irqlock or igate. */
static struct vfio_pci_intx *vfio_pci_intx_get(struct vfio_pci_core_device *vdev)
{
	if (!vfio_pci_irq_type_is(vdev, VFIO_PCI_INTX_IRQ_INDEX))
		return NULL;
	return xa_load(&vdev->ctx, 0);
}

static void vfio_pci_intx_signal(struct vfio_pci_intx *intx)
{
	if (!READ_ONCE(intx->vdev->virq_disabled))
		vfio_pci_eventfd_signal(&intx->trigger);
}

/* The PCI core knows for which devices this matters. */
static bool vfio_pci_intx_off_stops_msi(struct pci_dev *pdev)
{
	return (pdev->dev_flags & PCI_DEV_FLAGS_MSI_INTX_DISABLE_BUG) &&
	       pci_dev_msi_enabled(pdev);
}

/*
 * Under irqlock: must the line be off? Off is DisINTx, or the line disabled at
 * the controller. @intx is NULL while INTx is not set up.
 */
static bool vfio_pci_intx_is_off(struct vfio_pci_core_device *vdev,
				 const struct vfio_pci_intx *intx)
{
	if (vdev->pm_intx_masked)
		return true;
	if (!intx)
		return !vfio_pci_intx_off_stops_msi(vdev->pdev);
	return intx->masked || vdev->virq_disabled;
}

/*
 * Under irqlock: DisINTx as it must be. Who has its line masked at the controller needs
 * it only while nobody listens. A VF has neither. Where INTx is not set up igate and
 * memory_lock will do: the former keeps it so, the latter is held by who freezes it.
 */
static u16 vfio_pci_intx_bit(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_intx *intx)
{
	return !vdev->pdev->is_virtfn && (vdev->pci_2_3 || !intx) &&
	       vfio_pci_intx_is_off(vdev, intx) ? PCI_COMMAND_INTX_DISABLE : 0;
}

/**
 * vfio_pci_intx_command - what DisINTx is in the COMMAND register
 * @vdev: the device
 *
 * This is known without a look at the function, if nothing else reset that.
 *
 * Return: the bit, or 0.
 * Context: igate is held, and memory_lock; takes irqlock if INTx is set up, and then
 * the answer is good as long as that is held.
 */
u16 vfio_pci_intx_command(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_intx *intx;
	u16 bit;

	lockdep_assert_held(&vdev->igate);
	lockdep_assert_held(&vdev->memory_lock);

	intx = vfio_pci_intx_get(vdev);
	if (!intx)
		return vfio_pci_intx_bit(vdev, NULL);

	spin_lock_irq(&vdev->irqlock);
	bit = vfio_pci_intx_bit(vdev, intx);
	spin_unlock_irq(&vdev->irqlock);
	return bit;
}

/*
 * Under irqlock, and the function answers. Others change other bits of COMMAND with
 * irqlock, igate or memory_lock held, and one of these is held here, too.
 */
static void vfio_pci_intx_write(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);
	struct pci_dev *pdev = vdev->pdev;
	u16 old, cmd;

	if (pdev->is_virtfn)
		return;

	pci_read_config_word(pdev, PCI_COMMAND, &old);
	if (PCI_POSSIBLE_ERROR(old))
		return;
	cmd = old & ~PCI_COMMAND_INTX_DISABLE;
	cmd |= vfio_pci_intx_bit(vdev, intx);
	if (cmd != old)
		pci_write_config_word(pdev, PCI_COMMAND, cmd);
}

/* Under irqlock: something changed that vfio_pci_intx_is_off() looks at. */
static void vfio_pci_intx_apply(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);
	bool off = vfio_pci_intx_is_off(vdev, intx);

	if (intx && !vdev->pci_2_3 && off != intx->line_off) {
		intx->line_off = off;
		if (off)
			disable_irq_nosync(intx->irq);
		else
			enable_irq(intx->irq);
	}
	if (!vdev->pm_intx_masked)
		vfio_pci_intx_write(vdev);
}

/**
 * vfio_pci_intx_freeze - the function is about to sleep or to be reset
 * @vdev: the device
 *
 * INTx is off from here until vfio_pci_intx_thaw(), and nobody writes to COMMAND
 * for its sake.
 *
 * Context: any; takes irqlock. If INTx is not frozen yet the function answers.
 */
void vfio_pci_intx_freeze(struct vfio_pci_core_device *vdev)
{
	unsigned long flags;

	spin_lock_irqsave(&vdev->irqlock, flags);
	if (!vdev->pm_intx_masked) {
		vdev->pm_intx_masked = true;
		vfio_pci_intx_write(vdev);
		vfio_pci_intx_apply(vdev);
	}
	spin_unlock_irqrestore(&vdev->irqlock, flags);
}

/**
 * vfio_pci_intx_thaw - the function answers again
 * @vdev: the device
 *
 * A line that is asserted and not masked fires.
 *
 * Context: any; takes irqlock. memory_lock is held for write.
 */
void vfio_pci_intx_thaw(struct vfio_pci_core_device *vdev)
{
	unsigned long flags;

	spin_lock_irqsave(&vdev->irqlock, flags);
	vdev->pm_intx_masked = false;
	vfio_pci_intx_apply(vdev);
	spin_unlock_irqrestore(&vdev->irqlock, flags);
}

/**
 * vfio_pci_intx_restore - somebody else changed DisINTx, or set MSI up or down
 * @vdev: the device
 *
 * Context: any; takes irqlock. The function answers, frozen or not, and
 * memory_lock keeps it so.
 */
void vfio_pci_intx_restore(struct vfio_pci_core_device *vdev)
{
	unsigned long flags;

	spin_lock_irqsave(&vdev->irqlock, flags);
	vfio_pci_intx_write(vdev);
	spin_unlock_irqrestore(&vdev->irqlock, flags);
}

/*
 * Under irqlock: masked, and yet there is an interrupt. It is someone else's, or
 * was under way on another CPU when it was masked; but it is ours where DisINTx
 * was lost. Nobody is told: unmasking finds the line asserted.
 */
static bool vfio_pci_intx_mask_again(struct vfio_pci_core_device *vdev)
{
	u16 cmd;

	if (!vdev->pci_2_3)
		return false;

	pci_read_config_word(vdev->pdev, PCI_COMMAND, &cmd);
	return !(cmd & PCI_COMMAND_INTX_DISABLE) &&
	       pci_check_and_mask_intx(vdev->pdev);
}

static irqreturn_t vfio_pci_intx_handler(int irq, void *data)
{
	struct vfio_pci_intx *intx = data;
	struct vfio_pci_core_device *vdev = intx->vdev;
	bool fired = false, handled = false;
	unsigned long flags;

	spin_lock_irqsave(&vdev->irqlock, flags);
	if (vdev->pm_intx_masked) {
		/* It is off, so this is someone else's. */
	} else if (intx->masked) {
		handled = vfio_pci_intx_mask_again(vdev);
	} else if (!vdev->pci_2_3) {
		fired = true;
		intx->masked = true;
		vfio_pci_intx_apply(vdev);
	} else {
		/* Masked with the look at the status, and not by apply(). */
		fired = pci_check_and_mask_intx(vdev->pdev);
		intx->masked = fired;
	}
	spin_unlock_irqrestore(&vdev->irqlock, flags);

	if (fired)
		vfio_pci_intx_signal(intx);
	return IRQ_RETVAL(fired || handled);
}

static void vfio_pci_intx_mask(struct vfio_pci_intx *intx)
{
	struct vfio_pci_core_device *vdev = intx->vdev;

	spin_lock_irq(&vdev->irqlock);
	intx->masked = true;
	vfio_pci_intx_apply(vdev);
	spin_unlock_irq(&vdev->irqlock);
}

/*
 * Under irqlock: unmask unless the user's COMMAND register forbids it. Returns
 * true if the line is asserted: it stays masked, and the caller signals. One that
 * is frozen fires when it thaws.
 */
static bool vfio_pci_intx_open_line(struct vfio_pci_intx *intx)
{
	struct vfio_pci_core_device *vdev = intx->vdev;

	if (!intx->masked || vdev->virq_disabled)
		return false;

	if (vdev->pci_2_3 && !vdev->pm_intx_masked &&
	    !pci_check_and_unmask_intx(vdev->pdev))
		return true;

	intx->masked = false;
	if (!vdev->pci_2_3)
		vfio_pci_intx_apply(vdev);
	return false;
}

static void vfio_pci_intx_unmask(struct vfio_pci_intx *intx)
{
	struct vfio_pci_core_device *vdev = intx->vdev;
	bool pending;

	spin_lock_irq(&vdev->irqlock);
	pending = vfio_pci_intx_open_line(intx);
	spin_unlock_irq(&vdev->irqlock);

	if (pending)
		vfio_pci_intx_signal(intx);
}

/**
 * vfio_pci_intx_follow_command - do as the virtual COMMAND register says
 * @vdev: the device; the user wrote to the register's upper byte
 *
 * The physical register was read, changed and written back without irqlock. If
 * the line was masked or unmasked meanwhile, that was undone. While INTx is not
 * set up nobody does that.
 *
 * Context: igate is held; takes irqlock.
 */
void vfio_pci_intx_follow_command(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_intx *intx;
	bool disable, pending = false;

	lockdep_assert_held(&vdev->igate);
	disable = vfio_pci_vconfig_get16(vdev, PCI_COMMAND) &
		  PCI_COMMAND_INTX_DISABLE;

	intx = vfio_pci_intx_get(vdev);
	if (!intx) {
		/* Off in any case; nobody else looks at this. */
		WRITE_ONCE(vdev->virq_disabled, disable);
		return;
	}

	spin_lock_irq(&vdev->irqlock);
	if (disable != vdev->virq_disabled) {
		WRITE_ONCE(vdev->virq_disabled, disable);
		if (disable)
			intx->masked = true;
		else
			pending = vfio_pci_intx_open_line(intx);
	}
	vfio_pci_intx_apply(vdev);
	spin_unlock_irq(&vdev->irqlock);

	if (pending)
		vfio_pci_intx_signal(intx);
}

/* An unmask eventfd was signalled: its wait queue is locked. */
static int vfio_pci_intx_irqfd_unmask(void *opaque, void *unused)
{
	struct vfio_pci_intx *intx = opaque;
	unsigned long flags;
	bool pending;

	spin_lock_irqsave(&intx->vdev->irqlock, flags);
	pending = vfio_pci_intx_open_line(intx);
	spin_unlock_irqrestore(&intx->vdev->irqlock, flags);

	return pending;
}

static void vfio_pci_intx_irqfd_pending(void *opaque, void *unused)
{
	vfio_pci_intx_signal(opaque);
}

/* The line is off, and has an owner, or has none, from here on. */
static void vfio_pci_intx_set_type(struct vfio_pci_core_device *vdev, int type)
{
	spin_lock_irq(&vdev->irqlock);
	vdev->irq_type = type;
	vfio_pci_intx_apply(vdev);
	spin_unlock_irq(&vdev->irqlock);
}

/* Takes @efd, which may be NULL, where it succeeds. */
static int vfio_pci_intx_enable(struct vfio_pci_core_device *vdev,
				struct vfio_pci_eventfd *efd)
{
	struct pci_dev *pdev = vdev->pdev;
	struct vfio_pci_intx *intx;
	int ret;

	if (!pdev->irq || pdev->irq == IRQ_NOTCONNECTED)
		return -ENODEV;

	intx = kzalloc(sizeof(*intx), GFP_KERNEL_ACCOUNT);
	if (!intx)
		return -ENOMEM;

	intx->vdev = vdev;
	intx->irq = pdev->irq;
	intx->masked = true;
	intx->line_off = true;
	RCU_INIT_POINTER(intx->trigger, efd);
	intx->name = kasprintf(GFP_KERNEL_ACCOUNT, "vfio-intx(%s)",
			       pci_name(pdev));
	if (!intx->name) {
		ret = -ENOMEM;
		goto err_free;
	}

	ret = xa_insert(&vdev->ctx, 0, intx, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_name;

	/* It is off until everything is there: nobody has listened so far. */
	ret = request_irq(intx->irq, vfio_pci_intx_handler,
			  vdev->pci_2_3 ? IRQF_SHARED : IRQF_NO_AUTOEN,
			  intx->name, intx);
	if (ret) {
		pci_info_ratelimited(pdev, "cannot have interrupt line %u%s: %d\n",
				     intx->irq,
				     vdev->pci_2_3 ? "" : " to itself", ret);
		goto err_erase;
	}

	/*
	 * The line is ours alone. To disable it is to mask it at the controller,
	 * and not only when it fires again. free_irq() undoes this.
	 */
	if (!vdev->pci_2_3)
		irq_set_status_flags(intx->irq, IRQ_DISABLE_UNLAZY);

	vfio_pci_intx_set_type(vdev, VFIO_PCI_INTX_IRQ_INDEX);
	vfio_pci_intx_unmask(intx);
	return 0;

err_erase:
	xa_erase(&vdev->ctx, 0);
err_name:
	kfree(intx->name);
err_free:
	kfree(intx);
	return ret;
}

/**
 * vfio_pci_intx_disable - take INTx down
 * @vdev: the device, INTx set up, igate held
 *
 * Context: may sleep.
 */
void vfio_pci_intx_disable(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);

	vfio_virqfd_disable(&intx->unmask);
	/* The handler runs until free_irq(), and knows a masked line. */
	vfio_pci_intx_mask(intx);
	vfio_pci_intx_set_type(vdev, VFIO_PCI_NO_IRQ_TYPE);
	free_irq(intx->irq, intx);
	vfio_pci_eventfd_replace(vdev, &intx->trigger, NULL);
	xa_erase(&vdev->ctx, 0);
	kfree(intx->name);
	kfree(intx);
}

/**
 * vfio_pci_intx_set_trigger - VFIO_IRQ_SET_ACTION_TRIGGER of INTx
 * @vdev: the device, its igate held
 * @req: the call
 *
 * A descriptor of -1 sets INTx up, or leaves it set up, with nothing to signal.
 *
 * Return: 0, or as vfio_pci_set_irqs().
 * Context: may sleep.
 */
int vfio_pci_intx_set_trigger(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_irq_req *req)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);
	struct vfio_pci_eventfd *efd = NULL;
	s32 fd;
	int ret;

	if (intx && vfio_pci_irq_req_disables(req)) {
		vfio_pci_intx_disable(vdev);
		return 0;
	}

	if (req->count != 1)
		return -EINVAL;

	if (!vfio_pci_irq_req_binds(req)) {
		if (!intx)
			return -EINVAL;
		if (vfio_pci_irq_req_selects(req, 0))
			vfio_pci_intx_signal(intx);
		return 0;
	}

	if (!intx && !vfio_pci_irq_type_is(vdev, VFIO_PCI_NO_IRQ_TYPE))
		return -EINVAL;

	fd = vfio_pci_irq_req_fd(req, 0);
	if (fd >= 0) {
		efd = vfio_pci_eventfd_get(fd);
		if (IS_ERR(efd))
			return PTR_ERR(efd);
	}

	if (intx) {
		vfio_pci_eventfd_replace(vdev, &intx->trigger, efd);
		return 0;
	}

	ret = vfio_pci_intx_enable(vdev, efd);
	if (ret)
		vfio_pci_eventfd_put(efd);
	return ret;
}

/**
 * vfio_pci_intx_set_mask - VFIO_IRQ_SET_ACTION_MASK of INTx
 * @vdev: the device, its igate held
 * @req: the call
 *
 * Return: 0; -EINVAL if INTx is not set up; -ENOTTY for an eventfd.
 * Context: may sleep.
 */
int vfio_pci_intx_set_mask(struct vfio_pci_core_device *vdev,
			   const struct vfio_pci_irq_req *req)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);

	if (!intx || req->count != 1)
		return -EINVAL;
	if (vfio_pci_irq_req_binds(req))
		return -ENOTTY;

	if (vfio_pci_irq_req_selects(req, 0))
		vfio_pci_intx_mask(intx);
	return 0;
}

/**
 * vfio_pci_intx_set_unmask - VFIO_IRQ_SET_ACTION_UNMASK of INTx
 * @vdev: the device, its igate held
 * @req: the call
 *
 * Return: 0; -EINVAL if INTx is not set up; or as vfio_virqfd_enable().
 * Context: may sleep.
 */
int vfio_pci_intx_set_unmask(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_irq_req *req)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);
	s32 fd;

	if (!intx || req->count != 1)
		return -EINVAL;

	if (!vfio_pci_irq_req_binds(req)) {
		if (vfio_pci_irq_req_selects(req, 0))
			vfio_pci_intx_unmask(intx);
		return 0;
	}

	fd = vfio_pci_irq_req_fd(req, 0);
	if (fd >= 0)
		return vfio_virqfd_enable(intx, vfio_pci_intx_irqfd_unmask,
					  vfio_pci_intx_irqfd_pending, NULL,
					  &intx->unmask, fd);

	vfio_virqfd_disable(&intx->unmask);
	return 0;
}
