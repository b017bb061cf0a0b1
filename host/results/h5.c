/* HDF5 files, groups and error messages. */
#include "results/h5.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"

/* ---- errors ---------------------------------------------------------------------------- */

/* The first cause on HDF5's stack: what the operating system said when there is such a part, else
 * the innermost description. */
static herr_t keep_cause(unsigned n, const H5E_error2_t *entry, void *data)
{
	char *cause = data;
	const char *text, *end;

	if (n > 0 || entry->desc == NULL)
		return 0;
	text = strstr(entry->desc, "error message = '");
	if (text != NULL) {
		text += strlen("error message = '");
		end = strchr(text, '\'');
	} else {
		text = entry->desc;
		end = NULL;
	}
	snprintf(cause, 256, "%.*s", end != NULL ? (int)(end - text) : 200, text);
	return 0;
}

enum pb_status pb_h5_fail(struct pb_error *err, enum pb_status status, const char *format, ...)
{
	char cause[256] = "", text[PB_ERROR_MESSAGE_SIZE / 2];
	va_list args;

	va_start(args, format);
	if (vsnprintf(text, sizeof text, format, args) < 0)
		text[0] = '\0';
	va_end(args);
	H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_cause, cause);
	H5Eclear2(H5E_DEFAULT);
	if (cause[0] == '\0')
		return pb_fail(err, status, "%s", text);
	return pb_fail(err, status, "%s: %s", text, cause);
}

void pb_h5_drop(hid_t id)
{
	if (id >= 0)
		(void)H5Idec_ref(id);
}

/* Object headers, as they lie in the file; in memory each is ten times as large, and a file of many
 * sweeps has thousands. (A small chunk cache would save little more, and with one HDF5 1.10 crashes
 * when the disk is full.) */
#define METADATA_CACHE ((size_t)512 << 10)

/* ---- files ----------------------------------------------------------------------------- */

