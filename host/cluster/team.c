/* Opening a team, the team of one, and what is built from broadcasts and gathers. */
#include "cluster/team.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/plugin.h"
#include "patchbay/base.h"

/* ---- alone ----------------------------------------------------------------------------------- */

struct alone {
	struct pb_team base;
	int64_t next;
};

static enum pb_status alone_broadcast(struct pb_team *team, void *data, size_t bytes, int root,
				      struct pb_error *err)
{
	(void)team;
	(void)data;
	(void)bytes;
	(void)root;
	(void)err;
	return PB_OK;
}

static enum pb_status alone_gather(struct pb_team *team, const void *mine, size_t bytes, void *all,
				   struct pb_error *err)
{
	(void)team;
	(void)err;
	memcpy(all, mine, bytes);
	return PB_OK;
}

static enum pb_status alone_claim(struct pb_team *team, int64_t *next, struct pb_error *err)
{
	(void)err;
	*next = ((struct alone *)team)->next++;
	return PB_OK;
}

static enum pb_status alone_halt(struct pb_team *team, struct pb_error *err)
{
	(void)err;
	((struct alone *)team)->next = PB_TEAM_HALTED;
	team->halted = true;
	return PB_OK;
}

static void alone_tick(struct pb_team *team)
{
	(void)team;
}

static void alone_abort(struct pb_team *team, int exit_status)
{
	(void)team;
	_exit(exit_status);
}

static void alone_close(struct pb_team *team)
{
	free(team);
}

static const struct pb_team_ops alone_ops = {.broadcast = alone_broadcast,
					     .gather = alone_gather,
					     .claim = alone_claim,
					     .halt = alone_halt,
					     .tick = alone_tick,
					     .abort = alone_abort,
					     .close = alone_close};

enum pb_status pb_team_alone(struct pb_team **out, struct pb_error *err)
{
	void *memory = NULL;
	struct pb_team *team;
	enum pb_status status;

	PB_TRY(pb_alloc(&memory, 1, sizeof(struct alone), "a team", err));
	team = memory;
	team->ops = &alone_ops;
	team->size = team->n_local = 1;
	*out = team;
cleanup:
	return status;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Processes that the launcher says it has started, by the names that it sets for each of them.
 * (In a job's script SLURM_NTASKS is what a step would have; SLURM_STEP_NUM_TASKS is a step's.) */
static long n_started(void)
{
	static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS",
					    "SLURM_STEP_NUM_TASKS"};
	long most = 1;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *text = getenv(names[i]);
		long n = text ? strtol(text, NULL, 10) : 0;

		if (n > most)
			most = n;
	}
	return most;
}

static const char *const mpi_file[] = {"libpatchbay_mpi.so"};

/* A function of the plugin. Components of MPI libraries find the library's own symbols only among
 * global ones. */
static void *find_in_plugin(const char *name, bool *absent)
{
	char path[4200];
	size_t which;
	void *library;

	*absent = !pb_plugin_find(mpi_file, 1, path, sizeof path, &which);
	if (*absent)
		return NULL;
	library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
	return library ? dlsym(library, name) : NULL;
}

enum pb_status pb_team_open(struct pb_team **out, struct pb_error *err)
{
	long started = n_started();
	pb_mpi_open_fn *open = NULL;
	bool absent = false;
	void *symbol;
	enum pb_status status;

	*out = NULL;
	if (started == 1)
		return pb_team_alone(out, err);
	symbol = find_in_plugin("pb_mpi_open", &absent);
	if (absent)
		return pb_fail(err, PB_ERR_INPUT,
			       "%ld processes were started together, and this build has no MPI "
			       "(libpatchbay_mpi.so is neither beside the program nor in "
			       "../lib/patchbay): build it where MPI is, or start one process",
			       started);
	if (!symbol)
		return pb_fail(err, PB_ERR_INPUT,
			       "%ld processes were started together, and MPI does not load: %s: "
			       "load the MPI module that this was built with",
			       started, dlerror());
	memcpy(&open, &symbol, sizeof open); /* ISO C has no cast for it */
	PB_TRY(open(out, err));
	if ((*out)->size == 1) {
		pb_team_close(*out);
		*out = NULL;
		return pb_fail(err, PB_ERR_INPUT,
			       "%ld processes were started together, and they do not find each "
			       "other: use the MPI that this was built with (patchbay doctor names "
			       "it), under SLURM with srun --mpi=pmix",
			       started);
	}
cleanup:
	return status;
}

