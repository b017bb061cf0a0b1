/* Between the parts of a report. */
#ifndef PB_REPORT_PARTS_H
#define PB_REPORT_PARTS_H

#include "patchbay/report.h"
#include "report/figure.h"
#include "report/folder.h"

struct pb_report_content {
	const struct pb_report_options *options;
	const char *temp; /* the folder aside */
	size_t n_subjects;
	struct pb_subject *subjects;
	struct pb_figure_list figures;
};

/* All figures as files (figure_write.c). */
enum pb_status pb_report_write_figures(struct pb_report_content *c, struct pb_error *err);
/* Tables of a comparison (tables_compare.c). */
enum pb_status pb_report_write_comparison(const struct pb_report_content *c, size_t number,
					  struct pb_error *err);
/* A text as Markdown that shows it as it is, on one line (markdown.c). */
void pb_markdown_text(const char *text, FILE *out);
/* How to cite the program and the experiment of a file, a BibTeX entry, by `put`, which escapes
 * texts for what they stand in (summary.c). */
void pb_report_cite(const struct pb_subject *s, void (*put)(const char *text, FILE *out),
		    FILE *out);
/* CSV tables (tables.c); summary.md (summary.c); index.html (page.c). */
enum pb_status pb_report_write_tables(struct pb_report_content *c, struct pb_error *err);
enum pb_status pb_report_write_summary(struct pb_report_content *c, struct pb_error *err);
enum pb_status pb_report_write_page(struct pb_report_content *c, struct pb_error *err);

/* The cell of the largest |effect| (figure_charts.c), and the strongest sets of a sweep by sets, by
 * |effect| (figure_sets.c); random sets count for neither. PB_NO_CELL without any; order: [cells].
 */
size_t pb_strongest_cell(const struct pb_shown_sweep *w);
size_t pb_strongest_sets(const struct pb_shown_sweep *w, struct pb_ranked *order, size_t n_most);

/* The summary's sentences, each of which `say` is given (summary.c). */
typedef void (*pb_say)(void *context, const char *sentence);
enum pb_status pb_report_sentences(struct pb_subject *s, pb_say say, void *context,
				   struct pb_error *err);

/* The page's data, JSON in which no `<` is (page_data.c); freed with free(). taken: bytes of the
 * page that its figures have. */
enum pb_status pb_report_data(struct pb_report_content *c, size_t taken, char **text,
			      struct pb_error *err);

#endif
