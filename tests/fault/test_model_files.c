/* Model files cut short, damaged or lying: always an input error with a message or a valid model,
 * never a crash. Run under the sanitizers as well. */
#include <criterion/criterion.h>

#include "patchbay/model.h"
#include "support/safetensors_writer.h"

static struct stw writer;
static struct stw_folder folder;
static unsigned char *bytes; /* of a valid model.safetensors */
static size_t n_bytes, n_header;
static char weights_path[128];

static void setup(void)
{
	char *header;

	stw_folder_make(&folder);
	stw_folder_name(&folder, "model.safetensors", weights_path, sizeof weights_path);
	stw_folder_config(&folder, STW_GPT_NEOX_CONFIG, ",\"rotary_pct\":0.5");
	stw_gpt_neox(&writer, "gpt_neox.", "F16", true, "embed_out.weight");
	header = stw_header(&writer);
	n_header = 8 + strlen(header);
	bytes = stw_bytes(&writer, header, &n_bytes);
	free(header);
}

static void teardown(void)
{
	free(bytes);
	stw_free(&writer);
	stw_folder_remove(&folder);
}

TestSuite(model_files, .init = setup, .fini = teardown);

/* Touch everything that a model points at, and what else reads it. */
static void use_model(struct pb_model *model)
{
	struct pb_error err = {0};
	float *row = malloc(pb_weight_n_out(&model->unembed) * sizeof *row);
	const struct pb_weight *all[6];
	FILE *sink = fopen("/dev/null", "w");
	size_t l, w;

	cr_assert(row != NULL && sink != NULL);
	pb_weight_rows(&model->unembed, model->arch.d_model - 1, 1, row,
		       pb_weight_n_out(&model->unembed));
	free(row);
	for (l = 0; l < model->arch.n_layers; l++) {
		const struct pb_layer *layer = &model->layers[l];

		all[0] = &layer->q;
		all[1] = &layer->k;
		all[2] = &layer->v;
		all[3] = &layer->o;
		all[4] = &layer->mlp_in;
		all[5] = &layer->mlp_out;
		for (w = 0; w < 6; w++)
			(void)pb_weight_at(all[w], all[w]->n_in - 1, pb_weight_n_out(all[w]) - 1);
	}
	(void)pb_model_check_finite(model, &err);
	pb_model_describe(model, sink);
	fclose(sink);
}

/* Opens the file of these bytes; true when it gave a model. */
static bool try_bytes(const unsigned char *data, size_t size, const char *what, size_t where)
{
	struct pb_model *model = NULL;
	struct pb_error err = {0};
	enum pb_status status;

	stw_write_file(weights_path, data, size);
	status = pb_model_open(&model, folder.path, &err);
	if (status == PB_OK) {
		use_model(model);
		pb_model_close(model);
		return true;
	}
	cr_assert_eq(status, PB_ERR_INPUT, "%s %zu: status %d: %s", what, where, (int)status,
		     err.message);
	cr_assert_null(model);
	cr_assert_not_null(strstr(err.message, "model.safetensors"), "%s %zu: %s", what, where,
			   err.message);
	return false;
}

Test(model_files, whole_file_is_a_model)
{
	cr_assert(try_bytes(bytes, n_bytes, "whole", 0));
}

Test(model_files, cut_at_every_byte_of_the_header)
{
	size_t size;

	for (size = 0; size <= n_header; size++)
		cr_assert(!try_bytes(bytes, size, "cut at", size));
}

Test(model_files, cut_in_the_data)
{
	size_t size, step = (n_bytes - n_header) / 97;

	for (size = n_header; size < n_bytes; size += step)
		cr_assert(!try_bytes(bytes, size, "cut at", size));
	cr_assert(!try_bytes(bytes, n_bytes - 1, "cut at", n_bytes - 1));
}

Test(model_files, bytes_after_the_end)
{
	unsigned char *longer = calloc(1, n_bytes + 1);

	cr_assert_not_null(longer);
	memcpy(longer, bytes, n_bytes);
	cr_assert(!try_bytes(longer, n_bytes + 1, "longer", 1));
	free(longer);
}

Test(model_files, flipped_bytes_of_the_header)
{
	struct pb_rng rng;
	size_t n_valid = 0, i, flips;

	pb_rng_seed(&rng, 0, 0, 2024, 0);
	for (i = 0; i < 4000; i++) {
		unsigned char *damaged = malloc(n_bytes);

		cr_assert_not_null(damaged);
		memcpy(damaged, bytes, n_bytes);
		/* One flip mostly, so that most of the header stays right; then a few. */
		for (flips = i % 4 == 3 ? 1 + pb_rng_below(&rng, 5) : 1; flips > 0; flips--)
			damaged[pb_rng_below(&rng, n_header)] ^=
			    (unsigned char)(1 + pb_rng_below(&rng, 255));
		n_valid += try_bytes(damaged, n_bytes, "flip", i);
		free(damaged);
	}
	/* Only flips in the values of __metadata__ leave a model. */
	cr_assert_lt(n_valid, 200, "%zu of 4000 damaged headers were accepted", n_valid);
}

/* Digits turned into other digits keep the JSON valid: sizes and offsets lie. */
Test(model_files, changed_numbers_of_the_header)
{
	struct pb_rng rng;
	size_t i, at;

	pb_rng_seed(&rng, 0, 0, 2025, 0);
	for (i = 0; i < 3000; i++) {
		unsigned char *damaged = malloc(n_bytes), old;

		cr_assert_not_null(damaged);
		memcpy(damaged, bytes, n_bytes);
		do {
			at = 8 + pb_rng_below(&rng, n_header - 8);
		} while (damaged[at] < '0' || damaged[at] > '9');
		old = damaged[at];
		do {
			damaged[at] = (unsigned char)('0' + pb_rng_below(&rng, 10));
		} while (damaged[at] == old);
		cr_assert(!try_bytes(damaged, n_bytes, "digit", at));
		free(damaged);
	}
}

