/* The steps of a normalizer; Unicode normalisation form C by libutf8proc. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "tokens/bytes.h"
#include "tokens/normalize.h"

/* The `tokenizers` package normalises with the tables of Unicode 9. To it the combining marks of
 * Unicode 10 to 14 have no class: they neither move nor let anything compose across them, and
 * Dives Akuru's O (11938) is never taken apart or put together. Found by comparing all code points
 * of Unicode 14, each beside marks of nine classes. Copying them unchanged and normalising what
 * lies between gives the package's result. */
static const uint32_t kept[][2] = {
    {0x07FD, 0x07FD},   {0x0898, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},
    {0x0C3C, 0x0C3C},   {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x11A7, 0x11A7},
    {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},
    {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
    {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
    {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
    {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x16FF0, 0x16FF1},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
};

static bool is_kept(uint32_t code)
{
	size_t low = 0, high = sizeof kept / sizeof *kept;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (code > kept[middle][1])
			low = middle + 1;
		else
			high = middle;
	}
	return low < sizeof kept / sizeof *kept && code >= kept[low][0];
}

/* Nothing below U+0300 changes or combines with what is before it. */
static bool is_plain(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] >= 0xCC)
			return false;
	return true;
}

struct buffer {
	char *text;
	size_t n, capacity;
};

static enum pb_status append(struct buffer *buffer, const void *text, size_t n,
			     struct pb_error *err)
{
	void *grown = buffer->text;
	enum pb_status status =
	    pb_grow(&grown, &buffer->capacity, buffer->n + n, 1, "normalised text", err);

	buffer->text = grown;
	if (status != PB_OK)
		return status;
	if (n > 0)
		memcpy(buffer->text + buffer->n, text, n);
	buffer->n += n;
	return PB_OK;
}

static enum pb_status append_nfc(struct buffer *buffer, const char *text, size_t n,
				 struct pb_error *err)
{
	utf8proc_uint8_t *composed = NULL;
	utf8proc_ssize_t size;
	enum pb_status status;

	if (is_plain(text, n))
		return append(buffer, text, n, err);
	size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &composed,
			    UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	if (size == UTF8PROC_ERROR_NOMEM || size == UTF8PROC_ERROR_OVERFLOW)
		return pb_fail(err, PB_ERR_MEMORY,
			       "out of memory: the normal form of %zu bytes: give shorter texts",
			       n);
	if (size < 0)
		return pb_fail(err, PB_ERR_INTERNAL,
			       "a text cannot be normalised: %zu bytes, %s: report this", n,
			       utf8proc_errmsg(size));
	status = append(buffer, composed, (size_t)size, err);
	free(composed);
	return status;
}

enum pb_status pb_normalize_nfc(struct pb_normalized *out, const char *text, size_t n,
				struct pb_error *err)
{
	struct buffer buffer = {0};
	size_t done = 0, at = 0;
	enum pb_status status = PB_OK;

	*out = (struct pb_normalized){.text = text, .n = n};
	if (is_plain(text, n))
		return PB_OK;
	while (at < n) {
		size_t start = at;

		if (!is_kept(pb_utf8_next(text, &at)))
			continue;
		PB_TRY(append_nfc(&buffer, text + done, start - done, err));
		PB_TRY(append(&buffer, text + start, at - start, err));
		done = at;
	}
	PB_TRY(append_nfc(&buffer, text + done, n - done, err));
	*out = (struct pb_normalized){.text = buffer.text, .n = buffer.n, .owned = buffer.text};
	buffer.text = NULL;
cleanup:
	free(buffer.text);
	return status;
}

void pb_normalized_free(struct pb_normalized *normalized)
{
	free(normalized->owned);
	*normalized = (struct pb_normalized){0};
}

/* ---- steps ------------------------------------------------------------------------- */

enum pb_status pb_normalizer_add(struct pb_normalizer *normalizer, struct pb_normalize_step step,
				 const char *regex, size_t n, const char *where,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (normalizer->n_steps == PB_NORMALIZE_STEPS_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "too many normalizers: %s: at most %d are supported", where,
			       PB_NORMALIZE_STEPS_MAX);
	step.pattern = NULL;
	if (step.kind == PB_NORMALIZE_REPLACE)
		status = pb_pattern_open(&step.pattern, regex, n, where, err);
	if (status == PB_OK)
		normalizer->steps[normalizer->n_steps++] = step;
	return status;
}

void pb_normalizer_free(struct pb_normalizer *normalizer)
{
	for (size_t i = 0; i < normalizer->n_steps; i++)
		pb_pattern_close(normalizer->steps[i].pattern);
	normalizer->n_steps = 0;
}

/* The text with every match of the step's pattern replaced. */
static enum pb_status replace(struct pb_normalized *out, const struct pb_normalize_step *step,
			      struct pb_matcher *matcher, const char *text, size_t n,
			      struct pb_error *err)
{
	struct buffer buffer = {0};
	struct pb_split split;
	const char *piece;
	size_t size;
	enum pb_status status;

	pb_split_begin(&split, step->pattern, matcher, text, n);
	PB_TRY(append(&buffer, "", 0, err));
	for (;;) {
		PB_TRY(pb_split_next(&split, &piece, &size, err));
		if (size == 0)
			break;
		if (split.is_match)
			PB_TRY(append(&buffer, step->content, step->n_content, err));
		else
			PB_TRY(append(&buffer, piece, size, err));
	}
	*out = (struct pb_normalized){.text = buffer.text, .n = buffer.n, .owned = buffer.text};
	buffer.text = NULL;
cleanup:
	free(buffer.text);
	return status;
}

static enum pb_status prepend(struct pb_normalized *out, const struct pb_normalize_step *step,
			      const char *text, size_t n, struct pb_error *err)
{
	struct buffer buffer = {0};
	enum pb_status status;

	PB_TRY(append(&buffer, step->content, step->n_content, err));
	PB_TRY(append(&buffer, text, n, err));
	*out = (struct pb_normalized){.text = buffer.text, .n = buffer.n, .owned = buffer.text};
	buffer.text = NULL;
cleanup:
	free(buffer.text);
	return status;
}

enum pb_status pb_normalize(struct pb_normalized *out, const struct pb_normalizer *normalizer,
			    struct pb_matcher *matcher, const char *text, size_t n,
			    struct pb_error *err)
{
	enum pb_status status = PB_OK;

	*out = (struct pb_normalized){.text = text, .n = n};
	for (size_t i = 0; i < normalizer->n_steps && out->n > 0; i++) {
		const struct pb_normalize_step *step = &normalizer->steps[i];
		struct pb_normalized next = {0};

		if (step->kind == PB_NORMALIZE_NFC)
			PB_TRY(pb_normalize_nfc(&next, out->text, out->n, err));
		else if (step->kind == PB_NORMALIZE_PREPEND)
			PB_TRY(prepend(&next, step, out->text, out->n, err));
		else
			PB_TRY(replace(&next, step, matcher, out->text, out->n, err));
		if (next.text == out->text) /* nothing to change */
			continue;
		pb_normalized_free(out);
		out->text = next.text;
		out->n = next.n;
		out->owned = next.owned;
	}
cleanup:
	if (status != PB_OK)
		pb_normalized_free(out);
	return status;
}
