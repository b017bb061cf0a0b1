/* The model on the device: weights packed for products layer by layer, vectors uploaded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

const char *const pb_stage_names[PB_N_STAGES] = {
    "pack",      "memory",     "base runs", "inject", "norm",  "products",
    "attention", "activation", "score",     "checks", "write",
};

enum pb_status pb_engine_alloc(struct pb_engine *e, size_t bytes, struct pb_dev *out,
			       struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_grow((void **)&e->owned, &e->owned_capacity, e->n_owned + 1, sizeof *e->owned,
		       "the list of device arrays", err));
	PB_TRY(e->ops->alloc(e->dev, bytes, out, err));
	e->owned[e->n_owned++] = *out;
cleanup:
	return status;
}

/* Upload vectors side by side; absent ones are `fill`. All absent and fill 0: no array. */
static enum pb_status upload_vectors(struct pb_engine *e, const struct pb_vector *const *parts,
				     const size_t *sizes, size_t n, float fill, struct pb_dev *out,
				     struct pb_error *err)
{
	size_t total = 0, at = 0;
	float *values = NULL;
	bool any = fill != 0.0f;
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < n; i++) {
		total += sizes[i];
		any = any || parts[i]->data;
	}
	out->address = NULL;
	if (!any)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&values, total, sizeof *values, "a vector of the model", err));
	for (size_t i = 0; i < n && e->ops->sharing(e->dev) != PB_SHARING_RECEIVES; i++)
		for (size_t j = 0; j < sizes[i]; j++)
			values[at++] = parts[i]->data ? pb_vector_at(parts[i], j) : fill;
	PB_TRY(pb_engine_alloc(e, total * sizeof *values, out, err));
	PB_TRY(e->ops->upload(e->dev, *out, values, total * sizeof *values, err));
cleanup:
	free(values);
	return status;
}

static enum pb_status upload_vector(struct pb_engine *e, const struct pb_vector *v, size_t n,
				    float fill, struct pb_dev *out, struct pb_error *err)
{
	return upload_vectors(e, &v, &n, 1, fill, out, err);
}

/* Head h of W [n_in, heads * K]: its columns; and of W_O [heads * K, D]: its rows. */
static struct pb_weight head_columns(const struct pb_weight *w, size_t head)
{
	struct pb_weight part = *w;

	part.first += (size_t)((ptrdiff_t)head * w->stride_group);
	part.n_groups = 1;
	return part;
}

static struct pb_weight head_rows(const struct pb_weight *w, size_t head, size_t d_head)
{
	struct pb_weight part = *w;

	part.first += (size_t)((ptrdiff_t)(head * d_head) * w->stride_in);
	part.n_in = d_head;
	return part;
}

static struct pb_weight transposed(const struct pb_weight *w)
{
	struct pb_weight t = *w;

	t.n_in = w->group_size;
	t.group_size = w->n_in;
	t.n_groups = 1;
	t.stride_in = w->stride_out;
	t.stride_out = w->stride_in;
	t.stride_group = 0;
	t.interleaved = w->interleaved_in;
	t.interleaved_in = w->interleaved;
	return t;
}

/* The matrices of a layer. */
static enum pb_status pack_layer(struct pb_engine *e, size_t l, struct pb_error *err)
{
	const struct pb_layer *m = &e->model->layers[l];
	struct pb_layer_weights *w = &e->layers[l];
	const struct pb_arch *a = &e->arch;
	const struct pb_weight qkv[3] = {m->q, m->k, m->v};
	const struct pb_weight gate_in[2] = {m->mlp_gate, m->mlp_in};
	const struct pb_weight *views[] = {&m->q,        &m->k,      &m->v,      &m->o,
					   &m->mlp_gate, &m->mlp_in, &m->mlp_out};
	enum pb_status status;

