/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of vfio-pci-core share. Variant drivers use
 * <linux/vfio_pci_core.h> instead.
 */
#ifndef DRIVERS_VFIO_PCI_PRIV_H
#define DRIVERS_VFIO_PCI_PRIV_H

#include <linux/pci.h>
#include <linux/vfio_pci_core.h>

struct seq_file;

/* Bits of COMMAND: what of its BARs a function answers to. */
#define VFIO_PCI_DECODE	(PCI_COMMAND_MEMORY | PCI_COMMAND_IO)

static inline struct vfio_pci_core_device *
vfio_pci_of_class_device(struct device *dev)
{
	return container_of(dev, struct vfio_pci_core_device, vdev.device);
}

/*
 * gate.c: is device memory there? Read the head of that file first.
 *
 * close takes memory_lock for write and returns holding it, with every reader
 * cut off; open looks at the hardware again and drops the lock. Between the
 * two the caller does to the device whatever made it close the gate.
 */
#define VFIO_PCI_GATE_CAUSES(cause, last)				\
	cause(ENABLE, enable)		/* first open */		\
	cause(DISABLE, disable)		/* last close */		\
	cause(COMMAND, command)		/* write to the COMMAND register */ \
	cause(POWER, power)		/* write to the PM capability */ \
	cause(RESET, reset)		/* VFIO_DEVICE_RESET */		\
	cause(FLR, flr)			/* reset written to config space */ \
	cause(HOT_RESET, hot_reset)	/* bus or slot reset of a set */ \
	cause(OTHER_RESET, other_reset)	/* a reset that is not ours */	\
	cause(LOW_POWER, low_power)	/* low power entry and exit */	\
	cause(AER, aer)			/* the platform found an error */ \
	cause(REMOVE, remove)		/* the driver is to let go */	\
	last(SUSPEND, suspend)		/* the system sleeps */

/* Their names are also those in tracepoints and debugfs. */
enum vfio_pci_gate_cause {
#define VFIO_PCI_GATE_ENUM(name, shown)	VFIO_PCI_GATE_##name,
	VFIO_PCI_GATE_CAUSES(VFIO_PCI_GATE_ENUM, VFIO_PCI_GATE_ENUM)
#undef VFIO_PCI_GATE_ENUM
	VFIO_PCI_GATE_NR_CAUSES
};

/* Reasons to stay closed that no register shows: bits of gate_holds. */
#define VFIO_PCI_HOLD_NOT_OPEN		BIT(0)	/* no user has the device */
#define VFIO_PCI_HOLD_ASLEEP		BIT(1)	/* suspended at run time */
#define VFIO_PCI_HOLD_SUSPEND		BIT(2)	/* the system sleeps */
#define VFIO_PCI_HOLD_RESET		BIT(3)	/* somebody else resets it */
#define VFIO_PCI_HOLD_PF_RESET		BIT(4)	/* its PF is reset */
/* Those that the hardware, or the platform, tells. */
#define VFIO_PCI_REASON_POWER		BIT(8)	/* not in D0 */
#define VFIO_PCI_REASON_ERROR		BIT(9)	/* the platform froze it */
#define VFIO_PCI_REASON_DECODE		BIT(10)	/* memory does not decode */

void vfio_pci_gate_close(struct vfio_pci_core_device *vdev,
			 enum vfio_pci_gate_cause cause);
int vfio_pci_gate_close_killable(struct vfio_pci_core_device *vdev,
				 enum vfio_pci_gate_cause cause);
bool vfio_pci_gate_try_close(struct vfio_pci_core_device *vdev,
			     enum vfio_pci_gate_cause cause);
void vfio_pci_gate_open(struct vfio_pci_core_device *vdev);
void vfio_pci_gate_open_command(struct vfio_pci_core_device *vdev, u16 cmd);
void vfio_pci_gate_error(struct vfio_pci_core_device *vdev);
void vfio_pci_gate_resume(struct vfio_pci_core_device *vdev);
bool vfio_pci_gate_recovers(struct vfio_pci_core_device *vdev);
void vfio_pci_gate_wait_recovery(struct vfio_pci_core_device *vdev);
bool vfio_pci_gate_has_error(struct vfio_pci_core_device *vdev);
/* Around a reset of ours; and around one of somebody else's, who calls us. */
void vfio_pci_gate_reset_begin(struct vfio_pci_core_device *vdev);
void vfio_pci_gate_reset_end(struct vfio_pci_core_device *vdev, int ret);
void vfio_pci_gate_reset_prepare(struct vfio_pci_core_device *vdev);
void vfio_pci_gate_reset_done(struct vfio_pci_core_device *vdev);
void vfio_pci_gate_hold_vf(struct vfio_pci_core_device *vdev,
			   const unsigned int *resets);
