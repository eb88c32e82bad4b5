// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peer DMA: device memory in an I/O address space.
 *
 * A user may map a BAR for the DMA of other devices: he gives the address of
 * his mapping of the device file to an IOMMU back end. The translation that
 * the back end makes leads to device memory like a page table entry does, so
 * it has to go when the memory goes, and may come back with it.
 *
 * A struct vfio_peer is such a mapping. Its maker, the back end, owns it and
 * knows how to make and remove the translation (struct vfio_peer_ops); the
 * driver of the device says when (struct vfio_peer_host): it calls map() when
 * the memory can be reached and unmap() before it cannot. A driver's memory is
 * known by the operations of its VMAs.
 *
 * Most drivers do not tell, and fill page tables by remap_pfn_range() or in a fault
 * handler of their own. What these show is there as long as the device is open; that
 * much the driver promises whoever maps it. So for a peer without a host the core
 * does the same: it is mapped from its attach to the last close.
 *
 * A peer does not keep the device open, and not even its driver loaded: at the
 * last close the driver has all peers of the device detached for good. Who
 * comes first, that or the back end's own detach, is settled by the lock of the
 * device's struct vfio_peers, which outlives the device as long as there are peers.
 *
 * Locks: dev_set->lock (last close) and the back end's locks (attach, detach)
 * are outside of vfio_peers.lock, the driver's lock of its memory is inside it,
 * and what map() and unmap() take is inside that. A driver that takes its
 * memory away holds only its own lock. So who waits for a device's memory keeps
 * nobody waiting but who maps, unmaps or closes that device. vfio_peer_hosts_lock
 * is innermost.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "vfio.h"

/**
 * struct vfio_peers - what other devices' IOMMUs have of one device
 * @refs: the device, and each peer that was attached and not detached
 * @lock: covers who is in the driver's list of peers, and in ours
 * @device: the device; good as long as a peer is in a list
 * @hostless: the core's list of peers, of those without a host
 */
struct vfio_peers {
	refcount_t refs;
	struct mutex lock;		/* see above */
	struct vfio_device *device;
	struct list_head hostless;
};

static LIST_HEAD(vfio_peer_hosts);
static DEFINE_SPINLOCK(vfio_peer_hosts_lock);

/*
 * Of @device, which drops them with vfio_peers_put(); NULL without memory. They are
 * made for the first peer: most devices never have one.
 */
static struct vfio_peers *vfio_peers_of(struct vfio_device *device)
{
	struct vfio_device_users *users = vfio_device_users(device);
	struct vfio_peers *peers, *others;

	/* Pairs with what makes them known. */
	peers = smp_load_acquire(&users->peers);
	if (peers)
		return peers;

	peers = kzalloc(sizeof(*peers), GFP_KERNEL_ACCOUNT);
	if (!peers)
		return NULL;

	refcount_set(&peers->refs, 1);
	mutex_init(&peers->lock);
	peers->device = device;
	INIT_LIST_HEAD(&peers->hostless);

	/* A full barrier: who finds them finds them complete. */
	others = cmpxchg(&users->peers, NULL, peers);
	if (!others)
		return peers;
	vfio_peers_put(peers);
	return others;
}

/* NULL is fine. */
void vfio_peers_put(struct vfio_peers *peers)
{
	if (!peers || !refcount_dec_and_test(&peers->refs))
		return;
	mutex_destroy(&peers->lock);
	kfree(peers);
}

/**
 * vfio_peer_register_host - let the memory of a driver's devices be found
 * @host: lives until it is unregistered
 *
 * Context: process; before any device of the driver can be mapped.
 */
void vfio_peer_register_host(struct vfio_peer_host *host)
{
	spin_lock(&vfio_peer_hosts_lock);
	list_add(&host->next, &vfio_peer_hosts);
	spin_unlock(&vfio_peer_hosts_lock);
}
EXPORT_SYMBOL_GPL(vfio_peer_register_host);

/**
 * vfio_peer_unregister_host - undo vfio_peer_register_host()
 * @host: registered; no device of the driver is open
 */
void vfio_peer_unregister_host(struct vfio_peer_host *host)
{
	spin_lock(&vfio_peer_hosts_lock);
	list_del(&host->next);
	spin_unlock(&vfio_peer_hosts_lock);
}
EXPORT_SYMBOL_GPL(vfio_peer_unregister_host);

/**
 * vfio_peer_vma - is this the memory of a device?
 * @peer: if so, its host is set: NULL if the driver does not tell when what @vma shows
 *	goes, and the caller has to look up phys
 * @vma: where a user wants to map something from
 *
 * Context: mmap_lock is held.
 * Return: whether @vma maps a device file.
 */
