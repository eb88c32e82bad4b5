/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vfio-pci-core: what drivers for particular PCI devices build on.
 *
 * Such a driver embeds struct vfio_pci_core_device, puts vfio_pci_core_
 * functions into its vfio_device_ops where the general behaviour is right, and
 * calls them from its own functions where something is to be added.
 */
#ifndef VFIO_PCI_CORE_H
#define VFIO_PCI_CORE_H

#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/irqbypass.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

/*
 * An offset in the device's file is a region's index above bit 40 and an
 * offset in the region below.
 */
#define VFIO_PCI_OFFSET_SHIFT		40
#define VFIO_PCI_OFFSET_MASK		(((u64)1 << VFIO_PCI_OFFSET_SHIFT) - 1)
#define VFIO_PCI_OFFSET_TO_INDEX(off)	((off) >> VFIO_PCI_OFFSET_SHIFT)
#define VFIO_PCI_INDEX_TO_OFFSET(index)	((u64)(index) << VFIO_PCI_OFFSET_SHIFT)

struct perm_bits;
struct vfio_pci_alias;
struct vfio_pci_bar_parts;
struct vfio_pci_clean;
struct vfio_pci_core_device;
struct vfio_pci_dmabuf_queue;
struct vfio_pci_ioeventfd_worker;
struct vfio_pci_region;
struct vfio_pci_vf_token;

/**
 * struct vfio_pci_eventfd - an eventfd that interrupt handlers signal
 * @ctx: the eventfd
 * @rcu: frees it when no handler looks at it any more
 */
struct vfio_pci_eventfd {
	struct eventfd_ctx	*ctx;
	struct rcu_head		rcu;
};

/**
 * struct vfio_pci_regops - a region that a driver adds to the fixed ones
 * @rw: read or write it; may be short, moves ``*ppos``
 * @release: last close: free what belongs to it
 * @mmap: map it; optional
 * @add_capability: add to the answer of VFIO_DEVICE_GET_REGION_INFO; optional
 *
 * Process context, may sleep. @release runs under dev_set->lock and @mmap
 * under mmap_lock.
 */
struct vfio_pci_regops {
	ssize_t	(*rw)(struct vfio_pci_core_device *vdev, char __user *buf,
		      size_t count, loff_t *ppos, bool iswrite);
	void	(*release)(struct vfio_pci_core_device *vdev,
			   struct vfio_pci_region *region);
	int	(*mmap)(struct vfio_pci_core_device *vdev,
			struct vfio_pci_region *region,
			struct vm_area_struct *vma);
	int	(*add_capability)(struct vfio_pci_core_device *vdev,
				  struct vfio_pci_region *region,
				  struct vfio_info_cap *caps);
};

/**
 * struct vfio_pci_region - such a region
 * @type: see struct vfio_region_info_cap_type
 * @subtype: likewise
 * @ops: its operations
 * @data: the driver's
 * @size: in bytes
 * @flags: VFIO_REGION_INFO_FLAG_*
 */
struct vfio_pci_region {
	u32				type;
	u32				subtype;
	const struct vfio_pci_regops	*ops;
	void				*data;
	size_t				size;
	u32				flags;
};

#define VFIO_PCI_GATE_CLOSERS	12

/**
 * struct vfio_pci_gate_closer - what one cause of closing the gate took so far
 * @count: how often the gate was closed
 * @cut: how often it was open, so that there were readers to cut off
 * @cut_ns: time until they were, waiting for them included
 * @shut_ns: time from there until the gate was to open again
 * @longest_ns: both together, at worst
 * @last: when it began last, 0 if it never did
 */
struct vfio_pci_gate_closer {
	u64	count;
	u64	cut;
	u64	cut_ns;
	u64	shut_ns;
	u64	longest_ns;
	ktime_t	last;
};

