// SPDX-License-Identifier: GPL-2.0-only
/* Resets of a whole bus: who is hit, who may do it, and what it does. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define FIRST		VFIO_E1000E "#0"
#define SECOND		VFIO_E1000E "#1"
#define CLOSED_FD	(1 << 20)

/* A register that forgets on reset, and one that gets its value from it. */
#define MTA		0x5200
#define RAH		0x5404

#define MINSZ		offsetofend(struct vfio_pci_hot_reset_info, count)
#define ENTRY		sizeof(struct vfio_pci_dependent_device)

#ifndef offsetofend
#define offsetofend(type, field) \
	(offsetof(type, field) + sizeof(((type *)0)->field))
#endif

/* Two functions in one slot, and in one group. */
FIXTURE(pair)
{
	struct vfio_dev a;
	struct vfio_dev b;	/* has no files but the device's */
	uint8_t *map_a;
	uint8_t *map_b;
	uint64_t size;
	uint32_t rah_a;
	uint32_t rah_b;
	int efd;
};

static int map_bar(const struct vfio_dev *d, uint8_t **map, uint64_t *size)
{
	void *p = NULL;
	int ret;

	*size = vfio_region_size(d, 0);
	ret = vfio_region_mmap(d, 0, 0, *size, &p);
	*map = p;
	return ret;
}

#define VFIO_FIXTURE pair
#include "vfio_each_mode.h"

FIXTURE_SETUP(pair)
{
	vfio_dev_init(&self->b);
	VFIO_DEV_OPEN_OR_SKIP(&self->a, FIRST, variant->mode);
	ASSERT_EQ(0, vfio_pci_resolve(SECOND, self->b.bdf));
	self->b.device = vfio_dev_get_device(&self->a, self->b.bdf);
	ASSERT_LE(0, self->b.device);
	ASSERT_EQ(0, vfio_cfg_memory(&self->a, true));
	ASSERT_EQ(0, vfio_cfg_memory(&self->b, true));
	ASSERT_EQ(0, map_bar(&self->a, &self->map_a, &self->size));
	ASSERT_EQ(0, map_bar(&self->b, &self->map_b, &self->size));
	self->rah_a = vfio_mmio_read32(self->map_a + RAH);
	self->rah_b = vfio_mmio_read32(self->map_b + RAH);
	ASSERT_NE(self->rah_a, self->rah_b);
	self->efd = vfio_eventfd();
	ASSERT_LE(0, self->efd);
}

FIXTURE_TEARDOWN(pair)
{
	vfio_dev_close(&self->b);
	vfio_dev_close(&self->a);
	close(self->efd);
}

