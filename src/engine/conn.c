#include "engine/conn.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/client/client.h"
#include "engine/http/http_conn.h"
#include "engine/server.h"
#include "engine/topics.h"
#include "engine/worker.h"
#include "engine/ws_conn.h"

enum {
    SLOT_BITS = 20,
    GENERATION_BITS = 25,
    SLOTS_MAX = 1 << SLOT_BITS,
    HEAP_OUTPUT_BYTES = 64 * 1024, /* larger answers get a block of their own */
    READS_MAX = 16,                /* of one wake-up, so that one peer cannot keep the loop */
};

/* ---- slots and handles ---------------------------------------------------------------------- */

/* What is used of a free slot is behind this part of it: under AddressSanitizer the rest is poisoned,
 * as freed memory would be. */
enum { FREED_BYTES = offsetof(struct conn, slot) };

static struct conn_block *add_block(struct worker *w)
{
    uint32_t count = w->slot_cap / CONN_BLOCK;
    struct conn_block **blocks = w->blocks;
    if ((count & (count - 1)) == 0) /* room for the next power of two */
        blocks = realloc(w->blocks, (count ? count * 2 : 1) * sizeof(*blocks));
    if (!blocks)
        return NULL;
    w->blocks = blocks;
    return blocks[count] = calloc(1, sizeof(**blocks));
}

static int grow_slots(struct worker *w)
{
    if (w->slot_cap >= SLOTS_MAX)
        return ERR_LIMIT;
    struct conn_block *b = add_block(w);
    if (!b)
        return ERR_MEMORY;
    for (uint32_t i = CONN_BLOCK; i-- > 0;) {
        struct conn *c = &b->conns[i];
        c->slot = w->slot_cap + i;
        c->generation = 1;
        c->next = w->free_conns;
        w->free_conns = c;
        ASAN_POISON_MEMORY_REGION(c, FREED_BYTES);
    }
    w->slot_cap += CONN_BLOCK;
    return 0;
}

static struct conn *slot_take(struct worker *w)
{
    struct conn *c = w->free_conns;
    uint32_t slot = c->slot;
    uint32_t generation = c->generation;
    w->free_conns = c->next;
    ASAN_UNPOISON_MEMORY_REGION(c, FREED_BYTES);
    *c = (struct conn){.slot = slot, .generation = generation, .taken = true};
    return c;
}

static void slot_give(struct worker *w, struct conn *c)
{
    c->generation = (c->generation + 1) & ((1u << GENERATION_BITS) - 1);
    if (c->generation == 0)
        c->generation = 1;
    c->taken = false;
    c->next = w->free_conns;
    w->free_conns = c;
    ASAN_POISON_MEMORY_REGION(c, FREED_BYTES);
}

void conn_blocks_deinit(struct worker *w)
{
    for (uint32_t i = 0; i < w->slot_cap / CONN_BLOCK; i++)
        free(w->blocks[i]);
    free(w->blocks);
    w->blocks = NULL;
    w->free_conns = NULL;
    w->slot_cap = 0;
}

static struct conn *slot_at(const struct worker *w, uint32_t slot)
{
    return &w->blocks[slot / CONN_BLOCK]->conns[slot % CONN_BLOCK];
}

struct conn *conn_at(const struct worker *w, uint32_t slot)
{
    struct conn *c = slot_at(w, slot);
    return c->taken ? c : NULL;
}

uint32_t *conn_deadline_at(const struct worker *w, uint32_t slot)
{
    return &w->blocks[slot / CONN_BLOCK]->deadlines[slot % CONN_BLOCK];
}

double conn_handle(const struct worker *w, const struct conn *c)
{
    uint64_t h = c->slot | (uint64_t)c->generation << SLOT_BITS |
                 (uint64_t)w->index << (SLOT_BITS + GENERATION_BITS);
    return (double)(int64_t)h; /* one instruction, as in conn_get: it is less than 2^53 */
}

