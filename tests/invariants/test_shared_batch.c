/* Prompts whose beginnings are computed once, and of which only the answers go through the last
 * layer's end, against the plain forward of the same prompts: on random models and on those of all
 * families. */
#include <criterion/criterion.h>
#include <dirent.h>

#include "engine/internal.h"
#include "support/tiny_model.h"

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct pb_error error_ = {0}, *err = &error_;                                      \
		cr_assert((expr) == PB_OK, "%s: %s", #expr, error_.message);                       \
	} while (0)

#define N_PROMPTS 24

struct prompts {
	int32_t tokens[N_PROMPTS][64];
	const int32_t *lists[N_PROMPTS];
	size_t lengths[N_PROMPTS], n_tokens;
};

/* Prompts from a tree: each takes another one's beginning, of any length, and goes on by itself.
 * Some are the same, some are beginnings of others, some have one token. */
static void grow(struct prompts *p, size_t n_vocab, size_t longest, uint64_t seed)
{
	struct pb_rng rng;

	pb_rng_seed(&rng, 1, 2, seed, 3);
	p->n_tokens = 0;
	for (size_t i = 0; i < N_PROMPTS; i++) {
		size_t from = i > 0 ? (size_t)pb_rng_below(&rng, i) : 0;
		size_t taken = i > 0 ? (size_t)pb_rng_below(&rng, p->lengths[from] + 1) : 0;
		size_t more = (size_t)pb_rng_below(&rng, 9) + (taken == 0);

		if (taken + more > longest)
			more = longest - taken;
		p->lengths[i] = taken + more > 0 ? taken + more : 1;
		for (size_t k = 0; k < p->lengths[i]; k++)
			p->tokens[i][k] =
			    k < taken ? p->tokens[from][k] : (int32_t)pb_rng_below(&rng, n_vocab);
		p->lists[i] = p->tokens[i];
		p->n_tokens += p->lengths[i];
	}
}

/* The normed residual at each prompt's answer position, [N_PROMPTS, D]. */
static float *answers_of(struct pb_engine *e, const struct prompts *p, bool shared, size_t *n_rows)
{
	size_t D = e->arch.d_model;
	float *out = calloc(N_PROMPTS * D, sizeof *out);
	struct pb_batch batch;
	struct pb_cache cache;

	cr_assert(out != NULL);
	MUST((shared ? pb_batch_new_shared : pb_batch_new)(&batch, e, N_PROMPTS, p->lists,
							   p->lengths, err));
	/* a transient cache may be larger than its batch */
	MUST(pb_cache_new(&cache, e, p->n_tokens + 5, N_PROMPTS + 3, shared, 0, err));
	MUST(pb_forward(e, &batch, &cache, NULL, PB_STAGE_BASE, err));
	MUST(e->ops->download(e->dev, out, cache.n_answer, N_PROMPTS * D * sizeof *out, err));
	*n_rows = batch.n_rows;
	pb_cache_free(&cache, e);
	pb_batch_free(&batch, e);
	return out;
}

static void check_model_on(const struct pb_model *model, const char *backend, const char *name)
{
	size_t D = model->arch.d_model, longest = 40, n_shared = 0, n_rows = 0;
	struct pb_device *dev = NULL;
	struct prompts p;
	struct pb_engine e;

	if (model->arch.n_context < longest)
		longest = model->arch.n_context;
	MUST(pb_device_open(&dev, backend, 2, PB_PRECISION_FP32, err));
	MUST(pb_engine_open(&e, dev, model, longest, 0, err));
	for (uint64_t seed = 0; seed < 3; seed++) {
		float *want, *got;
		double largest = 0.0, worst = 0.0;

		grow(&p, model->arch.n_vocab, longest, seed);
		want = answers_of(&e, &p, false, &n_rows);
		got = answers_of(&e, &p, true, &n_shared);
		cr_assert_eq(n_rows, p.n_tokens);
		cr_assert_lt(n_shared, n_rows, "%s: nothing is shared", name);
		for (size_t i = 0; i < N_PROMPTS * D; i++) {
			double off = fabs((double)want[i] - (double)got[i]);

			cr_assert(isfinite(got[i]), "%s: value %zu", name, i);
			worst = off > worst ? off : worst;
			largest = fabs((double)want[i]) > largest ? fabs((double)want[i]) : largest;
		}
		cr_assert_leq(worst, 2e-6 * largest, "%s: off by %g of %g", name, worst, largest);
		free(want);
		free(got);
	}
	pb_engine_close(&e);
	pb_device_close(dev);
}

