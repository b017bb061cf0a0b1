/* A model's name resolved in the local Hugging Face cache:
 *   <cache>/models--{org}--{name}/refs/{revision}        names a commit
 *   <cache>/models--{org}--{name}/snapshots/{commit}/    holds its files */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/model.h"

#define REF_BYTES_MAX 256
#define COMMIT_DIGITS 40

/* The cache's folder, as huggingface_hub finds it. */
static char *cache_folder(void)
{
	static const struct {
		const char *variable, *below;
	} places[] = {{"HF_HUB_CACHE", ""},
		      {"HUGGINGFACE_HUB_CACHE", ""},
		      {"HF_HOME", "/hub"},
		      {"XDG_CACHE_HOME", "/huggingface/hub"},
		      {"HOME", "/.cache/huggingface/hub"}};
	size_t i;

	for (i = 0; i < sizeof places / sizeof places[0]; i++) {
		const char *value = getenv(places[i].variable);

		if (value != NULL && value[0] != '\0')
			return pb_format("%s%s", value, places[i].below);
	}
	return pb_format(".cache/huggingface/hub");
}

/* "name" or "org/name", of the characters that the hub allows. */
static bool is_hub_id(const char *path)
{
	size_t slashes = 0, i;

	for (i = 0; path[i] != '\0'; i++) {
		if (path[i] == '/') {
			slashes++;
			if (i == 0 || path[i + 1] == '\0')
				return false;
		} else if (!isalnum((unsigned char)path[i]) && strchr("-_.", path[i]) == NULL) {
			return false;
		}
	}
	return i > 0 && slashes <= 1 && path[0] != '.' && strstr(path, "/.") == NULL;
}

/* No part of a revision may leave its folder. */
static bool is_revision(const char *revision)
{
	return revision[0] != '\0' && revision[0] != '/' && strstr(revision, "..") == NULL;
}

/* <cache>/models--org--name */
static char *model_folder(const char *cache, const char *id)
{
	const char *slash = strchr(id, '/');

	if (slash == NULL)
		return pb_format("%s/models--%s", cache, id);
	return pb_format("%s/models--%.*s--%s", cache, (int)(slash - id), id, slash + 1);
}

/* The one snapshot whose commit begins with `prefix`; NULL: none, or several. */
static char *snapshot_of(const char *folder, const char *prefix)
{
	char *snapshots = pb_format("%s/snapshots", folder), *found = NULL;
	DIR *entries = snapshots != NULL ? opendir(snapshots) : NULL;
	const struct dirent *entry;
	size_t n = 0;

	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || entry->d_name[0] == '.')
			continue;
		free(found);
		found = pb_format("%s/%s", snapshots, entry->d_name);
		n++;
	}
	if (entries != NULL)
		closedir(entries);
	free(snapshots);
	if (n != 1) {
		free(found);
		found = NULL;
	}
	return found;
}

/* The commit that a ref names, "" when there is none. */
static enum pb_status read_ref(const char *folder, const char *revision, char commit[],
			       struct pb_error *err)
{
	enum pb_status status = PB_OK;
	char *path = pb_format("%s/refs/%s", folder, revision), *text = NULL;
	size_t size = 0, n = 0;

	commit[0] = '\0';
	if (path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: resolving a model");
	if (!pb_is_file(path))
		goto cleanup;
	PB_TRY(pb_read_file(&text, &size, path, REF_BYTES_MAX, err));
	while (n < size && n < COMMIT_DIGITS && isxdigit((unsigned char)text[n])) {
		commit[n] = text[n];
		n++;
	}
	commit[n] = '\0';
	if (n != COMMIT_DIGITS)
		status = pb_fail(err, PB_ERR_INPUT,
				 "damaged reference: %s: expected a commit of 40 digits: fetch the "
				 "model again",
				 path);
cleanup:
	free(text);
	free(path);
	return status;
}

static enum pb_status look_up(const char *cache, const char *path, const char *revision, char **out,
			      struct pb_error *err)
{
	enum pb_status status;
	char *folder = model_folder(cache, path), commit[COMMIT_DIGITS + 1];
	size_t digits = 0;

	if (folder == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: resolving the model %s", path);
	if (!pb_is_directory(folder)) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "no such model: %s: neither a folder nor in the cache (%s is not "
				 "there): name a folder, or fetch the model first",
				 path, folder);
		goto cleanup;
	}
	PB_TRY(read_ref(folder, revision, commit, err));
	while (isxdigit((unsigned char)revision[digits]))
		digits++;
	if (commit[0] != '\0')
		*out = snapshot_of(folder, commit);
	else if (digits >= 7 && revision[digits] == '\0') /* a commit, or its beginning */
		*out = snapshot_of(folder, revision);
	if (*out == NULL)
		status =
		    pb_fail(err, PB_ERR_INPUT,
			    "no such revision: %s, revision %s: %s has no snapshot of it: fetch "
			    "that revision first",
			    path, revision, folder);
cleanup:
	free(folder);
	return status;
}

enum pb_status pb_model_find(char **out, const char *path, const char *revision,
			     struct pb_error *err)
{
	enum pb_status status;
	char *cache;

	*out = NULL;
	if (pb_is_directory(path) || pb_is_file(path) || !is_hub_id(path)) {
		*out = strdup(path);
		return *out != NULL
			   ? PB_OK
			   : pb_fail(err, PB_ERR_MEMORY, "out of memory: the model %s", path);
	}
	if (!is_revision(revision))
		return pb_fail(err, PB_ERR_INPUT,
			       "wrong revision: %s: %s: name a branch, a tag or a commit", path,
			       revision);
	cache = cache_folder();
	if (cache == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: resolving the model %s", path);
	status = look_up(cache, path, revision, out, err);
	free(cache);
	return status;
}
