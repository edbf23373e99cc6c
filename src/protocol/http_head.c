/* Parses heads in two passes. The first, here, cuts bytes into spans as they come, with one state
 * for each place in the grammar of RFC 9112 §2.1. The second, http_meaning.c, runs once when the
 * head is whole. */
#include "protocol/http_head.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/error.h"
#include "protocol/http_meaning.h"
#include "protocol/http_syntax.h"
#include "protocol/http_target.h"

enum head_state {
    HEAD_START,
    HEAD_EMPTY_LF, /* the LF of the one empty line that may come first (§2.2) */
    HEAD_METHOD,
    HEAD_TARGET,
    HEAD_VERSION,
    HEAD_STATUS,
    HEAD_REASON,
    HEAD_REASON_LF,
    HEAD_FIELD, /* the first byte of a field line, or the CR of the last line */
    HEAD_NAME,
    HEAD_VALUE,
    HEAD_VALUE_LF,
    HEAD_END_LF,
    HEAD_DONE,
    HEAD_REFUSED
};

/* The input of one call. A step returns true to go on, and false when it needs more bytes or has
 * refused. */
struct head_input {
    struct http_head_parser *p;
    struct http_head *head;
    const char *data;
    uint32_t end; /* where reading stops: never past head_bytes */
    uint32_t target_max;
    uint32_t fields_max;
};

static bool refuse(struct http_head_parser *p, uint16_t status, const char *why)
{
    p->state = HEAD_REFUSED;
    p->status = status;
    p->why = why;
    return false;
}

static bool step_start(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    /* The 4 KiB of fields need no clearing: they are written as they come. */
    memset(in->head, 0, offsetof(struct http_head, fields));
    p->state = p->response ? HEAD_VERSION : HEAD_METHOD;
    if (!p->response && in->data[p->at] == '\r') {
        p->at++;
        p->state = HEAD_EMPTY_LF;
    }
    p->line = p->at;
    return true;
}

static bool step_lf(struct head_input *in, enum head_state next)
{
    struct http_head_parser *p = in->p;
    if (in->data[p->at] != '\n')
        return refuse(p, 400, "a CR without LF in the head");
    p->line = ++p->at;
    p->state = (uint8_t)next;
    return true;
}

