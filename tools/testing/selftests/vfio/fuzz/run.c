// SPDX-License-Identifier: GPL-2.0-only
/* Runs a program in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define PAGE		4096
#define SECONDS		120
#define FAIL_NTH	"/proc/thread-self/fail-nth"

static bool two_threads, can_fail;
/* What the process has reached, for who runs it. */
static struct fuzz_cover *shared;

int fuzz_run_init(bool threads)
{
	int fail = vfio_fail_open();

	if (fail >= 0)
		close(fail);
	can_fail = fail >= 0;
	two_threads = threads;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? -errno : 0;
}

/* @len bytes with nothing behind them. */
static void *guarded(size_t len)
{
	void *p = mmap(NULL, len + (64 << 20), PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static void init_thread(struct fuzz_thread *t, struct fuzz_state *s)
{
	int memfd = memfd_create("fuzz", MFD_CLOEXEC);

	memset(t, 0, sizeof(*t));
	t->s = s;
	t->page = guarded(PAGE);
	t->readonly = guarded(PAGE);
	if (ftruncate(memfd, PAGE) ||
	    mmap(t->page, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 memfd, 0) == MAP_FAILED ||
	    mmap(t->readonly, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, memfd,
		 0) == MAP_FAILED)
		abort();
	close(memfd);
	t->fail = can_fail ? open(FAIL_NTH, O_RDWR | O_CLOEXEC) : -1;
}

static void init_state(struct fuzz_state *s)
{
	uint32_t i;

	memset(s, 0, sizeof(*s));
	memset(s->files, 0xff, sizeof(s->files));
	for (i = 0; i < FUZZ_SLOTS; i++)
		s->files[FUZZ_EVENTFD][i] = vfio_eventfd();
	s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	s->memfd = memfd_create("fuzz", MFD_CLOEXEC);

	s->memory = guarded(FUZZ_MEMORY_SIZE);
	if (mmap(s->memory, FUZZ_MEMORY_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		abort();
	for (i = 0; i < PAGE / 4; i++)
		((uint32_t *)s->memory)[i] = i * 0x9e3779b1;
}

static void run_call(struct fuzz_thread *t, const struct fuzz_call *call,
		     bool say)
{
	unsigned int nth = t->nth;
	int64_t ret;

	t->nth = 0;
	if (t->fail >= 0 && nth)
		vfio_fail_arm(t->fail, nth);
	ret = call->op->run(t, call->op, call->v);
	if (t->fail >= 0 && nth)
		vfio_fail_arm(t->fail, 0);
	if (call->op->keeps)
		fuzz_keep(t->s, call->op->keeps, ret);
	if (say)
		printf("%s: %s\n", call->op->name,
		       ret < 0 ? strerror(-ret) : "done");
}

struct half {
	const struct fuzz_program *p;
	struct fuzz_state *s;
	bool say;
};

/* The second half of a program's calls, beside the first. */
static void *run_half(void *arg)
{
	struct half *half = arg;
	struct fuzz_thread t;
	unsigned int i;

	init_thread(&t, half->s);
	for (i = half->p->nr / 2 + 1; i < half->p->nr; i++)
		run_call(&t, &half->p->calls[i], half->say);
	return NULL;
}

static void run_program(const struct fuzz_program *p, bool say)
{
	unsigned int i, nr = p->nr;
	struct fuzz_thread t;
	struct fuzz_state s;
	struct half half = { p, &s, say };
	pthread_t other;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	init_state(&s);
	init_thread(&t, &s);

	fuzz_kcov_start();
	for (i = 0; i < nr; i++) {
		run_call(&t, &p->calls[i], say);
		fuzz_kcov_take(shared);
		if (!i && two_threads && nr > 2 &&
		    !pthread_create(&other, NULL, run_half, &half))
			nr = nr / 2 + 1;
	}
	if (nr < p->nr)
		pthread_join(other, NULL);
	fuzz_let_go(&s);
	fuzz_kcov_take(shared);
	fuzz_kcov_stop();
	fflush(stdout);
	_exit(0);
}

static enum fuzz_end wait_for(pid_t pid)
{
	struct pollfd pfd = { .events = POLLIN };
	enum fuzz_end end = FUZZ_DONE;
	int status;

	pfd.fd = syscall(SYS_pidfd_open, pid, 0);
	if (poll(&pfd, 1, SECONDS * 1000) == 0)
		end = FUZZ_STUCK;
	close(pfd.fd);
	/* Who cannot even be killed is left to the kernel's own watch. */
	if (end == FUZZ_STUCK)
		kill(pid, SIGKILL);
	else if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		end = FUZZ_KILLED;
	return end;
}

/* @cover is what it reached; @say: print what each call returned. */
enum fuzz_end fuzz_run(const struct fuzz_program *p, struct fuzz_cover *cover,
		       bool say)
{
	unsigned int i;
	pid_t pid;
	enum fuzz_end end;

	fuzz_cover_clear(shared);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return FUZZ_KILLED;
	if (!pid)
		run_program(p, say);
	end = wait_for(pid);

	fuzz_cover_clear(cover);
	for (i = 0; i < shared->nr; i++)
		fuzz_cover_add(cover, fuzz_cover_nth(shared, i));
	return end;
}
