/* From a family's rules to views of the tensors of a file. */
#include <stdlib.h>
#include <string.h>

#include "model/model_files.h"

struct binder {
	struct pb_model *model;
	const struct pb_family *family;
	const struct pb_family_config *config;
	const struct pb_checkpoint *file;
	const char *prefix;       /* the family's, or "" for a file of the bare model */
	struct pb_tensor *output; /* the output matrix as a tensor of its own, NULL: none */
};

bool pb_tensor_dtype(const struct pb_tensor *tensor, enum pb_dtype *out)
{
	int i;

	for (i = 0; i < PB_N_DTYPES; i++) {
		if (strcmp(tensor->dtype, pb_dtype_name((enum pb_dtype)i)) == 0) {
			*out = (enum pb_dtype)i;
			return true;
		}
	}
	return false;
}

static size_t dim_size(const struct pb_arch *arch, enum pb_dim dim)
{
	switch (dim) {
	case PB_DIM_WIDTH:
		return arch->d_model;
	case PB_DIM_MLP:
		return arch->d_mlp;
	case PB_DIM_VOCAB:
		return arch->n_vocab;
	case PB_DIM_CONTEXT:
		return arch->n_context;
	case PB_DIM_Q:
		return arch->n_heads * arch->d_head;
	case PB_DIM_KV:
		return arch->n_kv_heads * arch->d_head;
	}
	return 0;
}

/* Outputs of the whole tensor that a rule's view lies in. */
static size_t stored_outputs(const struct pb_arch *arch, const struct pb_view_rule *rule)
{
	if (rule->every_head)
		return arch->d_head;
	if (rule->fused == PB_FUSED_NO)
		return dim_size(arch, rule->out);
	if (rule->fused == PB_FUSED_GATE)
		return 2 * arch->d_mlp;
	return dim_size(arch, PB_DIM_Q) + 2 * dim_size(arch, PB_DIM_KV);
}

static enum pb_status check_tensor(const struct binder *b, const struct pb_tensor *tensor,
				   const struct pb_view_rule *rule, enum pb_dtype *dtype,
				   struct pb_error *err)
{
	const struct pb_arch *arch = &b->model->arch;
	size_t in = dim_size(arch, rule->in), out = stored_outputs(arch, rule);
	size_t expected[2], n = 2;
	char found_text[128], expected_text[128];

	if (!pb_tensor_dtype(tensor, dtype))
		return pb_fail(err, PB_ERR_INPUT,
			       "dtype not supported: %s, tensor %s: %s: save the model as F32, F16 "
			       "or BF16",
			       pb_checkpoint_path(b->file, tensor), tensor->name, tensor->dtype);
	if (rule->stored == PB_STORED_VECTOR) {
		expected[0] = out;
		n = 1;
	} else {
		expected[0] = rule->stored == PB_STORED_IN_OUT ? in : out;
		expected[1] = rule->stored == PB_STORED_IN_OUT ? out : in;
	}
	if (tensor->n_dims == n && memcmp(tensor->shape, expected, n * sizeof expected[0]) == 0)
		return PB_OK;
	pb_shape_format(found_text, sizeof found_text, tensor->shape, tensor->n_dims);
	pb_shape_format(expected_text, sizeof expected_text, expected, n);
	return pb_fail(err, PB_ERR_INPUT, "wrong shape: %s, tensor %s: found %s, %s means %s: %s",
		       pb_checkpoint_path(b->file, tensor), tensor->name, found_text,
		       pb_config_json_name(&b->model->files->config), expected_text,
		       pb_config_json_advice(&b->model->files->config));
}

/* Set the view of one rule in the struct at `base`. The tensor's shape is right, so no product
 * below exceeds its number of elements. */
static void set_view(const struct pb_arch *arch, const struct pb_view_rule *rule,
		     const struct pb_tensor *tensor, enum pb_dtype dtype, void *base)
{
	size_t in = dim_size(arch, rule->in), out = dim_size(arch, rule->out);
	/* Elements between one output and the next, and outputs before the first one. */
	size_t step = rule->stored == PB_STORED_OUT_IN ? in : 1, first = 0;
	size_t n_groups = 1, group_size, group_step;

	if (rule->out == PB_DIM_Q)
		n_groups = arch->n_heads;
	else if (rule->out == PB_DIM_KV)
		n_groups = arch->n_kv_heads;
	group_size = out / n_groups;
	group_step = group_size;
	if (rule->fused == PB_FUSED_BY_HEAD) {
		group_step = 3 * group_size;
		first = (size_t)rule->part * group_size;
	} else if (rule->every_head) {
		group_step = 0;
	} else if (rule->part == PB_PART_UP) {
		first = arch->d_mlp;
	} else if (rule->fused == PB_FUSED_BLOCKS && rule->part != PB_PART_Q) {
		first = dim_size(arch, PB_DIM_Q);
		if (rule->part == PB_PART_V)
			first += dim_size(arch, PB_DIM_KV);
	}
	if (rule->stored == PB_STORED_VECTOR) {
		*(struct pb_vector *)((char *)base + rule->field) = (struct pb_vector){
		    .data = tensor->data,
		    .dtype = dtype,
		    .interleaved = tensor->interleaved,
		    .first = first,
		    .n_groups = n_groups,
		    .group_size = group_size,
		    .stride_group = (ptrdiff_t)group_step,
		    .plus = tensor->plus_stored ? 0.0f : rule->plus,
		};
		return;
	}
	*(struct pb_weight *)((char *)base + rule->field) = (struct pb_weight){
	    .data = tensor->data,
	    .dtype = dtype,
	    .interleaved = tensor->interleaved,
	    .first = first * step,
	    .n_in = in,
	    .n_groups = n_groups,
	    .group_size = group_size,
	    .stride_in =
		rule->stored == PB_STORED_IN_OUT ? (ptrdiff_t)stored_outputs(arch, rule) : 1,
	    .stride_group = (ptrdiff_t)(group_step * step),
	    .stride_out = (ptrdiff_t)step,
	};
}

