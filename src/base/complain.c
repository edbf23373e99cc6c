/* Writes what ends the process. */
#include "base/complain.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

void complain(const struct log *log, const char *why)
{
    if (log->json) {
        const struct log whole = {.fd = log->fd, .json = true, .sink = log->sink};
        log_write(&whole, LOG_ERROR, "%s", why);
        return;
    }
    bool lines = isatty(STDERR_FILENO);
    fputs("moonwire: ", stderr);
    for (; *why; why++)
        fputc((unsigned char)*why < ' ' && !(lines && *why == '\n') ? ' ' : *why, stderr);
    fputc('\n', stderr);
}
