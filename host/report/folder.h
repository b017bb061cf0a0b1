/* The folder of a report: made aside, put in place when it is whole. */
#ifndef PB_REPORT_FOLDER_H
#define PB_REPORT_FOLDER_H

#include "patchbay/base.h"

struct pb_folder {
	char *path, *temp; /* where it goes, where it is made */
	bool replaces;     /* a report is there */
	bool done;
};
/* Makes the folder aside, with figures/ and tables/ in it. PB_ERR_INPUT where `path` cannot be
 * made, or holds something: a report without `force`, or anything else. */
enum pb_status pb_folder_begin(struct pb_folder *f, const char *path, bool force,
			       struct pb_error *err);
enum pb_status pb_folder_commit(struct pb_folder *f, struct pb_error *err);
/* Removes what was made aside, unless it is in place. */
void pb_folder_end(struct pb_folder *f);

/* A file to write below the folder aside: a name as printf makes it. Closed by pb_folder_close,
 * which says whether all could be written. */
enum pb_status pb_folder_open(const char *temp, FILE **out, struct pb_error *err, const char *name,
			      ...) __attribute__((format(printf, 4, 5)));
enum pb_status pb_folder_close(FILE **out, const char *temp, struct pb_error *err);

/* How a page of ours begins. */
#define PB_PAGE_MARK "<!doctype html>\n<!-- patchbay report -->\n"

#endif
