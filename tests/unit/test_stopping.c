/* When a run stops: times as they are written, what squeue answers, which chunks are begun,
 * finished and dropped; and what ends a process that does not stop by itself. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/map_stage.h"
#include "base/process.h"
#include "cluster/job_time.h"
#include "engine/stopping.h"
#include "patchbay/base.h"

/* ---- times ----------------------------------------------------------------------------------- */

Test(job_time, texts)
{
	static const struct {
		const char *text;
		double seconds; /* 0: refused */
	} cases[] = {
	    {"1", 1},
	    {"90", 90},
	    {"1:30", 90},
	    {"01:00:00", 3600},
	    {"2-03:04:05", 183845},
	    {"0-00:00:01", 1},
	    {"0", 0},
	    {"", 0},
	    {":", 0},
	    {"1:", 0},
	    {":1", 0},
	    {"1:60", 0},
	    {"1:1:60", 0},
	    {"1:1:1:1", 0},
	    {"1-2", 0},
	    {"1-2:3", 0},
	    {"-1:0:0", 0},
	    {"1.5", 0},
	    {"1h", 0},
	    {" 1", 0},
	    {"+1", 0},
	    {"9999999999", 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double seconds = -1.0;
		bool ok = pb_time_parse(cases[i].text, &seconds);

		cr_assert_eq(ok, cases[i].seconds > 0.0, "%s", cases[i].text);
		if (ok)
			cr_assert_eq(seconds, cases[i].seconds, "%s: %g", cases[i].text, seconds);
	}
}

Test(job_time, answers_of_squeue)
{
	struct pb_time_left left;

	cr_assert(pb_time_of_squeue("5000 1000", 2000.0, &left));
	cr_assert(left.limited && left.seconds == 2995.0 && left.whole == 3995.0);
	cr_assert(pb_time_of_squeue("NONE 1000", 2000.0, &left));
	cr_assert(!left.limited);
	cr_assert(!pb_time_of_squeue("", 2000.0, &left));
	cr_assert(!pb_time_of_squeue("5000", 2000.0, &left));
	cr_assert(!pb_time_of_squeue("2026-11-30T07:03:35 2026-11-30T06:58:35", 2000.0, &left));
	cr_assert(!pb_time_of_squeue("1000 5000", 2000.0, &left), "an end before the start");
}

/* ---- other programs ---------------------------------------------------------------------------
 */

Test(process, says_and_ends)
{
	char *words[] = {"sh", "-c", "echo \"$SETTING\"; echo two >&2; exit 3", NULL};
	char *slow[] = {"sleep", "30", NULL}, *none[] = {"no-such-program-here", NULL},
	     *said = NULL;
	struct pb_error err = {0};
	double begun = pb_seconds();
	int code = 0;

	cr_assert_eq(pb_process_run(words, "SETTING=one", 20.0, &said, &code, &err), PB_OK, "%s",
		     err.message);
	cr_assert_eq(code, 3);
	cr_assert_str_eq(said, "one\ntwo\n");
	free(said);
	cr_assert_eq(pb_process_run(slow, NULL, 0.2, &said, &code, &err), PB_ERR_IO);
	cr_assert_not_null(strstr(err.message, "no answer within"));
	cr_assert_lt(pb_seconds() - begun, 25.0);
	err = (struct pb_error){0};
	cr_assert_eq(pb_process_run(none, NULL, 5.0, &said, &code, &err), PB_ERR_INPUT);
	cr_assert_null(said);
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void begin(struct pb_stopping *s, double left)
{
	struct pb_error err = {0};
	struct pb_team *team = NULL;

	cr_assert_eq(pb_team_alone(&team, &err), PB_OK);
	cr_assert_eq(pb_stopping_begin(s, team, "/tmp/no-such-output.h5", NULL, 10.0, NULL, &err),
		     PB_OK, "%s", err.message);
	if (left > 0.0)
		s->deadline = pb_seconds() + left;
}

static void end(struct pb_stopping *s)
{
	pb_stopping_end(s);
	pb_team_close(s->team);
}

/* A chunk of 100 units that took so long. */
static void one_chunk(struct pb_stopping *s, double seconds)
{
	pb_stopping_chunk(s, 100.0);
	s->chunk_at -= seconds;
	pb_stopping_chunk_done(s);
}

Test(stopping, no_chunk_is_begun_in_vain)
{
	struct pb_stopping s;

	begin(&s, 20.0);
	cr_assert(pb_stopping_allows(&s, 100.0), "nothing is known of the first");
	one_chunk(&s, 10.0);
	cr_assert(pb_stopping_allows(&s, 100.0), "11 s and 1 s of 20");
	cr_assert(pb_stopping_allows(&s, 1.0), "a smaller one is no shorter, as far as is known");
	s.deadline -= 9.0;
	cr_assert(!pb_stopping_allows(&s, 100.0), "11 s and 1 s of 11");
	cr_assert_eq(s.why, PB_STOP_TIME);
	end(&s);

	begin(&s, 20.0);
	one_chunk(&s, 10.0);
	cr_assert(!pb_stopping_allows(&s, 200.0), "twice as large: 22 s");
	end(&s);

	begin(&s, 20.0);
	one_chunk(&s, 10.0);
	s.assembly = 8.0;
	cr_assert(!pb_stopping_allows(&s, 100.0), "no time for the file");
	end(&s);
}

Test(stopping, what_is_in_flight_is_finished_or_dropped)
{
	struct pb_stopping s;

	/* asked, 10 s of grace, and 3 s of chunk left */
	begin(&s, 0.0);
	one_chunk(&s, 10.0);
	pb_stopping_chunk(&s, 100.0);
	s.chunk_at -= 8.0;
	s.team->halted = true;
	cr_assert(pb_stopping_step(&s, 10.0));
	cr_assert_eq(s.why, PB_STOP_OTHERS);
	s.asked_at -= 7.5; /* 2.5 s of grace are left */
	cr_assert(!pb_stopping_step(&s, 10.0));
	cr_assert(s.dropped);
	end(&s);

	/* asked, and nothing is known of the first chunk but its waves: 1 s for 10 of 100 */
	begin(&s, 0.0);
	s.team->halted = true;
	pb_stopping_chunk(&s, 100.0);
	cr_assert(!pb_stopping_step(&s, 10.0), "nothing at all is known");
	end(&s);
	begin(&s, 0.0);
	pb_stopping_chunk(&s, 100.0);
	cr_assert(pb_stopping_step(&s, 10.0));
	s.first_step_at -= 1.0;
	s.team->halted = true;
	cr_assert(pb_stopping_step(&s, 20.0), "3.5 s to go");
	s.first_step_at -= 9.0;
	cr_assert(!pb_stopping_step(&s, 1.0), "33 s to go");
	end(&s);

	/* a time limit drops the first chunk only at its end */
	begin(&s, 5.0);
	pb_stopping_chunk(&s, 100.0);
	cr_assert(pb_stopping_step(&s, 1.0));
	s.deadline -= 4.5;
	cr_assert(!pb_stopping_step(&s, 1.0));
	cr_assert_eq(s.why, PB_STOP_TIME);
	end(&s);
}

Test(stopping, a_stop_file_is_seen_and_then_refused)
{
	char folder[] = "/tmp/pb-stopping-XXXXXX", output[64], file[80];
	struct pb_error err = {0};
	struct pb_stopping s;

	begin(&s, 0.0);
	cr_assert(!pb_stopping_asked(&s));
	end(&s);
	cr_assert_not_null(mkdtemp(folder));
	snprintf(output, sizeof output, "%s/out.h5", folder);
	snprintf(file, sizeof file, "%s.stop", output);
	cr_assert_eq(pb_team_alone(&s.team, &err), PB_OK);
	cr_assert_eq(pb_stopping_begin(&s, s.team, output, NULL, 10.0, NULL, &err), PB_OK);
	cr_assert(!pb_stopping_asked(&s));
	cr_assert_geq(close(open(file, O_CREAT | O_WRONLY, 0600)), 0);
	cr_assert(!pb_stopping_asked(&s), "it has just looked");
	s.looked_at -= 2.0;
	cr_assert(pb_stopping_asked(&s));
	cr_assert_eq(s.why, PB_STOP_FILE);
	pb_stopping_end(&s);
	cr_assert_eq(pb_stopping_begin(&s, s.team, output, NULL, 10.0, NULL, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "remove it to run"));
	end(&s);
	unlink(file);
	rmdir(folder);
}

/* ---- what ends a process --------------------------------------------------------------------- */

/* What a child that does `work` ends with, and what it wrote to stderr. */
static int child_status(void (*work)(void), char *said, size_t size)
{
	int ends[2], how = 0;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	cr_assert_eq(pipe(ends), 0);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		work();
		_exit(0);
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], said + used, size - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = '\0';
	close(ends[0]);
	cr_assert_eq(waitpid(child, &how, 0), child);
	return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

static void deaf(void)
{
	pb_signals_install(1);
	raise(SIGTERM);
	for (;;)
		pause();
}

static void hopeless(void)
{
	pb_signals_install(20);
	pb_leave_hopeless(true);
	pb_leave_within(100.0);
	pb_leave_within(1.0);
	pb_leave_within(50.0); /* the earliest counts */
	for (;;)
		pause();
}

Test(leaving, in_time_whatever_it_is_doing)
{
	char said[1024];
	double begun = pb_seconds();

	cr_assert_eq(child_status(deaf, said, sizeof said), 75);
	cr_assert_not_null(strstr(said, "the same command continues"), "%s", said);
	cr_assert_eq(child_status(hopeless, said, sizeof said), 2);
	cr_assert_not_null(strstr(said, "the time limit is too short for a chunk"), "%s", said);
	cr_assert_lt(pb_seconds() - begun, 20.0);
}

static char mapped[64] = "/tmp/pb-mapped-XXXXXX";
static const char *stage_folder;

static void read_shrunken(void)
{
	struct pb_map map;
	struct pb_error err = {0};

	pb_map_guard();
	if (pb_map_open(&map, mapped, &err) != PB_OK)
		_exit(3);
	if (stage_folder && pb_map_stage(&map, mapped, stage_folder, &err) != PB_OK)
		_exit(4);
	if (truncate(mapped, 10) != 0)
		_exit(5);
	_exit(((const volatile unsigned char *)map.data)[50000] == 'x' ? 7 : 6);
}

static void stray(void)
{
	pb_map_guard();
	raise(SIGBUS);
}

Test(map_guard, a_file_that_shrinks_is_named)
{
	static char text[100000];
	char said[1024], wanted[256];
	int fd;

	fd = mkstemp(mapped);
	memset(text, 'x', sizeof text);
	cr_assert_eq(write(fd, text, sizeof text), (ssize_t)sizeof text);
	cr_assert_eq(child_status(read_shrunken, said, sizeof said), 1, "%s", said);
	snprintf(wanted, sizeof wanted,
		 "patchbay: a file changed while it was in use: %s: it had 100000 "
		 "bytes and now has 10: ",
		 mapped);
	cr_assert_eq(strncmp(said, wanted, strlen(wanted)), 0, "%s", said);

	/* a staged one is read from its copy */
	cr_assert_eq(pwrite(fd, text, sizeof text, 0), (ssize_t)sizeof text);
	stage_folder = "/tmp";
	cr_assert_eq(child_status(read_shrunken, said, sizeof said), 7, "%s", said);
	close(fd);
	unlink(mapped);
	cr_assert_eq(child_status(stray, said, sizeof said), 128 + SIGBUS,
		     "other errors stay what they are");
}
