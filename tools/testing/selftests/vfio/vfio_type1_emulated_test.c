// SPDX-License-Identifier: GPL-2.0-only
/*
 * A type1 container with emulated devices, whose driver pins single pages. It
 * needs test_vfio_emulated.ko.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_emulated.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE VFIO_PAGE
#define MiB 0x100000ULL
#define READ 1
#define WRITE 2

/* Up to 64 pages from @iova on. */
static int dirty(int c, uint64_t iova, uint64_t npages, uint64_t *bits)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap d;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} q = {
		.d.argsz = sizeof(q),
		.d.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		.get = { iova, npages * PAGE, { PAGE, 8, (__u64 *)bits } },
	};

	*bits = 0;
	return vfio_ioctl(c, VFIO_IOMMU_DIRTY_PAGES, &q);
}

FIXTURE(emulated)
{
	struct vfio_dev d;
	int c;
	char *mem;
	int64_t pinned;
};

FIXTURE_SETUP(emulated)
{
	int ret, i;

	self->pinned = vfio_pinned_pages();
	ret = emu_open(&self->d, 0, VFIO_TYPE1v2_IOMMU, NULL);
	if (ret == -ENXIO)
		SKIP(return, "test_vfio_emulated.ko is not loaded");
	ASSERT_EQ(0, ret);
	self->c = self->d.container;
	self->mem = vfio_alloc_pages(MiB);
	ASSERT_NE(NULL, self->mem);
	for (i = 0; i < MiB / PAGE; i++)
		*(uint64_t *)(self->mem + i * PAGE) = 0xabc000 + i;
}

FIXTURE_TEARDOWN(emulated)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(self->pinned, vfio_wait_pinned(self->pinned));
	EXPECT_EQ(0, vfio_locked_kb());
}

TEST_F(emulated, pin)
{
	uint64_t seen[4] = {};
	struct vfio_dev *d = &self->d;
	struct vfio_dev v1;
	int i;

	EXPECT_EQ(-EINVAL, emu_pin(d, MiB, 1, READ, NULL));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, 8 * PAGE));
	ASSERT_EQ(0, vfio_dma_map_flags(self->c, self->mem, 4 * MiB, PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	ASSERT_EQ(0, vfio_dma_map_flags(self->c, self->mem, 5 * MiB, PAGE,
					VFIO_DMA_MAP_FLAG_WRITE));
	EXPECT_EQ(4, emu_pin(d, MiB + 2 * PAGE, 4, READ | WRITE, seen));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0xabc002 + i, seen[i]);
	EXPECT_EQ(-EPERM, emu_pin(d, 4 * MiB, 1, READ | WRITE, NULL));
	EXPECT_EQ(-EPERM, emu_pin(d, 5 * MiB, 1, READ, NULL));
	EXPECT_EQ(1, emu_pin(d, 4 * MiB, 1, READ, NULL));
	EXPECT_EQ(1, emu_pin(d, 5 * MiB, 1, WRITE, NULL));
	/* All or nothing. */
	EXPECT_EQ(-EINVAL, emu_pin(d, MiB + 4 * PAGE, 8, READ, NULL));
	EXPECT_EQ(6 * PAGE / 1024, vfio_locked_kb());

	vfio_dev_close(d);
	ASSERT_EQ(0, emu_open(&v1, 0, VFIO_TYPE1_IOMMU, NULL));
	ASSERT_EQ(0, vfio_dma_map(v1.container, self->mem, MiB, PAGE));
	EXPECT_EQ(-EACCES, emu_pin(&v1, MiB, 1, READ, NULL));
	vfio_dev_close(&v1);
}

/* What is charged is what is pinned, each page once. */
TEST_F(emulated, charge)
{
	struct vfio_dev *d = &self->d;
	void *ro;

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, 0, MiB));
	EXPECT_EQ(0, vfio_locked_kb());
	EXPECT_EQ(16, emu_pin(d, 0, 16, READ, NULL));
	EXPECT_EQ(16 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(16, emu_pin(d, 8 * PAGE, 16, READ, NULL));
	EXPECT_EQ(24 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, emu_unpin(d, 0, 8));
	EXPECT_EQ(16 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, emu_unpin(d, 0, 64));
	EXPECT_EQ(0, vfio_locked_kb());

	/* A mapping of nothing is one, until a driver comes. */
	ro = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, vfio_dma_map(self->c, ro, 2 * MiB, PAGE));
	EXPECT_EQ(-EFAULT, emu_pin(d, 2 * MiB, 1, READ, NULL));
	EXPECT_EQ(0, vfio_locked_kb());
}

