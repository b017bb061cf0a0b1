/* Messages and progress on stderr. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "patchbay/base.h"

#define BAR_CELLS 24
#define TERMINAL_INTERVAL 0.1 /* seconds between two drawings of the bar */
#define LOG_INTERVAL 30.0     /* seconds between two lines in a batch log */

static bool quiet_log, mute_log;
static int rank_shown = -1;
static bool bar_on_line; /* a bar stands on the terminal's current line */

void pb_log_quiet(bool quiet)
{
	quiet_log = quiet;
}

void pb_log_mute(bool mute)
{
	mute_log = mute;
}

void pb_log_rank(int rank)
{
	rank_shown = rank;
	mute_log = false;
}

/* One write a message, so that the lines of several processes do not mix. */
__attribute__((format(printf, 2, 0))) static void write_message(const char *prefix,
								const char *format, va_list args)
{
	char *text = NULL, rank[32] = "";

	if (mute_log)
		return;
	if (rank_shown >= 0)
		snprintf(rank, sizeof rank, "rank %d: ", rank_shown);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	fprintf(stderr, "%spatchbay: %s%s%s\n", bar_on_line ? "\r\033[K" : "", rank, prefix,
		text != NULL ? text : "(a message was lost: out of memory)");
	bar_on_line = false;
	free(text);
}

void pb_info(const char *format, ...)
{
	va_list args;

	if (quiet_log)
		return;
	va_start(args, format);
	write_message("", format, args);
	va_end(args);
}

void pb_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message("warning: ", format, args);
	va_end(args);
}

double pb_seconds(void)
{
	struct timespec now;

	/* CLOCK_MONOTONIC exists on every system this builds on: no error is possible. */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Seconds as m:ss or h:mm:ss. */
static void format_duration(char *text, size_t size, double seconds)
{
	unsigned long whole;

	if (!(seconds >= 0.0) || seconds > 1e7) {
		snprintf(text, size, "--:--");
		return;
	}
	whole = (unsigned long)(seconds + 0.5);
	if (whole >= 3600)
		snprintf(text, size, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
	else
		snprintf(text, size, "%lu:%02lu", whole / 60, whole % 60);
}

static void show_progress(struct pb_progress *p, double now)
{
	double elapsed = now - p->started;
	double rate = elapsed > 0.0 ? p->done / elapsed : 0.0;
	double share = p->total > 0.0 ? p->done / p->total : 1.0;
	char eta[32], bar[BAR_CELLS + 1];
	int i;

	share = share > 1.0 ? 1.0 : share;
	format_duration(eta, sizeof eta, rate > 0.0 ? (p->total - p->done) / rate : -1.0);
	for (i = 0; i < BAR_CELLS; i++)
		bar[i] = i < (int)(share * BAR_CELLS) ? '#' : '.';
	bar[BAR_CELLS] = '\0';
	p->last_shown = now;
	if (p->terminal) {
		fprintf(stderr, "\r\033[K%s [%s] %3.0f%% %.0f/%.0f %.3g/s ETA %s", p->label, bar,
			100.0 * share, p->done, p->total, rate, eta);
		fflush(stderr);
		bar_on_line = true;
	} else {
		pb_info("%s %.0f/%.0f (%.0f%%), %.3g/s, ETA %s", p->label, p->done, p->total,
			100.0 * share, rate, eta);
	}
}

void pb_progress_begin(struct pb_progress *p, const char *label, double total)
{
	*p = (struct pb_progress){.label = label, .total = total};
	p->started = p->last_shown = pb_seconds();
	p->terminal = isatty(STDERR_FILENO) == 1;
	if (p->terminal && !quiet_log)
		show_progress(p, p->started);
}

enum pb_status pb_progress_add(struct pb_progress *p, double n, struct pb_error *err)
{
	double now;

	p->done += n;
	if (p->go_on && !p->go_on(p->context, n))
		return pb_fail(err, PB_ERR_STOPPED, "given up");
	if (quiet_log)
		return PB_OK;
	now = pb_seconds();
	if (now - p->last_shown >= (p->terminal ? TERMINAL_INTERVAL : LOG_INTERVAL))
		show_progress(p, now);
	return PB_OK;
}

void pb_progress_end(struct pb_progress *p)
{
	double now = pb_seconds();

	if (quiet_log)
		return;
	/* A log that never saw a line (a short job) needs no closing one. */
	if (!p->terminal && p->last_shown <= p->started)
		return;
	show_progress(p, now);
	if (p->terminal) {
		fputc('\n', stderr);
		bar_on_line = false;
	}
}
