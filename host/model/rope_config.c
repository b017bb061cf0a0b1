/* From the rotary keys of a config to frequencies. They are float32 and made by the same float32
 * steps as in `transformers`, so that angles agree to the bit at small positions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/family_parts.h"

static enum pb_status wrong(const struct pb_config_json *json, const char *key,
			    const char *expected, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "wrong value: %s, key %s of the rotary parameters: expected %s", json->path,
		       key, expected);
}

/* A number of the object; absent or null: *out keeps its value. */
static enum pb_status read_number(const struct pb_config_json *json, const json_t *rope,
				  const char *key, double *out, struct pb_error *err)
{
	const json_t *value = json_object_get(rope, key);

	if (value == NULL || json_is_null(value))
		return PB_OK;
	if (!json_is_number(value) || !isfinite(json_number_value(value)))
		return wrong(json, key, "a number", err);
	*out = json_number_value(value);
	return PB_OK;
}

/* One that must be there and above 0. */
static enum pb_status need_number(const struct pb_config_json *json, const json_t *rope,
				  const char *key, double *out, struct pb_error *err)
{
	enum pb_status status;

	*out = 0.0;
	PB_TRY(read_number(json, rope, key, out, err));
	if (!(*out > 0.0))
		return wrong(json, key, "a number above 0", err);
cleanup:
	return status;
}

enum pb_status pb_rope_find(const struct pb_config_json *json, const json_t **out,
			    struct pb_error *err)
{
	enum pb_status status;
	const char *key = "rope_scaling";

	PB_TRY(pb_config_get(json, key, NULL, out, err));
	if (*out == NULL || (json_is_object(*out) && json_object_size(*out) == 0)) {
		key = "rope_parameters";
		PB_TRY(pb_config_get(json, key, NULL, out, err));
	}
	if (*out != NULL && !json_is_object(*out))
		return pb_fail(err, PB_ERR_INPUT, "wrong value: %s, key %s: expected an object",
			       json->path, key);
cleanup:
	return status;
}

/* ---- the kinds ------------------------------------------------------------------------------ */

struct rope_keys {
	const struct pb_config_json *json;
	const json_t *object;
	struct pb_rope *rope;
	size_t dims;
	double base, factor, original; /* original: the context of the first training */
	double context;
};

static enum pb_status scale_default(const struct rope_keys *k, struct pb_error *err)
{
	(void)k;
	(void)err;
	return PB_OK;
}

static enum pb_status scale_linear(const struct rope_keys *k, struct pb_error *err)
{
	(void)err;
	for (size_t i = 0; i < k->dims / 2; i++)
		k->rope->frequency[i] /= (float)k->factor;
	return PB_OK;
}

/* Wavelengths beyond the original context are stretched, short ones are kept. */
static enum pb_status scale_llama3(const struct rope_keys *k, struct pb_error *err)
{
	enum pb_status status;
	double low, high;

	PB_TRY(need_number(k->json, k->object, "low_freq_factor", &low, err));
	PB_TRY(need_number(k->json, k->object, "high_freq_factor", &high, err));
	if (!(high > low))
		return wrong(k->json, "high_freq_factor", "more than low_freq_factor", err);
	for (size_t i = 0; i < k->dims / 2; i++) {
		float f = k->rope->frequency[i], wave = (float)(2.0 * M_PI) / f, smooth;

		if (wave > (float)(k->original / low)) {
			k->rope->frequency[i] = f / (float)k->factor;
		} else if (!(wave < (float)(k->original / high))) {
			smooth = ((float)k->original / wave - (float)low) / (float)(high - low);
			k->rope->frequency[i] = (1.0f - smooth) * f / (float)k->factor + smooth * f;
		}
	}
cleanup:
	return status;
}

/* Dimension at which `turns` turns fit the original context. */
static double yarn_dimension(const struct rope_keys *k, double turns)
{
	return (double)k->dims * log(k->original / (turns * 2.0 * M_PI)) / (2.0 * log(k->base));
}

static double yarn_magnitude(double factor, double scale)
{
	return factor <= 1.0 ? 1.0 : 0.1 * scale * log(factor) + 1.0;
}

static enum pb_status scale_yarn(const struct rope_keys *k, struct pb_error *err)
{
	enum pb_status status;
	const json_t *truncate = json_object_get(k->object, "truncate");
	double fast = 32.0, slow = 1.0, scale = 0.0, all = 0.0, magnitude, low, high;

