// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which CPUs interrupts go to: what a user may say about that, and that no interrupt
 * is lost where the host moves them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vfio_pci_irq.h"
#include "vfio_pci_e1000e.h"

#define AFFINITY	VFIO_IRQ_SET_ACTION_AFFINITY
#define CPUS		VFIO_IRQ_SET_DATA_CPUS
#define STRETCHED	"pci_write_msi_msg"
#define STRETCH_US	300000

/* The host's interrupt of a vector; -ENOENT if none is requested. */
static int host_irq(const struct vfio_dev *d, const char *index, int vector)
{
	char name[64], line[1024];
	int irq = -ENOENT, n;
	FILE *f = fopen("/proc/interrupts", "re");

	if (!f)
		return -errno;
	snprintf(name, sizeof(name), "vfio-%s[%d](%s)", index, vector, d->bdf);
	while (irq < 0 && fgets(line, sizeof(line), f))
		if (strstr(line, name) && sscanf(line, "%d:", &n) == 1)
			irq = n;
	fclose(f);
	return irq;
}

static int host_affinity(int irq, const char *what, char *cpus, size_t len)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/irq/%d/%s", irq, what);
	return vfio_sysfs_read(path, cpus, len);
}

static bool affinity_is(int irq, const char *want)
{
	char cpus[64] = "";

	return host_affinity(irq, "smp_affinity_list", cpus, sizeof(cpus)) >= 0 &&
	       !strcmp(cpus, want);
}

/* The host moves it. */
static int host_move(int irq, const char *cpus)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/irq/%d/smp_affinity_list", irq);
	return vfio_sysfs_write(path, cpus);
}

static int cpu_online(int cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	return vfio_sysfs_write(path, online ? "1" : "0");
}

/* All threads that the caller makes from here on, too. */
static int run_on(int cpu)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < 2; i++)
		if (cpu < 0 || cpu == i)
			CPU_SET(i, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static int set_cpus(const struct vfio_dev *d, uint32_t index, uint32_t start,
		    uint32_t count, uint64_t cpus)
{
	return vfio_irq_set(d, AFFINITY | CPUS, index, start, count, &cpus,
			    sizeof(cpus));
}

static int give_back(const struct vfio_dev *d, uint32_t index, uint32_t start,
		     uint32_t count)
{
	return vfio_irq_set(d, AFFINITY | NONE, index, start, count, NULL, 0);
}

FIXTURE(affinity)
{
	struct vfio_dev d;
	int32_t efd[E1000E_VECTORS];
	uint8_t *bar0;		/* to raise interrupts without a call */
};

FIXTURE_SETUP(affinity)
{
	int i;

	if (sysconf(_SC_NPROCESSORS_CONF) < 2)
		SKIP(_exit(KSFT_SKIP), "there is one CPU");
	VFIO_DEV_OPEN_OR_SKIP(&self->d, E1000E, VFIO_TYPE1v2_IOMMU);
	ASSERT_EQ(0, e1000e_route(&self->d));
	for (i = 0; i < E1000E_VECTORS; i++) {
		self->efd[i] = vfio_eventfd();
		ASSERT_LE(0, self->efd[i]);
	}
	if (vfio_region_mmap(&self->d, 0, 0, VFIO_PAGE, (void **)&self->bar0))
		self->bar0 = NULL;
}

FIXTURE_TEARDOWN(affinity)
{
	int i;

	run_on(-1);
	cpu_online(1, true);
	EXPECT_EQ(0, vfio_stretch_end());
	e1000e_settle();
	vfio_dev_close(&self->d);
	for (i = 0; i < E1000E_VECTORS; i++)
		close(self->efd[i]);
}

static void raise_mapped(uint8_t *bar0, int vector)
{
	vfio_mmio_write32(bar0 + E1000E_IMS, htole32(E1000E_CAUSE(vector)));
	vfio_mmio_write32(bar0 + E1000E_ICS, htole32(E1000E_CAUSE(vector)));
}

/* How often the CPU took the interrupt. */
static long taken(int irq, int cpu)
{
	char line[1024];
	long counts[2] = { -1, -1 };
	FILE *f = fopen("/proc/interrupts", "re");
	int n;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%d:", &n) == 1 && n == irq)
			sscanf(line, "%*d: %ld %ld", &counts[0], &counts[1]);
	if (f)
		fclose(f);
	return counts[cpu];
}

static int raise_and_wait(const struct vfio_dev *d, int vector, int efd)
{
	int ret;

	vfio_eventfd_drain(efd);
	ret = e1000e_raise(d, vector) ?: vfio_eventfd_wait(efd, SOON_MS, NULL);
	/* It may come again; and a message is not sent while a cause is not read. */
	e1000e_settle();
	reg_read(d, 0, E1000E_ICR);
	vfio_eventfd_drain(efd);
	return ret;
}

/* Where moving one needs an interrupt, the second is at the right place. */
static int arrives_at(const struct vfio_dev *d, int irq, int vector, int efd, int cpu)
{
	long before;
	int ret;

	ret = raise_and_wait(d, vector, efd);
	if (ret)
		return ret;
	before = taken(irq, cpu);
	ret = raise_and_wait(d, vector, efd);
	return ret ?: taken(irq, cpu) == before ? -EXDEV : 0;
}

TEST_F(affinity, flag)
{
	const uint32_t indexes[] = { INTX, MSI, MSIX, ERR, REQ };
	struct vfio_irq_info info;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, vfio_irq_info(&self->d, indexes[i], &info));
		EXPECT_EQ(indexes[i] == MSI || indexes[i] == MSIX,
			  !!(info.flags & VFIO_IRQ_INFO_AFFINITY));
	}
}

