// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU that does what a test says, for what no machine here has: its page sizes, the
 * end of its addresses, and when it fails, and whether it tells how far it came then. It
 * notices what hardware would not forgive: a page mapped over another, or a part of one
 * unmapped.
 *
 * Behind it are two devices, test_iommu.0 and .1, each in a group of its own. They are
 * VFIO devices; to read and write their files is to have them do DMA, the offset being
 * the address. The attributes of the devices in sysfs are for the test:
 *
 *	pgsizes, last	what a domain made for the device from now on can do
 *	fail_map	in its domains, from now on the n-th page is not mapped
 *	quiet		if so, what was mapped before in the same call stays, untold
 *	mapped		how many bytes are, in the domain that the device is in
 *	wrongs		how often something was asked for that must not be
 */
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/maple_tree.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#define MOCK_UNITS 2

/* The smallest page, whatever the CPU's is. */
#define MOCK_SHIFT 10

/* A domain: what is mapped, by IOVA in the smallest pages. */
struct mock_domain {
	struct iommu_domain domain;
	struct mock_unit *unit;		/* that it was made for */
	struct maple_tree pages;	/* the same of memory, and rights */
	unsigned long mapped;
};

static struct mock_unit {
	struct platform_device *pdev;
	struct mock_domain *domain;	/* where DMA goes, if anywhere */
	unsigned long pgsizes;
	unsigned long last;
	unsigned long fail_map;
	unsigned long quiet;
	unsigned long wrongs;
} mock_units[MOCK_UNITS];

/* All of the above. DMA has it, too, so none is under way when an unmap returns. */
static DEFINE_MUTEX(mock_lock);

static struct iommu_device mock_iommu;

static struct mock_domain *to_mock(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_domain, domain);
}

static struct mock_unit *to_unit(struct device *dev)
{
	return &mock_units[to_platform_device(dev)->id];
}

static void *mock_entry(phys_addr_t phys, int prot)
{
	return xa_mk_value(phys >> MOCK_SHIFT << 2 |
			   (prot & (IOMMU_READ | IOMMU_WRITE)));
}

static int mock_map_one(struct mock_domain *m, unsigned long iova,
			phys_addr_t phys, size_t size, int prot)
{
	struct mock_unit *unit = m->unit;
	int ret;

	if (unit->fail_map && !--unit->fail_map)
		return -ENOMEM;
	ret = mtree_insert_range(&m->pages, iova >> MOCK_SHIFT,
				 (iova + size - 1) >> MOCK_SHIFT,
				 mock_entry(phys, prot), GFP_KERNEL);
	if (ret == -EEXIST || (iova | phys) & (size - 1) ||
	    iova + (size - 1) > m->domain.geometry.aperture_end)
		unit->wrongs++;
	if (!ret)
		m->mapped += size;
	return ret;
}

static int mock_map_pages(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t phys, size_t size, size_t count, int prot,
			  gfp_t gfp, size_t *mapped)
{
	struct mock_domain *m = to_mock(domain);
	size_t done = 0;
	int ret = 0;

	mutex_lock(&mock_lock);
	while (!ret && count--) {
		ret = mock_map_one(m, iova + done, phys + done, size, prot);
		if (!ret)
			done += size;
	}
	if (!ret || !m->unit->quiet)
		*mapped = done;
	mutex_unlock(&mock_lock);
	return ret;
}

/* The page of the IOMMU that has page @index, from *@first to *@last; NULL if none. */
static void *mock_find(struct mock_domain *m, unsigned long index,
		       unsigned long *first, unsigned long *last)
{
	MA_STATE(mas, &m->pages, index, index);
	void *entry;

	rcu_read_lock();
	entry = mas_walk(&mas);
	rcu_read_unlock();
	*first = mas.index;
	*last = mas.last;
	return entry;
}

/* Pages are unmapped whole, and only what is there. */
static size_t mock_unmap_pages(struct iommu_domain *domain, unsigned long iova,
			       size_t size, size_t count,
			       struct iommu_iotlb_gather *gather)
{
	struct mock_domain *m = to_mock(domain);
	unsigned long next = iova >> MOCK_SHIFT, first, last;
	unsigned long left = size * count >> MOCK_SHIFT;
	size_t done;

