/* `patchbay prompts TASK` */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "config/nearest.h"
#include "config/schema.h"
#include "config/task_text.h"
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

/* ---- the tasks' own options: the keys of a config's section task ------------------------- */

#define MAX_KEYS 24

/* Keys that have an option here; others are --pairs, --count and the task itself. */
static bool has_option(const struct pb_key *key)
{
	const char *name = pb_key_name(key);

	return pb_key_in_section(key, "task") && strcmp(name, "name") != 0 &&
	       strcmp(name, "pairs") != 0 && strcmp(name, "prompts") != 0;
}

/* What is typed, by key. */
struct typed {
	size_t n;
	const struct pb_key *keys[MAX_KEYS];
	const char *texts[MAX_KEYS];
	char origins[MAX_KEYS][32];
	char helps[MAX_KEYS][160];
};

static void add_options(struct typed *typed, struct pb_option *options, size_t *n_options)
{
	for (size_t k = 0; k < pb_n_keys; k++) {
		const struct pb_key *key = &pb_keys[k];
		size_t at = typed->n;
		bool word = key->words != NULL;

		if (!has_option(key))
			continue;
		assert(at < MAX_KEYS);
		typed->keys[at] = key;
		(void)snprintf(typed->origins[at], sizeof typed->origins[at], "--%s",
			       pb_key_name(key));
		(void)snprintf(typed->helps[at], sizeof typed->helps[at], "%s%s%s",
			       key->tasks == NULL ? "" : key->tasks, key->tasks == NULL ? "" : ": ",
			       key->help);
		options[(*n_options)++] = (struct pb_option){
		    pb_key_name(key), 0,
		    PB_ARG_TEXT,      word ? "WORD" : key->type == PB_KEY_TEXT ? "FILE" : "N",
		    typed->helps[at], &typed->texts[at]};
		typed->n++;
	}
}

static enum pb_status read_typed(const struct typed *typed, const char *task,
				 struct pb_run_config *config, struct pb_error *err)
{
	struct pb_task_text texts[MAX_KEYS];
	size_t n = 0;

	for (size_t i = 0; i < typed->n; i++) {
		if (typed->texts[i] == NULL)
			continue;
		if (!pb_key_has_task(typed->keys[i], task))
			return pb_fail(err, PB_ERR_INPUT,
				       "option does not fit: %s: task %s has no such thing: leave "
				       "it out",
				       typed->origins[i], task);
		texts[n++] = (struct pb_task_text){pb_key_name(typed->keys[i]), typed->texts[i],
						   typed->origins[i]};
	}
	for (size_t i = 0; i < typed->n; i++) {
		const struct pb_key *key = typed->keys[i];

		if (typed->texts[i] == NULL && key->presence == PB_KEY_REQUIRED &&
		    pb_key_has_task(key, task))
			return pb_fail(err, PB_ERR_INPUT,
				       "missing option: %s (task %s): give it, %s (see patchbay "
				       "prompts --help)",
				       typed->origins[i], task, key->help);
	}
	return pb_task_read(config, task, texts, n, err);
}

/* Exactly one of --pairs and --count. */
static enum pb_status check_counts(size_t n_pairs, size_t n_prompts, const struct typed *typed,
				   struct pb_error *err)
{
	if ((n_pairs != 0) == (n_prompts != 0))
		return pb_fail(err, PB_ERR_INPUT,
			       "%s: patchbay prompts: --pairs N makes pairs, --count N evaluation "
			       "prompts: give one of them",
			       n_pairs == 0 ? "nothing to make" : "options contradict");
	for (size_t i = 0; i < typed->n && n_prompts != 0; i++)
		if (typed->texts[i] != NULL && strcmp(pb_key_name(typed->keys[i]), "corrupt") == 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "options contradict: --corrupt and --count: evaluation "
				       "prompts are not corrupted: give --pairs");
	return PB_OK;
}

static enum pb_status make_lines(struct pb_task_options *task, bool pairs, const char *model,
				 const char *output, struct pb_error *err)
{
	struct pb_tokenizer *tokenizer = NULL;
	char *text = NULL, *folder = NULL;
	size_t size = 0;
	enum pb_status status;

	if (model != NULL) {
		PB_TRY(pb_model_find(&folder, model, "main", err));
		PB_TRY(pb_tokenizer_open(&tokenizer, folder, err));
		task->tokenizer = tokenizer;
	}
	PB_TRY((pairs ? pb_task_pairs : pb_task_prompts)(task, &text, &size, err));
	PB_TRY(output == NULL ? pb_output_stdout(text, size, err)
			      : pb_output_file(output, text, size, err));
cleanup:
	pb_tokenizer_close(tokenizer);
	free(folder);
	free(text);
	return status;
}

enum pb_status pb_verb_prompts(int argc, char **argv, struct pb_error *err)
{
	size_t n_pairs = 0, n_prompts = 0;
	const char *output = NULL, *model = NULL;
	struct pb_option options[PB_MAX_OPTIONS] = {
	    {"pairs", 0, PB_ARG_COUNT, "N", "make N pairs", &n_pairs},
	    {"count", 0, PB_ARG_COUNT, "N", "make N evaluation prompts", &n_prompts},
	    {"model", 0, PB_ARG_TEXT, "PATH",
	     "use words that are one token of this model's tokenizer", &model},
	    {"output", 'o', PB_ARG_TEXT, "FILE", "the file to write (default: standard output)",
	     &output},
	};
	struct typed typed = {.n = 0};
	struct pb_usage usage = {.verb = "prompts",
				 .operands = "TASK",
				 .summary = "Make pairs of clean and corrupted prompts, or "
					    "evaluation prompts, as JSON lines.",
				 .n_operands_min = 1,
				 .n_operands_max = 1,
				 .options = options,
				 .n_options = 4,
				 .more = print_more};
	struct pb_run_config config = {0};
	enum pb_status status;
	bool help;
	int first;

	add_options(&typed, options, &usage.n_options);
	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	PB_TRY(find_task(argv[first], err));
	PB_TRY(check_counts(n_pairs, n_prompts, &typed, err));
	PB_TRY(read_typed(&typed, argv[first], &config, err));
	config.task.count = n_pairs != 0 ? n_pairs : n_prompts;
	PB_TRY(make_lines(&config.task, n_pairs != 0, model, output, err));
cleanup:
	pb_config_free(&config);
	return status;
}
