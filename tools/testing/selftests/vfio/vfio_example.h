/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The examples of Documentation/driver-api/vfio.rst: programs that let QEMU's edu
 * device copy memory. They get at the device in different ways and do the same
 * with it. They have no need of the tests' library.
 */
#ifndef VFIO_EXAMPLE_H
#define VFIO_EXAMPLE_H

#include <stdint.h>

/* Where the device sees the memory; edu has 28 address bits. */
#define BUFFER_IOVA	0x100000
#define BUFFER_SIZE	0x1000

void *get_buffer(void);
void use_device(int device, char *buffer, uint64_t iova);

#endif
