// SPDX-License-Identifier: GPL-2.0-only
/* That calls can be made to take long is what tests for races stand on. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define MiB		0x100000ULL
#define SOON_MS		20000

/* Much longer than the call, and short of it by what clocks differ in. */
#define USECS		200000
#define LONG_MS		150

/* In vfio.ko, kept since its address is taken; called by each ioctl. */
#define IOCTL		"vfio_device_fops_ioctl"
/* In vfio_iommu_type1.ko; sleeps where the user's memory is slow. */
#define MAP		"type1_ioctl_map"

FIXTURE(stretch)
{
	struct vfio_dev d;
	int log;
};

FIXTURE_SETUP(stretch)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	if (vfio_stretch(IOCTL, 0, "after", NULL) == -ENXIO)
		SKIP(_exit(KSFT_SKIP), "no test_stretch.ko here");
	ASSERT_EQ(0, vfio_stretch_hits(IOCTL));
	ASSERT_EQ(0, vfio_stretch_end());
	self->log = vfio_klog_open();
	ASSERT_LE(0, self->log);
}

FIXTURE_TEARDOWN(stretch)
{
	EXPECT_EQ(0, vfio_stretch_end());
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->log));
	close(self->log);
}

static int ask_ms(const struct vfio_dev *d)
{
	uint64_t start = vfio_now_ms();
	struct vfio_device_info info;

	if (vfio_dev_info(d, &info))
		return -EIO;
	return vfio_now_ms() - start;
}

/* The best of some: the machine may be busy. */
static int ask_quickest_ms(const struct vfio_dev *d)
{
	int best = SOON_MS, ms, i;

	for (i = 0; i < 20; i++) {
		ms = ask_ms(d);
		if (ms < best)
			best = ms;
	}
	return best;
}

TEST_F(stretch, after)
{
	ASSERT_EQ(0, vfio_stretch(IOCTL, USECS, "after", NULL));
	EXPECT_LE(LONG_MS, ask_ms(&self->d));
	EXPECT_LE(LONG_MS, ask_ms(&self->d));
	EXPECT_EQ(2, vfio_stretch_hits(IOCTL));
	EXPECT_EQ(0, vfio_stretch_end());
	EXPECT_GT(LONG_MS, ask_quickest_ms(&self->d));
}

TEST_F(stretch, before)
{
	ASSERT_EQ(0, vfio_stretch(IOCTL, USECS, "before", NULL));
	EXPECT_LE(LONG_MS, ask_ms(&self->d));
	EXPECT_EQ(1, vfio_stretch_hits(IOCTL));
	EXPECT_EQ(0, vfio_stretch_end());
	EXPECT_GT(LONG_MS, ask_quickest_ms(&self->d));
}

TEST_F(stretch, by_name)
{
	ASSERT_EQ(0, vfio_stretch(IOCTL, USECS, "after", "somebody"));
	EXPECT_GT(LONG_MS, ask_quickest_ms(&self->d));
	EXPECT_EQ(0, vfio_stretch_hits(IOCTL));
	prctl(PR_SET_NAME, "somebody");
	EXPECT_LE(LONG_MS, ask_ms(&self->d));
	EXPECT_EQ(1, vfio_stretch_hits(IOCTL));
}

TEST_F(stretch, windows)
{
	ASSERT_EQ(0, vfio_stretch("vfio:" IOCTL, 0, "after", NULL));
	EXPECT_EQ(-ENOENT, vfio_stretch("no_such_function", 0, "after", NULL));
	EXPECT_EQ(-EINVAL, vfio_stretch(MAP, 0, "during", NULL));
	EXPECT_EQ(-EINVAL, vfio_stretch(MAP, 0, "after", "two words"));
	EXPECT_EQ(-ERANGE, vfio_stretch(MAP, 1000001, "after", NULL));
	EXPECT_EQ(-ENOENT, vfio_stretch_hits(MAP));

	EXPECT_EQ(0, vfio_stretch(MAP, 0, "before", NULL));
	EXPECT_EQ(-EEXIST, vfio_stretch(MAP, 0, "after", NULL));
	EXPECT_LE(0, ask_ms(&self->d));
	EXPECT_EQ(1, vfio_stretch_hits("vfio:" IOCTL));
	EXPECT_EQ(0, vfio_stretch_hits(MAP));
}

struct asker {
	const struct vfio_dev *d;
	bool stop;
	bool failed;
};

static void *ask_on(void *arg)
{
	struct asker *asker = arg;

	while (!__atomic_load_n(&asker->stop, __ATOMIC_ACQUIRE))
		if (ask_ms(asker->d) < 0)
			asker->failed = true;
	return NULL;
}

/* The module goes while its windows are waited in. */
TEST_F(stretch, unload_while_it_waits)
{
	struct asker asker = { .d = &self->d };
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, ask_on, &asker));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, vfio_stretch(IOCTL, 20000,
					  i % 2 ? "after" : "before", NULL));
		while (!vfio_stretch_hits(IOCTL))
			usleep(1000);
		ASSERT_EQ(0, vfio_stretch_end());
		EXPECT_EQ(-ENOENT, vfio_module_refs("test_stretch"));
	}
	__atomic_store_n(&asker.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_FALSE(asker.failed);
}

struct map {
	struct vfio_dev *d;
	struct vfio_slow *slow;
	int ret;
};

static void *map_slowly(void *arg)
{
	struct map *map = arg;

	map->ret = vfio_dma_map(map->d->container, map->slow->mem, 0, MiB);
	return NULL;
}

/* It goes while a call sleeps that was to wait, and that returns afterwards. */
TEST_F(stretch, unload_before_it_waits)
{
	struct vfio_slow slow;
	struct map map = { .d = &self->d, .slow = &slow };
	pthread_t thread;

	ASSERT_EQ(0, vfio_slow_alloc(&slow, MiB));
	ASSERT_EQ(0, vfio_stretch(MAP, 1000000, "after", NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, map_slowly, &map));
	ASSERT_EQ(0, vfio_slow_wait(&slow));
	EXPECT_EQ(0, vfio_stretch_hits(MAP));
	ASSERT_EQ(0, vfio_stretch_end());

	vfio_slow_allow(&slow);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, map.ret);
	EXPECT_EQ(0, vfio_dma_unmap(self->d.container, 0, MiB));
}

TEST_HARNESS_MAIN
