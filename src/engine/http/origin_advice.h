/* What the developer of an app is told when a page's Origin is refused: which one, at which Host,
 * and what would let it in. */
#pragma once

#include <stddef.h>

#include "engine/conn/conn.h"

enum { ORIGIN_ADVICE_BYTES = 768 };

/* Writes one line about the handshake in c->http, which was refused for its Origin, and logs it, at
 * most once a minute in the whole process. */
void origin_advice(struct worker *w, const struct conn *c, char out[ORIGIN_ADVICE_BYTES]);
