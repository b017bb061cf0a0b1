/* What lies at the output of an experiment: looking at it, making room, removing it. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patchbay/base.h"
#include "results/identity.h"
#include "results/parts.h"
#include "results/shard.h"

bool pb_is_hdf5(const char *path)
{
	static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
	unsigned char start[8];
	FILE *file = pb_is_file(path) ? fopen(path, "rb") : NULL;
	bool same;

	if (file == NULL)
		return false;
	same = fread(start, 1, sizeof start, file) == sizeof start &&
	       memcmp(start, signature, sizeof start) == 0;
	(void)fclose(file); /* opened for reading */
	return same;
}

/* "chunk-00012.h5", alone or with ".tmp.<pid>" behind it. */
static bool is_part_name(const char *name, bool *temporary)
{
	size_t digits;

	if (strncmp(name, "chunk-", 6) != 0)
		return false;
	digits = strspn(name + 6, "0123456789");
	if (digits < 5 || strncmp(name + 6 + digits, ".h5", 3) != 0)
		return false;
	name += 6 + digits + 3;
	*temporary = strncmp(name, ".tmp.", 5) == 0;
	return *name == '\0' || *temporary;
}

static size_t part_number(const char *name)
{
	return (size_t)strtoumax(name + strlen("chunk-"), NULL, 10);
}

/* Names of the parts in the folder, in order; none when there is no folder. Temporary ones are
 * left out unless asked for. */
static enum pb_status list_parts(const char *folder, bool temporary_too, char ***names, size_t *n,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;
	DIR *directory = opendir(folder);
	size_t capacity = 0;
	void *list = NULL;
	struct dirent *entry;

	*names = NULL;
	*n = 0;
	if (directory == NULL) {
		if (errno == ENOENT || errno == ENOTDIR)
			return PB_OK;
		return pb_fail(err, PB_ERR_INPUT, "cannot read the folder of parts: %s: %s", folder,
			       strerror(errno));
	}
	while ((entry = readdir(directory)) != NULL) {
		bool temporary = false;

		if (!is_part_name(entry->d_name, &temporary) || (temporary && !temporary_too))
			continue;
		PB_TRY(pb_grow(&list, &capacity, *n + 1, sizeof **names, "parts", err));
		*names = list;
		(*names)[*n] = strdup(entry->d_name);
		if ((*names)[*n] == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: parts");
			goto cleanup;
		}
		(*n)++;
	}
cleanup:
	(void)closedir(directory);
	if (status != PB_OK) {
		pb_h5_names_free(*names, *n);
		*names = NULL;
		*n = 0;
	}
	return status;
}

/* ---- state ----------------------------------------------------------------------------- */

/* Is an open file of this experiment the shard, or the whole, that the output should be? A partial
 * merge is not the whole. */
static bool is_asked_for(hid_t file, const struct pb_experiment *e, char *difference, size_t size)
{
	int64_t shard = -1, n_shards = -1;
	char *missing = NULL;

	if (pb_h5_has(file, "missing_chunks") &&
	    pb_h5_get_text(file, "missing_chunks", &missing, NULL) == PB_OK)
		snprintf(difference, size,
			 "it is a partial merge of this experiment: chunks %s are missing",
			 missing);
	free(missing);
	if (pb_is_shard(file) && (pb_h5_get_int(file, "shard", &shard, NULL) != PB_OK ||
				  pb_h5_get_int(file, "n_shards", &n_shards, NULL) != PB_OK))
		snprintf(difference, size, "it is damaged: a shard without numbers");
	else if (e->n_shards == 0 && n_shards >= 0)
		snprintf(difference, size,
			 "it is shard %jd of %jd of this experiment, not the whole",
			 (intmax_t)shard, (intmax_t)n_shards);
	else if (e->n_shards > 0 && n_shards < 0)
		snprintf(difference, size, "it is all of this experiment, not shard %zu of %zu",
			 e->shard, e->n_shards);
	else if (e->n_shards > 0 && ((size_t)shard != e->shard || (size_t)n_shards != e->n_shards))
		snprintf(difference, size,
			 "it is of this experiment: shard there %jd of %jd, here %zu of %zu",
			 (intmax_t)shard, (intmax_t)n_shards, e->shard, e->n_shards);
	return difference[0] == '\0';
}

/* Is the HDF5 file at path of this experiment, and complete? A file that is not of Patchbay, or
 * cannot be read, is not, with a difference that says so. */
