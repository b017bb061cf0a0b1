/* Products by cublasLt: float32, or with operands rounded to tf32 or bfloat16 and float32 sums.
 *
 * A row's bits must not depend on the rows beside it, and cuBLAS chooses its kernel by the number
 * of rows. So the algorithm of a shape is asked for once, for a whole block of rows and without
 * splitting the sum over n_in, and kept for every number of rows: a tile's place in the grid does
 * not change the order of an element's sum. The workspace is ours and always the same. */
#include "cuda/cuda.h"

#include <cublasLt.h>
#include <cuda_bf16.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define BLOCK_ROWS ((size_t)8192) /* that algorithms are chosen for */
#define CANDIDATES 16
#define WORKSPACE_BYTES ((size_t)32 << 20)
#define PACK_ROWS ((size_t)64)

/* One way of calling a product: its algorithm, asked for on first use. */
struct plan {
	bool ready, plain; /* plain: the library has none that takes every number of rows */
	cublasLtMatmulAlgo_t algo;
};

/* The plans of all weights of one shape. */
struct product {
	size_t n_in, n_out;
	struct plan plans[2][2][2][2]; /* change, accumulate, bias, aligned to 16 bytes */
	struct product *next;
};

struct pb_packed {
	size_t n_in, n_out, ld; /* [n_in, ld], n_out of them used */
	float *full;            /* float32 */
	__nv_bfloat16 *half;    /* where changes are multiplied in bfloat16 */
	struct product *product;
};

struct pb_cuda_lt {
	cublasLtHandle_t handle;
	cublasLtMatmulDesc_t desc[2][2];          /* change, bias */
	cublasLtMatmulPreference_t preference[2]; /* aligned */
	enum pb_precision precision;
	void *workspace;
	__nv_bfloat16 *operand; /* [BLOCK_ROWS, widest]: rounded inputs */
	size_t operand_columns;
	struct product *products;
};

