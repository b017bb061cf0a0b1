/* The table of configuration keys. */
#include "config/schema.h"

#include <stdio.h>
#include <string.h>

#include "config/fit.h"
#include "prompts/task_names.h"

/* Enums are written as int by their word's index. */
_Static_assert(sizeof(enum pb_bos) == sizeof(int), "an enum is an int");

static const char *const bos_words[] = {
    [PB_BOS_AUTO] = "auto", [PB_BOS_TRUE] = "true", [PB_BOS_FALSE] = "false", NULL};
#define WORD(task) #task,
static const char *const task_words[] = {PB_EACH_TASK(WORD) NULL};
#undef WORD
static const char *const mode_words[] = {
    [PB_DFA_STRICT] = "strict", [PB_DFA_PAPER] = "paper", NULL};
static const char *const series_words[] = {[PB_SERIES_DAYS] = "days",
					   [PB_SERIES_MONTHS] = "months",
					   [PB_SERIES_NUMBERS] = "numbers",
					   NULL};
static const char *const intervention_words[] = {
    [PB_PATCH] = "patch",     [PB_ZERO] = "zero",
    [PB_MEAN] = "mean",       [PB_RESAMPLE] = "resample",
    [PB_SCALE] = "scale",     [PB_ADD] = "add",
    [PB_PROJECT] = "project", [PB_CONTROL] = "control",
    [PB_PATH] = "path",       NULL};
/* In the order of enum pb_site; the MLP before its activation is where paths enter, no sweep's. */
#define SITES                                                                                      \
	"embed", "resid_pre", "q", "k", "v", "q_rot", "k_rot", "pattern", "z", "attn_out",         \
	    "resid_mid", "", "mlp_post", "mlp_out", "resid_post"
static const char *const site_words[] = {SITES, NULL};
static const char *const save_words[] = {SITES, "control", NULL};
_Static_assert(PB_SITE_MLP_PRE == 11 && sizeof site_words / sizeof *site_words == PB_N_SITES + 1,
	       "the words of sites stand in the enum's order");
static const char *const sender_words[] = {
    [PB_SENDER_HEAD] = "head", [PB_SENDER_MLP] = "mlp", [PB_SENDER_EMBED] = "embed", NULL};
static const char *const receiver_words[] = {
    [PB_RECEIVER_Q] = "q",     [PB_RECEIVER_K] = "k",           [PB_RECEIVER_V] = "v",
    [PB_RECEIVER_MLP] = "mlp", [PB_RECEIVER_LOGITS] = "logits", NULL};
static const char *const freeze_words[] = {
    [PB_FREEZE_ALL] = "all", [PB_FREEZE_ATTENTION] = "attention", NULL};
static const char *const direction_words[] = {[PB_DENOISE] = "denoise", [PB_NOISE] = "noise", NULL};
static const char *const positions_words[] = {[PB_POSITIONS_ALL] = "all",
					      [PB_POSITIONS_LAST] = "last",
					      [PB_POSITIONS_EACH] = "each",
					      [PB_POSITIONS_EACH_KEY] = "each_key",
					      NULL};
static const char *const over_words[] = {
    [PB_OVER_CLEAN] = "clean", [PB_OVER_CORRUPTED] = "corrupted", NULL};
static const char *const by_words[] = {
    [PB_BY_OVERALL] = "overall", [PB_BY_POSITION] = "position", [PB_BY_ROLE] = "role", NULL};
static const char *const match_words[] = {"none", "layer", NULL};
static const char *const all_pairs_words[] = {"", "all", NULL};
static const char *const truth_words[] = {"false", "true", NULL};
static const char *const switch_words[] = {"off", "on", NULL};
static const char *const reading_words[] = {[PB_READING_DIRECT_LOGIT_ATTRIBUTION] =
						"direct_logit_attribution",
					    [PB_READING_LOGIT_LENS] = "logit_lens",
					    [PB_READING_HEAD_SCORES] = "head_scores",
					    [PB_READING_COPYING] = "copying",
					    [PB_READING_COMPOSITION] = "composition",
					    NULL};
static const char *const backend_words[] = {"auto", "cpu", "cuda", NULL};
static const char *const precision_words[] = {
    [PB_PRECISION_FP32] = "fp32", [PB_PRECISION_TF32] = "tf32", [PB_PRECISION_BF16] = "bf16", NULL};

