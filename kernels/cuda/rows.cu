/* Moving rows: gather, scatter, difference, and telling where two rows differ. */
#include "cuda/cuda.h"

struct rows_args {
	size_t n, columns; /* elements of all rows, of one; float4s where they are whole */
	const float *a, *b;
	float *out;
	size_t a_stride, b_stride, out_stride;
	const int32_t *a_row, *b_row, *out_row;
	bool accumulate;
};

static __device__ __forceinline__ size_t row_of(const int32_t *index, size_t i)
{
	return index ? (size_t)index[i] : i;
}

static __device__ __forceinline__ float combine(float out, float a, float b, bool subtract,
						bool accumulate)
{
	float v = subtract ? a - b : a;

	return accumulate ? out + v : v;
}

static __global__ void move_rows(struct rows_args g)
{
	size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	size_t r = at / g.columns, j = at % g.columns;

	if (at < g.n) {
		float *out = g.out + row_of(g.out_row, r) * g.out_stride + j;
		float a = g.a[row_of(g.a_row, r) * g.a_stride + j];
		float b = g.b ? g.b[row_of(g.b_row, r) * g.b_stride + j] : 0.0f;

		*out = combine(g.accumulate ? *out : 0.0f, a, b, g.b != nullptr, g.accumulate);
	}
}

static __global__ void move_quads(struct rows_args g)
{
	size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	size_t r = at / g.columns, j = 4 * (at % g.columns);

	if (at < g.n) {
		float4 *out = (float4 *)(g.out + row_of(g.out_row, r) * g.out_stride + j);
		float4 a = *(const float4 *)(g.a + row_of(g.a_row, r) * g.a_stride + j), b = {},
		       o = {};
		bool minus = g.b != nullptr;

		if (minus)
			b = *(const float4 *)(g.b + row_of(g.b_row, r) * g.b_stride + j);
		if (g.accumulate)
			o = *out;
		o.x = combine(o.x, a.x, b.x, minus, g.accumulate);
		o.y = combine(o.y, a.y, b.y, minus, g.accumulate);
		o.z = combine(o.z, a.z, b.z, minus, g.accumulate);
		o.w = combine(o.w, a.w, b.w, minus, g.accumulate);
		*out = o;
	}
}

enum pb_status pb_cuda_rows(struct pb_device *dev, const struct pb_rows *op, struct pb_error *err)
{
	struct rows_args g = {};

	g.columns = op->columns;
	g.a = pb_floats(op->a);
	g.b = pb_floats(op->b);
	g.out = pb_floats(op->out);
	g.a_stride = op->a_stride;
	g.b_stride = op->b_stride;
	g.out_stride = op->out_stride;
	g.a_row = pb_ints(op->a_row);
	g.b_row = pb_ints(op->b_row);
	g.out_row = pb_ints(op->out_row);
	g.accumulate = op->accumulate;
	if (pb_quads(g.a, g.a_stride, g.columns) && pb_quads(g.out, g.out_stride, g.columns) &&
	    pb_quads(g.b, g.b_stride, g.columns)) {
		g.columns /= 4;
		g.n = op->n_rows * g.columns;
		PB_RUN(pb_cuda_of(dev), move_quads, pb_cover(g.n, 256), dim3(256), 0, g);
	} else {
		g.n = op->n_rows * g.columns;
		PB_RUN(pb_cuda_of(dev), move_rows, pb_cover(g.n, 256), dim3(256), 0, g);
	}
	return PB_OK;
}

/* ---- differences ----------------------------------------------------------------------------- */

struct differ_args {
	size_t n, n_heads, d_head, stride;
	const float *z;
	const int32_t *a_row, *b_row;
	uint8_t *flag;
};

static __global__ void differ_heads(struct differ_args g)
{
	size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	size_t i = at / g.n_heads, h = at % g.n_heads;

	if (at < g.n) {
		const float *a = g.z + (size_t)g.a_row[i] * g.stride + h * g.d_head;
		const float *b = g.z + (size_t)g.b_row[i] * g.stride + h * g.d_head;
		uint8_t flag = 0;

		for (size_t j = 0; j < g.d_head; j++)
			flag |= (uint8_t) !(a[j] == b[j]); /* NaN differs */
		g.flag[at] = flag;
	}
}

enum pb_status pb_cuda_differ(struct pb_device *dev, const struct pb_differ *op,
			      struct pb_error *err)
{
	struct pb_cuda *cuda = pb_cuda_of(dev);
	struct differ_args g = {};
	void *a = nullptr, *b = nullptr, *flag = nullptr;

	g.n = op->n * op->n_heads;
	g.n_heads = op->n_heads;
	g.d_head = op->d_head;
	g.stride = op->stride ? op->stride : op->n_heads * op->d_head;
	g.z = pb_floats(op->z);
	if (g.n == 0)
		return PB_OK;
	PB_DO(pb_cuda_stage(cuda, op->a_row, op->n * sizeof *op->a_row, &a, err));
	PB_DO(pb_cuda_stage(cuda, op->b_row, op->n * sizeof *op->b_row, &b, err));
	PB_DO(pb_cuda_result(cuda, g.n, &flag, err));
	g.a_row = (const int32_t *)a;
	g.b_row = (const int32_t *)b;
	g.flag = (uint8_t *)flag;
	PB_RUN(cuda, differ_heads, pb_cover(g.n, 128), dim3(128), 0, g);
	return pb_cuda_deliver(cuda, flag, op->flag, g.n, err);
}
