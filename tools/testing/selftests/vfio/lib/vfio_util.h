/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the VFIO selftests share: finding and binding PCI devices, opening them
 * through a group and a container, and short forms of the user interface.
 *
 * Every function that can fail returns a negative errno, never -1, so a test
 * compares it directly: ASSERT_EQ(-EINVAL, vfio_ioctl(fd, ...)).
 *
 * A device is named either by its address ("0000:01:00.0") or by vendor and
 * device id ("1b36:0010"), with an optional "#n" for the nth of several,
 * counted from 0 in the order of their addresses.
 *
 * Devices stay bound to vfio-pci after a test, so that the next one need not
 * probe the native driver again; vfio_pci_restore() hands one back.
 */
#ifndef VFIO_UTIL_H
#define VFIO_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef __user
#define __user
#endif
#include <linux/vfio.h>

/*
 * The PCI of s390: nothing maps a BAR, there is no INTx, interrupts are isolated
 * from those of others, and the addresses for DMA begin at 4 GiB.
 */
#ifdef __s390x__
#define VFIO_ZPCI	true
#else
#define VFIO_ZPCI	false
#endif
#define VFIO_IOVA_BASE	(VFIO_ZPCI ? 1ULL << 32 : 0)

/* Long enough for a UUID, which is what a mediated device is called. */
#define VFIO_BDF_LEN 40

/*
 * How a device is opened and where its DMA goes: an IOMMU type, for a container
 * with it, one of these, or 0 for what most programs do, VFIO_TYPE1v2_IOMMU. In
 * every mode the ioctls of a type1 container can be had from vfio_dev.container.
 */
#define VFIO_MODE_COMPAT	0x1001	/* its group, an iommufd as container */
#define VFIO_MODE_IOMMUFD	0x1002	/* its own file, bound to an iommufd */
#define VFIO_MODE_IOMMUFDS	0x1000	/* in both of them */

/* A device opened through /dev/vfio, or any prefix of the steps to it. */
struct vfio_dev {
	char bdf[VFIO_BDF_LEN];
	int group_id;
	int container;
	int group;		/* not in VFIO_MODE_IOMMUFD */
	int device;
	int mode;
	uint32_t ioas;		/* only in VFIO_MODE_IOMMUFD */
	bool shared;		/* the container belongs to another vfio_dev */
};

/* sysfs.c: PCI devices and their drivers */

int vfio_pci_find(uint16_t vendor, uint16_t device, unsigned int nth,
		  char *bdf);
int vfio_pci_resolve(const char *id, char *bdf);
bool vfio_pci_is_there(const char *bdf);

#define VFIO_DEBUGFS	"/sys/kernel/debug"
int vfio_debugfs_need(const char *path);

int vfio_pci_group(const char *bdf);
uint64_t vfio_pci_msi_window(const char *bdf);
int vfio_pci_link(const char *bdf, const char *attr, char *name, size_t len);
int vfio_pci_driver(const char *bdf, char *name, size_t len);
bool vfio_pci_is_bound(const char *bdf, const char *driver);
int vfio_pci_group_peers(const char *bdf, char peers[][VFIO_BDF_LEN],
			 int max);
int vfio_pci_override(const char *bdf, const char *driver);
int vfio_pci_bind_to(const char *bdf, const char *driver);
int vfio_pci_bind(const char *bdf);
int vfio_pci_bind_group(const char *bdf);
int vfio_pci_unbind(const char *bdf);
int vfio_pci_restore(const char *bdf);
int vfio_sysfs_read(const char *path, char *buf, size_t len);
int vfio_sysfs_write(const char *path, const char *value);
int vfio_pci_attr_read(const char *bdf, const char *attr, char *buf,
		       size_t len);
int vfio_pci_attr_write(const char *bdf, const char *attr, const char *value);
int vfio_dev_attr(const char *bdf, const char *attr, char *path, size_t len);
int vfio_pci_config_open(const char *bdf);
unsigned int vfio_pci_config_size(const char *bdf);
void *vfio_pci_resource_map(const char *bdf, int bar);
uint64_t vfio_pci_resource_size(const char *bdf, int bar);

/* device.c: group, container and device files */

int vfio_ioctl(int fd, unsigned long request, ...);
int vfio_open_container(void);
int vfio_open_group(int group_id);
int vfio_group_status(int group, uint32_t *flags);
int vfio_get_device_fd(int group, const char *name);
void vfio_dev_init(struct vfio_dev *d);
int vfio_dev_open(struct vfio_dev *d, const char *id, int mode);
int vfio_dev_open_group(struct vfio_dev *d, const char *id);
int vfio_dev_open_named(struct vfio_dev *d, const char *name, int group_id,
			int mode, const struct vfio_dev *other);
