/* The error record and the exit statuses. */
#include "patchbay/status.h"

#include <stdarg.h>
#include <stdio.h>

enum pb_status pb_fail(struct pb_error *err, enum pb_status status, const char *format, ...)
{
	va_list args;

	/* The first error is the cause; what fails while cleaning up after it is not. */
	if (err == NULL || err->status != PB_OK)
		return status;
	err->status = status;
	va_start(args, format);
	if (vsnprintf(err->message, sizeof err->message, format, args) < 0)
		err->message[0] = '\0';
	va_end(args);
	return status;
}

int pb_exit_status(enum pb_status status)
{
	switch (status) {
	case PB_OK:
		return 0;
	case PB_ERR_INPUT:
		return 2;
	case PB_ERR_STOPPED:
		return 75;
	case PB_ERR_IO:
	case PB_ERR_MEMORY:
	case PB_ERR_CHECK:
	case PB_ERR_INTERNAL:
		break;
	}
	return 1;
}
