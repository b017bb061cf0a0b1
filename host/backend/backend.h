/* The table of operations that a backend fills. The engine above knows nothing else of the device:
 * it allocates, uploads, calls operations on device memory and downloads scores.
 *
 * Shapes are written [rows, columns], row-major, float32 unless said otherwise. D width, H heads,
 * K head width, KV key/value heads, F MLP width, V vocabulary. "base" rows are the packed rows of
 * the chunk's clean and corrupted prompts; "delta" rows are the packed rows of a wave's variants:
 * row r of a wave belongs to one position of one variant and base_row[r] names the recipient's row.
 *
 * Every reduction has a fixed order: a row's bits depend on its own inputs only, never on which
 * rows travel with it, nor on the number of threads. */
#ifndef PB_BACKEND_H
#define PB_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "patchbay/config.h"
#include "patchbay/model.h"
#include "patchbay/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Device memory. Only a backend may look inside. */
struct pb_dev {
	void *address;
};

/* The memory `bytes` further on. */
static inline struct pb_dev pb_dev_at(struct pb_dev d, size_t bytes)
{
	d.address = (char *)d.address + bytes;
	return d;
}
/* Row `row` of a float32 array with `columns` columns. */
static inline struct pb_dev pb_dev_row(struct pb_dev d, size_t row, size_t columns)
{
	return pb_dev_at(d, row * columns * sizeof(float));
}

struct pb_device; /* one open device; begins with its table */
struct pb_team;   /* cluster/team.h */
struct pb_packed; /* a weight matrix in the layout that the device's products want */

/* Positions of a wave's variant: its changed rows are `first` .. `length`-1 of its prompt. int32 so
 * that an array of them is plain device memory. */
struct pb_span {
	int32_t base;   /* base row of the recipient's position 0 */
	int32_t length; /* tokens of the prompt */
	int32_t first;  /* first changed position */
	int32_t row;    /* delta row of position `first`, relative to the arrays of the call */
	int32_t edit, n_edits; /* its range of the call's pattern edits */
};

/* A block of one head's attention pattern that an intervention writes, after the softmax, rows not
 * renormalised: a[i, j] = own * a[i, j] + source * s[i, j] for queries query .. query + n_queries -
 * 1 and keys key .. key + n_keys - 1. s is the pattern of another prompt at the same positions,
 * computed from its q and k (of rows 0 .. query + n_queries - 1), or rows of a table whose columns
 * are keys; a factor of 0 leaves its term out, and without either there is none. Entries that a
 * query cannot see stay 0, and what lies outside the variant's changed rows is ignored. The blocks
 * of one head of one variant do not overlap. */
struct pb_pattern_edit {
	int32_t head;
	int32_t query, n_queries, key, n_keys;
	int32_t source_base; /* row of position 0 of the source prompt in source_qkv; -1: none */
	int32_t table_row; /* row of `table` for the first query, the next ones follow; -1: none */
	float own, source;
};

/* Operands of delta products: where an operation is asked for its rows as `operand`, it leaves them
 * rounded to the precision that the device was opened with and in the device's own format, each
 * row where its float32 numbers would begin. pb_gemm alone can read them, and gives the same bits
 * as if it had rounded the float32 rows itself. */

/* y[m, n] (+)= x[m, k] W + bias; row strides in floats. `delta`: x is a change of activations, and
 * operands may be rounded to the precision that the device was opened with; `operand` (of delta
 * products): x holds operands already. */
struct pb_gemm {
	size_t m;
	struct pb_dev x, y;
	size_t x_stride, y_stride;
	const struct pb_packed *w;
	struct pb_dev bias; /* [n], address NULL: none */
	bool accumulate, delta, operand;
};

/* x[r] = scale embed[token[r]] (+ pos_embed[position[r]]); a scale of 0: none. Tables are host
 * views of the checkpoint. */
struct pb_embed {
	size_t n_rows, d_model;
	const int32_t *token, *position; /* host */
	const struct pb_weight *embed, *pos_embed;
	float scale;
	struct pb_dev x;
};

/* Rows first .. first + n - 1 of a packed matrix as float32: out[n, n_out]. And columns of it as
 * rows: out[i, n_in] = W[:, column[i]]. `view` is the one view that it was packed of. Where the
 * device's copy is in another layout the view is read; where ranks share weights, the device's
 * copy. */
struct pb_matrix_rows {
	const struct pb_packed *w;
	const struct pb_weight *view;
	size_t first, n;
	float *out; /* host */
};
struct pb_matrix_columns {
	const struct pb_packed *w;
	const struct pb_weight *view;
	size_t n;
	const int32_t *column; /* host */
	struct pb_dev out;
};

