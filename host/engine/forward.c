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

/* What attention or the MLP reads: the stream normed, or the stream (OLMo 2). */
static enum pb_status pre_norm(struct pb_engine *e, struct pb_dev x, size_t rows,
			       struct pb_dev weight, struct pb_dev bias, struct pb_dev y,
			       struct pb_dev stats, struct pb_error *err)
{
	return e->arch.no_pre_norm ? copy_rows(e, y, x, rows, e->arch.d_model, err)
				   : norm(e, x, rows, weight, bias, y, stats, err);
}

static enum pb_status add_rows(struct pb_engine *e, struct pb_dev x, struct pb_dev more,
			       size_t rows, struct pb_error *err)
{
	struct pb_rows op = {.n_rows = rows,
			     .columns = e->arch.d_model,
			     .a = more,
			     .out = x,
			     .a_stride = e->arch.d_model,
			     .out_stride = e->arch.d_model,
			     .accumulate = true};

	return e->ops->rows(e->dev, &op, err);
}

static enum pb_status at_site(const struct pb_forward_hook *hook, struct pb_engine *e,
			      struct pb_cache *c, enum pb_site site, size_t layer,
			      struct pb_error *err)
{
	return hook ? hook->at_site(hook->context, e, c, site, layer, err) : PB_OK;
}

/* x += y W + bias, by way of `kept` where the cache keeps what is added. */
static enum pb_status add_product(struct pb_engine *e, enum pb_stage stage, struct pb_cache *c,
				  const struct pb_forward_hook *hook, enum pb_site site, size_t l,
				  size_t rows, struct pb_error *err)
{
	const struct pb_layer_weights *w = &e->layers[l];
	bool attention = site == PB_SITE_ATTN_OUT;
	struct pb_dev kept = attention ? c->attn_out[l] : c->mlp_out[l];
	struct pb_dev x = attention && !e->arch.parallel ? c->x_mid[l] : c->x_pre[l + 1];
	struct pb_dev y = attention ? c->z[l] : c->a[l];
	struct pb_dev bias = attention ? w->o_bias : w->mlp_out_bias;
	const struct pb_packed *weight = attention ? w->o : w->mlp_out;
	size_t D = e->arch.d_model, n = attention ? pb_z_width(&e->arch) : e->arch.d_mlp;
	enum pb_status status;

	if (e->arch.post_norm) { /* the working rows are free by now */
		struct pb_dev raw = attention ? c->attn_raw[l] : c->mlp_raw[l], nothing = {0};

		kept = kept.address ? kept : c->n;
		PB_TRY(
		    pb_engine_gemm(e, stage, rows, weight, n, D, y, n, raw, D, bias, false, err));
		PB_TRY(norm(e, raw, rows, attention ? w->attn_post_norm : w->mlp_post_norm, nothing,
			    kept, attention ? c->stats_attn[l] : c->stats_mlp[l], err));
	} else if (!kept.address) {
		return pb_engine_gemm(e, stage, rows, weight, n, D, y, n, x, D, bias, true, err);
	} else {
		PB_TRY(
		    pb_engine_gemm(e, stage, rows, weight, n, D, y, n, kept, D, bias, false, err));
	}
	PB_TRY(at_site(hook, e, c, site, l, err));
	PB_TRY(add_rows(e, x, kept, rows, err));
cleanup:
	return status;
}

