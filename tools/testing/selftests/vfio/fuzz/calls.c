// SPDX-License-Identifier: GPL-2.0-only
/* The calls that are not one ioctl with a structure. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "../../kselftest.h"
#include "edu.h"
#include "fuzz.h"

/*
 * The end of mtty's files ends its streams and leaves it in a state that it needs
 * them for; a reset brings it out of that.
 */
static void close_slot(struct fuzz_state *s, unsigned int kind,
		       unsigned int slot)
{
	int *file = &s->files[kind][slot];

	if (*file < 0)
		return;
	if (kind == FUZZ_DEVICE && fuzz_device_is_mtty(s->name[slot]))
		vfio_ioctl(*file, VFIO_DEVICE_RESET);
	close(*file);
	*file = -1;
}

/* A file takes the next slot. What is no file is an error, and returned. */
int64_t fuzz_keep(struct fuzz_state *s, unsigned int kind, int64_t file)
{
	unsigned int slot;

	if (file < 0)
		return file;
	slot = s->next[kind]++ % FUZZ_SLOTS;
	close_slot(s, kind, slot);
	s->files[kind][slot] = file;
	return file;
}

static int64_t keep_device(struct fuzz_state *s, unsigned int name, int file)
{
	unsigned int slot = s->next[FUZZ_DEVICE] % FUZZ_SLOTS;

	fuzz_keep(s, FUZZ_DEVICE, file);
	if (file >= 0)
		s->name[slot] = name;
	return file;
}

/* While what is reached is still recorded. */
void fuzz_let_go(struct fuzz_state *s)
{
	unsigned int kind, i;

	for (i = 0; i < FUZZ_SLOTS; i++) {
		if (s->maps[i].p)
			munmap(s->maps[i].p, s->maps[i].len);
	}
	for (kind = FUZZ_FILES; kind--;) {
		for (i = 0; i < FUZZ_SLOTS; i++)
			close_slot(s, kind, i);
	}
	for (i = 0; i < FUZZ_DEVICES; i++) {
		if (s->awake[i])
			vfio_pci_attr_write(fuzz_device_name(i),
					    "power/control", "auto");
	}
}

/* The device that @v is a file of; FUZZ_DEVICES is none. */
static unsigned int name_of(struct fuzz_thread *t, uint64_t v)
{
	return v < FUZZ_SLOTS ? t->s->name[v] : FUZZ_DEVICES;
}

/* A device file as the library has it. */
static struct vfio_dev device(struct fuzz_thread *t, uint64_t v)
{
	struct vfio_dev d = { .device = fuzz_file(t, FUZZ_DEVICE, v) };

	return d;
}

static uint64_t position(uint64_t region, uint64_t offset)
{
	return (region << FUZZ_REGION_BITS) + offset;
}

static int64_t open_with(struct fuzz_thread *t, unsigned int name, int mode,
			 const struct vfio_dev *other)
{
	struct vfio_dev d;
	int ret;

	ret = fuzz_device_open(&d, name, mode, other);
	if (ret)
		return ret;
	if (!other)
		fuzz_keep(t->s, FUZZ_CONTAINER, d.container);
	fuzz_keep(t->s, FUZZ_GROUP, d.group);
	return keep_device(t->s, name, d.device);
}

FUZZ_RUN(fuzz_open)
{
	static const int modes[] = {
		VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_IOMMU, VFIO_MODE_COMPAT,
		VFIO_MODE_IOMMUFD,
	};

	return open_with(t, v[0], modes[v[1] % ARRAY_SIZE(modes)], NULL);
}

/* By way of its group. */
FUZZ_RUN(fuzz_join)
{
	struct vfio_dev other = {
		.container = fuzz_file(t, FUZZ_CONTAINER, v[1]),
	};

	return open_with(t, v[0], 0, &other);
}

FUZZ_RUN(fuzz_new_container)
{
	return fuzz_keep(t->s, FUZZ_CONTAINER, vfio_open_container());
}

FUZZ_RUN(fuzz_new_iommufd)
{
	return fuzz_keep(t->s, FUZZ_CONTAINER, vfio_iommufd_open());
}

FUZZ_RUN(fuzz_new_group)
{
	int group = fuzz_device_group(v[0]);

	if (group < 0)
		return group;
	return fuzz_keep(t->s, FUZZ_GROUP, vfio_open_group(group));
}

FUZZ_RUN(fuzz_new_cdev)
{
	return keep_device(t->s, v[0], vfio_cdev_open(fuzz_device_name(v[0])));
}

FUZZ_RUN(fuzz_close)
{
	if (v[0] >= FUZZ_FILES || v[1] >= FUZZ_SLOTS)
		return -EINVAL;
	close_slot(t->s, v[0], v[1]);
	return 0;
}

