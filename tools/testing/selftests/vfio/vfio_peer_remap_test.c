// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peer DMA to memory that a driver maps into processes by its own means, and of which
 * it does not tell when it goes: it is reached from MAP_DMA to the last close.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_gate.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define DRIVER		"test_vfio_pci_remap"
#define PARAM		"/sys/module/" DRIVER "/parameters/faults"

#define PAGE		VFIO_PAGE
#define BAR		VFIO_PCI_BAR2_REGION_INDEX
#define BAR_SIZE	(64UL << 20)
#define RAM_IOVA	0x100000UL
#define BAR_IOVA	0x4000000UL
#define SAYS		0x123400
#define MORE		(4 * PAGE)
#define GOOD		0x600d600d600dUL

/* edu, and ivshmem in the hands of such a driver; both in one container. */
FIXTURE(remap)
{
	struct vfio_dev edu;
	struct vfio_dev peer;
	char bdf[VFIO_BDF_LEN];
	volatile uint64_t *ram;		/* a page at RAM_IOVA */
	void *bar;
	void *more;			/* pages for other mappings */
	int klog;
};

FIXTURE_VARIANT(remap)
{
	const char *faults;
};

FIXTURE_VARIANT_ADD(remap, at_once)
{
	.faults = "N",
};

FIXTURE_VARIANT_ADD(remap, by_faults)
{
	.faults = "Y",
};

static int open_peer(FIXTURE_DATA(remap) *self)
{
	void *bar;
	int ret;

	ret = vfio_dev_open_named(&self->peer, self->bdf,
				  vfio_pci_group(self->bdf),
				  VFIO_TYPE1v2_IOMMU, &self->edu);
	if (ret)
		return ret;
	ret = vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0);
	if (ret)
		return ret;
	ret = vfio_region_mmap(&self->peer, BAR, 0, BAR_SIZE, &bar);
	self->bar = bar;
	return ret;
}

FIXTURE_SETUP(remap)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->edu, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	VFIO_PCI_BIND_OR_SKIP(VFIO_IVSHMEM, self->bdf);
	if (access(PARAM, F_OK) && vfio_modprobe(DRIVER))
		SKIP(return, "no module " DRIVER);
	ASSERT_EQ(0, vfio_sysfs_write(PARAM, variant->faults));
	ASSERT_EQ(0, vfio_pci_bind_to(self->bdf, DRIVER));
	ASSERT_EQ(0, open_peer(self));
	ASSERT_EQ(0, vfio_cfg_command(&self->edu, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));

	self->ram = vfio_alloc_pages(PAGE);
	ASSERT_NE(NULL, self->ram);
	self->more = vfio_alloc_pages(MORE);
	ASSERT_NE(NULL, self->more);
	ASSERT_EQ(0, vfio_dma_map(self->edu.container, (void *)self->ram,
				  RAM_IOVA, PAGE));
	*(volatile uint64_t *)(self->bar + SAYS) = GOOD;
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(remap)
{
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
	/* Whoever maps the device keeps it from the other driver. */
	munmap(self->bar, BAR_SIZE);
	munmap(self->more, MORE);
	vfio_dev_close(&self->peer);
	vfio_dev_close(&self->edu);
	EXPECT_EQ(0, vfio_pci_bind(self->bdf));
}

/* What edu finds at @iova. */
static uint64_t find(FIXTURE_DATA(remap) *self, uint64_t iova)
{
	/* What the buffer holds when the read fails. */
	self->ram[0] = ~0ULL;
	edu_dma(&self->edu, RAM_IOVA, 64, false);
	edu_copy(&self->edu, iova, RAM_IOVA);
	return self->ram[0];
}

static int map(FIXTURE_DATA(remap) *self, void *p, uint64_t size)
{
	return vfio_dma_map(self->edu.container, p, BAR_IOVA, size);
}

static int unmap(FIXTURE_DATA(remap) *self, uint64_t size)
{
	return vfio_dma_unmap(self->edu.container, BAR_IOVA, size);
}

