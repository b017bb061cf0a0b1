/* Result files of every kind of grid, and what else they hold: sets, readings, activations. */
#include <jansson.h>

#include "results/cells.h"
#include "unit/results_read.h"

#define L ((size_t)FIXTURE_LAYERS)
#define H ((size_t)FIXTURE_HEADS)
#define KV ((size_t)FIXTURE_KV_HEADS)
#define T ((size_t)FIXTURE_LENGTH)
#define WIDTH ((size_t)FIXTURE_WIDTH)
#define ROLES ((size_t)FIXTURE_ROLES)
#define KEYS "/sweeps/3_patch_pattern_denoise_each_key"
#define ALPHA "/sweeps/4_scale_z_noise_all"
#define PART "/sweeps/5_patch_z_denoise_each"
#define PAIRS "/sweeps/6_zero_sets_z_noise_all"
#define PATHS "/sweeps/7_path_head_to_v_denoise_freeze_all"
#define RESAMPLE "/sweeps/8_resample_z_noise_all"
#define MEAN "/sweeps/9_mean_z_noise_all"
#define CONTROL "/sweeps/10_control_k_denoise_all"
#define EMBED "/sweeps/11_patch_embed_denoise_all"
#define SETS "/sweeps/12_patch_sets_z_denoise_each_complement"
#define RECEIVERS "/sweeps/13_path_mlp_to_set_denoise_freeze_attention"
#define RESID "/sweeps/14_patch_resid_pre_denoise_all"
#define WINDOW "/sweeps/15_patch_z_denoise_last_window_3"

/* Few metrics: what is looked at here is the same for all of them. */
static void extended(struct fixture *f, size_t n_pairs, size_t chunk_pairs, bool equal_length)
{
	fixture_new(f, n_pairs, chunk_pairs, equal_length);
	fixture_extend(f);
	f->e.metrics = 1u << PB_METRIC_KL_DONOR;
}

static double recipient_of(const struct fixture *f, size_t s, size_t pair)
{
	return fixture_base(pair, f->sweeps[s].direction == PB_DENOISE ? 1 : 0);
}

/* The raw values and the mask of a sweep are those of the fixture. */
static void check_raw(struct fixture *f, size_t s, const char *group)
{
	const size_t n_cells = f->grids[s].n_cells, n = f->pairs.n * n_cells;
	char path[160], mask_path[176];
	double *raw, *mask = NULL;
	bool any = false;

	snprintf(path, sizeof path, "%s/logit_diff", group);
	snprintf(mask_path, sizeof mask_path, "%s_mask", path);
	raw = read_doubles(f, path, n);
	if (has_dataset(f, mask_path))
		mask = read_doubles(f, mask_path, n);
	for (size_t i = 0; i < n; i++) {
		const size_t pair = i / n_cells, cell = i % n_cells;
		const bool is = fixture_has_cell(f, s, pair, cell);

		any = any || !is;
		cr_assert_eq(isnan(raw[i]), !is, "%s: pair %zu, cell %zu", group, pair, cell);
		if (is)
			cr_assert_eq(raw[i], fixture_cell_value(f, s, pair, cell));
		if (mask != NULL)
			cr_assert_eq(mask[i], is ? 0 : 1);
	}
	cr_assert_eq(mask != NULL, any, "%s", group);
	free(raw);
	free(mask);
}

/* Mean effect and number of pairs of cells, by the plain rule. */
static void check_effects(struct fixture *f, size_t s, const char *group)
{
	const size_t n_cells = f->grids[s].n_cells;
	char path[160];
	double *effect, *n;

	snprintf(path, sizeof path, "%s/summary/effect", group);
	effect = read_doubles(f, path, n_cells);
	snprintf(path, sizeof path, "%s/summary/n_pairs", group);
	n = read_doubles(f, path, n_cells);
	for (size_t c = 0; c < n_cells; c++) {
		double sum = 0, count = 0;

		for (size_t i = 0; i < f->pairs.n; i++) {
			if (!fixture_has_cell(f, s, i, c))
				continue;
			sum += fixture_cell_value(f, s, i, c) - recipient_of(f, s, i);
			count += 1;
		}
		cr_assert_eq(n[c], count, "%s: cell %zu", group, c);
		if (count == 0)
			cr_assert(isnan(effect[c]));
		else
			cr_assert(fabs(effect[c] - sum / count) <= 1e-13, "%s: cell %zu", group, c);
	}
	free(effect);
	free(n);
}

/* ---- grids ------------------------------------------------------------------------------- */

static const char *const groups[FIXTURE_ALL] = {"/sweeps/0_patch_z_denoise_all",
						"/sweeps/1_patch_z_noise_last",
						"/sweeps/2_patch_z_denoise_each",
						KEYS,
						ALPHA,
						PART,
						PAIRS,
						PATHS,
						RESAMPLE,
						MEAN,
						CONTROL,
						EMBED,
						SETS,
						RECEIVERS,
						RESID,
						WINDOW};

