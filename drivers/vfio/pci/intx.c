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
 * There are two reasons to be masked. intx->masked is the state of the line,
 * for whatever reason. virq_disabled is the user's DisINTx in the virtual
 * COMMAND register: while it is set, unmasking does nothing. It changes
 * together with the line, under irqlock. While nobody listens to the line, the
 * physical DisINTx simply follows the virtual one.
 *
 * Unmasking a line that is still asserted would interrupt at once. Where the
 * device can tell, it stays masked and the eventfd is signalled right away.
 *
 * Locks: see irqs.c.
 */
#include <linux/eventfd.h>
#include <linux/interrupt.h>
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
 * @name: for /proc/interrupts
 */
struct vfio_pci_intx {
	struct vfio_pci_core_device *vdev;
	struct vfio_pci_eventfd __rcu *trigger;
	struct virqfd *unmask;
	unsigned int irq;
	bool masked;
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

static irqreturn_t vfio_pci_intx_handler(int irq, void *data)
{
	struct vfio_pci_intx *intx = data;
	struct vfio_pci_core_device *vdev = intx->vdev;
	unsigned long flags;
	bool fired = false;

	/*
	 * Masked already: the line is someone else's, or was masked on another
	 * CPU after it fired and fires again when it is unmasked.
	 */
	spin_lock_irqsave(&vdev->irqlock, flags);
	if (!intx->masked) {
		if (vdev->pci_2_3) {
			fired = pci_check_and_mask_intx(vdev->pdev);
		} else {
			disable_irq_nosync(irq);
			fired = true;
		}
		intx->masked = fired;
	}
	spin_unlock_irqrestore(&vdev->irqlock, flags);

	if (fired)
		vfio_pci_intx_signal(intx);
	return IRQ_RETVAL(fired);
}

/* Under irqlock: true if the line was set up and not masked. */
static bool vfio_pci_intx_close_line(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);
	bool masks = false;

	if (intx && !intx->masked) {
		masks = true;
		intx->masked = true;
	}
	if (vdev->pci_2_3) {
		if (masks || !intx)
			pci_intx(vdev->pdev, 0);
	} else if (masks) {
		disable_irq_nosync(intx->irq);
	}
	return masks;
}

/**
 * vfio_pci_intx_mask - keep INTx from interrupting
 * @vdev: the device
 *
 * Return: true if it was set up and not masked.
 * Context: any; takes irqlock.
 */
bool vfio_pci_intx_mask(struct vfio_pci_core_device *vdev)
{
	unsigned long flags;
	bool masks;

	spin_lock_irqsave(&vdev->irqlock, flags);
	masks = vfio_pci_intx_close_line(vdev);
	spin_unlock_irqrestore(&vdev->irqlock, flags);

	return masks;
}

/*
 * Under irqlock: unmask unless the user's COMMAND register forbids it. Returns
 * true if the line is asserted: it stays masked, and the caller signals.
 */
static bool vfio_pci_intx_open_line(struct vfio_pci_intx *intx)
{
	struct vfio_pci_core_device *vdev = intx->vdev;

	if (!intx->masked || vdev->virq_disabled)
		return false;

	if (!vdev->pci_2_3)
		enable_irq(intx->irq);
	else if (!pci_check_and_unmask_intx(vdev->pdev))
		return true;

	intx->masked = false;
	return false;
}

/* Under irqlock and RCU: what the caller signals after it dropped irqlock. */
static struct vfio_pci_eventfd *
vfio_pci_intx_open(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_intx *intx = vfio_pci_intx_get(vdev);

	if (intx && vfio_pci_intx_open_line(intx))
		return rcu_dereference(intx->trigger);
	if (!intx && vdev->pci_2_3)
		pci_intx(vdev->pdev, 1);
	return NULL;
}

/**
 * vfio_pci_intx_unmask - let INTx interrupt again
 * @vdev: the device
 *
 * Does nothing while the user's COMMAND register disables INTx.
 *
 * Context: any in which an eventfd may be signalled; takes irqlock.
 */
void vfio_pci_intx_unmask(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_eventfd *efd;
	unsigned long flags;

	/* The context may go once irqlock is dropped; its trigger may not. */
	rcu_read_lock();
	spin_lock_irqsave(&vdev->irqlock, flags);
	efd = vfio_pci_intx_open(vdev);
	spin_unlock_irqrestore(&vdev->irqlock, flags);

	if (efd)
		eventfd_signal(efd->ctx);
	rcu_read_unlock();
}

/**
 * vfio_pci_intx_follow_command - do as the virtual COMMAND register says
 * @vdev: the device; the user wrote to the register's upper byte
 *
 * The physical register was read, changed and written back without irqlock. If
 * the line was masked or unmasked meanwhile, that was undone.
 *
 * Context: igate is held; takes irqlock.
 */
void vfio_pci_intx_follow_command(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_eventfd *efd = NULL;
	struct vfio_pci_intx *intx;
	unsigned long flags;
	bool disable;

	lockdep_assert_held(&vdev->igate);
	disable = vfio_pci_vconfig_get16(vdev, PCI_COMMAND) &
		  PCI_COMMAND_INTX_DISABLE;

	rcu_read_lock();
	spin_lock_irqsave(&vdev->irqlock, flags);
	if (disable != vdev->virq_disabled) {
		WRITE_ONCE(vdev->virq_disabled, disable);
		if (disable)
			vfio_pci_intx_close_line(vdev);
		else
			efd = vfio_pci_intx_open(vdev);
	}
	intx = vfio_pci_intx_get(vdev);
	if (intx && vdev->pci_2_3)
		pci_intx(vdev->pdev, !intx->masked);
	spin_unlock_irqrestore(&vdev->irqlock, flags);

	if (efd)
		eventfd_signal(efd->ctx);
	rcu_read_unlock();
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

static void vfio_pci_intx_set_type(struct vfio_pci_core_device *vdev, int type)
{
	spin_lock_irq(&vdev->irqlock);
	vdev->irq_type = type;
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

	/* Masked until everything is there: a shared line may be firing. */
	if (vdev->pci_2_3)
		pci_intx(pdev, 0);
	ret = request_irq(intx->irq, vfio_pci_intx_handler,
			  vdev->pci_2_3 ? IRQF_SHARED : IRQF_NO_AUTOEN,
			  intx->name, intx);
	if (ret) {
		pci_info_ratelimited(pdev, "cannot have interrupt line %u%s: %d\n",
				     intx->irq,
				     vdev->pci_2_3 ? "" : " to itself", ret);
		goto err_erase;
	}

	vfio_pci_intx_set_type(vdev, VFIO_PCI_INTX_IRQ_INDEX);
	vfio_pci_intx_unmask(vdev);
	return 0;

err_erase:
	if (vdev->pci_2_3 && !vdev->virq_disabled)
		pci_intx(pdev, 1);
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
	if (!vfio_pci_intx_get(vdev) || req->count != 1)
		return -EINVAL;
	if (vfio_pci_irq_req_binds(req))
		return -ENOTTY;

	if (vfio_pci_irq_req_selects(req, 0))
		vfio_pci_intx_mask(vdev);
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
			vfio_pci_intx_unmask(vdev);
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
