/* From what an app declares to sockets that listen: certificates, addresses, who accepts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/server.h"
#include "engine/state_folder.h"
#include "transport/dev_cert.h"

/* ---- accepting ------------------------------------------------------------------------------ */

static void refuse(struct listener *l, struct server *s, int fd, const struct address *peer,
                   const char *limit)
{
    close(fd);
    count(&s->counters, COUNT_REFUSED_CONNECTIONS, 1);
    if (listener_may_warn(l)) {
        char from[ADDRESS_TEXT_BYTES];
        log_write(&s->log, LOG_WARN, "connection from %s refused: over limits.%s",
                  address_format(peer, from), limit);
    }
}

/* The next worker in turn among those that have the fewest connections. */
static struct worker *least_busy(struct server *s)
{
    uint32_t best = 0;
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        uint32_t at = (s->next_worker + i) % s->worker_count;
        uint32_t has = atomic_load_explicit(&s->workers[at].conn_count, memory_order_relaxed) +
                       atomic_load_explicit(&s->dealt[at], memory_order_relaxed);
        if (has < fewest) {
            fewest = has;
            best = at;
        }
    }
    s->next_worker = (best + 1) % s->worker_count;
    return &s->workers[best];
}

static void deal(struct listener *l, struct server *s, int fd, const struct address *peer)
{
    struct letter *letter = letter_new(LETTER_CONNECTION, NULL, 0);
    if (letter == NULL) {
        close(fd);
        server_release(s, peer);
        return;
    }
    letter->fd = fd;
    letter->peer = *peer;
    letter->listener = l;
    struct worker *w = least_busy(s);
    atomic_fetch_add_explicit(&s->dealt[w->index], 1, memory_order_relaxed);
    mailbox_post(&w->mailbox, letter);
}

static void accepted(struct listener *l, int fd, const struct address *peer)
{
    struct server *s = l->owner;
    if (atomic_load_explicit(&s->draining, memory_order_relaxed)) {
        close(fd);
        return;
    }
    const char *over = server_admit(s, peer, &s->workers[0].site->limits);
    if (over)
        refuse(l, s, fd, peer, over);
    else if (s->worker_count > 1)
        deal(l, s, fd, peer);
    else
        listener_adopt(&s->workers[0], l, fd, peer);
}

/* ---- TLS ------------------------------------------------------------------------------------ */

static int context_of(const struct server *s, const struct tls_certificate *certificates,
                      size_t certificate_count, struct tls_context **out,
                      char why[SERVER_WHY_BYTES])
{
    char text[TLS_WHY_BYTES] = "";
    struct tls_options options = {
        .certificates = certificates,
        .certificate_count = certificate_count,
        .min_version = TLS_VERSION_1_2,
    };
    *out = tls_context_new(&options, text);
    if (*out == NULL) {
        snprintf(why, SERVER_WHY_BYTES, "%s", text);
        return ERR_INVALID;
    }
    if (text[0])
        log_write(&s->log, LOG_WARN, "%s", text);
    return 0;
}

static int development_context(const struct server *s, struct tls_context **out,
                               char why[SERVER_WHY_BYTES])
{
    char folder[STATE_FOLDER_BYTES];
    char cert[DEV_CERT_PATH_BYTES];
    char key[DEV_CERT_PATH_BYTES];
    int err = state_folder(folder, why);
    if (err)
        return err;
    int made = dev_cert_make(folder, cert, key, why);
    if (made < 0)
        return made;
    log_write(&s->log, LOG_INFO,
              "TLS for development: %s is self-signed, so a browser asks once whether to trust it",
              cert);
    struct tls_certificate pair = {.cert_path = cert, .key_path = key};
    return context_of(s, &pair, 1, out, why);
}

static int listed_context(const struct server *s, const struct site_listener *from,
                          struct tls_context **out, char why[SERVER_WHY_BYTES])
{
    struct tls_certificate *list = calloc(from->certificate_count, sizeof(*list));
    if (list == NULL) {
        snprintf(why, SERVER_WHY_BYTES, "%s", error_text(ERR_MEMORY));
        return ERR_MEMORY;
    }
    for (size_t i = 0; i < from->certificate_count; i++) {
        list[i].cert_path = from->certificates[i].cert_path;
        list[i].key_path = from->certificates[i].key_path;
    }
    int err = context_of(s, list, from->certificate_count, out, why);
    free(list);
    return err;
}

