// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices whose capabilities lie: about how long they are, where the next one is,
 * whether there is one. What the user writes must not reach a register that
 * belongs to a capability and is not his, whoever else claims its bytes.
 *
 * test_pci_overlay.ko gives an NVMe controller memory in place of what is behind
 * the header. Every byte of it can be written, so what a write reached is seen.
 * The controller is found with the capabilities that HOST holds, which the host
 * therefore uses; what is behind them changes from one open to the next.
 *
 * "chance" makes up capabilities until its time is over. VFIO_TEST_SEED=N
 * repeats what a failure printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_pci_overlay.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define SIZE		PCI_CFG_SPACE_EXP_SIZE
#define STD_SIZE	PCI_CFG_SPACE_SIZE
#define CFG_OFFSET	((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40)

/* PCI Express and power management, and where the rest begins. */
#define HOST		0x40
#define HOST_PM		0x74
#define FREE		0x7c

#define CHANCE_MS	15000
/* What the log may say in that time. */
#define LINES		60

/* The ids of capabilities that 6.12's headers do not name. */
#define EXT_VF_REBAR	0x24
#define EXT_UNKNOWN	0x3ff

/* A capability none of whose first bytes, but for some, are the user's. */
struct kind {
	unsigned int id;
	bool ext;
	unsigned int from, to;		/* protected, besides its header */
};

static const struct kind kinds[] = {
	{ PCI_CAP_ID_PM, false, 0, 4 },
	{ PCI_CAP_ID_AGP, false, 0, 12 },
	{ PCI_CAP_ID_VPD, false, 0, 8 },
	{ PCI_CAP_ID_SLOTID, false, 0, 4 },
	{ PCI_CAP_ID_MSI, false, 4, 8 },
	{ PCI_CAP_ID_HT, false, 0, 24 },
	{ PCI_CAP_ID_VNDR, false, 0, 2 },
	{ PCI_CAP_ID_SSVID, false, 0, 8 },
	{ PCI_CAP_ID_EXP, false, 0, 8 },
	{ PCI_CAP_ID_MSIX, false, 0, 12 },
	{ PCI_CAP_ID_SATA, false, 0, 8 },
	{ PCI_CAP_ID_AF, false, 0, 4 },
	{ PCI_EXT_CAP_ID_ERR, true, 0x1c, 0x2c },
	{ PCI_EXT_CAP_ID_VC, true, 0, 28 },
	{ PCI_EXT_CAP_ID_DSN, true, 0, 12 },
	{ PCI_EXT_CAP_ID_PWR, true, 8, 16 },
	{ PCI_EXT_CAP_ID_VNDR, true, 0, 4 },
	{ PCI_EXT_CAP_ID_ACS, true, 0, 8 },
	{ PCI_EXT_CAP_ID_ARI, true, 0, 8 },
	{ PCI_EXT_CAP_ID_ATS, true, 0, 8 },
	{ PCI_EXT_CAP_ID_SRIOV, true, 0, 64 },
	{ PCI_EXT_CAP_ID_PRI, true, 0, 16 },
	{ PCI_EXT_CAP_ID_DPA, true, 0, 16 },
	{ PCI_EXT_CAP_ID_TPH, true, 0, 12 },
	{ PCI_EXT_CAP_ID_LTR, true, 0, 8 },
	{ PCI_EXT_CAP_ID_PASID, true, 0, 8 },
	{ PCI_EXT_CAP_ID_L1SS, true, 0, 16 },
	{ PCI_EXT_CAP_ID_PTM, true, 0, 12 },
	{ PCI_EXT_CAP_ID_DVSEC, true, 0, 4 },
	{ EXT_VF_REBAR, true, 0, 4 },
	{ PCI_EXT_CAP_ID_DOE, true, 0, 24 },
	{ EXT_UNKNOWN, true, 0, 4 },
};

struct space {
	uint8_t image[SIZE];
	uint8_t after[SIZE];
	bool is_protected[SIZE];
};

static uint32_t get(const uint8_t *image, unsigned int pos)
{
	uint32_t value;

	memcpy(&value, image + pos, sizeof(value));
	return value;
}

static void put(struct space *s, unsigned int pos, uint32_t value)
{
	memcpy(s->image + pos, &value, sizeof(value));
}

/* Capabilities at @pos that lead to @next. */
static void put_cap(struct space *s, unsigned int pos, uint8_t id, uint8_t next,
		    uint16_t flags)
{
	put(s, pos, id | next << 8 | flags << 16);
}

static void put_ext(struct space *s, unsigned int pos, uint16_t id,
		    unsigned int next)
{
	put(s, pos, id | 1 << 16 | next << 20);
}

