/* What names a set of pairs: a hash of all that matters of them. */
#include <string.h>

#include "patchbay/pairs.h"

/* Little-endian, so that a hash means the same everywhere. */
static enum pb_status hash_number(struct pb_sha256 *sha, uint64_t value, struct pb_error *err)
{
	unsigned char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(value >> 8 * i);
	return pb_sha256_add(sha, bytes, sizeof bytes, err);
}

static enum pb_status hash_ids(struct pb_sha256 *sha, const int32_t *ids, size_t n,
			       struct pb_error *err)
{
	enum pb_status status = hash_number(sha, n, err);

	for (size_t i = 0; i < n && status == PB_OK; i++)
		status = hash_number(sha, (uint32_t)ids[i], err);
	return status;
}

/* Names and positions of roles; pairs without any have the hash that they had before there were
 * roles. */
static enum pb_status hash_roles(struct pb_sha256 *sha, const struct pb_pairs *pairs,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (pairs->n_roles == 0)
		return PB_OK;
	PB_TRY(hash_number(sha, pairs->n_roles, err));
	for (size_t r = 0; r < pairs->n_roles; r++) {
		const size_t size = strlen(pairs->roles[r]);

		PB_TRY(hash_number(sha, size, err));
		PB_TRY(pb_sha256_add(sha, pairs->roles[r], size, err));
	}
	for (size_t i = 0; i < pairs->n; i++) {
		const struct pb_pair *pair = &pairs->items[i];

		PB_TRY(hash_ids(sha, pair->roles, pair->roles == NULL ? 0 : pair->length, err));
	}
cleanup:
	return status;
}

enum pb_status pb_pairs_hash(const struct pb_pairs *pairs, char hex[PB_SHA256_HEX],
			     struct pb_error *err)
{
	struct pb_sha256 *sha = NULL;
	enum pb_status status;

	PB_TRY(pb_sha256_begin(&sha, err));
	PB_TRY(hash_number(sha, pairs->n, err));
	for (size_t i = 0; i < pairs->n; i++) {
		const struct pb_pair *pair = &pairs->items[i];

		PB_TRY(hash_ids(sha, pair->clean, pair->length, err));
		PB_TRY(hash_ids(sha, pair->corrupted, pair->length, err));
		PB_TRY(hash_ids(sha, &pair->answer, 1, err));
		PB_TRY(hash_ids(sha, &pair->foil, 1, err));
		PB_TRY(hash_ids(sha, pair->candidates, pair->n_candidates, err));
	}
	PB_TRY(hash_roles(sha, pairs, err));
	return pb_sha256_end(sha, hex, err);
cleanup:
	pb_sha256_free(sha);
	return status;
}
