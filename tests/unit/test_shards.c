/* Shard files and merging them, on the made-up experiment that has every kind of sweep. */
#include <fcntl.h>
#include <sys/stat.h>

#include "results/evaluation.h"
#include "results/shard.h"
#include "results/snapshot.h"
#include "unit/results_read.h"

#define SHARDS_MOST 16

/* An experiment of n_pairs in chunks of two, as one file and as shards of it. */
struct sharded {
	struct fixture whole, merged;
	size_t n;
	char *paths[SHARDS_MOST];
};

static void shard_write(struct fixture *f, size_t shard, size_t n_shards, char **path)
{
	struct pb_experiment whole = f->e;

	*path = pb_shard_name(f->output, shard, n_shards);
	cr_assert(*path != NULL);
	f->e.output = *path;
	f->e.shard = shard;
	f->e.n_shards = n_shards;
	OK(f, pb_parts_prepare(&f->e, &f->err));
	for (size_t c = 0; c < f->e.n_chunks; c++)
		if (pb_experiment_takes(&f->e, c))
			fixture_write_part(f, c);
	OK(f, pb_result_assemble(&f->e, &f->err));
	cr_assert(pb_is_file(*path));
	f->e = whole;
}

static void sharded_new(struct sharded *x, size_t n_pairs, bool extended, bool equal_length,
			size_t n_shards)
{
	struct fixture *const both[] = {&x->whole, &x->merged};

	for (int i = 0; i < 2; i++) {
		fixture_new(both[i], n_pairs, 2, equal_length);
		if (extended)
			fixture_extend(both[i]);
	}
	fixture_assemble(&x->whole);
	x->n = n_shards;
	for (size_t s = 0; s < n_shards; s++)
		shard_write(&x->merged, s, n_shards, &x->paths[s]);
}

static void sharded_free(struct sharded *x)
{
	for (size_t s = 0; s < x->n; s++)
		free(x->paths[s]);
	fixture_free(&x->whole);
	fixture_free(&x->merged);
}

static enum pb_status merge(struct sharded *x, size_t first, size_t n, bool partial, bool force)
{
	const struct pb_merge_options options = {.output = x->merged.output,
						 .command = "patchbay merge",
						 .n_parts = n,
						 .parts = (const char *const *)x->paths + first,
						 .partial = partial,
						 .force = force};

	x->merged.err = (struct pb_error){0};
	return pb_result_merge(&options, &x->merged.err);
}

static void check_same(struct sharded *x)
{
	char *a = all_hashes(&x->whole, x->whole.output),
	     *b = all_hashes(&x->merged, x->merged.output);

	cr_assert_str_eq(a, b);
	cr_assert(strlen(a) > 5000);
	free(a);
	free(b);
	free(verify_text(&x->merged, PB_OK));
}

Test(shards, a_merge_has_the_datasets_of_one_process)
{
	static const size_t counts[] = {3, 7};

	for (int equal = 0; equal < 2; equal++) {
		struct sharded x;

		sharded_new(&x, 9, equal == 0, equal == 1, counts[equal]);
		OK(&x.merged, merge(&x, 0, x.n, false, false));
		check_same(&x);
		cr_assert(!fixture_has(&x.merged, ".lock"));
		cr_assert(!fixture_has(&x.merged, ".parts"));
		sharded_free(&x);
	}
}

Test(shards, more_shards_than_chunks_and_any_order)
{
	struct sharded x;
	char *swap;
	struct pb_error err = {0};

	sharded_new(&x, 5, false, true, 8); /* three chunks: five shards are empty */
	for (size_t i = 0; i < x.n / 2; i++) {
		swap = x.paths[i];
		x.paths[i] = x.paths[x.n - 1 - i];
		x.paths[x.n - 1 - i] = swap;
	}
	OK(&x.merged, merge(&x, 0, x.n, false, false));
	check_same(&x);
	cr_assert_eq(pb_result_verify(x.paths[0], stdout, &err), PB_OK, "%s", err.message);
	/* empty ones alone are nothing */
	OK(&x.merged, pb_output_remove(&x.merged.e, &x.merged.err));
	FAILS(&x.merged, merge(&x, 0, 5, true, false), PB_ERR_INPUT, "nothing to merge");
	sharded_free(&x);
}

Test(shards, names)
{
	static const struct {
		const char *output, *wanted;
		size_t shard, n;
	} rows[] = {{"box.h5", "box.shard-0-of-3.h5", 0, 3},
		    {"a.b/box", "a.b/box.shard-2-of-3.h5", 2, 3},
		    {"box.shard-1-of-3.h5", "box.shard-1-of-3.h5", 1, 3},
		    {"box.shard-1-of-3.h5", "box.shard-1-of-3.shard-2-of-3.h5", 2, 3},
		    {".h5", ".h5.shard-0-of-1.h5", 0, 1}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *name = pb_shard_name(rows[i].output, rows[i].shard, rows[i].n);

		cr_assert_str_eq(name, rows[i].wanted);
		free(name);
	}
}

