// SPDX-License-Identifier: GPL-2.0-only
/*
 * The type1 back end: module, container state and its ioctls. What it is made
 * of and which lock covers what is told in type1.h.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "type1.h"

bool type1_allow_unsafe_interrupts;
module_param_named(allow_unsafe_interrupts, type1_allow_unsafe_interrupts,
		   bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Enable VFIO IOMMU support for on platforms without interrupt remapping support.");

bool type1_disable_hugepages;
module_param_named(disable_hugepages, type1_disable_hugepages, bool, 0644);
MODULE_PARM_DESC(disable_hugepages,
		 "Disable VFIO IOMMU support for IOMMU hugepages.");

static unsigned int dma_entry_limit = U16_MAX;
module_param(dma_entry_limit, uint, 0644);
MODULE_PARM_DESC(dma_entry_limit,
		 "Maximum number of user DMA mappings per container (65535).");

/* What mappings are aligned to, and the unit of dirty bitmaps. */
unsigned long type1_min_pgsize(const struct type1_iommu *iommu)
{
	return BIT(__ffs(iommu->pgsizes));
}

static void *type1_open(unsigned long type)
{
	struct type1_iommu *iommu;

	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU &&
	    type != VFIO_TYPE1_NESTING_IOMMU)
		return ERR_PTR(-EINVAL);

	iommu = kzalloc(sizeof(*iommu), GFP_KERNEL);
	if (!iommu)
		return ERR_PTR(-ENOMEM);
	iommu->pages = type1_batch_alloc();
	if (!iommu->pages) {
		kfree(iommu);
		return ERR_PTR(-ENOMEM);
	}

	mutex_init(&iommu->notify_lock);
	INIT_LIST_HEAD(&iommu->devices);
	mutex_init(&iommu->lock);
	mutex_init(&iommu->peer_lock);
	init_waitqueue_head(&iommu->settled);
	iommu->dmas = RB_ROOT;
	iommu->avail = READ_ONCE(dma_entry_limit);
	INIT_LIST_HEAD(&iommu->domains);
	INIT_LIST_HEAD(&iommu->emulated);
	INIT_LIST_HEAD(&iommu->ranges);
	iommu->pgsizes = PAGE_MASK;
	iommu->v2 = type != VFIO_TYPE1_IOMMU;
	iommu->nesting = type == VFIO_TYPE1_NESTING_IOMMU;
	return iommu;
}

static void type1_release(void *data)
{
	struct type1_iommu *iommu = data;

	/* Nobody is here any more, and no device: none of this takes long. */
	mutex_lock(&iommu->lock);
	type1_dma_remove_all(iommu);
	mutex_unlock(&iommu->lock);

	WARN_ON(!list_empty(&iommu->domains) || !list_empty(&iommu->emulated) ||
		!list_empty(&iommu->devices));
	type1_ranges_free(&iommu->ranges);
	mutex_destroy(&iommu->lock);
	mutex_destroy(&iommu->notify_lock);
	kfree(iommu->pages);
	kfree(iommu);
}

static bool type1_coherent(struct type1_iommu *iommu)
{
	struct type1_domain *domain;

	list_for_each_entry(domain, &iommu->domains, next)
		if (!type1_domain_abandoned(domain) && !domain->coherent)
			return false;
	return true;
}

/* Of a container without a back end yet, @iommu is NULL. */
static long type1_check_extension(struct type1_iommu *iommu,
				  unsigned long extension)
{
	long ret = 0;

	switch (extension) {
	case VFIO_UNMAP_ALL:
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_TYPE1_NESTING_IOMMU:
		return 1;
	}

	if (!iommu)
		return 0;
	mutex_lock(&iommu->lock);
	if (extension == VFIO_DMA_CC_IOMMU)
		ret = type1_coherent(iommu);
	else if (extension == VFIO_UPDATE_VADDR)
		ret = list_empty(&iommu->emulated);
	mutex_unlock(&iommu->lock);
	return ret;
}

