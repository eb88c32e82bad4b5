/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * VFIO: devices driven by user space.
 *
 * Three kinds of files take the requests below:
 *
 *	container	/dev/vfio/vfio: an I/O address space
 *	group		/dev/vfio/N, /dev/vfio/noiommu-N: the devices that no
 *			IOMMU can tell apart
 *	device		what VFIO_GROUP_GET_DEVICE_FD returns, or
 *			/dev/vfio/devices/vfioN: one device
 *
 * and a fourth, the data stream of a device's migration, takes one. Whoever
 * holds such a file may use it; the file's permissions decide who gets it.
 *
 * Conventions
 *
 * A request returns -1 with errno set when it fails and, unless something else
 * is said, 0 when it does not. Any request fails with EFAULT where a pointer
 * cannot be read or written and with ENOTTY where the file or the device does
 * not know it. A device's request fails with EINVAL until the device is bound
 * (see VFIO_DEVICE_BIND_IOMMUFD) if its file came from /dev/vfio/devices.
 *
 * Request numbers carry neither direction nor size, because a structure says
 * its own size: the caller sets @argsz to the bytes it provides. Fewer than
 * the request's minimum is EINVAL; more is how a structure grows, with a flag
 * telling that a new field means something. Flag bits without a name and
 * fields called reserved or pad must be 0. All sizes, lengths and offsets are
 * in bytes.
 */
#ifndef _UAPIVFIO_H
#define _UAPIVFIO_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define VFIO_API_VERSION	0

#define VFIO_TYPE	(';')
#define VFIO_BASE	100

/*
 * ---- Capability chains ----
 *
 * An information request can answer with more than its structure: a list of
 * capabilities behind it, each starting with this header. The structure has a
 * flag ..._CAPS (there is a list) and a field @cap_offset (where it starts).
 *
 * If @argsz leaves no room for the list, the request still succeeds with the
 * flag set, @cap_offset 0 and @argsz raised to what is needed: the caller
 * enlarges its buffer and asks again.
 */

/**
 * struct vfio_info_cap_header - head of one capability
 * @id: which capability; every information request numbers its own
 * @version: layout of what follows, for this @id
 * @next: offset of the next header from the start of the information
 *	structure, 0 in the last one
 */
struct vfio_info_cap_header {
	__u16	id;
	__u16	version;
	__u32	next;
};

/*
 * ======== Containers ========
 */

/**
 * VFIO_GET_API_VERSION - which interface does this kernel speak
 *
 * Always available. Returns VFIO_API_VERSION.
 */
#define VFIO_GET_API_VERSION		_IO(VFIO_TYPE, VFIO_BASE + 0)

/**
 * VFIO_CHECK_EXTENSION - ask for a back end or a feature of it
 *
 * The argument is one of the numbers below, by value. Always available: a
 * container without a back end answers for all that are loaded, afterwards it
 * answers for its own. Returns 0 for no, something positive for yes.
 */
#define VFIO_CHECK_EXTENSION		_IO(VFIO_TYPE, VFIO_BASE + 1)

/* Back ends: these are also what VFIO_SET_IOMMU takes. */
#define VFIO_TYPE1_IOMMU		1	/* unmap rounds to mappings */
#define VFIO_SPAPR_TCE_IOMMU		2	/* POWER, one fixed window */
#define VFIO_TYPE1v2_IOMMU		3	/* unmap is exact */
#define VFIO_TYPE1_NESTING_IOMMU	6	/* type1v2, two stages */
#define VFIO_SPAPR_TCE_v2_IOMMU		7	/* POWER, windows on demand */
#define VFIO_NOIOMMU_IOMMU		8	/* no translation, no safety */

/* Features. The first and the last come and go with a container's groups. */
#define VFIO_DMA_CC_IOMMU		4	/* DMA always snoops the caches */
#define VFIO_EEH			5	/* VFIO_EEH_PE_OP works */
#define VFIO_UNMAP_ALL			9	/* VFIO_DMA_UNMAP_FLAG_ALL works */
#define VFIO_UPDATE_VADDR		10	/* ..._FLAG_VADDR work; never with
						 * an emulated device
						 */

/**
 * VFIO_SET_IOMMU - give the container a back end
 *
 * The argument is a back end's number, by value. The container needs at least
 * one group; all its groups move to the back end together. From now on the
 * container takes the back end's requests.
 *
 * Errors: EINVAL without a group or with a back end already set, ENODEV if no
 * back end takes this number, otherwise what attaching the groups failed with.
 */
#define VFIO_SET_IOMMU			_IO(VFIO_TYPE, VFIO_BASE + 2)

/*
 * ======== Groups ========
 *
 * A group file can be opened once at a time; a no-IOMMU group needs
 * CAP_SYS_RAWIO.
 */

/**
 * struct vfio_group_status - argument of VFIO_GROUP_GET_STATUS
 * @argsz: size of this structure
 * @flags: out, VFIO_GROUP_FLAGS_*
 */
struct vfio_group_status {
	__u32	argsz;
	__u32	flags;
};

/* No device of the group is in a kernel driver's hands that could do DMA. */
#define VFIO_GROUP_FLAGS_VIABLE		(1 << 0)
/* The group has a container, or an iommufd in its place. */
#define VFIO_GROUP_FLAGS_CONTAINER_SET	(1 << 1)

/**
 * VFIO_GROUP_GET_STATUS - can the group be used, and is it
 *
 * Always available. Errors: EINVAL, ENODEV once the last device is gone.
 */
#define VFIO_GROUP_GET_STATUS		_IO(VFIO_TYPE, VFIO_BASE + 3)

/**
 * VFIO_GROUP_SET_CONTAINER - put the group into a container
 *
 * The argument points to an __s32, the container's file descriptor. The
 * group's DMA belongs to the caller afterwards. If the container has a back
 * end, the group is attached to it at once.
 *
 * Errors: EBADF, EINVAL if the file is no container or the group has one,
 * ENODEV once the last device is gone, EPERM if the group is not viable and
 * for mixing groups with and without an IOMMU, otherwise what attaching
 * failed with.
 */
#define VFIO_GROUP_SET_CONTAINER	_IO(VFIO_TYPE, VFIO_BASE + 4)

/**
 * VFIO_GROUP_UNSET_CONTAINER - take the group out of its container
 *
 * A container that loses its last group loses its back end and all mappings.
 * Closing the group's and all its devices' files has the same effect.
 *
 * Errors: EINVAL without a container, EBUSY while a device of the group is
 * open.
 */
#define VFIO_GROUP_UNSET_CONTAINER	_IO(VFIO_TYPE, VFIO_BASE + 5)

/**
 * VFIO_GROUP_GET_DEVICE_FD - open a device of the group
 *
 * The argument points to a string of less than a page: the name that the
 * device has in /sys/kernel/iommu_groups/N/devices, with options behind it
 * where the driver knows some (vfio-pci: " vf_token=UUID"). The container must
 * have a back end.
 *
 * Returns the new file descriptor, closed on exec. Errors: EINVAL without a
 * back end or for bad options, ENODEV for a name the group does not have,
 * EACCES for a missing or wrong token, otherwise what the driver's open failed
 * with.
 */
#define VFIO_GROUP_GET_DEVICE_FD	_IO(VFIO_TYPE, VFIO_BASE + 6)

/*
 * ======== Devices ========
 *
 * A device is made of regions and interrupts, both addressed by index. What
 * stands at an index is up to the kind of device: see the lists of each kind
 * further down. A region lies at its own offset of the device's file; pread()
 * and pwrite() access it and mmap() maps it, where the region's flags allow.
 */

/**
 * struct vfio_device_info - argument of VFIO_DEVICE_GET_INFO
 * @argsz: size of this structure and the buffer behind it
 * @flags: out, VFIO_DEVICE_FLAGS_*
 * @num_regions: out, highest region index plus one
 * @num_irqs: out, highest interrupt index plus one
 * @cap_offset: out, start of the capability chain; only stored if @argsz
 *	covers it
 * @pad: unused
 */
struct vfio_device_info {
	__u32	argsz;
	__u32	flags;
	__u32	num_regions;
	__u32	num_irqs;
	__u32	cap_offset;
	__u32	pad;
};

/* What kind of device */
#define VFIO_DEVICE_FLAGS_PCI		(1 << 1)
#define VFIO_DEVICE_FLAGS_PLATFORM	(1 << 2)
#define VFIO_DEVICE_FLAGS_AMBA		(1 << 3)
#define VFIO_DEVICE_FLAGS_CCW		(1 << 4)
#define VFIO_DEVICE_FLAGS_AP		(1 << 5)
#define VFIO_DEVICE_FLAGS_FSL_MC	(1 << 6)
#define VFIO_DEVICE_FLAGS_CDX		(1 << 8)
/* What it can do */
#define VFIO_DEVICE_FLAGS_RESET		(1 << 0)	/* VFIO_DEVICE_RESET */
#define VFIO_DEVICE_FLAGS_CAPS		(1 << 7)	/* capability chain */

/*
 * The same kinds by name: a mediated device's type says in its device_api
 * attribute which one its devices look like.
 */
#define VFIO_DEVICE_API_PCI_STRING	"vfio-pci"
#define VFIO_DEVICE_API_PLATFORM_STRING	"vfio-platform"
#define VFIO_DEVICE_API_AMBA_STRING	"vfio-amba"
#define VFIO_DEVICE_API_CCW_STRING	"vfio-ccw"
#define VFIO_DEVICE_API_AP_STRING	"vfio-ap"

