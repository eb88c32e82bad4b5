// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate in front of a device's memory.
 *
 * A BAR is read and written by CPUs through page tables, by other devices
 * through an IOMMU that a user programmed or as a dma-buf, and by the kernel for
 * a user: read(), write(), ioeventfd. It answers only while the function
 * decodes memory, is in D0, is not being reset and is still on the bus. An
 * access at any other time ends as a machine check on some platforms and as all
 * ones on the rest, so nobody may be able to make one.
 *
 * vdev->gate_open says whether the memory is there. It is written under
 * memory_lock held for write and read under memory_lock held for read, by
 * everyone who is about to touch device memory or to make it reachable: a
 * reader holds the lock until its access is over, which is how closing the
 * gate waits for it.
 *
 * Closing, in this order:
 *  1. stop what was exported as dma-bufs, if anything was, and, where there may be
 *     waiting, wait until the importers have let go (dmabuf.c). Nobody else is held up
 *     by that;
 *  2. take memory_lock for write: accesses that are under way end, no new one
 *     begins, and no fault can put a page table entry in. Nor does an export begin.
 *     If one did since 1. found none, drop the lock and do 1. again;
 *  3. clear gate_open, for those who come once the lock is free again;
 *  4. remove the translations of other devices' IOMMUs (peer.c): their DMA
 *     takes no fault that could wait;
 *  5. zap the BARs' range of the device's inode, and that of aliases of BARs:
 *     it finds every mapping in every process, because every open file of the
 *     device maps through that inode.
 * The caller then does to the device whatever it closed the gate for, holding
 * the lock. Opening looks at the hardware again instead of assuming what the
 * caller did: a reset may leave decoding off, a power state write may fail.
 * So closer and opener need no knowledge of each other, nesting reasons to
 * stay closed cannot get lost, and a gate that has nothing to let in stays
 * closed. Peers' translations are made again, importers of dma-bufs are told that
 * they may map; mappings come back by faulting.
 *
 * What no register shows is kept in gate_holds: while any bit of it is set the
 * gate stays closed whatever the hardware says. The bits are changed between
 * close and open.
 *
 * Errors. The platform says that it froze the device, and does not say when it
 * has given up: where a sibling without a driver keeps it from recovering, the
 * PCI core's error_state stays what it is for good. So errors are counted here,
 * and what ends one is that the platform resumes the device, or a reset of ours
 * that began after it and succeeded. Between telling us and resuming the platform
 * resets the link itself, and tells nobody. So it gets a moment for that, in which no
 * reset of ours ends the error: vfio_pci_gate_reset_begin(). Who is about to reset
 * waits for the end of the moment, where he may.
 * gate.pml is a model of all this.
 *
 * Resets by others (sysfs, another driver's hot reset of the bus) pass through
 * the driver's reset_prepare() and reset_done(). In between there is a hold, and not
 * the lock: the PCI core takes pci_bus_sem meanwhile. Who resets a function has
 * its configuration space locked (pci_cfg_access_lock()), then calls us and
 * waits for memory_lock, so nobody waits for the former with the latter held:
 * who needs both takes memory_lock and tries the other (config_write.c).
 *
 * Locks: dev_set->lock, then mmap_lock, barmap_lock (barmap.c), memory_lock,
 * then what the zap and the peers' callbacks take. memory_lock is
 * never held around a copy to or from user memory: the page may be a BAR of this
 * device, whose fault takes the lock again.
 * To hold the lock of several devices, close the first and try_close the others;
 * who fails opens what it has and reports -EBUSY.
 * pci_bus_sem nests inside, for a bus reset; the AER core, which calls with it
 * held, has ways of its own in (vfio_pci_gate_error(), vfio_pci_gate_resume()).
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
#include "vfio_pci_priv.h"

/*
 * How long after an error may the platform take to begin with the reset of the link?
 * It asks the drivers first, and for each takes the lock of its device, which somebody
 * may hold for longer; then this is too short. From then on it has the lock of this one.
 */
#define VFIO_PCI_RECOVERY	HZ

/* How often is the PCI core asked about an error of whose end the driver hears nothing? */
#define VFIO_PCI_ASK_AGAIN	HZ

/* A VF has no memory enable of its own, and others without are taken to be on. */
static bool vfio_pci_command_decodes(struct vfio_pci_core_device *vdev, u16 cmd)
{
	return vdev->pdev->no_command_memory ?
	       vfio_pci_vf_decodes(vdev) :
	       !PCI_POSSIBLE_ERROR(cmd) && (cmd & PCI_COMMAND_MEMORY);
}

static bool vfio_pci_decodes_memory(struct vfio_pci_core_device *vdev)
{
	u16 cmd = 0;

	if (!vdev->pdev->no_command_memory)
		pci_read_config_word(vdev->pdev, PCI_COMMAND, &cmd);
	return vfio_pci_command_decodes(vdev, cmd);
}

/**
 * vfio_pci_gate_has_error - is there an error that is not over?
 * @vdev: the device
 *
 * Context: any. The answer is good with memory_lock held for write and the gate
 * closed, but for an error that comes now.
 * Return: true for a device that the platform froze, or that is gone.
 */
bool vfio_pci_gate_has_error(struct vfio_pci_core_device *vdev)
{
	return READ_ONCE(vdev->errors) != READ_ONCE(vdev->errors_over) ||
	       pci_dev_is_disconnected(vdev->pdev);
}

/* The first @nr errors are over; who says so of more may have been quicker. */
static void vfio_pci_gate_errors_end(struct vfio_pci_core_device *vdev,
				     unsigned int nr)
{
	unsigned int over = READ_ONCE(vdev->errors_over);

	while ((int)(nr - over) > 0 &&
	       !try_cmpxchg(&vdev->errors_over, &over, nr))
		;
}

/* Those that COMMAND does not show. */
static unsigned int vfio_pci_gate_holders(struct vfio_pci_core_device *vdev)
{
	unsigned int reasons = vdev->gate_holds;

	if (vdev->pdev->current_state != PCI_D0)
		reasons |= VFIO_PCI_REASON_POWER;
	if (vfio_pci_gate_has_error(vdev))
		reasons |= VFIO_PCI_REASON_ERROR;
	return reasons;
}

/**
 * vfio_pci_gate_reasons - why is the memory not there?
 * @vdev: the device
 *
 * A device that is away for another reason is not asked whether it decodes.
 *
 * Context: memory_lock is held.
 * Return: VFIO_PCI_HOLD_* and VFIO_PCI_REASON_*, 0 if the memory is there.
 */
unsigned int vfio_pci_gate_reasons(struct vfio_pci_core_device *vdev)
{
	unsigned int reasons = vfio_pci_gate_holders(vdev);

	if (!reasons && !vfio_pci_decodes_memory(vdev))
		reasons |= VFIO_PCI_REASON_DECODE;
	return reasons;
}

/* memory_lock is held for write; it was asked for at @start. */
static void vfio_pci_gate_cut_readers(struct vfio_pci_core_device *vdev,
				      enum vfio_pci_gate_cause cause,
				      ktime_t start)
{
	struct vfio_pci_gate_closer *closer = &vdev->gate_closers[cause];
	bool was_open = vdev->gate_open;

	static_assert(ARRAY_SIZE(vdev->gate_closers) == VFIO_PCI_GATE_NR_CAUSES);

	if (was_open) {
		WRITE_ONCE(vdev->gate_open, false);
		if (!list_empty(&vdev->peers))
			vfio_pci_peers_unmap(vdev);
		vfio_pci_zap_bars(vdev);
	}

	vdev->gate_cause = cause;
	vdev->gate_closed_at = 0;
	if (start) {
		vdev->gate_closed_at = ktime_get();
		closer->count++;
		closer->cut += was_open;
		closer->cut_ns += vdev->gate_closed_at - start;
		closer->last = start;
		trace_vfio_pci_gate_close(vdev->pdev, cause, was_open,
					  vdev->gate_closed_at - start);
	}
}

/* Time is looked at only where someone wants to know it. */
static ktime_t vfio_pci_gate_clock(void)
{
	return IS_ENABLED(CONFIG_VFIO_DEBUGFS) ||
	       trace_vfio_pci_gate_close_enabled() ||
	       trace_vfio_pci_gate_open_enabled() ? ktime_get() : 0;
}

/*
 * Take memory_lock for write while nobody can map an export of the device: the exports
 * are @stopped, or there are none. An export begins with the lock held for read
 * (vfio_pci_dmabuf_add()), so who holds it for write and finds none knows that there is
 * none before he drops it. One that leaves the list has no importer.
 *
 * Returns false, without the lock, where there are exports, which have to be stopped
 * first. The look under the lock is the one that counts: an export may have begun since
 * the other, and its importer's DMA would go on while the memory goes.
 */
static bool vfio_pci_gate_lock(struct vfio_pci_core_device *vdev, bool stopped)
{
	/* Who sees this at once need not wait for the lock twice. */
	if (!stopped && !list_empty(&vdev->dmabufs))
		return false;

	down_write(&vdev->memory_lock);
	vdev->dmabufs_stopped = stopped;
	if (stopped || list_empty(&vdev->dmabufs))
		return true;
	up_write(&vdev->memory_lock);
	return false;
}

/**
 * vfio_pci_gate_close - cut every reader off from device memory
 * @vdev: the device
 * @cause: why
 *
 * Who holds dma-bufs of it is waited for a while, and then has them taken away.
 *
 * Context: may sleep; takes memory_lock for write and returns with it held.
 */
void vfio_pci_gate_close(struct vfio_pci_core_device *vdev,
			 enum vfio_pci_gate_cause cause)
{
	ktime_t start = vfio_pci_gate_clock();
	bool stopped = false;

	while (!vfio_pci_gate_lock(vdev, stopped)) {
		vfio_pci_dmabufs_stop(vdev);
		vfio_pci_dmabufs_evict(vdev, cause);
		stopped = true;
	}
	vfio_pci_gate_cut_readers(vdev, cause, start);
}

/**
 * vfio_pci_gate_close_killable - the same, for a user who can be refused
 * @vdev: the device
 * @cause: why
 *
 * Who holds dma-bufs of it is waited for.
 *
 * Return: 0 with memory_lock held for write; -EINTR, with nothing done, where the
 * caller was killed.
 * Context: may sleep, for as long as importers need.
 */
int vfio_pci_gate_close_killable(struct vfio_pci_core_device *vdev,
				 enum vfio_pci_gate_cause cause)
{
	ktime_t start = vfio_pci_gate_clock();
	bool stopped = false;
	int ret;

	while (!vfio_pci_gate_lock(vdev, stopped)) {
		vfio_pci_dmabufs_stop(vdev);
		ret = vfio_pci_dmabufs_drain(vdev, NULL);
		if (ret) {
			vfio_pci_dmabufs_go(vdev);
			return ret;
		}
		stopped = true;
	}
	vfio_pci_gate_cut_readers(vdev, cause, start);
	return 0;
}

/**
 * vfio_pci_gate_try_close - close the gate of one more device
 * @vdev: the device
 * @cause: why
 *
 * For callers that hold another device's memory_lock already, or others' locks.
 * No importer of dma-bufs is waited for.
 *
 * Return: false, with nothing done, where the lock is contended.
 */
bool vfio_pci_gate_try_close(struct vfio_pci_core_device *vdev,
			     enum vfio_pci_gate_cause cause)
{
	ktime_t start = vfio_pci_gate_clock();

	if (!down_write_trylock(&vdev->memory_lock))
		return false;

	vdev->dmabufs_stopped = !list_empty(&vdev->dmabufs);
	if (vdev->dmabufs_stopped)
		vfio_pci_dmabufs_stop(vdev);
	vfio_pci_gate_cut_readers(vdev, cause, start);
	return true;
}

static void vfio_pci_gate_account(struct vfio_pci_core_device *vdev)
{
	struct vfio_pci_gate_closer *closer =
		&vdev->gate_closers[vdev->gate_cause];
	ktime_t now = ktime_get();
	u64 shut_ns = now - vdev->gate_closed_at;

	closer->shut_ns += shut_ns;
	closer->longest_ns = max_t(u64, closer->longest_ns, now - closer->last);
	trace_vfio_pci_gate_open(vdev->pdev, vdev->gate_cause, vdev->gate_open,
				 shut_ns);
}

/* @reasons were found with memory_lock held for write, which is dropped. */
static void vfio_pci_gate_open_unless(struct vfio_pci_core_device *vdev,
				      unsigned int reasons)
{
	const unsigned int answers = VFIO_PCI_HOLD_NOT_OPEN |
				     VFIO_PCI_REASON_DECODE;
	bool stopped = vdev->dmabufs_stopped;

	WRITE_ONCE(vdev->gate_open, !reasons);
	/* Pairs with the one in vfio_pci_gate_error(). */
	smp_mb();
	if (vfio_pci_gate_has_error(vdev))
		WRITE_ONCE(vdev->gate_open, false);

	if (vfio_pci_gate_admits_maps(vdev)) {
		vfio_pci_absent_end(vdev);
		if (!list_empty(&vdev->peers))
			vfio_pci_peers_map(vdev);
	}
	if (!(reasons & ~answers)) {
		vfio_pci_msi_thaw(vdev, !reasons);
		if (vdev->pm_intx_masked)
			vfio_pci_intx_thaw(vdev);
	}
	if (vdev->gate_closed_at)
		vfio_pci_gate_account(vdev);
	up_write(&vdev->memory_lock);
	if (stopped)
		vfio_pci_dmabufs_go(vdev);
}

/**
 * vfio_pci_gate_open - let the readers in again if the memory is there
 * @vdev: the device
 *
 * Context: memory_lock is held for write and dropped.
 */
void vfio_pci_gate_open(struct vfio_pci_core_device *vdev)
{
	vfio_pci_gate_open_unless(vdev, vfio_pci_gate_reasons(vdev));
}

/**
 * vfio_pci_gate_open_command - the same, for who has just written COMMAND
 * @vdev: the device
 * @cmd: what the register is. If it has the memory bit, it was read after it was
 *	written: the bit may be missing, or the function gone
 *
 * Context: as vfio_pci_gate_open().
 */
void vfio_pci_gate_open_command(struct vfio_pci_core_device *vdev, u16 cmd)
{
	unsigned int reasons = vfio_pci_gate_holders(vdev);

	if (!vfio_pci_command_decodes(vdev, cmd))
		reasons |= VFIO_PCI_REASON_DECODE;
	vfio_pci_gate_open_unless(vdev, reasons);
}

/**
 * vfio_pci_gate_error - the platform froze the device after an error
 * @vdev: the device
 *
 * The caller holds pci_bus_sem, which a bus reset takes with the gate closed, so
 * there is no waiting for who closed it. Nor is there a need to: it opens only
 * after another look at the errors. Readers hold the lock for moments.
 *
 * Context: may sleep; the PCI device's lock is held.
 */
void vfio_pci_gate_error(struct vfio_pci_core_device *vdev)
{
	const struct pci_error_handlers *handlers =
		vdev->pdev->driver->err_handler;

	WRITE_ONCE(vdev->recovery_end, jiffies + VFIO_PCI_RECOVERY);
	/* Pairs with the acquire in vfio_pci_gate_recovery_left(). */
	smp_store_release(&vdev->recovers, true);
	/* Pairs with the acquire in vfio_pci_gate_reset_begin(). */
	smp_store_release(&vdev->errors, vdev->errors + 1);
	if (!handlers->resume)
		schedule_delayed_work(&vdev->gate_resume, VFIO_PCI_ASK_AGAIN);
	while (!vfio_pci_gate_try_close(vdev, VFIO_PCI_GATE_AER)) {
		/* Either we see it closed, or who opens it sees the error. */
		smp_mb();
		if (!READ_ONCE(vdev->gate_open))
			return;
		usleep_range(100, 1000);
	}
	vfio_pci_gate_open(vdev);
}

/* The first @nr errors are over, because the platform has dealt with them. */
static void vfio_pci_gate_recovered(struct vfio_pci_core_device *vdev,
				    unsigned int nr)
{
	vfio_pci_gate_errors_end(vdev, nr);
	WRITE_ONCE(vdev->recovers, false);
	/* Pairs with the waiter's look at it. */
	smp_mb();
	wake_up_var(&vdev->recovers);
}

/*
 * A driver with error handlers of its own need not have one that resumes. What the PCI
 * core knows of the device is what it has told the driver, and shows the same.
 */
static void vfio_pci_gate_ask_platform(struct vfio_pci_core_device *vdev)
{
	unsigned int nr = READ_ONCE(vdev->errors);

	/* Frozen was there before the error was counted. */
	smp_rmb();
	if (READ_ONCE(vdev->pdev->error_state) == pci_channel_io_normal)
		vfio_pci_gate_recovered(vdev, nr);
}

static void vfio_pci_gate_resume_work(struct work_struct *work)
{
	struct vfio_pci_core_device *vdev =
		container_of(to_delayed_work(work), struct vfio_pci_core_device,
			     gate_resume);

	vfio_pci_gate_ask_platform(vdev);
	if (vfio_pci_gate_has_error(vdev)) {
		if (!pci_dev_is_disconnected(vdev->pdev))
			schedule_delayed_work(&vdev->gate_resume, VFIO_PCI_ASK_AGAIN);
		return;
	}

	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_AER);
	/* What was restored does not know of INTx: make the gate look. */
	vfio_pci_intx_freeze(vdev);
	vfio_pci_gate_open(vdev);
}

