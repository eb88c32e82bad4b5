// SPDX-License-Identifier: GPL-2.0-only
/*
 * BARs in the I/O address spaces of other devices: the readers of device memory
 * that the gate cuts off first. See drivers/vfio/peer.c for what a peer is.
 *
 * The list of peers is changed under memory_lock held for write (and the core's
 * lock of the device's peers), so the gate, which holds it, walks it as it is.
 */
#include <linux/pci.h>

#include "vfio_pci_priv.h"

static int vfio_pci_peer_map(struct vfio_pci_core_device *vdev,
			     struct vfio_peer *peer)
{
	int bar = vfio_pci_bar_of_region(vdev,
				VFIO_PCI_OFFSET_TO_INDEX(peer->offset));

	return peer->ops->map(peer, pci_resource_start(vdev->pdev, bar) +
				    (peer->offset & VFIO_PCI_OFFSET_MASK));
}

/* The VMA was checked by mmap, so its range is inside its BAR's pages. */
static int vfio_pci_peer_attach(struct vfio_device *core_vdev,
				struct vfio_peer *peer)
{
	struct vfio_pci_core_device *vdev =
		container_of(core_vdev, struct vfio_pci_core_device, vdev);
	int ret = -EFAULT;

	down_write(&vdev->memory_lock);
	if (vfio_pci_gate_admits_maps(vdev))
		ret = vfio_pci_peer_map(vdev, peer);
	if (!ret)
		list_add_tail(&peer->next, &vdev->peers);
	up_write(&vdev->memory_lock);
	return ret;
}

static void vfio_pci_peer_detach(struct vfio_device *core_vdev,
				 struct vfio_peer *peer)
{
	struct vfio_pci_core_device *vdev =
		container_of(core_vdev, struct vfio_pci_core_device, vdev);

	down_write(&vdev->memory_lock);
	list_del(&peer->next);
	if (vdev->gate_open)
		peer->ops->unmap(peer);
	up_write(&vdev->memory_lock);
}

/* A variant driver may map a region with operations of its own. */
struct vfio_peer_host vfio_pci_peer_host = {
	.vm_ops = &vfio_pci_mmap_ops,
	.attach = vfio_pci_peer_attach,
	.detach = vfio_pci_peer_detach,
};

/* The gate closes. */
void vfio_pci_peers_unmap(struct vfio_pci_core_device *vdev)
{
	struct vfio_peer *peer;

	lockdep_assert_held_write(&vdev->memory_lock);
	list_for_each_entry(peer, &vdev->peers, next)
		peer->ops->unmap(peer);
}

/*
 * The gate opens. A peer that cannot be mapped again stays away until it opens
 * the next time: DMA to it faults, which is what the user sees anyway while the
 * memory is off.
 */
void vfio_pci_peers_map(struct vfio_pci_core_device *vdev)
{
	struct vfio_peer *peer;
	int ret;

	lockdep_assert_held_write(&vdev->memory_lock);
	list_for_each_entry(peer, &vdev->peers, next) {
		ret = vfio_pci_peer_map(vdev, peer);
		if (ret)
			dev_warn_ratelimited(&vdev->pdev->dev,
					     "BAR at %#llx is not mapped for peer DMA again: %d\n",
					     (u64)peer->offset, ret);
	}
}
