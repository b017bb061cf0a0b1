/* Result files: parts to assembled file, what it holds, what is refused. */
#include <sys/stat.h>

#include "unit/results_read.h"

/* Cell (layer, head) of sweep 0, the plain way. */
static double plain_mean(const struct fixture *f, size_t sweep, size_t layer, size_t head,
			 bool restoration)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < f->pairs.n; i++) {
		double value = fixture_value(f, sweep, i, layer, head, SIZE_MAX);
		double clean = fixture_base(i, 0), corrupted = fixture_base(i, 1);

		sum += restoration ? (value - corrupted) / (clean - corrupted)
				   : value - (sweep == 1 ? clean : corrupted);
	}
	return sum / (double)f->pairs.n;
}

/* ---- what the file holds ----------------------------------------------------------------- */

Test(results, raw_values_and_summaries)
{
	struct fixture f;
	double *raw, *effect, *restoration, *p, *low, *high;
	size_t i, l, h;

	fixture_new(&f, 14, 4, true);
	fixture_assemble(&f);
	raw = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/logit_diff", (size_t)14 * 12);
	effect = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/effect", 12);
	restoration = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration", 12);
	p = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/p_fwer", 12);
	low = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration_ci_low", 12);
	high = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration_ci_high", 12);
	for (l = 0; l < 3; l++)
		for (h = 0; h < 4; h++) {
			size_t c = l * 4 + h;

			for (i = 0; i < 14; i++)
				cr_assert_eq(raw[i * 12 + c],
					     fixture_value(&f, 0, i, l, h, SIZE_MAX));
			cr_assert(fabs(effect[c] - plain_mean(&f, 0, l, h, false)) <= 1e-13);
			cr_assert(fabs(restoration[c] - plain_mean(&f, 0, l, h, true)) <= 1e-13);
			cr_assert(low[c] <= restoration[c] && restoration[c] <= high[c]);
		}
	/* L1H2 has an effect of about 2 in every pair: nothing but the identity reaches it. */
	cr_assert(p[6] <= 2e-4 && p[8] <= 2e-4 && p[0] > 0.01);
	cr_assert_eq(read_attribute(&f, "/sweeps/0_patch_z_denoise_all/summary", "n_flips"), 10000);
	cr_assert(fabs(read_attribute(&f, "/sweeps/0_patch_z_denoise_all/summary", "smallest_p") -
		       1 / 10001.0) <= 1e-18);
	free(raw);
	free(effect);
	free(restoration);
	free(p);
	free(low);
	free(high);
	fixture_free(&f);
}

Test(results, noise_keeps_one_as_its_baseline)
{
	struct fixture f;
	double *effect, *restoration, *of_means;

	fixture_new(&f, 5, 5, true);
	fixture_assemble(&f);
	effect = read_doubles(&f, "/sweeps/1_patch_z_noise_last/summary/effect", 12);
	restoration = read_doubles(&f, "/sweeps/1_patch_z_noise_last/summary/restoration", 12);
	of_means =
	    read_doubles(&f, "/sweeps/1_patch_z_noise_last/summary/restoration_of_means", 12);
	cr_assert(fabs(effect[6] - plain_mean(&f, 1, 1, 2, false)) <= 1e-13 && effect[6] < -1.5);
	cr_assert(fabs(restoration[6] - plain_mean(&f, 1, 1, 2, true)) <= 1e-13);
	cr_assert(restoration[6] > 0.5 && restoration[6] < 0.75);
	cr_assert(fabs(restoration[0] - 1) <= 0.01 && fabs(of_means[0] - 1) <= 0.01);
	/* Five pairs: all 32 flips. */
	cr_assert_eq(read_attribute(&f, "/sweeps/1_patch_z_noise_last/summary", "n_flips"), 31);
	cr_assert_eq(read_attribute(&f, "/sweeps/1_patch_z_noise_last/summary", "smallest_p"),
		     1 / 16.0);
	free(effect);
	free(restoration);
	free(of_means);
	fixture_free(&f);
}

