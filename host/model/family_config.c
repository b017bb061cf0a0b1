/* How each family's config.json is read. Keys, aliases and defaults are those of the configuration
 * classes in `transformers`. */
#include "model/family_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the config readers share ------------------------------------------------------ */

static const struct {
	const char *name;
	enum pb_activation activation;
} activations[] = {
    {"gelu_new", PB_ACT_GELU_TANH},
    {"gelu_pytorch_tanh", PB_ACT_GELU_TANH},
    {"gelu_fast", PB_ACT_GELU_TANH},
    {"gelu_accurate", PB_ACT_GELU_TANH},
    {"gelu_python_tanh", PB_ACT_GELU_TANH},
    {"gelu", PB_ACT_GELU_ERF},
    {"gelu_python", PB_ACT_GELU_ERF},
    {"relu", PB_ACT_RELU},
    {"silu", PB_ACT_SILU},
    {"swish", PB_ACT_SILU},
};

enum pb_status pb_config_read_activation(const struct pb_config_json *json, const char *key,
					 const char *fallback, enum pb_activation *out,
					 struct pb_error *err)
{
	enum pb_status status;
	const char *name = fallback;
	size_t i;

	PB_TRY(pb_config_string(json, key, &name, err));
	for (i = 0; i < sizeof activations / sizeof activations[0]; i++) {
		if (strcmp(name, activations[i].name) == 0) {
			*out = activations[i].activation;
			return PB_OK;
		}
	}
	return pb_fail(err, PB_ERR_INPUT,
		       "activation not supported: %s, key %s: %s: known are gelu, gelu_new, "
		       "gelu_fast, gelu_pytorch_tanh, relu, silu, swish",
		       json->path, key, name);
cleanup:
	return status;
}

enum pb_status pb_config_read_eps(const struct pb_config_json *json, const char *key,
				  double fallback, float *out, struct pb_error *err)
{
	enum pb_status status;
	double eps = fallback;

	PB_TRY(pb_config_real(json, key, &eps, err));
	if (!(eps >= 0.0 && eps <= 1.0))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong value: %s, key %s: expected a number from 0 to 1", json->path,
			       key);
	*out = (float)eps;
cleanup:
	return status;
}

enum pb_status pb_config_split_heads(const struct pb_config_json *json, const char *width_key,
				     const char *heads_key, struct pb_arch *arch,
				     struct pb_error *err)
{
	if (arch->d_model % arch->n_heads != 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "width not divisible by heads: %s, keys %s = %zu and %s = %zu: "
			       "correct one of them",
			       json->path, width_key, arch->d_model, heads_key, arch->n_heads);
	arch->d_head = arch->d_model / arch->n_heads;
	arch->n_kv_heads = arch->n_heads;
	return PB_OK;
}

enum pb_status pb_config_read_vocab(const struct pb_config_json *json,
				    struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status =
	    pb_config_size(json, "vocab_size", NULL, &config->arch.n_vocab, err);

	config->vocab_given = config->arch.n_vocab > 0;
	return status;
}

float pb_usual_score_scale(const struct pb_arch *arch)
{
	return (float)(1.0 / sqrt((double)arch->d_head));
}

enum pb_status pb_family_config_refuse(const struct pb_config_json *json, struct pb_error *err)
{
	static const char *const flags[] = {"add_cross_attention", "is_encoder_decoder"};
	static const char *const objects[] = {"quantization_config", "pruned_heads"};
	enum pb_status status = PB_OK;
	const char *key = NULL;
	size_t i;

	for (i = 0; i < 2; i++) {
		bool set = false;

		PB_TRY(pb_config_bool(json, flags[i], &set, err));
		if (set)
			key = flags[i];
	}
	for (i = 0; i < 2; i++) {
		const json_t *value;

		PB_TRY(pb_config_get(json, objects[i], NULL, &value, err));
		if (value != NULL && (!json_is_object(value) || json_object_size(value) > 0))
			key = objects[i];
	}
	if (key != NULL)
		status = pb_fail(err, PB_ERR_INPUT,
				 "model not supported: %s, key %s: Patchbay runs plain decoders "
				 "with unquantised weights",
				 json->path, key);
cleanup:
	return status;
}

