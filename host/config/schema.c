/* The table of configuration keys. */
#include "config/schema.h"

#include <stdio.h>
#include <string.h>

/* Enums are written as int by their word's index. */
_Static_assert(sizeof(enum pb_bos) == sizeof(int), "an enum is an int");

static const char *const bos_words[] = {
    [PB_BOS_AUTO] = "auto", [PB_BOS_TRUE] = "true", [PB_BOS_FALSE] = "false", NULL};
static const char *const task_words[] = {"box", NULL};
static const char *const task_later[] = {"dfa",          "fruit",     "adventure", "ioi",
					 "greater_than", "induction", NULL};
static const char *const corrupt_words[] = {[PB_CORRUPT_STATE] = "state",
					    [PB_CORRUPT_ACTION] = "action",
					    [PB_CORRUPT_DISTRACTOR] = "distractor",
					    NULL};
static const char *const corrupt_later[] = {"matched", "noop", "same_action", NULL};
static const char *const intervention_words[] = {[PB_PATCH] = "patch", NULL};
static const char *const intervention_later[] = {"zero",    "mean",    "resample", "scale", "add",
						 "project", "control", "path",     NULL};
/* resid_pre is a site of the run's own checks; as a sweep it is still to come. */
static const char *const site_words[] = {[PB_SITE_Z] = "z", NULL};
static const char *const site_later[] = {
    "embed",   "resid_pre", "q",         "k",        "v",       "q_rot",      "k_rot",
    "pattern", "attn_out",  "resid_mid", "mlp_post", "mlp_out", "resid_post", NULL};
static const char *const direction_words[] = {[PB_DENOISE] = "denoise", [PB_NOISE] = "noise", NULL};
static const char *const positions_words[] = {
    [PB_POSITIONS_ALL] = "all", [PB_POSITIONS_LAST] = "last", [PB_POSITIONS_EACH] = "each", NULL};
static const char *const positions_later[] = {"each_key", NULL};
static const char *const backend_words[] = {"auto", "cpu", NULL};
static const char *const backend_later[] = {"cuda", NULL};
static const char *const precision_words[] = {[PB_PRECISION_FP32] = "fp32", NULL};
static const char *const precision_later[] = {"tf32", "bf16", NULL};

#define SEED_MAX 9223372036854775807.0