Test(results, positions_from_the_end_when_lengths_differ)
{
	/* Lengths 6, 5, 4, 6, ...: cell k of 6 is position k - 6 from the end. */
	struct fixture f;
	double *effect, *n, *axis;
	size_t i, k;

	fixture_new(&f, 8, 3, false);
	fixture_assemble(&f);
	effect = read_doubles(&f, "/sweeps/2_patch_z_denoise_each/summary/effect", 72);
	n = read_doubles(&f, "/sweeps/2_patch_z_denoise_each/summary/n_pairs", 72);
	axis = read_doubles(&f, "/position_from_end", 6);
	for (k = 0; k < 6; k++) {
		double sum = 0, count = 0;

		for (i = 0; i < 8; i++) {
			size_t length = f.pairs.items[i].length;

			if (k + length < 6)
				continue;
			sum += fixture_effect(2, i, 1, 2, length + k - 6);
			count += 1;
		}
		cr_assert_eq(axis[k], (double)k - 6);
		cr_assert_eq(n[36 + k], count);
		cr_assert(fabs(effect[36 + k] - sum / count) <= 1e-13);
	}
	cr_assert_eq(n[0], 3);
	cr_assert(has_dataset(&f, "/sweeps/2_patch_z_denoise_each/logit_diff_mask"));
	cr_assert(has_dataset(&f, "/sweeps/0_patch_z_denoise_all/candidate_logits_mask"));
	cr_assert(!has_dataset(&f, "/sweeps/0_patch_z_denoise_all/logit_diff_mask"));
	free(effect);
	free(n);
	free(axis);
	free(verify_text(&f, PB_OK));
	fixture_free(&f);
}

Test(results, plain_positions_when_lengths_are_equal)
{
	struct fixture f;
	double *effect;
	size_t p, i;

	fixture_new(&f, 6, 4, true);
	fixture_assemble(&f);
	effect = read_doubles(&f, "/sweeps/2_patch_z_denoise_each/summary/effect", 72);
	for (p = 0; p < 6; p++) {
		double sum = 0;

		for (i = 0; i < 6; i++)
			sum += fixture_effect(2, i, 1, 2, p);
		cr_assert(fabs(effect[36 + p] - sum / 6) <= 1e-13);
	}
	cr_assert(!has_dataset(&f, "/position_from_end"));
	cr_assert(!has_dataset(&f, "/sweeps/2_patch_z_denoise_each/logit_diff_mask"));
	free(effect);
	fixture_free(&f);
}

Test(results, distractors_have_no_restoration)
{
	/* Pairs 1 and 3 are distractors: they are in the effect, not in the restoration. */
	struct fixture f;
	double *n, *restoration, *n_effect, sum = 0;
	size_t i;

	fixture_new(&f, 6, 6, true);
	f.pairs.items[1].extra = f.pairs.items[3].extra = "{\"corrupt\": \"distractor\"}";
	fixture_assemble(&f);
	n = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration_n_pairs", 12);
	n_effect = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/n_pairs", 12);
	restoration = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration", 12);
	for (i = 0; i < 6; i++)
		if (i != 1 && i != 3)
			sum += (fixture_value(&f, 0, i, 1, 2, SIZE_MAX) - fixture_base(i, 1)) /
			       (fixture_base(i, 0) - fixture_base(i, 1));
	cr_assert_eq(n[6], 4);
	cr_assert_eq(n_effect[6], 6);
	cr_assert(fabs(restoration[6] - sum / 4) <= 1e-13);
	/* They are right only if the corrupted prompt still gets the same answer: it does not. */
	cr_assert_eq(read_attribute(&f, "/pairs", "n_right"), 4);
	cr_assert_eq(read_attribute(&f, "/pairs", "n_distractor"), 2);
	free(n);
	free(n_effect);
	free(restoration);
	fixture_free(&f);
}

