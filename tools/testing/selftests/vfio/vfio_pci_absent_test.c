// SPDX-License-Identifier: GPL-2.0-only
/*
 * What mappings of a BAR show while its memory is not there: SIGBUS, or all ones for
 * who asked for that. ivshmem's BAR is memory that keeps what is written to it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define PAGE		VFIO_PAGE
#define BAR		VFIO_PCI_BAR2_REGION_INDEX
#define SIZE		(64ul << 20)
#define SOON_MS		5000
#define VALUE		0x12345678
#define ONES		0xffffffff
#define ROUNDS		200

struct absent_request {
	uint32_t argsz;
	uint32_t flags;
	struct vfio_device_feature_pci_absent absent;
};

static int ask(const struct vfio_dev *d, struct absent_request *r, uint32_t op)
{
	r->argsz = sizeof(*r);
	r->flags = op | VFIO_DEVICE_FEATURE_PCI_ABSENT;
	return vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, r);
}

static int choose(const struct vfio_dev *d, uint32_t mappings)
{
	struct absent_request r = { .absent.mappings = mappings };

	return ask(d, &r, VFIO_DEVICE_FEATURE_SET);
}

static int chosen(const struct vfio_dev *d)
{
	struct absent_request r = {};
	int ret = ask(d, &r, VFIO_DEVICE_FEATURE_GET);

	return ret ?: r.absent.mappings;
}

FIXTURE(absent)
{
	struct vfio_dev d;
	char knob[128];
	uint8_t *map;
	int klog;
};

FIXTURE_VARIANT(absent)
{
	const char *id;
	int mode;
};

FIXTURE_VARIANT_ADD(absent, ivshmem) { VFIO_IVSHMEM };
VFIO_OTHER_MODES(absent, ivshmem, .id = VFIO_IVSHMEM);

FIXTURE_SETUP(absent)
{
	void *p;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	self->klog = vfio_klog_open();
	ASSERT_EQ(0, vfio_dev_attr(self->d.bdf, "absent_memory", self->knob,
				   sizeof(self->knob)));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, BAR, 0, SIZE, &p));
	self->map = p;
	ASSERT_EQ(0, vfio_try_store32(self->map, VALUE));
	ASSERT_EQ(0, vfio_try_store32(self->map + SIZE - 4, VALUE));
}

FIXTURE_TEARDOWN(absent)
{
	EXPECT_EQ(0, vfio_sysfs_write(self->knob, "sigbus"));
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
	vfio_dev_close(&self->d);
}

#define SHOWS(want, at) do {						\
	uint32_t __value = 0;						\
									\
	ASSERT_EQ(0, vfio_try_load32(self->map + (at), &__value));	\
	EXPECT_EQ(want, __value);					\
} while (0)

TEST_F(absent, requests)
{
	struct absent_request r;
	uint32_t value;

	EXPECT_EQ(VFIO_PCI_ABSENT_SIGBUS, chosen(&self->d));
	EXPECT_EQ(-EINVAL, choose(&self->d, 2));
	r = (struct absent_request){ .absent.reserved = 1 };
	EXPECT_EQ(-EINVAL, ask(&self->d, &r, VFIO_DEVICE_FEATURE_SET));
	EXPECT_EQ(0, ask(&self->d, &r, VFIO_DEVICE_FEATURE_PROBE |
			 VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET));
	EXPECT_EQ(VFIO_PCI_ABSENT_SIGBUS, chosen(&self->d));

	/* Nothing changes for who did not ask. */
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_EQ(SIGBUS, vfio_try_load32(self->map, &value));
	EXPECT_EQ(SIGBUS, vfio_try_store32(self->map, 0));
}

TEST_F(absent, memory_off)
{
	uint32_t value;
	int i;

	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_ONES));
	EXPECT_EQ(VFIO_PCI_ABSENT_ONES, chosen(&self->d));
	SHOWS(VALUE, 0);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
		SHOWS(ONES, 0);
		SHOWS(ONES, SIZE - 4);
		/* Goes nowhere: not to the device, and not to who reads later. */
		ASSERT_EQ(0, vfio_try_store32(self->map, i));
		ASSERT_EQ(0, vfio_reads_ones(self->map, SOON_MS));
		ASSERT_EQ(0, vfio_reads_ones(self->map + PAGE, SOON_MS));
		EXPECT_EQ(-EIO, vfio_region_read(&self->d, BAR, 0, &value, 4));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		SHOWS(VALUE, 0);
		SHOWS(VALUE, SIZE - 4);
	}

	/* The choice counts at once. */
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	SHOWS(ONES, 0);
	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_SIGBUS));
	EXPECT_EQ(SIGBUS, vfio_try_load32(self->map, &value));
	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_ONES));
	SHOWS(ONES, 0);
}

