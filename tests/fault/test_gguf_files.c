/* GGUF files cut short, damaged, or made to harm: always an input error with a message, or a valid
 * model, never a crash nor much memory. Run under the sanitizers as well. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "support/gguf_writer.h"

static struct ggw writer;
static struct pb_error err;

static void setup(void)
{
	ggw_begin(&writer);
	ggw_llama_keys(&writer);
}

TestSuite(gguf_files, .init = setup);

/* From memory of exactly this size, so that a sanitizer sees a read beyond it. */
static enum pb_status parse(const void *bytes, size_t size)
{
	void *copy = malloc(size > 0 ? size : 1);
	struct pb_gguf g;
	enum pb_status status;

	cr_assert_not_null(copy);
	memcpy(copy, bytes, size);
	err = (struct pb_error){0};
	status = pb_gguf_open(&g, copy, size, "file.gguf", &err);
	if (status == PB_OK)
		pb_gguf_close(&g);
	else
		cr_assert(g.n_values == 0 && g.n_tensors == 0 && err.message[0] != '\0');
	free(copy);
	return status;
}

static void refused(const char *word1, const char *word2)
{
	ggw_end(&writer);
	cr_assert_eq(parse(writer.file, writer.n_file), PB_ERR_INPUT, "%s, %s", word1, word2);
	cr_assert_not_null(strstr(err.message, word1), "no '%s' in: %s", word1, err.message);
	cr_assert_not_null(strstr(err.message, word2), "no '%s' in: %s", word2, err.message);
	setup();
}

Test(gguf_files, cut_at_every_byte)
{
	ggw_string(&writer, "text", "some words");
	ggw_key(&writer, "words", 9, "\10\0\0\0\1\0\0\0\0\0\0\0", 12);
	ggw_text(writer.keys, &writer.n_key_bytes, "one");
	ggw_tensor(&writer, "a", PB_Q8_0, 2, 32);
	ggw_tensor(&writer, "b", PB_F32, 0, 3);
	ggw_end(&writer);
	cr_assert_eq(parse(writer.file, writer.n_file), PB_OK, "%s", err.message);
	for (size_t n = 0; n < writer.n_file; n++)
		cr_assert_eq(parse(writer.file, n), PB_ERR_INPUT, "%zu bytes", n);
}

/* The whole way to a model, with the weights looked at. */
static bool try_model(const char *path)
{
	struct pb_model *model = NULL;
	enum pb_status status;

	stw_write_file(path, writer.file, writer.n_file);
	err = (struct pb_error){0};
	status = pb_model_open(&model, path, &err);
	if (status == PB_OK) {
		(void)pb_model_check_finite(model, &err);
		pb_model_close(model);
		return true;
	}
	cr_assert_eq(status, PB_ERR_INPUT, "%s", err.message);
	cr_assert(err.message[0] != '\0');
	return false;
}

Test(gguf_files, flipped_bytes)
{
	struct stw_folder folder;
	struct pb_rng rng;
	char path[256];
	size_t head, opened = 0;

	ggw_llama_tensors(&writer, PB_Q4_K);
	ggw_end(&writer);
	head = writer.n_file - writer.n_data;
	stw_folder_make(&folder);
	stw_folder_name(&folder, "model.gguf", path, sizeof path);
	cr_assert(try_model(path));
	pb_rng_seed(&rng, 1, 2, 3, 4);
	for (int i = 0; i < 2000; i++) {
		size_t at = pb_rng_below(&rng, head);
		unsigned char was = writer.file[at];

		writer.file[at] = (unsigned char)pb_rng_below(&rng, 256);
		opened += try_model(path);
		writer.file[at] = was;
	}
	cr_assert(opened > 0 && opened < 2000, "%zu", opened);
	stw_folder_remove(&folder);
}

Test(gguf_files, versions)
{
	writer.version = 1;
	refused("version not supported", "version 1");
	writer.version = 4;
	refused("version not supported", "version 4");
	writer.version = 3u << 24;
	refused("byte order", "big-endian");
	ggw_end(&writer);
	writer.file[0] = 'X';
	cr_assert_eq(parse(writer.file, writer.n_file), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "not a GGUF file"));
}

