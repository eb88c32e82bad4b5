// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA by a real requester: QEMU's edu device copies between an IO virtual
 * address and a buffer of its own, and raises an interrupt when done. Whatever
 * it reads or writes went through the IOMMU mappings of the container.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_util.h"
#include "vfio_variants.h"

/* Registers of BAR0. */
#define EDU_ID		0x00
#define EDU_LIVENESS	0x04
#define EDU_IRQ_STATUS	0x24
#define EDU_IRQ_RAISE	0x60
#define EDU_IRQ_ACK	0x64
#define EDU_DMA_IRQ	0x100

/* Half of the device's buffer: QEMU 7.2 aborts when its last byte is used. */
#define LEN		2048

#define IOVA		0x4000000
#define PAGE		VFIO_PAGE

FIXTURE(edu)
{
	struct vfio_dev d;
	uint8_t *regs;
	uint8_t *mem;		/* 16 pages, mapped at IOVA */
};

#define VFIO_FIXTURE edu
#include "vfio_each_mode.h"

FIXTURE_SETUP(edu)
{
	void *p;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_EDU, variant->mode);
	ASSERT_EQ(0, vfio_region_mmap(&self->d, 0, 0, 0x1000, &p));
	self->regs = p;
	self->mem = vfio_alloc_pages(16 * PAGE);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, vfio_dma_map(self->d.container, self->mem, IOVA,
				  16 * PAGE));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
}

FIXTURE_TEARDOWN(edu)
{
	vfio_dev_close(&self->d);
}

static uint32_t reg_read(uint8_t *regs, unsigned int reg)
{
	return vfio_mmio_read32(regs + reg);
}

static void reg_write(uint8_t *regs, unsigned int reg, uint32_t value)
{
	vfio_mmio_write32(regs + reg, value);
}

static void dma_write64(uint8_t *regs, unsigned int reg,
			uint64_t value)
{
	vfio_mmio_write64(regs + reg, value);
}

static int dma_wait(uint8_t *regs)
{
	int i;

	for (i = 0; i < 500; i++) {
		if (!(reg_read(regs, EDU_DMA_CMD) & EDU_CMD_START))
			return 0;
		usleep(5000);
	}
	return -ETIMEDOUT;
}

static void dma_start(uint8_t *regs, uint64_t iova, size_t len,
		      uint32_t flags)
{
	bool to_ram = flags & EDU_CMD_TO_RAM;

	dma_write64(regs, EDU_DMA_SRC, to_ram ? EDU_BUF : iova);
	dma_write64(regs, EDU_DMA_DST, to_ram ? iova : EDU_BUF);
	dma_write64(regs, EDU_DMA_COUNT, len);
	dma_write64(regs, EDU_DMA_CMD, EDU_CMD_START | flags);
}

/* The device reads @len bytes from @iova into its buffer. */
static int edu_load(uint8_t *regs, uint64_t iova, size_t len)
{
	dma_start(regs, iova, len, 0);
	return dma_wait(regs);
}

/* The device writes @len bytes of its buffer to @iova. */
static int edu_store(uint8_t *regs, uint64_t iova, size_t len)
{
	dma_start(regs, iova, len, EDU_CMD_TO_RAM);
	return dma_wait(regs);
}

static void fill(uint8_t *p, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = seed >> 24;
	}
}

static bool all_bytes(const uint8_t *p, size_t len, uint8_t value)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != value)
			return false;
	}
	return true;
}

TEST_F(edu, registers)
{
	ASSERT_EQ(0xed, reg_read(self->regs, EDU_ID) & 0xff);
	reg_write(self->regs, EDU_LIVENESS, 0x12345678);
	ASSERT_EQ(~0x12345678u, reg_read(self->regs, EDU_LIVENESS));
}

TEST_F(edu, round_trip)
{
	uint8_t *from = self->mem, *to = self->mem + 8 * PAGE;
	int round;

	for (round = 0; round < 3; round++) {
		fill(from, LEN, round + 1);
		memset(to, 0x5a, PAGE);
		ASSERT_EQ(0, edu_load(self->regs, IOVA, LEN));
		/* It is the device's copy that comes back. */
		memset(from, 0, LEN);
		ASSERT_EQ(0, edu_store(self->regs, IOVA + 8 * PAGE, LEN));
		fill(from, LEN, round + 1);
		ASSERT_EQ(0, memcmp(from, to, LEN));
		ASSERT_TRUE(all_bytes(to + LEN, PAGE - LEN, 0x5a));
	}
}

