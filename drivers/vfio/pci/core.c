// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio-pci-core: what every driver of a PCI device in user space shares. Here
 * are registration and the entry points that hand each request to the file
 * that knows about it; enable.c has first open and last close, gate.c the
 * theory of device memory.
 */
#include <linux/aperture.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vgaarb.h>

#include "vfio_pci_priv.h"

static struct vfio_pci_core_device *to_vdev(struct vfio_device *core_vdev)
{
	return container_of(core_vdev, struct vfio_pci_core_device, vdev);
}

/* The device may sleep, and the caller has a count that keeps it awake. */
static noinline int vfio_pci_begin_low_power(struct vfio_pci_core_device *vdev)
{
	struct device *dev = &vdev->pdev->dev;
	int ret;

	ret = pm_runtime_resume(dev);
	if (ret >= 0)
		return 0;

	pm_runtime_put_noidle(dev);
	pci_info_ratelimited(vdev->pdev, "runtime resume failed %d\n", ret);
	vfio_device_leave(&vdev->vdev);
	return -EIO;
}

/**
 * vfio_pci_begin - begin to use the function for a user
 * @vdev: the device
 *
 * Until vfio_pci_end() it is not taken from the driver, and awake. No user memory
 * is touched in between. What only touches BARs that are memory does without: the
 * gate says whether it may, with the lock held.
 *
 * Context: may sleep.
 * Return: 0; -ENODEV if the device was revoked; -EIO if it does not wake up.
 */
int vfio_pci_begin(struct vfio_pci_core_device *vdev)
{
	if (!vfio_device_enter(&vdev->vdev))
		return -ENODEV;

	/*
	 * While it is open the device is awake, but for low power, whose entry sets
	 * the flag and then drops the count that kept it so. Who has a count and
	 * then finds no flag keeps it awake himself, and the PM core's lock is spared.
	 */
	pm_runtime_get_noresume(&vdev->pdev->dev);
	/* Pairs with the one in vfio_pci_low_power_enter(). */
	smp_mb__after_atomic();
	if (likely(!READ_ONCE(vdev->pm_runtime_engaged)))
		return 0;

	return vfio_pci_begin_low_power(vdev);
}

/**
 * vfio_pci_end - undo vfio_pci_begin()
 * @vdev: the device
 *
 * Context: any.
 */
void vfio_pci_end(struct vfio_pci_core_device *vdev)
{
	pm_runtime_put(&vdev->pdev->dev);
	vfio_device_leave(&vdev->vdev);
}

/*
 * Legacy VGA ranges: a device in user space decodes them only where the user
 * gets them. Other VGA devices behind the same bridges may want them.
 */
static unsigned int vfio_pci_vga_decode(struct pci_dev *pdev, bool decode)
{
	struct pci_dev *other = NULL;
	unsigned char highest;

	if (!vfio_pci_vga_disabled() || !decode || pci_is_root_bus(pdev->bus))
		return VGA_RSRC_NORMAL_IO | VGA_RSRC_NORMAL_MEM |
		       VGA_RSRC_LEGACY_IO | VGA_RSRC_LEGACY_MEM;

	highest = pci_bus_max_busnr(pdev->bus);
	while ((other = pci_get_class(PCI_CLASS_DISPLAY_VGA << 8, other))) {
		if (other == pdev || pci_is_root_bus(other->bus) ||
		    pci_domain_nr(other->bus) != pci_domain_nr(pdev->bus))
			continue;
		if (other->bus->number >= pdev->bus->number &&
		    other->bus->number <= highest) {
			pci_dev_put(other);
			return VGA_RSRC_NORMAL_IO | VGA_RSRC_NORMAL_MEM |
			       VGA_RSRC_LEGACY_IO | VGA_RSRC_LEGACY_MEM;
		}
	}
	return VGA_RSRC_NORMAL_IO | VGA_RSRC_NORMAL_MEM;
}

