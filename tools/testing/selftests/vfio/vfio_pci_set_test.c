// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that a bus reset hits together are opened and closed under one lock,
 * but one whose own reset takes long holds up nobody who wants another.
 *
 * test_pci_overlay.ko makes both: it makes two functions of a card look like a
 * card whose functions are known to be isolated from each other, so that each is
 * in a group of its own; and it has one of them not answer after its reset until
 * the test has seen enough.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

/* Whose functions the kernel knows to be apart. */
#define ISOLATED	"105e8086"

#define REVOKE_AFTER	"/sys/module/vfio/parameters/revoke_after"
#define SOON_MS		30000
/* Long enough for what does not wait. */
#define MEANWHILE_MS	500

/* An open or a close of a function in a thread of its own. */
struct call {
	struct vfio_dev *d;
	char bdf[VFIO_BDF_LEN];
	int mode;
	uint32_t ioas;

	pthread_t thread;
	int ret;
	bool over;
};

static void *do_open(void *arg)
{
	struct call *call = arg;

	call->ret = vfio_dev_open(call->d, call->bdf, call->mode);
	__atomic_store_n(&call->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *do_close(void *arg)
{
	struct call *call = arg;

	vfio_dev_close(call->d);
	__atomic_store_n(&call->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *do_reset(void *arg)
{
	struct call *call = arg;

	call->ret = vfio_pci_attr_write(call->bdf, "reset", "1");
	__atomic_store_n(&call->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *do_attach(void *arg)
{
	struct call *call = arg;

	call->ret = vfio_cdev_attach(call->d->device, &call->ioas);
	__atomic_store_n(&call->over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Only the file of the device. */
static void *do_close_device(void *arg)
{
	struct call *call = arg;

	close(call->d->device);
	call->d->device = -1;
	__atomic_store_n(&call->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static struct parked_map {
	int iommufd;
	uint32_t ioas;
	void *mem;
} parked_map;

static void *do_map(void *arg)
{
	struct parked_map *map = arg;

	vfio_ioas_map(map->iommufd, map->ioas, map->mem, 0x100000, VFIO_PAGE);
	return NULL;
}

static bool is_over(struct call *call)
{
	return __atomic_load_n(&call->over, __ATOMIC_ACQUIRE);
}

static bool end(struct call *call)
{
	uint64_t until = vfio_now_ms() + SOON_MS;

	while (!is_over(call)) {
		if (vfio_now_ms() > until)
			return false;
		usleep(10000);
	}
	pthread_join(call->thread, NULL);
	return true;
}

FIXTURE(set)
{
	char bdf[2][VFIO_BDF_LEN];
	struct vfio_dev d[2];
	bool overlay;
	bool disguised;
	int klog;
};

FIXTURE_VARIANT(set)
{
	int mode;
};

FIXTURE_VARIANT_ADD(set, group) { };
FIXTURE_VARIANT_ADD(set, compat) { .mode = VFIO_MODE_COMPAT };
FIXTURE_VARIANT_ADD(set, iommufd) { .mode = VFIO_MODE_IOMMUFD };

#define SELF FIXTURE_DATA(set)

/* Both functions are found anew, and so are their groups. */
static int rediscover(SELF *self)
{
	int i;

	for (i = 0; i < 2; i++)
		vfio_pci_attr_write(self->bdf[i], "remove", "1");
	return vfio_pci_rescan();
}

FIXTURE_SETUP(set)
{
	char set[128];
	int fd, i;

	for (i = 0; i < 2; i++) {
		vfio_dev_init(&self->d[i]);
		snprintf(set, sizeof(set), "%s#%d", VFIO_E1000E, i);
		if (vfio_pci_resolve(set, self->bdf[i]))
			SKIP(_exit(KSFT_SKIP), "no device %s here", set);
	}
	if (variant->mode) {
		VFIO_IOMMUFD_OPEN_OR_SKIP(fd);
		close(fd);
	}
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);

	snprintf(set, sizeof(set), "set=%s+0=" ISOLATED ",%s+0=" ISOLATED,
		 self->bdf[0], self->bdf[1]);
	if (vfio_overlay_load(set, NULL))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay.ko here");
	self->overlay = true;
	self->disguised = true;
	ASSERT_EQ(0, rediscover(self));
	ASSERT_NE(vfio_pci_group(self->bdf[0]), vfio_pci_group(self->bdf[1]));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_pci_bind_group(self->bdf[i]));
}

/* The first function does not come back from a reset from here on, or does. */
static int stall(SELF *self, bool on)
{
	char set[128];

	if (self->overlay && vfio_overlay_unload(NULL))
		return -EBUSY;
	self->overlay = false;
	if (!on)
		return 0;

	/* By the one or by the other the PCI core sees that it is not ready. */
	snprintf(set, sizeof(set), "set=%s+0=ffff0001,%s+4=ffffffff",
		 self->bdf[0], self->bdf[0]);
	self->overlay = !vfio_overlay_load(set, NULL);
	return self->overlay ? 0 : -ENODEV;
}

FIXTURE_TEARDOWN(set)
{
	int i;

	stall(self, false);
	for (i = 0; i < 2; i++)
		vfio_dev_close(&self->d[i]);
	if (self->disguised)
		rediscover(self);
	close(self->klog);
}

/* The PCI core says so when it has waited for a second. */
static bool is_stalled(SELF *self)
{
	uint64_t until = vfio_now_ms() + SOON_MS;

	while (!vfio_klog_count(self->klog, "not ready")) {
		if (vfio_now_ms() > until)
			return false;
		usleep(10000);
	}
	return true;
}

static void begin(SELF *self, struct call *call, void *(*run)(void *),
		  int mode)
{
	memset(call, 0, sizeof(*call));
	call->d = &self->d[0];
	call->mode = mode;
	call->ioas = self->d[0].ioas;
	memcpy(call->bdf, self->bdf[0], VFIO_BDF_LEN);
	vfio_klog_count(self->klog, "");
	pthread_create(&call->thread, NULL, run, call);
}

/* Meanwhile the other is opened and closed, as often as one likes. */
#define EXPECT_OTHER_GOES_ON(first) do {				\
	int __i;							\
									\
	for (__i = 0; __i < 2; __i++) {					\
		ASSERT_EQ(0, vfio_dev_open(&self->d[1], self->bdf[1],	\
					   variant->mode));		\
		EXPECT_EQ(0, vfio_cfg_memory(&self->d[1], true));	\
		vfio_dev_close(&self->d[1]);				\
	}								\
	ASSERT_FALSE(is_over(first));					\
} while (0)

TEST_F(set, open)
{
	struct call open;

	ASSERT_EQ(0, stall(self, true));
	begin(self, &open, do_open, variant->mode);
	ASSERT_TRUE(is_stalled(self));
	EXPECT_OTHER_GOES_ON(&open);

	ASSERT_EQ(0, stall(self, false));
	ASSERT_TRUE(end(&open));
	EXPECT_EQ(0, open.ret);
	EXPECT_EQ(0x8086, vfio_cfg_read16(&self->d[0], PCI_VENDOR_ID));
}

TEST_F(set, close)
{
	struct call close;

	ASSERT_EQ(0, stall(self, false));
	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	ASSERT_EQ(0, stall(self, true));
	begin(self, &close, do_close, variant->mode);
	ASSERT_TRUE(is_stalled(self));
	EXPECT_OTHER_GOES_ON(&close);

	ASSERT_EQ(0, stall(self, false));
	ASSERT_TRUE(end(&close));
}

/* Its vectors are taken down once somebody else's reset is over. */
TEST_F(set, close_in_a_reset)
{
	struct call reset, close_it;
	int efd = vfio_eventfd();

	ASSERT_LE(0, efd);
	ASSERT_EQ(0, stall(self, false));
	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d[0], VFIO_PCI_MSIX_IRQ_INDEX, 0,
				      efd));
	ASSERT_EQ(0, stall(self, true));
	begin(self, &reset, do_reset, variant->mode);
	ASSERT_TRUE(is_stalled(self));
	begin(self, &close_it, do_close, variant->mode);
	usleep(MEANWHILE_MS * 1000);
	EXPECT_OTHER_GOES_ON(&close_it);

	ASSERT_EQ(0, stall(self, false));
	ASSERT_TRUE(end(&close_it));
	ASSERT_TRUE(end(&reset));
	EXPECT_EQ(0, reset.ret);
	close(efd);
}

/* A reset of the bus is for who has all of the set, and others are told at once. */
TEST_F(set, bus_reset)
{
	struct call open;
	pid_t reset;

	ASSERT_EQ(0, stall(self, false));
	ASSERT_EQ(0, vfio_dev_open(&self->d[1], self->bdf[1], variant->mode));
	ASSERT_EQ(0, stall(self, true));
	begin(self, &open, do_open, variant->mode);
	ASSERT_TRUE(is_stalled(self));

	reset = fork();
	if (!reset)
		_exit(vfio_dev_hot_reset(&self->d[1]) ? 1 : 0);
	EXPECT_EQ(-EIO, vfio_remover_wait(reset, SOON_MS));
	ASSERT_FALSE(is_over(&open));

	ASSERT_EQ(0, stall(self, false));
	ASSERT_TRUE(end(&open));
	EXPECT_EQ(0, open.ret);
}

/* Who has it waits for what he does to the other function, until he is killed. */
TEST_F(set, bus_reset_of_who_is_busy)
{
	struct vfio_slow slow;
	struct call attach;
	pid_t reset, remover;
	int status;

	if (variant->mode != VFIO_MODE_IOMMUFD)
		SKIP(return, "no device is attached by itself");
	ASSERT_EQ(0, stall(self, false));
	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	ASSERT_EQ(0, vfio_dev_open_with(&self->d[1], self->bdf[1],
					&self->d[0]));
	ASSERT_EQ(0, vfio_cdev_detach(self->d[0].device));
	ASSERT_EQ(0, vfio_cdev_detach(self->d[1].device));
	ASSERT_EQ(0, vfio_slow_alloc(&slow, VFIO_PAGE));
	ASSERT_EQ(0, vfio_ioas_map(self->d[0].container, self->d[0].ioas,
				   slow.mem, 0x100000, VFIO_PAGE));
	begin(self, &attach, do_attach, variant->mode);
	ASSERT_EQ(0, vfio_slow_wait(&slow));

	reset = fork();
	if (!reset)
		_exit(vfio_dev_hot_reset(&self->d[1]) ? 1 : 0);
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(reset, MEANWHILE_MS));
	/* Not in a way that keeps the function from going. */
	ASSERT_EQ(0, vfio_sysfs_write(REVOKE_AFTER, "0"));
	remover = vfio_remover_start(self->bdf[1], "driver/unbind");
	ASSERT_LT(0, remover);
	EXPECT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	EXPECT_EQ(0, vfio_sysfs_write(REVOKE_AFTER, "-1"));
	EXPECT_EQ(reset, waitpid(reset, &status, 0));
	EXPECT_EQ(1, WEXITSTATUS(status));
	ASSERT_FALSE(is_over(&attach));

	vfio_slow_allow(&slow);
	ASSERT_TRUE(end(&attach));
	close(slow.fd);
	munmap(slow.mem, VFIO_PAGE);
}

#define SCRATCH	0x5200		/* a register that nothing but a reset clears */
#define SECRET	0x5ec2e701

static uint32_t scratch(struct vfio_dev *d)
{
	uint32_t value = 0;

	vfio_cfg_memory(d, true);
	vfio_region_read(d, 0, SCRATCH, &value, 4);
	return value;
}

/*
 * Functions that cannot be reset by themselves are, with the bus, when the last of
 * them is closed; also if another, closed before, is still leaving its iommufd.
 */
TEST_F(set, last_close_beside_a_parked_one)
{
	uint32_t secret = SECRET;
	struct vfio_slow slow;
	struct call close_first;
	pthread_t mapper;
	int i;

	if (variant->mode != VFIO_MODE_IOMMUFD)
		SKIP(return, "only an iommufd is waited for");
	ASSERT_EQ(0, stall(self, false));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_pci_attr_write(self->bdf[i], "reset_method",
						 "\n"));
		ASSERT_EQ(0, vfio_dev_open(&self->d[i], self->bdf[i],
					   variant->mode));
	}
	EXPECT_EQ(0, scratch(&self->d[0]));
	ASSERT_EQ(4, vfio_region_write(&self->d[0], 0, SCRATCH, &secret, 4));
	EXPECT_EQ(SECRET, scratch(&self->d[0]));

	/* Who maps there keeps the address space. */
	ASSERT_EQ(0, vfio_slow_alloc(&slow, VFIO_PAGE));
	parked_map = (struct parked_map) {
		self->d[0].container, self->d[0].ioas, slow.mem,
	};
	pthread_create(&mapper, NULL, do_map, &parked_map);
	ASSERT_EQ(0, vfio_slow_wait(&slow));
	begin(self, &close_first, do_close_device, variant->mode);
	usleep(MEANWHILE_MS * 1000);
	ASSERT_FALSE(is_over(&close_first));
	vfio_dev_close(&self->d[1]);
	vfio_slow_allow(&slow);
	ASSERT_TRUE(end(&close_first));
	pthread_join(mapper, NULL);
	vfio_dev_close(&self->d[0]);

	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	EXPECT_EQ(0, scratch(&self->d[0]));
	close(slow.fd);
	munmap(slow.mem, VFIO_PAGE);
}

/* How often the set was reset with its bus, by the trace. */
static int bus_resets(struct vfio_trace *t)
{
	char *text = vfio_trace_read(t), *rest = text, *line;
	int n = 0;

	while ((line = vfio_trace_next(&rest, "vfio_pci_reset:")))
		n += !!strstr(line, "cause=hot_reset");
	free(text);
	return n;
}

/*
 * A function that cannot be reset by itself is closed while another is being opened,
 * below which the bus must not be reset. When that open fails, it is.
 */
TEST_F(set, last_close_beside_a_failing_open)
{
	uint32_t secret = SECRET;
	struct vfio_trace t;
	struct call open;
	char set[64];
	int i;

	ASSERT_EQ(0, stall(self, false));
	if (vfio_trace_start(&t))
		SKIP(return, "no tracing of vfio_pci");
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_pci_attr_write(self->bdf[i], "reset_method",
						 "\n"));
	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	EXPECT_EQ(0, scratch(&self->d[0]));
	ASSERT_EQ(4, vfio_region_write(&self->d[0], 0, SCRATCH, &secret, 4));

	if (vfio_stretch("vfio_pci_clean_wake", 900000, "after", NULL))
		SKIP(return, "no window can be stretched");
	snprintf(set, sizeof(set), "set=%s+0=silent", self->bdf[1]);
	ASSERT_EQ(0, vfio_overlay_load(set, NULL));
	self->overlay = true;
	ASSERT_EQ(0, vfio_trace_enable(&t, true));
	memset(&open, 0, sizeof(open));
	open.d = &self->d[1];
	open.mode = variant->mode;
	memcpy(open.bdf, self->bdf[1], VFIO_BDF_LEN);
	pthread_create(&open.thread, NULL, do_open, &open);
	usleep(300000);
	vfio_dev_close(&self->d[0]);
	EXPECT_FALSE(is_over(&open));
	EXPECT_EQ(0, bus_resets(&t));
	ASSERT_TRUE(end(&open));
	EXPECT_EQ(-EIO, open.ret);
	EXPECT_EQ(1, bus_resets(&t));

	/* Once, and not at each open of one that does not answer. */
	EXPECT_EQ(0, vfio_trace_clear(&t));
	EXPECT_EQ(-EIO, vfio_dev_open(&self->d[1], self->bdf[1], variant->mode));
	EXPECT_EQ(0, bus_resets(&t));
	ASSERT_EQ(0, vfio_stretch_end());
	ASSERT_EQ(0, stall(self, false));
	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	EXPECT_EQ(0, scratch(&self->d[0]));
	vfio_trace_stop(&t);
}

/*
 * Nor is the bus reset by an open that fails for what was not to be had before: to wait
 * for one that does not answer takes a minute.
 */
TEST_F(set, failing_open_later)
{
	struct vfio_trace t;
	char set[64];

	ASSERT_EQ(0, stall(self, false));
	if (vfio_trace_start(&t))
		SKIP(return, "no tracing of vfio_pci");
	ASSERT_EQ(0, vfio_pci_attr_write(self->bdf[0], "reset_method", "\n"));
	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	/* Nobody's function must not be reset along. */
	ASSERT_EQ(0, vfio_pci_unbind(self->bdf[1]));
	vfio_dev_close(&self->d[0]);
	ASSERT_EQ(0, vfio_pci_bind(self->bdf[1]));

	snprintf(set, sizeof(set), "set=%s+0=silent", self->bdf[1]);
	ASSERT_EQ(0, vfio_overlay_load(set, NULL));
	self->overlay = true;
	ASSERT_EQ(0, vfio_trace_enable(&t, true));
	EXPECT_EQ(-EIO, vfio_dev_open(&self->d[1], self->bdf[1], variant->mode));
	EXPECT_EQ(0, bus_resets(&t));
	vfio_trace_stop(&t);
}

/* To be attached takes as long as the memory that is mapped there. */
TEST_F(set, attach)
{
	struct vfio_slow slow;
	struct call attach;
	pid_t remover;

	if (variant->mode != VFIO_MODE_IOMMUFD)
		SKIP(return, "no device is attached by itself");
	ASSERT_EQ(0, stall(self, false));
	ASSERT_EQ(0, vfio_dev_open(&self->d[0], self->bdf[0], variant->mode));
	ASSERT_EQ(0, vfio_cdev_detach(self->d[0].device));
	ASSERT_EQ(0, vfio_slow_alloc(&slow, VFIO_PAGE));
	ASSERT_EQ(0, vfio_ioas_map(self->d[0].container, self->d[0].ioas,
				   slow.mem, 0x100000, VFIO_PAGE));
	begin(self, &attach, do_attach, variant->mode);
	ASSERT_EQ(0, vfio_slow_wait(&slow));
	EXPECT_OTHER_GOES_ON(&attach);
	/* And it can be removed. */
	remover = vfio_remover_start(self->bdf[1], "driver/unbind");
	ASSERT_LT(0, remover);
	EXPECT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	ASSERT_FALSE(is_over(&attach));

	vfio_slow_allow(&slow);
	ASSERT_TRUE(end(&attach));
	EXPECT_EQ(0, attach.ret);
	vfio_dev_close(&self->d[0]);
	close(slow.fd);
	munmap(slow.mem, VFIO_PAGE);
}

TEST_HARNESS_MAIN
