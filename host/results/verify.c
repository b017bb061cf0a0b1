/* `patchbay verify`: is the file what was written, is it whole, did the run prove itself? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patchbay/base.h"
#include "results/against.h"
#include "results/checks.h"
#include "results/evaluation.h"
#include "results/identity.h"
#include "results/result_file.h"
#include "results/shard.h"
#include "results/verify_data.h"

/* What is verified: a file, or two files and that they are the same. */
struct job {
	const char *path, *other; /* other NULL: one file */
	double tolerance;
};

static enum pb_status check_experiment(hid_t file, struct pb_error *err)
{
	enum pb_status status;
	struct pb_identity identity = {0};

	PB_TRY(pb_identity_read(&identity, file, err));
	status = pb_identity_check(&identity, err);
cleanup:
	pb_identity_free(&identity);
	return status;
}

/* ---- the whole ------------------------------------------------------------------------- */

/* What a run proved about itself. */
static enum pb_status verify_run(struct pb_report *r, const struct pb_result *result,
				 struct pb_error *err)
{
	enum pb_status status;
	struct pb_error why = {0};
	struct pb_check_figures figures = {0};
	char text[256], sums[96] = "";

	status = pb_result_figures(&figures, result, &why);
	if (status == PB_OK)
		status = pb_checks_judge(&figures, &why);
	if (figures.attribution)
		snprintf(sums, sizeof sums, ", attributions within %.3g of %.3g",
			 figures.attribution_largest, figures.attribution_tolerance);
	snprintf(text, sizeof text,
		 "resid_pre within %.3g of %.3g, %zu variants agree with a plain "
		 "forward%s",
		 figures.resid_pre_largest, figures.resid_pre_tolerance, figures.n_variants, sums);
	PB_TRY(pb_report_item(r, status, "checks", text, &why, err));
cleanup:
	pb_check_figures_free(&figures);
	return status;
}

static enum pb_status verify_evaluation(struct pb_report *r, hid_t file, struct pb_error *err)
{
	enum pb_status status;
	struct pb_error why = {0};
	char text[256];

	status = pb_evaluation_verify(file, text, sizeof text, &why);
	return pb_report_item(r, status, "checks", text, &why, err);
}

static enum pb_status verify_file(struct pb_report *r, const struct pb_result *result,
				  struct pb_error *err)
{
	enum pb_status status;
	struct pb_error why = {0};

	if (result->n_missing_chunks > 0) {
		(void)pb_fail(&why, PB_ERR_CHECK,
			      "a partial merge: %zu %s of chunk%s %s are missing",
			      result->n_missing, result->evaluation ? "prompts" : "pairs",
			      result->n_missing_chunks == 1 ? "" : "s", result->missing_chunks);
		pb_report_wrong(r, "complete", &why);
		why = (struct pb_error){0};
	} else {
		pb_report_good(r, "complete", "the file says so");
	}
	status = check_experiment(result->file, &why);
	PB_TRY(pb_report_item(r, status, "experiment", "SHA-256 of its identity", &why, err));
	PB_TRY(pb_verify_data(r, result->file, err));
	PB_TRY(result->evaluation ? verify_evaluation(r, result->file, err)
				  : verify_run(r, result, err));
cleanup:
	return status;
}

/* What `patchbay compare` writes has data and checksums alone. */
static enum pb_status verify_comparison(struct pb_report *r, hid_t file, struct pb_error *err)
{
	enum pb_status status;
	int64_t complete = 0;

	if (pb_h5_has(file, "complete"))
		PB_TRY(pb_h5_get_int(file, "complete", &complete, err));
	if (complete != 1)
		return pb_fail(err, PB_ERR_CHECK, "not complete: make it again");
	pb_report_good(r, "complete", "the file says so");
	status = pb_verify_data(r, file, err);
cleanup:
	return status;
}

/* A comparison or a shard; *is is false for any other file, which is left to pb_result_open. */
static enum pb_status try_others(struct pb_report *r, const char *path, bool *is,
				 struct pb_error *err)
{
	enum pb_status status = PB_OK;
	hid_t file = -1;

	*is = false;
	if (!pb_is_hdf5(path) || pb_h5_file_open(&file, path, false, PB_ERR_CHECK, NULL) != PB_OK)
		return PB_OK;
	*is = pb_h5_has(file, "comparison_version") || pb_is_shard(file);
	if (*is)
		status = pb_is_shard(file) ? pb_shard_verify(r, file, path, err)
					   : verify_comparison(r, file, err);
	(void)pb_h5_file_close(&file, path, NULL);
	return status;
}

static enum pb_status verify_result(struct pb_report *r, const char *path, struct pb_error *err)
{
	enum pb_status status;
	struct pb_result result;

	PB_TRY(pb_result_open_any(&result, path, err));
	status = verify_file(r, &result, err);
cleanup:
	pb_result_close(&result);
	return status;
}