static int vfio_pci_vga_init(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	int ret;

	/*
	 * VGA or not, the console must not draw into it any more. This is only for
	 * displays: where the firmware's frame buffer is in no PCI device the call takes
	 * it from the console for whatever device.
	 */
	if (pdev->class >> 16 != PCI_BASE_CLASS_DISPLAY)
		return 0;
	ret = aperture_remove_conflicting_pci_devices(pdev,
						      vdev->vdev.ops->name);
	if (ret || !vfio_pci_is_vga(pdev))
		return ret;

	ret = vga_client_register(pdev, vfio_pci_vga_decode);
	if (ret)
		return ret;

	vga_set_legacy_decoding(pdev, vfio_pci_vga_decode(pdev, false));
	return 0;
}

static void vfio_pci_vga_exit(struct vfio_pci_core_device *vdev)
{
	if (!vfio_pci_is_vga(vdev->pdev))
		return;

	vga_client_unregister(vdev->pdev);
	vga_set_legacy_decoding(vdev->pdev,
				VGA_RSRC_NORMAL_IO | VGA_RSRC_NORMAL_MEM |
				VGA_RSRC_LEGACY_IO | VGA_RSRC_LEGACY_MEM);
}

/**
 * vfio_pci_core_init_dev - &vfio_device_ops.init of vfio-pci devices
 * @core_vdev: the device
 *
 * Return: 0.
 * Context: may sleep.
 */
int vfio_pci_core_init_dev(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev = to_vdev(core_vdev);

	vdev->pdev = to_pci_dev(core_vdev->dev);
	vdev->irq_type = VFIO_PCI_NUM_IRQS;
	vfio_pci_latch_params(vdev);
	vdev->gate_holds = VFIO_PCI_HOLD_NOT_OPEN;
	mutex_init(&vdev->igate);
	mutex_init(&vdev->ioeventfds_lock);
	mutex_init(&vdev->barmap_lock);
	mutex_init(&vdev->alias_lock);
	spin_lock_init(&vdev->irqlock);
	spin_lock_init(&vdev->last_error_lock);
	vfio_pci_gate_init(vdev);
	vfio_pci_clean_init(vdev);
	vfio_pci_absent_init(vdev);
	INIT_LIST_HEAD(&vdev->dummy_resources_list);
	INIT_LIST_HEAD(&vdev->peers);
	INIT_LIST_HEAD(&vdev->dmabufs);
	INIT_LIST_HEAD(&vdev->ioeventfds_list);
	INIT_LIST_HEAD(&vdev->sriov_pfs_item);
	xa_init(&vdev->ctx);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_init_dev);

/**
 * vfio_pci_core_release_dev - &vfio_device_ops.release of vfio-pci devices
 * @core_vdev: the device
 *
 * Context: may sleep; the last reference is gone.
 */
void vfio_pci_core_release_dev(struct vfio_device *core_vdev)
{
	struct vfio_pci_core_device *vdev = to_vdev(core_vdev);

	mutex_destroy(&vdev->igate);
	mutex_destroy(&vdev->ioeventfds_lock);
	mutex_destroy(&vdev->barmap_lock);
	mutex_destroy(&vdev->alias_lock);
	vfio_pci_absent_exit(vdev);
	vfio_pci_dmabufs_exit(vdev);
	vfio_pci_clean_free(vdev);
	kfree(vdev->pci_saved_state);
	kfree(vdev->pm_save);
	kfree(vdev->io_buffer);
	kfree(vdev->aliases);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_release_dev);

/*
 * Functions that a bus or slot reset hits together are opened under one lock. A
 * VF cannot be reset that way by itself, and its PF's reset ends it.
 */
static int vfio_pci_assign_set(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	void *set_id = pdev->bus;

	if (pci_is_root_bus(pdev->bus) || pdev->is_virtfn)
		set_id = vdev;
	else if (!pci_probe_reset_slot(pdev->slot))
		set_id = pdev->slot;

	return vfio_assign_device_set(&vdev->vdev, set_id);
}

