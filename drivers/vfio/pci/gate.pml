/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of gate.c: closers, readers, an importer of a dma-buf, and the platform that
 * recovers from an error, or fails to. Everything that can happen is searched by
 *
 *	spin -a gate.pml && gcc -o pan -O2 -DSAFETY pan.c && ./pan
 *
 * It claims that no reader is inside while the memory is not there, that nobody waits
 * for ever, and that the gate is open again when all that closed it is over: at the
 * latest after a reset of its user's.
 *
 * Not in it: power states and low power, which close the gate as the command register
 * does, VFs, the system's sleep, and pci_bus_sem, which the PCI core takes outside of
 * the device's lock for errors and inside of it for a reset of the bus. That the platform begins to reset the link within
 * VFIO_PCI_RECOVERY, if it does, is taken for granted, as gate.c has to.
 *
 * With -DSTICKY_ERROR an error is what it was before: over only when the platform says
 * so. With -DLATE_ERROR a reset is what it was: it lets the platform go first, and ends
 * an error, too, that comes after that. With -DNO_GRACE a reset is what it was before
 * that: it lets nobody go first. With -DCFG_WAITS a writer is what he was not: as
 * patient with configuration space as with the lock. With -DONE_LOOK an opener is what
 * he was not, either: he looks at the errors once. With -DLOOK_FIRST a closer is what he
 * was not: he looks for exports before he has the lock, and no more. With
 * -DNO_LOCK an export is what it was while each closer stopped it, whether there was
 * one or not: it begins without the lock. These models fail.
 */
#define USERS	1
#define ROUNDS	2
#define OTHERS	5			/* processes but for the last */

bool writer;				/* memory_lock */
byte readers;
bool dev_lock;				/* the PCI device's */
bool cfg_locked;			/* pci_cfg_access_lock() */
bool gate_open;
byte holds;				/* gate_holds */
byte errors, over;			/* errors, errors_over */
bool recovers;				/* between the error and its end */
bool begun, gave_up;			/* the platform: with its reset; for good */
bool sticky;				/* pci_dev.error_state */
bool work;				/* gate_resume is scheduled */
bool exported;				/* the list of exports is not empty */
byte stopped;				/* vfio_pci_dmabufs_stop() without _go() */
bool has_stopped;			/* who has the lock did: dmabufs_stopped */
bool inside;				/* a reader, in device memory */
bool mapped, imported;			/* by a process, by the importer */
bool decodes = true;			/* the hardware */
bool in_reset, link_reset, frozen;
byte finished;

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false
#define THERE		(decodes && !in_reset && !link_reset && !frozen)
/* The memory is about to go, or has gone, while nobody can reach it. */
#define GOES		assert(!inside && !mapped)
#define DOWN_WRITE	atomic { !writer && readers == 0 -> writer = true }
#ifdef STICKY_ERROR
#define HAS_ERROR	sticky
#else
#define HAS_ERROR	(errors != over)
#endif
#ifdef NO_GRACE
#define MAY_RESET	true
#else
/* Where it has begun the lock of the device cannot be had. */
#define MAY_RESET	(!recovers || begun || gave_up)
#endif
#if defined(NO_GRACE) || defined(LATE_ERROR)
#define ENDS_ERRORS	true
#else
#define ENDS_ERRORS	MAY_RESET
#endif

/* vfio_pci_gate_errors_end() */
inline errors_end(nr)
{
	atomic {
		if
		:: nr > over -> over = nr
		:: else
		fi
	}
}

/* vfio_pci_gate_cut_readers() */
inline cut()
{
	d_step {
		gate_open = false;
		mapped = false
	}
}

/* vfio_pci_gate_lock(), for who has stopped nothing: with exports he does not get it. */
inline lock_without_exports(locked)
{
	locked = false;
	if
	:: exported
	:: !exported ->
		DOWN_WRITE;
#ifdef LOOK_FIRST
		locked = true
#else
		if
		:: exported -> UNLOCK(writer)
		:: else -> locked = true
		fi
#endif
	fi
}

/* vfio_pci_gate_close() */
inline close(locked)
{
	lock_without_exports(locked);
	if
	:: locked -> has_stopped = false
	:: else ->
		stopped++;
		imported = false;
		DOWN_WRITE;
		has_stopped = true
	fi;
	locked = false;
	cut()
}

/* vfio_pci_gate_close_killable(): closes, or gives up as somebody who was killed */
inline close_killable(done)
{
	lock_without_exports(done);
	if
	:: done ->
		has_stopped = false;
		cut()
	:: else ->
		stopped++;
		if
		:: !imported ->
			DOWN_WRITE;
			has_stopped = true;
			cut();
			done = true
		:: stopped--
		fi
	fi
}

/* vfio_pci_gate_open() */
inline open(is)
{
	is = (holds == 0 && decodes && !HAS_ERROR);
	gate_open = is;
#ifndef ONE_LOOK
	if
	:: HAS_ERROR -> gate_open = false
	:: else
	fi;
#endif
	/* Known before the lock is dropped. */
	is = has_stopped;
	UNLOCK(writer);
	if
	:: is -> stopped--
	:: else
	fi;
	is = false
}

