/* The processes of one run, under mpirun or srun: one a GPU. Rank 0 reads, judges and assembles;
 * all take chunks. A run of one process is a team of one, without MPI.
 *
 * Every function here is collective (all ranks call it, in the same order) unless said otherwise.
 * So a rank that fails between two of them must not leave alone: pb_team_agree lets all leave
 * together. A rank that dies takes the others along (that is MPI's doing); finished chunks stay. */
#ifndef PB_CLUSTER_TEAM_H
#define PB_CLUSTER_TEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "patchbay/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pb_team;

/* How processes reach each other: alone (team.c), or by MPI (mpi_plugin.c). A table of pointers, so
 * that the cuda plugin can use a team that the program has opened. */
struct pb_team_ops {
	/* data[bytes] of rank `root` to all. */
	enum pb_status (*broadcast)(struct pb_team *team, void *data, size_t bytes, int root,
				    struct pb_error *err);
	/* all[size * bytes] = mine[bytes] of each rank, in their order. */
	enum pb_status (*gather)(struct pb_team *team, const void *mine, size_t bytes, void *all,
				 struct pb_error *err);
	/* *next: 0, 1, 2, ... in the order in which ranks ask. Not collective. */
	enum pb_status (*claim)(struct pb_team *team, int64_t *next, struct pb_error *err);
	/* Whoever asks from now on gets PB_TEAM_HALTED or more. Not collective. */
	enum pb_status (*halt)(struct pb_team *team, struct pb_error *err);
	/* Lets the library answer others while this rank computes, and hears of a halt (within a
	 * second or so). Not collective. */
	void (*tick)(struct pb_team *team);
	/* Ends every process of the job with this exit status. Not collective; does not return. */
	void (*abort)(struct pb_team *team, int exit_status);
	void (*close)(struct pb_team *team);
};

#define PB_TEAM_HALTED ((int64_t)1 << 40)

struct pb_team {
	const struct pb_team_ops *ops;
	int rank, size;
	int n_local; /* ranks on this machine */
	/* Threads that this rank may use, where ranks of one machine may run on the same
	 * processors; 0: as many as the process may. */
	int n_threads;
	bool halted; /* some rank has called halt, as far as this one has heard */
	char host[64];
};

/* The team that this process was started in: of one without mpirun or srun. PB_ERR_INPUT where
 * several processes were started and cannot reach each other. */
enum pb_status pb_team_open(struct pb_team **out, struct pb_error *err);
/* A team of this process alone. */
enum pb_status pb_team_alone(struct pb_team **out, struct pb_error *err);
void pb_team_close(struct pb_team *team);

/* All ranks return the same status: PB_OK where all have it, else that of the first rank with an
 * error (an error counts before PB_ERR_STOPPED). The message of that rank, with its number and
 * host, becomes rank 0's; the others have none to print (err->told). */
enum pb_status pb_team_agree(struct pb_team *team, enum pb_status mine, struct pb_error *err);

/* The smallest of a value over the ranks. */
enum pb_status pb_team_smallest(struct pb_team *team, uint64_t mine, uint64_t *out,
				struct pb_error *err);

/* One line for `patchbay doctor`: the MPI library, or why there is none. */
void pb_team_describe(FILE *out);

/* What libpatchbay_mpi.so exports. */
typedef enum pb_status pb_mpi_open_fn(struct pb_team **out, struct pb_error *err);
typedef void pb_mpi_version_fn(char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
