/* patchbay: finds the verb and turns its status into the exit status. No library is set up here, so
 * that --help is there at once. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs.h"
#include "config/nearest.h"
#include "patchbay/base.h"

#ifdef PB_COMMIT
#define VERSION_TEXT PB_VERSION " (" PB_COMMIT ")"
#else
#define VERSION_TEXT PB_VERSION
#endif

struct verb {
	const char *name, *summary;
	enum pb_status (*run)(int argc, char **argv, struct pb_error *err);
};

static const struct verb verbs[] = {
    {"run", "the whole experiment that a YAML file describes", pb_verb_run},
    {"eval", "accuracy over a grid of task sizes", pb_verb_eval},
    {"prompts", "make pairs or evaluation prompts of a task as JSON lines", pb_verb_prompts},
    {"info", "what a model folder, a result file or a pairs file holds", pb_verb_info},
    {"submit", "a run as a SLURM job array, with its merge", pb_verb_submit},
    {"merge", "one result file from the shards of a run", pb_verb_merge},
    {"verify", "is a result file complete, unchanged and proven?", pb_verb_verify},
    {"top", "the strongest cells of a result file, ranked", pb_verb_top},
    {"compare", "one sweep of several models or revisions, side by side", pb_verb_compare},
    {"report", "a page, figures and tables of result files", pb_verb_report},
    {"doctor", "what this machine offers, and what is missing", pb_verb_doctor},
};
#define N_VERBS (sizeof verbs / sizeof verbs[0])

static void print_help(FILE *out)
{
	fprintf(out, "usage: patchbay VERB [options]\n\n"
		     "Exhaustive, exact activation patching of transformer language models.\n\n"
		     "verbs\n");
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(out, "\n`patchbay VERB --help` has the options of a verb; `patchbay --version` the "
		     "version.\n\n"
		     "exit status\n"
		     "  0   done\n"
		     "  1   failed: a disk, memory, or a check of the run itself\n"
		     "  2   bad usage or input: nothing was done\n"
		     "  75  stopped early: the same command continues\n");
}

static enum pb_status fail_verb(const char *typed, struct pb_error *err)
{
	const char *const what = typed[0] == '-' ? "option" : "verb";
	const char *names[N_VERBS + 2] = {"--help", "--version"};
	const char *nearest;

	for (size_t i = 0; i < N_VERBS; i++)
		names[i + 2] = verbs[i].name;
	nearest = pb_nearest_word(typed, names, N_VERBS + 2);
	if (nearest != NULL)
		return pb_fail(err, PB_ERR_INPUT, "unknown %s: '%s': did you mean %s?", what, typed,
			       nearest);
	return pb_fail(err, PB_ERR_INPUT, "unknown %s: '%s': see patchbay --help", what, typed);
}

static enum pb_status dispatch(int argc, char **argv, struct pb_error *err)
{
	if (argc < 2)
		return pb_fail(err, PB_ERR_INPUT, "no verb: patchbay: see patchbay --help");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return PB_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("patchbay %s\n", VERSION_TEXT);
		return PB_OK;
	}
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			return verbs[i].run(argc - 1, argv + 1, err);
	return fail_verb(argv[1], err);
}

/* A file that is opened must never become standard output or error by taking a number that was
 * closed. What is opened here cannot be written (or read), so that using it is still an error. */
static bool hold_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

/* Output that could not be written (a full disk, a closed pipe) is a failure. */
static enum pb_status close_output(struct pb_error *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return PB_OK;
	return pb_fail(err, PB_ERR_IO, "cannot write: standard output: %s",
		       errno != 0 ? strerror(errno) : "an earlier write failed");
}

void pb_tell(struct pb_error *err)
{
	if (!err->told)
		fprintf(stderr, "patchbay: %s\n",
			err->message[0] != '\0' ? err->message : "failed without a message");
	err->told = true;
}

int main(int argc, char **argv)
{
	static struct pb_error err;
	enum pb_status status, closed;

	/* A reader that goes away and a file that grows past the job's limit are errors like any
	 * other, with a message, not a sudden end. */
	if (!hold_standard_files() || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return 1;
	pb_map_guard();
	status = dispatch(argc, argv, &err);
	errno = 0;
	closed = close_output(&err);
	if (status == PB_OK)
		status = closed;
	if (status != PB_OK)
		pb_tell(&err);
	return pb_exit_status(status);
}
