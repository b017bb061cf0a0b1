/* What the fuzz targets share: each gets bytes from libFuzzer, writes them as one file of a folder
 * and opens it as a user would. Nothing but success and an input error with a message may come of
 * it (PB_ERR_MEMORY too: a size that a file may claim). Targets run in the root of the source tree
 * (tests/fuzz/run.sh). */
#ifndef PB_TESTS_FUZZ_H
#define PB_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/model.h"
#include "patchbay/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char fuzz_folder[64], fuzz_path[128];

static void fuzz_require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

static void fuzz_remove(void)
{
	static const char *const names[] = {"config.json",
					    "model.safetensors",
					    "model-00001-of-00001.safetensors",
					    "model.safetensors.index.json",
					    "pytorch_model.bin",
					    "model.gguf",
					    "tokenizer.json"};
	char path[128];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", fuzz_folder, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(fuzz_folder);
}

/* The bytes as a file of the folder, whose path is then in fuzz_path. */
static void fuzz_write(const char *name, const void *data, size_t size)
{
	FILE *f;

	if (fuzz_folder[0] == '\0') {
		const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

		snprintf(fuzz_folder, sizeof fuzz_folder, "%s/patchbay-fuzz-XXXXXX", parent);
		fuzz_require(mkdtemp(fuzz_folder) != NULL, "cannot make a folder");
		fuzz_require(atexit(fuzz_remove) == 0, "atexit");
	}
	snprintf(fuzz_path, sizeof fuzz_path, "%s/%s", fuzz_folder, name);
	f = fopen(fuzz_path, "wb");
	fuzz_require(f != NULL && (size == 0 || fwrite(data, 1, size, f) == size) && fclose(f) == 0,
		     "cannot write a file");
}

static void fuzz_check(enum pb_status status, const struct pb_error *err)
{
	if (status == PB_OK)
		return;
	if ((status != PB_ERR_INPUT && status != PB_ERR_MEMORY) || err->message[0] == '\0') {
		fprintf(stderr, "fuzz: status %d, '%s'\n", (int)status, err->message);
		abort();
	}
}

/* A file of tests/fuzz/tiny in the folder, written once. */
static inline void fuzz_keep(const char *name)
{
	struct pb_error err = {0};
	char path[128], *bytes = NULL;
	size_t size = 0;

	snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
	if (fuzz_folder[0] != '\0' && access(path, F_OK) == 0)
		return;
	snprintf(path, sizeof path, "tests/fuzz/tiny/%s", name);
	fuzz_require(pb_read_file(&bytes, &size, path, (size_t)1 << 20, &err) == PB_OK,
		     err.message);
	fuzz_write(name, bytes, size);
	free(bytes);
}

/* Opens the model at a path and reads all of it. */
static inline void fuzz_model(const char *path)
{
	struct pb_error err = {0};
	struct pb_model *model = NULL;
	enum pb_status status = pb_model_open(&model, path, &err);

	fuzz_check(status, &err);
	if (status != PB_OK)
		return;
	fuzz_check(pb_model_check_finite(model, &err), &err);
	pb_model_close(model);
}

/* Opens a tokenizer, encodes a text with it and decodes that. */
static inline void fuzz_tokenizer(const char *path)
{
	static const char text[] =
	    "Box 3 don't\n\n 1234567 na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 <s>"
	    "aaaaaaaaaaaaaaaa  \xf0\x9f\x98\x80</s> x=[y];";
	struct pb_error err = {0};
	struct pb_tokenizer *tokenizer = NULL;
	int32_t *ids = NULL;
	size_t n = 0;
	char *decoded = NULL;
	enum pb_status status = pb_tokenizer_open(&tokenizer, path, &err);

	fuzz_check(status, &err);
	if (status != PB_OK)
		return;
	status = pb_tokenizer_encode(tokenizer, text, sizeof text - 1, &ids, &n, &err);
	fuzz_check(status, &err);
	if (status == PB_OK)
		fuzz_check(pb_tokenizer_decode(tokenizer, ids, n, &decoded, &err), &err);
	free(decoded);
	free(ids);
	pb_tokenizer_close(tokenizer);
}

#endif
