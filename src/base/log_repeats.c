/* A small table of the places that failed within the last second. */
#include "base/log_repeats.h"

#include <string.h>

#include "base/escape.h"
#include "base/hash.h"

/* Copies the first line, in whole characters. */
static void copy_first_line(char *out, const char *text, size_t len)
{
    const char *newline = memchr(text, '\n', len);
    size_t end = newline ? (size_t)(newline - text) : len, at = 0;
    while (at < end) {
        size_t n = escape_character((const uint8_t *)text + at, end - at);
        n = n ? n : 1;
        if (at + n >= LOG_REPEATS_TEXT_BYTES)
            break;
        at += n;
    }
    memcpy(out, text, at);
    out[at] = '\0';
}

bool log_repeats_take(struct log_repeats *r, const char *place, size_t place_len, const char *text,
                      size_t len, uint64_t now_ms)
{
    uint32_t key = hash_bytes(0, place, place_len);
    struct log_repeat *spare = NULL;
    for (size_t i = 0; i < LOG_REPEATS_PLACES; i++) {
        struct log_repeat *one = &r->places[i];
        if (!one->used) {
            spare = one;
        } else if (one->place == key) {
            one->more++;
            return false;
        }
    }
    if (spare) {
        *spare =
            (struct log_repeat){.used = true, .place = key, .until_ms = now_ms + LOG_REPEATS_MS};
        copy_first_line(spare->text, text, len);
    }
    return true;
}

bool log_repeats_have_room(const struct log_repeats *r)
{
    for (size_t i = 0; i < LOG_REPEATS_PLACES; i++)
        if (!r->places[i].used)
            return true;
    return false;
}

bool log_repeats_over(struct log_repeats *r, uint64_t now_ms, struct log_repeat *out)
{
    for (size_t i = 0; i < LOG_REPEATS_PLACES; i++) {
        struct log_repeat *one = &r->places[i];
        if (one->used && now_ms >= one->until_ms) {
            *out = *one;
            one->used = false;
            return true;
        }
    }
    return false;
}
