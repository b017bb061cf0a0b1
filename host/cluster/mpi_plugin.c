/* libpatchbay_mpi.so: a team whose processes reach each other by MPI. A plugin, so that programs
 * start without MPI and run where there is none. */
#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/team.h"
#include "patchbay/base.h"

#define PB_EXPORT __attribute__((visibility("default")))
/* Between two looks at a call that waits for others: MPI libraries wait by spinning, and a rank may
 * wait for as long as another's chunk takes. */
#define LOOK_NS 500000
#define LISTEN_SECONDS 0.5            /* between two looks at the counter */
#define PIECE_BYTES ((size_t)1 << 30) /* counts are ints */

struct mpi_team {
	struct pb_team base;
	MPI_Win window; /* rank 0 has one int64: the next number to claim */
	bool broken;    /* a call failed: others may wait for this rank forever */
	/* a look at the counter that is on its way: nobody waits for it */
	bool looking;
	MPI_Request look;
	int64_t seen;
	double looked_at;
};

static struct mpi_team *team_of(struct pb_team *team)
{
	return (struct mpi_team *)team;
}

static enum pb_status fail(struct mpi_team *t, int code, const char *what, struct pb_error *err)
{
	char text[MPI_MAX_ERROR_STRING] = "";
	int n = 0;

	t->broken = true;
	(void)MPI_Error_string(code, text, &n);
	return pb_fail(err, PB_ERR_INTERNAL, "MPI: %s: %s", text, what);
}
#define PB_MPI(t, call)                                                                            \
	do {                                                                                       \
		int code_ = (call);                                                                \
		if (code_ != MPI_SUCCESS)                                                          \
			return fail(t, code_, #call, err);                                         \
	} while (0)

static enum pb_status finish(struct mpi_team *t, MPI_Request *request, struct pb_error *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	int done = 0;

	PB_MPI(t, MPI_Test(request, &done, MPI_STATUS_IGNORE));
	while (!done) {
		(void)nanosleep(&pause, NULL); /* a signal may cut it short */
		PB_MPI(t, MPI_Test(request, &done, MPI_STATUS_IGNORE));
	}
	return PB_OK;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* NOLINTBEGIN(clang-analyzer-optin.mpi.MPI-Checker): finish() waits */
static enum pb_status mpi_broadcast(struct pb_team *team, void *data, size_t bytes, int root,
				    struct pb_error *err)
{
	struct mpi_team *t = team_of(team);
	enum pb_status status = PB_OK;

	for (size_t at = 0; at < bytes && status == PB_OK; at += PIECE_BYTES) {
		size_t n = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
		MPI_Request request;

		PB_MPI(t, MPI_Ibcast((char *)data + at, (int)n, MPI_BYTE, root, MPI_COMM_WORLD,
				     &request));
		status = finish(t, &request, err);
	}
	return status;
}

static enum pb_status mpi_gather(struct pb_team *team, const void *mine, size_t bytes, void *all,
				 struct pb_error *err)
{
	struct mpi_team *t = team_of(team);
	MPI_Request request;

	if (bytes > PIECE_BYTES)
		return pb_fail(err, PB_ERR_INTERNAL, "MPI: %zu bytes to gather at once", bytes);
	PB_MPI(t, MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE,
				 MPI_COMM_WORLD, &request));
	return finish(t, &request, err);
}

/* NOLINTEND(clang-analyzer-optin.mpi.MPI-Checker) */

/* The counter of rank 0 becomes `operand` by `op`; *before: what it was. */
static enum pb_status change_counter(struct mpi_team *t, int64_t operand, MPI_Op op,
				     int64_t *before, struct pb_error *err)
{
	PB_MPI(t, MPI_Fetch_and_op(&operand, before, MPI_INT64_T, 0, 0, op, t->window));
	PB_MPI(t, MPI_Win_flush(0, t->window));
	return PB_OK;
}

static enum pb_status mpi_claim(struct pb_team *team, int64_t *next, struct pb_error *err)
{
	return change_counter(team_of(team), 1, MPI_SUM, next, err);
}

static enum pb_status mpi_halt(struct pb_team *team, struct pb_error *err)
{
	int64_t before;

	team->halted = true;
	return change_counter(team_of(team), PB_TEAM_HALTED, MPI_REPLACE, &before, err);
}

/* NOLINTBEGIN(clang-analyzer-optin.mpi.MPI-Checker): the next tick, or mpi_close, waits */
/* Has anybody called halt? A look that fails tells nothing; the next claim fails too, and says why.
 */
static void listen_for_halt(struct mpi_team *t)
{
	int done = 0;

	if (t->looking) {
		if (MPI_Test(&t->look, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done)
			return;
		t->looking = false;
		t->base.halted = t->base.halted || t->seen >= PB_TEAM_HALTED;
	} else if (pb_seconds() - t->looked_at >= LISTEN_SECONDS) {
		t->looked_at = pb_seconds();
		t->looking =
		    MPI_Rget_accumulate(NULL, 0, MPI_INT64_T, &t->seen, 1, MPI_INT64_T, 0, 0, 1,
					MPI_INT64_T, MPI_NO_OP, t->window, &t->look) == MPI_SUCCESS;
	}
}
/* NOLINTEND(clang-analyzer-optin.mpi.MPI-Checker) */

static void mpi_tick(struct pb_team *team)
{
	int waiting;

	listen_for_halt(team_of(team));
	/* nobody sends: it only gives the library its turn */
	(void)MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &waiting, MPI_STATUS_IGNORE);
}

static void mpi_abort(struct pb_team *team, int exit_status)
{
	(void)team;
	(void)MPI_Abort(MPI_COMM_WORLD, exit_status);
	_exit(exit_status);
}

static void mpi_close(struct pb_team *team)
{
	struct mpi_team *t = team_of(team);

	if (t->broken)
		mpi_abort(team, 1);
	/* NOLINTBEGIN(clang-analyzer-optin.mpi.MPI-Checker): listen_for_halt began it */
	if (t->looking)
		(void)MPI_Wait(&t->look, MPI_STATUS_IGNORE);
	/* NOLINTEND(clang-analyzer-optin.mpi.MPI-Checker) */
	if (t->window != MPI_WIN_NULL) {
		(void)MPI_Win_unlock_all(t->window);
		(void)MPI_Win_free(&t->window);
	}
	(void)MPI_Finalize();
	free(t);
}

static const struct pb_team_ops mpi_ops = {.broadcast = mpi_broadcast,
					   .gather = mpi_gather,
					   .claim = mpi_claim,
					   .halt = mpi_halt,
					   .tick = mpi_tick,
					   .abort = mpi_abort,
					   .close = mpi_close};

/* ---- opening --------------------------------------------------------------------------------- */

#define MASK_WORDS (CPU_SETSIZE / 64)

/* Threads for each rank of this machine: launchers give them processors of their own, or all the
 * same ones; then each takes its part. */
static enum pb_status share_processors(struct mpi_team *t, MPI_Comm local, struct pb_error *err)
{
	uint64_t mine[MASK_WORDS] = {0}, all[MASK_WORDS];
	int n_mine = 0, n_all = 0, sum = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &set)) {
				mine[i / 64] |= (uint64_t)1 << (i % 64);
				n_mine++;
			}
	PB_MPI(t, MPI_Allreduce(mine, all, MASK_WORDS, MPI_UINT64_T, MPI_BOR, local));
	PB_MPI(t, MPI_Allreduce(&n_mine, &sum, 1, MPI_INT, MPI_SUM, local));
	for (int i = 0; i < MASK_WORDS; i++)
		n_all += __builtin_popcountll(all[i]);
	if (sum > 0) {
		t->base.n_threads = n_mine * n_all / sum;
		if (t->base.n_threads < 1)
			t->base.n_threads = 1;
	}
	return PB_OK;
}