static int get_info(const struct vfio_dev *d,
		    struct vfio_pci_hot_reset_info *info, uint32_t argsz)
{
	memset(info, 0, MINSZ);
	info->argsz = argsz;
	return vfio_ioctl(d->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
}

TEST_F(pair, info)
{
	bool by_id = variant->mode == VFIO_MODE_IOMMUFD;
	unsigned int domain, bus, slot, fn;
	struct vfio_pci_hot_reset_info *info;
	uint32_t argsz, i, functions = 0;
	int fields;

	info = calloc(1, MINSZ + 16 * ENTRY);
	for (argsz = 0; argsz < MINSZ; argsz++) {
		EXPECT_EQ(-EINVAL, get_info(&self->a, info, argsz));
		EXPECT_EQ(0, info->count);
	}
	/* Without room for all of them, it tells how many there are. */
	for (; argsz < MINSZ + 2 * ENTRY; argsz++) {
		EXPECT_EQ(-ENOSPC, get_info(&self->a, info, argsz));
		EXPECT_EQ(2, info->count);
		EXPECT_EQ(argsz, info->argsz);
	}
	for (; argsz < MINSZ + 16 * ENTRY; argsz += 5) {
		ASSERT_EQ(0, get_info(&self->b, info, argsz));
		EXPECT_EQ(2, info->count);
		EXPECT_EQ(by_id ? VFIO_PCI_HOT_RESET_FLAG_DEV_ID |
				  VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED : 0,
			  info->flags);
	}
	fields = sscanf(self->a.bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &fn);
	ASSERT_EQ(4, fields);
	for (i = 0; i < 2; i++) {
		if (by_id) {
			EXPECT_LT(0, info->devices[i].devid);
		} else {
			EXPECT_EQ(self->a.group_id, info->devices[i].group_id);
		}
		EXPECT_EQ(domain, info->devices[i].segment);
		EXPECT_EQ(bus, info->devices[i].bus);
		functions |= 1u << info->devices[i].devfn;
	}
	/* In no particular order. */
	EXPECT_EQ(3, functions);
	EXPECT_EQ(-EFAULT, vfio_ioctl(self->a.device,
				      VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				      NULL));
	free(info);
}

/* Nothing that is refused resets anything. */
TEST_F(pair, refused)
{
	int32_t group = self->a.group;
	struct vfio_pci_hot_reset head = { .argsz = sizeof(head) };
	int32_t many[] = { group, group, group };
	struct vfio_dev other;
	int32_t fds[2];
	uint32_t i;

	if (variant->mode == VFIO_MODE_IOMMUFD)
		SKIP(return, "no group files to show");

	vfio_mmio_write32(self->map_a + MTA, 0x1234);
	vfio_mmio_write32(self->map_b + MTA, 0x5678);

	for (i = 0; i < sizeof(head); i++) {
		head.argsz = i;
		head.count = 1;
		EXPECT_EQ(-EINVAL, vfio_ioctl(self->a.device,
					      VFIO_DEVICE_PCI_HOT_RESET,
					      &head));
	}
	head.argsz = sizeof(head);
	head.flags = 1;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->a.device,
				      VFIO_DEVICE_PCI_HOT_RESET, &head));
	EXPECT_EQ(-EFAULT, vfio_ioctl(self->a.device,
				      VFIO_DEVICE_PCI_HOT_RESET, NULL));
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, NULL, 0));
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, many, 3));

	fds[0] = CLOSED_FD;
	EXPECT_EQ(-EBADF, vfio_hot_reset(self->a.device, fds, 1));
	fds[0] = -1;
	EXPECT_EQ(-EBADF, vfio_hot_reset(self->a.device, fds, 1));
	fds[0] = self->efd;
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, fds, 1));
	fds[0] = self->a.container;
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, fds, 1));
	fds[0] = group;
	fds[1] = CLOSED_FD;
	EXPECT_EQ(-EBADF, vfio_hot_reset(self->a.device, fds, 2));
	fds[1] = self->efd;
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, fds, 2));

	if (!vfio_dev_open_group(&other, VFIO_NVME)) {
		fds[0] = other.group;
		EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, fds, 1));
		vfio_dev_close(&other);
	}

	EXPECT_EQ(0x1234, vfio_mmio_read32(self->map_a + MTA));
	EXPECT_EQ(0x5678, vfio_mmio_read32(self->map_b + MTA));
}

/* Proofs of more than is needed do no harm. */
TEST_F(pair, too_much_proof)
{
	int32_t fds[2] = { self->a.group, self->a.group };
	struct vfio_dev other;

	if (variant->mode == VFIO_MODE_IOMMUFD)
		SKIP(return, "no group files to show");

	EXPECT_EQ(0, vfio_hot_reset(self->a.device, fds, 2));
	if (vfio_dev_open_group(&other, VFIO_NVME))
		SKIP(return, "no other device");
	fds[0] = other.group;
	EXPECT_EQ(0, vfio_hot_reset(self->a.device, fds, 2));
	vfio_dev_close(&other);
}

/* A device file is no group, with or without one next to it. */
TEST_F(pair, device_files)
{
	int32_t fds[2] = { self->a.device, self->b.device };

	if (variant->mode == VFIO_MODE_IOMMUFD)
		SKIP(return, "no group files to show");

	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, fds, 1));
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, fds, 2));
	fds[0] = self->a.group;
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->a.device, fds, 2));
}

TEST_F(pair, both_are_reset)
{
	struct vfio_dev asking;
	int i;

	for (i = 0; i < 3; i++) {
		vfio_mmio_write32(self->map_a + MTA, 0x1234);
		vfio_mmio_write32(self->map_b + MTA, 0x5678);
		asking = self->a;
		if (i & 1)
			asking.device = self->b.device;
		ASSERT_EQ(0, vfio_dev_hot_reset(&asking));
		EXPECT_EQ(0, vfio_mmio_read32(self->map_a + MTA));
		EXPECT_EQ(0, vfio_mmio_read32(self->map_b + MTA));
		EXPECT_EQ(self->rah_a, vfio_mmio_read32(self->map_a + RAH));
		EXPECT_EQ(self->rah_b, vfio_mmio_read32(self->map_b + RAH));
	}
}

