/* The fields of a log line as people read them: name=value. */
#pragma once

#include <stddef.h>

#include "base/buffer.h"

/* Appends JSON members without the braces around them ("\"room\":\"a b\",\"users\":3") as
 * room="a b" users=3. A string of letters, digits and - _ . / : + @ loses its quotes unless it
 * could be taken for another value (true, null, a number). Other values stay JSON, with what may
 * not stand in a line escaped as escape_invalid does. 0 or ERR_MEMORY. */
int log_fields_text(struct buffer *out, const char *members, size_t len)
    __attribute__((warn_unused_result));