TEST_F(affinity, user_moves_a_vector)
{
	char before[64];
	int irq;

	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 2, self->efd));
	irq = host_irq(&self->d, "msix", 1);
	ASSERT_LT(0, irq);
	ASSERT_LE(0, host_affinity(irq, "smp_affinity_list", before, sizeof(before)));

	ASSERT_EQ(0, set_cpus(&self->d, MSIX, 1, 1, 1 << 1));
	EXPECT_TRUE(affinity_is(irq, "1"));
	EXPECT_EQ(0, arrives_at(&self->d, irq, 1, self->efd[1], 1));
	ASSERT_EQ(0, set_cpus(&self->d, MSIX, 1, 1, 1 << 0));
	EXPECT_EQ(0, arrives_at(&self->d, irq, 1, self->efd[1], 0));
	EXPECT_TRUE(affinity_is(irq, "0"));
	EXPECT_TRUE(affinity_is(host_irq(&self->d, "msix", 0), before));

	/* Who balances interrupts leaves it alone, root or not. */
	EXPECT_NE(0, host_move(irq, "1"));
	EXPECT_TRUE(affinity_is(irq, "0"));
	EXPECT_EQ(0, host_move(host_irq(&self->d, "msix", 0), "1"));

	/* Another eventfd changes nothing. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 1, self->efd[4]));
	EXPECT_TRUE(affinity_is(irq, "0"));
	EXPECT_EQ(0, arrives_at(&self->d, irq, 1, self->efd[4], 0));

	ASSERT_EQ(0, give_back(&self->d, MSIX, 1, 1));
	EXPECT_TRUE(affinity_is(irq, before));
	EXPECT_EQ(0, host_move(irq, "1"));
	EXPECT_EQ(0, arrives_at(&self->d, irq, 1, self->efd[4], 1));
	/* Of what is not pinned nothing is taken. */
	ASSERT_EQ(0, give_back(&self->d, MSIX, 1, 1));
	EXPECT_TRUE(affinity_is(irq, "1"));
}