Test(shards, every_chunk_is_of_one_shard)
{
	struct pb_experiment e = {.n_chunks = 10};

	for (e.n_shards = 1; e.n_shards < 13; e.n_shards++) {
		size_t total = 0;

		for (size_t c = 0; c < e.n_chunks; c++) {
			size_t owners = 0;

			for (e.shard = 0; e.shard < e.n_shards; e.shard++)
				owners += pb_experiment_takes(&e, c);
			cr_assert_eq(owners, 1u);
		}
		for (e.shard = 0; e.shard < e.n_shards; e.shard++)
			total += pb_experiment_n_taken(&e);
		cr_assert_eq(total, 10u);
	}
}

/* ---- what lies at a shard's name --------------------------------------------------------------
 */

Test(shards, other_numbers_are_another_output)
{
	enum pb_output_state state;
	char difference[1024];
	struct sharded x;
	struct fixture *f = &x.merged;

	sharded_new(&x, 8, false, true, 2);
	f->e.output = x.paths[1];
	f->e.shard = 1;
	f->e.n_shards = 2;
	OK(f, pb_output_state(&f->e, &state, difference, sizeof difference, &f->err));
	cr_assert_eq(state, PB_OUTPUT_COMPLETE);
	f->e.n_shards = 3;
	OK(f, pb_output_state(&f->e, &state, difference, sizeof difference, &f->err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	cr_assert(strstr(difference, "shard there 1 of 2, here 1 of 3") != NULL, "%s", difference);
	f->e.n_shards = 0;
	OK(f, pb_output_state(&f->e, &state, difference, sizeof difference, &f->err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	cr_assert(strstr(difference, "it is shard 1 of 2 of this experiment, not the whole") !=
		      NULL,
		  "%s", difference);
	/* a whole is no shard */
	f->e.output = x.whole.output;
	f->e.n_shards = 2;
	OK(f, pb_output_state(&f->e, &state, difference, sizeof difference, &f->err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	cr_assert(strstr(difference, "it is all of this experiment, not shard 1 of 2") != NULL,
		  "%s", difference);
	/* parts of a chunk that another number of shards gave it */
	f->e.output = f->output;
	OK(f, pb_parts_prepare(&f->e, &f->err));
	fixture_write_part(f, 2);
	OK(f, pb_output_state(&f->e, &state, difference, sizeof difference, &f->err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	cr_assert(strstr(difference, "chunk 2 is none of shard 1 of 2") != NULL, "%s", difference);
	f->e.shard = 0;
	OK(f, pb_output_state(&f->e, &state, difference, sizeof difference, &f->err));
	cr_assert_eq(state, PB_OUTPUT_PARTS);
	sharded_free(&x);
}

/* ---- refusals ---------------------------------------------------------------------------------
 */

Test(shards, overlaps_gaps_and_others_are_refused)
{
	struct sharded x, y;
	char *first;

	sharded_new(&x, 10, false, true, 3);
	sharded_new(&y, 8, false, true, 3);
	FAILS(&x.merged, merge(&x, 0, 2, false, false), PB_ERR_INPUT,
	      "chunks are missing: 2 of 5 (shard 2 of 3)");
	FAILS(&x.merged, merge(&x, 2, 1, false, false), PB_ERR_INPUT,
	      "chunks are missing: 0, 1, 3, 4 of 5 (shards 0, 1 of 3)");
	cr_assert(!fixture_has(&x.merged, "") && !fixture_has(&x.merged, ".lock"));
	first = x.paths[2];
	x.paths[2] = x.paths[0];
	FAILS(&x.merged, merge(&x, 0, 3, false, false), PB_ERR_INPUT,
	      "shards overlap: chunk 0 is in ");
	x.paths[2] = y.paths[2];
	FAILS(&x.merged, merge(&x, 0, 3, false, false), PB_ERR_INPUT,
	      "shards of different experiments");
	cr_assert(strstr(x.merged.err.message, "pairs: 8") != NULL &&
		      strstr(x.merged.err.message, "pairs: 10") != NULL,
		  "%s", x.merged.err.message);
	x.paths[2] = x.whole.output;
	FAILS(&x.merged, merge(&x, 0, 3, false, false), PB_ERR_INPUT, "not a shard: ");
	x.paths[2] = (char *)(uintptr_t) "/nowhere.h5";
	FAILS(&x.merged, merge(&x, 0, 3, false, false), PB_ERR_INPUT, "No such file");
	x.paths[2] = first;
	sharded_free(&x);
	sharded_free(&y);
}

Test(shards, an_output_that_is_something_else_is_kept)
{
	struct sharded x;
	struct stat before, after;
	FILE *other;

	sharded_new(&x, 6, false, true, 2);
	other = fopen(x.merged.output, "w");
	cr_assert(other != NULL && fputs("a thesis", other) >= 0 && fclose(other) == 0);
	FAILS(&x.merged, merge(&x, 0, 2, false, false), PB_ERR_INPUT,
	      "the output is something else");
	cr_assert(stat(x.merged.output, &after) == 0 && after.st_size == 8);
	OK(&x.merged, merge(&x, 0, 2, false, true));
	check_same(&x);
	/* parts of a run that goes on there */
	OK(&x.merged, pb_output_remove(&x.merged.e, &x.merged.err));
	OK(&x.merged, pb_parts_prepare(&x.merged.e, &x.merged.err));
	fixture_write_part(&x.merged, 0);
	FAILS(&x.merged, merge(&x, 0, 2, false, false), PB_ERR_INPUT,
	      "an unfinished run of this experiment");
	cr_assert(fixture_has(&x.merged, ".parts/chunk-00000.h5"));
	OK(&x.merged, pb_output_remove(&x.merged.e, &x.merged.err));
	/* a complete one is not written again */
	OK(&x.merged, merge(&x, 0, 2, false, false));
	cr_assert_eq(stat(x.merged.output, &before), 0);
	OK(&x.merged, merge(&x, 0, 2, false, false));
	cr_assert_eq(stat(x.merged.output, &after), 0);
	cr_assert_eq(before.st_ino, after.st_ino);
	sharded_free(&x);
}

/* Change one value of a chunk through HDF5, whose own checksums are right then. */
static void spoil(struct fixture *f, const char *path, const char *dataset_path)
{
	const double value = 1;
	hid_t file, dataset;

	OK(f, pb_h5_file_open(&file, path, true, PB_ERR_IO, &f->err));
	dataset = H5Dopen2(file, dataset_path, H5P_DEFAULT);
	cr_assert(dataset >= 0);
	OK(f, pb_h5_write_rows(dataset, "value", H5T_NATIVE_DOUBLE, 0, 1, &value, &f->err));
	OK(f, pb_h5_dataset_close(&dataset, "value", &f->err));
	OK(f, pb_h5_file_close(&file, path, &f->err));
}

Test(shards, a_damaged_shard_is_named_with_its_chunk)
{
	struct sharded x;
	struct pb_error err = {0};
	char wanted[256];

	sharded_new(&x, 10, false, true, 2);
	spoil(&x.merged, x.paths[1], "chunks/00003/base.clean.logit_diff");
	snprintf(wanted, sizeof wanted, "damaged part: %s: chunk 3: its checksum is wrong",
		 x.paths[1]);
	FAILS(&x.merged, merge(&x, 0, 2, false, false), PB_ERR_CHECK, wanted);
	cr_assert(!fixture_has(&x.merged, "") && !fixture_has_aside(&x.merged, ""));
	cr_assert_eq(pb_result_verify(x.paths[1], stdout, &err), PB_ERR_CHECK);
	cr_assert(strstr(err.message, "chunk 3") != NULL, "%s", err.message);
	cr_assert_eq(truncate(x.paths[0], 9000), 0);
	FAILS(&x.merged, merge(&x, 0, 2, false, false), PB_ERR_CHECK, "damaged shard: ");
	sharded_free(&x);
}

/* ---- partial merges ---------------------------------------------------------------------------
 */

Test(shards, a_partial_merge_says_what_it_lacks)
{
	struct sharded x;
	struct fixture *f = &x.merged;
	double *clean, *values, *all;
	char *text;

	sharded_new(&x, 9, true, false,
		    3); /* five chunks; shard 1 has chunks 1 and 4: pairs 2, 3, 8 */
	free(x.paths[1]);
	x.paths[1] = x.paths[2];
	x.paths[2] = NULL;
	OK(f, merge(&x, 0, 2, true, false));
	cr_assert_eq((int)read_attribute(f, "/", "complete"), 0);
	text_is(f, "/", "missing_chunks", "1, 4");
	cr_assert_eq((int)read_attribute(f, "/", "n_missing"), 3);
	clean = read_doubles(f, "base/clean/logit_diff", 9);
	all = read_doubles(&x.whole, "sweeps/0_patch_z_denoise_all/logit_diff", 108);
	values = read_doubles(f, "sweeps/0_patch_z_denoise_all/logit_diff", 108);
	for (size_t i = 0; i < 9; i++) {
		const bool missing = i == 2 || i == 3 || i == 8;

		cr_assert_eq(isnan(clean[i]) != 0, missing);
		for (size_t c = 0; c < 12; c++)
			if (missing)
				cr_assert(isnan(values[i * 12 + c]));
			else
				cr_assert_eq(values[i * 12 + c], all[i * 12 + c]);
	}
	cr_assert(has_dataset(f, "base/clean/logit_diff_mask"));
	cr_assert(has_dataset(f, "sweeps/0_patch_z_denoise_all/logit_diff_mask"));
	cr_assert_eq(
	    (int)read_attribute(f, "sweeps/0_patch_z_denoise_all/summary", "n_pairs_total"), 6);
	/* all that is there is right; that it is not all is the one thing wrong */
	text = verify_text(f, PB_ERR_CHECK);
	cr_assert(strstr(f->err.message, "1 thing is wrong") != NULL, "%s", f->err.message);
	cr_assert(
	    strstr(text, "WRONG  complete: a partial merge: 3 pairs of chunks 1, 4 are missing"));
	free(text);
	free(clean);
	free(values);
	free(all);
	sharded_free(&x);
}

Test(shards, a_partial_merge_makes_room_for_the_whole)
{
	struct sharded x;

	sharded_new(&x, 10, false, true, 2);
	OK(&x.merged, merge(&x, 0, 1, true, false));
	OK(&x.merged, merge(&x, 0, 2, false, false));
	check_same(&x);
	sharded_free(&x);
}

/* ---- the stored experiment --------------------------------------------------------------------
 */

Test(shards, a_stored_experiment_is_read_back_and_damage_is_found)
{
	struct pb_snapshot snapshot;
	struct sharded x;
	struct pb_error err = {0};
	hid_t file, dataset;
	uint8_t byte = 0;

	sharded_new(&x, 4, true, true, 1);
	OK(&x.merged, pb_h5_file_open(&file, x.paths[0], true, PB_ERR_IO, &err));
	OK(&x.merged, pb_snapshot_read(&snapshot, file, &err));
	cr_assert_eq(snapshot.e.n_sweeps, (size_t)FIXTURE_ALL);
	cr_assert_eq(snapshot.pairs.max_length, x.merged.pairs.max_length);
	cr_assert_str_eq(snapshot.pairs.items[3].clean_text, x.merged.pairs.items[3].clean_text);
	cr_assert_str_eq(snapshot.e.sweeps[FIXTURE_SETS].sets[1].name, "mixed");
	cr_assert_eq(snapshot.e.sweeps[FIXTURE_RECEIVERS].receivers[1].kind, PB_RECEIVER_MLP);
	pb_snapshot_free(&snapshot);
	dataset = H5Dopen2(file, "experiment", H5P_DEFAULT);
	OK(&x.merged,
	   pb_h5_write_rows(dataset, "experiment", H5T_NATIVE_UINT8, 40, 1, &byte, &err));
	OK(&x.merged, pb_h5_dataset_close(&dataset, "experiment", &err));
	cr_assert_eq(pb_snapshot_read(&snapshot, file, &err), PB_ERR_CHECK);
	cr_assert(strstr(err.message, "checksum") != NULL, "%s", err.message);
	OK(&x.merged, pb_h5_file_close(&file, x.paths[0], &x.merged.err));
	sharded_free(&x);
}

/* ---- against ----------------------------------------------------------------------------------
 */

Test(shards, against_finds_one_value)
{
	struct sharded x;
	struct pb_error err = {0};
	char *text = NULL;
	size_t size;
	FILE *out;

	sharded_new(&x, 4, false, true, 1);
	OK(&x.merged, merge(&x, 0, 1, false, false));
	out = open_memstream(&text, &size);
	cr_assert_eq(pb_result_against(x.whole.output, x.merged.output, -1, out, &err), PB_OK, "%s",
		     err.message);
	fclose(out);
	free(text);
	/* another whole, right in itself */
	OK(&x.merged, pb_output_remove(&x.merged.e, &x.merged.err));
	x.merged.e.seed = 4;
	x.merged.pairs.items[2].foil_text = "x";
	fixture_assemble(&x.merged);
	out = open_memstream(&text, &size);
	cr_assert_eq(pb_result_against(x.whole.output, x.merged.output, -1, out, &err),
		     PB_ERR_CHECK);
	fclose(out);
	cr_assert(strstr(text, "WRONG  /pairs/foil_text: 1 of 4 values differ, the first at [2]: "
			       "'' and 'x'") != NULL,
		  "%s", text);
	cr_assert(strstr(text, "ok     /base/clean/logit_diff: the same to the bit") != NULL);
	free(text);
	sharded_free(&x);
}
