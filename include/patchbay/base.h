/* Small things that every module needs: checked memory, arenas, files, logging, SHA-256,
 * random numbers. */
#ifndef PATCHBAY_BASE_H
#define PATCHBAY_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "patchbay/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sizes from files ---------------------------------------------------------------- */

/* *out = a * b (or a + b); false on overflow, *out is then untouched. */
bool pb_size_mul(size_t a, size_t b, size_t *out);
bool pb_size_add(size_t a, size_t b, size_t *out);

/* ---- memory -------------------------------------------------------------------------- */

/* Zeroed array of `count` elements of `size` bytes in *out (freed with free()). count or size
 * of 0 gives a valid non-NULL pointer. PB_ERR_MEMORY on failure or overflow; `what` names the
 * thing in the message. */
enum pb_status pb_alloc(void **out, size_t count, size_t size, const char *what,
			struct pb_error *err);

/* Grow *array (capacity in elements in *capacity) so that at least `needed` elements fit. New
 * elements are zero. On failure the array is as it was. */
enum pb_status pb_grow(void **array, size_t *capacity, size_t needed, size_t size, const char *what,
		       struct pb_error *err);

/* An arena: many small allocations with one lifetime. Zero-initialised is empty and valid. */
struct pb_arena {
	struct pb_arena_block *head;
};

/* Zeroed memory aligned for any type, NULL when out of memory. Lives until pb_arena_free. */
void *pb_arena_alloc(struct pb_arena *arena, size_t count, size_t size);
/* Copy of n bytes with a final NUL; NULL when out of memory. */
char *pb_arena_strndup(struct pb_arena *arena, const char *text, size_t n);
char *pb_arena_strdup(struct pb_arena *arena, const char *text);
void pb_arena_free(struct pb_arena *arena);

/* printf into a fresh string (freed with free()); NULL when out of memory. */
char *pb_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- files --------------------------------------------------------------------------- */

/* A read-only memory-mapped file. data is NULL for an empty file. A file that becomes shorter while
 * it is mapped ends the process when a lost page is read: pb_map_guard makes that a message. */
struct pb_map {
	const unsigned char *data;
	size_t size;
};
enum pb_status pb_map_open(struct pb_map *map, const char *path, struct pb_error *err);
void pb_map_close(struct pb_map *map);
/* From here on a page of a map that cannot be read (SIGBUS: its file became shorter, or its disk
 * failed) ends the process with status 1 and a message that names the file. */
void pb_map_guard(void);

/* The whole of a text file with a final NUL (freed with free()); *size without the NUL, may be
 * NULL. Files larger than max_size bytes are refused (PB_ERR_INPUT). */
enum pb_status pb_read_file(char **out, size_t *size, const char *path, size_t max_size,
			    struct pb_error *err);

/* "cannot WHAT: PATH: CAUSE" of an errno: PB_ERR_INPUT where the path is what is wrong,
 * PB_ERR_MEMORY, and PB_ERR_IO where the disk is. Returns the status. */
enum pb_status pb_fail_errno(struct pb_error *err, int code, const char *what, const char *path);

bool pb_is_directory(const char *path);
bool pb_is_file(const char *path);

/* An output file written aside (path.tmp.<pid>) and renamed over `path` when complete, so that
 * nothing partial is ever seen under `path`. */
struct pb_aside {
	char *path;      /* the final name */
	char *temp_path; /* where to write until pb_aside_commit */
};
/* Prepares the names and checks that the directory of `path` can be written: PB_ERR_INPUT with
 * the path named otherwise. Creates nothing. */
enum pb_status pb_aside_begin(struct pb_aside *aside, const char *path, struct pb_error *err);
/* fsync the file written at temp_path, rename it to path, fsync the directory. */
enum pb_status pb_aside_commit(struct pb_aside *aside, struct pb_error *err);
/* Flush the directory that holds `path`: what was made or renamed in it is there after a crash. */
enum pb_status pb_sync_parent(const char *path, struct pb_error *err);
/* Remove temp_path if it is still there and free the names. Safe after commit. */
void pb_aside_end(struct pb_aside *aside);

/* ---- logging ------------------------------------------------------------------------- */

