/* What other threads tell a worker: a locked list and one wake-up. */
#pragma once

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/shared.h"
#include "transport/tcp.h"

enum letter_kind {
    LETTER_CONNECTION, /* an accepted socket: fd, peer, listener; for listener_adopt */
    LETTER_PUBLISH,    /* topic, message, binary */
    LETTER_PREPARE,    /* number: load the app, and answer the reload of this number */
    LETTER_RESTORE,    /* number: the same with the generation before, which is not loaded again */
    LETTER_COMMIT,     /* number: the generation; what was prepared serves from now on */
    LETTER_ABANDON,    /* forget what was prepared */
    LETTER_LISTEN,     /* listener: begin to accept */
    LETTER_UNLISTEN,   /* listener: accept no more */
    LETTER_DESCRIBE,   /* answer the control socket */
    LETTER_RESOLVED,   /* answer: the addresses of a name that a connection asked for */
    LETTER_DRAIN,      /* stop: close all connections, paced */
    LETTER_STOP        /* end the loop now */
};

struct resolver_answer;

struct letter {
    struct letter *next;
    enum letter_kind kind;
    int fd;
    struct address peer;
    struct listener *listener; /* a reference */
    uint32_t number;
    struct shared *message; /* a reference that goes to the reader */
    bool binary;
    struct resolver_answer *answer; /* owned */
    uint32_t topic_len;
    char topic[];
};

struct mailbox {
    pthread_mutex_t lock;
    struct letter *head;
    struct letter *tail;
    ev_async wake;
    struct ev_loop *loop;
};

/* Starts wake; the reader gives it its callback (ev_set_cb) before the loop runs. 0 or ERR_MEMORY. */
int mailbox_init(struct mailbox *m, struct ev_loop *loop) __attribute__((warn_unused_result));
/* Stops wake. Frees unread letters too. */
void mailbox_deinit(struct mailbox *m);
/* A zeroed letter with the topic (of any length), or NULL when out of memory. */
struct letter *letter_new(enum letter_kind kind, const char *topic, size_t topic_len);
/* With its socket, if it still has one (fd >= 0), and its reference to the message. */
void letter_free(struct letter *l);
/* From any thread; the letter belongs to the mailbox. */
void mailbox_post(struct mailbox *m, struct letter *l);
/* Takes all letters, oldest first. The reader frees each with letter_free. */
struct letter *mailbox_take(struct mailbox *m);
