/* A small file for a test. */
#ifndef PB_TEST_TEXT_FILE_H
#define PB_TEST_TEXT_FILE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char file_name[80];

/* Writes the text to a fresh file, which the test removes. */
static inline const char *file_with(const char *text)
{
	const char *folder = getenv("TMPDIR");
	FILE *file;
	int fd;

	(void)snprintf(file_name, sizeof file_name, "%s/pb_text_XXXXXX",
		       folder != NULL && strlen(folder) < 50 ? folder : "/tmp");
	fd = mkstemp(file_name);
	cr_assert_geq(fd, 0);
	file = fdopen(fd, "w");
	cr_assert_not_null(file);
	cr_assert_geq(fputs(text, file), 0);
	cr_assert_eq(fclose(file), 0);
	return file_name;
}

#endif
