/* Assembling the final file: its state, and the pieces that are written. */
#ifndef PB_RESULTS_ASSEMBLE_H
#define PB_RESULTS_ASSEMBLE_H

#include "patchbay/results.h"
#include "results/checks.h"
#include "results/groups.h"
#include "results/growing.h"
#include "results/layout.h"
#include "results/part_source.h"
#include "results/schema.h"
#include "results/stats.h"

/* What is known of each pair beside its tokens. */
struct pb_pair_facts {
	bool *distractor; /* the corruption must not matter: key "corrupt": "distractor" */
	bool *foil_right; /* the foil is right for the corrupted prompt; false only with the key
			     "foil_is_right": false */
	bool *right;      /* the model is right, by pb_pair_facts_judge */
	bool *missing;    /* nothing was computed: its chunk is not there (a partial merge) */
	size_t n_right, n_distractor;
};

/* ---- assemble.c, assemble_create.c, assemble_raw.c
 * ---------------------------------------------------------- */

/* The datasets of one sweep while they are being filled. */
struct pb_open_sweep {
	hid_t group;
	struct pb_growing metric[PB_N_METRICS], control;
};

struct pb_assembly {
	const struct pb_experiment *e;
	struct pb_part_source *source;
	struct pb_layout layout;
	struct pb_growing base[2][PB_N_BASE_FIELDS];
	struct pb_open_sweep *sweeps;
	struct pb_growing readings[2][PB_N_READINGS], saved[2][PB_N_SITES];
	double *logit_diff[2]; /* clean, corrupted: [n_pairs] */
	struct pb_check_figures figures;
	struct pb_pair_facts facts;
	char **isa; /* [n_chunks] */
	int64_t started;
	double seconds;
};

/* Write the scales of the root, and create the datasets that parts fill (assemble_create.c). */
enum pb_status pb_assembly_create(struct pb_assembly *a, struct pb_error *err);
/* What does not come from parts: members of sets, partners of resampling, reference means, readings
 * of the run. */
enum pb_status pb_assembly_write_given(struct pb_assembly *a, struct pb_error *err);
/* The final file of a run at `path`, from a source of parts (pb_evaluation_fill: of an evaluation).
 * Where chunks are missing the file says so, and is not complete. */
enum pb_status pb_run_fill(const struct pb_experiment *e, struct pb_part_source *source,
			   const char *path, struct pb_error *err);
/* The file of an experiment (a shard's too) at its output: written aside, flushed, renamed. Closes
 * the source. */
enum pb_status pb_result_place(const struct pb_experiment *e, struct pb_part_source *source,
			       struct pb_error *err);
/* Read a part, check every value of it (PB_ERR_CHECK), write them, keep its figures. */
enum pb_status pb_assembly_add_part(struct pb_assembly *a, size_t chunk, struct pb_error *err);

/* ---- provenance.c ---------------------------------------------------------------------- */

/* Attributes of the root: title, versions, the experiment's texts, SLURM ids, the times at which
 * the first chunk was started and the file was finished (seconds since 1970). */
enum pb_status pb_provenance_write(hid_t file, const struct pb_experiment *e, int64_t started,
				   double seconds, struct pb_error *err);
/* Of a merge: its command and its shards; and which chunks are missing, and how many pairs or
 * prompts that are, where not all are there. */
enum pb_status pb_source_write(hid_t file, const struct pb_part_source *source,
			       struct pb_error *err);
/* What a file that is made from results says of the program: versions, command, time. */
enum pb_status pb_program_write(hid_t file, const char *command, struct pb_error *err);

/* ---- pairs_group.c --------------------------------------------------------------------- */

enum pb_status pb_pair_facts_new(struct pb_pair_facts *facts, const struct pb_pairs *pairs,
				 struct pb_error *err);
/* right: clean LD > 0 and corrupted LD < 0; both > 0 for distractors; clean LD > 0 alone where
 * nothing is right for the corrupted prompt. */
void pb_pair_facts_judge(struct pb_pair_facts *facts, size_t n_pairs, const double *clean,
			 const double *corrupted);
void pb_pair_facts_free(struct pb_pair_facts *facts);

/* The scale of roles in a group, and their names; *axes is that dimension. */
enum pb_status pb_role_names_write(const struct pb_layout *layout, hid_t group,
				   const struct pb_pairs *pairs, struct pb_axes *axes,
				   struct pb_error *err);
/* The group /pairs. */
enum pb_status pb_pairs_group_write(const struct pb_layout *layout, const struct pb_pairs *pairs,
				    const struct pb_pair_facts *facts, struct pb_error *err);

/* ---- summary.c ------------------------------------------------------------------------- */

/* Each summary is given over all pairs, and over the right ones. */
#define PB_N_SUBSETS 2
extern const char *const pb_subset_suffixes[PB_N_SUBSETS]; /* "", "_right" */

