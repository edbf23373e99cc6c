/* A writer of JSON whose failure stays until its caller looks. */
#include "base/json_out.h"

#include <inttypes.h>
#include <string.h>

#include "base/escape.h"

static void put(struct json_out *j, const char *text)
{
    if (!j->err)
        j->err = buffer_append(j->out, text, strlen(text));
}

/* Writes the comma and the name that stand in front of a value. */
static void begin_value(struct json_out *j, const char *name)
{
    if (j->comma)
        put(j, ",");
    if (name) {
        put(j, "\"");
        put(j, name);
        put(j, "\":");
    }
    j->comma = true;
}

static void begin_group(struct json_out *j, const char *name, const char *bracket)
{
    begin_value(j, name);
    put(j, bracket);
    j->comma = false;
}

static void end_group(struct json_out *j, const char *bracket)
{
    put(j, bracket);
    j->comma = true;
}

void json_out_object(struct json_out *j, const char *name)
{
    begin_group(j, name, "{");
}

void json_out_object_end(struct json_out *j)
{
    end_group(j, "}");
}

void json_out_array(struct json_out *j, const char *name)
{
    begin_group(j, name, "[");
}

void json_out_array_end(struct json_out *j)
{
    end_group(j, "]");
}

void json_out_bool(struct json_out *j, const char *name, bool value)
{
    begin_value(j, name);
    put(j, value ? "true" : "false");
}

void json_out_integer(struct json_out *j, const char *name, int64_t value)
{
    begin_value(j, name);
    if (!j->err)
        j->err = buffer_printf(j->out, "%" PRId64, value);
}

void json_out_string(struct json_out *j, const char *name, const char *text)
{
    json_out_text(j, name, text, text ? strlen(text) : 0);
}

void json_out_text(struct json_out *j, const char *name, const char *text, size_t len)
{
    begin_value(j, name);
    if (!text) {
        put(j, "null");
        return;
    }
    put(j, "\"");
    if (!j->err)
        j->err = escape_json(j->out, text, len);
    put(j, "\"");
}

void json_out_json(struct json_out *j, const char *name, const void *json, size_t len)
{
    begin_value(j, name);
    if (!j->err)
        j->err = escape_invalid(j->out, json, len);
}
