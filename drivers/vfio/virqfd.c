// SPDX-License-Identifier: GPL-2.0-only
/*
 * irqfd: do something in the kernel when a user signals an eventfd.
 *
 * A driver keeps a pointer for each irqfd; what it points to is made by
 * vfio_virqfd_enable() and listens on the wait queue of the eventfd. Two things
 * end it: the driver calls vfio_virqfd_disable(), or the last file of the eventfd
 * is closed. Whoever clears the driver's pointer first, under virqfd_lock, also
 * takes it off the wait queue. The wake-up on closing comes with that queue's
 * lock held, in which one cannot leave it, and has a work do it.
 *
 * An irqfd has a reference for being on the wait queue and one for a call of its
 * thread that is to come. From when the pointer is cleared until the last
 * reference is dropped it is in virqfd_ending. Who disables or flushes waits until
 * nothing in there belongs to its pointer, whoever cleared that.
 *
 * All users share virqfd_lock and the workqueue. So that nobody waits for what
 * another one does, works in there wait for nothing, and threads not for a device.
 *
 * Locks: the lock of the eventfd's wait queue is outer to virqfd_lock and to
 * what a driver's handler takes. All with interrupts off.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "vfio.h"

/**
 * struct virqfd - an eventfd under watch
 * @opaque: first argument of @handler and @thread
 * @eventfd: the eventfd
 * @handler: called when the eventfd is signalled; not 0 has @thread called, too
 * @thread: called from the workqueue; optional
 * @data: second argument of @handler and @thread
 * @inject: runs @thread
 * @wait: entry in the eventfd's wait queue
 * @pt: used once, to get into that queue
 * @shutdown: gets out of it when the eventfd is closed
 * @pvirqfd: where the owner keeps the pointer to this
 * @ending: in virqfd_ending, by @pvirqfd
 * @refs: being in the wait queue, @inject queued or running, who flushes it
 */
struct virqfd {
	void			*opaque;
	struct eventfd_ctx	*eventfd;
	int			(*handler)(void *opaque, void *data);
	void			(*thread)(void *opaque, void *data);
	void			*data;
	struct work_struct	inject;
	wait_queue_entry_t	wait;
	poll_table		pt;
	struct work_struct	shutdown;
	struct virqfd		**pvirqfd;
	struct hlist_node	ending;
	refcount_t		refs;
};

static struct workqueue_struct *virqfd_wq;
static DEFINE_SPINLOCK(virqfd_lock);
/* Those that no pointer points to any more, and the end of each. */
static DEFINE_HASHTABLE(virqfd_ending, 8);
static DECLARE_WAIT_QUEUE_HEAD(virqfd_ended);

int __init vfio_virqfd_init(void)
{
	virqfd_wq = alloc_workqueue("vfio-irqfd", WQ_UNBOUND, 0);
	return virqfd_wq ? 0 : -ENOMEM;
}

void vfio_virqfd_exit(void)
{
	destroy_workqueue(virqfd_wq);
}

static void virqfd_put(struct virqfd *virqfd)
{
	if (!refcount_dec_and_test(&virqfd->refs))
		return;

	eventfd_ctx_put(virqfd->eventfd);
	spin_lock_irq(&virqfd_lock);
	hash_del(&virqfd->ending);
	wake_up_all(&virqfd_ended);
	spin_unlock_irq(&virqfd_lock);
	kfree(virqfd);
}

/* Under virqfd_lock. Who does this goes on with virqfd_leave(). */
static void virqfd_end(struct virqfd *virqfd)
{
	*virqfd->pvirqfd = NULL;
	hash_add(virqfd_ending, &virqfd->ending,
		 (unsigned long)virqfd->pvirqfd);
}

/* Afterwards no signal comes; what has come keeps it until it is dealt with. */
static void virqfd_leave(struct virqfd *virqfd)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(virqfd->eventfd, &virqfd->wait, &count);
	virqfd_put(virqfd);
}

static void virqfd_shutdown(struct work_struct *work)
{
	virqfd_leave(container_of(work, struct virqfd, shutdown));
}

/* Under virqfd_lock. */
static bool virqfd_is_ending(struct virqfd **pvirqfd)
{
	struct virqfd *virqfd;

	hash_for_each_possible(virqfd_ending, virqfd, ending,
			       (unsigned long)pvirqfd)
		if (virqfd->pvirqfd == pvirqfd)
			return true;
	return false;
}

static void virqfd_wait_ended(struct virqfd **pvirqfd)
{
	spin_lock_irq(&virqfd_lock);
	wait_event_lock_irq(virqfd_ended, !virqfd_is_ending(pvirqfd),
			    virqfd_lock);
	spin_unlock_irq(&virqfd_lock);
}

static void virqfd_run_thread(struct work_struct *inject)
{
	struct virqfd *v = container_of(inject, struct virqfd, inject);

	v->thread(v->opaque, v->data);
	virqfd_put(v);
}

/* The eventfd was signalled; either callback may be missing. */
static void virqfd_signal(struct virqfd *virqfd)
{
	if (virqfd->handler && !virqfd->handler(virqfd->opaque, virqfd->data))
		return;
	if (!virqfd->thread)
		return;

	refcount_inc(&virqfd->refs);
	if (!queue_work(virqfd_wq, &virqfd->inject))
		refcount_dec(&virqfd->refs);
}

