/* Checks and writes the heads of the opening handshake, item by item as RFC 6455 §4 lists them. */
#include "protocol/handshake.h"

#include <string.h>

#include "base/error.h"
#include "protocol/base64.h"
#include "protocol/http_syntax.h"
#include "protocol/origin.h"
#include "protocol/sha1.h"
#include "protocol/url.h"

/* ---- both sides ---- */

void handshake_accept(char out[HANDSHAKE_ACCEPT_LEN + 1], const char key[HANDSHAKE_KEY_LEN])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[HANDSHAKE_KEY_LEN + sizeof(guid) - 1];
    uint8_t digest[SHA1_BYTES];
    memcpy(text, key, HANDSHAKE_KEY_LEN);
    memcpy(text + HANDSHAKE_KEY_LEN, guid, sizeof(guid) - 1);
    sha1(digest, text, sizeof(text));
    base64_encode(out, digest, sizeof(digest));
}

void handshake_key(char out[HANDSHAKE_KEY_LEN + 1], const uint8_t nonce[HANDSHAKE_NONCE_LEN])
{
    base64_encode(out, nonce, HANDSHAKE_NONCE_LEN);
}

static bool same(const char *text, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(text, want, len) == 0;
}

/* The member of a NULL-terminated list that is the text, or NULL. */
static const char *find(const char *const *list, const char *text, size_t len)
{
    for (; list && *list; list++)
        if (same(text, len, *list))
            return *list;
    return NULL;
}

static int append_text(struct buffer *out, const char *text)
{
    return buffer_append(out, text, strlen(text));
}

/* Appends "Name: value\r\n", or nothing for an empty value. */
static int append_field(struct buffer *out, const char *name, const char *value, size_t len)
{
    if (len == 0)
        return 0;
    int err = append_text(out, name);
    if (!err)
        err = append_text(out, ": ");
    if (!err)
        err = buffer_append(out, value, len);
    return err ? err : append_text(out, "\r\n");
}

/* Appends more fields and the empty line. When memory ran out, now or before (err), takes back what
 * was appended since `before`. */
static int finish(struct buffer *out, size_t before, int err, const char *headers, size_t len)
{
    if (!err)
        err = buffer_append(out, headers, headers ? len : 0);
    if (!err)
        err = append_text(out, "\r\n");
    if (err)
        out->len = before;
    return err;
}

/* ---- the server's side (§4.2.1) ---- */

struct request {
    struct handshake *out;
    const struct http_head *head;
    const char *base;
    const struct handshake_rules *rules;
    bool secure;
};

static int refuse(const struct request *r, uint16_t status, const char *why)
{
    r->out->status = status;
    r->out->why = why;
    return ERR_PROTOCOL;
}

/* Items 1 to 4: the request line, Host, Upgrade, Connection. */
static int check_upgrade(const struct request *r)
{
    const struct http_head *head = r->head;
    if (head->method != HTTP_GET)
        return refuse(r, 405, "a WebSocket handshake must be a GET");
    if (head->minor < 1)
        return refuse(r, 400, "a WebSocket handshake needs HTTP/1.1");
    if (head->host.len == 0)
        return refuse(r, 400, "no Host");
    if (!http_head_has_token(head, r->base, "upgrade", "websocket"))
        return refuse(r, 426, "this address speaks WebSocket: Upgrade: websocket is missing");
    if (!http_head_has_token(head, r->base, "connection", "upgrade"))
        return refuse(r, 400, "Connection does not say upgrade");
    return 0;
}

/* Item 6. It comes before the key: clients of older drafts, which had other keys or none, should
 * learn the version. */
static int check_version(const struct request *r)
{
    unsigned count;
    const struct http_field *f = http_head_field(r->head, r->base, "sec-websocket-version", &count);
    if (count > 1)
        return refuse(r, 400, "more than one Sec-WebSocket-Version");
    if (!f || !same(r->base + f->value.at, f->value.len, "13"))
        return refuse(r, 426, "Sec-WebSocket-Version is not 13");
    return 0;
}

static const bool base64_byte[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['+'] = true, ['/'] = true,
};