static uint32_t method_bit(const char *name, uint32_t len)
{
    static const struct {
        char name[8];
        uint8_t len;
        uint8_t bit;
    } methods[] = {
        {"GET", 3, HTTP_GET},     {"POST", 4, HTTP_POST},     {"HEAD", 4, HTTP_HEAD},
        {"PUT", 3, HTTP_PUT},     {"DELETE", 6, HTTP_DELETE}, {"OPTIONS", 7, HTTP_OPTIONS},
        {"PATCH", 5, HTTP_PATCH},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
        if (len == methods[i].len && memcmp(name, methods[i].name, len) == 0)
            return methods[i].bit;
    return 0;
}

static bool step_method(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    while (p->at < in->end && http_token_byte[(uint8_t)in->data[p->at]])
        p->at++;
    if (p->at == in->end)
        return false;
    uint32_t len = p->at - p->line;
    if (in->data[p->at] != ' ' || len == 0)
        return refuse(p, 400, "the request does not begin with a method");
    in->head->method_name = (struct http_span){p->line, len};
    in->head->method = method_bit(in->data + p->line, len);
    p->line = ++p->at;
    p->state = HEAD_TARGET;
    return true;
}

/* Visible ASCII without '#', since a fragment is never sent (RFC 9112 §3.2). Browsers send some
 * bytes that RFC 3986 wants escaped ('|', '[', '{', …), so those are taken. */
static const bool target_byte[256] = {['!' ... '"'] = true, ['$' ... '~'] = true};

static bool step_target(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    while (p->at < in->end && target_byte[(uint8_t)in->data[p->at]]) {
        if (p->at - p->line == in->target_max)
            return refuse(p, 414, "the request target is too long");
        p->at++;
    }
    if (p->at == in->end)
        return false;
    uint32_t len = p->at - p->line;
    if (in->data[p->at] != ' ' || len == 0)
        return refuse(p, 400, "a byte that no request target may hold");
    in->head->target = (struct http_span){p->line, len};
    p->line = ++p->at;
    p->state = HEAD_VERSION;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes "HTTP/d.d". A version that is well written but not ours gets 505. */
static bool take_version(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    const char *version = in->data + p->line;
    in->head->minor = (uint8_t)(version[7] - '0');
    if (version[5] != '1' || in->head->minor > 1)
        return refuse(p, 505, "the version is not HTTP/1.0 or HTTP/1.1");
    return true;
}

static bool step_version(struct head_input *in)
{
    static const char shape[] = "HTTP/d.d";
    struct http_head_parser *p = in->p;
    for (; p->at < in->end && p->at - p->line < 8; p->at++) {
        char want = shape[p->at - p->line];
        char c = in->data[p->at];
        if (want == 'd' ? !is_digit(c) : c != want)
            return refuse(p, 400, "the line does not name a version such as HTTP/1.1");
    }
    if (p->at == in->end)
        return false;
    if (in->data[p->at] != (p->response ? ' ' : '\r'))
        return refuse(p, 400, "the line does not name a version such as HTTP/1.1");
    if (!take_version(in))
        return false;
    if (!p->response && !http_target_read(in->head, in->data))
        return refuse(p, 400, "the request target is not of a form that its method takes");
    p->line = ++p->at;
    p->state = p->response ? HEAD_STATUS : HEAD_VALUE_LF;
    return true;
}

/* Takes three digits. A server that has no reason should send the blank behind them (RFC 9112 §4),
 * but many do not. */
static bool step_status(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    for (; p->at < in->end && p->at - p->line < 3; p->at++) {
        char c = in->data[p->at];
        if (!is_digit(c) || (p->at == p->line && (c < '1' || c > '5')))
            return refuse(p, 400, "the status is not a number from 100 to 599");
    }
    if (p->at == in->end)
        return false;
    const char *digits = in->data + p->line;
    in->head->status =
        (uint16_t)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
    char c = in->data[p->at++];
    if (c != ' ' && c != '\r')
        return refuse(p, 400, "the status is not a number from 100 to 599");
    p->state = c == ' ' ? HEAD_REASON : HEAD_REASON_LF;
    return true;
}

/* True for a byte that ends a field's value: a control character other than HTAB. */
static bool ends_value(char c)
{
    return ((uint8_t)c < 0x20 && c != '\t') || c == 0x7f;
}

static uint32_t value_end(const char *data, uint32_t at, uint32_t end)
{
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(data + at));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        __m128i hit = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control),
                                   _mm_cmpeq_epi8(bytes, del));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask)
            return at + (uint32_t)__builtin_ctz(mask);
    }
#endif
    while (at < end && !ends_value(data[at]))
        at++;
    return at;
}

/* Skips a value and the CR behind it. False when more is needed, and after a refusal. */
static bool skip_value(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    p->at = value_end(in->data, p->at, in->end);
    if (p->at == in->end)
        return false;
    char c = in->data[p->at];
    if (c != '\r')
        return refuse(p, 400,
                      c == '\n' ? "an LF without CR in the head"
                                : "a control character in a header field");
    p->at++;
    return true;
}

static bool step_reason(struct head_input *in)
{
    if (!skip_value(in))
        return false;
    in->p->state = HEAD_REASON_LF;
    return true;
}

static bool step_field(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    char c = in->data[p->at];
    if (c == '\r') {
        p->at++;
        p->state = HEAD_END_LF;
        return true;
    }
    if (c == ' ' || c == '\t')
        return refuse(p, 400, "a folded header field");
    if (in->head->field_count == in->fields_max)
        return refuse(p, 431, "too many header fields");
    p->state = HEAD_NAME;
    return true;
}

