// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device is taken from its user: because it is gone, or because the
 * administrator has waited long enough. The removal ends while the user's files
 * stay open, whatever the user does or does not do; the files are good for
 * nothing any more, and harm nobody: not the container's other devices, and not
 * the device that comes into the slot.
 *
 * Gone is a device that config space does not show, which test_pci_overlay.ko
 * arranges, or one that QEMU has pulled out of a slot with native hotplug. In a
 * slot with ACPI's hotplug the machine asks for it to be ejected, and it goes when
 * it has been removed. What QEMU's device_add is to put there then is in the
 * environment variable VFIO_TEST_PLUG.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "edu.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

#define PARAM		"/sys/module/vfio/parameters/revoke_after"

#define PAGE		VFIO_PAGE
#define SOON_MS		20000
/* Long enough for a removal that does not wait to be over. */
#define WAITS_MS	300
/* Long after this somebody who waits for a user would still wait. */
#define PATIENCE_MS	10000

enum how {
	GONE,			/* not there when it is removed */
	UNPLUGGED,		/* pciehp finds that out */
	REMOVED,		/* orderly, with patience */
	UNBOUND,		/* likewise */
	EJECTED,		/* likewise, by ACPI */
};

/* Everything can be asked of a file whose device is gone; this is the answer. */
static int ask_all(int fd)
{
	static const unsigned long requests[] = {
		VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
		VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS,
		VFIO_DEVICE_RESET, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
		VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_IOEVENTFD,
		VFIO_DEVICE_FEATURE, VFIO_DEVICE_BIND_IOMMUFD,
		VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_IOMMUFD_PT,
		_IO(VFIO_TYPE, 0xff),
	};
	uint32_t arg[64] = { sizeof(arg) };
	uint32_t value;
	void *p;
	int i;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		if (vfio_ioctl(fd, requests[i], arg) != -ENODEV ||
		    vfio_ioctl(fd, requests[i], NULL) != -ENODEV)
			return 100 + i;
	if (vfio_pread(fd, &value, 4, 0) != -ENODEV ||
	    vfio_pread(fd, NULL, 4, 1ULL << 62) != -ENODEV)
		return 1;
	if (vfio_pwrite(fd, &value, 4, 0) != -ENODEV)
		return 2;
	if (vfio_mmap(fd, PAGE, PROT_READ, MAP_SHARED, 0, &p) != -ENODEV)
		return 3;
	return 0;
}

FIXTURE(revoke)
{
	struct vfio_counters before;
	struct vfio_dev d;
	char bdf[VFIO_BDF_LEN];
	char port[VFIO_BDF_LEN];
	void *map;
	uint64_t size;
	int request;
	int irq;
	pid_t remover;
	bool overlay;
};

FIXTURE_VARIANT(revoke)
{
	enum how how;
	int mode;
};

FIXTURE_VARIANT_ADD(revoke, gone) { .how = GONE };
FIXTURE_VARIANT_ADD(revoke, unplugged) { .how = UNPLUGGED };
FIXTURE_VARIANT_ADD(revoke, removed) { .how = REMOVED };
FIXTURE_VARIANT_ADD(revoke, unbound) { .how = UNBOUND };
FIXTURE_VARIANT_ADD(revoke, ejected) { .how = EJECTED };
VFIO_OTHER_MODES(revoke, gone, .how = GONE);
VFIO_OTHER_MODES(revoke, unplugged, .how = UNPLUGGED);
VFIO_OTHER_MODES(revoke, unbound, .how = UNBOUND);
VFIO_OTHER_MODES(revoke, ejected, .how = EJECTED);

/* The root port of a slot that pciehp looks after, or not. */
static bool hot_port(const char *bdf, char *port)
{
	char path[256], link[512];
	struct dirent *entry;
	bool found = false;
	ssize_t n;
	DIR *list;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	*strrchr(link, '/') = '\0';
	snprintf(port, VFIO_BDF_LEN, "%.39s", strrchr(link, '/') + 1);

	list = opendir("/sys/bus/pci_express/drivers/pciehp");
	if (!list)
		return false;
	while ((entry = readdir(list)))
		found |= !strncmp(entry->d_name, port, strlen(port));
	closedir(list);
	return found;
}

/* Changes Slot Control of a port, in its config space, and returns it. */
static int slot_control(const char *port, uint16_t clear, uint16_t set)
{
	int fd = vfio_pci_config_open(port), ret = -EIO;
	uint8_t pos, id;
	uint16_t ctl;

	if (fd < 0)
		return -errno;
	if (pread(fd, &pos, 1, PCI_CAPABILITY_LIST) != 1)
		goto close;
	while (pos) {
		if (pread(fd, &id, 1, pos) != 1)
			goto close;
		if (id == PCI_CAP_ID_EXP)
			break;
		if (pread(fd, &pos, 1, pos + 1) != 1)
			goto close;
	}
	if (!pos || pread(fd, &ctl, 2, pos + PCI_EXP_SLTCTL) != 2)
		goto close;
	ctl = (ctl & ~clear) | set;
	if ((clear || set) && pwrite(fd, &ctl, 2, pos + PCI_EXP_SLTCTL) != 2)
		goto close;
	ret = ctl;
close:
	close(fd);
	return ret;
}

/*
 * QEMU ejects what is in a slot whose power and power indicator go off. The power
 * is on again when pciehp hears of it: to it a card was pulled out.
 */
static int pull_out(const char *port)
{
	int ret;

	ret = slot_control(port, PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_HPIE,
			   PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PWR_IND_OFF);
	if (ret >= 0)
		ret = slot_control(port,
				   PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC,
				   PCI_EXP_SLTCTL_PWR_IND_ON |
				   PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE);
	return ret < 0 ? ret : 0;
}

/* When pciehp is done with the last card it is off. */
static bool is_off(const char *port)
{
	int ctl = slot_control(port, 0, 0);

	return ctl >= 0 && (ctl & PCI_EXP_SLTCTL_PCC) &&
	       (ctl & PCI_EXP_SLTCTL_PIC) == PCI_EXP_SLTCTL_PWR_IND_OFF;
}

