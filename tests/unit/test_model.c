#include <criterion/criterion.h>
#include <math.h>

#include "patchbay/model.h"
#include "support/safetensors_writer.h"

/* ---- dtypes ----------------------------------------------------------------------------- */

/* Half precision by its definition, with ldexp. */
static double half_by_definition(uint16_t h)
{
	int exponent = (h >> 10) & 31, mantissa = h & 1023;
	double magnitude;

	if (exponent == 31)
		magnitude = mantissa != 0 ? NAN : INFINITY;
	else if (exponent == 0)
		magnitude = ldexp(mantissa, -24);
	else
		magnitude = ldexp(1024 + mantissa, exponent - 25);
	return h & 0x8000 ? -magnitude : magnitude;
}

static double bf16_by_definition(uint16_t h)
{
	int exponent = (h >> 7) & 255, mantissa = h & 127;
	double magnitude;

	if (exponent == 255)
		magnitude = mantissa != 0 ? NAN : INFINITY;
	else if (exponent == 0)
		magnitude = ldexp(mantissa, -133);
	else
		magnitude = ldexp(128 + mantissa, exponent - 134);
	return h & 0x8000 ? -magnitude : magnitude;
}

/* Equal as numbers, zeros by sign, NaN with NaN. */
static bool same(float found, double expected)
{
	if (isnan(expected))
		return isnan(found);
	return (double)found == expected && !signbit(found) == !signbit(expected);
}

Test(model_dtype, every_16_bit_value_widens_exactly)
{
	static unsigned char bytes[2 * 65536 + 1];
	static float wide[65536];
	unsigned char *odd = bytes + 1; /* not aligned, as in a file */
	uint32_t i;

	for (i = 0; i < 65536; i++) {
		uint16_t h = (uint16_t)i;

		memcpy(odd + 2 * (size_t)i, &h, 2);
	}
	pb_dtype_widen(odd, PB_F16, 0, 65536, wide);
	for (i = 0; i < 65536; i++) {
		cr_assert(same(wide[i], half_by_definition((uint16_t)i)), "F16 %#x: %g", i,
			  (double)wide[i]);
		cr_assert(same(pb_dtype_load(odd, PB_F16, i), half_by_definition((uint16_t)i)));
	}
	pb_dtype_widen(odd, PB_BF16, 0, 65536, wide);
	for (i = 0; i < 65536; i++) {
		cr_assert(same(wide[i], bf16_by_definition((uint16_t)i)), "BF16 %#x: %g", i,
			  (double)wide[i]);
		cr_assert(same(pb_dtype_load(odd, PB_BF16, i), bf16_by_definition((uint16_t)i)));
	}
}

Test(model_dtype, f32_and_lengths)
{
	static const enum pb_dtype dtypes[] = {PB_F32, PB_F16, PB_BF16};
	unsigned char bytes[4 * 200 + 1];
	float wide[201];
	size_t n, i, d;

	for (i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 37 % 61); /* small exponents: no NaN */
	for (d = 0; d < 3; d++) {
		for (n = 0; n <= 200; n++) {
			wide[n] = -77.0f;
			pb_dtype_widen(bytes + 1, dtypes[d], 0, n, wide);
			cr_assert_eq(wide[n], -77.0f, "wrote too much");
			for (i = 0; i < n; i++)
				cr_assert_eq(wide[i], pb_dtype_load(bytes + 1, dtypes[d], i));
		}
	}
	cr_assert_eq(pb_dtype_bytes(PB_F32, 3), 12);
	cr_assert_eq(pb_dtype_bytes(PB_F16, 3), 6);
	cr_assert_eq(pb_dtype_bytes(PB_BF16, 3), 6);
	cr_assert_str_eq(pb_dtype_name(PB_F32), "F32");
	cr_assert_str_eq(pb_dtype_name(PB_F16), "F16");
	cr_assert_str_eq(pb_dtype_name(PB_BF16), "BF16");
}

/* ---- helpers ---------------------------------------------------------------------------- */

static struct stw writer;
static struct stw_folder folder;
static struct pb_error err;

static void setup(void)
{
	stw_folder_make(&folder);
}

static void teardown(void)
{
	stw_free(&writer);
	stw_folder_remove(&folder);
}

TestSuite(model, .init = setup, .fini = teardown);

static struct pb_model *open_model(const char *config, const char *more)
{
	struct pb_model *model = NULL;

	err = (struct pb_error){0};
	stw_folder_config(&folder, config, more);
	stw_folder_weights(&folder, &writer);
	cr_assert_eq(pb_model_open(&model, folder.path, &err), PB_OK, "%s", err.message);
	cr_assert_not_null(model);
	return model;
}

/* Opening is refused as an input error whose message has both words. */
static void assert_refused(const char *word1, const char *word2)
{
	struct pb_model *model = (struct pb_model *)&err;

	err = (struct pb_error){0};
	cr_assert_eq(pb_model_open(&model, folder.path, &err), PB_ERR_INPUT);
	cr_assert_null(model);
	cr_assert_not_null(strstr(err.message, word1), "no '%s' in: %s", word1, err.message);
	cr_assert_not_null(strstr(err.message, word2), "no '%s' in: %s", word2, err.message);
}

static void refuse_model(const char *config, const char *more, const char *word1, const char *word2)
{
	stw_folder_config(&folder, config, more);
	stw_folder_weights(&folder, &writer);
	assert_refused(word1, word2);
}

static void open_and_close(const char *config, const char *more)
{
	pb_model_close(open_model(config, more));
}

/* The value that the writer put at an element of a tensor. */
static float value2(const char *name, size_t row, size_t column, size_t n_columns)
{
	return stw_value(name, row * n_columns + column);
}

/* A view equals a plain matrix of the file: transposed when stored [out, in]. */
static void assert_matrix(const struct pb_weight *w, const char *name, size_t n_in, size_t n_out,
			  bool stored_out_in)
{
	size_t i, o;

	cr_assert_eq(w->n_in, n_in, "%s", name);
	cr_assert_eq(pb_weight_n_out(w), n_out, "%s", name);
	for (i = 0; i < n_in; i++)
		for (o = 0; o < n_out; o++)
			cr_assert_eq(pb_weight_at(w, i, o),
				     stored_out_in ? value2(name, o, i, n_in)
						   : value2(name, i, o, n_out),
				     "%s [%zu, %zu]", name, i, o);
}

static void assert_vector(const struct pb_vector *v, const char *name, size_t n)
{
	size_t i;

	cr_assert_not_null(v->data, "%s", name);
	cr_assert_eq(v->n_groups * v->group_size, n, "%s", name);
	for (i = 0; i < n; i++)
		cr_assert_eq(pb_vector_at(v, i), stw_value(name, i), "%s [%zu]", name, i);
}

