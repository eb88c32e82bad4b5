// SPDX-License-Identifier: GPL-2.0-only
/*
 * What debugfs shows of a PCI device, see Documentation/ABI/testing/debugfs-vfio.
 *
 * Who looks here may want to know why something hangs, so nothing here waits for
 * a lock: the gate's is held for as long as a reset takes, or an importer that
 * does not let go. Where one is taken, the answer is -EBUSY, but for the gate's
 * own file, which has just that to say.
 *
 * The core removes the files, and waits for their readers, before the device
 * goes.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/rbtree.h>
#include <linux/seq_file.h>

#include "irqs.h"
#include "vfio_pci_priv.h"

#define VFIO_PCI_GATE_NAME(name, shown)	#shown,

static const char * const cause_names[] = {
	VFIO_PCI_GATE_CAUSES(VFIO_PCI_GATE_NAME, VFIO_PCI_GATE_NAME)
};

static const struct {
	unsigned int reason;
	const char *name;
} reason_names[] = {
	{ VFIO_PCI_HOLD_NOT_OPEN, "not_open" },
	{ VFIO_PCI_HOLD_ASLEEP, "asleep" },
	{ VFIO_PCI_HOLD_SUSPEND, "suspend" },
	{ VFIO_PCI_HOLD_RESET, "reset" },
	{ VFIO_PCI_HOLD_PF_RESET, "pf_reset" },
	{ VFIO_PCI_REASON_POWER, "power" },
	{ VFIO_PCI_REASON_ERROR, "error" },
	{ VFIO_PCI_REASON_DECODE, "decode" },
};

static const char * const irq_names[] = {
	[VFIO_PCI_INTX_IRQ_INDEX] = "intx",
	[VFIO_PCI_MSI_IRQ_INDEX] = "msi",
	[VFIO_PCI_MSIX_IRQ_INDEX] = "msix",
	[VFIO_PCI_NO_IRQ_TYPE] = "none",
};

static void show_reasons(struct vfio_pci_core_device *vdev,
			 struct seq_file *seq)
{
	unsigned int reasons = vfio_pci_gate_reasons(vdev);
	unsigned int i;

	seq_puts(seq, "because:");
	for (i = 0; i < ARRAY_SIZE(reason_names); i++)
		if (reasons & reason_names[i].reason)
			seq_printf(seq, " %s", reason_names[i].name);
	seq_putc(seq, '\n');
}

static int gate_show(struct seq_file *seq, void *unused)
{
	struct vfio_pci_core_device *vdev = seq->private;
	bool open;

	if (!down_read_trylock(&vdev->memory_lock)) {
		seq_puts(seq, "state: changing\n");
		return 0;
	}

	open = vfio_pci_gate_is_open(vdev);
	seq_printf(seq, "state: %s\n", open ? "open" : "closed");
	if (!open)
		show_reasons(vdev, seq);
	else if (!vfio_pci_gate_admits_maps(vdev))
		seq_puts(seq, "mappings: cut off, low_power\n");
	up_read(&vdev->memory_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(gate);

static int closers_show(struct seq_file *seq, void *unused)
{
	struct vfio_pci_core_device *vdev = seq->private;
	const struct vfio_pci_gate_closer *closer;
	unsigned int i;

	if (!down_read_trylock(&vdev->memory_lock))
		return -EBUSY;

	seq_puts(seq, "closer count cut cut_ns shut_ns longest_ns last_ns\n");
	for (i = 0; i < ARRAY_SIZE(cause_names); i++) {
		closer = &vdev->gate_closers[i];
		seq_printf(seq, "%s %llu %llu %llu %llu %llu %lld\n",
			   cause_names[i], closer->count, closer->cut,
			   closer->cut_ns, closer->shut_ns,
			   closer->longest_ns, closer->last);
	}
	up_read(&vdev->memory_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(closers);

/*
 * The VMAs of all processes. Who changes the part of the file that one maps has
 * the lock for write.
 */
static int mappings_show(struct seq_file *seq, void *unused)
{
	struct vfio_pci_core_device *vdev = seq->private;
	struct address_space *mapping = vdev->vdev.inode->i_mapping;
	struct vm_area_struct *vma;
	struct rb_node *node;
	vm_flags_t flags;
	loff_t pos;

	if (!i_mmap_trylock_read(mapping))
		return -EBUSY;

	seq_puts(seq, "region offset size access\n");
	for (node = rb_first_cached(&mapping->i_mmap); node;
	     node = rb_next(node)) {
		vma = rb_entry(node, struct vm_area_struct, shared.rb);
		/* mprotect() changes them with another lock. */
		flags = READ_ONCE(vma->vm_flags);
		pos = (loff_t)vma->vm_pgoff << PAGE_SHIFT;
		seq_printf(seq, "%llu %#llx %#lx %s%s\n",
			   VFIO_PCI_OFFSET_TO_INDEX(pos),
			   pos & VFIO_PCI_OFFSET_MASK,
			   vma->vm_end - vma->vm_start,
			   flags & VM_READ ? "r" : "-",
			   flags & VM_WRITE ? "w" : "-");
	}
	i_mmap_unlock_read(mapping);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mappings);

static int exports_show(struct seq_file *seq, void *unused)
{
	seq_puts(seq, "bar size ranges revoked maps\n");
	vfio_pci_dmabufs_show(seq->private, seq);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(exports);

static int peers_show(struct seq_file *seq, void *unused)
{
	struct vfio_pci_core_device *vdev = seq->private;
	const struct vfio_peer *peer;

	if (!down_read_trylock(&vdev->memory_lock))
		return -EBUSY;

	seq_puts(seq, "bar offset size\n");
	list_for_each_entry(peer, &vdev->peers, next)
		seq_printf(seq, "%llu %#llx %#zx\n",
			   VFIO_PCI_OFFSET_TO_INDEX(peer->offset),
			   peer->offset & VFIO_PCI_OFFSET_MASK, peer->size);
	up_read(&vdev->memory_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(peers);

static int interrupts_show(struct seq_file *seq, void *unused)
{
	struct vfio_pci_core_device *vdev = seq->private;
	unsigned long vector;
	unsigned int used = 0;
	void *ctx;

	if (!mutex_trylock(&vdev->igate))
		return -EBUSY;

	xa_for_each(&vdev->ctx, vector, ctx)
		used++;
	seq_printf(seq, "type: %s\n", irq_names[vdev->irq_type]);
	seq_printf(seq, "used: %u\n", used);
	seq_printf(seq, "error: %d\n", !!rcu_access_pointer(vdev->err_trigger));
	seq_printf(seq, "request: %d\n",
		   !!rcu_access_pointer(vdev->req_trigger));
	seq_printf(seq, "ioeventfds: %d\n", READ_ONCE(vdev->ioeventfds_nr));
	mutex_unlock(&vdev->igate);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(interrupts);

/**
 * vfio_pci_debugfs_add - show a device in debugfs
 * @vdev: the device, which the core has just registered
 *
 * Context: may sleep.
 */
void vfio_pci_debugfs_add(struct vfio_pci_core_device *vdev)
{
	static const struct {
		const char *name;
		const struct file_operations *fops;
	} files[] = {
		{ "gate", &gate_fops },
		{ "closers", &closers_fops },
		{ "mappings", &mappings_fops },
		{ "exports", &exports_fops },
		{ "peers", &peers_fops },
		{ "interrupts", &interrupts_fops },
	};
	struct dentry *dir = debugfs_create_dir("pci", vdev->vdev.debug_root);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		debugfs_create_file(files[i].name, 0400, dir, vdev,
				    files[i].fops);
}