TEST_F(affinity, user_moves_a_message)
{
	int irq;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd[0]));
	irq = host_irq(&self->d, "msi", 0);
	ASSERT_LT(0, irq);
	ASSERT_EQ(0, set_cpus(&self->d, MSI, 0, 1, 1 << 1));
	EXPECT_EQ(0, arrives_at(&self->d, irq, 0, self->efd[0], 1));
	ASSERT_EQ(0, set_cpus(&self->d, MSI, 0, 1, 1 << 0));
	EXPECT_EQ(0, arrives_at(&self->d, irq, 0, self->efd[0], 0));
	EXPECT_NE(0, host_move(irq, "1"));
	ASSERT_EQ(0, give_back(&self->d, MSI, 0, 1));
	EXPECT_EQ(0, host_move(irq, "1"));
}

/* A vector that is armed anew is the administrator's again. */
TEST_F(affinity, lasts_while_armed)
{
	char before[64];
	int irq;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	irq = host_irq(&self->d, "msix", 0);
	ASSERT_LE(0, host_affinity(irq, "smp_affinity_list", before, sizeof(before)));
	ASSERT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, -1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	irq = host_irq(&self->d, "msix", 0);
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	EXPECT_TRUE(affinity_is(irq, before));
	EXPECT_EQ(0, host_move(irq, "0"));

	ASSERT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	EXPECT_EQ(0, host_move(host_irq(&self->d, "msix", 0), "0"));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));

	/* With the device closed nothing is left behind, neither flags nor warnings. */
	ASSERT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
}

