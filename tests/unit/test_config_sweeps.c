/* The keys of a sweep: what is read, what fits what, and where a refusal points. */
#include <criterion/criterion.h>
#include <dirent.h>

#include "config/schema.h"
#include "support/text_file.h"

/* A configuration whose one sweep is this line; it begins at line 3, column 5. */
static char *with_row(const char *row)
{
	return pb_format("model: {path: m}\nsweep:\n  - %s\npairs: p.jsonl\n", row);
}

static enum pb_status read_text(struct pb_run_config *config, const char *text,
				const char *const *sets, size_t n_sets, struct pb_error *err)
{
	enum pb_status status = pb_config_read(config, file_with(text), sets, n_sets, NULL, err);

	unlink(file_name);
	return status;
}

/* Read, and read again from what was resolved: the same text. */
static void read_row(struct pb_run_config *config, const char *row)
{
	struct pb_run_config again;
	struct pb_error err = {0};
	char *text = with_row(row);

	cr_assert_eq(read_text(config, text, NULL, 0, &err), PB_OK, "%s: %s", row, err.message);
	cr_assert_eq(read_text(&again, config->resolved, NULL, 0, &err), PB_OK, "%s: %s\n%s", row,
		     err.message, config->resolved);
	cr_assert_str_eq(again.resolved, config->resolved);
	pb_config_free(&again);
	free(text);
}

/* Refused with PB_ERR_INPUT; `place` ("15 (sweep.alpha)") follows the file's name and line 3. */
static void refuse_row(const char *row, const char *place, const char *words)
{
	struct pb_run_config config;
	struct pb_error err = {0};
	char *text = with_row(row), expected[256];

	cr_assert_eq(read_text(&config, text, NULL, 0, &err), PB_ERR_INPUT, "accepted: %s", row);
	(void)snprintf(expected, sizeof expected, "%s:3:%s", file_name, place);
	cr_expect_not_null(strstr(err.message, expected), "%s: no '%s' in: %s", row, expected,
			   err.message);
	cr_expect_not_null(strstr(err.message, words), "%s: no '%s' in: %s", row, words,
			   err.message);
	cr_expect_null(strchr(err.message, '\n'));
	cr_expect_null(config.resolved);
	free(text);
}

/* ---- words -------------------------------------------------------------------------------- */

static const struct pb_key *find_key(const char *path)
{
	for (size_t k = 0; k < pb_n_keys; k++)
		if (strcmp(pb_keys[k].path, path) == 0)
			return &pb_keys[k];
	cr_assert_fail("no key %s", path);
	return NULL;
}

/* The config's words are the names of sweep.h, in the enums' order. */
static void same_words(const char *path, const char *const *names, size_t n_names, size_t n_words)
{
	const struct pb_key *key = find_key(path);

	for (size_t i = 0; i < n_words; i++) {
		cr_assert_not_null(key->words[i], "%s", path);
		if (key->words[i][0] != '\0')
			cr_assert_str_eq(key->words[i], names[i], "%s", path);
	}
	cr_assert_leq(n_words, n_names);
	cr_assert_null(key->words[n_words], "%s has more words", path);
}

Test(config_sweeps, words_are_the_names_of_the_enums)
{
	const struct pb_key *save = find_key("save");

	same_words("sweep.intervention", pb_intervention_names, PB_N_INTERVENTIONS,
		   PB_N_INTERVENTIONS);
	same_words("sweep.site", pb_site_names, PB_N_SITES, PB_N_SITES);
	same_words("sweep.direction", pb_direction_names, PB_N_DIRECTIONS, PB_N_DIRECTIONS);
	same_words("sweep.positions", pb_positions_names, PB_N_POSITIONS, PB_POSITIONS_LIST);
	same_words("sweep.reference.over", pb_reference_over_names, 3, PB_OVER_FILE);
	same_words("sweep.reference.by", pb_reference_by_names, 3, 3);
	same_words("sweep.sender", pb_sender_names, PB_N_SENDERS, PB_N_SENDERS);
	same_words("sweep.receiver", pb_receiver_names, PB_N_RECEIVERS, PB_RECEIVER_SET);
	same_words("sweep.freeze", pb_freeze_names, PB_N_FREEZES, PB_N_FREEZES);
	for (size_t s = 0; s < PB_N_SITES; s++)
		cr_assert_str_eq(save->words[s], find_key("sweep.site")->words[s]);
	cr_assert_str_eq(save->words[PB_N_SITES], "control");
	cr_assert_null(save->words[PB_N_SITES + 1]);
}

/* Every site with every intervention: accepted and itself again, or refused for a reason. */
Test(config_sweeps, every_intervention_at_every_site)
{
	static const char *const more[PB_N_INTERVENTIONS] = {
	    [PB_SCALE] = ", alpha: 0.5", [PB_ADD] = ", vector: v", [PB_PROJECT] = ", subspace: s"};

	for (int i = 0; i < PB_PATH; i++)
		for (int s = 0; s < PB_N_SITES; s++) {
			char *row =
			    pb_format("{intervention: %s, site: %s%s}", pb_intervention_names[i],
				      pb_site_names[s], more[i] == NULL ? "" : more[i]);
			const bool donor = i == PB_PATCH || i == PB_PROJECT || i == PB_CONTROL;
			struct pb_run_config c;

			if (s == PB_SITE_MLP_PRE) {
				refuse_row(row, "", "site 'mlp_pre' is not known");
			} else if (s == PB_SITE_PATTERN &&
				   (i == PB_ADD || i == PB_PROJECT || i == PB_CONTROL)) {
				refuse_row(row, "20 (sweep.intervention)", "does not fit pattern");
			} else {
				read_row(&c, row);
				cr_assert_eq(c.sweeps[0].intervention, (enum pb_intervention)i);
				cr_assert_eq(c.sweeps[0].site, (enum pb_site)s);
				cr_assert_eq(c.sweeps[0].direction, donor ? PB_DENOISE : PB_NOISE,
					     "%s", row);
				cr_assert_eq(c.sweeps[0].window, 1);
				cr_assert_eq(c.sweeps[0].by_sets, false);
				pb_config_free(&c);
			}
			free(row);
		}
}