/* Each keeps its own decoding and power. */
TEST_F(pair, as_they_were)
{
	uint32_t value;

	ASSERT_EQ(0, vfio_cfg_memory(&self->b, false));
	ASSERT_EQ(0, vfio_dev_hot_reset(&self->a));
	EXPECT_EQ(self->rah_a, vfio_mmio_read32(self->map_a + RAH));
	EXPECT_EQ(SIGBUS, vfio_try_load32(self->map_b + RAH, &value));
	ASSERT_EQ(0, vfio_cfg_memory(&self->b, true));
	EXPECT_EQ(self->rah_b, vfio_mmio_read32(self->map_b + RAH));

	/* One that sleeps is woken to be reset. */
	ASSERT_EQ(0, vfio_cfg_power(&self->b, 3));
	ASSERT_EQ(0, vfio_dev_hot_reset(&self->a));
	ASSERT_EQ(0, vfio_cfg_power(&self->b, 0));
	ASSERT_EQ(0, vfio_cfg_memory(&self->b, true));
	EXPECT_EQ(self->rah_a, vfio_mmio_read32(self->map_a + RAH));
	EXPECT_EQ(self->rah_b, vfio_mmio_read32(self->map_b + RAH));

	ASSERT_EQ(0, vfio_low_power(&self->b,
				    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, -1));
	ASSERT_EQ(0, vfio_runtime_status(self->b.bdf, "suspended", 10000));
	ASSERT_EQ(0, vfio_dev_hot_reset(&self->a));
	EXPECT_EQ(SIGBUS, vfio_try_load32(self->map_b + RAH, &value));
	ASSERT_EQ(0, vfio_low_power(&self->b,
				    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, -1));
	EXPECT_EQ(self->rah_b, vfio_mmio_read32(self->map_b + RAH));
}

/* With only one of them open the group proves both. */
TEST_F(pair, one_is_closed)
{
	ASSERT_EQ(0, munmap(self->map_b, self->size));
	vfio_dev_close(&self->b);
	vfio_mmio_write32(self->map_a + MTA, 0x1234);
	ASSERT_EQ(0, vfio_dev_hot_reset(&self->a));
	EXPECT_EQ(0, vfio_mmio_read32(self->map_a + MTA));
	EXPECT_EQ(self->rah_a, vfio_mmio_read32(self->map_a + RAH));
}

/* A function that no vfio driver has cannot be reset along. */
TEST_F(pair, one_is_not_ours)
{
	struct vfio_pci_hot_reset_info *info;

	ASSERT_EQ(0, munmap(self->map_b, self->size));
	vfio_dev_close(&self->b);
	ASSERT_EQ(0, vfio_pci_unbind(self->b.bdf));
	vfio_mmio_write32(self->map_a + MTA, 0x1234);
	EXPECT_EQ(-EINVAL, vfio_dev_hot_reset(&self->a));
	EXPECT_EQ(0x1234, vfio_mmio_read32(self->map_a + MTA));
	info = calloc(1, MINSZ + 2 * ENTRY);
	EXPECT_EQ(0, get_info(&self->a, info, MINSZ + 2 * ENTRY));
	EXPECT_EQ(2, info->count);
	free(info);
	ASSERT_EQ(0, vfio_pci_bind(self->b.bdf));
	EXPECT_EQ(0, vfio_dev_hot_reset(&self->a));
	EXPECT_EQ(0, vfio_mmio_read32(self->map_a + MTA));
}

struct endless {
	const struct vfio_dev *d;
	uint64_t bad;
	bool stop;
};

static void *endless_reads(void *arg)
{
	struct endless *e = arg;
	static char buf[2][65536];

	while (!__atomic_load_n(&e->stop, __ATOMIC_ACQUIRE)) {
		int64_t n = vfio_region_read(e->d, 0, 0, buf[0], 65536);

		if (n != 65536 && n != -EIO)
			e->bad++;
	}
	return NULL;
}

/*
 * The locks of others of the set are only tried. Contention may or may not
 * happen; it has to be reported as EBUSY, leave everything as it was, and end.
 */
