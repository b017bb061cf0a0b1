/* A tokenizer of a few words, for tests of prompts. */
#ifndef PB_TESTS_SMALL_TOKENIZER_H
#define PB_TESTS_SMALL_TOKENIZER_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "patchbay/tokens.h"

/* A byte-level BPE of a few words. "xy" is one token, so that a prompt ending in x merges with an
 * answer that begins with y. BOS is <s>; the post-processor puts it in front when asked to. */
static const char small_head[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,"
    "\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,"
    "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
    "\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
    "\"trim_offsets\":true,\"use_regex\":true},"
    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
    "\"byte_fallback\":false,\"vocab\":{\"<s>\":0,\"a\":1,\"b\":2,\"c\":3,\"x\":4,\"y\":5,"
    "\"\xc4\xa0\":6,\".\":7,\"\xc4\x8a\":8,\"\xc3\xa9\":9,\"\xc4\xa0"
    "a\":10,\"\xc4\xa0"
    "b\":11,\"\xc4\xa0"
    "c\":12,\"xy\":13,\"\xc3\x83\":14,\"\xc2\xa9\":15},"
    "\"merges\":[\"\xc4\xa0 a\",\"\xc4\xa0 b\",\"\xc4\xa0 c\",\"x y\"]},\"post_processor\":";
static const char small_post_plain[] = "null}";
static const char small_post_bos[] =
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{\"Sequence\":{\"id\":\"A\","
    "\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],\"special_tokens\":{\"<s>\":{"
    "\"id\":\"<s>\",\"ids\":[0],\"tokens\":[\"<s>\"]}}}}";

#define SMALL_VOCAB 16

static inline void small_write(const char *folder, const char *name, const char *text,
			       const char *more)
{
	char *path = pb_format("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	cr_assert(fputs(text, file) >= 0 && fputs(more, file) >= 0 && fclose(file) == 0);
	free(path);
}

/* A tokenizer of these texts; `head` is all of tokenizer.json but its post-processor. */
static inline struct pb_tokenizer *small_open(const char *head, const char *post,
					      const char *config)
{
	char folder[] = "/tmp/pb_small_XXXXXX";
	struct pb_tokenizer *tokenizer = NULL;
	struct pb_error err = {0};

	cr_assert_not_null(mkdtemp(folder));
	small_write(folder, "tokenizer.json", head, post);
	small_write(folder, "tokenizer_config.json", config, "");
	cr_assert_eq(pb_tokenizer_open(&tokenizer, folder, &err), PB_OK, "%s", err.message);
	for (int i = 0; i < 2; i++) {
		char *path =
		    pb_format("%s/%s", folder, i == 0 ? "tokenizer.json" : "tokenizer_config.json");

		unlink(path);
		free(path);
	}
	rmdir(folder);
	return tokenizer;
}

/* One whose bos_auto is <s> or nothing, and which may have no BOS at all. */
static inline struct pb_tokenizer *small_tokenizer(bool prepends, bool has_bos)
{
	return small_open(small_head, prepends ? small_post_bos : small_post_plain,
			  has_bos ? "{\"bos_token\": \"<s>\"}" : "{\"bos_token\": null}");
}

#endif