/* Either way, whole and in part, and nobody is charged. */
TEST_F(remap, is_reached)
{
	int64_t locked = vfio_locked_kb();

	ASSERT_EQ(0, map(self, self->bar, BAR_SIZE));
	EXPECT_EQ(locked, vfio_locked_kb());
	EXPECT_EQ(GOOD, find(self, BAR_IOVA + SAYS));
	self->ram[0] = 0xfeedfacecafe;
	ASSERT_EQ(0, edu_copy(&self->edu, RAM_IOVA,
			      BAR_IOVA + BAR_SIZE - PAGE));
	EXPECT_EQ(0xfeedfacecafe,
		  *(volatile uint64_t *)(self->bar + BAR_SIZE - PAGE));
	ASSERT_EQ(0, unmap(self, BAR_SIZE));
	EXPECT_NE(GOOD, find(self, BAR_IOVA + SAYS));

	ASSERT_EQ(0, map(self, self->bar + (SAYS & -PAGE), PAGE));
	EXPECT_EQ(GOOD, find(self, BAR_IOVA + SAYS % PAGE));
}

/* The mapping in the process is only how the memory was named. */
TEST_F(remap, process_mapping_gone)
{
	ASSERT_EQ(0, map(self, self->bar, BAR_SIZE));
	ASSERT_EQ(0, munmap(self->bar, BAR_SIZE));
	EXPECT_EQ(GOOD, find(self, BAR_IOVA + SAYS));
	ASSERT_EQ(0, unmap(self, BAR_SIZE));
	EXPECT_NE(GOOD, find(self, BAR_IOVA + SAYS));
}

/* The last close ends it, though the mapping in the container stays, over nothing. */
TEST_F(remap, last_close)
{
	ASSERT_EQ(0, map(self, self->bar, BAR_SIZE));
	/* A mapping keeps the file as much as a descriptor does. */
	close(self->peer.device);
	self->peer.device = -1;
	EXPECT_EQ(GOOD, find(self, BAR_IOVA + SAYS));
	ASSERT_EQ(0, munmap(self->bar, BAR_SIZE));
	vfio_dev_close(&self->peer);
	EXPECT_NE(GOOD, find(self, BAR_IOVA + SAYS));

	ASSERT_EQ(0, open_peer(self));
	EXPECT_EQ(GOOD, *(volatile uint64_t *)(self->bar + SAYS));
	EXPECT_NE(GOOD, find(self, BAR_IOVA + SAYS));
	ASSERT_EQ(-EEXIST, map(self, self->bar, BAR_SIZE));
	ASSERT_EQ(0, unmap(self, BAR_SIZE));
	ASSERT_EQ(0, map(self, self->bar, BAR_SIZE));
	EXPECT_EQ(GOOD, find(self, BAR_IOVA + SAYS));

	/* Nor does the driver have to stay for it. */
	ASSERT_EQ(0, munmap(self->bar, BAR_SIZE));
	vfio_dev_close(&self->peer);
	ASSERT_EQ(0, vfio_pci_bind(self->bdf));
	ASSERT_EQ(0, vfio_module_remove(DRIVER));
	EXPECT_NE(GOOD, find(self, BAR_IOVA + SAYS));
	ASSERT_EQ(0, unmap(self, BAR_SIZE));
}

/* Memory before and behind it. */
TEST_F(remap, among_memory)
{
	void *mem = self->more, *bar;

	bar = mremap(self->bar + (SAYS & -PAGE), PAGE, PAGE,
		     MREMAP_MAYMOVE | MREMAP_FIXED, mem + PAGE);
	ASSERT_EQ(mem + PAGE, bar);
	*(volatile uint64_t *)mem = 1;
	*(volatile uint64_t *)(mem + 2 * PAGE) = 2;

	ASSERT_EQ(0, map(self, mem, 3 * PAGE));
	EXPECT_EQ(1, find(self, BAR_IOVA));
	EXPECT_EQ(GOOD, find(self, BAR_IOVA + PAGE + SAYS % PAGE));
	EXPECT_EQ(2, find(self, BAR_IOVA + 2 * PAGE));

	munmap(self->bar, BAR_SIZE);
	munmap(bar, PAGE);
	vfio_dev_close(&self->peer);
	EXPECT_EQ(1, find(self, BAR_IOVA));
	EXPECT_NE(GOOD, find(self, BAR_IOVA + PAGE + SAYS % PAGE));
	EXPECT_EQ(2, find(self, BAR_IOVA + 2 * PAGE));
	ASSERT_EQ(0, unmap(self, 3 * PAGE));
}

