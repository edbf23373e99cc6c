/* How near a mistyped name is to a known one, for "did you mean …?". */
#pragma once

#include <stddef.h>

enum {
    SUGGEST_FAR = 4,        /* with so many edits it is another word */
    SUGGEST_NAME_BYTES = 64 /* names so long or longer are far from every other */
};

/* The least number of edits (insert, delete or replace one byte; Levenshtein) that make known, which
 * ends with a NUL, of the len bytes at name. SUGGEST_FAR stands for that many or more. */
unsigned suggest_edits(const char *name, size_t len, const char *known);
