/* Composes the lines of the log, and hands them to the sink. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/escape.h"
#include "base/limits.h"
#include "base/log_fields.h"
#include "base/log_sink.h"

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

int log_level_parse(const char *name, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

static int append_control_text(struct buffer *line, const uint8_t *text, size_t len)
{
    switch (text[0]) {
    case '\n':
        return buffer_append(line, "\n    ", 5);
    case '\r':
        return buffer_append(line, "\\r", 2);
    case '\t':
        return buffer_append(line, "\\t", 2);
    default:
        return buffer_printf(line, "\\x%02x", len == 2 ? text[1] : text[0]);
    }
}

static int append_text(struct buffer *line, const uint8_t *text, size_t len)
{
    int err = 0;
    for (size_t at = 0; at < len && !err;) {
        size_t n = escape_character(text + at, len - at);
        if (n == 0)
            err = buffer_printf(line, "\\x%02x", text[at]);
        else if (escape_is_control(text + at, n))
            err = append_control_text(line, text + at, n);
        else
            err = buffer_append(line, text + at, n);
        /* The lines of Lua's tracebacks begin with a tab; ours are indented already. */
        if (text[at] == '\n' && at + 1 < len && text[at + 1] == '\t')
            n = 2;
        at += n ? n : 1;
    }
    return err;
}

/* RFC 3339, in UTC. */
static int append_time(struct buffer *line)
{
    uint64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    return buffer_printf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", utc.tm_year + 1900,
                         utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                         (unsigned)(now_ms % 1000));
}

/* The parts of a line, bounded already. */
struct parts {
    enum log_level level;
    const char *text;
    size_t len;
    char cut[64];         /* what says that the text was longer; or "" */
    struct buffer fields; /* as they are written */
};

static int append_short_time(struct buffer *line)
{
    time_t seconds = clock_wall_s();
    struct tm local;
    localtime_r(&seconds, &local);
    return buffer_printf(line, "%02d:%02d:%02d", local.tm_hour, local.tm_min, local.tm_sec);
}

/* Escape sequences of ECMA-48 (SGR). */
static const char *const colours[] = {[LOG_DEBUG] = "\x1b[2m",
                                      [LOG_INFO] = "\x1b[32m",
                                      [LOG_WARN] = "\x1b[33m",
                                      [LOG_ERROR] = "\x1b[31m",
                                      [LOG_OFF] = ""};
static const char dim[] = "\x1b[2m";
static const char plain[] = "\x1b[0m";

/* Time and level. */
static int append_front(struct buffer *line, const struct log *log, enum log_level level)
{
    int err = log->colour ? buffer_printf(line, "%s", dim) : 0;
    if (!err)
        err = log->terminal ? append_short_time(line) : append_time(line);
    if (!err && log->colour)
        return buffer_printf(line, "%s %s%-5s%s ", plain, colours[level], level_names[level],
                             plain);
    return err ? err : buffer_printf(line, " %-5s ", level_names[level]);
}

static int text_line(struct buffer *line, const struct log *log, const struct parts *p)
{
    int err = append_front(line, log, p->level);
    if (!err)
        err = append_text(line, (const uint8_t *)p->text, p->len);
    if (!err)
        err = buffer_printf(line, "%s%s", p->cut, p->fields.len ? " " : "");
    if (!err)
        err = buffer_append(line, p->fields.data, p->fields.len);
    return err ? err : buffer_append(line, "\n", 1);
}

static int json_line(struct buffer *line, const struct parts *p)
{
    int err = buffer_append(line, "{\"time\":\"", 9);
    if (!err)
        err = append_time(line);
    if (!err)
        err = buffer_printf(line, "\",\"level\":\"%s\",\"message\":\"", level_names[p->level]);
    if (!err)
        err = escape_json(line, p->text, p->len);
    if (!err)
        err = buffer_printf(line, "%s\"%s", p->cut, p->fields.len ? "," : "");
    if (!err)
        err = buffer_append(line, p->fields.data, p->fields.len);
    return err ? err : buffer_append(line, "}\n", 2);
}

/* The most bytes that a character of n bytes (0: a byte that is no character) becomes. */
static size_t escaped_len(const uint8_t *text, size_t n)
{
    if (n == 0 || escape_is_control(text, n))
        return 6;
    return text[0] == '"' || text[0] == '\\' ? 2 : n;
}

