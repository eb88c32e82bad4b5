// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioeventfd: a write to a BAR that the kernel makes when an eventfd is
 * signalled, for a hypervisor whose guest rings a doorbell.
 *
 * The eventfd wakes us in atomic context. If memory_lock can be had without
 * waiting the write is made there and then, else by a work that waits for the
 * lock. All ioeventfds of a device have one work together: a device that is being
 * reset keeps one worker busy, however many it has and whoever rings. With the
 * gate closed the write goes nowhere, as it would in hardware.
 *
 * ioeventfds_lock covers the list. An entry is freed after its virqfd was
 * disabled, so that it is not rung any more, and the work was flushed; the BAR
 * stays mapped until the last close, after the list is empty.
 */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "vfio_pci_priv.h"

/* Each is a wait queue entry and memory on a user's behalf. */
#define VFIO_PCI_IOEVENTFDS_MAX	1000

/**
 * struct vfio_pci_ioeventfd_worker - makes the writes that have to wait
 * @vdev: the device
 * @work: makes them
 * @lock: covers the next
 * @rung: struct vfio_pci_ioeventfd, in the order in which they were rung
 */
struct vfio_pci_ioeventfd_worker {
	struct vfio_pci_core_device *vdev;
	struct work_struct work;
	spinlock_t lock;	/* rung */
	struct list_head rung;
};

/**
 * struct vfio_pci_ioeventfd - one such write
 * @vdev: the device
 * @next: in the device's ioeventfds_list
 * @rung: in its worker's list, or empty
 * @virqfd: the eventfd's hold on us
 * @bar: which BAR
 * @count: width in bytes
 * @pos: where, in the BAR
 * @data: what
 * @gated: the BAR is memory, not I/O ports
 */
struct vfio_pci_ioeventfd {
	struct vfio_pci_core_device *vdev;
	struct list_head next;
	struct list_head rung;
	struct virqfd *virqfd;
	unsigned int bar;
	int count;
	u64 pos;
	u64 data;
	bool gated;
};

/*
 * For a memory BAR, memory_lock is held for read. It says nothing of a write that
 * goes nowhere: a guest can ring as often as it likes.
 */
static void vfio_pci_ioeventfd_write(struct vfio_pci_ioeventfd *io)
{
	struct vfio_pci_core_device *vdev = io->vdev;
	void __iomem *addr;
	bool wc;

	if (io->gated && !vfio_pci_gate_is_open(vdev))
		return;
	addr = vfio_pci_bar_io(vdev, io->bar, io->pos, &wc);
	if (!addr)
		return;

	switch (io->count) {
	case 1:
		vfio_pci_core_iowrite8(vdev, false, io->data, addr);
		break;
	case 2:
		vfio_pci_core_iowrite16(vdev, false, io->data, addr);
		break;
	case 4:
		vfio_pci_core_iowrite32(vdev, false, io->data, addr);
		break;
	case 8:
		vfio_pci_core_iowrite64(vdev, false, io->data, addr);
		break;
	}
	if (wc) {
		/* It rings now, and not when there is more to write. */
		wmb();
	}
}

/* The eventfd was signalled. */
static int vfio_pci_ioeventfd_handler(void *opaque, void *unused)
{
	struct vfio_pci_ioeventfd_worker *worker;
	struct vfio_pci_ioeventfd *io = opaque;
	unsigned long flags;

	if (!io->gated || down_read_trylock(&io->vdev->memory_lock)) {
		vfio_pci_ioeventfd_write(io);
		if (io->gated)
			up_read(&io->vdev->memory_lock);
		return 0;
	}

	/* If it is to be written already, that comes after this. */
	worker = io->vdev->ioeventfd_worker;
	spin_lock_irqsave(&worker->lock, flags);
	if (list_empty(&io->rung))
		list_add_tail(&io->rung, &worker->rung);
	spin_unlock_irqrestore(&worker->lock, flags);
	queue_work(system_unbound_wq, &worker->work);
	return 0;
}

