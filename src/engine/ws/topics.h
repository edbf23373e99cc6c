/* Topics of one worker, and messages to their subscribers. A message is encoded once, into the log
 * of its topic; before the loop sleeps each subscriber is sent its part of the log in one piece. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/shared.h"
#include "engine/conn/conn.h"

struct topic;

enum {
    TOPICS_SPARE = 64,
    /* How many audiences a worker remembers of topics to which it only publishes, and how many
     * bytes of their names, unless it is one audience. Beyond that it forgets them all and asks
     * again. */
    TOPICS_STRANGERS = 256,
    TOPICS_STRANGER_BYTES = 64 * 1024
};

struct topics {
    struct map by_name;
    struct topic *dirty; /* those with a log, in the order of their first message */
    struct topic *dirty_tail;
    struct shared *spare[TOPICS_SPARE]; /* emptied log blocks, for the next turns */
    uint32_t spare_count;
    uint32_t multi;        /* connections with more than one subscription */
    struct map strangers;  /* audiences of topics without subscribers here, held, by name */
    size_t stranger_bytes; /* of their names */
};

/* NULL: out of memory. */
struct topics *topics_new(void) __attribute__((warn_unused_result));
/* Frees w->topics, when no connection is left. */
void topics_free(struct worker *w);

/* 1 done, 0 was so already; ERR_LIMIT (subscriptions), ERR_MEMORY, or ERR_CLOSED. */
int topics_subscribe(struct worker *w, struct conn *c, const char *name, size_t len)
    __attribute__((warn_unused_result));
int topics_unsubscribe(struct worker *w, struct conn *c, const char *name, size_t len)
    __attribute__((warn_unused_result));
/* What was published before is still queued to c. */
void topics_unsubscribe_all(struct worker *w, struct conn *c);
uint32_t topics_subscribers(const struct worker *w, const char *name, size_t len);

/* To this worker's subscribers but except (NULL: to all), and through their mailboxes to the other
 * workers that have some. A text is UTF-8. 0 or ERR_MEMORY. */
int topics_publish(struct worker *w, struct conn *except, const char *name, size_t name_len,
                   const uint8_t *data, size_t len, bool binary)
    __attribute__((warn_unused_result));
/* A letter that publishes a message to the subscribers of the worker that reads it. It takes a
 * reference to the message. NULL when out of memory. Any thread may call it. */
struct letter *topics_letter(const char *name, size_t name_len, struct shared *message, bool binary)
    __attribute__((warn_unused_result));
/* Takes over the options for compression of a site that serves from now on. */
void topics_follow(struct worker *w);
/* Queues the logs to their subscribers. It is called before the loop sleeps, and before anything
 * that must come after what was published: a direct send to a subscriber, a subscription. */
void topics_hand_out(struct worker *w);
