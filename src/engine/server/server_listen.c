/* From what an app declares to sockets that listen: certificates, addresses, plans. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/ground/state_folder.h"
#include "engine/server/accept.h"
#include "engine/server/server_listen.h"
#include "transport/dev_cert.h"
#include "transport/tcp_listen.h"

/* ---- TLS ------------------------------------------------------------------------------------ */

static int context_of(const struct server *s, const struct tls_certificate *certificates,
                      size_t certificate_count, const struct tls_context *previous,
                      struct tls_context **out, char why[SERVER_WHY_BYTES])
{
    char text[TLS_WHY_BYTES] = "";
    struct tls_options options = {
        .certificates = certificates,
        .certificate_count = certificate_count,
        .min_version = TLS_VERSION_1_2,
        .previous = previous,
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
    return context_of(s, &pair, 1, NULL, out, why);
}

static int listed_context(const struct server *s, const struct site_listener *from,
                          const struct tls_context *previous, struct tls_context **out,
                          char why[SERVER_WHY_BYTES])
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
    int err = context_of(s, list, from->certificate_count, previous, out, why);
    free(list);
    return err;
}

/* *out is NULL for a plain listener. previous: the context before, or NULL. */
static int tls_of(const struct server *s, const struct site_listener *from,
                  const struct tls_context *previous, struct tls_context **out,
                  char why[SERVER_WHY_BYTES])
{
    *out = NULL;
    if (from->certificate_count)
        return listed_context(s, from, previous, out, why);
    return from->development ? development_context(s, out, why) : 0;
}

/* Puts the line of the app that declares the listener in front of why. Returns err. */
static int at_its_line(const struct site_listener *l, int err, char why[SERVER_WHY_BYTES])
{
    char *line = NULL;
    if (err == 0 || !l->where || asprintf(&line, "%s: %s", l->where, why) < 0)
        return err;
    (void)snprintf(why, SERVER_WHY_BYTES, "%s", line);
    free(line);
    return err;
}

int server_check(const struct server *s, const struct site_listener *listeners,
                 size_t listeners_len, char why[SERVER_WHY_BYTES])
{
    for (size_t i = 0; i < listeners_len; i++) {
        struct tls_context *tls = NULL;
        int err = listeners[i].certificate_count ? tls_of(s, &listeners[i], NULL, &tls, why) : 0;
        tls_context_unref(tls);
        if (err)
            return at_its_line(&listeners[i], err, why);
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

/* ---- plans ---------------------------------------------------------------------------------- */

static char *key_of(const struct site_listener *l)
{
    char *key;
    const char *host = l->host ? l->host : "localhost";
    return asprintf(&key, "%s %d", host, l->port) < 0 ? NULL : key;
}

/* Takes over the listener; adds a reference to the context. */
static int plan_add(struct listen_plan *p, struct listener *l, struct tls_context *tls,
                    const struct site_listener *from, bool fresh)
{
    size_t n = p->count + 1;
    struct listener **listeners = realloc(p->listeners, n * sizeof(struct listener *));
    if (listeners)
        p->listeners = listeners;
    struct listen_next *next = realloc(p->next, n * sizeof(*next));
    if (next)
        p->next = next;
    if (!listeners || !next) {
        listener_unref(l);
        return ERR_MEMORY;
    }
    listeners[p->count] = l;
    next[p->count++] =
        (struct listen_next){tls ? tls_context_ref(tls) : NULL, from->proxies, fresh};
    return 0;
}

static bool planned(const struct listen_plan *p, const struct listener *l)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->listeners[i] == l)
            return true;
    }
    return false;
}

/* A worker that is alone accepts by itself, without a letter. */
static struct ev_loop *accepting_loop(const struct server *s)
{
    return s->worker_count == 1 ? s->workers[0].loop : s->loop;
}

/* Takes over the socket. */
static int add_fresh(struct server *s, struct listen_plan *p, const struct listening *socket,
                     struct tls_context *tls, const struct site_listener *from, uint32_t group)
{
    struct listener *l = listener_new(socket, NULL, &s->log);
    if (l == NULL)
        return ERR_MEMORY;
    l->owner = s;
    l->on_accept = accept_peer;
    l->loop = accepting_loop(s);
    l->key = key_of(from);
    l->group = group;
    server_address(from, from->port, l->address);
    if (l->key == NULL) {
        listener_unref(l);
        return ERR_MEMORY;
    }
    return plan_add(p, l, tls, from, true);
}

