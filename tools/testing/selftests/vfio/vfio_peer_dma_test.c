// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peer DMA: one device reads and writes another one's BAR through the IOMMU.
 * The translation is there exactly while the memory is: a device that DMAs into
 * memory that is off gets an IOMMU fault, and finds it again at the same
 * address when it is back.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define PAGE		VFIO_PAGE
#define RAM_IOVA	0x100000UL
#define BAR_IOVA	0x4000000UL
#define MIXED_IOVA	0x3000000UL
#define ROUNDS		40
#define DMA_ENTRY_LIMIT	"/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
/* Of edu's buffer, not to its very end: where each look leaves what it saw. */
#define LOOKS_AT	1024
#define LOOKS_END	4088
#define LOOKS		((LOOKS_END - LOOKS_AT) / sizeof(uint64_t))

/* edu, and a device whose memory it reaches; both in one container. */
FIXTURE(peer)
{
	struct vfio_dev edu;
	struct vfio_dev peer;
	volatile uint64_t *ram;		/* a page at RAM_IOVA */
	void *bar;			/* all of it at BAR_IOVA */
	uint64_t size;
	uint64_t good;			/* what is there */
	int klog;
	char expected[LOOKS + 1];	/* see expect_found() */
};

static const char *all_found(FIXTURE_DATA(peer) *self);

FIXTURE_VARIANT(peer)
{
	const char *id;
	int bar;
	uint64_t offset;		/* 64 bytes that say something */
	bool writable;
};

FIXTURE_VARIANT_ADD(peer, ivshmem)
{
	.id = VFIO_IVSHMEM,
	.bar = VFIO_PCI_BAR2_REGION_INDEX,
	.offset = 0x123400,
	.writable = true,
};

/* The first registers of the controller: capabilities, version. */
FIXTURE_VARIANT_ADD(peer, nvme)
{
	.id = VFIO_NVME,
	.bar = VFIO_PCI_BAR0_REGION_INDEX,
};

static int map_bar(FIXTURE_DATA(peer) *self, int bar)
{
	int ret;

	self->size = vfio_region_size(&self->peer, bar);
	ret = vfio_region_mmap(&self->peer, bar, 0, self->size, &self->bar);
	return ret ?: vfio_dma_map(self->edu.container, self->bar, BAR_IOVA,
				   self->size);
}

static uint64_t read_by_cpu(FIXTURE_DATA(peer) *self,
			    const FIXTURE_VARIANT(peer) *variant)
{
	uint64_t value = 0;

	vfio_region_read(&self->peer, variant->bar, variant->offset, &value,
			 sizeof(value));
	return value;
}

