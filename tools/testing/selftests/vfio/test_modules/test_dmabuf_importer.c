// SPDX-License-Identifier: GPL-2.0-only
/*
 * An importer of dma-bufs: the DMA engine of QEMU's edu device, which carries
 * data between a dma-buf and a test, and lets go of it in the way that the test
 * asks for.
 *
 * Locks: importer->lock covers which dma-buf is attached, and is outside the
 * dma-buf's reservation lock, which covers the mapping. move_notify has only the
 * latter. edu->engine is innermost and held for one transfer; the reservation
 * lock is taken in it to start the transfer.
 */
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/sync_file.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "test_dmabuf_importer.h"

#define PCI_VENDOR_ID_EDU	0x1234
#define PCI_DEVICE_ID_EDU	0x11e8

#define EDU_DMA_SRC	0x80
#define EDU_DMA_DST	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_CMD	0x98
#define EDU_CMD_START	1
#define EDU_CMD_TO_RAM	2
#define EDU_BUF		0x40000

#define TIMEOUT_MS	20000

struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct mutex engine;	/* one transfer at a time */
	void *staging;		/* TEST_DMABUF_MAX_DMA bytes */
	dma_addr_t staging_dma;
	struct miscdevice misc;
	atomic_t users;
	wait_queue_head_t idle;
};

struct importer {
	struct edu *edu;
	struct mutex lock;	/* dmabuf, attach; serializes requests */
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct test_fence *user_fence;	/* of TEST_DMABUF_SYNC_FILE */
	u32 on_notify;
	u32 delay_ms;
	bool recovered;
	wait_queue_head_t recovery;
	/* Under the reservation lock. */
	struct sg_table *sgt;
	u32 notified;
	bool busy;		/* a transfer runs */
	wait_queue_head_t done;
	struct delayed_work let_go;
};

static unsigned int dma_bits = 28;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "How many address bits edu drives");

static struct platform_device *not_pci;

/* ---- Fences ---- */

struct test_fence {
	struct dma_fence base;
	spinlock_t lock;	/* the base's */
	ktime_t due;
	struct delayed_work signal;
};

static const char *test_fence_name(struct dma_fence *fence)
{
	return TEST_DMABUF_DRIVER;
}

static const struct dma_fence_ops test_fence_ops = {
	.get_driver_name = test_fence_name,
	.get_timeline_name = test_fence_name,
};

static void test_fence_end(struct test_fence *fence)
{
	dma_fence_signal(&fence->base);
	dma_fence_put(&fence->base);
}

static void test_fence_work(struct work_struct *work)
{
	struct test_fence *fence = container_of(work, struct test_fence,
						signal.work);

	/* Jiffies that lagged behind when it was scheduled let it be early. */
	if (ktime_before(ktime_get(), fence->due))
		schedule_delayed_work(&fence->signal, 1);
	else
		test_fence_end(fence);
}

static struct test_fence *test_fence_create(void)
{
	struct test_fence *fence;

	fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	if (!fence)
		return NULL;

	spin_lock_init(&fence->lock);
	INIT_DELAYED_WORK(&fence->signal, test_fence_work);
	dma_fence_init(&fence->base, &test_fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	return fence;
}

/* The reservation lock is held. */
static struct test_fence *test_fence_add(struct dma_resv *resv, u32 usage)
{
	struct test_fence *fence;
	int ret;

