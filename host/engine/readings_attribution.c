/* Direct logit attribution: LD as the sum of what each component wrote into the residual stream at
 * the answer position. With mean and 1/sigma of the final norm frozen, a component c gives
 *   c . g,   g = (w - mean(w)) / sigma,   w = gamma * (u_answer - u_foil)
 * (no mean under RMS norm), and what is left of LD is beta . (u_answer - u_foil) and the bias of
 * the unembedding.
 *
 * A head gives sum_k z_k (W_O[k] . g): products in float64, of the weights as they are, and no
 * head's [D] vector is ever made. mlp_out is made again by the device, as in the base run.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/readings.h"

/* g of eight prompts lies together: g[prompt / 8][d][prompt % 8]. */
#define LANES ((size_t)8)

struct attribution {
	struct pb_engine *e;
	const struct pb_chunk_run *run;
	struct pb_reading_values *out;  /* [2] */
	size_t first, n;                /* prompts of the block in work */
	double *g;                      /* [PB_READING_BLOCK / LANES, D, LANES] */
	double *sum;                    /* [2 n_pairs] of all attributions */
	float *rows;                    /* [PB_READING_BLOCK, max(D, Z)] */
	float *weight;                  /* [Z + 1, D] W_O of one layer, and a row to spare */
	float *bias, *post;             /* [D] */
	float *norm_weight, *norm_bias; /* [D] of the final norm */
	struct pb_dev gathered;         /* [PB_READING_BLOCK, max(F, Z, D)] */
	struct pb_dev written;          /* [PB_READING_BLOCK, D] */
};

static size_t widest(const struct pb_arch *a)
{
	size_t w = a->d_model > pb_z_width(a) ? a->d_model : pb_z_width(a);

	return w > a->d_mlp ? w : a->d_mlp;
}

size_t pb_attribution_bytes(const struct pb_arch *a)
{
	size_t block = PB_READING_BLOCK;

	/* W_O stands twice: mapped, and as float32 */
	return block * (a->d_model + a->n_heads) * sizeof(double) +
	       (block * (2 * widest(a) + a->d_model) + (2 * pb_z_width(a) + 4) * a->d_model) *
		   sizeof(float);
}

static double *g_of(const struct attribution *t, size_t i)
{
	return t->g + i / LANES * t->e->arch.d_model * LANES + i % LANES;
}

static double dot_g(const struct attribution *t, size_t i, const float *x)
{
	const double *g = g_of(t, i);
	double sum = 0.0;

	for (size_t d = 0; d < t->e->arch.d_model; d++)
		sum += (double)x[d] * g[d * LANES];
	return sum;
}

/* Store an attribution of the block's prompt i; `at` indexes within a pair's `size` values. */
static void store(const struct attribution *t, enum pb_reading reading, size_t i, size_t size,
		  size_t at, double value)
{
	size_t prompt = t->first + i;
	double *to = t->out[prompt % 2].values[reading];

	if (to)
		to[prompt / 2 * size + at] = value;
	t->sum[prompt] += value;
}

/* g of a block's prompts, and the part of LD that no component of the stream has. */
static enum pb_status make_g(struct attribution *t, struct pb_error *err)
{
	size_t D = t->e->arch.d_model;
	float *u = t->rows, stats[2]; /* rows are free at this moment: u is [2, D] */
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < t->n; i++) {
		size_t prompt = t->first + i, target = t->run->target[prompt / 2];
		double *g = g_of(t, i), mean = 0.0, rest = 0.0;

		PB_TRY(t->e->ops->download(t->e->dev, u, pb_dev_row(t->run->targets, target, D),
					   2 * D * sizeof(float), err));
		PB_TRY(t->e->ops->download(t->e->dev, stats,
					   pb_dev_row(t->run->cache.stats_answer, prompt, 2),
					   2 * sizeof(float), err));
		for (size_t d = 0; d < D; d++) {
			double difference = (double)u[d] - (double)u[D + d];
			double w = difference * (double)t->norm_weight[d];

			rest += difference * (double)t->norm_bias[d];
			g[d * LANES] = w;
			mean += w;
		}
		mean = t->e->arch.norm == PB_NORM_LAYER ? mean / (double)D : 0.0;
		for (size_t d = 0; d < D; d++)
			g[d * LANES] = (g[d * LANES] - mean) * (double)stats[1];
		rest +=
		    (double)t->run->target_bias[target] - (double)t->run->target_bias[target + 1];
		store(t, PB_READ_ATTRIBUTION_BIAS, i, 1, 0, rest);
	}
