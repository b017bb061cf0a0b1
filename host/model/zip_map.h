/* Where the records of a zip file lie, for files whose records are stored as they are (PyTorch's
 * checkpoints), so that they can be mapped. Compressed records are refused: nothing is ever
 * inflated. Format: PKWARE's APPNOTE, with its 64-bit extension. */
#ifndef PB_MODEL_ZIP_MAP_H
#define PB_MODEL_ZIP_MAP_H

#include "patchbay/base.h"

struct pb_zip_record {
	const char *name; /* in the arena */
	size_t at, size;  /* bytes of the map */
};

struct pb_zip {
	struct pb_zip_record *records; /* sorted by name, each once */
	size_t n;
};

/* Read the directory of the mapped file `path`. Names and table go to `arena`. PB_ERR_INPUT for
 * what is no such file, with the place. */
enum pb_status pb_zip_read(struct pb_zip *zip, const struct pb_map *map, const char *path,
			   struct pb_arena *arena, struct pb_error *err);

/* NULL when there is none. */
const struct pb_zip_record *pb_zip_find(const struct pb_zip *zip, const char *name);

#endif
