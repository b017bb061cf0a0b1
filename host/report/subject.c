/* Reading what a report shows. */
#include "report/subject.h"

#include <stdlib.h>
#include <string.h>

#include "report/subject_read.h"
#include "results/child.h"
#include "tokens/bytes.h"

static const char *const text_names[PB_N_SUBJECT_TEXTS] = {[PB_TEXT_TITLE] = "title",
							   [PB_TEXT_CONFIG] = "config",
							   [PB_TEXT_COMMAND] = "command",
							   [PB_TEXT_MODEL_PATH] = "model_path",
							   [PB_TEXT_MODEL_SHA256] = "model_sha256",
							   [PB_TEXT_FAMILY] = "family",
							   [PB_TEXT_BACKEND] = "backend",
							   [PB_TEXT_DEVICE] = "device",
							   [PB_TEXT_PRECISION] = "precision",
							   [PB_TEXT_HOST] = "host",
							   [PB_TEXT_VERSION] = "patchbay_version",
							   [PB_TEXT_COMMIT] = "git_commit",
							   [PB_TEXT_STARTED] = "started",
							   [PB_TEXT_FINISHED] = "finished",
							   [PB_TEXT_EXPERIMENT] =
							       "experiment_sha256",
							   [PB_TEXT_PAIRS_SHA256] = "pairs_sha256"};

/* An attribute that is longer than these bytes is none that a run writes. */
#define TEXT_LIMIT ((size_t)4 << 20)

/* ---- attributes ---------------------------------------------------------------------------- */

static enum pb_status read_texts(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *text;
	int t;

	for (t = 0; t < PB_N_SUBJECT_TEXTS && status == PB_OK; t++) {
		text = NULL;
		s->texts[t] = "";
		if (!pb_h5_has(s->r.file, text_names[t]))
			continue;
		PB_TRY(pb_h5_get_text(s->r.file, text_names[t], &text, err));
		if (strlen(text) > TEXT_LIMIT)
			status = pb_fail(err, PB_ERR_CHECK, "attribute is too long: %s: %s",
					 s->r.path, text_names[t]);
		else
			s->texts[t] = pb_subject_keep(s, text, strlen(text));
		free(text);
		if (s->texts[t] == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: attributes");
	}
cleanup:
	return status;
}

const char *pb_subject_keep(struct pb_subject *s, const char *text, size_t size)
{
	char *kept = pb_arena_alloc(&s->arena, 3 * size + 1, 1);

	if (kept != NULL)
		kept[pb_utf8_lossy(text, size, kept)] = '\0';
	return kept;
}

/* ---- the file ------------------------------------------------------------------------------ */

static enum pb_status read_all(struct pb_subject *s, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	PB_TRY(read_texts(s, err));
	PB_TRY(pb_subject_read_task(s, err));
	PB_TRY(pb_subject_read_checks(s, err));
	if (s->r.evaluation || s->comparison)
		return PB_OK;
	PB_TRY(pb_subject_read_pairs(s, err));
	PB_TRY(pb_alloc((void **)&s->sweeps, s->r.n_sweeps, sizeof *s->sweeps, "sweeps", err));
	for (i = 0; i < s->r.n_sweeps; i++) {
		s->n_sweeps = i + 1;
		PB_TRY(pb_subject_read_sweep(s, i, err));
	}
	status = pb_subject_name_sweeps(s, err);
cleanup:
	return status;
}

/* A comparison is opened as it is; any other file is left to pb_result_open_partial. */
static enum pb_status try_comparison(struct pb_subject *s, const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int64_t complete = 0;

	if (!pb_is_hdf5(path) ||
	    pb_h5_file_open(&s->r.file, path, false, PB_ERR_CHECK, NULL) != PB_OK)
		return PB_OK;
	if (!pb_h5_has(s->r.file, "comparison_version")) {
		(void)pb_h5_file_close(&s->r.file, path, NULL);
		return PB_OK;
	}
	s->comparison = true;
	s->r.path = path;
	if (pb_h5_has(s->r.file, "complete"))
		PB_TRY(pb_h5_get_int(s->r.file, "complete", &complete, err));
	s->r.partial = complete != 1;
cleanup:
	return status;
}

enum pb_status pb_subject_open(struct pb_subject *s, const char *path, struct pb_error *err)
{
	enum pb_status status;
	struct pb_error why = {0};

	*s = (struct pb_subject){.r = {.file = -1}};
	pb_child_at(path);
	PB_TRY(try_comparison(s, path, err));
	if (!s->comparison)
		PB_TRY(pb_result_open_partial(&s->r, path, err));
	status = read_all(s, &why);
	/* What lies within a file names no file. */
	if (status != PB_OK)
		status = pb_fail(err, status, "%s%s%s", strstr(why.message, path) ? "" : path,
				 strstr(why.message, path) ? "" : ": ", why.message);
cleanup:
	return status;
}

void pb_subject_close(struct pb_subject *s)
{
	size_t i;

	for (i = 0; i < s->n_sweeps; i++)
		pb_subject_free_sweep(&s->sweeps[i]);
	free(s->sweeps);
	free(s->length);
	free(s->first_difference);
	free(s->answer);
	free(s->foil);
	free(s->tokens[0]);
	free(s->tokens[1]);
	free(s->roles);
	free(s->token_ids);
	pb_result_close(&s->r);
	pb_arena_free(&s->arena);
	*s = (struct pb_subject){.r = {.file = -1}};
}

bool pb_subject_has_pairs(const struct pb_subject *s)
{
	return !s->r.evaluation && !s->comparison;
}

bool pb_subject_proven(const struct pb_subject *s)
{
	size_t i;

	for (i = 0; i < s->n_checks; i++)
		if (!s->checks[i].passed)
			return false;
	return s->n_checks > 0;
}

const char *pb_last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* ---- words --------------------------------------------------------------------------------- */

const char *pb_subject_token(const struct pb_subject *s, int32_t id)
{
	size_t low = 0, high = s->n_tokens;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (s->token_ids[middle] == id)
			return s->token_texts[middle];
		if (s->token_ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const char *pb_subject_token_label(struct pb_subject *s, struct pb_arena *arena, int32_t id)
{
	const char *text = pb_subject_token(s, id);
	char number[24], *label;
	size_t n, i, k = 0;

	if (text == NULL || text[0] == '\0') {
		(void)snprintf(number, sizeof number, "#%d", (int)id);
		return pb_arena_strdup(arena, number);
	}
	n = strlen(text);
	label = pb_arena_alloc(arena, 3 * n + 1, 1);
	for (i = 0; label != NULL && i < n; i++) {
		if (text[i] == ' ')
			k += pb_utf8_put(0xB7, label + k); /* a middle dot */
		else if (text[i] == '\n')
			k += pb_utf8_put(0x21B5, label + k); /* a return arrow */
		else if (text[i] == '\t')
			k += pb_utf8_put(0x2192, label + k); /* an arrow */
		else
			label[k++] = text[i];
	}
	return label;
}
