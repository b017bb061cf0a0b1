/* Quantised blocks against the reference decoder, the parser of GGUF, and models in such files. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "support/gguf_writer.h"

static struct ggw writer;
static struct stw_folder folder;
static struct pb_error err;

/* ---- blocks ----------------------------------------------------------------------------- */

#define N_MAX 1024

/* One record of the golden. */
struct record {
	enum pb_dtype dtype;
	size_t n, n_bytes;
	unsigned char bytes[4 * N_MAX + 1]; /* from 1 on: an odd address */
	float values[N_MAX];
};

static bool next_record(FILE *f, struct record *r)
{
	char name[8];
	uint32_t counts[2];

	if (fread(name, 1, 8, f) != 8)
		return false;
	cr_assert_eq(fread(counts, 4, 2, f), 2);
	for (int d = 0; d < PB_N_DTYPES; d++)
		if (strncmp(name, pb_dtype_name((enum pb_dtype)d), 8) == 0)
			r->dtype = (enum pb_dtype)d;
	cr_assert_eq(strncmp(name, pb_dtype_name(r->dtype), 8), 0, "%.8s", name);
	r->n = counts[0];
	r->n_bytes = counts[1];
	cr_assert(r->n <= N_MAX && r->n_bytes < sizeof r->bytes);
	cr_assert_eq(fread(r->bytes + 1, 1, r->n_bytes, f), r->n_bytes);
	cr_assert_eq(fread(r->values, 4, r->n, f), r->n);
	return true;
}

static bool same_bits(const float *a, const float *b, size_t n)
{
	return memcmp(a, b, n * sizeof *a) == 0;
}

Test(blocks, decoded_as_the_reference_does)
{
	static struct record r;
	static float out[N_MAX];
	size_t n_types = 0;
	FILE *f = fopen("tests/golden/gguf_blocks.bin", "rb");

	cr_assert_not_null(f);
	for (; next_record(f, &r); n_types++) {
		const char *name = pb_dtype_name(r.dtype);

		cr_assert_eq(pb_dtype_bytes(r.dtype, r.n), r.n_bytes, "%s", name);
		pb_dtype_widen(r.bytes + 1, r.dtype, 0, r.n, out);
		cr_assert(same_bits(out, r.values, r.n), "%s", name);
		for (size_t i = 0; i < r.n; i++) {
			float value = pb_dtype_load(r.bytes + 1, r.dtype, i);

			cr_assert(same_bits(&value, &r.values[i], 1), "%s, %zu", name, i);
		}
		/* from anywhere, any number */
		for (size_t first = 0; first < 300; first += 7)
			for (size_t n = 0; n < 300; n += 13) {
				out[n] = 99.0f;
				pb_dtype_widen(r.bytes + 1, r.dtype, first, n, out);
				cr_assert(same_bits(out, r.values + first, n), "%s, %zu, %zu", name,
					  first, n);
				cr_assert_eq(out[n], 99.0f);
			}
	}
	cr_assert_eq(n_types, PB_N_DTYPES);
	fclose(f);
}

/* ---- the parser ------------------------------------------------------------------------- */

