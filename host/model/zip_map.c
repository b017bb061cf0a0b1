#include "model/zip_map.h"

#include <stdlib.h>
#include <string.h>

#define END_BYTES ((size_t)22) /* end of central directory, without its comment */
#define COMMENT_MAX ((size_t)65535)
#define LOCATOR_BYTES ((size_t)20) /* of the 64-bit end */
#define END64_BYTES ((size_t)56)
#define ENTRY_BYTES ((size_t)46) /* a directory entry, without name, extra and comment */
#define LOCAL_BYTES ((size_t)30)
#define RECORDS_MAX ((size_t)1 << 20)
#define NAME_MAX_BYTES ((size_t)1024)

struct reader {
	const unsigned char *data;
	size_t size;
	const char *path;
	struct pb_error *err;
};

static enum pb_status broken(const struct reader *r, size_t at, const char *what)
{
	return pb_fail(r->err, PB_ERR_INPUT,
		       "damaged PyTorch file: %s, byte %zu: %s: fetch or save it again", r->path,
		       at, what);
}

/* A little-endian number of n bytes; the caller has seen that it is inside. */
static uint64_t number(const struct reader *r, size_t at, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value |= (uint64_t)r->data[at + i] << (8 * i);
	return value;
}

static bool has_mark(const struct reader *r, size_t at, const char mark[4])
{
	return memcmp(r->data + at, mark, 4) == 0;
}

/* Place, size and number of entries of the central directory. */
struct directory {
	uint64_t at, size, n;
};

static enum pb_status find_directory(const struct reader *r, struct directory *d)
{
	size_t least = r->size > END_BYTES + COMMENT_MAX ? r->size - END_BYTES - COMMENT_MAX : 0;
	size_t end = r->size < END_BYTES ? 0 : r->size - END_BYTES + 1;

	while (end > least && !has_mark(r, end - 1, "PK\5\6"))
		end--;
	if (end <= least)
		return broken(r, 0,
			      "it is no zip file: files of PyTorch before 1.6 are not supported, "
			      "load it there and save it again");
	end--;
	*d = (struct directory){number(r, end + 16, 4), number(r, end + 12, 4),
				number(r, end + 10, 2)};
	if (d->at == 0xffffffff || d->size == 0xffffffff || d->n == 0xffff) {
		uint64_t at;

		if (end < LOCATOR_BYTES || !has_mark(r, end - LOCATOR_BYTES, "PK\6\7"))
			return broken(r, end, "no 64-bit end of the directory");
		at = number(r, end - LOCATOR_BYTES + 8, 8);
		if (r->size < END64_BYTES || at > r->size - END64_BYTES ||
		    !has_mark(r, (size_t)at, "PK\6\6"))
			return broken(r, end, "its 64-bit end of the directory lies elsewhere");
		*d =
		    (struct directory){number(r, (size_t)at + 48, 8), number(r, (size_t)at + 40, 8),
				       number(r, (size_t)at + 32, 8)};
	}
	if (d->at > r->size || d->size > r->size - d->at)
		return broken(r, end, "its directory lies outside the file");
	if (d->n > RECORDS_MAX || d->n > d->size / ENTRY_BYTES)
		return broken(r, end, "it claims more records than its directory holds");
	return PB_OK;
}

/* Sizes and offset of an entry that the 64-bit extra field replaces. */
static enum pb_status read_extra(const struct reader *r, size_t at, size_t size, uint64_t *full,
				 uint64_t *packed, uint64_t *offset)
{
	uint64_t *fields[3] = {full, packed, offset};

	while (size >= 4) {
		size_t id = (size_t)number(r, at, 2), n = (size_t)number(r, at + 2, 2);

		at += 4;
		size -= 4;
		if (n > size)
			return broken(r, at, "an extra field is longer than its entry");
		for (size_t i = 0, used = 0; id == 1 && i < 3; i++) {
			if (*fields[i] != 0xffffffff)
				continue;
			if (n - used < 8)
				return broken(r, at, "a 64-bit field is missing");
			*fields[i] = number(r, at + used, 8);
			used += 8;
		}
		at += n;
		size -= n;
	}
	return PB_OK;
}

