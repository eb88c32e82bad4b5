// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes come, take two devices, use them and go, one after another, in every
 * mode that the kernel has and in every manner: they close what they have, leave
 * that to the kernel, or are killed. Once the first have been, nothing may grow:
 * neither memory nor any cache of objects nor what is counted.
 *
 * VFIO_SOAK_CYCLES in the environment says how many processes. More of them find
 * smaller leaks: the counts of small objects are not exact, and memory has to fall
 * by more than other things make it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "edu.h"
#include "levels.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define CYCLES		300
#define WARM_UP		100
#define LENGTH		0x200000
#define IOVA		0x400000
#define NVME_VS		0x08
#define EDU_RAISE	0x60
#define EDU_ACK		0x64

static const int all_modes[] = {
	VFIO_TYPE1v2_IOMMU, VFIO_MODE_IOMMUFD, VFIO_TYPE1_IOMMU,
	VFIO_MODE_COMPAT,
};

static struct vfio_levels first, latest;

FIXTURE(soak)
{
	int modes[ARRAY_SIZE(all_modes)];
	unsigned int nr_modes, cycles, warm_up;
	struct vfio_counters before;
};

FIXTURE_SETUP(soak)
{
	const char *cycles = getenv("VFIO_SOAK_CYCLES");
	struct vfio_dev d;
	unsigned int i;

	self->nr_modes = 0;
	for (i = 0; i < ARRAY_SIZE(all_modes); i++) {
		int ret = vfio_dev_open(&d, VFIO_NVME, all_modes[i]);

		if (ret == -ENXIO || vfio_pci_resolve(VFIO_EDU, d.bdf))
			SKIP(_exit(KSFT_SKIP), "no NVMe controller and edu here");
		if (ret == -ENOENT && all_modes[i] & VFIO_MODE_IOMMUFDS)
			continue;
		ASSERT_EQ(0, ret);
		vfio_dev_close(&d);
		self->modes[self->nr_modes++] = all_modes[i];
	}
	self->cycles = cycles ? strtoul(cycles, NULL, 0) : CYCLES;
	self->warm_up = self->cycles < 2 * WARM_UP ? self->cycles / 2 : WARM_UP;
	ASSERT_LT(0, self->warm_up);
}

FIXTURE_TEARDOWN(soak)
{
}

/* In the process that uses the devices: whatever fails ends it. */
#define MUST(what) do { if (!(what)) _exit(__LINE__ % 250 + 1); } while (0)

static void interrupt(const struct vfio_dev *edu)
{
	uint32_t value = 1;
	int efd = vfio_eventfd();

	MUST(!vfio_irq_eventfd(edu, VFIO_PCI_MSI_IRQ_INDEX, 0, efd));
	MUST(vfio_region_write(edu, 0, EDU_RAISE, &value, 4) == 4);
	MUST(!vfio_eventfd_wait(efd, 10000, NULL));
	MUST(vfio_region_write(edu, 0, EDU_ACK, &value, 4) == 4);
}

/* A process that inherited everything looks, and goes. */
static void look_from_another(const struct vfio_dev *d, const void *bar,
			      uint32_t version)
{
	pid_t pid = fork();
	uint32_t value;
	int status;

	MUST(pid >= 0);
	if (!pid) {
		MUST(!vfio_try_load32(bar + NVME_VS, &value) && value == version);
		MUST(vfio_region_read(d, 0, NVME_VS, &value, 4) == 4);
		_exit(value != version);
	}
	MUST(waitpid(pid, &status, 0) == pid && !status);
}

