/* One list of tensors from the files of a folder. */
#include "model/checkpoint.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/gguf_file.h"
#include "model/torch_file.h"
#include "patchbay/model.h"

#define WEIGHTS_NAME "model.safetensors"
/* A 400B model has some 2,000 tensors of 100 bytes a line and 200 shards. */
#define INDEX_BYTES_MAX ((size_t)64 << 20)
#define FILES_MAX 4096

/* ---- what is in the folder -------------------------------------------------------------- */

void pb_list_folder(const char *path, char *text, size_t size)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	size_t used = 0, n = 0;

	snprintf(text, size, "nothing");
	if (folder == NULL)
		return;
	while (n < 8 && used < size && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s", n > 0 ? ", " : "",
					 entry->d_name);
		n++;
	}
	closedir(folder);
}

/* There are no weights: say what is there instead. */
static enum pb_status no_weights(const char *path, struct pb_error *err)
{
	static const struct {
		const char *name, *what;
	} others[] = {
	    {"tf_model.h5", "a TensorFlow checkpoint"},
	    {"flax_model.msgpack", "a Flax checkpoint"},
	    {"adapter_model.safetensors", "an adapter, not a whole model"},
	};
	char names[512];
	size_t i;

	for (i = 0; i < sizeof others / sizeof others[0]; i++) {
		char *other = pb_format("%s/%s", path, others[i].name);
		bool there = other != NULL && pb_is_file(other);

		free(other);
		if (there)
			return pb_fail(err, PB_ERR_INPUT,
				       "no " WEIGHTS_NAME ": %s: it holds %s (%s), which is not "
				       "supported yet: save it again as " WEIGHTS_NAME,
				       path, others[i].name, others[i].what);
	}
	pb_list_folder(path, names, sizeof names);
	return pb_fail(err, PB_ERR_INPUT,
		       "no " WEIGHTS_NAME ": %s: it holds %s: name the folder of a Hugging Face "
		       "model",
		       path, names);
}

/* ---- the index -------------------------------------------------------------------------- */

static enum pb_status broken_index(const char *path, const char *what, const char *name,
				   struct pb_error *err)
{
	return pb_fail(err, PB_ERR_INPUT, "damaged index: %s, %s: %s: fetch or save it again", path,
		       name, what);
}

/* A shard lies in the folder itself: a plain name without control characters. */
static bool plain_name(const char *name)
{
	const unsigned char *c;

	if (name == NULL || name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL ||
	    strlen(name) > 255)
		return false;
	for (c = (const unsigned char *)name; *c != '\0'; c++)
		if (*c < 0x20 || *c == 0x7f)
			return false;
	return true;
}

static enum pb_status read_index(const char *path, json_t **root, const json_t **map,
				 struct pb_error *err)
{
	enum pb_status status;
	json_error_t where;
	char *text = NULL;
	size_t size = 0;

	PB_TRY(pb_read_file(&text, &size, path, INDEX_BYTES_MAX, err));
	*root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	if (*root == NULL && json_error_code(&where) == json_error_out_of_memory) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: reading %s", path);
		goto cleanup;
	}
	if (*root == NULL) {
		status = pb_fail(err, PB_ERR_INPUT, "not valid JSON: %s, line %d, column %d: %s",
				 path, where.line, where.column, where.text);
		goto cleanup;
	}
	*map = json_object_get(*root, "weight_map");
	if (!json_is_object(*map) || json_object_size(*map) == 0)
		status =
		    broken_index(path, "expected an object of file names", "key weight_map", err);
cleanup:
	free(text);
	return status;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The shards' names, each once, in order; *out is an array of pointers into the index. */
static enum pb_status shard_names(const char *path, json_t *map, const char ***out, size_t *n,
				  struct pb_error *err)
{
	enum pb_status status;
	const char *tensor, **names;
	void *memory = NULL;
	size_t all = 0, i;
	json_t *value;

	PB_TRY(pb_alloc(&memory, json_object_size(map), sizeof *names, "names of shards", err));
	names = memory;
	*out = names;
	json_object_foreach(map, tensor, value)
	{
		names[all] = json_string_value(value);
		if (!plain_name(names[all]))
			return broken_index(path, "its file is not a plain file name", tensor, err);
		all++;
	}
	qsort(names, all, sizeof *names, compare_strings);
	for (i = 0, *n = 0; i < all; i++)
		if (*n == 0 || strcmp(names[i], names[*n - 1]) != 0)
			names[(*n)++] = names[i];
	if (*n > FILES_MAX)
		return broken_index(path, "it names more than 4096 files", "key weight_map", err);
cleanup:
	return status;
}

/* The kinds of checkpoints, the first that is there counts. */
static const struct format {
	const char *name;
	bool index;
	enum pb_status (*open)(struct pb_tensor_file *file, const char *path, struct pb_error *err);
} formats[] = {
    {WEIGHTS_NAME, false, pb_safetensors_open},
    {WEIGHTS_NAME ".index.json", true, pb_safetensors_open},
    {"pytorch_model.bin", false, pb_torch_open},
    {"pytorch_model.bin.index.json", true, pb_torch_open},
};
#define N_FORMATS (sizeof formats / sizeof *formats)

