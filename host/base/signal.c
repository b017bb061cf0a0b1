/* Stop requests. */
#include <signal.h>

#include "patchbay/base.h"

static volatile sig_atomic_t stop_requested;

static void request_stop(int number)
{
	stop_requested = 1;
	/* The second Ctrl-C finds the default action and ends the process at once. */
	if (number == SIGINT)
		(void)signal(SIGINT, SIG_DFL);
}

void pb_signals_install(void)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
	struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
	size_t i;

	(void)sigemptyset(&action.sa_mask);
	for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (sigaction(numbers[i], &action, NULL) != 0)
			pb_warn("signal %d cannot be caught: it will end the run at once",
				numbers[i]);
}

bool pb_stop_requested(void)
{
	return stop_requested != 0;
}
