// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-combined mappings: aliases of parts of BARs, and the attribute that makes
 * mappings of whole BARs write-combined. What type a mapping has is what its page
 * table says, and on x86 the kernel's list of types.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "edu.h"
#include "vfio_pci_overlay.h"
#include "vfio_variants.h"

#define VFIO_VIRTIO_NET	"1af4:1041"
#define PAGE		VFIO_PAGE
#define MIB		(1ul << 20)
#define PMD		vfio_huge_page()
#define MAX_ALIASES	64

#define ANY_TYPE	"either"

/*
 * How is the page at @p mapped? Where the machine does not tell types apart
 * there is nothing to be wrong.
 */
static bool is_type(const void *p, const char *want)
{
	const char *type = vfio_memtype(p, NULL);

	if (!strcmp(type, want) || !strcmp(type, ANY_TYPE))
		return true;
	fprintf(stderr, "%p is %s, not %s\n", p, type, want);
	return false;
}

#define IS_COMBINED(p)	is_type(p, "write-combined")
#define IS_UNCACHED(p)	is_type(p, "uncached")

/* Who keeps a list has one type for each page, whoever maps it how. */
static bool one_type(void)
{
	return vfio_pat_count(0, 1, "") != -ENOENT;
}

FIXTURE(alias)
{
	struct vfio_dev d;
	struct vfio_region_info bar;
	uint64_t phys;
	uint8_t *plain;		/* the whole BAR, mapped */
	int klog;
};

FIXTURE_VARIANT(alias)
{
	const char *id;
	int mode;
};

FIXTURE_VARIANT_ADD(alias, ivshmem) { VFIO_IVSHMEM };
VFIO_OTHER_MODES(alias, ivshmem, .id = VFIO_IVSHMEM);

#define BAR	VFIO_PCI_BAR2_REGION_INDEX

FIXTURE_SETUP(alias)
{
	void *p;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	if (vfio_memtype_load())
		SKIP(_exit(KSFT_SKIP), "no test_vfio_memtype");
	self->klog = vfio_klog_open();
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, vfio_region_info(&self->d, BAR, &self->bar));
	ASSERT_LE(16 * MIB, self->bar.size);
	ASSERT_EQ(0, vfio_region_mmap(&self->d, BAR, 0, self->bar.size, &p));
	self->plain = p;
	self->phys = vfio_pci_bar_phys(self->d.bdf, BAR);
	ASSERT_NE(0, self->phys);
}

FIXTURE_TEARDOWN(alias)
{
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
	vfio_dev_close(&self->d);
}

#define SELF FIXTURE_DATA(alias)

struct alias_request {
	uint32_t argsz;
	uint32_t flags;
	struct vfio_device_feature_pci_alias alias;
};

static const struct alias_request good_request = {
	.argsz = sizeof(struct alias_request),
	.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_PCI_ALIAS,
	.alias.region_index = BAR,
	.alias.memory_type = VFIO_PCI_ALIAS_WRITE_COMBINE,
};

static int ask(const SELF *self, struct alias_request *r)
{
	return vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE, r);
}

/* @change spoils a request that would be good. */
#define REFUSED(error, change) do {					\
	struct alias_request r = good_request;			\
									\
	r.alias.size = PAGE;						\
	change;								\
	EXPECT_EQ(error, ask(self, &r)) TH_LOG("%s", #change);		\
} while (0)

