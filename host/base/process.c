/* Running another program, with its output taken and its time bounded. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patchbay/base.h"

#define SAID_MOST ((size_t)64 << 10)

/* The environment and one setting more, which goes first so that it counts. */
static enum pb_status environment_with(const char *setting, char ***out, struct pb_error *err)
{
	size_t n = 0, at = 0, name = setting ? strcspn(setting, "=") + 1 : 0;
	enum pb_status status;

	while (environ[n])
		n++;
	PB_TRY(pb_alloc((void **)out, n + 2, sizeof **out, "an environment", err));
	if (setting)
		(*out)[at++] = (char *)(uintptr_t)setting;
	for (size_t i = 0; i < n; i++)
		if (!setting || strncmp(environ[i], setting, name) != 0)
			(*out)[at++] = environ[i];
cleanup:
	return status;
}

/* 0 or an errno. Signals that this program ignores are not ignored there. */
static int start(pid_t *child, char *const argv[], char *const env[], int to)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t usual;
	int code;

	(void)sigemptyset(&usual);
	(void)sigaddset(&usual, SIGPIPE);
	(void)sigaddset(&usual, SIGXFSZ);
	code = posix_spawn_file_actions_init(&files);
	if (code != 0)
		return code;
	code = posix_spawnattr_init(&attributes);
	if (code == 0) {
		code = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY,
							0);
		if (code == 0)
			code = posix_spawn_file_actions_adddup2(&files, to, STDOUT_FILENO);
		if (code == 0)
			code = posix_spawn_file_actions_adddup2(&files, to, STDERR_FILENO);
		if (code == 0)
			code = posix_spawnattr_setsigdefault(&attributes, &usual);
		if (code == 0)
			code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
		if (code == 0)
			code = posix_spawnp(child, argv[0], &files, &attributes, argv, env);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return code;
}

/* All that comes until the other end is closed; false when that is not before `until`. */
static bool listen_to(int fd, char *text, double until)
{
	size_t used = 0;

	for (;;) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		double left = until - pb_seconds();
		char rest[4096];
		ssize_t n;

		if (left <= 0.0)
			return false;
		n = poll(&wait, 1, (int)(left * 1e3) + 1);
		if (n == 0 || (n < 0 && errno == EINTR))
			continue;
		n = used < SAID_MOST ? read(fd, text + used, SAID_MOST - used)
				     : read(fd, rest, sizeof rest);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		used += used < SAID_MOST ? (size_t)n : 0;
		text[used] = '\0';
	}
}

static int wait_for(pid_t child)
{
	int how = 0;

	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

enum pb_status pb_process_run(char *const argv[], const char *setting, double seconds, char **said,
			      int *exit_status, struct pb_error *err)
{
	int ends[2] = {-1, -1}, code;
	char **env = NULL;
	pid_t child = 0;
	bool in_time;
	enum pb_status status;

	*said = NULL;
	PB_TRY(pb_alloc((void **)said, SAID_MOST + 1, 1, "what a program says", err));
	PB_TRY(environment_with(setting, &env, err));
	if (pipe2(ends, O_CLOEXEC) != 0) {
		status = pb_fail(err, PB_ERR_IO, "no pipe: %s: %s", argv[0], strerror(errno));
		goto cleanup;
	}
	code = start(&child, argv, env, ends[1]);
	(void)close(ends[1]);
	if (code != 0) {
		status = code == ENOENT
			     ? pb_fail(err, PB_ERR_INPUT, "no such program in PATH: %s", argv[0])
			     : pb_fail(err, PB_ERR_IO, "a program does not start: %s: %s", argv[0],
				       strerror(code));
		goto cleanup;
	}
	in_time = listen_to(ends[0], *said, pb_seconds() + seconds);
	if (!in_time)
		(void)kill(child, SIGKILL);
	*exit_status = wait_for(child);
	if (!in_time)
		status = pb_fail(err, PB_ERR_IO, "no answer within %.0f s: %s", seconds, argv[0]);
cleanup:
	if (ends[0] >= 0)
		(void)close(ends[0]);
	free(env);
	if (status != PB_OK) {
		free(*said);
		*said = NULL;
	}
	return status;
}
