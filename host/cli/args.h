/* Options of a verb: one table that is parsed by and printed for --help. */
#ifndef PATCHBAY_CLI_ARGS_H
#define PATCHBAY_CLI_ARGS_H

#include "patchbay/base.h"

enum pb_arg_type {
	PB_ARG_FLAG,   /* bool */
	PB_ARG_TEXT,   /* const char * */
	PB_ARG_LIST,   /* struct pb_arg_list: may be given several times */
	PB_ARG_COUNT,  /* size_t, at least 1 */
	PB_ARG_SEED,   /* uint64_t */
	PB_ARG_MEMORY, /* size_t, bytes: 8G, with binary suffixes K M G T */
};

struct pb_arg_list {
	const char **items; /* into argv */
	size_t n, capacity;
};

struct pb_option {
	const char *name; /* without its dashes */
	char letter;      /* 0: none */
	enum pb_arg_type type;
	const char *value; /* what --help calls the value, NULL for flags */
	const char *help;
	void *target; /* of the type above; untouched when the option is not given */
};

/* A verb's command line. */
struct pb_usage {
	const char *verb;
	const char *operands; /* "CONFIG", "" */
	const char *summary;  /* one sentence */
	size_t n_operands_min, n_operands_max;
	const struct pb_option *options;
	size_t n_options;
	void (*more)(FILE *out); /* the rest of the help; may be NULL */
};

#define PB_MAX_OPTIONS 32

/* Parse argv (argv[0] is the verb). Operands are moved to the end of argv: *first is the index of
 * the first, argc - *first how many there are. --help prints the usage to stdout and sets *help.
 * PB_ERR_INPUT for unknown options, bad values and a wrong number of operands. */
enum pb_status pb_args_parse(const struct pb_usage *usage, int argc, char **argv, int *first,
			     bool *help, struct pb_error *err);
void pb_arg_list_free(struct pb_arg_list *list);

#endif
