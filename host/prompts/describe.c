/* `patchbay info` of a JSONL file: pairs or evaluation prompts, without a tokenizer. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"
#include "prompts/lines.h"

/* One key and what its values are. */
struct key_facts {
	char *name;
	size_t n_lines;
	json_t *value; /* of the first line that has it */
	bool constant; /* the same in all of them */
};

/* Lengths of one prompt key: in tokens where it is a list of ids, in bytes where it is text. */
struct length_facts {
	size_t n_text, n_ids;
	size_t text_min, text_max, ids_min, ids_max;
};

struct file_facts {
	size_t n_lines, n_pairs, n_prompts;
	struct key_facts *keys;
	size_t n_keys, keys_capacity;
	struct length_facts lengths[3]; /* of length_keys */
};

static const char *const length_keys[3] = {"clean", "corrupted", "prompt"};

static void note_length(struct length_facts *facts, const json_t *value)
{
	if (json_is_string(value)) {
		const size_t n = json_string_length(value);

		facts->text_min = facts->n_text == 0 || n < facts->text_min ? n : facts->text_min;
		facts->text_max = n > facts->text_max ? n : facts->text_max;
		facts->n_text++;
	} else if (json_is_array(value)) {
		const size_t n = json_array_size(value);

		facts->ids_min = facts->n_ids == 0 || n < facts->ids_min ? n : facts->ids_min;
		facts->ids_max = n > facts->ids_max ? n : facts->ids_max;
		facts->n_ids++;
	}
}

static enum pb_status note_key(struct file_facts *facts, const char *name, json_t *value,
			       struct pb_error *err)
{
	void *memory = facts->keys;
	struct key_facts *key;
	enum pb_status status;

	for (size_t k = 0; k < facts->n_keys; k++) {
		key = &facts->keys[k];
		if (strcmp(key->name, name) != 0)
			continue;
		key->n_lines++;
		key->constant = key->constant && json_equal(key->value, value);
		return PB_OK;
	}
	PB_TRY(pb_grow(&memory, &facts->keys_capacity, facts->n_keys + 1, sizeof *facts->keys,
		       "keys of a JSONL file", err));
	facts->keys = memory;
	key = &facts->keys[facts->n_keys];
	*key = (struct key_facts){.name = strdup(name), .n_lines = 1, .constant = true};
	if (key->name == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the keys of a JSONL file");
	key->value = json_incref(value);
	facts->n_keys++;
cleanup:
	return status;
}

static enum pb_status note_line(struct file_facts *facts, const char *path, size_t line_number,
				const char *line, size_t size, struct pb_error *err)
{
	json_error_t problem;
	json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &problem);
	enum pb_status status = PB_OK;
	const char *name;
	json_t *value;

	if (object == NULL)
		return pb_fail(err, PB_ERR_INPUT,
			       "not a model folder, a result file or JSON lines: %s:%zu:%d: %s: "
			       "name one of these",
			       path, line_number, problem.column, problem.text);
	if (!json_is_object(object)) {
		status = pb_fail(err, PB_ERR_INPUT,
				 "not a JSON object: %s:%zu: a pairs file has one object a line",
				 path, line_number);
		goto cleanup;
	}
	facts->n_lines++;
	facts->n_pairs += json_object_get(object, "clean") != NULL &&
			  json_object_get(object, "corrupted") != NULL;
	facts->n_prompts += json_object_get(object, "prompt") != NULL;
	for (size_t i = 0; i < 3; i++)
		note_length(&facts->lengths[i], json_object_get(object, length_keys[i]));
	json_object_foreach(object, name, value) PB_TRY(note_key(facts, name, value, err));
cleanup:
	json_decref(object);
	return status;
}

static void print_lengths(const struct file_facts *facts, FILE *out)
{
	for (size_t i = 0; i < 3; i++) {
		const struct length_facts *l = &facts->lengths[i];

		if (l->n_ids > 0)
			fprintf(out, "%-10s %zu by token ids, %zu to %zu tokens\n", length_keys[i],
				l->n_ids, l->ids_min, l->ids_max);
		if (l->n_text > 0)
			fprintf(out, "%-10s %zu by text, %zu to %zu bytes\n", length_keys[i],
				l->n_text, l->text_min, l->text_max);
	}
}

static enum pb_status print_facts(const struct file_facts *facts, const char *path, FILE *out,
				  struct pb_error *err)
{
	fprintf(out, "%s: %zu lines: %zu pairs, %zu evaluation prompts\n", path, facts->n_lines,
		facts->n_pairs, facts->n_prompts);
	print_lengths(facts, out);
	fprintf(out, "keys\n");
	for (size_t k = 0; k < facts->n_keys; k++) {
		const struct key_facts *key = &facts->keys[k];
		char *value = NULL;

		fprintf(out, "  %-12s in %zu", key->name, key->n_lines);
		/* A value that all lines share (task, boxes, seed, ..) describes the file. */
		if (key->constant && facts->n_lines > 1 && !json_is_array(key->value) &&
		    !json_is_object(key->value)) {
			value = json_dumps(key->value, JSON_ENCODE_ANY);
			if (value == NULL)
				return pb_fail(err, PB_ERR_MEMORY, "out of memory: %s", path);
			fprintf(out, ", always %s", value);
			free(value);
		}
		fprintf(out, "\n");
	}
	if (ferror(out))
		return pb_fail(err, PB_ERR_IO, "cannot write: the description of %s", path);
	return PB_OK;
}

enum pb_status pb_pairs_describe(const char *path, FILE *out, struct pb_error *err)
{
	struct file_facts facts = {0};
	enum pb_status status;
	char *text = NULL;
	struct pb_lines lines;
	const char *line = NULL;
	size_t size = 0, length = 0;

	PB_TRY(pb_read_file(&text, &size, path, PB_JSONL_MAX_SIZE, err));
	lines = (struct pb_lines){text, text + size, 0};
	while (pb_lines_next(&lines, &line, &length))
		PB_TRY(note_line(&facts, path, lines.number, line, length, err));
	if (facts.n_lines == 0) {
		status =
		    pb_fail(err, PB_ERR_INPUT,
			    "nothing to describe: %s: the file is empty: name a model folder, a "
			    "result file or a pairs file",
			    path);
		goto cleanup;
	}
	PB_TRY(print_facts(&facts, path, out, err));
cleanup:
	for (size_t k = 0; k < facts.n_keys; k++) {
		free(facts.keys[k].name);
		json_decref(facts.keys[k].value);
	}
	free(facts.keys);
	free(text);
	return status;
}