/* s390 PCI functions; <linux/vfio_zdev.h> has the structures. */
#define VFIO_DEVICE_INFO_CAP_ZPCI_BASE		1
#define VFIO_DEVICE_INFO_CAP_ZPCI_GROUP		2
#define VFIO_DEVICE_INFO_CAP_ZPCI_UTIL		3
#define VFIO_DEVICE_INFO_CAP_ZPCI_PFIP		4

/* PCIe AtomicOps that the root port above the device completes */
#define VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP	5

/**
 * struct vfio_device_info_cap_pci_atomic_comp - widths of those AtomicOps
 * @header: VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP, version 1
 * @flags: VFIO_PCI_ATOMIC_COMP*, by operand width in bits
 * @reserved: 0
 */
struct vfio_device_info_cap_pci_atomic_comp {
	struct vfio_info_cap_header header;
	__u32	flags;
	__u32	reserved;
};

#define VFIO_PCI_ATOMIC_COMP32	(1 << 0)
#define VFIO_PCI_ATOMIC_COMP64	(1 << 1)
#define VFIO_PCI_ATOMIC_COMP128	(1 << 2)

/**
 * VFIO_DEVICE_GET_INFO - what kind of device, how many regions and interrupts
 *
 * See struct vfio_device_info. Errors: EINVAL.
 */
#define VFIO_DEVICE_GET_INFO		_IO(VFIO_TYPE, VFIO_BASE + 7)

/**
 * VFIO_DEVICE_RESET - reset this device alone
 *
 * Afterwards the device is as its reset leaves it. Mappings of its memory stay
 * and work again as soon as the device answers. Errors: EINVAL if the device
 * has no such reset (no VFIO_DEVICE_FLAGS_RESET), EAGAIN if another reset is
 * under way, otherwise what the bus's reset failed with.
 */
#define VFIO_DEVICE_RESET		_IO(VFIO_TYPE, VFIO_BASE + 11)

/* ---- Regions ---- */

/**
 * struct vfio_region_info - argument of VFIO_DEVICE_GET_REGION_INFO
 * @argsz: size of this structure and the buffer behind it
 * @flags: out, VFIO_REGION_INFO_FLAG_*
 * @index: in, which region
 * @cap_offset: out, start of the capability chain
 * @size: out, 0 for a region that the device does not have
 * @offset: out, where in the device's file the region starts
 */
struct vfio_region_info {
	__u32	argsz;
	__u32	flags;
	__u32	index;
	__u32	cap_offset;
	__aligned_u64	size;
	__aligned_u64	offset;
};

#define VFIO_REGION_INFO_FLAG_READ	(1 << 0)	/* pread() */
#define VFIO_REGION_INFO_FLAG_WRITE	(1 << 1)	/* pwrite() */
#define VFIO_REGION_INFO_FLAG_MMAP	(1 << 2)	/* mmap() */
#define VFIO_REGION_INFO_FLAG_CAPS	(1 << 3)	/* capability chain */

/**
 * VFIO_DEVICE_GET_REGION_INFO - where a region is and how it can be accessed
 *
 * Errors: EINVAL, also for an index that the device does not have.
 */
#define VFIO_DEVICE_GET_REGION_INFO	_IO(VFIO_TYPE, VFIO_BASE + 8)

/* Capabilities of a region */
#define VFIO_REGION_INFO_CAP_SPARSE_MMAP	1
#define VFIO_REGION_INFO_CAP_TYPE		2
/*
 * No contents: the page with the MSI-X table can be mapped with the rest of
 * its BAR. Vectors are still set up with VFIO_DEVICE_SET_IRQS alone.
 */
#define VFIO_REGION_INFO_CAP_MSIX_MAPPABLE	3
/* NVLink2: no kernel of today reports these two. */
#define VFIO_REGION_INFO_CAP_NVLINK2_SSATGT	4
#define VFIO_REGION_INFO_CAP_NVLINK2_LNKSPD	5

/**
 * struct vfio_region_sparse_mmap_area - one part that mmap() takes
 * @offset: from the start of the region
 * @size: of the part
 */
struct vfio_region_sparse_mmap_area {
	__aligned_u64	offset;
	__aligned_u64	size;
};

/**
 * struct vfio_region_info_cap_sparse_mmap - mmap() works on parts only
 * @header: VFIO_REGION_INFO_CAP_SPARSE_MMAP, version 1
 * @nr_areas: entries of @areas
 * @reserved: 0
 * @areas: the parts; mapping anything else may fail or disturb the device
 */
struct vfio_region_info_cap_sparse_mmap {
	struct vfio_info_cap_header header;
	__u32	nr_areas;
	__u32	reserved;
	struct vfio_region_sparse_mmap_area areas[];
};

/**
 * struct vfio_region_info_cap_type - what a region without a fixed index is
 * @header: VFIO_REGION_INFO_CAP_TYPE, version 1
 * @type: VFIO_REGION_TYPE_*, or for something of one PCI vendor
 *	VFIO_REGION_TYPE_PCI_VENDOR_TYPE with the vendor's ID in the bits of
 *	VFIO_REGION_TYPE_PCI_VENDOR_MASK
 * @subtype: VFIO_REGION_SUBTYPE_*, counted for each @type anew
 */
struct vfio_region_info_cap_type {
	struct vfio_info_cap_header header;
	__u32	type;
	__u32	subtype;
};

/**
 * struct vfio_region_info_cap_nvlink2_ssatgt - system address of GPU memory
 * @header: VFIO_REGION_INFO_CAP_NVLINK2_SSATGT
 * @tgt: the address, compressed
 */
struct vfio_region_info_cap_nvlink2_ssatgt {
	struct vfio_info_cap_header header;
	__aligned_u64	tgt;
};

/**
 * struct vfio_region_info_cap_nvlink2_lnkspd - speed of an NVLink
 * @header: VFIO_REGION_INFO_CAP_NVLINK2_LNKSPD
 * @link_speed: as the firmware's device tree gives it
 * @__pad: 0
 */
struct vfio_region_info_cap_nvlink2_lnkspd {
	struct vfio_info_cap_header header;
	__u32	link_speed;
	__u32	__pad;
};

/*
 * The region shows a part of a BAR. A number that Linux is not going to come to,
 * as with VFIO_DEVICE_FEATURE_PCI_ALIAS, which makes such regions.
 */
#define VFIO_REGION_INFO_CAP_PCI_ALIAS		0xf001

/**
 * struct vfio_region_info_cap_pci_alias - which part of a BAR, and how
 * @header: VFIO_REGION_INFO_CAP_PCI_ALIAS, version 1
 * @region_index: the BAR
 * @memory_type: of mappings: VFIO_PCI_ALIAS_*
 * @offset: where in the BAR the region begins
 */
struct vfio_region_info_cap_pci_alias {
	struct vfio_info_cap_header header;
	__u32	region_index;
	__u32	memory_type;
	__aligned_u64	offset;
};

/* Region types: a new one gets the next number here. */
#define VFIO_REGION_TYPE_PCI_VENDOR_TYPE	(1 << 31)
#define VFIO_REGION_TYPE_PCI_VENDOR_MASK	(0xffff)
#define VFIO_REGION_TYPE_GFX			(1)
#define VFIO_REGION_TYPE_CCW			(2)
#define VFIO_REGION_TYPE_MIGRATION_DEPRECATED	(3)

/* Of PCI vendor 8086, Intel: graphics, and config space of what it needs */
#define VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION	(1)	/* firmware's table */
#define VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG	(2)	/* the host bridge's */
#define VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG	(3)	/* the LPC bridge's */
/* Of PCI vendors 10de, NVIDIA, and 1014, IBM; not reported any more */
#define VFIO_REGION_SUBTYPE_NVIDIA_NVLINK2_RAM	(1)
#define VFIO_REGION_SUBTYPE_IBM_NVLINK2_ATSD	(1)
/* Of VFIO_REGION_TYPE_GFX: struct vfio_region_gfx_edid */
#define VFIO_REGION_SUBTYPE_GFX_EDID		(1)
/* Of VFIO_REGION_TYPE_CCW: see <linux/vfio_ccw.h> */
#define VFIO_REGION_SUBTYPE_CCW_ASYNC_CMD	(1)
#define VFIO_REGION_SUBTYPE_CCW_SCHIB		(2)
#define VFIO_REGION_SUBTYPE_CCW_CRW		(3)
/* Of VFIO_REGION_TYPE_MIGRATION_DEPRECATED: vfio_device_migration_info */
#define VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED (1)

/* ---- Interrupts ---- */

/**
 * struct vfio_irq_info - argument of VFIO_DEVICE_GET_IRQ_INFO
 * @argsz: size of this structure
 * @flags: out, VFIO_IRQ_INFO_*
 * @index: in, which kind of interrupt
 * @count: out, how many there are of it; 0 for a kind that the device lacks
 */
struct vfio_irq_info {
	__u32	argsz;
	__u32	flags;
	__u32	index;
	__u32	count;
};

