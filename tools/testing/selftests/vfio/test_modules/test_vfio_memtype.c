// SPDX-License-Identifier: GPL-2.0-only
/*
 * How does a process's page table map a page of device memory? An address of its
 * own, written to the parameter "look", is looked up; reading the parameter gives
 * the page frame and the memory type of the last look.
 */
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>

static unsigned long pfn;
static const char *type = "none";

static const char *type_of(pgprot_t prot)
{
	bool combined = pgprot_val(pgprot_writecombine(prot)) ==
			pgprot_val(prot);
	bool uncached = pgprot_val(pgprot_noncached(prot)) == pgprot_val(prot);

	/* Both: this machine does not tell them apart, or it is uncached. */
	if (combined && uncached)
		return "either";
	if (combined)
		return "write-combined";
	return uncached ? "uncached" : "cached";
}

static int look_set(const char *address, const struct kernel_param *kp)
{
	struct follow_pfnmap_args args = {};
	struct mm_struct *mm = current->mm;
	int ret;

	ret = kstrtoul(address, 0, &args.address);
	if (ret)
		return ret;
	if (!mm)
		return -ESRCH;

	type = "none";
	mmap_read_lock(mm);
	args.vma = vma_lookup(mm, args.address);
	if (!args.vma) {
		ret = -EFAULT;
		goto unlock;
	}
	/* An address without an entry is an answer, too. */
	if (!follow_pfnmap_start(&args)) {
		pfn = args.pfn;
		type = type_of(args.pgprot);
		follow_pfnmap_end(&args);
	}
unlock:
	mmap_read_unlock(mm);
	return ret;
}

static int look_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%#lx %s\n", pfn, type);
}

static const struct kernel_param_ops look_ops = {
	.set = look_set,
	.get = look_get,
};

module_param_cb(look, &look_ops, NULL, 0600);
MODULE_PARM_DESC(look, "Address in the process that writes it");

MODULE_DESCRIPTION("memory types of mappings, to test vfio-pci");
MODULE_LICENSE("GPL");
