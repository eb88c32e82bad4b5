// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the operations that users wait for cost.
 *
 * Prints one line per row: a name, a tab, nanoseconds, or "-" where the driver
 * would take for ever. With the argument "vectors", "parallel" or "removal" the
 * rows are others, see many_vectors(), parallel() and removal(). With
 * "chunks" it prints a curve instead: what a chunk of 2 MiB costs among so many
 * others, one line per number, see chunks(). Run it where time is a
 * count of instructions (QEMU's -icount shift=0, one CPU) and the figures of
 * two drivers can be compared; a wall clock under emulation says nothing.
 *
 * What is printed is the smallest figure of several rounds, of which the first
 * does not count: what interrupts and timers add is left out.
 *
 * Mapping memory for DMA costs the more, the fewer of its pages lie in a row.
 * They do in memory that was never used before, and lie anyhow in other, so it
 * is decided here: all in a row, or no two. Each round has memory of its own,
 * for the first unmap of a page also marks it dirty. So this wants a freshly
 * booted machine with 4 GiB.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "../kselftest.h"
#include "lib/vfio_util.h"

#define TRIES		4
#define MIB		(1UL << 20)
#define PAGE		4096UL
#define IOVA		0x10000000UL

#define IVSHMEM_ID	"1af4:1110"
#define IVSHMEM_BAR	VFIO_PCI_BAR2_REGION_INDEX
#define NVME_ID		"1b36:0010"

/* As many as a device can have. */
#define VECTORS		2048

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

static void read_bar(size_t len, uint64_t cost[2])
{
	uint64_t start = now();

	if (pread(ivshmem.device, buffer, len, bar_offset) != (ssize_t)len)
		fail("cannot read the BAR");
	cost[0] = now() - start;
}

static void write_bar(size_t len, uint64_t cost[2])
{
	uint64_t start = now();

	if (pwrite(ivshmem.device, buffer, len, bar_offset) != (ssize_t)len)
		fail("cannot write the BAR");
	cost[0] = now() - start;
}

static void read_config(size_t len, uint64_t cost[2])
{
	uint64_t start = now();

	if (pread(ivshmem.device, buffer, len, config_offset) != (ssize_t)len)
		fail("cannot read the configuration space");
	cost[0] = now() - start;
}

static void region_info(size_t unused, uint64_t cost[2])
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = IVSHMEM_BAR,
	};
	uint64_t start = now();

	if (vfio_ioctl(ivshmem.device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("no information about the BAR");
	cost[0] = now() - start;
}

static char *map_bar(void *where, size_t len)
{
	char *map = mmap(where, len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | (where ? MAP_FIXED : 0),
			 ivshmem.device, bar_offset);

	if (map == MAP_FAILED)
		fail("cannot map the BAR");
	return map;
}

static void mmap_bar(size_t len, uint64_t cost[2])
{
	uint64_t start = now();
	char *map = map_bar(NULL, len);

	cost[0] = now() - start;
	munmap(map, len);
}

/* Nobody has it mapped. */
static void toggle_memory(size_t unused, uint64_t cost[2])
{
	off_t place = config_offset + PCI_COMMAND;
	uint16_t on, off;
	uint64_t start;

	if (pread(ivshmem.device, &on, 2, place) != 2)
		fail("cannot read COMMAND");
	off = on & ~PCI_COMMAND_MEMORY;
	start = now();
	if (pwrite(ivshmem.device, &off, 2, place) != 2 ||
	    pwrite(ivshmem.device, &on, 2, place) != 2)
		fail("cannot write COMMAND");
	cost[0] = now() - start;
	start = now();
	if (pwrite(ivshmem.device, &on, 2, place) != 2)
		fail("cannot write COMMAND");
	cost[1] = now() - start;
}

/* First open of a device that cannot be reset; and its last close. */
static void open_plain(size_t unused, uint64_t cost[2])
{
	uint64_t start = now();

	close(ivshmem.device);
	cost[1] = now() - start;
	usleep(1000);
	start = now();
	ivshmem.device = vfio_get_device_fd(ivshmem.group, ivshmem.bdf);
	cost[0] = now() - start;
	if (ivshmem.device < 0 ||
	    vfio_cfg_command(&ivshmem, PCI_COMMAND_MEMORY, 0))
		fail("cannot open the device");
}

static uint64_t touch(volatile char *map, size_t len)
{
	uint64_t start = now();
	size_t i;

	for (i = 0; i < len; i += PAGE)
		map[i];
	return now() - start;
}

static void touch_any(size_t len, uint64_t cost[2])
{
	char *map = map_bar(NULL, len);

	cost[0] = touch(map, len);
	munmap(map, len);
}

/* Where memory begins at a multiple of 2 MiB, in a reservation of its own. */
static char *reserve(size_t len)
{
	char *room = mmap(NULL, len + 2 * MIB, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start = (char *)(((uintptr_t)room + 2 * MIB - 1) & -(2 * MIB));

	if (room == MAP_FAILED)
		fail("no address space");
	munmap(room, start - room);
	munmap(start + len, room + 2 * MIB - start);
	return start;
}

/*
 * Touch a write-combined mapping of the BAR, and cut it off. A driver that has no
 * such thing gives the mapping that it has.
 */
static void touch_wc(size_t len, uint64_t cost[2])
{
	uint16_t cmd = vfio_cfg_read16(&ivshmem, PCI_COMMAND);
	static int alias = -1;
	uint64_t start;
	void *map;

	if (alias < 0)
		alias = vfio_alias(&ivshmem, IVSHMEM_BAR, 0, len);
	if (vfio_region_mmap(&ivshmem, alias < 0 ? IVSHMEM_BAR : alias, 0, len,
			     &map))
		fail("cannot map the BAR write-combined");
	cost[0] = touch(map, len);
	start = now();
	vfio_cfg_write16(&ivshmem, PCI_COMMAND, cmd & ~PCI_COMMAND_MEMORY);
	cost[1] = now() - start;

	vfio_cfg_write16(&ivshmem, PCI_COMMAND, cmd);
	munmap(map, len);
}

/*
 * Touch a mapping of the BAR that is one page off of any agreement with huge
 * pages, and cut it off by turning the device's memory off.
 */
static void touch_off(size_t len, uint64_t cost[2])
{
	char *room = reserve(len + 2 * MIB);
	char *map = map_bar(room + PAGE, len);
	uint16_t cmd = vfio_cfg_read16(&ivshmem, PCI_COMMAND);
	uint64_t start;

	cost[0] = touch(map, len);
	start = now();
	vfio_cfg_write16(&ivshmem, PCI_COMMAND, cmd & ~PCI_COMMAND_MEMORY);
	cost[1] = now() - start;

	vfio_cfg_write16(&ivshmem, PCI_COMMAND, cmd);
	munmap(room, len + 2 * MIB);
}

static void dma(void *addr, size_t len, uint64_t cost[2])
{
	uint64_t start = now();

	if (vfio_dma_map(ivshmem.container, addr, IOVA, len))
		fail("cannot map for DMA");
	cost[0] = now() - start;
	start = now();
	if (vfio_dma_unmap(ivshmem.container, IOVA, len))
		fail("cannot unmap");
	cost[1] = now() - start;
}

/* Nobody has touched the mapping before. */
static void dma_bar(size_t len, uint64_t cost[2])
{
	char *map = map_bar(NULL, len);

	dma(map, len, cost);
	munmap(map, len);
}

/* How many runs of consecutive page frames are behind the memory? */
static size_t count_runs(const char *mem, size_t len)
{
	const uint64_t frame = (1ULL << 55) - 1;
	size_t i, runs = 0, pages = len / PAGE;
	uint64_t *entries = malloc(pages * sizeof(*entries));
	int fd = open("/proc/self/pagemap", O_RDONLY);
	ssize_t bytes = pages * sizeof(*entries);

	if (!entries || fd < 0 ||
	    pread(fd, entries, bytes, (uintptr_t)mem / PAGE * 8) != bytes)
		fail("cannot see where memory is");
	for (i = 0; i < pages; i++)
		if (!i || (entries[i] & frame) != (entries[i - 1] & frame) + 1)
			runs++;
	close(fd);
	free(entries);
	return runs;
}

/* Pages come in the order they are touched in. */
static char *touched(size_t len, int advice, size_t step)
{
	char *mem = mmap(reserve(len), len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	size_t first, i;

	if (mem == MAP_FAILED || madvise(mem, len, advice))
		fail("no memory");
	for (first = 0; first < step; first += PAGE)
		for (i = first; i < len; i += step)
			mem[i] = 1;
	return mem;
}

/*
 * Memory that turns out to have been used before is kept, so that the next try
 * gets other. A few runs are as good as one.
 */
static char *in_a_row(size_t len, int advice)
{
	char *mem;
	int i;

	for (i = 0; i < TRIES; i++) {
		mem = touched(len, advice, PAGE);
		if (count_runs(mem, len) <= 4)
			return mem;
	}
	fail("no memory whose pages lie in a row");
	return NULL;
}

static void dma_pages(size_t len, uint64_t cost[2])
{
	dma(in_a_row(len, MADV_NOHUGEPAGE), len, cost);
}

static void dma_scattered(size_t len, uint64_t cost[2])
{
	char *mem = touched(len, MADV_NOHUGEPAGE, 2 * PAGE);

	if (count_runs(mem, len) < len / PAGE * 99 / 100)
		fail("the pages lie in a row");
	dma(mem, len, cost);
	munmap(mem, len);
}

static void dma_huge(size_t len, uint64_t cost[2])
{
	dma(in_a_row(len, MADV_HUGEPAGE), len, cost);
}

static void open_nvme(size_t unused, uint64_t cost[2])
{
	uint64_t start;
	int fd;

	/* Whoever powers unused devices down at once has begun to do it then. */
	usleep(1000);
	start = now();
	fd = vfio_get_device_fd(nvme.group, nvme.bdf);
	cost[0] = now() - start;
	if (fd < 0)
		fail("cannot open the NVMe");
	close(fd);
}

/* And to give vectors that are enabled other eventfds. */
static void enable_msix(size_t count, uint64_t cost[2])
{
	struct vfio_dev d = nvme;
	int32_t fds[VECTORS];
	uint64_t start;
	size_t i;

	d.device = vfio_get_device_fd(nvme.group, nvme.bdf);
	if (d.device < 0)
		fail("cannot open the NVMe");
	for (i = 0; i < count; i++)
		fds[i] = vfio_eventfd();
	/* RCU frees the last round's descriptors before, not meanwhile. */
	usleep(50000);
	start = now();
	if (vfio_irq_eventfds(&d, VFIO_PCI_MSIX_IRQ_INDEX, 0, count, fds))
		fail("cannot enable MSI-X");
	cost[0] = now() - start;
	for (i = 0; i < count / 2; i++) {
		int32_t fd = fds[i];

		fds[i] = fds[count - 1 - i];
		fds[count - 1 - i] = fd;
	}
	usleep(50000);
	start = now();
	if (vfio_irq_eventfds(&d, VFIO_PCI_MSIX_IRQ_INDEX, 0, count, fds))
		fail("cannot arm MSI-X again");
	cost[1] = now() - start;
	vfio_irq_disable(&d, VFIO_PCI_MSIX_IRQ_INDEX);
	for (i = 0; i < count; i++)
		close(fds[i]);
	close(d.device);
}

/*
 * What @run costs, and what it costs to take it back where that has a name.
 * A round that no tick of the clock falls into is enough, where there can be
 * one.
 */
static const struct operation {
	const char *name;
	const char *back;
	void (*run)(size_t arg, uint64_t cost[2]);
	size_t arg;
	unsigned int rounds;
} operations[] = {
	{ "pread of 4 KiB from a BAR", NULL, read_bar, 4096, 20 },
	{ "pwrite of 4 KiB to a BAR", NULL, write_bar, 4096, 20 },
	{ "pread of 1 MiB from a BAR", NULL, read_bar, MIB, 5 },
	{ "pread of 64 bytes from a BAR", NULL, read_bar, 64, 20 },
	{ "touch 64 MiB of a BAR, any address", NULL,
	  touch_any, 64 * MIB, 10 },
	{ "touch 64 MiB of a BAR, one page off",
	  "zap 64 MiB of a BAR, one page off", touch_off, 64 * MIB, 3 },
	{ "map a 64 MiB BAR for DMA",
	  "unmap a 64 MiB BAR", dma_bar, 64 * MIB, 5 },
	{ "map 256 MiB of 4 KiB pages for DMA",
	  "unmap 256 MiB of 4 KiB pages", dma_pages, 256 * MIB, 2 },
	{ "map 256 MiB of huge pages for DMA",
	  "unmap 256 MiB of huge pages", dma_huge, 256 * MIB, 2 },
	{ "map one 2 MiB huge page for DMA",
	  "unmap one 2 MiB huge page", dma_huge, 2 * MIB, 10 },
	{ "map 256 MiB of scattered 4 KiB pages for DMA",
	  "unmap 256 MiB of scattered 4 KiB pages",
	  dma_scattered, 256 * MIB, 2 },
	{ "open an NVMe that was closed cleanly", NULL, open_nvme, 0, 5 },
	{ "enable 64 MSI-X vectors", "arm 64 MSI-X vectors again",
	  enable_msix, 64, 40 },
	{ "read a config dword", NULL, read_config, 4, 20 },
	{ "pread of 4 bytes from a BAR", NULL, read_bar, 4, 20 },
	{ "pwrite of 4 bytes to a BAR", NULL, write_bar, 4, 20 },
	{ "ask for a region's information", NULL, region_info, 0, 20 },
	{ "map a BAR into a process", NULL, mmap_bar, 64 * MIB, 20 },
	{ "switch memory off and on", "write COMMAND unchanged",
	  toggle_memory, 0, 20 },
	{ "open a device that has no reset", "close a device that has no reset",
	  open_plain, 0, 20 },
	/* The last: from here on the BAR is write-combined. */
	{ "touch 64 MiB of a BAR, write-combined",
	  "zap 64 MiB of a BAR, write-combined", touch_wc, 64 * MIB, 10 },
};

static void measure(const struct operation *op, uint64_t best[2])
{
	uint64_t cost[2] = {};
	unsigned int round;

	best[0] = UINT64_MAX;
	best[1] = UINT64_MAX;
	for (round = 0; round <= op->rounds; round++) {
		op->run(op->arg, cost);
		if (round && cost[0] < best[0])
			best[0] = cost[0];
		if (round && cost[1] < best[1])
			best[1] = cost[1];
	}
}

/*
 * The curve of page hinting. So many mappings, each of one huge page, which is
 * the same for all; of them some that lie all over are looked up, unmapped and
 * mapped again, and their dirty pages asked for.
 */
#define CHUNK		(2 * MIB)
#define CHUNKS_IOVA	(4096 * MIB)
#define SAMPLES		64
#define CHUNK_ROUNDS	4

enum chunk_op { LOOKUP, UNMAP, MAP, QUERY, CHUNK_OPS };

static uint64_t chunk_iova(size_t i)
{
	return CHUNKS_IOVA + i * CHUNK;
}

static void chunk_run(enum chunk_op op, void *mem, uint64_t iova)
{
	uint64_t bits[CHUNK / PAGE / 64];
	int ret;

	switch (op) {
	case LOOKUP:
		ret = vfio_dma_map(ivshmem.container, mem, iova, CHUNK);
		if (ret == -EEXIST)
			ret = 0;
		break;
	case UNMAP:
		ret = vfio_dma_unmap(ivshmem.container, iova, CHUNK);
		break;
	case MAP:
		ret = vfio_dma_map(ivshmem.container, mem, iova, CHUNK);
		break;
	default:
		ret = vfio_dirty_get(ivshmem.container, iova, CHUNK, bits);
	}
	if (ret)
		fail("chunk");
}

/* Per chunk, on average. */
static uint64_t chunk_cost(enum chunk_op op, void *mem, size_t nr)
{
	size_t i, samples = nr < SAMPLES ? nr : SAMPLES;
	uint64_t start = now();

	for (i = 0; i < samples; i++)
		chunk_run(op, mem, chunk_iova(i * nr / samples));
	return (now() - start) / samples;
}

static int64_t slab_bytes(void)
{
	char line[128];
	int64_t kb = -1;
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && kb < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "SUnreclaim: %ld", &kb);
	if (kb < 0)
		fail("no figure for slab memory");
	fclose(f);
	return kb * 1024;
}

/* One point of the curve; there are @nr mappings. */
static void chunks_measure(void *mem, size_t nr, uint64_t best[CHUNK_OPS])
{
	enum chunk_op op;
	uint64_t cost;
	int round;

	memset(best, 0xff, CHUNK_OPS * sizeof(*best));
	for (round = 0; round <= CHUNK_ROUNDS; round++) {
		for (op = LOOKUP; op < QUERY; op++) {
			cost = chunk_cost(op, mem, nr);
			if (round && cost < best[op])
				best[op] = cost;
		}
	}
	if (vfio_dirty_tracking(ivshmem.container, true))
		fail("no dirty tracking");
	for (round = 0; round <= CHUNK_ROUNDS; round++) {
		cost = chunk_cost(QUERY, mem, nr);
		if (round && cost < best[QUERY])
			best[QUERY] = cost;
	}
	vfio_dirty_tracking(ivshmem.container, false);
}

/*
 * Columns: mappings, then what it costs to look one up (to be told that it is
 * there), to unmap it, to map it, to ask for its dirty pages; bytes of kernel
 * memory per mapping, without the IOMMU's page table.
 */
static int chunks(void)
{
	static const size_t counts[] = { 1, 16, 256, 4096, 16384, 65000 };
	uint64_t best[CHUNK_OPS];
	size_t i, nr = 0;
	int64_t empty;
	char *mem;

	if (vfio_dev_open(&ivshmem, IVSHMEM_ID, VFIO_TYPE1v2_IOMMU))
		fail("no ivshmem device");
	mem = in_a_row(CHUNK, MADV_HUGEPAGE);
	empty = slab_bytes();
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		for (; nr < counts[i]; nr++)
			chunk_run(MAP, mem, chunk_iova(nr));
		chunks_measure(mem, nr, best);
		printf("%zu\t%llu\t%llu\t%llu\t%llu\t%lld\n", nr,
		       (unsigned long long)best[LOOKUP],
		       (unsigned long long)best[UNMAP],
		       (unsigned long long)best[MAP],
		       (unsigned long long)best[QUERY],
		       (long long)(slab_bytes() - empty) / (long long)nr);
		fflush(stdout);
	}
	return 0;
}

static void print(const char *name, uint64_t cost)
{
	if (name)
		printf("%s\t%llu\n", name, (unsigned long long)cost);
	fflush(stdout);
}

/* It takes a dozen processors to have so many interrupts. */
static int many_vectors(void)
{
	static const struct operation op = { .run = enable_msix,
					     .arg = VECTORS, .rounds = 4 };
	struct rlimit files = { 2 * VECTORS, 2 * VECTORS };
	uint64_t cost[2];

	setrlimit(RLIMIT_NOFILE, &files);
	if (vfio_dev_open(&nvme, NVME_ID, VFIO_TYPE1v2_IOMMU))
		fail("no NVMe controller");
	close(nvme.device);
	measure(&op, cost);
	print("enable 2048 MSI-X vectors", cost[0]);
	print("arm 2048 MSI-X vectors again", cost[1]);
	return 0;
}

/*
 * Many devices that are opened and closed at the same time, by a process with a
 * thread for each. Each needs a reset: its interrupt line, which nothing else
 * depends on, is written before.
 */
#define PARALLEL	32

static struct vfio_dev many[PARALLEL];
static pthread_barrier_t barrier;

static void make_vfs(void)
{
	char pf[VFIO_BDF_LEN], link[32], total[16];
	int i;

	/* A VF whose PF has a user is opened with a token only. */
	for (i = 0; ; i++) {
		if (vfio_pci_find(0x1b36, 0x0010, i, pf))
			fail("no NVMe controller with VFs");
		if (!vfio_pci_attr_read(pf, "sriov_totalvfs", total,
					sizeof(total)))
			break;
	}
	if (vfio_modprobe("nvme") || vfio_pci_bind_to(pf, "nvme") ||
	    vfio_pci_attr_write(pf, "sriov_drivers_autoprobe", "0") ||
	    vfio_pci_attr_write(pf, "sriov_numvfs", "32"))
		fail("cannot make VFs");
	for (i = 0; i < PARALLEL; i++) {
		snprintf(link, sizeof(link), "virtfn%d", i);
		if (vfio_pci_link(pf, link, many[i].bdf, VFIO_BDF_LEN))
			fail("a VF is missing");
	}
}

static void find_many(void)
{
	char ignored[16], bdf[VFIO_BDF_LEN];
	int i, nr = 0;

	for (i = 0; nr < PARALLEL; i++) {
		if (vfio_pci_find(0x1b36, 0x0010, i, bdf))
			fail("not enough NVMe controllers");
		if (vfio_pci_attr_read(bdf, "sriov_totalvfs", ignored,
				       sizeof(ignored)))
			memcpy(many[nr++].bdf, bdf, VFIO_BDF_LEN);
	}
}

static void touch_config(const char *bdf)
{
	int fd = vfio_pci_config_open(bdf);
	static uint8_t line;

	line++;
	if (pwrite(fd, &line, 1, PCI_INTERRUPT_LINE) != 1)
		fail("cannot write the configuration space");
	close(fd);
}

static void *open_one(void *arg)
{
	struct vfio_dev *d = arg;

	pthread_barrier_wait(&barrier);
	d->device = vfio_get_device_fd(d->group, d->bdf);
	return NULL;
}

static void *close_one(void *arg)
{
	struct vfio_dev *d = arg;

	pthread_barrier_wait(&barrier);
	close(d->device);
	return NULL;
}

static uint64_t at_once(void *(*run)(void *), int nr)
{
	pthread_t threads[PARALLEL];
	uint64_t start;
	int i;

	pthread_barrier_init(&barrier, NULL, nr + 1);
	for (i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, run, &many[i]))
			fail("no thread");
	pthread_barrier_wait(&barrier);
	start = now();
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	return now() - start;
}