static enum pb_status bind_tensor(const struct binder *b, const struct pb_view_rule *rule,
				  struct pb_tensor *tensor, void *base, struct pb_error *err)
{
	enum pb_status status;
	struct pb_arch *arch = &b->model->arch;
	enum pb_dtype dtype = PB_F32;

	/* Without vocab_size in the config the embedding's rows are the vocabulary. */
	if (rule->in == PB_DIM_VOCAB && arch->n_vocab == 0 && tensor->n_dims == 2 &&
	    tensor->shape[0] <= PB_CONFIG_SIZE_MAX)
		arch->n_vocab = tensor->shape[0];
	PB_TRY(check_tensor(b, tensor, rule, &dtype, err));
	if (tensor->n_elements == 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "empty tensor: %s, tensor %s: save the model again",
			       pb_checkpoint_path(b->file, tensor), tensor->name);
	set_view(arch, rule, tensor, dtype, base);
	tensor->used = true;
cleanup:
	return status;
}

static enum pb_status missing_tensor(const struct binder *b, const char *name, struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT,
		       "missing tensor: %s, tensor %s: a %s model of %zu layers needs it: save the "
		       "whole model, with its config.json",
		       b->file->path, name, b->family->model_type, b->model->arch.n_layers);
}

static bool is_there(const struct pb_family_config *config, enum pb_when when)
{
	switch (when) {
	case PB_WHEN_ALWAYS:
		return true;
	case PB_WHEN_ATTENTION_BIAS:
		return config->attention_bias;
	case PB_WHEN_OUTPUT_BIAS:
		return config->output_bias;
	case PB_WHEN_MLP_BIAS:
		return config->mlp_bias;
	case PB_WHEN_QK_NORM:
		return config->arch.qk_norm != PB_QK_NORM_NONE;
	case PB_WHEN_PARALLEL:
		return config->arch.parallel;
	case PB_WHEN_SEQUENTIAL:
		return !config->arch.parallel;
	}
	return false;
}

/* Bind every rule whose names begin with `prefix` to the struct at `base`. */
static enum pb_status bind_rules(const struct binder *b, const struct pb_view_rule *rules,
				 const char *prefix, void *base, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_view_rule *rule;
	char *name = NULL;

	for (rule = rules; rule->name != NULL; rule++) {
		struct pb_tensor *tensor;

		if (!is_there(b->config, rule->when))
			continue;
		free(name);
		name = pb_format("%s%s", rule->outside ? "" : prefix, rule->name);
		if (name == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: names of tensors");
			goto cleanup;
		}
		tensor = pb_checkpoint_find(b->file, name);
		/* Of two tied matrices a file may keep either. */
		if (tensor == NULL && base == b->model && b->config->tied &&
		    rule->field == offsetof(struct pb_model, embed))
			tensor = b->output;
		if (tensor == NULL) {
			status = missing_tensor(b, name, err);
			goto cleanup;
		}
		PB_TRY(bind_tensor(b, rule, tensor, base, err));
	}
cleanup:
	free(name);
	return status;
}

static enum pb_status bind_layers(const struct binder *b, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *prefix = NULL;
	size_t i;

	for (i = 0; i < b->model->arch.n_layers; i++) {
		free(prefix);
		prefix = pb_format("%s%s%zu.", b->prefix, b->family->layer_prefix, i);
		if (prefix == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: names of tensors");
			goto cleanup;
		}
		PB_TRY(bind_rules(b, b->family->layer_rules, prefix, &b->model->layers[i], err));
	}
cleanup:
	free(prefix);
	return status;
}

/* The embedding as the output matrix. */
static void tie_output(struct pb_model *model)
{
	const struct pb_weight *embed = &model->embed;

	model->unembed = (struct pb_weight){
	    .data = embed->data,
	    .dtype = embed->dtype,
	    .first = embed->first,
	    .n_in = pb_weight_n_out(embed),
	    .n_groups = 1,
	    .group_size = embed->n_in,
	    .stride_in = embed->stride_out,
	    .stride_group = (ptrdiff_t)embed->n_in * embed->stride_in,
	    .stride_out = embed->stride_in,
	};
}

