/* Summaries of sweeps by sets with numbers worked out by hand: accuracy, random sets, circuits. */
#include <float.h>

#include "results/stats.h"
#include "unit/study.h"

#define PAIRS 4
#define MOST_CELLS 16
#define ABLATION "/sweeps/0_zero_sets_z_noise_all/summary/"

#define PAIRS 4
#define ABLATION "/sweeps/0_zero_sets_z_noise_all/summary/"

static const struct pb_member members[] = {{0, 1}, {2, 3}, {1, -1}};

/* A sweep by sets of four pairs. */
static void sets_new(struct study *s, const struct pb_set *sets, size_t n_sets)
{
	struct pb_sweep *sweep = &s->f.sweeps[0];

	study_new(s, PAIRS, n_sets);
	*sweep = fixture_sweep(PB_ZERO, PB_SITE_Z, PB_NOISE, PB_POSITIONS_ALL);
	sweep->by_sets = true;
	sweep->sets = sets;
	sweep->n_sets = n_sets;
	for (size_t i = 0; i < PAIRS; i++)
		s->corrupted[i] = -3;
}

/* ---- ablation ----------------------------------------------------------------------------- */

static const struct pb_set ablated[] = {
    {"circuit", 2, members, PB_SET_NAMED},   {"mixed", 2, members + 1, PB_SET_NAMED},
    {"top 1", 1, members, PB_SET_TOP},       {"random 0", 2, members, PB_SET_RANDOM},
    {"random 1", 2, members, PB_SET_RANDOM}, {"random 2", 2, members, PB_SET_RANDOM}};
#define N_ABLATED (sizeof ablated / sizeof *ablated)

/* Effects are those of the set in all pairs but for rounding; the recipient is right (rank 0) about
 * pairs 0 and 2. */
static void ablation_new(struct study *s)
{
	static const double effects[N_ABLATED] = {-1, -3, -0.5, 0.5, -1, -0.25};
	static const double clean[PAIRS] = {2, 4, 1, 3};
	static const int32_t clean_rank[PAIRS] = {0, 2, 0, 1};
	static const float ranks[PAIRS][N_ABLATED] = {
	    {0, 1, 0, 0, 1, 0}, {0, 0, 5, 0, 1, 3}, {0, 9, 0, 0, 1, 0}, {1, 1, 7, 0, 1, 2}};

	sets_new(s, ablated, N_ABLATED);
	s->f.sweeps[0].set_sources.random_count = 3;
	s->f.sweeps[0].set_sources.random_size = 2;
	memcpy(s->clean, clean, sizeof clean);
	memcpy(s->clean_rank, clean_rank, sizeof clean_rank);
	for (size_t i = 0; i < PAIRS; i++)
		for (size_t c = 0; c < N_ABLATED; c++) {
			s->values[i][c] = clean[i] + effects[c];
			s->ranks[i][c] = ranks[i][c];
		}
	/* random 1 reaches the circuit's effect but for the last bits, and ties */
	s->values[0][4] += 4 * DBL_EPSILON;
}

Test(study, accuracy_and_the_pairs_that_changed)
{
	struct study s;

	ablation_new(&s);
	study_assemble(&s);
	COLUMN(&s, ABLATION, "accuracy_recipient", 0.5, 0.5, 0.5, 0.5, 0.5, 0.5);
	COLUMN(&s, ABLATION, "accuracy", 0.75, 0.25, 0.5, 1, 0, 0.5);
	COLUMN(&s, ABLATION, "accuracy_change", 0.25, -0.25, 0, 0.5, -0.5, 0);
	/* of pairs 1 and 3, and of pairs 0 and 2 */
	COLUMN(&s, ABLATION, "corrected", 0.5, 0.5, 0, 1, 0, 0);
	COLUMN(&s, ABLATION, "broken", 0, 1, 0, 0, 1, 0);
	COLUMN(&s, ABLATION, "accuracy_n_pairs", 4, 4, 4, 4, 4, 4);
	COLUMN(&s, ABLATION, "accuracy_n_wrong", 2, 2, 2, 2, 2, 2);
	/* 2 of 2, 1 of 2, 0 of 2 by Wilson: with z^2 = 3.8414588.., 2 / (2 + z^2) and so on */
	COLUMN(&s, ABLATION, "broken_ci_low", 0, 0.3423802275066532, 0, 0, 0.3423802275066532, 0);
	COLUMN(&s, ABLATION, "broken_ci_high", 0.6576197724933468, 1, 0.6576197724933468,
	       0.6576197724933468, 1, 0.6576197724933468);
	COLUMN(&s, ABLATION, "corrected_ci_low", 0.09453120573423074, 0.09453120573423074, 0,
	       0.3423802275066532, 0, 0);
	free(verify_text(&s.f, PB_OK));
	fixture_free(&s.f);
}

