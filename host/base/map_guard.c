/* A page of a mapped file that is not there any more: a message instead of a bare SIGBUS.
 *
 * The handler may run at any time in any thread, so it only reads a list whose entries are never
 * freed and are published by one atomic store each; a map that is closed leaves its entry to the
 * next one of the same path. */
#include "base/map_guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patchbay/base.h"

struct entry {
	struct entry *next; /* never changes */
	uintptr_t begin;
	size_t size; /* 0: unused */
	char path[];
};

static struct entry *entries;
static pthread_mutex_t writers = PTHREAD_MUTEX_INITIALIZER;

static struct entry *unused_entry(const char *path)
{
	for (struct entry *e = __atomic_load_n(&entries, __ATOMIC_SEQ_CST); e; e = e->next)
		if (__atomic_load_n(&e->size, __ATOMIC_SEQ_CST) == 0 && strcmp(e->path, path) == 0)
			return e;
	return NULL;
}

static struct entry *new_entry(const char *path)
{
	size_t length = strlen(path) + 1;
	struct entry *e = malloc(sizeof *e + length);

	if (!e)
		return NULL;
	e->begin = 0;
	e->size = 0;
	memcpy(e->path, path, length);
	e->next = __atomic_load_n(&entries, __ATOMIC_SEQ_CST);
	__atomic_store_n(&entries, e, __ATOMIC_SEQ_CST);
	return e;
}

enum pb_status pb_map_guard_add(const void *data, size_t size, const char *path,
				struct pb_error *err)
{
	struct entry *e;

	(void)pthread_mutex_lock(&writers);
	e = unused_entry(path);
	if (!e)
		e = new_entry(path);
	if (e) {
		__atomic_store_n(&e->begin, (uintptr_t)data, __ATOMIC_SEQ_CST);
		__atomic_store_n(&e->size, size, __ATOMIC_SEQ_CST);
	}
	(void)pthread_mutex_unlock(&writers);
	return e ? PB_OK : pb_fail(err, PB_ERR_MEMORY, "out of memory: the map of %s", path);
}

void pb_map_guard_remove(const void *data)
{
	(void)pthread_mutex_lock(&writers);
	for (struct entry *e = __atomic_load_n(&entries, __ATOMIC_SEQ_CST); e; e = e->next)
		if (__atomic_load_n(&e->size, __ATOMIC_SEQ_CST) > 0 &&
		    __atomic_load_n(&e->begin, __ATOMIC_SEQ_CST) == (uintptr_t)data)
			__atomic_store_n(&e->size, 0, __ATOMIC_SEQ_CST);
	(void)pthread_mutex_unlock(&writers);
}

/* ---- the handler: nothing but async-signal-safe calls ---------------------------------------- */

static void put(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	(void)written; /* nothing can be done about it here */
}

static void put_number(uintmax_t n)
{
	char text[24];
	size_t at = sizeof text - 1;

	text[at] = '\0';
	do
		text[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	put(text + at);
}

static void tell(const struct entry *e, size_t size)
{
	struct stat st;

	put("patchbay: a file changed while it was in use: ");
	put(e->path);
	if (stat(e->path, &st) != 0) {
		put(": it cannot be read any more, and is not under its name either");
	} else if ((uintmax_t)st.st_size < size) {
		put(": it had ");
		put_number(size);
		put(" bytes and now has ");
		put_number((uintmax_t)st.st_size);
	} else {
		put(": a part of it cannot be read (it was shorter for a while, or its disk failed)");
	}
	put(": put the file back and give the same command again, finished chunks are kept\n");
}

static bool told;

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)context;
	for (struct entry *e = __atomic_load_n(&entries, __ATOMIC_SEQ_CST); e; e = e->next) {
		uintptr_t begin = __atomic_load_n(&e->begin, __ATOMIC_SEQ_CST);
		size_t size = __atomic_load_n(&e->size, __ATOMIC_SEQ_CST);

		if (size > 0 && at >= begin && at - begin < size) {
			/* several threads may read the file: the first one tells, and ends all */
			while (__atomic_exchange_n(&told, true, __ATOMIC_SEQ_CST))
				(void)pause();
			tell(e, size);
			_exit(1);
		}
	}
	/* not a map of ours: what would have happened without a handler, when it returns */
	(void)signal(number, SIG_DFL);
	(void)raise(number); /* where it was sent, the instruction does not fail again */
}

void pb_map_guard(void)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

	(void)sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, NULL) != 0)
		pb_warn("signal %d cannot be caught: a file that becomes shorter while it is used "
			"will end the program without a message",
			SIGBUS);
}