FIXTURE_SETUP(revoke)
{
	if (variant->how >= REMOVED && access(PARAM, F_OK))
		SKIP(_exit(KSFT_SKIP), "this vfio waits for ever");
	if (vfio_pci_resolve(VFIO_NVME, self->bdf))
		SKIP(_exit(KSFT_SKIP), "no device %s here", VFIO_NVME);
	if (variant->how == UNPLUGGED && (!hot_port(self->bdf, self->port) ||
					  !getenv("VFIO_TEST_PLUG")))
		SKIP(_exit(KSFT_SKIP), "no slot with native hotplug");
	if (variant->how == EJECTED && (hot_port(self->bdf, self->port) ||
					!getenv("VFIO_TEST_PLUG")))
		SKIP(_exit(KSFT_SKIP), "no slot with ACPI hotplug");

	self->d.device = -1;
	ASSERT_EQ(0, vfio_pci_bind_group(self->bdf));
	vfio_counters_read(&self->before);

	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, variant->mode);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	self->request = vfio_eventfd();
	self->irq = vfio_eventfd();
	ASSERT_LE(0, self->request);
	ASSERT_LE(0, self->irq);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_REQ_IRQ_INDEX, 0,
				      self->request));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0,
				      self->irq));
	self->size = vfio_region_size(&self->d, 0);
	ASSERT_EQ(0, vfio_region_mmap(&self->d, 0, 0, self->size, &self->map));
	ASSERT_EQ(0, vfio_try_touch(self->map, self->size, PAGE));
}

#define SELF FIXTURE_DATA(revoke)

/* The device begins to go; finish() waits until it has. */
static int begin(SELF *self, enum how how)
{
	char set[128], id[64];

	switch (how) {
	case GONE:
		snprintf(set, sizeof(set), "set=%s+0=ffffffff,%s+4=ffffffff",
			 self->bdf, self->bdf);
		if (vfio_overlay_load(set, NULL))
			return -ENOPKG;
		self->overlay = true;
		self->remover = vfio_remover_start(self->bdf, "remove");
		break;
	case UNPLUGGED:
		return pull_out(self->port);
	case REMOVED:
	case UNBOUND:
		if (vfio_sysfs_write(PARAM, "1"))
			return -EACCES;
		self->remover = vfio_remover_start(self->bdf, how == REMOVED ?
						   "remove" : "driver/unbind");
		break;
	case EJECTED:
		if (vfio_sysfs_write(PARAM, "1"))
			return -EACCES;
		if (vfio_monitor_id(self->bdf, id, sizeof(id)))
			return -ENOENT;
		snprintf(set, sizeof(set), "device_del %s", id);
		return vfio_monitor(set, NULL, 0);
	}
	return self->remover < 0 ? self->remover : 0;
}

static int finish(SELF *self, enum how how, int timeout_ms)
{
	uint64_t end = vfio_now_ms() + timeout_ms;
	char name[64];

	if (how != UNPLUGGED && how != EJECTED)
		return vfio_remover_wait(self->remover, timeout_ms);

	while (vfio_pci_is_there(self->bdf)) {
		if (vfio_now_ms() > end)
			return -ETIMEDOUT;
		usleep(10000);
	}
	return vfio_pci_driver(self->bdf, name, sizeof(name)) ? 0 : -EBUSY;
}

/* Something is in the slot again. */
static int come_back(SELF *self, enum how how)
{
	uint64_t end = vfio_now_ms() + SOON_MS;
	char command[128], id[64];

	switch (how) {
	case GONE:
		self->overlay = false;
		return vfio_overlay_unload(NULL) ?: vfio_pci_rescan();
	case REMOVED:
		return vfio_pci_rescan();
	case UNBOUND:
		return 0;
	case UNPLUGGED:
	case EJECTED:
		while (how == UNPLUGGED ? !is_off(self->port) :
		       vfio_monitor_id(self->bdf, id, sizeof(id)) != -ENOENT) {
			if (vfio_now_ms() > end)
				return -EBUSY;
			usleep(10000);
		}
		snprintf(command, sizeof(command), "device_add %s",
			 getenv("VFIO_TEST_PLUG"));
		if (vfio_monitor(command, NULL, 0))
			return -EIO;
		/* It is in sysfs before a driver may have it. */
		while (!vfio_pci_is_there(self->bdf) || vfio_pci_bind_group(self->bdf)) {
			if (vfio_now_ms() > end)
				return -ETIMEDOUT;
			usleep(10000);
		}
		return 0;
	}
	return -EINVAL;
}

FIXTURE_TEARDOWN(revoke)
{
	vfio_dev_close(&self->d);
	if (self->map)
		munmap(self->map, self->size);
	vfio_sysfs_write(PARAM, "-1");
	if (self->overlay)
		vfio_overlay_unload(NULL);
	vfio_pci_rescan();
	close(self->request);
	close(self->irq);
}

/* All that the user has of it is dead, and has not been taken from him. */
#define EXPECT_DEAD() do {						\
	int __i;							\
									\
	for (__i = 0; __i < 3; __i++) {					\
		EXPECT_EQ(0, ask_all(self->d.device));			\
		EXPECT_EQ(0, vfio_reads_ones(self->map, SOON_MS));	\
		EXPECT_EQ(0, vfio_try_store32(self->map, 0));		\
	}								\
	EXPECT_EQ(0, vfio_interrupt_lines(self->bdf));			\
} while (0)

