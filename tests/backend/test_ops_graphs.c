/* Blocks of work as graphs: what they leave is what the same calls leave without, whatever stands
 * in a block and however blocks differ; and they are launched, kept and dropped as they should be.
 * On a backend without graphs the results alone are looked at. */
#include "device.h"

static bool has_graphs(void)
{
	return !on_cpu();
}

/* These tests begin and end the graphs themselves. */
static void no_graph_around(struct rig *r)
{
	if (r->graphs)
		MUST(r, r->ops->graph_end(r->dev, PB_OK, err));
	r->graphs = false;
	r->ops->graph_room(r->dev, (size_t)256 << 20);
}

static struct pb_graph_counts counts(struct rig *r)
{
	return r->ops->graph_counts(r->dev);
}

/* out = a, row by row, `times` times added. */
static enum pb_status add_rows(struct rig *r, struct pb_dev out, struct pb_dev a, size_t n,
			       size_t columns, size_t times, struct pb_error *err)
{
	struct pb_rows op = {.n_rows = n,
			     .columns = columns,
			     .a = a,
			     .out = out,
			     .a_stride = columns,
			     .out_stride = columns,
			     .accumulate = true};
	enum pb_status status = r->ops->zero(r->dev, out, n * columns * sizeof(float), err);

	for (size_t i = 0; i < times && status == PB_OK; i++)
		status = r->ops->rows(r->dev, &op, err);
	return status;
}

static void check_sum(struct rig *r, struct pb_dev out, const float *a, size_t n, size_t times)
{
	const float *got = fetch(r, out, n);

	for (size_t i = 0; i < n; i++)
		CHECK(got[i] == (float)times * a[i], "%s: %zu is %g, not %g", r->label, i,
		      (double)got[i], (double)((float)times * a[i]));
}

/* A block of `times` sums in a graph of a kind. */
static void run_block(struct rig *r, uint64_t kind, size_t n, size_t columns, size_t times)
{
	float *a = HOST(r, n * columns, float);
	struct pb_dev from, to;

	for (size_t i = 0; i < n * columns; i++)
		a[i] = (float)(int)pb_rng_below(&r->rng, 1000);
	from = put(r, a, n * columns);
	to = put_sentinel(r, n * columns);
	MUST(r, r->ops->graph_begin(r->dev, kind, err));
	MUST(r, r->ops->graph_end(r->dev, add_rows(r, to, from, n, columns, times, err), err));
	check_sum(r, to, a, n * columns, times);
}

/* The first of a kind is no graph, the next makes one, and those that differ in pointers and
 * numbers of rows alone give it their arguments. */
OPS_TEST(ops_graphs, made_once)
{
	static const size_t rows[] = {3, 3, 9, 1, 7, 9};
	struct pb_graph_counts n;

	no_graph_around(r);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		begin_case(r, "block %zu of %zu rows", i, rows[i]);
		run_block(r, 5, rows[i], 12, 3);
	}
	n = counts(r);
	if (has_graphs()) {
		cr_assert_eq(n.launched, 5, "%zu launched", (size_t)n.launched);
		cr_assert_eq(n.nodes, 20, "%zu nodes", (size_t)n.nodes);
		cr_assert_eq(n.made + n.updated, n.launched);
		/* a driver may refuse to set more memory, so that a graph is made again: the
		 * emulated one does */
		cr_assert_leq(n.made, 2, "%zu made", (size_t)n.made);
	} else {
		cr_assert_eq(n.launched + n.nodes + n.made + n.updated, 0);
	}
}

/* Two sequences that take turns are two graphs. */
OPS_TEST(ops_graphs, taking_turns)
{
	struct pb_graph_counts n;

	no_graph_around(r);
	for (size_t i = 0; i < 12; i++) {
		begin_case(r, "turn %zu", i);
		run_block(r, 12 + i % 2, 4, 6, 1 + i % 2);
	}
	n = counts(r);
	if (has_graphs()) {
		cr_assert_eq(n.launched, 10, "%zu launched", (size_t)n.launched);
		cr_assert_eq(n.made, 2, "%zu made", (size_t)n.made);
	}
}

