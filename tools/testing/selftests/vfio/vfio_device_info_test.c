// SPDX-License-Identifier: GPL-2.0-only
/* What a device says of itself, asked in every wrong and right way. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define GUARD 0x5a5aa5a55a5aa5a5ull

FIXTURE(info)
{
	struct vfio_dev d;
	uint64_t *buf;		/* ends where memory ends */
	void *end;
};

#define VFIO_FIXTURE info
#include "vfio_each_device.h"

FIXTURE_SETUP(info)
{
	size_t page = sysconf(_SC_PAGESIZE);

	VFIO_DEV_OPEN_OR_SKIP(&self->d, variant->id, variant->mode);
	self->buf = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
	self->end = (void *)self->buf + page;
	ASSERT_EQ(0, munmap(self->end, page));
}

FIXTURE_TEARDOWN(info)
{
	vfio_dev_close(&self->d);
}

/* Indexes past the end, around the sign bit and around wrap-around. */
static const uint32_t wild[] = {
	64, 0xff, 0x100, 0xffff, 0x10000, 0x00ffffff, 0x01000000,
	0x7fffffff, 0x80000000, 0x80000001, 0xfffffff7, 0xfffffffe, 0xffffffff,
};

TEST_F(info, device)
{
	struct vfio_device_info info;
	char path[128];

	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	ASSERT_TRUE(info.flags & VFIO_DEVICE_FLAGS_PCI);
	ASSERT_EQ(0, info.flags & ~(VFIO_DEVICE_FLAGS_PCI |
				    VFIO_DEVICE_FLAGS_RESET |
				    VFIO_DEVICE_FLAGS_CAPS));
	ASSERT_LE(VFIO_PCI_NUM_REGIONS, info.num_regions);
	ASSERT_EQ(VFIO_PCI_NUM_IRQS, info.num_irqs);

	/* Resettable here is what is resettable to the PCI core. */
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset",
		 self->d.bdf);
	ASSERT_EQ(!access(path, F_OK),
		  !!(info.flags & VFIO_DEVICE_FLAGS_RESET));
}

TEST_F(info, device_argsz)
{
	struct vfio_device_info *info = (void *)self->buf;
	struct vfio_device_info first;
	uint32_t argsz;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &first));
	for (argsz = 0; argsz < 16; argsz++) {
		memset(info, 0x77, sizeof(*info));
		info->argsz = argsz;
		ASSERT_EQ(-EINVAL, vfio_ioctl(self->d.device,
					      VFIO_DEVICE_GET_INFO, info));
		ASSERT_EQ(argsz, info->argsz);
		ASSERT_EQ(0x77777777, info->flags);
	}
	for (argsz = 16; argsz; argsz = argsz < 64 ? argsz + 1 : argsz << 1) {
		memset(info, 0x77, sizeof(*info));
		self->buf[3] = GUARD;
		info->argsz = argsz;
		ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_GET_INFO,
					info));
		ASSERT_EQ(first.flags, info->flags);
		ASSERT_EQ(first.num_regions, info->num_regions);
		ASSERT_EQ(first.num_irqs, info->num_irqs);
		if (argsz == 16)
			ASSERT_EQ(0x77777777, info->cap_offset);
		if (!(first.flags & VFIO_DEVICE_FLAGS_CAPS)) {
			ASSERT_EQ(argsz, info->argsz);
			ASSERT_EQ(GUARD, self->buf[3]);
		}
	}
	ASSERT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_GET_INFO,
				      NULL));
}

