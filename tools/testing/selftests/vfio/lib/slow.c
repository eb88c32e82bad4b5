// SPDX-License-Identifier: GPL-2.0-only
/* Memory that a userfaultfd stands for: who touches it waits for the test. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vfio_util.h"

#define SOON_MS 20000

/* Memory that is not there yet. */
void *vfio_slow_room(uint64_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int slow_register(struct vfio_slow *s, void *mem, uint64_t size,
			 uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)mem, size },
		.mode = mode,
	};

	s->mem = mem;
	s->size = size;
	s->fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (s->fd < 0 || ioctl(s->fd, UFFDIO_API, &api) ||
	    ioctl(s->fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return 0;
}

int vfio_slow_register(struct vfio_slow *s, void *mem, uint64_t size)
{
	return slow_register(s, mem, size, UFFDIO_REGISTER_MODE_MISSING);
}

int vfio_slow_alloc(struct vfio_slow *s, uint64_t size)
{
	void *mem = vfio_slow_room(size);

	return mem == MAP_FAILED ? -errno : vfio_slow_register(s, mem, size);
}

/* What is written to it is slow, what is read from it, @data at first, is not. */
int vfio_slow_alloc_writes(struct vfio_slow *s, uint64_t size,
			   const void *data, size_t len)
{
	struct uffdio_writeprotect protect = {
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	void *mem = vfio_slow_room(size);
	int ret;

	if (mem == MAP_FAILED)
		return -errno;
	memset(mem, 0, size);
	memcpy(mem, data, len);
	ret = slow_register(s, mem, size, UFFDIO_REGISTER_MODE_WP);
	if (ret)
		return ret;
	protect.range.start = (uintptr_t)mem;
	protect.range.len = size;
	return ioctl(s->fd, UFFDIO_WRITEPROTECT, &protect) ? -errno : 0;
}

/* Somebody has come to the memory and waits. */
int vfio_slow_wait(struct vfio_slow *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&p, 1, SOON_MS) != 1)
		return -ETIMEDOUT;
	return read(s->fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

/* From now on it is ordinary memory. */
void vfio_slow_allow(struct vfio_slow *s)
{
	struct uffdio_range range = { (uintptr_t)s->mem, s->size };

	ioctl(s->fd, UFFDIO_UNREGISTER, &range);
	ioctl(s->fd, UFFDIO_WAKE, &range);
}
