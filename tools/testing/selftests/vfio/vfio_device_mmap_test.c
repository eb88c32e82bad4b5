// SPDX-License-Identifier: GPL-2.0-only
/* Mappings of BARs, and what becomes of them when the memory goes away. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

static size_t page_size;

static __attribute__((constructor)) void get_page_size(void)
{
	page_size = sysconf(_SC_PAGESIZE);
}

/* A register that keeps its value. */
struct reg {
	uint32_t off;
	uint32_t value;
};

FIXTURE(map)
{
	struct vfio_dev d;
	struct vfio_region_info bar;
	uint8_t *p;		/* the whole BAR, mapped */
	struct reg reg;
};

/* A memory BAR and a register in it that reading does not change. */
FIXTURE_VARIANT(map)
{
	const char *id;
	uint32_t bar;
	uint32_t off;
	int mode;
};

FIXTURE_VARIANT_ADD(map, nvme)
{
	.id = VFIO_NVME,
	.bar = 0,
	.off = 8,
};

FIXTURE_VARIANT_ADD(map, edu)
{
	.id = VFIO_EDU,
	.bar = 0,
	.off = 0,
};

FIXTURE_VARIANT_ADD(map, e1000)
{
	.id = VFIO_E1000,
	.bar = 0,
	.off = 0x5400,
};

FIXTURE_VARIANT_ADD(map, e1000e)
{
	.id = VFIO_E1000E,
	.bar = 0,
	.off = 0x5400,
};

FIXTURE_VARIANT_ADD(map, ivshmem)
{
	.id = VFIO_IVSHMEM,
	.bar = 2,
	.off = 0x1000,
};

VFIO_OTHER_MODES(map, nvme, .id = VFIO_NVME, .bar = 0, .off = 8);

FIXTURE_SETUP(map)
{
	void *p;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	ASSERT_EQ(0, vfio_region_info(&self->d, variant->bar, &self->bar));
	ASSERT_TRUE(self->bar.flags & VFIO_REGION_INFO_FLAG_MMAP);
	ASSERT_EQ(0, vfio_region_mmap(&self->d, variant->bar, 0,
				      self->bar.size, &p));
	self->p = p;
	self->reg.off = variant->off;
	ASSERT_EQ(4, vfio_pread(self->d.device, &self->reg.value, 4,
				self->bar.offset + self->reg.off));
	ASSERT_NE(~0u, self->reg.value);
}

FIXTURE_TEARDOWN(map)
{
	vfio_dev_close(&self->d);
}

static int memory(const struct vfio_dev *d, bool on)
{
	return vfio_cfg_command(d, on ? PCI_COMMAND_MEMORY : 0,
				on ? 0 : PCI_COMMAND_MEMORY);
}

/*
 * Read the register through a mapping of the BAR: 0 when it is what pread()
 * gave, -1 when it is not, or the signal that was raised.
 */
static int try_reg(const struct reg *reg, const void *map)
{
	uint32_t value = 0;
	int sig;

	sig = vfio_try_load32(map + reg->off, &value);
	return sig ? sig : value == reg->value ? 0 : -1;
}

static int try_map(const struct vfio_dev *d, size_t len, int prot, int flags,
		   uint64_t off)
{
	void *p;

	return vfio_mmap(d->device, len, prot, flags, off, &p);
}