/* More sequences than are kept, twice around. */
OPS_TEST(ops_graphs, more_than_are_kept)
{
	enum { SEQUENCES = 40 };

	no_graph_around(r);
	for (size_t round = 0; round < 2; round++)
		for (size_t i = 0; i < SEQUENCES; i++) {
			begin_case(r, "%zu sums, round %zu", i, round);
			run_block(r, 6, 3, 4, i);
		}
	if (has_graphs())
		cr_assert_gt(counts(r).launched, SEQUENCES);
}

static size_t free_memory(struct rig *r)
{
	size_t available = 0;

	MUST(r, r->ops->memory(r->dev, &available, err));
	return available;
}

/* Graphs stay within the room that they are given, and a small one only makes them shorter. */
OPS_TEST(ops_graphs, within_their_room)
{
	enum { KINDS = 12, CALLS = 40 };
	static const size_t mib[] = {0, 1, 4, 64};

	for (size_t m = 0; m < sizeof mib / sizeof *mib; m++) {
		size_t before, least = SIZE_MAX, room = mib[m] ? mib[m] << 20 : (size_t)64 << 10;

		no_graph_around(r);
		r->ops->graph_room(r->dev, mib[m] << 20);
		begin_case(r, "room of %zu MiB", mib[m]);
		run_block(r, 30 + m, 2, 5, 1);
		end_case(r);
		before = free_memory(r);
		for (size_t i = 0; i < (size_t)3 * KINDS; i++) {
			size_t now;

			begin_case(r, "room of %zu MiB, block %zu", mib[m], i);
			run_block(r, 30 + m, 2, 5, CALLS - i % KINDS);
			end_case(r);
			now = free_memory(r);
			least = now < least ? now : least;
		}
		CHECK(least == SIZE_MAX || before <= least || before - least <= room,
		      "%zu MiB of room: %zu bytes taken", mib[m], before - least);
	}
	if (has_graphs())
		cr_assert_gt(counts(r).launched, 0);
}

/* A block of more calls than one graph takes is several. */
OPS_TEST(ops_graphs, long_block)
{
	no_graph_around(r);
	for (size_t i = 0; i < 2; i++) {
		begin_case(r, "a long block, %zu", i);
		run_block(r, 15, 1, 3, 1500);
	}
	if (has_graphs()) {
		cr_assert_eq(counts(r).launched, 2);
		cr_assert_eq(counts(r).nodes, 1501);
	}
}

/* What follows a graph sees what it left, and what it reads may change at once. */
OPS_TEST(ops_graphs, in_order)
{
	enum { N = 70, BLOCKS = 30, NODES = 2 * (BLOCKS - 1) };
	const size_t numbers = BLOCKS * (BLOCKS - 1U) / 2; /* sum of 0 .. BLOCKS - 1 */
	float values[N];
	struct pb_dev sum, x;

	no_graph_around(r);
	begin_case(r, "in order");
	memset(values, 0, sizeof values);
	sum = put(r, values, N);
	x = put(r, values, N);
	for (size_t b = 0; b < BLOCKS; b++) {
		struct pb_rows add = {.n_rows = 1,
				      .columns = N,
				      .a = x,
				      .out = sum,
				      .a_stride = N,
				      .out_stride = N,
				      .accumulate = true};

		MUST(r, r->ops->graph_begin(r->dev, 7, err));
		for (size_t i = 0; i < N; i++)
			values[i] = (float)(b + i);
		MUST(r, r->ops->upload(r->dev, x, values, sizeof values, err));
		memset(values, 0, sizeof values);
		MUST(r, r->ops->rows(r->dev, &add, err));
		MUST(r, r->ops->graph_end(r->dev, PB_OK, err));
		MUST(r, r->ops->rows(r->dev, &add, err)); /* once more, without */
	}
	if (has_graphs()) { /* a copy and a kernel each, and the first of the kind is none */
		cr_assert_eq(counts(r).launched, BLOCKS - 1);
		cr_assert_eq(counts(r).nodes, NODES);
	}
	for (size_t i = 0; i < N; i++)
		values[i] = (float)(2 * (BLOCKS * i + numbers));
	check_bits(r, "sums", fetch(r, sum, N), values, sizeof values);
}