TEST_F(alias, errors)
{
	struct vfio_device_info before, after;
	uint64_t size = self->bar.size;
	struct alias_request *edge;
	uint8_t *pages;
	uint32_t i;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &before));
	REFUSED(-EINVAL, r.alias.flags = 1);
	REFUSED(-EINVAL, r.alias.flags = 1u << 31);
	REFUSED(-EINVAL, r.alias.memory_type = 0);
	REFUSED(-EINVAL, r.alias.memory_type = 2);
	REFUSED(-EINVAL, r.alias.memory_type = ~0u);
	REFUSED(-EINVAL, r.alias.size = 0);
	REFUSED(-EINVAL, r.alias.size = 1);
	REFUSED(-EINVAL, r.alias.size = PAGE + 8);
	REFUSED(-EINVAL, r.alias.offset = 8);
	REFUSED(-EINVAL, r.alias.offset = PAGE / 2);
	REFUSED(-EINVAL, r.alias.offset = size);
	REFUSED(-EINVAL, r.alias.size = size + PAGE);
	REFUSED(-EINVAL, r.alias.offset = PAGE; r.alias.size = size);
	/* Sums that overflow. */
	REFUSED(-EINVAL, r.alias.offset = -PAGE);
	REFUSED(-EINVAL, r.alias.offset = -PAGE; r.alias.size = 2 * PAGE);
	REFUSED(-EINVAL, r.alias.offset = PAGE; r.alias.size = -PAGE);
	REFUSED(-EINVAL, r.alias.size = -PAGE);
	/* BARs that there are not, or of ports. */
	REFUSED(-EINVAL, r.alias.region_index = 5);
	for (i = VFIO_PCI_ROM_REGION_INDEX; i < 12; i++)
		REFUSED(-ENODEV, r.alias.region_index = i);
	REFUSED(-ENODEV, r.alias.region_index = ~0u);
	/* BAR0 has registers, whose reads may do something. */
	REFUSED(-EOPNOTSUPP, r.alias.region_index = 0;
		r.alias.size = vfio_region_size(&self->d, 0) < PAGE ? PAGE :
			       vfio_region_size(&self->d, 0) & -PAGE);

	/* What the feature's header can have wrong. */
	REFUSED(-EINVAL, r.argsz = 7);
	REFUSED(-EINVAL, r.argsz = sizeof(r) - 1);
	REFUSED(-EINVAL, r.flags = VFIO_DEVICE_FEATURE_PCI_ALIAS);
	REFUSED(-EINVAL, r.flags = VFIO_DEVICE_FEATURE_SET |
					  VFIO_DEVICE_FEATURE_PCI_ALIAS);
	REFUSED(-EINVAL, r.flags |= VFIO_DEVICE_FEATURE_SET);
	REFUSED(-EINVAL, r.flags |= VFIO_DEVICE_FEATURE_SET |
					   VFIO_DEVICE_FEATURE_PROBE);
	REFUSED(-ENOTTY, r.flags |= 0xff);

	/* Probes are answered and do nothing. */
	REFUSED(0, r.flags |= VFIO_DEVICE_FEATURE_PROBE);
	REFUSED(0, r.flags = VFIO_DEVICE_FEATURE_PROBE |
				    VFIO_DEVICE_FEATURE_PCI_ALIAS;
		r.argsz = 8);

	/* Memory that ends in the request, and that cannot be written. */
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, munmap(pages + PAGE, PAGE));
	edge = (void *)(pages + PAGE - 16);
	memcpy(edge, &good_request, 16);
	EXPECT_EQ(-EFAULT, ask(self, edge));
	edge = (void *)pages;
	*edge = good_request;
	edge->alias.size = PAGE;
	ASSERT_EQ(0, mprotect(pages, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, ask(self, edge));

	ASSERT_EQ(0, vfio_dev_info(&self->d, &after));
	EXPECT_EQ(before.num_regions, after.num_regions);
	EXPECT_GE(0, vfio_pat_count(self->phys, size, "write-combining"));
	munmap(pages, PAGE);
}

/* The region, and who sees it until when. */
TEST_F(alias, region)
{
	const struct vfio_region_info_cap_pci_alias *cap;
	struct vfio_device_info before, after;
	struct vfio_region_info *info, none;
	struct vfio_dev other = self->d;
	int index;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &before));
	EXPECT_EQ(VFIO_PCI_NUM_REGIONS, before.num_regions);
	EXPECT_EQ(-EINVAL, vfio_region_info(&self->d, before.num_regions,
					    &none));
	index = vfio_alias(&self->d, BAR, 3 * PAGE, PMD);
	ASSERT_EQ(before.num_regions, index);
	ASSERT_EQ(0, vfio_dev_info(&self->d, &after));
	EXPECT_EQ(before.num_regions + 1, after.num_regions);

	info = vfio_region_info_caps(&self->d, index);
	ASSERT_NE(NULL, info);
	EXPECT_EQ(PMD, info->size);
	EXPECT_EQ(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
		  VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
		  info->flags);
	EXPECT_EQ(((uint64_t)index << 40) + 3 * PAGE, info->offset);
	cap = vfio_info_cap(info, info->cap_offset,
			    VFIO_REGION_INFO_CAP_PCI_ALIAS);
	ASSERT_NE(NULL, cap);
	EXPECT_EQ(1, cap->header.version);
	EXPECT_EQ(0, cap->header.next);
	EXPECT_EQ(BAR, cap->region_index);
	EXPECT_EQ(VFIO_PCI_ALIAS_WRITE_COMBINE, cap->memory_type);
	EXPECT_EQ(3 * PAGE, cap->offset);
	free(info);
	EXPECT_EQ(-EINVAL, vfio_region_info(&self->d, index + 1, &none));

	/* The BAR is what it was. */
	ASSERT_EQ(0, vfio_region_info(&self->d, BAR, &none));
	EXPECT_EQ(self->bar.flags, none.flags);
	EXPECT_EQ(self->bar.offset, none.offset);

	/* It belongs to the device, whichever of its files is closed. */
	if (variant->mode != VFIO_MODE_IOMMUFD) {
		other.device = vfio_dev_get_device(&self->d, self->d.bdf);
		ASSERT_LE(0, other.device);
		EXPECT_EQ(0, vfio_region_info(&other, index, &none));
		EXPECT_EQ(index + 1, vfio_alias(&other, BAR, 0, PAGE));
		close(other.device);
		EXPECT_EQ(0, vfio_region_info(&self->d, index + 1, &none));
	}

	/* A mapping keeps the file, and the last one gone ends it. */
	munmap(self->plain, self->bar.size);
	vfio_dev_close(&self->d);
	EXPECT_GE(0, vfio_pat_count(self->phys, self->bar.size,
				    "write-combining"));
	ASSERT_EQ(0, vfio_dev_open(&self->d, variant->id, variant->mode));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &after));
	EXPECT_EQ(before.num_regions, after.num_regions);
	EXPECT_EQ(-EINVAL, vfio_region_info(&self->d, index, &none));
}

