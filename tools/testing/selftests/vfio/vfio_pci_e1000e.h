/* SPDX-License-Identifier: GPL-2.0-only */
/* The interrupts of e1000e: five MSI-X vectors, each raised when told to. */
#ifndef VFIO_PCI_E1000E_H
#define VFIO_PCI_E1000E_H

#include "vfio_pci_irq.h"

#define E1000E_ICR	0xc0	/* cleared by being read */
#define E1000E_ICS	0xc8
#define E1000E_IMS	0xd0
#define E1000E_EIAC	0xdc
#define E1000E_IVAR	0xe4
#define E1000E_CAUSE(v)	(1u << (20 + (v)))

/* Each cause to its own vector, each cleared by being delivered. */
static inline int e1000e_route(const struct vfio_dev *d)
{
	uint32_t ivar = 0;
	uint32_t causes = 0;
	int v, ret;

	for (v = 0; v < E1000E_VECTORS; v++) {
		ivar |= (0x8 | v) << (4 * v);
		causes |= E1000E_CAUSE(v);
	}
	ret = vfio_cfg_command(d, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	if (!ret)
		ret = reg_write(d, 0, E1000E_IVAR, ivar);
	if (!ret)
		ret = reg_write(d, 0, E1000E_EIAC, causes);
	return ret;
}

/* Delivering a cause takes it out of the mask, so it goes in each time. */
static inline int e1000e_raise(const struct vfio_dev *d, int vector)
{
	int ret = reg_write(d, 0, E1000E_IMS, E1000E_CAUSE(vector));

	return ret ? ret : reg_write(d, 0, E1000E_ICS, E1000E_CAUSE(vector));
}

/*
 * The device spaces its interrupts with timers, and the emulated one does not
 * survive it when such a timer finds MSI-X gone.
 */
static inline void e1000e_settle(void)
{
	usleep(20000);
}

#endif
