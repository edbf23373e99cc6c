#include "script/api.h"

#include "script/api_client.h"
#include "script/api_control.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/client/client.h"
#include "engine/client/client_answer.h"
#include "engine/client/client_opening.h"
#include "engine/control/control_ask.h"
#include "engine/control/control_place.h"
#include "engine/ground/outbound_flush.h"
#include "engine/ground/site.h"
#include "engine/http/http_conn.h"
#include "engine/reload/file.h"
#include "engine/reload/overlay.h"
#include "engine/reload/reload.h"
#include "engine/reload/sources.h"
#include "engine/run/handover.h"
#include "engine/server/server.h"
#include "engine/worker/input.h"
#include "engine/worker/timers.h"
#include "engine/worker/worker.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_conn.h"
#include "engine/ws/ws_request.h"
#include "protocol/http_response.h"
#include "protocol/router.h"
#include "protocol/url.h"
#include "protocol/utf8.h"
#include "protocol/ws_url.h"
#include "script/state.h"

_Static_assert((uint32_t)MW_NO_ROUTE == (uint32_t)CLIENT_ROUTE, "one number says it");

/* To Lua a worker and a site are opaque; here they are what they are. */
static struct worker *worker(struct mw_worker *w)
{
    return (struct worker *)(void *)w;
}

static struct site *site(struct mw_site *s)
{
    return (struct site *)(void *)s;
}

static struct conn *get(struct mw_worker *w, double handle)
{
    return conn_get(worker(w), handle);
}

struct event_batch *mw_batch(struct mw_worker *w)
{
    return &worker(w)->given;
}

void mw_string_begin(struct mw_worker *w, const char *data, uint32_t len)
{
    script_string_begin(worker(w)->script, data, len);
}

