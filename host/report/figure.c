/* The list of figures. */
#include "report/figure.h"

#include <ctype.h>
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