static void limit_child(struct __test_metadata *_metadata,
			const struct vfio_dev *d)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	struct rlimit limit = { 8 * PAGE, 8 * PAGE };
	void *mem = vfio_alloc_pages(MiB);

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, syscall(SYS_capget, &h, data));
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	ASSERT_EQ(0, syscall(SYS_capset, &h, data));
	/* No page is pinned, so the limit does not matter. */
	EXPECT_EQ(0, vfio_dma_map(d->container, mem, 0, MiB));
	EXPECT_EQ(6, emu_pin(d, 0, 6, READ, NULL));
	EXPECT_EQ(-ENOMEM, emu_pin(d, 6 * PAGE, 3, READ, NULL));
	EXPECT_EQ(6 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(2, emu_pin(d, 6 * PAGE, 2, READ, NULL));
	EXPECT_EQ(-ENOMEM, emu_pin(d, 8 * PAGE, 1, READ, NULL));
	EXPECT_EQ(0, emu_unpin(d, 0, 8));
	EXPECT_EQ(0, vfio_locked_kb());
	EXPECT_EQ(0, vfio_dma_unmap(d->container, 0, MiB));
}

TEST_F(emulated, charge_is_limited)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		limit_child(_metadata, &self->d);
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(emulated, unmap_tells_the_driver)
{
	struct vfio_dev *d = &self->d;
	struct test_vfio_unmaps u;
	uint64_t start;

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, 16 * PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, 2 * MiB, 16 * PAGE));
	EXPECT_EQ(4, emu_pin(d, MiB, 4, READ, NULL));
	/* It matters to nobody that this one goes. */
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 2 * MiB, 16 * PAGE));
	EXPECT_EQ(0, emu_unmaps(d, 0).calls);
	EXPECT_EQ(-EINVAL, vfio_dma_unmap(self->c, MiB, PAGE));
	EXPECT_EQ(0, emu_unmaps(d, 200).calls);

	start = vfio_now_ms();
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 0, 4 * MiB));
	EXPECT_LE(150, vfio_now_ms() - start);
	u = emu_unmaps(d, 0);
	EXPECT_EQ(1, u.calls);
	EXPECT_EQ(MiB, u.iova);
	EXPECT_EQ(16 * PAGE, u.length);
	EXPECT_EQ(0, vfio_locked_kb());
}

