/* From the metadata of a GGUF file to the keys of config.json. Where a key is absent the value is
 * the one that llama.cpp computes with, which is not always the default in `transformers`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/config_json.h"
#include "model/gguf_file.h"

struct builder {
	const struct pb_gguf *gguf;
	const char *arch; /* general.architecture */
	json_t *root;
	bool *known; /* a flag for each key: it was asked for */
	struct pb_error *err;
};

static const struct architecture {
	const char *name, *model_type;
	bool gemma;      /* windows, softcaps and a score scale of its own */
	size_t big;      /* layers of the 27B model, whose scale is that of width / heads */
	int64_t pattern; /* the layer of each so many without a window */
} architectures[] = {
    {"llama", "llama", false, 0, 0},   {"qwen2", "qwen2", false, 0, 0},
    {"qwen3", "qwen3", false, 0, 0},   {"gemma", "gemma", false, 0, 0},
    {"gemma2", "gemma2", true, 46, 2}, {"gemma3", "gemma3_text", true, 62, 6},
};
#define N_ARCHITECTURES (sizeof architectures / sizeof *architectures)

/* ---- keys ------------------------------------------------------------------------------- */

static enum pb_status wrong(const struct builder *b, const char *key, const char *expected)
{
	return pb_fail(b->err, PB_ERR_INPUT,
		       "wrong value: %s, key %s.%s: expected %s: convert the model again",
		       b->gguf->path, b->arch, key, expected);
}

static enum pb_status refuse(const struct builder *b, const char *key, const char *why)
{
	return pb_fail(b->err, PB_ERR_INPUT,
		       "model not supported: %s, key %s.%s: %s: use another checkpoint",
		       b->gguf->path, b->arch, key, why);
}

/* The value of <architecture>.<key>, NULL without it. */
static enum pb_status look_up(const struct builder *b, const char *key,
			      const struct pb_gguf_value **out)
{
	char *name = pb_format("%s.%s", b->arch, key);

	if (name == NULL)
		return pb_fail(b->err, PB_ERR_MEMORY, "out of memory: reading %s", b->gguf->path);
	*out = pb_gguf_find(b->gguf, name);
	if (*out != NULL)
		b->known[*out - b->gguf->values] = true;
	free(name);
	return PB_OK;
}

/* A whole number from 1 on; absent: *out keeps its value. */
static enum pb_status read_whole(const struct builder *b, const char *key, int64_t *out)
{
	enum pb_status status;
	const struct pb_gguf_value *value;

	PB_TRY(look_up(b, key, &value));
	if (value != NULL &&
	    (value->array || !pb_gguf_int(value, 0, out) || *out < 1 || *out > PB_CONFIG_SIZE_MAX))
		return wrong(b, key, "one whole number above 0");
cleanup:
	return status;
}

static enum pb_status read_real(const struct builder *b, const char *key, double *out)
{
	enum pb_status status;
	const struct pb_gguf_value *value;

	PB_TRY(look_up(b, key, &value));
	if (value != NULL && (value->array || !pb_gguf_real(value, 0, out) || !isfinite(*out)))
		return wrong(b, key, "a number");
cleanup:
	return status;
}

/* Add a key; takes `value` over, NULL is a failed allocation. */
static enum pb_status put(const struct builder *b, json_t *object, const char *key, json_t *value)
{
	if (value == NULL || json_object_set_new(object, key, value) != 0)
		return pb_fail(b->err, PB_ERR_MEMORY, "out of memory: reading %s", b->gguf->path);
	return PB_OK;
}

/* ---- sizes ------------------------------------------------------------------------------ */

static enum pb_status put_sizes(const struct builder *b)
{
	static const struct {
		const char *key, *name;
	} sizes[] = {
	    {"block_count", "num_hidden_layers"},
	    {"embedding_length", "hidden_size"},
	    {"feed_forward_length", "intermediate_size"},
	    {"attention.head_count", "num_attention_heads"},
	    {"context_length", "max_position_embeddings"},
	};
	enum pb_status status = PB_OK;
	double eps = 0.0;

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		int64_t size = 0;

