/* Products by oneDNN: weights packed once into its own layout, rows taken in panels by whichever
 * thread is free.
 *
 * Panels have 96, 48 or 16 rows and the last one is padded to 16, so that few primitives exist. On
 * processors where oneDNN's kernels give a row the same bits whatever the number of rows (AVX-512,
 * tested when the backend is opened) the panel height is free and follows the number of threads;
 * elsewhere every panel is padded to 96 rows.
 *
 * oneDNN has a fast kernel for contiguous rows only (strided ones fall to its reference code, fifty
 * times slower and with other bits), so strided panels go through a worker's own buffers too. */
#include <dlfcn.h>
#include <math.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels.h"

#define PANEL_MOST ((size_t)96)
#define PANEL_MIDDLE ((size_t)48)
#define PANEL_LEAST ((size_t)16)

/* The library is opened when the backend is: programs that do not multiply here start without its
 * 40 MB, and run where it is not. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a name cannot stand in parentheses */
#define PB_DNNL_EACH(X)                                                                            \
	X(engine_create)                                                                           \
	X(engine_destroy)                                                                          \
	X(matmul_desc_init)                                                                        \
	X(memory_create)                                                                           \
	X(memory_desc_get_size)                                                                    \
	X(memory_desc_init_by_strides)                                                             \
	X(memory_desc_init_by_tag)                                                                 \
	X(memory_destroy)                                                                          \
	X(post_ops_append_sum)                                                                     \
	X(post_ops_create)                                                                         \
	X(post_ops_destroy)                                                                        \
	X(primitive_attr_create)                                                                   \
	X(primitive_attr_destroy)                                                                  \
	X(primitive_attr_set_post_ops)                                                             \
	X(primitive_attr_set_scratchpad_mode)                                                      \
	X(primitive_create)                                                                        \
	X(primitive_desc_create)                                                                   \
	X(primitive_desc_destroy)                                                                  \
	X(primitive_desc_query_md)                                                                 \
	X(primitive_destroy)                                                                       \
	X(primitive_execute)                                                                       \
	X(reorder_primitive_desc_create)                                                           \
	X(stream_create)                                                                           \
	X(stream_destroy)                                                                          \
	X(stream_wait)                                                                             \
	X(version)
