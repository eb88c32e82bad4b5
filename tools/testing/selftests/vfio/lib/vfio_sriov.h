/* SPDX-License-Identifier: GPL-2.0-only */
/* Physical functions, their VFs, and devices that are opened with a token. */
#ifndef VFIO_SRIOV_H
#define VFIO_SRIOV_H

#include "vfio_util.h"

#define VFIO_SRIOV_PARAM "/sys/module/vfio_pci/parameters/enable_sriov"

/*
 * The status of an NVMe controller. A VF that its PF has not brought online
 * shows nothing else, and nothing but a failure here.
 */
#define NVME_CSTS	0x1c
#define NVME_CSTS_CFS	0x2

/* A PF that QEMU has: two VFs, made in a moment. */
int vfio_sriov_find(char *bdf);
int vfio_sriov_set(const char *pf, int n);
int vfio_sriov_get(const char *pf);
int vfio_sriov_make(const char *pf, char vf[][VFIO_BDF_LEN]);

/*
 * A token is a UUID as text, or NULL for none. The group has its container;
 * who gets a file of the device closes it.
 */
int vfio_token_open_group(struct vfio_dev *d, const char *bdf);
int vfio_token_fd(const struct vfio_dev *d, const char *token);
int vfio_token_try(const struct vfio_dev *d, const char *token);
int vfio_token_open(struct vfio_dev *d, const char *bdf, const char *token);
int vfio_token_feature(int device, uint32_t op, const void *token,
		       uint32_t len);
int vfio_token_set(int device, const void *token);

#endif