/* ---- GPT-2 ------------------------------------------------------------------------------ */

enum pb_status pb_gpt2_read_config(const struct pb_config_json *json,
				   struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	struct pb_arch *arch = &config->arch;

	*arch = (struct pb_arch){
	    .n_layers = 12,
	    .n_heads = 12,
	    .d_model = 768,
	    .n_context = 1024,
	    .norm = PB_NORM_LAYER,
	    .learned_positions = true,
	};
	config->tied = true;
	PB_TRY(pb_config_size(json, "n_layer", "num_hidden_layers", &arch->n_layers, err));
	PB_TRY(pb_config_size(json, "n_head", "num_attention_heads", &arch->n_heads, err));
	PB_TRY(pb_config_size(json, "n_embd", "hidden_size", &arch->d_model, err));
	PB_TRY(
	    pb_config_size(json, "n_positions", "max_position_embeddings", &arch->n_context, err));
	arch->d_mlp = 4 * arch->d_model;
	PB_TRY(pb_config_size(json, "n_inner", NULL, &arch->d_mlp, err));
	PB_TRY(pb_config_read_vocab(json, config, err));
	PB_TRY(pb_config_split_heads(json, "n_embd", "n_head", arch, err));
	PB_TRY(pb_config_read_eps(json, "layer_norm_epsilon", 1e-5, &arch->norm_eps, err));
	PB_TRY(pb_config_read_activation(json, "activation_function", "gelu_new", &arch->activation,
					 err));
	PB_TRY(pb_config_bool(json, "tie_word_embeddings", &config->tied, err));
cleanup:
	return status;
}

enum pb_status pb_gpt2_read_layers(const struct pb_config_json *json,
				   const struct pb_family_config *config, struct pb_layer *layers,
				   struct pb_error *err)
{
	enum pb_status status;
	bool by_width = true, by_layer = false;
	size_t i;

	PB_TRY(pb_config_bool(json, "scale_attn_weights", &by_width, err));
	PB_TRY(pb_config_bool(json, "scale_attn_by_inverse_layer_idx", &by_layer, err));
	for (i = 0; i < config->arch.n_layers; i++) {
		double scale = by_width ? 1.0 / sqrt((double)config->arch.d_head) : 1.0;

		layers[i].score_scale = (float)(by_layer ? scale / (double)(i + 1) : scale);
	}
cleanup:
	return status;
}

/* ---- GPT-Neo ---------------------------------------------------------------------------- */

enum pb_status pb_gpt_neo_read_config(const struct pb_config_json *json,
				      struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	struct pb_arch *arch = &config->arch;

	*arch = (struct pb_arch){
	    .n_layers = 24,
	    .n_heads = 16,
	    .d_model = 2048,
	    .n_context = 2048,
	    .norm = PB_NORM_LAYER,
	    .learned_positions = true,
	};
	config->tied = true;
	PB_TRY(pb_config_size(json, "num_layers", "num_hidden_layers", &arch->n_layers, err));
	PB_TRY(pb_config_size(json, "num_heads", "num_attention_heads", &arch->n_heads, err));
	PB_TRY(pb_config_size(json, "hidden_size", NULL, &arch->d_model, err));
	PB_TRY(pb_config_size(json, "max_position_embeddings", NULL, &arch->n_context, err));
	arch->d_mlp = 4 * arch->d_model;
	PB_TRY(pb_config_size(json, "intermediate_size", NULL, &arch->d_mlp, err));
	PB_TRY(pb_config_read_vocab(json, config, err));
	PB_TRY(pb_config_split_heads(json, "hidden_size", "num_heads", arch, err));
	PB_TRY(pb_config_read_eps(json, "layer_norm_epsilon", 1e-5, &arch->norm_eps, err));
	PB_TRY(pb_config_read_activation(json, "activation_function", "gelu_new", &arch->activation,
					 err));
	PB_TRY(pb_config_bool(json, "tie_word_embeddings", &config->tied, err));
cleanup:
	return status;
}

static enum pb_status attention_types_wrong(const struct pb_config_json *json, const char *key,
					    size_t n_layers, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "wrong value: %s, key %s: expected \"global\" or \"local\" for each of the "
		       "%zu layers%s",
		       json->path, key, n_layers,
		       strcmp(key, "attention_types") == 0
			   ? ", as [[[types], times], ...] (when absent: 24 layers, global and "
			     "local in turn)"
			   : "");
}

