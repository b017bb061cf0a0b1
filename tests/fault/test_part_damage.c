/* One flipped byte anywhere in a part or a shard: found by a checksum, or of no consequence; never
 * a crash, and never taken for another experiment. */
#include "results/parts.h"
#include "results/shard.h"
#include "unit/hdf5_leaks.h"
#include "unit/results_read.h"

/* A file's bytes, put back with one of them changed. */
struct bytes {
	char *path, *data;
	size_t size;
};

static void bytes_read(struct fixture *f, struct bytes *b, char *path)
{
	*b = (struct bytes){.path = path};
	OK(f, pb_read_file(&b->data, &b->size, path, SIZE_MAX / 2, &f->err));
}

static void bytes_flip(const struct bytes *b, size_t at, int mask)
{
	FILE *file = fopen(b->path, "wb");

	cr_assert(file != NULL);
	b->data[at] = (char)(b->data[at] ^ mask);
	cr_assert(fwrite(b->data, 1, b->size, file) == b->size && fclose(file) == 0);
	b->data[at] = (char)(b->data[at] ^ mask);
}

static void bytes_free(struct bytes *b)
{
	free(b->path);
	free(b->data);
}

Test(part_damage, a_flipped_byte_of_a_part_is_noticed)
{
	enum pb_output_state state;
	char difference[1024];
	size_t found = 0, harmless = 0;
	struct fixture f;
	struct bytes b;

	fixture_new(&f, 2, 2, true);
	fixture_write_parts(&f);
	bytes_read(&f, &b, pb_part_path(&f.e, 0));
	pb_log_mute(true);
	/* the texts and numbers of its attributes, and then its arrays */
	for (size_t at = 0; at < b.size; at += at < 14000 ? 43 : 397) {
		bool done = false;

		bytes_flip(&b, at, at % 2 == 0 ? 0x80 : 0x04);
		OK(&f, pb_output_state(&f.e, &state, difference, sizeof difference, &f.err));
		cr_assert_eq(state, PB_OUTPUT_PARTS, "byte %zu: %s", at, difference);
		OK(&f, pb_part_done(&f.e, 0, &done, &f.err));
		cr_assert_eq(done, pb_is_file(b.path), "byte %zu", at);
		found += !done;
		harmless += done;
	}
	cr_assert(found > 150 && harmless > 80, "%zu found, %zu harmless", found, harmless);
	bytes_free(&b);
	fixture_free(&f);
}

Test(part_damage, a_flipped_byte_of_a_shard_is_noticed)
{
	char *whole, *merged, *path;
	size_t found = 0, harmless = 0;
	struct pb_merge_options merge;
	struct fixture f, shard;
	struct bytes b;

	fixture_new(&f, 2, 1, true);
	fixture_new(&shard, 2, 1, true);
	fixture_assemble(&f);
	whole = all_hashes(&f, f.output);
	path = pb_shard_name(shard.output, 0, 1);
	shard.e.output = path;
	shard.e.n_shards = 1;
	fixture_assemble(&shard);
	bytes_read(&shard, &b, path);
	merge = (struct pb_merge_options){.output = shard.output,
					  .command = "",
					  .n_parts = 1,
					  .parts = (const char *const *)&path,
					  .force = true};
	pb_log_mute(true);
	for (size_t at = 0; at < b.size; at += 2999) {
		enum pb_status status;

		bytes_flip(&b, at, at % 2 == 0 ? 0x80 : 0x04);
		shard.err = (struct pb_error){0};
		(void)unlink(shard.output);
		status = pb_result_merge(&merge, &shard.err);
		found += status != PB_OK;
		harmless += status == PB_OK;
		cr_assert(status == PB_OK || status == PB_ERR_CHECK || status == PB_ERR_INPUT,
			  "byte %zu: %d: %s", at, status, shard.err.message);
		cr_assert_eq(status == PB_OK, pb_is_file(shard.output));
		if (status != PB_OK)
			continue;
		merged = all_hashes(&shard, shard.output);
		cr_assert_str_eq(whole, merged, "byte %zu", at);
		free(merged);
	}
	cr_assert(found > 4 && harmless > 4, "%zu found, %zu harmless", found, harmless);
	free(whole);
	bytes_free(&b);
	shard.e.output = shard.output;
	shard.e.n_shards = 0;
	fixture_free(&f);
	fixture_free(&shard);
}
