/* HDF5 is this thread's; the other one unpacks and hashes. */
#include "results/part_ahead.h"

#include <stdlib.h>

#include "patchbay/base.h"

#define LEAST_BYTES ((size_t)4 << 10)
#define MOST_BYTES ((size_t)16 << 20)

static void drop(struct pb_part_ahead *a)
{
	for (size_t i = 0; a->packed != NULL && i < a->arrays.n; i++)
		pb_h5_packed_free(&a->packed[i]);
	free(a->packed);
	free(a->stored);
	pb_part_arrays_free(&a->arrays);
	pb_part_free(&a->part);
	*a = (struct pb_part_ahead){0};
}

static size_t array_bytes(const struct pb_part_array *item)
{
	return item->count * pb_field_element_size(item->type);
}

bool pb_part_ahead_pays(const struct pb_experiment *e, const struct pb_part *part)
{
	struct pb_part_arrays arrays = {0};
	size_t bytes = 0;

	if (pb_part_arrays_list(&arrays, e, part->values, NULL) == PB_OK)
		for (size_t i = 0; i < arrays.n; i++)
			bytes += array_bytes(&arrays.items[i]);
	pb_part_arrays_free(&arrays);
	return bytes >= LEAST_BYTES && bytes <= MOST_BYTES;
}

/* The arrays: packed where they are large. */
static bool read_arrays(struct pb_part_ahead *a, hid_t group)
{
	for (size_t i = 0; i < a->arrays.n; i++) {
		const struct pb_part_array *item = &a->arrays.items[i];
		const hid_t type = pb_field_memory_type(item->type);

		if (item->count == 0 ||
		    (array_bytes(item) >= LEAST_BYTES &&
		     pb_h5_packed_read(&a->packed[i], group, item->name, type, item->count)))
			continue;
		if (pb_h5_read(group, item->name, type, item->count, item->data, NULL) != PB_OK)
			return false;
	}
	return true;
}

static void *unpack(void *context)
{
	struct pb_part_ahead *a = context;

	a->right = true;
	for (size_t i = 0; a->right && i < a->arrays.n; i++)
		if (a->packed[i].n > 0)
			a->right = pb_h5_packed_unpack(&a->packed[i], a->arrays.items[i].data);
	a->right = a->right && pb_part_check(a->e, &a->part, &a->arrays, a->stored, NULL) == PB_OK;
	return NULL;
}

void pb_part_ahead_begin(struct pb_part_ahead *ahead, const struct pb_experiment *e, size_t chunk,
			 hid_t group)
{
	*ahead = (struct pb_part_ahead){.chunk = chunk, .e = e};
	if (pb_part_read_head(&ahead->part, &ahead->arrays, &ahead->stored, e, chunk, group,
			      "a part", NULL) == PB_OK &&
	    pb_alloc((void **)&ahead->packed, ahead->arrays.n, sizeof *ahead->packed, "a part",
		     NULL) == PB_OK &&
	    read_arrays(ahead, group))
		ahead->under_way = pthread_create(&ahead->thread, NULL, unpack, ahead) == 0;
	if (ahead->under_way)
		return;
	drop(ahead);
	ahead->chunk = chunk;
	ahead->failed = true;
}

bool pb_part_ahead_end(struct pb_part_ahead *ahead, struct pb_part *out)
{
	bool right = false;

	*out = (struct pb_part){0};
	if (!ahead->under_way)
		return false;
	right = pthread_join(ahead->thread, NULL) == 0 && ahead->right;
	if (right) {
		*out = ahead->part;
		ahead->part = (struct pb_part){0};
	}
	drop(ahead);
	return right;
}

void pb_part_ahead_drop(struct pb_part_ahead *ahead)
{
	struct pb_part part;

	if (pb_part_ahead_end(ahead, &part))
		pb_part_free(&part);
}
