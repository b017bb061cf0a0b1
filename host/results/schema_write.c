/* Datasets and dimension scales, made from the rows of the schema. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/schema.h"

#define CHUNK_ELEMENTS ((size_t)1 << 16) /* at most, in one HDF5 chunk */
#define GZIP_LEVEL 4

hid_t pb_field_memory_type(enum pb_type type)
{
	switch (type) {
	case PB_TYPE_F64:
		return H5T_NATIVE_DOUBLE;
	case PB_TYPE_F32:
		return H5T_NATIVE_FLOAT;
	case PB_TYPE_I32:
		return H5T_NATIVE_INT32;
	case PB_TYPE_FLAG:
		return H5T_NATIVE_UINT8;
	case PB_TYPE_TEXT:
		break;
	}
	return -1;
}

size_t pb_field_element_size(enum pb_type type)
{
	switch (type) {
	case PB_TYPE_F64:
		return sizeof(double);
	case PB_TYPE_F32:
		return sizeof(float);
	case PB_TYPE_I32:
		return sizeof(int32_t);
	case PB_TYPE_FLAG:
		return sizeof(uint8_t);
	case PB_TYPE_TEXT:
		break;
	}
	return sizeof(char *);
}

static hid_t file_type(enum pb_type type)
{
	switch (type) {
	case PB_TYPE_F64:
		return H5T_IEEE_F64LE;
	case PB_TYPE_F32:
		return H5T_IEEE_F32LE;
	case PB_TYPE_I32:
		return H5T_STD_I32LE;
	case PB_TYPE_FLAG:
		return H5T_STD_U8LE;
	case PB_TYPE_TEXT:
		break;
	}
	return -1;
}

/* The value that stands for nothing, in the field's memory type. */
union fill {
	double f64;
	float f32;
	int32_t i32;
	uint8_t flag;
};

static union fill fill_value(enum pb_type type)
{
	union fill fill = {.f64 = 0};

	switch (type) {
	case PB_TYPE_F64:
		fill.f64 = NAN;
		break;
	case PB_TYPE_F32:
		fill.f32 = NAN;
		break;
	case PB_TYPE_I32:
		fill.i32 = -1;
		break;
	case PB_TYPE_FLAG:
		fill.flag = 255;
		break;
	case PB_TYPE_TEXT:
		break;
	}
	return fill;
}

/* ---- shapes ---------------------------------------------------------------------------- */

/* The dimensions of a row, in order; returns how many. */
static int extents(const struct pb_layout *layout, const struct pb_field *field,
		   const struct pb_axes *axes, struct pb_extent out[PB_H5_MAX_RANK])
{
	int n = 0, k;
	size_t i;

	for (i = 0; i < sizeof field->dims / sizeof *field->dims; i++) {
		const enum pb_dim dim = field->dims[i];

		if (dim == PB_DIM_NONE)
			break;
		if (dim != PB_DIM_CELL)
			out[n++] = (struct pb_extent){dim, layout->sizes[dim], -1};
		for (k = 0; dim == PB_DIM_CELL && axes != NULL && k < axes->n; k++)
			out[n++] = axes->items[k];
	}
	return n;
}

size_t pb_field_count(const struct pb_layout *layout, const struct pb_field *field,
		      const struct pb_axes *axes)
{
	struct pb_extent dims[PB_H5_MAX_RANK];
	int n = extents(layout, field, axes, dims), i;
	size_t count = 1;

	/* Whoever has the data in memory has counted it without overflow. */
	for (i = 0; i < n; i++)
		count *= dims[i].size;
	return count;
}

/* Whole trailing dimensions while they fit, then a part of the next one, then single steps. */
static void chunk_shape(int rank, const hsize_t *dims, hsize_t *chunk)
{
	size_t room = CHUNK_ELEMENTS;
	int i;

	for (i = rank - 1; i >= 0; i--) {
		chunk[i] = dims[i] < room ? dims[i] : room;
		room /= (size_t)chunk[i];
		if (room == 0)
			room = 1;
	}
}

/* ---- creating -------------------------------------------------------------------------- */

