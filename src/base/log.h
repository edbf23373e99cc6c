/* Log lines to standard error, whole, in order, from any thread. Text form:
 *   2026-11-22T12:00:00.123Z info  listening on http://localhost:8080
 * JSON form: {"time":"…","level":"info","message":"…", <fields>}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct log_sink;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

struct log {
    int fd;
    enum log_level level; /* lines below it are not written */
    bool json;
    struct log_sink *sink; /* for fd; NULL: who logs waits for who reads */
};

/* One line, of any length; dropped if memory, the file descriptor or the sink refuse it. The next one that
 * the sink takes comes with a line before it that says how many were. Control characters and
 * bytes that are not UTF-8 are escaped (JSON: the latter become U+FFFD), so that no peer can forge
 * a line or drive a terminal; only newlines are kept in text form, what follows them indented, for
 * tracebacks. */
void log_write(const struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Is a line of this level written? */
bool log_wants(const struct log *log, enum log_level level);

/* One line of len bytes with fields: a JSON object without its braces ("\"room\":\"a\""), empty for
 * none. In text form the fields follow the text as they are. */
void log_text(const struct log *log, enum log_level level, const char *text, size_t len,
              const char *fields, size_t fields_len);

/* At the end of the process: waits until what is queued is read, LOG_END_MS at most, and says what was
 * dropped. */
void log_end(const struct log *log);

/* "debug" … "error", "off" to a level. 0 or ERR_INVALID. */
int log_level_parse(const char *name, enum log_level *out);
