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
     .when = PB_WHEN_ATTENTION_BIAS},
    {"attention.query_key_value.bias", LAYER(k_bias), VECTOR(PB_DIM_KV), FUSED(BY_HEAD, K),
     .when = PB_WHEN_ATTENTION_BIAS},
    {"attention.query_key_value.bias", LAYER(v_bias), VECTOR(PB_DIM_KV), FUSED(BY_HEAD, V),
     .when = PB_WHEN_ATTENTION_BIAS},
    {"attention.dense.weight", LAYER(o), LINEAR(PB_DIM_Q, PB_DIM_WIDTH)},
    {"attention.dense.bias", LAYER(o_bias), VECTOR(PB_DIM_WIDTH), .when = PB_WHEN_OUTPUT_BIAS},
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

/* ---- Llama and its successors ------------------------------------------------------------- */

#define IF(condition) .when = PB_WHEN_##condition

/* Attention with separate projections; `out` is what the output is called. */
#define ATTENTION(out)                                                                             \
	{"self_attn.q_proj.weight", LAYER(q), LINEAR(PB_DIM_WIDTH, PB_DIM_Q)},                     \
	    {"self_attn.k_proj.weight", LAYER(k), LINEAR(PB_DIM_WIDTH, PB_DIM_KV)},                \
	    {"self_attn.v_proj.weight", LAYER(v), LINEAR(PB_DIM_WIDTH, PB_DIM_KV)},                \
	    {"self_attn.q_proj.bias", LAYER(q_bias), VECTOR(PB_DIM_Q), IF(ATTENTION_BIAS)},        \
	    {"self_attn.k_proj.bias", LAYER(k_bias), VECTOR(PB_DIM_KV), IF(ATTENTION_BIAS)},       \
	    {"self_attn.v_proj.bias", LAYER(v_bias), VECTOR(PB_DIM_KV), IF(ATTENTION_BIAS)},       \
	    {"self_attn." out ".weight", LAYER(o), LINEAR(PB_DIM_Q, PB_DIM_WIDTH)},                \
	{                                                                                          \
		"self_attn." out ".bias", LAYER(o_bias), VECTOR(PB_DIM_WIDTH), IF(OUTPUT_BIAS)     \
	}
#define GATED_MLP                                                                                  \
	{"mlp.gate_proj.weight", LAYER(mlp_gate), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP)},               \
	    {"mlp.up_proj.weight", LAYER(mlp_in), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP)},               \
	    {"mlp.down_proj.weight", LAYER(mlp_out), LINEAR(PB_DIM_MLP, PB_DIM_WIDTH)},            \
	    {"mlp.gate_proj.bias", LAYER(mlp_gate_bias), VECTOR(PB_DIM_MLP), IF(MLP_BIAS)},        \
	    {"mlp.up_proj.bias", LAYER(mlp_in_bias), VECTOR(PB_DIM_MLP), IF(MLP_BIAS)},            \
	{                                                                                          \
		"mlp.down_proj.bias", LAYER(mlp_out_bias), VECTOR(PB_DIM_WIDTH), IF(MLP_BIAS)      \
	}
/* A norm's weight, stored as it is or (Gemma) without the 1 that is added to it. */
#define NORM(name, member)                                                                         \
	{                                                                                          \
		name ".weight", LAYER(member), VECTOR(PB_DIM_WIDTH)                                \
	}
#define NORM_PLUS_ONE(name, member)                                                                \
	{                                                                                          \
		name ".weight", LAYER(member), VECTOR(PB_DIM_WIDTH), .plus = 1.0f                  \
	}
#define NORM_BIAS(name, member)                                                                    \
	{                                                                                          \
		name ".bias", LAYER(member), VECTOR(PB_DIM_WIDTH)                                  \
	}

static const struct pb_view_rule llama_layer_rules[] = {
    NORM("input_layernorm", norm1_weight),
    ATTENTION("o_proj"),
    NORM("post_attention_layernorm", norm2_weight),
    GATED_MLP,
    {0},
};