Test(gguf, values_of_all_types)
{
	static const unsigned char all_ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
	static const struct {
		uint32_t type;
		size_t size;
		bool is_int;
		int64_t expected;
	} wholes[] = {
	    {0, 1, true, 255}, {1, 1, true, -1},  {2, 2, true, 65535},
	    {3, 2, true, -1},  {5, 4, true, -1},  {4, 4, true, INT64_C(4294967295)},
	    {10, 8, false, 0}, {11, 8, true, -1}, {6, 4, false, 0},
	    {12, 8, false, 0},
	};
	static const double exact = 0.1;
	struct pb_gguf g;
	struct pb_gguf_strings at = {0};
	const char *text;
	char key[8];
	int64_t whole;
	double real;
	bool flag = false;
	size_t size, n = 0;

	ggw_begin(&writer);
	writer.version = 2;
	for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
		snprintf(key, sizeof key, "k%zu", i);
		ggw_key(&writer, key, wholes[i].type, all_ones, wholes[i].size);
	}
	ggw_key(&writer, "double", 12, &exact, 8);
	ggw_f32(&writer, "single", 0.5f);
	ggw_key(&writer, "yes", 7, "\1", 1);
	ggw_key(&writer, "neither", 7, "\2", 1);
	ggw_string(&writer, "text", "a word");
	ggw_key(&writer, "words", 9, "\10\0\0\0\3\0\0\0\0\0\0\0", 12);
	ggw_text(writer.keys, &writer.n_key_bytes, "one");
	ggw_text(writer.keys, &writer.n_key_bytes, "");
	ggw_text(writer.keys, &writer.n_key_bytes, "three");
	ggw_key(&writer, "numbers", 9, "\3\0\0\0\2\0\0\0\0\0\0\0\5\0\377\377", 16);
	ggw_end(&writer);
	cr_assert_eq(pb_gguf_open(&g, writer.file, writer.n_file, "f", &err), PB_OK, "%s",
		     err.message);
	cr_assert_eq(g.version, 2);
	for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
		snprintf(key, sizeof key, "k%zu", i);
		cr_assert_eq(pb_gguf_int(pb_gguf_find(&g, key), 0, &whole), wholes[i].is_int);
		if (wholes[i].is_int)
			cr_assert_eq(whole, wholes[i].expected, "%s", key);
	}
	cr_assert(pb_gguf_real(pb_gguf_find(&g, "double"), 0, &real) && real == 0.1);
	cr_assert(pb_gguf_real(pb_gguf_find(&g, "single"), 0, &real) && real == 0.5);
	cr_assert(pb_gguf_real(pb_gguf_find(&g, "k1"), 0, &real) && real == -1.0);
	cr_assert_not(pb_gguf_real(pb_gguf_find(&g, "text"), 0, &real));
	cr_assert_not(pb_gguf_real(pb_gguf_find(&g, "single"), 1, &real));
	cr_assert(pb_gguf_bool(pb_gguf_find(&g, "yes"), 0, &flag) && flag);
	cr_assert_not(pb_gguf_bool(pb_gguf_find(&g, "neither"), 0, &flag));
	cr_assert_not(pb_gguf_bool(pb_gguf_find(&g, "k0"), 0, &flag));
	cr_assert(pb_gguf_string_is(pb_gguf_find(&g, "text"), "a word"));
	cr_assert_not(pb_gguf_string_is(pb_gguf_find(&g, "text"), "a wor"));
	cr_assert_not(pb_gguf_string_is(pb_gguf_find(&g, "words"), "one"));
	cr_assert_not(pb_gguf_string_is(NULL, ""));
	cr_assert_null(pb_gguf_find(&g, "word"));
	while (pb_gguf_next_string(pb_gguf_find(&g, "words"), &at, &text, &size)) {
		cr_assert_eq(size, n == 0 ? 3 : n == 1 ? 0 : 5);
		n++;
	}
	cr_assert_eq(n, 3);
	cr_assert(pb_gguf_int(pb_gguf_find(&g, "numbers"), 1, &whole) && whole == -1);
	cr_assert_not(pb_gguf_int(pb_gguf_find(&g, "numbers"), 2, &whole));
	pb_gguf_close(&g);
}

/* ---- models ----------------------------------------------------------------------------- */

static void setup(void)
{
	stw_folder_make(&folder);
	ggw_begin(&writer);
}

static void teardown(void)
{
	stw_folder_remove(&folder);
}

TestSuite(gguf_model, .init = setup, .fini = teardown);

static void write_file(const char *name, char path[256])
{
	ggw_end(&writer);
	stw_folder_name(&folder, name, path, 256);
	stw_write_file(path, writer.file, writer.n_file);
}

static struct pb_model *opened(const char *path)
{
	struct pb_model *model = NULL;

	cr_assert_eq(pb_model_open(&model, path, &err), PB_OK, "%s", err.message);
	return model;
}

static void refused(const char *path, const char *word1, const char *word2)
{
	struct pb_model *model = NULL;

	err = (struct pb_error){0};
	cr_assert_eq(pb_model_open(&model, path, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, word1), "no '%s' in: %s", word1, err.message);
	cr_assert_not_null(strstr(err.message, word2), "no '%s' in: %s", word2, err.message);
}

/* Where row j of a head lies that was interleaved. */
static size_t row_of(size_t j)
{
	return j < GGW_HEAD / 2 ? 2 * j : 2 * (j - GGW_HEAD / 2) + 1;
}