/* ---- what is read ------------------------------------------------------------------------- */

Test(config_sweeps, positions)
{
	struct pb_run_config c;
	const struct pb_sweep *s;

	read_row(&c, "{site: z, positions: [3, -1, 0]}");
	s = &c.sweeps[0];
	cr_assert_eq(s->positions, PB_POSITIONS_LIST);
	cr_assert_eq(s->n_list, 3);
	cr_assert(s->list[0] == 3 && s->list[1] == -1 && s->list[2] == 0);
	pb_config_free(&c);
	read_row(&c, "{site: z, positions: [object, '3', \"the end\"]}");
	s = &c.sweeps[0];
	cr_assert_eq(s->positions, PB_POSITIONS_ROLES);
	cr_assert_eq(s->n_roles, 3);
	cr_assert_str_eq(s->roles[0], "object");
	cr_assert_str_eq(s->roles[1], "3");
	cr_assert_str_eq(s->roles[2], "the end");
	pb_config_free(&c);
	read_row(&c, "{site: pattern, positions: each_key}");
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_EACH_KEY);
	pb_config_free(&c);
	read_row(&c, "{site: embed, positions: each}");
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_EACH);
	pb_config_free(&c);
}

Test(config_sweeps, factors_vectors_and_seeds)
{
	struct pb_run_config c;

	read_row(&c, "{site: z, intervention: scale, alpha: [0, 0.1, -2, 1e-3]}");
	cr_assert_eq(c.sweeps[0].n_alphas, 4);
	cr_assert(c.sweeps[0].alphas[1] == 0.1 && c.sweeps[0].alphas[2] == -2 &&
		  c.sweeps[0].alphas[3] == 1e-3);
	pb_config_free(&c);
	read_row(&c, "{site: z, intervention: add, vector: 'a b.safetensors'}");
	cr_assert_eq(c.sweeps[0].n_alphas, 1);
	cr_assert(c.sweeps[0].alphas[0] == 1);
	cr_assert_str_eq(c.sweeps[0].vector, "a b.safetensors");
	cr_assert_null(c.sweeps[0].subspace);
	pb_config_free(&c);
	read_row(&c, "{site: resid_pre, intervention: project, subspace: s, direction: noise}");
	cr_assert_str_eq(c.sweeps[0].subspace, "s");
	cr_assert_eq(c.sweeps[0].direction, PB_NOISE);
	cr_assert_eq(c.sweeps[0].n_alphas, 0);
	pb_config_free(&c);
	read_row(&c, "{site: z, intervention: resample, seed: 7}");
	cr_assert_eq(c.sweeps[0].seed, 7);
	pb_config_free(&c);
	read_row(&c, "{site: z, intervention: control, seed: 9223372036854775807}");
	cr_assert_eq(c.sweeps[0].seed, INT64_MAX);
	pb_config_free(&c);
}

Test(config_sweeps, references)
{
	struct pb_run_config c;

	read_row(&c, "{site: z, intervention: mean}");
	cr_assert_eq(c.sweeps[0].reference_over, PB_OVER_CLEAN);
	cr_assert_eq(c.sweeps[0].reference_by, PB_BY_OVERALL);
	cr_assert_null(c.sweeps[0].reference_path);
	pb_config_free(&c);
	read_row(&c, "{site: z, intervention: mean, reference: {over: corrupted, by: role}}");
	cr_assert_eq(c.sweeps[0].reference_over, PB_OVER_CORRUPTED);
	cr_assert_eq(c.sweeps[0].reference_by, PB_BY_ROLE);
	pb_config_free(&c);
	read_row(&c, "{site: z, intervention: mean, reference: {over: ./clean}}");
	cr_assert_eq(c.sweeps[0].reference_over, PB_OVER_FILE);
	cr_assert_str_eq(c.sweeps[0].reference_path, "./clean");
	pb_config_free(&c);
	read_row(&c, "{site: pattern, intervention: mean}");
	cr_assert_eq(c.sweeps[0].reference_by, PB_BY_POSITION);
	pb_config_free(&c);
	read_row(&c, "{site: pattern, intervention: mean, reference: {by: position}}");
	pb_config_free(&c);
}

Test(config_sweeps, parts_of_the_grid)
{
	struct pb_run_config c;
	const struct pb_sweep *s;

	read_row(&c, "{site: k, layers: [0, 3], heads: [1], window: 3}");
	s = &c.sweeps[0];
	cr_assert(s->n_layers == 2 && s->layers[0] == 0 && s->layers[1] == 3);
	cr_assert(s->n_heads == 1 && s->heads[0] == 1);
	cr_assert_eq(s->window, 3);
	pb_config_free(&c);
	read_row(&c, "{site: mlp_post, layers: [2], neurons: all}");
	cr_assert(c.sweeps[0].neurons && c.sweeps[0].n_neurons == 0);
	cr_assert_null(c.sweeps[0].neuron_list);
	cr_assert_eq(c.sweeps[0].window, 1);
	pb_config_free(&c);
	read_row(&c, "{site: mlp_post, layers: [2], neurons: [0, 17]}");
	cr_assert(c.sweeps[0].neurons && c.sweeps[0].n_neurons == 2 &&
		  c.sweeps[0].neuron_list[1] == 17);
	pb_config_free(&c);
}

