/* Why the process, or a script, ends at once: "moonwire: " and one line on standard error, in JSON
 * a line of the log. */
#pragma once

struct log;

/* The text may hold control characters, such as those of a file's name or of an error in Lua: each
 * is written as a blank, but for the ends of lines on a terminal, where an excerpt of the source
 * may follow. The level of the log does not count. */
void complain(const struct log *log, const char *why);