/* q, k and v of all heads at once; q and k lie side by side for the rotation. */
static enum pb_status attend(struct pb_engine *e, const struct pb_batch *batch, struct pb_cache *c,
			     const struct pb_forward_hook *hook, enum pb_stage stage, size_t l,
			     struct pb_error *err)
{
	const struct pb_arch *a = &e->arch;
	const struct pb_layer_weights *w = &e->layers[l];
	size_t rows = batch->n_rows, D = a->d_model, QKV = pb_qkv_width(a);
	size_t QK = (a->n_heads + a->n_kv_heads) * a->d_head;
	struct pb_rotary rotary = {.n_rows = rows,
				   .n_heads = a->n_heads + a->n_kv_heads,
				   .d_head = a->d_head,
				   .rotary_dims = a->rotary_dims,
				   .x = c->qkv[l],
				   .x_stride = QKV,
				   .position = batch->rotary_dev,
				   .interleaved = a->rotary_interleaved,
				   .cos_sin = e->cos_sin[e->model->layers[l].rope]};
	struct pb_rows raw = {.n_rows = rows,
			      .columns = QK,
			      .a = c->qkv[l],
			      .a_stride = QKV,
			      .out = c->qk[l],
			      .out_stride = QK};
	struct pb_attention attention = {.heads = w->heads,
					 .n_prompts = batch->n_spans,
					 .prompts = batch->spans,
					 .max_length = e->max_length,
					 .qkv = c->qkv[l],
					 .z = c->z[l]};
	struct pb_dev none = {0};
	enum pb_status status;

	PB_TRY(pre_norm(e, c->x_pre[l], rows, w->norm1_weight, w->norm1_bias, c->n, c->stats1[l],
			err));
	PB_TRY(pb_engine_gemm(e, stage, rows, w->qkv, D, QKV, c->n, D, c->qkv[l], QKV, w->qkv_bias,
			      false, err));
	for (int site = PB_SITE_Q; site <= PB_SITE_V; site++)
		PB_TRY(at_site(hook, e, c, (enum pb_site)site, l, err));
	if (c->qk[l].address)
		PB_TRY(e->ops->rows(e->dev, &raw, err));
	PB_TRY(pb_engine_qk_norm(e, l, 0, a->n_heads + a->n_kv_heads, c->qkv[l], QKV, rows, none,
				 none, err));
	if (pb_rotates(e->model, l))
		PB_TRY(e->ops->rotary(e->dev, &rotary, err));
	PB_TRY(at_site(hook, e, c, PB_SITE_Q_ROT, l, err));
	PB_TRY(at_site(hook, e, c, PB_SITE_K_ROT, l, err));
	if (hook)
		PB_TRY(hook->at_pattern(hook->context, l, &attention, err));
	PB_TRY(e->ops->attention(e->dev, &attention, err));
	PB_TRY(at_site(hook, e, c, PB_SITE_Z, l, err));
cleanup:
	return status;
}

/* Token embeddings, and positions added; the former apart where the cache keeps them. */
static enum pb_status embed(struct pb_engine *e, const struct pb_batch *batch, struct pb_cache *c,
			    const struct pb_forward_hook *hook, struct pb_error *err)
{
	const struct pb_arch *a = &e->arch;
	size_t n = batch->n_rows;
	struct pb_rows change = {.n_rows = n,
				 .columns = a->d_model,
				 .a = c->embed,
				 .a_stride = a->d_model,
				 .out = c->x_pre[0],
				 .out_stride = a->d_model,
				 .accumulate = true};
	enum pb_status status;

	PB_TRY(pb_engine_embed(e, batch->token, batch->position, n, c->x_pre[0], err));
	if (!c->embed.address)
		return PB_OK;
	PB_TRY(pb_engine_embed(e, batch->token, NULL, n, c->embed, err));
	if (!hook)
		return PB_OK;
	/* x = (x - embed) + what the hook makes of embed */
	change.b = change.out;
	change.b_stride = a->d_model;
	change.accumulate = false;
	PB_TRY(e->ops->rows(e->dev, &change, err)); /* embed - x: minus the positions */
	PB_TRY(at_site(hook, e, c, PB_SITE_EMBED, 0, err));
	change.a = c->embed;
	change.b = c->x_pre[0];
	PB_TRY(e->ops->rows(e->dev, &change, err));
cleanup:
	return status;
}