/* What the controller is found with. */
static void put_host(struct space *s, uint8_t next)
{
	memset(s->image + HOST, 0, FREE - HOST);
	put_cap(s, HOST, PCI_CAP_ID_EXP, HOST_PM, 2);
	put_cap(s, HOST_PM, PCI_CAP_ID_PM, next, 3);
}

static void protect(struct space *s, unsigned int from, unsigned int to)
{
	for (; from < to && from < SIZE; from++)
		s->is_protected[from] = from >= FREE;
}

static void protect_cap(struct space *s, unsigned int id, bool ext,
			unsigned int pos)
{
	unsigned int end = ext ? SIZE : STD_SIZE, to = 0, i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].id == id && kinds[i].ext == ext)
			break;
	protect(s, pos, pos + (ext ? 4 : 2));
	if (i == ARRAY_SIZE(kinds))
		return;
	to = pos + kinds[i].to;
	protect(s, pos + kinds[i].from, to < end ? to : end);
}

/* Follow a chain as the PCI core does. Where it breaks is something unknown. */
static void protect_chain(struct space *s, bool ext)
{
	unsigned int begin = ext ? STD_SIZE : HOST;
	bool seen[SIZE] = {};
	unsigned int pos = begin;
	uint32_t header;

	while (pos >= begin && !seen[pos]) {
		seen[pos] = true;
		header = get(s->image, pos);
		if (header == 0xffffffff)
			protect(s, pos, pos + 4);
		if (header == 0xffffffff || (ext && !header))
			return;
		protect_cap(s, ext ? header & 0xffff : header & 0xff, ext, pos);
		pos = ext ? header >> 20 & 0xffc : header >> 8 & 0xfc;
	}
}

FIXTURE(lies)
{
	char bdf[VFIO_BDF_LEN];
	struct vfio_dev d;
	struct space *s;
	int log;
};

FIXTURE_SETUP(lies)
{
	char set[128];

	if (vfio_pci_resolve(VFIO_NVME, self->bdf))
		SKIP(_exit(KSFT_SKIP), "no NVMe controller");
	self->s = calloc(1, sizeof(*self->s));
	ASSERT_NE(NULL, self->s);

	snprintf(set, sizeof(set), "set=%s+%x=%x,%s+%x=space", self->bdf,
		 PCI_CAPABILITY_LIST, HOST, self->bdf, HOST);
	if (vfio_overlay_load(set, NULL))
		SKIP(_exit(KSFT_SKIP), "no test_pci_overlay");
	put_host(self->s, 0);
	ASSERT_EQ(0, vfio_overlay_ram(self->s->image, SIZE));
	vfio_pci_attr_write(self->bdf, "remove", "1");
	ASSERT_EQ(0, vfio_pci_rescan());
	/* Its bus would take a second. */
	vfio_pci_attr_write(self->bdf, "reset_method", "pm");
	self->log = vfio_klog_open();
	ASSERT_LE(0, self->log);
}

FIXTURE_TEARDOWN(lies)
{
	EXPECT_EQ(0, vfio_klog_splats(self->log));
	EXPECT_EQ(0, vfio_overlay_unload(self->bdf));
	close(self->log);
	free(self->s);
}

/* How long the user's chain is; no chain is as long as what is returned else. */
static unsigned int user_chain(const struct vfio_dev *d, bool ext)
{
	unsigned int pos = ext ? STD_SIZE : vfio_cfg_read8(d, 0x34) & 0xfc, n;
	uint32_t header;

	for (n = 0; n < SIZE && pos >= (ext ? STD_SIZE : HOST); n++) {
		header = vfio_cfg_read32(d, pos);
		pos = ext ? header >> 20 & 0xffc : header >> 8 & 0xfc;
	}
	return n;
}

static void write_all(const struct vfio_dev *d, unsigned int *seed)
{
	unsigned int pos, len;
	uint8_t data[16];

	for (pos = FREE; pos < SIZE; pos += len) {
		len = 1 + rand_r(seed) % sizeof(data);
		if (len > SIZE - pos)
			len = SIZE - pos;
		for (unsigned int i = 0; i < len; i++)
			data[i] = rand_r(seed);
		vfio_pwrite(d->device, data, len, CFG_OFFSET + pos);
	}
}

static void write_dwords(const struct vfio_dev *d, uint32_t flip)
{
	unsigned int pos;

	for (pos = FREE; pos < SIZE; pos += 4)
		vfio_cfg_write32(d, pos, vfio_cfg_read32(d, pos) ^ flip);
}