#define PB_DNNL_MEMBER(name) __typeof__(dnnl_##name) *name;
#define PB_DNNL_TAKE(name)                                                                         \
	symbol = dlsym(library, "dnnl_" #name);                                                    \
	memcpy(&dnnl.name, &symbol, sizeof symbol);                                                \
	found = found && symbol;

/* NOLINTEND(bugprone-macro-parentheses) */

static struct {
	PB_DNNL_EACH(PB_DNNL_MEMBER)
} dnnl;

struct pb_packed {
	size_t n_in, n_out;
	dnnl_memory_desc_t layout; /* oneDNN's choice for [n_in, n_out] */
	void *data;
	size_t bytes;
};

/* One primitive: a product of `rows` rows. */
struct primitive {
	size_t rows, n_in, n_out;
	bool bias, accumulate;
	dnnl_memory_desc_t layout, x, y, b, scratch;
	dnnl_primitive_t handle;
};

struct worker {
	dnnl_stream_t stream;
	void *scratch; /* oneDNN's scratchpad */
	size_t scratch_bytes;
	float *x, *y; /* a padded tail panel */
	size_t x_floats, y_floats;
};

struct pb_gemm_cache {
	dnnl_engine_t engine;
	struct worker *workers; /* one a thread */
	struct primitive *items;
	size_t n, capacity;
	bool rows_are_free; /* a row's bits do not depend on the panel's height */
};

static enum pb_status check(dnnl_status_t got, const char *what, struct pb_error *err)
{
	if (got == dnnl_success)
		return PB_OK;
	return pb_fail(err, got == dnnl_out_of_memory ? PB_ERR_MEMORY : PB_ERR_INTERNAL,
		       "oneDNN refused to %s (status %d)", what, (int)got);
}

static const char *library_name(void)
{
	static char text[48];
	const dnnl_version_t *v = dnnl.version();

	snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
	return text;
}

/* ---- packing --------------------------------------------------------------------------------- */

static enum pb_status matrix(dnnl_memory_desc_t *md, size_t rows, size_t columns,
			     struct pb_error *err)
{
	dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
	dnnl_dims_t strides = {(dnnl_dim_t)columns, 1};

	return check(dnnl.memory_desc_init_by_strides(md, 2, dims, dnnl_f32, strides),
		     "describe a matrix", err);
}

static enum pb_status describe(struct pb_gemm_cache *cache, struct primitive *p, bool any_layout,
			       dnnl_primitive_desc_t *out, struct pb_error *err)
{
	dnnl_memory_desc_t w = p->layout;
	dnnl_matmul_desc_t op;
	dnnl_primitive_attr_t attr = NULL;
	dnnl_post_ops_t post = NULL;
	enum pb_status status;
	dnnl_dims_t dims = {(dnnl_dim_t)p->n_in, (dnnl_dim_t)p->n_out};
	dnnl_dims_t bias_dims = {1, (dnnl_dim_t)p->n_out}, bias_strides = {(dnnl_dim_t)p->n_out, 1};

	PB_TRY(matrix(&p->x, p->rows, p->n_in, err));
	PB_TRY(matrix(&p->y, p->rows, p->n_out, err));
	PB_TRY(check(dnnl.memory_desc_init_by_strides(&p->b, 2, bias_dims, dnnl_f32, bias_strides),
		     "describe a bias", err));
	if (any_layout)
		PB_TRY(
		    check(dnnl.memory_desc_init_by_tag(&w, 2, dims, dnnl_f32, dnnl_format_tag_any),
			  "describe a weight", err));
	PB_TRY(check(dnnl.matmul_desc_init(&op, &p->x, &w, p->bias ? &p->b : NULL, &p->y),
		     "describe a product", err));
	PB_TRY(check(dnnl.primitive_attr_create(&attr), "create attributes", err));
	PB_TRY(check(dnnl.primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
		     "set the scratchpad's owner", err));
	PB_TRY(check(dnnl.post_ops_create(&post), "create post-operations", err));
	if (p->accumulate)
		PB_TRY(check(dnnl.post_ops_append_sum(post, 1.0f), "append a sum", err));
	PB_TRY(check(dnnl.primitive_attr_set_post_ops(attr, post), "set post-operations", err));
	PB_TRY(check(dnnl.primitive_desc_create(out, &op, attr, cache->engine, NULL),
		     "plan a product", err));
cleanup:
	dnnl.post_ops_destroy(post);
	dnnl.primitive_attr_destroy(attr);
	return status;
}

/* float32 rows [n_in, n_out] of the views side by side. */
static void widen(const struct pb_weight *views, size_t n, size_t n_in, size_t n_out, float *to)
{
	const size_t step = 32;

#pragma omp parallel for schedule(dynamic, 1)
	for (size_t i = 0; i < n_in; i += step) {
		size_t rows = n_in - i < step ? n_in - i : step;
		float *part = to + i * n_out;

		for (size_t v = 0; v < n; v++) {
			pb_weight_rows(&views[v], i, rows, part, n_out);
			part += pb_weight_n_out(&views[v]);
		}
	}
}

static void library_unpack(struct pb_packed *packed)
{
	if (packed) {
		free(packed->data);
		free(packed);
	}
}

static enum pb_status reorder(struct pb_gemm_cache *cache, struct pb_packed *packed,
			      const float *plain, struct pb_error *err)
{
	dnnl_memory_desc_t from;
	dnnl_primitive_desc_t desc = NULL;
	dnnl_primitive_t primitive = NULL;
	dnnl_memory_t source = NULL, target = NULL;
	dnnl_stream_t stream = cache->workers[0].stream;
	dnnl_exec_arg_t args[2];
	enum pb_status status;

	PB_TRY(matrix(&from, packed->n_in, packed->n_out, err));
	PB_TRY(check(dnnl.reorder_primitive_desc_create(&desc, &from, cache->engine,
							&packed->layout, cache->engine, NULL),
		     "plan a reorder", err));
	PB_TRY(check(dnnl.primitive_create(&primitive, desc), "create a reorder", err));
	PB_TRY(check(dnnl.memory_create(&source, &from, cache->engine, (void *)(uintptr_t)plain),
		     "wrap a weight", err));
	PB_TRY(check(dnnl.memory_create(&target, &packed->layout, cache->engine, packed->data),
		     "wrap a packed weight", err));
	args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, source};
	args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, target};
	PB_TRY(check(dnnl.primitive_execute(primitive, stream, 2, args), "pack a weight", err));
	PB_TRY(check(dnnl.stream_wait(stream), "wait for a weight", err));
