/* Preloaded into the program (LD_PRELOAD): allocations that fail.
 *
 *   PB_FAULT_OF    whose allocations count: those called from this object, by a part of its file
 * name
 *                  ("libhdf5"); without it, the program's own code
 *   PB_FAULT_AT    the first that fails, from 1; PB_FAULT_LAST the last one (PB_FAULT_AT)
 *   PB_FAULT_SITES a file that gets the number of the first allocation of each distinct stack of
 *                  calls, one a line
 *
 * An allocation is malloc, calloc, realloc, aligned_alloc, posix_memalign, and what allocates for
 * its caller: strdup, strndup, asprintf, vasprintf, getline, open_memstream. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 12
#define MAX_SITES ((size_t)1 << 16)
#define EXPORT __attribute__((visibility("default")))
#define CALLER ((uintptr_t)__builtin_return_address(0))

/* glibc's own allocator under the names that nothing interposes. */
extern void *__libc_malloc(size_t size);                 /* NOLINT: glibc's name */
extern void *__libc_calloc(size_t count, size_t size);   /* NOLINT */
extern void *__libc_realloc(void *old, size_t size);     /* NOLINT */
extern void *__libc_memalign(size_t align, size_t size); /* NOLINT */

static uintptr_t text_begin, text_end;
static unsigned long at, last, n_calls;
static int sites = -1;
static uint64_t seen[MAX_SITES];
static __thread bool inside;

static int find_object(struct dl_phdr_info *info, size_t size, void *wanted)
{
	const char *name = wanted;

	(void)size;
	if (name != NULL && strstr(info->dlpi_name, name) == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
			text_begin = info->dlpi_addr + p->p_vaddr;
			text_end = text_begin + p->p_memsz;
		}
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("PB_FAULT_SITES");
	void *frames[2];

	(void)backtrace(frames, 2); /* loads the unwinder */
	if (text != NULL)
		sites = open(text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	at = (text = getenv("PB_FAULT_AT")) != NULL ? strtoul(text, NULL, 10) : 0;
	last = (text = getenv("PB_FAULT_LAST")) != NULL ? strtoul(text, NULL, 10) : at;
	/* the first object is the program itself */
	(void)dl_iterate_phdr(find_object, getenv("PB_FAULT_OF"));
}

static bool counts(uintptr_t caller)
{
	return caller >= text_begin && caller < text_end && !inside;
}

static void note_site(unsigned long number)
{
	void *frames[DEPTH];
	uint64_t hash = 1469598103934665603U;
	char line[32];
	size_t i;
	int n;

	inside = true;
	n = backtrace(frames, DEPTH);
	for (int f = 2; f < n; f++)
		if ((uintptr_t)frames[f] >= text_begin && (uintptr_t)frames[f] < text_end)
			hash = (hash ^ (uintptr_t)frames[f]) * 1099511628211U;
	for (i = hash % MAX_SITES; seen[i] != 0 && seen[i] != hash; i = (i + 1) % MAX_SITES)
		;
	if (seen[i] == 0) {
		seen[i] = hash;
		n = snprintf(line, sizeof line, "%lu\n", number);
		if (write(sites, line, (size_t)n) != n)
			abort();
	}
	inside = false;
}

static bool fails(uintptr_t caller)
{
	unsigned long number;

	if (!counts(caller))
		return false;
	number = __atomic_add_fetch(&n_calls, 1, __ATOMIC_SEQ_CST);
	if (sites >= 0)
		note_site(number);
	if (number < at || number > last)
		return false;
	errno = ENOMEM;
	return true;
}

EXPORT void *malloc(size_t size)
{
	return fails(CALLER) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	return fails(CALLER) ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
	return fails(CALLER) ? NULL : __libc_realloc(old, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return fails(CALLER) ? NULL : __libc_memalign(align, size);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	void *got = fails(CALLER) ? NULL : __libc_memalign(align, size);

	if (got == NULL)
		return ENOMEM;
	*out = got;
	return 0;
}

EXPORT char *strndup(const char *text, size_t n)
{
	const size_t length = strnlen(text, n);
	char *copy = fails(CALLER) ? NULL : __libc_malloc(length + 1);

	if (copy != NULL) {
		memcpy(copy, text, length);
		copy[length] = '\0';
	}
	return copy;
}

EXPORT char *strdup(const char *text)
{
	const size_t size = strlen(text) + 1;
	char *copy = fails(CALLER) ? NULL : __libc_malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

EXPORT int vasprintf(char **out, const char *format, va_list args)
{
	static int (*real)(char **, const char *, va_list);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "vasprintf");
	return fails(CALLER) ? -1 : real(out, format, args);
}

EXPORT int asprintf(char **out, const char *format, ...)
{
	static int (*real)(char **, const char *, va_list);
	va_list args;
	int n = -1;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "vasprintf");
	va_start(args, format);
	if (!fails(CALLER))
		n = real(out, format, args);
	va_end(args);
	return n;
}

EXPORT ssize_t getline(char **line, size_t *capacity, FILE *file)
{
	static ssize_t (*real)(char **, size_t *, FILE *);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "getline");
	return fails(CALLER) ? -1 : real(line, capacity, file);
}

EXPORT FILE *open_memstream(char **text, size_t *size)
{
	static FILE *(*real)(char **, size_t *);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "open_memstream");
	return fails(CALLER) ? NULL : real(text, size);
}
