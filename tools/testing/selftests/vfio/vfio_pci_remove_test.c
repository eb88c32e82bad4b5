// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device is taken away while a process has it open and mapped and its
 * interrupts armed, and perhaps will not let go. Nobody hangs, nobody sees
 * what is not the device, and the removal ends when the process does.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define VFIO_VIRTIO_NET	"1af4:1041"

#define SOON_MS		20000
/* Long enough for a removal that does not wait to be over. */
#define WAITS_MS	300

FIXTURE(remove)
{
	char bdf[VFIO_BDF_LEN];
	pid_t remover;
	int request;		/* eventfds that the user armed */
	int irq;
	int ready[2];		/* the user's word that it is all set up */
	pid_t user;
};

FIXTURE_VARIANT(remove)
{
	const char *id;
	const char *attr;
	uint32_t bar;
	uint32_t off;
	int mode;
};

FIXTURE_VARIANT_ADD(remove, nvme) { VFIO_NVME, "remove", 0, 8 };
FIXTURE_VARIANT_ADD(remove, nvme_unbind) { VFIO_NVME, "driver/unbind", 0, 8 };
FIXTURE_VARIANT_ADD(remove, edu) { VFIO_EDU, "remove", 0, 0 };

VFIO_OTHER_MODES(remove, nvme, VFIO_NVME, "remove", 0, 8);

FIXTURE_SETUP(remove)
{
	struct vfio_dev d;

	VFIO_DEV_OPEN_OR_SKIP(&d, variant->id, variant->mode);
	memcpy(self->bdf, d.bdf, sizeof(self->bdf));
	vfio_dev_close(&d);
	self->request = vfio_eventfd();
	self->irq = vfio_eventfd();
	ASSERT_LE(0, self->request);
	ASSERT_LE(0, self->irq);
	ASSERT_EQ(0, pipe(self->ready));
}

FIXTURE_TEARDOWN(remove)
{
	close(self->request);
	close(self->irq);
	close(self->ready[0]);
	close(self->ready[1]);
	vfio_pci_rescan();
}

#define SELF FIXTURE_DATA(remove)
#define VARIANT FIXTURE_VARIANT(remove)

static uint32_t irq_index(const struct vfio_dev *d)
{
	return vfio_irq_count(d, VFIO_PCI_MSIX_IRQ_INDEX) > 0 ?
	       VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
}

/*
 * The process that has the device: reads it, takes what it is sent on the
 * eventfds, and says after each round how it went.
 */
static int use_device(SELF *self,
		      const VARIANT *variant, bool obedient)
{
	struct vfio_dev d;
	uint32_t first, value;
	uint64_t size;
	void *p;
	char word;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (vfio_dev_open(&d, self->bdf, variant->mode) ||
	    vfio_cfg_memory(&d, true))
		return 1;
	size = vfio_region_size(&d, variant->bar);
	if (vfio_region_mmap(&d, variant->bar, 0, size, &p) ||
	    vfio_try_load32(p + variant->off, &first))
		return 2;
	if (vfio_irq_eventfd(&d, irq_index(&d), 0, self->irq) ||
	    vfio_irq_eventfd(&d, VFIO_PCI_REQ_IRQ_INDEX, 0, self->request))
		return 3;

	for (;;) {
		struct pollfd pfd = { .fd = self->request, .events = POLLIN };
		int64_t n;

		word = '.';
		switch (vfio_try_load32(p + variant->off, &value)) {
		case 0:
			if (value != first)
				word = '!';
			break;
		case SIGBUS:
			break;
		default:
			word = '!';
		}
		n = vfio_region_read(&d, variant->bar, variant->off, &value, 4);
		if (n != -EIO && (n != 4 || value != first))
			word = '!';
		if (vfio_irq_trigger(&d, irq_index(&d), 0, 1))
			word = '!';
		if (write(self->ready[1], &word, 1) != 1)
			return 4;
		if (obedient && poll(&pfd, 1, 0) == 1)
			break;
		usleep(10000);
	}
	munmap(p, size);
	vfio_dev_close(&d);
	return 0;
}

/* Wait for more rounds of the user; all have to have gone well. */
static int rounds(SELF *self, int count)
{
	struct pollfd pfd = { .fd = self->ready[0], .events = POLLIN };
	char word;

	/* Those that were over already do not count. */
	while (poll(&pfd, 1, 0) == 1) {
		if (read(self->ready[0], &word, 1) != 1 || word != '.')
			return -EPROTO;
	}
	while (count--) {
		if (poll(&pfd, 1, SOON_MS) != 1)
			return -ETIMEDOUT;
		if (read(self->ready[0], &word, 1) != 1 || word != '.')
			return -EPROTO;
	}
	return 0;
}

#define START_USER(obedient) do {					\
	self->user = fork();						\
	if (!self->user)						\
		_exit(use_device(self, variant, obedient));		\
	ASSERT_LT(0, self->user);					\
	ASSERT_EQ(0, rounds(self, 2));					\
} while (0)

