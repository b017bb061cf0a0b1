/* Small model folders for tests: a list of tensors in memory, written as config.json and
 * model.safetensors. Every element is a function of its tensor's name and its index, so that a
 * test can say what a view must give. */
#ifndef PB_TESTS_SAFETENSORS_WRITER_H
#define PB_TESTS_SAFETENSORS_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STW_MAX_TENSORS 512
#define STW_NAME_SIZE 128

struct stw_tensor {
	char name[STW_NAME_SIZE];
	char dtype[16]; /* as written in the header */
	size_t n_dims, shape[4];
	unsigned char *data;
	size_t n_bytes;
};

struct stw {
	struct stw_tensor tensors[STW_MAX_TENSORS];
	size_t n_tensors;
	size_t header_padding; /* blanks after the header */
};

/* Aborts the test: a helper that cannot write is no result. */
static inline void stw_require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "safetensors_writer: %s\n", what);
	abort();
}

/* A multiple of 1/64 below 2 in magnitude: exact in F32, F16 and BF16. */
static inline float stw_value(const char *name, size_t index)
{
	uint32_t hash = 2166136261u;
	const char *c;

	for (c = name; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	hash = (hash ^ (uint32_t)index) * 2654435761u;
	return (float)((int)((hash >> 8) % 251) - 125) / 64.0f;
}

/* Bits of a value that the dtype holds exactly (normal numbers and zero). */
static inline uint16_t stw_to_f16(float value)
{
	uint32_t bits, magnitude;

	memcpy(&bits, &value, sizeof bits);
	magnitude = bits & 0x7fffffffu;
	if (magnitude == 0)
		return (uint16_t)(bits >> 16);
	return (uint16_t)((bits >> 16 & 0x8000u) | ((magnitude - (112u << 23)) >> 13));
}

static inline uint16_t stw_to_bf16(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	return (uint16_t)(bits >> 16);
}

static inline size_t stw_dtype_size(const char *dtype)
{
	if (strcmp(dtype, "F32") == 0 || strcmp(dtype, "I32") == 0)
		return 4;
	if (strcmp(dtype, "F16") == 0 || strcmp(dtype, "BF16") == 0)
		return 2;
	if (strcmp(dtype, "I64") == 0 || strcmp(dtype, "F64") == 0)
		return 8;
	return 1;
}

static inline void stw_store(struct stw_tensor *t, size_t index, float value)
{
	size_t size = stw_dtype_size(t->dtype);
	uint16_t half;

	if (strcmp(t->dtype, "F32") == 0) {
		memcpy(t->data + size * index, &value, size);
	} else if (strcmp(t->dtype, "F16") == 0 || strcmp(t->dtype, "BF16") == 0) {
		half = t->dtype[0] == 'F' ? stw_to_f16(value) : stw_to_bf16(value);
		memcpy(t->data + size * index, &half, size);
	}
}

/* Sets shape (n_dims sizes) and fills the data again. */
static inline void stw_reshape(struct stw_tensor *t, size_t n_dims, const size_t *shape)
{
	size_t n = 1, i;

	t->n_dims = n_dims;
	for (i = 0; i < n_dims; i++) {
		t->shape[i] = shape[i];
		n *= shape[i];
	}
	t->n_bytes = n * stw_dtype_size(t->dtype);
	free(t->data);
	t->data = calloc(1, t->n_bytes + 1);
	stw_require(t->data != NULL, "out of memory");
	for (i = 0; i < n; i++)
		stw_store(t, i, stw_value(t->name, i));
}

static inline struct stw_tensor *stw_add(struct stw *w, const char *name, const char *dtype,
					 size_t n_dims, const size_t *shape)
{
	struct stw_tensor *t = &w->tensors[w->n_tensors];

	stw_require(w->n_tensors < STW_MAX_TENSORS && strlen(name) < STW_NAME_SIZE && n_dims <= 4,
		    "tensor too large");
	w->n_tensors++;
	memset(t, 0, sizeof *t);
	snprintf(t->name, sizeof t->name, "%s", name);
	snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
	stw_reshape(t, n_dims, shape);
	return t;
}

static inline struct stw_tensor *stw_find(struct stw *w, const char *name)
{
	size_t i;

	for (i = 0; i < w->n_tensors; i++)
		if (strcmp(w->tensors[i].name, name) == 0)
			return &w->tensors[i];
	stw_require(false, name);
	return NULL;
}

static inline void stw_remove(struct stw *w, const char *name)
{
	struct stw_tensor *t = stw_find(w, name);

	free(t->data);
	*t = w->tensors[--w->n_tensors];
}

static inline void stw_free(struct stw *w)
{
	size_t i;

	for (i = 0; i < w->n_tensors; i++)
		free(w->tensors[i].data);
	memset(w, 0, sizeof *w);
}

static inline void stw_write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");

	stw_require(f != NULL, path);
	stw_require(fwrite(data, 1, size, f) == size, path);
	stw_require(fclose(f) == 0, path);
}

