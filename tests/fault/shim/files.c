/* Preloaded into the program (LD_PRELOAD): makes a chosen call on the files of one folder fail, as
 * a full or broken disk makes it fail, or ends the process there, as a crash does; and keeps a
 * journal.
 *
 *   PB_FAULT_UNDER    the folder, absolute; calls on other files pass, and are not counted
 *   PB_FAULT_JOURNAL  a file that gets a record of each call (below)
 *   PB_FAULT_CALL     the name of the calls that are counted ("pwrite"); all when it is absent
 *   PB_FAULT_AT       the first of them that fails, from 1; PB_FAULT_LAST the last one
 * (PB_FAULT_AT) PB_FAULT_KIND     how: an error number's name (ENOSPC, EIO, EDQUOT, EINTR); "short"
 * writes or reads half of it; "kill" and "killed" end the process with SIGKILL before and after the
 * call; "torn" after half of a write
 *
 * A record is "<name>\t<path>\t<offset>\t<size>\n" and <size> bytes: those written, or the second
 * path of a rename. The name of a call that failed has a minus sign before it. offset is that of a
 * write or read, the size that ftruncate gives, and of an open its flags.
 *
 * The large-file names (open64, pwrite64...) go by the short ones. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FILES 1024
#define EXPORT __attribute__((visibility("default")))

/* The next definition of a function: the C library's own. */
#define FIND(name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_close)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_link)(const char *, const char *);
static int (*real_unlink)(const char *);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_rmdir)(const char *);
static DIR *(*real_opendir)(const char *);
static struct dirent *(*real_readdir)(DIR *);
static int (*real_closedir)(DIR *);
static int (*real_fstat)(int, struct stat *);
static int (*real_access)(const char *, int);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[MAX_FILES]; /* by file descriptor; NULL: not below the folder */
static const char *under, *call_name, *kind;
static unsigned long n_calls, at, last;
static int journal = -1;

static void start(void)
{
	const char *text;

	FIND(open), FIND(read), FIND(write), FIND(pread), FIND(pwrite), FIND(fsync);
	FIND(ftruncate), FIND(close), FIND(rename), FIND(link), FIND(unlink), FIND(mkdir),
	    FIND(rmdir);
	FIND(opendir), FIND(readdir), FIND(closedir), FIND(fstat), FIND(access);
	under = getenv("PB_FAULT_UNDER");
	call_name = getenv("PB_FAULT_CALL");
	kind = getenv("PB_FAULT_KIND");
	at = (text = getenv("PB_FAULT_AT")) != NULL ? strtoul(text, NULL, 10) : 0;
	last = (text = getenv("PB_FAULT_LAST")) != NULL ? strtoul(text, NULL, 10) : at;
	text = getenv("PB_FAULT_JOURNAL");
	if (text != NULL)
		journal = real_open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

/* The absolute form of a path below the folder (freed with free()); NULL for any other. */
static char *below(const char *path)
{
	char *whole = NULL, *folder = NULL;

	(void)pthread_once(&once, start);
	if (under == NULL || path == NULL)
		return NULL;
	if (path[0] == '/') {
		whole = strdup(path);
	} else {
		folder = getcwd(NULL, 0);
		if (folder == NULL || asprintf(&whole, "%s/%s", folder, path) < 0)
			whole = NULL;
		free(folder);
	}
	if (whole != NULL && strncmp(whole, under, strlen(under)) == 0)
		return whole;
	free(whole);
	return NULL;
}

static const char *path_of(int fd)
{
	(void)pthread_once(&once, start);
	return fd >= 0 && fd < MAX_FILES ? paths[fd] : NULL;
}

static int error_number(void)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EDQUOT", EDQUOT}, {"EINTR", EINTR},
		     {"EACCES", EACCES}, {"ESTALE", ESTALE}, {"EROFS", EROFS}};

	for (size_t i = 0; kind != NULL && i < sizeof known / sizeof known[0]; i++)
		if (strcmp(kind, known[i].name) == 0)
			return known[i].number;
	return 0;
}

static bool is_kind(const char *name)
{
	return kind != NULL && strcmp(kind, name) == 0;
}

/* Counts a call; whether it is one of those that go wrong. */
static bool chosen(const char *name)
{
	unsigned long number;

	if (at == 0 || (call_name != NULL && strcmp(call_name, name) != 0))
		return false;
	number = __atomic_add_fetch(&n_calls, 1, __ATOMIC_SEQ_CST);
	return number >= at && number <= last;
}

