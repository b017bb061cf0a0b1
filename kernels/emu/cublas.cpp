/* Products of the emulated device. Each element is one chain of multiply-adds over k in order. */
#include <cublasLt.h>
#include <cuda_bf16.h>

#include "streams.h"

#include <cstdlib>
#include <vector>

struct pb_emu_lt {
	int open;
};
struct pb_emu_lt_desc {
	cublasComputeType_t compute;
	cublasLtEpilogue_t epilogue;
	const float *bias;
};
struct pb_emu_lt_layout {
	cudaDataType type;
	size_t rows, columns, ld;
};
struct pb_emu_lt_preference {
	size_t workspace;
	uint32_t reductions, alignment;
};

const char *cublasLtGetStatusString(cublasStatus_t status)
{
	return status == CUBLAS_STATUS_SUCCESS            ? "success"
	       : status == CUBLAS_STATUS_NOT_SUPPORTED    ? "not supported"
	       : status == CUBLAS_STATUS_EXECUTION_FAILED ? "the GPU program failed to execute"
							  : "invalid value";
}

size_t cublasLtGetVersion()
{
	return 0;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
	*handle = new pb_emu_lt{1};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
	delete handle;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
					cudaDataType_t scale)
{
	if (scale != CUDA_R_32F)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	*desc = new pb_emu_lt_desc{compute, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
	delete desc;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
					      cublasLtMatmulDescAttributes_t attribute,
					      const void *value, size_t bytes)
{
	if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE && bytes == sizeof desc->epilogue)
		memcpy(&desc->epilogue, value, bytes);
	else if (attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER && bytes == sizeof desc->bias)
		memcpy(&desc->bias, value, bytes);
	else
		return CUBLAS_STATUS_INVALID_VALUE;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
					  uint64_t rows, uint64_t columns, int64_t ld)
{
	if (ld < (int64_t)rows)
		return CUBLAS_STATUS_INVALID_VALUE;
	*layout = new pb_emu_lt_layout{type, rows, columns, (size_t)ld};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
	delete layout;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
	*preference = new pb_emu_lt_preference{0, 1, 256};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
	delete preference;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
						    cublasLtMatmulPreferenceAttributes_t attribute,
						    const void *value, size_t bytes)
{
	uint32_t number = 0;

	if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
		if (bytes != sizeof preference->workspace)
			return CUBLAS_STATUS_INVALID_VALUE;
		memcpy(&preference->workspace, value, bytes);
		return CUBLAS_STATUS_SUCCESS;
	}
	if (bytes != sizeof number)
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(&number, value, bytes);
	if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
		preference->reductions = number;
	else if (number < preference->alignment)
		preference->alignment = number;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
					      cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t,
					      cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
					      cublasLtMatmulPreference_t preference, int asked,
					      cublasLtMatmulHeuristicResult_t *results, int *found)
{
	*found = asked > 0;
	if (asked > 0) {
		memset(results, 0, sizeof *results);
		/* what the algorithm relies on is held against the call */
		results->algo.data[0] = preference->alignment;
		results->algo.data[1] = preference->reductions;
		results->algo.data[2] = a->rows;
		results->algo.data[3] = a->columns;
	}
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t,
				       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
				       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
				       const cublasLtMatmulAlgo_t *algo,
				       cublasLtMatmulHeuristicResult_t *result)
{
	memset(result, 0, sizeof *result);
	result->algo = *algo;
	/* as the library was seen to do on an H100 */
	if (a->rows == 1 && a->columns == 1 && b->columns == 1)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	return CUBLAS_STATUS_SUCCESS;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static float to_tf32(float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof u);
	if ((u & 0x7f800000u) != 0x7f800000u)
		u = (u + 0x1000u) & ~0x1fffu; /* to nearest, ties away */
	memcpy(&x, &u, sizeof x);
	return x;
}

/* Element i of a matrix's memory, as the product sees it. */
static float operand(const void *data, cudaDataType type, bool tf32, size_t i)
{
	if (type == CUDA_R_16BF)
		return __bfloat162float(((const __nv_bfloat16 *)data)[i]);
	return tf32 ? to_tf32(((const float *)data)[i]) : ((const float *)data)[i];
}

/* Four columns of D, all rows: d[c][r] = sum_k a[k * lda + r] b[c][k]. */
static inline __attribute__((always_inline)) void
columns(const float *a, size_t lda, const float *const *b, float *const *d, size_t rows, size_t k)
{
	const size_t step = 64;

	for (size_t r0 = 0; r0 < rows; r0 += step) {
		size_t n = rows - r0 < step ? rows - r0 : step;
		float acc[4][64] = {{0}};

		for (size_t l = 0; l < k; l++) {
			const float *col = a + l * lda + r0;
			float b0 = b[0][l], b1 = b[1][l], b2 = b[2][l], b3 = b[3][l];

			if (n == step)
				for (size_t r = 0; r < step; r++) {
					acc[0][r] += col[r] * b0;
					acc[1][r] += col[r] * b1;
					acc[2][r] += col[r] * b2;
					acc[3][r] += col[r] * b3;
				}
			else
				for (size_t r = 0; r < n; r++) {
					acc[0][r] += col[r] * b0;
					acc[1][r] += col[r] * b1;
					acc[2][r] += col[r] * b2;
					acc[3][r] += col[r] * b3;
				}
		}
		for (size_t c = 0; c < 4; c++)
			memcpy(d[c] + r0, acc[c], n * sizeof(float));
	}
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void columns_v4(const float *a, size_t lda,
							  const float *const *b, float *const *d,
							  size_t rows, size_t k)
{
	columns(a, lda, b, d, rows, k);
}
__attribute__((target("avx2"))) static void columns_v3(const float *a, size_t lda,
						       const float *const *b, float *const *d,
						       size_t rows, size_t k)
{
	columns(a, lda, b, d, rows, k);
}
#endif

static void columns_here(const float *a, size_t lda, const float *const *b, float *const *d,
			 size_t rows, size_t k)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		return columns_v4(a, lda, b, d, rows, k);
	if (__builtin_cpu_supports("avx2"))
		return columns_v3(a, lda, b, d, rows, k);
#endif
	columns(a, lda, b, d, rows, k);
}

