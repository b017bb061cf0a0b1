/* `patchbay run CONFIG` and `patchbay eval CONFIG` */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cluster/shard.h"
#include "cluster/team.h"
#include "patchbay/engine.h"

/* SLURM kills a job 30 s after it has asked it to end (its KillWait). */
#define GRACE 20

/* What the command line says. */
struct run_args {
	struct pb_arg_list sets;
	const char *output, *backend, *device, *shard;
	size_t memory, device_memory, threads;
	size_t grace;
	const char *time_limit, *stage;
	size_t shard_number, n_shards; /* of --shard; 0: without */
	bool dry_run, force, resume, profile, quiet;
};

static void print_more(FILE *out)
{
	fprintf(
	    out,
	    "\nAn output that is there already: complete and of the same experiment, it is "
	    "left alone;\nunfinished, the run continues; of another experiment, it is refused "
	    "without --force.\nSIGTERM, SIGINT, SIGUSR1, a file OUTPUT.stop and the time limit stop the "
	    "run (exit status 75):\nthe chunk in flight is finished where the time allows it, and "
	    "else dropped.\n\n"
	    "keys of CONFIG, {words}, [default]; exactly one of task and pairs; sweep is a list "
	    "of rows or one row\n(eval needs a task, and no sweep)\n");
	pb_config_describe(out);
}

/* --backend is short for a --set. */
static enum pb_status add_backend(struct run_args *args, char **set, struct pb_error *err)
{
	void *items = (void *)args->sets.items;
	enum pb_status status;

