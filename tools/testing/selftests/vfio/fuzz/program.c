// SPDX-License-Identifier: GPL-2.0-only
/* Programs: as text, new ones, and others of those that there are. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static bool parse_call(struct fuzz_call *call, char *text)
{
	char *word;
	int i = 0;

	while ((word = strsep(&text, " "))) {
		if (!*word)
			continue;
		if (!call->op)
			call->op = fuzz_op_by_name(word);
		else if (i < FUZZ_ARGS)
			call->v[i++] = strtoull(word, NULL, 16);
		if (!call->op)
			return false;
	}
	return call->op;
}

/* False for what is not a program of ours. */
bool fuzz_parse(struct fuzz_program *p, const char *line)
{
	char copy[FUZZ_LINE], *rest = copy, *text;

	memset(p, 0, sizeof(*p));
	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "\n"), line);
	while ((text = strsep(&rest, ";"))) {
		if (p->nr == FUZZ_CALLS || !parse_call(&p->calls[p->nr], text))
			return false;
		p->nr++;
	}
	return true;
}

static int nr_args(const struct fuzz_op *op)
{
	int i = 0;

	while (i < FUZZ_ARGS && op->args[i].kind != FUZZ_NONE)
		i++;
	return i;
}

void fuzz_print(const struct fuzz_program *p, char *line)
{
	char *at = line, *end = line + FUZZ_LINE;
	unsigned int i;
	int j, last;

	*at = '\0';
	for (i = 0; i < p->nr; i++) {
		const struct fuzz_call *call = &p->calls[i];

		at += snprintf(at, end - at, "%s%s", i ? "; " : "",
			       call->op->name);
		for (last = nr_args(call->op); last && !call->v[last - 1];)
			last--;
		for (j = 0; j < last; j++)
			at += snprintf(at, end - at, " %llx",
				       (unsigned long long)call->v[j]);
	}
}

static void random_call(struct fuzz_call *call)
{
	int i;

	memset(call, 0, sizeof(*call));
	call->op = fuzz_op_random();
	for (i = 0; i < nr_args(call->op); i++)
		call->v[i] = fuzz_value_random(&call->op->args[i]);
}

static void insert(struct fuzz_program *p, unsigned int at)
{
	if (p->nr == FUZZ_CALLS)
		return;
	memmove(&p->calls[at + 1], &p->calls[at],
		(p->nr++ - at) * sizeof(p->calls[0]));
	random_call(&p->calls[at]);
}

void fuzz_remove(struct fuzz_program *p, unsigned int at)
{
	memmove(&p->calls[at], &p->calls[at + 1],
		(--p->nr - at) * sizeof(p->calls[0]));
}

/* Mostly with a device to begin with. */
void fuzz_generate(struct fuzz_program *p)
{
	unsigned int nr = 2 + fuzz_below(10);

	memset(p, 0, sizeof(*p));
	while (p->nr < nr)
		insert(p, p->nr);
	if (fuzz_below(8)) {
		struct fuzz_call *call = &p->calls[0];

		memset(call, 0, sizeof(*call));
		call->op = fuzz_op_by_name("open");
		call->v[0] = fuzz_below(FUZZ_DEVICES);
		call->v[1] = fuzz_below(4);
	}
}

static void change_number(struct fuzz_program *p)
{
	struct fuzz_call *call = &p->calls[fuzz_below(p->nr)];
	int nr = nr_args(call->op);
	uint64_t *v;
	int i;

	if (!nr)
		return;
	i = fuzz_below(nr);
	v = &call->v[i];
	switch (fuzz_below(4)) {
	case 0:
		*v ^= 1ull << fuzz_below(64);
		break;
	case 1:
		*v += fuzz_below(9) - 4;
		break;
	default:
		*v = fuzz_value_random(&call->op->args[i]);
		break;
	}
}

/* The start of this one and the end of the other. */
static void splice(struct fuzz_program *p, const struct fuzz_program *other)
{
	unsigned int from = fuzz_below(other->nr);

	p->nr = 1 + fuzz_below(p->nr);
	while (p->nr < FUZZ_CALLS && from < other->nr)
		p->calls[p->nr++] = other->calls[from++];
}

void fuzz_mutate(struct fuzz_program *p, const struct fuzz_program *other)
{
	unsigned int times = 1 + fuzz_below(4);

	while (times--) {
		switch (fuzz_below(16)) {
		case 0 ... 6:
			insert(p, fuzz_below(p->nr + 1));
			break;
		case 7:
			if (p->nr > 1)
				fuzz_remove(p, fuzz_below(p->nr));
			break;
		case 8:
			splice(p, other);
			break;
		default:
			change_number(p);
			break;
		}
	}
}
