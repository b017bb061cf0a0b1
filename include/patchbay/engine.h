/* The engine: base runs, the plan, and the sweep of deltas. */
#ifndef PATCHBAY_ENGINE_H
#define PATCHBAY_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/config.h"
#include "patchbay/model.h"
#include "patchbay/results.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pb_team; /* processes that run together */

/* What a run will need, for whoever asks a cluster for it. */
struct pb_run_need {
	size_t n_chunks, n_prompts; /* pairs, or prompts of an evaluation */
	double seconds;             /* of all chunks: on this machine, or at best on `device` */
	size_t memory; /* bytes at most, of the host's as the cpu backend would need it */
};

/* What the command line adds to a config. */
struct pb_run_options {
	const char *command;  /* the command line, for the file */
	size_t memory;        /* bytes of host memory the run may use, 0: 80% of what the job may */
	size_t device_memory; /* bytes of the GPU's, 0: nine tenths of what is free there */
	int n_threads;        /* 0: affinity or SLURM_CPUS_PER_TASK */
	bool dry_run;         /* print the plan to stdout and stop */
	struct pb_run_need *need; /* with it: filled, and nothing is printed; NULL: not wanted */
	const char *device;       /* with it: also the time on this card ("h100"), NULL: none */
	bool force;               /* replace an output of a different experiment */
	bool profile;             /* print the time by stage at the end */
	bool quiet;
	double grace_s; /* seconds from a stop request to the end; a chunk that needs more is
			   dropped */
	/* "[[HH:]MM:]SS"; "auto": what the SLURM job has left; "job": the same, and no limit where
	 * there is no job or it cannot be known; NULL or "none": no limit */
	const char *time_limit;
	/* of a shard: the whole's output; its stop file counts beside the shard's own. NULL: none
	 */
	const char *whole_output;
	/* shard `shard` of n_shards, from 0: only its chunks, and the config's output is the
	 * shard's own file; n_shards 0: all of it */
	size_t shard, n_shards;
	/* a folder on a local disk to copy the weights to first, NULL: none */
	const char *stage;
	struct pb_team *team; /* the processes of this run; NULL: this one alone */
};

/* The whole experiment of a config: open the model, make or read the pairs, plan, run every chunk
 * that has no part yet, assemble, print the summary to stdout. PB_ERR_STOPPED after a stop
 * request (pb_signals_install, a file OUTPUT.stop, the time limit): the parts stay and the same
 * call continues. */
enum pb_status pb_experiment_run(const struct pb_run_config *config,
				 const struct pb_run_options *options, struct pb_error *err);

/* The evaluation of a config (read by pb_config_read_evaluation): its task's prompts in every cell
 * of its grid, and how the model answers them. Otherwise as pb_experiment_run. */
enum pb_status pb_evaluation_run(const struct pb_run_config *config,
				 const struct pb_run_options *options, struct pb_error *err);

/* What limits this process: cgroup, SLURM_MEM_PER_*, available memory; affinity, SLURM. */
size_t pb_memory_limit(void);
int pb_thread_limit(void);

/* `patchbay doctor`: processor, ISA chosen, threads, memory, libraries and versions. */
enum pb_status pb_doctor(FILE *out, struct pb_error *err);

#ifdef __cplusplus
}
#endif
#endif