/* An eventfd can be triggered by it. */
#define VFIO_IRQ_INFO_EVENTFD		(1 << 0)
/* The MASK and UNMASK actions work. */
#define VFIO_IRQ_INFO_MASKABLE		(1 << 1)
/* Level-triggered: masked as it fires, silent until the user unmasks it */
#define VFIO_IRQ_INFO_AUTOMASKED	(1 << 2)
/*
 * All that will be used must be enabled in one go: taking in one more means
 * disabling the index first. Without the flag each can come and go alone.
 */
#define VFIO_IRQ_INFO_NORESIZE		(1 << 3)
/*
 * The AFFINITY action works. Not one of Linux's flags: these are counted from bit 0.
 */
#define VFIO_IRQ_INFO_AFFINITY		(1 << 30)

/**
 * VFIO_DEVICE_GET_IRQ_INFO - how many interrupts of a kind, and what they can
 *
 * Errors: EINVAL, also for an index that the device does not have.
 */
#define VFIO_DEVICE_GET_IRQ_INFO	_IO(VFIO_TYPE, VFIO_BASE + 9)

/**
 * struct vfio_irq_set - argument of VFIO_DEVICE_SET_IRQS
 * @argsz: size of this structure and of @data
 * @flags: one VFIO_IRQ_SET_DATA_* and one VFIO_IRQ_SET_ACTION_*
 * @index: which kind of interrupt
 * @start: first interrupt of that kind
 * @count: how many
 * @data: one element for each of them, as @flags says; CPUs, for all of them
 */
struct vfio_irq_set {
	__u32	argsz;
	__u32	flags;
	__u32	index;
	__u32	start;
	__u32	count;
	__u8	data[];
};

/* What is in the data: nothing, a byte each, or a file descriptor (__s32) */
#define VFIO_IRQ_SET_DATA_NONE		(1 << 0)
#define VFIO_IRQ_SET_DATA_BOOL		(1 << 1)
#define VFIO_IRQ_SET_DATA_EVENTFD	(1 << 2)
/* What is to be done */
#define VFIO_IRQ_SET_ACTION_MASK	(1 << 3)
#define VFIO_IRQ_SET_ACTION_UNMASK	(1 << 4)
#define VFIO_IRQ_SET_ACTION_TRIGGER	(1 << 5)
/*
 * Neither of Linux, nor in the masks below. The data is CPUs: __u64 words, not aligned,
 * up to @argsz, in which bit n % 64 of word n / 64 stands for CPU n
 */
#define VFIO_IRQ_SET_DATA_CPUS		(1 << 30)
#define VFIO_IRQ_SET_ACTION_AFFINITY	(1 << 29)

#define VFIO_IRQ_SET_DATA_TYPE_MASK \
	(VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | \
	 VFIO_IRQ_SET_DATA_EVENTFD)
#define VFIO_IRQ_SET_ACTION_TYPE_MASK \
	(VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | \
	 VFIO_IRQ_SET_ACTION_TRIGGER)

/**
 * VFIO_DEVICE_SET_IRQS - enable, disable, mask, unmask and fake interrupts
 *
 * With DATA_NONE the action happens now, to every interrupt of the range; with
 * DATA_BOOL, to those whose byte is not 0. With DATA_EVENTFD the action is
 * tied to eventfds: TRIGGER has the interrupt signal the eventfd, MASK and
 * UNMASK happen when somebody signals it. An eventfd of -1 unties.
 *
 *	enable 0 and 2:		TRIGGER | EVENTFD, start 0, count 3, { a, -1, b }
 *	disable the index:	TRIGGER | NONE, start 0, count 0
 *	fire 1 from software:	TRIGGER | NONE, start 1, count 1
 *	unmask 0:		UNMASK | NONE, start 0, count 1
 *
 *	0 and 1 to CPU 3:	AFFINITY | CPUS, start 0, count 2, { 0x8 }
 *
 * Tying the first eventfd enables an index. Only one of a PCI device's INTx,
 * MSI and MSI-X is enabled at a time.
 *
 * AFFINITY, of an index with VFIO_IRQ_INFO_AFFINITY, has the host take the vectors'
 * interrupts with one of the CPUs in the data, whatever the administrator has set or
 * sets: /proc/irq/N/smp_affinity cannot be written until AFFINITY | NONE gives them
 * back. The CPUs are those that threads of the calling process may run on at the time
 * of the call, so that they are within its cpuset; a CPU that is taken offline is left
 * for others. It is for vectors that have an eventfd. Another eventfd changes
 * nothing; to disarm the vector, or to disable the index, gives it back. An interrupt
 * that is posted to a guest goes where the guest is.
 *
 * Errors: EINVAL for a bad combination or range, or an index in a state that
 * does not allow it, no CPU that is online or one that does not exist; EBADF for a bad
 * eventfd; EPERM for a CPU that is not the caller's; ENOENT for the affinity of a
 * vector that has no eventfd; ENOSPC where the CPUs have no room for more interrupts;
 * ENOTTY for an action that the index does not have; ENOMEM; EFAULT. If there is an
 * error nothing has changed. A positive result of enabling MSI or MSI-X is an error,
 * too: so many vectors, counted from 0, can be had.
 */
#define VFIO_DEVICE_SET_IRQS		_IO(VFIO_TYPE, VFIO_BASE + 10)

/* ---- Writes on an eventfd ---- */

/**
 * struct vfio_device_ioeventfd - argument of VFIO_DEVICE_IOEVENTFD
 * @argsz: size of this structure
 * @flags: one of VFIO_DEVICE_IOEVENTFD_8 to _64, the width in bits
 * @offset: in the device's file, aligned to the width
 * @data: what to write
 * @fd: the eventfd, -1 to end it
 * @reserved: 0
 */
struct vfio_device_ioeventfd {
	__u32	argsz;
	__u32	flags;
	__aligned_u64	offset;
	__aligned_u64	data;
	__s32	fd;
	__u32	reserved;
};

#define VFIO_DEVICE_IOEVENTFD_8		(1 << 0)
#define VFIO_DEVICE_IOEVENTFD_16	(1 << 1)
#define VFIO_DEVICE_IOEVENTFD_32	(1 << 2)
#define VFIO_DEVICE_IOEVENTFD_64	(1 << 3)
#define VFIO_DEVICE_IOEVENTFD_SIZE_MASK	(0xf)

/**
 * VFIO_DEVICE_IOEVENTFD - the kernel writes to the device for an eventfd
 *
 * Each signal of the eventfd stores @data at @offset. An ioeventfd is named by
 * its offset, data and width together. vfio-pci takes BARs only, without the
 * MSI-X table.
 *
 * Errors: EINVAL for a place or width that cannot be, EEXIST for one that is
 * there, ENODEV to end one that is not, ENOSPC with too many on the device,
 * EBADF for a bad eventfd.
 */
#define VFIO_DEVICE_IOEVENTFD		_IO(VFIO_TYPE, VFIO_BASE + 16)

/* ---- Features ---- */

/**
 * struct vfio_device_feature - argument of VFIO_DEVICE_FEATURE
 * @argsz: size of this structure and of @data
 * @flags: the feature's number and what to do with it
 * @data: the feature's own structure; not needed to probe
 */
struct vfio_device_feature {
	__u32	argsz;
	__u32	flags;
	__u8	data[];
};

#define VFIO_DEVICE_FEATURE_MASK	(0xffff)	/* the number */
#define VFIO_DEVICE_FEATURE_GET		(1 << 16)	/* fill data */
#define VFIO_DEVICE_FEATURE_SET		(1 << 17)	/* take data */
#define VFIO_DEVICE_FEATURE_PROBE	(1 << 18)	/* touch nothing */

/**
 * VFIO_DEVICE_FEATURE - get or set an extra of the device
 *
 * Exactly one of GET and SET, or PROBE with those of them that are to be asked
 * for: a probe succeeds if the device has the feature and allows all of them.
 *
 * Errors: ENOTTY for a feature that the device does not have, EINVAL for a
 * direction that it does not have and for data that is too short, otherwise
 * the feature's own.
 */
#define VFIO_DEVICE_FEATURE		_IO(VFIO_TYPE, VFIO_BASE + 17)

/*
 * ---- Binding to iommufd ----
 *
 * Only for files of /dev/vfio/devices. Such a file does nothing until it is
 * bound; closing it unbinds.
 */

/**
 * struct vfio_device_bind_iommufd - argument of VFIO_DEVICE_BIND_IOMMUFD
 * @argsz: size of this structure, or up to @out_devid without a token
 * @flags: VFIO_DEVICE_BIND_FLAG_*
 * @iommufd: file descriptor of /dev/iommu
 * @out_devid: out, the device's ID in requests to that iommufd
 * @token_uuid_ptr: with VFIO_DEVICE_BIND_FLAG_TOKEN, address of the sixteen
 *	bytes of a UUID: the secret of VFIO_DEVICE_FEATURE_PCI_VF_TOKEN
 */
struct vfio_device_bind_iommufd {
	__u32		argsz;
	__u32		flags;
	__s32		iommufd;
	__u32		out_devid;
	__aligned_u64	token_uuid_ptr;
};

/* @token_uuid_ptr is valid. A device that knows no tokens does not take it. */
#define VFIO_DEVICE_BIND_FLAG_TOKEN	(1 << 0)