/* What a virtual machine monitor shows its guest of a function of s390. */
TEST_F(info, zpci_caps)
{
	uint64_t room[64] = {};
	struct vfio_device_info *info = (void *)room;
	uint16_t id;

	if (!VFIO_ZPCI)
		SKIP(return, "no zPCI");
	info->argsz = sizeof(room);
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_GET_INFO, info));
	ASSERT_TRUE(info->flags & VFIO_DEVICE_FLAGS_CAPS);
	for (id = VFIO_DEVICE_INFO_CAP_ZPCI_BASE;
	     id <= VFIO_DEVICE_INFO_CAP_ZPCI_PFIP; id++) {
		/* This one is only there where a function has such a string. */
		if (id != VFIO_DEVICE_INFO_CAP_ZPCI_UTIL)
			ASSERT_NE(NULL, vfio_info_cap(info, info->cap_offset,
						      id));
	}
}

/* Nothing maps a BAR there, nor is there INTx, and so it says. */
TEST_F(info, zpci_lacks)
{
	struct vfio_region_info info;
	void *p;
	int i;

	if (!VFIO_ZPCI)
		SKIP(return, "no zPCI");
	for (i = 0; i < VFIO_PCI_ROM_REGION_INDEX; i++) {
		ASSERT_EQ(0, vfio_region_info(&self->d, i, &info));
		ASSERT_FALSE(info.flags & VFIO_REGION_INFO_FLAG_MMAP);
		ASSERT_EQ(-EINVAL, vfio_region_mmap(&self->d, i, 0, VFIO_PAGE,
						    &p));
	}
	ASSERT_EQ(0, vfio_irq_count(&self->d, VFIO_PCI_INTX_IRQ_INDEX));
}

/* No byte beyond argsz is touched. */
TEST_F(info, device_at_end_of_memory)
{
	struct vfio_device_info *info = self->end - 16;

	info->argsz = 16;
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_GET_INFO, info));
	info->argsz = 24;
	ASSERT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_GET_INFO,
				      info));
	info = self->end - 12;
	info->argsz = 16;
	ASSERT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_GET_INFO,
				      info));
}

TEST_F(info, regions)
{
	struct vfio_region_info info;
	uint64_t size;
	uint32_t i;

	for (i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		if (i == VFIO_PCI_VGA_REGION_INDEX) {
			ASSERT_EQ(-EINVAL, vfio_region_info(&self->d, i,
							    &info));
			continue;
		}
		ASSERT_EQ(0, vfio_region_info(&self->d, i, &info));
		ASSERT_EQ(i, info.index);
		ASSERT_EQ((uint64_t)i << 40, info.offset);
		if (i < VFIO_PCI_ROM_REGION_INDEX) {
			size = vfio_pci_resource_size(self->d.bdf, i);
			ASSERT_EQ(size, info.size);
			if (!size) {
				ASSERT_EQ(0, info.flags);
			} else {
				ASSERT_EQ(VFIO_REGION_INFO_FLAG_READ |
					  VFIO_REGION_INFO_FLAG_WRITE,
					  info.flags & 3);
			}
		}
	}
	ASSERT_EQ(0, vfio_region_info(&self->d, VFIO_PCI_CONFIG_REGION_INDEX,
				      &info));
	ASSERT_EQ(vfio_pci_config_size(self->d.bdf), info.size);
	ASSERT_EQ(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
		  info.flags);
	ASSERT_EQ(0, vfio_region_info(&self->d, VFIO_PCI_ROM_REGION_INDEX,
				      &info));
	ASSERT_EQ(info.size ? VFIO_REGION_INFO_FLAG_READ : 0, info.flags);
}

