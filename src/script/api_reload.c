/* Lua takes part in a reload and in the dev overlay. */
#include "script/api_reload.h"

#include "base/error.h"
#include "engine/conn/conn.h"
#include "engine/conn/conn_slots.h"
#include "engine/ground/site.h"
#include "engine/reload/overlay.h"
#include "engine/reload/reload.h"
#include "engine/reload/sources.h"
#include "engine/run/handover.h"
#include "engine/server/server.h"
#include "engine/worker/worker.h"
#include "engine/ws/ws_request.h"
#include "script/loading.h"

/* ---- generations ----------------------------------------------------------------------------- */

void mw_reload(struct worker *w)
{
    if (w->server->reload)
        reload_request(w->server->reload, "mw.reload");
}

void mw_rollback(struct worker *w)
{
    if (w->server->reload)
        reload_rollback(w->server->reload, "mw.rollback");
}

int mw_generation(struct worker *w)
{
    return (int)w->site->generation;
}

int mw_opened_in(struct worker *w, double conn)
{
    const struct conn *c = conn_get(w, conn);
    return c && c->request ? (int)c->request->common->generation : ERR_CLOSED;
}

double mw_next_open(struct worker *w, uint32_t *slot, uint32_t *generation)
{
    while (*slot < w->slot_cap) {
        const struct conn *c = conn_at(w, (*slot)++);
        if (c && c->request && !c->client && (c->state == CONN_OPEN || c->state == CONN_CLOSING)) {
            *generation = c->request->common->generation;
            return conn_handle(w, c);
        }
    }
    return 0;
}

int mw_route_was(struct worker *w, uint32_t i)
{
    const struct site *s = w->site;
    if (i >= s->route_count)
        return ERR_NOT_FOUND;
    return i < s->declared_count ? ERR_INVALID : (int)s->routes[i].was;
}

/* ---- while the app is prepared --------------------------------------------------------------- */

const char *mw_source_text(struct worker *w, const char *path, size_t *len)
{
    const struct sources *s = w->sources;
    const struct source *source = s ? sources_find(s, path) : NULL;
    if (!source)
        return NULL;
    *len = source->text.len;
    return source->text.len > 0 ? (const char *)source->text.data : "";
}

/* ---- during the commit ----------------------------------------------------------------------- */

const char *mw_taken_back(struct worker *w)
{
    const struct reload_facts *facts = script_facts(w->script);
    return facts ? facts->taken_back : NULL;
}

bool mw_failed_probation(struct worker *w)
{
    const struct reload_facts *facts = script_facts(w->script);
    return facts && facts->failed_probation;
}

/* ---- after it -------------------------------------------------------------------------------- */

void mw_search_begin(struct worker *w)
{
    handover_piece_begin(w);
}

void mw_search_end(struct worker *w)
{
    handover_piece_end(w, PAUSE_SEARCH);
}

bool mw_search_is_over(struct worker *w)
{
    return handover_slice_over(w);
}

const char *mw_pauses(struct worker *w, struct reload_pauses *out)
{
    const struct pauses *p = &w->handover->pauses.serving;
    if (!p->known)
        return NULL;
    *out = (struct reload_pauses){
        (double)p->longest.us / 1000,
        (double)p->longest.cpu_us / 1000,
        (double)p->commit.us / 1000,
        (double)p->commit.cpu_us / 1000,
    };
    return pause_name(p->kind);
}

/* ---- the dev overlay ------------------------------------------------------------------------- */

const char *mw_overlay_path(int script)
{
    return script ? SITE_OVERLAY_SCRIPT : SITE_OVERLAY_SOCKET;
}

int mw_overlay_wanted(struct worker *w, const struct site *s)
{
    return w->server->overlay && site_has_static(s);
}

void mw_overlay_join(struct worker *w, double conn)
{
    struct conn *c = conn_get(w, conn);
    if (c)
        overlay_join(w, c);
}

void mw_overlay_fault(struct worker *w, const char *text, size_t len)
{
    overlay_fault(w, text, len);
}
