/* Cuts text into words, stage by stage, and encodes each. */
#include <string.h>

#include "tokens/pretokenize.h"

enum pb_status pb_pretokenizer_add(struct pb_pretokenizer *pre, const char *regex, size_t n,
				   const char *where, struct pb_error *err)
{
	enum pb_status status;

	if (pre->n_stages == PB_PRETOKENIZE_STAGES_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "too many pre-tokenizers: %s: at most %d are supported", where,
			       PB_PRETOKENIZE_STAGES_MAX);
	status = pb_pattern_open(&pre->stages[pre->n_stages], regex, n, where, err);
	if (status == PB_OK)
		pre->n_stages++;
	return status;
}

void pb_pretokenizer_free(struct pb_pretokenizer *pre)
{
	for (size_t i = 0; i < pre->n_stages; i++)
		pb_pattern_close(pre->stages[i]);
	pre->n_stages = 0;
}

/* The piece with a space in front. ByteLevel comes last, so no other piece is in there. */
static enum pb_status prefix_space(struct pb_encoder *encoder, const char **piece, size_t *size,
				   struct pb_error *err)
{
	void *spaced = encoder->spaced;
	enum pb_status status =
	    pb_grow(&spaced, &encoder->spaced_capacity, *size + 1, 1, "a piece of text", err);

	encoder->spaced = spaced;
	if (status != PB_OK)
		return status;
	encoder->spaced[0] = ' ';
	memcpy(encoder->spaced + 1, *piece, *size);
	*piece = encoder->spaced;
	*size += 1;
	return PB_OK;
}

/* Starts stage `stage` on a piece, with its prefix space when this is the stage for it. */
static enum pb_status enter(struct pb_encoder *encoder, struct pb_split *splits, size_t stage,
			    const char **piece, size_t *size, struct pb_error *err)
{
	const struct pb_pretokenizer *pre = encoder->pre;

	if (stage == pre->prefix_stage && (*piece)[0] != ' ') {
		enum pb_status status = prefix_space(encoder, piece, size, err);

		if (status != PB_OK)
			return status;
	}
	if (stage < pre->n_stages)
		pb_split_begin(&splits[stage], pre->stages[stage], encoder->matcher, *piece, *size);
	return PB_OK;
}

enum pb_status pb_pretokenize(struct pb_encoder *encoder, const char *text, size_t n,
			      struct pb_error *err)
{
	struct pb_split splits[PB_PRETOKENIZE_STAGES_MAX];
	const size_t n_stages = encoder->pre->n_stages;
	const char *piece = text;
	size_t size = n, stage = 0; /* the stage that the piece enters */
	enum pb_status status;

	if (n == 0)
		return PB_OK;
	PB_TRY(enter(encoder, splits, 0, &piece, &size, err));
	for (;;) {
		if (stage == n_stages) {
			PB_TRY(pb_bpe_encode(encoder->bpe, encoder->vocab, &encoder->work, piece,
					     size, &encoder->out, err));
			if (stage == 0)
				break;
			stage--;
		}
		PB_TRY(pb_split_next(&splits[stage], &piece, &size, err));
		if (size > 0) {
			stage++;
			PB_TRY(enter(encoder, splits, stage, &piece, &size, err));
		} else if (stage-- == 0) {
			break;
		}
	}
cleanup:
	return status;
}
