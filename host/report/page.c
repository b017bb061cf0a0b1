/* index.html: what does not move is written here, the rest is drawn by page_*.js from the data. */
#include <stdlib.h>
#include <string.h>

#include "report/page_files.h"
#include "report/report_parts.h"

/* ---- elements ------------------------------------------------------------------------------ */

static void element(FILE *out, const char *name, const char *text)
{
	fprintf(out, "<%s>", name);
	pb_xml_text(text, out);
	fprintf(out, "</%s>", name);
}

static void row(FILE *out, const char *head, const char *text)
{
	if (text[0] == '\0')
		return;
	fputs("<tr>", out);
	fputs("<th scope=\"row\">", out);
	pb_xml_text(head, out);
	fputs("</th>", out);
	element(out, "td", text);
	fputs("</tr>\n", out);
}

static void say_item(void *context, const char *sentence)
{
	element(context, "li", sentence);
	fputc('\n', context);
}

/* ---- parts --------------------------------------------------------------------------------- */

/* The tasks of all files, each once. */
static void put_tasks(const struct pb_report_content *c, FILE *out)
{
	size_t i, k;

	for (i = 0; i < c->n_subjects; i++) {
		for (k = 0; k < i && strcmp(c->subjects[k].task, c->subjects[i].task) != 0; k++)
			;
		if (k < i || c->subjects[i].task[0] == '\0')
			continue;
		fputs(" <span class=\"badge\">", out);
		pb_xml_text(c->subjects[i].task, out);
		fputs("</span>", out);
	}
}

/* A comparison proves nothing about the runs that it is of. */
static const char *verdict(bool runs, bool proven)
{
	if (!runs)
		return proven ? "\xe2\x9c\x93 complete, with the checksums that were written"
			      : "\xe2\x9c\x97 not complete, or not what was written";
	return proven ? "\xe2\x9c\x93 the run\xe2\x80\x99s own checks passed"
		      : "\xe2\x9c\x97 not all of the run\xe2\x80\x99s own checks passed";
}

static void put_title(struct pb_report_content *c, FILE *out)
{
	const struct pb_subject *s = &c->subjects[0];
	bool proven = true, partial = false, runs = false;
	size_t i;

	for (i = 0; i < c->n_subjects; i++) {
		proven = proven && pb_subject_proven(&c->subjects[i]);
		partial = partial || c->subjects[i].r.partial;
		runs = runs || !c->subjects[i].comparison;
	}
	element(out, "h1",
		c->n_subjects == 1 ? s->texts[PB_TEXT_TITLE] : "Several results, side by side");
	fputs("<p class=\"badges\">", out);
	if (partial)
		fputs(
		    "<span class=\"badge bad\">partial: not all of the experiment is here</span> ",
		    out);
	fprintf(out, "<a class=\"badge %s\" href=\"#run\">%s</a>", proven ? "good" : "bad",
		verdict(runs, proven));
	for (i = 0; i < c->n_subjects; i++) {
		if (c->subjects[i].comparison)
			continue;
		fputs(" <span class=\"badge\">", out);
		pb_xml_text(c->subjects[i].texts[PB_TEXT_MODEL_PATH], out);
		fputs("</span>", out);
	}
	put_tasks(c, out);
	fputs("</p>\n", out);
}

static enum pb_status put_words(struct pb_report_content *c, FILE *out, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < c->n_subjects; i++) {
		if (c->n_subjects > 1)
			element(out, "h3", c->subjects[i].label);
		fputs("<ul>\n", out);
		PB_TRY(pb_report_sentences(&c->subjects[i], say_item, out, err));
		fputs("</ul>\n", out);
	}
cleanup:
	return status;
}

static void put_checks(const struct pb_subject *s, FILE *out)
{
	size_t i;

	fputs("<ul class=\"checks\">\n", out);
	for (i = 0; i < s->n_checks; i++) {
		const struct pb_subject_check *check = &s->checks[i];

		fprintf(out, "<li class=\"%s\"><b>%s ", check->passed ? "good" : "bad",
			check->passed ? "\xe2\x9c\x93" : "\xe2\x9c\x97 failed:");
		pb_xml_text(check->name, out);
		fputs("</b> ", out);
		pb_xml_text(check->text, out);
		fputs("</li>\n", out);
	}
	fputs("</ul>\n", out);
}

