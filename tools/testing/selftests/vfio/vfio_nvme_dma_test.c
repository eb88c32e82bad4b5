// SPDX-License-Identifier: GPL-2.0-only
/*
 * An NVMe controller driven by system calls alone: its registers by read and
 * write, its queues and data in memory that a container maps for it, and an
 * interrupt as an eventfd. This is what is left where nothing can map a BAR, and
 * all that the device sees is little-endian, whatever the CPU is.
 */
#include <endian.h>
#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE		VFIO_PAGE
#define SECTOR		512
#define SOON_MS		5000

/* Registers of BAR0. */
#define CC		0x14
#define CC_ON		0x00460001	/* entries of 64 and 16 bytes, enabled */
#define CSTS		0x1c
#define CSTS_READY	1
#define AQA		0x24
#define ASQ		0x28
#define ACQ		0x30
#define DOORBELLS	0x1000

#define ADMIN_CREATE_SQ	0x01
#define ADMIN_CREATE_CQ	0x05
#define ADMIN_IDENTIFY	0x06
#define IDENTIFY_CTRL	1
#define CONTIGUOUS	1
#define IO_WRITE	0x01
#define IO_READ		0x02

#define ENTRIES		16

struct nvme_command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t nsid;
	uint64_t reserved, metadata, prp1, prp2;
	uint32_t dword10, dword11, dword12, dword13, dword14, dword15;
};

struct nvme_completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, id, status;
};

/* A pair of queues of the same number. */
struct queue {
	struct nvme_command *sq;
	struct nvme_completion *cq;
	unsigned int tail, head, phase;
};

/* Where they are in memory, in pages. */
enum { ADMIN_SQ, ADMIN_CQ, IO_SQ, IO_CQ, OUT, IN, PAGES };

FIXTURE(nvme_dma)
{
	struct vfio_dev d;
	struct queue queue[2];
	uint8_t *mem;
	uint64_t iova;
	int efd;
};

#define VFIO_FIXTURE nvme_dma
#include "vfio_each_mode.h"

static int reg_write(const struct vfio_dev *d, uint64_t reg, uint32_t value)
{
	uint32_t bytes = htole32(value);

	return vfio_region_write(d, 0, reg, &bytes, 4) == 4 ? 0 : -EIO;
}

static int reg_write64(const struct vfio_dev *d, uint64_t reg, uint64_t value)
{
	int ret = reg_write(d, reg, value);

	return ret ? ret : reg_write(d, reg + 4, value >> 32);
}

static int wait_ready(const struct vfio_dev *d, uint32_t want)
{
	uint64_t end = vfio_now_ms() + SOON_MS;
	uint32_t bytes;

	do {
		if (vfio_region_read(d, 0, CSTS, &bytes, 4) != 4)
			return -EIO;
		if ((le32toh(bytes) & CSTS_READY) == want)
			return 0;
		usleep(1000);
	} while (vfio_now_ms() < end);
	return -ETIMEDOUT;
}

/*
 * Have queue @q carry out @c. Returns the status that the controller gives, 0 when
 * all went well, or a negative errno.
 */
static int run(const struct vfio_dev *d, struct queue *q, unsigned int number,
	       const struct nvme_command *c)
{
	struct nvme_completion *done = &q->cq[q->head];
	uint64_t end = vfio_now_ms() + SOON_MS;
	uint16_t status;
	int ret;

	q->sq[q->tail] = *c;
	q->tail = (q->tail + 1) % ENTRIES;
	ret = reg_write(d, DOORBELLS + 8 * number, q->tail);
	for (;;) {
		status = le16toh(__atomic_load_n(&done->status, __ATOMIC_ACQUIRE));
		if (ret || (status & 1) == q->phase)
			break;
		if (vfio_now_ms() > end)
			ret = -ETIMEDOUT;
		usleep(100);
	}
	if (ret)
		return ret;
	q->head = (q->head + 1) % ENTRIES;
	if (!q->head)
		q->phase ^= 1;
	ret = reg_write(d, DOORBELLS + 8 * number + 4, q->head);
	return ret ? ret : status >> 1;
}

