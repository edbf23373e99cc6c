#include "engine/mailbox.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/listener.h"

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

void mailbox_deinit(struct mailbox *m)
{
    if (m->loop == NULL)
        return;
    ev_async_stop(m->loop, &m->wake);
    for (struct letter *l = mailbox_take(m), *next; l; l = next) {
        next = l->next;
        letter_free(l);
    }
    pthread_mutex_destroy(&m->lock);
    m->loop = NULL;
}

struct letter *letter_new(enum letter_kind kind, const char *topic, size_t topic_len)
{
    if (topic_len > UINT32_MAX)
        return NULL;
    struct letter *l = calloc(1, sizeof(*l) + topic_len);
    if (l == NULL)
        return NULL;
    l->kind = kind;
    l->fd = -1;
    l->topic_len = (uint32_t)topic_len;
    if (topic_len)
        memcpy(l->topic, topic, topic_len);
    return l;
}

void letter_free(struct letter *l)
{
    if (l->fd >= 0)
        close(l->fd);
    shared_unref(l->message);
    listener_unref(l->listener);
    free(l->answer);
    free(l);
}

void mailbox_post(struct mailbox *m, struct letter *l)
{
    l->next = NULL;
    pthread_mutex_lock(&m->lock);
    bool was_empty = m->head == NULL;
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

struct letter *mailbox_take(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    struct letter *all = m->head;
    m->head = m->tail = NULL;
    pthread_mutex_unlock(&m->lock);
    return all;
}