TEST_F(info, region_argsz)
{
	struct vfio_region_info *info = (void *)self->buf;
	uint32_t argsz;

	for (argsz = 0; argsz < 32; argsz++) {
		memset(info, 0x77, sizeof(*info));
		info->argsz = argsz;
		info->index = VFIO_PCI_CONFIG_REGION_INDEX;
		ASSERT_EQ(-EINVAL, vfio_ioctl(self->d.device,
					      VFIO_DEVICE_GET_REGION_INFO,
					      info));
		ASSERT_EQ(0x77777777, info->flags);
	}
	for (argsz = 32; argsz; argsz = argsz < 64 ? argsz + 1 : argsz << 1) {
		memset(info, 0x77, sizeof(*info));
		self->buf[4] = GUARD;
		info->argsz = argsz;
		info->index = VFIO_PCI_CONFIG_REGION_INDEX;
		ASSERT_EQ(0, vfio_ioctl(self->d.device,
					VFIO_DEVICE_GET_REGION_INFO, info));
		ASSERT_EQ(argsz, info->argsz);
		ASSERT_EQ(GUARD, self->buf[4]);
	}
	ASSERT_EQ(-EFAULT, vfio_ioctl(self->d.device,
				      VFIO_DEVICE_GET_REGION_INFO, NULL));
	info = self->end - 32;
	info->argsz = 1 << 20;
	info->index = VFIO_PCI_CONFIG_REGION_INDEX;
	ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_GET_REGION_INFO,
				info));
}

TEST_F(info, region_index)
{
	struct vfio_device_info dev;
	struct vfio_region_info info;
	size_t i;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &dev));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(-EINVAL, vfio_region_info(&self->d,
						    dev.num_regions + i,
						    &info));
	for (i = 0; i < ARRAY_SIZE(wild); i++)
		ASSERT_EQ(-EINVAL, vfio_region_info(&self->d, wild[i], &info));
}

/* The chain is given whole or not at all, whatever the size offered. */
TEST_F(info, region_caps)
{
	uint32_t index, argsz, need, chain;
	struct vfio_region_info small;
	struct vfio_info_cap_header *cap;
	struct vfio_region_info *info;
	int found = 0;

	for (index = 0; index < VFIO_PCI_VGA_REGION_INDEX; index++) {
		ASSERT_EQ(0, vfio_region_info(&self->d, index, &small));
		if (!(small.flags & VFIO_REGION_INFO_FLAG_CAPS)) {
			ASSERT_EQ(sizeof(small), small.argsz);
			ASSERT_EQ(0, small.cap_offset);
			continue;
		}
		found++;
		need = small.argsz;
		ASSERT_LT(sizeof(small), need);
		ASSERT_GE(4096, need);
		for (argsz = 32; argsz <= need + 8; argsz++) {
			info = self->end - argsz;
			memset(info, 0x77, argsz);
			info->argsz = argsz;
			info->index = index;
			ASSERT_EQ(0, vfio_ioctl(self->d.device,
						VFIO_DEVICE_GET_REGION_INFO,
						info));
			ASSERT_TRUE(info->flags & VFIO_REGION_INFO_FLAG_CAPS);
			if (argsz < need) {
				ASSERT_EQ(need, info->argsz);
				ASSERT_EQ(0, info->cap_offset);
				continue;
			}
			ASSERT_EQ(argsz, info->argsz);
			chain = info->cap_offset;
			ASSERT_EQ(sizeof(*info), chain);
			while (chain) {
				ASSERT_GE(need, chain + sizeof(*cap));
				ASSERT_EQ(0, chain % 8);
				cap = (void *)info + chain;
				ASSERT_LE(1, cap->id);
				ASSERT_EQ(1, cap->version);
				if (cap->next)
					ASSERT_LT(chain, cap->next);
				chain = cap->next;
			}
		}
	}
	if (!found)
		SKIP(return, "no region has capabilities");
}

/* The BAR that holds the MSI-X table says that it may be mapped whole. */
TEST_F(info, msix_mappable)
{
	int msix = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSIX);
	struct vfio_region_info *info;
	uint32_t table;

	if (!msix)
		SKIP(return, "no MSI-X");
	table = vfio_cfg_read32(&self->d, msix + PCI_MSIX_TABLE);
	info = vfio_region_info_caps(&self->d, table & PCI_MSIX_TABLE_BIR);
	ASSERT_NE(NULL, info);
	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP))
		SKIP(return, "the BAR cannot be mapped");
	ASSERT_TRUE(info->flags & VFIO_REGION_INFO_FLAG_CAPS);
	ASSERT_NE(NULL, vfio_info_cap(info, info->cap_offset,
				      VFIO_REGION_INFO_CAP_MSIX_MAPPABLE));
	free(info);
}

