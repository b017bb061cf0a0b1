/* `patchbay submit CONFIG`: a run as SLURM jobs that fit it. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "cli/args.h"
#include "cli/batch_script.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "patchbay/engine.h"

/* What is asked for beside what is foreseen: run-up, checks and statistics are not in the plan, and
 * nodes differ. A card's time is the best that any program could reach. */
#define TIME_TIMES 2.0
#define TIME_TIMES_DEVICE 4.0
#define TIME_MORE 600.0
/* A run stays within four fifths of its job's memory, and the rest is its libraries'. */
#define MEMORY_TIMES 1.25
#define MEMORY_MORE_MIB 512
#define SIGNAL_S 90 /* before the end: more than a grace */
#define SBATCH_SECONDS 120.0

struct submit_args {
	struct pb_arg_list sets, directives, setup;
	const char *output, *backend, *device, *time, *partition, *account, *script, *stage, *name;
	size_t tasks, at_once, processes, nodes, gpus, cpus, memory;
	bool evaluation, go, force;
};

static void print_more(FILE *out)
{
	fprintf(
	    out,
	    "\nThe script asks for what `patchbay run --dry-run` foresees: of a task's share of "
	    "the chunks twice the\ntime (four times with --device, whose time is the best that a "
	    "card could reach) and ten minutes, of the\nmemory five fourths and 512 MiB. There "
	    "are no more tasks than chunks. Tasks that are stopped before their\nend are queued "
	    "again by themselves. Without --go nothing is submitted.\n");
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static enum pb_status add_set(struct submit_args *a, const char *text, struct pb_error *err)
{
	void *items = (void *)a->sets.items;
	enum pb_status status = pb_grow(&items, &a->sets.capacity, a->sets.n + 1,
					sizeof *a->sets.items, "options", err);

	if (status != PB_OK)
		return status;
	a->sets.items = (const char **)items;
	a->sets.items[a->sets.n++] = text;
	return PB_OK;
}

/* The plan of the run, as it will be asked for. */
static enum pb_status foresee(const struct submit_args *a, const char *config_path,
			      struct pb_run_need *need, char **output, struct pb_error *err)
{
	struct pb_run_config config = {0};
	struct pb_run_options options = {
	    .memory = a->memory, .device = a->device, .dry_run = true, .quiet = true, .need = need};
	enum pb_status status;

	if (a->cpus > 0 && a->cpus < (size_t)pb_thread_limit())
		options.n_threads = (int)a->cpus;
	PB_TRY((a->evaluation ? pb_config_read_evaluation : pb_config_read)(
	    &config, config_path, a->sets.items, a->sets.n, a->output, err));
	if (config.output == NULL) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "no output: %s (output): name the result file there, or with -o",
				 config_path);
		goto cleanup;
	}
	/* nothing is computed on this machine: it may have no GPU */
	config.backend = "cpu";
	config.precision = PB_PRECISION_FP32;
	status = (a->evaluation ? pb_evaluation_run : pb_experiment_run)(&config, &options, err);
	pb_log_quiet(false); /* the plan's own notes are not this verb's */
	PB_TRY(status);
	*output = strdup(config.output);
	if (*output == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of the output");
cleanup:
	pb_config_free(&config);
	return status;
}

static enum pb_status absolute(const char *path, bool must_be, char **out, struct pb_error *err)
{
	char *slash, *folder = strdup(path), *resolved = NULL;
	enum pb_status status = PB_OK;

