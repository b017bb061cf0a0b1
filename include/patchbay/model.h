/* A model: its block description and one canonical view of its weights, over the memory map of
 * the checkpoint. Nothing is copied when a model is opened. */
#ifndef PATCHBAY_MODEL_H
#define PATCHBAY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patchbay/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers one by one, then those that GGUF files quantise in blocks of 32 or 256 (the _K types). */
enum pb_dtype {
	PB_F32,
	PB_F16,
	PB_BF16,
	PB_Q4_0,
	PB_Q4_1,
	PB_Q5_0,
	PB_Q5_1,
	PB_Q8_0,
	PB_Q4_K,
	PB_Q5_K,
	PB_Q6_K,
};
#define PB_N_DTYPES (PB_Q6_K + 1)

/* Elements that are stored together: 1, 32 or 256. */
size_t pb_dtype_block(enum pb_dtype dtype);
/* Bytes of n elements, a multiple of a block's. */
size_t pb_dtype_bytes(enum pb_dtype dtype, size_t n);
const char *pb_dtype_name(enum pb_dtype dtype); /* "F32", "BF16", "Q4_K" */
/* Element `index` of an array of `dtype`, as float32: exactly, or a block type's scale times
 * integer, rounded as the format's reference decoder does. */
float pb_dtype_load(const void *data, enum pb_dtype dtype, size_t index);
/* out[0..n-1] = elements first .. first+n-1 of the array at `data`. */
void pb_dtype_widen(const void *data, enum pb_dtype dtype, size_t first, size_t n, float *out);

/* NOT ALIGNED: weights lie in the file at any byte address (early safetensors files do not pad
 * their header), so `data` below is never cast to float * and dereferenced: use the functions
 * here, memcpy, or unaligned vector loads. */

/* A weight matrix W of shape [n_in, n_groups * group_size] used as y = x W, as it lies in the
 * checkpoint. Output o = g * group_size + j (g is a head for q, k, v; one group otherwise) and
 * input i sit at element  first + i * stride_in + g * stride_group + j * stride_out  of `data`.
 * (An index and not a later address: blocks cannot be split.) With `interleaved`, j counts as 2j
 * in the first half of a group and as 2(j - group_size/2) + 1 in the second: the order in which
 * GGUF files of Llama keep q and k; with interleaved_in so does i among the n_in.
 * data == NULL means the family has no such weight. */
struct pb_weight {
	const void *data;
	enum pb_dtype dtype;
	bool interleaved, interleaved_in;
	size_t first;
	size_t n_in, n_groups, group_size;
	ptrdiff_t stride_in, stride_group, stride_out; /* in elements */
};

/* A vector of n_groups * group_size elements (bias, norm weight); element (g, j) at
 * first + g * stride_group + j (j as above with `interleaved`), and what is read is it plus `plus`
 * (1 for the norm weights of Gemma, which are stored as w - 1), summed in float32. A stride_group
 * of 0 repeats one group (a q/k norm that all heads share). data == NULL: absent (a zero bias, a
 * weight of ones). */
struct pb_vector {
	const void *data;
	enum pb_dtype dtype;
	bool interleaved;
	size_t first;
	size_t n_groups, group_size;
	ptrdiff_t stride_group;
	float plus;
};

/* Entry (i, o) of a weight, or o of a vector, as float32. */
float pb_weight_at(const struct pb_weight *w, size_t i, size_t o);
float pb_vector_at(const struct pb_vector *v, size_t o);
/* Rows i0 .. i0+n-1 (inputs) of W as float32: out[(i - i0) * ld + o] = W[i, o] for o below
 * n_groups * group_size; ld >= that. For packing: ask for 16 rows or more at a time. */
void pb_weight_rows(const struct pb_weight *w, size_t i0, size_t n, float *out, size_t ld);
/* out[i] = W[i, o] for every input i: one token's row of the unembedding, for instance. */
void pb_weight_column(const struct pb_weight *w, size_t o, float *out);
/* out[o] for every o of a vector that is present. */
void pb_vector_read(const struct pb_vector *v, float *out);
static inline size_t pb_weight_n_out(const struct pb_weight *w)
{
	return w->n_groups * w->group_size;
}

