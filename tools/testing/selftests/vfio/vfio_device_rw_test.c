// SPDX-License-Identifier: GPL-2.0-only
/* read() and write() of regions. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "vfio_gate.h"
#include "vfio_util.h"
#include "vfio_variants.h"

FIXTURE(rw)
{
	struct vfio_dev d;
	struct vfio_region_info bars[7];	/* and the ROM */
};

#define VFIO_FIXTURE rw
#include "vfio_each_device.h"

FIXTURE_SETUP(rw)
{
	uint32_t i;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	for (i = 0; i < 7; i++)
		ASSERT_EQ(0, vfio_region_info(&self->d, i, &self->bars[i]));
}

FIXTURE_TEARDOWN(rw)
{
	vfio_dev_close(&self->d);
}

static bool bar_is_io(const struct vfio_dev *d, int bar)
{
	return vfio_cfg_read32(d, PCI_BASE_ADDRESS_0 + 4 * bar) &
	       PCI_BASE_ADDRESS_SPACE_IO;
}

static unsigned int narrowest(const char *id)
{
	return strcmp(id, VFIO_EDU) ? 1 : EDU_NARROWEST;
}

TEST_F(rw, ends)
{
	int fd = self->d.device;
	uint64_t value;
	int i;

	for (i = 0; i < 7; i++) {
		uint64_t off = self->bars[i].offset;
		uint64_t size = self->bars[i].size;
		int writable = i < VFIO_PCI_ROM_REGION_INDEX;

		ASSERT_EQ(0, vfio_pread(fd, &value, 0, off));
		ASSERT_EQ(-EINVAL, vfio_pread(fd, &value, 4, off + size));
		ASSERT_EQ(-EINVAL, vfio_pwrite(fd, &value, 4, off + size));
		ASSERT_EQ(-EINVAL, vfio_pread(fd, &value, 4,
					      off + (1ull << 39)));
		ASSERT_EQ(-EINVAL, vfio_pread(fd, &value, 4,
					      off + (1ull << 40) - 4));
		if (!size)
			continue;
		/* Cut at the end. */
		if (narrowest(variant->id) == 1) {
			ASSERT_EQ(1, vfio_pread(fd, &value, 8, off + size - 1));
			ASSERT_EQ(2, vfio_pread(fd, &value, 8, off + size - 2));
		}
		ASSERT_EQ(4, vfio_pread(fd, &value, 8, off + size - 4));
		ASSERT_EQ(writable ? 4 : -EINVAL,
			  vfio_pwrite(fd, &value, 8, off + size - 4));
	}
}

TEST_F(rw, config_ends)
{
	uint64_t off = (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40;
	uint64_t size = vfio_region_size(&self->d,
					 VFIO_PCI_CONFIG_REGION_INDEX);
	int fd = self->d.device;
	uint64_t value = 0;

	ASSERT_EQ(0, vfio_pread(fd, &value, 0, off));
	ASSERT_EQ(4, vfio_pread(fd, &value, 4, off + size - 4));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, &value, 4, off + size));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, &value, 8, off + size - 1));
	ASSERT_EQ(-EFAULT, vfio_pwrite(fd, &value, 4, off + size));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, &value, 4, off + (1ull << 39)));
	ASSERT_EQ(-EFAULT, vfio_pread(fd, NULL, 4, off));
	ASSERT_EQ(-EFAULT, vfio_pwrite(fd, NULL, 4, off));
}

TEST_F(rw, wild_regions)
{
	static const uint64_t wild[] = {
		8ull << 40, 9ull << 40, 10ull << 40, 64ull << 40,
		255ull << 40, 256ull << 40, 0x10000ull << 40,
		0x7fffffull << 40, 0x7fffffffffffffffull & ~0xfffull,
	};
	uint32_t value = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wild); i++) {
		ASSERT_EQ(-EINVAL, vfio_pread(self->d.device, &value, 4,
					      wild[i]));
		ASSERT_EQ(-EINVAL, vfio_pwrite(self->d.device, &value, 4,
					       wild[i]));
	}
	ASSERT_EQ(-EINVAL, vfio_pread(self->d.device, &value, 4, -4096ull));
	ASSERT_EQ(-EINVAL, vfio_pread(self->d.device, &value, 4, -1ull));
}