/* config_write.c: who needs both locks tries the second */
inline write_command(done)
{
	close_killable(done);
#ifdef CFG_WAITS
	if
	:: done -> LOCK(cfg_locked)
	:: else
	fi;
#else
	do
	:: !done -> break
	:: done ->
		if
		:: atomic { !cfg_locked -> cfg_locked = true }; break
		:: cfg_locked ->
			open(done);
			!cfg_locked;
			close_killable(done)
		fi
	od;
#endif
	if
	:: done ->
		GOES;
		assert(!imported);
		decodes = !decodes;
		UNLOCK(cfg_locked);
		open(done)
	:: else
	fi
}

/* vfio_pci_reset_function(), or of the bus: vfio_pci_reset_set() */
inline reset(done, began)
{
	MAY_RESET;			/* vfio_pci_gate_wait_recovery() */
	close_killable(done);
	if
	:: done ->
		/* vfio_pci_gate_reset_begin() */
		atomic {
			if
			:: ENDS_ERRORS -> began = errors
			:: else -> began = over
			fi
		}
		done = false;
		atomic {
			if
			:: !dev_lock && !cfg_locked ->
				dev_lock = true;
				cfg_locked = true;
				done = true
			:: else
			fi
		}
		if
		:: done ->
			atomic {
				GOES;
				assert(!imported);
				in_reset = true
			}
			frozen = false;
			in_reset = false;
			UNLOCK(cfg_locked);
			UNLOCK(dev_lock);
			errors_end(began)
		:: else
		fi;
		began = 0;
		open(done)
	:: else
	fi
}

active [USERS] proctype user()
{
	bool done;
	byte began, i;

	do
	:: i < ROUNDS ->
		if
		:: write_command(done)
		:: reset(done, began)
		fi;
		i++
	:: else -> break
	od;
	finished++
}

/* A file's read(), a fault, and what the fault let in. */
active proctype reader()
{
	atomic { !writer -> readers++ }
	if
	:: gate_open ->
		inside = true;
		assert(THERE);
		atomic {
			mapped = true;
			inside = false
		}
	:: else
	fi;
	atomic {
		readers--;
		finished++
	}
}

/*
 * The first export begins, and is mapped: vfio_pci_dmabuf_add(). It need not let go: only
 * some of its mappings are waited for, and by whom can be killed.
 */
active proctype importer()
{
#ifdef NO_LOCK
	exported = true;
#else
	atomic { !writer -> readers++ }
	exported = true;
	readers--;
#endif
	/* vfio_pci_dmabuf_admitted() has no lock that a closer has. */
	atomic {
		if
		:: gate_open && stopped == 0 -> imported = true
		:: else
		fi
	}
	/* DMA to memory that is frozen, or whose link is reset, harms nobody. */
	atomic {
		if
		:: imported -> assert(decodes && !in_reset)
		:: else
		fi
	}
	if
	:: imported = false
	:: skip
	fi;
	finished++
}

/* vfio_pci_gate_reset_prepare() and _done(): sysfs */
active proctype other_reset()
{
	bool is;

	LOCK(dev_lock);
	LOCK(cfg_locked);
	close(is);
	holds++;
	open(is);
	atomic {
		GOES;
		assert(!imported);
		in_reset = true
	}
	in_reset = false;
	close(is);
	holds--;
	open(is);
	UNLOCK(cfg_locked);
	UNLOCK(dev_lock);
	finished++
}

/* vfio_pci_gate_error() */
inline gate_error(is)
{
	atomic {
		if
		:: !writer && readers == 0 ->
			writer = true;
			has_stopped = exported;
			if
			:: exported -> stopped++
			:: else
			fi;
			is = true
		:: !gate_open
		fi
	}
	if
	:: is ->
		cut();
		open(is)
	:: else
	fi
}

active proctype platform()
{
	bool is;

	LOCK(dev_lock);
	recovers = true;
	errors++;
	sticky = true;
	gate_error(is);
	atomic {
		GOES;
		frozen = true
	}
	UNLOCK(dev_lock);

	/* It asks the drivers, and gives up where there is none. */
	if
	:: LOCK(dev_lock);
		begun = true;
		atomic {
			GOES;
			link_reset = true
		}
		frozen = false;
		link_reset = false;
		UNLOCK(dev_lock);
		if
		:: LOCK(dev_lock);
			/* vfio_pci_gate_resume() */
			errors_end(errors);
			sticky = false;
			work = true;
			recovers = false;
			UNLOCK(dev_lock)
		:: skip
		fi
	:: skip
	fi;
	gave_up = true;

	/* vfio_pci_gate_resume_work() */
	if
	:: work ->
		close(is);
		open(is)
	:: else
	fi;
	finished++
}

/* When all that is over, the user's last try. */
active proctype last()
{
	bool done;
	byte began;

	finished == OTHERS;
	assert(holds == 0 && stopped == 0 && !dev_lock && !cfg_locked);
	close(done);
	decodes = true;
	open(done);
	reset(done, began);
	if
	:: over == errors -> assert(gate_open)
	:: else				/* he was killed */
	fi
}