TEST_F(map, errors)
{
	const int rw = PROT_READ | PROT_WRITE;
	uint64_t size = self->bar.size;
	uint64_t off = self->bar.offset;
	uint64_t aligned = (size + page_size - 1) & ~(page_size - 1);
	struct vfio_region_info info;
	uint32_t i;

	/* Not page aligned; no length. */
	ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, rw, MAP_SHARED,
				   off + 1));
	ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, rw, MAP_SHARED,
				   off + page_size / 2));
	ASSERT_EQ(-EINVAL, try_map(&self->d, 0, rw, MAP_SHARED, off));
	/* Larger than the BAR, or reaching over its end. */
	ASSERT_EQ(-EINVAL, try_map(&self->d, aligned + 1, rw, MAP_SHARED,
				   off));
	ASSERT_EQ(-EINVAL, try_map(&self->d, aligned, rw, MAP_SHARED,
				   off + page_size));
	ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, rw, MAP_SHARED,
				   off + aligned));
	ASSERT_EQ(-EINVAL, try_map(&self->d, 2 * page_size, rw, MAP_SHARED,
				   off + aligned - page_size));
	ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, rw, MAP_SHARED,
				   off + (1ull << 39)));
	/* Over the end of the region's own address range. */
	ASSERT_EQ(-EINVAL, try_map(&self->d, 2 * page_size, rw, MAP_SHARED,
				   off + (1ull << 40) - page_size));
	ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, rw, MAP_PRIVATE, off));
	ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, PROT_READ,
				   MAP_PRIVATE, off));
	for (i = 0; i < 9; i++) {
		if (!vfio_region_info(&self->d, i, &info) &&
		    info.flags & VFIO_REGION_INFO_FLAG_MMAP) {
			continue;
		}
		ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, rw,
					   MAP_SHARED, (uint64_t)i << 40));
	}
	for (i = 9; i < 24; i++) {
		ASSERT_EQ(-EINVAL, try_map(&self->d, page_size, rw,
					   MAP_SHARED, 1ull << (40 + i - 5)));
	}
	/* None of this disturbed the mapping that is there. */
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
}

TEST_F(map, agrees_with_pread)
{
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	/* A second mapping, of one page only. */
	if (self->bar.size > page_size) {
		uint64_t at = self->reg.off & ~(page_size - 1);
		uint32_t seen = 0;
		void *p;

		ASSERT_EQ(0, vfio_region_mmap(&self->d, variant->bar, at,
					      page_size, &p));
		ASSERT_EQ(0, vfio_try_load32(p + self->reg.off - at, &seen));
		ASSERT_EQ(self->reg.value, seen);
		ASSERT_EQ(0, munmap(p, page_size));
	}
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
}

TEST_F(map, protections)
{
	uint32_t seen;
	void *p;

	ASSERT_EQ(0, vfio_mmap(self->d.device, page_size, PROT_NONE,
			       MAP_SHARED, self->bar.offset, &p));
	ASSERT_EQ(SIGSEGV, vfio_try_load32(p, &seen));
	ASSERT_EQ(0, mprotect(p, page_size, PROT_READ));
	ASSERT_EQ(0, vfio_try_load32(p, &seen));
	ASSERT_EQ(SIGSEGV, vfio_try_store32(p, seen));
	ASSERT_EQ(0, mprotect(p, page_size, PROT_NONE));
	ASSERT_EQ(SIGSEGV, vfio_try_load32(p, &seen));
	ASSERT_EQ(0, munmap(p, page_size));
	ASSERT_EQ(0, vfio_mmap(self->d.device, page_size, PROT_READ |
			       PROT_WRITE | PROT_EXEC, MAP_SHARED,
			       self->bar.offset, &p));
	ASSERT_EQ(0, vfio_try_load32(p, &seen));
}

TEST_F(map, memory_off_and_on)
{
	uint32_t seen;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, try_reg(&self->reg, self->p));
		ASSERT_EQ(0, memory(&self->d, false));
		ASSERT_EQ(SIGBUS, try_reg(&self->reg, self->p));
		ASSERT_EQ(SIGBUS, vfio_try_store8(self->p + self->reg.off, 0));
		ASSERT_EQ(-EIO, vfio_pread(self->d.device, &seen, 4,
					   self->bar.offset + self->reg.off));
		ASSERT_EQ(0, memory(&self->d, true));
		ASSERT_EQ(4, vfio_pread(self->d.device, &seen, 4,
					self->bar.offset + self->reg.off));
		ASSERT_EQ(self->reg.value, seen);
		ASSERT_EQ(0, try_reg(&self->reg, self->p));
	}
}