void vfio_pci_gate_init(struct vfio_pci_core_device *vdev);
void vfio_pci_gate_exit(struct vfio_pci_core_device *vdev);
/* Under memory_lock, read or write. */
bool vfio_pci_gate_is_open(struct vfio_pci_core_device *vdev);
bool vfio_pci_gate_admits_maps(struct vfio_pci_core_device *vdev);
unsigned int vfio_pci_gate_reasons(struct vfio_pci_core_device *vdev);

struct vfio_pci_gate_forced {
	bool		decoded;
	pci_power_t	state;
};

/* Memory answers between the two, whatever the user did to the function. */
void vfio_pci_gate_force_decode(struct vfio_pci_core_device *vdev,
				struct vfio_pci_gate_forced *was)
	__acquires(&vdev->memory_lock);
void vfio_pci_gate_restore_decode(struct vfio_pci_core_device *vdev,
				  const struct vfio_pci_gate_forced *was)
	__releases(&vdev->memory_lock);

/* core.c: the function is the driver's, and awake, between the two. See revoke.c. */
int vfio_pci_begin(struct vfio_pci_core_device *vdev);
void vfio_pci_end(struct vfio_pci_core_device *vdev);

/* mmap.c */
void vfio_pci_mmap_probe(struct vfio_pci_core_device *vdev);
void vfio_pci_mmap_release(struct vfio_pci_core_device *vdev);
void vfio_pci_zap_bars(struct vfio_pci_core_device *vdev);
extern const struct vm_operations_struct vfio_pci_mmap_ops;

/* barmap.c: BARs claimed, mapped for the kernel, and of several types */

/* Part of a BAR, whole pages, of one memory type. */
struct vfio_pci_bar_part {
	u64		start;
	u64		end;
	void __iomem	*io;
	bool		wc;		/* write-combined, or uncached */
};

struct vfio_pci_bar_parts {
	unsigned int			nr;	/* at least 1 */
	struct vfio_pci_bar_part	part[] __counted_by(nr);
};

int vfio_pci_bar_setup(struct vfio_pci_core_device *vdev, int bar);
int vfio_pci_bar_setup_in_call(struct vfio_pci_core_device *vdev, int bar);
int vfio_pci_bar_divide(struct vfio_pci_core_device *vdev, int bar,
			struct vfio_pci_bar_parts *parts);
void __iomem *vfio_pci_bar_part_io(struct vfio_pci_core_device *vdev, int bar,
				   u64 pos, bool *wc);
void vfio_pci_bar_extent(struct vfio_pci_core_device *vdev, int bar, u64 pos,
			 u64 *start, u64 *end);
void vfio_pci_barmaps_release(struct vfio_pci_core_device *vdev);

static inline bool vfio_pci_bar_is_set_up(struct vfio_pci_core_device *vdev,
					  int bar)
{
	/* Pairs with the release when it was mapped. */
	return smp_load_acquire(&vdev->barmap[bar]) ||
	       READ_ONCE(vdev->bar_parts[bar]);
}

/* vfio_pci_bar_setup() for who is in no call; each read() and write() asks. */
static inline int vfio_pci_bar_setup_call(struct vfio_pci_core_device *vdev,
					  int bar)
{
	return likely(vfio_pci_bar_is_set_up(vdev, bar)) ? 0 :
	       vfio_pci_bar_setup_in_call(vdev, bar);
}

/*
 * Where the kernel reaches a place in a BAR that vfio_pci_bar_setup() has set up:
 * see vfio_pci_bar_part_io(). If the BAR is memory, memory_lock is held.
 */