static enum pb_status meet(struct mpi_team *t, struct pb_error *err)
{
	MPI_Comm local = MPI_COMM_NULL;
	int64_t *counter = NULL;
	MPI_Aint bytes;
	enum pb_status status;

	PB_MPI(t, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
	PB_MPI(t, MPI_Comm_rank(MPI_COMM_WORLD, &t->base.rank));
	PB_MPI(t, MPI_Comm_size(MPI_COMM_WORLD, &t->base.size));
	bytes = t->base.rank == 0 ? (MPI_Aint)sizeof *counter : 0;
	PB_MPI(t, MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, t->base.rank,
				      MPI_INFO_NULL, &local));
	PB_MPI(t, MPI_Comm_size(local, &t->base.n_local));
	status = share_processors(t, local, err);
	PB_MPI(t, MPI_Comm_free(&local));
	if (status != PB_OK)
		return status;
	PB_MPI(t, MPI_Win_allocate(bytes, sizeof *counter, MPI_INFO_NULL, MPI_COMM_WORLD,
				   (void *)&counter, &t->window));
	PB_MPI(t, MPI_Win_set_errhandler(t->window, MPI_ERRORS_RETURN));
	if (t->base.rank == 0)
		*counter = 0;
	/* nobody may claim before it is there */
	PB_MPI(t, MPI_Barrier(MPI_COMM_WORLD));
	PB_MPI(t, MPI_Win_lock_all(0, t->window));
	return PB_OK;
}

PB_EXPORT enum pb_status pb_mpi_open(struct pb_team **out, struct pb_error *err)
{
	void *memory = NULL;
	struct mpi_team *t;
	int given = 0;
	enum pb_status status;

	PB_TRY(pb_alloc(&memory, 1, sizeof *t, "a team", err));
	t = memory;
	t->base.ops = &mpi_ops;
	t->window = MPI_WIN_NULL;
	(void)gethostname(t->base.host, sizeof t->base.host - 1);
	/* only the thread that calls it here does so later */
	if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS ||
	    given < MPI_THREAD_FUNNELED) {
		free(t);
		status = pb_fail(err, PB_ERR_INTERNAL, "MPI does not start");
		goto cleanup;
	}
	status = meet(t, err);
	if (status != PB_OK)
		mpi_close(&t->base); /* which ends the job: t is broken */
	else
		*out = &t->base;
cleanup:
	return status;
}

PB_EXPORT void pb_mpi_version(char *text, size_t size)
{
	char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
	int n = 0;

	(void)MPI_Get_library_version(version, &n);
	snprintf(text, size, "%s", version);
}
