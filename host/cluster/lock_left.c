/* Lock files as they are found, and what processes that are gone left of them. */
#include "cluster/lock_left.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/lock_owner.h"
#include "patchbay/base.h"

static double seconds_of(const struct stat *st)
{
	return (double)st->st_mtim.tv_sec + 1e-9 * (double)st->st_mtim.tv_nsec;
}

bool pb_lock_look(const char *path, struct pb_lock_found *found)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	size_t used = 0;
	ssize_t n = 0;

	memset(found, 0, sizeof *found);
	if (fd < 0)
		return false;
	while (used < PB_LOCK_TEXT_MOST - 1 &&
	       ((n = read(fd, found->text + used, PB_LOCK_TEXT_MOST - 1 - used)) > 0 ||
		(n < 0 && errno == EINTR)))
		used += n > 0 ? (size_t)n : 0;
	if (n < 0 || fstat(fd, &st) != 0) {
		close(fd);
		errno = EIO;
		return false;
	}
	found->touched = seconds_of(&st);
	close(fd); /* opened for reading */
	return true;
}

/* What is behind the last dot: the number of a process, or 12 hexadecimal digits of a claim (*pid
 * 0). */
static bool is_left_over(const char *name, long *pid)
{
	const char *dot = strrchr(name, '.'), *last = dot != NULL ? dot + 1 : name;
	const size_t n = strlen(last);

	*pid = 0;
	if (n == 12)
		return strspn(last, "0123456789abcdef") == n;
	if (n == 0 || n > 12 || strspn(last, "0123456789") != n)
		return false;
	*pid = strtol(last, NULL, 10);
	return *pid > 0;
}

/* Whether whoever made the file "<lock>.<name>" is gone. One that was killed before it wrote its
 * text is known by the file's name. */
static bool is_dead(const char *path, const char *name, double now)
{
	char tail[96], host[64] = "";
	struct pb_lock_found found;
	long pid;

	if (!is_left_over(name, &pid) || !pb_lock_look(path, &found))
		return false;
	if (found.text[0] != '\0' || pid == 0)
		return pb_lock_owner_is_gone(found.text, now - found.touched);
	(void)gethostname(host, sizeof host - 1);
	(void)snprintf(tail, sizeof tail, ".%s.%ld", host, pid);
	return strlen(name) + 1 >= strlen(tail) &&
	       strcmp(path + strlen(path) - strlen(tail), tail) == 0 && kill((pid_t)pid, 0) != 0 &&
	       errno == ESRCH;
}

/* Each file "<lock>.*", while there is one: its path and what is behind the dot. */
static void each_left_over(const char *lock, bool (*visit)(const char *, const char *, double),
			   double now, bool *any)
{
	const char *slash = strrchr(lock, '/'), *base = slash != NULL ? slash + 1 : lock;
	const size_t n = strlen(base);
	char *folder = pb_format("%.*s", slash != NULL ? (int)(slash - lock + 1) : 2,
				 slash != NULL ? lock : "./");
	DIR *directory = folder != NULL ? opendir(folder) : NULL;
	struct dirent *entry;

	*any = false;
	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		const char *name = entry->d_name;
		char *path;

		if (strncmp(name, base, n) != 0 || (name[n] != '.' && name[n] != '\0'))
			continue;
		*any = true;
		path = name[n] == '.' ? pb_format("%s%s", folder, name) : NULL;
		if (path != NULL && visit != NULL && visit(path, name + n + 1, now))
			(void)unlink(path);
		free(path);
	}
	if (directory != NULL)
		(void)closedir(directory);
	free(folder);
}

void pb_lock_clean(const char *path)
{
	struct pb_lock_found mine;
	bool any;

	if (pb_lock_look(path, &mine))
		each_left_over(path, is_dead, mine.touched, &any);
}

bool pb_lock_leaves_any(const char *path)
{
	bool any;

	each_left_over(path, NULL, 0, &any);
	return any;
}
