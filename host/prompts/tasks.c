/* The task table, and whole sets of pairs or prompts. */
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"
#include "prompts/adventure.h"
#include "prompts/box.h"
#include "prompts/dfa.h"
#include "prompts/docstring.h"
#include "prompts/factual.h"
#include "prompts/fruit.h"
#include "prompts/greater_than.h"
#include "prompts/induction.h"
#include "prompts/ioi.h"
#include "prompts/successor.h"
#include "prompts/task_names.h"
#include "prompts/wording.h"

#define BIT(corruption) (1u << PB_CORRUPT_##corruption)

/* A row is at its place in PB_EACH_TASK, and has what every task has. */
#define PLACE(task) TASK_##task,
enum { PB_EACH_TASK(PLACE) N_TASKS };
#undef PLACE
#define ROW(task)                                                                                  \
	[TASK_##task] = {.name = #task,                                                            \
			 .prompt = pb_##task##_prompt,                                             \
			 .pair = pb_##task##_pair,                                                 \
			 .check = pb_##task##_check,

/* clang-format off */
const struct pb_task pb_tasks[N_TASKS + 1] = {
	ROW(box)
	 .summary = "objects in boxes, moved one at a time: in which box is it now?",
	 .check_pairs = pb_box_check_pairs,
	 .patterns = pb_box_patterns,
	 .corruptions = BIT(STATE) | BIT(ACTION) | BIT(DISTRACTOR) | BIT(MATCHED),
	 .usual_corrupt = PB_CORRUPT_STATE},
	ROW(dfa)
	 .summary = "a walk through an abstract automaton: to which state does it go next?",
	 .check_pairs = pb_dfa_check_pairs, .prepare = pb_dfa_prepare,
	 .patterns = pb_dfa_patterns,
	 .corruptions = BIT(STATE) | BIT(ACTION) | BIT(DISTRACTOR) | BIT(MATCHED) | BIT(NOOP) |
			BIT(SAME_ACTION),
	 .usual_corrupt = PB_CORRUPT_STATE},
	ROW(fruit)
	 .summary = "each person gets a different fruit: which can the last one have?",
	 .check_pairs = pb_fruit_check_pairs, .prepare = pb_fruit_prepare,
	 .patterns = pb_fruit_patterns,
	 .corruptions = BIT(STATE) | BIT(DISTRACTOR),
	 .usual_corrupt = PB_CORRUPT_STATE},
	ROW(adventure)
	 .summary = "rooms, objects and containers: where is it now, where are you, is it open?",
	 .check_pairs = pb_adventure_check_pairs, .prepare = pb_adventure_prepare,
	 .patterns = pb_adventure_patterns,
	 .corruptions = BIT(STATE) | BIT(ACTION) | BIT(DISTRACTOR) | BIT(MATCHED),
	 .usual_corrupt = PB_CORRUPT_STATE},
	ROW(ioi)
	 .summary = "two people, one gives something to: the other (indirect object identification)",
	 .prepare = pb_ioi_prepare,
	 .patterns = pb_ioi_patterns,
	 .corruptions = BIT(S2) | BIT(NAMES) | BIT(IO) | BIT(ABC),
	 .usual_corrupt = PB_CORRUPT_S2},
	ROW(greater_than)
	 .summary = "something began in a year of this century: when did it end?",
	 .prepare = pb_greater_than_prepare, .release = pb_greater_than_release,
	 .patterns = pb_greater_than_patterns,
	 .corruptions = BIT(YEAR),
	 .usual_corrupt = PB_CORRUPT_YEAR},
	ROW(induction)
	 .summary = "random words that are repeated: what followed this one?",
	 .prepare = pb_induction_prepare, .release = pb_induction_release,
	 .patterns = pb_induction_patterns,
	 .corruptions = BIT(TARGET) | BIT(DISTRACTOR),
	 .usual_corrupt = PB_CORRUPT_TARGET},
	ROW(docstring)
	 .summary = "arguments of a function, documented in order: which is next?",
	 .prepare = pb_docstring_prepare, .release = pb_docstring_release,
	 .patterns = pb_docstring_patterns,
	 .corruptions = BIT(TARGET) | BIT(DISTRACTOR),
	 .usual_corrupt = PB_CORRUPT_TARGET},
	ROW(successor)
	 .summary = "days, months or numbers in order: which is next?",
	 .prepare = pb_successor_prepare,
	 .patterns = pb_successor_patterns,
	 .corruptions = BIT(PLACE),
	 .usual_corrupt = PB_CORRUPT_PLACE},
	ROW(factual)
	 .summary = "facts from a file of yours",
	 .prepare = pb_factual_prepare, .release = pb_factual_release,
	 .corruptions = BIT(SUBJECT),
	 .usual_corrupt = PB_CORRUPT_SUBJECT},
};
/* clang-format on */