cleanup:
	dnnl.memory_destroy(source);
	dnnl.memory_destroy(target);
	dnnl.primitive_destroy(primitive);
	dnnl.primitive_desc_destroy(desc);
	return status;
}

static enum pb_status library_pack(struct pb_cpu *cpu, const struct pb_weight *views, size_t n,
				   struct pb_packed **out, struct pb_error *err)
{
	struct pb_gemm_cache *cache = cpu->gemm;
	struct primitive shape = {.rows = PANEL_MOST};
	dnnl_primitive_desc_t desc = NULL;
	struct pb_packed *packed = NULL;
	float *plain = NULL;
	enum pb_status status;

	*out = NULL;
	PB_TRY(pb_alloc((void **)&packed, 1, sizeof *packed, "a packed weight", err));
	packed->n_in = views[0].n_in;
	for (size_t v = 0; v < n; v++)
		packed->n_out += pb_weight_n_out(&views[v]);
	shape.n_in = packed->n_in;
	shape.n_out = packed->n_out;
	PB_TRY(describe(cache, &shape, true, &desc, err));
	packed->layout = *dnnl.primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
	packed->bytes = dnnl.memory_desc_get_size(&packed->layout);
	packed->data = aligned_alloc(64, (packed->bytes + 63) / 64 * 64);
	if (!packed->data) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: %zu bytes for a packed weight",
				 packed->bytes);
		goto cleanup;
	}
	PB_TRY(pb_alloc((void **)&plain, packed->n_in * packed->n_out, sizeof(float),
			"a weight being packed", err));
	widen(views, n, packed->n_in, packed->n_out, plain);
	PB_TRY(reorder(cache, packed, plain, err));
	*out = packed;
	packed = NULL;
cleanup:
	dnnl.primitive_desc_destroy(desc);
	free(plain);
	library_unpack(packed);
	return status;
}

/* ---- primitives ------------------------------------------------------------------------------ */

static bool same_primitive(const struct primitive *a, const struct primitive *b)
{
	return a->rows == b->rows && a->n_in == b->n_in && a->n_out == b->n_out &&
	       a->bias == b->bias && a->accumulate == b->accumulate;
}

static enum pb_status grow(void **buffer, size_t *have, size_t need, size_t size,
			   struct pb_error *err)
{
	void *fresh;

	if (need <= *have)
		return PB_OK;
	fresh = aligned_alloc(64, (need * size + 63) / 64 * 64);
	if (!fresh)
		return pb_fail(err, PB_ERR_MEMORY,
			       "out of memory: %zu bytes for a product's scratch", need * size);
	free(*buffer);
	*buffer = fresh;
	*have = need;
	return PB_OK;
}

/* The primitive for this call and panel height, made on first use. */
static enum pb_status find(struct pb_cpu *cpu, const struct pb_gemm *op, size_t rows, size_t *index,
			   struct pb_error *err)
{
	struct pb_gemm_cache *cache = cpu->gemm;
	struct primitive p = {.rows = rows,
			      .n_in = op->w->n_in,
			      .n_out = op->w->n_out,
			      .bias = op->bias.address != NULL,
			      .accumulate = op->accumulate};
	dnnl_primitive_desc_t desc = NULL;
	enum pb_status status = PB_OK;
	int threads = omp_get_max_threads();

