/* The names of the tasks, in the order in which they are listed: a row of pb_tasks each, and a word
 * of the key task.name. */
#ifndef PATCHBAY_PROMPTS_TASK_NAMES_H
#define PATCHBAY_PROMPTS_TASK_NAMES_H

#define PB_EACH_TASK(X)                                                                            \
	X(box)                                                                                     \
	X(dfa)                                                                                     \
	X(fruit)                                                                                   \
	X(adventure)                                                                               \
	X(ioi)                                                                                     \
	X(greater_than)                                                                            \
	X(induction)                                                                               \
	X(docstring)                                                                               \
	X(successor)                                                                               \
	X(factual)

#endif