/**
 * vfio_pci_gate_resume - the platform has dealt with the error
 * @vdev: the device
 *
 * The gate opens soon, and not now: the caller holds pci_bus_sem, see
 * vfio_pci_gate_error().
 *
 * Context: the PCI device's lock is held; vfio_pci_gate_exit() ends it.
 */
void vfio_pci_gate_resume(struct vfio_pci_core_device *vdev)
{
	vfio_pci_gate_recovered(vdev, vdev->errors);
	mod_delayed_work(system_wq, &vdev->gate_resume, 0);
}

/*
 * The rest of the platform's moment, in jiffies. Of an error long ago that did not end
 * nothing is left, but for the same moment after each time that 32 bits have wrapped.
 */
static long vfio_pci_gate_recovery_left(struct vfio_pci_core_device *vdev)
{
	unsigned long left;

	/* Who sees it set sees the time that belongs to it. */
	if (!smp_load_acquire(&vdev->recovers))
		return 0;
	left = READ_ONCE(vdev->recovery_end) - jiffies;
	return left <= VFIO_PCI_RECOVERY ? left : 0;
}

/**
 * vfio_pci_gate_recovers - may the platform be about to reset the link?
 * @vdev: the device
 *
 * Context: any.
 * Return: true for a moment after an error, unless the platform resumed the device.
 */