	for (size_t i = 0; i < cache->n; i++)
		if (same_primitive(&cache->items[i], &p)) {
			*index = i;
			return PB_OK;
		}
	p.layout = op->w->layout;
	omp_set_num_threads(1); /* each thread runs whole panels of its own */
	PB_TRY(describe(cache, &p, false, &desc, err));
	p.scratch = *dnnl.primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
	PB_TRY(check(dnnl.primitive_create(&p.handle, desc), "create a product", err));
	for (int t = 0; t < cpu->n_threads; t++) {
		struct worker *w = &cache->workers[t];

		PB_TRY(grow(&w->scratch, &w->scratch_bytes,
			    dnnl.memory_desc_get_size(&p.scratch) + 64, 1, err));
		PB_TRY(grow((void **)&w->x, &w->x_floats, PANEL_MOST * p.n_in, sizeof(float), err));
		PB_TRY(
		    grow((void **)&w->y, &w->y_floats, PANEL_MOST * p.n_out, sizeof(float), err));
	}
	PB_TRY(pb_grow((void **)&cache->items, &cache->capacity, cache->n + 1, sizeof *cache->items,
		       "the list of products", err));
	cache->items[cache->n] = p;
	*index = cache->n++;
cleanup:
	omp_set_num_threads(threads);
	if (status != PB_OK)
		dnnl.primitive_destroy(p.handle);
	dnnl.primitive_desc_destroy(desc);
	return status;
}

static enum pb_status execute(struct pb_gemm_cache *cache, struct worker *w,
			      const struct primitive *p, const struct pb_gemm *op, const float *x,
			      float *y, struct pb_error *err)
{
	dnnl_memory_t m[5] = {NULL, NULL, NULL, NULL, NULL};
	dnnl_exec_arg_t args[5];
	enum pb_status status;
	int n = 0;

	PB_TRY(check(dnnl.memory_create(&m[0], &p->x, cache->engine, (void *)(uintptr_t)x),
		     "wrap x", err));
	args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, m[0]};
	PB_TRY(check(dnnl.memory_create(&m[1], &p->layout, cache->engine, op->w->data), "wrap W",
		     err));
	args[n++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, m[1]};
	PB_TRY(check(dnnl.memory_create(&m[2], &p->y, cache->engine, y), "wrap y", err));
	args[n++] = (dnnl_exec_arg_t){DNNL_ARG_DST, m[2]};
	PB_TRY(check(dnnl.memory_create(&m[3], &p->scratch, cache->engine, w->scratch),
		     "wrap the scratchpad", err));
	args[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, m[3]};
	if (p->bias) {
		PB_TRY(check(dnnl.memory_create(&m[4], &p->b, cache->engine, op->bias.address),
			     "wrap the bias", err));
		args[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, m[4]};
	}
	PB_TRY(check(dnnl.primitive_execute(p->handle, w->stream, n, args), "run a product", err));
	PB_TRY(check(dnnl.stream_wait(w->stream), "wait for a product", err));
cleanup:
	for (int i = 0; i < 5; i++)
		dnnl.memory_destroy(m[i]);
	return status;
}

/* Rows row .. row+count-1 of the product, where count <= p->rows; a short or strided panel goes
 * through the worker's own buffers. */
