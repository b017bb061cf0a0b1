/* The owner of a lock. */
#include "cluster/lock_owner.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/lock.h"
#include "patchbay/base.h"

#define VALUE_SIZE 256

/* ---- this machine ---------------------------------------------------------------------------- */

/* The first line of a small file of the system; empty where there is none. */
static void read_line(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "r");

	out[0] = '\0';
	if (file == NULL)
		return;
	if (fgets(out, (int)size, file) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	(void)fclose(file); /* opened for reading */
}

/* Which machine, since which start, and which process namespace of it: there a process id means one
 * process. */
static void machine_id(char *out, size_t size)
{
	char boot[64], space[64];
	ssize_t n = readlink("/proc/self/ns/pid", space, sizeof space - 1);

	space[n > 0 ? n : 0] = '\0';
	read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
	(void)snprintf(out, size, "%s %s", boot, space);
}

/* State and start time (ticks since boot) of a process; false where there is none. */
static bool process_start(long pid, char *state, unsigned long long *start)
{
	char path[64], line[1024], *at;
	int field;

	(void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
	read_line(path, line, sizeof line);
	at = strrchr(line, ')'); /* a program's name may hold anything */
	if (at == NULL || at[1] != ' ')
		return false;
	*state = at[2];
	/* the state is field 3, the start time field 22 */
	for (field = 2, at++; field < 22 && at != NULL; field++)
		at = strchr(at + (field > 2), ' ');
	if (at == NULL)
		return false;
	*start = strtoull(at, NULL, 10);
	return true;
}

static bool process_is_gone(long pid, unsigned long long start)
{
	unsigned long long now = 0;
	char state = '?';

	if (process_start(pid, &state, &now))
		return state == 'Z' || state == 'X' || now != start;
	return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* ---- the text -------------------------------------------------------------------------------- */

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

enum pb_status pb_lock_owner_text(char **text, struct pb_error *err)
{
	char host[VALUE_SIZE] = "", machine[VALUE_SIZE], since[32] = "", state = '?';
	unsigned long long start = 0;
	const time_t now = time(NULL);
	struct timespec nonce = {0};
	struct tm utc;

	if (gethostname(host, sizeof host - 1) != 0)
		host[0] = '\0';
	machine_id(machine, sizeof machine);
	(void)process_start((long)getpid(), &state, &start);
	if (gmtime_r(&now, &utc) != NULL)
		(void)strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &utc);
	(void)clock_gettime(CLOCK_REALTIME, &nonce);
	*text = pb_format("patchbay lock\nhost: %s\npid: %ld\nstart: %llu\nmachine: %s\nsince: %s\n"
			  "user: %s\nuid: %ld\nslurm_job: %s\nslurm_step: %s\nslurm_restart: %s\n"
			  "slurm_cluster: %s\nnonce: %lld.%09ld\n",
			  host, (long)getpid(), start, machine, since, variable("USER"),
			  (long)getuid(), variable("SLURM_JOB_ID"), variable("SLURM_STEP_ID"),
			  variable("SLURM_RESTART_COUNT"), variable("SLURM_CLUSTER_NAME"),
			  (long long)nonce.tv_sec, nonce.tv_nsec);
	if (*text == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a lock");
	return PB_OK;
}

/* The value of a key; empty where there is none. */
static void value_of(const char *text, const char *key, char out[VALUE_SIZE])
{
	const size_t n = strlen(key);

	out[0] = '\0';
	for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n')
		if (strncmp(text, key, n) == 0 && strncmp(text + n, ": ", 2) == 0) {
			(void)snprintf(out, VALUE_SIZE, "%.*s", (int)strcspn(text + n + 2, "\n"),
				       text + n + 2);
			return;
		}
}

void pb_lock_owner_describe(const char *text, char *out, size_t size)
{
	char pid[VALUE_SIZE], host[VALUE_SIZE], since[VALUE_SIZE], job[VALUE_SIZE],
	    user[VALUE_SIZE], uid[VALUE_SIZE];

	value_of(text, "pid", pid);
	value_of(text, "host", host);
	value_of(text, "since", since);
	value_of(text, "slurm_job", job);
	value_of(text, "user", user);
	value_of(text, "uid", uid);
	if (pid[0] == '\0')
		(void)snprintf(out, size, "an unknown process");
	else
		(void)snprintf(out, size, "process %s on %s, since %s%s%s, user %s", pid, host,
			       since, job[0] != '\0' ? ", SLURM job " : "", job,
			       user[0] != '\0' ? user : uid);
}

/* ---- SLURM ----------------------------------------------------------------------------------- */

static bool is_number(const char *text)
{
	const size_t n = strspn(text, "0123456789");

	return n > 0 && n < 16 && text[n] == '\0';
}

/* Whether a job of this state has processes, or may still have them. */
static bool is_running(const char *state)
{
	static const char *const states[] = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED",
					     "STOPPED", "SIGNALING",  "STAGE_OUT",   "RESIZING"};
	size_t i;

	for (i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(state, states[i]) == 0)
			return true;
	return false;
}

/* What squeue says of a job: that there is none, that it is over, or that it waits to be started
 * again. Asked for the first id of an array it lists all of its tasks. Whatever else (no squeue, no
 * answer) means nothing. */
static bool job_is_gone(const char *job)
{
	char command[128], line[512], id[32], state[32];
	bool invalid = false, running = false;
	FILE *out;

	(void)snprintf(command, sizeof command, "squeue -h -j %.15s -o '%%A %%T' 2>&1", job);
	out = popen(command, "r"); /* the job is digits alone */
	if (out == NULL)
		return false;
	while (fgets(line, sizeof line, out) != NULL) {
		invalid = invalid || strstr(line, "Invalid job id") != NULL;
		if (sscanf(line, "%31s %31s", id, state) == 2 && strcmp(id, job) == 0)
			running = running || is_running(state);
	}
	return pclose(out) == 0 ? !running : invalid;
}

/* Is it this job, before it was started again? */
static bool is_earlier_start(const char *job, const char *restart)
{
	const char *mine = variable("SLURM_JOB_ID");

	return strcmp(job, mine) == 0 &&
	       strtol(variable("SLURM_RESTART_COUNT"), NULL, 10) > strtol(restart, NULL, 10);
}

bool pb_lock_owner_is_gone(const char *text, double age_s)
{
	char value[VALUE_SIZE], job[VALUE_SIZE], restart[VALUE_SIZE], here[VALUE_SIZE];
	long pid;

	value_of(text, "pid", value);
	pid = is_number(value) ? strtol(value, NULL, 10) : 0;
	value_of(text, "machine", value);
	machine_id(here, sizeof here);
	if (pid > 0 && strlen(here) > 8 && strcmp(value, here) == 0) {
		value_of(text, "start", value);
		return process_is_gone(pid, strtoull(value, NULL, 10));
	}
	if (age_s > PB_LOCK_STALE_S)
		return true;
	value_of(text, "slurm_job", job);
	value_of(text, "slurm_restart", restart);
	value_of(text, "slurm_cluster", value);
	if (!is_number(job) || strcmp(value, variable("SLURM_CLUSTER_NAME")) != 0)
		return false;
	return is_earlier_start(job, restart) || job_is_gone(job);
}
