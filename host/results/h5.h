/* Thin checked wrappers of HDF5: each failure ends in struct pb_error, with what HDF5 says of it.
 * The library's own printing to stderr is off. Not thread-safe: one thread works on files. */
#ifndef PB_RESULTS_H5_H
#define PB_RESULTS_H5_H

/* Object addresses as numbers; later libraries keep this interface under this name. */
#define H5_USE_110_API 1
#include <hdf5.h>
#include <hdf5_hl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patchbay/status.h"

/* Before the first use of HDF5 (opening and creating a file do it): no messages of its own on
 * stderr, and no cleaning up at exit, where HDF5 1.10 crashes once a file could not be closed for
 * want of room on the disk. Everything is closed before. */
void pb_h5_begin(void);

/* Record an error: the formatted text, then what HDF5 says. Returns `status`. */
enum pb_status pb_h5_fail(struct pb_error *err, enum pb_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Hand on the error of making or reading a file ("cannot make file"). What HDF5 could not write or
 * read is a dataset or an attribute: the message gets the file's name where it lacks it. Returns
 * its status, which may be PB_OK. */
enum pb_status pb_h5_fail_file(struct pb_error *err, const struct pb_error *inner, const char *what,
			       const char *path);

/* Give up an identifier of any kind; negative ones are ignored. What was written is only known to
 * be written by pb_h5_file_close. */
void pb_h5_drop(hid_t id);

/* ---- files ----------------------------------------------------------------------------- */

/* A new file at path, replacing what is there. */
enum pb_status pb_h5_file_create(hid_t *file, const char *path, struct pb_error *err);
/* `status` is what a file that is not HDF5, or is damaged, means to the caller. */
enum pb_status pb_h5_file_open(hid_t *file, const char *path, bool writable, enum pb_status failure,
			       struct pb_error *err);
/* Flush and close; *file becomes -1 even on failure. */
enum pb_status pb_h5_file_close(hid_t *file, const char *path, struct pb_error *err);

/* ---- groups and objects ------------------------------------------------------------------ */

enum pb_status pb_h5_group_create(hid_t *group, hid_t parent, const char *name,
				  struct pb_error *err);
enum pb_status pb_h5_group_open(hid_t *group, hid_t parent, const char *name, struct pb_error *err);
/* Whether a path of links relative to `parent` exists. */
bool pb_h5_exists(hid_t parent, const char *path);
/* Names of the links of a group in alphabetical order; *names and each entry freed by
 * pb_h5_names_free. */
enum pb_status pb_h5_names(hid_t group, char ***names, size_t *n, struct pb_error *err);
void pb_h5_names_free(char **names, size_t n);
/* The address of an object in its file; false when it cannot be read. */
bool pb_h5_address(hid_t object, uint64_t *address);

/* ---- attributes -------------------------------------------------------------------------- */

enum pb_status pb_h5_put_text(hid_t object, const char *name, const char *value,
			      struct pb_error *err);
/* The same for files that only patchbay reads: in the object's header, which has a checksum, where
 * it fits. (Variable-length texts lie in a heap that has none, and HDF5 1.10 crashes where it is
 * damaged.) */
enum pb_status pb_h5_put_text_inline(hid_t object, const char *name, const char *value,
				     struct pb_error *err);
typedef enum pb_status pb_h5_put_text_fn(hid_t object, const char *name, const char *value,
					 struct pb_error *err);
enum pb_status pb_h5_put_int(hid_t object, const char *name, int64_t value, struct pb_error *err);
enum pb_status pb_h5_put_uint(hid_t object, const char *name, uint64_t value, struct pb_error *err);
enum pb_status pb_h5_put_double(hid_t object, const char *name, double value, struct pb_error *err);
/* One-dimensional arrays of n >= 1 numbers. */
enum pb_status pb_h5_put_ints(hid_t object, const char *name, size_t n, const int32_t *values,
			      struct pb_error *err);
enum pb_status pb_h5_put_doubles(hid_t object, const char *name, size_t n, const double *values,
				 struct pb_error *err);
bool pb_h5_has(hid_t object, const char *name);
/* The value of an attribute; a missing one, or one of another kind, is PB_ERR_CHECK. Text is freed
 * with free(). */
enum pb_status pb_h5_get_text(hid_t object, const char *name, char **value, struct pb_error *err);
enum pb_status pb_h5_get_int(hid_t object, const char *name, int64_t *value, struct pb_error *err);
enum pb_status pb_h5_get_double(hid_t object, const char *name, double *value,
				struct pb_error *err);

/* ---- datasets ---------------------------------------------------------------------------- */

#define PB_H5_MAX_RANK 11 /* axes of cells, a pair, the axes of a grid, a candidate */

/* A dataset's shape and element type, checked: rank at most PB_H5_MAX_RANK, a known type, and no
 * more data claimed than the storage can hold. A view (a virtual dataset) shows stored datasets of
 * its own file, and nothing else. */
struct pb_h5_shape {
	int rank;
	size_t dims[PB_H5_MAX_RANK];
	size_t count;        /* product of dims */
	size_t row;          /* elements of one step along the first dimension */
	size_t chunk_rows;   /* of them that are stored together; 1 without chunks of whole ones */
	size_t element_size; /* bytes in memory; of a char * for text */
	bool is_text;
	hid_t type; /* little-endian memory type, static: not to be dropped; -1 for text */
};
enum pb_status pb_h5_shape(hid_t dataset, const char *path, struct pb_h5_shape *shape,
			   struct pb_error *err);
/* How many rows are best read at a time: those that fit into `bytes`, whole chunks where one fits;
 * one at least, and no more than there are (but for none). */
size_t pb_h5_rows_at_once(const struct pb_h5_shape *shape, size_t bytes);
/* Read rows [first, first + n) along the first dimension (the element of a scalar counts as one
 * row) as memory type `type`. Several chunks are unpacked side by side (h5_unpacker.h). */
enum pb_status pb_h5_read_rows(hid_t dataset, const char *path, hid_t type, size_t first, size_t n,
			       void *data, struct pb_error *err);
enum pb_status pb_h5_write_rows(hid_t dataset, const char *path, hid_t type, size_t first, size_t n,
				const void *data, struct pb_error *err);
/* Read or write a box; start and count have `rank` entries, which is the dataset's rank. */
enum pb_status pb_h5_read_box(hid_t dataset, const char *path, hid_t type, const size_t *start,
			      const size_t *count, int rank, void *data, struct pb_error *err);
enum pb_status pb_h5_write_box(hid_t dataset, const char *path, hid_t type, const size_t *start,
			       const size_t *count, int rank, const void *data,
			       struct pb_error *err);
/* Read a whole dataset of `count` elements of `type` by path; another count is PB_ERR_CHECK. */
enum pb_status pb_h5_read(hid_t parent, const char *path, hid_t type, size_t count, void *data,
			  struct pb_error *err);
/* Close a dataset that was written: only then is it known that its values could be. *dataset
 * becomes -1 even on failure. */
enum pb_status pb_h5_dataset_close(hid_t *dataset, const char *name, struct pb_error *err);
/* Variable-length UTF-8 in memory and in the file; the caller drops it. */
enum pb_status pb_h5_text_type(hid_t *type, struct pb_error *err);
/* Free n strings that HDF5 allocated while reading, and set them to NULL. */
void pb_h5_texts_free(char **texts, size_t n);

#endif
