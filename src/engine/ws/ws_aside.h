/* What few WebSockets have, and only for a while, in a block of its own so that the others have no
 * room for it: a Close that goes out later, input that is held back, the size of the inbox. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "engine/conn/conn.h"

/* What is said when the script has had the messages that came before the end, and has answered: the
 * answer to the peer's Close, a Close that names what the peer broke, or nothing where it has ended
 * its side. The script knows already that it is closed. */
struct ws_farewell {
    uint16_t code; /* of the Close; 0: none */
    uint8_t len;
    char reason[];
};

/* Lies at c->io.data, the word that libev leaves to its users; NULL there is none of it. */
struct ws_aside {
    struct ws_farewell *farewell; /* NULL: no Close waits */
    struct buffer held;           /* input that came while the script had enough of it */
    uint32_t inbox_bytes;         /* of messages that the script keeps behind a hook that waits */
};

/* NULL: no Close waits for its time. */
static inline const struct ws_farewell *ws_aside_farewell(const struct conn *c)
{
    const struct ws_aside *a = c->io.data;
    return a ? a->farewell : NULL;
}

/* Puts a Close off. len is at most CLOSE_REASON_MAX. 0 or ERR_MEMORY. */
int ws_aside_put_farewell(struct conn *c, uint16_t code, const char *reason, size_t len)
    __attribute__((warn_unused_result));
/* Holds a copy of input back. 0 or ERR_MEMORY. */
int ws_aside_hold(struct conn *c, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));
/* Takes what is held back: it is the caller's. Empty when there is nothing. */
struct buffer ws_aside_take(struct conn *c) __attribute__((warn_unused_result));
/* Notes the size of the inbox. Without memory for that it is forgotten. */
void ws_aside_note_inbox(struct conn *c, uint32_t bytes);
/* Memory that it takes, with the inbox. */
size_t ws_aside_memory(const struct conn *c);
/* Frees the held input: nothing more is read. */
void ws_aside_drop_input(struct conn *c);
/* Frees all of it. */
void ws_aside_free(struct conn *c);
