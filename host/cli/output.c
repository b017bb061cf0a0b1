/* Where a verb's output goes. */
#include "cli/output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum pb_status pb_output_check(const char *path, struct pb_error *err)
{
	struct stat st;

	if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
		return PB_OK;
	return pb_fail(err, PB_ERR_INPUT, "output is not a file: %s: name a file to write", path);
}

enum pb_status pb_output_stdout(const char *text, size_t size, struct pb_error *err)
{
	errno = 0;
	if (fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0)
		return PB_OK;
	return pb_fail(err, PB_ERR_IO, "cannot write: standard output: %s", strerror(errno));
}

enum pb_status pb_output_file(const char *path, const char *text, size_t size, struct pb_error *err)
{
	struct pb_aside aside = {0};
	enum pb_status status;
	FILE *out = NULL;

	PB_TRY(pb_output_check(path, err));
	PB_TRY(pb_aside_begin(&aside, path, err));
	out = fopen(aside.temp_path, "w");
	if (out == NULL || fwrite(text, 1, size, out) != size || fflush(out) != 0) {
		status = pb_fail(err, PB_ERR_IO, "cannot write: %s: %s", path, strerror(errno));
		goto cleanup;
	}
	if (fclose(out) != 0) {
		out = NULL;
		status = pb_fail(err, PB_ERR_IO, "cannot write: %s: %s", path, strerror(errno));
		goto cleanup;
	}
	out = NULL;
	PB_TRY(pb_aside_commit(&aside, err));
cleanup:
	if (out != NULL)
		(void)fclose(out); /* the write has failed already */
	pb_aside_end(&aside);
	return status;
}
