/* The cells of a grid, and their pairs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prompts/cells.h"

size_t pb_cells_count(const struct pb_run_config *config)
{
	size_t n = 1;

	for (size_t a = 0; a < config->n_axes; a++)
		n *= config->axes[a].n;
	return n;
}

void pb_cell_options(const struct pb_run_config *config, size_t cell,
		     struct pb_task_options *options, double values[PB_CELL_AXES])
{
	*options = config->task;
	for (size_t a = config->n_axes; a-- > 0;) {
		const struct pb_cell_axis *axis = &config->axes[a];
		double value = axis->values[cell % axis->n];
		void *number = (char *)options + axis->offset;

		cell /= axis->n;
		values[a] = value;
		if (axis->whole)
			*(size_t *)number = (size_t)value;
		else
			*(double *)number = value;
	}
}

const char *pb_cell_label(const struct pb_run_config *config, const struct pb_cell *cell,
			  char label[PB_CELL_LABEL])
{
	size_t used = 0;

	(void)snprintf(label, PB_CELL_LABEL, "all prompts");
	for (size_t a = 0; a < config->n_axes && used < PB_CELL_LABEL; a++)
		used += (size_t)snprintf(label + used, PB_CELL_LABEL - used, "%s%s %.6g",
					 a == 0 ? "" : ", ", config->axes[a].name, cell->values[a]);
	return label;
}

enum pb_status pb_cell_missing(const struct pb_run_config *config, struct pb_cell *cell,
			       struct pb_arena *arena, const struct pb_error *why,
			       struct pb_error *err)
{
	char label[PB_CELL_LABEL];

	/* what is wrong with the only cell is wrong with the config; no memory is no cell's fault
	 */
	if (config->n_axes == 0 || why->status != PB_ERR_INPUT)
		return pb_fail(err, why->status, "%s", why->message);
	cell->why = pb_arena_strdup(arena, why->message);
	if (cell->why == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the cells of a grid");
	pb_info("cell %s is not available: %s", pb_cell_label(config, cell, label), cell->why);
	return PB_OK;
}

enum pb_status pb_cells_none(const struct pb_cell *cells, size_t n, struct pb_error *err)
{
	for (size_t c = 0; c < n; c++)
		if (cells[c].why == NULL)
			return PB_OK;
	return pb_fail(err, PB_ERR_INPUT, "no cell of the grid is available; the first one: %s",
		       cells[0].why);
}

/* ---- pairs ------------------------------------------------------------------------------ */

/* The lines of one cell, and whether they fit the model. */
static enum pb_status cell_pairs(const struct pb_run_config *config, size_t cell,
				 const struct pb_tokenizer *tokenizer, size_t n_vocab,
				 size_t n_context, double values[PB_CELL_AXES], char **text,
				 size_t *size, struct pb_error *err)
{
	struct pb_task_options options;
	struct pb_pairs pairs = {0};
	enum pb_status status;

	pb_cell_options(config, cell, &options, values);
	options.tokenizer = tokenizer;
	PB_TRY(pb_task_pairs(&options, text, size, err));
	if (config->n_axes > 0)
		PB_TRY(pb_pairs_parse(&pairs, *text, *size, options.name, tokenizer, config->bos,
				      n_vocab, n_context, err));
cleanup:
	pb_pairs_free(&pairs);
	return status;
}

enum pb_status pb_cells_pairs(struct pb_pairs *out, struct pb_cell **cells,
			      const struct pb_run_config *config,
			      const struct pb_tokenizer *tokenizer, size_t n_vocab,
			      size_t n_context, struct pb_error *err)
{
	size_t n_cells = pb_cells_count(config), n = 0, all_size = 0;
	struct pb_arena arena = {0};
	struct pb_cell *made = pb_arena_alloc(&arena, n_cells, sizeof *made);
	char *all = NULL;
	FILE *lines = open_memstream(&all, &all_size);
	enum pb_status status = PB_OK;

	*out = (struct pb_pairs){0};
	*cells = NULL;
	if (lines == NULL || made == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the cells of a grid");
		goto cleanup;
	}
	for (size_t c = 0; c < n_cells; c++) {
		struct pb_error why = {0};
		char *text = NULL;
		size_t size = 0;

		status = cell_pairs(config, c, tokenizer, n_vocab, n_context, made[c].values, &text,
				    &size, &why);
		made[c].first = n;
		if (status == PB_OK) {
			n += made[c].n = config->task.count;
			(void)fwrite(text, 1, size, lines);
		} else {
			status = pb_cell_missing(config, &made[c], &arena, &why, err);
		}
		free(text);
		PB_TRY(status);
	}
	PB_TRY(pb_cells_none(made, n_cells, err));
	if (fflush(lines) != 0 || ferror(lines)) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the pairs of a grid");
		goto cleanup;
	}
	PB_TRY(pb_pairs_parse(out, all, all_size, config->task.name, tokenizer, config->bos,
			      n_vocab, n_context, err));
	*cells = pb_arena_alloc(&out->arena, n_cells, sizeof **cells);
	for (size_t c = 0; *cells != NULL && c < n_cells; c++) {
		(*cells)[c] = made[c];
		if (made[c].why != NULL)
			(*cells)[c].why = pb_arena_strdup(&out->arena, made[c].why);
	}
	if (*cells == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the cells of a grid");
cleanup:
	if (lines != NULL)
		(void)fclose(lines); /* into memory, checked above */
	free(all);
	pb_arena_free(&arena);
	if (status != PB_OK)
		pb_pairs_free(out);
	return status;
}
