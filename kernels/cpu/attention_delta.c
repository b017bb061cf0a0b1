/* The exact change of attention for the variants of a wave. */
#include "cpu/attention.h"
#include "cpu/isa.h"

#include <omp.h>

/* One head of one variant. kt is this variant's own copy of the transposed keys; its columns from
 * `lowest` up to its end are rewritten, and those behind are another one's, which no row of it
 * sees. a0 holds the recipient's patterns from position `lowest` on. */
static void attend_variant(const struct pb_attention_delta *op, const struct pb_span *p,
			   const struct side *s, const float *a0, size_t lowest,
			   struct edits *edits, float *kt, float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	size_t first = (size_t)p->first, end = (size_t)p->length, n = end - first;
	size_t ld = s->lanes_length;
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
		for (size_t j = first; j < end; j++)
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
		make_patterns(hd, q, kt, ld, first + i, m, a);
		edit_patterns(edits, p, first + i, m, a, ld);
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
	size_t length = 0, lowest = SIZE_MAX, n;
	struct edits edits = {.heads = hd,
			      .head = head,
			      .spans = op->variants + v0,
			      .n_spans = v1 - v0,
			      .edits = op->edits,
			      .source_qkv = pb_in(op->qkv0),
			      .table = pb_in(op->table),
			      .table_stride = op->table_stride};
	struct side s;
	float *q, *a0, *kt;

	for (size_t v = v0; v < v1; v++) {
		if ((size_t)op->variants[v].first < lowest)
			lowest = (size_t)op->variants[v].first;
		if ((size_t)op->variants[v].length > length)
			length = (size_t)op->variants[v].length;
	}
	n = length - lowest;
	load_side(&s, hd, pb_in(op->qkv0), (size_t)op->variants[v0].base, length, head, &scratch);
	q = take(&scratch, n * s.d_head);
	a0 = take(&scratch, n * s.lanes_length);
	kt = take(&scratch, s.d_head * s.lanes_length);
	take_edits(&edits, length, &scratch);
	load_queries(hd, s.rows + lowest * s.stride, n, head, q);
	make_patterns(hd, q, s.kt, s.lanes_length, lowest, n, a0);
	memcpy(kt, s.kt, s.d_head * s.lanes_length * sizeof(float));
	for (size_t v = v0; v < v1; v++)
		attend_variant(op, &op->variants[v], &s, a0, lowest, &edits, kt, scratch);
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
#define GROUP_LEAST ((size_t)4)
#define GROUP_MOST ((size_t)32)
#define TASKS_PER_THREAD 4
#define BATCH 64 /* groups */

static size_t group_most(size_t n_variants, size_t n_heads, int n_threads)
{
	size_t most = n_variants * n_heads / (TASKS_PER_THREAD * (size_t)n_threads);

	return most < GROUP_LEAST ? GROUP_LEAST : most > GROUP_MOST ? GROUP_MOST : most;
}

enum pb_status PB_KERNEL(attention_delta)(struct pb_device *dev,
					  const struct pb_attention_delta *op, struct pb_error *err)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);
	size_t n_heads = op->n_used ? op->n_used : op->heads.n_heads;
	size_t first_head = op->n_used ? op->first_head : 0;
	size_t most = group_most(op->n_variants, n_heads, cpu->n_threads);

	(void)err;
	for (size_t start = 0; start < op->n_variants;) {
		/* tasks are (group, head) */
		size_t bounds[BATCH + 1], n_groups = 0;

		bounds[0] = start;
		while (n_groups < BATCH && bounds[n_groups] < op->n_variants) {
			bounds[n_groups + 1] =
			    group_end(op->variants, op->n_variants, bounds[n_groups], most);
			n_groups++;
		}
#pragma omp parallel for num_threads(cpu->n_threads)                                               \
    schedule(dynamic, 1) if (PB_WORTH_THREADS((bounds[n_groups] - start) * n_heads *               \
					      op->max_length * op->heads.d_head))
		for (size_t t = 0; t < n_groups * n_heads; t++)
			attend_group(op, bounds[t / n_heads], bounds[t / n_heads + 1],
				     first_head + t % n_heads, cpu->scratch[omp_get_thread_num()]);
		start = bounds[n_groups];
	}
	return PB_OK;
}