/* Pairs without a value are in no count; a recipient that is right about all leaves nothing to
 * correct. */
Test(study, accuracy_of_pairs_that_have_the_cell)
{
	struct study s;

	ablation_new(&s);
	memset(s.clean_rank, 0, sizeof s.clean_rank);
	s.values[0][0] = s.values[3][0] = NAN;
	for (size_t i = 0; i < PAIRS; i++)
		s.values[i][1] = NAN;
	study_assemble(&s);
	COLUMN(&s, ABLATION, "accuracy", 1, NAN, 0.5, 1, 0, 0.5);
	COLUMN(&s, ABLATION, "accuracy_n_pairs", 2, 0, 4, 4, 4, 4);
	COLUMN(&s, ABLATION, "accuracy_n_wrong", 0, 0, 0, 0, 0, 0);
	COLUMN(&s, ABLATION, "corrected", NAN, NAN, NAN, NAN, NAN, NAN);
	COLUMN(&s, ABLATION, "broken", 0, NAN, 0.5, 0, 1, 0.5);
	COLUMN(&s, ABLATION, "accuracy_ci_high", 1, NAN, 0.8499610108478504, 1, 0.4898908364545972,
	       0.8499610108478504);
	fixture_free(&s.f);
}

Test(study, sets_among_random_ones_of_their_size)
{
	struct study s;

	ablation_new(&s);
	study_assemble(&s);
	COLUMN(&s, ABLATION, "n_random", 3, 0, 0, 0, 0, 0);
	/* |-1| ties; |0.5| and |-0.25| are smaller */
	COLUMN(&s, ABLATION, "p_random_effect", 0.5, NAN, NAN, NAN, NAN, NAN);
	COLUMN(&s, ABLATION, "random_mean", -0.25, NAN, NAN, NAN, NAN, NAN);
	COLUMN(&s, ABLATION, "random_sd", 0.75, NAN, NAN, NAN, NAN, NAN);
	/* between order statistics: at 0.05 and 1.95 of -1, -0.25, 0.5 */
	COLUMN(&s, ABLATION, "random_low", -0.9625, NAN, NAN, NAN, NAN, NAN);
	COLUMN(&s, ABLATION, "random_high", 0.4625, NAN, NAN, NAN, NAN, NAN);
	/* |0.25| is reached by 0.5 and -0.5, not by 0 */
	COLUMN(&s, ABLATION, "p_random_accuracy", 0.75, NAN, NAN, NAN, NAN, NAN);
	COLUMN(&s, ABLATION, "random_accuracy_change", 0, NAN, NAN, NAN, NAN, NAN);
	cr_assert(!has_dataset(&s.f, ABLATION "p_random_accuracy_right"));
	fixture_free(&s.f);
}

