// SPDX-License-Identifier: GPL-2.0-only
/*
 * The last error that the platform told of, for the user (PCIe r6.0, 6.2 and 7.8.4).
 *
 * The eventfd of VFIO_PCI_ERR_IRQ_INDEX says that there was one, and no more. What it
 * was is in the function's AER registers: until the platform has dealt with it, and
 * then cleared them. They are read as soon as that can be done: at once for an error
 * after which the function goes on; after the reset of the link, which keeps them,
 * where the platform cut the function off. An error of another function below the
 * same port is told to all, and leaves no trace in the registers of the others.
 */
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "vfio_pci_priv.h"

/* What is recorded there. Nothing, if the function does not answer. */
static void vfio_pci_error_read(struct pci_dev *pdev,
				struct vfio_device_feature_pci_error *error)
{
	int i, aer = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ERR);

	if (!aer)
		return;

	pci_read_config_dword(pdev, aer + PCI_ERR_UNCOR_STATUS, &error->uncor_status);
	if (PCI_POSSIBLE_ERROR(error->uncor_status)) {
		error->uncor_status = 0;
		return;
	}
	pci_read_config_dword(pdev, aer + PCI_ERR_UNCOR_MASK, &error->uncor_mask);
	pci_read_config_dword(pdev, aer + PCI_ERR_UNCOR_SEVER, &error->uncor_severity);
	pci_read_config_dword(pdev, aer + PCI_ERR_COR_STATUS, &error->cor_status);
	pci_read_config_dword(pdev, aer + PCI_ERR_COR_MASK, &error->cor_mask);
	pci_read_config_dword(pdev, aer + PCI_ERR_CAP, &error->control);
	for (i = 0; i < ARRAY_SIZE(error->header_log); i++)
		pci_read_config_dword(pdev, aer + PCI_ERR_HEADER_LOG + i * 4,
				      &error->header_log[i]);
	error->flags |= VFIO_PCI_ERROR_FLAG_LOG;
}

/**
 * vfio_pci_error_record - the platform tells of an error
 * @vdev: the device
 * @state: what is left of the function
 *
 * Context: may sleep; the PCI device's lock is held.
 */
void vfio_pci_error_record(struct vfio_pci_core_device *vdev,
			   pci_channel_state_t state)
{
	struct vfio_device_feature_pci_error *last = &vdev->last_error;
	struct vfio_device_feature_pci_error error = {
		.severity = VFIO_PCI_ERROR_FATAL,
	};

	if (state == pci_channel_io_normal) {
		error.severity = VFIO_PCI_ERROR_NONFATAL;
		vfio_pci_error_read(vdev->pdev, &error);
	}

	spin_lock(&vdev->last_error_lock);
	if (state == pci_channel_io_perm_failure && last->count) {
		/* What the platform could not recover from was told before. */
		last->severity = VFIO_PCI_ERROR_LOST;
	} else {
		error.count = last->count + 1;
		*last = error;
	}
	spin_unlock(&vdev->last_error_lock);
}

/**
 * vfio_pci_error_resume - the platform has dealt with the error
 * @vdev: the device
 *
 * Context: may sleep; the PCI device's lock is held.
 */
void vfio_pci_error_resume(struct vfio_pci_core_device *vdev)
{
	struct vfio_device_feature_pci_error *last = &vdev->last_error;
	struct vfio_device_feature_pci_error error = {
		.severity = VFIO_PCI_ERROR_FATAL,
	};

	if (READ_ONCE(last->severity) != VFIO_PCI_ERROR_FATAL)
		return;
	vfio_pci_error_read(vdev->pdev, &error);

	spin_lock(&vdev->last_error_lock);
	/* Unless the device was opened anew meanwhile. */
	if (last->severity == VFIO_PCI_ERROR_FATAL) {
		error.count = last->count;
		*last = error;
	}
	spin_unlock(&vdev->last_error_lock);
}

/**
 * vfio_pci_error_forget - first open: the errors of others are not for this user
 * @vdev: the device
 *
 * Context: any.
 */
void vfio_pci_error_forget(struct vfio_pci_core_device *vdev)
{
	spin_lock(&vdev->last_error_lock);
	vdev->last_error = (struct vfio_device_feature_pci_error) {};
	spin_unlock(&vdev->last_error_lock);
}

/* VFIO_DEVICE_FEATURE_PCI_ERROR */
int vfio_pci_feature_error(struct vfio_pci_core_device *vdev, u32 flags,
			   struct vfio_device_feature_pci_error __user *arg,
			   size_t argsz)
{
	struct vfio_device_feature_pci_error error;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
				 sizeof(error));
	if (ret != 1)
		return ret;

	spin_lock(&vdev->last_error_lock);
	error = vdev->last_error;
	spin_unlock(&vdev->last_error_lock);
	return copy_to_user(arg, &error, sizeof(error)) ? -EFAULT : 0;
}
