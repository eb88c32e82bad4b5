// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does to one PCI device what the platform does that tells drivers of an error, with the
 * pauses that a test wants in between. An address written to the parameter "frozen" has
 * the device's driver told that it is cut off, one written to "resumed" that it is back.
 * If it is never told the latter the recovery has failed. No link is reset.
 */
#include <linux/module.h>
#include <linux/pci.h>

#include "test_pci_find.h"

static void tell(struct pci_dev *pdev, bool frozen)
{
	const struct pci_error_handlers *handlers;

	device_lock(&pdev->dev);
	handlers = pdev->driver ? pdev->driver->err_handler : NULL;
	pdev->error_state = frozen ? pci_channel_io_frozen :
				     pci_channel_io_normal;
	if (frozen && handlers && handlers->error_detected)
		handlers->error_detected(pdev, pci_channel_io_frozen);
	else if (!frozen && handlers && handlers->resume)
		handlers->resume(pdev);
	device_unlock(&pdev->dev);
}

static int set(const char *address, const struct kernel_param *kp)
{
	struct pci_dev *pdev = test_pci_find(address);

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	tell(pdev, !strcmp(kp->name, "frozen"));
	pci_dev_put(pdev);
	return 0;
}

static const struct kernel_param_ops ops = { .set = set };

module_param_cb(frozen, &ops, NULL, 0200);
MODULE_PARM_DESC(frozen, "Address of a device whose driver is told of an error");
module_param_cb(resumed, &ops, NULL, 0200);
MODULE_PARM_DESC(resumed, "Address of a device whose driver is told that it is back");

MODULE_DESCRIPTION("errors of one device, to test vfio-pci");
MODULE_LICENSE("GPL");
