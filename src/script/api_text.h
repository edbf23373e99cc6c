/* The functions for texts and their encodings that Lua may call. They are pure: the specs call the
 * same ones, from libmoonwire-core.so. script/api.h includes this. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "protocol/http_parts.h"

/* Checks one header and writes "Name: value\r\n" to out. Returns its length; ERR_INVALID: it is
 * malformed, or one that the server writes itself; ERR_TOO_BIG: it needs more than size;
 * ERR_MEMORY. */
int mw_header_append(char *out, size_t size, const char *name, size_t name_len, const char *value,
                     size_t value_len);

/* Decodes percent escapes from in to out, which may be the same and needs room for len bytes. If
 * plus is not 0, a "+" stands for a blank. Returns the length; ERR_INVALID: an escape is broken;
 * ERR_UTF8: the decoded bytes are not UTF-8, which is refused since an app could not send them as a
 * text. */
long mw_url_decode(char *out, const char *in, size_t len, int plus);

/* Finds the next pair of a text that a client sent, from *at on, which advances (0 at first). kind:
 * enum http_pairs. Returns 1 with *out, whose spans are offsets in the text, or 0 at the end. It
 * takes time in proportion to the length, whatever the bytes are. */
int mw_pair_next(int kind, const char *text, size_t len, uint32_t *at, struct http_pair *out);

/* Writes the URL that mw_connect would connect to, as the url property shows it (WHATWG URL
 * Standard, serializing): http and https become ws and wss. Returns its length, without a NUL;
 * ERR_INVALID, with a static text in *why; ERR_TOO_BIG: it needs more than size; ERR_MEMORY. */
int mw_url_serialize(const char *url, size_t len, char *out, size_t size, const char **why);

/* Finds count lines of a text, from line first on (the first is 1); there may be fewer. Sets *at to
 * where they begin and returns their length without the end of the last one, or ERR_NOT_FOUND: the
 * text has no line first. */
long mw_lines(const char *text, size_t len, uint32_t first, uint32_t count, const char **at);

/* Writes the SHA-1 of the data in hexadecimal digits, with a NUL. */
void mw_digest(const char *data, size_t len, char out[41]);