static int virqfd_wake(wait_queue_entry_t *wait, unsigned int mode, int sync,
		       void *key)
{
	struct virqfd *virqfd = container_of(wait, struct virqfd, wait);
	__poll_t events = key_to_poll(key);
	unsigned long flags;
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(virqfd->eventfd, &count);
		virqfd_signal(virqfd);
	}

	if (events & EPOLLHUP) {
		spin_lock_irqsave(&virqfd_lock, flags);
		if (*virqfd->pvirqfd == virqfd) {
			virqfd_end(virqfd);
			queue_work(virqfd_wq, &virqfd->shutdown);
		}
		spin_unlock_irqrestore(&virqfd_lock, flags);
	}
	return 0;
}

static void virqfd_queue(struct file *file, wait_queue_head_t *head,
			 poll_table *table)
{
	struct virqfd *virqfd = container_of(table, struct virqfd, pt);

	add_wait_queue(head, &virqfd->wait);
}

/**
 * vfio_virqfd_enable() - call a driver when an eventfd is signalled
 * @opaque: first argument of the callbacks
 * @handler: called on each signal, which may be in atomic context with interrupts
 *	off; may be NULL. If it returns 0 the signal is dealt with and @thread is
 *	not called
 * @thread: called in process context; several signals may become one call. It
 *	must not wait for a device: others need its workqueue. May be NULL
 * @data: second argument of the callbacks
 * @pvirqfd: where the irqfd is kept; the memory lives until
 *	vfio_virqfd_disable() returned. Becomes NULL by itself when the eventfd
 *	is closed
 * @fd: the eventfd
 *
 * A signal that is pending already counts.
 *
 * Context: may sleep. The caller keeps others from enabling or disabling the
 * same @pvirqfd.
 * Return: 0, -EBADF if @fd is not open, -EINVAL if it is not an eventfd, -EBUSY
 * if @pvirqfd is in use, -ENOMEM.
 */
int vfio_virqfd_enable(void *opaque, int (*handler)(void *, void *),
		       void (*thread)(void *, void *), void *data,
		       struct virqfd **pvirqfd, int fd)
{
	struct eventfd_ctx *eventfd;
	struct virqfd *virqfd;
	struct fd f;
	int ret;

	virqfd = kzalloc(sizeof(*virqfd), GFP_KERNEL_ACCOUNT);
	if (!virqfd)
		return -ENOMEM;

	virqfd->opaque = opaque;
	virqfd->handler = handler;
	virqfd->thread = thread;
	virqfd->data = data;
	virqfd->pvirqfd = pvirqfd;
	INIT_WORK(&virqfd->inject, virqfd_run_thread);
	INIT_WORK(&virqfd->shutdown, virqfd_shutdown);
	refcount_set(&virqfd->refs, 1);
	init_waitqueue_func_entry(&virqfd->wait, virqfd_wake);
	init_poll_funcptr(&virqfd->pt, virqfd_queue);

	/* With the file held, no EPOLLHUP comes before all is set up. */
	f = fdget(fd);
	if (!fd_file(f)) {
		ret = -EBADF;
		goto err_free;
	}

	eventfd = eventfd_ctx_fileget(fd_file(f));
	if (IS_ERR(eventfd)) {
		ret = PTR_ERR(eventfd);
		goto err_fd;
	}
	virqfd->eventfd = eventfd;

	spin_lock_irq(&virqfd_lock);
	if (*pvirqfd) {
		spin_unlock_irq(&virqfd_lock);
		ret = -EBUSY;
		goto err_eventfd;
	}
	*pvirqfd = virqfd;
	spin_unlock_irq(&virqfd_lock);

	if (vfs_poll(fd_file(f), &virqfd->pt) & EPOLLIN)
		virqfd_signal(virqfd);

	fdput(f);
	return 0;

err_eventfd:
	eventfd_ctx_put(eventfd);
err_fd:
	fdput(f);
err_free:
	kfree(virqfd);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_virqfd_enable);

/**
 * vfio_virqfd_disable() - end an irqfd
 * @pvirqfd: where it is kept; NULL in there is fine
 *
 * When this returns the callbacks do not run and will not be called.
 *
 * Context: may sleep; waits for the callbacks, so the caller holds no lock that
 * they take.
 */
void vfio_virqfd_disable(struct virqfd **pvirqfd)
{
	struct virqfd *virqfd;

	spin_lock_irq(&virqfd_lock);
	virqfd = *pvirqfd;
	if (virqfd)
		virqfd_end(virqfd);
	spin_unlock_irq(&virqfd_lock);

	if (virqfd)
		virqfd_leave(virqfd);
	virqfd_wait_ended(pvirqfd);
}
EXPORT_SYMBOL_GPL(vfio_virqfd_disable);

/**
 * vfio_virqfd_flush_thread() - wait for an irqfd's thread callback
 * @pvirqfd: where it is kept; NULL in there is fine
 *
 * When this returns, the thread callback of every signal that came before is
 * done.
 *
 * Context: may sleep; the caller holds no lock that the thread callback takes.
 */
void vfio_virqfd_flush_thread(struct virqfd **pvirqfd)
{
	struct virqfd *virqfd;

	spin_lock_irq(&virqfd_lock);
	virqfd = *pvirqfd;
	if (virqfd)
		refcount_inc(&virqfd->refs);
	spin_unlock_irq(&virqfd_lock);

	if (virqfd) {
		flush_work(&virqfd->inject);
		virqfd_put(virqfd);
	}
	virqfd_wait_ended(pvirqfd);
}
EXPORT_SYMBOL_GPL(vfio_virqfd_flush_thread);