/* Over the right pairs: without pair 3, whose corrupted prompt is answered as the clean one. */
Test(study, right_pairs_have_figures_of_their_own)
{
	struct study s;

	ablation_new(&s);
	s.corrupted[3] = 1;
	s.values[3][0] = 3 - 5;
	study_assemble(&s);
	COLUMN(&s, ABLATION, "p_random_effect", 0.25, NAN, NAN, NAN, NAN, NAN);
	COLUMN(&s, ABLATION, "p_random_effect_right", 0.5, NAN, NAN, NAN, NAN, NAN);
	COLUMN(&s, ABLATION, "remaining", 0.2, -0.2, 0.8, 1.2, 0.6, 0.9);
	COLUMN(&s, ABLATION, "remaining_right", 4. / 7, -2. / 7, 5.5 / 7, 8.5 / 7, 4. / 7,
	       6.25 / 7);
	fixture_free(&s.f);
}

Test(study, without_ranks_there_is_no_accuracy)
{
	struct study s;

	ablation_new(&s);
	s.f.e.metrics = 1u << PB_METRIC_LOGIT_DIFF;
	study_assemble(&s);
	cr_assert(!has_dataset(&s.f, ABLATION "accuracy"));
	cr_assert(!has_dataset(&s.f, ABLATION "p_random_accuracy"));
	cr_assert(has_dataset(&s.f, ABLATION "p_random_effect"));
	cr_assert(!has_dataset(&s.f, ABLATION "faithfulness"));
	fixture_free(&s.f);
}

/* Into the corrupted run: what remains there is nothing the model should do. */
Test(study, nothing_remains_of_a_corrupted_run)
{
	struct study s;

	ablation_new(&s);
	s.f.sweeps[0].direction = PB_DENOISE;
	study_assemble(&s);
	cr_assert(has_dataset(&s.f, "/sweeps/0_zero_sets_z_denoise_all/summary/corrected"));
	cr_assert(!has_dataset(&s.f, "/sweeps/0_zero_sets_z_denoise_all/summary/remaining"));
	fixture_free(&s.f);
}

/* The same bytes in one chunk and in many. */
Test(study, chunks_do_not_change_a_summary)
{
	static const size_t chunk_pairs[] = {PAIRS, 1};
	static const char *const columns[] = {"accuracy", "p_random_effect", "remaining_ci_low",
					      "random_low"};
	double *values[2][4];

	for (size_t i = 0; i < 2; i++) {
		struct study s;

		ablation_new(&s);
		s.values[1][0] = 0.3;
		s.f.e.chunk_pairs = chunk_pairs[i];
		s.f.e.n_chunks = PAIRS / chunk_pairs[i];
		study_assemble(&s);
		for (size_t k = 0; k < 4; k++) {
			char path[128];

			snprintf(path, sizeof path, ABLATION "%s", columns[k]);
			values[i][k] = read_doubles(&s.f, path, N_ABLATED);
		}
		fixture_free(&s.f);
	}
	for (size_t k = 0; k < 4; k++) {
		cr_assert_eq(memcmp(values[0][k], values[1][k], N_ABLATED * sizeof(double)), 0,
			     "%s", columns[k]);
		free(values[0][k]);
		free(values[1][k]);
	}
}

Test(study, named_sets_are_printed_with_all_of_it)
{
	struct study s;
	char *text;

	ablation_new(&s);
	study_assemble(&s);
	text = printed(&s, 2);
	cr_assert(strstr(text, "  named sets, with 95% intervals:\n  circuit ") != NULL, "%s",
		  text);
	cr_assert(strstr(text, "accuracy 0.50 -> 0.75 [0.30, 0.95]; corrected 1 of 2; broken 0 of "
			       "2\n") != NULL,
		  "%s", text);
	cr_assert(strstr(text, "      3 random sets of the size: effect -0.25 (sd 0.75), p 0.5; "
			       "accuracy +0.00, p 0.75\n") != NULL,
		  "%s", text);
	cr_assert(strstr(text, "of the logit difference remains  +0.60 [") != NULL, "%s", text);
	cr_assert(strstr(text, "random 0") == NULL, "%s", text);
	free(text);
	fixture_free(&s.f);
}

/* ---- circuits ----------------------------------------------------------------------------- */

static const struct pb_set circuits[] = {{"half", 2, members, PB_SET_NAMED},
					 {"empty", 0, members, PB_SET_NAMED},
					 {"whole", 1, members, PB_SET_NAMED}};

