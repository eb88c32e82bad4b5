// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses that may raise a signal. The handlers are installed around each
 * access and the old ones put back, so a test's real crash still looks like
 * one. One thread at a time.
 */
#include <setjmp.h>
#include <signal.h>

#include "vfio_util.h"

static sigjmp_buf fault_env;

static void on_fault(int sig)
{
	siglongjmp(fault_env, sig);
}

struct fault_guard {
	struct sigaction bus;
	struct sigaction segv;
};

static void guard_enter(struct fault_guard *g)
{
	struct sigaction sa = { .sa_handler = on_fault };

	sigaction(SIGBUS, &sa, &g->bus);
	sigaction(SIGSEGV, &sa, &g->segv);
}

static void guard_leave(const struct fault_guard *g)
{
	sigaction(SIGBUS, &g->bus, NULL);
	sigaction(SIGSEGV, &g->segv, NULL);
}

/* One access of that width, which the compiler has to make. */
#define LOAD(type, p) __atomic_load_n((const type *)(p), __ATOMIC_RELAXED)
#define STORE(type, p, v) __atomic_store_n((type *)(p), v, __ATOMIC_RELAXED)

#define TRY_ACCESS(access) ({						\
	static struct fault_guard guard;				\
	int sig;							\
									\
	guard_enter(&guard);						\
	sig = sigsetjmp(fault_env, 1);					\
	if (!sig) {							\
		access;							\
	}								\
	guard_leave(&guard);						\
	sig;								\
})

int vfio_try_load8(const void *p, uint8_t *value)
{
	return TRY_ACCESS(*value = LOAD(uint8_t, p));
}

int vfio_try_load32(const void *p, uint32_t *value)
{
	return TRY_ACCESS(*value = LOAD(uint32_t, p));
}

int vfio_try_load64(const void *p, uint64_t *value)
{
	return TRY_ACCESS(*value = LOAD(uint64_t, p));
}

int vfio_try_store8(void *p, uint8_t value)
{
	return TRY_ACCESS(STORE(uint8_t, p, value));
}

int vfio_try_store32(void *p, uint32_t value)
{
	return TRY_ACCESS(STORE(uint32_t, p, value));
}

int vfio_try_store64(void *p, uint64_t value)
{
	return TRY_ACCESS(STORE(uint64_t, p, value));
}

static void touch(const void *p, size_t len, size_t step)
{
	size_t i;

	for (i = 0; i < len; i += step)
		LOAD(uint32_t, p + i);
}

/* Read a word at every @step bytes. */
int vfio_try_touch(const void *p, size_t len, size_t step)
{
	return TRY_ACCESS(touch(p, len, step));
}