	if (args->backend == NULL)
		return PB_OK;
	PB_TRY(pb_grow(&items, &args->sets.capacity, args->sets.n + 1, sizeof *args->sets.items,
		       "options", err));
	args->sets.items = (const char **)items;
	*set = pb_format("engine.backend=%s", args->backend);
	if (*set == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the command line");
	args->sets.items[args->sets.n++] = *set;
cleanup:
	return status;
}

/* The output is the whole's; a shard's own is named after it. */
static enum pb_status name_shard(struct pb_run_config *config, const struct run_args *args,
				 const char **whole, struct pb_error *err)
{
	char *name = pb_shard_name(config->output, args->shard_number, args->n_shards);

	*whole = config->output;
	config->output = name != NULL ? pb_arena_strdup(&config->arena, name) : NULL;
	free(name);
	if (config->output == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of the output");
	return PB_OK;
}

static enum pb_status read_config(struct pb_run_config *config, bool evaluation, const char *path,
				  const struct run_args *args, const char **whole,
				  struct pb_error *err)
{
	enum pb_status status;

	PB_TRY((evaluation ? pb_config_read_evaluation : pb_config_read)(
	    config, path, args->sets.items, args->sets.n, args->output, err));
	if (config->output == NULL && !args->dry_run) {
		status =
		    pb_fail(err, PB_ERR_INPUT,
			    "no output: %s (output): name the result file there, or with -o", path);
		goto cleanup;
	}
	if (config->output != NULL && args->n_shards > 0)
		PB_TRY(name_shard(config, args, whole, err));
	if (config->output != NULL)
		PB_TRY(pb_output_check(config->output, err));
cleanup:
	return status;
}

static enum pb_status run(bool evaluation, const char *path, const struct run_args *args,
			  const char *command, struct pb_error *err)
{
	struct pb_run_options options = {.command = command,
					 .memory = args->memory,
					 .device_memory = args->device_memory,
					 .device = args->device,
					 .n_threads = (int)args->threads,
					 .dry_run = args->dry_run,
					 .force = args->force,
					 .profile = args->profile,
					 .quiet = args->quiet,
					 .grace_s = (double)args->grace,
					 .time_limit = args->time_limit,
					 .stage = args->stage,
					 .shard = args->shard_number,
					 .n_shards = args->n_shards};
	struct pb_run_config config = {0};
	enum pb_status status;

	/* first of all: a signal that comes early must stop the run too, not kill it */
	pb_signals_install((unsigned)args->grace);
	PB_TRY(pb_team_open(&options.team, err));
	/* until chunks are shared out all processes would say the same */
	if (options.team->rank > 0) {
		pb_log_mute(true);
		options.quiet = true;
	}
	pb_log_quiet(options.quiet);
	status = read_config(&config, evaluation, path, args, &options.whole_output, err);
	PB_TRY(pb_team_agree(options.team, status, err));
	PB_TRY((evaluation ? pb_evaluation_run : pb_experiment_run)(&config, &options, err));
cleanup:
	pb_config_free(&config);
	/* launchers end all processes when the first of them ends with an error */
	if (status != PB_OK && options.team && options.team->size > 1)
		pb_tell(err);
	pb_team_close(options.team);
	return status;
}

static enum pb_status run_verb(bool evaluation, int argc, char **argv, struct pb_error *err)
{
	struct run_args args = {.grace = GRACE, .time_limit = "job"};
	const struct pb_option options[] = {
	    {"set", 0, PB_ARG_LIST, "KEY=VALUE",
	     "set a key of CONFIG (task.pairs=20, sweep.0.site=z)", &args.sets},
	    {"output", 'o', PB_ARG_TEXT, "FILE", "the result file, instead of CONFIG's",
	     &args.output},
	    {"shard", 0, PB_ARG_TEXT, "I/N",
	     "only shard I of N, from 0, in a file of its own: see patchbay merge; slurm: by the "
	     "job array",
	     &args.shard},
	    {"backend", 0, PB_ARG_TEXT, "NAME", "where to compute: auto, cpu, cuda", &args.backend},
	    {"memory", 0, PB_ARG_MEMORY, "SIZE",
	     "host memory to stay within, 8G (default: 80% of what the job may use)", &args.memory},
	    {"device-memory", 0, PB_ARG_MEMORY, "SIZE",
	     "memory of the GPU to stay within (default: 90% of what is free there)",
	     &args.device_memory},
	    {"threads", 0, PB_ARG_COUNT, "N", "threads (default: those that the job may use)",
	     &args.threads},
	    {"dry-run", 0, PB_ARG_FLAG, NULL, "print the plan and stop", &args.dry_run},
	    {"device", 0, PB_ARG_TEXT, "CARD",
	     "with --dry-run: the sweep's time on a GPU that is not here, from its peaks (h100, "
	     "a100, ...)",
	     &args.device},
	    {"force", 0, PB_ARG_FLAG, NULL, "replace an output of another experiment", &args.force},
	    {"resume", 0, PB_ARG_FLAG, NULL, "continue an unfinished output (it is always done)",
	     &args.resume},
	    {"grace", 0, PB_ARG_COUNT, "SECONDS",
	     "from a signal or stop file to the end, at most (20)", &args.grace},
	    {"time-limit", 0, PB_ARG_TEXT, "TIME",
	     "stop within [[HH:]MM:]SS; auto: what the SLURM job has left (the default in one), none",
	     &args.time_limit},
	    {"stage", 0, PB_ARG_TEXT, "FOLDER",
	     "copy the weights to this folder of a local disk first (given back at the end)",
	     &args.stage},
	    {"profile", 0, PB_ARG_FLAG, NULL, "print the time by stage at the end", &args.profile},
	    {"quiet", 'q', PB_ARG_FLAG, NULL, "no progress and no notes, only warnings and errors",
	     &args.quiet},
	};
	const struct pb_usage usage = {
	    .verb = evaluation ? "eval" : "run",
	    .operands = "CONFIG",
	    .summary =
		evaluation
		    ? "Measure how well the model answers the prompts of CONFIG's task, in every "
		      "cell of its grid,\nand leave one HDF5 file."
		    : "Run the experiment that the YAML file CONFIG describes: make or read the "
		      "pairs, patch every\nhead that its sweeps name, and leave one HDF5 file.",
	    .n_operands_min = 1,
	    .n_operands_max = 1,
	    .options = options,
	    .n_options = sizeof options / sizeof options[0],
	    .more = print_more};
	char *command = NULL, *backend_set = NULL;
	enum pb_status status;
	bool help;
	int first;

	/* Before the options are parsed, which reorders argv. */
	PB_TRY(pb_command_line(argc, argv, &command, err));
	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	if (args.force && args.resume) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "options contradict: --force and --resume: give one of them");
		goto cleanup;
	}
	if (args.device && !args.dry_run) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "an option lacks another: --device %s: give --dry-run with it, or "
				 "choose where to compute with --backend",
				 args.device);
		goto cleanup;
	}
	if (args.device && evaluation) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "option does not fit: --device %s: the time on a card is that of "
				 "sweeps: leave it out, or use patchbay run",
				 args.device);
		goto cleanup;
	}
	if (args.shard)
		PB_TRY(pb_shard_parse(args.shard, &args.shard_number, &args.n_shards, err));
	PB_TRY(add_backend(&args, &backend_set, err));
	PB_TRY(run(evaluation, argv[first], &args, command, err));
cleanup:
	pb_arg_list_free(&args.sets);
	free(backend_set);
	free(command);
	return status;
}

enum pb_status pb_verb_run(int argc, char **argv, struct pb_error *err)
{
	return run_verb(false, argc, argv, err);
}

enum pb_status pb_verb_eval(int argc, char **argv, struct pb_error *err)
{
	return run_verb(true, argc, argv, err);
}
