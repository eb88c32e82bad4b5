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
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>

struct iommu_group;
struct kvm;
struct vfio_container;
struct vfio_group;

/**
 * struct vfio_device_file - one open file of a device
 * @device: the device, registered for as long as the file lives
 * @group: the group it was opened through
 */
struct vfio_device_file {
	struct vfio_device *device;
	struct vfio_group *group;
};

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
 * @lock: covers everything below, up to @kvm_lock
 * @iommu_group: referenced; NULL once the last device is gone, which makes
 *	every operation on the group fail
 * @container: the container it is attached to, referenced, or NULL
 * @container_next: in the container's list of groups, under its group lock
 * @nr_open: devices of the group that are open; the group cannot leave its
 *	container meanwhile
 * @file: the only open file of the group, or NULL
 * @kvm_lock: covers @kvm
 * @kvm: the virtual machine KVM associated with the group; not referenced
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
	unsigned int nr_open;
	struct file *file;

	spinlock_t kvm_lock;		/* kvm */
	struct kvm *kvm;
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
 * @attach_group: DMA of @group now goes through this state
 * @detach_group: undo @attach_group
 * @pin_pages: see vfio_pin_pages(); optional
 * @unpin_pages: see vfio_unpin_pages(); optional
 * @register_device: an emulated device was opened; its driver wants dma_unmap
 *	calls. Optional
 * @unregister_device: undo @register_device; optional
 * @dma_rw: see vfio_dma_rw(); optional
 * @group_iommu_domain: the domain that @group is attached to, or an ERR_PTR();
 *	optional
 *
 * Every call may sleep. open, attach_group, detach_group and release run under
 * the container's group lock held for write, ioctl under the same lock held for
 * read. The other calls run with no lock of the container.
 */
struct vfio_iommu_driver_ops {
	char *name;
	struct module *owner;
	void *(*open)(unsigned long arg);
	void (*release)(void *iommu_data);
	long (*ioctl)(void *iommu_data, unsigned int cmd, unsigned long arg);
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

int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops);
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops);

/* device.c */
extern struct ida vfio_device_ida;
extern struct class *vfio_device_class;
bool vfio_device_try_get_registration(struct vfio_device *device);
void vfio_device_put_registration(struct vfio_device *device);

/* device_set.c */
void vfio_device_set_exit(void);
void vfio_device_leave_set(struct vfio_device *device);

/* device_fs.c */
int vfio_device_inode_get(struct vfio_device *device);
void vfio_device_inode_put(struct vfio_device *device);

/* device_file.c */
struct file *vfio_device_file_open(struct vfio_device *device);
struct vfio_device *vfio_device_from_file(struct file *file);

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

/* group.c */
int vfio_groups_init(void);
void vfio_groups_exit(void);
int vfio_device_join_group(struct vfio_device *device,
			   enum vfio_group_type type);
void vfio_device_leave_group(struct vfio_device *device);
void vfio_group_publish_device(struct vfio_device *device);
void vfio_group_hide_device(struct vfio_device *device);
struct vfio_group *vfio_group_from_file(struct file *file);
bool vfio_group_enforced_coherent(struct vfio_group *group);

/* container.c; the caller holds group->lock unless it says otherwise */
extern const struct file_operations vfio_container_fops;
int vfio_container_attach_group(struct file *file, struct vfio_group *group);
void vfio_container_detach_group(struct vfio_group *group);
int vfio_container_use(struct vfio_device *device);
void vfio_container_unuse(struct vfio_device *device);
/* No lock; the device is open. */
const struct vfio_iommu_driver_ops *
vfio_container_backend(struct vfio_device *device, void **iommu_data);

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

/* kvm.c; both under dev_set->lock, at first open and last close */
void vfio_device_get_kvm(struct vfio_device *device, struct vfio_group *group);
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