	mutex_lock(&mock_lock);
	while (left) {
		if (!mock_find(m, next, &first, &last) || first != next ||
		    last - first >= left) {
			m->unit->wrongs++;
			break;
		}
		mtree_erase(&m->pages, next);
		left -= last - first + 1;
		next = last + 1;
	}
	done = (next << MOCK_SHIFT) - iova;
	m->mapped -= done;
	mutex_unlock(&mock_lock);
	return done;
}

/* Where @iova is, and what is allowed there; 0 if nothing is. */
static phys_addr_t mock_walk(struct mock_domain *m, unsigned long iova,
			     int *prot)
{
	unsigned long first, last, value;
	void *entry;

	entry = mock_find(m, iova >> MOCK_SHIFT, &first, &last);
	if (!entry)
		return 0;
	value = xa_to_value(entry);
	*prot = value & (IOMMU_READ | IOMMU_WRITE);
	return ((phys_addr_t)value >> 2 << MOCK_SHIFT) + iova -
	       (first << MOCK_SHIFT);
}

static phys_addr_t mock_iova_to_phys(struct iommu_domain *domain,
				     dma_addr_t iova)
{
	int prot;

	return mock_walk(to_mock(domain), iova, &prot);
}

static int mock_attach(struct iommu_domain *domain, struct device *dev)
{
	struct mock_domain *m = to_mock(domain);
	struct mock_unit *unit = to_unit(dev);

	if (m->unit->pgsizes != unit->pgsizes || m->unit->last != unit->last)
		return -EINVAL;
	mutex_lock(&mock_lock);
	unit->domain = m;
	mutex_unlock(&mock_lock);
	return 0;
}

static int mock_attach_none(struct iommu_domain *domain, struct device *dev)
{
	mutex_lock(&mock_lock);
	to_unit(dev)->domain = NULL;
	mutex_unlock(&mock_lock);
	return 0;
}

static void mock_free(struct iommu_domain *domain)
{
	struct mock_domain *m = to_mock(domain);

	mtree_destroy(&m->pages);
	kfree(m);
}

static bool mock_coherent(struct iommu_domain *domain)
{
	return true;
}

static const struct iommu_domain_ops mock_domain_ops = {
	.attach_dev		= mock_attach,
	.map_pages		= mock_map_pages,
	.unmap_pages		= mock_unmap_pages,
	.iova_to_phys		= mock_iova_to_phys,
	.enforce_cache_coherency = mock_coherent,
	.free			= mock_free,
};

static struct iommu_domain *mock_alloc(struct device *dev)
{
	struct mock_unit *unit = to_unit(dev);
	struct mock_domain *m;

	m = kzalloc(sizeof(*m), GFP_KERNEL);
	if (!m)
		return NULL;
	mt_init(&m->pages);
	m->unit = unit;
	m->domain.pgsize_bitmap = unit->pgsizes;
	m->domain.geometry.aperture_end = unit->last;
	m->domain.geometry.force_aperture = true;
	return &m->domain;
}

static const struct iommu_domain_ops mock_none_ops = {
	.attach_dev		= mock_attach_none,
};

static struct iommu_domain mock_identity = {
	.type			= IOMMU_DOMAIN_IDENTITY,
	.ops			= &mock_none_ops,
};

static struct iommu_domain mock_blocked = {
	.type			= IOMMU_DOMAIN_BLOCKED,
	.ops			= &mock_none_ops,
};

static struct iommu_device *mock_probe_device(struct device *dev)
{
	return &mock_iommu;
}

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_CACHE_COHERENCY;
}

static const struct iommu_ops mock_ops = {
	.capable		= mock_capable,
	.domain_alloc_paging	= mock_alloc,
	.probe_device		= mock_probe_device,
	.device_group		= generic_device_group,
	.default_domain_ops	= &mock_domain_ops,
	.pgsize_bitmap		= PAGE_MASK,
	.default_domain		= &mock_identity,
	.blocked_domain		= &mock_blocked,
};

struct mock_vfio {
	struct vfio_device vdev;
};

