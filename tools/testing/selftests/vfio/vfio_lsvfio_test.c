// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tools/vfio/lsvfio says. The environment variable VFIO_TEST_LSVFIO names
 * the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/limits.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_sriov.h"
#include "vfio_variants.h"

#define PAGE	VFIO_PAGE
#define BAR	0

FIXTURE(lsvfio)
{
	struct vfio_dev d;
	const char *program;
	char text[16384];
};

FIXTURE_VARIANT(lsvfio)
{
	int mode;
};

FIXTURE_VARIANT_ADD(lsvfio, type1v2) { VFIO_TYPE1v2_IOMMU };
FIXTURE_VARIANT_ADD(lsvfio, iommufd) { VFIO_MODE_IOMMUFD };

FIXTURE_SETUP(lsvfio)
{
	self->program = getenv("VFIO_TEST_LSVFIO");
	if (!self->program)
		SKIP(_exit(KSFT_SKIP), "VFIO_TEST_LSVFIO is not set");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, variant->mode);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
}

FIXTURE_TEARDOWN(lsvfio)
{
	vfio_dev_close(&self->d);
}

#define SELF FIXTURE_DATA(lsvfio)

/* Its exit status; what it prints is in self->text. */
static int run(SELF *self, const char *arguments)
{
	char command[PATH_MAX + 256];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s %s 2>/dev/null", self->program,
		 arguments);
	f = popen(command, "r");
	if (!f)
		return -errno;
	n = fread(self->text, 1, sizeof(self->text) - 1, f);
	self->text[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

/* The line of the table that is about a device, with its words apart by one space. */
static const char *row(SELF *self, const char *bdf)
{
	static char words[512];
	char *line, *next, *to = words;

	if (run(self, ""))
		return "";
	for (line = strtok_r(self->text, "\n", &next); line;
	     line = strtok_r(NULL, "\n", &next))
		if (!strncmp(line + strspn(line, " "), bdf, strlen(bdf)))
			break;
	for (; line && *line; line++)
		if (*line != ' ' || (to > words && to[-1] != ' '))
			*to++ = *line;
	*to = '\0';
	return words;
}

/* This process, as it is shown; the kernel keeps 15 letters of a name. */
static void expect_row(struct __test_metadata *_metadata, SELF *self,
		       const char *gate, const char *has)
{
	char want[256];
	int group = vfio_pci_group(self->d.bdf);

	snprintf(want, sizeof(want), "%s %s %d vfio-pci %s %.15s[%d]%s",
		 self->d.bdf, VFIO_NVME, group, gate,
		 program_invocation_short_name, getpid(), has);
	EXPECT_STREQ(want, row(self, self->d.bdf));
}

TEST_F(lsvfio, gate_and_user)
{
	expect_row(_metadata, self, "open", "");
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	expect_row(_metadata, self, "closed (decode)", "");
}

TEST_F(lsvfio, nobody)
{
	char want[128];

	vfio_dev_close(&self->d);
	snprintf(want, sizeof(want), "%s %s %d vfio-pci closed (not_open",
		 self->d.bdf, VFIO_NVME, vfio_pci_group(self->d.bdf));
	EXPECT_EQ(0, strncmp(want, row(self, self->d.bdf), strlen(want)));
	EXPECT_STREQ(" -", strrchr(row(self, self->d.bdf), ' '));
}

/* Who has the group could have the device any time, and keeps others away. */
TEST_F(lsvfio, group_only)
{
	char want[64];

	if (variant->mode == VFIO_MODE_IOMMUFD)
		SKIP(return, "no group is open");
	close(self->d.device);
	self->d.device = -1;
	snprintf(want, sizeof(want), "[%d] group", getpid());
	EXPECT_NE(NULL, strstr(row(self, self->d.bdf), want));
}

/* What is in the way of opening a group is shown with it. */
TEST_F(lsvfio, rest_of_group)
{
	char first[VFIO_BDF_LEN], second[VFIO_BDF_LEN];
	const char *line;

	if (vfio_pci_resolve("8086:10d3#0", first) ||
	    vfio_pci_resolve("8086:10d3#1", second) ||
	    vfio_pci_group(first) != vfio_pci_group(second))
		SKIP(return, "no two functions in one group");
	ASSERT_EQ(0, vfio_pci_bind(first));
	vfio_pci_restore(second);
	line = row(self, second);
	EXPECT_STREQ(" - -", line + strlen(line) - 4) {
		TH_LOG("%s", line);
	}
	ASSERT_EQ(0, vfio_pci_bind(second));
	EXPECT_NE(NULL, strstr(row(self, second), "vfio-pci closed"));
}

/* Who unbinds the device waits, and it is shown whom for. */
TEST_F(lsvfio, leaving)
{
	int request = vfio_eventfd();
	char want[128];
	pid_t remover;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_REQ_IRQ_INDEX, 0,
				      request));
	remover = vfio_remover_start(self->d.bdf, "driver/unbind");
	ASSERT_LT(0, remover);
	ASSERT_EQ(0, vfio_eventfd_wait(request, 20000, NULL));
	snprintf(want, sizeof(want), "%d (leaving) open %.15s[%d]",
		 vfio_pci_group(self->d.bdf), program_invocation_short_name,
		 getpid());
	EXPECT_NE(NULL, strstr(row(self, self->d.bdf), want)) {
		TH_LOG("%s", row(self, self->d.bdf));
	}
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_remover_wait(remover, 20000));
	close(request);
}

