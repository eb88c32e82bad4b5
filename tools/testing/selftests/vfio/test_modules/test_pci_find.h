/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TEST_PCI_FIND_H
#define TEST_PCI_FIND_H

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/pci.h>

/* The function at "DOMAIN:BUS:SLOT.FUNCTION", for pci_dev_put(). */
static inline struct pci_dev *test_pci_find(const char *address)
{
	unsigned int domain, bus, slot, fn;
	struct pci_dev *pdev;

	if (sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &fn) != 4)
		return ERR_PTR(-EINVAL);
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, fn));
	return pdev ?: ERR_PTR(-ENODEV);
}

#endif /* TEST_PCI_FIND_H */
