/* Causal attention: of the base runs, and its exact change for the variants of a wave.
 *
 * A task is one head of one prompt (or of a run of variants that share a recipient), small enough
 * for a core's own cache. Scratch is laid out here and sized by pb_cpu_scratch_floats. */
#include "cpu/isa.h"

#include <omp.h>

/* ---- the recipient's side, shared by all variants of one pair ----------------------------------
 */

struct side {
	size_t length, lanes_length; /* keys, and keys rounded up to whole vectors */
	size_t head, kv, stride;     /* this query head, its KV head, floats a qkv row */
	size_t d_head, lanes_head;
	const float *rows; /* qkv of position 0 */
	float *kt;         /* [d_head, lanes_length]: keys transposed */
	float *v;          /* [length, lanes_head] */
};

static inline const float *query_of(const struct pb_heads *hd, const float *row, size_t head)
{
	return row + head * hd->d_head;
}
static inline const float *key_of(const struct pb_heads *hd, const float *row, size_t kv)
{
	return row + (hd->n_heads + kv) * hd->d_head;
}
static inline const float *value_of(const struct pb_heads *hd, const float *row, size_t kv)
{
	return row + (hd->n_heads + hd->n_kv_heads + kv) * hd->d_head;
}

static inline size_t qkv_stride(const struct pb_heads *hd)
{
	return (hd->n_heads + 2 * hd->n_kv_heads) * hd->d_head;
}

/* Take `count` floats of scratch, on a cache line. */
static inline float *take(float **scratch, size_t count)
{
	float *p = *scratch;

	*scratch += (count + 15) / 16 * 16;
	return p;
}

static void load_side(struct side *s, const struct pb_heads *hd, const float *qkv, size_t base,
		      size_t length, size_t head, float **scratch)
{
	s->length = length;
	s->lanes_length = pb_round_lanes(length);
	s->head = head;
	s->kv = head * hd->n_kv_heads / hd->n_heads;
	s->stride = qkv_stride(hd);
	s->d_head = hd->d_head;
	s->lanes_head = pb_round_lanes(hd->d_head);
	s->rows = qkv + base * s->stride;
	s->kt = take(scratch, s->d_head * s->lanes_length);
	s->v = take(scratch, length * s->lanes_head);
	for (size_t j = 0; j < length; j++) {
		const float *k = key_of(hd, s->rows + j * s->stride, s->kv);
		const float *v = value_of(hd, s->rows + j * s->stride, s->kv);

		for (size_t d = 0; d < s->d_head; d++)
			s->kt[d * s->lanes_length + j] = k[d];
		for (size_t d = 0; d < s->lanes_head; d++)
			s->v[j * s->lanes_head + d] = d < s->d_head ? v[d] : 0.0f;
	}
	for (size_t d = 0; d < s->d_head; d++)
		for (size_t j = length; j < s->lanes_length; j++)
			s->kt[d * s->lanes_length + j] = 0.0f;
}

/* Keys that rows up to position `last` see, rounded up to whole vectors. */
static inline size_t keys_until(size_t last, size_t lanes_length)
{
	size_t n = pb_round_lanes(last + 1);

	return n < lanes_length ? n : lanes_length;
}

/* Patterns of `n` query rows q [n, d_head] (already scaled) at positions first..: a [n, ld]. */
static void patterns(const struct pb_heads *hd, const float *q, const float *kt, size_t ld,
		     size_t first, size_t n, float *a)
{
	for (size_t i = 0; i < n; i += PB_MM_ROWS) {
		size_t m = n - i < PB_MM_ROWS ? n - i : PB_MM_ROWS;
		size_t keys = keys_until(first + i + m - 1, ld);

		pb_mm(a + i * ld, ld, q + i * hd->d_head, hd->d_head, kt, ld, m, keys, hd->d_head,
		      false);
		for (size_t r = i; r < i + m; r++)
			pb_softmax(a + r * ld, ld, pb_first_visible(first + r, hd->window),
				   first + r);
	}
}

/* ---- base runs ------------------------------------------------------------------------------- */

static void attend_prompt(const struct pb_attention *op, const struct pb_span *p, size_t head,
			  float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	size_t n = (size_t)p->length, width = hd->n_heads * hd->d_head;
	struct side s;
	float *q, *a, *z;

	load_side(&s, hd, pb_in(op->qkv), (size_t)p->base, n, head, &scratch);
	q = take(&scratch, PB_MM_ROWS * s.d_head);
	a = take(&scratch, PB_MM_ROWS * s.lanes_length);
	z = take(&scratch, PB_MM_ROWS * s.lanes_head);
	for (size_t i = 0; i < n; i += PB_MM_ROWS) {
		size_t m = n - i < PB_MM_ROWS ? n - i : PB_MM_ROWS;

		for (size_t r = 0; r < m; r++)
			for (size_t d = 0; d < s.d_head; d++)
				q[r * s.d_head + d] =
				    query_of(hd, s.rows + (i + r) * s.stride, head)[d] *
				    hd->score_scale;
		patterns(hd, q, s.kt, s.lanes_length, i, m, a);
		pb_mm(z, s.lanes_head, a, s.lanes_length, s.v, s.lanes_head, m, s.lanes_head, i + m,
		      false);
		for (size_t r = 0; r < m; r++)
			memcpy(pb_out(op->z) + ((size_t)p->base + i + r) * width + head * s.d_head,
			       z + r * s.lanes_head, s.d_head * sizeof(float));
	}
}

