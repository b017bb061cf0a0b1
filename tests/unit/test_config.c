/* The configuration reader: what it fills in, what it refuses, and where it says so. */
#include "config/nearest.h"
#include "config/schema.h"
#include "patchbay/config.h"
#include "support/text_file.h"

static const char good[] = "model:\n"
			   "  path: some/model\n"
			   "task:\n"
			   "  name: box\n"
			   "  boxes: 3\n"
			   "  moves: 2\n"
			   "sweep:\n"
			   "  - {site: z}\n"
			   "output: out.h5\n";

static void read_good(struct pb_run_config *config, const char *text, const char *const *sets,
		      size_t n_sets, const char *output)
{
	struct pb_error err = {0};

	cr_assert_eq(pb_config_read(config, file_with(text), sets, n_sets, output, &err), PB_OK,
		     "%s", err.message);
	unlink(file_name);
}

/* Refused with PB_ERR_INPUT; the message holds `place` right after the file name, and `words`. */
static void refuse(const char *text, const char *set, const char *place, const char *words)
{
	struct pb_run_config config;
	struct pb_error err = {0};
	char expected[256];
	enum pb_status status;

	status = pb_config_read(&config, file_with(text), &set, set != NULL, NULL, &err);
	unlink(file_name);
	cr_assert_eq(status, PB_ERR_INPUT, "accepted: %s", text);
	(void)snprintf(expected, sizeof expected, "%s%s", set == NULL ? file_name : "", place);
	cr_expect_not_null(strstr(err.message, expected), "no '%s' in: %s", expected, err.message);
	cr_expect_not_null(strstr(err.message, words), "no '%s' in: %s", words, err.message);
	cr_expect_null(config.model_path);
	cr_expect_null(strchr(err.message, '\n'));
}

/* The good text with one part replaced. */
static char *with(const char *old, const char *new)
{
	const char *at = strstr(good, old);
	char *text;

	cr_assert_not_null(at);
	cr_assert_gt(asprintf(&text, "%.*s%s%s", (int)(at - good), good, new, at + strlen(old)), 0);
	return text;
}

static void refuse_with(const char *old, const char *new, const char *place, const char *words)
{
	char *text = with(old, new);

	refuse(text, NULL, place, words);
	free(text);
}

/* ---- what is read ------------------------------------------------------------------------ */

Test(config, defaults_are_filled_in)
{
	struct pb_run_config c;

	read_good(&c, good, NULL, 0, NULL);
	cr_assert_str_eq(c.model_path, "some/model");
	cr_assert_eq(c.bos, PB_BOS_AUTO);
	cr_assert_str_eq(c.task.name, "box");
	cr_assert_eq(c.task.boxes, 3);
	cr_assert_eq(c.task.moves, 2);
	cr_assert_eq(c.task.count, 100);
	cr_assert_eq(c.task.corrupt, PB_CORRUPT_STATE);
	cr_assert_eq(c.task.seed, 0);
	cr_assert_null(c.pairs_path);
	cr_assert_eq(c.n_sweeps, 1);
	cr_assert_eq(c.sweeps[0].intervention, PB_PATCH);
	cr_assert_eq(c.sweeps[0].site, PB_SITE_Z);
	cr_assert_eq(c.sweeps[0].direction, PB_DENOISE);
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_ALL);
	cr_assert(c.sweeps[0].min_gap == 0.1);
	cr_assert_eq(c.metrics, 1u << PB_METRIC_LOGIT_DIFF);
	cr_assert_str_eq(c.backend, "auto");
	cr_assert_eq(c.precision, PB_PRECISION_FP32);
	cr_assert_eq(c.chunk, 0);
	cr_assert_not(c.graphs);
	cr_assert_str_eq(c.output, "out.h5");
	pb_config_free(&c);
}

static const char full[] = "# everything\n"
			   "output: 'a \"b\".h5'\n"
			   "engine: {backend: cpu, precision: fp32, chunk: 7, graphs: on}\n"
			   "metrics: [rank, logit_diff, kl]\n"
			   "sweep:\n"
			   "  site: z\n"
			   "  intervention: patch\n"
			   "  direction: noise\n"
			   "  positions: last\n"
			   "  min_gap: 0.25\n"
			   "pairs: pairs.jsonl\n"
			   "model: {path: m, bos: false}\n";