/* One normalisation: y = (x - mean) / sqrt(var + eps) * weight + bias (layer norm), or
 * y = x / sqrt(mean(x^2) + eps) * weight (RMS norm). stats[r] = {mean (0 for RMS), 1/sqrt(..)}. */
struct pb_norm_op {
	enum pb_norm kind;
	float eps;
	size_t n_rows, d_model;
	struct pb_dev x, weight, bias; /* weight, bias [D]; bias address NULL: none */
	struct pb_dev y;               /* [n_rows, D] */
	struct pb_dev stats;           /* [n_rows, 2] out */
};

/* y[r] = norm(x0[base_row[r]] + delta[r]) - norm(x0[base_row[r]]), without cancellation. */
struct pb_norm_delta {
	enum pb_norm kind;
	float eps;
	size_t n_rows, d_model;
	struct pb_dev delta, x0, stats, weight; /* x0, stats: base rows */
	struct pb_dev base_row;                 /* int32 [n_rows] */
	struct pb_dev y;
	bool operand; /* y is left as operands; it is not delta then */
};

/* Norms of heads in place: row r has n_parts parts of `width` floats from x on, and each becomes
 * norm(part) as in pb_norm_op, with weight and bias [n_parts * width]. x0.address NULL: x is the
 * activation. Else x is a change of it, the activation at base row base_row[r] is x0, and x
 * becomes norm(x0 + x) - norm(x0). */
struct pb_head_norm {
	enum pb_norm kind;
	float eps;
	size_t n_rows, n_parts, width;
	struct pb_dev x, weight, bias; /* bias address NULL: none */
	size_t x_stride;
	struct pb_dev x0, base_row;
	size_t x0_stride;
};

/* Rotary embedding in place on `n_heads` heads at x (row stride in floats), at positions
 * position[row] (int32, device). Linear, so it serves deltas too. cos_sin has
 * the angles' functions, made in float64 and rounded once. */
struct pb_rotary {
	size_t n_rows, n_heads, d_head, rotary_dims;
	bool interleaved; /* pairs (2i, 2i + 1), else (i, i + rotary_dims/2) */
	struct pb_dev x;
	size_t x_stride;
	struct pb_dev position;
	struct pb_dev cos_sin; /* [n_positions, rotary_dims]: cos then sin, rotary_dims/2 each */
};

/* Shapes of attention, shared by the three forms below. Rows of qkv are q | k | v. */
struct pb_heads {
	size_t n_heads, n_kv_heads, d_head;
	float score_scale;
	size_t window;       /* 0: none */
	float score_softcap; /* scaled scores s become cap tanh(s / cap); 0: not */
};

/* z = softmax(scale q k^T, causal, windowed) v over packed prompts. A prompt may begin with what
 * another one begins with: rows base .. base + first - 1 of qkv are its positions 0 .. first - 1,
 * whose z is not asked for, and its other positions have the rows from `row` on. Prompts that share
 * a prefix (base and first) and stand one behind another read its keys and values once. Edits are
 * for prompts of their own rows alone (first 0). */
struct pb_attention {
	struct pb_heads heads;
	size_t n_prompts;
	const struct pb_span *prompts; /* host */
	size_t max_length;
	struct pb_dev qkv;                   /* [rows, (H + 2 KV) K] */
	struct pb_dev z;                     /* [rows, H K] */
	const struct pb_pattern_edit *edits; /* host; by the spans' ranges */
	struct pb_dev source_qkv;            /* rows of the edits' source prompts, like qkv */
	struct pb_dev table;                 /* [.., table_stride] rows of patterns */
	size_t table_stride;
};

/* Patterns of every head of packed prompts: a[p, h, i, j], 0 where j is not visible to i and past
 * the prompt's length. */
struct pb_patterns {
	struct pb_heads heads;
	size_t n_prompts;
	const struct pb_span *prompts; /* host */
	size_t max_length;
	struct pb_dev qkv; /* [rows, (H + 2 KV) K] */
	struct pb_dev a;   /* [n_prompts, H, max_length, max_length] */
};

/* The change of z at every changed row of each variant, given the changes of its q, k, v:
 * dz = sum_j (a_j - a0_j) v0_j + a_j dv_j, prefix keys and values read from the recipient's cache.
 * A span may end before its prompt does: rows behind its length are then neither read nor written.
 */