/* A mapping made while memory is off works when it comes on. */
TEST_F(map, made_while_off)
{
	void *p;

	ASSERT_EQ(0, memory(&self->d, false));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, variant->bar, 0,
				      self->bar.size, &p));
	ASSERT_EQ(SIGBUS, try_reg(&self->reg, p));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(0, try_reg(&self->reg, p));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
}

/* System calls that touch such memory fail, and nobody is killed. */
TEST_F(map, memory_off_in_system_calls)
{
	int fds[2];
	char byte;

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(4, write(fds[1], self->p + self->reg.off, 4));
	ASSERT_EQ(0, memory(&self->d, false));
	ASSERT_EQ(-1, write(fds[1], self->p + self->reg.off, 4));
	ASSERT_EQ(EFAULT, errno);
	ASSERT_EQ(1, write(fds[1], &byte, 1));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(4, write(fds[1], self->p + self->reg.off, 4));
}

TEST_F(map, power_off)
{
	uint32_t seen;
	int ret;

	ret = vfio_cfg_power(&self->d, 3);
	if (ret == -ENOTTY)
		SKIP(return, "no power management");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(SIGBUS, try_reg(&self->reg, self->p));
	ASSERT_EQ(-EIO, vfio_pread(self->d.device, &seen, 4,
				   self->bar.offset + self->reg.off));
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
}

TEST_F(map, reset)
{
	struct vfio_device_info info;
	int i;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	if (!(info.flags & VFIO_DEVICE_FLAGS_RESET))
		SKIP(return, "the device has no reset");
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, try_reg(&self->reg, self->p));
		ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
	}
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	/* A reset switches nothing on. */
	ASSERT_EQ(0, memory(&self->d, false));
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
	ASSERT_EQ(SIGBUS, try_reg(&self->reg, self->p));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
}

/* A hole in the middle leaves two mappings, and both obey. */
TEST_F(map, hole)
{
	uint8_t *second = self->p + self->bar.size - page_size;
	uint32_t seen;

	if (self->bar.size < 4 * page_size)
		SKIP(return, "the BAR is too small");
	ASSERT_EQ(0, munmap(self->p + 2 * page_size, page_size));
	ASSERT_EQ(0, vfio_try_load32(self->p, &seen));
	ASSERT_EQ(0, vfio_try_load32(second, &seen));
	ASSERT_EQ(SIGSEGV, vfio_try_load32(self->p + 2 * page_size, &seen));
	ASSERT_EQ(0, memory(&self->d, false));
	ASSERT_EQ(SIGBUS, vfio_try_load32(self->p, &seen));
	ASSERT_EQ(SIGBUS, vfio_try_load32(second, &seen));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(0, vfio_try_load32(self->p, &seen));
	ASSERT_EQ(0, vfio_try_load32(second, &seen));
}

TEST_F(map, moved)
{
	size_t size = self->bar.size;
	uint8_t *to;
	void *p;

	to = mmap(NULL, size + page_size, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, to);
	/* It can be moved, but not grow. */
	ASSERT_EQ(MAP_FAILED, mremap(self->p, size, size + page_size,
				     MREMAP_MAYMOVE));
	ASSERT_EQ(EFAULT, errno);
	p = mremap(self->p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to + page_size);
	ASSERT_EQ(to + page_size, p);
	self->p = p;
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	ASSERT_EQ(0, memory(&self->d, false));
	ASSERT_EQ(SIGBUS, try_reg(&self->reg, self->p));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	if (size > page_size) {
		ASSERT_EQ(p, mremap(p, size, page_size, 0));
		ASSERT_EQ(0, vfio_try_load32(p, &(uint32_t){ 0 }));
	}
}

TEST_F(map, madvise)
{
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	ASSERT_EQ(-1, madvise(self->p, page_size, MADV_DONTNEED));
	ASSERT_EQ(EINVAL, errno);
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	/* Not memory that may be locked, and not refused for it. */
	ASSERT_EQ(0, mlock(self->p, page_size));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	ASSERT_EQ(0, munlock(self->p, page_size));
}

