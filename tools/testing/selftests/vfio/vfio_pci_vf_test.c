// SPDX-License-Identifier: GPL-2.0-only
/* A VF as its user sees it: registers that a VF lacks, memory, interrupts. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_gate.h"
#include "vfio_pci_overlay.h"
#include "vfio_sriov.h"
#include "vfio_variants.h"

static const char token[] = "01234567-89ab-cdef-0123-456789abcdef";

/* A PF and its VFs, all open, each in a container of its own. */
FIXTURE(vf)
{
	struct vfio_dev pf;
	struct vfio_dev vf[2];
	int klog;
};

FIXTURE_SETUP(vf)
{
	char pf[VFIO_BDF_LEN], vf[2][VFIO_BDF_LEN];
	int i;

	if (vfio_sriov_find(pf))
		SKIP(_exit(KSFT_SKIP), "no PF here");
	self->klog = vfio_klog_open();
	ASSERT_LE(0, self->klog);
	ASSERT_EQ(0, vfio_pci_bind(pf));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y"));
	/* First open and last close reset the PF, and end its VFs. */
	ASSERT_EQ(0, vfio_token_open(&self->pf, pf, token));
	ASSERT_EQ(0, vfio_cfg_memory(&self->pf, true));
	ASSERT_EQ(0, vfio_sriov_make(pf, vf));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vfio_token_open(&self->vf[i], vf[i], token));
}

FIXTURE_TEARDOWN(vf)
{
	vfio_dev_close(&self->vf[1]);
	vfio_dev_close(&self->vf[0]);
	EXPECT_EQ(0, vfio_sriov_set(self->pf.bdf, 0));
	vfio_dev_close(&self->pf);
	EXPECT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "N"));
	EXPECT_EQ(0, vfio_klog_splats(self->klog));
	close(self->klog);
}

TEST_F(vf, info)
{
	struct vfio_region_info *region;
	struct vfio_device_info info;
	struct vfio_irq_info irq;
	int i;

	for (i = 0; i < 2; i++) {
		const struct vfio_dev *d = &self->vf[i];

		ASSERT_EQ(0, vfio_dev_info(d, &info));
		EXPECT_EQ(VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
			  info.flags);
		EXPECT_EQ(VFIO_PCI_NUM_REGIONS, info.num_regions);
		EXPECT_EQ(VFIO_PCI_NUM_IRQS, info.num_irqs);

		/* Their BARs are slices of one that the PF describes. */
		EXPECT_EQ(vfio_pci_resource_size(d->bdf, 0),
			  vfio_region_size(d, 0));
		EXPECT_EQ(0x4000, vfio_region_size(d, 0));
		region = vfio_region_info_caps(d, 0);
		ASSERT_NE(NULL, region);
		EXPECT_TRUE(region->flags & VFIO_REGION_INFO_FLAG_MMAP);
		EXPECT_NE(NULL, vfio_info_cap(region, region->cap_offset,
					      VFIO_REGION_INFO_CAP_MSIX_MAPPABLE));
		free(region);
		EXPECT_EQ(0, vfio_region_size(d, 1));
		EXPECT_EQ(0, vfio_region_size(d, VFIO_PCI_ROM_REGION_INDEX));
		EXPECT_EQ(4096, vfio_region_size(d,
						 VFIO_PCI_CONFIG_REGION_INDEX));

		EXPECT_EQ(0, vfio_irq_count(d, VFIO_PCI_INTX_IRQ_INDEX));
		EXPECT_EQ(0, vfio_irq_count(d, VFIO_PCI_MSI_IRQ_INDEX));
		EXPECT_LT(0, vfio_irq_count(d, VFIO_PCI_MSIX_IRQ_INDEX));
		EXPECT_EQ(1, vfio_irq_count(d, VFIO_PCI_REQ_IRQ_INDEX));
		ASSERT_EQ(0, vfio_irq_info(d, VFIO_PCI_MSIX_IRQ_INDEX, &irq));
		EXPECT_TRUE(irq.flags & VFIO_IRQ_INFO_EVENTFD);
	}
}