/* Where the first protected byte is that is not what it was, or 0. */
static int try_lie(const char *bdf, struct space *s, unsigned int *seed)
{
	struct vfio_dev d;
	unsigned int pos;
	int ret;

	memset(s->is_protected, 0, sizeof(s->is_protected));
	protect_chain(s, false);
	protect_chain(s, true);
	if (vfio_overlay_ram(s->image, SIZE))
		return -EIO;
	ret = vfio_dev_open(&d, bdf, VFIO_TYPE1v2_IOMMU);
	if (ret)
		return ret;
	if (user_chain(&d, false) > STD_SIZE / 4 || user_chain(&d, true) == SIZE)
		ret = -ELOOP;
	write_dwords(&d, 0xffffffff);
	write_all(&d, seed);
	write_dwords(&d, 0x5a5a5a5a);
	if (vfio_overlay_ram_read(s->after, SIZE))
		ret = -EIO;
	vfio_dev_close(&d);

	for (pos = FREE; !ret && pos < SIZE; pos++)
		if (s->is_protected[pos] && s->image[pos] != s->after[pos])
			ret = pos;
	return ret;
}

static bool changed(const struct space *s, unsigned int pos)
{
	return s->image[pos] != s->after[pos];
}

TEST_F(lies, vendor_reaches_over_msix)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0x80);
	put_cap(s, 0x80, PCI_CAP_ID_VNDR, 0xa0, 0x60);
	put_cap(s, 0xa0, PCI_CAP_ID_MSIX, 0, 1);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
	EXPECT_TRUE(changed(s, 0x83));
	EXPECT_TRUE(changed(s, 0x9f));
	EXPECT_FALSE(changed(s, 0xa2));
	EXPECT_FALSE(changed(s, 0xab));
	EXPECT_TRUE(changed(s, 0xac));
}

/* The order of the chain is not that of addresses. */
TEST_F(lies, vendor_is_last)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0xa0);
	put_cap(s, 0xa0, PCI_CAP_ID_MSIX, 0x80, 1);
	put_cap(s, 0x80, PCI_CAP_ID_VNDR, 0, 0x60);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
	EXPECT_TRUE(changed(s, 0x9f));
	EXPECT_FALSE(changed(s, 0xa2));
}

TEST_F(lies, vendor_reaches_over_sriov)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0);
	put_ext(s, 0x100, PCI_EXT_CAP_ID_SRIOV, 0x180);
	put_ext(s, 0x180, PCI_EXT_CAP_ID_ACS, 0x140);
	put_ext(s, 0x140, PCI_EXT_CAP_ID_VNDR, 0x160);
	put(s, 0x144, 0x100 << 20);
	put_ext(s, 0x160, PCI_EXT_CAP_ID_PASID, 0);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
	EXPECT_FALSE(changed(s, 0x108));
	EXPECT_TRUE(changed(s, 0x15f));
	EXPECT_FALSE(changed(s, 0x166));
	EXPECT_TRUE(changed(s, 0x168));
	EXPECT_FALSE(changed(s, 0x186));
}

TEST_F(lies, vendor_inside_another)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0);
	put_ext(s, 0x100, PCI_EXT_CAP_ID_SRIOV, 0x108);
	put_ext(s, 0x108, PCI_EXT_CAP_ID_VNDR, 0x120);
	put(s, 0x10c, 0x100 << 20);
	put_ext(s, 0x120, PCI_EXT_CAP_ID_ERR, 0);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
	EXPECT_FALSE(changed(s, 0x110));
	EXPECT_FALSE(changed(s, 0x128));
}

/* How long it is only the device knows: at most up to the next. */
TEST_F(lies, unknown)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0x80);
	put_cap(s, 0x80, PCI_CAP_ID_EA, 0xa0, 0);
	put_cap(s, 0xa0, PCI_CAP_ID_SSVID, 0, 0);
	put_ext(s, 0x100, PCI_EXT_CAP_ID_DSN, 0x140);
	put_ext(s, 0x140, EXT_UNKNOWN, 0);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
	EXPECT_FALSE(changed(s, 0x9f));
	EXPECT_TRUE(changed(s, 0xa8));
	EXPECT_TRUE(changed(s, 0x13f));
	EXPECT_FALSE(changed(s, 0x144));
	EXPECT_FALSE(changed(s, 0xfff));
}

TEST_F(lies, loops)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0x80);
	put_cap(s, 0x80, PCI_CAP_ID_MSIX, 0xa0, 1);
	put_cap(s, 0xa0, PCI_CAP_ID_SSVID, 0x80, 1);
	put_ext(s, 0x100, PCI_EXT_CAP_ID_PASID, 0x140);
	put_ext(s, 0x140, PCI_EXT_CAP_ID_ATS, 0x100);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
	EXPECT_TRUE(changed(s, 0xa8));
	EXPECT_TRUE(changed(s, 0x148));
}

/* More may follow, so all the rest is denied. */
TEST_F(lies, all_ones)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0x80);
	put_cap(s, 0x80, PCI_CAP_ID_VNDR, 0xa0, 8);
	put(s, 0xa0, 0xffffffff);
	put_ext(s, 0x100, PCI_EXT_CAP_ID_DSN, 0x140);
	put(s, 0x140, 0xffffffff);
	ASSERT_LE(0, try_lie(self->bdf, s, &seed));
	EXPECT_FALSE(changed(s, 0x90));
	EXPECT_FALSE(changed(s, 0xf0));
	EXPECT_FALSE(changed(s, 0x120));
	EXPECT_FALSE(changed(s, 0xfff));
}