/* Messages to stderr, `patchbay: ...`. Quiet suppresses info, never warnings. */
void pb_log_quiet(bool quiet);
/* Of several processes that say the same one speaks: the others are mute, warnings included. */
void pb_log_mute(bool mute);
/* Messages begin with `rank N: ` from here on, and none is muted; -1: without. */
void pb_log_rank(int rank);
void pb_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void pb_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Progress of a long job: a bar with rate and ETA on a terminal, a line every 30 s in a log. */
struct pb_progress {
	const char *label; /* what is counted, e.g. "patches" */
	double total, done;
	double started, last_shown; /* seconds, monotonic */
	bool terminal;
	/* called at each addition; false: the work is to be given up. NULL: it never is */
	bool (*go_on)(void *context, double n);
	void *context;
};
void pb_progress_begin(struct pb_progress *p, const char *label, double total);
/* PB_ERR_STOPPED when the work is to be given up; *err has no more to say then. */
enum pb_status pb_progress_add(struct pb_progress *p, double n, struct pb_error *err);
void pb_progress_end(struct pb_progress *p);

/* Seconds on the monotonic clock. */
double pb_seconds(void);

/* ---- stop requests --------------------------------------------------------------------- */

/* SIGTERM, SIGINT and SIGUSR1 ask for a stop; `grace` seconds after the first of them the process
 * ends with status 75, whatever it is doing then. A second SIGINT ends it at once. */
void pb_signals_install(unsigned grace);
bool pb_stop_requested(void);
/* The last of these signals, 0: none; *at: pb_seconds() of the first (NULL: not wanted). */
int pb_stop_signal(double *at);
/* End the process with status 75 so many seconds from now, unless it has ended by then. The
 * earliest such end counts. Does nothing before pb_signals_install. */
void pb_leave_within(double seconds);
/* Such an end, unless a signal brought it about, would come at each new start: it has status 2
 * then. */
void pb_leave_hopeless(bool hopeless);

/* ---- SHA-256 ------------------------------------------------------------------------- */

#define PB_SHA256_HEX 65 /* 64 hexadecimal digits and a NUL */

struct pb_sha256;
enum pb_status pb_sha256_begin(struct pb_sha256 **out, struct pb_error *err);
enum pb_status pb_sha256_add(struct pb_sha256 *sha, const void *data, size_t size,
			     struct pb_error *err);
/* Writes the digest and frees the state. */
enum pb_status pb_sha256_end(struct pb_sha256 *sha, char hex[PB_SHA256_HEX], struct pb_error *err);
/* Frees a state that will not be ended (after a failed add). NULL is allowed. */
void pb_sha256_free(struct pb_sha256 *sha);
/* The digest of one buffer. */
enum pb_status pb_sha256_of(const void *data, size_t size, char hex[PB_SHA256_HEX],
			    struct pb_error *err);
/* The digest of a file's bytes, what `sha256sum` prints. PB_ERR_INPUT when it cannot be read. */
enum pb_status pb_file_sha256(const char *path, char hex[PB_SHA256_HEX], struct pb_error *err);

/* ---- random numbers ------------------------------------------------------------------ */

/* xoshiro256** seeded by SplitMix64 (Blackman and Vigna, public domain algorithms). */
struct pb_rng {
	uint64_t s[4];
};
/* A stream of its own for each (task, cell, seed, index): the four are mixed by SplitMix64. */
void pb_rng_seed(struct pb_rng *rng, uint64_t task, uint64_t cell, uint64_t seed, uint64_t index);
uint64_t pb_rng_next(struct pb_rng *rng);
/* Uniform in [0, bound), by rejection; bound >= 1. */
uint64_t pb_rng_below(struct pb_rng *rng, uint64_t bound);
/* Uniform in [0, 1) with 53 bits. */
double pb_rng_unit(struct pb_rng *rng);
/* Block of four random 32-bit words that a counter and a key stand for: Philox4x32 with ten rounds
 * (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). */
void pb_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Fisher-Yates shuffle of n values. */
void pb_rng_shuffle(struct pb_rng *rng, uint32_t *values, size_t n);

#ifdef __cplusplus
}
#endif
#endif