static enum pb_status look_at(const char *path, const struct pb_experiment *e, bool *same,
			      bool *complete, char *difference, size_t size, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct pb_error inner = {0};
	struct pb_identity there = {0};
	int64_t flag = 0;
	hid_t file = -1;

	*same = *complete = false;
	if (!pb_is_hdf5(path)) {
		snprintf(difference, size, "it is not a result file");
		return PB_OK;
	}
	if (pb_h5_file_open(&file, path, false, PB_ERR_CHECK, &inner) != PB_OK) {
		snprintf(difference, size, "it is damaged: %s", inner.message);
		return PB_OK;
	}
	if (!pb_h5_has(file, "experiment_sha256")) {
		snprintf(difference, size, "it is an HDF5 file, but not a result of patchbay");
		goto cleanup;
	}
	if (pb_identity_read(&there, file, &inner) != PB_OK) {
		snprintf(difference, size, "it is damaged: %s", inner.message);
		goto cleanup;
	}
	PB_TRY(pb_identity_compare(&there, e, same, difference, size, err));
	if (*same)
		*same = is_asked_for(file, e, difference, size);
	if (*same && pb_h5_has(file, "complete"))
		*complete = pb_h5_get_int(file, "complete", &flag, &inner) == PB_OK && flag == 1;
cleanup:
	pb_identity_free(&there);
	(void)pb_h5_file_close(&file, path, NULL);
	return status;
}

static enum pb_status state_of_file(const struct pb_experiment *e, enum pb_output_state *state,
				    char *difference, size_t size, struct pb_error *err)
{
	enum pb_status status;
	bool same, complete;

	*state = PB_OUTPUT_OTHER;
	if (pb_is_directory(e->output)) {
		snprintf(difference, size, "it is a folder");
		return PB_OK;
	}
	PB_TRY(look_at(e->output, e, &same, &complete, difference, size, err));
	if (same && complete)
		*state = PB_OUTPUT_COMPLETE;
	else if (same)
		snprintf(difference, size, "it is damaged: it does not say that it is complete");
cleanup:
	return status;
}

/* Parts of this experiment, or of another one; a part that cannot be read is of neither. */
static enum pb_status state_of_parts(const struct pb_experiment *e, enum pb_output_state *state,
				     char *difference, size_t size, struct pb_error *err)
{
	enum pb_status status;
	char *folder = pb_parts_folder(e), *path = NULL, **names = NULL;
	char text[2048];
	size_t n = 0, i;

	*state = PB_OUTPUT_ABSENT;
	if (folder == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the folder of parts");
		goto cleanup;
	}
	PB_TRY(list_parts(folder, false, &names, &n, err));
	for (i = 0; i < n; i++) {
		struct pb_error inner = {0};
		struct pb_identity there = {0};
		hid_t file = -1;
		bool same = true;

		free(path);
		path = pb_format("%s/%s", folder, names[i]);
		if (path == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a part's name");
			goto cleanup;
		}
		*state = PB_OUTPUT_PARTS;
		if (pb_h5_file_open(&file, path, false, PB_ERR_CHECK, &inner) != PB_OK)
			continue; /* pb_part_done removes it */
		if (pb_identity_read(&there, file, &inner) == PB_OK &&
		    pb_identity_check(&there, &inner) == PB_OK)
			status = pb_identity_compare(&there, e, &same, text, sizeof text, err);
		pb_identity_free(&there);
		(void)pb_h5_file_close(&file, path, NULL);
		PB_TRY(status);
		if (!same) {
			*state = PB_OUTPUT_OTHER;
			snprintf(difference, size, "unfinished parts are there (%s): %s", folder,
				 text);
			break;
		}
		if (e->n_shards > 0 && !pb_experiment_takes(e, part_number(names[i]))) {
			*state = PB_OUTPUT_OTHER;
			snprintf(difference, size,
				 "unfinished parts are there (%s), and chunk %zu is none of shard "
				 "%zu of %zu: they are of another number of shards",
				 folder, part_number(names[i]), e->shard, e->n_shards);
			break;
		}
	}
cleanup:
	pb_h5_names_free(names, n);
	free(path);
	free(folder);
	return status;
}

