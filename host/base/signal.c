/* Stop requests: they are noted here and heeded elsewhere (engine/stopping.c). What is not heeded
 * in time ends the process all the same, which loses no more than a power cut would. */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "patchbay/base.h"

/* pb_exit_status() of them */
#define EXIT_STOPPED 75
#define EXIT_INPUT 2

static volatile sig_atomic_t signal_seen;
/* Seconds of the monotonic clock; 0: none. Atomic, without locks: safe in a handler. */
static long asked_at_ns, leave_at;
static unsigned grace_seconds;
static bool no_hope;
static bool installed;

static long now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* An earlier end stays. */
static void leave_in(unsigned seconds)
{
	long now = now_ns() / 1000000000L, at = now + (long)seconds,
	     before = __atomic_load_n(&leave_at, __ATOMIC_SEQ_CST);

	if (before != 0 && before <= at)
		return;
	__atomic_store_n(&leave_at, at, __ATOMIC_SEQ_CST);
	(void)alarm(seconds > 0 ? seconds : 1);
}

static void request_stop(int number)
{
	if (signal_seen == 0) {
		__atomic_store_n(&asked_at_ns, now_ns(), __ATOMIC_SEQ_CST);
		leave_in(__atomic_load_n(&grace_seconds, __ATOMIC_SEQ_CST));
	}
	signal_seen = number;
	/* The second Ctrl-C finds the default action and ends the process at once. */
	if (number == SIGINT)
		(void)signal(SIGINT, SIG_DFL);
}

static void leave(int number)
{
	static const char over[] = "patchbay: ended in the middle of its work: the time to stop in "
				   "was over (--grace, --time-limit): the same command continues\n";
	static const char vain[] = "patchbay: the time limit is too short for a chunk: nothing was "
				   "done in all of it: give more time, or a smaller engine.chunk\n";
	bool hopeless = signal_seen == 0 && __atomic_load_n(&no_hope, __ATOMIC_SEQ_CST);
	ssize_t written = hopeless ? write(STDERR_FILENO, vain, sizeof vain - 1)
				   : write(STDERR_FILENO, over, sizeof over - 1);

	(void)number;
	(void)written;
	_exit(hopeless ? EXIT_INPUT : EXIT_STOPPED);
}

static void handle(int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	(void)sigemptyset(&action.sa_mask);
	if (sigaction(number, &action, NULL) != 0)
		pb_warn("signal %d (%s) cannot be caught", number, strsignal(number));
}

void pb_signals_install(unsigned grace)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};

	__atomic_store_n(&grace_seconds, grace, __ATOMIC_SEQ_CST);
	handle(SIGALRM, leave);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		handle(numbers[i], request_stop);
	installed = true;
}

bool pb_stop_requested(void)
{
	return signal_seen != 0;
}

int pb_stop_signal(double *at)
{
	if (at)
		*at = 1e-9 * (double)__atomic_load_n(&asked_at_ns, __ATOMIC_SEQ_CST);
	return signal_seen;
}

void pb_leave_hopeless(bool hopeless)
{
	__atomic_store_n(&no_hope, hopeless, __ATOMIC_SEQ_CST);
}

void pb_leave_within(double seconds)
{
	if (!installed)
		return;
	leave_in(seconds < 1.0 ? 1 : seconds < 1e8 ? (unsigned)seconds : 100000000u);
}
