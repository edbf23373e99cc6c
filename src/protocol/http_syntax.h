/* The small grammar that every header field is made of (RFC 9110 §5.6): tokens and comma lists. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True at the bytes that may stand in a token (§5.6.2). */
extern const bool http_token_byte[256];

/* A token: one byte at least, all of them token bytes? */
bool http_is_token(const char *text, size_t len);

/* Equal without regard to ASCII case? lower is lower case and NUL-terminated. */
bool http_equal(const char *text, size_t len, const char *lower);

/* The value of a hexadecimal digit of either case (HEXDIG, RFC 5234 Appendix B.1), or -1. */
int http_hex_value(char c);

/* Cut blanks (SP, HTAB) off both ends. */
void http_trim(const char **text, size_t *len);

/* Take the next member off a comma list (§5.6.1.2: empty members are skipped), without the blanks
 * around it. *text, *len advance. False at the end. Knows nothing of quoted strings. */
bool http_list_next(const char **text, size_t *len, const char **item, size_t *item_len);
