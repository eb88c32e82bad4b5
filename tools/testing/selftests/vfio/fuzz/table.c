// SPDX-License-Identifier: GPL-2.0-only
/* All that programs can do. */
#include <string.h>
#include <linux/iommufd.h>

#include "../../kselftest.h"
#include "../test_modules/test_vfio_emulated.h"
#include "fuzz.h"

/* Arguments that consist of several structures. */
struct no_data {
	struct vfio_device_feature feature;
};

struct token {
	struct vfio_device_feature feature;
	uint8_t uuid[16];
};

struct low_power_wakeup {
	struct vfio_device_feature feature;
	struct vfio_device_low_power_entry_with_wakeup data;
};

struct dma_buf {
	struct vfio_device_feature feature;
	struct vfio_device_feature_dma_buf data;
};

struct pci_alias {
	struct vfio_device_feature feature;
	struct vfio_device_feature_pci_alias data;
};

struct bus_master {
	struct vfio_device_feature feature;
	struct vfio_device_feature_bus_master data;
};

struct migration {
	struct vfio_device_feature feature;
	struct vfio_device_feature_migration data;
};

struct mig_state {
	struct vfio_device_feature feature;
	struct vfio_device_feature_mig_state data;
};

struct mig_data_size {
	struct vfio_device_feature feature;
	struct vfio_device_feature_mig_data_size data;
};

struct dma_logging_control {
	struct vfio_device_feature feature;
	struct vfio_device_feature_dma_logging_control data;
};

struct dma_logging_report {
	struct vfio_device_feature feature;
	struct vfio_device_feature_dma_logging_report data;
};

struct dma_unmap {
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_bitmap bitmap;
};

struct dirty_pages {
	struct vfio_iommu_type1_dirty_bitmap dirty;
	struct vfio_iommu_type1_dirty_bitmap_get get;
};

struct file {
	int32_t file;
};

#define A(kind)			{ FUZZ_##kind }
#define A_OF(kind, of)		{ FUZZ_##kind, 0, 0, of }
/* Members of the structure @type. */
#define M_OF(kind, type, member, of) {					\
	FUZZ_##kind, sizeof(((struct type *)0)->member),		\
	offsetof(struct type, member), of				\
}

#define M(kind, type, member)	M_OF(kind, type, member, 0)
#define ARGSZ			{ FUZZ_ARGSZ, 4, 0 }
#define DO(feature)		{ FUZZ_FEATURE, 4, 4, feature }

#define CALL(name, weight, run, ...)					\
	{ name, weight, FUZZ_NONE, run, 0, 0, { __VA_ARGS__ } }
#define IOCTL_KEEP(name, weight, keeps, file, request, type, ...)	\
	{ name, weight, keeps, fuzz_ioctl, request, sizeof(struct type), \
	  { A(file), A(WHERE), __VA_ARGS__ } }
#define IOCTL(name, weight, file, request, type, ...)			\
	IOCTL_KEEP(name, weight, FUZZ_NONE, file, request, type, __VA_ARGS__)
/* Without a structure: a number is the argument. */
#define PLAIN(name, weight, file, request, ...)				\
	{ name, weight, FUZZ_NONE, fuzz_plain, request, 0,		\
	  { A(file), __VA_ARGS__ } }

