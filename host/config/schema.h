/* The one table of configuration keys: what a run's YAML may say. */
#ifndef PATCHBAY_CONFIG_SCHEMA_H
#define PATCHBAY_CONFIG_SCHEMA_H

#include "patchbay/config.h"

enum pb_key_type {
	PB_KEY_SECTION, /* a map of the keys that follow with its path */
	PB_KEY_ROWS,    /* a list of such maps, or a single one */
	PB_KEY_SETS,    /* a section whose other keys are named sets: pb_sweep's sets */
	PB_KEY_TEXT,    /* char * */
	PB_KEY_COUNT,   /* size_t */
	PB_KEY_AUTO,    /* size_t, or the word auto (0) */
	PB_KEY_EACH,    /* size_t, or the word each (PB_SIZE_EACH) */
	PB_KEY_SEED,    /* uint64_t */
	PB_KEY_NUMBER,  /* double */
	PB_KEY_WORD,    /* one of `words`: an enum, its value the word's index */
	PB_KEY_FLAG,    /* one of two `words`: bool, true for the second */
	PB_KEY_NAME,    /* one of `words`: char * */
	PB_KEY_WORDS,   /* a list of `words`: unsigned, a bit for each word's index */
	PB_KEY_METRICS, /* a list of pb_metric_request's words: unsigned */
	PB_KEY_NUMBERS, /* a number or a list of them: double *, and size_t at `offset_n` */
	PB_KEY_INTS,    /* a rising list of whole numbers: int32_t *, and size_t at `offset_n` */
	/* of a sweep's row, read into their several fields */
	PB_KEY_POSITIONS, /* a word, a list of whole numbers or a list of names */
	PB_KEY_OVER,      /* a word, or a file */
	PB_KEY_NEURONS,   /* the word all, or PB_KEY_INTS */
	PB_KEY_RECEIVER,  /* a word, or a list of labels */
	PB_KEY_GRID,      /* a section whose keys are numbers of the task's: pb_run_config's axes */
};

/* Where a key must stand. */
enum pb_key_presence {
	PB_KEY_REQUIRED,
	PB_KEY_OPTIONAL,    /* its default is `fallback` (NULL: none, the field stays 0) */
	PB_KEY_ALTERNATIVE, /* a source that is used when it is there, without any default */
};

struct pb_key {
	const char *path; /* "task.boxes"; keys of a sweep's rows are "sweep.site" */
	enum pb_key_type type;
	enum pb_key_presence presence;
	const char *fallback;     /* as it would stand in the file */
	const char *const *words; /* allowed, ended by NULL; "" where an enum's value has none */
	bool whole;               /* PB_KEY_WORDS: `all` and `none` are the list's ends */
	double least, most;       /* range of numbers, both included */
	size_t offset;            /* of the field in pb_run_config; in pb_sweep for sweep rows */
	size_t offset_n;
	/* Keys of a sweep's row, by what stands before them in the table: what to do instead where
	 * the key does not fit (NULL: it fits), and a default that depends on the sweep (NULL: the
	 * key must be given); `fallback` is then what --help says of it. */
	const char *(*misfit)(const struct pb_sweep *sweep);
	const char *(*default_of)(const struct pb_sweep *sweep);
	/* Keys of a task, behind its name: the tasks that have the key, with blanks between them
	 * (NULL: all), and a default that depends on the task. */
	const char *tasks;
	const char *(*default_of_task)(const struct pb_task *task);
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
/* Whether it is a key of the task's. */
bool pb_key_has_task(const struct pb_key *key, const char *task);
/* Whether the key stands directly in the section ("" is the whole file). */
bool pb_key_in_section(const struct pb_key *key, const char *section);

#endif