int vfio_dev_open_with(struct vfio_dev *d, const char *id,
		       const struct vfio_dev *other);
int vfio_dev_get_device(const struct vfio_dev *d, const char *name);
void vfio_dev_close(struct vfio_dev *d);

int vfio_dev_info(const struct vfio_dev *d, struct vfio_device_info *info);
int vfio_region_info(const struct vfio_dev *d, uint32_t index,
		     struct vfio_region_info *info);
struct vfio_region_info *vfio_region_info_caps(const struct vfio_dev *d,
					       uint32_t index);
const void *vfio_info_cap(const void *info, uint32_t first, uint16_t id);
uint64_t vfio_region_size(const struct vfio_dev *d, uint32_t index);

int64_t vfio_pread(int fd, void *buf, size_t len, uint64_t offset);
int64_t vfio_pwrite(int fd, const void *buf, size_t len, uint64_t offset);
int64_t vfio_region_read(const struct vfio_dev *d, uint32_t index,
			 uint64_t offset, void *buf, size_t len);
int64_t vfio_region_write(const struct vfio_dev *d, uint32_t index,
			  uint64_t offset, const void *buf, size_t len);
int vfio_mmap(int fd, size_t len, int prot, int flags, uint64_t offset,
	      void **addr);
int vfio_region_mmap(const struct vfio_dev *d, uint32_t index, uint64_t offset,
		     size_t len, void **addr);

/* These return all ones when the read failed, as an absent device would. */
uint8_t vfio_cfg_read8(const struct vfio_dev *d, unsigned int offset);
uint16_t vfio_cfg_read16(const struct vfio_dev *d, unsigned int offset);
uint32_t vfio_cfg_read32(const struct vfio_dev *d, unsigned int offset);
int vfio_cfg_write8(const struct vfio_dev *d, unsigned int offset,
		    uint8_t value);
int vfio_cfg_write16(const struct vfio_dev *d, unsigned int offset,
		     uint16_t value);
int vfio_cfg_write32(const struct vfio_dev *d, unsigned int offset,
		     uint32_t value);
int vfio_cfg_cap(const struct vfio_dev *d, uint8_t id);
int vfio_cfg_ecap(const struct vfio_dev *d, uint16_t id);
int vfio_cfg_command(const struct vfio_dev *d, uint16_t set, uint16_t clear);
int vfio_cfg_power(const struct vfio_dev *d, int state);

/* irq.c: interrupts and eventfds */

int vfio_irq_info(const struct vfio_dev *d, uint32_t index,
		  struct vfio_irq_info *info);
int vfio_irq_count(const struct vfio_dev *d, uint32_t index);
int vfio_irq_set(const struct vfio_dev *d, uint32_t flags, uint32_t index,
		 uint32_t start, uint32_t count, const void *data, size_t len);
int vfio_irq_eventfds(const struct vfio_dev *d, uint32_t index, uint32_t start,
		      uint32_t count, const int32_t *fds);
int vfio_irq_eventfd(const struct vfio_dev *d, uint32_t index, uint32_t sub,
		     int fd);
int vfio_irq_trigger(const struct vfio_dev *d, uint32_t index, uint32_t start,
		     uint32_t count);
int vfio_irq_mask(const struct vfio_dev *d, uint32_t index, uint32_t start,
		  uint32_t count);
int vfio_irq_unmask(const struct vfio_dev *d, uint32_t index, uint32_t start,
		    uint32_t count);
int vfio_irq_disable(const struct vfio_dev *d, uint32_t index);
int vfio_eventfd(void);
int vfio_eventfd_wait(int fd, int timeout_ms, uint64_t *count);
uint64_t vfio_eventfd_drain(int fd);
int vfio_eventfd_signal(int fd);

/* dma.c: type1 mappings */

int vfio_dma_map_flags(int container, void *vaddr, uint64_t iova,
		       uint64_t size, uint32_t flags);
int vfio_dma_map(int container, void *vaddr, uint64_t iova, uint64_t size);
int vfio_dma_unmap_flags(int container, uint64_t iova, uint64_t size,
			 uint32_t flags, uint64_t *unmapped);