TEST_F(affinity, refused)
{
	const uint64_t none[2] = { 0, 0 }, one = 1, far[2] = { 1, 1 };
	uint64_t *long_one = calloc(1, VFIO_PAGE + 8);
	char before[64], now[64];
	int irq, i;
	const struct {
		uint32_t flags, index, start, count;
		const void *data;
		size_t len;
		int want;
	} calls[] = {
		/* the data */
		{ AFFINITY | CPUS, MSIX, 0, 1, NULL, 0, -EINVAL },
		{ AFFINITY | CPUS, MSIX, 0, 1, &one, 4, -EINVAL },
		{ AFFINITY | CPUS, MSIX, 0, 1, far, 12, -EINVAL },
		{ AFFINITY | CPUS, MSIX, 0, 1, none, 16, -EINVAL },
		{ AFFINITY | CPUS, MSIX, 0, 1, far, 16, -EINVAL },
		{ AFFINITY | CPUS, MSIX, 0, 1, long_one, VFIO_PAGE + 8, -EINVAL },
		/* the flags */
		{ AFFINITY, MSIX, 0, 1, &one, 8, -EINVAL },
		{ CPUS, MSIX, 0, 1, &one, 8, -EINVAL },
		{ CPUS | TRIGGER, MSIX, 0, 1, &one, 8, -EINVAL },
		{ CPUS | MASK, INTX, 0, 1, &one, 8, -EINVAL },
		{ AFFINITY | CPUS | NONE, MSIX, 0, 1, &one, 8, -EINVAL },
		{ AFFINITY | CPUS | TRIGGER, MSIX, 0, 1, &one, 8, -EINVAL },
		{ AFFINITY | BOOL, MSIX, 0, 1, &one, 8, -EINVAL },
		{ AFFINITY | EVENTFD, MSIX, 0, 1, &one, 8, -EINVAL },
		{ AFFINITY | CPUS | 1u << 31, MSIX, 0, 1, &one, 8, -EINVAL },
		/* the range */
		{ AFFINITY | CPUS, MSIX, 0, 0, &one, 8, -EINVAL },
		{ AFFINITY | NONE, MSIX, 0, 0, NULL, 0, -EINVAL },
		{ AFFINITY | CPUS, MSIX, 0, E1000E_VECTORS + 1, &one, 8, -EINVAL },
		{ AFFINITY | CPUS, MSIX, 1, ~0u, &one, 8, -EINVAL },
		{ AFFINITY | CPUS, MSIX, E1000E_VECTORS, 1, &one, 8, -EINVAL },
		{ AFFINITY | CPUS, VFIO_PCI_NUM_IRQS, 0, 1, &one, 8, -EINVAL },
		/* what has no such action */
		{ AFFINITY | CPUS, INTX, 0, 1, &one, 8, -ENOTTY },
		{ AFFINITY | CPUS, ERR, 0, 1, &one, 8, -ENOTTY },
		{ AFFINITY | CPUS, REQ, 0, 1, &one, 8, -ENOTTY },
		/* what is not armed */
		{ AFFINITY | CPUS, MSIX, 1, 1, &one, 8, -ENOENT },
		{ AFFINITY | CPUS, MSIX, 0, 2, &one, 8, -ENOENT },
		{ AFFINITY | NONE, MSIX, 0, 2, NULL, 0, -ENOENT },
		{ AFFINITY | CPUS, MSI, 0, 1, &one, 8, -ENOENT },
	};

	ASSERT_NE(NULL, long_one);
	long_one[0] = 1;
	EXPECT_EQ(-ENOENT, set_cpus(&self->d, MSIX, 0, 1, 1));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	irq = host_irq(&self->d, "msix", 0);
	ASSERT_LE(0, host_affinity(irq, "smp_affinity_list", before, sizeof(before)));
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(calls[i].want,
			  vfio_irq_set(&self->d, calls[i].flags, calls[i].index,
				       calls[i].start, calls[i].count,
				       calls[i].data, calls[i].len)) {
			TH_LOG("call %d", i);
		}
	}
	ASSERT_LE(0, host_affinity(irq, "smp_affinity_list", now, sizeof(now)));
	EXPECT_STREQ(before, now);
	/* Not pinned either. */
	EXPECT_EQ(0, host_move(irq, "0"));

	/* INTx has what a vector might be taken for. */
	ASSERT_EQ(0, vfio_irq_disable(&self->d, MSIX));
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, INTX, 0, self->efd[0]));
	EXPECT_EQ(-ENOENT, set_cpus(&self->d, MSIX, 0, 1, 1));
	EXPECT_EQ(-ENOTTY, set_cpus(&self->d, INTX, 0, 1, 1));
	ASSERT_EQ(0, vfio_irq_disable(&self->d, INTX));

	/* No CPU that is online, where CPUs can be taken off. */
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	if (!cpu_online(1, false)) {
		EXPECT_EQ(-EINVAL, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
		EXPECT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 3));
		EXPECT_EQ(0, cpu_online(1, true));
	}
	free(long_one);
}

/* Of who has the device, and nothing else. */
static int as_nobody(const struct vfio_dev *d)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(100);
		_exit(-set_cpus(d, MSIX, 0, 1, 1 << 1));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static void *wait_there(void *arg)
{
	pthread_barrier_t *barrier = arg;

	run_on(1);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

TEST_F(affinity, within_what_the_process_may_use)
{
	pthread_barrier_t barrier;
	pthread_t thread;
	int irq;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	irq = host_irq(&self->d, "msix", 0);
	EXPECT_EQ(0, as_nobody(&self->d));
	EXPECT_TRUE(affinity_is(irq, "1"));
	ASSERT_EQ(0, run_on(0));
	EXPECT_EQ(-EPERM, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
	EXPECT_EQ(-EPERM, set_cpus(&self->d, MSIX, 0, 1, 3));
	EXPECT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 1 << 0));
	EXPECT_TRUE(affinity_is(irq, "0"));

	/* Another thread of it runs there: of a virtual CPU, say. */
	pthread_barrier_init(&barrier, NULL, 2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_there, &barrier));
	pthread_barrier_wait(&barrier);
	EXPECT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
}

#define CGROUP	"/tmp/vfio_test_cgroup"

