/* Copying a mapped file to a local disk, under the same address. */
#include "base/map_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/map_guard.h"

#define STEP ((size_t)16 << 20) /* a multiple of any page size */

static enum pb_status fail(struct pb_error *err, int code, const char *path, const char *folder)
{
	bool theirs = code == ENOSPC || code == EDQUOT || code == ENOENT || code == ENOTDIR ||
		      code == EACCES || code == EROFS || code == EFBIG;

	return pb_fail(
	    err, theirs ? PB_ERR_INPUT : PB_ERR_IO,
	    "cannot copy weights: %s to %s: %s: --stage: name a folder with room for them, "
	    "or leave it out",
	    path, folder, strerror(code));
}

/* A file that nobody else sees. Not every file system can make it without a name. */
static int open_nameless(const char *folder)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *name;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	name = pb_format("%s/patchbay-weights-XXXXXX", folder);
	if (!name) {
		errno = ENOMEM;
		return -1;
	}
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(name);
	free(name);
	return fd;
}

/* 0 or an errno. */
static int write_whole(int fd, const unsigned char *data, size_t size, size_t at)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(fd, data + done, size - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENOSPC;
		done += (size_t)n;
	}
	return 0;
}

/* Copies, and the digest of what was copied. What has been read is not needed in memory. */
static enum pb_status copy(const struct pb_map *map, int fd, const char *path, const char *folder,
			   char hex[PB_SHA256_HEX], struct pb_error *err)
{
	struct pb_sha256 *sha = NULL;
	enum pb_status status;

	PB_TRY(pb_sha256_begin(&sha, err));
	for (size_t at = 0; at < map->size; at += STEP) {
		size_t n = map->size - at < STEP ? map->size - at : STEP;
		int code;

		PB_TRY(pb_sha256_add(sha, map->data + at, n, err));
		code = write_whole(fd, map->data + at, n, at);
		if (code != 0) {
			status = fail(err, code, path, folder);
			goto cleanup;
		}
		(void)madvise((void *)(uintptr_t)(map->data + at), n, MADV_DONTNEED);
	}
	return pb_sha256_end(sha, hex, err);
cleanup:
	pb_sha256_free(sha);
	return status;
}

/* The copy in the place of the original. */
static enum pb_status show(struct pb_map *map, int fd, const char *path, const char *folder,
			   struct pb_error *err)
{
	char *name = pb_format("%s (of which the copy in %s is used)", path, folder);
	enum pb_status status = PB_OK;

	if (!name)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the copy of %s", path);
	if (mmap((void *)(uintptr_t)map->data, map->size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd,
		 0) == MAP_FAILED) {
		status = fail(err, errno, path, folder);
	} else {
		pb_map_guard_remove(map->data);
		status = pb_map_guard_add(map->data, map->size, name, err);
	}
	free(name);
	return status;
}

enum pb_status pb_map_stage(struct pb_map *map, const char *path, const char *folder,
			    struct pb_error *err)
{
	char before[PB_SHA256_HEX], after[PB_SHA256_HEX];
	void *copied = MAP_FAILED;
	int fd, code;
	enum pb_status status;

	if (map->size == 0)
		return PB_OK;
	fd = open_nameless(folder);
	if (fd < 0)
		return fail(err, errno, path, folder);
	code = posix_fallocate(fd, 0, (off_t)map->size); /* too little room is known at once */
	if (code != 0) {
		status = fail(err, code, path, folder);
		goto cleanup;
	}
	PB_TRY(copy(map, fd, path, folder, before, err));
	copied = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (copied == MAP_FAILED) {
		status = fail(err, errno, path, folder);
		goto cleanup;
	}
	PB_TRY(pb_sha256_of(copied, map->size, after, err));
	if (strcmp(before, after) != 0) {
		status =
		    pb_fail(err, PB_ERR_IO,
			    "a copy of weights is not what was written: %s in %s: that disk fails, "
			    "use another --stage",
			    path, folder);
		goto cleanup;
	}
	status = show(map, fd, path, folder, err);
cleanup:
	if (copied != MAP_FAILED)
		(void)munmap(copied, map->size);
	(void)close(fd); /* the map keeps the file */
	return status;
}
