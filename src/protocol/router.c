/* Finds routes in a tree with one level for each segment. The names of parameters are not kept:
 * they belong to patterns, and two patterns that differ only in them share their nodes. */
#include "protocol/router.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/url.h"

struct handler {
    uint32_t methods;
    uint32_t target;
};

struct node {
    char *text; /* the decoded bytes of a literal, else NULL */
    size_t len;
    struct node **literals; /* sorted by length, then bytes */
    size_t literal_count;
    struct node *param;
    struct node *rest;
    struct handler *handlers; /* those of the patterns that end here */
    size_t handler_count;
};

struct router {
    struct node root;
};

struct router *router_new(void)
{
    return calloc(1, sizeof(struct router));
}

static void node_deinit(struct node *n);

static void node_free(struct node *n)
{
    if (!n)
        return;
    node_deinit(n);
    free(n);
}

static void node_deinit(struct node *n)
{
    for (size_t i = 0; i < n->literal_count; i++)
        node_free(n->literals[i]);
    node_free(n->param);
    node_free(n->rest);
    free(n->literals);
    free(n->handlers);
    free(n->text);
}

void router_free(struct router *r)
{
    if (!r)
        return;
    node_deinit(&r->root);
    free(r);
}

/* Takes the segment behind the slash at *at, which moves to the next slash or the end. */
static struct http_span next_segment(const char *path, size_t len, size_t *at)
{
    size_t begin = *at + 1;
    const char *slash = memchr(path + begin, '/', len - begin);
    *at = slash ? (size_t)(slash - path) : len;
    return (struct http_span){(uint32_t)begin, (uint32_t)(*at - begin)};
}

/* ---- Literals ---- */

static int compare(const struct node *n, const char *text, size_t len)
{
    if (n->len != len)
        return n->len < len ? -1 : 1;
    return memcmp(n->text, text, len);
}

/* The place of a literal among its siblings, or where it belongs (*found false). */
static size_t find_literal(const struct node *n, const char *text, size_t len, bool *found)
{
    size_t low = 0;
    size_t high = n->literal_count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(n->literals[middle], text, len);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Decodes a segment into out[0..ROUTER_LITERAL_MAX). -1: too long for a literal, or broken. */
static long decode_segment(char *out, const char *segment, size_t len)
{
    if (len > 3 * ROUTER_LITERAL_MAX)
        return -1;
    char text[3 * ROUTER_LITERAL_MAX];
    long decoded = url_decode(text, segment, len, 0);
    if (decoded < 0 || decoded > ROUTER_LITERAL_MAX)
        return -1;
    memcpy(out, text, (size_t)decoded);
    return decoded;
}

/* ---- Patterns ---- */

enum segment_kind { SEGMENT_LITERAL, SEGMENT_PARAM, SEGMENT_REST };

static enum segment_kind kind_of(const char *pattern, struct http_span s)
{
    if (s.len == 0)
        return SEGMENT_LITERAL;
    return pattern[s.at] == ':'   ? SEGMENT_PARAM
           : pattern[s.at] == '*' ? SEGMENT_REST
                                  : SEGMENT_LITERAL;
}

const char *router_param_name(const char *pattern, size_t pattern_len, unsigned i, size_t *len)
{
    size_t at = 0;
    while (at < pattern_len) {
        struct http_span s = next_segment(pattern, pattern_len, &at);
        if (kind_of(pattern, s) == SEGMENT_LITERAL || i-- > 0)
            continue;
        *len = s.len - 1;
        return pattern + s.at + 1;
    }
    return NULL;
}

/* True when one of the first `count` parameters has this name. */
static bool name_taken(const char *pattern, size_t len, unsigned count, struct http_span name)
{
    for (unsigned i = 0; i < count; i++) {
        size_t other_len = 0;
        const char *other = router_param_name(pattern, len, i, &other_len);
        if (other && other_len == name.len && memcmp(other, pattern + name.at, name.len) == 0)
            return true;
    }
    return false;
}

static bool is_name_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' ||
           c >= 0x80;
}

static bool is_name(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && is_name_byte((uint8_t)text[i]))
        i++;
    return i == len;
}

static const char *check_param(const char *pattern, size_t len, unsigned count, struct http_span s)
{
    struct http_span name = {s.at + 1, s.len - 1};
    if (name.len == 0)
        return pattern[s.at] == '*' ? "the rest of a path needs a name, as in /files/*path"
                                    : "a parameter in a path needs a name, as in /room/:id";
    if (pattern[s.at] == '*' && !is_name(pattern + name.at, name.len))
        return "the name of the rest of a path is letters, digits and _, as in /files/*path";
    if (!is_name(pattern + name.at, name.len))
        return "a parameter is a whole part of a path, and its name is letters, digits and _, as "
               "in /room/:id; for an optional part, declare two routes; for an ending as .json, "
               "look at the parameter in the handler";
    if (name_taken(pattern, len, count, name))
        return "two parameters of a path have the same name";
    if (count == ROUTER_PARAMS_MAX)
        return "too many parameters in a path";
    return NULL;
}