static void open_many(size_t nr, uint64_t cost[2])
{
	size_t i;

	for (i = 0; i < nr; i++)
		touch_config(many[i].bdf);
	cost[0] = at_once(open_one, nr);
	for (i = 0; i < nr; i++)
		if (many[i].device < 0)
			fail("cannot open one of many");
	cost[1] = at_once(close_one, nr);
}

static void many_rows(const char *what)
{
	static const size_t counts[] = { 1, PARALLEL };
	uint64_t cost[2], best[2];
	size_t i, round;

	for (i = 0; i < PARALLEL; i++)
		if (i ? vfio_dev_open_with(&many[i], many[i].bdf, &many[0]) :
			vfio_dev_open(&many[i], many[i].bdf,
				      VFIO_TYPE1v2_IOMMU))
			fail("cannot open the first time");
	for (i = 0; i < PARALLEL; i++)
		close(many[i].device);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		best[0] = UINT64_MAX;
		best[1] = UINT64_MAX;
		for (round = 0; round < 3; round++) {
			open_many(counts[i], cost);
			if (cost[0] < best[0])
				best[0] = cost[0];
			if (cost[1] < best[1])
				best[1] = cost[1];
		}
		printf("open %zu of %d %s, with reset\t%llu\n", counts[i],
		       PARALLEL, what, (unsigned long long)best[0]);
		printf("close %zu of %d %s\t%llu\n", counts[i], PARALLEL,
		       what, (unsigned long long)best[1]);
		fflush(stdout);
	}
	for (i = PARALLEL; i--; ) {
		close(many[i].group);
		vfio_dev_init(&many[i]);
	}
}