TEST_F(rw, bad_memory)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *mem;
	int i;

	mem = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, munmap(mem + page, page));
	for (i = 0; i < 7; i++) {
		uint64_t off = self->bars[i].offset;
		uint64_t size = self->bars[i].size;
		int64_t n;

		if (!size)
			continue;
		ASSERT_EQ(-EFAULT, vfio_pread(self->d.device, NULL, 4, off));
		ASSERT_EQ(-EFAULT, vfio_pread(self->d.device, mem + page, 4,
					      off));
		ASSERT_EQ(4, vfio_pread(self->d.device, mem + page - 4, 4,
					off));
		/* Half of the buffer is there. */
		n = vfio_pread(self->d.device, mem + page - 8, 16, off);
		ASSERT_EQ(-EFAULT, n);
		if (size > 2 * page) {
			n = vfio_pread(self->d.device, mem, 2 * page, off);
			ASSERT_EQ(-EFAULT, n);
		}
	}
}

/* The file has no position of its own that can be moved. */
TEST_F(rw, position)
{
	uint32_t value;

	ASSERT_EQ(-1, lseek(self->d.device, 0, SEEK_SET));
	ASSERT_EQ(ESPIPE, errno);
	ASSERT_EQ(-1, lseek(self->d.device, 0, SEEK_CUR));
	ASSERT_EQ(ESPIPE, errno);
	if (self->bars[0].size)
		ASSERT_EQ(4, read(self->d.device, &value, 4));
}

TEST_F(rw, rom)
{
	struct vfio_region_info *rom =
		&self->bars[VFIO_PCI_ROM_REGION_INDEX];
	uint8_t *all, head[2];
	uint32_t value = 0;

	if (!rom->size)
		SKIP(return, "no ROM");
	ASSERT_EQ(2, vfio_pread(self->d.device, head, 2, rom->offset));
	ASSERT_EQ(0x55, head[0]);
	ASSERT_EQ(0xaa, head[1]);
	ASSERT_EQ(-EINVAL, vfio_pwrite(self->d.device, &value, 4,
				       rom->offset));
	all = malloc(rom->size);
	ASSERT_NE(NULL, all);
	ASSERT_EQ(rom->size, vfio_pread(self->d.device, all, rom->size + 1,
					rom->offset));
	ASSERT_EQ(0x55, all[0]);
	ASSERT_EQ(0xaa, all[1]);
	free(all);
	/* It decodes memory, too. */
	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(-EIO, vfio_pread(self->d.device, head, 2, rom->offset));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	ASSERT_EQ(2, vfio_pread(self->d.device, head, 2, rom->offset));
	ASSERT_EQ(0x55, head[0]);
}

TEST_F(rw, memory_off)
{
	uint32_t value = 0;
	uint16_t command;
	int i;

	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_IO));
	for (i = 0; i < 6; i++) {
		uint64_t off = self->bars[i].offset;

		if (!self->bars[i].size)
			continue;
		ASSERT_EQ(0, vfio_pread(self->d.device, &value, 0, off));
		if (bar_is_io(&self->d, i)) {
			/* Reads all ones, as without a driver. */
			ASSERT_EQ(4, vfio_pread(self->d.device, &value, 4,
						off));
			continue;
		}
		/* A vector table is in front, and is not the device's. */
		off += self->bars[i].size - 4;
		ASSERT_EQ(-EIO, vfio_pread(self->d.device, &value, 4, off));
		ASSERT_EQ(-EIO, vfio_pwrite(self->d.device, &value, 4, off));
		ASSERT_EQ(-EIO, vfio_pread(self->d.device, &value, 1, off));
	}
	/* Config space has no switch. */
	command = vfio_cfg_read16(&self->d, PCI_COMMAND);
	ASSERT_EQ(0, command & (PCI_COMMAND_MEMORY | PCI_COMMAND_IO));
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_IO, 0));
	for (i = 0; i < 6; i++) {
		if (!self->bars[i].size)
			continue;
		ASSERT_EQ(4, vfio_pread(self->d.device, &value, 4,
					self->bars[i].offset));
	}
}

/* Every way to cut the same registers into accesses gives the same bytes. */
TEST_F(rw, io_bar_widths)
{
	uint8_t bytes[8], word[8];
	int i, j, found = 0;

	if (!strcmp(variant->id, VFIO_TESTDEV))
		SKIP(return, "its reads count as accesses");
	for (i = 0; i < 6; i++) {
		uint64_t off = self->bars[i].offset;

		if (!self->bars[i].size || !bar_is_io(&self->d, i))
			continue;
		found++;
		ASSERT_FALSE(self->bars[i].flags & VFIO_REGION_INFO_FLAG_MMAP);
		ASSERT_EQ(8, vfio_pread(self->d.device, word, 8, off));
		ASSERT_EQ(4, vfio_pread(self->d.device, bytes, 4, off));
		ASSERT_EQ(4, vfio_pread(self->d.device, bytes + 4, 4,
					off + 4));
		ASSERT_EQ(0, memcmp(word, bytes, 8));
		for (j = 1; j <= 8; j++) {
			ASSERT_EQ(j, vfio_pread(self->d.device, word, j, off));
			ASSERT_EQ(j - 1, vfio_pread(self->d.device, word,
						    j - 1, off + 1));
		}
	}
	if (!found)
		SKIP(return, "no I/O BAR");
}