		PB_TRY(read_whole(b, sizes[i].key, &size));
		if (size == 0)
			return wrong(b, sizes[i].key, "it to be there");
		PB_TRY(put(b, b->root, sizes[i].name, json_integer(size)));
	}
	PB_TRY(read_real(b, "attention.layer_norm_rms_epsilon", &eps));
	if (!(eps > 0.0))
		return wrong(b, "attention.layer_norm_rms_epsilon", "a number above 0");
	PB_TRY(put(b, b->root, "rms_norm_eps", json_real(eps)));
cleanup:
	return status;
}

static int64_t size_of(const struct builder *b, const char *name)
{
	return json_integer_value(json_object_get(b->root, name));
}

static enum pb_status put_heads(const struct builder *b)
{
	enum pb_status status;
	int64_t heads = size_of(b, "num_attention_heads"), kv = heads, width, value, rotary;

	PB_TRY(read_whole(b, "attention.head_count_kv", &kv));
	width = size_of(b, "hidden_size") / heads;
	PB_TRY(read_whole(b, "attention.key_length", &width));
	value = rotary = width;
	PB_TRY(read_whole(b, "attention.value_length", &value));
	PB_TRY(read_whole(b, "rope.dimension_count", &rotary));
	if (width == 0)
		return wrong(b, "attention.head_count", "at most embedding_length");
	if (value != width)
		return refuse(b, "attention.value_length",
			      "values are wider or narrower than keys");
	if (rotary != width)
		return refuse(b, "rope.dimension_count", "only part of a head rotates");
	PB_TRY(put(b, b->root, "num_key_value_heads", json_integer(kv)));
	PB_TRY(put(b, b->root, "head_dim", json_integer(width)));
cleanup:
	return status;
}

/* What only tensors tell. */
static enum pb_status put_tensors(const struct builder *b)
{
	enum pb_status status;
	const struct pb_gguf_tensor *embed = pb_gguf_find_tensor(b->gguf, "token_embd.weight");
	const struct pb_gguf_value *unused;
	bool tied = pb_gguf_find_tensor(b->gguf, "output.weight") == NULL;
	bool attention = pb_gguf_find_tensor(b->gguf, "blk.0.attn_q.bias") != NULL;
	bool mlp = pb_gguf_find_tensor(b->gguf, "blk.0.ffn_up.bias") != NULL;

	if (embed != NULL && embed->n_dims == 2 && embed->shape[0] >= 1 &&
	    embed->shape[0] <= PB_CONFIG_SIZE_MAX)
		PB_TRY(put(b, b->root, "vocab_size", json_integer((json_int_t)embed->shape[0])));
	PB_TRY(look_up(b, "vocab_size", &unused)); /* the rows count */
	PB_TRY(put(b, b->root, "tie_word_embeddings", json_boolean(tied)));
	PB_TRY(put(b, b->root, "attention_bias", json_boolean(attention)));
	PB_TRY(put(b, b->root, "mlp_bias", json_boolean(mlp)));
cleanup:
	return status;
}

/* ---- rotation --------------------------------------------------------------------------- */

/* rope_freqs.weight: a divisor for each frequency, by which files of Llama 3 hold its scaling. */
static enum pb_status put_divisors(const struct builder *b, json_t *rope,
				   const struct pb_gguf_tensor *t)
{
	enum pb_status status;
	size_t n = (size_t)size_of(b, "head_dim") / 2;
	json_t *list = json_array();

	if (t->dtype != PB_F32 || t->n_dims != 1 || t->n_elements != n) {
		json_decref(list);
		return pb_fail(b->err, PB_ERR_INPUT,
			       "wrong shape: %s, tensor %s: expected F32 numbers, one for each of "
			       "the %zu rotating pairs: convert the model again",
			       b->gguf->path, t->name, n);
	}
	PB_TRY(put(b, rope, "rope_type", json_string("divisors")));
	PB_TRY(put(b, rope, "divisors", list));
	for (size_t i = 0; i < n; i++) {
		float divisor = pb_dtype_load(t->data, t->dtype, i);
		json_t *number = isfinite(divisor) ? json_real((double)divisor) : json_null();

		/* what is no number is refused where it is read */
		if (json_array_append_new(list, number) != 0)
			return pb_fail(b->err, PB_ERR_MEMORY, "out of memory: reading %s",
				       b->gguf->path);
	}
cleanup:
	return status;
}

