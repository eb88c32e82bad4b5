/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the gate in front of device memory share: readers that
 * look at a BAR all the time, ways to close the gate, and what the kernel's
 * tracepoints and QEMU's monitor say.
 */
#ifndef VFIO_GATE_H
#define VFIO_GATE_H

#include <pthread.h>

#include "vfio_util.h"

/*
 * readers.c: two processes read a register, each in one thread through a
 * mapping and in one through pread(), and a thread has the kernel write
 * another register through an ioeventfd.
 *
 * What a reader may see is the register's value, or that the memory is not
 * there (SIGBUS, EIO). All else is counted as bad.
 */
enum vfio_reader {
	VFIO_READER_MAP,
	VFIO_READER_PREAD,
	VFIO_READER_MAP_OTHER,		/* the other process */
	VFIO_READER_PREAD_OTHER,
	VFIO_READER_IOEVENTFD,
	VFIO_READERS,
};

#define VFIO_READERS_MAP	(1u << VFIO_READER_MAP | \
				 1u << VFIO_READER_MAP_OTHER)
#define VFIO_READERS_PREAD	(1u << VFIO_READER_PREAD | \
				 1u << VFIO_READER_PREAD_OTHER)
#define VFIO_READERS_OTHER	(1u << VFIO_READER_MAP_OTHER | \
				 1u << VFIO_READER_PREAD_OTHER)

struct vfio_reader_count {
	uint64_t tries;			/* that are over */
	uint64_t good;
	uint64_t refused;
	uint64_t bad;
	int64_t last_bad;		/* a value, or a negative errno */
};

struct vfio_readers {
	/* Set before they start. */
	const struct vfio_dev *d;
	uint32_t bar;			/* or an alias of one */
	uint64_t off;			/* what is read */
	uint32_t value;			/* what it reads as */
	uint64_t woff;			/* what is written */
	uint32_t wvalue;

	void *map;			/* the whole BAR */
	uint64_t bar_offset;		/* in the device file */
	uint64_t bar_size;
	int efd;
	bool stop;
	pid_t other;
	pthread_t threads[VFIO_READERS];
	struct vfio_reader_count count[VFIO_READERS];
};

struct vfio_readers *vfio_readers_start(const struct vfio_readers *params);
int vfio_readers_see(struct vfio_readers *r, unsigned int which, bool memory);
int vfio_readers_turn(struct vfio_readers *r);
int vfio_readers_ioeventfd_works(struct vfio_readers *r);
int vfio_readers_stop(struct vfio_readers *r);

/* closers.c */
int vfio_reset(const struct vfio_dev *d);
int vfio_cfg_flr(const struct vfio_dev *d);
int vfio_cfg_memory(const struct vfio_dev *d, bool on);
int vfio_hot_reset(int device, const int32_t *groups, uint32_t count);
int vfio_dev_hot_reset(const struct vfio_dev *d);
int vfio_pci_error(const char *bdf, const char *what);
int vfio_pci_last_error(const struct vfio_dev *d,
			struct vfio_device_feature_pci_error *error);
int vfio_low_power(const struct vfio_dev *d, uint32_t feature, int wakeup);
int vfio_runtime_status(const char *bdf, const char *want, int timeout_ms);

/*
 * A process that takes a device away by "remove" or "driver/unbind", which lasts
 * as long as its users stay. A thread would keep a test that failed from dying,
 * and with it the device from being let go.
 */
pid_t vfio_remover_start(const char *bdf, const char *attr);
int vfio_remover_wait(pid_t remover, int timeout_ms);
int vfio_pci_rescan(void);

/*
 * monitor.c: where a test has to do something to a virtual machine it runs in,
 * the environment variable VFIO_TEST_MONITOR names a program that hands its
 * argument to QEMU's human monitor and prints the answer.
 */
bool vfio_monitor_is_there(void);
int vfio_monitor(const char *command, char *answer, size_t len);
int vfio_monitor_id(const char *bdf, char *id, size_t len);
int vfio_monitor_port_id(const char *bdf, char *id, size_t len);
int vfio_monitor_fatal_error(const char *id);

/* tracing.c: an instance of its own in tracefs, with the vfio_pci events */
struct vfio_trace {
	char dir[128];
};

const char *vfio_tracefs(void);
int vfio_trace_start(struct vfio_trace *t);
int vfio_trace_enable(struct vfio_trace *t, bool on);
int vfio_trace_clear(struct vfio_trace *t);
char *vfio_trace_read(struct vfio_trace *t);
void vfio_trace_stop(struct vfio_trace *t);
char *vfio_trace_next(char **text, const char *event);
uint64_t vfio_trace_field(const char *line, const char *name);

#endif