Test(config_sweeps, sets)
{
	struct pb_run_config c;
	const struct pb_sweep *s;

	read_row(&c, "{sets: {name movers: [L0H7, M3], \"2\": [M0], top: {file: f.h5, sweep: 1, k: "
		     "5}, random: {size: 2, count: 10, seed: 3}, pairs: all}, complement: true}");
	s = &c.sweeps[0];
	cr_assert_eq(s->site, PB_SITE_Z);
	cr_assert(s->by_sets && s->complement);
	cr_assert_eq(s->n_sets, 2);
	cr_assert_str_eq(s->sets[0].name, "name movers");
	cr_assert_eq(s->sets[0].n, 2);
	cr_assert(s->sets[0].members[0].layer == 0 && s->sets[0].members[0].head == 7);
	cr_assert(s->sets[0].members[1].layer == 3 && s->sets[0].members[1].head == -1);
	cr_assert_str_eq(s->sets[1].name, "2");
	cr_assert_str_eq(s->set_sources.top_path, "f.h5");
	cr_assert_str_eq(s->set_sources.top_sweep, "1");
	cr_assert_eq(s->set_sources.top, 5);
	cr_assert(s->set_sources.random_size == 2 && s->set_sources.random_count == 10 &&
		  s->set_sources.random_seed == 3 && !s->set_sources.random_match_layer);
	cr_assert(s->set_sources.all_pairs);
	cr_assert_eq(s->window, 1);
	pb_config_free(&c);
	read_row(&c, "{site: v, sets: {a: [L0H0]}}");
	s = &c.sweeps[0];
	cr_assert(s->site == PB_SITE_V && !s->complement);
	cr_assert_null(s->set_sources.top_path);
	cr_assert(s->set_sources.random_count == 0 && !s->set_sources.all_pairs);
	pb_config_free(&c);
	read_row(&c, "{sets: {a: [L0H0, M1], random: {count: 1, match: layer}}}");
	cr_assert(c.sweeps[0].set_sources.random_match_layer &&
		  c.sweeps[0].set_sources.random_size == 0);
	pb_config_free(&c);
	read_row(&c, "{sets: {a: [L0H0, M1], random: {size: 1, count: 1, match: layer}}}");
	pb_config_free(&c);
	read_row(&c, "{sets: {a: [L0H0], random: {size: each, count: 3}}}");
	cr_assert_eq(c.sweeps[0].set_sources.random_size, PB_SIZE_EACH);
	cr_assert_not_null(strstr(c.resolved, "size: each"));
	pb_config_free(&c);
	read_row(&c, "{sets: {empty: [], a: [L0H0]}, complement: true}");
	cr_assert(c.sweeps[0].n_sets == 2 && c.sweeps[0].sets[0].n == 0);
	cr_assert_not_null(strstr(c.resolved, "empty: []"));
	pb_config_free(&c);
	read_row(&c, "{sets: {top: {file: f, layers: [10, 12]}, random: {size: each, count: 1}}}");
	cr_assert(c.sweeps[0].set_sources.n_top_layers == 2 &&
		  c.sweeps[0].set_sources.top_layers[1] == 12 && c.sweeps[0].set_sources.top == 0);
	pb_config_free(&c);
	read_row(&c, "{sets: {top: {file: f, k: 1}}}");
	cr_assert_null(c.sweeps[0].set_sources.top_sweep);
	cr_assert_eq(c.sweeps[0].n_sets, 0);
	pb_config_free(&c);
	/* Names and labels stand in the resolved file as they were written. */
	read_row(&c, "{sets: {\"a: b\": [L10H0, M2]}, intervention: zero}");
	cr_assert_not_null(strstr(c.resolved, "      \"a: b\": [L10H0, M2]\n"));
	cr_assert_eq(c.sweeps[0].direction, PB_NOISE);
	pb_config_free(&c);
}

Test(config_sweeps, paths)
{
	struct pb_run_config c;
	const struct pb_sweep *s;

	read_row(&c, "{intervention: path, sender: head, receiver: v, layers: [0, 1], heads: [2], "
		     "receiver_layers: [3], receiver_heads: [0, 1], freeze: attention}");
	s = &c.sweeps[0];
	cr_assert(s->sender == PB_SENDER_HEAD && s->receiver == PB_RECEIVER_V);
	cr_assert_eq(s->freeze, PB_FREEZE_ATTENTION);
	cr_assert(s->n_layers == 2 && s->n_heads == 1 && s->n_receiver_layers == 1 &&
		  s->n_receiver_heads == 2);
	cr_assert(s->receiver_layers[0] == 3 && s->receiver_heads[1] == 1);
	cr_assert_eq(s->direction, PB_DENOISE);
	cr_assert_eq(s->site, PB_SITE_Z);
	pb_config_free(&c);
	read_row(&c, "{intervention: path, sender: mlp, receiver: [L9H6.q, L9H2.k, L0H1.v, M7, "
		     "logits], positions: [-1]}");
	s = &c.sweeps[0];
	cr_assert_eq(s->receiver, PB_RECEIVER_SET);
	cr_assert_eq(s->freeze, PB_FREEZE_ALL);
	cr_assert_eq(s->site, PB_SITE_MLP_OUT);
	cr_assert_eq(s->n_receivers, 5);
	cr_assert(s->receivers[0].kind == PB_RECEIVER_Q && s->receivers[0].layer == 9 &&
		  s->receivers[0].head == 6);
	cr_assert_eq(s->receivers[1].kind, PB_RECEIVER_K);
	cr_assert_eq(s->receivers[2].kind, PB_RECEIVER_V);
	cr_assert(s->receivers[3].kind == PB_RECEIVER_MLP && s->receivers[3].layer == 7 &&
		  s->receivers[3].head == -1);
	cr_assert(s->receivers[4].kind == PB_RECEIVER_LOGITS && s->receivers[4].layer == -1);
	pb_config_free(&c);
	read_row(&c, "{intervention: path, sender: embed, receiver: logits, positions: last}");
	cr_assert(c.sweeps[0].sender == PB_SENDER_EMBED &&
		  c.sweeps[0].receiver == PB_RECEIVER_LOGITS);
	pb_config_free(&c);
}

