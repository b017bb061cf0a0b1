/* The delta engine against the plain forward of the same engine, variant by variant, on random
 * models; and that a variant's bits do not depend on what travels with it. The plain forward itself
 * is compared with float64 references in tests/golden. */
#include "support/sweep_setup.h"

/* Every site that the block has, patched; and each other intervention at a few of them. */
static void check_model(const struct tiny_options *o)
{
	static const double alphas[] = {0.0, 0.5, 2.0};
	static const int32_t places[] = {-1, 0};
	struct setup s;

	set_up(&s, o, 1);
	for (int site = 0; site < PB_N_SITES; site++)
		for (int p = 0; p < PB_POSITIONS_ROLES; p++) {
			struct pb_sweep w = {.site = (enum pb_site)site,
					     .positions = (enum pb_positions)p,
					     .direction = (enum pb_direction)((site + p) % 2),
					     .n_list = p == PB_POSITIONS_LIST ? 1 : 0,
					     .list = places};

			if (site == PB_SITE_MLP_PRE || (o->parallel && site == PB_SITE_RESID_MID) ||
			    (p == PB_POSITIONS_EACH_KEY && site != PB_SITE_PATTERN))
				continue;
			check_sweep(&s, &w);
			w.intervention = (site + p) % 3 == 0 ? PB_ZERO : PB_SCALE;
			w.n_alphas = w.intervention == PB_SCALE ? 3 : 0;
			w.alphas = alphas;
			check_sweep(&s, &w);
			w.n_alphas = 0;
			w.intervention = (site + p) % 2 ? PB_RESAMPLE : PB_CONTROL;
			/* no other pair has these lengths: nothing to resample from */
			if (site != PB_SITE_PATTERN && w.intervention == PB_CONTROL)
				check_sweep(&s, &w);
		}
	tear_down(&s);
}

/* All paths, both freezes. */
static void check_paths(const struct tiny_options *o)
{
	struct setup s;

	set_up(&s, o, 1);
	for (int from = 0; from < PB_N_SENDERS; from++)
		for (int to = 0; to < PB_RECEIVER_SET; to++) {
			struct pb_sweep w = {.intervention = PB_PATH,
					     .sender = (enum pb_sender)from,
					     .receiver = (enum pb_receiver)to,
					     .freeze = (enum pb_freeze)((from + to) % 2),
					     .direction = (enum pb_direction)(to % 2)};

			check_sweep(&s, &w);
			w.freeze = (enum pb_freeze)((from + to + 1) % 2);
			check_sweep(&s, &w);
		}
	tear_down(&s);
}

static const struct tiny_options learned = {.n_layers = 3,
					    .n_heads = 3,
					    .n_kv_heads = 3,
					    .d_head = 5,
					    .d_model = 15,
					    .d_mlp = 44,
					    .n_vocab = 37,
					    .n_context = 32,
					    .learned_positions = true,
					    .activation = PB_ACT_GELU_TANH,
					    .scale = 1.6f,
					    .seed = 1};

/* Rotary positions, in part of a head. */
static struct tiny_options rotary(void)
{
	struct tiny_options o = learned;

	o.learned_positions = false;
	o.d_head = 8;
	o.d_model = 24;
	o.rotary_dims = 4;
	return o;
}

/* Two query heads to a KV head. */
static struct tiny_options grouped(void)
{
	struct tiny_options o = learned;

	o.n_heads = 4;
	o.n_kv_heads = 2;
	o.d_model = 33;
	return o;
}

Test(waves, learned_positions_sequential)
{
	check_model(&learned);
}

Test(waves, local_windows)
{
	struct tiny_options o = learned;

	o.window = 4;
	o.activation = PB_ACT_RELU;
	o.n_layers = 4;
	check_model(&o);
}

Test(waves, rotary_sequential)
{
	struct tiny_options o = rotary();

	o.activation = PB_ACT_GELU_ERF;
	check_model(&o);
}

Test(waves, rotary_parallel)
{
	struct tiny_options o = learned;

	o.learned_positions = false;
	o.d_head = 16;
	o.d_model = 48;
	o.rotary_dims = 16;
	o.parallel = true;
	o.activation = PB_ACT_GELU_ERF;
	check_model(&o);
}

