/* When a run stops before its end: on a signal, a stop file, a time limit, or because another
 * process of its team stops.
 *
 * What is in flight then is finished if it will be done in the time that there is, by the speed of
 * the chunks so far, and dropped at the next wave if not. pb_leave_within (base.h) ends a process
 * that comes to no wave in time. */
#ifndef PB_ENGINE_STOPPING_H
#define PB_ENGINE_STOPPING_H

#include "cluster/job_time.h"
#include "cluster/team.h"

/* In the order in which they count when ranks have different reasons. */
enum pb_stop_why {
	PB_STOP_SIGNAL,
	PB_STOP_FILE,
	PB_STOP_TIME,
	PB_STOP_OTHERS, /* another rank stops, or has failed */
	PB_STOP_NOT,
};

struct pb_stopping {
	struct pb_team *team;
	double grace;    /* seconds from being asked to being gone */
	double deadline; /* pb_seconds() when the process should be gone; 0: never */
	bool full;       /* there was as much time as a new start would have */
	char *files[2];  /* stop files; NULL: nobody looks */
	double looked_at;

	enum pb_stop_why why;
	double asked_at;
	bool dropped; /* a chunk was given up */

	double started;
	double assembly; /* seconds that writing the file will take, as far as that is known */
	double unit_slowest,
	    slowest; /* seconds of a unit of the slowest chunk, and of that chunk */
	size_t n_done;

	/* the chunk in flight */
	double chunk_at, units, done, first_step_at, first_step_done, step_at, step_longest;
};

/* `output` is the result file's name, `whole` that of the file it is a shard of (NULL: none). The
 * team's rank 0 resolves the time limit for all. Refuses a stop file that is there already
 * (PB_ERR_INPUT). Collective. */
enum pb_status pb_stopping_begin(struct pb_stopping *s, struct pb_team *team, const char *output,
				 const char *whole, double grace, const char *time_limit,
				 struct pb_error *err);
void pb_stopping_end(struct pb_stopping *s);

/* Whether something asks for a stop; not collective. */
bool pb_stopping_asked(struct pb_stopping *s);
/* Whether a chunk of so many units, or (units 0) the assembly, would be done in time. When not, it
 * is asked to stop from there on. */
bool pb_stopping_allows(struct pb_stopping *s, double units);

void pb_stopping_chunk(struct pb_stopping *s, double units);
/* At each wave: n more units are done. False: give up the chunk. */
bool pb_stopping_step(struct pb_stopping *s, double n);
void pb_stopping_chunk_done(struct pb_stopping *s);

/* What stopped the run, in words, for its last message (freed with free()); s->why is the team's
 * from then on. Collective. */
enum pb_status pb_stopping_reason(struct pb_stopping *s, char **text, struct pb_error *err);

#endif