TEST_F(info, irqs)
{
	int msix = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSIX);
	int msi = vfio_cfg_cap(&self->d, PCI_CAP_ID_MSI);
	struct vfio_irq_info info;
	uint16_t ctrl;

	ASSERT_EQ(0, vfio_irq_info(&self->d, VFIO_PCI_INTX_IRQ_INDEX, &info));
	ASSERT_EQ(!!vfio_cfg_read8(&self->d, PCI_INTERRUPT_PIN), info.count);
	ASSERT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
		  VFIO_IRQ_INFO_AUTOMASKED, info.flags);

	ASSERT_EQ(0, vfio_irq_info(&self->d, VFIO_PCI_MSI_IRQ_INDEX, &info));
	ASSERT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE |
		  VFIO_IRQ_INFO_AFFINITY, info.flags);
	if (msi) {
		ctrl = vfio_cfg_read16(&self->d, msi + PCI_MSI_FLAGS);
		ASSERT_EQ(1 << ((ctrl & PCI_MSI_FLAGS_QMASK) >> 1),
			  info.count);
	} else {
		ASSERT_EQ(0, info.count);
	}

	ASSERT_EQ(0, vfio_irq_info(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, &info));
	ASSERT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_AFFINITY,
		  info.flags & ~VFIO_IRQ_INFO_NORESIZE);
	if (msix) {
		ctrl = vfio_cfg_read16(&self->d, msix + PCI_MSIX_FLAGS);
		ASSERT_EQ((ctrl & PCI_MSIX_FLAGS_QSIZE) + 1, info.count);
	} else {
		ASSERT_EQ(0, info.count);
	}

	ASSERT_EQ(0, vfio_irq_info(&self->d, VFIO_PCI_ERR_IRQ_INDEX, &info));
	ASSERT_EQ(1, info.count);
	ASSERT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, info.flags);
	ASSERT_EQ(0, vfio_irq_info(&self->d, VFIO_PCI_REQ_IRQ_INDEX, &info));
	ASSERT_EQ(1, info.count);
	ASSERT_EQ(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, info.flags);
}

TEST_F(info, irq_argsz)
{
	struct vfio_irq_info *info = (void *)self->buf;
	uint32_t argsz;

	for (argsz = 0; argsz < 16; argsz++) {
		memset(info, 0x77, sizeof(*info));
		info->argsz = argsz;
		info->index = 0;
		ASSERT_EQ(-EINVAL, vfio_ioctl(self->d.device,
					      VFIO_DEVICE_GET_IRQ_INFO, info));
		ASSERT_EQ(0x77777777, info->flags);
	}
	for (argsz = 16; argsz; argsz = argsz < 32 ? argsz + 1 : argsz << 1) {
		memset(info, 0x77, sizeof(*info));
		self->buf[2] = GUARD;
		info->argsz = argsz;
		info->index = 0;
		ASSERT_EQ(0, vfio_ioctl(self->d.device,
					VFIO_DEVICE_GET_IRQ_INFO, info));
		ASSERT_EQ(argsz, info->argsz);
		ASSERT_EQ(GUARD, self->buf[2]);
	}
	ASSERT_EQ(-EFAULT, vfio_ioctl(self->d.device,
				      VFIO_DEVICE_GET_IRQ_INFO, NULL));
}

TEST_F(info, irq_index)
{
	struct vfio_irq_info info;
	uint32_t i;

	for (i = VFIO_PCI_NUM_IRQS; i < 16; i++)
		ASSERT_EQ(-EINVAL, vfio_irq_info(&self->d, i, &info));
	for (i = 0; i < ARRAY_SIZE(wild); i++)
		ASSERT_EQ(-EINVAL, vfio_irq_info(&self->d, wild[i], &info));
}