bool vfio_pci_gate_recovers(struct vfio_pci_core_device *vdev)
{
	return vfio_pci_gate_recovery_left(vdev) > 0;
}

/**
 * vfio_pci_gate_wait_recovery - let the platform reset the link first
 * @vdev: the device
 *
 * A reset before the platform has come to its own does not end the error. Whether the
 * platform goes on nobody can know, so this waits a moment, once for each error.
 *
 * Context: may sleep, for a second; before the gate is closed for a reset of ours.
 */
void vfio_pci_gate_wait_recovery(struct vfio_pci_core_device *vdev)
{
	long left = vfio_pci_gate_recovery_left(vdev);

	if (left)
		wait_var_event_timeout(&vdev->recovers,
				       !READ_ONCE(vdev->recovers), left);
}

/**
 * vfio_pci_gate_reset_begin - a reset of ours is next
 * @vdev: the device
 *
 * Context: the gate is closed, memory_lock held for write, or nobody has the
 * device open.
 */
void vfio_pci_gate_reset_begin(struct vfio_pci_core_device *vdev)
{
	/* Who sees an error counted sees that the platform recovers from it. */
	vdev->errors_reset = smp_load_acquire(&vdev->errors);
	/*
	 * The reset of the link comes while we reset, or after it, and the gate would
	 * be open then.
	 */
	if (vfio_pci_gate_recovers(vdev))
		vdev->errors_reset = READ_ONCE(vdev->errors_over);
	WRITE_ONCE(vdev->resetter, current);
	vfio_pci_intx_freeze(vdev);
}

