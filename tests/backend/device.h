/* How the tests of this folder run one list of operations on any backend.
 *
 * PB_TEST_BACKEND names the backend (default cpu). A test is a list of cases, written once with
 * OPS_TEST; it runs for each instruction set of the cpu backend that this machine has (the others
 * are counted as skipped), and each time twice, with one thread, and with two and all work in
 * graphs (graph_begin), which must give the same bits everywhere. All data goes through alloc,
 * upload and download, and every allocation has a guard behind it that must stay as it was. */
#ifndef PB_TEST_DEVICE_H
#define PB_TEST_DEVICE_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "reference.h"

#define U 0x1p-24            /* half a unit in the last place of a float32 near 1 */
#define SENTINEL (-77.0625f) /* what memory holds that no operation may touch */
#define GUARD ((size_t)32)   /* floats behind every allocation */

/* What a test runs on. */
struct target {
	char isa[16];     /* PB_CPU_ISA for the cpu backend; "" lets the backend choose */
	char library[16]; /* the instruction set that oneDNN may use at most; "": any */
	int precision;    /* of delta products: an enum pb_precision */
};

/* One result that left the device: the same cases must leave the same results again. */
struct trace {
	char label[96];
	uint64_t hash;
};

struct rig {
	struct pb_device *dev;
	const struct pb_ops *ops;
	const struct target *target;
	int n_threads;
	struct pb_rng rng;
	char label[96]; /* the case, for messages */
	/* owned by the case */
	struct pb_dev *device;
	void **host;
	size_t n_device, n_host, device_capacity, host_capacity;
	/* results in order; the second run compares with those of the first */
	struct trace *trace;
	size_t n_trace, trace_capacity, at;
	bool replay;  /* the bits are those of checked results: references can be left out */
	bool graphs;  /* what is done between two operations, and each of them, is a graph's work */
	double worst; /* largest share of a tolerance that was used */
};

/* An assertion that costs nothing where it holds: there are millions. */
#define CHECK(holds, ...)                                                                          \
	do {                                                                                       \
		if (!(holds))                                                                      \
			cr_assert_fail(__VA_ARGS__);                                               \
	} while (0)