struct conn *conn_get(const struct worker *w, double handle)
{
    if (!(handle > 0 && handle < 9007199254740992.0))
        return NULL;
    uint64_t h = (uint64_t)(int64_t)handle;
    uint32_t slot = h & (SLOTS_MAX - 1);
    uint32_t generation = (h >> SLOT_BITS) & ((1u << GENERATION_BITS) - 1);
    if (slot >= w->slot_cap || h >> (SLOT_BITS + GENERATION_BITS) != w->index)
        return NULL;
    struct conn *c = slot_at(w, slot);
    return c->generation == generation && c->taken ? c : NULL;
}

struct event *conn_event(struct worker *w, const struct conn *c, enum event_kind kind)
{
    struct event *e = batch_add(&w->batch);
    if (e) {
        e->kind = (uint8_t)kind;
        e->conn = conn_handle(w, c);
        e->slot = (int32_t)c->slot;
        e->route = (int32_t)c->route;
    }
    return e;
}

/* ---- readiness ------------------------------------------------------------------------------ */

void conn_watch(struct worker *w, struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    int events = 0;
    if (!c->peer_ended && !c->paused && !c->http_full)
        events |= EV_READ;
    if (c->blocked || transport_wants_write(&c->transport))
        events |= EV_WRITE;
    if ((c->io.events & (EV_READ | EV_WRITE)) == events && ev_is_active(&c->io))
        return;
    ev_io_stop(w->loop, &c->io);
    if (events) {
        ev_io_modify(&c->io, events);
        ev_io_start(w->loop, &c->io);
    }
}

/* RFC 6455 §7.1.1: after the closing handshake it is the server that ends TCP first. */
static bool waits_for_end(const struct conn *c)
{
    return c->client && c->peer_done;
}

static void on_eof(struct worker *w, struct conn *c)
{
    c->peer_ended = true;
    switch (c->state) {
    case CONN_HANDSHAKE:
        conn_kill(w, c);
        return;
    case CONN_ANSWER:
        client_fail(w, c, "the server ended the connection before it answered");
        return;
    case CONN_HTTP:
        http_conn_eof(w, c);
        break;
    case CONN_OPEN:
    case CONN_CLOSING:
        ws_conn_eof(w, c);
        break;
    case CONN_LINGER:
        if (c->shut_down)
            conn_kill(w, c);
        else if (waits_for_end(c))
            conn_dirty(w, c); /* on_flushed ends it */
        break;
    default:
        break;
    }
    conn_watch(w, c);
}

static void on_input(struct worker *w, struct conn *c, uint8_t *data, size_t len)
{
    switch (c->state) {
    case CONN_HTTP:
        http_conn_input(w, c, data, len);
        break;
    case CONN_OPEN:
    case CONN_CLOSING:
        w->in.used += len; /* the events point at it until the batch is done */
        ws_conn_input(w, c, data, len);
        break;
    case CONN_ANSWER:
        client_input(w, c, data, len);
        break;
    default: /* a lingering connection's input is only read to see its end */
        break;
    }
}

/* Where a large message under way wants its bytes; 0: nowhere. TLS decrypts one recv() at a time in
 * large places only. */
static size_t message_place(struct conn *c, uint8_t **into)
{
    size_t room = c->state == CONN_OPEN ? message_space(&c->reader, into) : 0;
    if (c->secure && room < TRANSPORT_READ_BYTES)
        return 0;
    return room < READ_DIRECT_BYTES ? room : READ_DIRECT_BYTES;
}

/* A plain socket that filled the place has more, and if that is a large message's, it is worth a
 * system call at once. */
static bool has_more(struct conn *c, bool filled)
{
    uint8_t *into;
    if (c->state == CONN_DEAD || c->paused || c->http_full)
        return false;
    return c->secure ? transport_pending(&c->transport) : filled && message_place(c, &into) > 0;
}

