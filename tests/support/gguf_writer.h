/* Small GGUF files for tests, right or wrong: keys and tensors one after another, then the bytes.
 */
#ifndef PB_TESTS_GGUF_WRITER_H
#define PB_TESTS_GGUF_WRITER_H

#include "patchbay/model.h"
#include "support/safetensors_writer.h"

#define GGW_BYTES ((size_t)1 << 19)

struct ggw {
	unsigned char keys[GGW_BYTES], infos[GGW_BYTES], data[GGW_BYTES], file[3 * GGW_BYTES];
	size_t n_key_bytes, n_info_bytes, n_data, n_file;
	uint64_t n_keys, n_tensors;
	uint32_t version;
	uint32_t last_type; /* what ggw_tensor writes as a type, 0xffffffff: the right one */
	uint64_t shift;     /* added to the next tensor's offset */
};

static inline void ggw_begin(struct ggw *w)
{
	memset(w, 0, sizeof *w);
	w->version = 3;
	w->last_type = UINT32_MAX;
}

static inline void ggw_put(unsigned char *to, size_t *n, const void *from, size_t size)
{
	stw_require(*n + size <= GGW_BYTES, "GGUF file too large");
	if (size > 0)
		memcpy(to + *n, from, size);
	*n += size;
}

static inline void ggw_number(unsigned char *to, size_t *n, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		unsigned char byte = (unsigned char)(value >> (8 * i));

		ggw_put(to, n, &byte, 1);
	}
}

static inline void ggw_text(unsigned char *to, size_t *n, const char *text)
{
	ggw_number(to, n, strlen(text), 8);
	ggw_put(to, n, text, strlen(text));
}

/* A key of a type (struct pb_gguf_value) with the bytes of its value. */
static inline void ggw_key(struct ggw *w, const char *key, uint32_t type, const void *value,
			   size_t size)
{
	ggw_text(w->keys, &w->n_key_bytes, key);
	ggw_number(w->keys, &w->n_key_bytes, type, 4);
	ggw_put(w->keys, &w->n_key_bytes, value, size);
	w->n_keys++;
}

static inline void ggw_u32(struct ggw *w, const char *key, uint32_t value)
{
	ggw_key(w, key, 4, &value, 4);
}

static inline void ggw_f32(struct ggw *w, const char *key, float value)
{
	ggw_key(w, key, 6, &value, 4);
}

static inline void ggw_string(struct ggw *w, const char *key, const char *text)
{
	ggw_key(w, key, 8, "", 0);
	ggw_text(w->keys, &w->n_key_bytes, text);
}

/* An array of n texts, or of n numbers of 4 bytes (type 5: int32, 6: float32). */
static inline void ggw_texts(struct ggw *w, const char *key, const char *const *texts, uint64_t n)
{
	ggw_key(w, key, 9, "\10\0\0\0", 4);
	ggw_number(w->keys, &w->n_key_bytes, n, 8);
	for (uint64_t i = 0; i < n; i++)
		ggw_text(w->keys, &w->n_key_bytes, texts[i]);
}

static inline void ggw_numbers(struct ggw *w, const char *key, uint32_t type, const void *numbers,
			       uint64_t n)
{
	ggw_key(w, key, 9, &type, 4);
	ggw_number(w->keys, &w->n_key_bytes, n, 8);
	ggw_put(w->keys, &w->n_key_bytes, numbers, 4 * n);
}

/* ggml's numbers of the types of enum pb_dtype. */
static const uint32_t ggw_types[PB_N_DTYPES] = {0, 1, 30, 2, 3, 6, 7, 8, 12, 13, 14};

/* A tensor [rows, columns] (rows 0: a vector) with bytes that its name and their place make: blocks
 * of any type decode to finite numbers, F32 elements are stw_value(name, index). */