/* A file by itself; what is wrong with it is in the report. */
static enum pb_status verify_alone(struct pb_report *r, const char *path, struct pb_error *err)
{
	struct pb_error inner = {0};
	enum pb_status status;
	bool is;

	status = try_others(r, path, &is, &inner);
	if (status == PB_OK && !is)
		status = verify_result(r, path, &inner);
	if (status == PB_ERR_CHECK)
		pb_report_wrong(r, path, &inner);
	else if (status != PB_OK)
		return pb_fail(err, status, "%s", inner.message);
	return PB_OK;
}

static enum pb_status verify_here(const struct job *job, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	struct pb_report report = {.out = out};

	PB_TRY(verify_alone(&report, job->path, err));
	if (job->other != NULL) {
		fprintf(out, "%s\n", job->other);
		PB_TRY(verify_alone(&report, job->other, err));
		fprintf(out, "%s against %s\n", job->path, job->other);
		if (report.n_wrong == 0)
			PB_TRY(pb_against(&report, job->path, job->other, job->tolerance, err));
	}
	if (report.n_wrong == 0)
		return PB_OK;
	status =
	    pb_fail(err, PB_ERR_CHECK, "%s%s%s: %zu thing%s wrong, the first: %s", job->path,
		    job->other != NULL ? " against " : "", job->other != NULL ? job->other : "",
		    report.n_wrong, report.n_wrong == 1 ? " is" : "s are", report.first.message);
cleanup:
	return status;
}

/* ---- in a process of its own ----------------------------------------------------------- */

/* HDF5 1.10 trusts lengths in parts of a file that have no checksum (the heap of texts), and
 * crashes where they are damaged. So the file is read by a child process: its report comes through
 * a pipe, its verdict through shared memory, and its crash is a verdict too. */
struct verdict {
	bool reached;
	enum pb_status status;
	struct pb_error err;
};

/* Copy what the child reports until it closes its end. */
static void relay(int from, FILE *out)
{
	char buffer[4096];
	ssize_t n;

	while ((n = read(from, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			fwrite(buffer, 1, (size_t)n, out);
}

static void verify_in_child(const struct job *job, int to, struct verdict *verdict)
{
	FILE *out = fdopen(to, "w");

	if (out == NULL)
		_exit(1);
	verdict->status = verify_here(job, out, &verdict->err);
	if (fclose(out) != 0 && verdict->status == PB_OK)
		verdict->status = pb_fail(&verdict->err, PB_ERR_IO, "cannot write the report");
	verdict->reached = true;
	_exit(0); /* nothing of the parent's is flushed or freed twice */
}

static enum pb_status wait_for(pid_t child, const char *path, const struct verdict *verdict,
			       FILE *out, struct pb_error *err)
{
	int ended = 0;

	while (waitpid(child, &ended, 0) < 0)
		if (errno != EINTR)
			return pb_fail(err, PB_ERR_IO, "cannot wait for the verification: %s",
				       strerror(errno));
	if (verdict->reached)
		return verdict->status == PB_OK
			   ? PB_OK
			   : pb_fail(err, verdict->status, "%s", verdict->err.message);
	fprintf(out, "WRONG  %s: reading it crashed\n", path);
	return pb_fail(err, PB_ERR_CHECK,
		       "damaged: %s: the HDF5 library crashed while reading it (%s)", path,
		       WIFSIGNALED(ended) ? strsignal(WTERMSIG(ended)) : "it left early");
}

static enum pb_status verify(const struct job *job, FILE *out, struct pb_error *err)
{
	enum pb_status status;
	int ends[2] = {-1, -1};
	pid_t child;
	struct verdict *verdict =
	    mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (verdict == MAP_FAILED)
		return pb_fail(err, PB_ERR_MEMORY, "out of memory: verification");
	if (fflush(out) != 0 || pipe(ends) != 0 || (child = fork()) < 0) {
		status =
		    pb_fail(err, PB_ERR_IO, "cannot start the verification: %s", strerror(errno));
		goto cleanup;
	}
	if (child == 0) {
		close(ends[0]);
		verify_in_child(job, ends[1], verdict);
	}
	close(ends[1]);
	ends[1] = -1;
	relay(ends[0], out);
	status = wait_for(child, job->path, verdict, out, err);
cleanup:
	if (ends[0] >= 0)
		close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	munmap(verdict, sizeof *verdict);
	return status;
}

enum pb_status pb_result_verify(const char *path, FILE *out, struct pb_error *err)
{
	const struct job job = {.path = path};

	return verify(&job, out, err);
}

enum pb_status pb_result_against(const char *path, const char *other, double tolerance, FILE *out,
				 struct pb_error *err)
{
	const struct job job = {.path = path, .other = other, .tolerance = tolerance};

	return verify(&job, out, err);
}