static int in_cpuset(const struct vfio_dev *d)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (vfio_sysfs_write(CGROUP "/small/cgroup.procs", pid))
		return 100;
	/* As a process that wants all that it can get. */
	if (run_on(-1))
		return 101;
	if (set_cpus(d, MSIX, 0, 1, 1 << 0))
		return 102;
	return -set_cpus(d, MSIX, 0, 1, 1 << 1);
}

TEST_F(affinity, within_the_cpuset)
{
	bool works;
	int status;
	pid_t pid;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	mkdir(CGROUP, 0700);
	if (mount("none", CGROUP, "cgroup2", 0, NULL))
		SKIP(return, "no cgroup2 here");
	mkdir(CGROUP "/small", 0700);
	works = !vfio_sysfs_write(CGROUP "/cgroup.subtree_control", "+cpuset") &&
		!vfio_sysfs_write(CGROUP "/small/cpuset.cpus", "0");
	if (works) {
		pid = fork();
		if (!pid)
			_exit(in_cpuset(&self->d));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		EXPECT_EQ(EPERM, WEXITSTATUS(status));
	}
	rmdir(CGROUP "/small");
	umount(CGROUP);
	rmdir(CGROUP);
	if (!works)
		SKIP(return, "no cpusets here");
}

/* A vector that is taken off its CPU with it goes on elsewhere. */
TEST_F(affinity, cpu_goes_offline)
{
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	ASSERT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	if (cpu_online(1, false))
		SKIP(return, "CPUs stay online here");
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	EXPECT_EQ(0, cpu_online(1, true));
	EXPECT_EQ(0, set_cpus(&self->d, MSIX, 0, 1, 1 << 1));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
}

/*
 * The host moves an interrupt to another CPU while the device's memory, or the whole
 * device, does not listen. What it wrote to the device then was lost.
 */
static int move_away(int irq)
{
	int ret = cpu_online(1, false);

	/* A moment for the CPU to be really gone. */
	usleep(100000);
	return ret;
}

TEST_F(affinity, moved_while_memory_is_off)
{
	int irq;

	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 2, self->efd));
	irq = host_irq(&self->d, "msix", 0);
	ASSERT_EQ(0, host_move(irq, "1"));
	ASSERT_EQ(0, arrives_at(&self->d, irq, 0, self->efd[0], 1));

	ASSERT_EQ(0, vfio_cfg_command(&self->d, 0, PCI_COMMAND_MEMORY));
	if (move_away(irq))
		SKIP(return, "CPUs stay online here");
	ASSERT_EQ(0, vfio_cfg_command(&self->d, PCI_COMMAND_MEMORY, 0));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	EXPECT_EQ(0, cpu_online(1, true));
}

TEST_F(affinity, moved_while_asleep)
{
	int irq;

	ASSERT_EQ(0, vfio_irq_eventfds(&self->d, MSIX, 0, 2, self->efd));
	irq = host_irq(&self->d, "msix", 0);
	ASSERT_EQ(0, host_move(irq, "1"));
	ASSERT_EQ(0, arrives_at(&self->d, irq, 0, self->efd[0], 1));

	ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
	if (move_away(irq))
		SKIP(return, "CPUs stay online here");
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
	ASSERT_EQ(0, e1000e_route(&self->d));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	EXPECT_EQ(0, cpu_online(1, true));
}

/* The same for a plain message, which is in configuration space. */
TEST_F(affinity, msi_moved_while_asleep)
{
	int irq;

	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSI, 0, self->efd[0]));
	irq = host_irq(&self->d, "msi", 0);
	ASSERT_LT(0, irq);
	ASSERT_EQ(0, host_move(irq, "1"));
	ASSERT_EQ(0, arrives_at(&self->d, irq, 0, self->efd[0], 1));

	ASSERT_EQ(0, vfio_cfg_power(&self->d, 3));
	if (move_away(irq))
		SKIP(return, "CPUs stay online here");
	ASSERT_EQ(0, vfio_cfg_power(&self->d, 0));
	ASSERT_EQ(0, e1000e_route(&self->d));
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[0]));
	EXPECT_EQ(0, cpu_online(1, true));
}

