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
 * driver of the device says when (struct vfio_peer_host_ops): it calls map()
 * when the memory can be reached and unmap() before it cannot.
 *
 * A peer does not keep the device open, and not even its driver loaded: at the
 * last close the core detaches all peers of the device for good. Who comes
 * first, that or the back end's own detach, is settled by vfio_peers_lock,
 * which covers vfio_device.peers and vfio_peer.device.
 *
 * Locks: dev_set->lock (last close) and the back end's locks (attach, detach)
 * are outside vfio_peers_lock, the driver's lock of its memory is inside it,
 * and what map() and unmap() take is inside that. A driver that takes its
 * memory away holds only its own lock.
 */
#include <linux/mm.h>

#include "vfio.h"

static DEFINE_MUTEX(vfio_peers_lock);

static const struct vfio_peer_host_ops *
vfio_peer_host_ops_of(struct vm_area_struct *vma, struct vfio_device **device)
{
	*device = vma->vm_file ? vfio_device_from_file(vma->vm_file) : NULL;

	return *device ? (*device)->peer_host_ops : NULL;
}

/**
 * vfio_peer_vma - is this the memory of a device that can tell when it goes?
 * @vma: where a user wants to map something from
 *
 * Context: mmap_lock is held.
 */
bool vfio_peer_vma(struct vm_area_struct *vma)
{
	const struct vfio_peer_host_ops *ops;
	struct vfio_device *device;

	ops = vfio_peer_host_ops_of(vma, &device);
	return ops && ops->owns_vma(device, vma);
}
EXPORT_SYMBOL_GPL(vfio_peer_vma);

/**
 * vfio_peer_attach - map a part of a device file, as long as its memory is there
 * @peer: ops, offset and size are set
 * @file: file of a VMA for which vfio_peer_vma() was true, referenced by the
 *	caller until this returns
 *
 * Return: 0 with the translation made; -EFAULT where the memory is not there;
 * -EINVAL for a range that is not in one region; what map() returns.
 * Context: may sleep; takes the device's memory_lock, so mmap_lock is not held.
 */
int vfio_peer_attach(struct vfio_peer *peer, struct file *file)
{
	struct vfio_device *device = vfio_device_from_file(file);
	int ret;

	mutex_lock(&vfio_peers_lock);
	ret = device->peer_host_ops->attach(device, peer);
	if (!ret)
		peer->device = device;
	mutex_unlock(&vfio_peers_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_peer_attach);

static void vfio_peer_detach_locked(struct vfio_peer *peer)
{
	struct vfio_device *device = peer->device;

	lockdep_assert_held(&vfio_peers_lock);
	device->peer_host_ops->detach(device, peer);
	peer->device = NULL;
}

/**
 * vfio_peer_detach - remove the translation for good
 * @peer: was attached; the device may have ended that since
 *
 * Context: may sleep; as vfio_peer_attach(). No callback runs afterwards.
 */
void vfio_peer_detach(struct vfio_peer *peer)
{
	mutex_lock(&vfio_peers_lock);
	if (peer->device)
		vfio_peer_detach_locked(peer);
	mutex_unlock(&vfio_peers_lock);
}
EXPORT_SYMBOL_GPL(vfio_peer_detach);

/* Last close: nobody else's DMA reaches the device any more. */
void vfio_device_detach_peers(struct vfio_device *device)
{
	struct vfio_peer *peer, *next;

	mutex_lock(&vfio_peers_lock);
	list_for_each_entry_safe(peer, next, &device->peers, next)
		vfio_peer_detach_locked(peer);
	mutex_unlock(&vfio_peers_lock);
}
