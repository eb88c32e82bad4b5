// SPDX-License-Identifier: GPL-2.0-only
/* What takes a device's memory away, and gives it back. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "vfio_gate.h"

extern char **environ;

int vfio_reset(const struct vfio_dev *d)
{
	return vfio_ioctl(d->device, VFIO_DEVICE_RESET);
}

/* The function-level reset that a user writes to the PCIe capability. */
int vfio_cfg_flr(const struct vfio_dev *d)
{
	int cap = vfio_cfg_cap(d, PCI_CAP_ID_EXP);

	if (!cap)
		return -ENOTTY;
	return vfio_cfg_write16(d, cap + PCI_EXP_DEVCTL,
				vfio_cfg_read16(d, cap + PCI_EXP_DEVCTL) |
				PCI_EXP_DEVCTL_BCR_FLR);
}

int vfio_cfg_memory(const struct vfio_dev *d, bool on)
{
	return vfio_cfg_command(d, on ? PCI_COMMAND_MEMORY : 0,
				on ? 0 : PCI_COMMAND_MEMORY);
}

/*
 * The driver is told of an error: @what is "frozen", or "resumed", see
 * test_modules/test_vfio_pci_error.c. -ENXIO without that.
 */
int vfio_pci_error(const char *bdf, const char *what)
{
	char path[96];

	if (vfio_module_refs("test_vfio_pci_error") < 0 &&
	    vfio_modprobe("test_vfio_pci_error"))
		return -ENXIO;
	snprintf(path, sizeof(path), "/sys/module/test_vfio_pci_error/parameters/%s",
		 what);
	return vfio_sysfs_write(path, bdf);
}

/* VFIO_DEVICE_FEATURE_PCI_ERROR */
int vfio_pci_last_error(const struct vfio_dev *d,
			struct vfio_device_feature_pci_error *error)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_pci_error error;
	} call = {
		.head.argsz = sizeof(call),
		.head.flags = VFIO_DEVICE_FEATURE_GET |
			      VFIO_DEVICE_FEATURE_PCI_ERROR,
	};
	int ret = vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, &call);

	*error = call.error;
	return ret;
}

int vfio_hot_reset(int device, const int32_t *groups, uint32_t count)
{
	struct vfio_pci_hot_reset *arg;
	size_t len = sizeof(*arg) + count * sizeof(*groups);
	int ret;

	arg = calloc(1, len);
	if (!arg)
		return -ENOMEM;
	arg->argsz = len;
	arg->count = count;
	if (count)
		memcpy(arg->group_fds, groups, count * sizeof(*groups));
	ret = vfio_ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, arg);
	free(arg);
	return ret;
}

/* The hot reset of who has the group of @d, or has it bound to its iommufd. */
int vfio_dev_hot_reset(const struct vfio_dev *d)
{
	return vfio_hot_reset(d->device, &d->group,
			      d->mode == VFIO_MODE_IOMMUFD ? 0 : 1);
}

/* One of VFIO_DEVICE_FEATURE_LOW_POWER_*; @wakeup is for the one that has it. */
int vfio_low_power(const struct vfio_dev *d, uint32_t feature, int wakeup)
{
	struct {
		struct vfio_device_feature header;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} arg = {
		.header.argsz = sizeof(arg.header),
		.header.flags = VFIO_DEVICE_FEATURE_SET | feature,
		.entry.wakeup_eventfd = wakeup,
	};

	if (feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP)
		arg.header.argsz = sizeof(arg);
	return vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, &arg);
}

/* Wait for "suspended" or "active"; looking at it wakes nobody. */
int vfio_runtime_status(const char *bdf, const char *want, int timeout_ms)
{
	uint64_t end = vfio_now_ms() + timeout_ms;
	char now[32];
	int ret;

	do {
		ret = vfio_pci_attr_read(bdf, "power/runtime_status", now,
					 sizeof(now));
		if (ret || !strcmp(now, want))
			return ret;
		usleep(10000);
	} while (vfio_now_ms() < end);
	return -ETIMEDOUT;
}

pid_t vfio_remover_start(const char *bdf, const char *attr)
{
	char command[256];
	const char *const argv[] = { "sh", "-c", command, NULL };
	pid_t pid;
	int ret;

	snprintf(command, sizeof(command),
		 "echo %s >/sys/bus/pci/devices/%s/%s",
		 strcmp(attr, "remove") ? bdf : "1", bdf, attr);
	ret = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv,
			   environ);
	return ret ? -ret : pid;
}

/* -ETIMEDOUT if it is still at it then. */
int vfio_remover_wait(pid_t remover, int timeout_ms)
{
	uint64_t end = vfio_now_ms() + timeout_ms;
	int status;

	while (!waitpid(remover, &status, WNOHANG)) {
		if (vfio_now_ms() > end)
			return -ETIMEDOUT;
		usleep(10000);
	}
	return status ? -EIO : 0;
}

int vfio_pci_rescan(void)
{
	return vfio_sysfs_write("/sys/bus/pci/rescan", "1");
}