static const char full_resolved[] = "model:\n"
				    "  path: m\n"
				    "  revision: main\n"
				    "  bos: false\n"
				    "pairs: pairs.jsonl\n"
				    "sweep:\n"
				    "  - intervention: patch\n"
				    "    site: z\n"
				    "    direction: noise\n"
				    "    positions: last\n"
				    "    window: 1\n"
				    "    min_gap: 0.25\n"
				    "readings: [direct_logit_attribution, logit_lens, "
				    "head_scores]\n"
				    "metrics: [logit_diff, rank, kl]\n"
				    "save: []\n"
				    "engine:\n"
				    "  backend: cpu\n"
				    "  precision: fp32\n"
				    "  chunk: 7\n"
				    "  graphs: on\n"
				    "output: \"a \\\"b\\\".h5\"\n";

Test(config, every_key_is_read_and_the_resolved_text_reads_back_as_itself)
{
	struct pb_run_config c, again;

	read_good(&c, full, NULL, 0, NULL);
	cr_assert_eq(c.bos, PB_BOS_FALSE);
	cr_assert_null(c.task.name);
	cr_assert_str_eq(c.pairs_path, "pairs.jsonl");
	cr_assert_eq(c.sweeps[0].direction, PB_NOISE);
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_LAST);
	cr_assert(c.sweeps[0].min_gap == 0.25);
	cr_assert_eq(c.metrics, 1u << PB_METRIC_LOGIT_DIFF | 1u << PB_METRIC_RANK_ANSWER |
				    1u << PB_METRIC_RANK_FOIL | 1u << PB_METRIC_KL_RECIPIENT |
				    1u << PB_METRIC_KL_DONOR);
	cr_assert_eq(c.chunk, 7);
	cr_assert(c.graphs);
	cr_assert_str_eq(c.output, "a \"b\".h5");
	cr_assert_str_eq(c.resolved, full_resolved);
	read_good(&again, c.resolved, NULL, 0, NULL);
	cr_assert_str_eq(again.resolved, c.resolved);
	pb_config_free(&again);
	pb_config_free(&c);
}

Test(config, texts_that_look_like_other_types_keep_their_quotes)
{
	static const char *const outputs[] = {"true",  "12",  "-x",   "a: b", "a #b",
					      "\"q\"", "'q'", "~",    "\t.",  "\\n\n",
					      "null",  ".5",  "é.h5", "a,b"};

	for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
		struct pb_run_config c, again;

		read_good(&c, good, NULL, 0, outputs[i]);
		cr_assert_str_eq(c.output, outputs[i]);
		read_good(&again, c.resolved, NULL, 0, NULL);
		cr_assert_str_eq(again.output, outputs[i]);
		pb_config_free(&again);
		pb_config_free(&c);
	}
}

Test(config, sets_are_applied_in_order)
{
	static const char *const sets[] = {
	    "task.pairs=20", "sweep.0.positions=each", "sweep.0.min_gap=1e-3", "engine.chunk=3",
	    "metrics=[kl]",  "task.pairs=21",          "model.bos=true"};
	static const char *const other_pairs[] = {"task=", "pairs=p.jsonl"};
	struct pb_run_config c;

	read_good(&c, good, sets, sizeof sets / sizeof sets[0], "other.h5");
	cr_assert_eq(c.task.count, 21);
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_EACH);
	cr_assert(c.sweeps[0].min_gap == 1e-3);
	cr_assert_eq(c.chunk, 3);
	cr_assert_eq(c.bos, PB_BOS_TRUE);
	cr_assert(c.metrics >> PB_METRIC_KL_DONOR & 1u);
	cr_assert(c.metrics >> PB_METRIC_LOGIT_DIFF & 1u, "logit_diff is always stored");
	cr_assert_str_eq(c.output, "other.h5");
	pb_config_free(&c);
	read_good(&c, good, other_pairs, 2, NULL);
	cr_assert_null(c.task.name);
	cr_assert_str_eq(c.pairs_path, "p.jsonl");
	pb_config_free(&c);
}

Test(config, a_sweep_may_be_one_map)
{
	static const char *const sets[] = {"sweep.direction=noise", "sweep.0.positions=last"};
	static const char *const whole[] = {"sweep.0={site: z, positions: each}"};
	char *text = with("  - {site: z}", "  {site: z}");
	struct pb_run_config c;

	read_good(&c, text, sets, 2, NULL);
	cr_assert_eq(c.n_sweeps, 1);
	cr_assert_eq(c.sweeps[0].direction, PB_NOISE);
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_LAST);
	pb_config_free(&c);
	read_good(&c, text, whole, 1, NULL);
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_EACH);
	pb_config_free(&c);
	free(text);
}

/* ---- what is refused --------------------------------------------------------------------- */

