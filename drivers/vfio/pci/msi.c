// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI and MSI-X: vectors that each signal an eventfd.
 *
 * A vector that has a trigger is armed: it has a context and a handler. MSI-X
 * allocates a vector when it is first armed, where the platform can do so one at a
 * time (has_dyn_msix): each takes an interrupt of the host, and most devices have
 * more of them than their users need. Elsewhere setting the index up allocates as
 * many as the call reaches up to, and there are no more until it is disabled. A
 * vector that is disarmed is masked, and stays allocated until then: to arm it again
 * does not fail for want of interrupts.
 *
 * A call changes a whole range or nothing. All that can fail comes first: the
 * descriptors become triggers, then vectors that were not armed are armed.
 * What is left is to swap the triggers of armed vectors and to disarm, and
 * neither fails. An armed vector keeps its handler while its trigger is
 * swapped, so that no interrupt falls between the old and the new eventfd.
 *
 * The MSI-X table is in device memory, out of the user's reach, and lost in
 * any reset that the kernel does not know of. So whenever a vector gets a
 * trigger its entry is written again from the kernel's copy, unless the same
 * call has the interrupt core write it by setting the index up. Memory must
 * answer while the table is touched, by us or by the interrupt core on our
 * behalf: hence vfio_pci_gate_force_decode(). And the interrupt core maps it where
 * the device says that it is when the index is set up. A device that does not
 * answer just then, or has another mind since, says something else than at first
 * open, when we looked; so the index is set up only where it agrees.
 *
 * An armed vector offers itself to the bypass manager under the eventfd that
 * it signals: a hypervisor that consumes this eventfd may have the interrupt
 * posted to its guest, past the host. The manager calls into the hypervisor,
 * so this is done with memory_lock free. It walks a list with the last offer
 * first, so offers go up and are withdrawn going down, and a vector that signals
 * the same eventfd as before keeps its own.
 *
 * Locks: see irqs.c.
 */
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqbypass.h>
#include <linux/irqdesc.h>
#include <linux/log2.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "irqs.h"

/**
 * struct vfio_pci_vector_change - what a call does to one vector of its range
 * @trigger: what it is to signal, NULL to disarm it; NULL also once @armed
 * @armed: the call has armed it
 */
struct vfio_pci_vector_change {
	struct vfio_pci_eventfd *trigger;
	bool armed;
};

static irqreturn_t vfio_pci_vector_handler(int irq, void *data)
{
	struct vfio_pci_vector *vec = data;

	vfio_pci_eventfd_signal(&vec->trigger);
	return IRQ_HANDLED;
}

static bool vfio_pci_is_msix(struct vfio_pci_core_device *vdev)
{
	return vfio_pci_irq_type_is(vdev, VFIO_PCI_MSIX_IRQ_INDEX);
}

/* The interrupt core cannot unregister what it refused to register. */
static void vfio_pci_vector_offer(struct vfio_pci_core_device *vdev,
				  struct vfio_pci_vector *vec)
{
	struct vfio_pci_eventfd *efd;
	int ret;

	efd = rcu_dereference_protected(vec->trigger,
					lockdep_is_held(&vdev->igate));
	vec->producer.token = efd->ctx;
	vec->producer.irq = vec->irq;
	ret = irq_bypass_register_producer(&vec->producer);
	if (!ret)
		return;

	vec->producer.token = NULL;
	pci_info_ratelimited(vdev->pdev, "%s: interrupt bypass unavailable: %d\n",
			     vec->name, ret);
}

static void vfio_pci_vector_withdraw(struct vfio_pci_vector *vec)
{
	if (!vec->producer.token)
		return;
	irq_bypass_unregister_producer(&vec->producer);
	vec->producer.token = NULL;
}

/*
 * Write the message of a vector to the device again, which listens. The interrupt
 * core changes it, for another affinity, under the descriptor's lock. Without that
 * lock an old message could be written over a new one, or half of each, and the
 * interrupt would go where nobody waits for it.
 */
static void vfio_pci_vector_write_msg(unsigned int irq)
{
	struct irq_desc *desc = irq_data_to_desc(irq_get_irq_data(irq));
	unsigned long flags;
	struct msi_msg msg;

	raw_spin_lock_irqsave(&desc->lock, flags);
	get_cached_msi_msg(irq, &msg);
	pci_write_msi_msg(irq, &msg);
	raw_spin_unlock_irqrestore(&desc->lock, flags);
}

/* Device memory decodes. */
static void vfio_pci_vector_restore_entry(struct vfio_pci_core_device *vdev,
					  unsigned int irq)
{
	if (vfio_pci_is_msix(vdev))
		vfio_pci_vector_write_msg(irq);
}

