// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody in the kernel who has the BARs of a device, "device=ADDRESS", and is not
 * its driver.
 */
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/pci.h>

static char *device = "";
module_param(device, charp, 0);

static struct pci_dev *claimed;

static void claim_drop(int nr)
{
	while (nr--)
		if (pci_resource_len(claimed, nr))
			pci_release_region(claimed, nr);
	pci_dev_put(claimed);
}

static int __init claim_init(void)
{
	unsigned int domain, bus, slot, func;
	int i, ret;

	if (sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &func) != 4)
		return -EINVAL;
	claimed = pci_get_domain_bus_and_slot(domain, bus,
					      PCI_DEVFN(slot, func));
	if (!claimed)
		return -ENODEV;

	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		ret = pci_request_region(claimed, i, "test_pci_claim");
		if (ret) {
			claim_drop(i);
			return ret;
		}
	}
	return 0;
}

static void __exit claim_exit(void)
{
	claim_drop(PCI_STD_NUM_BARS);
}

module_init(claim_init);
module_exit(claim_exit);
MODULE_DESCRIPTION("Claims the BARs of a device for a test");
MODULE_LICENSE("GPL");