static int open_fresh(struct server *s, struct listen_plan *p, const struct site_listener *from,
                      char why[SERVER_WHY_BYTES])
{
    struct tls_context *tls;
    int err = tls_of(s, from, NULL, &tls, why);
    if (err)
        return err;
    struct tcp_listen_options options = {
        .host = from->host,
        .port = (uint16_t)from->port,
        .peer_first = true,
        .inherited = s->inherited,
    };
    struct listening sockets[TCP_LISTENERS_MAX];
    uint16_t port = 0;
    int opened = tcp_listen(&options, sockets, &port, why);
    uint32_t group = ++s->listener_groups;
    err = opened < 0 ? opened : 0;
    for (int i = 0; i < opened; i++) {
        if (err) {
            tcp_listen_close(&sockets[i]);
        } else if ((err = add_fresh(s, p, &sockets[i], tls, from, group))) {
            snprintf(why, SERVER_WHY_BYTES, "%s", error_text(err));
        } else {
            server_address(from, from->port ? from->port : port,
                           p->listeners[p->count - 1]->address);
        }
    }
    tls_context_unref(tls);
    return err;
}

/* The first of the sockets that listen there already and that the plan does not have; or NULL. */
static struct listener *find_kept(const struct server *s, const struct listen_plan *p,
                                  const struct site_listener *from)
{
    char *key = key_of(from);
    struct listener *found = NULL;
    for (size_t i = 0; key && !found && i < s->listener_count; i++) {
        struct listener *l = s->listeners[i];
        if (strcmp(l->key, key) == 0 && !planned(p, l))
            found = l;
    }
    free(key);
    return found;
}

/* The context that a kept listener uses next. */
static int next_context(struct server *s, const struct listener *l,
                        const struct site_listener *from, struct tls_context **out,
                        char why[SERVER_WHY_BYTES])
{
    bool secure = from->certificate_count || from->development;
    if (secure && from->development && l->tls) {
        *out = tls_context_ref(l->tls);
        return 0;
    }
    int err = tls_of(s, from, l->tls, out, why);
    if (err == 0 || l->tls == NULL)
        return err;
    log_write(&s->log, LOG_ERROR, "%s keeps its certificate: %s", l->address, why);
    count_shared(&s->counters, COUNT_CERTIFICATE_FAILURES, 1);
    *out = tls_context_ref(l->tls);
    return 0;
}

static int plan_kept(struct server *s, struct listen_plan *p, const struct listener *first,
                     const struct site_listener *from, char why[SERVER_WHY_BYTES])
{
    struct tls_context *tls;
    int err = next_context(s, first, from, &tls, why);
    for (size_t i = 0; err == 0 && i < s->listener_count; i++) {
        struct listener *l = s->listeners[i];
        if (l->group == first->group)
            err = plan_add(p, listener_ref(l), tls, from, false);
    }
    if (err == ERR_MEMORY)
        snprintf(why, SERVER_WHY_BYTES, "%s", error_text(err));
    tls_context_unref(tls);
    return err;
}

/* The path of a listener on a unix socket, or NULL. */
static const char *path_of(const struct site_listener *l)
{
    return l->host && strncmp(l->host, "unix:", 5) == 0 ? l->host + 5 : NULL;
}

/* a.sock and ./a.sock are one file. */
static bool same_file(const char *a, const char *b)
{
    struct stat first, second;
    return lstat(a, &first) == 0 && lstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static bool same_place(const struct site_listener *a, const struct site_listener *b)
{
    const char *path = path_of(a), *other = path_of(b);
    if (path || other)
        return path && other && same_file(path, other);
    return a->port != 0 && a->port == b->port;
}

/* Nothing can be opened at from, since somebody listens there: says so if it is this server. */
static void who_has_it(const struct server *s, const struct site_listener *listeners,
                       const struct site_listener *from, char why[SERVER_WHY_BYTES])
{
    char address[SERVER_ADDRESS_BYTES];
    server_address(from, from->port, address);
    for (const struct site_listener *l = listeners; l < from; l++) {
        if (same_place(from, l)) {
            snprintf(why, SERVER_WHY_BYTES, "%s: the app listens there already (%s): take one away",
                     address, l->where ? l->where : "an earlier --listen");
            return;
        }
    }
    char *end = NULL;
    for (size_t i = 0; from->port != 0 && i < s->listener_count; i++) {
        const char *port = strrchr(s->listeners[i]->key, ' ');
        if (port && strtol(port + 1, &end, 10) == from->port) {
            snprintf(why, SERVER_WHY_BYTES,
                     "%s: this server listens on %s, which it keeps until the new code serves: "
                     "choose another port, or start the server again",
                     address, s->listeners[i]->address);
            return;
        }
    }
}

int server_plan_listeners(struct server *s, struct listen_plan *p,
                          const struct site_listener *listeners, size_t listeners_len,
                          char why[SERVER_WHY_BYTES])
{
    *p = (struct listen_plan){0};
    int err = 0;
    for (size_t i = 0; err == 0 && i < listeners_len; i++) {
        const struct listener *kept = find_kept(s, p, &listeners[i]);
        err =
            kept ? plan_kept(s, p, kept, &listeners[i], why) : open_fresh(s, p, &listeners[i], why);
        if (err == ERR_IN_USE)
            who_has_it(s, listeners, &listeners[i], why);
        err = at_its_line(&listeners[i], err, why);
    }
    if (err)
        server_abandon_listeners(p);
    return err;
}

void server_abandon_listeners(struct listen_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        listener_unref(p->listeners[i]);
        tls_context_unref(p->next[i].tls);
    }
    free(p->listeners);
    free(p->next);
    *p = (struct listen_plan){0};
}

