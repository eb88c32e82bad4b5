// SPDX-License-Identifier: GPL-2.0-only
/* PCI devices and their drivers, as sysfs shows them. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfio_util.h"

#define PCI_DEVICES "/sys/bus/pci/devices"
#define PCI_DRIVERS "/sys/bus/pci/drivers"

int vfio_sysfs_read(const char *path, char *buf, size_t len)
{
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return n;
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return 0;
}

int vfio_sysfs_write(const char *path, const char *value)
{
	int ret = 0;
	int fd;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static void attr_path(char *path, const char *bdf, const char *attr)
{
	snprintf(path, PATH_MAX, PCI_DEVICES "/%s/%s", bdf, attr);
}

int vfio_pci_attr_read(const char *bdf, const char *attr, char *buf,
		       size_t len)
{
	char path[PATH_MAX];

	attr_path(path, bdf, attr);
	return vfio_sysfs_read(path, buf, len);
}

int vfio_pci_attr_write(const char *bdf, const char *attr, const char *value)
{
	char path[PATH_MAX];

	attr_path(path, bdf, attr);
	return vfio_sysfs_write(path, value);
}

/* The path of an attribute of the device as VFIO has it. */
int vfio_dev_attr(const char *bdf, const char *attr, char *path, size_t len)
{
	char dir[128], command[192];
	FILE *f;

	snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	snprintf(command, sizeof(command), "echo %s/vfio*/%s", dir,
		 attr);
	f = popen(command, "r");
	if (!f)
		return -errno;
	if (!fgets(path, len, f))
		*path = 0;
	pclose(f);
	path[strcspn(path, "\n")] = 0;
	return access(path, F_OK) ? -ENOENT : 0;
}

/* Configuration space as the host has it. */
int vfio_pci_config_open(const char *bdf)
{
	char path[PATH_MAX];

	attr_path(path, bdf, "config");
	return open(path, O_RDWR | O_CLOEXEC);
}

/* How much of it the kernel can reach: without a PCIe bus only the first part. */
unsigned int vfio_pci_config_size(const char *bdf)
{
	char path[PATH_MAX];
	struct stat st;

	attr_path(path, bdf, "config");
	return stat(path, &st) ? 0 : st.st_size;
}

/* The first page of a BAR as an administrator may map it, or MAP_FAILED. */
void *vfio_pci_resource_map(const char *bdf, int bar)
{
	char path[PATH_MAX], attr[16];
	void *map;
	int fd;

	snprintf(attr, sizeof(attr), "resource%d", bar);
	attr_path(path, bdf, attr);
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return MAP_FAILED;
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map;
}

static long attr_hex(const char *bdf, const char *attr)
{
	char buf[32];

	if (vfio_pci_attr_read(bdf, attr, buf, sizeof(buf)))
		return -1;
	return strtol(buf, NULL, 16);
}

/* The size of @bar as the kernel has it, 0 when there is none. */
uint64_t vfio_pci_resource_size(const char *bdf, int bar)
{
	unsigned long long start, end;
	char buf[4096];
	char *line;

	if (vfio_pci_attr_read(bdf, "resource", buf, sizeof(buf)))
		return 0;
	for (line = buf; line && bar; bar--) {
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	if (!line || sscanf(line, "%llx %llx", &start, &end) != 2 || !end)
		return 0;
	return end - start + 1;
}

/* Find the @nth device with these ids, in the order of addresses. */
int vfio_pci_find(uint16_t vendor, uint16_t device, unsigned int nth,
		  char *bdf)
{
	struct dirent **list;
	int ret = -ENXIO;
	int i, n;

	n = scandir(PCI_DEVICES, &list, NULL, alphasort);
	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (ret && name[0] != '.' &&
		    attr_hex(name, "vendor") == vendor &&
		    attr_hex(name, "device") == device && !nth--) {
			snprintf(bdf, VFIO_BDF_LEN, "%.39s", name);
			ret = 0;
		}
		free(list[i]);
	}
	free(list);
	return ret;
}

/* Turn any name of a device into its address; -ENXIO when it is not here. */
int vfio_pci_resolve(const char *id, char *bdf)
{
	unsigned int vendor, device, nth = 0;
	char path[PATH_MAX];

	if (strchr(id, '.')) {
		snprintf(path, sizeof(path), PCI_DEVICES "/%s", id);
		if (strlen(id) >= VFIO_BDF_LEN || access(path, F_OK))
			return -ENXIO;
		memcpy(bdf, id, strlen(id) + 1);
		return 0;
	}
	if (sscanf(id, "%4x:%4x#%u", &vendor, &device, &nth) < 2)
		return -EINVAL;
	return vfio_pci_find(vendor, device, nth, bdf);
}

