/* How many log lines peers may cause in a second. */
#include "base/log_budget.h"

bool log_budget_take(struct log_budget *b, uint32_t second, enum log_level level,
                     struct log_left_out *before)
{
    *before = (struct log_left_out){0};
    if (second != b->second) {
        if (b->lines > LOG_BUDGET_LINES)
            *before = (struct log_left_out){b->lines - LOG_BUDGET_LINES, b->highest};
        *b = (struct log_budget){.second = second};
    }
    if (++b->lines <= LOG_BUDGET_LINES)
        return true;
    if (level > b->highest)
        b->highest = level;
    return false;
}