Test(config_sweeps, readings_and_saved_sites)
{
	static const struct {
		const char *set;
		unsigned readings, save;
		bool control;
	} cases[] = {
	    {"readings=all", 31, 0, false},
	    {"readings=none", 0, 0, false},
	    {"readings=[]", 0, 0, false},
	    {"readings=[composition, logit_lens]", 18, 0, false},
	    {"save=[control]", 7, 0, true},
	    {"save=[resid_post, embed, control]", 7, 1u << PB_SITE_EMBED | 1u << PB_SITE_RESID_POST,
	     true},
	};
	struct pb_run_config c;

	read_row(&c, "{site: z}");
	cr_assert(c.readings == 7 && c.save == 0 && !c.save_control);
	pb_config_free(&c);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *text = with_row("{site: z}");
		struct pb_error err = {0};
		struct pb_run_config again;

		cr_assert_eq(read_text(&c, text, &cases[i].set, 1, &err), PB_OK, "%s: %s",
			     cases[i].set, err.message);
		cr_assert_eq(c.readings, cases[i].readings, "%s", cases[i].set);
		cr_assert_eq(c.save, cases[i].save, "%s", cases[i].set);
		cr_assert_eq(c.save_control, cases[i].control, "%s", cases[i].set);
		cr_assert_eq(read_text(&again, c.resolved, NULL, 0, &err), PB_OK, "%s",
			     err.message);
		cr_assert_str_eq(again.resolved, c.resolved);
		pb_config_free(&again);
		pb_config_free(&c);
		free(text);
	}
}

Test(config_sweeps, assignments_reach_every_key)
{
	static const char *const sets[] = {
	    "sweep.0.positions=each",      "sweep.1.sets.circuit=[L1H1]",
	    "sweep.1.sets.random.count=4", "sweep.1.sets.random.size=2",
	    "sweep.0.intervention=mean",   "sweep.0.reference.by=position",
	    "sweep.1.sets.first=",
	};
	struct pb_run_config c;
	struct pb_error err = {0};
	char *text = with_row("{site: z}\n  - {sets: {first: [L0H0]}}");

	cr_assert_eq(read_text(&c, text, sets, sizeof sets / sizeof sets[0], &err), PB_OK, "%s",
		     err.message);
	cr_assert_eq(c.sweeps[0].positions, PB_POSITIONS_EACH);
	cr_assert_eq(c.sweeps[0].reference_by, PB_BY_POSITION);
	cr_assert_eq(c.sweeps[1].n_sets, 1);
	cr_assert_str_eq(c.sweeps[1].sets[0].name, "circuit");
	cr_assert_eq(c.sweeps[1].set_sources.random_count, 4);
	pb_config_free(&c);
	err = (struct pb_error){0};
	cr_assert_eq(read_text(&c, text, (const char *const[]){"sweep.0.alpha=2"}, 1, &err),
		     PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "--set sweep.0.alpha=2 (sweep.alpha)"), "%s",
			   err.message);
	free(text);
}

/* ---- what is refused ---------------------------------------------------------------------- */

struct refusal {
	const char *row, *place, *words;
};

static void refuse_all(const struct refusal *refusals, size_t n)
{
	for (size_t i = 0; i < n; i++)
		refuse_row(refusals[i].row, refusals[i].place, refusals[i].words);
}

#define REFUSE_ALL(refusals) refuse_all(refusals, sizeof(refusals) / sizeof(refusals)[0])

Test(config_sweeps, keys_that_do_not_fit_the_intervention)
{
	static const char scale[] = "set intervention to one of them";
	static const struct refusal refusals[] = {
	    {"{site: z, alpha: 2}", "15 (sweep.alpha)", scale},
	    {"{site: z, intervention: zero, alpha: 2}", "35 (sweep.alpha)", scale},
	    {"{site: z, intervention: scale}", "5 (sweep.alpha)", "missing key"},
	    {"{site: z, intervention: add}", "5 (sweep.vector)", "missing key"},
	    {"{site: z, intervention: project}", "5 (sweep.subspace)", "missing key"},
	    {"{site: z, vector: v}", "15 (sweep.vector)", "set intervention to add"},
	    {"{site: z, intervention: project, vector: v, subspace: s}", "38 (sweep.vector)", ""},
	    {"{site: z, subspace: v}", "15 (sweep.subspace)", "set intervention to project"},
	    {"{site: z, reference: {by: role}}", "15 (sweep.reference)", "intervention to mean"},
	    {"{site: z, intervention: zero, reference: 3}", "35 (sweep.reference)", "mean"},
	    {"{site: z, seed: 1}", "15 (sweep.seed)", "only resample and control draw"},
	    {"{site: z, sender: head}", "15 (sweep.sender)", "set intervention to path"},
	    {"{site: z, receiver: q}", "15 (sweep.receiver)", "set intervention to path"},
	    {"{site: z, freeze: all}", "15 (sweep.freeze)", "set intervention to path"},
	    {"{site: z, receiver_layers: [1]}", "15 (sweep.receiver_layers)", "path"},
	    {"{site: z, receiver_heads: [1]}", "15 (sweep.receiver_heads)", "path"},
	    {"{site: z, complement: true}", "15 (sweep.complement)", "give sets"},
	    {"{intervention: zero}", "5 (sweep.site)", "missing key"},
	};

	REFUSE_ALL(refusals);
}

Test(config_sweeps, keys_that_do_not_fit_the_site)
{
	static const struct refusal refusals[] = {
	    {"{site: z, positions: each_key}", "26 (sweep.positions)", "only pattern has keys"},
	    {"{site: resid_pre, heads: [1]}", "23 (sweep.heads)", "has no heads"},
	    {"{site: embed, layers: [1]}", "19 (sweep.layers)", "no layer"},
	    {"{site: embed, window: 3}", "19 (sweep.window)", "no layer"},
	    {"{site: z, neurons: all}", "15 (sweep.neurons)", "set site to mlp_post"},
	    {"{site: mlp_out, layers: [1], neurons: all}", "34 (sweep.neurons)", "mlp_post"},
	    {"{site: mlp_post, neurons: all}", "22 (sweep.neurons)", "layers: [2]"},
	    {"{site: mlp_post, layers: [1, 2], neurons: all}", "38 (sweep.neurons)", "one layer"},
	    {"{site: mlp_post, layers: [1], neurons: all, window: 3}", "49 (sweep.window)", ""},
	    {"{site: mlp_post, layers: [1], neurons: all, intervention: project, subspace: s}",
	     "35 (sweep.neurons)", "whole activations"},
	    {"{site: pattern, intervention: mean, reference: {by: overall}}",
	     "52 (sweep.reference)", "give by: position"},
	    {"{site: pattern, intervention: mean, reference: {by: role}}", "52 (sweep.reference)",
	     "does not fit pattern"},
	    {"{site: mlp_pre}", "12 (sweep.site)", "site 'mlp_pre' is not known"},
	    {"{site: ''}", "12 (sweep.site)", "no value"},
	};

	REFUSE_ALL(refusals);
}