/* ---- joining ---------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	const struct pb_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The tensors of all files in one list; a name in two files is an error. */
static enum pb_status join(struct pb_checkpoint *c, struct pb_error *err)
{
	size_t i, j;

	for (i = 0; i < c->n_files; i++)
		c->n_tensors += c->files[i].n_tensors;
	c->tensors = pb_arena_alloc(&c->arena, c->n_tensors, sizeof *c->tensors);
	if (c->tensors == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the table of tensors of %s",
			       c->path);
	for (i = 0, j = 0; i < c->n_files; i++) {
		if (c->files[i].n_tensors == 0)
			continue;
		memcpy(c->tensors + j, c->files[i].tensors,
		       c->files[i].n_tensors * sizeof *c->tensors);
		for (size_t end = j + c->files[i].n_tensors; j < end; j++)
			c->tensors[j].file = i;
	}
	if (c->n_tensors > 1)
		qsort(c->tensors, c->n_tensors, sizeof *c->tensors, compare_names);
	for (i = 1; i < c->n_tensors; i++)
		if (strcmp(c->tensors[i - 1].name, c->tensors[i].name) == 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "tensor in two files: %s and %s, tensor %s: fetch or save "
				       "the model again",
				       pb_checkpoint_path(c, &c->tensors[i - 1]),
				       pb_checkpoint_path(c, &c->tensors[i]), c->tensors[i].name);
	return PB_OK;
}

/* The index and the shards say the same. */
static enum pb_status check_index(const struct pb_checkpoint *c, const char *folder, json_t *map,
				  struct pb_error *err)
{
	size_t start = strlen(folder) + 1, i;
	const char *name;
	json_t *value;

	json_object_foreach(map, name, value)
	{
		const struct pb_tensor *tensor = pb_checkpoint_find(c, name);

		if (tensor == NULL ||
		    strcmp(c->files[tensor->file].path + start, json_string_value(value)) != 0)
			return pb_fail(err, PB_ERR_INPUT,
				       "missing tensor: %s, tensor %s: it is not in %s as the "
				       "index says: fetch or save the model again",
				       c->path, name, json_string_value(value));
	}
	for (i = 0; i < c->n_tensors; i++)
		if (json_object_get(map, c->tensors[i].name) == NULL)
			return pb_fail(err, PB_ERR_INPUT,
				       "tensor not in the index: %s, tensor %s: fetch or save the "
				       "model again",
				       pb_checkpoint_path(c, &c->tensors[i]), c->tensors[i].name);
	return PB_OK;
}

static enum pb_status open_files(struct pb_checkpoint *c, const struct format *format,
				 const char *folder, const char *const *names, size_t n,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;
	void *files = NULL;
	char *path = NULL;

	PB_TRY(pb_alloc(&files, n, sizeof *c->files, "files of weights", err));
	c->files = files;
	for (; c->n_files < n; c->n_files++) {
		free(path);
		path = pb_format("%s/%s", folder, names[c->n_files]);
		if (path == NULL) {
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", folder);
			goto cleanup;
		}
		if (!pb_is_file(path)) {
			status = pb_fail(err, PB_ERR_INPUT,
					 "missing shard: %s: the index names it: fetch the rest of "
					 "the model",
					 path);
			goto cleanup;
		}
		PB_TRY(format->open(&c->files[c->n_files], path, err));
	}
	PB_TRY(join(c, err));
cleanup:
	free(path);
	return status;
}

static enum pb_status open_shards(struct pb_checkpoint *c, const struct format *format,
				  const char *folder, struct pb_error *err)
{
	enum pb_status status;
	const json_t *map = NULL;
	const char **names = NULL;
	json_t *root = NULL;
	size_t n = 0;

	PB_TRY(read_index(c->path, &root, &map, err));
	/* jansson's iteration wants an object that it may change; it does not. */
	PB_TRY(shard_names(c->path, json_object_get(root, "weight_map"), &names, &n, err));
	PB_TRY(open_files(c, format, folder, names, n, err));
	PB_TRY(check_index(c, folder, json_object_get(root, "weight_map"), err));
cleanup:
	free((void *)names);
	json_decref(root);
	return status;
}