static const char *usual_corruption(const struct pb_task *task)
{
	return pb_corruption_name(task->usual_corrupt);
}

#define SEED_MAX 9223372036854775807.0

/* clang-format off */
const struct pb_key pb_keys[] = {
	{.path = "model", .type = PB_KEY_SECTION, .help = "which model, at least its path"},
	{.path = "model.path", .type = PB_KEY_TEXT,
	 .offset = offsetof(struct pb_run_config, model_path),
	 .help = "a Hugging Face folder, or a hub id found in the local cache"},
	{.path = "model.revision", .type = PB_KEY_TEXT, .presence = PB_KEY_OPTIONAL,
	 .fallback = "main", .offset = offsetof(struct pb_run_config, model_revision),
	 .help = "branch, tag or commit of a hub id"},
	{.path = "model.bos", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL, .fallback = "auto",
	 .words = bos_words, .offset = offsetof(struct pb_run_config, bos),
	 .help = "put BOS in front of text prompts (auto: what the tokenizer does)"},

	{.path = "task", .type = PB_KEY_SECTION, .presence = PB_KEY_ALTERNATIVE},
	{.path = "task.name", .type = PB_KEY_NAME, .words = task_words,
	 .offset = offsetof(struct pb_run_config, task.name),
	 .help = "the task that makes the pairs"},
	{.path = "task.boxes", .type = PB_KEY_COUNT, .least = 2, .most = 10, .tasks = "box",
	 .offset = offsetof(struct pb_run_config, task.boxes),
	 .help = "boxes, and as many objects"},
	{.path = "task.moves", .type = PB_KEY_COUNT, .least = 1, .most = 10, .tasks = "box",
	 .offset = offsetof(struct pb_run_config, task.moves),
	 .help = "moves of a story"},
	{.path = "task.mode", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL, .fallback = "strict",
	 .words = mode_words, .tasks = "dfa", .offset = offsetof(struct pb_run_config, task.mode),
	 .help = "strict: what is asked has been told; paper: that paper's sampler"},
	{.path = "task.states", .type = PB_KEY_COUNT, .least = 2, .most = 100, .tasks = "dfa",
	 .offset = offsetof(struct pb_run_config, task.states), .help = "states of the automaton"},
	{.path = "task.edges", .type = PB_KEY_AUTO, .presence = PB_KEY_OPTIONAL, .fallback = "auto",
	 .least = 2, .most = 10000, .tasks = "dfa",
	 .offset = offsetof(struct pb_run_config, task.edges),
	 .help = "its edges (auto: two for each state)"},
	{.path = "task.density", .type = PB_KEY_NUMBER, .presence = PB_KEY_OPTIONAL,
	 .least = 1, .most = 26, .tasks = "dfa",
	 .offset = offsetof(struct pb_run_config, task.density),
	 .help = "edges a state, instead of edges"},
	{.path = "task.actions", .type = PB_KEY_AUTO, .presence = PB_KEY_OPTIONAL, .fallback = "auto",
	 .least = 2, .most = 26, .tasks = "dfa",
	 .offset = offsetof(struct pb_run_config, task.actions),
	 .help = "its actions (auto: as few as the edges need)"},
	{.path = "task.steps", .type = PB_KEY_COUNT, .least = 1, .most = 100,
	 .tasks = "dfa adventure", .offset = offsetof(struct pb_run_config, task.steps),
	 .help = "actions that are taken; the last one of dfa is asked for"},
	{.path = "task.people", .type = PB_KEY_COUNT, .least = 2, .most = 36, .tasks = "fruit",
	 .offset = offsetof(struct pb_run_config, task.people), .help = "people, and as many fruits"},
	{.path = "task.clues", .type = PB_KEY_COUNT, .least = 0, .most = 36, .tasks = "fruit",
	 .offset = offsetof(struct pb_run_config, task.clues), .help = "fruits that are given away"},
	{.path = "task.rooms", .type = PB_KEY_COUNT, .least = 2, .most = 10, .tasks = "adventure",
	 .offset = offsetof(struct pb_run_config, task.rooms), .help = "rooms of the house"},
	{.path = "task.objects", .type = PB_KEY_COUNT, .least = 1, .most = 8, .tasks = "adventure",
	 .offset = offsetof(struct pb_run_config, task.objects), .help = "objects in it"},
	{.path = "task.containers", .type = PB_KEY_COUNT, .least = 0, .most = 6,
	 .tasks = "adventure", .offset = offsetof(struct pb_run_config, task.containers),
	 .help = "boxes and the like that can be opened"},
	{.path = "task.length", .type = PB_KEY_COUNT, .least = 2, .most = 64,
	 .tasks = "induction docstring successor",
	 .offset = offsetof(struct pb_run_config, task.length),
	 .help = "words before they repeat; arguments; items shown"},
	{.path = "task.series", .type = PB_KEY_WORD, .words = series_words, .tasks = "successor",
	 .offset = offsetof(struct pb_run_config, task.series), .help = "what is counted"},
	{.path = "task.triples", .type = PB_KEY_TEXT, .tasks = "factual",
	 .offset = offsetof(struct pb_run_config, task.triples),
	 .help = "a JSONL file of relations, subjects and objects"},
	{.path = "task.template", .type = PB_KEY_TEXT, .presence = PB_KEY_OPTIONAL,
	 .offset = offsetof(struct pb_run_config, task.template_path),
	 .help = "a YAML file with other sentences for the task's prompts"},
	{.path = "task.pairs", .type = PB_KEY_COUNT, .presence = PB_KEY_OPTIONAL, .fallback = "100",
	 .least = 1, .most = PB_TASK_MAX_COUNT, .offset = offsetof(struct pb_run_config, task.count),
	 .help = "how many pairs to make (of each cell of a grid)"},
	{.path = "task.prompts", .type = PB_KEY_COUNT, .presence = PB_KEY_OPTIONAL,
	 .fallback = "500", .least = 1, .most = PB_TASK_MAX_COUNT,
	 .offset = offsetof(struct pb_run_config, n_prompts),
	 .help = "eval: how many prompts to make (of each cell of a grid)"},
	{.path = "task.corrupt", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "the task's usual one", .default_of_task = usual_corruption,
	 .words = pb_corruption_names,
	 .offset = offsetof(struct pb_run_config, task.corrupt),
	 .help = "what differs between clean and corrupted"},
	{.path = "task.seed", .type = PB_KEY_SEED, .presence = PB_KEY_OPTIONAL, .fallback = "0",
	 .most = SEED_MAX, .offset = offsetof(struct pb_run_config, task.seed),
	 .help = "same seed, same pairs"},

	{.path = "grid", .type = PB_KEY_GRID, .presence = PB_KEY_ALTERNATIVE,
	 .help = "NAME: [2, 3, ..], or 2..10: numbers of the task that a grid is made of"},

	{.path = "pairs", .type = PB_KEY_TEXT, .presence = PB_KEY_ALTERNATIVE,
	 .offset = offsetof(struct pb_run_config, pairs_path),
	 .help = "a JSONL file of pairs, instead of a task"},

	{.path = "sweep", .type = PB_KEY_ROWS,
	 .help = "what is changed, one row a sweep, for instance {site: z}"},
	{.path = "sweep.intervention", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "patch", .words = intervention_words,
	 .offset = offsetof(struct pb_sweep, intervention),
	 .help = "what is done to an activation"},
	{.path = "sweep.site", .type = PB_KEY_WORD, .words = site_words,
	 .offset = offsetof(struct pb_sweep, site), .misfit = pb_misfit_site,
	 .default_of = pb_default_site, .help = "which activation"},
	{.path = "sweep.sender", .type = PB_KEY_WORD, .words = sender_words,
	 .offset = offsetof(struct pb_sweep, sender), .misfit = pb_misfit_path,
	 .help = "path: where it starts"},
	{.path = "sweep.receiver", .type = PB_KEY_RECEIVER, .words = receiver_words,
	 .misfit = pb_misfit_path,
	 .help = "path: where it ends; a list, [L9H6.q, M7, logits], ends at all of them at once"},
	{.path = "sweep.freeze", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "all", .words = freeze_words, .offset = offsetof(struct pb_sweep, freeze),
	 .misfit = pb_misfit_path, .help = "path: what does not respond on the way"},
	{.path = "sweep.direction", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "denoise; noise without a donor", .words = direction_words,
	 .offset = offsetof(struct pb_sweep, direction), .default_of = pb_default_direction,
	 .help = "denoise: into the corrupted run; noise: into the clean one"},
	{.path = "sweep.positions", .type = PB_KEY_POSITIONS, .presence = PB_KEY_OPTIONAL,
	 .fallback = "all", .words = positions_words, .least = -1e6, .most = 1e6,
	 .help = "where; or a list, of positions [3, -1] or of roles [object, end], at once"},
	{.path = "sweep.alpha", .type = PB_KEY_NUMBERS, .fallback = "1 for add", .least = -1e6,
	 .most = 1e6, .offset = offsetof(struct pb_sweep, alphas),
	 .offset_n = offsetof(struct pb_sweep, n_alphas), .misfit = pb_misfit_alpha,
	 .default_of = pb_default_alpha,
	 .help = "scale, add: the factor, or a list of factors"},
	{.path = "sweep.vector", .type = PB_KEY_TEXT, .offset = offsetof(struct pb_sweep, vector),
	 .misfit = pb_misfit_vector, .help = "add: a safetensors file with a tensor 'vector'"},
	{.path = "sweep.subspace", .type = PB_KEY_TEXT,
	 .offset = offsetof(struct pb_sweep, subspace), .misfit = pb_misfit_subspace,
	 .help = "project: a safetensors file with a tensor 'subspace'"},
	{.path = "sweep.reference", .type = PB_KEY_SECTION, .presence = PB_KEY_OPTIONAL,
	 .misfit = pb_misfit_reference},
	{.path = "sweep.reference.over", .type = PB_KEY_OVER, .presence = PB_KEY_OPTIONAL,
	 .fallback = "clean", .words = over_words,
	 .help = "mean: over which prompts, or a JSONL file"},
	{.path = "sweep.reference.by", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "overall; position for pattern", .words = by_words,
	 .offset = offsetof(struct pb_sweep, reference_by), .default_of = pb_default_by,
	 .help = "mean: one for all tokens, or one for each position or role"},
	{.path = "sweep.seed", .type = PB_KEY_SEED, .presence = PB_KEY_OPTIONAL, .fallback = "0",
	 .most = SEED_MAX, .offset = offsetof(struct pb_sweep, seed), .misfit = pb_misfit_seed,
	 .help = "resample, control: same seed, same draws"},
	{.path = "sweep.sets", .type = PB_KEY_SETS, .presence = PB_KEY_ALTERNATIVE,
	 .misfit = pb_misfit_sets,
	 .help = "NAME: [L3H7, M2, ..]: heads (at the site, z by default) and MLPs together"},
	{.path = "sweep.sets.top", .type = PB_KEY_SECTION, .presence = PB_KEY_ALTERNATIVE},
	{.path = "sweep.sets.top.file", .type = PB_KEY_TEXT,
	 .offset = offsetof(struct pb_sweep, set_sources.top_path),
	 .help = "sets of the strongest heads: a result file"},
	{.path = "sweep.sets.top.sweep", .type = PB_KEY_TEXT, .presence = PB_KEY_OPTIONAL,
	 .offset = offsetof(struct pb_sweep, set_sources.top_sweep),
	 .help = "name or number of its sweep (without it: the first)"},
	{.path = "sweep.sets.top.layers", .type = PB_KEY_INTS, .presence = PB_KEY_OPTIONAL,
	 .most = 999999, .offset = offsetof(struct pb_sweep, set_sources.top_layers),
	 .offset_n = offsetof(struct pb_sweep, set_sources.n_top_layers),
	 .help = "one set: the strongest head of each of these layers, [10, 12] (instead of k)"},
	{.path = "sweep.sets.top.k", .type = PB_KEY_COUNT, .least = 1, .most = PB_SETS_MAX,
	 .offset = offsetof(struct pb_sweep, set_sources.top), .misfit = pb_misfit_top,
	 .help = "so many sets: the strongest, the two strongest .."},
	{.path = "sweep.sets.random", .type = PB_KEY_SECTION, .presence = PB_KEY_ALTERNATIVE},
	{.path = "sweep.sets.random.size", .type = PB_KEY_EACH, .presence = PB_KEY_OPTIONAL,
	 .least = 1, .most = PB_SETS_MAX,
	 .offset = offsetof(struct pb_sweep, set_sources.random_size),
	 .help = "heads of a random set, none of them of a named set; each: count sets of each size "
		 "that the named sets and those of top have, none of their heads in them"},
	{.path = "sweep.sets.random.count", .type = PB_KEY_COUNT, .least = 1, .most = PB_SETS_MAX,
	 .offset = offsetof(struct pb_sweep, set_sources.random_count),
	 .help = "so many random sets"},
	{.path = "sweep.sets.random.seed", .type = PB_KEY_SEED, .presence = PB_KEY_OPTIONAL,
	 .fallback = "0", .most = SEED_MAX,
	 .offset = offsetof(struct pb_sweep, set_sources.random_seed),
	 .help = "same seed, same sets"},
	{.path = "sweep.sets.random.match", .type = PB_KEY_FLAG, .presence = PB_KEY_OPTIONAL,
	 .fallback = "none", .words = match_words,
	 .offset = offsetof(struct pb_sweep, set_sources.random_match_layer),
	 .help = "layer: as many of each layer as the first named set (each: the first of the size) "
		 "has"},
	{.path = "sweep.sets.pairs", .type = PB_KEY_FLAG, .presence = PB_KEY_OPTIONAL,
	 .words = all_pairs_words, .offset = offsetof(struct pb_sweep, set_sources.all_pairs),
	 .help = "every head alone, then every pair of heads"},
	{.path = "sweep.complement", .type = PB_KEY_FLAG, .presence = PB_KEY_OPTIONAL,
	 .fallback = "false", .words = truth_words,
	 .offset = offsetof(struct pb_sweep, complement), .misfit = pb_misfit_complement,
	 .help = "change everything but the set"},
	{.path = "sweep.layers", .type = PB_KEY_INTS, .presence = PB_KEY_OPTIONAL, .most = 999999,
	 .offset = offsetof(struct pb_sweep, layers),
	 .offset_n = offsetof(struct pb_sweep, n_layers), .misfit = pb_misfit_layers,
	 .help = "a part of the layers (of a path's senders), [0, 2]"},
	{.path = "sweep.heads", .type = PB_KEY_INTS, .presence = PB_KEY_OPTIONAL, .most = 999999,
	 .offset = offsetof(struct pb_sweep, heads),
	 .offset_n = offsetof(struct pb_sweep, n_heads), .misfit = pb_misfit_heads,
	 .help = "a part of the heads (KV heads for k, v and k_rot; a path's senders)"},
	{.path = "sweep.receiver_layers", .type = PB_KEY_INTS, .presence = PB_KEY_OPTIONAL,
	 .most = 999999, .offset = offsetof(struct pb_sweep, receiver_layers),
	 .offset_n = offsetof(struct pb_sweep, n_receiver_layers),
	 .misfit = pb_misfit_receiver_layers, .help = "path: a part of the receivers' layers"},
	{.path = "sweep.receiver_heads", .type = PB_KEY_INTS, .presence = PB_KEY_OPTIONAL,
	 .most = 999999, .offset = offsetof(struct pb_sweep, receiver_heads),
	 .offset_n = offsetof(struct pb_sweep, n_receiver_heads),
	 .misfit = pb_misfit_receiver_heads, .help = "path: a part of the receivers' heads"},
	{.path = "sweep.neurons", .type = PB_KEY_NEURONS, .presence = PB_KEY_OPTIONAL,
	 .most = 999999, .misfit = pb_misfit_neurons,
	 .help = "mlp_post of one layer neuron by neuron: all, or a list"},
	{.path = "sweep.window", .type = PB_KEY_COUNT, .presence = PB_KEY_OPTIONAL,
	 .fallback = "1", .least = 1, .most = 999999, .offset = offsetof(struct pb_sweep, window),
	 .misfit = pb_misfit_window,
	 .help = "so many neighbouring layers at once, an odd number"},
	{.path = "sweep.min_gap", .type = PB_KEY_NUMBER, .presence = PB_KEY_OPTIONAL,
	 .fallback = "0.1", .most = 1e6, .offset = offsetof(struct pb_sweep, min_gap),
	 .help = "pairs whose logit differences are nearer than this have no restoration"},

	{.path = "readings", .type = PB_KEY_WORDS, .presence = PB_KEY_OPTIONAL,
	 .fallback = "[direct_logit_attribution, logit_lens, head_scores]",
	 .words = reading_words, .whole = true, .offset = offsetof(struct pb_run_config, readings),
	 .help = "what is read without changing anything, a list, all or none"},
	{.path = "metrics", .type = PB_KEY_METRICS, .presence = PB_KEY_OPTIONAL,
	 .fallback = "[logit_diff]", .offset = offsetof(struct pb_run_config, metrics),
	 .help = "what is stored of each variant, a list"},
	{.path = "save", .type = PB_KEY_WORDS, .presence = PB_KEY_OPTIONAL, .fallback = "[]",
	 .words = save_words, .offset = offsetof(struct pb_run_config, save),
	 .help = "activations of the base runs to store (control: the noise of control), a list"},

	{.path = "engine", .type = PB_KEY_SECTION, .presence = PB_KEY_OPTIONAL},
	{.path = "engine.backend", .type = PB_KEY_NAME, .presence = PB_KEY_OPTIONAL,
	 .fallback = "auto", .words = backend_words,
	 .offset = offsetof(struct pb_run_config, backend),
	 .help = "where to compute"},
	{.path = "engine.precision", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "fp32", .words = precision_words,
	 .offset = offsetof(struct pb_run_config, precision),
	 .help = "operands of delta products (tf32, bf16: on a GPU)"},
	{.path = "engine.chunk", .type = PB_KEY_AUTO, .presence = PB_KEY_OPTIONAL,
	 .fallback = "auto", .least = 1, .most = PB_TASK_MAX_COUNT,
	 .offset = offsetof(struct pb_run_config, chunk),
	 .help = "pairs a chunk (auto: from the model's shape and the number of pairs)"},
	{.path = "engine.graphs", .type = PB_KEY_FLAG, .presence = PB_KEY_OPTIONAL,
	 .fallback = "off", .words = switch_words, .offset = offsetof(struct pb_run_config, graphs),
	 .help = "launch a sweep's blocks as CUDA graphs, for the same results (not measured yet)"},

	{.path = "output", .type = PB_KEY_TEXT, .presence = PB_KEY_OPTIONAL,
	 .offset = offsetof(struct pb_run_config, output),
	 .help = "the result file (-o replaces it)"},
};
/* clang-format on */

