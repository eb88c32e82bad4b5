// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether another device reaches device memory depends on the machine: with an
 * IOMMU that translates it does; without one, or one that lets all addresses
 * through, it has to drive the address bits of the BAR.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define NOIOMMU	"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define BAR	VFIO_PCI_BAR2_REGION_INDEX
#define PATTERN	0x0123456789abcdefULL

FIXTURE(route)
{
	struct vfio_dev d;
	char edu[VFIO_BDF_LEN];
	bool translated;
	int dmabuf, importer;
	int klog;
};

FIXTURE_VARIANT(route)
{
	const char *bits;
	bool enough;		/* for any BAR */
};

FIXTURE_VARIANT_ADD(route, near) { "dma_bits=28" };
FIXTURE_VARIANT_ADD(route, far) { "dma_bits=48", true };

/* Without an IOMMU. */
static int open_unsafe(struct vfio_dev *d)
{
	char node[64];
	int ret;

	vfio_dev_init(d);
	ret = vfio_sysfs_write(NOIOMMU, "1");
	if (!ret)
		ret = vfio_pci_resolve(VFIO_IVSHMEM, d->bdf);
	if (!ret)
		ret = vfio_pci_bind(d->bdf);
	if (ret)
		return ret;
	snprintf(node, sizeof(node), "/dev/vfio/noiommu-%d",
		 vfio_pci_group(d->bdf));
	d->container = vfio_open_container();
	d->group = open(node, O_RDWR | O_CLOEXEC);
	ret = vfio_ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container);
	if (!ret)
		ret = vfio_ioctl(d->container, VFIO_SET_IOMMU,
				 VFIO_NOIOMMU_IOMMU);
	if (ret)
		return ret;
	d->device = vfio_get_device_fd(d->group, d->bdf);
	return d->device < 0 ? d->device : 0;
}

FIXTURE_SETUP(route)
{
	const char *const load[] = { "modprobe", TEST_DMABUF_DRIVER,
				     variant->bits, NULL };
	char type[32];
	int ret;

	if (vfio_pci_resolve(VFIO_EDU, self->edu))
		SKIP(_exit(KSFT_SKIP), "no edu device here");
	vfio_module_remove(TEST_DMABUF_DRIVER);
	if (vfio_run(load))
		SKIP(_exit(KSFT_SKIP), "no module %s", TEST_DMABUF_DRIVER);
	ret = importer_bind(self->edu, 0);
	if (ret == -ENODEV && !variant->enough)
		SKIP(_exit(KSFT_SKIP), "no DMA with so few address bits");
	ASSERT_EQ(0, ret);
	/* Some IOMMUs know a device only once it has a driver. */
	if (vfio_pci_attr_read(self->edu, "iommu_group/type", type,
			       sizeof(type))) {
		ASSERT_EQ(0, open_unsafe(&self->d));
	} else {
		self->translated = !strncmp(type, "DMA", 3);
		VFIO_DEV_OPEN_OR_SKIP(&self->d, VFIO_IVSHMEM,
				      VFIO_TYPE1v2_IOMMU);
	}
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	self->dmabuf = vfio_dmabuf_export(&self->d, BAR, 0, 0x10000);
	ASSERT_LE(0, self->dmabuf);
	self->importer = importer_open(self->edu);
	ASSERT_LE(0, self->importer);
	self->klog = vfio_klog_open();
}

FIXTURE_TEARDOWN(route)
{
	close(self->importer);
	close(self->dmabuf);
	vfio_dev_close(&self->d);
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

TEST_F(route, reach)
{
	uint64_t value = PATTERN;

	if (!self->translated && !variant->enough) {
		EXPECT_EQ(-EHOSTUNREACH,
			  importer_attach(self->importer, self->dmabuf, 0, 0,
					  0));
		EXPECT_EQ(1, vfio_klog_count(self->klog, "address bits"));
		return;
	}
	ASSERT_EQ(0, importer_attach(self->importer, self->dmabuf, 0, 0, 0));
	ASSERT_EQ(0, importer_map(self->importer));
	ASSERT_EQ(8, vfio_region_write(&self->d, BAR, 0x8000, &value, 8));
	value = 0;
	EXPECT_EQ(0, importer_read(self->importer, 0x8000, &value, 8));
	EXPECT_EQ(PATTERN, value);
	value = ~PATTERN;
	EXPECT_EQ(0, importer_write(self->importer, 0x9000, &value, 8));
	value = 0;
	EXPECT_EQ(8, vfio_region_read(&self->d, BAR, 0x9000, &value, 8));
	EXPECT_EQ(~PATTERN, value);
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, false));
	EXPECT_EQ(-ENODEV, importer_map(self->importer));
	ASSERT_EQ(0, vfio_cfg_memory(&self->d, true));
	EXPECT_EQ(0, importer_map(self->importer));
}

TEST_HARNESS_MAIN