/**
 * struct vfio_pci_core_device - a PCI function that user space may drive
 * @vdev: what the core sees; first, for vfio_alloc_device()
 * @pdev: the function
 * @barmap: BARs mapped into the kernel; for drivers filled by
 *	vfio_pci_core_setup_barmap() and kept until the last close
 * @bar_mmap_supported: BARs that mmap() takes
 * @virq_disabled: the user set DisINTx; under @irqlock
 * @bardirty: the user wrote to a BAR's register and the cached one is stale
 * @pci_config_map: which capability each byte of config space is part of
 * @vconfig: config space as the user sees it
 * @msi_perm: which bits of this function's MSI capability are the user's
 * @irqlock: interrupt handlers against masking
 * @igate: serializes changes to the interrupts' set-up and to COMMAND
 * @ctx: the interrupts in use, by vector
 * @irq_type: VFIO_PCI_*_IRQ_INDEX enabled at present, VFIO_PCI_NUM_IRQS if none
 * @num_regions: entries of @region
 * @region: regions that drivers added
 * @msi_qmax: log2 of how many MSI vectors the function can have
 * @msix_bar: BAR with the MSI-X table
 * @msix_size: bytes of that table
 * @msix_offset: where in the BAR the table is
 * @rbar: BARs and ROM as they were at registration, and then at first open
 * @has_dyn_msix: single MSI-X vectors can be allocated later
 * @pci_2_3: DisINTx works
 * @reset_works: the function can be reset alone
 * @extended_caps: there is config space above 256 bytes
 * @has_vga: the VGA region exists
 * @nointx: INTx does not work, whatever config space says
 * @needs_pm_restore: going to D3hot and back loses the function's state
 * @disable_idle_d3: leave it in D0 when nobody uses it
 * @needs_reset: it was closed without a reset; under dev_set->lock
 * @pm_intx_masked: INTx is off and COMMAND not written for it, because the function
 *	sleeps or is reset; under @irqlock
 * @pm_runtime_engaged: between low power entry and exit; under @memory_lock
 * @sriov_active: VFs are enabled while VFIO has this PF
 * @pci_saved_state: config space to go back to at the last close, and where a reset took
 *	it while nobody had the device open
 * @pm_save: config space while in D3hot
 * @ioeventfds_nr: entries of @ioeventfds_list
 * @err_trigger: eventfd of VFIO_PCI_ERR_IRQ_INDEX
 * @req_trigger: eventfd of VFIO_PCI_REQ_IRQ_INDEX
 * @pm_wake_eventfd_ctx: eventfd of low power entry with wakeup; under
 *	@memory_lock
 * @dummy_resources_list: placeholders for rests of pages that BARs smaller
 *	than a page leave
 * @ioeventfds_lock: covers the next and @ioeventfds_nr
 * @ioeventfds_list: struct vfio_pci_ioeventfd
 * @vf_token: secret that VFs' users must know, on a PF
 * @sriov_pfs_item: member of the list of PFs with VFs
 * @sriov_pf_core_dev: on a VF, its PF if VFIO has that, too
 * @sriov_vfs_item: on a VF that has that: in the list of its VFs
 * @sriov_refs: who has it from that list; under the PF's lock of that
 * @sriov_leaves: nobody new is to; likewise
 * @nb: watches for VFs that appear
 * @memory_lock: is device memory there? Write to change that, read to rely on
 *	it. No user memory is touched under it
 * @gate_open: see at the field
 * @gate_holds: reasons to stay closed that no register shows; as @gate_open
 * @gate_cause: why the gate was closed last; as @gate_open
 * @gate_closed_at: when, or 0 where nobody wants to know; as @gate_open
 * @gate_closers: by enum vfio_pci_gate_cause; as @gate_open
 * @gate_resume: opens the gate after an error of the platform
 * @errors: how often the platform froze it; under the PCI device's lock
 * @recovers: the platform did not resume it yet
 * @recovery_end: in jiffies: if it is still to reset the link, it does so by then
 * @errors_over: so many of these are over; changed atomically
 * @errors_reset: how many there were when a reset of ours began
 * @resetter: who is at that
 * @peers: struct vfio_peer: BARs mapped for other devices' DMA
 * @dmabufs: parts of BARs that were exported, see dmabuf.c; one begins under
 *	@memory_lock held for read
 * @dmabuf_queue: where importers of these are told
 * @dmabuf_stops: while it is not 0 importers map nothing of these
 * @dmabufs_hurry: the driver is to let go, and does not wait long for importers
 * @dmabufs_stopped: who closed the gate has stopped exports; as @gate_open
 * @io_buffer: spare buffer for read() and write(), exchanged atomically
 * @barmap_lock: see at the field
 * @bar_parts: BARs of several memory types, see barmap.c
 * @bars_decode: bits of COMMAND that BARs or the ROM answer to; set at first open
 * @bars_claimed: by number: we have it; under @barmap_lock
 * @bars_lent: the driver has its address; likewise
 * @bars_wc: mappings of it are write-combined; set at first open
 * @write_combine: the administrator wants that of BARs that can be
 * @alias_lock: see at the field
 * @aliases: regions that show a part of a BAR, see wc.c
 * @nr_aliases: how many there are
 * @reset_on_open: enum vfio_pci_reset_on_open, the driver's choice
 * @clean: the function after its last close, see clean.c
 * @in_use: between the beginning of the first open and the end of the last
 *	close; under dev_set->lock
 * @reset_left: another one of the set was closed meanwhile, and the bus may have to be
 *	reset for that; likewise
 * @touches: bits that say what may have changed it since
 * @touches_found: @touches at the last first open
 * @sealed: bits of COMMAND that are off until the next open
 * @ioeventfd_worker: see ioeventfd.c; made under @ioeventfds_lock
 * @absent: VFIO_PCI_ABSENT_*, what mappings show while the memory is not there;
 *	under @memory_lock
 * @absent_default: what that is from the next first open on
 * @absent_shown: @absent_page may be mapped; set under @memory_lock for read
 * @absent_page: all ones, see absent.c; NULL until a fault needs it
 * @absent_refill: takes it from the mappings
 * @nointxmask: do not mask INTx by the function's own bit
 * @bars_refused: by number: somebody has it, and the log says so for this open;
 *	under @barmap_lock
 * @last_error_lock: covers the next
 * @last_error: what the platform told of, see error.c
 */
