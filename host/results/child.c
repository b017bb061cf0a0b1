/* Reading files in a process of its own: the report comes through a pipe, the verdict through
 * shared memory. */
#include "results/child.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct verdict {
	bool reached;
	enum pb_status status;
	struct pb_error err;
	char path[1024]; /* the file in hand */
};

static struct verdict *current; /* the child's */

void pb_child_at(const char *path)
{
	if (current != NULL)
		(void)snprintf(current->path, sizeof current->path, "%s", path);
}

/* Copy what the child writes until it closes its end. */
static void relay(int from, FILE *out)
{
	char buffer[4096];
	ssize_t n;

	while ((n = read(from, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			fwrite(buffer, 1, (size_t)n, out);
}

static void work_in_child(pb_child_work work, void *context, int to)
{
	FILE *out = fdopen(to, "w");

	if (out == NULL)
		_exit(1);
	current->status = work(context, out, &current->err);
	if (fclose(out) != 0 && current->status == PB_OK)
		current->status =
		    pb_fail(&current->err, PB_ERR_IO, "cannot write: %s", strerror(errno));
	current->reached = true;
	_exit(0); /* nothing of the parent's is flushed or freed twice */
}

static enum pb_status wait_for(pid_t child, const struct verdict *verdict, bool *crashed,
			       struct pb_error *err)
{
	int ended = 0;

	while (waitpid(child, &ended, 0) < 0)
		if (errno != EINTR)
			return pb_fail(err, PB_ERR_IO, "cannot wait for a process: %s",
				       strerror(errno));
	*crashed = !verdict->reached;
	if (verdict->reached)
		return verdict->status == PB_OK
			   ? PB_OK
			   : pb_fail(err, verdict->status, "%s", verdict->err.message);
	return pb_fail(err, PB_ERR_CHECK,
		       "damaged: %s: the HDF5 library crashed while reading it (%s)", verdict->path,
		       WIFSIGNALED(ended) ? strsignal(WTERMSIG(ended)) : "it left early");
}

enum pb_status pb_child_run(const char *path, pb_child_work work, void *context, FILE *out,
			    bool *crashed, struct pb_error *err)
{
	enum pb_status status;
	int ends[2] = {-1, -1};
	bool unused;
	pid_t child;
	struct verdict *verdict =
	    mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (crashed == NULL)
		crashed = &unused;
	*crashed = false;
	if (verdict == MAP_FAILED)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: a process");
	if (fflush(out) != 0 || pipe(ends) != 0 || (child = fork()) < 0) {
		status = pb_fail(err, PB_ERR_IO, "cannot start a process: %s", strerror(errno));
		goto cleanup;
	}
	current = verdict;
	pb_child_at(path);
	if (child == 0) {
		close(ends[0]);
		work_in_child(work, context, ends[1]);
	}
	current = NULL;
	close(ends[1]);
	ends[1] = -1;
	relay(ends[0], out);
	status = wait_for(child, verdict, crashed, err);
cleanup:
	if (ends[0] >= 0)
		close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	munmap(verdict, sizeof *verdict);
	return status;
}
