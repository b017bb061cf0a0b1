/* Comparisons of result files: figures worked out by hand, intervals by plain loops, refusals. */
#include <omp.h>

#include "results/compare.h"
#include "results/stats.h"
#include "unit/results_read.h"

#define H ((size_t)FIXTURE_HEADS)
#define CELLS_MAX 64
#define NEAR(a, b)                                                                                 \
	cr_assert(fabs((a) - (b)) <= 1e-12, "%.17g is not %.17g", (double)(a), (double)(b))

/* ---- formulas ---------------------------------------------------------------------------- */

Test(compare_measures, by_hand)
{
	const struct pb_cell_shape shape = {2, 2};
	const double effect[4] = {0.1, -0.4, 0.3, -0.2};
	double m[PB_N_MEASURES], profile[3], sizes[4];

	cr_assert_eq(pb_measure(&shape, effect, 3, sizes, m, profile), 4);
	NEAR(m[PB_MEASURE_TOTAL], 1.0);
	NEAR(m[PB_MEASURE_TOP_1], 0.4);
	NEAR(m[PB_MEASURE_TOP_5], 1.0);
	NEAR(m[PB_MEASURE_TOP_10], 1.0);
	/* (-3 * 0.1 - 1 * 0.2 + 1 * 0.3 + 3 * 0.4) / 4 */
	NEAR(m[PB_MEASURE_GINI], 0.25);
	cr_assert_eq(m[PB_MEASURE_CELLS_50], 2);
	cr_assert_eq(m[PB_MEASURE_CELLS_80], 3);
	NEAR(m[PB_MEASURE_DEPTH_CENTRE], 0.5 * 0.25 + 0.5 * 0.75);
	/* Layer 0 lies two thirds in the first bin, one third in the second. */
	NEAR(profile[0], 0.5 * 2 / 3);
	NEAR(profile[1], 0.5 / 3 + 0.5 / 3);
	NEAR(profile[2], 0.5 * 2 / 3);
}

Test(compare_measures, one_cell_has_all_or_all_have_the_same)
{
	const struct pb_cell_shape shape = {5, 1};
	const double one[5] = {0, 0, 0, -7, 0}, same[5] = {2, -2, 2, 2, -2};
	double m[PB_N_MEASURES], profile[1], sizes[5];

	pb_measure(&shape, one, 1, sizes, m, profile);
	NEAR(m[PB_MEASURE_GINI], 0.8); /* 1 - 1/n */
	NEAR(m[PB_MEASURE_TOP_1], 1);
	cr_assert_eq(m[PB_MEASURE_CELLS_50], 1);
	cr_assert_eq(m[PB_MEASURE_CELLS_80], 1);
	NEAR(m[PB_MEASURE_DEPTH_CENTRE], 0.7);
	NEAR(profile[0], 1);
	pb_measure(&shape, same, 1, sizes, m, profile);
	NEAR(m[PB_MEASURE_GINI], 0);
	/* Four of five are 80% exactly. */
	cr_assert_eq(m[PB_MEASURE_CELLS_80], 4);
	cr_assert_eq(m[PB_MEASURE_CELLS_50], 3);
	NEAR(m[PB_MEASURE_DEPTH_CENTRE], 0.5);
}

Test(compare_measures, cells_without_an_effect_are_left_out)
{
	const struct pb_cell_shape shape = {2, 2};
	const double some[4] = {NAN, 1, NAN, 3}, none[4] = {NAN, NAN, NAN, NAN}, zero[4] = {0};
	double m[PB_N_MEASURES], profile[2], sizes[4];

	cr_assert_eq(pb_measure(&shape, some, 2, sizes, m, profile), 2);
	NEAR(m[PB_MEASURE_TOTAL], 4);
	NEAR(m[PB_MEASURE_GINI], 0.25); /* (-1 + 3) / (2 * 4) */
	NEAR(profile[0], 0.25);
	NEAR(profile[1], 0.75);
	cr_assert_eq(pb_measure(&shape, none, 2, sizes, m, profile), 0);
	for (size_t i = 0; i < PB_N_MEASURES; i++)
		cr_assert(isnan(m[i]));
	cr_assert(isnan(profile[0]) && isnan(profile[1]));
	cr_assert_eq(pb_measure(&shape, zero, 2, sizes, m, profile), 4);
	cr_assert_eq(m[PB_MEASURE_TOTAL], 0);
	for (size_t i = 1; i < PB_N_MEASURES; i++)
		cr_assert(isnan(m[i]));
}

Test(compare_measures, shares_by_depth_sum_to_one_whatever_the_bins)
{
	double effect[7], m[PB_N_MEASURES], profile[24], sizes[7], sum, centre;
	const struct pb_cell_shape shape = {7, 1};

	for (size_t i = 0; i < 7; i++)
		effect[i] = fixture_noise(1, i, 2);
	for (size_t n = 1; n <= 24; n++) {
		sum = 0;
		pb_measure(&shape, effect, n, sizes, m, profile);
		for (size_t b = 0; b < n; b++)
			sum += profile[b];
		NEAR(sum, 1);
	}
	/* Bins of a whole number a layer keep the centre. */
	pb_measure(&shape, effect, 21, sizes, m, profile);
	centre = 0;
	for (size_t b = 0; b < 21; b++)
		centre += profile[b] * ((double)b + 0.5) / 21;
	NEAR(centre, m[PB_MEASURE_DEPTH_CENTRE]);
}

