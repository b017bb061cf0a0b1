/* Making a folder aside. */
#include "report/folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is there ------------------------------------------------------------------------- */

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = dir != NULL;

	while (empty && (entry = readdir(dir)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir != NULL)
		closedir(dir);
	return empty;
}

static bool is_report(const char *path)
{
	char begin[sizeof PB_PAGE_MARK] = "", *name = pb_format("%s/index.html", path);
	FILE *page = name != NULL ? fopen(name, "r") : NULL;

	if (page != NULL) {
		(void)!fread(begin, 1, sizeof begin - 1, page);
		(void)fclose(page);
	}
	free(name);
	return strcmp(begin, PB_PAGE_MARK) == 0;
}

static enum pb_status check_place(struct pb_folder *f, bool force, struct pb_error *err)
{
	struct stat st;

	if (lstat(f->path, &st) != 0 && errno == ENOENT)
		return PB_OK;
	if (!pb_is_directory(f->path))
		return pb_fail(err, PB_ERR_INPUT, "output is not a folder: %s: name another",
			       f->path);
	if (is_empty(f->path))
		return PB_OK;
	if (!is_report(f->path))
		return pb_fail(err, PB_ERR_INPUT,
			       "folder holds something that is no report: %s: name another, or an "
			       "empty one",
			       f->path);
	if (!force)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "a report is there already: %s: choose another name, or give --force "
		    "to replace it",
		    f->path);
	f->replaces = true;
	return PB_OK;
}

/* ---- removing ------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static bool ends_with(const char *name, const char *end)
{
	const size_t n = strlen(name), k = strlen(end);

	return n >= k && strcmp(name + n - k, end) == 0;
}

/* Files of a report alone: by where they are and how they end. */
static int remove_ours(const char *path, const struct stat *st, int type, struct FTW *where)
{
	static const char *const ends[] = {"/index.html", "/summary.md", ".svg",
					   ".pdf",        ".png",        ".csv"};
	size_t i;

	(void)st;
	if (type == FTW_DP || type == FTW_D) {
		(void)rmdir(path); /* what holds something else stays */
		return 0;
	}
	for (i = 0; i < sizeof ends / sizeof *ends; i++)
		if (where->level == (i < 2 ? 1 : 2) && ends_with(path, ends[i]))
			return remove(path);
	return 0;
}

/* ---- the folder ---------------------------------------------------------------------------- */

static enum pb_status make(const char *temp, const char *name, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *path = pb_format("%s%s", temp, name);

	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a folder");
	if (mkdir(path, 0777) != 0)
		status = pb_fail(err, errno == ENOSPC ? PB_ERR_IO : PB_ERR_INPUT,
				 "cannot make a folder: %s: %s", path, strerror(errno));
	free(path);
	return status;
}

enum pb_status pb_folder_begin(struct pb_folder *f, const char *path, bool force,
			       struct pb_error *err)
{
	enum pb_status status;
	size_t n = strlen(path);

	*f = (struct pb_folder){0};
	while (n > 1 && path[n - 1] == '/')
		n--;
	f->path = pb_format("%.*s", (int)n, path);
	f->temp = pb_format("%.*s.tmp.%d", (int)n, path, (int)getpid());
	if (f->path == NULL || f->temp == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a folder");
	PB_TRY(check_place(f, force, err));
	PB_TRY(make(f->temp, "", err));
	PB_TRY(make(f->temp, "/figures", err));
	PB_TRY(make(f->temp, "/tables", err));
cleanup:
	return status;
}

enum pb_status pb_folder_commit(struct pb_folder *f, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *old = pb_format("%s.old.%d", f->path, (int)getpid());

	if (old == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a folder");
	if (f->replaces && rename(f->path, old) != 0) {
		status = pb_fail(err, PB_ERR_IO, "cannot move the report that is there: %s: %s",
				 f->path, strerror(errno));
		goto cleanup;
	}
	if (rename(f->temp, f->path) != 0) {
		status = pb_fail(err, PB_ERR_IO, "cannot put the report in place: %s: %s", f->path,
				 strerror(errno));
		if (f->replaces && rename(old, f->path) != 0)
			pb_warn("the report that was there is now %s", old);
		goto cleanup;
	}
	f->done = true;
	if (f->replaces) {
		(void)nftw(old, remove_ours, 8, FTW_DEPTH | FTW_PHYS);
		if (pb_is_directory(old))
			pb_warn("files that are no report's were in %s: they are now in %s",
				f->path, old);
	}
cleanup:
	free(old);
	return status;
}

void pb_folder_end(struct pb_folder *f)
{
	if (f->temp != NULL && !f->done)
		(void)nftw(f->temp, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f->path);
	free(f->temp);
	*f = (struct pb_folder){0};
}

/* ---- files --------------------------------------------------------------------------------- */

enum pb_status pb_folder_open(const char *temp, FILE **out, struct pb_error *err, const char *name,
			      ...)
{
	enum pb_status status = PB_OK;
	char file[256], *path;
	va_list args;
	int n;

	va_start(args, name);
	n = vsnprintf(file, sizeof file, name, args);
	va_end(args);
	path = n < 0 ? NULL : pb_format("%s/%s", temp, file);
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the name of a file");
	*out = fopen(path, "w");
	if (*out == NULL)
		status = pb_fail(err, PB_ERR_IO, "cannot write: %s: %s", path, strerror(errno));
	free(path);
	return status;
}

enum pb_status pb_folder_close(FILE **out, const char *temp, struct pb_error *err)
{
	FILE *file = *out;
	bool failed;

	*out = NULL;
	if (file == NULL)
		return PB_OK;
	errno = 0;
	failed = ferror(file) != 0;
	if (fclose(file) != 0 || failed)
		return pb_fail(err, PB_ERR_IO, "cannot write the report: %s: %s", temp,
			       errno != 0 ? strerror(errno) : "an earlier write failed");
	return PB_OK;
}
