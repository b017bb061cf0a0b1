/* `patchbay merge OUT PART...` */
#include <stdlib.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "patchbay/results.h"

static void print_more(FILE *out)
{
	fprintf(
	    out,
	    "\nPARTs are what `patchbay run --shard` and `patchbay eval --shard` leave, in any "
	    "order. OUT has the same\ndatasets as a run of one process, to the bit. Overlaps, "
	    "gaps, different experiments and damaged shards\nare refused, and the difference is "
	    "printed. An OUT that is complete already is left alone; a partial\nmerge is "
	    "replaced.\n"
	    "\nexit status: 0 done, 1 failed or a shard is damaged, 2 bad usage or input\n");
}

enum pb_status pb_verb_merge(int argc, char **argv, struct pb_error *err)
{
	struct pb_merge_options merge = {0};
	bool quiet = false, help;
	const struct pb_option options[] = {
	    {"partial", 0, PB_ARG_FLAG, NULL,
	     "merge what is there: what is missing is not applicable, and the file is not complete",
	     &merge.partial},
	    {"force", 0, PB_ARG_FLAG, NULL, "replace an OUT that is something else", &merge.force},
	    {"quiet", 'q', PB_ARG_FLAG, NULL, "no notes, only warnings and errors", &quiet},
	};
	const struct pb_usage usage = {.verb = "merge",
				       .operands = "OUT PART...",
				       .summary =
					   "Make one result file OUT from the shards of a run.",
				       .n_operands_min = 2,
				       .n_operands_max = 1000000,
				       .options = options,
				       .n_options = sizeof options / sizeof *options,
				       .more = print_more};
	char *command = NULL;
	enum pb_status status;
	int first;

	PB_TRY(pb_command_line(argc, argv, &command, err));
	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	pb_log_quiet(quiet);
	PB_TRY(pb_output_check(argv[first], err));
	merge.output = argv[first];
	merge.command = command;
	merge.parts = (const char *const *)argv + first + 1;
	merge.n_parts = (size_t)(argc - first - 1);
	PB_TRY(pb_result_merge(&merge, err));
cleanup:
	free(command);
	return status;
}
