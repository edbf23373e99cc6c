/* Parses lists of extensions, and agrees on the parameters of permessage-deflate. */
#include "protocol/extension.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "protocol/deflate.h"
#include "protocol/http_syntax.h"

enum { BITS_MIN = 9, BITS_MAX = 15 }; /* 8 is legal on the wire, but not for our own deflate */

/* The defaults suit JSON of a chat's size (bench/NOTES.md). Windows of 4 KiB hold the last few
 * messages, and a connection that keeps both contexts takes 52 KiB for them instead of 310. Level 1
 * takes half of level 6's time with a context and two thirds without, for 17 % and 0.3 % more
 * bytes. */
const struct deflate_options deflate_options_default = {
    .enabled = false,
    .server_max_window_bits = 12,
    .client_max_window_bits = 12,
    .level = 1,
    .memory_level = 5,
    .min_bytes = 64,
    .memory_bytes = 0,
};

const struct deflate_options deflate_options_offer = {
    .enabled = false,
    .server_max_window_bits = BITS_MAX,
    .client_max_window_bits = BITS_MAX,
    .level = 1,
    .memory_level = 8,
    .min_bytes = 64,
    .memory_bytes = 0,
};

/* ---- the grammar (RFC 6455 §9.1) ---- */

/* extension-list = 1#( token *( ";" param ) ), param = token [ "=" ( token | quoted-string of a
 * token ) ]. Blanks may stand between the parts (RFC 2616 §2.1, which RFC 6455 builds on). */

struct cursor {
    const char *at;
    const char *end;
};

/* Names are compared as they are: neither RFC says that case may differ, and a peer that spells
 * them otherwise may not know our answer again. */
static bool is_text(const char *text, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(text, want, len) == 0;
}

/* One parameter. Values that matter are one or two digits; of a longer one only the beginning and
 * the length are kept. */
struct param {
    const char *name;
    size_t name_len;
    bool has_value;
    char value[4];
    size_t value_len;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
}

/* Takes this byte, and blanks behind it, if it is the next. */
static bool take(struct cursor *c, char byte)
{
    if (c->at == c->end || *c->at != byte)
        return false;
    c->at++;
    skip_blanks(c);
    return true;
}

static int take_token(struct cursor *c, const char **token, size_t *len)
{
    *token = c->at;
    while (c->at < c->end && http_token_byte[(uint8_t)*c->at])
        c->at++;
    *len = (size_t)(c->at - *token);
    skip_blanks(c);
    return *len ? 0 : ERR_PROTOCOL;
}

static void add_byte(struct param *p, char byte)
{
    if (p->value_len < sizeof(p->value))
        p->value[p->value_len] = byte;
    p->value_len++;
}

/* Takes the rest of a quoted-string, which must unescape to a token. */
static int take_quoted(struct cursor *c, struct param *p)
{
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (*c->at == '\\' && ++c->at == c->end)
            return ERR_PROTOCOL;
        if (!http_token_byte[(uint8_t)*c->at])
            return ERR_PROTOCOL;
        add_byte(p, *c->at);
    }
    return take(c, '"') && p->value_len ? 0 : ERR_PROTOCOL;
}

static int take_value(struct cursor *c, struct param *p)
{
    p->has_value = true;
    if (c->at < c->end && *c->at == '"') {
        c->at++;
        return take_quoted(c, p);
    }
    const char *token;
    size_t len;
    int err = take_token(c, &token, &len);
    for (size_t i = 0; i < len; i++)
        add_byte(p, token[i]);
    return err;
}

/* Returns 1 with a parameter, 0 behind the extension's last one, or ERR_PROTOCOL. */
static int next_param(struct cursor *c, struct param *p)
{
    if (!take(c, ';'))
        return c->at == c->end || *c->at == ',' ? 0 : ERR_PROTOCOL;
    *p = (struct param){0};
    int err = take_token(c, &p->name, &p->name_len);
    if (!err && take(c, '='))
        err = take_value(c, p);
    return err ? err : 1;
}

/* Returns 1 with an extension's name, 0 at the end of the list, or ERR_PROTOCOL. */
static int next_extension(struct cursor *c, const char **name, size_t *len)
{
    do
        skip_blanks(c);
    while (take(c, ','));
    if (c->at == c->end)
        return 0;
    int err = take_token(c, name, len);
    return err ? err : 1;
}

/* ---- the parameters of permessage-deflate (RFC 7692 §7.1) ---- */

