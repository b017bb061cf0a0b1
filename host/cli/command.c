/* The command line as a text that a shell reads. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

/* Plain words stand as they are, others in single quotes: the text can be given to a shell. */
void pb_put_quoted(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_./-=:,+@%";

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (const char *s = word; *s != '\0'; s++) {
		if (*s == '\'')
			fputs("'\\''", out);
		else
			fputc(*s, out);
	}
	fputc('\'', out);
}

enum pb_status pb_command_line(int argc, char **argv, char **command, struct pb_error *err)
{
	size_t size = 0;
	FILE *out = open_memstream(command, &size);

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the command line");
	fputs("patchbay", out);
	for (int i = 0; i < argc; i++) {
		fputc(' ', out);
		pb_put_quoted(out, argv[i]);
	}
	if (fclose(out) != 0)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the command line");
	return PB_OK;
}
