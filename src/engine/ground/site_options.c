/* Named numbers of a site: the limits of the app or a route, and a route's compression. */
#include "engine/ground/site_options.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/suggest.h"
#include "protocol/http_parts.h"

_Static_assert((int)LIMITS_HEADER_COUNT_MAX == (int)HTTP_FIELDS_MAX,
               "a request head has room for so many fields");

/* ---- checks ---- */

/* Sets an error that suggests the nearest name. name_of gives the name number i, NULL past the
 * last. Returns ERR_INVALID. */
static int fail_unknown(struct site *s, const char *what, const char *name,
                        const char *(*name_of)(unsigned i))
{
    char known[sizeof(s->error)] = "";
    const char *nearest = NULL;
    unsigned least = SUGGEST_FAR;
    size_t used = 0;
    for (unsigned i = 0; name_of(i); i++) {
        unsigned edits = suggest_edits(name, strlen(name), name_of(i));
        if (strlen(name) > 2 && strncmp(name, name_of(i), strlen(name)) == 0)
            edits = 1; /* only its unit is missing */
        if (edits < least) {
            least = edits;
            nearest = name_of(i);
        }
        if (used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                                     name_of(i));
    }
    if (nearest)
        return site_fail(s, ERR_INVALID, "%s \"%.64s\" is unknown; did you mean \"%s\"?", what,
                         name, nearest);
    return site_fail(s, ERR_INVALID, "%s \"%.64s\" is unknown; known are: %.400s", what, name,
                     known);
}

/* 0 when value is a whole number from least to most, else ERR_INVALID. */
static int check_number(struct site *s, const char *what, const char *name, double value,
                        double least, double most)
{
    if (!(value >= least && value <= most) || floor(value) != value)
        return site_fail(s, ERR_INVALID,
                         "%s \"%s\" is %.14g; it must be a whole number from %.0f to %.0f", what,
                         name, value, least, most);
    return 0;
}

/* ---- limits ---- */

int site_set_limit(struct site *s, int route, const char *name, double value)
{
    int i = limits_find(name);
    if (i < 0)
        return fail_unknown(s, "limit", name, limits_name);
    const struct limit *limit = limits_at((unsigned)i);
    if (route >= 0 && (size_t)route >= s->route_count)
        return site_fail(s, ERR_INVALID, "limit \"%s\": there is no route %d", name, route);
    if (route >= 0 && limit->app_only)
        return site_fail(s, ERR_INVALID,
                         "limit \"%s\" is one of the whole app: set it with mw.limits", name);
    int err = check_number(s, "limit", name, value, limit->least, (double)limit->most);
    if (err)
        return err;
    if (route < 0) {
        limits_put(&s->limits, (unsigned)i, (uint64_t)value);
        return 0;
    }
    struct site_route *r = &s->routes[route];
    limits_put(&r->limits, (unsigned)i, (uint64_t)value);
    r->limits_set |= UINT64_C(1) << i;
    return 0;
}

/* ---- compression ---- */

static const struct {
    const char *name;
    size_t offset;
    uint8_t size; /* of the field: 1 or 4 bytes */
    uint8_t least;
    uint32_t most;
} deflate_fields[] = {
    {"enabled", offsetof(struct deflate_options, enabled), 1, 0, 1},
    {"server_no_context_takeover", offsetof(struct deflate_options, server_no_context_takeover), 1,
     0, 1},
    {"client_no_context_takeover", offsetof(struct deflate_options, client_no_context_takeover), 1,
     0, 1},
    {"server_max_window_bits", offsetof(struct deflate_options, server_max_window_bits), 1, 9, 15},
    {"client_max_window_bits", offsetof(struct deflate_options, client_max_window_bits), 1, 9, 15},
    {"level", offsetof(struct deflate_options, level), 1, 1, 9},
    {"memory_level", offsetof(struct deflate_options, memory_level), 1, 1, 9},
    {"min_bytes", offsetof(struct deflate_options, min_bytes), 4, 0, UINT32_MAX},
    {"memory_bytes", offsetof(struct deflate_options, memory_bytes), 4, 0, UINT32_MAX},
};

enum { DEFLATE_FIELDS = sizeof(deflate_fields) / sizeof(deflate_fields[0]) };

const char *site_compress_name(unsigned i)
{
    return i < DEFLATE_FIELDS ? deflate_fields[i].name : NULL;
}

int site_set_compress(struct site *s, int route, const char *name, double value)
{
    struct site_route *r = site_websocket_route(s, route, "compress");
    if (!r)
        return ERR_INVALID;
    unsigned i = 0;
    while (i < DEFLATE_FIELDS && strcmp(deflate_fields[i].name, name) != 0)
        i++;
    if (i == DEFLATE_FIELDS)
        return fail_unknown(s, "compress option", name, site_compress_name);
    int err = check_number(s, "compress option", name, value, deflate_fields[i].least,
                           deflate_fields[i].most);
    if (err)
        return err;
    r->deflate.enabled = true; /* options ask for compression; "enabled" itself may say no */
    uint8_t *field = (uint8_t *)&r->deflate + deflate_fields[i].offset;
    if (deflate_fields[i].size == 1)
        *field = (uint8_t)value;
    else
        memcpy(field, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
    return 0;
}