bool vfio_peer_vma(struct vfio_peer *peer, struct vm_area_struct *vma)
{
	struct vfio_peer_host *host;

	if (!vma->vm_file || !vfio_device_from_file(vma->vm_file))
		return false;

	peer->host = NULL;
	spin_lock(&vfio_peer_hosts_lock);
	list_for_each_entry(host, &vfio_peer_hosts, next)
		if (host->vm_ops == vma->vm_ops)
			peer->host = host;
	spin_unlock(&vfio_peer_hosts_lock);
	return true;
}
EXPORT_SYMBOL_GPL(vfio_peer_vma);

static int vfio_peer_begin(struct vfio_peers *peers, struct vfio_peer *peer)
{
	int ret;

	lockdep_assert_held(&peers->lock);
	if (peer->host)
		return peer->host->attach(peers->device, peer);

	ret = peer->ops->map(peer, peer->phys);
	if (!ret)
		list_add_tail(&peer->next, &peers->hostless);
	return ret;
}

static void vfio_peer_end(struct vfio_peers *peers, struct vfio_peer *peer)
{
	lockdep_assert_held(&peers->lock);
	if (peer->host) {
		peer->host->detach(peers->device, peer);
	} else {
		list_del(&peer->next);
		peer->ops->unmap(peer);
	}
	peer->attached = false;
}

/**
 * vfio_peer_attach - map a part of a device file, as long as its memory is there
 * @peer: ops, offset and size are set, and phys if it has no host
 * @file: of the VMA of which vfio_peer_vma() said so, referenced by the caller until
 *	this returns: so the last close, which ends it, is still to come
 *
 * Return: 0 with the translation made; -EFAULT where the memory is not there;
 * -ENOMEM; -EINVAL for a range that is not in one region; what map() returns.
 * Context: may sleep; takes the device's memory_lock, so mmap_lock is not held.
 */
int vfio_peer_attach(struct vfio_peer *peer, struct file *file)
{
	struct vfio_device *device = vfio_device_from_file(file);
	struct vfio_peers *peers;
	int ret;

	if (!vfio_device_enter(device))
		return -EFAULT;

	ret = -ENOMEM;
	peers = vfio_peers_of(device);
	if (!peers)
		goto leave;
	mutex_lock(&peers->lock);
	ret = vfio_peer_begin(peers, peer);
	peer->attached = !ret;
	mutex_unlock(&peers->lock);
	if (!ret) {
		refcount_inc(&peers->refs);
		peer->peers = peers;
	}
leave:
	vfio_device_leave(device);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_peer_attach);

/**
 * vfio_peer_detach - remove the translation for good
 * @peer: was attached; the device may have ended that since
 *
 * Context: may sleep; as vfio_peer_attach(). No callback runs afterwards.
 */
void vfio_peer_detach(struct vfio_peer *peer)
{
	struct vfio_peers *peers = peer->peers;

	mutex_lock(&peers->lock);
	if (peer->attached)
		vfio_peer_end(peers, peer);
	mutex_unlock(&peers->lock);
	vfio_peers_put(peers);
}
EXPORT_SYMBOL_GPL(vfio_peer_detach);

static void vfio_peers_end_list(struct vfio_peers *peers, struct list_head *list)
{
	struct vfio_peer *peer;

	mutex_lock(&peers->lock);
	while ((peer = list_first_entry_or_null(list, struct vfio_peer, next))) {
		vfio_peer_end(peers, peer);
		cond_resched();
	}
	mutex_unlock(&peers->lock);
}

/**
 * vfio_peers_detach - nobody else's DMA reaches the device any more
 * @device: the device
 * @list: the driver's list of the device's peers, empty afterwards
 *
 * Nobody attaches another one meanwhile: that takes a file of the device through
 * which it is open, and the last is gone, or the device was revoked.
 *
 * Context: may sleep; last close, in close_device. The driver's lock of its
 * memory is not held.
 */
void vfio_peers_detach(struct vfio_device *device, struct list_head *list)
{
	struct vfio_peers *peers = vfio_device_users(device)->peers;

	if (peers)
		vfio_peers_end_list(peers, list);
}
EXPORT_SYMBOL_GPL(vfio_peers_detach);

/* The same for peers without a host: last close, before close_device. */
void vfio_peers_close(struct vfio_device *device)
{
	struct vfio_peers *peers = vfio_device_users(device)->peers;

	if (peers)
		vfio_peers_end_list(peers, &peers->hostless);
}
