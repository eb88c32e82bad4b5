/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VFIO: what drivers of devices, and users of device files inside the kernel
 * (KVM), link against. What user space sees is <uapi/linux/vfio.h>.
 *
 * A driver embeds struct vfio_device in its own structure, gives it
 * operations, and goes through
 *
 *	vfio_alloc_device()		ops->init
 *	vfio_assign_device_set()	optional
 *	vfio_register_group_dev()	user space can open it
 *	vfio_unregister_group_dev()	waits until nobody has it open, or
 *					takes it from who has
 *	vfio_put_device()		ops->release with the last reference
 */
#ifndef VFIO_H
#define VFIO_H

#include <linux/cdev.h>
#include <linux/iommu.h>
#include <linux/iova_bitmap.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/uuid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/vfio.h>

struct iommufd_access;
struct iommufd_ctx;
struct iommufd_device;
struct kvm;
struct vfio_peers;

/**
 * struct vfio_device_set - devices that are opened and closed under one lock
 * @set_id: what they have in common, such as a slot or a bus; just a key
 * @lock: held around every open_device and close_device of the set; mmap_lock
 *	and a driver's own locks nest inside
 * @device_list: the devices, under @lock
 * @device_count: how many point here, registered or not; under the lock of
 *	the table of sets
 * @aside_count: how many are waited for with @lock dropped; under it, see
 *	vfio_device_step_aside()
 * @back: woken when one has taken it again
 *
 * Lives as long as a device is in it.
 */
struct vfio_device_set {
	void			*set_id;
	struct mutex		lock;		/* opening and closing */
	struct list_head	device_list;
	unsigned int		device_count;
	unsigned int		aside_count;
	wait_queue_head_t	back;
};

/**
 * struct vfio_device - a device that user space may drive
 * @dev: the hardware, or the parent of an emulated device
 * @ops: the driver's operations
 * @mig_ops: migration, or NULL. Like @log_ops and @migration_flags fixed
 *	before the device is registered
 * @log_ops: logging of DMA, or NULL
 * @group: the group it is in while registered
 * @group_next: member of the group's list of devices
 * @iommu_entry: member of the container's list of devices that want to hear of
 *	unmapping
 * @dev_set: the set it is in, at the latest from registration on
 * @dev_set_list: member of the set's list of devices
 * @migration_flags: VFIO_MIGRATION_*, as user space will see them
 * @kvm: the virtual machine that the device is used with; valid from
 *	open_device until close_device returns, NULL without one
 */
struct vfio_device {
	struct device				*dev;
	const struct vfio_device_ops		*ops;
	const struct vfio_migration_ops		*mig_ops;
	const struct vfio_log_ops		*log_ops;
#if IS_ENABLED(CONFIG_VFIO_GROUP)
	struct vfio_group			*group;
	struct list_head			group_next;
	struct list_head			iommu_entry;
#endif
	struct vfio_device_set			*dev_set;
	struct list_head			dev_set_list;
	unsigned int				migration_flags;
	struct kvm				*kvm;

	/* private: the core's own, drivers keep away */
	unsigned int				index;
	/* Its reference count is the lifetime of the memory. */
	struct device				device;
#if IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV)
	struct cdev				cdev;
#endif
	/* Users of a registered device; unregistration waits for 0. */
	refcount_t				refcount;
	/* Files it is open through; under dev_set->lock. */
	unsigned int				open_count;
	struct completion			comp;
	struct iommufd_access			*iommufd_access;
	void (*put_kvm)(struct kvm *kvm);
	/* The mapping of every file of the device. */
	struct inode				*inode;
#if IS_ENABLED(CONFIG_IOMMUFD)
	struct iommufd_device			*iommufd_device;
	u8					iommufd_attached:1;
#endif
	u8					cdev_opened:1;
	/* Waited for with dev_set->lock dropped; under it. */
	bool					aside;
	/* See drivers/vfio/revoke.c. */
	bool					revocable;
	bool					revoked;
	bool					gone;
#ifdef CONFIG_DEBUG_FS
	struct dentry				*debug_root;
#endif
};

/**
 * struct vfio_peer - a part of a device file in an I/O address space
 * @next: in the driver's list of the device's peers, or the core's
 * @host: whose memory it is, set by vfio_peer_vma(); NULL: the driver does not tell
 *	when it goes, but it stays until the last close
 * @peers: of the device, once attached; the core's
 * @attached: the device has not ended this; the core's
 * @ops: the maker's
 * @offset: in the device file, in bytes, page-aligned
 * @size: bytes, page-aligned; all in one region
 * @phys: what is there, of a peer without a host
 *
 * See the head of drivers/vfio/peer.c.
 */