Test(grids, every_sweep_is_there_and_verified)
{
	struct fixture f;

	/* The first chunk lacks nothing: masks of positions begin with the second. */
	extended(&f, 5, 1, false);
	fixture_assemble(&f);
	for (size_t s = 0; s < FIXTURE_ALL; s++)
		check_raw(&f, s, groups[s]);
	free(verify_text(&f, PB_OK));
	fixture_free(&f);
}

Test(grids, summaries_of_every_grid_when_lengths_are_equal)
{
	struct fixture f;

	extended(&f, 6, 4, true);
	fixture_assemble(&f);
	for (size_t s = 0; s < FIXTURE_ALL; s++)
		check_effects(&f, s, groups[s]);
	fixture_free(&f);
}

Test(grids, queries_and_keys_count_from_the_end_when_lengths_differ)
{
	struct fixture f;
	double *effect, *n;
	size_t c, i;

	extended(&f, 8, 3, false);
	fixture_assemble(&f);
	effect = read_doubles(&f, KEYS "/summary/effect", L * H * T * T);
	n = read_doubles(&f, KEYS "/summary/n_pairs", L * H * T * T);
	for (c = 0; c < L * H * T * T; c++) {
		const size_t head = c / (T * T), query = c / T % T, key = c % T;
		double sum = 0, count = 0;

		for (i = 0; i < 8; i++) {
			const size_t missing = T - f.pairs.items[i].length;

			if (query < missing || key < missing)
				continue;
			sum +=
			    fixture_cell_value(&f, FIXTURE_KEYS, i,
					       (head * T + query - missing) * T + key - missing) -
			    recipient_of(&f, FIXTURE_KEYS, i);
			count += 1;
		}
		cr_assert_eq(n[c], count);
		cr_assert(fabs(effect[c] - sum / count) <= 1e-13, "cell %zu", c);
	}
	cr_assert(has_dataset(&f, KEYS "/summary/query_position_from_end"));
	cr_assert(has_dataset(&f, "/key_position_from_end"));
	cr_assert(!has_dataset(&f, KEYS "/summary/key_position"));
	free(effect);
	free(n);
	fixture_free(&f);
}

Test(grids, parts_and_alphas_have_scales_of_their_own)
{
	struct fixture f;
	double *layer, *head, *alpha, *position;

	extended(&f, 4, 2, true);
	fixture_assemble(&f);
	layer = read_doubles(&f, PART "/layer", 1);
	head = read_doubles(&f, PART "/summary/head", 2);
	alpha = read_doubles(&f, ALPHA "/alpha", 3);
	position = read_doubles(&f, PART "/position", T);
	cr_assert(layer[0] == 1 && head[0] == 1 && head[1] == 3);
	cr_assert(alpha[0] == 0 && alpha[1] == 0.5 && alpha[2] == 2);
	cr_assert_eq(position[5], 5);
	free(layer);
	layer = read_doubles(&f, ALPHA "/layer", L);
	cr_assert_eq(layer[2], 2);
	cr_assert(!has_dataset(&f, "/alpha") && !has_dataset(&f, "/set"));
	cr_assert(has_dataset(&f, "/sender_head") && has_dataset(&f, "/kv_head"));
	free(layer);
	free(head);
	free(alpha);
	free(position);
	fixture_free(&f);
}

Test(grids, the_root_has_only_dimensions_in_use)
{
	static const char *const absent[] = {
	    "/kv_head", "/query_position", "/sender_layer", "/head_width",
	    "/width",   "/role",           "/key_position", "/position_from_end"};
	struct fixture f;

	fixture_new(&f, 2, 2, true);
	fixture_assemble(&f);
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		cr_assert(!has_dataset(&f, absent[i]), "%s", absent[i]);
	cr_assert(!has_dataset(&f, "/readings") && !has_dataset(&f, "/activations"));
	cr_assert(!has_dataset(&f, "/sets"));
	fixture_free(&f);
}

Test(grids, paths_that_do_not_exist_are_in_no_correction)
{
	const size_t n = L * H * L * KV;
	struct fixture f;
	double *effect, *mask, *p, *q, *fwer, largest_q = 0, smallest_p = 1;
	size_t c, there = 0, below = 0;

	extended(&f, 14, 5, true);
	fixture_assemble(&f);
	effect = read_doubles(&f, PATHS "/summary/effect", n);
	mask = read_doubles(&f, PATHS "/summary/effect_mask", n);
	p = read_doubles(&f, PATHS "/summary/p_value", n);
	q = read_doubles(&f, PATHS "/summary/q_bh", n);
	fwer = read_doubles(&f, PATHS "/summary/p_fwer", n);
	for (c = 0; c < n; c++) {
		const bool exists = c / KV % L > c / (H * L * KV);

		cr_assert_eq(isnan(effect[c]), !exists);
		cr_assert_eq(mask[c], exists ? 0 : 1);
		cr_assert(isnan(fwer[c]) == !exists && isnan(q[c]) == !exists);
		if (!exists)
			continue;
		there++;
		largest_q = fmax(largest_q, q[c]);
		smallest_p = fmin(smallest_p, p[c]);
	}
	/* The smallest p times the number of paths that exist, over its rank. */
	for (c = 0; c < n; c++)
		below += p[c] == smallest_p;
	for (c = 0; c < n; c++)
		if (p[c] == smallest_p)
			cr_assert(fabs(q[c] - smallest_p * (double)there / (double)below) <= 1e-12);
	cr_assert_eq(there, (1 + 2) * H * KV);
	free(effect);
	free(mask);
	free(p);
	free(q);
	free(fwer);
	fixture_free(&f);
}

