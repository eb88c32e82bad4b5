// SPDX-License-Identifier: GPL-2.0-only
/*
 * An example: a process hands the memory of its device to another device, and
 * takes it away again. It needs an ivshmem and an edu device, and
 * test_dmabuf_importer.ko, which drives the latter.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dmabuf.h"
#include "vfio_gate.h"
#include "vfio_variants.h"

#define BAR	VFIO_PCI_BAR2_REGION_INDEX
#define AT	0x1000
#define TEXT	"hello peer"

/* For calls that return a negative errno where they fail. */
static int check(int ret, const char *what)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	err(1, "%s", what);
}

static void show_dma(int importer, const char *edu)
{
	char seen[sizeof(TEXT)] = {};

	check(importer_read(importer, AT, seen, sizeof(seen)), "DMA");
	printf("%s reads by DMA: \"%s\"\n", edu, seen);
}

static void show_map(int importer, const char *when)
{
	int ret = importer_map(importer);

	printf("%s: mapping it: %s\n", when, ret ? strerror(-ret) : "works");
}

int main(void)
{
	char edu[VFIO_BDF_LEN];
	int dmabuf, importer;
	struct vfio_dev d;
	uint64_t size;

	check(importer_bind(edu, 0), "binding edu to " TEST_DMABUF_DRIVER);
	check(vfio_dev_open(&d, VFIO_IVSHMEM, VFIO_TYPE1v2_IOMMU),
	      "opening ivshmem");
	check(vfio_cfg_memory(&d, true), "switching memory on");
	size = vfio_region_size(&d, BAR);
	dmabuf = check(vfio_dmabuf_export(&d, BAR, 0, size), "exporting");
	printf("%s: BAR %d, %llu MiB, is the dma-buf of file %d\n", d.bdf, BAR,
	       (unsigned long long)size >> 20, dmabuf);

	importer = check(importer_open(edu), "opening the importer");
	check(importer_attach(importer, dmabuf, 0, TEST_DMABUF_AT_ONCE, 0),
	      "attaching");
	show_map(importer, "memory on");
	if (vfio_region_write(&d, BAR, AT, TEXT, sizeof(TEXT)) != sizeof(TEXT))
		errx(1, "cannot write the BAR");
	show_dma(importer, edu);

	check(vfio_cfg_memory(&d, false), "switching memory off");
	show_map(importer, "memory off");
	check(vfio_cfg_memory(&d, true), "switching memory on");
	show_map(importer, "memory on again");
	show_dma(importer, edu);

	vfio_dev_close(&d);
	show_map(importer, "device closed");
	close(importer);
	close(dmabuf);
	return 0;
}
