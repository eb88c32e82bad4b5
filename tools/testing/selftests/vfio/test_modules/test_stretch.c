// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the time between two steps of the kernel long, so that what has to happen
 * there to show a race does. Who writes
 *
 *	FUNCTION MICROSECONDS [before|after [COMM]]
 *
 * to "test_stretch/windows" in debugfs has every call of the function wait that
 * long when it has just returned, or before its first instruction; if a COMM is
 * named, only in tasks of that name. A call that is to be caught by another one of
 * the same function needs that: who both wait meet as they would have without.
 * "-FUNCTION" ends that, an empty line ends all. Reading tells for each window
 * how often somebody waited, and how often not for want of room for the call.
 *
 * FUNCTION is what /proc/kallsyms has, static ones that the compiler kept among
 * them, with their suffix if there is one (.isra.0, .constprop.0, .part.0); and
 * "vfio:vfio_main", if a name is in several modules. It must be a function that
 * is called: one of the same file may be inlined where the race is, and be
 * kept for somebody else. Then stretch what it calls, or its caller.
 *
 * The waiting is done with preemption disabled, and so works anywhere, under
 * spinlocks, in interrupts. "before" has interrupts disabled as well, unless
 * kprobes use ftrace: who needs an answer of this CPU (to flush a TLB, say) waits
 * with it. The race needs a second CPU.
 */
#include <linux/debugfs.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

/* Not long enough for anybody to take the CPU for stuck. */
#define MAX_USECS	1000000
/* Calls that are under way at the same time, asleep or not. */
#define MAX_CALLS	256

struct window {
	struct list_head next;
	struct kretprobe probe;		/* only its kp, if not after */
	char function[KSYM_NAME_LEN];
	char comm[TASK_COMM_LEN];
	unsigned int usecs;
	bool after;
	atomic_t hits;
};

static DEFINE_MUTEX(windows_lock);
static LIST_HEAD(windows);
static struct dentry *dir;

static void window_wait(struct window *w)
{
	u64 end;

	if (w->comm[0] && strncmp(current->comm, w->comm, TASK_COMM_LEN))
		return;

	atomic_inc(&w->hits);
	/* udelay() counts loops, and a busy emulator miscounts them. */
	end = ktime_get_mono_fast_ns() + w->usecs * (u64)NSEC_PER_USEC;
	while (ktime_get_mono_fast_ns() < end)
		cpu_relax();
}

static int window_before(struct kprobe *kp, struct pt_regs *regs)
{
	window_wait(container_of(kp, struct window, probe.kp));
	return 0;
}

static int window_after(struct kretprobe_instance *call, struct pt_regs *regs)
{
	struct kretprobe *probe = get_kretprobe(call);

	/* None for a call that outlives the window. */
	if (probe)
		window_wait(container_of(probe, struct window, probe));
	return 0;
}

static int window_add(struct window *w)
{
	struct window *other;
	int ret;

	list_for_each_entry(other, &windows, next)
		if (!strcmp(other->function, w->function))
			return -EEXIST;

	w->probe.kp.symbol_name = w->function;
	if (w->after) {
		w->probe.handler = window_after;
		w->probe.maxactive = MAX_CALLS;
		ret = register_kretprobe(&w->probe);
	} else {
		w->probe.kp.pre_handler = window_before;
		ret = register_kprobe(&w->probe.kp);
	}
	if (!ret)
		list_add_tail(&w->next, &windows);
	return ret;
}

/* Nobody waits any longer when this returns. */
static void window_remove(struct window *w)
{
	if (w->after)
		unregister_kretprobe(&w->probe);
	else
		unregister_kprobe(&w->probe.kp);
	list_del(&w->next);
	kfree(w);
}

/* All of them without a @function. */
static int windows_remove(const char *function)
{
	struct window *w, *next;
	int ret = function ? -ENOENT : 0;

	list_for_each_entry_safe(w, next, &windows, next) {
		if (function && strcmp(function, w->function))
			continue;
		window_remove(w);
		ret = 0;
	}
	return ret;
}

static int window_parse(struct window *w, const char *text)
{
	char where[8] = "after", rest;
	int n;

	n = sscanf(text, "%127s %u %7s %15s %c", w->function, &w->usecs, where,
		   w->comm, &rest);
	if (n < 2 || n > 4)
		return -EINVAL;
	if (w->usecs > MAX_USECS)
		return -ERANGE;
	w->after = !strcmp(where, "after");
	return w->after || !strcmp(where, "before") ? 0 : -EINVAL;
}

static int windows_change(const char *text)
{
	struct window *w;
	int ret;

	if (!*text || *text == '-')
		return windows_remove(*text ? text + 1 : NULL);

	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return -ENOMEM;
	ret = window_parse(w, text) ?: window_add(w);
	if (ret)
		kfree(w);
	return ret;
}

static ssize_t windows_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *ppos)
{
	char *text;
	int ret;

	if (count > PAGE_SIZE)
		return -E2BIG;
	text = memdup_user_nul(buf, count);
	if (IS_ERR(text))
		return PTR_ERR(text);

	mutex_lock(&windows_lock);
	ret = windows_change(strim(text));
	mutex_unlock(&windows_lock);
	kfree(text);
	return ret ?: count;
}

static int windows_show(struct seq_file *seq, void *unused)
{
	struct window *w;

	mutex_lock(&windows_lock);
	list_for_each_entry(w, &windows, next)
		seq_printf(seq, "%s %u %s %s hits %d missed %lu\n", w->function,
			   w->usecs, w->after ? "after" : "before",
			   w->comm[0] ? w->comm : "*", atomic_read(&w->hits),
			   w->probe.kp.nmissed + w->probe.nmissed);
	mutex_unlock(&windows_lock);
	return 0;
}

static int windows_open(struct inode *inode, struct file *file)
{
	return single_open(file, windows_show, NULL);
}

static const struct file_operations windows_fops = {
	.owner		= THIS_MODULE,
	.open		= windows_open,
	.read		= seq_read,
	.write		= windows_write,
	.llseek		= seq_lseek,
	.release	= single_release,
};

static int __init stretch_init(void)
{
	dir = debugfs_create_dir("test_stretch", NULL);
	debugfs_create_file("windows", 0600, dir, NULL, &windows_fops);
	return PTR_ERR_OR_ZERO(dir);
}

static void __exit stretch_exit(void)
{
	debugfs_remove(dir);
	windows_remove(NULL);
}

module_init(stretch_init);
module_exit(stretch_exit);

MODULE_DESCRIPTION("functions that take longer, to test for races");
MODULE_LICENSE("GPL");
