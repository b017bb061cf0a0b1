/* What makes two runs the same experiment, and saying how two differ. */
#ifndef PB_RESULTS_IDENTITY_H
#define PB_RESULTS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "patchbay/results.h"
#include "results/h5.h"

/* The identity that a part or a result file carries in its root attributes (owned texts). */
struct pb_identity {
	char *experiment_sha256, *identity, *model_sha256, *pairs_sha256;
	int64_t schema_version, chunk_pairs;
};
enum pb_status pb_identity_write(hid_t file, const struct pb_experiment *e,
				 pb_h5_put_text_fn *put_text, struct pb_error *err);
/* PB_ERR_CHECK when one of the attributes is missing. */
enum pb_status pb_identity_read(struct pb_identity *out, hid_t file, struct pb_error *err);
void pb_identity_free(struct pb_identity *identity);

/* PB_ERR_CHECK where its SHA-256 is not that of its texts and numbers: it is damaged, not another.
 */
enum pb_status pb_identity_check(const struct pb_identity *identity, struct pb_error *err);

/* The SHA-256 that belongs to an identity. */
enum pb_status pb_identity_hash(const struct pb_identity *identity, char hex[PB_SHA256_HEX],
				struct pb_error *err);
/* Whether `there` is the experiment e; when it is not, `difference` says in what they differ, a
 * line each. */
enum pb_status pb_identity_compare(const struct pb_identity *there, const struct pb_experiment *e,
				   bool *same, char *difference, size_t size, struct pb_error *err);

#endif
