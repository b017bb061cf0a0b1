/* How long a run may take: what --time-limit says, or what is left of the SLURM job. */
#ifndef PB_CLUSTER_JOB_TIME_H
#define PB_CLUSTER_JOB_TIME_H

#include <stdbool.h>
#include <stdio.h>

#include "patchbay/status.h"

struct pb_time_left {
	bool limited;
	double seconds; /* from now on */
	double whole;   /* seconds of the whole job, or of the limit: what a new start would have */
};

/* "[[HH:]MM:]SS" (also D-HH:MM:SS), at least one second. False for anything else. */
bool pb_time_parse(const char *text, double *seconds);

/* `text` is a time as above; "auto": what the SLURM job has left, an error outside of one; "job":
 * the same, but no limit outside of a job, nor, with a warning, where SLURM does not answer; "none"
 * or NULL: no limit. PB_ERR_INPUT for other texts, and where `auto` cannot be known. */
enum pb_status pb_time_left(const char *text, struct pb_time_left *left, struct pb_error *err);

/* What `squeue -o '%e %S'` with SLURM_TIME_FORMAT=%s answers: the job's end and start, in seconds
 * of the clock `now`. False when it is neither that nor a job without an end. */
bool pb_time_of_squeue(const char *answer, double now, struct pb_time_left *left);

/* Lines for `patchbay doctor`: the job that this process runs in, and whether SLURM is there. */
void pb_job_describe(FILE *out);

#endif