struct vfio_pci_core_device {
	struct vfio_device		vdev;
	struct pci_dev			*pdev;
	void __iomem			*barmap[PCI_STD_NUM_BARS];
	bool				bar_mmap_supported[PCI_STD_NUM_BARS];
	/* Bytes of their own: they change at run time under various locks. */
	bool				virq_disabled;
	bool				bardirty;
	u8				*pci_config_map;
	u8				*vconfig;
	struct perm_bits		*msi_perm;
	spinlock_t			irqlock;	/* interrupt masking */
	struct mutex			igate;		/* interrupt set-up */
	struct xarray			ctx;
	int				irq_type;
	int				num_regions;
	struct vfio_pci_region		*region;
	u8				msi_qmax;
	u8				msix_bar;
	u16				msix_size;
	u32				msix_offset;
	u32				rbar[7];
	/* Bits: written while nobody else can look. */
	bool				has_dyn_msix:1;
	bool				pci_2_3:1;
	bool				reset_works:1;
	bool				extended_caps:1;
	bool				has_vga:1;
	bool				nointx:1;
	bool				needs_pm_restore:1;
	bool				disable_idle_d3:1;
	/* Bytes again, for the same reason. */
	bool				needs_reset;
	bool				pm_intx_masked;
	bool				pm_runtime_engaged;
	bool				sriov_active;
	struct pci_saved_state		*pci_saved_state;
	struct pci_saved_state		*pm_save;
	int				ioeventfds_nr;
	struct vfio_pci_eventfd __rcu	*err_trigger;
	struct vfio_pci_eventfd __rcu	*req_trigger;
	struct eventfd_ctx		*pm_wake_eventfd_ctx;
	struct list_head		dummy_resources_list;
	struct mutex			ioeventfds_lock; /* their list */
	struct list_head		ioeventfds_list;
	struct vfio_pci_vf_token	*vf_token;
	struct list_head		sriov_pfs_item;
	struct vfio_pci_core_device	*sriov_pf_core_dev;
	struct notifier_block		nb;
	struct rw_semaphore		memory_lock;
	/*
	 * Device memory is reachable; written under memory_lock for write,
	 * read under it for read.
	 */
	bool				gate_open;
	u8				gate_holds;
	u8				gate_cause;
	ktime_t				gate_closed_at;
	struct vfio_pci_gate_closer	gate_closers[VFIO_PCI_GATE_CLOSERS];
	struct delayed_work		gate_resume;
	struct list_head		sriov_vfs_item;
	unsigned int			sriov_refs;
	bool				sriov_leaves;
	unsigned int			errors;
	bool				recovers;
	unsigned long			recovery_end;
	unsigned int			errors_over;
	unsigned int			errors_reset;
	struct task_struct		*resetter;
	struct list_head		peers;
	struct list_head		dmabufs;
	struct vfio_pci_dmabuf_queue	*dmabuf_queue;
	unsigned int			dmabuf_stops;
	bool				dmabufs_hurry;
	bool				dmabufs_stopped;
	void				*io_buffer;
	struct mutex			barmap_lock;	/* what is mapped how */
	struct vfio_pci_bar_parts	*bar_parts[PCI_STD_NUM_BARS];
	u8				bars_decode;
	u8				bars_claimed;
	u8				bars_lent;
	u8				bars_wc;
	bool				write_combine;
	struct mutex			alias_lock;	/* making aliases */
	struct vfio_pci_alias		*aliases;
	unsigned int			nr_aliases;
	u8				reset_on_open;
	struct vfio_pci_clean		*clean;
	bool				in_use;
	bool				reset_left;
	unsigned long			touches;
	unsigned long			touches_found;
	u16				sealed;
	struct vfio_pci_ioeventfd_worker *ioeventfd_worker;
	u8				absent;
	u8				absent_default;
	bool				absent_shown;
	struct page			*absent_page;
	struct delayed_work		absent_refill;
	bool				nointxmask;
	u8				bars_refused;
	spinlock_t			last_error_lock; /* last_error */
	struct vfio_device_feature_pci_error last_error;
};

