/* Choosing and opening a backend. */
#include "backend/backend.h"

#include <dlfcn.h>
#include <string.h>

#include "base/plugin.h"

const char *const pb_precision_names[PB_PRECISION_BF16 + 1] = {
    [PB_PRECISION_FP32] = "fp32", [PB_PRECISION_TF32] = "tf32", [PB_PRECISION_BF16] = "bf16"};

/* An entry that a backend forgot must stop the program at start, not in the middle of a sweep. The
 * table is a name and then function pointers only, so its words can be checked one by one. */
static bool table_is_full(const struct pb_ops *ops)
{
	const void *const *word = (const void *const *)ops;

	for (size_t i = 0; i < sizeof(*ops) / sizeof(void *); i++)
		if (!word[i])
			return false;
	return true;
}

/* ---- the plugin ------------------------------------------------------------------------------ */

/* The emulated device is built for tests only and never installed; the real one needs a driver. */
static const char *const plugins[] = {"libpatchbay_cuda_emulated.so", "libpatchbay_cuda.so"};
#define NEEDS_DRIVER 1 /* from this one on */

/* *absent: there is no plugin, or no driver, so that nobody expects a GPU here. Where both are
 * there a library that the plugin needs may be missing, or the GPU be of no use. */
static enum pb_status open_cuda(struct pb_device **out, enum pb_precision precision, bool *absent,
				struct pb_error *err)
{
	pb_cuda_open_fn *open = NULL;
	char path[4200];
	size_t which;
	void *symbol, *library;

	*absent = true;
	if (!pb_plugin_find(plugins, sizeof plugins / sizeof *plugins, path, sizeof path, &which))
		return pb_fail(err, PB_ERR_INPUT,
			       "this build has no cuda backend (libpatchbay_cuda.so is neither "
			       "beside the program nor in ../lib/patchbay): build it where nvcc "
			       "is, set PB_PLUGIN_DIR, or use --backend cpu");
	/* quickly, without CUDA's own libraries, where it cannot work */
	if (which >= NEEDS_DRIVER && !dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL))
		return pb_fail(err, PB_ERR_INPUT,
			       "no NVIDIA driver is on this machine (libcuda.so.1): run on a node "
			       "with a GPU, or use --backend cpu");
	*absent = false;
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	symbol = library ? dlsym(library, "pb_cuda_open") : NULL;
	if (!symbol)
		return pb_fail(err, PB_ERR_INPUT,
			       "the cuda backend does not load: %s: load the CUDA module it was "
			       "built with, or use --backend cpu",
			       dlerror());
	memcpy(&open, &symbol, sizeof open); /* ISO C has no cast for it */
	return open(out, precision, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum pb_status open_cpu(struct pb_device **out, int n_threads, enum pb_precision precision,
			       const char *why_not_cuda, struct pb_error *err)
{
	if (precision != PB_PRECISION_FP32)
		return pb_fail(
		    err, PB_ERR_INPUT, "precision %s needs a GPU: engine.precision: use fp32%s%s",
		    pb_precision_names[precision], why_not_cuda ? "; the GPU cannot be used: " : "",
		    why_not_cuda ? why_not_cuda : "");
	return pb_cpu_open(out, n_threads, err);
}

enum pb_status pb_device_open(struct pb_device **out, const char *name, int n_threads,
			      enum pb_precision precision, struct pb_error *err)
{
	struct pb_error why_not = {0};
	bool absent = true;
	enum pb_status status;

	*out = NULL;
	if (strcmp(name, "cpu") == 0) {
		status = open_cpu(out, n_threads, precision, NULL, err);
	} else if (strcmp(name, "cuda") == 0) {
		status = open_cuda(out, precision, &absent, err);
	} else if (strcmp(name, "auto") == 0) {
		status = open_cuda(out, precision, &absent, &why_not);
		if (status == PB_ERR_INPUT && !absent)
			pb_warn("computing on the processor: %s", why_not.message);
		if (status == PB_ERR_INPUT)
			status = open_cpu(out, n_threads, precision, why_not.message, err);
		else if (status != PB_OK)
			status = pb_fail(err, status, "%s", why_not.message);
	} else {
		status =
		    pb_fail(err, PB_ERR_INPUT,
			    "unknown backend '%s': engine.backend: use auto, cpu or cuda", name);
	}
	if (status == PB_OK && !table_is_full((*out)->ops)) {
		const char *which = (*out)->ops->name;

		pb_device_close(*out);
		*out = NULL;
		return pb_fail(err, PB_ERR_INTERNAL,
			       "backend %s lacks an operation: fill its table", which);
	}
	return status;
}

void pb_device_close(struct pb_device *dev)
{
	if (dev)
		dev->ops->close(dev);
}