/* The device comes back, for a user who has nothing to do with the old files. */
#define EXPECT_NEW_ONE_WORKS() do {					\
	struct vfio_dev __new;						\
	uint32_t __value;						\
	void *__map;							\
									\
	ASSERT_EQ(0, come_back(self, variant->how));			\
	ASSERT_TRUE(vfio_pci_is_there(self->bdf));					\
	ASSERT_EQ(0, vfio_dev_open(&__new, self->bdf, variant->mode));	\
	ASSERT_EQ(0, vfio_cfg_memory(&__new, true));			\
	EXPECT_NE(0xffff, vfio_cfg_read16(&__new, PCI_VENDOR_ID));	\
	ASSERT_EQ(0, vfio_region_mmap(&__new, 0, 0, PAGE, &__map));	\
	EXPECT_EQ(0, vfio_try_load32(__map, &__value));			\
	EXPECT_EQ(0, vfio_reset(&__new));				\
	EXPECT_EQ(0, vfio_dev_hot_reset(&__new));			\
	EXPECT_DEAD();							\
	munmap(__map, PAGE);						\
	vfio_dev_close(&__new);						\
} while (0)

/* With the last file goes the last of it, references to modules among it. */
#define EXPECT_NOTHING_LEFT() do {					\
	struct vfio_counters __now;					\
									\
	vfio_dev_close(&self->d);					\
	munmap(self->map, self->size);					\
	self->map = NULL;						\
	if (!vfio_counters_settled(&self->before, &__now)) {		\
		vfio_counters_print(&self->before, &__now);		\
		EXPECT_TRUE(false);					\
	}								\
} while (0)

TEST_F(revoke, user_never_reacts)
{
	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, SOON_MS));
	/* Was told, at least. */
	EXPECT_EQ(0, vfio_eventfd_wait(self->request, 0, NULL));
	EXPECT_DEAD();
	EXPECT_NEW_ONE_WORKS();
	EXPECT_NOTHING_LEFT();
	EXPECT_EQ(0, vfio_module_remove("vfio_pci"));
	EXPECT_EQ(0, vfio_modprobe("vfio-pci"));
}

/* Only the mapping is left. */
TEST_F(revoke, mapping_stays)
{
	pid_t child;
	int status;

	vfio_dev_close(&self->d);
	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, SOON_MS));
	EXPECT_EQ(0, vfio_reads_ones(self->map, 0));

	/* It is one like any other to the mm. */
	child = fork();
	if (!child)
		_exit(vfio_reads_ones(self->map, 0));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, mprotect(self->map, PAGE, PROT_READ));
	EXPECT_EQ(0, munmap(self->map + PAGE, PAGE));
	EXPECT_EQ(0, vfio_reads_ones(self->map, 0));
	ASSERT_EQ(0, come_back(self, variant->how));
	ASSERT_EQ(0, vfio_pci_bind_group(self->bdf));
	EXPECT_NOTHING_LEFT();
}

/* A process that is busy with the device in every way there is. */
struct busy {
	int device;
	void *map;
	bool resets;		/* what does not answer is waited for */
	bool stop;
	int bad;
};

static void *busy_calls(void *arg)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct busy *b = arg;
	uint32_t word;
	int ret;

	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		ret = vfio_ioctl(b->device, VFIO_DEVICE_GET_INFO, &info);
		if (ret && ret != -ENODEV)
			b->bad = ret;
		ret = b->resets ? vfio_ioctl(b->device, VFIO_DEVICE_RESET) : 0;
		if (ret && ret != -ENODEV && ret != -EAGAIN)
			b->bad = ret;
		ret = vfio_pread(b->device, &word, 4, 8);
		if (ret != 4 && ret != -ENODEV && ret != -EIO)
			b->bad = ret;
		ret = vfio_pwrite(b->device, &word, 4, 0x30);
		if (ret != 4 && ret != -ENODEV && ret != -EIO)
			b->bad = ret;
	}
	return NULL;
}

static void *busy_faults(void *arg)
{
	struct busy *b = arg;
	uint32_t word;
	int ret;

	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		ret = vfio_try_load32(b->map, &word);
		if (ret && ret != SIGBUS)
			b->bad = ret;
	}
	return NULL;
}

TEST_F(revoke, user_is_busy)
{
	struct busy b = {
		.device = self->d.device, .map = self->map,
		.resets = variant->how >= REMOVED,
	};
	pthread_t threads[3];
	int i;

	pthread_create(&threads[0], NULL, busy_calls, &b);
	pthread_create(&threads[1], NULL, busy_calls, &b);
	pthread_create(&threads[2], NULL, busy_faults, &b);
	usleep(WAITS_MS * 1000);
	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, SOON_MS));
	usleep(WAITS_MS * 1000);
	b.stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, b.bad);
	EXPECT_DEAD();
	EXPECT_NEW_ONE_WORKS();
	EXPECT_NOTHING_LEFT();
}