/* Two alphas: of the second, `half` does a quarter of the model in each pair. */
static void circuit_new(struct study *s)
{
	static const double alphas[] = {0, 0.5}, clean[PAIRS] = {2, 4, 1, 3};
	static const double values[PAIRS][6] = {{1, 0, 2, 0.5, 0, 2},
						{2.5, 1, 4, 1, 0, 4},
						{0, -1, 1, 0.25, 0, 1},
						{3, 0, 3, 0.75, 0, 3}};

	sets_new(s, circuits, 3);
	s->f.sweeps[0].intervention = PB_SCALE;
	s->f.sweeps[0].complement = true;
	s->f.sweeps[0].n_alphas = 2;
	s->f.sweeps[0].alphas = alphas;
	s->n_cells = 6;
	memcpy(s->clean, clean, sizeof clean);
	for (size_t i = 0; i < PAIRS; i++)
		memcpy(s->values[i], values[i], sizeof values[i]);
}

#define CIRCUIT "/sweeps/0_scale_sets_z_noise_all_complement/summary/"

Test(study, faithfulness_is_what_a_set_does_of_the_model)
{
	struct study s;

	circuit_new(&s);
	study_assemble(&s);
	/* (1 + 1.5 + 1 + 3) / (2 + 3 + 2 + 3) */
	COLUMN(&s, CIRCUIT, "faithfulness", 0.65, 0, 1, 0.25, 0, 1);
	COLUMN(&s, CIRCUIT, "faithfulness_right", 0.65, 0, 1, 0.25, 0, 1);
	/* Where all pairs have one ratio so has every resample. */
	for (int end = 0; end < 2; end++) {
		const char *path =
		    end == 0 ? CIRCUIT "faithfulness_ci_low" : CIRCUIT "faithfulness_ci_high";
		double *x = read_doubles(&s.f, path, 6);

		NEAR(x[1], 0);
		NEAR(x[2], 1);
		NEAR(x[3], 0.25);
		/* pair 0 or 1 alone has the least ratio, pair 3 the largest */
		cr_assert(end == 0 ? x[0] >= 0.5 && x[0] < 0.65 : x[0] > 0.65 && x[0] <= 1);
		free(x);
	}
	cr_assert(!has_dataset(&s.f, CIRCUIT "remaining"));
	free(verify_text(&s.f, PB_OK));
	fixture_free(&s.f);
}

Test(study, pairs_that_lack_the_set_or_the_empty_one_are_left_out)
{
	struct study s;

	circuit_new(&s);
	s.values[3][0] = NAN; /* half */
	s.values[1][4] = NAN; /* empty of the second alpha: its whole column */
	study_assemble(&s);
	/* (1 + 1.5 + 1) / (2 + 3 + 2) */
	COLUMN(&s, CIRCUIT, "faithfulness", 0.5, 0, 1, 0.25, 0, 1);
	fixture_free(&s.f);
}

/* A model that does no more than nothing of it has no faithfulness. */
Test(study, a_divisor_below_min_gap_is_not_applicable)
{
	struct study s;

	circuit_new(&s);
	for (size_t i = 0; i < PAIRS; i++)
		s.values[i][1] = s.clean[i] - 0.09;
	study_assemble(&s);
	COLUMN(&s, CIRCUIT, "faithfulness", NAN, NAN, NAN, 0.25, 0, 1);
	COLUMN(&s, CIRCUIT, "faithfulness_ci_low", NAN, NAN, NAN, 0.25, 0, 1);
	fixture_free(&s.f);
}

Test(study, without_an_empty_set_there_is_no_faithfulness)
{
	struct study s;
	struct pb_set two[3];

	circuit_new(&s);
	memcpy(two, circuits, sizeof two);
	two[1] = two[2];
	s.f.sweeps[0].sets = two;
	study_assemble(&s);
	cr_assert(!has_dataset(&s.f, CIRCUIT "faithfulness"));
	cr_assert(!has_dataset(&s.f, CIRCUIT "remaining"));
	fixture_free(&s.f);
}

