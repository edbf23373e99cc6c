/* Who subscribes to what, and when logs go out. */
#include "engine/ws/topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "engine/ws/ws_output.h"
#include "protocol/close_code.h"

struct member {
    struct conn *conn;
    uint32_t index; /* in conn->subscriptions */
};

struct topic {
    char *name;
    uint32_t name_len;
    struct audience *audience; /* held; NULL: there is one worker */
    uint32_t count;
    uint32_t cap;
    uint32_t deflating;             /* members with permessage-deflate */
    struct deflate_options deflate; /* of the route of the last of them that came */
    struct member *members;
    struct topic *next_dirty;
    bool dirty; /* in the list of those whose log holds messages */
    struct topic_log log;
};

struct subscription {
    struct topic *topic;
    uint32_t index; /* in topic->members */
};

/* Of a connection, which has such a list as long as it has a subscription. */
struct subscriptions {
    uint32_t count;
    struct subscription list[];
};

static uint32_t count_of(const struct conn *c)
{
    return c->subscriptions ? c->subscriptions->count : 0;
}

struct topics *topics_new(struct memory_account *account)
{
    struct topics *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->spare.account = account;
    map_init(&t->by_name);
    audience_cache_init(&t->strangers);
    return t;
}

static void topic_free(struct worker *w, struct topic *t)
{
    map_remove(&w->topics->by_name, t->name, t->name_len);
    audience_release(w->audiences, t->audience);
    topic_log_deinit(&t->log);
    free(t->members);
    free(t->name);
    free(t);
}

void topics_free(struct worker *w)
{
    struct topics *t = w->topics;
    if (!t)
        return;
    topics_hand_out(w); /* those with a log outlive their last subscriber */
    map_deinit(&t->by_name);
    audience_cache_clear(&t->strangers, w->audiences);
    topic_log_spare_deinit(&t->spare);
    free(t);
    w->topics = NULL;
}

/* ---- subscriptions --------------------------------------------------------------------------- */

static struct topic *topic_get(const struct worker *w, const char *name, size_t len)
{
    return map_get(&w->topics->by_name, name, len);
}

static struct topic *topic_make(struct worker *w, const char *name, size_t len)
{
    struct topic *t = topic_get(w, name, len);
    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->name = malloc(len + 1);
    t->name_len = (uint32_t)len;
    bool many = w->mailboxes->count > 1;
    if (many)
        t->audience = audience_hold(w->audiences, name, len);
    if (!t->name || (many && !t->audience) || map_put(&w->topics->by_name, name, len, t) < 0) {
        audience_release(w->audiences, t->audience);
        free(t->name);
        free(t);
        return NULL;
    }
    memcpy(t->name, name, len);
    t->name[len] = '\0';
    return t;
}

static struct subscription *find(const struct conn *c, const struct topic *t)
{
    for (uint32_t i = 0; i < count_of(c); i++)
        if (c->subscriptions->list[i].topic == t)
            return &c->subscriptions->list[i];
    return NULL;
}

