/* Command lines by getopt_long, from a verb's table of options. */
#include "cli/args.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config/nearest.h"

#define LONG_BASE 256 /* options without a letter are LONG_BASE + their index */

/* The arrays that getopt_long reads; --help comes after the verb's own options. */
struct parser {
	struct option longs[PB_MAX_OPTIONS + 2];
	char shorts[2 * PB_MAX_OPTIONS + 4];
};

static void parser_begin(struct parser *p, const struct pb_usage *usage)
{
	size_t used = 0;

	memset(p, 0, sizeof *p);
	/* A colon in front: a missing value is told apart from an unknown option. */
	p->shorts[used++] = ':';
	for (size_t i = 0; i < usage->n_options; i++) {
		const struct pb_option *o = &usage->options[i];

		p->longs[i].name = o->name;
		p->longs[i].has_arg = o->type == PB_ARG_FLAG ? no_argument : required_argument;
		p->longs[i].val = LONG_BASE + (int)i;
		if (o->letter == 0)
			continue;
		p->shorts[used++] = o->letter;
		if (o->type != PB_ARG_FLAG)
			p->shorts[used++] = ':';
	}
	p->longs[usage->n_options] = (struct option){"help", no_argument, NULL, 'h'};
	p->shorts[used] = 'h';
}

/* ---- help ------------------------------------------------------------------------------- */

static void print_help(const struct pb_usage *usage, FILE *out)
{
	fprintf(out, "usage: patchbay %s [options]%s%s\n\n%s\n\noptions\n", usage->verb,
		usage->operands[0] == '\0' ? "" : " ", usage->operands, usage->summary);
	for (size_t i = 0; i <= usage->n_options; i++) {
		static const struct pb_option help = {
		    "help", 'h', PB_ARG_FLAG, NULL, "print this and exit", NULL};
		const struct pb_option *o = i < usage->n_options ? &usage->options[i] : &help;
		char left[64];

		(void)snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter == 0 ? ' ' : '-',
			       o->letter == 0 ? ' ' : o->letter, o->letter == 0 ? " " : ",",
			       o->name, o->value == NULL ? "" : " ",
			       o->value == NULL ? "" : o->value);
		fprintf(out, "  %-26s %s\n", left, o->help);
	}
	if (usage->more != NULL)
		usage->more(out);
}

/* ---- values ----------------------------------------------------------------------------- */

static enum pb_status fail_value(const struct pb_usage *usage, const struct pb_option *o,
				 const char *value, const char *wanted, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT, "bad value: --%s '%s': give %s (see patchbay %s --help)",
		       o->name, value, wanted, usage->verb);
}

/* Decimal digits only; false when there is anything else or the number is too large. */
static bool parse_integer(const char *text, uint64_t *value)
{
	unsigned long long number;

	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return false;
	errno = 0;
	number = strtoull(text, NULL, 10);
	*value = number;
	return errno == 0;
}

/* `8G`, `512M`, `1.5g`, `1000000`: bytes. */
static bool parse_memory(const char *text, size_t *bytes)
{
	static const char suffixes[] = "KMGT";
	const size_t digits = strspn(text, "0123456789.");
	double value, unit = 1.0;
	char *end;

	if (digits == 0)
		return false;
	value = strtod(text, &end);
	if (end != text + digits)
		return false;
	if (*end != '\0') {
		const char *suffix = strchr(suffixes, *end & ~0x20);

		if (suffix == NULL || end[1] != '\0')
			return false;
		for (const char *s = suffixes; s <= suffix; s++)
			unit *= 1024.0;
	}
	if (!(value * unit >= 1.0 && value * unit < (double)PTRDIFF_MAX))
		return false;
	*bytes = (size_t)(value * unit);
	return true;
}

static enum pb_status append(struct pb_arg_list *list, const char *text, struct pb_error *err)
{
	/* The array grows as untyped memory. */
	void *items = (void *)list->items;
	enum pb_status status =
	    pb_grow(&items, &list->capacity, list->n + 1, sizeof *list->items, "options", err);

	if (status != PB_OK)
		return status;
	list->items = (const char **)items;
	list->items[list->n++] = text;
	return PB_OK;
}

