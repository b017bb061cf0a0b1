/* The experiment's SHA-256, its attributes in every file, and the difference of two. */
#include "results/identity.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/lines.h"

/* Borrows the texts of e. */
static struct pb_identity identity_of(const struct pb_experiment *e)
{
	return (struct pb_identity){.identity = (char *)(uintptr_t)e->identity,
				    .model_sha256 = (char *)(uintptr_t)e->model_sha256,
				    .pairs_sha256 = (char *)(uintptr_t)e->pairs_sha256,
				    .schema_version = PB_SCHEMA_VERSION,
				    .chunk_pairs = (int64_t)e->chunk_pairs};
}

enum pb_status pb_identity_hash(const struct pb_identity *identity, char hex[PB_SHA256_HEX],
				struct pb_error *err)
{
	enum pb_status status;
	char *text = pb_format("patchbay experiment\nschema_version: %" PRId64
			       "\nchunk_pairs: %" PRId64 "\nmodel_sha256: %s\npairs_sha256: %s\n%s",
			       identity->schema_version, identity->chunk_pairs,
			       identity->model_sha256, identity->pairs_sha256, identity->identity);

	if (text == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the experiment's identity");
	status = pb_sha256_of(text, strlen(text), hex, err);
	free(text);
	return status;
}

enum pb_status pb_experiment_hash(const struct pb_experiment *e, char hex[PB_SHA256_HEX],
				  struct pb_error *err)
{
	const struct pb_identity identity = identity_of(e);

	return pb_identity_hash(&identity, hex, err);
}

enum pb_status pb_identity_write(hid_t file, const struct pb_experiment *e,
				 pb_h5_put_text_fn *put_text, struct pb_error *err)
{
	enum pb_status status;
	char hex[PB_SHA256_HEX];

	PB_TRY(pb_experiment_hash(e, hex, err));
	PB_TRY(put_text(file, "experiment_sha256", hex, err));
	PB_TRY(put_text(file, "identity", e->identity, err));
	PB_TRY(put_text(file, "model_sha256", e->model_sha256, err));
	PB_TRY(put_text(file, "pairs_sha256", e->pairs_sha256, err));
	PB_TRY(pb_h5_put_int(file, "schema_version", PB_SCHEMA_VERSION, err));
	PB_TRY(pb_h5_put_int(file, "chunk_pairs", (int64_t)e->chunk_pairs, err));
cleanup:
	return status;
}

enum pb_status pb_identity_read(struct pb_identity *out, hid_t file, struct pb_error *err)
{
	enum pb_status status;

	*out = (struct pb_identity){0};
	PB_TRY(pb_h5_get_text(file, "experiment_sha256", &out->experiment_sha256, err));
	PB_TRY(pb_h5_get_text(file, "identity", &out->identity, err));
	PB_TRY(pb_h5_get_text(file, "model_sha256", &out->model_sha256, err));
	PB_TRY(pb_h5_get_text(file, "pairs_sha256", &out->pairs_sha256, err));
	PB_TRY(pb_h5_get_int(file, "schema_version", &out->schema_version, err));
	PB_TRY(pb_h5_get_int(file, "chunk_pairs", &out->chunk_pairs, err));
	return PB_OK;
cleanup:
	pb_identity_free(out);
	return status;
}

enum pb_status pb_identity_check(const struct pb_identity *identity, struct pb_error *err)
{
	char hex[PB_SHA256_HEX];
	enum pb_status status = pb_identity_hash(identity, hex, err);

	if (status == PB_OK && strcmp(hex, identity->experiment_sha256) != 0)
		status = pb_fail(err, PB_ERR_CHECK,
				 "its SHA-256 is not that of its identity, model and pairs");
	return status;
}

void pb_identity_free(struct pb_identity *identity)
{
	free(identity->experiment_sha256);
	free(identity->identity);
	free(identity->model_sha256);
	free(identity->pairs_sha256);
	*identity = (struct pb_identity){0};
}

/* ---- differences ----------------------------------------------------------------------- */

enum pb_status pb_identity_compare(const struct pb_identity *there, const struct pb_experiment *e,
				   bool *same, char *difference, size_t size, struct pb_error *err)
{
	enum pb_status status;
	struct pb_lines l = {.text = difference, .size = size};
	const struct pb_identity here = identity_of(e);
	char hex[PB_SHA256_HEX];

	if (size > 0)
		difference[0] = '\0';
	PB_TRY(pb_identity_hash(&here, hex, err));
	*same = strcmp(hex, there->experiment_sha256) == 0;
	if (*same || size == 0)
		return PB_OK;
	pb_lines_add(&l, "it is of a different experiment:");
	if (strcmp(there->model_sha256, here.model_sha256) != 0)
		pb_lines_add(&l, "\n  the model differs: SHA-256 there %.12s, here %.12s",
			     there->model_sha256, here.model_sha256);
	if (strcmp(there->pairs_sha256, here.pairs_sha256) != 0)
		pb_lines_add(&l, "\n  the pairs differ: SHA-256 there %.12s, here %.12s",
			     there->pairs_sha256, here.pairs_sha256);
	if (there->schema_version != here.schema_version)
		pb_lines_add(&l, "\n  schema version there %" PRId64 ", here %" PRId64,
			     there->schema_version, here.schema_version);
	if (there->chunk_pairs != here.chunk_pairs)
		pb_lines_add(&l, "\n  pairs a chunk there %" PRId64 ", here %" PRId64,
			     there->chunk_pairs, here.chunk_pairs);
	pb_lines_add_missing(&l, there->identity, here.identity, "there");
	pb_lines_add_missing(&l, here.identity, there->identity, "here");
cleanup:
	return status;
}
