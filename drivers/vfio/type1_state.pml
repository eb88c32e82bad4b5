/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of type1_state.c: whose a mapping is, while groups come and go. Everything
 * that can happen is searched by
 *
 *	spin -a type1_state.pml && gcc -o pan -O2 -DSAFETY pan.c && ./pan
 *
 * It claims that a mapping has one owner at a time, is pinned once and unpinned once,
 * that no domain is freed while somebody works in it, that a group finds all mappings
 * pinned, that they are pinned in the end if and only if there is a group, and that
 * nobody waits for ever.
 *
 * There are two mappings, one of which is unmapped and mapped again; one process
 * attaches groups, one detaches them. With -DTWO_OWNERS attaching is what it was
 * before: it takes every mapping as it finds it, and who detaches asks only once
 * whether they are wanted. That model fails.
 */
#define MAPPINGS	2
#define ROUNDS		2
#define NOBODY		255

bool lock, group_lock;		/* type1_iommu.lock, the container's group_lock */
bool writer;			/* the container's ioctl_lock */
byte readers;
byte groups = 1;		/* of the one domain that is not abandoned */
byte abandoned;			/* domains */
bool attaching;
byte busy;
byte owner[MAPPINGS];
byte pinned[MAPPINGS];		/* FULL, if nobody's */
bool mapped[MAPPINGS];		/* in the tree */
byte finished;

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false
#define WANTED		(attaching || groups > 0)
#ifdef TWO_OWNERS
#define STOP		false
#define OTHERS(i)	false
#define TO_FILL(i)	true
#else
#define STOP		WANTED
#define OTHERS(i)	(mapped[i] && owner[i] != NOBODY)
#define TO_FILL(i)	(pinned[i] == 0)
#endif

inline take(i)
{
	assert(owner[i] == NOBODY);
	owner[i] = _pid;
	busy++
}

inline settle(i)
{
	assert(owner[i] == _pid);
	owner[i] = NOBODY;
	busy--
}

inline populate(i)
{
	take(i);
	UNLOCK(lock);
	assert(pinned[i] == 0);
	pinned[i]++;
	LOCK(lock);
	settle(i)
}

inline depopulate(i)
{
	take(i);
	UNLOCK(lock);
	assert(owner[i] == _pid && pinned[i] == 1);
	pinned[i]--;
	LOCK(lock);
	settle(i)
}

inline empty_all()
{
	i = 0;
	left = false;
	do
	:: i < MAPPINGS ->
		if
		:: STOP -> break
		:: else ->
			if
			:: mapped[i] && owner[i] != NOBODY -> left = true
			:: mapped[i] && owner[i] == NOBODY && pinned[i] ->
				depopulate(i)
			:: else
			fi
		fi;
		i++
	:: else -> break
	od
}

inline tidy()
{
#ifdef TWO_OWNERS
	left = !WANTED;
	do
	:: left && !busy -> empty_all()
	:: else -> break
	od;
#else
	do
	:: empty_all();
		if
		:: left && !busy
		:: else -> break
		fi
	od;
#endif
	if
	:: !busy -> abandoned = 0
	:: else
	fi
}

inline unlock()
{
	if
	:: abandoned && !busy -> tidy()
	:: else
	fi;
	UNLOCK(lock)
}

inline fill_all()
{
	i = 0;
	do
	:: i < MAPPINGS ->
		do
		:: OTHERS(i) ->
			UNLOCK(lock);
			owner[i] == NOBODY;
			LOCK(lock)
		:: else -> break
		od;
		if
		:: mapped[i] && TO_FILL(i) -> populate(i)
		:: else
		fi;
		i++
	:: else -> break
	od
}

/* type1_domain_fill() */
inline fill_domain()
{
	i = 0;
	do
	:: i < MAPPINGS ->
		if
		:: mapped[i] ->
			assert(pinned[i] == 1);
			take(i);
			UNLOCK(lock);
			LOCK(lock);
			settle(i)
		:: else
		fi;
		i++
	:: else -> break
	od
}

proctype attacher()
{
	byte i, round;
	bool left, fail;

	do
	:: round < ROUNDS ->
		atomic { !writer && !readers -> writer = true };
		/* type1_begin_attach() */
		LOCK(lock);
		attaching = true;
		if
		:: groups == 0 -> fill_all()
		:: else
		fi;
		unlock();
		/* type1_attach_group(), unless there is a reason to refuse */
		LOCK(group_lock);
		LOCK(lock);
		assert(!busy && !abandoned);
		if
		:: fail = false
		:: fail = true
		fi;
		if
		:: !fail && groups == 0 -> groups++; fill_domain()
		:: !fail && groups > 0 -> groups++
		:: else
		fi;
		UNLOCK(lock);
		UNLOCK(group_lock);
		/* type1_end_attach() */
		LOCK(lock);
		attaching = false;
		tidy();
		UNLOCK(lock);
		writer = false;
		round++
	:: else -> break
	od;
	finished++
}

proctype detacher()
{
	byte i, round;
	bool left;

	do
	:: round < ROUNDS ->
		LOCK(group_lock);
		LOCK(lock);
		if
		:: groups > 0 ->
			groups--;
			if
			:: groups == 0 -> abandoned++
			:: else
			fi
		:: true
		fi;
		unlock();
		UNLOCK(group_lock);
		round++
	:: else -> break
	od;
	finished++
}

/* VFIO_IOMMU_UNMAP_DMA and VFIO_IOMMU_MAP_DMA of the first mapping */
proctype mapper()
{
	byte i;
	bool left;

	atomic { !writer -> readers++ };
	LOCK(lock);
	do
	:: owner[0] != NOBODY ->
		UNLOCK(lock);
		owner[0] == NOBODY;
		LOCK(lock)
	:: else -> break
	od;
	take(0);
	UNLOCK(lock);
	pinned[0] = 0;
	LOCK(lock);
	mapped[0] = false;
	settle(0);
	unlock();
	readers--;

	atomic { !writer -> readers++ };
	LOCK(lock);
	mapped[0] = true;
	if
	:: groups > 0 -> populate(0)
	:: else
	fi;
	unlock();
	readers--;
	finished++
}

init
{
	atomic {
		owner[0] = NOBODY;
		owner[1] = NOBODY;
		mapped[0] = true;
		mapped[1] = true;
		pinned[0] = 1;
		pinned[1] = 1;
		run attacher();
		run detacher();
		run mapper()
	}
	finished == 3;
	assert(!lock && !group_lock && !busy && !abandoned && !attaching);
	assert(pinned[0] == (groups > 0) && pinned[1] == (groups > 0))
}