/* By its name, or by what is not one. */
FUZZ_RUN(fuzz_get_device)
{
	static const char *const forms[] = {
		"%s", "%s vf_token=00000000-0000-0000-0000-000000000000",
		"%s vf_token=bad", "%s ", "", "%s nothing=1",
	};
	char name[128] = {};
	int ret;

	snprintf(name, sizeof(name), forms[v[2] % ARRAY_SIZE(forms)],
		 fuzz_device_name(v[1]));
	ret = vfio_get_device_fd(fuzz_file(t, FUZZ_GROUP, v[0]), name);
	return keep_device(t->s, v[1], ret);
}

/* An ioctl with a number. */
FUZZ_RUN(fuzz_plain)
{
	return vfio_ioctl(fuzz_file(t, op->args[0].kind, v[0]), op->request,
			  v[1]);
}

/*
 * Any request on any file. What it could write to a device's register, or leave
 * open, is none of these.
 */
FUZZ_RUN(fuzz_any)
{
	unsigned long request = VFIO_GET_API_VERSION + v[2] % 32;

	if (v[0] >= FUZZ_FILES || request == VFIO_DEVICE_IOEVENTFD)
		return -EINVAL;
	return vfio_ioctl(fuzz_file(t, v[0], v[1]), request,
			  fuzz_memory(t, v[3], 4096));
}

/* The kernel writes the register whenever the eventfd is signalled. */
FUZZ_RUN(fuzz_ioeventfd)
{
	if (!fuzz_device_may_write(name_of(t, v[0]), v[4], 8))
		return -EPERM;
	return fuzz_ioctl(t, op, v);
}

static int64_t read_region(struct fuzz_thread *t, uint64_t file, uint64_t pos,
			   uint64_t len, void *buf)
{
	if (!fuzz_device_may_read(name_of(t, file), pos, len))
		return -EPERM;
	return vfio_pread(fuzz_file(t, FUZZ_DEVICE, file), buf, len, pos);
}

FUZZ_RUN(fuzz_read)
{
	return read_region(t, v[0], position(v[1], v[2]), v[3],
			   fuzz_memory(t, v[4], v[3]));
}

FUZZ_RUN(fuzz_write)
{
	uint64_t pos = position(v[1], v[2]);

	if (!fuzz_device_may_write(name_of(t, v[0]), pos, v[3]))
		return -EPERM;
	return vfio_pwrite(fuzz_file(t, FUZZ_DEVICE, v[0]),
			   fuzz_memory(t, v[4], v[3]), v[3], pos);
}

FUZZ_RUN(fuzz_config_read)
{
	return read_region(t, v[0],
			   position(VFIO_PCI_CONFIG_REGION_INDEX, v[1]), v[2],
			   t->s->memory);
}

static int64_t write_config(struct fuzz_thread *t, uint64_t file,
			    uint64_t offset, uint64_t len, uint64_t value)
{
	uint64_t pos = position(VFIO_PCI_CONFIG_REGION_INDEX, offset);

	if (pos >> FUZZ_REGION_BITS != VFIO_PCI_CONFIG_REGION_INDEX || len > 8)
		return -EINVAL;
	if (!fuzz_device_may_write(name_of(t, file), pos, len))
		return -EPERM;
	return vfio_pwrite(fuzz_file(t, FUZZ_DEVICE, file), &value, len, pos);
}

FUZZ_RUN(fuzz_config_write)
{
	return write_config(t, v[0], v[1], v[2], v[3]);
}

FUZZ_RUN(fuzz_cap_write)
{
	struct vfio_dev d = device(t, v[0]);
	int at;

	if (!fuzz_device_may_read(name_of(t, v[0]),
				  position(VFIO_PCI_CONFIG_REGION_INDEX, v[1]),
				  1))
		return -EPERM;
	at = v[1] >= 0x100 ? vfio_cfg_ecap(&d, v[1] - 0x100) :
			     vfio_cfg_cap(&d, v[1]);
	return at ? write_config(t, v[0], at + v[2], v[3], v[4]) : -ENOENT;
}

FUZZ_RUN(fuzz_command)
{
	return write_config(t, v[0], PCI_COMMAND, 2, v[1]);
}

FUZZ_RUN(fuzz_mmap)
{
	struct fuzz_state *s = t->s;
	struct fuzz_mapping *m = &s->maps[s->next_map % FUZZ_SLOTS];
	uint64_t pos = position(v[1], v[2]);
	void *p;
	int ret;

	if (v[3] > 1 << 30)
		return -ENOMEM;
	ret = vfio_mmap(fuzz_file(t, FUZZ_DEVICE, v[0]), v[3], v[4] & 7,
			v[5] & 3, pos, &p);
	if (ret)
		return ret;
	if (m->p)
		munmap(m->p, m->len);
	m->safe = fuzz_device_may_write(name_of(t, v[0]), pos, v[3]);
	m->len = v[3];
	m->p = p;
	s->next_map++;
	return 0;
}

static struct fuzz_mapping *mapping(struct fuzz_thread *t, uint64_t v)
{
	struct fuzz_mapping *m = &t->s->maps[v % FUZZ_SLOTS];

	return m->p ? m : NULL;
}