enum pb_status pb_output_state(const struct pb_experiment *e, enum pb_output_state *state,
			       char *difference, size_t size, struct pb_error *err)
{
	enum pb_status status;
	enum pb_output_state parts;
	char ignored[4];
	struct stat st;

	if (size > 0)
		difference[0] = '\0';
	if (lstat(e->output, &st) != 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return pb_fail(err, PB_ERR_INPUT, "cannot look at output: %s: %s",
				       e->output, strerror(errno));
		return state_of_parts(e, state, difference, size, err);
	}
	PB_TRY(state_of_file(e, state, difference, size, err));
	if (*state != PB_OUTPUT_COMPLETE)
		return PB_OK;
	/* A crash between putting the file in place and removing its parts leaves them there. */
	PB_TRY(state_of_parts(e, &parts, ignored, sizeof ignored, err));
	if (parts == PB_OUTPUT_PARTS)
		status = pb_parts_remove(e, err);
cleanup:
	return status;
}

/* ---- making room and removing ------------------------------------------------------------ */

/* The pid of "<base>.tmp.<pid>"; 0 when the name is not of that form. */
static long temporary_pid(const char *name, const char *base)
{
	const size_t n = strlen(base);
	char *end;
	long pid;

	if (strncmp(name, base, n) != 0 || strncmp(name + n, ".tmp.", 5) != 0)
		return 0;
	pid = strtol(name + n + 5, &end, 10);
	return *end == '\0' && pid > 0 ? pid : 0;
}

void pb_stale_remove(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;
	char *folder =
	    slash != NULL ? pb_format("%.*s", (int)(slash - path + 1), path) : pb_format("./");
	DIR *directory = folder != NULL ? opendir(folder) : NULL;
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		long pid = temporary_pid(entry->d_name, base);
		char *stale;

		if (pid == 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		stale = pb_format("%s%s", folder, entry->d_name);
		if (stale != NULL && unlink(stale) == 0)
			pb_info("removed what an interrupted run left: %s", stale);
		free(stale);
	}
	if (directory != NULL)
		(void)closedir(directory);
	free(folder);
}

enum pb_status pb_parts_remove(const struct pb_experiment *e, struct pb_error *err)
{
	enum pb_status status;
	char *folder = pb_parts_folder(e), **names = NULL;
	size_t n = 0, i;

	if (folder == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the folder of parts");
	PB_TRY(list_parts(folder, true, &names, &n, err));
	for (i = 0; i < n; i++) {
		char *path = pb_format("%s/%s", folder, names[i]);

		if (path == NULL)
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: a part's name");
		else if (unlink(path) != 0 && errno != ENOENT)
			status = pb_fail(err, PB_ERR_IO, "cannot remove part: %s: %s", path,
					 strerror(errno));
		free(path);
		PB_TRY(status);
	}
	if (rmdir(folder) != 0 && errno != ENOENT && errno != ENOTDIR)
		status = pb_fail(err, PB_ERR_IO,
				 "cannot remove the folder of parts: %s: %s: remove what else is "
				 "in it",
				 folder, strerror(errno));
cleanup:
	pb_h5_names_free(names, n);
	free(folder);
	return status;
}

enum pb_status pb_output_remove(const struct pb_experiment *e, struct pb_error *err)
{
	if (pb_is_directory(e->output))
		return pb_fail(err, PB_ERR_INPUT,
			       "output is a folder: %s: name a file, or remove it yourself",
			       e->output);
	if (unlink(e->output) != 0 && errno != ENOENT && errno != ENOTDIR)
		return pb_fail(err, PB_ERR_INPUT, "cannot remove: %s: %s", e->output,
			       strerror(errno));
	pb_stale_remove(e->output);
	return pb_parts_remove(e, err);
}

enum pb_status pb_parts_prepare(const struct pb_experiment *e, struct pb_error *err)
{
	enum pb_status status;
	struct pb_aside aside = {0};
	char *folder = pb_parts_folder(e);

	if (folder == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the folder of parts");
	/* The final file must be writable too, and it is better to know that now. */
	PB_TRY(pb_aside_begin(&aside, e->output, err));
	if (mkdir(folder, 0777) != 0 && !(errno == EEXIST && pb_is_directory(folder))) {
		status = pb_fail(err, PB_ERR_INPUT, "cannot make the folder of parts: %s: %s",
				 folder, strerror(errno));
		goto cleanup;
	}
	if (access(folder, W_OK | X_OK) != 0)
		status = pb_fail(err, PB_ERR_INPUT, "cannot write into the folder of parts: %s: %s",
				 folder, strerror(errno));
	else
		status = pb_sync_parent(folder, err);
cleanup:
	pb_aside_end(&aside);
	free(folder);
	return status;
}

void pb_parts_abandon(const struct pb_experiment *e)
{
	char *folder = pb_parts_folder(e);

	/* it fails, as it should, where there are parts */
	if (folder != NULL)
		(void)rmdir(folder);
	free(folder);
}