/* A mapping that must not be written to is not, whatever it shows. */
TEST_F(absent, read_only)
{
	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_ONES));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(0, mprotect(self->map, PAGE, PROT_READ));
	SHOWS(ONES, 0);
	EXPECT_EQ(SIGSEGV, vfio_try_store32(self->map, 0));
	SHOWS(ONES, PAGE);
}

/* It is memory, and mapped as such, whatever happens to the rights of a mapping. */
TEST_F(absent, memory_type)
{
	const int rights[] = { PROT_READ, PROT_READ | PROT_WRITE };
	const char *type;
	uint64_t phys;
	int i;

	if (vfio_memtype_load())
		SKIP(return, "no test_vfio_memtype.ko here");
	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_ONES));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	for (i = 0; i < 2; i++) {
		SHOWS(ONES, 0);
		ASSERT_EQ(0, mprotect(self->map, SIZE, rights[i]));
		type = vfio_memtype(self->map, &phys);
		EXPECT_TRUE(!strcmp(type, "cached") || !strcmp(type, "none")) {
			TH_LOG("it is %s", type);
		}
		SHOWS(ONES, 0);
	}
}

struct looker {
	const struct vfio_dev *d;
	const uint8_t *map;
	bool stop;
	uint64_t ones;
	uint64_t values;
	uint64_t bad;
};

/*
 * What moves, copies, splits and drops a mapping, while its memory comes and goes. No
 * mapping shows anything but the one or the other.
 */
static void *turn(void *arg)
{
	struct looker *l = arg;

	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		if (vfio_cfg_memory(l->d, false))
			l->bad++;
		usleep(500);
		if (vfio_cfg_memory(l->d, true))
			l->bad++;
		usleep(500);
	}
	return NULL;
}

static int shows_either(const void *p)
{
	uint32_t value = 0;

	return vfio_try_load32(p, &value) || (value != ONES && value != VALUE);
}

TEST_F_TIMEOUT(absent, mapping_changes, 60)
{
	struct looker l = { .d = &self->d };
	uint64_t until = vfio_now_ms() + SOON_MS;
	void *map, *room;
	pthread_t thread;
	int bad = 0, status;
	pid_t child;

	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_ONES));
	ASSERT_EQ(0, pthread_create(&thread, NULL, turn, &l));
	while (vfio_now_ms() < until && !bad) {
		ASSERT_EQ(0, vfio_region_mmap(&self->d, BAR, 0, SIZE, &map));
		bad += shows_either(map);
		EXPECT_EQ(-1, madvise(map, SIZE, MADV_DONTNEED));
		child = fork();
		if (!child)
			_exit(shows_either(map) + shows_either(map + SIZE - 4));
		room = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		ASSERT_EQ(room, mremap(map, SIZE, SIZE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, room));
		bad += shows_either(room) + shows_either(room + SIZE - 4);
		/* These split large pages. */
		EXPECT_EQ(0, mprotect(room, PAGE, PROT_READ));
		bad += shows_either(room);
		EXPECT_EQ(0, mprotect(room, PAGE, PROT_READ | PROT_WRITE));
		EXPECT_EQ(0, munmap(room + PAGE, SIZE / 2 - PAGE));
		bad += shows_either(room) + shows_either(room + SIZE - 4);
		EXPECT_EQ(child, waitpid(child, &status, 0));
		bad += !!status;
		EXPECT_EQ(0, munmap(room, SIZE));
	}
	EXPECT_EQ(0, bad);
	__atomic_store_n(&l.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, l.bad);
}

/* One processor of a guest switches the memory off and on, the other one looks. */
static void *look(void *arg)
{
	struct looker *l = arg;
	uint32_t value;

	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		if (vfio_try_load32(l->map, &value))
			l->bad++;
		else if (value == ONES)
			__atomic_fetch_add(&l->ones, 1, __ATOMIC_RELAXED);
		else if (value == VALUE)
			__atomic_fetch_add(&l->values, 1, __ATOMIC_RELAXED);
		else
			l->bad++;
	}
	return NULL;
}