/* The reading functions agree with pb_weight_at in every row, column and sub-range. */
static void assert_reads(const struct pb_weight *w)
{
	size_t n_out = pb_weight_n_out(w), ld = n_out + 3, i0, n, i, o;
	float *rows = malloc(w->n_in * ld * sizeof *rows),
	      *column = malloc(w->n_in * sizeof *column);

	cr_assert(rows != NULL && column != NULL);
	for (i0 = 0; i0 <= w->n_in; i0++) {
		n = w->n_in - i0;
		for (i = 0; i < w->n_in * ld; i++)
			rows[i] = 99.0f;
		pb_weight_rows(w, i0, n, rows, ld);
		for (i = 0; i < n; i++)
			for (o = 0; o < ld; o++)
				cr_assert_eq(rows[i * ld + o],
					     o < n_out ? pb_weight_at(w, i0 + i, o) : 99.0f);
	}
	for (o = 0; o < n_out; o++) {
		pb_weight_column(w, o, column);
		for (i = 0; i < w->n_in; i++)
			cr_assert_eq(column[i], pb_weight_at(w, i, o));
	}
	free(rows);
	free(column);
}

static void assert_reads_vector(const struct pb_vector *v)
{
	float out[64];
	size_t i;

	pb_vector_read(v, out);
	for (i = 0; i < v->n_groups * v->group_size; i++)
		cr_assert_eq(out[i], pb_vector_at(v, i));
}

static void assert_layer_reads(const struct pb_layer *l)
{
	assert_reads(&l->q);
	assert_reads(&l->k);
	assert_reads(&l->v);
	assert_reads(&l->o);
	assert_reads(&l->mlp_in);
	assert_reads(&l->mlp_out);
	if (l->q_bias.data != NULL) {
		assert_reads_vector(&l->q_bias);
		assert_reads_vector(&l->k_bias);
		assert_reads_vector(&l->v_bias);
	}
	assert_reads_vector(&l->norm1_weight);
}

static const char *const dtypes[] = {"F32", "F16", "BF16"};

#define D STW_WIDTH
#define F STW_MLP
#define K STW_HEAD
#define H STW_HEADS
#define V STW_VOCAB

/* Matrices of several tiles, stored either way or with gaps, at an odd address. */
#define N_IN ((size_t)150)
#define N_GROUPS ((size_t)2)
#define SIZE ((size_t)37)

Test(model_dtype, views_of_any_strides)
{
	static const ptrdiff_t strides[3][3] = {
	    {N_GROUPS * SIZE, SIZE, 1},
	    {1, SIZE * N_IN, N_IN},
	    {2 * N_GROUPS * SIZE, 2 * SIZE, 2},
	};
	static unsigned char bytes[8 * N_IN * N_GROUPS * SIZE + 1];
	size_t i, s;

	for (i = 0; i < 2 * N_IN * N_GROUPS * SIZE; i++) {
		float value = (float)i;

		memcpy(bytes + 1 + 4 * i, &value, 4);
	}
	for (s = 0; s < 3; s++) {
		const struct pb_weight w = {
		    .data = bytes + 1,
		    .dtype = PB_F32,
		    .n_in = N_IN,
		    .n_groups = N_GROUPS,
		    .group_size = SIZE,
		    .stride_in = strides[s][0],
		    .stride_group = strides[s][1],
		    .stride_out = strides[s][2],
		};

		cr_assert_eq(pb_weight_at(&w, 3, SIZE + 2),
			     (float)(3 * strides[s][0] + strides[s][1] + 2 * strides[s][2]));
		assert_reads(&w);
	}
}

/* ---- GPT-2 ------------------------------------------------------------------------------ */

static void assert_gpt2_layer(const struct pb_model *model, const char *prefix, size_t layer)
{
	const struct pb_layer *l = &model->layers[layer];
	const struct pb_weight *qkv[3] = {&l->q, &l->k, &l->v};
	const struct pb_vector *biases[3] = {&l->q_bias, &l->k_bias, &l->v_bias};
	char name[STW_NAME_SIZE];
	size_t part, i, o;

#define NAME(suffix) (snprintf(name, sizeof name, "%sh.%zu.%s", prefix, layer, suffix), name)
	assert_vector(&l->norm1_weight, NAME("ln_1.weight"), D);
	assert_vector(&l->norm1_bias, NAME("ln_1.bias"), D);
	assert_vector(&l->norm2_weight, NAME("ln_2.weight"), D);
	assert_vector(&l->norm2_bias, NAME("ln_2.bias"), D);
	for (part = 0; part < 3; part++) {
		cr_assert_eq(qkv[part]->n_groups, H);
		cr_assert_eq(qkv[part]->group_size, K);
		for (i = 0; i < D; i++)
			for (o = 0; o < D; o++)
				cr_assert_eq(
				    pb_weight_at(qkv[part], i, o),
				    value2(NAME("attn.c_attn.weight"), i, part * D + o, 3 * D));
		for (o = 0; o < D; o++)
			cr_assert_eq(pb_vector_at(biases[part], o),
				     stw_value(NAME("attn.c_attn.bias"), part * D + o));
	}
	assert_matrix(&l->o, NAME("attn.c_proj.weight"), D, D, false);
	assert_vector(&l->o_bias, NAME("attn.c_proj.bias"), D);
	assert_matrix(&l->mlp_in, NAME("mlp.c_fc.weight"), D, F, false);
	assert_vector(&l->mlp_in_bias, NAME("mlp.c_fc.bias"), F);
	assert_matrix(&l->mlp_out, NAME("mlp.c_proj.weight"), F, D, false);
	assert_vector(&l->mlp_out_bias, NAME("mlp.c_proj.bias"), D);
	assert_layer_reads(l);
}

Test(model, gpt2_views_with_and_without_prefix_in_all_dtypes)
{
	static const char *const prefixes[] = {"", "transformer."};
	char name[STW_NAME_SIZE];
	size_t p, d, layer;

	for (p = 0; p < 2; p++) {
		for (d = 0; d < 3; d++) {
			struct pb_model *model;

			stw_free(&writer);
			stw_gpt2(&writer, prefixes[p], dtypes[d]);
			model = open_model(STW_GPT2_CONFIG, "");
			cr_assert_str_eq(pb_dtype_name(model->dtype), dtypes[d]);
			for (layer = 0; layer < STW_LAYERS; layer++)
				assert_gpt2_layer(model, prefixes[p], layer);
			snprintf(name, sizeof name, "%swte.weight", prefixes[p]);
			assert_matrix(&model->embed, name, V, D, false);
			assert_matrix(&model->unembed, name, D, V, true);
			snprintf(name, sizeof name, "%swpe.weight", prefixes[p]);
			assert_matrix(&model->pos_embed, name, STW_CONTEXT, D, false);
			snprintf(name, sizeof name, "%sln_f.bias", prefixes[p]);
			assert_vector(&model->final_norm_bias, name, D);
			assert_reads(&model->unembed);
			assert_reads(&model->embed);
			cr_assert_null(model->unembed_bias.data);
			cr_assert_eq(model->n_parameters,
				     V * D + STW_CONTEXT * D + 2 * D +
					 STW_LAYERS * (4 * D * D + 2 * D * F + 9 * D + F));
			pb_model_close(model);
		}
	}
}

