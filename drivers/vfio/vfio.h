/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of vfio.ko share with each other and with IOMMU back ends.
 * Nothing here is for device drivers: their interface is <linux/vfio.h>.
 */
#ifndef DRIVERS_VFIO_VFIO_H
#define DRIVERS_VFIO_VFIO_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu-refcount.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

struct iommu_group;
struct iommufd_ctx;
struct kvm;
struct vfio_container;
struct vfio_group;

/**
 * struct vfio_kvm_slot - which virtual machine a file belongs to
 * @lock: covers @kvm
 * @kvm: as KVM said, or NULL; not referenced
 */
struct vfio_kvm_slot {
	spinlock_t lock;		/* kvm */
	struct kvm *kvm;
};

/**
 * struct vfio_device_file - one open file of a device
 * @device: the device; registered for as long as the file lives, or revoked
 * @group: the group it was opened through, NULL for /dev/vfio/devices; not to be
 *	used any more once the device is revoked
 * @next: in the device's list of files, under its lock
 * @opened: the device is open through it, and revoking closes that; under that
 *	lock, changed in a call
 * @working: requests go to the driver; never unset
 * @kvm: the virtual machine of a file without a group
 * @devid: what iommufd calls the device, of such a file
 */
struct vfio_device_file {
	struct vfio_device *device;
	struct vfio_group *group;
	struct list_head next;
	bool opened;
	bool working;
	struct vfio_kvm_slot kvm;
	u32 devid;
};

/**
 * struct vfio_device_users - what users have of a device
 * @device: the device
 * @calls: see revoke.c; of a revocable device
 * @revoke_after: the device's own rule
 * @lock: covers @files, device->revoked, whether the files are opened and @has_cdev
 * @files: list of struct vfio_device_file; each has a registration, or of a
 *	revoked device a reference of the device
 * @drained: of a device that is being revoked: no call is under way
 * @keeps_module: of a revoked device: the module with its ops->release
 * @cdev_parent: what its character device keeps for as long as somebody has that
 * @has_cdev: it does; of a revoked device: it did then, and has a reference of the
 *	device
 * @cdev_over: it does not, and did not when the device was revoked
 * @peers: what other devices' IOMMUs have of it, see peer.c; NULL if none ever had
 *
 * Behind the inode: struct vfio_device is laid out as drivers know it.
 */
struct vfio_device_users {
	struct vfio_device *device;
	struct percpu_ref calls;
	int revoke_after;
	spinlock_t lock;		/* see above */
	struct list_head files;
	struct completion drained;
	struct module *keeps_module;
	struct kobject cdev_parent;
	bool has_cdev;
	struct completion cdev_over;
	struct vfio_peers *peers;
};

static inline struct vfio_device_users *
vfio_device_users(struct vfio_device *device)
{
	return device->inode->i_private;
}

/**
 * enum vfio_group_type - where the DMA of a group's devices goes
 * @VFIO_IOMMU: through a physical IOMMU that isolates the group
 * @VFIO_EMULATED_IOMMU: through the driver's own code, which pins what it
 *	needs with vfio_pin_pages()
 * @VFIO_NO_IOMMU: to physical memory, unchecked; taints the kernel
 */
enum vfio_group_type {
	VFIO_IOMMU,
	VFIO_EMULATED_IOMMU,
	VFIO_NO_IOMMU,
};

/**
 * struct vfio_group - what /dev/vfio/N stands for
 * @dev: the class device; its reference count is the lifetime of this object
 * @cdev: the character device
 * @next: in the list of groups, under the lock of that list
 * @type: where the DMA of its devices goes
 * @nr_devices: devices that belong to the group, registered or about to be;
 *	under the lock of the list of groups
 * @device_lock: covers @device_list
 * @device_list: devices that a user may open by name
 * @lock: covers everything below, up to @kvm
 * @iommu_group: referenced; NULL once the last device is gone, which makes
 *	every operation on the group fail
 * @container: the container it is attached to, referenced, or NULL
 * @container_next: in the container's list of groups, under its group lock
 * @iommufd: the iommufd it is attached to in place of a container, referenced,
 *	or NULL
 * @nr_open: devices of the group that are open through it; the group cannot
 *	leave what it is attached to meanwhile
 * @nr_bound: devices of the group that are open through /dev/vfio/devices; the
 *	group cannot be opened meanwhile
 * @file: the only open file of the group, or NULL
 * @kvm: the virtual machine of its devices' files
 * @noiommu_ictx: the iommufd that the device, which is the only one, of a group
 *	without an IOMMU is bound to, or NULL; under dev_set->lock of the device
 * @noiommu_id: its ID there, likewise
 */