/* Each request, with an argument that cannot be read yet. */
static const struct parked_request {
	unsigned long request;
	uint64_t offset;	/* of a read or write, where @request is 0 */
	bool reads;
	bool cdev;		/* others do not look at the argument */
} parked_requests[] = {
	{ VFIO_DEVICE_GET_INFO },
	{ VFIO_DEVICE_GET_REGION_INFO },
	{ VFIO_DEVICE_GET_IRQ_INFO },
	{ VFIO_DEVICE_SET_IRQS },
	{ VFIO_DEVICE_GET_PCI_HOT_RESET_INFO },
	{ VFIO_DEVICE_PCI_HOT_RESET },
	{ VFIO_DEVICE_IOEVENTFD },
	{ VFIO_DEVICE_FEATURE },
	{ VFIO_DEVICE_BIND_IOMMUFD, .cdev = true },
	{ VFIO_DEVICE_ATTACH_IOMMUFD_PT, .cdev = true },
	{ VFIO_DEVICE_DETACH_IOMMUFD_PT, .cdev = true },
	{ .offset = 0 },
	{ .offset = (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40 },
	{ .offset = 0, .reads = true },
	{ .offset = (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40, .reads = true },
};

#define NR_PARKED ARRAY_SIZE(parked_requests)

struct parked {
	const struct parked_request *what;
	struct vfio_slow slow;
	int device;
	pthread_t thread;
	int ret;
};

static void *park(void *arg)
{
	struct parked *p = arg;

	if (p->what->request)
		p->ret = vfio_ioctl(p->device, p->what->request, p->slow.mem);
	else if (p->what->reads)
		p->ret = vfio_pread(p->device, p->slow.mem, 8, p->what->offset);
	else
		p->ret = vfio_pwrite(p->device, p->slow.mem, 8, p->what->offset);
	return NULL;
}

TEST_F(revoke, user_sits_in_every_request)
{
	struct parked parked[NR_PARKED], *p;

	for (p = parked; p < parked + NR_PARKED; p++) {
		p->what = &parked_requests[p - parked];
		if (p->what->cdev && variant->mode != VFIO_MODE_IOMMUFD)
			continue;
		p->device = self->d.device;
		ASSERT_EQ(0, vfio_slow_alloc(&p->slow, PAGE));
		pthread_create(&p->thread, NULL, park, p);
		ASSERT_EQ(0, vfio_slow_wait(&p->slow));
	}
	ASSERT_EQ(0, begin(self, variant->how));
	/* Nobody has to be killed for it. */
	ASSERT_EQ(0, finish(self, variant->how, PATIENCE_MS / 2));
	EXPECT_DEAD();

	for (p = parked; p < parked + NR_PARKED; p++) {
		if (p->what->cdev && variant->mode != VFIO_MODE_IOMMUFD)
			continue;
		vfio_slow_allow(&p->slow);
		pthread_join(p->thread, NULL);
		/*
		 * What was read before it went has been read; an argument is
		 * found to be nonsense whether there is a device or not; and a
		 * BAR does not answer.
		 */
		EXPECT_TRUE(p->ret == -ENODEV ||
			    (p->what->reads && p->ret == 8) ||
			    (p->what->request && p->ret == -EINVAL) ||
			    (!p->what->request && !p->what->offset &&
			     p->ret == -EIO)) {
			TH_LOG("request %zd: %d", p - parked, p->ret);
		}
		close(p->slow.fd);
		munmap(p->slow.mem, PAGE);
	}
	EXPECT_NEW_ONE_WORKS();
	EXPECT_NOTHING_LEFT();
}

/* The requests that have an answer, with memory that cannot be written yet. */
static const struct {
	unsigned long request;
	uint32_t argsz;
} parked_answers[] = {
	{ VFIO_DEVICE_GET_INFO, sizeof(struct vfio_device_info) },
	{ VFIO_DEVICE_GET_REGION_INFO, sizeof(struct vfio_region_info) },
	{ VFIO_DEVICE_GET_IRQ_INFO, sizeof(struct vfio_irq_info) },
	{ VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
	  sizeof(struct vfio_pci_hot_reset_info) },
	{ VFIO_DEVICE_ATTACH_IOMMUFD_PT,
	  sizeof(struct vfio_device_attach_iommufd_pt) },
};

#define NR_ANSWERS ARRAY_SIZE(parked_answers)

TEST_F(revoke, user_sits_in_every_answer)
{
	struct parked_request requests[NR_ANSWERS] = {};
	unsigned int nr = NR_ANSWERS, i;
	struct parked parked[NR_ANSWERS];

	if (variant->mode != VFIO_MODE_IOMMUFD)
		nr--;
	for (i = 0; i < nr; i++) {
		struct parked *p = &parked[i];
		uint32_t arg[3] = { parked_answers[i].argsz };

		requests[i].request = parked_answers[i].request;
		/* The page table, of the one that has one. */
		if (i == NR_ANSWERS - 1)
			arg[2] = self->d.ioas;
		p->what = &requests[i];
		p->device = self->d.device;
		ASSERT_EQ(0, vfio_slow_alloc_writes(&p->slow, PAGE, arg,
						    sizeof(arg)));
		pthread_create(&p->thread, NULL, park, p);
		ASSERT_EQ(0, vfio_slow_wait(&p->slow));
	}
	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, PATIENCE_MS / 2));
	EXPECT_DEAD();

	for (i = 0; i < nr; i++) {
		struct parked *p = &parked[i];

		vfio_slow_allow(&p->slow);
		pthread_join(p->thread, NULL);
		/* There was not room for all functions on the bus. */
		EXPECT_EQ(p->what->request == VFIO_DEVICE_GET_PCI_HOT_RESET_INFO ?
			  -ENOSPC : 0, p->ret);
		close(p->slow.fd);
		munmap(p->slow.mem, PAGE);
	}
	EXPECT_NEW_ONE_WORKS();
	EXPECT_NOTHING_LEFT();
}

/* What is in sysfs waits for the removal, which thus must not wait for it. */
TEST_F(revoke, user_reads_sysfs)
{
	static const char *const attrs[] = {
		"driver_override", "power_state", "config", "reset_method",
	};
	int status, i;
	pid_t user;

	user = fork();
	if (!user) {
		char buf[4096];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (vfio_pci_is_there(self->bdf) &&
		       ask_all(self->d.device) != 0) {
			for (i = 0; i < 4; i++)
				vfio_pci_attr_read(self->bdf, attrs[i], buf,
						   sizeof(buf));
			/* What does not answer is waited for. */
			if (variant->how >= REMOVED)
				vfio_pci_attr_write(self->bdf, "reset", "1");
		}
		_exit(0);
	}
	usleep(WAITS_MS * 1000);
	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, SOON_MS));
	ASSERT_EQ(user, waitpid(user, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_DEAD();
	EXPECT_NEW_ONE_WORKS();
	EXPECT_NOTHING_LEFT();
}

/* Another device in the address space, and memory that both reach. */
#define NEIGHBOUR_OPEN_OR_SKIP(edu, regs, mem) do {			\
	int __ret;							\
									\
	ASSERT_NE(NULL, mem);						\
	__ret = vfio_dev_open_with(&(edu), VFIO_EDU, &self->d);		\
	if (__ret == -ENXIO)						\
		SKIP(return, "no device %s here", VFIO_EDU);		\
	ASSERT_EQ(0, __ret);						\
	ASSERT_EQ(0, vfio_cfg_command(&(edu), PCI_COMMAND_MEMORY |	\
				      PCI_COMMAND_MASTER, 0));		\
	ASSERT_EQ(0, vfio_region_mmap(&(edu), 0, 0, PAGE, &(regs)));	\
	ASSERT_EQ(0, vfio_dma_map(self->d.container, mem, 0x100000,	\
				  4 * PAGE));				\
	memset(mem, 0x5a, PAGE);					\
} while (0)

