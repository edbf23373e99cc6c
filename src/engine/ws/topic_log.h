/* The messages of one topic in one turn: each is encoded once, and every subscriber's queue gets
 * the bytes from here, in one piece. */
#pragma once

#include "base/shared.h"
#include "engine/conn/conn.h"

enum { TOPIC_LOG_SPARE = 64 };

/* Emptied blocks of a worker's logs, for the next turns. */
struct topic_log_spare {
    struct memory_account *account; /* of blocks that queues hold longer than a turn */
    struct shared *blocks[TOPIC_LOG_SPARE];
    uint32_t count;
};

/* Frames, one after another. */
struct topic_log_block {
    struct shared *block;
    uint32_t used;
};

/* All zero is empty. */
struct topic_log {
    struct topic_log_block plain;
    struct topic_log_block deflated;
    struct topic_log_entry *entries;
    uint32_t entry_count; /* messages */
    uint32_t entry_cap;
    uint32_t longest; /* payload, uncompressed, of the entries */
    bool excepts;     /* some entry has an exception */
};

struct topic_log_message {
    const uint8_t *data;
    size_t len;
    bool binary;
    struct conn *except; /* a subscriber that is not sent it, or NULL */
};

/* Can a message of this length be appended? A log is one block: one that is full must be sent and
 * cleared first. deflating: its compressed form too. */
bool topic_log_has_room(const struct topic_log *l, size_t len, bool deflating);
/* Appends a message. deflate: how it is compressed, from an empty window, so that it suits every
 * receiver; NULL: nobody wants that form. 0, or ERR_MEMORY: the log is as it was. */
int topic_log_append(struct worker *w, struct topic_log *l, struct topic_log_spare *spare,
                     const struct topic_log_message *m, const struct deflate_options *deflate)
    __attribute__((warn_unused_result));
/* Queues to an open connection all messages but those that except it; c->excepted says whether
 * there are such. deflate: how the compressed forms were made. Returns how many were queued;
 * ERR_MEMORY, or ERR_CLOSED: the connection is dead. */
int topic_log_send(struct worker *w, const struct topic_log *l, struct conn *c,
                   const struct deflate_options *deflate) __attribute__((warn_unused_result));
/* Sets c->excepted of everybody who is not sent all messages. */
void topic_log_mark_excepted(const struct topic_log *l, bool excepted);
/* Empties it; blocks that nobody's queue holds are spared. */
void topic_log_clear(struct topic_log *l, struct topic_log_spare *spare);
/* Frees what it holds. */
void topic_log_deinit(struct topic_log *l);
void topic_log_spare_deinit(struct topic_log_spare *spare);
