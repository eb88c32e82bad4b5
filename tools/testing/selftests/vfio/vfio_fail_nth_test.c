// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever is done with a device is done with the first, the second, ...
 * allocation or copy of user data on the way failing, until there is none left
 * to fail. Each call then succeeds in full or says ENOMEM, or EFAULT where it
 * was a copy; nothing of a sequence stays behind; and what was refused works
 * when it is tried again. The kernel needs CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC
 * CONFIG_FAULT_INJECTION_DEBUG_FS and CONFIG_FAULT_INJECTION_STACKTRACE_FILTER.
 *
 * A failure strikes once, so what a sequence does to take itself back is not
 * disturbed, while a sequence that gets as far as its own end has that tried,
 * too. Each opens as little as it can: resets of devices are slow.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_util.h"
#include "vfio_variants.h"

#define MANY	3000
#define LOOK_EVERY	16
#define FAIL_IOMMUFD	"/sys/kernel/debug/fail_iommufd"
#define MiB	0x100000ULL
#define IOVA	0x4000000ULL
#define VECTORS	2

/* What a sequence works with. @at is the call it is in. */
struct work {
	struct vfio_dev d;
	char bdf[VFIO_BDF_LEN], node[128];
	int group_id, mode;
	int nth, klog;
	int efds[VECTORS + 1], unmask;
	void *mem;
	struct vfio_region_info bar, config;
	bool slow;		/* done once for each failure, not again */
	bool fickle;		/* iommufd fails in its own way, too */
	const char *at;
	struct vfio_counters before;
	int files;
};

/* For sequences: note what is being done, and stop at what is refused. */
#define TRY(w, call) do {						\
	(w)->at = #call;						\
	ret = call;							\
	if (ret < 0)							\
		goto out;						\
} while (0)

/* The same for what has to hold between the calls. */
#define MUST(w, what) do {						\
	(w)->at = #what;						\
	if (!(what)) {							\
		ret = -EPROTO;						\
		goto out;						\
	}								\
} while (0)

/*
 * What there is once the device was open: the modules are loaded, and all that
 * is made once was made.
 */
static int work_init(struct work *w, const char *id, int mode)
{
	int ret;

	w->nth = vfio_fail_open();
	if (w->nth < 0)
		return w->nth;
	w->fickle = !access(FAIL_IOMMUFD, F_OK);
	w->mode = mode;
	ret = vfio_dev_open(&w->d, id, mode);
	if (ret)
		return ret;
	memcpy(w->bdf, w->d.bdf, sizeof(w->bdf));
	w->group_id = w->d.group_id;
	vfio_cdev_node(w->bdf, w->node, sizeof(w->node));
	vfio_dev_close(&w->d);
	w->mem = vfio_alloc_pages(MiB);
	w->klog = vfio_klog_open();
	return w->mem ? w->klog : -ENOMEM;
}

#define WORK_INIT_OR_SKIP(w, id, mode) do {				\
	int __init_mode = mode;						\
	int __init_ret = work_init(w, id, __init_mode);			\
									\
	if (__init_ret == -ENXIO)					\
		SKIP(_exit(KSFT_SKIP), "no device %s here", id);	\
	if ((w)->nth < 0)						\
		SKIP(_exit(KSFT_SKIP), "the kernel has no fault injection"); \
	VFIO_SKIP_WITHOUT_MODE(__init_mode, __init_ret);		\
	ASSERT_LE(0, __init_ret);					\
} while (0)

/*
 * With CONFIG_IOMMUFD_TEST some of iommufd's lookups and checks fail like an
 * allocation, as if there were no such object or as if it did not fit.
 */
static bool allowed(const struct work *w, int ret)
{
	if (w->mode & VFIO_MODE_IOMMUFDS && w->fickle &&
	    (ret == -ENOENT || ret == -EINVAL))
		return true;
	return ret >= 0 || ret == -ENOMEM || ret == -EFAULT;
}

static bool nothing_stayed(struct work *w)
{
	struct vfio_counters now;
	int files = vfio_open_files();

	if (files != w->files)
		printf("# %d files are open, were %d\n", files, w->files);
	if (vfio_counters_settled(&w->before, &now))
		return files == w->files;
	vfio_counters_print(&w->before, &now);
	return false;
}

