/* Counts the edits between two names. */
#include "base/suggest.h"

#include <string.h>

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Keeps one row of the table of Wagner and Fischer: after i rounds, row[j] is the distance between
 * the first i bytes of name and the first j of known. */
unsigned suggest_edits(const char *name, size_t len, const char *known)
{
    unsigned row[SUGGEST_NAME_BYTES];
    size_t known_len = strlen(known);
    if (len >= SUGGEST_NAME_BYTES || known_len >= SUGGEST_NAME_BYTES)
        return SUGGEST_FAR;
    for (size_t j = 0; j <= known_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= known_len; j++) {
            unsigned above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (name[i - 1] != known[j - 1]));
            diagonal = above;
        }
    }
    return row[known_len] < SUGGEST_FAR ? row[known_len] : SUGGEST_FAR;
}
