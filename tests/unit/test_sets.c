/* Sets of heads and MLPs: what is drawn, ranked and paired, and complements. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sets.h"
#include "patchbay/results.h"

/* ---- what a result file ranks ------------------------------------------------------------- */

/* Sets ask a result file for its ranking; here it is what a test says. */
static struct pb_ranked_cell ranked[8];
static size_t n_ranked;
static const char *asked_path, *asked_sweep;
static int n_freed;

enum pb_status pb_result_rank(struct pb_ranking *out, const char *path, const char *sweep,
			      size_t n_most, bool over_right, struct pb_error *err)
{
	asked_path = path;
	asked_sweep = sweep;
	cr_assert_eq(n_most, 0);
	cr_assert_not(over_right);
	*out = (struct pb_ranking){0};
	if (strcmp(path, "missing.h5") == 0)
		return pb_fail(err, PB_ERR_INPUT, "cannot open file: missing.h5");
	out->sweep = strdup("0_patch_z");
	out->n = out->n_cells = n_ranked;
	out->cells = malloc(sizeof ranked);
	memcpy(out->cells, ranked, sizeof ranked);
	return PB_OK;
}

void pb_ranking_free(struct pb_ranking *ranking)
{
	n_freed++;
	free(ranking->sweep);
	free(ranking->cells);
	*ranking = (struct pb_ranking){0};
}

static void rank(int32_t layer, int32_t head)
{
	struct pb_ranked_cell *cell = &ranked[n_ranked++];

	*cell = (struct pb_ranked_cell){.layer = layer, .head = head};
	(void)snprintf(cell->label, sizeof cell->label, "L%dH%d", (int)layer, (int)head);
}

/* ---- helpers ------------------------------------------------------------------------------ */

static const struct pb_arch arch = {.n_layers = 3, .n_heads = 4, .n_kv_heads = 2};
static struct pb_arena arena;

static void clean_up(void)
{
	pb_arena_free(&arena);
}

TestSuite(sets, .fini = clean_up);

/* "L0H1 M2" */
static const char *text_of(const struct pb_member *members, size_t n)
{
	static char text[1024];
	size_t used = 0;

	text[0] = '\0';
	for (size_t m = 0; m < n; m++)
		used += (size_t)(members[m].head < 0
				     ? snprintf(text + used, sizeof text - used, "%sM%d",
						m == 0 ? "" : " ", (int)members[m].layer)
				     : snprintf(text + used, sizeof text - used, "%sL%dH%d",
						m == 0 ? "" : " ", (int)members[m].layer,
						(int)members[m].head));
	return text;
}

static void check_set(const struct pb_sweep *sweep, size_t s, const char *name, const char *members)
{
	cr_assert_lt(s, sweep->n_sets);
	cr_assert_str_eq(sweep->sets[s].name, name);
	cr_assert_str_eq(text_of(sweep->sets[s].members, sweep->sets[s].n), members, "%s has %s",
			 name, text_of(sweep->sets[s].members, sweep->sets[s].n));
}

static void resolve(struct pb_sweep *sweep)
{
	struct pb_error err = {0};

	cr_assert_eq(pb_sweep_resolve(sweep, &arch, &arena, &err), PB_OK, "%s", err.message);
}

static void refuse(struct pb_sweep sweep, const char *words)
{
	struct pb_error err = {0};

	cr_assert_eq(pb_sweep_resolve(&sweep, &arch, &arena, &err), PB_ERR_INPUT);
	cr_expect_not_null(strstr(err.message, words), "no '%s' in: %s", words, err.message);
	cr_expect_not_null(strstr(err.message, "sweep.sets"), "%s", err.message);
}

static const struct pb_member circuit_members[] = {{0, 1}, {2, 3}, {2, 0}, {1, -1}};
static const struct pb_member other_members[] = {{0, 0}};
static const struct pb_set named[] = {{"circuit", 4, circuit_members, PB_SET_NAMED},
				      {"other", 1, other_members, PB_SET_NAMED}};

static struct pb_sweep sweep_of(const struct pb_set *sets, size_t n, struct pb_set_sources sources)
{
	return (struct pb_sweep){
	    .site = PB_SITE_Z, .by_sets = true, .n_sets = n, .sets = sets, .set_sources = sources};
}

