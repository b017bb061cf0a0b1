/* Everything of a config that bears on the numbers, as text; the model and the pairs have their own
 * hashes. Where the result goes, memory, threads and backend do not belong here. */
#include <stdlib.h>
#include <string.h>

#include "engine/sweeps.h"

static void put_list(FILE *f, const char *key, size_t n, const int32_t *values)
{
	if (n == 0)
		return;
	fprintf(f, " %s", key);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%c%d", i ? ',' : ' ', values ? (int)values[i] : -1);
}

static enum pb_status put_file(FILE *f, const char *key, const char *path, struct pb_error *err)
{
	char hex[PB_SHA256_HEX];
	enum pb_status status = PB_OK;

	if (!path)
		return PB_OK;
	PB_TRY(pb_file_sha256(path, hex, err));
	fprintf(f, " %s %s", key, hex);
cleanup:
	return status;
}

/* The members of all sets: a line for a few, their hash for many. */
static enum pb_status put_sets(FILE *f, const struct pb_sweep *s, struct pb_error *err)
{
	char *text = NULL, hex[PB_SHA256_HEX];
	size_t size = 0;
	FILE *members = open_memstream(&text, &size);
	enum pb_status status = PB_OK;

	if (!members)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the experiment's description");
	for (size_t i = 0; i < s->n_sets; i++) {
		fprintf(members, "%s:", s->sets[i].name);
		for (size_t m = 0; m < s->sets[i].n; m++)
			fprintf(members, " %d.%d", (int)s->sets[i].members[m].layer,
				(int)s->sets[i].members[m].head);
		fputc('\n', members);
	}
	if (fclose(members) != 0)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the experiment's description");
	PB_TRY(status);
	PB_TRY(pb_sha256_of(text, size, hex, err));
	fprintf(f, " sets %zu %s complement %d pairs %d", s->n_sets, hex, s->complement,
		s->set_sources.all_pairs);
cleanup:
	free(text);
	return status;
}

/* Prompts of a reference file as they are read: ids, and the names of roles. */
static enum pb_status put_reference(FILE *f, const struct pb_prompts *prompts, struct pb_error *err)
{
	char hex[PB_SHA256_HEX];
	struct pb_sha256 *sha = NULL;
	enum pb_status status;

	PB_TRY(pb_sha256_begin(&sha, err));
	for (size_t p = 0; p < prompts->n; p++) {
		const struct pb_prompt *prompt = &prompts->items[p];
		uint64_t length = prompt->length;

		PB_TRY(pb_sha256_add(sha, &length, sizeof length, err));
		PB_TRY(pb_sha256_add(sha, prompt->tokens, prompt->length * sizeof(int32_t), err));
		for (size_t i = 0; prompt->roles && i < prompt->length; i++) {
			const char *name =
			    prompt->roles[i] < 0 ? "" : prompts->role_names[prompt->roles[i]];

			PB_TRY(pb_sha256_add(sha, name, strlen(name) + 1, err));
		}
	}
	status = pb_sha256_end(sha, hex, err);
	sha = NULL;
	fprintf(f, " prompts %s", hex);
cleanup:
	pb_sha256_free(sha);
	return status;
}

static enum pb_status put_sweep(FILE *f, const struct pb_sweep *s,
				const struct pb_prompts *reference, struct pb_error *err)
{
	bool path = s->intervention == PB_PATH;
	enum pb_status status = PB_OK;

	fprintf(f, "%s %s %s %s min_gap %.17g", pb_intervention_names[s->intervention],
		path ? "-" : pb_site_names[s->site], pb_direction_names[s->direction],
		pb_positions_names[s->positions], s->min_gap);
	put_list(f, "list", s->n_list, s->list);
	for (size_t i = 0; i < s->n_roles; i++)
		fprintf(f, " role '%s'", s->roles[i]);
	for (size_t i = 0; i < s->n_alphas; i++)
		fprintf(f, " alpha %.17g", s->alphas[i]);
	PB_TRY(put_file(f, "vector", s->vector, err));
	PB_TRY(put_file(f, "subspace", s->subspace, err));
	if (s->intervention == PB_MEAN) {
		fprintf(f, " reference %s %s", pb_reference_over_names[s->reference_over],
			pb_reference_by_names[s->reference_by]);
		if (s->reference_over == PB_OVER_FILE)
			PB_TRY(put_reference(f, reference, err));
	}
	if (s->intervention == PB_RESAMPLE || s->intervention == PB_CONTROL)
		fprintf(f, " seed %llu", (unsigned long long)s->seed);
	if (s->window > 1)
		fprintf(f, " window %zu", s->window);
	put_list(f, "layers", s->n_layers, s->layers);
	put_list(f, "heads", s->n_heads, s->heads);
	if (s->neurons)
		fputs(" neurons", f);
	put_list(f, "neurons", s->n_neurons, s->neuron_list);
	if (s->by_sets)
		PB_TRY(put_sets(f, s, err));
	if (path) {
		fprintf(f, " from %s to %s freeze %s", pb_sender_names[s->sender],
			pb_receiver_names[s->receiver], pb_freeze_names[s->freeze]);
		for (size_t i = 0; i < s->n_receivers; i++)
			fprintf(f, " %d.%d.%s", (int)s->receivers[i].layer,
				(int)s->receivers[i].head, pb_receiver_names[s->receivers[i].kind]);
		put_list(f, "receiver_layers", s->n_receiver_layers, s->receiver_layers);
		put_list(f, "receiver_heads", s->n_receiver_heads, s->receiver_heads);
	}
cleanup:
	return status;
}

void pb_identity_put_grid(FILE *f, const struct pb_run_config *c)
{
	for (size_t a = 0; a < c->n_axes; a++) {
		fprintf(f, "\ngrid %s:", c->axes[a].name);
		for (size_t i = 0; i < c->axes[a].n; i++)
			fprintf(f, " %.17g", c->axes[a].values[i]);
	}
}

enum pb_status pb_identity_text(const struct pb_run_config *c, const struct pb_prompts *references,
				int32_t bos, size_t chunk_pairs, size_t n_tokens, char **text,
				struct pb_error *err)
{
	size_t size = 0;
	FILE *f = open_memstream(text, &size);
	enum pb_status status = PB_OK;

	if (!f)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: the experiment's description");
	fprintf(f, "precision: %s\nchunk: %zu\ntokens: %zu\nbos: %d\nmetrics:",
		pb_precision_names[c->precision], chunk_pairs, n_tokens, (int)bos);
	for (int m = 0; m < PB_N_METRICS; m++)
		if (c->metrics & 1u << m)
			fprintf(f, " %s", pb_metric_infos[m].name);
	fputs("\nreadings:", f);
	for (int g = 0; g < PB_N_READING_GROUPS; g++)
		if (c->readings & 1u << g)
			fprintf(f, " %s", pb_reading_group_names[g]);
	fputs("\nsave:", f);
	for (int site = 0; site < PB_N_SITES; site++)
		if (c->save & 1u << site)
			fprintf(f, " %s", pb_site_names[site]);
	if (c->save_control)
		fputs(" control", f);
	pb_identity_put_grid(f, c);
	for (size_t s = 0; status == PB_OK && s < c->n_sweeps; s++) {
		fprintf(f, "\nsweep %zu: ", s);
		status = put_sweep(f, &c->sweeps[s], &references[s], err);
	}
	if (fclose(f) != 0 && status == PB_OK)
		status = pb_fail(err, PB_ERR_MEMORY, "out of memory: the experiment's description");
	return status;
}
