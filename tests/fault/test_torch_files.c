/* pytorch_model.bin cut short or damaged: always an input error with a message, or a valid model,
 * never a crash. Run under the sanitizers as well. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "patchbay/model.h"
#include "support/safetensors_writer.h"

static struct stw_folder folder;
static char *bytes, *config;
static size_t n_bytes, n_config;
static char weights_path[128];

static void setup(void)
{
	struct pb_error err = {0};

	stw_folder_make(&folder);
	stw_folder_name(&folder, "pytorch_model.bin", weights_path, sizeof weights_path);
	cr_assert_eq(pb_read_file(&bytes, &n_bytes, "tests/golden/families/qwen3/pytorch_model.bin",
				  (size_t)1 << 20, &err),
		     PB_OK, "%s", err.message);
	cr_assert_eq(pb_read_file(&config, &n_config, "tests/golden/families/qwen3/config.json",
				  (size_t)1 << 20, &err),
		     PB_OK, "%s", err.message);
	stw_folder_write(&folder, "config.json", config, n_config);
}

static void teardown(void)
{
	free(bytes);
	free(config);
	stw_folder_remove(&folder);
}

TestSuite(torch_files, .init = setup, .fini = teardown);

/* true when the model opened */
static bool try_open(const void *data, size_t size)
{
	struct pb_error err = {0};
	struct pb_model *model = NULL;
	enum pb_status status;

	stw_write_file(weights_path, data, size);
	status = pb_model_open(&model, folder.path, &err);
	if (status == PB_OK) {
		(void)pb_model_check_finite(model, &err);
		pb_model_close(model);
		return true;
	}
	cr_assert_eq(status, PB_ERR_INPUT, "%s", err.message);
	cr_assert(err.message[0] != '\0');
	return false;
}

Test(torch_files, cut_short)
{
	cr_assert(try_open(bytes, n_bytes));
	for (size_t n = 0; n < n_bytes; n += n < 256 || n + 256 > n_bytes ? 1 : 61)
		cr_assert_not(try_open(bytes, n), "%zu bytes", n);
}

Test(torch_files, flipped_bytes)
{
	struct pb_rng rng;
	size_t opened = 0;

	pb_rng_seed(&rng, 1, 2, 3, 4);
	for (int i = 0; i < 3000; i++) {
		/* half of them in the pickle at the front, half anywhere */
		size_t at = pb_rng_below(&rng, (uint32_t)(i % 2 ? n_bytes : 6000));
		char was = bytes[at];

		bytes[at] = (char)pb_rng_below(&rng, 256);
		opened += try_open(bytes, n_bytes);
		bytes[at] = was;
	}
	cr_assert_gt(opened, 0);
	cr_assert_lt(opened, 3000);
}

/* The global collections.OrderedDict replaced by another: named, never looked up. */
Test(torch_files, unknown_global)
{
	char *at = memmem(bytes, n_bytes, "_rebuild_tensor_v2", 18);
	struct pb_error err = {0};
	struct pb_model *model = NULL;

	cr_assert_not_null(at);
	at[17] = '9';
	stw_write_file(weights_path, bytes, n_bytes);
	cr_assert_eq(pb_model_open(&model, folder.path, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "torch._utils._rebuild_tensor_v9"), "%s",
			   err.message);
}