static inline void __iomem *
vfio_pci_bar_io(struct vfio_pci_core_device *vdev, int bar, u64 pos, bool *wc)
{
	if (vdev->bar_parts[bar])
		return vfio_pci_bar_part_io(vdev, bar, pos, wc);

	*wc = false;
	return vdev->barmap[bar] ? vdev->barmap[bar] + pos : NULL;
}

/* wc.c: write-combined mappings, and regions that are for that */

/* A region that shows a part of a BAR; it lives until the last close. */
struct vfio_pci_alias {
	unsigned int	bar;
	u64		start;		/* in the BAR */
	u64		end;
};

extern struct device_attribute vfio_pci_attr_write_combine;
void vfio_pci_wc_probe(struct vfio_pci_core_device *vdev);
const struct vfio_pci_alias *
vfio_pci_find_alias(struct vfio_pci_core_device *vdev, unsigned long index);
unsigned int vfio_pci_nr_regions(struct vfio_pci_core_device *vdev);
unsigned int vfio_pci_bar_of_region(struct vfio_pci_core_device *vdev,
				    unsigned long index);
void vfio_pci_zap_aliases(struct vfio_pci_core_device *vdev);
void vfio_pci_aliases_release(struct vfio_pci_core_device *vdev);
int vfio_pci_feature_alias(struct vfio_pci_core_device *vdev, u32 flags,
			   struct vfio_device_feature_pci_alias __user *arg,
			   size_t argsz);

/* absent.c: what mappings show of memory that is not there */
extern struct device_attribute vfio_pci_attr_absent_memory;
void vfio_pci_absent_init(struct vfio_pci_core_device *vdev);
void vfio_pci_absent_exit(struct vfio_pci_core_device *vdev);
void vfio_pci_absent_open(struct vfio_pci_core_device *vdev);
void vfio_pci_absent_close(struct vfio_pci_core_device *vdev);
bool vfio_pci_absent_is_mapped(struct vfio_pci_core_device *vdev);
vm_fault_t vfio_pci_absent_fault(struct vfio_pci_core_device *vdev,
				 struct vm_fault *vmf);
int vfio_pci_absent_mprotect(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end, unsigned long newflags);
void vfio_pci_absent_end(struct vfio_pci_core_device *vdev);
int vfio_pci_feature_absent(struct vfio_pci_core_device *vdev, u32 flags,
			    struct vfio_device_feature_pci_absent __user *arg,
			    size_t argsz);

/* peer.c */
extern struct vfio_peer_host vfio_pci_peer_host;
void vfio_pci_peers_unmap(struct vfio_pci_core_device *vdev);
void vfio_pci_peers_map(struct vfio_pci_core_device *vdev);

/* dmabuf.c: parts of BARs for other drivers' devices */
#ifdef CONFIG_DMA_SHARED_BUFFER
void vfio_pci_dmabufs_stop(struct vfio_pci_core_device *vdev);
void vfio_pci_dmabufs_go(struct vfio_pci_core_device *vdev);
int vfio_pci_dmabufs_drain(struct vfio_pci_core_device *vdev,
			   const unsigned long *deadline);
void vfio_pci_dmabufs_evict(struct vfio_pci_core_device *vdev,
			    enum vfio_pci_gate_cause cause);
void vfio_pci_dmabufs_end(struct vfio_pci_core_device *vdev);
void vfio_pci_dmabufs_exit(struct vfio_pci_core_device *vdev);
void vfio_pci_dmabufs_show(struct vfio_pci_core_device *vdev,
			   struct seq_file *seq);
int vfio_pci_feature_dma_buf(struct vfio_pci_core_device *vdev, u32 flags,
			     struct vfio_device_feature_dma_buf __user *arg,
			     size_t argsz);
#else
static inline void vfio_pci_dmabufs_stop(struct vfio_pci_core_device *vdev) {}
static inline void vfio_pci_dmabufs_go(struct vfio_pci_core_device *vdev) {}
static inline int vfio_pci_dmabufs_drain(struct vfio_pci_core_device *vdev,
					 const unsigned long *deadline)
{
	return 0;
}

static inline void vfio_pci_dmabufs_evict(struct vfio_pci_core_device *vdev,
					  enum vfio_pci_gate_cause cause) {}
