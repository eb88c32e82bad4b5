/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The type1 back end: user memory in an I/O address space.
 *
 * Objects
 * -------
 * A type1_iommu is the I/O address space of one container. User space fills it
 * with mappings (type1_dma): a range of IOVA, the user memory behind it, and
 * the process that pays for it. Mappings never overlap and are never split;
 * they sit in one tree ordered by IOVA.
 *
 * Groups are attached to the container. A group behind an IOMMU (type1_group
 * on a type1_domain) lets its devices reach all mappings at any time, so as
 * long as there is one domain, every page of every mapping is pinned and
 * mapped in every domain: all or none, except while the mapping has an owner (see
 * type1_state.c). An emulated group (on type1_iommu::emulated) reaches nothing by
 * itself: its driver asks for single pages (type1_pin).
 *
 * What was pinned is remembered as physical runs (struct type1_chunk), in the
 * order of the mapping. Hence nothing is ever asked back from an IOMMU's page
 * table: unmap gives runs back by their length, and a second domain is filled
 * from the runs of the first. A run ends where the next page is elsewhere, is
 * of another kind, or starts a 1 GiB unit (with 4 KiB pages) of physical
 * memory; as IOMMU pages are aligned by nature, the last rule costs no large
 * page. Each run is handed to the IOMMU whole, which picks the page sizes.
 *
 * There are three kinds of memory, and a mapping may have runs of each, in whatever
 * order the user has it: pages of which the kernel could take a reference (PINNED in
 * the run); frames that only a PFN mapping shows, of which there is nothing to give
 * back; and the memory of a VFIO device (PEER), which is not mapped as frames, but
 * as long as the device lets it be (type1_peer.c): of it the run holds nothing but
 * the length.
 * Memory that the kernel does not manage (no struct page, or a reserved one) is not
 * charged to anybody.
 *
 * Accounting
 * ----------
 * type1_dma::charged is what the mapping has put on its mm's locked_vm. It is
 * the managed pages in the runs, plus, in a container without a domain, the
 * managed pages that drivers have pinned; while there are runs, a driver's
 * page is already in them. Going between the two states moves the difference.
 *
 * The mm is held by mmgrab(): a mapping does not keep a dead process's memory.
 * Whoever touches the memory or the counter takes mmget_not_zero() first and
 * drops it with mmput_async(), for the last user's exit_mmap() must not run
 * under our lock.
 *
 * Dirty tracking
 * --------------
 * No IOMMU is asked for dirty bits. A group is "scoped" if it dirties only
 * what its driver pins, which is so for emulated groups and for others from
 * their driver's first vfio_pin_pages(). One unscoped group makes everything
 * dirty. For the scoped, each mapping has a bitmap with a bit per CPU page,
 * set when a driver pins or writes it; a query reports and clears the bitmap
 * and sets it again for what is pinned still.
 *
 * Mappings that somebody works on
 * --------------------------------
 * See type1_state.c.
 *
 * Attaching must not wait for the user's memory either. So what the first domain
 * needs of it is pinned before (type1_begin_attach()), and stays so to the end
 * of that, whoever detaches meanwhile.
 *
 * Locks, outermost first
 * ----------------------
 *	notify_lock > (locks of the drivers) > lock > mmap_lock >
 *		memory_lock of a device whose BAR is mapped > peer_lock
 *
 * lock covers everything in the container: tree, mappings that have no owner,
 * domains, groups, ranges, dirty state. Under it mmap_lock is taken to charge, so
 * nobody may take it under mmap_lock or any lock that a fault handler takes.
 * Memory of the user is never faulted in under it. A driver's calls do that
 * before, without owning the mapping, and see by the epoch whether a mapping has
 * gone or changed its address meanwhile.
 *
 * notify_lock covers the list of devices whose drivers pin pages. They are
 * told that a mapping goes (dma_unmap) with only notify_lock held, since they
 * answer by vfio_unpin_pages(), which takes lock. The mapping may be gone by
 * the time that lock is taken again; the caller starts over. A mapping that
 * waits for this takes no new pins, lest a guest keeps it alive for ever.
 */
#ifndef DRIVERS_VFIO_TYPE1_H
#define DRIVERS_VFIO_TYPE1_H

#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "vfio.h"