/* The rows of a part of a view: where they are shown, and where they lie. */
static bool map_part(hid_t plist, int rank, const hsize_t *dims, const struct pb_field_view *view,
		     const struct pb_view_part *part)
{
	hsize_t start[PB_H5_MAX_RANK] = {0}, count[PB_H5_MAX_RANK] = {0};
	hsize_t from[PB_H5_MAX_RANK] = {part->first}, n[PB_H5_MAX_RANK], all[PB_H5_MAX_RANK];
	hid_t shown = H5Screate_simple(rank, dims, NULL), source;
	const int inner = rank - view->n_leading;
	size_t rest = part->box;
	bool good;
	int i;

	for (i = rank - 1; i >= 0; i--)
		count[i] = i < view->n_leading ? 1 : i == view->n_leading ? part->n : dims[i];
	for (i = view->n_leading - 1; i >= 0; i--) {
		start[i] = rest % dims[i];
		rest /= dims[i];
	}
	for (i = 0; i < inner; i++) {
		n[i] = count[view->n_leading + i];
		all[i] = i == 0 ? view->n_rows : n[i];
	}
	source = H5Screate_simple(inner, all, NULL);
	good = shown >= 0 && source >= 0 &&
	       H5Sselect_hyperslab(shown, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
	       H5Sselect_hyperslab(source, H5S_SELECT_SET, from, NULL, n, NULL) >= 0 &&
	       H5Pset_virtual(plist, shown, ".", view->source, source) >= 0;
	pb_h5_drop(source);
	pb_h5_drop(shown);
	return good;
}

/* Chunks with shuffle, gzip and Fletcher32, or the parts of a view. */
static bool storage_properties(hid_t plist, int rank, const hsize_t *dims,
			       const struct pb_field_view *view)
{
	hsize_t chunk[PB_H5_MAX_RANK];
	size_t i;

	if (view == NULL) {
		chunk_shape(rank, dims, chunk);
		return H5Pset_chunk(plist, rank, chunk) >= 0 && H5Pset_shuffle(plist) >= 0 &&
		       H5Pset_deflate(plist, GZIP_LEVEL) >= 0 && H5Pset_fletcher32(plist) >= 0;
	}
	for (i = 0; i < view->n_parts; i++)
		if (!map_part(plist, rank, dims, view, &view->parts[i]))
			return false;
	return true;
}

/* Creation properties: fill value, and storage of numbers (HDF5 refuses Fletcher32 for
 * variable-length text, and gzip would only see pointers to it; a single number has no chunks, nor
 * what works on them). */
static hid_t creation_properties(enum pb_type type, int rank, const hsize_t *dims,
				 const struct pb_field_view *view)
{
	hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
	union fill fill = fill_value(type);

	if (plist < 0 || H5Pset_obj_track_times(plist, false) < 0 ||
	    H5Pset_attr_phase_change(plist, 1024, 512) < 0)
		goto failed;
	if (type == PB_TYPE_TEXT)
		return plist;
	if (H5Pset_fill_value(plist, pb_field_memory_type(type), &fill) < 0)
		goto failed;
	if (rank > 0 && !storage_properties(plist, rank, dims, view))
		goto failed;
	return plist;
failed:
	pb_h5_drop(plist);
	return -1;
}

static enum pb_status put_fill_attribute(hid_t dataset, enum pb_type type, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	union fill fill = fill_value(type);
	const hsize_t one = 1;
	hid_t space = H5Screate_simple(1, &one, NULL), attribute = -1;

	if (space >= 0)
		attribute = H5Acreate2(dataset, "_FillValue", file_type(type), space, H5P_DEFAULT,
				       H5P_DEFAULT);
	if (attribute < 0 || H5Awrite(attribute, pb_field_memory_type(type), &fill) < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot write attribute: _FillValue");
	pb_h5_drop(attribute);
	pb_h5_drop(space);
	return status;
}

/* Attributes of a dataset. _FillValue makes readers turn integers into floats, so integers that
 * are never missing go without; flags say that they are booleans, which xarray honours. */
static enum pb_status put_attributes(hid_t dataset, const struct pb_field *field,
				     const char *long_name, bool fill, struct pb_error *err)
{
	enum pb_status status;

	if (field->type != PB_TYPE_TEXT)
		PB_TRY(pb_h5_put_text(dataset, "units", field->units ? field->units : "1", err));
	PB_TRY(pb_h5_put_text(dataset, "long_name", long_name, err));
	if (field->type == PB_TYPE_FLAG)
		PB_TRY(pb_h5_put_text(dataset, "dtype", "bool", err));
	if (fill)
		PB_TRY(put_fill_attribute(dataset, field->type, err));
	status = PB_OK;
cleanup:
	return status;
}

static enum pb_status create(hid_t group, const char *name, enum pb_type type, int rank,
			     const hsize_t *dims, const struct pb_field_view *view, hid_t *dataset,
			     struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t space = rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
	hid_t text = -1, plist = -1;

	*dataset = -1;
	if (type == PB_TYPE_TEXT)
		PB_TRY(pb_h5_text_type(&text, err));
	plist = creation_properties(type, rank, dims, view);
	if (space >= 0 && plist >= 0)
		*dataset = H5Dcreate2(group, name, type == PB_TYPE_TEXT ? text : file_type(type),
				      space, H5P_DEFAULT, plist, H5P_DEFAULT);
	if (*dataset < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot create dataset: %s", name);
cleanup:
	pb_h5_drop(plist);
	pb_h5_drop(text);
	pb_h5_drop(space);
	return status;
}

static enum pb_status write_scale(hid_t group, enum pb_dim dim, enum pb_type type, size_t size,
				  const void *values, struct pb_error *err)
{
	enum pb_status status;
	const char *name = pb_dim_name(dim);
	const struct pb_field field = {.name = name, .type = type, .units = "1"};
	const hsize_t n = size;
	hid_t dataset = -1;

	PB_TRY(create(group, name, type, 1, &n, NULL, &dataset, err));
	if (H5DSset_scale(dataset, name) < 0) {
		status = pb_h5_fail(err, PB_ERR_IO, "cannot make a scale of: %s", name);
		goto cleanup;
	}
	PB_TRY(put_attributes(dataset, &field, pb_dim_long_name(dim), false, err));
	PB_TRY(pb_h5_write_rows(dataset, name, pb_field_memory_type(type), 0, size, values, err));
	status = pb_h5_dataset_close(&dataset, name, err);
cleanup:
	pb_h5_drop(dataset);
	return status;
}

enum pb_status pb_scale_write(hid_t group, enum pb_dim dim, size_t size, const int32_t *values,
			      const double *numbers, struct pb_error *err)
{
	enum pb_status status;
	const int64_t origin = pb_dim_from_end(dim) ? -(int64_t)size : 0;
	int32_t *counted = NULL;
	size_t i;

	if (size > INT32_MAX)
		return pb_fail(err, PB_ERR_INPUT, "too many values along %s: %zu", pb_dim_name(dim),
			       size);
	if (numbers != NULL)
		return write_scale(group, dim, PB_TYPE_F64, size, numbers, err);
	if (values != NULL)
		return write_scale(group, dim, PB_TYPE_I32, size, values, err);
	PB_TRY(pb_alloc((void **)&counted, size, sizeof *counted, pb_dim_name(dim), err));
	for (i = 0; i < size; i++)
		counted[i] = (int32_t)(origin + (int64_t)i);
	status = write_scale(group, dim, PB_TYPE_I32, size, counted, err);
cleanup:
	free(counted);
	return status;
}

enum pb_status pb_layout_scale(const struct pb_layout *layout, enum pb_dim dim,
			       struct pb_error *err)
{
	return pb_scale_write(layout->file, dim, layout->sizes[dim], NULL, NULL, err);
}

/* Attach a scale to axis `axis` of a dataset, and link it into the dataset's group. */
static enum pb_status attach(const struct pb_layout *layout, hid_t group, hid_t dataset,
			     unsigned axis, const struct pb_extent *extent, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const char *name = pb_dim_name(extent->dim);
	const hid_t home = extent->group >= 0 ? extent->group : layout->file;
	hid_t scale = H5Dopen2(home, name, H5P_DEFAULT);

	if (scale < 0 || H5DSattach_scale(dataset, scale, axis) < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot attach dimension: %s", name);
	else if (H5Lexists(group, name, H5P_DEFAULT) <= 0 &&
		 H5Lcreate_hard(home, name, group, name, H5P_DEFAULT, H5P_DEFAULT) < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot link dimension: %s", name);
	pb_h5_drop(scale);
	return status;
}

static enum pb_status create_field(const struct pb_layout *layout, hid_t group,
				   const struct pb_field *field, const struct pb_axes *axes,
				   bool mask, const struct pb_field_view *view, hid_t *dataset,
				   struct pb_error *err)
{
	enum pb_status status;
	const struct pb_field flag = {.type = PB_TYPE_FLAG};
	const struct pb_field *kind = mask ? &flag : field;
	struct pb_extent dims[PB_H5_MAX_RANK];
	hsize_t sizes[PB_H5_MAX_RANK];
	char name[128], long_name[512];
	int rank = extents(layout, field, axes, dims), i;

	snprintf(name, sizeof name, "%s%s", field->name, mask ? "_mask" : "");
	snprintf(long_name, sizeof long_name, mask ? "1 where %s is not applicable" : "%s",
		 mask ? field->name : field->long_name);
	for (i = 0; i < rank; i++)
		sizes[i] = dims[i].size;
	PB_TRY(create(group, name, kind->type, rank, sizes, view, dataset, err));
	PB_TRY(put_attributes(
	    *dataset, kind, long_name,
	    kind->type != PB_TYPE_TEXT && (kind->type != PB_TYPE_I32 || field->missing), err));
	for (i = 0; i < rank; i++)
		PB_TRY(attach(layout, group, *dataset, (unsigned)i, &dims[i], err));
	return PB_OK;
cleanup:
	pb_h5_drop(*dataset);
	*dataset = -1;
	return status;
}

enum pb_status pb_field_create(const struct pb_layout *layout, hid_t group,
			       const struct pb_field *field, const struct pb_axes *axes, bool mask,
			       hid_t *dataset, struct pb_error *err)
{
	return create_field(layout, group, field, axes, mask, NULL, dataset, err);
}

enum pb_status pb_field_create_view(const struct pb_layout *layout, hid_t group,
				    const struct pb_field *field, const struct pb_axes *axes,
				    const struct pb_field_view *view, struct pb_error *err)
{
	enum pb_status status;
	hid_t dataset = -1;

	PB_TRY(create_field(layout, group, field, axes, false, view, &dataset, err));
	status = pb_h5_dataset_close(&dataset, field->name, err);
cleanup:
	return status;
}

/* ---- writing --------------------------------------------------------------------------- */

static enum pb_status write_all(const struct pb_layout *layout, hid_t group,
				const struct pb_field *field, const struct pb_axes *axes, bool mask,
				const void *data, struct pb_error *err)
{
	enum pb_status status;
	hid_t dataset = -1, type = -1;

	PB_TRY(pb_field_create(layout, group, field, axes, mask, &dataset, err));
	if (!mask && field->type == PB_TYPE_TEXT)
		PB_TRY(pb_h5_text_type(&type, err));
	if (H5Dwrite(dataset,
		     type >= 0 ? type : pb_field_memory_type(mask ? PB_TYPE_FLAG : field->type),
		     H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
		status = pb_h5_fail(err, PB_ERR_IO, "cannot write dataset: %s", field->name);
	else
		status = pb_h5_dataset_close(&dataset, field->name, err);
cleanup:
	pb_h5_drop(type);
	pb_h5_drop(dataset);
	return status;
}

/* A row for the pairs that `suffix` names ("" or "_right"); its texts live in *s. */
struct suffixed {
	struct pb_field field;
	char name[96], long_name[512];
};

static const struct pb_field *with_suffix(struct suffixed *s, const struct pb_field *field,
					  const char *suffix)
{
	s->field = *field;
	snprintf(s->name, sizeof s->name, "%s%s", field->name, suffix);
	snprintf(s->long_name, sizeof s->long_name, "%s%s", field->long_name,
		 suffix[0] != '\0' ? "; over the right pairs only" : "");
	s->field.name = s->name;
	s->field.long_name = s->long_name;
	return &s->field;
}

enum pb_status pb_field_write(const struct pb_layout *layout, hid_t group,
			      const struct pb_field *field, const struct pb_axes *axes,
			      const char *suffix, const void *data, struct pb_error *err)
{
	struct suffixed s;

	if (pb_field_count(layout, field, axes) == 0)
		return PB_OK;
	return write_all(layout, group, with_suffix(&s, field, suffix), axes, false, data, err);
}

enum pb_status pb_field_write_masked(const struct pb_layout *layout, hid_t group,
				     const struct pb_field *field, const struct pb_axes *axes,
				     const char *suffix, const double *data, struct pb_error *err)
{
	enum pb_status status;
	const size_t n = pb_field_count(layout, field, axes);
	struct suffixed s;
	uint8_t *mask = NULL;
	bool any = false;
	size_t i;

	PB_TRY(pb_field_write(layout, group, field, axes, suffix, data, err));
	PB_TRY(pb_alloc((void **)&mask, n, 1, "mask", err));
	for (i = 0; i < n; i++) {
		mask[i] = isnan(data[i]) ? 1 : 0;
		any = any || mask[i];
	}
	if (any)
		status =
		    write_all(layout, group, with_suffix(&s, field, suffix), axes, true, mask, err);
cleanup:
	free(mask);
	return status;
}