/* A PF is not held by a process, but by a VF that is. */
TEST_F(lsvfio, pf_waits_for_vf)
{
	char pf[VFIO_BDF_LEN], vfs[2][VFIO_BDF_LEN], want[128];
	const char *token = "a0a0a0a0-1111-4222-8333-444444444444";
	struct vfio_dev vf;
	pid_t remover;
	int request;

	if (variant->mode == VFIO_MODE_IOMMUFD)
		SKIP(return, "the token is for groups");
	if (vfio_sriov_find(pf))
		SKIP(return, "no PF here");
	ASSERT_EQ(0, vfio_pci_bind(pf));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y"));
	ASSERT_EQ(0, vfio_token_open(&vf, pf, token));
	vfio_dev_close(&vf);
	ASSERT_EQ(0, vfio_sriov_make(pf, vfs));
	ASSERT_EQ(0, vfio_token_open(&vf, vfs[1], token));
	request = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&vf, VFIO_PCI_REQ_IRQ_INDEX, 0, request));
	EXPECT_EQ(NULL, strstr(row(self, pf), "waits for"));

	remover = vfio_remover_start(pf, "driver/unbind");
	ASSERT_LT(0, remover);
	ASSERT_EQ(0, vfio_eventfd_wait(request, 20000, NULL));
	snprintf(want, sizeof(want), "%d (leaving) closed (not_open",
		 vfio_pci_group(pf));
	EXPECT_NE(NULL, strstr(row(self, pf), want));
	snprintf(want, sizeof(want), " waits for %s", vfs[1]);
	EXPECT_NE(NULL, strstr(row(self, pf), want)) {
		TH_LOG("%s", row(self, pf));
	}
	snprintf(want, sizeof(want), "%d (leaving) open %.15s[%d]",
		 vfio_pci_group(vfs[1]), program_invocation_short_name, getpid());
	EXPECT_NE(NULL, strstr(row(self, vfs[1]), want)) {
		TH_LOG("%s", row(self, vfs[1]));
	}

	vfio_dev_close(&vf);
	EXPECT_EQ(0, vfio_remover_wait(remover, 20000));
	close(request);
	EXPECT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "N"));
	EXPECT_EQ(0, vfio_pci_bind(pf));
}

TEST_F(lsvfio, json)
{
	char arguments[128], want[128];
	void *map;

	ASSERT_EQ(0, vfio_region_mmap(&self->d, BAR, 0, PAGE, &map));
	snprintf(arguments, sizeof(arguments),
		 "--json %s | python3 -m json.tool --compact", self->d.bdf);
	ASSERT_EQ(0, run(self, arguments));
	EXPECT_NE(NULL, strstr(self->text, "\"gate\":{\"state\":\"open\"}"));
	EXPECT_NE(NULL, strstr(self->text, "\"size\":4096,\"access\":\"rw\""));
	snprintf(want, sizeof(want), "\"users\":[{\"pid\":%d,\"command\":\"%.15s\"",
		 getpid(), program_invocation_short_name);
	EXPECT_NE(NULL, strstr(self->text, want)) {
		TH_LOG("%s", self->text);
	}
	munmap(map, PAGE);
}

TEST_F(lsvfio, verbose)
{
	ASSERT_EQ(0, run(self, "--verbose"));
	EXPECT_NE(NULL, strstr(self->text, "interrupts: type none, used 0"));
	EXPECT_NE(NULL, strstr(self->text, "closers:"));
}

TEST_F(lsvfio, wrong_arguments)
{
	EXPECT_EQ(1, run(self, "0000:ff:1f.7"));
	EXPECT_EQ(2, run(self, "--no-such-option"));
	EXPECT_EQ(0, run(self, "--help"));
	EXPECT_NE(NULL, strstr(self->text, "columns:"));
}

/* Without the right to look it still says what sysfs says. */
TEST_F(lsvfio, unprivileged)
{
	char copy[] = "/tmp/lsvfio.XXXXXX", want[128];
	const char *const cp[] = { "cp", self->program, copy, NULL };
	int status, fd = mkstemp(copy);
	pid_t child;

	/* The program may be where only root gets to. */
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fchmod(fd, 0755));
	close(fd);
	ASSERT_EQ(0, vfio_run(cp));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		self->program = copy;
		if (setgid(65534) || setuid(65534))
			_exit(2);
		snprintf(want, sizeof(want), "%s %s %d vfio-pci ? -",
			 self->d.bdf, VFIO_NVME, vfio_pci_group(self->d.bdf));
		_exit(!!strcmp(want, row(self, self->d.bdf)));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	unlink(copy);
}

TEST_HARNESS_MAIN