/* ---- ratios and shares -------------------------------------------------------------------- */

/* By plain sums over what the plan has drawn. */
Test(study, intervals_of_ratios_are_percentiles_of_the_resamples)
{
	enum { N = 9, CELLS = 11, VALUES = N * CELLS };
	static double above[VALUES], below[VALUES];
	double ratio[CELLS], low[CELLS], high[CELLS], *sample = calloc(1000, sizeof *sample);
	struct pb_stats_plan plan;
	struct pb_error err = {0};

	cr_assert(sample != NULL);
	for (size_t i = 0; i < VALUES; i++) {
		above[i] = fixture_noise(1, i, 0);
		below[i] = 2 + fixture_noise(2, i, 0);
	}
	above[3 * CELLS + 5] = NAN;
	below[4 * CELLS + 5] = NAN;
	cr_assert_eq(pb_stats_plan_new(&plan, N, 7, &err), PB_OK);
	cr_assert_eq(pb_stats_ratio(&plan, CELLS, above, below, 0.1, ratio, low, high, &err),
		     PB_OK);
	for (size_t c = 0; c < CELLS; c++) {
		double a = 0, b = 0;

		for (size_t r = 0; r <= 1000; r++) {
			a = b = 0;
			for (size_t i = 0; i < N; i++) {
				const double times = r < 1000 ? plan.drawn[r * N + i] : 1;

				if (c == 5 && (i == 3 || i == 4))
					continue;
				a += times * above[i * CELLS + c];
				b += times * below[i * CELLS + c];
			}
			if (r < 1000)
				sample[r] = a / b;
		}
		NEAR(ratio[c], a / b);
		NEAR(low[c], pb_quantile(sample, 1000, 0.025));
		NEAR(high[c], pb_quantile(sample, 1000, 0.975));
	}
	pb_stats_plan_free(&plan);
	free(sample);
}

Test(study, ratios_of_nothing_and_of_one_pair)
{
	static const double above[] = {1, NAN, 2, 3}, below[] = {0.05, NAN, NAN, 2};
	double ratio[2], low[2], high[2];
	struct pb_stats_plan plan;
	struct pb_error err = {0};

	/* cells: (1, 2) over (0.05, NaN) and (NaN, 3) over (NaN, 2) */
	cr_assert_eq(pb_stats_plan_new(&plan, 2, 7, &err), PB_OK);
	cr_assert_eq(pb_stats_ratio(&plan, 2, above, below, 0.1, ratio, low, high, &err), PB_OK);
	cr_assert(isnan(ratio[0]) && isnan(low[0]) && isnan(high[0]));
	NEAR(ratio[1], 1.5);
	cr_assert(isnan(low[1]) && isnan(high[1]));
	cr_assert_eq(pb_stats_ratio(&plan, 2, above, below, 0.05, ratio, low, high, &err), PB_OK);
	NEAR(ratio[0], 20);
	pb_stats_plan_free(&plan);
	cr_assert_eq(pb_stats_plan_new(&plan, 0, 7, &err), PB_OK);
	cr_assert_eq(pb_stats_ratio(&plan, 1, above, below, 0.1, ratio, low, high, &err), PB_OK);
	cr_assert(isnan(ratio[0]));
	pb_stats_plan_free(&plan);
}

/* Worked out from the formula in Python. */
Test(study, wilson_intervals)
{
	double low, high;

	pb_wilson(5, 10, &low, &high);
	NEAR(low, 0.23659309051256405);
	NEAR(high, 0.763406909487436);
	pb_wilson(0, 10, &low, &high);
	cr_assert_eq(low, 0);
	NEAR(high, 0.27753279986288915);
	pb_wilson(100, 100, &low, &high);
	cr_assert_eq(high, 1);
	NEAR(low, 0.9630065017930143);
	pb_wilson(0, 0, &low, &high);
	cr_assert(isnan(low) && isnan(high));
}
