// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving data between device memory (or ports) and a user's buffer.
 *
 * The user's page may be a mapping of the very device, and a fault on it takes
 * memory_lock; it may take as long as the user likes, too. So data goes through a
 * kernel buffer, and memory_lock is held, and the device kept from being revoked,
 * only between the buffer and the device. One hold covers at most IO_CHUNK
 * bytes, which bounds how long someone who closes the gate has to wait.
 *
 * The device sees naturally aligned accesses of 8, 4, 2 and 1 byte in rising
 * order, the widest that position and remaining length allow. Bytes keep their
 * places: a value is not converted between the device and the buffer.
 */
#include <linux/align.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/unroll.h>
#include <linux/vgaarb.h>

#include "vfio_pci_priv.h"

/* Also the alignment of the pieces, so that none splits a wide access. */
#define IO_CHUNK	SZ_4K
/* What fits on the stack; registers are nearly always read this way. */
#define IO_SMALL	64

#ifdef __BIG_ENDIAN
#define raw_ioread16	ioread16be
#define raw_ioread32	ioread32be
#define raw_ioread64	ioread64be
#define raw_iowrite16	iowrite16be
#define raw_iowrite32	iowrite32be
#define raw_iowrite64	iowrite64be
#else
#define raw_ioread16	ioread16
#define raw_ioread32	ioread32
#define raw_ioread64	ioread64
#define raw_iowrite16	iowrite16
#define raw_iowrite32	iowrite32
#define raw_iowrite64	iowrite64
#endif
#define raw_ioread8	ioread8
#define raw_iowrite8	iowrite8

/* With @test_mem, memory_lock is taken and the gate has to be open. */
static int vfio_pci_io_begin(struct vfio_pci_core_device *vdev, bool test_mem)
{
	if (!test_mem)
		return 0;

	down_read(&vdev->memory_lock);
	if (vfio_pci_gate_is_open(vdev))
		return 0;

	up_read(&vdev->memory_lock);
	return -EIO;
}

static void vfio_pci_io_end(struct vfio_pci_core_device *vdev, bool test_mem)
{
	if (test_mem)
		up_read(&vdev->memory_lock);
}

#define VFIO_PCI_IO_ACCESSORS(size)					\
int vfio_pci_core_ioread##size(struct vfio_pci_core_device *vdev,	\
			       bool test_mem, u##size *val,		\
			       void __iomem *io)			\
{									\
	int ret = vfio_pci_io_begin(vdev, test_mem);			\
									\
	if (!ret) {							\
		*val = raw_ioread##size(io);				\
		vfio_pci_io_end(vdev, test_mem);			\
	}								\
	return ret;							\
}									\
EXPORT_SYMBOL_GPL(vfio_pci_core_ioread##size);				\
									\
int vfio_pci_core_iowrite##size(struct vfio_pci_core_device *vdev,	\
				bool test_mem, u##size val,		\
				void __iomem *io)			\
{									\
	int ret = vfio_pci_io_begin(vdev, test_mem);			\
									\
	if (!ret) {							\
		raw_iowrite##size(val, io);				\
		vfio_pci_io_end(vdev, test_mem);			\
	}								\
	return ret;							\
}									\
EXPORT_SYMBOL_GPL(vfio_pci_core_iowrite##size)

VFIO_PCI_IO_ACCESSORS(8);
VFIO_PCI_IO_ACCESSORS(16);
VFIO_PCI_IO_ACCESSORS(32);
VFIO_PCI_IO_ACCESSORS(64);

/*
 * One width's accesses to @run bytes, eight to a round: a BAR may be memory
 * that answers as fast as the loop goes round.
 */
#define IO_READ_ONE(n, type, read)					\
	*(type *)(buf + i + (n) * sizeof(type)) =			\
		read(io + i + (n) * sizeof(type));
#define IO_READ_RUN(type, read) do {					\
	for (i = 0; run - i >= 8 * sizeof(type); i += 8 * sizeof(type)) { \
		UNROLL(8, IO_READ_ONE, type, read)			\
	}								\
	for (; i < run; i += sizeof(type)) {				\
		IO_READ_ONE(0, type, read)				\
	}								\
} while (0)

#define IO_WRITE_ONE(n, type, write)					\
	write(*(type *)(buf + i + (n) * sizeof(type)),			\
	      io + i + (n) * sizeof(type));
