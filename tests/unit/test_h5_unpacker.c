/* Rows that are unpacked by all processors: what HDF5 wrote, or False where HDF5 must read. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/base.h"
#include "results/h5.h"
#include "results/h5_unpacker.h"

#define COLUMNS ((size_t)512) /* of a chunk */
#define ROWS ((size_t)40)

static char path[] = "/tmp/pb-unpacker-XXXXXX";
static hid_t file;
static struct pb_error err;

static void begin(void)
{
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	close(fd);
	pb_h5_begin();
	file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
	cr_assert(file >= 0);
}

static void end(void)
{
	H5Fclose(file);
	unlink(path);
}

TestSuite(h5_unpacker, .init = begin, .fini = end);

/* [n, COLUMNS] in chunks of ROWS rows of `columns` columns. */
static hid_t dataset(const char *name, hid_t type, size_t n, size_t columns)
{
	const hsize_t dims[] = {n, COLUMNS}, chunk[] = {ROWS, columns};
	hid_t space = H5Screate_simple(2, dims, NULL), plist = H5Pcreate(H5P_DATASET_CREATE), d;

	H5Pset_chunk(plist, 2, chunk);
	H5Pset_shuffle(plist);
	H5Pset_deflate(plist, 4);
	H5Pset_fletcher32(plist);
	d = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	cr_assert(d >= 0);
	H5Pclose(plist);
	H5Sclose(space);
	return d;
}

/* Bytes as of numbers: the last ones of each repeat; `random`: none do, and gzip is left out. */
static unsigned char *numbers(size_t n, size_t element, bool random)
{
	unsigned char *bytes = malloc(n * element);
	struct pb_rng rng;

	cr_assert(bytes != NULL);
	pb_rng_seed(&rng, 11, n, element, 0);
	for (size_t i = 0; i < n * element; i++)
		bytes[i] = !random && i % element + 2 > element
			       ? (unsigned char)(i / 5000)
			       : (unsigned char)pb_rng_below(&rng, 256);
	return bytes;
}

static hid_t filled(const char *name, hid_t type, size_t n, size_t columns,
		    const unsigned char *values)
{
	hid_t d = dataset(name, type, n, columns);

	cr_assert(H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	return d;
}

static void check_rows(hid_t type, bool random)
{
	const size_t N = 10 * ROWS + 7;
	const size_t ranges[][2] = {{0, N},    {0, 400},  {40, 320},     {1, N - 1},
				    {39, 200}, {87, 320}, {100, N - 100}};
	const size_t row = COLUMNS * H5Tget_size(type);
	unsigned char *values = numbers(N * COLUMNS, H5Tget_size(type), random);
	unsigned char *back = malloc(N * row + 1);
	static int n_datasets;
	char name[32];
	hid_t d;

	snprintf(name, sizeof name, "d%d", n_datasets++);
	d = filled(name, type, N, COLUMNS, values);
	cr_assert(back != NULL);
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		const size_t first = ranges[i][0], n = ranges[i][1];

		if (n * row < 300 << 10)
			continue;
		memset(back, 0, N * row);
		back[n * row] = 0xa5;
		cr_assert(pb_h5_unpack_rows(d, type, first, n, back), "rows %zu, %zu of %zu bytes",
			  first, n, row);
		cr_assert(memcmp(back, values + first * row, n * row) == 0 && back[n * row] == 0xa5,
			  "rows %zu, %zu of %zu bytes", first, n, row);
	}
	free(values);
	free(back);
	H5Dclose(d);
}

Test(h5_unpacker, rows_as_hdf5_wrote_them)
{
	const hid_t types[] = {H5T_NATIVE_DOUBLE, H5T_NATIVE_FLOAT, H5T_NATIVE_INT32,
			       H5T_NATIVE_SHORT, H5T_NATIVE_UINT8};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		check_rows(types[i], false);
		check_rows(types[i], true);
	}
}