FIXTURE_SETUP(peer)
{
	int ret;

	VFIO_DEV_OPEN_OR_SKIP(&self->edu, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	ret = vfio_dev_open_with(&self->peer, variant->id, &self->edu);
	if (ret == -ENXIO)
		SKIP(return, "no device %s here", variant->id);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, vfio_cfg_command(&self->edu, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));

	self->ram = vfio_alloc_pages(PAGE);
	ASSERT_NE(NULL, self->ram);
	ASSERT_EQ(0, vfio_dma_map(self->edu.container, (void *)self->ram,
				  RAM_IOVA, PAGE));
	ASSERT_EQ(0, map_bar(self, variant->bar));
	if (variant->writable)
		*(uint64_t *)(self->bar + variant->offset) = 0x600d600d600d;
	self->good = read_by_cpu(self, variant);
	ASSERT_NE(0, self->good);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(peer)
{
	EXPECT_STREQ(self->expected, all_found(self));
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
	vfio_dev_close(&self->peer);
	vfio_dev_close(&self->edu);
}

/* What edu finds there. */
static uint64_t read_by_edu(FIXTURE_DATA(peer) *self,
			    const FIXTURE_VARIANT(peer) *variant)
{
	/* What the buffer holds when the read fails. */
	self->ram[0] = ~0ULL;
	edu_dma(&self->edu, RAM_IOVA, 64, false);
	edu_copy(&self->edu, BAR_IOVA + variant->offset, RAM_IOVA);
	return self->ram[0];
}

#define EXPECT_REACHED()	EXPECT_EQ(self->good, read_by_edu(self, variant))
#define EXPECT_CUT_OFF()	EXPECT_NE(self->good, read_by_edu(self, variant))

TEST_F(peer, reads)
{
	EXPECT_REACHED();
}

TEST_F(peer, writes)
{
	if (!variant->writable)
		SKIP(return, "registers");
	self->ram[0] = 0xfeedfacecafe;
	ASSERT_EQ(0, edu_copy(&self->edu, RAM_IOVA, BAR_IOVA + variant->offset));
	EXPECT_EQ(0xfeedfacecafe, read_by_cpu(self, variant));
}

/* Switch the peer's memory without its driver. */
static int switch_memory(FIXTURE_DATA(peer) *self, bool on)
{
	int fd = vfio_pci_config_open(self->peer.bdf), ret = 0;
	uint16_t command;

	if (pread(fd, &command, 2, PCI_COMMAND) != 2)
		ret = -errno;
	command &= ~PCI_COMMAND_MEMORY;
	if (on)
		command |= PCI_COMMAND_MEMORY;
	if (!ret && pwrite(fd, &command, 2, PCI_COMMAND) != 2)
		ret = -errno;
	close(fd);
	return ret;
}

TEST_F(peer, memory_off_and_on)
{
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0, PCI_COMMAND_MEMORY));
	EXPECT_CUT_OFF();
	if (vfio_dma_faults_told())
		EXPECT_TRUE(edu_fault_told(&self->edu,
					   BAR_IOVA + variant->offset,
					   self->klog));

	/* It is the translation that is gone, not only what is behind it. */
	ASSERT_EQ(0, switch_memory(self, true));
	EXPECT_CUT_OFF();
	if (variant->writable) {
		self->ram[0] = 0xbadbadbadbad;
		edu_copy(&self->edu, RAM_IOVA, BAR_IOVA + variant->offset);
	}
	ASSERT_EQ(0, switch_memory(self, false));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	EXPECT_EQ(self->good, read_by_cpu(self, variant));
	EXPECT_REACHED();
}

TEST_F(peer, power_state)
{
	if (!vfio_cfg_cap(&self->peer, PCI_CAP_ID_PM))
		SKIP(return, "no power management");
	ASSERT_EQ(0, vfio_cfg_power(&self->peer, 3));
	EXPECT_CUT_OFF();
	ASSERT_EQ(0, vfio_cfg_power(&self->peer, 0));
	vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0);
	EXPECT_REACHED();
}

TEST_F(peer, reset)
{
	int ret = vfio_ioctl(self->peer.device, VFIO_DEVICE_RESET);

	if (ret == -EINVAL)
		SKIP(return, "no reset");
	ASSERT_EQ(0, ret);
	EXPECT_REACHED();
}

/* Memory that is off can be unmapped, and nothing comes back with it. */
TEST_F(peer, unmapped_while_off)
{
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA, self->size));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	EXPECT_CUT_OFF();
	ASSERT_EQ(0, vfio_dma_map(self->edu.container, self->bar, BAR_IOVA,
				  self->size));
	EXPECT_REACHED();
}

/* The mapping in the process is only how the BAR was named. */
TEST_F(peer, process_mapping_gone)
{
	ASSERT_EQ(0, munmap(self->bar, self->size));
	EXPECT_REACHED();
}

/* Closing the device ends it for good; opening it again does not undo that. */
TEST_F(peer, closed)
{
	ASSERT_EQ(0, munmap(self->bar, self->size));
	close(self->peer.device);
	EXPECT_CUT_OFF();

	self->peer.device = vfio_get_device_fd(self->peer.group,
					       self->peer.bdf);
	ASSERT_LE(0, self->peer.device);
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	EXPECT_CUT_OFF();
	/* The mapping in the container is still there, over nothing. */
	ASSERT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA, self->size));
	ASSERT_EQ(0, map_bar(self, variant->bar));
	EXPECT_REACHED();
}