/* DMA of up to a page; the buffer is the kernel's. */
static ssize_t mock_dma(struct mock_unit *unit, unsigned long iova, void *buf,
			size_t len, bool write)
{
	phys_addr_t phys = 0;
	struct page *page;
	int prot;

	len = min(len, PAGE_SIZE - offset_in_page(iova));
	mutex_lock(&mock_lock);
	if (unit->domain)
		phys = mock_walk(unit->domain, iova, &prot);
	if (!phys || !(prot & (write ? IOMMU_WRITE : IOMMU_READ)) ||
	    !pfn_valid(PHYS_PFN(phys))) {
		mutex_unlock(&mock_lock);
		return -EFAULT;
	}
	page = pfn_to_page(PHYS_PFN(phys));
	if (write)
		memcpy_to_page(page, offset_in_page(phys), buf, len);
	else
		memcpy_from_page(buf, page, offset_in_page(phys), len);
	mutex_unlock(&mock_lock);
	return len;
}

static ssize_t mock_read(struct vfio_device *vdev, char __user *user,
			 size_t count, loff_t *ppos)
{
	void *buf;
	ssize_t ret;

	buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	ret = mock_dma(to_unit(vdev->dev), *ppos, buf,
		       min_t(size_t, count, PAGE_SIZE), false);
	if (ret > 0 && copy_to_user(user, buf, ret))
		ret = -EFAULT;
	kfree(buf);
	return ret;
}

static ssize_t mock_write(struct vfio_device *vdev, const char __user *user,
			  size_t count, loff_t *ppos)
{
	void *buf;
	ssize_t ret;

	count = min_t(size_t, count, PAGE_SIZE);
	buf = memdup_user(user, count);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = mock_dma(to_unit(vdev->dev), *ppos, buf, count, true);
	kfree(buf);
	return ret;
}

static int mock_open(struct vfio_device *vdev)
{
	return 0;
}

static const struct vfio_device_ops mock_vfio_ops = {
	.name		= "test_iommu",
	.open_device	= mock_open,
	.read		= mock_read,
	.write		= mock_write,
	.bind_iommufd	= vfio_iommufd_physical_bind,
	.unbind_iommufd	= vfio_iommufd_physical_unbind,
	.attach_ioas	= vfio_iommufd_physical_attach_ioas,
	.detach_ioas	= vfio_iommufd_physical_detach_ioas,
};

static int mock_probe(struct platform_device *pdev)
{
	struct mock_vfio *v;
	int ret;

	v = vfio_alloc_device(mock_vfio, vdev, &pdev->dev, &mock_vfio_ops);
	if (IS_ERR(v))
		return PTR_ERR(v);
	ret = vfio_register_group_dev(&v->vdev);
	if (ret) {
		vfio_put_device(&v->vdev);
		return ret;
	}
	platform_set_drvdata(pdev, v);
	return 0;
}

static void mock_remove(struct platform_device *pdev)
{
	struct mock_vfio *v = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&v->vdev);
	vfio_put_device(&v->vdev);
}

static struct platform_driver mock_driver = {
	.driver.name		= "test_iommu",
	.probe			= mock_probe,
	.remove			= mock_remove,
	.driver_managed_dma	= true,
};

#define MOCK_ATTR(name)							\
static ssize_t name##_show(struct device *dev,				\
			   struct device_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%lu\n", to_unit(dev)->name);		\
}									\
static ssize_t name##_store(struct device *dev,				\
			    struct device_attribute *attr,		\
			    const char *buf, size_t count)		\
{									\
	unsigned long value;						\
	int ret = kstrtoul(buf, 0, &value);				\
									\
	if (ret)							\
		return ret;						\
	mutex_lock(&mock_lock);						\
	to_unit(dev)->name = value;					\
	mutex_unlock(&mock_lock);					\
	return count;							\
}									\
static DEVICE_ATTR_RW(name)

MOCK_ATTR(pgsizes);
MOCK_ATTR(last);
MOCK_ATTR(fail_map);
MOCK_ATTR(quiet);
MOCK_ATTR(wrongs);