TEST_F(edu, across_pages)
{
	uint8_t *from = self->mem + PAGE - 50;
	uint8_t *to = self->mem + 9 * PAGE - 100;
	uint8_t want[200];

	fill(from, sizeof(want), 7);
	memcpy(want, from, sizeof(want));
	ASSERT_EQ(0, edu_load(self->regs, IOVA + PAGE - 50, 200));
	ASSERT_EQ(0, edu_store(self->regs, IOVA + 9 * PAGE - 100, 200));
	ASSERT_EQ(0, memcmp(want, to, 200));
	ASSERT_TRUE(all_bytes(to + 200, 64, 0));
	ASSERT_TRUE(all_bytes(to - 64, 64, 0));
}

/* Pages that are apart in memory and next to each other for the device. */
TEST_F(edu, scattered)
{
	const size_t half = LEN / 2;
	uint64_t iova = 0xa000000;
	uint8_t want[LEN];
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, vfio_dma_map(self->d.container,
					  self->mem + (3 - i) * 2 * PAGE,
					  iova + i * PAGE, PAGE));
	}
	/* The end of one page and the start of the one before it. */
	fill(self->mem + 7 * PAGE - half, half, 1);
	fill(self->mem + 4 * PAGE, half, 2);
	memcpy(want, self->mem + 7 * PAGE - half, half);
	memcpy(want + half, self->mem + 4 * PAGE, half);
	ASSERT_EQ(0, edu_load(self->regs, iova + PAGE - half, LEN));
	ASSERT_EQ(0, edu_store(self->regs, iova + 3 * PAGE - half, LEN));
	ASSERT_EQ(0, memcmp(want, self->mem + 3 * PAGE - half, half));
	ASSERT_EQ(0, memcmp(want + half, self->mem, half));
	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, iova, 4 * PAGE));
}

/* The same at both ends of what the device can address. */
TEST_F(edu, edges)
{
	const uint64_t iovas[] = { 0, EDU_IOVA_END - PAGE };
	uint8_t want[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(iovas); i++) {
		ASSERT_EQ(0, vfio_dma_map(self->d.container, self->mem + PAGE,
					  iovas[i], PAGE));
		fill(self->mem + PAGE, 64, i + 40);
		memcpy(want, self->mem + PAGE, 64);
		ASSERT_EQ(0, edu_load(self->regs, iovas[i], 64));
		ASSERT_EQ(0, edu_store(self->regs, iovas[i] + PAGE - 64, 64));
		ASSERT_EQ(0, memcmp(want, self->mem + 2 * PAGE - 64, 64));
		ASSERT_EQ(0, vfio_dma_unmap(self->d.container, iovas[i],
					    PAGE));
	}
}

/* After an unmap the device reaches neither the old page nor any other. */
TEST_F(edu, unmapped)
{
	fill(self->mem, LEN, 3);
	ASSERT_EQ(0, edu_load(self->regs, IOVA, LEN));
	memset(self->mem, 0x33, 16 * PAGE);
	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, IOVA, 16 * PAGE));
	ASSERT_EQ(0, edu_store(self->regs, IOVA, LEN));
	ASSERT_EQ(0, edu_store(self->regs, IOVA + 15 * PAGE, LEN));
	ASSERT_EQ(0, edu_store(self->regs, 0, LEN));
	ASSERT_TRUE(all_bytes(self->mem, 16 * PAGE, 0x33));

	/* Nor can it read what is no longer mapped. */
	ASSERT_EQ(0, edu_load(self->regs, IOVA, LEN));
	ASSERT_EQ(0, vfio_dma_map(self->d.container, self->mem, IOVA,
				  16 * PAGE));
	memset(self->mem, 0x44, PAGE);
	ASSERT_EQ(0, edu_store(self->regs, IOVA, LEN));
	ASSERT_FALSE(all_bytes(self->mem, LEN, 0x33));
	ASSERT_FALSE(all_bytes(self->mem, LEN, 0x44));
}

/* A read-only mapping keeps the device's writes out. */
TEST_F(edu, permissions)
{
	uint8_t *ro = self->mem + PAGE, *wo = self->mem + 2 * PAGE;
	uint8_t want[LEN];

	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, IOVA, 16 * PAGE));
	ASSERT_EQ(0, vfio_dma_map_flags(self->d.container, ro, IOVA, PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	ASSERT_EQ(0, vfio_dma_map_flags(self->d.container, wo, IOVA + PAGE,
					PAGE, VFIO_DMA_MAP_FLAG_WRITE));
	fill(ro, LEN, 5);
	memcpy(want, ro, LEN);
	ASSERT_EQ(0, edu_load(self->regs, IOVA, LEN));
	memset(ro, 0x66, PAGE);
	ASSERT_EQ(0, edu_store(self->regs, IOVA, LEN));
	ASSERT_TRUE(all_bytes(ro, PAGE, 0x66));
	ASSERT_EQ(0, edu_store(self->regs, IOVA + PAGE, LEN));
	ASSERT_EQ(0, memcmp(want, wo, LEN));
}

/* Without bus mastering nothing moves, whatever is mapped. */
TEST_F(edu, bus_master_off)
{
	memset(self->mem, 0x77, PAGE);
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MASTER));
	ASSERT_EQ(0, edu_store(self->regs, IOVA, LEN));
	ASSERT_TRUE(all_bytes(self->mem, PAGE, 0x77));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, edu_store(self->regs, IOVA, LEN));
	ASSERT_FALSE(all_bytes(self->mem, LEN, 0x77));
}

