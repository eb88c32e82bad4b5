// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulated devices that do what a test says: pin pages, access memory, log what
 * they write, and write down what they are told of unmaps and of mappings of
 * their own memory. There are two, each
 * in a group of its own, named test_vfio_emulated.0 and .1.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/iova_bitmap.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "test_vfio_emulated.h"

#define TEST_DEVICES 2

/* A page that is pinned, once for each time it was. */
struct test_pin {
	struct list_head next;
	u64 iova;
	u64 call;	/* the one that pinned it */
};

struct test_dev {
	struct vfio_device vdev;
	struct mutex lock;	/* all below */
	struct list_head pins;
	u64 calls;
	struct test_vfio_unmaps unmaps;
	unsigned int nr_logged;	/* ranges; 0: logging is off */
	struct {
		unsigned long first, last;
	} logged[TEST_VFIO_LOG_RANGES];
	unsigned long written[TEST_VFIO_MAX_PAGES];
	unsigned int nr_written;
	struct page *page;	/* behind every page of a mapping */
	atomic_t vma_calls[TEST_VFIO_VMA_OPS];
};

static struct test_dev *to_test(struct vfio_device *vdev)
{
	return container_of(vdev, struct test_dev, vdev);
}

static int test_log_start(struct vfio_device *vdev,
			  struct rb_root_cached *ranges, u32 nnodes,
			  u64 *page_size)
{
	struct interval_tree_node *node;
	struct test_dev *t = to_test(vdev);
	int ret = -EBUSY;

	mutex_lock(&t->lock);
	if (t->nr_logged)
		goto unlock;

	if (nnodes > TEST_VFIO_LOG_RANGES)
		vfio_combine_iova_ranges(ranges, nnodes, TEST_VFIO_LOG_RANGES);
	for (node = interval_tree_iter_first(ranges, 0, ULONG_MAX); node;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX)) {
		t->logged[t->nr_logged].first = node->start;
		t->logged[t->nr_logged].last = node->last;
		t->nr_logged++;
	}
	*page_size = PAGE_SIZE;
	ret = 0;
unlock:
	mutex_unlock(&t->lock);
	return ret;
}

static int test_log_stop(struct vfio_device *vdev)
{
	struct test_dev *t = to_test(vdev);

	mutex_lock(&t->lock);
	t->nr_logged = 0;
	t->nr_written = 0;
	mutex_unlock(&t->lock);
	return 0;
}

static int test_log_read_and_clear(struct vfio_device *vdev, unsigned long iova,
				   unsigned long length,
				   struct iova_bitmap *dirty)
{
	struct test_dev *t = to_test(vdev);
	unsigned int i, left = 0;
	int ret = -EINVAL;

	mutex_lock(&t->lock);
	if (!t->nr_logged)
		goto unlock;

	for (i = 0; i < t->nr_written; i++) {
		if (t->written[i] - iova < length)
			iova_bitmap_set(dirty, t->written[i], 1);
		else
			t->written[left++] = t->written[i];
	}
	t->nr_written = left;
	ret = 0;
unlock:
	mutex_unlock(&t->lock);
	return ret;
}

static const struct vfio_log_ops test_log_ops = {
	.log_start		= test_log_start,
	.log_stop		= test_log_stop,
	.log_read_and_clear	= test_log_read_and_clear,
};

/* The device wrote at @iova. */
static void test_log(struct test_dev *t, unsigned long iova)
{
	unsigned int i;

	mutex_lock(&t->lock);
	for (i = 0; i < t->nr_logged; i++)
		if (t->logged[i].first <= iova && iova <= t->logged[i].last &&
		    t->nr_written < ARRAY_SIZE(t->written))
			t->written[t->nr_written++] = iova;
	mutex_unlock(&t->lock);
}

static int test_init_dev(struct vfio_device *vdev)
{
	struct test_dev *t = to_test(vdev);

	vdev->log_ops = &test_log_ops;
	mutex_init(&t->lock);
	INIT_LIST_HEAD(&t->pins);
	t->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	return t->page ? 0 : -ENOMEM;
}