/* ---- resolving ---------------------------------------------------------------------------- */

Test(sets, without_sets_nothing_is_done)
{
	struct pb_sweep sweep = {.site = PB_SITE_Z};

	resolve(&sweep);
	cr_assert_eq(sweep.n_sets, 0);
	cr_assert_null(sweep.sets);
}

Test(sets, all_sources_in_their_order)
{
	struct pb_sweep sweep = sweep_of(named, 2,
					 (struct pb_set_sources){.top_path = "f.h5",
								 .top_sweep = "1",
								 .top = 2,
								 .random_size = 3,
								 .random_count = 2,
								 .all_pairs = true});

	rank(2, 2);
	rank(0, 3);
	resolve(&sweep);
	cr_assert_str_eq(asked_path, "f.h5");
	cr_assert_str_eq(asked_sweep, "1");
	cr_assert_eq(sweep.n_sets, 2 + 2 + 2 + 12 + 66);
	check_set(&sweep, 0, "circuit", "L0H1 L2H3 L2H0 M1");
	check_set(&sweep, 1, "other", "L0H0");
	check_set(&sweep, 2, "top 1", "L2H2");
	check_set(&sweep, 3, "top 2", "L2H2 L0H3");
	cr_assert_str_eq(sweep.sets[4].name, "random 0");
	cr_assert_str_eq(sweep.sets[5].name, "random 1");
	check_set(&sweep, 6, "L0H0", "L0H0");
	check_set(&sweep, 17, "L2H3", "L2H3");
	check_set(&sweep, 18, "L0H0+L0H1", "L0H0 L0H1");
	check_set(&sweep, 28, "L0H0+L2H3", "L0H0 L2H3");
	check_set(&sweep, 29, "L0H1+L0H2", "L0H1 L0H2");
	check_set(&sweep, 83, "L2H2+L2H3", "L2H2 L2H3");
}

/* Heads of k, v and k_rot are KV heads. */
Test(sets, pairs_of_kv_heads)
{
	static const enum pb_site sites[] = {PB_SITE_K, PB_SITE_V, PB_SITE_K_ROT};

	for (size_t i = 0; i < 3; i++) {
		struct pb_sweep sweep =
		    sweep_of(NULL, 0, (struct pb_set_sources){.all_pairs = true});

		sweep.site = sites[i];
		resolve(&sweep);
		cr_assert_eq(sweep.n_sets, 6 + 15);
		check_set(&sweep, 5, "L2H1", "L2H1");
		check_set(&sweep, 20, "L2H0+L2H1", "L2H0 L2H1");
	}
}

Test(sets, one_head_alone_has_no_pairs)
{
	const struct pb_arch one = {.n_layers = 1, .n_heads = 1, .n_kv_heads = 1};
	struct pb_sweep sweep = sweep_of(NULL, 0, (struct pb_set_sources){.all_pairs = true});
	struct pb_error err = {0};

	cr_assert_eq(pb_sweep_resolve(&sweep, &one, &arena, &err), PB_OK);
	cr_assert_eq(sweep.n_sets, 1);
}

/* ---- top ---------------------------------------------------------------------------------- */

Test(sets, a_head_counts_once_by_its_strongest_position)
{
	struct pb_sweep sweep =
	    sweep_of(NULL, 0, (struct pb_set_sources){.top_path = "f.h5", .top = 3});

	rank(1, 1);
	rank(1, 1);
	rank(0, 2);
	rank(1, 1);
	rank(2, 2);
	resolve(&sweep);
	cr_assert_null(asked_sweep);
	cr_assert_eq(sweep.n_sets, 3);
	check_set(&sweep, 2, "top 3", "L1H1 L0H2 L2H2");
	cr_assert_eq(n_freed, 1);
}

