/* Causal attention of whole prompts: its values, and its patterns alone. */
#include "cpu/attention.h"
#include "cpu/isa.h"

#include <omp.h>

static void attend_prompt(const struct pb_attention *op, const struct pb_span *p, size_t head,
			  float *scratch)
{
	const struct pb_heads *hd = &op->heads;
	size_t n = (size_t)p->length, width = hd->n_heads * hd->d_head;
	struct edits edits = {.heads = hd,
			      .head = head,
			      .spans = p,
			      .n_spans = 1,
			      .edits = op->edits,
			      .source_qkv = pb_in(op->source_qkv),
			      .table = pb_in(op->table),
			      .table_stride = op->table_stride};
	struct side s;
	float *q, *a, *z;

	load_side(&s, hd, pb_in(op->qkv), (size_t)p->base, n, head, &scratch);
	take_edits(&edits, n, &scratch);
	q = take(&scratch, PB_MM_ROWS * s.d_head);
	a = take(&scratch, PB_MM_ROWS * s.lanes_length);
	z = take(&scratch, PB_MM_ROWS * s.lanes_head);
	for (size_t i = 0; i < n; i += PB_MM_ROWS) {
		size_t m = n - i < PB_MM_ROWS ? n - i : PB_MM_ROWS;

		load_queries(hd, s.rows + i * s.stride, m, head, q);
		make_patterns(hd, q, s.kt, s.lanes_length, i, m, a);
		edit_patterns(&edits, p, i, m, a, s.lanes_length);
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
