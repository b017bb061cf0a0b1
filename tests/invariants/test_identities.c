/* What must hold of every model and needs variants that no config can name: on every small model of
 * tests/golden and on the bundled one. What the binary can show is in test_identities.py. */
#include <glob.h>

#include "support/sweep_setup.h"

/* ---- every model ------------------------------------------------------------------------------
 */

static void on_every_model(void (*check)(struct setup *s, const char *name))
{
	static const char *const patterns[] = {"tests/golden/engine/*/config.json",
					       "tests/golden/sweeps/*/config.json",
					       "data/boxbench/config.json"};
	size_t n = 0;

	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		glob_t found = {0};

		cr_assert_eq(glob(patterns[i], 0, NULL, &found), 0, "%s: not found", patterns[i]);
		for (size_t k = 0; k < found.gl_pathc; k++, n++) {
			struct pb_model *model;
			struct setup s;

			*strrchr(found.gl_pathv[k], '/') = '\0';
			MUST(pb_model_open(&model, found.gl_pathv[k], err));
			set_up_model(&s, model, true, 1);
			check(&s, found.gl_pathv[k]);
			tear_down(&s);
		}
		globfree(&found);
	}
	cr_expect_geq(n, 16);
}

/* The largest difference between the base runs of a pair. */
static double largest_gap(const struct setup *s)
{
	double largest = 0.0;

	for (size_t p = 0; p < s->pairs.n; p++)
		largest = fmax(largest, fabs(pb_base_logit_diff(&s->run, p, 0) -
					     pb_base_logit_diff(&s->run, p, 1)));
	return largest;
}

/* ---- variants made by hand ---------------------------------------------------------------------
 */

/* Sites of layers first .. last, patched together from the donor. */
struct part {
	size_t first, last;
	enum pb_site site;
};

static size_t n_indices(const struct pb_arch *a, enum pb_site site)
{
	return pb_site_indices[site] == PB_INDEX_HEAD      ? a->n_heads
	       : pb_site_indices[site] == PB_INDEX_KV_HEAD ? a->n_kv_heads
							   : 0;
}

static int by_computation(const void *a, const void *b)
{
	const struct pb_injection *x = a, *y = b;

	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	return x->site != y->site ? x->site - y->site : x->index - y->index;
}

/* The injections of all parts, in order of computation. */
static size_t injections_of(const struct pb_arch *a, const struct part *parts, size_t n_parts,
			    struct pb_injection *to)
{
	size_t n = 0;

	for (size_t i = 0; i < n_parts; i++)
		for (size_t l = parts[i].first; l <= parts[i].last; l++) {
			size_t heads = n_indices(a, parts[i].site);

			for (size_t h = 0; h < (heads ? heads : 1); h++)
				to[n++] = (struct pb_injection){.layer = (int16_t)l,
								.site = (int16_t)parts[i].site,
								.index = heads ? (int32_t)h : -1};
		}
	qsort(to, n, sizeof *to, by_computation);
	return n;
}

/* LD of every pair with these sites patched together, at all positions or at the last one. */
static void patch_together(struct setup *s, const struct part *parts, size_t n_parts,
			   enum pb_positions positions, enum pb_direction direction, double *ld)
{
	const struct pb_sweep sweep = {
	    .site = parts[0].site, .positions = positions, .direction = direction, .by_sets = true};
	const struct pb_grid grid = {.n_cells = 1};
	struct pb_sweep_work work = {.sweep = &sweep,
				     .grid = &grid,
				     .arch = &s->e.arch,
				     .run = &s->run,
				     .pairs = s->run.pairs,
				     .all = &s->pairs,
				     .recipient = direction == PB_DENOISE ? 1 : 0,
				     .donor = direction == PB_DENOISE ? 0 : 1};
	struct pb_wave_sizes sizes = {
	    .rows_most = 1000, .variants_most = 10, .longest = s->pairs.max_length};
	struct pb_variant variants[10];
	struct pb_run runs[10];
	struct pb_injection injections[400];
	struct pb_variants list = {
	    .v = variants, .runs = runs, .injections = injections, .n = s->pairs.n};
	struct pb_wave_memory memory;
	struct pb_wave_result result;