struct vfio_group {
	struct device dev;
	struct cdev cdev;
	struct list_head next;
	enum vfio_group_type type;
	unsigned int nr_devices;

	struct mutex device_lock;	/* the list */
	struct list_head device_list;

	struct mutex lock;		/* what follows */
	struct iommu_group *iommu_group;
	struct vfio_container *container;
	struct list_head container_next;
	struct iommufd_ctx *iommufd;
	unsigned int nr_open;
	unsigned int nr_bound;
	struct file *file;

	struct vfio_kvm_slot kvm;

	struct iommufd_ctx *noiommu_ictx;
	u32 noiommu_id;
};

/**
 * struct vfio_iommu_driver_ops - what an IOMMU back end does for a container
 * @name: for messages
 * @owner: module held while a container uses the back end
 * @open: make the back end's state for one container; @arg is the IOMMU type
 *	given to VFIO_SET_IOMMU. Returns the state or an ERR_PTR()
 * @release: free it; no group is attached any more
 * @ioctl: VFIO_CHECK_EXTENSION (with a NULL state where the container has no
 *	back end yet) and every ioctl that the container does not know
 * @begin_attach: attach_group will be called for a group of this type, or not:
 *	for what takes long before. Optional
 * @end_attach: undo @begin_attach; optional
 * @attach_group: DMA of @group now goes through this state
 * @detach_group: undo @attach_group
 * @pin_pages: see vfio_pin_pages(); optional
 * @unpin_pages: see vfio_unpin_pages(); optional
 * @register_device: an emulated device was opened; its driver wants dma_unmap
 *	calls. Optional
 * @unregister_device: undo @register_device; optional
 * @dma_rw: see vfio_dma_rw(); optional
 * @group_iommu_domain: back ends of the base have it, nobody calls it
 *
 * Every call may sleep. Of open, attach_group and detach_group only one runs at a
 * time, and with locks that a device needs to go, so they must not wait for what a
 * user does. ioctl does not run from begin_attach to end_attach, or beside open;
 * beside detach_group it may, and may see the state without a group, as
 * begin_attach and end_attach may. release is the last. The other calls run with
 * no lock of the container.
 */
struct vfio_iommu_driver_ops {
	char *name;
	struct module *owner;
	void *(*open)(unsigned long arg);
	void (*release)(void *iommu_data);
	long (*ioctl)(void *iommu_data, unsigned int cmd, unsigned long arg);
	void (*begin_attach)(void *iommu_data, enum vfio_group_type type);
	void (*end_attach)(void *iommu_data);
	int (*attach_group)(void *iommu_data, struct iommu_group *group,
			    enum vfio_group_type type);
	void (*detach_group)(void *iommu_data, struct iommu_group *group);
	int (*pin_pages)(void *iommu_data, struct iommu_group *group,
			 dma_addr_t user_iova, int npage, int prot,
			 struct page **pages);
	void (*unpin_pages)(void *iommu_data, dma_addr_t user_iova, int npage);
	void (*register_device)(void *iommu_data, struct vfio_device *vdev);
	void (*unregister_device)(void *iommu_data, struct vfio_device *vdev);
	int (*dma_rw)(void *iommu_data, dma_addr_t user_iova, void *data,
		      size_t count, bool write);
	struct iommu_domain *(*group_iommu_domain)(void *iommu_data,
						   struct iommu_group *group);
};

/* device.c */
extern struct ida vfio_device_ida;
extern struct class *vfio_device_class;
bool vfio_device_try_get_registration(struct vfio_device *device);
void vfio_device_put_registration(struct vfio_device *device);

/* device_set.c */
void vfio_device_set_exit(void);
void vfio_device_leave_set(struct vfio_device *device);
void vfio_device_lock_set(struct vfio_device *device);

/* device_fs.c */
int vfio_device_inode_get(struct vfio_device *device);
void vfio_device_inode_put(struct vfio_device *device);

/* device_file.c; start and stop under dev_set->lock */
extern const struct file_operations vfio_device_fops;
struct vfio_device_file *vfio_device_file_alloc(struct vfio_device *device,
						struct vfio_group *group);
int vfio_device_file_start(struct vfio_device_file *df,
			   struct iommufd_ctx *ictx);