Test(config_sweeps, paths_that_are_refused)
{
	static const struct refusal refusals[] = {
	    {"{intervention: path, sender: head, receiver: q, site: z}", "53 (sweep.site)",
	     "leave the site out"},
	    {"{intervention: path, receiver: q}", "5 (sweep.sender)", "missing key"},
	    {"{intervention: path, sender: head}", "5 (sweep.receiver)", "missing key"},
	    {"{intervention: path, sender: q, receiver: q}", "34 (sweep.sender)",
	     "head, mlp, embed"},
	    {"{intervention: path, sender: head, receiver: z}", "50 (sweep.receiver)",
	     "q, k, v, mlp, logits"},
	    {"{intervention: path, sender: head, receiver: set}", "50 (sweep.receiver)",
	     "is not known"},
	    {"{intervention: path, sender: head, receiver: []}", "50 (sweep.receiver)",
	     "empty list"},
	    {"{intervention: path, sender: head, receiver: [L1H2]}", "51 (sweep.receiver)",
	     "not a label: 'L1H2'"},
	    {"{intervention: path, sender: head, receiver: [L1H2.z]}", "51", "not a label"},
	    {"{intervention: path, sender: head, receiver: [M1.q]}", "51", "not a label"},
	    {"{intervention: path, sender: head, receiver: [logits, logits]}", "59",
	     "listed twice"},
	    {"{intervention: path, sender: head, receiver: [[M1]]}", "51", "wrong type"},
	    {"{intervention: path, sender: head, receiver: {q: 1}}", "50", "give one of"},
	    {"{intervention: path, sender: head, receiver: q, window: 1}", "53 (sweep.window)",
	     "leave it out"},
	    {"{intervention: path, sender: head, receiver: q, sets: {a: [M1]}}", "53 (sweep.sets)",
	     "leave the sets out"},
	    {"{intervention: path, sender: head, receiver: q, positions: each}",
	     "64 (sweep.positions)", "not swept by position"},
	    {"{intervention: path, sender: head, receiver: q, positions: each_key}",
	     "64 (sweep.positions)", "not swept by position"},
	    {"{intervention: path, sender: embed, receiver: q, layers: [0]}", "54 (sweep.layers)",
	     "embed lies in no layer"},
	    {"{intervention: path, sender: mlp, receiver: q, heads: [0]}", "52 (sweep.heads)",
	     "the sender is no head"},
	    {"{intervention: path, sender: mlp, receiver: logits, receiver_layers: [0]}",
	     "57 (sweep.receiver_layers)", "leave it out"},
	    {"{intervention: path, sender: mlp, receiver: [M1], receiver_layers: [0]}",
	     "55 (sweep.receiver_layers)", "leave it out"},
	    {"{intervention: path, sender: mlp, receiver: mlp, receiver_heads: [0]}",
	     "54 (sweep.receiver_heads)", "leave it out"},
	    {"{intervention: path, sender: mlp, receiver: q, neurons: all}", "52 (sweep.neurons)",
	     "mlp_post"},
	    {"{intervention: path, sender: mlp, receiver: q, complement: true}",
	     "52 (sweep.complement)", "give sets"},
	    {"{intervention: path, sender: mlp, receiver: q, freeze: mlp}", "60 (sweep.freeze)",
	     "all, attention"},
	};

	REFUSE_ALL(refusals);
}

Test(config_sweeps, sets_that_are_refused)
{
	static const struct refusal refusals[] = {
	    {"{sets: {a: [L1H2]}, site: mlp_out}", "6 (sweep.sets)", "a site that has heads"},
	    {"{sets: {a: [L1H2]}, window: 3}", "25 (sweep.window)", "leave it out"},
	    {"{sets: {a: [L1H2]}, layers: [3]}", "25 (sweep.layers)", "leave it out"},
	    {"{sets: {a: [L1H2]}, heads: [3]}", "25 (sweep.heads)", "leave it out"},
	    {"{sets: {a: [L1H2]}, neurons: all}", "25 (sweep.neurons)", "leave it out"},
	    {"{sets: {a: [L1H2]}, positions: each}", "36 (sweep.positions)", "not swept"},
	    {"{sets: {a: [L1H2]}, site: pattern, positions: each_key}", "51 (sweep.positions)",
	     "not swept"},
	    {"{sets: {}}", "12 (sweep.sets)", "no sets"},
	    {"{sets: }", "6 (sweep.sets)", "wrong type"},
	    {"{sets: [L1H2]}", "12 (sweep.sets)", "wrong type"},
	    {"{sets: all}", "12 (sweep.sets)", "wrong type"},
	    {"{sets: {a: L1H2}}", "16 (sweep.sets)", "give labels"},
	    {"{sets: {a: []}}", "12 (sweep.sets)", "set complement to true"},
	    {"{sets: {a: []}, complement: false}", "12 (sweep.sets)", "empty set"},
	    {"{sets: {a: {L1H2: 1}}}", "16 (sweep.sets)", "wrong type"},
	    {"{sets: {a: [L1H2, M3, L1H2]}}", "27 (sweep.sets)", "listed twice"},
	    {"{sets: {a: [M3, M3]}}", "21 (sweep.sets)", "listed twice"},
	    {"{sets: {a: [L1]}}", "17 (sweep.sets)", "not a label: 'L1'"},
	    {"{sets: {a: [H1]}}", "17", "not a label"},
	    {"{sets: {a: [L1H]}}", "17", "not a label"},
	    {"{sets: {a: [LH1]}}", "17", "not a label"},
	    {"{sets: {a: [l1h2]}}", "17", "not a label"},
	    {"{sets: {a: [L1H2x]}}", "17", "not a label"},
	    {"{sets: {a: [' L1H2']}}", "17", "not a label"},
	    {"{sets: {a: [L01H2]}}", "17", "not a label"},
	    {"{sets: {a: [L1H-2]}}", "17", "not a label"},
	    {"{sets: {a: [L1H2.q]}}", "17", "not a label"},
	    {"{sets: {a: [M]}}", "17", "not a label"},
	    {"{sets: {a: [L99999999999H2]}}", "17", "not a label"},
	    {"{sets: {a: [3]}}", "17", "not a label"},
	    {"{sets: {a: ['']}}", "17", "no value"},
	    {"{sets: {a: [~]}}", "17", "no value"},
	    {"{sets: {'': [M1]}}", "13 (sweep.sets)", "bad name"},
	    {"{sets: {\"a\\tb\": [M1]}}", "13 (sweep.sets)", "bad name"},
	    {"{sets: {a: [M1], a: [M2]}}", "22 (a)", "duplicate key"},
	    {"{sets: {randon: {size: 2}}}", "21 (sweep.sets)", "give labels"},
	    {"{sets: {a: [M1]}, intervention: add, vector: v}", "12 (sweep.sets)", "one width"},
	    {"{sets: {a: [L1H1, M1]}, intervention: project, subspace: v}", "12 (sweep.sets)",
	     "one width"},
	};

	REFUSE_ALL(refusals);
}