static bool vfio_pci_has_bad_ops(struct vfio_device *device)
{
	const struct vfio_migration_ops *mig = device->mig_ops;
	const struct vfio_log_ops *log = device->log_ops;

	/* It is what a PF's VFs are kept for. */
	if (!device->ops->name)
		return true;

	if (mig && (!mig->migration_set_state || !mig->migration_get_state ||
		    !mig->migration_get_data_size ||
		    !(device->migration_flags & VFIO_MIGRATION_STOP_COPY)))
		return true;

	return log && (!log->log_start || !log->log_stop ||
		       !log->log_read_and_clear);
}

/* Of every device of vfio-pci-core, whoever its driver is. */
static struct attribute *vfio_pci_attrs[] = {
	&vfio_pci_attr_absent_memory.attr,
	&vfio_pci_attr_write_combine.attr,
	NULL
};
ATTRIBUTE_GROUPS(vfio_pci);

/**
 * vfio_pci_core_register_device - offer a function to user space
 * @vdev: the device, made with vfio_alloc_device(); the PCI device's driver
 *	data points to it
 *
 * Return: 0; -EINVAL for a bridge, or a driver whose operations are
 * incomplete; -EBUSY for a PF whose VFs are enabled and may be in use by the
 * host; what registering with the core returns.
 * Context: may sleep; in the PCI driver's probe.
 */
int vfio_pci_core_register_device(struct vfio_pci_core_device *vdev)
{
	struct pci_dev *pdev = vdev->pdev;
	int ret;

	if (WARN_ON(pci_get_drvdata(pdev) != vdev))
		return -EINVAL;
	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return -EINVAL;
	if (vfio_pci_has_bad_ops(&vdev->vdev))
		return -EINVAL;
	if (pci_num_vf(pdev)) {
		pci_warn(pdev, "Cannot bind to PF with SR-IOV enabled\n");
		return -EBUSY;
	}

	ret = vfio_pci_assign_set(vdev);
	if (ret)
		return ret;
	ret = vfio_pci_sriov_init(vdev);
	if (ret)
		return ret;
	ret = vfio_pci_vga_init(vdev);
	if (ret)
		goto sriov_exit;

	vfio_pci_probe_power(vdev);
	vdev->vdev.device.groups = vfio_pci_groups;

	/* Whatever state it was found in, it starts awake; idle, it sleeps. */
	vfio_pci_set_power_state(vdev, PCI_D0);
	vfio_pci_keep_state(vdev);
	vfio_pci_config_keep_bars(vdev);
	vfio_pci_power_register(vdev);

	ret = vfio_register_group_dev(&vdev->vdev);
	if (ret)
		goto power_on;
	vfio_pci_debugfs_add(vdev);
	return 0;

power_on:
	vfio_pci_power_unregister(vdev);
	vfio_pci_vga_exit(vdev);
sriov_exit:
	vfio_pci_sriov_exit(vdev);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_register_device);

/**
 * vfio_pci_core_unregister_device - take a function back from user space
 * @vdev: the device
 *
 * Waits until no user has it open, or takes it from them: see
 * vfio_unregister_group_dev().
 *
 * Context: may sleep, for as long as users keep it; in the driver's remove.
 */