/* What cannot be written is not mapped for writing; nothing is left of it. */
TEST_F(remap, rights)
{
	const uint32_t read = VFIO_DMA_MAP_FLAG_READ;
	uint32_t avail = vfio_dma_avail(self->edu.container);
	struct vfio_region_info info;
	void *bar;

	ASSERT_EQ(0, vfio_region_info(&self->peer, BAR, &info));
	bar = mmap(self->more, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
		   self->peer.device, info.offset + (SAYS & -PAGE));
	ASSERT_NE(MAP_FAILED, bar);
	EXPECT_EQ(-EFAULT, map(self, bar, 2 * PAGE));
	EXPECT_EQ(avail, vfio_dma_avail(self->edu.container));
	EXPECT_NE(GOOD, find(self, BAR_IOVA + SAYS % PAGE));
	EXPECT_EQ(0, vfio_dma_map_flags(self->edu.container, bar, BAR_IOVA,
					2 * PAGE, read));
	EXPECT_EQ(GOOD, find(self, BAR_IOVA + SAYS % PAGE));
	EXPECT_EQ(0, unmap(self, 2 * PAGE));

	/* The second page is nobody's: the first does not stay. */
	ASSERT_EQ(0, munmap(bar + PAGE, PAGE));
	EXPECT_EQ(-EFAULT, vfio_dma_map_flags(self->edu.container, bar,
					      BAR_IOVA, 2 * PAGE, read));
	EXPECT_EQ(avail, vfio_dma_avail(self->edu.container));
	EXPECT_NE(GOOD, find(self, BAR_IOVA + SAYS % PAGE));
}

/* Pieces that do not follow each other count as mappings do. */
TEST_F(remap, are_counted)
{
	uint32_t avail = vfio_dma_avail(self->edu.container);
	struct vfio_region_info info;
	void *mem = self->more;
	int i;

	ASSERT_EQ(0, vfio_region_info(&self->peer, BAR, &info));
	for (i = 0; i < 4; i++)
		ASSERT_NE(MAP_FAILED,
			  mmap(mem + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, self->peer.device,
			       info.offset + 2 * i * PAGE));
	ASSERT_EQ(0, map(self, mem, 4 * PAGE));
	EXPECT_EQ(avail - 4, vfio_dma_avail(self->edu.container));
	ASSERT_EQ(0, unmap(self, 4 * PAGE));
	EXPECT_EQ(avail, vfio_dma_avail(self->edu.container));
}

/* The driver has no handler that hears of the end of an error. */
TEST_F(remap, error_ends)
{
	uint64_t end = vfio_now_ms() + 10000;
	uint32_t value;

	if (variant->faults[0] == 'Y')
		SKIP(return, "once is enough");
	if (vfio_pci_error(self->bdf, "frozen"))
		SKIP(return, "no test_vfio_pci_error.ko here");
	/* The platform takes longer than we have to ask it once. */
	while (vfio_now_ms() < end - 8000) {
		EXPECT_EQ(-EIO, vfio_region_read(&self->peer, BAR, 0, &value, 4));
		usleep(100000);
	}
	EXPECT_EQ(0, vfio_pci_error(self->bdf, "resumed"));
	while (vfio_region_read(&self->peer, BAR, 0, &value, 4) != 4 &&
	       vfio_now_ms() < end)
		usleep(10000);
	EXPECT_GT(end, vfio_now_ms());
}

TEST_HARNESS_MAIN