/* ---- files ------------------------------------------------------------------------------- */

/* Effect of a cell in a pair. */
typedef double (*effect_of)(size_t pair, size_t cell);

/* A file of a model with n_layers layers. What differs is set in f.e before put(). */
static void model(struct fixture *f, size_t n_pairs, size_t n_layers)
{
	fixture_new(f, n_pairs, n_pairs, true);
	f->e.n_sweeps = 2;
	f->e.metrics = 0;
	f->e.arch.n_layers = n_layers;
	f->e.model_sha256 = f->folder; /* another in each */
	f->e.config = "model:\n  path: models/tiny\n  revision: step1\n"
		      "task:\n  name: box\n  boxes: 3\n"
		      "sweep:\n  - {intervention: patch, positions: all}\n"
		      "  - {intervention: patch, positions: last}\n";
	for (size_t i = 0; i < n_pairs; i++)
		f->pairs.items[i].foil_text = " B";
	fixture_grids(f, 0, FIXTURE_SWEEPS);
}

/* What is about pair 0. */
enum first_pair { RIGHT, NOT_RIGHT, NO_GAP };

/* Write it, with the effects of its sweeps. */
static void put(struct fixture *f, effect_of effect, enum first_pair first)
{
	struct pb_chunk_values *v = fixture_chunk(f, 0);
	struct pb_checked_variant *checked;

	if (first == NOT_RIGHT)
		v->base[1].logit_diff[0] = 1.5;
	else if (first == NO_GAP)
		v->base[1].logit_diff[0] = v->base[0].logit_diff[0] - 0.05;
	for (size_t l = 0; l < f->e.arch.n_layers; l++)
		v->checks.resid_pre_deviation[l] = 1e-6;
	for (size_t s = 0; s < f->e.n_sweeps; s++) {
		const size_t n_cells = f->grids[s].n_cells;
		const int recipient = f->sweeps[s].direction == PB_DENOISE ? 1 : 0;
		double *values = v->sweeps[s].metric[PB_METRIC_LOGIT_DIFF];

		for (size_t i = 0; effect != NULL && i < f->pairs.n * n_cells; i++)
			values[i] = v->base[recipient].logit_diff[i / n_cells] +
				    effect(i / n_cells, i % n_cells);
		checked = &v->checks.variants[s];
		if (checked->cell >= (int32_t)n_cells)
			checked->cell = 0;
		checked->logit_diff =
		    values[(size_t)checked->pair * n_cells + (size_t)checked->cell];
		checked->logit_diff_plain = checked->logit_diff;
	}
	OK(f, pb_parts_prepare(&f->e, &f->err));
	OK(f, pb_part_write(&f->e, v, &f->err));
	pb_chunk_values_free(v);
	OK(f, pb_result_assemble(&f->e, &f->err));
}

static double constant(size_t pair, size_t cell)
{
	static const double sizes[8] = {0.5, -4, 0, 0.25, 3, -0.25, 1, 1};

	(void)pair;
	return cell < 8 ? sizes[cell] : 0;
}

static double noisy(size_t pair, size_t cell)
{
	return fixture_noise(11, pair, cell) + (cell % 5 == 2 ? 0.8 : 0);
}

static struct pb_compare_options options_of(char **paths, size_t n)
{
	return (struct pb_compare_options){.n_files = n, .paths = paths, .n_top = 3, .n_bins = 4};
}

static void compare_two(struct pb_comparison *c, struct fixture *a, struct fixture *b)
{
	char *paths[2] = {a->output, b->output};
	struct pb_compare_options options = options_of(paths, 2);

	OK(a, pb_compare(c, &options, &a->err));
}

