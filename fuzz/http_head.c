/* HTTP heads. The oracles: a head that comes in pieces gives what the whole one gives, with the
 * same head, refusal and text; every span of an accepted head lies inside it; no accepted head
 * holds a bare CR or LF.
 *
 * Input: settings, the size of a piece, a limit of bytes (0: a large one), and then the head. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RESPONSE = 1, FEW_FIELDS = 2, SHORT_TARGET = 4, SETTINGS_LEN = 3 };

struct parse {
    struct http_head_parser parser;
    struct http_head head;
    int result;
};

/* Feeds the head as a buffer that grows piece by piece, each time a block of exactly its size. */
static void parse_pieces(struct parse *p, const char *data, size_t len, size_t piece,
                         const struct http_head_limits *limits, bool response)
{
    memset(p, 0, sizeof(*p));
    memset(&p->head, 0xa5, sizeof(p->head)); /* it need not be clean */
    p->parser.response = response;
    for (size_t given = 0; given < len && p->result == 0;) {
        given = len - given < piece ? len : given + piece;
        char *copy = malloc(given);
        assert(copy);
        memcpy(copy, data, given);
        p->result = http_head_parse(&p->parser, copy, given, limits, &p->head);
        assert(p->parser.at <= given);
        assert(p->result == 1 || p->result == 0 || p->result == ERR_PROTOCOL);
        free(copy);
    }
}

static void check_same(const struct parse *a, const struct parse *b)
{
    assert(a->result == b->result);
    if (a->result == ERR_PROTOCOL) {
        assert(a->parser.status == b->parser.status);
        assert(a->parser.why == b->parser.why);
        assert(a->parser.at == b->parser.at);
    }
    if (a->result == 1) {
        size_t used = a->head.field_count * sizeof(*a->head.fields);
        assert(memcmp(&a->head, &b->head, offsetof(struct http_head, fields)) == 0);
        assert(memcmp(a->head.fields, b->head.fields, used) == 0);
    }
}

static void check_span(const struct http_head *head, struct http_span span)
{
    assert(span.at <= head->len && span.len <= head->len - span.at);
}

static void check_lines(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        assert(data[i] != '\r' || (i + 1 < len && data[i + 1] == '\n'));
        assert(data[i] != '\n' || (i > 0 && data[i - 1] == '\r'));
        assert(data[i] != '\0');
    }
    assert(len >= 4 && memcmp(data + len - 4, "\r\n\r\n", 4) == 0);
}

static void check_accepted(const struct parse *p, const char *data, size_t len,
                           const struct http_head_limits *limits)
{
    const struct http_head *head = &p->head;
    assert(head->len <= len && head->len <= limits->head_bytes);
    assert(head->field_count <= HTTP_FIELDS_MAX && head->field_count <= limits->header_count);
    assert(p->parser.response || head->target.len <= limits->target_bytes);
    assert(!head->chunked || !head->has_length);
    assert(!head->upgrade_websocket || head->minor == 1);
    check_lines(data, head->len);
    check_span(head, head->method_name);
    check_span(head, head->target);
    check_span(head, head->path);
    check_span(head, head->query);
    check_span(head, head->host);
    for (uint32_t i = 0; i < head->field_count; i++) {
        check_span(head, head->fields[i].name);
        check_span(head, head->fields[i].value);
        assert(head->fields[i].name.len > 0);
    }
    unsigned lengths;
    http_head_field(head, data, "content-length", &lengths);
    assert(lengths == head->has_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parse whole, pieces;
    if (size < SETTINGS_LEN)
        return 0;
    struct http_head_limits limits = {
        .target_bytes = data[0] & SHORT_TARGET ? 16 : 4096,
        .head_bytes = data[2] ? data[2] : 8192,
        .header_count = data[0] & FEW_FIELDS ? 3 : 100000,
    };
    const char *text = (const char *)data + SETTINGS_LEN;
    size_t len = size - SETTINGS_LEN;
    bool response = data[0] & RESPONSE;
    parse_pieces(&whole, text, len, len + 1, &limits, response);
    parse_pieces(&pieces, text, len, data[1] % 64 + 1U, &limits, response);
    check_same(&whole, &pieces);
    if (whole.result == 1)
        check_accepted(&whole, text, len, &limits);
    return 0;
}
