/* Opens the file that a path names, checks the request's conditions and range, and answers. */
#include "engine/http/static_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/ground/site.h"
#include "engine/ground/site_folders.h"
#include "engine/http/http_answer.h"
#include "engine/http/http_host.h"
#include "engine/http/http_route.h"
#include "engine/worker/worker.h"
#include "protocol/http_date.h"
#include "protocol/http_etag.h"
#include "protocol/http_mime.h"
#include "protocol/http_range.h"
#include "protocol/http_syntax.h"
#include "protocol/sha1.h"
#include "protocol/url.h"

enum {
    PATH_BYTES = 4096,
    SMALL_BYTES = 16 * 1024, /* bodies up to this size are copied into the output */
    OPEN_TRIES = 4,          /* openat2 fails with EAGAIN when a rename races with it */
    ETAG_BYTES = 64,
    FIELDS_BYTES = 512
};

static const char index_name[] = "index.html";
/* Ends every page in watch mode. */
static const char overlay_tag[] = "<script src=\"" SITE_OVERLAY_SCRIPT "\"></script>\n";

/* A file that is open to be answered with. */
struct file {
    int fd;
    uint64_t size;
    time_t modified; /* never in the future (RFC 9110 §8.8.2.1) */
    char etag[ETAG_BYTES];
    const char *type;
    bool tagged; /* the tag of the dev overlay follows its bytes */
};

/* ---- paths ----------------------------------------------------------------------------------- */

/* Hidden files are not served, so neither are "." and "..". .well-known is public (RFC 8615). */
static bool segment_served(const char *segment, size_t len)
{
    static const char well_known[] = ".well-known";
    if (segment[0] != '.')
        return true;
    return len == sizeof(well_known) - 1 && memcmp(segment, well_known, len) == 0;
}

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && strncasecmp(name + len - n, end, n) == 0;
}

/* Files of these names are kept from a folder by mistake more often than they are published: code,
 * keys and databases. */
static bool name_served(const char *path)
{
    /* What SQLite has beside a database, and copies that editors make. */
    static const char *const companions[] = {"-wal",  "-shm", "-journal", "~",     "#",   ".bak",
                                             ".orig", ".swp", ".swo",     ".save", ".old"};
    static const char *const private[] = {".lua",     ".luac", ".key", "key.pem",
                                          ".p12",     ".pfx",  ".db",  ".sqlite",
                                          ".sqlite3", ".db3",  ".sl3", ".s3db"};
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof(companions) / sizeof(*companions); i++) {
        if (ends_with(path, len, companions[i])) {
            len -= strlen(companions[i]);
            break;
        }
    }
    for (size_t i = 0; i < sizeof(private) / sizeof(*private); i++) {
        if (ends_with(path, len, private[i]))
            return false;
    }
    return true;
}

/* Decodes rest into a path relative to the folder. Each segment is decoded by itself, so that an
 * escaped slash does not become a separator. A slash at the end stays. 0, or ERR_NOT_FOUND: no file
 * can have this name. */
static int decode_path(char out[PATH_BYTES], const char *rest, size_t len)
{
    if (len + sizeof("./") + sizeof(index_name) > PATH_BYTES)
        return ERR_NOT_FOUND;
    char *at = stpcpy(out, "./");
    while (len > 0) {
        const char *slash = memchr(rest, '/', len);
        size_t raw = slash ? (size_t)(slash - rest) : len;
        long decoded = url_decode(at, rest, raw, 0);
        if (decoded <= 0 || memchr(at, '/', (size_t)decoded) || memchr(at, '\0', (size_t)decoded) ||
            !segment_served(at, (size_t)decoded))
            return ERR_NOT_FOUND;
        at += decoded;
        if (slash) {
            *at++ = '/';
            raw++;
        }
        rest += raw;
        len -= raw;
    }
    *at = '\0';
    return 0;
}

/* Opens the file inside the folder that the path names; links may not lead out of the folder.
 * Without O_NONBLOCK a FIFO would stop the loop. Returns the descriptor, or -1 with errno. */
