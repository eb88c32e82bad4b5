// SPDX-License-Identifier: GPL-2.0-only
/* A physical function in user space, its VFs, and the token between them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_sriov.h"
#include "vfio_variants.h"

#define AUTOPROBE "sriov_drivers_autoprobe"

static const char token_a[] = "00112233-4455-6677-8899-aabbccddeeff";
static const char token_a_upper[] = "00112233-4455-6677-8899-AABBCCDDEEFF";
static const char token_0[] = "00000000-0000-0000-0000-000000000000";
static const char token_b[] = "ffeeddcc-bbaa-9988-7766-554433221100";

/* The same as the kernel gets it in VFIO_DEVICE_FEATURE: plain bytes. */
static const uint8_t bytes_a[16] = {
	0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
};

static const uint8_t bytes_b[16] = {
	0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,
	0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00,
};

/*
 * The first open and the last close of a PF reset it, and some forget their VFs
 * in that: a test that has the PF open opens it before it makes VFs.
 */
FIXTURE(sriov)
{
	char pf[VFIO_BDF_LEN];
	char vf[2][VFIO_BDF_LEN];
	int klog;
};

/* One PF, no VFs, and token_a. */
FIXTURE_SETUP(sriov)
{
	struct vfio_dev pf;

	if (vfio_sriov_find(self->pf))
		SKIP(_exit(KSFT_SKIP), "no PF here");
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
	ASSERT_EQ(0, vfio_pci_bind(self->pf));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y"));
	ASSERT_EQ(0, vfio_pci_attr_write(self->pf, AUTOPROBE, "1"));
	ASSERT_EQ(0, vfio_sriov_get(self->pf));
	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, token_a));
	vfio_dev_close(&pf);
}

FIXTURE_TEARDOWN(sriov)
{
	vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y");
	EXPECT_EQ(0, vfio_sriov_set(self->pf, 0));
	EXPECT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "N"));
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

TEST_F(sriov, numvfs)
{
	char text[16];

	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(2, vfio_sriov_get(self->pf));
	EXPECT_EQ(0, vfio_sriov_set(self->pf, 2));
	EXPECT_EQ(-EBUSY, vfio_sriov_set(self->pf, 1));
	EXPECT_EQ(-ERANGE, vfio_sriov_set(self->pf, 3));
	ASSERT_EQ(2, vfio_sriov_get(self->pf));
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	EXPECT_FALSE(vfio_pci_is_there(self->vf[0]));
	EXPECT_FALSE(vfio_pci_is_there(self->vf[1]));
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 1));
	EXPECT_TRUE(vfio_pci_is_there(self->vf[0]));
	EXPECT_FALSE(vfio_pci_is_there(self->vf[1]));

	/* The parameter counts when it is needed, not when VFs were made. */
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "N"));
	ASSERT_EQ(0, vfio_sysfs_read(VFIO_SRIOV_PARAM, text, sizeof(text)));
	EXPECT_STREQ("N", text);
	EXPECT_EQ(-ENOENT, vfio_sriov_set(self->pf, 0));
	EXPECT_EQ(1, vfio_sriov_get(self->pf));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y"));
	EXPECT_EQ(0, vfio_sriov_set(self->pf, 0));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "N"));
	EXPECT_EQ(-ENOENT, vfio_sriov_set(self->pf, 2));
	EXPECT_EQ(0, vfio_sriov_get(self->pf));
}

TEST_F(sriov, many_times)
{
	struct vfio_dev pf, vf;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, vfio_token_open(&pf, self->pf, token_a));
		ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
		ASSERT_EQ(0, vfio_token_open(&vf, self->vf[i % 2], token_a));
		vfio_dev_close(&vf);
		if (i & 1)
			ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
		vfio_dev_close(&pf);
		ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	}
}