const size_t pb_n_keys = sizeof pb_keys / sizeof pb_keys[0];

const char *pb_key_words(const struct pb_key *key, char buffer[PB_WORDS_SIZE])
{
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; key->words != NULL && key->words[i] != NULL; i++)
		if (key->words[i][0] != '\0')
			used += (size_t)snprintf(buffer + used, PB_WORDS_SIZE - used, "%s%s",
						 used == 0 ? "" : ", ", key->words[i]);
	/* Each metric's word once, though several metrics share one. */
	for (int m = 0; key->type == PB_KEY_METRICS && m < PB_N_METRICS; m++) {
		const char *word = pb_metric_infos[m].request;

		if (m > 0 && strcmp(word, pb_metric_infos[m - 1].request) == 0)
			continue;
		used += (size_t)snprintf(buffer + used, PB_WORDS_SIZE - used, "%s%s",
					 m == 0 ? "" : ", ", word);
	}
	return buffer;
}

const char *pb_key_name(const struct pb_key *key)
{
	const char *dot = strrchr(key->path, '.');

	return dot == NULL ? key->path : dot + 1;
}

bool pb_key_has_task(const struct pb_key *key, const char *task)
{
	const size_t size = strlen(task);

	for (const char *at = key->tasks; at != NULL && at[0] != '\0';) {
		const size_t n = strcspn(at, " ");

		if (n == size && strncmp(at, task, n) == 0)
			return true;
		at += n + strspn(at + n, " ");
	}
	return key->tasks == NULL;
}

bool pb_key_in_section(const struct pb_key *key, const char *section)
{
	const size_t length = (size_t)(pb_key_name(key) - key->path);

	if (length == 0)
		return section[0] == '\0';
	return strlen(section) == length - 1 && strncmp(key->path, section, length - 1) == 0;
}