/* Two mappings over parts of one BAR, and one over a part only. */
TEST_F(peer, parts)
{
	if (self->size < 8 * PAGE)
		SKIP(return, "too small");
	ASSERT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA, self->size));
	ASSERT_EQ(0, vfio_dma_map(self->edu.container, self->bar + 4 * PAGE,
				  BAR_IOVA + 4 * PAGE, 4 * PAGE));
	ASSERT_EQ(0, vfio_dma_map(self->edu.container, self->bar + 2 * PAGE,
				  BAR_IOVA, PAGE));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA, PAGE));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	*(uint64_t *)(self->bar + 5 * PAGE) = 0x5555;
	ASSERT_EQ(0, edu_copy(&self->edu, BAR_IOVA + 5 * PAGE, RAM_IOVA));
	EXPECT_EQ(0x5555, self->ram[0]);
}

/* One mapping over two VMAs of the BAR. */
TEST_F(peer, several_vmas)
{
	if (self->size < 8 * PAGE)
		SKIP(return, "too small");
	ASSERT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA, self->size));
	/* Protection splits the VMA and still allows the DMA. */
	ASSERT_EQ(0, mprotect(self->bar + 2 * PAGE, PAGE,
			      PROT_READ | PROT_WRITE | PROT_EXEC));
	ASSERT_EQ(0, vfio_dma_map(self->edu.container, self->bar, BAR_IOVA,
				  8 * PAGE));
	*(uint64_t *)(self->bar + 3 * PAGE) = 0x3333;
	ASSERT_EQ(0, edu_copy(&self->edu, BAR_IOVA + 3 * PAGE, RAM_IOVA));
	EXPECT_EQ(0x3333, self->ram[0]);
	ASSERT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA, 8 * PAGE));
}

/*
 * One mapping over pages of both kinds: 'b' is the page of the BAR that says
 * something, 'm' is memory, which says at which place it is.
 */
