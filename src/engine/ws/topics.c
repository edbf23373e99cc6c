/* Topics: who subscribes, the log of a turn, and its way to the subscribers. */
#include "engine/ws/topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "engine/ws/audience.h"
#include "engine/ws/ws_output.h"
#include "protocol/close_code.h"

enum {
    LOG_BYTES = 16 * 1024, /* a log block; a larger message gets a block of its size */
    COPIED_BYTES = 1024    /* for a slow reader, a part up to this is copied instead of keeping the
                               * whole block in memory */
};

/* One message in a log. */
struct entry {
    uint32_t end;          /* its frame ends here in the log */
    uint32_t deflated_end; /* and the compressed form's here in the other */
    uint32_t payload_end;  /* payload, uncompressed, of the entries up to this one */
    struct conn *except;   /* who is not sent it, or NULL */
};

/* Frames of the messages of this turn, one after another. */
struct log_block {
    struct shared *block;
    uint32_t used;
};

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
    bool dirty;
    bool excepts; /* some entry has an exception */
    struct log_block plain;
    struct log_block deflated;
    struct entry *entries;
    uint32_t entry_count;
    uint32_t entry_cap;
    uint32_t longest; /* payload, uncompressed, of the entries */
};

struct subscription {
    struct topic *topic;
    uint32_t index; /* in topic->members */
};

struct topics *topics_new(void)
{
    struct topics *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    map_init(&t->by_name);
    map_init(&t->strangers);
    return t;
}

static void topic_free(struct worker *w, struct topic *t)
{
    map_remove(&w->topics->by_name, t->name, t->name_len);
    audience_release(w->audiences, t->audience);
    shared_unref(t->plain.block);
    shared_unref(t->deflated.block);
    free(t->entries);
    free(t->members);
    free(t->name);
    free(t);
}

static void forget_strangers(struct worker *w)
{
    struct map *strangers = &w->topics->strangers;
    struct map_entry e;
    for (size_t at = 0; map_next(strangers, &at, &e);)
        audience_release(w->audiences, e.value);
    map_deinit(strangers);
    w->topics->stranger_bytes = 0;
}

void topics_free(struct worker *w)
{
    struct topics *t = w->topics;
    if (!t)
        return;
    topics_hand_out(w); /* those with a log outlive their last subscriber */
    map_deinit(&t->by_name);
    forget_strangers(w);
    while (t->spare_count > 0)
        shared_unref(t->spare[--t->spare_count]);
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
    t = calloc(1, sizeof *t);
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
    for (uint32_t i = 0; i < c->subscription_count; i++)
        if (c->subscriptions[i].topic == t)
            return &c->subscriptions[i];
    return NULL;
}

