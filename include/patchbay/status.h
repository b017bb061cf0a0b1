/* Status codes and the error record that every fallible function fills. */
#ifndef PATCHBAY_STATUS_H
#define PATCHBAY_STATUS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pb_status {
	PB_OK = 0,
	PB_ERR_INPUT,    /* the user's arguments or files are wrong: exit status 2 */
	PB_ERR_IO,       /* the system refused a read, write, rename, ...: exit status 1 */
	PB_ERR_MEMORY,   /* an allocation failed: exit status 1 */
	PB_ERR_CHECK,    /* a run's own check failed: exit status 1 */
	PB_ERR_STOPPED,  /* stopped early on request, can be resumed: exit status 75 */
	PB_ERR_INTERNAL, /* a defect of this program or of a library: exit status 1 */
};

#define PB_ERROR_MESSAGE_SIZE 4096

/* One error. The message reads `what is wrong: where (file, key, line): what to do`,
 * without the leading `patchbay: ` and without a final newline. It may span lines. */
struct pb_error {
	enum pb_status status;
	bool told; /* another process of the run prints the message; there is none here */
	char message[PB_ERROR_MESSAGE_SIZE];
};

/* Record an error and return `status`, so that callers can write `return pb_fail(...)`.
 * Keeps the first error: if err->status is already set, only the status is returned.
 * err may be NULL (the message is then lost, the status is still returned). */
enum pb_status pb_fail(struct pb_error *err, enum pb_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The process exit status that belongs to a status: 0, 1, 2 or 75. */
int pb_exit_status(enum pb_status status);

/* Run an expression of type enum pb_status; on failure keep it in the local `status`
 * and jump to the function's single `cleanup` label. */
#define PB_TRY(expr)                                                                               \
	do {                                                                                       \
		status = (expr);                                                                   \
		if (status != PB_OK)                                                               \
			goto cleanup;                                                              \
	} while (0)

#ifdef __cplusplus
}
#endif
#endif