Test(grids, a_single_cell)
{
	struct fixture f;
	double *effect, sum = 0;

	extended(&f, 5, 2, false);
	fixture_assemble(&f);
	effect = read_doubles(&f, EMBED "/summary/effect", 1);
	for (size_t i = 0; i < 5; i++)
		sum += fixture_cell_value(&f, FIXTURE_EMBED, i, 0) - fixture_base(i, 1);
	cr_assert(fabs(effect[0] - sum / 5) <= 1e-13);
	free(effect);
	fixture_free(&f);
}

Test(grids, blocks_do_not_change_a_summary)
{
	/* One pair after another through boxes of a few cells gives what whole arrays give. */
	struct fixture f;
	const struct pb_grid *grid;
	size_t most;

	extended(&f, 2, 2, true);
	grid = &f.grids[FIXTURE_KEYS];
	for (most = 0; most < 500; most++) {
		const struct pb_split split = pb_split_of(grid, most);
		struct pb_box box;
		size_t cell = 0, n;

		cr_assert(split.n_cells <= (most > 0 ? most : 1));
		while (cell < grid->n_cells) {
			size_t steps[PB_GRID_AXES];

			n = pb_split_box(&split, grid, cell, &box);
			cr_assert(n > 0 && n <= split.n_cells);
			/* The last step of the box is the last of n consecutive cells. */
			for (size_t i = 0; i < grid->n_axes; i++)
				steps[i] = box.first[i] + box.n[i] - 1;
			cr_assert_eq(pb_grid_cell(grid, steps), cell + n - 1);
			cell += n;
		}
		cr_assert_eq(cell, grid->n_cells);
	}
	fixture_free(&f);
}

/* ---- sets -------------------------------------------------------------------------------- */

Test(grids, interactions_are_what_both_do_beyond_each)
{
	const size_t singles = L * H, n = singles * (singles + 1) / 2;
	struct fixture f;
	double *interaction, *error, *mask;

	extended(&f, 9, 4, true);
	fixture_assemble(&f);
	interaction = read_doubles(&f, PAIRS "/summary/interaction", n);
	mask = read_doubles(&f, PAIRS "/summary/interaction_mask", n);
	error = read_doubles(&f, PAIRS "/summary/interaction_stderr_right", n);
	for (size_t set = 0; set < n; set++) {
		cr_assert_eq(mask[set], set < singles ? 1 : 0);
		cr_assert_eq(isnan(interaction[set]), set < singles);
		/* 0.01 (set + pair), by the fixture: mean and standard error over pairs 0 .. 8 */
		if (set >= singles) {
			cr_assert(fabs(interaction[set] - 0.01 * ((double)set + 4)) <= 1e-12);
			cr_assert(fabs(error[set] - 0.01 * sqrt(7.5 / 9)) <= 1e-12);
		}
	}
	cr_assert(!has_dataset(&f, SETS "/summary/interaction"));
	free(interaction);
	free(error);
	free(mask);
	fixture_free(&f);
}

/* Text number `index` of `count` of a dataset (freed with free()). */
static char *read_string(struct fixture *f, const char *path, size_t count, size_t index)
{
	char **texts = calloc(count, sizeof *texts), *text;
	hid_t file, type;

	cr_assert(texts != NULL);
	OK(f, pb_h5_file_open(&file, f->output, false, PB_ERR_IO, &f->err));
	OK(f, pb_h5_text_type(&type, &f->err));
	OK(f, pb_h5_read(file, path, type, count, texts, &f->err));
	text = strdup(texts[index]);
	cr_assert(text != NULL);
	pb_h5_texts_free(texts, count);
	free(texts);
	pb_h5_drop(type);
	OK(f, pb_h5_file_close(&file, f->output, &f->err));
	return text;
}

static void string_is(struct fixture *f, const char *path, size_t count, size_t index,
		      const char *wanted)
{
	char *text = read_string(f, path, count, index);

	cr_assert_str_eq(text, wanted, "%s", path);
	free(text);
}

