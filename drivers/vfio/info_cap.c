// SPDX-License-Identifier: GPL-2.0-only
/*
 * What drivers share when they answer information and interrupt ioctls:
 * building a chain of capabilities, and checking VFIO_DEVICE_SET_IRQS.
 *
 * A chain is built in one growing buffer, with offsets relative to its start,
 * each capability aligned to 8 bytes. When it is complete it is moved behind
 * the fixed part of the answer and all offsets grow by the size of that part.
 */
#include <linux/overflow.h>
#include <linux/slab.h>

#include "vfio.h"

/* The member of the chain after @cap, or NULL; @base is what offset 0 means. */
static struct vfio_info_cap_header *
vfio_info_cap_next(void *base, struct vfio_info_cap_header *cap)
{
	return cap->next ? base + cap->next : NULL;
}

/**
 * vfio_info_cap_add() - append room for a capability to a chain
 * @caps: the chain, all zero before the first capability
 * @size: size of the capability, header included
 * @id: its identifier
 * @version: its version
 *
 * The room is zeroed except for the header. On failure the whole chain is freed
 * and empty; otherwise the caller frees caps->buf in the end. A pointer into
 * the chain is good until the next call.
 *
 * Context: may sleep.
 * Return: the capability, or ERR_PTR(-ENOMEM).
 */
struct vfio_info_cap_header *vfio_info_cap_add(struct vfio_info_cap *caps,
					       size_t size, u16 id,
					       u16 version)
{
	struct vfio_info_cap_header *cap, *last, *next;
	void *buf;

	size = ALIGN(size, sizeof(u64));

	buf = krealloc(caps->buf, size_add(caps->size, size), GFP_KERNEL);
	if (!buf) {
		kfree(caps->buf);
		*caps = (struct vfio_info_cap) {};
		return ERR_PTR(-ENOMEM);
	}
	caps->buf = buf;

	cap = buf + caps->size;
	memset(cap, 0, size);
	cap->id = id;
	cap->version = version;

	if (caps->size) {
		last = buf;
		while ((next = vfio_info_cap_next(buf, last)))
			last = next;
		last->next = caps->size;
	}

	caps->size += size;
	return cap;
}
EXPORT_SYMBOL_GPL(vfio_info_cap_add);

/**
 * vfio_info_cap_shift() - make a chain's offsets count from further ahead
 * @caps: the chain
 * @offset: where in the user's buffer the chain will start, a multiple of 8
 *
 * To be called once, when the chain is complete.
 *
 * Context: any.
 */
void vfio_info_cap_shift(struct vfio_info_cap *caps, size_t offset)
{
	struct vfio_info_cap_header *cap, *next;

	WARN_ON(!IS_ALIGNED(offset, sizeof(u64)));

	for (cap = caps->buf; cap; cap = next) {
		next = vfio_info_cap_next(caps->buf, cap);
		if (next)
			cap->next += offset;
	}
}
EXPORT_SYMBOL(vfio_info_cap_shift);

/**
 * vfio_info_add_capability() - append a complete capability to a chain
 * @caps: the chain, all zero before the first capability
 * @cap: the capability with its header's id and version
 * @size: its size, header included
 *
 * As vfio_info_cap_add(), with the contents copied from @cap.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int vfio_info_add_capability(struct vfio_info_cap *caps,
			     struct vfio_info_cap_header *cap, size_t size)
{
	struct vfio_info_cap_header *copy;

	copy = vfio_info_cap_add(caps, size, cap->id, cap->version);
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	/* Not the header: it is a link of the chain now. */
	memcpy(copy + 1, cap + 1, size - sizeof(*cap));
	return 0;
}
EXPORT_SYMBOL(vfio_info_add_capability);

/**
 * vfio_set_irqs_validate_and_prepare() - check a VFIO_DEVICE_SET_IRQS header
 * @hdr: the header as it came from the user
 * @num_irqs: how many interrupts the index hdr->index has
 * @max_irq_type: how many indexes there are
 * @data_size: set to the size of the array behind the header, 0 if the flags
 *	ask for none; may be NULL if no data is acceptable
 *
 * Checks that one data type is asked for and that the subindexes exist; which
 * actions the index supports is for the caller to check.
 *
 * Context: any.
 * Return: 0 or -EINVAL.
 */
int vfio_set_irqs_validate_and_prepare(struct vfio_irq_set *hdr, int num_irqs,
				       int max_irq_type, size_t *data_size)
{
	const size_t minsz = offsetofend(struct vfio_irq_set, count);
	size_t elem;
	u32 end;

	if (data_size)
		*data_size = 0;

	if (hdr->argsz < minsz || hdr->index >= max_irq_type ||
	    (hdr->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK |
			    VFIO_IRQ_SET_ACTION_TYPE_MASK)))
		return -EINVAL;

	if (check_add_overflow(hdr->start, hdr->count, &end) ||
	    hdr->start >= num_irqs || end > num_irqs)
		return -EINVAL;

	switch (hdr->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		elem = sizeof(u8);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		elem = sizeof(s32);
		break;
	default:
		return -EINVAL;
	}

	if (!data_size || (hdr->argsz - minsz) / elem < hdr->count)
		return -EINVAL;

	*data_size = hdr->count * elem;
	return 0;
}
EXPORT_SYMBOL(vfio_set_irqs_validate_and_prepare);