/* The matrix [n_in, n_out] of float32 rows one behind the other. */
struct pb_weight pb_weight_of_rows(const float *rows, size_t n_in, size_t n_out);

enum pb_norm { PB_NORM_LAYER, PB_NORM_RMS };
/* Norms of q and k: none, each head by itself, all heads of q (of k) as one row. */
enum pb_qk_norm { PB_QK_NORM_NONE, PB_QK_NORM_HEAD, PB_QK_NORM_WHOLE };
enum pb_activation { PB_ACT_GELU_TANH, PB_ACT_GELU_ERF, PB_ACT_RELU, PB_ACT_SILU };

/* The block description: all that engine/forward.c needs to know of a family. */
struct pb_arch {
	const char *family; /* "gpt2", "gpt_neo", "gpt_neox": config.json's model_type */
	size_t n_layers;    /* L */
	size_t n_heads;     /* H, query heads */
	size_t n_kv_heads;  /* KV heads; equal to n_heads without grouped queries */
	size_t d_model;     /* D, width */
	size_t d_head;      /* K, head width */
	size_t d_mlp;       /* F */
	size_t n_vocab;     /* rows of the unembedding */
	size_t n_context;   /* longest prompt */
	enum pb_norm norm;
	float norm_eps;
	enum pb_activation activation;
	bool gated;              /* the MLP is act(x W_gate) * (x W_in), else act(x W_in) */
	bool parallel;           /* x + attn(ln1 x) + mlp(ln2 x), else sequential */
	bool no_pre_norm;        /* attention and MLP read the stream itself (OLMo 2) */
	bool post_norm;          /* what attention and MLP add is normed first (Gemma 2, OLMo 2) */
	enum pb_qk_norm qk_norm; /* of the kind `norm`, before the rotation */
	bool learned_positions;  /* position embeddings are added to token embeddings */
	size_t rotary_dims;      /* rotary on the first rotary_dims of each head; 0: none */
	bool rotary_interleaved; /* pairs are (2i, 2i+1) (GPT-J), else (i, i + rotary_dims/2) */
	float embed_scale;       /* token embeddings times this; 0: as they are */

	float score_softcap; /* scores s become cap tanh(s / cap) before the mask; 0: not */
	float logit_softcap; /* so do logits */
};

/* How fast the pairs of the rotary embedding turn: pair i of position p by p * frequency[i]
 * radians (float32, as reference implementations keep them; angles are made in float64), cos and
 * sin both times `magnitude` (the attention factor of yarn and longrope; 1 without). Prompts of
 * more than short_context tokens go by frequency_long (longrope), where that is not NULL. */
struct pb_rope {
	float *frequency, *frequency_long; /* [rotary_dims / 2], owned by the model */
	size_t short_context;
	double magnitude;
	double base;         /* for the description alone */
	const char *scaling; /* its name: "default", "llama3", ... */
};
#define PB_ROPES_MAX 2

/* frequency[i] = base^(-2i/dims) for i below dims/2, in float32 as `transformers` makes them. */
void pb_rope_frequencies(size_t dims, double base, float *frequency);

struct pb_layer {
	struct pb_vector norm1_weight, norm1_bias, norm2_weight, norm2_bias;
	struct pb_weight q, k, v; /* [D, heads * K], group = head */
	struct pb_vector q_bias, k_bias, v_bias;
	struct pb_weight o; /* [H * K, D] */
	struct pb_vector o_bias;
	/* [H * K] and [KV * K], group = head; only with arch.qk_norm */
	struct pb_vector q_norm_weight, q_norm_bias, k_norm_weight, k_norm_bias;
	/* [D], only with arch.post_norm */
	struct pb_vector attn_post_norm_weight, mlp_post_norm_weight;
	struct pb_weight mlp_gate; /* [D, F], only with arch.gated */
	struct pb_vector mlp_gate_bias;
	struct pb_weight mlp_in; /* [D, F]: what a gate multiplies, or what is activated */
	struct pb_vector mlp_in_bias;
	struct pb_weight mlp_out; /* [F, D] */
	struct pb_vector mlp_out_bias;
	float score_scale; /* scores = score_scale * (q . k) */
	size_t window;     /* key j visible iff i - window < j <= i; 0: no window */
	bool no_rotary;    /* q and k are not rotated in this layer (NoPE) */
	size_t rope;       /* else by which of the model's ropes */
};

