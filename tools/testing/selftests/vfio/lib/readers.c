// SPDX-License-Identifier: GPL-2.0-only
/* Readers of a BAR, see vfio_gate.h. All of their state is shared memory. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vfio_gate.h"

/* Longer than any reset takes; who is silent for so long hangs. */
#define HANGS_MS	20000

static const char *const names[VFIO_READERS] = {
	"mapping", "pread", "mapping of the other process",
	"pread of the other process", "ioeventfd",
};

struct start {
	struct vfio_readers *r;
	enum vfio_reader which;
};

static uint64_t get(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void count(struct vfio_reader_count *c, uint64_t *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&c->tries, 1, __ATOMIC_RELEASE);
}

static void saw(struct vfio_readers *r, struct vfio_reader_count *c,
		uint32_t value)
{
	if (value != r->value)
		c->last_bad = value;
	count(c, value == r->value ? &c->good : &c->bad);
}

static void read_map(struct vfio_readers *r, struct vfio_reader_count *c)
{
	uint32_t value = 0;

	switch (vfio_try_load32(r->map + r->off, &value)) {
	case 0:
		saw(r, c, value);
		break;
	case SIGBUS:
		count(c, &c->refused);
		break;
	default:
		c->last_bad = -EFAULT;
		count(c, &c->bad);
	}
}

static void read_file(struct vfio_readers *r, struct vfio_reader_count *c)
{
	uint32_t value = 0;
	int64_t n;

	n = vfio_pread(r->d->device, &value, 4, r->bar_offset + r->off);
	if (n == 4) {
		saw(r, c, value);
	} else if (n == -EIO) {
		count(c, &c->refused);
	} else {
		c->last_bad = n;
		count(c, &c->bad);
	}
}

static void *run(void *arg)
{
	struct start *start = arg;
	struct vfio_readers *r = start->r;
	enum vfio_reader which = start->which;
	struct vfio_reader_count *c = &r->count[which];

	free(start);
	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		if (1u << which & VFIO_READERS_MAP)
			read_map(r, c);
		else if (1u << which & VFIO_READERS_PREAD)
			read_file(r, c);
		else
			count(c, vfio_eventfd_signal(r->efd) ? &c->bad :
							      &c->good);
		sched_yield();
	}
	return NULL;
}

static int start(struct vfio_readers *r, enum vfio_reader which)
{
	struct start *start = malloc(sizeof(*start));
	int ret;

	if (!start)
		return -ENOMEM;
	*start = (struct start) { r, which };
	ret = pthread_create(&r->threads[which], NULL, run, start);
	if (ret) {
		free(start);
		return -ret;
	}
	return 0;
}

/* Never returns; dies with its parent. */
static void other_process(struct vfio_readers *r)
{
	struct start *here = malloc(sizeof(*here));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!here || start(r, VFIO_READER_PREAD_OTHER))
		_exit(1);
	*here = (struct start) { r, VFIO_READER_MAP_OTHER };
	run(here);
	pthread_join(r->threads[VFIO_READER_PREAD_OTHER], NULL);
	_exit(0);
}

/* Where in the device file the region's part of a BAR is. */
static uint64_t bar_place(struct vfio_readers *r)
{
	const struct vfio_region_info_cap_pci_alias *alias;
	struct vfio_region_info *info, bar = {};

	info = vfio_region_info_caps(r->d, r->bar);
	alias = info ? vfio_info_cap(info, info->cap_offset,
				     VFIO_REGION_INFO_CAP_PCI_ALIAS) : NULL;
	if (!alias || vfio_region_info(r->d, alias->region_index, &bar))
		bar.offset = r->bar_offset;
	else
		bar.offset += alias->offset;
	free(info);
	return bar.offset;
}

static int prepare(struct vfio_readers *r)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
		.data = r->wvalue,
	};
	struct vfio_region_info bar;
	int ret;

	ret = vfio_region_info(r->d, r->bar, &bar);
	if (!ret)
		ret = vfio_region_mmap(r->d, r->bar, 0, bar.size, &r->map);
	if (ret)
		return ret;
	r->bar_offset = bar.offset;
	r->bar_size = bar.size;
	if (!r->value && vfio_pread(r->d->device, &r->value, 4,
				    r->bar_offset + r->off) != 4)
		return -EIO;

	r->efd = vfio_eventfd();
	arg.fd = r->efd;
	arg.offset = bar_place(r) + r->woff;
	return r->efd < 0 ? r->efd :
	       vfio_ioctl(r->d->device, VFIO_DEVICE_IOEVENTFD, &arg);
}

/*
 * Start reading. A value of 0 in @params stands for what the register reads as
 * now. NULL if it cannot be done.
 */
struct vfio_readers *vfio_readers_start(const struct vfio_readers *params)
{
	struct vfio_readers *r;
	pid_t other;
	int ret;

