/* The families: one row each, and the names and layouts of their tensors. */
#include "model/families.h"

#include <stddef.h>
#include <string.h>

#include "model/family_config.h"

/* Fields of a rule that every family writes the same way. */
#define LAYER(member) .field = offsetof(struct pb_layer, member)
#define MODEL(member) .field = offsetof(struct pb_model, member)
#define VECTOR(dim) .stored = PB_STORED_VECTOR, .out = (dim)
#define CONV1D(from, to) .stored = PB_STORED_IN_OUT, .in = (from), .out = (to)
#define LINEAR(from, to) .stored = PB_STORED_OUT_IN, .in = (from), .out = (to)
#define LOOKUP(rows) .stored = PB_STORED_IN_OUT, .in = (rows), .out = PB_DIM_WIDTH
#define FUSED(kind, which) .fused = PB_FUSED_##kind, .part = PB_PART_##which

/* GPT-2's and GPT-Neo's tensors outside the layers. */
static const struct pb_view_rule gpt2_model_rules[] = {
    {"wte.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {"wpe.weight", MODEL(pos_embed), LOOKUP(PB_DIM_CONTEXT)},
    {"ln_f.weight", MODEL(final_norm_weight), VECTOR(PB_DIM_WIDTH)},
    {"ln_f.bias", MODEL(final_norm_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

/* ---- GPT-2 ------------------------------------------------------------------------------ */

static const struct pb_view_rule gpt2_layer_rules[] = {
    {"ln_1.weight", LAYER(norm1_weight), VECTOR(PB_DIM_WIDTH)},
    {"ln_1.bias", LAYER(norm1_bias), VECTOR(PB_DIM_WIDTH)},
    {"attn.c_attn.weight", LAYER(q), CONV1D(PB_DIM_WIDTH, PB_DIM_Q), FUSED(BLOCKS, Q)},
    {"attn.c_attn.weight", LAYER(k), CONV1D(PB_DIM_WIDTH, PB_DIM_KV), FUSED(BLOCKS, K)},
    {"attn.c_attn.weight", LAYER(v), CONV1D(PB_DIM_WIDTH, PB_DIM_KV), FUSED(BLOCKS, V)},
    {"attn.c_attn.bias", LAYER(q_bias), VECTOR(PB_DIM_Q), FUSED(BLOCKS, Q)},
    {"attn.c_attn.bias", LAYER(k_bias), VECTOR(PB_DIM_KV), FUSED(BLOCKS, K)},
    {"attn.c_attn.bias", LAYER(v_bias), VECTOR(PB_DIM_KV), FUSED(BLOCKS, V)},
    {"attn.c_proj.weight", LAYER(o), CONV1D(PB_DIM_Q, PB_DIM_WIDTH)},
    {"attn.c_proj.bias", LAYER(o_bias), VECTOR(PB_DIM_WIDTH)},
    {"ln_2.weight", LAYER(norm2_weight), VECTOR(PB_DIM_WIDTH)},
    {"ln_2.bias", LAYER(norm2_bias), VECTOR(PB_DIM_WIDTH)},
    {"mlp.c_fc.weight", LAYER(mlp_in), CONV1D(PB_DIM_WIDTH, PB_DIM_MLP)},
    {"mlp.c_fc.bias", LAYER(mlp_in_bias), VECTOR(PB_DIM_MLP)},
    {"mlp.c_proj.weight", LAYER(mlp_out), CONV1D(PB_DIM_MLP, PB_DIM_WIDTH)},
    {"mlp.c_proj.bias", LAYER(mlp_out_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

/* ---- GPT-Neo ---------------------------------------------------------------------------- */

static const struct pb_view_rule gpt_neo_layer_rules[] = {
    {"ln_1.weight", LAYER(norm1_weight), VECTOR(PB_DIM_WIDTH)},
    {"ln_1.bias", LAYER(norm1_bias), VECTOR(PB_DIM_WIDTH)},
    {"attn.attention.q_proj.weight", LAYER(q), LINEAR(PB_DIM_WIDTH, PB_DIM_Q)},
    {"attn.attention.k_proj.weight", LAYER(k), LINEAR(PB_DIM_WIDTH, PB_DIM_KV)},
    {"attn.attention.v_proj.weight", LAYER(v), LINEAR(PB_DIM_WIDTH, PB_DIM_KV)},
    {"attn.attention.out_proj.weight", LAYER(o), LINEAR(PB_DIM_Q, PB_DIM_WIDTH)},
    {"attn.attention.out_proj.bias", LAYER(o_bias), VECTOR(PB_DIM_WIDTH)},
    {"ln_2.weight", LAYER(norm2_weight), VECTOR(PB_DIM_WIDTH)},
    {"ln_2.bias", LAYER(norm2_bias), VECTOR(PB_DIM_WIDTH)},
    {"mlp.c_fc.weight", LAYER(mlp_in), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP)},
    {"mlp.c_fc.bias", LAYER(mlp_in_bias), VECTOR(PB_DIM_MLP)},
    {"mlp.c_proj.weight", LAYER(mlp_out), LINEAR(PB_DIM_MLP, PB_DIM_WIDTH)},
    {"mlp.c_proj.bias", LAYER(mlp_out_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

/* ---- GPT-NeoX --------------------------------------------------------------------------- */

static const struct pb_view_rule gpt_neox_layer_rules[] = {
    {"input_layernorm.weight", LAYER(norm1_weight), VECTOR(PB_DIM_WIDTH)},
    {"input_layernorm.bias", LAYER(norm1_bias), VECTOR(PB_DIM_WIDTH)},
    {"attention.query_key_value.weight", LAYER(q), LINEAR(PB_DIM_WIDTH, PB_DIM_Q),
     FUSED(BY_HEAD, Q)},
    {"attention.query_key_value.weight", LAYER(k), LINEAR(PB_DIM_WIDTH, PB_DIM_KV),
     FUSED(BY_HEAD, K)},
    {"attention.query_key_value.weight", LAYER(v), LINEAR(PB_DIM_WIDTH, PB_DIM_KV),
     FUSED(BY_HEAD, V)},
    {"attention.query_key_value.bias", LAYER(q_bias), VECTOR(PB_DIM_Q), FUSED(BY_HEAD, Q),
     .attention_bias = true},
    {"attention.query_key_value.bias", LAYER(k_bias), VECTOR(PB_DIM_KV), FUSED(BY_HEAD, K),
     .attention_bias = true},
    {"attention.query_key_value.bias", LAYER(v_bias), VECTOR(PB_DIM_KV), FUSED(BY_HEAD, V),
     .attention_bias = true},
    {"attention.dense.weight", LAYER(o), LINEAR(PB_DIM_Q, PB_DIM_WIDTH)},
    {"attention.dense.bias", LAYER(o_bias), VECTOR(PB_DIM_WIDTH), .attention_bias = true},
    {"post_attention_layernorm.weight", LAYER(norm2_weight), VECTOR(PB_DIM_WIDTH)},
    {"post_attention_layernorm.bias", LAYER(norm2_bias), VECTOR(PB_DIM_WIDTH)},
    {"mlp.dense_h_to_4h.weight", LAYER(mlp_in), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP)},
    {"mlp.dense_h_to_4h.bias", LAYER(mlp_in_bias), VECTOR(PB_DIM_MLP)},
    {"mlp.dense_4h_to_h.weight", LAYER(mlp_out), LINEAR(PB_DIM_MLP, PB_DIM_WIDTH)},
    {"mlp.dense_4h_to_h.bias", LAYER(mlp_out_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

static const struct pb_view_rule gpt_neox_model_rules[] = {
    {"embed_in.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {"final_layer_norm.weight", MODEL(final_norm_weight), VECTOR(PB_DIM_WIDTH)},
    {"final_layer_norm.bias", MODEL(final_norm_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

/* ---- the table -------------------------------------------------------------------------- */

const struct pb_family pb_families[] = {
    {
	.model_type = "gpt2",
	.prefix = "transformer.",
	.layer_prefix = "h.",
	.layer_rules = gpt2_layer_rules,
	.model_rules = gpt2_model_rules,
	.output_names = {"lm_head.weight"},
	.buffers = {"attn.bias", "attn.masked_bias"},
	.read_config = pb_gpt2_read_config,
	.read_layers = pb_gpt2_read_layers,
    },
    {
	.model_type = "gpt_neo",
	.prefix = "transformer.",
	.layer_prefix = "h.",
	.layer_rules = gpt_neo_layer_rules,
	.model_rules = gpt2_model_rules,
	.output_names = {"lm_head.weight"},
	.buffers = {"attn.attention.bias", "attn.attention.masked_bias"},
	.read_config = pb_gpt_neo_read_config,
	.read_layers = pb_gpt_neo_read_layers,
    },
    {
	.model_type = "gpt_neox",
	.prefix = "gpt_neox.",
	.layer_prefix = "layers.",
	.layer_rules = gpt_neox_layer_rules,
	.model_rules = gpt_neox_model_rules,
	/* embed_out until transformers 5, which writes either. */
	.output_names = {"embed_out.weight", "lm_head.weight"},
	.buffers = {"attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"},
	.read_config = pb_gpt_neox_read_config,
	.read_layers = pb_gpt_neox_read_layers,
    },
    {0},
};

enum pb_status pb_family_find(const struct pb_family **out, const struct pb_config_json *json,
			      struct pb_error *err)
{
	enum pb_status status;
	const char *type = NULL;
	char known[256] = "";
	const struct pb_family *family;
	size_t used = 0;

	PB_TRY(pb_config_string(json, "model_type", &type, err));
	for (family = pb_families; family->model_type != NULL; family++) {
		if (type != NULL && strcmp(type, family->model_type) == 0) {
			*out = family;
			return pb_family_config_refuse(json, err);
		}
		if (used < sizeof known)
			used += (size_t)snprintf(known + used, sizeof known - used, "%s%s",
						 used > 0 ? ", " : "", family->model_type);
	}
	return pb_fail(err, PB_ERR_INPUT,
		       "unknown model family: %s, key model_type: %s: known are %s", json->path,
		       type != NULL ? type : "absent", known);
cleanup:
	return status;
}