Test(grids, members_of_sets_are_listed)
{
	struct fixture f;
	double *size;

	extended(&f, 2, 2, true);
	fixture_assemble(&f);
	string_is(&f, "/sets/12_patch_sets_z_denoise_each_complement/name", 2, 1, "mixed");
	string_is(&f, "/sets/12_patch_sets_z_denoise_each_complement/members", 2, 1,
		  "L0H1 L2H3 M1");
	size = read_doubles(&f, "/sets/12_patch_sets_z_denoise_each_complement/size", 2);
	cr_assert(size[0] == 2 && size[1] == 3);
	string_is(&f, "/sets/6_zero_sets_z_noise_all/members", 78, 77, "L2H2 L2H3");
	cr_assert_eq(read_attribute(&f, SETS, "complement"), 1);
	cr_assert_eq(read_attribute(&f, PAIRS, "sets_all_pairs"), 1);
	cr_assert_eq(read_attribute(&f, PAIRS, "n_sets"), 78);
	free(size);
	fixture_free(&f);
}

/* ---- attributes -------------------------------------------------------------------------- */

Test(grids, attributes_say_all_of_a_sweep)
{
	struct fixture f;
	char *note;

	extended(&f, 2, 2, true);
	fixture_assemble(&f);
	text_is(&f, RECEIVERS, "intervention", "path");
	text_is(&f, RECEIVERS, "sender", "mlp");
	text_is(&f, RECEIVERS, "receiver", "set");
	text_is(&f, RECEIVERS, "receivers", "L2H1.q, M2, logits");
	text_is(&f, RECEIVERS, "freeze", "attention");
	text_is(&f, MEAN, "reference_over", "clean");
	text_is(&f, MEAN, "reference_by", "role");
	text_is(&f, MEAN, "recipient", "clean");
	text_is(&f, KEYS, "positions", "each_key");
	cr_assert_eq(read_attribute(&f, RESAMPLE, "seed"), 5);
	cr_assert_eq(read_attribute(&f, WINDOW, "window"), 3);
	note = read_text(&f, RESID, "note");
	cr_assert(strstr(note, "constant by construction") != NULL);
	free(note);
	fixture_free(&f);
}

/* ---- what else lies in a sweep's group ------------------------------------------------------- */

Test(grids, partners_of_resampling_are_stored)
{
	struct fixture f;
	double *partners, *n;
	size_t without = 0;

	/* Lengths 6, 5, 4, 6: only pairs 0 and 3 have another of their length. */
	extended(&f, 4, 2, false);
	fixture_assemble(&f);
	partners = read_doubles(&f, RESAMPLE "/resample_pair", 4);
	n = read_doubles(&f, RESAMPLE "/summary/n_pairs", L * H);
	for (size_t i = 0; i < 4; i++) {
		cr_assert_eq(partners[i], pb_pairs_resample(&f.pairs, 5, i));
		without += partners[i] < 0;
	}
	cr_assert(without == 2 && partners[0] == 3);
	cr_assert_eq(read_attribute(&f, RESAMPLE, "n_without_resample"), 2);
	cr_assert_eq(n[0], 2);
	free(partners);
	free(n);
	fixture_free(&f);
}

Test(grids, reference_means_are_stored)
{
	const size_t n = L * H * ROLES * WIDTH;
	struct fixture f;
	double *means, *tokens, *layers;

	extended(&f, 2, 2, true);
	fixture_assemble(&f);
	means = read_doubles(&f, MEAN "/reference_mean", n);
	tokens = read_doubles(&f, MEAN "/reference_tokens", ROLES);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(means[i], f.means[FIXTURE_MEAN].values[i]);
	cr_assert(tokens[0] == 12 && tokens[1] == 14);
	string_is(&f, MEAN "/role_name", ROLES, 1, "end");
	/* The sweep's own `layer` is one of them; the means are of all. */
	layers = read_doubles(&f, MEAN "/model_layer", L);
	cr_assert_eq(layers[2], 2);
	free(means);
	free(tokens);
	free(layers);
	fixture_free(&f);
}

Test(grids, overall_means_have_no_slots)
{
	const int64_t tokens = 31;
	struct fixture f;
	double *n, *means;

	extended(&f, 2, 2, true);
	f.sweeps[FIXTURE_MEAN].reference_by = PB_BY_OVERALL;
	f.means[FIXTURE_MEAN].n_slots = 1;
	f.means[FIXTURE_MEAN].n_tokens = &tokens;
	fixture_assemble(&f);
	n = read_doubles(&f, MEAN "/reference_tokens", 1);
	means = read_doubles(&f, MEAN "/reference_mean", L * H * WIDTH);
	cr_assert_eq(n[0], 31);
	free(n);
	free(means);
	fixture_free(&f);
}

Test(grids, control_noise_is_stored)
{
	const size_t row = L * KV * T * WIDTH;
	struct fixture f;
	double *noise;

	extended(&f, 3, 2, false);
	cr_assert_eq(pb_control_count(&f.e, FIXTURE_CONTROL), row);
	fixture_assemble(&f);
	noise = read_doubles(&f, CONTROL "/control", 3 * row);
	for (size_t i = 0; i < 3 * row; i++)
		cr_assert_eq(noise[i],
			     (float)fixture_noise(50, i < 2 * row ? 0 : 2, i % (2 * row)));
	free(noise);
	fixture_free(&f);
	extended(&f, 2, 2, true);
	f.e.save_control = false;
	fixture_assemble(&f);
	cr_assert(!has_dataset(&f, CONTROL "/control"));
	fixture_free(&f);
}