static void *lay_out(FIXTURE_DATA(peer) *self,
		     const FIXTURE_VARIANT(peer) *variant, const char *layout,
		     int prot)
{
	uint64_t offset = variant->offset & -PAGE, len = strlen(layout), i;
	struct vfio_region_info info;
	void *mem, *at;

	if (vfio_region_info(&self->peer, variant->bar, &info))
		return NULL;
	mem = mmap(NULL, (len + 2) * PAGE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	/* None of it is next to anything. */
	mem += PAGE;
	for (i = 0; i < len; i++) {
		at = mem + i * PAGE;
		if (layout[i] == 'b') {
			if (mmap(at, PAGE, prot, MAP_SHARED | MAP_FIXED,
				 self->peer.device, info.offset + offset) != at)
				return NULL;
			continue;
		}
		if (mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			 MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
			return NULL;
		*(uint64_t *)(at + variant->offset % PAGE) = 0xa000 + i;
	}
	return mem;
}

/*
 * edu looks at as many pages as @what has letters: 'b' is the BAR's, 'm' memory, 'x'
 * another page, or none. A DMA of edu's takes a tenth of a second, so what it sees
 * stays in its buffer until the end, when all_found() compares.
 */
static void expect_found(FIXTURE_DATA(peer) *self,
			 const FIXTURE_VARIANT(peer) *variant, const char *what)
{
	uint64_t iova = MIXED_IOVA + variant->offset % PAGE;
	size_t nr = strlen(self->expected);

	/* What the buffer holds where a read fails. */
	if (!nr) {
		memset((void *)self->ram, 0xff, PAGE);
		edu_dma(&self->edu, RAM_IOVA, LOOKS_END, false);
	}
	for (; *what && nr < LOOKS - 1; what++, nr++, iova += PAGE) {
		edu_dma_at(&self->edu, iova, LOOKS_AT + nr * sizeof(uint64_t),
			   sizeof(uint64_t), false);
		self->expected[nr] = *what;
	}
	self->expected[nr] = ' ';
}

/* What it saw, as expect_found() writes it. */
static const char *all_found(FIXTURE_DATA(peer) *self)
{
	const uint64_t *saw = (const void *)self->ram + LOOKS_AT;
	static char result[LOOKS + 1];
	size_t nr, i = 0;

	memset(result, 0, sizeof(result));
	if (*self->expected)
		edu_dma(&self->edu, RAM_IOVA, LOOKS_END, true);
	for (nr = 0; self->expected[nr]; nr++, i++) {
		result[nr] = saw[nr] == self->good ? 'b' :
			     saw[nr] == 0xa000 + i ? 'm' : 'x';
		if (self->expected[nr] == ' ') {
			result[nr] = ' ';
			i = -1;
		}
	}
	return result;
}

#define EXPECT_FOUND(what) expect_found(self, variant, what)

static void mixed(struct __test_metadata *_metadata, FIXTURE_DATA(peer) *self,
		  const FIXTURE_VARIANT(peer) *variant, const char *layout)
{
	uint64_t size = strlen(layout) * PAGE, locked, i;
	int c = self->edu.container, ret;
	char cut[16] = {};
	void *mem;

	for (i = 0; layout[i]; i++)
		cut[i] = layout[i] == 'b' ? 'x' : layout[i];
	locked = vfio_locked_kb();
	mem = lay_out(self, variant, layout, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_dma_map(c, mem, MIXED_IOVA, size));
	EXPECT_FOUND(layout);
	for (i = 0; layout[i]; i++)
		locked += layout[i] == 'm' ? PAGE / 1024 : 0;
	EXPECT_EQ(locked, vfio_locked_kb());

	/* Off, and on again without its driver. */
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0, PCI_COMMAND_MEMORY));
	EXPECT_FOUND(cut);
	ASSERT_EQ(0, switch_memory(self, true));
	EXPECT_FOUND(cut);
	ASSERT_EQ(0, switch_memory(self, false));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	EXPECT_FOUND(layout);

	ret = vfio_ioctl(self->peer.device, VFIO_DEVICE_RESET);
	if (ret != -EINVAL) {
		ASSERT_EQ(0, ret);
		EXPECT_FOUND(layout);
	}

	/* Unmapped while it is off, nothing of it comes back. */
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_dma_unmap(c, MIXED_IOVA, size));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	EXPECT_FOUND("xxxxxxxx" + 8 - strlen(layout));
	ASSERT_EQ(0, vfio_dma_map(c, mem, MIXED_IOVA, size));
	EXPECT_FOUND(layout);

	/* The last close ends it for good. */
	ASSERT_EQ(0, vfio_dma_unmap(c, BAR_IOVA, self->size));
	ASSERT_EQ(0, munmap(self->bar, self->size));
	for (i = 0; layout[i]; i++)
		if (layout[i] == 'b')
			ASSERT_EQ(0, munmap(mem + i * PAGE, PAGE));
	close(self->peer.device);
	ASSERT_EQ(0, switch_memory(self, true));
	EXPECT_FOUND(cut);
	self->peer.device = vfio_get_device_fd(self->peer.group,
					       self->peer.bdf);
	ASSERT_LE(0, self->peer.device);
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	EXPECT_FOUND(cut);
	ASSERT_EQ(0, vfio_dma_unmap(c, MIXED_IOVA, size));
}

TEST_F(peer, behind_memory)
{
	mixed(_metadata, self, variant, "mb");
}

TEST_F(peer, before_memory)
{
	mixed(_metadata, self, variant, "bm");
}

TEST_F(peer, between_memory)
{
	mixed(_metadata, self, variant, "mbm");
}

TEST_F(peer, around_memory)
{
	mixed(_metadata, self, variant, "bmmb");
}

