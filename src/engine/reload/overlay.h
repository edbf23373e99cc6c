/* The dev overlay, in watch mode: pages of mw.static end with a script
 * (lua/moonwire/app/overlay.js), which opens a WebSocket and is told there how the last reload
 * ended, which hooks fail, and when a file in a folder of mw.static changes.
 *
 * The script and the WebSocket are routes like others (lua/moonwire/app/overlay.lua), in every
 * generation that has mw.static, so the connections survive a reload. They are told one state, as
 * JSON:
 *   {"process":"…","serial":7,"attempt":2,"changes":4,"styles":true,"failure":"…" or null}
 * serial counts the states, attempt the reloads, changes those of the folders; styles: the last
 * change was of style sheets only. When a hook has failed they get {"fault":"…","more":3}: "more"
 * counts the faults that were left out since the last one that was told.
 *
 * It tells what only the developer should know, so only peers on this machine have it, unless
 * --overlay says otherwise (http/http_host.h). */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/reload/reload.h"
#include "engine/reload/watch_tree.h"

enum {
    OVERLAY_FAULT_BYTES = 8192,      /* of the text of one fault; the rest is cut off */
    OVERLAY_FAULT_PAUSE_US = 250000, /* between two faults that pages are told of */
    OVERLAY_PROCESS_BYTES = 40
};

struct conn;
struct server;
struct worker;

struct overlay_options {
    bool for_all; /* it is for peers on other machines, too */
    /* Where the command line says to listen, in place of the app: requests may name these hosts.
     * They must outlive the workers. */
    const struct site_listener *listeners;
    size_t listener_count;
};

struct overlay {
    struct server *server;
    bool for_all;
    bool warned;                         /* that a listener can be reached from elsewhere */
    char process[OVERLAY_PROCESS_BYTES]; /* identifies this process among all that served */
    struct reload_observer observer;
    struct watch_tree tree;
    bool returned; /* a folder of mw.static came back, and the app is not loaded again yet */

    pthread_mutex_t lock; /* for all fields below */
    uint32_t serial;
    uint32_t attempt;
    uint32_t changes;
    bool styles;
    struct buffer failure; /* of the last reload; empty: it succeeded */
    struct buffer state;   /* as JSON */
    uint64_t fault_us;     /* when pages were last told of a fault */
    uint32_t faults_left;  /* faults since then, which they were not told of */
};

/* ---- in the main thread ---- */

/* Before the app is loaded, since its generations ask for s->overlay. Sets watched in the workers.
 * 0 or ERR_MEMORY. */
int overlay_init(struct overlay *o, struct server *s, const struct overlay_options *options)
    __attribute__((warn_unused_result));
/* Begins to watch. To be called when the app is loaded and r can load it again. */
void overlay_start(struct overlay *o, struct reload *r);
/* After the workers' threads have ended and before reload_deinit. Does nothing when overlay_init
 * was not called. */
void overlay_deinit(struct overlay *o);

/* ---- in a worker's thread; both do nothing without an overlay ---- */

/* From now on c, a WebSocket of a page, is told the state and every change. */
void overlay_join(struct worker *w, struct conn *c);
/* Tells the pages that a hook has failed, unless they were told of another fault just now. */
void overlay_fault(struct worker *w, const char *text, size_t len);
