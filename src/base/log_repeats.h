/* Failures that come again and again: the first of a place is written whole, and those that follow
 * within a second are counted. Pure: the caller brings the time and writes the lines. All zero is
 * ready. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOG_REPEATS_PLACES = 32, /* that are known at a time; failures of others are all written */
    LOG_REPEATS_MS = 1000,
    LOG_REPEATS_TEXT_BYTES = 200
};

struct log_repeat {
    bool used;
    uint32_t place; /* a hash */
    uint32_t more;  /* failures that were counted, and not written */
    uint64_t until_ms;
    char text[LOG_REPEATS_TEXT_BYTES]; /* the first line of the first one, cut */
};

struct log_repeats {
    struct log_repeat places[LOG_REPEATS_PLACES];
};

/* A failure at a place (any bytes that name it). True: write it. False: it was counted, and
 * log_repeats_over tells of it. The place is taken from its first failure until log_repeats_over
 * has freed it. */
bool log_repeats_take(struct log_repeats *r, const char *place, size_t place_len, const char *text,
                      size_t len, uint64_t now_ms) __attribute__((warn_unused_result));

/* May a failure at a place that is not known yet be counted when it comes again? */
bool log_repeats_have_room(const struct log_repeats *r);

/* Frees one place whose time is over, and copies it to *out. False: there is none. To end early,
 * give UINT64_MAX as the time. */
bool log_repeats_over(struct log_repeats *r, uint64_t now_ms, struct log_repeat *out)
    __attribute__((warn_unused_result));