/* One chunk, another type, chunks of a part of a row, rows that are not there. */
Test(h5_unpacker, what_it_is_not_for)
{
	const size_t N = 4 * ROWS;
	unsigned char *values = numbers(N * COLUMNS, sizeof(double), false);
	double *back = malloc(N * COLUMNS * sizeof *back);
	hid_t whole = filled("whole", H5T_NATIVE_DOUBLE, N, COLUMNS, values);
	hid_t cut = filled("cut", H5T_NATIVE_DOUBLE, N, COLUMNS / 2, values);

	cr_assert(back != NULL);
	cr_assert(pb_h5_unpack_rows(whole, H5T_NATIVE_DOUBLE, 0, N, back));
	cr_assert(!pb_h5_unpack_rows(whole, H5T_NATIVE_DOUBLE, 0, ROWS, back));
	cr_assert(!pb_h5_unpack_rows(whole, H5T_NATIVE_FLOAT, 0, N, back));
	cr_assert(!pb_h5_unpack_rows(whole, H5T_NATIVE_DOUBLE, ROWS, N, back));
	cr_assert(!pb_h5_unpack_rows(whole, H5T_NATIVE_DOUBLE, 0, 0, back));
	cr_assert(!pb_h5_unpack_rows(cut, H5T_NATIVE_DOUBLE, 0, N, back));
	cr_assert_eq(pb_h5_read_rows(cut, "cut", H5T_NATIVE_DOUBLE, 0, N, back, &err), PB_OK);
	cr_assert_eq(memcmp(back, values, N * COLUMNS * sizeof *back), 0);
	free(values);
	free(back);
	H5Dclose(whole);
	H5Dclose(cut);
}

/* A dataset taken packed, and unpacked when its file is closed. */
Test(h5_unpacker, whole_datasets)
{
	static const size_t sizes[] = {ROWS, ROWS + 1, 5 * ROWS, 7 * ROWS - 3};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const size_t n = sizes[i] * COLUMNS;
		unsigned char *values = numbers(n, sizeof(double), false);
		double *back = calloc(n + 1, sizeof *back);
		struct pb_h5_packed packed;
		char name[32];

		snprintf(name, sizeof name, "w%zu", i);
		H5Dclose(filled(name, H5T_NATIVE_DOUBLE, sizes[i], COLUMNS, values));
		cr_assert(back != NULL);
		cr_assert(!pb_h5_packed_read(&packed, file, name, H5T_NATIVE_DOUBLE, n + 1));
		cr_assert(!pb_h5_packed_read(&packed, file, name, H5T_NATIVE_FLOAT, n));
		cr_assert(!pb_h5_packed_read(&packed, file, "none", H5T_NATIVE_DOUBLE, n));
		cr_assert(pb_h5_packed_read(&packed, file, name, H5T_NATIVE_DOUBLE, n));
		cr_assert_eq(packed.n, (sizes[i] + ROWS - 1) / ROWS);
		cr_assert(pb_h5_packed_unpack(&packed, back));
		cr_assert(memcmp(back, values, n * sizeof *back) == 0 && back[n] == 0);
		packed.bytes[packed.size[0] / 2] ^= 1;
		cr_assert(!pb_h5_packed_unpack(&packed, back));
		pb_h5_packed_free(&packed);
		free(values);
		free(back);
	}
}

/* HDF5 may leave filters out, where they make a chunk no smaller. */
Test(h5_unpacker, filters_left_out)
{
	const size_t N = 3 * ROWS;
	const size_t chunk = ROWS * COLUMNS * sizeof(double);
	const hsize_t second[] = {ROWS, 0};
	unsigned char *values = numbers(N * COLUMNS, sizeof(double), false);
	unsigned char *back = malloc(3 * chunk);
	hid_t d = filled("left", H5T_NATIVE_DOUBLE, N, COLUMNS, values);

	cr_assert(back != NULL);
	values[chunk + 5] ^= 1;
	cr_assert(H5Dwrite_chunk(d, H5P_DEFAULT, 7, second, chunk, values + chunk) >= 0);
	cr_assert(pb_h5_unpack_rows(d, H5T_NATIVE_DOUBLE, 0, N, back));
	cr_assert_eq(memcmp(back, values, 3 * chunk), 0);
	cr_assert(H5Dwrite_chunk(d, H5P_DEFAULT, 7, second, chunk - 8, values + chunk) >= 0);
	cr_assert(!pb_h5_unpack_rows(d, H5T_NATIVE_DOUBLE, 0, N, back));
	free(values);
	free(back);
	H5Dclose(d);
}