static bool is_power_of_two(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

/* A connection's list has room for the next power of two. */
static int grow(struct conn *c, struct topic *t)
{
    uint32_t n = count_of(c);
    if (t->count == t->cap && array_grow((void **)&t->members, &t->cap, sizeof(*t->members), 4) < 0)
        return ERR_MEMORY;
    if (!is_power_of_two(n))
        return 0;
    struct subscriptions *s = c->subscriptions;
    s = realloc(s, sizeof(*s) + (n ? n * 2 : 1) * sizeof(*s->list));
    if (!s)
        return ERR_MEMORY;
    s->count = n;
    c->subscriptions = s;
    return 0;
}

/* Counts and logs: the script may not look at what its call returned. */
static int refuse(struct worker *w, const struct conn *c, int err, const char *limit)
{
    count(&w->counters, COUNT_REFUSED_SUBSCRIPTIONS, 1);
    worker_log_peer(w, LOG_WARN, &c->peer, "a subscription was refused: over the limit %s", limit);
    return err;
}

int topics_subscribe(struct worker *w, struct conn *c, const char *name, size_t len)
{
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    topics_hand_out(w); /* a new subscriber gets nothing that was published before */
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    struct topic *t = topic_get(w, name, len);
    if (t && find(c, t))
        return 0;
    if (count_of(c) >= conn_limits(w, c)->subscriptions)
        return refuse(w, c, ERR_LIMIT, "subscriptions");
    if (len > w->site->limits.topic_bytes)
        return refuse(w, c, ERR_TOO_BIG, "topic_bytes");
    if (!t && w->topics->by_name.count >= w->site->limits.topics)
        return refuse(w, c, ERR_IN_USE, "topics");
    t = topic_make(w, name, len);
    if (!t)
        return ERR_MEMORY;
    if (grow(c, t) < 0) {
        if (t->count == 0)
            topic_free(w, t);
        return ERR_MEMORY;
    }
    struct subscriptions *s = c->subscriptions;
    s->list[s->count] = (struct subscription){t, t->count};
    t->members[t->count++] = (struct member){c, s->count++};
    if (t->count == 1 && t->audience)
        audience_join(t->audience, w->index);
    if (c->deflate) {
        t->deflating++;
        t->deflate = *ws_output_deflate(w, c);
    }
    w->topics->multi += s->count == 2;
    return 1;
}

/* Takes the i-th subscription out of both lists; the last ones take the free places. */
static void remove_subscription(struct worker *w, struct conn *c, uint32_t i)
{
    struct subscriptions *all = c->subscriptions;
    struct subscription s = all->list[i];
    struct topic *t = s.topic;
    struct member last = t->members[--t->count];
    t->members[s.index] = last;
    last.conn->subscriptions->list[last.index].index = s.index;

    struct subscription moved = all->list[--all->count];
    if (i < all->count) {
        all->list[i] = moved;
        moved.topic->members[moved.index].index = i;
    }
    t->deflating -= c->deflate != NULL;
    w->topics->multi -= all->count == 1;
    if (all->count == 0) {
        free(all);
        c->subscriptions = NULL;
    }
    if (t->count == 0 && t->audience)
        audience_leave(t->audience, w->index);
    if (t->count == 0 && !t->dirty)
        topic_free(w, t);
}

int topics_unsubscribe(struct worker *w, struct conn *c, const char *name, size_t len)
{
    if (c->state != CONN_OPEN)
        return ERR_CLOSED;
    topics_hand_out(w); /* what was published before is still sent */
    struct topic *t = topic_get(w, name, len);
    struct subscription *s = t ? find(c, t) : NULL;
    if (!s)
        return 0;
    remove_subscription(w, c, (uint32_t)(s - c->subscriptions->list));
    return 1;
}

void topics_unsubscribe_all(struct worker *w, struct conn *c)
{
    if (!c->subscriptions)
        return;
    if (c->state == CONN_OPEN)
        topics_hand_out(w);
    while (c->subscriptions)
        remove_subscription(w, c, c->subscriptions->count - 1);
}

uint32_t topics_subscribers(const struct worker *w, const char *name, size_t len)
{
    const struct topic *t = topic_get(w, name, len);
    return t ? t->count : 0;
}

void topics_follow(struct worker *w)
{
    topics_hand_out(w); /* what is logged was made with the options before */
    size_t at = 0;
    struct map_entry e;
    while (map_next(&w->topics->by_name, &at, &e)) {
        struct topic *t = e.value;
        uint32_t i = t->deflating ? t->count : 0;
        while (i-- > 0 && !t->members[i].conn->deflate)
            ;
        if (t->deflating)
            t->deflate = *ws_output_deflate(w, t->members[i].conn);
    }
}

/* ---- logs ------------------------------------------------------------------------------------ */

static void set_dirty(struct worker *w, struct topic *t)
{
    if (t->dirty)
        return;
    t->dirty = true;
    t->next_dirty = NULL;
    if (w->topics->dirty_tail)
        w->topics->dirty_tail->next_dirty = t;
    else
        w->topics->dirty = t;
    w->topics->dirty_tail = t;
}

/* Must other topics' messages go out before t's, since some connection may read both? */
static bool must_hand_out(const struct worker *w, const struct topic *t)
{
    const struct topics *all = w->topics;
    bool others = all->dirty && !(all->dirty == t && all->dirty_tail == t);
    return others && all->multi > 0;
}

struct topic *topics_ready(struct worker *w, const char *name, size_t name_len, size_t len)
{
    struct topic *t = topic_get(w, name, name_len);
    if (t && (!topic_log_has_room(&t->log, len, t->deflating > 0) || must_hand_out(w, t))) {
        topics_hand_out(w);
        t = topic_get(w, name, name_len); /* its last subscriber may have failed */
    }
    return t;
}

int topics_append(struct worker *w, struct topic *t, const struct topic_log_message *m)
{
    if (!t || t->count == 0)
        return 0;
    int err = topic_log_append(w, &t->log, &w->topics->spare, m, t->deflating ? &t->deflate : NULL);
    if (!err)
        set_dirty(w, t);
    return err;
}

struct audience *topics_audience(struct worker *w, const struct topic *t, const char *name,
                                 size_t name_len)
{
    return t ? t->audience
             : audience_cache_find(&w->topics->strangers, w->audiences, name, name_len);
}

/* ---- handing out ----------------------------------------------------------------------------- */

static void deliver_to(struct worker *w, const struct topic *t, struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->out.queued > conn_limits(w, c)->queued_bytes) {
        count(&w->counters, COUNT_QUEUE_OVERFLOWS, 1);
        conn_role(w, c)->fail(w, c, CLOSE_POLICY, "more output is queued than queued_bytes allows");
        return;
    }
    int sent = topic_log_send(w, &t->log, c, &t->deflate);
    if (sent == ERR_MEMORY)
        conn_kill(w, c);
    if (sent > 0)
        count(&w->counters, COUNT_MESSAGES_OUT, (uint64_t)sent);
}

static void hand_out(struct worker *w, struct topic *t)
{
    /* The others are sent the whole log without a look at each entry. */
    topic_log_mark_excepted(&t->log, true);
    /* Backwards, since one that fails leaves, and the last takes its place. */
    for (uint32_t i = t->count; i-- > 0;)
        if (i < t->count)
            deliver_to(w, t, t->members[i].conn);
    topic_log_mark_excepted(&t->log, false);
    topic_log_clear(&t->log, &w->topics->spare);
    t->dirty = false;
    if (t->count == 0)
        topic_free(w, t);
}

void topics_hand_out(struct worker *w)
{
    while (w->topics->dirty) {
        struct topic *t = w->topics->dirty;
        w->topics->dirty = t->next_dirty;
        if (!w->topics->dirty)
            w->topics->dirty_tail = NULL;
        hand_out(w, t); /* still marked dirty, so that nobody frees it meanwhile */
    }
}