static const char *backend_name(void)
{
	const char *name = getenv("PB_TEST_BACKEND");

	return name ? name : "cpu";
}

static void check_tiny(const struct tiny_options *o, const char *name)
{
	struct pb_model *model = tiny_new(o);

	check_model_on(model, backend_name(), name);
	tiny_free(model);
}

#define SMALL                                                                                      \
	.n_layers = 3, .n_heads = 4, .n_kv_heads = 2, .d_head = 8, .d_model = 20, .d_mlp = 24,     \
	.n_vocab = 30, .n_context = 48, .scale = 0.5f

Test(shared_batch, learned_positions)
{
	const struct tiny_options o = {SMALL, .learned_positions = true, .window = 5, .seed = 1};

	check_tiny(&o, "learned positions, a window");
}

Test(shared_batch, rotary_parallel)
{
	const struct tiny_options o = {SMALL, .rotary_dims = 4, .parallel = true, .seed = 2};

	check_tiny(&o, "rotary, parallel");
}

Test(shared_batch, llama)
{
	const struct tiny_options o = {SMALL, .rotary_dims = 8, .llama = true,
				       .logit_softcap = 5.0f, .seed = 3};

	check_tiny(&o, "gated");
}

Test(shared_batch, one_layer)
{
	const struct tiny_options o = {SMALL, .rotary_dims = 8, .seed = 4};
	struct tiny_options one = o;

	one.n_layers = 1;
	check_tiny(&one, "one layer");
}

/* The models that the goldens of the families are of. */
Test(shared_batch, families)
{
	static const char *const folders[] = {"tests/golden/families", "tests/golden/engine"};
	size_t n = 0;

	for (size_t f = 0; f < 2; f++) {
		DIR *directory = opendir(folders[f]);
		struct dirent *entry;

		cr_assert(directory != NULL, "%s", folders[f]);
		while ((entry = readdir(directory)) != NULL) {
			struct pb_model *model = NULL;
			struct pb_error ignored = {0};
			char path[512];

			(void)snprintf(path, sizeof path, "%s/%s", folders[f], entry->d_name);
			if (entry->d_name[0] == '.' ||
			    pb_model_open(&model, path, &ignored) != PB_OK)
				continue;
			check_model_on(model, backend_name(), entry->d_name);
			pb_model_close(model);
			n++;
		}
		closedir(directory);
	}
	cr_assert_geq(n, 20, "%zu models", n);
}

/* What is shared, counted by hand: of five prompts that begin with "1 2 3 4", three go on with
 * "5 6 5"; those share 7 tokens and the two others 4. */
Test(shared_batch, best_cut)
{
	static const int32_t tokens[7][9] = {{1, 2, 3, 4, 5, 6, 5, 7},
					     {1, 2, 3, 4, 9},
					     {1, 2, 3, 4, 5, 6, 5, 8},
					     {2, 2, 2},
					     {1, 2, 3, 4, 5, 6, 5, 9},
					     {1, 2, 3, 4, 8, 8},
					     {2, 2, 2}};
	static const size_t lengths[7] = {8, 5, 8, 3, 8, 6, 3};
	const struct tiny_options o = {SMALL, .rotary_dims = 8, .seed = 4};
	const int32_t *lists[7];
	struct pb_model *model = tiny_new(&o);
	struct pb_device *dev = NULL;
	struct pb_batch batch;
	struct pb_engine e;

	for (size_t i = 0; i < 7; i++)
		lists[i] = tokens[i];
	MUST(pb_device_open(&dev, "cpu", 1, PB_PRECISION_FP32, err));
	MUST(pb_engine_open(&e, dev, model, 16, 0, err));
	MUST(pb_batch_new_shared(&batch, &e, 7, lists, lengths, err));
	/* 7 + 3 x 1, 4 + 1 + 2, 2 + 2 x 1 */
	cr_assert_eq(batch.n_rows, 10 + 7 + 4, "%zu rows", batch.n_rows);
	cr_assert_eq(batch.n_spans, 7 + 3);
	/* every prompt's last row has its last token */
	for (size_t i = 0; i < 7; i++)
		cr_assert_eq(batch.token[batch.answer_row[i]], tokens[i][lengths[i] - 1]);
	pb_batch_free(&batch, &e);
	pb_engine_close(&e);
	pb_device_close(dev);
	tiny_free(model);
}
