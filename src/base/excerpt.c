/* Finds the place in a text, and the lines in the file. */
#include "base/excerpt.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 160 }; /* of a line that is shown */

struct place {
    char file[4096];
    unsigned long line;
};

/* "chat.lua:12: " */
static bool find_place(const char *why, struct place *out)
{
    for (const char *colon = strchr(why, ':'); colon; colon = strchr(colon + 1, ':')) {
        char *end;
        size_t len = (size_t)(colon - why);
        if (colon[1] < '0' || colon[1] > '9')
            continue;
        out->line = strtoul(colon + 1, &end, 10);
        if (end[0] != ':' || end[1] != ' ' || len == 0 || len >= sizeof(out->file))
            continue;
        memcpy(out->file, why, len);
        out->file[len] = '\0';
        return true;
    }
    return false;
}

static void append_line(char *why, size_t size, unsigned long number, bool meant, const char *line)
{
    size_t at = strlen(why), len = strcspn(line, "\r\n");
    if (len == 0 && !meant)
        return;
    (void)snprintf(why + at, size - at, "\n%s %4lu | %.*s", meant ? ">" : " ", number,
                   (int)(len < LINE_BYTES ? len : LINE_BYTES), line);
}

void excerpt_append(char *why, size_t size)
{
    struct place at;
    char *line = NULL;
    size_t room = 0;
    if (strchr(why, '\n') || !find_place(why, &at))
        return;
    FILE *file = fopen(at.file, "re");
    if (!file)
        return;
    for (unsigned long n = 1; n <= at.line + 1 && getline(&line, &room, file) >= 0; n++) {
        if (n + 1 >= at.line)
            append_line(why, size, n, n == at.line, line);
    }
    free(line);
    (void)fclose(file);
}
