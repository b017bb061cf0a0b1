/* The time that a SLURM job has left, from its environment or from squeue. */
#include "cluster/job_time.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/process.h"
#include "patchbay/base.h"

#define ANSWER_SECONDS 20.0 /* for squeue: a controller that is busy is not waited for longer */
#define MARGIN 5.0          /* the job's processes are gone so long before its end */

/* ---- times ----------------------------------------------------------------------------------- */

/* Digits up to a separator or the end. */
static bool take_number(const char **at, double *n)
{
	size_t digits = strspn(*at, "0123456789");

	if (digits == 0 || digits > 9)
		return false;
	*n = strtod(*at, NULL);
	*at += digits;
	return true;
}

bool pb_time_parse(const char *text, double *seconds)
{
	double n = 0.0, days = 0.0, total = 0.0;
	int parts = 0;

	if (strchr(text, '-')) {
		if (!take_number(&text, &days) || *text++ != '-')
			return false;
	}
	for (;; text++) {
		if (!take_number(&text, &n) || (parts > 0 && n > 59.0) || ++parts > 3)
			return false;
		total = 60.0 * total + n;
		if (*text != ':')
			break;
	}
	/* days are said with hours, minutes and seconds, so that nobody has to know what 2-12 is */
	if (*text != '\0' || (days > 0.0 && parts != 3))
		return false;
	*seconds = 86400.0 * days + total;
	return *seconds >= 1.0;
}

/* ---- SLURM ----------------------------------------------------------------------------------- */

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static bool seconds_of(const char *text, double *out)
{
	char *end;

	if (!text)
		return false;
	*out = strtod(text, &end);
	return end != text && (*end == '\0' || *end == ' ' || *end == '\n') && *out > 0.0;
}

static void leave_margin(double end, double start, double now, struct pb_time_left *left)
{
	left->limited = true;
	left->seconds = end - now - MARGIN;
	left->whole = end - start - MARGIN;
}

bool pb_time_of_squeue(const char *answer, double now, struct pb_time_left *left)
{
	const char *second = strchr(answer, ' ');
	double end, start;

	*left = (struct pb_time_left){0};
	/* a job of a partition without a limit has no end */
	if (strncmp(answer, "NONE ", 5) == 0 || strncmp(answer, "N/A ", 4) == 0 ||
	    strncmp(answer, "Unknown ", 8) == 0)
		return true;
	if (!second || !seconds_of(answer, &end) || !seconds_of(second + 1, &start) || end < start)
		return false;
	leave_margin(end, start, now, left);
	return true;
}

static enum pb_status ask_squeue(const char *job, struct pb_time_left *left, struct pb_error *err)
{
	char *argv[] = {"squeue", "-h", "-j", (char *)(uintptr_t)job, "-o", "%e %S", NULL};
	char *said = NULL;
	int code = 0;
	enum pb_status status;

	PB_TRY(pb_process_run(argv, "SLURM_TIME_FORMAT=%s", ANSWER_SECONDS, &said, &code, err));
	said[strcspn(said, "\n")] = '\0';
	if (code != 0 || !pb_time_of_squeue(said, (double)time(NULL), left))
		status = pb_fail(err, PB_ERR_INPUT,
				 "squeue does not say when the job ends: job %s: '%s'", job, said);
cleanup:
	free(said);
	return status;
}

static enum pb_status ask_job(const char *job, struct pb_time_left *left, struct pb_error *err)
{
	double end, start, now = (double)time(NULL);

	/* newer versions of SLURM say it, and need not be asked */
	if (seconds_of(variable("SLURM_JOB_END_TIME"), &end)) {
		if (!seconds_of(variable("SLURM_JOB_START_TIME"), &start))
			start = now;
		leave_margin(end, start, now, left);
		return PB_OK;
	}
	return ask_squeue(job, left, err);
}

enum pb_status pb_time_left(const char *text, struct pb_time_left *left, struct pb_error *err)
{
	const char *job = variable("SLURM_JOB_ID");
	struct pb_error why = {0};
	enum pb_status status;

	*left = (struct pb_time_left){0};
	if (!text || strcmp(text, "none") == 0 || (strcmp(text, "job") == 0 && !job))
		return PB_OK;
	if (strcmp(text, "job") != 0 && strcmp(text, "auto") != 0) {
		if (!pb_time_parse(text, &left->seconds))
			return pb_fail(err, PB_ERR_INPUT,
				       "bad value: --time-limit '%s': give [[HH:]MM:]SS (a bare "
				       "number is seconds), auto or none",
				       text);
		left->limited = true;
		left->whole = left->seconds;
		return PB_OK;
	}
	if (!job)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "not in a SLURM job: --time-limit auto: SLURM_JOB_ID is not set: give "
		    "a time");
	status = ask_job(job, left, &why);
	if (status == PB_OK)
		return PB_OK;
	*left = (struct pb_time_left){0};
	if (strcmp(text, "auto") == 0)
		return pb_fail(err, PB_ERR_INPUT, "%s: --time-limit auto: give a time",
			       why.message);
	pb_warn("%s: going on without a time limit (--time-limit gives one)", why.message);
	return PB_OK;
}

/* ---- doctor ---------------------------------------------------------------------------------- */

static void describe_here(FILE *out, const char *job)
{
	static const char *const names[] = {
	    "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_RESTART_COUNT",
	    "SLURM_NTASKS",        "SLURM_CPUS_PER_TASK",    "SLURM_MEM_PER_NODE",
	    "SLURM_MEM_PER_CPU",   "SLURM_JOB_GPUS",         "SLURM_TMPDIR"};
	struct pb_time_left left;
	struct pb_error why = {0};

	fprintf(out, "SLURM job     %s on %s", job,
		variable("SLURM_JOB_PARTITION") ? variable("SLURM_JOB_PARTITION") : "-");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (variable(names[i]))
			fprintf(out, ", %s=%s", names[i], variable(names[i]));
	if (pb_time_left("auto", &left, &why) != PB_OK)
		fprintf(out, "\nSLURM time    not known: %s\n", why.message);
	else if (left.limited)
		fprintf(out,
			"\nSLURM time    a run stops within %.0f s (of %.0f), see --time-limit\n",
			left.seconds, left.whole);
	else
		fprintf(out, "\nSLURM time    no limit\n");
}

void pb_job_describe(FILE *out)
{
	char *argv[] = {"sinfo", "--version", NULL}, *said = NULL;
	const char *job = variable("SLURM_JOB_ID");
	struct pb_error ignored = {0};
	int code = 0;

	if (pb_process_run(argv, NULL, ANSWER_SECONDS, &said, &code, &ignored) != PB_OK ||
	    code != 0)
		fprintf(out, "SLURM         no commands in PATH\n");
	else
		fprintf(out, "SLURM         %.*s\n", (int)strcspn(said, "\n"), said);
	free(said);
	if (job)
		describe_here(out, job);
	else
		fprintf(out, "SLURM job     none: memory, threads and time are this machine's\n");
}
