// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two who end the same thing: a device is revoked while its files are opened,
 * released and killed. test_stretch.ko makes the moments long in which the one meets
 * the other.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PARAM	"/sys/module/vfio/parameters/revoke_after"
#define FILES	200
#define ROUNDS	20
#define SOON_MS	20000
#define LONG_US	300000

FIXTURE(race)
{
	struct vfio_dev d;
	int files[FILES];
	int log;
	pid_t unbinder;
};

FIXTURE_SETUP(race)
{
	int i;

	if (access(PARAM, F_OK))
		SKIP(_exit(KSFT_SKIP), "this vfio waits for ever");
	for (i = 0; i < FILES; i++)
		self->files[i] = -1;
	self->log = vfio_klog_open();
	ASSERT_LE(0, self->log);
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "0"));
}

static void close_files(FIXTURE_DATA(race) *self)
{
	int i;

	/* Newest first, which is how revoking finds them. */
	for (i = FILES - 1; i >= 0; i--) {
		if (self->files[i] >= 0)
			close(self->files[i]);
		self->files[i] = -1;
	}
}

FIXTURE_TEARDOWN(race)
{
	vfio_stretch_end();
	close_files(self);
	vfio_dev_close(&self->d);
	vfio_sysfs_write(PARAM, "-1");
	vfio_pci_bind_group(VFIO_NVME);
}

#define SELF FIXTURE_DATA(race)

static int open_files(SELF *self)
{
	int i;

	for (i = 0; i < FILES; i++) {
		self->files[i] = vfio_dev_get_device(&self->d, self->d.bdf);
		if (self->files[i] < 0)
			return self->files[i];
	}
	return 0;
}

/* Somebody without a file of the device unbinds it. */
static void start_unbind(SELF *self)
{
	self->unbinder = fork();
	if (!self->unbinder) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_files(self);
		close(self->d.device);
		prctl(PR_SET_NAME, "unbinder");
		_exit(vfio_pci_unbind(self->d.bdf) ? 1 : 0);
	}
}

static int end_unbind(SELF *self)
{
	return vfio_remover_wait(self->unbinder, SOON_MS);
}

static void wait_for_hit(const char *function)
{
	uint64_t end = vfio_now_ms() + SOON_MS;

	while (vfio_stretch_hits(function) == 0 && vfio_now_ms() < end)
		usleep(100);
}

#define STRETCH_OR_SKIP(function, where, comm) do {			\
	int __ret = vfio_stretch(function, LONG_US, where, comm);	\
									\
	if (__ret == -ENXIO)						\
		SKIP(return, "test_stretch.ko is not here");		\
	ASSERT_EQ(0, __ret);						\
} while (0)

/* Many releases, at any moment of it. */
TEST_F_TIMEOUT(race, releases_beside_revoking, 300)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, open_files(self));
		start_unbind(self);
		usleep(round * 1000);
		close_files(self);
		ASSERT_EQ(0, end_unbind(self));
		vfio_dev_close(&self->d);
		ASSERT_EQ(0, vfio_dev_open(&self->d, VFIO_NVME,
					   VFIO_TYPE1v2_IOMMU));
	}
	EXPECT_EQ(0, vfio_klog_splats(self->log));
}

