/* `patchbay info PATH` */
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/verbs.h"
#include "patchbay/model.h"
#include "patchbay/pairs.h"
#include "patchbay/results.h"
#include "patchbay/tokens.h"

/* A model is good without a tokenizer (pairs by ids), so that one that cannot be used is told, not
 * an error. */
static void describe_tokenizer(const char *folder, FILE *out)
{
	struct pb_tokenizer *tokenizer = NULL;
	struct pb_error why = {0};

	if (pb_tokenizer_open(&tokenizer, folder, &why) != PB_OK) {
		fprintf(out, "tokenizer     none (%s)\n", why.message);
		return;
	}
	pb_tokenizer_describe(tokenizer, out);
	pb_tokenizer_close(tokenizer);
}

static enum pb_status describe_model(const char *folder, FILE *out, struct pb_error *err)
{
	struct pb_model *model = NULL;
	enum pb_status status = pb_model_open(&model, folder, err);

	if (status != PB_OK)
		return status;
	pb_model_describe(model, out);
	describe_tokenizer(folder, out);
	pb_model_close(model);
	return PB_OK;
}

enum pb_status pb_verb_info(int argc, char **argv, struct pb_error *err)
{
	const struct pb_usage usage = {
	    .verb = "info",
	    .operands = "PATH",
	    .summary =
		"Print what a model (a folder, a GGUF file, or a hub id in the local cache), a result file (HDF5) or a file of pairs or prompts "
		"(JSON lines) holds.",
	    .n_operands_min = 1,
	    .n_operands_max = 1};
	enum pb_status status;
	bool help;
	char *folder = NULL;
	int first;

	PB_TRY(pb_args_parse(&usage, argc, argv, &first, &help, err));
	if (help)
		goto cleanup;
	PB_TRY(pb_model_find(&folder, argv[first], "main", err));
	if (pb_is_directory(folder) || pb_is_gguf(folder))
		PB_TRY(describe_model(folder, stdout, err));
	else if (pb_is_hdf5(argv[first]))
		PB_TRY(pb_result_describe(argv[first], stdout, err));
	else
		PB_TRY(pb_pairs_describe(argv[first], stdout, err));
cleanup:
	free(folder);
	return status;
}