void pb_h5_begin(void)
{
#if !H5_VERSION_GE(1, 10, 7)
	/* no property yet says what file_access() says of locks */
	(void)setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
#endif
	(void)H5dont_atexit(); /* fails when the library is in use already: then it is late */
	(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* File access: formats that HDF5 1.10 and later read, with room for attributes over 64 KB. No
 * locks: files are written under a name of their own, and locks fail on some network disks. */
static hid_t file_access(void)
{
	hid_t plist = H5Pcreate(H5P_FILE_ACCESS);
	H5AC_cache_config_t cache = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
	bool set = plist >= 0 && H5Pget_mdc_config(plist, &cache) >= 0;

	cache.set_initial_size = true;
	cache.initial_size = cache.max_size = cache.min_size = METADATA_CACHE;
	set = set && H5Pset_mdc_config(plist, &cache) >= 0;
	if (!set || H5Pset_libver_bounds(plist, H5F_LIBVER_V18, H5F_LIBVER_V110) < 0 ||
#if H5_VERSION_GE(1, 10, 7)
	    H5Pset_file_locking(plist, false, true) < 0 ||
#endif
	    H5Pset_fclose_degree(plist, H5F_CLOSE_STRONG) < 0) {
		pb_h5_drop(plist);
		return -1;
	}
	return plist;
}

/* Links in order of creation (netCDF-4's rule), and no time stamps: same values, same bytes. Links
 * and attributes stay in object headers, which have checksums; the heaps that many of them would
 * otherwise go to have none, and HDF5 1.10 crashes where those are damaged. */
static bool group_properties(hid_t plist)
{
	return plist >= 0 && H5Pset_link_phase_change(plist, 1024, 512) >= 0 &&
	       H5Pset_attr_phase_change(plist, 1024, 512) >= 0 &&
	       H5Pset_link_creation_order(plist, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >=
		   0 &&
	       H5Pset_obj_track_times(plist, false) >= 0;
}

enum pb_status pb_h5_file_create(hid_t *file, const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t access, creation;

	*file = -1;
	pb_h5_begin();
	access = file_access();
	creation = H5Pcreate(H5P_FILE_CREATE);
	/* Small index nodes: a file has hundreds of small datasets, each with one node at least. */
	if (access < 0 || !group_properties(creation) || H5Pset_istore_k(creation, 8) < 0) {
		status = pb_h5_fail(err, PB_ERR_INTERNAL, "cannot set up a file: %s", path);
		goto cleanup;
	}
	*file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
	if (*file < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot create file: %s", path);
cleanup:
	pb_h5_drop(access);
	pb_h5_drop(creation);
	return status;
}

enum pb_status pb_h5_file_open(hid_t *file, const char *path, bool writable, enum pb_status failure,
			       struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t access;

	*file = -1;
	pb_h5_begin();
	access = file_access();
	if (access < 0)
		return pb_h5_fail(err, PB_ERR_INTERNAL, "cannot set up to open a file: %s", path);
	*file = H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
	if (*file < 0)
		status = pb_h5_fail(err, failure, "cannot open as HDF5: %s", path);
	pb_h5_drop(access);
	return status;
}

enum pb_status pb_h5_file_close(hid_t *file, const char *path, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t id = *file;

	*file = -1;
	if (H5Fflush(id, H5F_SCOPE_GLOBAL) < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot write file: %s", path);
	if (H5Fclose(id) < 0 && status == PB_OK)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot finish file: %s", path);
	return status;
}

/* ---- groups and objects ------------------------------------------------------------------ */

enum pb_status pb_h5_group_create(hid_t *group, hid_t parent, const char *name,
				  struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t creation = H5Pcreate(H5P_GROUP_CREATE);

	*group = -1;
	if (!group_properties(creation) ||
	    (*group = H5Gcreate2(parent, name, H5P_DEFAULT, creation, H5P_DEFAULT)) < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot create group: %s", name);
	pb_h5_drop(creation);
	return status;
}

enum pb_status pb_h5_group_open(hid_t *group, hid_t parent, const char *name, struct pb_error *err)
{
	*group = H5Gopen2(parent, name, H5P_DEFAULT);
	if (*group < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "missing group: %s", name);
	return PB_OK;
}

bool pb_h5_exists(hid_t parent, const char *path)
{
	char *copy = strdup(path), *slash;
	bool there = copy != NULL;

	/* H5Lexists wants every link on the way to exist. */
	for (slash = copy != NULL ? strchr(copy + 1, '/') : NULL; there && slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		there = H5Lexists(parent, copy, H5P_DEFAULT) > 0;
		*slash = '/';
	}
	there = there && H5Lexists(parent, path, H5P_DEFAULT) > 0;
	free(copy);
	H5Eclear2(H5E_DEFAULT);
	return there;
}

void pb_h5_names_free(char **names, size_t n)
{
	size_t i;

	for (i = 0; names != NULL && i < n; i++)
		free(names[i]);
	free(names);
}

enum pb_status pb_h5_names(hid_t group, char ***names, size_t *n, struct pb_error *err)
{
	enum pb_status status;
	H5G_info_t info;
	size_t i;

	*names = NULL;
	*n = 0;
	if (H5Gget_info(group, &info) < 0)
		return pb_h5_fail(err, PB_ERR_CHECK, "cannot list a group");
	PB_TRY(pb_alloc((void **)names, (size_t)info.nlinks, sizeof **names, "names", err));
	*n = (size_t)info.nlinks;
	for (i = 0; i < *n; i++) {
		ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, NULL,
						    0, H5P_DEFAULT);

		if (length < 0) {
			status = pb_h5_fail(err, PB_ERR_CHECK, "cannot list a group");
			goto cleanup;
		}
		PB_TRY(pb_alloc((void **)&(*names)[i], (size_t)length + 1, 1, "names", err));
		if (H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, (*names)[i],
				       (size_t)length + 1, H5P_DEFAULT) < 0) {
			status = pb_h5_fail(err, PB_ERR_CHECK, "cannot list a group");
			goto cleanup;
		}
	}
	return PB_OK;
cleanup:
	pb_h5_names_free(*names, *n);
	*names = NULL;
	*n = 0;
	return status;
}

bool pb_h5_address(hid_t object, uint64_t *address)
{
	H5O_info_t info;

	if (H5Oget_info(object, &info) < 0)
		return false;
	*address = info.addr;
	return true;
}
