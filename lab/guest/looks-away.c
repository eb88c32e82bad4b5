// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the virtual machine inside the virtual machine: one CPU takes the memory of a PCI
 * device away and brings it back, the other one reads its BAR 0 all the time, whose first
 * four bytes never change. Needs a machine with two CPUs and a device without a driver.
 *
 *   looks-away DEVICE memory|d3hot	DEVICE is a directory of sysfs
 *
 * "memory" clears Memory Space Enable, "d3hot" puts the device to sleep. Ends well when
 * the reader has seen all ones some times, and what was there before after each of them.
 * In between a monitor may show something of its own, once it has heard: QEMU zeros, from
 * version 10 on also for a device that sleeps. Prints "rounds=N values=N ones=N others=N".
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#define ONES		0xffffffffu
#define SECONDS		120
/* It is a race for memory, whose gate is closed a moment before the monitor has heard. */
#define MEMORY_ONES	5
#define MEMORY_ROUNDS	100
#define D3HOT_ROUNDS	3

static volatile uint32_t *bar;
static uint32_t value;
static int config;
static bool stop;
static uint64_t values, ones, others;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %d", cpu);
}

static uint64_t count(uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void *look(void *arg)
{
	pin(0);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint32_t seen = *bar;
		uint64_t *counter = seen == value ? &values :
				    seen == ONES ? &ones : &others;

		__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

static uint16_t get(int offset, int size)
{
	uint16_t word = 0;

	if (pread(config, &word, size, offset) != size)
		err(1, "reading register %#x", offset);
	return word;
}

static void set(int offset, uint16_t word)
{
	if (pwrite(config, &word, 2, offset) != 2)
		err(1, "writing register %#x", offset);
}

static int power_register(void)
{
	int pos = get(PCI_CAPABILITY_LIST, 1);

	while (pos && get(pos, 1) != PCI_CAP_ID_PM)
		pos = get(pos + PCI_CAP_LIST_NEXT, 1);
	if (!pos)
		errx(1, "the device has no power management");
	return pos + PCI_PM_CTRL;
}

/* Waits until the reader has seen once more what was there, or something else. */
static void await(bool there, time_t end)
{
	uint64_t before = there ? count(&values) : count(&ones) + count(&others);

	while (before == (there ? count(&values) : count(&ones) + count(&others)))
		if (time(NULL) > end)
			errx(1, "the reader does not see it");
}

int main(int argc, char **argv)
{
	int reg, bits, rounds = 0;
	uint16_t on, off;
	pthread_t reader;
	char path[128];
	time_t end;
	bool sleeps;
	int fd;

	if (argc != 3)
		errx(2, "usage: looks-away DEVICE memory|d3hot");
	sleeps = !strcmp(argv[2], "d3hot");
	snprintf(path, sizeof(path), "%s/config", argv[1]);
	config = open(path, O_RDWR);
	snprintf(path, sizeof(path), "%s/resource0", argv[1]);
	fd = open(path, O_RDWR);
	if (config < 0 || fd < 0)
		err(1, "%s", path);
	bar = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (bar == MAP_FAILED)
		err(1, "mapping %s", path);

	on = get(PCI_COMMAND, 2) | PCI_COMMAND_MEMORY;
	set(PCI_COMMAND, on);
	value = *bar;
	if (!value || value == ONES)
		errx(1, "%#x in the BAR tells nothing", value);
	reg = sleeps ? power_register() : PCI_COMMAND;
	bits = sleeps ? PCI_PM_CTRL_STATE_MASK : PCI_COMMAND_MEMORY;
	if (sleeps)
		on = get(reg, 2) & ~bits;
	off = sleeps ? on | 3 : on & ~bits;

	pin(1);
	if (pthread_create(&reader, NULL, look, NULL))
		errx(1, "no thread");
	end = time(NULL) + SECONDS;
	while (sleeps ? rounds < D3HOT_ROUNDS :
	       rounds < MEMORY_ROUNDS || count(&ones) < MEMORY_ONES) {
		await(true, end);
		set(reg, off);
		if (sleeps) {
			await(false, end);
			set(reg, on);
			usleep(20000);
		} else {
			set(reg, on);
		}
		if (*bar != value)
			errx(1, "round %d: %#x is not back", rounds, value);
		rounds++;
	}
	stop = true;
	pthread_join(reader, NULL);
	printf("rounds=%d values=%llu ones=%llu others=%llu\n", rounds,
	       (unsigned long long)values, (unsigned long long)ones,
	       (unsigned long long)others);
	return 0;
}