/*
 * How often @run was refused, or a negative errno when that was no refusal. What
 * stays behind is there for good, so it is enough to look for it now and then.
 */
static int sweep(struct work *w, const char *name, int (*run)(struct work *))
{
	uint64_t start = vfio_now_ms();
	bool happened = true;
	int refused = 0;
	int n, ret = 0;

	w->files = vfio_open_files();
	vfio_counters_read(&w->before);
	for (n = 1; happened && !ret; n++) {
		vfio_fail_arm(w->nth, n);
		ret = run(w);
		happened = vfio_fail_happened(w->nth);
		if (ret < 0 && happened && allowed(w, ret)) {
			refused++;
			/* The next turn is another try, up to its failure. */
			ret = w->slow ? 0 : run(w);
		}
		if (ret < 0)
			break;
		ret = 0;
		if (happened && n % LOOK_EVERY)
			continue;
		w->at = "what stayed";
		if (!nothing_stayed(w))
			ret = -EBUSY;
		else if (vfio_klog_splats(w->klog))
			ret = -EIO;
		else if (n >= MANY)
			ret = -E2BIG;
	}
	printf("# %s: %d of %d failures refused it, %d ms\n", name, refused,
	       n - 2, (int)(vfio_now_ms() - start));
	if (ret)
		printf("# failure %d: %d from %s\n", n, ret, w->at);
	return ret ?: refused;
}

#define SWEEP(w, run) ASSERT_LT(0, sweep(w, #run, run))

/* Opening, looking at the device, closing. */

static int open_group(struct work *w)
{
	struct vfio_device_info info;
	uint32_t ids;
	int ret;

	vfio_dev_init(&w->d);
	TRY(w, vfio_dev_open_named(&w->d, w->bdf, w->group_id, w->mode, NULL));
	TRY(w, vfio_dev_info(&w->d, &info));
	TRY(w, vfio_region_info(&w->d, VFIO_PCI_CONFIG_REGION_INDEX,
				&w->config));
	TRY(w, vfio_pread(w->d.device, &ids, 4, w->config.offset));
	MUST(w, ids != ~0u);
	w->at = "close";
out:
	vfio_dev_close(&w->d);
	return ret;
}

static int open_cdev(struct work *w)
{
	uint32_t ioas[2], pt, ids, has = 0;
	int ret;

	vfio_dev_init(&w->d);
	TRY(w, w->d.container = vfio_iommufd_open());
	TRY(w, vfio_ioas_alloc(w->d.container, &ioas[0]));
	TRY(w, vfio_ioas_alloc(w->d.container, &ioas[1]));
	w->at = "open";
	w->d.device = open(w->node, O_RDWR | O_CLOEXEC);
	if (w->d.device < 0) {
		ret = -errno;
		goto out;
	}
	TRY(w, vfio_cdev_bind(w->d.device, w->d.container, NULL));
	TRY(w, vfio_region_info(&w->d, VFIO_PCI_CONFIG_REGION_INDEX,
				&w->config));
	TRY(w, vfio_pread(w->d.device, &ids, 4, w->config.offset));
	MUST(w, ids != ~0u);
	pt = ioas[0];
	TRY(w, vfio_cdev_attach(w->d.device, &pt));
	has = ioas[0];
	pt = ioas[1];
	TRY(w, vfio_cdev_attach(w->d.device, &pt));
	has = ioas[1];
	TRY(w, vfio_cdev_detach(w->d.device));
	has = 0;
	w->at = "close";
out:
	/* What refused to replace or to let go an address space still has it. */
	if (ret == -ENOMEM && has &&
	    vfio_iommufd_destroy(w->d.container, has) != -EBUSY)
		ret = -EPROTO;
	vfio_dev_close(&w->d);
	return ret;
}