TEST_F(emulated, access)
{
	struct vfio_dev *d = &self->d;
	char buf[3 * PAGE];

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, 2 * PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem + 8 * PAGE,
				  MiB + 2 * PAGE, PAGE));
	ASSERT_EQ(0, vfio_dma_map_flags(self->c, self->mem, 4 * MiB, PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	ASSERT_EQ(0, vfio_dma_map_flags(self->c, self->mem, 5 * MiB, PAGE,
					VFIO_DMA_MAP_FLAG_WRITE));
	ASSERT_EQ(0, vfio_dma_map(self->c, NULL, 6 * MiB, PAGE));
	/* Across mappings. */
	EXPECT_EQ(0, emu_rw(d, MiB + PAGE, buf, 2 * PAGE, false));
	EXPECT_EQ(0xabc001, *(uint64_t *)buf);
	EXPECT_EQ(0xabc008, *(uint64_t *)(buf + PAGE));
	memset(buf, 0x5a, sizeof(buf));
	EXPECT_EQ(0, emu_rw(d, MiB + 2 * PAGE - 3, buf, 6, true));
	EXPECT_EQ(0, memcmp(self->mem + 2 * PAGE - 3, "ZZZ", 3));
	EXPECT_EQ(0, memcmp(self->mem + 8 * PAGE, "ZZZ", 3));

	EXPECT_EQ(-EINVAL, emu_rw(d, 0, buf, 8, false));
	EXPECT_EQ(-EINVAL, emu_rw(d, MiB + 3 * PAGE - 4, buf, 8, false));
	EXPECT_EQ(-EPERM, emu_rw(d, 4 * MiB, buf, 8, true));
	EXPECT_EQ(0, emu_rw(d, 4 * MiB, buf, 8, false));
	EXPECT_EQ(-EPERM, emu_rw(d, 5 * MiB, buf, 8, false));
	EXPECT_EQ(-EPERM, emu_rw(d, 5 * MiB, buf, 8, true));
	EXPECT_EQ(-EFAULT, emu_rw(d, 6 * MiB, buf, 8, true));
	EXPECT_EQ(0, vfio_locked_kb());
}

TEST_F(emulated, dirty_is_what_the_driver_touched)
{
	struct vfio_dev *d = &self->d;
	uint64_t bits, seen;
	int c = self->c;

	ASSERT_EQ(0, vfio_dma_map(c, self->mem, MiB, 40 * PAGE));
	ASSERT_EQ(0, vfio_dma_map(c, self->mem, MiB + 40 * PAGE, 24 * PAGE));
	EXPECT_EQ(2, emu_pin(d, MiB + 3 * PAGE, 2, READ, NULL));
	ASSERT_EQ(0, vfio_dirty_tracking(c, true));
	/* Pinned before or during, and as long as it is. */
	EXPECT_EQ(0, dirty(c, MiB, 64, &bits));
	EXPECT_EQ(0x18, bits);
	EXPECT_EQ(1, emu_pin(d, MiB + 63 * PAGE, 1, READ, NULL));
	EXPECT_EQ(0, emu_unpin(d, MiB, 4));
	EXPECT_EQ(0, dirty(c, MiB, 40, &bits));
	EXPECT_EQ(0x18, bits & 0xffffffffffULL);
	EXPECT_EQ(0, dirty(c, MiB, 40, &bits));
	EXPECT_EQ(0x10, bits & 0xffffffffffULL);
	EXPECT_EQ(0, dirty(c, MiB + 40 * PAGE, 24, &bits));
	EXPECT_EQ(1 << 23, bits & 0xffffff);
	/* Written, but not what is only read. */
	EXPECT_EQ(0, emu_rw(d, MiB + 7 * PAGE - 4, &seen, 8, true));
	EXPECT_EQ(0, emu_rw(d, MiB + 9 * PAGE, &seen, 8, false));
	EXPECT_EQ(0, dirty(c, MiB, 40, &bits));
	EXPECT_EQ(0xd0, bits & 0xffffffffffULL);
	EXPECT_EQ(0, dirty(c, MiB, 40, &bits));
	EXPECT_EQ(0x10, bits & 0xffffffffffULL);
	EXPECT_EQ(-EINVAL, dirty(c, MiB, 39, &bits));

	/* A mapping too large for a bitmap. */
	ASSERT_EQ(0, vfio_dirty_tracking(c, false));
	ASSERT_EQ(0, vfio_dma_map(c, NULL, 1ULL << 50, PAGE << 32));
	EXPECT_EQ(-EINVAL, vfio_dirty_tracking(c, true));
	EXPECT_EQ(-EINVAL, dirty(c, MiB, 40, &bits));
	ASSERT_EQ(0, vfio_dma_unmap(c, 1ULL << 50, PAGE << 32));
	ASSERT_EQ(0, vfio_dirty_tracking(c, true));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, NULL, 1ULL << 50, PAGE << 32));
	EXPECT_EQ(0, vfio_dma_unmap(c, 1ULL << 50, PAGE << 32));
}

#define MANY 131072

/* A bitmap of 16 KiB, from @shift pages before the mapping on. */
static void dirty_many(struct __test_metadata *_metadata, const uint64_t *bits,
		       const unsigned int *pages, int npages, int shift)
{
	int i, n = 0;

	for (i = 0; i < npages; i++)
		EXPECT_EQ(1, bits[(pages[i] + shift) / 64] >>
			     (pages[i] + shift) % 64 & 1) {
			TH_LOG("page %u", pages[i]);
		}
	for (i = 0; i < (MANY + shift) / 64; i++)
		n += __builtin_popcountll(bits[i]);
	EXPECT_EQ(npages, n);
}

