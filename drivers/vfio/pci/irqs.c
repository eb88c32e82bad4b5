// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interrupts of a device and the eventfds that stand for them.
 *
 * A device has five interrupt indexes. INTx, MSI and MSI-X are the device's
 * own, and at most one of them is set up at a time: vdev->irq_type names it,
 * or is VFIO_PCI_NO_IRQ_TYPE. To go from one to another the user disables the
 * first. ERR (the platform reports an error) and REQ (the host wants the device
 * back) are the driver's and independent of those three.
 *
 * Objects
 *   A trigger, struct vfio_pci_eventfd, holds a reference to the eventfd that
 *   an interrupt signals. It sits in a slot: two in the device (err_trigger,
 *   req_trigger), one in each interrupt's context.
 *   A context is what one interrupt needs: struct vfio_pci_intx, or struct
 *   vfio_pci_vector for an MSI or MSI-X vector. vdev->ctx finds it by
 *   subindex.
 *   A virqfd is the other direction: an eventfd of the user that unmasks INTx.
 *
 * Locks
 *   igate (mutex) serialises everything that sets interrupts up or takes them
 *   down. It covers irq_type, vdev->ctx, the writing of slots, and writes of
 *   the COMMAND register with the DisINTx bit. It is outside memory_lock.
 *   irqlock (spinlock, taken in interrupt handlers) covers the state of the
 *   INTx line: whether it is masked, whether a context owns it, and whether the
 *   function can be told (pm_intx_masked). irq_type turns to and from INTx under
 *   both locks, so holding either is enough to know. What follows from these is
 *   written to DisINTx under irqlock, so resets and power management, with
 *   memory_lock held, take the line away and give it back (intx.c).
 *   RCU covers the reading of slots. Who signals does not know whether igate
 *   is held and often cannot take it: hard interrupts, the AER handler, an
 *   irqfd's worker. A replaced trigger dies a grace period later, so a signal
 *   always finds the old eventfd or the new one and neither can go away under
 *   it. Swapping a slot leaves the interrupt itself alone: none is lost.
 *
 *   An eventfd wakes its waiters with its own wait queue lock held, and one of
 *   them may be our virqfd whose handler takes irqlock. So nothing is
 *   signalled with irqlock held: it comes inside the wait queue lock.
 *
 * A context is freed when nobody can reach it: its virqfd is disabled, which
 * flushes the worker, then irq_type stops pointing at it under irqlock, then
 * free_irq() waits for the handler.
 */
#include <linux/eventfd.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "irqs.h"

/**
 * vfio_pci_eventfd_get - make a trigger of a file descriptor
 * @fd: an eventfd of the current process
 *
 * Return: the trigger, to be put into a slot or given to
 * vfio_pci_eventfd_put(); ERR_PTR(-EBADF), ERR_PTR(-EINVAL) where @fd is no
 * eventfd, ERR_PTR(-ENOMEM).
 * Context: may sleep.
 */
struct vfio_pci_eventfd *vfio_pci_eventfd_get(s32 fd)
{
	struct vfio_pci_eventfd *efd;
	struct eventfd_ctx *ctx;

	ctx = eventfd_ctx_fdget(fd);
	if (IS_ERR(ctx))
		return ERR_CAST(ctx);

	efd = kzalloc(sizeof(*efd), GFP_KERNEL_ACCOUNT);
	if (!efd) {
		eventfd_ctx_put(ctx);
		return ERR_PTR(-ENOMEM);
	}

	efd->ctx = ctx;
	return efd;
}

/**
 * vfio_pci_eventfd_put - drop a trigger that was never in a slot
 * @efd: the trigger, or NULL
 */
void vfio_pci_eventfd_put(struct vfio_pci_eventfd *efd)
{
	if (!efd)
		return;

	eventfd_ctx_put(efd->ctx);
	kfree(efd);
}

static void vfio_pci_eventfd_put_rcu(struct rcu_head *rcu)
{
	vfio_pci_eventfd_put(container_of(rcu, struct vfio_pci_eventfd, rcu));
}

/**
 * vfio_pci_eventfd_replace - change what a slot signals
 * @vdev: the device, its igate held
 * @slot: the slot
 * @efd: the new trigger, which the slot then owns, or NULL for none
 *
 * Context: does not sleep. The old trigger may be signalled a last time while
 * this returns.
 */
void vfio_pci_eventfd_replace(struct vfio_pci_core_device *vdev,
			      struct vfio_pci_eventfd __rcu **slot,
			      struct vfio_pci_eventfd *efd)
{
	efd = rcu_replace_pointer(*slot, efd, lockdep_is_held(&vdev->igate));
	if (efd)
		call_rcu(&efd->rcu, vfio_pci_eventfd_put_rcu);
}

/**
 * vfio_pci_eventfd_signal - signal the trigger of a slot
 * @slot: the slot
 *
 * Return: whether there was one.
 * Context: any, hard interrupts included, but not with irqlock held.
 */
