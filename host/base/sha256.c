/* SHA-256 by OpenSSL's libcrypto. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "patchbay/base.h"

struct pb_sha256 {
	EVP_MD_CTX *context;
};

static enum pb_status fail(struct pb_error *err, const char *step)
{
	return pb_fail(err, PB_ERR_INTERNAL,
		       "SHA-256 failed: libcrypto, %s: check the OpenSSL installation", step);
}

enum pb_status pb_sha256_begin(struct pb_sha256 **out, struct pb_error *err)
{
	enum pb_status status;
	void *memory = NULL;
	struct pb_sha256 *sha;

	*out = NULL;
	status = pb_alloc(&memory, 1, sizeof *sha, "a SHA-256 state", err);
	if (status != PB_OK)
		return status;
	sha = memory;
	sha->context = EVP_MD_CTX_new();
	if (sha->context == NULL || EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL) != 1) {
		pb_sha256_free(sha);
		return fail(err, "begin");
	}
	*out = sha;
	return PB_OK;
}

enum pb_status pb_sha256_add(struct pb_sha256 *sha, const void *data, size_t size,
			     struct pb_error *err)
{
	if (sha == NULL || (size > 0 && EVP_DigestUpdate(sha->context, data, size) != 1))
		return fail(err, "update");
	return PB_OK;
}

enum pb_status pb_sha256_end(struct pb_sha256 *sha, char hex[PB_SHA256_HEX], struct pb_error *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	size_t i;
	int done;

	hex[0] = '\0';
	if (sha == NULL)
		return fail(err, "end without begin");
	done = EVP_DigestFinal_ex(sha->context, digest, &size);
	pb_sha256_free(sha);
	if (done != 1 || size != (PB_SHA256_HEX - 1) / 2)
		return fail(err, "end");
	for (i = 0; i < size; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[PB_SHA256_HEX - 1] = '\0';
	return PB_OK;
}

void pb_sha256_free(struct pb_sha256 *sha)
{
	if (sha == NULL)
		return;
	EVP_MD_CTX_free(sha->context);
	free(sha);
}

enum pb_status pb_sha256_of(const void *data, size_t size, char hex[PB_SHA256_HEX],
			    struct pb_error *err)
{
	enum pb_status status;
	struct pb_sha256 *sha = NULL;

	hex[0] = '\0';
	PB_TRY(pb_sha256_begin(&sha, err));
	PB_TRY(pb_sha256_add(sha, data, size, err));
	return pb_sha256_end(sha, hex, err);
cleanup:
	pb_sha256_free(sha);
	return status;
}

enum pb_status pb_file_sha256(const char *path, char hex[PB_SHA256_HEX], struct pb_error *err)
{
	struct pb_map map = {0};
	enum pb_status status;

	hex[0] = '\0';
	PB_TRY(pb_map_open(&map, path, err));
	PB_TRY(pb_sha256_of(map.data, map.size, hex, err));
cleanup:
	pb_map_close(&map);
	return status;
}