/**
 * enum vfio_pci_reset_on_open - which first opens reset the function
 * @VFIO_PCI_RESET_ALWAYS: all
 * @VFIO_PCI_RESET_TOUCHED: those of a function that something may have touched
 *	since the reset at its last close
 * @VFIO_PCI_RESET_NEVER: none
 */
enum vfio_pci_reset_on_open {
	VFIO_PCI_RESET_ALWAYS,
	VFIO_PCI_RESET_TOUCHED,
	VFIO_PCI_RESET_NEVER,
};

/**
 * enum vfio_pci_io_width - widest single access, in bytes
 * @VFIO_PCI_IO_WIDTH_1: bytes only
 * @VFIO_PCI_IO_WIDTH_2: up to 16 bits
 * @VFIO_PCI_IO_WIDTH_4: up to 32 bits
 * @VFIO_PCI_IO_WIDTH_8: up to 64 bits
 */
enum vfio_pci_io_width {
	VFIO_PCI_IO_WIDTH_1 = 1,
	VFIO_PCI_IO_WIDTH_2 = 2,
	VFIO_PCI_IO_WIDTH_4 = 4,
	VFIO_PCI_IO_WIDTH_8 = 8,
};

/* Module parameters of the driver that owns them */
void vfio_pci_core_set_params(bool nointxmask, bool is_disable_vga,
			      bool is_disable_idle_d3);

/* Probe and removal; init and release are for vfio_device_ops */
int vfio_pci_core_init_dev(struct vfio_device *core_vdev);
void vfio_pci_core_release_dev(struct vfio_device *core_vdev);
int vfio_pci_core_register_device(struct vfio_pci_core_device *vdev);
void vfio_pci_core_unregister_device(struct vfio_pci_core_device *vdev);

/*
 * Open: vfio_pci_core_enable(), the driver's own set-up, which may add
 * regions, and vfio_pci_core_finish_enable(); vfio_pci_core_disable() instead
 * of the last if the set-up failed. Close is for vfio_device_ops.
 */