TEST_F(alias, too_many)
{
	struct vfio_device_info info;
	int i;

	for (i = 0; i < MAX_ALIASES; i++)
		ASSERT_EQ(VFIO_PCI_NUM_REGIONS + i,
			  vfio_alias(&self->d, BAR, (i % 3) * 2 * PAGE,
				     (i / 16 + 1) * PAGE));
	EXPECT_EQ(-ENOSPC, vfio_alias(&self->d, BAR, 0, PAGE));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	EXPECT_EQ(VFIO_PCI_NUM_REGIONS + MAX_ALIASES, info.num_regions);
}

/* Map the alias @index of a device, all of it. */
static int map_alias(const struct vfio_dev *d, int index, uint8_t **map)
{
	void *p = NULL;
	int ret;

	ret = vfio_region_mmap(d, index, 0, vfio_region_size(d, index), &p);
	*map = p;
	return ret;
}

TEST_F(alias, mmap_errors)
{
	int index = vfio_alias(&self->d, BAR, 4 * PAGE, 4 * PAGE);
	struct vfio_region_info info;
	void *p;

	ASSERT_EQ(0, vfio_region_info(&self->d, index, &info));
#define MAP(len, flags, off) vfio_mmap(self->d.device, len, PROT_READ,	\
				       flags, off, &p)
	EXPECT_EQ(-EINVAL, MAP(PAGE, MAP_PRIVATE, info.offset));
	EXPECT_EQ(-EINVAL, MAP(5 * PAGE, MAP_SHARED, info.offset));
	EXPECT_EQ(-EINVAL, MAP(PAGE, MAP_SHARED, info.offset - PAGE));
	EXPECT_EQ(-EINVAL, MAP(2 * PAGE, MAP_SHARED, info.offset - PAGE));
	EXPECT_EQ(-EINVAL, MAP(PAGE, MAP_SHARED, info.offset + 4 * PAGE));
	EXPECT_EQ(-EINVAL, MAP(2 * PAGE, MAP_SHARED, info.offset + 3 * PAGE));
	EXPECT_EQ(-EINVAL, MAP(PAGE, MAP_SHARED, (uint64_t)index << 40));
	EXPECT_EQ(-EINVAL, MAP(PAGE, MAP_SHARED, (uint64_t)(index + 1) << 40));
	EXPECT_EQ(0, MAP(PAGE, MAP_SHARED, info.offset + 3 * PAGE));
}

TEST_F(alias, read_and_write)
{
	int index = vfio_alias(&self->d, BAR, 4 * PAGE, 4 * PAGE);
	uint64_t value = 0x1122334455667788, seen = 0;
	struct vfio_region_info info;
	const size_t len = 8 * PAGE;
	char *big = malloc(len);

	ASSERT_NE(NULL, big);
	ASSERT_EQ(0, vfio_region_info(&self->d, index, &info));
	ASSERT_EQ(8, vfio_region_write(&self->d, index, 0x10, &value, 8));
	EXPECT_EQ(value, *(volatile uint64_t *)(self->plain + 4 * PAGE + 0x10));
	value = ~value;
	*(volatile uint64_t *)(self->plain + 4 * PAGE + 0x20) = value;
	ASSERT_EQ(8, vfio_region_read(&self->d, index, 0x20, &seen, 8));
	EXPECT_EQ(value, seen);
	/* The BAR, from one memory type to another and back. */
	memset(self->plain, 0x11, 8 * PAGE);
	memset(big, 0, len);
	memset(self->plain + 4 * PAGE, 0x22, PAGE);
	ASSERT_EQ(len, vfio_region_read(&self->d, BAR, 0, big, len));
	EXPECT_EQ(0, memcmp(big, self->plain, len));
	memset(big, 0x33, len);
	ASSERT_EQ(len, vfio_region_write(&self->d, BAR, 2 * PAGE, big, len));
	EXPECT_EQ(0, memcmp(big, self->plain + 2 * PAGE, len));

	/* It is as long as it is. */
	EXPECT_EQ(4 * PAGE, vfio_pread(self->d.device, big, len, info.offset));
	EXPECT_EQ(8, vfio_pread(self->d.device, big, len,
				info.offset + 4 * PAGE - 8));
	EXPECT_EQ(-EINVAL, vfio_pread(self->d.device, big, 8,
				      info.offset + 4 * PAGE));
	EXPECT_EQ(-EINVAL, vfio_pread(self->d.device, big, 8,
				      info.offset - 8));
	EXPECT_EQ(-EINVAL, vfio_pwrite(self->d.device, big, 8,
				       info.offset - 8));
	EXPECT_EQ(-EINVAL, vfio_pwrite(self->d.device, big, 8,
				       info.offset + 4 * PAGE));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_EQ(-EIO, vfio_pread(self->d.device, big, 8, info.offset));
	EXPECT_EQ(-EIO, vfio_pwrite(self->d.device, big, 8, info.offset));
	free(big);
}

