/* The facts of a file. */
#ifndef PATCHBAY_PROMPTS_FACTUAL_FILE_H
#define PATCHBAY_PROMPTS_FACTUAL_FILE_H

#include "patchbay/pairs.h"

struct pb_fact {
	size_t relation;
	const char *subject, *object; /* object: with a leading space, as it answers */
	size_t line;
	bool usable;
	size_t *sizes; /* by template of its relation: tokens of its prompt, or words */
};

struct pb_relation {
	const char *name;
	size_t n_templates, capacity;
	const char **templates;
};

struct pb_facts {
	struct pb_arena arena; /* owns the texts */
	struct pb_relation *relations;
	size_t n_relations, relations_capacity;
	struct pb_fact *facts;
	size_t n, capacity;
	size_t *usable; /* [n_usable] places in facts */
	size_t n_usable;
};

/* Read and check a file; pb_facts_close lets go what is there, after a failure too. */
enum pb_status pb_facts_read(struct pb_facts *facts, const char *path,
			     const struct pb_tokenizer *tokenizer, struct pb_error *err);
void pb_facts_close(struct pb_facts *facts);

/* The prompt of a subject (freed with free()); NULL: out of memory. */
char *pb_fact_text(const char *pattern, const char *subject);

#endif