TEST_F_TIMEOUT(pair, contended, 120)
{
	struct endless e[2] = { { &self->a }, { &self->b } };
	pthread_t threads[2];
	int i, ret, done = 0, busy = 0;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, endless_reads,
					    &e[i]));
	for (i = 0; i < 20 || (!done && i < 1000); i++) {
		vfio_mmio_write32(self->map_a + MTA, 0x1234);
		vfio_mmio_write32(self->map_b + MTA, 0x1234);
		ret = vfio_dev_hot_reset(&self->a);
		if (ret == -EBUSY) {
			ASSERT_EQ(0x1234, vfio_mmio_read32(self->map_a + MTA));
			ASSERT_EQ(0x1234, vfio_mmio_read32(self->map_b + MTA));
			busy++;
			continue;
		}
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, vfio_mmio_read32(self->map_a + MTA));
		ASSERT_EQ(0, vfio_mmio_read32(self->map_b + MTA));
		done++;
	}
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&e[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, e[i].bad);
	}
	EXPECT_NE(0, done);
	TH_LOG("%d resets, %d times busy", done, busy);
	EXPECT_EQ(self->rah_a, vfio_mmio_read32(self->map_a + RAH));
	EXPECT_EQ(self->rah_b, vfio_mmio_read32(self->map_b + RAH));
}

/*
 * Functions that cannot be reset alone are reset with their bus when the last
 * of them is closed, and not before.
 */
TEST_F(pair, last_close)
{
	char methods[64];
	uint32_t value;

	ASSERT_EQ(0, vfio_pci_attr_read(self->a.bdf, "reset_method", methods,
					sizeof(methods)));
	ASSERT_EQ(0, vfio_pci_attr_write(self->a.bdf, "reset_method", "\n"));
	ASSERT_EQ(0, vfio_pci_attr_write(self->b.bdf, "reset_method", "\n"));

	/* Opened anew, the devices find no way to be reset. */
	munmap(self->map_a, self->size);
	munmap(self->map_b, self->size);
	vfio_dev_close(&self->b);
	vfio_dev_close(&self->a);
	ASSERT_EQ(0, vfio_dev_open(&self->a, FIRST, variant->mode));
	self->b.device = vfio_dev_get_device(&self->a, self->b.bdf);
	ASSERT_LE(0, self->b.device);
	ASSERT_EQ(0, vfio_cfg_memory(&self->a, true));
	ASSERT_EQ(0, vfio_cfg_memory(&self->b, true));
	EXPECT_EQ(-EINVAL, vfio_reset(&self->a));
	value = 0x1234;
	ASSERT_EQ(4, vfio_region_write(&self->a, 0, MTA, &value, 4));
	ASSERT_EQ(4, vfio_region_write(&self->b, 0, MTA, &value, 4));

	/* One is closed: the other is not disturbed. */
	vfio_dev_close(&self->b);
	self->b.device = vfio_dev_get_device(&self->a, self->b.bdf);
	ASSERT_LE(0, self->b.device);
	ASSERT_EQ(4, vfio_region_read(&self->a, 0, MTA, &value, 4));
	EXPECT_EQ(0x1234, value);
	vfio_dev_close(&self->b);

	/* Both are closed. */
	vfio_dev_close(&self->a);
	ASSERT_EQ(0, vfio_dev_open(&self->a, FIRST, variant->mode));
	self->b.device = vfio_dev_get_device(&self->a, self->b.bdf);
	ASSERT_LE(0, self->b.device);
	ASSERT_EQ(0, vfio_cfg_memory(&self->a, true));
	ASSERT_EQ(0, vfio_cfg_memory(&self->b, true));
	ASSERT_EQ(4, vfio_region_read(&self->a, 0, MTA, &value, 4));
	EXPECT_EQ(0, value);
	ASSERT_EQ(4, vfio_region_read(&self->b, 0, MTA, &value, 4));
	EXPECT_EQ(0, value);
	EXPECT_EQ(0, vfio_pci_attr_write(self->a.bdf, "reset_method",
					 "default"));
	EXPECT_EQ(0, vfio_pci_attr_write(self->b.bdf, "reset_method",
					 "default"));
}

/* Devices of the root bus cannot be reset with it. */
TEST(root_bus)
{
	struct vfio_pci_hot_reset_info info = { .argsz = sizeof(info) };
	struct vfio_dev d;

	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	EXPECT_EQ(-ENODEV, vfio_ioctl(d.device,
				      VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
				      &info));
	EXPECT_EQ(-ENODEV, vfio_hot_reset(d.device, &d.group, 1));
	EXPECT_EQ(-EINVAL, vfio_hot_reset(d.device, &d.group, 0));
	vfio_dev_close(&d);
}

TEST_HARNESS_MAIN
