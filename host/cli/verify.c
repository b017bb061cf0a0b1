/* `patchbay verify FILE` */
#include <stdlib.h>

#include "cli/args.h"
#include "cli/verbs.h"
#include "patchbay/results.h"

static void print_more(FILE *out)
{
	fprintf(out,
		"\n--against compares every dataset, not the attributes (host, times, "
		"commands). With --tolerance, for files\nof different backends, summaries, "
		"ranks and checks are left out.\n"
		"\nexit status: 0 all is well, 1 something is wrong or differs, 2 not a result "
		"file\n");
}

static enum pb_status parse_tolerance(const char *text, const char *other, double *out,
				      struct pb_error *err)
{
	char *end;

	if (other == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "an option lacks another: --tolerance %s: give --against with it",
			       text);
	*out = strtod(text, &end);
	if (end == text || *end != '\0' || !(*out >= 0) || !(*out < 1))
		return pb_fail(err, PB_ERR_INPUT,
			       "bad value: --tolerance '%s': give a number from 0 to 1, like 1e-4",
			       text);
	if (*out == 0)
		*out = -1; /* to the bit */
	return PB_OK;
}

enum pb_status pb_verb_verify(int argc, char **argv, struct pb_error *err)
{
	const char *other = NULL, *tolerance = NULL;
	const struct pb_option options[] = {
	    {"against", 0, PB_ARG_TEXT, "FILE",
	     "also this file, and that both have the same values", &other},
	    {"tolerance", 0, PB_ARG_TEXT, "REL",
	     "with --against: differences up to REL of the largest effect [0: to the bit]",
	     &tolerance},
	};
	const struct pb_usage usage = {
	    .verb = "verify",
	    .operands = "FILE",
	    .summary =
		"Check a result file: complete, every checksum right, no unexplained NaN, the "
		"run's own checks within\ntheir tolerance.",
	    .n_operands_min = 1,
	    .n_operands_max = 1,
	    .options = options,
	    .n_options = sizeof options / sizeof *options,
	    .more = print_more};
	enum pb_status status;
	double relative = -1;
	bool help;
	int first;

	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	if (tolerance != NULL)
		PB_TRY(parse_tolerance(tolerance, other, &relative, err));
	status = other != NULL ? pb_result_against(argv[first], other, relative, stdout, err)
			       : pb_result_verify(argv[first], stdout, err);
cleanup:
	return status;
}