/* Addresses of texts never come from a file, whatever filters its texts claim. */
Test(h5_unpacker, texts_are_not_numbers)
{
	const hsize_t n = 65536, rows = 16384;
	const struct pb_h5_chunks chunks = {
	    .n_rows = n, .rows = rows, .row_bytes = sizeof(char *), .element = sizeof(char *)};
	const size_t bytes = pb_h5_chunk_bytes(&chunks);
	hid_t space = H5Screate_simple(1, &n, NULL), plist = H5Pcreate(H5P_DATASET_CREATE), d, text;
	unsigned char *values = numbers(bytes, 1, false), *room = malloc(bytes);
	unsigned char *packed = malloc(pb_h5_packed_most(&chunks));
	char **back = calloc(n, sizeof *back);
	struct pb_h5_packed whole;
	size_t size;

	cr_assert_eq(pb_h5_text_type(&text, &err), PB_OK);
	H5Pset_chunk(plist, 1, &rows);
	H5Pset_shuffle(plist);
	H5Pset_deflate(plist, 1);
	H5Pset_filter(plist, H5Z_FILTER_FLETCHER32, H5Z_FLAG_OPTIONAL, 0, NULL);
	d = H5Dcreate2(file, "texts", text, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	cr_assert(d >= 0 && room != NULL && packed != NULL && back != NULL);
	cr_assert(pb_h5_pack(&chunks, values, room, packed, &size));
	for (hsize_t row = 0; row < n; row += rows)
		cr_assert(H5Dwrite_chunk(d, H5P_DEFAULT, 0, &row, size, packed) >= 0);
	cr_assert(!pb_h5_unpack_rows(d, text, 0, n, back));
	cr_assert(!pb_h5_packed_read(&whole, file, "texts", text, n));
	H5Dclose(d);
	H5Tclose(text);
	H5Pclose(plist);
	H5Sclose(space);
	free(values);
	free(room);
	free(packed);
	free(back);
}

/* Close the file, make another size of elements of what its shuffle filter has, and open it. */
static void patch_shuffle(int from, int to)
{
	char *bytes, *name;
	size_t size;
	FILE *f;

	H5Fclose(file);
	cr_assert_eq(pb_read_file(&bytes, &size, path, SIZE_MAX / 2, &err), PB_OK);
	name = memmem(bytes, size, "shuffle", sizeof "shuffle");
	cr_assert(name != NULL);
	cr_assert_eq(name[sizeof "shuffle"], from, "%d", name[sizeof "shuffle"]);
	name[sizeof "shuffle"] = (char)to;
	f = fopen(path, "wb");
	cr_assert(f != NULL && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
	free(bytes);
	file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	cr_assert(file >= 0);
}

/* HDF5 unshuffles by a number in the file, which must be the size of an element. */
Test(h5_unpacker, another_shuffle)
{
	const size_t n = 4 * ROWS * COLUMNS;
	unsigned char *values = numbers(n, sizeof(double), false);
	double *back = malloc(n * sizeof *back);
	hid_t d = filled("shuffled", H5T_NATIVE_DOUBLE, 4 * ROWS, COLUMNS, values);

	cr_assert(back != NULL && pb_h5_unpack_rows(d, H5T_NATIVE_DOUBLE, 0, 4 * ROWS, back));
	H5Dclose(d);
	patch_shuffle(8, 4);
	d = H5Dopen2(file, "shuffled", H5P_DEFAULT);
	cr_assert(d >= 0 && !pb_h5_unpack_rows(d, H5T_NATIVE_DOUBLE, 0, 4 * ROWS, back));
	H5Dclose(d);
	free(values);
	free(back);
}

/* Many chunks of next to nothing: HDF5 takes its time with them, and no memory. */
Test(h5_unpacker, tiny_chunks)
{
	const hsize_t n = 100000, rows = 100;
	hid_t space = H5Screate_simple(1, &n, NULL), plist = H5Pcreate(H5P_DATASET_CREATE), d;
	unsigned char *values = numbers(n, sizeof(double), false);
	double *back = malloc(n * sizeof *back);
	struct pb_h5_packed whole;

	H5Pset_chunk(plist, 1, &rows);
	H5Pset_shuffle(plist);
	H5Pset_deflate(plist, 1);
	H5Pset_fletcher32(plist);
	d = H5Dcreate2(file, "tiny", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	cr_assert(H5Dwrite(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	cr_assert(back != NULL && !pb_h5_unpack_rows(d, H5T_NATIVE_DOUBLE, 0, n, back));
	cr_assert(!pb_h5_packed_read(&whole, file, "tiny", H5T_NATIVE_DOUBLE, n));
	cr_assert_eq(pb_h5_read_rows(d, "tiny", H5T_NATIVE_DOUBLE, 0, n, back, &err), PB_OK);
	cr_assert_eq(memcmp(back, values, n * sizeof *back), 0);
	H5Dclose(d);
	H5Pclose(plist);
	H5Sclose(space);
	free(values);
	free(back);
}

/* HDF5 gives what was never written, and says what is wrong with what is damaged. */
Test(h5_unpacker, chunks_that_are_not_there_or_damaged)
{
	const size_t N = 4 * ROWS;
	const hsize_t start[] = {0, 0}, count[] = {2 * ROWS, COLUMNS}, second[] = {ROWS, 0};
	unsigned char *values = numbers(N * COLUMNS, sizeof(double), false);
	double *back = malloc(N * COLUMNS * sizeof *back);
	hid_t d = dataset("half", H5T_NATIVE_DOUBLE, N, COLUMNS), space, memory;
	unsigned char *chunk;
	uint32_t skipped;
	hsize_t size;

	space = H5Dget_space(d);
	memory = H5Screate_simple(2, count, NULL);
	H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
	cr_assert(H5Dwrite(d, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, values) >= 0);
	cr_assert(back != NULL && !pb_h5_unpack_rows(d, H5T_NATIVE_DOUBLE, 0, N, back));
	cr_assert_eq(pb_h5_read_rows(d, "half", H5T_NATIVE_DOUBLE, 0, N, back, &err), PB_OK);
	cr_assert_eq(memcmp(back, values, 2 * ROWS * COLUMNS * sizeof *back), 0);
	for (size_t i = 2 * ROWS * COLUMNS; i < N * COLUMNS; i++)
		cr_assert_eq(back[i], 0);
	cr_assert(H5Dget_chunk_storage_size(d, second, &size) >= 0 && size > 1000);
	chunk = malloc(size);
	cr_assert(chunk != NULL && H5Dread_chunk(d, H5P_DEFAULT, second, &skipped, chunk) >= 0);
	chunk[size / 2] ^= 4;
	cr_assert(H5Dwrite_chunk(d, H5P_DEFAULT, skipped, second, size, chunk) >= 0);
	H5Dclose(d); /* what HDF5 may have kept of it goes */
	d = H5Dopen2(file, "half", H5P_DEFAULT);
	cr_assert(!pb_h5_unpack_rows(d, H5T_NATIVE_DOUBLE, 0, 2 * ROWS, back));
	cr_assert_eq(pb_h5_read_rows(d, "half", H5T_NATIVE_DOUBLE, 0, 2 * ROWS, back, &err),
		     PB_ERR_CHECK);
	cr_assert(strstr(err.message, "half") != NULL, "%s", err.message);
	free(chunk);
	free(values);
	free(back);
	H5Sclose(space);
	H5Sclose(memory);
	H5Dclose(d);
}
