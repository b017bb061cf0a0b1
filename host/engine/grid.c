/* From the words of a sweep to the cells of its results. */
#include "patchbay/grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const pb_axis_names[PB_N_AXIS_KINDS] = {
    [PB_AXIS_ALPHA] = "alpha",
    [PB_AXIS_SET] = "set",
    [PB_AXIS_LAYER] = "layer",
    [PB_AXIS_HEAD] = "head",
    [PB_AXIS_KV_HEAD] = "kv_head",
    [PB_AXIS_NEURON] = "neuron",
    [PB_AXIS_POSITION] = "position",
    [PB_AXIS_QUERY_POSITION] = "query_position",
    [PB_AXIS_KEY_POSITION] = "key_position",
    [PB_AXIS_SENDER_LAYER] = "sender_layer",
    [PB_AXIS_SENDER_HEAD] = "sender_head",
    [PB_AXIS_RECEIVER_LAYER] = "receiver_layer",
    [PB_AXIS_RECEIVER_HEAD] = "receiver_head",
    [PB_AXIS_RECEIVER_KV_HEAD] = "receiver_kv_head",
};

/* ---- making a grid --------------------------------------------------------------------------- */

/* An axis over `size` things, or over the chosen ones, which must be below size and rising. */
static enum pb_status add_axis(struct pb_grid *g, enum pb_axis_kind kind, size_t size, size_t n,
			       const int32_t *chosen, const char *key, struct pb_error *err)
{
	struct pb_axis axis = {.kind = kind, .n = n ? n : size, .values = n ? chosen : NULL};

	for (size_t i = 0; i < n; i++) {
		if (chosen[i] < 0 || (size_t)chosen[i] >= size)
			return pb_fail(err, PB_ERR_INPUT,
				       "out of range: sweep.%s: %d: this model has 0 to %zu", key,
				       (int)chosen[i], size - 1);
		if (i > 0 && chosen[i] <= chosen[i - 1])
			return pb_fail(err, PB_ERR_INPUT,
				       "not in rising order: sweep.%s: %d: give each once, rising",
				       key, (int)chosen[i]);
	}
	if (!pb_size_mul(g->n_cells, axis.n, &g->n_cells) || g->n_cells > INT32_MAX)
		return pb_fail(err, PB_ERR_INPUT,
			       "too many cells: sweep.%s: choose layers, heads or positions", key);
	g->axes[g->n_axes++] = axis;
	return PB_OK;
}

static enum pb_status check_member(const struct pb_member *m, const struct pb_sweep *s,
				   const struct pb_arch *a, const char *set, struct pb_error *err)
{
	size_t heads = pb_site_indices[s->site] == PB_INDEX_KV_HEAD ? a->n_kv_heads : a->n_heads;

	char label[32];

	if (m->layer >= 0 && (size_t)m->layer < a->n_layers &&
	    (m->head < 0 || (size_t)m->head < heads))
		return PB_OK;
	if (m->head < 0)
		(void)snprintf(label, sizeof label, "M%d", (int)m->layer);
	else
		(void)snprintf(label, sizeof label, "L%dH%d", (int)m->layer, (int)m->head);
	return pb_fail(err, PB_ERR_INPUT,
		       "out of range: sweep.sets, set '%s', %s: this model has %zu layers of %zu "
		       "heads, counted from 0",
		       set, label, a->n_layers, heads);
}

static enum pb_status check_sets(const struct pb_sweep *s, const struct pb_arch *a,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;

	for (size_t i = 0; i < s->n_sets; i++)
		for (size_t m = 0; m < s->sets[i].n; m++)
			PB_TRY(check_member(&s->sets[i].members[m], s, a, s->sets[i].name, err));
cleanup:
	return status;
}

static enum pb_status add_positions(struct pb_grid *g, const struct pb_sweep *s, size_t max_length,
				    struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (s->positions == PB_POSITIONS_EACH && s->site != PB_SITE_PATTERN)
		return add_axis(g, PB_AXIS_POSITION, max_length, 0, NULL, "positions", err);
	if (s->positions == PB_POSITIONS_EACH || s->positions == PB_POSITIONS_EACH_KEY)
		PB_TRY(add_axis(g, PB_AXIS_QUERY_POSITION, max_length, 0, NULL, "positions", err));
	if (s->positions == PB_POSITIONS_EACH_KEY)
		PB_TRY(add_axis(g, PB_AXIS_KEY_POSITION, max_length, 0, NULL, "positions", err));
cleanup:
	return status;
}

