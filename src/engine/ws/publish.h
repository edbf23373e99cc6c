/* A message to all subscribers of a topic, in every worker: into the log of this worker's topic,
 * and by letters to the workers that have subscribers too. */
#pragma once

#include "base/shared.h"
#include "engine/conn/conn.h"

/* To all subscribers but except (NULL: to all). A text is UTF-8. 0, or ERR_MEMORY: nobody is sent
 * it. */
int publish(struct worker *w, struct conn *except, const char *name, size_t name_len,
            const uint8_t *data, size_t len, bool binary) __attribute__((warn_unused_result));
/* A letter that publishes a message to the subscribers of the worker that reads it. It takes a
 * reference to the message. NULL: out of memory. From any thread. */
struct letter *publish_letter(const char *name, size_t name_len, struct shared *message,
                              bool binary) __attribute__((warn_unused_result));