/* Each VF comes to vfio-pci, in a group of its own. */
TEST_F(sriov, captured)
{
	int group = vfio_pci_group(self->pf);
	struct vfio_dev d;
	char text[64];
	int i;

	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	EXPECT_NE(vfio_pci_group(self->vf[0]), vfio_pci_group(self->vf[1]));
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(vfio_pci_is_bound(self->vf[i], "vfio-pci"));
		EXPECT_NE(group, vfio_pci_group(self->vf[i]));
		ASSERT_EQ(0, vfio_pci_attr_read(self->vf[i], "driver_override",
						text, sizeof(text)));
		EXPECT_STREQ("vfio-pci", text);
		ASSERT_EQ(0, vfio_pci_link(self->vf[i], "physfn", text,
					   sizeof(text)));
		EXPECT_STREQ(self->pf, text);
	}

	/* Also where the PF's VFs are to be left without a driver. */
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	ASSERT_EQ(0, vfio_pci_attr_write(self->pf, AUTOPROBE, "0"));
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 2));
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(vfio_pci_is_bound(self->vf[i], "vfio-pci"));

	/* A VF finds its PF however late it comes. */
	ASSERT_EQ(0, vfio_pci_unbind(self->vf[1]));
	EXPECT_EQ(-EACCES, vfio_token_open(&d, self->vf[1], NULL));
	ASSERT_EQ(0, vfio_token_open(&d, self->vf[1], token_a));
	vfio_dev_close(&d);
}

TEST_F(sriov, vf_needs_token)
{
	struct vfio_dev pf, vf;

	/* A new driver has a random token, which nobody knows. */
	ASSERT_EQ(0, vfio_pci_unbind(self->pf));
	ASSERT_EQ(0, vfio_pci_bind(self->pf));
	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, NULL));
	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(0, vfio_token_open_group(&vf, self->vf[0]));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, NULL));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_a));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_0));

	ASSERT_EQ(0, vfio_token_set(pf.device, bytes_a));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, NULL));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_b));
	EXPECT_EQ(0, vfio_token_try(&vf, token_a));
	EXPECT_EQ(0, vfio_token_try(&vf, token_a_upper));
	vfio_dev_close(&vf);

	/* It lasts longer than the VFs and the PF's user. */
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	vfio_dev_close(&pf);
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 2));
	ASSERT_EQ(0, vfio_token_open_group(&vf, self->vf[1]));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, NULL));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_b));
	EXPECT_EQ(0, vfio_token_try(&vf, token_a));
	vfio_dev_close(&vf);
}

TEST_F(sriov, malformed_tokens)
{
	static const char *const bad[] = {
		"", "00112233", "00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeeff0",
		"00112233-4455-6677-8899-aabbccddeefg",
		"00112233.4455.6677.8899.aabbccddeeff",
		"00112233445566778899aabbccddeeff0000",
		"00112233-4455-6677-8899-aabbccddeeff other",
	};
	struct vfio_dev vf, pf;
	char name[VFIO_BDF_LEN + 128];
	int i;

	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, token_a));
	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(0, vfio_token_open_group(&vf, self->vf[0]));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, vfio_token_try(&vf, bad[i])) TH_LOG("%s", bad[i]);
		EXPECT_EQ(-EINVAL, vfio_token_try(&pf, bad[i])) TH_LOG("%s", bad[i]);
	}

	/* Options are behind a blank, and none is half an option. */
	snprintf(name, sizeof(name), "%s,vf_token=%s", vf.bdf, token_a);
	EXPECT_EQ(-ENODEV, vfio_get_device_fd(vf.group, name));
	snprintf(name, sizeof(name), "%s token=%s", vf.bdf, token_a);
	EXPECT_EQ(-EINVAL, vfio_get_device_fd(vf.group, name));
	snprintf(name, sizeof(name), "%s VF_TOKEN=%s", vf.bdf, token_a);
	EXPECT_EQ(-EINVAL, vfio_get_device_fd(vf.group, name));
	snprintf(name, sizeof(name), "%s vf_token=%s vf_token=%s", vf.bdf,
		 token_a, token_a);
	EXPECT_EQ(-EINVAL, vfio_get_device_fd(vf.group, name));
	snprintf(name, sizeof(name), "%s vf_token=%s", pf.bdf, token_a);
	EXPECT_EQ(-ENODEV, vfio_get_device_fd(vf.group, name));

	EXPECT_EQ(0, vfio_token_try(&vf, token_a));
	vfio_dev_close(&vf);
	vfio_dev_close(&pf);
}