/* The signs that other routers give a meaning, and what to write here. Taken literally they would
 * make routes that no client ever asks for; escaped they are literal. */
static const struct {
    const char *signs;
    const char *why;
} foreign[] = {
    {":", "a parameter is a whole part of a path, as in /room/:id; write %3A for a colon"},
    {"*", "only *name as the last part of a path stands for the rest, as in /files/*path; write "
          "%2A for an asterisk"},
    {"?#", "a path ends before ? and #: req.query has what follows; for an optional part, declare "
           "two routes"},
    {"{}<>[]$", "a parameter is written :id, as in /room/:id, and the rest *path; write %7B, %24 "
                "and so on for { } < > [ ] $ themselves"},
    {"()+|^\\", "a path is no regular expression: there is :id for one part and *path for the "
                "rest; write %28, %2B and so on for ( ) + | ^ \\ themselves"},
};

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

/* Nobody sees these where they stand; escaped they are meant. */
static const char *check_blanks(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_control(text[i]))
            return "a path has a control character, such as a line feed: write %0A and so on for "
                   "the character itself";
    }
    if (len > 0 && (text[0] == ' ' || text[len - 1] == ' '))
        return "a part of a path begins or ends with a blank: write %20 for the blank itself";
    return NULL;
}

static const char *check_literal(const char *text, size_t len)
{
    char decoded[ROUTER_LITERAL_MAX];
    long decoded_len = decode_segment(decoded, text, len);
    if (decoded_len < 0)
        return "a part of a path is too long, or has a % that is not an escape such as %25";
    if ((decoded_len == 1 || decoded_len == 2) && memcmp(decoded, "..", (size_t)decoded_len) == 0)
        return "a part of a path cannot be . or .., which clients resolve before they ask";
    for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
        for (const char *sign = foreign[i].signs; *sign; sign++) {
            if (memchr(text, *sign, len))
                return foreign[i].why;
        }
    }
    return check_blanks(text, len);
}

/* Returns what is wrong with a pattern, or NULL. */
static const char *check_pattern(const char *pattern, size_t len)
{
    unsigned params = 0;
    if (len == 0 || pattern[0] != '/')
        return "a path must begin with a slash";
    for (size_t at = 0; at < len;) {
        struct http_span s = next_segment(pattern, len, &at);
        enum segment_kind kind = kind_of(pattern, s);
        const char *why = kind == SEGMENT_LITERAL ? check_literal(pattern + s.at, s.len)
                                                  : check_param(pattern, len, params++, s);
        if (why)
            return why;
        if (kind == SEGMENT_REST && at < len)
            return "*rest can only be the last part of a path";
    }
    return NULL;
}

/* ---- adding ---- */

static struct node *new_literal(struct node *n, size_t place, const char *text, size_t len)
{
    struct node *child = calloc(1, sizeof(*child));
    char *copy = malloc(len + 1);
    struct node **grown = realloc(n->literals, (n->literal_count + 1) * sizeof(*grown));
    if (grown)
        n->literals = grown;
    if (!child || !copy || !grown) {
        free(child);
        free(copy);
        return NULL;
    }
    memcpy(copy, text, len);
    child->text = copy;
    child->len = len;
    memmove(grown + place + 1, grown + place, (n->literal_count - place) * sizeof(*grown));
    grown[place] = child;
    n->literal_count++;
    return child;
}

/* The child for a segment of a checked pattern, which is made when it is not there. NULL when out
 * of memory. */
static struct node *child_for(struct node *n, const char *pattern, struct http_span s)
{
    enum segment_kind kind = kind_of(pattern, s);
    if (kind != SEGMENT_LITERAL) {
        struct node **child = kind == SEGMENT_PARAM ? &n->param : &n->rest;
        if (!*child)
            *child = calloc(1, sizeof **child);
        return *child;
    }
    char text[ROUTER_LITERAL_MAX];
    size_t len = (size_t)decode_segment(text, pattern + s.at, s.len);
    bool found;
    size_t place = find_literal(n, text, len, &found);
    return found ? n->literals[place] : new_literal(n, place, text, len);
}

int router_add(struct router *r, const char *pattern, size_t len, uint32_t methods, uint32_t target,
               const char **why)
{
    *why = check_pattern(pattern, len);
    if (!*why && (methods == 0 || methods & ~(uint32_t)(HTTP_ANY | HTTP_WEBSOCKET)))
        *why = "a route needs methods";
    if (*why)
        return ERR_INVALID;
    /* Nodes without handlers, left behind by a failure, match nothing. */
    struct node *n = &r->root;
    for (size_t at = 0; n && at < len;)
        n = child_for(n, pattern, next_segment(pattern, len, &at));
    if (!n)
        return ERR_MEMORY;
    for (size_t i = 0; i < n->handler_count; i++) {
        if (n->handlers[i].methods & methods) {
            *why = "this path and method have a route already";
            return ERR_INVALID;
        }
    }
    struct handler *grown = realloc(n->handlers, (n->handler_count + 1) * sizeof(*grown));
    if (!grown)
        return ERR_MEMORY;
    n->handlers = grown;
    grown[n->handler_count++] = (struct handler){methods, target};
    return 0;
}

