/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fuzzer of the user interface.
 *
 * A program is a sequence of calls, a call the row of a table (table.c) and a
 * number for each argument that the row names. What a number means depends on
 * the argument's kind (values.c): a flag is itself, but files, memory and
 * devices are counted from 0, so that a program means the same wherever it
 * runs. Any number is allowed for any argument, so programs can be cut, joined
 * and changed blindly (program.c).
 *
 * A program runs in a process of its own, whose end lets go of all that it had
 * (run.c). The process tells which code it reached (cover.c): programs that
 * reach more than those before are the corpus, from which new ones are bred
 * (main.c).
 *
 * As text a program is one line: "open 0 3; mmap 0 0 0 1000 3 1; reset 0". Numbers
 * are hexadecimal, those that are missing 0.
 */
#ifndef VFIO_FUZZ_H
#define VFIO_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vfio_util.h"

#define FUZZ_ARGS	9
#define FUZZ_CALLS	24
#define FUZZ_SLOTS	4
#define FUZZ_DEVICES	10
#define FUZZ_LINE	4096
#define FUZZ_REGION_BITS 40

/* What a number stands for. */
enum fuzz_kind {
	FUZZ_NONE,
	/* The slot of a file: */
	FUZZ_CONTAINER,		/* or an iommufd */
	FUZZ_GROUP,
	FUZZ_DEVICE,
	FUZZ_EVENTFD,
	FUZZ_OTHER,		/* a dma-buf, a stream of migration data */
	FUZZ_FILES,

	FUZZ_NAME = FUZZ_FILES,	/* a device of the machine */
	FUZZ_CHOICE,		/* one of @of */
	FUZZ_FLAGS,		/* some of @of */
	FUZZ_PAIR,		/* one of the lowest three bits, one of the next */
	FUZZ_PRESET,		/* @of, less or more these bits */
	FUZZ_CAPABILITY,	/* of config space, extended ones from 0x100 */
	FUZZ_FEATURE,		/* what to do with feature @of */
	FUZZ_NUMBER,
	FUZZ_SIZE,
	FUZZ_IOVA,
	FUZZ_OFFSET,		/* in a region */
	FUZZ_POSITION,		/* in a device's file */
	FUZZ_MEMORY,
	FUZZ_MAPPING,		/* of a device: a slot */
	/* Of the argument of an ioctl: */
	FUZZ_WHERE,		/* its address */
	FUZZ_ARGSZ,		/* 0: what it really is */
	FUZZ_COUNT,		/* 0: the entries of what follows it */
	/* What follows it, entries in the lowest byte: */
	FUZZ_BYTES,
	FUZZ_EVENTFDS,
	FUZZ_GROUPS,
	FUZZ_RANGES,
};

/* @width bytes at @offset of the argument of an ioctl, or on its own. */
struct fuzz_arg {
	uint8_t kind;
	uint8_t width;
	uint16_t offset;
	uint64_t of;
};

struct fuzz_thread;

/*
 * @weight: how often it is taken
 * @keeps: the kind of file that it returns, or FUZZ_NONE
 * @run: what it does, -errno or at least 0
 * @request, @size: of an ioctl, whose arguments begin with a file and
 *	FUZZ_WHERE
 */
struct fuzz_op {
	const char *name;
	uint8_t weight;
	uint8_t keeps;
	int64_t (*run)(struct fuzz_thread *t, const struct fuzz_op *op,
		       const uint64_t *v);
	unsigned long request;
	uint16_t size;
	struct fuzz_arg args[FUZZ_ARGS];
};

struct fuzz_call {
	const struct fuzz_op *op;
	uint64_t v[FUZZ_ARGS];
};

struct fuzz_program {
	unsigned int nr;
	struct fuzz_call calls[FUZZ_CALLS];
};

struct fuzz_mapping {
	void *p;
	uint64_t len;
	bool safe;	/* writing to it does no harm */
};

/* What the calls of a program share. */
struct fuzz_state {
	int files[FUZZ_FILES][FUZZ_SLOTS];
	unsigned int next[FUZZ_FILES];
	int name[FUZZ_SLOTS];		/* of the device of a FUZZ_DEVICE */
	bool awake[FUZZ_DEVICES];	/* by the administrator's word */
	struct fuzz_mapping maps[FUZZ_SLOTS];
	unsigned int next_map;
	uint8_t *memory;
	int null, memfd;
};

struct fuzz_thread {
	struct fuzz_state *s;
	uint8_t *page, *readonly;	/* the same memory, for arguments */
	int fail;			/* the file that makes calls fail */
	unsigned int nth;
};

/* table.c */
extern const struct fuzz_op fuzz_ops[];
const struct fuzz_op *fuzz_op_by_name(const char *name);
const struct fuzz_op *fuzz_op_random(void);