/**
 * vfio_pci_gate_reset_end - the reset is over
 * @vdev: the device
 * @ret: 0 if the device was reset
 *
 * Context: as vfio_pci_gate_reset_begin().
 */
void vfio_pci_gate_reset_end(struct vfio_pci_core_device *vdev, int ret)
{
	WRITE_ONCE(vdev->resetter, NULL);
	if (!ret)
		vfio_pci_gate_errors_end(vdev, vdev->errors_reset);
}

/* The gate is closed. */
static void vfio_pci_gate_set_hold(struct vfio_pci_core_device *vdev, u8 why,
				   bool hold)
{
	if (hold) {
		vfio_pci_intx_freeze(vdev);
		vdev->gate_holds |= why;
	} else {
		vdev->gate_holds &= ~why;
	}
	vfio_pci_gate_open(vdev);
	if (!hold)
		wake_up_var(&vdev->gate_holds);
}

/* Is it ours? Then the gate is closed, and the lock held. */
static bool vfio_pci_gate_is_resetter(struct vfio_pci_core_device *vdev)
{
	return READ_ONCE(vdev->resetter) == current;
}

/**
 * vfio_pci_gate_reset_prepare - somebody is about to reset the device
 * @vdev: the device
 *
 * Context: may sleep, for two seconds where importers of dma-bufs do not let
 * go; the PCI device's lock is held and its configuration space locked.
 */