static enum pb_status site_axes(struct pb_grid *g, const struct pb_sweep *s,
				const struct pb_arch *a, struct pb_error *err)
{
	enum pb_status status = PB_OK;

	if (s->site == PB_SITE_EMBED)
		return PB_OK;
	if (s->site == PB_SITE_RESID_MID && a->parallel)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such site in this model: sweep.site: resid_mid: its blocks are "
			       "parallel, attention and MLP read the same resid_pre; use attn_out, "
			       "mlp_out or resid_post");
	PB_TRY(add_axis(g, PB_AXIS_LAYER, a->n_layers, s->n_layers, s->layers, "layers", err));
	if (pb_site_indices[s->site] == PB_INDEX_HEAD)
		PB_TRY(add_axis(g, PB_AXIS_HEAD, a->n_heads, s->n_heads, s->heads, "heads", err));
	else if (pb_site_indices[s->site] == PB_INDEX_KV_HEAD)
		PB_TRY(add_axis(g, PB_AXIS_KV_HEAD, a->n_kv_heads, s->n_heads, s->heads, "heads",
				err));
	else if (s->neurons)
		PB_TRY(add_axis(g, PB_AXIS_NEURON, a->d_mlp, s->n_neurons, s->neuron_list,
				"neurons", err));
cleanup:
	return status;
}

static enum pb_status check_receivers(const struct pb_sweep *s, const struct pb_arch *a,
				      struct pb_error *err)
{
	char label[32];

	for (size_t i = 0; i < s->n_receivers; i++) {
		const struct pb_receiver_member *r = &s->receivers[i];
		size_t heads = r->kind == PB_RECEIVER_Q ? a->n_heads : a->n_kv_heads;

		if (r->kind == PB_RECEIVER_LOGITS)
			continue;
		if (r->layer >= 0 && (size_t)r->layer < a->n_layers &&
		    (r->kind == PB_RECEIVER_MLP || (r->head >= 0 && (size_t)r->head < heads)))
			continue;
		if (r->kind == PB_RECEIVER_MLP)
			(void)snprintf(label, sizeof label, "M%d", (int)r->layer);
		else
			(void)snprintf(label, sizeof label, "L%dH%d.%s", (int)r->layer,
				       (int)r->head, pb_receiver_names[r->kind]);
		return pb_fail(err, PB_ERR_INPUT,
			       "out of range: sweep.receiver: %s: this model has %zu layers of %zu "
			       "heads (%zu for k and v), counted from 0",
			       label, a->n_layers, a->n_heads, a->n_kv_heads);
	}
	return PB_OK;
}

static enum pb_status path_axes(struct pb_grid *g, const struct pb_sweep *s,
				const struct pb_arch *a, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	bool kv = s->receiver == PB_RECEIVER_K || s->receiver == PB_RECEIVER_V;

	if (s->sender != PB_SENDER_EMBED)
		PB_TRY(add_axis(g, PB_AXIS_SENDER_LAYER, a->n_layers, s->n_layers, s->layers,
				"layers", err));
	if (s->sender == PB_SENDER_HEAD)
		PB_TRY(add_axis(g, PB_AXIS_SENDER_HEAD, a->n_heads, s->n_heads, s->heads, "heads",
				err));
	if (s->receiver == PB_RECEIVER_SET)
		return check_receivers(s, a, err);
	if (s->receiver != PB_RECEIVER_LOGITS)
		PB_TRY(add_axis(g, PB_AXIS_RECEIVER_LAYER, a->n_layers, s->n_receiver_layers,
				s->receiver_layers, "receiver_layers", err));
	if (kv || s->receiver == PB_RECEIVER_Q)
		PB_TRY(add_axis(g, kv ? PB_AXIS_RECEIVER_KV_HEAD : PB_AXIS_RECEIVER_HEAD,
				kv ? a->n_kv_heads : a->n_heads, s->n_receiver_heads,
				s->receiver_heads, "receiver_heads", err));
cleanup:
	return status;
}

enum pb_status pb_grid_make(struct pb_grid *grid, const struct pb_sweep *s, const struct pb_arch *a,
			    size_t max_length, struct pb_error *err)
{
	enum pb_status status;

	*grid = (struct pb_grid){.n_cells = 1};
	if (s->n_alphas > 1) {
		grid->axes[grid->n_axes++] =
		    (struct pb_axis){.kind = PB_AXIS_ALPHA, .n = s->n_alphas, .numbers = s->alphas};
		grid->n_cells = s->n_alphas;
	}
	if (s->intervention == PB_PATH)
		return path_axes(grid, s, a, err);
	if (s->by_sets) {
		PB_TRY(check_sets(s, a, err));
		PB_TRY(add_axis(grid, PB_AXIS_SET, s->n_sets, 0, NULL, "sets", err));
	} else {
		PB_TRY(site_axes(grid, s, a, err));
	}
	PB_TRY(add_positions(grid, s, max_length, err));
cleanup:
	return status;
}

/* ---- cells ----------------------------------------------------------------------------------- */

void pb_grid_steps(const struct pb_grid *grid, size_t cell, size_t steps[PB_GRID_AXES])
{
	for (size_t i = grid->n_axes; i-- > 0;) {
		steps[i] = cell % grid->axes[i].n;
		cell /= grid->axes[i].n;
	}
}

size_t pb_grid_cell(const struct pb_grid *grid, const size_t steps[PB_GRID_AXES])
{
	size_t cell = 0;

	for (size_t i = 0; i < grid->n_axes; i++)
		cell = cell * grid->axes[i].n + steps[i];
	return cell;
}