cleanup:
	return status;
}

static enum pb_status attribute_embeddings(struct attribution *t, struct pb_error *err)
{
	const struct pb_batch *b = &t->run->batch;
	size_t D = t->e->arch.d_model;
	int32_t token[PB_READING_BLOCK], position[PB_READING_BLOCK];
	enum pb_status status;

	for (size_t i = 0; i < t->n; i++) {
		token[i] = b->token[b->answer_row[t->first + i]];
		position[i] = b->position[b->answer_row[t->first + i]];
	}
	PB_TRY(pb_engine_embed(t->e, token, NULL, t->n, t->written, err));
	PB_TRY(t->e->ops->download(t->e->dev, t->rows, t->written, t->n * D * sizeof(float), err));
	for (size_t i = 0; i < t->n; i++) {
		double value = 0.0;

		store(t, PB_READ_ATTRIBUTION_EMBED, i, 1, 0, dot_g(t, i, t->rows + i * D));
		if (t->e->arch.learned_positions) {
			pb_engine_position(t->e, (size_t)position[i], t->bias);
			value = dot_g(t, i, t->bias);
		}
		store(t, PB_READ_ATTRIBUTION_POS_EMBED, i, 1, 0, value);
	}
cleanup:
	return status;
}

/* The rows at the answer positions of the block, gathered on the device. */
static enum pb_status gather_answers(struct attribution *t, struct pb_dev x, size_t columns,
				     struct pb_error *err)
{
	struct pb_dev rows = pb_dev_at(t->run->batch.answer_row_dev, t->first * sizeof(int32_t));

	return pb_reading_gather(t->e, x, rows, t->n, columns, t->gathered, err);
}

/* sums[r][p] = (row r of w) . (g of prompt p), for two rows of W_O and eight prompts: a block that
 * fits registers. */
static void project_rows(const float *w, size_t D, const double *g, double sums[2][LANES])
{
	double a[LANES] = {0}, b[LANES] = {0};

	for (size_t d = 0; d < D; d++) {
		double wa = (double)w[d], wb = (double)w[D + d];

#pragma omp simd
		for (size_t p = 0; p < LANES; p++) {
			a[p] += wa * g[d * LANES + p];
			b[p] += wb * g[d * LANES + p];
		}
	}
	memcpy(sums[0], a, sizeof a);
	memcpy(sums[1], b, sizeof b);
}

/* values[p] = sum over one head's k of z[p, k] (W_O[k] . g_p), for the block's prompts. */
static void attribute_head(const struct attribution *t, size_t head, double *values)
{
	size_t D = t->e->arch.d_model, K = t->e->arch.d_head, Z = pb_z_width(&t->e->arch);
	double sums[2][LANES];

	for (size_t i = 0; i < t->n; i++)
		values[i] = 0.0;
	for (size_t i = 0; i < t->n; i += LANES)
		for (size_t k = 0; k < K; k += 2) {
			project_rows(t->weight + (head * K + k) * D, D, t->g + i * D, sums);
			for (size_t r = 0; r < 2 && k + r < K; r++)
				for (size_t p = 0; p < LANES && i + p < t->n; p++)
					values[i + p] +=
					    (double)t->rows[(i + p) * Z + head * K + k + r] *
					    sums[r][p];
		}
}

/* A vector of D numbers as the device has it; one that it has not is `fill`. */
static enum pb_status read_vector(const struct attribution *t, struct pb_dev from, float fill,
				  float *to, struct pb_error *err)
{
	size_t D = t->e->arch.d_model;

	for (size_t d = 0; d < D; d++)
		to[d] = fill;
	return from.address ? t->e->ops->download(t->e->dev, to, from, D * sizeof *to, err) : PB_OK;
}