	PB_TRY(e->ops->pack(e->dev, qkv, 3, &w->qkv, err));
	PB_TRY(e->ops->pack(e->dev, &m->o, 1, &w->o, err));
	PB_TRY(
	    pb_alloc((void **)&w->o_head, a->n_heads, sizeof *w->o_head, "a layer's heads", err));
	for (size_t h = 0; h < a->n_heads; h++) {
		struct pb_weight part = head_rows(&m->o, h, a->d_head);

		PB_TRY(e->ops->pack(e->dev, &part, 1, &w->o_head[h], err));
	}
	PB_TRY(e->ops->pack(e->dev, a->gated ? gate_in : gate_in + 1, a->gated ? 2 : 1, &w->mlp_in,
			    err));
	PB_TRY(e->ops->pack(e->dev, &m->mlp_out, 1, &w->mlp_out, err));
cleanup:
	for (size_t i = 0; i < sizeof views / sizeof *views; i++)
		pb_weight_release(e->model, views[i]);
	return status;
}

static void unpack_layer(struct pb_engine *e, size_t l);

enum pb_status pb_engine_hold(struct pb_engine *e, size_t l, struct pb_error *err)
{
	struct pb_layer_weights *w = &e->layers[l];
	double start = pb_seconds();
	size_t n = 0, oldest = l;
	enum pb_status status = PB_OK;

	w->used = ++e->n_holds;
	if (w->mlp_out)
		return PB_OK;
	for (size_t i = 0; i < e->arch.n_layers; i++)
		if (e->layers[i].mlp_out) {
			n++;
			if (oldest == l || e->layers[i].used < e->layers[oldest].used)
				oldest = i;
		}
	if (n >= e->n_resident)
		unpack_layer(e, oldest);
	unpack_layer(e, l); /* what a pack that failed may have left */
	status = pack_layer(e, l, err);
	e->profile.seconds[PB_STAGE_PACK] += pb_seconds() - start;
	return status;
}

/* What a layer has beside its matrices. */
static enum pb_status upload_layer(struct pb_engine *e, size_t l, struct pb_error *err)
{
	const struct pb_layer *m = &e->model->layers[l];
	struct pb_layer_weights *w = &e->layers[l];
	const struct pb_arch *a = &e->arch;
	const struct pb_vector *biases[3] = {&m->q_bias, &m->k_bias, &m->v_bias};
	const struct pb_vector *qk_weights[2] = {&m->q_norm_weight, &m->k_norm_weight};
	const struct pb_vector *qk_biases[2] = {&m->q_norm_bias, &m->k_norm_bias};
	const struct pb_vector *mlp_biases[2] = {&m->mlp_gate_bias, &m->mlp_in_bias};
	const size_t mlp_sizes[2] = {a->d_mlp, a->d_mlp};
	size_t kv = a->n_kv_heads * a->d_head, sizes[3] = {a->n_heads * a->d_head, kv, kv};
	enum pb_status status;

	w->heads = (struct pb_heads){.n_heads = a->n_heads,
				     .n_kv_heads = a->n_kv_heads,
				     .d_head = a->d_head,
				     .score_scale = m->score_scale,
				     .score_softcap = a->score_softcap,
				     .window = m->window};
	PB_TRY(upload_vector(e, &m->norm1_weight, a->d_model, 1.0f, &w->norm1_weight, err));
	PB_TRY(upload_vector(e, &m->norm1_bias, a->d_model, 0.0f, &w->norm1_bias, err));
	PB_TRY(upload_vector(e, &m->norm2_weight, a->d_model, 1.0f, &w->norm2_weight, err));
	PB_TRY(upload_vector(e, &m->norm2_bias, a->d_model, 0.0f, &w->norm2_bias, err));
	if (a->post_norm) {
		PB_TRY(upload_vector(e, &m->attn_post_norm_weight, a->d_model, 1.0f,
				     &w->attn_post_norm, err));
		PB_TRY(upload_vector(e, &m->mlp_post_norm_weight, a->d_model, 1.0f,
				     &w->mlp_post_norm, err));
	}
	if (a->qk_norm != PB_QK_NORM_NONE) {
		PB_TRY(upload_vectors(e, qk_weights, sizes, 2, 1.0f, &w->qk_norm_weight, err));
		PB_TRY(upload_vectors(e, qk_biases, sizes, 2, 0.0f, &w->qk_norm_bias, err));
	}
	PB_TRY(upload_vectors(e, biases, sizes, 3, 0.0f, &w->qkv_bias, err));
	PB_TRY(upload_vector(e, &m->o_bias, a->d_model, 0.0f, &w->o_bias, err));
	PB_TRY(upload_vectors(e, a->gated ? mlp_biases : mlp_biases + 1, mlp_sizes,
			      a->gated ? 2 : 1, 0.0f, &w->mlp_in_bias, err));
	PB_TRY(upload_vector(e, &m->mlp_out_bias, a->d_model, 0.0f, &w->mlp_out_bias, err));
cleanup:
	return status;
}