static bool is_power_of_two(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

/* A connection's list has room for the next power of two. */
static int grow(struct conn *c, struct topic *t)
{
    uint32_t n = c->subscription_count;
    if (is_power_of_two(n)) {
        struct subscription *s = realloc(c->subscriptions, (n ? n * 2 : 1) * sizeof *s);
        if (!s)
            return ERR_MEMORY;
        c->subscriptions = s;
    }
    if (t->count < t->cap)
        return 0;
    return array_grow((void **)&t->members, &t->cap, sizeof(*t->members), 4);
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
    if (c->subscription_count >= conn_limits(w, c)->subscriptions)
        return ERR_LIMIT;
    t = topic_make(w, name, len);
    if (!t)
        return ERR_MEMORY;
    if (grow(c, t) < 0) {
        if (t->count == 0)
            topic_free(w, t);
        return ERR_MEMORY;
    }
    c->subscriptions[c->subscription_count] = (struct subscription){t, t->count};
    t->members[t->count++] = (struct member){c, c->subscription_count++};
    if (t->count == 1 && t->audience)
        audience_join(t->audience, w->index);
    if (c->deflate) {
        t->deflating++;
        t->deflate = *ws_output_deflate(w, c);
    }
    w->topics->multi += c->subscription_count == 2;
    return 1;
}

/* Takes the i-th subscription out of both lists; the last ones take the free places. */
static void remove_subscription(struct worker *w, struct conn *c, uint32_t i)
{
    struct subscription s = c->subscriptions[i];
    struct topic *t = s.topic;
    struct member last = t->members[--t->count];
    t->members[s.index] = last;
    last.conn->subscriptions[last.index].index = s.index;

    struct subscription moved = c->subscriptions[--c->subscription_count];
    if (i < c->subscription_count) {
        c->subscriptions[i] = moved;
        moved.topic->members[moved.index].index = i;
    }
    t->deflating -= c->deflate != NULL;
    w->topics->multi -= c->subscription_count == 1;
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
    remove_subscription(w, c, (uint32_t)(s - c->subscriptions));
    return 1;
}

void topics_unsubscribe_all(struct worker *w, struct conn *c)
{
    if (c->subscription_count == 0)
        return;
    if (c->state == CONN_OPEN)
        topics_hand_out(w);
    while (c->subscription_count > 0)
        remove_subscription(w, c, c->subscription_count - 1);
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

/* ---- the log --------------------------------------------------------------------------------- */

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

static bool has_room(const struct log_block *l, size_t len)
{
    return l->block && l->block->len - l->used >= len;
}

static int make_room(struct topics *all, struct log_block *l, size_t len)
{
    if (has_room(l, len))
        return 0;
    shared_unref(l->block);
    l->used = 0;
    if (len <= LOG_BYTES && all->spare_count > 0)
        l->block = all->spare[--all->spare_count];
    else
        l->block = shared_new(len > LOG_BYTES ? len : LOG_BYTES);
    return l->block ? 0 : ERR_MEMORY;
}

static void append_frame(struct log_block *l, const struct frame *f, const uint8_t *data)
{
    uint8_t *at = l->block->data + l->used;
    size_t n = frame_encode(at, f);
    memcpy(at + n, data, (size_t)f->len);
    l->used += (uint32_t)(n + f->len);
}

static int reserve_entry(struct topic *t)
{
    if (t->entry_count < t->entry_cap)
        return 0;
    return array_grow((void **)&t->entries, &t->entry_cap, sizeof(*t->entries), 16);
}

/* Makes what was appended to the log a message of it; reserve_entry made room. */
static void add_entry(struct topic *t, struct conn *except, size_t payload)
{
    uint32_t before = t->entry_count > 0 ? t->entries[t->entry_count - 1].payload_end : 0;
    t->entries[t->entry_count++] = (struct entry){.end = t->plain.used,
                                                  .deflated_end = t->deflated.used,
                                                  .payload_end = before + (uint32_t)payload,
                                                  .except = except};
    if (payload > t->longest)
        t->longest = (uint32_t)payload;
    t->excepts |= except != NULL;
}

/* The compressed form for all who agreed on compression: from an empty window, so that it suits
 * every receiver. */
static int append_deflated(struct worker *w, struct topic *t, struct frame f, const uint8_t *data)
{
    const struct deflate_options *o = &t->deflate;
    if (o->enabled && f.len >= o->min_bytes) {
        w->scratch.len = 0;
        if (deflaters_message(&w->deflaters, o->server_max_window_bits, o->level, o->memory_level,
                              data, (size_t)f.len, &w->scratch) < 0)
            return ERR_MEMORY;
        f.rsv1 = true;
        f.len = w->scratch.len;
        data = w->scratch.data;
    }
    int status = make_room(w->topics, &t->deflated, FRAME_HEADER_MAX + (size_t)f.len);
    if (status == 0)
        append_frame(&t->deflated, &f, data);
    w->scratch.len = 0;
    return status;
}

/* Must other topics' messages go out before t's, since some connection may read both? */
static bool must_hand_out(const struct worker *w, const struct topic *t)
{
    const struct topics *all = w->topics;
    bool others = all->dirty && !(all->dirty == t && all->dirty_tail == t);
    return others && all->multi > 0;
}

/* A log is one block: when it is full, what it holds is handed out. */
static bool is_full(const struct topic *t, size_t most)
{
    return t->entry_count > 0 &&
           (!has_room(&t->plain, most) || (t->deflating && !has_room(&t->deflated, most * 2)));
}

/* The topic, with room in its log for a message of this length; NULL: nobody subscribes here. */
static struct topic *ready_topic(struct worker *w, const char *name, size_t name_len, size_t len)
{
    struct topic *t = topic_get(w, name, name_len);
    if (t && (is_full(t, FRAME_HEADER_MAX + len) || must_hand_out(w, t))) {
        topics_hand_out(w);
        t = topic_get(w, name, name_len); /* its last subscriber may have failed */
    }
    return t;
}

static int append(struct worker *w, struct topic *t, struct conn *except, const uint8_t *data,
                  size_t len, bool binary)
{
    if (!t || t->count == 0)
        return 0;
    size_t most = FRAME_HEADER_MAX + len;
    struct frame f = {.opcode = binary ? FRAME_BINARY : FRAME_TEXT, .fin = true, .len = len};
    /* All that can fail comes first, since what is in the log goes out. */
    if (reserve_entry(t) < 0 || make_room(w->topics, &t->plain, most) < 0)
        return ERR_MEMORY;
    if (t->deflating && append_deflated(w, t, f, data) < 0)
        return ERR_MEMORY;
    append_frame(&t->plain, &f, data);
    add_entry(t, except, len);
    set_dirty(w, t);
    return 0;
}

/* ---- handing out ----------------------------------------------------------------------------- */

/* Can c be sent the shared compressed forms? They refer back no further than their window, or their
 * length. */
static bool takes_deflated(const struct topic *t, const struct conn *c)
{
    if (!c->deflate)
        return false;
    uint32_t bits = ws_output_window_bits(c);
    return bits >= t->deflate.server_max_window_bits || t->longest <= 1u << bits;
}

/* Some messages of a log, one after another. */
struct part {
    struct shared *block;
    uint32_t at;
    uint32_t end;
    uint32_t payload; /* uncompressed */
    bool deflated;
};

static int queue_part(struct worker *w, struct conn *c, const struct part *p)
{
    const uint8_t *data = p->block->data + p->at;
    size_t len = p->end - p->at;
    if (c->client)
        return ws_output_masked(w, c, data, len, p->payload);
    if (c->blocked && len <= COPIED_BYTES) {
        uint8_t *copy = conn_reserve(w, c, len, true);
        if (!copy)
            return ERR_CLOSED;
        memcpy(copy, data, len);
    } else {
        if (outbound_shared(&c->out, &w->out, p->block, p->at, len) < 0)
            return ERR_MEMORY;
        conn_dirty(w, c);
    }
    outbound_note_payload(&c->out, p->payload, p->deflated);
    return 0;
}

/* Where entry i ends, of the plain or the compressed forms. */
static uint32_t end_of(const struct topic *t, uint32_t i, bool deflated)
{
    return deflated ? t->entries[i].deflated_end : t->entries[i].end;
}

/* The entries from first up to, not including, last. */
static struct part part_of(const struct topic *t, uint32_t first, uint32_t last, bool deflated)
{
    return (struct part){
        .block = deflated ? t->deflated.block : t->plain.block,
        .at = first > 0 ? end_of(t, first - 1, deflated) : 0,
        .end = end_of(t, last - 1, deflated),
        .payload =
            t->entries[last - 1].payload_end - (first > 0 ? t->entries[first - 1].payload_end : 0),
        .deflated = deflated,
    };
}

/* Queues the entries that are not excepted for c, in runs. Returns how many, or an error. */
static int queue_entries(struct worker *w, const struct topic *t, struct conn *c, bool deflated)
{
    int sent = 0;
    uint32_t first = 0;
    while (first < t->entry_count) {
        uint32_t last = c->excepted ? first : t->entry_count;
        while (last < t->entry_count && t->entries[last].except != c)
            last++;
        if (last > first) {
            struct part part = part_of(t, first, last, deflated);
            int status = queue_part(w, c, &part);
            if (status < 0)
                return status;
            sent += (int)(last - first);
        }
        first = last + 1;
    }
    return sent;
}

static void deliver_to(struct worker *w, const struct topic *t, struct conn *c)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->out.queued > conn_limits(w, c)->queued_bytes) {
        count(&w->counters, COUNT_QUEUE_OVERFLOWS, 1);
        conn_role(w, c)->fail(w, c, CLOSE_POLICY, "more output is queued than queued_bytes allows");
        return;
    }
    bool deflated = takes_deflated(t, c);
    int sent = queue_entries(w, t, c, deflated);
    if (sent == ERR_MEMORY)
        conn_kill(w, c);
    if (sent > 0)
        count(&w->counters, COUNT_MESSAGES_OUT, (uint64_t)sent);
    if (deflated && sent > 0)
        c->deflate->fresh = true; /* its window now holds what our deflater for it never saw */
}