/**
 * struct type1_iommu - the I/O address space of a container
 * @notify_lock: covers @devices, see above
 * @devices: vfio_devices to tell of unmaps
 * @lock: covers all that follows
 * @dmas: tree of struct type1_dma
 * @avail: how many more mappings user space may make; see type1_peer_reserve()
 * @domains: list of struct type1_domain
 * @emulated: list of struct type1_group that have no domain
 * @ranges: list of struct type1_range, what all groups can use; empty, which
 *	means everything, if there is no domain
 * @pgsizes: page sizes that all domains support, never below PAGE_SIZE
 * @epoch: counts when a mapping goes or gets another user address
 * @abandoned: domains that all groups have left
 * @unscoped: groups that may dirty any page
 * @vaddr_invalid: mappings whose user address was taken away
 * @pages: room for TYPE1_BATCH_PAGES, for who pins first; NULL while in use
 * @busy: mappings that have an owner
 * @settled: woken when one has none any more
 * @peer_lock: for changes of @domains, too; see type1_peer.c
 * @v2: unmap is exact
 * @nesting: domains must be fit for nesting
 * @tracking: dirty tracking is on
 * @attaching: mappings are wanted FULL for a group that comes
 * @pin_error: why not all of them are
 */
struct type1_iommu {
	struct mutex notify_lock;	/* outermost */
	struct list_head devices;

	struct mutex lock;		/* all that follows */
	struct rb_root dmas;
	unsigned int avail;
	struct list_head domains;
	struct list_head emulated;
	struct list_head ranges;
	unsigned long pgsizes;
	unsigned long epoch;
	unsigned int abandoned;
	unsigned int unscoped;
	unsigned int vaddr_invalid;
	struct page **pages;
	unsigned int busy;
	wait_queue_head_t settled;
	struct mutex peer_lock;		/* innermost */
	bool v2;
	bool nesting;
	bool tracking;
	bool attaching;
	int pin_error;
};

/**
 * struct type1_domain - an IOMMU domain that holds all mappings
 * @next: in type1_iommu::domains
 * @domain: the IOMMU's
 * @groups: list of struct type1_group attached to it; empty if abandoned
 * @coherent: it makes all DMA snoop the caches
 */
struct type1_domain {
	struct list_head next;
	struct iommu_domain *domain;
	struct list_head groups;
	bool coherent;
};

/**
 * struct type1_group - an attached group
 * @next: in type1_domain::groups or type1_iommu::emulated
 * @group: whose devices these are
 * @scoped: dirties only pages that its driver pins
 */
struct type1_group {
	struct list_head next;
	struct iommu_group *group;
	bool scoped;
};

/**
 * struct type1_chunk - some runs of physical pages of a mapping
 * @next: in type1_dma::chunks
 * @used: valid entries in @runs
 * @size: room in @runs
 * @runs: see type1_run_pfn() and its neighbours
 */
struct type1_chunk {
	struct list_head next;
	unsigned int used;
	unsigned int size;
	u64 runs[] __counted_by(size);
};

/*
 * A run in 64 bits: page frame, length less one, kind. A run does not cross a
 * multiple of TYPE1_RUN_PAGES.
 */
#define TYPE1_RUN_PINNED	BIT_ULL(0)
#define TYPE1_RUN_PEER		BIT_ULL(1)
#define TYPE1_RUN_KIND		(TYPE1_RUN_PINNED | TYPE1_RUN_PEER)
#define TYPE1_RUN_LEN_SHIFT	2
#define TYPE1_RUN_LEN_BITS	18
#define TYPE1_RUN_PFN_SHIFT	(TYPE1_RUN_LEN_SHIFT + TYPE1_RUN_LEN_BITS)
#define TYPE1_RUN_PAGES		BIT(TYPE1_RUN_LEN_BITS)

static inline u64 type1_run(unsigned long pfn, unsigned long npages, u64 kind)
{
	return (u64)pfn << TYPE1_RUN_PFN_SHIFT |
	       (u64)(npages - 1) << TYPE1_RUN_LEN_SHIFT | kind;
}

static inline unsigned long type1_run_pfn(u64 run)
{
	return run >> TYPE1_RUN_PFN_SHIFT;
}

static inline unsigned long type1_run_npages(u64 run)
{
	return ((run >> TYPE1_RUN_LEN_SHIFT) & (TYPE1_RUN_PAGES - 1)) + 1;
}

/* See type1_state.c. */
enum type1_state {
	TYPE1_EMPTY,
	TYPE1_FILLING,
	TYPE1_FULL,
	TYPE1_EMPTYING,
};