	PB_TRY(read_number(k->json, k->object, "beta_fast", &fast, err));
	PB_TRY(read_number(k->json, k->object, "beta_slow", &slow, err));
	PB_TRY(read_number(k->json, k->object, "mscale", &scale, err));
	PB_TRY(read_number(k->json, k->object, "mscale_all_dim", &all, err));
	magnitude = scale != 0.0 && all != 0.0
			? yarn_magnitude(k->factor, scale) / yarn_magnitude(k->factor, all)
			: yarn_magnitude(k->factor, 1.0);
	PB_TRY(read_number(k->json, k->object, "attention_factor", &magnitude, err));
	fast = fast == 0.0 ? 32.0 : fast;
	slow = slow == 0.0 ? 1.0 : slow;
	if (!(fast > 0.0 && slow > 0.0 && k->base > 1.0))
		return wrong(k->json, "beta_fast", "positive betas and a base above 1", err);
	low = yarn_dimension(k, fast);
	high = yarn_dimension(k, slow);
	if (truncate == NULL || json_is_true(truncate)) {
		low = floor(low);
		high = ceil(high);
	}
	low = fmax(low, 0.0);
	high = fmin(high, (double)k->dims - 1.0);
	high += low == high ? 0.001 : 0.0;
	for (size_t i = 0; i < k->dims / 2; i++) {
		float power = (float)pow(k->base, 2.0 * (double)i / (double)k->dims);
		float ramp = ((float)i - (float)low) / (float)(high - low), keep;

		keep = 1.0f - fminf(fmaxf(ramp, 0.0f), 1.0f);
		k->rope->frequency[i] =
		    1.0f / ((float)k->factor * power) * (1.0f - keep) + 1.0f / power * keep;
	}
	k->rope->magnitude = magnitude;
cleanup:
	return status;
}

static enum pb_status read_factors(const struct rope_keys *k, const char *key, float *out,
				   struct pb_error *err)
{
	const json_t *list = json_object_get(k->object, key);

	if (json_array_size(list) != k->dims / 2)
		return wrong(k->json, key, "a list of one number for each rotating pair", err);
	for (size_t i = 0; i < k->dims / 2; i++) {
		const json_t *value = json_array_get(list, i);
		double factor = json_number_value(value);
		float power = (float)pow(k->base, 2.0 * (double)i / (double)k->dims);

		if (!json_is_number(value) || !(factor > 0.0))
			return wrong(k->json, key, "numbers above 0", err);
		out[i] = 1.0f / ((float)factor * power);
	}
	return PB_OK;
}

static enum pb_status scale_longrope(const struct rope_keys *k, struct pb_error *err)
{
	enum pb_status status;
	double factor = k->context / k->original, magnitude = 1.0;
	void *frequency = NULL;

	PB_TRY(read_number(k->json, k->object, "factor", &factor, err));
	if (factor > 1.0)
		magnitude = sqrt(1.0 + log(factor) / log(k->original));
	PB_TRY(read_number(k->json, k->object, "attention_factor", &magnitude, err));
	PB_TRY(pb_alloc(&frequency, k->dims / 2, sizeof(float), "rotary frequencies", err));
	k->rope->frequency_long = frequency;
	k->rope->short_context = (size_t)k->original;
	k->rope->magnitude = magnitude;
	PB_TRY(read_factors(k, "short_factor", k->rope->frequency, err));
	PB_TRY(read_factors(k, "long_factor", k->rope->frequency_long, err));
cleanup:
	return status;
}

/* As a GGUF file has them, already made of the keys of llama3. */
static enum pb_status scale_divisors(const struct rope_keys *k, struct pb_error *err)
{
	const json_t *list = json_object_get(k->object, "divisors");

	if (json_array_size(list) != k->dims / 2)
		return wrong(k->json, "divisors", "one number for each rotating pair", err);
	for (size_t i = 0; i < k->dims / 2; i++) {
		double divisor = json_number_value(json_array_get(list, i));

		if (!(divisor > 0.0))
			return wrong(k->json, "divisors (rope_freqs.weight)", "numbers above 0",
				     err);
		k->rope->frequency[i] /= (float)divisor;
	}
	return PB_OK;
}

