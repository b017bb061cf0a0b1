/* Several GPUs: weights are read by rank 0 alone and reach the others' memory by NCCL. */
#include "cuda/cuda.h"

#include <nccl_load.h>

#include "cluster/team.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#if PB_HAS_NCCL
#define PB_NCCL_EACH(X)                                                                            \
	X(ncclGetUniqueId)                                                                         \
	X(ncclCommInitRank)                                                                        \
	X(ncclBroadcast)                                                                           \
	X(ncclCommDestroy)                                                                         \
	X(ncclGetErrorString)
#define PB_NCCL_MEMBER(name) decltype(&(name)) name##_;
#define PB_NCCL_TAKE(name)                                                                         \
	share->name##_ = PB_NCCL_FUNCTION(name);                                                   \
	found = found && share->name##_ != nullptr;

struct pb_cuda_nccl {
	PB_NCCL_EACH(PB_NCCL_MEMBER)
	ncclComm_t comm;
	int rank;
};

static enum pb_status fail(const struct pb_cuda_nccl *share, ncclResult_t got, const char *what,
			   struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INTERNAL,
		       "NCCL: %s: %s (NCCL_DEBUG=WARN in the environment says more)",
		       share->ncclGetErrorString_(got), what);
}

/* Where a rank computes. */
struct place {
	char host[64], gpu[32];
};

/* Two ranks on one GPU would halve its speed and memory, and NCCL does not take them. */
static enum pb_status check_places(struct pb_cuda *cuda, struct pb_team *team, struct pb_error *err)
{
	struct place mine = {}, *all = nullptr;
	enum pb_status status;

	snprintf(mine.host, sizeof mine.host, "%s", team->host);
	PB_CUDA(cudaDeviceGetPCIBusId(mine.gpu, (int)sizeof mine.gpu, cuda->number));
	PB_DO(pb_alloc((void **)&all, (size_t)team->size, sizeof *all, "a team's GPUs", err));
	status = team->ops->gather(team, &mine, sizeof mine, all, err);
	for (int i = 0; status == PB_OK && i < team->size; i++)
		for (int j = 0; status == PB_OK && j < i; j++)
			if (memcmp(&all[i], &all[j], sizeof *all) == 0)
				status =
				    pb_fail(err, PB_ERR_INPUT,
					    "ranks %d and %d compute on the same GPU (%s of %s): "
					    "start one process a GPU",
					    j, i, all[i].gpu, all[i].host);
	free(all);
	return status;
}

/* Whether every rank has NCCL; where one has not, each reads the weights by itself. */
static enum pb_status find_nccl(struct pb_cuda_nccl *share, struct pb_team *team, bool *there,
				struct pb_error *err)
{
	uint64_t all = 0;
	bool found = pb_nccl_load();
	const char *why = found ? "it lacks a function" : pb_nccl_why_not();

	if (found) {
		PB_NCCL_EACH(PB_NCCL_TAKE)
	}
	if (!found)
		pb_warn("rank %d: NCCL cannot be used: %s", team->rank, why ? why : "unknown");
	PB_DO(pb_team_smallest(team, found, &all, err));
	*there = all != 0;
	return PB_OK;
}

static enum pb_status connect(struct pb_cuda_nccl *share, struct pb_team *team,
			      struct pb_error *err)
{
	ncclUniqueId id = {};
	ncclResult_t got = team->rank == 0 ? share->ncclGetUniqueId_(&id) : ncclSuccess;
	enum pb_status status = PB_OK;

	if (got != ncclSuccess)
		status = fail(share, got, "ncclGetUniqueId", err);
	PB_DO(pb_team_agree(team, status, err));
	PB_DO(team->ops->broadcast(team, &id, sizeof id, 0, err));
	got = share->ncclCommInitRank_(&share->comm, team->size, id, team->rank);
	if (got != ncclSuccess)
		status = fail(share, got, "ncclCommInitRank", err);
	return pb_team_agree(team, status, err);
}

static enum pb_status stop_sharing(struct pb_cuda *cuda, struct pb_error *err)
{
	struct pb_cuda_nccl *share = cuda->nccl;
	ncclResult_t got = ncclSuccess;

	cuda->nccl = nullptr;
	if (!share)
		return PB_OK;
	if (share->comm) {
		PB_OUTSIDE(cuda, cudaStreamSynchronize(cuda->stream));
		got = share->ncclCommDestroy_(share->comm);
	}
	if (got != ncclSuccess)
		(void)fail(share, got, "ncclCommDestroy", err);
	free(share);
	return got == ncclSuccess ? PB_OK : PB_ERR_INTERNAL;
}

enum pb_status pb_cuda_share(struct pb_device *dev, struct pb_team *team, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct pb_cuda_nccl *share = nullptr;
	bool there = false;
	enum pb_status status;

	if (!team)
		return stop_sharing(cuda, err);
	if (team->size == 1)
		return PB_OK;
	status = check_places(cuda, team, err);
	PB_DO(pb_team_agree(team, status, err));
	PB_DO(pb_alloc((void **)&share, 1, sizeof *share, "NCCL", err));
	share->rank = team->rank;
	status = find_nccl(share, team, &there, err);
	if (status == PB_OK && there)
		status = connect(share, team, err);
	if (status != PB_OK || !there) {
		if (status == PB_OK && team->rank == 0)
			pb_warn("weights are not broadcast: each of %d processes reads them",
				team->size);
		free(share);
		return status;
	}
	cuda->nccl = share;
	return PB_OK;
}

enum pb_sharing pb_cuda_sharing(struct pb_device *dev)
{
	const struct pb_cuda_nccl *share = pb_cuda_of(dev)->nccl;

	if (!share)
		return PB_SHARING_NOT;
	return share->rank > 0 ? PB_SHARING_RECEIVES : PB_SHARING_GIVES;
}

enum pb_status pb_cuda_spread(struct pb_cuda *cuda, void *memory, size_t bytes,
			      struct pb_error *err)
{
	struct pb_cuda_nccl *share = cuda->nccl;
	ncclResult_t got;

	if (!share || bytes == 0)
		return PB_OK;
	PB_DO(pb_cuda_pause(cuda, err));
	got = share->ncclBroadcast_(memory, memory, bytes, ncclUint8, 0, share->comm, cuda->stream);
	return got == ncclSuccess ? PB_OK : fail(share, got, "ncclBroadcast", err);
}
#else
enum pb_status pb_cuda_share(struct pb_device *dev, struct pb_team *team, struct pb_error *err)
{
	(void)dev;
	(void)err;
	if (team && team->size > 1 && team->rank == 0)
		pb_warn("this build has no NCCL: each of %d processes reads the weights",
			team->size);
	return PB_OK;
}

enum pb_sharing pb_cuda_sharing(struct pb_device *dev)
{
	(void)dev;
	return PB_SHARING_NOT;
}

enum pb_status pb_cuda_spread(struct pb_cuda *cuda, void *memory, size_t bytes,
			      struct pb_error *err)
{
	(void)cuda;
	(void)memory;
	(void)bytes;
	(void)err;
	return PB_OK;
}
#endif