/* A refused binding is not half of one: the same file can be bound then. */
static int bind_again(struct work *w)
{
	uint32_t ioas, pt;
	int ret;

	vfio_dev_init(&w->d);
	TRY(w, w->d.container = vfio_iommufd_open());
	TRY(w, vfio_ioas_alloc(w->d.container, &ioas));
	w->at = "open";
	w->d.device = open(w->node, O_RDWR | O_CLOEXEC);
	if (w->d.device < 0) {
		ret = -errno;
		goto out;
	}
	ret = vfio_cdev_bind(w->d.device, w->d.container, NULL);
	if (ret) {
		MUST(w, allowed(w, ret));
		TRY(w, vfio_cdev_bind(w->d.device, w->d.container, NULL));
	}
	pt = ioas;
	ret = vfio_cdev_attach(w->d.device, &pt);
	if (ret) {
		MUST(w, allowed(w, ret));
		pt = ioas;
		TRY(w, vfio_cdev_attach(w->d.device, &pt));
	}
	w->at = "close";
out:
	vfio_dev_close(&w->d);
	return ret;
}

FIXTURE(open)
{
	struct work w;
};

FIXTURE_VARIANT(open)
{
	const char *id;
	int mode;
};

FIXTURE_VARIANT_ADD(open, edu_type1) {
	.id = VFIO_EDU, .mode = VFIO_TYPE1_IOMMU
};

FIXTURE_VARIANT_ADD(open, edu_type1v2) {
	.id = VFIO_EDU, .mode = VFIO_TYPE1v2_IOMMU
};

FIXTURE_VARIANT_ADD(open, edu_compat) {
	.id = VFIO_EDU, .mode = VFIO_MODE_COMPAT
};

FIXTURE_VARIANT_ADD(open, edu_iommufd) {
	.id = VFIO_EDU, .mode = VFIO_MODE_IOMMUFD
};

FIXTURE_SETUP(open)
{
	struct work *w = &self->w;

	WORK_INIT_OR_SKIP(w, variant->id, variant->mode);
	/*
	 * Enabling a device asks ACPI for the route of its interrupt, and with
	 * memory short the interpreter uses what it freed. A device that is
	 * enabled already is not enabled again.
	 */
	ASSERT_EQ(0, vfio_pci_unbind(w->bdf));
	ASSERT_EQ(0, vfio_pci_attr_write(w->bdf, "enable", "1"));
	ASSERT_EQ(0, vfio_pci_bind(w->bdf));
}

FIXTURE_TEARDOWN(open)
{
	ASSERT_EQ(0, vfio_pci_unbind(self->w.bdf));
	EXPECT_EQ(0, vfio_pci_attr_write(self->w.bdf, "enable", "0"));
}

TEST_F(open, close)
{
	struct work *w = &self->w;

	if (variant->mode == VFIO_MODE_IOMMUFD) {
		SWEEP(w, open_cdev);
		SWEEP(w, bind_again);
	} else {
		SWEEP(w, open_group);
	}
}

/* With the device open all the time. */

FIXTURE(use)
{
	struct work w;
};

#define VFIO_FIXTURE use
#include "vfio_each_mode.h"
#undef VFIO_FIXTURE

static int find_regions(struct work *w)
{
	return vfio_region_info(&w->d, 0, &w->bar) ?:
	       vfio_region_info(&w->d, VFIO_PCI_CONFIG_REGION_INDEX,
				&w->config);
}

static int open_for_use(struct work *w)
{
	return vfio_dev_open(&w->d, w->bdf, w->mode) ?: find_regions(w) ?:
	       vfio_cfg_memory(&w->d, true);
}

FIXTURE_SETUP(use)
{
	WORK_INIT_OR_SKIP(&self->w, VFIO_NVME, variant->mode);
	ASSERT_EQ(0, open_for_use(&self->w));
}

FIXTURE_TEARDOWN(use)
{
	vfio_dev_close(&self->w.d);
}

static int map_dma(struct work *w)
{
	bool mapped = false;
	uint64_t size = 0;
	int ret;

	TRY(w, vfio_dma_map(w->d.container, w->mem, IOVA, MiB));
	mapped = true;
	TRY(w, vfio_dma_unmap_flags(w->d.container, IOVA, MiB, 0, &size));
	mapped = false;
	MUST(w, size == MiB);
out:
	/* What was refused because of its result may well have been done. */
	if (mapped)
		vfio_dma_unmap(w->d.container, IOVA, MiB);
	return ret;
}

