/* Whether to go on: asked between chunks and at each wave. */
#include "engine/stopping.h"

#include <stdlib.h>
#include <string.h> /* sigabbrev_np */
#include <sys/stat.h>

#include "patchbay/base.h"

#define LOOK_SECONDS 1.0  /* between two looks for the stop file */
#define MARGIN 1.1        /* on times that are foreseen */
#define LEAST_SECONDS 1.0 /* of writing a file */
#define FULL 0.9          /* of the time that a new start would have */

#define N_FILES (sizeof((struct pb_stopping *)0)->files / sizeof(char *))

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static enum pb_status name_file(char **file, const char *output, struct pb_error *err)
{
	*file = pb_format("%s.stop", output);
	if (!*file)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a stop file");
	if (is_there(*file))
		return pb_fail(err, PB_ERR_INPUT,
			       "a stop file is there: %s: remove it to run (it stops every run "
			       "that writes %s)",
			       *file, output);
	return PB_OK;
}

enum pb_status pb_stopping_begin(struct pb_stopping *s, struct pb_team *team, const char *output,
				 const char *whole, double grace, const char *time_limit,
				 struct pb_error *err)
{
	struct pb_time_left left = {0};
	enum pb_status status = PB_OK;

	*s = (struct pb_stopping){
	    .team = team, .grace = grace, .started = pb_seconds(), .why = PB_STOP_NOT};
	if (team->rank == 0) {
		status = name_file(&s->files[0], output, err);
		if (status == PB_OK && whole)
			status = name_file(&s->files[1], whole, err);
		if (status == PB_OK)
			status = pb_time_left(time_limit, &left, err);
	}
	PB_TRY(pb_team_agree(team, status, err));
	PB_TRY(team->ops->broadcast(team, &left, sizeof left, 0, err));
	if (left.limited) {
		s->deadline = s->started + left.seconds;
		s->full = left.seconds >= FULL * left.whole;
		/* until something is done; of several processes another one may have */
		pb_leave_hopeless(s->full && team->size == 1);
		pb_leave_within(left.seconds);
	}
cleanup:
	return status;
}

void pb_stopping_end(struct pb_stopping *s)
{
	for (size_t i = 0; i < N_FILES; i++) {
		free(s->files[i]);
		s->files[i] = NULL;
	}
}

static void ask(struct pb_stopping *s, enum pb_stop_why why, double at)
{
	if (s->why != PB_STOP_NOT)
		return;
	s->why = why;
	s->asked_at = at;
	if (why != PB_STOP_TIME)
		pb_leave_hopeless(false);
	pb_leave_within(s->grace);
}

bool pb_stopping_asked(struct pb_stopping *s)
{
	double now = pb_seconds(), at;

	if (s->why != PB_STOP_NOT)
		return true;
	if (pb_stop_signal(&at) != 0)
		ask(s, PB_STOP_SIGNAL, at);
	else if (s->team->halted)
		ask(s, PB_STOP_OTHERS, now);
	else if (s->deadline > 0.0 && now >= s->deadline)
		ask(s, PB_STOP_TIME, now);
	else if (now - s->looked_at >= LOOK_SECONDS) {
		s->looked_at = now;
		for (size_t i = 0; i < N_FILES; i++)
			if (s->files[i] && is_there(s->files[i]))
				ask(s, PB_STOP_FILE, now);
	}
	return s->why != PB_STOP_NOT;
}

/* Seconds until the file is written, once the last chunk is done. */
static double assembly(const struct pb_stopping *s)
{
	return LEAST_SECONDS + MARGIN * s->assembly;
}

/* The end that work has to come to, for this process: when asked to stop, of its grace; else of its
 * time. 0: none. */
static double end_of(const struct pb_stopping *s)
{
	double end = s->deadline;

	if (s->why != PB_STOP_NOT && (end == 0.0 || s->asked_at + s->grace < end))
		end = s->asked_at + s->grace;
	return end;
}