void vfio_device_stop_files(struct vfio_device *device, unsigned int nr);
bool vfio_device_file_add(struct vfio_device_file *df);
bool vfio_device_file_set_opened(struct vfio_device_file *df);
bool vfio_device_file_unset_opened(struct vfio_device_file *df);
void vfio_device_file_set_working(struct vfio_device_file *df);
struct vfio_device_file *vfio_device_file_from_file(struct file *file);
struct vfio_device *vfio_device_from_file(struct file *file);

/* revoke.c */
void vfio_revoke_init(struct class *class);
int vfio_device_users_alloc(struct vfio_device *device);
void vfio_device_users_free(struct vfio_device *device);
void vfio_device_end_users(struct vfio_device *device);
bool vfio_device_heeds_param(struct vfio_device *device);

/* holders.c */
void vfio_device_name_holders(struct vfio_device *device);
bool vfio_device_holder_waits_for(struct vfio_device *device);

/* peer.c */
void vfio_peers_put(struct vfio_peers *peers);
void vfio_peers_close(struct vfio_device *device);

/* feature.c */
int vfio_device_ioctl_feature(struct vfio_device *device,
			      struct vfio_device_feature __user *arg);

/* migration.c */
int vfio_feature_migration(struct vfio_device *device, u32 flags,
			   void __user *arg);
int vfio_feature_mig_state(struct vfio_device *device, u32 flags,
			   void __user *arg);
int vfio_feature_mig_data_size(struct vfio_device *device, u32 flags,
			       void __user *arg);

/* dma_logging.c */
int vfio_feature_dma_logging_start(struct vfio_device *device, u32 flags,
				   void __user *arg);
int vfio_feature_dma_logging_stop(struct vfio_device *device, u32 flags,
				  void __user *arg);
int vfio_feature_dma_logging_report(struct vfio_device *device, u32 flags,
				    void __user *arg);

/* group.c; use and unuse with group->lock held */
#if IS_ENABLED(CONFIG_VFIO_GROUP)
int vfio_groups_init(void);
void vfio_groups_exit(void);
int vfio_device_join_group(struct vfio_device *device,
			   enum vfio_group_type type);
void vfio_device_leave_group(struct vfio_device *device);
bool vfio_group_has_twin(struct vfio_device *device);
void vfio_group_publish_device(struct vfio_device *device);
void vfio_group_hide_device(struct vfio_device *device);
int vfio_group_keep_closed(struct vfio_device *device);
void vfio_group_let_open(struct vfio_device *device);
int vfio_group_use_iommu(struct vfio_device *device);
void vfio_group_unuse_iommu(struct vfio_device *device);
void vfio_group_close_device(struct vfio_device_file *df);
void vfio_group_lock(struct vfio_device *device);
void vfio_group_unlock(struct vfio_device *device);
struct vfio_group *vfio_group_from_file(struct file *file);
bool vfio_group_enforced_coherent(struct vfio_group *group);

static inline struct vfio_group *
vfio_device_noiommu_group(struct vfio_device *device)
{
	return IS_ENABLED(CONFIG_VFIO_NOIOMMU) &&
	       device->group->type == VFIO_NO_IOMMU ? device->group : NULL;
}

static inline struct iommu_group *
vfio_device_iommu_group(struct vfio_device *device)
{
	return device->group->iommu_group;
}
#else
static inline int vfio_groups_init(void)
{
	return 0;
}

static inline void vfio_groups_exit(void)
{
}

static inline int vfio_device_join_group(struct vfio_device *device,
					 enum vfio_group_type type)
{
	return 0;
}

static inline void vfio_device_leave_group(struct vfio_device *device)
{
}

static inline bool vfio_group_has_twin(struct vfio_device *device)
{
	return false;
}

static inline void vfio_group_publish_device(struct vfio_device *device)
{
}

static inline void vfio_group_hide_device(struct vfio_device *device)
{
}

static inline int vfio_group_keep_closed(struct vfio_device *device)
{
	return 0;
}

static inline void vfio_group_let_open(struct vfio_device *device)
{
}

static inline int vfio_group_use_iommu(struct vfio_device *device)
{
	return -EINVAL;
}

static inline void vfio_group_unuse_iommu(struct vfio_device *device)
{
}

static inline void vfio_group_close_device(struct vfio_device_file *df)
{
}

static inline void vfio_group_lock(struct vfio_device *device)
{
}