/* VF registers that the specification leaves empty are filled in. */
TEST_F(vf, header)
{
	const struct vfio_dev *d = &self->vf[0];
	uint32_t low;

	EXPECT_EQ(vfio_cfg_read16(&self->pf, PCI_VENDOR_ID),
		  vfio_cfg_read16(d, PCI_VENDOR_ID));
	EXPECT_EQ(0x0010, vfio_cfg_read16(d, PCI_DEVICE_ID));
	EXPECT_EQ(0x00101b36, vfio_cfg_read32(d, PCI_VENDOR_ID));
	EXPECT_EQ(vfio_cfg_read32(&self->pf, PCI_CLASS_REVISION),
		  vfio_cfg_read32(d, PCI_CLASS_REVISION));
	EXPECT_EQ(0, vfio_cfg_read8(d, PCI_INTERRUPT_PIN));
	EXPECT_EQ(0, vfio_cfg_write16(d, PCI_VENDOR_ID, 0x1234));
	EXPECT_EQ(0x1b36, vfio_cfg_read16(d, PCI_VENDOR_ID));

	/* A BAR can be sized, and keeps what is written. */
	low = vfio_cfg_read32(d, PCI_BASE_ADDRESS_0);
	EXPECT_EQ(PCI_BASE_ADDRESS_MEM_TYPE_64,
		  low & PCI_BASE_ADDRESS_MEM_TYPE_MASK);
	ASSERT_EQ(0, vfio_cfg_write32(d, PCI_BASE_ADDRESS_0, 0xffffffff));
	EXPECT_EQ(0xffffc000, vfio_cfg_read32(d, PCI_BASE_ADDRESS_0) &
			      PCI_BASE_ADDRESS_MEM_MASK);
	ASSERT_EQ(0, vfio_cfg_write32(d, PCI_BASE_ADDRESS_0, 0x12345678));
	EXPECT_EQ(0x12344000, vfio_cfg_read32(d, PCI_BASE_ADDRESS_0) &
			      PCI_BASE_ADDRESS_MEM_MASK);
	ASSERT_EQ(0, vfio_cfg_write32(d, PCI_BASE_ADDRESS_0, low));
	ASSERT_EQ(0, vfio_cfg_write32(d, PCI_BASE_ADDRESS_2, 0xffffffff));
	EXPECT_EQ(0, vfio_cfg_read32(d, PCI_BASE_ADDRESS_2));

	/* VFs have no SR-IOV capability, and their PF hides none of it. */
	EXPECT_EQ(0, vfio_cfg_ecap(d, PCI_EXT_CAP_ID_SRIOV));
	EXPECT_NE(0, vfio_cfg_cap(d, PCI_CAP_ID_EXP));
	EXPECT_NE(0, vfio_cfg_cap(d, PCI_CAP_ID_MSIX));
}

/* What a PF shows of its VFs is not to be turned on and off by its user. */
TEST_F(vf, sriov_capability)
{
	int cap = vfio_cfg_ecap(&self->pf, PCI_EXT_CAP_ID_SRIOV);
	uint32_t before, after;

	if (!cap)
		return;
	before = vfio_cfg_read32(&self->pf, cap + PCI_SRIOV_CTRL);
	vfio_cfg_write16(&self->pf, cap + PCI_SRIOV_CTRL, 0);
	after = vfio_cfg_read32(&self->pf, cap + PCI_SRIOV_CTRL);
	EXPECT_EQ(before, after);
	EXPECT_EQ(2, vfio_sriov_get(self->pf.bdf));
}

/*
 * Hardware has no COMMAND.Memory for a VF. It keeps what is written and is on
 * at first, so that no user need know; reads and mappings are never refused.
 */