void pb_team_close(struct pb_team *team)
{
	if (team)
		team->ops->close(team);
}

void pb_team_describe(FILE *out)
{
	pb_mpi_version_fn *version = NULL;
	char text[512] = "";
	bool absent = false;
	void *symbol = find_in_plugin("pb_mpi_version", &absent);

	if (symbol) {
		memcpy(&version, &symbol, sizeof version);
		version(text, sizeof text);
		text[strcspn(text, "\n")] = '\0';
	}
	if (absent)
		fprintf(out, "MPI           not in this build (libpatchbay_mpi.so)\n");
	else if (!symbol)
		fprintf(out, "MPI           does not load: %s\n", dlerror());
	else
		fprintf(out, "MPI           %s\n", text);
}

/* ---- agreeing -------------------------------------------------------------------------------- */

/* The rank whose status is everybody's: the first with an error, else the first that was stopped;
 * -1 where all went well. */
static int find_speaker(const int32_t *all, int size)
{
	int stopped = -1;

	for (int i = 0; i < size; i++) {
		if (all[i] != PB_OK && all[i] != PB_ERR_STOPPED)
			return i;
		if (all[i] == PB_ERR_STOPPED && stopped < 0)
			stopped = i;
	}
	return stopped;
}

/* What a rank that failed tells the others. */
struct last_words {
	char host[64];
	char message[PB_ERROR_MESSAGE_SIZE];
};

static void take_words(const struct pb_team *team, int speaker, enum pb_status status,
		       const struct last_words *words, struct pb_error *err)
{
	struct pb_error own = {0};

	if (team->rank != 0) {
		*err = (struct pb_error){.status = status, .told = true};
		return;
	}
	if (speaker == 0)
		return; /* it is there already */
	if (status == PB_ERR_STOPPED)
		(void)pb_fail(&own, status, "%s", words->message);
	else
		(void)pb_fail(&own, status, "rank %d on %s: %s", speaker, words->host,
			      words->message);
	*err = own;
}

enum pb_status pb_team_agree(struct pb_team *team, enum pb_status mine, struct pb_error *err)
{
	struct last_words words = {{0}, {0}};
	struct pb_error failed = {0}; /* of the exchange itself; *err has the rank's own */
	int32_t own = (int32_t)mine, *all = NULL;
	enum pb_status status;
	int speaker;

	if (team->size == 1)
		return mine;
	PB_TRY(pb_alloc((void **)&all, (size_t)team->size, sizeof *all, "a team", &failed));
	PB_TRY(team->ops->gather(team, &own, sizeof own, all, &failed));
	speaker = find_speaker(all, team->size);
	if (speaker < 0)
		goto cleanup;
	if (team->rank == speaker) {
		snprintf(words.host, sizeof words.host, "%s", team->host);
		memcpy(words.message, err->message, sizeof words.message);
	}
	PB_TRY(team->ops->broadcast(team, &words, sizeof words, speaker, &failed));
	status = (enum pb_status)all[speaker];
	take_words(team, speaker, status, &words, err);
cleanup:
	free(all);
	if (failed.status != PB_OK && mine == PB_OK)
		*err = failed;
	return status;
}

enum pb_status pb_team_smallest(struct pb_team *team, uint64_t mine, uint64_t *out,
				struct pb_error *err)
{
	uint64_t *all = NULL;
	enum pb_status status;

	*out = mine;
	PB_TRY(pb_alloc((void **)&all, (size_t)team->size, sizeof *all, "a team", err));
	PB_TRY(team->ops->gather(team, &mine, sizeof mine, all, err));
	for (int i = 0; i < team->size; i++)
		if (all[i] < *out)
			*out = all[i];
cleanup:
	free(all);
	return status;
}
