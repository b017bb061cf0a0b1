/* Ranked cells, and the forms in which `patchbay top` writes them. */
#ifndef PB_RESULTS_TOP_H
#define PB_RESULTS_TOP_H

#include "results/result_file.h"

/* The ranking of a sweep of an open file; freed by pb_ranking_free. */
enum pb_status pb_rank_sweep(struct pb_ranking *out, const struct pb_result *result, size_t sweep,
			     size_t n_most, bool over_right, struct pb_error *err);

/* top_write.c; whether `out` could be written is the caller's to see */
void pb_top_text(const struct pb_ranking *rankings, size_t n, bool over_right, FILE *out);
void pb_top_csv(const struct pb_ranking *rankings, size_t n, FILE *out);
enum pb_status pb_top_json(const char *path, const struct pb_ranking *rankings, size_t n,
			   bool over_right, FILE *out, struct pb_error *err);

#endif