static enum pb_status pack_last(struct pb_engine *e, struct pb_error *err)
{
	const struct pb_layer *m = &e->model->layers[e->arch.n_layers - 1];
	struct pb_last_weights *w = &e->last;
	size_t n_kv = e->arch.n_kv_heads;
	enum pb_status status;

	PB_TRY(e->ops->pack(e->dev, &m->q, 1, &w->q, err));
	if (pb_alters_keys(e->model, e->arch.n_layers - 1)) {
		PB_TRY(e->ops->pack(e->dev, &m->k, 1, &w->k, err));
	} else {
		PB_TRY(
		    pb_alloc((void **)&w->k_head_t, n_kv, sizeof *w->k_head_t, "key heads", err));
		for (size_t h = 0; h < n_kv; h++) {
			struct pb_weight head = head_columns(&m->k, h), t = transposed(&head);

			PB_TRY(e->ops->pack(e->dev, &t, 1, &w->k_head_t[h], err));
		}
	}
	PB_TRY(pb_alloc((void **)&w->v_head, n_kv, sizeof *w->v_head, "value heads", err));
	for (size_t h = 0; h < n_kv; h++) {
		struct pb_weight head = head_columns(&m->v, h);

		PB_TRY(e->ops->pack(e->dev, &head, 1, &w->v_head[h], err));
	}
cleanup:
	return status;
}

/* cos and sin of position * frequency for one set of frequencies: the angle and its functions in
 * float64, rounded once. */
static void fill_angles(float *table, const float *frequency, double magnitude, size_t n_positions,
			size_t dims)
{
	size_t half = dims / 2;

	for (size_t i = 0; i < half; i++)
		for (size_t p = 0; p < n_positions; p++) {
			double angle = (double)p * (double)frequency[i];

			table[p * dims + i] = (float)(cos(angle) * magnitude);
			table[p * dims + half + i] = (float)(sin(angle) * magnitude);
		}
}

static enum pb_status make_rotary(struct pb_engine *e, struct pb_error *err)
{
	size_t dims = e->arch.rotary_dims, n = e->max_length, sets;
	float *table = NULL;
	enum pb_status status = PB_OK;

	e->long_from = SIZE_MAX;
	for (size_t r = 0; r < PB_ROPES_MAX; r++)
		if (e->model->ropes[r].frequency_long)
			e->long_from = e->model->ropes[r].short_context;
	sets = n > e->long_from ? 2 : 1;
	if (!dims)
		return PB_OK;
	PB_TRY(pb_alloc((void **)&table, sets * n * dims, sizeof *table, "rotary angles", err));
	for (size_t r = 0; r < PB_ROPES_MAX; r++) {
		const struct pb_rope *rope = &e->model->ropes[r];
		size_t bytes = sets * n * dims * sizeof *table;

		if (!rope->frequency)
			continue;
		fill_angles(table, rope->frequency, rope->magnitude, n, dims);
		if (sets == 2)
			fill_angles(table + n * dims,
				    rope->frequency_long ? rope->frequency_long : rope->frequency,
				    rope->magnitude, n, dims);
		PB_TRY(pb_engine_alloc(e, bytes, &e->cos_sin[r], err));
		PB_TRY(e->ops->upload(e->dev, e->cos_sin[r], table, bytes, err));
	}
cleanup:
	free(table);
	return status;
}