/* The bytes of a file with this header text, whatever it says, and the tensors' data. */
static inline unsigned char *stw_bytes(const struct stw *w, const char *header, size_t *size)
{
	uint64_t length = strlen(header);
	size_t total = 8 + (size_t)length, at, i;
	unsigned char *bytes;

	for (i = 0; i < w->n_tensors; i++)
		total += w->tensors[i].n_bytes;
	bytes = malloc(total);
	stw_require(bytes != NULL, "out of memory");
	for (i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(length >> (8 * i));
	memcpy(bytes + 8, header, (size_t)length);
	for (i = 0, at = 8 + (size_t)length; i < w->n_tensors; i++) {
		memcpy(bytes + at, w->tensors[i].data, w->tensors[i].n_bytes);
		at += w->tensors[i].n_bytes;
	}
	*size = total;
	return bytes;
}

/* The right header for the tensors (freed with free()). */
static inline char *stw_header(const struct stw *w)
{
	char *text = NULL;
	size_t size = 0, offset = 0, i, d;
	FILE *f = open_memstream(&text, &size);

	stw_require(f != NULL, "out of memory");
	fprintf(f, "{\"__metadata__\":{\"format\":\"pt\"}");
	for (i = 0; i < w->n_tensors; i++) {
		const struct stw_tensor *t = &w->tensors[i];

		fprintf(f, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, t->dtype);
		for (d = 0; d < t->n_dims; d++)
			fprintf(f, "%s%zu", d > 0 ? "," : "", t->shape[d]);
		fprintf(f, "],\"data_offsets\":[%zu,%zu]}", offset, offset + t->n_bytes);
		offset += t->n_bytes;
	}
	fprintf(f, "}");
	for (i = 0; i < w->header_padding; i++)
		fputc(' ', f);
	stw_require(fclose(f) == 0, "out of memory");
	return text;
}

static inline void stw_write(const struct stw *w, const char *path)
{
	char *header = stw_header(w);
	size_t size;
	unsigned char *bytes = stw_bytes(w, header, &size);

	stw_write_file(path, bytes, size);
	free(bytes);
	free(header);
}

/* ---- whole models ----------------------------------------------------------------------- */

/* Odd sizes on purpose: D = 12, H = 3, K = 4, F = 20, L = 2. */
#define STW_VOCAB ((size_t)11)
#define STW_WIDTH ((size_t)12)
#define STW_HEADS ((size_t)3)
#define STW_HEAD ((size_t)4)
#define STW_MLP ((size_t)20)
#define STW_CONTEXT ((size_t)9)
#define STW_LAYERS ((size_t)2)

static inline void stw_join(char full[STW_NAME_SIZE], const char *prefix, const char *name)
{
	int n = snprintf(full, STW_NAME_SIZE, "%s%s", prefix, name);

	stw_require(n >= 0 && n < STW_NAME_SIZE, "name too long");
}

static inline void stw_add_1(struct stw *w, const char *prefix, const char *name, const char *dtype,
			     size_t n)
{
	char full[STW_NAME_SIZE];

	stw_join(full, prefix, name);
	stw_add(w, full, dtype, 1, &n);
}

static inline void stw_add_2(struct stw *w, const char *prefix, const char *name, const char *dtype,
			     size_t n0, size_t n1)
{
	const size_t shape[2] = {n0, n1};
	char full[STW_NAME_SIZE];

	stw_join(full, prefix, name);
	stw_add(w, full, dtype, 2, shape);
}

/* The tensors of a gpt2 model whose names begin with prefix ("" or "transformer."). */
static inline void stw_gpt2(struct stw *w, const char *prefix, const char *dtype)
{
	const size_t D = STW_WIDTH, F = STW_MLP;
	char p[STW_NAME_SIZE];
	size_t i;

	stw_add_2(w, prefix, "wte.weight", dtype, STW_VOCAB, D);
	stw_add_2(w, prefix, "wpe.weight", dtype, STW_CONTEXT, D);
	for (i = 0; i < STW_LAYERS; i++) {
		snprintf(p, sizeof p, "%sh.%zu.", prefix, i);
		stw_add_1(w, p, "ln_1.weight", dtype, D);
		stw_add_1(w, p, "ln_1.bias", dtype, D);
		stw_add_2(w, p, "attn.c_attn.weight", dtype, D, 3 * D);
		stw_add_1(w, p, "attn.c_attn.bias", dtype, 3 * D);
		stw_add_2(w, p, "attn.c_proj.weight", dtype, D, D);
		stw_add_1(w, p, "attn.c_proj.bias", dtype, D);
		stw_add_1(w, p, "ln_2.weight", dtype, D);
		stw_add_1(w, p, "ln_2.bias", dtype, D);
		stw_add_2(w, p, "mlp.c_fc.weight", dtype, D, F);
		stw_add_1(w, p, "mlp.c_fc.bias", dtype, F);
		stw_add_2(w, p, "mlp.c_proj.weight", dtype, F, D);
		stw_add_1(w, p, "mlp.c_proj.bias", dtype, D);
	}
	stw_add_1(w, prefix, "ln_f.weight", dtype, D);
	stw_add_1(w, prefix, "ln_f.bias", dtype, D);
}

static inline void stw_gpt_neo(struct stw *w, const char *prefix, const char *dtype)
{
	const size_t D = STW_WIDTH, F = STW_MLP;
	char p[STW_NAME_SIZE];
	size_t i;

	stw_add_2(w, prefix, "wte.weight", dtype, STW_VOCAB, D);
	stw_add_2(w, prefix, "wpe.weight", dtype, STW_CONTEXT, D);
	for (i = 0; i < STW_LAYERS; i++) {
		snprintf(p, sizeof p, "%sh.%zu.", prefix, i);
		stw_add_1(w, p, "ln_1.weight", dtype, D);
		stw_add_1(w, p, "ln_1.bias", dtype, D);
		stw_add_2(w, p, "attn.attention.q_proj.weight", dtype, D, D);
		stw_add_2(w, p, "attn.attention.k_proj.weight", dtype, D, D);
		stw_add_2(w, p, "attn.attention.v_proj.weight", dtype, D, D);
		stw_add_2(w, p, "attn.attention.out_proj.weight", dtype, D, D);
		stw_add_1(w, p, "attn.attention.out_proj.bias", dtype, D);
		stw_add_1(w, p, "ln_2.weight", dtype, D);
		stw_add_1(w, p, "ln_2.bias", dtype, D);
		stw_add_2(w, p, "mlp.c_fc.weight", dtype, F, D);
		stw_add_1(w, p, "mlp.c_fc.bias", dtype, F);
		stw_add_2(w, p, "mlp.c_proj.weight", dtype, D, F);
		stw_add_1(w, p, "mlp.c_proj.bias", dtype, D);
	}
	stw_add_1(w, prefix, "ln_f.weight", dtype, D);
	stw_add_1(w, prefix, "ln_f.bias", dtype, D);
}

/* `output` is the name of the output matrix, NULL: none. */
static inline void stw_gpt_neox(struct stw *w, const char *prefix, const char *dtype,
				bool attention_bias, const char *output)
{
	const size_t D = STW_WIDTH, F = STW_MLP;
	char p[STW_NAME_SIZE];
	size_t i;

	stw_add_2(w, prefix, "embed_in.weight", dtype, STW_VOCAB, D);
	for (i = 0; i < STW_LAYERS; i++) {
		snprintf(p, sizeof p, "%slayers.%zu.", prefix, i);
		stw_add_1(w, p, "input_layernorm.weight", dtype, D);
		stw_add_1(w, p, "input_layernorm.bias", dtype, D);
		stw_add_1(w, p, "post_attention_layernorm.weight", dtype, D);
		stw_add_1(w, p, "post_attention_layernorm.bias", dtype, D);
		stw_add_2(w, p, "attention.query_key_value.weight", dtype, 3 * D, D);
		stw_add_2(w, p, "attention.dense.weight", dtype, D, D);
		if (attention_bias) {
			stw_add_1(w, p, "attention.query_key_value.bias", dtype, 3 * D);
			stw_add_1(w, p, "attention.dense.bias", dtype, D);
		}
		stw_add_2(w, p, "mlp.dense_h_to_4h.weight", dtype, F, D);
		stw_add_1(w, p, "mlp.dense_h_to_4h.bias", dtype, F);
		stw_add_2(w, p, "mlp.dense_4h_to_h.weight", dtype, D, F);
		stw_add_1(w, p, "mlp.dense_4h_to_h.bias", dtype, D);
	}
	stw_add_1(w, prefix, "final_layer_norm.weight", dtype, D);
	stw_add_1(w, prefix, "final_layer_norm.bias", dtype, D);
	if (output != NULL)
		stw_add_2(w, "", output, dtype, STW_VOCAB, D);
}

/* Configs of these models, open at the end: `more` is put before the closing brace and either is
 * empty or begins with a comma. */
#define STW_GPT2_CONFIG                                                                            \
	"{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":3,\"n_embd\":12,\"n_inner\":20,"        \
	"\"n_positions\":9,\"vocab_size\":11"
#define STW_GPT_NEO_CONFIG                                                                         \
	"{\"model_type\":\"gpt_neo\",\"num_layers\":2,\"num_heads\":3,\"hidden_size\":12,"         \
	"\"intermediate_size\":20,\"max_position_embeddings\":9,\"vocab_size\":11"
#define STW_GPT_NEO_TYPES ",\"attention_types\":[[[\"global\",\"local\"],1]]"
#define STW_GPT_NEOX_CONFIG                                                                        \
	"{\"model_type\":\"gpt_neox\",\"num_hidden_layers\":2,\"num_attention_heads\":3,"          \
	"\"hidden_size\":12,\"intermediate_size\":20,\"max_position_embeddings\":9,"               \
	"\"vocab_size\":11"

struct stw_folder {
	char path[64];
};

/* In memory where the system has such a folder: fault tests write thousands of files. */
static inline void stw_folder_make(struct stw_folder *folder)
{
	const char *parent = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(folder->path, sizeof folder->path, "%s/pb-model-XXXXXX", parent);
	stw_require(mkdtemp(folder->path) != NULL, "no temporary folder");
}

static inline void stw_folder_name(const struct stw_folder *folder, const char *name, char *path,
				   size_t size)
{
	snprintf(path, size, "%s/%s", folder->path, name);
}

static inline void stw_folder_write(const struct stw_folder *folder, const char *name,
				    const void *data, size_t size)
{
	char path[128];

	stw_folder_name(folder, name, path, sizeof path);
	stw_write_file(path, data, size);
}

static inline void stw_folder_config(const struct stw_folder *folder, const char *config,
				     const char *more)
{
	char text[4096];
	int n = snprintf(text, sizeof text, "%s%s}", config, more);

	stw_require(n > 0 && (size_t)n < sizeof text, "config too long");
	stw_folder_write(folder, "config.json", text, (size_t)n);
}

static inline void stw_folder_weights(const struct stw_folder *folder, const struct stw *w)
{
	char path[128];

	stw_folder_name(folder, "model.safetensors", path, sizeof path);
	stw_write(w, path);
}

/* Removes the folder and the files that models have. */
static inline void stw_folder_remove(const struct stw_folder *folder)
{
	static const char *const names[] = {"model.gguf",
					    "a.gguf",
					    "b.gguf",
					    "config.json",
					    "model.safetensors",
					    "pytorch_model.bin",
					    "notes.txt",
					    "a.safetensors",
					    "b.safetensors",
					    "model.safetensors.index.json"};
	char path[128];
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		stw_folder_name(folder, names[i], path, sizeof path);
		(void)unlink(path);
	}
	stw_require(rmdir(folder->path) == 0, folder->path);
}

#endif
