// SPDX-License-Identifier: GPL-2.0-only
/* Group, container and device files, and the regions of a device. */
#include <endian.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "vfio_util.h"

int vfio_ioctl(int fd, unsigned long request, ...)
{
	void *arg;
	va_list ap;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);

	ret = ioctl(fd, request, arg);
	return ret < 0 ? -errno : ret;
}

int vfio_open_container(void)
{
	int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * The node of a group appears when a device of it is bound, but udev or
 * devtmpfs may be a moment late.
 */
int vfio_open_group(int group_id)
{
	char path[64];
	int tries;
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", group_id);
	for (tries = 0; tries < 50; tries++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno != ENOENT)
			break;
		usleep(20000);
	}
	return -errno;
}

int vfio_group_status(int group, uint32_t *flags)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int ret;

	ret = vfio_ioctl(group, VFIO_GROUP_GET_STATUS, &status);
	*flags = status.flags;
	return ret;
}

int vfio_get_device_fd(int group, const char *name)
{
	return vfio_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

void vfio_dev_init(struct vfio_dev *d)
{
	memset(d, 0, sizeof(*d));
	d->group_id = -1;
	d->container = -1;
	d->group = -1;
	d->device = -1;
}

/* Bind the whole group of @id, nothing more. */
static int bind_group(struct vfio_dev *d, const char *id)
{
	char bdf[VFIO_BDF_LEN];
	int ret;

	/* @id may well be @d->bdf. */
	ret = vfio_pci_resolve(id, bdf);
	vfio_dev_init(d);
	if (ret)
		return ret;
	memcpy(d->bdf, bdf, sizeof(bdf));
	ret = vfio_pci_bind_group(d->bdf);
	if (ret)
		return ret;
	d->group_id = vfio_pci_group(d->bdf);
	return d->group_id < 0 ? d->group_id : 0;
}

/* Bind the whole group of @id and open the group, nothing more. */
int vfio_dev_open_group(struct vfio_dev *d, const char *id)
{
	int ret = bind_group(d, id);

	if (ret)
		return ret;
	d->group = vfio_open_group(d->group_id);
	return d->group < 0 ? d->group : 0;
}

/* A file of a device in the group of @d, which is open: another, or its own. */
int vfio_dev_get_device(const struct vfio_dev *d, const char *name)
{
	uint32_t pt = d->ioas;
	int fd, ret;

	if (d->mode != VFIO_MODE_IOMMUFD)
		return vfio_get_device_fd(d->group, name);

	fd = vfio_cdev_open(name);
	if (fd < 0)
		return fd;
	ret = vfio_cdev_bind(fd, d->container, NULL);
	if (!ret)
		ret = vfio_cdev_attach(fd, &pt);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* Attach the group to the container, and choose the container's IOMMU type. */
static int attach_group(struct vfio_dev *d)
{
	unsigned long type = VFIO_TYPE1v2_IOMMU;
	int ret;

	d->group = vfio_open_group(d->group_id);
	if (d->group < 0)
		return d->group;
	ret = vfio_ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container);
	if (ret || d->shared)
		return ret;
	if (d->mode && !(d->mode & VFIO_MODE_IOMMUFDS))
		type = d->mode;
	return vfio_ioctl(d->container, VFIO_SET_IOMMU, type);
}

/* An address space that also is what the ioctls of a container work on. */
static int make_ioas(struct vfio_dev *d)
{
	int ret;

	if (d->shared)
		return 0;
	ret = vfio_ioas_alloc(d->container, &d->ioas);
	return ret ? ret : vfio_ioas_set_compat(d->container, d->ioas);
}

/* @d has a name and the number of its group; in the container of @other. */
static int open_in(struct vfio_dev *d, int mode, const struct vfio_dev *other)
{
	int ret;

	d->mode = mode;
	d->shared = other;
	if (other) {
		d->container = other->container;
		d->ioas = other->ioas;
	} else {
		d->container = mode & VFIO_MODE_IOMMUFDS ?
			       vfio_iommufd_open() : vfio_open_container();
	}
	if (d->container < 0)
		return d->container;

	ret = mode == VFIO_MODE_IOMMUFD ? make_ioas(d) : attach_group(d);
	if (ret)
		return ret;
	d->device = vfio_dev_get_device(d, d->bdf);
	return d->device < 0 ? d->device : 0;
}

/* Bind @id and open it in a container of its own. */
int vfio_dev_open(struct vfio_dev *d, const char *id, int mode)
{
	int ret;

	ret = bind_group(d, id);
	if (!ret)
		ret = open_in(d, mode, NULL);
	if (ret)
		vfio_dev_close(d);
	return ret;
}

/* The same, in the container of @other, which must outlive @d. */
int vfio_dev_open_with(struct vfio_dev *d, const char *id,
		       const struct vfio_dev *other)
{
	int ret;

	ret = bind_group(d, id);
	if (!ret)
		ret = open_in(d, other->mode, other);
	if (ret)
		vfio_dev_close(d);
	return ret;
}

/*
 * Open a device that is no PCI device by its name and the number of its group,
 * in a container of its own or in that of @other.
 */
int vfio_dev_open_named(struct vfio_dev *d, const char *name, int group_id,
			int mode, const struct vfio_dev *other)
{
	int ret;

	vfio_dev_init(d);
	snprintf(d->bdf, sizeof(d->bdf), "%s", name);
	d->group_id = group_id;
	ret = open_in(d, mode, other);
	if (ret)
		vfio_dev_close(d);
	return ret;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vfio_dev_close(struct vfio_dev *d)
{
	close_fd(&d->device);
	close_fd(&d->group);
	if (d->shared)
		d->container = -1;
	else
		close_fd(&d->container);
}

int vfio_dev_info(const struct vfio_dev *d, struct vfio_device_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	return vfio_ioctl(d->device, VFIO_DEVICE_GET_INFO, info);
}

int vfio_region_info(const struct vfio_dev *d, uint32_t index,
		     struct vfio_region_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	return vfio_ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, info);
}

/* The same with the whole capability chain; the caller frees it. */
struct vfio_region_info *vfio_region_info_caps(const struct vfio_dev *d,
					       uint32_t index)
{
	struct vfio_region_info small, *info;

	if (vfio_region_info(d, index, &small))
		return NULL;
	info = calloc(1, small.argsz);
	if (!info)
		return NULL;
	info->argsz = small.argsz;
	info->index = index;
	if (vfio_ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, info)) {
		free(info);
		return NULL;
	}
	return info;
}