/* Whether a layer is local, from "global" or "local"; false when it is neither. */
static bool read_attention_type(const json_t *type, bool *local)
{
	const char *name = json_string_value(type);

	if (name == NULL)
		return false;
	*local = strcmp(name, "local") == 0;
	return *local || strcmp(name, "global") == 0;
}

/* [[["global", "local"], 12], ...]: each list of types repeated, all of them one after another. */
static bool expand_attention_types(const json_t *items, bool *local, size_t n_layers)
{
	size_t n = 0, i, j;
	json_int_t times;

	for (i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		const json_t *types = json_array_get(item, 0);

		/* An empty list would be repeated for ever. */
		if (json_array_size(item) != 2 || json_array_size(types) == 0 ||
		    !json_is_integer(json_array_get(item, 1)))
			return false;
		for (times = json_integer_value(json_array_get(item, 1)); times > 0; times--)
			for (j = 0; j < json_array_size(types); j++, n++)
				if (n == n_layers ||
				    !read_attention_type(json_array_get(types, j), &local[n]))
					return false;
	}
	return n == n_layers;
}

/* Which layers are local. `attention_layers` (one type a layer) is what the model class goes by;
 * `attention_types` is its short form, and both are in most files. */
static enum pb_status gpt_neo_local_layers(const struct pb_config_json *json, bool *local,
					   bool *scratch, size_t n_layers, struct pb_error *err)
{
	enum pb_status status;
	const json_t *types, *list;
	size_t i;

	PB_TRY(pb_config_get(json, "attention_types", NULL, &types, err));
	PB_TRY(pb_config_get(json, "attention_layers", NULL, &list, err));
	if (types == NULL && list == NULL && n_layers == 24) {
		for (i = 0; i < n_layers; i++)
			local[i] = i % 2 == 1;
		return PB_OK;
	}
	if ((types != NULL || list == NULL) && !expand_attention_types(types, local, n_layers))
		return attention_types_wrong(json, "attention_types", n_layers, err);
	if (list == NULL)
		return PB_OK;
	if (json_array_size(list) != n_layers)
		return attention_types_wrong(json, "attention_layers", n_layers, err);
	for (i = 0; i < n_layers; i++) {
		if (!read_attention_type(json_array_get(list, i), &scratch[i]))
			return attention_types_wrong(json, "attention_layers", n_layers, err);
		if (types != NULL && local[i] != scratch[i])
			return pb_fail(err, PB_ERR_INPUT,
				       "two keys for one thing differ: %s, attention_types and "
				       "attention_layers, layer %zu: keep the right one",
				       json->path, i);
		local[i] = scratch[i];
	}
cleanup:
	return status;
}

enum pb_status pb_gpt_neo_read_layers(const struct pb_config_json *json,
				      const struct pb_family_config *config,
				      struct pb_layer *layers, struct pb_error *err)
{
	enum pb_status status;
	size_t n_layers = config->arch.n_layers, window = 256, i;
	struct pb_arena arena = {0};
	bool *local = pb_arena_alloc(&arena, n_layers, sizeof *local);
	bool *scratch = pb_arena_alloc(&arena, n_layers, sizeof *scratch);

	if (local == NULL || scratch == NULL) {
		status =
		    pb_fail(err, PB_ERR_MEMORY, "out of memory: attention types of %s", json->path);
		goto cleanup;
	}
	PB_TRY(pb_config_size(json, "window_size", NULL, &window, err));
	PB_TRY(gpt_neo_local_layers(json, local, scratch, n_layers, err));
	for (i = 0; i < n_layers; i++) {
		layers[i].score_scale = 1.0f; /* GPT-Neo does not divide scores by anything */
		layers[i].window = local[i] ? window : 0;
	}
cleanup:
	pb_arena_free(&arena);
	return status;
}

/* ---- GPT-NeoX --------------------------------------------------------------------------- */

/* Far above any model's head: a table of this size is made before the weights are looked at. */
#define ROTARY_DIMS_MAX ((size_t)1 << 16)