Test(config_sweeps, sources_of_sets_that_are_refused)
{
	static const struct refusal refusals[] = {
	    {"{sets: {top: 3}}", "18 (sweep.sets.top)", "wrong type"},
	    {"{sets: {top: {k: 3}}}", "18 (sweep.sets.top.file)", "missing key"},
	    {"{sets: {top: {file: f}}}", "18 (sweep.sets.top.k)", "missing key"},
	    {"{sets: {top: {file: f, k: 0}}}", "31 (sweep.sets.top.k)", "out of range"},
	    {"{sets: {top: {file: f, k: -1}}}", "31 (sweep.sets.top.k)", "out of range"},
	    {"{sets: {top: {file: [f], k: 1}}}", "25 (sweep.sets.top.file)", "wrong type"},
	    {"{sets: {top: {file: f, k: 1, n: 2}}}", "34 (sweep.sets.top.n)", "unknown key"},
	    {"{sets: {top: {file: f, layers: [2], k: 1}}}", "41 (sweep.sets.top.k)", "leave k out"},
	    {"{sets: {top: {file: f, layers: []}}}", "36 (sweep.sets.top.layers)", "empty list"},
	    {"{sets: {top: {file: f, layers: [2, 1]}}}", "40 (sweep.sets.top.layers)",
	     "not in rising order"},
	    {"{sets: {top: {file: f, layers: 2}}}", "36 (sweep.sets.top.layers)", "wrong type"},
	    {"{sets: {random: {size: all, count: 2}}}", "28 (sweep.sets.random.size)",
	     "whole number"},
	    {"{sets: {random: {size: each, count: 2}}}", "28 (sweep.sets.random.size)",
	     "no set to match"},
	    {"{sets: {a: [L0H0, M1], random: {size: each, count: 2}}}",
	     "43 (sweep.sets.random.size)", "have heads alone"},
	    {"{sets: {random: {count: 2}}}", "21 (sweep.sets.random.size)", "missing key"},
	    {"{sets: {random: {size: 2}}}", "21 (sweep.sets.random.count)", "missing key"},
	    {"{sets: {random: {size: 0, count: 1}}}", "28 (sweep.sets.random.size)", "range"},
	    {"{sets: {random: {size: 2, cuont: 1}}}", "31 (sweep.sets.random.cuont)",
	     "did you mean 'count'"},
	    {"{sets: {random: {size: 2, count: 1, match: layer}}}", "21 (sweep.sets.random)",
	     "no set to match"},
	    {"{sets: {a: [M1], random: {count: 1, match: layer}}}", "30 (sweep.sets.random)",
	     "no heads to match"},
	    {"{sets: {a: [L1H1], random: {size: 2, count: 1, match: layer}}}",
	     "32 (sweep.sets.random)", "size does not fit"},
	    {"{sets: {random: {size: 2, count: 1, match: head}}}", "48 (sweep.sets.random.match)",
	     "none, layer"},
	    {"{sets: {pairs: some}}", "20 (sweep.sets.pairs)", "all"},
	    {"{sets: {pairs: [all]}}", "20 (sweep.sets.pairs)", "wrong type"},
	    {"{sets: {pairs: ''}}", "20 (sweep.sets.pairs)", "no value"},
	    {"{sets: {a: [M1]}, complement: maybe}", "35 (sweep.complement)", "false, true"},
	};

	REFUSE_ALL(refusals);
}