/* The vector table reads as ones and swallows writes. */
TEST_F(rw, msix_table)
{
	int msix = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSIX);
	uint64_t start, end, off;
	uint8_t buf[64], ones[64];
	uint32_t table, bar, behind;
	void *page;
	uint64_t value = 0;

	if (!msix)
		SKIP(return, "no MSI-X");
	memset(ones, 0xff, sizeof(ones));
	table = vfio_cfg_read32(&self->d, msix + PCI_MSIX_TABLE);
	bar = table & PCI_MSIX_TABLE_BIR;
	start = table & PCI_MSIX_TABLE_OFFSET;
	end = start + 16ull * vfio_irq_count(&self->d,
					     VFIO_PCI_MSIX_IRQ_INDEX);
	off = self->bars[bar].offset;

	ASSERT_EQ(64, vfio_pread(self->d.device, buf, 64, off + start));
	ASSERT_EQ(0, memcmp(buf, ones, 64));
	ASSERT_EQ(8, vfio_pwrite(self->d.device, &value, 8, off + start));
	ASSERT_EQ(4, vfio_pread(self->d.device, buf, 4, off + start + 4));
	ASSERT_EQ(0, memcmp(buf, ones, 4));
	ASSERT_EQ(1, vfio_pread(self->d.device, buf, 1, off + end - 1));
	ASSERT_EQ(0xff, buf[0]);
	/* Across both edges. */
	if (start >= 16) {
		ASSERT_EQ(32, vfio_pread(self->d.device, buf, 32,
					 off + start - 16));
		ASSERT_EQ(0, memcmp(buf + 16, ones, 16));
	}
	ASSERT_EQ(32, vfio_pread(self->d.device, buf, 32, off + end - 16));
	ASSERT_EQ(0, memcmp(buf, ones, 16));
	/* Behind it is the device's own, whatever that reads as. */
	ASSERT_EQ(VFIO_ZPCI ? -EINVAL : 0,
		  vfio_region_mmap(&self->d, bar, end & -VFIO_PAGE, VFIO_PAGE,
				   &page));
	for (off = 0; page && off < 16; off += 4) {
		ASSERT_EQ(0, vfio_try_load32(page + end % VFIO_PAGE + off,
					     &behind));
		ASSERT_EQ(0, memcmp(buf + 16 + off, &behind, 4));
	}
	if (page)
		ASSERT_EQ(0, munmap(page, VFIO_PAGE));
	off = self->bars[bar].offset;

	/* The same through one large read of the whole BAR. */
	if (self->bars[bar].size <= 0x10000) {
		uint8_t *all = malloc(self->bars[bar].size);

		ASSERT_NE(NULL, all);
		ASSERT_EQ(self->bars[bar].size,
			  vfio_pread(self->d.device, all,
				     self->bars[bar].size, off));
		for (value = start; value < end; value++)
			ASSERT_EQ(0xff, all[value]);
		free(all);
	}
}

TEST_F(rw, vectors)
{
	uint32_t a = 0, b = 0;
	struct iovec iov[2] = {
		{ .iov_base = &a, .iov_len = 4 },
		{ .iov_base = &b, .iov_len = 4 },
	};
	uint64_t off = (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40;

	ASSERT_EQ(8, preadv(self->d.device, iov, 2, off));
	ASSERT_EQ(vfio_cfg_read32(&self->d, 0), le32toh(a));
	ASSERT_EQ(vfio_cfg_read32(&self->d, 4), le32toh(b));
}

/*
 * A BAR that is memory, so that every byte written can be read back whatever
 * the width, the alignment and the way.
 */
FIXTURE(ram)
{
	struct vfio_dev d;
	uint8_t *map;
	uint64_t off;
	uint64_t size;
};

FIXTURE_SETUP(ram)
{
	struct vfio_region_info info;
	void *p;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, vfio_region_info(&self->d, 2, &info));
	ASSERT_LE(1 << 20, info.size);
	self->off = info.offset;
	self->size = info.size;
	ASSERT_EQ(0, vfio_region_mmap(&self->d, 2, 0, info.size, &p));
	self->map = p;
}

FIXTURE_TEARDOWN(ram)
{
	vfio_dev_close(&self->d);
}