Test(model, gpt2_description_and_defaults)
{
	struct pb_model *model;

	stw_gpt2(&writer, "", "F32");
	model = open_model(STW_GPT2_CONFIG, "");
	cr_assert_str_eq(model->arch.family, "gpt2");
	cr_assert_eq(model->arch.n_layers, 2);
	cr_assert_eq(model->arch.n_heads, H);
	cr_assert_eq(model->arch.n_kv_heads, H);
	cr_assert_eq(model->arch.d_model, D);
	cr_assert_eq(model->arch.d_head, K);
	cr_assert_eq(model->arch.d_mlp, F);
	cr_assert_eq(model->arch.n_vocab, V);
	cr_assert_eq(model->arch.n_context, STW_CONTEXT);
	cr_assert_eq(model->arch.norm, PB_NORM_LAYER);
	cr_assert_eq(model->arch.norm_eps, 1e-5f);
	cr_assert_eq(model->arch.activation, PB_ACT_GELU_TANH);
	cr_assert(!model->arch.parallel);
	cr_assert(model->arch.learned_positions);
	cr_assert_eq(model->arch.rotary_dims, 0);
	cr_assert_eq(model->layers[0].score_scale, 0.5f);
	cr_assert_eq(model->layers[1].score_scale, 0.5f);
	cr_assert_eq(model->layers[1].window, 0);
	pb_model_close(model);
}

Test(model, gpt2_score_scales)
{
	struct pb_model *model;

	stw_gpt2(&writer, "", "F32");
	model = open_model(STW_GPT2_CONFIG, ",\"scale_attn_weights\":false");
	cr_assert_eq(model->layers[0].score_scale, 1.0f);
	cr_assert_eq(model->layers[1].score_scale, 1.0f);
	pb_model_close(model);
	model = open_model(STW_GPT2_CONFIG, ",\"scale_attn_by_inverse_layer_idx\":true");
	cr_assert_eq(model->layers[0].score_scale, 0.5f);
	cr_assert_eq(model->layers[1].score_scale, 0.25f);
	pb_model_close(model);
	model = open_model(STW_GPT2_CONFIG, ",\"scale_attn_weights\":false,"
					    "\"scale_attn_by_inverse_layer_idx\":true,"
					    "\"reorder_and_upcast_attn\":true");
	cr_assert_eq(model->layers[0].score_scale, 1.0f);
	cr_assert_eq(model->layers[1].score_scale, 0.5f);
	pb_model_close(model);
}

Test(model, gpt2_buffers_are_skipped_by_exact_suffix)
{
	static const size_t mask[4] = {1, 1, 9, 9};
	struct pb_model *model;
	size_t n_parameters;
	char text[4096];
	FILE *f;

	stw_gpt2(&writer, "", "F32");
	model = open_model(STW_GPT2_CONFIG, "");
	n_parameters = model->n_parameters;
	pb_model_close(model);
	stw_add(&writer, "h.0.attn.bias", "BOOL", 4, mask);
	stw_add(&writer, "h.1.attn.bias", "U8", 4, mask);
	stw_add(&writer, "h.0.attn.masked_bias", "F16", 0, NULL);
	stw_add(&writer, "h.1.attn.masked_bias", "F32", 0, NULL);
	model = open_model(STW_GPT2_CONFIG, "");
	cr_assert_eq(model->n_parameters, n_parameters);
	assert_gpt2_layer(model, "", 0); /* c_attn.bias is no buffer */
	f = fmemopen(text, sizeof text, "w");
	cr_assert_not_null(f);
	pb_model_describe(model, f);
	fclose(f);
	cr_assert_not_null(strstr(text, "4 tensors, a buffer without weights: h.0.attn.bias, ..."),
			   "%s", text);
	pb_model_close(model);
	stw_add(&writer, "h.1.attn.c_bias", "F32", 1, mask);
	refuse_model(STW_GPT2_CONFIG, "", "unexpected tensor", "h.1.attn.c_bias");
}

Test(model, gpt2_output_matrix)
{
	struct pb_model *model;
	size_t n_parameters, wrong[2] = {V + 1, D}, shape[2] = {V, D}, i;

	stw_gpt2(&writer, "transformer.", "F32");
	refuse_model(STW_GPT2_CONFIG, ",\"tie_word_embeddings\":false", "missing tensor",
		     "lm_head.weight");
	stw_add(&writer, "lm_head.weight", "F32", 2, shape);
	/* Its own values: used when not tied, refused when the config ties them. */
	model = open_model(STW_GPT2_CONFIG, ",\"tie_word_embeddings\":false");
	assert_matrix(&model->unembed, "lm_head.weight", D, V, true);
	assert_matrix(&model->embed, "transformer.wte.weight", V, D, false);
	n_parameters = model->n_parameters;
	pb_model_close(model);
	refuse_model(STW_GPT2_CONFIG, "", "tied matrices differ", "tie_word_embeddings");
	/* A copy of the embedding, in its dtype or another: tied. */
	for (i = 0; i < V * D; i++)
		stw_store(stw_find(&writer, "lm_head.weight"), i,
			  stw_value("transformer.wte.weight", i));
	model = open_model(STW_GPT2_CONFIG, "");
	cr_assert_eq(model->unembed.data, model->embed.data);
	cr_assert_eq(model->n_parameters, n_parameters - V * D);
	pb_model_close(model);
	snprintf(stw_find(&writer, "lm_head.weight")->dtype, 16, "BF16");
	stw_reshape(stw_find(&writer, "lm_head.weight"), 2, shape);
	for (i = 0; i < V * D; i++)
		stw_store(stw_find(&writer, "lm_head.weight"), i,
			  stw_value("transformer.wte.weight", i));
	open_and_close(STW_GPT2_CONFIG, "");
	/* The right shape in any case. */
	stw_reshape(stw_find(&writer, "lm_head.weight"), 2, wrong);
	refuse_model(STW_GPT2_CONFIG, "", "lm_head.weight", "found [12, 12]");
	/* Of two tied matrices the file may have dropped the embedding. */
	stw_reshape(stw_find(&writer, "lm_head.weight"), 2, shape);
	stw_remove(&writer, "transformer.wte.weight");
	model = open_model(STW_GPT2_CONFIG, "");
	assert_matrix(&model->embed, "lm_head.weight", V, D, false);
	assert_matrix(&model->unembed, "lm_head.weight", D, V, true);
	cr_assert_eq(model->n_parameters, n_parameters - V * D);
	pb_model_close(model);
	refuse_model(STW_GPT2_CONFIG, ",\"tie_word_embeddings\":false", "missing tensor",
		     "transformer.wte.weight");
}

Test(model, vocabulary_is_the_weights_rows)
{
	static const char config[] = "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":3,"
				     "\"n_embd\":12,\"n_inner\":20,\"n_positions\":9";
	struct pb_model *model;

	stw_gpt2(&writer, "", "F32");
	model = open_model(config, "");
	cr_assert_eq(model->arch.n_vocab, V);
	cr_assert_eq(pb_weight_n_out(&model->unembed), V);
	pb_model_close(model);
	refuse_model(config, ",\"vocab_size\":12", "wte.weight", "means [12, 12]");
}