Test(config, unknown_keys_are_named_with_their_place)
{
	refuse_with("boxes", "boxs", ":5:3 (task.boxs)", "did you mean 'boxes'");
	refuse_with("output", "ouptut", ":9:1 (ouptut)", "did you mean 'output'");
	refuse_with("{site: z}", "{site: z, dirction: noise}", ":8:15 (sweep.dirction)",
		    "did you mean 'direction'");
	refuse_with("path: some/model", "path: some/model\n  branch: main", ":3:3 (model.branch)",
		    "unknown key");
	refuse_with("output: out.h5", "precision: fp32", ":9:1 (precision)",
		    "the keys here are: model, task");
}

Test(config, wrong_types_and_values_are_named_with_their_place)
{
	refuse_with("boxes: 3", "boxes: three", ":5:10 (task.boxes)", "wrong type");
	refuse_with("boxes: 3", "boxes: '3'", ":5:10 (task.boxes)", "wrong type");
	refuse_with("boxes: 3", "boxes: 3.0", ":5:10 (task.boxes)", "wrong type");
	refuse_with("boxes: 3", "boxes: [3]", ":5:10 (task.boxes)", "wrong type");
	refuse_with("boxes: 3", "boxes: 11", ":5:10 (task.boxes)", "out of range");
	refuse_with("boxes: 3", "boxes: -1", ":5:10 (task.boxes)", "out of range");
	refuse_with("boxes: 3", "boxes: 99999999999999999999999", ":5:10", "out of range");
	refuse_with("boxes: 3", "boxes:", ":5:", "no value");
	refuse_with("  boxes: 3\n", "", ":4:3 (task.boxes)", "missing key");
	refuse_with("boxes: 3", "boxes: 2", ":3:1 (task)", "no such pair exists");
	refuse_with("{site: z}", "{site: z, min_gap: .inf}", ":8:24", "wrong type");
	refuse_with("{site: z}", "{site: z, min_gap: -1}", ":8:24", "out of range");
	refuse_with("{site: z}", "{direction: noise}", ":8:5 (sweep.site)", "missing key");
	refuse_with("{site: z}", "z", ":8:5 (sweep)", "wrong type");
	refuse_with("some/model", "''", ":2:9 (model.path)", "no value");
	refuse_with("name: box", "name: boxes", ":4:9 (task.name)", "available: box");
	refuse_with("output:", "metrics: kl\noutput:", ":9:10 (metrics)", "wrong type");
	refuse_with("output:", "metrics: [kl, foo]\noutput:", ":9:15 (metrics)",
		    "'foo' is not known");
	refuse_with("output:", "engine:\noutput:", ":9:", "wrong type");
	refuse_with("some/model", "so\xffme", ":2:11", "not UTF-8");
	refuse(good, "output=\xff", "--set output=\xff", "not UTF-8");
}

Test(config, unknown_words_say_what_there_is)
{
	refuse_with("output:", "engine: {precision: fp8}\noutput:", ":9:21", "fp32, tf32, bf16");
	refuse_with("name: box", "name: boxing", ":4:9", "available: box, dfa");
	refuse_with("output:", "engine: {backend: gpu}\noutput:", ":9:19", "auto, cpu, cuda");
	refuse_with("output:", "engine: {graphs: auto}\noutput:", ":9:18", "off, on");
}

Test(config, exactly_one_source_of_pairs)
{
	refuse_with("output:", "pairs: p.jsonl\noutput:", ":9:1 (pairs)", "two sources");
	refuse("model: {path: m}\nsweep: {site: z}\n", NULL, " (task or pairs)", "missing key");
	refuse("pairs: p\nsweep: {site: z}\n", NULL, " (model)", "missing key");
	refuse("pairs: p\nmodel: {path: m}\n", NULL, " (sweep)", "missing key");
	refuse("pairs: p\nmodel: {path: m}\nsweep: []\n", NULL, ":3:8 (sweep)", "sweeps");
	refuse("pairs: p\nmodel: {bos: true}\nsweep: []\n", NULL, ":2:8 (model.path)", "missing");
}