static enum pb_status fail(struct pb_error *err, cublasStatus_t got, const char *what)
{
	return pb_fail(err, got == CUBLAS_STATUS_ALLOC_FAILED ? PB_ERR_MEMORY : PB_ERR_INTERNAL,
		       "cublasLt: %s: %s", cublasLtGetStatusString(got), what);
}
#define PB_LT(call)                                                                                \
	do {                                                                                       \
		cublasStatus_t got_ = (call);                                                      \
		if (got_ != CUBLAS_STATUS_SUCCESS)                                                 \
			return fail(err, got_, #call);                                             \
	} while (0)

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* ---- rounding -------------------------------------------------------------------------------- */

/* y[r, c] = bfloat16(x[r, c]), 0 in the columns behind; a warp a row, N columns a lane at once. */
template <int N>
static __global__ void to_bf16(const float *x, size_t x_stride, size_t rows, size_t columns,
			       __nv_bfloat16 *y, size_t y_stride)
{
	size_t r = (size_t)blockIdx.x * PB_ROW_WARPS + threadIdx.x / PB_WARP;
	size_t lane = threadIdx.x % PB_WARP;

	for (size_t i = N * lane; r < rows && i < y_stride; i += (size_t)N * PB_WARP) {
		float v[N] = {};

		if (i < columns)
			pb_load<N>(x + r * x_stride + i, v);
		pb_store<N>(reinterpret_cast<float *>(y + r * y_stride), i, v, true);
	}
}

static enum pb_status round_rows(struct pb_cuda *cuda, const float *x, size_t x_stride, size_t rows,
				 size_t columns, __nv_bfloat16 *y, size_t y_stride,
				 struct pb_error *err)
{
	dim3 grid = pb_cover(rows, PB_ROW_WARPS), block(PB_ROW_THREADS);

	if (pb_quads(x, x_stride, columns) && y_stride % 4 == 0)
		PB_RUN(cuda, to_bf16<4>, grid, block, 0, x, x_stride, rows, columns, y, y_stride);
	else
		PB_RUN(cuda, to_bf16<1>, grid, block, 0, x, x_stride, rows, columns, y, y_stride);
	return PB_OK;
}

/* ---- weights --------------------------------------------------------------------------------- */

void pb_cuda_unpack(struct pb_device *dev, struct pb_packed *packed)
{
	(void)pb_cuda_pause(pb_cuda_of(dev), nullptr); /* graph_end tells of a failure */
	if (packed) {
		(void)cudaFree(packed->full);
		(void)cudaFree(packed->half);
		free(packed);
	}
}

static enum pb_status upload_views(struct pb_cuda *cuda, const struct pb_weight *views, size_t n,
				   struct pb_packed *packed, float *rows, struct pb_error *err)
{
	for (size_t i = 0; i < packed->n_in; i += PACK_ROWS) {
		size_t count = packed->n_in - i < PACK_ROWS ? packed->n_in - i : PACK_ROWS, at = 0;

		for (size_t v = 0; v < n; v++) {
			pb_weight_rows(&views[v], i, count, rows + at, packed->ld);
			at += pb_weight_n_out(&views[v]);
		}
		PB_DO(pb_cuda_fill(cuda, packed->full + i * packed->ld, rows,
				   count * packed->ld * sizeof(float), err));
	}
	return PB_OK;
}

static enum pb_status find_product(struct pb_cuda_lt *g, size_t n_in, size_t n_out,
				   struct product **out, struct pb_error *err)
{
	struct product *p = g->products;

	while (p && (p->n_in != n_in || p->n_out != n_out))
		p = p->next;
	if (!p) {
		PB_DO(pb_alloc((void **)&p, 1, sizeof *p, "a product's plans", err));
		p->n_in = n_in;
		p->n_out = n_out;
		p->next = g->products;
		g->products = p;
	}
	*out = p;
	return PB_OK;
}

static enum pb_status fill_packed(struct pb_cuda *cuda, const struct pb_weight *views, size_t n,
				  struct pb_packed *packed, struct pb_error *err)
{
	size_t count = packed->n_in * packed->ld;
	void *rows = nullptr;
	enum pb_status status = PB_OK;

	PB_OUTSIDE(cuda, cudaMalloc((void **)&packed->full, count * sizeof(float)));
	PB_DO(pb_alloc(&rows, PACK_ROWS * packed->ld, sizeof(float), "a weight's rows", err));
	if (pb_cuda_sharing(&cuda->base) != PB_SHARING_RECEIVES)
		status = upload_views(cuda, views, n, packed, (float *)rows, err);
	free(rows);
	PB_DO(status);
	PB_DO(pb_cuda_spread(cuda, packed->full, count * sizeof(float), err));
	if (cuda->gemm->precision == PB_PRECISION_BF16) {
		PB_OUTSIDE(cuda, cudaMalloc((void **)&packed->half, count * sizeof *packed->half));
		PB_DO(round_rows(cuda, packed->full, packed->ld, packed->n_in, packed->ld,
				 packed->half, packed->ld, err));
	}
	return PB_OK;
}

enum pb_status pb_cuda_pack(struct pb_device *dev, const struct pb_weight *views, size_t n,
			    struct pb_packed **out, struct pb_error *err)
{
	struct pb_packed *packed = nullptr;
	enum pb_status status;

	*out = nullptr;
	PB_DO(pb_alloc((void **)&packed, 1, sizeof *packed, "a weight", err));
	packed->n_in = views[0].n_in;
	for (size_t v = 0; v < n; v++)
		packed->n_out += pb_weight_n_out(&views[v]);
	packed->ld = round_up(packed->n_out, 8);
	status =
	    find_product(pb_cuda_of(dev)->gemm, packed->n_in, packed->n_out, &packed->product, err);
	if (status == PB_OK)
		status = fill_packed(pb_cuda_of(dev), views, n, packed, err);
	if (status == PB_OK)
		*out = packed;
	else
		pb_cuda_unpack(dev, packed);
	return status;
}

enum pb_status pb_cuda_matrix_rows(struct pb_device *dev, const struct pb_matrix_rows *op,
				   struct pb_error *err)
{
	const struct pb_packed *w = op->w;
	struct pb_dev from = {w->full + op->first * w->ld};
	void *rows = nullptr;
	enum pb_status status = PB_OK;

	if (w->ld == w->n_out)
		return pb_cuda_download(dev, op->out, from, op->n * w->ld * sizeof(float), err);
	PB_DO(pb_alloc(&rows, PACK_ROWS * w->ld, sizeof(float), "a weight's rows", err));
	for (size_t i = 0, n; status == PB_OK && i < op->n; i += n) {
		n = op->n - i < PACK_ROWS ? op->n - i : PACK_ROWS;
		status = pb_cuda_download(dev, rows, pb_dev_row(from, i, w->ld),
					  n * w->ld * sizeof(float), err);
		for (size_t r = 0; status == PB_OK && r < n; r++)
			memcpy(op->out + (i + r) * w->n_out, (float *)rows + r * w->ld,
			       w->n_out * sizeof(float));
	}
	free(rows);
	return status;
}

/* A launch a column: they are the few that answers need. */
enum pb_status pb_cuda_matrix_columns(struct pb_device *dev, const struct pb_matrix_columns *op,
				      struct pb_error *err)
{
	const struct pb_packed *w = op->w;
	struct pb_rows move = {};

	move.n_rows = w->n_in;
	move.columns = 1;
	move.a_stride = w->ld;
	move.out_stride = 1;
	for (size_t i = 0; i < op->n; i++) {
		move.a.address = w->full + op->column[i];
		move.out = pb_dev_row(op->out, i, w->n_in);
		PB_DO(pb_cuda_rows(dev, &move, err));
	}
	return PB_OK;
}

/* ---- products -------------------------------------------------------------------------------- */

/* The matrices of a call as cublasLt sees them, column-major: y' = W' x'. */
struct layouts {
	cublasLtMatrixLayout_t w, x, y;
};

static void layouts_free(struct layouts *l)
{
	if (l->w)
		(void)cublasLtMatrixLayoutDestroy(l->w);
	if (l->x)
		(void)cublasLtMatrixLayoutDestroy(l->x);
	if (l->y)
		(void)cublasLtMatrixLayoutDestroy(l->y);
}

static enum pb_status layouts_make(struct layouts *l, const struct pb_packed *w, cudaDataType type,
				   size_t rows, size_t x_stride, size_t y_stride,
				   struct pb_error *err)
{
	PB_LT(cublasLtMatrixLayoutCreate(&l->w, type, w->n_out, w->n_in, (int64_t)w->ld));
	PB_LT(cublasLtMatrixLayoutCreate(&l->x, type, w->n_in, rows, (int64_t)x_stride));
	PB_LT(cublasLtMatrixLayoutCreate(&l->y, CUDA_R_32F, w->n_out, rows, (int64_t)y_stride));
	return PB_OK;
}

/* One slab of a call: `rows` rows of x (of the operands' type) into y. */
struct slab {
	const struct pb_packed *w;
	struct plan *plan;
	cublasLtMatmulDesc_t desc;
	cublasLtMatmulPreference_t preference;
	cudaDataType type;
	const void *x;
	float *y;
	const float *bias; /* NULL: none */
	size_t rows, x_stride, y_stride;
	float beta;
};

/* Rows of x and y as far apart as a plan's alignment allows, whatever they are in this call. */
static size_t usual_stride(size_t columns, size_t element, bool aligned)
{
	return aligned ? round_up(columns, 16 / element) : columns;
}

/* Whether the algorithm takes every number of rows. */
static enum pb_status takes_all(struct pb_cuda_lt *g, const struct slab *s, bool aligned,
				const cublasLtMatmulAlgo_t *algo, bool *takes, struct pb_error *err)
{
	static const size_t counts[] = {1, 2, 3, 5, 8, 16, 33, 64, 127, 256, 1000, BLOCK_ROWS};
	enum pb_status status = PB_OK;

	*takes = true;
	for (size_t i = 0; i < sizeof counts / sizeof *counts && *takes && status == PB_OK; i++) {
		struct layouts l = {};
		cublasLtMatmulHeuristicResult_t result;

		status =
		    layouts_make(&l, s->w, s->type, counts[i],
				 usual_stride(s->w->n_in, s->type == CUDA_R_32F ? 4 : 2, aligned),
				 usual_stride(s->w->n_out, 4, aligned), err);
		if (status == PB_OK)
			*takes = cublasLtMatmulAlgoCheck(g->handle, s->desc, l.w, l.x, l.y, l.y,
							 algo, &result) == CUBLAS_STATUS_SUCCESS &&
				 result.workspaceSize <= WORKSPACE_BYTES;
		layouts_free(&l);
	}
	return status;
}

/* The best algorithm for a whole block of rows that takes fewer, too: cublasLt has none for some
 * narrow, unaligned products. */
static enum pb_status choose(struct pb_cuda_lt *g, const struct slab *s, bool aligned,
			     struct pb_error *err)
{
	cublasLtMatmulHeuristicResult_t found[CANDIDATES];
	struct layouts l = {};
	enum pb_status status;
	int n = 0;

	status = layouts_make(&l, s->w, s->type, BLOCK_ROWS,
			      usual_stride(s->w->n_in, s->type == CUDA_R_32F ? 4 : 2, aligned),
			      usual_stride(s->w->n_out, 4, aligned), err);
	if (status == PB_OK &&
	    cublasLtMatmulAlgoGetHeuristic(g->handle, s->desc, l.w, l.x, l.y, l.y, s->preference,
					   CANDIDATES, found, &n) != CUBLAS_STATUS_SUCCESS)
		n = 0;
	layouts_free(&l);
	for (int i = 0; i < n && status == PB_OK && !s->plan->ready; i++) {
		status = takes_all(g, s, aligned, &found[i].algo, &s->plan->ready, err);
		s->plan->algo = found[i].algo;
	}
	s->plan->plain = !s->plan->ready;
	s->plan->ready = status == PB_OK;
	return status;
}

/* The same without a library, an output a thread. */
struct plain_args {
	const float *x, *w, *bias;
	const __nv_bfloat16 *half_x, *half_w; /* not NULL: the operands */
	float *y, beta;
	size_t rows, n_in, n_out, x_stride, w_stride, y_stride;
};
static __global__ void multiply_plain(struct plain_args g)
{
	size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	size_t r = at / g.n_out, o = at % g.n_out;
	float sum = 0.0f;

	if (r >= g.rows)
		return;
	for (size_t i = 0; i < g.n_in; i++)
		sum += g.half_x ? __bfloat162float(g.half_x[r * g.x_stride + i]) *
				      __bfloat162float(g.half_w[i * g.w_stride + o])
				: g.x[r * g.x_stride + i] * g.w[i * g.w_stride + o];
	if (g.bias)
		sum += g.bias[o];
	if (g.beta != 0.0f)
		sum += g.y[r * g.y_stride + o];
	g.y[r * g.y_stride + o] = sum;
}

static enum pb_status multiply_without(struct pb_cuda *cuda, const struct slab *s,
				       struct pb_error *err)
{
	bool half = s->type == CUDA_R_16BF;
	struct plain_args g = {};

	g.x = half ? nullptr : (const float *)s->x;
	g.half_x = half ? (const __nv_bfloat16 *)s->x : nullptr;
	g.w = s->w->full;
	g.half_w = s->w->half;
	g.bias = s->bias;
	g.y = s->y;
	g.beta = s->beta;
	g.rows = s->rows;
	g.n_in = s->w->n_in;
	g.n_out = s->w->n_out;
	g.x_stride = s->x_stride;
	g.w_stride = s->w->ld;
	g.y_stride = s->y_stride;
	PB_RUN(cuda, multiply_plain, pb_cover(s->rows * g.n_out, 256), dim3(256), 0, g);
	return PB_OK;
}

static enum pb_status multiply(struct pb_cuda *cuda, const struct slab *s, struct pb_error *err)
{
	struct pb_cuda_lt *g = cuda->gemm;
	const void *w = s->type == CUDA_R_32F ? (const void *)s->w->full : s->w->half;
	struct layouts l = {};
	const float one = 1.0f;
	cublasStatus_t got;
	enum pb_status status;

	status = layouts_make(&l, s->w, s->type, s->rows, s->x_stride, s->y_stride, err);
	if (status == PB_OK) /* products of one plan call the same kernels */
		status = pb_cuda_order(cuda, s->plan, err);
	if (status == PB_OK) {
		got = cublasLtMatmul(g->handle, s->desc, &one, w, l.w, s->x, l.x, &s->beta, s->y,
				     l.y, s->y, l.y, &s->plan->algo, g->workspace, WORKSPACE_BYTES,
				     cuda->stream);
		if (got != CUBLAS_STATUS_SUCCESS)
			status = fail(err, got, "a product");
		cuda->n_launches++;
	}
	layouts_free(&l);
	return status;
}

enum pb_status pb_cuda_gemm(struct pb_device *dev, const struct pb_gemm *op, struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct pb_cuda_lt *g = cuda->gemm;
	const struct pb_packed *w = op->w;
	bool change = op->delta && g->precision != PB_PRECISION_FP32;
	bool half = change && g->precision == PB_PRECISION_BF16, bias = op->bias.address != nullptr;
	bool rounded = half && op->operand; /* as an operation left them: two to a float's place */
	size_t step = half && !rounded ? BLOCK_ROWS : op->m;
	struct slab s = {};

	s.w = w;
	s.type = half ? CUDA_R_16BF : CUDA_R_32F;
	s.x_stride = rounded ? 2 * op->x_stride : half ? round_up(w->n_in, 8) : op->x_stride;
	s.y_stride = op->y_stride;
	s.beta = op->accumulate ? 1.0f : 0.0f;
	s.desc = g->desc[change][bias];
	s.bias = pb_floats(op->bias);
	if (bias)
		PB_LT(cublasLtMatmulDescSetAttribute(s.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
						     &op->bias.address, sizeof op->bias.address));
	for (size_t row = 0; row < op->m; row += step) {
		const float *x = pb_floats(op->x) + row * op->x_stride;
		bool aligned;

		s.rows = op->m - row < step ? op->m - row : step;
		s.x = x;
		s.y = pb_floats(op->y) + row * op->y_stride;
		if (half && !rounded) {
			if (s.x_stride > g->operand_columns)
				return pb_fail(err, PB_ERR_INTERNAL,
					       "a product of %zu inputs, prepared for %zu", w->n_in,
					       g->operand_columns);
			PB_DO(round_rows(cuda, x, op->x_stride, s.rows, w->n_in, g->operand,
					 s.x_stride, err));
			s.x = g->operand;
		}
		aligned = pb_quads(s.y, s.y_stride, 0) &&
			  ((half && !rounded) || pb_quads(x, op->x_stride, 0));
		s.plan = &w->product->plans[change][op->accumulate][bias][aligned];
		s.preference = g->preference[aligned];
		if (!s.plan->ready)
			PB_DO(choose(g, &s, aligned, err));
		PB_DO(s.plan->plain ? multiply_without(cuda, &s, err) : multiply(cuda, &s, err));
	}
	return PB_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum pb_status make_desc(cublasLtMatmulDesc_t *desc, enum pb_precision precision, bool bias,
				struct pb_error *err)
{
	/* pedantic: float32 stays float32 whatever the environment asks of cuBLAS */
	cublasComputeType_t compute = precision == PB_PRECISION_FP32 ? CUBLAS_COMPUTE_32F_PEDANTIC
				      : precision == PB_PRECISION_TF32
					  ? CUBLAS_COMPUTE_32F_FAST_TF32
					  : CUBLAS_COMPUTE_32F;
	cublasLtEpilogue_t epilogue = bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;

	PB_LT(cublasLtMatmulDescCreate(desc, compute, CUDA_R_32F));
	PB_LT(cublasLtMatmulDescSetAttribute(*desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
					     sizeof epilogue));
	return PB_OK;
}

static enum pb_status make_preference(cublasLtMatmulPreference_t *preference, uint32_t alignment,
				      struct pb_error *err)
{
	const cublasLtMatmulPreferenceAttributes_t alignments[] = {
	    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
	    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
	const size_t workspace = WORKSPACE_BYTES;
	const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE;

	PB_LT(cublasLtMatmulPreferenceCreate(preference));
	PB_LT(cublasLtMatmulPreferenceSetAttribute(
	    *preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
	PB_LT(cublasLtMatmulPreferenceSetAttribute(*preference,
						   CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
						   &reductions, sizeof reductions));
	for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
		PB_LT(cublasLtMatmulPreferenceSetAttribute(*preference, alignments[i], &alignment,
							   sizeof alignment));
	return PB_OK;
}

enum pb_status pb_cuda_gemm_open(struct pb_cuda *cuda, enum pb_precision precision,
				 struct pb_error *err)
{
	struct pb_cuda_lt *g = nullptr;

	PB_DO(pb_alloc((void **)&g, 1, sizeof *g, "the products' state", err));
	cuda->gemm = g;
	g->precision = precision;
	PB_LT(cublasLtCreate(&g->handle));
	PB_CUDA(cudaMalloc(&g->workspace, WORKSPACE_BYTES));
	for (int bias = 0; bias < 2; bias++) {
		PB_DO(make_desc(&g->desc[0][bias], PB_PRECISION_FP32, bias != 0, err));
		PB_DO(make_desc(&g->desc[1][bias], precision, bias != 0, err));
	}
	PB_DO(make_preference(&g->preference[0], sizeof(float), err));
	PB_DO(make_preference(&g->preference[1], 16, err));
	return PB_OK;
}

void pb_cuda_gemm_close(struct pb_cuda *cuda)
{
	struct pb_cuda_lt *g = cuda->gemm;

	if (!g)
		return;
	for (int i = 0; i < 2; i++) {
		for (int bias = 0; bias < 2; bias++)
			if (g->desc[i][bias])
				(void)cublasLtMatmulDescDestroy(g->desc[i][bias]);
		if (g->preference[i])
			(void)cublasLtMatmulPreferenceDestroy(g->preference[i]);
	}
	(void)cudaFree(g->workspace);
	(void)cudaFree(g->operand);
	for (struct product *next; g->products; g->products = next) {
		next = g->products->next;
		free(g->products);
	}
	if (g->handle)
		(void)cublasLtDestroy(g->handle);
	free(g);
	cuda->gemm = nullptr;
}

/* Inputs of the widest product. */
static size_t widest(const struct pb_arch *arch)
{
	size_t n = arch->d_model, z = arch->n_heads * arch->d_head;

	n = z > n ? z : n;
	n = arch->d_mlp > n ? arch->d_mlp : n;
	return round_up(n, 8);
}

size_t pb_cuda_gemm_bytes(const struct pb_arch *arch, enum pb_precision precision)
{
	return precision == PB_PRECISION_BF16 ? BLOCK_ROWS * widest(arch) * sizeof(__nv_bfloat16)
					      : 0;
}

enum pb_status pb_cuda_gemm_prepare(struct pb_cuda *cuda, const struct pb_arch *arch,
				    struct pb_error *err)
{
	struct pb_cuda_lt *g = cuda->gemm;

	if (g->precision != PB_PRECISION_BF16 || widest(arch) <= g->operand_columns)
		return PB_OK;
	PB_OUTSIDE(cuda, cudaFree(g->operand));
	g->operand = nullptr;
	g->operand_columns = 0;
	PB_OUTSIDE(cuda, cudaMalloc((void **)&g->operand, pb_cuda_gemm_bytes(arch, g->precision)));
	g->operand_columns = widest(arch);
	return PB_OK;
}

size_t pb_cuda_element_bytes(const struct pb_cuda *cuda)
{
	return sizeof(float) +
	       (cuda->gemm->precision == PB_PRECISION_BF16 ? sizeof(__nv_bfloat16) : 0);
}

enum pb_precision pb_cuda_precision(const struct pb_cuda *cuda)
{
	return cuda->gemm->precision;
}

void pb_cuda_gemm_library(char *out, size_t size)
{
	size_t v = cublasLtGetVersion();

	if (v)
		snprintf(out, size, "cublasLt %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
	else
		snprintf(out, size, "emulated cublasLt");
}
