/* Small tokenizers in temporary folders, for tests. */
#ifndef PB_TEST_TOKENS_FOLDER_H
#define PB_TEST_TOKENS_FOLDER_H

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/tokens.h"

#define TOKENS_BYTES 256 /* id of the first token after the bytes */

/* What stands in a tokenizer.json; NULL members have the usual value. Byte b has id b. */
struct tokens_file {
	const char *vocab;  /* more of the vocabulary, from id 256: "\"ab\":256" */
	const char *merges; /* "[\"a\",\"b\"]" */
	const char *model;  /* more members of the model */
	const char *added;  /* added tokens */
	const char *normalizer, *pre_tokenizer, *post_processor, *decoder;
	int missing_byte; /* left out of the vocabulary; 0 for none */
};

#define BYTE_LEVEL(space, regex)                                                                   \
	"{\"type\":\"ByteLevel\",\"add_prefix_space\":" space                                      \
	",\"trim_offsets\":true,\"use_regex\":" regex "}"
#define BYTE_LEVEL_PLAIN BYTE_LEVEL("false", "false")

/* An added token that is looked for in the text as given. */
#define ADDED(id, content, more)                                                                   \
	"{\"id\":" id ",\"content\":\"" content "\",\"normalized\":false,\"special\":true" more "}"

/* Bytes that stand for themselves in the byte alphabet. */
static inline bool tokens_plain_byte(int byte)
{
	return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/* The 256 single-byte tokens as members of a JSON object: "\u0100":0,... */
static inline void tokens_write_bytes(FILE *file, int missing)
{
	int shifted = 256;

	for (int byte = 0; byte < 256; byte++) {
		int code = tokens_plain_byte(byte) ? byte : shifted++;

		if (byte != missing || missing == 0)
			fprintf(file, "%s\"\\u%04x\":%d", byte > 0 ? "," : "", (unsigned)code,
				byte);
	}
}

static inline const char *tokens_or(const char *value, const char *usual)
{
	return value != NULL ? value : usual;
}

/* The text of such a file (free() it). */
static inline char *tokens_json(const struct tokens_file *f, size_t *size)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, size);

	cr_assert_not_null(file);
	fprintf(file, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
	fprintf(file, "\"added_tokens\":[%s],\n", tokens_or(f->added, ""));
	fprintf(file, "\"normalizer\":%s,\n", tokens_or(f->normalizer, "null"));
	fprintf(file, "\"pre_tokenizer\":%s,\n",
		tokens_or(f->pre_tokenizer, BYTE_LEVEL("false", "true")));
	fprintf(file, "\"post_processor\":%s,\n", tokens_or(f->post_processor, "null"));
	fprintf(file, "\"decoder\":%s,\n", tokens_or(f->decoder, BYTE_LEVEL_PLAIN));
	fprintf(file, "\"model\":{\"type\":\"BPE\",%s\n\"vocab\":{", tokens_or(f->model, ""));
	tokens_write_bytes(file, f->missing_byte);
	fprintf(file, "%s%s},\n", f->vocab != NULL ? "," : "", tokens_or(f->vocab, ""));
	fprintf(file, "\"merges\":[%s]}}\n", tokens_or(f->merges, ""));
	cr_assert_eq(fclose(file), 0);
	return text;
}

/* ---- folders ---------------------------------------------------------------------------- */

static const char *const tokens_file_names[] = {
    "tokenizer.json",          "vocab.json",        "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "config.json"};

struct tokens_folder {
	char path[64];
};

static inline struct tokens_folder tokens_folder_make(void)
{
	struct tokens_folder folder = {.path = "/tmp/patchbay-tokens-XXXXXX"};

	cr_assert_not_null(mkdtemp(folder.path));
	return folder;
}

static inline void tokens_folder_write(const struct tokens_folder *folder, const char *name,
				       const char *text, size_t size)
{
	char *path = pb_format("%s/%s", folder->path, name);
	FILE *file = fopen(path, "wb");

	cr_assert_not_null(file, "%s", path);
	cr_assert_eq(fwrite(text, 1, size, file), size);
	cr_assert_eq(fclose(file), 0);
	free(path);
}

static inline void tokens_folder_put(const struct tokens_folder *folder, const char *name,
				     const char *text)
{
	tokens_folder_write(folder, name, text, strlen(text));
}

static inline void tokens_folder_remove(const struct tokens_folder *folder)
{
	for (size_t i = 0; i < sizeof tokens_file_names / sizeof *tokens_file_names; i++) {
		char *path = pb_format("%s/%s", folder->path, tokens_file_names[i]);

		unlink(path);
		free(path);
	}
	rmdir(folder->path);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Opens a text as tokenizer.json; NULL with the error in err. */
static inline struct pb_tokenizer *tokens_open_text(const char *text, size_t size,
						    struct pb_error *err)
{
	struct tokens_folder folder = tokens_folder_make();
	struct pb_tokenizer *t = NULL;

	tokens_folder_write(&folder, "tokenizer.json", text, size);
	*err = (struct pb_error){0};
	pb_tokenizer_open(&t, folder.path, err);
	tokens_folder_remove(&folder);
	return t;
}

/* Opens a tokenizer that must open. */
static inline struct pb_tokenizer *tokens_open(const struct tokens_file *f)
{
	struct pb_error err;
	size_t size = 0;
	char *text = tokens_json(f, &size);
	struct pb_tokenizer *t = tokens_open_text(text, size, &err);

	cr_assert_not_null(t, "%s", err.message);
	free(text);
	return t;
}

/* The ids of a text as "1 2 3", in a static buffer. */
static inline const char *tokens_ids(const struct pb_tokenizer *t, const char *text)
{
	static char shown[4096];
	struct pb_error err = {0};
	int32_t *ids = NULL;
	size_t n = 0, used = 0;

	cr_assert_eq(pb_tokenizer_encode(t, text, strlen(text), &ids, &n, &err), PB_OK, "%s",
		     err.message);
	shown[0] = '\0';
	for (size_t i = 0; i < n && used < sizeof shown - 16; i++)
		used += (size_t)snprintf(shown + used, sizeof shown - used, "%s%d",
					 i > 0 ? " " : "", ids[i]);
	free(ids);
	return shown;
}

/* The pieces of a text between bars, as "ab|c", from their ids one by one. */
static inline const char *tokens_pieces(const struct pb_tokenizer *t, const char *text)
{
	static char shown[4096];
	struct pb_error err = {0};
	int32_t *ids = NULL;
	size_t n = 0, used = 0;

	cr_assert_eq(pb_tokenizer_encode(t, text, strlen(text), &ids, &n, &err), PB_OK, "%s",
		     err.message);
	shown[0] = '\0';
	for (size_t i = 0; i < n && used < sizeof shown - 64; i++) {
		char *piece = NULL;

		cr_assert_eq(pb_tokenizer_decode(t, &ids[i], 1, &piece, &err), PB_OK, "%s",
			     err.message);
		used += (size_t)snprintf(shown + used, sizeof shown - used, "%s%s",
					 i > 0 ? "|" : "", piece);
		free(piece);
	}
	free(ids);
	return shown;
}

#endif