	ret = dma_resv_reserve_fences(resv, 1);
	if (ret)
		return ERR_PTR(ret);
	fence = test_fence_create();
	if (!fence)
		return ERR_PTR(-ENOMEM);
	dma_resv_add_fence(resv, &fence->base, usage);
	return fence;
}

/* ---- The engine ---- */

static void edu_start(struct edu *edu, dma_addr_t addr, u32 len, bool to_memory)
{
	writeq(to_memory ? EDU_BUF : addr, edu->regs + EDU_DMA_SRC);
	writeq(to_memory ? addr : EDU_BUF, edu->regs + EDU_DMA_DST);
	writeq(len, edu->regs + EDU_DMA_COUNT);
	writeq(EDU_CMD_START | (to_memory ? EDU_CMD_TO_RAM : 0),
	       edu->regs + EDU_DMA_CMD);
}

static int edu_wait(struct edu *edu)
{
	int ms;

	for (ms = 0; ms < TIMEOUT_MS; ms++) {
		if (!(readq(edu->regs + EDU_DMA_CMD) & EDU_CMD_START))
			return 0;
		usleep_range(1000, 1500);
	}
	return -ETIMEDOUT;
}

static int edu_stage(struct edu *edu, u32 len, bool to_staging)
{
	edu_start(edu, edu->staging_dma, len, to_staging);
	return edu_wait(edu);
}

/* ---- The importer ---- */

static void importer_unmap_locked(struct importer *imp)
{
	dma_resv_assert_held(imp->dmabuf->resv);
	if (!imp->sgt)
		return;
	dma_buf_unmap_attachment(imp->attach, imp->sgt, DMA_BIDIRECTIONAL);
	imp->sgt = NULL;
}

static void importer_unmap(struct importer *imp)
{
	/* A transfer may run, but none that begins before we have the lock. */
	dma_resv_lock(imp->dmabuf->resv, NULL);
	while (imp->busy) {
		dma_resv_unlock(imp->dmabuf->resv);
		wait_event(imp->done, !READ_ONCE(imp->busy));
		dma_resv_lock(imp->dmabuf->resv, NULL);
	}
	importer_unmap_locked(imp);
	dma_resv_unlock(imp->dmabuf->resv);
}

static void importer_let_go(struct work_struct *work)
{
	importer_unmap(container_of(work, struct importer, let_go.work));
}

static void importer_notify(struct dma_buf_attachment *attach)
{
	struct importer *imp = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	imp->notified++;
	if (imp->on_notify == TEST_DMABUF_STUCK)
		wait_event(imp->recovery, READ_ONCE(imp->recovered));
	if (!imp->sgt || imp->on_notify == TEST_DMABUF_NEVER ||
	    imp->on_notify == TEST_DMABUF_STUCK)
		return;
	if (imp->on_notify == TEST_DMABUF_AT_ONCE && !imp->busy)
		importer_unmap_locked(imp);
	else
		schedule_delayed_work(&imp->let_go,
				      msecs_to_jiffies(imp->delay_ms));
}

static const struct dma_buf_attach_ops importer_ops = {
	.allow_peer2peer = true,
	.move_notify = importer_notify,
};

static const struct dma_buf_attach_ops importer_no_p2p_ops = {
	.move_notify = importer_notify,
};

static int importer_attach(struct importer *imp, void __user *arg)
{
	const struct dma_buf_attach_ops *ops = &importer_ops;
	struct device *dev = &imp->edu->pdev->dev;
	struct dma_buf_attachment *attach;
	struct test_dmabuf_attach req;
	struct dma_buf *dmabuf;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (imp->dmabuf)
		return -EEXIST;

	dmabuf = dma_buf_get(req.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	if (req.kind & TEST_DMABUF_NO_P2P)
		ops = &importer_no_p2p_ops;
	if (req.kind & TEST_DMABUF_STATIC)
		ops = NULL;
	if (req.kind & TEST_DMABUF_NOT_PCI)
		dev = &not_pci->dev;

	/* A notification may come at once, but does nothing without mapping. */
	imp->on_notify = req.on_notify;
	imp->delay_ms = req.delay_ms;
	imp->recovered = false;
	imp->notified = 0;
	attach = dma_buf_dynamic_attach(dmabuf, dev, ops, ops ? imp : NULL);
	if (IS_ERR(attach)) {
		dma_buf_put(dmabuf);
		return PTR_ERR(attach);
	}
	imp->attach = attach;
	imp->dmabuf = dmabuf;
	return 0;
}

static void importer_recover(struct importer *imp)
{
	WRITE_ONCE(imp->recovered, true);
	wake_up_all(&imp->recovery);
}

static void importer_detach(struct importer *imp)
{
	if (!imp->dmabuf)
		return;

	importer_recover(imp);
	importer_unmap(imp);
	cancel_delayed_work_sync(&imp->let_go);
	dma_buf_detach(imp->dmabuf, imp->attach);
	dma_buf_put(imp->dmabuf);
	imp->dmabuf = NULL;
	imp->attach = NULL;
}

static int importer_map(struct importer *imp)
{
	struct sg_table *sgt;
	int ret = 0;

	dma_resv_lock(imp->dmabuf->resv, NULL);
	sgt = dma_buf_map_attachment(imp->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		ret = PTR_ERR(sgt);
	else
		imp->sgt = sgt;
	dma_resv_unlock(imp->dmabuf->resv);
	return ret;
}

static int importer_pin(struct importer *imp, bool pin)
{
	int ret = 0;

	dma_resv_lock(imp->dmabuf->resv, NULL);
	if (pin)
		ret = dma_buf_pin(imp->attach);
	else
		dma_buf_unpin(imp->attach);
	dma_resv_unlock(imp->dmabuf->resv);
	return ret;
}

/* The bus address of an offset in the dma-buf. */
static int importer_address(struct importer *imp, u64 offset, u32 len,
			    dma_addr_t *addr)
{
	struct scatterlist *sg;
	int i;

	if (!imp->sgt)
		return -ENOTCONN;
	for_each_sgtable_dma_sg(imp->sgt, sg, i) {
		if (offset < sg_dma_len(sg)) {
			*addr = sg_dma_address(sg) + offset;
			return len <= sg_dma_len(sg) - offset ? 0 : -ERANGE;
		}
		offset -= sg_dma_len(sg);
	}
	return -ERANGE;
}

/* Between the device's buffer and the dma-buf; the engine is ours. */
static int importer_transfer(struct importer *imp,
			     const struct test_dmabuf_dma *req)
{
	struct dma_resv *resv = imp->dmabuf->resv;
	struct test_fence *fence = NULL;
	dma_addr_t addr;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = importer_address(imp, req->offset, req->len, &addr);
	if (!ret && req->fence) {
		fence = test_fence_add(resv, req->write ? DMA_RESV_USAGE_WRITE :
							  DMA_RESV_USAGE_READ);
		ret = PTR_ERR_OR_ZERO(fence);
	}
	if (ret) {
		dma_resv_unlock(resv);
		return ret;
	}
	imp->busy = true;
	edu_start(imp->edu, addr, req->len, req->write);
	dma_resv_unlock(resv);

	ret = edu_wait(imp->edu);
	WRITE_ONCE(imp->busy, false);
	wake_up(&imp->done);
	if (fence)
		test_fence_end(fence);
	return ret;
}

static int importer_dma(struct importer *imp, void __user *arg)
{
	struct edu *edu = imp->edu;
	struct test_dmabuf_dma req;
	void __user *user;
	int ret = 0;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!req.len || req.len > TEST_DMABUF_MAX_DMA)
		return -EINVAL;
	user = u64_to_user_ptr(req.user);

	mutex_lock(&edu->engine);
	if (req.write && copy_from_user(edu->staging, user, req.len))
		ret = -EFAULT;
	if (!ret && req.write)
		ret = edu_stage(edu, req.len, false);
	if (!ret)
		ret = importer_transfer(imp, &req);
	if (!ret && !req.write)
		ret = edu_stage(edu, req.len, true);
	if (!ret && !req.write && copy_to_user(user, edu->staging, req.len))
		ret = -EFAULT;
	mutex_unlock(&edu->engine);
	return ret;
}

static int importer_fence(struct importer *imp, void __user *arg)
{
	struct test_dmabuf_fence req;
	struct test_fence *fence;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.usage > DMA_RESV_USAGE_BOOKKEEP)
		return -EINVAL;

	dma_resv_lock(imp->dmabuf->resv, NULL);
	fence = test_fence_add(imp->dmabuf->resv, req.usage);
	dma_resv_unlock(imp->dmabuf->resv);
	if (IS_ERR(fence))
		return PTR_ERR(fence);
	fence->due = ktime_add_ms(ktime_get(), req.delay_ms);
	schedule_delayed_work(&fence->signal, msecs_to_jiffies(req.delay_ms));
	return 0;
}

static void importer_signal(struct importer *imp)
{
	if (imp->user_fence)
		test_fence_end(imp->user_fence);
	imp->user_fence = NULL;
}

static int importer_sync_file(struct importer *imp)
{
	struct sync_file *sync;
	int fd;

	importer_signal(imp);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	imp->user_fence = test_fence_create();
	sync = imp->user_fence ? sync_file_create(&imp->user_fence->base) :
				 NULL;
	if (!sync) {
		importer_signal(imp);
		put_unused_fd(fd);
		return -ENOMEM;
	}
	fd_install(fd, sync->file);
	return fd;
}

static int importer_state(struct importer *imp, void __user *arg)
{
	struct test_dmabuf_state state = {};
	struct scatterlist *sg;
	int i;

	dma_resv_lock(imp->dmabuf->resv, NULL);
	state.notified = imp->notified;
	if (imp->sgt) {
		state.mapped = 1;
		for_each_sgtable_dma_sg(imp->sgt, sg, i) {
			state.entries++;
			state.bytes += sg_dma_len(sg);
			state.longest = max_t(u64, state.longest,
					      sg_dma_len(sg));
#ifndef CONFIG_DMABUF_DEBUG
			state.pages += !!sg_page(sg);
#endif
		}
	}
	dma_resv_unlock(imp->dmabuf->resv);
	return copy_to_user(arg, &state, sizeof(state)) ? -EFAULT : 0;
}

static int importer_request(struct importer *imp, unsigned int cmd,
			    void __user *arg)
{
	switch (cmd) {
	case TEST_DMABUF_ATTACH:
		return importer_attach(imp, arg);
	case TEST_DMABUF_SYNC_FILE:
		return importer_sync_file(imp);
	case TEST_DMABUF_SIGNAL:
		importer_signal(imp);
		return 0;
	}

	if (!imp->dmabuf)
		return -ENOTCONN;

	switch (cmd) {
	case TEST_DMABUF_RECOVER:
		importer_recover(imp);
		return 0;
	case TEST_DMABUF_DETACH:
		importer_detach(imp);
		return 0;
	case TEST_DMABUF_MAP:
		return importer_map(imp);
	case TEST_DMABUF_UNMAP:
		importer_unmap(imp);
		return 0;
	case TEST_DMABUF_PIN:
		return importer_pin(imp, true);
	case TEST_DMABUF_UNPIN:
		return importer_pin(imp, false);
	case TEST_DMABUF_DMA:
		return importer_dma(imp, arg);
	case TEST_DMABUF_FENCE:
		return importer_fence(imp, arg);
	case TEST_DMABUF_STATE:
		return importer_state(imp, arg);
	default:
		return -ENOTTY;
	}
}

static long importer_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct importer *imp = file->private_data;
	long ret;