Test(model, inner_width_null_is_four_times_the_width)
{
	static const char config[] = "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":3,"
				     "\"n_embd\":12,\"n_positions\":9,\"n_inner\":null";
	const size_t in[2] = {D, 4 * D}, out[2] = {4 * D, D}, bias = 4 * D;
	struct pb_model *model;
	char name[64];
	size_t i;

	stw_gpt2(&writer, "", "F32");
	refuse_model(config, "", "h.0.mlp.c_fc.weight", "means [12, 48]");
	for (i = 0; i < STW_LAYERS; i++) {
		snprintf(name, sizeof name, "h.%zu.mlp.c_fc.weight", i);
		stw_reshape(stw_find(&writer, name), 2, in);
		snprintf(name, sizeof name, "h.%zu.mlp.c_proj.weight", i);
		stw_reshape(stw_find(&writer, name), 2, out);
		snprintf(name, sizeof name, "h.%zu.mlp.c_fc.bias", i);
		stw_reshape(stw_find(&writer, name), 1, &bias);
	}
	model = open_model(config, "");
	cr_assert_eq(model->arch.d_mlp, 48);
	pb_model_close(model);
}

Test(model, mixed_dtypes_and_odd_addresses)
{
	struct pb_model *model;
	size_t padding;

	for (padding = 0; padding < 8; padding++) {
		stw_free(&writer);
		stw_gpt2(&writer, "", "F32");
		writer.header_padding = padding;
		snprintf(stw_find(&writer, "h.0.attn.c_attn.weight")->dtype, 16, "F16");
		stw_reshape(stw_find(&writer, "h.0.attn.c_attn.weight"), 2,
			    (const size_t[]){D, 3 * D});
		snprintf(stw_find(&writer, "h.1.ln_2.bias")->dtype, 16, "BF16");
		stw_reshape(stw_find(&writer, "h.1.ln_2.bias"), 1, (const size_t[]){D});
		model = open_model(STW_GPT2_CONFIG, "");
		cr_assert_eq(model->dtype, PB_F32);
		cr_assert_eq(model->layers[0].k.dtype, PB_F16);
		assert_gpt2_layer(model, "", 0);
		assert_gpt2_layer(model, "", 1);
		cr_assert_eq(pb_model_check_finite(model, &err), PB_OK, "%s", err.message);
		pb_model_close(model);
	}
}

/* ---- GPT-Neo ---------------------------------------------------------------------------- */

static void assert_gpt_neo_layer(const struct pb_model *model, const char *prefix, size_t layer)
{
	const struct pb_layer *l = &model->layers[layer];
	char name[STW_NAME_SIZE];

	assert_vector(&l->norm1_bias, NAME("ln_1.bias"), D);
	assert_matrix(&l->q, NAME("attn.attention.q_proj.weight"), D, D, true);
	assert_matrix(&l->k, NAME("attn.attention.k_proj.weight"), D, D, true);
	assert_matrix(&l->v, NAME("attn.attention.v_proj.weight"), D, D, true);
	cr_assert_eq(l->q.n_groups, H);
	cr_assert_null(l->q_bias.data);
	cr_assert_null(l->k_bias.data);
	cr_assert_null(l->v_bias.data);
	assert_matrix(&l->o, NAME("attn.attention.out_proj.weight"), D, D, true);
	assert_vector(&l->o_bias, NAME("attn.attention.out_proj.bias"), D);
	assert_vector(&l->norm2_weight, NAME("ln_2.weight"), D);
	assert_matrix(&l->mlp_in, NAME("mlp.c_fc.weight"), D, F, true);
	assert_vector(&l->mlp_in_bias, NAME("mlp.c_fc.bias"), F);
	assert_matrix(&l->mlp_out, NAME("mlp.c_proj.weight"), F, D, true);
	assert_vector(&l->mlp_out_bias, NAME("mlp.c_proj.bias"), D);
	cr_assert_eq(l->score_scale, 1.0f, "scores are not divided");
	assert_layer_reads(l);
}

Test(model, gpt_neo_views)
{
	static const char *const prefixes[] = {"", "transformer."};
	static const size_t mask[4] = {1, 1, 9, 9};
	char name[STW_NAME_SIZE];
	struct pb_model *model;
	size_t p, d, layer;

	for (p = 0; p < 2; p++) {
		for (d = 0; d < 3; d++) {
			stw_free(&writer);
			stw_gpt_neo(&writer, prefixes[p], dtypes[d]);
			snprintf(name, sizeof name, "%sh.0.attn.attention.bias", prefixes[p]);
			stw_add(&writer, name, "BOOL", 4, mask);
			snprintf(name, sizeof name, "%sh.1.attn.attention.masked_bias",
				 prefixes[p]);
			stw_add(&writer, name, "F16", 0, NULL);
			model = open_model(STW_GPT_NEO_CONFIG, STW_GPT_NEO_TYPES);
			cr_assert_str_eq(model->arch.family, "gpt_neo");
			for (layer = 0; layer < STW_LAYERS; layer++)
				assert_gpt_neo_layer(model, prefixes[p], layer);
			snprintf(name, sizeof name, "%swte.weight", prefixes[p]);
			assert_matrix(&model->unembed, name, D, V, true);
			cr_assert_eq(model->layers[0].window, 0);
			cr_assert_eq(model->layers[1].window, 256);
			pb_model_close(model);
		}
	}
}

static void assert_windows(const char *more, size_t window0, size_t window1)
{
	struct pb_model *model = open_model(STW_GPT_NEO_CONFIG, more);

	cr_assert_eq(model->layers[0].window, window0, "%s", more);
	cr_assert_eq(model->layers[1].window, window1, "%s", more);
	pb_model_close(model);
}

Test(model, gpt_neo_attention_types)
{
	stw_gpt_neo(&writer, "", "F32");
	assert_windows(",\"attention_types\":[[[\"global\"],2]],\"window_size\":5", 0, 0);
	assert_windows(",\"attention_types\":[[[\"local\"],2]],\"window_size\":5", 5, 5);
	assert_windows(",\"attention_types\":[[[\"local\"],1],[[\"global\"],1]]", 256, 0);
	assert_windows(",\"attention_layers\":[\"local\",\"global\"],\"window_size\":3", 3, 0);
	assert_windows(STW_GPT_NEO_TYPES ",\"attention_layers\":[\"global\",\"local\"]", 0, 256);
	refuse_model(STW_GPT_NEO_CONFIG,
		     STW_GPT_NEO_TYPES ",\"attention_layers\":[\"global\",\"global\"]", "differ",
		     "attention_layers, layer 1");
	refuse_model(STW_GPT_NEO_CONFIG, "", "attention_types", "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_types\":[[[\"global\"],3]]",
		     "attention_types", "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_types\":[[[\"global\"],1]]",
		     "attention_types", "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_types\":[[[\"sparse\"],2]]",
		     "attention_types", "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_types\":[[[],9223372036854775807]]",
		     "attention_types", "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_types\":[[[\"local\"],9223372036854775807]]",
		     "attention_types", "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_types\":7", "attention_types", "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_layers\":[\"global\"]", "attention_layers",
		     "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, ",\"attention_layers\":[\"global\",3]", "attention_layers",
		     "2 layers");
	refuse_model(STW_GPT_NEO_CONFIG, STW_GPT_NEO_TYPES ",\"window_size\":0", "window_size",
		     "whole number");
}