#define IO_WRITE_RUN(type, write) do {					\
	for (i = 0; run - i >= 8 * sizeof(type); i += 8 * sizeof(type)) { \
		UNROLL(8, IO_WRITE_ONE, type, write)			\
	}								\
	for (; i < run; i += sizeof(type)) {				\
		IO_WRITE_ONE(0, type, write)				\
	}								\
} while (0)

/*
 * The widest access that @off and @count allow, and how many bytes can be moved
 * with it before another width is due.
 */
static size_t vfio_pci_io_run(loff_t off, size_t count, size_t max_width,
			      size_t *run)
{
	size_t width = max_width;

	while (width > count || !IS_ALIGNED(off, width))
		width >>= 1;
	*run = width == max_width ? count & ~(width - 1) : width;
	return width;
}

#define VFIO_PCI_IO_MOVERS(kind, r8, r16, r32, r64, w8, w16, w32, w64)	\
static void vfio_pci_##kind##_read(void __iomem *io, void *buf,		\
				   loff_t off, size_t count,		\
				   size_t max_width)			\
{									\
	size_t i, run;							\
									\
	for (; count; count -= run, off += run, io += run, buf += run) {\
		switch (vfio_pci_io_run(off, count, max_width, &run)) {	\
		case 8:							\
			IO_READ_RUN(u64, r64);				\
			break;						\
		case 4:							\
			IO_READ_RUN(u32, r32);				\
			break;						\
		case 2:							\
			IO_READ_RUN(u16, r16);				\
			break;						\
		default:						\
			IO_READ_RUN(u8, r8);				\
		}							\
	}								\
}									\
									\
static void vfio_pci_##kind##_write(void __iomem *io, const void *buf,	\
				    loff_t off, size_t count,		\
				    size_t max_width)			\
{									\
	size_t i, run;							\
									\
	for (; count; count -= run, off += run, io += run, buf += run) {\
		switch (vfio_pci_io_run(off, count, max_width, &run)) {	\
		case 8:							\
			IO_WRITE_RUN(u64, w64);				\
			break;						\
		case 4:							\
			IO_WRITE_RUN(u32, w32);				\
			break;						\
		case 2:							\
			IO_WRITE_RUN(u16, w16);				\
			break;						\
		default:						\
			IO_WRITE_RUN(u8, w8);				\
		}							\
	}								\
}

/* Memory or ports: the architecture tells them apart at each access. */
VFIO_PCI_IO_MOVERS(any, raw_ioread8, raw_ioread16, raw_ioread32, raw_ioread64,
		   raw_iowrite8, raw_iowrite16, raw_iowrite32, raw_iowrite64)
/* Known to be memory. */
#ifdef __BIG_ENDIAN
#define vfio_pci_mem_read	vfio_pci_any_read
#define vfio_pci_mem_write	vfio_pci_any_write
#else
VFIO_PCI_IO_MOVERS(mem, readb, readw, readl, readq,
		   writeb, writew, writel, writeq)
#endif

/*
 * Copies of whole blocks of 64 bytes by words: a string move of the kernel's
 * own copy costs as many steps as there are bytes where the CPU, or who emulates
 * it, is slow at them. Anything else is short.
 */
#define USER_BLOCK	(8 * sizeof(u64))
#define PUT_WORD(n, to, from, label)					\
	unsafe_put_user((from)[n], (to) + (n), label);
#define GET_WORD(n, to, from, label)					\
	unsafe_get_user((to)[n], (from) + (n), label);

/* A register: a size that the compiler knows needs no look at the buffer. */
static unsigned long vfio_pci_put_short(char __user *user, const void *buf,
					size_t count)
{
	switch (count) {
	case 4:
		return copy_to_user(user, buf, 4);
	case 8:
		return copy_to_user(user, buf, 8);
	default:
		return copy_to_user(user, buf, count);
	}
}

static unsigned long vfio_pci_get_short(void *buf, const char __user *user,
					size_t count)
{
	switch (count) {
	case 4:
		return copy_from_user(buf, user, 4);
	case 8:
		return copy_from_user(buf, user, 8);
	default:
		return copy_from_user(buf, user, count);
	}
}