/* An entry of the MSI-X table, as it is in the device. */
struct entry {
	uint32_t address_lo, address_hi, data, control;
};

static int read_entry(const struct vfio_dev *d, unsigned int vector, struct entry *e)
{
	int cap = vfio_cfg_cap(d, PCI_CAP_ID_MSIX);
	uint32_t table = vfio_cfg_read32(d, cap + PCI_MSIX_TABLE);
	uint32_t offset = (table & PCI_MSIX_TABLE_OFFSET) + vector * PCI_MSIX_ENTRY_SIZE;
	uint8_t *p;

	if (vfio_region_mmap(d, table & PCI_MSIX_TABLE_BIR, offset / VFIO_PAGE * VFIO_PAGE,
			     VFIO_PAGE, (void **)&p))
		return -ENODEV;
	p += offset % VFIO_PAGE;
	e->address_lo = le32toh(vfio_mmio_read32(p));
	e->address_hi = le32toh(vfio_mmio_read32(p + 4));
	e->data = le32toh(vfio_mmio_read32(p + 8));
	e->control = le32toh(vfio_mmio_read32(p + 12));
	return 0;
}

struct rewriter {
	const struct vfio_dev *d;
	int efd;
	int ret;
};

/* A vector gets another eventfd, and its entry is written again. */
static void *rewrite(void *arg)
{
	struct rewriter *r = arg;

	prctl(PR_SET_NAME, "rewriter");
	run_on(1);
	r->ret = vfio_irq_eventfd(r->d, MSIX, 0, r->efd);
	return NULL;
}

/*
 * While the entry of a vector is written again for a new eventfd, the host moves the
 * interrupt to another CPU, and has the message changed. The later one stays.
 */
TEST_F(affinity, moved_while_rewritten)
{
	struct rewriter r = { .d = &self->d, .efd = self->efd[1] };
	struct entry on[2], now;
	pthread_t thread;
	int irq, i;

	if (!self->bar0)
		SKIP(return, "BARs cannot be mapped here");
	ASSERT_EQ(0, vfio_irq_eventfd(&self->d, MSIX, 0, self->efd[0]));
	irq = host_irq(&self->d, "msix", 0);
	for (i = 1; i >= 0; i--) {
		ASSERT_EQ(0, host_move(irq, i ? "1" : "0"));
		ASSERT_EQ(0, arrives_at(&self->d, irq, 0, self->efd[0], i));
		ASSERT_EQ(0, read_entry(&self->d, 0, &on[i]));
	}
	if (on[0].address_lo == on[1].address_lo)
		SKIP(return, "the IOMMU moves them, entries stay as they are");
	if (vfio_stretch(STRETCHED, STRETCH_US, "before", "rewriter"))
		SKIP(return, "no test_stretch.ko here");

	ASSERT_EQ(0, run_on(0));
	/* A fault would wait for the rewriter. */
	vfio_mmio_read32(self->bar0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, rewrite, &r));
	while (!vfio_stretch_hits(STRETCHED))
		usleep(1000);
	/* Some platforms move it when the next interrupt comes. */
	EXPECT_EQ(0, host_move(irq, "1"));
	raise_mapped(self->bar0, 0);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, r.ret);
	EXPECT_EQ(1, vfio_stretch_hits(STRETCHED));
	EXPECT_EQ(0, vfio_stretch_end());
	ASSERT_EQ(0, run_on(-1));

	e1000e_settle();
	EXPECT_EQ(0, raise_and_wait(&self->d, 0, self->efd[1]));
	ASSERT_EQ(0, read_entry(&self->d, 0, &now));
	EXPECT_EQ(on[1].address_lo, now.address_lo);
	EXPECT_EQ(0, arrives_at(&self->d, irq, 0, self->efd[1], 1));
}

TEST_HARNESS_MAIN
