// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody in the kernel who has the BARs of a device, "device=ADDRESS", and is not
 * its driver.
 */
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "test_pci_find.h"

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
	int i, ret;

	claimed = test_pci_find(device);
	if (IS_ERR(claimed))
		return PTR_ERR(claimed);

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
