/* The state that pages are told, in the main thread, and its way to them, in the workers. */
#include "engine/reload/overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json_out.h"
#include "engine/server/server.h"
#include "engine/worker/worker.h"
#include "engine/ws/publish.h"
#include "engine/ws/topics.h"
#include "engine/ws/ws_conn.h"

/* No app uses this name by chance. */
static const char topic[] = "\0moonwire/overlay";
enum { TOPIC_LEN = sizeof(topic) - 1 };

/* ---- the state ------------------------------------------------------------------------------- */

/* Under the lock. Makes the next state; without memory the one before stays. */
static void describe(struct overlay *o)
{
    struct buffer next = {0};
    struct json_out j = {.out = &next};
    o->serial++;
    json_out_object(&j, NULL);
    json_out_string(&j, "process", o->process);
    json_out_integer(&j, "serial", o->serial);
    json_out_integer(&j, "attempt", o->attempt);
    json_out_integer(&j, "changes", o->changes);
    json_out_bool(&j, "styles", o->styles);
    json_out_text(&j, "failure", o->failure.len > 0 ? (const char *)o->failure.data : NULL,
                  o->failure.len);
    json_out_object_end(&j);
    if (!j.err) {
        buffer_deinit(&o->state);
        o->state = next;
        next = (struct buffer){0};
    }
    buffer_deinit(&next);
}

static void post(struct overlay *o, struct shared *message)
{
    struct server *s = o->server;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct letter *l = publish_letter(topic, TOPIC_LEN, message, false);
        if (l == NULL)
            return; /* pages that connect later are told */
        mailbox_post(&s->workers[i].mailbox, l);
    }
}

/* Sends the next state to the pages of all workers. Under the lock, which keeps states in order. */
static void tell(struct overlay *o)
{
    describe(o);
    struct shared *message = shared_new(o->state.len);
    if (!message)
        return;
    memcpy(message->data, o->state.data, o->state.len);
    post(o, message);
    shared_unref(message);
}

/* ---- what happens, in the main thread -------------------------------------------------------- */

static void changed(struct watch_tree *tree, bool styles_only)
{
    struct overlay *o = tree->owner;
    pthread_mutex_lock(&o->lock);
    o->changes++;
    o->styles = styles_only;
    tell(o);
    pthread_mutex_unlock(&o->lock);
}

/* The app still serves the folder that it has opened. A reload opens the new one of that name. */
static void returned(struct watch_tree *tree)
{
    struct overlay *o = tree->owner;
    o->returned = true;
    (void)reload_request(o->server->reload, "a folder came back");
}

/* Only while no reload is under way: the workers' sites stay as they are then. */
static void watch_site(struct overlay *o)
{
    const struct site *site = o->server->workers[0].site;
    const char **folders = calloc(site->route_count + 1, sizeof(*folders));
    size_t n = 0;
    for (size_t i = 0; folders && i < site->declared_count; i++) {
        if (site->overlay && site->routes[i].kind == SITE_STATIC)
            folders[n++] = site->routes[i].folder_path;
    }
    if (folders)
        watch_tree_set(&o->tree, folders, n, site->limits.watched_folders);
    free(folders);
}

/* Under the lock. Pages show a reload that failed, and new code that was taken back by itself,
 * since nobody expects that. Without memory they show nothing. */
static void keep_failure(struct overlay *o, const struct reload_end *end)
{
    bool shown = !end->ok || end->by_itself;
    o->failure.len = 0;
    if (shown && buffer_append(&o->failure, end->text, strlen(end->text)))
        o->failure.len = 0;
}

static bool is_far(const struct listener *l)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    struct address address;
    if (getsockname(l->socket.fd, (struct sockaddr *)&at, &len))
        return false;
    address_from(&address, (const struct sockaddr *)&at, len);
    return !address_is_local(&address);
}

/* Once: what strangers may see of a server whose developer is at work. */
static void warn_of_listeners(struct overlay *o)
{
    const struct server *s = o->server;
    for (size_t i = 0; i < s->listener_count && !o->warned; i++) {
        if (!is_far(s->listeners[i]))
            continue;
        log_write(&s->log, LOG_WARN,
                  "files are watched, and %s can be reached from other machines: %s, and "
                  "WebSockets without origins open only for localhost, addresses, and the names in "
                  "mw.listen and mw.hosts; in production say --no-watch",
                  s->listeners[i]->address,
                  o->for_all ? "their pages show failures and lines of source (--overlay all)"
                             : "the dev overlay is for this one only (--overlay all)");
        o->warned = true;
    }
}