/*
 * Where power management has its register the next one has its header. The bit that
 * was taken from the user there is one of the link's, which then led back.
 */
TEST_F(lies, power_is_cut)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0xf4);
	put_cap(s, 0xf4, PCI_CAP_ID_VNDR, 0xc0, 4);
	put_cap(s, 0xc0, PCI_CAP_ID_MSIX, 0xf0, 1);
	put_cap(s, 0xf0, PCI_CAP_ID_PM, 0, 0);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
}

/* There is no room for the register that tells how long they are. */
TEST_F(lies, at_the_end)
{
	struct space *s = self->s;
	unsigned int seed = 1;

	put_host(s, 0xfc);
	put_cap(s, 0xfc, PCI_CAP_ID_SATA, 0, 0);
	put_ext(s, 0x100, PCI_EXT_CAP_ID_DSN, 0xffc);
	put_ext(s, 0xffc, PCI_EXT_CAP_ID_VNDR, 0);
	ASSERT_EQ(0, try_lie(self->bdf, s, &seed));
}

static unsigned int any_next(bool ext, unsigned int *seed)
{
	switch (rand_r(seed) % 16) {
	case 0:
		return 0;
	case 1:
		return rand_r(seed) % (ext ? SIZE : STD_SIZE);
	default:
		return ext ? STD_SIZE + (rand_r(seed) % 128) * 4 :
			     FREE + (rand_r(seed) % ((STD_SIZE - FREE) / 4)) * 4;
	}
}

/* Noise, and a chain through it that may do anything. */
static void make_up(struct space *s, unsigned int *seed)
{
	unsigned int pos, next, i, n;
	const struct kind *kind;
	bool ext;

	for (pos = FREE; pos < SIZE; pos++)
		s->image[pos] = rand_r(seed) % 4 ? 0 : rand_r(seed);
	next = any_next(false, seed);
	put_host(s, next);

	n = 4 + rand_r(seed) % 40;
	ext = false;
	pos = next;
	for (i = 0; i < n; i++) {
		if (i == n / 3) {
			ext = true;
			pos = STD_SIZE;
		}
		do {
			kind = &kinds[rand_r(seed) % ARRAY_SIZE(kinds)];
		} while (kind->ext != ext);
		next = any_next(ext, seed);
		pos &= ~3;
		if (pos < (ext ? STD_SIZE : FREE)) {
			pos = next;
			continue;
		}
		if (ext)
			put_ext(s, pos, kind->id, next);
		else
			put_cap(s, pos, kind->id, next, rand_r(seed));
		if (!(rand_r(seed) % 64))
			put(s, pos, 0xffffffff);
		pos = next;
	}

	/* What the host writes itself whenever it restores the function. */
	for (pos = STD_SIZE; pos < SIZE; pos += 4)
		if ((get(s->image, pos) & 0xffff) == PCI_EXT_CAP_ID_REBAR)
			put(s, pos, 0);
}

static void show_chain(const struct space *s, bool ext)
{
	unsigned int pos = ext ? STD_SIZE : HOST, n;
	uint32_t header = 0;

	for (n = 0; n < 48 && pos >= (ext ? STD_SIZE : HOST); n++) {
		header = get(s->image, pos);
		fprintf(stderr, "# %#x: %08x %08x %08x\n", pos, header,
			get(s->image, (pos + 4) % SIZE),
			get(s->image, (pos + 8) % SIZE));
		pos = ext ? header >> 20 & 0xffc : header >> 8 & 0xfc;
	}
}

TEST_F_TIMEOUT(lies, chance, 120)
{
	const char *given = getenv("VFIO_TEST_SEED");
	unsigned int seed = given ? strtoul(given, NULL, 0) : time(NULL), first;
	uint64_t end = vfio_now_ms() + CHANCE_MS;
	unsigned int tries = 0;
	int ret;

	do {
		first = seed;
		make_up(self->s, &seed);
		ret = try_lie(self->bdf, self->s, &seed);
		if (ret) {
			show_chain(self->s, false);
			show_chain(self->s, true);
		}
		ASSERT_EQ(0, ret)
			TH_LOG("VFIO_TEST_SEED=%u after %u others: %#x", first,
			       tries, ret);
		seed = first + 1;
		tries++;
	} while (!given && vfio_now_ms() < end);
	TH_LOG("%u devices, VFIO_TEST_SEED=%u the last", tries, first);
	EXPECT_GE(LINES, vfio_klog_count(self->log, "config space"));
}

TEST_HARNESS_MAIN