/* Find capability @id in the chain that starts at @first of @info. */
const void *vfio_info_cap(const void *info, uint32_t first, uint16_t id)
{
	const struct vfio_info_cap_header *cap;

	for (; first; first = cap->next) {
		cap = info + first;
		if (cap->id == id)
			return cap;
	}
	return NULL;
}

uint64_t vfio_region_size(const struct vfio_dev *d, uint32_t index)
{
	struct vfio_region_info info;

	return vfio_region_info(d, index, &info) ? 0 : info.size;
}

int64_t vfio_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t n = pread(fd, buf, len, offset);

	return n < 0 ? -errno : n;
}

int64_t vfio_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
	ssize_t n = pwrite(fd, buf, len, offset);

	return n < 0 ? -errno : n;
}

int64_t vfio_region_read(const struct vfio_dev *d, uint32_t index,
			 uint64_t offset, void *buf, size_t len)
{
	struct vfio_region_info info;
	int ret;

	ret = vfio_region_info(d, index, &info);
	if (ret)
		return ret;
	return vfio_pread(d->device, buf, len, info.offset + offset);
}

int64_t vfio_region_write(const struct vfio_dev *d, uint32_t index,
			  uint64_t offset, const void *buf, size_t len)
{
	struct vfio_region_info info;
	int ret;

	ret = vfio_region_info(d, index, &info);
	if (ret)
		return ret;
	return vfio_pwrite(d->device, buf, len, info.offset + offset);
}

int vfio_mmap(int fd, size_t len, int prot, int flags, uint64_t offset,
	      void **addr)
{
	void *p = mmap(NULL, len, prot, flags, fd, offset);

	*addr = p == MAP_FAILED ? NULL : p;
	return p == MAP_FAILED ? -errno : 0;
}