static enum pb_status panel(struct pb_gemm_cache *cache, struct worker *w,
			    const struct primitive *p, const struct pb_gemm *op, size_t row,
			    size_t count, struct pb_error *err)
{
	bool direct = count == p->rows && op->x_stride == p->n_in && op->y_stride == p->n_out;
	const float *x = (const float *)op->x.address + row * op->x_stride;
	float *y = (float *)op->y.address + row * op->y_stride;
	enum pb_status status;

	if (direct)
		return execute(cache, w, p, op, x, y, err);
	memset(w->x + count * p->n_in, 0, (p->rows - count) * p->n_in * sizeof(float));
	if (op->accumulate)
		memset(w->y + count * p->n_out, 0, (p->rows - count) * p->n_out * sizeof(float));
	for (size_t r = 0; r < count; r++) {
		memcpy(w->x + r * p->n_in, x + r * op->x_stride, p->n_in * sizeof(float));
		if (op->accumulate)
			memcpy(w->y + r * p->n_out, y + r * op->y_stride, p->n_out * sizeof(float));
	}
	status = execute(cache, w, p, op, w->x, w->y, err);
	for (size_t r = 0; status == PB_OK && r < count; r++)
		memcpy(y + r * op->y_stride, w->y + r * p->n_out, p->n_out * sizeof(float));
	return status;
}

static size_t library_worker_bytes(size_t n_in, size_t n_out)
{
	/* a padded panel's rows, and oneDNN's scratchpad: some hundred KiB */
	return PANEL_MOST * (n_in + n_out) * sizeof(float) + ((size_t)512 << 10);
}

static size_t panel_height(const struct pb_cpu *cpu, size_t m)
{
	size_t threads = (size_t)cpu->n_threads;

	if (!cpu->gemm->rows_are_free || m >= 4 * PANEL_MOST * threads)
		return PANEL_MOST;
	return m >= 2 * PANEL_MIDDLE * threads ? PANEL_MIDDLE : PANEL_LEAST;
}

/* Threads that a product is worth; multiply-adds here are some thirty times faster than moves. */
static int threads_for(const struct pb_cpu *cpu, const struct pb_gemm *op)
{
	return PB_WORTH_THREADS(op->m * op->w->n_in * op->w->n_out / 32) ? cpu->n_threads : 1;
}

static enum pb_status library_gemm(struct pb_cpu *cpu, const struct pb_gemm *op,
				   struct pb_error *err)
{
	struct pb_gemm_cache *cache = cpu->gemm;
	size_t height = panel_height(cpu, op->m), n_panels = op->m / height;
	size_t whole = n_panels * height, rest = op->m - whole;
	/* the tail in panels of the least height where that is free, else one padded panel */
	size_t tail_height = cache->rows_are_free ? PANEL_LEAST : height;
	size_t n_tails = (rest + tail_height - 1) / tail_height;
	size_t full = 0, tail_full = 0;
	int before = omp_get_max_threads();
	struct pb_error first = {0};
	enum pb_status status = PB_OK;

	if (op->m == 0)
		return PB_OK;
	/* Panels are what threads share; oneDNN itself must never split one (its AVX2 kernels
	 * would, in other bits), be it in a parallel region or out of it. */
	omp_set_num_threads(1);
	if (n_panels)
		PB_TRY(find(cpu, op, height, &full, err));
	if (n_tails)
		PB_TRY(find(cpu, op, tail_height, &tail_full, err));
#pragma omp parallel for num_threads(threads_for(cpu, op)) schedule(dynamic, 1)
	for (size_t i = 0; i < n_panels + n_tails; i++) {
		struct worker *w = &cache->workers[omp_get_thread_num()];
		size_t tail = i - n_panels,
		       row = i < n_panels ? i * height : whole + tail * tail_height;
		size_t count = i < n_panels ? height : tail_height;
		struct pb_error mine = {0};

		if (row + count > op->m)
			count = op->m - row;
		if (panel(cache, w, &cache->items[i < n_panels ? full : tail_full], op, row, count,
			  &mine) != PB_OK) {
#pragma omp critical(pb_gemm_error)
			if (first.status == PB_OK)
				first = mine;
		}
	}
	if (first.status != PB_OK)
		status = pb_fail(err, first.status, "%s", first.message);
cleanup:
	omp_set_num_threads(before);
	return status;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Do rows keep their bits whatever the height of the panel they are in? */
static enum pb_status test_rows(struct pb_cpu *cpu, struct pb_error *err)
{
	const size_t n_in = 160, n_out = 208, rows = PANEL_MOST;
	static const size_t heights[] = {96, 48, 16};
	float *weights = NULL, *x = NULL, *y = NULL;
	struct pb_packed *packed = NULL;
	struct pb_weight view = {.dtype = PB_F32,
				 .n_in = n_in,
				 .n_groups = 1,
				 .group_size = n_out,
				 .stride_in = n_out,
				 .stride_out = 1};
	bool same = true;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&weights, n_in * n_out, sizeof(float), "a test weight", err));
	PB_TRY(pb_alloc((void **)&x, rows * n_in, sizeof(float), "a test input", err));
	PB_TRY(pb_alloc((void **)&y, 3 * rows * n_out, sizeof(float), "a test output", err));
	for (size_t i = 0; i < n_in * n_out; i++)
		weights[i] = sinf((float)i);
	for (size_t i = 0; i < rows * n_in; i++)
		x[i] = cosf((float)i * 1.7f);
	view.data = weights;
	PB_TRY(library_pack(cpu, &view, 1, &packed, err));
	for (size_t h = 0; h < 3; h++) {
		struct pb_gemm op = {.m = rows, .w = packed, .x_stride = n_in, .y_stride = n_out};
		size_t index;

		op.x.address = x;
		op.y.address = y + h * rows * n_out;
		PB_TRY(find(cpu, &op, heights[h], &index, err));
		for (size_t row = 0; row < rows; row += heights[h])
			PB_TRY(panel(cpu->gemm, cpu->gemm->workers, &cpu->gemm->items[index], &op,
				     row, heights[h], err));
		same = same && memcmp(y, op.y.address, rows * n_out * sizeof(float)) == 0;
	}
	cpu->gemm->rows_are_free = same;
