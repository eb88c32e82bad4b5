// SPDX-License-Identifier: GPL-2.0-only
/* What there is of VFIO's in the kernel, besides what any open file shows. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vfio_util.h"

const char *const vfio_counted_modules[VFIO_COUNTED_MODULES] = {
	"vfio", "vfio_iommu_type1", "vfio_pci", "vfio_pci_core",
};

void vfio_counters_read(struct vfio_counters *c)
{
	int i;

	c->pinned = vfio_pinned_pages();
	c->locked_kb = vfio_proc_status_kb(getpid(), "VmLck");
	c->charged_kb = vfio_proc_status_kb(getpid(), "VmPin");
	c->interrupts = vfio_interrupt_lines("vfio");
	for (i = 0; i < VFIO_COUNTED_MODULES; i++)
		c->refs[i] = vfio_module_refs(vfio_counted_modules[i]);
}

static bool same(const struct vfio_counters *a, const struct vfio_counters *b)
{
	return a->pinned == b->pinned && a->locked_kb == b->locked_kb &&
	       a->charged_kb == b->charged_kb &&
	       a->interrupts == b->interrupts &&
	       !memcmp(a->refs, b->refs, sizeof(a->refs));
}

/* Some of it goes a moment after the last file: wait for all to be as @want. */
bool vfio_counters_settled(const struct vfio_counters *want,
			   struct vfio_counters *now)
{
	int i;

	for (i = 0; i < 100; i++) {
		vfio_counters_read(now);
		if (same(want, now))
			return true;
		usleep(20000);
	}
	return false;
}

/* As a comment on the test's result. */
void vfio_counters_print(const struct vfio_counters *want,
			 const struct vfio_counters *now)
{
	int i;

	printf("# pinned %ld, was %ld; interrupts %d, was %d\n",
	       (long)now->pinned, (long)want->pinned, now->interrupts,
	       want->interrupts);
	printf("# locked %ld KiB, was %ld; charged %ld KiB, was %ld\n",
	       (long)now->locked_kb, (long)want->locked_kb,
	       (long)now->charged_kb, (long)want->charged_kb);
	for (i = 0; i < VFIO_COUNTED_MODULES; i++)
		printf("# %s has %d references, had %d\n",
		       vfio_counted_modules[i], now->refs[i], want->refs[i]);
}

/* How many files this process has open. */
int vfio_open_files(void)
{
	struct dirent *entry;
	int count = 0;
	DIR *d;

	d = opendir("/proc/self/fd");
	if (!d)
		return -errno;
	while ((entry = readdir(d)))
		count += entry->d_name[0] != '.';
	closedir(d);
	/* One was this directory. */
	return count - 1;
}
