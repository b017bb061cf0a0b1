/* The task table, and whole sets of pairs or prompts. */
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"
#include "prompts/box.h"

const struct pb_task pb_tasks[] = {
    {"box", "objects in boxes, moved one at a time: in which box is it now?", pb_box_prompt,
     pb_box_pair, pb_box_check, pb_box_check_pairs},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};

const struct pb_task *pb_task_find(const char *name)
{
	for (const struct pb_task *task = pb_tasks; task->name != NULL; task++)
		if (strcmp(task->name, name) == 0)
			return task;
	return NULL;
}

const char *pb_corruption_name(enum pb_corruption corruption)
{
	static const char *const names[] = {
	    [PB_CORRUPT_STATE] = "state",
	    [PB_CORRUPT_ACTION] = "action",
	    [PB_CORRUPT_DISTRACTOR] = "distractor",
	};

	return names[corruption];
}

/* options->count lines into a fresh buffer. */
static enum pb_status generate(const struct pb_task_options *options, bool pairs, char **text,
			       size_t *size, struct pb_error *err)
{
	const struct pb_task *task = options->name == NULL ? NULL : pb_task_find(options->name);
	enum pb_status status;
	FILE *out = NULL;

	*text = NULL;
	*size = 0;
	if (task == NULL)
		return pb_fail(err, PB_ERR_INPUT, "unknown task: '%s': the tasks here are: box",
			       options->name == NULL ? "" : options->name);
	PB_TRY(task->check(options, err));
	if (pairs)
		PB_TRY(task->check_pairs(options, err));
	out = open_memstream(text, size);
	if (out == NULL) {
		status =
		    pb_fail(err, PB_ERR_MEMORY, "out of memory: the lines of task %s", task->name);
		goto cleanup;
	}
	for (uint64_t k = 0; k < options->count; k++)
		PB_TRY((pairs ? task->pair : task->prompt)(options, k, out, err));
cleanup:
	if (out != NULL && fclose(out) != 0 && status == PB_OK)
		status =
		    pb_fail(err, PB_ERR_MEMORY, "out of memory: the lines of task %s", task->name);
	if (status != PB_OK) {
		free(*text);
		*text = NULL;
		*size = 0;
	}
	return status;
}

enum pb_status pb_task_pairs(const struct pb_task_options *options, char **text, size_t *size,
			     struct pb_error *err)
{
	return generate(options, true, text, size, err);
}

enum pb_status pb_task_prompts(const struct pb_task_options *options, char **text, size_t *size,
			       struct pb_error *err)
{
	return generate(options, false, text, size, err);
}