void vfio_pci_core_unregister_device(struct vfio_pci_core_device *vdev)
{
	vfio_pci_core_sriov_configure(vdev, 0);

	/* The last close is next, whatever is exported until then. */
	WRITE_ONCE(vdev->dmabufs_hurry, true);
	/*
	 * A device that was pulled out is gone already; one that only loses
	 * its driver works until its user has brought it to rest. With the gate
	 * closed no reset of the user's keeps it from answering.
	 */
	vfio_pci_gate_close(vdev, VFIO_PCI_GATE_REMOVE);
	if (!pci_device_is_present(vdev->pdev))
		vfio_device_set_gone(&vdev->vdev);
	vfio_pci_gate_open(vdev);
	vfio_unregister_group_dev(&vdev->vdev);
	vfio_pci_gate_exit(vdev);
	vfio_pci_restore_lost(vdev);
	vfio_pci_clean_unseal(vdev);
	/* Off since the first open. Who asserts it stays so until it has a driver. */
	if (!vdev->nointx && !vdev->pdev->is_virtfn)
		pci_check_and_unmask_intx(vdev->pdev);

	vfio_pci_sriov_exit(vdev);
	vfio_pci_vga_exit(vdev);

	vfio_pci_power_unregister(vdev);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_unregister_device);

/* The action that the core does not know, and the size of its data. */
static int vfio_pci_check_affinity(const struct vfio_irq_set *hdr,
				   size_t *data_size)
{
	size_t size = hdr->argsz - offsetofend(struct vfio_irq_set, count);

	*data_size = 0;
	if (!hdr->count)
		return -EINVAL;

	switch (hdr->flags & ~VFIO_IRQ_SET_ACTION_AFFINITY) {
	case VFIO_IRQ_SET_DATA_NONE:
		return 0;
	case VFIO_IRQ_SET_DATA_CPUS:
		if (!size || size > PAGE_SIZE || size % sizeof(u64))
			return -EINVAL;
		*data_size = size;
		return 0;
	default:
		return -EINVAL;
	}
}

static int vfio_pci_check_irqs(struct vfio_pci_core_device *vdev,
			       const struct vfio_irq_set *hdr, size_t *data_size)
{
	bool affinity = hdr->flags & VFIO_IRQ_SET_ACTION_AFFINITY;
	struct vfio_irq_set checked = *hdr;
	int ret;

	/* The core sees to the range. */
	if (affinity)
		checked.flags = VFIO_IRQ_SET_DATA_NONE;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	ret = vfio_set_irqs_validate_and_prepare(&checked,
						 vfio_pci_irq_count(vdev, hdr->index),
						 VFIO_PCI_NUM_IRQS, data_size);
	vfio_pci_end(vdev);
	if (!ret && affinity)
		ret = vfio_pci_check_affinity(hdr, data_size);
	return ret;
}

static void *vfio_pci_copy_irq_data(const struct vfio_irq_set *hdr,
				    const void __user *arg, size_t size)
{
	void *words, *cpus;

	words = memdup_user(arg, size);
	if (IS_ERR(words) || !(hdr->flags & VFIO_IRQ_SET_ACTION_AFFINITY))
		return words;

	cpus = vfio_pci_affinity_cpus(words, size);
	kfree(words);
	return cpus;
}

static long vfio_pci_set_irqs_ioctl(struct vfio_pci_core_device *vdev,
				    void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_set hdr;
	size_t data_size = 0;
	u8 *data = NULL;
	int ret;

	if (copy_from_user(&hdr, arg, minsz))
		return -EFAULT;

	ret = vfio_pci_check_irqs(vdev, &hdr, &data_size);
	if (ret)
		return ret;

	if (data_size) {
		data = vfio_pci_copy_irq_data(&hdr, arg + minsz, data_size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}

	ret = vfio_pci_begin(vdev);
	if (ret)
		goto free;
	/* Who has it may wait for importers of a dma-buf, see write_command(). */
	ret = mutex_lock_killable(&vdev->igate);
	if (ret)
		goto end;
	ret = vfio_pci_set_irqs(vdev, hdr.flags, hdr.index, hdr.start,
				hdr.count, data);
	mutex_unlock(&vdev->igate);
end:
	vfio_pci_end(vdev);
free:
	kfree(data);
	return ret;
}

static long vfio_pci_reset_ioctl(struct vfio_pci_core_device *vdev)
{
	int ret;

	if (!vdev->reset_works)
		return -EINVAL;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	ret = vfio_pci_reset_function(vdev, VFIO_PCI_GATE_RESET);
	vfio_pci_end(vdev);
	return ret;
}

static long vfio_pci_ioeventfd_ioctl(struct vfio_pci_core_device *vdev,
				     void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_device_ioeventfd, fd);
	struct vfio_device_ioeventfd io;
	u32 width;
	int ret;

	if (copy_from_user(&io, arg, minsz))
		return -EFAULT;
	if (io.argsz < minsz || (io.flags & ~VFIO_DEVICE_IOEVENTFD_SIZE_MASK))
		return -EINVAL;

	/* The flag for a width of n bytes is bit log2(n), and worth n. */
	width = io.flags & VFIO_DEVICE_IOEVENTFD_SIZE_MASK;
	if (hweight8(width) != 1 || io.fd < -1)
		return -EINVAL;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	ret = vfio_pci_ioeventfd(vdev, io.offset, io.data, width, io.fd);
	vfio_pci_end(vdev);
	return ret;
}

