/* Makes the block when something is put there; it goes with the connection. */
#include "engine/ws/ws_aside.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static struct ws_aside *aside_of(struct conn *c)
{
    if (!c->io.data)
        c->io.data = calloc(1, sizeof(struct ws_aside));
    return c->io.data;
}

int ws_aside_put_farewell(struct conn *c, uint16_t code, const char *reason, size_t len)
{
    struct ws_aside *a = aside_of(c);
    struct ws_farewell *f = a ? malloc(sizeof(*f) + len) : NULL;
    if (!f)
        return ERR_MEMORY;
    f->code = code;
    f->len = (uint8_t)len;
    if (len > 0)
        memcpy(f->reason, reason, len);
    free(a->farewell);
    a->farewell = f;
    return 0;
}

int ws_aside_hold(struct conn *c, const uint8_t *data, size_t len)
{
    struct ws_aside *a = aside_of(c);
    return a ? buffer_append(&a->held, data, len) : ERR_MEMORY;
}

struct buffer ws_aside_take(struct conn *c)
{
    struct ws_aside *a = c->io.data;
    struct buffer held = {0};
    if (a) {
        held = a->held;
        a->held = (struct buffer){0};
    }
    return held;
}

void ws_aside_note_inbox(struct conn *c, uint32_t bytes)
{
    struct ws_aside *a = bytes > 0 ? aside_of(c) : c->io.data;
    if (a)
        a->inbox_bytes = bytes;
}

size_t ws_aside_memory(const struct conn *c)
{
    const struct ws_aside *a = c->io.data;
    return a ? sizeof(*a) + a->held.cap + a->inbox_bytes : 0;
}

void ws_aside_drop_input(struct conn *c)
{
    struct ws_aside *a = c->io.data;
    if (a)
        buffer_deinit(&a->held);
}

void ws_aside_free(struct conn *c)
{
    struct ws_aside *a = c->io.data;
    if (!a)
        return;
    free(a->farewell);
    buffer_deinit(&a->held);
    free(a);
    c->io.data = NULL;
}