static inline void vfio_group_unlock(struct vfio_device *device)
{
}

static inline struct vfio_group *vfio_group_from_file(struct file *file)
{
	return NULL;
}

static inline bool vfio_group_enforced_coherent(struct vfio_group *group)
{
	return true;
}

static inline struct vfio_group *
vfio_device_noiommu_group(struct vfio_device *device)
{
	return NULL;
}

static inline struct iommu_group *
vfio_device_iommu_group(struct vfio_device *device)
{
	return NULL;
}
#endif

static inline bool vfio_device_is_noiommu(struct vfio_device *device)
{
	return vfio_device_noiommu_group(device);
}

/*
 * container.c; attach_group to unuse with group->lock held, begin_attach and
 * end_attach without
 */
#if IS_ENABLED(CONFIG_VFIO_CONTAINER)
int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops);
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops);
int vfio_container_init(void);
void vfio_container_exit(void);
bool vfio_file_is_container(struct file *file);
int vfio_container_begin_attach(struct file *file, enum vfio_group_type type);
void vfio_container_end_attach(struct file *file);
int vfio_container_attach_group(struct file *file, struct vfio_group *group);
void vfio_container_detach_group(struct vfio_group *group);
int vfio_container_use(struct vfio_device *device);
void vfio_container_unuse(struct vfio_device *device);
/* No lock; the device is open. NULL if it was not opened with a container. */
const struct vfio_iommu_driver_ops *
vfio_container_backend(struct vfio_device *device, void **iommu_data);
#else
static inline int
vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops)
{
	return 0;
}

static inline void
vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops)
{
}

static inline int vfio_container_init(void)
{
	return 0;
}

static inline void vfio_container_exit(void)
{
}

static inline bool vfio_file_is_container(struct file *file)
{
	return false;
}

static inline int vfio_container_begin_attach(struct file *file,
					      enum vfio_group_type type)
{
	return 0;
}

static inline void vfio_container_end_attach(struct file *file)
{
}

static inline int vfio_container_attach_group(struct file *file,
					      struct vfio_group *group)
{
	return -EBADFD;
}

static inline void vfio_container_detach_group(struct vfio_group *group)
{
}

static inline int vfio_container_use(struct vfio_device *device)
{
	return -EINVAL;
}

static inline void vfio_container_unuse(struct vfio_device *device)
{
}

static inline const struct vfio_iommu_driver_ops *
vfio_container_backend(struct vfio_device *device, void **iommu_data)
{
	return NULL;
}
#endif

/*
 * iommufd.c. Binding, attaching and their opposites under dev_set->lock; the
 * rest without a lock, while the device is open.
 */
#if IS_ENABLED(CONFIG_IOMMUFD)
bool vfio_iommufd_has_ops(const struct vfio_device_ops *ops);
int vfio_iommufd_bind(struct vfio_device *device, struct iommufd_ctx *ictx,
		      u32 *id);
int vfio_iommufd_bind_compat(struct vfio_device *device,
			     struct iommufd_ctx *ictx);
void vfio_iommufd_unbind(struct vfio_device *device);
int vfio_iommufd_attach(struct vfio_device *device, u32 *pt_id);
void vfio_iommufd_detach(struct vfio_device *device);
/* With group->lock held; no device of the group is open. */
int vfio_iommufd_attach_group(struct file *file, struct vfio_group *group);
void vfio_iommufd_detach_group(struct vfio_group *group);
int vfio_iommufd_pin_pages(struct vfio_device *device, dma_addr_t iova,
			   int npage, int prot, struct page **pages);
void vfio_iommufd_unpin_pages(struct vfio_device *device, dma_addr_t iova,
			      int npage);
int vfio_iommufd_dma_rw(struct vfio_device *device, dma_addr_t iova,
			void *data, size_t len, bool write);
#else
static inline bool vfio_iommufd_has_ops(const struct vfio_device_ops *ops)
{
	return true;
}

static inline int vfio_iommufd_bind(struct vfio_device *device,
				    struct iommufd_ctx *ictx, u32 *id)
{
	return -EOPNOTSUPP;
}

static inline int vfio_iommufd_bind_compat(struct vfio_device *device,
					   struct iommufd_ctx *ictx)
{
	return -EOPNOTSUPP;
}

static inline void vfio_iommufd_unbind(struct vfio_device *device)
{
}