static struct vfio_pci_ioeventfd *
vfio_pci_ioeventfd_next(struct vfio_pci_ioeventfd_worker *worker,
			struct list_head *rung)
{
	struct vfio_pci_ioeventfd *io;

	spin_lock_irq(&worker->lock);
	io = list_first_entry_or_null(rung, struct vfio_pci_ioeventfd, rung);
	if (io)
		list_del_init(&io->rung);
	spin_unlock_irq(&worker->lock);
	return io;
}

/* What is rung meanwhile has it run again, behind who waits to close the gate. */
static void vfio_pci_ioeventfd_work(struct work_struct *work)
{
	struct vfio_pci_ioeventfd_worker *worker =
		container_of(work, struct vfio_pci_ioeventfd_worker, work);
	struct vfio_pci_ioeventfd *io;
	LIST_HEAD(rung);

	down_read(&worker->vdev->memory_lock);
	spin_lock_irq(&worker->lock);
	list_splice_init(&worker->rung, &rung);
	spin_unlock_irq(&worker->lock);
	while ((io = vfio_pci_ioeventfd_next(worker, &rung)))
		vfio_pci_ioeventfd_write(io);
	up_read(&worker->vdev->memory_lock);
}

/* The device has one from its first ioeventfd until its last close. */
static int vfio_pci_ioeventfd_worker_make(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_ioeventfd_worker *worker;

	lockdep_assert_held(&vdev->ioeventfds_lock);
	if (vdev->ioeventfd_worker)
		return 0;

	worker = kzalloc(sizeof(*worker), GFP_KERNEL_ACCOUNT);
	if (!worker)
		return -ENOMEM;

	worker->vdev = vdev;
	INIT_WORK(&worker->work, vfio_pci_ioeventfd_work);
	spin_lock_init(&worker->lock);
	INIT_LIST_HEAD(&worker->rung);
	vdev->ioeventfd_worker = worker;
	return 0;
}

static void vfio_pci_ioeventfd_free(struct vfio_pci_core_device *vdev,
				    struct vfio_pci_ioeventfd *io)
{
	vfio_virqfd_disable(&io->virqfd);
	flush_work(&vdev->ioeventfd_worker->work);
	list_del(&io->next);
	/* debugfs reads it without the lock, here and where it grows. */
	WRITE_ONCE(vdev->ioeventfds_nr, vdev->ioeventfds_nr - 1);
	kfree(io);
}

static struct vfio_pci_ioeventfd *
vfio_pci_ioeventfd_find(struct vfio_pci_core_device *vdev, unsigned int bar,
			u64 pos, u64 data, int count)
{
	struct vfio_pci_ioeventfd *io;

	list_for_each_entry(io, &vdev->ioeventfds_list, next) {
		if (io->bar == bar && io->pos == pos && io->data == data &&
		    io->count == count)
			return io;
	}

	return NULL;
}

static int vfio_pci_ioeventfd_add(struct vfio_pci_core_device *vdev,
				  unsigned int bar, u64 pos, u64 data,
				  int count, int fd)
{
	struct vfio_pci_ioeventfd *io;
	int ret;

	if (vdev->ioeventfds_nr >= VFIO_PCI_IOEVENTFDS_MAX) {
		pci_notice_ratelimited(vdev->pdev,
				       "no more than %d ioeventfds\n",
				       VFIO_PCI_IOEVENTFDS_MAX);
		return -ENOSPC;
	}

	ret = vfio_pci_bar_setup(vdev, bar);
	if (!ret)
		ret = vfio_pci_ioeventfd_worker_make(vdev);
	if (ret)
		return ret;

	io = kzalloc(sizeof(*io), GFP_KERNEL_ACCOUNT);
	if (!io)
		return -ENOMEM;

	INIT_LIST_HEAD(&io->rung);
	io->vdev = vdev;
	io->data = data;
	io->pos = pos;
	io->bar = bar;
	io->count = count;
	io->gated = pci_resource_flags(vdev->pdev, bar) & IORESOURCE_MEM;

	ret = vfio_virqfd_enable(io, vfio_pci_ioeventfd_handler, NULL, NULL,
				 &io->virqfd, fd);
	if (ret) {
		kfree(io);
		return ret;
	}

	list_add(&io->next, &vdev->ioeventfds_list);
	WRITE_ONCE(vdev->ioeventfds_nr, vdev->ioeventfds_nr + 1);
	return 0;
}