	if (folder == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a path");
	slash = strrchr(folder, '/');
	if (must_be) {
		*out = realpath(path, NULL);
	} else {
		if (slash != NULL)
			*slash = '\0';
		resolved = realpath(slash == NULL ? "." : slash == folder ? "/" : folder, NULL);
		*out = resolved ? pb_format("%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved,
					    slash ? slash + 1 : path)
				: NULL;
	}
	if (*out == NULL)
		status = pb_fail(err, PB_ERR_INPUT, "no such folder or file: %s: %s", path,
				 strerror(errno));
	free(folder);
	free(resolved);
	return status;
}

/* Lines of a script end where lines end. */
static enum pb_status check_lines(const struct submit_args *a, struct pb_error *err)
{
	const char *const words[] = {a->partition, a->account, a->time, a->stage, a->name};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (words[i] && words[i][strcspn(words[i], "\n")])
			return pb_fail(err, PB_ERR_INPUT,
				       "a line ends in an option: '%s': leave it out", words[i]);
	for (size_t i = 0; i < a->directives.n; i++)
		if (strncmp(a->directives.items[i], "--", 2) != 0 ||
		    strchr(a->directives.items[i], '\n'))
			return pb_fail(err, PB_ERR_INPUT,
				       "not an option of sbatch: --sbatch '%s': give it as one, "
				       "--sbatch=--qos=long",
				       a->directives.items[i]);
	if (a->time && a->time[strspn(a->time, "0123456789:-")])
		return pb_fail(err, PB_ERR_INPUT,
			       "bad value: --time '%s': give it as sbatch takes it: minutes, "
			       "HH:MM:SS or D-HH:MM:SS",
			       a->time);
	if (a->device && a->evaluation)
		return pb_fail(err, PB_ERR_INPUT,
			       "option does not fit: --device %s: the time on a card is that of "
			       "sweeps: give --time",
			       a->device);
	if (a->gpus > 0 && !a->time && !a->device)
		return pb_fail(err, PB_ERR_INPUT,
			       "the time on a GPU is not known: --gpus-per-task: give --time, or "
			       "--device with the card's name");
	return PB_OK;
}

/* Name and time, memory and number of tasks, from the plan; and what is said of it. */
static enum pb_status fit(struct pb_batch *b, const struct submit_args *a,
			  const struct pb_run_need *need, char *time, size_t time_size,
			  char **notes, struct pb_error *err)
{
	size_t share, tasks = a->tasks > 0 ? a->tasks : 1, workers;
	double seconds, whole;

	b->n_tasks = tasks < need->n_chunks ? tasks : need->n_chunks;
	share = (need->n_chunks + b->n_tasks - 1) / b->n_tasks;
	workers = b->n_processes > 1 ? b->n_processes : 1;
	workers = workers < share ? workers : share;
	seconds = need->seconds * (double)share / (double)need->n_chunks / (double)workers;
	whole = (a->device ? TIME_TIMES_DEVICE : TIME_TIMES) * seconds + TIME_MORE;
	whole = 60.0 * (double)(unsigned long)(whole / 60.0 + 1.0);
	(void)snprintf(time, time_size, "%lu:%02lu:00", (unsigned long)whole / 3600,
		       (unsigned long)whole / 60 % 60);
	b->time = a->time ? a->time : time;
	b->memory_mib = (size_t)(MEMORY_TIMES * (double)need->memory / 1048576.0) + MEMORY_MORE_MIB;
	b->memory_mib *= workers;
	*notes = pb_format(
	    "foreseen: %zu chunks, %zu a task at most; %.3g s of %s a task%s%s; %.0f MiB a process\n"
	    "(nothing is measured on the nodes; `patchbay submit --help` has the margins)",
	    need->n_chunks, share, seconds, a->evaluation ? "evaluation" : "sweep",
	    a->device ? " at best on " : " as on this machine", a->device ? a->device : "",
	    (double)need->memory / 1048576.0);
	if (*notes == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the notes of a script");
	if (need->n_chunks < tasks)
		pb_info("%zu chunks: %zu tasks instead of %zu", need->n_chunks, b->n_tasks, tasks);
	return PB_OK;
}

/* ---- the scripts ----------------------------------------------------------------------------- */

/* "results/box.h5": "results/box" and the ending. */
static char *beside(const char *output, const char *ending)
{
	size_t n = strlen(output);

	if (n > 3 && strcmp(output + n - 3, ".h5") == 0)
		n -= 3;
	return pb_format("%.*s%s", (int)n, output, ending);
}

/* A script of our own may be replaced. */
static enum pb_status check_script(const char *path, bool force, struct pb_error *err)
{
	static const char mark[] = "#!/bin/bash\n# patchbay submit";
	char head[sizeof mark] = "";
	FILE *f = force ? NULL : fopen(path, "r");

	if (f == NULL)
		return PB_OK;
	if (fread(head, 1, sizeof mark - 1, f) < sizeof mark - 1)
		head[0] = '\0';
	(void)fclose(f);
	if (strcmp(head, mark) == 0)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT,
		       "another file is there: %s: --script: name another one, or --force to "
		       "replace it",
		       path);
}

static enum pb_status write_script(const struct pb_batch *b, const char *path, bool end, bool force,
				   struct pb_error *err)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	enum pb_status status;

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a script");
	(end ? pb_batch_write_end : pb_batch_write)(b, out);
	if (fclose(out) != 0) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a script");
		goto cleanup;
	}
	PB_TRY(check_script(path, force, err));
	PB_TRY(pb_output_file(path, text, size, err));
	printf("---- %s\n%s", path, text);
cleanup:
	free(text);
	return status;
}

/* Give a script to sbatch; *job is its number. */
static enum pb_status give(const char *path, const char *after, char **job, struct pb_error *err)
{
	char *dependency = after ? pb_format("--dependency=afterok:%s", after) : NULL, *said = NULL;
	char *argv[6] = {"sbatch", "--parsable", NULL};
	int code = 0, n = 2;
	enum pb_status status = PB_OK;