static int vfio_pci_put_user(char __user *user, const void *buf, size_t count)
{
	u64 __user *to = (u64 __user *)user;
	const u64 *from = buf;

	if (count % USER_BLOCK)
		return vfio_pci_put_short(user, buf, count) ? -EFAULT : 0;

	if (!user_write_access_begin(to, count))
		return -EFAULT;
	for (; count; count -= USER_BLOCK, to += 8, from += 8) {
		UNROLL(8, PUT_WORD, to, from, fault)
	}
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

static int vfio_pci_get_user(void *buf, const char __user *user, size_t count)
{
	const u64 __user *from = (const u64 __user *)user;
	u64 *to = buf;

	if (count % USER_BLOCK)
		return vfio_pci_get_short(buf, user, count) ? -EFAULT : 0;

	if (!user_read_access_begin(from, count))
		return -EFAULT;
	for (; count; count -= USER_BLOCK, to += 8, from += 8) {
		UNROLL(8, GET_WORD, to, from, fault)
	}
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

/*
 * Where a user's data comes from or goes to: what is mapped at @io, or else a
 * BAR, wherever it is mapped at the time of each access.
 */
struct vfio_pci_io_place {
	void __iomem *io;
	int bar;
	bool gated;		/* it is memory behind the gate */
	unsigned int vga_rsrc;	/* what the VGA arbiter calls it, or 0 */
	size_t max_width;
};

static int vfio_pci_io_move(struct vfio_pci_core_device *vdev,
			    const struct vfio_pci_io_place *place, void *buf,
			    loff_t off, size_t count, bool iswrite)
{
	void __iomem *io = place->io + off;
	bool wc = false;

	if (!place->io)
		io = vfio_pci_bar_io(vdev, place->bar, off, &wc);
	if (!io)
		return -ENOMEM;

	if (place->gated && iswrite)
		vfio_pci_mem_write(io, buf, off, count, place->max_width);
	else if (place->gated)
		vfio_pci_mem_read(io, buf, off, count, place->max_width);
	else if (iswrite)
		vfio_pci_any_write(io, buf, off, count, place->max_width);
	else
		vfio_pci_any_read(io, buf, off, count, place->max_width);

	if (iswrite && wc) {
		/* It has left the CPU when the user, or a closer, goes on. */
		wmb();
	}
	return 0;
}

/* -EIO where the gate is closed. */
static int vfio_pci_io_try_gate(struct vfio_pci_core_device *vdev,
				const struct vfio_pci_io_place *place,
				void *buf, loff_t off, size_t count,
				bool iswrite)
{
	int ret = vfio_pci_io_begin(vdev, true);

	if (ret)
		return ret;
	ret = vfio_pci_io_move(vdev, place, buf, off, count, iswrite);
	vfio_pci_io_end(vdev, true);
	return ret;
}

/*
 * Behind an open gate the function is awake and the driver's, and stays so while
 * the lock is held. One that sleeps is woken by the user's call; somebody else may
 * have woken it since the gate was looked at.
 */
static int vfio_pci_io_gated(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_io_place *place, void *buf,
			     loff_t off, size_t count, bool iswrite)
{
	int ret = vfio_pci_io_try_gate(vdev, place, buf, off, count, iswrite);

	if (likely(ret != -EIO))
		return ret;

	ret = vfio_pci_begin(vdev);
	if (ret)
		return ret;
	ret = vfio_pci_io_try_gate(vdev, place, buf, off, count, iswrite);
	vfio_pci_end(vdev);
	return ret;
}

/* Ports and what else is not behind the gate. */
static int vfio_pci_io_called(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_io_place *place, void *buf,
			      loff_t off, size_t count, bool iswrite)
{
	int ret = 0;

	/* Not in the call: who has the range may keep it. */
	if (place->vga_rsrc)
		ret = vga_get_interruptible(vdev->pdev, place->vga_rsrc);
	if (ret)
		return ret;

	ret = vfio_pci_begin(vdev);
	if (!ret) {
		ret = vfio_pci_io_move(vdev, place, buf, off, count, iswrite);
		vfio_pci_end(vdev);
	}
	if (place->vga_rsrc)
		vga_put(vdev->pdev, place->vga_rsrc);
	return ret;
}

/*
 * One piece that touches nothing excluded, through the kernel buffer @buf,
 * which is aligned as @off is.
 */
static int vfio_pci_io_piece(struct vfio_pci_core_device *vdev,
			     const struct vfio_pci_io_place *place, void *buf,
			     char __user *user, loff_t off, size_t count,
			     bool iswrite)
{
	int ret;

	if (iswrite) {
		ret = vfio_pci_get_user(buf, user, count);
		if (ret)
			return ret;
	}

	if (place->gated)
		ret = vfio_pci_io_gated(vdev, place, buf, off, count, iswrite);
	else
		ret = vfio_pci_io_called(vdev, place, buf, off, count, iswrite);
	if (ret || iswrite)
		return ret;

	return vfio_pci_put_user(user, buf, count);
}

/* The excluded range reads as all ones and ignores writes. */
static int vfio_pci_io_excluded(char __user *user, size_t count, bool iswrite)
{
	static const u8 ones[16] = { [0 ... 15] = 0xff };

	while (!iswrite && count) {
		size_t part = min(count, sizeof(ones));

		if (copy_to_user(user, ones, part))
			return -EFAULT;
		user += part;
		count -= part;
	}
	return 0;
}

/*
 * A buffer of IO_CHUNK bytes. The device keeps the last one: an allocation and
 * its clearing would cost as much as reading the device's memory does.
 */
static void *vfio_pci_io_buffer_get(struct vfio_pci_core_device *vdev)
{
	return xchg(&vdev->io_buffer, NULL) ?: kmalloc(IO_CHUNK, GFP_KERNEL);
}

static void vfio_pci_io_buffer_put(struct vfio_pci_core_device *vdev,
				   void *buffer)
{
	kfree(xchg(&vdev->io_buffer, buffer));
}

static ssize_t vfio_pci_io_pieces(struct vfio_pci_core_device *vdev,
				  const struct vfio_pci_io_place *place,
				  char __user *buf, loff_t off, size_t count,
				  size_t x_start, size_t x_end, bool iswrite)
{
	u64 small[IO_SMALL / sizeof(u64)];
	size_t size = sizeof(small);
	void *buffer = small;
	size_t done = 0;
	ssize_t ret = 0;

	if (count > size) {
		size = IO_CHUNK;
		buffer = vfio_pci_io_buffer_get(vdev);
		if (!buffer)
			return -ENOMEM;
	}

	while (done < count) {
		size_t at = off & (size - 1);
		size_t part = min(count - done, size - at);

		if (off >= x_start && off < x_end) {
			part = min_t(size_t, count - done, x_end - off);
			ret = vfio_pci_io_excluded(buf + done, part, iswrite);
		} else {
			if (off < x_start)
				part = min_t(size_t, part, x_start - off);
			ret = vfio_pci_io_piece(vdev, place, buffer + at,
						buf + done, off, part,
						iswrite);
		}
		if (ret)
			break;

		done += part;
		off += part;
	}

	if (buffer != small)
		vfio_pci_io_buffer_put(vdev, buffer);
	return ret ?: done;
}

/* Trapped registers are the most frequent by far. */
static ssize_t vfio_pci_io_rw(struct vfio_pci_core_device *vdev,
			      const struct vfio_pci_io_place *place,
			      char __user *buf, loff_t off, size_t count,
			      size_t x_start, size_t x_end, bool iswrite)
{
	u64 word = 0;
	int ret;

	if ((count != 4 && count != 8) || off & (count - 1) || x_end > x_start)
		return vfio_pci_io_pieces(vdev, place, buf, off, count,
					  x_start, x_end, iswrite);

	ret = vfio_pci_io_piece(vdev, place, &word, buf, off, count, iswrite);
	return ret ?: count;
}

/**
 * vfio_pci_core_do_io_rw - read or write device memory or ports for a user
 * @vdev: the device
 * @test_mem: @io is memory: fail with -EIO unless the gate is open
 * @io: where the region is mapped
 * @buf: the user's buffer
 * @off: offset in the region, in bytes
 * @count: bytes to move; the caller has checked that they are in the region
 * @x_start: first byte of a range that must not be touched
 * @x_end: the byte behind that range; not above @x_start where there is none
 * @iswrite: from the user to the device
 * @max_width: widest access the device takes
 *
 * The range not to be touched reads as all ones and swallows writes.
 *
 * Return: bytes moved, which is @count, or -EIO, -EFAULT or -ENOMEM.
 * Context: may sleep and fault; memory_lock is not held.
 */
ssize_t vfio_pci_core_do_io_rw(struct vfio_pci_core_device *vdev, bool test_mem,
			       void __iomem *io, char __user *buf,
			       loff_t off, size_t count, size_t x_start,
			       size_t x_end, bool iswrite,
			       enum vfio_pci_io_width max_width)
{
	const struct vfio_pci_io_place place = {
		.io = io,
		.gated = test_mem,
		.max_width = max_width,
	};

	return vfio_pci_io_rw(vdev, &place, buf, off, count, x_start, x_end,
			      iswrite);
}
EXPORT_SYMBOL_GPL(vfio_pci_core_do_io_rw);

/**
 * vfio_pci_bar_io_rw - the same for a BAR that this driver has mapped
 * @vdev: the device
 * @bar: number of the BAR; vfio_pci_bar_setup() succeeded
 * @buf: the user's buffer
 * @off: offset in the BAR
 * @count: bytes to move, inside the BAR
 * @x_start: first byte of a range that must not be touched
 * @x_end: the byte behind that range
 * @iswrite: from the user to the device
 *
 * The BAR's division may change meanwhile, see barmap.c.
 *
 * Return: as vfio_pci_core_do_io_rw().
 * Context: likewise.
 */
ssize_t vfio_pci_bar_io_rw(struct vfio_pci_core_device *vdev, int bar,
			   char __user *buf, loff_t off, size_t count,
			   size_t x_start, size_t x_end, bool iswrite)
{
	const struct vfio_pci_io_place place = {
		.bar = bar,
		.gated = pci_resource_flags(vdev->pdev, bar) & IORESOURCE_MEM,
		.max_width = VFIO_PCI_IO_WIDTH_8,
	};

	return vfio_pci_io_rw(vdev, &place, buf, off, count, x_start, x_end,
			      iswrite);
}

/**
 * vfio_pci_vga_io_rw - the same for a legacy VGA range
 * @vdev: the device
 * @vga_rsrc: what the VGA arbiter calls the range
 * @io: where it is mapped
 * @buf: the user's buffer
 * @off: offset in the range
 * @count: bytes to move, inside the range
 * @iswrite: from the user to the device
 *
 * The ranges are not a BAR: no gate, and ones where nothing decodes.
 *
 * Return: as vfio_pci_core_do_io_rw(), or what vga_get_interruptible() returns.
 * Context: likewise.
 */
ssize_t vfio_pci_vga_io_rw(struct vfio_pci_core_device *vdev,
			   unsigned int vga_rsrc, void __iomem *io,
			   char __user *buf, loff_t off, size_t count,
			   bool iswrite)
{
	const struct vfio_pci_io_place place = {
		.io = io,
		.vga_rsrc = vga_rsrc,
		.max_width = VFIO_PCI_IO_WIDTH_4,
	};

	return vfio_pci_io_rw(vdev, &place, buf, off, count, 0, 0, iswrite);
}

/**
 * vfio_pci_core_range_intersect_range - where two ranges overlap
 * @buf_start: first byte of a buffer's range
 * @buf_cnt: its length
 * @reg_start: first byte of a register's range
 * @reg_cnt: its length
 * @buf_offset: set to where in the buffer the overlap begins
 * @intersect_count: set to the overlap's length
 * @register_offset: set to where in the register the overlap begins
 *
 * All in bytes. What is set is valid only where there is an overlap.
 *
 * Return: true if there is one.
 */
bool vfio_pci_core_range_intersect_range(loff_t buf_start, size_t buf_cnt,
					 loff_t reg_start, size_t reg_cnt,
					 loff_t *buf_offset,
					 size_t *intersect_count,
					 size_t *register_offset)
{
	loff_t start = max(buf_start, reg_start);
	loff_t end = min_t(loff_t, buf_start + buf_cnt, reg_start + reg_cnt);

	if (start >= end)
		return false;

	*buf_offset = start - buf_start;
	*register_offset = start - reg_start;
	*intersect_count = end - start;
	return true;
}
EXPORT_SYMBOL_GPL(vfio_pci_core_range_intersect_range);
