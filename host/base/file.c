/* Files: memory maps, whole text files, outputs written aside and renamed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map_guard.h"
#include "patchbay/base.h"

/* A path that the user got wrong is an input error; a disk that fails is not. */
static enum pb_status status_of_errno(int code)
{
	switch (code) {
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EACCES:
	case EPERM:
	case EROFS:
	case ELOOP:
	case ENAMETOOLONG:
	case ENXIO:
		return PB_ERR_INPUT;
	case ENOMEM:
		return PB_ERR_MEMORY;
	default:
		return PB_ERR_IO;
	}
}

static enum pb_status fail_errno(struct pb_error *err, int code, const char *what, const char *path)
{
	return pb_fail(err, status_of_errno(code), "cannot %s: %s: %s", what, path, strerror(code));
}

enum pb_status pb_map_open(struct pb_map *map, const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct stat st;
	void *data;
	int fd;

	*map = (struct pb_map){0};
	/* O_NONBLOCK: opening a FIFO must not wait for a writer; regular files ignore it. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail_errno(err, errno, "open file", path);
	if (fstat(fd, &st) != 0) {
		status = fail_errno(err, errno, "read the size of file", path);
		goto cleanup;
	}
	if (!S_ISREG(st.st_mode)) {
		status = pb_fail(err, PB_ERR_INPUT, "not a regular file: %s: name a file", path);
		goto cleanup;
	}
	if (st.st_size == 0)
		goto cleanup;
	if ((uintmax_t)st.st_size > PTRDIFF_MAX) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "file too large to map: %s: %jd bytes: use a 64-bit machine", path,
				 (intmax_t)st.st_size);
		goto cleanup;
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		status = fail_errno(err, errno, "map file", path);
		goto cleanup;
	}
	map->data = data;
	map->size = (size_t)st.st_size;
	status = pb_map_guard_add(data, map->size, path, err);
	if (status != PB_OK)
		pb_map_close(map);
cleanup:
	close(fd); /* the map stays */
	return status;
}

void pb_map_close(struct pb_map *map)
{
	if (map->data != NULL) {
		pb_map_guard_remove(map->data);
		munmap((void *)(uintptr_t)map->data, map->size);
	}
	*map = (struct pb_map){0};
}

/* Reads fd to its end into *buffer (capacity grown), at most max_size bytes. */
static enum pb_status read_all(int fd, char **buffer, size_t *size, const char *path,
			       size_t max_size, struct pb_error *err)
{
	enum pb_status status;
	size_t capacity = 0, used = 0;
	void *grown = NULL;
	struct stat st;

	/* One allocation for a regular file; anything else grows as it is read. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (uintmax_t)st.st_size <= max_size)
		PB_TRY(pb_grow(&grown, &capacity, (size_t)st.st_size + 2, 1, path, err));
	for (;;) {
		ssize_t n;

		PB_TRY(pb_grow(&grown, &capacity, used + 2, 1, path, err));
		n = read(fd, (char *)grown + used, capacity - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			status = fail_errno(err, errno, "read file", path);
			goto cleanup;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max_size) {
			status =
			    pb_fail(err, PB_ERR_INPUT,
				    "file too large: %s: more than the %zu bytes that a file of "
				    "this kind may have: check that it is the right file",
				    path, max_size);
			goto cleanup;
		}
	}
	((char *)grown)[used] = '\0';
	*buffer = grown;
	*size = used;
	return PB_OK;
cleanup:
	free(grown);
	return status;
}

enum pb_status pb_read_file(char **out, size_t *size, const char *path, size_t max_size,
			    struct pb_error *err)
{
	enum pb_status status;
	size_t used = 0;
	int fd;

	*out = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(err, errno, "open file", path);
	status = read_all(fd, out, &used, path, max_size, err);
	close(fd);
	if (status == PB_OK && size != NULL)
		*size = used;
	return status;
}

bool pb_is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool pb_is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* ---- output written aside ------------------------------------------------------------ */

/* The directory that holds `path` (freed with free()); NULL when out of memory. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return pb_format(".");
	if (slash == path)
		return pb_format("/");
	return pb_format("%.*s", (int)(slash - path), path);
}

enum pb_status pb_aside_begin(struct pb_aside *aside, const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *directory = NULL;
	size_t length = strlen(path);

	*aside = (struct pb_aside){0};
	if (length == 0 || length > PTRDIFF_MAX / 2 || path[length - 1] == '/' ||
	    pb_is_directory(path)) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "output is not a file name: '%s': name a file to write", path);
		goto cleanup;
	}
	directory = directory_of(path);
	aside->path = strdup(path);
	aside->temp_path = pb_format("%s.tmp.%ld", path, (long)getpid());
	if (directory == NULL || aside->path == NULL || aside->temp_path == NULL) {
		status =
		    pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of the output %s", path);
		goto cleanup;
	}
	if (!pb_is_directory(directory)) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "output directory missing: %s (of %s): create it first", directory,
				 path);
		goto cleanup;
	}
	if (access(directory, W_OK | X_OK) != 0)
		status =
		    pb_fail(err, PB_ERR_INPUT, "cannot write into output directory: %s (of %s): %s",
			    directory, path, strerror(errno));
cleanup:
	free(directory);
	if (status != PB_OK)
		pb_aside_end(aside);
	return status;
}

/* Flush a file or directory to the disk. */
static enum pb_status sync_path(const char *path, int flags, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		return pb_fail(err, PB_ERR_IO, "cannot open to flush: %s: %s", path,
			       strerror(errno));
	/* Some network file systems cannot flush a directory and say EINVAL: nothing to do then. */
	if (fsync(fd) != 0 && !(errno == EINVAL && (flags & O_DIRECTORY)))
		status =
		    pb_fail(err, PB_ERR_IO, "cannot flush to disk: %s: %s", path, strerror(errno));
	if (close(fd) != 0 && status == PB_OK)
		status = pb_fail(err, PB_ERR_IO, "cannot close: %s: %s", path, strerror(errno));
	return status;
}

enum pb_status pb_sync_parent(const char *path, struct pb_error *err)
{
	char *directory = directory_of(path);
	enum pb_status status;

	if (directory == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of the output %s",
			       path);
	status = sync_path(directory, O_DIRECTORY, err);
	free(directory);
	return status;
}

enum pb_status pb_aside_commit(struct pb_aside *aside, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(sync_path(aside->temp_path, 0, err));
	if (rename(aside->temp_path, aside->path) != 0) {
		status = pb_fail(err, PB_ERR_IO, "cannot rename: %s to %s: %s", aside->temp_path,
				 aside->path, strerror(errno));
		goto cleanup;
	}
	free(aside->temp_path);
	aside->temp_path = NULL;
	status = pb_sync_parent(aside->path, err);
cleanup:
	return status;
}

void pb_aside_end(struct pb_aside *aside)
{
	if (aside->temp_path != NULL)
		(void)unlink(aside->temp_path); /* usually absent; nothing to do if it stays */
	free(aside->temp_path);
	free(aside->path);
	*aside = (struct pb_aside){0};
}
