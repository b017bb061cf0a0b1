/* Figures of one sweep, between figure_*.c. */
#ifndef PB_REPORT_FIGURE_PARTS_H
#define PB_REPORT_FIGURE_PARTS_H

#include "report/figure.h"

/* "q of a head", "logits": what paths of a sweep end at. */
const char *pb_receiver_title(const struct pb_shown_sweep *w);

/* Of a sweep without positions, by layer alone, of one head or of the embedding: curves over the
 * layers, one for each alpha, or a curve over the alphas (figure_charts.c). */
enum pb_status pb_figure_curves(struct pb_figure_list *list, struct pb_subject *s, size_t number,
				size_t sweep, struct pb_error *err);
/* The strongest neurons (figure_charts.c). */
enum pb_status pb_figure_neurons(struct pb_figure_list *list, struct pb_subject *s, size_t number,
				 size_t sweep, struct pb_error *err);
/* Sets beside the random ones of their size (figure_sets.c). */
enum pb_status pb_figure_sets(struct pb_figure_list *list, struct pb_subject *s, size_t number,
			      size_t sweep, struct pb_error *err);
/* The strongest paths as arrows from layer to layer (figure_graph.c). */
enum pb_status pb_figure_path_graph(struct pb_figure_list *list, struct pb_subject *s,
				    size_t number, size_t sweep, struct pb_error *err);
/* A cell's values over the pairs (figure_charts.c). */
enum pb_status pb_figure_pairs(struct pb_figure_list *list, struct pb_subject *s, size_t number,
			       size_t sweep, struct pb_error *err);

#endif
