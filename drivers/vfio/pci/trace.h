/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens to a device's memory. See
 * Documentation/driver-api/vfio-admin.rst for how to read it.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_pci

#if !defined(DRIVERS_VFIO_PCI_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DRIVERS_VFIO_PCI_TRACE_H

#include <linux/mm_types.h>
#include <linux/pci.h>
#include <linux/tracepoint.h>

#include "vfio_pci_priv.h"

#define VFIO_PCI_GATE_DEFINE(name, shown)				\
	TRACE_DEFINE_ENUM(VFIO_PCI_GATE_##name);
VFIO_PCI_GATE_CAUSES(VFIO_PCI_GATE_DEFINE, VFIO_PCI_GATE_DEFINE)
#define VFIO_PCI_TOUCH_DEFINE(name, shown)				\
	TRACE_DEFINE_ENUM(VFIO_PCI_TOUCH_##name);
VFIO_PCI_TOUCHES(VFIO_PCI_TOUCH_DEFINE, VFIO_PCI_TOUCH_DEFINE)

#define VFIO_PCI_GATE_SYMBOL(name, shown)				\
	{ VFIO_PCI_GATE_##name, #shown },
#define VFIO_PCI_GATE_LAST_SYMBOL(name, shown)				\
	{ VFIO_PCI_GATE_##name, #shown }
#define vfio_pci_show_cause(cause)					\
	__print_symbolic(cause,						\
			 VFIO_PCI_GATE_CAUSES(VFIO_PCI_GATE_SYMBOL,	\
					      VFIO_PCI_GATE_LAST_SYMBOL))

/* A process touched a mapping: how much one fault let it see. */
TRACE_EVENT(vfio_pci_fault,
	TP_PROTO(struct pci_dev *pdev, unsigned long address, unsigned long pfn,
		 unsigned int order, unsigned long pages, vm_fault_t ret),
	TP_ARGS(pdev, address, pfn, order, pages, ret),
	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(unsigned long, address)
		__field(unsigned long, pfn)
		__field(unsigned long, pages)
		__field(unsigned int, order)
		__field(unsigned int, ret)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->address = address;
		__entry->pfn = pfn;
		__entry->pages = pages;
		__entry->order = order;
		__entry->ret = (__force unsigned int)ret;
	),
	TP_printk("%s address=%#lx pfn=%#lx order=%u pages=%lu ret=%#x",
		  __get_str(device), __entry->address, __entry->pfn,
		  __entry->order, __entry->pages, __entry->ret)
);

/* The readers are cut off: how long that took, waiting for them included. */
TRACE_EVENT(vfio_pci_gate_close,
	TP_PROTO(struct pci_dev *pdev, unsigned int cause, bool was_open,
		 u64 duration),
	TP_ARGS(pdev, cause, was_open, duration),
	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(u64, duration)
		__field(unsigned int, cause)
		__field(bool, was_open)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->duration = duration;
		__entry->cause = cause;
		__entry->was_open = was_open;
	),
	TP_printk("%s cause=%s was_open=%d duration_ns=%llu",
		  __get_str(device), vfio_pci_show_cause(__entry->cause),
		  __entry->was_open, __entry->duration)
);

/* The lock is dropped: whether they are let in, how long they were out. */
TRACE_EVENT(vfio_pci_gate_open,
	TP_PROTO(struct pci_dev *pdev, unsigned int cause, bool is_open,
		 u64 duration),
	TP_ARGS(pdev, cause, is_open, duration),
	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(u64, duration)
		__field(unsigned int, cause)
		__field(bool, is_open)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->duration = duration;
		__entry->cause = cause;
		__entry->is_open = is_open;
	),
	TP_printk("%s cause=%s is_open=%d duration_ns=%llu",
		  __get_str(device), vfio_pci_show_cause(__entry->cause),
		  __entry->is_open, __entry->duration)
);

/* Page table entries of all processes, or DMA of importers, are gone from it. */
TRACE_EVENT(vfio_pci_revoke,
	TP_PROTO(struct pci_dev *pdev, u64 start, u64 len),
	TP_ARGS(pdev, start, len),
	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(u64, start)
		__field(u64, len)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->start = start;
		__entry->len = len;
	),
	TP_printk("%s start=%#llx len=%#llx", __get_str(device),
		  __entry->start, __entry->len)
);

TRACE_EVENT(vfio_pci_reset,
	TP_PROTO(struct pci_dev *pdev, unsigned int cause, int ret),
	TP_ARGS(pdev, cause, ret),
	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(unsigned int, cause)
		__field(int, ret)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->cause = cause;
		__entry->ret = ret;
	),
	TP_printk("%s cause=%s ret=%d", __get_str(device),
		  vfio_pci_show_cause(__entry->cause), __entry->ret)
);

#define VFIO_PCI_TOUCH_FLAG(name, shown)				\
	{ BIT(VFIO_PCI_TOUCH_##name), #shown },
#define VFIO_PCI_TOUCH_LAST_FLAG(name, shown)				\
	{ BIT(VFIO_PCI_TOUCH_##name), #shown }
#define vfio_pci_show_touches(touches)					\
	__print_flags(touches, "|",					\
		      VFIO_PCI_TOUCHES(VFIO_PCI_TOUCH_FLAG,		\
				       VFIO_PCI_TOUCH_LAST_FLAG))

/* First open: what makes a reset necessary, nothing if it is not. */
TRACE_EVENT(vfio_pci_clean,
	TP_PROTO(struct pci_dev *pdev, unsigned long touches),
	TP_ARGS(pdev, touches),
	TP_STRUCT__entry(
		__string(device, pci_name(pdev))
		__field(unsigned long, touches)
	),
	TP_fast_assign(
		__assign_str(device);
		__entry->touches = touches;
	),
	TP_printk("%s touched=%s", __get_str(device),
		  vfio_pci_show_touches(__entry->touches))
);

#endif /* DRIVERS_VFIO_PCI_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