/* Odd values where a list or a number should stand. */
Test(config_sweeps, odd_values)
{
	static const struct refusal refusals[] = {
	    {"{site: z, positions: []}", "26 (sweep.positions)", "empty list"},
	    {"{site: z, positions: some}", "26 (sweep.positions)", "is not known"},
	    {"{site: z, positions: list}", "26 (sweep.positions)", "is not known"},
	    {"{site: z, positions: {a: 1}}", "26 (sweep.positions)", "wrong type"},
	    {"{site: z, positions: 3}", "26 (sweep.positions)", "is not known"},
	    {"{site: z, positions: [1, a]}", "30 (sweep.positions)", "wrong type"},
	    {"{site: z, positions: [a, 1]}", "30 (sweep.positions)", "not both"},
	    {"{site: z, positions: [1, 1]}", "30 (sweep.positions)", "listed twice"},
	    {"{site: z, positions: [a, b, a]}", "33 (sweep.positions)", "listed twice"},
	    {"{site: z, positions: [1.5]}", "27 (sweep.positions)", "whole numbers"},
	    {"{site: z, positions: [1e3]}", "27 (sweep.positions)", "whole numbers"},
	    {"{site: z, positions: [0x10]}", "27 (sweep.positions)", "whole numbers"},
	    {"{site: z, positions: [[1]]}", "27 (sweep.positions)", "give names"},
	    {"{site: z, positions: [~]}", "27 (sweep.positions)", "no value"},
	    {"{site: z, positions: ['']}", "27 (sweep.positions)", "no value"},
	    {"{site: z, positions: [99999999999999999999]}", "27 (sweep.positions)", "range"},
	    {"{site: z, positions: [-99999999999999999999]}", "27 (sweep.positions)", "range"},
	    {"{site: z, layers: 3}", "23 (sweep.layers)", "give a list"},
	    {"{site: z, layers: []}", "23 (sweep.layers)", "empty list"},
	    {"{site: z, layers: [2, 1]}", "27 (sweep.layers)", "rising"},
	    {"{site: z, layers: [2, 2]}", "27 (sweep.layers)", "rising"},
	    {"{site: z, layers: [-1]}", "24 (sweep.layers)", "out of range"},
	    {"{site: z, layers: [4294967296]}", "24 (sweep.layers)", "out of range"},
	    {"{site: z, layers: ['1']}", "24 (sweep.layers)", "wrong type"},
	    {"{site: z, layers: all}", "23 (sweep.layers)", "wrong type"},
	    {"{site: z, heads: {0: 1}}", "22 (sweep.heads)", "wrong type"},
	    {"{site: mlp_post, layers: [0], neurons: 3}", "44 (sweep.neurons)", "give all"},
	    {"{site: mlp_post, layers: [0], neurons: []}", "44 (sweep.neurons)", "empty list"},
	    {"{site: mlp_post, layers: [0], neurons: [3, 3]}", "48 (sweep.neurons)", "rising"},
	    {"{site: z, window: 2}", "23 (sweep.window)", "odd number"},
	    {"{site: z, window: 0}", "23 (sweep.window)", "out of range"},
	    {"{site: z, window: [3]}", "23 (sweep.window)", "wrong type"},
	    {"{site: z, intervention: scale, alpha: []}", "43 (sweep.alpha)", "empty list"},
	    {"{site: z, intervention: scale, alpha: [1, 1.0]}", "47 (sweep.alpha)", "twice"},
	    {"{site: z, intervention: scale, alpha: [[1]]}", "44 (sweep.alpha)", "wrong type"},
	    {"{site: z, intervention: scale, alpha: .nan}", "43 (sweep.alpha)", "wrong type"},
	    {"{site: z, intervention: scale, alpha: 1e999}", "43 (sweep.alpha)", "out of range"},
	    {"{site: z, intervention: scale, alpha: {a: 1}}", "43 (sweep.alpha)", "wrong type"},
	    {"{site: z, intervention: scale, alpha: '1'}", "43 (sweep.alpha)", "wrong type"},
	    {"{site: z, intervention: add, vector: [v]}", "42 (sweep.vector)", "wrong type"},
	    {"{site: z, intervention: add, vector: }", "34 (sweep.vector)", "no value"},
	    {"{site: z, intervention: mean, reference: clean}", "46 (sweep.reference)", "keys"},
	    {"{site: z, intervention: mean, reference: {over: [a]}}", "53 (sweep.reference.over)",
	     "wrong type"},
	    {"{site: z, intervention: mean, reference: {by: token}}", "51 (sweep.reference.by)",
	     "overall, position, role"},
	    {"{site: z, intervention: mean, reference: {of: clean}}", "47 (sweep.reference.of)",
	     "the keys here are: over, by"},
	    {"{site: z, intervention: [zero]}", "29 (sweep.intervention)", "give one of"},
	    {"{site: z, intervention: resample, seed: -1}", "45 (sweep.seed)", "out of range"},
	    {"{site: z, intervention: resample, seed: 9223372036854775808}", "45", "range"},
	};

	REFUSE_ALL(refusals);
}

Test(config_sweeps, lists_that_are_too_long)
{
	for (int n = 20000; n <= 20001; n++) {
		char *list = NULL, *row;
		struct pb_run_config c;
		size_t size = 0;
		FILE *out = open_memstream(&list, &size);

		cr_assert_not_null(out);
		for (int i = 0; i < n; i++)
			fprintf(out, "%s%d", i == 0 ? "" : ",", i);
		cr_assert_eq(fclose(out), 0);
		row = pb_format("{site: z, positions: [%s]}", list);
		if (n == 20000) {
			read_row(&c, row);
			cr_assert_eq(c.sweeps[0].n_list, 20000);
			pb_config_free(&c);
		} else {
			refuse_row(row, "26 (sweep.positions)", "list too long");
		}
		free(row);
		free(list);
	}
}

Test(config_sweeps, readings_and_saves_that_are_refused)
{
	static const struct {
		const char *set, *words;
	} cases[] = {
	    {"readings=some", "direct_logit_attribution, logit_lens, head_scores"},
	    {"readings=[all]", "'all' is not known"},
	    {"readings={a: 1}", "wrong type"},
	    {"readings=[[copying]]", "wrong type"},
	    {"readings=logit_lens", "wrong type"},
	    {"save=z", "wrong type"},
	    {"save=all", "wrong type"},
	    {"save=[mlp_pre]", "'mlp_pre' is not known"},
	    {"save=['']", "no value"},
	    {"save=[logits]", "control"},
	    {"metrics=none", "wrong type"},
	};
	char *text = with_row("{site: z}");

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pb_run_config c;
		struct pb_error err = {0};

		cr_assert_eq(read_text(&c, text, &cases[i].set, 1, &err), PB_ERR_INPUT, "%s",
			     cases[i].set);
		cr_expect_not_null(strstr(err.message, cases[i].set), "%s", err.message);
		cr_expect_not_null(strstr(err.message, cases[i].words), "%s", err.message);
	}
	free(text);
}

/* ---- anything, anywhere -------------------------------------------------------------------- */

/* Every key of a sweep with every odd value, in sweeps of every kind: refused with a message, or
 * read and then itself again. Never a crash, whatever fits. */
