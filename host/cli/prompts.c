/* `patchbay prompts TASK` */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "config/nearest.h"
#include "patchbay/model.h"
#include "patchbay/pairs.h"
#include "patchbay/tokens.h"

static void print_task(const struct pb_task *task, FILE *out)
{
	const char *before = "";

	fprintf(out, "  %-10s %s\n%13s--corrupt ", task->name, task->summary, "");
	for (int c = 0; c < PB_N_CORRUPTIONS; c++)
		if (task->corruptions >> c & 1u) {
			fprintf(out, "%s%s%s", before, pb_corruption_name((enum pb_corruption)c),
				(int)task->usual_corrupt == c ? " (default)" : "");
			before = ", ";
		}
	fputc('\n', out);
}

static void print_more(FILE *out)
{
	fprintf(out, "\ntasks\n");
	for (const struct pb_task *task = pb_tasks; task->name != NULL; task++)
		print_task(task, out);
	fprintf(out,
		"\nThe same options give the same bytes, and line k does not depend on how many "
		"there are.\n");
}

static enum pb_status find_task(const char *name, struct pb_error *err)
{
	const char *names[16];
	const char *nearest;
	size_t n = 0;

	if (pb_task_find(name) != NULL)
		return PB_OK;
	for (const struct pb_task *task = pb_tasks; task->name != NULL && n < 16; task++)
		names[n++] = task->name;
	nearest = pb_nearest_word(name, names, n);
	if (nearest != NULL)
		return pb_fail(err, PB_ERR_INPUT, "unknown task: '%s': did you mean '%s'?", name,
			       nearest);
	return pb_fail(err, PB_ERR_INPUT, "unknown task: '%s': see patchbay prompts --help", name);
}

static enum pb_status find_corruption(const char *name, enum pb_corruption *corruption,
				      struct pb_error *err)
{
	for (int c = 0; c < PB_N_CORRUPTIONS; c++)
		if (strcmp(pb_corruption_name((enum pb_corruption)c), name) == 0) {
			*corruption = (enum pb_corruption)c;
			return PB_OK;
		}
	return pb_fail(err, PB_ERR_INPUT,
		       "unknown corruption: --corrupt '%s': see patchbay prompts --help", name);
}

/* Exactly one of --pairs and --count, and the sizes. */
static enum pb_status check_options(const struct pb_task_options *o, size_t n_pairs,
				    size_t n_prompts, const char *corrupt, struct pb_error *err)
{
	if ((n_pairs != 0) == (n_prompts != 0))
		return pb_fail(err, PB_ERR_INPUT,
			       "%s: patchbay prompts: --pairs N makes pairs, --count N evaluation "
			       "prompts: give one of them",
			       n_pairs == 0 ? "nothing to make" : "options contradict");
	if (n_prompts != 0 && corrupt != NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "options contradict: --corrupt and --count: evaluation prompts are "
			       "not corrupted: give --pairs");
	if (strcmp(o->name, "box") != 0 && (o->boxes != 0 || o->moves != 0))
		return pb_fail(err, PB_ERR_INPUT,
			       "option does not fit: --%s: task %s has no such thing: leave it out",
			       o->boxes != 0 ? "boxes" : "moves", o->name);
	if (strcmp(o->name, "box") == 0 && (o->boxes == 0 || o->moves == 0))
		return pb_fail(err, PB_ERR_INPUT,
			       "missing option: --%s: give a number (see patchbay "
			       "prompts --help)",
			       o->boxes == 0 ? "boxes" : "moves");
	return PB_OK;
}

enum pb_status pb_verb_prompts(int argc, char **argv, struct pb_error *err)
{
	struct pb_task_options task = {0};
	size_t n_pairs = 0, n_prompts = 0;
	const char *corrupt = NULL, *output = NULL, *model = NULL;
	struct pb_tokenizer *tokenizer = NULL;
	const struct pb_option options[] = {
	    {"pairs", 0, PB_ARG_COUNT, "N", "make N pairs", &n_pairs},
	    {"count", 0, PB_ARG_COUNT, "N", "make N evaluation prompts", &n_prompts},
	    {"boxes", 0, PB_ARG_COUNT, "N", "box: boxes, and as many objects: 2 to 10",
	     &task.boxes},
	    {"moves", 0, PB_ARG_COUNT, "N", "box: moves of a story: 1 to 10", &task.moves},
	    {"corrupt", 0, PB_ARG_TEXT, "WHAT", "what differs in a pair (see below)", &corrupt},
	    {"model", 0, PB_ARG_TEXT, "PATH",
	     "use names that are one token of this model's tokenizer", &model},
	    {"seed", 0, PB_ARG_SEED, "N", "seed (default 0)", &task.seed},
	    {"output", 'o', PB_ARG_TEXT, "FILE", "the file to write (default: standard output)",
	     &output},
	};
	const struct pb_usage usage = {.verb = "prompts",
				       .operands = "TASK",
				       .summary = "Make pairs of clean and corrupted prompts, or "
						  "evaluation prompts, as JSON lines.",
				       .n_operands_min = 1,
				       .n_operands_max = 1,
				       .options = options,
				       .n_options = sizeof options / sizeof options[0],
				       .more = print_more};
	enum pb_status status;
	char *text = NULL, *folder = NULL;
	size_t size = 0;
	bool help;
	int first;

	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	task.name = argv[first];
	PB_TRY(find_task(task.name, err));
	task.corrupt = pb_task_find(task.name)->usual_corrupt;
	if (corrupt != NULL)
		PB_TRY(find_corruption(corrupt, &task.corrupt, err));
	PB_TRY(check_options(&task, n_pairs, n_prompts, corrupt, err));
	task.count = n_pairs != 0 ? n_pairs : n_prompts;
	if (model != NULL) {
		PB_TRY(pb_model_find(&folder, model, "main", err));
		PB_TRY(pb_tokenizer_open(&tokenizer, folder, err));
		task.tokenizer = tokenizer;
	}
	PB_TRY((n_pairs != 0 ? pb_task_pairs : pb_task_prompts)(&task, &text, &size, err));
	PB_TRY(output == NULL ? pb_output_stdout(text, size, err)
			      : pb_output_file(output, text, size, err));
cleanup:
	pb_tokenizer_close(tokenizer);
	free(folder);
	free(text);
	return status;
}
