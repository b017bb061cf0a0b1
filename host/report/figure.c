/* The list of figures. */
#include "report/figure.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct pb_style pb_styles[] = {
    {"column", 240, 7, 0.5}, {"page", 490, 8, 0.6}, {"slide", 720, 14, 1}, {NULL, 0, 0, 0}};

#define NAME_BEGIN 80 /* bytes of a long name: it begins with the sweep's number */
#define NAME_END 36   /* and ends with what the figure is of */

/* A name of a file, whatever stood in a name of a group, and however long that was. */
static void clean_name(char *name)
{
	const size_t n = strlen(name);

	if (n > NAME_BEGIN + 3 + NAME_END) {
		memcpy(name + NAME_BEGIN, "...", 3);
		memmove(name + NAME_BEGIN + 3, name + n - NAME_END, NAME_END + 1);
	}
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && strchr("-_.", *name) == NULL)
			*name = '_';
}

enum pb_status pb_figure_add(struct pb_figure_list *list, struct pb_figure **out, double height,
			     const char *caption, struct pb_error *err, const char *file, ...)
{
	enum pb_status status;
	struct pb_figure *figure;
	va_list args;

	PB_TRY(pb_grow((void **)&list->items, &list->capacity, list->n + 1, sizeof *list->items,
		       "figures", err));
	figure = &list->items[list->n++];
	*figure = (struct pb_figure){.subject = SIZE_MAX, .sweep = SIZE_MAX};
	va_start(args, file);
	if (vasprintf(&figure->file, file, args) < 0)
		figure->file = NULL;
	va_end(args);
	if (figure->file != NULL)
		clean_name(figure->file);
	figure->caption = strdup(caption);
	pb_drawing_begin(&figure->drawing, list->style->width, height, caption);
	if (figure->file == NULL || figure->caption == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a figure");
	*out = figure;
cleanup:
	return status;
}

/* ---- ranges -------------------------------------------------------------------------------- */

/* The range of a key, a new one as it is given. */
static enum pb_status find_range(struct pb_figure_list *list, const char *key, double low,
				 double high, struct pb_figure_range **out, struct pb_error *err)
{
	enum pb_status status;
	size_t i;

	for (i = 0; i < list->n_ranges; i++)
		if (strcmp(list->ranges[i].key, key) == 0) {
			*out = &list->ranges[i];
			return PB_OK;
		}
	PB_TRY(pb_grow((void **)&list->ranges, &list->ranges_capacity, i + 1, sizeof *list->ranges,
		       "figures", err));
	list->ranges[i] = (struct pb_figure_range){strdup(key), low, high};
	if (list->ranges[i].key == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a figure");
	list->n_ranges++;
	*out = &list->ranges[i];
cleanup:
	return status;
}

enum pb_status pb_figure_share_range(struct pb_figure_list *list, const char *file,
				     const char *quantity, double *low, double *high,
				     struct pb_error *err)
{
	enum pb_status status;
	const char *name = strchr(file, '-');
	struct pb_figure_range *range = NULL;
	char *key;

	if (!list->several)
		return PB_OK;
	key = pb_format("%s %s", quantity, name != NULL ? name : file);
	if (key == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a figure");
	PB_TRY(find_range(list, key, *low, *high, &range, err));
	if (list->measuring) {
		range->low = fmin(range->low, *low);
		range->high = fmax(range->high, *high);
	}
	*low = range->low;
	*high = range->high;
cleanup:
	free(key);
	return status;
}

/* ---- the list ------------------------------------------------------------------------------ */

static void free_figures(struct pb_figure_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		free(list->items[i].file);
		free(list->items[i].caption);
		pb_drawing_free(&list->items[i].drawing);
	}
	list->n = 0;
}

void pb_figure_list_measured(struct pb_figure_list *list)
{
	free_figures(list);
	list->measuring = false;
}

void pb_figure_list_free(struct pb_figure_list *list)
{
	size_t i;

	free_figures(list);
	for (i = 0; i < list->n_ranges; i++)
		free(list->ranges[i].key);
	free(list->ranges);
	free(list->items);
	*list = (struct pb_figure_list){0};
}
