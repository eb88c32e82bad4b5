// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPUs that a vector's interrupts go to, where the user chose them.
 *
 * Without that they are the administrator's: /proc/irq/N/smp_affinity, most often
 * written by a daemon that spreads interrupts. A vector that its user has pinned is
 * taken from both (IRQ_NO_BALANCING), until the user gives it back or disarms it. It
 * then goes on as before.
 *
 * A user may choose the CPUs that his threads run on, or may be moved to. No thread
 * gets out of its cpuset, so no interrupt does.
 */
#include <linux/cpumask.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "irqs.h"

/**
 * struct vfio_pci_pin - a vector whose CPUs the user chose, or is about to choose
 * @before: the administrator's CPUs
 * @cpus: the user's, none until it is known that they can be had
 */
struct vfio_pci_pin {
	cpumask_var_t before;
	cpumask_var_t cpus;
};

/* Where the threads of the calling process may run. */
static void vfio_pci_caller_cpus(struct cpumask *cpus)
{
	struct task_struct *t;
	unsigned long flags;

	cpumask_clear(cpus);
	rcu_read_lock();
	for_each_thread(current, t) {
		raw_spin_lock_irqsave(&t->pi_lock, flags);
		cpumask_or(cpus, cpus, &t->cpus_mask);
		raw_spin_unlock_irqrestore(&t->pi_lock, flags);
	}
	rcu_read_unlock();
}

/* Bit n % 64 of word n / 64 is CPU n. */
static int vfio_pci_set_cpus(struct cpumask *cpus, const u64 *words, size_t nr)
{
	unsigned int cpu;
	size_t i;
	u64 word;

	for (i = 0; i < nr; i++) {
		for (word = words[i]; word; word &= word - 1) {
			cpu = i * 64 + __ffs64(word);
			if (cpu >= nr_cpu_ids || !cpu_possible(cpu))
				return -EINVAL;
			cpumask_set_cpu(cpu, cpus);
		}
	}
	return cpumask_intersects(cpus, cpu_online_mask) ? 0 : -EINVAL;
}

/**
 * vfio_pci_affinity_cpus - the CPUs of a VFIO_IRQ_SET_ACTION_AFFINITY call
 * @words: a copy of the user's data
 * @size: its size, whole words
 *
 * Return: the CPUs, for kfree(); ERR_PTR(-EINVAL) where there is none that is
 * online, or one that does not exist; ERR_PTR(-EPERM) where one is not for the
 * caller to use; ERR_PTR(-ENOMEM).
 * Context: may sleep; the user's process.
 */
struct cpumask *vfio_pci_affinity_cpus(const u64 *words, size_t size)
{
	struct cpumask *cpus, *caller;
	int ret;

	cpus = kzalloc(cpumask_size(), GFP_KERNEL_ACCOUNT);
	caller = kzalloc(cpumask_size(), GFP_KERNEL_ACCOUNT);
	if (cpus && caller) {
		ret = vfio_pci_set_cpus(cpus, words, size / sizeof(*words));
		vfio_pci_caller_cpus(caller);
		if (!ret && !cpumask_subset(cpus, caller))
			ret = -EPERM;
	} else {
		ret = -ENOMEM;
	}
	kfree(caller);
	if (!ret)
		return cpus;
	kfree(cpus);
	return ERR_PTR(ret);
}

static void vfio_pci_pin_free(struct vfio_pci_vector *vec)
{
	free_cpumask_var(vec->pin->before);
	free_cpumask_var(vec->pin->cpus);
	kfree(vec->pin);
	vec->pin = NULL;
}

/* Everything that can fail for want of memory. */
static int vfio_pci_pin_prepare(struct vfio_pci_vector *vec)
{
	const struct cpumask *mask = irq_get_affinity_mask(vec->irq);
	struct vfio_pci_pin *pin;

	if (vec->pin)
		return 0;

	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return -ENOMEM;
	if (!zalloc_cpumask_var(&pin->cpus, GFP_KERNEL_ACCOUNT))
		goto err_free;
	if (!zalloc_cpumask_var(&pin->before, GFP_KERNEL_ACCOUNT))
		goto err_cpus;

	cpumask_copy(pin->before, mask ?: cpu_online_mask);
	vec->pin = pin;
	return 0;

err_cpus:
	free_cpumask_var(pin->cpus);
err_free:
	kfree(pin);
	return -ENOMEM;
}

