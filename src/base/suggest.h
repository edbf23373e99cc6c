/* How near a mistyped name is to a known one, for questions such as "did you mean …?". */
#pragma once

#include <stddef.h>

enum {
    SUGGEST_FAR = 4,        /* this many edits make another word of it */
    SUGGEST_NAME_BYTES = 64 /* names of this many bytes or more are far from every other */
};

/* The least number of edits (insert, delete or replace one byte; Levenshtein) that make `known`,
 * which ends with a NUL, of the len bytes at `name`. SUGGEST_FAR stands for that many or more. */
unsigned suggest_edits(const char *name, size_t len, const char *known);
