/* HDF5 attributes: scalar text, integers and floats. */
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/h5.h"

enum pb_status pb_h5_text_type(hid_t *type, struct pb_error *err)
{
	*type = H5Tcopy(H5T_C_S1);
	if (*type < 0 || H5Tset_size(*type, H5T_VARIABLE) < 0 ||
	    H5Tset_cset(*type, H5T_CSET_UTF8) < 0) {
		pb_h5_drop(*type);
		*type = -1;
		return pb_h5_fail(err, PB_ERR_INTERNAL, "cannot make the text type");
	}
	return PB_OK;
}

/* Write an attribute; `space` is given up. */
static enum pb_status put_in(hid_t space, hid_t object, const char *name, hid_t file_type,
			     hid_t memory_type, const void *value, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t attribute = -1;

	if (space >= 0)
		attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
	if (attribute < 0 || H5Awrite(attribute, memory_type, value) < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot write attribute: %s", name);
	pb_h5_drop(attribute);
	pb_h5_drop(space);
	return status;
}

static enum pb_status put(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
			  const void *value, struct pb_error *err)
{
	return put_in(H5Screate(H5S_SCALAR), object, name, file_type, memory_type, value, err);
}

enum pb_status pb_h5_put_ints(hid_t object, const char *name, size_t n, const int32_t *values,
			      struct pb_error *err)
{
	const hsize_t size = n;

	return put_in(H5Screate_simple(1, &size, NULL), object, name, H5T_STD_I32LE,
		      H5T_NATIVE_INT32, values, err);
}

enum pb_status pb_h5_put_doubles(hid_t object, const char *name, size_t n, const double *values,
				 struct pb_error *err)
{
	const hsize_t size = n;

	return put_in(H5Screate_simple(1, &size, NULL), object, name, H5T_IEEE_F64LE,
		      H5T_NATIVE_DOUBLE, values, err);
}

enum pb_status pb_h5_put_text(hid_t object, const char *name, const char *value,
			      struct pb_error *err)
{
	enum pb_status status;
	hid_t type = -1;

	PB_TRY(pb_h5_text_type(&type, err));
	status = put(object, name, type, type, &value, err);
cleanup:
	pb_h5_drop(type);
	return status;
}

#define INLINE_MOST 60000 /* an attribute in a header is smaller than 64 KB */

enum pb_status pb_h5_put_text_inline(hid_t object, const char *name, const char *value,
				     struct pb_error *err)
{
	const size_t size = strlen(value) + 1;
	enum pb_status status = PB_OK;
	hid_t type;

	if (size > INLINE_MOST)
		return pb_h5_put_text(object, name, value, err);
	type = H5Tcopy(H5T_C_S1);
	if (type < 0 || H5Tset_size(type, size) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)
		status = pb_h5_fail(err, PB_ERR_INTERNAL, "cannot make the text type");
	else
		status = put(object, name, type, type, value, err);
	pb_h5_drop(type);
	return status;
}

enum pb_status pb_h5_put_int(hid_t object, const char *name, int64_t value, struct pb_error *err)
{
	return put(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, err);
}

enum pb_status pb_h5_put_uint(hid_t object, const char *name, uint64_t value, struct pb_error *err)
{
	return put(object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value, err);
}

enum pb_status pb_h5_put_double(hid_t object, const char *name, double value, struct pb_error *err)
{
	return put(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, err);
}

bool pb_h5_has(hid_t object, const char *name)
{
	bool has = H5Aexists(object, name) > 0;

	H5Eclear2(H5E_DEFAULT);
	return has;
}

/* Open an attribute that must be one value of a class. */
static enum pb_status open_scalar(hid_t *attribute, hid_t object, const char *name,
				  H5T_class_t wanted, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t type = -1, space = -1;

	*attribute = -1;
	if (!pb_h5_has(object, name))
		return pb_fail(err, PB_ERR_CHECK, "missing attribute: %s", name);
	*attribute = H5Aopen(object, name, H5P_DEFAULT);
	if (*attribute >= 0) {
		type = H5Aget_type(*attribute);
		space = H5Aget_space(*attribute);
	}
	if (type < 0 || space < 0 || H5Tget_class(type) != wanted ||
	    H5Sget_simple_extent_npoints(space) != 1) {
		status =
		    pb_h5_fail(err, PB_ERR_CHECK, "attribute is not what it should be: %s", name);
		pb_h5_drop(*attribute);
		*attribute = -1;
	}
	pb_h5_drop(type);
	pb_h5_drop(space);
	return status;
}

static enum pb_status get_inline(hid_t attribute, hid_t type, const char *name, char **value,
				 struct pb_error *err)
{
	const size_t size = H5Tget_size(type);
	enum pb_status status;
	char *text = NULL;

	if (size == 0 || size > INLINE_MOST)
		return pb_fail(err, PB_ERR_CHECK, "attribute is not what it should be: %s", name);
	PB_TRY(pb_alloc((void **)&text, size + 1, 1, name, err));
	if (H5Aread(attribute, type, text) < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read attribute: %s", name);
		free(text);
		return status;
	}
	*value = text;
cleanup:
	return status;
}

enum pb_status pb_h5_get_text(hid_t object, const char *name, char **value, struct pb_error *err)
{
	enum pb_status status;
	hid_t attribute = -1, type = -1, stored = -1;
	char *text = NULL;

	*value = NULL;
	PB_TRY(open_scalar(&attribute, object, name, H5T_STRING, err));
	stored = H5Aget_type(attribute);
	if (stored >= 0 && H5Tis_variable_str(stored) == 0) {
		status = get_inline(attribute, stored, name, value, err);
		goto cleanup;
	}
	PB_TRY(pb_h5_text_type(&type, err));
	if (H5Aread(attribute, type, &text) < 0) {
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read attribute: %s", name);
		goto cleanup;
	}
	/* HDF5 may use an allocator of its own, and gives NULL for an empty string. */
	*value = strdup(text != NULL ? text : "");
	if (*value == NULL)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: attribute %s", name);
cleanup:
	(void)H5free_memory(text);
	pb_h5_drop(stored);
	pb_h5_drop(type);
	pb_h5_drop(attribute);
	return status;
}

enum pb_status pb_h5_get_int(hid_t object, const char *name, int64_t *value, struct pb_error *err)
{
	enum pb_status status;
	hid_t attribute = -1;

	PB_TRY(open_scalar(&attribute, object, name, H5T_INTEGER, err));
	if (H5Aread(attribute, H5T_NATIVE_INT64, value) < 0)
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read attribute: %s", name);
cleanup:
	pb_h5_drop(attribute);
	return status;
}

enum pb_status pb_h5_get_double(hid_t object, const char *name, double *value, struct pb_error *err)
{
	enum pb_status status;
	hid_t attribute = -1;

	PB_TRY(open_scalar(&attribute, object, name, H5T_FLOAT, err));
	if (H5Aread(attribute, H5T_NATIVE_DOUBLE, value) < 0)
		status = pb_h5_fail(err, PB_ERR_CHECK, "cannot read attribute: %s", name);
cleanup:
	pb_h5_drop(attribute);
	return status;
}