static int feature(const struct vfio_dev *d, uint32_t argsz, uint32_t flags)
{
	struct {
		struct vfio_device_feature head;
		uint64_t data[8];
	} f = {
		.head.argsz = argsz,
		.head.flags = flags,
	};

	return vfio_ioctl(d->device, VFIO_DEVICE_FEATURE, &f);
}

TEST_F(info, feature_flags)
{
	static const uint32_t any[] = {
		VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
		VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, 0x7fff, 0xffff,
	};
	uint32_t argsz, bit;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(any); i++) {
		for (argsz = 0; argsz < 8; argsz++) {
			ASSERT_EQ(-EINVAL, feature(&self->d, argsz, any[i] |
						   VFIO_DEVICE_FEATURE_PROBE));
		}
		for (bit = 19; bit < 32; bit++) {
			ASSERT_EQ(-EINVAL, feature(&self->d, 64, any[i] |
						   1u << bit |
						   VFIO_DEVICE_FEATURE_PROBE));
		}
		ASSERT_EQ(-EINVAL, feature(&self->d, 64, any[i] |
					   VFIO_DEVICE_FEATURE_GET |
					   VFIO_DEVICE_FEATURE_SET));
	}
	ASSERT_EQ(-EFAULT, vfio_ioctl(self->d.device, VFIO_DEVICE_FEATURE,
				      NULL));
}

/* A feature that every PCI device has, and that can only be set. */
TEST_F(info, feature_low_power)
{
	const uint32_t id = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
	const uint32_t probe = id | VFIO_DEVICE_FEATURE_PROBE;

	/* Neither GET nor SET nor PROBE. */
	ASSERT_EQ(-EINVAL, feature(&self->d, 64, id));
	ASSERT_EQ(0, feature(&self->d, 8, probe));
	ASSERT_EQ(0, feature(&self->d, 8, probe | VFIO_DEVICE_FEATURE_SET));
	ASSERT_EQ(-EINVAL, feature(&self->d, 8, probe |
				   VFIO_DEVICE_FEATURE_GET));
	ASSERT_EQ(-EINVAL, feature(&self->d, 8, probe |
				   VFIO_DEVICE_FEATURE_GET |
				   VFIO_DEVICE_FEATURE_SET));
	ASSERT_EQ(-EINVAL, feature(&self->d, 8, id | VFIO_DEVICE_FEATURE_GET));
	/* There is nothing to leave. */
	ASSERT_EQ(0, feature(&self->d, 8, id | VFIO_DEVICE_FEATURE_SET));
}

TEST_F(info, feature_probe)
{
	static const uint32_t absent[] = {
		VFIO_DEVICE_FEATURE_MIGRATION,
		VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
		VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
		VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
		VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
		VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
		VFIO_DEVICE_FEATURE_BUS_MASTER,
		0x7fff, 0x8000, 0xffff,
	};
	static const uint32_t ops[] = {
		0, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET,
		VFIO_DEVICE_FEATURE_PROBE,
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET,
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET,
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			VFIO_DEVICE_FEATURE_SET,
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(absent); i++)
		for (j = 0; j < ARRAY_SIZE(ops); j++)
			ASSERT_EQ(-ENOTTY, feature(&self->d, 64,
						   absent[i] | ops[j])) {
				TH_LOG("feature %x op %x", absent[i], ops[j]);
			}
}