/* ---- GPT-NeoX --------------------------------------------------------------------------- */

static void assert_gpt_neox_layer(const struct pb_model *model, const char *prefix, size_t layer,
				  bool attention_bias)
{
	const struct pb_layer *l = &model->layers[layer];
	const struct pb_weight *qkv[3] = {&l->q, &l->k, &l->v};
	const struct pb_vector *biases[3] = {&l->q_bias, &l->k_bias, &l->v_bias};
	char name[STW_NAME_SIZE];
	size_t part, i, h, j;

#undef NAME
#define NAME(suffix) (snprintf(name, sizeof name, "%slayers.%zu.%s", prefix, layer, suffix), name)
	assert_vector(&l->norm1_weight, NAME("input_layernorm.weight"), D);
	assert_vector(&l->norm2_bias, NAME("post_attention_layernorm.bias"), D);
	for (part = 0; part < 3; part++) {
		for (h = 0; h < H; h++) {
			for (j = 0; j < K; j++) {
				size_t row = h * 3 * K + part * K + j;

				for (i = 0; i < D; i++)
					cr_assert_eq(
					    pb_weight_at(qkv[part], i, h * K + j),
					    value2(NAME("attention.query_key_value.weight"), row, i,
						   D));
				if (attention_bias)
					cr_assert_eq(
					    pb_vector_at(biases[part], h * K + j),
					    stw_value(NAME("attention.query_key_value.bias"), row));
			}
		}
		cr_assert_eq(biases[part]->data != NULL, attention_bias);
	}
	assert_matrix(&l->o, NAME("attention.dense.weight"), D, D, true);
	if (attention_bias)
		assert_vector(&l->o_bias, NAME("attention.dense.bias"), D);
	else
		cr_assert_null(l->o_bias.data);
	assert_matrix(&l->mlp_in, NAME("mlp.dense_h_to_4h.weight"), D, F, true);
	assert_vector(&l->mlp_in_bias, NAME("mlp.dense_h_to_4h.bias"), F);
	assert_matrix(&l->mlp_out, NAME("mlp.dense_4h_to_h.weight"), F, D, true);
	assert_vector(&l->mlp_out_bias, NAME("mlp.dense_4h_to_h.bias"), D);
	cr_assert_eq(l->score_scale, 0.5f);
	cr_assert_eq(l->window, 0);
	assert_layer_reads(l);
}

#define HALF_ROTARY ",\"rotary_pct\":0.5"

Test(model, gpt_neox_views)
{
	static const char *const outputs[] = {"embed_out.weight", "lm_head.weight"};
	static const size_t mask[4] = {1, 1, 9, 9}, frequencies = 1;
	struct pb_model *model;
	size_t d, layer;

	for (d = 0; d < 3; d++) {
		const char *output = outputs[d % 2];

		stw_free(&writer);
		stw_gpt_neox(&writer, "gpt_neox.", dtypes[d], true, output);
		stw_add(&writer, "gpt_neox.layers.0.attention.bias", "U8", 4, mask);
		stw_add(&writer, "gpt_neox.layers.0.attention.masked_bias", "F16", 0, NULL);
		stw_add(&writer, "gpt_neox.layers.1.attention.rotary_emb.inv_freq", "F32", 1,
			&frequencies);
		model = open_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY);
		for (layer = 0; layer < STW_LAYERS; layer++)
			assert_gpt_neox_layer(model, "gpt_neox.", layer, true);
		assert_matrix(&model->embed, "gpt_neox.embed_in.weight", V, D, false);
		assert_matrix(&model->unembed, output, D, V, true);
		assert_vector(&model->final_norm_weight, "gpt_neox.final_layer_norm.weight", D);
		cr_assert_null(model->pos_embed.data);
		cr_assert(!model->arch.learned_positions);
		cr_assert(model->arch.parallel);
		cr_assert_eq(model->arch.activation, PB_ACT_GELU_ERF);
		cr_assert_eq(model->arch.rotary_dims, 2);
		cr_assert_eq(model->ropes[0].base, 10000.0);
		pb_model_close(model);
	}
}

Test(model, gpt_neox_options)
{
	struct pb_model *model;

	stw_gpt_neox(&writer, "gpt_neox.", "F32", false, NULL);
	refuse_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY, "missing tensor",
		     "attention.query_key_value.bias");
	refuse_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY ",\"attention_bias\":false", "missing tensor",
		     "embed_out.weight");
	model = open_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY
			   ",\"attention_bias\":false,\"tie_word_embeddings\":true,"
			   "\"use_parallel_residual\":false,\"hidden_act\":\"gelu_new\"");
	assert_gpt_neox_layer(model, "gpt_neox.", 1, false);
	assert_matrix(&model->unembed, "gpt_neox.embed_in.weight", D, V, true);
	cr_assert(!model->arch.parallel);
	cr_assert_eq(model->arch.activation, PB_ACT_GELU_TANH);
	pb_model_close(model);
	/* The bare model, tied. */
	stw_free(&writer);
	stw_gpt_neox(&writer, "", "F32", true, NULL);
	model = open_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY ",\"tie_word_embeddings\":true");
	assert_gpt_neox_layer(model, "", 0, true);
	pb_model_close(model);
	/* Biases that the config does not have are not ignored. */
	refuse_model(STW_GPT_NEOX_CONFIG,
		     HALF_ROTARY ",\"tie_word_embeddings\":true,\"attention_bias\":false",
		     "unexpected tensor", "bias");
}

static void assert_rotary(const char *more, size_t dims, double base)
{
	struct pb_model *model = open_model(STW_GPT_NEOX_CONFIG, more);

	cr_assert_eq(model->arch.rotary_dims, dims, "%s: %zu", more, model->arch.rotary_dims);
	cr_assert_eq(model->ropes[0].base, base, "%s", more);
	pb_model_close(model);
}