void mw_string_end(struct mw_worker *w)
{
    script_string_end(worker(w)->script);
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct http_session *session(struct mw_worker *w, double handle, uint32_t serial)
{
    struct conn *c = get(w, handle);
    struct http_session *h = c ? c->http : NULL;
    return h && c->state == CONN_HTTP && h->state == HTTP_ANSWERING && h->serial == serial ? h
                                                                                           : NULL;
}

const struct request *mw_request_get(struct mw_worker *w, double conn, uint32_t serial)
{
    struct http_session *h = session(w, conn, serial);
    if (!h)
        return NULL;
    h->view = (struct request){
        .head = &h->head,
        .base = (const char *)h->in.data,
        .body = (const char *)h->body.data,
        .body_len = (uint32_t)h->body.len,
        .route = h->match.target,
        .param_count = h->match.param_count,
        .secure = get(w, conn)->secure,
    };
    memcpy(h->view.params, h->match.params, sizeof h->view.params);
    return &h->view;
}

int mw_respond(struct mw_worker *w, double conn, uint32_t serial, uint32_t status,
               const char *headers, size_t headers_len, const char *body, size_t body_len)
{
    struct conn *c = get(w, conn);
    return c ? http_conn_respond(worker(w), c, serial, status, headers, headers_len, body, body_len)
             : ERR_CLOSED;
}

int mw_upgrade_accept(struct mw_worker *w, double conn, uint32_t serial, const char *protocol,
                      size_t protocol_len, const char *headers, size_t headers_len)
{
    struct conn *c = get(w, conn);
    return c ? http_conn_accept(worker(w), c, serial, protocol, protocol_len, headers, headers_len)
             : ERR_CLOSED;
}

int mw_header_append(char *out, size_t size, const char *name, size_t name_len, const char *value,
                     size_t value_len)
{
    struct buffer b = {0};
    int status = http_response_header(&b, name, name_len, value, value_len);
    if (status == 0 && b.len > size)
        status = ERR_TOO_BIG;
    if (status == 0) {
        memcpy(out, b.data, b.len);
        status = (int)b.len;
    }
    buffer_deinit(&b);
    return status;
}

long mw_url_decode(char *out, const char *in, size_t len, int plus)
{
    long decoded = url_decode(out, in, len, plus);
    if (decoded > 0) {
        struct utf8 text = {0};
        int status = utf8_check(&text, (const uint8_t *)out, (size_t)decoded);
        if (status < 0 || !utf8_complete(&text))
            return ERR_UTF8;
    }
    return decoded;
}

/* ---- WebSockets ------------------------------------------------------------------------------ */

static bool is_utf8(const char *data, size_t len)
{
    struct utf8 u = {0};
    return utf8_check(&u, (const uint8_t *)data, len) == 0 && utf8_complete(&u);
}

int mw_send(struct mw_worker *w, double conn, const char *data, size_t len, int kind)
{
    struct conn *c = get(w, conn);
    if (!c)
        return ERR_CLOSED;
    if (kind == MW_MESSAGE_TEXT && !is_utf8(data, len))
        return ERR_UTF8;
    return ws_conn_send(worker(w), c, (const uint8_t *)data, len, kind == MW_MESSAGE_BINARY);
}

int mw_close(struct mw_worker *w, double conn, int code, const char *reason, size_t reason_len)
{
    struct conn *c = get(w, conn);
    if (!is_utf8(reason, reason_len)) /* RFC 6455 §5.5.1 */
        return ERR_UTF8;
    if (!c)
        return ERR_CLOSED;
    if (c->state == CONN_CONNECT || c->state == CONN_ANSWER) { /* WHATWG: it fails */
        client_fail(worker(w), c, "it was closed before it was open");
        return 0;
    }
    return ws_conn_close(worker(w), c, (uint16_t)code, reason, reason_len);
}

int mw_terminate(struct mw_worker *w, double conn)
{
    struct conn *c = get(w, conn);
    if (!c || c->state >= CONN_LINGER)
        return ERR_CLOSED;
    conn_kill(worker(w), c);
    return 0;
}

int mw_ping(struct mw_worker *w, double conn, const char *data, size_t len)
{
    struct conn *c = get(w, conn);
    return c ? ws_conn_ping(worker(w), c, (const uint8_t *)data, len) : ERR_CLOSED;
}

int mw_ready_state(struct mw_worker *w, double conn)
{
    const struct conn *c = get(w, conn);
    if (!c || c->state >= CONN_LINGER)
        return 3;
    if (c->state < CONN_OPEN)
        return 0;
    return c->state == CONN_OPEN ? 1 : 2;
}

double mw_buffered_amount(struct mw_worker *w, double conn)
{
    struct conn *c = get(w, conn);
    return c ? (double)outbound_payload(&c->out, &c->transport) : 0;
}

void mw_flush(struct mw_worker *w, double conn)
{
    struct conn *c = get(w, conn);
    if (c)
        conn_flush(worker(w), c);
}

void mw_close_met(struct mw_worker *w, double conn)
{
    struct conn *c = get(w, conn);
    if (c)
        ws_conn_resume(worker(w), c);
}

int mw_pause(struct mw_worker *w, double conn)
{
    struct conn *c = get(w, conn);
    if (!c || c->state != CONN_OPEN)
        return ERR_CLOSED;
    conn_pause(worker(w), c, true);
    return 0;
}

int mw_resume(struct mw_worker *w, double conn)
{
    struct conn *c = get(w, conn);
    if (!c || c->state >= CONN_LINGER)
        return ERR_CLOSED;
    conn_pause(worker(w), c, false);
    return 0;
}

/* Both parts of the headers, after one another in scratch. */
static int kept_headers(const struct ws_request *k, struct buffer *scratch, const char **out,
                        size_t *len)
{
    const struct ws_request_common *common = k->common;
    const char *shared = common->text + common->protocol_len + common->extensions_len;
    const char *own = k->text + k->origin_len + k->path_len + k->query_len;
    scratch->len = 0;
    if (buffer_append(scratch, shared, common->headers_len) < 0 ||
        buffer_append(scratch, own, k->headers_len) < 0)
        return ERR_MEMORY;
    *out = (const char *)scratch->data;
    *len = scratch->len;
    scratch->len = 0;
    return 0;
}

static void kept_text(const struct ws_request *k, int which, const char **out, size_t *len)
{
    const char *origin = k->text;
    const char *path = origin + k->origin_len;
    const char *query = path + k->path_len;
    switch (which) {
    case MW_TEXT_PROTOCOL:
        *out = k->common->text;
        *len = k->common->protocol_len;
        break;
    case MW_TEXT_EXTENSIONS:
        *out = k->common->text + k->common->protocol_len;
        *len = k->common->extensions_len;
        break;
    case MW_TEXT_URL:
        *out = origin;
        *len = k->origin_len + k->path_len + k->query_len;
        break;
    case MW_TEXT_PATH:
        *out = path;
        *len = k->path_len;
        break;
    default: /* MW_TEXT_QUERY: without the "?" */
        *out = k->query_len ? query + 1 : query;
        *len = k->query_len ? k->query_len - 1 : 0;
        break;
    }
}

int mw_text(struct mw_worker *w, double conn, int which, const char **out, size_t *len)
{
    const struct conn *c = get(w, conn);
    if (!c)
        return ERR_CLOSED;
    if (which == MW_TEXT_REMOTE_ADDRESS) {
        struct buffer *scratch = &worker(w)->scratch;
        scratch->len = 0;
        if (buffer_reserve(scratch, ADDRESS_TEXT_BYTES) < 0)
            return ERR_MEMORY;
        *out = address_format(&c->peer, (char *)scratch->data);
        *len = strlen(*out);
        return 0;
    }
    if (!c->request)
        return ERR_CLOSED;
    if (which == MW_TEXT_HEADERS)
        return kept_headers(c->request, &worker(w)->scratch, out, len);
    kept_text(c->request, which, out, len);
    return 0;
}

int mw_param(struct mw_worker *w, double conn, uint32_t i, const char **out, size_t *len)
{
    const struct conn *c = get(w, conn);
    if (!c || !c->request)
        return ERR_CLOSED;
    if (c->client)
        return ERR_NOT_FOUND;
    const char *path;
    size_t path_len;
    struct router_match match;
    kept_text(c->request, MW_TEXT_PATH, &path, &path_len);
    /* Not by the router: other routes may fit this path too by now. */
    const char *pattern = worker(w)->site->routes[c->route].pattern;
    router_params(pattern, strlen(pattern), path, path_len, &match);
    if (i >= match.param_count)
        return ERR_NOT_FOUND;
    *out = path + match.params[i].at;
    *len = match.params[i].len;
    return 0;
}

int mw_route(struct mw_worker *w, double conn)
{
    const struct conn *c = get(w, conn);
    if (!c || !c->request)
        return ERR_CLOSED;
    return c->client ? ERR_NOT_FOUND : (int)c->route;
}

/* ---- connections that the script opens --------------------------------------------------------- */

double mw_connect(struct mw_worker *w, const struct mw_connect *options, const char **why)
{
    return client_connect(worker(w), options, why);
}

int mw_url_serialize(const char *url, size_t len, char *out, size_t size, const char **why)
{
    struct ws_url parsed;
    int status = ws_url_parse(&parsed, url, len, why);
    if (status < 0)
        return status;
    if (parsed.text.len <= size) {
        memcpy(out, parsed.text.data, parsed.text.len);
        status = (int)parsed.text.len;
    } else {
        status = ERR_TOO_BIG;
    }
    ws_url_deinit(&parsed);
    return status;
}

void mw_connect_failed(struct mw_worker *w, double conn, const char *text, size_t len, bool heard)
{
    const struct conn *c = get(w, conn);
    if (c)
        client_log_failure(worker(w), c, heard ? LOG_DEBUG : LOG_WARN, text, len);
}

void mw_exit(struct mw_worker *w, int status)
{
    worker(w)->ending = true;
    server_exit(worker(w)->server, status & 255);
}

/* ---- topics ---------------------------------------------------------------------------------- */

int mw_subscribe(struct mw_worker *w, double conn, const char *topic, size_t len)
{
    struct conn *c = get(w, conn);
    return c ? topics_subscribe(worker(w), c, topic, len) : ERR_CLOSED;
}

int mw_unsubscribe(struct mw_worker *w, double conn, const char *topic, size_t len)
{
    struct conn *c = get(w, conn);
    return c ? topics_unsubscribe(worker(w), c, topic, len) : ERR_CLOSED;
}

int mw_publish(struct mw_worker *w, double except, const char *topic, size_t topic_len,
               const char *data, size_t len, int kind)
{
    if (kind == MW_MESSAGE_TEXT && !is_utf8(data, len))
        return ERR_UTF8;
    struct conn *c = except != 0 ? get(w, except) : NULL;
    return topics_publish(worker(w), c, topic, topic_len, (const uint8_t *)data, len,
                          kind == MW_MESSAGE_BINARY);
}

int mw_subscribers(struct mw_worker *w, const char *topic, size_t len)
{
    return (int)topics_subscribers(worker(w), topic, len);
}

/* ---- timers, log, counters ------------------------------------------------------------------- */

double mw_timer_start(struct mw_worker *w, double after_seconds, double every_seconds)
{
    return timers_start(worker(w), after_seconds, every_seconds);
}

int mw_timer_stop(struct mw_worker *w, double id)
{
    return timers_stop(worker(w), id);
}

int mw_input(struct mw_worker *w, int fd)
{
    return input_wait(worker(w), fd);
}

void mw_input_stop(struct mw_worker *w)
{
    input_stop(worker(w));
}

void mw_log(struct mw_worker *w, int level, const char *text, size_t len, const char *fields,
            size_t fields_len)
{
    log_text(worker(w)->log, (enum log_level)level, text, len, fields, fields_len);
}

const char *mw_counter_name(uint32_t i)
{
    return counter_name(i);
}

double mw_counter(struct mw_worker *w, uint32_t i)
{
    return (double)server_counter(worker(w)->server, i);
}

void mw_hook_failed(struct mw_worker *w, uint32_t generation, const char *text, size_t len)
{
    count(&worker(w)->counters, COUNT_HOOK_FAILURES, 1);
    if (worker(w)->server->reload)
        reload_failed(worker(w)->server->reload, generation, text, len);
}

int mw_worker_index(struct mw_worker *w)
{
    return (int)worker(w)->index;
}

int mw_worker_count(struct mw_worker *w)
{
    return (int)worker(w)->server->worker_count;
}

void mw_stop(struct mw_worker *w)
{
    server_drain(worker(w)->server);
}

/* ---- servers that run ------------------------------------------------------------------------ */

long mw_control_find(char *out, size_t size)
{
    return control_find(out, size);
}

long mw_control_find_others(char *out, size_t size)
{
    return control_find_others(out, size);
}

int mw_control_ask(const char *path, const char *request, int found, char *why)
{
    return control_ask(path, request, found, why);
}

long mw_control_read(int fd, char *out, size_t size, double seconds)
{
    return control_read(fd, out, size, seconds);
}

void mw_control_done(int fd)
{
    close(fd);
}

/* ---- sites ----------------------------------------------------------------------------------- */

const char *mw_site_error(const struct mw_site *s)
{
    return ((const struct site *)(const void *)s)->error;
}

int mw_site_route(struct mw_site *s, const char *pattern, size_t len, uint32_t methods)
{
    return site_add_route(site(s), pattern, len, methods);
}

int mw_site_static(struct mw_site *s, const char *prefix, size_t prefix_len, const char *folder,
                   size_t folder_len)
{
    return site_add_static(site(s), prefix, prefix_len, folder, folder_len);
}

int mw_site_limit(struct mw_site *s, int route, const char *name, double value)
{
    return site_set_limit(site(s), route, name, value);
}

int mw_site_protocol(struct mw_site *s, int route, const char *name, size_t len)
{
    return site_add_protocol(site(s), route, name, len);
}

int mw_site_origin(struct mw_site *s, int route, const char *origin, size_t len)
{
    return site_add_origin(site(s), route, origin, len);
}

int mw_site_compress(struct mw_site *s, int route, const char *name, double value)
{
    return site_set_compress(site(s), route, name, value);
}

int mw_site_upgrade(struct mw_site *s, int route, bool has_hook)
{
    if (route < 0 || (size_t)route >= site(s)->route_count)
        return ERR_INVALID;
    site(s)->routes[route].has_upgrade = has_hook;
    return 0;
}

int mw_site_listen(struct mw_site *s, const char *host, int port)
{
    return site_add_listener(site(s), host, port);
}

int mw_site_certificate(struct mw_site *s, int listener, const char *cert_path,
                        const char *key_path)
{
    return site_add_certificate(site(s), listener, cert_path, key_path);
}

int mw_site_dev_certificate(struct mw_site *s, int listener)
{
    if (listener < 0 || (size_t)listener >= site(s)->listener_count)
        return ERR_INVALID;
    site(s)->listeners[listener].development = true;
    return 0;
}

int mw_site_eager(struct mw_site *s, int route, bool eager)
{
    if (route < 0 || (size_t)route >= site(s)->route_count)
        return ERR_INVALID;
    site(s)->routes[route].eager = eager;
    return 0;
}

int mw_site_file(struct mw_worker *w, struct mw_site *s, const char *path, const char *digest)
{
    if (s)
        return site_add_file(site(s), path, digest);
    if (worker(w)->server->reload)
        reload_late_file(worker(w)->server->reload, path, digest);
    return 0;
}

/* ---- generations ----------------------------------------------------------------------------- */

void mw_reload(struct mw_worker *w)
{
    if (worker(w)->server->reload)
        reload_request(worker(w)->server->reload, "mw.reload");
}

void mw_rollback(struct mw_worker *w)
{
    if (worker(w)->server->reload)
        reload_rollback(worker(w)->server->reload, "mw.rollback");
}

const char *mw_taken_back(struct mw_worker *w)
{
    const struct reload_facts *facts = script_facts(worker(w)->script);
    return facts ? facts->taken_back : NULL;
}

bool mw_failed_probation(struct mw_worker *w)
{
    const struct reload_facts *facts = script_facts(worker(w)->script);
    return facts && facts->failed_probation;
}

void mw_search_begin(struct mw_worker *w)
{
    handover_piece_begin(worker(w));
}

bool mw_search_is_over(struct mw_worker *w)
{
    return handover_slice_over(worker(w));
}

void mw_search_end(struct mw_worker *w)
{
    handover_piece_end(worker(w), PAUSE_SEARCH);
}

const char *mw_pauses(struct mw_worker *w, struct mw_pauses *out)
{
    const struct pauses *p = &worker(w)->handover->pauses.serving;
    if (!p->known)
        return NULL;
    *out = (struct mw_pauses){
        (double)p->longest.us / 1000,
        (double)p->longest.cpu_us / 1000,
        (double)p->commit.us / 1000,
        (double)p->commit.cpu_us / 1000,
    };
    return pause_name(p->kind);
}

double mw_next_open(struct mw_worker *w, uint32_t *slot, uint32_t *generation)
{
    const struct worker *mine = worker(w);
    while (*slot < mine->slot_cap) {
        const struct conn *c = conn_at(mine, (*slot)++);
        if (c && c->request && !c->client && (c->state == CONN_OPEN || c->state == CONN_CLOSING)) {
            *generation = c->request->common->generation;
            return conn_handle(mine, c);
        }
    }
    return 0;
}

int mw_opened_in(struct mw_worker *w, double conn)
{
    const struct conn *c = get(w, conn);
    return c && c->request ? (int)c->request->common->generation : ERR_CLOSED;
}

void mw_digest(const char *data, size_t len, char out[41])
{
    file_digest(out, data, len);
}

const char *mw_source_text(struct mw_worker *w, const char *path, size_t *len)
{
    const struct sources *s = worker(w)->sources;
    const struct source *source = s ? sources_find(s, path) : NULL;
    if (!source)
        return NULL;
    *len = source->text.len;
    return source->text.len > 0 ? (const char *)source->text.data : "";
}

long mw_lines(const char *text, size_t len, uint32_t first, uint32_t count, const char **at)
{
    const char *end = text + len, *from = text, *stop = text;
    for (uint32_t i = 1; i < first; i++, from = stop + 1) {
        stop = memchr(from, '\n', (size_t)(end - from));
        if (!stop)
            return ERR_NOT_FOUND;
    }
    *at = from;
    stop = from;
    for (uint32_t i = 0; i < count && stop; i++, from = stop ? stop + 1 : end)
        stop = memchr(from, '\n', (size_t)(end - from));
    return (long)((stop ? stop : end) - *at);
}

int mw_route_was(struct mw_worker *w, uint32_t i)
{
    const struct site *s = worker(w)->site;
    if (i >= s->route_count)
        return ERR_NOT_FOUND;
    return i < s->declared_count ? ERR_INVALID : (int)s->routes[i].was;
}

int mw_generation(struct mw_worker *w)
{
    return (int)worker(w)->site->generation;
}

/* ---- the dev overlay ------------------------------------------------------------------------- */

const char *mw_overlay_path(int script)
{
    return script ? OVERLAY_SCRIPT : OVERLAY_SOCKET;
}

int mw_overlay_wanted(struct mw_worker *w, const struct mw_site *s)
{
    return worker(w)->server->overlay && site_has_static((const struct site *)(const void *)s);
}

void mw_site_overlay(struct mw_site *s)
{
    site(s)->overlay = true;
}

void mw_overlay_join(struct mw_worker *w, double conn)
{
    struct conn *c = get(w, conn);
    if (c)
        overlay_join(worker(w), c);
}

void mw_overlay_fault(struct mw_worker *w, const char *text, size_t len)
{
    overlay_fault(worker(w), text, len);
}