/* Windows that huge entries cannot cover on their own. */
TEST_F(map, every_offset)
{
	size_t size = self->bar.size;
	uint32_t seen;
	uint8_t *base;
	size_t at;
	void *p;

	base = mmap(NULL, size + (4 << 20), PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, base);
	base = (void *)(((uintptr_t)base + (2 << 20)) & ~((2ul << 20) - 1));
	for (at = 0; at < 3 * page_size; at += page_size) {
		p = mmap(base + at, size, PROT_READ, MAP_SHARED | MAP_FIXED,
			 self->d.device, self->bar.offset);
		ASSERT_EQ(base + at, p);
		ASSERT_EQ(0, try_reg(&self->reg, p));
		ASSERT_EQ(0, vfio_try_load32(p + size - 4, &seen));
		ASSERT_EQ(0, vfio_try_load32(p, &seen));
		ASSERT_EQ(0, memory(&self->d, false));
		ASSERT_EQ(SIGBUS, try_reg(&self->reg, p));
		ASSERT_EQ(SIGBUS, vfio_try_load32(p + size - 4, &seen));
		ASSERT_EQ(0, memory(&self->d, true));
		ASSERT_EQ(0, munmap(p, size));
	}
}

/* What a child saw: 0, or the signal. */
static int child_load(const uint8_t *p)
{
	uint32_t seen;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(vfio_try_load32(p, &seen));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(map, inherited)
{
	const uint8_t *reg = self->p + self->reg.off;

	/* With entries to copy, and with none. */
	ASSERT_EQ(0, child_load(reg));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	ASSERT_EQ(0, child_load(reg));
	ASSERT_EQ(0, memory(&self->d, false));
	ASSERT_EQ(SIGBUS, child_load(reg));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(0, child_load(reg));
}

/* Another process that has the memory mapped loses it at the same moment. */
TEST_F(map, other_process)
{
	int go[2], done[2], status;
	uint32_t seen;
	int result;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(done));
	pid = fork();
	if (!pid) {
		char byte;

		while (read(go[0], &byte, 1) == 1) {
			result = vfio_try_load32(self->p + self->reg.off, &seen);
			if (write(done[1], &result, sizeof(result)) < 0)
				_exit(1);
			if (byte == 'q')
				_exit(0);
		}
		_exit(2);
	}
	ASSERT_EQ(1, write(go[1], "a", 1));
	ASSERT_EQ(4, read(done[0], &result, 4));
	ASSERT_EQ(0, result);
	ASSERT_EQ(0, memory(&self->d, false));
	ASSERT_EQ(1, write(go[1], "a", 1));
	ASSERT_EQ(4, read(done[0], &result, 4));
	ASSERT_EQ(SIGBUS, result);
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(1, write(go[1], "q", 1));
	ASSERT_EQ(4, read(done[0], &result, 4));
	ASSERT_EQ(0, result);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
}

/* A mapping holds the file, and with it the device and the group. */
TEST_F(map, outlives_file)
{
	uint32_t seen;

	close(self->d.device);
	self->d.device = -1;
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	if (self->d.group >= 0) {
		ASSERT_EQ(-EBUSY, vfio_ioctl(self->d.group,
					     VFIO_GROUP_UNSET_CONTAINER));
		close(self->d.group);
		self->d.group = -1;
	}
	close(self->d.container);
	self->d.container = -1;
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	ASSERT_EQ(-EBUSY, vfio_open_group(self->d.group_id));
	ASSERT_EQ(0, munmap(self->p, self->bar.size));
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->d.bdf,
				   variant->mode));
	ASSERT_EQ(4, vfio_pread(self->d.device, &seen, 4,
				self->bar.offset + self->reg.off));
	ASSERT_EQ(self->reg.value, seen);
}

