// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts of a device, delivered through eventfds. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vfio_util.h"

int vfio_irq_info(const struct vfio_dev *d, uint32_t index,
		  struct vfio_irq_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	return vfio_ioctl(d->device, VFIO_DEVICE_GET_IRQ_INFO, info);
}

int vfio_irq_count(const struct vfio_dev *d, uint32_t index)
{
	struct vfio_irq_info info;
	int ret = vfio_irq_info(d, index, &info);

	return ret ? ret : (int)info.count;
}

/* SET_IRQS with @len bytes of @data behind the header. */
int vfio_irq_set(const struct vfio_dev *d, uint32_t flags, uint32_t index,
		 uint32_t start, uint32_t count, const void *data, size_t len)
{
	struct vfio_irq_set *set;
	int ret;

	set = calloc(1, sizeof(*set) + len);
	if (!set)
		return -ENOMEM;
	set->argsz = sizeof(*set) + len;
	set->flags = flags;
	set->index = index;
	set->start = start;
	set->count = count;
	if (len)
		memcpy(set->data, data, len);
	ret = vfio_ioctl(d->device, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	return ret;
}

int vfio_irq_eventfds(const struct vfio_dev *d, uint32_t index, uint32_t start,
		      uint32_t count, const int32_t *fds)
{
	return vfio_irq_set(d, VFIO_IRQ_SET_DATA_EVENTFD |
			    VFIO_IRQ_SET_ACTION_TRIGGER, index, start, count,
			    fds, count * sizeof(*fds));
}

int vfio_irq_eventfd(const struct vfio_dev *d, uint32_t index, uint32_t sub,
		     int fd)
{
	int32_t fds[1] = { fd };

	return vfio_irq_eventfds(d, index, sub, 1, fds);
}

int vfio_irq_trigger(const struct vfio_dev *d, uint32_t index, uint32_t start,
		     uint32_t count)
{
	return vfio_irq_set(d, VFIO_IRQ_SET_DATA_NONE |
			    VFIO_IRQ_SET_ACTION_TRIGGER, index, start, count,
			    NULL, 0);
}

int vfio_irq_mask(const struct vfio_dev *d, uint32_t index, uint32_t start,
		  uint32_t count)
{
	return vfio_irq_set(d, VFIO_IRQ_SET_DATA_NONE |
			    VFIO_IRQ_SET_ACTION_MASK, index, start, count,
			    NULL, 0);
}

int vfio_irq_unmask(const struct vfio_dev *d, uint32_t index, uint32_t start,
		    uint32_t count)
{
	return vfio_irq_set(d, VFIO_IRQ_SET_DATA_NONE |
			    VFIO_IRQ_SET_ACTION_UNMASK, index, start, count,
			    NULL, 0);
}

/* Tear down all interrupts of @index. */
int vfio_irq_disable(const struct vfio_dev *d, uint32_t index)
{
	return vfio_irq_trigger(d, index, 0, 0);
}

/* A non-blocking eventfd. */
int vfio_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Wait for a signal and take it; -ETIMEDOUT when none came. */
int vfio_eventfd_wait(int fd, int timeout_ms, uint64_t *count)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t value;
	int ret;

	ret = poll(&pfd, 1, timeout_ms);
	if (ret < 0)
		return -errno;
	if (!ret)
		return -ETIMEDOUT;
	if (read(fd, &value, sizeof(value)) != sizeof(value))
		return -EIO;
	if (count)
		*count = value;
	return 0;
}

/* Take what is pending without waiting; 0 when nothing is. */
uint64_t vfio_eventfd_drain(int fd)
{
	uint64_t value;

	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

int vfio_eventfd_signal(int fd)
{
	uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}