static int type1_add_ranges(struct type1_iommu *iommu,
			    struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_iova_range *cap;
	size_t nr = list_count_nodes(&iommu->ranges);
	struct type1_range *range;
	unsigned int i = 0;
	size_t size;
	int ret;

	if (!nr)
		return 0;

	size = struct_size(cap, iova_ranges, nr);
	cap = kzalloc(size, GFP_KERNEL);
	if (!cap)
		return -ENOMEM;
	cap->header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	cap->header.version = 1;
	cap->nr_iovas = nr;
	list_for_each_entry(range, &iommu->ranges, next) {
		cap->iova_ranges[i].start = range->first;
		cap->iova_ranges[i].end = range->last;
		i++;
	}
	ret = vfio_info_add_capability(caps, &cap->header, size);
	kfree(cap);
	return ret;
}

/* Written where they go: the room is zero, and so is what lies between members. */
static int type1_add_caps(struct type1_iommu *iommu, struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_migration *migration;
	struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_info_cap_header *header;

	header = vfio_info_cap_add(caps, sizeof(*migration),
				   VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 1);
	if (IS_ERR(header))
		return PTR_ERR(header);
	migration = container_of(header, typeof(*migration), header);
	migration->pgsize_bitmap = type1_min_pgsize(iommu);
	migration->max_dirty_bitmap_size = type1_bitmap_max_bytes();

	header = vfio_info_cap_add(caps, sizeof(*avail),
				   VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1);
	if (IS_ERR(header))
		return PTR_ERR(header);
	avail = container_of(header, typeof(*avail), header);
	avail->avail = iommu->avail;

	return type1_add_ranges(iommu, caps);
}

static int type1_ioctl_info(struct type1_iommu *iommu, void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_iommu_type1_info,
					 iova_pgsizes);
	struct vfio_iommu_type1_info info = {};
	struct vfio_info_cap caps = {};
	size_t argsz;
	int ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	argsz = info.argsz;
	if (argsz < minsz)
		return -EINVAL;

	if (mutex_lock_killable(&iommu->lock))
		return -EINTR;
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = iommu->pgsizes;
	ret = type1_add_caps(iommu, &caps);
	mutex_unlock(&iommu->lock);
	if (ret)
		goto out_free;

	if (argsz < sizeof(info) + caps.size) {
		info.argsz = sizeof(info) + caps.size;
	} else {
		vfio_info_cap_shift(&caps, sizeof(info));
		info.cap_offset = sizeof(info);
		if (copy_to_user(arg + sizeof(info), caps.buf, caps.size))
			ret = -EFAULT;
	}
	if (!ret && copy_to_user(arg, &info, min(argsz, sizeof(info))))
		ret = -EFAULT;
out_free:
	kfree(caps.buf);
	return ret;
}

static long type1_ioctl(void *data, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct type1_iommu *iommu = data;

	switch (cmd) {
	case VFIO_CHECK_EXTENSION:
		return type1_check_extension(iommu, arg);
	case VFIO_IOMMU_GET_INFO:
		return type1_ioctl_info(iommu, user);
	case VFIO_IOMMU_MAP_DMA:
		return type1_ioctl_map(iommu, user);
	case VFIO_IOMMU_UNMAP_DMA:
		return type1_ioctl_unmap(iommu, user);
	case VFIO_IOMMU_DIRTY_PAGES:
		return type1_ioctl_dirty(iommu, user);
	default:
		return -ENOTTY;
	}
}

static const struct vfio_iommu_driver_ops type1_ops = {
	.name			= "vfio-iommu-type1",
	.owner			= THIS_MODULE,
	.open			= type1_open,
	.release		= type1_release,
	.ioctl			= type1_ioctl,
	.begin_attach		= type1_begin_attach,
	.end_attach		= type1_end_attach,
	.attach_group		= type1_attach_group,
	.detach_group		= type1_detach_group,
	.pin_pages		= type1_pin_pages,
	.unpin_pages		= type1_unpin_pages,
	.register_device	= type1_register_device,
	.unregister_device	= type1_unregister_device,
	.dma_rw			= type1_dma_rw,
};

static int __init type1_init(void)
{
	int ret = type1_dma_init();

	if (ret)
		return ret;
	ret = vfio_register_iommu_driver(&type1_ops);
	if (ret)
		type1_dma_exit();
	return ret;
}

static void __exit type1_exit(void)
{
	vfio_unregister_iommu_driver(&type1_ops);
	type1_dma_exit();
}

module_init(type1_init);
module_exit(type1_exit);

MODULE_VERSION("0.4");
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Type1 IOMMU driver for VFIO");