/* A release has begun, and the device is revoked before it closes the file. */
TEST_F(race, revoked_in_a_release)
{
	int closed[2], status;
	pid_t releaser;
	char c;

	ASSERT_EQ(0, pipe(closed));
	STRETCH_OR_SKIP("vfio_group_close_device", "before", "releaser");
	releaser = fork();
	if (!releaser) {
		prctl(PR_SET_NAME, "releaser");
		_exit(read(closed[0], &c, 1) == 1 ? 0 : 1);
	}
	close(self->d.device);
	self->d.device = -1;
	/* The last file is the child's now. */
	ASSERT_EQ(1, write(closed[1], "", 1));
	wait_for_hit("vfio_group_close_device");
	start_unbind(self);
	EXPECT_EQ(0, end_unbind(self));
	EXPECT_EQ(releaser, waitpid(releaser, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, vfio_stretch_hits("vfio_group_close_device"));
	EXPECT_EQ(0, vfio_klog_splats(self->log));
	close(closed[0]);
	close(closed[1]);
}

/* The device is being closed by who revokes it, and all files are released. */
TEST_F(race, released_while_it_is_closed)
{
	ASSERT_EQ(0, open_files(self));
	STRETCH_OR_SKIP("vfio_device_stop_files", "before", "unbinder");
	start_unbind(self);
	wait_for_hit("vfio_device_stop_files");
	close_files(self);
	close(self->d.device);
	self->d.device = -1;
	EXPECT_EQ(0, end_unbind(self));
	EXPECT_EQ(1, vfio_stretch_hits("vfio_device_stop_files"));
	EXPECT_EQ(0, vfio_klog_splats(self->log));
}

/* Somebody has opened the device, and it is revoked before he has his file. */
TEST_F(race, revoked_in_an_open)
{
	pid_t opener;
	int status;

	STRETCH_OR_SKIP("vfio_device_file_set_opened", "before", "opener");
	opener = fork();
	if (!opener) {
		prctl(PR_SET_NAME, "opener");
		close(self->d.device);
		_exit(vfio_dev_get_device(&self->d, self->d.bdf) == -ENODEV ?
		      0 : 1);
	}
	wait_for_hit("vfio_device_file_set_opened");
	start_unbind(self);
	EXPECT_EQ(0, end_unbind(self));
	EXPECT_EQ(opener, waitpid(opener, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, vfio_stretch_hits("vfio_device_file_set_opened"));
	EXPECT_EQ(0, vfio_klog_splats(self->log));
}

/*
 * A file of /dev/vfio/devices has the character device for a moment longer than
 * until its release, and with that the device and what ops->release is in.
 */
TEST_F(race, removed_before_a_file_is_gone)
{
	int fd, closed[2], status;
	uint64_t begin;
	pid_t closer;
	char c;

	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "-1"));
	vfio_dev_close(&self->d);
	VFIO_CDEV_OPEN_OR_SKIP(self->d.bdf, fd);
	ASSERT_EQ(0, pipe(closed));
	STRETCH_OR_SKIP("vfio_device_fops_release", "after", "closer");
	closer = fork();
	if (!closer) {
		prctl(PR_SET_NAME, "closer");
		_exit(read(closed[0], &c, 1) == 1 ? 0 : 1);
	}
	close(fd);
	begin = vfio_now_ms();
	ASSERT_EQ(1, write(closed[1], "", 1));
	wait_for_hit("vfio_device_fops_release");
	start_unbind(self);
	EXPECT_EQ(0, end_unbind(self));
	EXPECT_LE(LONG_US / 1000, vfio_now_ms() - begin);
	EXPECT_EQ(closer, waitpid(closer, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, vfio_stretch_hits("vfio_device_fops_release"));
	EXPECT_EQ(0, vfio_klog_splats(self->log));
	close(closed[0]);
	close(closed[1]);
}

/* Processes die with their files, at any moment of it. */
TEST_F_TIMEOUT(race, killed_beside_revoking, 300)
{
	int round, i, status;
	pid_t user;

	for (round = 0; round < ROUNDS; round++) {
		user = fork();
		if (!user) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (i = 0; i < FILES; i++)
				vfio_dev_get_device(&self->d, self->d.bdf);
			pause();
			_exit(0);
		}
		usleep(50000);
		start_unbind(self);
		usleep(round * 1000);
		kill(user, SIGKILL);
		ASSERT_EQ(user, waitpid(user, &status, 0));
		ASSERT_EQ(0, end_unbind(self));
		vfio_dev_close(&self->d);
		ASSERT_EQ(0, vfio_dev_open(&self->d, VFIO_NVME,
					   VFIO_TYPE1v2_IOMMU));
	}
	EXPECT_EQ(0, vfio_klog_splats(self->log));
}

TEST_HARNESS_MAIN