/**
 * VFIO_DEVICE_BIND_IOMMUFD - open the device for this file
 *
 * The caller owns the DMA of the device's group afterwards, and is the device's
 * only user: until the file is closed no other file of the device can be bound,
 * and its group cannot be opened (EBUSY). A device that no IOMMU confines, whose
 * name begins with noiommu-, takes CAP_SYS_RAWIO to bind.
 *
 * Errors: EINVAL, also if this or another file of the device is bound, or if the
 * file came from a group; EBADF; EBADFD if @iommufd is something else; EBUSY
 * while the group's own file is open; EACCES if the token is missing or wrong;
 * EPERM if somebody else owns the group's DMA, or a privilege is missing.
 */
#define VFIO_DEVICE_BIND_IOMMUFD	_IO(VFIO_TYPE, VFIO_BASE + 18)

/**
 * struct vfio_device_attach_iommufd_pt - of VFIO_DEVICE_ATTACH_IOMMUFD_PT
 * @argsz: size of this structure
 * @flags: 0
 * @pt_id: in, an I/O address space or a page table of the bound iommufd. Out,
 *	the same address space, or the page table that is attached, which is
 *	a new one if the kernel had to make it
 */
struct vfio_device_attach_iommufd_pt {
	__u32	argsz;
	__u32	flags;
	__u32	pt_id;
};

/**
 * VFIO_DEVICE_ATTACH_IOMMUFD_PT - let the device's DMA go through a page table
 *
 * On an attached device this replaces what it is attached to. Errors: EINVAL,
 * also for a device without an IOMMU; ENOENT for an unknown @pt_id; otherwise
 * what the IOMMU refused with.
 */
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT	_IO(VFIO_TYPE, VFIO_BASE + 19)

/**
 * struct vfio_device_detach_iommufd_pt - of VFIO_DEVICE_DETACH_IOMMUFD_PT
 * @argsz: size of this structure
 * @flags: 0
 */
struct vfio_device_detach_iommufd_pt {
	__u32	argsz;
	__u32	flags;
};

/**
 * VFIO_DEVICE_DETACH_IOMMUFD_PT - cut the device's DMA off
 *
 * Nothing happens if the device is not attached. Errors: EINVAL.
 */
#define VFIO_DEVICE_DETACH_IOMMUFD_PT	_IO(VFIO_TYPE, VFIO_BASE + 20)

/*
 * ======== PCI devices ========
 */

/*
 * Regions. Absent ones have size 0; indexes from VFIO_PCI_NUM_REGIONS on say
 * what they are by VFIO_REGION_INFO_CAP_TYPE or VFIO_REGION_INFO_CAP_PCI_ALIAS.
 *
 * The VGA region has the legacy ranges at the offsets of their addresses:
 * memory at 0xa0000 to 0xbffff, ports at 0x3b0 to 0x3bb and 0x3c0 to 0x3df.
 * Nothing lies between them.
 */
enum {
	VFIO_PCI_BAR0_REGION_INDEX = 0,
	VFIO_PCI_BAR1_REGION_INDEX = 1,
	VFIO_PCI_BAR2_REGION_INDEX = 2,
	VFIO_PCI_BAR3_REGION_INDEX = 3,
	VFIO_PCI_BAR4_REGION_INDEX = 4,
	VFIO_PCI_BAR5_REGION_INDEX = 5,
	VFIO_PCI_ROM_REGION_INDEX = 6,
	VFIO_PCI_CONFIG_REGION_INDEX = 7,
	VFIO_PCI_VGA_REGION_INDEX = 8,
	/* Part of the interface: stays 9 for ever. */
	VFIO_PCI_NUM_REGIONS = 9
};

/*
 * Interrupts. Absent ones have count 0. The last two are the driver's own: an
 * error the device cannot recover from, and the host wanting the device back.
 */
enum {
	VFIO_PCI_INTX_IRQ_INDEX = 0,
	VFIO_PCI_MSI_IRQ_INDEX = 1,
	VFIO_PCI_MSIX_IRQ_INDEX = 2,
	VFIO_PCI_ERR_IRQ_INDEX = 3,
	VFIO_PCI_REQ_IRQ_INDEX = 4,
	VFIO_PCI_NUM_IRQS
};

/* ---- Hot reset: a bus or slot with everything on it ---- */

/**
 * struct vfio_pci_dependent_device - one function that a hot reset hits
 * @group_id: its IOMMU group, if the asking file came from a group
 * @devid: otherwise its ID in the asking file's iommufd, or one of
 *	VFIO_PCI_DEVID_OWNED (no ID there, but in the group of a device that
 *	has one) and VFIO_PCI_DEVID_NOT_OWNED (somebody else's, or not bound
 *	to a VFIO driver)
 * @segment: PCI domain
 * @bus: bus number
 * @devfn: slot in the upper five bits, function in the lower three
 */
struct vfio_pci_dependent_device {
	union {
		__u32	group_id;
		__u32	devid;
	};
	__u16	segment;
	__u8	bus;
	__u8	devfn;
};

#define VFIO_PCI_DEVID_OWNED		0
#define VFIO_PCI_DEVID_NOT_OWNED	-1

/**
 * struct vfio_pci_hot_reset_info - of VFIO_DEVICE_GET_PCI_HOT_RESET_INFO
 * @argsz: size of this structure and of @devices
 * @flags: out, VFIO_PCI_HOT_RESET_FLAG_*
 * @count: out, how many functions are hit, also where not all have room
 * @devices: out, the functions
 */
struct vfio_pci_hot_reset_info {
	__u32	argsz;
	__u32	flags;
	__u32	count;
	struct vfio_pci_dependent_device devices[];
};

/* @devid is valid, not @group_id. */
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID		(1 << 0)
/* With the former: none is VFIO_PCI_DEVID_NOT_OWNED, the reset is allowed. */
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED	(1 << 1)

/**
 * VFIO_DEVICE_GET_PCI_HOT_RESET_INFO - which functions go down together
 *
 * Errors: EINVAL; ENODEV if neither bus nor slot can be reset; ENOSPC if
 * @devices has too little room, with @count stored.
 */
#define VFIO_DEVICE_GET_PCI_HOT_RESET_INFO	_IO(VFIO_TYPE, VFIO_BASE + 12)

/**
 * struct vfio_pci_hot_reset - argument of VFIO_DEVICE_PCI_HOT_RESET
 * @argsz: size of this structure and of @group_fds
 * @flags: 0
 * @count: entries of @group_fds; 0 on a file of /dev/vfio/devices
 * @group_fds: group files that together hold every function that is hit
 */
struct vfio_pci_hot_reset {
	__u32	argsz;
	__u32	flags;
	__u32	count;
	__s32	group_fds[];
};

/**
 * VFIO_DEVICE_PCI_HOT_RESET - reset the bus or slot
 *
 * The caller shows that all functions are its own: by group files, or by
 * having them bound to one iommufd. The two ways do not mix.
 *
 * Errors: EINVAL, also if a function is somebody else's; ENODEV if neither bus
 * nor slot can be reset; EBADF; EBUSY if one of the devices is busy.
 */
#define VFIO_DEVICE_PCI_HOT_RESET	_IO(VFIO_TYPE, VFIO_BASE + 13)

/**
 * VFIO_DEVICE_FEATURE_PCI_VF_TOKEN - secret between a PF's and its VFs' users
 *
 * SET only, on a PF: sixteen bytes, a UUID. Whoever opens a VF later has to
 * name it, and VFs opened earlier keep working.
 */
#define VFIO_DEVICE_FEATURE_PCI_VF_TOKEN	(0)

/* ---- Low power ---- */

/**
 * VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY - allow the device to sleep
 *
 * SET only, no data. Whether and how deep the device sleeps is for the
 * platform's power management. Any access through the kernel wakes it, and it
 * may sleep again after that. Mappings of its memory are cut off until
 * VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: touching them is SIGBUS.
 *
 * Errors: EINVAL if already entered.
 */
#define VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY	3

/**
 * struct vfio_device_low_power_entry_with_wakeup - entry, and tell me
 * @wakeup_eventfd: signalled when the device wakes
 * @reserved: 0
 */
struct vfio_device_low_power_entry_with_wakeup {
	__s32	wakeup_eventfd;
	__u32	reserved;
};

/**
 * VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP - the same for one sleep
 *
 * SET only. The first wake-up ends it like an exit and signals the eventfd; a
 * device that never really slept signals nothing. Touching a mapping does not
 * wake. Errors: EINVAL if already entered, EBADF for a bad eventfd.
 */
#define VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP	4

/**
 * VFIO_DEVICE_FEATURE_LOW_POWER_EXIT - keep the device awake again
 *
 * SET only, no data; mappings work when it returns. Waking a sleeping device
 * this way signals its wake-up eventfd, too.
 */
#define VFIO_DEVICE_FEATURE_LOW_POWER_EXIT	5

/* ---- Device memory for other drivers' devices ---- */

/**
 * struct vfio_region_dma_range - part of a region
 * @offset: in the region
 * @length: in bytes
 */
struct vfio_region_dma_range {
	__u64	offset;
	__u64	length;
};

/**
 * struct vfio_device_feature_dma_buf - what to export as a dma-buf
 * @region_index: which region, for PCI one of the BARs
 * @open_flags: of the file: O_RDONLY, O_WRONLY or O_RDWR, and O_CLOEXEC
 * @flags: 0
 * @nr_ranges: entries of @dma_ranges
 * @dma_ranges: what the dma-buf consists of, in this order; whole pages inside
 *	the region, which may overlap
 */
