/* Raw values turned round, in a file without a name. */
#include "results/cells_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "patchbay/base.h"

#define ROWS_BYTES ((size_t)4 << 20) /* of pairs, turned round at a time */

void pb_cells_file_close(struct pb_cells_file *file)
{
	if (file->fd >= 0)
		close(file->fd); /* its room goes with it */
	file->fd = -1;
}

/* On the disk of the output, where the result has room too. */
static enum pb_status open_unnamed(int *fd, const char *output, struct pb_error *err)
{
	const char *slash = strrchr(output, '/');
	char *folder = slash == NULL     ? pb_format(".")
		       : slash == output ? pb_format("/")
					 : pb_format("%.*s", (int)(slash - output), output);
	char *name = pb_format("%s.tmp.%ld.XXXXXX", output, (long)getpid());

	*fd = -1;
	if (folder != NULL)
		*fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd < 0 && name != NULL) {
		*fd = mkostemp(name, O_CLOEXEC); /* a file system without such files */
		if (*fd >= 0)
			(void)unlink(name);
	}
	free(folder);
	free(name);
	if (*fd < 0)
		return pb_fail(err, PB_ERR_IO, "cannot make a file beside the output: %s: %s",
			       output, strerror(errno));
	return PB_OK;
}

static size_t cells_of(const struct pb_cells_file *f, size_t first_cell)
{
	return f->n_cells - first_cell < f->block ? f->n_cells - first_cell : f->block;
}

/* Where the values of a pair of the block that begins at a cell lie. */
static off_t place(const struct pb_cells_file *f, size_t first_cell, size_t pair)
{
	return (off_t)((first_cell * f->n_pairs + pair * cells_of(f, first_cell)) * sizeof(double));
}

static enum pb_status move(int fd, bool writing, void *data, size_t size, off_t at,
			   struct pb_error *err)
{
	char *bytes = data;

	while (size > 0) {
		const ssize_t n =
		    writing ? pwrite(fd, bytes, size, at) : pread(fd, bytes, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return pb_fail(err, PB_ERR_IO, "cannot %s a file beside the output: %s",
				       writing ? "write" : "read",
				       n < 0 ? strerror(errno) : "it ends early");
		bytes += n;
		size -= (size_t)n;
		at += n;
	}
	return PB_OK;
}

/* n pairs from `first` on: [n, n_cells] into [blocks][n, cells of the block]. */
static enum pb_status put_rows(const struct pb_cells_file *f, const double *rows, double *turned,
			       size_t first, size_t n, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t cell, i;

	for (cell = 0; cell < f->n_cells; cell += f->block) {
		const size_t width = cells_of(f, cell);

		for (i = 0; i < n; i++)
			memcpy(turned + i * width, rows + i * f->n_cells + cell,
			       width * sizeof *turned);
		PB_TRY(move(f->fd, true, turned, n * width * sizeof *turned, place(f, cell, first),
			    err));
	}
cleanup:
	return status;
}

enum pb_status pb_cells_file_make(struct pb_cells_file *out, const char *output, hid_t dataset,
				  const char *name, size_t n_pairs, size_t n_cells, size_t block,
				  struct pb_error *err)
{
	struct pb_h5_shape shape;
	size_t step, first, n;
	double *rows = NULL, *turned = NULL;
	enum pb_status status;

	*out = (struct pb_cells_file){
	    .fd = -1, .n_pairs = n_pairs, .n_cells = n_cells, .block = block};
	PB_TRY(pb_h5_shape(dataset, name, &shape, err));
	step = pb_h5_rows_at_once(&shape, ROWS_BYTES);
	PB_TRY(pb_alloc((void **)&rows, step, n_cells * sizeof *rows, "summary", err));
	PB_TRY(pb_alloc((void **)&turned, step, block * sizeof(double), "summary", err));
	PB_TRY(open_unnamed(&out->fd, output, err));
	for (first = 0; first < n_pairs; first += n) {
		n = n_pairs - first < step ? n_pairs - first : step;
		PB_TRY(pb_h5_read_rows(dataset, name, H5T_NATIVE_DOUBLE, first, n, rows, err));
		PB_TRY(put_rows(out, rows, turned, first, n, err));
	}
cleanup:
	free(rows);
	free(turned);
	if (status != PB_OK)
		pb_cells_file_close(out);
	return status;
}

enum pb_status pb_cells_file_read(const struct pb_cells_file *file, size_t first_cell,
				  double *values, struct pb_error *err)
{
	return move(file->fd, false, values,
		    file->n_pairs * cells_of(file, first_cell) * sizeof *values,
		    place(file, first_cell, 0), err);
}
