/* The lock of an output: between real processes, and whose owner is gone. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cluster/lock.h"
#include "cluster/lock_owner.h"
#include "cluster/shard.h"
#include "patchbay/base.h"

struct place {
	char folder[64], output[96], lock[112];
	struct pb_error err;
};

static void place_new(struct place *p)
{
	memset(p, 0, sizeof *p);
	snprintf(p->folder, sizeof p->folder, "/tmp/pb_lock_XXXXXX");
	cr_assert(mkdtemp(p->folder) != NULL);
	snprintf(p->output, sizeof p->output, "%s/box.h5", p->folder);
	snprintf(p->lock, sizeof p->lock, "%s.lock", p->output);
}

/* Nothing is left: no lock, no claim, no file that was to become one. */
static void place_free(struct place *p)
{
	cr_assert_eq(rmdir(p->folder), 0, "%s is not empty", p->folder);
}

static void write_lock(const struct place *p, const char *text, int age_s)
{
	struct timespec times[2];
	FILE *file = fopen(p->lock, "w");

	cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= age_s;
	times[1] = times[0];
	cr_assert_eq(utimensat(AT_FDCWD, p->lock, times, 0), 0);
}

/* The text of an owner with some lines changed: "pid: 7" replaces the line of pid. */
static char *owner_with(const char *line, const char *other)
{
	struct pb_error err = {0};
	char *text = NULL, *out = NULL, *at, *save = NULL;
	size_t size;
	FILE *file = open_memstream(&out, &size);

	cr_assert_eq(pb_lock_owner_text(&text, &err), PB_OK);
	for (at = strtok_r(text, "\n", &save); at != NULL; at = strtok_r(NULL, "\n", &save)) {
		const char *const lines[] = {line, other};
		const char *put = at;

		for (int i = 0; i < 2; i++)
			if (lines[i] != NULL &&
			    strncmp(at, lines[i], strcspn(lines[i], ":") + 1) == 0)
				put = lines[i];
		fprintf(file, "%s\n", put);
	}
	fclose(file);
	free(text);
	return out;
}

static bool take_and_release(struct place *p)
{
	struct pb_lock *lock = NULL;

	p->err = (struct pb_error){0};
	if (pb_lock_take(&lock, p->output, &p->err) != PB_OK)
		return false;
	cr_assert_eq(pb_lock_check(lock, &p->err), PB_OK);
	pb_lock_release(lock);
	return true;
}

Test(lock, is_taken_once_and_released)
{
	struct pb_lock *lock, *second;
	struct place p;

	place_new(&p);
	cr_assert_eq(pb_lock_take(&lock, p.output, &p.err), PB_OK, "%s", p.err.message);
	cr_assert(pb_is_file(p.lock));
	cr_assert_eq(pb_lock_take(&second, p.output, &p.err), PB_ERR_IO);
	cr_assert(strstr(p.err.message, "another process writes this output") != NULL &&
		      strstr(p.err.message, ", since 20") != NULL,
		  "%s", p.err.message);
	pb_lock_release(lock);
	cr_assert(!pb_is_file(p.lock));
	cr_assert(take_and_release(&p));
	pb_lock_release(NULL);
	place_free(&p);
}

Test(lock, that_was_removed_is_noticed)
{
	struct pb_lock *lock;
	struct place p;

	place_new(&p);
	cr_assert_eq(pb_lock_take(&lock, p.output, &p.err), PB_OK);
	cr_assert_eq(unlink(p.lock), 0);
	cr_assert_eq(pb_lock_check(lock, &p.err), PB_ERR_IO);
	/* and another one's is not removed with it */
	write_lock(&p, "another one\n", 0);
	pb_lock_release(lock);
	cr_assert(pb_is_file(p.lock));
	cr_assert_eq(unlink(p.lock), 0);
	place_free(&p);
}

