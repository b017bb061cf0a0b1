/* UTF-8, and the byte alphabet of byte-level BPE. */
#ifndef PB_TOKENS_BYTES_H
#define PB_TOKENS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes before the first one that is not part of a valid UTF-8 sequence; n when all is valid.
 * Strict: no surrogates, no overlong forms, nothing above U+10FFFF. */
size_t pb_utf8_valid(const char *text, size_t n);

/* The code point at text[*at]; *at moves behind it. The text must be valid and *at inside it. */
uint32_t pb_utf8_next(const char *text, size_t *at);

/* Where the code point that ends just before text[at] starts; valid text, at > 0. */
size_t pb_utf8_back(const char *text, size_t at);

/* Writes the code point (1 to 4 bytes, no NUL) and returns the number of bytes. */
size_t pb_utf8_put(uint32_t code, char out[4]);

/* `bytes` as valid UTF-8: each maximal piece of an invalid sequence becomes one U+FFFD (Unicode
 * 15, section 3.9, "substitution of maximal subparts"; Rust's from_utf8_lossy does the same).
 * `out` has room for 3 * n bytes; returns the bytes written. */
size_t pb_utf8_lossy(const char *bytes, size_t n, char *out);

/* Rust's char::is_whitespace (the Unicode property White_Space). */
bool pb_is_white(uint32_t code);

/* GPT-2's byte alphabet: printable Latin-1 stands for itself, the other 68 bytes are shifted to
 * U+0100 and up, so that a vocabulary file holds no spaces or control characters. */
uint32_t pb_byte_to_char(unsigned byte);
/* The byte that a character stands for, -1 for a character outside the alphabet. */
int pb_char_to_byte(uint32_t code);

/* Turns a token of the vocabulary into the bytes it stands for: out has room for n bytes. A
 * token with any character outside the alphabet stands for its own UTF-8. Valid UTF-8 only. */
size_t pb_token_to_bytes(const char *token, size_t n, char *out);

#endif