/* After the removal: gone, or without driver, and to be had again. */
#define CHECK_REMOVED() do {						\
	struct vfio_dev again;						\
	char name[64];							\
									\
	if (!strcmp(variant->attr, "remove")) {				\
		ASSERT_FALSE(vfio_pci_is_there(self->bdf));			\
		ASSERT_EQ(0, vfio_pci_rescan());			\
		ASSERT_TRUE(vfio_pci_is_there(self->bdf));			\
	}								\
	ASSERT_NE(0, vfio_pci_driver(self->bdf, name, sizeof(name)));	\
	ASSERT_EQ(0, vfio_dev_open(&again, self->bdf, variant->mode));	\
	ASSERT_EQ(0, vfio_cfg_memory(&again, true));			\
	vfio_dev_close(&again);						\
} while (0)

/* Nobody has it open. */
TEST_F_TIMEOUT(remove, unused, 60)
{
	int i;

	for (i = 0; i < 3; i++) {
		self->remover = vfio_remover_start(self->bdf, variant->attr);
		ASSERT_LT(0, self->remover);
		ASSERT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
		CHECK_REMOVED();
	}
}

TEST_F_TIMEOUT(remove, user_closes, 60)
{
	int status;

	START_USER(true);
	self->remover = vfio_remover_start(self->bdf, variant->attr);
	ASSERT_LT(0, self->remover);
	ASSERT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	ASSERT_EQ(self->user, waitpid(self->user, &status, 0));
	EXPECT_EQ(0, status);
	CHECK_REMOVED();
}

TEST_F_TIMEOUT(remove, user_ignores_it_and_dies, 60)
{
	int status;

	START_USER(false);
	self->remover = vfio_remover_start(self->bdf, variant->attr);
	ASSERT_LT(0, self->remover);
	/* It is asked, goes on, and the removal waits. */
	ASSERT_EQ(0, vfio_eventfd_wait(self->request, SOON_MS, NULL));
	ASSERT_EQ(0, rounds(self, 10));
	ASSERT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, WAITS_MS));
	ASSERT_EQ(0, rounds(self, 10));
	EXPECT_NE(0, vfio_eventfd_drain(self->irq));
	EXPECT_EQ(1, vfio_interrupt_lines(self->bdf));

	ASSERT_EQ(0, kill(self->user, SIGKILL));
	ASSERT_EQ(self->user, waitpid(self->user, &status, 0));
	ASSERT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	EXPECT_EQ(0, vfio_interrupt_lines(self->bdf));
	CHECK_REMOVED();
}

/* The mapping alone keeps the device. */
TEST_F_TIMEOUT(remove, mapping_stays, 60)
{
	uint32_t first, value;
	struct vfio_dev d;
	uint64_t size;
	void *p;
	int i;

	ASSERT_EQ(0, vfio_dev_open(&d, self->bdf, variant->mode));
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	size = vfio_region_size(&d, variant->bar);
	ASSERT_EQ(0, vfio_region_mmap(&d, variant->bar, 0, size, &p));
	ASSERT_EQ(0, vfio_try_load32(p + variant->off, &first));
	ASSERT_EQ(0, vfio_irq_eventfd(&d, VFIO_PCI_REQ_IRQ_INDEX, 0,
				      self->request));
	vfio_dev_close(&d);

	self->remover = vfio_remover_start(self->bdf, variant->attr);
	ASSERT_LT(0, self->remover);
	ASSERT_EQ(0, vfio_eventfd_wait(self->request, SOON_MS, NULL));
	ASSERT_EQ(-ETIMEDOUT, vfio_remover_wait(self->remover, WAITS_MS));
	for (i = 0; i < 100; i++) {
		int sig = vfio_try_load32(p + variant->off, &value);

		ASSERT_TRUE(sig ? sig == SIGBUS : value == first);
	}
	ASSERT_EQ(0, munmap(p, size));
	ASSERT_EQ(0, vfio_remover_wait(self->remover, SOON_MS));
	CHECK_REMOVED();
}

/* The host's operator pulls the device out. It does not come back. */
TEST(unplugged)
{
	struct vfio_readers *readers;
	struct vfio_readers params;
	uint64_t end = vfio_now_ms() + SOON_MS;
	struct vfio_dev d;
	char command[64], id[32];
	int request;

	params = (struct vfio_readers) {
		.d = &d, .bar = 4, .off = 0x10, .woff = 8, .wvalue = 1,
	};
	if (!vfio_monitor_is_there())
		SKIP(return, "no monitor");
	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_VIRTIO_NET, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_monitor_id(d.bdf, id, sizeof(id)));
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	request = vfio_eventfd();
	ASSERT_EQ(0, vfio_irq_eventfd(&d, VFIO_PCI_REQ_IRQ_INDEX, 0, request));
	readers = vfio_readers_start(&params);
	ASSERT_NE(NULL, readers);

	snprintf(command, sizeof(command), "device_del %s", id);
	ASSERT_EQ(0, vfio_monitor(command, NULL, 0));
	ASSERT_EQ(0, vfio_eventfd_wait(request, SOON_MS, NULL));
	ASSERT_EQ(0, vfio_readers_turn(readers));
	usleep(WAITS_MS * 1000);
	ASSERT_TRUE(vfio_pci_is_there(d.bdf));
	ASSERT_EQ(0, vfio_readers_turn(readers));
	EXPECT_EQ(0, vfio_readers_stop(readers));
	vfio_dev_close(&d);
	while (vfio_pci_is_there(d.bdf) && vfio_now_ms() < end)
		usleep(10000);
	EXPECT_FALSE(vfio_pci_is_there(d.bdf));
	close(request);
}

TEST_HARNESS_MAIN
