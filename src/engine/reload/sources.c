/* The files of an app, read ahead. */
#include "engine/reload/sources.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/map.h"

/* Where processors are short, the threads that handle events go first. */
enum { NICE = 5 };

/* A slow disk may hold the thread up for long. So it is detached, and its reference keeps the
 * set. */
struct sources {
    _Atomic uint32_t refs; /* the thread's is one */
    _Atomic bool cancelled;
    uint32_t number;
    char **paths;
    size_t path_count;
    int (*compile)(const char *path, const struct buffer *text, struct buffer *code,
                   struct buffer *problem);
    struct map files; /* struct source by path; the thread's until it is done */
    size_t bytes;     /* of text and code */

    pthread_mutex_t lock; /* for the fields below */
    bool done;
    struct ev_loop *loop; /* NULL: wake nobody */
    ev_async *wake;
};

/* ---- life ------------------------------------------------------------------------------------ */

struct sources *sources_new(uint32_t number)
{
    struct sources *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->refs = 1;
    s->number = number;
    map_init(&s->files);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void source_free(struct source *one)
{
    buffer_deinit(&one->text);
    buffer_deinit(&one->code);
    buffer_deinit(&one->problem);
    free(one);
}

struct sources *sources_ref(struct sources *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void sources_unref(struct sources *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    struct map_entry entry;
    for (size_t at = 0; map_next(&s->files, &at, &entry);)
        source_free(entry.value);
    map_deinit(&s->files);
    for (size_t i = 0; i < s->path_count; i++)
        free(s->paths[i]);
    free(s->paths);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

uint32_t sources_number(const struct sources *s)
{
    return s->number;
}

void sources_add(struct sources *s, const char *path)
{
    if (s->path_count == SOURCES_FILES_MAX)
        return;
    char **more = realloc(s->paths, (s->path_count + 1) * sizeof(*more));
    if (!more)
        return;
    s->paths = more;
    s->paths[s->path_count] = strdup(path);
    s->path_count += s->paths[s->path_count] != NULL;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* NULL: the file is left to the workers. */
static struct source *read_one(const struct sources *s, const char *path)
{
    struct source *one = calloc(1, sizeof(*one));
    if (!one)
        return NULL;
    if (file_read(&one->text, &one->state, path, SOURCES_FILE_BYTES_MAX) < 0 ||
        s->bytes + one->text.len > SOURCES_BYTES_MAX ||
        s->compile(path, &one->text, &one->code, &one->problem) < 0) {
        source_free(one);
        return NULL;
    }
    file_digest(one->digest, one->text.data, one->text.len);
    return one;
}

static void take_up(struct sources *s, const char *path)
{
    if (map_get(&s->files, path, strlen(path)))
        return;
    struct source *one = read_one(s, path);
    if (!one)
        return;
    if (map_put(&s->files, path, strlen(path), one) < 0)
        source_free(one);
    else
        s->bytes += one->text.len + one->code.len;
}

static void *thread_body(void *arg)
{
    struct sources *s = arg;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread only */
    for (size_t i = 0; i < s->path_count && !atomic_load(&s->cancelled); i++)
        take_up(s, s->paths[i]);
    pthread_mutex_lock(&s->lock);
    s->done = true;
    if (s->loop)
        ev_async_send(s->loop, s->wake);
    pthread_mutex_unlock(&s->lock);
    sources_unref(s);
    return NULL;
}

int sources_begin(struct sources *s,
                  int (*compile)(const char *path, const struct buffer *text, struct buffer *code,
                                 struct buffer *problem),
                  struct ev_loop *loop, ev_async *wake)
{
    pthread_t thread;
    s->compile = compile;
    s->loop = loop;
    s->wake = wake;
    if (pthread_create(&thread, NULL, thread_body, sources_ref(s))) {
        sources_unref(s);
        return ERR_LIMIT;
    }
    pthread_setname_np(thread, "moonwire/files");
    pthread_detach(thread);
    return 0;
}

bool sources_done(struct sources *s)
{
    pthread_mutex_lock(&s->lock);
    bool done = s->done;
    pthread_mutex_unlock(&s->lock);
    return done;
}

void sources_cancel(struct sources *s)
{
    atomic_store(&s->cancelled, true);
}

void sources_leave(struct sources *s)
{
    sources_cancel(s);
    pthread_mutex_lock(&s->lock);
    s->loop = NULL;
    pthread_mutex_unlock(&s->lock);
}

/* ---- what was found -------------------------------------------------------------------------- */

const struct source *sources_find(const struct sources *s, const char *path)
{
    return map_get(&s->files, path, strlen(path));
}