static void pattern(uint8_t *p, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		p[i] = seed >> 16;
	}
}

TEST_F(ram, widths_and_alignments)
{
	uint8_t in[64], out[64];
	int at, len, i;

	for (at = 0; at < 16; at++) {
		for (len = 1; len <= 33; len++) {
			memset(self->map, 0xee, 64);
			pattern(in, sizeof(in), at * 64 + len);
			ASSERT_EQ(len, vfio_pwrite(self->d.device, in, len,
						   self->off + at));
			for (i = 0; i < 64; i++) {
				ASSERT_EQ(i < at || i >= at + len ?
					  0xee : in[i - at], self->map[i]);
			}
			memset(out, 0x11, sizeof(out));
			ASSERT_EQ(len, vfio_pread(self->d.device, out, len,
						  self->off + at));
			ASSERT_EQ(0, memcmp(in, out, len));
			ASSERT_EQ(0x11, out[len]);
		}
	}
}

TEST_F(ram, large)
{
	static const size_t sizes[] = {
		4095, 4096, 4097, 65535, 65536, 100001, 1 << 20,
	};
	uint8_t *in = malloc(1 << 20);
	uint8_t *out = malloc((1 << 20) + 1);
	size_t i, at;

	ASSERT_NE(NULL, in);
	ASSERT_NE(NULL, out);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		at = self->size - sizes[i] - (i & 3);
		pattern(in, sizes[i], i);
		ASSERT_EQ(sizes[i], vfio_pwrite(self->d.device, in, sizes[i],
						self->off + at));
		ASSERT_EQ(0, memcmp(in, self->map + at, sizes[i]));
		out[sizes[i]] = 0x77;
		ASSERT_EQ(sizes[i], vfio_pread(self->d.device, out, sizes[i],
					       self->off + at));
		ASSERT_EQ(0, memcmp(in, out, sizes[i]));
		ASSERT_EQ(0x77, out[sizes[i]]);
	}
	/* Cut at the end of the BAR. */
	ASSERT_EQ(4096, vfio_pread(self->d.device, out, 1 << 20,
				   self->off + self->size - 4096));
	free(in);
	free(out);
}

/* The user's buffer may itself be a mapping of the BAR. */
TEST_F(ram, buffer_is_the_bar)
{
	size_t half = self->size / 2;

	pattern(self->map, 65536, 99);
	memset(self->map + half, 0, 65536);
	ASSERT_EQ(65536, vfio_pwrite(self->d.device, self->map, 65536,
				     self->off + half));
	ASSERT_EQ(0, memcmp(self->map, self->map + half, 65536));

	memset(self->map + half, 0, 65536);
	ASSERT_EQ(0, munmap(self->map + half, 65536));
	ASSERT_EQ(self->map + half,
		  mmap(self->map + half, 65536, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, self->d.device,
		       self->off + half));
	ASSERT_EQ(65536, vfio_pread(self->d.device, self->map + half, 65536,
				    self->off));
	ASSERT_EQ(0, memcmp(self->map, self->map + half, 65536));

	/* A config write whose source is on the device that it switches off. */
	vfio_mmio_write32(self->map, 0);
	ASSERT_EQ(2, vfio_region_write(&self->d, VFIO_PCI_CONFIG_REGION_INDEX,
				       PCI_COMMAND, self->map, 2));
	ASSERT_EQ(-EFAULT, vfio_region_write(&self->d,
					     VFIO_PCI_CONFIG_REGION_INDEX,
					     PCI_COMMAND, self->map, 2));
	ASSERT_EQ(0, vfio_cfg_write16(&self->d, PCI_COMMAND,
				      PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, vfio_mmio_read32(self->map));
}

/* A ROM BAR without a ROM. A user may look as often as he likes, and fills no log. */
TEST(rom_without_image)
{
	struct vfio_region_info info;
	uint8_t head[4];
	struct vfio_dev d;
	int klog, i;

	VFIO_DEV_OPEN_OR_SKIP(&d, "1b36:0011", VFIO_TYPE1v2_IOMMU);
	klog = vfio_klog_open();
	ASSERT_LE(0, klog);
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, vfio_region_info(&d, VFIO_PCI_ROM_REGION_INDEX,
					      &info));
		EXPECT_EQ(0, info.size);
		EXPECT_EQ(-ENOMEM, vfio_pread(d.device, head, sizeof(head),
					      info.offset));
	}
	EXPECT_EQ(0, vfio_klog_count(klog, "ROM"));
	close(klog);
	vfio_dev_close(&d);
}

TEST_HARNESS_MAIN