int vfio_pci_core_enable(struct vfio_pci_core_device *vdev);
int vfio_pci_core_register_dev_region(struct vfio_pci_core_device *vdev,
				      unsigned int type, unsigned int subtype,
				      const struct vfio_pci_regops *ops,
				      size_t size, u32 flags, void *data);
int vfio_pci_core_virtualize_dword(struct vfio_pci_core_device *vdev,
				   unsigned int pos);
void vfio_pci_core_finish_enable(struct vfio_pci_core_device *vdev);
void vfio_pci_core_disable(struct vfio_pci_core_device *vdev);
void vfio_pci_core_close_device(struct vfio_device *core_vdev);

/* The rest of vfio_device_ops */
ssize_t vfio_pci_core_read(struct vfio_device *core_vdev, char __user *buf,
			   size_t count, loff_t *ppos);
ssize_t vfio_pci_core_write(struct vfio_device *core_vdev,
			    const char __user *buf, size_t count, loff_t *ppos);
long vfio_pci_core_ioctl(struct vfio_device *core_vdev, unsigned int cmd,
			 unsigned long arg);
int vfio_pci_core_ioctl_feature(struct vfio_device *device, u32 flags,
				void __user *arg, size_t argsz);
int vfio_pci_core_mmap(struct vfio_device *core_vdev,
		       struct vm_area_struct *vma);
void vfio_pci_core_request(struct vfio_device *core_vdev, unsigned int count);
int vfio_pci_core_match(struct vfio_device *core_vdev, char *buf);
int vfio_pci_core_match_token_uuid(struct vfio_device *core_vdev,
				   const uuid_t *uuid);

/* For struct pci_driver */
extern const struct pci_error_handlers vfio_pci_core_err_handlers;
pci_ers_result_t vfio_pci_core_aer_err_detected(struct pci_dev *pdev,
						pci_channel_state_t state);
int vfio_pci_core_sriov_configure(struct vfio_pci_core_device *vdev,
				  int nr_virtfn);

/*
 * Access to BARs from a driver's own read and write. With @test_mem the access
 * happens under memory_lock and fails with -EIO while memory is not there.
 */
int vfio_pci_core_setup_barmap(struct vfio_pci_core_device *vdev, int bar);
ssize_t vfio_pci_core_do_io_rw(struct vfio_pci_core_device *vdev, bool test_mem,
			       void __iomem *io, char __user *buf,
			       loff_t off, size_t count, size_t x_start,
			       size_t x_end, bool iswrite,
			       enum vfio_pci_io_width max_width);
bool vfio_pci_core_range_intersect_range(loff_t buf_start, size_t buf_cnt,
					 loff_t reg_start, size_t reg_cnt,
					 loff_t *buf_offset,
					 size_t *intersect_count,
					 size_t *register_offset);

/* 64 bits are two accesses, the low half first, where there are none so wide. */
int vfio_pci_core_ioread8(struct vfio_pci_core_device *vdev, bool test_mem,
			  u8 *val, void __iomem *io);
int vfio_pci_core_ioread16(struct vfio_pci_core_device *vdev, bool test_mem,
			   u16 *val, void __iomem *io);
int vfio_pci_core_ioread32(struct vfio_pci_core_device *vdev, bool test_mem,
			   u32 *val, void __iomem *io);
int vfio_pci_core_ioread64(struct vfio_pci_core_device *vdev, bool test_mem,
			   u64 *val, void __iomem *io);
int vfio_pci_core_iowrite8(struct vfio_pci_core_device *vdev, bool test_mem,
			   u8 val, void __iomem *io);
int vfio_pci_core_iowrite16(struct vfio_pci_core_device *vdev, bool test_mem,
			    u16 val, void __iomem *io);
int vfio_pci_core_iowrite32(struct vfio_pci_core_device *vdev, bool test_mem,
			    u32 val, void __iomem *io);
int vfio_pci_core_iowrite64(struct vfio_pci_core_device *vdev, bool test_mem,
			    u64 val, void __iomem *io);

#endif /* VFIO_PCI_CORE_H */
