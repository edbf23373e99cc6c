/* Encoding messages once, and queueing runs of them. */
#include "engine/ws/topic_log.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "engine/ws/ws_output.h"

enum {
    LOG_BYTES = 16 * 1024, /* a block; a larger message gets a block of its size */
    /* For a slow reader, a part up to this is copied instead of keeping the whole block in memory.
     */
    COPIED_BYTES = 1024
};

/* One message. */
struct topic_log_entry {
    uint32_t end;          /* its frame ends here in the plain block */
    uint32_t deflated_end; /* and the compressed form's here in the other */
    uint32_t payload_end;  /* payload, uncompressed, of the entries up to this one */
    struct conn *except;   /* the one that is not sent it, or NULL */
};

/* ---- appending ------------------------------------------------------------------------------- */

static bool has_room(const struct topic_log_block *l, size_t len)
{
    return l->block && l->block->len - l->used >= len;
}

static int make_room(struct topic_log_spare *spare, struct topic_log_block *l, size_t len)
{
    if (has_room(l, len))
        return 0;
    shared_unref(l->block);
    l->used = 0;
    if (len <= LOG_BYTES && spare->count > 0)
        l->block = spare->blocks[--spare->count];
    else
        l->block = shared_new(len > LOG_BYTES ? len : LOG_BYTES);
    return l->block ? 0 : ERR_MEMORY;
}

static void append_frame(struct topic_log_block *l, const struct frame *f, const uint8_t *data)
{
    uint8_t *at = l->block->data + l->used;
    size_t n = frame_encode(at, f);
    memcpy(at + n, data, (size_t)f->len);
    l->used += (uint32_t)(n + f->len);
}

static int reserve_entry(struct topic_log *l)
{
    if (l->entry_count < l->entry_cap)
        return 0;
    return array_grow((void **)&l->entries, &l->entry_cap, sizeof(*l->entries), 16);
}

/* Makes what was appended to the log a message of it; reserve_entry made room. */
static void add_entry(struct topic_log *l, struct conn *except, size_t payload)
{
    uint32_t before = l->entry_count > 0 ? l->entries[l->entry_count - 1].payload_end : 0;
    l->entries[l->entry_count++] =
        (struct topic_log_entry){.end = l->plain.used,
                                 .deflated_end = l->deflated.used,
                                 .payload_end = before + (uint32_t)payload,
                                 .except = except};
    if (payload > l->longest)
        l->longest = (uint32_t)payload;
    l->excepts |= except != NULL;
}

static int append_deflated(struct worker *w, struct topic_log *l, struct topic_log_spare *spare,
                           const struct deflate_options *o, struct frame f, const uint8_t *data)
{
    if (o->enabled && f.len >= o->min_bytes) {
        w->scratch.len = 0;
        if (deflaters_message(&w->deflaters, o->server_max_window_bits, o->level, o->memory_level,
                              data, (size_t)f.len, &w->scratch) < 0)
            return ERR_MEMORY;
        f.rsv1 = true;
        f.len = w->scratch.len;
        data = w->scratch.data;
    }
    int err = make_room(spare, &l->deflated, FRAME_HEADER_MAX + (size_t)f.len);
    if (!err)
        append_frame(&l->deflated, &f, data);
    w->scratch.len = 0;
    return err;
}

bool topic_log_has_room(const struct topic_log *l, size_t len, bool deflating)
{
    size_t most = FRAME_HEADER_MAX + len;
    return l->entry_count == 0 ||
           (has_room(&l->plain, most) && (!deflating || has_room(&l->deflated, most * 2)));
}

