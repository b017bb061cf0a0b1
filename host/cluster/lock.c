/* Taking, keeping and releasing the lock of an output. */
#include "cluster/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cluster/lock_owner.h"
#include "patchbay/base.h"

#define TEXT_MOST 4096
#define TRIES 50
#define DEPTH_MOST 3 /* of claims to claims, when takers die one after another */

struct pb_lock {
	char *path, *text;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool beating, ending;
};

/* A lock file as it is found. */
struct found {
	char text[TEXT_MOST];
	double touched; /* seconds of the file system's clock */
};

static double seconds_of(const struct stat *st)
{
	return (double)st->st_mtim.tv_sec + 1e-9 * (double)st->st_mtim.tv_nsec;
}

/* False where there is no such file (errno ENOENT), or it cannot be read. */
static bool look(const char *path, struct found *found)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	size_t used = 0;
	ssize_t n = 0;

	memset(found, 0, sizeof *found);
	if (fd < 0)
		return false;
	while (used < TEXT_MOST - 1 &&
	       ((n = read(fd, found->text + used, TEXT_MOST - 1 - used)) > 0 ||
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

static enum pb_status fail_errno(struct pb_error *err, const char *path)
{
	const int code = errno;
	/* a place where nothing can be written is a wrong output */
	const bool wrong = code == ENOENT || code == ENOTDIR || code == EACCES || code == EPERM ||
			   code == EROFS || code == ENAMETOOLONG;

	return pb_fail(err, wrong ? PB_ERR_INPUT : PB_ERR_IO, "cannot make the lock: %s: %s", path,
		       strerror(code));
}

/* A new file with the owner's text, on the disk; *now: the file system's time. */
static enum pb_status write_whole(const char *path, const char *text, double *now,
				  struct pb_error *err)
{
	const size_t size = strlen(text);
	enum pb_status status = PB_OK;
	struct stat st;
	int fd;

	(void)unlink(path); /* of a process that had this number before */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail_errno(err, path);
	if (write(fd, text, size) != (ssize_t)size || fsync(fd) != 0 || fstat(fd, &st) != 0)
		status = fail_errno(err, path);
	else
		*now = seconds_of(&st);
	if (close(fd) != 0 && status == PB_OK)
		status = fail_errno(err, path);
	if (status != PB_OK)
		(void)unlink(path);
	return status;
}

/* Give the whole file its name, if no file has it. A server may have done so and its answer be
 * lost: the number of links tells. */
static enum pb_status link_once(const char *whole, const char *path, const char *text, bool *made,
				struct pb_error *err)
{
	struct stat st;
	double now;

	*made = link(whole, path) == 0 || (stat(whole, &st) == 0 && st.st_nlink == 2);
	if (*made || errno == EEXIST)
		return PB_OK;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
		return fail_errno(err, path);
	/* no hard links here */
	if (access(path, F_OK) == 0)
		return PB_OK;
	*made = true;
	return write_whole(path, text, &now, err);
}

static void pause_shortly(void)
{
	const struct timespec time = {.tv_nsec = 20000000};

	(void)nanosleep(&time, NULL);
}

/* One try for a name that another process may hold; `holder` is filled where it does. */
static enum pb_status grab(const char *path, const char *text, int depth, bool *taken,
			   struct found *holder, struct pb_error *err);

/* Replace the lock of an owner that is gone. *taken is false where another one did. */
static enum pb_status take_over(const char *path, const char *whole, const char *text,
				const struct found *old, int depth, bool *taken,
				struct pb_error *err)
{
	char hex[PB_SHA256_HEX], *claim = NULL;
	struct found now, other;
	enum pb_status status;
	bool claimed = false;

	*taken = false;
	PB_TRY(pb_sha256_of(old->text, strlen(old->text), hex, err));
	claim = pb_format("%s.%.12s", path, hex);
	if (claim == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a lock");
		goto cleanup;
	}
	PB_TRY(grab(claim, text, depth + 1, &claimed, &other, err));
	if (!claimed)
		goto cleanup;
	/* nobody else replaces the old one now; but somebody may have done so before */
	if (look(path, &now) && strcmp(now.text, old->text) == 0 && now.touched == old->touched) {
		if (rename(whole, path) != 0)
			status = fail_errno(err, path);
		else
			*taken = true;
	}
	(void)unlink(claim);
cleanup:
	free(claim);
	return status;
}

static enum pb_status try_once(const char *path, const char *whole, const char *text, int depth,
			       bool *taken, bool *held, struct found *holder, struct pb_error *err)
{
	enum pb_status status;
	double now = 0;

	*held = false;
	PB_TRY(write_whole(whole, text, &now, err));
	PB_TRY(link_once(whole, path, text, taken, err));
	if (*taken || !look(path, holder))
		goto cleanup; /* ours; or it has just been released */
	*held = depth > DEPTH_MOST || !pb_lock_owner_is_gone(holder->text, now - holder->touched);
	if (*held)
		goto cleanup;
	PB_TRY(take_over(path, whole, text, holder, depth, taken, err));
	if (*taken && depth == 0) {
		char who[512];

		pb_lock_owner_describe(holder->text, who, sizeof who);
		pb_info("%s: its owner is gone (%s): taken over", path, who);
	}
cleanup:
	return status;
}

static enum pb_status grab(const char *path, const char *text, int depth, bool *taken,
			   struct found *holder, struct pb_error *err)
{
	char host[64] = "", *whole;
	enum pb_status status = PB_OK;
	bool held = false;
	int i;

	*taken = false;
	(void)gethostname(host, sizeof host - 1);
	whole = pb_format("%s.%s.%ld", path, host, (long)getpid());
	if (whole == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a lock");
	for (i = 0; i < TRIES && status == PB_OK && !*taken && !held; i++) {
		if (i > 0)
			pause_shortly();
		status = try_once(path, whole, text, depth, taken, &held, holder, err);
	}
	(void)unlink(whole); /* gone where it was renamed */
	free(whole);
	return status;
}

/* ---- the heartbeat --------------------------------------------------------------------------- */

static bool is_mine(const struct pb_lock *lock)
{
	struct found found;

	/* a server that does not answer says nothing about whose it is */
	if (!look(lock->path, &found))
		return errno != ENOENT;
	return strcmp(found.text, lock->text) == 0;
}

static void *beat(void *context)
{
	struct pb_lock *lock = context;
	struct timespec until;

	(void)pthread_mutex_lock(&lock->mutex);
	while (!lock->ending) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += PB_LOCK_HEARTBEAT_S;
		while (!lock->ending &&
		       pthread_cond_timedwait(&lock->changed, &lock->mutex, &until) != ETIMEDOUT)
			;
		if (!lock->ending && is_mine(lock))
			(void)utimensat(AT_FDCWD, lock->path, NULL, 0);
	}
	(void)pthread_mutex_unlock(&lock->mutex);
	return NULL;
}

static enum pb_status start_beating(struct pb_lock *lock, struct pb_error *err)
{
	int code = pthread_mutex_init(&lock->mutex, NULL);

	if (code == 0)
		code = pthread_cond_init(&lock->changed, NULL);
	if (code == 0)
		code = pthread_create(&lock->thread, NULL, beat, lock);
	if (code != 0)
		return pb_fail(err, PB_ERR_INTERNAL, "cannot start the thread of the lock: %s",
			       strerror(code));
	lock->beating = true;
	return PB_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum pb_status fail_held(const char *path, const char *output, const struct found *holder,
				struct pb_error *err)
{
	char who[512];

	pb_lock_owner_describe(holder->text, who, sizeof who);
	return pb_fail(err, PB_ERR_IO,
		       "another process writes this output: %s: %s: wait for it or stop it; if it "
		       "is surely gone, remove %s",
		       output, who, path);
}

enum pb_status pb_lock_take(struct pb_lock **out, const char *output, struct pb_error *err)
{
	struct pb_lock *lock = NULL;
	struct pb_aside aside = {0};
	struct found holder = {{0}, 0};
	enum pb_status status;
	bool taken = false;

	*out = NULL;
	PB_TRY(pb_aside_begin(&aside, output, err)); /* can it be written at all? */
	PB_TRY(pb_alloc((void **)&lock, 1, sizeof *lock, "a lock", err));
	lock->path = pb_format("%s.lock", output);
	if (lock->path == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a lock");
		goto cleanup;
	}
	PB_TRY(pb_lock_owner_text(&lock->text, err));
	PB_TRY(grab(lock->path, lock->text, 0, &taken, &holder, err));
	if (!taken) {
		status = fail_held(lock->path, output, &holder, err);
		goto cleanup;
	}
	PB_TRY(start_beating(lock, err));
	*out = lock;
cleanup:
	pb_aside_end(&aside);
	if (status != PB_OK && lock != NULL) {
		if (taken)
			(void)unlink(lock->path);
		free(lock->path);
		free(lock->text);
		free(lock);
	}
	return status;
}

enum pb_status pb_lock_check(const struct pb_lock *lock, struct pb_error *err)
{
	if (is_mine(lock))
		return PB_OK;
	return pb_fail(err, PB_ERR_IO,
		       "the lock is no longer this process's: %s: it was removed or taken over: "
		       "run the same command again",
		       lock->path);
}

void pb_lock_release(struct pb_lock *lock)
{
	if (lock == NULL)
		return;
	(void)pthread_mutex_lock(&lock->mutex);
	lock->ending = true;
	(void)pthread_cond_broadcast(&lock->changed);
	(void)pthread_mutex_unlock(&lock->mutex);
	(void)pthread_join(lock->thread, NULL);
	(void)pthread_cond_destroy(&lock->changed);
	(void)pthread_mutex_destroy(&lock->mutex);
	if (is_mine(lock))
		(void)unlink(lock->path);
	free(lock->path);
	free(lock->text);
	free(lock);
}