/**
 * vfio_pci_msi_thaw - the function, or its memory, answers again
 * @vdev: the device
 * @decodes: its memory does
 *
 * The host may have moved interrupts to other CPUs meanwhile. Where that takes
 * another message, the function did not get it.
 *
 * Context: may sleep; memory_lock is held for write. So no vector comes or goes,
 * and while MSI or MSI-X is enabled there is nothing but vectors in vdev->ctx.
 */
void vfio_pci_msi_thaw(struct vfio_pci_core_device *vdev, bool decodes)
{
	struct pci_dev *pdev = vdev->pdev;
	struct vfio_pci_vector *vec;
	unsigned long vector;

	/*
	 * All vectors of MSI have one message. The core changes it under the lock of the
	 * first one, be that armed or not.
	 */
	if (pdev->msi_enabled) {
		vfio_pci_vector_write_msg(pci_irq_vector(pdev, 0));
		return;
	}

	if (!pdev->msix_enabled || !decodes)
		return;
	xa_for_each(&vdev->ctx, vector, vec)
		vfio_pci_vector_write_msg(vec->irq);
}

/* The interrupt of a vector, allocated now if it can be; memory decodes. */
static int vfio_pci_vector_irq(struct vfio_pci_core_device *vdev,
			       unsigned int vector)
{
	struct msi_map map;
	int irq;

	irq = pci_irq_vector(vdev->pdev, vector);
	if (irq > 0 || !vfio_pci_is_msix(vdev) || !vdev->has_dyn_msix)
		return irq;

	map = pci_msix_alloc_irq_at(vdev->pdev, vector, NULL);
	return map.index < 0 ? map.index : map.virq;
}

/* Takes @efd where it succeeds; memory decodes. */
static int vfio_pci_vector_arm(struct vfio_pci_core_device *vdev,
			       unsigned int vector, int irq,
			       struct vfio_pci_eventfd *efd, bool entry_is_new)
{
	struct vfio_pci_vector *vec;
	int ret;

	vec = kzalloc(sizeof(*vec), GFP_KERNEL_ACCOUNT);
	if (!vec)
		return -ENOMEM;

	vec->irq = irq;
	RCU_INIT_POINTER(vec->trigger, efd);
	snprintf(vec->name, sizeof(vec->name), "vfio-msi%s[%u](%s)",
		 vfio_pci_is_msix(vdev) ? "x" : "", vector,
		 pci_name(vdev->pdev));

	ret = xa_insert(&vdev->ctx, vector, vec, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_free;

	if (!entry_is_new)
		vfio_pci_vector_restore_entry(vdev, irq);
	ret = request_irq(irq, vfio_pci_vector_handler, 0, vec->name, vec);
	if (ret)
		goto err_erase;

	return 0;

err_erase:
	xa_erase(&vdev->ctx, vector);
err_free:
	kfree(vec);
	return ret;
}

/* Withdrawn from the bypass manager before; memory decodes. */
static void vfio_pci_vector_disarm(struct vfio_pci_core_device *vdev,
				   unsigned int vector,
				   struct vfio_pci_vector *vec)
{
	vfio_pci_vector_unpin(vec);
	free_irq(vec->irq, vec);
	vfio_pci_eventfd_replace(vdev, &vec->trigger, NULL);
	xa_erase(&vdev->ctx, vector);
	kfree(vec);
}

/*
 * The first half of a call: what may fail. On error nothing has changed. *@short_of
 * is set to the first vector that there is no interrupt for, if that was the error.
 */
static int vfio_pci_msi_arm_new(struct vfio_pci_core_device *vdev,
				const struct vfio_pci_irq_req *req,
				struct vfio_pci_vector_change *change,
				bool entries_are_new, unsigned int *short_of)
{
	unsigned int i;
	int irq, ret = 0;
	struct vfio_pci_gate_forced was;

	vfio_pci_gate_force_decode(vdev, &was);
	for (i = 0; i < req->count; i++) {
		if (!change[i].trigger || xa_load(&vdev->ctx, req->start + i))
			continue;
		irq = vfio_pci_vector_irq(vdev, req->start + i);
		ret = irq < 0 ? irq :
		      vfio_pci_vector_arm(vdev, req->start + i, irq,
					  change[i].trigger, entries_are_new);
		if (irq < 0 || ret == -ENOSPC)
			*short_of = req->start + i;
		if (ret)
			break;
		change[i].trigger = NULL;
		change[i].armed = true;
	}

	while (ret && i--) {
		if (change[i].armed)
			vfio_pci_vector_disarm(vdev, req->start + i,
					       xa_load(&vdev->ctx,
						       req->start + i));
	}
	vfio_pci_gate_restore_decode(vdev, &was);

	return ret;
}

/* To signal the eventfd that one signals already is no change. */
static bool vfio_pci_vector_keeps(struct vfio_pci_core_device *vdev,
				  struct vfio_pci_vector *vec,
				  const struct vfio_pci_vector_change *change)
{
	struct vfio_pci_eventfd *efd;

	efd = rcu_dereference_protected(vec->trigger,
					lockdep_is_held(&vdev->igate));
	return change->trigger && change->trigger->ctx == efd->ctx;
}

/* The second half: the vectors that were armed before the call. */
static void vfio_pci_msi_change_old(struct vfio_pci_core_device *vdev,
				    const struct vfio_pci_irq_req *req,
				    struct vfio_pci_vector_change *change)
{
	struct vfio_pci_vector *vec;
	unsigned long vector;
	bool any = false;
	unsigned int i;
	struct vfio_pci_gate_forced was;