/* The whole of w by every way of reading it. */
static void assert_matrix(const struct pb_weight *w, const unsigned char *data, bool interleaved)
{
	size_t n_out = pb_weight_n_out(w);
	float *row = malloc(w->n_in * sizeof *row), *rows = malloc(w->n_in * n_out * sizeof *rows);
	float *column = malloc(w->n_in * sizeof *column);

	cr_assert(row && rows && column);
	for (size_t i = 0; i < w->n_in; i += 24) {
		size_t n = w->n_in - i < 24 ? w->n_in - i : 24;

		pb_weight_rows(w, i, n, rows + i * n_out, n_out);
	}
	for (size_t o = 0; o < n_out; o++) {
		size_t g = o / w->group_size, j = o % w->group_size;
		size_t stored = interleaved ? g * w->group_size + row_of(j) : o;

		pb_dtype_widen(data, w->dtype, stored * w->n_in, w->n_in, row);
		pb_weight_column(w, o, column);
		cr_assert(same_bits(row, column, w->n_in));
		for (size_t i = 0; i < w->n_in; i++) {
			cr_assert(same_bits(&rows[i * n_out + o], &row[i], 1), "%zu, %zu", i, o);
			if ((o * w->n_in + i) % 29 == 0)
				cr_assert_eq(pb_weight_at(w, i, o), row[i]);
		}
	}
	free(row);
	free(rows);
	free(column);
}

Test(gguf_model, views_of_every_type)
{
	static const enum pb_dtype tried[] = {PB_F16,  PB_BF16, PB_Q4_0, PB_Q4_1, PB_Q5_0,
					      PB_Q5_1, PB_Q8_0, PB_Q4_K, PB_Q5_K, PB_Q6_K};
	char path[256];

	for (size_t t = 0; t < sizeof tried / sizeof *tried; t++) {
		struct pb_model *model;
		const struct pb_layer *l;

		ggw_begin(&writer);
		ggw_llama_keys(&writer);
		ggw_llama_tensors(&writer, tried[t]);
		write_file("model.gguf", path);
		model = opened(path);
		l = &model->layers[0];
		cr_assert_str_eq(model->arch.family, "llama");
		cr_assert_eq(model->arch.d_head, GGW_HEAD);
		cr_assert_eq(model->arch.n_kv_heads, 1);
		cr_assert_eq(l->q.dtype, tried[t]);
		assert_matrix(&l->q, l->q.data, true);
		assert_matrix(&l->k, l->k.data, true);
		assert_matrix(&l->v, l->v.data, false);
		assert_matrix(&l->mlp_out, l->mlp_out.data, false);
		assert_matrix(&model->unembed, model->embed.data, false);
		cr_assert_eq(pb_vector_at(&l->norm2_weight, 7),
			     stw_value("blk.0.ffn_norm.weight", 7));
		cr_assert_eq(pb_model_check_finite(model, &err), PB_OK, "%s", err.message);
		pb_weight_release(model, &l->q);
		assert_matrix(&l->q, l->q.data, true);
		pb_model_close(model);
	}
}

Test(gguf_model, in_a_folder)
{
	char path[256], hex[PB_SHA256_HEX];
	struct pb_model *model;

	ggw_llama_keys(&writer);
	ggw_llama_tensors(&writer, PB_Q4_K);
	write_file("a.gguf", path);
	cr_assert(pb_is_gguf(path));
	cr_assert_not(pb_is_gguf(folder.path));
	model = opened(folder.path);
	cr_assert_eq(pb_model_hash(model, &err), PB_OK);
	cr_assert_eq(pb_file_sha256(path, hex, &err), PB_OK);
	cr_assert_str_eq(model->sha256, hex);
	pb_model_close(model);
	write_file("b.gguf", path);
	refused(folder.path, "several GGUF files", "b.gguf");
	pb_model_close(opened(path));
}

/* Infinite scales make infinite weights, or NaN. */
Test(gguf_model, infinite_scale)
{
	char path[256];
	struct pb_model *model;
	unsigned char *data;

	ggw_llama_keys(&writer);
	ggw_llama_tensors(&writer, PB_F16);
	data = ggw_tensor(&writer, "output.weight", PB_Q6_K, GGW_VOCAB, GGW_WIDTH);
	data[4 * 210 + 209] = 0x7c; /* the last block's */
	data[4 * 210 + 208] = 0;
	write_file("a.gguf", path);
	model = opened(path);
	cr_assert_eq(pb_model_check_finite(model, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "lm_head.weight, element [4, 0]"), "%s",
			   err.message);
	pb_model_close(model);
}