bool vfio_pci_eventfd_signal(struct vfio_pci_eventfd __rcu **slot)
{
	struct vfio_pci_eventfd *efd;

	rcu_read_lock();
	efd = rcu_dereference(*slot);
	if (efd)
		eventfd_signal(efd->ctx);
	rcu_read_unlock();

	return efd;
}

/*
 * The interrupts that the driver itself raises. Unlike those of the device
 * they may be bound and unbound at any time, and of the negative descriptors
 * only -1 unbinds.
 */
static int vfio_pci_set_slot(struct vfio_pci_core_device *vdev,
			     struct vfio_pci_eventfd __rcu **slot,
			     const struct vfio_pci_irq_req *req)
{
	struct vfio_pci_eventfd *efd = NULL;
	s32 fd;

	if (vfio_pci_irq_req_disables(req)) {
		if (!rcu_access_pointer(*slot))
			return -EINVAL;
		vfio_pci_eventfd_replace(vdev, slot, NULL);
		return 0;
	}

	if (!req->count)
		return -EINVAL;

	if (!vfio_pci_irq_req_binds(req)) {
		if (vfio_pci_irq_req_selects(req, 0) &&
		    !vfio_pci_eventfd_signal(slot) &&
		    (req->flags & VFIO_IRQ_SET_DATA_NONE))
			return -EINVAL;
		return 0;
	}

	fd = vfio_pci_irq_req_fd(req, 0);
	if (fd < -1)
		return -EINVAL;
	if (fd >= 0) {
		efd = vfio_pci_eventfd_get(fd);
		if (IS_ERR(efd))
			return PTR_ERR(efd);
	}

	vfio_pci_eventfd_replace(vdev, slot, efd);
	return 0;
}

static int vfio_pci_err_set_trigger(struct vfio_pci_core_device *vdev,
				    const struct vfio_pci_irq_req *req)
{
	return vfio_pci_set_slot(vdev, &vdev->err_trigger, req);
}

static int vfio_pci_req_set_trigger(struct vfio_pci_core_device *vdev,
				    const struct vfio_pci_irq_req *req)
{
	return vfio_pci_set_slot(vdev, &vdev->req_trigger, req);
}

/* The virtual pin is 0 wherever INTx must not or cannot be used. */
static unsigned int vfio_pci_intx_count(struct vfio_pci_core_device *vdev)
{
	return !!vdev->vconfig[PCI_INTERRUPT_PIN];
}

static unsigned int vfio_pci_msi_count(struct vfio_pci_core_device *vdev)
{
	return max(pci_msi_vec_count(vdev->pdev), 0);
}

/* What the table had at first open is kept from the user, and nothing behind it. */
static unsigned int vfio_pci_msix_count(struct vfio_pci_core_device *vdev)
{
	return clamp(pci_msix_vec_count(vdev->pdev), 0,
		     vdev->msix_size / PCI_MSIX_ENTRY_SIZE);
}

/* The driver's own. Errors are told of conventional devices, too: of their bridge's. */
static unsigned int vfio_pci_driver_count(struct vfio_pci_core_device *vdev)
{
	return 1;
}

typedef int (*vfio_pci_irq_action_t)(struct vfio_pci_core_device *vdev,
				     const struct vfio_pci_irq_req *req);

/* An action that is not here does not exist for the index. */
static const struct {
	unsigned int (*count)(struct vfio_pci_core_device *vdev);
	vfio_pci_irq_action_t trigger;
	vfio_pci_irq_action_t mask;
	vfio_pci_irq_action_t unmask;
	vfio_pci_irq_action_t affinity;
} vfio_pci_irq_indexes[VFIO_PCI_NUM_IRQS] = {
	[VFIO_PCI_INTX_IRQ_INDEX] = {
		.count = vfio_pci_intx_count,
		.trigger = vfio_pci_intx_set_trigger,
		.mask = vfio_pci_intx_set_mask,
		.unmask = vfio_pci_intx_set_unmask,
	},
	[VFIO_PCI_MSI_IRQ_INDEX] = {
		.count = vfio_pci_msi_count,
		.trigger = vfio_pci_msi_set_trigger,
		.affinity = vfio_pci_msi_set_affinity,
	},
	[VFIO_PCI_MSIX_IRQ_INDEX] = {
		.count = vfio_pci_msix_count,
		.trigger = vfio_pci_msi_set_trigger,
		.affinity = vfio_pci_msi_set_affinity,
	},
	[VFIO_PCI_ERR_IRQ_INDEX] = {
		.count = vfio_pci_driver_count,
		.trigger = vfio_pci_err_set_trigger,
	},
	[VFIO_PCI_REQ_IRQ_INDEX] = {
		.count = vfio_pci_driver_count,
		.trigger = vfio_pci_req_set_trigger,
	},
};