	if (!req->count)
		return;

	for (i = req->count; i--; ) {
		vec = xa_load(&vdev->ctx, req->start + i);
		if (!vec || change[i].armed)
			continue;
		if (!vfio_pci_vector_keeps(vdev, vec, &change[i]))
			vfio_pci_vector_withdraw(vec);
		any = true;
	}

	if (any) {
		vfio_pci_gate_force_decode(vdev, &was);
		for (i = 0; i < req->count; i++) {
			vec = xa_load(&vdev->ctx, req->start + i);
			if (!vec || change[i].armed)
				continue;
			if (!change[i].trigger) {
				vfio_pci_vector_disarm(vdev, req->start + i,
						       vec);
				continue;
			}
			if (!vfio_pci_vector_keeps(vdev, vec, &change[i])) {
				vfio_pci_eventfd_replace(vdev, &vec->trigger,
							 change[i].trigger);
				change[i].trigger = NULL;
			}
			vfio_pci_vector_restore_entry(vdev, vec->irq);
		}
		vfio_pci_gate_restore_decode(vdev, &was);
	}

	xa_for_each_range(&vdev->ctx, vector, vec, req->start,
			  req->start + req->count - 1)
		if (!vec->producer.token)
			vfio_pci_vector_offer(vdev, vec);
}

static int vfio_pci_msi_resolve(const struct vfio_pci_irq_req *req,
				struct vfio_pci_vector_change *change)
{
	struct vfio_pci_eventfd *efd;
	unsigned int i;

	for (i = 0; i < req->count; i++) {
		if (vfio_pci_irq_req_fd(req, i) < 0)
			continue;
		efd = vfio_pci_eventfd_get(vfio_pci_irq_req_fd(req, i));
		if (IS_ERR(efd))
			return PTR_ERR(efd);
		change[i].trigger = efd;
	}

