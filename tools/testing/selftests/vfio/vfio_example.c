// SPDX-License-Identifier: GPL-2.0-only
/*
 * Using a device, however it was opened: registers, an interrupt, DMA. edu copies
 * what it finds at one place of our memory to another.
 *
 * Whatever goes wrong ends the program, and the end of the program undoes
 * everything: that is the kernel's part.
 */
#include <endian.h>
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "vfio_example.h"

/* Registers of edu's BAR 0, all little endian */
#define EDU_ID		0x00
#define EDU_IRQ_ACK	0x64
#define EDU_DMA_FROM	0x80
#define EDU_DMA_TO	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_COMMAND	0x98

#define EDU_DMA_START	1
#define EDU_DMA_OUT	2	/* to our memory, otherwise from there */
#define EDU_DMA_IRQ	4
#define EDU_IRQ_DMA	0x100	/* what EDU_DMA_IRQ is acknowledged with */
#define EDU_MEMORY	0x40000	/* a buffer inside the device */

static const char text[] = "a text that went through the device";

/* One page of ours. What DMA reaches must be made of whole pages. */
void *get_buffer(void)
{
	void *buffer = mmap(NULL, BUFFER_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffer == MAP_FAILED)
		err(1, "mmap of a buffer");
	return buffer;
}

static void get_region(int device, int index, struct vfio_region_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info))
		err(1, "VFIO_DEVICE_GET_REGION_INFO of %d", index);
}

/* A PCI device starts without leave to do DMA, and may start without memory. */
static void switch_on(int device)
{
	struct vfio_region_info config;
	uint16_t command;
	off_t at;

	get_region(device, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	at = config.offset + PCI_COMMAND;
	if (pread(device, &command, sizeof(command), at) != sizeof(command))
		err(1, "read of the command register");
	command |= htole16(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (pwrite(device, &command, sizeof(command), at) != sizeof(command))
		err(1, "write of the command register");
}

static void *map_bar(int device, int index)
{
	struct vfio_region_info bar;
	void *map;

	get_region(device, index, &bar);
	if (!(bar.flags & VFIO_REGION_INFO_FLAG_MMAP))
		errx(1, "BAR %d cannot be mapped", index);
	map = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   bar.offset);
	if (map == MAP_FAILED)
		err(1, "mmap of BAR %d", index);
	return map;
}

/* The first MSI of the device signals the eventfd that is returned. */
static int enable_msi(int device)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = {
		.set.argsz = sizeof(irq),
		.set.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			     VFIO_IRQ_SET_ACTION_TRIGGER,
		.set.index = VFIO_PCI_MSI_IRQ_INDEX,
		.set.start = 0,
		.set.count = 1,
	};

	irq.fd = eventfd(0, EFD_CLOEXEC);
	if (irq.fd < 0)
		err(1, "eventfd");
	if (ioctl(device, VFIO_DEVICE_SET_IRQS, &irq))
		err(1, "VFIO_DEVICE_SET_IRQS");
	return irq.fd;
}

static void wait_for_interrupt(int event)
{
	struct pollfd poll_event = { .fd = event, .events = POLLIN };
	uint64_t count;
	int ret;

	ret = poll(&poll_event, 1, 10000);
	if (ret < 0)
		err(1, "poll");
	if (!ret)
		errx(1, "the device sent no interrupt");
	if (read(event, &count, sizeof(count)) != sizeof(count))
		err(1, "read of the eventfd");
}

/* One access of 32 bits each, in order with those to memory */
static uint32_t read_register(void *registers, int at)
{
	return le32toh(__atomic_load_n((uint32_t *)(registers + at),
				       __ATOMIC_ACQUIRE));
}

static void write_register(void *registers, int at, uint32_t value)
{
	__atomic_store_n((uint32_t *)(registers + at), htole32(value),
			 __ATOMIC_RELEASE);
}

static void copy(void *registers, int event, uint64_t from, uint64_t to,
		 uint32_t command)
{
	write_register(registers, EDU_DMA_FROM, from);
	write_register(registers, EDU_DMA_TO, to);
	write_register(registers, EDU_DMA_COUNT, sizeof(text));
	write_register(registers, EDU_DMA_COMMAND,
		       EDU_DMA_START | EDU_DMA_IRQ | command);
	wait_for_interrupt(event);
	write_register(registers, EDU_IRQ_ACK, EDU_IRQ_DMA);
}

void use_device(int device, char *buffer, uint64_t iova)
{
	char *copied = buffer + BUFFER_SIZE / 2;
	void *registers;
	int event;

	switch_on(device);
	registers = map_bar(device, VFIO_PCI_BAR0_REGION_INDEX);
	printf("device: %#x\n", read_register(registers, EDU_ID));

	event = enable_msi(device);
	memcpy(buffer, text, sizeof(text));
	copy(registers, event, iova, EDU_MEMORY, 0);
	copy(registers, event, EDU_MEMORY, iova + BUFFER_SIZE / 2, EDU_DMA_OUT);
	if (memcmp(copied, text, sizeof(text)))
		errx(1, "the device copied something else");
	printf("copied: %s\n", copied);
}
