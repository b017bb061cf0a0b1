/* The families that came after Llama: one reader, and a row of defaults for each. Keys, aliases
 * and defaults are those of the configuration classes in `transformers`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/family_parts.h"

/* Which layers see a window only, where `layer_types` does not say. */
enum windows {
	WINDOWS_NONE,
	WINDOWS_ALL,        /* all of them, when there is a sliding_window */
	WINDOWS_FROM,       /* from max_window_layers on, with use_sliding_window (Qwen) */
	WINDOWS_EVEN,       /* every other, beginning with the first (Gemma 2) */
	WINDOWS_BY_PATTERN, /* all but every sliding_window_pattern-th (Gemma 3) */
	WINDOWS_NO_ROPE,    /* those without rotation, with use_sliding_window (SmolLM3) */
};

/* Which projections have biases. */
enum biases {
	BIASES_NONE,
	BIASES_ASKED,     /* attention's four with attention_bias, the MLP's with mlp_bias */
	BIASES_QKV,       /* q, k, v always (Qwen2) */
	BIASES_QKV_ASKED, /* q, k, v with use_qkv_bias (StableLM) */
	BIASES_ALL,       /* everything (Phi) */
};

/* What a family's configuration class says when a key is absent, and what no key says. */
struct traits {
	const char *model_type;
	struct pb_arch arch; /* sizes (n_kv_heads 0: n_heads; d_head 0: width / heads), flags */
	const char *eps_key; /* NULL: eps is 1e-5 (OLMo) */
	double eps;
	const char *activation_key, *activation;
	enum biases biases;
	enum windows windows;
	size_t window;
	bool tied;
	double rope_base, rope_share; /* share of a head that rotates */
	bool gemma;                   /* embeddings times sqrt(width) */
	bool scalar;                  /* scores times query_pre_attn_scalar^-1/2 (256) */
	double score_softcap, logit_softcap;
	const char *refused[3]; /* keys that must be absent, null, or false */
};

#define SIZES(layers, heads, kv, head, width, mlp, context)                                        \
	.n_layers = (layers), .n_heads = (heads), .n_kv_heads = (kv), .d_head = (head),            \
	.d_model = (width), .d_mlp = (mlp), .n_context = (context)
#define RMS .norm = PB_NORM_RMS, .gated = true