static ssize_t mapped_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct mock_unit *unit = to_unit(dev);
	unsigned long mapped;

	mutex_lock(&mock_lock);
	mapped = unit->domain ? unit->domain->mapped : 0;
	mutex_unlock(&mock_lock);
	return sysfs_emit(buf, "%lu\n", mapped);
}
static DEVICE_ATTR_RO(mapped);

static struct attribute *mock_attrs[] = {
	&dev_attr_pgsizes.attr,
	&dev_attr_last.attr,
	&dev_attr_fail_map.attr,
	&dev_attr_quiet.attr,
	&dev_attr_wrongs.attr,
	&dev_attr_mapped.attr,
	NULL
};
ATTRIBUTE_GROUPS(mock);

/*
 * What iommu_fwspec_init() does for firmware: @dev is behind our IOMMU. That wants a lock
 * of the IOMMU core's, against others who know the device; nobody does yet.
 */
static int mock_put_behind(struct device *dev)
{
	struct iommu_fwspec *fwspec;

	dev->iommu = kzalloc(sizeof(*dev->iommu), GFP_KERNEL);
	fwspec = kzalloc(struct_size(fwspec, ids, 1), GFP_KERNEL);
	if (!dev->iommu || !fwspec) {
		kfree(dev->iommu);
		dev->iommu = NULL;
		kfree(fwspec);
		return -ENOMEM;
	}
	mutex_init(&dev->iommu->lock);
	fwspec->iommu_fwnode = fwnode_handle_get(mock_iommu.fwnode);
	dev_iommu_fwspec_set(dev, fwspec);
	return 0;
}

static int mock_add(int id)
{
	struct mock_unit *unit = &mock_units[id];
	struct platform_device *pdev;
	int ret;

	unit->pgsizes = PAGE_SIZE | PMD_SIZE | PUD_SIZE;
	unit->last = ULONG_MAX >> 8;
	pdev = platform_device_alloc(mock_driver.driver.name, id);
	if (!pdev)
		return -ENOMEM;
	pdev->dev.groups = mock_groups;
	ret = mock_put_behind(&pdev->dev);
	if (!ret)
		ret = platform_device_add(pdev);
	if (ret) {
		platform_device_put(pdev);
		return ret;
	}
	unit->pdev = pdev;
	return 0;
}

static void mock_exit(void)
{
	int i;

	for (i = 0; i < MOCK_UNITS; i++)
		if (mock_units[i].pdev)
			platform_device_unregister(mock_units[i].pdev);
	platform_driver_unregister(&mock_driver);
	iommu_device_unregister(&mock_iommu);
	iommu_device_sysfs_remove(&mock_iommu);
	fwnode_remove_software_node(mock_iommu.fwnode);
	kfree(mock_iommu.ops);
}
module_exit(mock_exit);

static int __init mock_init(void)
{
	const struct iommu_ops *ops;
	int ret, i;

	mock_iommu.fwnode = fwnode_create_software_node(NULL, NULL);
	if (IS_ERR(mock_iommu.fwnode))
		return PTR_ERR(mock_iommu.fwnode);
	/* A module whose own devices are behind it could not be removed. */
	ret = -ENOMEM;
	ops = kmemdup(&mock_ops, sizeof(mock_ops), GFP_KERNEL);
	if (!ops)
		goto err_fwnode;
	ret = iommu_device_sysfs_add(&mock_iommu, NULL, NULL, "test_iommu");
	if (ret)
		goto err_ops;
	ret = iommu_device_register(&mock_iommu, ops, NULL);
	if (ret)
		goto err_sysfs;
	ret = platform_driver_register(&mock_driver);
	if (ret)
		goto err_iommu;
	for (i = 0; i < MOCK_UNITS && !ret; i++)
		ret = mock_add(i);
	if (ret)
		mock_exit();
	return ret;

err_iommu:
	iommu_device_unregister(&mock_iommu);
err_sysfs:
	iommu_device_sysfs_remove(&mock_iommu);
err_ops:
	kfree(ops);
err_fwnode:
	fwnode_remove_software_node(mock_iommu.fwnode);
	return ret;
}
module_init(mock_init);

MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(IOMMUFD);
MODULE_DESCRIPTION("An IOMMU for the VFIO selftests");
