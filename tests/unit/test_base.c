#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patchbay/base.h"

/* ---- status ----------------------------------------------------------------------------- */

Test(base_status, keeps_the_first_error)
{
	struct pb_error err = {0};

	cr_assert_eq(pb_fail(&err, PB_ERR_IO, "first: %d", 1), PB_ERR_IO);
	cr_assert_eq(pb_fail(&err, PB_ERR_INPUT, "second"), PB_ERR_INPUT);
	cr_assert_eq(err.status, PB_ERR_IO);
	cr_assert_str_eq(err.message, "first: 1");
	cr_assert_eq(pb_fail(NULL, PB_ERR_CHECK, "lost"), PB_ERR_CHECK);
}

Test(base_status, cuts_a_long_message)
{
	static struct pb_error err;
	static char text[2 * PB_ERROR_MESSAGE_SIZE];

	memset(text, 'x', sizeof text - 1);
	pb_fail(&err, PB_ERR_INPUT, "%s", text);
	cr_assert_eq(strlen(err.message), PB_ERROR_MESSAGE_SIZE - 1);
}

Test(base_status, exit_statuses)
{
	cr_assert_eq(pb_exit_status(PB_OK), 0);
	cr_assert_eq(pb_exit_status(PB_ERR_INPUT), 2);
	cr_assert_eq(pb_exit_status(PB_ERR_STOPPED), 75);
	cr_assert_eq(pb_exit_status(PB_ERR_IO), 1);
	cr_assert_eq(pb_exit_status(PB_ERR_MEMORY), 1);
	cr_assert_eq(pb_exit_status(PB_ERR_CHECK), 1);
	cr_assert_eq(pb_exit_status(PB_ERR_INTERNAL), 1);
}

/* ---- memory ----------------------------------------------------------------------------- */

Test(base_memory, sizes_are_checked)
{
	size_t out = 7;

	cr_assert(pb_size_mul(6, 7, &out));
	cr_assert_eq(out, 42);
	cr_assert(!pb_size_mul(SIZE_MAX / 2 + 1, 2, &out));
	cr_assert(!pb_size_add(SIZE_MAX, 1, &out));
	cr_assert_eq(out, 42, "untouched on overflow");
	cr_assert(pb_size_mul(SIZE_MAX, 0, &out));
	cr_assert_eq(out, 0);
	cr_assert(pb_size_add(SIZE_MAX - 1, 1, &out));
	cr_assert_eq(out, SIZE_MAX);
}

Test(base_memory, alloc)
{
	struct pb_error err = {0};
	void *p = NULL;
	size_t i;

	cr_assert_eq(pb_alloc(&p, 1000, 3, "things", &err), PB_OK);
	for (i = 0; i < 3000; i++)
		cr_assert_eq(((char *)p)[i], 0);
	free(p);
	cr_assert_eq(pb_alloc(&p, 0, 8, "nothing", &err), PB_OK);
	cr_assert_not_null(p);
	free(p);
	cr_assert_eq(pb_alloc(&p, SIZE_MAX / 4, 8, "elephants", &err), PB_ERR_MEMORY);
	cr_assert_null(p);
	cr_assert_not_null(strstr(err.message, "elephants"));
}

Test(base_memory, grow_keeps_and_zeroes)
{
	struct pb_error err = {0};
	void *memory = NULL;
	size_t capacity = 0, i;

	for (i = 0; i < 10000; i++) {
		cr_assert_eq(pb_grow(&memory, &capacity, i + 1, sizeof(int), "ints", &err), PB_OK);
		cr_assert_geq(capacity, i + 1);
		cr_assert_eq(((int *)memory)[i], 0);
		((int *)memory)[i] = (int)i;
	}
	for (i = 0; i < 10000; i++)
		cr_assert_eq(((int *)memory)[i], (int)i);
	cr_assert_eq(pb_grow(&memory, &capacity, SIZE_MAX / 2, sizeof(int), "ints", &err),
		     PB_ERR_MEMORY);
	cr_assert_eq(((int *)memory)[9999], 9999, "as it was");
	free(memory);
}

