/* The list of letters to one worker: any thread appends, the worker takes all at once. */
#include "engine/ground/mailbox.h"

#include <stdlib.h>

#include "base/error.h"

static void drop_plain(struct letter *l)
{
    free(l);
}

struct letter *letter_new(void (*read)(struct worker *w, struct letter *l))
{
    struct letter *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->read = read;
    l->drop = drop_plain;
    return l;
}

int mailbox_init(struct mailbox *m, struct ev_loop *loop)
{
    *m = (struct mailbox){0};
    if (pthread_mutex_init(&m->lock, NULL))
        return ERR_MEMORY;
    m->loop = loop;
    ev_init(&m->wake, NULL);
    ev_async_start(loop, &m->wake);
    return 0;
}

static struct letter *take_all(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    struct letter *all = m->head;
    m->head = m->tail = NULL;
    pthread_mutex_unlock(&m->lock);
    return all;
}

void mailbox_deinit(struct mailbox *m)
{
    if (!m->loop)
        return;
    ev_async_stop(m->loop, &m->wake);
    for (struct letter *l = take_all(m), *next; l; l = next) {
        next = l->next;
        l->drop(l);
    }
    pthread_mutex_destroy(&m->lock);
    m->loop = NULL;
}

static void drop(struct mailbox *m, struct letter *l)
{
    uint32_t bytes = l->bytes;
    l->drop(l);
    if (bytes > 0)
        atomic_fetch_sub_explicit(&m->bytes, bytes, memory_order_relaxed);
}

static void append(struct mailbox *m, struct letter *l)
{
    l->next = NULL;
    pthread_mutex_lock(&m->lock);
    bool was_empty = !m->head;
    if (was_empty)
        m->head = l;
    else
        m->tail->next = l;
    m->tail = l;
    pthread_mutex_unlock(&m->lock);
    /* Behind another letter the wake-up is on its way: the reader takes all of them. */
    if (was_empty)
        ev_async_send(m->loop, &m->wake);
}

void mailbox_post(struct mailbox *m, struct letter *l)
{
    l->bytes = 0;
    append(m, l);
}

int mailbox_offer(struct mailbox *m, struct letter *l, uint32_t bytes, uint64_t most)
{
    uint64_t before = atomic_fetch_add_explicit(&m->bytes, bytes, memory_order_relaxed);
    if (before > 0 && before + bytes > most) {
        atomic_fetch_sub_explicit(&m->bytes, bytes, memory_order_relaxed);
        return ERR_LIMIT;
    }
    l->bytes = bytes;
    append(m, l);
    return 0;
}

uint64_t mailbox_held(const struct mailbox *m)
{
    return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}

void mailbox_read(struct mailbox *m, struct worker *w)
{
    for (struct letter *l = take_all(m), *next; l; l = next) {
        next = l->next;
        l->read(w, l);
        drop(m, l);
    }
}
