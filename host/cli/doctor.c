/* `patchbay doctor` */
#include "cli/args.h"
#include "cli/verbs.h"
#include "patchbay/engine.h"

enum pb_status pb_verb_doctor(int argc, char **argv, struct pb_error *err)
{
	const struct pb_usage usage = {.verb = "doctor",
				       .operands = "",
				       .summary =
					   "Print what this machine offers to a run: processor, "
					   "threads, memory, libraries."};
	enum pb_status status;
	bool help;
	int first;

	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (!help)
		PB_TRY(pb_doctor(stdout, err));
cleanup:
	return status;
}