/* The mapping is of the pages, not of the address they had. */
TEST_F(edu, memory_unmapped_by_process)
{
	uint8_t want[64], *mem;

	mem = vfio_alloc_pages(PAGE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_dma_map(self->d.container, mem, 0x100000, PAGE));
	fill(mem, 64, 21);
	memcpy(want, mem, 64);
	ASSERT_EQ(0, munmap(mem, PAGE));
	ASSERT_EQ(0, edu_load(self->regs, 0x100000, 64));
	ASSERT_EQ(0, edu_store(self->regs, IOVA, 64));
	ASSERT_EQ(0, memcmp(want, self->mem, 64));
	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, 0x100000, PAGE));
}

TEST_F(edu, intx_at_completion)
{
	int fd = vfio_eventfd();
	uint64_t count;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_INTX_IRQ_INDEX, 0,
				      fd));
	fill(self->mem, 128, 9);
	dma_start(self->regs, IOVA, 128, EDU_CMD_IRQ);
	ASSERT_EQ(0, vfio_eventfd_wait(fd, 3000, &count));
	ASSERT_EQ(1, count);
	ASSERT_EQ(EDU_DMA_IRQ, reg_read(self->regs, EDU_IRQ_STATUS));

	/* Masked by the kernel until it is unmasked; still asserted. */
	ASSERT_EQ(-ETIMEDOUT, vfio_eventfd_wait(fd, 50, NULL));
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, VFIO_PCI_INTX_IRQ_INDEX, 0, 1));
	ASSERT_EQ(0, vfio_eventfd_wait(fd, 1000, &count));
	reg_write(self->regs, EDU_IRQ_ACK, EDU_DMA_IRQ);
	ASSERT_EQ(0, vfio_irq_unmask(&self->d, VFIO_PCI_INTX_IRQ_INDEX, 0, 1));
	ASSERT_EQ(-ETIMEDOUT, vfio_eventfd_wait(fd, 50, NULL));

	dma_start(self->regs, IOVA + PAGE, 128, EDU_CMD_IRQ | EDU_CMD_TO_RAM);
	ASSERT_EQ(0, vfio_eventfd_wait(fd, 3000, &count));
	ASSERT_EQ(1, count);
	reg_write(self->regs, EDU_IRQ_ACK, EDU_DMA_IRQ);
	/* The interrupt does not overtake the data. */
	ASSERT_EQ(0, memcmp(self->mem, self->mem + PAGE, 128));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, VFIO_PCI_INTX_IRQ_INDEX));
	close(fd);
}

TEST_F(edu, msi_at_completion)
{
	int fd = vfio_eventfd();
	uint64_t count;
	int i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, VFIO_PCI_MSI_IRQ_INDEX, 0,
				      fd));
	for (i = 0; i < 3; i++) {
		uint32_t dir = i & 1 ? EDU_CMD_TO_RAM : 0;

		dma_start(self->regs, IOVA, LEN, EDU_CMD_IRQ | dir);
		ASSERT_EQ(0, vfio_eventfd_wait(fd, 3000, &count));
		ASSERT_EQ(1, count);
		reg_write(self->regs, EDU_IRQ_ACK, EDU_DMA_IRQ);
		ASSERT_EQ(-ETIMEDOUT, vfio_eventfd_wait(fd, 20, NULL));
	}
	ASSERT_EQ(1, vfio_interrupt_lines("vfio-msi"));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, VFIO_PCI_MSI_IRQ_INDEX));
	ASSERT_EQ(0, vfio_interrupt_lines("vfio"));
	close(fd);
}