static inline int vfio_iommufd_attach_group(struct file *file,
					    struct vfio_group *group)
{
	return -EBADFD;
}

static inline void vfio_iommufd_detach_group(struct vfio_group *group)
{
}

static inline int vfio_iommufd_pin_pages(struct vfio_device *device,
					 dma_addr_t iova, int npage, int prot,
					 struct page **pages)
{
	return -EINVAL;
}

static inline void vfio_iommufd_unpin_pages(struct vfio_device *device,
					    dma_addr_t iova, int npage)
{
}

static inline int vfio_iommufd_dma_rw(struct vfio_device *device,
				      dma_addr_t iova, void *data, size_t len,
				      bool write)
{
	return -EINVAL;
}
#endif

/* cdev.c */
#if IS_ENABLED(CONFIG_VFIO_DEVICE_CDEV)
int vfio_cdev_init(struct class *class);
void vfio_cdev_exit(void);
int vfio_cdev_add(struct vfio_device *device);
void vfio_cdev_del(struct vfio_device *device);
void vfio_cdev_end(struct vfio_device *device);
int vfio_cdev_open(struct inode *inode, struct file *file);
void vfio_cdev_close(struct vfio_device_file *df);
long vfio_cdev_bind(struct vfio_device_file *df,
		    struct vfio_device_bind_iommufd __user *arg);
long vfio_cdev_ioctl(struct vfio_device_file *df, unsigned int cmd,
		     void __user *arg);
#else
static inline int vfio_cdev_init(struct class *class)
{
	return 0;
}

static inline void vfio_cdev_exit(void)
{
}

static inline int vfio_cdev_add(struct vfio_device *device)
{
	return device_add(&device->device);
}

static inline void vfio_cdev_del(struct vfio_device *device)
{
	device_del(&device->device);
}

static inline void vfio_cdev_end(struct vfio_device *device)
{
}

static inline int vfio_cdev_open(struct inode *inode, struct file *file)
{
	return -ENODEV;
}

static inline void vfio_cdev_close(struct vfio_device_file *df)
{
}

static inline long vfio_cdev_bind(struct vfio_device_file *df,
				  struct vfio_device_bind_iommufd __user *arg)
{
	return -ENOTTY;
}

static inline long vfio_cdev_ioctl(struct vfio_device_file *df,
				   unsigned int cmd, void __user *arg)
{
	return -ENOIOCTLCMD;
}
#endif

/* noiommu.c */
#if IS_ENABLED(CONFIG_VFIO_NOIOMMU)
extern bool vfio_noiommu_enabled;
extern const struct vfio_iommu_driver_ops vfio_noiommu_ops;

static inline bool vfio_backend_is_noiommu(const struct vfio_iommu_driver_ops *o)
{
	return o == &vfio_noiommu_ops;
}

int vfio_noiommu_init(void);
void vfio_noiommu_exit(void);
#else
#define vfio_noiommu_enabled false

static inline bool vfio_backend_is_noiommu(const struct vfio_iommu_driver_ops *o)
{
	return false;
}

static inline int vfio_noiommu_init(void)
{
	return 0;
}

static inline void vfio_noiommu_exit(void)
{
}
#endif

/* kvm.c; get and put under dev_set->lock, at first open and last close */
void vfio_kvm_slot_init(struct vfio_kvm_slot *slot);
void vfio_device_get_kvm(struct vfio_device *device,
			 struct vfio_kvm_slot *slot);
void vfio_device_put_kvm(struct vfio_device *device);

/* virqfd.c */
#if IS_ENABLED(CONFIG_VFIO_VIRQFD)
int vfio_virqfd_init(void);
void vfio_virqfd_exit(void);
#else
static inline int vfio_virqfd_init(void)
{
	return 0;
}

static inline void vfio_virqfd_exit(void)
{
}
#endif

/* debugfs.c */
#ifdef CONFIG_VFIO_DEBUGFS
void vfio_debugfs_init(void);
void vfio_debugfs_exit(void);
void vfio_device_debugfs_add(struct vfio_device *device);
void vfio_device_debugfs_remove(struct vfio_device *device);
#else
static inline void vfio_debugfs_init(void)
{
}

static inline void vfio_debugfs_exit(void)
{
}

static inline void vfio_device_debugfs_add(struct vfio_device *device)
{
}

static inline void vfio_device_debugfs_remove(struct vfio_device *device)
{
}
#endif

#endif /* DRIVERS_VFIO_VFIO_H */