/* Wait for one more. */
static bool looked(uint64_t *count)
{
	uint64_t before = __atomic_load_n(count, __ATOMIC_RELAXED);
	uint64_t end = vfio_now_ms() + SOON_MS;

	while (__atomic_load_n(count, __ATOMIC_RELAXED) == before)
		if (vfio_now_ms() > end)
			return false;
	return true;
}

TEST_F(absent, looks_while_it_changes)
{
	struct looker l = { .map = self->map };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_ONES));
	ASSERT_EQ(0, pthread_create(&thread, NULL, look, &l));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
		if (i % 20 == 0)
			EXPECT_TRUE(looked(&l.ones));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		if (i % 20 == 0)
			EXPECT_TRUE(looked(&l.values));
	}
	/* The memory is there: what is shown from here on is that. */
	SHOWS(VALUE, 0);
	__atomic_store_n(&l.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, l.bad);
}

/* What one user has chosen, or written, is not the next one's. */
TEST_F(absent, next_user)
{
	struct vfio_dev *d = &self->d;
	uint32_t value;
	void *p;

	ASSERT_EQ(0, choose(d, VFIO_PCI_ABSENT_ONES));
	ASSERT_EQ(0, vfio_cfg_memory(d, false));
	ASSERT_EQ(0, vfio_try_store32(self->map, VALUE));
	ASSERT_EQ(0, munmap(self->map, SIZE));
	vfio_dev_close(d);

	ASSERT_EQ(0, vfio_dev_open(d, variant->id, variant->mode));
	EXPECT_EQ(VFIO_PCI_ABSENT_SIGBUS, chosen(d));
	ASSERT_EQ(0, vfio_region_mmap(d, BAR, 0, SIZE, &p));
	self->map = p;
	ASSERT_EQ(0, vfio_cfg_memory(d, false));
	EXPECT_EQ(SIGBUS, vfio_try_load32(self->map, &value));
	ASSERT_EQ(0, choose(d, VFIO_PCI_ABSENT_ONES));
	SHOWS(ONES, 0);
}

TEST_F(absent, administrators_choice)
{
	struct vfio_dev *d = &self->d;
	char text[32];
	void *p;

	ASSERT_EQ(0, vfio_sysfs_read(self->knob, text, sizeof(text)));
	EXPECT_STREQ("sigbus", text);
	EXPECT_EQ(-EINVAL, vfio_sysfs_write(self->knob, "zeroes"));
	ASSERT_EQ(0, vfio_sysfs_write(self->knob, "ones"));
	ASSERT_EQ(0, vfio_sysfs_read(self->knob, text, sizeof(text)));
	EXPECT_STREQ("ones", text);
	/* From the next first open on. */
	EXPECT_EQ(VFIO_PCI_ABSENT_SIGBUS, chosen(d));
	ASSERT_EQ(0, munmap(self->map, SIZE));
	vfio_dev_close(d);
	ASSERT_EQ(0, vfio_dev_open(d, variant->id, variant->mode));
	EXPECT_EQ(VFIO_PCI_ABSENT_ONES, chosen(d));
	ASSERT_EQ(0, vfio_region_mmap(d, BAR, 0, SIZE, &p));
	self->map = p;
	ASSERT_EQ(0, vfio_cfg_memory(d, false));
	SHOWS(ONES, 0);
	ASSERT_EQ(0, vfio_cfg_memory(d, true));
	SHOWS(VALUE, 0);
}

/* The page of ones is not the device's: no device's DMA may come to it. */
TEST_F(absent, no_dma)
{
	if (variant->mode == VFIO_MODE_COMPAT ||
	    variant->mode == VFIO_MODE_IOMMUFD)
		SKIP(return, "iommufd maps no BARs");

	ASSERT_EQ(0, choose(&self->d, VFIO_PCI_ABSENT_ONES));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	SHOWS(ONES, 0);
	EXPECT_EQ(-EFAULT, vfio_dma_map(self->d.container, self->map, 0, SIZE));
	EXPECT_EQ(-EFAULT, vfio_dma_map(self->d.container, self->map, 0, PAGE));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, vfio_dma_map(self->d.container, self->map, 0, SIZE));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	SHOWS(ONES, 0);
	EXPECT_EQ(0, vfio_dma_unmap(self->d.container, 0, SIZE));
}

TEST_HARNESS_MAIN