/* Types before, while and after there is an alias in the midst of huge pages. */
TEST_F(alias, types)
{
	const uint64_t start = PMD + 3 * PAGE, end = 3 * PMD + 5 * PAGE;
	const uint64_t pages[] = {
		0, PMD - PAGE, PMD, start - PAGE, start, start + PAGE,
		2 * PMD, 3 * PMD - PAGE, 3 * PMD, end - PAGE, end, 4 * PMD,
		self->bar.size - PAGE,
	};
	uint8_t *map, *at;
	uint64_t phys;
	int i, index;
	bool inside;

	for (i = 0; i < 13; i++) {
		self->plain[pages[i]] = i + 1;
		EXPECT_TRUE(IS_UNCACHED(self->plain + pages[i]));
	}
	index = vfio_alias(&self->d, BAR, start, end - start);
	ASSERT_LE(0, index);
	/* What was there is gone, so that nothing has an old type. */
	EXPECT_STREQ("none", vfio_memtype(self->plain, NULL));
	EXPECT_STREQ("none", vfio_memtype(self->plain + start, NULL));
	ASSERT_EQ(0, map_alias(&self->d, index, &map));

	for (i = 0; i < 13; i++) {
		inside = pages[i] >= start && pages[i] < end;
		EXPECT_EQ(i + 1, self->plain[pages[i]]);
		EXPECT_TRUE(inside && one_type() ?
			    IS_COMBINED(self->plain + pages[i]) :
			    IS_UNCACHED(self->plain + pages[i]));
		vfio_memtype(self->plain + pages[i], &phys);
		EXPECT_EQ(self->phys + pages[i], phys);
		if (!inside)
			continue;
		at = map + pages[i] - start;
		EXPECT_EQ(i + 1, *at);
		EXPECT_TRUE(IS_COMBINED(at));
		vfio_memtype(at, &phys);
		EXPECT_EQ(self->phys + pages[i], phys);
	}

	/* x86's list says the same, and of these pages only. */
	i = vfio_pat_count(self->phys + start, end - start, "write-combining");
	if (i == -ENOENT)
		return;
	EXPECT_LE(1, i);
	EXPECT_EQ(0, vfio_pat_count(self->phys + start, end - start,
				    "uncached-minus"));
	EXPECT_EQ(0, vfio_pat_count(self->phys, start, "write-combining"));
	EXPECT_EQ(0, vfio_pat_count(self->phys + end, self->bar.size - end,
				    "write-combining"));
	EXPECT_LE(1, vfio_pat_count(self->phys, start, "uncached-minus"));

	/* One that overlaps it and one inside it change what they add. */
	ASSERT_LE(0, vfio_alias(&self->d, BAR, end - PAGE, 3 * PAGE));
	ASSERT_LE(0, vfio_alias(&self->d, BAR, start + PAGE, PAGE));
	EXPECT_EQ(0, vfio_pat_count(self->phys + start, end + 2 * PAGE - start,
				    "uncached-minus"));
	EXPECT_EQ(0, vfio_pat_count(self->phys + end + 2 * PAGE,
				    self->bar.size - end - 2 * PAGE,
				    "write-combining"));
	vfio_try_touch(self->plain + end, 2 * PAGE + 1, PAGE);
	EXPECT_TRUE(!one_type() || IS_COMBINED(self->plain + end + PAGE));
	EXPECT_TRUE(IS_UNCACHED(self->plain + end + 2 * PAGE));
}

TEST_F(alias, memory_off_and_on)
{
	int i, index = vfio_alias(&self->d, BAR, PAGE, PMD);
	uint8_t byte, *map, *late;

	ASSERT_EQ(0, map_alias(&self->d, index, &map));
	for (i = 1; i < 4; i++) {
		map[PAGE] = i;
		EXPECT_EQ(i, self->plain[2 * PAGE]);
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
		EXPECT_STREQ("none", vfio_memtype(map + PAGE, NULL));
		EXPECT_EQ(SIGBUS, vfio_try_load8(map + PAGE, &byte));
		EXPECT_EQ(SIGBUS, vfio_try_store8(map + PAGE, 9));
		ASSERT_EQ(0, map_alias(&self->d, index, &late));
		EXPECT_EQ(SIGBUS, vfio_try_load8(late, &byte));
		/* An alias may be made when there is no memory. */
		EXPECT_EQ(index + i, vfio_alias(&self->d, BAR, i * MIB, PAGE));
		EXPECT_EQ(SIGBUS, vfio_try_load8(map + PAGE, &byte));
		ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
		EXPECT_EQ(0, vfio_try_load8(map + PAGE, &byte));
		EXPECT_EQ(i, byte);
		EXPECT_EQ(0, vfio_try_load8(late + PAGE, &byte));
		EXPECT_EQ(i, byte);
		EXPECT_TRUE(IS_COMBINED(late + PAGE));
	}
}