static void ended(struct reload_observer *observer, const struct reload_end *end)
{
    struct overlay *o =
        (struct overlay *)(void *)((char *)observer - offsetof(struct overlay, observer));
    if (end->ok) {
        watch_site(o);
        warn_of_listeners(o);
    }
    pthread_mutex_lock(&o->lock);
    o->attempt++;
    if (end->ok && o->returned) {
        o->returned = false;
        o->changes++;
        o->styles = false;
    }
    keep_failure(o, end);
    tell(o);
    pthread_mutex_unlock(&o->lock);
}

/* ---- pages, in a worker's thread ------------------------------------------------------------- */

/* A state that is published between the two comes twice: a page sees it by the serial. */
void overlay_join(struct worker *w, struct conn *c)
{
    struct overlay *o = w->server->overlay;
    if (!o || topics_subscribe(w, c, topic, TOPIC_LEN) < 0)
        return;
    pthread_mutex_lock(&o->lock);
    if (ws_conn_send(w, c, o->state.data, o->state.len, false) < 0)
        log_write(w->log, LOG_DEBUG, "overlay: a page is gone before it was told the state");
    pthread_mutex_unlock(&o->lock);
}

/* May pages be told of one more fault? A hook may fail a thousand times a second. */
static bool may_tell(struct overlay *o, uint32_t *left)
{
    uint64_t now = clock_monotonic_us();
    pthread_mutex_lock(&o->lock);
    bool may = o->fault_us == 0 || now - o->fault_us >= OVERLAY_FAULT_PAUSE_US;
    if (may) {
        *left = o->faults_left;
        o->faults_left = 0;
        o->fault_us = now;
    } else {
        o->faults_left++;
    }
    pthread_mutex_unlock(&o->lock);
    return may;
}

void overlay_fault(struct worker *w, const char *text, size_t len)
{
    struct overlay *o = w->server->overlay;
    uint32_t left = 0;
    if (!o || !may_tell(o, &left))
        return;
    struct buffer out = {0};
    struct json_out j = {.out = &out};
    json_out_object(&j, NULL);
    json_out_text(&j, "fault", text, len < OVERLAY_FAULT_BYTES ? len : OVERLAY_FAULT_BYTES);
    json_out_integer(&j, "more", left);
    json_out_object_end(&j);
    int err = j.err;
    if (!err)
        err = publish(w, NULL, topic, TOPIC_LEN, out.data, out.len, false);
    if (err)
        log_write(w->log, LOG_ERROR, "out of memory: pages are not told of a fault");
    buffer_deinit(&out);
}

/* ---- life ------------------------------------------------------------------------------------ */

int overlay_init(struct overlay *o, struct server *s, const struct overlay_options *options)
{
    *o = (struct overlay){.server = s, .for_all = options->for_all, .observer = {.ended = ended}};
    snprintf(o->process, sizeof(o->process), "%d-%llx", (int)getpid(),
             (unsigned long long)clock_wall_ms());
    describe(o);
    if (o->state.len == 0)
        return ERR_MEMORY;
    pthread_mutex_init(&o->lock, NULL);
    watch_tree_init(&o->tree, s->loop, &s->log, changed);
    o->tree.owner = o;
    o->tree.returned = returned;
    s->overlay = o;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        w->watch_mode = true;
        w->overlay_for_all = options->for_all;
        w->fixed_listeners = options->listeners;
        w->fixed_listener_count = options->listener_count;
    }
    return 0;
}

void overlay_start(struct overlay *o, struct reload *r)
{
    reload_observe(r, &o->observer);
    warn_of_listeners(o);
    watch_site(o);
}

void overlay_deinit(struct overlay *o)
{
    if (o->state.len == 0)
        return;
    watch_tree_deinit(&o->tree);
    buffer_deinit(&o->failure);
    buffer_deinit(&o->state);
    pthread_mutex_destroy(&o->lock);
    o->server->overlay = NULL;
}