/* The frozen post-norm of attention (or of the MLP) of a layer, an RMS norm: weight [D], and the
 * block's 1/sqrt(..) by prompt. Without post-norms both are ones. */
static enum pb_status read_post_norm(const struct attribution *t, size_t layer, bool attention,
				     float *weight, float scale[PB_READING_BLOCK],
				     struct pb_error *err)
{
	const struct pb_layer_weights *w = &t->e->layers[layer];
	const struct pb_cache *c = &t->run->cache;
	enum pb_status status;
	float stats[2];

	PB_TRY(read_vector(t, attention ? w->attn_post_norm : w->mlp_post_norm, 1.0f, weight, err));
	for (size_t i = 0; i < t->n; i++) {
		size_t row = (size_t)t->run->batch.answer_row[t->first + i];

		scale[i] = 1.0f;
		if (!t->e->arch.post_norm)
			continue;
		PB_TRY(t->e->ops->download(
		    t->e->dev, stats,
		    pb_dev_row(attention ? c->stats_attn[layer] : c->stats_mlp[layer], row, 2),
		    sizeof stats, err));
		scale[i] = stats[1];
	}
cleanup:
	return status;
}

static void scale_row(float *row, const float *weight, size_t D)
{
	for (size_t d = 0; d < D; d++)
		row[d] *= weight[d];
}

static enum pb_status attribute_attention(struct attribution *t, size_t layer, struct pb_error *err)
{
	const struct pb_weight *o = &t->e->model->layers[layer].o;
	const struct pb_layer_weights *w = &t->e->layers[layer];
	const struct pb_arch *a = &t->e->arch;
	size_t D = a->d_model, H = a->n_heads, Z = pb_z_width(a);
	struct pb_matrix_rows rows = {.view = o, .n = Z, .out = t->weight};
	float scale[PB_READING_BLOCK];
	double *values = NULL;
	enum pb_status status;

	PB_TRY(read_post_norm(t, layer, true, t->post, scale, err));
	PB_TRY(
	    pb_alloc((void **)&values, H * PB_READING_BLOCK, sizeof *values, "attributions", err));
	PB_TRY(gather_answers(t, t->run->cache.z[layer], Z, err));
	PB_TRY(t->e->ops->download(t->e->dev, t->rows, t->gathered, t->n * Z * sizeof(float), err));
	PB_TRY(pb_engine_hold(t->e, layer, err));
	rows.w = w->o;
	PB_TRY(t->e->ops->matrix_rows(t->e->dev, &rows, err));
	pb_weight_release(t->e->model, o);
#pragma omp parallel for schedule(dynamic, 1)
	for (size_t h = 0; h < H; h++) {
		for (size_t k = 0; k < a->d_head && a->post_norm; k++)
			scale_row(t->weight + (h * a->d_head + k) * D, t->post, D);
		attribute_head(t, h, values + h * PB_READING_BLOCK);
	}
	PB_TRY(read_vector(t, w->o_bias, 0.0f, t->bias, err));
	scale_row(t->bias, t->post, D);
	for (size_t i = 0; i < t->n; i++) {
		for (size_t h = 0; h < H; h++)
			store(t, PB_READ_ATTRIBUTION_HEAD, i, a->n_layers * H, layer * H + h,
			      values[h * PB_READING_BLOCK + i] * (double)scale[i]);
		store(t, PB_READ_ATTRIBUTION_ATTN_BIAS, i, a->n_layers, layer,
		      w->o_bias.address ? dot_g(t, i, t->bias) * (double)scale[i] : 0.0);
	}
cleanup:
	free(values);
	return status;
}

static enum pb_status attribute_mlp(struct attribution *t, size_t layer, struct pb_error *err)
{
	const struct pb_layer_weights *w = &t->e->layers[layer];
	const struct pb_arch *a = &t->e->arch;
	size_t D = a->d_model, F = a->d_mlp;
	float scale[PB_READING_BLOCK];
	enum pb_status status;

