/* A place for lines of the log, which nobody who logs ever waits for. Lines that the file
 * descriptor does not take at once are queued, and a thread writes them that exists as long as
 * there are any. Lines that do not fit into the queue are dropped and counted. Any thread may use a
 * sink. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOG_QUEUED_BYTES = 1 << 20, /* lines that wait; further ones are dropped, but one always fits */
    LOG_END_MS = 1000           /* how long the end of the process waits for them */
};

struct log_sink;

/* Makes a sink for the descriptor fd, which stays the caller's. It is not made non-blocking, since
 * other processes may share its open file description. 0 or ERR_MEMORY. */
int log_sink_new(struct log_sink **out, int fd) __attribute__((warn_unused_result));

/* Takes a whole line with its newline. Lines keep the order of the calls. False when the line is
 * dropped and counted. */
bool log_sink_put(struct log_sink *s, const uint8_t *line, size_t len);

/* How many lines were dropped in all. */
uint64_t log_sink_dropped(const struct log_sink *s);

/* Returns how many dropped lines nobody has claimed, and claims them: the caller tells of them in
 * the next line. */
uint64_t log_sink_claim(struct log_sink *s);

/* Gives claimed lines back that could not be told of after all. */
void log_sink_unclaim(struct log_sink *s, uint64_t lines);

/* Waits until nothing is queued, ms at most. False when something still is. */
bool log_sink_flush(struct log_sink *s, unsigned ms);

/* Ends the thread and frees the sink; lines that are still queued are lost. s may be NULL. No other
 * thread may use the sink any more. */
void log_sink_free(struct log_sink *s);
