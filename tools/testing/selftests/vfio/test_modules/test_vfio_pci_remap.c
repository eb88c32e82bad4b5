// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver on top of vfio-pci-core that maps BARs into processes by itself and never
 * tells when that memory goes, as the kernel's nvgrace-gpu and its mdev and platform
 * drivers do: all at once in mmap, or page by page where the parameter "faults" is set.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>

#define IVSHMEM_VENDOR	0x1af4
#define IVSHMEM_DEVICE	0x1110

static bool faults;
module_param(faults, bool, 0600);
MODULE_PARM_DESC(faults, "New mappings are filled by page faults");

static unsigned long remap_pfn(struct vfio_pci_core_device *core,
			       struct vm_area_struct *vma)
{
	unsigned int shift = VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT;
	unsigned long bar = vma->vm_pgoff >> shift;

	return PHYS_PFN(pci_resource_start(core->pdev, bar)) +
	       (vma->vm_pgoff & (BIT(shift) - 1));
}

static vm_fault_t remap_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long at = (vmf->address - vma->vm_start) >> PAGE_SHIFT;

	return vmf_insert_pfn(vma, vmf->address,
			      remap_pfn(vma->vm_private_data, vma) + at);
}

static const struct vm_operations_struct remap_vm_ops = {
	.fault = remap_fault,
};

static int remap_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct vfio_pci_core_device *core =
		container_of(vdev, struct vfio_pci_core_device, vdev);
	unsigned int shift = VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT;
	unsigned long first = vma->vm_pgoff & (BIT(shift) - 1);
	unsigned long bar = vma->vm_pgoff >> shift;

	if (bar >= PCI_STD_NUM_BARS || !(vma->vm_flags & VM_SHARED) ||
	    first + vma_pages(vma) >
	    pci_resource_len(core->pdev, bar) >> PAGE_SHIFT)
		return -EINVAL;

	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	if (!faults)
		return remap_pfn_range(vma, vma->vm_start, remap_pfn(core, vma),
				       vma->vm_end - vma->vm_start,
				       vma->vm_page_prot);

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = core;
	vma->vm_ops = &remap_vm_ops;
	return 0;
}

static int remap_open_device(struct vfio_device *vdev)
{
	struct vfio_pci_core_device *core =
		container_of(vdev, struct vfio_pci_core_device, vdev);
	int ret;

	ret = vfio_pci_core_enable(core);
	if (!ret)
		vfio_pci_core_finish_enable(core);
	return ret;
}

static const struct vfio_device_ops remap_ops = {
	.name		= "test_vfio_pci_remap",
	.init		= vfio_pci_core_init_dev,
	.release	= vfio_pci_core_release_dev,
	.open_device	= remap_open_device,
	.close_device	= vfio_pci_core_close_device,
	.read		= vfio_pci_core_read,
	.write		= vfio_pci_core_write,
	.mmap		= remap_mmap,
	.ioctl		= vfio_pci_core_ioctl,
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
};

static int remap_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vfio_pci_core_device *core;
	int ret;

	core = vfio_alloc_device(vfio_pci_core_device, vdev, &pdev->dev,
				 &remap_ops);
	if (IS_ERR(core))
		return PTR_ERR(core);

	dev_set_drvdata(&pdev->dev, core);
	ret = vfio_pci_core_register_device(core);
	if (ret)
		vfio_put_device(&core->vdev);
	return ret;
}

static void remap_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

/* Only where driver_override asks for it */
static const struct pci_device_id remap_ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(IVSHMEM_VENDOR, IVSHMEM_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, remap_ids);

/* As drivers have them that do not hear of the end of an error. */
static const struct pci_error_handlers remap_err_handlers = {
	.error_detected = vfio_pci_core_aer_err_detected,
};

static struct pci_driver remap_driver = {
	.name			= "test_vfio_pci_remap",
	.id_table		= remap_ids,
	.probe			= remap_probe,
	.remove			= remap_remove,
	.err_handler		= &remap_err_handlers,
	.driver_managed_dma	= true,
};
module_pci_driver(remap_driver);

MODULE_DESCRIPTION("Device memory mapped by a driver's own means, to test type1");
MODULE_LICENSE("GPL");
