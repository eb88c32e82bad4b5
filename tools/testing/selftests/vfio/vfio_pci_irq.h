/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of interrupts and of ioeventfds share. */
#ifndef VFIO_PCI_IRQ_H
#define VFIO_PCI_IRQ_H

#include <endian.h>
#include <stdio.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../kselftest_harness.h"
#include "vfio_util.h"

/* edu raises INTx or MSI when told to, and holds INTx until it is acked. */
#define EDU		"1234:11e8"
#define EDU_LIVE	0x04	/* reads as the complement of what was written */
#define EDU_IRQ_STATUS	0x24
#define EDU_IRQ_RAISE	0x60
#define EDU_IRQ_ACK	0x64

/* e1000e raises any of its five MSI-X vectors when told to. */
#define E1000E		"8086:10d3"
#define E1000E_VECTORS	5

/* NVMe has many MSI-X vectors, ivshmem a BAR of plain memory. */
#define NVME		"1b36:0010"
#define IVSHMEM		"1af4:1110"

#define INTX		VFIO_PCI_INTX_IRQ_INDEX
#define MSI		VFIO_PCI_MSI_IRQ_INDEX
#define MSIX		VFIO_PCI_MSIX_IRQ_INDEX
#define ERR		VFIO_PCI_ERR_IRQ_INDEX
#define REQ		VFIO_PCI_REQ_IRQ_INDEX

#define NONE		VFIO_IRQ_SET_DATA_NONE
#define BOOL		VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD		VFIO_IRQ_SET_DATA_EVENTFD
#define MASK		VFIO_IRQ_SET_ACTION_MASK
#define UNMASK		VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER		VFIO_IRQ_SET_ACTION_TRIGGER

/* No file has this descriptor. */
#define CLOSED_FD	(1 << 20)

/* Long enough for an emulated machine to deliver, or to prove it did not. */
#define SOON_MS		2000
#define NEVER_MS	50

#define EXPECT_EVENT(fd)  EXPECT_EQ(0, vfio_eventfd_wait(fd, SOON_MS, NULL))
#define EXPECT_SILENT(fd) \
	EXPECT_EQ(-ETIMEDOUT, vfio_eventfd_wait(fd, NEVER_MS, NULL))

/* Registers are little-endian, whatever the CPU is. */
static inline int reg_write(const struct vfio_dev *d, uint32_t index,
			    uint64_t reg, uint32_t value)
{
	uint32_t bytes = htole32(value);

	return vfio_region_write(d, index, reg, &bytes, 4) == 4 ? 0 : -EIO;
}

static inline uint32_t reg_read(const struct vfio_dev *d, uint32_t index,
				uint64_t reg)
{
	uint32_t bytes = 0;

	return vfio_region_read(d, index, reg, &bytes, 4) == 4 ?
	       le32toh(bytes) : ~0u;
}

static inline int edu_raise(const struct vfio_dev *d)
{
	return reg_write(d, 0, EDU_IRQ_RAISE, 1);
}

static inline int edu_ack(const struct vfio_dev *d)
{
	return reg_write(d, 0, EDU_IRQ_ACK, ~0u);
}

static inline int set_bools(const struct vfio_dev *d, uint32_t action,
			    uint32_t index, uint32_t start, uint32_t count,
			    const uint8_t *bools)
{
	return vfio_irq_set(d, BOOL | action, index, start, count, bools,
			    count);
}

/* Lines of /proc/interrupts that name this interrupt of the device. */
static inline int has_line(const struct vfio_dev *d, const char *name)
{
	char needle[64];

	snprintf(needle, sizeof(needle), "%s(%s)", name, d->bdf);
	return vfio_interrupt_lines(needle);
}

#endif
