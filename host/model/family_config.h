/* How each family's config.json is read. */
#ifndef PB_MODEL_FAMILY_CONFIG_H
#define PB_MODEL_FAMILY_CONFIG_H

#include "model/config_json.h"
#include "patchbay/model.h"

/* What a config says beyond the block description. */
struct pb_family_config {
	struct pb_arch arch;
	struct pb_rope ropes[PB_ROPES_MAX]; /* the model takes them over */
	bool vocab_given; /* config.json has vocab_size; else the embedding's rows decide */
	bool tied;        /* the output matrix is the embedding */
	/* Biases of q, k and v, of attention's output, of the MLP, where a family has the choice */
	bool attention_bias, output_bias, mlp_bias;
};

/* Refuses the keys that would change every family's results and that nothing here computes. Keys
 * that are not read at all (dropout, caches, initialisation, precision in training) change none. */
enum pb_status pb_family_config_refuse(const struct pb_config_json *json, struct pb_error *err);

/* The plain rotary embedding of config->arch.rotary_dims dimensions as rope `index`. */
enum pb_status pb_family_config_rope(struct pb_family_config *config, size_t index, double base,
				     struct pb_error *err);
void pb_ropes_free(struct pb_rope *ropes);

/* pb_<family>_read_config fills the whole of *config; pb_<family>_read_layers fills score_scale and
 * window of each of the arch.n_layers layers. Absent keys mean what the family's configuration
 * class says. PB_ERR_INPUT names file and key. */
enum pb_status pb_gpt2_read_config(const struct pb_config_json *json,
				   struct pb_family_config *config, struct pb_error *err);
enum pb_status pb_gpt2_read_layers(const struct pb_config_json *json,
				   const struct pb_family_config *config, struct pb_layer *layers,
				   struct pb_error *err);
enum pb_status pb_gpt_neo_read_config(const struct pb_config_json *json,
				      struct pb_family_config *config, struct pb_error *err);
enum pb_status pb_gpt_neo_read_layers(const struct pb_config_json *json,
				      const struct pb_family_config *config,
				      struct pb_layer *layers, struct pb_error *err);
enum pb_status pb_gpt_neox_read_config(const struct pb_config_json *json,
				       struct pb_family_config *config, struct pb_error *err);
enum pb_status pb_gptj_read_config(const struct pb_config_json *json,
				   struct pb_family_config *config, struct pb_error *err);
/* Scores by the head's width, no windows (GPT-NeoX, GPT-J). */
enum pb_status pb_plain_read_layers(const struct pb_config_json *json,
				    const struct pb_family_config *config, struct pb_layer *layers,
				    struct pb_error *err);
/* Llama and what came after it: family_llama.c has a row of defaults for each model_type. */
enum pb_status pb_llama_read_config(const struct pb_config_json *json,
				    struct pb_family_config *config, struct pb_error *err);
enum pb_status pb_llama_read_layers(const struct pb_config_json *json,
				    const struct pb_family_config *config, struct pb_layer *layers,
				    struct pb_error *err);

#endif
