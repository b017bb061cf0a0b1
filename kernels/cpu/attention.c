/* Causal attention of whole prompts: its values, and its patterns alone. */
#include "cpu/attention.h"
#include "cpu/isa.h"

#include <omp.h>

/* The keys and values of positions first .. length-1 of a prompt, from its own rows, behind those
 * of its prefix. */
static void load_own(const struct side *s, const struct pb_heads *hd, const struct pb_span *p,
		     const float *own)
{
	size_t first = (size_t)p->first, n = (size_t)p->length - first, ld = s->lanes_length;

	for (size_t j = 0; j < n; j++) {
		const float *row = own + j * s->stride, *k = key_of(hd, row, s->kv);

		ask_for(k + PB_ROWS_AHEAD * s->stride, s->d_head);
		ask_for(value_of(hd, row, s->kv), s->d_head);
		ask_for(query_of(hd, row, s->head), s->d_head);
		for (size_t d = 0; d < s->d_head; d++)
			s->kt[d * ld + first + j] = k[d];
	}
	load_values(s, hd, own, n, s->v + first * s->lanes_head);
}

/* The own rows of one prompt, whose keys and values are in s. */
static void attend_rows(const struct pb_attention *op, const struct pb_span *p,
			const struct side *s, const float *own, float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	size_t first = (size_t)p->first, n = (size_t)p->length - first;
	size_t width = hd->n_heads * hd->d_head;
	struct edits edits = {.heads = hd,
			      .head = s->head,
			      .spans = p,
			      .n_spans = 1,
			      .edits = op->edits,
			      .source_qkv = pb_in(op->source_qkv),
			      .table = pb_in(op->table),
			      .table_stride = op->table_stride};
	float *q, *a, *z;

	take_edits(&edits, (size_t)p->length, &scratch);
	q = take(&scratch, PB_MM_ROWS * s->d_head);
	a = take(&scratch, PB_MM_ROWS * s->lanes_length);
	z = take(&scratch, PB_MM_ROWS * s->lanes_head);
	for (size_t i = 0; i < n; i += PB_MM_ROWS) {
		size_t m = n - i < PB_MM_ROWS ? n - i : PB_MM_ROWS;

		load_queries(hd, own + i * s->stride, m, s->head, q);
		make_patterns(hd, q, s->kt, s->lanes_length, first + i, m, a);
		edit_patterns(&edits, p, first + i, m, a, s->lanes_length);
		pb_mm(z, s->lanes_head, a, s->lanes_length, s->v, s->lanes_head, m, s->lanes_head,
		      first + i + m, false);
		for (size_t r = 0; r < m; r++)
			memcpy(pb_out(op->z) + ((size_t)p->row + i + r) * width +
				   s->head * s->d_head,
			       z + r * s->lanes_head, s->d_head * sizeof(float));
	}
}

/* The prompts p0 .. p1-1, which share a prefix, for one head: its keys and values are read once. */
static void attend_run(const struct pb_attention *op, size_t p0, size_t p1, size_t head,
		       float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	const struct pb_span *first = &op->prompts[p0];
	const float *qkv = pb_in(op->qkv), *prefix;
	size_t longest = 0, n_prefix = (size_t)first->first;
	struct side s;

	for (size_t p = p0; p < p1; p++)
		longest = (size_t)op->prompts[p].length > longest ? (size_t)op->prompts[p].length
								  : longest;
	s = (struct side){.length = longest,
			  .lanes_length = pb_round_lanes(longest),
			  .head = head,
			  .kv = head * hd->n_kv_heads / hd->n_heads,
			  .stride = qkv_stride(hd),
			  .d_head = hd->d_head,
			  .lanes_head = pb_round_lanes(hd->d_head)};
	s.kt = take(&scratch, s.d_head * s.lanes_length);
	s.v = take(&scratch, longest * s.lanes_head);
	prefix = qkv + (size_t)first->base * s.stride;
	load_keys(hd, prefix, n_prefix, s.kv, s.kt, s.lanes_length);
	load_values(&s, hd, prefix, n_prefix, s.v);
	for (size_t p = p0; p < p1; p++) {
		const float *own = qkv + (size_t)op->prompts[p].row * s.stride;

		load_own(&s, hd, &op->prompts[p], own);
		attend_rows(op, &op->prompts[p], &s, own, scratch);
	}
}