struct vfio_device_feature_dma_buf {
	__u32	region_index;
	__u32	open_flags;
	__u32	flags;
	__u32	nr_ranges;
	struct vfio_region_dma_range	dma_ranges[];
};

/**
 * VFIO_DEVICE_FEATURE_DMA_BUF - export device memory to other devices' drivers
 *
 * GET only. Returns the file descriptor of a dma-buf, which drivers can attach
 * that do peer-to-peer DMA and can have a mapping taken away; it has no mmap().
 * Whenever the memory goes (see VFIO_DEVICE_RESET) the importers lose their
 * mappings before that, and can map again when it is back. The last close of
 * the device ends the export; the descriptor stays valid and leads to nothing.
 *
 * Errors: EINVAL for bad flags, no range, one that is empty, not in the region
 * or not whole pages, a region that cannot be mapped, or an argsz that does not
 * hold all ranges; ENODEV for a region that is not a BAR; EOPNOTSUPP if the
 * device's driver shows its regions otherwise than they are; ENOTTY if the kernel
 * has no dma-bufs; EMFILE; ENOMEM; EFAULT.
 */
#define VFIO_DEVICE_FEATURE_DMA_BUF		11

/* ---- Write-combined mappings ---- */

/**
 * struct vfio_device_feature_pci_alias - a region that shows a part of a BAR
 * @region_index: the BAR
 * @memory_type: of the region's mappings: VFIO_PCI_ALIAS_WRITE_COMBINE
 * @offset: in the BAR
 * @size: in bytes; whole pages inside the BAR
 * @flags: 0
 * @index: out, the region's
 */
struct vfio_device_feature_pci_alias {
	__u32	region_index;
	__u32	memory_type;
	__aligned_u64	offset;
	__aligned_u64	size;
	__u32	flags;
	__u32	index;
};

/* Writes may be merged and change their order until a barrier, reads guessed. */
#define VFIO_PCI_ALIAS_WRITE_COMBINE		1

/**
 * VFIO_DEVICE_FEATURE_PCI_ALIAS - map a part of a BAR write-combined
 *
 * GET only. Makes a region, the device's last, which
 * VFIO_DEVICE_GET_REGION_INFO reports with VFIO_REGION_INFO_CAP_PCI_ALIAS. What
 * is mapped, read and written there is the part of the BAR; the region is to be
 * mapped at the offset that is reported, which is not the start of its share of
 * the device's file. Mappings come and go with the memory as the BAR's do.
 * The region belongs to the device, for all its files, until the last close.
 *
 * While there is an alias, mappings of the BAR itself may show that part
 * write-combined as well: on x86, pages have one memory type. Whatever has to be
 * uncached, a doorbell, must not be in a page that is aliased.
 *
 * Not one of Linux's features: their numbers are counted from 0.
 *
 * Errors: EINVAL for bad flags or memory type, a BAR that cannot be mapped, a
 * range that is empty, not in the BAR or not whole pages; ENODEV for a region
 * that is not a BAR; EOPNOTSUPP for a BAR that is not prefetchable, a page of the
 * MSI-X table, or a device whose driver shows its regions otherwise than they
 * are; EBUSY if someone else, or the device's driver itself, is using the BAR;
 * ENOSPC for more than 64 of them; ENOMEM; EFAULT.
 */
#define VFIO_DEVICE_FEATURE_PCI_ALIAS		0xf001

/**
 * struct vfio_device_feature_pci_absent - what is shown of memory that is not there
 * @mappings: what mappings of BARs show: VFIO_PCI_ABSENT_*
 * @reserved: 0
 */
struct vfio_device_feature_pci_absent {
	__u32	mappings;
	__u32	reserved;
};

/* Touching a mapping raises the signal. */
#define VFIO_PCI_ABSENT_SIGBUS			0
/* A mapping reads as all ones, and writes go nowhere, as on a bus. */
#define VFIO_PCI_ABSENT_ONES			1

/**
 * VFIO_DEVICE_FEATURE_PCI_ABSENT - choose what mappings show while memory is off
 *
 * GET and SET. Memory is not there while the command register has it switched off,
 * in D3hot and in low power, and during resets. For virtual machine monitors: a guest
 * that touches a BAR which another of its CPUs has just switched off goes on. The
 * choice belongs to the device, for all its files, until the last close. It starts
 * with absent_memory, see Documentation/ABI/testing/sysfs-class-vfio-dev.
 *
 * What is written may be read back for a moment (some 20 ms). When the memory is
 * back, mappings show it. A device that is gone for good reads as ones whatever was
 * chosen. pread() and pwrite() fail with EIO as long as the memory is not there.
 *
 * Not one of Linux's features: their numbers are counted from 0.
 *
 * Errors: EINVAL for bad flags, @mappings or @reserved; EOPNOTSUPP for a device
 * whose driver shows its regions otherwise than they are; EFAULT.
 */
#define VFIO_DEVICE_FEATURE_PCI_ABSENT		0xf002

/**
 * struct vfio_device_feature_pci_error - the last error that the platform told of
 * @count: how many it told of since the first open
 * @severity: VFIO_PCI_ERROR_*, what it made of the last one
 * @flags: VFIO_PCI_ERROR_FLAG_*
 * @uncor_status: with VFIO_PCI_ERROR_FLAG_LOG, PCI_ERR_UNCOR_STATUS of the function's
 *	Advanced Error Reporting capability, as it was then; likewise the next ones. 0
 *	if the error was another function's below the same port
 * @uncor_mask: PCI_ERR_UNCOR_MASK
 * @uncor_severity: PCI_ERR_UNCOR_SEVER
 * @cor_status: PCI_ERR_COR_STATUS
 * @cor_mask: PCI_ERR_COR_MASK
 * @control: PCI_ERR_CAP, whose low bits are the number of the first error
 * @header_log: PCI_ERR_HEADER_LOG: header of the transaction that this one was in
 * @reserved: 0
 */
struct vfio_device_feature_pci_error {
	__u32	count;
	__u32	severity;
	__u32	flags;
	__u32	uncor_status;
	__u32	uncor_mask;
	__u32	uncor_severity;
	__u32	cor_status;
	__u32	cor_mask;
	__u32	control;
	__u32	header_log[4];
	__u32	reserved;
};

#define VFIO_PCI_ERROR_NONE		0	/* none so far */
#define VFIO_PCI_ERROR_NONFATAL		1	/* a transaction is lost, the device works */
#define VFIO_PCI_ERROR_FATAL		2	/* it is cut off, the platform resets the link */
#define VFIO_PCI_ERROR_LOST		3	/* it is cut off, and that is for good */

/* The function told what it was. */
#define VFIO_PCI_ERROR_FLAG_LOG		(1 << 0)

/**
 * VFIO_DEVICE_FEATURE_PCI_ERROR - what the error was
 *
 * GET only. The eventfd of VFIO_PCI_ERR_IRQ_INDEX tells that there was an error, after
 * it was recorded for this. Of a fatal error the function can tell only after the
 * platform has reset the link, and there is no event for that: who wants to know asks
 * again. If the platform gives up and says so (s390 and powerpc do, AER does not), there
 * is, and the severity is LOST. A function without the capability never tells. Corrected
 * errors are not told of. What former users of the device had is not shown.
 *
 * Not one of Linux's features: their numbers are counted from 0.
 *
 * Errors: EINVAL for bad flags or size; EFAULT.
 */
#define VFIO_DEVICE_FEATURE_PCI_ERROR		0xf003

/*
 * ======== Other kinds of devices ========
 */

/* vfio-ccw, channel I/O of s390: regions and interrupts */
enum {
	VFIO_CCW_CONFIG_REGION_INDEX = 0,
	VFIO_CCW_NUM_REGIONS
};

enum {
	VFIO_CCW_IO_IRQ_INDEX = 0,
	VFIO_CCW_CRW_IRQ_INDEX = 1,
	VFIO_CCW_REQ_IRQ_INDEX = 2,
	VFIO_CCW_NUM_IRQS
};

/* vfio-ap, adjunct processors of s390: interrupts, no region */
enum {
	VFIO_AP_REQ_IRQ_INDEX = 0,
	VFIO_AP_NUM_IRQS
};

/**
 * struct vfio_device_feature_bus_master - may the device start transfers
 * @op: VFIO_DEVICE_FEATURE_CLEAR_MASTER or VFIO_DEVICE_FEATURE_SET_MASTER
 *
 * For buses on which the device's own registers cannot say it, such as CDX.
 */
struct vfio_device_feature_bus_master {
	__u32	op;
};

#define VFIO_DEVICE_FEATURE_CLEAR_MASTER	0	/* DMA is blocked */
#define VFIO_DEVICE_FEATURE_SET_MASTER		1	/* DMA works */

/* SET only. */
#define VFIO_DEVICE_FEATURE_BUS_MASTER		10

/* ---- Graphics of mediated devices ---- */

/**
 * struct vfio_region_gfx_edid - region of VFIO_REGION_SUBTYPE_GFX_EDID
 * @edid_offset: read-only, where in the region the EDID block is
 * @edid_max_size: read-only, room for it
 * @edid_size: size of the present one
 * @max_xres: read-only, widest display in pixels, 0 for any
 * @max_yres: read-only, highest display in pixels, 0 for any
 * @link_state: VFIO_DEVICE_GFX_LINK_STATE_*
 *
 * The user plays the monitor. To change it: link down, new block and size,
 * link up.
 */
