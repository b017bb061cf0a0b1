/* Preloaded into the program (LD_PRELOAD): kill -9 after a time, and where the program then was.
 *
 *   PB_MOMENT_US    microseconds after the start
 *   PB_MOMENT_FILE  gets the stack of the main thread: return addresses, as offsets from where the
 *                   program lies, one in hexadecimal a line, the innermost first
 *
 * The unwinder stops at code that was made at run time (products): then everything on the stack
 * that looks like an address of the program is written. */
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define MAX_FRAMES 200
#define MAX_WORDS ((size_t)1 << 15)

static uintptr_t base, text_begin, text_end;
static uintptr_t *stack_end;
static int out = -1;

/* The first object is the program itself. */
static int find_program(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
			text_begin = base + p->p_vaddr;
			text_end = text_begin + p->p_memsz;
		}
	}
	return 1;
}

static void put(uintptr_t address)
{
	char line[32];
	int n;

	if (address < text_begin || address >= text_end)
		return;
	n = snprintf(line, sizeof line, "%lx\n", (unsigned long)(address - base));
	if (n > 0 && write(out, line, (size_t)n) != n)
		abort();
}

static void die_here(int number, siginfo_t *info, void *context)
{
	const ucontext_t *where = context;
	uintptr_t *word = (uintptr_t *)where->uc_mcontext.gregs[REG_RSP]; /* NOLINT: a register */
	void *frames[MAX_FRAMES];
	int n = backtrace(frames, MAX_FRAMES);

	(void)number;
	(void)info;
	for (int i = 0; i < n; i++)
		put((uintptr_t)frames[i]);
	for (size_t i = 0; n < 6 && i < MAX_WORDS && word + i < stack_end; i++)
		put(word[i]);
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

__attribute__((constructor)) static void begin(void)
{
	const char *after = getenv("PB_MOMENT_US"), *file = getenv("PB_MOMENT_FILE");
	struct sigaction action = {.sa_sigaction = die_here, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 3};
	struct itimerspec when = {0};
	void *frames[2];
	timer_t timer;
	long us;

	if (after == NULL || file == NULL)
		return;
	us = strtol(after, NULL, 10);
	stack_end = __builtin_frame_address(0);
	(void)dl_iterate_phdr(find_program, NULL);
	(void)backtrace(frames, 2); /* loads the unwinder */
	out = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	event._sigev_un._tid = getpid();
	when.it_value.tv_sec = us / 1000000;
	when.it_value.tv_nsec = us % 1000000 * 1000 + 1;
	if (out < 0 || sigaction(SIGRTMIN + 3, &action, NULL) != 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &when, NULL) != 0)
		abort();
}