/* clang-format off */
const struct pb_key pb_keys[] = {
	{.path = "model", .type = PB_KEY_SECTION, .help = "which model, at least its path"},
	{.path = "model.path", .type = PB_KEY_TEXT,
	 .offset = offsetof(struct pb_run_config, model_path),
	 .help = "a Hugging Face folder: config.json and model.safetensors"},
	{.path = "model.bos", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL, .fallback = "auto",
	 .words = bos_words, .offset = offsetof(struct pb_run_config, bos),
	 .help = "put BOS in front of text prompts (auto: what the tokenizer does)"},

	{.path = "task", .type = PB_KEY_SECTION, .presence = PB_KEY_ALTERNATIVE},
	{.path = "task.name", .type = PB_KEY_NAME, .words = task_words, .later = task_later,
	 .offset = offsetof(struct pb_run_config, task.name),
	 .help = "the task that makes the pairs"},
	{.path = "task.boxes", .type = PB_KEY_COUNT, .least = 2, .most = 10,
	 .offset = offsetof(struct pb_run_config, task.boxes),
	 .help = "boxes, and as many objects"},
	{.path = "task.moves", .type = PB_KEY_COUNT, .least = 1, .most = 10,
	 .offset = offsetof(struct pb_run_config, task.moves),
	 .help = "moves of a story"},
	{.path = "task.pairs", .type = PB_KEY_COUNT, .presence = PB_KEY_OPTIONAL, .fallback = "100",
	 .least = 1, .most = PB_TASK_MAX_COUNT, .offset = offsetof(struct pb_run_config, task.count),
	 .help = "how many pairs to make"},
	{.path = "task.corrupt", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL, .fallback = "state",
	 .words = corrupt_words, .later = corrupt_later,
	 .offset = offsetof(struct pb_run_config, task.corrupt),
	 .help = "what differs between clean and corrupted"},
	{.path = "task.seed", .type = PB_KEY_SEED, .presence = PB_KEY_OPTIONAL, .fallback = "0",
	 .most = SEED_MAX, .offset = offsetof(struct pb_run_config, task.seed),
	 .help = "same seed, same pairs"},

	{.path = "pairs", .type = PB_KEY_TEXT, .presence = PB_KEY_ALTERNATIVE,
	 .offset = offsetof(struct pb_run_config, pairs_path),
	 .help = "a JSONL file of pairs, instead of a task"},

	{.path = "sweep", .type = PB_KEY_ROWS,
	 .help = "what is patched, one row a sweep, for instance {site: z}"},
	{.path = "sweep.intervention", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "patch", .words = intervention_words, .later = intervention_later,
	 .offset = offsetof(struct pb_sweep, intervention),
	 .help = "what is done to an activation (patch: it is taken from the donor)"},
	{.path = "sweep.site", .type = PB_KEY_WORD, .words = site_words, .later = site_later,
	 .offset = offsetof(struct pb_sweep, site),
	 .help = "which activation (z: a head's output before W_O)"},
	{.path = "sweep.direction", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "denoise", .words = direction_words,
	 .offset = offsetof(struct pb_sweep, direction),
	 .help = "denoise: clean into corrupted; noise: corrupted into clean"},
	{.path = "sweep.positions", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "all", .words = positions_words, .later = positions_later,
	 .offset = offsetof(struct pb_sweep, positions),
	 .help = "where: all at once, the last, or each by itself"},
	{.path = "sweep.min_gap", .type = PB_KEY_NUMBER, .presence = PB_KEY_OPTIONAL,
	 .fallback = "0.1", .most = 1e6, .offset = offsetof(struct pb_sweep, min_gap),
	 .help = "pairs whose logit differences are nearer than this have no restoration"},

	{.path = "metrics", .type = PB_KEY_METRICS, .presence = PB_KEY_OPTIONAL,
	 .fallback = "logit_diff", .offset = offsetof(struct pb_run_config, metrics),
	 .help = "what is stored of each variant, a list"},

	{.path = "engine", .type = PB_KEY_SECTION, .presence = PB_KEY_OPTIONAL},
	{.path = "engine.backend", .type = PB_KEY_NAME, .presence = PB_KEY_OPTIONAL,
	 .fallback = "auto", .words = backend_words, .later = backend_later,
	 .offset = offsetof(struct pb_run_config, backend),
	 .help = "where to compute"},
	{.path = "engine.precision", .type = PB_KEY_WORD, .presence = PB_KEY_OPTIONAL,
	 .fallback = "fp32", .words = precision_words, .later = precision_later,
	 .offset = offsetof(struct pb_run_config, precision),
	 .help = "operands of delta products"},
	{.path = "engine.chunk", .type = PB_KEY_AUTO, .presence = PB_KEY_OPTIONAL,
	 .fallback = "auto", .least = 1, .most = PB_TASK_MAX_COUNT,
	 .offset = offsetof(struct pb_run_config, chunk),
	 .help = "pairs a chunk (auto: from the model's shape and the number of pairs)"},

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
		used += (size_t)snprintf(buffer + used, PB_WORDS_SIZE - used, "%s%s",
					 i == 0 ? "" : ", ", key->words[i]);
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

bool pb_key_in_section(const struct pb_key *key, const char *section)
{
	const size_t length = (size_t)(pb_key_name(key) - key->path);

	if (length == 0)
		return section[0] == '\0';
	return strlen(section) == length - 1 && strncmp(key->path, section, length - 1) == 0;
}

void pb_config_describe(FILE *out)
{
	for (size_t k = 0; k < pb_n_keys; k++) {
		const struct pb_key *key = &pb_keys[k];
		char words[PB_WORDS_SIZE];

		if (key->type == PB_KEY_SECTION || key->type == PB_KEY_ROWS)
			continue;
		fprintf(out, "  %-19s %s", key->path, key->help);
		if (pb_key_words(key, words)[0] != '\0')
			fprintf(out, ": %s", words);
		if (key->fallback != NULL)
			fprintf(out, " [%s]", key->fallback);
		fprintf(out, "\n");
	}
}
