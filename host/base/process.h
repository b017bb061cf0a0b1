/* Other programs: run one and take what it says. */
#ifndef PB_BASE_PROCESS_H
#define PB_BASE_PROCESS_H

#include "patchbay/status.h"

/* Run argv[0], looked for in PATH, with the arguments argv (NULL at its end) and `setting`
 * ("NAME=VALUE", NULL: none) added to the environment; wait `seconds` at most, then kill it. *said
 * is what it wrote to stdout and stderr, up to 64 KiB (freed with free()), *exit_status its exit
 * status (128 + the signal that ended it). PB_ERR_INPUT where there is no such program; PB_ERR_IO
 * where it took too long or could not be run. */
enum pb_status pb_process_run(char *const argv[], const char *setting, double seconds, char **said,
			      int *exit_status, struct pb_error *err);

#endif
