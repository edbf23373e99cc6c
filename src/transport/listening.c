/* The reasons for which a socket does not listen. */
#include "transport/listening.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int listening_fail(char why[LISTENING_WHY_BYTES], int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, LISTENING_WHY_BYTES, format, arguments);
    va_end(arguments);
    return code;
}

const char *listening_errno_text(int number)
{
    const char *text = strerrordesc_np(number);
    return text ? text : "unknown error";
}