/**
 * struct type1_dma - a mapping
 * @node: in type1_iommu::dmas
 * @iova: its first I/O virtual address
 * @last: its last; the first of the next may be 2^64, and does not fit
 * @vaddr: the user address behind @iova
 * @vaddr_invalid: @vaddr was taken away, until user space brings a new one
 * @leaving: drivers have been told to let go, and may not pin any more
 * @lost: an IOMMU did not unmap it: its pages are never unpinned
 * @state: what it is, see type1_state.c
 * @lock_cap: whoever mapped it may exceed the limit of locked memory
 * @prot: IOMMU_READ, IOMMU_WRITE
 * @owner: who works on it without the lock, or NULL
 * @task: whose limit counts, a thread group leader
 * @mm: where @vaddr is and what is charged, held by mmgrab()
 * @charged: pages charged to @mm
 * @mapped: bytes from @iova on that are in the domains, peers or not
 * @going: in the list of who unmaps several
 * @chunks: list of struct type1_chunk: the runs of the mapping, if pinned
 * @peers: list of struct type1_peer: what is behind the PEER ones
 * @pins: tree of struct type1_pin: the pages that drivers have pinned
 * @dirty: a bit per PAGE_SIZE, if dirty tracking is on
 */
struct type1_dma {
	struct rb_node node;
	unsigned long iova;
	unsigned long last;
	unsigned long vaddr;
	bool vaddr_invalid;
	bool leaving;
	bool lost;
	u8 state;
	bool lock_cap;
	u8 prot;
	struct task_struct *owner;
	struct task_struct *task;
	struct mm_struct *mm;
	unsigned long charged;
	unsigned long mapped;
	struct list_head going;
	struct list_head chunks;
	struct hlist_head peers;
	struct rb_root pins;
	unsigned long *dirty;
};

static inline unsigned long type1_dma_npages(const struct type1_dma *dma)
{
	return ((dma->last - dma->iova) >> PAGE_SHIFT) + 1;
}

/**
 * struct type1_range - IOVAs that every attached group can use
 * @next: in type1_iommu::ranges, ascending
 * @first: first IOVA
 * @last: last IOVA
 */
struct type1_range {
	struct list_head next;
	unsigned long first;
	unsigned long last;
};

/* What there is at a user's address. */
enum type1_kind {
	TYPE1_PAGES,	/* with a reference */
	TYPE1_FRAMES,	/* without */
	TYPE1_PEER,	/* a device's memory */
};

/**
 * struct type1_batch - some pages of user memory, on their way into runs or pins
 * @mm: whose memory it is; the caller holds a user of it
 * @prot: what will be done with it
 * @npages: how many there are
 * @kind: what they are
 * @pages: PAGES: what pin_user_pages_remote() gave
 * @pfn: FRAMES: the first, the others follow it
 * @peer: PEER: host, offset and size; phys
 * @file: PEER: the device's, with a reference
 */
struct type1_batch {
	struct mm_struct *mm;
	int prot;
	unsigned long npages;
	enum type1_kind kind;
	struct page **pages;
	unsigned long pfn;
	struct vfio_peer peer;
	struct file *file;
};

/* How many pages are pinned at a time: 8 MiB of 4 KiB pages. */
#define TYPE1_BATCH_PAGES	2048UL

static inline struct page **type1_batch_alloc(void)
{
	return kmalloc_array(TYPE1_BATCH_PAGES, sizeof(struct page *),
			     GFP_KERNEL);
}

/* type1.c */
extern bool type1_allow_unsafe_interrupts;
extern bool type1_disable_hugepages;
unsigned long type1_min_pgsize(const struct type1_iommu *iommu);

/* type1_peer.c: other devices' memory */
int type1_peer_add(struct type1_iommu *iommu, struct type1_dma *dma,
		   unsigned long iova, struct type1_batch *batch);
bool type1_is_peer(const struct type1_dma *dma, unsigned long iova);
void type1_peers_remove(struct type1_iommu *iommu, struct type1_dma *dma);
int type1_domain_list(struct type1_iommu *iommu, struct type1_domain *domain);
void type1_domain_unlist(struct type1_iommu *iommu,
			 struct type1_domain *domain);

/* type1_dma.c: the tree of mappings, map and unmap */
int type1_dma_init(void);
void type1_dma_exit(void);
struct type1_dma *type1_dma_first(struct type1_iommu *iommu,
				  unsigned long first, unsigned long last);
struct type1_dma *type1_dma_each(struct type1_iommu *iommu,
				 struct type1_dma *dma, unsigned long first,
				 unsigned long last);
