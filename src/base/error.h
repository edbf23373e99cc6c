/* The one enum of errors. A function that can fail returns one of these, which are all negative, or
 * 0 or a count on success. */
#pragma once

enum error {
    ERR_MEMORY = -1,     /* an allocation failed */
    ERR_PROTOCOL = -2,   /* the peer broke RFC 6455 or RFC 9112: close code 1002, status 400 */
    ERR_UTF8 = -3,       /* text that is not UTF-8: close code 1007 */
    ERR_TOO_BIG = -4,    /* over a size limit: close code 1009, status 413 */
    ERR_AGAIN = -5,      /* the socket would block */
    ERR_CLOSED = -6,     /* the peer or we closed it; a stale handle */
    ERR_IO = -7,         /* the system refused; errno says why */
    ERR_INVALID = -8,    /* an argument from a script or a configuration is not usable */
    ERR_LIMIT = -9,      /* over a limit other than a size */
    ERR_NOT_FOUND = -10, /* no such thing */
    ERR_IN_USE = -11     /* somebody has it already */
};

/* A short static English text for a code ("out of memory"); never NULL. */
const char *error_text(int code);