/* What is refused leaves nothing, whatever is in front of it. */
TEST_F(peer, mixed_refused)
{
	int c = self->edu.container;
	void *mem;

	mem = lay_out(self, variant, "mbm", PROT_READ);
	ASSERT_NE(NULL, mem);
	EXPECT_EQ(-EFAULT, vfio_dma_map(c, mem, MIXED_IOVA, 3 * PAGE));
	EXPECT_FOUND("xxx");
	EXPECT_EQ(0, vfio_dma_map_flags(c, mem, MIXED_IOVA, 3 * PAGE,
					VFIO_DMA_MAP_FLAG_READ));
	EXPECT_FOUND("mbm");
	EXPECT_EQ(0, vfio_dma_unmap(c, MIXED_IOVA, 3 * PAGE));

	mem = lay_out(self, variant, "bmb", PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, munmap(mem + PAGE, PAGE));
	EXPECT_EQ(-EFAULT, vfio_dma_map(c, mem, MIXED_IOVA, 3 * PAGE));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	EXPECT_FOUND("xxx");
	mem = lay_out(self, variant, "mb", PROT_READ | PROT_WRITE);
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0, PCI_COMMAND_MEMORY));
	EXPECT_EQ(-EFAULT, vfio_dma_map(c, mem, MIXED_IOVA, 2 * PAGE));
	EXPECT_FOUND("xx");
}

static int open_again(struct vfio_dev *d, const char *id,
		      const struct vfio_dev *other)
{
	uint64_t until = vfio_now_ms() + 10000;
	int ret;

	do {
		ret = other ? vfio_dev_open_with(d, id, other) :
			      vfio_dev_open(d, id, VFIO_TYPE1v2_IOMMU);
		if (ret == -EBUSY)
			usleep(20000);
	} while (ret == -EBUSY && vfio_now_ms() < until);
	return ret;
}

/*
 * Each part of a device's memory counts as a mapping: what the kernel keeps of it, and
 * the time its end takes, are bounded by the same limit.
 */
TEST_F(peer, parts_are_counted)
{
	char limit[16];
	void *mem;
	int c, i;

	ASSERT_EQ(0, vfio_sysfs_read(DMA_ENTRY_LIMIT, limit, sizeof(limit)));
	ASSERT_EQ(0, munmap(self->bar, self->size));
	vfio_dev_close(&self->peer);
	vfio_dev_close(&self->edu);
	ASSERT_EQ(0, vfio_sysfs_write(DMA_ENTRY_LIMIT, "5"));
	i = open_again(&self->edu, VFIO_EDU, NULL);
	ASSERT_EQ(0, vfio_sysfs_write(DMA_ENTRY_LIMIT, limit));
	ASSERT_EQ(0, i);
	ASSERT_EQ(0, open_again(&self->peer, variant->id, &self->edu));
	ASSERT_EQ(0, vfio_cfg_command(&self->edu, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY, 0));
	c = self->edu.container;
	ASSERT_EQ(0, vfio_dma_map(c, (void *)self->ram, RAM_IOVA, PAGE));

	mem = lay_out(self, variant, "bmbb", PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, vfio_dma_map(c, mem, MIXED_IOVA, 4 * PAGE));
	EXPECT_EQ(1, vfio_dma_avail(c));
	EXPECT_FOUND("bmbb");
	ASSERT_EQ(0, vfio_dma_unmap(c, MIXED_IOVA, 4 * PAGE));
	EXPECT_EQ(4, vfio_dma_avail(c));

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_dma_map(c, mem, BAR_IOVA + i * PAGE, PAGE));
	EXPECT_EQ(-ENOSPC, vfio_dma_map(c, mem, MIXED_IOVA, 4 * PAGE));
	EXPECT_EQ(2, vfio_dma_avail(c));
	EXPECT_FOUND("xxxx");
	EXPECT_EQ(0, vfio_dma_map(c, mem, MIXED_IOVA, 3 * PAGE));
	EXPECT_EQ(0, vfio_dma_avail(c));
	EXPECT_FOUND("bmb");
	EXPECT_EQ(0, vfio_dma_unmap(c, MIXED_IOVA, 3 * PAGE));
	EXPECT_EQ(2, vfio_dma_avail(c));
}

struct swapper {
	FIXTURE_DATA(peer) *self;
	void *at;
	uint64_t offset;
	bool stop;
};

/* Now memory, now the BAR. */
static void *swap(void *arg)
{
	struct swapper *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		mmap(s->at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		     MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		mmap(s->at, PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, s->self->peer.device, s->offset);
	}
	return NULL;
}