/* ---- matching ---- */

/* One search. The first handler that takes the method wins, since better patterns are tried first;
 * the search then goes on only for the union of methods. */
struct search {
    const char *path;
    size_t len;
    uint32_t method;
    bool found;
    struct router_match *out;
    uint32_t depth; /* parameters on the way here */
    struct http_span params[ROUTER_PARAMS_MAX];
};

/* The handler for a method, with GET's standing in for HEAD's. */
static const struct handler *handler_for(const struct node *n, uint32_t method)
{
    const struct handler *get = NULL;
    for (size_t i = 0; i < n->handler_count; i++) {
        if (n->handlers[i].methods & method)
            return &n->handlers[i];
        if (n->handlers[i].methods & HTTP_GET)
            get = &n->handlers[i];
    }
    return method == HTTP_HEAD ? get : NULL;
}

static void arrive(struct search *s, const struct node *n)
{
    for (size_t i = 0; i < n->handler_count; i++)
        s->out->allowed |= n->handlers[i].methods;
    const struct handler *h = s->found ? NULL : handler_for(n, s->method);
    if (!h)
        return;
    s->found = true;
    s->out->target = h->target;
    s->out->param_count = s->depth;
    memcpy(s->out->params, s->params, s->depth * sizeof(*s->params));
}

static const struct node *literal_for(const struct node *n, const char *segment, size_t len)
{
    char text[ROUTER_LITERAL_MAX];
    bool found;
    if (n->literal_count == 0)
        return NULL;
    if (memchr(segment, '%', len)) {
        long decoded = decode_segment(text, segment, len);
        if (decoded < 0)
            return NULL;
        segment = text;
        len = (size_t)decoded;
    }
    size_t place = find_literal(n, segment, len, &found);
    return found ? n->literals[place] : NULL;
}

/* `at` is the slash before the next segment, or the end. Recursion goes as deep as the deepest
 * pattern. */
static void descend(struct search *s, const struct node *n, size_t at)
{
    if (at == s->len) {
        arrive(s, n);
        return;
    }
    struct http_span rest = {(uint32_t)at + 1, (uint32_t)(s->len - at - 1)};
    struct http_span segment = next_segment(s->path, s->len, &at);
    const struct node *literal = literal_for(n, s->path + segment.at, segment.len);
    if (literal)
        descend(s, literal, at);
    if (n->param && segment.len > 0) {
        s->params[s->depth++] = segment;
        descend(s, n->param, at);
        s->depth--;
    }
    if (n->rest) {
        s->params[s->depth++] = rest;
        arrive(s, n->rest);
        s->depth--;
    }
}

int router_match(const struct router *r, const char *path, size_t len, uint32_t method,
                 struct router_match *out)
{
    struct search s = {.path = path, .len = len, .method = method, .out = out};
    out->param_count = 0;
    out->allowed = 0;
    if (len == 0 || path[0] != '/')
        return ERR_NOT_FOUND;
    descend(&s, &r->root, 0);
    if (out->allowed & HTTP_GET)
        out->allowed |= HTTP_HEAD;
    return s.found ? 0 : ERR_NOT_FOUND;
}

void router_params(const char *pattern, size_t pattern_len, const char *path, size_t path_len,
                   struct router_match *out)
{
    size_t at = 0;
    size_t in_path = 0;
    out->param_count = 0;
    while (at < pattern_len && in_path < path_len) {
        struct http_span s = next_segment(pattern, pattern_len, &at);
        enum segment_kind kind = kind_of(pattern, s);
        struct http_span segment = {(uint32_t)(in_path + 1), (uint32_t)(path_len - in_path - 1)};
        if (kind != SEGMENT_REST)
            segment = next_segment(path, path_len, &in_path);
        if (kind != SEGMENT_LITERAL && out->param_count < ROUTER_PARAMS_MAX)
            out->params[out->param_count++] = segment;
        if (kind == SEGMENT_REST)
            return;
    }
}

bool router_same_pattern(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t in_a = 0;
    size_t in_b = 0;
    while (in_a < a_len && in_b < b_len) {
        struct http_span s = next_segment(a, a_len, &in_a);
        struct http_span t = next_segment(b, b_len, &in_b);
        enum segment_kind kind = kind_of(a, s);
        if (kind != kind_of(b, t))
            return false;
        if (kind == SEGMENT_LITERAL && (s.len != t.len || memcmp(a + s.at, b + t.at, s.len) != 0))
            return false;
    }
    return in_a == a_len && in_b == b_len;
}
