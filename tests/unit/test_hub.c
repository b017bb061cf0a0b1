/* Hub ids resolved in a local cache that the test makes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patchbay/model.h"

#define COMMIT_1 "0123456789abcdef0123456789abcdef01234567"
#define COMMIT_2 "0123456fffffffff0123456789abcdef01234567"
#define COMMIT_3 "abcdef0123456789abcdef0123456789abcdef01"

static char cache[] = "/tmp/patchbay-hub-XXXXXX";

static void make_folder(const char *below)
{
	char *path = pb_format("%s/%s", cache, below);

	for (char *slash = strchr(path + strlen(cache) + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	(void)mkdir(path, 0700);
	cr_assert(pb_is_directory(path), "%s", path);
	free(path);
}

static void make_file(const char *below, const char *text)
{
	char *path = pb_format("%s/%s", cache, below);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f, "%s", path);
	cr_assert(fputs(text, f) >= 0 && fclose(f) == 0);
	free(path);
}

static void setup(void)
{
	static const char *const variables[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
						"XDG_CACHE_HOME"};

	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		(void)unsetenv(variables[i]);
	cr_assert_not_null(mkdtemp(cache));
	make_folder("hub/models--org--newt/refs/pr");
	make_folder("hub/models--org--newt/snapshots/" COMMIT_1);
	make_folder("hub/models--org--newt/snapshots/" COMMIT_2);
	make_folder("hub/models--gpt2/refs");
	make_folder("hub/models--gpt2/snapshots/" COMMIT_3);
	make_file("hub/models--org--newt/refs/main", COMMIT_1);
	make_file("hub/models--org--newt/refs/pr/7", COMMIT_2 "\n");
	make_file("hub/models--org--newt/refs/gone", COMMIT_3);
	make_file("hub/models--org--newt/refs/bad", "main");
	make_file("hub/models--gpt2/refs/main", COMMIT_3);
}

static void teardown(void)
{
	char *command = pb_format("rm -rf '%s'", cache);

	cr_assert_eq(system(command), 0);
	free(command);
}

TestSuite(hub, .init = setup, .fini = teardown);

static void point_at(const char *variable, const char *below)
{
	char *path = pb_format("%s%s", cache, below);

	cr_assert_eq(setenv(variable, path, 1), 0);
	free(path);
}

static void check_found(const char *id, const char *revision, const char *expected)
{
	struct pb_error err = {0};
	char *found = NULL;

	cr_assert_eq(pb_model_find(&found, id, revision, &err), PB_OK, "%s", err.message);
	cr_assert(strlen(found) >= strlen(expected));
	cr_expect_str_eq(found + strlen(found) - strlen(expected), expected);
	free(found);
}

static void check_refused(const char *id, const char *revision, const char *what)
{
	struct pb_error err = {0};
	char *found = NULL;

	cr_assert_eq(pb_model_find(&found, id, revision, &err), PB_ERR_INPUT, "%s, %s", id,
		     revision);
	cr_expect_not_null(strstr(err.message, what), "%s", err.message);
	cr_expect_null(found);
}

Test(hub, revisions)
{
	point_at("HF_HUB_CACHE", "/hub");
	check_found("org/newt", "main", "models--org--newt/snapshots/" COMMIT_1);
	check_found("org/newt", "pr/7", "snapshots/" COMMIT_2);
	check_found("org/newt", COMMIT_2, "snapshots/" COMMIT_2);
	check_found("org/newt", "0123456f", "snapshots/" COMMIT_2);
	check_found("gpt2", "main", "models--gpt2/snapshots/" COMMIT_3);
	check_refused("org/newt", "0123456", "no such revision"); /* begins two commits */
	check_refused("org/newt", "012345", "no such revision");  /* too short */
	check_refused("org/newt", "dev", "no such revision");
	check_refused("org/newt", "gone", "no such revision"); /* its snapshot is not there */
	check_refused("org/newt", "bad", "damaged reference");
	check_refused("org/newt", "../../x", "wrong revision");
	check_refused("org/newt", "/etc/passwd", "wrong revision");
	check_refused("org/newt", "", "wrong revision");
	check_refused("org/frog", "main", "no such model");
}

/* The variables that huggingface_hub looks at, in its order. */
Test(hub, places)
{
	point_at("HOME", "");
	check_refused("gpt2", "main", ".cache/huggingface/hub");
	point_at("XDG_CACHE_HOME", "/xdg");
	check_refused("gpt2", "main", "/xdg/huggingface/hub");
	point_at("HF_HOME", "");
	check_found("gpt2", "main", "snapshots/" COMMIT_3);
	point_at("HF_HUB_CACHE", "/elsewhere");
	check_refused("gpt2", "main", "/elsewhere/models--gpt2");
}

/* A folder or file of that name goes before the cache; what is no id is taken as a path. */
Test(hub, paths)
{
	point_at("HF_HUB_CACHE", "/hub");
	check_found(cache, "main", cache);
	check_found("data/boxbench", "main", "data/boxbench");
	check_found("no/such/folder", "main", "no/such/folder");
	check_found("./newt", "main", "./newt");
}

/* The snapshot is opened as the model. */
Test(hub, a_model_in_the_cache)
{
	char *source = realpath("data/boxbench", NULL), *found = NULL;
	char *command =
	    pb_format("cp '%s'/* '%s/hub/models--gpt2/snapshots/" COMMIT_3 "'", source, cache);
	struct pb_error err = {0};
	struct pb_model *model = NULL;

	point_at("HF_HUB_CACHE", "/hub");
	cr_assert_eq(system(command), 0);
	cr_assert_eq(pb_model_find(&found, "gpt2", "main", &err), PB_OK, "%s", err.message);
	cr_assert_eq(pb_model_open(&model, found, &err), PB_OK, "%s", err.message);
	pb_model_close(model);
	free(found);
	free(command);
	free(source);
}