static const struct traits rows[] = {
    {
	.model_type = "llama",
	.arch = {SIZES(32, 32, 0, 0, 4096, 11008, 2048), RMS},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_act",
	.activation = "silu",
	.biases = BIASES_ASKED,
	.rope_base = 1e4,
	.rope_share = 1.0,
    },
    {
	.model_type = "mistral",
	.arch = {SIZES(32, 32, 8, 0, 4096, 14336, 131072), RMS},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_act",
	.activation = "silu",
	.windows = WINDOWS_ALL,
	.window = 4096,
	.rope_base = 1e4,
	.rope_share = 1.0,
	.refused = {"layer_types"},
    },
    {
	.model_type = "qwen2",
	.arch = {SIZES(32, 32, 32, 0, 4096, 22016, 32768), RMS},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_act",
	.activation = "silu",
	.biases = BIASES_QKV,
	.windows = WINDOWS_FROM,
	.window = 4096,
	.rope_base = 1e4,
	.rope_share = 1.0,
    },
    {
	.model_type = "qwen3",
	.arch = {SIZES(32, 32, 32, 128, 4096, 22016, 32768), RMS, .qk_norm = PB_QK_NORM_HEAD},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_act",
	.activation = "silu",
	.biases = BIASES_ASKED,
	.windows = WINDOWS_FROM,
	.window = 4096,
	.rope_base = 1e4,
	.rope_share = 1.0,
    },
    {
	.model_type = "gemma",
	.arch = {SIZES(28, 16, 16, 256, 3072, 24576, 8192), RMS},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_act",
	.activation = "gelu_pytorch_tanh",
	.biases = BIASES_ASKED,
	.tied = true,
	.gemma = true,
	.rope_base = 1e4,
	.rope_share = 1.0,
	.refused = {"use_bidirectional_attention"},
    },
    {
	.model_type = "gemma2",
	.arch = {SIZES(26, 8, 4, 256, 2304, 9216, 8192), RMS, .post_norm = true},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_activation",
	.activation = "gelu_pytorch_tanh",
	.biases = BIASES_ASKED,
	.tied = true,
	.gemma = true,
	.windows = WINDOWS_EVEN,
	.window = 4096,
	.rope_base = 1e4,
	.rope_share = 1.0,
	.scalar = true,
	.score_softcap = 50.0,
	.logit_softcap = 30.0,
	.refused = {"use_bidirectional_attention"},
    },
    {
	.model_type = "gemma3_text",
	.arch = {SIZES(26, 8, 4, 256, 2304, 9216, 131072), RMS, .post_norm = true,
		 .qk_norm = PB_QK_NORM_HEAD},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_activation",
	.activation = "gelu_pytorch_tanh",
	.biases = BIASES_ASKED,
	.tied = true,
	.gemma = true,
	.windows = WINDOWS_BY_PATTERN,
	.window = 4096,
	.rope_base = 1e6,
	.rope_share = 1.0,
	.scalar = true,
	.refused = {"use_bidirectional_attention"},
    },
    {
	.model_type = "phi",
	.arch = {SIZES(24, 32, 0, 0, 2048, 8192, 2048), .norm = PB_NORM_LAYER, .parallel = true},
	.eps_key = "layer_norm_eps",
	.eps = 1e-5,
	.activation_key = "hidden_act",
	.activation = "gelu_new",
	.biases = BIASES_ALL,
	.rope_base = 1e4,
	.rope_share = 0.5,
    },
    {
	.model_type = "phi3",
	.arch = {SIZES(32, 32, 0, 0, 3072, 8192, 4096), RMS},
	.eps_key = "rms_norm_eps",
	.eps = 1e-5,
	.activation_key = "hidden_act",
	.activation = "silu",
	.windows = WINDOWS_ALL,
	.rope_base = 1e4,
	.rope_share = 1.0,
    },
    {
	.model_type = "olmo",
	.arch = {SIZES(32, 32, 0, 0, 4096, 11008, 2048), .norm = PB_NORM_LAYER, .gated = true},
	.eps = 1e-5,
	.activation_key = "hidden_act",
	.activation = "silu",
	.biases = BIASES_ASKED,
	.rope_base = 1e4,
	.rope_share = 1.0,
	.refused = {"clip_qkv"},
    },
    {
	.model_type = "olmo2",
	.arch = {SIZES(32, 32, 0, 0, 4096, 11008, 2048), RMS, .no_pre_norm = true,
		 .post_norm = true, .qk_norm = PB_QK_NORM_WHOLE},
	.eps_key = "rms_norm_eps",
	.eps = 1e-5,
	.activation_key = "hidden_act",
	.activation = "silu",
	.biases = BIASES_ASKED,
	.rope_base = 1e4,
	.rope_share = 1.0,
    },
    {
	.model_type = "stablelm",
	.arch = {SIZES(32, 32, 32, 0, 2560, 6912, 4096), .norm = PB_NORM_LAYER, .gated = true},
	.eps_key = "layer_norm_eps",
	.eps = 1e-5,
	.activation_key = "hidden_act",
	.activation = "silu",
	.biases = BIASES_QKV_ASKED,
	.rope_base = 1e4,
	.rope_share = 0.25,
	.refused = {"qk_layernorm", "head_dim"},
    },
    {
	.model_type = "smollm3",
	.arch = {SIZES(36, 16, 4, 0, 2048, 11008, 32768), RMS},
	.eps_key = "rms_norm_eps",
	.eps = 1e-6,
	.activation_key = "hidden_act",
	.activation = "silu",
	.biases = BIASES_ASKED,
	.tied = true,
	.windows = WINDOWS_NO_ROPE,
	.rope_base = 2e6,
	.rope_share = 1.0,
    },
};

static const struct traits *traits_of(const struct pb_config_json *json)
{
	const char *type = json_string_value(json_object_get(json->root, "model_type"));

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (type != NULL && strcmp(type, rows[i].model_type) == 0)
			return &rows[i];
	return NULL;
}

/* ---- the config ----------------------------------------------------------------------------- */

static enum pb_status refuse_keys(const struct pb_config_json *json, const struct traits *t,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < 3 && t->refused[i] != NULL; i++) {
		const json_t *value;

		PB_TRY(pb_config_get(json, t->refused[i], NULL, &value, err));
		if (value != NULL && !json_is_false(value))
			return pb_fail(
			    err, PB_ERR_INPUT,
			    "model not supported: %s, key %s: a %s model with it computes "
			    "what Patchbay does not: use a checkpoint without it",
			    json->path, t->refused[i], t->model_type);
	}
cleanup:
	return status;
}