enum pb_status pb_engine_open(struct pb_engine *e, struct pb_device *dev,
			      const struct pb_model *model, size_t max_length, size_t n_resident,
			      struct pb_error *err)
{
	double start = pb_seconds();
	enum pb_status status;

	memset(e, 0, sizeof *e);
	e->dev = dev;
	e->ops = dev->ops;
	e->model = model;
	e->arch = model->arch;
	e->max_length = max_length;
	e->n_resident = n_resident ? n_resident : SIZE_MAX;
	PB_TRY(e->ops->prepare(dev, &e->arch, max_length, err));
	PB_TRY(pb_alloc((void **)&e->layers, e->arch.n_layers, sizeof *e->layers, "layers", err));
	for (size_t l = 0; l < e->arch.n_layers; l++) {
		PB_TRY(upload_layer(e, l, err));
		if (l + 1 == e->arch.n_layers)
			PB_TRY(pack_last(e, err));
		if (l < e->n_resident)
			PB_TRY(pb_engine_hold(e, l, err));
	}
	e->profile.seconds[PB_STAGE_PACK] = 0.0; /* all of it is counted below */
	PB_TRY(e->ops->pack(dev, &model->unembed, 1, &e->unembed, err));
	pb_weight_release(model, &model->unembed);
	PB_TRY(
	    upload_vector(e, &model->unembed_bias, e->arch.n_vocab, 0.0f, &e->unembed_bias, err));
	PB_TRY(upload_vector(e, &model->final_norm_weight, e->arch.d_model, 1.0f, &e->final_weight,
			     err));
	PB_TRY(
	    upload_vector(e, &model->final_norm_bias, e->arch.d_model, 0.0f, &e->final_bias, err));
	PB_TRY(make_rotary(e, err));
	e->profile.seconds[PB_STAGE_PACK] += pb_seconds() - start;
cleanup:
	return status;
}

static void unpack_all(struct pb_engine *e, struct pb_packed **packed, size_t n)
{
	for (size_t i = 0; packed && i < n; i++)
		e->ops->unpack(e->dev, packed[i]);
	free(packed);
}

static void unpack_layer(struct pb_engine *e, size_t l)
{
	struct pb_layer_weights *w = &e->layers[l];

	e->ops->unpack(e->dev, w->qkv);
	e->ops->unpack(e->dev, w->o);
	e->ops->unpack(e->dev, w->mlp_in);
	e->ops->unpack(e->dev, w->mlp_out);
	unpack_all(e, w->o_head, e->arch.n_heads);
	w->qkv = w->o = w->mlp_in = w->mlp_out = NULL;
	w->o_head = NULL;
}

void pb_engine_close(struct pb_engine *e)
{
	for (size_t l = 0; e->layers && l < e->arch.n_layers; l++)
		unpack_layer(e, l);
	free(e->layers);
	if (e->ops) {
		e->ops->unpack(e->dev, e->last.q);
		e->ops->unpack(e->dev, e->last.k);
		unpack_all(e, e->last.k_head_t, e->arch.n_kv_heads);
		unpack_all(e, e->last.v_head, e->arch.n_kv_heads);
		e->ops->unpack(e->dev, e->unembed);
		for (size_t i = 0; i < e->n_owned; i++)
			e->ops->release(e->dev, e->owned[i]);
	}
	free(e->owned);
	pb_embeddings_free(&e->embeddings);
	memset(e, 0, sizeof *e);
}