#define MUST(r, expr)                                                                              \
	do {                                                                                       \
		struct pb_error error_ = {0}, *err = &error_;                                      \
		CHECK((expr) == PB_OK, "%s: %s: %s", (r)->label, #expr, error_.message);           \
	} while (0)
/* Run an operation, and wait for the host arrays that it fills: RUN(r, norm, &op). */
#define RUN(r, operation, op)                                                                      \
	do {                                                                                       \
		next_graph(r);                                                                     \
		MUST(r, (r)->ops->operation((r)->dev, op, err));                                   \
		MUST(r, (r)->ops->wait((r)->dev, (r)->ops->ticket((r)->dev), err));                \
	} while (0)

/* ---- devices --------------------------------------------------------------------------------- */

static inline const char *test_backend(void)
{
	const char *name = getenv("PB_TEST_BACKEND");

	return name && *name ? name : "cpu";
}

static inline bool on_cpu(void)
{
	return strcmp(test_backend(), "cpu") == 0;
}

/* Everything that a rig with graphs does stands in one, each operation in a new one. */
static inline void next_graph(struct rig *r)
{
	if (!r->graphs)
		return;
	MUST(r, r->ops->graph_end(r->dev, PB_OK, err));
	MUST(r, r->ops->graph_begin(r->dev, 1, err));
}

/* The device `name`, with the target's precision of delta products; NULL where the cpu backend says
 * that the instruction set does not run here. */
static inline struct pb_device *open_device(const char *name, const struct target *target,
					    int n_threads)
{
	struct pb_error err = {0};
	struct pb_device *dev = NULL;
	const char *isa = target->isa;

	if (strcmp(name, "cpu") == 0) /* an empty value is none */
		cr_assert_eq(setenv("PB_CPU_ISA", isa, 1), 0);
	if (pb_device_open(&dev, name, n_threads, (enum pb_precision)target->precision, &err) ==
	    PB_OK)
		return dev;
	CHECK(*isa && err.status == PB_ERR_INPUT && strstr(err.message, "does not run here"),
	      "%s %s: %s", name, isa, err.message);
	return NULL;
}

static inline void open_rig(struct rig *r)
{
	if (*r->target->library) /* read when the library is first used; a test is a process */
		cr_assert_eq(setenv("ONEDNN_MAX_CPU_ISA", r->target->library, 1), 0);
	r->dev = open_device(test_backend(), r->target, r->n_threads);
	if (!r->dev) {
		cr_assert_str_neq(r->target->isa, "x86-64-v2", "the least that is needed");
		cr_skip_test("%s does not run here", r->target->isa);
	}
	r->ops = r->dev->ops;
	if (r->graphs)
		MUST(r, r->ops->graph_begin(r->dev, 1, err));
}

static inline void end_case(struct rig *r)
{
	for (size_t i = 0; i < r->n_device; i++)
		r->ops->release(r->dev, r->device[i]);
	for (size_t i = 0; i < r->n_host; i++)
		free(r->host[i]);
	r->n_device = r->n_host = 0;
}

/* A new device that is prepared for prompts of up to max_length tokens, and for nothing larger. */
static inline void open_prepared(struct rig *r, const struct pb_heads *hd, size_t d_model,
				 size_t max_length)
{
	struct pb_arch arch = {.family = "test",
			       .n_layers = 1,
			       .n_heads = hd->n_heads,
			       .n_kv_heads = hd->n_kv_heads,
			       .d_model = d_model,
			       .d_head = hd->d_head,
			       .d_mlp = 4 * d_model,
			       .n_vocab = 10,
			       .n_context = max_length};

	end_case(r);
	pb_device_close(r->dev);
	open_rig(r);
	MUST(r, r->ops->prepare(r->dev, &arch, max_length, err));
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* Begin a case: what the one before owned is released; the label goes into every message. */
static inline __attribute__((format(printf, 2, 3))) void begin_case(struct rig *r,
								    const char *format, ...)
{
	va_list list;
	int n;

	end_case(r);
	next_graph(r);
	n = snprintf(r->label, sizeof r->label, "%s %s%s: ", test_backend(), r->target->isa,
		     r->target->library);
	va_start(list, format);
	vsnprintf(r->label + n, sizeof r->label - (size_t)n, format, list);
	va_end(list);
}

/* Zeroed host memory of the case, each block its own allocation (for the address sanitizer). */
static inline void *host(struct rig *r, size_t count, size_t size)
{
	MUST(r, pb_grow((void **)&r->host, &r->host_capacity, r->n_host + 1, sizeof *r->host,
			"the case's memory", err));
	MUST(r, pb_alloc(&r->host[r->n_host], count, size, "the case's memory", err));
	return r->host[r->n_host++];
}
#define HOST(r, n, type) ((type *)host(r, n, sizeof(type)))

/* Device memory with these 4-byte values and a guard behind them. */
static inline struct pb_dev put(struct rig *r, const void *values, size_t n)
{
	struct pb_dev d = {0};
	float guard[GUARD];

	for (size_t i = 0; i < GUARD; i++)
		guard[i] = SENTINEL;
	MUST(r, pb_grow((void **)&r->device, &r->device_capacity, r->n_device + 1,
			sizeof *r->device, "the case's memory", err));
	MUST(r, r->ops->alloc(r->dev, (n + GUARD) * sizeof(float), &d, err));
	r->device[r->n_device++] = d;
	MUST(r, r->ops->upload(r->dev, d, values, n * sizeof(float), err));
	MUST(r, r->ops->upload(r->dev, pb_dev_row(d, n, 1), guard, sizeof guard, err));
	return d;
}

/* Device memory of n floats, all SENTINEL. */
static inline struct pb_dev put_sentinel(struct rig *r, size_t n)
{
	float *values = HOST(r, n, float);

	for (size_t i = 0; i < n; i++)
		values[i] = SENTINEL;
	return put(r, values, n);
}

/* Results are written down in the first run and compared in the second. */
static inline void note(struct rig *r, const void *data, size_t bytes)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	const unsigned char *p = data;
	struct trace *t;

	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ p[i]) * UINT64_C(1099511628211);
	if (r->replay) {
		CHECK(r->at < r->n_trace, "%s: more results than before", r->label);
		t = &r->trace[r->at++];
		CHECK(strcmp(t->label, r->label) == 0, "%s: the cases are others", r->label);
		CHECK(t->hash == hash, "%s: bits depend on the number of threads, or on graphs",
		      r->label);
		return;
	}
	MUST(r, pb_grow((void **)&r->trace, &r->trace_capacity, r->n_trace + 1, sizeof *r->trace,
			"the results", err));
	t = &r->trace[r->n_trace++];
	snprintf(t->label, sizeof t->label, "%s", r->label);
	t->hash = hash;
}