/* How many bytes of the text, in whole characters, need no more than this room once escaped. */
static size_t fitting(const uint8_t *text, size_t len, size_t room)
{
    size_t at = 0;
    while (at < len) {
        size_t n = escape_character(text + at, len - at);
        size_t need = escaped_len(text + at, n);
        if (need > room)
            break;
        room -= need;
        at += n ? n : 1;
    }
    return at;
}

/* Time, level, punctuation and what says that the text was cut. */
enum { FRAME_BYTES = 192 };

static int compose_fields(struct buffer *out, const struct log *log, const char *fields, size_t len,
                          size_t room)
{
    int err = log->json ? escape_invalid(out, fields, len) : log_fields_text(out, fields, len);
    if (err || out->len <= room)
        return err;
    out->len = 0;
    return buffer_printf(
        out, log->json ? "\"fields\":\"%zu bytes, left out\"" : "fields=\"%zu bytes, left out\"",
        len);
}

static int compose(struct buffer *line, const struct log *log, enum log_level level,
                   const char *text, size_t len, const char *fields, size_t fields_len)
{
    size_t most = atomic_load_explicit(&log->line_bytes, memory_order_relaxed);
    if (most == 0)
        most = limits_default.log_line_bytes;
    struct parts p = {.level = level, .text = text};
    int err = fields_len ? compose_fields(&p.fields, log, fields, fields_len, most / 2) : 0;
    p.len = fitting((const uint8_t *)text, len, most - FRAME_BYTES - p.fields.len);
    if (p.len < len)
        (void)snprintf(p.cut, sizeof(p.cut), "… (%zu more bytes)", len - p.len);
    if (!err)
        err = log->json ? json_line(line, &p) : text_line(line, log, &p);
    buffer_deinit(&p.fields);
    return err;
}

/* Writes a line, also when a signal cuts a write short. A rest that cannot be written is
 * dropped. */
static void write_whole(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

/* Puts a line that tells how many were dropped, and this line behind it: the sink takes both or
 * neither. */
static void put_after_dropped(const struct log *log, const struct buffer *line, uint64_t dropped)
{
    struct buffer both = {0};
    char text[128];
    int n = snprintf(text, sizeof(text),
                     "%llu line%s of the log dropped: nobody reads standard error, or too slowly",
                     (unsigned long long)dropped, dropped == 1 ? "" : "s");
    int err = compose(&both, log, LOG_WARN, text, (size_t)n, "", 0);
    if (!err && line->len)
        err = buffer_append(&both, line->data, line->len);
    if (err || !log_sink_put(log->sink, both.data, both.len))
        log_sink_unclaim(log->sink, dropped);
    buffer_deinit(&both);
}

static void put(const struct log *log, const struct buffer *line)
{
    uint64_t dropped = log->sink ? log_sink_claim(log->sink) : 0;
    if (!log->sink)
        write_whole(log->fd, line->data, line->len);
    else if (dropped > 0)
        put_after_dropped(log, line, dropped);
    else
        log_sink_put(log->sink, line->data, line->len);
}

void log_set_line_bytes(struct log *log, uint32_t bytes)
{
    atomic_store_explicit(&log->line_bytes, bytes, memory_order_relaxed);
}

bool log_wants(const struct log *log, enum log_level level)
{
    return level >= log->level && level < LOG_OFF;
}

void log_text(const struct log *log, enum log_level level, const char *text, size_t len,
              const char *fields, size_t fields_len)
{
    if (!log_wants(log, level))
        return;
    int saved_errno = errno; /* callers log on their way to reporting it */
    struct buffer line = {0};
    if (compose(&line, log, level, text, len, fields, fields_len) == 0)
        put(log, &line);
    buffer_deinit(&line);
    errno = saved_errno;
}

void log_write(const struct log *log, enum log_level level, const char *format, ...)
{
    if (!log_wants(log, level))
        return;
    int saved_errno = errno;
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len >= 0) {
        log_text(log, level, text, (size_t)len, "", 0);
        free(text);
    }
    errno = saved_errno;
}

void log_end(const struct log *log)
{
    if (!log->sink || !log_sink_flush(log->sink, LOG_END_MS))
        return;
    uint64_t dropped = log_sink_claim(log->sink);
    if (dropped == 0)
        return;
    const struct buffer none = {0};
    put_after_dropped(log, &none, dropped);
    log_sink_flush(log->sink, LOG_END_MS);
}