/* The terms of one offer or one answer. */
struct terms {
    bool usable; /* all parameters known, valid and not repeated */
    bool server_no_context;
    bool client_no_context;
    bool server_bits_named;
    bool client_bits_named;
    uint8_t server_bits; /* 0 where there is no value */
    uint8_t client_bits;
};

static bool set_flag(bool *flag, const struct param *p)
{
    bool ok = !*flag && !p->has_value;
    *flag = true;
    return ok;
}

/* Takes 8..15 without leading zeros. The value may be left out unless it is needed. */
static bool set_bits(bool *named, uint8_t *bits, const struct param *p, bool value_needed)
{
    if (*named)
        return false;
    *named = true;
    if (!p->has_value)
        return !value_needed;
    if (p->value_len == 1 && (p->value[0] == '8' || p->value[0] == '9'))
        *bits = (uint8_t)(p->value[0] - '0');
    else if (p->value_len == 2 && p->value[0] == '1' && p->value[1] >= '0' && p->value[1] <= '5')
        *bits = (uint8_t)(10 + p->value[1] - '0');
    else
        return false;
    return true;
}

static bool read_param(struct terms *t, const struct param *p, bool answer)
{
    if (is_text(p->name, p->name_len, "server_no_context_takeover"))
        return set_flag(&t->server_no_context, p);
    if (is_text(p->name, p->name_len, "client_no_context_takeover"))
        return set_flag(&t->client_no_context, p);
    if (is_text(p->name, p->name_len, "server_max_window_bits"))
        return set_bits(&t->server_bits_named, &t->server_bits, p, true);
    if (is_text(p->name, p->name_len, "client_max_window_bits"))
        return set_bits(&t->client_bits_named, &t->client_bits, p, answer);
    return false;
}

/* Reads all parameters of an extension, also where the first one already spoils it. */
static int read_terms(struct cursor *c, struct terms *t, bool answer)
{
    struct param p;
    int more;
    *t = (struct terms){.usable = true};
    while ((more = next_param(c, &p)) > 0)
        t->usable &= read_param(t, &p, answer);
    return more;
}