Test(results, only_distractors_is_all_masked)
{
	struct fixture f;
	double *restoration, *mask, *n;
	size_t i;
	char *text;

	fixture_new(&f, 3, 3, true);
	for (i = 0; i < 3; i++)
		f.pairs.items[i].extra = "{\"corrupt\": \"distractor\"}";
	fixture_assemble(&f);
	restoration = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration", 12);
	mask = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration_mask", 12);
	n = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/n_pairs_right", 12);
	for (i = 0; i < 12; i++)
		cr_assert(isnan(restoration[i]) && mask[i] == 1 && n[i] == 0);
	text = verify_text(&f, PB_OK);
	free(text);
	free(restoration);
	free(mask);
	free(n);
	fixture_free(&f);
}

Test(results, small_gaps_are_left_out_and_counted)
{
	struct fixture f;
	double *n, gaps[7];
	size_t i, below = 0;

	fixture_new(&f, 7, 7, true);
	f.sweeps[0].min_gap = 5.5; /* the gaps are 5.5 +- 0.4 */
	for (i = 0; i < 7; i++) {
		gaps[i] = fixture_base(i, 0) - fixture_base(i, 1);
		below += gaps[i] < 5.5;
	}
	cr_assert(below > 0 && below < 7);
	fixture_assemble(&f);
	n = read_doubles(&f, "/sweeps/0_patch_z_denoise_all/summary/restoration_n_pairs", 12);
	cr_assert_eq(n[3], (double)(7 - below));
	cr_assert_eq(read_attribute(&f, "/sweeps/0_patch_z_denoise_all/summary", "n_below_min_gap"),
		     (double)below);
	free(n);
	fixture_free(&f);
}

Test(results, a_long_config_survives)
{
	/* HDF5 has a limit of 64 KB for attributes, which texts of any length must not meet. */
	struct fixture f;
	char *config, *back = NULL;
	const size_t n = 200000;
	hid_t file;

	fixture_new(&f, 2, 2, true);
	config = malloc(n + 1);
	cr_assert(config != NULL);
	memset(config, 'x', n);
	config[n] = '\0';
	f.e.config = config;
	fixture_assemble(&f);
	OK(&f, pb_h5_file_open(&file, f.output, false, PB_ERR_IO, &f.err));
	OK(&f, pb_h5_get_text(file, "config", &back, &f.err));
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	cr_assert_str_eq(back, config);
	free(verify_text(&f, PB_OK));
	free(back);
	free(config);
	fixture_free(&f);
}

Test(results, slurm_ids_are_kept)
{
	struct fixture f;
	char *id = NULL;
	hid_t file;

	cr_assert_eq(setenv("SLURM_JOB_ID", "4711", 1), 0);
	fixture_new(&f, 2, 1, true);
	fixture_assemble(&f);
	OK(&f, pb_h5_file_open(&file, f.output, false, PB_ERR_IO, &f.err));
	OK(&f, pb_h5_get_text(file, "slurm_job_id", &id, &f.err));
	OK(&f, pb_h5_file_close(&file, f.output, &f.err));
	cr_assert_str_eq(id, "4711");
	free(id);
	fixture_free(&f);
}

/* ---- resuming and determinism ------------------------------------------------------------ */

Test(results, resumed_equals_uninterrupted)
{
	struct fixture a, b;
	enum pb_output_state state;
	char difference[512], *x, *y;
	bool done;

	fixture_new(&a, 11, 3, false);
	fixture_new(&b, 11, 3, false);
	OK(&a, pb_output_state(&a.e, &state, difference, sizeof difference, &a.err));
	cr_assert_eq(state, PB_OUTPUT_ABSENT);
	fixture_assemble(&a);
	/* Interrupted: parts 2 and 0 are there, then the run starts again. */
	OK(&b, pb_parts_prepare(&b.e, &b.err));
	fixture_write_part(&b, 2);
	fixture_write_part(&b, 0);
	OK(&b, pb_output_state(&b.e, &state, difference, sizeof difference, &b.err));
	cr_assert_eq(state, PB_OUTPUT_PARTS);
	OK(&b, pb_part_done(&b.e, 0, &done, &b.err));
	cr_assert(done);
	OK(&b, pb_part_done(&b.e, 1, &done, &b.err));
	cr_assert(!done);
	b.e.host = "another-host";
	fixture_write_part(&b, 1);
	fixture_write_part(&b, 3);
	OK(&b, pb_result_assemble(&b.e, &b.err));
	x = all_hashes(&a, a.output);
	y = all_hashes(&b, b.output);
	cr_assert_str_eq(x, y);
	cr_assert(strlen(x) > 5000);
	OK(&b, pb_output_state(&b.e, &state, difference, sizeof difference, &b.err));
	cr_assert_eq(state, PB_OUTPUT_COMPLETE);
	cr_assert(!fixture_has(&b, ".parts"));
	free(x);
	free(y);
	fixture_free(&a);
	fixture_free(&b);
}