	r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r == MAP_FAILED)
		return NULL;
	*r = *params;
	ret = prepare(r);
	if (ret || !r->value || r->value == ~0u) {
		fprintf(stderr, "readers: cannot start: %d, value %#x\n", ret,
			r->value);
		return NULL;
	}

	/* Before there are threads, which would not be in the copy. */
	other = fork();
	if (!other)
		other_process(r);
	r->other = other;
	if (other < 0 || start(r, VFIO_READER_MAP) ||
	    start(r, VFIO_READER_PREAD) || start(r, VFIO_READER_IOEVENTFD))
		return NULL;
	return r;
}

/* Wait until each of @which has tried @more times since @before. */
static int wait_tries(struct vfio_readers *r, unsigned int which,
		      const struct vfio_reader_count *before, uint64_t more)
{
	uint64_t end = vfio_now_ms() + HANGS_MS;
	unsigned int i;

	for (i = 0; i < VFIO_READERS; i++) {
		while (1u << i & which &&
		       get(&r->count[i].tries) < before[i].tries + more) {
			if (vfio_now_ms() > end) {
				fprintf(stderr, "readers: %s hangs\n",
					names[i]);
				return -ETIMEDOUT;
			}
			usleep(1000);
		}
	}
	return 0;
}

static void snapshot(struct vfio_readers *r, struct vfio_reader_count *to)
{
	unsigned int i;

	for (i = 0; i < VFIO_READERS; i++) {
		to[i].tries = get(&r->count[i].tries);
		to[i].good = get(&r->count[i].good);
		to[i].refused = get(&r->count[i].refused);
	}
}

/* Every reader makes a try that begins now, whatever it sees. */
int vfio_readers_turn(struct vfio_readers *r)
{
	struct vfio_reader_count before[VFIO_READERS];

	snapshot(r, before);
	return wait_tries(r, ~0u, before, 2);
}

/*
 * From now on all readers of @which see the register, or all are refused.
 * Returns -EPROTO if one saw otherwise.
 */
int vfio_readers_see(struct vfio_readers *r, unsigned int which, bool memory)
{
	struct vfio_reader_count before[VFIO_READERS], after[VFIO_READERS];
	unsigned int i;
	int ret;

	ret = vfio_readers_turn(r);
	if (ret)
		return ret;
	snapshot(r, before);
	ret = wait_tries(r, which, before, 3);
	if (ret)
		return ret;
	snapshot(r, after);
	for (i = 0; i < VFIO_READERS; i++) {
		uint64_t wrong = memory ? after[i].refused - before[i].refused :
					  after[i].good - before[i].good;

		if (1u << i & which && wrong) {
			fprintf(stderr, "readers: %s was %s\n", names[i],
				memory ? "refused" : "let in");
			return -EPROTO;
		}
	}
	return 0;
}

/* What the ioeventfd writes arrives; the readers have to be running. */
int vfio_readers_ioeventfd_works(struct vfio_readers *r)
{
	uint64_t end = vfio_now_ms() + HANGS_MS;
	uint32_t value = ~r->wvalue;

	if (vfio_pwrite(r->d->device, &value, 4, r->bar_offset + r->woff) != 4)
		return -EIO;
	do {
		if (vfio_try_load32(r->map + r->woff, &value))
			return -EFAULT;
		if (value == r->wvalue)
			return 0;
		usleep(1000);
	} while (vfio_now_ms() < end);
	return -ETIMEDOUT;
}

/*
 * Stop reading and undo all of it. Returns -EPROTO if anyone saw what is
 * neither the register nor a refusal, or never saw the register.
 */
int vfio_readers_stop(struct vfio_readers *r)
{
	unsigned int i;
	int ret = 0;
	int status;

	__atomic_store_n(&r->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < VFIO_READERS; i++) {
		if (!(1u << i & VFIO_READERS_OTHER))
			pthread_join(r->threads[i], NULL);
	}
	if (waitpid(r->other, &status, 0) != r->other || status) {
		fprintf(stderr, "readers: the other process: status %#x\n",
			status);
		ret = -ECHILD;
	}
	for (i = 0; i < VFIO_READERS; i++) {
		const struct vfio_reader_count *c = &r->count[i];

		if (!c->bad && c->good)
			continue;
		fprintf(stderr,
			"readers: %s: %llu good, %llu refused, %llu bad (last %#llx), expected %#x\n",
			names[i], (unsigned long long)c->good,
			(unsigned long long)c->refused,
			(unsigned long long)c->bad,
			(unsigned long long)c->last_bad, r->value);
		ret = -EPROTO;
	}
	munmap(r->map, r->bar_size);
	close(r->efd);
	munmap(r, sizeof(*r));
	return ret;
}