/* Entries are as large as they can be, at addresses that the kernel chooses. */
TEST_F(alias, huge)
{
	const struct {
		uint64_t offset, size, faults;
	} shapes[] = {
		{ 0, 4 * PMD, 4 },
		{ PMD, 2 * PMD, 2 },
		/* Its first megabyte, two huge pages, its last. */
		{ PMD / 2, 3 * PMD, 4 },
	};
	uint64_t faults;
	char *text, *rest, *line;
	struct vfio_trace t;
	uint8_t *map;
	int i, index;

	if (vfio_trace_start(&t))
		SKIP(return, "no tracing of vfio_pci here");
	for (i = 0; i < 3; i++) {
		index = vfio_alias(&self->d, BAR, shapes[i].offset,
				   shapes[i].size);
		ASSERT_EQ(0, map_alias(&self->d, index, &map));
		EXPECT_EQ(shapes[i].offset % PMD, (uintptr_t)map % PMD);
		vfio_trace_clear(&t);
		ASSERT_EQ(0, vfio_trace_enable(&t, true));
		EXPECT_EQ(0, vfio_try_touch(map, shapes[i].size, PAGE));
		ASSERT_EQ(0, vfio_trace_enable(&t, false));
		text = vfio_trace_read(&t);
		for (rest = text, faults = 0;
		     (line = vfio_trace_next(&rest, "vfio_pci_fault:"));)
			faults += vfio_trace_field(line, "pages") > 0;
		free(text);
		EXPECT_EQ(shapes[i].faults, faults);
		EXPECT_TRUE(IS_COMBINED(map));
		EXPECT_TRUE(IS_COMBINED(map + shapes[i].size - PAGE));
	}
	vfio_trace_stop(&t);
}

TEST_F(alias, inherited)
{
	int index = vfio_alias(&self->d, BAR, 0, PMD), status;
	uint8_t *map, byte;
	pid_t pid;

	ASSERT_EQ(0, map_alias(&self->d, index, &map));
	map[0] = 0x77;
	pid = fork();
	if (!pid)
		_exit(vfio_try_load8(map, &byte) || byte != 0x77 ||
		      !IS_COMBINED(map));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* While types change under them, readers see the memory and nothing else. */
TEST_F_TIMEOUT(alias, made_among_readers, 120)
{
	struct vfio_readers params = {
		.d = &self->d, .bar = BAR, .off = 0x1000, .woff = 0x5000,
		.wvalue = 0x1234567, .value = 0x5aa51234,
	};
	struct vfio_readers *readers;
	int i;

	*(volatile uint32_t *)(self->plain + params.off) = params.value;
	readers = vfio_readers_start(&params);
	ASSERT_NE(NULL, readers);
	for (i = 0; i < MAX_ALIASES / 4; i++) {
		ASSERT_LE(0, vfio_alias(&self->d, BAR, (i % 2) * 4 * PAGE,
					(i + 1) * PAGE));
		if (!(i % 8)) {
			ASSERT_EQ(0, vfio_readers_see(readers, ~0u, true));
			ASSERT_EQ(0, vfio_readers_ioeventfd_works(readers));
		}
	}
	EXPECT_EQ(0, vfio_readers_see(readers, ~0u, true));
	EXPECT_EQ(0, vfio_readers_stop(readers));
}

/* Allocations on the way fail, some of many: no alias then, and no loss. */
TEST_F(alias, without_memory)
{
	int i, index, fail = vfio_fail_open(), refused = 0, made = 0;
	uint32_t value = 0x5aa51234, seen;
	bool happened = true;

	if (fail < 0)
		SKIP(return, "the kernel has no fault injection");
	if (variant->mode)
		SKIP(return, "the same in each mode, and slow");
	ASSERT_EQ(4, vfio_region_write(&self->d, BAR, PMD, &value, 4));
	for (i = 1; happened && made < MAX_ALIASES; i += 1 + i / 4) {
		vfio_fail_arm(fail, i);
		index = vfio_alias(&self->d, BAR, 0, PMD + PAGE);
		happened = vfio_fail_happened(fail);
		if (index < 0) {
			ASSERT_TRUE(happened);
			ASSERT_TRUE(index == -ENOMEM || index == -EFAULT);
			refused++;
		} else {
			ASSERT_EQ(VFIO_PCI_NUM_REGIONS + made, index);
			made++;
		}
		ASSERT_EQ(4, vfio_region_read(&self->d, BAR, PMD, &seen, 4));
		EXPECT_EQ(value, seen);
		ASSERT_EQ(0, vfio_try_load32(self->plain + PMD, &seen));
		EXPECT_EQ(value, seen);
	}
	EXPECT_FALSE(happened);
	EXPECT_LT(1, refused);
	close(fail);
}

/* What an alias is not for. */
TEST_F(alias, other_uses)
{
	int index = vfio_alias(&self->d, BAR, PMD, PMD);
	struct vfio_device_ioeventfd io = {
		.argsz = sizeof(io),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
	};
	struct vfio_region_info info;
	int fd;

	ASSERT_LE(0, index);
	ASSERT_EQ(0, vfio_region_info(&self->d, index, &info));
	io.fd = vfio_eventfd();
	io.offset = info.offset;
	EXPECT_EQ(-EINVAL, vfio_ioctl(self->d.device, VFIO_DEVICE_IOEVENTFD,
				      &io));
	io.offset = self->bar.offset + PMD;
	EXPECT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_IOEVENTFD, &io));
	close(io.fd);

	/* DMA knows no memory types: the BAR can be exported, no alias. */
	fd = vfio_dmabuf_export(&self->d, BAR, PMD, PMD);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-ENODEV, vfio_dmabuf_export(&self->d, index, 0, PAGE));
}