Test(config_sweeps, every_key_with_every_kind_of_value)
{
	static const char *const values[] = {"~",
					     "''",
					     "0",
					     "-1",
					     "3",
					     "1e99",
					     "all",
					     "none",
					     "[]",
					     "[0]",
					     "[0, 1]",
					     "[a]",
					     "[a, b]",
					     "[[0]]",
					     "{}",
					     "{a: 1}",
					     "{a: [M0]}",
					     "[{a: 1}]",
					     "true",
					     "\"\\xe9\"",
					     "[M0]",
					     "[~]",
					     "[L0H0.q]",
					     "{a: {b: {}}}",
					     "99999999999999999999999999",
					     "[99999999999999999999999999]",
					     "clean"};
	static const char *const rows[] = {
	    "site: z",
	    "site: pattern",
	    "site: embed",
	    "site: mlp_post, layers: [0]",
	    "site: z, intervention: scale, alpha: 1",
	    "site: z, intervention: mean",
	    "site: z, intervention: resample",
	    "sets: {a: [L0H0]}",
	    "intervention: path, sender: head, receiver: q",
	    "intervention: path",
	    "intervention: add, site: z",
	};
	size_t n_read = 0, n_refused = 0;

	for (size_t k = 0; k < pb_n_keys; k++)
		for (size_t v = 0; v < sizeof values / sizeof values[0]; v++)
			for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
				char *text, *set, *row;
				struct pb_run_config c, again;
				struct pb_error err = {0};
				const char *assignment;

				if (strncmp(pb_keys[k].path, "sweep.", 6) != 0)
					continue;
				row = pb_format("{%s}", rows[r]);
				text = with_row(row);
				set = pb_format("sweep.0.%s=%s", pb_keys[k].path + 6, values[v]);
				assignment = set;
				if (read_text(&c, text, &assignment, 1, &err) == PB_OK) {
					n_read++;
					cr_assert_eq(read_text(&again, c.resolved, NULL, 0, &err),
						     PB_OK, "%s in %s: %s\n%s", set, row,
						     err.message, c.resolved);
					cr_assert_str_eq(again.resolved, c.resolved, "%s in %s",
							 set, row);
					pb_config_free(&again);
					pb_config_free(&c);
				} else {
					n_refused++;
					cr_assert_gt(strlen(err.message), 20, "%s in %s", set, row);
					cr_assert_null(strchr(err.message, '\n'));
				}
				free(set);
				free(row);
				free(text);
			}
	cr_assert(n_read > 100 && n_refused > 1000, "%zu read, %zu refused", n_read, n_refused);
}

/* ---- the configurations that come with it --------------------------------------------------- */

/* Each is read, is itself again, and has its own output. */
Test(config_sweeps, the_configurations_that_come_with_it)
{
	DIR *folder = opendir("configs");
	const struct dirent *entry;
	int n = 0;

	cr_assert_not_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		char *path = pb_format("configs/%s", entry->d_name), *output;
		struct pb_run_config c, again;
		struct pb_error err = {0};

		if (strstr(entry->d_name, ".yaml") == NULL) {
			free(path);
			continue;
		}
		n++;
		if (strcmp(entry->d_name, "dfa-grid.yaml") == 0) { /* it has no sweep */
			again = (struct pb_run_config){0};
			cr_assert_eq(pb_config_read_evaluation(&c, path, NULL, 0, NULL, &err),
				     PB_OK, "%s", err.message);
		} else {
			cr_assert_eq(pb_config_read(&c, path, NULL, 0, NULL, &err), PB_OK, "%s",
				     err.message);
			cr_assert_eq(read_text(&again, c.resolved, NULL, 0, &err), PB_OK, "%s",
				     err.message);
			cr_assert_str_eq(again.resolved, c.resolved);
		}
		/* the bundled model, or the one that `make demo-ioi` fetches */
		if (strcmp(entry->d_name, "ioi-smollm2.yaml") == 0)
			cr_assert_str_eq(c.model_path,
					 "build/models/SmolLM2-135M-Instruct.Q4_1.gguf");
		else
			cr_assert_str_eq(c.model_path, "data/boxbench");
		output = pb_format("%.*s.h5", (int)strlen(entry->d_name) - 5, entry->d_name);
		cr_assert_str_eq(c.output, output, "%s", path);
		pb_config_free(&again);
		pb_config_free(&c);
		free(output);
		free(path);
	}
	closedir(folder);
	cr_assert_geq(n, 13);
}

/* ---- help --------------------------------------------------------------------------------- */

/* The line that begins with a key, and what follows up to the next key. */
static char *help_of(const char *help, const char *path)
{
	char *start = pb_format("\n  %s ", path);
	const char *at = strstr(help, start), *end;

	cr_assert_not_null(at, "%s is not explained", path);
	for (end = strchr(at + 1, '\n'); strncmp(end, "\n   ", 4) == 0; end = strchr(end + 1, '\n'))
		;
	free(start);
	return strndup(at + 1, (size_t)(end - at - 1));
}

Test(config_sweeps, help_explains_every_key_in_lines_that_fit)
{
	char *help = NULL;
	size_t size = 0, column = 0;
	FILE *out = open_memstream(&help, &size);

	cr_assert_not_null(out);
	fputc('\n', out);
	pb_config_describe(out);
	cr_assert_eq(fclose(out), 0);
	for (size_t i = 0; i < size; i++) {
		column = help[i] == '\n' ? 0 : column + 1;
		cr_assert_leq(column, 100, "%.*s", 100, help + i - 100);
	}
	for (size_t k = 0; k < pb_n_keys; k++) {
		const struct pb_key *key = &pb_keys[k];
		char *text;

		if (key->type == PB_KEY_SECTION || key->type == PB_KEY_ROWS)
			continue;
		text = help_of(help, key->path);
		for (size_t w = 0; key->words != NULL && key->words[w] != NULL; w++)
			cr_assert_not_null(strstr(text, key->words[w]), "%s: %s", key->path,
					   key->words[w]);
		if (key->fallback != NULL)
			cr_assert(strchr(text, '[') != NULL && strchr(text, ']') != NULL, "%s",
				  text);
		free(text);
	}
	free(help);
}
