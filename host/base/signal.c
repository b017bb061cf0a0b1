/* Stop requests: they are noted here and heeded elsewhere (engine/stopping.c). What is not heeded
 * in time ends the process all the same, which loses no more than a power cut would. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "patchbay/base.h"

/* pb_exit_status() of them */
#define EXIT_STOPPED 75
#define EXIT_INPUT 2

static volatile sig_atomic_t signal_seen;
/* Seconds of the monotonic clock; 0: none. Atomics without locks are safe in a handler. */
static _Atomic long asked_at_ns, leave_at;
static atomic_uint grace_seconds;
static atomic_bool no_hope;
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
	     before = atomic_load(&leave_at);

	if (before != 0 && before <= at)
		return;
	atomic_store(&leave_at, at);
	(void)alarm(seconds > 0 ? seconds : 1);
}

static void request_stop(int number)
{
	if (signal_seen == 0) {
		atomic_store(&asked_at_ns, now_ns());
		leave_in(atomic_load(&grace_seconds));
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
	bool hopeless = signal_seen == 0 && atomic_load(&no_hope);
	ssize_t written = hopeless ? write(STDERR_FILENO, vain, sizeof vain - 1)
				   : write(STDERR_FILENO, over, sizeof over - 1);

	(void)number;
	(void)written;
	_exit(hopeless ? EXIT_INPUT : EXIT_STOPPED);
}

static void catch (int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	(void)sigemptyset(&action.sa_mask);
	if (sigaction(number, &action, NULL) != 0)
		pb_warn("signal %d (%s) cannot be caught", number, strsignal(number));
}

void pb_signals_install(unsigned grace)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};

	atomic_store(&grace_seconds, grace);
	catch (SIGALRM, leave);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		catch (numbers[i], request_stop);
	installed = true;
}

bool pb_stop_requested(void)
{
	return signal_seen != 0;
}

int pb_stop_signal(double *at)
{
	if (at)
		*at = 1e-9 * (double)atomic_load(&asked_at_ns);
	return signal_seen;
}

void pb_leave_hopeless(bool hopeless)
{
	atomic_store(&no_hope, hopeless);
}

void pb_leave_within(double seconds)
{
	if (!installed)
		return;
	leave_in(seconds < 1.0 ? 1 : seconds < 1e8 ? (unsigned)seconds : 100000000u);
}