struct vfio_peer {
	struct list_head			next;
	const struct vfio_peer_host		*host;
	struct vfio_peers			*peers;
	bool					attached;
	const struct vfio_peer_ops		*ops;
	loff_t					offset;
	size_t					size;
	phys_addr_t				phys;
};

/**
 * struct vfio_peer_ops - what the maker of a peer does when memory comes or goes
 * @map: the memory is there, at @phys: make the translation. Returns 0 or an
 *	error, after which nothing is translated
 * @unmap: the memory is about to go: when this returns no DMA reaches it.
 *	Called for a peer that map() failed for, too, and does nothing then
 *
 * Both may sleep, and run under the lock that the driver has for its memory,
 * inside which mmap_lock may not be taken.
 */
struct vfio_peer_ops {
	int (*map)(struct vfio_peer *peer, phys_addr_t phys);
	void (*unmap)(struct vfio_peer *peer);
};

/**
 * struct vfio_peer_host - a driver that lets others DMA to its devices' memory
 * @next: in the core's list of them
 * @vm_ops: what the VMAs have that @attach knows
 * @attach: call map() now, and unmap() and map() whenever the memory goes and
 *	comes; -EFAULT if it is not there now
 * @detach: call unmap() if the memory is there, and nothing any more
 *
 * attach and detach may sleep, and run under the core's lock of the device's
 * peers.
 */
struct vfio_peer_host {
	struct list_head next;
	const struct vm_operations_struct *vm_ops;
	int (*attach)(struct vfio_device *device, struct vfio_peer *peer);
	void (*detach)(struct vfio_device *device, struct vfio_peer *peer);
};

/**
 * struct vfio_device_ops - what a driver does for a device
 * @name: the driver's name, for messages
 * @init: the structure was allocated and zeroed: fill in the driver's part.
 *	Failing fails vfio_alloc_device(). Optional, process context
 * @release: the last reference is gone: free what @init and the driver made,
 *	not the structure itself. If the device was taken from its user, that is
 *	when the user closes the last file, maybe long after the driver has let go
 *	of @dev. Optional, process context
 * @bind_iommufd: tie the device to an iommufd and store its ID there. Like the
 *	next three under dev_set->lock, and for most drivers
 *	vfio_iommufd_physical_bind() or vfio_iommufd_emulated_bind() and the
 *	functions that go with it
 * @unbind_iommufd: undo @bind_iommufd, and @attach_ioas if it still holds
 * @attach_ioas: let DMA go through the address space or page table ``*pt_id`` of
 *	that iommufd, and store what was attached
 * @detach_ioas: undo @attach_ioas
 * @open_device: somebody opened the device that nobody had open: make it
 *	usable. Under dev_set->lock, may sleep. Optional
 * @close_device: the last file is gone, or as good as that: stop DMA and
 *	interrupts, and forget what the user set up. Under dev_set->lock, may
 *	sleep. Optional
 * @read: pread() of a region; may be short, moves ``*ppos``
 * @write: pwrite() of a region, likewise
 * @ioctl: every request of a device file that the core does not answer itself.
 *	-ENOTTY for unknown ones
 * @mmap: map (part of) a region. Under mmap_lock for write; must not take
 *	dev_set->lock
 * @request: somebody wants the device back while it is in use; @count says how
 *	often that was asked. Called again and again until the last file is
 *	closed: tell the user if there is a way. Optional, may sleep
 * @match: does VFIO_GROUP_GET_DEVICE_FD mean this device by @buf, positive for
 *	yes, 0 for no, an errno to refuse (say, a token is wrong). Without it
 *	the name of @dev decides. Called under a mutex of the group
 * @dma_unmap: these IOVAs are about to be unmapped: unpin what was pinned with
 *	vfio_pin_pages() there before returning. May sleep; must not call into
 *	the container except to unpin, nor take dev_set->lock. Optional, for
 *	emulated devices
 * @device_feature: VFIO_DEVICE_FEATURE for what the core does not know;
 *	@arg points to the @argsz bytes of data. -ENOTTY for unknown ones.
 *	Optional
 * @match_token_uuid: may somebody who names this token, NULL for none, bind the
 *	device through /dev/vfio/devices: 0 or an errno. Without it no token is
 *	needed and none can be given. Under dev_set->lock, before @open_device.
 *	Optional
 *
 * Of one device @read, @write, @ioctl, @mmap and @device_feature run in any
 * number at a time, between @open_device and @close_device, in the context of
 * the process that makes the call, without a lock of the core.
 */