/* One read. False when there is nothing more to read now. */
static bool read_once(struct worker *w, struct conn *c)
{
    uint8_t *into;
    size_t room = message_place(c, &into);
    bool direct = room > 0;
    if (!direct) {
        if (w->in.used >= READ_BATCH_BYTES) {
            worker_dispatch(w);
            if (c->state == CONN_DEAD || c->paused)
                return false;
        }
        into = w->in.data + w->in.used;
        room = w->in.cap - w->in.used;
    }
    long n = transport_read(&c->transport, into, room);
    if (n == ERR_AGAIN) {
        conn_watch(w, c);
        return false;
    }
    if (n == 0) {
        on_eof(w, c);
        return false;
    }
    if (n < 0) {
        if (c->state == CONN_ANSWER) /* a server refuses a TLS 1.3 client's certificate here */
            client_fail(w, c, "the connection was lost before the server answered: %s",
                        transport_error(&c->transport));
        if (c->secure)
            count(&w->counters, COUNT_TLS_FAILURES, 1);
        conn_kill(w, c);
        return false;
    }
    if (direct) {
        message_filled(&c->reader, (size_t)n);
        ws_conn_input(w, c, NULL, 0);
    } else {
        on_input(w, c, into, (size_t)n);
    }
    return has_more(c, (size_t)n == room);
}

static void on_readable(struct worker *w, struct conn *c)
{
    for (int i = 0; i < READS_MAX; i++)
        if (!read_once(w, c))
            return;
    ev_feed_event(w->loop, &c->io, EV_READ);
}

static void on_tls_handshake(struct worker *w, struct conn *c)
{
    int status = transport_handshake(&c->transport);
    if (status == ERR_AGAIN) {
        conn_watch(w, c);
        return;
    }
    if (status < 0) {
        count(&w->counters, COUNT_TLS_FAILURES, 1);
        log_write(w->log, LOG_DEBUG, "TLS handshake failed: %s", transport_error(&c->transport));
        conn_kill(w, c);
        return;
    }
    if (tls_resumed(c->transport.tls))
        count(&w->counters, COUNT_TLS_RESUMED, 1);
    c->state = CONN_HTTP;
    conn_watch(w, c);
    if (transport_pending(&c->transport))
        on_readable(w, c);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    struct worker *w = worker_of(loop);
    struct conn *c = (struct conn *)(void *)io; /* its first field */
    if (c->state <= CONN_HANDSHAKE) {
        if (c->state == CONN_HANDSHAKE)
            on_tls_handshake(w, c);
        else
            client_io(w, c);
        return;
    }
    if (revents & EV_WRITE) {
        c->blocked = false;
        conn_flush(w, c);
    }
    if ((revents & EV_READ) && c->state != CONN_DEAD && !c->peer_ended)
        on_readable(w, c);
}

int conn_new(struct worker *w, struct conn **out)
{
    int status = w->free_conns ? 0 : grow_slots(w);
    if (status < 0)
        return status;
    struct conn *c = slot_take(w);
    c->transport.fd = -1;
    atomic_fetch_add_explicit(&w->conn_count, 1, memory_order_relaxed);
    *out = c;
    return 0;
}

void conn_attach(struct worker *w, struct conn *c, int fd)
{
    (void)w;
    c->transport.fd = fd;
    ev_io_init(&c->io, on_io, fd, EV_READ);
}

int conn_open(struct worker *w, int fd, const struct address *peer, struct tls_session *tls)
{
    struct conn *c;
    struct transport t = {.fd = fd, .tls = tls};
    int status = conn_new(w, &c);
    if (status < 0) {
        transport_close(&t);
        server_release(w->server, peer);
        return status;
    }
    conn_attach(w, c, fd);
    c->transport = t;
    c->secure = tls != NULL;
    c->state = tls ? CONN_HANDSHAKE : CONN_HTTP;
    c->peer = *peer;
    c->admitted = true;
    count(&w->counters, COUNT_ACCEPTED, 1);
    ev_io_start(w->loop, &c->io);
    ev_feed_event(w->loop, &c->io, EV_READ); /* what it waited for (peer_first, transport/tcp.h) */
    conn_deadline(w, c, w->site->limits.handshake_seconds);
    worker_sweep(w);
    return 0;
}

