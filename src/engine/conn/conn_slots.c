/* Slots of connections: blocks that grow, handles that go stale, deadlines side by side. */
#include "engine/conn/conn_slots.h"

#include <assert.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>

#include "base/error.h"
#include "engine/worker/worker.h"

enum {
    SLOT_BITS = 20,
    GENERATION_BITS = 25,
    SLOTS_MAX = 1 << SLOT_BITS,
};

/* The fields of a free slot that stay valid lie behind this part of it: under AddressSanitizer the
 * rest is poisoned, as freed memory would be. */
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

static int grow(struct worker *w)
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

int conn_slot_take(struct worker *w, struct conn **out)
{
    int err = w->free_conns ? 0 : grow(w);
    if (err)
        return err;
    struct conn *c = w->free_conns;
    uint32_t slot = c->slot;
    uint32_t generation = c->generation;
    assert(!c->taken);
    w->free_conns = c->next;
    ASAN_UNPOISON_MEMORY_REGION(c, FREED_BYTES);
    *c = (struct conn){.slot = slot, .generation = generation, .taken = true};
    *out = c;
    return 0;
}

void conn_slot_give(struct worker *w, struct conn *c)
{
    assert(c->taken);
    c->generation = (c->generation + 1) & ((1u << GENERATION_BITS) - 1);
    if (c->generation == 0)
        c->generation = 1;
    c->taken = false;
    c->next = w->free_conns;
    w->free_conns = c;
    ASAN_POISON_MEMORY_REGION(c, FREED_BYTES);
}

void conn_slots_deinit(struct worker *w)
{
    for (uint32_t i = 0; i < w->slot_cap / CONN_BLOCK; i++)
        free(w->blocks[i]);
    free(w->blocks);
    w->blocks = NULL;
    w->free_conns = NULL;
    w->slot_cap = 0;
}

/* ---- by slot and by handle ------------------------------------------------------------------- */

static struct conn *slot_at(const struct worker *w, uint32_t slot)
{
    return &w->blocks[slot / CONN_BLOCK]->conns[slot % CONN_BLOCK];
}

struct conn *conn_at(const struct worker *w, uint32_t slot)
{
    struct conn *c = slot_at(w, slot);
    return c->taken ? c : NULL;
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

uint32_t *conn_deadline_at(const struct worker *w, uint32_t slot)
{
    return &w->blocks[slot / CONN_BLOCK]->deadlines[slot % CONN_BLOCK];
}