size_t pb_engine_bytes(struct pb_device *dev, const struct pb_model *model, size_t max_length,
		       size_t n_resident)
{
	const struct pb_arch *a = &model->arch;
	size_t d = a->d_model, z = pb_z_width(a), qkv = pb_qkv_width(a);
	size_t layer = d * qkv + 2 * z * d + d * (pb_h_width(a) + a->d_mlp) + 4 * d + qkv + d +
		       pb_h_width(a) + d;
	size_t last = d * z + 2 * d * a->n_kv_heads * a->d_head;
	size_t head =
	    d * a->n_vocab + a->n_vocab + 2 * d + 2 * max_length * a->rotary_dims * PB_ROPES_MAX;
	size_t n = n_resident && n_resident < a->n_layers ? n_resident : a->n_layers;
	size_t vectors = a->n_layers * (8 * d + 2 * qkv + pb_h_width(a));
	size_t biggest = d * (a->n_vocab > pb_h_width(a) ? a->n_vocab : pb_h_width(a));

	/* while a weight is packed its float32 copy and the mapped pages it comes from are there
	 * too */
	return dev->ops->element_bytes(dev) * (n * layer + vectors + last + head + 2 * biggest) +
	       dev->ops->prepare_bytes(dev, a, max_length);
}

enum pb_status pb_engine_qk_norm(struct pb_engine *e, size_t layer, size_t first, size_t n,
				 struct pb_dev x, size_t stride, size_t rows, struct pb_dev x0,
				 struct pb_dev base_row, struct pb_error *err)
{
	const struct pb_layer_weights *w = &e->layers[layer];
	const struct pb_arch *a = &e->arch;
	size_t K = a->d_head, H = a->n_heads, heads[2] = {H, a->n_kv_heads};
	bool whole = a->qk_norm == PB_QK_NORM_WHOLE;
	struct pb_dev none = {0};
	enum pb_status status = PB_OK;

	if (a->qk_norm == PB_QK_NORM_NONE)
		return PB_OK;
	for (size_t at = first, next; at < first + n; at = next) {
		size_t part = at < H ? 0 : 1;
		struct pb_head_norm op = {
		    .kind = a->norm,
		    .eps = a->norm_eps,
		    .n_rows = rows,
		    .n_parts = whole ? 1 : n,
		    .width = whole ? heads[part] * K : K,
		    .x = pb_dev_row(x, at - first, K),
		    .x_stride = stride,
		    .weight = pb_dev_row(w->qk_norm_weight, at, K),
		    .bias = w->qk_norm_bias.address ? pb_dev_row(w->qk_norm_bias, at, K) : none,
		    .x0 = x0.address ? pb_dev_row(x0, at, K) : none,
		    .x0_stride = (H + a->n_kv_heads) * K,
		    .base_row = base_row};

		next = at + (whole ? heads[part] : n);
		PB_TRY(e->ops->head_norm(e->dev, &op, err));
	}
cleanup:
	return status;
}

enum pb_status pb_engine_multiply(struct pb_engine *e, enum pb_stage stage,
				  const struct pb_gemm *op, size_t n_in, size_t n_out,
				  struct pb_error *err)
{
	enum pb_status status;

	PB_STAGE(e, stage, e->ops->gemm(e->dev, op, err));
	if (e->in_wave)
		e->profile.flops += 2.0 * (double)op->m * (double)n_in * (double)n_out;
cleanup:
	return status;
}

enum pb_status pb_engine_gemm(struct pb_engine *e, enum pb_stage stage, size_t m,
			      const struct pb_packed *w, size_t n_in, size_t n_out, struct pb_dev x,
			      size_t x_stride, struct pb_dev y, size_t y_stride, struct pb_dev bias,
			      bool accumulate, struct pb_error *err)
{
	struct pb_gemm op = {.m = m,
			     .x = x,
			     .y = y,
			     .x_stride = x_stride,
			     .y_stride = y_stride,
			     .w = w,
			     .bias = bias,
			     .accumulate = accumulate,
			     .delta = e->in_wave};

	return pb_engine_multiply(e, stage, &op, n_in, n_out, err);
}

