/* The command line, for a file's provenance. */
#ifndef PATCHBAY_CLI_COMMAND_H
#define PATCHBAY_CLI_COMMAND_H

#include "patchbay/status.h"

/* `patchbay VERB ...` as it was typed; argv[0] is the verb. *command is freed with free(). */
enum pb_status pb_command_line(int argc, char **argv, char **command, struct pb_error *err);

#endif