TEST_F(emulated, dirty_among_many)
{
	static const unsigned int at[] = {
		0, 1, 32703, 32704, 32767, 32768, 65535, 65599, 98303, 131071,
	};
	const uint64_t size = MANY * PAGE, iova = 1024 * MiB, room = 5 * PAGE;
	uint64_t buf = 0, done;
	char *mem, *area, *half;
	uint64_t *bits;
	int i, k;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		   MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, madvise(mem, size, MADV_NOHUGEPAGE));
	/* Half of it is before the end of a page. */
	area = vfio_alloc_pages(room);
	ASSERT_NE(NULL, area);
	half = area + 2 * PAGE;
	bits = (uint64_t *)(half - MANY / 8 / 2);
	ASSERT_EQ(0, vfio_dma_map(self->c, mem, iova, size));
	ASSERT_EQ(0, vfio_dirty_tracking(self->c, true));
	for (k = 0; k < 4; k++) {
		memset(area, 0, room);
		for (i = 0; i < ARRAY_SIZE(at); i++)
			EXPECT_EQ(0, emu_rw(&self->d, iova + at[i] * PAGE, &buf,
					    8, true));
		if (k == 0) {
			EXPECT_EQ(0, vfio_dirty_get(self->c, iova, size, bits));
			dirty_many(_metadata, bits, at, ARRAY_SIZE(at), 0);
			memset(area, 0, room);
			EXPECT_EQ(0, vfio_dirty_get(self->c, iova, size, bits));
			dirty_many(_metadata, bits, at, 0, 0);
		} else if (k == 1) {
			EXPECT_EQ(0, vfio_dirty_get(self->c, iova - 64 * PAGE,
						    size + 128 * PAGE, bits));
			dirty_many(_metadata, bits, at, ARRAY_SIZE(at), 64);
		} else if (k == 2) {
			/* What a query reports that fails is not lost. */
			ASSERT_EQ(0, mprotect(half, PAGE, PROT_NONE));
			EXPECT_EQ(-EFAULT, vfio_dirty_get(self->c, iova, size,
							  bits));
			ASSERT_EQ(0, mprotect(half, PAGE,
					      PROT_READ | PROT_WRITE));
			memset(area, 0, room);
			EXPECT_EQ(0, vfio_dirty_get(self->c, iova, size, bits));
			for (i = 0; i < ARRAY_SIZE(at); i++)
				EXPECT_EQ(1, bits[at[i] / 64] >> at[i] % 64 &
					     1);
		} else {
			EXPECT_EQ(0, vfio_dirty_unmap(self->c, iova, size, bits,
						      &done));
			EXPECT_EQ(size, done);
			dirty_many(_metadata, bits, at, ARRAY_SIZE(at), 0);
		}
	}
	munmap(mem, size);
}

/* An unmap that fails leaves the mapping as it was, for the driver as well. */
TEST_F(emulated, unmap_fails)
{
	struct {
		struct vfio_iommu_type1_dma_unmap u;
		struct vfio_bitmap b;
	} q = {
		.u = { sizeof(q), VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, MiB,
		       64 * PAGE },
		.b = { PAGE, 8, NULL },
	};
	uint64_t bits = 0;

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, 64 * PAGE));
	ASSERT_EQ(0, vfio_dirty_tracking(self->c, true));
	EXPECT_EQ(2, emu_pin(&self->d, MiB, 2, READ, NULL));
	EXPECT_EQ(-EFAULT, vfio_ioctl(self->c, VFIO_IOMMU_UNMAP_DMA, &q));
	EXPECT_EQ(1, emu_unmaps(&self->d, 0).calls);
	EXPECT_EQ(2, emu_pin(&self->d, MiB + 4 * PAGE, 2, READ, NULL));
	q.b.data = (__u64 *)&bits;
	EXPECT_EQ(0, vfio_ioctl(self->c, VFIO_IOMMU_UNMAP_DMA, &q));
	EXPECT_EQ(0x33, bits);
	EXPECT_EQ(64 * PAGE, q.u.size);
	EXPECT_EQ(0, vfio_locked_kb());
}

static void *unmap_with_bitmap(void *arg)
{
	uint64_t bits = 0, done = 0;
	int c = *(int *)arg;

	return (void *)(intptr_t)vfio_dirty_unmap(c, MiB, 64 * PAGE, &bits,
						  &done);
}

/* The same where what makes it fail happens while the driver is told. */
TEST_F(emulated, unmap_is_taken_back)
{
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, 64 * PAGE));
	ASSERT_EQ(0, vfio_dirty_tracking(self->c, true));
	EXPECT_EQ(2, emu_pin(&self->d, MiB, 2, READ, NULL));
	emu_unmaps(&self->d, 500);
	ASSERT_EQ(0, pthread_create(&thread, NULL, unmap_with_bitmap,
				    &self->c));
	while (!emu_unmaps(&self->d, 500).calls)
		usleep(1000);
	EXPECT_EQ(0, vfio_dirty_tracking(self->c, false));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(-EINVAL, (intptr_t)ret);
	emu_unmaps(&self->d, 0);

	/* It is there, and drivers may pin its pages. */
	EXPECT_EQ(-EEXIST, vfio_dma_map(self->c, self->mem, MiB, PAGE));
	EXPECT_EQ(2, emu_pin(&self->d, MiB, 2, READ, NULL));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, MiB, 64 * PAGE));
}

