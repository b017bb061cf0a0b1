/* Edits of patterns for tests: at random, and with NaN wherever they must not read. */
#ifndef PB_TEST_PATTERN_EDITS_H
#define PB_TEST_PATTERN_EDITS_H

#include <assert.h>

#include "attention.h"

#define LONGEST ((size_t)37)

enum { N_SOURCES = 3 }; /* prompts of LONGEST rows; one more is NaN throughout */

struct edits_set {
	struct pb_pattern_edit *edits;
	size_t n, capacity;
	float *source, *table;
	size_t source_rows, table_rows, table_stride;
};

/* One block on the queries `query` .. `end`-1. What its factors leave out is NaN in memory. */
static inline void add_block(struct rig *r, struct edits_set *set, size_t head, size_t query,
			     size_t end, size_t key, size_t key_end)
{
	static const float owns[] = {0.0f, 1.0f, 0.5f, -1.25f}, sources[] = {0.0f, 1.0f, 0.75f};
	struct pb_pattern_edit *e = &set->edits[set->n++];

	assert(set->n <= set->capacity);
	*e = (struct pb_pattern_edit){.head = (int32_t)head,
				      .query = (int32_t)query,
				      .n_queries = (int32_t)(end - query),
				      .key = (int32_t)key,
				      .n_keys = (int32_t)(key_end - key),
				      .source_base = -1,
				      .table_row = -1,
				      .own = owns[pb_rng_below(&r->rng, 4)],
				      .source = sources[pb_rng_below(&r->rng, 3)]};
	if (e->source == 0.0f) {
		e->source_base = (int32_t)(N_SOURCES * LONGEST);
		e->table_row = pb_rng_below(&r->rng, 2) ? 0 : -1;
	} else if (pb_rng_below(&r->rng, 3)) {
		e->source_base = (int32_t)(pb_rng_below(&r->rng, N_SOURCES) * LONGEST);
	} else if (pb_rng_below(&r->rng, 4)) {
		e->table_row = (int32_t)set->table_rows;
		set->table_rows += end - query;
	} /* else there is no source */
}

/* Up to four blocks on about two thirds of the heads of a prompt: of all its queries or of some,
 * and of all keys or of some, reaching past the last of both. */
static inline void edit_span(struct rig *r, const struct pb_heads *hd, struct pb_span *p,
			     struct edits_set *set)
{
	size_t n = (size_t)p->length;

	p->edit = (int32_t)set->n;
	for (size_t h = 0; h < hd->n_heads; h++) {
		size_t query = pb_rng_below(&r->rng, n + 1), key = pb_rng_below(&r->rng, n + 1);

		switch (pb_rng_below(&r->rng, 6)) {
		case 0:
		case 1:
			break;
		case 2:
			add_block(r, set, h, 0, n, 0, n);
			break;
		case 3: /* one query, all keys */
			add_block(r, set, h, query, query + 1, 0, n + 5);
			break;
		case 4: /* the two strips around a key, later queries */
			add_block(r, set, h, query, n + 2, 0, key);
			add_block(r, set, h, query, n + 2, key, n + 2);
			break;
		default: /* four quarters */
			add_block(r, set, h, 0, query, 0, key);
			add_block(r, set, h, query, n, 0, key);
			add_block(r, set, h, 0, query, key, n);
			add_block(r, set, h, query, n, key, n);
			break;
		}
	}
	p->n_edits = (int32_t)set->n - p->edit;
}

/* Numbers where an edit must read the table: its visible entries. Entries add up to about one. */
static inline void fill_table(struct rig *r, const struct pb_heads *hd, const struct pb_span *p,
			      struct edits_set *set)
{
	for (int32_t k = p->edit; k < p->edit + p->n_edits; k++) {
		const struct pb_pattern_edit *e = &set->edits[k];

		for (size_t i = 0; e->source != 0.0f && e->table_row >= 0 &&
				   i < (size_t)e->n_queries && (size_t)e->query + i < LONGEST;
		     i++)
			for (size_t j = (size_t)e->key;
			     j < (size_t)e->key + (size_t)e->n_keys && j < LONGEST; j++)
				if (ref_sees((size_t)e->query + i, j, hd->window))
					set->table[((size_t)e->table_row + i) * set->table_stride +
						   j] = normal(r) / (float)(e->query + 1);
	}
}

/* Edits of these spans and what they read, all else of which is NaN. Later spans come first. */
static inline void make_edits(struct rig *r, const struct shape *s, struct pb_span *spans, size_t n,
			      struct edits_set *set)
{
	size_t width = ref_qkv_width(&s->heads), end[N_SOURCES] = {0}, n_table;
	size_t keys_end = (s->heads.n_heads + s->heads.n_kv_heads) * s->heads.d_head;

	*set = (struct edits_set){.capacity = 4 * n * s->heads.n_heads + 1,
				  .n = 1, /* the first belongs to no one */
				  .source_rows = (N_SOURCES + 1) * LONGEST,
				  .table_rows = LONGEST + 2, /* these are never read */
				  .table_stride = LONGEST + 3};
	set->edits = HOST(r, set->capacity, struct pb_pattern_edit);
	for (size_t i = n; i-- > 0;)
		edit_span(r, &s->heads, &spans[i], set);
	n_table = set->table_rows * set->table_stride;
	set->table = HOST(r, n_table, float);
	for (size_t i = 0; i < n_table; i++)
		set->table[i] = NAN;
	for (size_t i = 0; i < n; i++)
		fill_table(r, &s->heads, &spans[i], set);
	/* sources are as long as the last query that wants them, and their values are not read */
	for (size_t i = 0; i < n; i++)
		for (int32_t k = spans[i].edit; k < spans[i].edit + spans[i].n_edits; k++) {
			const struct pb_pattern_edit *e = &set->edits[k];
			size_t last = (size_t)e->query + (size_t)e->n_queries;
			size_t source = (size_t)e->source_base / LONGEST;

			if (e->source_base < 0 || e->source == 0.0f)
				continue;
			last = last < (size_t)spans[i].length ? last : (size_t)spans[i].length;
			end[source] = last > end[source] ? last : end[source];
		}
	set->source = qkv_rows(r, s, set->source_rows, 1.0f);
	for (size_t i = 0; i < set->source_rows * width; i++) {
		size_t source = i / width / LONGEST;

		if (source == N_SOURCES || i % width >= keys_end ||
		    i / width % LONGEST >= end[source])
			set->source[i] = NAN;
	}
}

#endif