int vfio_dma_unmap(int container, uint64_t iova, uint64_t size);
struct vfio_iommu_type1_info *vfio_iommu_info(int container);
uint32_t vfio_dma_avail(int container);
int vfio_dirty_tracking(int container, bool on);
int vfio_dirty_get(int container, uint64_t iova, uint64_t size, uint64_t *bits);
int vfio_dirty_unmap(int container, uint64_t iova, uint64_t size,
		     uint64_t *bits, uint64_t *unmapped);
int64_t vfio_locked_kb(void);
int64_t vfio_wait_pinned(int64_t want);
void *vfio_alloc_pages(size_t len);

/*
 * iommufd.c: device files of their own, and iommufd. A device is named as on its
 * bus, by the address on PCI.
 */
int vfio_cdev_node(const char *name, char *node, size_t len);
int vfio_cdev_open(const char *name);
int vfio_cdev_bind(int device, int iommufd, uint32_t *devid);
int vfio_cdev_bind_token(int device, int iommufd, const uint8_t uuid[16]);
int vfio_cdev_attach(int device, uint32_t *pt_id);
int vfio_cdev_detach(int device);
int vfio_iommufd_open(void);
int vfio_iommufd_destroy(int iommufd, uint32_t id);
int vfio_ioas_alloc(int iommufd, uint32_t *id);
int vfio_ioas_compat(int iommufd, uint32_t *id);
int vfio_ioas_set_compat(int iommufd, uint32_t id);
int vfio_ioas_map(int iommufd, uint32_t ioas, void *vaddr, uint64_t iova,
		  uint64_t size);
int vfio_ioas_unmap(int iommufd, uint32_t ioas, uint64_t iova, uint64_t size);

/*
 * fault.c: accesses that may raise a signal. They return 0, or the number of
 * the signal that the access raised (SIGBUS, SIGSEGV).
 */
int vfio_try_load8(const void *p, uint8_t *value);
int vfio_try_load32(const void *p, uint32_t *value);
int vfio_try_load64(const void *p, uint64_t *value);
int vfio_try_store8(void *p, uint8_t value);
int vfio_try_store32(void *p, uint32_t value);
int vfio_try_store64(void *p, uint64_t value);
int vfio_try_touch(const void *p, size_t len, size_t step);
int vfio_reads_ones(const void *p, int timeout_ms);

/*
 * Registers in a mapping. Each call is one access of exactly that width: the
 * compiler neither splits nor merges nor drops an atomic one.
 */
static inline uint32_t vfio_mmio_read32(const void *p)
{
	return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}

static inline void vfio_mmio_write32(void *p, uint32_t value)
{
	__atomic_store_n((uint32_t *)p, value, __ATOMIC_RELAXED);
}

static inline void vfio_mmio_write64(void *p, uint64_t value)
{
	__atomic_store_n((uint64_t *)p, value, __ATOMIC_RELAXED);
}

/* memtype.c: write-combined mappings, and how mappings really are */

int vfio_alias(const struct vfio_dev *d, uint32_t bar, uint64_t offset,
	       uint64_t size);
int vfio_memtype_load(void);
const char *vfio_memtype(const void *p, uint64_t *phys);
uint64_t vfio_pci_bar_phys(const char *bdf, int bar);
int vfio_pat_count(uint64_t start, uint64_t size, const char *type);

/* mtty.c: instances of the mtty sample */

int vfio_mtty_load(void);
int vfio_mtty_create(const char *type, const char *uuid);
int vfio_mtty_destroy(const char *uuid);
int vfio_mtty_group(const char *uuid);
int vfio_mtty_available(const char *type);

/* fail.c: allocations that fail */

int vfio_fail_open(void);
int vfio_fail_spare(const char *function);
void vfio_fail_arm(int fd, int n);
bool vfio_fail_happened(int fd);

/* slow.c: memory that nobody can read or write before the test allows it */

struct vfio_slow {
	int fd;
	void *mem;
	uint64_t size;
};

void *vfio_slow_room(uint64_t size);
int vfio_slow_register(struct vfio_slow *s, void *mem, uint64_t size);
int vfio_slow_alloc(struct vfio_slow *s, uint64_t size);
int vfio_slow_alloc_writes(struct vfio_slow *s, uint64_t size,
			   const void *data, size_t len);
int vfio_slow_wait(struct vfio_slow *s);
void vfio_slow_allow(struct vfio_slow *s);

/* stretch.c: calls in the kernel that take longer than they would */

int vfio_stretch(const char *function, unsigned int usecs, const char *where,
		 const char *comm);