/* The next kind of weights in the folder, which are not read. */
static enum pb_status find_other(struct pb_checkpoint *c, const struct format *format,
				 const char *folder, struct pb_error *err)
{
	while (++format < formats + N_FORMATS && c->passed_over == NULL) {
		char *path = pb_format("%s/%s", folder, format->name);

		if (path == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", folder);
		if (pb_is_file(path))
			c->passed_over = format->name;
		free(path);
	}
	return PB_OK;
}

enum pb_status pb_checkpoint_open(struct pb_checkpoint *c, const char *folder, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const struct format *format;

	*c = (struct pb_checkpoint){0};
	for (format = formats; format < formats + N_FORMATS; format++) {
		free(c->path);
		c->path = pb_format("%s/%s", folder, format->name);
		if (c->path == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", folder);
		if (pb_is_file(c->path))
			break;
	}
	if (format < formats + N_FORMATS)
		PB_TRY(find_other(c, format, folder, err));
	if (format == formats + N_FORMATS)
		status = no_weights(folder, err);
	else if (format->index)
		status = open_shards(c, format, folder, err);
	else
		status = open_files(c, format, folder, &format->name, 1, err);
cleanup:
	if (status != PB_OK)
		pb_checkpoint_close(c);
	return status;
}

/* ---- GGUF ------------------------------------------------------------------------------- */

bool pb_is_gguf(const char *path)
{
	FILE *f = pb_is_file(path) ? fopen(path, "rb") : NULL;
	char magic[4];
	bool is = f != NULL && pb_gguf_is(magic, fread(magic, 1, sizeof magic, f));

	if (f != NULL)
		fclose(f);
	return is;
}

/* The only name in a folder that ends in .gguf. */
static enum pb_status only_gguf(char **out, const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	DIR *folder = opendir(path);
	const struct dirent *entry;
	size_t n = 0;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || length < 5 ||
		    strcmp(entry->d_name + length - 5, ".gguf") != 0 || n++ > 0)
			continue;
		*out = pb_format("%s/%s", path, entry->d_name);
		if (*out == NULL)
			status = pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", path);
	}
	if (folder != NULL)
		closedir(folder);
	if (n > 1 && status == PB_OK) {
		char names[512];

		pb_list_folder(path, names, sizeof names);
		free(*out);
		*out = NULL;
		status =
		    pb_fail(err, PB_ERR_INPUT,
			    "several GGUF files: %s: it holds %s: name one of them", path, names);
	}
	return status;
}

enum pb_status pb_checkpoint_find_gguf(char **out, const char *path, struct pb_error *err)
{
	size_t i;

	*out = NULL;
	if (pb_is_gguf(path)) {
		*out = strdup(path);
		return *out != NULL
			   ? PB_OK
			   : pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", path);
	}
	for (i = 0; i < N_FORMATS; i++) {
		char *other = pb_format("%s/%s", path, formats[i].name);
		bool there = other != NULL && pb_is_file(other);

		if (other == NULL)
			return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", path);
		free(other);
		if (there)
			return PB_OK;
	}
	return only_gguf(out, path, err);
}

enum pb_status pb_checkpoint_open_gguf(struct pb_checkpoint *c, json_t **config, const char *path,
				       struct pb_error *err)
{
	enum pb_status status;
	void *files = NULL;

	*c = (struct pb_checkpoint){0};
	*config = NULL;
	PB_TRY(pb_alloc(&files, 1, sizeof *c->files, "a file of weights", err));
	c->files = files;
	c->path = strdup(path);
	if (c->path == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: opening %s", path);
		goto cleanup;
	}
	PB_TRY(pb_gguf_file_open(&c->files[0], config, path, err));
	c->n_files = 1;
	PB_TRY(join(c, err));
cleanup:
	if (status != PB_OK) {
		json_decref(*config);
		*config = NULL;
		pb_checkpoint_close(c);
	}
	return status;
}

void pb_checkpoint_close(struct pb_checkpoint *c)
{
	size_t i;

	for (i = 0; i < c->n_files; i++)
		pb_tensor_file_close(&c->files[i]);
	free(c->files);
	pb_arena_free(&c->arena);
	free(c->path);
	*c = (struct pb_checkpoint){0};
}

struct pb_tensor *pb_checkpoint_find(const struct pb_checkpoint *c, const char *name)
{
	const struct pb_tensor key = {.name = name};

	if (c->n_tensors == 0)
		return NULL;
	return bsearch(&key, c->tensors, c->n_tensors, sizeof *c->tensors, compare_names);
}

const char *pb_checkpoint_path(const struct pb_checkpoint *c, const struct pb_tensor *tensor)
{
	return tensor == NULL ? c->path : c->files[tensor->file].path;
}

size_t pb_checkpoint_bytes(const struct pb_checkpoint *c)
{
	size_t bytes = 0, i;

	for (i = 0; i < c->n_files; i++)
		bytes += c->files[i].map.size;
	return bytes;
}

static void release(const struct pb_map *map, const void *data, size_t size)
{
	long page = sysconf(_SC_PAGESIZE);
	uintptr_t base = (uintptr_t)map->data, begin = (uintptr_t)data, end;

	if (page <= 0 || map->data == NULL || begin < base || begin - base > map->size ||
	    size > map->size - (begin - base))
		return;
	end = (begin + size) / (uintptr_t)page * (uintptr_t)page;
	begin = (begin + (uintptr_t)page - 1) / (uintptr_t)page * (uintptr_t)page;
	/* The map is private and never written: the pages come back from the file as they were. A
	 * refusal costs memory, nothing else. */
	if (end > begin)
		(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void pb_checkpoint_release(const struct pb_checkpoint *c, const void *data, size_t size)
{
	size_t i;

	for (i = 0; i < c->n_files; i++)
		release(&c->files[i].map, data, size);
}
