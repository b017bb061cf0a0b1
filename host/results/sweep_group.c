/* The name and the attributes of a sweep's group. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/base.h"
#include "results/layout.h"

char *pb_sweep_group_name(const struct pb_experiment *e, size_t sweep)
{
	const struct pb_sweep *s = &e->sweeps[sweep];
	const char *intervention = pb_intervention_names[s->intervention];
	const char *site = pb_site_names[s->site];
	const char *direction = pb_direction_names[s->direction];
	const char *positions = pb_positions_names[s->positions];

	if (s->intervention == PB_PATH)
		return pb_format("%zu_path_%s_to_%s_%s_freeze_%s", sweep,
				 pb_sender_names[s->sender], pb_receiver_names[s->receiver],
				 direction, pb_freeze_names[s->freeze]);
	if (s->by_sets)
		return pb_format("%zu_%s_sets_%s_%s_%s%s", sweep, intervention, site, direction,
				 positions, s->complement ? "_complement" : "");
	if (s->window > 1)
		return pb_format("%zu_%s_%s_%s_%s_window_%zu", sweep, intervention, site, direction,
				 positions, s->window);
	return pb_format("%zu_%s_%s_%s_%s", sweep, intervention, site, direction, positions);
}

/* ---- attributes -------------------------------------------------------------------------- */

/* Names with ", " between them. */
static enum pb_status put_names(hid_t group, const char *name, size_t n, const char *const *texts,
				struct pb_error *err)
{
	enum pb_status status;
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: attribute %s", name);
	for (i = 0; i < n; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : "", texts[i]);
	if (fclose(out) != 0)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: attribute %s", name);
	else
		status = pb_h5_put_text(group, name, text, err);
	free(text);
	return status;
}

static enum pb_status put_values(const struct pb_sweep *s, hid_t group, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	const bool scaled = s->intervention == PB_SCALE || s->intervention == PB_ADD;

	if (scaled && s->n_alphas > 0)
		PB_TRY(pb_h5_put_doubles(group, "alpha", s->n_alphas, s->alphas, err));
	if (s->vector != NULL)
		PB_TRY(pb_h5_put_text(group, "vector", s->vector, err));
	if (s->subspace != NULL)
		PB_TRY(pb_h5_put_text(group, "subspace", s->subspace, err));
	if (s->intervention == PB_MEAN) {
		PB_TRY(pb_h5_put_text(group, "reference_over",
				      pb_reference_over_names[s->reference_over], err));
		PB_TRY(pb_h5_put_text(group, "reference_by", pb_reference_by_names[s->reference_by],
				      err));
	}
	if (s->reference_path != NULL)
		PB_TRY(pb_h5_put_text(group, "reference_file", s->reference_path, err));
	if (s->intervention == PB_RESAMPLE || s->intervention == PB_CONTROL)
		PB_TRY(pb_h5_put_uint(group, "seed", s->seed, err));
cleanup:
	return status;
}

static enum pb_status put_parts(const struct pb_sweep *s, hid_t group, struct pb_error *err)
{
	const struct {
		const char *name;
		size_t n;
		const int32_t *values;
	} lists[] = {{"list", s->positions == PB_POSITIONS_LIST ? s->n_list : 0, s->list},
		     {"layers", s->n_layers, s->layers},
		     {"heads", s->n_heads, s->heads},
		     {"neurons", s->neuron_list != NULL ? s->n_neurons : 0, s->neuron_list},
		     {"receiver_layers", s->n_receiver_layers, s->receiver_layers},
		     {"receiver_heads", s->n_receiver_heads, s->receiver_heads}};
	enum pb_status status = PB_OK;
	size_t i;

	for (i = 0; i < sizeof lists / sizeof *lists; i++)
		if (lists[i].n > 0)
			PB_TRY(
			    pb_h5_put_ints(group, lists[i].name, lists[i].n, lists[i].values, err));
	if (s->positions == PB_POSITIONS_ROLES && s->n_roles > 0)
		PB_TRY(put_names(group, "roles", s->n_roles, s->roles, err));
cleanup:
	return status;
}

static enum pb_status put_sets(const struct pb_sweep *s, hid_t group, struct pb_error *err)
{
	enum pb_status status;
	const struct pb_set_sources *from = &s->set_sources;

