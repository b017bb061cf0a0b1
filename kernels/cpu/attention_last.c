/* The change of attention in the last layer, at the answer position only. */
#include "cpu/attention.h"
#include "cpu/isa.h"

#include <omp.h>

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
		cap_scores(a0, lo, length - 1, hd->score_softcap);
		cap_scores(a, lo, length - 1, hd->score_softcap);
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
