/* Opening, hashing and closing a model folder. */
#include <stdlib.h>
#include <string.h>

#include "base/map_stage.h"
#include "model/model_files.h"

/* ---- opening ---------------------------------------------------------------------------- */

static enum pb_status find_config(const char *path, char **config_path, struct pb_error *err)
{
	*config_path = pb_format("%s/config.json", path);
	if (*config_path == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: opening the model %s", path);
	if (!pb_is_file(*config_path)) {
		char names[512];

		pb_list_folder(path, names, sizeof names);
		return pb_fail(err, PB_ERR_INPUT,
			       "no config.json: %s: it holds %s: name the folder of a Hugging Face "
			       "model",
			       path, names);
	}
	return PB_OK;
}

/* Parameters used, and the dtype that most of them have. */
static void count_parameters(struct pb_model *model)
{
	const struct pb_checkpoint *file = &model->files->weights;
	size_t by_dtype[PB_N_DTYPES] = {0}, i;
	enum pb_dtype dtype;

	for (i = 0; i < file->n_tensors; i++) {
		if (!file->tensors[i].used || !pb_tensor_dtype(&file->tensors[i], &dtype))
			continue;
		by_dtype[dtype] += file->tensors[i].n_elements;
		model->n_parameters += file->tensors[i].n_elements;
	}
	for (i = 0; i < PB_N_DTYPES; i++)
		if (by_dtype[i] > by_dtype[model->dtype])
			model->dtype = (enum pb_dtype)i;
}

/* Everything that follows from the two open files. */
static enum pb_status describe_files(struct pb_model *model, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_config_json *json = &model->files->config;
	const struct pb_checkpoint *file = &model->files->weights;
	const struct pb_family *family;
	struct pb_family_config config = {0};
	void *layers = NULL;

	PB_TRY(pb_family_find(&family, json, err));
	status = family->read_config(json, &config, err);
	memcpy(model->ropes, config.ropes, sizeof model->ropes);
	if (status != PB_OK)
		goto cleanup;
	config.arch.family = family->model_type;
	model->arch = config.arch;
	model->files->tied = config.tied;
	/* Nothing is allocated on the word of the config alone. */
	if (config.arch.n_layers > file->n_tensors)
		return pb_fail(err, PB_ERR_INPUT,
			       "missing tensors: %s: %zu tensors for the %zu layers of %s: %s",
			       file->path, file->n_tensors, config.arch.n_layers,
			       pb_config_json_name(json), pb_config_json_advice(json));
	PB_TRY(pb_alloc(&layers, config.arch.n_layers, sizeof *model->layers, "layers", err));
	model->layers = layers;
	PB_TRY(family->read_layers(json, &config, model->layers, err));
	PB_TRY(pb_views_bind(model, family, &config, err));
	count_parameters(model);
cleanup:
	return status;
}

/* The config and the weights: of a folder, or both in one GGUF file. */
static enum pb_status open_files(struct pb_model_files *files, const char *path,
				 struct pb_error *err)
{
	enum pb_status status;
	char *config_path = NULL, *gguf_path = NULL;
	json_t *config = NULL;

	if (!pb_is_directory(path) && !pb_is_gguf(path))
		return pb_fail(err, PB_ERR_INPUT,
			       "no such model folder: %s: name a folder with config.json and "
			       "model.safetensors, or a GGUF file",
			       path);
	PB_TRY(pb_checkpoint_find_gguf(&gguf_path, path, err));
	if (gguf_path != NULL) {
		PB_TRY(pb_checkpoint_open_gguf(&files->weights, &config, gguf_path, err));
		PB_TRY(pb_config_json_make(&files->config, config, gguf_path, err));
		goto cleanup;
	}
	PB_TRY(find_config(path, &config_path, err));
	PB_TRY(pb_config_json_open(&files->config, config_path, err));
	PB_TRY(pb_checkpoint_open(&files->weights, path, err));
cleanup:
	free(config_path);
	free(gguf_path);
	return status;
}

enum pb_status pb_model_open(struct pb_model **out, const char *path, struct pb_error *err)
{
	enum pb_status status;
	struct pb_model *model = NULL;
	void *memory = NULL;

	*out = NULL;
	PB_TRY(pb_alloc(&memory, 1, sizeof *model, "a model", err));
	model = memory;
	PB_TRY(pb_alloc(&memory, 1, sizeof *model->files, "a model's files", err));
	model->files = memory;
	model->path = strdup(path);
	if (model->path == NULL) {
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: opening the model %s", path);
		goto cleanup;
	}
	PB_TRY(open_files(model->files, path, err));
	PB_TRY(describe_files(model, err));
	*out = model;
	model = NULL;
cleanup:
	pb_model_close(model);
	return status;
}

void pb_model_close(struct pb_model *model)
{
	if (model == NULL)
		return;
	if (model->files != NULL) {
		pb_config_json_close(&model->files->config);
		pb_checkpoint_close(&model->files->weights);
	}
	free(model->files);
	pb_ropes_free(model->ropes);
	free(model->layers);
	free(model->path);
	free(model);
}

enum pb_status pb_model_stage(struct pb_model *model, const char *folder, struct pb_error *err)
{
	const struct pb_checkpoint *weights = &model->files->weights;
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < weights->n_files; i++)
		PB_TRY(pb_map_stage(&weights->files[i].map, weights->files[i].path, folder, err));
cleanup:
	return status;
}

/* ---- bytes ------------------------------------------------------------------------------ */

void pb_weight_release(const struct pb_model *model, const struct pb_weight *w)
{
	const size_t counts[3] = {w->n_in, w->n_groups, w->group_size};
	const ptrdiff_t strides[3] = {w->stride_in, w->stride_group, w->stride_out};
	ptrdiff_t low = (ptrdiff_t)w->first, high = low + 1;
	size_t block = pb_dtype_block(w->dtype), begin, end;
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
	begin = pb_dtype_bytes(w->dtype, (size_t)low / block * block);
	end = pb_dtype_bytes(w->dtype, ((size_t)high + block - 1) / block * block);
	pb_checkpoint_release(&model->files->weights, (const char *)w->data + begin, end - begin);
}

#define HASH_STEP ((size_t)16 << 20) /* a multiple of any page size */

enum pb_status pb_model_hash(struct pb_model *model, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_config_json *config = &model->files->config;
	const struct pb_checkpoint *weights = &model->files->weights;
	struct pb_sha256 *sha = NULL;
	size_t i, at;

	if (model->sha256[0] != '\0')
		return PB_OK;
	PB_TRY(pb_sha256_begin(&sha, err));
	PB_TRY(pb_sha256_add(sha, config->text, config->size, err));
	for (i = 0; i < weights->n_files; i++) {
		const struct pb_map *map = &weights->files[i].map;

		for (at = 0; at < map->size; at += HASH_STEP) {
			size_t n = map->size - at < HASH_STEP ? map->size - at : HASH_STEP;

			PB_TRY(pb_sha256_add(sha, map->data + at, n, err));
			pb_checkpoint_release(weights, map->data + at, n);
		}
	}
	return pb_sha256_end(sha, model->sha256, err);
cleanup:
	pb_sha256_free(sha);
	return status;
}