void vfio_pci_gate_reset_prepare(struct vfio_pci_core_device *vdev)
{
	if (vfio_pci_gate_is_resetter(vdev))
		return;
	vfio_pci_vfs_hold(vdev);
	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_OTHER_RESET);
	/*
	 * The PCI core wakes it next, and saves what is left of what the user's D3hot
	 * had it forget. What the PCI core suspended is its own.
	 */
	if (!(vdev->gate_holds & VFIO_PCI_HOLD_ASLEEP))
		vfio_pci_set_power_state(vdev, PCI_D0);
	vfio_pci_gate_set_hold(vdev, VFIO_PCI_HOLD_RESET, true);
}

/**
 * vfio_pci_gate_reset_done - undo vfio_pci_gate_reset_prepare()
 * @vdev: the device
 *
 * Whether it was reset nobody says, so an error is not over.
 *
 * Context: may sleep; as vfio_pci_gate_reset_prepare().
 */
void vfio_pci_gate_reset_done(struct vfio_pci_core_device *vdev)
{
	if (vfio_pci_gate_is_resetter(vdev))
		return;
	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_OTHER_RESET);
	vfio_pci_gate_set_hold(vdev, VFIO_PCI_HOLD_RESET, false);
	vfio_pci_vfs_let_go(vdev);
}