cleanup:
	library_unpack(packed);
	free(weights);
	free(x);
	free(y);
	return status;
}

static enum pb_status library_open(struct pb_cpu *cpu, struct pb_error *err)
{
	struct pb_gemm_cache *cache = NULL;
	enum pb_status status;

	PB_TRY(pb_alloc((void **)&cache, 1, sizeof *cache, "the products' state", err));
	cpu->gemm = cache;
	PB_TRY(check(dnnl.engine_create(&cache->engine, dnnl_cpu, 0), "open the processor", err));
	PB_TRY(pb_alloc((void **)&cache->workers, (size_t)cpu->n_threads, sizeof *cache->workers,
			"the products' threads", err));
	for (int t = 0; t < cpu->n_threads; t++)
		PB_TRY(check(dnnl.stream_create(&cache->workers[t].stream, cache->engine,
						dnnl_stream_default_flags),
			     "create a stream", err));
	PB_TRY(test_rows(cpu, err));
cleanup:
	return status;
}

static void library_close(struct pb_cpu *cpu)
{
	struct pb_gemm_cache *cache = cpu->gemm;

	if (!cache)
		return;
	for (size_t i = 0; i < cache->n; i++)
		dnnl.primitive_destroy(cache->items[i].handle);
	free(cache->items);
	for (int t = 0; cache->workers && t < cpu->n_threads; t++) {
		dnnl.stream_destroy(cache->workers[t].stream);
		free(cache->workers[t].scratch);
		free(cache->workers[t].x);
		free(cache->workers[t].y);
	}
	free(cache->workers);
	dnnl.engine_destroy(cache->engine);
	free(cache);
	cpu->gemm = NULL;
}

const struct pb_cpu_products *pb_cpu_dnnl(void)
{
	static const struct pb_cpu_products products = {.name = library_name,
							.open = library_open,
							.close = library_close,
							.worker_bytes = library_worker_bytes,
							.pack = library_pack,
							.unpack = library_unpack,
							.gemm = library_gemm};
	static void *library;
	char file[32];
	void *symbol;
	bool found = true;

	/* of the version that this was compiled for: others have other types */
	snprintf(file, sizeof file, "libdnnl.so.%d", DNNL_VERSION_MAJOR);
	if (!library)
		library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return NULL;
	PB_DNNL_EACH(PB_DNNL_TAKE)
	return found ? &products : NULL;
}