static int open_beneath(int folder, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;
    for (int i = 0; i < OPEN_TRIES; i++) {
        fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

/* ---- answers without a file ------------------------------------------------------------------ */

static void not_found(struct worker *w, struct conn *c)
{
    http_route_not_found(w, c, "there is no such file");
}

static void refuse_errno(struct worker *w, struct conn *c, const char *path)
{
    int error = errno;
    switch (error) {
    case EACCES:
    case EPERM:
        http_answer_refuse(w, c, 403, "this file may not be read", NULL);
        return;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        worker_log_peer(w, LOG_WARN, &c->peer, "static file %s: %s", path, strerror(error));
        http_answer_refuse(w, c, 503, "too busy to open the file", NULL);
        return;
    case EIO:
    case ENOSYS:
    case EINVAL:
        worker_log_peer(w, LOG_ERROR, &c->peer, "static file %s: %s", path, strerror(error));
        http_answer_refuse(w, c, 500, "the file cannot be read", NULL);
        return;
    default: /* ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EXDEV (a way out), ENXIO (a socket) */
        not_found(w, c);
    }
}

/* The address of a folder's page ends with a slash, so that the relative links on it lead below. */
static void redirect_to_folder(struct worker *w, struct conn *c)
{
    const struct http_head *h = &c->http->head;
    const char *base = (const char *)c->http->in.data;
    struct buffer line = {0};
    if (buffer_printf(&line, "Location: %.*s/%s%.*s\r\n", (int)h->path.len, base + h->path.at,
                      h->query.len > 0 ? "?" : "", (int)h->query.len, base + h->query.at) < 0 ||
        buffer_append(&line, "", 1) < 0)
        http_answer_refuse(w, c, 503, "out of memory", NULL);
    else
        http_answer_refuse(w, c, 301, "this is a folder: its address ends with a slash",
                           (const char *)line.data);
    buffer_deinit(&line);
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* Does a list of tags have the file's? Several lines of the field are one list (RFC 9110 §5.3). */
static bool any_tag(const struct http_session *s, const char *name, const char *etag, bool strong)
{
    const char *base = (const char *)s->in.data;
    for (uint32_t i = 0; i < s->head.field_count; i++) {
        const struct http_field *f = &s->head.fields[i];
        if (!http_equal(base + f->name.at, f->name.len, name))
            continue;
        const char *list = base + f->value.at;
        size_t len = f->value.len;
        if (!strong) {
            if (http_etag_match(list, len, etag))
                return true;
            continue;
        }
        const char *item; /* a member that equals our tag has no comma, for that has none */
        size_t item_len;
        while (http_list_next(&list, &len, &item, &item_len)) {
            if ((item_len == 1 && *item == '*') ||
                (item_len == strlen(etag) && memcmp(item, etag, item_len) == 0))
                return true;
        }
    }
    return false;
}

static bool has(const struct http_session *s, const char *name)
{
    unsigned n = 0;
    (void)http_head_field(&s->head, (const char *)s->in.data, name, &n);
    return n > 0;
}

/* The date in the only field of that name, or -1. */
static time_t date_field(const struct http_session *s, const char *name)
{
    const char *base = (const char *)s->in.data;
    const struct http_field *f = http_head_field(&s->head, base, name, NULL);
    return f ? http_date_parse(base + f->value.at, f->value.len) : -1;
}

/* Checks the conditions in the order of RFC 9110 §13.2.2. Returns the status to answer with, or 0
 * when they all hold. */
static unsigned check_conditions(const struct http_session *s, const struct file *f)
{
    if (has(s, "if-match")) {
        if (!any_tag(s, "if-match", f->etag, true))
            return 412;
    } else {
        time_t since = date_field(s, "if-unmodified-since");
        if (since >= 0 && f->modified > since)
            return 412;
    }
    if (has(s, "if-none-match"))
        return any_tag(s, "if-none-match", f->etag, false) ? 304 : 0;
    time_t since = date_field(s, "if-modified-since");
    return since >= 0 && f->modified <= since ? 304 : 0;
}

/* §13.1.5: does If-Range name the file's tag, or exactly its date? The date counts only when the
 * file is some seconds old, since it is the same for two versions of one second. */
static bool range_is_current(const struct http_session *s, const struct file *f, time_t now)
{
    const char *base = (const char *)s->in.data;
    unsigned n = 0;
    const struct http_field *field = http_head_field(&s->head, base, "if-range", &n);
    if (n == 0)
        return true;
    if (!field)
        return false;
    const char *value = base + field->value.at;
    if (field->value.len == strlen(f->etag) && memcmp(value, f->etag, field->value.len) == 0)
        return true;
    return http_date_parse(value, field->value.len) == f->modified && now > f->modified + 1;
}

/* §14.2: returns the status, which is 200, 206 or 416; with 206 it sets the bytes to send. */
static unsigned choose_range(const struct http_session *s, const struct file *f, time_t now,
                             uint64_t *first, uint64_t *last)
{
    const char *base = (const char *)s->in.data;
    const struct http_field *range = http_head_field(&s->head, base, "range", NULL);
    if (!range || s->head.method != HTTP_GET || f->tagged || !range_is_current(s, f, now))
        return 200;
    int status = http_range_parse(base + range->value.at, range->value.len, f->size, first, last);
    return status > 0 ? 206 : status < 0 ? 416 : 200;
}

/* ---- answers with a file --------------------------------------------------------------------- */

/* Cache-Control lets caches keep the file, and makes them ask each time whether it has changed: an
 * edit shows at once, for the price of a 304. */
static size_t validator_fields(char out[FIELDS_BYTES], const struct file *f)
{
    char date[30];
    http_date_format(date, f->modified);
    return (size_t)snprintf(out, FIELDS_BYTES,
                            "ETag: %s\r\nLast-Modified: %s\r\nCache-Control: no-cache\r\n", f->etag,
                            date);
}

static void answer_not_modified(struct worker *w, struct conn *c, const struct file *f)
{
    char fields[FIELDS_BYTES];
    struct http_response r = {.status = 304, .headers = fields};
    r.headers_len = validator_fields(fields, f);
    if (http_answer_head(w, c, &r) == 0)
        http_answer_done(w, c);
}

/* Queues the head and a body of len bytes of the file from `at` on. Owns f->fd from now on. */
static void send_part(struct worker *w, struct conn *c, struct file *f, struct http_response *r,
                      uint64_t at, size_t len)
{
    char small[SMALL_BYTES];
    bool head_only = c->http->head.method == HTTP_HEAD;
    if (head_only)
        len = 0;
    bool copied = len <= sizeof(small);
    if (copied) {
        ssize_t n = len > 0 ? pread(f->fd, small, len, (off_t)at) : 0;
        close(f->fd);
        /* It was cut short since fstat, or cannot be read; no head is queued yet. */
        if (n != (ssize_t)len) {
            http_answer_refuse(w, c, 500, "the file changed while it was read", NULL);
            return;
        }
    }
    if (http_answer_head(w, c, r) < 0) {
        if (!copied)
            close(f->fd);
        return;
    }
    if (copied && len > 0) {
        uint8_t *out = conn_reserve(w, c, len, false);
        if (!out)
            return;
        memcpy(out, small, len);
    } else if (!copied && outbound_file(&c->out, f->fd, (off_t)at, len) < 0) {
        conn_kill(w, c);
        return;
    }
    if (f->tagged && !head_only &&
        http_answer_queue(w, c, overlay_tag, sizeof(overlay_tag) - 1) < 0)
        return;
    http_answer_done(w, c);
}

static void answer_file(struct worker *w, struct conn *c, struct file *f)
{
    uint64_t first = 0;
    uint64_t last = f->size - 1;
    unsigned status = choose_range(c->http, f, (time_t)ev_now(w->loop), &first, &last);
    char fields[FIELDS_BYTES];
    if (status == 416) {
        close(f->fd);
        snprintf(fields, sizeof(fields), "Content-Range: bytes */%" PRIu64 "\r\n", f->size);
        http_answer_refuse(w, c, 416, "the file has no such range", fields);
        return;
    }
    size_t len = validator_fields(fields, f);
    len += (size_t)snprintf(fields + len, sizeof(fields) - len,
                            "Accept-Ranges: %s\r\nX-Content-Type-Options: nosniff\r\n",
                            f->tagged ? "none" : "bytes");
    if (status == 206)
        len += (size_t)snprintf(fields + len, sizeof(fields) - len,
                                "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
                                first, last, f->size);
    uint64_t part = status == 206 ? last - first + 1 : f->size;
    struct http_response r = {.status = status,
                              .has_length = true,
                              .content_length = part + (f->tagged ? sizeof(overlay_tag) - 1 : 0),
                              .type = f->type,
                              .headers = fields,
                              .headers_len = len};
    send_part(w, c, f, &r, first, (size_t)part);
}

/* The app's own types go before those that are known. */
static const char *type_of(const struct site_route *route, const char *path)
{
    const char *ending = http_mime_ending(path);
    for (char **type = route->types; ending && type && *type; type += 2) {
        if (strcasecmp(type[0], ending) == 0)
            return type[1];
    }
    return http_mime_type(path);
}

/* A file that another has replaced has another tag, be it as long and as old. The tag is a digest:
 * inodes and nanoseconds are nobody's business. */
static void make_etag(char out[ETAG_BYTES], const struct stat *st, bool tagged)
{
    const uint64_t facts[] = {(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
                              (uint64_t)st->st_size, st->st_dev, st->st_ino};
    uint8_t digest[SHA1_BYTES];
    uint64_t head;
    sha1(digest, facts, sizeof(facts));
    memcpy(&head, digest, sizeof(head));
    snprintf(out, ETAG_BYTES, "\"%016" PRIx64 "%s\"", head, tagged ? "-overlay" : "");
}

/* Answers with a regular file. Owns fd from now on. */
static void serve_open(struct worker *w, struct conn *c, int fd, const struct stat *st,
                       const char *type)
{
    struct file f = {.fd = fd, .size = (uint64_t)st->st_size, .type = type};
    atomic_fetch_add_explicit(&w->files_served, 1, memory_order_relaxed);
    f.tagged =
        strncasecmp(f.type, "text/html", strlen("text/html")) == 0 && http_host_wants_overlay(w, c);
    time_t now = (time_t)ev_now(w->loop);
    f.modified = st->st_mtim.tv_sec < now ? st->st_mtim.tv_sec : now;
    if (f.modified < 0)
        f.modified = 0;
    make_etag(f.etag, st, f.tagged);
    unsigned status = check_conditions(c->http, &f);
    if (status == 0) {
        answer_file(w, c, &f);
        return;
    }
    close(fd);
    if (status == 304)
        answer_not_modified(w, c, &f);
    else
        http_answer_refuse(w, c, status, "the file is not as the request supposes", NULL);
}

void static_files_serve(struct worker *w, struct conn *c, const struct site_route *route,
                        const char *rest, size_t len)
{
    char path[PATH_BYTES];
    struct stat st;
    const struct http_session *s = c->http;
    if (decode_path(path, rest, len) < 0 || !name_served(path)) {
        not_found(w, c);
        return;
    }
    int fd = open_beneath(route->folder, path);
    int status = fd < 0 ? -1 : fstat(fd, &st);
    if (status == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        const char *end = (const char *)s->in.data + s->head.path.at + s->head.path.len;
        if (end[-1] != '/') {
            redirect_to_folder(w, c);
            return;
        }
        strcat(path, index_name);
        fd = open_beneath(route->folder, path);
        status = fd < 0 ? -1 : fstat(fd, &st);
    }
    if (status < 0) {
        refuse_errno(w, c, path);
        if (fd >= 0)
            close(fd);
    } else if (!S_ISREG(st.st_mode) || site_is_private(w->site, &st)) {
        close(fd);
        not_found(w, c);
    } else {
        serve_open(w, c, fd, &st, type_of(route, path));
    }
}