static const struct pb_view_rule llama_model_rules[] = {
    {"embed_tokens.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {"norm.weight", MODEL(final_norm_weight), VECTOR(PB_DIM_WIDTH)},
    {0},
};

static const struct pb_view_rule qwen3_layer_rules[] = {
    NORM("input_layernorm", norm1_weight),
    ATTENTION("o_proj"),
    {"self_attn.q_norm.weight", LAYER(q_norm_weight), VECTOR(PB_DIM_Q), .every_head = true},
    {"self_attn.k_norm.weight", LAYER(k_norm_weight), VECTOR(PB_DIM_KV), .every_head = true},
    NORM("post_attention_layernorm", norm2_weight),
    GATED_MLP,
    {0},
};

static const struct pb_view_rule gemma_layer_rules[] = {
    NORM_PLUS_ONE("input_layernorm", norm1_weight),
    ATTENTION("o_proj"),
    NORM_PLUS_ONE("post_attention_layernorm", norm2_weight),
    GATED_MLP,
    {0},
};

/* Four norms a block: the one after attention has the name of Llama's before the MLP. Gemma 3 has
 * norms of q and k too. */
static const struct pb_view_rule gemma2_layer_rules[] = {
    NORM_PLUS_ONE("input_layernorm", norm1_weight),
    ATTENTION("o_proj"),
    {"self_attn.q_norm.weight", LAYER(q_norm_weight), VECTOR(PB_DIM_Q), IF(QK_NORM),
     .every_head = true, .plus = 1.0f},
    {"self_attn.k_norm.weight", LAYER(k_norm_weight), VECTOR(PB_DIM_KV), IF(QK_NORM),
     .every_head = true, .plus = 1.0f},
    NORM_PLUS_ONE("post_attention_layernorm", attn_post_norm_weight),
    NORM_PLUS_ONE("pre_feedforward_layernorm", norm2_weight),
    GATED_MLP,
    NORM_PLUS_ONE("post_feedforward_layernorm", mlp_post_norm_weight),
    {0},
};

static const struct pb_view_rule gemma_model_rules[] = {
    {"embed_tokens.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {"norm.weight", MODEL(final_norm_weight), VECTOR(PB_DIM_WIDTH), .plus = 1.0f},
    {0},
};

/* One norm a block, for attention and MLP. */
static const struct pb_view_rule phi_layer_rules[] = {
    NORM("input_layernorm", norm1_weight),
    NORM_BIAS("input_layernorm", norm1_bias),
    NORM("input_layernorm", norm2_weight),
    NORM_BIAS("input_layernorm", norm2_bias),
    ATTENTION("dense"),
    {"self_attn.q_layernorm.weight", LAYER(q_norm_weight), VECTOR(PB_DIM_Q), IF(QK_NORM),
     .every_head = true},
    {"self_attn.q_layernorm.bias", LAYER(q_norm_bias), VECTOR(PB_DIM_Q), IF(QK_NORM),
     .every_head = true},
    {"self_attn.k_layernorm.weight", LAYER(k_norm_weight), VECTOR(PB_DIM_KV), IF(QK_NORM),
     .every_head = true},
    {"self_attn.k_layernorm.bias", LAYER(k_norm_bias), VECTOR(PB_DIM_KV), IF(QK_NORM),
     .every_head = true},
    {"mlp.fc1.weight", LAYER(mlp_in), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP)},
    {"mlp.fc1.bias", LAYER(mlp_in_bias), VECTOR(PB_DIM_MLP)},
    {"mlp.fc2.weight", LAYER(mlp_out), LINEAR(PB_DIM_MLP, PB_DIM_WIDTH)},
    {"mlp.fc2.bias", LAYER(mlp_out_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

static const struct pb_view_rule phi_model_rules[] = {
    {"embed_tokens.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {"final_layernorm.weight", MODEL(final_norm_weight), VECTOR(PB_DIM_WIDTH)},
    {"final_layernorm.bias", MODEL(final_norm_bias), VECTOR(PB_DIM_WIDTH)},
    {"lm_head.bias", MODEL(unembed_bias), VECTOR(PB_DIM_VOCAB), .outside = true},
    {0},
};

static const struct pb_view_rule phi3_layer_rules[] = {
    NORM("input_layernorm", norm1_weight),
    {"self_attn.qkv_proj.weight", LAYER(q), LINEAR(PB_DIM_WIDTH, PB_DIM_Q), FUSED(BLOCKS, Q)},
    {"self_attn.qkv_proj.weight", LAYER(k), LINEAR(PB_DIM_WIDTH, PB_DIM_KV), FUSED(BLOCKS, K)},
    {"self_attn.qkv_proj.weight", LAYER(v), LINEAR(PB_DIM_WIDTH, PB_DIM_KV), FUSED(BLOCKS, V)},
    {"self_attn.o_proj.weight", LAYER(o), LINEAR(PB_DIM_Q, PB_DIM_WIDTH)},
    NORM("post_attention_layernorm", norm2_weight),
    {"mlp.gate_up_proj.weight", LAYER(mlp_gate), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP),
     FUSED(GATE, GATE)},
    {"mlp.gate_up_proj.weight", LAYER(mlp_in), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP), FUSED(GATE, UP)},
    {"mlp.down_proj.weight", LAYER(mlp_out), LINEAR(PB_DIM_MLP, PB_DIM_WIDTH)},
    {0},
};

/* Norms without weights. */
static const struct pb_view_rule olmo_layer_rules[] = {
    ATTENTION("o_proj"),
    GATED_MLP,
    {0},
};

static const struct pb_view_rule olmo_model_rules[] = {
    {"embed_tokens.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {0},
};

static const struct pb_view_rule olmo2_layer_rules[] = {
    ATTENTION("o_proj"),
    {"self_attn.q_norm.weight", LAYER(q_norm_weight), VECTOR(PB_DIM_Q)},
    {"self_attn.k_norm.weight", LAYER(k_norm_weight), VECTOR(PB_DIM_KV)},
    NORM("post_attention_layernorm", attn_post_norm_weight),
    GATED_MLP,
    NORM("post_feedforward_layernorm", mlp_post_norm_weight),
    {0},
};

static const struct pb_view_rule stablelm_layer_rules[] = {
    NORM("input_layernorm", norm1_weight),
    NORM_BIAS("input_layernorm", norm1_bias),
    ATTENTION("o_proj"),
    {"post_attention_layernorm.weight", LAYER(norm2_weight), VECTOR(PB_DIM_WIDTH), IF(SEQUENTIAL)},
    {"post_attention_layernorm.bias", LAYER(norm2_bias), VECTOR(PB_DIM_WIDTH), IF(SEQUENTIAL)},
    {"input_layernorm.weight", LAYER(norm2_weight), VECTOR(PB_DIM_WIDTH), IF(PARALLEL)},
    {"input_layernorm.bias", LAYER(norm2_bias), VECTOR(PB_DIM_WIDTH), IF(PARALLEL)},
    GATED_MLP,
    {0},
};

static const struct pb_view_rule stablelm_model_rules[] = {
    {"embed_tokens.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {"norm.weight", MODEL(final_norm_weight), VECTOR(PB_DIM_WIDTH)},
    {"norm.bias", MODEL(final_norm_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

/* ---- GPT-J ------------------------------------------------------------------------------ */

static const struct pb_view_rule gptj_layer_rules[] = {
    NORM("ln_1", norm1_weight),
    NORM_BIAS("ln_1", norm1_bias),
    NORM("ln_1", norm2_weight),
    NORM_BIAS("ln_1", norm2_bias),
    {"attn.q_proj.weight", LAYER(q), LINEAR(PB_DIM_WIDTH, PB_DIM_Q)},
    {"attn.k_proj.weight", LAYER(k), LINEAR(PB_DIM_WIDTH, PB_DIM_KV)},
    {"attn.v_proj.weight", LAYER(v), LINEAR(PB_DIM_WIDTH, PB_DIM_KV)},
    {"attn.out_proj.weight", LAYER(o), LINEAR(PB_DIM_Q, PB_DIM_WIDTH)},
    {"mlp.fc_in.weight", LAYER(mlp_in), LINEAR(PB_DIM_WIDTH, PB_DIM_MLP)},
    {"mlp.fc_in.bias", LAYER(mlp_in_bias), VECTOR(PB_DIM_MLP)},
    {"mlp.fc_out.weight", LAYER(mlp_out), LINEAR(PB_DIM_MLP, PB_DIM_WIDTH)},
    {"mlp.fc_out.bias", LAYER(mlp_out_bias), VECTOR(PB_DIM_WIDTH)},
    {0},
};

static const struct pb_view_rule gptj_model_rules[] = {
    {"wte.weight", MODEL(embed), LOOKUP(PB_DIM_VOCAB)},
    {"ln_f.weight", MODEL(final_norm_weight), VECTOR(PB_DIM_WIDTH)},
    {"ln_f.bias", MODEL(final_norm_bias), VECTOR(PB_DIM_WIDTH)},
    {"lm_head.bias", MODEL(unembed_bias), VECTOR(PB_DIM_VOCAB), .outside = true},
    {0},
};

/* ---- the table -------------------------------------------------------------------------- */

/* What the rows of Llama's successors share. */
#define LLAMA_LIKE(type, layer, model)                                                             \
	{                                                                                          \
		.model_type = (type), .prefix = "model.", .layer_prefix = "layers.",               \
		.layer_rules = (layer), .model_rules = (model),                                    \
		.output_names = {"lm_head.weight"}, .buffers = {"rotary_emb.inv_freq"},            \
		.read_config = pb_llama_read_config, .read_layers = pb_llama_read_layers,          \
	}

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
	.read_layers = pb_plain_read_layers,
    },
    {
	.model_type = "gptj",
	.prefix = "transformer.",
	.layer_prefix = "h.",
	.layer_rules = gptj_layer_rules,
	.model_rules = gptj_model_rules,
	.output_names = {"lm_head.weight"},
	.buffers = {"attn.bias", "attn.masked_bias", "attn.embed_positions"},
	.read_config = pb_gptj_read_config,
	.read_layers = pb_plain_read_layers,
    },
    LLAMA_LIKE("llama", llama_layer_rules, llama_model_rules),
    LLAMA_LIKE("mistral", llama_layer_rules, llama_model_rules),
    LLAMA_LIKE("qwen2", llama_layer_rules, llama_model_rules),
    LLAMA_LIKE("qwen3", qwen3_layer_rules, llama_model_rules),
    LLAMA_LIKE("gemma", gemma_layer_rules, gemma_model_rules),
    LLAMA_LIKE("gemma2", gemma2_layer_rules, gemma_model_rules),
    LLAMA_LIKE("gemma3_text", gemma2_layer_rules, gemma_model_rules),
    LLAMA_LIKE("phi", phi_layer_rules, phi_model_rules),
    LLAMA_LIKE("phi3", phi3_layer_rules, llama_model_rules),
    LLAMA_LIKE("olmo", olmo_layer_rules, olmo_model_rules),
    LLAMA_LIKE("olmo2", olmo2_layer_rules, llama_model_rules),
    LLAMA_LIKE("stablelm", stablelm_layer_rules, stablelm_model_rules),
    LLAMA_LIKE("smollm3", llama_layer_rules, llama_model_rules),
    {0},
};

enum pb_status pb_family_find(const struct pb_family **out, const struct pb_config_json *json,
			      struct pb_error *err)
{
	enum pb_status status;
	const char *type = NULL;
	char known[512] = "";
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
