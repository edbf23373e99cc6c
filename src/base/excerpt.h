/* The lines of a file around a fault, for people who look at it on a terminal or a page. */
#pragma once

#include <stddef.h>

/* why: one line that begins with a file and a number, "chat.lua:12: …", in size bytes. The lines
 * around that number are put behind it, each on a line of its own, the one that is meant with > in
 * front, as app.lua does for faults in Lua. Nothing where the text has no place, has an excerpt
 * already, or the file cannot be read. */
void excerpt_append(char *why, size_t size);
