/* Which sites of which layers a cell writes. */
#include <stdlib.h>

#include "engine/cells.h"

static enum pb_status add_injection(struct pb_variants *list, size_t layer, enum pb_site site,
				    int32_t index, struct pb_error *err)
{
	void *grown = list->injections;
	enum pb_status status = pb_grow(&grown, &list->injections_capacity, list->n_injections + 1,
					sizeof *list->injections, "variants", err);

	list->injections = grown;
	if (status == PB_OK)
		list->injections[list->n_injections++] = (struct pb_injection){
		    .layer = (int16_t)layer, .site = (int16_t)site, .index = index};
	return status;
}

/* resid_post of a layer is resid_pre of the next one. */
static enum pb_status add_site(const struct pb_sweep_work *w, struct pb_variants *list,
			       size_t layer, int32_t index, struct pb_error *err)
{
	enum pb_site site = w->sweep->site;

	if (site == PB_SITE_RESID_POST && layer + 1 < w->arch->n_layers)
		return add_injection(list, layer + 1, PB_SITE_RESID_PRE, index, err);
	return add_injection(list, layer, site, index, err);
}

static enum pb_status site_injections(const struct pb_sweep_work *w, size_t cell,
				      struct pb_variants *list, struct pb_error *err)
{
	int32_t layer = pb_grid_value(w->grid, cell, PB_AXIS_LAYER);
	int32_t index = pb_grid_value(w->grid, cell, PB_AXIS_HEAD);
	int32_t half = w->sweep->window > 1 ? (int32_t)(w->sweep->window / 2) : 0;
	enum pb_status status = PB_OK;

	if (index < 0)
		index = pb_grid_value(w->grid, cell, PB_AXIS_KV_HEAD);
	if (index < 0)
		index = pb_grid_value(w->grid, cell, PB_AXIS_NEURON);
	if (layer < 0) /* embed */
		return add_injection(list, 0, w->sweep->site, -1, err);
	for (int32_t l = layer - half; l <= layer + half; l++)
		if (l >= 0 && l < (int32_t)w->arch->n_layers)
			PB_TRY(add_site(w, list, (size_t)l, index, err));
cleanup:
	return status;
}

static int by_computation(const void *a, const void *b)
{
	const struct pb_injection *x = a, *y = b;

	if (x->layer != y->layer)
		return x->layer < y->layer ? -1 : 1;
	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static enum pb_status set_injections(const struct pb_sweep_work *w, size_t cell,
				     struct pb_variants *list, struct pb_error *err)
{
	const struct pb_set *set = &w->sets[pb_grid_value(w->grid, cell, PB_AXIS_SET)];
	size_t start = list->n_injections;
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < set->n; i++) {
		const struct pb_member *m = &set->members[i];

		PB_TRY(add_injection(list, (size_t)m->layer,
				     m->head < 0 ? PB_SITE_MLP_OUT : w->sweep->site, m->head, err));
	}
	if (list->n_injections > start)
		qsort(list->injections + start, list->n_injections - start,
		      sizeof *list->injections, by_computation);
cleanup:
	return status;
}

static enum pb_status add_receiver(const struct pb_sweep_work *w, struct pb_variants *list,
				   enum pb_receiver kind, int32_t layer, int32_t head,
				   int32_t sender_layer, struct pb_error *err)
{
	static const enum pb_site sites[] = {[PB_RECEIVER_Q] = PB_SITE_Q,
					     [PB_RECEIVER_K] = PB_SITE_K,
					     [PB_RECEIVER_V] = PB_SITE_V,
					     [PB_RECEIVER_MLP] = PB_SITE_MLP_PRE};

	if (!pb_path_exists(w->arch, w->sweep->sender, sender_layer, kind, layer))
		return PB_OK;
	if (kind == PB_RECEIVER_LOGITS) /* what comes after the last layer */
		return add_injection(list, w->arch->n_layers, PB_SITE_RESID_PRE, -1, err);
	return add_injection(list, (size_t)layer, sites[kind], kind == PB_RECEIVER_MLP ? -1 : head,
			     err);
}

static enum pb_status path_injections(const struct pb_sweep_work *w, size_t cell,
				      struct pb_variants *list, struct pb_error *err)
{
	const struct pb_sweep *s = w->sweep;
	int32_t sender_layer = pb_grid_value(w->grid, cell, PB_AXIS_SENDER_LAYER);
	int32_t head = pb_grid_value(w->grid, cell, PB_AXIS_RECEIVER_HEAD);
	size_t start = list->n_injections;
	enum pb_status status = PB_OK;

	if (head < 0)
		head = pb_grid_value(w->grid, cell, PB_AXIS_RECEIVER_KV_HEAD);
	if (s->receiver != PB_RECEIVER_SET)
		return add_receiver(w, list, s->receiver,
				    pb_grid_value(w->grid, cell, PB_AXIS_RECEIVER_LAYER), head,
				    sender_layer, err);
	for (size_t i = 0; i < s->n_receivers; i++)
		PB_TRY(add_receiver(w, list, s->receivers[i].kind, s->receivers[i].layer,
				    s->receivers[i].head, sender_layer, err));
	if (list->n_injections > start)
		qsort(list->injections + start, list->n_injections - start,
		      sizeof *list->injections, by_computation);
cleanup:
	return status;
}

enum pb_status pb_cell_injections(const struct pb_sweep_work *w, size_t cell,
				  struct pb_variants *list, struct pb_error *err)
{
	if (w->sweep->intervention == PB_PATH)
		return path_injections(w, cell, list, err);
	if (w->sweep->by_sets)
		return set_injections(w, cell, list, err);
	return site_injections(w, cell, list, err);
}