bool type1_dma_cut(struct type1_iommu *iommu, unsigned long first,
		   unsigned long last);
void type1_dma_remove_all(struct type1_iommu *iommu);
int type1_ioctl_map(struct type1_iommu *iommu, void __user *arg);
int type1_ioctl_unmap(struct type1_iommu *iommu, void __user *arg);

/* type1_state.c: whose a mapping is, and which are pinned */
void type1_take(struct type1_iommu *iommu, struct type1_dma *dma,
		enum type1_state state);
void type1_assert_own(const struct type1_dma *dma, enum type1_state state);
void type1_settle(struct type1_iommu *iommu, struct type1_dma *dma);
bool type1_is_busy(struct type1_iommu *iommu, unsigned long first,
		   unsigned long last);
int type1_wait(struct type1_iommu *iommu, unsigned int state);
void type1_unlock(struct type1_iommu *iommu);
void type1_begin_attach(void *data, enum vfio_group_type type);
void type1_end_attach(void *data);
int type1_domain_fill(struct type1_iommu *iommu, struct type1_domain *domain);

/* type1_pin.c: user memory to physical pages */
long type1_batch_fill(struct type1_batch *batch, unsigned long vaddr,
		      unsigned long npages);
bool type1_pfn_unmanaged(unsigned long pfn);
int type1_charge(struct type1_dma *dma, unsigned long npages);
void type1_uncharge(struct type1_dma *dma, unsigned long npages);
void type1_charge_exactly(struct type1_dma *dma, unsigned long npages);
int type1_charge_move(struct type1_dma *dma);

/* type1_runs.c: mappings in domains */
int type1_dma_populate(struct type1_iommu *iommu, struct type1_dma *dma);
void type1_dma_depopulate(struct type1_iommu *iommu, struct type1_dma *dma);
int type1_domain_fill_one(struct type1_domain *domain, struct type1_dma *dma);
void type1_domain_undo(struct type1_domain *domain, struct type1_dma *dma,
		       unsigned long iova, unsigned long size);

/* type1_domain.c: groups come and go */
int type1_attach_group(void *data, struct iommu_group *group,
		       enum vfio_group_type type);
void type1_detach_group(void *data, struct iommu_group *group);
bool type1_domain_abandoned(const struct type1_domain *domain);
bool type1_has_domain(const struct type1_iommu *iommu);
void type1_free_abandoned(struct type1_iommu *iommu);
struct type1_group *type1_find_group(struct type1_iommu *iommu,
				     struct iommu_group *group,
				     struct type1_domain **domain);

/* type1_ranges.c: which IOVAs can be used */
int type1_ranges_build(struct type1_iommu *iommu, struct list_head *ranges);
void type1_ranges_free(struct list_head *ranges);
bool type1_ranges_hold(struct list_head *ranges, unsigned long first,
		       unsigned long last);
int type1_sw_msi_base(struct iommu_group *group, phys_addr_t *base);

/* type1_dirty.c: dirty tracking */
int type1_dirty_alloc(struct type1_iommu *iommu, struct type1_dma *dma);
void type1_dirty_set(struct type1_dma *dma, unsigned long first,
		     unsigned long last);
void type1_dirty_set_all(struct type1_iommu *iommu);
int type1_dirty_report(struct type1_iommu *iommu,
		       const struct vfio_bitmap *bitmap, unsigned long first,
		       unsigned long last, bool clear);
int type1_bitmap_check(const struct vfio_bitmap *bitmap, u64 size);
u64 type1_bitmap_max_bytes(void);
int type1_ioctl_dirty(struct type1_iommu *iommu, void __user *arg);

/* type1_emulated.c: drivers that pin */
unsigned long type1_pins_managed(struct type1_dma *dma, unsigned long first,
				 unsigned long last);
void type1_pins_mark_dirty(struct type1_dma *dma, unsigned long first,
			   unsigned long last);
void type1_pins_drop(struct type1_dma *dma);
void type1_notify(struct type1_iommu *iommu, struct type1_dma *dma);
int type1_pin_pages(void *data, struct iommu_group *group, dma_addr_t user_iova,
		    int npage, int prot, struct page **pages);
void type1_unpin_pages(void *data, dma_addr_t user_iova, int npage);
int type1_dma_rw(void *data, dma_addr_t user_iova, void *buf, size_t count,
		 bool write);
void type1_register_device(void *data, struct vfio_device *vdev);
void type1_unregister_device(void *data, struct vfio_device *vdev);

#endif /* DRIVERS_VFIO_TYPE1_H */