static int ioeventfd(const SELF *self, uint32_t width, uint64_t pos, int fd)
{
	struct vfio_device_ioeventfd io = {
		.argsz = sizeof(io),
		/* The width's flag is its size in bytes. */
		.flags = width,
		.offset = self->bar.offset + pos,
		.data = 0x8877665544332211,
		.fd = fd,
	};

	return vfio_ioctl(self->d.device, VFIO_DEVICE_IOEVENTFD, &io);
}

/*
 * An ioeventfd writes to one memory type, whichever was there first. Behind the
 * end of an alias the kernel may have something else mapped.
 */
TEST_F(alias, ioeventfd_at_its_edge)
{
	int fd = vfio_eventfd();
	uint64_t value;

	EXPECT_EQ(-EINVAL, ioeventfd(self, 8, PAGE - 4, fd));
	EXPECT_EQ(-EINVAL, ioeventfd(self, 4, PAGE - 2, fd));
	ASSERT_EQ(0, ioeventfd(self, 8, PAGE - 8, fd));
	ASSERT_LE(0, vfio_alias(&self->d, BAR, 0, PAGE));
	EXPECT_EQ(-EINVAL, ioeventfd(self, 8, PAGE - 4, fd));
	EXPECT_EQ(-EINVAL, ioeventfd(self, 4, PAGE - 2, fd));
	EXPECT_EQ(-EINVAL, ioeventfd(self, 2, PAGE - 1, fd));
	EXPECT_EQ(-EINVAL, ioeventfd(self, 8, PMD - 1, fd));
	ASSERT_EQ(0, ioeventfd(self, 4, PAGE, fd));

	memset(self->plain + PAGE - 16, 0, 32);
	ASSERT_EQ(0, vfio_eventfd_signal(fd));
	usleep(50000);
	value = *(volatile uint64_t *)(self->plain + PAGE - 16);
	EXPECT_EQ(0, value);
	value = *(volatile uint64_t *)(self->plain + PAGE - 8);
	EXPECT_EQ(0x8877665544332211, value);
	value = *(volatile uint64_t *)(self->plain + PAGE);
	EXPECT_EQ(0x44332211, value);
	close(fd);
}

/* Another device's DMA to a BAR that was mapped by way of an alias. */
TEST(peer_dma)
{
	const uint64_t ram_iova = 0x100000, bar_iova = 0x4000000;
	volatile uint64_t *ram = vfio_alloc_pages(PAGE);
	struct vfio_dev edu, d;
	uint8_t *map;
	int i, index;

	VFIO_DEV_OPEN_OR_SKIP(&edu, VFIO_EDU, VFIO_TYPE1v2_IOMMU);
	i = vfio_dev_open_with(&d, VFIO_IVSHMEM, &edu);
	if (i == -ENXIO)
		SKIP(return, "no ivshmem here");
	ASSERT_EQ(0, i);
	ASSERT_EQ(0, vfio_cfg_command(&edu, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER, 0));
	ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	index = vfio_alias(&d, BAR, 5 * PAGE, PMD);
	ASSERT_EQ(0, map_alias(&d, index, &map));
	ASSERT_EQ(0, vfio_dma_map(edu.container, (void *)ram, ram_iova, PAGE));
	ASSERT_EQ(0, vfio_dma_map(edu.container, map, bar_iova, PMD));

	for (i = 1; i < 4; i++) {
		ram[0] = 0xfeedfacecafe * i;
		ASSERT_EQ(0, edu_copy(&edu, ram_iova, bar_iova + PMD - 64));
		EXPECT_EQ(ram[0], *(volatile uint64_t *)(map + PMD - 64));
		/* More aliases do not disturb it; the gate does. */
		EXPECT_LE(0, vfio_alias(&d, BAR, 0, i * PAGE));
		ASSERT_EQ(0, vfio_cfg_memory(&d, false));
		ram[0] = 0;
		edu_copy(&edu, bar_iova + PMD - 64, ram_iova);
		EXPECT_NE(0xfeedfacecafe * i, ram[0]);
		ASSERT_EQ(0, vfio_cfg_memory(&d, true));
	}
	vfio_dev_close(&d);
	vfio_dev_close(&edu);
}

/* BARs of which there can be no alias, or not of all. */
TEST(not_prefetchable)
{
	static const char *const ids[] = { VFIO_EDU, VFIO_NVME, VFIO_E1000E };
	struct vfio_dev d;
	int i;

	for (i = 0; i < 3; i++) {
		if (vfio_dev_open(&d, ids[i], VFIO_TYPE1v2_IOMMU))
			continue;
		EXPECT_EQ(-EOPNOTSUPP, vfio_alias(&d, 0, 0, PAGE));
		EXPECT_LE(0, vfio_region_read(&d, 0, 0, &i, 0));
		vfio_dev_close(&d);
	}
}

