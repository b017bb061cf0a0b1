/* The scripts that `patchbay submit` gives to SLURM. */
#ifndef PATCHBAY_CLI_BATCH_SCRIPT_H
#define PATCHBAY_CLI_BATCH_SCRIPT_H

#include <stddef.h>
#include <stdio.h>

/* What is asked for. Paths are absolute; NULL texts and zeros are left out. */
struct pb_batch {
	const char *program, *verb, *config, *output; /* verb: run or eval */
	const char *folder;                           /* where it runs, and its logs go */
	const char *name;
	const char *command, *notes; /* how it was made, and what was predicted: comments */
	size_t n_tasks, at_once;     /* of the array; one task is no array */
	size_t n_processes, n_nodes; /* of each task, under srun where it is more than one */
	size_t cpus, gpus;           /* of each process */
	size_t memory_mib;           /* of each node */
	const char *time;            /* as sbatch reads it */
	size_t signal_s;             /* seconds before its end that a task is told */
	const char *partition, *account;
	const char *const *directives; /* more of what follows #SBATCH */
	size_t n_directives;
	const char *const *setup; /* lines before the run */
	size_t n_setup;
	const char *const *arguments; /* more of the run's command line */
	size_t n_arguments;
	const char *stage; /* a folder on the node, as the shell there reads it */
};

/* The job, or the job array: it forwards signals and queues itself again when it was stopped. */
void pb_batch_write(const struct pb_batch *b, FILE *out);
/* What is done when all its tasks are done: merge, verify, top. */
void pb_batch_write_end(const struct pb_batch *b, FILE *out);

#endif