static uint8_t smaller(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* ---- the server ---- */

static size_t kept_bytes(const struct deflate_params *d, int memory_level)
{
    size_t deflater = d->server_no_context_takeover
                          ? 0
                          : deflater_memory(d->server_max_window_bits, memory_level);
    size_t inflater =
        d->client_no_context_takeover ? 0 : inflater_memory(d->client_max_window_bits);
    return deflater + inflater;
}

/* Takes one bit off the larger window that may still shrink. False when none may. */
static bool shrink(struct deflate_params *d, bool client_may)
{
    bool server = !d->server_no_context_takeover && d->server_max_window_bits > BITS_MIN;
    bool client =
        client_may && !d->client_no_context_takeover && d->client_max_window_bits > BITS_MIN;
    if (server && (!client || d->server_max_window_bits >= d->client_max_window_bits))
        d->server_max_window_bits--;
    else if (client)
        d->client_max_window_bits--;
    else
        return false;
    return true;
}

/* Keeps as much context as the budget allows: both, the client's, the server's, or none. A context
 * that is given up holds nothing between messages, so its window stays as large as it was. */
static void fit_budget(struct deflate_params *d, const struct deflate_options *o, bool client_may)
{
    static const struct {
        bool drop_server, drop_client;
    } plans[] = {{false, false}, {true, false}, {false, true}, {true, true}};
    if (o->memory_bytes == 0)
        return;
    for (size_t i = 0; i < sizeof(plans) / sizeof(*plans); i++) {
        struct deflate_params plan = *d;
        plan.server_no_context_takeover |= plans[i].drop_server;
        plan.client_no_context_takeover |= plans[i].drop_client;
        bool fits;
        do
            fits = kept_bytes(&plan, o->memory_level) <= o->memory_bytes;
        while (!fits && shrink(&plan, client_may));
        if (fits) {
            *d = plan;
            return;
        }
    }
}

/* Agrees to an offer that is usable and that the options can honour, else leaves *out alone. */
static void agree(struct deflate_params *out, const struct terms *t,
                  const struct deflate_options *o)
{
    if (!t->usable || t->server_bits == 8)
        return;
    *out = (struct deflate_params){
        .enabled = true,
        .server_no_context_takeover = t->server_no_context || o->server_no_context_takeover,
        .client_no_context_takeover = t->client_no_context || o->client_no_context_takeover,
        .server_bits_named = t->server_bits_named,
        .server_max_window_bits =
            smaller(o->server_max_window_bits, t->server_bits ? t->server_bits : BITS_MAX),
        .client_max_window_bits = BITS_MAX,
    };
    /* Only a client that named the parameter understands it in the answer (§7.1.2.2). */
    if (t->client_bits_named)
        out->client_max_window_bits =
            smaller(o->client_max_window_bits, t->client_bits ? t->client_bits : BITS_MAX);
    fit_budget(out, o, t->client_bits_named);
}

int extension_accept(const char *value, size_t len, const struct deflate_options *options,
                     struct deflate_params *out)
{
    struct cursor c = {value, value + len};
    struct deflate_params agreed = {0};
    const char *name;
    size_t name_len;
    size_t count = 0;
    int more;
    *out = agreed;
    while ((more = next_extension(&c, &name, &name_len)) > 0) {
        struct terms t;
        int err = read_terms(&c, &t, false);
        if (err)
            return err;
        count++;
        if (options->enabled && !agreed.enabled && is_text(name, name_len, "permessage-deflate"))
            agree(&agreed, &t, options);
    }
    if (more < 0 || count == 0) /* "1#": one or more */
        return ERR_PROTOCOL;
    *out = agreed;
    return 0;
}

/* ---- texts ---- */

static size_t put(char *out, size_t at, const char *text)
{
    size_t len = strlen(text);
    memcpy(out + at, text, len);
    return at + len;
}

static size_t put_bits(char *out, size_t at, const char *name, unsigned bits)
{
    char text[3];
    snprintf(text, sizeof(text), "%u", bits % 100);
    at = put(out, at, "; ");
    at = put(out, at, name);
    at = put(out, at, "=");
    return put(out, at, text);
}

static size_t put_flags(char *out, bool server_no_context, bool client_no_context)
{
    size_t at = put(out, 0, "permessage-deflate");
    if (server_no_context)
        at = put(out, at, "; server_no_context_takeover");
    if (client_no_context)
        at = put(out, at, "; client_no_context_takeover");
    return at;
}

size_t extension_response(char *out, const struct deflate_params *d)
{
    if (!d->enabled)
        return 0;
    size_t at = put_flags(out, d->server_no_context_takeover, d->client_no_context_takeover);
    if (d->server_bits_named || d->server_max_window_bits < BITS_MAX)
        at = put_bits(out, at, "server_max_window_bits", d->server_max_window_bits);
    if (d->client_max_window_bits < BITS_MAX)
        at = put_bits(out, at, "client_max_window_bits", d->client_max_window_bits);
    return at;
}

/* ---- the client ---- */

size_t extension_offer(char *out, const struct deflate_options *o)
{
    if (!o->enabled)
        return 0;
    size_t at = put_flags(out, o->server_no_context_takeover, o->client_no_context_takeover);
    if (o->server_max_window_bits < BITS_MAX)
        at = put_bits(out, at, "server_max_window_bits", o->server_max_window_bits);
    if (o->client_max_window_bits < BITS_MAX)
        return put_bits(out, at, "client_max_window_bits", o->client_max_window_bits);
    return put(out, at, "; client_max_window_bits");
}

/* True when an answer keeps to the offer that extension_offer makes of the options. */
static bool keeps_offer(const struct terms *t, const struct deflate_options *o)
{
    bool demanded = o->server_max_window_bits < BITS_MAX;
    return t->usable && t->client_bits != 8 && t->client_bits <= o->client_max_window_bits &&
           (t->server_no_context || !o->server_no_context_takeover) &&
           (t->server_bits_named || !demanded) && t->server_bits <= o->server_max_window_bits;
}

int extension_check(const char *value, size_t len, const struct deflate_options *options,
                    struct deflate_params *out)
{
    struct cursor c = {value, value + len};
    struct terms t;
    const char *name;
    size_t name_len;
    *out = (struct deflate_params){0};
    if (!options->enabled || next_extension(&c, &name, &name_len) <= 0 ||
        !is_text(name, name_len, "permessage-deflate") || read_terms(&c, &t, true) ||
        !keeps_offer(&t, options) || next_extension(&c, &name, &name_len) != 0)
        return ERR_PROTOCOL;
    *out = (struct deflate_params){
        .enabled = true,
        .server_no_context_takeover = t.server_no_context,
        .client_no_context_takeover = t.client_no_context || options->client_no_context_takeover,
        .server_bits_named = t.server_bits_named,
        .server_max_window_bits = t.server_bits ? t.server_bits : BITS_MAX,
        .client_max_window_bits = t.client_bits ? t.client_bits : options->client_max_window_bits,
    };
    return 0;
}
