/* Which fields of a request are stored, and which of them equal requests share. */
#include "engine/ws/ws_request.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"

struct name {
    const char *text;
    size_t len;
};
#define NAME(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }

/* Headers that only made the handshake are not kept: what they agreed on has names of its own. */
static const struct name of_handshake[] = {NAME("upgrade"), NAME("connection")};
static const char of_handshake_prefix[] = "sec-websocket-";

/* Headers whose values hardly any two connections share; what is missing here costs memory only. */
static const struct name of_one_peer[] = {
    NAME("cookie"),           NAME("authorization"),    NAME("x-forwarded-for"),
    NAME("x-real-ip"),        NAME("forwarded"),        NAME("x-request-id"),
    NAME("traceparent"),      NAME("tracestate"),       NAME("cf-connecting-ip"),
    NAME("cf-ray"),           NAME("x-amzn-trace-id"),  NAME("true-client-ip"),
    NAME("x-correlation-id"), NAME("x-forwarded-port"), NAME("x-client-ip"),
};

static bool is_one_of(const struct name *names, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].len == len && strncasecmp(name, names[i].text, len) == 0)
            return true;
    return false;
}

static bool is_stored(const char *name, size_t len)
{
    size_t prefix = sizeof of_handshake_prefix - 1;
    return !is_one_of(of_handshake, sizeof of_handshake / sizeof *of_handshake, name, len) &&
           !(len >= prefix && strncasecmp(name, of_handshake_prefix, prefix) == 0);
}

static int append_field(struct buffer *out, const char *name, size_t name_len, const char *value,
                        size_t value_len)
{
    if (buffer_reserve(out, name_len + value_len + 3) < 0)
        return ERR_MEMORY;
    for (size_t i = 0; i < name_len; i++)
        out->data[out->len++] =
            (uint8_t)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    memcpy(out->data + out->len, ": ", 2);
    memcpy(out->data + out->len + 2, value, value_len);
    out->len += value_len + 2;
    out->data[out->len++] = '\n';
    return 0;
}

/* All fields of one name are in one part, so those of one name stay in their order. */
static int append_headers(struct buffer *out, const struct ws_request_source *from, bool own)
{
    for (uint32_t i = 0; i < from->head->field_count; i++) {
        const struct http_field *f = &from->head->fields[i];
        const char *name = from->base + f->name.at;
        if (!is_stored(name, f->name.len) ||
            is_one_of(of_one_peer, sizeof of_one_peer / sizeof *of_one_peer, name, f->name.len) !=
                own)
            continue;
        if (append_field(out, name, f->name.len, from->base + f->value.at, f->value.len) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

static const struct ws_request_common *common_new(struct intern *table, struct buffer *out,
                                                  const struct ws_request_source *from)
{
    struct ws_request_common c = {
        .generation = from->generation,
        .protocol_len = from->protocol ? (uint32_t)strlen(from->protocol) : 0,
        .extensions_len = (uint32_t)from->extensions_len,
    };
    out->len = 0;
    if (buffer_append(out, &c, sizeof c) < 0 ||
        buffer_append(out, from->protocol, c.protocol_len) < 0 ||
        buffer_append(out, from->extensions, c.extensions_len) < 0)
        return NULL;
    size_t at = out->len;
    if (append_headers(out, from, false) < 0)
        return NULL;
    c.headers_len = (uint32_t)(out->len - at);
    memcpy(out->data, &c, sizeof c);
    return intern_take(table, out->data, out->len);
}

static const struct ws_request *whole_new(struct intern *table, struct buffer *out,
                                          const struct ws_request_source *from,
                                          const struct ws_request_common *common)
{
    struct ws_request k = {
        .common = common,
        .path_len = (uint32_t)from->path_len,
        .query_len = (uint32_t)from->query_len,
    };
    const char *scheme = from->secure ? "wss://" : "ws://";
    out->len = 0;
    if (buffer_append(out, &k, sizeof k) < 0 || buffer_append(out, scheme, strlen(scheme)) < 0 ||
        buffer_append(out, from->authority, from->authority_len) < 0)
        return NULL;
    k.origin_len = (uint32_t)(out->len - sizeof k);
    if (buffer_append(out, from->path, from->path_len) < 0 ||
        buffer_append(out, from->query, from->query_len) < 0)
        return NULL;
    size_t at = out->len;
    if (append_headers(out, from, true) < 0)
        return NULL;
    k.headers_len = (uint32_t)(out->len - at);
    memcpy(out->data, &k, sizeof k);
    return intern_take(table, out->data, out->len);
}

const struct ws_request *ws_request_new(struct intern *table, struct buffer *scratch,
                                        const struct ws_request_source *from)
{
    const struct ws_request_common *common = common_new(table, scratch, from);
    const struct ws_request *k = common ? whole_new(table, scratch, from, common) : NULL;
    scratch->len = 0;
    if (!k)
        intern_give(table, common);
    return k;
}

void ws_request_free(struct intern *table, const struct ws_request *k)
{
    if (!k)
        return;
    const struct ws_request_common *common = k->common;
    intern_give(table, k);
    intern_give(table, common);
}

void ws_request_texts(const struct ws_request *k, struct ws_request_texts *out)
{
    const struct ws_request_common *common = k->common;
    const char *extensions = common->text + common->protocol_len;
    const char *path = k->text + k->origin_len;
    const char *query = path + k->path_len;
    size_t mark = k->query_len > 0; /* the "?" */
    *out = (struct ws_request_texts){
        .protocol = {common->text, common->protocol_len},
        .extensions = {extensions, common->extensions_len},
        .url = {k->text, (size_t)k->origin_len + k->path_len + k->query_len},
        .path = {path, k->path_len},
        .query = {query + mark, k->query_len - mark},
        .headers = {{extensions + common->extensions_len, common->headers_len},
                    {query + k->query_len, k->headers_len}},
    };
}
