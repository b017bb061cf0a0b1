/* `patchbay doctor`: what this machine offers to a run. */
#include <hdf5.h>
#include <jansson.h>
#include <libfyaml.h>
#include <omp.h>
#include <openssl/crypto.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "cluster/job_time.h"
#include "cluster/team.h"
#include "engine/internal.h"

static const char *or_none(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : "-";
}

/* What a GPU run would get, or why there is none; neither is an error here. */
static void tell_cuda(FILE *out)
{
	struct pb_device *dev = NULL;
	struct pb_error why = {0};
	size_t available = 0;

	if (pb_device_open(&dev, "cuda", 1, PB_PRECISION_FP32, &why) == PB_OK &&
	    dev->ops->memory(dev, &available, &why) == PB_OK)
		fprintf(out, "backend cuda  %s; %.1f GiB are free\n", dev->ops->describe(dev),
			(double)available / 1073741824.0);
	else
		fprintf(out, "backend cuda  not usable: %s\n", why.message);
	pb_device_close(dev);
}

enum pb_status pb_doctor(FILE *out, struct pb_error *err)
{
	struct pb_device *dev = NULL;
	unsigned major = 0, minor = 0, release = 0;
	char pcre2[64] = "";
	enum pb_status status;

	PB_TRY(pb_device_open(&dev, "cpu", pb_thread_limit(), PB_PRECISION_FP32, err));
	H5get_libversion(&major, &minor, &release);
	pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
	fprintf(out, "backend cpu   %s\n", dev->ops->describe(dev));
	tell_cuda(out);
	fprintf(out, "threads       %d (affinity and SLURM_CPUS_PER_TASK)\n", pb_thread_limit());
	fprintf(out,
		"memory        %.1f GiB may be used (cgroup, SLURM, available), 80%% by default\n",
		(double)pb_memory_limit() / 1073741824.0);
	fprintf(out, "HDF5          %u.%u.%u\n", major, minor, release);
	fprintf(out, "jansson       %s\n", jansson_version_str());
	fprintf(out, "libfyaml      %s\n", fy_library_version());
	fprintf(out, "PCRE2         %s\n", pcre2);
	fprintf(out, "utf8proc      %s\n", utf8proc_version());
	fprintf(out, "OpenSSL       %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
	pb_team_describe(out);
	pb_job_describe(out);
	fprintf(out, "HF_HOME       %s\n", or_none("HF_HOME"));
cleanup:
	pb_device_close(dev);
	return status;
}