static enum pb_status take(const struct pb_usage *usage, const struct pb_option *o,
			   const char *value, struct pb_error *err)
{
	uint64_t number = 0;

	switch (o->type) {
	case PB_ARG_FLAG:
		*(bool *)o->target = true;
		break;
	case PB_ARG_TEXT:
		if (value[0] == '\0')
			return fail_value(usage, o, value, "a text", err);
		*(const char **)o->target = value;
		break;
	case PB_ARG_LIST:
		return append(o->target, value, err);
	case PB_ARG_COUNT:
		if (!parse_integer(value, &number) || number < 1 || number > INT32_MAX)
			return fail_value(usage, o, value, "a whole number from 1", err);
		*(size_t *)o->target = (size_t)number;
		break;
	case PB_ARG_SEED:
		if (!parse_integer(value, &number) || number > INT64_MAX)
			return fail_value(usage, o, value, "a whole number from 0", err);
		*(uint64_t *)o->target = number;
		break;
	case PB_ARG_MEMORY:
		if (!parse_memory(value, o->target))
			return fail_value(usage, o, value, "bytes, for instance 8G or 512M", err);
		break;
	}
	return PB_OK;
}

void pb_arg_list_free(struct pb_arg_list *list)
{
	free((void *)list->items);
	*list = (struct pb_arg_list){0};
}

/* ---- parsing ---------------------------------------------------------------------------- */

/* `typed` is the argument as it stands, with its dashes and perhaps a value. */
static enum pb_status fail_unknown(const struct pb_usage *usage, const char *typed,
				   struct pb_error *err)
{
	const char *names[PB_MAX_OPTIONS + 1];
	const char *nearest = NULL;
	const int length = (int)strcspn(typed, "=");
	char word[64];

	for (size_t i = 0; i < usage->n_options; i++)
		names[i] = usage->options[i].name;
	names[usage->n_options] = "help";
	if (strncmp(typed, "--", 2) == 0 && length - 2 < (int)sizeof word) {
		(void)snprintf(word, sizeof word, "%.*s", length - 2, typed + 2);
		nearest = pb_nearest_word(word, names, usage->n_options + 1);
	}
	if (nearest != NULL)
		return pb_fail(err, PB_ERR_INPUT, "unknown option: %.*s: did you mean --%s?",
			       length, typed, nearest);
	return pb_fail(err, PB_ERR_INPUT, "unknown option: %.*s: see patchbay %s --help", length,
		       typed, usage->verb);
}

static const struct pb_option *find_option(const struct pb_usage *usage, int code)
{
	for (size_t i = 0; i < usage->n_options; i++)
		if (code == LONG_BASE + (int)i ||
		    (usage->options[i].letter != 0 && code == usage->options[i].letter))
			return &usage->options[i];
	return NULL;
}

/* What getopt_long did not accept: optopt is the option when it is known (':' a value is missing,
 * '?' one too many), else 0 or an unknown letter. */
static enum pb_status fail_option(const struct pb_usage *usage, int code, char **argv,
				  struct pb_error *err)
{
	const struct pb_option *o = find_option(usage, optopt);
	const char letter[3] = {'-', (char)optopt, '\0'};

	if (code == ':' && o != NULL)
		return pb_fail(err, PB_ERR_INPUT, "missing value: --%s: give %s", o->name,
			       o->value);
	if (o != NULL || optopt == 'h')
		return pb_fail(err, PB_ERR_INPUT, "value not taken: --%s: give it without one",
			       o == NULL ? "help" : o->name);
	if (optopt != 0)
		return fail_unknown(usage, letter, err);
	return fail_unknown(usage, argv[optind - 1], err);
}

static enum pb_status check_operands(const struct pb_usage *usage, size_t n, const char *extra,
				     struct pb_error *err)
{
	if (n < usage->n_operands_min)
		return pb_fail(err, PB_ERR_INPUT,
			       "missing argument: patchbay %s %s: see patchbay %s "
			       "--help",
			       usage->verb, usage->operands, usage->verb);
	if (n > usage->n_operands_max)
		return pb_fail(err, PB_ERR_INPUT,
			       "one argument too many: '%s': usage: patchbay %s [options] %s",
			       extra, usage->verb, usage->operands);
	return PB_OK;
}

enum pb_status pb_args_parse(const struct pb_usage *usage, int argc, char **argv, int *first,
			     bool *help, struct pb_error *err)
{
	struct parser parser;
	size_t n;
	int code;

	*help = false;
	parser_begin(&parser, usage);
	opterr = 0;
	optind = 0; /* GNU: begin anew */
	while ((code = getopt_long(argc, argv, parser.shorts, parser.longs, NULL)) != -1) {
		const struct pb_option *o = find_option(usage, code);
		enum pb_status status;

		if (code == 'h') {
			*help = true;
			print_help(usage, stdout);
			return PB_OK;
		}
		if (o == NULL)
			return fail_option(usage, code, argv, err);
		status = take(usage, o, optarg, err);
		if (status != PB_OK)
			return status;
	}
	*first = optind;
	n = (size_t)(argc - optind);
	return check_operands(
	    usage, n, n > usage->n_operands_max ? argv[optind + (int)usage->n_operands_max] : "",
	    err);
}