Test(sets, rankings_that_are_refused)
{
	const struct pb_set_sources two = {.top_path = "f.h5", .top = 2};
	struct pb_set_sources missing = two;
	struct pb_error err = {0};
	struct pb_sweep sweep;

	rank(1, 1);
	rank(1, 1);
	refuse(sweep_of(NULL, 0, two), "it ranks 1 heads");
	n_ranked = 0;
	refuse(sweep_of(NULL, 0, two), "it ranks 0 heads");
	rank(1, -1);
	refuse(sweep_of(NULL, 0, two), "its cells are not heads");
	n_ranked = 0;
	rank(-1, 1);
	refuse(sweep_of(NULL, 0, two), "its cells are not heads");
	n_ranked = 0;
	rank(3, 0);
	refuse(sweep_of(NULL, 0, two), "L3H0, but there are 3 layers of 4 heads");
	n_ranked = 0;
	rank(0, 4);
	refuse(sweep_of(NULL, 0, two), "no such head");
	cr_assert_eq(n_freed, 6);
	missing.top_path = "missing.h5";
	sweep = sweep_of(NULL, 0, missing);
	cr_assert_eq(pb_sweep_resolve(&sweep, &arch, &arena, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "missing.h5"));
	cr_assert_eq(sweep.n_sets, 0);
}

/* ---- top by layer ------------------------------------------------------------------------- */

static struct pb_sweep sweep_of_layers(const int32_t *layers, size_t n)
{
	return sweep_of(
	    NULL, 0,
	    (struct pb_set_sources){.top_path = "f.h5", .top_layers = layers, .n_top_layers = n});
}

Test(sets, the_strongest_head_of_each_layer_is_one_set)
{
	static const int32_t layers[] = {0, 2};
	struct pb_sweep sweep = sweep_of_layers(layers, 2);

	rank(1, 1);
	rank(2, 3);
	rank(2, 1);
	rank(0, 2);
	rank(0, 0);
	resolve(&sweep);
	cr_assert_eq(sweep.n_sets, 1);
	check_set(&sweep, 0, "top of layers", "L0H2 L2H3");
	cr_assert_eq(sweep.sets[0].source, PB_SET_TOP);
}

Test(sets, layers_that_are_refused)
{
	static const int32_t layers[] = {0, 2}, beyond[] = {0, 3};

	rank(2, 3);
	refuse(sweep_of_layers(layers, 2), "no head of layer 0: f.h5, sweep 0_patch_z");
	rank(0, 4);
	refuse(sweep_of_layers(layers, 2), "L0H4, but there are 3 layers of 4 heads");
	refuse(sweep_of_layers(beyond, 2), "L0H4");
	n_ranked = 1;
	rank(0, 1);
	refuse(sweep_of_layers(beyond, 2), "no such layer: sweep.sets.top.layers: 3, but this "
					   "model has 3 layers: give 0 to 2");
	n_ranked = 0;
	rank(2, 1);
	rank(0, -1);
	refuse(sweep_of_layers(layers, 2), "its cells are not heads");
	n_ranked = 0;
	rank(-1, -1);
	refuse(sweep_of_layers(layers, 2), "its cells are not heads");
}

/* ---- random ------------------------------------------------------------------------------- */

static bool is_named(const struct pb_member *m)
{
	for (size_t s = 0; s < 2; s++)
		for (size_t i = 0; i < named[s].n; i++)
			if (named[s].members[i].layer == m->layer &&
			    named[s].members[i].head == m->head)
				return true;
	return false;
}

/* Each of the 8 free heads is drawn about as often: 3/8 of 4,000 sets, five standard errors (31
 * each) allowed. Rising, so no head twice. */
Test(sets, random_sets_are_uniform_outside_the_named_ones)
{
	struct pb_sweep sweep =
	    sweep_of(named, 2, (struct pb_set_sources){.random_size = 3, .random_count = 4000});
	int counts[3][4] = {{0}};

	resolve(&sweep);
	cr_assert_eq(sweep.n_sets, 4002);
	for (size_t s = 2; s < sweep.n_sets; s++) {
		const struct pb_member *m = sweep.sets[s].members;

		cr_assert_eq(sweep.sets[s].n, 3);
		for (size_t i = 0; i < 3; i++) {
			cr_assert_not(is_named(&m[i]), "%s", sweep.sets[s].name);
			cr_assert(i == 0 || m[i - 1].layer < m[i].layer ||
				  (m[i - 1].layer == m[i].layer && m[i - 1].head < m[i].head));
			counts[m[i].layer][m[i].head]++;
		}
	}
	for (int l = 0; l < 3; l++)
		for (int h = 0; h < 4; h++)
			cr_assert(is_named(&(struct pb_member){l, h}) ||
				      abs(counts[l][h] - 1500) < 155,
				  "L%dH%d: %d", l, h, counts[l][h]);
}