static void put_run(const struct pb_subject *s, FILE *out)
{
	char size[96];

	fputs("<div class=\"scroll\"><table class=\"facts\">\n", out);
	row(out, "file", s->r.path);
	row(out, "model", s->texts[PB_TEXT_MODEL_PATH]);
	row(out, "SHA-256 of the model", s->texts[PB_TEXT_MODEL_SHA256]);
	row(out, "family", s->texts[PB_TEXT_FAMILY]);
	row(out, "task", s->task);
	if (pb_subject_has_pairs(s)) {
		(void)snprintf(size, sizeof size,
			       "%zu layers, %zu heads; %zu pairs of up to %zu tokens",
			       s->r.n_layers, s->r.n_heads, s->r.n_pairs, s->r.n_positions);
		row(out, "size", size);
	}
	row(out, "hardware", s->texts[PB_TEXT_DEVICE]);
	row(out, "host", s->texts[PB_TEXT_HOST]);
	row(out, "backend", s->texts[PB_TEXT_BACKEND]);
	row(out, "precision", s->texts[PB_TEXT_PRECISION]);
	row(out, "started", s->texts[PB_TEXT_STARTED]);
	row(out, "finished", s->texts[PB_TEXT_FINISHED]);
	row(out, "patchbay", s->texts[PB_TEXT_VERSION]);
	row(out, "git commit", s->texts[PB_TEXT_COMMIT]);
	row(out, "experiment", s->texts[PB_TEXT_EXPERIMENT]);
	fputs("</table></div>\n", out);
}

static void put_runs(struct pb_report_content *c, FILE *out)
{
	size_t i;

	for (i = 0; i < c->n_subjects; i++) {
		if (c->n_subjects > 1)
			element(out, "h3", c->subjects[i].label);
		put_checks(&c->subjects[i], out);
		put_run(&c->subjects[i], out);
	}
}

static void put_figure(const struct pb_report_content *c, const struct pb_figure *f, FILE *out)
{
	static const char *const ends[] = {"svg", "pdf", "png"};
	int k;

	fprintf(out, "<figure id=\"figure-%s\">\n", f->file);
	pb_svg_write(&f->drawing, false, out);
	fputs("<figcaption>", out);
	if (c->n_subjects > 1 && f->subject != SIZE_MAX) {
		element(out, "b", c->subjects[f->subject].label);
		fputs(": ", out);
	}
	pb_xml_text(f->caption, out);
	for (k = 0; k < 3; k++)
		if (c->options->formats & 1u << k)
			fprintf(out, " <a href=\"figures/%s.%s\" download>%s</a>", f->file, ends[k],
				ends[k]);
	fputs("</figcaption>\n</figure>\n", out);
}

/* Figures of many places have what room the page's data leaves, and are left to the files where
 * that is not enough. */
#define MARKS_MOST 6000
#define MARKS_OF_ALL 9000               /* some 170 bytes each */
#define MARK_LEAST 40                   /* bytes */
#define PAGE_MOST ((size_t)4600 * 1000) /* figures, data and code: the rest are texts */

static void choose_small(const struct pb_report_content *c, bool *stands)
{
	size_t room = MARKS_OF_ALL, i;

	for (i = 0; i < c->figures.n; i++) {
		const size_t n = c->figures.items[i].drawing.n;

		stands[i] = n <= MARKS_MOST && n <= room;
		room -= stands[i] ? n : 0;
	}
}

static void put_figures(const struct pb_report_content *c, const bool *stands, FILE *out)
{
	size_t i;

	for (i = 0; i < c->figures.n; i++) {
		const struct pb_figure *f = &c->figures.items[i];

		if (stands[i]) {
			put_figure(c, f, out);
			continue;
		}
		fputs("<p class=\"note\">", out);
		pb_xml_text(f->caption, out);
		fprintf(out,
			" Too large to stand here: <a href=\"figures/%s.svg\">%s.svg</a></p>\n",
			f->file, f->file);
	}
}

static void put_reproduce(struct pb_report_content *c, FILE *out)
{
	size_t i;

	for (i = 0; i < c->n_subjects; i++) {
		const struct pb_subject *s = &c->subjects[i];

		if (c->n_subjects > 1)
			element(out, "h3", s->label);
		fputs("<p>One command made the file, and makes the same values again:</p>\n", out);
		element(out, "pre", s->texts[PB_TEXT_COMMAND]);
		if (s->comparison)
			continue;
		fputs("<details><summary>Its configuration, with all defaults</summary>", out);
		element(out, "pre", s->texts[PB_TEXT_CONFIG]);
		fputs("</details>\n", out);
	}
}

static void put_citation(struct pb_report_content *c, FILE *out)
{
	fputs(
	    "<p>Name the program, its version and the experiment, so that others can tell that they "
	    "have the same:</p>\n<pre>",
	    out);
	pb_report_cite(&c->subjects[0], pb_xml_text, out);
	fputs("</pre>\n", out);
}