	if (after) {
		if (dependency == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: a job");
		argv[n++] = dependency;
		argv[n++] = "--kill-on-invalid-dep=yes";
	}
	argv[n] = (char *)(uintptr_t)path;
	PB_TRY(pb_process_run(argv, NULL, SBATCH_SECONDS, &said, &code, err));
	said[strcspn(said, "\n") + (code != 0 ? strlen(said) - strcspn(said, "\n") : 0)] = '\0';
	if (code != 0) {
		status = pb_fail(err, PB_ERR_IO, "sbatch refuses the script: %s: %s", path, said);
		goto cleanup;
	}
	said[strcspn(said, ";")] = '\0'; /* the cluster's name, where there are several */
	*job = said;
	said = NULL;
cleanup:
	free(said);
	free(dependency);
	return status;
}

static enum pb_status go(const struct pb_batch *b, const char *script, const char *end_script,
			 struct pb_error *err)
{
	char *job = NULL, *last = NULL;
	enum pb_status status;

	PB_TRY(give(script, NULL, &job, err));
	printf("job %s: %zu task%s\n", job, b->n_tasks, b->n_tasks == 1 ? "" : "s");
	(void)fflush(stdout);
	status = give(end_script, job, &last, err);
	if (status == PB_OK)
		printf("job %s: when it is done, merge, verify, top and report\n", last);
cleanup:
	free(job);
	free(last);
	return status;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static enum pb_status program_path(char **out, struct pb_error *err)
{
	*out = realpath("/proc/self/exe", NULL);
	if (*out == NULL)
		return pb_fail(err, PB_ERR_IO, "cannot tell where this program lies: %s",
			       strerror(errno));
	return PB_OK;
}

/* Texts of one submission, for one cleanup. */
struct texts {
	char *config, *output, *raw_output, *program, *folder, *notes, *script, *end_script, *name;
	const char **arguments;
};

static enum pb_status gather_arguments(struct texts *t, const struct submit_args *a,
				       struct pb_batch *b, struct pb_error *err)
{
	enum pb_status status;
	size_t n = 0;

	PB_TRY(pb_alloc((void **)&t->arguments, 2 * a->sets.n + 2, sizeof *t->arguments, "options",
			err));
	for (size_t i = 0; i < a->sets.n; i++) {
		t->arguments[n++] = "--set";
		t->arguments[n++] = a->sets.items[i];
	}
	b->arguments = t->arguments;
	b->n_arguments = n;
cleanup:
	return status;
}

static enum pb_status submit(struct submit_args *a, const char *config_path, const char *command,
			     struct pb_error *err)
{
	struct pb_batch b = {.verb = a->evaluation ? "eval" : "run",
			     .command = command,
			     .at_once = a->at_once,
			     .n_processes = a->processes,
			     .n_nodes = a->nodes,
			     .cpus = a->cpus,
			     .gpus = a->gpus,
			     .signal_s = SIGNAL_S,
			     .partition = a->partition,
			     .account = a->account,
			     .directives = a->directives.items,
			     .n_directives = a->directives.n,
			     .setup = a->setup.items,
			     .n_setup = a->setup.n,
			     .stage = a->stage};
	struct pb_run_need need = {0};
	struct texts t = {0};
	char time[64];
	const char *slash;
	enum pb_status status;

