/* Cuts text into words, stage by stage, and encodes each. */
#include <stdlib.h>
#include <string.h>

#include "tokens/pretokenize.h"

enum pb_status pb_pretokenizer_add(struct pb_pretokenizer *pre, struct pb_stage stage,
				   const char *regex, size_t n, const char *where,
				   struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (pre->n_stages == PB_PRETOKENIZE_STAGES_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "too many pre-tokenizers: %s: at most %d are supported", where,
			       PB_PRETOKENIZE_STAGES_MAX);
	stage.pattern = NULL;
	if (regex != NULL)
		status = pb_pattern_open(&stage.pattern, regex, n, where, err);
	if (status == PB_OK)
		pre->stages[pre->n_stages++] = stage;
	return status;
}

void pb_pretokenizer_free(struct pb_pretokenizer *pre)
{
	for (size_t i = 0; i < pre->n_stages; i++)
		pb_pattern_close(pre->stages[i].pattern);
	pre->n_stages = 0;
}

void pb_encoder_free(struct pb_encoder *encoder)
{
	pb_matcher_close(encoder->matcher);
	pb_bpe_work_free(&encoder->work);
	for (size_t i = 0; i < PB_PRETOKENIZE_STAGES_MAX; i++)
		free(encoder->runs[i].changed);
	free(encoder->out.ids);
}

/* The piece with spaces replaced and its prefix, where the stage changes it. */
static enum pb_status change(struct pb_stage_run *run, const struct pb_stage *stage,
			     const char **piece, size_t *size, struct pb_error *err)
{
	const char *prefix = stage->space[0] != '\0' ? stage->space : " ";
	const size_t n_prefix = strlen(prefix);
	size_t n_spaces = 0, room, at = 0;
	bool wanted =
	    stage->prefix == PB_PREFIX_ALWAYS || (stage->prefix == PB_PREFIX_FIRST && run->first);
	void *changed = run->changed;
	enum pb_status status;

	/* A leading space is or becomes the prefix. */
	if ((*piece)[0] == ' ' || (*size >= n_prefix && memcmp(*piece, prefix, n_prefix) == 0))
		wanted = false;
	for (size_t i = 0; stage->space[0] != '\0' && i < *size; i++)
		n_spaces += (*piece)[i] == ' ';
	if (!wanted && n_spaces == 0)
		return PB_OK;
	if (!pb_size_mul(n_spaces + 1, n_prefix, &room) || !pb_size_add(room, *size, &room))
		return pb_fail(err, PB_ERR_INPUT, "a text is too long: give less");
	status = pb_grow(&changed, &run->capacity, room, 1, "a piece of text", err);
	run->changed = changed;
	if (status != PB_OK)
		return status;
	if (wanted) {
		memcpy(run->changed, prefix, n_prefix);
		at = n_prefix;
	}
	for (size_t i = 0; i < *size; i++) {
		if ((*piece)[i] == ' ' && stage->space[0] != '\0') {
			memcpy(run->changed + at, prefix, n_prefix);
			at += n_prefix;
		} else {
			run->changed[at++] = (*piece)[i];
		}
	}
	*piece = run->changed;
	*size = at;
	return PB_OK;
}

/* Starts a stage on a piece. */
static enum pb_status enter(struct pb_encoder *encoder, size_t at, const char *piece, size_t size,
			    bool first, struct pb_error *err)
{
	const struct pb_stage *stage = &encoder->pre->stages[at];
	struct pb_stage_run *run = &encoder->runs[at];
	enum pb_status status;

	run->first = first;
	run->started = false;
	run->next_size = 0;
	status = change(run, stage, &piece, &size, err);
	if (status != PB_OK)
		return status;
	run->whole = stage->pattern == NULL;
	if (run->whole) {
		run->next = piece;
		run->next_size = size;
	} else {
		pb_split_begin(&run->split, stage->pattern, encoder->matcher, piece, size);
	}
	return PB_OK;
}

/* The next match or text between matches, into run->next. */
static enum pb_status advance(struct pb_stage_run *run, bool invert, struct pb_error *err)
{
	enum pb_status status = pb_split_next(&run->split, &run->next, &run->next_size, err);

	run->next_match = run->split.is_match != invert;
	return status;
}

/* Whether a piece and the one behind it are one. */
static bool belong_together(enum pb_split_behavior behavior, bool match, bool next_match)
{
	switch (behavior) {
	case PB_SPLIT_MERGED_WITH_PREVIOUS:
		return !match && next_match;
	case PB_SPLIT_MERGED_WITH_NEXT:
		return match && !next_match;
	case PB_SPLIT_CONTIGUOUS:
		return match == next_match;
	default:
		return false;
	}
}

/* The next piece of a stage; *size is 0 when there is none left. */
static enum pb_status next_piece(struct pb_stage_run *run, const struct pb_stage *stage,
				 const char **piece, size_t *size, bool *first,
				 struct pb_error *err)
{
	bool match, merged = false;
	enum pb_status status = PB_OK;

	*size = 0;
	if (run->whole) {
		*piece = run->next;
		*size = run->next_size;
		*first = run->first;
		run->next_size = 0;
		return PB_OK;
	}
	if (run->next_size == 0)
		PB_TRY(advance(run, stage->invert, err));
	while (stage->behavior == PB_SPLIT_REMOVED && run->next_size > 0 && run->next_match) {
		run->started = true;
		PB_TRY(advance(run, stage->invert, err));
	}
	*piece = run->next;
	*size = run->next_size;
	*first = run->first && !run->started;
	run->started = true;
	match = run->next_match;
	run->next_size = 0;
	if (*size == 0 || stage->behavior <= PB_SPLIT_REMOVED)
		return PB_OK;
	do {
		PB_TRY(advance(run, stage->invert, err));
		merged =
		    run->next_size > 0 && belong_together(stage->behavior, match, run->next_match);
		if (merged)
			*size += run->next_size;
	} while (merged && stage->behavior == PB_SPLIT_CONTIGUOUS);
	if (merged)
		run->next_size = 0;
cleanup:
	return status;
}

enum pb_status pb_pretokenize(struct pb_encoder *encoder, const char *text, size_t n, bool first,
			      struct pb_error *err)
{
	const struct pb_pretokenizer *pre = encoder->pre;
	const char *piece = text;
	size_t size = n, stage = 0; /* the stage that the piece enters */
	enum pb_status status = PB_OK;

	if (n == 0)
		return PB_OK;
	for (;;) {
		if (size > 0 && stage < pre->n_stages) {
			PB_TRY(enter(encoder, stage, piece, size, first, err));
			stage++;
		} else if (size > 0) {
			PB_TRY(pb_bpe_encode(encoder->bpe, encoder->vocab, &encoder->work, piece,
					     size, &encoder->out, err));
		} else {
			stage--;
		}
		if (stage == 0)
			break;
		PB_TRY(next_piece(&encoder->runs[stage - 1], &pre->stages[stage - 1], &piece, &size,
				  &first, err));
	}
cleanup:
	return status;
}