/**
 * vfio_pci_gate_hold_vf - look whether its PF is being reset
 * @vdev: the device, a VF
 * @resets: how many resets of the PF are under way
 *
 * Whoever has changed that comes here, and the last one finds how it is to be.
 *
 * Context: may sleep, as vfio_pci_gate_close(); see sriov.c.
 */
void vfio_pci_gate_hold_vf(struct vfio_pci_core_device *vdev,
			   const unsigned int *resets)
{
	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_OTHER_RESET);
	vfio_pci_gate_set_hold(vdev, VFIO_PCI_HOLD_PF_RESET, READ_ONCE(*resets));
}

/**
 * vfio_pci_gate_init - a new device, whose gate is closed
 * @vdev: the device
 */
void vfio_pci_gate_init(struct vfio_pci_core_device *vdev)
{
	init_rwsem(&vdev->memory_lock);
	INIT_DELAYED_WORK(&vdev->gate_resume, vfio_pci_gate_resume_work);
}

/**
 * vfio_pci_gate_exit - the driver lets go of the device
 * @vdev: the device
 *
 * Context: may sleep; no error handler is called any more.
 */
void vfio_pci_gate_exit(struct vfio_pci_core_device *vdev)
{
	cancel_delayed_work_sync(&vdev->gate_resume);
}

