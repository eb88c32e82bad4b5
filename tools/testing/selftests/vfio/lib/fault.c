// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses that may raise a signal, in any thread. The handler stays installed
 * but takes only signals of an access that is being tried; any other one kills,
 * so a test's real crash still looks like one.
 */
#include <setjmp.h>
#include <signal.h>

#include "vfio_util.h"

static __thread sigjmp_buf fault_env;
static __thread volatile sig_atomic_t fault_expected;

static void on_fault(int sig)
{
	if (fault_expected)
		siglongjmp(fault_env, sig);
	/* The access is made again, and ends the process. */
	signal(sig, SIG_DFL);
}

static __attribute__((constructor)) void catch_faults(void)
{
	/* A jump out of the handler need not restore the signal mask. */
	struct sigaction sa = {
		.sa_handler = on_fault,
		.sa_flags = SA_NODEFER,
	};

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

/* One access of that width, which the compiler has to make. */
#define LOAD(type, p) __atomic_load_n((const type *)(p), __ATOMIC_RELAXED)
#define STORE(type, p, v) __atomic_store_n((type *)(p), v, __ATOMIC_RELAXED)

#define TRY_ACCESS(access) ({						\
	int sig;							\
									\
	sig = sigsetjmp(fault_env, 0);					\
	if (!sig) {							\
		fault_expected = 1;					\
		__atomic_signal_fence(__ATOMIC_SEQ_CST);		\
		access;							\
		__atomic_signal_fence(__ATOMIC_SEQ_CST);		\
	}								\
	fault_expected = 0;						\
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

/* Does it within the time? What was written there is read for a moment. */
int vfio_reads_ones(const void *p, int timeout_ms)
{
	uint64_t end = vfio_now_ms() + timeout_ms;
	uint32_t value;
	int ret;

	do {
		ret = vfio_try_load32(p, &value);
		if (ret || value == ~0u)
			return ret;
		usleep(1000);
	} while (vfio_now_ms() < end);
	return -ETIMEDOUT;
}