Test(waves, grouped_queries)
{
	struct tiny_options o = grouped();

	o.activation = PB_ACT_SILU;
	check_model(&o);
	o.learned_positions = false;
	o.d_head = 6;
	o.rotary_dims = 6;
	check_model(&o);
}

/* RMS norms, a gated MLP, grouped keys, a softcap of the logits. */
static struct tiny_options llama(void)
{
	struct tiny_options o = grouped();

	o.learned_positions = false;
	o.d_head = 6;
	o.rotary_dims = 6;
	o.llama = true;
	o.activation = PB_ACT_SILU;
	o.logit_softcap = 3.0f;
	o.embed_scale = 1.5f;
	return o;
}

Test(waves, gated)
{
	struct tiny_options o = llama();

	check_model(&o);
	o.interleaved = o.nope = true;
	check_model(&o);
	o.parallel = true;
	o.activation = PB_ACT_GELU_ERF;
	check_model(&o);
}

/* Norms of each head's q and k, post-norms with and without pre-norms, softcapped scores. */
Test(waves, more_norms)
{
	struct tiny_options o = llama();

	o.qk_norm = PB_QK_NORM_HEAD;
	check_model(&o);
	o.post_norm = true;
	o.score_softcap = 2.0f;
	o.window = 4;
	check_model(&o);
	check_paths(&o);
	o.no_pre_norm = true;
	o.qk_norm = PB_QK_NORM_WHOLE;
	check_model(&o);
	check_paths(&o);
	o.rotary_dims = 0; /* normed keys without a rotation */
	check_model(&o);
}

Test(waves, paths_gated)
{
	struct tiny_options o = llama();

	check_paths(&o);
}

Test(waves, one_layer_and_two)
{
	struct tiny_options o = learned;

	o.n_layers = 2;
	check_model(&o);
	o.n_layers = 1;
	check_model(&o);
	o.parallel = true;
	check_model(&o);
}

Test(waves, paths_sequential)
{
	check_paths(&learned);
}

Test(waves, paths_parallel_rotary)
{
	struct tiny_options o = rotary();

	o.parallel = true;
	check_paths(&o);
}

Test(waves, paths_grouped_queries)
{
	struct tiny_options o = grouped();

	check_paths(&o);
}

/* Sets over several layers and sites, in one variant: what is written later replaces what the
 * variant itself has there. */
Test(waves, sets)
{
	static const struct pb_member a[] = {{0, 1}, {0, -1}, {1, 0}, {2, 2}};
	static const struct pb_member b[] = {{0, 0}, {1, 1}, {1, 2}};
	static const struct pb_member c[] = {{1, -1}, {2, -1}};
	static const struct pb_set sets[] = {{"a", 4, a, PB_SET_NAMED},
					     {"b", 3, b, PB_SET_NAMED},
					     {"c", 2, c, PB_SET_NAMED},
					     {"none", 0, a, PB_SET_NAMED}};
	static const enum pb_site sites[] = {PB_SITE_Z, PB_SITE_Q, PB_SITE_V, PB_SITE_PATTERN};
	struct setup s;

	set_up(&s, &learned, 1);
	for (size_t i = 0; i < sizeof sites / sizeof *sites; i++)
		for (int p = 0; p <= PB_POSITIONS_LAST; p++) {
			struct pb_sweep w = {.site = sites[i],
					     .positions = (enum pb_positions)p,
					     .by_sets = true,
					     .n_sets = 4,
					     .sets = sets};

			check_sweep(&s, &w);
			w.intervention = PB_ZERO;
			check_sweep(&s, &w);
		}
	tear_down(&s);
}

/* The donor's whole residual stream gives the donor's answer, zero deltas and all. */
Test(waves, full_resid_pre_gives_the_donor)
{
	static const bool both[] = {true, true};
	struct setup s;
	const struct pb_wave_sizes sizes = {.rows_most = 64, .variants_most = 8, .longest = 23};
	struct pb_wave_memory memory;
	struct pb_chunk_checks checks = {0};
	double deviations[3];

	set_up(&s, &learned, 2);
	checks.resid_pre_deviation = deviations;
	MUST(pb_wave_memory_new(&memory, &s.e, &sizes, err));
	MUST(pb_check_resid_pre(&s.e, &memory, &s.run, both, 37, &checks, err));
	for (size_t l = 0; l < 3; l++)
		cr_expect(deviations[l] <= 2e-5, "layer %zu: %g", l, deviations[l]);
	pb_wave_memory_free(&memory, &s.e);
	tear_down(&s);
}