/**
 * vfio_pci_gate_is_open - may device memory be touched?
 * @vdev: the device
 *
 * Context: memory_lock is held, and the answer is good until it is dropped.
 * Return: true if the gate is open.
 */
bool vfio_pci_gate_is_open(struct vfio_pci_core_device *vdev)
{
	lockdep_assert_held(&vdev->memory_lock);
	return vdev->gate_open;
}

/**
 * vfio_pci_gate_admits_maps - may device memory be mapped?
 * @vdev: the device
 *
 * In low power a system call wakes the device for as long as it lasts; an
 * access through a mapping could not, so mappings stay cut off until the exit.
 *
 * Context: memory_lock is held, and the answer is good until it is dropped.
 * Return: true if the gate is open and the device not in low power.
 */
bool vfio_pci_gate_admits_maps(struct vfio_pci_core_device *vdev)
{
	return vfio_pci_gate_is_open(vdev) && !vdev->pm_runtime_engaged;
}

/* DisINTx may change meanwhile under irqlock. Returns what was. */
static bool vfio_pci_gate_decode(struct vfio_pci_core_device *vdev, bool decode)
{
	struct pci_dev *pdev = vdev->pdev;
	u16 old, cmd;

	spin_lock_irq(&vdev->irqlock);
	pci_read_config_word(pdev, PCI_COMMAND, &old);
	cmd = old & ~PCI_COMMAND_MEMORY;
	if (decode)
		cmd |= PCI_COMMAND_MEMORY;
	if (cmd != old)
		pci_write_config_word(pdev, PCI_COMMAND, cmd);
	spin_unlock_irq(&vdev->irqlock);

	return old & PCI_COMMAND_MEMORY;
}

/**
 * vfio_pci_gate_force_decode - make memory answer for the kernel's own use
 * @vdev: the device
 * @was: what to give back to vfio_pci_gate_restore_decode()
 *
 * The MSI-X table and the ROM are in device memory, and the kernel has to reach
 * them for a user who has switched decoding off or put the function into D3hot.
 * The gate stays as it is: a user gains nothing. Who resets the function is waited
 * for.
 *
 * Context: may sleep; takes memory_lock for write and returns with it held.
 */
void vfio_pci_gate_force_decode(struct vfio_pci_core_device *vdev,
				struct vfio_pci_gate_forced *was)
{
	const u8 resets = VFIO_PCI_HOLD_RESET | VFIO_PCI_HOLD_PF_RESET;
	struct pci_dev *pdev = vdev->pdev;

	/* A reset that is prepared does not take long; another one has to wait. */
	down_write(&vdev->memory_lock);
	while (vdev->gate_holds & resets) {
		up_write(&vdev->memory_lock);
		wait_var_event(&vdev->gate_holds,
			       !(READ_ONCE(vdev->gate_holds) & resets));
		down_write(&vdev->memory_lock);
	}

	was->state = pdev->current_state;
	if (was->state == PCI_D3hot)
		vfio_pci_set_power_state(vdev, PCI_D0);
	was->decoded = vfio_pci_gate_decode(vdev, true);
}

/**
 * vfio_pci_gate_restore_decode - undo vfio_pci_gate_force_decode()
 * @vdev: the device
 * @was: what that found
 *
 * Of COMMAND only the bit that was forced goes back: setting up interrupts
 * changes others.
 *
 * Context: may sleep; drops memory_lock.
 */
void vfio_pci_gate_restore_decode(struct vfio_pci_core_device *vdev,
				  const struct vfio_pci_gate_forced *was)
{
	if (!was->decoded)
		vfio_pci_gate_decode(vdev, false);
	if (was->state == PCI_D3hot)
		vfio_pci_set_power_state(vdev, PCI_D3hot);
	up_write(&vdev->memory_lock);
}
