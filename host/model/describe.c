/* The description of a model for people. */
#include <string.h>

#include "model/model_files.h"

static const char *activation_name(enum pb_activation activation)
{
	switch (activation) {
	case PB_ACT_GELU_TANH:
		return "GELU (tanh form)";
	case PB_ACT_GELU_ERF:
		return "GELU (erf)";
	case PB_ACT_RELU:
		return "ReLU";
	case PB_ACT_SILU:
		return "SiLU";
	}
	return "?";
}

static void print_line(FILE *out, const char *label)
{
	fprintf(out, "%-14s", label);
}

static void print_size(FILE *out, const char *label, size_t value)
{
	print_line(out, label);
	fprintf(out, "%zu\n", value);
}

static void print_positions(FILE *out, const struct pb_model *model)
{
	const struct pb_arch *arch = &model->arch;

	print_line(out, "positions");
	if (arch->learned_positions)
		fprintf(out, "learned");
	for (size_t r = 0; r < PB_ROPES_MAX && model->ropes[r].frequency != NULL; r++)
		fprintf(
		    out, "%srotary on the first %zu of %zu head dimensions%s, base %g%s%s",
		    arch->learned_positions || r > 0 ? "; " : "", arch->rotary_dims, arch->d_head,
		    arch->rotary_interleaved ? ", neighbours in pairs" : "", model->ropes[r].base,
		    strcmp(model->ropes[r].scaling, "default") == 0 ? "" : ", scaling ",
		    strcmp(model->ropes[r].scaling, "default") == 0 ? "" : model->ropes[r].scaling);
	for (size_t l = 0, n = 0; l < arch->n_layers; l++)
		if (model->layers[l].no_rotary)
			fprintf(out, "%s%zu", n++ == 0 ? "; none in layers " : ", ", l);
	if (!arch->learned_positions && arch->rotary_dims == 0)
		fprintf(out, "none");
	fputc('\n', out);
}

static void print_attention(FILE *out, const struct pb_model *model)
{
	const struct pb_layer *layers = model->layers;
	size_t n = model->arch.n_layers, n_local = 0, i;

	print_line(out, "score scale");
	fprintf(out, "%g", (double)layers[0].score_scale);
	if (layers[n - 1].score_scale != layers[0].score_scale)
		fprintf(out, " in layer 0 to %g in layer %zu", (double)layers[n - 1].score_scale,
			n - 1);
	fputc('\n', out);
	if (model->arch.score_softcap > 0.0f || model->arch.logit_softcap > 0.0f) {
		print_line(out, "softcaps");
		fprintf(out, "scores %g, logits %g (0: none)\n", (double)model->arch.score_softcap,
			(double)model->arch.logit_softcap);
	}
	print_line(out, "attention");
	for (i = 0; i < n; i++) {
		if (layers[i].window == 0)
			continue;
		fprintf(out, "%s%zu", n_local == 0 ? "local in layers " : ", ", i);
		n_local++;
	}
	if (n_local == 0) {
		fprintf(out, "global\n");
		return;
	}
	/* All local layers of a family share one window. */
	for (i = 0; layers[i].window == 0;)
		i++;
	fprintf(out, " (window %zu)%s\n", layers[i].window, n_local < n ? ", else global" : "");
}

/* "F32", or with the exceptions where tensors differ. */
static void print_dtype(FILE *out, const struct pb_model *model)
{
	const struct pb_checkpoint *file = &model->files->weights;
	size_t n_used = 0, n_other = 0, i;
	enum pb_dtype dtype;

	for (i = 0; i < file->n_tensors; i++) {
		if (!file->tensors[i].used || !pb_tensor_dtype(&file->tensors[i], &dtype))
			continue;
		n_used++;
		n_other += dtype != model->dtype;
	}
	print_line(out, "dtype");
	fprintf(out, "%s", pb_dtype_name(model->dtype));
	if (n_other > 0)
		fprintf(out, " (%zu of %zu tensors in another)", n_other, n_used);
	fputc('\n', out);
}