/* Base64 of 16 bytes: 22 letters and two signs of padding. */
static bool is_key(const char *key, size_t len)
{
    if (len != HANDSHAKE_KEY_LEN || memcmp(key + 22, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!base64_byte[(uint8_t)key[i]])
            return false;
    return true;
}

/* Item 5. */
static int check_key(const struct request *r)
{
    unsigned count;
    const struct http_field *f = http_head_field(r->head, r->base, "sec-websocket-key", &count);
    if (count > 1)
        return refuse(r, 400, "more than one Sec-WebSocket-Key");
    if (!f || !is_key(r->base + f->value.at, f->value.len))
        return refuse(r, 400, "Sec-WebSocket-Key is not the base64 of 16 bytes");
    r->out->key = f->value;
    return 0;
}

/* Item 7. The Origin is a browser's word for whose page opened the connection. */
/* True for the origin of a page that this host served over this transport. */
static bool is_own_origin(const struct request *r, const struct origin *o)
{
    struct origin own = {.https = r->secure};
    if (url_authority(&own.authority, r->base + r->head->host.at, r->head->host.len))
        return false;
    own.port = own.authority.has_port ? own.authority.port : (r->secure ? 443 : 80);
    return origin_same(o, &own);
}

static bool origin_allowed(const struct request *r, const char *text, size_t len)
{
    struct origin asked;
    const char *const *list = r->rules->origins;
    if (!list)
        return origin_read(&asked, text, len) == 0 && is_own_origin(r, &asked);
    for (; *list; list++) {
        if (origin_rule_allows(*list, text, len))
            return true;
    }
    return false;
}

static int check_origin(const struct request *r)
{
    unsigned count;
    const struct http_field *f = http_head_field(r->head, r->base, "origin", &count);
    if (count == 0)
        return 0;
    if (!f)
        return refuse(r, 400, "more than one Origin");
    if (!origin_allowed(r, r->base + f->value.at, f->value.len))
        return refuse(r, 403, "this Origin may not connect here");
    return 0;
}

/* Item 8: the subprotocols that the client speaks. The field may be repeated (§11.3.4), as one
 * list. */
struct protocol_list {
    struct {
        const char *name;
        size_t len;
    } items[HANDSHAKE_PROTOCOLS_MAX];
    size_t count;
};

static bool lists(const struct protocol_list *list, const char *name, size_t len)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].len == len && memcmp(list->items[i].name, name, len) == 0)
            return true;
    return false;
}

static int read_protocols(const struct request *r, struct protocol_list *list,
                          const struct http_field *f)
{
    const char *text = r->base + f->value.at;
    size_t len = f->value.len;
    const char *name;
    size_t name_len;
    size_t before = list->count;
    while (http_list_next(&text, &len, &name, &name_len)) {
        if (!http_is_token(name, name_len))
            return refuse(r, 400, "a subprotocol is not a token");
        if (lists(list, name, name_len))
            return refuse(r, 400, "a subprotocol is named twice");
        if (list->count == HANDSHAKE_PROTOCOLS_MAX)
            return refuse(r, 400, "too many subprotocols");
        list->items[list->count].name = name;
        list->items[list->count++].len = name_len;
    }
    return list->count > before ? 0 : refuse(r, 400, "Sec-WebSocket-Protocol is empty");
}

static int choose_protocol(const struct request *r)
{
    struct protocol_list list;
    list.count = 0;
    for (uint32_t i = 0; i < r->head->field_count; i++) {
        const struct http_field *f = &r->head->fields[i];
        if (!http_equal(r->base + f->name.at, f->name.len, "sec-websocket-protocol"))
            continue;
        int err = read_protocols(r, &list, f);
        if (err)
            return err;
    }
    for (const char *const *ours = r->rules->protocols; ours && *ours && !r->out->protocol; ours++)
        if (lists(&list, *ours, strlen(*ours)))
            r->out->protocol = *ours;
    return 0;
}

bool handshake_offers(const struct http_head *head, const char *base, const char *protocol,
                      size_t len)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *f = &head->fields[i];
        if (!http_equal(base + f->name.at, f->name.len, "sec-websocket-protocol"))
            continue;
        const char *text = base + f->value.at;
        size_t text_len = f->value.len;
        const char *name;
        size_t name_len;
        while (http_list_next(&text, &text_len, &name, &name_len))
            if (name_len == len && memcmp(name, protocol, len) == 0)
                return true;
    }
    return false;
}

/* Item 9. The first field that holds an acceptable offer wins; all are checked (§9.1). */
static int choose_extensions(const struct request *r)
{
    for (uint32_t i = 0; i < r->head->field_count; i++) {
        const struct http_field *f = &r->head->fields[i];
        if (!http_equal(r->base + f->name.at, f->name.len, "sec-websocket-extensions"))
            continue;
        struct deflate_params params;
        if (extension_accept(r->base + f->value.at, f->value.len, &r->rules->deflate, &params))
            return refuse(r, 400, "Sec-WebSocket-Extensions is not a list of extensions");
        if (!r->out->deflate.enabled)
            r->out->deflate = params;
    }
    return 0;
}

int handshake_check(struct handshake *out, const struct http_head *head, const char *base,
                    const struct handshake_rules *rules, bool secure)
{
    static int (*const checks[])(const struct request *) = {
        check_upgrade, check_version, check_key, check_origin, choose_protocol, choose_extensions,
    };
    const struct request r = {out, head, base, rules, secure};
    *out = (struct handshake){0};
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
        int err = checks[i](&r);
        if (err)
            return err;
    }
    return 0;
}

