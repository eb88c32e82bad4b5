/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices disguised by test_modules/test_pci_overlay.c. */
#ifndef VFIO_PCI_OVERLAY_H
#define VFIO_PCI_OVERLAY_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/vfio_gate.h"

/* Load the module with @set; a device that it hides is found again. */
static inline int vfio_overlay_load(const char *set, const char *bdf)
{
	const char *const argv[] = { "modprobe", "test_pci_overlay", set, NULL };

	if (vfio_run(argv))
		return -ENODEV;
	if (!bdf)
		return 0;
	vfio_pci_attr_write(bdf, "remove", "1");
	return vfio_pci_rescan();
}

static inline int vfio_overlay_ram(const void *data, size_t len)
{
	int fd = open("/dev/test_pci_overlay", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, data, len);
	close(fd);
	return n == (ssize_t)len ? 0 : -EIO;
}

static inline int vfio_overlay_ram_read(void *data, size_t len)
{
	int fd = open("/dev/test_pci_overlay", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, data, len);
	close(fd);
	return n == (ssize_t)len ? 0 : -EIO;
}

static inline int vfio_overlay_unload(const char *bdf)
{
	if (bdf)
		vfio_pci_attr_write(bdf, "remove", "1");
	if (vfio_module_remove("test_pci_overlay"))
		return -EBUSY;
	return bdf ? vfio_pci_rescan() : 0;
}

#endif
