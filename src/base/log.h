/* Log lines to standard error, whole, in order, from any thread. Text form:
 *   2026-11-22T12:00:00.123Z info  listening on http://localhost:8080
 * On a terminal the time is local and short: 12:00:00 info  listening on …
 * JSON form: {"time":"…","level":"info","message":"…", <fields>}.
 * No line is longer than line_bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_sink;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

struct log {
    int fd;
    enum log_level level; /* lines below it are not written */
    bool json;
    bool terminal;               /* people read it as it is written: short times */
    bool colour;                 /* the terminal shows colours */
    struct log_sink *sink;       /* for fd; without one (NULL) a line waits until it is read */
    _Atomic uint32_t line_bytes; /* the longest line; 0: the default (limits.log_line_bytes) */
};

/* Writes one line. It is dropped if memory, the file descriptor or the sink refuses it; before the
 * next one that the sink takes, a line tells how many were dropped. Control characters and bytes
 * that are not UTF-8 are escaped (in JSON the latter become U+FFFD), so that no peer can forge a
 * line or drive a terminal. A text that is too long is cut, and says how much is missing. For
 * tracebacks the text form keeps newlines, and indents the lines behind them. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True when a line of this level is written. */
bool log_wants(const struct log *log, enum log_level level);

/* Sets how long a line may be, from now on: at least LIMITS_LOG_LINE_BYTES_MIN. Any thread may call
 * this. */
void log_set_line_bytes(struct log *log, uint32_t bytes);

/* Writes one line with a text of len bytes. `fields` is a JSON object without its braces
 * ("\"room\":\"a\""), or empty; in text form name=value follows the text (log_fields.h). Fields
 * that need more than half of a line are left out, and the line says so. */
void log_text(const struct log *log, enum log_level level, const char *text, size_t len,
              const char *fields, size_t fields_len);

/* At the end of the process: waits until the queued lines are written, LOG_END_MS at most, and
 * tells how many were dropped. */
void log_end(const struct log *log);

/* Reads a level's name: "debug", "info", "warn", "error" or "off". 0 or ERR_INVALID. */
int log_level_parse(const char *name, enum log_level *out) __attribute__((warn_unused_result));