/* A second file of the device has power over mappings of the first. */
TEST_F(map, two_files)
{
	struct vfio_dev other = self->d;
	void *p;

	other.device = vfio_dev_get_device(&self->d, self->d.bdf);
	if (variant->mode == VFIO_MODE_IOMMUFD) {
		ASSERT_EQ(-EINVAL, other.device);
		return;
	}
	ASSERT_LE(0, other.device);
	ASSERT_EQ(0, vfio_region_mmap(&other, variant->bar, 0,
				      self->bar.size, &p));
	ASSERT_EQ(0, try_reg(&self->reg, p));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	ASSERT_EQ(0, memory(&other, false));
	ASSERT_EQ(SIGBUS, try_reg(&self->reg, p));
	ASSERT_EQ(SIGBUS, try_reg(&self->reg, self->p));
	ASSERT_EQ(0, memory(&self->d, true));
	ASSERT_EQ(0, try_reg(&self->reg, p));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
	/* Closing one file of two cleans nothing up. */
	close(other.device);
	ASSERT_EQ(0, try_reg(&self->reg, p));
	ASSERT_EQ(0, try_reg(&self->reg, self->p));
}

/* BARs smaller than a page map only where they have a page to themselves. */
FIXTURE(small)
{
	struct vfio_dev d;
};

FIXTURE_SETUP(small)
{
	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_RTL8139, VFIO_TYPE1v2_IOMMU);
}

FIXTURE_TEARDOWN(small)
{
	vfio_dev_close(&self->d);
}

TEST_F(small, memory_bar)
{
	struct vfio_region_info info;
	uint8_t byte, seen;
	void *p;
	int ret;

	ASSERT_EQ(0, vfio_region_info(&self->d, 1, &info));
	ASSERT_EQ(256, info.size);
	ret = vfio_mmap(self->d.device, 256, PROT_READ | PROT_WRITE,
			MAP_SHARED, info.offset, &p);
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		ASSERT_EQ(-EINVAL, ret);
		return;
	}
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, vfio_try_load8(p, &seen));
	ASSERT_EQ(1, vfio_pread(self->d.device, &byte, 1, info.offset));
	ASSERT_EQ(byte, seen);
	ASSERT_EQ(-EINVAL, vfio_mmap(self->d.device, 2 * page_size, PROT_READ,
				     MAP_SHARED, info.offset, &p));
}

/*
 * The kernel makes entries read-only that it wants to hear of a write to: a
 * write has to end that, of whatever size the entry is.
 */
TEST(write_to_tracked_memory)
{
	uint64_t size = vfio_huge_page(), bar;
	struct vfio_dev d;
	uint8_t *room, *p;
	uint32_t value;
	void *map;

	VFIO_DEV_OPEN_OR_SKIP(&d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, memory(&d, true));
	bar = vfio_region_size(&d, 2);
	if (bar < 2 * size)
		SKIP(_exit(KSFT_SKIP), "no huge entry fits");
	/* Where addresses and BAR agree in the bits below a huge page. */
	ASSERT_EQ(0, vfio_region_mmap(&d, 2, 0, bar, &map));
	room = mmap(NULL, bar + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)room);
	p = (uint8_t *)(((uintptr_t)room + size - 1) & ~(size - 1));
	ASSERT_EQ(p, mremap(map, bar, bar, MREMAP_MAYMOVE | MREMAP_FIXED, p));

	if (vfio_sysfs_write("/proc/self/clear_refs", "4"))
		SKIP(_exit(KSFT_SKIP), "the kernel tracks no writes");
	alarm(20);
	ASSERT_EQ(0, vfio_try_load32(p + page_size, &value));
	ASSERT_EQ(0, vfio_try_store32(p + page_size, 0x600d600d));
	ASSERT_EQ(4, vfio_region_read(&d, 2, page_size, &value, 4));
	EXPECT_EQ(0x600d600d, value);
	ASSERT_EQ(0, vfio_try_store32(p + size + page_size, 0x600d600e));
	alarm(0);
	ASSERT_EQ(4, vfio_region_read(&d, 2, size + page_size, &value, 4));
	EXPECT_EQ(0x600d600e, value);
	munmap(p, bar);
	vfio_dev_close(&d);
}

TEST_HARNESS_MAIN
