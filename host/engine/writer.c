/* Writing parts beside the computation: one thread, one part at a time. */
#include "engine/writer.h"

#include <string.h>

#include "patchbay/base.h"

static void *write_parts(void *context)
{
	struct pb_writer *w = context;

	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		struct pb_chunk_values *values = w->values;
		struct pb_error mine = {0};
		double start = pb_seconds();

		if (!values) {
			if (w->ending)
				break;
			(void)pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&w->lock);
		(void)pb_part_write(w->experiment, values, &mine);
		pb_chunk_values_free(values);
		(void)pthread_mutex_lock(&w->lock);
		w->seconds += pb_seconds() - start;
		w->n_written += mine.status == PB_OK;
		if (w->err.status == PB_OK)
			w->err = mine;
		w->values = NULL;
		(void)pthread_cond_broadcast(&w->changed);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

enum pb_status pb_writer_start(struct pb_writer *w, const struct pb_experiment *e,
			       struct pb_error *err)
{
	int code;

	*w = (struct pb_writer){.experiment = e};
	code = pthread_mutex_init(&w->lock, NULL);
	if (code == 0)
		code = pthread_cond_init(&w->changed, NULL);
	if (code == 0)
		code = pthread_create(&w->thread, NULL, write_parts, w);
	if (code != 0)
		return pb_fail(err, PB_ERR_INTERNAL, "cannot start the thread that writes: %s",
			       strerror(code));
	w->started = true;
	return PB_OK;
}

static enum pb_status error_of(const struct pb_writer *w, struct pb_error *err)
{
	if (w->err.status == PB_OK)
		return PB_OK;
	return pb_fail(err, w->err.status, "%s", w->err.message);
}

enum pb_status pb_writer_give(struct pb_writer *w, struct pb_chunk_values *values,
			      struct pb_error *err)
{
	enum pb_status status;

	(void)pthread_mutex_lock(&w->lock);
	while (w->values)
		(void)pthread_cond_wait(&w->changed, &w->lock);
	status = error_of(w, err);
	if (status == PB_OK)
		w->values = values;
	else
		pb_chunk_values_free(values);
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
	return status;
}

double pb_writer_mean(struct pb_writer *w)
{
	double mean;

	(void)pthread_mutex_lock(&w->lock);
	mean = w->n_written > 0 ? w->seconds / (double)w->n_written : 0.0;
	(void)pthread_mutex_unlock(&w->lock);
	return mean;
}

enum pb_status pb_writer_end(struct pb_writer *w, struct pb_error *err)
{
	if (w->started) {
		(void)pthread_mutex_lock(&w->lock);
		w->ending = true;
		(void)pthread_cond_broadcast(&w->changed);
		(void)pthread_mutex_unlock(&w->lock);
		(void)pthread_join(w->thread, NULL);
		(void)pthread_cond_destroy(&w->changed);
		(void)pthread_mutex_destroy(&w->lock);
		w->started = false;
	}
	return error_of(w, err);
}