/* With VFs in use, a PF is opened only by who knows the token. */
TEST_F(sriov, pf_needs_token)
{
	struct vfio_dev pf, vf;

	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, token_a));
	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(0, vfio_token_open_group(&vf, self->vf[0]));

	/* Nobody uses a VF: the last one who gives a token sets it. */
	EXPECT_EQ(0, vfio_token_try(&pf, token_b));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_a));
	EXPECT_EQ(0, vfio_token_try(&pf, token_a));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_b));
	/* Who gives none leaves it as it is. */
	EXPECT_EQ(0, vfio_token_try(&pf, NULL));
	vf.device = vfio_token_fd(&vf, token_a);
	ASSERT_LE(0, vf.device);

	EXPECT_EQ(-EACCES, vfio_token_try(&pf, NULL));
	EXPECT_EQ(-EACCES, vfio_token_try(&pf, token_b));
	EXPECT_EQ(0, vfio_token_try(&pf, token_a));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, NULL));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_b));
	EXPECT_EQ(0, vfio_token_try(&vf, token_a));

	/* Only by feature can it be changed now; who is in stays. */
	ASSERT_EQ(0, vfio_token_set(pf.device, bytes_b));
	EXPECT_EQ(-EACCES, vfio_token_try(&pf, NULL));
	EXPECT_EQ(-EACCES, vfio_token_try(&pf, token_a));
	EXPECT_EQ(-EACCES, vfio_token_try(&vf, token_a));
	EXPECT_EQ(0, vfio_token_try(&pf, token_b));
	EXPECT_EQ(0, vfio_token_try(&vf, token_b));
	EXPECT_EQ(0x1b36, vfio_cfg_read16(&vf, PCI_VENDOR_ID));

	/* The last file of the last VF is what counts. */
	close(vf.device);
	vf.device = -1;
	EXPECT_EQ(0, vfio_token_try(&pf, NULL));
	EXPECT_EQ(0, vfio_token_try(&pf, token_a));
	EXPECT_EQ(0, vfio_token_try(&vf, token_a));
	vfio_dev_close(&vf);
	vfio_dev_close(&pf);
}

TEST_F(sriov, token_feature)
{
	uint32_t get = VFIO_DEVICE_FEATURE_GET;
	uint32_t set = VFIO_DEVICE_FEATURE_SET;
	uint32_t probe = VFIO_DEVICE_FEATURE_PROBE;
	struct vfio_dev pf, vf;

	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, token_a));
	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(0, vfio_token_open(&vf, self->vf[0], token_a));

	EXPECT_EQ(0, vfio_token_feature(pf.device, probe, NULL, 0));
	EXPECT_EQ(0, vfio_token_feature(pf.device, probe | set, NULL, 0));
	EXPECT_EQ(-EINVAL, vfio_token_feature(pf.device, probe | get, NULL, 0));
	EXPECT_EQ(-EINVAL, vfio_token_feature(pf.device, get, NULL, 16));
	EXPECT_EQ(-EINVAL, vfio_token_feature(pf.device, get | set, NULL, 16));
	EXPECT_EQ(-EINVAL, vfio_token_feature(pf.device, 0, bytes_b, 16));
	EXPECT_EQ(-EINVAL, vfio_token_feature(pf.device, set, bytes_b, 15));
	EXPECT_EQ(0, vfio_token_try(&vf, token_a));
	EXPECT_EQ(0, vfio_token_feature(pf.device, set, bytes_b, 16));
	EXPECT_EQ(0, vfio_token_try(&vf, token_b));

	/* VFs have no token to set. */
	EXPECT_EQ(-ENOTTY, vfio_token_feature(vf.device, probe, NULL, 0));
	EXPECT_EQ(-ENOTTY, vfio_token_feature(vf.device, set, bytes_a, 16));
	EXPECT_EQ(0, vfio_token_try(&vf, token_b));
	vfio_dev_close(&vf);
	vfio_dev_close(&pf);
}