int vfio_stretch_hits(const char *function);
int vfio_stretch_end(void);

/* counters.c: what may stay behind */

#define VFIO_COUNTED_MODULES 4

struct vfio_counters {
	int64_t pinned;		/* pages, of all processes */
	int64_t locked_kb;	/* of this process, as type1 accounts */
	int64_t charged_kb;	/* the same, as iommufd does */
	int interrupts;
	int refs[VFIO_COUNTED_MODULES];
};

extern const char *const vfio_counted_modules[VFIO_COUNTED_MODULES];

void vfio_counters_read(struct vfio_counters *c);
bool vfio_counters_settled(const struct vfio_counters *want,
			   struct vfio_counters *now);
void vfio_counters_print(const struct vfio_counters *want,
			 const struct vfio_counters *now);
int vfio_open_files(void);

/* system.c: the rest of the machine */

/* The kernel's: 4 KiB, or more on some architectures. */
#define VFIO_PAGE	((uint64_t)sysconf(_SC_PAGESIZE))

uint64_t vfio_huge_page(void);
int64_t vfio_proc_status_kb(pid_t pid, const char *key);
int64_t vfio_pinned_pages(void);
int vfio_interrupt_lines(const char *needle);
int vfio_module_refs(const char *module);
int vfio_run(const char *const argv[]);
int vfio_modprobe(const char *module);
int vfio_module_remove(const char *module);
int vfio_klog_open(void);
int vfio_klog_count(int fd, const char *needle);
int vfio_klog_splats(int fd);
int vfio_klog_dma_faults(int fd);
int vfio_klog_dma_faults_at(int fd, uint64_t iova);
bool vfio_dma_faults_told(void);
int vfio_send_fd(int sock, int fd);
int vfio_recv_fd(int sock);
uint64_t vfio_now_us(void);
uint64_t vfio_now_ms(void);

/* @ret says that this kernel was built without what @mode takes: skip. */
#define VFIO_SKIP_WITHOUT_MODE(mode, ret) do {				\
	if ((ret) == -ENOENT && (mode) == VFIO_MODE_COMPAT)		\
		SKIP(_exit(KSFT_SKIP), "the kernel has no iommufd");	\
	if ((ret) == -ENOENT && (mode) == VFIO_MODE_IOMMUFD)		\
		SKIP(_exit(KSFT_SKIP), "the kernel has no device files"); \
} while (0)

/*
 * For tests and fixtures: open @id or skip. Only hardware that is not there is
 * a reason to skip. Leaving by exit status works in a fixture's setup, too.
 */
#define VFIO_DEV_OPEN_OR_SKIP(d, id, mode) do {				\
	const char *__open_id = id;					\
	int __open_mode = mode;						\
	int __open_ret = vfio_dev_open(d, __open_id, __open_mode);	\
									\
	if (__open_ret == -ENXIO)					\
		SKIP(_exit(KSFT_SKIP), "no device %s here", __open_id);	\
	VFIO_SKIP_WITHOUT_MODE(__open_mode, __open_ret);		\
	ASSERT_EQ(0, __open_ret);					\
} while (0)

/* Bind the group of @id and put the address in @bdf, or skip the test. */
#define VFIO_PCI_BIND_OR_SKIP(id, bdf) do {				\
	const char *__bind_id = id;					\
	char *__bind_bdf = bdf;						\
									\
	if (vfio_pci_resolve(__bind_id, __bind_bdf))			\
		SKIP(_exit(KSFT_SKIP), "no device %s here", __bind_id);	\
	ASSERT_EQ(0, vfio_pci_bind_group(__bind_bdf));			\
} while (0)

/* An iommufd, if this kernel has it, as @fd. */
#define VFIO_IOMMUFD_OPEN_OR_SKIP(fd) do {				\
	fd = vfio_iommufd_open();					\
	if (fd == -ENOENT)						\
		SKIP(_exit(KSFT_SKIP), "the kernel has no iommufd");	\
	ASSERT_LE(0, fd);						\
} while (0)

/* The device file of @bdf, which is bound to vfio-pci, as @fd. */
#define VFIO_CDEV_OPEN_OR_SKIP(bdf, fd) do {				\
	fd = vfio_cdev_open(bdf);					\
	if (fd == -ENOENT)						\
		SKIP(_exit(KSFT_SKIP), "the kernel has no device files"); \
	ASSERT_LE(0, fd);						\
} while (0)

/* For the harness: a kernel that checks itself, in an emulator, is slow. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300

#endif