/* ---- deadlines ------------------------------------------------------------------------------ */

void conn_deadline(struct worker *w, struct conn *c, uint32_t seconds)
{
    *conn_deadline_at(w, c->slot) =
        seconds ? worker_tick(w) + seconds * WORKER_TICKS_PER_SECOND : 0;
}

void conn_deadline_in(struct worker *w, struct conn *c, double seconds)
{
    *conn_deadline_at(w, c->slot) =
        worker_tick(w) + (uint32_t)(seconds * WORKER_TICKS_PER_SECOND) + 1;
}

const struct limits *conn_limits(const struct worker *w, const struct conn *c)
{
    return c->client ? &c->client->limits : &w->site->routes[c->route].limits;
}

void conn_expired(struct worker *w, struct conn *c)
{
    *conn_deadline_at(w, c->slot) = 0;
    switch (c->state) {
    case CONN_CONNECT:
    case CONN_ANSWER:
        client_expired(w, c);
        break;
    case CONN_HANDSHAKE:
        count(&w->counters, COUNT_HANDSHAKE_TIMEOUTS, 1);
        conn_kill(w, c);
        break;
    case CONN_HTTP:
        http_conn_expired(w, c);
        break;
    case CONN_OPEN:
    case CONN_CLOSING:
        ws_conn_expired(w, c);
        break;
    case CONN_LINGER:
        conn_kill(w, c);
        break;
    default:
        break;
    }
}

/* ---- output --------------------------------------------------------------------------------- */

void conn_dirty(struct worker *w, struct conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next = w->dirty;
    w->dirty = c;
}

/* In a piece of its own. Not inlined, so that conn_reserve saves no registers for it. */
__attribute__((noinline)) static uint8_t *reserve_piece(struct worker *w, struct conn *c,
                                                        size_t len, bool frames)
{
    uint8_t *at = NULL;
    if (len <= HEAP_OUTPUT_BYTES) {
        at = outbound_reserve(&c->out, &w->out, len, frames);
        if (!at) {
            worker_flush(w);
            if (c->state == CONN_DEAD)
                return NULL;
            conn_dirty(w, c);
            at = outbound_reserve(&c->out, &w->out, len, frames);
        }
    }
    if (!at)
        at = outbound_heap(&c->out, len, 0, frames);
    if (!at)
        conn_kill(w, c);
    return at;
}

uint8_t *conn_reserve(struct worker *w, struct conn *c, size_t len, bool frames)
{
    if (c->state == CONN_DEAD)
        return NULL;
    conn_dirty(w, c);
    uint8_t *at = len <= HEAP_OUTPUT_BYTES ? outbound_extend(&c->out, &w->out, len, frames) : NULL;
    return at ? at : reserve_piece(w, c, len, frames);
}

/* The queue is empty: what was waited for can happen. */
static void on_flushed(struct worker *w, struct conn *c)
{
    bool drained = c->drain_event;
    c->blocked = false;
    c->drain_event = false;
    if (drained && c->state == CONN_OPEN)
        (void)conn_event(w, c, EVENT_DRAIN);
    if (c->state == CONN_HTTP)
        http_conn_drained(w, c);
    if (c->state == CONN_LINGER && !c->shut_down && (c->peer_ended || !waits_for_end(c))) {
        c->shut_down = true;
        /* No input can come that would make the system reset what we sent: close() says all. */
        bool over = c->peer_ended || (c->peer_done && !c->secure);
        if (c->secure || !over)
            transport_shutdown(&c->transport);
        if (over) {
            conn_kill(w, c);
            return;
        }
    }
    conn_watch(w, c);
}