/*
 * One access, in one part of the BAR, however it is or will be divided: parts are
 * whole pages (barmap.c). Only x86 takes an unaligned one of device memory.
 */
static bool vfio_pci_ioeventfd_fits(u64 pos, int count)
{
	if (!IS_ENABLED(CONFIG_X86))
		return IS_ALIGNED(pos, count);
	return offset_in_page(pos) + count <= PAGE_SIZE;
}

/**
 * vfio_pci_ioeventfd - VFIO_DEVICE_IOEVENTFD
 * @vdev: the device
 * @offset: of the write, in the device file
 * @data: value to write
 * @count: its width: 1, 2, 4 or 8
 * @fd: an eventfd, or -1 to undo what was set up with the same arguments
 *
 * Return: 0. -EINVAL if @offset is not in a BAR, leads from one page to the next,
 * is not aligned where it has to be or overlaps the MSI-X table, or @fd is no
 * eventfd; -EBADF; -EEXIST if the same write is set up already; -ENODEV if there
 * is nothing to undo; -ENOSPC if the device has as many as it may; -EBUSY or
 * -ENOMEM if the BAR cannot be mapped; -ENOMEM.
 * Context: may sleep; takes ioeventfds_lock.
 */
long vfio_pci_ioeventfd(struct vfio_pci_core_device *vdev, loff_t offset,
			u64 data, int count, int fd)
{
	u64 index = VFIO_PCI_OFFSET_TO_INDEX((u64)offset);
	u64 pos = offset & VFIO_PCI_OFFSET_MASK;
	struct vfio_pci_ioeventfd *io;
	unsigned int bar;
	u64 table_end;
	int ret = 0;

	if (index > VFIO_PCI_BAR5_REGION_INDEX)
		return -EINVAL;

	bar = array_index_nospec((unsigned int)index, PCI_STD_NUM_BARS);
	if (pos + count > pci_resource_len(vdev->pdev, bar) ||
	    !vfio_pci_ioeventfd_fits(pos, count))
		return -EINVAL;

	/* The table is the kernel's; msix_bar of a device without it matches none. */
	table_end = (u64)vdev->msix_offset + vdev->msix_size;
	if (bar == vdev->msix_bar && pos < table_end &&
	    pos + count > vdev->msix_offset)
		return -EINVAL;

	mutex_lock(&vdev->ioeventfds_lock);
	io = vfio_pci_ioeventfd_find(vdev, bar, pos, data, count);
	if (io && fd >= 0)
		ret = -EEXIST;
	else if (io)
		vfio_pci_ioeventfd_free(vdev, io);
	else if (fd < 0)
		ret = -ENODEV;
	else
		ret = vfio_pci_ioeventfd_add(vdev, bar, pos, data, count, fd);
	mutex_unlock(&vdev->ioeventfds_lock);

	return ret;
}

/**
 * vfio_pci_ioeventfds_release - last close: no ioeventfd is left
 * @vdev: the device, its BARs still mapped
 *
 * Context: may sleep; takes ioeventfds_lock.
 */
void vfio_pci_ioeventfds_release(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_ioeventfd *io, *next;

	mutex_lock(&vdev->ioeventfds_lock);
	list_for_each_entry_safe(io, next, &vdev->ioeventfds_list, next)
		vfio_pci_ioeventfd_free(vdev, io);
	kfree(vdev->ioeventfd_worker);
	vdev->ioeventfd_worker = NULL;
	mutex_unlock(&vdev->ioeventfds_lock);
}
