/* The list of figures. */
#include "report/figure.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const struct pb_style pb_styles[] = {
    {"column", 240, 7, 0.5}, {"page", 490, 8, 0.6}, {"slide", 720, 14, 1}, {NULL, 0, 0, 0}};

#define NAME_BYTES 120

/* A name of a file, whatever stood in a name of a group. */
static void clean_name(char *name)
{
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && strchr("-_.", *name) == NULL)
			*name = '_';
}

enum pb_status pb_figure_add(struct pb_figure_list *list, struct pb_figure **out, double height,
			     const char *caption, struct pb_error *err, const char *file, ...)
{
	enum pb_status status;
	struct pb_figure *figure;
	char name[NAME_BYTES];
	va_list args;
	int n;

	PB_TRY(pb_grow((void **)&list->items, &list->capacity, list->n + 1, sizeof *list->items,
		       "figures", err));
	figure = &list->items[list->n++];
	*figure = (struct pb_figure){.subject = SIZE_MAX, .sweep = SIZE_MAX};
	va_start(args, file);
	n = vsnprintf(name, sizeof name, file, args);
	va_end(args);
	clean_name(name);
	figure->file = n < 0 ? NULL : strdup(name);
	figure->caption = strdup(caption);
	pb_drawing_begin(&figure->drawing, list->style->width, height, caption);
	if (figure->file == NULL || figure->caption == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a figure");
	*out = figure;
cleanup:
	return status;
}

void pb_figure_list_free(struct pb_figure_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		free(list->items[i].file);
		free(list->items[i].caption);
		pb_drawing_free(&list->items[i].drawing);
	}
	free(list->items);
	*list = (struct pb_figure_list){0};
}