TEST_F(vf, memory_enable)
{
	const struct vfio_dev *d = &self->vf[0];
	uint32_t value;
	uint8_t *map;
	void *p;
	int i;

	ASSERT_EQ(0, vfio_region_mmap(d, 0, 0, 0x4000, &p));
	map = p;
	EXPECT_TRUE(vfio_cfg_read16(d, PCI_COMMAND) & PCI_COMMAND_MEMORY);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, vfio_cfg_memory(d, i & 1));
		EXPECT_EQ(i & 1 ? PCI_COMMAND_MEMORY : 0,
			  vfio_cfg_read16(d, PCI_COMMAND) & PCI_COMMAND_MEMORY);
		EXPECT_EQ(4, vfio_region_read(d, 0, NVME_CSTS, &value, 4));
		EXPECT_EQ(0, vfio_try_load32(map + NVME_CSTS, &value));
		if (i & 1)
			EXPECT_EQ(NVME_CSTS_CFS, value);
	}
	munmap(p, 0x4000);
}

TEST_F(vf, resets)
{
	const struct vfio_dev *d = &self->vf[0];
	uint32_t value = 0;

	EXPECT_EQ(0, vfio_reset(d));
	EXPECT_EQ(4, vfio_region_read(d, 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(NVME_CSTS_CFS, value);
	EXPECT_EQ(0, vfio_cfg_flr(d));
	EXPECT_EQ(4, vfio_region_read(d, 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(NVME_CSTS_CFS, value);
	EXPECT_EQ(0x1b36, vfio_cfg_read16(d, PCI_VENDOR_ID));
	EXPECT_NE(0, vfio_cfg_cap(d, PCI_CAP_ID_MSIX));
}

TEST_F(vf, msix)
{
	int32_t fds[64];
	uint64_t n;
	int i, j, k;

	for (i = 0; i < 2; i++) {
		const struct vfio_dev *d = &self->vf[i];
		int count = vfio_irq_count(d, VFIO_PCI_MSIX_IRQ_INDEX);

		ASSERT_LT(0, count);
		ASSERT_GE(64, count);
		for (j = 0; j < count; j++) {
			fds[j] = vfio_eventfd();
			ASSERT_LE(0, fds[j]);
		}
		EXPECT_EQ(-EINVAL, vfio_irq_eventfds(d, VFIO_PCI_MSIX_IRQ_INDEX,
						     0, count + 1, fds));
		ASSERT_EQ(0, vfio_irq_eventfds(d, VFIO_PCI_MSIX_IRQ_INDEX, 0,
					       count, fds));
		EXPECT_LE(count, vfio_interrupt_lines(d->bdf));
		for (j = 0; j < count; j++) {
			ASSERT_EQ(0, vfio_irq_trigger(d,
						      VFIO_PCI_MSIX_IRQ_INDEX,
						      j, 1));
			for (k = 0; k < count; k++) {
				n = vfio_eventfd_drain(fds[k]);
				EXPECT_EQ(j == k, n);
			}
		}
		EXPECT_EQ(0, vfio_irq_disable(d, VFIO_PCI_MSIX_IRQ_INDEX));
		EXPECT_EQ(0, vfio_interrupt_lines(d->bdf));
		EXPECT_EQ(-EINVAL, vfio_irq_eventfd(d, VFIO_PCI_INTX_IRQ_INDEX,
						    0, fds[0]));
		for (j = 0; j < count; j++)
			close(fds[j]);
	}
}

/* One VF goes without the other. */
TEST_F(vf, unbind_one)
{
	struct vfio_dev *d = &self->vf[0];
	uint32_t value;

	vfio_dev_close(d);
	ASSERT_EQ(0, vfio_pci_unbind(d->bdf));
	EXPECT_TRUE(vfio_pci_is_there(d->bdf));
	EXPECT_EQ(4, vfio_region_read(&self->vf[1], 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(NVME_CSTS_CFS, value);
	EXPECT_EQ(-EACCES, vfio_token_open(d, d->bdf, NULL));
	EXPECT_EQ(0, vfio_token_open(d, d->bdf, token));
}

/* A bus reset would hit the PF and all its VFs: all are listed. */
TEST_F(vf, hot_reset)
{
	struct {
		struct vfio_pci_hot_reset_info head;
		struct vfio_pci_dependent_device devices[8];
	} arg = { .head.argsz = sizeof(arg) };
	int32_t groups[3] = {
		self->vf[0].group, self->vf[1].group, self->pf.group,
	};
	unsigned int seen = 0, i;
	uint32_t value;

	ASSERT_EQ(0, vfio_ioctl(self->vf[0].device,
				VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &arg));
	ASSERT_EQ(3, arg.head.count);
	for (i = 0; i < arg.head.count; i++) {
		EXPECT_EQ(i, arg.devices[i].devfn);
		seen |= (arg.devices[i].group_id == self->pf.group_id) |
			(arg.devices[i].group_id == self->vf[0].group_id) << 1 |
			(arg.devices[i].group_id == self->vf[1].group_id) << 2;
	}
	EXPECT_EQ(7, seen);

	/* All of their groups, or nothing. */
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->vf[0].device, groups, 1));
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->vf[0].device, groups, 2));
	EXPECT_EQ(-EINVAL, vfio_hot_reset(self->pf.device, groups + 1, 2));
	EXPECT_EQ(4, vfio_region_read(&self->vf[0], 0, NVME_CSTS, &value, 4));
	EXPECT_EQ(NVME_CSTS_CFS, value);
}

/* A reset that takes long, in a thread of its own. */
static void *reset_it(void *arg)
{
	vfio_reset(arg);
	return NULL;
}

/*
 * One VF does not come back from its user's reset, and the PF is to be reset, which waits
 * for that. Nobody who lets go of another VF, or takes it, waits along.
 */
TEST_F_TIMEOUT(vf, another_is_being_reset, 120)
{
	const char *busy = self->vf[0].bdf, *other = self->vf[1].bdf;
	uint64_t end = vfio_now_ms() + 20000;
	pthread_t vf_reset, pf_reset;
	pid_t remover;
	char set[128];

	snprintf(set, sizeof(set), "set=%s+0=ffff0001,%s+4=ffffffff", busy, busy);
	if (vfio_overlay_load(set, NULL))
		SKIP(return, "no test_pci_overlay.ko here");
	vfio_klog_count(self->klog, "");
	ASSERT_EQ(0, pthread_create(&vf_reset, NULL, reset_it, &self->vf[0]));
	while (!vfio_klog_count(self->klog, "not ready") && vfio_now_ms() < end)
		usleep(10000);
	EXPECT_GT(end, vfio_now_ms());
	ASSERT_EQ(0, pthread_create(&pf_reset, NULL, reset_it, &self->pf));
	usleep(200000);

	vfio_dev_close(&self->vf[1]);
	remover = vfio_remover_start(other, "driver/unbind");
	ASSERT_LT(0, remover);
	EXPECT_EQ(0, vfio_remover_wait(remover, 5000));

	EXPECT_EQ(0, vfio_overlay_unload(NULL));
	pthread_join(vf_reset, NULL);
	pthread_join(pf_reset, NULL);
}

/*
 * Who resets the PF takes the VFs' memory away. In QEMU they do not come back, so
 * they are to do without resets of their own here, which would wait for them.
 */
FIXTURE(pf_reset)
{
	struct vfio_dev pf;
	struct vfio_dev vf[2];
	void *map;
};

FIXTURE_VARIANT(pf_reset)
{
	int (*how)(struct vfio_dev *pf);
	bool closed;		/* before that */
};

static int reset_by_sysfs(struct vfio_dev *pf)
{
	return vfio_pci_attr_write(pf->bdf, "reset", "1");
}

static int reset_by_close(struct vfio_dev *pf)
{
	int ret = close(pf->device);

	pf->device = -1;
	return ret;
}

static int reset_by_open(struct vfio_dev *pf)
{
	pf->device = vfio_token_fd(pf, token);
	return pf->device < 0 ? pf->device : 0;
}

static int reset_by_user(struct vfio_dev *pf)
{
	return vfio_reset(pf);
}

FIXTURE_VARIANT_ADD(pf_reset, sysfs) { reset_by_sysfs };
FIXTURE_VARIANT_ADD(pf_reset, user) { reset_by_user };
FIXTURE_VARIANT_ADD(pf_reset, last_close) { reset_by_close };
FIXTURE_VARIANT_ADD(pf_reset, first_open) { reset_by_open, true };

FIXTURE_SETUP(pf_reset)
{
	char pf[VFIO_BDF_LEN], vf[2][VFIO_BDF_LEN];
	int i;

	if (vfio_sriov_find(pf))
		SKIP(_exit(KSFT_SKIP), "no PF here");
	ASSERT_EQ(0, vfio_pci_bind(pf));
	ASSERT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "Y"));
	ASSERT_EQ(0, vfio_token_open(&self->pf, pf, token));
	if (variant->closed)
		ASSERT_EQ(0, reset_by_close(&self->pf));
	ASSERT_EQ(0, vfio_sriov_make(pf, vf));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vfio_pci_attr_write(vf[i], "reset_method", "\n"));
		ASSERT_EQ(0, vfio_token_open(&self->vf[i], vf[i], token));
	}
	ASSERT_EQ(0, vfio_region_mmap(&self->vf[0], 0, 0, 0x4000, &self->map));
}