/* A device in the same address space goes on, and knows nothing. */
TEST_F(revoke, neighbour_does_not_notice)
{
	uint8_t *mem = vfio_alloc_pages(4 * PAGE);
	struct vfio_dev edu;
	void *regs;
	int i;

	NEIGHBOUR_OPEN_OR_SKIP(edu, regs, mem);
	ASSERT_EQ(0, edu_dma_mapped(regs, 0x100000, 64, false));
	/* The BAR of the one is there for the DMA of the other. */
	if (!(variant->mode & VFIO_MODE_IOMMUFDS))
		EXPECT_EQ(0, vfio_dma_map(self->d.container, self->map,
					  0x200000, self->size));

	ASSERT_EQ(0, begin(self, variant->how));
	for (i = 1; finish(self, variant->how, 0) == -ETIMEDOUT; i++) {
		ASSERT_GT(1000, i);
		memset(mem + PAGE, 0, PAGE);
		ASSERT_EQ(0, edu_dma_mapped(regs, 0x101000, 64, true));
		ASSERT_EQ(0, memcmp(mem, mem + PAGE, 64));
	}
	EXPECT_DEAD();

	/* The mapping of the BAR is there, and leads nowhere. */
	if (!(variant->mode & VFIO_MODE_IOMMUFDS))
		EXPECT_EQ(0, vfio_dma_unmap(self->d.container, 0x200000,
					    self->size));
	ASSERT_EQ(0, edu_dma_mapped(regs, 0x102000, 64, true));
	EXPECT_EQ(0, memcmp(mem, mem + 2 * PAGE, 64));
	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, 0x100000, 4 * PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->d.container, mem, 0x300000, 4 * PAGE));
	ASSERT_EQ(0, edu_dma_mapped(regs, 0x303000, 64, true));
	EXPECT_EQ(0, memcmp(mem, mem + 3 * PAGE, 64));

	EXPECT_NEW_ONE_WORKS();
	munmap(regs, PAGE);
	vfio_dev_close(&edu);
	vfio_dma_unmap(self->d.container, 0x300000, 4 * PAGE);
	munmap(mem, 4 * PAGE);
	EXPECT_NOTHING_LEFT();
}

/* A mapping for DMA whose memory is not there yet, in a thread of its own. */
struct slow_map {
	struct vfio_slow slow;
	int container;
	pthread_t thread;
	int ret;
};

#define SLOW_IOVA	0x400000

static void *slow_map_run(void *arg)
{
	struct slow_map *m = arg;

	m->ret = vfio_dma_map(m->container, m->slow.mem, SLOW_IOVA,
			      m->slow.size);
	return NULL;
}

static int slow_map_start(struct slow_map *m, int container)
{
	int ret;

	m->container = container;
	ret = vfio_slow_alloc(&m->slow, 4 * PAGE);
	if (ret)
		return ret;
	pthread_create(&m->thread, NULL, slow_map_run, m);
	return vfio_slow_wait(&m->slow);
}

static int slow_map_end(struct slow_map *m)
{
	vfio_slow_allow(&m->slow);
	pthread_join(m->thread, NULL);
	close(m->slow.fd);
	return m->ret;
}

/*
 * Who sits in a mapping of the address space holds up nobody, and is not killed
 * for it; the mapping is there at last for who is left.
 */
TEST_F(revoke, user_sits_in_a_mapping)
{
	uint8_t *mem = vfio_alloc_pages(4 * PAGE);
	struct slow_map slow, again;
	struct vfio_dev edu;
	void *regs;

	NEIGHBOUR_OPEN_OR_SKIP(edu, regs, mem);
	ASSERT_EQ(0, slow_map_start(&slow, self->d.container));

	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, PATIENCE_MS / 2));
	EXPECT_DEAD();

	/* The other device goes on, and so does who maps for it. */
	ASSERT_EQ(0, edu_dma_mapped(regs, 0x100000, 64, false));
	ASSERT_EQ(0, edu_dma_mapped(regs, 0x101000, 64, true));
	EXPECT_EQ(0, memcmp(mem, mem + PAGE, 64));
	if (!(variant->mode & VFIO_MODE_IOMMUFDS)) {
		ASSERT_EQ(0, vfio_dma_unmap(self->d.container, 0x100000,
					    4 * PAGE));
		ASSERT_EQ(0, vfio_dma_map(self->d.container, mem, 0x100000,
					  4 * PAGE));
	}
	EXPECT_NEW_ONE_WORKS();

	EXPECT_EQ(0, slow_map_end(&slow));
	ASSERT_EQ(0, edu_dma_mapped(regs, 0x100000, 64, false));
	ASSERT_EQ(0, edu_dma_mapped(regs, SLOW_IOVA + PAGE, 64, true));
	EXPECT_EQ(0, memcmp(mem, slow.slow.mem + PAGE, 64));
	EXPECT_EQ(0, vfio_dma_unmap(self->d.container, SLOW_IOVA, 4 * PAGE));
	EXPECT_EQ(0, slow_map_start(&again, self->d.container));
	EXPECT_EQ(0, slow_map_end(&again));
	EXPECT_EQ(0, vfio_dma_unmap(self->d.container, SLOW_IOVA, 4 * PAGE));

	munmap(slow.slow.mem, 4 * PAGE);
	munmap(again.slow.mem, 4 * PAGE);
	munmap(regs, PAGE);
	vfio_dev_close(&edu);
	vfio_dma_unmap(self->d.container, 0x100000, 4 * PAGE);
	munmap(mem, 4 * PAGE);
	EXPECT_NOTHING_LEFT();
}

