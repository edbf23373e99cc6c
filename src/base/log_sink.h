/* Where log lines go, so that nobody who logs ever waits for who reads: lines that the file descriptor
 * does not take at once are queued, a thread that exists as long as there are any writes them, and what
 * does not fit into the queue is dropped and counted. Any thread may use one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOG_QUEUED_BYTES =
        1 << 20,      /* of lines that wait; beyond it they are dropped. One always fits */
    LOG_END_MS = 1000 /* at the end of the process, for what is queued still */
};

struct log_sink;

/* For the descriptor fd, which stays the caller's and as it is: other processes may share what it means,
 * so it is not made non-blocking. 0, or ERR_MEMORY. */
int log_sink_new(struct log_sink **out, int fd) __attribute__((warn_unused_result));

/* Takes a whole line, with its newline, in the order of the calls. false: it is dropped, and counted. */
bool log_sink_put(struct log_sink *s, const uint8_t *line, size_t len);

/* How many lines were dropped in all. */
uint64_t log_sink_dropped(const struct log_sink *s);
/* How many of them nobody has claimed yet, who claims them now: to tell of them in the next line. */
uint64_t log_sink_claim(struct log_sink *s);
/* So many could not be told of after all. */
void log_sink_unclaim(struct log_sink *s, uint64_t lines);

/* Waits until nothing is queued, ms at most. 0, or ERR_AGAIN: something is. */
int log_sink_flush(struct log_sink *s, unsigned ms);

/* Ends the thread and frees; what is queued still is lost. NULL is allowed. No other thread uses it any
 * more. */
void log_sink_free(struct log_sink *s);
