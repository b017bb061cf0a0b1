/* Chunks that are compressed by all processors: HDF5 reads them as what was given. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "results/h5.h"
#include "results/h5_packer.h"

static struct pb_error err;

enum { COLUMNS = 24, ROWS = 7 }; /* of a chunk: 168 elements */

struct file {
	char path[64];
	hid_t id;
};

static struct file open_file(void)
{
	struct file f = {.path = "/tmp/pb-packer-XXXXXX"};
	int fd = mkstemp(f.path);

	cr_assert(fd >= 0);
	close(fd);
	f.id = H5Fcreate(f.path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
	cr_assert(f.id >= 0);
	return f;
}

static void close_file(struct file *f)
{
	H5Fclose(f->id);
	unlink(f->path);
}

/* [n, COLUMNS] in chunks of ROWS rows of `columns` columns. */
static hid_t dataset(const struct file *f, const char *name, hid_t type, size_t n, size_t columns,
		     bool checksum)
{
	const hsize_t dims[] = {n, COLUMNS}, chunk[] = {ROWS, columns};
	hid_t space = H5Screate_simple(2, dims, NULL), plist = H5Pcreate(H5P_DATASET_CREATE), d;

	H5Pset_chunk(plist, 2, chunk);
	H5Pset_shuffle(plist);
	H5Pset_deflate(plist, 4);
	if (checksum)
		H5Pset_fletcher32(plist);
	d = H5Dcreate2(f->id, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	cr_assert(d >= 0);
	H5Pclose(plist);
	H5Sclose(space);
	return d;
}

/* Numbers that gzip finds little in, zeros among them. */
static void *numbers(size_t n, size_t element)
{
	unsigned char *bytes = malloc(n * element + 1);
	struct pb_rng rng;

	cr_assert(bytes != NULL);
	pb_rng_seed(&rng, 3, n, element, 0);
	for (size_t i = 0; i < n * element; i++)
		bytes[i] = i / 200 % 5 == 0 ? 0 : (unsigned char)pb_rng_below(&rng, 256);
	return bytes;
}

/* All values of a dataset as HDF5 itself reads them. */
static void read_by_hdf5(hid_t dataset, hid_t type, void *data)
{
	cr_assert(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
}

/* n rows in steps, as HDF5 reads them. */
static void check_rows(hid_t type, size_t n, size_t step, size_t room_chunks)
{
	const size_t element = H5Tget_size(type), row = COLUMNS * element;
	struct file f = open_file();
	hid_t ours = dataset(&f, "ours", type, n, COLUMNS, true);
	char *values = numbers(n * COLUMNS, element), *back = malloc(n * row + 1);
	struct pb_h5_packer p;

	cr_assert_eq(pb_h5_packer_open(&p, ours, type, room_chunks * ROWS * row, &err), PB_OK);
	cr_assert_eq(p.rows, room_chunks < 2 ? 0u : (size_t)ROWS);
	for (size_t i = 0; i < n; i += step)
		cr_assert_eq(pb_h5_packer_add(&p, "ours", i, n - i < step ? n - i : step,
					      values + i * row, &err),
			     PB_OK, "%s", err.message);
	cr_assert_eq(pb_h5_packer_end(&p, "ours", &err), PB_OK, "%s", err.message);
	pb_h5_packer_drop(&p);
	H5Dclose(ours); /* what HDF5 may have kept of it goes */
	ours = H5Dopen2(f.id, "ours", H5P_DEFAULT);
	read_by_hdf5(ours, type, back);
	cr_assert_eq(memcmp(back, values, n * row), 0, "%zu rows by %zu are not those given", n,
		     step);
	free(values);
	free(back);
	H5Dclose(ours);
	close_file(&f);
}

Test(h5_packer, rows_as_hdf5_reads_them)
{
	static const size_t rows[] = {7, 8, 13, 14, 50, 71}, steps[] = {1, 3, 7, 20, 100};

	for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
		for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
			check_rows(H5T_NATIVE_DOUBLE, rows[n], steps[s], 2);
			check_rows(H5T_NATIVE_FLOAT, rows[n], steps[s], 3);
			check_rows(H5T_NATIVE_UINT8, rows[n], steps[s], 16);
			check_rows(H5T_NATIVE_DOUBLE, rows[n], steps[s], 1);
		}
}

/* Rows that are left out, before a chunk or in one, and what follows them. */
Test(h5_packer, rows_left_out)
{
	enum { N = 60 };
	static const size_t gaps[] = {7, 10, 21, 33};
	double *values = numbers((size_t)N * COLUMNS, sizeof *values), back[N * COLUMNS];

	for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
		struct file f = open_file();
		hid_t d = dataset(&f, "d", H5T_NATIVE_DOUBLE, N, COLUMNS, true);
		const size_t row = COLUMNS * sizeof *values, gap = gaps[g];
		struct pb_h5_packer p;

		cr_assert_eq(
		    pb_h5_packer_open(&p, d, H5T_NATIVE_DOUBLE, (size_t)3 * ROWS * row, &err),
		    PB_OK);
		cr_assert_eq(pb_h5_packer_add(&p, "d", 0, gap, values, &err), PB_OK);
		for (size_t i = gap + 2; i < N; i += 2)
			cr_assert_eq(pb_h5_packer_add(&p, "d", i, N - i < 2 ? N - i : 2,
						      values + i * COLUMNS, &err),
				     PB_OK);
		cr_assert_eq(pb_h5_packer_end(&p, "d", &err), PB_OK);
		pb_h5_packer_drop(&p);
		read_by_hdf5(d, H5T_NATIVE_DOUBLE, back);
		for (size_t i = 0; i < N; i++)
			for (size_t c = 0; c < COLUMNS; c++) {
				const size_t at = i * COLUMNS + c;
				const double want = i == gap || i == gap + 1 ? 0 : values[at];

				cr_assert_eq(memcmp(&back[at], &want, sizeof want), 0,
					     "row %zu after a gap at %zu", i, gap);
			}
		H5Dclose(d);
		close_file(&f);
	}
	free(values);
}

/* Chunks of a part of a row, other filters, another type: HDF5 writes them itself. */
Test(h5_packer, what_it_is_not_for)
{
	const size_t room = (size_t)1 << 20;
	struct file f = open_file();
	hid_t cut = dataset(&f, "cut", H5T_NATIVE_DOUBLE, 30, COLUMNS / 2, true);
	hid_t bare = dataset(&f, "bare", H5T_NATIVE_DOUBLE, 30, COLUMNS, false);
	hid_t other = dataset(&f, "other", H5T_IEEE_F64BE, 30, COLUMNS, true);
	hid_t all[] = {cut, bare, other};
	double *values = numbers((size_t)30 * COLUMNS, sizeof *values), back[30 * COLUMNS];

	for (size_t i = 0; i < 3; i++) {
		struct pb_h5_packer p;

		cr_assert_eq(pb_h5_packer_open(&p, all[i], H5T_NATIVE_DOUBLE, room, &err), PB_OK);
		cr_assert_eq(p.rows, 0u);
		cr_assert_eq(pb_h5_packer_add(&p, "d", 0, 30, values, &err), PB_OK);
		cr_assert_eq(pb_h5_packer_end(&p, "d", &err), PB_OK);
		pb_h5_packer_drop(&p);
		read_by_hdf5(all[i], H5T_NATIVE_DOUBLE, back);
		cr_assert_eq(memcmp(back, values, sizeof back), 0);
		H5Dclose(all[i]);
	}
	free(values);
	close_file(&f);
}

/* A part's array: one dimension, a last chunk that is not full; small ones go another way. */
Test(h5_packer, whole_datasets)
{
	static const hsize_t sizes[] = {1, 100, 9000, 40000, 40001, 50000};

	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		const hsize_t n = sizes[s], chunk = n < 20000 ? n : 20000;
		struct file f = open_file();
		hid_t space = H5Screate_simple(1, &n, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
		double *values = numbers(n, sizeof *values), *back = malloc(n * sizeof *back);
		hid_t d;

		H5Pset_chunk(plist, 1, &chunk);
		H5Pset_shuffle(plist);
		H5Pset_deflate(plist, 1);
		H5Pset_fletcher32(plist);
		d = H5Dcreate2(f.id, "d", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, plist,
			       H5P_DEFAULT);
		cr_assert(d >= 0 && back != NULL);
		cr_assert_eq(pb_h5_write_packed(d, "d", H5T_NATIVE_DOUBLE, values, &err), PB_OK);
		read_by_hdf5(d, H5T_NATIVE_DOUBLE, back);
		cr_assert_eq(memcmp(back, values, n * sizeof *back), 0, "%zu values", (size_t)n);
		free(values);
		free(back);
		H5Dclose(d);
		H5Pclose(plist);
		H5Sclose(space);
		close_file(&f);
	}
}

/* As HDF5 makes it: an odd number of bytes, and more than the words that are summed at a time. */
Test(h5_packer, fletcher)
{
	static const size_t sizes[] = {1, 2, 3, 719, 720, 721, 5001, 40000};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const hsize_t n = sizes[i], zero = 0;
		struct file f = open_file();
		hid_t space = H5Screate_simple(1, &n, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
		unsigned char *bytes = numbers(sizes[i], 1), *back = malloc(sizes[i] + 4);
		uint32_t mask, sum;
		hid_t d;

		H5Pset_chunk(plist, 1, &n);
		H5Pset_fletcher32(plist);
		d = H5Dcreate2(f.id, "d", H5T_NATIVE_UINT8, space, H5P_DEFAULT, plist, H5P_DEFAULT);
		memset(bytes, 0xff, sizes[i] / 2); /* the largest sums */
		cr_assert(H5Dwrite(d, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0);
		H5Fflush(f.id, H5F_SCOPE_LOCAL);
		cr_assert(back != NULL && H5Dread_chunk(d, H5P_DEFAULT, &zero, &mask, back) >= 0);
		sum = (uint32_t)back[n] | (uint32_t)back[n + 1] << 8 | (uint32_t)back[n + 2] << 16 |
		      (uint32_t)back[n + 3] << 24;
		cr_assert_eq(pb_fletcher32(bytes, sizes[i]), sum, "%zu bytes", sizes[i]);
		free(bytes);
		free(back);
		H5Dclose(d);
		H5Pclose(plist);
		H5Sclose(space);
		close_file(&f);
	}
}
