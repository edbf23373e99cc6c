/* Holds the texts of the error codes. */
#include "base/error.h"

const char *error_text(int code)
{
    if (code >= 0)
        return "no error";
    switch ((enum error)code) {
    case ERR_MEMORY:
        return "out of memory";
    case ERR_PROTOCOL:
        return "the peer broke the protocol";
    case ERR_UTF8:
        return "text that is not UTF-8";
    case ERR_TOO_BIG:
        return "too big";
    case ERR_AGAIN:
        return "would block";
    case ERR_CLOSED:
        return "closed";
    case ERR_IO:
        return "the system refused";
    case ERR_INVALID:
        return "invalid argument";
    case ERR_LIMIT:
        return "over a limit";
    case ERR_IN_USE:
        return "somebody has it already";
    case ERR_NOT_FOUND:
        return "not found";
    }
    return "unknown error";
}