struct product {
	pb_emu_lt_desc desc;
	pb_emu_lt_layout a, b, d;
	const void *a_data, *b_data;
	float *out;
	float beta;
};

static void multiply(const product &p)
{
	size_t m = p.a.rows, k = p.a.columns, n = p.b.columns;
	bool tf32 = p.desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
	bool plain = p.a.type == CUDA_R_32F && !tf32;
	std::vector<float> a(plain ? 0 : m * k), b(4 * k), d(4 * m);
	const float *a_plain = plain ? (const float *)p.a_data : a.data();
	size_t lda = plain ? p.a.ld : m;

	for (size_t l = 0; !plain && l < k; l++)
		for (size_t r = 0; r < m; r++)
			a[l * m + r] = operand(p.a_data, p.a.type, tf32, l * p.a.ld + r);
	for (size_t j = 0; j < n; j += 4) {
		size_t count = n - j < 4 ? n - j : 4;
		const float *b_of[4];
		float *d_of[4];

		for (size_t c = 0; c < 4; c++) {
			for (size_t l = 0; l < k; l++)
				b[c * k + l] = c < count ? operand(p.b_data, p.b.type, tf32,
								   (j + c) * p.b.ld + l)
							 : 0.0f;
			b_of[c] = b.data() + c * k;
			d_of[c] = d.data() + c * m;
		}
		columns_here(a_plain, lda, b_of, d_of, m, k);
		for (size_t c = 0; c < count; c++)
			for (size_t r = 0; r < m; r++) {
				float *y = p.out + (j + c) * p.d.ld + r, v = d_of[c][r];

				if (p.desc.epilogue == CUBLASLT_EPILOGUE_BIAS)
					v += p.desc.bias[r];
				*y = p.beta != 0.0f ? v + p.beta * *y : v;
			}
	}
}

static bool aligned(const void *p, const pb_emu_lt_layout *layout, size_t bytes)
{
	size_t size = layout->type == CUDA_R_32F ? 4 : 2;

	return (uintptr_t)p % bytes == 0 && (layout->columns < 2 || layout->ld * size % bytes == 0);
}

static void check_matrix(const void *p, const pb_emu_lt_layout &layout, const char *what)
{
	size_t size = layout.type == CUDA_R_32F ? 4 : 2;

	pb_emu_check_device(p, ((layout.columns - 1) * layout.ld + layout.rows) * size, what);
}

static void check_memory(const product &p)
{
	check_matrix(p.a_data, p.a, "a product's weight");
	check_matrix(p.b_data, p.b, "a product's input");
	check_matrix(p.out, p.d, "a product's result");
}

/* Stands for the kernel that the library would launch: weights of one shape have one a kind of
 * product, whatever the number of rows. */
static const void *kernel_of(const product &p)
{
	static char kernels[1 << 16];
	size_t kind = (size_t)p.desc.compute + 128 * (size_t)p.desc.epilogue + 1024 * p.a.rows +
		      131 * p.a.columns;

	return &kernels[kind * UINT64_C(0x9e3779b97f4a7c15) >> 48];
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
			      const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
			      cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
			      cublasLtMatrixLayout_t c_layout, void *d,
			      cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
			      void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
	product p{*desc, *a_layout, *b_layout, *d_layout, a, b, (float *)d, *(const float *)beta};
	size_t bytes = algo->data[0];

	(void)workspace;
	(void)workspace_bytes;
	if (!handle->open || *(const float *)alpha != 1.0f || c != d ||
	    c_layout->ld != d_layout->ld || a_layout->type != b_layout->type ||
	    d_layout->type != CUDA_R_32F || a_layout->rows != d_layout->rows ||
	    a_layout->columns != b_layout->rows || b_layout->columns != d_layout->columns)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (algo->data[1] != CUBLASLT_REDUCTION_SCHEME_NONE)
		pb_emu_die("a product's reduction scheme is free: rows would depend on others");
	if (algo->data[2] != a_layout->rows || algo->data[3] != a_layout->columns)
		pb_emu_die("a product's algorithm is of a weight of another shape");
	if (!aligned(a, a_layout, bytes) || !aligned(b, b_layout, bytes) ||
	    !aligned(d, d_layout, bytes))
		pb_emu_die("a product relies on an alignment of %zu bytes that its operands lack",
			   bytes);
	check_memory(p);
	return pb_emu_order(stream, pb_emu_node{pb_emu_node::KERNEL, kernel_of(p),
						cudaMemcpyHostToHost, 0, [=] { check_memory(p); },
						[=] { multiply(p); }}) == cudaSuccess
		   ? CUBLAS_STATUS_SUCCESS
		   : CUBLAS_STATUS_EXECUTION_FAILED;
}
