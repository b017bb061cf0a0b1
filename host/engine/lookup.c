/* What is looked up in the model's tables token by token: embeddings and target vectors. Ranks that
 * get their weights by broadcast get the embeddings that the run uses in the same way. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/team.h"
#include "engine/internal.h"

/* ---- target vectors -------------------------------------------------------------------------- */

enum pb_status pb_engine_targets(struct pb_engine *e, const int32_t *token, size_t n,
				 struct pb_dev vectors, float *bias, struct pb_error *err)
{
	struct pb_matrix_columns op = {
	    .w = e->unembed, .view = &e->model->unembed, .n = n, .column = token, .out = vectors};
	enum pb_status status;

	PB_TRY(e->ops->matrix_columns(e->dev, &op, err));
	for (size_t i = 0; i < n; i++) {
		bias[i] = 0.0f;
		if (e->unembed_bias.address)
			PB_TRY(e->ops->download(e->dev, &bias[i],
						pb_dev_row(e->unembed_bias, (size_t)token[i], 1),
						sizeof *bias, err));
	}
cleanup:
	return status;
}

/* ---- embeddings ------------------------------------------------------------------------------ */

static size_t slots_of(const bool *used, size_t n_vocab, int32_t *slot)
{
	size_t n = 0;

	for (size_t v = 0; v < n_vocab; v++)
		slot[v] = used[v] ? (int32_t)n++ : -1;
	return n;
}

enum pb_status pb_engine_share_embeddings(struct pb_engine *e, struct pb_team *team,
					  const bool *used, struct pb_error *err)
{
	const struct pb_model *m = e->model;
	struct pb_embeddings *out = &e->embeddings;
	bool gives = e->ops->sharing(e->dev) == PB_SHARING_GIVES;
	size_t V = e->arch.n_vocab, D = e->arch.d_model, n, n_positions;
	enum pb_status status;

	assert(e->ops->sharing(e->dev) != PB_SHARING_NOT);
	PB_TRY(pb_alloc((void **)&out->slot, V, sizeof *out->slot, "embeddings", err));
	n = slots_of(used, V, out->slot);
	n_positions = e->arch.learned_positions ? e->max_length : 0;
	PB_TRY(pb_alloc((void **)&out->rows, (n + n_positions) * D, sizeof *out->rows, "embeddings",
			err));
	for (size_t v = 0; gives && v < V; v++)
		if (used[v])
			pb_weight_rows(&m->embed, v, 1, out->rows + (size_t)out->slot[v] * D, D);
	if (gives && n_positions)
		pb_weight_rows(&m->pos_embed, 0, n_positions, out->rows + n * D, D);
	/* a rank that waits here must not keep another's broadcasts of weights waiting */
	PB_TRY(e->ops->wait(e->dev, PB_TICKET_ALL, err));
	PB_TRY(team->ops->broadcast(team, out->rows, (n + n_positions) * D * sizeof *out->rows, 0,
				    err));
	out->embed = pb_weight_of_rows(out->rows, n, D);
	out->pos_embed = pb_weight_of_rows(out->rows + n * D, n_positions, D);
	if (gives) /* it has the tables themselves */
		pb_embeddings_free(out);
cleanup:
	return status;
}

size_t pb_embeddings_bytes(const struct pb_arch *arch, size_t n, size_t n_positions)
{
	size_t rows = n + (arch->learned_positions ? n_positions : 0);

	return arch->n_vocab * (sizeof(int32_t) + sizeof(bool)) +
	       rows * arch->d_model * sizeof(float);
}

void pb_embeddings_free(struct pb_embeddings *embeddings)
{
	free(embeddings->slot);
	free(embeddings->rows);
	memset(embeddings, 0, sizeof *embeddings);
}

/* Where the rows of tokens lie among the shared ones. */
static enum pb_status slots(const struct pb_embeddings *shared, const int32_t *token, size_t n,
			    int32_t *slot, struct pb_error *err)
{
	for (size_t i = 0; i < n; i++) {
		slot[i] = shared->slot[token[i]];
		if (slot[i] < 0)
			return pb_fail(err, PB_ERR_INTERNAL,
				       "the embedding of token %d was not shared", (int)token[i]);
	}
	return PB_OK;
}

enum pb_status pb_engine_embed(struct pb_engine *e, const int32_t *token, const int32_t *position,
			       size_t n, struct pb_dev x, struct pb_error *err)
{
	const struct pb_embeddings *shared = &e->embeddings;
	struct pb_embed op = {.n_rows = n,
			      .d_model = e->arch.d_model,
			      .token = token,
			      .position = position,
			      .embed = &e->model->embed,
			      .scale = e->arch.embed_scale,
			      .x = x};
	int32_t *slot = NULL;
	enum pb_status status;

	if (shared->slot) {
		PB_TRY(pb_alloc((void **)&slot, n, sizeof *slot, "embeddings", err));
		PB_TRY(slots(shared, token, n, slot, err));
		op.token = slot;
		op.embed = &shared->embed;
	}
	if (position && e->arch.learned_positions)
		op.pos_embed = shared->slot ? &shared->pos_embed : &e->model->pos_embed;
	PB_TRY(e->ops->embed(e->dev, &op, err));
cleanup:
	free(slot);
	return status;
}

void pb_engine_position(const struct pb_engine *e, size_t position, float *row)
{
	const struct pb_weight *table =
	    e->embeddings.slot ? &e->embeddings.pos_embed : &e->model->pos_embed;

	pb_weight_rows(table, position, 1, row, e->arch.d_model);
}
