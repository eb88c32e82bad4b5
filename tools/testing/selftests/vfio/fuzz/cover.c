// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which code of the kernel a thread reached, from KCOV. Only what was built to
 * tell does: the drivers under test.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/kcov.h>

#include "../../kselftest.h"
#include "fuzz.h"

#define ENTRIES	(1 << 18)

static int kcov = -1;
static uint64_t *area;

/* Before the processes that use it, one at a time. */
int fuzz_kcov_open(void)
{
	int ret;

	ret = vfio_debugfs_need(VFIO_DEBUGFS "/kcov");
	if (ret)
		return ret;
	kcov = open(VFIO_DEBUGFS "/kcov", O_RDWR);
	if (kcov < 0)
		return -errno;
	if (ioctl(kcov, KCOV_INIT_TRACE, ENTRIES))
		return -errno;
	area = mmap(NULL, ENTRIES * sizeof(*area), PROT_READ | PROT_WRITE,
		    MAP_SHARED, kcov, 0);
	return area == MAP_FAILED ? -errno : 0;
}

void fuzz_kcov_start(void)
{
	if (kcov < 0)
		return;
	ioctl(kcov, KCOV_ENABLE, KCOV_TRACE_PC);
	__atomic_store_n(&area[0], 0, __ATOMIC_RELAXED);
}

void fuzz_kcov_stop(void)
{
	if (kcov >= 0)
		ioctl(kcov, KCOV_DISABLE, 0);
}

/* Move what was recorded to @c: a long loop fills the area. */
void fuzz_kcov_take(struct fuzz_cover *c)
{
	uint64_t i, nr, last = 0;

	if (kcov < 0)
		return;
	nr = __atomic_load_n(&area[0], __ATOMIC_RELAXED);
	for (i = 1; i <= nr && i < ENTRIES; i++) {
		if (area[i] != last)
			fuzz_cover_add(c, area[i]);
		last = area[i];
	}
	__atomic_store_n(&area[0], 0, __ATOMIC_RELAXED);
}

static uint32_t find(const struct fuzz_cover *c, uint64_t pc)
{
	uint32_t size = ARRAY_SIZE(c->set);
	uint32_t i = (pc * 0x9e3779b97f4a7c15ull) >> 48;

	while (c->set[i % size] && c->set[i % size] != pc)
		i++;
	return i % size;
}

bool fuzz_cover_has(const struct fuzz_cover *c, uint64_t pc)
{
	return c->set[find(c, pc)];
}

/* Is it new? */
bool fuzz_cover_add(struct fuzz_cover *c, uint64_t pc)
{
	uint32_t i = find(c, pc);

	if (c->set[i] || c->nr == ARRAY_SIZE(c->at))
		return false;
	c->set[i] = pc;
	c->at[c->nr++] = i;
	return true;
}

void fuzz_cover_clear(struct fuzz_cover *c)
{
	while (c->nr)
		c->set[c->at[--c->nr]] = 0;
}
