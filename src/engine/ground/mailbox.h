/* Letters between threads: a locked list for each worker, and one wake-up of its loop. A letter
 * carries the function that reads it, so that a new kind of letter is known to its sender only. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct worker;

/* The first member of each sender's own letter. */
struct letter {
    struct letter *next;
    /* Called once, in the thread of the worker that it was posted to. drop follows. */
    void (*read)(struct worker *w, struct letter *l);
    /* Frees the letter and everything that it still owns, read or not. From any thread. */
    void (*drop)(struct letter *l);
    uint32_t bytes; /* that it counts for; 0 of those that mailbox_post posts */
};

/* A letter that says nothing but what its reader does. NULL: out of memory. */
struct letter *letter_new(void (*read)(struct worker *w, struct letter *l))
    __attribute__((warn_unused_result));

struct mailbox {
    pthread_mutex_t lock;
    struct letter *head;
    struct letter *tail;
    ev_async wake;
    struct ev_loop *loop;   /* NULL: not initialised */
    _Atomic uint64_t bytes; /* of letters that were offered and are not dropped yet */
};

/* The mailboxes of all workers, by index. */
struct mailboxes {
    struct mailbox **list;
    uint32_t count;
};

/* Starts m->wake; the reader gives it its callback (ev_set_cb) before the loop runs. Returns 0 or
 * ERR_MEMORY. */
int mailbox_init(struct mailbox *m, struct ev_loop *loop) __attribute__((warn_unused_result));
/* Stops m->wake and drops the letters that nobody has read. m may be all zero. */
void mailbox_deinit(struct mailbox *m);
/* From any thread. The letter belongs to the mailbox from now on. It is one that may not be lost.
 */
void mailbox_post(struct mailbox *m, struct letter *l);
/* The same for one of many, which counts for so many bytes. 0, or ERR_LIMIT: more than `most` bytes
 * would wait for the reader, and the letter is still the caller's. One alone always fits. */
int mailbox_offer(struct mailbox *m, struct letter *l, uint32_t bytes, uint64_t most)
    __attribute__((warn_unused_result));
/* From any thread: the bytes of offered letters that wait, or are being read. */
uint64_t mailbox_held(const struct mailbox *m);
/* Reads and drops all letters that are there, oldest first. In the worker's thread. */
void mailbox_read(struct mailbox *m, struct worker *w);
