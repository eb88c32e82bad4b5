// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does to one PCI device what the PM core does to all of them when the system
 * sleeps and wakes, while processes go on. An address written to the parameter
 * "suspend" or "resume" calls that callback of the device's driver.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>

#include "test_pci_find.h"

static int call(struct pci_dev *pdev, bool suspend)
{
	struct device *dev = &pdev->dev;
	int ret = -ENODEV;

	device_lock(dev);
	if (!dev->driver)
		goto unlock;

	if (suspend)
		pm_runtime_get_sync(dev);
	ret = 0;
	if (dev->driver->pm && suspend && dev->driver->pm->suspend)
		ret = dev->driver->pm->suspend(dev);
	else if (dev->driver->pm && !suspend && dev->driver->pm->resume)
		ret = dev->driver->pm->resume(dev);
	if (!suspend)
		pm_runtime_put(dev);
unlock:
	device_unlock(dev);
	return ret;
}

static int set(const char *address, const struct kernel_param *kp)
{
	struct pci_dev *pdev = test_pci_find(address);
	int ret;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);

	ret = call(pdev, !strcmp(kp->name, "suspend"));
	pci_dev_put(pdev);
	return ret;
}

static const struct kernel_param_ops ops = { .set = set };

module_param_cb(suspend, &ops, NULL, 0200);
MODULE_PARM_DESC(suspend, "Address of a device whose driver is to suspend it");
module_param_cb(resume, &ops, NULL, 0200);
MODULE_PARM_DESC(resume, "Address of a device whose driver is to resume it");

MODULE_DESCRIPTION("system sleep for one device, to test vfio-pci");
MODULE_LICENSE("GPL");
