/* One run, as its YAML file describes it. */
#ifndef PATCHBAY_CONFIG_H
#define PATCHBAY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "patchbay/pairs.h"
#include "patchbay/readings.h"
#include "patchbay/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Operands of the products that changes go through; sums and everything else are float32. */
enum pb_precision { PB_PRECISION_FP32, PB_PRECISION_TF32, PB_PRECISION_BF16 };
extern const char *const pb_precision_names[PB_PRECISION_BF16 + 1];

/* An axis of a grid: a number of the task that takes several values. */
struct pb_cell_axis {
	const char *name;     /* "boxes" */
	size_t n;             /* values */
	const double *values; /* as they are given, each once */
	size_t offset;        /* of the number in struct pb_task_options */
	bool whole;           /* it is a size_t there, else a double */
};
#define PB_CELL_AXES 3
#define PB_CELLS_MAX 10000

struct pb_run_config {
	char *model_path; /* a folder or a hub id: see pb_model_find */
	char *model_revision;
	enum pb_bos bos;
	struct pb_task_options task; /* task.name NULL: pairs come from pairs_path */
	size_t n_prompts;            /* evaluation prompts to make, of each cell of a grid */
	size_t n_axes;               /* of the grid; 0: the task's numbers are single ones */
	struct pb_cell_axis axes[PB_CELL_AXES];
	char *pairs_path; /* NULL: pairs come from the task */
	size_t n_sweeps;
	struct pb_sweep *sweeps;
	unsigned metrics;  /* bits of enum pb_metric; logit_diff always */
	unsigned readings; /* bits 1u << enum pb_reading_group */
	unsigned save;     /* bits 1u << enum pb_site */
	bool save_control; /* save: [control] */
	char *backend;     /* "auto", "cpu", "cuda" */
	enum pb_precision precision;
	size_t chunk;   /* pairs a chunk, 0: auto */
	bool graphs;    /* on a GPU, blocks of rows go to it as CUDA graphs; the same results */
	char *output;   /* NULL until given by the file or by -o */
	char *resolved; /* the whole configuration as YAML, defaults filled in */
	struct pb_arena arena; /* owns the strings and arrays */
};

/* Read a YAML config. `sets` are "key=value" strings (dotted keys, list items by number:
 * "task.pairs=20", "sweep.0.positions=each"), applied before checking; `output` replaces the
 * file's output when not NULL. Unknown keys, wrong types, values out of range and duplicate keys
 * are PB_ERR_INPUT with file, line and column (or the --set argument). Relative paths in the file
 * are taken as given, from the current directory. */
enum pb_status pb_config_read(struct pb_run_config *out, const char *path, const char *const *sets,
			      size_t n_sets, const char *output, struct pb_error *err);
/* The same for `patchbay eval`: a task is needed, and no sweep. */
enum pb_status pb_config_read_evaluation(struct pb_run_config *out, const char *path,
					 const char *const *sets, size_t n_sets, const char *output,
					 struct pb_error *err);
void pb_config_free(struct pb_run_config *config);

/* Each key: what it means, the words it takes in braces, its default in brackets; lines of at most
 * 100 columns. */
void pb_config_describe(FILE *out);

#ifdef __cplusplus
}
#endif
#endif