int topic_log_append(struct worker *w, struct topic_log *l, struct topic_log_spare *spare,
                     const struct topic_log_message *m, const struct deflate_options *deflate)
{
    struct frame f = {.opcode = m->binary ? FRAME_BINARY : FRAME_TEXT, .fin = true, .len = m->len};
    /* All that can fail comes first, since what is in the log goes out. */
    if (reserve_entry(l) < 0 || make_room(spare, &l->plain, FRAME_HEADER_MAX + m->len) < 0)
        return ERR_MEMORY;
    if (deflate && append_deflated(w, l, spare, deflate, f, m->data) < 0)
        return ERR_MEMORY;
    append_frame(&l->plain, &f, m->data);
    add_entry(l, m->except, m->len);
    return 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Can c be sent the shared compressed forms? They refer back no further than their window, or their
 * length. */
static bool takes_deflated(const struct topic_log *l, const struct conn *c,
                           const struct deflate_options *deflate)
{
    if (!c->deflate)
        return false;
    uint32_t bits = ws_output_window_bits(c);
    return bits >= deflate->server_max_window_bits || l->longest <= 1u << bits;
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
        if (outbound_shared(&c->out, c->blocked ? NULL : &w->out, p->block, p->at, len) < 0)
            return ERR_MEMORY;
        conn_dirty(w, c);
    }
    outbound_note_payload(&c->out, p->payload, p->deflated);
    return 0;
}

/* Where entry i ends, of the plain or the compressed forms. */
static uint32_t end_of(const struct topic_log *l, uint32_t i, bool deflated)
{
    return deflated ? l->entries[i].deflated_end : l->entries[i].end;
}

/* The entries from first up to, not including, last. */
static struct part part_of(const struct topic_log *l, uint32_t first, uint32_t last, bool deflated)
{
    return (struct part){
        .block = deflated ? l->deflated.block : l->plain.block,
        .at = first > 0 ? end_of(l, first - 1, deflated) : 0,
        .end = end_of(l, last - 1, deflated),
        .payload =
            l->entries[last - 1].payload_end - (first > 0 ? l->entries[first - 1].payload_end : 0),
        .deflated = deflated,
    };
}

int topic_log_send(struct worker *w, const struct topic_log *l, struct conn *c,
                   const struct deflate_options *deflate)
{
    bool deflated = takes_deflated(l, c, deflate);
    int sent = 0;
    uint32_t first = 0;
    while (first < l->entry_count) {
        uint32_t last = c->excepted ? first : l->entry_count;
        while (last < l->entry_count && l->entries[last].except != c)
            last++;
        if (last > first) {
            struct part part = part_of(l, first, last, deflated);
            int err = queue_part(w, c, &part);
            if (err)
                return err;
            sent += (int)(last - first);
        }
        first = last + 1;
    }
    if (deflated && sent > 0)
        c->deflate->fresh = true; /* its window now holds what our deflater for it never saw */
    return sent;
}

void topic_log_mark_excepted(const struct topic_log *l, bool excepted)
{
    for (uint32_t i = 0; l->excepts && i < l->entry_count; i++)
        if (l->entries[i].except)
            l->entries[i].except->excepted = excepted;
}

/* ---- emptying -------------------------------------------------------------------------------- */

/* What slow readers still have to be sent is held once for all of them. */
static void let_go(struct shared *block, struct memory_account *account, bool ours)
{
    if (!ours && !block->account) {
        shared_charge(block, &account->bytes);
        account->grown += block->len;
    }
    shared_unref(block);
}

static void recycle(struct topic_log_block *l, struct topic_log_spare *spare)
{
    l->used = 0;
    if (!l->block)
        return;
    bool ours = atomic_load_explicit(&l->block->references, memory_order_acquire) == 1;
    if (ours && l->block->len == LOG_BYTES && spare->count < TOPIC_LOG_SPARE)
        spare->blocks[spare->count++] = l->block;
    else
        let_go(l->block, spare->account, ours);
    l->block = NULL;
}

void topic_log_clear(struct topic_log *l, struct topic_log_spare *spare)
{
    recycle(&l->plain, spare);
    recycle(&l->deflated, spare);
    l->entry_count = 0;
    l->longest = 0;
    l->excepts = false;
}

void topic_log_deinit(struct topic_log *l)
{
    shared_unref(l->plain.block);
    shared_unref(l->deflated.block);
    free(l->entries);
}

void topic_log_spare_deinit(struct topic_log_spare *spare)
{
    while (spare->count > 0)
        shared_unref(spare->blocks[--spare->count]);
}