/* What the file says in a way that would change results. */
Test(gguf_model, refused_keys)
{
	static const struct {
		const char *key;
		double value; /* a whole number is written as one */
		const char *word1, *word2;
	} cases[] = {
	    {"llama.expert_count", 8, "not supported", "experts"},
	    {"llama.attention.sliding_window", 4096, "not supported", "window"},
	    {"llama.attention.value_length", 64, "not supported", "value_length"},
	    {"llama.rope.dimension_count", 32, "not supported", "only part"},
	    {"llama.rope.scaling.factor", -2, "wrong value", "rope.scaling.factor"},
	    {"llama.rope.freq_base_swa", 5, "not supported", "freq_base_swa"},
	    {"llama.rope.freq_base", -1, "wrong value", "rope_theta"},
	    {"llama.attention.scale", 0.5, "not supported", "attention.scale"},
	    {"llama.logit_scale", 0.5, "not supported", "logit_scale"},
	    {"llama.attention.key_length", 0, "wrong value", "key_length"},
	    {"llama.attention.key_length", 31, "not supported", "even"},
	    {"split.count", 3, "in parts", "split.count"},
	    {"general.alignment", 24, "damaged", "power of two"},
	    {"general.alignment", 0, "damaged", "power of two"},
	};
	char path[256];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ggw_begin(&writer);
		ggw_llama_keys(&writer);
		if (cases[i].value == (double)(int)cases[i].value && cases[i].value >= 0)
			ggw_u32(&writer, cases[i].key, (uint32_t)cases[i].value);
		else
			ggw_f32(&writer, cases[i].key, (float)cases[i].value);
		ggw_llama_tensors(&writer, PB_Q4_0);
		write_file("model.gguf", path);
		refused(path, cases[i].word1, cases[i].word2);
	}
}

Test(gguf_model, refused_words)
{
	static const char *const cases[][4] = {
	    {"llama.rope.scaling.type", "longrope", "not supported", "scaling.type"},
	    {"general.type", "adapter", "not a whole model", "general.type"},
	    {"llama.attention.layer_norm_rms_epsilon2", "x", "", ""},
	};
	char path[256];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ggw_begin(&writer);
		ggw_llama_keys(&writer);
		ggw_string(&writer, cases[i][0], cases[i][1]);
		ggw_llama_tensors(&writer, PB_Q4_0);
		write_file("model.gguf", path);
		if (cases[i][2][0] != '\0')
			refused(path, cases[i][2], cases[i][3]);
		else
			pb_model_close(opened(path)); /* unknown: named by the description */
	}
	ggw_begin(&writer);
	ggw_string(&writer, "general.architecture", "mamba");
	write_file("model.gguf", path);
	refused(path, "unknown model family", "mamba");
	ggw_begin(&writer);
	write_file("model.gguf", path);
	refused(path, "general.architecture", "absent");
	ggw_begin(&writer);
	ggw_string(&writer, "general.architecture", "llama");
	write_file("model.gguf", path);
	refused(path, "llama.block_count", "to be there");
}

Test(gguf_model, tensors_and_metadata_differ)
{
	char path[256];

	ggw_llama_keys(&writer);
	ggw_llama_tensors(&writer, PB_Q4_0);
	ggw_tensor(&writer, "blk.0.ffn_gate_inp.weight", PB_F32, 2, GGW_WIDTH);
	write_file("model.gguf", path);
	refused(path, "unexpected tensor", "blk.0.ffn_gate_inp.weight");
	cr_assert_not_null(strstr(err.message, "convert the model again"), "%s", err.message);

	ggw_begin(&writer);
	ggw_llama_keys(&writer);
	ggw_llama_tensors(&writer, PB_Q4_0);
	ggw_tensor(&writer, "output.weight", PB_Q4_0, GGW_VOCAB + 1, GGW_WIDTH);
	write_file("model.gguf", path);
	refused(path, "wrong shape", "the metadata means [5, 256]");

	ggw_begin(&writer);
	ggw_llama_keys(&writer);
	ggw_llama_tensors(&writer, PB_Q4_0);
	ggw_tensor(&writer, "rope_freqs.weight", PB_F32, 0, 63);
	write_file("model.gguf", path);
	refused(path, "rope_freqs.weight", "64 rotating pairs");

	ggw_begin(&writer);
	ggw_llama_keys(&writer);
	ggw_llama_tensors(&writer, PB_Q4_0);
	ggw_tensor(&writer, "rope_freqs.weight", PB_F32, 0, 64); /* some below 0 */
	write_file("model.gguf", path);
	refused(path, "rope_freqs.weight", "above 0");
}

/* Keys of a config.json that only GGUF files have. */
Test(gguf_model, divisors_are_no_config_json)
{
	static struct stw weights;

	stw_folder_config(&folder,
			  "{\"model_type\":\"llama\",\"num_hidden_layers\":1,"
			  "\"rope_scaling\":{\"rope_type\":\"divisors\"}",
			  "");
	stw_add(&weights, "x", "F32", 1, (const size_t[]){1});
	stw_folder_weights(&folder, &weights);
	stw_free(&weights);
	refused(folder.path, "rotary embedding not supported", "divisors");
}