struct vfio_region_gfx_edid {
	__u32	edid_offset;
	__u32	edid_max_size;
	__u32	edid_size;
	__u32	max_xres;
	__u32	max_yres;
	__u32	link_state;
};

#define VFIO_DEVICE_GFX_LINK_STATE_UP	1
#define VFIO_DEVICE_GFX_LINK_STATE_DOWN	2

/**
 * struct vfio_device_gfx_plane_info - argument of VFIO_DEVICE_QUERY_GFX_PLANE
 * @argsz: size of this structure
 * @flags: one of VFIO_GFX_PLANE_TYPE_DMABUF and VFIO_GFX_PLANE_TYPE_REGION,
 *	with VFIO_GFX_PLANE_TYPE_PROBE to ask only whether that way works
 * @drm_plane_type: in, DRM_PLANE_TYPE_*
 * @drm_format: out, fourcc of the pixels
 * @drm_format_mod: out, DRM modifier (tiling)
 * @width: out, in pixels
 * @height: out, in pixels
 * @stride: out, bytes from one line to the next
 * @size: out, whole pages
 * @x_pos: out, where a cursor plane is
 * @y_pos: out, where a cursor plane is
 * @x_hot: out, the cursor's hot spot, 0xffffffff if not known
 * @y_hot: out, likewise
 * @region_index: out, the region that has the pixels
 * @dmabuf_id: out, for VFIO_DEVICE_GET_GFX_DMABUF
 * @reserved: 0
 */
struct vfio_device_gfx_plane_info {
	__u32	argsz;
	__u32	flags;
	__u32	drm_plane_type;
	__u32	drm_format;
	__aligned_u64	drm_format_mod;
	__u32	width;
	__u32	height;
	__u32	stride;
	__u32	size;
	__u32	x_pos;
	__u32	y_pos;
	__u32	x_hot;
	__u32	y_hot;
	union {
		__u32	region_index;
		__u32	dmabuf_id;
	};
	__u32	reserved;
};

#define VFIO_GFX_PLANE_TYPE_PROBE	(1 << 0)
#define VFIO_GFX_PLANE_TYPE_DMABUF	(1 << 1)
#define VFIO_GFX_PLANE_TYPE_REGION	(1 << 2)

/**
 * VFIO_DEVICE_QUERY_GFX_PLANE - what is on the device's screen
 *
 * A plane that the guest has off succeeds with format, size, width and height
 * 0. Errors: EINVAL, also for a way that the device does not have.
 */
#define VFIO_DEVICE_QUERY_GFX_PLANE	_IO(VFIO_TYPE, VFIO_BASE + 14)

/**
 * VFIO_DEVICE_GET_GFX_DMABUF - the pixels of a plane as a dma-buf
 *
 * The argument points to a __u32, the @dmabuf_id of the query. Returns a file
 * descriptor.
 */
#define VFIO_DEVICE_GET_GFX_DMABUF	_IO(VFIO_TYPE, VFIO_BASE + 15)

/*
 * ======== Migration ========
 *
 * A driver that can take the state out of a device and put it into another one
 * of the same kind is a state machine that the user moves:
 *
 *	RUNNING		works
 *	RUNNING_P2P	works, but starts no DMA to other devices
 *	PRE_COPY	works; a first part of its state can be read
 *	PRE_COPY_P2P	both of these
 *	STOP		changes nothing, neither inside nor outside: no DMA,
 *			no interrupt; still answers accesses
 *	STOP_COPY	as STOP; all that is left of its state can be read
 *	RESUMING	as STOP; takes a state that is written to it
 *	ERROR		broken until VFIO_DEVICE_RESET makes it RUNNING
 *
 * The P2P states bring several devices to a stop together: first none talks to
 * another any more, then each is stopped. A device without them behaves as if
 * its DMA to others ended with the next stop. The user keeps its hands off the
 * device in the STOP states; if it does not, it spoils its own data and
 * nothing else.
 *
 * These single steps exist:
 *
 *	RUNNING - RUNNING_P2P - STOP			both ways
 *	STOP - STOP_COPY, STOP - RESUMING		both ways
 *	RUNNING - PRE_COPY				both ways
 *	RUNNING_P2P - PRE_COPY_P2P			both ways
 *	PRE_COPY - PRE_COPY_P2P				both ways
 *	PRE_COPY_P2P -> STOP_COPY			this way only
 *
 * Any other request is the shortest chain of them that has none of PRE_COPY,
 * PRE_COPY_P2P and STOP_COPY in its middle; where an optional state does not
 * exist, the chain passes over it. Nothing leads from STOP_COPY to PRE_COPY or
 * PRE_COPY_P2P, and ERROR cannot be requested.
 *
 * Entering PRE_COPY, PRE_COPY_P2P or STOP_COPY from outside these three opens
 * a data stream for reading, which goes on as the device moves among them and
 * ends when it leaves them. Entering RESUMING opens one for writing, and
 * leaving it checks and loads what was written: bad data fails the request. A
 * user that gives up in RESUMING resets the device. The stream is the driver's
 * secret; the user hands over its bytes in order, in pieces of any size.
 */

/**
 * enum vfio_device_mig_state - states of a device in migration
 * @VFIO_DEVICE_STATE_ERROR: broken, reset to recover
 * @VFIO_DEVICE_STATE_STOP: stopped
 * @VFIO_DEVICE_STATE_RUNNING: working
 * @VFIO_DEVICE_STATE_STOP_COPY: stopped, being saved
 * @VFIO_DEVICE_STATE_RESUMING: stopped, being loaded
 * @VFIO_DEVICE_STATE_RUNNING_P2P: working without DMA to peers
 * @VFIO_DEVICE_STATE_PRE_COPY: working, being saved
 * @VFIO_DEVICE_STATE_PRE_COPY_P2P: working without DMA to peers, being saved
 * @VFIO_DEVICE_STATE_NR: how many there are
 */
enum vfio_device_mig_state {
	VFIO_DEVICE_STATE_ERROR		= 0,
	VFIO_DEVICE_STATE_STOP		= 1,
	VFIO_DEVICE_STATE_RUNNING	= 2,
	VFIO_DEVICE_STATE_STOP_COPY	= 3,
	VFIO_DEVICE_STATE_RESUMING	= 4,
	VFIO_DEVICE_STATE_RUNNING_P2P	= 5,
	VFIO_DEVICE_STATE_PRE_COPY	= 6,
	VFIO_DEVICE_STATE_PRE_COPY_P2P	= 7,
	VFIO_DEVICE_STATE_NR,
};

/**
 * struct vfio_device_feature_migration - which states there are
 * @flags: VFIO_MIGRATION_STOP_COPY is always set where migration exists and
 *	stands for STOP, STOP_COPY and RESUMING; VFIO_MIGRATION_P2P adds
 *	RUNNING_P2P, VFIO_MIGRATION_PRE_COPY adds PRE_COPY, and both together
 *	also PRE_COPY_P2P
 */
struct vfio_device_feature_migration {
	__aligned_u64	flags;
};

#define VFIO_MIGRATION_STOP_COPY	(1 << 0)
#define VFIO_MIGRATION_P2P		(1 << 1)
#define VFIO_MIGRATION_PRE_COPY		(1 << 2)

/* GET only. */
#define VFIO_DEVICE_FEATURE_MIGRATION	1

/**
 * struct vfio_device_feature_mig_state - the state, asked or to be reached
 * @device_state: enum vfio_device_mig_state
 * @data_fd: out, the stream that a SET opened, for the user to close; -1 if it
 *	opened none and after GET
 */
struct vfio_device_feature_mig_state {
	__u32	device_state;
	__s32	data_fd;
};

/**
 * VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE - move the device, or ask where it is
 *
 * SET returns when the device has arrived. After an error it is anywhere on
 * the way, or in ERROR: GET tells. Only SET and VFIO_DEVICE_RESET ever move
 * it. Errors of SET: EINVAL for a state that there is no way to, otherwise the
 * driver's.
 */
#define VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE	2

/**
 * struct vfio_device_feature_mig_data_size - how much is there to move
 * @stop_copy_length: estimate of what STOP_COPY would yield now
 */
struct vfio_device_feature_mig_data_size {
	__aligned_u64	stop_copy_length;
};

/* GET only, in any state. */
#define VFIO_DEVICE_FEATURE_MIG_DATA_SIZE	9

/**
 * struct vfio_precopy_info - argument of VFIO_MIG_GET_PRECOPY_INFO
 * @argsz: size of this structure
 * @flags: 0
 * @initial_bytes: out, what is left of the first pass; starts above 0 and only
 *	falls. A good moment to stop the device is not before it is 0
 * @dirty_bytes: out, what changed after it was read; starts at 0, rises with
 *	the device's work and falls with reading
 *
 * Both are estimates, and neither says how much STOP_COPY will have.
 */
struct vfio_precopy_info {
	__u32	argsz;
	__u32	flags;
	__aligned_u64	initial_bytes;
	__aligned_u64	dirty_bytes;
};

