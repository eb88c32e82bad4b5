// SPDX-License-Identifier: GPL-2.0
/*
 * What the operations that users wait for cost.
 *
 * Prints one line per row: a name, a tab, nanoseconds. Run it where time is a
 * count of instructions (QEMU's -icount shift=0, one CPU) and the figures of
 * two drivers can be compared; a wall clock under emulation says nothing.
 *
 * Every row is measured ROUNDS times after one round that does not count, and
 * the smallest figure is printed: what interrupts and timers add is left out.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "lib/vfio_util.h"

#define ROUNDS		2
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define IOVA		0x10000000UL

#define IVSHMEM_ID	"1af4:1110"
#define IVSHMEM_BAR	VFIO_PCI_BAR2_REGION_INDEX
#define NVME_ID		"1b36:0010"

static struct vfio_dev ivshmem, nvme;
static off_t bar_offset, config_offset;
static char *buffer;

static void fail(const char *what)
{
	fprintf(stderr, "vfio_bench: %s\n", what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static uint64_t read_bar(size_t len)
{
	uint64_t start = now();

	if (pread(ivshmem.device, buffer, len, bar_offset) != (ssize_t)len)
		fail("cannot read the BAR");
	return now() - start;
}

static uint64_t write_bar(size_t len)
{
	uint64_t start = now();

	if (pwrite(ivshmem.device, buffer, len, bar_offset) != (ssize_t)len)
		fail("cannot write the BAR");
	return now() - start;
}

static uint64_t read_config(size_t len)
{
	uint64_t start = now();

	if (pread(ivshmem.device, buffer, len, config_offset) != (ssize_t)len)
		fail("cannot read the configuration space");
	return now() - start;
}

static char *map_bar(size_t len)
{
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
			 ivshmem.device, bar_offset);

	if (map == MAP_FAILED)
		fail("cannot map the BAR");
	return map;
}

static uint64_t touch(volatile char *map, size_t len)
{
	uint64_t start = now();
	size_t i;

	for (i = 0; i < len; i += 4096)
		map[i];
	return now() - start;
}

static uint64_t touch_any(size_t len)
{
	char *map = map_bar(len);
	uint64_t cost = touch(map, len);

	munmap(map, len);
	return cost;
}

/*
 * Map the BAR at an address that agrees with no huge page, one page off, and
 * touch it.
 */