static inline unsigned char *ggw_tensor(struct ggw *w, const char *name, enum pb_dtype dtype,
					size_t rows, size_t columns)
{
	size_t n = columns * (rows > 0 ? rows : 1), bytes = pb_dtype_bytes(dtype, n), begin;

	while (w->n_data % 32 != 0)
		w->data[w->n_data++] = 0;
	begin = w->n_data;
	stw_require(begin + bytes <= GGW_BYTES, "GGUF file too large");
	ggw_text(w->infos, &w->n_info_bytes, name);
	ggw_number(w->infos, &w->n_info_bytes, rows > 0 ? 2 : 1, 4);
	ggw_number(w->infos, &w->n_info_bytes, columns, 8);
	if (rows > 0)
		ggw_number(w->infos, &w->n_info_bytes, rows, 8);
	ggw_number(w->infos, &w->n_info_bytes,
		   w->last_type != UINT32_MAX ? w->last_type : ggw_types[dtype], 4);
	ggw_number(w->infos, &w->n_info_bytes, begin + w->shift, 8);
	w->shift = 0;
	for (size_t i = 0; dtype == PB_F32 && i < n; i++) {
		float value = stw_value(name, i);

		memcpy(w->data + begin + 4 * i, &value, 4);
	}
	for (size_t i = 0; dtype != PB_F32 && i < bytes; i++) /* below 64: no half is infinite */
		w->data[begin + i] = (unsigned char)((int)(64.0f * stw_value(name, i)) & 63);
	w->n_data += bytes;
	w->n_tensors++;
	return w->data + begin;
}

/* The file into w->file. */
static inline void ggw_end(struct ggw *w)
{
	size_t n = 0;

	ggw_put(w->file, &n, "GGUF", 4);
	ggw_number(w->file, &n, w->version, 4);
	ggw_number(w->file, &n, w->n_tensors, 8);
	ggw_number(w->file, &n, w->n_keys, 8);
	memcpy(w->file + n, w->keys, w->n_key_bytes);
	n += w->n_key_bytes;
	memcpy(w->file + n, w->infos, w->n_info_bytes);
	n += w->n_info_bytes;
	while (n % 32 != 0)
		w->file[n++] = 0;
	memcpy(w->file + n, w->data, w->n_data);
	w->n_file = n + w->n_data;
}

/* ---- a whole model ---------------------------------------------------------------------- */

/* A Llama of one layer: width 256, two heads of width 128 and one for keys and values, tied. */
#define GGW_WIDTH ((size_t)256)
#define GGW_HEAD ((size_t)128)
#define GGW_VOCAB ((size_t)5)

static inline void ggw_llama_keys(struct ggw *w)
{
	ggw_string(w, "general.architecture", "llama");
	ggw_u32(w, "llama.block_count", 1);
	ggw_u32(w, "llama.context_length", 64);
	ggw_u32(w, "llama.embedding_length", GGW_WIDTH);
	ggw_u32(w, "llama.feed_forward_length", 256);
	ggw_u32(w, "llama.attention.head_count", 2);
	ggw_u32(w, "llama.attention.head_count_kv", 1);
	ggw_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
}

/* All matrices but the embedding (Q8_0) of one type. */
static inline void ggw_llama_tensors(struct ggw *w, enum pb_dtype dtype)
{
	ggw_tensor(w, "token_embd.weight", PB_Q8_0, GGW_VOCAB, GGW_WIDTH);
	ggw_tensor(w, "output_norm.weight", PB_F32, 0, GGW_WIDTH);
	ggw_tensor(w, "blk.0.attn_norm.weight", PB_F32, 0, GGW_WIDTH);
	ggw_tensor(w, "blk.0.ffn_norm.weight", PB_F32, 0, GGW_WIDTH);
	ggw_tensor(w, "blk.0.attn_q.weight", dtype, 2 * GGW_HEAD, GGW_WIDTH);
	ggw_tensor(w, "blk.0.attn_k.weight", dtype, GGW_HEAD, GGW_WIDTH);
	ggw_tensor(w, "blk.0.attn_v.weight", PB_Q8_0, GGW_HEAD, GGW_WIDTH);
	ggw_tensor(w, "blk.0.attn_output.weight", PB_Q4_0, GGW_WIDTH, 2 * GGW_HEAD);
	ggw_tensor(w, "blk.0.ffn_gate.weight", PB_Q4_0, 256, GGW_WIDTH);
	ggw_tensor(w, "blk.0.ffn_up.weight", PB_Q4_0, 256, GGW_WIDTH);
	ggw_tensor(w, "blk.0.ffn_down.weight", PB_Q4_0, GGW_WIDTH, 256);
}

#endif
