/* What the attention operations share: the keys and values of one head of a prompt, its patterns,
 * and the edits of patterns.
 *
 * A task is one head of one prompt (or of a run of variants that share a recipient), small enough
 * for a core's own cache. Each task lays its scratch out with take(); pb_cpu_scratch_floats bounds
 * the sum. */
#ifndef PB_CPU_ATTENTION_H
#define PB_CPU_ATTENTION_H

#include "cpu/isa.h"

/* Take `count` floats of scratch, on a cache line. */
static inline float *take(float **scratch, size_t count)
{
	float *p = *scratch;

	*scratch += (count + 15) / 16 * 16;
	return p;
}

/* ---- one head of a prompt ----------------------------------------------------------------------
 */

struct side {
	size_t length, lanes_length; /* keys, and keys rounded up to whole vectors */
	size_t head, kv, stride;     /* this query head, its KV head, floats a qkv row */
	size_t d_head, lanes_head;
	const float *rows; /* qkv of position 0 */
	float *kt;         /* [d_head, lanes_length]: keys transposed */
	float *v;          /* [length, lanes_head] */
};

static inline const float *query_of(const struct pb_heads *hd, const float *row, size_t head)
{
	return row + head * hd->d_head;
}
static inline const float *key_of(const struct pb_heads *hd, const float *row, size_t kv)
{
	return row + (hd->n_heads + kv) * hd->d_head;
}
static inline const float *value_of(const struct pb_heads *hd, const float *row, size_t kv)
{
	return row + (hd->n_heads + hd->n_kv_heads + kv) * hd->d_head;
}

static inline size_t qkv_stride(const struct pb_heads *hd)
{
	return (hd->n_heads + 2 * hd->n_kv_heads) * hd->d_head;
}

/* Rows of a head lie far apart, and a processor does not foresee them: ask for the parts of this
 * head some rows ahead (where that is past the end nothing happens). */
#define PB_ROWS_AHEAD ((size_t)12)
static inline void ask_for(const float *part, size_t d_head)
{
	for (size_t d = 0; d < d_head; d += 16)
		__builtin_prefetch(part + d);
	__builtin_prefetch(part + d_head - 1);
}

/* The keys of rows 0 .. length-1, transposed: kt [d_head, ld], 0 past the last. */
static inline void load_keys(const struct pb_heads *hd, const float *rows, size_t length, size_t kv,
			     float *kt, size_t ld)
{
	size_t stride = qkv_stride(hd);

	for (size_t j = 0; j < length; j++) {
		const float *k = key_of(hd, rows + j * stride, kv);

		ask_for(k + PB_ROWS_AHEAD * stride, hd->d_head);
		for (size_t d = 0; d < hd->d_head; d++)
			kt[d * ld + j] = k[d];
	}
	for (size_t d = 0; d < hd->d_head; d++)
		for (size_t j = length; j < ld; j++)
			kt[d * ld + j] = 0.0f;
}

/* Value rows [n] of a KV head into v [n, lanes_head], 0 past d_head. */
static inline void load_values(const struct side *s, const struct pb_heads *hd, const float *rows,
			       size_t n, float *v)
{
	for (size_t j = 0; j < n; j++) {
		const float *from = value_of(hd, rows + j * s->stride, s->kv);

		ask_for(from + PB_ROWS_AHEAD * s->stride, s->d_head);
		for (size_t d = 0; d < s->lanes_head; d++)
			v[j * s->lanes_head + d] = d < s->d_head ? from[d] : 0.0f;
	}
}

static inline void load_side(struct side *s, const struct pb_heads *hd, const float *qkv,
			     size_t base, size_t length, size_t head, float **scratch)
{
	s->length = length;
	s->lanes_length = pb_round_lanes(length);
	s->head = head;
	s->kv = head * hd->n_kv_heads / hd->n_heads;
	s->stride = qkv_stride(hd);
	s->d_head = hd->d_head;
	s->lanes_head = pb_round_lanes(hd->d_head);
	s->rows = qkv + base * s->stride;
	s->kt = take(scratch, s->d_head * s->lanes_length);
	s->v = take(scratch, length * s->lanes_head);
	load_keys(hd, s->rows, length, s->kv, s->kt, s->lanes_length);
	load_values(s, hd, s->rows, length, s->v);
}

/* The queries of rows [n], scaled: q [n, d_head]. */
static inline void load_queries(const struct pb_heads *hd, const float *rows, size_t n, size_t head,
				float *q)
{
	size_t stride = qkv_stride(hd);

	for (size_t r = 0; r < n; r++) {
		const float *from = query_of(hd, rows + r * stride, head);

		for (size_t d = 0; d < hd->d_head; d++)
			q[r * hd->d_head + d] = from[d] * hd->score_scale;
	}
}

/* Keys that rows up to position `last` see, rounded up to whole vectors. */
static inline size_t keys_until(size_t last, size_t lanes_length)
{
	size_t n = pb_round_lanes(last + 1);

	return n < lanes_length ? n : lanes_length;
}

/* The softcap of scaled scores lo .. hi. */
static inline void cap_scores(float *s, size_t lo, size_t hi, float cap)
{
	for (size_t j = lo; cap > 0.0f && j <= hi; j++)
		s[j] = cap * tanhf(s[j] / cap);
}