/* They go there now, and stay. */
static void vfio_pci_pin_commit(struct vfio_pci_vector *vec,
				const struct cpumask *cpus)
{
	cpumask_copy(vec->pin->cpus, cpus);
	irq_set_status_flags(vec->irq, IRQ_NO_BALANCING);
}

/* What was prepared is not to be; if the vector was @moved it comes back. */
static void vfio_pci_pin_cancel(struct vfio_pci_vector *vec, bool moved)
{
	struct vfio_pci_pin *pin = vec->pin;
	bool pinned;

	if (!pin)
		return;
	pinned = !cpumask_empty(pin->cpus);
	if (moved)
		irq_set_affinity(vec->irq, pinned ? pin->cpus : pin->before);
	if (!pinned)
		vfio_pci_pin_free(vec);
}

/**
 * vfio_pci_vector_unpin - give the interrupt back to the administrator
 * @vec: the vector, pinned or not
 *
 * Where the CPUs that it had before are not online, or have no room for it any more,
 * it stays where it is, and can be moved.
 *
 * Context: may sleep; igate is held and the device's memory decodes.
 */
void vfio_pci_vector_unpin(struct vfio_pci_vector *vec)
{
	if (!vec->pin)
		return;
	irq_set_affinity(vec->irq, vec->pin->before);
	irq_clear_status_flags(vec->irq, IRQ_NO_BALANCING);
	vfio_pci_pin_free(vec);
}

/* Either all vectors of the range go to these CPUs or none does. */
static int vfio_pci_msi_pin(struct vfio_pci_core_device *vdev,
			    const struct vfio_pci_irq_req *req)
{
	unsigned int i, moved = 0, end = req->start + req->count;
	const struct cpumask *cpus = req->data;
	struct vfio_pci_gate_forced was;
	struct vfio_pci_vector *vec;
	int ret = 0;

	for (i = req->start; !ret && i < end; i++) {
		vec = xa_load(&vdev->ctx, i);
		ret = vfio_pci_pin_prepare(vec);
	}

	vfio_pci_gate_force_decode(vdev, &was);
	for (i = req->start; !ret && i < end; i++, moved += !ret) {
		vec = xa_load(&vdev->ctx, i);
		ret = irq_set_affinity(vec->irq, cpus);
	}
	for (i = req->start; i < end; i++) {
		vec = xa_load(&vdev->ctx, i);
		if (ret)
			vfio_pci_pin_cancel(vec, i - req->start < moved);
		else
			vfio_pci_pin_commit(vec, cpus);
	}
	vfio_pci_gate_restore_decode(vdev, &was);
	return ret;
}

static void vfio_pci_msi_unpin(struct vfio_pci_core_device *vdev,
			       const struct vfio_pci_irq_req *req)
{
	struct vfio_pci_gate_forced was;
	struct vfio_pci_vector *vec;
	unsigned int i;

	vfio_pci_gate_force_decode(vdev, &was);
	for (i = 0; i < req->count; i++) {
		vec = xa_load(&vdev->ctx, req->start + i);
		vfio_pci_vector_unpin(vec);
	}
	vfio_pci_gate_restore_decode(vdev, &was);
}

/**
 * vfio_pci_msi_set_affinity - VFIO_IRQ_SET_ACTION_AFFINITY of MSI and MSI-X
 * @vdev: the device, its igate held
 * @req: the call, its data a struct cpumask, or NULL to give the vectors back
 *
 * Return: 0; -ENOENT if one of the vectors is not armed; -ENOMEM; or as
 * irq_set_affinity().
 * Context: may sleep, takes memory_lock.
 */
int vfio_pci_msi_set_affinity(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_irq_req *req)
{
	unsigned int i;

	if (!vfio_pci_irq_type_is(vdev, req->index))
		return -ENOENT;
	for (i = 0; i < req->count; i++)
		if (!xa_load(&vdev->ctx, req->start + i))
			return -ENOENT;

	if (req->data)
		return vfio_pci_msi_pin(vdev, req);
	vfio_pci_msi_unpin(vdev, req);
	return 0;
}