static bool step_name(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    while (p->at < in->end && http_token_byte[(uint8_t)in->data[p->at]])
        p->at++;
    if (p->at == in->end)
        return false;
    char c = in->data[p->at];
    if (c == ' ' || c == '\t')
        return refuse(p, 400, "a blank in or after a header field's name");
    if (c != ':')
        return refuse(p, 400, "a header field without a colon, or a byte that no name may hold");
    if (p->at == p->line)
        return refuse(p, 400, "a header field without a name");
    in->head->fields[in->head->field_count].name = (struct http_span){p->line, p->at - p->line};
    p->line = ++p->at;
    p->state = HEAD_VALUE;
    return true;
}

static bool step_value(struct head_input *in)
{
    struct http_head_parser *p = in->p;
    if (!skip_value(in))
        return false;
    const char *value = in->data + p->line;
    size_t len = p->at - 1 - p->line;
    http_trim(&value, &len);
    in->head->fields[in->head->field_count++].value =
        (struct http_span){(uint32_t)(value - in->data), (uint32_t)len};
    p->state = HEAD_VALUE_LF;
    return true;
}

static bool step(struct head_input *in)
{
    switch ((enum head_state)in->p->state) {
    case HEAD_START:
        return step_start(in);
    case HEAD_EMPTY_LF:
        return step_lf(in, HEAD_METHOD);
    case HEAD_METHOD:
        return step_method(in);
    case HEAD_TARGET:
        return step_target(in);
    case HEAD_VERSION:
        return step_version(in);
    case HEAD_STATUS:
        return step_status(in);
    case HEAD_REASON:
        return step_reason(in);
    case HEAD_REASON_LF:
    case HEAD_VALUE_LF:
        return step_lf(in, HEAD_FIELD);
    case HEAD_FIELD:
        return step_field(in);
    case HEAD_NAME:
        return step_name(in);
    case HEAD_VALUE:
        return step_value(in);
    case HEAD_END_LF:
        return step_lf(in, HEAD_DONE);
    case HEAD_DONE:
    case HEAD_REFUSED:
        break;
    }
    return false;
}

int http_head_parse(struct http_head_parser *p, const char *data, size_t len,
                    const struct http_head_limits *limits, struct http_head *head)
{
    struct head_input in = {
        .p = p,
        .head = head,
        .data = data,
        .end = len < limits->head_bytes ? (uint32_t)len : limits->head_bytes,
        .target_max = limits->target_bytes,
        .fields_max =
            limits->header_count < HTTP_FIELDS_MAX ? limits->header_count : HTTP_FIELDS_MAX,
    };
    if (p->state == HEAD_DONE)
        return 1;
    while (p->at < in.end && step(&in))
        ;
    if (p->state == HEAD_DONE) {
        const char *why;
        head->len = p->at;
        unsigned status = http_meaning_read(head, data, p->response, &why);
        if (!status)
            return 1;
        refuse(p, (uint16_t)status, why);
    }
    if (p->state == HEAD_REFUSED)
        return ERR_PROTOCOL;
    if (p->at < limits->head_bytes)
        return 0;
    refuse(p, p->state == HEAD_TARGET ? 414 : 431, "the head is too long");
    return ERR_PROTOCOL;
}

/* ---- finished heads ---- */

static bool has_name(const struct http_field *f, const char *base, const char *name)
{
    return http_equal(base + f->name.at, f->name.len, name);
}

const struct http_field *http_head_field(const struct http_head *head, const char *base,
                                         const char *name, unsigned *count)
{
    const struct http_field *found = NULL;
    unsigned seen = 0;
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (!has_name(&head->fields[i], base, name))
            continue;
        found = &head->fields[i];
        seen++;
    }
    if (count)
        *count = seen;
    return seen == 1 ? found : NULL;
}

bool http_head_has_token(const struct http_head *head, const char *base, const char *name,
                         const char *token)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *f = &head->fields[i];
        if (!has_name(f, base, name))
            continue;
        const char *text = base + f->value.at;
        size_t len = f->value.len;
        const char *item;
        size_t item_len;
        while (http_list_next(&text, &len, &item, &item_len))
            if (http_equal(item, item_len, token))
                return true;
    }
    return false;
}