/* Patterns of `n` query rows q [n, d_head] (already scaled) at positions first..: a [n, ld]. */
static inline void make_patterns(const struct pb_heads *hd, const float *q, const float *kt,
				 size_t ld, size_t first, size_t n, float *a)
{
	for (size_t i = 0; i < n; i += PB_MM_ROWS) {
		size_t m = n - i < PB_MM_ROWS ? n - i : PB_MM_ROWS;
		size_t keys = keys_until(first + i + m - 1, ld);

		pb_mm(a + i * ld, ld, q + i * hd->d_head, hd->d_head, kt, ld, m, keys, hd->d_head,
		      false);
		for (size_t r = i; r < i + m; r++) {
			size_t lo = pb_first_visible(first + r, hd->window);

			cap_scores(a + r * ld, lo, first + r, hd->score_softcap);
			pb_softmax(a + r * ld, ld, lo, first + r);
		}
	}
}

/* ---- edits of a head's patterns ----------------------------------------------------------------
 */

/* The edits of some spans, for one head, and the rows that they take from other prompts' patterns:
 * of one prompt at a time, made once for all the spans. */
struct edits {
	const struct pb_heads *heads;
	size_t head;
	const struct pb_span *spans;
	size_t n_spans;
	const struct pb_pattern_edit *edits; /* NULL: there are none */
	const float *source_qkv, *table;
	size_t table_stride;
	int32_t base;      /* of the source whose rows are here; -1: none yet */
	size_t first, ld;  /* position of the first of them, floats a row */
	float *kt, *q, *a; /* scratch */
};

/* Scratch for spans of up to `length` tokens; none where nothing is edited. */
static inline void take_edits(struct edits *e, size_t length, float **scratch)
{
	e->base = -1;
	if (!e->edits)
		return;
	e->ld = pb_round_lanes(length);
	e->kt = take(scratch, e->heads->d_head * e->ld);
	e->q = take(scratch, PB_MM_ROWS * e->heads->d_head);
	e->a = take(scratch, length * e->ld);
}

static inline size_t edited_rows_end(const struct pb_pattern_edit *edit, const struct pb_span *p)
{
	size_t end = (size_t)edit->query + (size_t)edit->n_queries;

	return end < (size_t)p->length ? end : (size_t)p->length;
}

/* Make all rows that any span's edits take from the prompt at `base`. A row's bits are those that
 * it has as a recipient's. */
static inline void load_source(struct edits *e, int32_t base)
{
	const struct pb_heads *hd = e->heads;
	const float *rows = e->source_qkv + (size_t)base * qkv_stride(hd);
	size_t first = SIZE_MAX, end = 0;

	for (size_t s = 0; s < e->n_spans; s++)
		for (int32_t i = 0; i < e->spans[s].n_edits; i++) {
			const struct pb_pattern_edit *edit = &e->edits[e->spans[s].edit + i];
			size_t until = edited_rows_end(edit, &e->spans[s]);

			if ((size_t)edit->head != e->head || edit->source_base != base ||
			    edit->source == 0.0f)
				continue;
			first = (size_t)edit->query < first ? (size_t)edit->query : first;
			end = until > end ? until : end;
		}
	e->base = base;
	e->first = first;
	load_keys(hd, rows, end, e->head * hd->n_kv_heads / hd->n_heads, e->kt, e->ld);
	for (size_t i = first; i < end; i += PB_MM_ROWS) {
		size_t m = end - i < PB_MM_ROWS ? end - i : PB_MM_ROWS;

		load_queries(hd, rows + i * qkv_stride(hd), m, e->head, e->q);
		make_patterns(hd, e->q, e->kt, e->ld, i, m, e->a + (i - first) * e->ld);
	}
}

/* Row `i` of what an edit adds; NULL: nothing. */
static inline const float *source_row(struct edits *e, const struct pb_pattern_edit *edit, size_t i)
{
	if (edit->source == 0.0f)
		return NULL;
	if (edit->table_row >= 0)
		return e->table +
		       ((size_t)edit->table_row + i - (size_t)edit->query) * e->table_stride;
	if (edit->source_base < 0)
		return NULL;
	if (edit->source_base != e->base)
		load_source(e, edit->source_base);
	return e->a + (i - e->first) * e->ld;
}

/* a = own a + source s over the keys lo .. hi-1. */
static inline void edit_row(float *a, const float *s, float own, float source, size_t lo, size_t hi)
{
	if (own == 0.0f && !s)
		for (size_t j = lo; j < hi; j++)
			a[j] = 0.0f;
	else if (own == 0.0f)
		for (size_t j = lo; j < hi; j++)
			a[j] = source * s[j];
	else if (!s)
		for (size_t j = lo; j < hi; j++)
			a[j] *= own;
	else
		for (size_t j = lo; j < hi; j++)
			a[j] = own * a[j] + source * s[j];
}

/* The edits of span p on the patterns a [m, ld] of its positions first .. first + m - 1. */
static inline void edit_patterns(struct edits *e, const struct pb_span *p, size_t first, size_t m,
				 float *a, size_t ld)
{
	for (int32_t k = 0; e->edits && k < p->n_edits; k++) {
		const struct pb_pattern_edit *edit = &e->edits[p->edit + k];
		size_t i = (size_t)edit->query, end = edited_rows_end(edit, p);

		if ((size_t)edit->head != e->head)
			continue;
		i = i > first ? i : first;
		end = end < first + m ? end : first + m;
		for (; i < end; i++) {
			size_t lo = pb_first_visible(i, e->heads->window), hi = i + 1;
			size_t key = (size_t)edit->key, key_end = key + (size_t)edit->n_keys;

			edit_row(a + (i - first) * ld, source_row(e, edit, i), edit->own,
				 edit->source, key > lo ? key : lo, key_end < hi ? key_end : hi);
		}
	}
}

#endif