/* The same where no device is left; and not everybody comes back from there. */
TEST_F(revoke, users_sit_in_mappings_alone)
{
	int64_t pinned, locked = vfio_locked_kb();
	uint8_t *mem = vfio_alloc_pages(4 * PAGE);
	struct slow_map slow;
	int status;
	pid_t user;

	if (variant->mode & VFIO_MODE_IOMMUFDS)
		SKIP(return, "an iommufd waits for them");
	pinned = vfio_pinned_pages();
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_dma_map(self->d.container, mem, 0x100000, 4 * PAGE));
	ASSERT_EQ(0, slow_map_start(&slow, self->d.container));
	user = fork();
	if (!user) {
		struct vfio_slow lost;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (vfio_slow_alloc(&lost, PAGE))
			_exit(1);
		vfio_dma_map(self->d.container, lost.mem, 0x800000, PAGE);
		_exit(2);
	}
	usleep(WAITS_MS * 1000);

	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, PATIENCE_MS / 2));
	EXPECT_DEAD();
	/* It is as it was when it was opened. */
	EXPECT_EQ(-EINVAL, vfio_dma_unmap(self->d.container, 0x100000,
					  4 * PAGE));
	EXPECT_EQ(0, kill(user, SIGKILL));
	ASSERT_EQ(user, waitpid(user, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, slow_map_end(&slow));
	EXPECT_EQ(pinned, vfio_wait_pinned(pinned));
	EXPECT_EQ(locked, vfio_locked_kb());

	munmap(slow.slow.mem, 4 * PAGE);
	munmap(mem, 4 * PAGE);
	EXPECT_NEW_ONE_WORKS();
	EXPECT_NOTHING_LEFT();
}

/* What was exported cannot be had any more. */
TEST_F(revoke, dmabuf_ends)
{
	char edu[VFIO_BDF_LEN];
	int importer, dmabuf;

	dmabuf = vfio_dmabuf_export(&self->d, 0, 0, PAGE);
	ASSERT_LE(0, dmabuf);
	IMPORTER_BIND_OR_SKIP(edu, 0);
	importer = importer_open(edu);
	ASSERT_LE(0, importer);
	ASSERT_EQ(0, importer_attach(importer, dmabuf, 0, 0, 0));
	ASSERT_EQ(0, importer_map(importer));

	ASSERT_EQ(0, begin(self, variant->how));
	ASSERT_EQ(0, finish(self, variant->how, SOON_MS));
	EXPECT_EQ(-ENODEV, importer_map(importer));
	EXPECT_DEAD();
	EXPECT_NEW_ONE_WORKS();
	EXPECT_EQ(-ENODEV, importer_map(importer));
	close(importer);
	close(dmabuf);
	EXPECT_NOTHING_LEFT();
}

/* More files, of more processes; one goes while it is revoked. */
TEST_F(revoke, many_files)
{
	int files[8], i, ready[2], status;
	pid_t child;
	char c;

	if (variant->mode == VFIO_MODE_IOMMUFD)
		SKIP(return, "one file at a time is bound");
	ASSERT_EQ(0, pipe(ready));
	for (i = 0; i < 8; i++) {
		files[i] = vfio_dev_get_device(&self->d, self->bdf);
		ASSERT_LE(0, files[i]);
	}
	child = fork();
	if (!child) {
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		while (ask_all(files[0]))
			close(vfio_dev_get_device(&self->d, self->bdf));
		_exit(0);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_EQ(0, begin(self, variant->how));
	for (i = 4; i < 8; i++)
		close(files[i]);
	ASSERT_EQ(0, finish(self, variant->how, SOON_MS));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, ask_all(files[i]));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ENODEV, vfio_get_device_fd(self->d.group, self->bdf));
	for (i = 0; i < 4; i++)
		close(files[i]);
	EXPECT_DEAD();
	EXPECT_NEW_ONE_WORKS();
	EXPECT_NOTHING_LEFT();
	close(ready[0]);
	close(ready[1]);
}

/* ---- Policy: an orderly removal waits as long as the administrator says ---- */

FIXTURE(policy)
{
	struct vfio_dev d;
	char attr[320];
	int request;
	pid_t remover;
};

FIXTURE_SETUP(policy)
{
	char dir[128];
	struct dirent *entry;
	DIR *list;

	if (access(PARAM, F_OK))
		SKIP(_exit(KSFT_SKIP), "this vfio waits for ever");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, 0);
	snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%s/vfio-dev",
		 self->d.bdf);
	list = opendir(dir);
	ASSERT_NE(NULL, list);
	while ((entry = readdir(list)))
		if (entry->d_name[0] != '.')
			snprintf(self->attr, sizeof(self->attr),
				 "%s/%.64s/revoke_after", dir, entry->d_name);
	closedir(list);
	self->request = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_REQ_IRQ_INDEX, 0,
				      self->request));
}

FIXTURE_TEARDOWN(policy)
{
	vfio_dev_close(&self->d);
	vfio_sysfs_write(PARAM, "-1");
	close(self->request);
}

#define START_UNBIND() do {						\
	self->remover = vfio_remover_start(self->d.bdf, "driver/unbind"); \
	ASSERT_LT(0, self->remover);					\
	ASSERT_EQ(0, vfio_eventfd_wait(self->request, SOON_MS, NULL));	\
} while (0)

