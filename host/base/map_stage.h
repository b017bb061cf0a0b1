/* A mapped file's bytes, from another disk. */
#ifndef PB_BASE_MAP_STAGE_H
#define PB_BASE_MAP_STAGE_H

#include "patchbay/base.h"

/* Copy what `map` shows into a file without a name in `folder`, see that the copy is right, and
 * show the copy at the same address from then on: pointers into the map stay valid. The space is
 * given back when the map is closed or the process ends, however it does. `path`: the file's name,
 * for messages. PB_ERR_INPUT where the folder cannot be written or has too little room; the map is
 * then as it was. */
enum pb_status pb_map_stage(struct pb_map *map, const char *path, const char *folder,
			    struct pb_error *err);

#endif