Test(config, yaml_that_is_not_a_configuration)
{
	refuse("", NULL, "", "empty");
	refuse("# nothing\n", NULL, "", "empty");
	refuse("- a\n- b\n", NULL, "", "not a configuration");
	refuse("just text\n", NULL, "", "not a configuration");
	refuse("a: 1\na: 2\n", NULL, ":2:1 (a)", "duplicate key");
	refuse("model: {path: a, path: b}\n", NULL, ":1:18 (path)", "duplicate key");
	refuse("a: [1, 2\nb: 3\n", NULL, ":", "not valid YAML");
	refuse("a: 1\n\tb: 2\n", NULL, ":", "not valid YAML");
	refuse("a: \"x\n", NULL, ":", "not valid YAML");
	refuse("a: 1\n--- \nb: 2\n", NULL, ":2:1", "more than one YAML document");
	refuse("a: &x 1\nb: *x\n", NULL, ":1:", "anchors and aliases");
	refuse("a: !!str 1\n", NULL, ":1:", "tags");
	refuse("? [a]\n: 1\n", NULL, ":1:3", "key that is not a text");
	refuse("a: \"x\\0y\"\n", NULL, ":1:5", "NUL");
	refuse("\xff\xfe\x61", NULL, ":1:1", "not UTF-8");
	refuse("a: 1\nb: \xc3\n", NULL, ":2:4", "not UTF-8");
}

Test(config, deep_nesting_is_refused)
{
	char text[2001];

	memset(text, '[', 2000);
	text[2000] = '\0';
	refuse(text, NULL, ":1:", "");
}

Test(config, bad_sets_are_named)
{
	refuse(good, "task.pairs", "--set task.pairs", "not an assignment");
	refuse(good, "=3", "--set =3", "not an assignment");
	refuse(good, "task..pairs=3", "--set task..pairs=3", "empty key");
	refuse(good, "task.pairs=many", "--set task.pairs=many (task.pairs)", "wrong type");
	refuse(good, "task.pears=3", "--set task.pears=3 (task.pears)", "did you mean 'pairs'");
	refuse(good, "sweep.1.site=z", "--set sweep.1.site=z", "no such item");
	refuse(good, "sweep.x.site=z", "--set sweep.x.site=z", "no such item");
	refuse(good, "task.boxes.x=3", "--set task.boxes.x=3", "no such item");
	refuse(good, "tusk=", "--set tusk=", "nothing to remove");
	refuse(good, "metrics=[kl", "--set metrics=[kl", "not valid YAML");
}

Test(config, files_that_cannot_be_read)
{
	struct pb_run_config config;
	struct pb_error err = {0};

	cr_assert_eq(pb_config_read(&config, "/nonexistent/run.yaml", NULL, 0, NULL, &err),
		     PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "/nonexistent/run.yaml"));
	err = (struct pb_error){0};
	cr_assert_eq(pb_config_read(&config, "/", NULL, 0, NULL, &err), PB_ERR_INPUT);
}

static const struct pb_key *key_of(const char *path)
{
	for (size_t k = 0; k < pb_n_keys; k++)
		if (strcmp(pb_keys[k].path, path) == 0)
			return &pb_keys[k];
	cr_assert_fail("no key %s", path);
	return NULL;
}

/* Words of the keys are those of the tables: none more, none missing, none twice. */
Test(config, tasks_and_corruptions_have_their_words)
{
	const char *const *names = key_of("task.name")->words;
	const char *const *corruptions = key_of("task.corrupt")->words;
	size_t n = 0;

	for (; pb_tasks[n].name != NULL; n++) {
		cr_assert_not_null(names[n], "task %s is no word", pb_tasks[n].name);
		cr_assert_str_eq(names[n], pb_tasks[n].name);
		cr_assert_eq(pb_task_find(names[n]), &pb_tasks[n]);
		cr_assert(pb_tasks[n].prompt != NULL && pb_tasks[n].summary != NULL);
	}
	cr_assert(n > 0 && names[n] == NULL, "word %s is no task", names[n]);
	for (int c = 0; c < PB_N_CORRUPTIONS; c++) {
		cr_assert_not_null(corruptions[c], "corruption %d has no word", c);
		cr_assert_str_eq(corruptions[c], pb_corruption_name((enum pb_corruption)c));
		for (int other = 0; other < c; other++)
			cr_assert_str_neq(corruptions[c], corruptions[other]);
	}
	cr_assert_null(corruptions[PB_N_CORRUPTIONS]);
}

Test(config, nearest_words)
{
	static const char *const words[] = {"run", "prompts", NULL, "verify", "info"};

	cr_assert_str_eq(pb_nearest_word("prompt", words, 5), "prompts");
	cr_assert_str_eq(pb_nearest_word("rnu", words, 5), "run");
	cr_assert_str_eq(pb_nearest_word("verfiy", words, 5), "verify");
	cr_assert_null(pb_nearest_word("swim", words, 5));
	cr_assert_null(pb_nearest_word("", words, 5));
}