struct pb_attention_delta {
	struct pb_heads heads;
	size_t n_variants;
	const struct pb_span *variants; /* host; rows relative to dqkv and dz */
	size_t max_length;
	struct pb_dev qkv0; /* base rows */
	struct pb_dev dqkv; /* delta rows */
	struct pb_dev dz;   /* delta rows, [rows, H K] */
	bool operand;       /* dz is left as operands; of all heads */
	/* Query heads first_head .. first_head + n_used - 1 alone: their columns of dz are written,
	 * and only their q and their KV heads' k and v are read. n_used 0: all heads. */
	size_t first_head, n_used;
	const struct pb_pattern_edit *edits; /* host; by the spans' ranges; sources are in qkv0 */
	struct pb_dev table;
	size_t table_stride;
};

/* The same for the last layer, at the answer position (length - 1) only, without making V, and
 * without making K where keys are not rotated:
 *   score_j = scale (q . k0_j + extra_j),  extra_j = (q W_K^T) . dn_j  or  q . dk_j
 *   zdiff = sum_j (a_j - a0_j) v0_j,   mix_h = sum_{j >= first} a_j dn_j
 * so that dz_h = zdiff_h + mix_h W_V[h]. */
struct pb_attention_last {
	struct pb_heads heads;
	size_t d_model, n_variants;
	const struct pb_span *variants; /* host; rows relative to dn and dk */
	size_t max_length;
	struct pb_dev qkv0;  /* base rows */
	struct pb_dev q;     /* [n_variants, H K]: q at the answer position (base + change) */
	struct pb_dev qk;    /* [n_variants, H, D]: q_h W_K[h]^T; address NULL: use dk */
	struct pb_dev dk;    /* delta rows [rows, KV K]; address NULL: use qk */
	struct pb_dev dn;    /* delta rows [rows, D]: change of the normed input */
	struct pb_dev zdiff; /* [n_variants, H K] out */
	struct pb_dev mix;   /* [n_variants, H, D] out */
};

/* a = act(h); gated: rows of h are g | u of `width` each, and a = act(g) u. */
struct pb_activation_op {
	enum pb_activation kind;
	bool gated;
	size_t n_rows, width; /* of a */
	struct pb_dev h, a;
};

/* dh[r] <- act(h0[base_row[r]] + dh[r]) - a0[base_row[r]], in place. Gated: rows of h0 and dh are
 * g | u of `width` each, and the first half of a row of dh becomes act(g0 + dg) (u0 + du) -
 * act(g0) u0, as (act(g0 + dg) - act(g0)) (u0 + du) + act(g0) du; a0 is not read. */
struct pb_activation_delta {
	enum pb_activation kind;
	bool gated, operand; /* dh is left as operands */
	size_t n_rows, width;
	struct pb_dev dh, h0, a0, base_row;
};

/* Row-wise moves: out[out_row[i]] = (a[a_row[i]] - b[b_row[i]]) over `columns` columns. A NULL
 * index means i; a NULL b means zero. int32 device indices, strides in floats. */
struct pb_rows {
	size_t n_rows, columns;
	struct pb_dev a, b, out;
	size_t a_stride, b_stride, out_stride;
	struct pb_dev a_row, b_row, out_row;
	bool accumulate; /* out += instead of out = */
};

/* out[i] = sum_d x[x_row[i], d] * t[t_row[i], d] in float64, fixed order; out is a host array. */
struct pb_dots {
	size_t n, d_model;
	struct pb_dev x, t;
	const int32_t *x_row, *t_row; /* host */
	double *out;                  /* host */
};

/* Scores over the whole vocabulary of row i: logits = logits0[base[i]] + delta[i], each of them
 * softcap tanh(x / softcap) where softcap is not 0. */
struct pb_vocabulary_score {
	double lse; /* log sum exp of all V logits */
	double logit_answer, logit_foil;
	int32_t rank_answer, rank_foil, argmax; /* among the first n_valid tokens */
	double kl_recipient, kl_donor; /* KL(P_base || P_row), KL(P_donor || P_row), nats */
};
struct pb_vocabulary {
	size_t n, n_vocab, n_valid;
	float softcap;
	struct pb_dev delta;         /* [n, V], address NULL: zero */
	struct pb_dev logits0;       /* [base answer rows, V] */
	const int32_t *base, *donor; /* host: rows of logits0; donor NULL: no KL is computed */
	const double *lse0; /* host: lse of each row of logits0 for KL; NULL: made each time */
	const int32_t *answer, *foil;    /* host */
	struct pb_vocabulary_score *out; /* host */
};

