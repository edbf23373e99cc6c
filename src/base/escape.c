/* Walks bytes character by character, and escapes those that may not stand in a line or a JSON
 * text. */
#include "base/escape.h"

#include "base/error.h"

size_t escape_character(const uint8_t *text, size_t len)
{
    uint8_t first = text[0];
    if (first < 0x80)
        return 1;
    size_t need = first >= 0xc2 && first <= 0xdf   ? 2
                  : first >= 0xe0 && first <= 0xef ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
    if (need == 0 || need > len)
        return 0;
    /* The second byte shows what is not minimal, a surrogate, or past U+10FFFF. */
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

bool escape_is_control(const uint8_t *text, size_t len)
{
    return text[0] < 0x20 || text[0] == 0x7f || (len == 2 && text[0] == 0xc2 && text[1] < 0xa0);
}

int escape_json(struct buffer *out, const char *text, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)text;
    int err = 0;
    for (size_t at = 0; at < len && !err;) {
        size_t n = escape_character(bytes + at, len - at);
        if (n == 0)
            err = buffer_printf(out, "\\ufffd");
        else if (bytes[at] == '"' || bytes[at] == '\\')
            err = buffer_printf(out, "\\%c", bytes[at]);
        else if (bytes[at] == '\n')
            err = buffer_append(out, "\\n", 2);
        else if (escape_is_control(bytes + at, n))
            err = buffer_printf(out, "\\u%04x", n == 2 ? bytes[at + 1] : bytes[at]);
        else
            err = buffer_append(out, bytes + at, n);
        at += n ? n : 1;
    }
    return err;
}

int escape_invalid(struct buffer *out, const char *bytes, size_t len)
{
    const uint8_t *text = (const uint8_t *)bytes;
    size_t from = 0; /* where the bytes that are copied unchanged begin */
    int err = 0;
    for (size_t at = 0; at < len && !err;) {
        size_t n = escape_character(text + at, len - at);
        if (n == 0 || text[at] == 0x7f || (n == 2 && escape_is_control(text + at, n))) {
            err = buffer_append(out, text + from, at - from);
            if (!err)
                err = buffer_printf(out, "\\u%04x", n == 0 ? 0xfffdu : text[at + n - 1]);
            from = at + (n ? n : 1);
        }
        at += n ? n : 1;
    }
    return err ? err : buffer_append(out, text + from, len - from);
}