/* A shared, readable and writable mapping of part of a region. */
int vfio_region_mmap(const struct vfio_dev *d, uint32_t index, uint64_t offset,
		     size_t len, void **addr)
{
	struct vfio_region_info info;
	int ret;

	ret = vfio_region_info(d, index, &info);
	if (ret)
		return ret;
	return vfio_mmap(d->device, len, PROT_READ | PROT_WRITE, MAP_SHARED,
			 info.offset + offset, addr);
}

/* Config space is little-endian, whatever the CPU is. */
static uint32_t cfg_read(const struct vfio_dev *d, unsigned int offset,
			 size_t len)
{
	uint32_t value = 0;

	if (vfio_region_read(d, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value,
			     len) != (int64_t)len)
		return ~0u;
	return le32toh(value);
}

uint8_t vfio_cfg_read8(const struct vfio_dev *d, unsigned int offset)
{
	return cfg_read(d, offset, 1);
}

uint16_t vfio_cfg_read16(const struct vfio_dev *d, unsigned int offset)
{
	return cfg_read(d, offset, 2);
}

uint32_t vfio_cfg_read32(const struct vfio_dev *d, unsigned int offset)
{
	return cfg_read(d, offset, 4);
}

static int cfg_write(const struct vfio_dev *d, unsigned int offset,
		     uint32_t value, size_t len)
{
	uint32_t bytes = htole32(value);
	int64_t n = vfio_region_write(d, VFIO_PCI_CONFIG_REGION_INDEX, offset,
				      &bytes, len);

	if (n < 0)
		return n;
	return n == (int64_t)len ? 0 : -EIO;
}

int vfio_cfg_write8(const struct vfio_dev *d, unsigned int offset,
		    uint8_t value)
{
	return cfg_write(d, offset, value, sizeof(value));
}

int vfio_cfg_write16(const struct vfio_dev *d, unsigned int offset,
		     uint16_t value)
{
	return cfg_write(d, offset, value, sizeof(value));
}

int vfio_cfg_write32(const struct vfio_dev *d, unsigned int offset,
		     uint32_t value)
{
	return cfg_write(d, offset, value, sizeof(value));
}

/* The offset of a capability in config space, 0 when there is none. */
int vfio_cfg_cap(const struct vfio_dev *d, uint8_t id)
{
	int limit = 48;
	uint8_t pos;

	if (!(vfio_cfg_read16(d, PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	pos = vfio_cfg_read8(d, PCI_CAPABILITY_LIST) & ~3;
	while (pos >= PCI_STD_HEADER_SIZEOF && limit--) {
		if (vfio_cfg_read8(d, pos + PCI_CAP_LIST_ID) == id)
			return pos;
		pos = vfio_cfg_read8(d, pos + PCI_CAP_LIST_NEXT) & ~3;
	}
	return 0;
}

/* The offset of an extended capability, 0 when there is none. */
int vfio_cfg_ecap(const struct vfio_dev *d, uint16_t id)
{
	int pos = 0x100;
	int limit = 480;
	uint32_t header;

	while (pos >= 0x100 && limit--) {
		header = vfio_cfg_read32(d, pos);
		if (!header || header == ~0u)
			break;
		if (PCI_EXT_CAP_ID(header) == id)
			return pos;
		pos = PCI_EXT_CAP_NEXT(header);
	}
	return 0;
}

/* Set and clear bits of the command register. */
int vfio_cfg_command(const struct vfio_dev *d, uint16_t set, uint16_t clear)
{
	uint16_t command = vfio_cfg_read16(d, PCI_COMMAND);

	return vfio_cfg_write16(d, PCI_COMMAND, (command & ~clear) | set);
}

/* Write a power state, 0 to 3, to the PM capability. */
int vfio_cfg_power(const struct vfio_dev *d, int state)
{
	int pm = vfio_cfg_cap(d, PCI_CAP_ID_PM);
	uint16_t ctrl;

	if (!pm)
		return -ENOTTY;
	ctrl = vfio_cfg_read16(d, pm + PCI_PM_CTRL);
	return vfio_cfg_write16(d, pm + PCI_PM_CTRL,
				(ctrl & ~PCI_PM_CTRL_STATE_MASK) | state);
}
