// SPDX-License-Identifier: GPL-2.0-only
/*
 * What debugfs shows of a PCI device, vfio/<device>/pci: the gate in front of its
 * memory, who closed it, and who could look through it; and /proc, of who has it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/limits.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define ROOT	"/sys/kernel/debug/vfio"
#define PAGE	VFIO_PAGE
#define IOVA	0x4000000ul

static const char *const files[] = {
	"gate", "closers", "mappings", "exports", "peers", "interrupts",
};

static int show(const char *bdf, const char *file, char *text, size_t len)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), ROOT "/%s/pci/%s", bdf, file);
	return vfio_sysfs_read(path, text, len);
}

/* Lines below the title of a table; a negative errno if there is no table. */
static int rows(const char *bdf, const char *file, char *text, size_t len)
{
	int ret = show(bdf, file, text, len), n = 0;
	const char *p;

	for (p = text; !ret && (p = strchr(p, '\n')); p++)
		n++;
	return ret ?: n;
}

struct closer {
	unsigned long long count, cut, cut_ns, shut_ns, longest_ns, last_ns;
};

static int read_closer(const char *bdf, const char *name, struct closer *c)
{
	char text[4096], format[64];
	const char *line;
	int ret = show(bdf, "closers", text, sizeof(text));

	if (ret)
		return ret;
	snprintf(format, sizeof(format), "\n%s ", name);
	line = strstr(text, format);
	if (!line)
		return -ENOENT;
	line += strlen(format);
	return sscanf(line, "%llu %llu %llu %llu %llu %llu", &c->count, &c->cut,
		      &c->cut_ns, &c->shut_ns, &c->longest_ns,
		      &c->last_ns) == 6 ? 0 : -EINVAL;
}

FIXTURE(pci_debugfs)
{
	struct vfio_dev d;
	char text[4096];
};

/* A BAR that is memory, and a device that can be reset and has MSI-X. */
FIXTURE_VARIANT(pci_debugfs)
{
	const char *id;
	int bar;
};

FIXTURE_VARIANT_ADD(pci_debugfs, ivshmem) { VFIO_IVSHMEM, 2 };
FIXTURE_VARIANT_ADD(pci_debugfs, nvme) { VFIO_NVME, 0 };

FIXTURE_SETUP(pci_debugfs)
{
	ASSERT_EQ(0, vfio_modprobe("vfio-pci"));
	if (access(ROOT, F_OK))
		SKIP(_exit(KSFT_SKIP), "the kernel has no VFIO_DEBUGFS");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
}

FIXTURE_TEARDOWN(pci_debugfs)
{
	vfio_dev_close(&self->d);
}

#define SHOW(file) show(self->d.bdf, file, self->text, sizeof(self->text))
#define ROWS(file) rows(self->d.bdf, file, self->text, sizeof(self->text))

TEST_F(pci_debugfs, gate_follows_memory)
{
	ASSERT_EQ(0, SHOW("gate"));
	EXPECT_STREQ("state: open", self->text);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(0, SHOW("gate"));
	EXPECT_STREQ("state: closed\nbecause: decode", self->text);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, SHOW("gate"));
	EXPECT_STREQ("state: open", self->text);

	vfio_dev_close(&self->d);
	ASSERT_EQ(0, SHOW("gate"));
	EXPECT_NE(NULL, strstr(self->text, "state: closed\nbecause: not_open"));
}

TEST_F(pci_debugfs, gate_follows_power)
{
	int ret = vfio_cfg_power(&self->d, 3);

	if (ret == -ENOTTY)
		SKIP(return, "no power management");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, SHOW("gate"));
	EXPECT_STREQ("state: closed\nbecause: power", self->text);
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, SHOW("gate"));
	EXPECT_STREQ("state: open", self->text);
}

static int close_by_command(const struct vfio_dev *d)
{
	return vfio_cfg_memory(d, false);
}

static int close_by_power(const struct vfio_dev *d)
{
	return vfio_cfg_power(d, 3);
}