/* End of the run of prompts from p0 on that share a prefix, at most `most` of them. */
static size_t run_end(const struct pb_attention *op, size_t p0, size_t most)
{
	const struct pb_span *first = &op->prompts[p0];
	size_t p = p0 + 1;

	while (first->first > 0 && p < op->n_prompts && p - p0 < most &&
	       op->prompts[p].base == first->base && op->prompts[p].first == first->first)
		p++;
	return p;
}

#define RUN_MOST ((size_t)16)
#define BATCH 64 /* runs */

enum pb_status PB_KERNEL(attention)(struct pb_device *dev, const struct pb_attention *op,
				    struct pb_error *err)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);
	size_t n_heads = op->heads.n_heads;

	(void)err;
	for (size_t start = 0; start < op->n_prompts;) {
		/* tasks are (run, head) */
		size_t bounds[BATCH + 1], n_runs = 0;

		bounds[0] = start;
		while (n_runs < BATCH && bounds[n_runs] < op->n_prompts) {
			bounds[n_runs + 1] = run_end(op, bounds[n_runs], RUN_MOST);
			n_runs++;
		}
#pragma omp parallel for num_threads(cpu->n_threads)                                               \
    schedule(dynamic, 1) if (PB_WORTH_THREADS((bounds[n_runs] - start) * n_heads *                 \
					      op->max_length * op->heads.d_head))
		for (size_t t = 0; t < n_runs * n_heads; t++)
			attend_run(op, bounds[t / n_heads], bounds[t / n_heads + 1], t % n_heads,
				   cpu->scratch[omp_get_thread_num()]);
		start = bounds[n_runs];
	}
	return PB_OK;
}

/* ---- patterns alone -------------------------------------------------------------------------- */

static void write_patterns(const struct pb_patterns *op, size_t prompt, size_t head, float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	const struct pb_span *p = &op->prompts[prompt];
	size_t n = (size_t)p->length, ld = pb_round_lanes(n), width = op->max_length;
	const float *rows = pb_in(op->qkv) + (size_t)p->base * qkv_stride(hd);
	float *out = pb_out(op->a) + (prompt * hd->n_heads + head) * width * width;
	float *kt = take(&scratch, hd->d_head * ld);
	float *q = take(&scratch, PB_MM_ROWS * hd->d_head);
	float *a = take(&scratch, PB_MM_ROWS * ld);

	load_keys(hd, rows, n, head * hd->n_kv_heads / hd->n_heads, kt, ld);
	for (size_t i = 0; i < n; i += PB_MM_ROWS) {
		size_t m = n - i < PB_MM_ROWS ? n - i : PB_MM_ROWS;

		load_queries(hd, rows + i * qkv_stride(hd), m, head, q);
		make_patterns(hd, q, kt, ld, i, m, a);
		for (size_t r = 0; r < m; r++) {
			memcpy(out + (i + r) * width, a + r * ld, n * sizeof *out);
			memset(out + (i + r) * width + n, 0, (width - n) * sizeof *out);
		}
	}
	memset(out + n * width, 0, (width - n) * width * sizeof *out);
}

enum pb_status PB_KERNEL(patterns)(struct pb_device *dev, const struct pb_patterns *op,
				   struct pb_error *err)
{
	struct pb_cpu *cpu = pb_cpu_of(dev);
	size_t n_tasks = op->n_prompts * op->heads.n_heads;

	(void)err;
#pragma omp parallel for num_threads(cpu->n_threads)                                               \
    schedule(dynamic, 1) if (PB_WORTH_THREADS(n_tasks * op->max_length * op->heads.d_head))
	for (size_t t = 0; t < n_tasks; t++)
		write_patterns(op, t / op->heads.n_heads, t % op->heads.n_heads,
			       cpu->scratch[omp_get_thread_num()]);
	return PB_OK;
}