	PB_TRY(pb_engine_hold(t->e, layer, err));
	PB_TRY(gather_answers(t, t->run->cache.a[layer], F, err));
	PB_TRY(pb_engine_gemm(t->e, PB_STAGE_BASE, t->n, w->mlp_out, F, D, t->gathered, F,
			      t->written, D, w->mlp_out_bias, false, err));
	PB_TRY(t->e->ops->download(t->e->dev, t->rows, t->written, t->n * D * sizeof(float), err));
	PB_TRY(read_post_norm(t, layer, false, t->post, scale, err));
	for (size_t i = 0; i < t->n; i++) {
		scale_row(t->rows + i * D, t->post, D);
		store(t, PB_READ_ATTRIBUTION_MLP, i, a->n_layers, layer,
		      dot_g(t, i, t->rows + i * D) * (double)scale[i]);
	}
cleanup:
	return status;
}

static enum pb_status attribute_block(struct attribution *t, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(make_g(t, err));
	PB_TRY(attribute_embeddings(t, err));
	for (size_t l = 0; l < t->e->arch.n_layers; l++) {
		PB_TRY(attribute_attention(t, l, err));
		PB_TRY(attribute_mlp(t, l, err));
	}
cleanup:
	return status;
}

static enum pb_status make_room(struct attribution *t, struct pb_error *err)
{
	const struct pb_arch *a = &t->e->arch;
	size_t D = a->d_model, block = PB_READING_BLOCK, wide = widest(a);
	const char *what = "attributions";
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&t->g, block * D, sizeof *t->g, what, err));
	PB_TRY(pb_alloc((void **)&t->sum, 2 * t->run->n_pairs, sizeof *t->sum, what, err));
	PB_TRY(pb_alloc((void **)&t->rows, block * wide, sizeof *t->rows, what, err));
	PB_TRY(
	    pb_alloc((void **)&t->weight, (pb_z_width(a) + 1) * D, sizeof *t->weight, what, err));
	PB_TRY(pb_alloc((void **)&t->post, D, sizeof *t->post, what, err));
	PB_TRY(pb_alloc((void **)&t->bias, D, sizeof *t->bias, what, err));
	PB_TRY(pb_alloc((void **)&t->norm_weight, D, sizeof *t->norm_weight, what, err));
	PB_TRY(pb_alloc((void **)&t->norm_bias, D, sizeof *t->norm_bias, what, err));
	PB_TRY(pb_reading_alloc(t->e, block * wide, &t->gathered, err));
	PB_TRY(pb_reading_alloc(t->e, block * D, &t->written, err));
cleanup:
	return status;
}

enum pb_status pb_readings_attribution(struct pb_engine *e, const struct pb_chunk_run *run,
				       struct pb_reading_values out[2], double *deviation,
				       struct pb_error *err)
{
	struct attribution t = {.e = e, .run = run, .out = out};
	size_t n = 2 * run->n_pairs;
	enum pb_status status;

	PB_TRY(make_room(&t, err));
	PB_TRY(read_vector(&t, e->final_weight, 1.0f, t.norm_weight, err));
	PB_TRY(read_vector(&t, e->final_bias, 0.0f, t.norm_bias, err));
	for (; t.first < n; t.first += t.n) {
		t.n = n - t.first < PB_READING_BLOCK ? n - t.first : PB_READING_BLOCK;
		PB_TRY(attribute_block(&t, err));
	}
	*deviation = 0.0;
	for (size_t i = 0; i < n; i++) {
		double off = fabs(t.sum[i] - (pb_base_logit_raw(run, i / 2, (int)(i % 2), 0) -
					      pb_base_logit_raw(run, i / 2, (int)(i % 2), 1)));

		if (!(off <= *deviation)) /* a NaN must stay */
			*deviation = isnan(*deviation) ? *deviation : off;
	}
cleanup:
	free(t.g);
	free(t.sum);
	free(t.rows);
	free(t.weight);
	free(t.bias);
	free(t.norm_weight);
	free(t.norm_bias);
	free(t.post);
	pb_reading_release(e, t.gathered);
	pb_reading_release(e, t.written);
	return status;
}
