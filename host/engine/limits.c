/* What limits this process: memory and threads of the job it runs in, never of the whole machine.
 */
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/engine.h"

/* A number in a one-line file ("max" and absence: 0). */
static size_t number_in(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned long long n = 0;

	if (f) {
		if (fscanf(f, "%llu", &n) != 1)
			n = 0;
		fclose(f);
	}
	return (size_t)n;
}

static size_t smaller(size_t a, size_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The limits of this process's cgroup and its ancestors (v2), or of the v1 memory controller. */
static size_t cgroup_limit(void)
{
	FILE *f = fopen("/proc/self/cgroup", "r");
	char line[4096], path[8192];
	size_t limit = 0;

	while (f && fgets(line, sizeof line, f)) {
		char *group;
		const char *root = NULL, *file = NULL;

		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0) {
			group = line + 3;
			root = "/sys/fs/cgroup";
			file = "memory.max";
		} else if (strstr(line, ":memory:")) {
			group = strstr(line, ":memory:") + 8;
			root = "/sys/fs/cgroup/memory";
			file = "memory.limit_in_bytes";
		}
		while (root) {
			char *slash;

			snprintf(path, sizeof path, "%s%s/%s", root,
				 strcmp(group, "/") ? group : "", file);
			limit = smaller(limit, number_in(path));
			slash = strrchr(group, '/');
			if (!slash || !*group)
				break;
			*slash = '\0';
		}
	}
	if (f)
		fclose(f);
	return limit;
}

static size_t available_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[256];
	unsigned long long kib = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (size_t)kib * 1024;
}

static size_t environment_number(const char *name)
{
	const char *text = getenv(name);

	return text ? (size_t)strtoull(text, NULL, 10) : 0;
}

int pb_thread_limit(void)
{
	cpu_set_t set;
	size_t slurm = environment_number("SLURM_CPUS_PER_TASK");
	int n = omp_get_num_procs(); /* where the mask is larger than cpu_set_t */

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		n = CPU_COUNT(&set);
	if (slurm && slurm < (size_t)n)
		n = (int)slurm;
	return n > 0 ? n : 1;
}

size_t pb_memory_limit(void)
{
	size_t mib = (size_t)1 << 20;
	size_t cpus = environment_number("SLURM_CPUS_ON_NODE");
	size_t limit = smaller(available_memory(), cgroup_limit());

	limit = smaller(limit, environment_number("SLURM_MEM_PER_NODE") * mib);
	return smaller(limit, environment_number("SLURM_MEM_PER_CPU") * (cpus ? cpus : 1) * mib);
}