enum pb_status PB_KERNEL(attention)(struct pb_device *dev, const struct pb_attention *op,
				    struct pb_error *err)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);
	size_t n_tasks = op->n_prompts * op->heads.n_heads;

	(void)err;
#pragma omp parallel for num_threads(cpu->n_threads)                                               \
    schedule(dynamic, 1) if (PB_WORTH_THREADS(n_tasks * op->max_length * op->heads.d_head))
	for (size_t t = 0; t < n_tasks; t++)
		attend_prompt(op, &op->prompts[t / op->heads.n_heads], t % op->heads.n_heads,
			      cpu->scratch[omp_get_thread_num()]);
	return PB_OK;
}

/* ---- variants -------------------------------------------------------------------------------- */

/* One head of one variant. kt is this variant's own copy of the transposed keys; its columns from
 * `lowest` on are rewritten. a0 holds the recipient's patterns from position `lowest` on. */
static void attend_variant(const struct pb_attention_delta *op, const struct pb_span *p,
			   const struct side *s, const float *a0, size_t lowest, float *kt,
			   float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	size_t first = (size_t)p->first, n = s->length - first, ld = s->lanes_length;
	size_t width = hd->n_heads * hd->d_head;
	const float *rows = pb_in(op->dqkv) + (size_t)p->row * s->stride;
	float *dv = take(&scratch, n * s->lanes_head);
	float *q = take(&scratch, PB_MM_ROWS * s->d_head);
	float *a = take(&scratch, PB_MM_ROWS * ld);
	float *z = take(&scratch, PB_MM_ROWS * s->lanes_head);

	for (size_t d = 0; d < s->d_head; d++) {
		const float *k0 = s->kt + d * ld;
		float *k = kt + d * ld;

		for (size_t j = lowest; j < first; j++)
			k[j] = k0[j];
		for (size_t j = first; j < s->length; j++)
			k[j] = k0[j] + key_of(hd, rows + (j - first) * s->stride, s->kv)[d];
	}
	for (size_t j = 0; j < n; j++) {
		const float *v = value_of(hd, rows + j * s->stride, s->kv);

		for (size_t d = 0; d < s->lanes_head; d++)
			dv[j * s->lanes_head + d] = d < s->d_head ? v[d] : 0.0f;
	}
	for (size_t i = 0; i < n; i += PB_MM_ROWS) {
		size_t m = n - i < PB_MM_ROWS ? n - i : PB_MM_ROWS;

		for (size_t r = 0; r < m; r++) {
			const float *q0 =
			    query_of(hd, s->rows + (first + i + r) * s->stride, s->head);
			const float *dq = query_of(hd, rows + (i + r) * s->stride, s->head);

			for (size_t d = 0; d < s->d_head; d++)
				q[r * s->d_head + d] = (q0[d] + dq[d]) * hd->score_scale;
		}
		patterns(hd, q, kt, ld, first + i, m, a);
		/* a_j dv_j, then (a_j - a0_j) v0_j */
		pb_mm(z, s->lanes_head, a + first, ld, dv, s->lanes_head, m, s->lanes_head, i + m,
		      false);
		for (size_t r = 0; r < m; r++) {
			const float *base = a0 + (first - lowest + i + r) * ld;

			for (size_t j = 0; j < first + i + m; j++)
				a[r * ld + j] -= base[j];
		}
		pb_mm(z, s->lanes_head, a, ld, s->v, s->lanes_head, m, s->lanes_head, first + i + m,
		      true);
		for (size_t r = 0; r < m; r++)
			memcpy(pb_out(op->dz) + ((size_t)p->row + i + r) * width +
				   s->head * s->d_head,
			       z + r * s->lanes_head, s->d_head * sizeof(float));
	}
}

/* The variants v0 .. v1-1, all of one recipient, for one head. */
static void attend_group(const struct pb_attention_delta *op, size_t v0, size_t v1, size_t head,
			 float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	size_t length = (size_t)op->variants[v0].length, lowest = length, n;
	struct side s;
	float *q, *a0, *kt;

	for (size_t v = v0; v < v1; v++)
		if ((size_t)op->variants[v].first < lowest)
			lowest = (size_t)op->variants[v].first;
	n = length - lowest;
	load_side(&s, hd, pb_in(op->qkv0), (size_t)op->variants[v0].base, length, head, &scratch);
	q = take(&scratch, n * s.d_head);
	a0 = take(&scratch, n * s.lanes_length);
	kt = take(&scratch, s.d_head * s.lanes_length);
	for (size_t r = 0; r < n; r++) {
		const float *q0 = query_of(hd, s.rows + (lowest + r) * s.stride, head);

		for (size_t d = 0; d < s.d_head; d++)
			q[r * s.d_head + d] = q0[d] * hd->score_scale;
	}
	patterns(hd, q, s.kt, s.lanes_length, lowest, n, a0);
	memcpy(kt, s.kt, s.d_head * s.lanes_length * sizeof(float));
	for (size_t v = v0; v < v1; v++)
		attend_variant(op, &op->variants[v], &s, a0, lowest, kt, scratch);
}