static enum pb_status read_sizes(const struct pb_config_json *json, struct pb_arch *arch,
				 struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_config_size(json, "num_hidden_layers", NULL, &arch->n_layers, err));
	PB_TRY(pb_config_size(json, "num_attention_heads", NULL, &arch->n_heads, err));
	/* null is the plain choice, not the class's default */
	if (json_is_null(json_object_get(json->root, "num_key_value_heads")))
		arch->n_kv_heads = 0;
	if (json_is_null(json_object_get(json->root, "head_dim")))
		arch->d_head = 0;
	PB_TRY(pb_config_size(json, "num_key_value_heads", NULL, &arch->n_kv_heads, err));
	PB_TRY(pb_config_size(json, "hidden_size", NULL, &arch->d_model, err));
	PB_TRY(pb_config_size(json, "intermediate_size", NULL, &arch->d_mlp, err));
	PB_TRY(pb_config_size(json, "max_position_embeddings", NULL, &arch->n_context, err));
	PB_TRY(pb_config_size(json, "head_dim", NULL, &arch->d_head, err));
	if (arch->n_kv_heads == 0)
		arch->n_kv_heads = arch->n_heads;
	if (arch->n_heads % arch->n_kv_heads != 0)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "heads not divisible by KV heads: %s, keys num_attention_heads = %zu "
		    "and num_key_value_heads = %zu: correct one of them",
		    json->path, arch->n_heads, arch->n_kv_heads);
	if (arch->d_head == 0 && arch->d_model % arch->n_heads != 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "width not divisible by heads: %s, keys hidden_size = %zu and "
			       "num_attention_heads = %zu: correct one of them, or add head_dim",
			       json->path, arch->d_model, arch->n_heads);
	if (arch->d_head == 0)
		arch->d_head = arch->d_model / arch->n_heads;
cleanup:
	return status;
}

static enum pb_status read_biases(const struct pb_config_json *json, enum biases biases,
				  struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	config->attention_bias = biases == BIASES_QKV || biases == BIASES_ALL;
	config->output_bias = config->mlp_bias = biases == BIASES_ALL;
	if (biases == BIASES_QKV_ASKED)
		PB_TRY(pb_config_bool(json, "use_qkv_bias", &config->attention_bias, err));
	if (biases == BIASES_ASKED) {
		PB_TRY(pb_config_bool(json, "attention_bias", &config->attention_bias, err));
		PB_TRY(pb_config_bool(json, "mlp_bias", &config->mlp_bias, err));
		config->output_bias = config->attention_bias;
	}
cleanup:
	return status;
}

/* A cap: absent is `fallback`, null is none. */
static enum pb_status read_cap(const struct pb_config_json *json, const char *key, double fallback,
			       float *out, struct pb_error *err)
{
	enum pb_status status;
	double cap = json_object_get(json->root, key) != NULL ? 0.0 : fallback;

	PB_TRY(pb_config_real(json, key, &cap, err));
	if (!(cap >= 0.0))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong value: %s, key %s: expected a number above 0, or null",
			       json->path, key);
	*out = (float)cap;
cleanup:
	return status;
}

/* Gemma 3's layers with a window have the plain rope 1, the others the scaled rope 0; in the newer
 * form each has an object of its own. */
static enum pb_status read_gemma3_ropes(const struct pb_config_json *json,
					struct pb_family_config *config, const struct traits *t,
					struct pb_error *err)
{
	enum pb_status status;
	const json_t *both;
	double local = 1e4;

	PB_TRY(pb_config_get(json, "rope_parameters", NULL, &both, err));
	PB_TRY(pb_config_real(json, "rope_local_base_freq", &local, err));
	if (both != NULL && (json_object_get(both, "full_attention") != NULL ||
			     json_object_get(both, "sliding_attention") != NULL)) {
		PB_TRY(pb_rope_read(json, json_object_get(both, "full_attention"), t->rope_base,
				    t->rope_share, config, 0, err));
		PB_TRY(pb_rope_read(json, json_object_get(both, "sliding_attention"), local,
				    t->rope_share, config, 1, err));
		return PB_OK;
	}
	PB_TRY(pb_rope_read_config(json, t->rope_base, t->rope_share, config, err));
	PB_TRY(pb_family_config_rope(config, 1, local, err));
cleanup:
	return status;
}