struct vfio_device_ops {
	char	*name;
	int	(*init)(struct vfio_device *vdev);
	void	(*release)(struct vfio_device *vdev);
	int	(*bind_iommufd)(struct vfio_device *vdev,
				struct iommufd_ctx *ictx, u32 *out_device_id);
	void	(*unbind_iommufd)(struct vfio_device *vdev);
	int	(*attach_ioas)(struct vfio_device *vdev, u32 *pt_id);
	void	(*detach_ioas)(struct vfio_device *vdev);
	int	(*open_device)(struct vfio_device *vdev);
	void	(*close_device)(struct vfio_device *vdev);
	ssize_t	(*read)(struct vfio_device *vdev, char __user *buf,
			size_t count, loff_t *ppos);
	ssize_t	(*write)(struct vfio_device *vdev, const char __user *buf,
			 size_t count, loff_t *ppos);
	long	(*ioctl)(struct vfio_device *vdev, unsigned int cmd,
			 unsigned long arg);
	int	(*mmap)(struct vfio_device *vdev, struct vm_area_struct *vma);
	void	(*request)(struct vfio_device *vdev, unsigned int count);
	int	(*match)(struct vfio_device *vdev, char *buf);
	void	(*dma_unmap)(struct vfio_device *vdev, u64 iova, u64 length);
	int	(*device_feature)(struct vfio_device *vdev, u32 flags,
				  void __user *arg, size_t argsz);
	int	(*match_token_uuid)(struct vfio_device *vdev,
				    const uuid_t *uuid);
};

/**
 * struct vfio_migration_ops - a device whose state can be moved
 * @migration_set_state: take the steps to @new_state, see
 *	vfio_mig_get_next_state(). Returns the file of a data stream if a step
 *	opened one, NULL if not, or an ERR_PTR(). The stream must end, or fail,
 *	when the device leaves the states that it belongs to and when the
 *	device is closed
 * @migration_get_state: store the present state
 * @migration_get_data_size: store an estimate, in bytes, of what is to be
 *	transferred in STOP_COPY
 *
 * All three are there if any is. Process context, no lock held, may sleep.
 */
struct vfio_migration_ops {
	struct file *(*migration_set_state)(struct vfio_device *device,
					    enum vfio_device_mig_state new_state);
	int (*migration_get_state)(struct vfio_device *device,
				   enum vfio_device_mig_state *curr_state);
	int (*migration_get_data_size)(struct vfio_device *device,
				       unsigned long *stop_copy_length);
};

/**
 * struct vfio_log_ops - a device that knows where it wrote
 * @log_start: begin; @ranges holds @nnodes struct interval_tree_node of IOVAs,
 *	which the driver may join with vfio_combine_iova_ranges(). @page_size
 *	is the granularity that the user would like and, on return, the one it
 *	gets
 * @log_stop: end
 * @log_read_and_clear: set in @dirty what was written in the range since it
 *	was last asked for
 *
 * The core does not remember whether a log runs: a driver refuses a second
 * start and survives stopping and reading without a start. Process context, no
 * lock held, may sleep.
 */
struct vfio_log_ops {
	int (*log_start)(struct vfio_device *device,
			 struct rb_root_cached *ranges, u32 nnodes,
			 u64 *page_size);
	int (*log_stop)(struct vfio_device *device);
	int (*log_read_and_clear)(struct vfio_device *device,
				  unsigned long iova, unsigned long length,
				  struct iova_bitmap *dirty);
};

/* ---- Life of a device ---- */

struct vfio_device *_vfio_alloc_device(size_t size, struct device *dev,
				       const struct vfio_device_ops *ops);

/**
 * vfio_alloc_device() - allocate a driver's structure with its vfio_device
 * @dev_struct: tag of the driver's structure
 * @member: its struct vfio_device, which must be its first member
 * @dev: the hardware
 * @ops: the driver's operations
 *
 * Return: the structure, zeroed but for @member and what ops->init did, or an
 * ERR_PTR(). May sleep. Undone by vfio_put_device().
 */
#define vfio_alloc_device(dev_struct, member, dev, ops)			\
	container_of(							\
		_vfio_alloc_device(sizeof(struct dev_struct) +		\
			BUILD_BUG_ON_ZERO(offsetof(struct dev_struct,	\
						   member)),		\
			dev, ops),					\
		struct dev_struct, member)

