/* Adds up what a connection holds, in units of PIECE_UNIT. */
#include "engine/conn/conn_account.h"

#include "engine/conn/conn_role.h"

static uint32_t units_of(size_t bytes)
{
    return (uint32_t)((bytes + PIECE_UNIT - 1) / PIECE_UNIT);
}

static uint32_t holds(const struct worker *w, const struct conn *c)
{
    const struct conn_role *role = w->roles[c->state];
    size_t bytes = role->held ? role->held(c) : 0;
    return c->out.units + units_of(bytes + transport_memory(&c->transport));
}

static void set_held(struct worker *w, struct conn *c, uint32_t held)
{
    if (held > c->held)
        memory_grow(&w->memory, (uint64_t)(held - c->held) * PIECE_UNIT,
                    (uint64_t)held * PIECE_UNIT);
    else
        memory_take(&w->memory, (uint64_t)(c->held - held) * PIECE_UNIT);
    c->held = held;
}

void conn_account(struct worker *w, struct conn *c)
{
    uint32_t held = holds(w, c);
    if (held != c->held)
        set_held(w, c, held);
}