/* One run of rows that an intervention writes: for i below n_rows and c below the op's columns
 *   out[row + i, column + c] = own * out[row + i, column + c] + base * x0[base_row + i, column + c]
 *                            + source * s[source_row + i * source_step, source_column + c]
 * A factor of 0 leaves its term out (what lies there is not even read). */
struct pb_edit {
	int32_t row, base_row, source_row;
	int32_t n_rows, source_step; /* the step is 0 (one row for all) or 1 */
	int32_t column, source_column;
	float own, base, source;
};
/* Edits do not overlap. */
struct pb_edits {
	size_t n, columns;
	const struct pb_edit *edits; /* host */
	struct pb_dev out, x0, source;
	size_t out_stride, x0_stride, source_stride; /* floats */
};

/* flag[i, h] = 1 when the K values of head h differ (as numbers) between rows a_row[i] and
 * b_row[i] of z; host indices and flags. */
struct pb_differ {
	size_t n, n_heads, d_head;
	size_t stride; /* floats from row to row of z; 0: n_heads * d_head */
	struct pb_dev z;
	const int32_t *a_row, *b_row; /* host */
	uint8_t *flag;                /* host [n, H] */
};

struct pb_block_sizes {
	size_t rows, variants;
};

#define PB_TICKET_ALL UINT64_MAX

/* Whose numbers pack() and upload() leave on the device: this rank's own, this rank's for all, or
 * rank 0's, so that this one need not read any. */
enum pb_sharing { PB_SHARING_NOT, PB_SHARING_GIVES, PB_SHARING_RECEIVES };

/* Graphs of a device so far: how many were launched, with how many kernels, copies and products in
 * them; how often one that was there took new arguments, and how often one was made. */
struct pb_graph_counts {
	uint64_t launched, nodes, updated, made;
};

/* The operations: X(entry, its arguments' struct). Those of PB_EACH_KERNEL have arithmetic of their
 * own in every backend. */
#define PB_EACH_KERNEL(X)                                                                          \
	X(norm, pb_norm_op)                                                                        \
	X(norm_delta, pb_norm_delta)                                                               \
	X(head_norm, pb_head_norm)                                                                 \
	X(rotary, pb_rotary)                                                                       \
	X(patterns, pb_patterns)                                                                   \
	X(attention, pb_attention)                                                                 \
	X(attention_delta, pb_attention_delta)                                                     \
	X(attention_last, pb_attention_last)                                                       \
	X(activation, pb_activation_op)                                                            \
	X(activation_delta, pb_activation_delta)                                                   \
	X(rows, pb_rows)                                                                           \
	X(edits, pb_edits)                                                                         \
	X(dots, pb_dots)                                                                           \
	X(vocabulary, pb_vocabulary)                                                               \
	X(differ, pb_differ)
#define PB_EACH_OPERATION(X)                                                                       \
	X(gemm, pb_gemm)                                                                           \
	X(embed, pb_embed)                                                                         \
	X(matrix_rows, pb_matrix_rows)                                                             \
	X(matrix_columns, pb_matrix_columns)                                                       \
	PB_EACH_KERNEL(X)
/* NOLINTBEGIN(bugprone-macro-parentheses): a name cannot stand in parentheses */
#define PB_OPS_ENTRY(name, args)                                                                   \
	enum pb_status (*name)(struct pb_device *, const struct args *, struct pb_error *);
/* NOLINTEND(bugprone-macro-parentheses) */

struct pb_ops {
	const char *name; /* "cpu" */

	void (*close)(struct pb_device *dev);
	/* One line: what the device is (processor, instruction set, threads). */
	const char *(*describe)(struct pb_device *dev);
	/* The instruction set or card whose rounding the results have, e.g. "x86-64-v4". */
	const char *(*isa)(struct pb_device *dev);