/* Closed and open again below a mapping: the registers are there again. */
static int map_bar(struct work *w)
{
	uint16_t command = PCI_COMMAND_MEMORY;
	uint64_t at = w->config.offset + PCI_COMMAND;
	void *p = NULL;
	uint32_t value;
	int ret;

	TRY(w, vfio_mmap(w->d.device, w->bar.size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, w->bar.offset, &p));
	MUST(w, !vfio_try_touch(p, w->bar.size, 4096));
	command = 0;
	TRY(w, vfio_pwrite(w->d.device, &command, 2, at));
	command = PCI_COMMAND_MEMORY;
	TRY(w, vfio_pwrite(w->d.device, &command, 2, at));
	MUST(w, !vfio_try_load32(p, &value));
	w->at = "munmap";
	ret = munmap(p, w->bar.size) ? -errno : 0;
	if (!ret)
		p = NULL;
out:
	if (p)
		munmap(p, w->bar.size);
	command = PCI_COMMAND_MEMORY;
	vfio_pwrite(w->d.device, &command, 2, at);
	return ret;
}

/* Take what was signaled; it has to be all, but taking it may fail, too. */
static int signals(struct work *w, int count)
{
	uint64_t value;
	int i, ret = 0;

	for (i = 0; i < count; i++)
		if (read(w->efds[i], &value, sizeof(value)) < 0)
			ret = errno == EAGAIN ? -EPROTO : -errno;
	return ret;
}

/*
 * The PCI core does not say that there was no memory, but that there was no
 * space, or for how many vectors there was.
 */
static int set_vectors(struct work *w, int start, int count)
{
	int ret = vfio_irq_eventfds(&w->d, VFIO_PCI_MSIX_IRQ_INDEX, start,
				    count, w->efds + start);

	return ret > 0 || ret == -ENOSPC ? -ENOMEM : ret;
}

/* Some vectors, and then one more while those are in use. */
static int use_msix(struct work *w)
{
	const int index = VFIO_PCI_MSIX_IRQ_INDEX;
	int ret;

	TRY(w, set_vectors(w, 0, VECTORS));
	TRY(w, vfio_irq_trigger(&w->d, index, 0, VECTORS));
	TRY(w, signals(w, VECTORS));
	TRY(w, set_vectors(w, VECTORS, 1));
	TRY(w, vfio_irq_trigger(&w->d, index, 0, VECTORS + 1));
	TRY(w, signals(w, VECTORS + 1));
	TRY(w, vfio_irq_disable(&w->d, index));
	return ret;
out:
	vfio_irq_disable(&w->d, index);
	signals(w, VECTORS + 1);
	return ret;
}

static int use_intx(struct work *w)
{
	const int index = VFIO_PCI_INTX_IRQ_INDEX;
	int ret;

	TRY(w, vfio_irq_eventfd(&w->d, index, 0, w->efds[0]));
	TRY(w, vfio_irq_trigger(&w->d, index, 0, 1));
	TRY(w, signals(w, 1));
	TRY(w, vfio_irq_set(&w->d, VFIO_IRQ_SET_DATA_EVENTFD |
			    VFIO_IRQ_SET_ACTION_UNMASK, index, 0, 1,
			    &w->unmask, sizeof(w->unmask)));
	TRY(w, vfio_irq_mask(&w->d, index, 0, 1));
	TRY(w, vfio_eventfd_signal(w->unmask));
	TRY(w, vfio_irq_unmask(&w->d, index, 0, 1));
	TRY(w, vfio_irq_disable(&w->d, index));
	return ret;
out:
	vfio_irq_disable(&w->d, index);
	signals(w, 1);
	return ret;
}

static int use_req(struct work *w)
{
	int ret;

	TRY(w, vfio_irq_eventfd(&w->d, VFIO_PCI_REQ_IRQ_INDEX, 0, w->efds[0]));
	TRY(w, vfio_irq_trigger(&w->d, VFIO_PCI_REQ_IRQ_INDEX, 0, 1));
	TRY(w, signals(w, 1));
	TRY(w, vfio_irq_eventfd(&w->d, VFIO_PCI_REQ_IRQ_INDEX, 0, -1));
	return ret;
out:
	vfio_irq_eventfd(&w->d, VFIO_PCI_REQ_IRQ_INDEX, 0, -1);
	signals(w, 1);
	return ret;
}

