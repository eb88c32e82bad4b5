// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_fuzz: runs the programs of a corpus, and then others that it makes of them
 * for as long as it is told. See fuzz.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../kselftest.h"
#include "fuzz.h"

#define MAX_KEPT	4096
#define MAX_RECORD	900

static const char usage[] =
	"usage: vfio_fuzz [OPTION...] [CORPUS]\n"
	"\n"
	"Runs the programs of the file CORPUS, one per line, then new ones.\n"
	"\n"
	"  --seconds N    how long new ones are run (default: 0)\n"
	"  --seed N       what they depend on, besides the corpus (default: 1)\n"
	"  --log          has the kernel log each program before it is run\n"
	"  --keep FILE    where those are added that reach something new\n"
	"  --corpus FILE  where at the end the smallest set goes that reaches as\n"
	"                 much as all of them\n"
	"  --threads      the second half of each program beside the first\n"
	"  --replay FILE  runs the programs of FILE, says what each call returns\n"
	"  --repeat N     how often (default: 1)\n";

static struct options {
	unsigned long seconds, seed, repeat;
	const char *keep, *corpus, *replay, *from;
	bool threads, log;
} options = { .seed = 1, .repeat = 1 };

/* What is bred from. */
static struct kept {
	struct fuzz_program p;
	unsigned int nr;
	uint64_t *pcs;
} kept[MAX_KEPT];
static unsigned int nr_kept, failures;
static struct fuzz_cover all, reached;
static int kmsg = -1;

static void complain(const struct fuzz_program *p, const char *what)
{
	char line[FUZZ_LINE];

	fuzz_print(p, line);
	printf("%s: %s\n", what, line);
	failures++;
}

/*
 * The console has it even if the machine does not survive, and what the kernel has
 * to say of it comes next.
 */
static void tell_kernel(const struct fuzz_program *p)
{
	char line[FUZZ_LINE], record[MAX_RECORD + 32];
	size_t at, len;
	int n;

	fuzz_print(p, line);
	len = strlen(line);
	for (at = 0; at < len; at += MAX_RECORD) {
		n = snprintf(record, sizeof(record), "<4>vfio_fuzz%s %.*s",
			     at ? "+" : ":", MAX_RECORD, line + at);
		if (write(kmsg, record, n) != n)
			perror("/dev/kmsg");
	}
}

/* How much of what it reached is new; see @reached. */
static unsigned int try(const struct fuzz_program *p, bool say)
{
	unsigned int i, nr = 0;

	if (kmsg >= 0)
		tell_kernel(p);
	switch (fuzz_run(p, &reached, say)) {
	case FUZZ_KILLED:
		complain(p, "ended by a signal");
		break;
	case FUZZ_STUCK:
		complain(p, "does not come to an end");
		break;
	case FUZZ_DONE:
		break;
	}
	for (i = 0; i < reached.nr; i++)
		nr += !fuzz_cover_has(&all, fuzz_cover_nth(&reached, i));
	return nr;
}

/* @reached is what @p did. */
static void add(const struct fuzz_program *p)
{
	struct kept *k = &kept[nr_kept];
	unsigned int i;

	if (nr_kept == MAX_KEPT)
		return;
	k->p = *p;
	k->nr = reached.nr;
	k->pcs = calloc(reached.nr + 1, sizeof(*k->pcs));
	if (!k->pcs)
		return;
	for (i = 0; i < reached.nr; i++) {
		k->pcs[i] = fuzz_cover_nth(&reached, i);
		fuzz_cover_add(&all, k->pcs[i]);
	}
	nr_kept++;
}

/* Leave out what is not needed to reach the @nr places that are new. */
static void shrink(struct fuzz_program *p, unsigned int nr)
{
	struct fuzz_program less;
	unsigned int i;

	for (i = p->nr; i-- && p->nr > 1;) {
		less = *p;
		fuzz_remove(&less, i);
		if (try(&less, false) >= nr)
			*p = less;
	}
	try(p, false);
}

static FILE *open_file(const char *name, const char *mode)
{
	FILE *f = fopen(name, mode);

	if (!f) {
		perror(name);
		exit(KSFT_FAIL);
	}
	return f;
}

static void append(const char *name, const struct fuzz_program *p)
{
	char line[FUZZ_LINE];
	FILE *f;

	if (!name)
		return;
	f = open_file(name, "a");
	fuzz_print(p, line);
	fprintf(f, "%s\n", line);
	fclose(f);
}