/* The first named set has one head of layer 0, none of layer 1 (its MLP does not count), two of
 * layer 2. */
Test(sets, random_sets_match_the_layers_of_the_first_named_set)
{
	struct pb_sweep sweep = sweep_of(
	    named, 2, (struct pb_set_sources){.random_match_layer = true, .random_count = 200});
	int n_first = 0;

	resolve(&sweep);
	for (size_t s = 2; s < sweep.n_sets; s++) {
		const struct pb_member *m = sweep.sets[s].members;

		cr_assert_eq(sweep.sets[s].n, 3);
		cr_assert(m[0].layer == 0 && m[1].layer == 2 && m[2].layer == 2);
		cr_assert(m[0].head == 2 || m[0].head == 3);
		/* Layer 2 has two heads left: both. */
		cr_assert(m[1].head == 1 && m[2].head == 2);
		n_first += m[0].head == 2;
	}
	cr_assert(n_first > 60 && n_first < 140, "%d", n_first);
}

/* A set is known by the seed and its number: not by how many there are, nor by the size of the
 * named sets' list. */
Test(sets, random_sets_are_known_by_seed_and_number)
{
	struct pb_set_sources sources = {.random_size = 3, .random_count = 5, .random_seed = 9};
	struct pb_sweep few = sweep_of(named, 2, sources), many, other;
	size_t n_same = 0;

	resolve(&few);
	sources.random_count = 50;
	many = sweep_of(named, 2, sources);
	resolve(&many);
	sources.random_seed = 10;
	other = sweep_of(named, 2, sources);
	resolve(&other);
	for (size_t s = 2; s < 7; s++)
		cr_assert_eq(
		    memcmp(few.sets[s].members, many.sets[s].members, 3 * sizeof(struct pb_member)),
		    0);
	for (size_t s = 2; s < 52; s++)
		n_same += memcmp(many.sets[s].members, other.sets[s].members,
				 3 * sizeof(struct pb_member)) == 0;
	cr_assert_lt(n_same, 10);
	/* The draws of a seed do not change from version to version. */
	check_set(&few, 2, "random 0", "L1H0 L1H1 L1H2");
	check_set(&few, 3, "random 1", "L1H0 L2H1 L2H2");
}

/* Sizes 1 (other, top 1) and 2 (top 2); circuit has an MLP, none stands beside it. */
Test(sets, random_sets_of_each_size)
{
	const struct pb_set_sources sources = {.top_path = "f.h5",
					       .top = 2,
					       .random_size = PB_SIZE_EACH,
					       .random_count = 50,
					       .random_seed = 9};
	struct pb_sweep sweep = sweep_of(named, 2, sources);

	rank(1, 3);
	rank(1, 1);
	resolve(&sweep);
	cr_assert_eq(sweep.n_sets, 4 + 100);
	cr_assert_str_eq(sweep.sets[4].name, "random 0 of size 1");
	cr_assert_str_eq(sweep.sets[53].name, "random 49 of size 1");
	cr_assert_str_eq(sweep.sets[54].name, "random 0 of size 2");
	for (size_t s = 0; s < sweep.n_sets; s++)
		cr_assert_eq(sweep.sets[s].source, s < 2   ? PB_SET_NAMED
						   : s < 4 ? PB_SET_TOP
							   : PB_SET_RANDOM);
	for (size_t s = 4; s < sweep.n_sets; s++) {
		cr_assert_eq(sweep.sets[s].n, s < 54 ? 1 : 2);
		for (size_t i = 0; i < sweep.sets[s].n; i++) {
			const struct pb_member *m = &sweep.sets[s].members[i];

			cr_assert_not(is_named(m), "%s", sweep.sets[s].name);
			cr_assert_not(m->layer == 1 && (m->head == 3 || m->head == 1), "%s",
				      sweep.sets[s].name);
		}
	}
	/* The draws of a seed do not change from version to version. */
	check_set(&sweep, 54, "random 0 of size 2", "L1H0 L2H2");
	check_set(&sweep, 55, "random 1 of size 2", "L1H0 L2H1");
}