static void use(unsigned int cycle, int mode)
{
	void *mem = vfio_alloc_pages(LENGTH), *bar;
	struct vfio_dev nvme, edu;
	uint32_t seen, version;

	MUST(mem);
	MUST(!vfio_dev_open(&nvme, VFIO_NVME, mode));
	MUST(!vfio_dev_open_with(&edu, VFIO_EDU, &nvme));
	MUST(!vfio_cfg_command(&nvme, 6, 0) && !vfio_cfg_command(&edu, 6, 0));

	MUST(!vfio_region_mmap(&nvme, 0, 0, 4096, &bar));
	MUST(!vfio_try_load32(bar + NVME_VS, &seen));
	MUST(vfio_region_read(&nvme, 0, NVME_VS, &version, 4) == 4);
	MUST(seen == version);
	MUST(!vfio_dma_map(nvme.container, mem, IOVA, LENGTH));
	interrupt(&edu);
	MUST(vfio_irq_count(&nvme, VFIO_PCI_MSIX_IRQ_INDEX) > 1);
	MUST(!vfio_irq_eventfd(&nvme, VFIO_PCI_MSIX_IRQ_INDEX, 0,
			       vfio_eventfd()));
	/* Its engine takes its time. */
	if (cycle % 16 == 0) {
		memset(mem, cycle | 1, 64);
		MUST(!edu_copy(&edu, IOVA, IOVA + 4096));
		MUST(!memcmp(mem, mem + 4096, 64));
	}
	if (cycle % 3 == 0)
		look_from_another(&nvme, bar, version);
	if (cycle % 4 == 3)
		raise(SIGKILL);

	MUST(!vfio_ioctl(nvme.device, VFIO_DEVICE_RESET));
	MUST(!vfio_try_load32(bar + NVME_VS, &seen) && seen == version);
	/* Or the kernel does it. */
	if (cycle % 2) {
		MUST(!vfio_dma_unmap(nvme.container, IOVA, LENGTH));
		munmap(bar, 4096);
		vfio_dev_close(&edu);
		vfio_dev_close(&nvme);
	}
	_exit(0);
}

/* 0, or the line where it failed. */
static int cycle(FIXTURE_DATA(soak) *self, unsigned int i)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		use(i, self->modes[i % self->nr_modes]);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	if (i % 4 == 3)
		return !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void tell(const char *when, unsigned int cycles,
		 const struct vfio_levels *l)
{
	static const char *const names[] = {
		"filp", "vm_area_struct", "areas of vmalloc",
		"pages of IOMMUs", "kmalloc-64", "kmalloc-1k",
	};
	unsigned int i;

	printf("# %s, %u cycles: %ld KiB available", when, cycles,
	       (long)l->available_kb);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		printf(", %s: %ld", names[i], (long)vfio_level(l, names[i]));
	printf("\n");
}

/* How many things there are that grow with every other cycle, or faster. */
static int growing(unsigned int cycles)
{
	int64_t room = 20 + cycles / 2, lost;
	unsigned int i;
	int bad = 0;

	for (i = 0; i < latest.nr; i++) {
		const struct vfio_level *level = &latest.level[i];
		int64_t more = level->value - vfio_level(&first, level->name);

		if (more > room && more > level->noise) {
			printf("# %s: %ld more\n", level->name, (long)more);
			bad++;
		}
	}
	/* Half a page each, and what goes up and down by itself. */
	lost = first.available_kb - latest.available_kb;
	if (lost > 16384 + 2 * (int64_t)cycles) {
		printf("# %ld KiB of memory lost\n", (long)lost);
		bad++;
	}
	return bad;
}

TEST_F_TIMEOUT(soak, nothing_grows, 86400)
{
	struct vfio_counters now;
	unsigned int i;

	for (i = 0; i < self->cycles; i++) {
		if (i == self->warm_up) {
			vfio_counters_read(&self->before);
			/* To look leaves something behind, once. */
			vfio_levels_read(&first);
			vfio_levels_read(&first);
			tell("at first", i, &first);
		}
		ASSERT_EQ(0, cycle(self, i))
			TH_LOG("cycle %u", i);
	}
	vfio_levels_read(&latest);
	tell("at last", i, &latest);
	EXPECT_TRUE(vfio_counters_settled(&self->before, &now))
		vfio_counters_print(&self->before, &now);
	EXPECT_EQ(0, growing(self->cycles - self->warm_up));
}

TEST_HARNESS_MAIN