/* The token is copied from memory that is not there. */
TEST_F(sriov, token_fault)
{
	struct vfio_device_feature *arg;
	struct vfio_dev pf;
	uint8_t *page;

	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	arg = (void *)(page + 4096 - sizeof(*arg));
	arg->argsz = sizeof(*arg) + 16;
	arg->flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN;

	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, NULL));
	EXPECT_EQ(-EFAULT, vfio_ioctl(pf.device, VFIO_DEVICE_FEATURE, arg));
	vfio_dev_close(&pf);
	munmap(page, 4096);
}

/* Where no PF and no VF is, a token means a mistake. */
TEST(token_without_meaning)
{
	static const char *const ids[] = { VFIO_EDU, VFIO_E1000E };
	struct vfio_dev d;
	int i, found = 0;

	for (i = 0; i < 2; i++) {
		char bdf[VFIO_BDF_LEN];

		if (vfio_pci_resolve(ids[i], bdf))
			continue;
		found++;
		ASSERT_EQ(0, vfio_token_open_group(&d, bdf));
		EXPECT_EQ(-EINVAL, vfio_token_try(&d, token_a));
		EXPECT_EQ(-EINVAL, vfio_token_try(&d, "nonsense"));
		d.device = vfio_token_fd(&d, NULL);
		ASSERT_LE(0, d.device);
		EXPECT_EQ(-ENOTTY, vfio_token_set(d.device, bytes_a));
		vfio_dev_close(&d);
	}
	if (!found)
		SKIP(return, "no device that is not a PF");
}

/* A driver of the host that leaves VFs to whoever wants them. */
static const char *host_driver(const char *bdf)
{
	static const char *const drivers[] = { "pci-pf-stub", "nvme" };
	int i;

	for (i = 0; i < 2; i++)
		if (!vfio_modprobe(drivers[i]) &&
		    !vfio_pci_bind_to(bdf, drivers[i]))
			return drivers[i];
	return NULL;
}

/* A PF takes its VFs along. */
TEST_F(sriov, unbind)
{
	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(0, vfio_pci_unbind(self->pf));
	EXPECT_FALSE(vfio_pci_is_there(self->vf[0]));
	EXPECT_FALSE(vfio_pci_is_there(self->vf[1]));
	EXPECT_EQ(0, vfio_sriov_get(self->pf));
	/* Nobody is there to make new ones. */
	EXPECT_EQ(-ENOENT, vfio_sriov_set(self->pf, 2));
	ASSERT_EQ(0, vfio_pci_bind(self->pf));
	EXPECT_EQ(0, vfio_sriov_get(self->pf));
}

/* VFs of a PF that the host drives: it does not give them away by token. */
TEST_F_TIMEOUT(sriov, pf_of_the_host, 60)
{
	const char *driver;
	struct vfio_dev vf;

	driver = host_driver(self->pf);
	if (!driver)
		SKIP(return, "no driver of the host for this PF");
	ASSERT_EQ(0, vfio_pci_attr_write(self->pf, AUTOPROBE, "0"));
	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(0, vfio_token_open_group(&vf, self->vf[0]));
	EXPECT_EQ(-EINVAL, vfio_token_try(&vf, token_a));
	EXPECT_EQ(0, vfio_token_try(&vf, NULL));
	vfio_dev_close(&vf);

	/* VFs that outlived their PF's driver may be in use by the host. */
	ASSERT_EQ(0, vfio_pci_unbind(self->pf));
	ASSERT_TRUE(vfio_pci_is_there(self->vf[0]));
	ASSERT_EQ(0, vfio_pci_override(self->pf, "vfio-pci"));
	EXPECT_EQ(-EBUSY, vfio_sysfs_write("/sys/bus/pci/drivers/vfio-pci/bind",
					   self->pf));
	EXPECT_EQ(-ENODEV, vfio_pci_bind(self->pf));

	/* They are not captured for it either, and can still be used. */
	ASSERT_EQ(0, vfio_token_open(&vf, self->vf[0], NULL));
	vfio_dev_close(&vf);
	ASSERT_EQ(0, vfio_pci_bind_to(self->pf, driver));
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	ASSERT_EQ(0, vfio_pci_bind(self->pf));
}