	return 0;
}

/* Is the MSI-X table where it was at first open, and in a BAR? The device answers. */
static bool vfio_pci_msix_table_stays(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	u32 table, size;
	u16 flags;

	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	size = ((flags & PCI_MSIX_FLAGS_QSIZE) + 1) * PCI_MSIX_ENTRY_SIZE;

	return (table & PCI_MSIX_TABLE_BIR) == vdev->msix_bar &&
	       (table & PCI_MSIX_TABLE_OFFSET) == vdev->msix_offset &&
	       vdev->msix_bar < PCI_STD_NUM_BARS &&
	       (u64)vdev->msix_offset + size <=
	       pci_resource_len(pdev, vdev->msix_bar);
}

/*
 * Memory decodes. Returns how many vectors there can be, as pci_alloc_irq_vectors().
 * Where MSI-X can grow it has one at first, for it cannot be enabled without: that
 * which the call arms first.
 */
static int vfio_pci_msi_alloc(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_irq_req *req,
			      const struct vfio_pci_vector_change *change)
{
	bool msix = req->index == VFIO_PCI_MSIX_IRQ_INDEX;
	unsigned int i, want = req->start + req->count;
	struct pci_dev *pdev = vdev->pdev;
	struct msix_entry first = {};
	int ret;

	if (msix && !vfio_pci_msix_table_stays(vdev))
		return -EIO;
	if (!msix || !vdev->has_dyn_msix || !want)
		return pci_alloc_irq_vectors(pdev, 1, want,
					     msix ? PCI_IRQ_MSIX : PCI_IRQ_MSI);

	for (i = 0; i < req->count; i++) {
		if (change[i].trigger) {
			first.entry = req->start + i;
			break;
		}
	}
	ret = pci_enable_msix_range(pdev, &first, 1, 1);
	return ret < 0 ? ret : want;
}

static void vfio_pci_msi_tell(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_irq_req *req, int result)
{
	pci_info_ratelimited(vdev->pdev, "%u %s vectors wanted, result %d\n",
			     req->start + req->count,
			     req->index == VFIO_PCI_MSIX_IRQ_INDEX ?
			     "MSI-X" : "MSI", result);
}

/* Bring the index up. */
static int vfio_pci_msi_enable(struct vfio_pci_core_device *vdev,
			       const struct vfio_pci_irq_req *req,
			       const struct vfio_pci_vector_change *change)
{
	bool msix = req->index == VFIO_PCI_MSIX_IRQ_INDEX;
	int want = req->start + req->count;
	struct pci_dev *pdev = vdev->pdev;
	int got;
	struct vfio_pci_gate_forced was;

	vfio_pci_gate_force_decode(vdev, &was);
	got = vfio_pci_msi_alloc(vdev, req, change);
	if (got > 0 && got < want)
		pci_free_irq_vectors(pdev);
	vfio_pci_intx_restore(vdev);
	vfio_pci_gate_restore_decode(vdev, &was);

	if (got < want) {
		vfio_pci_msi_tell(vdev, req, got);
		return got;
	}

	/* What the virtual MSI capability lets the user ask for. */
	if (!msix)
		vdev->msi_qmax = order_base_2(want);
	vdev->irq_type = req->index;
	return 0;
}

/**
 * vfio_pci_msi_disable - take MSI or MSI-X down, whichever is set up
 * @vdev: the device, its igate held
 *
 * Context: may sleep, takes memory_lock.
 */
void vfio_pci_msi_disable(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_vector *vec;
	unsigned long vector;
	struct vfio_pci_gate_forced was;

	/* What is recorded, whatever the device says now of how many it has. */
	xa_for_each(&vdev->ctx, vector, vec)
		vfio_pci_vector_withdraw(vec);

	vfio_pci_gate_force_decode(vdev, &was);
	xa_for_each(&vdev->ctx, vector, vec)
		vfio_pci_vector_disarm(vdev, vector, vec);
	pci_free_irq_vectors(vdev->pdev);
	/* That gave the device its line back. */
	vfio_pci_intx_restore(vdev);
	vfio_pci_gate_restore_decode(vdev, &was);

	vdev->irq_type = VFIO_PCI_NO_IRQ_TYPE;
}

static int vfio_pci_msi_bind(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_irq_req *req)
{
	bool was_up = vfio_pci_irq_type_is(vdev, req->index);
	struct vfio_pci_vector_change *change;
	unsigned int i, short_of = 0;
	int ret;

	change = kvcalloc(req->count, sizeof(*change), GFP_KERNEL_ACCOUNT);
	if (!change)
		return -ENOMEM;

	ret = vfio_pci_msi_resolve(req, change);
	if (!ret && !was_up)
		ret = vfio_pci_msi_enable(vdev, req, change);
	if (ret)
		goto out_free;

	ret = vfio_pci_msi_arm_new(vdev, req, change, !was_up, &short_of);
	if (!ret) {
		vfio_pci_msi_change_old(vdev, req, change);
	} else if (!was_up) {
		vfio_pci_msi_disable(vdev);
		/* Who asks for no more than those in front of it has them. */
		if (short_of) {
			ret = short_of;
			vfio_pci_msi_tell(vdev, req, ret);
		}
	}

out_free:
	for (i = 0; i < req->count; i++)
		vfio_pci_eventfd_put(change[i].trigger);
	kvfree(change);
	return ret;
}

/**
 * vfio_pci_msi_set_trigger - VFIO_IRQ_SET_ACTION_TRIGGER of MSI and MSI-X
 * @vdev: the device, its igate held
 * @req: the call
 *
 * Return: as vfio_pci_set_irqs().
 * Context: may sleep, takes memory_lock.
 */
int vfio_pci_msi_set_trigger(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_irq_req *req)
{
	bool is_up = vfio_pci_irq_type_is(vdev, req->index);
	struct vfio_pci_vector *vec;
	unsigned int i;

	if (is_up && vfio_pci_irq_req_disables(req)) {
		vfio_pci_msi_disable(vdev);
		return 0;
	}

	if (!is_up && !vfio_pci_irq_type_is(vdev, VFIO_PCI_NO_IRQ_TYPE))
		return -EINVAL;

	if (vfio_pci_irq_req_binds(req))
		return vfio_pci_msi_bind(vdev, req);

	if (!is_up)
		return -EINVAL;

	for (i = 0; i < req->count; i++) {
		vec = xa_load(&vdev->ctx, req->start + i);
		if (vec && vfio_pci_irq_req_selects(req, i))
			vfio_pci_eventfd_signal(&vec->trigger);
	}
	return 0;
}
