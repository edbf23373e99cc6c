/* From one publish to the log here and the letters to other workers. */
#include "engine/ws/publish.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/ws/audience.h"
#include "engine/ws/topics.h"

/* ---- letters --------------------------------------------------------------------------------- */

/* A published message, on its way to another worker's subscribers. */
struct published {
    struct letter letter;
    uint32_t to;            /* the worker's index, until it is posted */
    struct shared *message; /* a reference */
    bool binary;
    uint32_t topic_len;
    char topic[];
};

static void read_published(struct worker *w, struct letter *l)
{
    const struct published *p = (const struct published *)l;
    struct topic *t = topics_ready(w, p->topic, p->topic_len, p->message->len);
    const struct topic_log_message m = {p->message->data, p->message->len, p->binary, NULL};
    if (topics_append(w, t, &m) < 0)
        log_write(w->log, LOG_ERROR, "out of memory: a message to \"%.*s\" was not delivered",
                  (int)p->topic_len, p->topic);
}

static void drop_published(struct letter *l)
{
    struct published *p = (struct published *)l;
    shared_unref(p->message);
    free(p);
}

struct letter *publish_letter(const char *name, size_t name_len, struct shared *message,
                              bool binary)
{
    struct published *p = name_len <= UINT32_MAX ? calloc(1, sizeof(*p) + name_len) : NULL;
    if (!p)
        return NULL;
    p->letter.read = read_published;
    p->letter.drop = drop_published;
    p->message = shared_ref(message);
    p->binary = binary;
    p->topic_len = (uint32_t)name_len;
    memcpy(p->topic, name, name_len);
    return &p->letter;
}

static void drop_letters(struct letter *l)
{
    while (l) {
        struct letter *next = l->next;
        l->drop(l);
        l = next;
    }
}

/* One line a second, at most. The counter has all. */
static void tell_dropped(struct worker *w, uint32_t to)
{
    struct letters_dropped *d = &w->letters_dropped;
    ev_tstamp now = ev_now(w->loop);
    count(&w->counters, COUNT_MAILBOX_OVERFLOWS, 1);
    d->since++;
    if (d->told_at > 0 && now >= d->told_at && now < d->told_at + 1)
        return;
    log_write(w->log, LOG_ERROR,
              "published messages were dropped (%u): worker %u does not read them, and more than "
              "mailbox_bytes (%u) wait for it",
              d->since, to + 1, w->site->limits.mailbox_bytes);
    d->told_at = now;
    d->since = 0;
}

static void post(struct worker *w, struct published *p)
{
    uint64_t bytes = sizeof(*p) + p->topic_len + sizeof(*p->message) + p->message->len;
    uint32_t counted = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    uint32_t to = p->to;
    if (mailbox_offer(w->mailboxes->list[to], &p->letter, counted, w->site->limits.mailbox_bytes) <
        0) {
        tell_dropped(w, to);
        drop_published(&p->letter);
        return;
    }
    count(&w->counters, COUNT_FORWARDED, 1);
    w->memory.grown += counted;
}

static void post_letters(struct worker *w, struct letter *l)
{
    while (l) {
        struct letter *next = l->next;
        post(w, (struct published *)l);
        l = next;
    }
}

/* The first worker but this one that has subscribers, from this index on. */
static uint32_t next_other(const struct worker *w, const struct audience *a, uint32_t from)
{
    uint32_t i = audience_next(a, from);
    return i == w->index ? audience_next(a, i + 1) : i;
}

/* Letters with a message for the other workers that have subscribers, which nobody has posted yet:
 * a list in *out. 0, or ERR_MEMORY: *out is then NULL. */
static int letters_to_others(struct worker *w, const struct topic *t, const char *name,
                             size_t name_len, const struct topic_log_message *m,
                             struct letter **out)
{
    *out = NULL;
    if (w->mailboxes->count < 2)
        return 0;
    const struct audience *a = topics_audience(w, t, name, name_len);
    if (!a)
        return ERR_MEMORY;
    uint32_t to = next_other(w, a, 0);
    if (to == AUDIENCE_WORKERS_MAX)
        return 0;
    struct shared *message = shared_new(m->len);
    if (!message)
        return ERR_MEMORY;
    memcpy(message->data, m->data, m->len);
    struct letter *l = NULL;
    for (; to < AUDIENCE_WORKERS_MAX; to = next_other(w, a, to + 1)) {
        l = publish_letter(name, name_len, message, m->binary);
        if (!l)
            break;
        ((struct published *)l)->to = to;
        l->next = *out;
        *out = l;
    }
    shared_unref(message);
    if (l)
        return 0;
    drop_letters(*out);
    *out = NULL;
    return ERR_MEMORY;
}

/* ---- publishing ------------------------------------------------------------------------------ */

int publish(struct worker *w, struct conn *except, const char *name, size_t name_len,
            const uint8_t *data, size_t len, bool binary)
{
    const struct topic_log_message m = {data, len, binary, except};
    if (name_len > w->site->limits.topic_bytes)
        return ERR_TOO_BIG;
    struct topic *t = topics_ready(w, name, name_len, len);
    struct letter *letters;
    if (letters_to_others(w, t, name, name_len, &m, &letters) < 0)
        return ERR_MEMORY;
    int err = topics_append(w, t, &m);
    if (err)
        drop_letters(letters);
    else
        post_letters(w, letters);
    return err;
}
