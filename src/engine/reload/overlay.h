/* The dev overlay, in watch mode: pages of mw.static end with a script (lua/moonwire/app/overlay.js), which
 * opens a WebSocket and is told there what became of the last reload, which hooks fail, and when a file
 * in a folder of mw.static changes.
 *
 * The script and the WebSocket are routes like others (lua/moonwire/app/overlay.lua), in every generation
 * that has mw.static: so the connections survive a reload. What they are told is one state, as JSON:
 *   {"process":"…","serial":7,"attempt":2,"changes":4,"styles":true,"failure":"…" or null}
 * serial counts the states, attempt the reloads, changes those of the folders; styles: the last change
 * was of style sheets only. And, when a hook has failed: {"fault":"…","more":3}, more of which were not
 * told of since the last one. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/reload/reload.h"
#include "engine/reload/watch_tree.h"

#define OVERLAY_SOCKET "/.moonwire/overlay"
#define OVERLAY_SCRIPT OVERLAY_SOCKET ".js"

enum {
    OVERLAY_FAULT_BYTES = 8192,      /* of the text of one fault; the rest is cut off */
    OVERLAY_FAULT_PAUSE_US = 250000, /* between two that pages are told of */
    OVERLAY_PROCESS_BYTES = 40
};

struct conn;
struct server;
struct worker;

struct overlay {
    struct server *server;
    char process[OVERLAY_PROCESS_BYTES]; /* which one this is */
    struct reload_observer observer;
    struct watch_tree tree;
    bool returned; /* a folder of mw.static has, and the app is not loaded again yet */

    pthread_mutex_t lock; /* for what follows */
    uint32_t serial;
    uint32_t attempt;
    uint32_t changes;
    bool styles;
    bool has_failure;
    struct buffer failure; /* as the inside of a JSON string */
    struct buffer state;
    uint64_t fault_us;    /* the last one that was told */
    uint32_t faults_left; /* out since then */
};

/* Before the app is loaded, whose generations ask for it (s->overlay). 0 or ERR_MEMORY. */
int overlay_init(struct overlay *o, struct server *s) __attribute__((warn_unused_result));
/* When it is loaded, and r can load it again: begins to watch. The main thread's loop. */
void overlay_start(struct overlay *o, struct reload *r);
/* When the workers' threads have ended, before reload_deinit. Allowed when overlay_init was not called. */
void overlay_deinit(struct overlay *o);

/* The rest in a worker's thread. c hears of the state, and of what follows. */
void overlay_join(struct worker *w, struct conn *c);
/* A hook has failed. Nothing happens without an overlay. */
void overlay_fault(struct worker *w, const char *text, size_t len);