/**
 * vfio_pci_irq_count - how many interrupts does an index have?
 * @vdev: the device, open
 * @index: VFIO_PCI_*_IRQ_INDEX, any value
 *
 * Return: the number, 0 where the device has none or there is no such index.
 */
unsigned int vfio_pci_irq_count(struct vfio_pci_core_device *vdev,
				unsigned int index)
{
	if (index >= VFIO_PCI_NUM_IRQS)
		return 0;

	index = array_index_nospec(index, VFIO_PCI_NUM_IRQS);
	return vfio_pci_irq_indexes[index].count(vdev);
}

/**
 * vfio_pci_set_irqs - VFIO_DEVICE_SET_IRQS
 * @vdev: the device, its igate held
 * @flags: one VFIO_IRQ_SET_DATA_* and the action
 * @index: VFIO_PCI_*_IRQ_INDEX
 * @start: first subindex
 * @count: number of subindexes; the range lies within the index
 * @data: the data of the call in kernel memory, NULL if it has none; a struct
 *	cpumask instead of the user's words
 *
 * The caller has checked the arguments with
 * vfio_set_irqs_validate_and_prepare().
 *
 * Return: 0, or the number of vectors that could be had where the user asked
 * for more than that. -ENOTTY if the index has no such action, or there is not
 * exactly one; -EINVAL if it does not go with what is set up, or a descriptor
 * is no eventfd; -EBADF for a closed one; -EBUSY where an unmask eventfd is
 * bound already, or the line cannot be shared; -ENODEV without an interrupt
 * line; -ENOENT for the affinity of a vector that is not armed; -EIO where the device
 * says otherwise than before where its MSI-X table is;
 * -ENOMEM; or what the interrupt core says.
 * Context: may sleep, takes memory_lock.
 */
int vfio_pci_set_irqs(struct vfio_pci_core_device *vdev, u32 flags,
		      unsigned int index, unsigned int start,
		      unsigned int count, void *data)
{
	const struct vfio_pci_irq_req req = {
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
		.data = data,
	};
	vfio_pci_irq_action_t action = NULL;

	lockdep_assert_held(&vdev->igate);

	index = array_index_nospec(index, VFIO_PCI_NUM_IRQS);
	switch (flags & (VFIO_IRQ_SET_ACTION_TYPE_MASK |
			 VFIO_IRQ_SET_ACTION_AFFINITY)) {
	case VFIO_IRQ_SET_ACTION_TRIGGER:
		action = vfio_pci_irq_indexes[index].trigger;
		break;
	case VFIO_IRQ_SET_ACTION_MASK:
		action = vfio_pci_irq_indexes[index].mask;
		break;
	case VFIO_IRQ_SET_ACTION_UNMASK:
		action = vfio_pci_irq_indexes[index].unmask;
		break;
	case VFIO_IRQ_SET_ACTION_AFFINITY:
		action = vfio_pci_irq_indexes[index].affinity;
		break;
	}

	return action ? action(vdev, &req) : -ENOTTY;
}

/**
 * vfio_pci_irqs_release - last close: undo all that SET_IRQS did
 * @vdev: the device
 *
 * No handler, no eventfd and no vector is left afterwards.
 *
 * Context: may sleep; takes igate and memory_lock.
 */
void vfio_pci_irqs_release(struct vfio_pci_core_device *vdev)
{
	mutex_lock(&vdev->igate);
	if (vfio_pci_irq_type_is(vdev, VFIO_PCI_INTX_IRQ_INDEX))
		vfio_pci_intx_disable(vdev);
	else if (!vfio_pci_irq_type_is(vdev, VFIO_PCI_NO_IRQ_TYPE))
		vfio_pci_msi_disable(vdev);
	vfio_pci_eventfd_replace(vdev, &vdev->err_trigger, NULL);
	vfio_pci_eventfd_replace(vdev, &vdev->req_trigger, NULL);
	mutex_unlock(&vdev->igate);
}

/**
 * vfio_pci_irqs_module_exit - wait for the last triggers to be freed
 *
 * Context: may sleep. Every device is gone; grace periods may not be over.
 */
void vfio_pci_irqs_module_exit(void)
{
	rcu_barrier();
}

/**
 * vfio_pci_signal_error - tell the user that the platform found an error
 * @vdev: the device
 *
 * Context: any.
 */
void vfio_pci_signal_error(struct vfio_pci_core_device *vdev)
{
	vfio_pci_eventfd_signal(&vdev->err_trigger);
}

/**
 * vfio_pci_signal_request - ask the user to give the device back
 * @vdev: the device
 *
 * Return: false if the user has not said how to reach them.
 * Context: any.
 */
bool vfio_pci_signal_request(struct vfio_pci_core_device *vdev)
{
	return vfio_pci_eventfd_signal(&vdev->req_trigger);
}