Test(compare, effects_that_are_known)
{
	struct pb_comparison c;
	struct fixture a, b;
	const struct pb_spread *s;

	model(&a, 5, 3);
	model(&b, 5, 6);
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	compare_two(&c, &a, &b);
	cr_assert_str_eq(c.sweep, "patch_z_denoise_all");
	cr_assert(c.same_task && c.by_head && !c.noise);
	cr_assert_str_eq(c.files[1].texts[PB_COMPARE_MODEL], "models/tiny");
	cr_assert_str_eq(c.files[1].texts[PB_COMPARE_REVISION], "step1");
	cr_assert_eq(c.files[1].counts[0], 6);
	cr_assert_eq(c.files[1].counts[1], H);
	cr_assert_eq(c.files[1].counts[2], 5);
	cr_assert_eq(c.files[1].counts[3], 5);
	for (size_t i = 0; i < 2; i++) {
		const double n_layers = i == 0 ? 3 : 6;

		s = &c.files[i].spread[0];
		cr_assert_eq(s->n_cells, (size_t)n_layers * H);
		NEAR(s->measures[PB_MEASURE_TOTAL].value, 10);
		NEAR(s->measures[PB_MEASURE_TOP_1].value, 0.4);
		NEAR(s->measures[PB_MEASURE_TOP_5].value, 0.95);
		cr_assert_eq(s->measures[PB_MEASURE_CELLS_50].value, 2);
		cr_assert_eq(s->measures[PB_MEASURE_CELLS_80].value, 3);
		/* 4.75 in layer 0, 5.25 in layer 1 */
		NEAR(s->measures[PB_MEASURE_DEPTH_CENTRE].value,
		     (0.475 * 0.5 + 0.525 * 1.5) / n_layers);
		/* Without variation an interval is a point. */
		NEAR(s->measures[PB_MEASURE_GINI].low, s->measures[PB_MEASURE_GINI].value);
		NEAR(s->measures[PB_MEASURE_GINI].high, s->measures[PB_MEASURE_GINI].value);
		cr_assert_eq(s->n_top, 3);
		cr_assert_str_eq(s->top[0].label, "L0H1");
		NEAR(s->top[0].effect.value, -4);
		NEAR(s->top[1].effect.value, 3);
		cr_assert_eq(s->top[1].layer, 1);
		cr_assert_eq(s->top[1].head, 0);
		NEAR(s->top[1].depth, 1.5 / n_layers);
	}
	/* Four bins: of three layers, 3/4 of the first lies in the first bin; of six, all of it. */
	NEAR(c.files[0].spread[0].profile[0].value, 0.475 * 0.75);
	NEAR(c.files[0].spread[0].profile[1].value, 0.475 * 0.25 + 0.525 * 0.5);
	NEAR(c.files[1].spread[0].profile[0].value, 0.475 + 0.525 * 0.5);
	/* The mean of the right pairs, which are all of them. */
	NEAR(c.files[1].spread[1].measures[PB_MEASURE_TOTAL].value, 10);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

/* The mean difference of all pairs of cells, half of it relative to the mean (Gini 1912). */
static double plain_gini(const double *x, size_t n)
{
	double sum = 0, total = 0;

	for (size_t i = 0; i < n; i++) {
		total += fabs(x[i]);
		for (size_t k = 0; k < n; k++)
			sum += fabs(fabs(x[i]) - fabs(x[k]));
	}
	return sum / (2 * (double)n * total);
}

static int rising(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double plain_quantile(double *sorted, size_t n, double q)
{
	const double at = q * (double)(n - 1);
	const size_t k = (size_t)at;

	return sorted[k] + (at - (double)k) * (sorted[k + 1] - sorted[k]);
}

/* Mean effects of a resample of pairs [first, n); false without any. */
static bool plain_means(const struct fixture *f, const uint16_t *drawn, size_t first,
			effect_of effect, double *mean)
{
	for (size_t c = 0; c < f->grids[0].n_cells; c++) {
		double n = 0;

		mean[c] = 0;
		for (size_t i = first; i < f->pairs.n; i++) {
			const double x = effect(i, c);

			mean[c] += isnan(x) ? 0 : drawn[i - first] * x;
			n += isnan(x) ? 0 : drawn[i - first];
		}
		if (n == 0)
			return false;
		mean[c] /= n;
	}
	return true;
}

static void check_interval(struct pb_estimate x, double *values, size_t n)
{
	qsort(values, n, sizeof *values, rising);
	NEAR(x.low, plain_quantile(values, n, 0.025));
	NEAR(x.high, plain_quantile(values, n, 0.975));
}

/* Gini and total of each resample of pairs [first, n), by plain loops. */
static void check_intervals(struct fixture *f, const struct pb_spread *s, size_t first,
			    effect_of effect)
{
	const size_t n_cells = f->grids[0].n_cells, n_pairs = f->pairs.n - first;
	double ginis[PB_STATS_RESAMPLES], totals[PB_STATS_RESAMPLES], mean[CELLS_MAX] = {0};
	struct pb_stats_plan plan;
	size_t n = 0;

	OK(f, pb_stats_plan_new(&plan, n_pairs, f->e.seed, &f->err));
	for (size_t r = 0; r < PB_STATS_RESAMPLES; r++) {
		if (!plain_means(f, plan.drawn + r * n_pairs, first, effect, mean))
			continue;
		ginis[n] = plain_gini(mean, n_cells);
		totals[n] = 0;
		for (size_t c = 0; c < n_cells; c++)
			totals[n] += fabs(mean[c]);
		n++;
	}
	check_interval(s->measures[PB_MEASURE_GINI], ginis, n);
	check_interval(s->measures[PB_MEASURE_TOTAL], totals, n);
	pb_stats_plan_free(&plan);
}

Test(compare, intervals_are_those_of_plain_loops_over_the_pairs)
{
	struct pb_comparison c;
	struct fixture a, b;

	/* More pairs than are added to the sums at once, and one that is not right. */
	model(&a, 37, 5);
	model(&b, 37, 3);
	put(&a, noisy, NOT_RIGHT);
	put(&b, noisy, NOT_RIGHT);
	compare_two(&c, &a, &b);
	cr_assert_eq(c.files[0].spread[0].n_pairs, 37);
	cr_assert_eq(c.files[0].spread[1].n_pairs, 36);
	cr_assert_eq(c.files[0].counts[3], 36);
	NEAR(c.files[0].facts[0], 36.0 / 37);
	check_intervals(&a, &c.files[0].spread[0], 0, noisy);
	check_intervals(&a, &c.files[0].spread[1], 1, noisy);
	check_intervals(&b, &c.files[1].spread[1], 1, noisy);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

static char *csv_of(const struct pb_comparison *c)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out != NULL);
	pb_compare_csv(c, out);
	cr_assert_eq(fclose(out), 0);
	return text;
}

Test(compare, the_same_bits_each_time_and_on_any_number_of_threads)
{
	struct pb_comparison c;
	struct fixture a, b;
	char *once, *again;

	model(&a, 20, 3);
	model(&b, 20, 4);
	put(&a, noisy, NOT_RIGHT);
	put(&b, noisy, RIGHT);
	omp_set_num_threads(1);
	compare_two(&c, &a, &b);
	once = csv_of(&c);
	pb_comparison_free(&c);
	omp_set_num_threads(3);
	compare_two(&c, &a, &b);
	again = csv_of(&c);
	pb_comparison_free(&c);
	cr_assert_str_eq(once, again);
	free(once);
	free(again);
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, restoration_is_one_less_in_noise)
{
	struct pb_comparison c;
	struct fixture a, b;
	char *paths[2] = {a.output, b.output};
	struct pb_compare_options options = options_of(paths, 2);
	double *restoration, total = 0;

	model(&a, 12, 3);
	model(&b, 12, 3);
	put(&a, NULL, RIGHT);
	put(&b, NULL, RIGHT);
	options.by = PB_BY_RESTORATION;
	options.sweep = "1";
	OK(&a, pb_compare(&c, &options, &a.err));
	cr_assert(c.noise);
	restoration = read_doubles(&a, "/sweeps/1_patch_z_noise_last/summary/restoration", 3 * H);
	for (size_t i = 0; i < 3 * H; i++)
		total += fabs(restoration[i] - 1);
	NEAR(c.files[0].spread[0].measures[PB_MEASURE_TOTAL].value, total);
	cr_assert_str_eq(c.files[0].spread[0].top[0].label, "L1H2");
	NEAR(c.files[0].spread[0].top[0].effect.value, restoration[H + 2] - 1);
	cr_assert(c.files[0].spread[0].measures[PB_MEASURE_TOTAL].low < total);
	cr_assert(c.files[0].spread[0].measures[PB_MEASURE_TOTAL].high > total);
	free(restoration);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

/* Pair 0 has no gap to be restored. */
static double restored(size_t pair, size_t cell)
{
	return pair == 0 ? NAN
			 : noisy(pair, cell) / (fixture_base(pair, 0) - fixture_base(pair, 1));
}

Test(compare, pairs_without_a_gap_have_no_restoration)
{
	struct pb_comparison c;
	struct fixture a, b;
	char *paths[2] = {a.output, b.output};
	struct pb_compare_options options = options_of(paths, 2);

	/* Of three pairs many resamples have little but the first, and some nothing else. */
	model(&a, 3, 3);
	model(&b, 19, 3);
	put(&a, noisy, NO_GAP);
	put(&b, noisy, NO_GAP);
	options.by = PB_BY_RESTORATION;
	OK(&a, pb_compare(&c, &options, &a.err));
	cr_assert_eq(c.files[0].spread[0].n_pairs, 2);
	cr_assert_eq(c.files[1].spread[0].n_pairs, 18);
	check_intervals(&a, &c.files[0].spread[0], 0, restored);
	check_intervals(&b, &c.files[1].spread[0], 0, restored);
	check_intervals(&b, &c.files[1].spread[1], 1, restored);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, layers_and_a_single_pair)
{
	struct pb_comparison c;
	struct fixture a, b;

	model(&a, 1, 3);
	model(&b, 1, 6);
	a.sweeps[0].site = b.sweeps[0].site = PB_SITE_MLP_OUT;
	fixture_grids(&a, 0, 1);
	fixture_grids(&b, 0, 1);
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	compare_two(&c, &a, &b);
	cr_assert(!c.by_head);
	cr_assert_eq(c.files[0].spread[0].n_cells, 3);
	NEAR(c.files[0].spread[0].measures[PB_MEASURE_TOTAL].value, 4.5);
	cr_assert_str_eq(c.files[0].spread[0].top[0].label, "M1");
	cr_assert_eq(c.files[0].spread[0].top[0].head, -1);
	/* One pair has no interval. */
	cr_assert(isnan(c.files[0].spread[0].measures[PB_MEASURE_GINI].low));
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, kv_heads_count_as_heads)
{
	struct pb_comparison c;
	struct fixture a, b;

	model(&a, 4, 3);
	model(&b, 4, 4);
	a.sweeps[0].site = b.sweeps[0].site = PB_SITE_V;
	fixture_grids(&a, 0, 1);
	fixture_grids(&b, 0, 1);
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	compare_two(&c, &a, &b);
	cr_assert(c.by_head);
	cr_assert_eq(c.files[1].spread[0].n_cells, (size_t)4 * FIXTURE_KV_HEADS);
	/* The second cell of two to a layer is head 1, the fifth head 0 of layer 2. */
	cr_assert_eq(c.files[1].spread[0].top[0].head, 1);
	cr_assert_eq(c.files[1].spread[0].top[1].layer, 2);
	cr_assert_eq(c.files[1].spread[0].top[1].head, 0);
	NEAR(c.files[1].spread[0].top[1].depth, 2.5 / 4);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

/* ---- outputs ----------------------------------------------------------------------------- */

Test(compare, csv_is_quoted)
{
	struct pb_comparison c;
	struct fixture a, b;
	char *csv;

	model(&a, 4, 3);
	model(&b, 4, 3);
	a.e.config = "model:\n  path: 'a \"b\", c'\n  revision: step1\n"
		     "task:\n  name: box\n  boxes: 3\n"
		     "sweep:\n  - {intervention: patch, positions: all}\n";
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	compare_two(&c, &a, &b);
	csv = csv_of(&c);
	cr_assert(strncmp(csv,
			  "file,model,revision,measure,bin,rank,layer,head,value,ci_low,ci_high\n",
			  69) == 0);
	cr_assert(strstr(csv, ",\"a \"\"b\"\", c\",\"step1\",n_layers,,,,,3,,\n") != NULL);
	cr_assert(strstr(csv, ",top_effect,,1,0,1,-4,") != NULL);
	cr_assert(strstr(csv, ",top_depth_right,,2,1,0,0.5,,\n") != NULL);
	cr_assert(strstr(csv, ",depth_share,3,,,,") != NULL);
	free(csv);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, hdf5_holds_the_figures)
{
	struct pb_comparison c;
	struct fixture a, b;
	double *gini, *share, *top;

	model(&a, 20, 3);
	model(&b, 20, 4);
	put(&a, noisy, NOT_RIGHT);
	put(&b, noisy, RIGHT);
	compare_two(&c, &a, &b);
	snprintf(a.output, sizeof a.output, "%s/compared.h5", a.folder);
	OK(&a, pb_compare_write(&c, a.output, "patchbay compare a b", &a.err));
	cr_assert(!fixture_has_aside(&a, ""));
	gini = read_doubles(&a, "comparison/gini_ci_high_right", 2);
	share = read_doubles(&a, "comparison/depth_share_ci_low", 8);
	top = read_doubles(&a, "comparison/top_effect", 6);
	for (size_t i = 0; i < 2; i++) {
		const struct pb_compared *file = &c.files[i];

		cr_assert_eq(gini[i], file->spread[1].measures[PB_MEASURE_GINI].high);
		for (size_t k = 0; k < 4; k++)
			cr_assert_eq(share[4 * i + k], file->spread[0].profile[k].low);
		for (size_t k = 0; k < 3; k++)
			cr_assert_eq(top[3 * i + k], file->spread[0].top[k].effect.value);
	}
	text_is(&a, "comparison", "sweep", "patch_z_denoise_all");
	text_is(&a, "/", "command", "patchbay compare a b");
	cr_assert_eq(read_attribute(&a, "/", "complete"), 1);
	free(verify_text(&a, PB_OK));
	FAILS(&a, pb_compare_write(&c, "/nowhere/compared.h5", "", &a.err), PB_ERR_INPUT,
	      "/nowhere");
	free(gini);
	free(share);
	free(top);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

static char *text_of(const struct pb_comparison *c, bool over_right, bool with_top)
{
	struct pb_error err = {0};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out != NULL);
	cr_assert_eq(pb_compare_text(c, over_right, with_top, out, &err), PB_OK);
	cr_assert_eq(fclose(out), 0);
	return text;
}

/* A line of the text that begins as `start` and has `part` in it. */
static bool has_line(const char *text, const char *start, const char *part)
{
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		const char *end, *found;

		line += *line == '\n';
		end = line + strcspn(line, "\n");
		found = strstr(line, part);
		if (strncmp(line, start, strlen(start)) == 0 && found != NULL && found < end)
			return true;
	}
	return false;
}

Test(compare, text_has_a_row_a_file)
{
	struct pb_comparison c;
	struct fixture a, b;
	char *text;

	model(&a, 5, 3);
	model(&b, 5, 6);
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	compare_two(&c, &a, &b);
	text = text_of(&c, false, true);
	cr_assert(has_line(text, "patch_z_denoise_all of 2 files", ""), "%s", text);
	cr_assert(has_line(text, "  1  models/tiny  step1 ", "  100.0%     "), "%s", text);
	/* One model and revision: its files are told apart. */
	cr_assert(has_line(text, "  2  /tmp/pb_results_", "  40.0%  95.0%  "), "%s", text);
	cr_assert(
	    has_line(text, "  2  ", "2      3 [3, 3]  24  0.17 [0.17, 0.17]  L0H1 -4 [-4, -4]"),
	    "%s", text);
	cr_assert(has_line(text, "  2  ", "   73.8%   26.2%     0.0%  0.0%"), "%s", text);
	cr_assert(has_line(text, "  2  ", "   2   0.25  L1H0 +3 [+3, +3]"), "%s", text);
	cr_assert(strstr(text, "much of the sum") == NULL, "%s", text);
	free(text);
	text = text_of(&c, true, false);
	cr_assert(strstr(text, "over the right pairs") != NULL, "%s", text);
	cr_assert(strstr(text, "L1H0") == NULL, "%s", text);
	free(text);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, revisions_of_one_model_are_told_apart_by_their_names)
{
	struct pb_comparison c;
	struct fixture a, b;
	char *text;

	model(&a, 4, 3);
	model(&b, 4, 3);
	b.e.config = "model: {path: models/tiny, revision: step3000}\n"
		     "task: {name: box, boxes: 3}\n"
		     "sweep:\n  - {intervention: patch, positions: all}\n";
	put(&a, constant, RIGHT);
	put(&b, noisy, RIGHT);
	compare_two(&c, &a, &b);
	text = text_of(&c, false, false);
	cr_assert(has_line(text, "  1  step1 ", "  40.0%  95.0%  "), "%s", text);
	cr_assert(has_line(text, "  2  models/tiny  step3000  ", ""), "%s", text);
	cr_assert(has_line(text, "  2  step3000 ", "  L1H3 +1.08 ["), "%s", text);
	free(text);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

/* Every effect is noise but for a strong one: resamples have more of it than the sample. */
static double mostly_noise(size_t pair, size_t cell)
{
	return 0.2 * fixture_noise(12, pair, cell) + (cell == 3 ? 2 : 0);
}

Test(compare, text_says_where_noise_adds_up)
{
	struct pb_comparison c;
	struct fixture a, b;
	struct pb_estimate gini;
	char *text;

	model(&a, 20, 48);
	model(&b, 20, 48);
	put(&a, mostly_noise, NOT_RIGHT);
	put(&b, constant, NOT_RIGHT);
	compare_two(&c, &a, &b);
	gini = c.files[0].spread[0].measures[PB_MEASURE_GINI];
	cr_assert(gini.value > gini.high, "%g is not above %g", gini.value, gini.high);
	text = text_of(&c, false, false);
	cr_assert(strstr(text, "much of the sum is noise") != NULL, "%s", text);
	free(text);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

/* ---- refusals ---------------------------------------------------------------------------- */

/* Comparing a with what is put at b fails. */
static void refused(struct fixture *a, const char *path, const char *sweep, enum pb_status status,
		    const char *message)
{
	char other[256], *paths[2] = {a->output, other};
	struct pb_compare_options options = options_of(paths, 2);
	struct pb_comparison c;

	snprintf(other, sizeof other, "%s", path);
	options.sweep = sweep;
	FAILS(a, pb_compare(&c, &options, &a->err), status, message);
	pb_comparison_free(&c);
}

Test(compare, other_tasks_are_refused_unless_asked_for)
{
	struct fixture a, b;
	char *paths[2] = {a.output, b.output};
	struct pb_compare_options options = options_of(paths, 2);
	struct pb_comparison c;

	model(&a, 4, 3);
	model(&b, 4, 3);
	b.e.pairs_sha256 = "cccc";
	for (size_t i = 0; i < 4; i++)
		b.pairs.items[i].clean_text = "another prompt";
	b.e.config = "model: {path: models/tiny}\ntask:\n  name: box\n  boxes: 5\n"
		     "sweep:\n  - {intervention: patch, positions: all}\n";
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	refused(&a, b.output, NULL, PB_ERR_INPUT, ": task.boxes: 3\n");
	refused(&a, b.output, NULL, PB_ERR_INPUT, ": task.boxes: 5");
	refused(&a, b.output, NULL, PB_ERR_INPUT, "--any-task");
	options.any_task = true;
	OK(&a, pb_compare(&c, &options, &a.err));
	cr_assert(!c.same_task);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

/* Texts alone, tokens alone or the options alone make the same task. */
Test(compare, what_makes_tasks_the_same)
{
	static const char *const configs[3] = {
	    "model: {path: m}\npairs: a.jsonl\nsweep:\n  - {intervention: patch, positions: all}\n",
	    "model: {path: m}\npairs: b.jsonl\nsweep:\n  - {intervention: patch, positions: all}\n",
	    "model: {path: m}\ntask: {name: box, boxes: 3}\nsweep:\n  - {intervention: patch, "
	    "positions: all}\n"};
	struct pb_comparison c;
	struct fixture a, b, d;

	model(&a, 4, 3);
	model(&b, 4, 3);
	model(&d, 4, 3);
	b.e.pairs_sha256 = d.e.pairs_sha256 = "cccc"; /* another tokenizer */
	a.e.config = configs[0];
	b.e.config = configs[1];
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	compare_two(&c, &a, &b);
	cr_assert(c.same_task);
	pb_comparison_free(&c);
	for (size_t i = 0; i < 4; i++)
		d.pairs.items[i].answer_text = " C";
	d.e.config = configs[0];
	put(&d, constant, RIGHT);
	refused(&a, d.output, NULL, PB_ERR_INPUT, "their pairs are others");
	fixture_free(&d);
	/* The options of a task are the task, whatever names the tokenizer leaves it. */
	OK(&b, pb_output_remove(&b.e, &b.err));
	a.e.config = b.e.config = configs[2];
	for (size_t i = 0; i < 4; i++)
		b.pairs.items[i].answer_text = " B";
	OK(&a, pb_output_remove(&a.e, &a.err));
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	compare_two(&c, &a, &b);
	cr_assert(c.same_task);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

/* Without texts the tokens alone tell pairs apart. */
Test(compare, pairs_of_token_ids)
{
	struct pb_comparison c;
	struct fixture a, b, d;

	model(&a, 4, 3);
	model(&b, 4, 3);
	model(&d, 4, 3);
	for (size_t i = 0; i < 4; i++)
		a.pairs.items[i].answer_text = b.pairs.items[i].answer_text =
		    d.pairs.items[i].answer_text = "";
	a.e.config = "pairs: a.jsonl\n";
	b.e.config = d.e.config = "pairs: b.jsonl\n";
	d.e.pairs_sha256 = "cccc";
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	put(&d, constant, RIGHT);
	compare_two(&c, &a, &b);
	cr_assert(c.same_task);
	cr_assert_str_eq(c.files[0].texts[PB_COMPARE_MODEL], "data/boxbench"); /* model_path */
	cr_assert_str_eq(c.files[0].texts[PB_COMPARE_REVISION], "");
	pb_comparison_free(&c);
	refused(&a, d.output, NULL, PB_ERR_INPUT, ": pairs: b.jsonl");
	fixture_free(&a);
	fixture_free(&b);
	fixture_free(&d);
}

Test(compare, other_sweeps_are_refused)
{
	struct fixture a, b;

	model(&a, 4, 3);
	model(&b, 4, 3);
	b.sweeps[0].site = PB_SITE_V;
	b.sweeps[1].site = PB_SITE_Q;
	fixture_grids(&b, 0, 2);
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	refused(&a, b.output, NULL, PB_ERR_INPUT, "has no patch_z_denoise_all, which ");
	refused(&a, b.output, NULL, PB_ERR_INPUT,
		"it has 0_patch_v_denoise_all, 1_patch_q_noise_last");
	refused(&a, b.output, "1", PB_ERR_INPUT, "has no patch_z_noise_last");
	refused(&a, b.output, "7", PB_ERR_INPUT, "no such sweep");
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, a_sweep_of_other_settings_is_refused_and_the_right_one_is_found)
{
	struct pb_comparison c;
	struct fixture a, b;

	model(&a, 4, 3);
	model(&b, 4, 3);
	b.sweeps[1] = b.sweeps[0];
	fixture_grids(&b, 0, 2);
	b.e.config = "model: {path: m}\ntask: {name: box, boxes: 3}\n"
		     "sweep:\n  - {intervention: patch, positions: all, min_gap: 2}\n"
		     "  - {intervention: patch, positions: all}\n";
	put(&a, constant, RIGHT);
	put(&b, noisy, RIGHT);
	compare_two(&c, &a, &b);
	pb_comparison_free(&c);
	OK(&b, pb_output_remove(&b.e, &b.err));
	b.e.n_sweeps = 1;
	put(&b, noisy, RIGHT);
	refused(&a, b.output, NULL, PB_ERR_INPUT, ": sweep.min_gap: 2");
	fixture_free(&a);
	fixture_free(&b);
}

/* A vector is of one model's space: its file is no setting that models share. */
Test(compare, vectors_may_be_other_files)
{
	struct pb_comparison c;
	struct fixture a, b;

	model(&a, 4, 3);
	model(&b, 4, 3);
	a.e.config = "task: {name: box}\nsweep:\n  - {intervention: add, vector: a.npy}\n";
	b.e.config = "task: {name: box}\nsweep:\n  - {intervention: add, vector: b.npy}\n";
	put(&a, constant, RIGHT);
	put(&b, noisy, RIGHT);
	compare_two(&c, &a, &b);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, cells_that_are_no_heads_and_parts_of_them_are_refused)
{
	static const int32_t layers[] = {1};
	struct fixture a, b;

	model(&a, 4, 3);
	model(&b, 4, 3);
	a.sweeps[1].positions = b.sweeps[1].positions = PB_POSITIONS_EACH;
	a.sweeps[0].n_layers = b.sweeps[0].n_layers = 1;
	a.sweeps[0].layers = b.sweeps[0].layers = layers;
	fixture_grids(&a, 0, 2);
	fixture_grids(&b, 0, 2);
	put(&a, NULL, RIGHT);
	put(&b, NULL, RIGHT);
	refused(&a, b.output, NULL, PB_ERR_INPUT, "a part of the layers or heads");
	refused(&a, b.output, "1_patch_z_noise_each", PB_ERR_INPUT,
		"its cells are not layers, nor heads of layers");
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, one_result_twice_is_refused)
{
	struct fixture a;
	char other[160], *command;

	model(&a, 4, 3);
	put(&a, constant, RIGHT);
	refused(&a, a.output, NULL, PB_ERR_INPUT, "the same result twice");
	snprintf(other, sizeof other, "%s/link.h5", a.folder);
	cr_assert_eq(symlink(a.output, other), 0);
	refused(&a, other, NULL, PB_ERR_INPUT, "the same result twice");
	snprintf(other, sizeof other, "%s/copy.h5", a.folder);
	command = pb_format("cp '%s' '%s'", a.output, other);
	cr_assert_eq(system(command), 0);
	free(command);
	refused(&a, other, NULL, PB_ERR_INPUT, "the same result twice");
	fixture_free(&a);
}

/* Replace the first value of a float64 dataset. */
static void spoil(struct fixture *f, const char *path)
{
	struct pb_h5_shape shape;
	hid_t file, dataset;
	double *values;

	OK(f, pb_h5_file_open(&file, f->output, true, PB_ERR_IO, &f->err));
	dataset = H5Dopen2(file, path, H5P_DEFAULT);
	OK(f, pb_h5_shape(dataset, path, &shape, &f->err));
	values = calloc(shape.count, sizeof *values);
	cr_assert(values != NULL);
	cr_assert(H5Dread(dataset, shape.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	values[0] = 77;
	cr_assert(H5Dwrite(dataset, shape.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	free(values);
	pb_h5_drop(dataset);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
}

static void drop_attribute(struct fixture *f, const char *name)
{
	hid_t file;

	OK(f, pb_h5_file_open(&file, f->output, true, PB_ERR_IO, &f->err));
	cr_assert(H5Adelete(file, name) >= 0);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
}

Test(compare, comparisons_are_verified)
{
	struct pb_comparison c;
	struct fixture a, b;
	char *text;

	model(&a, 4, 3);
	model(&b, 4, 3);
	put(&a, constant, RIGHT);
	put(&b, noisy, RIGHT);
	compare_two(&c, &a, &b);
	snprintf(a.output, sizeof a.output, "%s/compared.h5", a.folder);
	OK(&a, pb_compare_write(&c, a.output, "", &a.err));
	text = verify_text(&a, PB_OK);
	cr_assert(strstr(text, "ok     /comparison/gini_ci_low_right: checksum right") != NULL,
		  "%s", text);
	free(text);
	spoil(&a, "comparison/gini");
	text = verify_text(&a, PB_ERR_CHECK);
	cr_assert(strstr(text, "WRONG  /comparison/gini: ") != NULL, "%s", text);
	free(text);
	OK(&a, pb_compare_write(&c, a.output, "", &a.err));
	drop_attribute(&a, "command");
	text = verify_text(&a, PB_ERR_CHECK);
	cr_assert(strstr(text, "WRONG  attributes: ") != NULL, "%s", text);
	free(text);
	drop_attribute(&a, "complete");
	text = verify_text(&a, PB_ERR_CHECK);
	cr_assert(strstr(text, "not complete") != NULL, "%s", text);
	free(text);
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, damaged_and_incomplete_files_are_refused)
{
	struct fixture a, b;

	model(&a, 4, 3);
	model(&b, 4, 3);
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	spoil(&b, "sweeps/0_patch_z_denoise_all/summary/effect");
	refused(&a, b.output, NULL, PB_ERR_CHECK, "is not that of its values");
	drop_attribute(&b, "complete");
	refused(&a, b.output, NULL, PB_ERR_CHECK, "not complete");
	refused(&a, "/nowhere/x.h5", NULL, PB_ERR_INPUT, "/nowhere/x.h5");
	refused(&a, __FILE__, NULL, PB_ERR_INPUT, "");
	fixture_free(&a);
	fixture_free(&b);
}

Test(compare, distractors_have_no_restoration)
{
	struct fixture a, b;
	char *paths[2] = {a.output, b.output};
	struct pb_compare_options options = options_of(paths, 2);
	struct pb_comparison c;

	model(&a, 4, 3);
	model(&b, 4, 3);
	a.pairs.items[2].extra = "{\"corrupt\": \"distractor\"}";
	put(&a, constant, RIGHT);
	put(&b, constant, RIGHT);
	options.by = PB_BY_RESTORATION;
	FAILS(&a, pb_compare(&c, &options, &a.err), PB_ERR_INPUT, "1 are distractors");
	pb_comparison_free(&c);
	fixture_free(&a);
	fixture_free(&b);
}
