// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's driver of a card that shares its interrupt line with a device of a
 * user. It drives QEMU's edu by driver_override: who writes to "raise" has the
 * card interrupt, and "interrupts" tells how many came.
 */
#include <linux/device.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sysfs.h>

#define EDU_IRQ_STATUS	0x24
#define EDU_IRQ_RAISE	0x60
#define EDU_IRQ_ACK	0x64

struct neighbour {
	void __iomem *regs;
	atomic_t interrupts;
};

static irqreturn_t neighbour_handler(int irq, void *data)
{
	struct neighbour *n = data;
	u32 status = ioread32(n->regs + EDU_IRQ_STATUS);

	if (!status)
		return IRQ_NONE;

	iowrite32(status, n->regs + EDU_IRQ_ACK);
	atomic_inc(&n->interrupts);
	return IRQ_HANDLED;
}

static ssize_t raise_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	struct neighbour *n = dev_get_drvdata(dev);

	iowrite32(1, n->regs + EDU_IRQ_RAISE);
	return count;
}
static DEVICE_ATTR_WO(raise);

static ssize_t interrupts_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct neighbour *n = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%d\n", atomic_read(&n->interrupts));
}
static DEVICE_ATTR_RO(interrupts);

static struct attribute *neighbour_attrs[] = {
	&dev_attr_raise.attr,
	&dev_attr_interrupts.attr,
	NULL
};
ATTRIBUTE_GROUPS(neighbour);

static int neighbour_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct neighbour *n;
	int ret;

	n = devm_kzalloc(&pdev->dev, sizeof(*n), GFP_KERNEL);
	if (!n)
		return -ENOMEM;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	n->regs = pcim_iomap(pdev, 0, 0);
	if (!n->regs)
		return -ENOMEM;

	iowrite32(~0, n->regs + EDU_IRQ_ACK);
	pci_set_drvdata(pdev, n);
	return devm_request_irq(&pdev->dev, pdev->irq, neighbour_handler,
				IRQF_SHARED, "test_pci_neighbour", n);
}

static struct pci_driver neighbour_driver = {
	.name		= "test_pci_neighbour",
	.probe		= neighbour_probe,
	.dev_groups	= neighbour_groups,
};
module_pci_driver(neighbour_driver);

MODULE_DESCRIPTION("drives a card on an interrupt line that it shares");
MODULE_LICENSE("GPL");