/* The n floats of device memory made by put(); its guard must be whole. */
static inline float *fetch(struct rig *r, struct pb_dev d, size_t n)
{
	float *values = HOST(r, n + GUARD, float);

	MUST(r, r->ops->download(r->dev, values, d, (n + GUARD) * sizeof *values, err));
	for (size_t i = 0; i < GUARD; i++)
		CHECK(values[n + i] == SENTINEL, "%s: written %zu floats past the end", r->label,
		      i);
	note(r, values, n * sizeof *values);
	return values;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* A Gaussian number (Box-Muller). */
static inline float normal(struct rig *r)
{
	double radius = sqrt(-2.0 * log(1.0 - pb_rng_unit(&r->rng)));

	return (float)(radius * cos(2.0 * acos(-1.0) * pb_rng_unit(&r->rng)));
}

static inline float *normals(struct rig *r, size_t n, float scale)
{
	float *values = HOST(r, n, float);

	for (size_t i = 0; i < n; i++)
		values[i] = scale * normal(r);
	return values;
}

static inline double *widen(struct rig *r, const float *from, size_t n)
{
	double *to = HOST(r, n, double);

	for (size_t i = 0; i < n; i++)
		to[i] = (double)from[i];
	return to;
}

/* n numbers as a checkpoint has them, at an address that is no multiple of anything: Gaussian F32,
 * F16 below 16 in magnitude with a fourth of them subnormal, BF16 from 2^-7 to below 2. */
static inline void *stored(struct rig *r, enum pb_dtype dtype, size_t n)
{
	size_t bytes = pb_dtype_bytes(dtype, 1);
	char *data = HOST(r, n * bytes + 1, char) + 1;

	for (size_t i = 0; i < n; i++) {
		float single = normal(r);
		uint16_t half = (uint16_t)pb_rng_below(&r->rng, 0x10000);

		if (dtype == PB_F16)
			half &= i % 4 ? 0xcbff : 0x83ff;
		else
			half = (uint16_t)((half & 0x83ff) | 0x3c00);
		memcpy(data + i * bytes, dtype == PB_F32 ? (void *)&single : (void *)&half, bytes);
	}
	return data;
}

/* n numbers below `bound`, in no order and with repetitions. */
static inline int32_t *indices(struct rig *r, size_t n, size_t bound)
{
	int32_t *values = HOST(r, n, int32_t);

	for (size_t i = 0; i < n; i++)
		values[i] = (int32_t)pb_rng_below(&r->rng, bound);
	return values;
}

/* The numbers below n, each once, in no order. */
static inline int32_t *permutation(struct rig *r, size_t n)
{
	uint32_t *values = HOST(r, n, uint32_t);

	for (size_t i = 0; i < n; i++)
		values[i] = (uint32_t)i;
	pb_rng_shuffle(&r->rng, values, n);
	return (int32_t *)values;
}

/* ---- comparisons ----------------------------------------------------------------------------- */

/* NaN is only equal to NaN. */
static inline void check_value(struct rig *r, const char *what, size_t i, double got, double want,
			       double tolerance)
{
	double diff = fabs(got - want);

	if (isnan(want) || (isinf(want) && got == want)) {
		CHECK(isnan(want) == isnan(got), "%s: %s[%zu] is %.9g, not %.9g", r->label, what, i,
		      got, want);
		return;
	}
	if (!(diff <= tolerance))
		cr_assert_fail("%s: %s[%zu] is %.9g, not %.9g: off by %.3g, allowed are %.3g",
			       r->label, what, i, got, want, diff, tolerance);
	if (diff > r->worst * tolerance)
		r->worst = diff / tolerance;
}

static inline void check_values(struct rig *r, const char *what, size_t n, const float *got,
				const double *want, const double *tolerance)
{
	for (size_t i = 0; i < n; i++)
		check_value(r, what, i, (double)got[i], want[i], tolerance[i]);
}

static inline void check_bits(struct rig *r, const char *what, const void *got, const void *want,
			      size_t bytes)
{
	const unsigned char *a = got, *b = want;

	if (bytes == 0 || memcmp(a, b, bytes) == 0)
		return;
	for (size_t i = 0; i < bytes; i++)
		CHECK(a[i] == b[i], "%s: %s: other bits at byte %zu of %zu", r->label, what, i,
		      bytes);
}

/* Every one of n floats of device memory is still SENTINEL. */
static inline void check_untouched(struct rig *r, const char *what, struct pb_dev d, size_t n)
{
	const float *values = fetch(r, d, n);

	for (size_t i = 0; i < n; i++)
		CHECK(values[i] == SENTINEL, "%s: %s[%zu] was written", r->label, what, i);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Runs before the workers start, which inherit it: threads that spin for work between thousands of
 * tiny operations cost more than the operations where processors are busy. */
static inline struct criterion_test_params parameters(struct target *targets, size_t n)
{
	(void)setenv("OMP_WAIT_POLICY", "passive", 0);
	return cr_make_param_array(struct target, targets, n);
}

static inline struct criterion_test_params each_isa(void)
{
#if defined(__x86_64__)
	static struct target targets[] = {
	    {.isa = "x86-64-v2"}, {.isa = "x86-64-v3"}, {.isa = "x86-64-v4"}};

	if (on_cpu())
		return parameters(targets, sizeof targets / sizeof *targets);
#endif
	static struct target whichever;

	return parameters(&whichever, 1);
}

static inline void run_cases(const struct target *target, void (*cases)(struct rig *))
{
	struct rig r = {.target = target, .label = "opening"};

	for (r.n_threads = 1; r.n_threads <= 2; r.n_threads++) {
		r.graphs = r.n_threads == 2;
		pb_rng_seed(&r.rng, 1, 2, 3, 4);
		open_rig(&r);
		cases(&r);
		end_case(&r);
		pb_device_close(r.dev);
		r.dev = NULL;
		r.replay = true;
	}
	cr_assert_eq(r.at, r.n_trace, "fewer results than before");
	if (getenv("PB_TEST_WORST"))
		fprintf(stderr, "%-10s%s %-28s %.2f of the tolerance\n", target->isa,
			target->library, criterion_current_test->name, r.worst);
	free(r.trace);
	free(r.device);
	free(r.host);
}

/* OPS_TEST(suite, name) { cases on the rig `r` } */
#define OPS_TEST(suite, name) OPS_TEST_ON(suite, name, each_isa)
/* The same for other targets. */
#define OPS_TEST_ON(suite, name, targets)                                                          \
	static void name##_cases(struct rig *r);                                                   \
	ParameterizedTestParameters(suite, name)                                                   \
	{                                                                                          \
		return targets();                                                                  \
	}                                                                                          \
	ParameterizedTest(struct target *target, suite, name)                                      \
	{                                                                                          \
		run_cases(target, name##_cases);                                                   \
	}                                                                                          \
	static void name##_cases(struct rig *r)

#endif