static inline void vfio_pci_dmabufs_end(struct vfio_pci_core_device *vdev) {}
static inline void vfio_pci_dmabufs_exit(struct vfio_pci_core_device *vdev) {}
static inline void vfio_pci_dmabufs_show(struct vfio_pci_core_device *vdev,
					 struct seq_file *seq) {}

static inline int
vfio_pci_feature_dma_buf(struct vfio_pci_core_device *vdev, u32 flags,
			 struct vfio_device_feature_dma_buf __user *arg,
			 size_t argsz)
{
	return -ENOTTY;
}
#endif

/* debugfs.c: what of all this an administrator may look at */
#ifdef CONFIG_VFIO_DEBUGFS
void vfio_pci_debugfs_add(struct vfio_pci_core_device *vdev);
#else
static inline void vfio_pci_debugfs_add(struct vfio_pci_core_device *vdev) {}
#endif

/*
 * config.c: the virtualised configuration space, region
 * VFIO_PCI_CONFIG_REGION_INDEX.
 *
 * vfio_pci_config_init() is called at first open with the device enabled and
 * its saved state taken; it fills vdev->pci_config_map, vdev->vconfig,
 * vdev->msi_qmax, vdev->rbar and vdev->extended_caps.
 */
int vfio_pci_config_module_init(void);
void vfio_pci_config_module_exit(void);
int vfio_pci_config_init(struct vfio_pci_core_device *vdev);
void vfio_pci_config_free(struct vfio_pci_core_device *vdev);
/* Also while it is not open, from the registration on. */
void vfio_pci_config_keep_bars(struct vfio_pci_core_device *vdev);
bool vfio_pci_config_bars_are_lost(struct vfio_pci_core_device *vdev,
				   u16 decode);
ssize_t vfio_pci_config_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			   size_t count, loff_t *ppos, bool iswrite);

/* irqs.c, intx.c, msi.c: the interrupts of a device */
unsigned int vfio_pci_irq_count(struct vfio_pci_core_device *vdev,
				unsigned int index);
int vfio_pci_set_irqs(struct vfio_pci_core_device *vdev, u32 flags,
		      unsigned int index, unsigned int start,
		      unsigned int count, void *data);
struct cpumask *vfio_pci_affinity_cpus(const u64 *words, size_t size);
/* Last close: everything that SET_IRQS armed is gone afterwards. */
void vfio_pci_irqs_release(struct vfio_pci_core_device *vdev);
void vfio_pci_irqs_module_exit(void);
/* INTx is off between the first two; and DisINTx as it must be. See intx.c. */
void vfio_pci_intx_freeze(struct vfio_pci_core_device *vdev);
void vfio_pci_intx_thaw(struct vfio_pci_core_device *vdev);
void vfio_pci_intx_restore(struct vfio_pci_core_device *vdev);
u16 vfio_pci_intx_command(struct vfio_pci_core_device *vdev);
void vfio_pci_intx_follow_command(struct vfio_pci_core_device *vdev);
/* The messages are what the host has them to be. See msi.c. */
void vfio_pci_msi_thaw(struct vfio_pci_core_device *vdev, bool decodes);
/* The AER handler and the release request; the triggers are eventfds. */
void vfio_pci_signal_error(struct vfio_pci_core_device *vdev);
bool vfio_pci_signal_request(struct vfio_pci_core_device *vdev);

/* error.c; the feature is VFIO_DEVICE_FEATURE_PCI_ERROR */
void vfio_pci_error_record(struct vfio_pci_core_device *vdev,
			   pci_channel_state_t state);
void vfio_pci_error_resume(struct vfio_pci_core_device *vdev);
void vfio_pci_error_forget(struct vfio_pci_core_device *vdev);
int vfio_pci_feature_error(struct vfio_pci_core_device *vdev, u32 flags,
			   struct vfio_device_feature_pci_error __user *arg,
			   size_t argsz);

/* ioeventfd.c */
long vfio_pci_ioeventfd(struct vfio_pci_core_device *vdev, loff_t offset,
			u64 data, int count, int fd);
void vfio_pci_ioeventfds_release(struct vfio_pci_core_device *vdev);

