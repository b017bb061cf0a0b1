/* Roles: names of positions, from the "roles" of a line. */
#ifndef PATCHBAY_PROMPTS_ROLES_H
#define PATCHBAY_PROMPTS_ROLES_H

#include <jansson.h>

#include "prompts/preflight.h"

/* The names that all lines so far have used, in order of appearance; texts are the arena's. */
struct pb_roles {
	size_t n, capacity;
	const char **names;
};

/* Reads `value` (NULL or JSON's null: no roles) into *out, [prompt->length] indices of
 * roles->names, -1 for none; NULL when no position has a role. pairs.h says what is accepted. */
enum pb_status pb_roles_read(const struct pb_pair_source *source, const json_t *value,
			     const struct pb_encoded *prompt, struct pb_roles *roles,
			     const int32_t **out, struct pb_error *err);

/* The names, now as an array of the arena. */
enum pb_status pb_roles_take(const struct pb_roles *roles, const struct pb_pair_source *source,
			     const char ***names, size_t *n, struct pb_error *err);
void pb_roles_free(struct pb_roles *roles);

#endif