Test(model, gpt_neox_rotary)
{
	stw_gpt_neox(&writer, "gpt_neox.", "F32", true, "embed_out.weight");
	assert_rotary(",\"rotary_pct\":1.0", 4, 10000.0);
	assert_rotary(",\"rotary_pct\":1,\"rotary_emb_base\":500", 4, 500.0);
	assert_rotary(",\"rotary_pct\":0", 0, 10000.0);
	/* Nested parameters go before the old keys. */
	assert_rotary(",\"rope_parameters\":{\"rope_theta\":7.5,\"rope_type\":\"default\","
		      "\"partial_rotary_factor\":0.5},\"rotary_pct\":1.0",
		      2, 7.5);
	assert_rotary(",\"rope_parameters\":{\"rope_theta\":7.5},\"rotary_pct\":0.5", 2, 7.5);
	assert_rotary(",\"rope_scaling\":null,\"rope_parameters\":null,\"rotary_pct\":0.5", 2,
		      10000.0);
	assert_rotary(",\"rope_scaling\":{\"type\":\"default\"},\"rotary_pct\":0.5", 2, 10000.0);
	/* A quarter of a head of 4 is one dimension: no pair. */
	refuse_model(STW_GPT_NEOX_CONFIG, "", "rotary_pct", "even");
	refuse_model(STW_GPT_NEOX_CONFIG,
		     HALF_ROTARY ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}", "factor",
		     "above 0");
	refuse_model(STW_GPT_NEOX_CONFIG,
		     HALF_ROTARY ",\"rope_scaling\":{\"type\":\"proportional\"}", "rope_type",
		     "proportional");
	refuse_model(STW_GPT_NEOX_CONFIG,
		     HALF_ROTARY ",\"rope_parameters\":{\"rope_type\":\"yarn\"}", "factor",
		     "above 0");
	refuse_model(STW_GPT_NEOX_CONFIG,
		     HALF_ROTARY ",\"rope_parameters\":{\"rope_type\":\"longrope\"}",
		     "short_factor", "pair");
	refuse_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY ",\"rope_parameters\":{\"rope_theta\":\"x\"}",
		     "rope_theta", "number");
	refuse_model(STW_GPT_NEOX_CONFIG, ",\"rotary_pct\":1.5", "rotary_pct", "0 to 1");
	refuse_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY ",\"rotary_emb_base\":0", "rotary_emb_base",
		     "above 0");
	refuse_model(STW_GPT_NEOX_CONFIG, HALF_ROTARY ",\"head_dim\":8", "head_dim", "8");
}

/* ---- config.json ------------------------------------------------------------------------ */

Test(model, config_keys)
{
	static const struct {
		const char *name;
		enum pb_activation activation;
	} names[] = {
	    {"gelu_new", PB_ACT_GELU_TANH},  {"gelu_pytorch_tanh", PB_ACT_GELU_TANH},
	    {"gelu_fast", PB_ACT_GELU_TANH}, {"gelu", PB_ACT_GELU_ERF},
	    {"relu", PB_ACT_RELU},           {"silu", PB_ACT_SILU},
	    {"swish", PB_ACT_SILU},
	};
	struct pb_model *model;
	char more[128];
	size_t i;

	stw_gpt2(&writer, "", "F32");
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(more, sizeof more,
			 ",\"activation_function\":\"%s\",\"layer_norm_epsilon\":0.25",
			 names[i].name);
		model = open_model(STW_GPT2_CONFIG, more);
		cr_assert_eq(model->arch.activation, names[i].activation);
		cr_assert_eq(model->arch.norm_eps, 0.25f);
		pb_model_close(model);
	}
	open_and_close(STW_GPT2_CONFIG, ",\"hidden_size\":12,\"resid_pdrop\":0.5,\"n_ctx\":9");
	refuse_model(STW_GPT2_CONFIG, ",\"hidden_size\":24", "n_embd", "hidden_size");
	refuse_model(STW_GPT2_CONFIG, ",\"activation_function\":\"quick_gelu\"",
		     "activation_function", "quick_gelu");
	refuse_model(STW_GPT2_CONFIG, ",\"activation_function\":3", "activation_function",
		     "string");
	refuse_model(STW_GPT2_CONFIG, ",\"layer_norm_epsilon\":-1", "layer_norm_epsilon", "0 to 1");
	refuse_model(STW_GPT2_CONFIG, ",\"layer_norm_epsilon\":\"a\"", "layer_norm_epsilon",
		     "number");
	refuse_model(STW_GPT2_CONFIG, ",\"tie_word_embeddings\":1", "tie_word_embeddings",
		     "true or false");
	refuse_model(STW_GPT2_CONFIG, ",\"add_cross_attention\":true", "add_cross_attention",
		     "not supported");
	refuse_model(STW_GPT2_CONFIG, ",\"quantization_config\":{\"bits\":4}",
		     "quantization_config", "not supported");
	refuse_model(STW_GPT2_CONFIG, ",\"n_layer\":2", "duplicate", "n_layer");
}

Test(model, config_sizes)
{
	static const char base[] = "{\"model_type\":\"gpt2\",\"n_inner\":20,\"n_positions\":9";

	stw_gpt2(&writer, "", "F32");
	open_and_close(base, ",\"n_layer\":2,\"n_head\":3,\"n_embd\":12");
	refuse_model(base, ",\"n_layer\":2,\"n_head\":5,\"n_embd\":12", "not divisible",
		     "n_head = 5");
	refuse_model(base, ",\"n_layer\":0,\"n_head\":3,\"n_embd\":12", "n_layer", "whole number");
	refuse_model(base, ",\"n_layer\":-2,\"n_head\":3,\"n_embd\":12", "n_layer", "whole number");
	refuse_model(base, ",\"n_layer\":2.0,\"n_head\":3,\"n_embd\":12", "n_layer",
		     "whole number");
	refuse_model(base, ",\"n_layer\":4294967298,\"n_head\":3,\"n_embd\":12", "n_layer",
		     "whole number");
	/* Layers beyond the file are refused before anything is allocated for them. */
	refuse_model(base, ",\"n_layer\":2147483647,\"n_head\":3,\"n_embd\":12", "missing tensors",
		     "2147483647 layers");
	refuse_model(base, ",\"n_layer\":3,\"n_head\":3,\"n_embd\":12", "missing tensor",
		     "h.2.ln_1.weight");
	refuse_model(base, ",\"n_layer\":1,\"n_head\":3,\"n_embd\":12", "unexpected tensor",
		     "(and 11 more)");
	refuse_model(base, ",\"n_layer\":2,\"n_head\":2147483647,\"n_embd\":2147483647",
		     "wrong shape", "wte.weight");
}

Test(model, families)
{
	stw_gpt2(&writer, "", "F32");
	refuse_model("{\"model_type\":\"mamba\"", "", "unknown model family: ", "mamba");
	cr_assert_not_null(strstr(err.message, "gpt2, gpt_neo, gpt_neox"));
	refuse_model("{\"n_layer\":2", "", "unknown model family: ", "absent");
	refuse_model("{\"model_type\":5", "", "model_type", "string");
	stw_folder_write(&folder, "config.json", "[1]", 3);
	assert_refused("config.json", "object");
	stw_folder_write(&folder, "config.json", "{\"a\":\n7", 7);
	assert_refused("config.json", "line 2");
	stw_folder_write(&folder, "config.json", "", 0);
	assert_refused("config.json", "not valid JSON");
}

/* ---- the folder ------------------------------------------------------------------------- */