int handshake_response(struct buffer *out, const char key[HANDSHAKE_KEY_LEN], const char *protocol,
                       const struct deflate_params *deflate, const char *headers,
                       size_t headers_len)
{
    char accept[HANDSHAKE_ACCEPT_LEN + 1];
    char extension[EXTENSION_TEXT_MAX];
    size_t before = out->len;
    handshake_accept(accept, key);
    int err = append_text(out, "HTTP/1.1 101 Switching Protocols\r\n"
                               "Upgrade: websocket\r\n"
                               "Connection: Upgrade\r\n");
    if (!err)
        err = append_field(out, "Sec-WebSocket-Accept", accept, HANDSHAKE_ACCEPT_LEN);
    if (!err && protocol)
        err = append_field(out, "Sec-WebSocket-Protocol", protocol, strlen(protocol));
    if (!err)
        err = append_field(out, "Sec-WebSocket-Extensions", extension,
                           extension_response(extension, deflate));
    return finish(out, before, err, headers, headers_len);
}

/* ---- the client's side (§4.1) ---- */

static int append_protocols(struct buffer *out, const char *const *protocols)
{
    if (!protocols || !*protocols)
        return 0;
    int err = append_text(out, "Sec-WebSocket-Protocol: ");
    for (const char *const *p = protocols; !err && *p; p++) {
        if (p != protocols)
            err = append_text(out, ", ");
        if (!err)
            err = append_text(out, *p);
    }
    return err ? err : append_text(out, "\r\n");
}

int handshake_request(struct buffer *out, const struct handshake_offer *offer,
                      const char key[HANDSHAKE_KEY_LEN])
{
    char extension[EXTENSION_TEXT_MAX];
    size_t before = out->len;
    int err = buffer_printf(out,
                            "GET %s HTTP/1.1\r\n"
                            "Host: %s\r\n"
                            "Upgrade: websocket\r\n"
                            "Connection: Upgrade\r\n"
                            "Sec-WebSocket-Key: %.*s\r\n"
                            "Sec-WebSocket-Version: 13\r\n",
                            offer->target, offer->host, (int)HANDSHAKE_KEY_LEN, key);
    if (!err && offer->origin)
        err = append_field(out, "Origin", offer->origin, strlen(offer->origin));
    if (!err)
        err = append_protocols(out, offer->protocols);
    if (!err)
        err = append_field(out, "Sec-WebSocket-Extensions", extension,
                           extension_offer(extension, &offer->deflate));
    return finish(out, before, err, offer->headers, offer->headers_len);
}

struct response {
    struct handshake_answer *out;
    const struct http_head *head;
    const char *base;
    const struct handshake_offer *offer;
    const char *key;
};

static int reject(const struct response *r, const char *why)
{
    r->out->why = why;
    return ERR_PROTOCOL;
}

/* Items 1 to 3. */
static int check_switch(const struct response *r)
{
    const struct http_field *f;
    if (r->head->status != 101)
        return reject(r, "the server did not switch to WebSocket");
    if (r->head->minor < 1)
        return reject(r, "the server answered with HTTP/1.0");
    f = http_head_field(r->head, r->base, "upgrade", NULL);
    if (!f || !http_equal(r->base + f->value.at, f->value.len, "websocket"))
        return reject(r, "the answer's Upgrade is not websocket");
    if (!http_head_has_token(r->head, r->base, "connection", "upgrade"))
        return reject(r, "the answer's Connection does not say upgrade");
    return 0;
}

/* Item 4. */
static int check_accept(const struct response *r)
{
    char want[HANDSHAKE_ACCEPT_LEN + 1];
    const struct http_field *f = http_head_field(r->head, r->base, "sec-websocket-accept", NULL);
    handshake_accept(want, r->key);
    if (!f || !same(r->base + f->value.at, f->value.len, want))
        return reject(r, "the answer's Sec-WebSocket-Accept does not fit the key");
    return 0;
}

/* Item 5. An answer may be spread over several fields (§11.3.2), but we offer one extension. */
static int check_extensions(const struct response *r)
{
    unsigned count;
    const struct http_field *f =
        http_head_field(r->head, r->base, "sec-websocket-extensions", &count);
    if (count == 0)
        return 0;
    if (!f ||
        extension_check(r->base + f->value.at, f->value.len, &r->offer->deflate, &r->out->deflate))
        return reject(r, "the answer names an extension that was not offered so");
    return 0;
}

/* Item 6, and the WHATWG's rule that an offer must be answered. */
static int check_protocol(const struct response *r)
{
    unsigned count;
    const struct http_field *f =
        http_head_field(r->head, r->base, "sec-websocket-protocol", &count);
    bool offered = r->offer->protocols && *r->offer->protocols;
    if (count == 0)
        return offered ? reject(r, "the server speaks none of the subprotocols") : 0;
    if (f)
        r->out->protocol = find(r->offer->protocols, r->base + f->value.at, f->value.len);
    return r->out->protocol ? 0 : reject(r, "the answer names a subprotocol that was not offered");
}

int handshake_client_check(struct handshake_answer *out, const struct http_head *head,
                           const char *base, const struct handshake_offer *offer,
                           const char key[HANDSHAKE_KEY_LEN])
{
    static int (*const checks[])(const struct response *) = {check_switch, check_accept,
                                                             check_extensions, check_protocol};
    const struct response r = {out, head, base, offer, key};
    *out = (struct handshake_answer){0};
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
        int err = checks[i](&r);
        if (err)
            return err;
    }
    return 0;
}
