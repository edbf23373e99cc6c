/* Who connects to an address now, and who waits. */
#include "engine/client/connect_queue.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { KEY_BYTES = 1 + 16 + 2 };

/* There while a connection to the address is being opened. */
struct connect_queue {
    uint8_t key[KEY_BYTES];
    struct connect_places waiting;
};

/* ---- lists ----------------------------------------------------------------------------------- */

static void add(struct connect_places *l, struct connect_place *t)
{
    t->next = NULL;
    t->before = l->last;
    *(l->last ? &l->last->next : &l->first) = t;
    l->last = t;
}

static void take_out(struct connect_places *l, struct connect_place *t)
{
    *(t->before ? &t->before->next : &l->first) = t->next;
    *(t->next ? &t->next->before : &l->last) = t->before;
    t->next = t->before = NULL;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Who connects to "any address" gets to loopback: the same host by another name. */
static void make_key(uint8_t key[KEY_BYTES], const struct address *to)
{
    static const uint8_t any[16];
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    key[0] = to->family;
    memcpy(key + 1, to->bytes, 16);
    if (memcmp(to->bytes, any, 16) == 0 && to->family == AF_INET)
        memcpy(key + 1, loopback, 4);
    else if (memcmp(to->bytes, any, 16) == 0)
        key[16] = 1;
    memcpy(key + 17, &to->port, 2);
}

/* Under the lock. A new queue, in which t is the one that connects. */
static int begin_queue(struct connect_queues *all, struct connect_place *t,
                       const uint8_t key[KEY_BYTES])
{
    struct connect_queue *queue = calloc(1, sizeof *queue);
    if (!queue || map_put(&all->by_address, key, KEY_BYTES, queue) < 0) {
        free(queue);
        return ERR_MEMORY;
    }
    memcpy(queue->key, key, KEY_BYTES);
    t->queue = queue;
    t->state = PLACE_HELD;
    t->held = true;
    return 1;
}

/* Under the lock. */
static int take(struct connect_queues *all, struct connect_place *t, const uint8_t key[KEY_BYTES],
                uint32_t max)
{
    struct connect_queue *queue = map_get(&all->by_address, key, KEY_BYTES);
    if (!queue)
        return begin_queue(all, t, key);
    if (all->waiting >= max)
        return ERR_LIMIT;
    add(&queue->waiting, t);
    all->waiting++;
    t->queue = queue;
    t->state = PLACE_WAITS;
    return 0;
}

int connect_place_take(struct connect_place *t, struct connect_desk *d, const struct address *to,
                       uint32_t waiting_max)
{
    uint8_t key[KEY_BYTES];
    make_key(key, to);
    t->desk = d;
    pthread_mutex_lock(&d->queues->lock);
    int status = take(d->queues, t, key, waiting_max);
    pthread_mutex_unlock(&d->queues->lock);
    return status;
}

/* Under the lock. Nobody in this queue connects any more. The next one hears of it from its loop:
 * it may be of another worker, and may fail at once, as may the one after it. */
static void call_next(struct connect_queues *all, struct connect_queue *queue)
{
    struct connect_place *t = queue->waiting.first;
    if (!t) {
        (void)map_remove(&all->by_address, queue->key, KEY_BYTES);
        free(queue);
        return;
    }
    take_out(&queue->waiting, t);
    all->waiting--;
    t->state = PLACE_CALLED;
    add(&t->desk->called, t);
    t->desk->called_count++;
    ev_async_send(t->desk->loop, &t->desk->wake);
}

/* Under the lock. */
static void leave(struct connect_queues *all, struct connect_place *t)
{
    struct connect_queue *queue = t->queue;
    if (t->state == PLACE_WAITS) {
        take_out(&queue->waiting, t);
        all->waiting--;
    } else if (t->state == PLACE_CALLED) {
        take_out(&t->desk->called, t);
        t->desk->called_count--;
    }
    if (t->state == PLACE_CALLED || t->state == PLACE_HELD)
        call_next(all, queue);
    t->queue = NULL;
    t->state = PLACE_NONE;
}

void connect_place_leave(struct connect_place *t)
{
    if (!t->desk)
        return;
    struct connect_queues *all = t->desk->queues;
    pthread_mutex_lock(&all->lock);
    leave(all, t);
    pthread_mutex_unlock(&all->lock);
    t->held = false;
}

/* ---- desks ----------------------------------------------------------------------------------- */

static struct connect_place *next_called(struct connect_desk *d)
{
    pthread_mutex_lock(&d->queues->lock);
    struct connect_place *t = d->called.first;
    if (t) {
        take_out(&d->called, t);
        d->called_count--;
        t->state = PLACE_HELD;
    }
    pthread_mutex_unlock(&d->queues->lock);
    return t;
}

static uint32_t called_count(struct connect_desk *d)
{
    pthread_mutex_lock(&d->queues->lock);
    uint32_t n = d->called_count;
    pthread_mutex_unlock(&d->queues->lock);
    return n;
}

/* Whoever is called meanwhile, since one failed at once, comes in the next turn of the loop: a
 * thousand that are refused hold nobody up. */
static void on_wake(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)loop;
    (void)revents;
    struct connect_desk *d = wake->data;
    struct connect_place *t;
    for (uint32_t n = called_count(d); n > 0 && (t = next_called(d)); n--) {
        t->held = true;
        t->called(t);
    }
}

struct connect_desk *connect_desk_new(struct connect_queues *all, struct ev_loop *loop)
{
    struct connect_desk *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->queues = all;
    d->loop = loop;
    ev_async_init(&d->wake, on_wake);
    d->wake.data = d;
    ev_async_start(loop, &d->wake);
    return d;
}

void connect_desk_free(struct connect_desk *d)
{
    if (!d)
        return;
    ev_async_stop(d->loop, &d->wake);
    free(d);
}

/* ---- life ------------------------------------------------------------------------------------ */

void connect_queues_init(struct connect_queues *all)
{
    *all = (struct connect_queues){0};
    map_init(&all->by_address);
    pthread_mutex_init(&all->lock, NULL);
}

void connect_queues_deinit(struct connect_queues *all)
{
    map_deinit(&all->by_address);
    pthread_mutex_destroy(&all->lock);
}