static enum pb_status put_yarn(const struct builder *b, json_t *rope, double factor)
{
	static const char *const plain[] = {"rope.scaling.yarn_log_multiplier",
					    "rope.scaling.yarn_ext_factor"};
	enum pb_status status;
	int64_t original = size_of(b, "max_position_embeddings");
	double fast = 32.0, slow = 1.0, magnitude = 1.0, more = 1.0;

	for (size_t i = 0; i < 2; i++) {
		double usual = (double)i, found = usual;

		PB_TRY(read_real(b, plain[i], &found));
		if (found != usual)
			return refuse(b, plain[i], "yarn with this factor is not computed");
	}
	PB_TRY(read_whole(b, "rope.scaling.original_context_length", &original));
	PB_TRY(read_real(b, "rope.scaling.yarn_beta_fast", &fast));
	PB_TRY(read_real(b, "rope.scaling.yarn_beta_slow", &slow));
	PB_TRY(read_real(b, "rope.scaling.attn_factor", &magnitude));
	PB_TRY(read_real(b, "rope.scaling.yarn_attn_factor", &more));
	magnitude *= more * (factor > 1.0 ? 1.0 + 0.1 * log(factor) : 1.0);
	PB_TRY(put(b, rope, "rope_type", json_string("yarn")));
	PB_TRY(put(b, rope, "factor", json_real(factor)));
	PB_TRY(put(b, rope, "original_max_position_embeddings", json_integer(original)));
	PB_TRY(put(b, rope, "beta_fast", json_real(fast)));
	PB_TRY(put(b, rope, "beta_slow", json_real(slow)));
	PB_TRY(put(b, rope, "attention_factor", json_real(magnitude)));
cleanup:
	return status;
}

static enum pb_status put_scaling(const struct builder *b)
{
	enum pb_status status;
	const struct pb_gguf_tensor *divisors = pb_gguf_find_tensor(b->gguf, "rope_freqs.weight");
	const struct pb_gguf_value *type, *unused;
	double factor = 1.0;
	json_t *rope = json_object();

	PB_TRY(put(b, b->root, "rope_scaling", rope));
	PB_TRY(look_up(b, "rope.scaling.type", &type));
	PB_TRY(look_up(b, "rope.scaling.finetuned", &unused)); /* how it was trained */
	PB_TRY(read_real(b, "rope.scale_linear", &factor));
	PB_TRY(read_real(b, "rope.scaling.factor", &factor));
	if (factor == 0.0) /* as llama.cpp has it */
		factor = 1.0;
	if (factor < 0.0)
		return wrong(b, "rope.scaling.factor", "a number above 0");
	if (type == NULL || pb_gguf_string_is(type, "linear")) {
		if (factor != 1.0 && divisors != NULL)
			return refuse(b, "rope.scaling.factor",
				      "rope_freqs.weight beside it is not computed");
		if (divisors != NULL)
			return put_divisors(b, rope, divisors);
		PB_TRY(put(b, rope, "rope_type", json_string("linear")));
		PB_TRY(put(b, rope, "factor", json_real(factor)));
	} else if (pb_gguf_string_is(type, "none")) {
		if (divisors != NULL)
			return put_divisors(b, rope, divisors);
	} else if (pb_gguf_string_is(type, "yarn") && divisors == NULL) {
		PB_TRY(put_yarn(b, rope, factor));
	} else {
		return refuse(b, "rope.scaling.type",
			      "none, linear, and yarn without rope_freqs.weight are computed");
	}
	if (factor == 1.0 && !pb_gguf_string_is(type, "yarn"))
		return put(b, b->root, "rope_scaling", json_null());
cleanup:
	return status;
}

static enum pb_status put_rope(const struct builder *b, const struct architecture *a)
{
	enum pb_status status;
	double base = 1e4, local = 0.0;

	PB_TRY(read_real(b, "rope.freq_base", &base));
	PB_TRY(put(b, b->root, "rope_theta", json_real(base)));
	PB_TRY(read_real(b, "rope.freq_base_swa", &local));
	if (a->pattern == 6)
		PB_TRY(put(b, b->root, "rope_local_base_freq", json_real(local > 0 ? local : 1e4)));
	else if (local != 0.0 && local != base)
		return refuse(b, "rope.freq_base_swa", "layers with a window rotate otherwise");
	PB_TRY(put_scaling(b));
cleanup:
	return status;
}

/* ---- attention -------------------------------------------------------------------------- */

