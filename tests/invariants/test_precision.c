/* Rounded operands of delta products, on the emulated device, against float32: the effects of every
 * head under a model with outlier dimensions keep their digits, where a whole forward pass with the
 * same operands loses them. */
#include <math.h>
#include <stdlib.h>

#include "support/sweep_setup.h"

static const struct pb_sweep denoise = {.intervention = PB_PATCH,
					.site = PB_SITE_Z,
					.direction = PB_DENOISE,
					.positions = PB_POSITIONS_ALL};

/* Twelve layers, two dimensions of the residual stream far larger than the others at every token,
 * as trained models have them. */
static struct pb_model *outlier_model(void)
{
	static const struct tiny_options o = {.n_layers = 12,
					      .n_heads = 4,
					      .n_kv_heads = 4,
					      .d_head = 16,
					      .d_model = 64,
					      .d_mlp = 128,
					      .n_vocab = 40,
					      .n_context = 30,
					      .learned_positions = true,
					      .activation = PB_ACT_GELU_TANH,
					      .scale = 1.5f,
					      .seed = 9};
	struct pb_model *model = tiny_new(&o);
	float *rows = (float *)(uintptr_t)model->embed.data; /* tiny_new made them */

	for (size_t token = 0; token < o.n_vocab; token++) {
		rows[token * o.d_model + 5] = 60.0f + rows[token * o.d_model + 5];
		rows[token * o.d_model + 40] = -90.0f + rows[token * o.d_model + 40];
	}
	return model;
}

/* The plugin is where the tests were told; nothing else of this process looks for one. */
static void find_emulator(void)
{
	const char *dir = getenv("PB_EMU_DIR");

	if (!dir || !*dir)
		cr_skip_test("PB_EMU_DIR is not set (make test sets it)");
	cr_assert_eq(setenv("PB_PLUGIN_DIR", dir, 1), 0);
}

/* Effects [pairs, cells] of the sweep: by waves, or (whole) by forward passes of every variant in
 * which all products are rounded. */
static double *effects(const char *backend, enum pb_precision precision, bool whole, size_t *n)
{
	struct setup s;
	struct at_work a;
	double *ld;

	set_up_on(&s, outlier_model(), false, backend, precision, whole, 1);
	start(&a, &s, &denoise);
	ld = whole ? plain(&s, &a) : sweep(&s, &a, 100000, 100000);
	*n = s.pairs.n * a.grid.n_cells;
	for (size_t i = 0; i < *n; i++)
		ld[i] -= pb_base_logit_diff(&s.run, i / a.grid.n_cells, a.work.recipient);
	finish(&a, &s);
	tear_down(&s);
	return ld;
}

/* Largest deviation from `want`, of the largest effect. */
static double deviation(const double *want, const char *backend, enum pb_precision precision,
			bool whole)
{
	size_t n = 0;
	double *got = effects(backend, precision, whole, &n), worst = 0.0, largest = 0.0;

	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(isnan(got[i]), isnan(want[i]));
		if (isnan(want[i]))
			continue;
		if (!(fabs(got[i] - want[i]) <= worst))
			worst = fabs(got[i] - want[i]);
		largest = fmax(largest, fabs(want[i]));
	}
	cr_assert_gt(largest, 0.02, "effects are too small to test anything: %g", largest);
	free(got);
	if (getenv("PB_TEST_WORST"))
		fprintf(stderr, "%s %s%s: %.3g of the largest effect\n", backend,
			pb_precision_names[precision], whole ? " whole" : "", worst / largest);
	return worst / largest;
}

static void compare(enum pb_precision precision, double delta_most, double whole_least)
{
	size_t n;
	double *want, delta, whole;

	find_emulator();
	want = effects("cpu", PB_PRECISION_FP32, false, &n);
	delta = deviation(want, "cuda", precision, false);
	whole = deviation(want, "cuda", precision, true);
	free(want);
	cr_expect(delta <= delta_most, "deltas are off by %g of the largest effect", delta);
	cr_expect(delta > 1e-7, "nothing was rounded");
	cr_expect(whole >= whole_least,
		  "a whole forward pass is off by no more than %g of the largest effect", whole);
}

Test(precision, fp32)
{
	double *want, delta;
	size_t n;

	find_emulator();
	want = effects("cpu", PB_PRECISION_FP32, false, &n);
	delta = deviation(want, "cuda", PB_PRECISION_FP32, false);
	free(want);
	cr_expect(delta <= 1e-5, "off by %g of the largest effect", delta);
}

Test(precision, tf32)
{
	compare(PB_PRECISION_TF32, 1e-3, 1e-3);
}

Test(precision, bf16)
{
	compare(PB_PRECISION_BF16, 1e-2, 1e-1);
}
