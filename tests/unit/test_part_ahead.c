/* Parts that are unpacked ahead of their turn: what pb_part_read reads, or nothing. */
#include "results/part_ahead.h"
#include "results/part_source.h"
#include "unit/hdf5_leaks.h"
#include "unit/results_fixture.h"

enum { PAIRS = 160, CHUNK = 40, N_CHUNKS = PAIRS / CHUNK };

static void begin(struct fixture *f, struct pb_part_ahead *ahead, size_t chunk)
{
	hid_t file, group = pb_part_open(&file, &f->e, chunk);

	*ahead = (struct pb_part_ahead){0};
	if (group >= 0)
		pb_part_ahead_begin(ahead, &f->e, chunk, group);
	pb_h5_drop(group);
	if (file >= 0)
		OK(f, pb_h5_file_close(&file, "part", &f->err));
}

static bool same(struct fixture *f, const struct pb_part *x, const struct pb_part *y)
{
	struct pb_part_arrays a = {0}, b = {0};
	bool equal = x->finished == y->finished && strcmp(x->isa, y->isa) == 0;

	OK(f, pb_part_arrays_list(&a, &f->e, x->values, &f->err));
	OK(f, pb_part_arrays_list(&b, &f->e, y->values, &f->err));
	equal = equal && a.n == b.n;
	for (size_t i = 0; equal && i < a.n; i++)
		equal = memcmp(a.items[i].data, b.items[i].data,
			       a.items[i].count * pb_field_element_size(a.items[i].type)) == 0;
	pb_part_arrays_free(&a);
	pb_part_arrays_free(&b);
	return equal;
}

Test(part_ahead, what_pb_part_read_reads)
{
	struct fixture f;

	fixture_new(&f, PAIRS, CHUNK, true);
	fixture_write_parts(&f);
	for (size_t c = 0; c < N_CHUNKS; c++) {
		struct pb_part_ahead ahead;
		struct pb_part ours, usual;
		size_t packed = 0;

		begin(&f, &ahead, c);
		cr_assert(ahead.under_way && ahead.chunk == c);
		for (size_t i = 0; i < ahead.arrays.n; i++)
			packed += ahead.packed[i].n > 0;
		cr_assert(packed > 0);
		cr_assert(pb_part_ahead_end(&ahead, &ours));
		OK(&f, pb_part_read(&usual, &f.e, c, &f.err));
		cr_assert(same(&f, &ours, &usual), "chunk %zu", c);
		pb_part_free(&ours);
		cr_assert(!pb_part_ahead_end(&ahead, &ours));
		pb_part_free(&usual);
	}
	fixture_free(&f);
}

/* A byte changed: the part does not come, or it is right (a byte that does not matter). */
Test(part_ahead, damage)
{
	size_t came = 0, not = 0, size;
	struct fixture f;
	char *path, *data;

	fixture_new(&f, PAIRS, CHUNK, true);
	fixture_write_parts(&f);
	path = pb_part_path(&f.e, 1);
	OK(&f, pb_read_file(&data, &size, path, SIZE_MAX / 2, &f.err));
	for (size_t at = 0; at < size; at += 997) {
		FILE *file = fopen(path, "wb");
		struct pb_part_ahead ahead;
		struct pb_part ours, usual;

		data[at] = (char)(data[at] ^ 4);
		cr_assert(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
		data[at] = (char)(data[at] ^ 4);
		begin(&f, &ahead, 1);
		if (!pb_part_ahead_end(&ahead, &ours)) {
			not ++;
			continue;
		}
		came++;
		OK(&f, pb_part_read(&usual, &f.e, 1, &f.err));
		cr_assert(same(&f, &ours, &usual), "byte %zu", at);
		pb_part_free(&ours);
		pb_part_free(&usual);
	}
	cr_assert(came > 20 && not > 20, "%zu came, %zu did not", came, not );
	free(data);
	free(path);
	fixture_free(&f);
}

/* A value changed by way of HDF5, whose own checksums are then right. */
Test(part_ahead, another_value)
{
	const double seconds = 12345;
	struct pb_part_ahead ahead;
	struct pb_part part;
	hid_t file, attribute;
	struct fixture f;
	char *path;

	fixture_new(&f, PAIRS, CHUNK, true);
	fixture_write_parts(&f);
	path = pb_part_path(&f.e, 1);
	OK(&f, pb_h5_file_open(&file, path, true, PB_ERR_IO, &f.err));
	attribute = H5Aopen(file, "seconds", H5P_DEFAULT);
	cr_assert(attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_DOUBLE, &seconds) >= 0);
	H5Aclose(attribute);
	OK(&f, pb_h5_file_close(&file, path, &f.err));
	begin(&f, &ahead, 1);
	cr_assert(ahead.under_way);
	cr_assert(!pb_part_ahead_end(&ahead, &part));
	free(path);
	fixture_free(&f);
}

/* In any order, with one of them damaged, and some never asked for. */
Test(part_ahead, a_source_in_any_order)
{
	static const size_t order[] = {0, 1, 3, 2, 2, 0, 3};
	struct pb_part_source source;
	struct pb_part part, usual;
	struct pb_error err = {0};
	struct fixture f;
	FILE *file;
	char *path;

	fixture_new(&f, PAIRS, CHUNK, true);
	fixture_write_parts(&f);
	source = pb_part_source_folder(&f.e);
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		OK(&f, pb_part_source_read(&source, order[i], &part, &f.err));
		OK(&f, pb_part_read(&usual, &f.e, order[i], &f.err));
		for (size_t c = order[i] + 1; c <= order[i] + PB_PARTS_AHEAD && c < N_CHUNKS; c++) {
			const struct pb_part_ahead *ahead = &source.ahead[c % PB_PARTS_AHEAD];

			cr_assert(ahead->under_way && ahead->chunk == c, "step %zu, chunk %zu", i,
				  c);
		}
		cr_assert_eq(part.values->chunk, order[i]);
		cr_assert(same(&f, &part, &usual), "step %zu", i);
		pb_part_free(&part);
		pb_part_free(&usual);
	}
	pb_part_source_close(&source);
	path = pb_part_path(&f.e, 1);
	file = fopen(path, "r+b");
	cr_assert(file != NULL && fseek(file, -3000, SEEK_END) == 0);
	for (int i = 0; i < 2000; i++)
		cr_assert(fputc(i, file) != EOF);
	cr_assert_eq(fclose(file), 0);
	source = pb_part_source_folder(&f.e);
	OK(&f, pb_part_source_read(&source, 0, &part, &f.err));
	pb_part_free(&part);
	cr_assert_eq(pb_part_source_read(&source, 1, &part, &err), PB_ERR_CHECK);
	cr_assert(strstr(err.message, "damaged part") != NULL && strstr(err.message, path) != NULL,
		  "%s", err.message);
	OK(&f, pb_part_source_read(&source, 2, &part, &f.err));
	pb_part_free(&part);
	pb_part_source_close(&source);
	free(path);
	fixture_free(&f);
}
