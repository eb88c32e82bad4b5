// SPDX-License-Identifier: GPL-2.0-only
/*
 * irqfd: do something in the kernel when a user signals an eventfd.
 *
 * A driver keeps a pointer for each irqfd; what it points to is made by
 * vfio_virqfd_enable() and listens on the wait queue of the eventfd. Two things
 * end it: the driver calls vfio_virqfd_disable(), or the last file of the eventfd
 * is closed. Whoever clears the driver's pointer first, under virqfd_lock, also
 * queues the work that takes it off the wait queue and frees it. The work is
 * needed because the wake-up on closing comes with the wait queue's lock held,
 * in which one cannot leave it.
 *
 * The workqueue is ordered, one work at a time in the order of queueing, which
 * gives the guarantees that drivers need:
 *
 * - Flushing it after clearing the pointer means that the irqfd is freed and
 *   will not call the driver again, whoever cleared the pointer.
 * - vfio_virqfd_flush_thread() queues its work, under virqfd_lock, while the
 *   irqfd is still pointed to, so before the one that frees it.
 *
 * Locks: the lock of the eventfd's wait queue is outer to virqfd_lock and to
 * what a driver's handler takes. All with interrupts off.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "vfio.h"

static struct workqueue_struct *virqfd_wq;
static DEFINE_SPINLOCK(virqfd_lock);

int __init vfio_virqfd_init(void)
{
	virqfd_wq = alloc_ordered_workqueue("vfio-irqfd-cleanup", 0);
	return virqfd_wq ? 0 : -ENOMEM;
}

void vfio_virqfd_exit(void)
{
	destroy_workqueue(virqfd_wq);
}

/* Under virqfd_lock, with *pvirqfd not NULL. */
static void virqfd_drop(struct virqfd **pvirqfd)
{
	struct virqfd *virqfd = *pvirqfd;

	*pvirqfd = NULL;
	queue_work(virqfd_wq, &virqfd->shutdown);
}

static void virqfd_shutdown(struct work_struct *work)
{
	struct virqfd *virqfd = container_of(work, struct virqfd, shutdown);
	u64 count;

	eventfd_ctx_remove_wait_queue(virqfd->eventfd, &virqfd->wait, &count);
	/* Nothing queues it any more. */
	flush_work(&virqfd->inject);
	eventfd_ctx_put(virqfd->eventfd);
	kfree(virqfd);
}

static void virqfd_run_thread(struct work_struct *inject)
{
	struct virqfd *v = container_of(inject, struct virqfd, inject);

	v->thread(v->opaque, v->data);
}

static void virqfd_wait_thread(struct work_struct *flush)
{
	flush_work(&container_of(flush, struct virqfd, flush_inject)->inject);
}

/* The eventfd was signalled; either callback may be missing. */
static void virqfd_signal(struct virqfd *virqfd)
{
	if (virqfd->handler && !virqfd->handler(virqfd->opaque, virqfd->data))
		return;
	if (virqfd->thread)
		schedule_work(&virqfd->inject);
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
		if (*virqfd->pvirqfd == virqfd)
			virqfd_drop(virqfd->pvirqfd);
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
 * @handler: called on each signal in atomic context, interrupts off; may be
 *	NULL. If it returns 0 the signal is dealt with and @thread is not called
 * @thread: called in process context; several signals may become one call. May
 *	be NULL
 * @data: second argument of the callbacks
 * @pvirqfd: where the irqfd is kept; the memory lives until
 *	vfio_virqfd_disable() returned. Becomes NULL by itself when the eventfd
 *	is closed
 * @fd: the eventfd
 *
 * A signal that is pending already counts.
 *
 * Context: may sleep. The caller keeps others from enabling the same @pvirqfd.
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
	INIT_WORK(&virqfd->flush_inject, virqfd_wait_thread);
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
	spin_lock_irq(&virqfd_lock);
	if (*pvirqfd)
		virqfd_drop(pvirqfd);
	spin_unlock_irq(&virqfd_lock);

	/* Even if it was dropped before: it may not be gone yet. */
	flush_workqueue(virqfd_wq);
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
	spin_lock_irq(&virqfd_lock);
	if (*pvirqfd)
		queue_work(virqfd_wq, &(*pvirqfd)->flush_inject);
	spin_unlock_irq(&virqfd_lock);

	flush_workqueue(virqfd_wq);
}
EXPORT_SYMBOL_GPL(vfio_virqfd_flush_thread);