/**
 * vfio_put_device() - drop the reference that vfio_alloc_device() gave
 * @device: an unregistered device
 */
static inline void vfio_put_device(struct vfio_device *device)
{
	put_device(&device->device);
}

int vfio_register_group_dev(struct vfio_device *device);
int vfio_register_emulated_iommu_dev(struct vfio_device *device);
int vfio_device_set_revocable(struct vfio_device *device);
void vfio_device_set_gone(struct vfio_device *device);
bool vfio_device_is_gone(struct vfio_device *device);
void vfio_unregister_group_dev(struct vfio_device *device);

bool vfio_device_enter(struct vfio_device *device);
void vfio_device_leave(struct vfio_device *device);

int vfio_assign_device_set(struct vfio_device *device, void *set_id);
unsigned int vfio_device_set_open_count(struct vfio_device_set *dev_set);
void vfio_device_step_aside(struct vfio_device *device);
void vfio_device_step_back(struct vfio_device *device);
struct vfio_device *
vfio_find_device_in_devset(struct vfio_device_set *dev_set,
			   struct device *dev);

/* ---- Mappings ---- */

void vfio_peer_register_host(struct vfio_peer_host *host);
void vfio_peer_unregister_host(struct vfio_peer_host *host);
void vfio_peers_detach(struct vfio_device *device, struct list_head *list);
bool vfio_peer_vma(struct vfio_peer *peer, struct vm_area_struct *vma);
int vfio_peer_attach(struct vfio_peer *peer, struct file *file);
void vfio_peer_detach(struct vfio_peer *peer);

void vfio_device_unmap_mapping_range(struct vfio_device *device, loff_t start,
				     loff_t len);

/* ---- iommufd ---- */

/**
 * vfio_device_cdev_opened() - was it opened through /dev/vfio/devices
 * @device: an open device, under dev_set->lock or from one of its operations
 *
 * Return: true if it was, false if it was opened through a group.
 */
static inline bool vfio_device_cdev_opened(struct vfio_device *device)
{
	return device->cdev_opened;
}

#if IS_ENABLED(CONFIG_IOMMUFD)
struct iommufd_ctx *vfio_iommufd_device_ictx(struct vfio_device *vdev);
int vfio_iommufd_get_dev_id(struct vfio_device *vdev, struct iommufd_ctx *ictx);

/* Operations for devices that do DMA themselves */
int vfio_iommufd_physical_bind(struct vfio_device *vdev,
			       struct iommufd_ctx *ictx, u32 *out_device_id);
void vfio_iommufd_physical_unbind(struct vfio_device *vdev);
int vfio_iommufd_physical_attach_ioas(struct vfio_device *vdev, u32 *pt_id);
void vfio_iommufd_physical_detach_ioas(struct vfio_device *vdev);

/* Operations for devices whose driver does it for them */
int vfio_iommufd_emulated_bind(struct vfio_device *vdev,
			       struct iommufd_ctx *ictx, u32 *out_device_id);
void vfio_iommufd_emulated_unbind(struct vfio_device *vdev);
int vfio_iommufd_emulated_attach_ioas(struct vfio_device *vdev, u32 *pt_id);
void vfio_iommufd_emulated_detach_ioas(struct vfio_device *vdev);
#else /* !CONFIG_IOMMUFD: no context, and operations that are not there */
static inline struct iommufd_ctx *
vfio_iommufd_device_ictx(struct vfio_device *vdev)
{
	return NULL;
}

static inline int
vfio_iommufd_get_dev_id(struct vfio_device *vdev, struct iommufd_ctx *ictx)
{
	return VFIO_PCI_DEVID_NOT_OWNED;
}

typedef int (*vfio_iommufd_no_bind_t)(struct vfio_device *vdev,
				      struct iommufd_ctx *ictx,
				      u32 *out_device_id);
typedef int (*vfio_iommufd_no_attach_t)(struct vfio_device *vdev, u32 *pt_id);
typedef void (*vfio_iommufd_no_undo_t)(struct vfio_device *vdev);