/* Seconds of a whole chunk, by the slowest so far; 0: none is known. */
static double whole_chunk(const struct pb_stopping *s, double units)
{
	double by_units = s->unit_slowest * units;

	return MARGIN * (by_units > s->slowest ? by_units : s->slowest);
}

bool pb_stopping_allows(struct pb_stopping *s, double units)
{
	double now = pb_seconds();

	if (units > 0.0 && pb_stopping_asked(s))
		return false;
	if (units == 0.0)
		(void)pb_stopping_asked(s);
	if (end_of(s) == 0.0 ||
	    now + (units > 0.0 ? whole_chunk(s, units) : 0.0) + assembly(s) <= end_of(s))
		return true;
	ask(s, PB_STOP_TIME, now);
	return false;
}

void pb_stopping_chunk(struct pb_stopping *s, double units)
{
	s->chunk_at = pb_seconds();
	s->units = units;
	s->step_at = s->chunk_at;
	s->step_longest = 0.0;
	s->done = s->first_step_at = s->first_step_done = 0.0;
}

/* Seconds that the chunk in flight still takes: by the chunks before it, else by its own waves so
 * far (the first one counts from its end: base runs came before it). Negative: not known. */
static double left_of_chunk(const struct pb_stopping *s, double now)
{
	double whole = whole_chunk(s, s->units), steps = s->done - s->first_step_done;

	if (whole > 0.0 && now - s->chunk_at < whole)
		return whole - (now - s->chunk_at);
	if (!(steps > 0.0))
		return -1.0;
	return MARGIN * (now - s->first_step_at) / steps * (s->units - s->done);
}

bool pb_stopping_step(struct pb_stopping *s, double n)
{
	double now = pb_seconds(), left;
	bool asked = pb_stopping_asked(s);

	s->done += n;
	if (now - s->step_at > s->step_longest)
		s->step_longest = now - s->step_at;
	s->step_at = now;
	if (s->first_step_at == 0.0) {
		s->first_step_at = now;
		s->first_step_done = s->done;
	}
	if (end_of(s) == 0.0)
		return true;
	left = left_of_chunk(s, now);
	if (asked) { /* what may be lost is little where nothing is known yet */
		s->dropped = left < 0.0 || now + left + LEAST_SECONDS > end_of(s);
	} else if (s->n_done == 0) { /* a guess by its own waves is not worth the only chunk */
		s->dropped = now + s->step_longest + LEAST_SECONDS > end_of(s);
	} else {
		s->dropped = now + left + LEAST_SECONDS > end_of(s);
	}
	if (!s->dropped)
		return true;
	ask(s, PB_STOP_TIME, now);
	return false;
}

void pb_stopping_chunk_done(struct pb_stopping *s)
{
	double seconds = pb_seconds() - s->chunk_at;

	s->n_done++;
	pb_leave_hopeless(false);
	s->slowest = seconds > s->slowest ? seconds : s->slowest;
	if (s->units > 0.0 && seconds / s->units > s->unit_slowest)
		s->unit_slowest = seconds / s->units;
}

enum pb_status pb_stopping_reason(struct pb_stopping *s, char **text, struct pb_error *err)
{
	uint64_t number = (uint64_t)pb_stop_signal(NULL), why;
	enum pb_status status;

	PB_TRY(pb_team_smallest(s->team, (uint64_t)s->why, &why, err));
	PB_TRY(pb_team_smallest(s->team, number ? number : UINT64_MAX, &number, err));
	s->why = (enum pb_stop_why)why;
	switch (s->why) {
	case PB_STOP_SIGNAL:
		*text = pb_format("by SIG%s", sigabbrev_np((int)number));
		break;
	case PB_STOP_FILE:
		*text = pb_format("by the stop file, which is to be removed before the next run");
		break;
	case PB_STOP_TIME:
		*text = pb_format("as the time limit would not have held one more");
		break;
	case PB_STOP_OTHERS:
	case PB_STOP_NOT:
		*text = pb_format("by another process");
		break;
	}
	if (!*text)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: why a run stops");
cleanup:
	return status;
}
