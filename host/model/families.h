/* The table of model families: how each family's config.json is read, what its tensors are called
 * and how they are laid out. A new family is one row of pb_families in families.c: its two
 * readers, its tensor names as rules, the names of its output matrix, its buffers. */
#ifndef PB_MODEL_FAMILIES_H
#define PB_MODEL_FAMILIES_H

#include "model/family_config.h"
#include "patchbay/model.h"

/* A size of the block description. */
enum pb_dim { PB_DIM_WIDTH, PB_DIM_MLP, PB_DIM_VOCAB, PB_DIM_CONTEXT, PB_DIM_Q, PB_DIM_KV };

/* How the tensor of a view is stored. */
enum pb_stored {
	PB_STORED_VECTOR, /* [out], a struct pb_vector */
	PB_STORED_IN_OUT, /* [in, out]: GPT-2's Conv1D, lookup tables */
	PB_STORED_OUT_IN, /* [out, in]: Linear */
};

/* Several views in one tensor, along its outputs. */
enum pb_fused {
	PB_FUSED_NO,
	PB_FUSED_BLOCKS,  /* all of q, then all of k, then all of v; heads contiguous in each */
	PB_FUSED_BY_HEAD, /* for each head q, k, v; as many heads in each */
	PB_FUSED_GATE,    /* the gate, then the MLP's input */
};

enum pb_part { PB_PART_Q, PB_PART_K, PB_PART_V, PB_PART_GATE, PB_PART_UP };

/* When a view is there. */
enum pb_when {
	PB_WHEN_ALWAYS,
	PB_WHEN_ATTENTION_BIAS, /* by the config: see struct pb_family_config */
	PB_WHEN_OUTPUT_BIAS,
	PB_WHEN_MLP_BIAS,
	PB_WHEN_QK_NORM,
	PB_WHEN_PARALLEL,
	PB_WHEN_SEQUENTIAL,
};

/* One view: the tensor it lies in and the field that gets it. Outputs of the dimensions PB_DIM_Q
 * and PB_DIM_KV are grouped by head. */
struct pb_view_rule {
	const char *name; /* after the prefix (and the layer's prefix, in a layer) */
	enum pb_stored stored;
	size_t field; /* offset in struct pb_layer, or in struct pb_model */
	enum pb_dim in, out;
	enum pb_fused fused;
	enum pb_part part; /* of a fused tensor */
	enum pb_when when;
	bool every_head; /* stored [K], the same for all heads */
	float plus;      /* of struct pb_vector */
	bool outside;    /* never has the family's prefix, as the output matrix */
};

struct pb_family {
	const char *model_type;
	/* Put before every name when any tensor of the file begins with it: files of the bare model
	 * lack it. The output matrix never has it. */
	const char *prefix;
	const char *layer_prefix; /* before the layer's number and a dot */
	const struct pb_view_rule *layer_rules, *model_rules; /* ended by a name of NULL */
	const char *output_names[3]; /* what the output matrix may be called, NULL-ended */
	/* Tensors that hold no weights: names that are one of these or end in a dot and it. */
	const char *buffers[6]; /* NULL-ended */

	/* See family_config.h. */
	enum pb_status (*read_config)(const struct pb_config_json *json,
				      struct pb_family_config *config, struct pb_error *err);
	enum pb_status (*read_layers)(const struct pb_config_json *json,
				      const struct pb_family_config *config,
				      struct pb_layer *layers, struct pb_error *err);
};

/* Ended by a model_type of NULL. */
extern const struct pb_family pb_families[];

/* The family of a config.json, with the keys checked that no family supports. */
enum pb_status pb_family_find(const struct pb_family **out, const struct pb_config_json *json,
			      struct pb_error *err);

#endif
