/* Where a verb's output goes. */
#ifndef PATCHBAY_CLI_OUTPUT_H
#define PATCHBAY_CLI_OUTPUT_H

#include "patchbay/base.h"

/* Refuse an output that is there and is not a file: renaming a result over /dev/null would replace
 * the device. */
enum pb_status pb_output_check(const char *path, struct pb_error *err);

/* Write all of a text to standard output, or to a file: aside, then renamed, so that the file is
 * whole or not there. */
enum pb_status pb_output_stdout(const char *text, size_t size, struct pb_error *err);
enum pb_status pb_output_file(const char *path, const char *text, size_t size,
			      struct pb_error *err);

#endif
