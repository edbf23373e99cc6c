/* How long a reload holds up the events of a worker. */
#include "engine/run/pauses.h"

const char *pause_name(enum pause_kind kind)
{
    static const char *const names[] = {
        [PAUSE_PREPARE] = "prepare", [PAUSE_COMMIT] = "commit", [PAUSE_ON_RELOAD] = "on_reload",
        [PAUSE_CLOSE] = "close",     [PAUSE_SEARCH] = "search", [PAUSE_COLLECT] = "collect",
    };
    return names[kind];
}

void pauses_begin(struct pause_clock *p, struct pause now)
{
    p->began = now;
}

/* Adds a step to those of the same turn. */
static void add_to_turn(struct pause_clock *p, enum pause_kind kind, uint32_t turn,
                        struct pause step)
{
    if (p->turn_number != turn) {
        p->turn_number = turn;
        p->turn = (struct pause){0};
        p->most_us = 0;
    }
    p->turn.us += step.us;
    p->turn.cpu_us += step.cpu_us;
    if (step.us >= p->most_us) {
        p->most_us = step.us;
        p->most = kind;
    }
}

static void note_turn(struct pauses *of, const struct pause_clock *p)
{
    if (p->turn.us >= of->longest.us) {
        of->longest.us = p->turn.us;
        of->kind = p->most;
    }
    if (p->turn.cpu_us > of->longest.cpu_us)
        of->longest.cpu_us = p->turn.cpu_us;
}

void pauses_end(struct pause_clock *p, enum pause_kind kind, uint32_t turn, struct pause now)
{
    const struct pause step = {now.us - p->began.us, now.cpu_us - p->began.cpu_us};
    add_to_turn(p, kind, turn, step);
    if (kind == PAUSE_PREPARE) {
        p->next = (struct pauses){0};
        note_turn(&p->next, p);
        return;
    }
    if (kind == PAUSE_COMMIT) {
        p->serving = p->next;
        p->serving.known = true;
        p->serving.commit = step;
    }
    note_turn(&p->serving, p);
}
