/* What wording.c, pattern.c and template.c share. */
#ifndef PATCHBAY_PROMPTS_WORDING_PARTS_H
#define PATCHBAY_PROMPTS_WORDING_PARTS_H

#include "prompts/wording.h"

/* A word of a pattern, or a placeholder. */
struct pb_piece {
	const char *before; /* white space; "" before marks, and where a pattern begins without */
	const char *text;   /* NULL: a placeholder */
	const char *role;
	size_t slot;
	bool capital;
};

struct pb_pattern {
	size_t n;
	struct pb_piece *pieces;
};

/* The texts of a row: one, or several of which each prompt has one. */
struct pb_patterns {
	size_t n;
	struct pb_pattern *items;
};

struct pb_wording {
	struct pb_arena arena; /* owns all of it */
	const struct pb_pattern_row *rows;
	size_t n_rows;
	struct pb_patterns *patterns; /* [n_rows] */
};

/* Reads one pattern; `place` is where it stands, for messages: "FILE:3:7 (move)". */
enum pb_status pb_pattern_parse(struct pb_pattern *out, const struct pb_pattern_row *row,
				const char *text, const char *place, struct pb_arena *arena,
				struct pb_error *err);

/* Replaces the patterns that the template file names. */
enum pb_status pb_template_read(struct pb_wording *wording, const struct pb_task *task,
				const char *path, struct pb_error *err);

#endif