/* Another device's BAR as the target: DMA from peer to peer. */
TEST_F(edu, peer_to_peer)
{
	struct vfio_dev peer;
	uint8_t want[512];
	void *bar;
	int ret;

	ret = vfio_dev_open_with(&peer, VFIO_IVSHMEM, &self->d);
	if (ret == -ENXIO)
		SKIP(return, "no device %s here", VFIO_IVSHMEM);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, vfio_region_mmap(&peer, 2, 0, 1 << 20, &bar));
	ret = vfio_dma_map(self->d.container, bar, 0xa000000, 1 << 20);
	if (self->d.mode & VFIO_MODE_IOMMUFDS) {
		/* What iommufd maps it pins, and this has no pages. */
		ASSERT_EQ(-EFAULT, ret);
		vfio_dev_close(&peer);
		return;
	}
	ASSERT_EQ(0, ret);
	fill(self->mem, sizeof(want), 77);
	memcpy(want, self->mem, sizeof(want));
	memset(bar, 0, 8192);
	ASSERT_EQ(0, edu_load(self->regs, IOVA, sizeof(want)));
	ASSERT_EQ(0, edu_store(self->regs, 0xa000000 + PAGE - 256,
			       sizeof(want)));
	ASSERT_EQ(0, memcmp(want, bar + PAGE - 256, sizeof(want)));

	memset(bar, 0x12, 256);
	ASSERT_EQ(0, edu_load(self->regs, 0xa000000, 256));
	ASSERT_EQ(0, edu_store(self->regs, IOVA + PAGE, 256));
	ASSERT_TRUE(all_bytes(self->mem + PAGE, 256, 0x12));
	ASSERT_EQ(0, vfio_dma_unmap(self->d.container, 0xa000000, 1 << 20));
	ASSERT_EQ(0, edu_store(self->regs, 0xa000000 + PAGE, 256));
	ASSERT_EQ(0, munmap(bar, 1 << 20));
	vfio_dev_close(&peer);
}

/* Attached later, the device sees all that was mapped before. */
TEST_F(edu, joins_mappings)
{
	struct vfio_dev other;
	uint8_t want[64];
	uint8_t *mem;
	void *p;
	int ret;

	ASSERT_EQ(0, munmap(self->regs, 0x1000));
	vfio_dev_close(&self->d);
	ret = vfio_dev_open(&other, VFIO_NVME, variant->mode);
	if (ret == -ENXIO)
		SKIP(return, "no device %s here", VFIO_NVME);
	ASSERT_EQ(0, ret);
	mem = vfio_alloc_pages(2 * PAGE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_dma_map(other.container, mem, IOVA, 2 * PAGE));
	fill(mem, 64, 31);
	memcpy(want, mem, 64);

	ASSERT_EQ(0, vfio_dev_open_with(&self->d, VFIO_EDU, &other));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, 0, 0, 0x1000, &p));
	self->regs = p;
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, edu_load(self->regs, IOVA, 64));
	ASSERT_EQ(0, edu_store(self->regs, IOVA + PAGE, 64));
	ASSERT_EQ(0, memcmp(want, mem + PAGE, 64));
	ASSERT_EQ(0, munmap(self->regs, 0x1000));
	vfio_dev_close(&self->d);
	vfio_dev_close(&other);
}

/*
 * A process dies with a transfer under way. Its pages go to somebody else, and
 * the device must not write them then.
 */
TEST_F(edu, dead_user)
{
	const size_t size = 64 << 20;
	int ready[2], status, round;
	uint8_t *mem;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, munmap(self->regs, 0x1000));
	vfio_dev_close(&self->d);
	ASSERT_EQ(0, munmap(self->mem, 16 * PAGE));
	ASSERT_EQ(0, pipe(ready));
	for (round = 0; round < 5; round++) {
		pid = fork();
		if (!pid) {
			struct vfio_dev d;
			void *regs, *buf = vfio_alloc_pages(16 * PAGE);

			if (vfio_dev_open(&d, VFIO_EDU, variant->mode) ||
			    vfio_region_mmap(&d, 0, 0, 0x1000, &regs) ||
			    vfio_dma_map(d.container, buf, IOVA, 16 * PAGE) ||
			    vfio_cfg_command(&d, PCI_COMMAND_MEMORY |
					     PCI_COMMAND_MASTER, 0))
				_exit(1);
			memset(buf, 0xd1, 16 * PAGE);
			if (edu_load(regs, IOVA, LEN))
				_exit(1);
			dma_start(regs, IOVA, LEN, EDU_CMD_TO_RAM);
			if (write(ready[1], "r", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		mem = vfio_alloc_pages(size);
		ASSERT_NE(NULL, mem);
		/* Longer than the device takes for a transfer. */
		usleep(200000);
		ASSERT_TRUE(all_bytes(mem, size, 0));
		ASSERT_EQ(0, munmap(mem, size));
	}
}

TEST_HARNESS_MAIN