/* What is done to the PF waits for the user of a VF, who is asked to go. */
static void waits_for_user(struct __test_metadata *_metadata, const char *pf,
			   char (*vf_bdf)[VFIO_BDF_LEN], bool unbind)
{
	struct vfio_dev vf;
	pid_t remover = -1;
	int status, fd, i;
	uint32_t csts = 0;
	pid_t pid = -1;

	ASSERT_EQ(0, vfio_sriov_make(pf, vf_bdf));
	ASSERT_EQ(0, vfio_token_open(&vf, vf_bdf[1], token_a));
	ASSERT_EQ(0, vfio_cfg_memory(&vf, true));
	fd = vfio_eventfd();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_irq_eventfd(&vf, VFIO_PCI_REQ_IRQ_INDEX, 0, fd));
	EXPECT_EQ(-ETIMEDOUT, vfio_eventfd_wait(fd, 50, NULL));

	if (unbind) {
		remover = vfio_remover_start(pf, "driver/unbind");
		ASSERT_LT(0, remover);
	} else {
		pid = fork();
		if (!pid) {
			close(vf.device);
			close(vf.group);
			close(vf.container);
			_exit(-vfio_sriov_set(pf, 0));
		}
	}

	ASSERT_EQ(0, vfio_eventfd_wait(fd, 15000, NULL));
	for (i = 0; i < 5; i++) {
		if (pid > 0)
			ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
		EXPECT_EQ(0x1b36, vfio_cfg_read16(&vf, PCI_VENDOR_ID));
		EXPECT_EQ(4, vfio_region_read(&vf, 0, NVME_CSTS, &csts, 4));
		EXPECT_EQ(NVME_CSTS_CFS, csts);
		usleep(20000);
	}
	EXPECT_TRUE(vfio_pci_is_there(vf_bdf[1]));
	EXPECT_EQ(-ENODEV, vfio_token_try(&vf, token_a));

	close(vf.device);
	vf.device = -1;
	if (pid > 0) {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
	} else {
		EXPECT_EQ(0, vfio_remover_wait(remover, 15000));
	}
	EXPECT_FALSE(vfio_pci_is_there(vf_bdf[0]));
	EXPECT_FALSE(vfio_pci_is_there(vf_bdf[1]));
	vfio_dev_close(&vf);
	close(fd);
}

TEST_F_TIMEOUT(sriov, disable_while_open, 60)
{
	waits_for_user(_metadata, self->pf, self->vf, false);
	EXPECT_EQ(0, vfio_sriov_get(self->pf));
	EXPECT_TRUE(vfio_pci_is_bound(self->pf, "vfio-pci"));
}

TEST_F_TIMEOUT(sriov, unbind_while_open, 60)
{
	waits_for_user(_metadata, self->pf, self->vf, true);
	EXPECT_FALSE(vfio_pci_is_bound(self->pf, "vfio-pci"));
	ASSERT_EQ(0, vfio_pci_bind(self->pf));
	EXPECT_EQ(0, vfio_sriov_get(self->pf));
	EXPECT_EQ(0, vfio_sriov_set(self->pf, 2));
}