void conn_flushed(struct worker *w, struct conn *c, int status)
{
    if (status == ERR_AGAIN) {
        c->blocked = true;
        c->drain_event = true;
        if (outbound_settle(&c->out) < 0)
            conn_kill(w, c);
        else
            conn_watch(w, c);
    } else if (status < 0) {
        conn_kill(w, c);
    } else {
        on_flushed(w, c);
    }
}

void conn_flush(struct worker *w, struct conn *c)
{
    if (c->state != CONN_DEAD)
        conn_flushed(w, c, c->blocked ? ERR_AGAIN : outbound_flush(&c->out, &c->transport));
}

/* ---- the end -------------------------------------------------------------------------------- */

void conn_linger(struct worker *w, struct conn *c)
{
    if (c->state >= CONN_LINGER)
        return;
    c->state = CONN_LINGER;
    c->paused = false;
    c->http_full = false;
    topics_unsubscribe_all(w, c);
    conn_deadline(w, c,
                  c->client ? c->client->limits.close_seconds : w->site->limits.close_seconds);
    conn_dirty(w, c); /* on_flushed ends our side */
    conn_watch(w, c);
}

static void abort_request(struct worker *w, struct conn *c)
{
    struct event *e = batch_add(&w->batch);
    if (!e)
        return;
    e->kind = EVENT_ABORT;
    e->conn = conn_handle(w, c);
    e->route = (int32_t)c->http->match.target;
    e->serial = c->http->serial;
}

void conn_kill(struct worker *w, struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    if (c->state == CONN_OPEN || c->state == CONN_CLOSING)
        ws_conn_lost(w, c);
    else if (c->state == CONN_CONNECT || c->state == CONN_ANSWER)
        client_lost(w, c);
    if (c->http && c->http->state == HTTP_ANSWERING)
        abort_request(w, c);
    c->state = CONN_DEAD;
    topics_unsubscribe_all(w, c);
    ev_io_stop(w->loop, &c->io);
    size_t lost = outbound_payload(&c->out, &c->transport);
    transport_close(&c->transport);
    *conn_deadline_at(w, c->slot) = 0;
    if (c->out.queued > 0)
        count(&w->counters, COUNT_DROPPED_BYTES, c->out.queued);
    outbound_deinit(&c->out); /* now: its pieces may lie in the arena */
    c->out.lost = lost;       /* the script may still ask (ws.bufferedAmount) */
    conn_dirty(w, c);         /* worker_flush hands it on to those that are freed */
}

void conn_free(struct worker *w, struct conn *c)
{
    if (c->http)
        http_session_release(w, c);
    ws_conn_deinit(w, c);
    client_free(c);
    if (c->admitted)
        server_release(w->server, &c->peer);
    atomic_fetch_sub_explicit(&w->conn_count, 1, memory_order_relaxed);
    slot_give(w, c);
}

/* ---- held-back input ------------------------------------------------------------------------ */

void conn_resume_later(struct worker *w, struct conn *c)
{
    if (c->resuming)
        return;
    if (w->resume_count == w->resume_cap) {
        uint32_t cap = w->resume_cap ? w->resume_cap * 2 : 64;
        struct conn **resume = realloc(w->resume, cap * sizeof *resume);
        if (!resume) {
            conn_kill(w, c);
            return;
        }
        w->resume = resume;
        w->resume_cap = cap;
    }
    c->resuming = true;
    w->resume[w->resume_count++] = c;
}

void conn_pause(struct worker *w, struct conn *c, bool paused)
{
    if (c->state == CONN_DEAD || c->paused == paused)
        return;
    c->paused = paused;
    conn_watch(w, c);
    if (!paused && transport_pending(&c->transport))
        ev_feed_event(w->loop, &c->io, EV_READ);
}
