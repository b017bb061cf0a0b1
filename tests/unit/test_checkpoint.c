/* Checkpoints in several files, by their index. */
#include <criterion/criterion.h>

#include "patchbay/model.h"
#include "support/safetensors_writer.h"

static struct stw writer;
static struct stw_folder folder;
static struct pb_error err;

static void setup(void)
{
	stw_folder_make(&folder);
	stw_folder_config(&folder, STW_GPT2_CONFIG, "");
	stw_gpt2(&writer, "", "F32");
}

static void teardown(void)
{
	stw_free(&writer);
	stw_folder_remove(&folder);
}

TestSuite(checkpoint, .init = setup, .fini = teardown);

static void write_text(const char *name, const char *text)
{
	char path[256];

	stw_folder_name(&folder, name, path, sizeof path);
	stw_write_file(path, text, strlen(text));
}

/* The tensors from..to of the writer as a file. */
static void write_shard(const char *name, size_t from, size_t to)
{
	struct stw part = {.n_tensors = to - from};
	char path[256];

	memcpy(part.tensors, writer.tensors + from, part.n_tensors * sizeof *part.tensors);
	stw_folder_name(&folder, name, path, sizeof path);
	stw_write(&part, path);
}

/* An index that puts tensor i into a.safetensors below `half`, else into b.safetensors; without
 * tensor `without`. */
static void write_index(size_t half, size_t without)
{
	static char text[STW_MAX_TENSORS * (STW_NAME_SIZE + 32)];
	size_t at = (size_t)sprintf(text, "{\"metadata\":{},\"weight_map\":{"), n = 0;

	for (size_t i = 0; i < writer.n_tensors; i++)
		if (i != without)
			at += (size_t)sprintf(text + at, "%s\"%s\":\"%s.safetensors\"",
					      n++ ? "," : "", writer.tensors[i].name,
					      i < half ? "a" : "b");
	sprintf(text + at, "}}");
	write_text("model.safetensors.index.json", text);
}

static void refused(const char *word1, const char *word2)
{
	struct pb_model *model = NULL;

	err = (struct pb_error){0};
	cr_assert_eq(pb_model_open(&model, folder.path, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, word1), "no '%s' in: %s", word1, err.message);
	cr_assert_not_null(strstr(err.message, word2), "no '%s' in: %s", word2, err.message);
}

Test(checkpoint, shards)
{
	size_t n = writer.n_tensors, half = n / 2;
	struct pb_model *model = NULL;

	write_shard("a.safetensors", 0, half);
	write_shard("b.safetensors", half, n);
	write_index(half, SIZE_MAX);
	cr_assert_eq(pb_model_open(&model, folder.path, &err), PB_OK, "%s", err.message);
	for (size_t i = 0; i < STW_WIDTH; i++)
		cr_assert_eq(pb_weight_at(&model->embed, 3, i),
			     stw_value("wte.weight", 3 * STW_WIDTH + i));
	cr_assert_eq(pb_vector_at(&model->final_norm_bias, 5), stw_value("ln_f.bias", 5));
	cr_assert_eq(pb_model_check_finite(model, &err), PB_OK, "%s", err.message);
	cr_assert_eq(pb_model_hash(model, &err), PB_OK, "%s", err.message);
	pb_weight_release(model, &model->embed);
	cr_assert_eq(pb_weight_at(&model->embed, 3, 0), stw_value("wte.weight", 3 * STW_WIDTH));
	pb_model_close(model);
}

Test(checkpoint, shards_and_index_differ)
{
	size_t n = writer.n_tensors, half = n / 2;

	write_shard("a.safetensors", 0, half);
	write_index(half, SIZE_MAX);
	refused("missing shard", "b.safetensors");
	write_shard("b.safetensors", half + 1, n);
	refused("missing tensor", writer.tensors[half].name);
	write_shard("b.safetensors", half, n);
	write_index(half, 0);
	refused("not in the index", writer.tensors[0].name);
	write_shard("b.safetensors", 0, n);
	write_index(half, SIZE_MAX);
	refused("tensor in two files", "b.safetensors");
	write_index(0, SIZE_MAX); /* all of them in b, a is not opened */
	write_shard("b.safetensors", 1, n);
	refused("missing tensor", writer.tensors[0].name);
}

Test(checkpoint, broken_indexes)
{
	static const char *const texts[][2] = {
	    {"", "not valid JSON"},
	    {"[]", "weight_map"},
	    {"{\"weight_map\":{}}", "weight_map"},
	    {"{\"weight_map\":[1]}", "weight_map"},
	    {"{\"weight_map\":{\"x\":1}}", "plain file name"},
	    {"{\"weight_map\":{\"x\":\"../a.safetensors\"}}", "plain file name"},
	    {"{\"weight_map\":{\"x\":\"/etc/passwd\"}}", "plain file name"},
	    {"{\"weight_map\":{\"x\":\"..\"}}", "plain file name"},
	    {"{\"weight_map\":{\"x\":\"\"}}", "plain file name"},
	    {"{\"weight_map\":{\"x\":\"a\\u001b[2J\"}}", "plain file name"},
	    {"{\"weight_map\":{\"x\":\"a\",\"x\":\"b\"}}", "duplicate"},
	    {"{\"weight_map\":{\"x\":\"none.safetensors\"}}", "missing shard"},
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_text("model.safetensors.index.json", texts[i][0]);
		refused(texts[i][1], folder.path);
	}
}