/* Each counts for itself, and only for itself. */
TEST_F(pci_debugfs, closers)
{
	static const struct {
		const char *name;
		int (*close)(const struct vfio_dev *d);
	} closers[] = {
		{ "command", close_by_command },
		{ "power", close_by_power },
		{ "reset", vfio_reset },
		{ "flr", vfio_cfg_flr },
		{ "hot_reset", vfio_dev_hot_reset },
	};
	struct closer before[ARRAY_SIZE(closers)], now;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(closers); i++) {
		vfio_cfg_power(&self->d, 0);
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		for (j = 0; j < ARRAY_SIZE(closers); j++)
			ASSERT_EQ(0, read_closer(self->d.bdf, closers[j].name,
						 &before[j]));
		if (closers[i].close(&self->d)) {
			TH_LOG("%s: not this device", closers[i].name);
			continue;
		}
		for (j = 0; j < ARRAY_SIZE(closers); j++) {
			ASSERT_EQ(0, read_closer(self->d.bdf, closers[j].name,
						 &now));
			EXPECT_EQ(before[j].count + (i == j), now.count) {
				TH_LOG("%s after %s", closers[j].name,
				       closers[i].name);
			}
			if (i != j)
				continue;
			EXPECT_EQ(before[j].cut + 1, now.cut);
			EXPECT_LT(before[j].cut_ns, now.cut_ns);
			EXPECT_LT(before[j].shut_ns, now.shut_ns);
			EXPECT_LT(before[j].last_ns, now.last_ns);
			EXPECT_LE(before[j].longest_ns, now.longest_ns);
			EXPECT_LE(now.longest_ns, now.cut_ns + now.shut_ns);
		}
	}
}

/* All mappings of all processes. */
TEST_F(pci_debugfs, mappings)
{
	char line[64];
	int pipes[2], status;
	pid_t child;
	void *map;

	ASSERT_EQ(0, ROWS("mappings"));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, variant->bar, PAGE, PAGE, &map));
	ASSERT_EQ(1, ROWS("mappings"));
	snprintf(line, sizeof(line), "\n%d 0x1000 0x1000 rw", variant->bar);
	EXPECT_NE(NULL, strstr(self->text, line));

	ASSERT_EQ(0, pipe(pipes));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		close(pipes[1]);
		_exit(read(pipes[0], line, 1));
	}
	EXPECT_EQ(2, ROWS("mappings"));
	close(pipes[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(1, ROWS("mappings"));
	ASSERT_EQ(0, munmap(map, PAGE));
	EXPECT_EQ(0, ROWS("mappings"));
	close(pipes[0]);
}

TEST_F(pci_debugfs, interrupts)
{
	int32_t fds[3], request = vfio_eventfd();
	int i;

	ASSERT_EQ(0, SHOW("interrupts"));
	EXPECT_STREQ("type: none\nused: 0\nerror: 0\nrequest: 0\nioeventfds: 0",
		     self->text);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_REQ_IRQ_INDEX, 0,
				      request));
	ASSERT_EQ(0, SHOW("interrupts"));
	EXPECT_STREQ("type: none\nused: 0\nerror: 0\nrequest: 1\nioeventfds: 0",
		     self->text);
	if (vfio_irq_count(&self->d, VFIO_PCI_MSIX_IRQ_INDEX) < 3)
		SKIP(return, "no MSI-X");

	for (i = 0; i < 3; i++)
		fds[i] = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0, 3,
				       fds));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_ERR_IRQ_INDEX, 0,
				      request));
	ASSERT_EQ(0, SHOW("interrupts"));
	EXPECT_STREQ("type: msix\nused: 3\nerror: 1\nrequest: 1\nioeventfds: 0",
		     self->text);
	ASSERT_EQ(0, vfio_irq_disable(&self->d, VFIO_PCI_MSIX_IRQ_INDEX));
	ASSERT_EQ(0, SHOW("interrupts"));
	EXPECT_NE(NULL, strstr(self->text, "type: none\nused: 0\n"));
}

/* A BAR in its own container's address space is one for peer DMA, too. */
TEST_F(pci_debugfs, peers)
{
	char line[64];
	void *map;

	ASSERT_EQ(0, vfio_region_mmap(&self->d, variant->bar, 0, 2 * PAGE,
				      &map));
	ASSERT_EQ(0, ROWS("peers"));
	ASSERT_EQ(0, vfio_dma_map(self->d.container, map, IOVA, 2 * PAGE));
	ASSERT_EQ(1, ROWS("peers"));
	snprintf(line, sizeof(line), "\n%d 0x0 0x2000", variant->bar);
	EXPECT_NE(NULL, strstr(self->text, line)) {
		TH_LOG("%s", self->text);
	}
	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, IOVA, 2 * PAGE));
	ASSERT_EQ(0, ROWS("peers"));
	munmap(map, 2 * PAGE);
}