int pb_grid_axis(const struct pb_grid *grid, enum pb_axis_kind kind)
{
	for (size_t i = 0; i < grid->n_axes; i++)
		if (grid->axes[i].kind == kind)
			return (int)i;
	return -1;
}

int32_t pb_grid_value(const struct pb_grid *grid, size_t cell, enum pb_axis_kind kind)
{
	int axis = pb_grid_axis(grid, kind);
	size_t steps[PB_GRID_AXES];

	if (axis < 0)
		return -1;
	pb_grid_steps(grid, cell, steps);
	return grid->axes[axis].values ? grid->axes[axis].values[steps[axis]]
				       : (int32_t)steps[axis];
}

/* ---- labels ---------------------------------------------------------------------------------- */

struct text {
	char *at;
	size_t size, used;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	if (t->used >= t->size)
		return;
	va_start(args, format);
	n = vsnprintf(t->at + t->used, t->size - t->used, format, args);
	va_end(args);
	if (n > 0)
		t->used += (size_t)n;
}

static void put_end(struct text *t, int32_t layer, int32_t head, const char *none)
{
	if (layer < 0)
		put(t, "%s", none);
	else if (head < 0)
		put(t, "M%d", (int)layer);
	else
		put(t, "L%dH%d", (int)layer, (int)head);
}

static void put_receiver(struct text *t, const struct pb_grid *g, const struct pb_sweep *s,
			 size_t cell)
{
	int32_t layer = pb_grid_value(g, cell, PB_AXIS_RECEIVER_LAYER);
	int32_t head = pb_grid_value(g, cell, PB_AXIS_RECEIVER_HEAD);

	if (head < 0)
		head = pb_grid_value(g, cell, PB_AXIS_RECEIVER_KV_HEAD);
	put_end(t, layer, head, s->receiver == PB_RECEIVER_SET ? "receivers" : "logits");
	if (head >= 0)
		put(t, ".%s", pb_receiver_names[s->receiver]);
}

static void put_site(struct text *t, const struct pb_grid *g, const struct pb_sweep *s, size_t cell)
{
	int32_t layer = pb_grid_value(g, cell, PB_AXIS_LAYER);
	int32_t head = pb_grid_value(g, cell, PB_AXIS_HEAD);
	int32_t kv_head = pb_grid_value(g, cell, PB_AXIS_KV_HEAD);
	int32_t neuron = pb_grid_value(g, cell, PB_AXIS_NEURON);

	if (head >= 0 || kv_head >= 0)
		put(t, "L%dH%d", (int)layer, (int)(head >= 0 ? head : kv_head));
	else if (neuron >= 0)
		put(t, "M%d neuron %d", (int)layer, (int)neuron);
	else if (s->site == PB_SITE_MLP_POST || s->site == PB_SITE_MLP_OUT)
		put(t, "M%d", (int)layer);
	else if (layer >= 0)
		put(t, "L%d", (int)layer);
	else
		put(t, "%s", pb_site_names[s->site]);
}

void pb_grid_label(const struct pb_grid *g, const struct pb_sweep *s, size_t cell, char *text,
		   size_t size)
{
	struct text t = {text, size, 0};
	int32_t set = pb_grid_value(g, cell, PB_AXIS_SET);
	int32_t position = pb_grid_value(g, cell, PB_AXIS_POSITION);
	int32_t query = pb_grid_value(g, cell, PB_AXIS_QUERY_POSITION);
	int32_t key = pb_grid_value(g, cell, PB_AXIS_KEY_POSITION);
	int alpha = pb_grid_axis(g, PB_AXIS_ALPHA);
	size_t steps[PB_GRID_AXES];

	if (size > 0)
		text[0] = '\0';
	pb_grid_steps(g, cell, steps);
	if (alpha >= 0)
		put(&t, "alpha %g ", g->axes[alpha].numbers[steps[alpha]]);
	if (s->intervention == PB_PATH) {
		put_end(&t, pb_grid_value(g, cell, PB_AXIS_SENDER_LAYER),
			pb_grid_value(g, cell, PB_AXIS_SENDER_HEAD), "embed");
		put(&t, " to ");
		put_receiver(&t, g, s, cell);
	} else if (set >= 0) {
		put(&t, "%s", s->sets[set].name);
	} else {
		put_site(&t, g, s, cell);
	}
	if (position >= 0)
		put(&t, " at %d", (int)position);
	if (query >= 0)
		put(&t, " at %d", (int)query);
	if (key >= 0)
		put(&t, " from %d", (int)key);
}

/* ---- paths ----------------------------------------------------------------------------------- */

bool pb_path_exists(const struct pb_arch *a, enum pb_sender sender, int32_t sender_layer,
		    enum pb_receiver receiver, int32_t receiver_layer)
{
	if (sender == PB_SENDER_EMBED || receiver == PB_RECEIVER_LOGITS)
		return true;
	if (receiver_layer != sender_layer)
		return receiver_layer > sender_layer;
	return receiver == PB_RECEIVER_MLP && sender == PB_SENDER_HEAD && !a->parallel;
}