FIXTURE_SETUP(nvme_dma)
{
	int i;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_NVME, variant->mode);
	self->iova = VFIO_IOVA_BASE + 0x100000;
	self->mem = vfio_alloc_pages(PAGES * PAGE);
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, PAGES * PAGE);
	ASSERT_EQ(0, vfio_dma_map(self->d.container, self->mem, self->iova,
				  PAGES * PAGE));
	for (i = 0; i < 2; i++) {
		self->queue[i].sq = (void *)(self->mem + 2 * i * PAGE);
		self->queue[i].cq = (void *)(self->mem + (2 * i + 1) * PAGE);
		self->queue[i].phase = 1;
	}
	self->efd = vfio_eventfd();
	ASSERT_LE(0, self->efd);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0,
				      self->efd));

	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, reg_write(&self->d, CC, 0));
	ASSERT_EQ(0, wait_ready(&self->d, 0));
	ASSERT_EQ(0, reg_write(&self->d, AQA, (ENTRIES - 1) << 16 |
			       (ENTRIES - 1)));
	ASSERT_EQ(0, reg_write64(&self->d, ASQ, self->iova + ADMIN_SQ * PAGE));
	ASSERT_EQ(0, reg_write64(&self->d, ACQ, self->iova + ADMIN_CQ * PAGE));
	ASSERT_EQ(0, reg_write(&self->d, CC, CC_ON));
	ASSERT_EQ(0, wait_ready(&self->d, CSTS_READY));
}

FIXTURE_TEARDOWN(nvme_dma)
{
	vfio_dev_close(&self->d);
	close(self->efd);
}

/* What the controller tells of itself arrives in memory, and so does the interrupt. */
TEST_F(nvme_dma, identify)
{
	struct nvme_command identify = {
		.opcode = ADMIN_IDENTIFY,
		.id = htole16(1),
		.prp1 = htole64(self->iova + IN * PAGE),
		.dword10 = htole32(IDENTIFY_CTRL),
	};
	uint8_t *told = self->mem + IN * PAGE;

	ASSERT_EQ(0, run(&self->d, &self->queue[0], 0, &identify));
	EXPECT_EQ(0, vfio_eventfd_wait(self->efd, SOON_MS, NULL));
	EXPECT_EQ(vfio_cfg_read16(&self->d, PCI_VENDOR_ID),
		  told[0] | told[1] << 8);
	EXPECT_EQ(vfio_cfg_read16(&self->d, PCI_SUBSYSTEM_VENDOR_ID),
		  told[2] | told[3] << 8);
}

/* What is written to the disk from one page comes back in another one. */
TEST_F(nvme_dma, write_and_read)
{
	struct nvme_command create_cq = {
		.opcode = ADMIN_CREATE_CQ,
		.prp1 = htole64(self->iova + IO_CQ * PAGE),
		.dword10 = htole32((ENTRIES - 1) << 16 | 1),
		.dword11 = htole32(CONTIGUOUS),
	};
	struct nvme_command create_sq = {
		.opcode = ADMIN_CREATE_SQ,
		.prp1 = htole64(self->iova + IO_SQ * PAGE),
		.dword10 = htole32((ENTRIES - 1) << 16 | 1),
		.dword11 = htole32(1 << 16 | CONTIGUOUS),
	};
	struct nvme_command transfer = {
		.nsid = htole32(1),
		.dword12 = htole32(4096 / SECTOR - 1),
	};
	uint8_t *out = self->mem + OUT * PAGE, *in = self->mem + IN * PAGE;
	unsigned int round, i;

	ASSERT_EQ(0, run(&self->d, &self->queue[0], 0, &create_cq));
	ASSERT_EQ(0, run(&self->d, &self->queue[0], 0, &create_sq));
	/* Often enough for the queues to come round. */
	for (round = 0; round < 2 * ENTRIES; round++) {
		for (i = 0; i < 4096; i++)
			out[i] = i * 7 + round;
		transfer.dword10 = htole32(round * 8);
		transfer.opcode = IO_WRITE;
		transfer.prp1 = htole64(self->iova + OUT * PAGE);
		ASSERT_EQ(0, run(&self->d, &self->queue[1], 1, &transfer));
		transfer.opcode = IO_READ;
		transfer.prp1 = htole64(self->iova + IN * PAGE);
		ASSERT_EQ(0, run(&self->d, &self->queue[1], 1, &transfer));
		ASSERT_EQ(0, memcmp(in, out, 4096));
	}
}

TEST_HARNESS_MAIN