struct pb_model {
	char *path; /* the folder as given */
	struct pb_arch arch;
	struct pb_layer *layers;    /* n_layers */
	struct pb_weight embed;     /* [V, D] as a lookup: n_in = V (token), outputs = D */
	struct pb_weight pos_embed; /* [context, D]; data NULL without learned positions */
	struct pb_vector final_norm_weight, final_norm_bias;
	struct pb_weight unembed; /* [D, V] as a product (W_U); tied models view the embedding */
	struct pb_vector unembed_bias;
	struct pb_rope ropes[PB_ROPES_MAX]; /* frequency NULL: none */
	enum pb_dtype dtype;                /* of most of the elements used */
	size_t n_parameters;                /* elements of all tensors used, tied ones once */
	char sha256[PB_SHA256_HEX];   /* of config.json and the weight files; "" until asked for */
	struct pb_model_files *files; /* owned: maps, names */
};

/* The folder of a model: `path` itself when it exists or is no hub id, else the snapshot of the hub
 * id ("name" or "org/name") in the local Hugging Face cache (HF_HUB_CACHE, HF_HOME/hub or
 * ~/.cache/huggingface/hub) at `revision`, a branch, a tag, or a commit of at least 7 digits. *out
 * is the caller's to free. PB_ERR_INPUT says where was looked. Nothing is fetched. */
enum pb_status pb_model_find(char **out, const char *path, const char *revision,
			     struct pb_error *err);

/* Whether a path is a file that begins as GGUF files do: a model by itself. */
bool pb_is_gguf(const char *path);

/* Open a Hugging Face folder: config.json, and model.safetensors or the shards that
 * model.safetensors.index.json names, else pytorch_model.bin or its shards (F32, F16, BF16); a GGUF
 * file (any dtype), whose metadata stands for config.json; or a folder without any of these names
 * that holds one GGUF file. Everything is checked before it is used: shapes against the config,
 * offsets against the file, every tensor present, none unexpected (buffers are skipped by exact
 * suffix). Weights are views of the map. PB_ERR_INPUT names the file, the tensor or key, and what
 * to do. */
enum pb_status pb_model_open(struct pb_model **out, const char *path, struct pb_error *err);
void pb_model_close(struct pb_model *model);

/* SHA-256 over the bytes of config.json followed by those of the weight files in the order of their
 * names into model->sha256 (read once, kept): what `cat config.json model*.safetensors | sha256sum`
 * prints. Of a GGUF file its bytes alone. */
enum pb_status pb_model_hash(struct pb_model *model, struct pb_error *err);
/* Read the weights from copies in `folder` from here on: files without names there, checked, whose
 * room is given back at pb_model_close or when the process ends. The digest stays what it is.
 * PB_ERR_INPUT where the folder cannot be written or is too small. */
enum pb_status pb_model_stage(struct pb_model *model, const char *folder, struct pb_error *err);

/* Reads every weight once and refuses NaN and infinity: PB_ERR_INPUT names the first tensor and
 * element. Uses all OpenMP threads; resident memory stays bounded. */
enum pb_status pb_model_check_finite(const struct pb_model *model, struct pb_error *err);

/* Tell the kernel that the mapped pages holding this weight are not needed for now (after
 * packing), so that resident memory stays bounded. Never changes what is read later. */
void pb_weight_release(const struct pb_model *model, const struct pb_weight *w);

/* A human-readable description (family, sizes, block description, dtype, tensors skipped) to
 * `out`, for `patchbay info`. */
void pb_model_describe(const struct pb_model *model, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
