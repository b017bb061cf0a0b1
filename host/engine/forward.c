/* The forward pass, read from top to bottom. It makes the base runs, and it is the plain, unpruned
 * forward that the run's own checks recompute variants with. */
#include "engine/internal.h"

/* out[rows, columns] = in, unless they are the same memory (a transient cache). */
static enum pb_status copy_rows(struct pb_engine *e, struct pb_dev out, struct pb_dev in,
				size_t rows, size_t columns, struct pb_error *err)
{
	struct pb_rows op = {.n_rows = rows,
			     .columns = columns,
			     .a = in,
			     .out = out,
			     .a_stride = columns,
			     .out_stride = columns};

	return out.address == in.address ? PB_OK : e->ops->rows(e->dev, &op, err);
}

static enum pb_status norm(struct pb_engine *e, struct pb_dev x, size_t rows, struct pb_dev weight,
			   struct pb_dev bias, struct pb_dev y, struct pb_dev stats,
			   struct pb_error *err)
{
	struct pb_norm_op op = {.kind = e->arch.norm,
				.eps = e->arch.norm_eps,
				.n_rows = rows,
				.d_model = e->arch.d_model,
				.x = x,
				.weight = weight,
				.bias = bias,
				.y = y,
				.stats = stats};

	return e->ops->norm(e->dev, &op, err);
}

static enum pb_status apply_overrides(struct pb_engine *e, const struct pb_batch *batch,
				      struct pb_cache *c, size_t layer,
				      const struct pb_override *overrides, size_t n,
				      struct pb_error *err)
{
	size_t width = pb_z_width(&e->arch), k = e->arch.d_head;
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < n && status == PB_OK; i++) {
		const struct pb_override *o = &overrides[i];
		size_t row = (size_t)batch->spans[o->prompt].base + o->first;
		struct pb_rows op = {.n_rows = o->last + 1 - o->first,
				     .columns = k,
				     .a_stride = width,
				     .out_stride = width};

		op.a = pb_dev_row(o->from, o->from_row * width + o->head * k, 1);
		op.out = pb_dev_row(c->z[layer], row * width + o->head * k, 1);
		if (o->layer == layer)
			status = e->ops->rows(e->dev, &op, err);
	}
	return status;
}

enum pb_status pb_forward(struct pb_engine *e, const struct pb_batch *batch, struct pb_cache *c,
			  const struct pb_override *overrides, size_t n_overrides,
			  enum pb_stage stage, struct pb_error *err)
{
	const struct pb_arch *a = &e->arch;
	size_t rows = batch->n_rows, D = a->d_model, F = a->d_mlp, Z = pb_z_width(a);
	size_t QKV = pb_qkv_width(a), V = a->n_vocab;
	double start = pb_seconds(), before = e->profile.seconds[stage];
	enum pb_status status;
	struct pb_embed embed = {.n_rows = rows,
				 .d_model = D,
				 .token = batch->token,
				 .position = batch->position,
				 .embed = &e->model->embed,
				 .pos_embed = a->learned_positions ? &e->model->pos_embed : NULL,
				 .x = c->x_pre[0]};

	PB_TRY(e->ops->embed(e->dev, &embed, err));
	for (size_t l = 0; l < a->n_layers; l++) {
		const struct pb_layer_weights *w = &e->layers[l];
		struct pb_dev x = c->x_pre[l], x_mid = c->x_mid[l], x_next = c->x_pre[l + 1];
		struct pb_rotary rotary = {.n_rows = rows,
					   .n_heads = a->n_heads + a->n_kv_heads,
					   .d_head = a->d_head,
					   .rotary_dims = a->rotary_dims,
					   .x = c->qkv[l],
					   .x_stride = QKV,
					   .position = batch->position_dev,
					   .cos_sin = e->cos_sin};
		struct pb_attention attention = {.heads = w->heads,
						 .n_prompts = batch->n_prompts,
						 .prompts = batch->spans,
						 .max_length = e->max_length,
						 .qkv = c->qkv[l],
						 .z = c->z[l]};
		struct pb_activation_op activation = {
		    .kind = a->activation, .n_rows = rows, .width = F, .h = c->h[l], .a = c->a[l]};

		/* attention: q, k, v of all heads at once; q and k lie side by side for the
		 * rotation */
		PB_TRY(norm(e, x, rows, w->norm1_weight, w->norm1_bias, c->n, c->stats1[l], err));
		PB_TRY(pb_engine_gemm(e, stage, rows, w->qkv, D, QKV, c->n, D, c->qkv[l], QKV,
				      w->qkv_bias, false, err));
		if (a->rotary_dims)
			PB_TRY(e->ops->rotary(e->dev, &rotary, err));
		PB_TRY(e->ops->attention(e->dev, &attention, err));
		PB_TRY(apply_overrides(e, batch, c, l, overrides, n_overrides, err));

		/* sequential: x_mid = x + attn(x), the MLP reads x_mid; parallel: it reads x */
		if (!a->parallel) {
			PB_TRY(copy_rows(e, x_mid, x, rows, D, err));
			PB_TRY(pb_engine_gemm(e, stage, rows, w->o, Z, D, c->z[l], Z, x_mid, D,
					      w->o_bias, true, err));
		}
		PB_TRY(norm(e, a->parallel ? x : x_mid, rows, w->norm2_weight, w->norm2_bias, c->n,
			    c->stats2[l], err));
		PB_TRY(pb_engine_gemm(e, stage, rows, w->mlp_in, D, F, c->n, D, c->h[l], F,
				      w->mlp_in_bias, false, err));
		PB_TRY(e->ops->activation(e->dev, &activation, err));
		PB_TRY(copy_rows(e, x_next, a->parallel ? x : x_mid, rows, D, err));
		if (a->parallel)
			PB_TRY(pb_engine_gemm(e, stage, rows, w->o, Z, D, c->z[l], Z, x_next, D,
					      w->o_bias, true, err));
		PB_TRY(pb_engine_gemm(e, stage, rows, w->mlp_out, F, D, c->a[l], F, x_next, D,
				      w->mlp_out_bias, true, err));
	}

	/* only the answer position is unembedded */
	{
		struct pb_rows gather = {.n_rows = batch->n_prompts,
					 .columns = D,
					 .a = c->x_pre[a->n_layers],
					 .a_stride = D,
					 .a_row = batch->answer_row_dev,
					 .out = c->x_answer,
					 .out_stride = D};

		PB_TRY(e->ops->rows(e->dev, &gather, err));
	}
	PB_TRY(norm(e, c->x_answer, batch->n_prompts, e->final_weight, e->final_bias, c->n_answer,
		    c->stats_answer, err));
	if (c->logits.address)
		PB_TRY(pb_engine_gemm(e, stage, batch->n_prompts, e->unembed, D, V, c->n_answer, D,
				      c->logits, V, e->unembed_bias, false, err));
cleanup:
	e->profile.seconds[stage] = before + (pb_seconds() - start);
	return status;
}
