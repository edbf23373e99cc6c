/* What the end of a turn does with connections that have waited for it. */
#include "engine/conn/conn_turn.h"

#include <string.h>

#include "engine/conn/conn.h"
#include "engine/ground/admission.h"

void conn_resume_all(struct worker *w)
{
    uint32_t count = w->resume_count; /* those that are added meanwhile come after the next batch */
    for (uint32_t i = 0; i < count; i++) {
        struct conn *c = w->resume[i];
        const struct conn_role *role = conn_role(w, c);
        c->resuming = false;
        if (role->resume)
            role->resume(w, c);
    }
    w->resume_count -= count;
    if (w->resume_count > 0)
        memmove(w->resume, w->resume + count, w->resume_count * sizeof(*w->resume));
}

/* Every role is asked once: states that share one are neighbours. */
static void free_roles(struct worker *w, struct conn *c)
{
    const struct conn_role *last = NULL;
    for (unsigned state = 0; state < CONN_STATES; state++) {
        const struct conn_role *role = w->roles[state];
        if (role != last && role->free)
            role->free(w, c);
        last = role;
    }
}

void conn_free_dead(struct worker *w)
{
    while (w->dead) {
        struct conn *c = w->dead;
        w->dead = c->next;
        free_roles(w, c);
        if (c->admitted)
            admission_release(w->admission, &c->peer);
        atomic_fetch_sub_explicit(&w->conn_count, 1, memory_order_relaxed);
        conn_slot_give(w, c);
    }
}