/* ---- the template -------------------------------------------------------------------------- */

/* What is made before the page is written. */
struct made {
	char *figures, *data;
	size_t figures_size;
	bool *stands; /* [figures] */
};

static enum pb_status make_figures(const struct pb_report_content *c, struct made *made,
				   struct pb_error *err)
{
	FILE *out;

	free(made->figures);
	made->figures = NULL;
	out = open_memstream(&made->figures, &made->figures_size);
	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the page's figures");
	put_figures(c, made->stands, out);
	if (fclose(out) != 0)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the page's figures");
	return PB_OK;
}

static enum pb_status size_of_figure(const struct pb_report_content *c, const struct pb_figure *f,
				     size_t *size, struct pb_error *err)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);
	bool good = out != NULL;

	if (good) {
		put_figure(c, f, out);
		good = fclose(out) == 0;
	}
	free(text);
	return good ? PB_OK : pb_fail(err, PB_ERR_MEMORY, "out of memory: the page's figures");
}

/* Large figures as well, as far as there is room beside the data. */
static enum pb_status make_large(const struct pb_report_content *c, struct made *made,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const size_t taken =
	    made->figures_size + strlen(made->data) + pb_page_css_size + pb_page_js_size;
	size_t room = taken < PAGE_MOST ? PAGE_MOST - taken : 0, size, i;
	bool more = false;

	for (i = 0; i < c->figures.n; i++) {
		const struct pb_figure *f = &c->figures.items[i];

		if (made->stands[i] || f->drawing.n > room / MARK_LEAST)
			continue;
		PB_TRY(size_of_figure(c, f, &size, err));
		if (size > room)
			continue;
		made->stands[i] = more = true;
		room -= size;
	}
	if (more)
		status = make_figures(c, made, err);
cleanup:
	return status;
}

/* What stands for {{name}} in page.html. */
static enum pb_status put_part(struct pb_report_content *c, const char *name, size_t n,
			       const struct made *made, FILE *out, struct pb_error *err)
{
	const struct {
		const char *name;
		void (*put)(struct pb_report_content *c, FILE *out);
	} parts[] = {{"title", put_title},
		     {"run", put_runs},
		     {"reproduce", put_reproduce},
		     {"cite", put_citation}};
	size_t i;

	for (i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strlen(parts[i].name) == n && strncmp(parts[i].name, name, n) == 0) {
			parts[i].put(c, out);
			return PB_OK;
		}
	if (strncmp(name, "summary", n) == 0)
		return put_words(c, out, err);
	if (strncmp(name, "figures", n) == 0)
		fwrite(made->figures, 1, made->figures_size, out);
	else if (strncmp(name, "page_title", n) == 0)
		pb_xml_text(c->subjects[0].texts[PB_TEXT_TITLE], out);
	else if (strncmp(name, "version", n) == 0)
		pb_xml_text(PB_VERSION, out);
	else if (strncmp(name, "css", n) == 0)
		fwrite(pb_page_css, 1, pb_page_css_size, out);
	else if (strncmp(name, "js", n) == 0)
		fwrite(pb_page_js, 1, pb_page_js_size, out);
	else if (strncmp(name, "data", n) == 0)
		fputs(made->data, out);
	else
		return pb_fail(err, PB_ERR_INTERNAL, "page.html names an unknown part: %.*s",
			       (int)n, name);
	return PB_OK;
}

enum pb_status pb_report_write_page(struct pb_report_content *c, struct pb_error *err)
{
	enum pb_status status;
	const char *at = pb_page_html, *open, *close;
	struct made made = {0};
	FILE *out = NULL;

	PB_TRY(pb_alloc((void **)&made.stands, c->figures.n, sizeof *made.stands, "the page", err));
	choose_small(c, made.stands);
	PB_TRY(make_figures(c, &made, err));
	PB_TRY(pb_report_data(c, made.figures_size, &made.data, err));
	PB_TRY(make_large(c, &made, err));
	PB_TRY(pb_folder_open(c->temp, &out, err, "index.html"));
	fputs(PB_PAGE_MARK, out);
	while ((open = strstr(at, "{{")) != NULL && (close = strstr(open, "}}")) != NULL) {
		fwrite(at, 1, (size_t)(open - at), out);
		PB_TRY(put_part(c, open + 2, (size_t)(close - open) - 2, &made, out, err));
		at = close + 2;
	}
	fputs(at, out);
	status = pb_folder_close(&out, c->temp, err);
cleanup:
	if (out != NULL)
		(void)fclose(out);
	free(made.figures);
	free(made.stands);
	free(made.data);
	return status;
}
