/* A bound on the log lines that peers cause: so many a second, and later one line that tells how
 * many were left out. Pure: the caller brings the time and writes the lines. All zero is ready. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

enum { LOG_BUDGET_LINES = 20 }; /* in one second */

struct log_budget {
    uint32_t second;
    uint32_t lines;         /* asked for in this second */
    enum log_level highest; /* of those that were left out in it */
};

struct log_left_out {
    uint32_t lines;
    enum log_level level; /* the highest of theirs; valid when lines is not 0 */
};

/* Asks for one line of this level, which the log must want (log_wants): a line that is not written
 * anyway uses nothing up. True: write it. *before is what was left out in the second of the last
 * call, when that is over: to be told first, once, at its level. */
bool log_budget_take(struct log_budget *b, uint32_t second, enum log_level level,
                     struct log_left_out *before) __attribute__((warn_unused_result));