/* A child that takes the lock and waits to be killed. */
static pid_t start_holder(struct place *p)
{
	int ends[2];
	char byte;
	pid_t child;

	cr_assert_eq(pipe(ends), 0);
	child = fork();
	cr_assert(child >= 0);
	if (child == 0) {
		struct pb_lock *lock;

		if (pb_lock_take(&lock, p->output, &p->err) != PB_OK || write(ends[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	cr_assert_eq(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return child;
}

Test(lock, of_a_killed_process_is_taken_over)
{
	struct place p;
	char who[32];
	pid_t child;

	place_new(&p);
	child = start_holder(&p);
	cr_assert(!take_and_release(&p));
	snprintf(who, sizeof who, "process %ld on", (long)child);
	cr_assert(strstr(p.err.message, who) != NULL, "%s", p.err.message);
	/* stopped is not gone */
	cr_assert_eq(kill(child, SIGSTOP), 0);
	cr_assert(!take_and_release(&p));
	cr_assert_eq(kill(child, SIGKILL), 0);
	/* dead, and not yet waited for: a zombie holds nothing */
	for (int i = 0; i < 200 && !take_and_release(&p); i++)
		usleep(10000);
	cr_assert(take_and_release(&p), "%s", p.err.message);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	place_free(&p);
}

/* A process of the same number, started at another time, is another one. */
Test(lock, of_a_reused_process_id_is_taken_over)
{
	char *text = owner_with("start: 12345", NULL);
	struct place p;

	place_new(&p);
	write_lock(&p, text, 0);
	cr_assert(take_and_release(&p), "%s", p.err.message);
	free(text);
	text = owner_with("nonce: 1", NULL); /* this process itself */
	write_lock(&p, text, 100000);
	cr_assert(!take_and_release(&p));
	cr_assert_eq(unlink(p.lock), 0);
	free(text);
	place_free(&p);
}

Test(lock, of_another_machine_is_held_until_its_heartbeat_is_old)
{
	static const struct {
		int age_s;
		bool gone;
	} rows[] = {{0, false}, {PB_LOCK_STALE_S - 30, false}, {PB_LOCK_STALE_S + 30, true}};
	char *text = owner_with("machine: elsewhere", "host: node7");
	struct place p;

	place_new(&p);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		write_lock(&p, text, rows[i].age_s);
		cr_assert_eq(take_and_release(&p), rows[i].gone, "age %d: %s", rows[i].age_s,
			     p.err.message);
		if (!rows[i].gone)
			cr_assert(strstr(p.err.message, "on node7, since ") != NULL, "%s",
				  p.err.message);
	}
	free(text);
	/* one that nobody finished writing */
	write_lock(&p, "", 0);
	cr_assert(!take_and_release(&p));
	write_lock(&p, "", PB_LOCK_STALE_S + 30);
	cr_assert(take_and_release(&p));
	place_free(&p);
}

/* A squeue that answers so. */
static void put_squeue(const char *folder, const char *answer, int exit_status)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof path, "%s/squeue", folder);
	file = fopen(path, "w");
	cr_assert(file != NULL);
	fprintf(file, "#!/bin/sh\n[ \"$3\" = 41 ] || exit 9\nprintf '%s'\nexit %d\n", answer,
		exit_status);
	cr_assert_eq(fclose(file), 0);
	cr_assert_eq(chmod(path, 0755), 0);
	cr_assert_eq(setenv("PATH", folder, 1), 0);
}

Test(lock, of_a_slurm_job_that_is_gone_is_taken_over)
{
	static const struct {
		const char *answer;
		int exit_status;
		bool gone;
	} rows[] = {
	    {"41 RUNNING\\n", 0, false},
	    {"41 COMPLETING\\n", 0, false},
	    {"slurm_load_jobs error: Unable to contact slurm controller\\n", 1, false},
	    {"slurm_load_jobs error: Invalid job id specified\\n", 1, true},
	    {"", 0, true},
	    {"41 PENDING\\n", 0, true}, /* it will be started again */
	    {"41 CANCELLED\\n", 0, true},
	    {"41 RUNNING\\n41 PENDING\\n", 0, false},
	    {"42 RUNNING\\n43 PENDING\\n", 0, true}, /* an array whose first task is over */
	};
	char *text = owner_with("machine: elsewhere", "slurm_job: 41"), *bin,
	     tools[] = "/tmp/pb_squeue_XXXXXX", command[64], *path = getenv("PATH");
	struct place p;

	path = strdup(path != NULL ? path : "/bin:/usr/bin");
	cr_assert(path != NULL);
	place_new(&p);
	bin = mkdtemp(tools);
	cr_assert(bin != NULL);
	write_lock(&p, text, 0);
	cr_assert_eq(setenv("PATH", bin, 1), 0);
	cr_assert(!take_and_release(&p), "there is no squeue, so nothing is known");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		put_squeue(bin, rows[i].answer, rows[i].exit_status);
		setenv("PATH", path, 1);
		snprintf(command, sizeof command, "%s:/bin:/usr/bin", bin);
		setenv("PATH", command, 1);
		write_lock(&p, text, 0);
		cr_assert_eq(take_and_release(&p), rows[i].gone, "'%s': %s", rows[i].answer,
			     p.err.message);
	}
	(void)unlink(p.lock);
	free(text);
	/* this job itself, before it was started again: nobody need be asked */
	text = owner_with("machine: elsewhere", "slurm_job: 51");
	setenv("SLURM_JOB_ID", "51", 1);
	write_lock(&p, text, 0);
	cr_assert(!take_and_release(&p));
	setenv("SLURM_RESTART_COUNT", "1", 1);
	cr_assert(take_and_release(&p), "%s", p.err.message);
	free(text);
	setenv("PATH", path, 1);
	free(path);
	snprintf(command, sizeof command, "%s/squeue", bin);
	cr_assert_eq(unlink(command), 0);
	cr_assert_eq(rmdir(bin), 0);
	place_free(&p);
}

/* Many processes find the lock of a dead one at the same time: one at a time has it. */
Test(lock, is_taken_over_by_one_of_many)
{
	enum { TAKERS = 12, ROUNDS = 15 };
	char *text = owner_with("start: 12345", NULL);
	struct place p;
	int *inside = mmap(NULL, 4 * sizeof *inside, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert(inside != MAP_FAILED);
	place_new(&p);
	for (int round = 0; round < ROUNDS; round++) {
		pid_t children[TAKERS];

		write_lock(&p, text, 0);
		inside[3] = 0;
		for (int i = 0; i < TAKERS; i++) {
			children[i] = fork();
			if (children[i] == 0) {
				struct pb_lock *lock;

				while (__atomic_load_n(&inside[3], __ATOMIC_SEQ_CST) == 0)
					;
				if (pb_lock_take(&lock, p.output, &p.err) != PB_OK)
					_exit(0);
				__atomic_add_fetch(&inside[1], 1, __ATOMIC_SEQ_CST);
				if (__atomic_add_fetch(&inside[0], 1, __ATOMIC_SEQ_CST) != 1)
					__atomic_add_fetch(&inside[2], 1, __ATOMIC_SEQ_CST);
				usleep(2000);
				__atomic_sub_fetch(&inside[0], 1, __ATOMIC_SEQ_CST);
				pb_lock_release(lock);
				_exit(0);
			}
		}
		__atomic_store_n(&inside[3], 1, __ATOMIC_SEQ_CST);
		for (int i = 0; i < TAKERS; i++)
			waitpid(children[i], NULL, 0);
		cr_assert(!pb_is_file(p.lock), "round %d: nobody took it", round);
	}
	cr_assert_eq(inside[2], 0, "%d of %d had it beside another", inside[2], inside[1]);
	cr_assert_geq(inside[1], ROUNDS);
	munmap(inside, 4 * sizeof *inside);
	free(text);
	place_free(&p);
}

/* A taker that died while it replaced a lock left its claim: that is taken over too. */
Test(lock, whose_taker_died_is_taken_over)
{
	char *text = owner_with("start: 12345", NULL), *claimer = owner_with("start: 99", NULL);
	char hex[PB_SHA256_HEX], claim[160];
	struct place p;
	FILE *file;

	place_new(&p);
	write_lock(&p, text, 0);
	cr_assert_eq(pb_sha256_of(text, strlen(text), hex, &p.err), PB_OK);
	snprintf(claim, sizeof claim, "%s.%.12s", p.lock, hex);
	file = fopen(claim, "w");
	cr_assert(file != NULL && fputs(claimer, file) >= 0 && fclose(file) == 0);
	cr_assert(take_and_release(&p), "%s", p.err.message);
	free(text);
	free(claimer);
	place_free(&p);
}

Test(lock, needs_a_folder_that_is_there)
{
	struct pb_error err = {0};
	struct pb_lock *lock;

	cr_assert_eq(pb_lock_take(&lock, "/nowhere/box.h5", &err), PB_ERR_INPUT);
	cr_assert(strstr(err.message, "output directory missing") != NULL, "%s", err.message);
}

/* ---- which shard ------------------------------------------------------------------------------
 */

struct array_row {
	const char *text, *id, *min, *max, *step, *count;
	size_t shard, n;   /* n 0: refused, */
	const char *words; /* with these */
};

static void set(const char *name, const char *value)
{
	if (value != NULL)
		cr_assert_eq(setenv(name, value, 1), 0);
	else
		cr_assert_eq(unsetenv(name), 0);
}

Test(shard_option, is_parsed_and_follows_the_array)
{
	static const struct array_row rows[] = {
	    {.text = "0/3", .shard = 0, .n = 3},
	    {.text = "2/3", .shard = 2, .n = 3},
	    {.text = "3/3", .words = "numbered from 0 to 2"},
	    {.text = "0/0", .words = "no such shard"},
	    {.text = "-1/3", .words = "bad value"},
	    {.text = "1", .words = "bad value"},
	    {.text = "1/3x", .words = "bad value"},
	    {.text = "/3", .words = "bad value"},
	    {.text = "0/9999999", .words = "no such shard"},
	    {.text = "slurm", .words = "SLURM_ARRAY_TASK_ID is not set"},
	    {"slurm", "0", "0", "9", "1", "10", 0, 10, NULL},
	    {"slurm", "9", "0", "9", "1", "10", 9, 10, NULL},
	    {"slurm", "1", "1", "7", "1", "7", 0, 7, NULL},
	    {"slurm", "17", "5", "29", "4", "7", 3, 7, NULL},
	    {"slurm", "17", "5", "29", "4", NULL, 3, 7, NULL},
	    {"slurm", "2", "1", "7", "1", "3", 0, 0, "do not have one step"}, /* --array=1,2,7 */
	    {"slurm", "4", "0", "9", "3", "4", 0, 0, "do not have one step"},
	    {"slurm", "12", "0", "9", "1", "10", 0, 0, "do not have one step"},
	    {"slurm", "x", "0", "9", "1", "10", 0, 0, "not a number: SLURM_ARRAY_TASK_ID"},
	    {"slurm", "1", NULL, "9", "1", "10", 0, 0, "SLURM_ARRAY_TASK_MIN is not set"},
	    {"slurm/100", "17", "17", "17", "1", "1", 17, 100, NULL},
	    {"slurm/100", "100", "0", "100", "1", "101", 0, 0, "--array=0-99"},
	    {"slurm/0", "0", "0", "0", "1", "1", 0, 0, "bad value"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct array_row *row = &rows[i];
		struct pb_error err = {0};
		size_t shard = 77, n = 77;
		enum pb_status status;

		set("SLURM_ARRAY_TASK_ID", row->id);
		set("SLURM_ARRAY_TASK_MIN", row->min);
		set("SLURM_ARRAY_TASK_MAX", row->max);
		set("SLURM_ARRAY_TASK_STEP", row->step);
		set("SLURM_ARRAY_TASK_COUNT", row->count);
		status = pb_shard_parse(row->text, &shard, &n, &err);
		cr_assert_eq(status, row->n > 0 ? PB_OK : PB_ERR_INPUT, "row %zu: %s", i,
			     err.message);
		if (row->n > 0)
			cr_assert(shard == row->shard && n == row->n, "row %zu: %zu/%zu", i, shard,
				  n);
		else
			cr_assert(strstr(err.message, row->words) != NULL, "row %zu: %s", i,
				  err.message);
	}
}
