/* Walks the lines around chunks byte by byte, and passes payload on in runs. */
#include "protocol/http_body.h"

#include "base/error.h"
#include "protocol/http_syntax.h"

enum body_state {
    BODY_LENGTH,     /* payload up to a known length */
    BODY_SIZE_FIRST, /* the first digit of a chunk's size */
    BODY_SIZE,
    BODY_SIZE_BLANK, /* blanks that only an extension may follow */
    BODY_EXTENSION,
    BODY_SIZE_LF,
    BODY_CHUNK,
    BODY_CHUNK_CR,
    BODY_CHUNK_LF,
    BODY_TRAILER, /* the first byte of a trailer field, or the CR of the last line */
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_LF,
    BODY_LAST_LF,
    BODY_DONE,
    BODY_BROKEN, /* ERR_PROTOCOL */
    BODY_TOO_BIG
};

static void fail(struct http_body *b, enum body_state state, const char *why)
{
    b->state = (uint8_t)state;
    b->why = why;
}

int http_body_start(struct http_body *b, bool chunked, uint64_t content_length, uint64_t max)
{
    *b = (struct http_body){.max = max};
    if (chunked) {
        b->state = BODY_SIZE_FIRST;
        return 0;
    }
    if (content_length > max) {
        fail(b, BODY_TOO_BIG, "the body is too large");
        return ERR_TOO_BIG;
    }
    b->left = b->total = content_length;
    b->state = content_length ? BODY_LENGTH : BODY_DONE;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* True for a byte that may stand in an extension or in a trailer's value. CR ends both. */
static bool is_text(char c)
{
    return ((uint8_t)c >= 0x20 || c == '\t') && c != 0x7f;
}

static void size_digit(struct http_body *b, char c)
{
    int digit = http_hex_value(c);
    if (digit < 0)
        fail(b, BODY_BROKEN, "a chunk's size is not a hexadecimal number");
    else if (b->left > UINT64_MAX >> 4)
        fail(b, BODY_BROKEN, "a chunk's size does not fit 64 bits");
    else
        b->left = b->left << 4 | (uint64_t)digit;
}

/* Takes the byte behind the digits (RFC 9112 §7.1.1). Blanks before the line's end, which some
 * readers skip and others do not, are a way to smuggle requests: they are taken only before an
 * extension. */
static void after_size(struct http_body *b, char c)
{
    if (c == ';')
        b->state = BODY_EXTENSION;
    else if (is_blank(c))
        b->state = BODY_SIZE_BLANK;
    else if (c == '\r' && b->state != BODY_SIZE_BLANK)
        b->state = BODY_SIZE_LF;
    else
        fail(b, BODY_BROKEN, "a chunk's size is not followed by CRLF");
}

/* Takes a byte of a text that a CR ends. */
static void text_byte(struct http_body *b, char c, enum body_state after)
{
    if (c == '\r')
        b->state = (uint8_t)after;
    else if (!is_text(c))
        fail(b, BODY_BROKEN, "a control character between chunks");
}

static void expect(struct http_body *b, char c, char want, enum body_state next)
{
    if (c == want)
        b->state = (uint8_t)next;
    else
        fail(b, BODY_BROKEN, "a chunk or its lines do not end with CRLF");
}

static void size_line_end(struct http_body *b, char c)
{
    if (c != '\n') {
        fail(b, BODY_BROKEN, "a CR without LF after a chunk's size");
    } else if (b->left > b->max - b->total) {
        fail(b, BODY_TOO_BIG, "the body is too large");
    } else {
        b->total += b->left;
        b->line = 0;
        b->state = b->left ? BODY_CHUNK : BODY_TRAILER;
    }
}

static void trailer_start(struct http_body *b, char c)
{
    if (c == '\r')
        b->state = BODY_LAST_LF;
    else if (http_token_byte[(uint8_t)c])
        b->state = BODY_TRAILER_NAME;
    else
        fail(b, BODY_BROKEN, "a trailer without a name");
}

static void trailer_name(struct http_body *b, char c)
{
    if (c == ':')
        b->state = BODY_TRAILER_VALUE;
    else if (!http_token_byte[(uint8_t)c])
        fail(b, BODY_BROKEN, "a byte that no trailer's name may hold");
}

/* Takes one byte of the lines around the chunks. */
static void step(struct http_body *b, char c)
{
    switch ((enum body_state)b->state) {
    case BODY_SIZE_FIRST:
        b->state = BODY_SIZE;
        size_digit(b, c);
        break;
    case BODY_SIZE:
        if (http_hex_value(c) >= 0)
            size_digit(b, c);
        else
            after_size(b, c);
        break;
    case BODY_SIZE_BLANK:
        after_size(b, c);
        break;
    case BODY_EXTENSION:
        text_byte(b, c, BODY_SIZE_LF);
        break;
    case BODY_SIZE_LF:
        size_line_end(b, c);
        break;
    case BODY_CHUNK_CR:
        expect(b, c, '\r', BODY_CHUNK_LF);
        break;
    case BODY_CHUNK_LF:
        expect(b, c, '\n', BODY_SIZE_FIRST);
        b->line = 0;
        break;
    case BODY_TRAILER:
        trailer_start(b, c);
        break;
    case BODY_TRAILER_NAME:
        trailer_name(b, c);
        break;
    case BODY_TRAILER_VALUE:
        text_byte(b, c, BODY_TRAILER_LF);
        break;
    case BODY_TRAILER_LF:
        expect(b, c, '\n', BODY_TRAILER);
        break;
    case BODY_LAST_LF:
        expect(b, c, '\n', BODY_DONE);
        break;
    case BODY_LENGTH:
    case BODY_CHUNK:
    case BODY_DONE:
    case BODY_BROKEN:
    case BODY_TOO_BIG:
        break;
    }
}

static void bounded_step(struct http_body *b, char c)
{
    bool trailers = b->state >= BODY_TRAILER;
    if (++b->line > (trailers ? HTTP_BODY_TRAILERS_MAX : HTTP_BODY_LINE_MAX))
        fail(b, BODY_BROKEN,
             trailers ? "the trailers are too long" : "a chunk's size line is too long");
    else
        step(b, c);
}

static int take_payload(struct http_body *b, const char **data, size_t *len, const char **out,
                        size_t *out_len)
{
    size_t run = b->left < *len ? (size_t)b->left : *len;
    *out = *data;
    *out_len = run;
    *data += run;
    *len -= run;
    b->left -= run;
    if (b->left == 0)
        b->state = b->state == BODY_CHUNK ? BODY_CHUNK_CR : BODY_DONE;
    return 1;
}

int http_body_read(struct http_body *b, const char **data, size_t *len, const char **out,
                   size_t *out_len)
{
    for (;;) {
        switch ((enum body_state)b->state) {
        case BODY_DONE:
            return 2;
        case BODY_BROKEN:
            return ERR_PROTOCOL;
        case BODY_TOO_BIG:
            return ERR_TOO_BIG;
        case BODY_LENGTH:
        case BODY_CHUNK:
            return *len ? take_payload(b, data, len, out, out_len) : 0;
        default:
            break;
        }
        if (*len == 0)
            return 0;
        bounded_step(b, **data);
        ++*data;
        --*len;
    }
}