/* A driver may touch the memory at any time, so it may not move. */
TEST_F(emulated, no_update_of_vaddr)
{
	EXPECT_EQ(0, vfio_ioctl(self->c, VFIO_CHECK_EXTENSION,
				VFIO_UPDATE_VADDR));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, PAGE));
	EXPECT_EQ(-EBUSY, vfio_dma_unmap_flags(self->c, MiB, PAGE,
					       VFIO_DMA_UNMAP_FLAG_VADDR,
					       NULL));
	EXPECT_EQ(-EINVAL, vfio_dma_map_flags(self->c, self->mem, MiB, PAGE,
					      VFIO_DMA_MAP_FLAG_VADDR));
}

/* Without an IOMMU every address will do, to the very last. */
TEST_F(emulated, no_limits)
{
	struct vfio_iommu_type1_info *info = vfio_iommu_info(self->c);
	uint64_t done, seen;

	ASSERT_NE(NULL, info);
	EXPECT_EQ(-PAGE, info->iova_pgsizes);
	EXPECT_EQ(NULL, vfio_info_cap(info, info->cap_offset,
				      VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE));
	free(info);
	EXPECT_EQ(1, vfio_ioctl(self->c, VFIO_CHECK_EXTENSION,
				VFIO_DMA_CC_IOMMU));

	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, 0xfee00000, PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, -2 * PAGE, PAGE));
	EXPECT_EQ(1, emu_pin(&self->d, -2 * PAGE, 1, READ, &seen));
	EXPECT_EQ(0xabc000, seen);
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, -2 * PAGE, PAGE, 0, &done));
	EXPECT_EQ(PAGE, done);
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, 0, 0,
					  VFIO_DMA_UNMAP_FLAG_ALL, &done));
	EXPECT_EQ(PAGE, done);
}

/* 6.12 maps the last page, but does not find it again. */
TEST_F(emulated, the_last_page)
{
	uint64_t done, seen, bits;

	ASSERT_EQ(0, vfio_dirty_tracking(self->c, true));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, -2 * PAGE, 2 * PAGE));
	EXPECT_EQ(-EEXIST, vfio_dma_map(self->c, self->mem, -PAGE, PAGE));
	EXPECT_EQ(1, emu_pin(&self->d, -PAGE, 1, READ, &seen));
	EXPECT_EQ(0xabc001, seen);
	EXPECT_EQ(0, emu_rw(&self->d, -8, &seen, 8, false));
	/* And there is nothing behind it, not even the first. */
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, 0, PAGE));
	EXPECT_EQ(-EINVAL, emu_rw(&self->d, -4, &seen, 8, false));
	EXPECT_EQ(-EINVAL, emu_pin(&self->d, -PAGE, 2, READ, &seen));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, 0, PAGE));
	EXPECT_EQ(0, dirty(self->c, -2 * PAGE, 2, &bits));
	EXPECT_EQ(2, bits);
	EXPECT_EQ(-EINVAL, vfio_dma_unmap(self->c, -PAGE, PAGE));
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, -2 * PAGE, 2 * PAGE, 0,
					  &done));
	EXPECT_EQ(2 * PAGE, done);
	EXPECT_EQ(0, vfio_locked_kb());
}

