/* What the readers of the families' configs share. */
#ifndef PB_MODEL_FAMILY_PARTS_H
#define PB_MODEL_FAMILY_PARTS_H

#include "model/family_config.h"

/* Each: an absent key means the fallback. */
enum pb_status pb_config_read_activation(const struct pb_config_json *json, const char *key,
					 const char *fallback, enum pb_activation *out,
					 struct pb_error *err);
enum pb_status pb_config_read_eps(const struct pb_config_json *json, const char *key,
				  double fallback, float *out, struct pb_error *err);
enum pb_status pb_config_read_vocab(const struct pb_config_json *json,
				    struct pb_family_config *config, struct pb_error *err);
/* Head width and the head counts of a family without grouped queries. */
enum pb_status pb_config_split_heads(const struct pb_config_json *json, const char *width_key,
				     const char *heads_key, struct pb_arch *arch,
				     struct pb_error *err);
/* 1/sqrt of the head width. */
float pb_usual_score_scale(const struct pb_arch *arch);

/* The object that says how positions rotate (rope_scaling goes before rope_parameters, as in the
 * configuration classes), NULL without one. */
enum pb_status pb_rope_find(const struct pb_config_json *json, const json_t **out,
			    struct pb_error *err);
/* Rope `index` from such an object (may be NULL): its frequencies by rope_type, rope_theta and
 * partial_rotary_factor (absent: base, share). Sets arch.rotary_dims. Every other kind than
 * default, linear, dynamic (up to the context it is the default), yarn, longrope and llama3 is
 * refused. Formulas: Peng et al. 2023 (arXiv 2309.00071) for yarn, Ding et al. 2024 (arXiv
 * 2402.13753) for longrope; design notes of `transformers` for the rest. */
enum pb_status pb_rope_read(const struct pb_config_json *json, const json_t *rope, double base,
			    double share, struct pb_family_config *config, size_t index,
			    struct pb_error *err);
/* Rope 0 from the config's object and its keys rope_theta and partial_rotary_factor. */
enum pb_status pb_rope_read_config(const struct pb_config_json *json, double base, double share,
				   struct pb_family_config *config, struct pb_error *err);

#endif
