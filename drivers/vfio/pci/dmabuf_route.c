// SPDX-License-Identifier: GPL-2.0-only
/*
 * Can an importer's DMA reach exported device memory, and by which addresses?
 *
 * Where importer and exporter share a bridge that passes requests on between
 * them, and no IOMMU translates the importer's, these are the BAR's own bus
 * addresses; else the DMA API makes a resource mapping, and the requests go
 * through the root complex.
 */
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>

#include "dmabuf.h"

/* Does a port send what comes from below to the root complex in any case? */
static bool vfio_pci_port_redirects(struct pci_dev *port)
{
	u16 ctrl;

	if (!port->acs_cap)
		return false;
	pci_read_config_word(port, port->acs_cap + PCI_ACS_CTRL, &ctrl);
	return ctrl & (PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_EC);
}

static bool vfio_pci_is_below(struct pci_dev *pdev, struct pci_dev *bridge)
{
	while (pdev && pdev != bridge)
		pdev = pci_upstream_bridge(pdev);
	return pdev;
}

static bool vfio_pci_passes_up_to(struct pci_dev *pdev, struct pci_dev *bridge)
{
	for (; pdev != bridge; pdev = pci_upstream_bridge(pdev))
		if (vfio_pci_port_redirects(pdev))
			return false;
	return true;
}

/* Requests between the two turn round at a bridge below the root complex. */
static bool vfio_pci_shares_bridge(struct pci_dev *a, struct pci_dev *b)
{
	struct pci_dev *bridge = a;

	while (bridge && !vfio_pci_is_below(b, bridge))
		bridge = pci_upstream_bridge(bridge);

	return bridge && vfio_pci_passes_up_to(a, bridge) &&
	       vfio_pci_passes_up_to(b, bridge);
}

/*
 * A root complex need not pass requests on between its ports (PCIe r6.0,
 * 1.3.1). PCI_P2PDMA has the list of those that do. A kernel without it knows
 * nothing; there, the requests may go where those of a BAR that a user mapped
 * for DMA go, but not from one host bridge to another.
 */
static bool vfio_pci_root_passes(struct pci_dev *from, struct pci_dev *importer)
{
	if (IS_ENABLED(CONFIG_PCI_P2PDMA))
		return pci_p2pdma_distance(from, &importer->dev, false) >= 0;

	return pci_find_host_bridge(from->bus) ==
	       pci_find_host_bridge(importer->bus);
}

static struct pci_dev *vfio_pci_function_of(struct device *dev)
{
	while (dev && !dev_is_pci(dev))
		dev = dev->parent;
	return dev ? to_pci_dev(dev) : NULL;
}

static bool vfio_pci_within_mask(const struct vfio_pci_dmabuf *d,
				 struct device *dev, bool direct)
{
	u64 limit = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
	const struct vfio_region_dma_range *range;
	u64 last;

	for_each_range(d, range) {
		last = range_phys(d, range) + range->length - 1;
		if (direct)
			last += d->bus_offset;
		if (last > limit)
			return false;
	}
	return true;
}

/**
 * vfio_pci_dmabuf_route - how an importer reaches the memory
 * @d: the export
 * @dev: the importer
 * @direct: set if it takes the addresses on the bus, not those of the DMA API
 *
 * Return: NULL, or why it does not reach it.
 * Context: may sleep.
 */
const char *vfio_pci_dmabuf_route(const struct vfio_pci_dmabuf *d,
				  struct device *dev, bool *direct)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct pci_dev *importer = vfio_pci_function_of(dev);
	bool translated = domain && iommu_is_dma_domain(domain);
	bool shares;

	if (!importer)
		return "is not a PCI device";
	if (!dev->dma_mask)
		return "does no DMA";
	/* It has an address space that is not the DMA API's to map in. */
	if (domain && !translated && domain->type != IOMMU_DOMAIN_IDENTITY)
		return "has an IOMMU domain of its own";

	shares = vfio_pci_shares_bridge(d->pdev, importer);
	if (!shares && !vfio_pci_root_passes(d->pdev, importer))
		return "is behind a root complex that may not pass requests on";

	*direct = shares && !translated;
	if (!translated && !vfio_pci_within_mask(d, dev, *direct))
		return "cannot drive that many address bits";
	return NULL;
}