/* Which layers have a window, by a number or one by one. */
static enum pb_status put_pattern(const struct builder *b, const struct architecture *a)
{
	static const char *const key = "attention.sliding_window_pattern";
	enum pb_status status;
	const struct pb_gguf_value *value;
	int64_t pattern = a->pattern, n = size_of(b, "num_hidden_layers");
	json_t *types;

	PB_TRY(look_up(b, key, &value));
	if (value == NULL || !value->array) {
		PB_TRY(read_whole(b, key, &pattern));
		if (a->pattern == 2 && pattern != 2)
			return refuse(b, key, "Gemma 2 has a window in every other layer");
		if (a->pattern != 2)
			PB_TRY(put(b, b->root, "sliding_window_pattern", json_integer(pattern)));
		return PB_OK;
	}
	if (value->n != (size_t)n)
		return wrong(b, key, "one entry for each layer");
	types = json_array();
	PB_TRY(put(b, b->root, "layer_types", types));
	for (size_t i = 0; i < value->n; i++) {
		bool window;

		if (!pb_gguf_bool(value, i, &window))
			return wrong(b, key, "true or false for each layer");
		if (json_array_append_new(
			types, json_string(window ? "sliding_attention" : "full_attention")) != 0)
			return pb_fail(b->err, PB_ERR_MEMORY, "out of memory: reading %s",
				       b->gguf->path);
	}
cleanup:
	return status;
}

static enum pb_status put_window(const struct builder *b, const struct architecture *a)
{
	enum pb_status status;
	const struct pb_gguf_value *value;
	int64_t window = a->pattern == 2 ? 4096 : 0, found;

	PB_TRY(look_up(b, "attention.sliding_window", &value));
	if (!a->gemma) {
		if (strcmp(a->name, "llama") == 0 && value != NULL &&
		    (!pb_gguf_int(value, 0, &found) || found != 0))
			return refuse(b, "attention.sliding_window",
				      "which layers of a llama have a window is not said");
		return PB_OK;
	}
	PB_TRY(read_whole(b, "attention.sliding_window", &window));
	if (window == 0)
		return wrong(b, "attention.sliding_window", "it to be there");
	PB_TRY(put(b, b->root, "sliding_window", json_integer(window)));
	PB_TRY(put_pattern(b, a));
cleanup:
	return status;
}

/* Scores are scaled by the width of a head, but for the largest Gemmas. */
static enum pb_status put_scale(const struct builder *b, const struct architecture *a)
{
	static const char *const caps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
	enum pb_status status;
	int64_t heads = size_of(b, "num_attention_heads"), width = size_of(b, "head_dim");
	double scalar = (double)width, scale;

	if (a->gemma && (size_t)size_of(b, "num_hidden_layers") == a->big)
		scalar = (double)size_of(b, "hidden_size") / (double)heads;
	scale = 1.0 / sqrt(scalar);
	PB_TRY(read_real(b, "attention.scale", &scale));
	if (!a->gemma && fabs(scale * sqrt(scalar) - 1.0) > 1e-6)
		return refuse(b, "attention.scale", "scores are scaled otherwise");
	if (!(scale > 0.0))
		return wrong(b, "attention.scale", "a number above 0");
	if (!a->gemma)
		return PB_OK;
	if (fabs(scale * sqrt(scalar) - 1.0) > 1e-6)
		scalar = 1.0 / (scale * scale);
	PB_TRY(put(b, b->root, "query_pre_attn_scalar", json_real(scalar)));
	for (size_t i = 0; i < 2; i++) {
		double cap = -1.0;

		PB_TRY(read_real(b, caps[i], &cap));
		if (cap >= 0.0)
			PB_TRY(put(b, b->root, caps[i], json_real(cap)));
	}
cleanup:
	return status;
}

/* ---- the whole -------------------------------------------------------------------------- */

/* Keys that change results in a way that is not computed, unless they have the usual value. */
static enum pb_status refuse_others(const struct builder *b)
{
	static const struct {
		const char *key;
		double usual;
		const char *why;
	} others[] = {
	    {"expert_count", 0.0, "mixtures of experts are not computed"},
	    {"logit_scale", 1.0, "scaled logits are not computed"},
	    {"residual_scale", 1.0, "scaled residuals are not computed"},
	    {"embedding_scale", 1.0, "scaled embeddings are not computed"},
	    {"attention.clamp_kqv", 0.0, "clamped q, k and v are not computed"},
	    {"attention.max_alibi_bias", 0.0, "biases by distance are not computed"},
	    {"rope.scaling.alpha", 0.0, "this scaling of positions is not computed"},
	};
	enum pb_status status = PB_OK;
	const struct pb_gguf_value *value;
	bool flag;

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		double found = others[i].usual;