/* Counts that would need more memory than any machine has. */
Test(gguf_files, huge_counts)
{
	static const uint64_t counts[] = {65537, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX};

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		unsigned char array[12] = {8};
		size_t n = 4;

		writer.n_tensors = counts[i];
		refused("the number of tensors", "65536");
		writer.n_keys = counts[i];
		refused("the number of keys", "65536");
		ggw_number(array, &n, counts[i], 8);
		for (array[0] = 0; array[0] < 13; array[0]++) {
			if (array[0] == 9)
				continue;
			ggw_key(&writer, "list", 9, array, sizeof array);
			refused("list", "the file ends within it");
		}
		n = 0;
		ggw_number(array, &n, counts[i], 8);
		ggw_key(&writer, "text", 8, array, 8);
		refused("text", "the file ends within it");
		ggw_number(writer.keys, &writer.n_key_bytes, counts[i], 8); /* a key's length */
		writer.n_keys++;
		refused("a key", "out of bounds");
	}
	writer.n_tensors = 65536; /* allowed, but they are not there */
	refused("damaged GGUF file", "a tensor's name");
}

Test(gguf_files, bad_values)
{
	ggw_key(&writer, "list", 9, "\11\0\0\0\1\0\0\0\0\0\0\0", 12);
	refused("list", "array of arrays");
	ggw_key(&writer, "list", 9, "\15\0\0\0\0\0\0\0\0\0\0\0", 12);
	refused("list", "unknown");
	ggw_key(&writer, "x", 13, "\0\0\0\0\0\0\0\0", 8);
	refused("x", "unknown");
	ggw_u32(&writer, "x", 1);
	ggw_u32(&writer, "y", 1);
	ggw_string(&writer, "x", "1");
	refused("x", "twice");
	ggw_u32(&writer, "", 1);
	refused("a key", "out of bounds");
	ggw_u32(&writer, "a\033[2J", 1);
	refused("a key", "control character");
}

Test(gguf_files, bad_tensors)
{
	static char name[300];

	ggw_tensor(&writer, "a", PB_F32, 0, 8);
	ggw_tensor(&writer, "a", PB_F32, 0, 8);
	refused("a:", "twice");
	ggw_tensor(&writer, "a", PB_F32, 0, 64);
	writer.shift = (uint64_t)0 - 32;
	ggw_tensor(&writer, "b", PB_F32, 0, 8);
	refused("b:", "overlaps");
	writer.shift = 4;
	ggw_tensor(&writer, "a", PB_F32, 0, 8);
	refused("a:", "not aligned");
	writer.shift = (uint64_t)1 << 63;
	ggw_tensor(&writer, "a", PB_F32, 0, 8);
	refused("a:", "the file ends within it");
	writer.shift = (uint64_t)0 - 32;
	ggw_tensor(&writer, "a", PB_F32, 0, 8);
	refused("a:", "the file ends within it");
	ggw_tensor(&writer, "a", PB_F32, 0, 8);
	writer.n_data -= 4;
	refused("a:", "the file ends within it");
	for (writer.last_type = 4; writer.last_type < 40; writer.last_type++) {
		static const uint64_t known = UINT64_C(0x400071c0);
		uint32_t type = writer.last_type;

		if (known >> type & 1)
			continue;
		ggw_tensor(&writer, "a", PB_F32, 0, 256);
		refused("a:", "dtype not supported");
		writer.last_type = type;
	}
	writer.last_type = 2;
	ggw_tensor(&writer, "a", PB_F32, 2, 48);
	refused("a:", "not whole blocks");
	memset(name, 'n', sizeof name - 1);
	ggw_tensor(&writer, name, PB_F32, 0, 8);
	refused("a tensor's name", "out of bounds");
	ggw_tensor(&writer, "", PB_F32, 0, 8);
	refused("a tensor's name", "out of bounds");
}

/* Shapes by hand: n dimensions of `dim` each. */
static void shape(uint32_t n, uint64_t dim)
{
	ggw_text(writer.infos, &writer.n_info_bytes, "a");
	ggw_number(writer.infos, &writer.n_info_bytes, n, 4);
	for (uint32_t i = 0; i < n && i < 8; i++)
		ggw_number(writer.infos, &writer.n_info_bytes, dim, 8);
	ggw_number(writer.infos, &writer.n_info_bytes, 0, 4);
	ggw_number(writer.infos, &writer.n_info_bytes, 0, 8);
	writer.n_tensors = 1;
}

Test(gguf_files, bad_shapes)
{
	shape(5, 1);
	refused("a:", "more than 4 dimensions");
	shape(UINT32_MAX, 1);
	refused("a:", "more than 4 dimensions");
	shape(2, (uint64_t)1 << 32);
	refused("a:", "too many elements");
	shape(1, UINT64_MAX);
	refused("a:", "too many elements");
	shape(1, (uint64_t)1 << 62);
	refused("a:", "too many elements");
	shape(4, 1 << 10);
	refused("a:", "the file ends within it");
}