/* The place of a record's data, from its local header. */
static enum pb_status find_data(const struct reader *r, uint64_t local, uint64_t size, size_t *at)
{
	size_t head;

	if (local > r->size || r->size - local < LOCAL_BYTES ||
	    !has_mark(r, (size_t)local, "PK\3\4"))
		return broken(r, (size_t)local, "a record does not begin where the directory says");
	head = LOCAL_BYTES + (size_t)number(r, (size_t)local + 26, 2) +
	       (size_t)number(r, (size_t)local + 28, 2);
	if (head > r->size - local || size > r->size - local - head)
		return broken(r, (size_t)local, "a record ends behind the file");
	*at = (size_t)local + head;
	return PB_OK;
}

static enum pb_status read_entry(const struct reader *r, size_t *at, size_t end,
				 struct pb_zip_record *record, struct pb_arena *arena)
{
	enum pb_status status;
	uint64_t packed, full, local;
	size_t name, extra, comment;
	char *text;

	if (end - *at < ENTRY_BYTES || !has_mark(r, *at, "PK\1\2"))
		return broken(r, *at, "its directory is cut short");
	packed = number(r, *at + 20, 4);
	full = number(r, *at + 24, 4);
	name = (size_t)number(r, *at + 28, 2);
	extra = (size_t)number(r, *at + 30, 2);
	comment = (size_t)number(r, *at + 32, 2);
	local = number(r, *at + 42, 4);
	if (end - *at - ENTRY_BYTES < name + extra + comment || name == 0 || name > NAME_MAX_BYTES)
		return broken(r, *at, "an entry of its directory is longer than the directory");
	if (number(r, *at + 10, 2) != 0 || (number(r, *at + 8, 2) & 1) != 0)
		return broken(r, *at,
			      "a record is compressed or encrypted, which PyTorch never writes");
	PB_TRY(read_extra(r, *at + ENTRY_BYTES + name, extra, &full, &packed, &local));
	if (packed != full)
		return broken(r, *at, "a stored record has two sizes");
	text = pb_arena_alloc(arena, name + 1, 1);
	if (text == NULL)
		return pb_fail(r->err, PB_ERR_MEMORY, "out of memory: the records of %s", r->path);
	memcpy(text, r->data + *at + ENTRY_BYTES, name);
	text[name] = '\0';
	for (size_t i = 0; i < name; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return broken(r, *at, "a record's name has control characters");
	record->name = text;
	record->size = (size_t)full;
	PB_TRY(find_data(r, local, full, &record->at));
	*at += ENTRY_BYTES + name + extra + comment;
cleanup:
	return status;
}

static int by_name(const void *a, const void *b)
{
	const struct pb_zip_record *x = a, *y = b;

	return strcmp(x->name, y->name);
}

enum pb_status pb_zip_read(struct pb_zip *zip, const struct pb_map *map, const char *path,
			   struct pb_arena *arena, struct pb_error *err)
{
	enum pb_status status;
	const struct reader r = {map->data, map->size, path, err};
	struct directory d = {0};
	size_t at;

	*zip = (struct pb_zip){0};
	PB_TRY(find_directory(&r, &d));
	zip->records = pb_arena_alloc(arena, (size_t)d.n, sizeof *zip->records);
	if (zip->records == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the records of %s", path);
	at = (size_t)d.at;
	for (; zip->n < d.n; zip->n++)
		PB_TRY(read_entry(&r, &at, (size_t)(d.at + d.size), &zip->records[zip->n], arena));
	if (zip->n > 1)
		qsort(zip->records, zip->n, sizeof *zip->records, by_name);
	for (size_t i = 1; i < zip->n; i++)
		if (strcmp(zip->records[i - 1].name, zip->records[i].name) == 0)
			return broken(&r, zip->records[i].at, "two records have the same name");
cleanup:
	return status;
}

const struct pb_zip_record *pb_zip_find(const struct pb_zip *zip, const char *name)
{
	const struct pb_zip_record key = {.name = name};

	if (zip->n == 0)
		return NULL;
	return bsearch(&key, zip->records, zip->n, sizeof *zip->records, by_name);
}
