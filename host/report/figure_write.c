/* Figures as files. */
#include <stdlib.h>

#include "report/report_parts.h"

static enum pb_status write_svg(const struct pb_figure *f, const char *temp, struct pb_error *err)
{
	enum pb_status status;
	FILE *out = NULL;

	PB_TRY(pb_folder_open(temp, &out, err, "figures/%s.svg", f->file));
	pb_svg_write(&f->drawing, true, out);
	status = pb_folder_close(&out, temp, err);
cleanup:
	return status;
}

static enum pb_status write_cairo(const struct pb_figure *f, enum pb_raster format, const char *end,
				  const char *temp, double dpi, const char *date,
				  struct pb_error *err)
{
	enum pb_status status;
	char *path = pb_format("%s/figures/%s.%s", temp, f->file, end);

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a file");
	status = pb_cairo_write(&f->drawing, format, path, dpi, date, err);
	free(path);
	return status;
}

enum pb_status pb_report_write_figures(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const unsigned formats = c->options->formats;
	const double dpi = c->options->dpi;
	size_t i;

	for (i = 0; i < c->figures.n; i++) {
		const struct pb_figure *f = &c->figures.items[i];
		const char *date = c->subjects[0].texts[PB_TEXT_FINISHED];

		if (formats & PB_REPORT_SVG)
			PB_TRY(write_svg(f, c->temp, err));
		if (formats & PB_REPORT_PDF)
			PB_TRY(write_cairo(f, PB_PDF, "pdf", c->temp, dpi, date, err));
		if (formats & PB_REPORT_PNG)
			PB_TRY(write_cairo(f, PB_PNG, "png", c->temp, dpi, date, err));
	}
cleanup:
	return status;
}