const struct pb_task *pb_task_find(const char *name)
{
	for (const struct pb_task *task = pb_tasks; task->name != NULL; task++)
		if (strcmp(task->name, name) == 0)
			return task;
	return NULL;
}

const char *const pb_corruption_names[PB_N_CORRUPTIONS + 1] = {
    [PB_CORRUPT_STATE] = "state",
    [PB_CORRUPT_ACTION] = "action",
    [PB_CORRUPT_DISTRACTOR] = "distractor",
    [PB_CORRUPT_S2] = "s2",
    [PB_CORRUPT_NAMES] = "names",
    [PB_CORRUPT_IO] = "io",
    [PB_CORRUPT_ABC] = "abc",
    [PB_CORRUPT_MATCHED] = "matched",
    [PB_CORRUPT_NOOP] = "noop",
    [PB_CORRUPT_SAME_ACTION] = "same_action",
    [PB_CORRUPT_TARGET] = "target",
    [PB_CORRUPT_PLACE] = "place",
    [PB_CORRUPT_YEAR] = "year",
    [PB_CORRUPT_SUBJECT] = "subject",
};

const char *pb_corruption_name(enum pb_corruption corruption)
{
	return pb_corruption_names[corruption];
}

/* ---- checks -------------------------------------------------------------------------- */

enum pb_status pb_task_check_count(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->count < 1 || o->count > PB_TASK_MAX_COUNT)
		return pb_fail(err, PB_ERR_INPUT,
			       "number of pairs or prompts out of range: %zu (task %s): give 1 to "
			       "%d",
			       o->count, o->name, PB_TASK_MAX_COUNT);
	/* Seeds are written to JSON, whose integers are signed in every reader. */
	if (o->seed > INT64_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "seed out of range: %llu (task %s): give 0 to %lld",
			       (unsigned long long)o->seed, o->name, (long long)INT64_MAX);
	return PB_OK;
}

enum pb_status pb_task_check_range(const struct pb_task_options *o, const char *option,
				   size_t value, size_t least, size_t most, struct pb_error *err)
{
	if (value >= least && value <= most)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT, "%s out of range: %zu (task %s): give %zu to %zu", option,
		       value, o->name, least, most);
}

enum pb_status pb_task_check_even(const struct pb_task_options *o, struct pb_error *err)
{
	if (o->count % 2 == 0)
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT,
		       "an odd number of pairs: %zu (task %s, corrupt matched): each clean prompt "
		       "has two partners: give an even one",
		       o->count, o->name);
}

static enum pb_status refuse_corruption(const struct pb_task *task, const char *name,
					struct pb_error *err)
{
	char list[128] = "";
	size_t used = 0;

	for (int c = 0; c < PB_N_CORRUPTIONS; c++)
		if (task->corruptions >> c & 1u)
			used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
						 used > 0 ? ", " : "",
						 pb_corruption_name((enum pb_corruption)c));
	return pb_fail(err, PB_ERR_INPUT, "no such corruption: task %s, corrupt %s: give one of %s",
		       task->name, name, list);
}

enum pb_status pb_task_check(const struct pb_task_options *o, bool pairs, struct pb_error *err)
{
	const struct pb_task *task = o->name == NULL ? NULL : pb_task_find(o->name);
	enum pb_status status;

	if (task == NULL)
		return pb_fail(err, PB_ERR_INPUT, "unknown task: '%s': see patchbay prompts --help",
			       o->name == NULL ? "" : o->name);
	PB_TRY(task->check(o, err));
	if (pairs && (task->corruptions >> o->corrupt & 1u) == 0)
		return refuse_corruption(task, pb_corruption_name(o->corrupt), err);
	if (pairs && task->check_pairs != NULL)
		status = task->check_pairs(o, err);
cleanup:
	return status;
}

/* options->count lines into a fresh buffer. */
static enum pb_status generate(const struct pb_task_options *options, bool pairs, char **text,
			       size_t *size, struct pb_error *err)
{
	struct pb_task_options o = *options;
	const struct pb_task *task = NULL;
	struct pb_wording *wording = NULL;
	enum pb_status status;
	FILE *out = NULL;

	*text = NULL;
	*size = 0;
	PB_TRY(pb_task_check(&o, pairs, err));
	task = pb_task_find(o.name);
	PB_TRY(pb_wording_open(&wording, task, o.template_path, err));
	o.wording = wording;
	if (task->prepare != NULL)
		PB_TRY(task->prepare(&o, err));
	out = open_memstream(text, size);
	if (out == NULL) {
		status =
		    pb_fail(err, PB_ERR_MEMORY, "out of memory: the lines of task %s", task->name);
		goto cleanup;
	}
	for (uint64_t k = 0; k < o.count; k++)
		PB_TRY((pairs ? task->pair : task->prompt)(&o, k, out, err));
cleanup:
	if (task != NULL && task->release != NULL)
		task->release(&o);
	pb_wording_close(wording);
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
