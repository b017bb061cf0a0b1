/* Read by clang-tidy before each source: what its analyzer cannot see across files. pb_fail returns
 * the status that it is given, so that what a failed call left unset is never thought to be used. */
#include "patchbay/status.h"

#define pb_fail(err, status, ...) ((void)(pb_fail)(err, status, __VA_ARGS__), (status))