/* What the summaries of all sweeps share, by subset where an array (summary_shared.c). */
struct pb_summary_shared {
	const struct pb_experiment *e;
	const struct pb_layout *layout;
	const double *logit_diff[2]; /* clean, corrupted: [n_pairs] */
	const struct pb_pair_facts *facts;
	struct pb_stats_plan plan[PB_N_SUBSETS];
	size_t *rows[PB_N_SUBSETS]; /* the pairs in each */
	/* Matched pairs; of the right ones, groups whose pairs both are. */
	struct pb_groups groups;
	struct pb_stats_plan group_plan[PB_N_SUBSETS];
	size_t *group_rows[PB_N_SUBSETS]; /* the groups in each */
};
enum pb_status pb_summary_shared_new(struct pb_summary_shared *shared,
				     const struct pb_experiment *e, const struct pb_layout *layout,
				     const double *clean, const double *corrupted,
				     const struct pb_pair_facts *facts, struct pb_error *err);
void pb_summary_shared_free(struct pb_summary_shared *shared);

/* LD_clean - LD_corrupted of a pair, and whether restoration is defined for it: no distractor, and
 * a gap of at least min_gap. */
double pb_pair_gap(const struct pb_summary_shared *shared, size_t pair);
bool pb_has_restoration(const struct pb_summary_shared *shared, size_t pair, double min_gap);

/* The group `summary` of a sweep, from the raw values that its group holds already. */
enum pb_status pb_summary_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				struct pb_error *err);

/* `interaction` and `interaction_stderr` of a sweep of all heads and all pairs of heads, into its
 * open group `out` (interaction.c). */
enum pb_status pb_interaction_write(const struct pb_summary_shared *shared, size_t sweep,
				    hid_t group, hid_t out, struct pb_error *err);

/* How often the answer is the variants' first token, of a sweep with that metric, into its open
 * group `out` (accuracy.c). *change: a fresh array of accuracy_change of its cells, to be freed
 * with free(); NULL without the metric. */
enum pb_status pb_accuracy_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				 hid_t out, double **change, struct pb_error *err);

/* Faithfulness of sets whose complement is changed, where an empty set is among them, or what
 * remains where the sets are changed in the clean run (circuit.c). */
enum pb_status pb_circuit_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				hid_t out, struct pb_error *err);

/* Named sets and those of top among the random sets of their size (random_sets.c). effects: mean
 * effects of the cells by subset; accuracy_change: of all pairs, NULL without. */
enum pb_status pb_random_sets_write(const struct pb_summary_shared *shared, size_t sweep,
				    hid_t group, hid_t out,
				    const double *const effects[PB_N_SUBSETS],
				    const double *accuracy_change, struct pb_error *err);

/* The group `matched` of a summary: state against action in groups of matched pairs; nothing where
 * there are none (matched.c). */
enum pb_status pb_matched_write(const struct pb_summary_shared *shared, size_t sweep, hid_t group,
				hid_t summary, struct pb_error *err);

/* The figures of a summary for each cell of the grid, below the group `cells` of a sweep; nothing
 * where there is no grid (summary.c). */
enum pb_status pb_summary_cells_write(const struct pb_summary_shared *shared, size_t sweep,
				      hid_t group, struct pb_error *err);

/* ---- cells_group.c --------------------------------------------------------------------- */

/* The axes of the experiment's grid, whose scales lie at the root; and these scales. */
struct pb_axes pb_cells_axes(const struct pb_experiment *e);
enum pb_status pb_cells_scales_write(const struct pb_layout *layout, const struct pb_experiment *e,
				     struct pb_error *err);
/* Which cells are available and why others are not, into the group /cells. */
enum pb_status pb_cells_given_write(const struct pb_layout *layout, const struct pb_experiment *e,
				    const struct pb_cell *cells, hid_t group, struct pb_error *err);
/* breaks[c] = 1 where low is above the high of the cell before along some axis. */
void pb_cells_breaks(const double *low, const double *high, size_t n_cells, size_t n_axes,
		     const size_t *sizes, int32_t *breaks);
/* /cells and /pairs/cell of a run with a grid; nothing without. */
enum pb_status pb_cells_group_write(const struct pb_layout *layout, const struct pb_experiment *e,
				    const struct pb_pair_facts *facts,
				    const double *const logit_diff[2], struct pb_error *err);

/* ---- checks_group.c -------------------------------------------------------------------- */

/* The group /checks, without its checksums; the figures are judged. isa: [n_chunks]. */
enum pb_status pb_checks_group_write(const struct pb_layout *layout,
				     const struct pb_check_figures *figures, const char *const *isa,
				     struct pb_error *err);
/* SHA-256 of every dataset and of the attributes of a file that was closed and opened again. Sets
 * the layout's number of datasets. */
enum pb_status pb_checksums_write(struct pb_layout *layout, bool complete, struct pb_error *err);

#endif