/**
 * vfio_pci_core_ioctl - &vfio_device_ops.ioctl of vfio-pci devices
 * @core_vdev: the device
 * @cmd: VFIO_DEVICE_*
 * @arg: the user's argument
 *
 * Return: what the operation returns, -ENOTTY for one that is not known.
 * Context: may sleep.
 */
long vfio_pci_core_ioctl(struct vfio_device *core_vdev, unsigned int cmd,
			 unsigned long arg)
{
	struct vfio_pci_core_device *vdev = to_vdev(core_vdev);
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return vfio_pci_get_info(vdev, uarg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return vfio_pci_get_region_info(vdev, uarg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return vfio_pci_get_irq_info(vdev, uarg);
	case VFIO_DEVICE_SET_IRQS:
		return vfio_pci_set_irqs_ioctl(vdev, uarg);
	case VFIO_DEVICE_RESET:
		return vfio_pci_reset_ioctl(vdev);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return vfio_pci_get_hot_reset_info(vdev, uarg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return vfio_pci_hot_reset(vdev, uarg);
	case VFIO_DEVICE_IOEVENTFD:
		return vfio_pci_ioeventfd_ioctl(vdev, uarg);
	default:
		return -ENOTTY;
	}
}
EXPORT_SYMBOL_GPL(vfio_pci_core_ioctl);

/**
 * vfio_pci_core_ioctl_feature - &vfio_device_ops.device_feature of vfio-pci
 * @device: the device
 * @flags: VFIO_DEVICE_FEATURE_* with the feature's number
 * @arg: the feature's data
 * @argsz: its size
 *
 * Return: what the feature returns, -ENOTTY for one that is not known.
 * Context: may sleep.
 */
int vfio_pci_core_ioctl_feature(struct vfio_device *device, u32 flags,
				void __user *arg, size_t argsz)
{
	struct vfio_pci_core_device *vdev = to_vdev(device);
	u32 feature = flags & VFIO_DEVICE_FEATURE_MASK;

	switch (feature) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return vfio_pci_feature_low_power(vdev, feature, flags, arg,
						  argsz);
	case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN:
		return vfio_pci_feature_vf_token(vdev, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		return vfio_pci_feature_dma_buf(vdev, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_PCI_ALIAS:
		return vfio_pci_feature_alias(vdev, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_PCI_ABSENT:
		return vfio_pci_feature_absent(vdev, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_PCI_ERROR:
		return vfio_pci_feature_error(vdev, flags, arg, argsz);
	default:
		return -ENOTTY;
	}
}
EXPORT_SYMBOL_GPL(vfio_pci_core_ioctl_feature);

/* A region of the driver's own; drivers of revocable devices have none. */
static ssize_t vfio_pci_dev_region_rw(struct vfio_pci_core_device *vdev,
				      u64 index, char __user *buf,
				      size_t count, loff_t *ppos, bool iswrite)
{
	struct vfio_pci_region *region = vfio_pci_find_region(vdev, index);
	ssize_t ret;

	if (!region)
		return -EINVAL;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	ret = region->ops->rw(vdev, buf, count, ppos, iswrite);
	vfio_pci_end(vdev);
	return ret;
}

static ssize_t vfio_pci_rw(struct vfio_pci_core_device *vdev, char __user *buf,
			   size_t count, loff_t *ppos, bool iswrite)
{
	u64 index = VFIO_PCI_OFFSET_TO_INDEX(*ppos);
	const struct vfio_pci_alias *alias;

	/* Nothing can be read from a region that does not exist. */
	if (!count)
		return 0;

	switch (index) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return vfio_pci_config_rw(vdev, buf, count, ppos, iswrite);
	case VFIO_PCI_ROM_REGION_INDEX:
		if (iswrite)
			return -EINVAL;
		fallthrough;
	case VFIO_PCI_BAR0_REGION_INDEX ... VFIO_PCI_BAR5_REGION_INDEX:
		return vfio_pci_bar_rw(vdev, index, U64_MAX, buf, count, ppos,
				       iswrite);
	case VFIO_PCI_VGA_REGION_INDEX:
		return vfio_pci_vga_rw(vdev, buf, count, ppos, iswrite);
	default:
		alias = vfio_pci_find_alias(vdev, index);
		if (alias && (*ppos & VFIO_PCI_OFFSET_MASK) >= alias->start)
			return vfio_pci_bar_rw(vdev, alias->bar, alias->end,
					       buf, count, ppos, iswrite);
		return vfio_pci_dev_region_rw(vdev, index, buf, count, ppos,
					      iswrite);
	}
}

/**
 * vfio_pci_core_read - &vfio_device_ops.read of vfio-pci devices
 * @core_vdev: the device
 * @buf: the user's buffer
 * @count: bytes wanted
 * @ppos: place in the device file: region index and offset
 *
 * Return: bytes read; -EINVAL for a region that does not exist or an offset
 * that is not in it; -EIO where its memory is not there; -EFAULT.
 * Context: may sleep and fault.
 */
ssize_t vfio_pci_core_read(struct vfio_device *core_vdev, char __user *buf,
			   size_t count, loff_t *ppos)
{
	return vfio_pci_rw(to_vdev(core_vdev), buf, count, ppos, false);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_read);

/**
 * vfio_pci_core_write - &vfio_device_ops.write of vfio-pci devices
 * @core_vdev: the device
 * @buf: the user's buffer
 * @count: bytes to write
 * @ppos: place in the device file: region index and offset
 *
 * Return: as vfio_pci_core_read(); the ROM cannot be written.
 * Context: may sleep and fault.
 */
ssize_t vfio_pci_core_write(struct vfio_device *core_vdev,
			    const char __user *buf, size_t count, loff_t *ppos)
{
	return vfio_pci_rw(to_vdev(core_vdev), (char __user *)buf, count, ppos,
			   true);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_write);

/**
 * vfio_pci_core_request - &vfio_device_ops.request of vfio-pci devices
 * @core_vdev: the device
 * @count: how often the user was asked before
 *
 * Context: may sleep.
 */
void vfio_pci_core_request(struct vfio_device *core_vdev, unsigned int count)
{
	struct vfio_pci_core_device *vdev = to_vdev(core_vdev);

	if (vfio_pci_signal_request(vdev)) {
		if (!(count % 10))
			pci_notice_ratelimited(vdev->pdev,
					       "Relaying device request to user (#%u)\n",
					       count);
	} else if (!count && !pci_dev_is_disconnected(vdev->pdev)) {
		pci_warn(vdev->pdev,
			 "No device request channel registered, blocked until released by user\n");
	}
}
EXPORT_SYMBOL_GPL(vfio_pci_core_request);

/**
 * vfio_pci_core_match - &vfio_device_ops.match of vfio-pci devices
 * @core_vdev: the device
 * @buf: what the user asked for: the PCI address, which " vf_token=UUID" may
 *	follow; taken apart where the address is this device's
 *
 * Return: 1 for this device, 0 for another, -EINVAL for options that are not
 * known, what vfio_pci_vf_token_check() returns.
 * Context: may sleep.
 */
int vfio_pci_core_match(struct vfio_device *core_vdev, char *buf)
{
	struct vfio_pci_core_device *vdev = to_vdev(core_vdev);
	uuid_t token, *given = NULL;
	char *option;
	size_t len;
	int ret;

	len = str_has_prefix(buf, pci_name(vdev->pdev));
	if (!len)
		return 0;

	buf += len;
	if (*buf && *buf != ' ')
		return 0;

	while ((option = strsep(&buf, " "))) {
		if (!*option)
			continue;
		len = str_has_prefix(option, "vf_token=");
		if (!len || given || strlen(option) != len + UUID_STRING_LEN ||
		    uuid_parse(option + len, &token))
			return -EINVAL;
		given = &token;
	}

	ret = vfio_pci_vf_token_check(vdev, given);
	return ret ?: 1;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_match);

/**
 * vfio_pci_core_aer_err_detected - tell the user of a PCIe error
 * @pdev: the function
 * @state: whether it can still be reached
 *
 * A driver with error handlers of its own need not care for device memory: where it has
 * none that resumes, the memory comes back a second after the platform has dealt with the
 * error; in any case with the user's reset.
 *
 * Return: PCI_ERS_RESULT_CAN_RECOVER: what recovers it is the user's decision.
 * Context: may sleep.
 */
pci_ers_result_t vfio_pci_core_aer_err_detected(struct pci_dev *pdev,
						pci_channel_state_t state)
{
	struct vfio_pci_core_device *vdev = pci_get_drvdata(pdev);

	vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_ERROR);
	if (state != pci_channel_io_normal)
		vfio_pci_gate_error(vdev);
	vfio_pci_error_record(vdev, state);
	vfio_pci_signal_error(vdev);
	return PCI_ERS_RESULT_CAN_RECOVER;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_aer_err_detected);

static void vfio_pci_aer_resume(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = pci_get_drvdata(pdev);

	vfio_pci_error_resume(vdev);
	vfio_pci_gate_resume(vdev);
}

/* Somebody else's reset, of the function or of the bus it is on. */
static void vfio_pci_reset_prepare(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *vdev = pci_get_drvdata(pdev);

	vfio_pci_clean_touch(vdev, VFIO_PCI_TOUCH_RESET);
	vfio_pci_gate_reset_prepare(vdev);
}

static void vfio_pci_reset_done(struct pci_dev *pdev)
{
	vfio_pci_gate_reset_done(pci_get_drvdata(pdev));
}

const struct pci_error_handlers vfio_pci_core_err_handlers = {
	.error_detected = vfio_pci_core_aer_err_detected,
	.reset_prepare = vfio_pci_reset_prepare,
	.reset_done = vfio_pci_reset_done,
	.resume = vfio_pci_aer_resume,
};
EXPORT_SYMBOL_GPL(vfio_pci_core_err_handlers);

static int __init vfio_pci_core_module_init(void)
{
	int ret = vfio_pci_config_module_init();

	if (!ret)
		vfio_peer_register_host(&vfio_pci_peer_host);
	return ret;
}

static void __exit vfio_pci_core_module_exit(void)
{
	vfio_peer_unregister_host(&vfio_pci_peer_host);
	vfio_pci_irqs_module_exit();
	vfio_pci_config_module_exit();
}

module_init(vfio_pci_core_module_init);
module_exit(vfio_pci_core_module_exit);

MODULE_VERSION("0.4");
MODULE_DESCRIPTION("core driver for VFIO based PCI devices");
MODULE_AUTHOR("The VFIO stack project");
MODULE_LICENSE("GPL");
