/* The JSON that the control socket answers with. */
#include "engine/control/control_status.h"

#include <unistd.h>

#include "base/json_out.h"
#include "engine/server/server.h"
#include "engine/worker/worker.h"

int control_status_refusal(struct buffer *out, const char *text)
{
    struct json_out j = {.out = out};
    json_out_object(&j, NULL);
    json_out_bool(&j, "ok", false);
    json_out_string(&j, "text", text);
    json_out_object_end(&j);
    return j.err;
}

static void put_identity(struct json_out *j, const struct control_identity *identity, bool draining)
{
    json_out_bool(j, "ok", true);
    json_out_integer(j, "pid", getpid());
    json_out_string(j, "app", identity->app);
    json_out_string(j, "file", identity->file);
    json_out_string(j, "version", identity->version);
    json_out_integer(j, "since", identity->since);
    json_out_bool(j, "draining", draining);
}

int control_status_about(struct buffer *out, const struct control_identity *identity, bool draining)
{
    struct json_out j = {.out = out};
    json_out_object(&j, NULL);
    put_identity(&j, identity, draining);
    json_out_object_end(&j);
    return j.err;
}

static void put_listeners(struct json_out *j, const struct server *s)
{
    json_out_array(j, "listeners");
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct listener *l = s->listeners[i];
        bool same_address = i > 0 && s->listeners[i - 1]->group == l->group;
        if (!same_address)
            json_out_string(j, NULL, l->address);
    }
    json_out_array_end(j);
}

static void put_counters(struct json_out *j, const struct server *s)
{
    json_out_object(j, "counters");
    for (unsigned i = 0; counter_name(i); i++)
        json_out_integer(j, counter_name(i), (int64_t)server_counter(s, i));
    json_out_object_end(j);
}

static void put_last_reload(struct json_out *j, const struct control_last_reload *last)
{
    if (!last->text) {
        json_out_string(j, "last_reload", NULL);
        return;
    }
    json_out_object(j, "last_reload");
    json_out_bool(j, "ok", last->ok);
    json_out_integer(j, "at", last->at);
    json_out_string(j, "text", last->text);
    json_out_object_end(j);
}

static void put_worker(struct json_out *j, const struct worker *w, const struct control_answer *a)
{
    json_out_object(j, NULL);
    json_out_integer(j, "index", w->index + 1);
    json_out_integer(j, "connections", atomic_load_explicit(&w->conn_count, memory_order_relaxed));
    json_out_bool(j, "answered", a->given);
    if (a->given)
        json_out_json(j, "generations", a->generations.data, a->generations.len);
    json_out_object_end(j);
}

int control_status_whole(struct buffer *out, const struct control_identity *identity,
                         const struct control_last_reload *last, struct control_rounds *rounds)
{
    struct json_out j = {.out = out};
    const struct server *s = rounds->server;
    json_out_object(&j, NULL);
    put_identity(&j, identity, atomic_load(&s->draining));
    json_out_integer(&j, "generation", reload_generation(s->reload));
    put_listeners(&j, s);
    put_counters(&j, s);
    put_last_reload(&j, last);
    json_out_array(&j, "workers");
    pthread_mutex_lock(&rounds->lock);
    for (uint32_t i = 0; i < s->worker_count; i++)
        put_worker(&j, &s->workers[i], &rounds->locked.answers[i]);
    pthread_mutex_unlock(&rounds->lock);
    json_out_array_end(&j);
    json_out_object_end(&j);
    return j.err;
}

int control_status_reload(struct buffer *out, bool ok, const struct reload_end *end)
{
    struct json_out j = {.out = out};
    json_out_object(&j, NULL);
    json_out_bool(&j, "ok", ok);
    json_out_integer(&j, "generation", end->generation);
    json_out_string(&j, "text", end->text);
    json_out_object_end(&j);
    return j.err;
}