#define vfio_iommufd_physical_bind		((vfio_iommufd_no_bind_t)NULL)
#define vfio_iommufd_physical_unbind		((vfio_iommufd_no_undo_t)NULL)
#define vfio_iommufd_physical_attach_ioas	((vfio_iommufd_no_attach_t)NULL)
#define vfio_iommufd_physical_detach_ioas	((vfio_iommufd_no_undo_t)NULL)
#define vfio_iommufd_emulated_bind		((vfio_iommufd_no_bind_t)NULL)
#define vfio_iommufd_emulated_unbind		((vfio_iommufd_no_undo_t)NULL)
#define vfio_iommufd_emulated_attach_ioas	((vfio_iommufd_no_attach_t)NULL)
#define vfio_iommufd_emulated_detach_ioas	((vfio_iommufd_no_undo_t)NULL)
#endif

/* ---- Features and migration ---- */

/**
 * vfio_check_feature() - is a VFIO_DEVICE_FEATURE request to be carried out
 * @flags: as device_feature got them
 * @argsz: likewise
 * @supported_ops: VFIO_DEVICE_FEATURE_GET, _SET or both: what there is
 * @minsz: bytes of data that the feature needs
 *
 * For device_feature operations. Any context.
 *
 * Return: 1 if the caller shall get or set; everything else is the caller's
 * own return value: 0 for a probe that succeeds, -EINVAL for a direction that
 * there is not, for none at all, and for too little data.
 */
static inline int vfio_check_feature(u32 flags, size_t argsz,
				     u32 supported_ops, size_t minsz)
{
	u32 ops = flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET);

	if (ops & ~supported_ops)
		return -EINVAL;
	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (!ops || argsz < minsz)
		return -EINVAL;
	return 1;
}

int vfio_mig_get_next_state(struct vfio_device *device,
			    enum vfio_device_mig_state cur_fsm,
			    enum vfio_device_mig_state new_fsm,
			    enum vfio_device_mig_state *next_fsm);

void vfio_combine_iova_ranges(struct rb_root_cached *root, u32 cur_nodes,
			      u32 req_nodes);

/* ---- Files of groups and devices in other hands, such as KVM's ---- */

struct iommu_group *vfio_file_iommu_group(struct file *file);
bool vfio_file_is_valid(struct file *file);
bool vfio_file_enforced_coherent(struct file *file);
void vfio_file_set_kvm(struct file *file, struct kvm *kvm);

#if IS_ENABLED(CONFIG_VFIO_GROUP)
bool vfio_file_is_group(struct file *file);
bool vfio_file_has_dev(struct file *file, struct vfio_device *device);
#else
static inline bool vfio_file_is_group(struct file *file)
{
	return false;
}

static inline bool vfio_file_has_dev(struct file *file,
				     struct vfio_device *device)
{
	return false;
}
#endif

/* ---- Memory of the user, for emulated devices ---- */

/* How many pages one call of vfio_pin_pages() takes */
#define VFIO_PIN_PAGES_MAX_ENTRIES	(PAGE_SIZE / sizeof(unsigned long))

int vfio_pin_pages(struct vfio_device *device, dma_addr_t iova,
		   int npage, int prot, struct page **pages);
void vfio_unpin_pages(struct vfio_device *device, dma_addr_t iova, int npage);
int vfio_dma_rw(struct vfio_device *device, dma_addr_t iova,
		void *data, size_t len, bool write);

/* ---- Answers and arguments of ioctls ---- */

/**
 * struct vfio_info_cap - a capability chain while it is being built
 * @buf: the chain, grown as needed and freed by its user with kfree()
 * @size: bytes at @buf
 */
struct vfio_info_cap {
	struct vfio_info_cap_header *buf;
	size_t size;
};

struct vfio_info_cap_header *vfio_info_cap_add(struct vfio_info_cap *caps,
					       size_t size, u16 id,
					       u16 version);
int vfio_info_add_capability(struct vfio_info_cap *caps,
			     struct vfio_info_cap_header *cap, size_t size);
void vfio_info_cap_shift(struct vfio_info_cap *caps, size_t offset);

int vfio_set_irqs_validate_and_prepare(struct vfio_irq_set *hdr,
				       int num_irqs, int max_irq_type,
				       size_t *data_size);

/* ---- Eventfds that make the kernel act ---- */

struct virqfd;

int vfio_virqfd_enable(void *opaque, int (*handler)(void *opaque, void *data),
		       void (*thread)(void *opaque, void *data), void *data,
		       struct virqfd **pvirqfd, int fd);
void vfio_virqfd_disable(struct virqfd **pvirqfd);
void vfio_virqfd_flush_thread(struct virqfd **pvirqfd);

#endif /* VFIO_H */