/**
 * VFIO_MIG_GET_PRECOPY_INFO - how far is pre-copying
 *
 * On a data stream. When both numbers are 0, reading fails with ENOMSG, and
 * poll() waits for more, which may never come. In STOP_COPY the end is final:
 * reading returns 0. Every driver with VFIO_MIGRATION_PRE_COPY has it.
 *
 * Errors: EINVAL outside PRE_COPY and PRE_COPY_P2P.
 */
#define VFIO_MIG_GET_PRECOPY_INFO	_IO(VFIO_TYPE, VFIO_BASE + 21)

/*
 * ---- DMA logging ----
 *
 * The device itself remembers where it wrote, so that memory can be copied
 * while it works. Needs no migration state.
 */

/**
 * struct vfio_device_feature_dma_logging_control - what to log
 * @page_size: in, granularity wished for, out, the one that the device uses
 * @num_ranges: entries of @ranges; a page full of them always works, how many
 *	more is up to the driver
 * @__reserved: 0
 * @ranges: address of an array of
 *	struct vfio_device_feature_dma_logging_range
 */
struct vfio_device_feature_dma_logging_control {
	__aligned_u64	page_size;
	__u32	num_ranges;
	__u32	__reserved;
	__aligned_u64	ranges;
};

/**
 * struct vfio_device_feature_dma_logging_range - one range to log
 * @iova: its start in the device's address space
 * @length: its length
 */
struct vfio_device_feature_dma_logging_range {
	__aligned_u64	iova;
	__aligned_u64	length;
};

/**
 * struct vfio_device_feature_dma_logging_report - read the log, and clear it
 * @iova: start of the range asked for
 * @length: its length
 * @page_size: what one bit stands for, a power of two, free of the one that
 *	the log was started with: the driver spreads or merges
 * @bitmap: address of an array of __u64; page n of the range is bit n % 64 of
 *	word n / 64. Bits get set and never cleared
 */
struct vfio_device_feature_dma_logging_report {
	__aligned_u64	iova;
	__aligned_u64	length;
	__aligned_u64	page_size;
	__aligned_u64	bitmap;
};

/* SET only. Not while a log runs. */
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_START	6
/* SET only, no data. */
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP	7
/*
 * GET only. After an error what is logged cannot be trusted: take all memory
 * for written and start over.
 */
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT	8

/*
 * ---- The first migration protocol ----
 *
 * A region instead of a feature. No kernel of today offers it; the names are
 * kept for programs that still mention them.
 */

/**
 * struct vfio_device_migration_info - start of that region
 * @device_state: VFIO_DEVICE_STATE_V1_* bits
 * @reserved: 0
 * @pending_bytes: what is left to save
 * @data_offset: where in the region the data is
 * @data_size: how much of it
 */
struct vfio_device_migration_info {
	__u32	device_state;
	__u32	reserved;
	__aligned_u64	pending_bytes;
	__aligned_u64	data_offset;
	__aligned_u64	data_size;
};

#define VFIO_DEVICE_STATE_V1_STOP	(0)
#define VFIO_DEVICE_STATE_V1_RUNNING	(1 << 0)
#define VFIO_DEVICE_STATE_V1_SAVING	(1 << 1)
#define VFIO_DEVICE_STATE_V1_RESUMING	(1 << 2)

#define VFIO_DEVICE_STATE_MASK \
	(VFIO_DEVICE_STATE_V1_RUNNING | VFIO_DEVICE_STATE_V1_SAVING | \
	 VFIO_DEVICE_STATE_V1_RESUMING)

/* Resuming excludes the others; with saving it spells an error. */
#define VFIO_DEVICE_STATE_VALID(state) \
	((state) & VFIO_DEVICE_STATE_V1_RESUMING ? \
	 ((state) & VFIO_DEVICE_STATE_MASK) == VFIO_DEVICE_STATE_V1_RESUMING : 1)

#define VFIO_DEVICE_STATE_IS_ERROR(state) \
	(((state) & VFIO_DEVICE_STATE_MASK) == \
	 (VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING))

#define VFIO_DEVICE_STATE_SET_ERROR(state) \
	(((state) & ~VFIO_DEVICE_STATE_MASK) | \
	 VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING)

/*
 * ======== Containers with a type1 back end ========
 *
 * An I/O virtual address (IOVA) is what a device puts on the bus. Mappings
 * are ranges of IOVAs that lead to the caller's memory, which is pinned and
 * counts as locked memory of the process that mapped it.
 */

/**
 * struct vfio_iommu_type1_info - argument of VFIO_IOMMU_GET_INFO
 * @argsz: size of this structure and the buffer behind it
 * @flags: out, VFIO_IOMMU_INFO_*
 * @iova_pgsizes: out, bit n is set if mappings can have pages of 2^n bytes
 * @cap_offset: out, start of the capability chain; only stored if @argsz
 *	covers it
 * @pad: unused
 */
struct vfio_iommu_type1_info {
	__u32	argsz;
	__u32	flags;
	__aligned_u64	iova_pgsizes;
	__u32	cap_offset;
	__u32	pad;
};

#define VFIO_IOMMU_INFO_PGSIZES		(1 << 0)	/* iova_pgsizes */
#define VFIO_IOMMU_INFO_CAPS		(1 << 1)	/* capability chain */

#define VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE	1
#define VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION	2
#define VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL		3

/**
 * struct vfio_iova_range - a range of IOVAs
 * @start: first address
 * @end: last address
 */
struct vfio_iova_range {
	__u64	start;
	__u64	end;
};

/**
 * struct vfio_iommu_type1_info_cap_iova_range - what can be mapped
 * @header: VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, version 1
 * @nr_iovas: entries of @iova_ranges
 * @reserved: 0
 * @iova_ranges: what the IOMMU reaches less what it or a device reserves,
 *	ascending. Attaching a group can take some away
 */
struct vfio_iommu_type1_info_cap_iova_range {
	struct vfio_info_cap_header header;
	__u32	nr_iovas;
	__u32	reserved;
	struct vfio_iova_range iova_ranges[];
};

/**
 * struct vfio_iommu_type1_info_cap_migration - VFIO_IOMMU_DIRTY_PAGES works
 * @header: VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, version 1
 * @flags: 0
 * @pgsize_bitmap: bit n is set if a bitmap can have a bit for 2^n bytes
 * @max_dirty_bitmap_size: largest bitmap in bytes
 */
struct vfio_iommu_type1_info_cap_migration {
	struct vfio_info_cap_header header;
	__u32	flags;
	__u64	pgsize_bitmap;
	__u64	max_dirty_bitmap_size;
};

/**
 * struct vfio_iommu_type1_info_dma_avail - room for mappings
 * @header: VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, version 1
 * @avail: how many more the container takes at present
 */
struct vfio_iommu_type1_info_dma_avail {
	struct vfio_info_cap_header header;
	__u32	avail;
};

/**
 * VFIO_IOMMU_GET_INFO - page sizes, usable IOVAs, limits
 *
 * Errors: EINVAL.
 */
#define VFIO_IOMMU_GET_INFO	_IO(VFIO_TYPE, VFIO_BASE + 12)

/**
 * struct vfio_iommu_type1_dma_map - argument of VFIO_IOMMU_MAP_DMA
 * @argsz: size of this structure
 * @flags: VFIO_DMA_MAP_FLAG_*
 * @vaddr: address in the calling process
 * @iova: address for devices
 * @size: length
 *
 * The last three are multiples of the smallest page size of the IOMMU, and
 * neither range may wrap around.
 */
struct vfio_iommu_type1_dma_map {
	__u32	argsz;
	__u32	flags;
	__u64	vaddr;
	__u64	iova;
	__u64	size;
};

#define VFIO_DMA_MAP_FLAG_READ	(1 << 0)	/* devices may read */
#define VFIO_DMA_MAP_FLAG_WRITE	(1 << 1)	/* devices may write */
#define VFIO_DMA_MAP_FLAG_VADDR	(1 << 2)	/* only give a new vaddr */

/**
 * VFIO_IOMMU_MAP_DMA - let devices reach memory
 *
 * One of READ and WRITE at least, or VADDR alone. VADDR ends what
 * VFIO_DMA_UNMAP_FLAG_VADDR began: the mapping of exactly this @iova and @size
 * is at @vaddr from now on, maybe in another process. The same memory must be
 * there; the kernel cannot check that, and otherwise the user's data is lost.
 *
 * Errors: EINVAL for bad numbers or IOVAs that cannot be mapped, EEXIST if
 * part of the range is mapped, ENOENT for a VADDR without such a mapping,
 * EFAULT for memory that cannot be pinned, ENOMEM beyond the limit of locked
 * memory, ENOSPC with too many mappings in the container.
 */
#define VFIO_IOMMU_MAP_DMA	_IO(VFIO_TYPE, VFIO_BASE + 13)

/**
 * struct vfio_bitmap - where to put dirty bits
 * @pgsize: what one bit stands for
 * @size: room at @data, whole __u64 words for the range
 * @data: the words, cleared by the caller; page n of the range is bit n % 64
 *	of word n / 64
 */
struct vfio_bitmap {
	__u64	pgsize;
	__u64	size;
#ifdef __KERNEL__	/* user space has no word for it */
	__u64	__user *data;
#else
	__u64	*data;
#endif
};

/**
 * struct vfio_iommu_type1_dma_unmap - argument of VFIO_IOMMU_UNMAP_DMA
 * @argsz: size of this structure and of @data
 * @flags: VFIO_DMA_UNMAP_FLAG_*
 * @iova: start of the range
 * @size: in, its length, out, how much of it was mapped
 * @data: struct vfio_bitmap with VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP
 */
