/* One attempt to load or roll back, from the reading of the files to the commit in all workers or
 * to its failure. One runs at a time. The main thread's. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/reload/reload_files.h"
#include "engine/reload/reload_requests.h"
#include "engine/reload/reload_round.h"
#include "engine/server/server_listen.h"

struct reload_options {
    const char *app;      /* its name, for people */
    bool fixed_listeners; /* the command line's serve: the app's are not opened */
    bool at_desk;         /* somebody tries code: what fails its probation is not taken back */
    /* Compiles one file (see sources_begin); NULL: the workers parse all files themselves. */
    int (*compile)(const char *path, const struct buffer *text, struct buffer *code,
                   struct buffer *problem);
};

enum reload_phase { RELOAD_IDLE, RELOAD_READING, RELOAD_PREPARING, RELOAD_COMMITTING };

struct reload_attempt {
    struct server *server;
    struct reload_options options;
    struct reload_requests *requests;
    struct reload_files *files;
    struct reload_round *round;
    ev_timer overdue; /* for the workers' answers */
    struct listen_plan listeners;

    enum reload_phase phase;
    enum reload_kind kind;
    struct reload_wish wish;
    uint32_t number;
    char rollback_why[RELOAD_WHY_BYTES + RELOAD_TRACE_BYTES]; /* RELOAD_BACK: why it is wanted */
    uint32_t rereads;  /* attempts in a row whose files had changed since they were read */
    uint64_t ended_us; /* when the last attempt ended */
    char brief[128];   /* for a terminal: what a good end is in few words; or "" */

    /* Code keeps the number of the generation as which it was loaded. A rollback gives a new number
     * to the generation that serves again. */
    uint32_t loaded_as; /* what serves */
    uint32_t back_to;   /* what a rollback brings back; 0: nothing */

    /* The attempt, whose kind and wish are still there, has ended; text: what the log is to say.
     * Not called for one that is abandoned. */
    void (*ended)(struct reload_attempt *a, bool ok, const char *text);
};

/* The pointers must outlive the attempt; options->app too. */
void reload_attempt_init(struct reload_attempt *a, struct server *s,
                         const struct reload_options *options, struct reload_requests *requests,
                         struct reload_files *files, struct reload_round *round,
                         void (*ended)(struct reload_attempt *a, bool ok, const char *text));
void reload_attempt_deinit(struct reload_attempt *a);

/* Begins the attempt of this kind, for this wish; a->phase is RELOAD_IDLE. */
void reload_attempt_begin(struct reload_attempt *a, enum reload_kind kind,
                          const struct reload_wish *wish);
/* Goes on, if what it waits for has come. */
void reload_attempt_step(struct reload_attempt *a);
/* Is it a reload that the workers do not take up yet? */
bool reload_attempt_is_loading(const struct reload_attempt *a);
/* Ends it without a word. What the workers have prepared is forgotten. */
void reload_attempt_abandon(struct reload_attempt *a);