/* Have debugfs mounted, if @path, which is there with it, is not yet. */
int vfio_debugfs_need(const char *path)
{
	if (access(path, F_OK) &&
	    mount("debugfs", VFIO_DEBUGFS, "debugfs", 0, NULL))
		return -errno;
	return 0;
}

bool vfio_pci_is_there(const char *bdf)
{
	char ignored[VFIO_BDF_LEN];

	return !vfio_pci_resolve(bdf, ignored);
}

/* The last part of what a link in the device's directory leads to. */
int vfio_pci_link(const char *bdf, const char *attr, char *name, size_t len)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	attr_path(path, bdf, attr);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	snprintf(name, len, "%s", strrchr(target, '/') + 1);
	return 0;
}

/* The number of the device's IOMMU group; -ENOENT when it has none. */
int vfio_pci_group(const char *bdf)
{
	char name[NAME_MAX];
	int ret;

	ret = vfio_pci_link(bdf, "iommu_group", name, sizeof(name));
	return ret ? ret : atoi(name);
}

/* The first address that DMA cannot use because MSIs go there; 0 if there is none. */
uint64_t vfio_pci_msi_window(const char *bdf)
{
	char text[4096], *rest = text, *line;

	if (vfio_pci_attr_read(bdf, "iommu_group/reserved_regions", text,
			       sizeof(text)) < 0)
		return 0;
	while ((line = strsep(&rest, "\n")))
		if (strstr(line, "msi"))
			return strtoull(line, NULL, 16);
	return 0;
}

/* The name of the driver bound to the device; -ENOENT when there is none. */
int vfio_pci_driver(const char *bdf, char *name, size_t len)
{
	return vfio_pci_link(bdf, "driver", name, len);
}

bool vfio_pci_is_bound(const char *bdf, const char *driver)
{
	char name[NAME_MAX];

	return !vfio_pci_driver(bdf, name, sizeof(name)) &&
	       !strcmp(name, driver);
}

/* All devices of the group that @bdf is in, itself included. */
int vfio_pci_group_peers(const char *bdf, char peers[][VFIO_BDF_LEN], int max)
{
	char path[PATH_MAX];
	struct dirent **list;
	int count = 0;
	int i, n;

	attr_path(path, bdf, "iommu_group/devices");
	n = scandir(path, &list, NULL, alphasort);
	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.' && count < max)
			snprintf(peers[count++], VFIO_BDF_LEN, "%.39s",
				 list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return count;
}

/* Set driver_override; an empty @driver clears it. */
int vfio_pci_override(const char *bdf, const char *driver)
{
	char value[NAME_MAX];

	snprintf(value, sizeof(value), "%s\n", driver);
	return vfio_pci_attr_write(bdf, "driver_override", value);
}

int vfio_pci_unbind(const char *bdf)
{
	int ret = vfio_pci_attr_write(bdf, "driver/unbind", bdf);

	return ret == -ENOENT ? 0 : ret;
}

/* Take the device from whatever has it and give it to @driver. */
int vfio_pci_bind_to(const char *bdf, const char *driver)
{
	char path[PATH_MAX];
	int ret;

	if (vfio_pci_is_bound(bdf, driver)) {
		/* The link is there before the probe has ended: wait for the end. */
		snprintf(path, sizeof(path), PCI_DRIVERS "/%s/bind", driver);
		vfio_sysfs_write(path, bdf);
		if (vfio_pci_is_bound(bdf, driver))
			return 0;
	}
	ret = vfio_pci_override(bdf, driver);
	if (!ret)
		ret = vfio_pci_unbind(bdf);
	if (!ret)
		ret = vfio_sysfs_write("/sys/bus/pci/drivers_probe", bdf);
	if (ret)
		return ret;
	return vfio_pci_is_bound(bdf, driver) ? 0 : -ENODEV;
}

int vfio_pci_bind(const char *bdf)
{
	if (access(PCI_DRIVERS "/vfio-pci", F_OK) && vfio_modprobe("vfio-pci"))
		return -ENODEV;
	return vfio_pci_bind_to(bdf, "vfio-pci");
}

/* Bind every endpoint of the group, which makes the group viable. */
int vfio_pci_bind_group(const char *bdf)
{
	char peers[32][VFIO_BDF_LEN];
	int i, n, ret;

	n = vfio_pci_group_peers(bdf, peers, 32);
	if (n == -ENOENT)
		return vfio_pci_bind(bdf);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		/* Bridges keep their driver. */
		if (attr_hex(peers[i], "class") >> 8 == 0x0604)
			continue;
		ret = vfio_pci_bind(peers[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/* Forget vfio-pci and let the driver core pick a driver again. */
int vfio_pci_restore(const char *bdf)
{
	int ret;

	ret = vfio_pci_override(bdf, "");
	if (!ret)
		ret = vfio_pci_unbind(bdf);
	if (!ret)
		ret = vfio_sysfs_write("/sys/bus/pci/drivers_probe", bdf);
	return ret;
}