/* Not a physical function: there is no token to set. */
TEST_F(info, feature_vf_token)
{
	const uint32_t id = VFIO_DEVICE_FEATURE_PCI_VF_TOKEN;

	if (vfio_cfg_ecap(&self->d, PCI_EXT_CAP_ID_SRIOV))
		SKIP(return, "the device has virtual functions");
	ASSERT_EQ(-ENOTTY, feature(&self->d, 24, id |
				   VFIO_DEVICE_FEATURE_PROBE));
	ASSERT_EQ(-ENOTTY, feature(&self->d, 24, id |
				   VFIO_DEVICE_FEATURE_PROBE |
				   VFIO_DEVICE_FEATURE_SET));
	ASSERT_EQ(-ENOTTY, feature(&self->d, 24, id |
				   VFIO_DEVICE_FEATURE_SET));
	ASSERT_EQ(-ENOTTY, feature(&self->d, 24, id |
				   VFIO_DEVICE_FEATURE_GET));
}

TEST_F(info, unknown_ioctls)
{
	char buf[256] = {}, node[128];
	unsigned int nr;

	/* Past the last one of 6.12: three more if devices have files. */
	nr = VFIO_BASE + (vfio_cdev_node(self->d.bdf, node, sizeof(node)) ?
			  18 : 21);
	for (; nr < 256; nr++)
		ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.device,
					      _IO(VFIO_TYPE, nr), buf)) {
			TH_LOG("ioctl %u", nr);
		}
	/* Those of containers and groups. */
	for (nr = 0; nr < VFIO_BASE + 7; nr++)
		ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.device,
					      _IO(VFIO_TYPE, nr), buf)) {
			TH_LOG("ioctl %u", nr);
		}
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.device,
				      VFIO_DEVICE_QUERY_GFX_PLANE, buf));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.device,
				      VFIO_DEVICE_GET_GFX_DMABUF, buf));
	ASSERT_EQ(-ENOTTY, vfio_ioctl(self->d.device, _IO('x', 107), buf));
}

TEST_F(info, reset)
{
	struct vfio_device_info info;

	ASSERT_EQ(0, vfio_dev_info(&self->d, &info));
	if (info.flags & VFIO_DEVICE_FLAGS_RESET) {
		ASSERT_EQ(0, vfio_ioctl(self->d.device, VFIO_DEVICE_RESET));
	} else {
		ASSERT_EQ(-EINVAL, vfio_ioctl(self->d.device,
					      VFIO_DEVICE_RESET));
	}
}

TEST_F(info, hot_reset_info)
{
	struct {
		struct vfio_pci_hot_reset_info head;
		struct vfio_pci_dependent_device devices[64];
	} u = {};
	uint32_t argsz, count;
	bool self_found = false, by_id;
	char bdf[VFIO_BDF_LEN];
	uint32_t i;
	int ret;

	for (argsz = 0; argsz < sizeof(u.head); argsz++) {
		u.head.argsz = argsz;
		ret = vfio_ioctl(self->d.device,
				 VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &u);
		ASSERT_EQ(-EINVAL, ret);
	}
	u.head.argsz = sizeof(u.head);
	ret = vfio_ioctl(self->d.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
			 &u);
	/* On the root bus there is nothing to reset. */
	if (ret == -ENODEV)
		return;
	ASSERT_EQ(-ENOSPC, ret);
	count = u.head.count;
	ASSERT_LE(1, count);
	ASSERT_GE(64, count);
	u.head.argsz = sizeof(u.head) + count * sizeof(u.devices[0]);
	ASSERT_EQ(0, vfio_ioctl(self->d.device,
				VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &u));
	ASSERT_EQ(count, u.head.count);
	by_id = u.head.flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
	ASSERT_EQ(variant->mode == VFIO_MODE_IOMMUFD, by_id);
	for (i = 0; i < count; i++) {
		snprintf(bdf, sizeof(bdf), "%04x:%02x:%02x.%u",
			 u.devices[i].segment, u.devices[i].bus,
			 u.devices[i].devfn >> 3, u.devices[i].devfn & 7);
		if (!by_id) {
			ASSERT_EQ(vfio_pci_group(bdf), u.devices[i].group_id);
		}
		self_found |= !strcmp(bdf, self->d.bdf);
	}
	ASSERT_TRUE(self_found);
}

TEST_HARNESS_MAIN
