/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of revoke.c: the life of a device, its files and the calls in them,
 * while it is unregistered. Everything that can happen is searched by
 *
 *	spin -a revoke.pml && gcc -o pan -O2 -DSAFETY pan.c && ./pan
 *
 * It claims that nobody touches the driver after unregistering has returned or the
 * device after it is freed, that open_device and close_device alternate, that the
 * object is freed in the end, and that nobody waits for ever.
 *
 * Two processes open the device and use it; each may be killed, which is a release
 * at any moment, when its file is there. One unregisters it, and at any moment loses
 * patience. With -DCLAIM_FIRST revoking is what it was before: it claims a file and
 * takes the file's references afterwards, and a release in between drops one that is
 * not there. That model fails.
 */
#define USERS	2

bool users_lock, set_lock;	/* vfio_device_users.lock, dev_set->lock */
bool unlisted;			/* not found any more: vfio_group_hide_device() */
bool revoked;			/* vfio_device.revoked */
bool killed;			/* vfio_device_users.calls was killed */
byte calls;			/* its count, but for the first reference */
byte registrations = 1;		/* vfio_device.refcount */
bool over;			/* vfio_device.comp */
byte objects = 1;		/* vfio_device.device */
bool freed;			/* vfio_device_release() has run */
bool gone;			/* vfio_unregister_group_dev() has returned */
byte open_count;		/* vfio_device.open_count */
bool is_open;			/* between open_device and close_device */
bool listed[USERS], opened[USERS];	/* of its struct vfio_device_file */
bool claimed[USERS];		/* before: vfio_device_file.closed */
byte finished;

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false
#define DEVICE		assert(!freed)
#define DRIVER		assert(!freed && !gone)

inline put_object()
{
	atomic {
		assert(objects > 0);
		objects--;
		if
		:: objects == 0 -> freed = true
		:: else
		fi
	}
}

inline put_registrations(n)
{
	atomic {
		assert(registrations >= n);
		registrations = registrations - n;
		if
		:: registrations == 0 && n > 0 -> over = true
		:: else
		fi
	}
}

/* vfio_device_last_close() */
inline last_close()
{
	DRIVER;
	assert(is_open);
	is_open = false
}

/* vfio_device_stop_files(), under dev_set->lock */
inline file_stop()
{
	DRIVER;
	assert(open_count > 0);
	if
	:: open_count == 1 -> last_close()
	:: else
	fi;
	open_count--
}

/* vfio_group_close_device() */
inline close_device()
{
	LOCK(set_lock);
	file_stop();
	UNLOCK(set_lock)
}

proctype user(byte me)
{
	bool mine;

	/* vfio_group_find_device(), vfio_device_try_get_registration() */
	atomic {
		if
		:: unlisted || registrations == 0 -> goto end
		:: else -> registrations++
		fi
	}
	/* vfio_group_device_file(): vfio_device_enter() */
	atomic {
		if
		:: killed -> goto refused
		:: else -> calls++
		fi
	}
	/* vfio_group_open_device() */
	LOCK(set_lock);
	DRIVER;
	if
	:: open_count == 0 -> assert(!is_open); is_open = true
	:: else
	fi;
	open_count++;
	UNLOCK(set_lock);

	/* vfio_device_file_set_opened() */
	LOCK(users_lock);
	DEVICE;
	if
	:: revoked ->
		UNLOCK(users_lock);
		atomic { objects++ };
		close_device();
		calls--;
		put_registrations(1);
		goto release
	:: else ->
		listed[me] = true;
		opened[me] = true;
		UNLOCK(users_lock)
	fi;
	calls--;

	/* Calls through the file, until it is released. Others are -ENODEV. */
	do
	:: atomic { !killed -> DEVICE; calls++ };
	   DRIVER;
	   assert(is_open);
	   calls--
	:: break
	od;

release: /* vfio_device_fops_release() */
	DEVICE;
#ifdef CLAIM_FIRST
	atomic {
		if
		:: claimed[me] -> mine = false
		:: else -> claimed[me] = true; mine = true
		fi
	};
	if
	:: mine && opened[me] ->
		close_device();
		LOCK(users_lock);
		listed[me] = false;
		UNLOCK(users_lock);
		put_registrations(1)
	:: else -> put_object()
	fi;
#else
	LOCK(users_lock);
	listed[me] = false;
	mine = !revoked;
	UNLOCK(users_lock);
	if
	:: mine -> close_device(); put_registrations(1)
	:: else -> put_object()
	fi;
#endif
	goto end;

refused:
	put_registrations(1);
end:
	finished++
}

/* vfio_unregister_group_dev(), vfio_device_end_users() */
proctype unregister()
{
	byte i, files, open;

	unlisted = true;
	put_registrations(1);
	if
	:: over -> goto done
	:: true			/* vfio_device_revoke() */
	fi;

#ifdef CLAIM_FIRST
	revoked = true;
	killed = true;
	calls == 0;
	i = 0;
	do
	:: i < USERS ->
		LOCK(users_lock);
		open = 0;
		atomic {
			if
			:: listed[i] && !claimed[i] -> claimed[i] = true; open = 1
			:: else
			fi
		};
		if
		:: open -> atomic { objects++ }
		:: else
		fi;
		UNLOCK(users_lock);
		if
		:: open ->
			close_device();
			LOCK(users_lock);
			listed[i] = false;
			UNLOCK(users_lock);
			put_registrations(1)
		:: else
		fi;
		i++
	:: else -> break
	od;
#else
	/* vfio_device_take_files() */
	LOCK(users_lock);
	revoked = true;
	i = 0;
	do
	:: i < USERS ->
		if
		:: listed[i] ->
			atomic { objects++ };
			files++;
			open = open + opened[i]
		:: else
		fi;
		i++
	:: else -> break
	od;
	UNLOCK(users_lock);
	put_registrations(files);

	/* percpu_ref_kill(), vfio_device_drained() */
	killed = true;
	calls == 0;

	/* vfio_device_close_files() */
	if
	:: open > 0 ->
		LOCK(set_lock);
		if
		:: open_count == open -> last_close()
		:: else
		fi;
		open_count = open_count - open;
		UNLOCK(set_lock)
	:: else
	fi;
#endif
	over;
done:
	gone = true;
	/* vfio_put_device() */
	put_object();
	finished++
}

init
{
	byte i;

	atomic {
		do
		:: i < USERS -> run user(i); i++
		:: else -> break
		od;
		run unregister()
	};
	finished == USERS + 1;
	assert(freed && open_count == 0 && !is_open)
}