Test(model, folder_contents)
{
	char path[128];

	assert_refused("no config.json", "nothing");
	stw_folder_write(&folder, "notes.txt", "x", 1);
	assert_refused("no config.json", "notes.txt");
	stw_folder_config(&folder, STW_GPT2_CONFIG, "");
	assert_refused("no model.safetensors", "notes.txt");
	stw_folder_write(&folder, "pytorch_model.bin", "x", 1);
	assert_refused("pytorch_model.bin", "save it again");
	stw_folder_name(&folder, "model.safetensors", path, sizeof path);
	stw_write_file(path, "", 0);
	assert_refused("damaged safetensors file", "shorter");
	err = (struct pb_error){0};
	cr_assert_eq(pb_model_open(&(struct pb_model *){0}, "/no/such/folder", &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "no such model folder"));
}

/* ---- the safetensors header ------------------------------------------------------------- */

/* A file of 4 bytes of data with this header is refused with this word. */
static void refuse_header(const char *header, const char *word)
{
	const size_t one = 1;
	unsigned char *bytes;
	size_t size;
	char path[128];

	stw_free(&writer);
	stw_add(&writer, "a", "F32", 1, &one);
	bytes = stw_bytes(&writer, header, &size);
	stw_folder_config(&folder, STW_GPT2_CONFIG, "");
	stw_folder_name(&folder, "model.safetensors", path, sizeof path);
	stw_write_file(path, bytes, size);
	free(bytes);
	assert_refused("model.safetensors", word);
}

#define ENTRY(dtype, shape, offsets)                                                               \
	"{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

Test(model, lying_headers)
{
	/* Right as far as it goes: the model's tensors are missing. */
	refuse_header(ENTRY("\"F32\"", "[1]", "[0,4]"), "missing tensors");
	refuse_header("", "not a JSON object");
	refuse_header("[]", "not a JSON object");
	refuse_header(" {}", "not a JSON object");
	refuse_header("{", "column");
	refuse_header("{} x", "column");
	refuse_header("{}", "data after the last tensor");
	refuse_header("{\"a\":3}", "no dtype");
	refuse_header("{\"__metadata__\":{\"x\":1}}", "__metadata__");
	refuse_header(ENTRY("\"F33\"", "[1]", "[0,4]"), "F33");
	refuse_header(ENTRY("7", "[1]", "[0,4]"), "no dtype");
	refuse_header(ENTRY("\"F32\"", "1", "[0,4]"), "no shape");
	refuse_header(ENTRY("\"F32\"", "[-1]", "[0,4]"), "whole number");
	refuse_header(ENTRY("\"F32\"", "[1.0]", "[0,4]"), "whole number");
	refuse_header(ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "8 dimensions");
	refuse_header(ENTRY("\"F32\"", "[2]", "[0,4]"), "do not fit");
	refuse_header(ENTRY("\"F16\"", "[1]", "[0,4]"), "do not fit");
	refuse_header(ENTRY("\"F32\"", "[1]", "[0,8]"), "outside the file");
	refuse_header(ENTRY("\"F32\"", "[1]", "[4,0]"), "outside the file");
	refuse_header(ENTRY("\"F32\"", "[1]", "[-4,0]"), "data_offsets");
	refuse_header(ENTRY("\"F32\"", "[1]", "[0]"), "data_offsets");
	refuse_header(ENTRY("\"F32\"", "[1]", "\"x\""), "data_offsets");
	/* Products that wrap around to the right size. */
	refuse_header(ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,0]"), "too many elements");
	refuse_header(ENTRY("\"F32\"", "[4611686018427387905]", "[0,4]"), "do not fit");
	refuse_header(ENTRY("\"F32\"", "[9223372036854775807,2]", "[0,4]"), "do not fit");
	refuse_header(ENTRY("\"F32\"", "[9223372036854775808]", "[0,4]"), "column");
	refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
		      "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
		      "duplicate");
	refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
		      "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
		      "overlap");
	refuse_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
		      "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
		      "gap");
	refuse_header(ENTRY("\"U8\"", "[3]", "[0,3]"), "after the last tensor");
	refuse_header("{\"a\\u001b[2J\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
		      "control characters");
}

Test(model, wrong_tensors)
{
	stw_gpt2(&writer, "", "F32");
	stw_reshape(stw_find(&writer, "h.1.attn.c_attn.weight"), 2, (const size_t[]){3 * D, D});
	refuse_model(STW_GPT2_CONFIG, "", "h.1.attn.c_attn.weight",
		     "found [36, 12], config.json means [12, 36]");
	stw_reshape(stw_find(&writer, "h.1.attn.c_attn.weight"), 1, (const size_t[]){36 * D});
	refuse_model(STW_GPT2_CONFIG, "", "found [432]", "means [12, 36]");
	stw_reshape(stw_find(&writer, "h.1.attn.c_attn.weight"), 2, (const size_t[]){D, 3 * D});
	stw_reshape(stw_find(&writer, "ln_f.bias"), 0, NULL);
	refuse_model(STW_GPT2_CONFIG, "", "ln_f.bias", "found []");
	stw_remove(&writer, "ln_f.bias");
	refuse_model(STW_GPT2_CONFIG, "", "missing tensor", "ln_f.bias");
	stw_add(&writer, "ln_f.bias", "F64", 1, (const size_t[]){D});
	refuse_model(STW_GPT2_CONFIG, "", "ln_f.bias", "F64");
	/* A second model beside the first. */
	stw_remove(&writer, "ln_f.bias");
	stw_add(&writer, "ln_f.bias", "F32", 1, (const size_t[]){D});
	stw_add(&writer, "transformer.ln_f.bias", "F32", 1, (const size_t[]){D});
	refuse_model(STW_GPT2_CONFIG, "", "missing tensor", "transformer.wte.weight");
}

/* ---- NaN, hash, release ----------------------------------------------------------------- */

Test(model, not_finite_weights_are_found_wherever_they_are)
{
	static const char *const names[] = {"wte.weight", "h.1.mlp.c_fc.weight", "ln_f.bias"};
	static const uint32_t bad32[] = {0x7f800000, 0xff800000, 0x7f800001, 0xffc00000};
	static const uint16_t bad16[] = {0x7c00, 0xfc00, 0x7c01, 0xfe00};
	static const uint16_t badb16[] = {0x7f80, 0xff80, 0x7f81, 0xffc0};
	struct pb_model *model;
	size_t d, n, b;

	for (d = 0; d < 3; d++) {
		for (n = 0; n < 3; n++) {
			for (b = 0; b < 4; b++) {
				struct stw_tensor *t;
				size_t last, size = d == 0 ? 4 : 2;
				const void *bits = d == 0   ? (const void *)&bad32[b]
						   : d == 1 ? (const void *)&bad16[b]
							    : (const void *)&badb16[b];

				stw_free(&writer);
				stw_gpt2(&writer, "", dtypes[d]);
				t = stw_find(&writer, names[n]);
				last = t->n_bytes / size - 1;
				memcpy(t->data + size * last, bits, size);
				model = open_model(STW_GPT2_CONFIG, "");
				cr_assert_eq(pb_model_check_finite(model, &err), PB_ERR_INPUT);
				cr_assert_not_null(strstr(err.message, names[n]), "%s",
						   err.message);
				cr_assert_not_null(strstr(err.message, b < 2 ? "infinity" : "NaN"),
						   "%s", err.message);
				pb_model_close(model);
			}
		}
	}
	cr_assert_not_null(strstr(err.message, "element [11]"), "%s", err.message);
}

