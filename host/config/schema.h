/* The one table of configuration keys: what a run's YAML may say. */
#ifndef PATCHBAY_CONFIG_SCHEMA_H
#define PATCHBAY_CONFIG_SCHEMA_H

#include "patchbay/config.h"

enum pb_key_type {
	PB_KEY_SECTION, /* a map of the keys that follow with its path */
	PB_KEY_ROWS,    /* a list of such maps, or a single one */
	PB_KEY_TEXT,    /* char * */
	PB_KEY_COUNT,   /* size_t */
	PB_KEY_AUTO,    /* size_t, or the word auto (0) */
	PB_KEY_SEED,    /* uint64_t */
	PB_KEY_NUMBER,  /* double */
	PB_KEY_WORD,    /* one of `words`: an enum, its value the word's index */
	PB_KEY_NAME,    /* one of `words`: char * */
	PB_KEY_METRICS, /* a list of pb_metric_request's words: unsigned */
};

/* Where a key must stand. */
enum pb_key_presence {
	PB_KEY_REQUIRED,
	PB_KEY_OPTIONAL,    /* its default is `fallback` (NULL: none, the field stays 0) */
	PB_KEY_ALTERNATIVE, /* exactly one of the alternatives of a section is given */
};

struct pb_key {
	const char *path; /* "task.boxes"; keys of a sweep's rows are "sweep.site" */
	enum pb_key_type type;
	enum pb_key_presence presence;
	const char *fallback;     /* as it would stand in the file */
	const char *const *words; /* allowed, ended by NULL */
	const char *const *later; /* known to the design, not in this version, ended by NULL */
	double least, most;       /* range of numbers, both included */
	size_t offset;            /* of the field in pb_run_config; in pb_sweep for sweep rows */
	const char *help;
};

/* In the order in which a resolved configuration is written; a section stands before its keys. */
extern const struct pb_key pb_keys[];
extern const size_t pb_n_keys;

/* The word list of a key, `a, b, c`, in `buffer`. */
#define PB_WORDS_SIZE 256
const char *pb_key_words(const struct pb_key *key, char buffer[PB_WORDS_SIZE]);

/* The name of a key within its section: "boxes" of "task.boxes". */
const char *pb_key_name(const struct pb_key *key);
/* Whether the key stands directly in the section ("" is the whole file). */
bool pb_key_in_section(const struct pb_key *key, const char *section);

#endif