/* A group behind an IOMMU joins and leaves. */
TEST_F(emulated, with_an_iommu)
{
	struct vfio_dev *d = &self->d, phys;
	uint64_t bits, seen, window;
	int c = self->c;

	ASSERT_EQ(0, vfio_dma_map(c, self->mem, MiB, 64 * PAGE));
	ASSERT_EQ(0, vfio_dirty_tracking(c, true));
	EXPECT_EQ(3, emu_pin(d, MiB, 3, READ, NULL));
	EXPECT_EQ(3 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, dirty(c, MiB, 64, &bits));
	EXPECT_EQ(7, bits);

	if (vfio_dev_open_with(&phys, VFIO_EDU, d) == -ENXIO)
		SKIP(return, "no device %s here", VFIO_EDU);
	window = vfio_pci_msi_window(phys.bdf);
	ASSERT_NE(0, window);
	/* Now all is pinned, and nothing is charged twice. */
	EXPECT_EQ(64 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(2, emu_pin(d, MiB + 8 * PAGE, 2, READ, &seen));
	EXPECT_EQ(64 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, emu_unpin(d, MiB, 1));
	EXPECT_EQ(64 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, dirty(c, MiB, 64, &bits));
	EXPECT_EQ(-1ULL, bits);
	EXPECT_EQ(0, vfio_ioctl(c, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR));
	EXPECT_EQ(-EINVAL, vfio_dma_map(c, self->mem, window, PAGE));

	/* What it may have dirtied is dirty once more. */
	vfio_dev_close(&phys);
	EXPECT_EQ(4 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, dirty(c, MiB, 64, &bits));
	EXPECT_EQ(-1ULL, bits);
	EXPECT_EQ(0, dirty(c, MiB, 64, &bits));
	EXPECT_EQ(0x306, bits);
	EXPECT_EQ(0, vfio_dma_map(c, self->mem, window, PAGE));
	/* It cannot come back where it cannot reach. */
	EXPECT_EQ(-EINVAL, vfio_dev_open_with(&phys, VFIO_EDU, d));
	EXPECT_EQ(4 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, vfio_dma_unmap(c, window, PAGE));
	/* Nor when there is no memory to reach; nothing of the try is left. */
	EXPECT_EQ(0, vfio_dma_map(c, NULL, 2 * MiB, PAGE));
	EXPECT_EQ(-EFAULT, vfio_dev_open_with(&phys, VFIO_EDU, d));
	EXPECT_EQ(4 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(2, emu_pin(d, MiB + 20 * PAGE, 2, READ, NULL));
	EXPECT_EQ(6 * PAGE / 1024, vfio_locked_kb());
}

TEST_F(emulated, two_drivers)
{
	struct vfio_dev second;

	ASSERT_EQ(0, emu_open(&second, 1, VFIO_TYPE1v2_IOMMU, &self->d));
	ASSERT_EQ(0, vfio_dma_map(self->c, self->mem, MiB, 16 * PAGE));
	EXPECT_EQ(4, emu_pin(&self->d, MiB, 4, READ, NULL));
	EXPECT_EQ(4, emu_pin(&second, MiB + 2 * PAGE, 4, READ, NULL));
	EXPECT_EQ(6 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(0, emu_unpin(&self->d, MiB, 4));
	EXPECT_EQ(4 * PAGE / 1024, vfio_locked_kb());
	EXPECT_EQ(2, emu_pin(&self->d, MiB, 2, READ, NULL));
	EXPECT_EQ(0, vfio_dma_unmap(self->c, MiB, 16 * PAGE));
	EXPECT_EQ(1, emu_unmaps(&self->d, 0).calls);
	EXPECT_EQ(1, emu_unmaps(&second, 0).calls);
	EXPECT_EQ(0, vfio_locked_kb());
	vfio_dev_close(&second);
}

/* Unmaps against pins of the same pages, and an end at any moment. */
TEST_F(emulated, killed_at_work)
{
	struct vfio_dev second;
	pid_t pids[3];
	int i, k, status;

	ASSERT_EQ(0, emu_open(&second, 1, VFIO_TYPE1v2_IOMMU, &self->d));
	for (i = 0; i < 8; i++) {
		for (k = 0; k < 3; k++) {
			pids[k] = fork();
			while (!pids[k]) {
				if (k < 2) {
					emu_pin(k ? &second : &self->d, MiB, 64,
						READ, NULL);
					continue;
				}
				vfio_dma_map(self->c, self->mem, MiB, MiB);
				vfio_dma_unmap(self->c, MiB, MiB);
			}
		}
		usleep(30000 + 7000 * i);
		for (k = 0; k < 3; k++) {
			kill(pids[k], SIGKILL);
			ASSERT_EQ(pids[k], waitpid(pids[k], &status, 0));
		}
	}
	EXPECT_EQ(0, vfio_dma_unmap_flags(self->c, 0, 0,
					  VFIO_DMA_UNMAP_FLAG_ALL, NULL));
	vfio_dev_close(&second);
}

TEST_HARNESS_MAIN
