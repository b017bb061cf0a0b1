/* Opening, hashing and closing a model folder. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/model_files.h"

#define WEIGHTS_NAME "model.safetensors"

/* ---- what is in the folder -------------------------------------------------------------- */

/* Up to eight names of the folder, for a message. */
static void list_folder(const char *path, char *text, size_t size)
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

/* There is no model.safetensors: say what is there instead. */
static enum pb_status no_weights(const char *path, struct pb_error *err)
{
	static const struct {
		const char *name, *what;
	} others[] = {
	    {"model.safetensors.index.json", "a checkpoint in several files"},
	    {"pytorch_model.bin", "a PyTorch checkpoint"},
	    {"pytorch_model.bin.index.json", "a PyTorch checkpoint in several files"},
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
				       "supported yet: save it again as one " WEIGHTS_NAME,
				       path, others[i].name, others[i].what);
	}
	list_folder(path, names, sizeof names);
	return pb_fail(err, PB_ERR_INPUT,
		       "no " WEIGHTS_NAME ": %s: it holds %s: name the folder of a Hugging Face "
		       "model",
		       path, names);
}

/* The two file names, once the files are known to be there. */
static enum pb_status find_files(const char *path, char **config_path, char **weights_path,
				 struct pb_error *err)
{
	if (!pb_is_directory(path))
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "no such model folder: %s: name a folder with config.json and " WEIGHTS_NAME,
		    path);
	*config_path = pb_format("%s/config.json", path);
	*weights_path = pb_format("%s/" WEIGHTS_NAME, path);
	if (*config_path == NULL || *weights_path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening the model %s", path);
	if (!pb_is_file(*config_path)) {
		char names[512];

		list_folder(path, names, sizeof names);
		return pb_fail(err, PB_ERR_INPUT,
			       "no config.json: %s: it holds %s: name the folder of a Hugging Face "
			       "model",
			       path, names);
	}
	if (!pb_is_file(*weights_path))
		return no_weights(path, err);
	return PB_OK;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Parameters used, and the dtype that most of them have. */
static void count_parameters(struct pb_model *model)
{
	const struct pb_safetensors *file = &model->files->weights;
	size_t by_dtype[3] = {0}, i;
	enum pb_dtype dtype;

	for (i = 0; i < file->n_tensors; i++) {
		if (!file->tensors[i].used || !pb_tensor_dtype(&file->tensors[i], &dtype))
			continue;
		by_dtype[dtype] += file->tensors[i].n_elements;
		model->n_parameters += file->tensors[i].n_elements;
	}
	for (i = 0; i < 3; i++)
		if (by_dtype[i] > by_dtype[model->dtype])
			model->dtype = (enum pb_dtype)i;
}

/* Everything that follows from the two open files. */
static enum pb_status describe_files(struct pb_model *model, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_config_json *json = &model->files->config;
	const struct pb_safetensors *file = &model->files->weights;
	const struct pb_family *family;
	struct pb_family_config config = {0};
	void *layers = NULL;

	PB_TRY(pb_family_find(&family, json, err));
	PB_TRY(family->read_config(json, &config, err));
	config.arch.family = family->model_type;
	model->arch = config.arch;
	model->files->tied = config.tied;
	/* Nothing is allocated on the word of the config alone. */
	if (config.arch.n_layers > file->n_tensors)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "missing tensors: %s: %zu tensors for the %zu layers of config.json: "
		    "use the config.json that belongs to these weights",
		    file->path, file->n_tensors, config.arch.n_layers);
	PB_TRY(pb_alloc(&layers, config.arch.n_layers, sizeof *model->layers, "layers", err));
	model->layers = layers;
	PB_TRY(family->read_layers(json, &config, model->layers, err));
	PB_TRY(pb_views_bind(model, family, &config, err));
	count_parameters(model);
cleanup:
	return status;
}

enum pb_status pb_model_open(struct pb_model **out, const char *path, struct pb_error *err)
{
	enum pb_status status;
	char *config_path = NULL, *weights_path = NULL;
	struct pb_model *model = NULL;
	void *memory = NULL;

	*out = NULL;
	PB_TRY(find_files(path, &config_path, &weights_path, err));
	PB_TRY(pb_alloc(&memory, 1, sizeof *model, "a model", err));
	model = memory;
	PB_TRY(pb_alloc(&memory, 1, sizeof *model->files, "a model's files", err));
	model->files = memory;
	model->path = strdup(path);
	if (model->path == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: opening the model %s", path);
		goto cleanup;
	}
	PB_TRY(pb_config_json_open(&model->files->config, config_path, err));
	PB_TRY(pb_safetensors_open(&model->files->weights, weights_path, err));
	PB_TRY(describe_files(model, err));
	*out = model;
	model = NULL;
cleanup:
	pb_model_close(model);
	free(config_path);
	free(weights_path);
	return status;
}

void pb_model_close(struct pb_model *model)
{
	if (model == NULL)
		return;
	if (model->files != NULL) {
		pb_config_json_close(&model->files->config);
		pb_safetensors_close(&model->files->weights);
	}
	free(model->files);
	free(model->layers);
	free(model->path);
	free(model);
}

/* ---- bytes ------------------------------------------------------------------------------ */

void pb_map_release(const struct pb_map *map, const void *data, size_t size)
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

void pb_weight_release(const struct pb_model *model, const struct pb_weight *w)
{
	const size_t counts[3] = {w->n_in, w->n_groups, w->group_size};
	const ptrdiff_t strides[3] = {w->stride_in, w->stride_group, w->stride_out};
	ptrdiff_t low = 0, high = 1, size = (ptrdiff_t)pb_dtype_size(w->dtype);
	int i;

	if (w->data == NULL || model->files == NULL) /* made in memory: nothing is mapped */
		return;
	for (i = 0; i < 3; i++) {
		ptrdiff_t reach;

		if (counts[i] == 0)
			return;
		reach = (ptrdiff_t)(counts[i] - 1) * strides[i];
		low += reach < 0 ? reach : 0;
		high += reach > 0 ? reach : 0;
	}
	pb_map_release(&model->files->weights.map, (const char *)w->data + low * size,
		       (size_t)((high - low) * size));
}

#define HASH_STEP ((size_t)16 << 20) /* a multiple of any page size */

enum pb_status pb_model_hash(struct pb_model *model, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_config_json *config = &model->files->config;
	const struct pb_map *map = &model->files->weights.map;
	struct pb_sha256 *sha = NULL;
	size_t at;

	if (model->sha256[0] != '\0')
		return PB_OK;
	PB_TRY(pb_sha256_begin(&sha, err));
	PB_TRY(pb_sha256_add(sha, config->text, config->size, err));
	for (at = 0; at < map->size; at += HASH_STEP) {
		size_t n = map->size - at < HASH_STEP ? map->size - at : HASH_STEP;

		PB_TRY(pb_sha256_add(sha, map->data + at, n, err));
		pb_map_release(map, map->data + at, n);
	}
	return pb_sha256_end(sha, model->sha256, err);
cleanup:
	pb_sha256_free(sha);
	return status;
}