enum pb_status pb_llama_read_config(const struct pb_config_json *json,
				    struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	const struct traits *t = traits_of(json);
	struct pb_arch *arch = &config->arch;
	bool qk_norm = false;

	*arch = t->arch;
	config->tied = t->tied;
	PB_TRY(refuse_keys(json, t, err));
	PB_TRY(read_sizes(json, arch, err));
	PB_TRY(pb_config_read_vocab(json, config, err));
	arch->norm_eps = (float)t->eps;
	if (t->eps_key != NULL)
		PB_TRY(pb_config_read_eps(json, t->eps_key, t->eps, &arch->norm_eps, err));
	PB_TRY(pb_config_read_activation(json, t->activation_key, t->activation, &arch->activation,
					 err));
	PB_TRY(pb_config_bool(json, "tie_word_embeddings", &config->tied, err));
	PB_TRY(read_biases(json, t->biases, config, err));
	PB_TRY(pb_config_bool(json, "qk_layernorm", &qk_norm, err));
	if (qk_norm) /* Phi; StableLM's is refused above */
		arch->qk_norm = PB_QK_NORM_HEAD;
	if (t->biases == BIASES_QKV_ASKED)
		PB_TRY(pb_config_bool(json, "use_parallel_residual", &arch->parallel, err));
	if (t->scalar) {
		PB_TRY(read_cap(json, "attn_logit_softcapping", t->score_softcap,
				&arch->score_softcap, err));
		PB_TRY(read_cap(json, "final_logit_softcapping", t->logit_softcap,
				&arch->logit_softcap, err));
	}
	if (t->gemma)
		arch->embed_scale = (float)sqrt((double)arch->d_model);
	PB_TRY(t->windows == WINDOWS_BY_PATTERN
		   ? read_gemma3_ropes(json, config, t, err)
		   : pb_rope_read_config(json, t->rope_base, t->rope_share, config, err));
cleanup:
	return status;
}

/* ---- layers --------------------------------------------------------------------------------- */

/* Element `layer` of a list of one entry a layer; NULL without the list. */
static enum pb_status list_entry(const struct pb_config_json *json, const char *key,
				 size_t n_layers, size_t layer, const json_t **out,
				 struct pb_error *err)
{
	enum pb_status status;
	const json_t *list;

	*out = NULL;
	PB_TRY(pb_config_get(json, key, NULL, &list, err));
	if (list == NULL)
		return PB_OK;
	if (json_array_size(list) != n_layers)
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong value: %s, key %s: expected a list of %zu entries, one a "
			       "layer",
			       json->path, key, n_layers);
	*out = json_array_get(list, layer);
cleanup:
	return status;
}

static enum pb_status read_no_rotary(const struct pb_config_json *json, size_t n_layers,
				     size_t layer, bool *out, struct pb_error *err)
{
	enum pb_status status;
	const json_t *entry;
	size_t interval = 4;

	PB_TRY(pb_config_size(json, "no_rope_layer_interval", NULL, &interval, err));
	PB_TRY(list_entry(json, "no_rope_layers", n_layers, layer, &entry, err));
	if (entry != NULL && !json_is_integer(entry))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong value: %s, key no_rope_layers, layer %zu: expected 0 (no "
			       "rotation) or 1",
			       json->path, layer);
	*out = entry != NULL ? json_integer_value(entry) == 0 : (layer + 1) % interval == 0;
cleanup:
	return status;
}

struct window_keys {
	bool use;
	size_t size, from, pattern; /* size 0: none */
};

static enum pb_status read_window_keys(const struct pb_config_json *json, const struct traits *t,
				       struct window_keys *keys, struct pb_error *err)
{
	enum pb_status status;
	bool asked = t->windows == WINDOWS_FROM || t->windows == WINDOWS_NO_ROPE;

	*keys = (struct window_keys){.use = !asked, .from = 28, .pattern = 6};
	if (json_object_get(json->root, "sliding_window") == NULL)
		keys->size = t->window;
	PB_TRY(pb_config_size(json, "sliding_window", NULL, &keys->size, err));
	if (asked)
		PB_TRY(pb_config_bool(json, "use_sliding_window", &keys->use, err));
	if (t->windows == WINDOWS_FROM) {
		const json_t *from;

		PB_TRY(pb_config_get(json, "max_window_layers", NULL, &from, err));
		if (from != NULL && (!json_is_integer(from) || json_integer_value(from) < 0))
			return pb_fail(err, PB_ERR_INPUT,
				       "wrong value: %s, key max_window_layers: expected a whole "
				       "number",
				       json->path);
		if (from != NULL)
			keys->from = (size_t)json_integer_value(from);
	}
	if (t->windows == WINDOWS_BY_PATTERN)
		PB_TRY(pb_config_size(json, "sliding_window_pattern", "_sliding_window_pattern",
				      &keys->pattern, err));
	if (!keys->use)
		keys->size = 0;
cleanup:
	return status;
}