/* Operands [rows, width] of a device's delta products: changes of normed rows of random numbers. */
static enum pb_status random_operands(struct pb_device *dev, size_t rows, size_t width,
				      struct pb_dev *out, struct pb_error *err)
{
	struct pb_norm_delta norm = {
	    .kind = PB_NORM_RMS, .eps = 1e-5f, .n_rows = rows, .d_model = width, .operand = true};
	struct pb_dev base = {0}; /* a base row, its stats, weights, the index of each row */
	const float stats[2] = {0.0f, 1.0f};
	float *numbers = NULL;
	struct pb_rng rng;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&numbers, width, sizeof *numbers, "random numbers", err));
	PB_TRY(dev->ops->alloc(dev, rows * width * sizeof(float), &norm.delta, err));
	PB_TRY(dev->ops->alloc(dev, rows * width * sizeof(float), out, err));
	PB_TRY(dev->ops->alloc(dev, (2 * width + 4 + rows) * sizeof(float), &base, err));
	norm.y = *out;
	norm.x0 = base;
	norm.weight = pb_dev_row(base, 1, width);
	norm.stats = pb_dev_row(base, 2, width);
	norm.base_row = pb_dev_at(norm.stats, 4 * sizeof(float));
	pb_rng_seed(&rng, 1, 9, 9, 9);
	for (size_t r = 0; r < rows; r++) {
		for (size_t i = 0; i < width && r < 32; i++)
			numbers[i] = (float)(pb_rng_unit(&rng) - 0.5);
		PB_TRY(dev->ops->upload(dev, pb_dev_row(norm.delta, r, width), numbers,
					width * sizeof *numbers, err));
	}
	PB_TRY(dev->ops->upload(dev, norm.x0, numbers, width * sizeof *numbers, err));
	PB_TRY(dev->ops->upload(dev, norm.weight, numbers, width * sizeof *numbers, err));
	PB_TRY(dev->ops->upload(dev, norm.stats, stats, sizeof stats, err));
	PB_TRY(dev->ops->norm_delta(dev, &norm, err));
	PB_TRY(dev->ops->wait(dev, PB_TICKET_ALL, err));
cleanup:
	free(numbers);
	dev->ops->release(dev, norm.delta);
	dev->ops->release(dev, base);
	return status;
}

enum pb_status pb_measure_gemm(struct pb_device *dev, const struct pb_model *model,
			       double *flops_per_second, struct pb_error *err)
{
	const struct pb_arch *a = &model->arch;
	size_t rows = dev->ops->block_sizes(dev).rows, d = a->d_model, f = a->d_mlp;
	struct pb_dev x = {0}, h = {0}, y = {0};
	struct pb_packed *up = NULL, *down = NULL;
	double best = 0.0, spent = 0.0;
	enum pb_status status;

	PB_TRY(random_operands(dev, rows, d, &x, err));
	PB_TRY(random_operands(dev, rows, f, &h, err));
	PB_TRY(dev->ops->alloc(dev, rows * (d > f ? d : f) * sizeof(float), &y, err));
	PB_TRY(dev->ops->pack(dev, &model->layers[0].mlp_in, 1, &up, err));
	PB_TRY(dev->ops->pack(dev, &model->layers[0].mlp_out, 1, &down, err));
	/* the first round makes the primitives; small models need several to fill a tenth of a
	 * second */
	for (int i = 0; i < 4 || (spent < 0.1 && i < 200); i++) {
		struct pb_gemm first = {.m = rows,
					.x = x,
					.y = y,
					.x_stride = d,
					.y_stride = f,
					.w = up,
					.delta = true,
					.operand = true};
		struct pb_gemm second = {.m = rows,
					 .x = h,
					 .y = y,
					 .x_stride = f,
					 .y_stride = d,
					 .w = down,
					 .delta = true,
					 .operand = true};
		double start = pb_seconds(), rate;

		PB_TRY(dev->ops->gemm(dev, &first, err));
		PB_TRY(dev->ops->gemm(dev, &second, err));
		PB_TRY(dev->ops->wait(dev, PB_TICKET_ALL, err));
		spent += pb_seconds() - start;
		rate = 4.0 * (double)rows * (double)d * (double)f / (pb_seconds() - start);
		best = i > 0 && rate > best ? rate : best;
	}
	*flops_per_second = best;
cleanup:
	dev->ops->unpack(dev, up);
	dev->ops->unpack(dev, down);
	dev->ops->release(dev, x);
	dev->ops->release(dev, h);
	dev->ops->release(dev, y);
	return status;
}