Test(results, another_value_changes_the_hashes)
{
	/* The test above could not fail if hashes did not see the values. */
	struct fixture a, b;
	char *x, *y;

	fixture_new(&a, 3, 3, true);
	fixture_new(&b, 3, 3, true);
	b.pairs.items[2].foil_text = "x";
	fixture_assemble(&a);
	fixture_assemble(&b);
	x = all_hashes(&a, a.output);
	y = all_hashes(&b, b.output);
	cr_assert_str_neq(x, y);
	free(x);
	free(y);
	fixture_free(&a);
	fixture_free(&b);
}

Test(results, a_finished_run_whose_parts_stayed_is_complete)
{
	struct fixture f;
	enum pb_output_state state;
	char difference[512];

	fixture_new(&f, 4, 2, true);
	fixture_assemble(&f);
	OK(&f, pb_parts_prepare(&f.e, &f.err));
	fixture_write_part(&f, 0);
	OK(&f, pb_output_state(&f.e, &state, difference, sizeof difference, &f.err));
	cr_assert_eq(state, PB_OUTPUT_COMPLETE);
	cr_assert(!fixture_has(&f, ".parts"));
	fixture_free(&f);
}

Test(results, a_damaged_part_is_computed_again)
{
	struct fixture f;
	char path[160];
	bool done = true;
	FILE *part;

	fixture_new(&f, 4, 2, true);
	fixture_write_parts(&f);
	snprintf(path, sizeof path, "%s.parts/chunk-00001.h5", f.output);
	cr_assert_eq(truncate(path, 5000), 0);
	OK(&f, pb_part_done(&f.e, 1, &done, &f.err));
	cr_assert(!done && !pb_is_file(path));
	/* Not even HDF5. */
	part = fopen(path, "w");
	cr_assert(part != NULL && fputs("nothing", part) >= 0 && fclose(part) == 0);
	OK(&f, pb_part_done(&f.e, 1, &done, &f.err));
	cr_assert(!done && !pb_is_file(path));
	FAILS(&f, pb_result_assemble(&f.e, &f.err), PB_ERR_INPUT, "missing part");
	f.err = (struct pb_error){0};
	fixture_write_part(&f, 1);
	OK(&f, pb_result_assemble(&f.e, &f.err));
	fixture_free(&f);
}

Test(results, a_part_changed_through_hdf5_is_computed_again)
{
	/* The checksums of HDF5 are right then, that of the part is not. */
	const double value = 1;
	struct fixture f;
	char path[160];
	bool done = true;
	hid_t file, dataset;

	fixture_new(&f, 1, 1, true);
	fixture_write_parts(&f);
	OK(&f, pb_part_done(&f.e, 0, &done, &f.err));
	cr_assert(done);
	snprintf(path, sizeof path, "%s.parts/chunk-00000.h5", f.output);
	OK(&f, pb_h5_file_open(&file, path, true, PB_ERR_IO, &f.err));
	dataset = H5Dopen2(file, "base.clean.logit_diff", H5P_DEFAULT);
	cr_assert(dataset >= 0);
	OK(&f, pb_h5_write_rows(dataset, "logit_diff", H5T_NATIVE_DOUBLE, 0, 1, &value, &f.err));
	OK(&f, pb_h5_dataset_close(&dataset, "logit_diff", &f.err));
	OK(&f, pb_h5_file_close(&file, path, &f.err));
	OK(&f, pb_part_done(&f.e, 0, &done, &f.err));
	cr_assert(!done && !pb_is_file(path));
	fixture_free(&f);
}

