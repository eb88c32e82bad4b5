// SPDX-License-Identifier: GPL-2.0-only
/* Every request on every kind of file, with arguments that are wrong in every way. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

/* Left alone: the end of all others; what resets, whatever its argument. */
static int harmful(const char *file, unsigned int request)
{
	return (!strcmp(file, "group") && request == VFIO_BASE + 5) ||
	       (!strcmp(file, "device") && request == VFIO_BASE + 11);
}

static void record_requests(const char *file, int fd)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *memory = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *last = memory + 2 * page;
	static const uint32_t argszs[] = { 0, 4, 8, 12, 16, 24, 32, 64, ~0u };
	unsigned int number, i;

	mprotect(last, page, PROT_NONE);
	for (number = VFIO_BASE - 2; number < VFIO_BASE + 32; number++) {
		unsigned int request = _IO(VFIO_TYPE, number);
		static const struct {
			const char *name;
			uintptr_t pointer;
		} bad[] = {
			{ "NULL", 0 }, { "low", 8 }, { "kernel", 0xffff888000000000 },
			{ "top", ~0ul - 3 }, { "hole", 1ul << 48 },
		};

		if (harmful(file, number))
			continue;
		for (i = 0; i < COUNT(bad); i++)
			record(outcome(ioctl(fd, request, bad[i].pointer)),
			       "%s/%u/%s", file, number, bad[i].name);
		record(outcome(ioctl(fd, request, last)), "%s/%u/no access", file,
		       number);
		for (i = 0; i < COUNT(argszs); i++) {
			uint32_t argsz = argszs[i];
			unsigned int room = argsz && argsz <= 64 ? argsz : 4;

			/* All zero; all ones; only as much memory as it says. */
			memset(memory, 0, 2 * page);
			memcpy(memory, &argsz, 4);
			record(outcome(ioctl(fd, request, memory)),
			       "%s/%u/zeros, argsz %u", file, number, argsz);
			memset(memory, 0xff, 2 * page);
			memcpy(memory, &argsz, 4);
			record(outcome(ioctl(fd, request, memory)),
			       "%s/%u/ones, argsz %u", file, number, argsz);
			memset(last - room, 0, room);
			memcpy(last - room, &argsz, 4);
			record(outcome(ioctl(fd, request, last - room)),
			       "%s/%u/short, argsz %u", file, number, argsz);
		}
	}
	/* Other types and sizes of request. */
	record(outcome(ioctl(fd, _IO('<', VFIO_BASE), memory)), "%s/other type", file);
	record(outcome(ioctl(fd, _IOR(VFIO_TYPE, VFIO_BASE + 7, int), memory)),
	       "%s/with direction", file);
	record(outcome(ioctl(fd, 0x5401, memory)), "%s/TCGETS", file);
	munmap(memory, 3 * page);
}

static void record_file(const char *file, int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT };
	struct stat stat;
	char data[8] = "";
	void *map;

	record(outcome(lseek(fd, 1, SEEK_SET)), "%s/lseek", file);
	record(outcome(poll(&poll_fd, 1, 0)), "%s/poll", file);
	record(text("%#x", poll_fd.revents), "%s/poll/events", file);
	record(outcome(fcntl(fd, F_GETFD)), "%s/F_GETFD", file);
	record(text("%#x", fcntl(fd, F_GETFL)), "%s/F_GETFL", file);
	record(outcome(fcntl(fd, F_GETPIPE_SZ)), "%s/F_GETPIPE_SZ", file);
	record(outcome(ftruncate(fd, 0)), "%s/ftruncate", file);
	record(outcome(fsync(fd)), "%s/fsync", file);
	record(outcome(fchmod(fd, 0600)), "%s/fchmod", file);
	if (!fstat(fd, &stat))
		record(text("%#o", stat.st_mode & S_IFMT), "%s/kind", file);
	if (strcmp(file, "device")) {
		record(outcome(read(fd, data, sizeof(data))), "%s/read", file);
		record(outcome(write(fd, data, sizeof(data))), "%s/write", file);
		map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		record(map == MAP_FAILED ? outcome(-1) : "mapped", "%s/mmap", file);
	}
}

void record_calls(struct device *d)
{
	record_file("device", d->fd);
	record_file("group", d->group);
	record_file("container", d->container);
	record_requests("device", d->fd);
	record_requests("group", d->group);
	record_requests("container", d->container);
}
