/* One socket: what its readiness, its deadline and its end lead to. What is spoken on it is asked
 * of its role. */
#include "engine/conn/conn.h"

#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "engine/conn/conn_account.h"
#include "engine/ground/admission.h"
#include "engine/ground/outbound_flush.h"

enum {
    HEAP_OUTPUT_BYTES = 64 * 1024, /* larger answers get a block of their own */
    READS_MAX = 16,                /* of one wake-up, so that one peer cannot keep the loop */
    ENDS_MAX = 64,                 /* of one turn, for the same reason */
};

_Static_assert(sizeof(((struct worker *)0)->roles) == CONN_STATES * sizeof(struct conn_role *),
               "there is a role for each state");

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

const struct limits *conn_limits(const struct worker *w, const struct conn *c)
{
    return c->client ? &c->client->limits : &w->site->routes[c->route].limits;
}

/* ---- reading --------------------------------------------------------------------------------- */

void conn_watch(struct worker *w, struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    int events = 0;
    if (!c->peer_ended && !c->paused && !c->input_full)
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

void conn_read_on(struct worker *w, struct conn *c)
{
    conn_watch(w, c);
    if (transport_pending(&c->transport))
        ev_feed_event(w->loop, &c->io, EV_READ);
}

static void on_eof(struct worker *w, struct conn *c)
{
    c->peer_ended = true;
    const struct conn_role *role = conn_role(w, c);
    if (role->eof)
        role->eof(w, c);
    conn_watch(w, c);
}

static void on_lost(struct worker *w, struct conn *c)
{
    const struct conn_role *role = conn_role(w, c);
    if (role->lost)
        role->lost(w, c, transport_error(&c->transport));
    if (c->secure) {
        count(&w->counters, COUNT_TLS_FAILURES, 1);
        conn_lose_tls(w, c);
    } else {
        conn_kill(w, c);
    }
}

/* Where a large message under way wants its bytes; 0: nowhere. TLS decrypts one recv() at a time in
 * large places only. */
static size_t place_of(const struct worker *w, struct conn *c, uint8_t **into)
{
    const struct conn_role *role = conn_role(w, c);
    size_t room = role->place ? role->place(c, into) : 0;
    if (c->secure && room < TRANSPORT_READ_BYTES)
        return 0;
    return room < READ_DIRECT_BYTES ? room : READ_DIRECT_BYTES;
}

/* A plain socket that filled the place has more, and if that is a large message's, it is worth a
 * system call at once. */
static bool has_more(const struct worker *w, struct conn *c, bool filled)
{
    uint8_t *into;
    if (c->state == CONN_DEAD || c->paused || c->input_full)
        return false;
    return c->secure ? transport_pending(&c->transport) : filled && place_of(w, c, &into) > 0;
}

/* Reads once. Returns false when there is nothing more to read now. */
static bool read_once(struct worker *w, struct conn *c)
{
    if (w->in.used >= READ_BATCH_BYTES || w->batch.owned_bytes >= BATCH_OWNED_MAX) {
        worker_dispatch(w);
        if (c->state == CONN_DEAD || c->paused)
            return false;
    }
    uint8_t *into;
    size_t room = place_of(w, c, &into);
    bool direct = room > 0;
    if (!direct) {
        into = w->in.data + w->in.used;
        room = w->in.cap - w->in.used;
    }
    long n = transport_read(&c->transport, into, room);
    if (n == ERR_AGAIN) {
        if (c->secure && (c->held > 0 || transport_memory(&c->transport) > 0))
            conn_account(w, c); /* a part of a record came, or its rest */
        conn_watch(w, c);
        return false;
    }
    if (n <= 0) {
        if (n == 0)
            on_eof(w, c);
        else
            on_lost(w, c);
        return false;
    }
    const struct conn_role *role = conn_role(w, c);
    if (direct)
        role->placed(w, c, (size_t)n);
    else if (role->input)
        role->input(w, c, into, (size_t)n);
    return has_more(w, c, (size_t)n == room);
}

static void on_readable(struct worker *w, struct conn *c)
{
    for (int i = 0; i < READS_MAX; i++)
        if (!read_once(w, c))
            return;
    ev_feed_event(w->loop, &c->io, EV_READ);
}

/* The system takes output again. */
static void on_writable(struct worker *w, struct conn *c)
{
    int status = outbound_flush(&c->out, &c->transport);
    if (status == ERR_AGAIN && c->blocked)
        conn_account(w, c);
    else
        conn_flushed(w, c, status);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    struct worker *w = worker_of(loop);
    struct conn *c = (struct conn *)(void *)io; /* its first field */
    if (w->ended >= ENDS_MAX && !transport_pending(&c->transport))
        return; /* when many go at once, the others wait no longer: the next poll shows it again */
    const struct conn_role *role = conn_role(w, c);
    if (role->ready) {
        role->ready(w, c);
        return;
    }
    if (revents & EV_WRITE)
        on_writable(w, c);
    if ((revents & EV_READ) && c->state != CONN_DEAD && !c->peer_ended && !c->paused &&
        !c->input_full)
        on_readable(w, c);
    if (conn_account_grew(w))
        ev_feed_event(w->loop, &w->relief, EV_CUSTOM); /* before any other socket */
}

void conn_pause(struct worker *w, struct conn *c, bool paused)
{
    if (c->state == CONN_DEAD || c->paused == paused)
        return;
    c->paused = paused;
    if (paused) {
        conn_watch(w, c);
        return;
    }
    if (c->input_full)
        conn_resume_later(w, c);
    conn_read_on(w, c);
}

/* ---- beginning ------------------------------------------------------------------------------- */

int conn_new(struct worker *w, struct conn **out)
{
    int err = conn_slot_take(w, out);
    if (err)
        return err;
    (*out)->transport.fd = -1;
    atomic_fetch_add_explicit(&w->conn_count, 1, memory_order_relaxed);
    return 0;
}

void conn_attach(struct conn *c, int fd)
{
    c->transport.fd = fd;
    ev_io_init(&c->io, on_io, fd, EV_READ);
}

void conn_begin(struct worker *w, struct conn *c)
{
    c->state = c->secure ? CONN_HANDSHAKE : CONN_HTTP;
    conn_watch(w, c);
}

int conn_open(struct worker *w, int fd, const struct address *peer, struct tls_session *tls,
              bool proxied)
{
    struct conn *c;
    struct transport t = {.fd = fd, .tls = tls};
    int err = conn_new(w, &c);
    if (err) {
        transport_close(&t);
        admission_release(w->admission, peer);
        return err;
    }
    conn_attach(c, fd);
    c->transport = t;
    c->secure = tls != NULL;
    c->state = proxied ? CONN_PROXY : tls ? CONN_HANDSHAKE : CONN_HTTP;
    c->peer = *peer;
    c->admitted = true;
    count(&w->counters, COUNT_ACCEPTED, 1);
    ev_io_start(w->loop, &c->io);
    ev_feed_event(w->loop, &c->io, EV_READ); /* what it waited for (peer_first, transport/tcp.h) */
    conn_deadline(w, c, w->site->limits.handshake_seconds);
    worker_sweep(w);
    return 0;
}

/* ---- deadlines ------------------------------------------------------------------------------- */

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

void conn_expired(struct worker *w, struct conn *c)
{
    *conn_deadline_at(w, c->slot) = 0;
    const struct conn_role *role = conn_role(w, c);
    if (role->expired)
        role->expired(w, c);
}

/* ---- output ---------------------------------------------------------------------------------- */

void conn_dirty(struct worker *w, struct conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next = w->dirty;
    w->dirty = c;
}

/* Room in a piece of its own. NULL: there is no memory, or the arena is full. */
static uint8_t *new_piece(struct worker *w, struct conn *c, size_t len, bool frames)
{
    if (c->blocked)
        return outbound_keep(&c->out, len, frames);
    return len <= HEAP_OUTPUT_BYTES ? outbound_reserve(&c->out, &w->out, len, frames)
                                    : outbound_heap(&c->out, len, 0, frames);
}

/* Not inlined, so that conn_reserve saves no registers for it. */
__attribute__((noinline)) static uint8_t *reserve_piece(struct worker *w, struct conn *c,
                                                        size_t len, bool frames)
{
    uint8_t *at = new_piece(w, c, len, frames);
    if (!at && !c->blocked && len <= HEAP_OUTPUT_BYTES) {
        conn_flush_all(w); /* c may be blocked since then */
        if (c->state == CONN_DEAD)
            return NULL;
        conn_dirty(w, c);
        at = new_piece(w, c, len, frames);
    }
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

/* RFC 6455 §7.1.1: after the closing handshake it is the server that ends TCP first. */
static bool waits_for_end(const struct conn *c)
{
    return c->client && c->peer_done;
}

/* A lingering connection has said everything: ends our side, and all of it where nothing can come
 * that would make the system reset what we sent. */
static void end_our_side(struct worker *w, struct conn *c)
{
    if (c->shut_down || (!c->peer_ended && waits_for_end(c)))
        return;
    c->shut_down = true;
    bool over = c->peer_ended || (c->peer_done && !c->secure);
    if (c->secure || !over)
        transport_shutdown(&c->transport);
    if (over)
        conn_kill(w, c);
}

/* The queue is empty: what was waited for can happen. */
static void on_emptied(struct worker *w, struct conn *c)
{
    bool was_refused = c->was_refused;
    c->blocked = false;
    c->was_refused = false;
    if (c->held > 0)
        conn_account(w, c);
    const struct conn_role *role = conn_role(w, c);
    if (role->emptied)
        role->emptied(w, c, was_refused);
    if (c->state == CONN_LINGER) /* maybe since now */
        end_our_side(w, c);
    conn_watch(w, c);
}

void conn_flushed(struct worker *w, struct conn *c, int status)
{
    if (status == ERR_AGAIN && outbound_settle(&c->out) == 0) {
        c->blocked = c->was_refused = true;
        conn_watch(w, c);
        conn_account(w, c);
    } else if (status < 0) {
        conn_kill(w, c);
    } else {
        on_emptied(w, c);
    }
}

/* While the system refuses output nothing of it lies in the arena (conn_reserve, topic_log.c), so
 * there is nothing to do: not even to look at each of a slow reader's pieces. */
void conn_flush(struct worker *w, struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    if (c->blocked)
        conn_account(w, c);
    else
        conn_flushed(w, c, outbound_flush(&c->out, &c->transport));
}

void conn_flush_all(struct worker *w)
{
    while (w->dirty) {
        struct conn *c = w->dirty;
        w->dirty = c->next;
        if (c->state == CONN_DEAD) { /* it stays dirty, so that nobody puts it on the list again */
            c->next = w->dead;
            w->dead = c;
            continue;
        }
        c->dirty = false;
        conn_flush(w, c);
    }
    w->out.used = 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void begin_linger(struct worker *w, struct conn *c)
{
    c->state = CONN_LINGER;
    c->paused = false;
    c->input_full = false;
    uint32_t own = c->client ? c->client->limits.close_seconds : 0; /* 0: it was not open yet */
    conn_deadline(w, c, own ? own : w->site->limits.close_seconds);
    conn_dirty(w, c); /* end_our_side follows when all is flushed */
    conn_watch(w, c);
}

void conn_linger(struct worker *w, struct conn *c)
{
    if (c->state >= CONN_LINGER)
        return;
    w->ended++;
    begin_linger(w, c);
}

/* Its role is over, and what is queued is lost. */
static void end_role(struct worker *w, struct conn *c, enum conn_state state)
{
    const struct conn_role *role = conn_role(w, c);
    w->ended += c->state != CONN_LINGER;
    c->state = state;
    if (role->ended)
        role->ended(w, c);
    size_t lost = outbound_payload(&c->out, &c->transport);
    if (c->out.queued > 0)
        count(&w->counters, COUNT_DROPPED_BYTES, c->out.queued);
    outbound_deinit(&c->out);          /* now: its pieces may lie in the arena */
    outbound_note_lost(&c->out, lost); /* the script may still ask (ws.bufferedAmount) */
    if (c->held > 0)
        conn_account(w, c);
}

void conn_kill(struct worker *w, struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    end_role(w, c, CONN_DEAD);
    ev_io_stop(w->loop, &c->io);
    transport_close(&c->transport);
    *conn_deadline_at(w, c->slot) = 0;
    conn_dirty(w, c); /* conn_flush_all puts it among the dead */
}

/* A server's script may go on meanwhile, a client's often waits for this to end. */
enum { LOST_CLIENT_SECONDS = 1 };

void conn_lose_tls(struct worker *w, struct conn *c)
{
    if (c->state >= CONN_LINGER) {
        conn_kill(w, c);
        return;
    }
    end_role(w, c, CONN_LINGER);
    transport_drop_tls(&c->transport); /* nothing is queued that could go out in the clear */
    c->secure = false;
    c->blocked = false;
    begin_linger(w, c);
    if (c->client)
        conn_deadline(w, c, LOST_CLIENT_SECONDS);
}

/* ---- held-back input ------------------------------------------------------------------------- */

void conn_resume_later(struct worker *w, struct conn *c)
{
    if (c->resuming)
        return;
    if (w->resume_count == w->resume_cap &&
        array_grow((void **)&w->resume, &w->resume_cap, sizeof(*w->resume), 64)) {
        conn_kill(w, c);
        return;
    }
    c->resuming = true;
    w->resume[w->resume_count++] = c;
}

/* ---- roles of no protocol -------------------------------------------------------------------- */

/* Its input is only read to see its end. */
static void linger_eof(struct worker *w, struct conn *c)
{
    if (c->shut_down)
        conn_kill(w, c);
    else if (waits_for_end(c))
        conn_dirty(w, c); /* end_our_side follows */
}

const struct conn_role conn_linger_role = {
    .eof = linger_eof,
    .expired = conn_kill,
};

const struct conn_role conn_dead_role = {0};
