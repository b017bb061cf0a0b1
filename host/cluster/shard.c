/* Shards by number, and by the environment of a SLURM job array. */
#include "cluster/shard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS_MAX 1000000

/* Digits alone, at most SHARDS_MAX of anything. */
static bool parse_number(const char *text, size_t length, size_t *out)
{
	size_t value = 0, i;

	if (length == 0 || length > 9)
		return false;
	for (i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (size_t)(text[i] - '0');
	}
	*out = value;
	return true;
}

/* A variable of the array; `fallback` where it is not set, SIZE_MAX: it must be. */
static enum pb_status read_variable(const char *name, size_t fallback, size_t *out,
				    struct pb_error *err)
{
	const char *text = getenv(name);

	if (text == NULL && fallback == SIZE_MAX)
		return pb_fail(
		    err, PB_ERR_INPUT,
		    "not in a SLURM job array: --shard slurm: %s is not set: submit with "
		    "sbatch --array=0-9, or give --shard i/n",
		    name);
	if (text == NULL)
		*out = fallback;
	else if (!parse_number(text, strlen(text), out))
		return pb_fail(err, PB_ERR_INPUT, "not a number: %s: '%s': --shard slurm", name,
			       text);
	return PB_OK;
}

static enum pb_status by_array(size_t *shard, size_t *n_shards, struct pb_error *err)
{
	size_t id, min, max, step, count;
	enum pb_status status;

	PB_TRY(read_variable("SLURM_ARRAY_TASK_ID", SIZE_MAX, &id, err));
	PB_TRY(read_variable("SLURM_ARRAY_TASK_MIN", SIZE_MAX, &min, err));
	PB_TRY(read_variable("SLURM_ARRAY_TASK_MAX", SIZE_MAX, &max, err));
	PB_TRY(read_variable("SLURM_ARRAY_TASK_STEP", 1, &step, err));
	PB_TRY(read_variable("SLURM_ARRAY_TASK_COUNT",
			     step > 0 && max >= min ? (max - min) / step + 1 : 0, &count, err));
	if (step == 0 || max < min || id < min || id > max || (id - min) % step != 0 ||
	    (max - min) % step != 0 || (max - min) / step + 1 != count)
		return pb_fail(err, PB_ERR_INPUT,
			       "the ids of the job array do not have one step: --shard slurm: task "
			       "%zu of %zu, from %zu to %zu by %zu: submit them as "
			       "--array=FIRST-LAST[:STEP], or give --shard slurm/N where the ids "
			       "are shard numbers of N",
			       id, count, min, max, step);
	*shard = (id - min) / step;
	*n_shards = count;
cleanup:
	return status;
}

/* slurm/N: the task's id is the shard. */
static enum pb_status by_id(const char *text, size_t *shard, size_t *n_shards, struct pb_error *err)
{
	enum pb_status status;
	size_t id;

	if (!parse_number(text, strlen(text), n_shards) || *n_shards == 0)
		return pb_fail(err, PB_ERR_INPUT, "bad value: --shard 'slurm/%s': give slurm/100",
			       text);
	PB_TRY(read_variable("SLURM_ARRAY_TASK_ID", SIZE_MAX, &id, err));
	if (id >= *n_shards)
		return pb_fail(err, PB_ERR_INPUT,
			       "no such shard: --shard slurm/%zu: SLURM_ARRAY_TASK_ID is %zu: "
			       "submit with --array=0-%zu",
			       *n_shards, id, *n_shards - 1);
	*shard = id;
cleanup:
	return status;
}

enum pb_status pb_shard_parse(const char *text, size_t *shard, size_t *n_shards,
			      struct pb_error *err)
{
	const char *slash = strchr(text, '/');
	enum pb_status status = PB_OK;

	if (strcmp(text, "slurm") == 0)
		status = by_array(shard, n_shards, err);
	else if (strncmp(text, "slurm/", 6) == 0)
		status = by_id(text + 6, shard, n_shards, err);
	else if (slash == NULL || !parse_number(text, (size_t)(slash - text), shard) ||
		 !parse_number(slash + 1, strlen(slash + 1), n_shards))
		status = pb_fail(err, PB_ERR_INPUT,
				 "bad value: --shard '%s': give i/n (shards are numbered from 0: "
				 "0/3, 1/3, 2/3) or slurm",
				 text);
	PB_TRY(status);
	if (*shard >= *n_shards || *n_shards > SHARDS_MAX)
		status = pb_fail(err, PB_ERR_INPUT,
				 "no such shard: --shard %s: shards of %zu are numbered from 0 to "
				 "%zu, and there are at most %d",
				 text, *n_shards, *n_shards > 0 ? *n_shards - 1 : 0, SHARDS_MAX);
cleanup:
	return status;
}
