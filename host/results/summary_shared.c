/* What the summaries of all sweeps of a run share: their pairs, draws and axes. */
#include <math.h>
#include <stdlib.h>

#include "patchbay/base.h"
#include "results/assemble.h"

const char *const pb_subset_suffixes[PB_N_SUBSETS] = {"", "_right"};

/* The groups of each subset, and what is drawn for them. */
static enum pb_status share_groups(struct pb_summary_shared *shared, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_experiment *e = shared->e;
	const bool *right = shared->facts->right;
	size_t n[PB_N_SUBSETS] = {0, 0}, g;
	int s;

	PB_TRY(pb_groups_find(&shared->groups, e->pairs, e->cells,
			      e->cells != NULL ? e->n_cells : 0, err));
	for (s = 0; s < PB_N_SUBSETS; s++)
		PB_TRY(pb_alloc((void **)&shared->group_rows[s], shared->groups.n, sizeof(size_t),
				"summary", err));
	for (g = 0; g < shared->groups.n; g++) {
		const struct pb_group *group = &shared->groups.items[g];

		if (shared->facts->missing[group->state] || shared->facts->missing[group->action])
			continue;
		shared->group_rows[0][n[0]++] = g;
		if (right[group->state] && right[group->action])
			shared->group_rows[1][n[1]++] = g;
	}
	for (s = 0; s < PB_N_SUBSETS; s++)
		PB_TRY(pb_stats_plan_new(&shared->group_plan[s], n[s], e->seed, err));
cleanup:
	return status;
}

/* ---- what all sweeps share --------------------------------------------------------------- */

enum pb_status pb_summary_shared_new(struct pb_summary_shared *shared,
				     const struct pb_experiment *e, const struct pb_layout *layout,
				     const double *clean, const double *corrupted,
				     const struct pb_pair_facts *facts, struct pb_error *err)
{
	enum pb_status status;
	size_t n[PB_N_SUBSETS] = {0, 0}, i;
	int s;

	*shared = (struct pb_summary_shared){
	    .e = e, .layout = layout, .logit_diff = {clean, corrupted}, .facts = facts};
	for (s = 0; s < PB_N_SUBSETS; s++)
		PB_TRY(pb_alloc((void **)&shared->rows[s], e->pairs->n, sizeof(size_t), "summary",
				err));
	for (i = 0; i < e->pairs->n; i++) {
		if (facts->missing[i])
			continue;
		shared->rows[0][n[0]++] = i;
		if (facts->right[i])
			shared->rows[1][n[1]++] = i;
	}
	for (s = 0; s < PB_N_SUBSETS; s++)
		PB_TRY(pb_stats_plan_new(&shared->plan[s], n[s], e->seed, err));
	PB_TRY(share_groups(shared, err));
	return PB_OK;
cleanup:
	pb_summary_shared_free(shared);
	return status;
}

void pb_summary_shared_free(struct pb_summary_shared *shared)
{
	int s;

	for (s = 0; s < PB_N_SUBSETS; s++) {
		free(shared->rows[s]);
		pb_stats_plan_free(&shared->plan[s]);
		free(shared->group_rows[s]);
		pb_stats_plan_free(&shared->group_plan[s]);
	}
	pb_groups_free(&shared->groups);
}

double pb_pair_gap(const struct pb_summary_shared *shared, size_t pair)
{
	return shared->logit_diff[0][pair] - shared->logit_diff[1][pair];
}

bool pb_has_restoration(const struct pb_summary_shared *shared, size_t pair, double min_gap)
{
	const double gap = pb_pair_gap(shared, pair);

	return !shared->facts->distractor[pair] && gap != 0 && fabs(gap) >= min_gap;
}