static int parallel(void)
{
	find_many();
	many_rows("NVMes on as many ports");
	make_vfs();
	many_rows("VFs of one NVMe");
	return 0;
}

/*
 * An unbind of a device that somebody has open and mapped: one who lets go of it
 * when he is asked, and one who does not, from whom it is taken at once. Only a
 * driver that can do that has a figure for the latter.
 */
#define REVOKE_AFTER	"/sys/module/vfio/parameters/revoke_after"

struct user {
	struct vfio_dev d;
	int request;
	char *map;
};

static void *let_go(void *arg)
{
	struct user *user = arg;

	if (vfio_eventfd_wait(user->request, -1, NULL))
		fail("nobody asks for the device");
	munmap(user->map, 64 * MIB);
	vfio_dev_close(&user->d);
	return NULL;
}

static void take_away(size_t lets_go, uint64_t cost[2])
{
	struct user user;
	pthread_t thread;
	uint64_t start;

	if (vfio_dev_open(&user.d, IVSHMEM_ID, VFIO_TYPE1v2_IOMMU) ||
	    vfio_cfg_command(&user.d, PCI_COMMAND_MEMORY, 0) ||
	    vfio_region_mmap(&user.d, IVSHMEM_BAR, 0, 64 * MIB,
			     (void **)&user.map))
		fail("no ivshmem device");
	touch(user.map, 64 * MIB);
	user.request = vfio_eventfd();
	if (vfio_irq_eventfd(&user.d, VFIO_PCI_REQ_IRQ_INDEX, 0, user.request))
		fail("no request interrupt");
	if (lets_go && pthread_create(&thread, NULL, let_go, &user))
		fail("no thread");
	/* The thread sleeps by then, and what opening left to others is over. */
	usleep(50000);

	start = now();
	if (vfio_pci_attr_write(user.d.bdf, "driver/unbind", user.d.bdf))
		fail("cannot unbind");
	cost[0] = now() - start;

	if (lets_go) {
		pthread_join(thread, NULL);
	} else {
		munmap(user.map, 64 * MIB);
		vfio_dev_close(&user.d);
	}
	close(user.request);
}