/* calls.c: what is not one ioctl with a structure */
#define FUZZ_RUN(name) \
	int64_t name(struct fuzz_thread *t, const struct fuzz_op *op, \
		     const uint64_t *v)
FUZZ_RUN(fuzz_open);
FUZZ_RUN(fuzz_join);
FUZZ_RUN(fuzz_new_container);
FUZZ_RUN(fuzz_new_iommufd);
FUZZ_RUN(fuzz_new_group);
FUZZ_RUN(fuzz_new_cdev);
FUZZ_RUN(fuzz_close);
FUZZ_RUN(fuzz_get_device);
FUZZ_RUN(fuzz_plain);
FUZZ_RUN(fuzz_any);
FUZZ_RUN(fuzz_ioeventfd);
FUZZ_RUN(fuzz_read);
FUZZ_RUN(fuzz_write);
FUZZ_RUN(fuzz_config_read);
FUZZ_RUN(fuzz_config_write);
FUZZ_RUN(fuzz_cap_write);
FUZZ_RUN(fuzz_command);
FUZZ_RUN(fuzz_mmap);
FUZZ_RUN(fuzz_munmap);
FUZZ_RUN(fuzz_mremap);
FUZZ_RUN(fuzz_mprotect);
FUZZ_RUN(fuzz_madvise);
FUZZ_RUN(fuzz_touch);
FUZZ_RUN(fuzz_fork);
FUZZ_RUN(fuzz_signal);
FUZZ_RUN(fuzz_mig_state);
FUZZ_RUN(fuzz_stream);
FUZZ_RUN(fuzz_edu_dma);
FUZZ_RUN(fuzz_sysfs);
FUZZ_RUN(fuzz_fdinfo);
FUZZ_RUN(fuzz_wait);
FUZZ_RUN(fuzz_fail);
int64_t fuzz_keep(struct fuzz_state *s, unsigned int kind, int64_t file);
void fuzz_let_go(struct fuzz_state *s);

/* values.c */
#define FUZZ_MEMORY_SIZE 0x400000ul
uint64_t fuzz_random(void);
uint64_t fuzz_below(uint64_t n);
void fuzz_seed(uint64_t seed);
uint64_t fuzz_interesting(void);
uint64_t fuzz_value_random(const struct fuzz_arg *arg);
int fuzz_file(struct fuzz_thread *t, unsigned int kind, uint64_t v);
void *fuzz_memory(struct fuzz_thread *t, uint64_t v, uint64_t len);
int64_t fuzz_ioctl(struct fuzz_thread *t, const struct fuzz_op *op,
		   const uint64_t *v);

/* program.c */
bool fuzz_parse(struct fuzz_program *p, const char *line);
void fuzz_print(const struct fuzz_program *p, char *line);
void fuzz_generate(struct fuzz_program *p);
void fuzz_mutate(struct fuzz_program *p, const struct fuzz_program *other);
void fuzz_remove(struct fuzz_program *p, unsigned int at);

/* devices.c */
int fuzz_devices_prepare(void);
void fuzz_devices_done(void);
int fuzz_device_open(struct vfio_dev *d, unsigned int name, int mode,
		     const struct vfio_dev *other);
const char *fuzz_device_name(unsigned int name);
int fuzz_device_group(unsigned int name);
bool fuzz_device_may_write(unsigned int name, uint64_t pos, uint64_t len);
bool fuzz_device_may_read(unsigned int name, uint64_t pos, uint64_t len);
bool fuzz_device_is_edu(unsigned int name);
bool fuzz_device_is_mtty(unsigned int name);

/* cover.c */
struct fuzz_cover {
	unsigned int nr;
	uint64_t set[1 << 16];		/* by hash */
	uint32_t at[1 << 15];		/* where in it the nth is */
};

int fuzz_kcov_open(void);
void fuzz_kcov_start(void);
void fuzz_kcov_take(struct fuzz_cover *c);
void fuzz_kcov_stop(void);
void fuzz_cover_clear(struct fuzz_cover *c);
bool fuzz_cover_has(const struct fuzz_cover *c, uint64_t pc);
bool fuzz_cover_add(struct fuzz_cover *c, uint64_t pc);
static inline uint64_t fuzz_cover_nth(const struct fuzz_cover *c, unsigned int n)
{
	return c->set[c->at[n]];
}

/* run.c */
enum fuzz_end {
	FUZZ_DONE,
	FUZZ_KILLED,		/* by a signal */
	FUZZ_STUCK,
};

int fuzz_run_init(bool threads);
enum fuzz_end fuzz_run(const struct fuzz_program *p, struct fuzz_cover *cover,
		       bool say);

#endif