/* ---- listening ------------------------------------------------------------------------------ */

/* A listener on its way to the worker whose loop it is in. */
struct listener_letter {
    struct letter letter;
    struct listener *listener; /* a reference */
};

static void read_listen(struct worker *w, struct letter *letter)
{
    if (!atomic_load(&w->server->draining))
        listener_start(((struct listener_letter *)letter)->listener, w->loop);
}

static void read_unlisten(struct worker *w, struct letter *letter)
{
    (void)w;
    listener_stop(((struct listener_letter *)letter)->listener);
}

static void drop_listener(struct letter *letter)
{
    struct listener_letter *l = (struct listener_letter *)letter;
    listener_unref(l->listener);
    free(l);
}

static int post_listener(struct server *s, struct listener *l,
                         void (*read)(struct worker *w, struct letter *letter))
{
    struct listener_letter *letter = calloc(1, sizeof(*letter));
    if (!letter)
        return ERR_MEMORY;
    letter->letter.read = read;
    letter->letter.drop = drop_listener;
    letter->listener = l;
    mailbox_post(&s->workers[0].mailbox, &letter->letter);
    return 0;
}

/* Starts or stops a listener in the thread of its loop: with one worker, that is the worker's.
 * Takes over the reference. */
static void tell(struct server *s, struct listener *l, bool listen)
{
    if (s->started && s->worker_count == 1) {
        if (post_listener(s, l, listen ? read_listen : read_unlisten))
            log_write(&s->log, LOG_ERROR, "%s: out of memory: it stays as it is", l->address);
        return; /* on failure the reference stays: its loop has it */
    }
    if (listen)
        listener_start(l, l->loop);
    else
        listener_stop(l);
    listener_unref(l);
}

/* One line for the sockets of one address. */
static void log_fresh(const struct server *s, const struct listen_plan *p)
{
    const struct listener *last = NULL;
    for (size_t i = 0; i < p->count; i++) {
        const struct listener *l = s->listeners[i];
        if (p->next[i].fresh && (last == NULL || last->group != l->group)) {
            log_write(&s->log, LOG_INFO, "listening on %s", l->address);
            last = l;
        }
    }
}

static void close_gone(struct server *s, const struct listen_plan *p, struct listener **before,
                       size_t before_count)
{
    uint32_t told = 0; /* a group; they begin at 1 */
    for (size_t i = 0; i < before_count; i++) {
        struct listener *l = before[i];
        if (planned(p, l)) {
            listener_unref(l); /* the plan has a reference of its own */
            continue;
        }
        if (l->group != told)
            log_write(&s->log, LOG_INFO, "no longer listening on %s", l->address);
        told = l->group;
        tell(s, l, false);
    }
}

void server_commit_listeners(struct server *s, struct listen_plan *p)
{
    struct listener **before = s->listeners;
    size_t before_count = s->listener_count;
    pthread_mutex_lock(&s->listeners_lock);
    s->listeners = p->listeners;
    s->listener_count = p->count;
    pthread_mutex_unlock(&s->listeners_lock);
    for (size_t i = 0; i < p->count; i++) {
        listener_set(p->listeners[i], p->next[i].tls, &p->next[i].proxies);
        if (p->next[i].fresh)
            tell(s, listener_ref(p->listeners[i]), true);
    }
    log_fresh(s, p);
    close_gone(s, p, before, before_count);
    free(before);
    free(p->next);
    *p = (struct listen_plan){0};
}

/* Sockets of the service manager that the app has no listener for. */
static void warn_of_unused(const struct server *s)
{
    char address[SERVER_ADDRESS_BYTES];
    size_t at = 0;
    while (inherited_unused(s->inherited, &at, address, sizeof(address)))
        log_write(&s->log, LOG_WARN,
                  "the service manager has opened %s, where the app does not listen: nobody "
                  "answers there",
                  address);
}

int server_listen(struct server *s, const struct site_listener *listeners, size_t listeners_len,
                  char why[SERVER_WHY_BYTES])
{
    struct listen_plan plan;
    int err = server_plan_listeners(s, &plan, listeners, listeners_len, why);
    if (err == 0)
        server_commit_listeners(s, &plan);
    if (err == 0)
        warn_of_unused(s);
    return err;
}