/* Run all programs of a file; how many there were. */
static unsigned int run_file(const char *name, bool say)
{
	struct fuzz_program p;
	unsigned int nr = 0;
	char line[FUZZ_LINE];
	FILE *f = open_file(name, "r");

	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (!fuzz_parse(&p, line)) {
			printf("not a program: %s", line);
			failures++;
			continue;
		}
		try(&p, say);
		add(&p);
		nr++;
	}
	fclose(f);
	return nr;
}

static void breed(struct fuzz_program *p)
{
	if (!nr_kept || !fuzz_below(6)) {
		fuzz_generate(p);
		return;
	}
	*p = kept[fuzz_below(nr_kept)].p;
	fuzz_mutate(p, &kept[fuzz_below(nr_kept)].p);
}

static void run_new(void)
{
	uint64_t until = vfio_now_ms() + options.seconds * 1000;
	unsigned int nr, before = nr_kept, from = all.nr, runs = 0;
	struct fuzz_program p;

	while (vfio_now_ms() < until && !failures) {
		breed(&p);
		nr = try(&p, false);
		runs++;
		if (!nr)
			continue;
		/* Two threads reach now this, now that. */
		if (!options.threads)
			shrink(&p, nr);
		add(&p);
		append(options.keep, &p);
	}
	printf("%u new programs: %u of them reach %u more places\n", runs,
	       nr_kept - before, all.nr - from);
}

static unsigned int count_new(const struct kept *k, const struct fuzz_cover *c)
{
	unsigned int i, nr = 0;

	for (i = 0; i < k->nr; i++)
		nr += !fuzz_cover_has(c, k->pcs[i]);
	return nr;
}

/* Always the one that adds most: not the smallest set there is, but near it. */
static void write_corpus(const char *name)
{
	static struct fuzz_cover covered;
	unsigned int i, j, nr, most, best = 0;

	truncate(name, 0);
	for (;;) {
		most = 0;
		for (i = 0; i < nr_kept; i++) {
			nr = count_new(&kept[i], &covered);
			if (nr > most) {
				most = nr;
				best = i;
			}
		}
		if (!most)
			break;
		for (j = 0; j < kept[best].nr; j++)
			fuzz_cover_add(&covered, kept[best].pcs[j]);
		append(name, &kept[best].p);
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "log", no_argument, NULL, 'l' },
		{ "keep", required_argument, NULL, 'k' },
		{ "corpus", required_argument, NULL, 'c' },
		{ "threads", no_argument, NULL, 't' },
		{ "replay", required_argument, NULL, 'p' },
		{ "repeat", required_argument, NULL, 'n' },
		{ }
	};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) > 0) {
		switch (option) {
		case 's':
			options.seconds = strtoul(optarg, NULL, 0);
			break;
		case 'r':
			options.seed = strtoul(optarg, NULL, 0);
			break;
		case 'l':
			options.log = true;
			break;
		case 'k':
			options.keep = optarg;
			break;
		case 'c':
			options.corpus = optarg;
			break;
		case 't':
			options.threads = true;
			break;
		case 'p':
			options.replay = optarg;
			break;
		case 'n':
			options.repeat = strtoul(optarg, NULL, 0);
			break;
		default:
			fputs(usage, stderr);
			exit(KSFT_FAIL);
		}
	}
	options.from = argv[optind];
}

int main(int argc, char **argv)
{
	struct vfio_counters before, after;
	int devices, kcov;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(argc, argv);
	devices = fuzz_devices_prepare();
	if (!devices) {
		printf("there is no device\n");
		return KSFT_SKIP;
	}
	if (options.log) {
		/* However many they are. */
		vfio_sysfs_write("/proc/sys/kernel/printk_devkmsg", "on\n");
		kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	}
	kcov = fuzz_kcov_open();
	if (kcov)
		printf("no KCOV: what is reached is not known (%s)\n",
		       strerror(-kcov));
	if (fuzz_run_init(options.threads))
		return KSFT_FAIL;
	fuzz_seed(options.seed);
	vfio_counters_read(&before);

	if (options.replay) {
		while (options.repeat--)
			run_file(options.replay, true);
	}
	if (options.from) {
		unsigned int nr = run_file(options.from, false);

		printf("%u programs of %s reach %u places of %d devices' drivers\n",
		       nr, options.from, all.nr, devices);
	}
	if (options.seconds)
		run_new();
	if (options.corpus)
		write_corpus(options.corpus);

	if (!vfio_counters_settled(&before, &after)) {
		printf("something stays behind\n");
		vfio_counters_print(&before, &after);
		failures++;
	}
	fuzz_devices_done();
	return failures ? KSFT_FAIL : KSFT_PASS;
}