struct vfio_iommu_type1_dma_unmap {
	__u32	argsz;
	__u32	flags;
	__u64	iova;
	__u64	size;
	__u8	data[];
};

/* Report what devices wrote before. The range must be one mapping. */
#define VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP	(1 << 0)
/* Everything; @iova and @size are 0. Not with the former. */
#define VFIO_DMA_UNMAP_FLAG_ALL			(1 << 1)
/*
 * Devices go on, but the kernel forgets the process's addresses, until
 * VFIO_DMA_MAP_FLAG_VADDR gives new ones. No group can join the container in
 * between. Not with the first.
 */
#define VFIO_DMA_UNMAP_FLAG_VADDR		(1 << 2)

/**
 * VFIO_IOMMU_UNMAP_DMA - take memory away from devices
 *
 * Removes all mappings inside the range. No mapping may lie on its edge:
 * type1v2 then fails with EINVAL and unmaps nothing, while type1 stops at a
 * mapping that begins before the range and removes all of one that ends behind
 * it. Returning means that no device reaches the memory any more.
 *
 * Errors: EINVAL; EBUSY for VADDR while an emulated device is in the container.
 */
#define VFIO_IOMMU_UNMAP_DMA	_IO(VFIO_TYPE, VFIO_BASE + 14)

/**
 * struct vfio_iommu_type1_dirty_bitmap - argument of VFIO_IOMMU_DIRTY_PAGES
 * @argsz: size of this structure and of @data, not of the bitmap itself
 * @flags: exactly one of VFIO_IOMMU_DIRTY_PAGES_FLAG_*
 * @data: struct vfio_iommu_type1_dirty_bitmap_get with ..._GET_BITMAP
 */
struct vfio_iommu_type1_dirty_bitmap {
	__u32	argsz;
	__u32	flags;
	__u8	data[];
};

#define VFIO_IOMMU_DIRTY_PAGES_FLAG_START	(1 << 0)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP	(1 << 1)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP	(1 << 2)

/**
 * struct vfio_iommu_type1_dirty_bitmap_get - which part of the log
 * @iova: start of the range
 * @size: its length
 * @bitmap: where the answer goes; its page size is the smallest of the IOMMU
 */
struct vfio_iommu_type1_dirty_bitmap_get {
	__u64	iova;
	__u64	size;
	struct vfio_bitmap bitmap;
};

/**
 * VFIO_IOMMU_DIRTY_PAGES - log what devices may have written
 *
 * START, STOP, or read the log of a range with GET_BITMAP, which clears what
 * it reports. Errors: EINVAL, also to read where nothing is logged.
 */
#define VFIO_IOMMU_DIRTY_PAGES	_IO(VFIO_TYPE, VFIO_BASE + 17)

/*
 * ======== Containers with a POWER (sPAPR TCE) back end ========
 *
 * Request numbers overlap with those of type1: the back end decides.
 */

/* Start and stop using the container; no argument. */
#define VFIO_IOMMU_ENABLE	_IO(VFIO_TYPE, VFIO_BASE + 15)
#define VFIO_IOMMU_DISABLE	_IO(VFIO_TYPE, VFIO_BASE + 16)

/**
 * struct vfio_iommu_spapr_tce_ddw_info - windows that can be made
 * @pgsizes: bit n is set if a window can have pages of 2^n bytes
 * @max_dynamic_windows_supported: how many windows at a time
 * @levels: how deep a window's table can be; more levels need less contiguous
 *	memory
 */
struct vfio_iommu_spapr_tce_ddw_info {
	__u64	pgsizes;
	__u32	max_dynamic_windows_supported;
	__u32	levels;
};

/**
 * struct vfio_iommu_spapr_tce_info - of VFIO_IOMMU_SPAPR_TCE_GET_INFO
 * @argsz: size of this structure
 * @flags: out, VFIO_IOMMU_SPAPR_INFO_DDW if @ddw is valid
 * @dma32_window_start: out, first bus address of the window below 4 GiB; IOVAs
 *	are bus addresses, too
 * @dma32_window_size: out, its length
 * @ddw: out, windows beyond that one
 */
struct vfio_iommu_spapr_tce_info {
	__u32	argsz;
	__u32	flags;
	__u32	dma32_window_start;
	__u32	dma32_window_size;
	struct vfio_iommu_spapr_tce_ddw_info ddw;
};

#define VFIO_IOMMU_SPAPR_INFO_DDW	(1 << 0)

/* Where the windows are and can be. Errors: EINVAL. */
#define VFIO_IOMMU_SPAPR_TCE_GET_INFO	_IO(VFIO_TYPE, VFIO_BASE + 12)

/**
 * struct vfio_iommu_spapr_register_memory - memory that will be mapped later
 * @argsz: size of this structure
 * @flags: 0
 * @vaddr: address in the calling process
 * @size: length
 */
struct vfio_iommu_spapr_register_memory {
	__u32	argsz;
	__u32	flags;
	__u64	vaddr;
	__u64	size;
};

/*
 * Pin and account memory once, so that mapping it is cheap, and let it go. The
 * second takes what the first was given.
 */
#define VFIO_IOMMU_SPAPR_REGISTER_MEMORY	_IO(VFIO_TYPE, VFIO_BASE + 17)
#define VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY	_IO(VFIO_TYPE, VFIO_BASE + 18)

/**
 * struct vfio_iommu_spapr_tce_create - a new window
 * @argsz: size of this structure
 * @flags: 0
 * @page_shift: log2 of its page size
 * @__resv1: 0
 * @window_size: its length
 * @levels: depth of its table
 * @__resv2: 0
 * @start_addr: out, its first bus address
 */
struct vfio_iommu_spapr_tce_create {
	__u32	argsz;
	__u32	flags;
	__u32	page_shift;
	__u32	__resv1;
	__u64	window_size;
	__u32	levels;
	__u32	__resv2;
	__u64	start_addr;
};

/* Make a window for every group of the container. Errors: EINVAL, ENOSPC. */
#define VFIO_IOMMU_SPAPR_TCE_CREATE	_IO(VFIO_TYPE, VFIO_BASE + 19)

/**
 * struct vfio_iommu_spapr_tce_remove - a window to remove
 * @argsz: size of this structure
 * @flags: 0
 * @start_addr: its first bus address
 */
struct vfio_iommu_spapr_tce_remove {
	__u32	argsz;
	__u32	flags;
	__u64	start_addr;
};

/* Remove a window from every group of the container. Errors: EINVAL. */
#define VFIO_IOMMU_SPAPR_TCE_REMOVE	_IO(VFIO_TYPE, VFIO_BASE + 20)

/**
 * struct vfio_eeh_pe_err - error to inject
 * @type: width of the address, EEH_ERR_TYPE_*
 * @func: which error, EEH_ERR_FUNC_*
 * @addr: bus address it happens at
 * @mask: which bits of the address count
 */
struct vfio_eeh_pe_err {
	__u32	type;
	__u32	func;
	__u64	addr;
	__u64	mask;
};

/**
 * struct vfio_eeh_pe_op - argument of VFIO_EEH_PE_OP
 * @argsz: size of this structure
 * @flags: 0
 * @op: VFIO_EEH_PE_*
 * @err: with VFIO_EEH_PE_INJECT_ERR
 */
struct vfio_eeh_pe_op {
	__u32	argsz;
	__u32	flags;
	__u32	op;
	union {
		struct vfio_eeh_pe_err err;
	};
};

/* What to do with the group's partitionable endpoint (PE) */
#define VFIO_EEH_PE_DISABLE		0	/* stop isolating errors */
#define VFIO_EEH_PE_ENABLE		1	/* isolate errors */
#define VFIO_EEH_PE_UNFREEZE_IO		2	/* let accesses through */
#define VFIO_EEH_PE_UNFREEZE_DMA	3	/* let DMA through */
#define VFIO_EEH_PE_GET_STATE		4	/* return VFIO_EEH_PE_STATE_* */
#define VFIO_EEH_PE_RESET_DEACTIVATE	5	/* out of reset */
#define VFIO_EEH_PE_RESET_HOT		6	/* into hot reset */
#define VFIO_EEH_PE_RESET_FUNDAMENTAL	7	/* into fundamental reset */
#define VFIO_EEH_PE_CONFIGURE		8	/* set bridges up again */
#define VFIO_EEH_PE_INJECT_ERR		9	/* make an error, for tests */

#define VFIO_EEH_PE_STATE_NORMAL	0	/* works */
#define VFIO_EEH_PE_STATE_RESET		1	/* held in reset */
#define VFIO_EEH_PE_STATE_STOPPED	2	/* accesses and DMA blocked */
#define VFIO_EEH_PE_STATE_STOPPED_DMA	4	/* DMA blocked */
#define VFIO_EEH_PE_STATE_UNAVAIL	5	/* not known now */

/**
 * VFIO_EEH_PE_OP - error handling of POWER's PCI
 *
 * Returns 0, a state for VFIO_EEH_PE_GET_STATE. Errors: EINVAL.
 */
#define VFIO_EEH_PE_OP			_IO(VFIO_TYPE, VFIO_BASE + 21)

#endif /* _UAPIVFIO_H */