/* A user that is killed does not keep the VF either. */
TEST_F_TIMEOUT(sriov, user_is_killed, 60)
{
	int ready[2], status;
	struct vfio_dev vf;
	pid_t pid, writer;
	char c = 0;

	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		if (vfio_token_open(&vf, self->vf[0], token_a))
			_exit(1);
		if (write(ready[1], &c, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	writer = fork();
	if (!writer)
		_exit(-vfio_sriov_set(self->pf, 0));
	usleep(200000);
	ASSERT_EQ(0, waitpid(writer, &status, WNOHANG));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(writer, waitpid(writer, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_FALSE(vfio_pci_is_there(self->vf[0]));
	close(ready[0]);
	close(ready[1]);
}

/* VFs are gone with their PF's power: it stays in D0. */
TEST_F(sriov, pf_stays_awake)
{
	uint32_t value;
	struct vfio_dev pf, vf;
	int pm;

	/* Nobody has it open. */
	EXPECT_EQ(0, vfio_runtime_status(self->pf, "suspended", 5000));
	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	EXPECT_EQ(0, vfio_runtime_status(self->pf, "active", 0));
	usleep(100000);
	EXPECT_EQ(0, vfio_runtime_status(self->pf, "active", 0));
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	EXPECT_EQ(0, vfio_runtime_status(self->pf, "suspended", 5000));

	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, token_a));
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 2));
	ASSERT_EQ(0, vfio_token_open(&vf, self->vf[0], token_a));
	ASSERT_EQ(0, vfio_cfg_memory(&pf, true));
	ASSERT_EQ(0, vfio_cfg_memory(&vf, true));
	pm = vfio_cfg_cap(&pf, PCI_CAP_ID_PM);
	ASSERT_NE(0, pm);

	EXPECT_EQ(0, vfio_cfg_power(&pf, 3));
	EXPECT_EQ(0, vfio_cfg_read16(&pf, pm + PCI_PM_CTRL) &
		     PCI_PM_CTRL_STATE_MASK);
	EXPECT_EQ(4, vfio_region_read(&pf, 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(0, value);
	EXPECT_EQ(4, vfio_region_read(&vf, 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(NVME_CSTS_CFS, value);

	/* Low power is granted, and takes nobody's power. */
	ASSERT_EQ(0, vfio_low_power(&pf, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
				    -1));
	usleep(100000);
	EXPECT_EQ(0, vfio_runtime_status(self->pf, "active", 0));
	EXPECT_EQ(4, vfio_region_read(&vf, 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(NVME_CSTS_CFS, value);
	ASSERT_EQ(0, vfio_low_power(&pf, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
				    -1));
	EXPECT_EQ(4, vfio_region_read(&pf, 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(0, value);
	vfio_dev_close(&vf);
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	vfio_dev_close(&pf);
	EXPECT_EQ(0, vfio_runtime_status(self->pf, "suspended", 5000));
}

/* It is brought back to D0 for them, even if its user had put it to sleep. */
TEST_F(sriov, enabling_wakes_pf)
{
	uint32_t value;
	struct vfio_dev pf, vf;
	int pm;

	ASSERT_EQ(0, vfio_token_open(&pf, self->pf, token_a));
	ASSERT_EQ(0, vfio_cfg_memory(&pf, true));
	pm = vfio_cfg_cap(&pf, PCI_CAP_ID_PM);
	ASSERT_EQ(0, vfio_cfg_power(&pf, 3));
	EXPECT_EQ(3, vfio_cfg_read16(&pf, pm + PCI_PM_CTRL) &
		     PCI_PM_CTRL_STATE_MASK);
	EXPECT_EQ(-EIO, vfio_region_read(&pf, 0, NVME_CSTS, &value, 4));

	ASSERT_EQ(0, vfio_sriov_make(self->pf, self->vf));
	EXPECT_EQ(0, vfio_cfg_read16(&pf, pm + PCI_PM_CTRL) &
		     PCI_PM_CTRL_STATE_MASK);
	ASSERT_EQ(0, vfio_token_open(&vf, self->vf[1], token_a));
	ASSERT_EQ(0, vfio_cfg_memory(&vf, true));
	EXPECT_EQ(4, vfio_region_read(&vf, 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(NVME_CSTS_CFS, value);
	vfio_dev_close(&vf);

	/* Free to sleep again once they are gone. */
	ASSERT_EQ(0, vfio_sriov_set(self->pf, 0));
	ASSERT_EQ(0, vfio_cfg_power(&pf, 3));
	EXPECT_EQ(3, vfio_cfg_read16(&pf, pm + PCI_PM_CTRL) &
		     PCI_PM_CTRL_STATE_MASK);
	vfio_dev_close(&pf);
}

TEST_HARNESS_MAIN