/* Whatever was there at which moment, the BAR goes with its memory. */
TEST_F_TIMEOUT(peer, swapped, 120)
{
	struct swapper s = { .self = self };
	struct vfio_region_info info;
	int c = self->edu.container;
	pthread_t thread;
	void *mem;
	int i;

	ASSERT_EQ(0, vfio_region_info(&self->peer, variant->bar, &info));
	s.offset = info.offset + (variant->offset & -PAGE);
	mem = lay_out(self, variant, "mbm", PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, mem);
	s.at = mem + PAGE;
	ASSERT_EQ(0, pthread_create(&thread, NULL, swap, &s));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, vfio_dma_map(c, mem, MIXED_IOVA, 3 * PAGE));
		ASSERT_EQ(0, vfio_cfg_command(&self->peer, 0,
					      PCI_COMMAND_MEMORY));
		ASSERT_EQ(0, switch_memory(self, true));
		EXPECT_FOUND("mxm");
		ASSERT_EQ(0, switch_memory(self, false));
		ASSERT_EQ(0, vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY,
					      0));
		ASSERT_EQ(0, vfio_dma_unmap(c, MIXED_IOVA, 3 * PAGE));
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

static void *flip_memory(void *arg)
{
	struct vfio_dev *d = arg;
	int i;

	for (i = 0; i < ROUNDS * 4; i++) {
		vfio_cfg_command(d, 0, PCI_COMMAND_MEMORY);
		vfio_cfg_command(d, PCI_COMMAND_MEMORY, 0);
	}
	return NULL;
}

/* The memory comes and goes while it is mapped, unmapped and accessed. */
TEST_F_TIMEOUT(peer, race, 120)
{
	pthread_t flipper;
	int i;

	ASSERT_EQ(0, pthread_create(&flipper, NULL, flip_memory, &self->peer));
	for (i = 0; i < ROUNDS; i++) {
		int ret;

		edu_dma(&self->edu, BAR_IOVA + variant->offset, 64, false);
		ASSERT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA,
					    self->size));
		do {
			ret = vfio_dma_map(self->edu.container, self->bar,
					   BAR_IOVA, self->size);
		} while (ret == -EFAULT);
		ASSERT_EQ(0, ret);
	}
	ASSERT_EQ(0, pthread_join(flipper, NULL));
	EXPECT_REACHED();
}

/* Killed with everything mapped and the memory coming and going. */
TEST_F_TIMEOUT(peer, killed, 120)
{
	int round;

	ASSERT_EQ(0, munmap(self->bar, self->size));
	vfio_dev_close(&self->peer);
	vfio_dev_close(&self->edu);
	for (round = 0; round < 5; round++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			if (open_again(&self->edu, VFIO_EDU, NULL) ||
			    open_again(&self->peer, variant->id, &self->edu) ||
			    vfio_cfg_command(&self->peer, PCI_COMMAND_MEMORY,
					     0) ||
			    map_bar(self, variant->bar))
				_exit(1);
			for (;;)
				flip_memory(&self->peer);
		}
		usleep(400000 + round * 1000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	}
	/* The files of a killed process are closed a little later. */
	ASSERT_EQ(0, open_again(&self->edu, VFIO_EDU, NULL));
	ASSERT_EQ(0, open_again(&self->peer, variant->id, &self->edu));
}

/* The device is taken away from under the mapping. */
TEST_F(peer, removed)
{
	char bdf[VFIO_BDF_LEN];

	memcpy(bdf, self->peer.bdf, sizeof(bdf));
	ASSERT_EQ(0, munmap(self->bar, self->size));
	vfio_dev_close(&self->peer);
	ASSERT_EQ(0, vfio_pci_attr_write(bdf, "remove", "1"));
	EXPECT_CUT_OFF();
	EXPECT_EQ(0, vfio_dma_unmap(self->edu.container, BAR_IOVA, self->size));
	ASSERT_EQ(0, vfio_sysfs_write("/sys/bus/pci/rescan", "1"));
	ASSERT_EQ(0, vfio_dev_open_with(&self->peer, variant->id, &self->edu));
}

TEST_HARNESS_MAIN