/* What was left aside, by its reason, with one example each. */
static void print_skipped(FILE *out, const struct pb_checkpoint *file)
{
	size_t n_reasons = 0, i, j;

	for (i = 0; i < file->n_tensors; i++) {
		const char *reason = file->tensors[i].skipped;
		size_t n = 0;

		if (reason == NULL)
			continue;
		for (j = 0; j < i; j++)
			if (file->tensors[j].skipped == reason)
				break;
		if (j < i)
			continue; /* told at its first tensor */
		for (j = i; j < file->n_tensors; j++)
			n += file->tensors[j].skipped == reason;
		print_line(out, n_reasons++ == 0 ? "skipped" : "");
		fprintf(out, "%zu tensor%s, %s: %s%s\n", n, n == 1 ? "" : "s", reason,
			file->tensors[i].name, n == 1 ? "" : ", ...");
	}
	if (n_reasons == 0) {
		print_line(out, "skipped");
		fprintf(out, "no tensor\n");
	}
}

void pb_model_describe(const struct pb_model *model, FILE *out)
{
	const struct pb_arch *arch = &model->arch;
	const struct pb_checkpoint *file = &model->files->weights;

	print_line(out, "model");
	fprintf(out, "%s\n", model->path);
	print_line(out, "family");
	fprintf(out, "%s\n", arch->family);
	print_size(out, "layers", arch->n_layers);
	print_line(out, "heads");
	fprintf(out, "%zu of width %zu", arch->n_heads, arch->d_head);
	if (arch->n_kv_heads != arch->n_heads)
		fprintf(out, ", %zu for keys and values", arch->n_kv_heads);
	fputc('\n', out);
	print_size(out, "width", arch->d_model);
	print_size(out, "MLP width", arch->d_mlp);
	print_size(out, "vocabulary", arch->n_vocab);
	print_size(out, "context", arch->n_context);
	print_line(out, "block");
	fprintf(out, "%s\n",
		arch->parallel ? "parallel: x + attn(ln1 x) + mlp(ln2 x)"
			       : "sequential: attention, then MLP");
	print_line(out, "norms");
	fprintf(out, "%s attention and MLP%s%s\n", arch->no_pre_norm ? "none before" : "before",
		arch->post_norm ? ", after both" : "",
		arch->qk_norm == PB_QK_NORM_HEAD    ? ", of each head's q and k"
		: arch->qk_norm == PB_QK_NORM_WHOLE ? ", of q and k over all heads"
						    : "");
	print_line(out, "norm");
	fprintf(out, "%s, eps %g\n", arch->norm == PB_NORM_RMS ? "RMS norm" : "layer norm",
		(double)arch->norm_eps);
	print_line(out, "activation");
	fprintf(out, "%s%s\n", activation_name(arch->activation), arch->gated ? ", gated" : "");
	print_positions(out, model);
	print_attention(out, model);
	print_line(out, "biases");
	fprintf(out, "q, k, v %s; attention output %s\n",
		model->layers[0].q_bias.data != NULL ? "yes" : "no",
		model->layers[0].o_bias.data != NULL ? "yes" : "no");
	print_line(out, "unembedding");
	fprintf(out, "%s\n", model->files->tied ? "tied to the embedding" : "its own matrix");
	print_size(out, "parameters", model->n_parameters);
	print_dtype(out, model);
	print_line(out, "file");
	fprintf(out, "%s", file->path);
	if (file->n_files > 1)
		fprintf(out, " and %zu shards", file->n_files);
	fprintf(out, ", %zu bytes, %zu tensors\n", pb_checkpoint_bytes(file), file->n_tensors);
	if (file->passed_over != NULL) {
		print_line(out, "not read");
		fprintf(out, "%s: the weights above go before it\n", file->passed_over);
	}
	print_skipped(out, file);
	pb_config_json_describe(&model->files->config, out);
	if (model->sha256[0] != '\0') {
		print_line(out, "SHA-256");
		fprintf(out, "%s\n", model->sha256);
	}
}
