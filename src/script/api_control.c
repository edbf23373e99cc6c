/* Lua asks the servers that run. */
#include "script/api_control.h"

#include <unistd.h>

#include "engine/control/control_ask.h"
#include "engine/control/control_place.h"

long mw_control_find(char *out, size_t size)
{
    return control_find(out, size);
}

long mw_control_find_others(char *out, size_t size)
{
    return control_find_others(out, size);
}

int mw_control_ask(const char *path, const char *request, int found, char *why)
{
    return control_ask(path, request, found, why);
}

long mw_control_read(int fd, char *out, size_t size, double seconds)
{
    return control_read(fd, out, size, seconds);
}

void mw_control_done(int fd)
{
    close(fd);
}