/* End of the run of variants from v0 on that share a recipient, at most `most` of them. */
static size_t group_end(const struct pb_span *variants, size_t n, size_t v0, size_t most)
{
	size_t v = v0 + 1;

	while (v < n && v - v0 < most && variants[v].base == variants[v0].base)
		v++;
	return v;
}

/* Variants of one task: enough to share the recipient's patterns, few enough to balance threads. */
#define GROUP_MOST 32

enum pb_status PB_KERNEL(attention_delta)(struct pb_device *dev,
					  const struct pb_attention_delta *op, struct pb_error *err)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);
	size_t n_heads = op->heads.n_heads;

	(void)err;
	for (size_t start = 0; start < op->n_variants;) {
		/* a batch of up to 64 groups; tasks are (group, head) */
		size_t bounds[65], n_groups = 0;

		bounds[0] = start;
		while (n_groups < 64 && bounds[n_groups] < op->n_variants) {
			bounds[n_groups + 1] =
			    group_end(op->variants, op->n_variants, bounds[n_groups], GROUP_MOST);
			n_groups++;
		}
#pragma omp parallel for num_threads(cpu->n_threads)                                               \
    schedule(dynamic, 1) if (n_groups * n_heads > 8)
		for (size_t t = 0; t < n_groups * n_heads; t++)
			attend_group(op, bounds[t / n_heads], bounds[t / n_heads + 1], t % n_heads,
				     cpu->scratch[omp_get_thread_num()]);
		start = bounds[n_groups];
	}
	return PB_OK;
}

/* ---- the last layer, answer position only ------------------------------------------------------
 */

static void attend_last(const struct pb_attention_last *op, size_t v, float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	const struct pb_span *p = &op->variants[v];
	size_t length = (size_t)p->length, first = (size_t)p->first, n = length - first;
	size_t width = hd->n_heads * hd->d_head, stride = qkv_stride(hd);
	size_t lo = pb_first_visible(length - 1, hd->window);
	const float *rows = pb_in(op->qkv0) + (size_t)p->base * stride;
	float *a = take(&scratch, length), *a0 = take(&scratch, length);

	for (size_t h = 0; h < hd->n_heads; h++) {
		size_t kv = h * hd->n_kv_heads / hd->n_heads;
		const float *q = pb_in(op->q) + v * width + h * hd->d_head;
		const float *q0 = query_of(hd, rows + (length - 1) * stride, h);
		float *zdiff = pb_out(op->zdiff) + v * width + h * hd->d_head;
		float *mix = pb_out(op->mix) + (v * hd->n_heads + h) * op->d_model;

		for (size_t j = lo; j < length; j++) {
			const float *k0 = key_of(hd, rows + j * stride, kv);

			a0[j] = pb_dot(q0, k0, hd->d_head) * hd->score_scale;
			a[j] = pb_dot(q, k0, hd->d_head);
			if (j >= first && op->qk.address)
				a[j] += pb_dot(pb_in(op->qk) + (v * hd->n_heads + h) * op->d_model,
					       pb_in(op->dn) +
						   ((size_t)p->row + j - first) * op->d_model,
					       op->d_model);
			else if (j >= first)
				a[j] += pb_dot(
				    q,
				    pb_in(op->dk) +
					(((size_t)p->row + j - first) * hd->n_kv_heads + kv) *
					    hd->d_head,
				    hd->d_head);
			a[j] *= hd->score_scale;
		}
		pb_softmax(a0, length, lo, length - 1);
		pb_softmax(a, length, lo, length - 1);
		for (size_t d = 0; d < hd->d_head; d++)
			zdiff[d] = 0.0f;
		for (size_t j = lo; j < length; j++) {
			const float *v0 = value_of(hd, rows + j * stride, kv);
			float change = a[j] - a0[j];

			for (size_t d = 0; d < hd->d_head; d++)
				zdiff[d] += change * v0[d];
		}
		for (size_t d = 0; d < op->d_model; d++)
			mix[d] = 0.0f;
		for (size_t j = 0; j < n; j++) {
			const float *dn = pb_in(op->dn) + ((size_t)p->row + j) * op->d_model;
			float weight = a[first + j];

			if (first + j >= lo)
				for (size_t d = 0; d < op->d_model; d++)
					mix[d] += weight * dn[d];
		}
	}
}

enum pb_status PB_KERNEL(attention_last)(struct pb_device *dev, const struct pb_attention_last *op,
					 struct pb_error *err)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);

	(void)err;
#pragma omp parallel for num_threads(cpu->n_threads)                                               \
    schedule(dynamic, 4) if (PB_WORTH_THREADS(op->n_variants * op->d_model))
	for (size_t v = 0; v < op->n_variants; v++)
		attend_last(op, v, cpu->scratch[omp_get_thread_num()]);
	return PB_OK;
}