/* All of it, or a part that is lost. */
FUZZ_RUN(fuzz_munmap)
{
	struct fuzz_mapping *m = mapping(t, v[0]);
	uint64_t from = v[1] & ~4095ull;

	if (!m)
		return -EINVAL;
	if (!v[2]) {
		munmap(m->p, m->len);
		m->p = NULL;
		return 0;
	}
	if (from >= m->len || v[2] > m->len - from)
		return -EINVAL;
	return munmap(m->p + from, v[2]) ? -errno : 0;
}

FUZZ_RUN(fuzz_mremap)
{
	struct fuzz_mapping *m = mapping(t, v[0]);
	void *p;

	if (!m || v[1] > 1 << 30)
		return -EINVAL;
	p = mremap(m->p, m->len, v[1], v[2] & MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return -errno;
	/* More of it than was looked at. */
	if (v[1] > m->len)
		m->safe = false;
	m->p = p;
	m->len = v[1];
	return 0;
}

FUZZ_RUN(fuzz_mprotect)
{
	struct fuzz_mapping *m = mapping(t, v[0]);

	if (!m)
		return -EINVAL;
	return mprotect(m->p, m->len, v[1] & 7) ? -errno : 0;
}

FUZZ_RUN(fuzz_madvise)
{
	struct fuzz_mapping *m = mapping(t, v[0]);

	if (!m)
		return -EINVAL;
	return madvise(m->p, m->len, v[1]) ? -errno : 0;
}

/* Read it all, or write one word. */
FUZZ_RUN(fuzz_touch)
{
	struct fuzz_mapping *m = mapping(t, v[0]);
	uint64_t at = v[1] & ~3ull;

	if (!m)
		return -EINVAL;
	if (!(v[2] & 1))
		return vfio_try_touch(m->p, m->len, 4096) ? -EFAULT : 0;
	if (!m->safe || at + 4 > m->len)
		return -EPERM;
	return vfio_try_store32(m->p + at, v[1]) ? -EFAULT : 0;
}

/* A copy of all mappings, in a process that looks at one. */
FUZZ_RUN(fuzz_fork)
{
	struct fuzz_mapping *m = mapping(t, v[0]);
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		if (m)
			vfio_try_touch(m->p, m->len, 4096);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

FUZZ_RUN(fuzz_signal)
{
	int file = v[0] < FUZZ_SLOTS ? t->s->files[FUZZ_EVENTFD][v[0]] : -1;

	vfio_eventfd_drain(file);
	return vfio_eventfd_signal(file);
}

/* A stream may come with the answer. */
FUZZ_RUN(fuzz_mig_state)
{
	int64_t ret = fuzz_ioctl(t, op, v);
	int32_t file;

	if (!ret && !v[1] && v[3] == VFIO_DEVICE_FEATURE_SET >> 16) {
		memcpy(&file, t->page + 4096 - sizeof(file), sizeof(file));
		fuzz_keep(t->s, FUZZ_OTHER, file);
	}
	return ret;
}

FUZZ_RUN(fuzz_stream)
{
	int file = v[0] < FUZZ_SLOTS ? t->s->files[FUZZ_OTHER][v[0]] : -1;
	void *buf = fuzz_memory(t, v[2], v[1]);
	ssize_t n;

	n = v[3] & 1 ? write(file, buf, v[1]) : read(file, buf, v[1]);
	return n < 0 ? -errno : n;
}

/* With numbers that its emulation takes, which would end the machine. */
FUZZ_RUN(fuzz_edu_dma)
{
	struct vfio_dev d = device(t, v[0]);
	uint64_t len = (v[2] & 0xfff) ?: 0xfff;

	if (!fuzz_device_is_edu(name_of(t, v[0])))
		return -EPERM;
	return edu_dma(&d, v[1] & (EDU_IOVA_END - 1) & ~0xfffull, len,
		       v[3] & 1);
}

/* What an administrator may do meanwhile. */
FUZZ_RUN(fuzz_sysfs)
{
	static const char *const what[][2] = {
		{ "reset", "1" }, { "power/control", "auto" },
		{ "power/control", "on" },
	};
	unsigned int i = v[1] % ARRAY_SIZE(what);
	unsigned int name = v[0];

	if (fuzz_device_group(name) < 0)
		return -ENXIO;
	t->s->awake[name] |= i == 2;
	return vfio_pci_attr_write(fuzz_device_name(name), what[i][0],
				   what[i][1]);
}

FUZZ_RUN(fuzz_fdinfo)
{
	char path[64], text[1024];

	if (v[0] >= FUZZ_FILES || v[1] >= FUZZ_SLOTS)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d",
		 t->s->files[v[0]][v[1]]);
	return vfio_sysfs_read(path, text, sizeof(text));
}

FUZZ_RUN(fuzz_wait)
{
	return usleep((v[0] & 31) * 1000);
}

/* An allocation, or a copy of user data, of the next call. */
FUZZ_RUN(fuzz_fail)
{
	t->nth = v[0] & 0x3f;
	return 0;
}