/* ---- readings and activations ---------------------------------------------------------------- */

Test(grids, readings_by_pair_and_of_the_run)
{
	const size_t roles = L * H * ROLES;
	struct fixture f;
	double *role, *mask, *heads, *q, *q_mask;

	extended(&f, 5, 3, true);
	fixture_assemble(&f);
	role = read_doubles(&f, "/readings/head_scores/clean/role_mass", 5 * roles);
	mask = read_doubles(&f, "/readings/head_scores/clean/role_mass_mask", 5 * roles);
	heads = read_doubles(&f, "/readings/direct_logit_attribution/corrupted/heads", 5 * L * H);
	q = read_doubles(&f, "/readings/composition/q", L * H * L * H);
	q_mask = read_doubles(&f, "/readings/composition/q_mask", L * H * L * H);
	/* The second pair of each chunk (pairs 1 and 4) lacks the second role. */
	for (size_t i = 0; i < 5 * roles; i++) {
		const bool lacks = (i / roles == 1 || i / roles == 4) && i % 2 == 1;

		cr_assert(isnan(role[i]) == lacks && mask[i] == lacks);
	}
	cr_assert_eq(heads[3 * L * H],
		     fixture_noise(70 + (uint64_t)PB_READ_ATTRIBUTION_HEAD, 3, 0));
	for (size_t i = 0; i < L * H * L * H; i++)
		cr_assert(isnan(q[i]) == (q_mask[i] == 1) &&
			  isnan(q[i]) == (i / H % L <= i / (H * L * H)));
	string_is(&f, "/readings/role_name", ROLES, 0, "object");
	cr_assert(has_dataset(&f, "/readings/head_scores/induction"));
	cr_assert(has_dataset(&f, "/readings/logit_lens/corrupted/rank_foil"));
	cr_assert(has_dataset(&f, "/readings/copying/copying"));
	cr_assert(!has_dataset(&f, "/checks/attribution_deviation_mask"));
	free(role);
	free(mask);
	free(heads);
	free(q);
	free(q_mask);
	fixture_free(&f);
}

Test(grids, readings_that_were_not_asked_for_are_not_there)
{
	struct fixture f;

	extended(&f, 2, 2, true);
	f.e.readings = 1u << PB_READING_LOGIT_LENS;
	fixture_assemble(&f);
	cr_assert(has_dataset(&f, "/readings/logit_lens/clean/logit_diff"));
	cr_assert(!has_dataset(&f, "/readings/head_scores"));
	/* The sum of attributions was not looked at: not applicable. */
	cr_assert(has_dataset(&f, "/checks/attribution_deviation_mask"));
	free(verify_text(&f, PB_OK));
	fixture_free(&f);
}

Test(grids, activations_end_with_their_prompt)
{
	const size_t row = L * H * T * WIDTH, square = L * H * T * T;
	struct fixture f;
	double *z, *mask, *pattern;

	extended(&f, 3, 2, false);
	fixture_assemble(&f);
	z = read_doubles(&f, "/activations/corrupted/z", 3 * row);
	mask = read_doubles(&f, "/activations/corrupted/z_mask", 3 * row);
	pattern = read_doubles(&f, "/activations/clean/pattern", 3 * square);
	for (size_t i = 0; i < 3 * row; i++) {
		const bool past = i / WIDTH % T >= f.pairs.items[i / row].length;

		cr_assert(isnan(z[i]) == past && mask[i] == past);
		if (!past)
			cr_assert_eq(z[i], 2 * (double)(i < 2 * row ? i : i - 2 * row));
	}
	for (size_t i = 0; i < 3 * square; i++) {
		const size_t length = f.pairs.items[i / square].length;

		cr_assert_eq(isnan(pattern[i]), i % T >= length || i / T % T >= length);
	}
	free(z);
	free(mask);
	free(pattern);
	fixture_free(&f);
}

/* ---- what is refused --------------------------------------------------------------------- */

/* Change one chunk of an extended fixture by `change`; assembly says `text`. */
#define REFUSED(text, change)                                                                      \
	do {                                                                                       \
		struct fixture f;                                                                  \
		struct pb_chunk_values *v;                                                         \
		extended(&f, 2, 2, false);                                                         \
		v = fixture_chunk(&f, 0);                                                          \
		change;                                                                            \
		refuse(&f, v, text);                                                               \
		fixture_free(&f);                                                                  \
	} while (0)

