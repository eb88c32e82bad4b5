// SPDX-License-Identifier: GPL-2.0-only
/*
 * What debugfs shows of a device: vfio/<name>/, and below it the state of a
 * device that can migrate, which the mtty sample can.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/limits.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"

#define UUID "2ab5d2a6-52b5-45f2-a4a8-4d2c0b1e0004"
#define ROOT "/sys/kernel/debug/vfio"
#define STATE ROOT "/" UUID "/migration/state"
#define NVME "1b36:0010"

FIXTURE(debugfs)
{
	struct vfio_dev d;
};

FIXTURE_SETUP(debugfs)
{
	vfio_dev_init(&self->d);
	ASSERT_EQ(0, vfio_modprobe("vfio"));
	if (access(ROOT, F_OK))
		SKIP(return, "the kernel has no VFIO_DEBUGFS");
	if (vfio_mtty_load())
		SKIP(return, "the mtty sample is not here");
	vfio_mtty_destroy(UUID);
	ASSERT_EQ(0, vfio_mtty_create("mtty-1", UUID));
}

FIXTURE_TEARDOWN(debugfs)
{
	vfio_dev_close(&self->d);
	vfio_mtty_destroy(UUID);
}

static int open_mtty(struct vfio_dev *d)
{
	return vfio_dev_open_named(d, UUID, vfio_mtty_group(UUID),
				   VFIO_TYPE1v2_IOMMU, NULL);
}

/* A file that comes with the state is of no interest here. */
static int set_state(const struct vfio_dev *d, uint32_t state)
{
	struct {
		struct vfio_device_feature header;
		struct vfio_device_feature_mig_state state;
	} arg = {
		.header.argsz = sizeof(arg),
		.header.flags = VFIO_DEVICE_FEATURE_SET |
				VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
		.state.device_state = state,
	};
	int ret = vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, &arg);

	if (!ret && arg.state.data_fd >= 0)
		close(arg.state.data_fd);
	return ret;
}

TEST_F(debugfs, follows_state)
{
	static const struct {
		uint32_t state;
		const char *name;
	} path[] = {
		{ VFIO_DEVICE_STATE_STOP, "STOP" },
		{ VFIO_DEVICE_STATE_RESUMING, "RESUMING" },
		{ VFIO_DEVICE_STATE_STOP, "STOP" },
		{ VFIO_DEVICE_STATE_RUNNING_P2P, "RUNNING_P2P" },
		{ VFIO_DEVICE_STATE_PRE_COPY_P2P, "PRE_COPY_P2P" },
		{ VFIO_DEVICE_STATE_STOP_COPY, "STOP_COPY" },
		{ VFIO_DEVICE_STATE_STOP, "STOP" },
		{ VFIO_DEVICE_STATE_RUNNING, "RUNNING" },
		{ VFIO_DEVICE_STATE_PRE_COPY, "PRE_COPY" },
	};
	char text[32];
	size_t i;

	ASSERT_EQ(0, open_mtty(&self->d));
	ASSERT_EQ(0, vfio_sysfs_read(STATE, text, sizeof(text)));
	ASSERT_STREQ("RUNNING", text);
	for (i = 0; i < ARRAY_SIZE(path); i++) {
		/* An empty device has nothing to resume from. */
		if (set_state(&self->d, path[i].state)) {
			ASSERT_EQ(VFIO_DEVICE_STATE_RESUMING,
				  path[i - 1].state);
			ASSERT_EQ(0, vfio_ioctl(self->d.device,
						VFIO_DEVICE_RESET));
			ASSERT_EQ(0, set_state(&self->d, path[i].state));
		}
		ASSERT_EQ(0, vfio_sysfs_read(STATE, text, sizeof(text)));
		ASSERT_STREQ(path[i].name, text);
	}
}

TEST_F(debugfs, cannot_be_written)
{
	char text[32];

	ASSERT_GT(0, vfio_sysfs_write(STATE, "STOP"));
	ASSERT_EQ(0, vfio_sysfs_read(STATE, text, sizeof(text)));
	ASSERT_STREQ("RUNNING", text);
}

TEST_F(debugfs, goes_with_device)
{
	ASSERT_EQ(0, access(STATE, F_OK));
	ASSERT_EQ(0, vfio_mtty_destroy(UUID));
	ASSERT_NE(0, access(ROOT "/" UUID, F_OK));
	ASSERT_EQ(0, access(ROOT, F_OK));
}

/* One that cannot migrate has a directory with nothing in it. */
TEST_F(debugfs, no_migration)
{
	char path[PATH_MAX], bdf[VFIO_BDF_LEN];

	if (vfio_pci_resolve(NVME, bdf))
		SKIP(return, "no device %s here", NVME);
	ASSERT_EQ(0, vfio_pci_bind_group(bdf));
	snprintf(path, sizeof(path), ROOT "/%s", bdf);
	ASSERT_EQ(0, access(path, F_OK));
	snprintf(path, sizeof(path), ROOT "/%s/migration", bdf);
	ASSERT_NE(0, access(path, F_OK));
	ASSERT_EQ(0, vfio_pci_restore(bdf));
	snprintf(path, sizeof(path), ROOT "/%s", bdf);
	ASSERT_NE(0, access(path, F_OK));
}

static atomic_bool stop;

static void *read_on(void *unused)
{
	char text[32];

	while (!atomic_load(&stop))
		vfio_sysfs_read(STATE, text, sizeof(text));
	return NULL;
}

/* Readers are there while the device comes and goes. */
TEST_F(debugfs, removed_while_read)
{
	int klog = vfio_klog_open();
	pthread_t reader;
	int i;

	ASSERT_LE(0, klog);
	atomic_store(&stop, false);
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_on, NULL));
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0, vfio_mtty_destroy(UUID));
		EXPECT_EQ(0, vfio_mtty_create("mtty-1", UUID));
		usleep(1000);
	}
	atomic_store(&stop, true);
	pthread_join(reader, NULL);
	ASSERT_EQ(0, vfio_klog_splats(klog));
	close(klog);
}

TEST_HARNESS_MAIN