/* region.c: device-specific regions, behind the fixed ones */
struct vfio_pci_region *
vfio_pci_find_region(struct vfio_pci_core_device *vdev, unsigned long index);
void vfio_pci_regions_release(struct vfio_pci_core_device *vdev);

/* rw.c: BARs, VGA */
ssize_t vfio_pci_bar_rw(struct vfio_pci_core_device *vdev, unsigned int index,
			u64 limit, char __user *buf, size_t count, loff_t *ppos,
			bool iswrite);
ssize_t vfio_pci_vga_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			size_t count, loff_t *ppos, bool iswrite);

/* rom.c */
resource_size_t vfio_pci_rom_size(struct vfio_pci_core_device *vdev);
bool vfio_pci_rom_is_there(struct vfio_pci_core_device *vdev);
ssize_t vfio_pci_rom_read(struct vfio_pci_core_device *vdev, char __user *buf,
			  loff_t pos, size_t count);

/* ioaccess.c */
ssize_t vfio_pci_bar_io_rw(struct vfio_pci_core_device *vdev, int bar,
			   char __user *buf, loff_t off, size_t count,
			   size_t x_start, size_t x_end, bool iswrite);
ssize_t vfio_pci_vga_io_rw(struct vfio_pci_core_device *vdev,
			   unsigned int vga_rsrc, void __iomem *io,
			   char __user *buf, loff_t off, size_t count,
			   bool iswrite);

/* enable.c */
bool vfio_pci_is_silent(struct pci_dev *pdev);
void vfio_pci_keep_state(struct vfio_pci_core_device *vdev);
void vfio_pci_restore_lost(struct vfio_pci_core_device *vdev);
/* Module parameters. */
bool vfio_pci_vga_disabled(void);
void vfio_pci_latch_params(struct vfio_pci_core_device *vdev);

/* clean.c: is the reset at the last close good for the next open? What speaks against: */
#define VFIO_PCI_TOUCHES(touch, last)					\
	touch(USER, user)		/* a user, or nobody knows */	\
	touch(POLICY, policy)		/* the administrator wants the reset */ \
	touch(EXPOSED, exposed)		/* its memory could not be shut */ \
	touch(SHARED, shared)		/* others can change what is inside */ \
	touch(CONFIG, config)		/* configuration space differs */ \
	touch(METHODS, methods)		/* so does the way to reset it */ \
	touch(RESET, reset)		/* somebody reset it, or wants to */ \
	touch(ERROR, error)		/* the platform found an error */ \
	touch(WOKEN, woken)		/* from suspension at run time */ \
	touch(SLEEP, sleep)		/* the system slept */		\
	last(SRIOV, sriov)		/* VFs came or went */

/* Their names are also those in tracepoints and sysfs. */
enum vfio_pci_touch {
#define VFIO_PCI_TOUCH_ENUM(name, shown)	VFIO_PCI_TOUCH_##name,
	VFIO_PCI_TOUCHES(VFIO_PCI_TOUCH_ENUM, VFIO_PCI_TOUCH_ENUM)
#undef VFIO_PCI_TOUCH_ENUM
};

void vfio_pci_clean_init(struct vfio_pci_core_device *vdev);
void vfio_pci_clean_free(struct vfio_pci_core_device *vdev);
void vfio_pci_clean_touch(struct vfio_pci_core_device *vdev,
			  enum vfio_pci_touch touch);
int vfio_pci_clean_wake(struct vfio_pci_core_device *vdev, bool *clean);
int vfio_pci_clean_reset(struct vfio_pci_core_device *vdev, bool initial);
void vfio_pci_clean_unseal(struct vfio_pci_core_device *vdev);

/* info.c: the answers of the information ioctls */
long vfio_pci_get_info(struct vfio_pci_core_device *vdev, void __user *arg);
long vfio_pci_get_region_info(struct vfio_pci_core_device *vdev,
			      void __user *arg);
long vfio_pci_get_irq_info(struct vfio_pci_core_device *vdev,
			   void __user *arg);

/* reset.c; the function reset returns -EAGAIN where it lost a race for locks */
bool vfio_pci_reset_trylock(struct pci_dev *pdev, struct pci_dev **bridge);
void vfio_pci_reset_unlock(struct pci_dev *pdev, struct pci_dev *bridge);
int vfio_pci_try_reset(struct vfio_pci_core_device *vdev,
		       enum vfio_pci_gate_cause cause);