static void test_release_dev(struct vfio_device *vdev)
{
	put_page(to_test(vdev)->page);
}

static int test_open(struct vfio_device *vdev)
{
	struct test_dev *t = to_test(vdev);

	memset(&t->unmaps, 0, sizeof(t->unmaps));
	return 0;
}

/*
 * Let go of the pinned pages from @iova on, those that were pinned by one call
 * by one call: iommufd wants it so.
 */
static void test_unpin(struct test_dev *t, u64 iova, u64 length)
{
	struct test_pin *pin, *tmp, *first = NULL;
	LIST_HEAD(gone);
	int npages = 0;

	mutex_lock(&t->lock);
	list_for_each_entry_safe(pin, tmp, &t->pins, next)
		if (pin->iova - iova < length)
			list_move_tail(&pin->next, &gone);
	mutex_unlock(&t->lock);

	list_for_each_entry(pin, &gone, next) {
		if (first && pin->call == first->call &&
		    pin->iova == first->iova + npages * PAGE_SIZE) {
			npages++;
			continue;
		}
		if (first)
			vfio_unpin_pages(&t->vdev, first->iova, npages);
		first = pin;
		npages = 1;
	}
	if (first)
		vfio_unpin_pages(&t->vdev, first->iova, npages);

	list_for_each_entry_safe(pin, tmp, &gone, next)
		kfree(pin);
}

static void test_close(struct vfio_device *vdev)
{
	test_log_stop(vdev);
	test_unpin(to_test(vdev), 0, U64_MAX);
}

static void test_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct test_dev *t = to_test(vdev);
	unsigned int delay;

	mutex_lock(&t->lock);
	t->unmaps.calls++;
	t->unmaps.iova = iova;
	t->unmaps.length = length;
	delay = t->unmaps.delay_ms;
	mutex_unlock(&t->lock);

	msleep(delay);
	test_unpin(t, iova, length);
}

static long test_pin(struct test_dev *t, struct test_vfio_dma *d)
{
	struct page **pages;
	struct test_pin **pins;
	u64 first;
	long ret;
	int i;

	pages = kcalloc(d->npages, sizeof(*pages), GFP_KERNEL);
	pins = kcalloc(d->npages, sizeof(*pins), GFP_KERNEL);
	ret = -ENOMEM;
	if (!pages || !pins)
		goto out;
	for (i = 0; i < d->npages; i++) {
		pins[i] = kzalloc(sizeof(*pins[i]), GFP_KERNEL);
		if (!pins[i])
			goto out;
		pins[i]->iova = d->iova + i * PAGE_SIZE;
	}

	/* An unmap that comes now has to find these on the list. */
	mutex_lock(&t->lock);
	ret = vfio_pin_pages(&t->vdev, d->iova, d->npages, d->prot, pages);
	for (i = 0; i < d->npages && ret > 0; i++) {
		pins[i]->call = t->calls;
		list_add_tail(&pins[i]->next, &t->pins);
		pins[i] = NULL;
	}
	t->calls++;
	mutex_unlock(&t->lock);

	for (i = 0; i < d->npages && d->user && ret > 0; i++) {
		memcpy_from_page((char *)&first, pages[i], 0, sizeof(first));
		if (copy_to_user(u64_to_user_ptr(d->user + i * sizeof(first)),
				 &first, sizeof(first)))
			ret = -EFAULT;
	}
out:
	for (i = 0; pins && i < d->npages; i++)
		kfree(pins[i]);
	kfree(pins);
	kfree(pages);
	return ret;
}