/* Arrays that fill the ring of what goes up several times over in one block, and memory that comes
 * and goes. */
OPS_TEST(ops_graphs, more_than_the_ring_holds)
{
	enum { N = 30000, EDITS = 10, BLOCKS = 3, ARRAYS = 90, LARGE = 1500000, LEAST = 5 };
	float *values = NULL;
	struct pb_dev x[ARRAYS], large;

	no_graph_around(r);
	begin_case(r, "arrays that fill the ring");
	values = HOST(r, LARGE, float);
	for (size_t i = 0; i < ARRAYS; i++)
		x[i] = put_sentinel(r, N);
	for (size_t b = 0; b < BLOCKS; b++) {
		MUST(r, r->ops->graph_begin(r->dev, 8, err));
		for (size_t i = 0; i < ARRAYS; i++) {
			struct pb_edit edits[EDITS];
			struct pb_edits op = {
			    .n = EDITS, .columns = 1, .edits = edits, .out = x[i], .out_stride = 1};

			for (size_t e = 0; e < EDITS; e++) /* every value doubled, by parts */
				edits[e] = (struct pb_edit){.row = (int32_t)(e * (N / EDITS)),
							    .n_rows = N / EDITS,
							    .own = 2.0f};
			for (size_t e = 0; e < N; e++)
				values[e] = (float)(e * (i + 1) % 1013 + b);
			MUST(r, r->ops->upload(r->dev, x[i], values, N * sizeof *values, err));
			MUST(r, r->ops->edits(r->dev, &op, err));
			memset(edits, 0, sizeof edits);
		}
		MUST(r, r->ops->alloc(r->dev, LARGE * sizeof *values, &large, err));
		memset(values, 0x2a, LARGE * sizeof *values);
		MUST(r, r->ops->upload(r->dev, large, values, LARGE * sizeof *values, err));
		memset(values, 0, LARGE * sizeof *values);
		MUST(r, r->ops->download(r->dev, values, large, LARGE * sizeof *values, err));
		for (size_t i = 0; i < LARGE * sizeof *values; i++)
			CHECK(((char *)values)[i] == 0x2a, "%s: byte %zu of the large one",
			      r->label, i);
		MUST(r, r->ops->zero(r->dev, large, LARGE * sizeof *values, err));
		r->ops->release(r->dev, large); /* behind what writes it */
		MUST(r, r->ops->graph_end(r->dev, PB_OK, err));
	}
	for (size_t i = 0; i < ARRAYS; i++) {
		const float *got = fetch(r, x[i], N);

		for (size_t e = 0; e < N; e++)
			CHECK(got[e] == 2.0f * (float)(e * (i + 1) % 1013 + BLOCKS - 1),
			      "%s: array %zu, %zu is %g", r->label, i, e, (double)got[e]);
	}
	if (has_graphs()) /* a section takes some thirty arrays */
		cr_assert_geq(counts(r).launched, LEAST);
}

