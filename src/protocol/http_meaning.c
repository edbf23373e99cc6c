/* Reads the fields of a whole head that say where the message ends and what the connection
 * becomes. */
#include "protocol/http_meaning.h"

#include "protocol/http_syntax.h"
#include "protocol/url.h"

/* The facts that the fields of the message tell. */
struct head_facts {
    uint32_t hosts;
    uint32_t codings;        /* members of Transfer-Encoding */
    uint32_t chunked;        /* how many of them are "chunked" */
    bool last_chunked;       /* so is the last one */
    bool transfer_encoding;  /* the field was there */
    bool close, keep_alive;  /* in Connection */
    bool connection_upgrade; /* in Connection */
    bool upgrade_websocket;  /* in Upgrade */
    bool expect_continue;
    bool expect_other;
};

static unsigned refuse(unsigned status, const char *why, const char **out)
{
    *out = why;
    return status;
}

struct head_field {
    const char *value;
    size_t len;
    struct http_span span;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The readers take a field into the facts, and return why it is refused, or NULL. */

/* RFC 9112 §6.3: without one field of digits nobody knows where the message ends. */
static const char *read_content_length(struct http_head *head, struct head_facts *facts,
                                       struct head_field f)
{
    (void)facts;
    if (head->has_length)
        return "Content-Length is repeated";
    uint64_t length = 0;
    for (size_t i = 0; i < f.len; i++) {
        uint64_t digit = (uint64_t)(f.value[i] - '0');
        if (!is_digit(f.value[i]))
            return "Content-Length is not a number";
        if (length > (UINT64_MAX - digit) / 10)
            return "Content-Length is too large";
        length = length * 10 + digit;
    }
    if (f.len == 0)
        return "Content-Length is not a number";
    head->has_length = true;
    head->content_length = length;
    return NULL;
}

static const char *read_transfer_encoding(struct http_head *head, struct head_facts *facts,
                                          struct head_field f)
{
    (void)head;
    facts->transfer_encoding = true;
    const char *item;
    size_t item_len;
    while (http_list_next(&f.value, &f.len, &item, &item_len)) {
        facts->codings++;
        facts->last_chunked = http_equal(item, item_len, "chunked");
        facts->chunked += facts->last_chunked;
    }
    return NULL;
}

static const char *read_host(struct http_head *head, struct head_facts *facts, struct head_field f)
{
    struct url_authority authority;
    if (facts->hosts++)
        return "more than one Host";
    if (url_authority(&authority, f.value, f.len))
        return "Host is not a host name with or without a port";
    if (head->host.len == 0) /* an absolute target's authority comes first (RFC 9112 §3.2.2) */
        head->host = f.span;
    return NULL;
}

static const char *read_connection(struct http_head *head, struct head_facts *facts,
                                   struct head_field f)
{
    (void)head;
    const char *item;
    size_t item_len;
    while (http_list_next(&f.value, &f.len, &item, &item_len)) {
        facts->close |= http_equal(item, item_len, "close");
        facts->keep_alive |= http_equal(item, item_len, "keep-alive");
        facts->connection_upgrade |= http_equal(item, item_len, "upgrade");
    }
    return NULL;
}

static const char *read_upgrade(struct http_head *head, struct head_facts *facts,
                                struct head_field f)
{
    (void)head;
    const char *item;
    size_t item_len;
    while (http_list_next(&f.value, &f.len, &item, &item_len))
        facts->upgrade_websocket |= http_equal(item, item_len, "websocket");
    return NULL;
}

static const char *read_expect(struct http_head *head, struct head_facts *facts,
                               struct head_field f)
{
    (void)head;
    const char *item;
    size_t item_len;
    while (http_list_next(&f.value, &f.len, &item, &item_len)) {
        bool known = http_equal(item, item_len, "100-continue");
        facts->expect_continue |= known;
        facts->expect_other |= !known;
    }
    return NULL;
}

static const struct {
    const char *name;
    size_t len;
    const char *(*read)(struct http_head *head, struct head_facts *facts, struct head_field f);
} readers[] = {
    {"host", 4, read_host},
    {"connection", 10, read_connection},
    {"upgrade", 7, read_upgrade},
    {"content-length", 14, read_content_length},
    {"transfer-encoding", 17, read_transfer_encoding},
    {"expect", 6, read_expect},
};

/* Returns why a field is refused with 400, or NULL. */
static const char *read_fields(struct http_head *head, struct head_facts *facts, const char *data)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *f = &head->fields[i];
        for (size_t r = 0; r < sizeof(readers) / sizeof(*readers); r++) {
            if (f->name.len != readers[r].len ||
                !http_equal(data + f->name.at, f->name.len, readers[r].name))
                continue;
            struct head_field field = {data + f->value.at, f->value.len, f->value};
            const char *why = readers[r].read(head, facts, field);
            if (why)
                return why;
        }
    }
    return NULL;
}

/* Checks how the message's end is found (RFC 9112 §6.1, §6.3). Everything that two readers could
 * understand in two ways is refused, also where the RFC would let it pass. Returns 0 or a
 * status. */
static unsigned check_framing(struct http_head *head, const struct head_facts *facts, bool response,
                              const char **why)
{
    if (!facts->transfer_encoding)
        return 0;
    if (head->minor == 0)
        return refuse(400, "Transfer-Encoding in HTTP/1.0", why);
    if (head->has_length)
        return refuse(400, "Content-Length together with Transfer-Encoding", why);
    if (facts->codings == 0)
        return refuse(400, "Transfer-Encoding is empty", why);
    if (facts->chunked > 1)
        return refuse(400, "chunked more than once", why);
    if (!facts->last_chunked && !response) /* MUST be 400: nobody knows where the body ends */
        return refuse(400, "the last transfer coding is not chunked", why);
    if (facts->codings > 1 || facts->chunked == 0)
        return refuse(501, "a transfer coding other than chunked", why);
    head->chunked = true;
    return 0;
}

static unsigned check_request(struct http_head *head, const struct head_facts *facts,
                              const char **why)
{
    bool body = head->chunked || head->content_length > 0;
    if (facts->hosts == 0 && head->minor == 1)
        return refuse(400, "no Host", why);
    if (facts->upgrade_websocket && body)
        return refuse(400, "an upgrade to websocket with a body", why);
    if (head->minor == 0) /* expectations are ignored (RFC 9110 §10.1.1) */
        return 0;
    if (facts->expect_other)
        return refuse(417, "an expectation other than 100-continue", why);
    head->expect_continue = facts->expect_continue && body;
    return 0;
}

unsigned http_meaning_read(struct http_head *head, const char *base, bool response,
                           const char **why)
{
    struct head_facts facts = {0};
    *why = read_fields(head, &facts, base);
    unsigned status = *why ? 400 : check_framing(head, &facts, response, why);
    if (status)
        return status;
    head->names_websocket = facts.upgrade_websocket;
    head->keep_alive = !facts.close && (head->minor == 1 || facts.keep_alive);
    head->upgrade_websocket =
        head->minor == 1 && facts.upgrade_websocket && facts.connection_upgrade;
    return response ? 0 : check_request(head, &facts, why);
}
