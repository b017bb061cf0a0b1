/* What each key of a config.json meant to the model, and which were ignored. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_files.h"

static const struct {
	const char *key, *meaning;
} meanings[] = {
    {"activation_function", "activation of the MLP"},
    {"attention_bias", "biases of q, k, v and attention's output"},
    {"attention_layers", "which layers have a window, one by one"},
    {"attention_types", "which layers have a window, as a repeated pattern"},
    {"attn_logit_softcapping", "scores s become cap tanh(s / cap)"},
    {"clip_qkv", "clamping of q, k, v (not supported)"},
    {"final_logit_softcapping", "logits x become cap tanh(x / cap)"},
    {"head_dim", "width of a head"},
    {"hidden_act", "activation of the MLP"},
    {"hidden_activation", "activation of the MLP"},
    {"hidden_size", "width of the residual stream"},
    {"intermediate_size", "width of the MLP"},
    {"layer_norm_eps", "added to the variance in norms"},
    {"layer_norm_epsilon", "added to the variance in norms"},
    {"layer_types", "which layers have a window"},
    {"max_position_embeddings", "longest prompt"},
    {"max_window_layers", "first layer with a window"},
    {"mlp_bias", "biases of the MLP"},
    {"model_type", "the family"},
    {"n_embd", "width of the residual stream"},
    {"n_head", "query heads"},
    {"n_inner", "width of the MLP (null: four times the stream's)"},
    {"n_layer", "layers"},
    {"n_positions", "longest prompt"},
    {"no_rope_layer_interval", "the layer of each so many without rotation"},
    {"no_rope_layers", "layers with rotation (1) and without (0)"},
    {"num_attention_heads", "query heads"},
    {"num_heads", "query heads"},
    {"num_hidden_layers", "layers"},
    {"num_key_value_heads", "heads for keys and values"},
    {"num_layers", "layers"},
    {"original_max_position_embeddings", "context before it was stretched"},
    {"partial_rotary_factor", "share of a head that rotates"},
    {"qk_layernorm", "norms of q and k"},
    {"query_pre_attn_scalar", "scores are times this to the -1/2"},
    {"rms_norm_eps", "added to the mean square in norms"},
    {"rope_local_base_freq", "base of the rotation in layers with a window"},
    {"rope_parameters", "how positions rotate"},
    {"rope_scaling", "how positions rotate"},
    {"rope_theta", "base of the rotation"},
    {"rotary_dim", "dimensions of a head that rotate"},
    {"rotary_emb_base", "base of the rotation"},
    {"rotary_pct", "share of a head that rotates"},
    {"scale_attn_by_inverse_layer_idx", "scores of layer l are divided by l + 1"},
    {"scale_attn_weights", "scores are divided by the root of the head's width"},
    {"sliding_window", "tokens that a layer with a window sees"},
    {"_sliding_window_pattern", "the layer of each so many without a window"},
    {"sliding_window_pattern", "the layer of each so many without a window"},
    {"tie_word_embeddings", "whether the unembedding is the embedding"},
    {"use_parallel_residual", "attention and MLP read the same stream"},
    {"use_qkv_bias", "biases of q, k, v"},
    {"use_sliding_window", "whether windows are in use"},
    {"vocab_size", "rows of the embedding"},
    {"window_size", "tokens that a local layer sees"},
};

static const char *meaning_of(const char *key)
{
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (strcmp(key, meanings[i].key) == 0)
			return meanings[i].meaning;
	return "checked: nothing that changes the model";
}

static bool plain(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* A value on one line, cut where it is long. */
static void print_value(FILE *out, const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII |
					   JSON_REAL_PRECISION(9));

	if (text == NULL)
		fprintf(out, "?");
	else if (strlen(text) > 60)
		fprintf(out, "%.57s...", text);
	else
		fprintf(out, "%s", text);
	free(text);
}

void pb_config_json_describe(const struct pb_config_json *config, FILE *out)
{
	const char *key, *label = "config keys";
	size_t n_ignored = 0;
	json_t *value;

	json_object_foreach(config->root, key, value)
	{
		if (json_object_get(config->read, key) == NULL || !plain(key))
			continue;
		fprintf(out, "%-14s%s = ", label, key);
		print_value(out, value);
		fprintf(out, ": %s\n", meaning_of(key));
		label = "";
	}
	fprintf(out, "%-14s", "ignored keys");
	json_object_foreach(config->root, key, value)
	{
		if (json_object_get(config->read, key) != NULL || !plain(key))
			continue;
		fprintf(out, "%s%s", n_ignored++ > 0 ? ", " : "", key);
	}
	fprintf(out, "%s\n", n_ignored > 0 ? "" : "none");
}