TEST_F(policy, attribute)
{
	char buf[32];

	ASSERT_EQ(0, vfio_sysfs_read(PARAM, buf, sizeof(buf)));
	EXPECT_STREQ("-1", buf);
	ASSERT_EQ(0, vfio_sysfs_read(self->attr, buf, sizeof(buf)));
	EXPECT_STREQ("default", buf);
	EXPECT_EQ(-EINVAL, vfio_sysfs_write(self->attr, "-2"));
	EXPECT_EQ(-EINVAL, vfio_sysfs_write(self->attr, "soon"));
	EXPECT_EQ(-ERANGE, vfio_sysfs_write(self->attr, "99999999999"));
	ASSERT_EQ(0, vfio_sysfs_write(self->attr, "7\n"));
	ASSERT_EQ(0, vfio_sysfs_read(self->attr, buf, sizeof(buf)));
	EXPECT_STREQ("7", buf);
	ASSERT_EQ(0, vfio_sysfs_write(self->attr, "-1"));
	ASSERT_EQ(0, vfio_sysfs_read(self->attr, buf, sizeof(buf)));
	EXPECT_STREQ("-1", buf);
	ASSERT_EQ(0, vfio_sysfs_write(self->attr, "default\n"));
	ASSERT_EQ(0, vfio_sysfs_read(self->attr, buf, sizeof(buf)));
	EXPECT_STREQ("default", buf);
}

TEST_F(policy, waits_without_it)
{
	struct vfio_device_info info;

	START_UNBIND();
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, 3000));
	EXPECT_EQ(0, vfio_dev_info(&self->d, &info));

	/* It counts from the beginning, so this is late enough. */
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "1"));
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	EXPECT_EQ(0, ask_all(self->d.device));
}

TEST_F(policy, waits_that_long)
{
	uint64_t begin = vfio_now_ms();
	struct vfio_device_info info;

	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "0"));
	ASSERT_EQ(0, vfio_sysfs_write(self->attr, "3"));
	START_UNBIND();
	EXPECT_EQ(0, vfio_dev_info(&self->d, &info));
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	EXPECT_LE(2900, vfio_now_ms() - begin);
	EXPECT_EQ(0, ask_all(self->d.device));
}

TEST_F(policy, device_can_be_an_exception)
{
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "0"));
	ASSERT_EQ(0, vfio_sysfs_write(self->attr, "-1"));
	START_UNBIND();
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, 3000));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
}

/* Who closes in time has it closed as ever. */
TEST_F(policy, user_reacts)
{
	ASSERT_EQ(0, vfio_sysfs_write(self->attr, "600"));
	START_UNBIND();
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, WAITS_MS));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
}

/*
 * Who has the device and waits for a lock that the removal holds can never let go:
 * SPDK, told that the device is wanted back, reads an attribute of it.
 */
TEST_F(policy, holder_waits_for_removal)
{
	char buf[64];

	START_UNBIND();
	/* Waits for the lock of the device, and so for who waits for us. */
	vfio_pci_attr_read(self->d.bdf, "reset_method", buf, sizeof(buf));
	if (vfio_pci_attr_read(self->d.bdf, "sriov_numvfs", buf, sizeof(buf)) < 0)
		vfio_pci_attr_write(self->d.bdf, "reset", "1");
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	EXPECT_EQ(0, ask_all(self->d.device));
}

/* Somebody else who waits for it is no reason. */
TEST_F(policy, another_waits_for_removal)
{
	pid_t other;
	int status;

	START_UNBIND();
	other = fork();
	if (!other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(self->d.device);
		vfio_pci_attr_write(self->d.bdf, "reset", "1");
		_exit(0);
	}
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, 4000));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	EXPECT_EQ(other, waitpid(other, &status, 0));
}

/* After ten seconds the log says who it is, and what can be done. */
TEST_F_TIMEOUT(policy, log_names_the_holder, 120)
{
	char needle[64];
	int log, again;

	log = vfio_klog_open();
	again = vfio_klog_open();
	ASSERT_LE(0, log);
	ASSERT_LE(0, again);
	prctl(PR_SET_NAME, "holds-it");
	START_UNBIND();
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, 12000));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	snprintf(needle, sizeof(needle), "open in \"holds-it\" (%d), which is in ",
		 getpid());
	EXPECT_EQ(1, vfio_klog_count(log, needle));
	EXPECT_EQ(1, vfio_klog_count(again, "write 0 to /sys/module/vfio/parameters/revoke_after"));
	close(log);
	close(again);
}

#define BYSTANDERS	1000
#define BIG_TABLE	(1 << 19)

/* Processes that share one table for half a million files. */
static int bystanders(pid_t *pids)
{
	const struct rlimit limit = { BIG_TABLE, BIG_TABLE };
	int i;

	if (setrlimit(RLIMIT_NOFILE, &limit) ||
	    dup2(STDOUT_FILENO, BIG_TABLE - 1) < 0)
		return -errno;
	for (i = 0; i < BYSTANDERS; i++) {
		pids[i] = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
			_exit(0);
		}
		if (pids[i] < 0)
			return -errno;
	}
	return 0;
}

/* Whoever is asked whether he has the device open, nobody else waits for it. */
TEST_F_TIMEOUT(policy, log_is_written_while_others_run, 300)
{
	uint64_t end, now, last, worst = 0;
	pid_t parent, *pids;
	cpu_set_t one;
	int log, go[2];
	int i, status;

	log = vfio_klog_open();
	ASSERT_LE(0, log);
	pids = calloc(BYSTANDERS, sizeof(*pids));
	ASSERT_NE(NULL, pids);
	ASSERT_EQ(0, pipe(go));
	parent = fork();
	if (!parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(self->d.device);
		i = bystanders(pids);
		write(go[1], &i, sizeof(i));
		pause();
		_exit(0);
	}
	ASSERT_EQ(sizeof(i), read(go[0], &i, sizeof(i)));
	ASSERT_EQ(0, i);

	/* Who unbinds has the CPU that we want to have, too. */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	START_UNBIND();
	last = vfio_now_ms();
	for (end = last + 25000; last < end; last = now) {
		usleep(10000);
		now = vfio_now_ms();
		if (now - last > worst)
			worst = now - last;
	}
	TH_LOG("had to wait for %llu ms", (unsigned long long)worst);
	EXPECT_GT(1000, worst);
	EXPECT_LT(0, vfio_klog_count(log, "vfio: it is open in"));
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	kill(parent, SIGKILL);
	EXPECT_EQ(parent, waitpid(parent, &status, 0));
	close(go[0]);
	close(go[1]);
	close(log);
	free(pids);
}