static const struct {
	const char *name;
	bool factor, original; /* whether these keys count */
	enum pb_status (*scale)(const struct rope_keys *keys, struct pb_error *err);
} kinds[] = {
    {"default", false, false, scale_default},  {"linear", true, false, scale_linear},
    {"dynamic", false, false, scale_default}, /* up to the context: see n_context */
    {"llama3", true, true, scale_llama3},      {"yarn", true, true, scale_yarn},
    {"longrope", false, true, scale_longrope}, {"divisors", false, false, scale_divisors},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

static enum pb_status find_kind(const struct pb_config_json *json, const json_t *rope, size_t *out,
				struct pb_error *err)
{
	const json_t *type = json_object_get(rope, "rope_type");
	const char *name;

	if (type == NULL)
		type = json_object_get(rope, "type");
	name = type == NULL ? "default" : json_string_value(type);
	for (*out = 0; name != NULL && *out < N_KINDS; (*out)++)
		/* no config.json has divisors */
		if (strcmp(name, kinds[*out].name) == 0 &&
		    (kinds[*out].scale != scale_divisors || json->text == NULL))
			return PB_OK;
	return pb_fail(
	    err, PB_ERR_INPUT,
	    "rotary embedding not supported: %s, key rope_type of the rotary parameters: "
	    "%s: default, linear, dynamic, llama3, yarn and longrope are",
	    json->path, name != NULL ? name : "(not a string)");
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum pb_status read_dims(const struct pb_config_json *json, double share,
				struct pb_arch *arch, struct pb_error *err)
{
	if (!(share >= 0.0 && share <= 1.0))
		return wrong(json, "partial_rotary_factor (rotary_pct)", "a number from 0 to 1",
			     err);
	arch->rotary_dims = (size_t)((double)arch->d_head * share);
	if (arch->rotary_dims % 2 != 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "rotary embedding not supported: %s, partial_rotary_factor "
			       "(rotary_pct): %zu of %zu head dimensions would rotate: the number "
			       "must be even",
			       json->path, arch->rotary_dims, arch->d_head);
	return PB_OK;
}

enum pb_status pb_rope_read(const struct pb_config_json *json, const json_t *rope, double base,
			    double share, struct pb_family_config *config, size_t index,
			    struct pb_error *err)
{
	enum pb_status status;
	struct rope_keys keys = {.json = json,
				 .object = rope,
				 .rope = &config->ropes[index],
				 .context = (double)config->arch.n_context};
	size_t kind, original = config->arch.n_context;

	if (rope != NULL && !json_is_object(rope))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong value: %s, key rope_parameters: expected objects",
			       json->path);
	PB_TRY(find_kind(json, rope, &kind, err));
	PB_TRY(read_number(json, rope, "partial_rotary_factor", &share, err));
	PB_TRY(read_number(json, rope, "rope_theta", &base, err));
	if (!(base > 0.0))
		return wrong(json, "rope_theta (rotary_emb_base)", "a number above 0", err);
	PB_TRY(read_dims(json, share, &config->arch, err));
	PB_TRY(pb_family_config_rope(config, index, base, err));
	keys.rope->scaling = kinds[kind].name;
	keys.dims = config->arch.rotary_dims;
	keys.base = base;
	if (keys.dims == 0)
		return PB_OK;
	if (kinds[kind].factor)
		PB_TRY(need_number(json, rope, "factor", &keys.factor, err));
	if (kinds[kind].original) {
		/* beside the object (Phi-3) it goes before */
		keys.original = (double)original;
		PB_TRY(read_number(json, rope, "original_max_position_embeddings", &keys.original,
				   err));
		PB_TRY(
		    pb_config_real(json, "original_max_position_embeddings", &keys.original, err));
		if (!(keys.original >= 2.0))
			return wrong(json, "original_max_position_embeddings", "a length", err);
	}
	PB_TRY(kinds[kind].scale(&keys, err));
cleanup:
	return status;
}

enum pb_status pb_rope_read_config(const struct pb_config_json *json, double base, double share,
				   struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	const json_t *rope;

	PB_TRY(pb_config_real(json, "rope_theta", &base, err));
	PB_TRY(pb_config_real(json, "partial_rotary_factor", &share, err));
	PB_TRY(pb_rope_find(json, &rope, err));
	PB_TRY(pb_rope_read(json, rope, base, share, config, 0, err));
cleanup:
	return status;
}