static int removal(void)
{
	static const struct operation ops[] = {
		{ .run = take_away, .arg = true, .rounds = 5 },
		{ .run = take_away, .arg = false, .rounds = 5 },
	};
	uint64_t cost[2];

	measure(&ops[0], cost);
	print("unbind a device whose user lets go", cost[0]);
	if (vfio_sysfs_write(REVOKE_AFTER, "0")) {
		puts("unbind a device whose user does not\t-");
		return 0;
	}
	measure(&ops[1], cost);
	print("unbind a device whose user does not", cost[0]);
	return 0;
}

static off_t region_offset(uint32_t index)
{
	struct vfio_region_info info;

	if (vfio_region_info(&ivshmem, index, &info))
		fail("no region information");
	return info.offset;
}

int main(int argc, char **argv)
{
	uint64_t cost[2];
	size_t i;

	if (argc == 2 && !strcmp(argv[1], "chunks"))
		return chunks();
	if (argc == 2 && !strcmp(argv[1], "vectors"))
		return many_vectors();
	if (argc == 2 && !strcmp(argv[1], "parallel"))
		return parallel();
	if (argc == 2 && !strcmp(argv[1], "removal"))
		return removal();
	if (vfio_dev_open(&ivshmem, IVSHMEM_ID, VFIO_TYPE1v2_IOMMU))
		fail("no ivshmem device");
	if (vfio_dev_open(&nvme, NVME_ID, VFIO_TYPE1v2_IOMMU))
		fail("no NVMe controller");
	close(nvme.device);
	vfio_cfg_command(&ivshmem, PCI_COMMAND_MEMORY, 0);
	bar_offset = region_offset(IVSHMEM_BAR);
	config_offset = region_offset(VFIO_PCI_CONFIG_REGION_INDEX);
	buffer = vfio_alloc_pages(MIB);
	if (!buffer)
		fail("no memory");

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		measure(&operations[i], cost);
		print(operations[i].name, cost[0]);
		print(operations[i].back, cost[1]);
	}
	return 0;
}