/* An unplugged device is gone, even for who waits for its user already. */
TEST_F(policy, gone_while_it_waits)
{
	char port[VFIO_BDF_LEN];

	if (!hot_port(self->d.bdf, port) || !getenv("VFIO_TEST_PLUG"))
		SKIP(return, "no slot with native hotplug");
	START_UNBIND();
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, WAITS_MS));
	ASSERT_EQ(0, pull_out(port));
	EXPECT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	EXPECT_EQ(0, ask_all(self->d.device));
}

/* The other function of a group keeps it, and works on. */
TEST(other_function)
{
	struct vfio_dev d, other;
	struct vfio_device_info info;
	uint32_t flags;
	pid_t remover;

	if (access(PARAM, F_OK))
		SKIP(return, "this vfio waits for ever");
	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_E1000E, 0);
	other = d;
	if (vfio_pci_resolve(VFIO_E1000E "#1", other.bdf))
		SKIP(return, "no second function here");
	other.device = vfio_get_device_fd(d.group, other.bdf);
	ASSERT_LE(0, other.device);
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	ASSERT_EQ(0, vfio_cfg_memory(&other, true));

	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "0"));
	remover = vfio_remover_start(other.bdf, "driver/unbind");
	ASSERT_LT(0, remover);
	ASSERT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "-1"));

	EXPECT_EQ(0, ask_all(other.device));
	EXPECT_EQ(0, vfio_dev_info(&d, &info));
	EXPECT_EQ(0, vfio_group_status(d.group, &flags));
	EXPECT_TRUE(flags & VFIO_GROUP_FLAGS_CONTAINER_SET);
	/* And it comes back to that group. */
	EXPECT_EQ(0, vfio_pci_bind(other.bdf));
	close(other.device);
	other.device = vfio_get_device_fd(d.group, other.bdf);
	ASSERT_LE(0, other.device);
	EXPECT_EQ(0, vfio_dev_info(&other, &info));
	close(other.device);
	vfio_dev_close(&d);
}

/* A file of /dev/vfio/devices that nobody has bound. */
TEST(unbound_file)
{
	char bdf[VFIO_BDF_LEN];
	int fd, iommufd;
	pid_t remover;

	if (access(PARAM, F_OK))
		SKIP(return, "this vfio waits for ever");
	VFIO_PCI_BIND_OR_SKIP(VFIO_NVME, bdf);
	VFIO_IOMMUFD_OPEN_OR_SKIP(iommufd);
	VFIO_CDEV_OPEN_OR_SKIP(bdf, fd);

	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "0"));
	remover = vfio_remover_start(bdf, "driver/unbind");
	ASSERT_LT(0, remover);
	EXPECT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "-1"));
	EXPECT_EQ(0, ask_all(fd));
	EXPECT_EQ(-ENODEV, vfio_cdev_bind(fd, iommufd, NULL));
	close(fd);
	close(iommufd);
}

/*
 * The file is being bound, and all that is missing is that the user is told: the
 * device goes meanwhile, and its group with it.
 */
TEST(binding_file)
{
	static const struct parked_request bind = { VFIO_DEVICE_BIND_IOMMUFD };
	struct vfio_device_bind_iommufd arg = {
		.argsz = offsetof(struct vfio_device_bind_iommufd,
				  token_uuid_ptr),
	};
	struct parked p = { .what = &bind };
	char bdf[VFIO_BDF_LEN];
	int iommufd, log;
	pid_t remover;

	if (access(PARAM, F_OK))
		SKIP(return, "this vfio waits for ever");
	VFIO_PCI_BIND_OR_SKIP(VFIO_NVME, bdf);
	VFIO_IOMMUFD_OPEN_OR_SKIP(iommufd);
	VFIO_CDEV_OPEN_OR_SKIP(bdf, p.device);
	log = vfio_klog_open();
	ASSERT_LE(0, log);

	arg.iommufd = iommufd;
	ASSERT_EQ(0, vfio_slow_alloc_writes(&p.slow, PAGE, &arg, sizeof(arg)));
	pthread_create(&p.thread, NULL, park, &p);
	ASSERT_EQ(0, vfio_slow_wait(&p.slow));
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "0"));
	remover = vfio_remover_start(bdf, "driver/unbind");
	ASSERT_LT(0, remover);
	EXPECT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "-1"));

	vfio_slow_allow(&p.slow);
	pthread_join(p.thread, NULL);
	EXPECT_EQ(0, p.ret);
	EXPECT_EQ(0, ask_all(p.device));
	EXPECT_EQ(0, vfio_klog_splats(log));
	close(p.device);
	close(p.slow.fd);
	munmap(p.slow.mem, PAGE);
	close(iommufd);
	close(log);
}

/* A driver that was not made for it keeps its devices until they are closed. */
TEST(mediated_device)
{
	static const char uuid[] = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
	struct vfio_device_info info;
	struct vfio_dev d;
	pid_t remover;
	int available;

	if (access(PARAM, F_OK))
		SKIP(return, "this vfio waits for ever");
	if (vfio_mtty_load())
		SKIP(return, "the mtty sample is not here");
	available = vfio_mtty_available("mtty-1");
	ASSERT_EQ(0, vfio_mtty_create("mtty-1", uuid));
	ASSERT_EQ(0, vfio_dev_open_named(&d, uuid, vfio_mtty_group(uuid), 0,
					 NULL));
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "0"));
	remover = fork();
	if (!remover) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(d.device);
		_exit(vfio_mtty_destroy(uuid) ? 1 : 0);
	}
	EXPECT_EQ(-ETIMEDOUT, vfio_remover_wait(remover, 3000));
	EXPECT_EQ(0, vfio_dev_info(&d, &info));
	vfio_dev_close(&d);
	EXPECT_EQ(0, vfio_remover_wait(remover, SOON_MS));
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, "-1"));
	EXPECT_EQ(available, vfio_mtty_available("mtty-1"));
}

TEST_HARNESS_MAIN