const struct fuzz_op fuzz_ops[] = {
	/* Files. The device's number, how, or the slot of a container. */
	CALL("open", 8, fuzz_open, A(NAME), A_OF(CHOICE, 4)),
	CALL("join", 6, fuzz_join, A(NAME), A(CONTAINER)),
	CALL("container", 2, fuzz_new_container, A(NONE)),
	CALL("iommufd", 2, fuzz_new_iommufd, A(NONE)),
	CALL("group", 3, fuzz_new_group, A(NAME)),
	CALL("cdev", 4, fuzz_new_cdev, A(NAME)),
	CALL("close", 8, fuzz_close, A_OF(CHOICE, FUZZ_FILES),
	     A_OF(CHOICE, FUZZ_SLOTS)),
	CALL("fdinfo", 2, fuzz_fdinfo, A_OF(CHOICE, FUZZ_FILES),
	     A_OF(CHOICE, FUZZ_SLOTS)),
	CALL("any", 4, fuzz_any, A_OF(CHOICE, FUZZ_FILES),
	     A_OF(CHOICE, FUZZ_SLOTS), A_OF(CHOICE, 26), A(MEMORY)),

	/* Containers, also iommufds as such. */
	PLAIN("api", 1, CONTAINER, VFIO_GET_API_VERSION),
	PLAIN("extension", 2, CONTAINER, VFIO_CHECK_EXTENSION,
	      A_OF(CHOICE, 12)),
	PLAIN("set_iommu", 4, CONTAINER, VFIO_SET_IOMMU, A_OF(CHOICE, 9)),
	IOCTL("iommu_info", 4, CONTAINER, VFIO_IOMMU_GET_INFO,
	      vfio_iommu_type1_info, ARGSZ,
	      A(BYTES)),
	IOCTL("map_dma", 24, CONTAINER, VFIO_IOMMU_MAP_DMA,
	      vfio_iommu_type1_dma_map, ARGSZ,
	      M_OF(FLAGS, vfio_iommu_type1_dma_map, flags, 7),
	      M(MEMORY, vfio_iommu_type1_dma_map, vaddr),
	      M(IOVA, vfio_iommu_type1_dma_map, iova),
	      M(SIZE, vfio_iommu_type1_dma_map, size)),
	IOCTL("unmap_dma", 14, CONTAINER, VFIO_IOMMU_UNMAP_DMA, dma_unmap,
	      ARGSZ, M_OF(FLAGS, dma_unmap, unmap.flags, 7),
	      M(IOVA, dma_unmap, unmap.iova), M(SIZE, dma_unmap, unmap.size),
	      M(SIZE, dma_unmap, bitmap.pgsize),
	      M(SIZE, dma_unmap, bitmap.size),
	      M(MEMORY, dma_unmap, bitmap.data)),
	IOCTL("dirty_log", 5, CONTAINER, VFIO_IOMMU_DIRTY_PAGES, dirty_pages,
	      ARGSZ, M_OF(FLAGS, dirty_pages, dirty.flags, 3)),
	IOCTL("dirty_get", 6, CONTAINER, VFIO_IOMMU_DIRTY_PAGES, dirty_pages,
	      ARGSZ, M_OF(FLAGS, dirty_pages, dirty.flags, 4),
	      M(IOVA, dirty_pages, get.iova), M(SIZE, dirty_pages, get.size),
	      M(SIZE, dirty_pages, get.bitmap.pgsize),
	      M(SIZE, dirty_pages, get.bitmap.size),
	      M(MEMORY, dirty_pages, get.bitmap.data)),

	/* iommufd: ids count from 1. */
	IOCTL("ioas", 2, CONTAINER, IOMMU_IOAS_ALLOC, iommu_ioas_alloc, ARGSZ),
	IOCTL("ioas_map", 6, CONTAINER, IOMMU_IOAS_MAP, iommu_ioas_map, ARGSZ,
	      M_OF(FLAGS, iommu_ioas_map, flags, 7),
	      M_OF(CHOICE, iommu_ioas_map, ioas_id, 8),
	      M(MEMORY, iommu_ioas_map, user_va),
	      M(SIZE, iommu_ioas_map, length), M(IOVA, iommu_ioas_map, iova)),
	IOCTL("ioas_unmap", 3, CONTAINER, IOMMU_IOAS_UNMAP, iommu_ioas_unmap,
	      ARGSZ, M_OF(CHOICE, iommu_ioas_unmap, ioas_id, 8),
	      M(IOVA, iommu_ioas_unmap, iova),
	      M(SIZE, iommu_ioas_unmap, length)),
	IOCTL("ioas_compat", 3, CONTAINER, IOMMU_VFIO_IOAS, iommu_vfio_ioas,
	      ARGSZ, M_OF(CHOICE, iommu_vfio_ioas, ioas_id, 8),
	      M_OF(CHOICE, iommu_vfio_ioas, op, 3)),
	IOCTL("hwpt", 3, CONTAINER, IOMMU_HWPT_ALLOC, iommu_hwpt_alloc, ARGSZ,
	      M_OF(FLAGS, iommu_hwpt_alloc, flags, 3),
	      M_OF(CHOICE, iommu_hwpt_alloc, dev_id, 8),
	      M_OF(CHOICE, iommu_hwpt_alloc, pt_id, 8)),
	IOCTL("destroy", 3, CONTAINER, IOMMU_DESTROY, iommu_destroy, ARGSZ,
	      M_OF(CHOICE, iommu_destroy, id, 8)),

	/* Groups. */
	IOCTL("group_status", 2, GROUP, VFIO_GROUP_GET_STATUS,
	      vfio_group_status, ARGSZ),
	IOCTL("set_container", 5, GROUP, VFIO_GROUP_SET_CONTAINER, file,
	      M(CONTAINER, file, file)),
	PLAIN("unset_container", 3, GROUP, VFIO_GROUP_UNSET_CONTAINER),
	CALL("device", 5, fuzz_get_device, A(GROUP), A(NAME),
	     A_OF(CHOICE, 6)),

	/* Files of devices, before they work. */
	IOCTL("bind", 6, DEVICE, VFIO_DEVICE_BIND_IOMMUFD,
	      vfio_device_bind_iommufd, ARGSZ,
	      M_OF(FLAGS, vfio_device_bind_iommufd, flags, 1),
	      M(CONTAINER, vfio_device_bind_iommufd, iommufd),
	      M(MEMORY, vfio_device_bind_iommufd, token_uuid_ptr)),
	IOCTL("attach", 6, DEVICE, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
	      vfio_device_attach_iommufd_pt, ARGSZ,
	      M_OF(FLAGS, vfio_device_attach_iommufd_pt, flags, 0),
	      M_OF(CHOICE, vfio_device_attach_iommufd_pt, pt_id, 8)),
	IOCTL("detach", 4, DEVICE, VFIO_DEVICE_DETACH_IOMMUFD_PT,
	      vfio_device_detach_iommufd_pt, ARGSZ,
	      M_OF(FLAGS, vfio_device_detach_iommufd_pt, flags, 0)),

	/* Devices. */
	IOCTL("info", 3, DEVICE, VFIO_DEVICE_GET_INFO, vfio_device_info, ARGSZ,
	      A(BYTES)),
	IOCTL("region", 6, DEVICE, VFIO_DEVICE_GET_REGION_INFO,
	      vfio_region_info, ARGSZ,
	      M_OF(CHOICE, vfio_region_info, index, 12),
	      A(BYTES)),
	IOCTL("irq", 4, DEVICE, VFIO_DEVICE_GET_IRQ_INFO, vfio_irq_info, ARGSZ,
	      M_OF(CHOICE, vfio_irq_info, index, 6)),
	IOCTL("set_irqs", 30, DEVICE, VFIO_DEVICE_SET_IRQS, vfio_irq_set, ARGSZ,
	      M(PAIR, vfio_irq_set, flags),
	      M_OF(CHOICE, vfio_irq_set, index, 5),
	      M_OF(CHOICE, vfio_irq_set, start, 4),
	      M(COUNT, vfio_irq_set, count), A(EVENTFDS)),
	IOCTL("irq_on", 14, DEVICE, VFIO_DEVICE_SET_IRQS, vfio_irq_set, ARGSZ,
	      M_OF(PRESET, vfio_irq_set, flags,
		   VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER),
	      M_OF(CHOICE, vfio_irq_set, index, 5),
	      M_OF(CHOICE, vfio_irq_set, start, 2),
	      M(COUNT, vfio_irq_set, count), A(EVENTFDS)),
	PLAIN("reset", 6, DEVICE, VFIO_DEVICE_RESET),
	IOCTL("hot_reset_info", 3, DEVICE, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
	      vfio_pci_hot_reset_info, ARGSZ, A(BYTES)),
	IOCTL("hot_reset", 4, DEVICE, VFIO_DEVICE_PCI_HOT_RESET,
	      vfio_pci_hot_reset, ARGSZ,
	      M_OF(FLAGS, vfio_pci_hot_reset, flags, 0),
	      M(COUNT, vfio_pci_hot_reset, count), A(GROUPS)),
	{ "ioeventfd", 10, FUZZ_NONE, fuzz_ioeventfd, VFIO_DEVICE_IOEVENTFD,
	  sizeof(struct vfio_device_ioeventfd),
	  { A(DEVICE), A(WHERE), ARGSZ,
	    M_OF(FLAGS, vfio_device_ioeventfd, flags, 15),
	    M(POSITION, vfio_device_ioeventfd, offset),
	    M_OF(CHOICE, vfio_device_ioeventfd, data, 2),
	    M(EVENTFD, vfio_device_ioeventfd, fd) } },
	IOCTL("gfx_plane", 1, DEVICE, VFIO_DEVICE_QUERY_GFX_PLANE,
	      vfio_device_gfx_plane_info, ARGSZ,
	      M_OF(FLAGS, vfio_device_gfx_plane_info, flags, 7)),

	/* Features of devices. */
	IOCTL("token", 2, DEVICE, VFIO_DEVICE_FEATURE, token, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_PCI_VF_TOKEN)),
	IOCTL("sleep", 4, DEVICE, VFIO_DEVICE_FEATURE, no_data, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY)),
	IOCTL("sleep_wakeup", 3, DEVICE, VFIO_DEVICE_FEATURE, low_power_wakeup,
	      ARGSZ, DO(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP),
	      M(EVENTFD, low_power_wakeup, data.wakeup_eventfd),
	      M_OF(FLAGS, low_power_wakeup, data.reserved, 0)),
	IOCTL("wake", 4, DEVICE, VFIO_DEVICE_FEATURE, no_data, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT)),
	IOCTL_KEEP("dma_buf", 8, FUZZ_OTHER, DEVICE, VFIO_DEVICE_FEATURE,
		   dma_buf, ARGSZ, DO(VFIO_DEVICE_FEATURE_DMA_BUF),
		   M_OF(CHOICE, dma_buf, data.region_index, 10),
		   M_OF(FLAGS, dma_buf, data.open_flags, 02000002),
		   M_OF(FLAGS, dma_buf, data.flags, 0),
		   M(COUNT, dma_buf, data.nr_ranges), A(RANGES)),
	IOCTL("alias", 6, DEVICE, VFIO_DEVICE_FEATURE, pci_alias, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_PCI_ALIAS),
	      M_OF(CHOICE, pci_alias, data.region_index, 6),
	      M_OF(CHOICE, pci_alias, data.memory_type, 3),
	      M(OFFSET, pci_alias, data.offset),
	      M(SIZE, pci_alias, data.size),
	      M_OF(FLAGS, pci_alias, data.flags, 0)),
	IOCTL("bus_master", 1, DEVICE, VFIO_DEVICE_FEATURE, bus_master, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_BUS_MASTER),
	      M_OF(CHOICE, bus_master, data.op, 3)),
	IOCTL("migration", 1, DEVICE, VFIO_DEVICE_FEATURE, migration, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_MIGRATION)),
	{ "mig_state", 5, FUZZ_NONE, fuzz_mig_state, VFIO_DEVICE_FEATURE,
	  sizeof(struct mig_state),
	  { A(DEVICE), A(WHERE), ARGSZ,
	    DO(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE),
	    M_OF(CHOICE, mig_state, data.device_state, 9) } },
	IOCTL("mig_size", 1, DEVICE, VFIO_DEVICE_FEATURE, mig_data_size, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_MIG_DATA_SIZE)),
	IOCTL("log_start", 1, DEVICE, VFIO_DEVICE_FEATURE, dma_logging_control,
	      ARGSZ, DO(VFIO_DEVICE_FEATURE_DMA_LOGGING_START),
	      M(SIZE, dma_logging_control, data.page_size),
	      M_OF(CHOICE, dma_logging_control, data.num_ranges, 4),
	      M(MEMORY, dma_logging_control, data.ranges)),
	IOCTL("log_stop", 1, DEVICE, VFIO_DEVICE_FEATURE, no_data, ARGSZ,
	      DO(VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP)),
	IOCTL("log_report", 1, DEVICE, VFIO_DEVICE_FEATURE, dma_logging_report,
	      ARGSZ, DO(VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT),
	      M(IOVA, dma_logging_report, data.iova),
	      M(SIZE, dma_logging_report, data.length),
	      M(SIZE, dma_logging_report, data.page_size),
	      M(MEMORY, dma_logging_report, data.bitmap)),
	IOCTL("feature", 2, DEVICE, VFIO_DEVICE_FEATURE, no_data, ARGSZ,
	      M(NUMBER, no_data, feature.flags), A(BYTES)),

	/* Regions: the device, region, offset, length. */
	CALL("read", 10, fuzz_read, A(DEVICE), A_OF(CHOICE, 10), A(OFFSET),
	     A(SIZE), A(MEMORY)),
	CALL("write", 10, fuzz_write, A(DEVICE), A_OF(CHOICE, 10), A(OFFSET),
	     A(SIZE), A(MEMORY)),
	CALL("config_read", 4, fuzz_config_read, A(DEVICE), A(OFFSET),
	     A(SIZE)),
	CALL("config_write", 12, fuzz_config_write, A(DEVICE), A(OFFSET),
	     A_OF(CHOICE, 9), A(NUMBER)),
	/* The capability, the register in it, its width. */
	CALL("cap_write", 12, fuzz_cap_write, A(DEVICE), A(CAPABILITY),
	     A_OF(CHOICE, 0x20), A_OF(CHOICE, 5), A(NUMBER)),
	CALL("command", 10, fuzz_command, A(DEVICE), A_OF(FLAGS, 0x407)),
	CALL("mmap", 14, fuzz_mmap, A(DEVICE), A_OF(CHOICE, 11), A(OFFSET),
	     A(SIZE), A_OF(FLAGS, 7), A_OF(FLAGS, 3)),
	CALL("munmap", 4, fuzz_munmap, A(MAPPING), A(SIZE), A(SIZE)),
	CALL("mremap", 3, fuzz_mremap, A(MAPPING), A(SIZE), A_OF(CHOICE, 2)),
	CALL("mprotect", 2, fuzz_mprotect, A(MAPPING), A_OF(FLAGS, 7)),
	CALL("madvise", 2, fuzz_madvise, A(MAPPING), A_OF(CHOICE, 26)),
	CALL("touch", 12, fuzz_touch, A(MAPPING), A(SIZE), A_OF(CHOICE, 2)),
	CALL("fork", 2, fuzz_fork, A(MAPPING)),

	/* Everything else. */
	CALL("signal", 6, fuzz_signal, A(EVENTFD)),
	CALL("stream", 3, fuzz_stream, A(OTHER), A(SIZE), A(MEMORY),
	     A_OF(CHOICE, 2)),
	IOCTL("precopy", 1, OTHER, VFIO_MIG_GET_PRECOPY_INFO,
	      vfio_precopy_info, ARGSZ),
	CALL("edu_dma", 3, fuzz_edu_dma, A(DEVICE), A(IOVA), A(SIZE),
	     A_OF(CHOICE, 2)),
	CALL("sysfs", 4, fuzz_sysfs, A(NAME), A_OF(CHOICE, 3)),
	CALL("wait", 1, fuzz_wait, A_OF(CHOICE, 20)),
	CALL("fail", 8, fuzz_fail, A_OF(CHOICE, 24)),
	IOCTL("emu_pin", 3, DEVICE, TEST_VFIO_PIN, test_vfio_dma,
	      M(IOVA, test_vfio_dma, iova),
	      M_OF(CHOICE, test_vfio_dma, npages, 65),
	      M_OF(FLAGS, test_vfio_dma, prot, 3),
	      M(MEMORY, test_vfio_dma, user)),
	IOCTL("emu_unpin", 2, DEVICE, TEST_VFIO_UNPIN, test_vfio_dma,
	      M(IOVA, test_vfio_dma, iova),
	      M_OF(CHOICE, test_vfio_dma, npages, 65)),
	IOCTL("emu_rw", 3, DEVICE, TEST_VFIO_RW, test_vfio_dma,
	      M(IOVA, test_vfio_dma, iova), M(SIZE, test_vfio_dma, size),
	      M_OF(FLAGS, test_vfio_dma, write, 1),
	      M(MEMORY, test_vfio_dma, user)),
};

const struct fuzz_op *fuzz_op_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fuzz_ops); i++) {
		if (!strcmp(fuzz_ops[i].name, name))
			return &fuzz_ops[i];
	}
	return NULL;
}

/* By weight. */
const struct fuzz_op *fuzz_op_random(void)
{
	unsigned int sum = 0;
	uint64_t at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fuzz_ops); i++)
		sum += fuzz_ops[i].weight;
	at = fuzz_below(sum);
	for (i = 0; at >= fuzz_ops[i].weight; i++)
		at -= fuzz_ops[i].weight;
	return &fuzz_ops[i];
}