		PB_TRY(read_real(b, others[i].key, &found));
		if (found != others[i].usual)
			return refuse(b, others[i].key, others[i].why);
	}
	PB_TRY(look_up(b, "rope.dimension_sections", &value));
	if (value != NULL)
		return refuse(b, "rope.dimension_sections", "positions of images are not computed");
	PB_TRY(look_up(b, "attention.causal", &value));
	if (value != NULL && (!pb_gguf_bool(value, 0, &flag) || !flag))
		return refuse(b, "attention.causal", "only causal attention is computed");
cleanup:
	return status;
}

/* What is left of the architecture's keys, so that the description names them. */
static enum pb_status put_rest(const struct builder *b)
{
	enum pb_status status = PB_OK;
	size_t length = strlen(b->arch);

	for (size_t i = 0; i < b->gguf->n_values; i++) {
		const char *key = b->gguf->values[i].key;

		if (!b->known[i] && strncmp(key, b->arch, length) == 0 && key[length] == '.')
			/* a key that is not UTF-8 is left out */
			(void)json_object_set_new(b->root, key, json_null());
	}
	return status;
}

/* Parts and additions of models look like models. */
static enum pb_status check_kind(const struct pb_gguf *g, struct pb_error *err)
{
	const struct pb_gguf_value *type = pb_gguf_find(g, "general.type");
	int64_t parts = 1;

	if (type != NULL && !pb_gguf_string_is(type, "model"))
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "not a whole model: %s, key general.type: name the file of the model", g->path);
	if (pb_gguf_int(pb_gguf_find(g, "split.count"), 0, &parts) && parts > 1)
		return pb_fail(err, PB_ERR_INPUT,
			       "a model in parts: %s, key split.count: it is one of %lld: join "
			       "them (llama-gguf-split --merge)",
			       g->path, (long long)parts);
	return PB_OK;
}

static enum pb_status find_architecture(const struct pb_gguf *g, const struct architecture **out,
					struct pb_error *err)
{
	const struct pb_gguf_value *value = pb_gguf_find(g, "general.architecture");
	struct pb_gguf_strings at = {0};
	const char *text = "absent";
	size_t size = strlen(text);

	for (size_t i = 0; i < N_ARCHITECTURES; i++) {
		if (pb_gguf_string_is(value, architectures[i].name)) {
			*out = &architectures[i];
			return PB_OK;
		}
	}
	if (value != NULL && !pb_gguf_next_string(value, &at, &text, &size)) {
		text = "not a string";
		size = strlen(text);
	}
	return pb_fail(err, PB_ERR_INPUT,
		       "unknown model family: %s, key general.architecture: %.*s: in a GGUF file "
		       "llama, qwen2, qwen3, gemma, gemma2 and gemma3 are known",
		       g->path, (int)(size < 64 ? size : 64), text);
}

enum pb_status pb_gguf_config(json_t **out, const struct pb_gguf *gguf, struct pb_error *err)
{
	enum pb_status status;
	const struct architecture *a = NULL;
	struct builder b = {.gguf = gguf, .err = err};

	*out = NULL;
	PB_TRY(check_kind(gguf, err));
	PB_TRY(find_architecture(gguf, &a, err));
	b.arch = a->name;
	PB_TRY(pb_alloc((void **)&b.known, gguf->n_values, sizeof *b.known, "keys", err));
	b.root = json_object();
	PB_TRY(put(&b, b.root, "model_type", json_string(a->model_type)));
	PB_TRY(put_sizes(&b));
	PB_TRY(put_heads(&b));
	PB_TRY(put_tensors(&b));
	PB_TRY(put_rope(&b, a));
	PB_TRY(put_window(&b, a));
	PB_TRY(put_scale(&b, a));
	PB_TRY(refuse_others(&b));
	PB_TRY(put_rest(&b));
	*out = b.root;
	b.root = NULL;
cleanup:
	json_decref(b.root);
	free(b.known);
	return status;
}