Test(base_memory, arena)
{
	struct pb_arena arena = {0};
	unsigned char *blocks[400];
	size_t i, j;

	/* Sizes from 0 to beyond a block: aligned, zeroed, never overlapping. */
	for (i = 0; i < 400; i++) {
		size_t n = i % 50 == 49 ? 100000 + i : i;

		blocks[i] = pb_arena_alloc(&arena, n, 1);
		cr_assert_not_null(blocks[i]);
		cr_assert_eq((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
		for (j = 0; j < n; j++)
			cr_assert_eq(blocks[i][j], 0);
		memset(blocks[i], (int)(i % 255) + 1, n);
	}
	for (i = 0; i < 400; i++)
		for (j = 0; j < (i % 50 == 49 ? 100000 + i : i); j++)
			cr_assert_eq(blocks[i][j], i % 255 + 1);
	cr_assert_null(pb_arena_alloc(&arena, SIZE_MAX / 2, 4));
	cr_assert_str_eq(pb_arena_strndup(&arena, "abcdef", 3), "abc");
	cr_assert_str_eq(pb_arena_strdup(&arena, ""), "");
	pb_arena_free(&arena);
	cr_assert_null(arena.head);
	cr_assert_not_null(pb_arena_alloc(&arena, 1, 1), "usable again");
	pb_arena_free(&arena);
}

Test(base_memory, format)
{
	char *text = pb_format("%s-%d", "a", 5);

	cr_assert_str_eq(text, "a-5");
	free(text);
}

/* ---- files ------------------------------------------------------------------------------ */

static char folder[64];

static void make_folder(void)
{
	snprintf(folder, sizeof folder, "/tmp/pb-base-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", folder);
	cr_assert_eq(system(command), 0);
}

static void in_folder(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", folder, name);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static void assert_text(const char *path, const char *expected)
{
	struct pb_error err = {0};
	char *text;

	cr_assert_eq(pb_read_file(&text, NULL, path, 1000, &err), PB_OK, "%s", err.message);
	cr_assert_str_eq(text, expected);
	free(text);
}

Test(base_file, map, .init = make_folder, .fini = remove_folder)
{
	struct pb_error err = {0};
	struct pb_map map;
	char path[128];

	in_folder(path, "f");
	write_text(path, "hello");
	cr_assert_eq(pb_map_open(&map, path, &err), PB_OK);
	cr_assert_eq(map.size, 5);
	cr_assert_eq(memcmp(map.data, "hello", 5), 0);
	pb_map_close(&map);
	cr_assert_null(map.data);

	write_text(path, "");
	cr_assert_eq(pb_map_open(&map, path, &err), PB_OK);
	cr_assert_null(map.data);
	cr_assert_eq(map.size, 0);
	pb_map_close(&map);

	cr_assert_eq(pb_map_open(&map, folder, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, folder));
	err = (struct pb_error){0};
	in_folder(path, "absent");
	cr_assert_eq(pb_map_open(&map, path, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "absent"));
	err = (struct pb_error){0};
	in_folder(path, "fifo");
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_assert_eq(pb_map_open(&map, path, &err), PB_ERR_INPUT, "and does not wait");
}

Test(base_file, read_file, .init = make_folder, .fini = remove_folder)
{
	struct pb_error err = {0};
	char path[128], *text;
	size_t size;

	in_folder(path, "f");
	write_text(path, "0123456789");
	cr_assert_eq(pb_read_file(&text, &size, path, 10, &err), PB_OK);
	cr_assert_str_eq(text, "0123456789");
	cr_assert_eq(size, 10);
	free(text);
	cr_assert_eq(pb_read_file(&text, &size, path, 9, &err), PB_ERR_INPUT);
	cr_assert_null(text);
	err = (struct pb_error){0};
	write_text(path, "");
	cr_assert_eq(pb_read_file(&text, &size, path, 9, &err), PB_OK);
	cr_assert_str_eq(text, "");
	free(text);
	cr_assert_eq(pb_read_file(&text, &size, folder, 9, &err), PB_ERR_INPUT);
	err = (struct pb_error){0};
	/* Not a regular file: read to its end all the same, within the bound. */
	cr_assert_eq(pb_read_file(&text, &size, "/dev/null", 9, &err), PB_OK);
	cr_assert_eq(size, 0);
	free(text);
	cr_assert_eq(pb_read_file(&text, &size, "/dev/zero", 100000, &err), PB_ERR_INPUT);
}

Test(base_file, kinds, .init = make_folder, .fini = remove_folder)
{
	char path[128];

	in_folder(path, "f");
	cr_assert(!pb_is_file(path));
	write_text(path, "");
	cr_assert(pb_is_file(path));
	cr_assert(!pb_is_directory(path));
	cr_assert(pb_is_directory(folder));
	cr_assert(!pb_is_file(folder));
}

Test(base_file, aside_replaces_only_when_complete, .init = make_folder, .fini = remove_folder)
{
	struct pb_error err = {0};
	struct pb_aside aside;
	char path[128], temp[256];

	in_folder(path, "out.h5");
	write_text(path, "old");
	cr_assert_eq(pb_aside_begin(&aside, path, &err), PB_OK);
	cr_assert(!pb_is_file(aside.temp_path), "creates nothing");
	write_text(aside.temp_path, "half");
	assert_text(path, "old");
	snprintf(temp, sizeof temp, "%s", aside.temp_path);
	pb_aside_end(&aside);
	cr_assert(!pb_is_file(temp), "given up: removed");
	assert_text(path, "old");

	cr_assert_eq(pb_aside_begin(&aside, path, &err), PB_OK);
	write_text(aside.temp_path, "new");
	cr_assert_eq(pb_aside_commit(&aside, &err), PB_OK, "%s", err.message);
	assert_text(path, "new");
	pb_aside_end(&aside);
	assert_text(path, "new");
	cr_assert(!pb_is_file(temp));
}

Test(base_file, aside_refuses_what_cannot_be_written, .init = make_folder, .fini = remove_folder)
{
	struct pb_error err = {0};
	struct pb_aside aside;
	char path[128];

	in_folder(path, "no/such/out.h5");
	cr_assert_eq(pb_aside_begin(&aside, path, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "no/such"));
	cr_assert(aside.path == NULL && aside.temp_path == NULL, "nothing to end");
	cr_assert_eq(pb_aside_begin(&aside, folder, NULL), PB_ERR_INPUT, "a directory");
	cr_assert_eq(pb_aside_begin(&aside, "", NULL), PB_ERR_INPUT);
	in_folder(path, "slash/");
	cr_assert_eq(pb_aside_begin(&aside, path, NULL), PB_ERR_INPUT);
	pb_aside_end(&aside);

	in_folder(path, "never-written");
	err = (struct pb_error){0};
	cr_assert_eq(pb_aside_begin(&aside, path, &err), PB_OK);
	cr_assert_eq(pb_aside_commit(&aside, &err), PB_ERR_IO);
	pb_aside_end(&aside);
	cr_assert(!pb_is_file(path));
}

/* ---- log -------------------------------------------------------------------------------- */

/* What `write` sends to stderr, in a buffer that lives until the next call. */
static const char *captured(void (*write_log)(void))
{
	static char text[4096];
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t n;

	cr_assert_not_null(f);
	cr_assert_geq(dup2(fileno(f), STDERR_FILENO), 0);
	write_log();
	fflush(stderr);
	cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
	close(saved);
	rewind(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void log_both(void)
{
	pb_info("told %d", 1);
	pb_warn("beware");
}

Test(base_log, quiet_suppresses_info_only)
{
	cr_assert_str_eq(captured(log_both), "patchbay: told 1\npatchbay: warning: beware\n");
	pb_log_quiet(true);
	cr_assert_str_eq(captured(log_both), "patchbay: warning: beware\n");
}

static void short_job(void)
{
	struct pb_progress p;

	pb_progress_begin(&p, "patches", 10);
	cr_assert_eq(pb_progress_add(&p, 10, NULL), PB_OK);
	pb_progress_end(&p);
}

static void long_job(void)
{
	struct pb_progress p;

	pb_progress_begin(&p, "patches", 200);
	/* As if begun 40 s ago: the next step is due to be shown. */
	p.started -= 40;
	p.last_shown -= 40;
	cr_assert_eq(pb_progress_add(&p, 100, NULL), PB_OK);
	cr_assert_eq(pb_progress_add(&p, 50, NULL), PB_OK);
	pb_progress_end(&p);
}

Test(base_log, progress_in_a_log)
{
	const char *text;

	cr_assert_str_eq(captured(short_job), "");
	text = captured(long_job);
	cr_assert_not_null(strstr(text, "patchbay: patches 100/200 (50%), 2.5/s, ETA 0:40\n"), "%s",
			   text);
	cr_assert_not_null(strstr(text, "patches 150/200 (75%)"), "%s", text);
	cr_assert_null(strchr(text, '\r'));
}

Test(base_log, progress_on_a_terminal)
{
	static char text[4096];
	int master = posix_openpt(O_RDWR | O_NOCTTY), saved = dup(STDERR_FILENO), terminal;
	size_t used = 0;
	ssize_t n;

	if (master < 0)
		cr_skip_test("no pseudo-terminals here");
	cr_assert_eq(grantpt(master), 0);
	cr_assert_eq(unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	cr_assert_geq(terminal, 0);
	cr_assert_geq(dup2(terminal, STDERR_FILENO), 0);
	long_job();
	cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
	/* A terminal hands out what it has, not all of it at once. */
	do {
		n = read(master, text + used, sizeof text - 1 - used);
		cr_assert_gt(n, 0);
		used += (size_t)n;
	} while (strchr(text, '\n') == NULL);
	cr_assert_not_null(strstr(text, "\r\033[Kpatches [............"), "%s", text);
	cr_assert_not_null(strstr(text, "[############............]  50% 100/200 2.5/s ETA 0:40"),
			   "%s", text);
	cr_assert_not_null(strstr(text, "150/200"), "%s", text);
	cr_assert_eq(text[used - 1], '\n', "the bar's line is ended");
	close(terminal);
	close(master);
	close(saved);
}

/* ---- signals ---------------------------------------------------------------------------- */

Test(base_signal, stop_is_requested)
{
	cr_assert(!pb_stop_requested());
	pb_signals_install(30);
	cr_assert(!pb_stop_requested());
	raise(SIGTERM);
	cr_assert(pb_stop_requested());
	raise(SIGUSR1);
	raise(SIGTERM);
	cr_assert(pb_stop_requested(), "and only asked for");
}

Test(base_signal, second_interrupt_ends_the_process)
{
	int how = 0;
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (child == 0) {
		pb_signals_install(30);
		raise(SIGINT);
		if (!pb_stop_requested())
			_exit(1);
		raise(SIGINT);
		_exit(2);
	}
	cr_assert_eq(waitpid(child, &how, 0), child);
	cr_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGINT, "status %#x", how);
}

/* ---- SHA-256: the examples of FIPS 180 --------------------------------------------------- */

Test(base_sha256, known_digests)
{
	char hex[PB_SHA256_HEX];
	struct pb_error err = {0};

	cr_assert_eq(pb_sha256_of("abc", 3, hex, &err), PB_OK);
	cr_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	cr_assert_eq(pb_sha256_of(NULL, 0, hex, &err), PB_OK);
	cr_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

Test(base_sha256, pieces_equal_whole)
{
	char whole[PB_SHA256_HEX], parts[PB_SHA256_HEX];
	unsigned char data[1000];
	struct pb_error err = {0};
	struct pb_sha256 *sha;
	size_t i;

	for (i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 7);
	cr_assert_eq(pb_sha256_of(data, sizeof data, whole, &err), PB_OK);
	cr_assert_eq(pb_sha256_begin(&sha, &err), PB_OK);
	for (i = 0; i < sizeof data; i += 125)
		cr_assert_eq(pb_sha256_add(sha, data + i, 125, &err), PB_OK);
	cr_assert_eq(pb_sha256_add(sha, NULL, 0, &err), PB_OK);
	cr_assert_eq(pb_sha256_end(sha, parts, &err), PB_OK);
	cr_assert_str_eq(parts, whole);
	cr_assert_eq(pb_sha256_begin(&sha, &err), PB_OK);
	pb_sha256_free(sha);
	pb_sha256_free(NULL);
}

/* ---- random numbers --------------------------------------------------------------------- */

Test(base_rng, xoshiro_by_hand)
{
	/* s = {1, 2, 3, 4}: the first results of the published algorithm. */
	struct pb_rng rng = {{1, 2, 3, 4}};

	cr_assert_eq(pb_rng_next(&rng), 11520);
	cr_assert_eq(pb_rng_next(&rng), 0);
	cr_assert_eq(pb_rng_next(&rng), 1509978240);
	cr_assert_eq(pb_rng_next(&rng), UINT64_C(1215971899390074240));
}

Test(base_rng, streams_differ_and_repeat)
{
	struct pb_rng a, b;
	uint64_t first;
	uint64_t seeds[5][4] = {
	    {0, 0, 0, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
	int i, j;

	pb_rng_seed(&a, 3, 1, 4, 1);
	pb_rng_seed(&b, 3, 1, 4, 1);
	first = pb_rng_next(&a);
	cr_assert_eq(first, pb_rng_next(&b));
	for (i = 0; i < 5; i++) {
		for (j = 0; j < i; j++) {
			pb_rng_seed(&a, seeds[i][0], seeds[i][1], seeds[i][2], seeds[i][3]);
			pb_rng_seed(&b, seeds[j][0], seeds[j][1], seeds[j][2], seeds[j][3]);
			cr_assert_neq(pb_rng_next(&a), pb_rng_next(&b));
		}
	}
}

Test(base_rng, a_seed_means_the_same_for_ever)
{
	struct pb_rng rng;

	/* Prompts are regenerated from seeds: these values may never change. */
	pb_rng_seed(&rng, 1, 2, 3, 4);
	cr_assert_eq(pb_rng_next(&rng), UINT64_C(1840901652470213138));
}

Test(base_rng, below_is_uniform)
{
	struct pb_rng rng;
	size_t count[7] = {0}, i;
	double chi2 = 0.0;

	pb_rng_seed(&rng, 0, 0, 1, 0);
	for (i = 0; i < 70000; i++) {
		uint64_t x = pb_rng_below(&rng, 7);

		cr_assert_lt(x, 7);
		count[x]++;
	}
	for (i = 0; i < 7; i++)
		chi2 += ((double)count[i] - 1e4) * ((double)count[i] - 1e4) / 1e4;
	/* 99.9% point of chi-squared with 6 degrees of freedom. */
	cr_assert(!(chi2 > 22.5), "chi2 %g", chi2);
	cr_assert_eq(pb_rng_below(&rng, 1), 0);
	for (i = 0; i < 100; i++)
		cr_assert_lt(pb_rng_below(&rng, (UINT64_C(1) << 63) + 1), (UINT64_C(1) << 63) + 1);
}

Test(base_rng, unit)
{
	struct pb_rng rng;
	double sum = 0.0, low = 1.0, high = 0.0;
	size_t i;

	pb_rng_seed(&rng, 0, 0, 2, 0);
	for (i = 0; i < 100000; i++) {
		double x = pb_rng_unit(&rng);

		cr_assert(x >= 0.0 && x < 1.0);
		sum += x;
		low = x < low ? x : low;
		high = x > high ? x : high;
	}
	/* Five standard errors of the mean, 0.289 / sqrt(1e5). */
	cr_assert(!(fabs(sum / 1e5 - 0.5) > 5 * 0.000913));
	cr_assert(low < 0.001 && high > 0.999);
}

Test(base_rng, shuffle_is_a_uniform_permutation)
{
	struct pb_rng rng;
	size_t count[6] = {0}, i;
	double chi2 = 0.0;

	pb_rng_seed(&rng, 0, 0, 3, 0);
	for (i = 0; i < 60000; i++) {
		uint32_t v[3] = {0, 1, 2};

		pb_rng_shuffle(&rng, v, 3);
		cr_assert_eq((1u << v[0]) | (1u << v[1]) | (1u << v[2]), 7);
		count[v[0] * 2 + (v[1] > v[2])]++;
	}
	for (i = 0; i < 6; i++)
		chi2 += ((double)count[i] - 1e4) * ((double)count[i] - 1e4) / 1e4;
	/* 99.9% point, 5 degrees of freedom. */
	cr_assert(!(chi2 > 20.5), "chi2 %g", chi2);
	pb_rng_shuffle(&rng, NULL, 0);
}