/* Arrays that are larger than a section of either ring, which grow. */
OPS_TEST(ops_graphs, rings_that_grow)
{
	enum { N = 1100000, ROWS = 3 };
	static const float z[ROWS] = {1.0f, 2.0f, 1.0f};
	struct pb_differ op = {.n = N, .n_heads = 1, .d_head = 1};
	struct pb_dev sum, from;
	int32_t *a, *b;

	no_graph_around(r);
	begin_case(r, "rings that grow");
	run_block(r, 11, 2, 3, 1);
	a = HOST(r, N, int32_t);
	b = HOST(r, N, int32_t);
	op.flag = HOST(r, N, uint8_t);
	for (size_t i = 0; i < N; i++)
		b[i] = (int32_t)(i % ROWS);
	op.z = put(r, z, ROWS);
	op.a_row = a;
	op.b_row = b;
	from = put(r, z, ROWS);
	sum = put_sentinel(r, ROWS);
	MUST(r, r->ops->graph_begin(r->dev, 11, err));
	MUST(r, add_rows(r, sum, from, 1, ROWS, 2, err));
	MUST(r, r->ops->differ(r->dev, &op, err));
	MUST(r, r->ops->graph_end(r->dev, PB_OK, err));
	MUST(r, r->ops->wait(r->dev, r->ops->ticket(r->dev), err));
	for (size_t i = 0; i < N; i++)
		CHECK(op.flag[i] == (i % ROWS == 1), "%s: flag %zu is %d", r->label, i, op.flag[i]);
	check_sum(r, sum, z, ROWS, 2);
}

/* Results for the host in the middle of a block are there when they are waited for, and so is what
 * comes behind them. */
OPS_TEST(ops_graphs, results)
{
	enum { N = 5, D = 8, ALL = N * D };
	static const int32_t row[N] = {4, 3, 2, 1, 0};
	struct pb_dots op = {.n = N, .d_model = D, .x_row = row, .t_row = row};
	float values[ALL];
	double out[N];
	struct pb_dev to;

	no_graph_around(r);
	begin_case(r, "dots in a block");
	for (size_t i = 0; i < ALL; i++)
		values[i] = (float)(int)(i / D);
	op.x = op.t = put(r, values, ALL);
	to = put_sentinel(r, ALL);
	for (size_t b = 0; b < 4; b++) {
		memset(out, 0, sizeof out);
		op.out = out;
		MUST(r, r->ops->graph_begin(r->dev, 9, err));
		MUST(r, add_rows(r, to, op.x, N, D, b, err));
		MUST(r, r->ops->wait(r->dev, PB_TICKET_ALL, err));
		MUST(r, r->ops->dots(r->dev, &op, err));
		MUST(r, add_rows(r, to, op.x, N, D, b + 1, err));
		MUST(r, r->ops->graph_end(r->dev, PB_OK, err));
		MUST(r, r->ops->wait(r->dev, r->ops->ticket(r->dev), err));
		for (size_t i = 0; i < N; i++)
			CHECK(out[i] == (double)(D * row[i] * row[i]), "%s: %zu is %g", r->label, i,
			      out[i]);
		check_sum(r, to, values, ALL, b + 1);
	}
}

/* A failure is handed on; what was not launched by then never is, and the next block is whole. */
OPS_TEST(ops_graphs, failures)
{
	enum { N = 40 };
	struct pb_error said = {0};
	struct pb_dev x;

	no_graph_around(r);
	begin_case(r, "failures");
	run_block(r, 10, 4, 10, 2);
	x = put_sentinel(r, N);
	MUST(r, r->ops->graph_begin(r->dev, 10, err));
	MUST(r, r->ops->zero(r->dev, x, N * sizeof(float), err));
	cr_assert_eq(r->ops->graph_end(r->dev, PB_ERR_STOPPED, &said), PB_ERR_STOPPED);
	cr_assert_eq(said.status, PB_OK, "%s", said.message);
	if (has_graphs()) {
		check_untouched(r, "what was dropped", x, N);
		MUST(r, r->ops->graph_begin(r->dev, 10, err));
		cr_assert_eq(r->ops->graph_begin(r->dev, 10, &said), PB_ERR_INTERNAL);
		MUST(r, r->ops->graph_end(r->dev, PB_OK, err));
	}
	run_block(r, 10, 4, 10, 2);
}