	/* Zeroed memory; PB_ERR_MEMORY with the size when there is none. */
	enum pb_status (*alloc)(struct pb_device *dev, size_t bytes, struct pb_dev *out,
				struct pb_error *err);
	void (*release)(struct pb_device *dev, struct pb_dev memory);
	enum pb_status (*upload)(struct pb_device *dev, struct pb_dev to, const void *from,
				 size_t bytes, struct pb_error *err);
	enum pb_status (*download)(struct pb_device *dev, void *to, struct pb_dev from,
				   size_t bytes, struct pb_error *err);
	enum pb_status (*zero)(struct pb_device *dev, struct pb_dev to, size_t bytes,
			       struct pb_error *err);
	/* Working memory of the operations for prompts up to max_length tokens; called once, before
	 * any other operation, so that nothing is allocated inside a sweep. */
	enum pb_status (*prepare)(struct pb_device *dev, const struct pb_arch *arch,
				  size_t max_length, struct pb_error *err);
	/* Kernels and products that were started so far, for benchmarks; 0 where nothing is
	 * launched.
	 */
	uint64_t (*launches)(struct pb_device *dev);
	/* How many delta rows, and variants in the last layer, should go through a block together.
	 */
	struct pb_block_sizes (*block_sizes)(struct pb_device *dev);
	/* Bytes of device memory that an element of a packed matrix takes. */
	size_t (*element_bytes)(struct pb_device *dev);
	/* Bytes of device memory that can be had now; 0: device memory is the host's. */
	enum pb_status (*memory)(struct pb_device *dev, size_t *available, struct pb_error *err);
	/* Work may still be under way when an operation returns: host arrays that it reads are free
	 * at once, but those that it fills (of dots, vocabulary, differ) are filled when wait()
	 * with a ticket taken after it has returned; PB_TICKET_ALL waits for all work. download()
	 * waits by itself. */
	uint64_t (*ticket)(struct pb_device *dev);
	enum pb_status (*wait)(struct pb_device *dev, uint64_t ticket, struct pb_error *err);
	/* What prepare will take. */
	size_t (*prepare_bytes)(struct pb_device *dev, const struct pb_arch *arch,
				size_t max_length);

	/* Pack `n` views with the same n_in side by side, widened to float32. */
	enum pb_status (*pack)(struct pb_device *dev, const struct pb_weight *views, size_t n,
			       struct pb_packed **out, struct pb_error *err);
	void (*unpack)(struct pb_device *dev, struct pb_packed *packed);
	/* From here on pack() and upload() leave on every rank of the team what rank 0 gives them,
	 * and the others' data is not read: all ranks call them in the same order. team NULL: no
	 * longer. Where a device cannot (the cpu's weights stay where they are mapped) each rank
	 * goes on reading its own. Collective; two ranks on one GPU are PB_ERR_INPUT. */
	enum pb_status (*share)(struct pb_device *dev, struct pb_team *team, struct pb_error *err);
	/* What share came to. */
	enum pb_sharing (*sharing)(struct pb_device *dev);

	/* Bytes of device memory that graphs may take beside everything else; so many are kept, and
	 * one of them is no longer, than that. Before the first graph_begin; without it a few MiB.
	 */
	void (*graph_room)(struct pb_device *dev, size_t bytes);
	/* What is ordered between graph_begin and graph_end may be held back and go to the device
	 * as one graph, or as several: it has been ordered when graph_end returns, and results are
	 * the same bits. Every operation may be called in between; one that waits, or that has a
	 * result for the host, orders first what was held back. `kind` is the same where the same
	 * operations are expected: the first of a kind is no graph, since it finds kernels and
	 * algorithms. graph_end takes the status of what was done in between and returns it, or its
	 * own failure; after a failure what was held back is dropped. Not nested. Where there are
	 * no graphs both do nothing. */
	enum pb_status (*graph_begin)(struct pb_device *dev, uint64_t kind, struct pb_error *err);
	enum pb_status (*graph_end)(struct pb_device *dev, enum pb_status status,
				    struct pb_error *err);
	/* All zero where there are none. */
	struct pb_graph_counts (*graph_counts)(struct pb_device *dev);

	PB_EACH_OPERATION(PB_OPS_ENTRY)
};

/* Every backend's device begins so. */
struct pb_device {
	const struct pb_ops *ops;
};

/* Open a backend by name: "cpu", "cuda", or "auto": a GPU where one can be used, else the
 * processor. A table with a missing entry is PB_ERR_INTERNAL; an unknown backend, one that is not
 * there and why, and a precision that it does not have are PB_ERR_INPUT. n_threads >= 1. */
enum pb_status pb_device_open(struct pb_device **out, const char *name, int n_threads,
			      enum pb_precision precision, struct pb_error *err);
void pb_device_close(struct pb_device *dev);

/* The cuda backend is a plugin, so that programs start without CUDA's libraries and run where there
 * are none: this function of it (kernels/cuda/table.cu) is looked up by name. */
typedef enum pb_status pb_cuda_open_fn(struct pb_device **out, enum pb_precision precision,
				       struct pb_error *err);

/* The cpu backend (kernels/cpu/table.c). */
enum pb_status pb_cpu_open(struct pb_device **out, int n_threads, struct pb_error *err);

#ifdef __cplusplus
}
#endif
#endif