int vfio_pci_reset_function(struct vfio_pci_core_device *vdev,
			    enum vfio_pci_gate_cause cause);
long vfio_pci_get_hot_reset_info(struct vfio_pci_core_device *vdev,
				 void __user *arg);
long vfio_pci_hot_reset(struct vfio_pci_core_device *vdev, void __user *arg);
/* Last close, under dev_set->lock: reset the bus of a set nobody uses. */
void vfio_pci_reset_unused_set(struct vfio_device_set *dev_set);

/*
 * power.c: the caller of set_power_state holds the gate closed; leaving D0
 * and coming back to it saves and restores what the device forgets.
 */
int vfio_pci_set_power_state(struct vfio_pci_core_device *vdev,
			     pci_power_t state);
void vfio_pci_probe_power(struct vfio_pci_core_device *vdev);
void vfio_pci_power_register(struct vfio_pci_core_device *vdev);
void vfio_pci_power_unregister(struct vfio_pci_core_device *vdev);
void vfio_pci_low_power_leave(struct vfio_pci_core_device *vdev);
int vfio_pci_feature_low_power(struct vfio_pci_core_device *vdev, u32 feature,
			       u32 flags, void __user *arg, size_t argsz);

/* sriov.c: PFs, VFs and the token that lets a VF's user in */
int vfio_pci_sriov_init(struct vfio_pci_core_device *vdev);
void vfio_pci_sriov_exit(struct vfio_pci_core_device *vdev);
void vfio_pci_vfs_hold(struct vfio_pci_core_device *vdev);
void vfio_pci_vfs_let_go(struct vfio_pci_core_device *vdev);
bool vfio_pci_vf_decodes(struct vfio_pci_core_device *vdev);
void vfio_pci_vf_token_use(struct vfio_pci_core_device *vdev);
void vfio_pci_vf_token_unuse(struct vfio_pci_core_device *vdev);
int vfio_pci_vf_token_check(struct vfio_pci_core_device *vdev,
			    const uuid_t *uuid);
int vfio_pci_feature_vf_token(struct vfio_pci_core_device *vdev, u32 flags,
			      uuid_t __user *arg, size_t argsz);

/* igd.c, in vfio-pci.ko */
#ifdef CONFIG_VFIO_PCI_IGD
int vfio_pci_igd_open(struct vfio_pci_core_device *vdev);
#else
static inline int vfio_pci_igd_open(struct vfio_pci_core_device *vdev)
{
	return -ENODEV;
}
#endif

#ifdef CONFIG_EEH
#include <asm/eeh.h>

static inline void vfio_pci_eeh_open(struct vfio_pci_core_device *vdev)
{
	eeh_dev_open(vdev->pdev);
}

static inline void vfio_pci_eeh_release(struct vfio_pci_core_device *vdev)
{
	eeh_dev_release(vdev->pdev);
}
#else
static inline void vfio_pci_eeh_open(struct vfio_pci_core_device *vdev) {}
static inline void vfio_pci_eeh_release(struct vfio_pci_core_device *vdev) {}
#endif

#ifdef CONFIG_VFIO_PCI_ZDEV_KVM
int vfio_pci_info_zdev_add_caps(struct vfio_pci_core_device *vdev,
				struct vfio_info_cap *caps);
int vfio_pci_zdev_open_device(struct vfio_pci_core_device *vdev);
void vfio_pci_zdev_close_device(struct vfio_pci_core_device *vdev);
#else
static inline int
vfio_pci_info_zdev_add_caps(struct vfio_pci_core_device *vdev,
			    struct vfio_info_cap *caps)
{
	return -ENODEV;
}

static inline int vfio_pci_zdev_open_device(struct vfio_pci_core_device *vdev)
{
	return 0;
}

static inline void
vfio_pci_zdev_close_device(struct vfio_pci_core_device *vdev)
{}
#endif

static inline bool vfio_pci_is_vga(struct pci_dev *pdev)
{
	return (pdev->class >> 8) == PCI_CLASS_DISPLAY_VGA;
}

#endif /* DRIVERS_VFIO_PCI_PRIV_H */