/* As the first set of each size: two of layer 1; one of layer 2. */
Test(sets, random_sets_of_each_size_match_its_layers)
{
	static const struct pb_member two[] = {{1, 0}, {1, 1}}, one[] = {{2, 0}}, last[] = {{0, 0}};
	static const struct pb_set sets[] = {{"two", 2, two, PB_SET_NAMED},
					     {"one", 1, one, PB_SET_NAMED},
					     {"last", 1, last, PB_SET_NAMED}};
	struct pb_sweep sweep = sweep_of(sets, 3,
					 (struct pb_set_sources){.random_size = PB_SIZE_EACH,
								 .random_count = 3,
								 .random_match_layer = true});

	resolve(&sweep);
	cr_assert_eq(sweep.n_sets, 3 + 6);
	for (size_t s = 3; s < 6; s++)
		cr_assert(sweep.sets[s].n == 1 && sweep.sets[s].members[0].layer == 2);
	for (size_t s = 6; s < 9; s++)
		check_set(&sweep, s, sweep.sets[s].name, "L1H2 L1H3");
}

Test(sets, random_sets_that_are_refused)
{
	static const struct pb_member most[] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}};
	static const struct pb_member seven[] = {{0, 0}, {0, 1}, {0, 2}, {0, 3},
						 {1, 0}, {1, 1}, {1, 2}};
	static const struct pb_set huge[] = {{"seven", 7, seven, PB_SET_NAMED}};
	static const struct pb_set crowded[] = {{"most", 4, most, PB_SET_NAMED}};
	static const struct pb_member far_members[] = {{99, 0}, {0, 99}, {-5, 0}};
	static const struct pb_set far_away[] = {{"far", 3, far_members, PB_SET_NAMED}};
	struct pb_sweep sweep;

	refuse(sweep_of(named, 2, (struct pb_set_sources){.random_size = 9, .random_count = 1}),
	       "8 heads are outside the named sets, and 9 are wanted");
	refuse(sweep_of(crowded, 1,
			(struct pb_set_sources){.random_match_layer = true, .random_count = 1}),
	       "1 heads of layer 0 are outside the named sets, and 3 are wanted");
	refuse(sweep_of(NULL, 0,
			(struct pb_set_sources){.random_match_layer = true, .random_count = 1}),
	       "empty random sets");
	refuse(sweep_of(crowded, 1,
			(struct pb_set_sources){.random_size = PB_SIZE_EACH,
						.random_count = PB_SETS_MAX + 1}),
	       "too many sets: sweep.sets.random: 100001 for each of 1 sizes");
	refuse(sweep_of(huge, 1,
			(struct pb_set_sources){.random_size = PB_SIZE_EACH, .random_count = 1}),
	       "5 heads are outside the named sets and those of top, and 7 are wanted: name fewer");
	/* All that are left is enough; members that do not exist are the grid's to refuse. */
	sweep = sweep_of(named, 2, (struct pb_set_sources){.random_size = 8, .random_count = 1});
	resolve(&sweep);
	check_set(&sweep, 2, "random 0", "L0H2 L0H3 L1H0 L1H1 L1H2 L1H3 L2H1 L2H2");
	sweep =
	    sweep_of(far_away, 1, (struct pb_set_sources){.random_size = 12, .random_count = 1});
	resolve(&sweep);
	cr_assert_eq(sweep.sets[1].n, 12);
}

Test(sets, names_and_numbers_that_are_refused)
{
	static const struct pb_set same[] = {{"random 1", 1, other_members, PB_SET_NAMED}};
	const struct pb_arch huge = {.n_layers = SIZE_MAX / 2, .n_heads = 4, .n_kv_heads = 4};
	const struct pb_arch large = {.n_layers = 100000, .n_heads = 1000, .n_kv_heads = 4};
	struct pb_sweep sweep = sweep_of(NULL, 0, (struct pb_set_sources){.all_pairs = true});
	struct pb_error err = {0};

	refuse(sweep_of(same, 1, (struct pb_set_sources){.random_size = 1, .random_count = 2}),
	       "'random 1' is also the name");
	cr_assert_eq(pb_sweep_resolve(&sweep, &huge, &arena, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "too many sets"));
	cr_assert_eq(pb_sweep_resolve(&sweep, &large, &arena, &err), PB_ERR_INPUT);
	sweep.set_sources.random_count = SIZE_MAX;
	cr_assert_eq(pb_sweep_resolve(&sweep, &arch, &arena, &err), PB_ERR_INPUT);
}