	list.n_injections = injections_of(&s->e.arch, parts, n_parts, injections);
	for (size_t p = 0; p < s->pairs.n; p++) {
		int32_t length = (int32_t)s->pairs.items[p].length;
		int32_t first = positions == PB_POSITIONS_LAST ? length - 1 : 0;

		runs[p] = (struct pb_run){first, length - first, 0};
		variants[p] = (struct pb_variant){.pair = (int32_t)p,
						  .layer = injections[0].layer,
						  .site = injections[0].site,
						  .index = -1,
						  .first = first,
						  .key = -1,
						  .source = (int32_t)(2 * p) + work.donor,
						  .sender = -1,
						  .alpha = 1.0f,
						  .run = (uint32_t)p,
						  .n_runs = 1,
						  .n_injections = (uint32_t)list.n_injections};
	}
	MUST(pb_wave_memory_new(&memory, &s->e, &sizes, err));
	MUST(pb_wave_run(&s->e, &memory, &work, &list, 0, list.n, 0, s->e.arch.n_vocab, &result,
			 err));
	for (size_t p = 0; p < s->pairs.n; p++)
		ld[p] = pb_base_logit_diff(&s->run, p, work.recipient) +
			result.change[result.at[p]] - result.change[result.at[p] + 1];
	pb_wave_result_free(&result);
	pb_wave_memory_free(&memory, &s->e);
}

static void must_be_donor(struct setup *s, const char *name, const char *what, size_t layer,
			  const struct part *parts, size_t n_parts, enum pb_positions positions)
{
	double ld[10] = {0}, tolerance = 1e-4 * largest_gap(s);

	for (int d = 0; d < PB_N_DIRECTIONS; d++) {
		int donor = d == PB_DENOISE ? 0 : 1;

		patch_together(s, parts, n_parts, positions, (enum pb_direction)d, ld);
		for (size_t p = 0; p < s->pairs.n; p++) {
			double off = fabs(ld[p] - pb_base_logit_diff(&s->run, p, donor));

			cr_expect(off <= tolerance, "%s: %s, layer %zu, %s, pair %zu: off by %g",
				  name, what, layer, pb_direction_names[d], p, off);
		}
	}
}

/* What a layer adds is patched with what it adds to: the donor goes on from there. Values that were
 * added where they should replace would count twice. */
static void check_continuation(struct setup *s, const char *name)
{
	size_t last = s->e.arch.n_layers - 1;

	for (size_t l = 0; l <= last; l++) {
		const struct part one[] = {
		    {l, l, PB_SITE_RESID_PRE}, {l, l, PB_SITE_Z}, {l, l, PB_SITE_MLP_OUT}};
		const struct part other[] = {
		    {l, l, PB_SITE_RESID_PRE}, {l, l, PB_SITE_ATTN_OUT}, {l, l, PB_SITE_MLP_POST}};
		/* at the answer position alone: what attention brings there must be the donor's
		 * in every layer that is left */
		const struct part rest[] = {
		    {l, l, PB_SITE_RESID_PRE}, {l, last, PB_SITE_Z}, {l, last, PB_SITE_MLP_OUT}};

		must_be_donor(s, name, "resid_pre, z and mlp_out", l, one, 3, PB_POSITIONS_ALL);
		must_be_donor(s, name, "resid_pre, attn_out and mlp_post", l, other, 3,
			      PB_POSITIONS_ALL);
		must_be_donor(s, name, "resid_pre, then every z and mlp_out", l, rest, 3,
			      PB_POSITIONS_LAST);
	}
	{
		const struct part all[] = {
		    {0, 0, PB_SITE_EMBED}, {0, last, PB_SITE_Z}, {0, last, PB_SITE_MLP_OUT}};

		must_be_donor(s, name, "everything", 0, all, 3, PB_POSITIONS_LAST);
		must_be_donor(s, name, "everything", 0, all, 3, PB_POSITIONS_ALL);
	}
}

Test(identities, a_layer_and_its_input_give_the_donor)
{
	on_every_model(check_continuation);
}

/* z is made of q, k and v alone: all of them patched is z patched. A replaced factor meets the
 * variant's own other ones. */
