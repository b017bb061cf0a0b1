/* `patchbay compare FILE FILE...` */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "results/compare.h"

#define FILES_MAX 10000
#define USUAL_TOP 10
#define USUAL_BINS 10

/* What the command line says beside the options of the comparison. */
struct compare_args {
	const char *by, *output, *csv;
	size_t top;
	bool right, force;
};

static void print_more(FILE *out)
{
	fprintf(out,
		"\nFiles are lined up by one sweep, whose cells are layers or heads: it must be "
		"there in all of them,\nwith the same settings and the same task. What is summed "
		"and shared out is |mean effect| of each\ncell. A layer of L stands for the "
		"relative depths from layer / L to (layer + 1) / L. Intervals are\n95%% bootstrap "
		"intervals over the pairs. With -o or --csv nothing is printed.\n"
		"\nexit status: 0 done, 1 a file is damaged or could not be written, 2 bad usage, "
		"or files that do not\ngo together\n");
}

/* ---- outputs ----------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x) != 0 || stat(b, &y) != 0)
		return strcmp(a, b) == 0;
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* An output must be a new file, or one that may be replaced; never one that is compared. */
static enum pb_status check_output(const char *path, bool force,
				   const struct pb_compare_options *options, struct pb_error *err)
{
	enum pb_status status;
	struct pb_aside aside = {0};
	struct stat st;
	size_t i;

	if (path == NULL)
		return PB_OK;
	PB_TRY(pb_output_check(path, err));
	for (i = 0; i < options->n_files; i++)
		if (same_file(path, options->paths[i]))
			return pb_fail(err, PB_ERR_INPUT,
				       "output is one of the files that are compared: %s: name "
				       "another",
				       path);
	if (stat(path, &st) == 0 && !force)
		return pb_fail(err, PB_ERR_INPUT,
			       "output is there already: %s: choose another name, or give --force "
			       "to replace it",
			       path);
	PB_TRY(pb_aside_begin(&aside, path, err));
cleanup:
	pb_aside_end(&aside);
	return status;
}

static enum pb_status check_outputs(const struct compare_args *args,
				    const struct pb_compare_options *options, struct pb_error *err)
{
	enum pb_status status;

	if (args->output != NULL && args->csv != NULL && same_file(args->output, args->csv))
		return pb_fail(err, PB_ERR_INPUT,
			       "one output for two: %s: give --output and --csv other names",
			       args->csv);
	PB_TRY(check_output(args->output, args->force, options, err));
	status = check_output(args->csv, args->force, options, err);
cleanup:
	return status;
}

static enum pb_status write_csv(const struct pb_comparison *c, const char *path,
				struct pb_error *err)
{
	enum pb_status status;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: CSV");
	pb_compare_csv(c, out);
	if (fclose(out) != 0)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: CSV");
	else
		status = pb_output_file(path, text, size, err);
	free(text);
	return status;
}

/* ---- the verb ---------------------------------------------------------------------------- */

static enum pb_status check_values(const struct compare_args *args,
				   struct pb_compare_options *options, struct pb_error *err)
{
	options->n_top = args->top > 0 ? args->top : USUAL_TOP;
	if (args->by != NULL) {
		const int by = pb_name_index(pb_compare_by_names, 2, args->by);

		if (by < 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "bad value: --by '%s': give effect or restoration",
				       args->by);
		options->by = (enum pb_compare_by)by;
	}
	if (options->n_bins > PB_COMPARE_BINS_MAX)
		return pb_fail(err, PB_ERR_INPUT, "bad value: --bins %zu: give at most %d",
			       options->n_bins, PB_COMPARE_BINS_MAX);
	return PB_OK;
}

static enum pb_status compare(const struct compare_args *args,
			      const struct pb_compare_options *options, const char *command,
			      struct pb_error *err)
{
	enum pb_status status;
	struct pb_comparison c = {0};

	PB_TRY(check_outputs(args, options, err));
	PB_TRY(pb_compare(&c, options, err));
	if (args->output != NULL)
		PB_TRY(pb_compare_write(&c, args->output, command, err));
	if (args->csv != NULL)
		PB_TRY(write_csv(&c, args->csv, err));
	if (args->output == NULL && args->csv == NULL)
		status = pb_compare_text(&c, args->right, args->top > 0, stdout, err);
cleanup:
	pb_comparison_free(&c);
	return status;
}

enum pb_status pb_verb_compare(int argc, char **argv, struct pb_error *err)
{
	struct compare_args args = {0};
	struct pb_compare_options c = {.n_bins = USUAL_BINS};
	const struct pb_option options[] = {
	    {"sweep", 's', PB_ARG_TEXT, "NAME",
	     "the sweep, by its name or number in the first file [its first]", &c.sweep},
	    {"by", 0, PB_ARG_TEXT, "WHAT", "effect (logits) or restoration [effect]", &args.by},
	    {"top", 'n', PB_ARG_COUNT, "K", "the K strongest heads of each file [10, not printed]",
	     &args.top},
	    {"bins", 0, PB_ARG_COUNT, "N", "bins of relative depth [10]", &c.n_bins},
	    {"right", 0, PB_ARG_FLAG, NULL,
	     "print what is over the pairs that the model is right about", &args.right},
	    {"any-task", 0, PB_ARG_FLAG, NULL, "compare files of different tasks too", &c.any_task},
	    {"output", 'o', PB_ARG_TEXT, "FILE", "write all figures as HDF5", &args.output},
	    {"csv", 0, PB_ARG_TEXT, "FILE", "write all figures as CSV", &args.csv},
	    {"force", 0, PB_ARG_FLAG, NULL, "replace an output that is there", &args.force},
	};
	const struct pb_usage usage = {
	    .verb = "compare",
	    .operands = "FILE FILE...",
	    .summary = "Line up a sweep of several models or revisions: how much of the effect "
		       "lies where, and in how few\nheads.",
	    .n_operands_min = 2,
	    .n_operands_max = FILES_MAX,
	    .options = options,
	    .n_options = sizeof options / sizeof *options,
	    .more = print_more};
	enum pb_status status;
	char *command = NULL;
	bool help;
	int first;

	PB_TRY(pb_command_line(argc, argv, &command, err));
	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	PB_TRY(check_values(&args, &c, err));
	c.paths = argv + first;
	c.n_files = (size_t)(argc - first);
	status = compare(&args, &c, command, err);
cleanup:
	free(command);
	return status;
}
