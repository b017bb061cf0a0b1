/* A finished result file, opened for reading. */
#ifndef PB_RESULTS_RESULT_FILE_H
#define PB_RESULTS_RESULT_FILE_H

#include "patchbay/results.h"
#include "results/h5.h"

/* One sweep of the file. */
struct pb_result_sweep {
	char *name;      /* "0_patch_z_denoise_all" */
	char *positions; /* "all", "last", "each" */
	bool noise;      /* the recipient is the clean run */
	double min_gap;
};

struct pb_result {
	hid_t file;
	const char *path; /* borrowed */
	bool evaluation;  /* it has cells of prompts, and nothing of what follows */
	bool partial;     /* not all of the experiment is in it */
	/* of a partial merge: chunks, and pairs or prompts, that it lacks; their numbers as text */
	size_t n_missing_chunks, n_missing;
	char *missing_chunks;
	size_t n_pairs, n_layers, n_heads, n_positions, n_chunks, n_sweeps;
	struct pb_result_sweep *sweeps; /* in order of their number */
	double *logit_diff[2];          /* clean, corrupted: [n_pairs] */
	uint8_t *right;                 /* [n_pairs] */
};

/* PB_ERR_INPUT when there is no such file, or it is not a result file but a shard of one;
 * PB_ERR_CHECK when it is one that is damaged or incomplete. A partial merge is opened, with a
 * warning of what it lacks. */
enum pb_status pb_result_open(struct pb_result *out, const char *path, struct pb_error *err);
/* The same for evaluations too, which pb_result_open refuses. */
enum pb_status pb_result_open_any(struct pb_result *out, const char *path, struct pb_error *err);
/* The same for files too that say that they are not complete. */
enum pb_status pb_result_open_partial(struct pb_result *out, const char *path,
				      struct pb_error *err);
void pb_result_close(struct pb_result *result);
/* Pairs that the model is right about. */
size_t pb_result_n_right(const struct pb_result *result);

/* A sweep by the name of its group, by its number, or by the name without its number where only one
 * sweep has it. */
enum pb_status pb_result_find_sweep(const struct pb_result *result, const char *name, size_t *sweep,
				    struct pb_error *err);
/* The name without its number: "patch_z_denoise_all". */
const char *pb_result_sweep_words(const struct pb_result_sweep *sweep);
/* The names of all sweeps, for a message: cut off where the buffer is full, "none" without any. */
#define PB_SWEEP_NAMES 512
const char *pb_result_sweep_names(const struct pb_result *result, char names[PB_SWEEP_NAMES]);

/* Size of a dimension scale of the root; 0 when there is none. */
enum pb_status pb_result_size(hid_t file, const char *name, size_t *size, struct pb_error *err);

/* The figures of the run's own checks, gathered from the file for pb_checks_judge; to be freed by
 * pb_check_figures_free whatever is returned (verify_figures.c). */
struct pb_check_figures;
enum pb_status pb_result_figures(struct pb_check_figures *figures, const struct pb_result *result,
				 struct pb_error *err);

#endif