	mutex_lock(&imp->lock);
	ret = importer_request(imp, cmd, (void __user *)arg);
	mutex_unlock(&imp->lock);
	return ret;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct edu *edu = container_of(file->private_data, struct edu, misc);
	struct importer *imp;

	imp = kzalloc(sizeof(*imp), GFP_KERNEL);
	if (!imp)
		return -ENOMEM;
	imp->edu = edu;
	mutex_init(&imp->lock);
	init_waitqueue_head(&imp->done);
	init_waitqueue_head(&imp->recovery);
	INIT_DELAYED_WORK(&imp->let_go, importer_let_go);
	atomic_inc(&edu->users);
	file->private_data = imp;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *imp = file->private_data;
	struct edu *edu = imp->edu;

	importer_detach(imp);
	importer_signal(imp);
	kfree(imp);
	if (atomic_dec_and_test(&edu->users))
		wake_up(&edu->idle);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

/* ---- The device ---- */

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct edu *edu;
	int ret;

	edu = devm_kzalloc(dev, sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	edu->pdev = pdev;
	mutex_init(&edu->engine);
	init_waitqueue_head(&edu->idle);

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->regs = pcim_iomap(pdev, 0, 0);
	if (!edu->regs)
		return -ENOMEM;
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(dma_bits));
	if (ret)
		return ret;
	edu->staging = dmam_alloc_coherent(dev, TEST_DMABUF_MAX_DMA,
					   &edu->staging_dma, GFP_KERNEL);
	if (!edu->staging)
		return -ENOMEM;
	pci_set_master(pdev);

