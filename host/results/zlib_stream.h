/* zlib streams (RFC 1950) of shuffled numbers: what HDF5's gzip filter reads and writes, many times
 * as fast. ISA-L compresses and unpacks. Any thread. */
#ifndef PB_RESULTS_ZLIB_STREAM_H
#define PB_RESULTS_ZLIB_STREAM_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that a stream of n_planes planes of n bytes takes at most. */
size_t pb_zlib_most(size_t n, size_t n_planes);

/* n_planes planes of n bytes behind each other (the first bytes of all numbers, the second ones,
 * and so on) as a stream at `to`, which has room for pb_zlib_most: *size bytes. Planes of random
 * bytes, which most bytes of a computed number are, are stored as they are. False when there is no
 * memory.
 */
bool pb_zlib_pack(const unsigned char *planes, size_t n, size_t n_planes, unsigned char *to,
		  size_t *size);

/* A stream of `size` bytes into exactly `bytes` bytes. False when it is no such stream (its
 * checksum is looked at), or there is no memory; what is at `to` is then of no use. */
bool pb_zlib_unpack(const unsigned char *stream, size_t size, unsigned char *to, size_t bytes);

#endif