	PB_TRY(pb_h5_put_int(group, "n_sets", (int64_t)s->n_sets, err));
	PB_TRY(pb_h5_put_int(group, "complement", s->complement, err));
	PB_TRY(pb_h5_put_int(group, "sets_all_pairs", from->all_pairs, err));
	if (from->top_path != NULL) {
		PB_TRY(pb_h5_put_text(group, "sets_top_file", from->top_path, err));
		PB_TRY(pb_h5_put_text(group, "sets_top_sweep",
				      from->top_sweep != NULL ? from->top_sweep : "", err));
		if (from->n_top_layers > 0)
			PB_TRY(pb_h5_put_ints(group, "sets_top_layers", from->n_top_layers,
					      from->top_layers, err));
		else
			PB_TRY(pb_h5_put_int(group, "sets_top_k", (int64_t)from->top, err));
	}
	if (from->random_count > 0) {
		if (from->random_size == PB_SIZE_EACH)
			PB_TRY(pb_h5_put_text(group, "sets_random_size", "each", err));
		else
			PB_TRY(pb_h5_put_int(group, "sets_random_size", (int64_t)from->random_size,
					     err));
		PB_TRY(pb_h5_put_int(group, "sets_random_count", (int64_t)from->random_count, err));
		PB_TRY(pb_h5_put_uint(group, "sets_random_seed", from->random_seed, err));
		PB_TRY(pb_h5_put_text(group, "sets_random_match",
				      from->random_match_layer ? "layer" : "none", err));
	}
cleanup:
	return status;
}

/* The receivers of a set as the config writes them: L9H6.q, M7, logits. */
static enum pb_status put_receivers(const struct pb_sweep *s, hid_t group, struct pb_error *err)
{
	enum pb_status status;
	char(*labels)[48] = NULL;
	const char **texts = NULL;
	size_t i;

	PB_TRY(pb_alloc((void **)&labels, s->n_receivers, sizeof *labels, "receivers", err));
	PB_TRY(pb_alloc((void **)&texts, s->n_receivers, sizeof *texts, "receivers", err));
	for (i = 0; i < s->n_receivers; i++) {
		const struct pb_receiver_member *r = &s->receivers[i];

		if (r->kind == PB_RECEIVER_LOGITS)
			snprintf(labels[i], sizeof labels[i], "logits");
		else if (r->kind == PB_RECEIVER_MLP)
			snprintf(labels[i], sizeof labels[i], "M%d", (int)r->layer);
		else
			snprintf(labels[i], sizeof labels[i], "L%dH%d.%s", (int)r->layer,
				 (int)r->head, pb_receiver_names[r->kind]);
		texts[i] = labels[i];
	}
	status = put_names(group, "receivers", s->n_receivers, texts, err);
cleanup:
	free(labels);
	free(texts);
	return status;
}

static enum pb_status put_path(const struct pb_sweep *s, hid_t group, struct pb_error *err)
{
	enum pb_status status;

	PB_TRY(pb_h5_put_text(group, "sender", pb_sender_names[s->sender], err));
	PB_TRY(pb_h5_put_text(group, "receiver", pb_receiver_names[s->receiver], err));
	PB_TRY(pb_h5_put_text(group, "freeze", pb_freeze_names[s->freeze], err));
	if (s->receiver == PB_RECEIVER_SET)
		PB_TRY(put_receivers(s, group, err));
cleanup:
	return status;
}

/* All of the residual stream replaced is the donor's run from there on. */
static bool is_constant(const struct pb_sweep *s)
{
	return s->intervention == PB_PATCH && !s->by_sets && s->positions == PB_POSITIONS_ALL &&
	       (s->site == PB_SITE_RESID_PRE || s->site == PB_SITE_RESID_MID ||
		s->site == PB_SITE_RESID_POST);
}

enum pb_status pb_sweep_attributes_write(const struct pb_experiment *e, size_t sweep, hid_t group,
					 struct pb_error *err)
{
	enum pb_status status;
	const struct pb_sweep *s = &e->sweeps[sweep];

	PB_TRY(pb_h5_put_text(group, "intervention", pb_intervention_names[s->intervention], err));
	if (s->intervention != PB_PATH)
		PB_TRY(pb_h5_put_text(group, "site", pb_site_names[s->site], err));
	PB_TRY(pb_h5_put_text(group, "direction", pb_direction_names[s->direction], err));
	PB_TRY(pb_h5_put_text(group, "positions", pb_positions_names[s->positions], err));
	PB_TRY(pb_h5_put_text(group, "recipient", pb_side_names[s->direction == PB_DENOISE ? 1 : 0],
			      err));
	PB_TRY(pb_h5_put_double(group, "min_gap", s->min_gap, err));
	PB_TRY(put_values(s, group, err));
	PB_TRY(put_parts(s, group, err));
	if (s->window > 1)
		PB_TRY(pb_h5_put_int(group, "window", (int64_t)s->window, err));
	if (s->by_sets)
		PB_TRY(put_sets(s, group, err));
	if (s->intervention == PB_PATH)
		PB_TRY(put_path(s, group, err));
	if (is_constant(s))
		PB_TRY(pb_h5_put_text(group, "note",
				      "constant by construction: with all of the residual stream "
				      "replaced the rest of the run is the donor's, whatever the "
				      "layer",
				      err));
cleanup:
	return status;
}