static char *map_bar_off(size_t len, uint64_t *touch_cost)
{
	char *room = mmap(NULL, len + 4 * MIB, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *map;

	if (room == MAP_FAILED)
		fail("no address space");
	map = (char *)(((uintptr_t)room + 2 * MIB) & -(2 * MIB)) + 4096;
	if (mmap(map, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 ivshmem.device, bar_offset) != map)
		fail("cannot map the BAR at a fixed address");
	*touch_cost = touch(map, len);
	return map;
}

static uint64_t touch_off(size_t len)
{
	uint64_t cost;

	munmap(map_bar_off(len, &cost), len);
	return cost;
}

static uint64_t zap_off(size_t len)
{
	uint64_t cost;
	char *map = map_bar_off(len, &cost);
	uint16_t cmd;

	cmd = vfio_cfg_read16(&ivshmem, PCI_COMMAND);
	cost = now();
	vfio_cfg_write16(&ivshmem, PCI_COMMAND, cmd & ~PCI_COMMAND_MEMORY);
	cost = now() - cost;
	vfio_cfg_write16(&ivshmem, PCI_COMMAND, cmd);
	munmap(map, len);
	return cost;
}

/* Map @len at @addr for DMA and unmap it; *@unmap_cost where wanted. */
static uint64_t dma(void *addr, size_t len, uint64_t *unmap_cost)
{
	uint64_t start = now(), mid;

	if (vfio_dma_map(ivshmem.container, addr, IOVA, len))
		fail("cannot map for DMA");
	mid = now();
	if (vfio_dma_unmap(ivshmem.container, IOVA, len))
		fail("cannot unmap");
	*unmap_cost = now() - mid;
	return mid - start;
}

static uint64_t dma_map_bar(size_t len)
{
	char *map = map_bar(len);
	uint64_t unused, cost = dma(map, len, &unused);

	munmap(map, len);
	return cost;
}

static uint64_t dma_unmap_bar(size_t len)
{
	char *map = map_bar(len);
	uint64_t cost;

	dma(map, len, &cost);
	munmap(map, len);
	return cost;
}

static char *memory(size_t len, int advice)
{
	char *room = mmap(NULL, len + 2 * MIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *mem = (char *)(((uintptr_t)room + 2 * MIB - 1) & -(2 * MIB));

	if (room == MAP_FAILED || madvise(mem, len, advice))
		fail("no memory");
	munmap(room, mem - room);
	munmap(mem + len, room + 2 * MIB - mem);
	memset(mem, 1, len);
	return mem;
}

static uint64_t dma_mem(size_t len, int advice, bool want_unmap)
{
	char *mem = memory(len, advice);
	uint64_t unmap, map = dma(mem, len, &unmap);

	munmap(mem, len);
	return want_unmap ? unmap : map;
}

static uint64_t dma_map_small(size_t len)
{
	return dma_mem(len, MADV_NOHUGEPAGE, false);
}

static uint64_t dma_unmap_small(size_t len)
{
	return dma_mem(len, MADV_NOHUGEPAGE, true);
}

static uint64_t dma_map_huge(size_t len)
{
	return dma_mem(len, MADV_HUGEPAGE, false);
}

static uint64_t dma_unmap_huge(size_t len)
{
	return dma_mem(len, MADV_HUGEPAGE, true);
}

static uint64_t open_nvme(size_t len)
{
	uint64_t start;
	int fd;

	(void)len;
	start = now();
	fd = vfio_get_device_fd(nvme.group, nvme.bdf);
	start = now() - start;
	if (fd < 0)
		fail("cannot open the NVMe");
	close(fd);
	return start;
}

static uint64_t enable_msix(size_t count)
{
	struct vfio_dev d = nvme;
	int32_t fds[64];
	uint64_t cost;
	size_t i;

	d.device = vfio_get_device_fd(nvme.group, nvme.bdf);
	if (d.device < 0)
		fail("cannot open the NVMe");
	for (i = 0; i < count; i++)
		fds[i] = vfio_eventfd();
	cost = now();
	if (vfio_irq_eventfds(&d, VFIO_PCI_MSIX_IRQ_INDEX, 0, count, fds))
		fail("cannot enable MSI-X");
	cost = now() - cost;
	vfio_irq_disable(&d, VFIO_PCI_MSIX_IRQ_INDEX);
	for (i = 0; i < count; i++)
		close(fds[i]);
	close(d.device);
	return cost;
}

static const struct row {
	const char *name;
	uint64_t (*measure)(size_t arg);
	size_t arg;
} rows[] = {
	{ "pread of 4 KiB from a BAR", read_bar, 4096 },
	{ "pwrite of 4 KiB to a BAR", write_bar, 4096 },
	{ "pread of 1 MiB from a BAR", read_bar, MIB },
	{ "pread of 64 bytes from a BAR", read_bar, 64 },
	{ "touch 64 MiB of a BAR, any address", touch_any, 64 * MIB },
	{ "touch 64 MiB of a BAR, one page off", touch_off, 64 * MIB },
	{ "zap 64 MiB of a BAR, one page off", zap_off, 64 * MIB },
	{ "map a 64 MiB BAR for DMA", dma_map_bar, 64 * MIB },
	{ "unmap it", dma_unmap_bar, 64 * MIB },
	{ "map 256 MiB of 4 KiB pages for DMA", dma_map_small, 256 * MIB },
	{ "unmap them", dma_unmap_small, 256 * MIB },
	{ "map 256 MiB of huge pages for DMA", dma_map_huge, 256 * MIB },
	{ "unmap them (huge)", dma_unmap_huge, 256 * MIB },
	{ "map a 2 MiB huge page for DMA", dma_map_huge, 2 * MIB },
	{ "unmap it (2 MiB)", dma_unmap_huge, 2 * MIB },
	{ "open an NVMe that was closed cleanly", open_nvme, 0 },
	{ "enable 64 MSI-X vectors", enable_msix, 64 },
	{ "read a config dword", read_config, 4 },
};

static off_t region_offset(uint32_t index)
{
	struct vfio_region_info info;

	if (vfio_region_info(&ivshmem, index, &info))
		fail("no region information");
	return info.offset;
}

int main(void)
{
	size_t i, round;
	int ret;

	ret = vfio_dev_open(&ivshmem, IVSHMEM_ID, VFIO_TYPE1v2_IOMMU);
	if (ret)
		fail("no ivshmem device");
	ret = vfio_dev_open(&nvme, NVME_ID, VFIO_TYPE1v2_IOMMU);
	if (ret)
		fail("no NVMe controller");
	close(nvme.device);
	vfio_cfg_command(&ivshmem, PCI_COMMAND_MEMORY, 0);
	bar_offset = region_offset(IVSHMEM_BAR);
	config_offset = region_offset(VFIO_PCI_CONFIG_REGION_INDEX);
	buffer = vfio_alloc_pages(MIB);

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t best = UINT64_MAX, cost;

		for (round = 0; round <= ROUNDS; round++) {
			cost = rows[i].measure(rows[i].arg);
			if (round && cost < best)
				best = cost;
		}
		printf("%s\t%llu\n", rows[i].name, (unsigned long long)best);
		fflush(stdout);
	}
	return 0;
}