/* ---- complements -------------------------------------------------------------------------- */

static void check_complement(struct pb_sweep *sweep, size_t s, const char *expected)
{
	const struct pb_member *members = NULL;
	struct pb_error err = {0};
	size_t n = 0;

	cr_assert_eq(pb_set_complement(sweep, &sweep->sets[s], &arch, &arena, &members, &n, &err),
		     PB_OK);
	cr_assert_str_eq(text_of(members, n), expected, "%s", text_of(members, n));
}

Test(sets, complements_are_of_the_kinds_that_the_sweep_uses)
{
	static const struct pb_member mlp_members[] = {{0, -1}, {2, -1}};
	static const struct pb_set mlps[] = {{"mlps", 2, mlp_members, PB_SET_NAMED}};
	struct pb_sweep sweep = sweep_of(named, 2, (struct pb_set_sources){0});

	/* The first set has an MLP: MLPs are in both complements. */
	resolve(&sweep);
	check_complement(&sweep, 0, "L0H0 L0H2 L0H3 M0 L1H0 L1H1 L1H2 L1H3 L2H1 L2H2 M2");
	check_complement(&sweep, 1,
			 "L0H1 L0H2 L0H3 M0 L1H0 L1H1 L1H2 L1H3 M1 L2H0 L2H1 L2H2 L2H3 M2");
	/* Heads alone. */
	sweep = sweep_of(named + 1, 1, (struct pb_set_sources){0});
	resolve(&sweep);
	check_complement(&sweep, 0, "L0H1 L0H2 L0H3 L1H0 L1H1 L1H2 L1H3 L2H0 L2H1 L2H2 L2H3");
	sweep.site = PB_SITE_V;
	check_complement(&sweep, 0, "L0H1 L1H0 L1H1 L2H0 L2H1");
	/* MLPs alone; and MLPs with heads that are drawn. */
	sweep = sweep_of(mlps, 1, (struct pb_set_sources){0});
	resolve(&sweep);
	check_complement(&sweep, 0, "M1");
	sweep = sweep_of(mlps, 1, (struct pb_set_sources){.random_size = 12, .random_count = 1});
	resolve(&sweep);
	check_complement(&sweep, 0,
			 "L0H0 L0H1 L0H2 L0H3 L1H0 L1H1 L1H2 L1H3 M1 L2H0 L2H1 L2H2 "
			 "L2H3");
	check_complement(&sweep, 1, "M0 M1 M2");
	/* Nothing is left of a whole model. */
	sweep = sweep_of(NULL, 0, (struct pb_set_sources){.random_size = 12, .random_count = 1});
	resolve(&sweep);
	check_complement(&sweep, 0, "");
}

/* The complement of nothing is everything of the kinds that other sets have; heads, if none has
 * any. */
Test(sets, the_complement_of_an_empty_set)
{
	static const struct pb_member mlp_members[] = {{0, -1}};
	static const struct pb_set sets[] = {{"empty", 0, mlp_members, PB_SET_NAMED},
					     {"mlp", 1, mlp_members, PB_SET_NAMED}};
	struct pb_sweep sweep = sweep_of(sets, 1, (struct pb_set_sources){0});

	resolve(&sweep);
	check_complement(&sweep, 0, "L0H0 L0H1 L0H2 L0H3 L1H0 L1H1 L1H2 L1H3 L2H0 L2H1 L2H2 L2H3");
	sweep = sweep_of(sets, 2, (struct pb_set_sources){0});
	resolve(&sweep);
	check_complement(&sweep, 0, "M0 M1 M2");
	sweep = sweep_of(sets, 2, (struct pb_set_sources){.top_path = "f.h5", .top = 1});
	rank(0, 0);
	resolve(&sweep);
	check_complement(&sweep, 0,
			 "L0H0 L0H1 L0H2 L0H3 M0 L1H0 L1H1 L1H2 L1H3 M1 L2H0 L2H1 L2H2 L2H3 M2");
}
