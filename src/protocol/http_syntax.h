/* The small grammar that header fields are made of (RFC 9110 §5.6): tokens, comma lists, digits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True at the bytes that may stand in a token (§5.6.2). */
extern const bool http_token_byte[256];

/* True for a token: one byte or more, all of them token bytes. */
bool http_is_token(const char *text, size_t len);

/* True when the text equals `lower`, which is in lower case and ends with a NUL, in any case of
 * ASCII letters. */
bool http_equal(const char *text, size_t len, const char *lower);

/* The value of a hexadecimal digit of either case (HEXDIG, RFC 5234 Appendix B.1), or -1. */
int http_hex_value(char c) __attribute__((warn_unused_result));

/* Cuts blanks (SP, HTAB) off both ends. */
void http_trim(const char **text, size_t *len);

/* Takes the next member, without the blanks around it, off the comma list *text, *len, which
 * advance. Empty members are skipped (§5.6.1.2). False at the end. It knows nothing of quoted
 * strings. */
bool http_list_next(const char **text, size_t *len, const char **item, size_t *item_len);
