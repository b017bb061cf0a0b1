/* The command line, for a file's provenance. */
#ifndef PATCHBAY_CLI_COMMAND_H
#define PATCHBAY_CLI_COMMAND_H

#include <stdio.h>

#include "patchbay/status.h"

/* One word as a shell reads it: as it stands, or in single quotes. */
void pb_put_quoted(FILE *out, const char *word);
/* `patchbay VERB ...` as it was typed; argv[0] is the verb. *command is freed with free(). */
enum pb_status pb_command_line(int argc, char **argv, char **command, struct pb_error *err);

#endif
