/* Between subject*.c. */
#ifndef PB_REPORT_SUBJECT_READ_H
#define PB_REPORT_SUBJECT_READ_H

#include "report/subject.h"

/* A copy of `size` bytes in the subject's arena, what is not UTF-8 replaced; NULL: out of memory.
 */
const char *pb_subject_keep(struct pb_subject *s, const char *text, size_t size);

/* Texts of a dataset, kept in the arena; NULL where there is none. */
enum pb_status pb_subject_read_texts(struct pb_subject *s, const char *path, size_t n,
				     const char ***texts, struct pb_error *err);

/* s->task; PB_ERR_CHECK for a configuration that is none (subject_task.c). */
enum pb_status pb_subject_read_task(struct pb_subject *s, struct pb_error *err);
enum pb_status pb_subject_read_checks(struct pb_subject *s, struct pb_error *err);
enum pb_status pb_subject_read_pairs(struct pb_subject *s, struct pb_error *err);
/* Sweep `index` of the file (subject_sweep.c); freed whatever is returned. */
enum pb_status pb_subject_read_sweep(struct pb_subject *s, size_t index, struct pb_error *err);
void pb_subject_free_sweep(struct pb_shown_sweep *w);
/* What tells sweeps of one name apart, of sweeps that are read (subject_titles.c). */
enum pb_status pb_subject_name_sweeps(struct pb_subject *s, struct pb_error *err);

#endif