Test(grids, values_and_absence_must_agree)
{
	/* The first path is from L0H0 to itself. */
	REFUSED("sweep 7, logit_diff of pair 0, L0H0 to L0H0.v (cell 0) is 3 where nothing belongs",
		((double *)v->sweeps[FIXTURE_PATHS].metric[PB_METRIC_LOGIT_DIFF])[0] = 3);
	REFUSED("sweep 4, logit_diff of pair 1, alpha 0.5 L0H0 (cell 12) is nan where a finite",
		((double *)v->sweeps[FIXTURE_ALPHA].metric[PB_METRIC_LOGIT_DIFF])[36 + 12] = NAN);
	REFUSED("sweep 0, logit_diff of pair 0, L0H2 (cell 2) is", v->sweeps[0].absent[2] = 1);
}

Test(grids, readings_and_activations_must_be_numbers)
{
	REFUSED("reading mlp, corrupted prompt of pair 1 is nan",
		v->readings[1].values[PB_READ_ATTRIBUTION_MLP][L + 1] = NAN);
	REFUSED("reading bos_mass, clean prompt of pair 0 is inf",
		v->readings[0].values[PB_READ_BOS_MASS][2] = INFINITY);
	REFUSED("saved z, clean prompt of pair 0, position 1 is nan",
		v->saved[0][PB_SITE_Z][WIDTH] = NAN);
	/* Pair 1 has five tokens. */
	REFUSED("saved pattern, clean prompt of pair 1, position 0 is 0 where nothing",
		v->saved[0][PB_SITE_PATTERN][L * H * T * T + 5] = 0);
	REFUSED("sweep 10, control noise of pair 1 is nan",
		v->sweeps[FIXTURE_CONTROL].control[L * KV * T * WIDTH] = NAN);
}

Test(grids, attributions_must_sum_to_the_logit_difference)
{
	/* 1e-4 of the largest logit difference, about 3. */
	REFUSED("direct logit attributions (chunk 0) sum to 0.0004 from",
		v->checks.attribution_deviation = 4e-4);
	REFUSED("direct logit attributions (chunk 0) sum to nan from",
		v->checks.attribution_deviation = NAN);
}

Test(grids, attributions_just_within_their_tolerance)
{
	struct fixture f;
	struct pb_chunk_values *v;

	extended(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	v->checks.attribution_deviation = 2.5e-4;
	OK(&f, pb_parts_prepare(&f.e, &f.err));
	OK(&f, pb_part_write(&f.e, v, &f.err));
	pb_chunk_values_free(v);
	OK(&f, pb_result_assemble(&f.e, &f.err));
	cr_assert_eq(read_attribute(&f, "/checks", "attribution_largest_deviation"), 2.5e-4);
	free(verify_text(&f, PB_OK));
	fixture_free(&f);
}

Test(grids, a_checked_variant_must_exist)
{
	REFUSED("recomputed a variant that does not exist: sweep 7, pair 0, cell 0",
		v->checks.variants[FIXTURE_PATHS].cell = 0);
	REFUSED("recomputed a variant that does not exist: sweep 4, pair 0, cell 36",
		v->checks.variants[FIXTURE_ALPHA].cell = 36);
}

/* ---- parts ------------------------------------------------------------------------------- */

Test(grids, resumed_equals_uninterrupted)
{
	struct fixture a, b;
	char *x, *y;

	extended(&a, 7, 3, false);
	extended(&b, 7, 3, false);
	fixture_assemble(&a);
	OK(&b, pb_parts_prepare(&b.e, &b.err));
	fixture_write_part(&b, 2);
	fixture_write_part(&b, 0);
	fixture_write_part(&b, 1);
	OK(&b, pb_result_assemble(&b.e, &b.err));
	x = all_hashes(&a, a.output);
	y = all_hashes(&b, b.output);
	cr_assert_str_eq(x, y);
	cr_assert(strstr(x, "/activations/clean/z ") != NULL && strstr(x, CONTROL "/control "));
	free(x);
	free(y);
	fixture_free(&a);
	fixture_free(&b);
}

/* Flip the lowest bit of the first byte of a dataset of a part, through HDF5. */
static void touch(struct fixture *f, const char *part, const char *name)
{
	struct pb_h5_shape shape;
	hid_t file, dataset;
	unsigned char *values;

	OK(f, pb_h5_file_open(&file, part, true, PB_ERR_IO, &f->err));
	dataset = H5Dopen2(file, name, H5P_DEFAULT);
	cr_assert(dataset >= 0, "%s", name);
	OK(f, pb_h5_shape(dataset, name, &shape, &f->err));
	values = calloc(shape.count, shape.element_size);
	cr_assert(values != NULL);
	OK(f, pb_h5_read_rows(dataset, name, shape.type, 0, shape.count, values, &f->err));
	values[0] ^= 1;
	OK(f, pb_h5_write_rows(dataset, name, shape.type, 0, shape.count, values, &f->err));
	OK(f, pb_h5_dataset_close(&dataset, name, &f->err));
	free(values);
	OK(f, pb_h5_file_close(&file, part, &f->err));
}

Test(grids, a_parts_checksum_is_over_all_it_holds)
{
	static const char *const names[] = {
	    "sweep.7.absent",
	    "sweep.10.control",
	    "reading.clean.head_scores.role_mass",
	    "reading.corrupted.logit_lens.rank_foil",
	    "saved.corrupted.pattern",
	    "sweep.3.logit_diff",
	    "checks.variants",
	};
	struct fixture f;
	char path[160];
	bool done;

	extended(&f, 2, 2, false);
	OK(&f, pb_parts_prepare(&f.e, &f.err));
	snprintf(path, sizeof path, "%s.parts/chunk-00000.h5", f.output);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		fixture_write_part(&f, 0);
		OK(&f, pb_part_done(&f.e, 0, &done, &f.err));
		cr_assert(done);
		touch(&f, path, names[i]);
		OK(&f, pb_part_done(&f.e, 0, &done, &f.err));
		cr_assert(!done, "%s", names[i]);
	}
	fixture_free(&f);
}