/* Whether two views of one shape hold equal numbers. */
static bool equal_outputs(const struct pb_model *model)
{
	const struct pb_weight *a = &model->unembed, *b = &model->embed;
	size_t n = a->n_in * a->group_size, i;

	/* Both are stored [V, D]. */
	if (a->dtype == b->dtype)
		return memcmp(a->data, b->data, pb_dtype_bytes(a->dtype, n)) == 0;
	for (i = 0; i < n; i++)
		if (pb_dtype_load(a->data, a->dtype, i) != pb_dtype_load(b->data, b->dtype, i))
			return false;
	return true;
}

static enum pb_status bind_output(const struct binder *b, struct pb_error *err)
{
	static const struct pb_view_rule rule = {
	    .name = "",
	    .stored = PB_STORED_OUT_IN,
	    .field = offsetof(struct pb_model, unembed),
	    .in = PB_DIM_WIDTH,
	    .out = PB_DIM_VOCAB,
	};
	enum pb_status status = PB_OK;

	if (b->output == NULL && !b->config->tied)
		return missing_tensor(b, b->family->output_names[0], err);
	/* used: it is the embedding already */
	if (b->output != NULL && !b->output->used) {
		PB_TRY(bind_tensor(b, &rule, b->output, b->model, err));
		if (!b->config->tied)
			return PB_OK;
		/* A tied matrix of its own is a copy. If it is not, versions of `transformers`
		 * disagree on which of the two counts. */
		if (!equal_outputs(b->model))
			return pb_fail(err, PB_ERR_INPUT,
				       "tied matrices differ: %s, tensor %s: it is not the "
				       "embedding, but config.json ties them: set "
				       "tie_word_embeddings to false to use it, or remove it",
				       pb_checkpoint_path(b->file, b->output), b->output->name);
		b->output->used = false;
		b->output->skipped = "a copy of the tied embedding";
	}
	tie_output(b->model);
cleanup:
	return status;
}

static bool is_buffer(const struct pb_family *family, const char *name)
{
	size_t length = strlen(name), i;

	for (i = 0; family->buffers[i] != NULL; i++) {
		size_t tail = strlen(family->buffers[i]);

		if (length < tail || strcmp(name + length - tail, family->buffers[i]) != 0)
			continue;
		/* A whole component: attn.bias, but not attn.c_attn.bias. */
		if (length == tail || name[length - tail - 1] == '.')
			return true;
	}
	return false;
}

/* Every tensor that no view uses must be a buffer or a copy. */
static enum pb_status account_for_rest(const struct binder *b, struct pb_error *err)
{
	const struct pb_tensor *first = NULL;
	size_t n_unexpected = 0, i;
	char more[64] = "";

	for (i = 0; i < b->file->n_tensors; i++) {
		struct pb_tensor *tensor = &b->file->tensors[i];

		if (tensor->used || tensor->skipped != NULL)
			continue;
		if (is_buffer(b->family, tensor->name)) {
			tensor->skipped = "a buffer without weights";
			continue;
		}
		if (n_unexpected++ == 0)
			first = tensor;
	}
	if (first == NULL)
		return PB_OK;
	if (n_unexpected > 1)
		snprintf(more, sizeof more, " (and %zu more)", n_unexpected - 1);
	return pb_fail(err, PB_ERR_INPUT,
		       "unexpected tensor: %s, tensor %s%s: a %s model of %zu layers has no such "
		       "weight: %s",
		       pb_checkpoint_path(b->file, first), first->name, more, b->family->model_type,
		       b->model->arch.n_layers, pb_config_json_advice(&b->model->files->config));
}

/* The family's prefix if any tensor has it, else none. */
static const char *choose_prefix(const struct pb_checkpoint *file, const char *prefix)
{
	size_t length = strlen(prefix), i;

	for (i = 0; i < file->n_tensors; i++)
		if (strncmp(file->tensors[i].name, prefix, length) == 0)
			return prefix;
	return "";
}

enum pb_status pb_views_bind(struct pb_model *model, const struct pb_family *family,
			     const struct pb_family_config *config, struct pb_error *err)
{
	enum pb_status status;
	struct binder b = {
	    .model = model,
	    .family = family,
	    .config = config,
	    .file = &model->files->weights,
	};
	size_t i;

	b.prefix = choose_prefix(b.file, family->prefix);
	for (i = 0; family->output_names[i] != NULL && b.output == NULL; i++)
		b.output = pb_checkpoint_find(b.file, family->output_names[i]);
	PB_TRY(bind_rules(&b, family->model_rules, b.prefix, model, err));
	PB_TRY(bind_layers(&b, err));
	PB_TRY(bind_output(&b, err));
	PB_TRY(account_for_rest(&b, err));
cleanup:
	return status;
}