/* ---- other experiments --------------------------------------------------------------------- */

Test(results, another_experiment_is_refused_with_the_difference)
{
	struct fixture f;
	enum pb_output_state state;
	char difference[1024];

	fixture_new(&f, 4, 4, true);
	fixture_assemble(&f);
	f.e.identity = "task:\n  name: box\n  pairs: 9\nprecision: fp32\n";
	f.e.model_sha256 = "cccc";
	OK(&f, pb_output_state(&f.e, &state, difference, sizeof difference, &f.err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	cr_assert(strstr(difference, "there:   pairs: 4") != NULL, "%s", difference);
	cr_assert(strstr(difference, "here:   pairs: 9") != NULL, "%s", difference);
	cr_assert(strstr(difference, "the model differs") != NULL, "%s", difference);
	cr_assert(strstr(difference, "the pairs differ") == NULL, "%s", difference);
	cr_assert(strstr(difference, "precision") == NULL, "%s", difference);
	/* A short buffer is filled and ended. */
	OK(&f, pb_output_state(&f.e, &state, difference, 20, &f.err));
	cr_assert_eq(strlen(difference), 19u);
	OK(&f, pb_output_remove(&f.e, &f.err));
	OK(&f, pb_output_state(&f.e, &state, difference, sizeof difference, &f.err));
	cr_assert_eq(state, PB_OUTPUT_ABSENT);
	fixture_free(&f);
}

Test(results, parts_of_another_experiment_are_refused)
{
	struct fixture f;
	enum pb_output_state state;
	char difference[1024];
	bool done;

	fixture_new(&f, 4, 2, true);
	fixture_write_parts(&f);
	f.e.pairs_sha256 = "dddd";
	OK(&f, pb_output_state(&f.e, &state, difference, sizeof difference, &f.err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	cr_assert(strstr(difference, "the pairs differ") != NULL, "%s", difference);
	FAILS(&f, pb_part_done(&f.e, 0, &done, &f.err), PB_ERR_INPUT, "another experiment");
	f.err = (struct pb_error){0};
	OK(&f, pb_output_remove(&f.e, &f.err));
	cr_assert(!fixture_has(&f, ".parts"));
	fixture_free(&f);
}

Test(results, other_things_at_the_output)
{
	struct fixture f;
	enum pb_output_state state;
	char difference[256];
	FILE *file;

	fixture_new(&f, 2, 2, true);
	file = fopen(f.output, "w");
	cr_assert(file != NULL && fputs("a letter", file) >= 0 && fclose(file) == 0);
	OK(&f, pb_output_state(&f.e, &state, difference, sizeof difference, &f.err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	cr_assert_str_eq(difference, "it is not a result file");
	cr_assert(!pb_is_hdf5(f.output));
	OK(&f, pb_output_remove(&f.e, &f.err));
	cr_assert_eq(mkdir(f.output, 0777), 0);
	OK(&f, pb_output_state(&f.e, &state, difference, sizeof difference, &f.err));
	cr_assert_eq(state, PB_OUTPUT_OTHER);
	FAILS(&f, pb_output_remove(&f.e, &f.err), PB_ERR_INPUT, "is a folder");
	fixture_free(&f);
}

/* ---- checks ------------------------------------------------------------------------------ */

Test(results, resid_pre_off_the_donor_fails)
{
	struct fixture f;
	struct pb_chunk_values *v;

	fixture_new(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	/* 1e-3 of the largest gap (5.5) and 1e-5 of the largest logit (8.5): 5.6e-3. */
	v->checks.resid_pre_deviation[1] = 7e-3;
	refuse(&f, v, "resid_pre patched at layer 1 (chunk 0) is 0.007");
	fixture_free(&f);
}

Test(results, resid_pre_that_is_not_a_number_fails)
{
	struct fixture f;
	struct pb_chunk_values *v;

	fixture_new(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	v->checks.resid_pre_deviation[0] = NAN;
	refuse(&f, v, "resid_pre patched at layer 0");
	fixture_free(&f);
}

Test(results, a_variant_off_the_plain_forward_fails)
{
	struct fixture f;
	struct pb_chunk_values *v;

	fixture_new(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	/* 1e-3 of the largest effect (about 2.1) and 1e-5 of 8.5: 2.2e-3. */
	v->checks.variants[0].logit_diff_plain += 2.5e-3;
	refuse(&f, v, "sweep 0, pair 0, cell 6 (L1H2)");
	fixture_free(&f);
}

Test(results, a_variant_that_the_file_holds_otherwise_fails)
{
	struct fixture f;
	struct pb_chunk_values *v;

	fixture_new(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	v->checks.variants[0].cell = 5; /* the check looked at another head than it says */
	refuse(&f, v, "in the file");
	fixture_free(&f);
}

Test(results, tolerances_just_pass)
{
	struct fixture f;
	struct pb_chunk_values *v;

	fixture_new(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	v->checks.resid_pre_deviation[1] = 5e-3;
	v->checks.variants[0].logit_diff_plain += 1.8e-3;
	OK(&f, pb_parts_prepare(&f.e, &f.err));
	OK(&f, pb_part_write(&f.e, v, &f.err));
	pb_chunk_values_free(v);
	OK(&f, pb_result_assemble(&f.e, &f.err));
	free(verify_text(&f, PB_OK));
	fixture_free(&f);
}

Test(results, a_run_that_checked_nothing_fails)
{
	struct fixture f;
	struct pb_chunk_values *v;

	fixture_new(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	v->checks.n_variants = 0;
	refuse(&f, v, "no variant was recomputed");
	fixture_free(&f);
	fixture_new(&f, 2, 2, true);
	v = fixture_chunk(&f, 0);
	v->checks.n_resid_pre_pairs = 0;
	refuse(&f, v, "resid_pre was patched in no pair");
	fixture_free(&f);
}

Test(results, values_that_are_not_finite_fail)
{
	struct fixture f;
	struct pb_chunk_values *v;

	fixture_new(&f, 2, 2, false);
	v = fixture_chunk(&f, 0);
	((float *)v->sweeps[1].metric[PB_METRIC_KL_DONOR])[12 + 5] = INFINITY;
	refuse(&f, v, "sweep 1, kl_donor of pair 1, L1H1");
	fixture_free(&f);
	fixture_new(&f, 2, 2, false);
	v = fixture_chunk(&f, 0);
	/* Pair 1 has five tokens: its sixth position must be NaN. */
	((double *)v->sweeps[2].metric[PB_METRIC_LOGIT_DIFF])[72 + 5] = 0;
	refuse(&f, v, "where nothing belongs");
	fixture_free(&f);
	fixture_new(&f, 2, 2, false);
	v = fixture_chunk(&f, 0);
	v->base[1].prob_foil[1] = NAN;
	refuse(&f, v, "corrupted prompt of pair 1: prob_foil");
	fixture_free(&f);
}

/* ---- the output -------------------------------------------------------------------------- */

Test(results, an_unwritable_output_leaves_nothing)
{
	struct fixture f;
	char output[160];

	fixture_new(&f, 2, 2, true);
	snprintf(output, sizeof output, "%s/missing/box.h5", f.folder);
	f.e.output = output;
	FAILS(&f, pb_parts_prepare(&f.e, &f.err), PB_ERR_INPUT, "missing");
	/* The folder is as empty as it was. */
	cr_assert_eq(rmdir(f.folder), 0);
	cr_assert_eq(mkdir(f.folder, 0777), 0);
	fixture_free(&f);
}

Test(results, what_a_dead_process_left_is_removed)
{
	struct fixture f;
	char stale[160];
	FILE *file;

	fixture_new(&f, 2, 2, true);
	/* Linux gives no process this number. */
	snprintf(stale, sizeof stale, "%s.tmp.%d", f.output, 1 << 30);
	file = fopen(stale, "w");
	cr_assert(file != NULL && fclose(file) == 0);
	fixture_assemble(&f);
	cr_assert(!pb_is_file(stale));
	fixture_free(&f);
}

Test(results, not_a_result_file)
{
	struct fixture f;
	FILE *out = fopen("/dev/null", "w");

	cr_assert(out != NULL);
	fixture_new(&f, 2, 2, true);
	FAILS(&f, pb_result_verify("/nonexistent.h5", out, &f.err), PB_ERR_INPUT, "/nonexistent");
	FAILS(&f, pb_result_describe("/etc/passwd", out, &f.err), PB_ERR_INPUT,
	      "not a result file");
	FAILS(&f, pb_result_print_summary("/etc", 5, out, &f.err), PB_ERR_INPUT, "/etc");
	cr_assert_eq(fclose(out), 0);
	fixture_free(&f);
}

/* ---- words ------------------------------------------------------------------------------- */

Test(results, description_and_summary)
{
	struct fixture f;
	char *text = NULL;
	size_t size;
	FILE *out;

	fixture_new(&f, 9, 4, true);
	fixture_assemble(&f);
	out = open_memstream(&text, &size);
	cr_assert(out != NULL);
	OK(&f, pb_result_describe(f.output, out, &f.err));
	cr_assert_eq(fclose(out), 0);
	cr_assert(strstr(text, "0_patch_z_denoise_all") != NULL, "%s", text);
	cr_assert(strstr(text, "logit_diff (9, 3, 4, 6)") != NULL, "%s", text);
	cr_assert(strstr(text, "    task:\n      name: box") != NULL, "%s", text);
	free(text);
	text = NULL;
	out = open_memstream(&text, &size);
	cr_assert(out != NULL);
	OK(&f, pb_result_print_summary(f.output, 2, out, &f.err));
	cr_assert_eq(fclose(out), 0);
	/* The strongest head comes first, restoration about 2 / 5.5; the map shades it darkest. */
	cr_assert(strstr(text, "  L1H2    restoration  +0.3") != NULL, "%s", text);
	cr_assert(strstr(text, "  L1     .   .  @@   .") != NULL, "%s", text);
	cr_assert(strstr(text, "  L2   -;;   .   .   .") != NULL, "%s", text);
	cr_assert(strstr(text, "restoration-1  -0.3") != NULL, "%s", text);
	cr_assert(strstr(text, "  L1H2 at 1") != NULL, "%s", text);
	cr_assert(strstr(text, "2 of 12 heads carry 90%") != NULL, "%s", text);
	cr_assert(strstr(text, "right about 9 of 9 pairs") != NULL, "%s", text);
	cr_assert(strchr(text, '\033') == NULL);
	free(text);
	fixture_free(&f);
}

Test(results, every_grid_is_written_and_verified)
{
	struct fixture f;
	char *text;

	fixture_new(&f, 8, 3, false);
	fixture_extend(&f);
	fixture_assemble(&f);
	text = verify_text(&f, PB_OK);
	cr_assert(strstr(text, "/sweeps/7_path_head_to_v_denoise_freeze_all/logit_diff_mask") !=
		      NULL,
		  "%s", text);
	free(text);
	fixture_free(&f);
}

/* Sample files for tests/golden/check_file.py, where PB_SAMPLE_DIR says. */
Test(results, sample_files)
{
	static const char *const names[] = {"equal", "ragged", "all"};
	const char *folder = getenv("PB_SAMPLE_DIR");
	int i;

	for (i = 0; folder != NULL && i < 3; i++) {
		struct fixture f;
		char path[512];

		fixture_new(&f, 13 + (size_t)i, 4, i == 0);
		snprintf(path, sizeof path, "%s/%s.h5", folder, names[i]);
		f.e.output = path;
		(void)unlink(path);
		if (i == 2) {
			fixture_extend(&f);
			f.e.metrics = 1u << PB_METRIC_CANDIDATE_LOGITS | 1u << PB_METRIC_KL_DONOR;
		}
		fixture_assemble(&f);
		fixture_free(&f);
	}
}
