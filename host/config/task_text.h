/* A task's options as they are typed, by the same table as those of a config. */
#ifndef PATCHBAY_CONFIG_TASK_TEXT_H
#define PATCHBAY_CONFIG_TASK_TEXT_H

#include "patchbay/config.h"

struct pb_task_text {
	const char *key;    /* "states" */
	const char *text;   /* as it is typed: "10" */
	const char *origin; /* what messages call it: "--states" */
};

/* out->task for the task `name`, defaults filled in; pb_config_free lets it go. Keys that are not
 * the task's, values of a wrong type or out of range, and missing ones are PB_ERR_INPUT. */
enum pb_status pb_task_read(struct pb_run_config *out, const char *name,
			    const struct pb_task_text *texts, size_t n, struct pb_error *err);

#endif
