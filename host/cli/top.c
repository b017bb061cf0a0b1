/* `patchbay top FILE` */
#include "cli/args.h"
#include "cli/verbs.h"
#include "patchbay/results.h"

static void print_more(FILE *out)
{
	fprintf(
	    out,
	    "\nCells are ranked by |mean effect|. In brackets are 95%% bootstrap intervals; p is "
	    "of one cell\nalone, p_fwer and q_bh are corrected for all cells of the sweep.\n"
	    "\nexit status: 0 done, 1 the file is damaged, 2 bad usage or not a result file\n");
}

static enum pb_status choose_format(bool csv, bool json, enum pb_top_format *format,
				    struct pb_error *err)
{
	if (csv && json)
		return pb_fail(err, PB_ERR_INPUT,
			       "options contradict: --csv and --json: give one of them");
	*format = csv ? PB_TOP_CSV : json ? PB_TOP_JSON : PB_TOP_TEXT;
	return PB_OK;
}

enum pb_status pb_verb_top(int argc, char **argv, struct pb_error *err)
{
	const char *sweep = NULL;
	size_t count = 10;
	bool all = false, right = false, csv = false, json = false, help;
	const struct pb_option options[] = {
	    {"sweep", 's', PB_ARG_TEXT, "NAME", "one sweep, by its name or number [all of them]",
	     &sweep},
	    {"count", 'n', PB_ARG_COUNT, "N", "the N strongest cells of each sweep [10]", &count},
	    {"all", 0, PB_ARG_FLAG, NULL, "every cell", &all},
	    {"right", 0, PB_ARG_FLAG, NULL, "over the pairs that the model is right about", &right},
	    {"csv", 0, PB_ARG_FLAG, NULL, "as CSV with a header", &csv},
	    {"json", 0, PB_ARG_FLAG, NULL, "as JSON", &json},
	};
	const struct pb_usage usage = {
	    .verb = "top",
	    .operands = "FILE",
	    .summary = "Print the strongest cells of a result file: effect, restoration and p.",
	    .n_operands_min = 1,
	    .n_operands_max = 1,
	    .options = options,
	    .n_options = sizeof options / sizeof *options,
	    .more = print_more};
	enum pb_top_format format = PB_TOP_TEXT;
	enum pb_status status;
	int first;

	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	PB_TRY(choose_format(csv, json, &format, err));
	status = pb_result_top(argv[first], sweep, all ? 0 : count, right, format, stdout, err);
cleanup:
	return status;
}