enum pb_status pb_family_config_rope(struct pb_family_config *config, size_t index, double base,
				     struct pb_error *err)
{
	enum pb_status status;
	size_t dims = config->arch.rotary_dims;
	struct pb_rope *rope = &config->ropes[index];
	void *frequency = NULL;

	rope->base = base;
	if (dims == 0)
		return PB_OK;
	if (dims > ROTARY_DIMS_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "head too wide: its rotary embedding would have %zu dimensions: "
			       "correct the head width in the config (at most %zu)",
			       dims, ROTARY_DIMS_MAX);
	PB_TRY(pb_alloc(&frequency, dims / 2, sizeof(float), "rotary frequencies", err));
	*rope = (struct pb_rope){
	    .frequency = frequency, .magnitude = 1.0, .base = base, .scaling = "default"};
	pb_rope_frequencies(dims, base, rope->frequency);
cleanup:
	return status;
}

void pb_ropes_free(struct pb_rope *ropes)
{
	for (size_t i = 0; i < PB_ROPES_MAX; i++) {
		free(ropes[i].frequency);
		free(ropes[i].frequency_long);
		ropes[i] = (struct pb_rope){0};
	}
}

static enum pb_status gpt_neox_read_rotary(const struct pb_config_json *json,
					   struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	const json_t *rope;
	double share = 0.25, base = 10000.0;

	PB_TRY(pb_config_real(json, "rotary_pct", &share, err));
	PB_TRY(pb_config_real(json, "rotary_emb_base", &base, err));
	PB_TRY(pb_rope_find(json, &rope, err));
	PB_TRY(pb_rope_read(json, rope, base, share, config, 0, err));
cleanup:
	return status;
}

enum pb_status pb_gpt_neox_read_config(const struct pb_config_json *json,
				       struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	struct pb_arch *arch = &config->arch;
	size_t head_dim;

	*arch = (struct pb_arch){
	    .n_layers = 44,
	    .n_heads = 64,
	    .d_model = 6144,
	    .d_mlp = 24576,
	    .n_context = 2048,
	    .norm = PB_NORM_LAYER,
	    .parallel = true,
	};
	config->tied = false;
	config->attention_bias = true;
	PB_TRY(pb_config_size(json, "num_hidden_layers", NULL, &arch->n_layers, err));
	PB_TRY(pb_config_size(json, "num_attention_heads", NULL, &arch->n_heads, err));
	PB_TRY(pb_config_size(json, "hidden_size", NULL, &arch->d_model, err));
	PB_TRY(pb_config_size(json, "intermediate_size", NULL, &arch->d_mlp, err));
	PB_TRY(pb_config_size(json, "max_position_embeddings", NULL, &arch->n_context, err));
	PB_TRY(pb_config_read_vocab(json, config, err));
	PB_TRY(pb_config_split_heads(json, "hidden_size", "num_attention_heads", arch, err));
	head_dim = arch->d_head;
	PB_TRY(pb_config_size(json, "head_dim", NULL, &head_dim, err));
	if (head_dim != arch->d_head)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "head width not supported: %s, key head_dim: %zu: only hidden_size / "
		    "num_attention_heads = %zu is",
		    json->path, head_dim, arch->d_head);
	PB_TRY(pb_config_read_eps(json, "layer_norm_eps", 1e-5, &arch->norm_eps, err));
	PB_TRY(pb_config_read_activation(json, "hidden_act", "gelu", &arch->activation, err));
	PB_TRY(pb_config_bool(json, "use_parallel_residual", &arch->parallel, err));
	PB_TRY(pb_config_bool(json, "attention_bias", &config->attention_bias, err));
	config->output_bias = config->attention_bias;
	PB_TRY(pb_config_bool(json, "tie_word_embeddings", &config->tied, err));
	PB_TRY(gpt_neox_read_rotary(json, config, err));
cleanup:
	return status;
}

enum pb_status pb_plain_read_layers(const struct pb_config_json *json,
				    const struct pb_family_config *config, struct pb_layer *layers,
				    struct pb_error *err)
{
	size_t i;

	(void)json;
	(void)err;
	for (i = 0; i < config->arch.n_layers; i++)
		layers[i].score_scale = pb_usual_score_scale(&config->arch);
	return PB_OK;
}