/* The same sweep with waves of several sizes and one or two threads: every bit is the same. */
static void same_bits(const struct tiny_options *o, const struct pb_sweep *w)
{
	double *first = NULL;

	for (int threads = 1; threads <= 2; threads++)
		for (size_t rows = 23; rows <= 4000; rows = rows * 5 + 3) {
			struct setup s;
			struct at_work a;
			double *ld;

			set_up(&s, o, threads);
			start(&a, &s, w);
			ld = sweep(&s, &a, rows, rows);
			if (first)
				cr_expect(
				    memcmp(first, ld, s.pairs.n * a.grid.n_cells * sizeof *ld) == 0,
				    "%s %s %s: %d threads, waves of %zu rows",
				    pb_intervention_names[w->intervention], pb_site_names[w->site],
				    pb_positions_names[w->positions], threads, rows);
			else
				first = ld;
			if (ld != first)
				free(ld);
			finish(&a, &s);
			tear_down(&s);
		}
	free(first);
}

/* Memory decides how waves are cut, threads who computes a row; neither may change a bit. */
Test(waves, same_bits_whatever_the_waves)
{
	static const enum pb_site sites[] = {PB_SITE_Z, PB_SITE_K, PB_SITE_PATTERN,
					     PB_SITE_RESID_PRE, PB_SITE_MLP_OUT};
	struct tiny_options o = learned;

	o.n_heads = 4;
	o.n_kv_heads = 4;
	o.d_head = 32;
	o.d_model = 128;
	o.d_mlp = 512;
	for (size_t i = 0; i < sizeof sites / sizeof *sites; i++)
		for (int p = 0; p <= PB_POSITIONS_EACH; p += 1 + (i > 0)) {
			const struct pb_sweep w = {.site = sites[i],
						   .positions = (enum pb_positions)p};

			same_bits(&o, &w);
		}
	{ /* sets that write here and there */
		static const struct pb_member a[] = {{0, 1}, {0, -1}, {2, 2}};
		static const struct pb_member b[] = {{0, 0}, {1, -1}};
		static const struct pb_member c[] = {{0, 2}, {2, 1}};
		static const struct pb_set sets[] = {{"a", 3, a, PB_SET_NAMED},
						     {"b", 2, b, PB_SET_NAMED},
						     {"c", 2, c, PB_SET_NAMED}};
		struct pb_sweep w = {.site = PB_SITE_Z, .by_sets = true, .n_sets = 3, .sets = sets};

		same_bits(&o, &w);
		w.site = PB_SITE_Q;
		same_bits(&o, &w);
	}
	for (int to = 0; to < PB_RECEIVER_SET; to += 3) {
		const struct pb_sweep w = {.intervention = PB_PATH,
					   .receiver = (enum pb_receiver)to,
					   .freeze = PB_FREEZE_ATTENTION};

		same_bits(&o, &w);
	}
}

/* The engine and its plain forward find a head by the same table; goldens hold that table to
 * float64 where every head has its own keys. Here the rows are [q of 4 heads, k of 2, v of 2]. */
Test(waves, places_of_grouped_heads)
{
	static const struct {
		enum pb_site site;
		int32_t index;
		size_t column;
	} rows[] = {{PB_SITE_Q, 3, 15},     {PB_SITE_K, 0, 20},    {PB_SITE_K, 1, 25},
		    {PB_SITE_V, 0, 30},     {PB_SITE_V, 1, 35},    {PB_SITE_Q_ROT, 2, 10},
		    {PB_SITE_K_ROT, 1, 25}, {PB_SITE_K_ROT, 0, 20}};
	const struct pb_arch a = {.n_heads = 4, .n_kv_heads = 2, .d_head = 5, .d_model = 33};
	struct pb_dev qkv[1] = {0};
	const struct pb_cache c = {.qkv = qkv};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct pb_place p = pb_cache_place(&a, &c, rows[i].site, 0, rows[i].index);

		cr_assert_eq(p.column, rows[i].column, "%s %d: column %zu",
			     pb_site_names[rows[i].site], rows[i].index, p.column);
		cr_assert_eq(p.columns, 5);
		cr_assert_eq(p.stride, 40);
	}
}
