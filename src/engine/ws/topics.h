/* Topics of one worker and their subscribers. What was published in a turn lies in each topic's
 * log; before the loop sleeps it is handed out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "engine/conn/conn.h"
#include "engine/ws/audience.h"
#include "engine/ws/topic_log.h"

struct topic;

struct topics {
    struct map by_name;
    struct topic *dirty; /* those with a log, in the order of their first message */
    struct topic *dirty_tail;
    struct topic_log_spare spare;
    uint32_t multi;                  /* connections with more than one subscription */
    struct audience_cache strangers; /* of topics without subscribers here */
};

/* account: of the worker. NULL: out of memory. */
struct topics *topics_new(struct memory_account *account) __attribute__((warn_unused_result));
/* Frees w->topics, when no connection is left. */
void topics_free(struct worker *w);

/* 1 done, 0 was so already; ERR_LIMIT (subscriptions), ERR_TOO_BIG (topic_bytes), ERR_IN_USE (all
 * places that the limit topics has in this worker are), ERR_MEMORY, or ERR_CLOSED. */
int topics_subscribe(struct worker *w, struct conn *c, const char *name, size_t len)
    __attribute__((warn_unused_result));
int topics_unsubscribe(struct worker *w, struct conn *c, const char *name, size_t len)
    __attribute__((warn_unused_result));
/* What was published before is still queued to c. */
void topics_unsubscribe_all(struct worker *w, struct conn *c);
uint32_t topics_subscribers(const struct worker *w, const char *name, size_t len);

/* Takes over the options for compression of a site that serves from now on. */
void topics_follow(struct worker *w);
/* Queues the logs to their subscribers. It is called before the loop sleeps, and before anything
 * that must come after what was published: a direct send to a subscriber, a subscription. */
void topics_hand_out(struct worker *w);

/* ---- for publish.c ---- */

/* The topic, with room in its log for a message of this length, whose turn in the order of all
 * topics it is; NULL: nobody subscribes here. */
struct topic *topics_ready(struct worker *w, const char *name, size_t name_len, size_t len);
/* Puts a message into its log; t may be NULL. 0 or ERR_MEMORY. */
int topics_append(struct worker *w, struct topic *t, const struct topic_log_message *m)
    __attribute__((warn_unused_result));
/* The audience of t, or of the topic of this name when t is NULL. NULL: out of memory. */
struct audience *topics_audience(struct worker *w, const struct topic *t, const char *name,
                                 size_t name_len) __attribute__((warn_unused_result));