TEST_F(pci_debugfs, exports)
{
	char line[64];
	int dmabuf;

	ASSERT_EQ(0, ROWS("exports"));
	dmabuf = vfio_dmabuf_export(&self->d, variant->bar, 0, 2 * PAGE);
	if (dmabuf == -ENOTTY)
		SKIP(return, "the kernel exports nothing");
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(1, ROWS("exports"));
	snprintf(line, sizeof(line), "\n%d 0x2000 1 no 0", variant->bar);
	EXPECT_NE(NULL, strstr(self->text, line));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(1, ROWS("exports"));
	snprintf(line, sizeof(line), "\n%d 0x2000 1 yes 0", variant->bar);
	EXPECT_NE(NULL, strstr(self->text, line));
	close(dmabuf);
	ASSERT_EQ(0, ROWS("exports"));
}

TEST_F(pci_debugfs, for_root_only)
{
	char path[PATH_MAX];
	struct stat st;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), ROOT "/%s/pci/%s", self->d.bdf,
			 files[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(S_IFREG | 0400, st.st_mode);
	}
}

TEST_F(pci_debugfs, fdinfo)
{
	char path[64], link[PATH_MAX], want[PATH_MAX + 32];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->d.device);
	ASSERT_EQ(0, vfio_sysfs_read(path, self->text, sizeof(self->text)));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", self->d.bdf);
	ASSERT_NE(NULL, realpath(path, link));
	snprintf(want, sizeof(want), "\nvfio-device-syspath: %s", link);
	EXPECT_NE(NULL, strstr(self->text, want)) {
		TH_LOG("%s", self->text);
	}
}

/* A file that was taken from its user is of no device. */
TEST_F(pci_debugfs, fdinfo_of_revoked)
{
	const char *after = "/sys/module/vfio/parameters/revoke_after";
	char path[64];

	if (vfio_sysfs_write(after, "0"))
		SKIP(return, "devices are not revoked");
	EXPECT_EQ(0, vfio_pci_unbind(self->d.bdf));
	EXPECT_EQ(0, vfio_sysfs_write(after, "-1"));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->d.device);
	ASSERT_EQ(0, vfio_sysfs_read(path, self->text, sizeof(self->text)));
	EXPECT_EQ(NULL, strstr(self->text, "vfio-device-syspath"));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_pci_bind(self->d.bdf));
}

struct reader {
	const char *bdf;
	atomic_bool stop;
	unsigned int reads, changing;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	char text[4096];
	unsigned int i;

	while (!atomic_load(&r->stop))
		for (i = 0; i < ARRAY_SIZE(files); i++) {
			if (show(r->bdf, files[i], text, sizeof(text)))
				continue;
			r->reads++;
			r->changing += !strcmp(text, "state: changing");
		}
	return NULL;
}

/* A reset keeps the gate closed for long; nobody who looks waits for it. */
TEST_F(pci_debugfs, does_not_wait)
{
	struct reader r = { .bdf = self->d.bdf };
	pthread_t thread;
	int i;

	if (vfio_reset(&self->d))
		SKIP(return, "no reset");
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_all, &r));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, vfio_reset(&self->d));
		usleep(10000);
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	EXPECT_LT(0, r.reads);
	EXPECT_LT(0, r.changing);
}

TEST_F(pci_debugfs, removed_while_read)
{
	struct reader r = { .bdf = self->d.bdf };
	int klog = vfio_klog_open(), i;
	pthread_t thread;

	ASSERT_LE(0, klog);
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_all, &r));
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0, vfio_pci_unbind(self->d.bdf));
		EXPECT_EQ(0, vfio_pci_bind(self->d.bdf));
		usleep(1000);
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	EXPECT_LT(0, r.reads);
	EXPECT_EQ(0, vfio_klog_splats(klog));
	close(klog);
}

TEST_HARNESS_MAIN