/* ---- an older version -------------------------------------------------------------------- */

Test(grids, files_of_an_older_version_are_refused)
{
	const int64_t version = 1;
	FILE *out = fopen("/dev/null", "w");
	struct pb_ranking ranking;
	struct fixture f;
	hid_t file, attribute;

	cr_assert(out != NULL);
	fixture_new(&f, 2, 2, true);
	fixture_assemble(&f);
	OK(&f, pb_h5_file_open(&file, f.output, true, PB_ERR_IO, &f.err));
	attribute = H5Aopen(file, "schema_version", H5P_DEFAULT);
	cr_assert(H5Awrite(attribute, H5T_NATIVE_INT64, &version) >= 0);
	pb_h5_drop(attribute);
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	FAILS(&f, pb_result_verify(f.output, out, &f.err), PB_ERR_INPUT,
	      "made by an older version of patchbay");
	FAILS(&f, pb_result_describe(f.output, out, &f.err), PB_ERR_INPUT, "older version");
	FAILS(&f, pb_result_top(f.output, NULL, 5, false, PB_TOP_TEXT, out, &f.err), PB_ERR_INPUT,
	      "older version");
	FAILS(&f, pb_result_rank(&ranking, f.output, NULL, 5, false, &f.err), PB_ERR_INPUT,
	      "older version");
	cr_assert_eq(fclose(out), 0);
	fixture_free(&f);
}

/* ---- ranked cells ------------------------------------------------------------------------ */

Test(grids, cells_are_ranked_by_their_effect)
{
	struct fixture f;
	struct pb_ranking r;

	extended(&f, 14, 5, false);
	fixture_assemble(&f);
	OK(&f, pb_result_rank(&r, f.output, NULL, 2, false, &f.err));
	cr_assert_str_eq(r.sweep, "0_patch_z_denoise_all");
	cr_assert(r.n == 2 && r.n_cells == 12 && r.n_excluded == 0);
	cr_assert_str_eq(r.cells[0].label, "L1H2");
	cr_assert(r.cells[0].cell == 6 && r.cells[0].layer == 1 && r.cells[0].head == 2);
	cr_assert(r.cells[0].effect > 1.9 && r.cells[0].ci_low < r.cells[0].effect &&
		  r.cells[0].ci_high > r.cells[0].effect && r.cells[0].stderr_ > 0);
	cr_assert(r.cells[0].n_pairs == 14 && r.cells[0].p_fwer <= 2e-4);
	cr_assert(r.cells[0].restoration > 0.3 && r.cells[0].restoration < 0.4);
	cr_assert_str_eq(r.cells[1].label, "L2H0");
	pb_ranking_free(&r);
	/* By number; paths that do not exist are left out, and counted. */
	OK(&f, pb_result_rank(&r, f.output, "7", 0, true, &f.err));
	cr_assert(r.n == 24 && r.n_cells == 72 && r.n_excluded == 48);
	for (size_t i = 0; i < r.n; i++)
		cr_assert(i == 0 || fabs(r.cells[i].effect) <= fabs(r.cells[i - 1].effect));
	cr_assert(strstr(r.cells[0].label, ".v") != NULL && r.cells[0].layer == -1);
	pb_ranking_free(&r);
	/* By name; positions from the end. */
	OK(&f, pb_result_rank(&r, f.output, "2_patch_z_denoise_each", 1, false, &f.err));
	cr_assert(strncmp(r.cells[0].label, "L1H2 at -", 9) == 0, "%s", r.cells[0].label);
	pb_ranking_free(&r);
	OK(&f, pb_result_rank(&r, f.output, "6", 1, false, &f.err));
	cr_assert_str_eq(r.cells[0].label, "pair_5_11");
	pb_ranking_free(&r);
	FAILS(&f, pb_result_rank(&r, f.output, "16", 1, false, &f.err), PB_ERR_INPUT,
	      "no such sweep");
	cr_assert(strstr(f.err.message, "it has 0_patch_z_denoise_all, 1_") != NULL);
	FAILS(&f, pb_result_rank(&r, "/nonexistent", NULL, 1, false, &f.err), PB_ERR_INPUT,
	      "/nonexistent");
	fixture_free(&f);
}

