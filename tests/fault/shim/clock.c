/* Preloaded into the program (LD_PRELOAD): a clock that jumps.
 *
 *   PB_CLOCK_AT      the call that asks for the time from which on it is another, from 1
 *   PB_CLOCK_JUMP    by how many seconds (negative: backwards)
 *   PB_CLOCK_STEADY  anything: the steady clock jumps too, as when a machine was suspended */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static unsigned long at, n_calls;
static long jump;
static int steady;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("PB_CLOCK_AT");

	*(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	at = text != NULL ? strtoul(text, NULL, 10) : 0;
	jump = (text = getenv("PB_CLOCK_JUMP")) != NULL ? strtol(text, NULL, 10) : 0;
	steady = getenv("PB_CLOCK_STEADY") != NULL;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *now)
{
	int status;

	if (real_clock_gettime == NULL)
		begin();
	status = real_clock_gettime(clock, now);
	if ((clock == CLOCK_REALTIME || steady) && at > 0 &&
	    __atomic_add_fetch(&n_calls, 1, __ATOMIC_SEQ_CST) >= at)
		now->tv_sec += jump;
	return status;
}

EXPORT time_t time(time_t *out)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}

EXPORT int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec time_now = {0};

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &time_now);
	now->tv_sec = time_now.tv_sec;
	now->tv_usec = time_now.tv_nsec / 1000;
	return 0;
}