static void die(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

/* Before a call: whether it must fail at once, with errno set. */
static bool fails(bool is_chosen)
{
	if (!is_chosen)
		return false;
	if (is_kind("kill"))
		die();
	if (error_number() == 0)
		return false;
	errno = error_number();
	return true;
}

static void record(const char *name, const char *path, off_t offset, const void *data, size_t size)
{
	char head[PATH_MAX + 96];
	struct iovec parts[2];
	int n =
	    snprintf(head, sizeof head, "%s\t%s\t%lld\t%zu\n", name, path, (long long)offset, size);

	if (journal < 0 || n < 0)
		return;
	parts[0] = (struct iovec){head, (size_t)n};
	parts[1] = (struct iovec){(void *)(uintptr_t)data, size};
	(void)pthread_mutex_lock(&lock);
	if (writev(journal, parts, 2) != n + (ssize_t)size)
		abort();
	(void)pthread_mutex_unlock(&lock);
}

/* After a call, which went well or not. errno stays what it was. */
static void after(bool is_chosen, bool ok, const char *name, const char *path, off_t offset,
		  const void *data, size_t size)
{
	int saved = errno;
	char failed[32];

	if (path == NULL)
		return;
	(void)snprintf(failed, sizeof failed, "-%s", name);
	record(ok ? name : failed, path, offset, data, size);
	if (is_chosen && is_kind("killed"))
		die();
	errno = saved;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

/* Remember whose descriptor this is; `path` is the table's from now on. */
static void watch(int fd, char *path)
{
	int saved = errno;

	if (fd < 0 || fd >= MAX_FILES) {
		free(path);
	} else {
		free(paths[fd]);
		paths[fd] = path;
	}
	errno = saved;
}

static int open_file(const char *path, int flags, mode_t mode)
{
	char *whole = below(path);
	bool is_chosen = whole != NULL && chosen("open");
	int fd = fails(is_chosen) ? -1 : real_open(path, flags, mode);

	after(is_chosen, fd >= 0, "open", whole, flags, NULL, 0);
	watch(fd, whole);
	return fd;
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & O_CREAT ? va_arg(args, mode_t) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_file(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_file(path, flags, mode);
}

EXPORT int close(int fd)
{
	const char *path = path_of(fd);
	bool is_chosen = path != NULL && chosen("close");
	bool failing;
	int code;

	if (path == NULL)
		return real_close(fd);
	/* A close that fails closes all the same. */
	failing = fails(is_chosen);
	code = errno;
	after(is_chosen, true, "close", path, 0, NULL, 0);
	watch(fd, NULL);
	if (real_close(fd) != 0)
		return -1;
	errno = code;
	return failing ? -1 : 0;
}

EXPORT DIR *opendir(const char *path)
{
	char *whole = below(path);
	bool is_chosen = whole != NULL && chosen("opendir");

	DIR *directory = fails(is_chosen) ? NULL : real_opendir(path);

	after(is_chosen, directory != NULL, "opendir", whole, 0, NULL, 0);
	watch(directory != NULL ? dirfd(directory) : -1, whole);
	return directory;
}

EXPORT int closedir(DIR *directory)
{
	(void)pthread_once(&once, start);
	watch(dirfd(directory), NULL);
	return real_closedir(directory);
}

EXPORT struct dirent *readdir(DIR *directory)
{
	const char *path = path_of(dirfd(directory));
	bool is_chosen = path != NULL && chosen("readdir");
	struct dirent *entry = fails(is_chosen) ? NULL : real_readdir(directory);

	after(is_chosen, true, "readdir", path, 0, NULL, 0);
	return entry;
}

/* ---- reading and writing -----------------------------------------------------------------------
 */

EXPORT ssize_t read(int fd, void *data, size_t size)
{
	const char *path = path_of(fd);
	bool is_chosen = path != NULL && chosen("read");
	ssize_t n = -1;

	if (!fails(is_chosen))
		n = real_read(fd, data,
			      is_chosen && is_kind("short") && size > 1 ? size / 2 : size);
	after(is_chosen, n >= 0, "read", path, 0, NULL, 0);
	return n;
}

EXPORT ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	const char *path = path_of(fd);
	bool is_chosen = path != NULL && chosen("pread");
	ssize_t n = -1;

	if (!fails(is_chosen))
		n = real_pread(fd, data,
			       is_chosen && is_kind("short") && size > 1 ? size / 2 : size, offset);
	after(is_chosen, n >= 0, "pread", path, offset, NULL, 0);
	return n;
}

EXPORT ssize_t pread64(int fd, void *data, size_t size, off_t offset)
{
	return pread(fd, data, size, offset);
}

/* A write at an offset, or where the file is (-1). */
static ssize_t write_at(const char *name, int fd, const void *data, size_t size, off_t offset)
{
	const char *path = path_of(fd);
	bool is_chosen = path != NULL && chosen(name);
	bool half = is_chosen && (is_kind("short") || is_kind("torn")) && size > 1;
	off_t where = offset;
	ssize_t n = -1;

	if (path != NULL && offset < 0)
		where = lseek(fd, 0, SEEK_CUR);
	if (half)
		size /= 2;
	if (!fails(is_chosen))
		n = offset < 0 ? real_write(fd, data, size) : real_pwrite(fd, data, size, offset);
	after(is_chosen, n >= 0, name, path, where, data, n >= 0 ? (size_t)n : 0);
	if (is_chosen && is_kind("torn"))
		die();
	return n;
}

EXPORT ssize_t write(int fd, const void *data, size_t size)
{
	(void)pthread_once(&once, start);
	return write_at("write", fd, data, size, -1);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return write_at("pwrite", fd, data, size, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite(fd, data, size, offset);
}

/* ---- what is done to an open file --------------------------------------------------------------
 */

EXPORT int fsync(int fd)
{
	const char *path = path_of(fd);
	bool is_chosen = path != NULL && chosen("fsync");
	int status = fails(is_chosen) ? -1 : real_fsync(fd);

	after(is_chosen, status == 0, "fsync", path, 0, NULL, 0);
	return status;
}

EXPORT int ftruncate(int fd, off_t size)
{
	const char *path = path_of(fd);
	bool is_chosen = path != NULL && chosen("ftruncate");
	int status = fails(is_chosen) ? -1 : real_ftruncate(fd, size);

	after(is_chosen, status == 0, "ftruncate", path, size, NULL, 0);
	return status;
}

EXPORT int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

EXPORT int fstat(int fd, struct stat *st)
{
	const char *path = path_of(fd);

	bool is_chosen = path != NULL && chosen("fstat");
	int status = fails(is_chosen) ? -1 : real_fstat(fd, st);

	after(is_chosen, status == 0, "fstat", path, 0, NULL, 0);
	return status;
}

EXPORT int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

/* ---- what is done to a name --------------------------------------------------------------------
 */

EXPORT int rename(const char *from, const char *to)
{
	char *whole = below(from), *other = below(to);
	bool is_chosen = whole != NULL && chosen("rename");
	int status = fails(is_chosen) ? -1 : real_rename(from, to);

	after(is_chosen, status == 0, "rename", whole, 0, other, other != NULL ? strlen(other) : 0);
	free(whole);
	free(other);
	return status;
}

EXPORT int link(const char *from, const char *to)
{
	char *whole = below(from), *other = below(to);
	bool is_chosen = whole != NULL && chosen("link");
	int status = fails(is_chosen) ? -1 : real_link(from, to);

	after(is_chosen, status == 0, "link", whole, 0, other, other != NULL ? strlen(other) : 0);
	free(whole);
	free(other);
	return status;
}

/* Calls that have a path and what else the real one takes. */
#define ON_PATH(name, parameters, ...)                                                             \
	EXPORT int name parameters                                                                 \
	{                                                                                          \
		char *whole = below(path);                                                         \
		bool is_chosen = whole != NULL && chosen(#name);                                   \
		int status = fails(is_chosen) ? -1 : real_##name(__VA_ARGS__);                     \
                                                                                                   \
		after(is_chosen, status == 0, #name, whole, 0, NULL, 0);                           \
		free(whole);                                                                       \
		return status;                                                                     \
	}
ON_PATH(unlink, (const char *path), path)
ON_PATH(mkdir, (const char *path, mode_t mode), path, mode)
ON_PATH(rmdir, (const char *path), path)
ON_PATH(access, (const char *path, int mode), path, mode)