static int reset(struct work *w)
{
	uint32_t ids;
	int ret;

	TRY(w, vfio_reset(&w->d));
	TRY(w, vfio_pread(w->d.device, &ids, 4, w->config.offset));
	MUST(w, ids != ~0u);
out:
	return ret;
}

static int hot_reset(struct work *w)
{
	uint32_t ids;
	int ret;

	TRY(w, vfio_dev_hot_reset(&w->d));
	TRY(w, vfio_pread(w->d.device, &ids, 4, w->config.offset));
	MUST(w, ids != ~0u);
out:
	return ret;
}

TEST_F(use, map_dma)
{
	SWEEP(&self->w, map_dma);
}

TEST_F(use, map_bar)
{
	SWEEP(&self->w, map_bar);
}

TEST_F(use, reset)
{
	SWEEP(&self->w, reset);
}

TEST_F(use, hot_reset)
{
	SWEEP(&self->w, hot_reset);
}

/* Interrupts: it matters how the device was opened, but not for which DMA. */

FIXTURE(irq)
{
	struct work w;
};

FIXTURE_VARIANT(irq)
{
	int mode;
};

FIXTURE_VARIANT_ADD(irq, type1v2) {
	.mode = VFIO_TYPE1v2_IOMMU
};

FIXTURE_VARIANT_ADD(irq, iommufd) {
	.mode = VFIO_MODE_IOMMUFD
};

FIXTURE_SETUP(irq)
{
	struct work *w = &self->w;
	int i;

	WORK_INIT_OR_SKIP(w, VFIO_NVME, variant->mode);
	/* The interrupt core takes files away that it failed to make. */
	ASSERT_EQ(0, vfio_fail_spare("register_irq_proc"));
	for (i = 0; i < VECTORS + 1; i++) {
		w->efds[i] = vfio_eventfd();
		ASSERT_LE(0, w->efds[i]);
	}
	w->unmask = vfio_eventfd();
	ASSERT_LE(0, w->unmask);
	ASSERT_EQ(0, open_for_use(w));
}

FIXTURE_TEARDOWN(irq)
{
	vfio_dev_close(&self->w.d);
}

TEST_F(irq, msix)
{
	SWEEP(&self->w, use_msix);
}

TEST_F(irq, others)
{
	SWEEP(&self->w, use_intx);
	SWEEP(&self->w, use_req);
}

/* The driver comes to the device, and goes. */

FIXTURE(bind)
{
	struct work w;
};

#define DRIVER "/sys/bus/pci/drivers/vfio-pci"

static bool is_bound(const char *bdf)
{
	char driver[64];

	return !vfio_pci_driver(bdf, driver, sizeof(driver));
}

static int bind_driver(struct work *w)
{
	int ret;

	TRY(w, vfio_sysfs_write(DRIVER "/bind", w->bdf));
	TRY(w, vfio_sysfs_write(DRIVER "/unbind", w->bdf));
	MUST(w, !is_bound(w->bdf));
out:
	if (is_bound(w->bdf) &&
	    vfio_sysfs_write(DRIVER "/unbind", w->bdf))
		ret = -EPROTO;
	return ret;
}

FIXTURE_SETUP(bind)
{
	struct work *w = &self->w;

	WORK_INIT_OR_SKIP(w, VFIO_NVME, VFIO_TYPE1v2_IOMMU);
	w->slow = true;
	ASSERT_EQ(0, vfio_pci_unbind(w->bdf));
}

FIXTURE_TEARDOWN(bind)
{
}

TEST_F(bind, unbind)
{
	struct work *w = &self->w;

	SWEEP(w, bind_driver);
	ASSERT_EQ(0, vfio_dev_open(&w->d, w->bdf, w->mode));
	ASSERT_NE(~0u, vfio_cfg_read32(&w->d, 0));
	vfio_dev_close(&w->d);
}

TEST_HARNESS_MAIN