static void recycle(struct worker *w, struct log_block *l)
{
    l->used = 0;
    if (!l->block)
        return;
    bool ours = atomic_load_explicit(&l->block->references, memory_order_acquire) == 1;
    if (ours && l->block->len == LOG_BYTES && w->topics->spare_count < TOPICS_SPARE)
        w->topics->spare[w->topics->spare_count++] = l->block;
    else
        shared_unref(l->block);
    l->block = NULL;
}

/* Marks those who are not sent all of t's messages, while these are handed out: the others are sent
 * the whole log without a look at each entry. */
static void mark_excepted(const struct topic *t, bool excepted)
{
    for (uint32_t i = 0; t->excepts && i < t->entry_count; i++)
        if (t->entries[i].except)
            t->entries[i].except->excepted = excepted;
}

static void hand_out(struct worker *w, struct topic *t)
{
    mark_excepted(t, true);
    /* Backwards, since one that fails leaves, and the last takes its place. */
    for (uint32_t i = t->count; i-- > 0;)
        if (i < t->count)
            deliver_to(w, t, t->members[i].conn);
    mark_excepted(t, false);
    recycle(w, &t->plain);
    recycle(w, &t->deflated);
    t->entry_count = 0;
    t->longest = 0;
    t->excepts = false;
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

/* ---- publishing ------------------------------------------------------------------------------ */

/* The audience of a topic that this worker publishes to. Of those without subscribers here some are
 * kept, so that the next message finds its audience without a lock. NULL when out of memory. */
static struct audience *audience_of(struct worker *w, const struct topic *t, const char *name,
                                    size_t name_len)
{
    if (t)
        return t->audience;
    struct topics *all = w->topics;
    struct audience *a = map_get(&all->strangers, name, name_len);
    if (a)
        return a;
    if (all->strangers.count == TOPICS_STRANGERS ||
        all->stranger_bytes + name_len > TOPICS_STRANGER_BYTES)
        forget_strangers(w);
    a = audience_hold(w->audiences, name, name_len);
    if (!a)
        return NULL;
    if (map_put(&all->strangers, name, name_len, a) < 0) {
        audience_release(w->audiences, a);
        return NULL;
    }
    all->stranger_bytes += name_len;
    return a;
}

/* A published message, on its way to another worker's subscribers. */
struct published {
    struct letter letter;
    struct mailbox *to;     /* until it is posted */
    struct shared *message; /* a reference */
    bool binary;
    uint32_t topic_len;
    char topic[];
};

static void read_published(struct worker *w, struct letter *l)
{
    const struct published *p = (const struct published *)l;
    struct topic *t = ready_topic(w, p->topic, p->topic_len, p->message->len);
    if (append(w, t, NULL, p->message->data, p->message->len, p->binary) < 0)
        log_write(w->log, LOG_ERROR, "out of memory: a message to \"%.*s\" was not delivered",
                  (int)p->topic_len, p->topic);
}

static void drop_published(struct letter *l)
{
    struct published *p = (struct published *)l;
    shared_unref(p->message);
    free(p);
}

struct letter *topics_letter(const char *name, size_t name_len, struct shared *message, bool binary)
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

static void post_letters(struct worker *w, struct letter *l)
{
    while (l) {
        struct letter *next = l->next;
        mailbox_post(((struct published *)l)->to, l);
        count(&w->counters, COUNT_FORWARDED, 1);
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
                             size_t name_len, const uint8_t *data, size_t len, bool binary,
                             struct letter **out)
{
    *out = NULL;
    if (w->mailboxes->count < 2)
        return 0;
    const struct audience *a = audience_of(w, t, name, name_len);
    if (!a)
        return ERR_MEMORY;
    uint32_t to = next_other(w, a, 0);
    if (to == AUDIENCE_WORKERS_MAX)
        return 0;
    struct shared *message = shared_new(len);
    if (!message)
        return ERR_MEMORY;
    memcpy(message->data, data, len);
    struct letter *l = NULL;
    for (; to < AUDIENCE_WORKERS_MAX; to = next_other(w, a, to + 1)) {
        l = topics_letter(name, name_len, message, binary);
        if (!l)
            break;
        ((struct published *)l)->to = w->mailboxes->list[to];
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

int topics_publish(struct worker *w, struct conn *except, const char *name, size_t name_len,
                   const uint8_t *data, size_t len, bool binary)
{
    struct topic *t = ready_topic(w, name, name_len, len);
    struct letter *letters;
    if (letters_to_others(w, t, name, name_len, data, len, binary, &letters) < 0)
        return ERR_MEMORY;
    int err = append(w, t, except, data, len, binary);
    if (err < 0)
        drop_letters(letters); /* nobody is sent a message that was not published */
    else
        post_letters(w, letters);
    return err;
}