/* *out is NULL for a plain listener. */
static int tls_of(const struct server *s, const struct site_listener *from,
                  struct tls_context **out, char why[SERVER_WHY_BYTES])
{
    *out = NULL;
    if (from->certificate_count)
        return listed_context(s, from, out, why);
    return from->development ? development_context(s, out, why) : 0;
}

int server_check(const struct server *s, const struct site_listener *listeners,
                 size_t listeners_len, char why[SERVER_WHY_BYTES])
{
    for (size_t i = 0; i < listeners_len; i++) {
        struct tls_context *tls = NULL;
        int err = listeners[i].certificate_count ? tls_of(s, &listeners[i], &tls, why) : 0;
        tls_context_unref(tls);
        if (err)
            return err;
    }
    return 0;
}

/* ---- addresses ------------------------------------------------------------------------------ */

void server_address(const struct site_listener *l, int port, char out[SERVER_ADDRESS_BYTES])
{
    const char *host = l->host ? l->host : "localhost";
    const char *scheme = l->certificate_count || l->development ? "https" : "http";
    if (strncmp(host, "unix:", 5) == 0)
        snprintf(out, SERVER_ADDRESS_BYTES, "%s", host);
    else if (strcmp(host, "*") == 0)
        snprintf(out, SERVER_ADDRESS_BYTES, "%s://localhost:%d (on every address)", scheme, port);
    else if (strchr(host, ':'))
        snprintf(out, SERVER_ADDRESS_BYTES, "%s://[%s]:%d", scheme, host, port);
    else
        snprintf(out, SERVER_ADDRESS_BYTES, "%s://%s:%d", scheme, host, port);
}

/* ---- listening ------------------------------------------------------------------------------ */

/* Takes over the socket. */
static int add_listener(struct server *s, int fd, struct tls_context *tls, const char *address)
{
    struct listener **more = realloc(s->listeners, (s->listener_count + 1) * sizeof(*s->listeners));
    if (more == NULL) {
        tcp_listen_close(fd);
        return ERR_MEMORY;
    }
    s->listeners = more;
    struct listener *l = listener_new(fd, tls ? tls_context_ref(tls) : NULL, &s->log);
    if (l == NULL)
        return ERR_MEMORY;
    l->owner = s;
    l->on_accept = accepted;
    snprintf(l->address, sizeof(l->address), "%s", address);
    s->listeners[s->listener_count++] = l;
    return 0;
}

static int open_one(struct server *s, const struct site_listener *from, char why[SERVER_WHY_BYTES])
{
    struct tls_context *tls;
    int err = tls_of(s, from, &tls, why);
    if (err)
        return err;
    struct tcp_listen_options options = {.host = from->host, .port = (uint16_t)from->port};
    int fds[TCP_LISTENERS_MAX];
    uint16_t port = 0;
    int opened = tcp_listen(&options, fds, &port, why);
    char address[SERVER_ADDRESS_BYTES];
    server_address(from, port, address);
    err = opened < 0 ? opened : 0;
    for (int i = 0; i < opened; i++) {
        if (err) {
            tcp_listen_close(fds[i]);
        } else if ((err = add_listener(s, fds[i], tls, address))) {
            snprintf(why, SERVER_WHY_BYTES, "%s: %s", address, error_text(err));
        }
    }
    tls_context_unref(tls);
    return err;
}

static void close_all(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        listener_free(s->listeners[i]);
    free(s->listeners);
    s->listeners = NULL;
    s->listener_count = 0;
}

/* One line for the sockets of one address. */
static void log_addresses(const struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        const char *address = s->listeners[i]->address;
        if (i == 0 || strcmp(s->listeners[i - 1]->address, address) != 0)
            log_write(&s->log, LOG_INFO, "listening on %s", address);
    }
}

int server_listen(struct server *s, const struct site_listener *listeners, size_t listeners_len,
                  char why[SERVER_WHY_BYTES])
{
    for (size_t i = 0; i < listeners_len; i++) {
        int err = open_one(s, &listeners[i], why);
        if (err) {
            close_all(s);
            return err;
        }
    }
    /* A worker that is alone accepts by itself, without a letter. */
    struct ev_loop *loop = s->worker_count == 1 ? s->workers[0].loop : s->loop;
    for (size_t i = 0; i < s->listener_count; i++)
        listener_start(s->listeners[i], loop);
    log_addresses(s);
    return 0;
}