/* Whether a layer has a window, by its kind. */
static bool has_window(const struct traits *t, const struct window_keys *keys, size_t layer,
		       bool no_rotary)
{
	switch (t->windows) {
	case WINDOWS_NONE:
		return false;
	case WINDOWS_ALL:
		return true;
	case WINDOWS_FROM:
		return layer >= keys->from;
	case WINDOWS_EVEN:
		return layer % 2 == 0;
	case WINDOWS_BY_PATTERN:
		return (layer + 1) % keys->pattern != 0;
	case WINDOWS_NO_ROPE:
		return no_rotary;
	}
	return false;
}

/* layer_types, where it says another thing. */
static enum pb_status read_layer_type(const struct pb_config_json *json, size_t n_layers,
				      size_t layer, bool *window, struct pb_error *err)
{
	enum pb_status status;
	const json_t *entry;
	const char *name;

	PB_TRY(list_entry(json, "layer_types", n_layers, layer, &entry, err));
	if (entry == NULL)
		return PB_OK;
	name = json_string_value(entry);
	*window = name != NULL && strcmp(name, "sliding_attention") == 0;
	if (!*window && (name == NULL || strcmp(name, "full_attention") != 0))
		return pb_fail(err, PB_ERR_INPUT,
			       "kind of layer not supported: %s, key layer_types, layer %zu: %s: "
			       "full_attention and sliding_attention are",
			       json->path, layer, name != NULL ? name : "(not a string)");
cleanup:
	return status;
}

enum pb_status pb_llama_read_layers(const struct pb_config_json *json,
				    const struct pb_family_config *config, struct pb_layer *layers,
				    struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct traits *t = traits_of(json);
	const struct pb_arch *arch = &config->arch;
	double scale = (double)arch->d_head;
	struct window_keys keys;

	if (t->scalar) {
		scale = 256.0;
		PB_TRY(pb_config_real(json, "query_pre_attn_scalar", &scale, err));
	}
	if (!(scale > 0.0))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong value: %s, key query_pre_attn_scalar: expected a number "
			       "above 0",
			       json->path);
	PB_TRY(read_window_keys(json, t, &keys, err));
	for (size_t i = 0; i < arch->n_layers; i++) {
		bool window;

		layers[i].score_scale = (float)(1.0 / sqrt(scale));
		if (t->windows == WINDOWS_NO_ROPE)
			PB_TRY(read_no_rotary(json, arch->n_layers, i, &layers[i].no_rotary, err));
		window = has_window(t, &keys, i, layers[i].no_rotary) && keys.size > 0;
		if (t->windows > WINDOWS_ALL)
			PB_TRY(read_layer_type(json, arch->n_layers, i, &window, err));
		if (window && keys.size == 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "window without a size: %s, key layer_types, layer %zu: "
				       "sliding_attention, but there is no sliding_window%s",
				       json->path, i,
				       keys.use ? "" : " in use (use_sliding_window is false)");
		layers[i].window = window ? keys.size : 0;
		layers[i].rope = t->windows == WINDOWS_BY_PATTERN && window ? 1 : 0;
	}
cleanup:
	return status;
}

/* ---- GPT-J ---------------------------------------------------------------------------------- */

enum pb_status pb_gptj_read_config(const struct pb_config_json *json,
				   struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	struct pb_arch *arch = &config->arch;

	*arch = (struct pb_arch){.n_layers = 28,
				 .n_heads = 16,
				 .d_model = 4096,
				 .n_context = 2048,
				 .norm = PB_NORM_LAYER,
				 .parallel = true,
				 .rotary_dims = 64,
				 .rotary_interleaved = true};
	config->tied = false;
	config->mlp_bias = true;
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
	PB_TRY(pb_config_size(json, "rotary_dim", NULL, &arch->rotary_dims, err));
	if (json_is_null(json_object_get(json->root, "rotary_dim")) ||
	    arch->rotary_dims > arch->d_head || arch->rotary_dims % 2 != 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "rotary embedding not supported: %s, key rotary_dim: expected an "
			       "even number up to the head width %zu",
			       json->path, arch->d_head);
	PB_TRY(pb_family_config_rope(config, 0, 1e4, err));
cleanup:
	return status;
}