Test(model_files, header_length_lies)
{
	const struct {
		uint64_t length;
		const char *word;
	} lies[] = {
	    {0, "JSON object"},
	    {1, "header, column"},
	    {n_header - 8 - 1, "header, column"},
	    {n_header - 8 + 1, "damaged"},
	    {n_bytes - 8, "header, column"},
	    {n_bytes - 7, "longer than the file"},
	    {n_bytes, "longer than the file"},
	    {n_bytes + 1, "longer than the file"},
	    {100000000, "longer than the file"},
	    {100000001, "100 MB"},
	    {UINT64_C(1) << 32, "100 MB"},
	    {UINT64_C(1) << 63, "100 MB"},
	    {UINT64_MAX - 8, "100 MB"},
	    {UINT64_MAX - 7, "100 MB"},
	    {UINT64_MAX, "100 MB"},
	};
	unsigned char *lying = malloc(n_bytes);
	struct pb_model *model;
	struct pb_error err;
	size_t i, b;

	cr_assert_not_null(lying);
	memcpy(lying, bytes, n_bytes);
	for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		for (b = 0; b < 8; b++)
			lying[b] = (unsigned char)(lies[i].length >> (8 * b));
		stw_write_file(weights_path, lying, n_bytes);
		err = (struct pb_error){0};
		cr_assert_eq(pb_model_open(&model, folder.path, &err), PB_ERR_INPUT);
		cr_assert_not_null(strstr(err.message, lies[i].word), "%zu: %s", i, err.message);
	}
	free(lying);
}

/* A file that is this header alone. */
static void refuse_text(const char *header, const char *what)
{
	struct stw empty = {0};
	size_t size;
	unsigned char *lying = stw_bytes(&empty, header, &size);

	cr_assert(!try_bytes(lying, size, what, strlen(header)));
	free(lying);
}

Test(model_files, huge_counts)
{
	const size_t depth = 200000, n_tensors = 100000;
	char *text = malloc(64 * n_tensors);
	size_t i, used;

	cr_assert_not_null(text);
	/* Depth. */
	used = (size_t)sprintf(text, "{\"a\":");
	memset(text + used, '[', depth);
	text[used + depth] = '\0';
	refuse_text(text, "depth");
	/* Dimensions. */
	used =
	    (size_t)sprintf(text, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0],\"shape\":[");
	for (i = 0; i < depth; i++)
		used += (size_t)sprintf(text + used, "%s0", i > 0 ? "," : "");
	sprintf(text + used, "]}}");
	refuse_text(text, "dimensions");
	/* Empty tensors, as many as one likes: a valid file without a model in it. */
	used = (size_t)sprintf(text, "{");
	for (i = 0; i < n_tensors; i++)
		used += (size_t)sprintf(text + used,
					"%s\"%zu\":{\"dtype\":\"U8\",\"shape\":[0],"
					"\"data_offsets\":[0,0]}",
					i > 0 ? "," : "", i);
	sprintf(text + used, "}");
	refuse_text(text, "tensors");
	/* A name and a dtype longer than any message. */
	used = (size_t)sprintf(text, "{\"");
	memset(text + used, 'n', 100000);
	sprintf(text + used + 100000, "\":{\"dtype\":\"");
	used = strlen(text);
	memset(text + used, 'd', 100000);
	sprintf(text + used + 100000, "\",\"shape\":[0],\"data_offsets\":[0,0]}}");
	refuse_text(text, "name");
	free(text);
}

/* A width that would need a table of gigabytes before any weight is looked at. */
Test(model_files, huge_head)
{
	static const char config[] =
	    "{\"model_type\":\"llama\",\"hidden_size\":4,\"intermediate_size\":4,"
	    "\"num_hidden_layers\":1,\"num_attention_heads\":1,\"head_dim\":2000000000}";
	struct pb_model *model = NULL;
	struct pb_error err = {0};

	stw_write_file(weights_path, bytes, n_bytes);
	stw_folder_write(&folder, "config.json", config, sizeof config - 1);
	cr_assert_eq(pb_model_open(&model, folder.path, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "head too wide"), "%s", err.message);
}

/* The config, damaged in the same ways beside a sound file of weights. */
Test(model_files, damaged_config)
{
	static const char config[] = STW_GPT_NEOX_CONFIG
	    ",\"rotary_pct\":0.5,\"rope_parameters\":{\"rope_type\":\"default\"},"
	    "\"hidden_act\":\"gelu\",\"layer_norm_eps\":1e-5,\"use_parallel_residual\":true}";
	struct pb_rng rng;
	size_t i, size;

	stw_write_file(weights_path, bytes, n_bytes);
	pb_rng_seed(&rng, 0, 0, 2026, 0);
	for (i = 0; i < 3000; i++) {
		struct pb_model *model = NULL;
		struct pb_error err = {0};
		enum pb_status status;
		char damaged[sizeof config];

		memcpy(damaged, config, sizeof config);
		size = sizeof config - 1;
		if (i < size)
			size = i;
		else
			damaged[pb_rng_below(&rng, size)] ^= (char)(1 + pb_rng_below(&rng, 255));
		stw_folder_write(&folder, "config.json", damaged, size);
		status = pb_model_open(&model, folder.path, &err);
		if (status == PB_OK)
			use_model(model);
		else
			cr_assert_eq(status, PB_ERR_INPUT, "%zu: %s", i, err.message);
		cr_assert_eq(status == PB_OK, model != NULL);
		pb_model_close(model);
	}
}