static void check_factors(struct setup *s, const char *name)
{
	for (size_t l = 0; l < s->e.arch.n_layers; l++) {
		const struct part z[] = {{l, l, PB_SITE_Z}};
		const struct part factors[][3] = {
		    {{l, l, PB_SITE_Q}, {l, l, PB_SITE_K}, {l, l, PB_SITE_V}},
		    {{l, l, PB_SITE_Q_ROT}, {l, l, PB_SITE_K_ROT}, {l, l, PB_SITE_V}},
		    {{l, l, PB_SITE_PATTERN}, {l, l, PB_SITE_V}}};
		double want[10] = {0}, got[10] = {0}, tolerance = 1e-4 * largest_gap(s);

		patch_together(s, z, 1, PB_POSITIONS_ALL, PB_NOISE, want);
		for (size_t i = 0; i < 3; i++) {
			patch_together(s, factors[i], i == 2 ? 2 : 3, PB_POSITIONS_ALL, PB_NOISE,
				       got);
			for (size_t p = 0; p < s->pairs.n; p++)
				cr_expect(fabs(got[p] - want[p]) <= tolerance,
					  "%s: factors %zu of z, layer %zu, pair %zu: off by %g",
					  name, i, l, p, fabs(got[p] - want[p]));
		}
	}
}

Test(identities, the_factors_of_z_are_z)
{
	on_every_model(check_factors);
}

/* ---- sweeps ------------------------------------------------------------------------------------
 */

/* The recipient as its own donor, with every row and every zero delta carried through. */
static void check_own_donor(struct setup *s, const char *name)
{
	for (int site = 0; site < PB_N_SITES; site++)
		for (int i = 0; i < 2; i++) {
			const struct pb_sweep w = {.site = (enum pb_site)site,
						   .positions =
						       i ? PB_POSITIONS_EACH : PB_POSITIONS_ALL,
						   .direction = (enum pb_direction)(site % 2)};
			struct at_work a;
			double *ld;

			if (site == PB_SITE_MLP_PRE ||
			    (s->e.arch.parallel && site == PB_SITE_RESID_MID))
				continue;
			start(&a, s, &w);
			a.work.donor = a.work.recipient;
			a.work.no_shortcut = true;
			ld = sweep(s, &a, 100000, 100000);
			for (size_t k = 0; k < s->pairs.n * a.grid.n_cells; k++) {
				double base = pb_base_logit_diff(&s->run, k / a.grid.n_cells,
								 a.work.recipient);

				cr_expect(isnan(ld[k]) || ld[k] == base,
					  "%s: %s %s: cell %zu: off by %g", name,
					  pb_site_names[site], pb_positions_names[w.positions], k,
					  ld[k] - base);
			}
			free(ld);
			finish(&a, s);
		}
}

Test(identities, patching_from_oneself_changes_nothing)
{
	on_every_model(check_own_donor);
}

/* What a set writes in a later layer replaces what came there from an earlier one: the plain
 * forward knows no deltas at all. */
static void check_sets(struct setup *s, const char *name)
{
	static const struct pb_member early[] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
	static const struct pb_member mixed[] = {{0, 1}, {0, -1}, {1, 1}, {1, -1}};
	static const struct pb_set sets[] = {{"early", 4, early, PB_SET_NAMED},
					     {"mixed", 4, mixed, PB_SET_NAMED}};
	static const enum pb_intervention interventions[] = {PB_PATCH, PB_ZERO, PB_SCALE,
							     PB_CONTROL};
	static const enum pb_site sites[] = {PB_SITE_Z, PB_SITE_K, PB_SITE_PATTERN};
	static const double half = 0.5;

	(void)name;
	for (size_t i = 0; i < sizeof sites / sizeof *sites; i++)
		for (size_t k = 0; k < sizeof interventions / sizeof *interventions; k++) {
			struct pb_sweep w = {.intervention = interventions[k],
					     .site = sites[i],
					     .direction = (enum pb_direction)(k % 2),
					     .n_alphas = interventions[k] == PB_SCALE,
					     .alphas = &half,
					     .by_sets = true,
					     .n_sets = 2,
					     .sets = sets};

			if (sites[i] != PB_SITE_PATTERN || interventions[k] != PB_CONTROL)
				check_sweep(s, &w);
		}
}

Test(identities, sets_are_plain_forwards)
{
	on_every_model(check_sets);
}
