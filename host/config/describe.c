/* The table of keys for people: `patchbay run --help`. */
#include <string.h>

#include "config/schema.h"

#define COLUMN 27 /* where what a key means begins */
#define WIDTH 100

/* A word behind what stands in the line already, or in a new line; *column is where the line ends.
 */
static void put_word(FILE *out, const char *word, size_t size, size_t *column)
{
	const char *before = *column == COLUMN ? "" : " ";

	if (*column > COLUMN && *column + 1 + size > WIDTH) {
		fprintf(out, "\n%*s", COLUMN, "");
		*column = COLUMN;
		before = "";
	}
	fprintf(out, "%s%.*s", before, (int)size, word);
	*column += strlen(before) + size;
}

static void put_words(FILE *out, const char *text, size_t *column)
{
	while (*text != '\0') {
		const size_t size = strcspn(text, " ");

		put_word(out, text, size, column);
		text += size + strspn(text + size, " ");
	}
}

void pb_config_describe(FILE *out)
{
	for (size_t k = 0; k < pb_n_keys; k++) {
		const struct pb_key *key = &pb_keys[k];
		char words[PB_WORDS_SIZE], text[PB_WORDS_SIZE + 256];
		const bool list = key->fallback != NULL && key->fallback[0] == '[';
		size_t column = COLUMN;

		if (key->type == PB_KEY_SECTION || key->type == PB_KEY_ROWS)
			continue;
		pb_key_words(key, words);
		(void)snprintf(text, sizeof text, "%s%s%s%s", key->help,
			       words[0] == '\0' ? "" : " {", words, words[0] == '\0' ? "" : "}");
		fprintf(out, "  %-*s", COLUMN - 2, key->path);
		put_words(out, text, &column);
		if (key->fallback != NULL) {
			(void)snprintf(text, sizeof text, "%s%s%s", list ? "" : "[", key->fallback,
				       list ? "" : "]");
			put_words(out, text, &column);
		}
		fprintf(out, "\n");
	}
}
