#include "engine/client/turns.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { KEY_BYTES = 1 + 16 + 2 };

/* There while somebody has the turn. */
struct turn_line {
    uint8_t key[KEY_BYTES];
    struct turn_list waiting;
};

/* ---- lists ----------------------------------------------------------------------------------- */

static void add(struct turn_list *l, struct turn *t)
{
    t->next = NULL;
    t->before = l->last;
    *(l->last ? &l->last->next : &l->first) = t;
    l->last = t;
}

static void take_out(struct turn_list *l, struct turn *t)
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

/* Locked. A new line, whose turn t has. */
static int begin_line(struct turns *all, struct turn *t, const uint8_t key[KEY_BYTES])
{
    struct turn_line *line = calloc(1, sizeof *line);
    if (!line || map_put(&all->lines, key, KEY_BYTES, line) < 0) {
        free(line);
        return ERR_MEMORY;
    }
    memcpy(line->key, key, KEY_BYTES);
    t->line = line;
    t->state = TURN_HELD;
    t->held = true;
    return 1;
}

/* Locked. */
static int take(struct turns *all, struct turn *t, const uint8_t key[KEY_BYTES], uint32_t max)
{
    struct turn_line *line = map_get(&all->lines, key, KEY_BYTES);
    if (!line)
        return begin_line(all, t, key);
    if (all->waiting >= max)
        return ERR_LIMIT;
    add(&line->waiting, t);
    all->waiting++;
    t->line = line;
    t->state = TURN_WAITS;
    return 0;
}

int turn_take(struct turn *t, struct turn_desk *d, const struct address *to, uint32_t waiting_max)
{
    uint8_t key[KEY_BYTES];
    make_key(key, to);
    t->desk = d;
    pthread_mutex_lock(&d->turns->lock);
    int status = take(d->turns, t, key, waiting_max);
    pthread_mutex_unlock(&d->turns->lock);
    return status;
}

/* Locked. Nobody has the turn of this line any more. The next one hears of it from its loop: it may
 * be of another worker, and may fail at once, as may the one after it. */
static void call_next(struct turns *all, struct turn_line *line)
{
    struct turn *t = line->waiting.first;
    if (!t) {
        (void)map_remove(&all->lines, line->key, KEY_BYTES);
        free(line);
        return;
    }
    take_out(&line->waiting, t);
    all->waiting--;
    t->state = TURN_CALLED;
    add(&t->desk->called, t);
    t->desk->called_count++;
    ev_async_send(t->desk->loop, &t->desk->wake);
}

/* Locked. */
static void leave(struct turns *all, struct turn *t)
{
    struct turn_line *line = t->line;
    if (t->state == TURN_WAITS) {
        take_out(&line->waiting, t);
        all->waiting--;
    } else if (t->state == TURN_CALLED) {
        take_out(&t->desk->called, t);
        t->desk->called_count--;
    }
    if (t->state == TURN_CALLED || t->state == TURN_HELD)
        call_next(all, line);
    t->line = NULL;
    t->state = TURN_NONE;
}

void turn_leave(struct turn *t)
{
    if (!t->desk)
        return;
    struct turns *all = t->desk->turns;
    pthread_mutex_lock(&all->lock);
    leave(all, t);
    pthread_mutex_unlock(&all->lock);
    t->held = false;
}

/* ---- desks ----------------------------------------------------------------------------------- */

static struct turn *next_called(struct turn_desk *d)
{
    pthread_mutex_lock(&d->turns->lock);
    struct turn *t = d->called.first;
    if (t) {
        take_out(&d->called, t);
        d->called_count--;
        t->state = TURN_HELD;
    }
    pthread_mutex_unlock(&d->turns->lock);
    return t;
}

static uint32_t called_count(struct turn_desk *d)
{
    pthread_mutex_lock(&d->turns->lock);
    uint32_t n = d->called_count;
    pthread_mutex_unlock(&d->turns->lock);
    return n;
}

/* Whoever is called meanwhile, since one failed at once, comes in the next turn of the loop: a
 * thousand that are refused hold nobody up. */
static void on_wake(struct ev_loop *loop, ev_async *wake, int revents)
{
    (void)loop;
    (void)revents;
    struct turn_desk *d = wake->data;
    struct turn *t;
    for (uint32_t n = called_count(d); n > 0 && (t = next_called(d)); n--) {
        t->held = true;
        t->called(t);
    }
}

void turn_desk_init(struct turn_desk *d, struct turns *all, struct ev_loop *loop)
{
    *d = (struct turn_desk){.turns = all, .loop = loop};
    ev_async_init(&d->wake, on_wake);
    d->wake.data = d;
    ev_async_start(loop, &d->wake);
}

void turn_desk_deinit(struct turn_desk *d)
{
    if (d->loop)
        ev_async_stop(d->loop, &d->wake);
    d->loop = NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

void turns_init(struct turns *all)
{
    *all = (struct turns){0};
    map_init(&all->lines);
    pthread_mutex_init(&all->lock, NULL);
}

void turns_deinit(struct turns *all)
{
    map_deinit(&all->lines);
    pthread_mutex_destroy(&all->lock);
}
