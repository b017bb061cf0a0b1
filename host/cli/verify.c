/* `patchbay verify FILE` */
#include "cli/args.h"
#include "cli/verbs.h"
#include "patchbay/results.h"

static void print_more(FILE *out)
{
	fprintf(out, "\nexit status: 0 all is well, 1 something is wrong, 2 not a result file\n");
}

enum pb_status pb_verb_verify(int argc, char **argv, struct pb_error *err)
{
	const struct pb_usage usage = {
	    .verb = "verify",
	    .operands = "FILE",
	    .summary =
		"Check a result file: complete, every checksum right, no unexplained NaN, the "
		"run's own checks within\ntheir tolerance.",
	    .n_operands_min = 1,
	    .n_operands_max = 1,
	    .more = print_more};
	enum pb_status status;
	bool help;
	int first;

	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (!help)
		PB_TRY(pb_result_verify(argv[first], stdout, err));
cleanup:
	return status;
}