/* x[i] = x[row[i]] of the answers' rows; `room` has other rows of as many columns at least. */
static enum pb_status gather_answers(struct pb_engine *e, const struct pb_batch *batch,
				     struct pb_dev x, size_t columns, struct pb_dev room,
				     struct pb_error *err)
{
	struct pb_rows op = {.n_rows = batch->n_prompts,
			     .columns = columns,
			     .a = x,
			     .a_stride = columns,
			     .a_row = batch->answer_row_dev,
			     .out = room,
			     .out_stride = columns};
	enum pb_status status;

	PB_TRY(e->ops->rows(e->dev, &op, err));
	status = copy_rows(e, x, room, batch->n_prompts, columns, err);
cleanup:
	return status;
}

enum pb_status pb_forward(struct pb_engine *e, const struct pb_batch *batch, struct pb_cache *c,
			  const struct pb_forward_hook *hook, enum pb_stage stage,
			  struct pb_error *err)
{
	const struct pb_arch *a = &e->arch;
	size_t rows = batch->n_rows, D = a->d_model, F = a->d_mlp, V = a->n_vocab,
	       HW = pb_h_width(a);
	double start = pb_seconds(), before = e->profile.seconds[stage];
	enum pb_status status;

	PB_TRY(embed(e, batch, c, hook, err));
	for (size_t l = 0; l < a->n_layers; l++) {
		const struct pb_layer_weights *w = &e->layers[l];
		struct pb_dev x = c->x_pre[l], x_mid = c->x_mid[l], x_next = c->x_pre[l + 1];
		struct pb_activation_op activation = {.kind = a->activation,
						      .gated = a->gated,
						      .n_rows = rows,
						      .width = F,
						      .h = c->h[l],
						      .a = c->a[l]};

		PB_TRY(pb_engine_hold(e, l, err));
		PB_TRY(at_site(hook, e, c, PB_SITE_RESID_PRE, l, err));
		PB_TRY(attend(e, batch, c, hook, stage, l, err));
		if (batch->answers_only && l + 1 == a->n_layers) {
			/* queries, keys and values are used up */
			PB_TRY(gather_answers(e, batch, x, D, c->n, err));
			PB_TRY(gather_answers(e, batch, c->z[l], pb_z_width(a), c->qkv[l], err));
			rows = batch->n_prompts;
			activation.n_rows = rows;
		}

		/* sequential: x_mid = x + attn(x), the MLP reads x_mid; parallel: it reads x */
		if (!a->parallel) {
			PB_TRY(copy_rows(e, x_mid, x, rows, D, err));
			PB_TRY(add_product(e, stage, c, hook, PB_SITE_ATTN_OUT, l, rows, err));
			PB_TRY(at_site(hook, e, c, PB_SITE_RESID_MID, l, err));
		}
		PB_TRY(pre_norm(e, a->parallel ? x : x_mid, rows, w->norm2_weight, w->norm2_bias,
				c->n, c->stats2[l], err));
		PB_TRY(pb_engine_gemm(e, stage, rows, w->mlp_in, D, HW, c->n, D, c->h[l], HW,
				      w->mlp_in_bias, false, err));
		PB_TRY(at_site(hook, e, c, PB_SITE_MLP_PRE, l, err));
		PB_TRY(e->ops->activation(e->dev, &activation, err));
		PB_TRY(at_site(hook, e, c, PB_SITE_MLP_POST, l, err));
		PB_TRY(copy_rows(e, x_next, a->parallel ? x : x_mid, rows, D, err));
		if (a->parallel)
			PB_TRY(add_product(e, stage, c, hook, PB_SITE_ATTN_OUT, l, rows, err));
		PB_TRY(add_product(e, stage, c, hook, PB_SITE_MLP_OUT, l, rows, err));
		PB_TRY(at_site(hook, e, c, PB_SITE_RESID_POST, l, err));
	}

	/* only the answer position is unembedded */
	{
		struct pb_rows gather = {.n_rows = batch->n_prompts,
					 .columns = D,
					 .a = c->x_pre[a->n_layers],
					 .a_stride = D,
					 .out = c->x_answer,
					 .out_stride = D};

		if (!batch->answers_only) /* else they are gathered already */
			gather.a_row = batch->answer_row_dev;

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
