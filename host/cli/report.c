/* `patchbay report FILE...` */
#include "patchbay/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/verbs.h"

#define FILES_MAX 16

/* What the command line says in texts. */
struct report_args {
	const char *formats, *dpi, *vmax;
};

static void print_more(FILE *out)
{
	fprintf(
	    out,
	    "\nThe folder gets index.html (one page that needs no network and no other file), "
	    "figures/ (heat\nmaps, charts), tables/ (CSV, one row a cell) and summary.md. Files "
	    "are results of patchbay run,\nof patchbay eval, and of patchbay compare; several of "
	    "one experiment are lined up.\n"
	    "\nexit status: 0 done, 1 a file is damaged or could not be written, 2 bad usage, or "
	    "not a result file\n");
}

static enum pb_status read_number(const char *text, const char *option, double low, double high,
				  double *value, struct pb_error *err)
{
	char *end;

	if (text == NULL)
		return PB_OK;
	*value = strtod(text, &end);
	if (end == text || *end != '\0' || !(*value >= low && *value <= high))
		return pb_fail(err, PB_ERR_INPUT, "bad value: %s '%s': give a number from %g to %g",
			       option, text, low, high);
	return PB_OK;
}

static enum pb_status read_formats(const char *text, unsigned *formats, struct pb_error *err)
{
	static const char *const names[] = {"svg", "pdf", "png"};
	size_t n, i;

	while (text != NULL && *text != '\0') {
		n = strcspn(text, ",");
		for (i = 0; i < 3 && (strlen(names[i]) != n || strncmp(names[i], text, n) != 0);)
			i++;
		if (i == 3)
			return pb_fail(err, PB_ERR_INPUT,
				       "bad value: --formats '%s': give some of svg,pdf,png", text);
		*formats |= 1u << i;
		text += n + (text[n] == ',');
	}
	return PB_OK;
}

enum pb_status pb_verb_report(int argc, char **argv, struct pb_error *err)
{
	struct report_args args = {0};
	struct pb_report_options r = {0};
	const struct pb_option options[] = {
	    {"output", 'o', PB_ARG_TEXT, "DIR", "the report's folder, made by it (needed)",
	     &r.folder},
	    {"style", 0, PB_ARG_TEXT, "NAME",
	     "size of figures: column (of a paper), page or slide [column]", &r.style},
	    {"formats", 0, PB_ARG_TEXT, "LIST", "of figures [svg,pdf,png]", &args.formats},
	    {"dpi", 0, PB_ARG_TEXT, "N", "resolution of PNG [300]", &args.dpi},
	    {"vmax", 0, PB_ARG_TEXT, "X",
	     "end of the colour scale of heat maps [the largest value]", &args.vmax},
	    {"compare", 0, PB_ARG_FLAG, NULL, "files of different experiments, side by side",
	     &r.compare},
	    {"force", 0, PB_ARG_FLAG, NULL, "replace a report that is there", &r.force},
	};
	const struct pb_usage usage = {
	    .verb = "report",
	    .operands = "FILE...",
	    .summary =
		"Make a self-contained HTML page, publication figures and tables of result files.",
	    .n_operands_min = 1,
	    .n_operands_max = FILES_MAX,
	    .options = options,
	    .n_options = sizeof options / sizeof *options,
	    .more = print_more};
	enum pb_status status;
	bool help;
	int first;

	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	if (r.folder == NULL)
		return pb_fail(err, PB_ERR_INPUT, "no output: report: give -o DIR");
	PB_TRY(read_formats(args.formats, &r.formats, err));
	PB_TRY(read_number(args.dpi, "--dpi", 20, 2400, &r.dpi, err));
	PB_TRY(read_number(args.vmax, "--vmax", 1e-9, 1e9, &r.vmax, err));
	r.paths = argv + first;
	r.n_paths = (size_t)(argc - first);
	PB_TRY(pb_report_make(&r, err));
	printf("%s/index.html\n", r.folder);
cleanup:
	return status;
}