/* A controller that is made to say that its vectors are in a prefetchable BAR. */
FIXTURE(msix)
{
	char bdf[VFIO_BDF_LEN];
	char knob[256];
	struct vfio_dev d;
};

#define MSIX_BAR	VFIO_PCI_BAR4_REGION_INDEX

FIXTURE_SETUP(msix)
{
	char set[64];
	int cap;

	VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_VIRTIO_NET, VFIO_TYPE1v2_IOMMU);
	memcpy(self->bdf, self->d.bdf, sizeof(self->bdf));
	cap = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSIX);
	vfio_dev_close(&self->d);
	ASSERT_LT(0, cap);
	snprintf(set, sizeof(set), "set=%s+%x=%lx", self->bdf,
		 cap + PCI_MSIX_TABLE, MSIX_BAR + PAGE);
	if (vfio_overlay_load(set, self->bdf) || vfio_memtype_load())
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->bdf, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, vfio_dev_attr(self->bdf, "write_combine", self->knob, sizeof(self->knob)));
}

FIXTURE_TEARDOWN(msix)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_overlay_unload(self->bdf));
}

TEST_F(msix, alias)
{
	ASSERT_EQ(4 * PAGE, vfio_region_size(&self->d, MSIX_BAR));
	EXPECT_EQ(-EOPNOTSUPP, vfio_alias(&self->d, MSIX_BAR, 0, 4 * PAGE));
	EXPECT_EQ(-EOPNOTSUPP, vfio_alias(&self->d, MSIX_BAR, 0, 2 * PAGE));
	EXPECT_EQ(-EOPNOTSUPP, vfio_alias(&self->d, MSIX_BAR, PAGE, PAGE));
	EXPECT_EQ(-EOPNOTSUPP, vfio_alias(&self->d, MSIX_BAR, PAGE, 3 * PAGE));
	EXPECT_LE(0, vfio_alias(&self->d, MSIX_BAR, 0, PAGE));
	EXPECT_LE(0, vfio_alias(&self->d, MSIX_BAR, 2 * PAGE, 2 * PAGE));
}

TEST_F(msix, attribute)
{
	uint8_t byte;
	void *p;

	vfio_dev_close(&self->d);
	ASSERT_EQ(0, vfio_sysfs_write(self->knob, "1"));
	ASSERT_EQ(0, vfio_dev_open(&self->d, self->bdf, VFIO_TYPE1v2_IOMMU));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	ASSERT_EQ(0, vfio_region_mmap(&self->d, MSIX_BAR, 0, 4 * PAGE, &p));
	ASSERT_EQ(0, vfio_try_load8(p, &byte));
	EXPECT_TRUE(IS_UNCACHED(p));
	munmap(p, 4 * PAGE);
}

/* The administrator's attribute. */
FIXTURE(attribute)
{
	struct vfio_dev d;
	char knob[256];
};

FIXTURE_VARIANT(attribute)
{
	const char *id;
	int bar;		/* prefetchable, or -1 */
};

FIXTURE_VARIANT_ADD(attribute, ivshmem) { VFIO_IVSHMEM, 2 };
FIXTURE_VARIANT_ADD(attribute, virtio_net) { VFIO_VIRTIO_NET, 4 };
FIXTURE_VARIANT_ADD(attribute, edu) { VFIO_EDU, -1 };

FIXTURE_SETUP(attribute)
{
	char bdf[VFIO_BDF_LEN];

	VFIO_PCI_BIND_OR_SKIP(variant->id, bdf);
	if (vfio_memtype_load())
		SKIP(_exit(KSFT_SKIP), "no test_vfio_memtype");
	ASSERT_EQ(0, vfio_dev_attr(bdf, "write_combine", self->knob, sizeof(self->knob)));
	vfio_dev_init(&self->d);
}

FIXTURE_TEARDOWN(attribute)
{
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_sysfs_write(self->knob, "0"));
}

static bool knob_is(const char *knob, const char *want)
{
	char text[16] = "";

	vfio_sysfs_read(knob, text, sizeof(text));
	text[strcspn(text, "\n")] = 0;
	return !strcmp(text, want);
}

TEST_F(attribute, values)
{
	EXPECT_TRUE(knob_is(self->knob, "0"));
	EXPECT_EQ(-EINVAL, vfio_sysfs_write(self->knob, "2"));
	EXPECT_EQ(-EINVAL, vfio_sysfs_write(self->knob, "wc"));
	EXPECT_EQ(0, vfio_sysfs_write(self->knob, "0"));
	EXPECT_EQ(variant->bar < 0 ? -EOPNOTSUPP : 0,
		  vfio_sysfs_write(self->knob, "1"));
	EXPECT_TRUE(knob_is(self->knob, variant->bar < 0 ? "0" : "1"));
}