	PB_TRY(check_lines(a, err));
	PB_TRY(foresee(a, config_path, &need, &t.raw_output, err));
	PB_TRY(absolute(config_path, true, &t.config, err));
	PB_TRY(absolute(t.raw_output, false, &t.output, err));
	PB_TRY(absolute(".", true, &t.folder, err));
	PB_TRY(program_path(&t.program, err));
	PB_TRY(gather_arguments(&t, a, &b, err));
	PB_TRY(fit(&b, a, &need, time, sizeof time, &t.notes, err));
	b.config = t.config;
	b.output = t.output;
	b.folder = t.folder;
	b.program = t.program;
	b.notes = t.notes;
	slash = strrchr(t.output, '/');
	t.name = beside(slash + 1, "");
	b.name = a->name ? a->name : t.name;
	t.script = a->script ? strdup(a->script) : beside(t.raw_output, ".sbatch");
	t.end_script = beside(t.script, ".merge");
	if (t.name == NULL || t.script == NULL || t.end_script == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the names of scripts");
		goto cleanup;
	}
	PB_TRY(check_script(t.end_script, a->force, err));
	PB_TRY(write_script(&b, t.script, false, a->force, err));
	PB_TRY(write_script(&b, t.end_script, true, a->force, err));
	if (a->go)
		PB_TRY(go(&b, t.script, t.end_script, err));
	else
		pb_info("nothing is submitted: give --go, or sbatch %s", t.script);
cleanup:
	free(t.config);
	free(t.output);
	free(t.raw_output);
	free(t.program);
	free(t.folder);
	free(t.notes);
	free(t.script);
	free(t.end_script);
	free(t.name);
	free((void *)t.arguments);
	return status;
}

enum pb_status pb_verb_submit(int argc, char **argv, struct pb_error *err)
{
	struct submit_args args = {0};
	const struct pb_option options[] = {
	    {"array", 0, PB_ARG_COUNT, "N", "tasks of a job array, each a shard (1: one job)",
	     &args.tasks},
	    {"at-once", 0, PB_ARG_COUNT, "N", "of which so many run at a time (default: all)",
	     &args.at_once},
	    {"processes", 0, PB_ARG_COUNT, "N",
	     "processes of a task, under srun --mpi=pmix, one a GPU (1)", &args.processes},
	    {"nodes", 0, PB_ARG_COUNT, "N", "nodes of a task", &args.nodes},
	    {"gpus-per-task", 0, PB_ARG_COUNT, "N", "GPUs of a process (none)", &args.gpus},
	    {"cpus-per-task", 0, PB_ARG_COUNT, "N", "processors of a process", &args.cpus},
	    {"time", 0, PB_ARG_TEXT, "TIME", "of a task, as sbatch takes it (default: foreseen)",
	     &args.time},
	    {"memory", 0, PB_ARG_MEMORY, "SIZE", "plan a run that stays within it, 8G",
	     &args.memory},
	    {"partition", 0, PB_ARG_TEXT, "NAME", "as sbatch takes it", &args.partition},
	    {"account", 0, PB_ARG_TEXT, "NAME", "as sbatch takes it", &args.account},
	    {"sbatch", 0, PB_ARG_LIST, "OPTION",
	     "one more option of sbatch, with its dashes (several times)", &args.directives},
	    {"setup", 0, PB_ARG_LIST, "LINE",
	     "a line of the script before the run: 'module load cuda'", &args.setup},
	    {"stage", 0, PB_ARG_TEXT, "FOLDER",
	     "copy the weights to the node's own disk: '$SLURM_TMPDIR'", &args.stage},
	    {"set", 0, PB_ARG_LIST, "KEY=VALUE", "set a key of CONFIG", &args.sets},
	    {"output", 'o', PB_ARG_TEXT, "FILE", "the result file, instead of CONFIG's",
	     &args.output},
	    {"backend", 0, PB_ARG_TEXT, "NAME", "where to compute: auto, cpu, cuda", &args.backend},
	    {"device", 0, PB_ARG_TEXT, "CARD", "foresee the time on this card (h100, a100, ...)",
	     &args.device},
	    {"eval", 0, PB_ARG_FLAG, NULL, "an evaluation (patchbay eval)", &args.evaluation},
	    {"name", 0, PB_ARG_TEXT, "NAME", "of the job (default: the output's)", &args.name},
	    {"script", 0, PB_ARG_TEXT, "FILE", "where the script goes (default: OUTPUT.sbatch)",
	     &args.script},
	    {"go", 0, PB_ARG_FLAG, NULL, "submit it", &args.go},
	    {"force", 0, PB_ARG_FLAG, NULL, "replace a file that is not such a script",
	     &args.force},
	};
	const struct pb_usage usage = {
	    .verb = "submit",
	    .operands = "CONFIG",
	    .summary = "Write a SLURM script that fits the run of CONFIG, show it, and with --go "
		       "submit it, and after it\na job that merges, verifies, ranks and reports.",
	    .n_operands_min = 1,
	    .n_operands_max = 1,
	    .options = options,
	    .n_options = sizeof options / sizeof options[0],
	    .more = print_more};
	char *command = NULL, *backend = NULL;
	enum pb_status status;
	bool help;
	int first;

	PB_TRY(pb_command_line(argc, argv, &command, err));
	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	if (args.backend || args.gpus > 0) {
		backend = pb_format("engine.backend=%s", args.backend ? args.backend : "cuda");
		if (backend == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: options");
			goto cleanup;
		}
		PB_TRY(add_set(&args, backend, err));
	}
	PB_TRY(submit(&args, argv[first], command, err));
cleanup:
	pb_arg_list_free(&args.sets);
	pb_arg_list_free(&args.directives);
	pb_arg_list_free(&args.setup);
	free(backend);
	free(command);
	return status;
}