static long test_rw(struct test_dev *t, struct test_vfio_dma *d)
{
	void __user *user = u64_to_user_ptr(d->user);
	void *buf;
	long ret;

	buf = kzalloc(d->size, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	ret = -EFAULT;
	if (d->write && copy_from_user(buf, user, d->size))
		goto out;
	ret = vfio_dma_rw(&t->vdev, d->iova, buf, d->size, d->write);
	if (!ret && d->write)
		test_log(t, d->iova);
	if (!ret && !d->write && copy_to_user(user, buf, d->size))
		ret = -EFAULT;
out:
	kfree(buf);
	return ret;
}

static long test_unmaps(struct test_dev *t, void __user *arg)
{
	struct test_vfio_unmaps unmaps, old;

	if (copy_from_user(&unmaps, arg, sizeof(unmaps)))
		return -EFAULT;
	mutex_lock(&t->lock);
	old = t->unmaps;
	t->unmaps.delay_ms = unmaps.delay_ms;
	mutex_unlock(&t->lock);
	return copy_to_user(arg, &old, sizeof(old)) ? -EFAULT : 0;
}

/*
 * What the mm may ask of a mapping. At offset 0 its pages are those of files,
 * behind that it is made of PFNs.
 */
static struct test_dev *test_count(struct vm_area_struct *vma, unsigned int op)
{
	struct test_dev *t = vma->vm_private_data;

	atomic_inc(&t->vma_calls[op]);
	return t;
}

static void test_vma_open(struct vm_area_struct *vma)
{
	test_count(vma, TEST_VFIO_VMA_OPEN);
}

static void test_vma_close(struct vm_area_struct *vma)
{
	test_count(vma, TEST_VFIO_VMA_CLOSE);
}

static int test_vma_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	test_count(vma, TEST_VFIO_VMA_MAY_SPLIT);
	return 0;
}

static int test_vma_mremap(struct vm_area_struct *vma)
{
	test_count(vma, TEST_VFIO_VMA_MREMAP);
	return 0;
}

static int test_vma_mprotect(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end, unsigned long newflags)
{
	test_count(vma, TEST_VFIO_VMA_MPROTECT);
	return 0;
}

static int test_vma_access(struct vm_area_struct *vma, unsigned long addr,
			   void *buf, int len, int write)
{
	struct test_dev *t = test_count(vma, TEST_VFIO_VMA_ACCESS);
	size_t offset = offset_in_page(addr);

	len = min_t(size_t, len, PAGE_SIZE - offset);
	if (write)
		memcpy_to_page(t->page, offset, buf, len);
	else
		memcpy_from_page(buf, t->page, offset, len);
	return len;
}

static vm_fault_t test_vma_fault(struct vm_fault *vmf)
{
	struct test_dev *t = test_count(vmf->vma, TEST_VFIO_VMA_FAULT);

	if (vmf->vma->vm_flags & VM_PFNMAP)
		return vmf_insert_pfn(vmf->vma, vmf->address,
				      page_to_pfn(t->page));
	get_page(t->page);
	vmf->page = t->page;
	return 0;
}

static vm_fault_t test_vma_map_pages(struct vm_fault *vmf, pgoff_t first,
				     pgoff_t last)
{
	test_count(vmf->vma, TEST_VFIO_VMA_MAP_PAGES);
	return 0;
}

static vm_fault_t test_vma_page_mkwrite(struct vm_fault *vmf)
{
	test_count(vmf->vma, TEST_VFIO_VMA_PAGE_MKWRITE);
	lock_page(vmf->page);
	return VM_FAULT_LOCKED;
}

static vm_fault_t test_vma_pfn_mkwrite(struct vm_fault *vmf)
{
	test_count(vmf->vma, TEST_VFIO_VMA_PFN_MKWRITE);
	return 0;
}

static const struct vm_operations_struct test_vma_ops = {
	.open		= test_vma_open,
	.close		= test_vma_close,
	.may_split	= test_vma_may_split,
	.mremap		= test_vma_mremap,
	.mprotect	= test_vma_mprotect,
	.access		= test_vma_access,
	.fault		= test_vma_fault,
	.map_pages	= test_vma_map_pages,
	.page_mkwrite	= test_vma_page_mkwrite,
	.pfn_mkwrite	= test_vma_pfn_mkwrite,
};

static int test_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	vma->vm_private_data = to_test(vdev);
	vma->vm_ops = &test_vma_ops;
	if (vma->vm_pgoff)
		vm_flags_set(vma, VM_PFNMAP);
	return 0;
}