FIXTURE_TEARDOWN(pf_reset)
{
	munmap(self->map, 0x4000);
	vfio_dev_close(&self->vf[1]);
	vfio_dev_close(&self->vf[0]);
	EXPECT_EQ(0, vfio_sriov_set(self->pf.bdf, 0));
	vfio_dev_close(&self->pf);
	EXPECT_EQ(0, vfio_sysfs_write(VFIO_SRIOV_PARAM, "N"));
}

struct pf_resetter {
	struct vfio_dev *pf;
	int (*how)(struct vfio_dev *pf);
	int ret;
	bool over;
};

static void *reset_pf(void *arg)
{
	struct pf_resetter *r = arg;

	r->ret = r->how(r->pf);
	__atomic_store_n(&r->over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Before what the reset makes of the memory comes the refusal. */
TEST_F_TIMEOUT(pf_reset, vfs_are_held, 60)
{
	struct pf_resetter r = { .pf = &self->pf, .how = variant->how };
	const uint8_t *csts = (uint8_t *)self->map + NVME_CSTS;
	int refused[2] = {}, faults = 0, wrong = 0, i, ret;
	pthread_t thread;
	uint32_t value;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(4, vfio_region_read(&self->vf[i], 0, NVME_CSTS,
					      &value, 4));
		ASSERT_EQ(NVME_CSTS_CFS, value);
	}
	ASSERT_EQ(0, vfio_try_load32(csts, &value));

	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_pf, &r));
	while (!__atomic_load_n(&r.over, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < 2; i++) {
			value = NVME_CSTS_CFS;
			ret = vfio_region_read(&self->vf[i], 0, NVME_CSTS,
					       &value, 4);
			refused[i] += ret == -EIO;
			wrong += !refused[i] && value != NVME_CSTS_CFS;
		}
		value = NVME_CSTS_CFS;
		faults += !!vfio_try_load32(csts, &value);
		wrong += !faults && value != NVME_CSTS_CFS;
		usleep(1000);
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, r.ret);
	EXPECT_EQ(0, wrong);
	EXPECT_LT(0, faults);

	/* And no gate stays closed. */
	for (i = 0; i < 2; i++) {
		EXPECT_LT(0, refused[i]);
		EXPECT_EQ(4, vfio_region_read(&self->vf[i], 0, NVME_CSTS,
					      &value, 4));
	}
	EXPECT_EQ(0, vfio_try_load32(csts, &value));
}

TEST_HARNESS_MAIN