	edu->misc.minor = MISC_DYNAMIC_MINOR;
	edu->misc.fops = &importer_fops;
	edu->misc.name = devm_kasprintf(dev, GFP_KERNEL, "test_dmabuf.%s",
					pci_name(pdev));
	if (!edu->misc.name)
		return -ENOMEM;
	pci_set_drvdata(pdev, edu);
	return misc_register(&edu->misc);
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	misc_deregister(&edu->misc);
	wait_event(edu->idle, !atomic_read(&edu->users));
	pci_clear_master(pdev);
}

/* Only where driver_override asks for it. */
static const struct pci_device_id edu_ids[] = {
	{
		PCI_DEVICE(PCI_VENDOR_ID_EDU, PCI_DEVICE_ID_EDU),
		.override_only = PCI_ID_F_VFIO_DRIVER_OVERRIDE,
	},
	{ }
};

static struct pci_driver edu_driver = {
	.name = TEST_DMABUF_DRIVER,
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

static int __init test_init(void)
{
	int ret;

	not_pci = platform_device_register_simple(TEST_DMABUF_DRIVER, -1, NULL,
						  0);
	if (IS_ERR(not_pci))
		return PTR_ERR(not_pci);
	ret = pci_register_driver(&edu_driver);
	if (ret)
		platform_device_unregister(not_pci);
	return ret;
}

static void __exit test_exit(void)
{
	pci_unregister_driver(&edu_driver);
	platform_device_unregister(not_pci);
}

module_init(test_init);
module_exit(test_exit);

MODULE_IMPORT_NS(DMA_BUF);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("An importer of dma-bufs for the VFIO selftests");
