/* Opening the plugin that draws with cairo. */
#include "report/cairo.h"

#include <dlfcn.h>

#include "base/plugin.h"

typedef enum pb_status (*writer)(const struct pb_drawing *d, enum pb_raster format,
				 const char *path, double dpi, const char *date,
				 struct pb_error *err);

/* It stays open: cairo and fontconfig keep what they have found. */
static enum pb_status open_plugin(writer *out, struct pb_error *err)
{
	static const char *const files[] = {PB_CAIRO_PLUGIN};
	static writer opened;
	char path[4200];
	size_t which;
	void *handle;

	if (opened == NULL) {
		if (!pb_plugin_find(files, 1, path, sizeof path, &which))
			return pb_fail(err, PB_ERR_INPUT,
				       "PDF and PNG need cairo, which this program was built "
				       "without: %s is not beside it: build it where libcairo2-dev "
				       "is, or give --formats svg",
				       PB_CAIRO_PLUGIN);
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		/* POSIX: the only way from an object pointer to a function pointer. */
		if (handle != NULL)
			*(void **)&opened = dlsym(handle, PB_CAIRO_SYMBOL);
		if (opened == NULL)
			return pb_fail(
			    err, PB_ERR_INPUT,
			    "PDF and PNG need cairo, which cannot be opened: %s: install "
			    "libcairo2, or give --formats svg",
			    dlerror());
	}
	*out = opened;
	return PB_OK;
}

enum pb_status pb_cairo_open(struct pb_error *err)
{
	writer write;

	return open_plugin(&write, err);
}

enum pb_status pb_cairo_write(const struct pb_drawing *d, enum pb_raster format, const char *path,
			      double dpi, const char *date, struct pb_error *err)
{
	enum pb_status status;
	writer write;

	PB_TRY(open_plugin(&write, err));
	status = write(d, format, path, dpi, date, err);
cleanup:
	return status;
}
