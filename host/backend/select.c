/* Choosing and opening a backend. */
#include "backend/backend.h"

#include <string.h>

/* An entry that a backend forgot must stop the program at start, not in the middle of a sweep. The
 * table is a name and then function pointers only, so its words can be checked one by one. */
static bool table_is_full(const struct pb_ops *ops)
{
	const void *const *word = (const void *const *)ops;

	for (size_t i = 0; i < sizeof(*ops) / sizeof(void *); i++)
		if (!word[i])
			return false;
	return true;
}

enum pb_status pb_device_open(struct pb_device **out, const char *name, int n_threads,
			      struct pb_error *err)
{
	enum pb_status status;

	*out = NULL;
	if (strcmp(name, "auto") != 0 && strcmp(name, "cpu") != 0)
		return pb_fail(err, PB_ERR_INPUT,
			       "unknown backend '%s': engine.backend: use auto or cpu", name);
	status = pb_cpu_open(out, n_threads, err);
	if (status == PB_OK && !table_is_full((*out)->ops)) {
		pb_device_close(*out);
		*out = NULL;
		return pb_fail(
		    err, PB_ERR_INTERNAL,
		    "backend cpu lacks an operation: kernels/cpu/table.c: fill the table");
	}
	return status;
}

void pb_device_close(struct pb_device *dev)
{
	if (dev)
		dev->ops->close(dev);
}
