/* What a model owns beside its views: the files they lie in. */
#ifndef PB_MODEL_MODEL_FILES_H
#define PB_MODEL_MODEL_FILES_H

#include "model/checkpoint.h"
#include "model/config_json.h"
#include "model/families.h"

struct pb_model_files {
	struct pb_config_json config;
	struct pb_checkpoint weights;
	bool tied;
};

/* Fill every view of `model` (its layers allocated, its files open) by the family's rules, and
 * see that every tensor of the file is used or a known buffer. Sets arch.n_vocab where the config
 * does not say it. PB_ERR_INPUT names file and tensor. */
enum pb_status pb_views_bind(struct pb_model *model, const struct pb_family *family,
			     const struct pb_family_config *config, struct pb_error *err);

/* Which of the formats that a model computes with a tensor has; false: none of them. */
bool pb_tensor_dtype(const struct pb_tensor *tensor, enum pb_dtype *out);

#endif
