/* A GGUF file under the names of `transformers`. */
#include "model/gguf_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *gguf, *name;
} model_names[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
};

/* Below blk.N. and model.layers.N. */
static const struct layer_name {
	const char *gguf, *name;
	bool four_norms;  /* in a block with four norms (Gemma 2 and 3) only */
	bool interleaved; /* in files of Llama */
} layer_names[] = {
    {"attn_norm", "input_layernorm", false, false},
    {"attn_q", "self_attn.q_proj", false, true},
    {"attn_k", "self_attn.k_proj", false, true},
    {"attn_v", "self_attn.v_proj", false, false},
    {"attn_output", "self_attn.o_proj", false, false},
    {"attn_q_norm", "self_attn.q_norm", false, false},
    {"attn_k_norm", "self_attn.k_norm", false, false},
    {"post_attention_norm", "post_attention_layernorm", true, false},
    {"ffn_norm", "pre_feedforward_layernorm", true, false},
    {"ffn_norm", "post_attention_layernorm", false, false},
    {"post_ffw_norm", "post_feedforward_layernorm", true, false},
    {"ffn_gate", "mlp.gate_proj", false, false},
    {"ffn_up", "mlp.up_proj", false, false},
    {"ffn_down", "mlp.down_proj", false, false},
};

struct names {
	struct pb_arena *arena;
	bool llama, gemma, four_norms;
};

/* `text` without the length given is ".weight" or ".bias". */
static bool is_part(const char *text)
{
	return strcmp(text, ".weight") == 0 || strcmp(text, ".bias") == 0;
}

static char *join(struct pb_arena *arena, const char *a, size_t n, const char *b, const char *c,
		  const char *d)
{
	char *text = pb_format("%s%.*s%s%s", a, (int)n, b, c, d), *kept;

	kept = text != NULL ? pb_arena_strdup(arena, text) : NULL;
	free(text);
	return kept;
}

/* The name of a tensor of a layer, or NULL with *memory true when it has none. */
static char *layer_name(const struct names *names, const char *old, struct pb_tensor *tensor,
			bool *memory)
{
	const char *number = old + strlen("blk."), *rest = number;

	while (isdigit((unsigned char)*rest))
		rest++;
	if (rest == number || *rest != '.')
		return NULL;
	rest++;
	for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++) {
		const struct layer_name *row = &layer_names[i];
		size_t n = strlen(row->gguf);
		char *name;

		if (strncmp(rest, row->gguf, n) != 0 || !is_part(rest + n) ||
		    (row->four_norms && !names->four_norms))
			continue;
		tensor->interleaved = row->interleaved && names->llama;
		name = join(names->arena, "model.layers.", (size_t)(rest - number), number,
			    row->name, rest + n);
		*memory = name != NULL;
		return name;
	}
	return NULL;
}

/* A tensor that no family knows keeps its name, and is refused by it later. */
static enum pb_status rename_tensor(const struct names *names, const char *old,
				    struct pb_tensor *tensor, const char *path,
				    struct pb_error *err)
{
	size_t length = strlen(old);
	bool memory = true;
	char *name = NULL;

	if (strncmp(old, "blk.", 4) == 0)
		name = layer_name(names, old, tensor, &memory);
	for (size_t i = 0; i < sizeof model_names / sizeof *model_names; i++) {
		size_t n = strlen(model_names[i].gguf);

		if (strncmp(old, model_names[i].gguf, n) == 0 && is_part(old + n)) {
			name = join(names->arena, model_names[i].name, 0, "", "", old + n);
			memory = name != NULL;
		}
	}
	if (name == NULL && memory) {
		name = pb_arena_strdup(names->arena, old);
		memory = name != NULL;
	}
	if (!memory)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: names of tensors of %s", path);
	tensor->name = name;
	/* What converters of Gemma add to the weights of norms. */
	tensor->plus_stored = names->gemma && length >= strlen("norm.weight") &&
			      strcmp(old + length - strlen("norm.weight"), "norm.weight") == 0;
	/* a part of the config by now */
	if (strcmp(old, "rope_freqs.weight") == 0)
		tensor->skipped = "divisors of the rotary frequencies, taken from here";
	return PB_OK;
}

static int by_name(const void *a, const void *b)
{
	const struct pb_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static enum pb_status copy_tensors(struct pb_tensor_file *file, const struct pb_gguf *gguf,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct pb_gguf_value *arch = pb_gguf_find(gguf, "general.architecture");
	const struct names names = {
	    .arena = &file->arena,
	    .llama = pb_gguf_string_is(arch, "llama"),
	    .gemma = pb_gguf_string_is(arch, "gemma") || pb_gguf_string_is(arch, "gemma2") ||
		     pb_gguf_string_is(arch, "gemma3"),
	    .four_norms = pb_gguf_string_is(arch, "gemma2") || pb_gguf_string_is(arch, "gemma3"),
	};

	file->tensors = pb_arena_alloc(&file->arena, gguf->n_tensors, sizeof *file->tensors);
	if (file->tensors == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: tensors of %s", file->path);
	for (size_t i = 0; i < gguf->n_tensors; i++) {
		const struct pb_gguf_tensor *from = &gguf->tensors[i];
		struct pb_tensor *to = &file->tensors[i];

		to->dtype = pb_dtype_name(from->dtype);
		to->element_size =
		    pb_dtype_block(from->dtype) == 1 ? pb_dtype_bytes(from->dtype, 1) : 0;
		to->n_dims = from->n_dims;
		memcpy(to->shape, from->shape, sizeof from->shape);
		to->n_elements = from->n_elements;
		to->data = from->data;
		if (from->data != NULL) {
			to->begin = (size_t)(from->data - file->map.data);
			to->end = to->begin + from->n_bytes;
		}
		PB_TRY(rename_tensor(&names, from->name, to, file->path, err));
	}
	file->n_tensors = gguf->n_tensors;
	if (file->n_tensors > 1)
		qsort(file->tensors, file->n_tensors, sizeof *file->tensors, by_name);
	for (size_t i = 1; i < file->n_tensors; i++)
		if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "damaged GGUF file: %s, %s: the tensor is there under two "
				       "names: fetch or convert it again",
				       file->path, file->tensors[i].name);
cleanup:
	return status;
}

enum pb_status pb_gguf_file_open(struct pb_tensor_file *file, json_t **config, const char *path,
				 struct pb_error *err)
{
	enum pb_status status;
	struct pb_gguf gguf = {0};

	*file = (struct pb_tensor_file){0};
	*config = NULL;
	file->path = strdup(path);
	if (file->path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", path);
	PB_TRY(pb_map_open(&file->map, path, err));
	PB_TRY(pb_gguf_open(&gguf, file->map.data, file->map.size, path, err));
	PB_TRY(pb_gguf_config(config, &gguf, err));
	PB_TRY(copy_tensors(file, &gguf, err));
cleanup:
	pb_gguf_close(&gguf);
	if (status != PB_OK) {
		json_decref(*config);
		*config = NULL;
		pb_tensor_file_close(file);
	}
	return status;
}