static char *top_text(struct fixture *f, const char *sweep, size_t n_most,
		      enum pb_top_format format)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out != NULL);
	OK(f, pb_result_top(f->output, sweep, n_most, false, format, out, &f->err));
	cr_assert_eq(fclose(out), 0);
	return text;
}

Test(grids, top_in_three_forms)
{
	struct fixture f;
	struct pb_set named[2];
	json_t *root, *sweep, *cell;
	char *text, *line;

	extended(&f, 8, 4, true);
	/* A name that CSV must quote, and one longer than a label, cut between characters. */
	memcpy(named, f.sweeps[FIXTURE_SETS].sets, sizeof named);
	named[0].name = "a \"b\", c";
	named[1].name = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
			"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
			"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
			"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
			"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
			"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";
	f.sweeps[FIXTURE_SETS].sets = named;
	fixture_assemble(&f);
	text = top_text(&f, "7", 3, PB_TOP_TEXT);
	cr_assert(strstr(text, "the 3 strongest of 72 cells") != NULL, "%s", text);
	cr_assert(strstr(text, "48 without a finite effect left out") != NULL, "%s", text);
	/* Every column starts at one place: where `p_fwer` stands in the header. */
	line = strstr(text, "     cell");
	cr_assert(line != NULL, "%s", text);
	for (int i = 0; i < 3; i++) {
		const size_t at = (size_t)(strstr(line, "p_fwer") - line);
		char *next = strchr(line, '\n') + 1;

		if (i == 0)
			cr_assert(next[at - 1] == ' ' && next[at] != ' ', "%s", text);
	}
	free(text);
	text = top_text(&f, "12", 3, PB_TOP_CSV);
	cr_assert(strncmp(text, "sweep,rank,cell,label,alpha,set,layer,head,kv_head,", 51) == 0,
		  "%s", text);
	cr_assert(strstr(text, ",\"a \"\"b\"\", c at ") != NULL, "%s", text);
	free(text);
	text = top_text(&f, NULL, 0, PB_TOP_JSON);
	root = json_loads(text, 0, NULL);
	cr_assert(root != NULL, "%s", text);
	cr_assert_eq(json_array_size(json_object_get(root, "sweeps")), FIXTURE_ALL);
	sweep = json_array_get(json_object_get(root, "sweeps"), 7);
	cr_assert_eq(json_integer_value(json_object_get(sweep, "n_excluded")), 48);
	cell = json_array_get(json_object_get(sweep, "cells"), 0);
	/* the axes of its grid, and no others: a path from an MLP to a head's v */
	cr_assert(json_object_get(cell, "layer") == NULL);
	cr_assert(json_is_integer(json_object_get(cell, "sender_layer")));
	cr_assert(json_is_integer(json_object_get(cell, "receiver_layer")));
	cr_assert(json_is_real(json_object_get(cell, "effect")));
	json_decref(root);
	free(text);
	fixture_free(&f);
}

/* ---- words ------------------------------------------------------------------------------- */

Test(grids, the_end_of_a_run_shows_every_grid)
{
	static const char *const wanted[] = {
	    "each head at its strongest alpha",
	    "strongest heads and alphas by",
	    "strongest heads and positions (from the end) by",
	    "  strongest paths by",
	    "L0H2 to L2H1.v",
	    "  strongest sets by",
	    "       all\n",
	    "strongest layers by",
	    "  KV head\n",
	    "         1   3  head\n",
	    "strongest cells by |mean effect|, with 95% intervals:\n  embed ",
	    "M1 to receivers",
	};
	struct fixture f;
	char *text = NULL, *section;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out != NULL);
	extended(&f, 14, 5, false);
	f.sweeps[FIXTURE_SETS].positions = PB_POSITIONS_LAST;
	fixture_grids(&f, FIXTURE_SETS, FIXTURE_SETS + 1);
	fixture_assemble(&f);
	OK(&f, pb_result_print_summary(f.output, 24, out, &f.err));
	OK(&f, pb_result_describe(f.output, out, &f.err));
	cr_assert_eq(fclose(out), 0);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		cr_assert(strstr(text, wanted[i]) != NULL, "no '%s' in:\n%s", wanted[i], text);
	/* The strongest position stands for its head. */
	section = strstr(text, "Sweep 2_");
	cr_assert(section != NULL && strstr(section, "  L1     .   .  @@   .\n") != NULL &&
		      strstr(section, "  L1     .   .  @@   .\n") < strstr(section, "Sweep 3_"),
		  "%s", text);
	/* Few sets are listed in their order. */
	cr_assert(strstr(text, "all sets, with 95% intervals:\n  movers ") != NULL, "%s", text);
	cr_assert(strstr(text, "over pair, set: logit_diff (14, 2)") != NULL, "%s", text);
	cr_assert(strstr(text, "constant by construction") != NULL);
	cr_assert(strstr(text, "  activations  pattern z\n") != NULL, "%s", text);
	free(text);
	fixture_free(&f);
}