/* The largest finite numbers are no infinity, and a buffer may hold one. */
Test(model, finite_weights_pass)
{
	static const uint32_t big32 = 0xff7fffff;
	static const uint16_t big16 = 0x7bff, bigb16 = 0x7f7f, infinite = 0xfc00;
	struct pb_model *model;
	struct stw_tensor *t;
	size_t d;

	for (d = 0; d < 3; d++) {
		stw_free(&writer);
		stw_gpt2(&writer, "", dtypes[d]);
		t = stw_find(&writer, "wte.weight");
		if (d == 0)
			memcpy(t->data, &big32, 4);
		else
			memcpy(t->data, d == 1 ? &big16 : &bigb16, 2);
		t = stw_add(&writer, "h.0.attn.masked_bias", "F16", 0, NULL);
		memcpy(t->data, &infinite, 2);
		model = open_model(STW_GPT2_CONFIG, "");
		cr_assert_eq(pb_model_check_finite(model, &err), PB_OK, "%s", err.message);
		pb_model_close(model);
	}
}

/* One bad element in a tensor of many blocks, at every kind of place within them. */
Test(model, not_finite_element_in_a_large_tensor)
{
	static const char config[] = "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":3,"
				     "\"n_embd\":12,\"n_inner\":20,\"n_positions\":9";
	const size_t rows = 50001,
		     places[] = {0, 1023, 1024, 262143, 262144, 599999, 12 * 50001 - 1};
	const size_t shape[2] = {rows, D};
	const float nan_value = NAN;
	struct pb_model *model;
	struct stw_tensor *t;
	char element[64];
	size_t i;

	stw_gpt2(&writer, "", "F32");
	t = stw_find(&writer, "wte.weight");
	stw_reshape(t, 2, shape);
	for (i = 0; i < sizeof places / sizeof places[0]; i++) {
		memcpy(t->data + 4 * places[i], &nan_value, 4);
		/* Another one after it: the first is named. */
		memcpy(t->data + 4 * (rows * D - 1), &nan_value, 4);
		model = open_model(config, "");
		cr_assert_eq(pb_model_check_finite(model, &err), PB_ERR_INPUT);
		snprintf(element, sizeof element, "element [%zu, %zu]", places[i] / D,
			 places[i] % D);
		cr_assert_not_null(strstr(err.message, element), "%s: %s", element, err.message);
		pb_model_close(model);
		memset(t->data + 4 * places[i], 0, 4);
		memset(t->data + 4 * (rows * D - 1), 0, 4);
	}
}

Test(model, hash_is_that_of_both_files)
{
	char whole[PB_SHA256_HEX], path[128], *config, *weights, *both;
	size_t n_config, n_weights;
	struct pb_model *model;

	stw_gpt2(&writer, "", "F32");
	model = open_model(STW_GPT2_CONFIG, "");
	cr_assert_str_eq(model->sha256, "");
	cr_assert_eq(pb_model_hash(model, &err), PB_OK);
	stw_folder_name(&folder, "config.json", path, sizeof path);
	cr_assert_eq(pb_read_file(&config, &n_config, path, 1 << 20, &err), PB_OK);
	stw_folder_name(&folder, "model.safetensors", path, sizeof path);
	cr_assert_eq(pb_read_file(&weights, &n_weights, path, 1 << 20, &err), PB_OK);
	both = malloc(n_config + n_weights);
	cr_assert_not_null(both);
	memcpy(both, config, n_config);
	memcpy(both + n_config, weights, n_weights);
	cr_assert_eq(pb_sha256_of(both, n_config + n_weights, whole, &err), PB_OK);
	cr_assert_str_eq(model->sha256, whole);
	cr_assert_eq(pb_model_hash(model, &err), PB_OK, "again");
	cr_assert_str_eq(model->sha256, whole);
	free(config);
	free(weights);
	free(both);
	pb_model_close(model);
}

Test(model, release_changes_nothing)
{
	static const char config[] = "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":3,"
				     "\"n_embd\":12,\"n_inner\":20,\"n_positions\":9";
	const size_t shape[2] = {3000, D};
	struct pb_model *model;
	size_t i;

	stw_gpt2(&writer, "", "F32");
	stw_reshape(stw_find(&writer, "wte.weight"), 2, shape);
	model = open_model(config, "");
	for (i = 0; i < STW_LAYERS; i++) {
		pb_weight_release(model, &model->layers[i].q);
		pb_weight_release(model, &model->layers[i].v);
	}
	pb_weight_release(model, &model->embed);
	pb_weight_release(model, &model->unembed);
	pb_weight_release(model, &(struct pb_weight){0});
	assert_gpt2_layer(model, "", 0);
	assert_matrix(&model->embed, "wte.weight", 3000, D, false);
	assert_matrix(&model->unembed, "wte.weight", D, 3000, true);
	pb_model_close(model);
	pb_model_close(NULL);
}

/* ---- the description -------------------------------------------------------------------- */

static const char *described(const char *config, const char *more)
{
	static char text[4096];
	struct pb_model *model = open_model(config, more);
	FILE *f = fmemopen(text, sizeof text, "w");

	cr_assert_not_null(f);
	pb_model_describe(model, f);
	cr_assert_eq(fclose(f), 0);
	pb_model_close(model);
	return text;
}

static void assert_line(const char *text, const char *line)
{
	cr_assert_not_null(strstr(text, line), "no '%s' in:\n%s", line, text);
}

Test(model, description)
{
	const char *text;

	stw_gpt2(&writer, "", "F16");
	text = described(STW_GPT2_CONFIG, ",\"scale_attn_by_inverse_layer_idx\":true");
	assert_line(text, "\nfamily        gpt2\n");
	assert_line(text, "\nheads         3 of width 4\n");
	assert_line(text, "\nscore scale   0.5 in layer 0 to 0.25 in layer 1\n");
	assert_line(text, "\nattention     global\n");
	assert_line(text, "\npositions     learned\n");
	assert_line(text, "\nunembedding   tied to the embedding\n");
	assert_line(text, "\ndtype         F16\n");
	assert_line(text, "\nskipped       no tensor\n");
	stw_free(&writer);
	stw_gpt_neo(&writer, "", "F32");
	text = described(STW_GPT_NEO_CONFIG, STW_GPT_NEO_TYPES);
	assert_line(text, "\nattention     local in layers 1 (window 256), else global\n");
	assert_line(text, "\nbiases        q, k, v no; attention output yes\n");
	stw_free(&writer);
	stw_gpt_neox(&writer, "gpt_neox.", "F32", true, "embed_out.weight");
	text = described(STW_GPT_NEOX_CONFIG, HALF_ROTARY);
	assert_line(text, "\nblock         parallel");
	assert_line(text,
		    "\npositions     rotary on the first 2 of 4 head dimensions, base 10000\n");
	assert_line(text, "\nunembedding   its own matrix\n");
}
