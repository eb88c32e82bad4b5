/* SPDX-License-Identifier: GPL-2.0-only */
/* What irqs.c, intx.c and msi.c share. irqs.c tells the theory. */
#ifndef DRIVERS_VFIO_PCI_IRQS_H
#define DRIVERS_VFIO_PCI_IRQS_H

#include <linux/irqbypass.h>
#include <linux/vfio.h>

#include "vfio_pci_priv.h"

/**
 * struct vfio_pci_irq_req - one VFIO_DEVICE_SET_IRQS call, checked and copied
 * @flags: VFIO_IRQ_SET_DATA_* and VFIO_IRQ_SET_ACTION_*, one of each
 * @index: VFIO_PCI_*_IRQ_INDEX
 * @start: first subindex
 * @count: how many; start + count is within the index
 * @data: a u8 or an s32 for each of them, a struct cpumask for all, or NULL
 */
struct vfio_pci_irq_req {
	u32 flags;
	unsigned int index;
	unsigned int start;
	unsigned int count;
	void *data;
};

struct vfio_pci_pin;

/**
 * struct vfio_pci_vector - an armed vector
 * @trigger: what it signals, never empty
 * @irq: its Linux interrupt number
 * @producer: its offer to the bypass manager; the token is NULL while there is
 *	none
 * @pin: the CPUs that the user chose, NULL while he did not
 * @name: for /proc/interrupts, at its longest with a domain of 32 bits
 */
struct vfio_pci_vector {
	struct vfio_pci_eventfd __rcu *trigger;
	int irq;
	struct irq_bypass_producer producer;
	struct vfio_pci_pin *pin;
	char name[48];
};

/* "Trigger nothing at all" is how a user disables a whole index. */
static inline bool vfio_pci_irq_req_disables(const struct vfio_pci_irq_req *req)
{
	return (req->flags & VFIO_IRQ_SET_DATA_NONE) && !req->count;
}

static inline bool vfio_pci_irq_req_binds(const struct vfio_pci_irq_req *req)
{
	return req->flags & VFIO_IRQ_SET_DATA_EVENTFD;
}

static inline s32 vfio_pci_irq_req_fd(const struct vfio_pci_irq_req *req,
				      unsigned int i)
{
	return ((s32 *)req->data)[i];
}

/* For requests that act at once: is the i-th interrupt of the range meant? */
static inline bool vfio_pci_irq_req_selects(const struct vfio_pci_irq_req *req,
					    unsigned int i)
{
	return (req->flags & VFIO_IRQ_SET_DATA_NONE) || ((u8 *)req->data)[i];
}

static inline bool vfio_pci_irq_type_is(struct vfio_pci_core_device *vdev,
					int index)
{
	return vdev->irq_type == index;
}

/* No interrupt of the device is set up. */
#define VFIO_PCI_NO_IRQ_TYPE	VFIO_PCI_NUM_IRQS

/* irqs.c: triggers */
struct vfio_pci_eventfd *vfio_pci_eventfd_get(s32 fd);
void vfio_pci_eventfd_put(struct vfio_pci_eventfd *efd);
void vfio_pci_eventfd_replace(struct vfio_pci_core_device *vdev,
			      struct vfio_pci_eventfd __rcu **slot,
			      struct vfio_pci_eventfd *efd);
bool vfio_pci_eventfd_signal(struct vfio_pci_eventfd __rcu **slot);

/* intx.c; all under igate */
int vfio_pci_intx_set_trigger(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_irq_req *req);
int vfio_pci_intx_set_mask(struct vfio_pci_core_device *vdev,
			   const struct vfio_pci_irq_req *req);
int vfio_pci_intx_set_unmask(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_irq_req *req);
void vfio_pci_intx_disable(struct vfio_pci_core_device *vdev);

/* msi.c; all under igate */
int vfio_pci_msi_set_trigger(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_irq_req *req);
void vfio_pci_msi_disable(struct vfio_pci_core_device *vdev);

/* affinity.c; the same, and memory decodes for the second */
int vfio_pci_msi_set_affinity(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_irq_req *req);
void vfio_pci_vector_unpin(struct vfio_pci_vector *vec);

#endif /* DRIVERS_VFIO_PCI_IRQS_H */