static long test_vma_calls(struct test_dev *t, void __user *user)
{
	struct test_vfio_vma_calls calls;
	int i;

	for (i = 0; i < TEST_VFIO_VMA_OPS; i++)
		calls.op[i] = atomic_xchg(&t->vma_calls[i], 0);
	return copy_to_user(user, &calls, sizeof(calls)) ? -EFAULT : 0;
}

static long test_ioctl(struct vfio_device *vdev, unsigned int cmd,
		       unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct test_dev *t = to_test(vdev);
	struct test_vfio_dma d;

	if (cmd == TEST_VFIO_UNMAPS)
		return test_unmaps(t, user);
	if (cmd == TEST_VFIO_VMA_CALLS)
		return test_vma_calls(t, user);
	if (cmd != TEST_VFIO_PIN && cmd != TEST_VFIO_UNPIN &&
	    cmd != TEST_VFIO_RW)
		return -ENOTTY;

	if (copy_from_user(&d, user, sizeof(d)))
		return -EFAULT;
	if (d.npages > TEST_VFIO_MAX_PAGES || d.size > SZ_1M)
		return -E2BIG;
	switch (cmd) {
	case TEST_VFIO_PIN:
		return test_pin(t, &d);
	case TEST_VFIO_RW:
		return test_rw(t, &d);
	default:
		test_unpin(t, d.iova, d.npages * PAGE_SIZE);
		return 0;
	}
}

static const struct vfio_device_ops test_ops = {
	.name		= "test_vfio_emulated",
	.init		= test_init_dev,
	.release	= test_release_dev,
	.open_device	= test_open,
	.close_device	= test_close,
	.ioctl		= test_ioctl,
	.mmap		= test_mmap,
	.dma_unmap	= test_dma_unmap,
	.bind_iommufd	= vfio_iommufd_emulated_bind,
	.unbind_iommufd	= vfio_iommufd_emulated_unbind,
	.attach_ioas	= vfio_iommufd_emulated_attach_ioas,
	.detach_ioas	= vfio_iommufd_emulated_detach_ioas,
};

static int test_probe(struct platform_device *pdev)
{
	struct test_dev *t;
	int ret;

	t = vfio_alloc_device(test_dev, vdev, &pdev->dev, &test_ops);
	if (IS_ERR(t))
		return PTR_ERR(t);
	ret = vfio_register_emulated_iommu_dev(&t->vdev);
	if (ret) {
		vfio_put_device(&t->vdev);
		return ret;
	}
	platform_set_drvdata(pdev, t);
	return 0;
}

static void test_remove(struct platform_device *pdev)
{
	struct test_dev *t = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&t->vdev);
	vfio_put_device(&t->vdev);
}

static struct platform_driver test_driver = {
	.driver.name	= "test_vfio_emulated",
	.probe		= test_probe,
	.remove		= test_remove,
};

static struct platform_device *test_pdevs[TEST_DEVICES];

static int __init test_init(void)
{
	const char *name = test_driver.driver.name;
	struct platform_device *pdev;
	int i, ret;

	ret = platform_driver_register(&test_driver);
	if (ret)
		return ret;

	for (i = 0; i < TEST_DEVICES; i++) {
		pdev = platform_device_register_simple(name, i, NULL, 0);
		test_pdevs[i] = pdev;
		if (IS_ERR(pdev)) {
			ret = PTR_ERR(pdev);
			while (i--)
				platform_device_unregister(test_pdevs[i]);
			platform_driver_unregister(&test_driver);
			return ret;
		}
	}
	return 0;
}

static void __exit test_exit(void)
{
	int i;

	for (i = 0; i < TEST_DEVICES; i++)
		platform_device_unregister(test_pdevs[i]);
	platform_driver_unregister(&test_driver);
}

module_init(test_init);
module_exit(test_exit);

MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(IOMMUFD);
MODULE_DESCRIPTION("Emulated devices for the VFIO selftests");