/* Open the device and touch its BAR at both ends. */
static int look_at(struct vfio_dev *d, const char *id, int bar, uint8_t **map)
{
	void *p;
	int ret;

	ret = vfio_dev_open(d, id, VFIO_TYPE1v2_IOMMU) ?:
	      vfio_cfg_memory(d, true) ?:
	      vfio_region_mmap(d, bar, 0, vfio_region_size(d, bar), &p);
	*map = p;
	return ret ?: vfio_try_touch(p, vfio_region_size(d, bar), PAGE);
}

TEST_F(attribute, mapping)
{
	uint64_t phys, size, value = 0x1122334455667788, seen = 0;
	struct vfio_device_info info;
	uint8_t *map, *alias;
	int index;

	if (variant->bar < 0)
		SKIP(return, "no BAR is prefetchable");
	ASSERT_EQ(0, look_at(&self->d, variant->id, variant->bar, &map));
	phys = vfio_pci_bar_phys(self->d.bdf, variant->bar);
	size = vfio_region_size(&self->d, variant->bar);
	EXPECT_TRUE(IS_UNCACHED(map));
	/* Who has the device open already does not notice. */
	ASSERT_EQ(0, vfio_sysfs_write(self->knob, "1"));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, vfio_try_touch(map, size, PAGE));
	EXPECT_TRUE(IS_UNCACHED(map));
	munmap(map, size);
	vfio_dev_close(&self->d);

	ASSERT_EQ(0, look_at(&self->d, variant->id, variant->bar, &map));
	EXPECT_TRUE(IS_COMBINED(map));
	EXPECT_TRUE(IS_COMBINED(map + size - PAGE));
	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	EXPECT_EQ(VFIO_PCI_NUM_REGIONS, info.num_regions);
	index = vfio_pat_count(phys, size, "write-combining");
	if (index != -ENOENT) {
		EXPECT_LE(1, index);
		EXPECT_EQ(0, vfio_pat_count(phys, size, "uncached-minus"));
	}
	if (!strcmp(variant->id, VFIO_IVSHMEM)) {
		ASSERT_EQ(8, vfio_region_write(&self->d, variant->bar, 0x108,
					       &value, 8));
		EXPECT_EQ(value, *(volatile uint64_t *)(map + 0x108));
		ASSERT_EQ(8, vfio_region_read(&self->d, variant->bar, 0x108,
					      &seen, 8));
		EXPECT_EQ(value, seen);
	}
	/* An alias is more of the same. */
	index = vfio_alias(&self->d, variant->bar, 0, PAGE);
	ASSERT_LE(0, index);
	ASSERT_EQ(0, map_alias(&self->d, index, &alias));
	EXPECT_EQ(0, vfio_try_touch(alias, PAGE, PAGE));
	EXPECT_EQ(0, vfio_try_touch(map, size, PAGE));
	EXPECT_TRUE(IS_COMBINED(alias));
	EXPECT_TRUE(IS_COMBINED(map + PAGE));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_EQ(SIGBUS, vfio_try_touch(map, PAGE, PAGE));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	munmap(alias, PAGE);
	munmap(map, size);
	vfio_dev_close(&self->d);
	EXPECT_GE(0, vfio_pat_count(phys, size, "write-combining"));

	ASSERT_EQ(0, vfio_sysfs_write(self->knob, "0"));
	ASSERT_EQ(0, look_at(&self->d, variant->id, variant->bar, &map));
	EXPECT_TRUE(IS_UNCACHED(map));
	munmap(map, size);
}

/* As a parameter of vfio-pci it is what the attributes start with. */
TEST(parameter)
{
	const char *const load[] = { "modprobe", "vfio-pci", "write_combine=1",
				     NULL };
	char bdf[VFIO_BDF_LEN], knob[256];
	struct vfio_dev d;
	uint8_t *map;

	VFIO_PCI_BIND_OR_SKIP(VFIO_IVSHMEM, bdf);
	if (vfio_memtype_load())
		SKIP(return, "no test_vfio_memtype");
	if (vfio_module_remove("vfio_pci"))
		SKIP(return, "vfio-pci is in use");
	ASSERT_EQ(0, vfio_run(load));
	ASSERT_EQ(0, vfio_pci_bind_group(bdf));
	ASSERT_EQ(0, vfio_dev_attr(bdf, "write_combine", knob, sizeof(knob)));
	EXPECT_TRUE(knob_is(knob, "1"));
	ASSERT_EQ(0, look_at(&d, VFIO_IVSHMEM, BAR, &map));
	EXPECT_TRUE(IS_COMBINED(map));
	munmap(map, vfio_region_size(&d, BAR));
	vfio_dev_close(&d);

	EXPECT_EQ(0, vfio_module_remove("vfio_pci"));
	EXPECT_EQ(0, vfio_modprobe("vfio-pci"));
	ASSERT_EQ(0, vfio_pci_bind_group(bdf));
	ASSERT_EQ(0, vfio_dev_attr(bdf, "write_combine", knob, sizeof(knob)));
	EXPECT_TRUE(knob_is(knob, "0"));
}

TEST_HARNESS_MAIN
